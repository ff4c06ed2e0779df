"""Data-parallel training by `torch.distributed`: what one worker does, with a stopwatch in its hand.

Each worker has a copy of the net and a shard of the batch. It computes the gradient of its shard, all workers add
theirs up (all-reduce), and each takes the same step with the sum: so the copies stay equal.

A net is a flat vector of parameters, its gradient another, and layers are views of both: one message carries all.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

from core.device import taking_threads
from core.resources import cores
from core.training.crew import Crew

INPUTS, CLASSES = 64, 10
POOL = 4096  # examples that there are
PARTS = ("compute", "serial", "communicate")
"""What a step's seconds go into: the gradient of the shard; what every worker does all over; the all-reduce."""

Kind = Literal["strong", "weak"]


class Setting(NamedTuple):
    """One way to train: on so many workers, with the batch split among them or with a whole one for each."""

    kind: Kind
    workers: int


@dataclass(frozen=True)
class Job:
    """What a team trains.

    Attributes:
        width, layers: hidden units and hidden layers of the net.
        batch: examples in a step, of all workers together (strong) or of each (weak).
        repeated: examples whose gradient every worker computes all over and throws away: work that is not split.
        settings: what is trained.
        seed: of the examples, the start and the order.
        device: its type; worker 2 of a GPU run sits on the second GPU.
    """

    width: int
    layers: int
    batch: int
    repeated: int
    settings: tuple[Setting, ...]
    seed: int
    device: str

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of weights and biases, in turn."""
        sizes = (INPUTS, *[self.width] * self.layers, CLASSES)
        return [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]

    @property
    def parameters(self) -> int:
        """How many numbers a net has."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def message(self) -> int:
        """Bytes that an all-reduce adds up: the gradient, and the loss."""
        return 4 * (self.parameters + 1)


class Net:
    """A multilayer perceptron as one vector of parameters (parameters,) and one of gradients, the loss at its end."""

    def __init__(self, job: Job, device: torch.device) -> None:
        chance = torch.Generator().manual_seed(job.seed)
        self.flat = torch.zeros(job.parameters, device=device)
        self.gradient = torch.zeros(job.parameters + 1, device=device)
        self.layers: list[Tensor] = []
        at = 0
        for shape in job.shapes:
            part = slice(at, at + prod(shape))
            view = self.flat[part].view(shape)
            if len(shape) == 2:
                view.copy_(torch.randn(shape, generator=chance) * (2 / shape[1]) ** 0.5)  # He et al. 2015
            view.requires_grad_()
            view.grad = self.gradient[part].view(shape)
            self.layers.append(view)
            at = part.stop

    def backward(self, x: Tensor, y: Tensor, total: int) -> None:
        """Add the gradient of the examples' share in the mean loss of `total` examples, and that share itself."""
        for i in range(0, len(self.layers), 2):
            x = functional.linear(x, self.layers[i], self.layers[i + 1])
            if i + 2 < len(self.layers):
                x = functional.relu(x)
        loss = functional.cross_entropy(x, y, reduction="sum") / total
        loss.backward()
        self.gradient[-1] += loss.detach()

    def step(self, lr: float) -> None:
        """Plain gradient descent."""
        self.flat.add_(self.gradient[:-1], alpha=-lr)


class Examples:
    """Random points, named by another, random net; and the order in which they are met."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.seed, self.device = job.seed, device
        chance = torch.Generator().manual_seed(job.seed + 1)
        self.x = torch.randn(POOL, INPUTS, generator=chance)
        hidden = torch.relu(self.x @ torch.randn(INPUTS, INPUTS, generator=chance))
        hidden -= hidden.mean(dim=0)  # else some names would be given to nearly all points
        self.y = (hidden @ torch.randn(INPUTS, CLASSES, generator=chance)).argmax(dim=1).to(device)
        self.x = self.x.to(device)

    def batch(self, step: int, size: int, shard: int = 0, shards: int = 1) -> tuple[Tensor, Tensor]:
        """One of the equal shards of a step's batch; a larger batch begins with the smaller one of that step."""
        chance = torch.Generator().manual_seed(self.seed + 1_000_003 * (step + 1))
        rows = torch.randint(POOL, (size,), generator=chance).tensor_split(shards)[shard].to(self.device)
        return self.x[rows], self.y[rows]


# ---- one worker ----------------------------------------------------------------------------------------------------


class Worker:
    """One of `size` workers that meet in `folder`; called with a question's name and its arguments."""

    def __init__(self, rank: int, size: int, folder: Path, job: Job) -> None:
        self.rank, self.job = rank, job
        self.device = torch.device(job.device, rank) if job.device == "cuda" else torch.device("cpu")
        self.groups: dict[int, Any] = {}
        if size > 1:
            torch.set_num_threads(1)
            settle(rank)
            self.groups = meet(rank, size, folder, self.device, sorted({each.workers for each in job.settings}))
        self.examples = Examples(job, self.device)
        self.nets = {each: Net(job, self.device) for each in job.settings if rank < each.workers}

    def __call__(self, question: str, *arguments: Any) -> Any:
        """Answer."""
        answers: dict[str, Callable[..., Any]] = {
            "network": self.network,
            "alone": self.alone,
            "gradient_difference": self.gradient_difference,
            "train": self.train,
        }
        return answers[question](*arguments)

    def train(self, which: int, first: int, rates: Sequence[float]) -> tuple[list[list[float]], float] | None:
        """A step for each learning rate: the seconds of each by part (steps, parts), and their mean loss.

        One step more goes before them, unmeasured: its gradient is thrown away, caches and connections get warm, and
        those who came early wait for the others.
        """
        setting = self.job.settings[which]
        if self.rank >= setting.workers:
            return None
        net, seconds, losses = self.nets[setting], [], []
        self.step(net, setting, first)
        for step, lr in enumerate(rates, start=first):
            spent = self.step(net, setting, step)
            update = self.clock()
            net.step(lr)
            spent[PARTS.index("serial")] += self.clock() - update
            seconds.append(spent)
            losses.append(net.gradient[-1].item())
        return seconds, sum(losses) / len(losses)

    def step(self, net: Net, setting: Setting, step: int) -> list[float]:
        """Everything of a step but the update: leaves the mean gradient of the whole batch; seconds by part."""
        n, size = setting.workers, self.job.batch * (setting.workers if setting.kind == "weak" else 1)
        shard = self.examples.batch(step, size, self.rank, n)
        again = self.examples.batch(step, self.job.repeated)
        times = [self.clock()]
        if self.job.repeated:
            net.backward(*again, self.job.repeated)
        net.gradient.zero_()
        times.append(self.clock())
        net.backward(*shard, size)
        times.append(self.clock())
        if n > 1:
            dist.all_reduce(net.gradient, group=self.groups[n])
        times.append(self.clock())
        serial, compute, communicate = (after - before for before, after in pairwise(times))
        return [compute, serial, communicate]

    def network(self, sizes: Sequence[int], repeats: int) -> list[list[float]]:
        """Median seconds of bare all-reduces of so many bytes, by number of workers, one left out: (counts, sizes)."""
        found = []
        for n, group in self.groups.items():
            if n > 1 and self.rank < n:
                found.append([self._all_reduce(group, size, repeats) for size in sizes])
        return found

    def _all_reduce(self, group: Any, size: int, repeats: int) -> float:
        message = torch.zeros(size // 4, device=self.device)
        seconds = []
        for _ in range(repeats + 1):
            start = self.clock()
            dist.all_reduce(message, group=group)
            seconds.append(self.clock() - start)
        return median(seconds[1:])

    def alone(self, sizes: Sequence[int], repeats: int) -> list[float] | None:
        """Median seconds of the gradient of so many examples, while no other worker computes; the first one knows."""
        if self.rank:
            return None
        net, seconds = Net(self.job, self.device), []
        for repeat in range(repeats + 1):
            seconds.append([self._backward(net, *self.examples.batch(repeat, size)) for size in sizes])
        return [median(each) for each in zip(*seconds[1:], strict=True)]

    def _backward(self, net: Net, x: Tensor, y: Tensor) -> float:
        start = self.clock()
        net.backward(x, y, len(y))
        return self.clock() - start

    def gradient_difference(self, n: int) -> float | None:
        """How far the averaged gradients of `n` workers are from the whole batch's gradient, relative to it."""
        if self.rank >= n:
            return None
        net = Net(self.job, self.device)
        self.step(net, Setting("strong", n), 0)
        if self.rank:
            return None
        averaged = net.gradient.clone()
        self.step(net, Setting("strong", 1), 0)
        return relative_difference(averaged, net.gradient)

    def clock(self) -> float:
        """Seconds, once everything that was asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def settle(rank: int) -> None:
    """Take one core and stay there, with the threads that talk to the others, so that none gets in another's way."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[rank % len(allowed)]})


def meet(rank: int, size: int, folder: Path, device: torch.device, counts: Sequence[int]) -> dict[int, Any]:
    """Join the others by way of a file, on this machine alone; the group of the first n workers, for each n."""
    # Gloo would ask for the machine's name and listen where that leads; here nobody else is to hear it.
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    place, backend = (folder / "meeting").as_uri(), "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, place, rank=rank, world_size=size, timeout=timedelta(minutes=10))
    return {n: dist.new_group(list(range(n))) for n in counts}


def relative_difference(one: Tensor, other: Tensor) -> float:
    """Distance over the length of `other`; nan where that is 0."""
    return float((one - other).double().norm() / other.double().norm())


def by_shards(job: Job, counts: Sequence[int]) -> list[float]:
    """The same in this process alone, for each number of shards: their gradients, one after another, averaged."""
    device = torch.device("cpu")
    net, examples = Net(job, device), Examples(job, device)
    sums = []
    with taking_threads(1):  # a worker is one core
        for shards in (1, *counts):
            total = torch.zeros_like(net.gradient)
            for shard in range(shards):
                net.gradient.zero_()
                net.backward(*examples.batch(0, job.batch, shard, shards), job.batch)
                total += net.gradient
            sums.append(total)
    return [relative_difference(each, sums[0]) for each in sums[1:]]


# ---- a team of them ------------------------------------------------------------------------------------------------


class Team(Protocol):
    """Whoever answers for all workers."""

    def ask(self, *question: Any) -> list[Any]:
        """One answer of each worker, in their order."""


class Alone:
    """A team of one, which needs no process of its own."""

    def __init__(self, job: Job) -> None:
        self.worker = Worker(0, 1, Path(), job)

    def ask(self, *question: Any) -> list[Any]:
        """The one answer."""
        with taking_threads(1):  # a worker is one core
            return [self.worker(*question)]


def team(size: int, job: Job) -> AbstractContextManager[Team]:
    """`size` workers as a context; processes of their own where there are several."""
    return nullcontext(Alone(job)) if size == 1 else Crew(f"{__name__}:{Worker.__name__}", size, job)


def room(device: torch.device) -> int:
    """How many workers this machine has a processor for."""
    return torch.cuda.device_count() if device.type == "cuda" else cores()
