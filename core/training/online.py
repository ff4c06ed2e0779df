"""Exact SGD, one example at a time, for several one-hidden-layer nets side by side.

The plain loop moves the hidden weights by one rank-one term per example, and reads and writes all of them to do so.
Over a block of examples the same arithmetic needs them only twice. With X the examples of the block, W the hidden
weights at its start, and δ_s the gradient that example s leaves at the hidden layer,

    z_t = x_t·W − lr · Σ_{s<t} (x_t·x_s) δ_s

so one matrix product gives X·W, one the Gram matrix X·Xᵀ, and one applies the block's update Xᵀ·Δ. Between them the
inner loop touches only vectors as long as the hidden layer, and the heads. Nothing is approximated: sums are taken in
another order than in the plain loop, and that is all. Nets that see the same examples in the same order share the
three products: their hidden layers stand side by side as columns of one matrix. No arithmetic leads from the columns
of one net to those of another, so a net that diverges to nan does so alone.

The inner loop stands here twice: in torch calls, for every device, and as plain loops that numba compiles for the CPU
(`tests/benchmarks/bench_online.py` compares them). Without numba the torch calls do the same work.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

BLOCK = 64  # examples between two updates of the hidden weights; any number from 48 to 128 is as quick
CHUNK = 1024  # examples evaluated at once, so that their hidden layer stays in the cache

Array = np.ndarray[Any, Any]


class SideBySide:
    """ReLU classifiers with one hidden layer and softmax cross-entropy, trained on the same examples in the same order.

    Weights start as `init_sd` · N(0, 1), biases at zero. How a net starts follows from `seed` and its width alone, not
    from the nets beside it, the device or the dtype. Nets of equal width start equal.

    Arguments:
        inputs: numbers per example.
        widths: units in the hidden layer of each net.
        classes: labels are 0 … classes − 1.
        lr: learning rate of all nets, or one for each.
        compiled: use the compiled inner loop where there is one (on a CPU, with numba).
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        classes: int,
        *,
        lr: float | Sequence[float],
        init_sd: float = 1e-6,
        seed: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        compiled: bool = True,
    ) -> None:
        if not widths or min(widths) < 1:
            raise ValueError(f"widths = {list(widths)}: give at least one net, each of at least 1 unit.")
        rates = list(lr) if isinstance(lr, Sequence) else [lr] * len(widths)
        if len(rates) != len(widths):
            raise ValueError(f"{len(rates)} learning rates for {len(widths)} nets: give one for all, or one for each.")
        self.widths, self.classes = list(widths), classes
        self.lr = torch.tensor(rates, dtype=dtype, device=device)  # (nets,)
        starts = [_start(inputs, width, classes, seed) for width in widths]
        hidden = init_sd * torch.cat([w1 for w1, _ in starts], dim=1)
        # Examples get one more input that is always 1: the hidden biases are the last row of the hidden weights.
        self.hidden = torch.nn.functional.pad(hidden, (0, 0, 0, 1)).to(device, dtype)  # (inputs + 1, units of all nets)
        self.heads = (init_sd * torch.cat([w2 for _, w2 in starts], dim=1)).to(device, dtype)  # (classes, units)
        self.biases = torch.zeros(len(widths), classes, device=device, dtype=dtype)
        self.compiled = compiled and device.type == "cpu" and dtype in (torch.float32, torch.float64)
        self.edges = np.cumsum([0, *widths])  # a net's units are the columns edges[net] … edges[net + 1]
        self._block: _Block | None = None

    def parameters(self, net: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Copies of one net's weights: W1 (inputs, width), b1 (width,), W2 (width, classes), b2 (classes,)."""
        hidden, head = (torch.split(side, self.widths, dim=1)[net] for side in (self.hidden, self.heads))
        return hidden[:-1].clone(), hidden[-1].clone(), head.T.clone(), self.biases[net].clone()

    @torch.inference_mode()  # spares torch its book-keeping for autograd: a sixth of the time, the calls are so small
    def train(self, x: Tensor, y: Tensor, order: Tensor, batch_size: int = 1) -> None:
        """Go once over `order`, one step of SGD per batch.

        Arguments:
            x: examples (n, inputs), on the device and of the dtype of the nets.
            y: their labels (n,), int64.
            order: which examples are seen, and when: indices (m,), int64; an example may come several times.
            batch_size: examples whose gradients are averaged into one step; the last batch may be shorter.

        Raises ValueError for a label that is no class.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: give at least 1.")
        order = order.to(y.device)
        labels = y[order]
        if not len(order):
            return
        if not 0 <= labels.min() <= labels.max() < self.classes:
            seen = f"{int(labels.min())} … {int(labels.max())}"
            raise ValueError(f"labels = {seen} are outside 0 … {self.classes - 1}; give the nets more classes.")
        if self._block is None or self._block.batch_size != batch_size:
            self._block = _Block(self.hidden, self.widths, self.lr, self.classes, batch_size)
        block, size = self._block, len(self._block.x)
        descend = _compiled_descent(self.lr.dtype) if self.compiled else None
        for index, label in zip(torch.split(order, size), torch.split(labels, size), strict=True):
            m = len(index)
            rows = block.x[:m]
            torch.index_select(x, 0, index, out=rows[:, :-1])
            torch.mm(rows, self.hidden, out=block.z[:m])
            if m > batch_size:  # the examples of one batch do not feel each other
                torch.mm(rows, rows.T, out=block.gram[:m, :m])
            if descend is None:
                self._descend_in_torch(block, label)
            else:
                tensors = (block.z, block.gram, block.delta, block.logits, self.heads, self.biases, self.lr, label)
                descend(*(tensor.numpy() for tensor in tensors), self.edges, batch_size)
            self.hidden.addmm_(rows.T, block.delta[:m], alpha=-1)

    @torch.no_grad()
    def evaluate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy (nets,) in nats and share read correctly (nets,), on examples x (n, inputs), y (n,).

        A net that diverged has loss nan or inf.
        """
        # Examples last, here and below: classes are too few to fill the vectors of softmax and of the small products.
        logits = x.new_empty(len(self.widths), self.classes, len(x))
        room = x.new_empty(min(CHUNK, len(x)), self.hidden.shape[1])
        heads = torch.split(self.heads, self.widths, dim=1)
        for rows, scores in zip(torch.split(x, CHUNK), torch.split(logits, CHUNK, dim=2), strict=True):
            hidden = torch.addmm(self.hidden[-1], rows, self.hidden[:-1], out=room[: len(rows)]).clamp_(min=0)
            parts = torch.split(hidden, self.widths, dim=1)
            for part, head, bias, score in zip(parts, heads, self.biases, scores, strict=True):
                torch.addmm(bias[:, None], head, part.T, out=score)  # (classes, chunk)
        losses = torch.nn.functional.cross_entropy(logits, y.expand(len(logits), -1), reduction="none")  # (nets, n)
        right = logits.max(dim=1).indices == y  # (nets, n)
        return losses.mean(dim=1), right.to(losses.dtype).mean(dim=1)

    def _descend_in_torch(self, block: "_Block", labels: Tensor) -> None:
        """The inner loop in torch calls: fills `block.delta`, and moves heads and biases."""
        whole, rest = divmod(len(labels), block.batch_size)
        steps = block.steps[:whole] + ([block.step(len(labels) - rest, len(labels))] if rest else [])
        targets = torch.nn.functional.one_hot(labels, self.classes).to(self.lr.dtype)
        heads = [(head, head.T) for head in torch.split(self.heads, self.widths, dim=1)]
        biases = self.biases.unbind()
        for step, target in zip(steps, torch.split(targets, block.batch_size), strict=True):
            if len(step.before):
                step.z.addmm_(step.gram, step.before, alpha=-1)
            step.z.clamp_(min=0)
            for (_, head_t), bias, (z, _, logits) in zip(heads, biases, step.parts, strict=True):
                torch.addmm(bias, z, head_t, out=logits)
            errors = torch.softmax(step.logits, dim=-1).sub_(target).mul_(step.lr)  # (nets, batch, classes)
            for (head, _), error, (z, delta, _) in zip(heads, errors, step.parts, strict=True):
                torch.mm(error, head, out=delta)
                head.addmm_(error.T, z, alpha=-1)
            step.delta.masked_fill_(step.z <= 0, 0)
            self.biases.sub_(errors.sum(dim=1))


def _start(inputs: int, width: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Standard normal W1 (inputs, width), and W2 the other way round (classes, width)."""
    # Always the CPU's generator in float32, whose numbers no device and no neighbour changes. It takes 32 bits of seed.
    chance = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, width]).generate_state(1)[0]))
    return torch.randn(inputs, width, generator=chance), torch.randn(classes, width, generator=chance)


class _Step(NamedTuple):
    """What the torch calls of one step read and write: views, since making them takes as long as the step itself."""

    z: Tensor  # (batch, units)
    delta: Tensor  # (batch, units)
    gram: Tensor  # (batch, examples before it in the block)
    before: Tensor  # the delta of those (…, units)
    logits: Tensor  # (nets, batch, classes)
    lr: Tensor  # (nets, 1, 1), for the sum over the batch
    parts: list[tuple[Tensor, Tensor, Tensor]]  # z (batch, width), delta (batch, width), logits (batch, classes)


class _Block:
    """Buffers for a block of examples: BLOCK of them in whole batches, or one batch."""

    def __init__(self, hidden: Tensor, widths: list[int], lr: Tensor, classes: int, batch_size: int) -> None:
        inputs, units = hidden.shape
        size = batch_size * max(1, BLOCK // batch_size)
        self.batch_size, self.widths, self.lr = batch_size, widths, lr
        self.x = hidden.new_ones(size, inputs)  # the last column stays 1
        self.z = hidden.new_empty(size, units)  # X·W, which the inner loop turns into the hidden layer
        self.delta = hidden.new_empty(size, units)  # lr · gradient at the hidden layer
        self.gram = hidden.new_empty(size, size) if size > batch_size else hidden.new_empty(0, 0)
        self.logits = hidden.new_empty(len(widths), batch_size, classes)

    @cached_property
    def steps(self) -> list[_Step]:
        """The steps on whole batches."""
        return [self.step(start, start + self.batch_size) for start in range(0, len(self.x), self.batch_size)]

    def step(self, start: int, stop: int) -> _Step:
        """The step on the examples start … stop."""
        z, delta, logits = self.z[start:stop], self.delta[start:stop], self.logits[:, : stop - start]
        parts = zip(torch.split(z, self.widths, 1), torch.split(delta, self.widths, 1), logits, strict=True)
        lr = self.lr[:, None, None] / (stop - start)
        return _Step(z, delta, self.gram[start:stop, :start], self.delta[:start], logits, lr, list(parts))


def _descend(
    z: Array,  # (size, units)
    gram: Array,  # (size, size)
    delta: Array,  # (size, units)
    logits: Array,  # (nets, batch, classes), turned into lr · gradient at the logits
    heads: Array,  # (classes, units)
    biases: Array,  # (nets, classes)
    lr: Array,  # (nets,)
    labels: Array,  # (m,)
    edges: Array,  # (nets + 1,)
    batch_size: int,
) -> None:
    """The inner loop that numba compiles: innermost loops run along adjacent numbers and become vector instructions."""
    classes, units = heads.shape
    zero = z.dtype.type(0)  # a bare 0.0 would turn float32 sums into float64
    for start in range(0, len(labels), batch_size):
        stop = min(start + batch_size, len(labels))
        for t in range(start, stop):
            hidden = z[t]
            for s in range(start):
                pull, past = gram[t, s], delta[s]
                for i in range(units):
                    hidden[i] -= pull * past[i]
            for i in range(units):
                if hidden[i] < 0:  # rather than max(): nan stays nan
                    hidden[i] = zero
            for net in range(len(lr)):
                own, error = hidden[edges[net] : edges[net + 1]], logits[net, t - start]
                for k in range(classes):
                    head, logit = heads[k, edges[net] : edges[net + 1]], biases[net, k]
                    for i in range(len(own)):
                        logit += head[i] * own[i]
                    error[k] = logit
                top, total = error.max(), zero
                for k in range(classes):
                    error[k] = np.exp(error[k] - top)
                    total += error[k]
                for k in range(classes):
                    error[k] = (error[k] / total - (k == labels[t])) * lr[net] / (stop - start)
        for t in range(start, stop):  # no head moves before the whole batch has seen it
            for net in range(len(lr)):
                own = delta[t, edges[net] : edges[net + 1]]
                own[:] = zero
                for k in range(classes):
                    pull, head = logits[net, t - start, k], heads[k, edges[net] : edges[net + 1]]
                    for i in range(len(own)):
                        own[i] += pull * head[i]
            for i in range(units):
                if z[t, i] <= 0:
                    delta[t, i] = zero
        for t in range(start, stop):
            for net in range(len(lr)):
                own = z[t, edges[net] : edges[net + 1]]
                for k in range(classes):
                    pull, head = logits[net, t - start, k], heads[k, edges[net] : edges[net + 1]]
                    biases[net, k] -= pull
                    for i in range(len(own)):
                        head[i] -= pull * own[i]


@cache
def _compiled_descent(dtype: torch.dtype) -> Callable[..., None] | None:
    """`_descend` compiled for one dtype; None without numba."""
    try:
        import numba
    except ImportError:
        return None
    # The liberties that vector instructions need. Not "nnan" and "ninf": nan must stay what it is.
    fast = {"reassoc", "contract", "nsz", "arcp", "afn"}
    nothing = torch.zeros(1, 1, dtype=dtype).numpy()
    example = (nothing, nothing, nothing, nothing[None], nothing, nothing, nothing[0], np.arange(1), np.arange(2), 1)

    def compile_descent(kept: bool) -> Callable[..., None]:
        compiled: Callable[..., None] = numba.njit(cache=kept, fastmath=fast, error_model="numpy", nogil=True)(_descend)
        compiled(*example)  # numba compiles at the first call
        return compiled

    try:
        return compile_descent(kept=True)
    except Exception:  # no folder to keep it in, a full disk, a damaged file: what fails afresh as well is a real fault
        return compile_descent(kept=False)


def warm_up(dtype: torch.dtype = torch.float32) -> None:
    """Compile the inner loop now, so that no reader waits for it: seconds on a new machine, then read from disk."""
    _compiled_descent(dtype)
