"""A fleet: many small nets of one shape, trained at once as one batched net.

    fleet = Fleet(1000, [1, 2, 2, 1], activation=relu, loss="mse")
    fleet.initialise(he, seed=1)
    optimizer = fleet.optimizer("nesterov", lr=0.01)
    for rows in orders(1000, len(x), seed=1, epoch=0).split(64, dim=1):     # (nets, batch)
        losses = fleet.backward(fleet.pick(x, rows), fleet.pick(y, rows))   # (nets,)
        optimizer.step()

No net knows of another: each has its weights, its data order and its optimizer state, and one that diverges stays
in its lane. The backward pass is written out: there is no graph to build, and results go to buffers that are there
already. Inside, activations stand as (nets, width, batch).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from core.nets import Activation, Init

Loss = Literal["mse", "cross entropy"]

# `fused` is the whole update in one pass over memory, where PyTorch has it: half the time for a small fleet.
OPTIMIZERS: Mapping[str, Callable[[list[Tensor], float], Optimizer]] = {
    "sgd": lambda p, lr: SGD(p, lr, fused=True),
    "momentum": lambda p, lr: SGD(p, lr, momentum=0.9, fused=True),
    "nesterov": lambda p, lr: SGD(p, lr, momentum=0.9, nesterov=True, fused=True),
    "adagrad": lambda p, lr: Adagrad(p, lr),
    "rmsprop": lambda p, lr: RMSprop(p, lr),
    "adadelta": lambda p, lr: Adadelta(p, lr),
    "adam": lambda p, lr: Adam(p, lr, fused=True),
    "adamw": lambda p, lr: AdamW(p, lr, fused=True),
    "nadam": lambda p, lr: NAdam(p, lr),
}

# On a CPU `bmm` is as quick as one matrix product per net for all but the smallest matrices: below this many
# multiplications per net PyTorch leaves the BLAS for a plain loop, and multiplying unit by unit is quicker.
PLAIN_BMM = 400
# Nets whose layers are all that small, if there are enough of them, lie side by side in memory, so that each
# multiplication runs along the nets: twice as quick again.
TINY_WIDTH, TINY_NETS = 2, 32


class Layer(NamedTuple):
    """What one layer makes of a batch: before and after its activation, each (nets, batch, width)."""

    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class _Buffers:
    """What one batch size needs: activations and their gradients by layer (nets, width, batch), losses (nets,)."""

    after: list[Tensor]
    grad: list[Tensor]
    loss: Tensor


class Fleet:
    """Multi-layer perceptrons of equal shape, side by side.

    Args:
        nets: how many.
        sizes: widths of all layers: inputs, hidden …, outputs.
        activation: of the hidden layers; the output layer is linear.
        loss: "mse", the mean over batch and outputs, or "cross entropy" of the softmax, the mean over the batch.
        device: where everything lives.
        dtype: of everything.

    Attributes:
        parameters: every number of every net in one flat buffer; `parameters.grad` is the flat gradient.
        weights: views of it by layer, (nets, fan_in, fan_out).
        biases: likewise, (nets, 1, fan_out).
        weight_grads: views of the flat gradient, as `weights`.
        bias_grads: likewise, as `biases`.
        nets_last: whether memory holds the nets of a matrix entry side by side; shapes do not show it.
    """

    def __init__(
        self,
        nets: int,
        sizes: Sequence[int],
        *,
        activation: Activation,
        loss: Loss = "mse",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if nets < 1 or len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"nets = {nets}, sizes = {list(sizes)}: a fleet needs 1 net, 2 sizes and 1 unit at least.")
        self.nets = nets
        self.sizes = tuple(sizes)
        self.activation = activation
        self.loss = loss
        self.device = torch.device(device)
        self.dtype = dtype
        self.nets_last = self.device.type == "cpu" and max(sizes) <= TINY_WIDTH and nets >= TINY_NETS
        count = nets * sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.sizes))
        self.parameters = torch.zeros(count, dtype=dtype, device=self.device)
        self.parameters.grad = torch.zeros_like(self.parameters)
        self.weights, self.biases = self._views(self.parameters)
        self.weight_grads, self.bias_grads = self._views(self.parameters.grad)
        self._last = len(self.weights) - 1
        self._buffers: dict[int, _Buffers] = {}

    def initialise(self, init: Init, seed: int) -> None:
        """Start every net anew. The start of net i depends on `seed` and i, not on how many nets there are."""
        for l, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            w, b = np.empty(weight.shape), np.zeros(bias.shape)
            init(w, b, np.random.default_rng([seed, l]))
            weight.copy_(torch.from_numpy(w).to(self.dtype))
            bias.copy_(torch.from_numpy(b).to(self.dtype))

    def optimizer(self, name: str, lr: float) -> Optimizer:
        """The library's optimizer over all nets at once, at its defaults but for `lr`; momentum is 0.9."""
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer = {name!r} is none of {', '.join(OPTIMIZERS)}.")
        return OPTIMIZERS[name]([self.parameters], lr)

    # ---- looking at the nets -----------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (nets, batch, outputs) for inputs (nets, batch, inputs), or (batch, inputs) shared by all."""
        a = self._columns(x, self.sizes[0])
        for l in range(self._last + 1):
            a = self._affine(l, a, self._empty(self.sizes[l + 1], a.shape[2]))
            if l < self._last:
                self.activation.apply(a)
        return a.transpose(1, 2)

    def layers(self, x: Tensor) -> list[Layer]:
        """Every layer on x, as for `forward`; the last one's `after` is its `before`, the output."""
        a = self._columns(x, self.sizes[0])
        found = []
        for l in range(self._last + 1):
            z = self._affine(l, a, self._empty(self.sizes[l + 1], a.shape[2]))
            a = self.activation.apply(z.clone()) if l < self._last else z
            found.append(Layer(z.transpose(1, 2), a.transpose(1, 2)))
        return found

    def input_tangents(self, x: Tensor) -> Iterator[Tensor]:
        """Layer by layer, the output layer last: the derivative of every unit with respect to every input.

        Carried forward through the net in float64: no differences are taken, and a leaky slope of 0.01 is still
        told from 0 after thirty layers (0.01³⁰ is 0 in float32).

        Args:
            x: points (nets, points, inputs), or (points, inputs) shared by all.

        Yields:
            (nets, points, width, inputs) in float64.
        """
        exact = torch.device("cpu") if self.device.type == "mps" else self.device  # Apple's GPUs have no float64
        a = self._columns(x, self.sizes[0]).to(exact, torch.float64)
        inputs, points = a.shape[1:]
        a = a.repeat(1, 1, inputs)  # the points once more for each direction
        t = torch.eye(inputs, dtype=a.dtype, device=exact).repeat_interleave(points, dim=1).expand_as(a)
        for l, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            w = weight.to(exact, torch.float64).contiguous().transpose(1, 2)
            a = torch.baddbmm(bias.to(exact, torch.float64).transpose(1, 2), w, a)
            t = torch.bmm(w, t)  # (nets, width, inputs · points)
            if l < self._last:
                self.activation.through(t, self.activation.apply(a))
            yield t.unflatten(2, (inputs, points)).permute(0, 3, 1, 2)

    def constant_layers(self, x: Tensor) -> Tensor:
        """Which layers depend on the input at no point of x: (nets, layers), the output layer last.

        A net is dead where a hidden layer is constant, `[:, :-1].any(1)`: all gradients before that layer are
        exactly 0. This asks for derivatives of exactly 0 rather than for a small variance of the output, which
        takes a net that is merely flat for a dead one. A net that diverged counts as not constant.
        """
        return torch.stack([(t == 0).all(dim=(1, 2, 3)) for t in self.input_tangents(x)], dim=1)

    # ---- learning ----------------------------------------------------------------------------------------------

    def pick(self, table: Tensor, rows: Tensor) -> Tensor:
        """To each net its own `rows` (nets, batch) of a table (examples, ...): (nets, batch, ...)."""
        numbers = table.reshape(-1) if table.numel() == len(table) else table  # single numbers are quicker to pick
        if self.nets_last:
            picked = numbers.index_select(0, rows.t().reshape(-1))
            return picked.view(*rows.t().shape, *table.shape[1:]).transpose(0, 1)
        return numbers.index_select(0, rows.reshape(-1)).view(*rows.shape, *table.shape[1:])

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Each net's loss on its batch, (nets,), valid until the next call; its gradient is in `parameters.grad`.

        Args:
            x: inputs (nets, batch, inputs), or (batch, inputs) shared by all.
            y: for "mse" targets (nets, batch, outputs), for "cross entropy" classes (nets, batch); or shared by all.
        """
        x = self._columns(x, self.sizes[0])
        batch = x.shape[2]
        if batch not in self._buffers:
            self._buffers[batch] = self._make_buffers(batch)
        to = self._buffers[batch]

        entering = [x, *to.after]  # layer l makes entering[l + 1] of entering[l]
        for l in range(self._last + 1):
            z = self._affine(l, entering[l], to.after[l])  # (nets, width, batch)
            if l < self._last:
                self.activation.apply(z)

        g = self._loss_grad(to.after[self._last], y, to)  # of the loss with respect to z, (nets, width, batch)
        for l in range(self._last, -1, -1):
            self._weight_grad(l, entering[l], g)
            torch.sum(g, dim=2, out=self.bias_grads[l][:, 0])
            if l > 0:
                g = self.activation.through(self._back(l, g, to.grad[l - 1]), entering[l])
        return to.loss

    def _loss_grad(self, z: Tensor, y: Tensor, to: _Buffers) -> Tensor:
        """Losses go to `to.loss`; their gradient with respect to the outputs z (nets, outputs, batch) comes back."""
        g = to.grad[self._last]
        outputs, batch = z.shape[1:]
        if self.loss == "mse":
            torch.sub(z, self._columns(y, outputs), out=g)
            torch.mean(torch.mul(g, g, out=z), dim=(1, 2), out=to.loss)
            return g.mul_(2 / (outputs * batch))
        truth = y.expand(self.nets, -1)[:, None]  # (nets, 1, batch)
        torch.log_softmax(z, dim=1, out=g)
        torch.mean(g.gather(1, truth), dim=(1, 2), out=to.loss).neg_()
        g.exp_().scatter_add_(1, truth, torch.full_like(g[:, :1], -1))  # softmax less one-hot
        return g.div_(batch)

    # ---- one layer's products ----------------------------------------------------------------------------------

    def _by_unit(self, l: int, batch: int) -> bool:
        small = self.device.type == "cpu" and self.sizes[l] * self.sizes[l + 1] * batch < PLAIN_BMM
        return small or self.nets_last

    def _affine(self, l: int, a: Tensor, out: Tensor) -> Tensor:
        """Wᵀa + b, (nets, fan_out, batch)."""
        weight, bias = self.weights[l].transpose(1, 2), self.biases[l].transpose(1, 2)
        if not self._by_unit(l, a.shape[2]):
            return torch.baddbmm(bias, weight, a, out=out)
        (unit, column), *others = zip(a.split(1, dim=1), weight.split(1, dim=2), strict=True)
        torch.addcmul(bias, unit, column, out=out)
        for unit, column in others:
            out.addcmul_(unit, column)
        return out

    def _weight_grad(self, l: int, a: Tensor, g: Tensor) -> None:
        """Into the flat gradient: a gᵀ, the products summed over the batch, (nets, fan_in, fan_out)."""
        if not self._by_unit(l, a.shape[2]):
            torch.bmm(a, g.transpose(1, 2), out=self.weight_grads[l])
            return
        for unit, row in zip(a.split(1, dim=1), self.weight_grads[l].unbind(dim=1), strict=True):
            torch.sum(unit * g, dim=2, out=row)

    def _back(self, l: int, g: Tensor, out: Tensor) -> Tensor:
        """Wg, (nets, fan_in, batch)."""
        if not self._by_unit(l, g.shape[2]):
            return torch.bmm(self.weights[l], g, out=out)
        (unit, column), *others = zip(g.split(1, dim=1), self.weights[l].split(1, dim=2), strict=True)
        torch.mul(unit, column, out=out)
        for unit, column in others:
            out.addcmul_(unit, column)
        return out

    # ---- memory ------------------------------------------------------------------------------------------------

    def _columns(self, table: Tensor, width: int) -> Tensor:
        """(nets, batch, width), or (batch, width) shared by all, as (nets, width, batch)."""
        shape = tuple(table.shape)
        if len(shape) not in (2, 3) or shape[-1] != width or (len(shape) == 3 and shape[0] != self.nets):
            raise ValueError(f"shape {shape} fits neither ({self.nets}, batch, {width}) nor (batch, {width}).")
        return table.transpose(-1, -2).expand(self.nets, -1, -1)

    def _empty(self, rows: int, columns: int) -> Tensor:
        """Room for (nets, rows, columns)."""
        flat = torch.empty(self.nets * rows * columns, dtype=self.dtype, device=self.device)
        return self._shaped(flat, rows, columns)

    def _shaped(self, flat: Tensor, rows: int, columns: int) -> Tensor:
        """Flat memory as (nets, rows, columns)."""
        if self.nets_last:
            return flat.view(rows, columns, self.nets).permute(2, 0, 1)
        return flat.view(self.nets, rows, columns)

    def _views(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and biases by layer, as views of a flat buffer."""
        shapes = [shape for fan_in, fan_out in pairwise(self.sizes) for shape in ((fan_in, fan_out), (1, fan_out))]
        parts = flat.split([self.nets * rows * columns for rows, columns in shapes])
        views = [self._shaped(part, *shape) for part, shape in zip(parts, shapes, strict=True)]
        return views[::2], views[1::2]

    def _make_buffers(self, batch: int) -> _Buffers:
        after, grad = ([self._empty(width, batch) for width in self.sizes[1:]] for _ in range(2))
        return _Buffers(after, grad, torch.empty(self.nets, dtype=self.dtype, device=self.device))


def orders(nets: int, examples: int, *, seed: int, epoch: int) -> Tensor:
    """For every net an order of the examples of its own: (nets, examples), on the CPU.

    The order of net i depends on seed, epoch and i, not on how many nets there are.
    """
    (state,) = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    chance = torch.Generator().manual_seed(int(state))
    own = torch.stack([torch.randperm(examples, generator=chance) for _ in range(nets)])
    return own.t().contiguous().t()  # a batch of it is then one block of memory
