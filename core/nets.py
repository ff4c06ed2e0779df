"""What nets are made of: activations and initialisations.

An activation reads its slope off its own output, so that a backward pass need not keep what went in. An
initialisation fills the weights of a whole stack of nets.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# ---- activations: f(z), and g · f′(z) read off a = f(z) --------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """f and its slope. Both functions write into their first argument, of any shape and precision.

    Attributes:
        name: in the reader's words.
        apply: z → f(z).
        through: (g, a) → g · f′(z), where a = f(z). Takes a gradient one layer back, or a tangent one layer on.
    """

    name: str
    apply: Callable[[Tensor], Tensor]
    through: Callable[[Tensor, Tensor], Tensor]


# PyTorch's own formulas: one pass over memory, where writing them out takes two or three.
_relu_back = torch.ops.aten.threshold_backward.grad_input
_leaky_back = torch.ops.aten.leaky_relu_backward.grad_input
_elu_back = torch.ops.aten.elu_backward.grad_input
_tanh_back = torch.ops.aten.tanh_backward.grad_input
_sigmoid_back = torch.ops.aten.sigmoid_backward.grad_input

SELU = 1.6732632423543772, 1.0507009873554805  # α and λ, Klambauer et al. 2017, arXiv 1706.02515


def leaky_relu(slope: float) -> Activation:
    """The identity for z > 0, else slope · z. `slope` ≥ 0: the sign of z is read off the output."""
    if not slope >= 0:
        raise ValueError(f"slope = {slope} is outside 0 …; 0 is plain ReLU, 0.2 a usual leak.")
    return Activation(
        "leaky relu",
        lambda z: functional.leaky_relu_(z, slope),
        lambda g, a: _leaky_back(g, a, slope, True, grad_input=g),
    )


# fmt: off
identity = Activation("identity", lambda z: z,     lambda g, a: g)
relu     = Activation("relu",     torch.relu_,     lambda g, a: _relu_back(g, a, 0, grad_input=g))             # a > 0
elu      = Activation("elu",      functional.elu_, lambda g, a: _elu_back(g, 1, 1, 1, True, a, grad_input=g))  # or a+1
selu     = Activation("selu",     torch.selu_,     lambda g, a: _elu_back(g, *SELU, 1, True, a, grad_input=g))
tanh     = Activation("tanh",     torch.tanh_,     lambda g, a: _tanh_back(g, a, grad_input=g))                # 1 − a²
sigmoid  = Activation("sigmoid",  torch.sigmoid_,  lambda g, a: _sigmoid_back(g, a, grad_input=g))             # a − a²
# fmt: on

ACTIVATIONS: Mapping[str, Activation] = {
    each.name: each for each in (relu, leaky_relu(0.2), elu, selu, tanh, sigmoid, identity)
}

# ---- initialisations -------------------------------------------------------------------------------------------

Array = NDArray[Any]
Init = Callable[[Array, Array, np.random.Generator], None]
"""(weight (nets, fan_in, fan_out), bias (nets, 1, fan_out), rng): fills the weight; the bias comes in as zero.

Numbers are drawn net by net, and a second kind of number from a generator of its own (`rng.spawn`): the start of
net i is then the same among ten nets and among a thousand.
"""


def normal(sd: float, *, biases: bool = False) -> Init:
    """N(0, sd²) whatever the layer's size, of the biases too if asked. 0.05 is Keras' `RandomNormal`; 0 starts every
    unit alike."""

    def fill(weight: Array, bias: Array, rng: np.random.Generator) -> None:
        weight[:] = rng.normal(0, sd, weight.shape)
        if biases:
            bias[:] = rng.spawn(1)[0].normal(0, sd, bias.shape)

    return fill


def zero(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """Nothing at all. All units of a layer are then alike, and with ReLU none ever moves: notebook 000's mistake."""
    weight[:] = 0


def uniform(limit: float) -> Init:
    """Uniform within ±limit, whatever the layer's size; 0.05 is what Keras calls "random_uniform"."""

    def fill(weight: Array, bias: Array, rng: np.random.Generator) -> None:
        weight[:] = rng.uniform(-limit, limit, weight.shape)

    return fill


def lecun(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """N(0, 1/fan_in): keeps the variance of a linear layer; SELU's (LeCun et al. 1998)."""
    weight[:] = rng.normal(0, math.sqrt(1 / weight.shape[1]), weight.shape)


def he(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """N(0, 2/fan_in): keeps the mean square through ReLU (He et al. 2015, arXiv 1502.01852)."""
    weight[:] = rng.normal(0, math.sqrt(2 / weight.shape[1]), weight.shape)


def glorot(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """Uniform with variance 2/(fan_in + fan_out), the default of Keras (Glorot & Bengio 2010)."""
    limit = math.sqrt(6 / (weight.shape[1] + weight.shape[2]))
    weight[:] = rng.uniform(-limit, limit, weight.shape)


def pytorch(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """`nn.Linear`'s default: weights and biases uniform within ±1/√fan_in, so the variance is 1/(3 fan_in)."""
    limit = 1 / math.sqrt(weight.shape[1])
    weight[:] = rng.uniform(-limit, limit, weight.shape)
    bias[:] = rng.spawn(1)[0].uniform(-limit, limit, bias.shape)


def orthogonal(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """A random rotation: WᵀW = 1, or WWᵀ = 1 where the layer widens (Saxe et al. 2014, arXiv 1312.6120)."""
    nets, fan_in, fan_out = weight.shape
    q, r = np.linalg.qr(rng.normal(size=(nets, max(fan_in, fan_out), min(fan_in, fan_out))))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]  # else the signs follow LAPACK's habit, not chance
    weight[:] = q if fan_in >= fan_out else q.transpose(0, 2, 1)


def orthogonal_relu(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """A random rotation times √2, PyTorch's `calculate_gain("relu")`: keeps the mean square through ReLU."""
    orthogonal(weight, bias, rng)
    weight *= math.sqrt(2)


def randomized_asymmetric(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """N(0, 0.6007²/fan_in) on [w|b], then one random entry per unit from Beta(2, 1), which is never negative.

    A unit is then less likely to be born with nothing but negative input (Lu et al. 2020, arXiv 1903.06733).
    """
    nets, fan_in, fan_out = weight.shape
    which, how_much = rng.spawn(2)
    both = rng.normal(0, 0.6007 / math.sqrt(fan_in), (nets, fan_in + 1, fan_out))
    entry = which.integers(fan_in + 1, size=(nets, 1, fan_out))
    np.put_along_axis(both, entry, how_much.beta(2, 1, size=(nets, 1, fan_out)), axis=1)
    weight[:], bias[:] = both[:, :-1], both[:, -1:]


INITS: Mapping[str, Init] = {
    "zero": zero,
    "he": he,
    "glorot": glorot,
    "lecun": lecun,
    "pytorch": pytorch,
    "orthogonal": orthogonal,
    "orthogonal √2": orthogonal_relu,
    "randomized asymmetric": randomized_asymmetric,
}
