"""How much quicker is training with more workers, and what eats the rest? (notebook 004, problem 2, which it skipped)

A net is trained by 1, 2, … processes at once, each on a core of its own: they share each batch (strong scaling), or
each takes a whole one (weak scaling). The stopwatch runs in every step and in each of its parts. From the parts comes
a model, which says what more workers than this machine has would do, over this network or another. Where the learning
rate is raised with the batch, nets are also trained by one process to see what that does. The words are in `scaling.md`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import psutil
import torch

from core.charts import axis, chart, level
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Axes, Curve, Table
from core.facts import Fact, mean
from core.frames import Array, Frame
from core.knobs import Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges
from core.panels import COLOURS, DASHES, FAINT, Panel, Switch, reference
from core.resources import cores
from core.result import Missing, Result
from core.stats import Estimate, mean_of
from core.traces import Bar, Scatter
from core.training.parallel import PARTS as MEASURED
from core.training.parallel import POOL, Examples, Job, Net, Setting, Worker, by_shards, room, team

REPEATS, FEWEST = 15, 5  # how often each setting takes its turn, and the fewest medians that decide anything
RATE = 0.05  # learning rate for the global batch
WARM_UP = 0.2  # share of the steps over which a raised learning rate is reached (Goyal et al.: 5 of 90 epochs)
PROBES = 9  # repeats of each bare all-reduce and of each shard computed alone
SMALL, LARGE = 1024, 65536  # bytes of the message that shows latency, and at least of the one that shows bandwidth
LISTEN = 0.2  # seconds for which other programs are listened to before the workers start
BUSY = 0.1  # share of the cores that they may take: efficiencies fall by about as much as they take
EQUAL = 1e-5  # relative difference of gradients that are the same up to rounding
ARMS = ("small batches", "large batches, same rate", "large batches, raised rate")
ARM_SEEDS = 5  # nets of each arm: of three, one that learned little left the interval open
GOYAL = "Goyal et al. 2017, arXiv 1706.02677"
STRONG, WEAK = COLOURS[0], COLOURS[1]
SERIES = ("strong", "weak")
PARTS = ("compute", "serial", "latency", "bandwidth", "waiting")
PART_COLOURS = (COLOURS[2], COLOURS[7], COLOURS[3], COLOURS[4], COLOURS[6])
WORKER_BYTES = 3.5e8  # of a process that has torch loaded, its shared pages counted once
START_CALLS = 5e5  # what it costs to start the workers, in tensor operations: two seconds on the machine of the README


class ScalingKnobs(Knobs):
    """Hyper-parameters."""

    workers: int = knob(4, "processes that compute at once; as many as this machine has cores are measured, the others are a model", 1, 32, stops=(1, 2, 4, 8, 16, 32), shown=True)  # fmt: skip
    global_batch: int = knob(1024, "examples in a step: of all workers together (strong), of each worker (weak)", 32, 16384, stops=(32, 128, 256, 512, 1024, 2048, 4096, 16384), shown=True)  # fmt: skip
    serial_fraction: float = knob(0.1, "share of one worker's work that cannot be split: every worker does it all over", 0.0, 0.5, stops=(0.0, 0.05, 0.1, 0.2, 0.5), shown=True)  # fmt: skip
    model_up_to: int = knob(64, "how many workers the model is drawn for", 2, 1024, stops=(8, 16, 64, 256, 1024), shown=True)  # fmt: skip
    width: int = knob(256, "units in each hidden layer: more to compute, and a longer message", 8, 2048, stops=(32, 64, 128, 256, 512, 1024, 2048))  # fmt: skip
    layers: int = knob(3, "hidden layers", 1, 8)
    steps: int = knob(60, "training steps that are measured in each setting", 10, 1000, stops=(10, 30, 60, 120, 300, 1000))  # fmt: skip
    latency: float = knob(0.0, "microseconds that any message takes in the model; 0: as measured here", 0.0, 10_000.0, stops=(0.0, 1.0, 10.0, 50.0, 500.0, 10_000.0))  # fmt: skip
    bandwidth: float = knob(0.0, "gigabytes a second that the model's network carries; 0: as measured here", 0.0, 1000.0, stops=(0.0, 0.1, 1.25, 12.5, 100.0, 1000.0))  # fmt: skip
    rule: Literal["fixed", "linear", "square root"] = knob("fixed", "what the learning rate does when the weak batch grows k-fold: stays, grows by k, by √k", label="learning rate")  # fmt: skip
    seed: int = knob(1, "random seed; equal knobs train equally on one kind of processor, though never in equal time", 0, 2**31 - 1)  # fmt: skip


def tried(knobs: ScalingKnobs) -> list[int]:
    """Numbers of workers that are measured where the machine has the cores."""
    return sorted({n for n in (1, 2, 3, 4, 8, 16, 32) if n <= knobs.workers} | {knobs.workers})


def drawn(knobs: ScalingKnobs) -> list[int]:
    """These, and those of the model: each has at least one example."""
    powers = {2**i for i in range(11) if 2**i <= min(knobs.model_up_to, knobs.global_batch)}
    return sorted({*tried(knobs), *powers})


def settings(knobs: ScalingKnobs) -> list[Setting]:
    """One worker, then several in strong and in weak scaling; for one both are the same."""
    several = tried(knobs)[1:]
    return [Setting("strong", 1), *(Setting("strong", n) for n in several), *(Setting("weak", n) for n in several)]


def name(setting: Setting) -> str:
    """A setting, as a line is called."""
    return "1 worker" if setting.workers == 1 else f"{setting.workers}, {setting.kind}"


def repeated(knobs: ScalingKnobs) -> int:
    """Examples that stand for the work that is not split: a share of `serial_fraction` of one worker's step."""
    return round(knobs.serial_fraction / (1 - knobs.serial_fraction) * knobs.global_batch)


def by_setting(knobs: ScalingKnobs) -> Axes:
    """Return what stands along the axis of the measured settings."""
    return {"series": [name(each) for each in settings(knobs)]}


lesson = Lesson(
    "scaling",
    ScalingKnobs,
    revision=1,
    axis="step",
    axis_title="training step",
    length="steps",
    series=lambda knobs: SERIES,
    curves=[
        Curve("loss", "training loss", "nats", events=[Diverges]),
        Curve("seconds", "seconds per step", axes=by_setting, fact=False),
        Curve("seconds_by_part", "seconds per step, by part", axes=lambda knobs: {**by_setting(knobs), "part": MEASURED}, fact=False),
    ],
    tables=[
        Table("machine", "cores, and the most workers that are measured", ("numbers",)),
        Table("gradient", "relative difference of gradients: in one process, by all-reduce", ("ways", "workers")),
        Table("seconds_efficiency", "efficiency: measured strong and weak, then by the model", ("rows", "workers")),
        Table("seconds_of_others", "share of the cores that other programs took before the workers started", ()),
        Table("learned", "loss on all examples after as many examples were seen", ("arms", "seeds")),
    ],
    presets={
        "Classroom": {},
        "Batches as small as the notebook's": dict(workers=8, serial_fraction=0.0, global_batch=128),
        "Done right": dict(workers=8, steps=300),
        "A slow network": dict(latency=500.0, bandwidth=0.1, model_up_to=256),
        "Large batches, raised rate": dict(rule="linear", serial_fraction=0.0, global_batch=256, steps=240),
    },
    # One worker, which needs no process of its own, a small net and few steps.
    small=dict(workers=1, width=16, layers=1, global_batch=64, steps=10, model_up_to=8),
)  # fmt: skip


@lesson.script_settings
def script_settings(knobs: ScalingKnobs) -> Mapping[str, Any]:
    """For the script, which has no model: the numbers of workers to measure, and what they train."""
    kept = knobs.model_dump(exclude={"workers", "model_up_to", "latency", "bandwidth"})
    return {"workers": tuple(tried(knobs)), **kept}


def task(knobs: ScalingKnobs, most: int, device: str) -> Job:
    """What `most` workers are asked to train."""
    return Job(
        width=knobs.width,
        layers=knobs.layers,
        batch=knobs.global_batch,
        repeated=repeated(knobs),
        settings=tuple(each for each in settings(knobs) if each.workers <= most),
        seed=knobs.seed,
        device=device,
    )


def turns(knobs: ScalingKnobs) -> list[Array]:
    """The steps of each turn."""
    return np.array_split(np.arange(knobs.steps), min(REPEATS, knobs.steps // 2))


def rate(knobs: ScalingKnobs, setting: Setting, step: int) -> float:
    """The learning rate; a raised one is reached gradually."""
    k = setting.workers if setting.kind == "weak" else 1
    factor = {"fixed": 1.0, "linear": float(k), "square root": math.sqrt(k)}[knobs.rule]
    return RATE * (1 + (factor - 1) * min(1.0, (step + 1) / (WARM_UP * knobs.steps)))


@lesson.experiment
def train(knobs: ScalingKnobs, device: torch.device) -> Iterator[Frame]:
    """Check the gradients, time the network and the shards, then let all settings train turn by turn."""
    there = [n for n in tried(knobs) if n <= room(device)]  # numbers of workers that this machine can show
    most, now = max(there), [i for i, each in enumerate(settings(knobs)) if each.workers in there]
    job = task(knobs, most, device.type)
    clock = Clock(knobs, there, job.message)
    yield Frame(0, pictures={"machine": np.array([room(device), most]), **clock.pictures()})
    if knobs.rule != "fixed" and knobs.workers > 1:
        yield Frame(0, pictures={"learned": learn(knobs, device)})

    others = np.array(psutil.cpu_percent(interval=LISTEN) / 100)  # while no worker computes
    yield Frame(0, pictures={"seconds_of_others": others})
    with team(most, job) as workers:
        differences = np.full((2, len(drawn(knobs))), np.nan)  # meanwhile they start
        differences[0] = by_shards(job, drawn(knobs))
        yield Frame(0, pictures={"gradient": differences})

        differences[1, : len(there)] = [workers.ask("gradient_difference", n)[0] for n in there]
        clock.alone = np.array(workers.ask("alone", shards(knobs), PROBES)[0])
        if len(there) > 1:
            clock.listen(workers.ask("network", clock.sizes, PROBES)[0])
        yield Frame(0, pictures={"gradient": differences})

        for turn, steps in enumerate(turns(knobs)):
            loss = {}
            # There and back: a machine that gets slower meanwhile is as slow to all.
            for k in range(len(now))[:: 1 if turn % 2 else -1]:
                setting = job.settings[k]
                rates = [rate(knobs, setting, int(step)) for step in steps]
                answers = [each for each in workers.ask("train", k, int(steps[0]), rates) if each is not None]
                clock.note(now[k], np.mean([seconds for seconds, _ in answers], axis=0))
                loss[setting] = answers[0][1]
            losses = [loss[Setting("strong", most)], loss[Setting("weak" if most > 1 else "strong", most)]]
            seconds, parts = clock.turn()
            yield Frame(
                int(steps[-1]) + 1,
                {"seconds": seconds, "seconds_by_part": parts, "loss": losses},
                clock.pictures(),
                (int(steps[-1]) + 1) / knobs.steps,
            )


def learn(knobs: ScalingKnobs, device: torch.device) -> Array:
    """Return the loss on all examples after as many examples in small and in large batches, (arms, seeds).

    One process does it: the gradient of all workers together is that of the whole batch. A large batch is one of all
    workers in weak scaling.
    """
    k, found = knobs.workers, np.empty((len(ARMS), ARM_SEEDS))
    short = max(1, knobs.steps // k)  # steps of large batches
    raised = [rate(knobs.model_copy(update={"steps": short}), Setting("weak", k), step) for step in range(short)]
    arms = [
        (knobs.global_batch, [RATE] * short * k),
        (k * knobs.global_batch, [RATE] * short),
        (k * knobs.global_batch, raised),
    ]
    for seed in range(ARM_SEEDS):
        job = replace(task(knobs, 1, device.type), seed=knobs.seed + seed)
        examples = Examples(job, device)
        for arm, (size, rates) in enumerate(arms):
            net = Net(job, device)
            for step, lr in enumerate(rates):
                net.gradient.zero_()
                net.backward(*examples.batch(step, size), size)
                net.step(lr)
            net.gradient.zero_()
            net.backward(examples.x, examples.y, POOL)
            found[arm, seed] = net.gradient[-1].item()
    return found


def shards(knobs: ScalingKnobs) -> list[int]:
    """Examples of the largest shard, for each number of workers drawn."""
    return [math.ceil(knobs.global_batch / n) for n in drawn(knobs)]


# ---- the model -----------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """What joins the workers: α seconds a message, β bytes a second."""

    latency: float
    bandwidth: float

    def ring(self, n: int, message: int) -> tuple[float, float]:
        """Seconds of a ring all-reduce among `n`, for latency and for bandwidth: 2 (n − 1) messages of 1/n each."""
        if n == 1:
            return 0.0, 0.0
        return 2 * (n - 1) * self.latency, 2 * (n - 1) / n * message / self.bandwidth


class Clock:
    """All that was timed, and the model that is made of it."""

    def __init__(self, knobs: ScalingKnobs, there: list[int], message: int) -> None:
        self.knobs, self.there, self.numbers, self.message = knobs, there, drawn(knobs), message
        self.alone = np.full(len(self.numbers), np.nan)  # seconds of the gradient of a shard, no other at work
        self.here = Network(math.nan, math.nan)
        self.turns: list[Array] = []  # each (settings, 1 + 3): whole step, compute, serial, communicate
        self.current = self._empty()

    def _empty(self) -> Array:
        return np.full((len(settings(self.knobs)), 4), np.nan)

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of the bare all-reduces."""
        return SMALL, max(self.message, LARGE)

    def listen(self, seconds: list[list[float]]) -> None:
        """Read latency off the small message and bandwidth off the large one: medians over numbers of workers."""
        n, (_, large) = np.array(self.there[1:]), self.sizes
        small, whole = np.array(seconds).T  # each (numbers,)
        latency = float(np.median(small / (2 * (n - 1))))
        left = np.maximum(whole - 2 * (n - 1) * latency, 1e-3 * whole)
        self.here = Network(latency, float(np.median(2 * (n - 1) / n * large / left)))

    def note(self, setting: int, seconds: Array) -> None:
        """The measured steps of one turn (steps, parts): medians, so that one that was disturbed tells nothing."""
        self.current[setting] = [np.median(seconds.sum(axis=1)), *np.median(seconds, axis=0)]

    def turn(self) -> tuple[Array, Array]:
        """Close the turn: seconds of a step in each setting (settings,), and its parts (settings, 3)."""
        done, self.current = self.current, self._empty()
        self.turns.append(done)
        return done[:, 0], done[:, 1:]

    @property
    def network(self) -> Network:
        """What joins the model's workers: as measured, unless a knob says otherwise."""
        return Network(
            self.knobs.latency * 1e-6 or self.here.latency,
            self.knobs.bandwidth * 1e9 or self.here.bandwidth,
        )

    def pictures(self) -> dict[str, Array]:
        """What the panels show of it; nan where there is no number."""
        numbers, knobs = np.array(self.numbers), self.knobs
        share, share_weak = knobs.serial_fraction, knobs.serial_fraction
        efficiency = np.full((4, len(numbers)), np.nan)  # strong, weak: measured, then by the model
        quartiles = np.full((2, len(numbers), 3), np.nan)
        parts, modelled = np.full((2, len(PARTS), len(numbers)), np.nan)
        if self.turns:
            turned = np.array(self.turns)
            typical, at = np.median(turned, axis=0), np.searchsorted(numbers, tried(knobs))
            for row, each in enumerate(efficiencies(knobs, turned[:, :, 0])):  # (turns, tried)
                efficiency[row, at] = np.median(each, axis=0)
                quartiles[row, at, :2] = np.quantile(each, [0.25, 0.75], axis=0).T
            strong, weak = ([self.parts(n, kind) for n in self.numbers] for kind in SERIES)
            modelled = np.array(strong).T  # (parts, numbers)
            for row, steps in enumerate((modelled.sum(axis=0), np.array(weak).sum(axis=1))):
                efficiency[2 + row] = steps[0] / steps / (1 if row else numbers)
            for k, n in enumerate(self.there):
                parts[:, at[k]] = self.split(n, *typical[k, 1:])
            modelled[:, at[: len(self.there)]] = np.nan
            share = typical[0, 2] / typical[0, 0]
            last = len(tried(knobs)) + len(self.there) - 2 if len(self.there) > 1 else 0
            share_weak = typical[last, 2] / typical[last, 0]
        laws = np.array([amdahl(share, numbers), gustafson(share_weak, numbers)])
        speedup = np.concatenate([efficiency * numbers, laws])
        return {
            "seconds_efficiency": efficiency.astype("f4"),
            "seconds_speedup": speedup.astype("f4"),
            "seconds_quartiles": quartiles.reshape(2, -1).astype("f4"),
            "seconds_of_parts": 1e3 * np.cumsum([parts, modelled], axis=1).astype("f4").reshape(2 * len(PARTS), -1),
            "seconds_of_network": np.array(self.here),
        }

    def parts(self, n: int, kind: str) -> list[float]:
        """A step of `n` workers by the model, part by part."""
        compute, serial = np.median([turn[0, 1:3] for turn in self.turns], axis=0)
        share = self.alone[self.numbers.index(n)] / self.alone[0] if kind == "strong" else 1.0
        return [float(compute * share), float(serial), *self.network.ring(n, self.message), 0.0]

    def split(self, n: int, compute: float, serial: float, communicate: float) -> list[float]:
        """A measured step, part by part: what the network alone does not explain is waiting for one another."""
        latency, bandwidth = self.here.ring(n, self.message)
        latency = min(latency, communicate)
        bandwidth = min(bandwidth, communicate - latency)
        return [compute, serial, latency, bandwidth, communicate - latency - bandwidth]


def amdahl(serial: float, n: Array) -> Array:
    """Speed-up of a fixed amount of work, a share of which is serial: at most this."""
    return 1 / (serial + (1 - serial) / n)


def gustafson(serial: float, n: Array) -> Array:
    """Scaled speed-up of work that grows with the workers; the serial share is that of the parallel run."""
    return serial + (1 - serial) * n


def efficiencies(knobs: ScalingKnobs, seconds: Array) -> tuple[Array, Array]:
    """Strong and weak efficiency of each turn, both (turns, tried), of the seconds of a step (turns, settings).

    Each is a ratio within its own turn, so that a machine that is slow for a while is so above and below the line.
    """
    numbers, one = np.array(tried(knobs)), seconds[:, :1]
    several = len(numbers) - 1
    strong = one / seconds[:, : several + 1] / numbers
    weak = one / np.concatenate([one, seconds[:, several + 1 :]], axis=1)
    return strong, weak


def fit(numbers: Array, speedup: Array) -> tuple[float, float]:
    """The serial share whose Amdahl curve is nearest, 1/S = s + (1 − s)/N by least squares, and R² of S.

    Outside 0 … 1 it is no share of anything: what workers lose then is no serial work, but communication or a busy core.
    """
    slope = 1 - 1 / numbers
    serial = float(slope @ (1 / speedup - 1 / numbers) / (slope @ slope))
    rest = speedup - amdahl(serial, numbers)
    return serial, float(1 - rest @ rest / ((speedup - speedup.mean()) ** 2).sum())


lesson.shown(train, learn, Worker, Clock)


@lesson.cost
def cost(knobs: ScalingKnobs) -> Cost:
    """The steps of all settings that this machine can show, one after another, and as many processes as they take."""
    most = max(n for n in tried(knobs) if n <= cores())
    job, taken = task(knobs, most, "cpu"), knobs.steps + len(turns(knobs))
    examples, sent = 0.0, 0.0
    for each in job.settings:
        examples += taken * (knobs.global_batch / (each.workers if each.kind == "strong" else 1) + job.repeated)
        sent += taken * 2.0 * (1 - 1 / each.workers) * job.message
    examples += PROBES * sum(shards(knobs)) + knobs.global_batch * (len(drawn(knobs)) + 1.0)
    if knobs.rule != "fixed" and knobs.workers > 1:  # each arm sees as many examples
        examples += ARM_SEEDS * len(ARMS) * (knobs.steps * knobs.global_batch + POOL)
    calls = (taken * len(job.settings) + sum(drawn(knobs))) * (60.0 + 25.0 * knobs.layers)
    numbers = taken * len(job.settings) * job.parameters * 4.0 + 10.0 * sent  # a network is slower than memory
    nets = 4.0 * (2.0 * job.parameters * len(job.settings) + 3.0 * knobs.layers * knobs.width * knobs.global_batch)
    held = most * (nets + WORKER_BYTES) if most > 1 else nets
    return Cost(6.0 * job.parameters * examples, numbers, calls + (START_CALLS if most > 1 else 0.0), held + 3e8)


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: ScalingKnobs) -> Iterator[Panel]:
    """Speed-up, efficiency, what a step's time goes into, the stopwatch itself, the gradients and the loss."""
    every, numbers = settings(knobs), drawn(knobs)
    last, powers = numbers[-1], [n for n in numbers if n & (n - 1) == 0]
    workers = axis(
        "workers N", log=True, range=(10**-0.08, last * 10**0.08), ticks=powers if len(powers) < 9 else powers[::2]
    )
    laws = [
        Switch(
            Scatter(x=numbers, name=law, mode="lines", line={"color": colour, "dash": "dot", "width": 1.5}),
            {"y": ("seconds_speedup", row)},
        )
        for row, law, colour in ((4, "Amdahl", STRONG), (5, "Gustafson", WEAK))
    ]
    yield chart(
        "Speed-up",
        "How many times as much is done in a second as by one worker. Marks were measured on this machine's cores; lines are the model, and beyond the marks there is nothing but the model. A busy machine shows less.",
        [reference([1, last], [1, last], "ideal: N"), *laws, *lines_and_points(knobs, "seconds_speedup")],
        x=workers,
        y=axis(
            "speed-up",
            log=True,
            range=(10**-0.1, last * 10**0.1),
            ticks=[2**i for i in range(0, 11, 1 if last < 200 else 2)],
        ),
    )
    quartiles = [
        Switch(
            Scatter(
                x=np.repeat(numbers, 3),
                mode="lines",
                line={"color": colour, "width": 5},
                opacity=0.35,
                hoverinfo="skip",
                showlegend=False,
            ),
            {"y": ("seconds_quartiles", row)},
        )
        for row, colour in enumerate((STRONG, WEAK))
    ]
    yield chart(
        "Efficiency",
        "Speed-up for each worker. Strong: the batch is shared. Weak: each has a batch of its own. Bars behind the marks: the middle half of the turns. Dashed: the model.",
        [level(1.0, 1, last, "ideal"), *quartiles, *lines_and_points(knobs, "seconds_efficiency")],
        x=workers,
        y=axis("efficiency", range=(0, 1.1), format=".0%"),
    )
    yield parts_chart(knobs)
    yield lesson.line_chart(
        knobs,
        "seconds",
        "Seconds of a step in each setting, turn by turn: each point is the median of a turn's steps. What goes up and down in all lines alike is the machine's other work.",
        name="The stopwatch",
        colours=[STRONG if each.kind == "strong" else WEAK for each in every],
        dashes=[DASHES[tried(knobs).index(each.workers) % len(DASHES)] for each in every],
        yaxis={"rangemode": "tozero"},
        showlegend=False,
        band=False,
    )
    here = {"color": FAINT, "size": 11, "symbol": "circle-open", "line": {"width": 2}}
    sent = {"color": STRONG, "size": 8, "symbol": "x"}
    yield chart(
        "Is the average of the gradients the gradient of the batch?",
        "Distance between both, relative to the gradient, at the start: nothing but rounding, however many share the batch.",
        [
            level(EQUAL, 1, last, "equal below"),
            Switch(
                Scatter(x=numbers, name="N shards, one process", mode="markers", marker=here), {"y": ("gradient", 0)}
            ),
            Switch(
                Scatter(x=numbers, name="N workers, all-reduce", mode="markers", marker=sent), {"y": ("gradient", 1)}
            ),
        ],
        x=workers,
        y=axis("relative difference", log=True, range=(10**-8.5, 10**-4.5), exponentformat="power"),
    )
    yield lesson.line_chart(
        knobs,
        "loss",
        "Mean loss of a turn's batches, on the most workers that were measured. In weak scaling a step sees more examples: the same steps are more work, and more examples are not as many times the progress.",
        colours=(STRONG, WEAK),
        band=False,
    )
    if knobs.rule != "fixed" and knobs.workers > 1:
        arms = [
            f"{knobs.global_batch}",
            f"{knobs.workers} × {knobs.global_batch}, same rate",
            f"{knobs.workers} × {knobs.global_batch}, raised rate",
        ]
        yield chart(
            "What larger batches learn from as many examples",
            "Loss on all examples, a mark for each seed: large batches are fewer steps, and a raised learning rate makes up for it.",
            [
                Switch(Scatter(x=[arm] * ARM_SEEDS, mode="markers", name=arm, marker={"size": 10, "color": COLOURS[i]}), {"y": ("learned", i)})
                for i, arm in enumerate(arms)
            ],
            x=axis("batch", type="category"),
            y=axis("cross-entropy (nats)", rangemode="tozero"),
            legend=False,
        )  # fmt: skip


def lines_and_points(knobs: ScalingKnobs, table: str) -> list[Switch]:
    """Return rows 2 and 3 of a table as the model's lines, and on top rows 0 and 1 as what was measured."""
    x, traces = drawn(knobs), []
    for row, (kind, colour) in enumerate(zip(SERIES, (STRONG, WEAK), strict=True)):
        style: dict[str, Any] = {"color": colour, "dash": "dash", "width": 1.5}
        line = Scatter(x=x, name=f"{kind}, model", mode="lines", line=style, meta={"label": f"{kind}, model"})
        traces.append(Switch(line, {"y": (table, 2 + row)}))
    for row, (kind, colour) in enumerate(zip(SERIES, (STRONG, WEAK), strict=True)):
        marker = {"color": colour, "size": 12 - 2 * row, "symbol": ("circle", "diamond")[row]}
        traces.append(Switch(Scatter(x=x, name=f"{kind}, measured", mode="markers", marker=marker), {"y": (table, row)}))  # fmt: skip
    return traces


def parts_chart(knobs: ScalingKnobs) -> Panel:
    """Return the parts of a step: each bar reaches down to 0, and the lower ones stand before it."""
    x, traces = [str(n) for n in drawn(knobs)], []
    for row, (part, colour) in reversed(list(enumerate(zip(PARTS, PART_COLOURS, strict=True)))):
        for modelled in (False, True):
            bar = Bar(
                x=x,
                name=f"{part}, model" if modelled else part,
                legendgroup=part,
                showlegend=not modelled,
                marker={"color": colour, "pattern": {"shape": "/" if modelled else "", "size": 6}},
                hovertemplate="%{y:.3g} ms with all below",
            )
            traces.append(Switch(bar, {"y": ("seconds_of_parts", row + modelled * len(PARTS))}))
    return Panel(
        "Where the time of a step goes",
        "Strong scaling, part upon part. Full bars were measured, hatched ones are the model. Only compute shrinks with N; latency grows, bandwidth stays, and the serial part is nobody's to share.",
        traces,
        {
            "barmode": "overlay",
            "legend": {"traceorder": "reversed"},
            "xaxis": axis("workers N", type="category"),
            "yaxis": axis("milliseconds per step", rangemode="tozero"),
        },
    )


# ---- facts ---------------------------------------------------------------------------------------------------------


class Measured:
    """What was timed in a run so far. `Missing` while nothing was.

    Attributes:
        cores, most: of the machine; the largest number of workers that was measured.
        numbers: of workers that were measured, one first, (numbers,).
        strong, weak: efficiency of each turn, (turns, numbers).
        seconds: of a step in each setting, its median over the turns, (settings,).
        serial: seconds of one worker's serial part, likewise.
    """

    def __init__(self, result: Result[ScalingKnobs]) -> None:
        self.cores, self.most = (int(each) for each in result.table("machine"))
        turned = result.curve("seconds")[1]
        numbers = [n for n in tried(result.knobs) if n <= self.most]
        self.numbers = np.array(numbers)
        self.strong, self.weak = (each[:, : len(numbers)] for each in efficiencies(result.knobs, turned))
        self.seconds = np.median(turned, axis=0)
        self.serial = float(np.median(result.curve("seconds_by_part")[1], axis=0)[0, 1])

    @cached_property
    def law(self) -> tuple[float, float]:
        """The serial share of Amdahl's law and its R²; `Missing` where none between 0 and 1 fits best."""
        if self.most == 1:
            raise Missing("second worker")
        serial, quality = fit(self.numbers, np.median(self.strong, axis=0) * self.numbers)
        if not 0 <= serial <= 1:
            raise Missing("serial share between 0 and 1 that fits")
        return serial, quality

    def said(self, kind: str) -> str:
        """Efficiencies as a reader gets them: medians over the turns, the middle half in brackets."""
        low, middle, high = np.quantile(getattr(self, kind)[:, 1:], [0.25, 0.5, 0.75], axis=0)
        each = zip(self.numbers[1:], low, middle, high, strict=True)
        return ", ".join(f"{m:.2f} ({a:.2f} … {b:.2f}) at N = {n}" for n, a, m, b in each)


def measured_or_none(result: Result[ScalingKnobs]) -> Measured | None:
    """Return what was timed so far, or None."""
    try:
        return Measured(result)
    except Missing:
        return None


@lesson.facts
def facts(result: Result[ScalingKnobs]) -> Iterator[Fact]:
    """Yield speed-up and efficiency as medians over the turns, the parts, the model, gradients and what was learned."""
    knobs, measured = result.knobs, measured_or_none(result)
    machine = result.table("machine")
    others = result.recording.picture("seconds_of_others")
    yield Fact("taken_by_others", "", None if others is None else float(others))
    yield Fact("cores", "", float(machine[0]))
    yield Fact("workers_measured", "", float(machine[1]))
    for n in sorted({2, *tried(knobs)[1:]}):
        there = measured is not None and n in measured.numbers
        k = int(np.searchsorted(measured.numbers, n)) if there and measured else 0
        for kind in SERIES:
            turned = getattr(measured, kind)[:, k] if there else np.array([math.nan])
            low, middle, high = np.quantile(turned, [0.25, 0.5, 0.75])
            samples = turned if there else None
            if kind == "strong":
                yield Fact("speedup", f"{n}", middle * n, None if samples is None else samples * n)
            yield Fact(f"efficiency_{kind}", f"{n}", middle, samples)
            yield Fact(f"efficiency_{kind}_spread", f"{n}", high - low)
    try:
        serial, quality = measured.law if measured else (None, None)
    except Missing:
        serial, quality = None, None
    yield Fact("amdahl_serial_fraction", "", serial)
    yield Fact("amdahl_r2", "", quality if measured and len(measured.numbers) >= 4 else None)
    yield Fact("serial_fraction", "", measured.serial / measured.seconds[0] if measured else None)
    yield Fact("seconds_per_step", "1", measured.seconds[0] if measured else None)
    latency, bandwidth = result.table("seconds_of_network")
    yield Fact("latency_microseconds", "", 1e6 * latency)
    yield Fact("bandwidth_gigabytes", "", 1e-9 * bandwidth)
    efficiency, numbers = result.table("seconds_efficiency"), drawn(knobs)
    for n in sorted({2, knobs.model_up_to} & set(numbers)):
        for row, kind in enumerate(SERIES, start=2):
            yield Fact(f"model_efficiency_{kind}", f"{n}", float(efficiency[row, numbers.index(n)]))
    gradient = result.recording.picture("gradient")
    seen = np.array([math.nan]) if gradient is None or np.isnan(gradient).all() else gradient[~np.isnan(gradient)]
    yield Fact("gradient_difference", "", float(seen.max()))
    learned = result.recording.picture("learned")
    for arm, losses in zip(ARMS, learned if learned is not None else (), strict=False):
        yield mean("learned", arm, losses)


# ---- claims --------------------------------------------------------------------------------------------------------

TWO = Needs("two workers, and a machine with two cores", result=lambda result: result.table("machine")[1] > 1)
TURNS = Needs(f"{FEWEST} turns", result=lambda result: len(result.curve("seconds")[0]) >= FEWEST)
AS_MEASURED = Needs.settings("the network as it was measured", latency=0.0, bandwidth=0.0)


def is_quiet(result: Result[ScalingKnobs]) -> bool:
    """Return whether other programs left the cores alone; runs of before that was noted count as quiet."""
    others = result.recording.picture("seconds_of_others")
    return others is None or float(others) <= BUSY


ALONE = Needs(f"a machine of whose cores other programs take {BUSY:.0%} at most", result=is_quiet)
QUIET = "a quieter machine or more steps make the interval narrower"


def between(found: Estimate, low: float, high: float) -> bool | None:
    """Return whether an interval lies between two bounds, False where it lies beyond one, None where it crosses one."""
    if low < found.low and found.high < high:
        return True
    return False if found.high < low or found.low > high else None


@lesson.claim(
    "More workers make a step quicker, and by less than their number",
    expected="a speed-up at the largest N whose 95 % interval over the turns lies between 1 and N",
    source="Amdahl 1967: S ≤ 1/(s + (1 − s)/N); communication makes it less, and a step of little work slower",
    literature=f"{GOYAL}: about 90 % from 8 to 256 GPUs, batch 8,192, ResNet-50",
    needs=[TWO, TURNS, ALONE],
)
def quicker(result: Result[ScalingKnobs]) -> Check:
    """The lesson's own question."""
    measured = Measured(result)
    found = mean_of(measured.strong[:, -1] * measured.most)
    interval = f"95 % interval {found.low:.2f} … {found.high:.2f}, n = {found.n} turns"
    said = f"speed-up {found.mean:.2f} ({interval}) with {measured.most} workers on {measured.cores} cores"
    return Check(said, between(found, 1.0, float(measured.most)), QUIET)


@lesson.claim(
    "The average of the workers' gradients is the gradient of the whole batch",
    expected=f"a relative difference of less than {EQUAL:g}: rounding",
    source="the mean loss of a batch is the mean of its equal shards' mean losses, and so is its gradient",
    literature=f"{GOYAL}: the premise of synchronous SGD",
    needs=[
        Needs("gradients by all-reduce", result=lambda result: bool(np.isfinite(result.table("gradient")[1]).any()))
    ],
    early=True,
)
def equal_gradients(result: Result[ScalingKnobs]) -> Check:
    """Why the workers may share a batch."""
    difference, sent = result.fact("gradient_difference"), int(np.isfinite(result.table("gradient")[1]).sum())
    return Check(
        f"largest relative difference {difference:.1e}; {sent} numbers of workers by all-reduce", difference < EQUAL
    )


@lesson.claim(
    "Efficiency falls less when the work grows with the workers than when they share it",
    expected="weak minus strong efficiency at the largest N, by a 95 % interval over the turns that lies above zero",
    source="Gustafson 1988, against Amdahl 1967: the parts that do not shrink weigh less in a longer step",
    needs=[TWO, TURNS, ALONE],
)
def weak_is_easier(result: Result[ScalingKnobs]) -> Check:
    """Strong against weak scaling, turn by turn."""
    measured = Measured(result)
    found = mean_of(measured.weak[:, -1] - measured.strong[:, -1])
    return Check(
        f"weak {measured.said('weak')}; over strong {found.sentence('.2f')}",
        None if found.direction is None else found.direction == "higher",
        QUIET,
    )


@lesson.claim(
    "One serial share explains the speed-up at every number of workers",
    expected="R² of Amdahl's curve of at least 0.9, its share between 0 and 1, over four numbers of workers or more",
    source="Amdahl 1967; two points always fit some curve",
    needs=[
        TURNS,
        ALONE,
        Needs("4 workers, and a machine with 4 cores", result=lambda result: len(Measured(result).numbers) >= 4),
    ],
)
def amdahl_fits(result: Result[ScalingKnobs]) -> Check:
    """The law with one number."""
    try:
        serial, quality = Measured(result).law
    except Missing as error:
        return Check(f"there is no {error}", False)
    return Check(f"s = {serial:.2f}, R² = {quality:.3f}", quality >= 0.9)


def steady(result: Result[ScalingKnobs]) -> bool:
    """Return whether the middle half of the strong efficiencies spans less than a fifth of the median."""
    low, middle, high = np.quantile(Measured(result).strong[:, -1], [0.25, 0.5, 0.75])
    return bool(high - low < 0.2 * middle)


@lesson.claim(
    "Parts that were timed one by one tell the step of all workers together better than N-fold speed-up does",
    expected="both efficiencies of the model nearer to the measured ones than 1 is, and within 25 % of them",
    source="the model of this lesson: shard alone + serial part + ring all-reduce; a model must beat none",
    needs=[TWO, TURNS, ALONE, AS_MEASURED, Needs("a quiet machine: turns that agree", result=steady)],
)
def model_meets(result: Result[ScalingKnobs]) -> Check:
    """What eats the rest."""
    measured, efficiency = Measured(result), result.table("seconds_efficiency")
    k = drawn(result.knobs).index(measured.most)
    ours, model = efficiency[:2, k], efficiency[2:, k]
    said = f"strong {ours[0]:.2f}, model {model[0]:.2f}; weak {ours[1]:.2f}, model {model[1]:.2f}; N = {measured.most}"
    nearer = np.abs(model - ours) < np.abs(1 - ours)
    return Check(said, bool(nearer.all() and (np.abs(model / ours - 1) <= 0.25).all()))


@lesson.claim(
    "The same examples in larger batches teach less: weak scaling in seconds is not weak scaling in learning",
    expected="in this run, a higher loss after as many examples at the same learning rate",
    source="larger batches are fewer steps",
    literature=f"{GOYAL}: multiply the learning rate by k as well, after a gradual warm-up",
    needs=[TWO, Needs.settings(rule="fixed"), Needs.at_least("steps", 20)],
    shown=lambda knobs: knobs.rule == "fixed",
)
def more_is_not_faster(result: Result[ScalingKnobs]) -> Check:
    """When weak scaling has seen as many examples as strong scaling by now."""
    most, batch = Measured(result).most, result.knobs.global_batch
    steps, losses = result.curve("loss")
    if most == 1 or len(steps) < FEWEST * most:
        raise Missing("losses of as many examples")
    strong, weak = float(losses[-1, 0]), float(losses[int(np.searchsorted(steps, steps[-1] / most)), 1])
    return Check(f"loss {weak:.3f} in batches of {most} × {batch}, {strong:.3f} in batches of {batch}", weak > strong)


@lesson.claim(
    lambda knobs: f"A learning rate raised by {'k' if knobs.rule == 'linear' else '√k'} makes up for a part of what k-fold batches lose",
    expected="a lower loss after as many examples than at the same rate, by a 95 % interval over the seeds that leaves out zero",
    source="as many examples are fewer steps, and a step of k times the rate goes k times as far",
    literature=f"{GOYAL}: multiplied by k, for all of it: error 23.60 % at batch 256, 23.74 % at 8,192 (ResNet-50, 90 epochs)",
    needs=[Needs.at_least("workers", 2)],
    shown=lambda knobs: knobs.rule != "fixed",
    early=True,
)  # fmt: skip
def the_rule_helps(result: Result[ScalingKnobs]) -> Check:
    """The linear scaling rule, by nets that one process trained."""
    small, same, raised = (result.samples("learned", arm) for arm in ARMS)
    found, k = mean_of(same - raised), result.knobs.workers
    share = (same.mean() - raised.mean()) / (same.mean() - small.mean())
    losses = f"loss {small.mean():.3f} in batches of {result.knobs.global_batch}; in batches {k} times as large {same.mean():.3f}, and {raised.mean():.3f} at the raised rate"
    said = f"{losses}: lower by {found.sentence('.3f')}, {share:.0%} of the loss"
    return Check(said, None if found.direction is None else found.direction == "higher", "the seeds disagree")


@lesson.outcome
def with_two_workers(result: Result[ScalingKnobs]) -> str:
    """Answer how many times as quick two workers are."""
    speedup = result.fact_or_none("speedup", "2")
    if speedup is not None:
        return f"With two workers a step was {speedup:.2f} times as quick, measured on this machine."
    if not result.finished:
        raise Missing("end")
    model = result.fact_or_none("model_efficiency_strong", "2")
    if model is None:
        return "Nothing was measured on two workers: this machine, or this run, had one."
    return f"By the model {2 * model:.2f} times; nothing was measured on two workers."
