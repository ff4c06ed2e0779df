"""How much quicker is a fleet than its nets one after another? `python tests/benchmarks/bench_fleet.py`

The baseline is what anyone would write for one net: `nn.Sequential`, autograd, `torch.optim`. It is measured on a
few nets and scaled; the fleet trains them all, once under autograd and once with its written-out backward pass. Data
orders are drawn anew every epoch by all and count. Medians over rounds that take turns, so that a busy machine
disturbs all alike; on one that has no core to spare, two threads wait for each other and can be far slower than one.
"""

import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[2]))
from core.nets import INITS, relu
from core.training.fleet import Fleet, orders

ROUNDS = 5
LR, MOMENTUM = 0.01, 0.9


@dataclass(frozen=True)
class Task:
    """So many nets of such sizes, for a number of epochs over `examples` in batches."""

    nets: int
    sizes: list[int]
    examples: int
    batch: int
    epochs: int
    alone: int  # nets the baseline is measured on

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.examples // self.batch)

    def data(self) -> tuple[Tensor, Tensor]:
        x = (torch.rand(self.examples, self.sizes[0], generator=torch.Generator().manual_seed(0)) * 2 - 1) * 3**0.5
        return x, x.abs().sum(dim=1, keepdim=True)


TASKS = [
    Task(nets=1000, sizes=[1, *[2] * 10, 1], examples=3000, batch=64, epochs=2, alone=5),
    Task(nets=1000, sizes=[1, *[10] * 10, 1], examples=3000, batch=64, epochs=1, alone=5),
    Task(nets=64, sizes=[2, 16, 16, 1], examples=20_000, batch=1000, epochs=1, alone=8),
    Task(nets=8, sizes=[2, 128, 128, 1], examples=20_000, batch=1000, epochs=1, alone=8),
]


def one_by_one(task: Task) -> None:
    x, y = task.data()
    for _ in range(task.alone):
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(task.sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        net = nn.Sequential(*layers[:-1])
        optimizer = torch.optim.SGD(net.parameters(), LR, momentum=MOMENTUM, nesterov=True)
        for _ in range(task.epochs):
            for rows in torch.randperm(task.examples).split(task.batch):
                optimizer.zero_grad()
                functional.mse_loss(net(x[rows]), y[rows]).backward()
                optimizer.step()


def under_autograd(task: Task) -> None:
    x, y = task.data()
    fleet = Fleet(task.nets, task.sizes, activation=relu)  # for its start; the rest is plain PyTorch
    fleet.initialise(INITS["he"], seed=0)
    weights = [weight.contiguous().requires_grad_() for weight in fleet.weights]
    biases = [bias.contiguous().requires_grad_() for bias in fleet.biases]
    optimizer = torch.optim.SGD([*weights, *biases], LR, momentum=MOMENTUM, nesterov=True)
    for epoch in range(task.epochs):
        for rows in orders(task.nets, task.examples, seed=0, epoch=epoch).split(task.batch, dim=1):
            a = x[rows]
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                a = torch.relu(torch.baddbmm(bias, a, weight))
            outputs = torch.baddbmm(biases[-1], a, weights[-1])
            optimizer.zero_grad()
            (outputs - y[rows]).square().mean(dim=(1, 2)).sum().backward()
            optimizer.step()


def written_out(task: Task) -> None:
    x, y = task.data()
    fleet = Fleet(task.nets, task.sizes, activation=relu)
    fleet.initialise(INITS["he"], seed=0)
    optimizer = fleet.optimizer("nesterov", LR)
    for epoch in range(task.epochs):
        for rows in orders(task.nets, task.examples, seed=0, epoch=epoch).split(task.batch, dim=1):
            fleet.backward(fleet.pick(x, rows), fleet.pick(y, rows))
            optimizer.step()


WAYS = {"one after another": one_by_one, "fleet, autograd": under_autograd, "fleet, written out": written_out}


def seconds(task: Task) -> dict[str, float]:
    """Median seconds that each way needs for all nets of a task."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS + 1):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(task)
            taken[name].append(time.perf_counter() - start)
    found = {name: median(each[1:]) for name, each in taken.items()}  # the first round warms up
    found["one after another"] *= task.nets / task.alone
    return found


def main() -> None:
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; seconds, medians of {ROUNDS} rounds")
    for task in TASKS:
        shape = "-".join(str(width) for width in task.sizes)
        print(f"\n{task.nets} nets {shape}, {task.steps} steps of batch {task.batch}; one after another: ", end="")
        print(f"{task.alone} measured, scaled to {task.nets}")
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found = seconds(task)
            for name, taken in found.items():
                ratio = found["one after another"] / taken
                print(f"  {threads} thread{'s' * (threads > 1):<1}  {name:<18} {taken:8.3f} s  {ratio:7.1f} x")


if __name__ == "__main__":
    main()
