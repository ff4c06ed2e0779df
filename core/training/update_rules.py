"""The update rules of nine optimizers, written out, and landscapes on which to watch them.

Each rule gives the update over the learning rate and agrees with `torch.optim` (`tests/lessons/test_optimizers.py`).
Constants are Keras', with two differences to Keras 3. ε stands outside the root, as in PyTorch: Keras 3 has it inside
for RMSProp and AdaGrad, which makes first steps on small gradients shorter. Nadam's momentum decays as 0.96^(t/250), as
in Dozat (2016), PyTorch and TensorFlow 2.3: Keras 3 has 0.96^t.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from core.frames import Array

Name = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "nadam", "adamw"]

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "momentum": partial(SGD, momentum=0.9),
    "nesterov": partial(SGD, momentum=0.9, nesterov=True),
    "adagrad": partial(Adagrad, initial_accumulator_value=0.1, eps=1e-7),
    "rmsprop": partial(RMSprop, alpha=0.9, eps=1e-7),
    "adadelta": partial(Adadelta, rho=0.95, eps=1e-7),
    "adam": partial(Adam, eps=1e-7),
    "nadam": partial(NAdam, eps=1e-7),
    "adamw": partial(AdamW, eps=1e-7, weight_decay=0.0),
}
"""PyTorch's optimizers with these constants, without a learning rate."""

ALL: tuple[Name, ...] = get_args(Name)
STEPS = 120  # on a landscape

State = dict[str, Any]


def descend(g: Array, s: State, t: int) -> Array:
    """Gradient descent."""
    return g


def momentum(g: Array, s: State, t: int) -> Array:
    """A ball that keeps nine tenths of its speed."""
    s["m"] = 0.9 * s.get("m", 0.0) + g
    return np.asarray(s["m"])


def nesterov(g: Array, s: State, t: int) -> Array:
    """The same, looking one step ahead."""
    return g + 0.9 * momentum(g, s, t)


def adagrad(g: Array, s: State, t: int) -> Array:
    """Each direction over the root of the sum of its squared gradients: steps only get shorter."""
    s["v"] = s.get("v", 0.1) + g**2
    return np.asarray(g / (np.sqrt(s["v"]) + 1e-7))


def rmsprop(g: Array, s: State, t: int) -> Array:
    """The sum becomes a running mean of g², which forgets."""
    s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g**2
    return np.asarray(g / (np.sqrt(s["v"]) + 1e-7))


def adadelta(g: Array, s: State, t: int) -> Array:
    """The same, times the root of the mean of its own squared steps, which start near 0."""
    s["v"] = 0.95 * s.get("v", 0.0) + 0.05 * g**2
    step = np.sqrt(s.get("u", 0.0) + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["u"] = 0.95 * s.get("u", 0.0) + 0.05 * step**2
    return np.asarray(step)


def adam(g: Array, s: State, t: int) -> Array:
    """Running means of g and of g², both freed of their start at 0."""
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g**2
    return np.asarray(s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7))


def nadam(g: Array, s: State, t: int) -> Array:
    """Adam, looking one step ahead."""
    now, ahead = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (t, t + 1))
    s["mu"] = s.get("mu", 1.0) * now
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g**2
    mean = ahead * s["m"] / (1 - s["mu"] * ahead) + (1 - now) * g / (1 - s["mu"])
    return np.asarray(mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7))


RULES: Mapping[str, Callable[[Array, State, int], Array]] = {
    "sgd": descend, "momentum": momentum, "nesterov": nesterov, "adagrad": adagrad, "rmsprop": rmsprop,
    "adadelta": adadelta, "adam": adam, "nadam": nadam, "adamw": adam,
}  # fmt: skip
"""What is subtracted, over the learning rate, from gradient, state and number of the step. AdamW is Adam that shrinks
the weights besides; on a landscape nothing is shrunk."""

# Rates at which each rule gets somewhere in 120 steps, on slopes of about 1.
WALKING_RATES = {
    "sgd": 0.03, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.2, "rmsprop": 0.03,
    "adadelta": 1.0, "adam": 0.1, "nadam": 0.1, "adamw": 0.1,
}  # fmt: skip


def ravine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Twenty-five times as steep across as along."""
    return 0.5 * x**2 + 12.5 * y**2


def saddle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Down along x to a point that is flat, from where it goes down along y."""
    return x**2 - y**2 + y**4 / 4


def eggholder(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The many valleys of the other lessons, all of it in −2 … 2 and a hundredth as deep."""
    u, v = 256 * x, 256 * y + 47
    return (-v * (u / 2 + v).abs().sqrt().sin() - u * (u - v).abs().sqrt().sin()) / 500


LANDSCAPES = {"ravine": (ravine, (-1.8, 1.0)), "saddle": (saddle, (-1.6, 0.02)), "eggholder": (eggholder, (0.3, 0.6))}


def walk(names: Sequence[str], landscape: str) -> tuple[Array, float]:
    """Follow each rule on a landscape and compare every step with `torch.optim`.

    Returns:
        paths (names, STEPS + 1, 2), and the largest difference in any one update.
    """
    height, start = LANDSCAPES[landscape]
    paths, largest = [], 0.0
    for name in names:
        own, theirs = np.array(start), torch.tensor(start, dtype=torch.float64, requires_grad=True)
        library, state, path = OPTIMIZERS[name]([theirs], lr=WALKING_RATES[name]), State(), [own]
        for t in range(1, STEPS + 1):
            slope = torch.autograd.grad(height(*theirs), theirs)[0]
            theirs.grad, before = slope, theirs.detach().numpy().copy()
            library.step()
            update = WALKING_RATES[name] * RULES[name](slope.numpy(), state, t)
            largest = max(largest, float(np.abs(before - update - theirs.detach().numpy()).max()))
            path.append(before - update)
        paths.append(np.stack(path))
    return np.stack(paths), largest
