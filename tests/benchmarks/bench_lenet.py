"""How quickly does LeNet-5 train? `python tests/benchmarks/bench_lenet.py`

One epoch of 60,000 pictures at batch 100, per net: two nets of ours side by side, as the lesson trains its variants,
against Keras, as the notebook did, and plain PyTorch, each with all threads on one net. Plain LeNet-5, and with batch
norm behind its hidden layers. Steps are timed after a warm-up and scaled to the epoch; rounds take turns; medians. The
floor is the arithmetic alone, six operations for each weight and place that it is applied at, at the rate of this
machine's matrix product; in brackets that of a net whose first layer owes its pixels no gradient, as ours.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from core import device
from core.training.lenet import Kind, LeNet, SideBySide

EPOCH, BATCH = 60_000, 100
STEPS, WARM = 30, 5
ROUNDS = int(os.environ.get("ROUNDS", "5"))
CHANCE = np.random.default_rng(0)
X = CHANCE.integers(0, 256, (BATCH * STEPS, 1, 28, 28), dtype=np.uint8)
Y = CHANCE.integers(0, 10, BATCH * STEPS)
MACS = (28 * 28 * 25 * 6, 10 * 10 * 25 * 6 * 16, 400 * 120, 120 * 84, 84 * 10)  # per picture, by layer
FLOPS = EPOCH * 6 * sum(MACS)
LEAST = FLOPS - EPOCH * 2 * MACS[0]
SCALE = EPOCH / (BATCH * STEPS)


def ours(batch_norm: bool) -> Callable[[], float]:
    """Seconds of an epoch per net, as many nets at a time as there are threads."""
    x, y, count = torch.from_numpy(X), torch.from_numpy(Y), torch.get_num_threads()
    nets = SideBySide([LeNet(Kind(batch_norm=batch_norm), seed) for seed in range(count)], 0.01, 0.0)
    order = torch.arange(len(x))
    nets.train(x, y, [order[: WARM * BATCH]] * count, BATCH)

    def run() -> float:
        begin = time.perf_counter()
        nets.train(x, y, [order] * count, BATCH)
        return (time.perf_counter() - begin) * SCALE / count

    return run


def plain_pytorch(batch_norm: bool) -> Callable[[], float]:
    """The same net as PyTorch's tutorials write it."""
    x, y = torch.from_numpy(X).float() / 255, torch.from_numpy(Y)

    def norm(layer: type[nn.Module], width: int) -> list[nn.Module]:
        return [layer(width)] if batch_norm else []

    net = nn.Sequential(
        *[nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), *norm(nn.BatchNorm2d, 6), nn.AvgPool2d(2)],
        *[nn.Conv2d(6, 16, 5), nn.Tanh(), *norm(nn.BatchNorm2d, 16), nn.AvgPool2d(2)],
        *[nn.Conv2d(16, 120, 5), nn.Tanh(), *norm(nn.BatchNorm2d, 120), nn.Flatten()],
        *[nn.Linear(120, 84), nn.Tanh(), *norm(nn.BatchNorm1d, 84), nn.Linear(84, 10)],
    )
    optimizer = torch.optim.SGD(net.parameters(), 0.01)

    def steps(count: int) -> None:
        for start in range(0, count * BATCH, BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[start : start + BATCH]), y[start : start + BATCH]).backward()
            optimizer.step()

    def run() -> float:
        begin = time.perf_counter()
        steps(STEPS)
        return (time.perf_counter() - begin) * SCALE

    steps(WARM)
    return run


def keras(batch_norm: bool) -> Callable[[], float] | None:
    """The notebook's `fit`, traced beforehand; None without TensorFlow."""
    try:
        import tensorflow as tf
    except ImportError:
        return None
    layers: list[Any] = [tf.keras.layers.Input((28, 28, 1))]
    for width, more in ((6, {"padding": "same"}), (16, {}), (120, {})):
        layers += [tf.keras.layers.Conv2D(width, 5, activation="tanh", **more)]
        layers += [tf.keras.layers.BatchNormalization()] if batch_norm else []
        layers += [tf.keras.layers.AveragePooling2D(2)] if width < 120 else [tf.keras.layers.Flatten()]
    layers += [tf.keras.layers.Dense(84, activation="tanh")]
    layers += [tf.keras.layers.BatchNormalization()] if batch_norm else []
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(10, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="SGD")
    x = np.moveaxis(X, 1, 3).astype("f4") / 255
    model.fit(x[: WARM * BATCH], Y[: WARM * BATCH], batch_size=BATCH, verbose=0)

    def run() -> float:
        begin = time.perf_counter()
        model.fit(x, Y, batch_size=BATCH, verbose=0)
        return (time.perf_counter() - begin) * SCALE

    return run


def product_rate() -> float:
    """Floating-point operations per second of a large matrix product, with all threads."""
    a, b = torch.rand(1000, 1000), torch.rand(1000, 1000)
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - begin)
    return 2e9 / median(times)


def compare(title: str, ways: dict[str, Callable[[], float] | None]) -> None:
    """Rounds that take turns, the floor's among them, then a line per way."""
    there = {name: way for name, way in ways.items() if way is not None}
    times: dict[str, list[float]] = {name: [] for name in there}
    rates = []
    for _ in range(ROUNDS):
        rates.append(product_rate())
        for name, way in there.items():
            times[name].append(way())
    floor, least = (work / median(rates) for work in (FLOPS, LEAST))
    own = median(times["ours"])
    work = f"{FLOPS / 1e9:.0f} ({LEAST / 1e9:.0f}) GFLOP an epoch"
    print(f"{title}: {work}, {median(rates) / 1e9:.0f} GFLOP/s, floor {floor:.2f} ({least:.2f}) s")
    for name, found in times.items():
        seconds = median(found)
        beyond = f"{seconds / floor:.2f}x ({seconds / least:.2f}x) the floor"
        print(f"    {name:14} {seconds:8.2f} s   {seconds / own:6.2f}x ours   {beyond}")
    for name, way in ways.items():
        if way is None:
            print(f"    {name:14} not installed")


def main() -> None:
    """Without batch norm and with it."""
    device.keep_memory()  # as the training process does; all ways here gain from it
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of {ROUNDS} rounds")
    for title, batch_norm in (("LeNet-5", False), ("LeNet-5 with batch norm", True)):
        ways = {"ours": ours(batch_norm), "plain PyTorch": plain_pytorch(batch_norm), "Keras": keras(batch_norm)}
        compare(title, ways)


if __name__ == "__main__":
    main()
