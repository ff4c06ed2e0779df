"""Nets of many shapes side by side, for one regression task.

    nets = Assorted(2, [(64,), (32, 256)], optimizer="adam", lr=0.001, device=device)
    nets.initialise(he, seed=1)
    losses = nets.epoch(x, y, order, batch=1000)    # (nets,)
    nets.predict(x_test)                            # (nets, tests)

On a CPU every net is trained by itself, as many at a time as there are threads: each core has a net of its own, so that
nobody waits for anybody, and a step is compiled (`core.training.compiled`). Elsewhere, and without numba, nets of
equal depth are padded to one fleet. All see the same examples in the same order.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.nets import Init, relu
from core.training.fleet import Fleet

Array = NDArray[Any]
Start = list[tuple[Array, Array]]  # by layer: weights (fan_in, fan_out), bias (fan_out,)
T = TypeVar("T")

AT_A_TIME = 250  # rows whose activations stay in a core's cache
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "nadam")


def parameters(inputs: int, hidden: Sequence[int], batch_norm: bool = False) -> int:
    """Numbers that training moves in a net of one output: weights, biases, γ and β; no running statistics."""
    affine = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise((inputs, *hidden, 1)))
    return affine + (2 * sum(hidden) if batch_norm else 0)


class _Group(Protocol):
    """Nets that are trained in one go; arrays have one entry per member."""

    members: tuple[int, ...]

    def initialise(self, starts: Sequence[Start]) -> None: ...
    def epoch(self, x: Tensor, y: Tensor, batch: int) -> Array: ...
    def predict(self, x: Tensor) -> Array: ...
    def weights(self) -> list[list[Array]]: ...
    def remember(self, which: Array) -> None: ...
    def recall(self) -> None: ...


class Assorted:
    """Nets of ReLU layers with one linear output, trained on the mean of squares.

    Args:
        inputs: how many numbers go in.
        architectures: of each net, the widths of its hidden layers.
        batch_norm: of each net, whether a batch norm follows each hidden layer's ReLU.
        optimizer: one of `OPTIMIZERS`, at PyTorch's defaults but for the rate; momentum is 0.9.
        lr: learning rate.
        device: where everything lives.
        compiled: whether a CPU takes the compiled step, where numba is to be had.

    Attributes:
        parameters: of each net, how many numbers training moves, (nets,).
        seconds: of each net, the time its training took so far, (nets,). Nets that are trained as one share it by
            their parameters.
    """

    def __init__(
        self,
        inputs: int,
        architectures: Sequence[Sequence[int]],
        *,
        batch_norm: Sequence[bool] | None = None,
        optimizer: str = "adam",
        lr: float = 0.001,
        device: torch.device | str = "cpu",
        compiled: bool = True,
    ) -> None:
        if not architectures or any(not each or min(each) < 1 for each in architectures):
            raise ValueError(
                f"architectures = {list(architectures)}: one net at least, each of 1 hidden unit at least."
            )
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer = {optimizer!r} is none of {', '.join(OPTIMIZERS)}.")
        self.inputs, self.architectures = inputs, [tuple(each) for each in architectures]
        self.batch_norm = list(batch_norm) if batch_norm is not None else [False] * len(architectures)
        shapes = list(zip(self.architectures, self.batch_norm, strict=True))
        self.parameters = np.array([parameters(inputs, *shape) for shape in shapes])
        self.seconds = np.zeros(len(shapes))
        self.device = torch.device(device)
        kernels = _kernels() if compiled and self.device.type == "cpu" else None
        self._groups: list[_Group] = []
        if kernels is not None:
            self._groups += [
                _Alone(kernels, i, inputs, *shape, optimizer=optimizer, lr=lr) for i, shape in enumerate(shapes)
            ]
        else:
            kinds = [(len(hidden), norm) if self.device.type != "cpu" else (hidden, norm) for hidden, norm in shapes]
            for kind in dict.fromkeys(kinds):
                members = tuple(i for i, each in enumerate(kinds) if each == kind)
                own = [self.architectures[i] for i in members]
                self._groups.append(_Together(members, inputs, own, kind[1], optimizer, lr, self.device))
        self._groups.sort(key=lambda group: -sum(self.parameters[i] for i in group.members))  # long work first
        self._compiled = kernels is not None
        self._threads = torch.get_num_threads() if self._compiled else 1

    def initialise(self, init: Init | Sequence[Init], seed: int, bias_limit: float = 0.0) -> None:
        """Initialize every network, by one law for all or one for each.

        What a network gets depends on `seed` and its own widths, not on the others.

        Args:
            init: fills weights and biases.
            seed: of the random numbers.
            bias_limit: the biases of the first hidden layer are then uniform within ± this.
        """
        self.seconds[:] = 0
        inits = [init] * len(self.architectures) if callable(init) else list(init)
        laws = zip(inits, self.architectures, strict=True)
        starts = [start(each, self.inputs, own, seed, bias_limit) for each, own in laws]
        for group in self._groups:
            group.initialise([starts[i] for i in group.members])

    def epoch(self, x: Tensor, y: Tensor, order: Tensor, batch: int, active: Array | None = None) -> Array:
        """Once over the examples, a step of the optimizer per batch.

        Args:
            x: examples (examples, inputs), float32 on the device.
            y: targets (examples,), likewise.
            order: which examples in which order, indices (m,).
            batch: examples per step; the last one may have fewer.
            active: which nets take part, (nets,) of bool; all by default.

        Returns:
            Each net's mean loss over its batches, each taken before its step, (nets,); nan for who took no part.
        """
        order = order.to(self.device)
        x, y = x[order], y[order]

        def train(group: _Group) -> tuple[float, Array]:
            begin = time.perf_counter()
            losses = group.epoch(x, y, batch)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return time.perf_counter() - begin, losses

        found = np.full(len(self.architectures), np.nan)
        groups = self._taking_part(active)
        for group, (seconds, losses) in zip(groups, self._each(train, groups), strict=True):
            members = list(group.members)
            taking = members if active is None else [i for i in members if active[i]]
            found[members] = losses
            self.seconds[taking] += seconds * self.parameters[taking] / self.parameters[taking].sum()
        if active is not None:
            found[~active] = np.nan
        return found

    def predict(self, x: Tensor, active: Array | None = None) -> Array:
        """Outputs (nets, examples) for x (examples, inputs), float32; nan for nets that take no part."""
        groups = self._taking_part(active)
        found = np.full((len(self.architectures), len(x)), np.nan, dtype=np.float32)
        for group, outputs in zip(groups, self._each(lambda group: group.predict(x), groups), strict=True):
            found[list(group.members)] = outputs
        if active is not None:
            found[~active] = np.nan
        return found

    def weights(self, net: int) -> list[Array]:
        """Copies of a net's weight matrices by layer, (fan_in, fan_out)."""
        group = next(each for each in self._groups if net in each.members)
        return group.weights()[group.members.index(net)]

    def remember(self, which: Array) -> None:
        """Keep the present state of the nets in `which`, (nets,) of bool."""
        for group in self._groups:
            if which[list(group.members)].any():
                group.remember(which[list(group.members)])

    def recall(self) -> None:
        """Bring back what was remembered."""
        for group in self._groups:
            group.recall()

    def _taking_part(self, active: Array | None) -> list[_Group]:
        return [group for group in self._groups if active is None or active[list(group.members)].any()]

    def _each(self, work: Callable[[_Group], T], groups: Sequence[_Group]) -> list[T]:
        """`work` on every group, as many at a time as there are threads."""
        with _one_thread_each() if self._compiled else nullcontext():
            if self._threads == 1 or len(groups) == 1:
                return [work(group) for group in groups]
            pool = ThreadPoolExecutor(self._threads)
            try:
                return list(pool.map(work, groups))
            finally:  # a reader who stops the run waits for the nets at work, not for those in line
                pool.shutdown(wait=True, cancel_futures=True)


def start(init: Init, inputs: int, hidden: Sequence[int], seed: int, bias_limit: float = 0.0) -> Start:
    """Return the initialization of a net of one output: by layer, weights (fan_in, fan_out) and bias (fan_out,)."""
    layers = []
    for l, (fan_in, fan_out) in enumerate(pairwise((inputs, *hidden, 1))):
        weight, bias = np.zeros((1, fan_in, fan_out)), np.zeros((1, 1, fan_out))
        rng = np.random.default_rng([seed, l, *hidden])
        init(weight, bias, rng)
        if bias_limit and l == 0:
            bias[:] = rng.uniform(-bias_limit, bias_limit, bias.shape)
        layers.append((weight[0], bias[0, 0]))
    return layers


class _Alone:
    """One net, its steps compiled. Its state is a handful of flat float32 arrays; see `core.training.compiled`."""

    def __init__(
        self,
        kernels: ModuleType,
        net: int,
        inputs: int,
        hidden: Sequence[int],
        normed: bool,
        *,
        optimizer: str,
        lr: float,
    ) -> None:
        self.members: tuple[int, ...] = (net,)
        self.kernels, self.normed, self.rule, self.lr = kernels, normed, kernels.RULES.index(optimizer), lr
        self.sizes = np.array([inputs, *hidden, 1])
        self.ends = np.cumsum([(fan_in + 1) * fan_out for fan_in, fan_out in pairwise(self.sizes)])
        units, count = sum(hidden) if normed else 0, int(self.ends[-1])
        self.flat, self.norms = np.zeros(count, np.float32), np.zeros((6, units), np.float32)
        self.moments, self.norm_moments = np.zeros((2, count), np.float32), np.zeros((2, 2, units), np.float32)
        self.grads, self.norm_grads, self.used = (
            np.zeros_like(self.flat),
            np.zeros((2, units), np.float32),
            self.flat.copy(),
        )
        self.product = np.zeros(max(fan_in * fan_out for fan_in, fan_out in pairwise(self.sizes)), np.float32)
        self.acts, self.deltas = np.zeros(0, np.float32), np.zeros((2, 0), np.float32)
        self.t, self.momenta = 0, 1.0
        self.kept = (self.flat.copy(), self.norms.copy())

    def initialise(self, starts: Sequence[Start]) -> None:
        self.flat[:] = np.concatenate([part.ravel() for layer in starts[0] for part in layer])
        self.norms[:] = np.array([1, 0, 0, 1, 0, 1])[:, None]
        self.moments[:], self.norm_moments[:], self.t, self.momenta = 0, 0, 0, 1.0

    def epoch(self, x: Tensor, y: Tensor, batch: int) -> Array:
        rows = self._room(batch if self.normed else min(batch, AT_A_TIME))
        loss, self.t, self.momenta = self.kernels.epoch(
            x.numpy(), y.numpy(), batch, rows, self.rule, self.lr, self.t, self.momenta, self.sizes,
            self.flat, self.norms, self.moments, self.norm_moments, self.grads, self.norm_grads,
            self.used, self.acts, self.deltas, self.product,
        )  # fmt: skip
        return np.array([loss])

    def predict(self, x: Tensor) -> Array:
        self._room(AT_A_TIME)
        out = np.empty((1, len(x)), np.float32)
        self.kernels.predict(x.numpy(), self.sizes, self.flat, self.norms, self.used, self.deltas, out[0])
        return out

    def _room(self, rows: int) -> int:
        if len(self.acts) < rows * sum(self.sizes[1:-1]):
            self.acts = np.zeros(rows * sum(self.sizes[1:-1]), np.float32)
            self.deltas = np.zeros((2, rows * max(self.sizes)), np.float32)
        return rows

    def weights(self) -> list[list[Array]]:
        begins = [0, *self.ends[:-1]]
        return [
            [
                self.flat[at : at + fan_in * fan_out].reshape(fan_in, fan_out).copy()
                for at, (fan_in, fan_out) in zip(begins, pairwise(self.sizes), strict=True)
            ]
        ]

    def remember(self, which: Array) -> None:
        self.kept = (self.flat.copy(), self.norms.copy())

    def recall(self) -> None:
        self.flat[:], self.norms[:] = self.kept


class _Together:
    """Nets of equal depth as one padded fleet."""

    def __init__(
        self, members: tuple[int, ...], inputs: int, architectures: Sequence[tuple[int, ...]], normed: bool,
        optimizer: str, lr: float, device: torch.device,
    ) -> None:  # fmt: skip
        self.members, self.architectures, self.optimizer_name, self.lr = members, architectures, optimizer, lr
        widest = [max(widths) for widths in zip(*architectures, strict=True)]
        unequal = architectures if len(set(architectures)) > 1 else None
        self.fleet = Fleet(
            len(members), (inputs, *widest, 1), activation=relu, widths=unequal, batch_norm=normed, device=device
        )

    def initialise(self, starts: Sequence[Start]) -> None:
        self.fleet.initialise(lambda weight, bias, rng: None, 0)  # zeros: what lies beyond a net's own widths
        for i, layers in enumerate(starts):
            for l, (weight, bias) in enumerate(layers):
                fan_in, fan_out = weight.shape
                self.fleet.weights[l][i, :fan_in, :fan_out] = torch.from_numpy(weight).to(self.fleet.weights[l])
                self.fleet.biases[l][i, 0, :fan_out] = torch.from_numpy(bias).to(self.fleet.biases[l])
        self.optimizer = self.fleet.optimizer(self.optimizer_name, self.lr)

    def epoch(self, x: Tensor, y: Tensor, batch: int) -> Array:
        total = torch.zeros(len(self.members), dtype=torch.float64, device=x.device)
        for part, truth in zip(x.split(batch), y.unsqueeze(1).split(batch), strict=True):
            total += self.fleet.backward(part, truth) * len(part)
            self.optimizer.step()
        return (total / len(x)).cpu().numpy()

    def predict(self, x: Tensor) -> Array:
        parts = [self.fleet.forward(part).squeeze(2) for part in x.split(5000)]  # (nets, part): less memory at a time
        return torch.cat(parts, dim=1).cpu().numpy()

    def weights(self) -> list[list[Array]]:
        return [
            [
                weight[i, :fan_in, :fan_out].cpu().numpy().copy()
                for weight, (fan_in, fan_out) in zip(
                    self.fleet.weights, pairwise((self.fleet.sizes[0], *own, 1)), strict=True
                )
            ]
            for i, own in enumerate(self.architectures)
        ]

    def remember(self, which: Array) -> None:
        self.fleet.remember(torch.from_numpy(which).to(self.fleet.device))

    def recall(self) -> None:
        self.fleet.recall()


def _kernels() -> ModuleType | None:
    """The compiled step; None where numba, or the BLAS that it calls, is not to be had."""
    try:
        import scipy.linalg.cython_blas  # noqa: F401  # numba calls this one

        from core.training import compiled
    except ImportError:
        return None
    return compiled


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _one_thread_each() -> Any:
    """Within it, BLAS takes the one thread that calls it: the nets are spread over the cores already.

    It holds for the whole process, so it stands around all nets at once: around each, the first to end would lift
    it for the others.
    """
    return _blas().limit(limits=1, user_api="blas")


def warm_up() -> None:
    """Compile the step now, so that no reader waits for it: seconds on a new machine, then read from disk."""
    nets = Assorted(2, [(2,), (2, 2)], batch_norm=[False, True])
    nets.initialise(lambda weight, bias, rng: None, 0)
    x = torch.zeros(4, 2)
    nets.epoch(x, x[:, 0].contiguous(), torch.arange(4), 2)
    nets.predict(x)
