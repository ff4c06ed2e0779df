"""How much quicker is SGD in blocks than the loop of notebook 003? `python tests/benchmarks/bench_online.py`

Five widths, one example at a time, 784 inputs. The notebook's way, in our words: plain PyTorch, a graph and a backward
pass per example, one width after another. It is timed on a few hundred examples (its cost per example is constant) and
given per example; blocks are timed on a whole pass of 6,000. Medians over rounds that take turns, so that a busy
machine disturbs all alike. Data: FashionMNIST from the folder in GRADIENT_LAB_DATA, else random numbers of like scale.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[2]))
from core.training.online import SideBySide, warm_up

WIDTHS = (8, 16, 32, 128, 512)
LR = 0.005
EXAMPLES, TESTS, SHORT = 6000, 10_000, 300  # SHORT: examples of each width in the notebook's way
ROUNDS = 5
CPU = torch.device("cpu")


def data() -> tuple[str, Tensor, Tensor, Tensor, Tensor]:
    """Name, training examples (6000, 784) and labels, test examples (10000, 784) and labels; scaled per pixel."""
    chance = torch.Generator().manual_seed(0)
    folder = os.environ.get("GRADIENT_LAB_DATA")
    if not folder:
        x, x_test = (torch.randn(n, 784, generator=chance) for n in (EXAMPLES, TESTS))
        y, y_test = (torch.randint(10, (n,), generator=chance) for n in (EXAMPLES, TESTS))
        return "random numbers", x, y, x_test, y_test
    from torchvision.datasets import FashionMNIST

    train, test = FashionMNIST(folder, train=True), FashionMNIST(folder, train=False)
    some = torch.randperm(len(train), generator=chance)[:EXAMPLES]
    x, x_test = train.data[some].flatten(1).float(), test.data.flatten(1).float()
    mean, sd = x.mean(dim=0), x.std(dim=0) + 1e-6
    return "FashionMNIST", (x - mean) / sd, train.targets[some], (x_test - mean) / sd, test.targets


def notebook_way(x: Tensor, y: Tensor, examples: int) -> None:
    """Each width by itself: objective with its penalty (times zero), running average, autograd, update in place."""
    for width in WIDTHS:
        weights = [1e-6 * torch.randn(784, width), 1e-6 * torch.randn(width, 10)]
        biases = [torch.zeros(width), torch.zeros(10)]
        parameters = [parameter.requires_grad_() for parameter in (*weights, *biases)]
        average = 0.0
        for _ in range(examples):
            i = np.random.choice(len(x))
            hidden = torch.relu(x[i : i + 1] @ weights[0] + biases[0][None, :])
            logits = hidden @ weights[1] + biases[1][None, :]
            penalty = 0.5 * 0.0 * sum(torch.norm(w) ** 2 for w in weights)
            objective = cross_entropy(logits, y[i : i + 1]) + penalty
            average = 0.99 * average + 0.01 * objective.item()
            gradients = torch.autograd.grad(objective, parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= LR * gradient


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    name, x, y, x_test, y_test = data()
    order = torch.randperm(EXAMPLES)
    warm_up()
    print(f"{name}, widths {WIDTHS}, batch 1, torch {torch.__version__}; µs per example, all widths together")
    print(f"notebook's way on {SHORT} examples, blocks on {EXAMPLES:,}; medians of {ROUNDS} rounds\n")
    print("threads  notebook  torch calls  ratio  compiled  ratio  evaluate 10,000")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        calls, compiled = (
            SideBySide(784, WIDTHS, 10, lr=LR, seed=0, device=CPU, compiled=compiled) for compiled in (False, True)
        )
        ways: list[tuple[Callable[[], object], int]] = [
            (lambda: notebook_way(x, y, SHORT), SHORT),
            (lambda: calls.train(x, y, order), EXAMPLES),  # noqa: B023, called before the loop goes on
            (lambda: compiled.train(x, y, order), EXAMPLES),  # noqa: B023
            (lambda: compiled.evaluate(x_test, y_test), 1),  # noqa: B023
        ]
        for work, _ in ways:
            work()
        rounds = [[seconds(work) / examples for work, examples in ways] for _ in range(ROUNDS)]
        theirs, torch_calls, inner, evaluation = (median(column) for column in zip(*rounds, strict=True))
        print(
            f"{threads:>7} {theirs * 1e6:>9.0f} {torch_calls * 1e6:>12.1f} {theirs / torch_calls:>5.0f}×"
            f" {inner * 1e6:>9.1f} {theirs / inner:>5.0f}× {evaluation * 1e3:>13.0f} ms"
        )


if __name__ == "__main__":
    main()
