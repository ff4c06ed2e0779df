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

A hidden layer is, in this order: weights and bias, activation, batch norm, the layer's input once more (residual),
dropout; the last three only where they are asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from core.nets import Activation, Init

Loss = Literal["mse", "cross entropy"]

# `fused` is the whole update in one pass over memory, where PyTorch has it: half the time for a small fleet.
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": partial(SGD, fused=True),
    "momentum": partial(SGD, momentum=0.9, fused=True),
    "nesterov": partial(SGD, momentum=0.9, nesterov=True, fused=True),
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adadelta": Adadelta,
    "adam": partial(Adam, fused=True),
    "adamw": partial(AdamW, fused=True),
    "nadam": NAdam,
}

_norm_back = torch.ops.aten.native_batch_norm_backward
NORM_MOMENTUM, NORM_EPS = 0.1, 1e-5  # of batch norm, PyTorch's defaults

# On a CPU `bmm` is as quick as one matrix product per net for all but the smallest matrices: below this many
# multiplications per net PyTorch leaves the BLAS for a plain loop, and multiplying unit by unit is quicker.
PLAIN_BMM = 400
# Nets whose layers are all that small, if there are enough of them, lie side by side in memory, so that each
# multiplication runs along the nets: twice as quick again.
TINY_WIDTH, TINY_NETS = 2, 32


Rule = Literal["inverted", "keep", "notebook"]


@dataclass(frozen=True)
class Dropout:
    """Units are dropped in training, each with probability `rate`, anew in every step.

    Attributes:
        rate: of the hidden layers: one for all, or one for each.
        input_rate: of the inputs.
        rule: what makes up for the missing units. "inverted": the kept ones times 1 / (1 - rate) in training;
            "keep": all times 1 - rate in evaluation (Srivastava et al. 2014); "notebook": all times `rate` in
            evaluation, which is what the text of notebook 002 says, and wrong but for 0.5.
    """

    rate: float | Sequence[float]
    input_rate: float = 0.0
    rule: Rule = "inverted"

    def rates(self, hidden: int) -> tuple[float, ...]:
        """The rate of the inputs, then of each of `hidden` layers. `ValueError` outside 0 … 1, 1 excluded."""
        each = [self.rate] * hidden if isinstance(self.rate, int | float) else list(self.rate)
        found = (self.input_rate, *each)
        if len(found) != hidden + 1 or not all(0 <= rate < 1 for rate in found):
            raise ValueError(
                f"dropout rates {found}: one for the inputs and each of {hidden} layers, 0 … 1, 1 excluded."
            )
        return found

    def scales(self, rate: float) -> tuple[float, float]:
        """What kept units are multiplied by in training, and all units in evaluation."""
        if rate == 0:
            return 1.0, 1.0
        return {"inverted": (1 / (1 - rate), 1.0), "keep": (1.0, 1 - rate), "notebook": (1.0, rate)}[self.rule]


class Layer(NamedTuple):
    """What one layer makes of a batch: before its activation, and what leaves it, each (nets, batch, width)."""

    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class _Norm:
    """Batch norm of one hidden layer: its parameters and running statistics (nets, width), and the newest step's."""

    gamma: Tensor
    beta: Tensor
    gamma_grad: Tensor
    beta_grad: Tensor
    running_mean: Tensor
    running_var: Tensor
    newest: list[Tensor] = field(default_factory=list)  # mean and 1/sd over the newest training batch

    def forward(self, h: Tensor, training: bool, learning: bool) -> Tensor:
        """Normalise h (nets, width, batch); `learning` moves the running statistics and remembers the batch's."""
        running = (self.running_mean, self.running_var) if learning or not training else (None, None)
        mean, var = (None if each is None else each.reshape(-1) for each in running)
        rows, gamma, beta = h.reshape(1, -1, h.shape[2]), self.gamma.reshape(-1), self.beta.reshape(-1)
        before = self.running_var.clone() if learning and rows.shape[2] == 1 else None
        out, *newest = torch.native_batch_norm(rows, gamma, beta, mean, var, training, NORM_MOMENTUM, NORM_EPS)
        if before is not None:  # a single example has variance 0, as in Keras; PyTorch's, with n - 1 below, is nan
            self.running_var.copy_(before * (1 - NORM_MOMENTUM))
        if learning:
            self.newest[:] = newest
        return out.view_as(h)

    def backward(self, g: Tensor, h: Tensor) -> Tensor:
        """The gradient with respect to h, given that with respect to the output; those of γ and β go to their place."""
        rows, gamma = h.reshape(1, -1, h.shape[2]), self.gamma.reshape(-1)
        g_rows, wanted = g.reshape(rows.shape), [True] * 3
        made = _norm_back(g_rows, rows, gamma, None, None, *self.newest, True, NORM_EPS, wanted)
        self.gamma_grad.copy_(made[1].view_as(self.gamma_grad))
        self.beta_grad.copy_(made[2].view_as(self.beta_grad))
        return g.copy_(made[0].view_as(g))


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
        widths: (nets, hidden layers), each net's own widths where they differ, at most those in `sizes`. The units
            beyond them have no weights and get none: this takes an activation with f(0) = 0.
        batch_norm: normalise what leaves each hidden activation, by the batch in training, by running statistics in
            evaluation (Ioffe & Szegedy 2015, arXiv 1502.03167), with PyTorch's momentum 0.1 and ε 1e-5.
        residual: add its input to the output of each hidden layer that is as wide as its input (He et al. 2016).
        dropout: which units are dropped in training, and what makes up for them.
        device: where everything lives.
        dtype: of everything.

    Attributes:
        parameters: every number of every net in one flat buffer; `parameters.grad` is the flat gradient.
        weights: views of it by layer, (nets, fan_in, fan_out).
        biases: likewise, (nets, 1, fan_out).
        weight_grads: views of the flat gradient, as `weights`.
        bias_grads: likewise, as `biases`.
        gammas, betas: of batch norm by hidden layer, views as `biases`; empty without.
        masks: with dropout, what the newest step multiplied the inputs and each hidden layer by: 0 where a unit was
            dropped, (nets, width, batch); None where nothing is ever dropped.
        nets_last: whether memory holds the nets of a matrix entry side by side; shapes do not show it.
    """

    def __init__(
        self,
        nets: int,
        sizes: Sequence[int],
        *,
        activation: Activation,
        loss: Loss = "mse",
        widths: Sequence[Sequence[int]] | None = None,
        batch_norm: bool = False,
        residual: bool = False,
        dropout: Dropout | None = None,
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
        hidden = len(sizes) - 2
        self.widths = self._checked(widths)
        self.rates = dropout.rates(hidden) if dropout else (0.0,) * (hidden + 1)
        self.scales = [dropout.scales(rate) if dropout else (1.0, 1.0) for rate in self.rates]
        self.masks: list[Tensor | None] = [None] * (hidden + 1)
        self._chance = torch.Generator(self.device)
        self._skips = [residual and fan_in == fan_out for fan_in, fan_out in pairwise(self.sizes[:-1])]
        plain = not (batch_norm or residual or dropout or widths)
        self.nets_last = plain and self.device.type == "cpu" and max(sizes) <= TINY_WIDTH and nets >= TINY_NETS
        norms = sum(sizes[1:-1]) if batch_norm else 0
        count = nets * (sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.sizes)) + 2 * norms)
        self.parameters = torch.zeros(count, dtype=dtype, device=self.device)
        self.parameters.grad = torch.zeros_like(self.parameters)
        self.weights, self.biases, self.gammas, self.betas = self._views(self.parameters, batch_norm)
        self.weight_grads, self.bias_grads, *norm_grads = self._views(self.parameters.grad, batch_norm)
        self._norms = [
            _Norm(
                gamma[:, 0],
                beta[:, 0],
                gamma_grad[:, 0],
                beta_grad[:, 0],
                torch.zeros_like(gamma[:, 0]),
                torch.ones_like(gamma[:, 0]),
            )
            for gamma, beta, gamma_grad, beta_grad in zip(self.gammas, self.betas, *norm_grads, strict=True)
        ]
        self._last = len(self.weights) - 1
        self._buffers: dict[int, _Buffers] = {}
        self._newest: _Buffers | None = None
        self._kept = [part.clone() for part in self._parts()]

    def _checked(self, widths: Sequence[Sequence[int]] | None) -> list[tuple[int, ...]] | None:
        """Each net's own sizes, inputs and outputs included."""
        if widths is None:
            return None
        own = [(self.sizes[0], *each, self.sizes[-1]) for each in widths]
        fits = all(len(each) == len(self.sizes) and all(map(int.__le__, each, self.sizes)) for each in own)
        if len(own) != self.nets or not fits or min(map(min, own)) < 1:
            raise ValueError(
                f"widths = {list(widths)}: one list for each of {self.nets} nets, within {self.sizes[1:-1]}."
            )
        at_zero = float(self.activation.apply(torch.zeros(1)))
        if at_zero != 0:
            raise ValueError(f"nets of unequal widths need f(0) = 0; {self.activation.name} gives {at_zero:g}.")
        return own

    def initialise(self, init: Init, seed: int) -> None:
        """Start every net anew. The start of net i depends on `seed` and i, not on how many nets there are."""
        for l, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            w, b = np.zeros(weight.shape), np.zeros(bias.shape)
            if self.widths is None:
                init(w, b, np.random.default_rng([seed, l]))
            else:
                for i, own in enumerate(self.widths):
                    here = (slice(i, i + 1), slice(own[l]), slice(own[l + 1]))
                    init(w[here], b[here[0], :, here[2]], np.random.default_rng([seed, l, i]))
            weight.copy_(torch.from_numpy(w).to(self.dtype))
            bias.copy_(torch.from_numpy(b).to(self.dtype))
        for norm in self._norms:
            norm.gamma.fill_(1), norm.beta.zero_(), norm.running_mean.zero_(), norm.running_var.fill_(1)
        self._chance.manual_seed(seed)

    def optimizer(self, name: str, lr: float, weight_decay: float | None = None) -> Optimizer:
        """The library's optimizer over all nets at once, at its defaults but for what is given; momentum is 0.9."""
        if name not in OPTIMIZERS:
            raise ValueError(f"optimizer = {name!r} is none of {', '.join(OPTIMIZERS)}.")
        more = {} if weight_decay is None else {"weight_decay": weight_decay}
        return OPTIMIZERS[name]([self.parameters], lr=lr, **more)

    def remember(self, which: Tensor) -> None:
        """Keep the present parameters and running statistics of the nets in `which`, (nets,) of bool."""
        for part, kept in zip(self._parts(), self._kept, strict=True):
            kept[which] = part[which]

    def recall(self) -> None:
        """Bring back what was remembered; a net of which nothing was starts from zero."""
        for part, kept in zip(self._parts(), self._kept, strict=True):
            part.copy_(kept)

    def _parts(self) -> list[Tensor]:
        """Everything that makes the nets what they are, each (nets, ...)."""
        norms = [part for norm in self._norms for part in (norm.gamma, norm.beta, norm.running_mean, norm.running_var)]
        return [*self.weights, *self.biases, *norms]

    # ---- looking at the nets -----------------------------------------------------------------------------------

    def forward(self, x: Tensor, *, training: bool = False) -> Tensor:
        """Outputs (nets, batch, outputs) for inputs (nets, batch, inputs), or (batch, inputs) shared by all.

        With `training` as a training step makes them: units are dropped, and batch norm goes by this batch. Nothing
        is learned, also not by the running statistics.
        """
        *_, (z, _) = self._pass(x, training)
        return z.transpose(1, 2)

    def layers(self, x: Tensor, *, training: bool = False) -> list[Layer]:
        """Every layer on x, as for `forward`; the last one's `after` is its `before`, the output."""
        return [Layer(z.transpose(1, 2), a.transpose(1, 2)) for z, a in self._pass(x, training, keep=True)]

    def _pass(self, x: Tensor, training: bool, keep: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Layer by layer what enters its activation (if it is to be kept) and what leaves the layer."""
        a = self._drop(0, self._columns(x, self.sizes[0]), training)
        for l in range(self._last + 1):
            z = self._affine(l, a, self._empty(self.sizes[l + 1], a.shape[2]))
            if l < self._last:
                a = self._leaving(l, a, self.activation.apply(z.clone() if keep else z), training)
            yield z, (a if l < self._last else z)

    def input_tangents(self, x: Tensor) -> Iterator[Tensor]:
        """Layer by layer, the output layer last: the derivative of every unit with respect to every input.

        Carried forward through the net in float64: no differences are taken, and a leaky slope of 0.01 is still
        told from 0 after thirty layers (0.01³⁰ is 0 in float32).

        Args:
            x: points (nets, points, inputs), or (points, inputs) shared by all.

        Yields:
            (nets, points, width, inputs) in float64.
        """
        if self._norms or any(self._skips) or any(self.rates):
            raise ValueError("input_tangents knows plain nets: no batch norm, residual or dropout.")
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

        entering = [self._drop(0, x, True)]  # layer l makes entering[l + 1] of entering[l], (nets, width, batch)
        for l in range(self._last):
            h = self.activation.apply(self._affine(l, entering[l], to.after[l]))
            entering.append(self._leaving(l, entering[l], h, training=True, learning=True))
        z = self._affine(self._last, entering[self._last], to.after[self._last])

        bypass: Tensor | None = None  # the gradient that goes past layer l
        g = self._loss_grad(z, y, to)  # of the loss with respect to z, (nets, width, batch)
        for l in range(self._last, -1, -1):
            self._weight_grad(l, entering[l], g)
            torch.sum(g, dim=2, out=self.bias_grads[l][:, 0])
            if l > 0:
                g = self._back(l, g, to.grad[l - 1])
                if bypass is not None:
                    g.add_(bypass)
                g, bypass = self._returning(l - 1, g, to.after[l - 1])
        self._newest = to
        return to.loss

    def errors(self) -> list[Tensor]:
        """What the newest `backward` carried to each layer, valid until the next: the loss's gradient with respect to
        what enters its activation, (nets, batch, width), the output layer last."""
        if self._newest is None:
            raise ValueError("there are no errors before the first call of backward.")
        return [g.transpose(1, 2) for g in self._newest.grad]

    # ---- what else a hidden layer does ---------------------------------------------------------------------------

    def _drop(self, l: int, a: Tensor, training: bool) -> Tensor:
        """Dropout of the inputs (0) or of hidden layer l - 1; without, `a` itself."""
        in_training, in_evaluation = self.scales[l]
        if not training:
            return a if in_evaluation == 1 else a * in_evaluation
        if self.rates[l] == 0:
            return a
        mask = torch.empty(a.shape, dtype=a.dtype, device=a.device)
        self.masks[l] = mask.bernoulli_(1 - self.rates[l], generator=self._chance).mul_(in_training)
        return a * mask

    def _leaving(self, l: int, a: Tensor, h: Tensor, training: bool, learning: bool = False) -> Tensor:
        """What leaves hidden layer l, given what entered it (a) and what its activation gave (h)."""
        if self._norms:
            h = self._norms[l].forward(h, training, learning)
        return self._drop(l + 1, h + a if self._skips[l] else h, training)

    def _returning(self, l: int, g: Tensor, h: Tensor) -> tuple[Tensor, Tensor | None]:
        """The way back through `_leaving` and the activation, and the gradient that goes past the layer."""
        mask = self.masks[l + 1] if self.rates[l + 1] else None
        if mask is not None:
            g = g.mul_(mask)
        bypass = g.clone() if self._skips[l] else None
        if self._norms:
            g = self._norms[l].backward(g, h)
        return self.activation.through(g, h), bypass

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

    def _views(self, flat: Tensor, batch_norm: bool) -> tuple[list[Tensor], ...]:
        """Weights, biases, γ and β by layer, as views of a flat buffer."""
        shapes = [shape for fan_in, fan_out in pairwise(self.sizes) for shape in ((fan_in, fan_out), (1, fan_out))]
        norms = [(1, width) for width in self.sizes[1:-1] for _ in range(2)] if batch_norm else []
        parts = flat.split([self.nets * rows * columns for rows, columns in shapes + norms])
        views = [self._shaped(part, *shape) for part, shape in zip(parts, shapes + norms, strict=True)]
        affine, norm = views[: len(shapes)], views[len(shapes) :]
        return affine[::2], affine[1::2], norm[::2], norm[1::2]

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
