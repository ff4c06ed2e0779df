"""How quickly do the 143 nets of depth-vs-width train? `python tests/benchmarks/bench_assorted.py`

One epoch of 80,000 samples at batch 1,000, in two set-ups: the lesson's "Done right" (Adam, no batch norm) and
notebook 004's (Nadam, batch norm in nets of two and more layers). Ours trains all nets; beside it the same nets one
after another in plain PyTorch with as many threads. Of each net PyTorch's steady steps are timed and scaled to the
epoch, which spares it its start. Every eighth net is also trained in Keras, as the notebook did, and in JAX (`jit` of a
`scan` over the epoch), where they are installed, both compiled beforehand. Rounds take turns; medians. The floor is the
arithmetic alone, six operations per parameter and sample, at the rate of this machine's matrix product.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from core.lessons.depth_vs_width import FAMILIES
from core.nets import INITS
from core.training.assorted import Assorted, parameters, warm_up

SAMPLES, BATCH = 80_000, 1000
STEPS, WARM = 10, 3  # of each net in PyTorch
ROUNDS = int(os.environ.get("ROUNDS", "3"))
NETS = FAMILIES["all 143"]
SOME = NETS[::8]
Shape = tuple[tuple[int, ...], bool]
CHANCE = np.random.default_rng(0)
X, Y = CHANCE.normal(size=(SAMPLES, 2)).astype("f4"), CHANCE.normal(size=SAMPLES).astype("f4")


def ours(shapes: Sequence[Shape], optimizer: str) -> float:
    """Seconds of one epoch of all these nets."""
    x, y, order = torch.from_numpy(X), torch.from_numpy(Y), torch.randperm(SAMPLES)
    nets = Assorted(2, [hidden for hidden, _ in shapes], batch_norm=[norm for _, norm in shapes], optimizer=optimizer)
    nets.initialise(INITS["he"], 1)
    begin = time.perf_counter()
    nets.epoch(x, y, order, BATCH)
    return time.perf_counter() - begin


def plain_pytorch(shapes: Sequence[Shape], optimizer: str) -> float:
    """Seconds of one epoch of all these nets, one after another, from a few steps of each."""
    x, y, total = torch.from_numpy(X), torch.from_numpy(Y).unsqueeze(1), 0.0
    kind = {"adam": torch.optim.Adam, "nadam": torch.optim.NAdam}[optimizer]
    for hidden, norm in shapes:
        parts: list[nn.Module] = []
        for fan_in, fan_out in pairwise((2, *hidden)):
            parts += [nn.Linear(fan_in, fan_out), nn.ReLU(), *([nn.BatchNorm1d(fan_out)] if norm else [])]
        net = nn.Sequential(*parts, nn.Linear(hidden[-1], 1))
        step = kind(net.parameters(), lr=0.001)
        times = []
        for start in range(0, (STEPS + WARM) * BATCH, BATCH):
            begin = time.perf_counter()
            step.zero_grad()
            loss = nn.functional.mse_loss(net(x[start : start + BATCH]), y[start : start + BATCH])
            loss.backward()
            step.step()
            times.append(time.perf_counter() - begin)
        total += sum(times[WARM:]) * SAMPLES / BATCH / STEPS
    return total


def keras_way(shapes: Sequence[Shape], optimizer: str) -> Callable[[], float] | None:
    """One epoch of `fit` for each net, built and traced beforehand; None without TensorFlow."""
    try:
        import tensorflow as tf
    except ImportError:
        return None
    models = []
    for hidden, norm in shapes:
        layers: list[Any] = [tf.keras.layers.Input((2,))]
        for width in hidden:
            layers += [tf.keras.layers.Dense(width, activation="relu")]
            layers += [tf.keras.layers.BatchNormalization()] if norm else []
        model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(1)])
        model.compile(loss="mse", optimizer={"adam": "adam", "nadam": "nadam"}[optimizer])
        model.fit(X[: 2 * BATCH], Y[: 2 * BATCH], batch_size=BATCH, epochs=1, verbose=0)
        models.append(model)

    def run() -> float:
        begin = time.perf_counter()
        for model in models:
            model.fit(X, Y, batch_size=BATCH, epochs=1, verbose=0)
        return time.perf_counter() - begin

    return run


def jax_way(shapes: Sequence[Shape]) -> Callable[[], float] | None:
    """One epoch as one compiled `scan` per net, with Adam and no batch norm; None without JAX."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None

    def epoch(state: Any, x: Any, y: Any) -> Any:
        def loss(net: Any, batch: Any) -> Any:
            a = batch[0]
            for weight, bias in net[:-1]:
                a = jnp.maximum(a @ weight + bias, 0)
            weight, bias = net[-1]
            return jnp.mean(((a @ weight + bias)[:, 0] - batch[1]) ** 2)

        def step(state: Any, batch: Any) -> Any:
            net, m, v, t = state
            value, g = jax.value_and_grad(loss)(net, batch)
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            root = jnp.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
            net = jax.tree.map(lambda w, m, v: w - 0.001 * root * m / (jnp.sqrt(v) + 1e-8), net, m, v)
            return (net, m, v, t + 1), value

        return jax.lax.scan(step, state, (x.reshape(-1, BATCH, 2), y.reshape(-1, BATCH)))

    compiled = []
    for hidden, _ in shapes:
        sizes = (2, *hidden, 1)
        net = [(jnp.ones((a, b)) / a, jnp.zeros(b)) for a, b in pairwise(sizes)]
        zeros = jax.tree.map(jnp.zeros_like, net)
        state = (net, zeros, zeros, jnp.array(0.0))
        run = jax.jit(epoch)
        jax.block_until_ready(run(state, X, Y))
        compiled.append((run, state))

    def run_all() -> float:
        begin = time.perf_counter()
        for run, state in compiled:
            jax.block_until_ready(run(state, X, Y))
        return time.perf_counter() - begin

    return run_all


def product_rate() -> float:
    """Floating-point operations per second of a matrix product of the nets' size, with all threads."""
    a, b = torch.rand(1000, 256), torch.rand(256, 256)
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - begin)
    return 2 * 1000 * 256 * 256 / median(times)


def compare(title: str, shapes: Sequence[Shape], ways: dict[str, Callable[[], float] | None]) -> None:
    """Rounds that take turns, then a line per way."""
    there = {name: way for name, way in ways.items() if way is not None}
    times: dict[str, list[float]] = {name: [] for name in there}
    for _ in range(ROUNDS):
        for name, way in there.items():
            times[name].append(way())
    flops = 6.0 * SAMPLES * sum(parameters(2, hidden) for hidden, _ in shapes)
    floor = flops / product_rate()
    print(f"{title}: {len(shapes)} nets, {flops / 1e12:.2f} TFLOP, floor {floor:.2f} s")
    own = median(times["ours"])
    for name, found in times.items():
        seconds = median(found)
        print(f"    {name:14} {seconds:8.2f} s   {seconds / own:6.2f}x ours   {seconds / floor:6.2f}x the floor")
    for name, way in ways.items():
        if way is None:
            print(f"    {name:14} not installed")


def main() -> None:
    """Both set-ups, all nets against PyTorch, some against Keras and JAX."""
    warm_up()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, medians of {ROUNDS} rounds")
    for title, optimizer, norm in (("Done right", "adam", False), ("notebook 004", "nadam", True)):
        every = [(hidden, norm and len(hidden) > 1) for hidden in NETS]
        some = [(hidden, norm and len(hidden) > 1) for hidden in SOME]
        compare(
            f"{title}, all nets",
            every,
            {
                "ours": lambda s=every, o=optimizer: ours(s, o),
                "plain PyTorch": lambda s=every, o=optimizer: plain_pytorch(s, o),
            },  # type: ignore[misc]
        )
        compare(
            f"{title}, every eighth net",
            some,
            {
                "ours": lambda s=some, o=optimizer: ours(s, o),  # type: ignore[misc]
                "plain PyTorch": lambda s=some, o=optimizer: plain_pytorch(s, o),  # type: ignore[misc]
                "Keras": keras_way(some, optimizer),
                **({} if norm else {"JAX jit + scan": jax_way(some)}),
            },
        )


if __name__ == "__main__":
    main()
