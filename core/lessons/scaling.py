"""How much quicker is training with more workers, and what eats the rest? (notebook 004, problem 2, which it skipped)

A net is trained by 1, 2, … processes at once, each on a core of its own: they share each batch (strong scaling), or
each takes a whole one (weak scaling). The stopwatch runs in every step and in each of its parts. From the parts comes
a model, which says what more workers than this machine has would do, over this network or another.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from core import prose
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs, knob
from core.lesson_v1 import Facts, Lesson, finite
from core.narrator import Diverges, Watch
from core.panels import COLOURS, DASHES, FAINT, Panel, Switch, lines, reference
from core.resources import cores
from core.traces import Bar, Scatter
from core.training.parallel import PARTS as MEASURED
from core.training.parallel import Job, Setting, Worker, by_shards, room, team

REPEATS, FEWEST = 15, 5  # how often each setting takes its turn, and the fewest medians that decide anything
RATE = 0.05  # learning rate for the global batch
WARM_UP = 0.2  # share of the steps over which a raised learning rate is reached (Goyal et al.: 5 of 90 epochs)
PROBES = 9  # repeats of each bare all-reduce and of each shard computed alone
SMALL, LARGE = 1024, 65536  # bytes of the message that shows latency, and at least of the one that shows bandwidth
PLAUSIBLE = 1.05  # efficiency above which something is wrong with the stopwatch
EQUAL = 1e-5  # relative difference of gradients that are the same up to rounding
GOYAL = "Goyal et al. 2017, arXiv 1706.02677"
STRONG, WEAK = COLOURS[0], COLOURS[1]
SERIES = ("strong", "weak")
PARTS = ("compute", "serial", "latency", "bandwidth", "waiting")
PART_COLOURS = (COLOURS[2], COLOURS[7], COLOURS[3], COLOURS[4], COLOURS[6])
WORKER_BYTES = 3.5e8  # of a process that has torch loaded, its shared pages counted once
START_CALLS = 5e5  # what it costs to start the workers, in tensor operations: two seconds on the machine of the README


class ScalingKnobs(Knobs):
    """What may be turned."""

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
    seed: int = knob(1, "where chance begins; equal knobs train equally on one kind of processor, though never in equal time", 0, 2**31 - 1)  # fmt: skip


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


def taken_home(knobs: ScalingKnobs) -> Mapping[str, Any]:
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


def train(knobs: ScalingKnobs, device: torch.device) -> Iterator[Frame]:
    """Check the gradients, time the network and the shards, then let all settings train turn by turn."""
    there = [n for n in tried(knobs) if n <= room(device)]  # numbers of workers that this machine can show
    most, now = max(there), [i for i, each in enumerate(settings(knobs)) if each.workers in there]
    job = task(knobs, most, device.type)
    clock = Clock(knobs, there, job.message)
    yield Frame(0, pictures={"machine": np.array([room(device), most]), **clock.pictures()})

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
    """The serial share whose Amdahl curve is nearest, 1/S = s + (1 − s)/N by least squares, and R² of S."""
    slope = 1 - 1 / numbers
    serial = float(slope @ (1 / speedup - 1 / numbers) / (slope @ slope))
    rest = speedup - amdahl(serial, numbers)
    return serial, float(1 - rest @ rest / ((speedup - speedup.mean()) ** 2).sum())


# ---- what is shown -------------------------------------------------------------------------------------------------


def panels(knobs: ScalingKnobs) -> list[Panel]:
    """Speed-up, efficiency, what a step's time goes into, the stopwatch itself, the gradients and the loss."""
    every = settings(knobs)
    return [
        _speedup_panel(knobs),
        _efficiency_panel(knobs),
        _parts_panel(knobs),
        lines(
            "The stopwatch",
            "Seconds of a step in each setting, turn by turn: each point is the median of a turn's steps. What goes up and down in all lines alike is the machine's other work.",
            "seconds",
            [name(each) for each in every],
            x="training step",
            y="seconds per step",
            colours=[STRONG if each.kind == "strong" else WEAK for each in every],
            dashes=[DASHES[tried(knobs).index(each.workers) % len(DASHES)] for each in every],
            xaxis={"range": [0, knobs.steps]},
            yaxis={"rangemode": "tozero"},
            showlegend=False,
        ),
        _gradient_panel(knobs),
        lines(
            "Training loss",
            "Mean loss of a turn's batches, on the most workers that were measured. In weak scaling a step sees more examples: the same steps are more work, and more examples are not as many times the progress.",
            "loss",
            SERIES,
            x="training step",
            y="cross-entropy (nats)",
            colours=(STRONG, WEAK),
            xaxis={"range": [0, knobs.steps]},
        ),
    ]


def _workers_axis(knobs: ScalingKnobs) -> dict[str, Any]:
    numbers = drawn(knobs)
    powers = [n for n in numbers if n & (n - 1) == 0]
    return {
        "title": {"text": "workers N"},
        "type": "log",
        "tickvals": powers if len(powers) < 9 else powers[::2],
        "range": [-0.08, math.log10(numbers[-1]) + 0.08],
    }


def _lines_and_points(knobs: ScalingKnobs, picture: str) -> list[Switch]:
    """Rows 2 and 3 of the picture as the model's lines, and on top rows 0 and 1 as what was measured."""
    x, traces = drawn(knobs), []
    for row, (kind, colour) in enumerate(zip(SERIES, (STRONG, WEAK), strict=True)):
        style: dict[str, Any] = {"color": colour, "dash": "dash", "width": 1.5}
        line = Scatter(x=x, name=f"{kind}, model", mode="lines", line=style, meta={"label": f"{kind}, model"})
        traces.append(Switch(line, {"y": (picture, 2 + row)}))
    for row, (kind, colour) in enumerate(zip(SERIES, (STRONG, WEAK), strict=True)):
        mark = {"color": colour, "size": 12 - 2 * row, "symbol": ("circle", "diamond")[row]}
        traces.append(Switch(Scatter(x=x, name=f"{kind}, measured", mode="markers", marker=mark), {"y": (picture, row)}))  # fmt: skip
    return traces


def _speedup_panel(knobs: ScalingKnobs) -> Panel:
    x, last = drawn(knobs), drawn(knobs)[-1]
    laws = [
        Switch(Scatter(x=x, name=law, mode="lines", line={"color": colour, "dash": "dot", "width": 1.5}), {"y": ("seconds_speedup", row)})
        for row, law, colour in ((4, "Amdahl", STRONG), (5, "Gustafson", WEAK))
    ]  # fmt: skip
    return Panel(
        "Speed-up",
        "How many times as much is done in a second as by one worker. Marks were measured on this machine's cores; lines are the model, and beyond the marks there is nothing but the model. A busy machine shows less.",
        [reference([1, last], [1, last], "ideal: N"), *laws, *_lines_and_points(knobs, "seconds_speedup")],
        {
            "xaxis": _workers_axis(knobs),
            "yaxis": {"title": {"text": "speed-up"}, "type": "log", "range": [-0.1, math.log10(last) + 0.1], "tickvals": [2**i for i in range(0, 11, 1 if last < 200 else 2)]},
        },
    )  # fmt: skip


def _efficiency_panel(knobs: ScalingKnobs) -> Panel:
    spread = [
        Switch(
            Scatter(x=np.repeat(drawn(knobs), 3), mode="lines", line={"color": colour, "width": 5}, opacity=0.35, hoverinfo="skip", showlegend=False),
            {"y": ("seconds_quartiles", row)},
        )
        for row, colour in enumerate((STRONG, WEAK))
    ]  # fmt: skip
    return Panel(
        "Efficiency",
        "Speed-up for each worker. Strong: the batch is shared. Weak: each has a batch of its own. Bars behind the marks: the middle half of the turns. Dashed: the model.",
        [
            reference([1, drawn(knobs)[-1]], [1, 1], "ideal"),
            *spread,
            *_lines_and_points(knobs, "seconds_efficiency"),
        ],
        {
            "xaxis": _workers_axis(knobs),
            "yaxis": {"title": {"text": "efficiency"}, "range": [0, 1.1], "tickformat": ".0%"},
        },
    )


def _parts_panel(knobs: ScalingKnobs) -> Panel:
    """Each bar reaches down to 0 and the lower ones stand before it: what is seen of it is its own part."""
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
            "xaxis": {"title": {"text": "workers N"}, "type": "category"},
            "yaxis": {"title": {"text": "milliseconds per step"}, "rangemode": "tozero"},
        },
    )


def _gradient_panel(knobs: ScalingKnobs) -> Panel:
    x = drawn(knobs)
    here = {"color": FAINT, "size": 11, "symbol": "circle-open", "line": {"width": 2}}
    sent = {"color": STRONG, "size": 8, "symbol": "x"}
    return Panel(
        "Is the average of the gradients the gradient of the batch?",
        "Distance between both, relative to the gradient, at the start: nothing but rounding, however many share the batch.",
        [
            reference([1, x[-1]], [EQUAL, EQUAL], "equal below"),
            Switch(Scatter(x=x, name="N shards, one process", mode="markers", marker=here), {"y": ("gradient", 0)}),
            Switch(Scatter(x=x, name="N workers, all-reduce", mode="markers", marker=sent), {"y": ("gradient", 1)}),
        ],
        {
            "xaxis": _workers_axis(knobs),
            "yaxis": {
                "title": {"text": "relative difference"},
                "type": "log",
                "range": [-8.5, -4.5],
                "dtick": 1,
                "exponentformat": "power",
            },
        },
    )


# ---- what is stated ------------------------------------------------------------------------------------------------


def watches(knobs: ScalingKnobs) -> list[Watch]:
    """What the narrator may tell."""
    return [Diverges("loss", SERIES, "training loss")]


class Measured(NamedTuple):
    """What a recording says, as far as it goes.

    Attributes:
        cores, most: of the machine; the largest number of workers that was measured.
        numbers: of workers that were measured, one first, (numbers,).
        strong, weak: efficiency of each turn, (turns, numbers).
        seconds: of a step in each setting, its median over the turns, (settings,).
        parts: the same by part, (settings, 3).
    """

    cores: int
    most: int
    numbers: Array
    strong: Array
    weak: Array
    seconds: Array
    parts: Array

    @classmethod
    def of(cls, knobs: ScalingKnobs, recording: Recording) -> "Measured | None":
        """None while nothing was timed."""
        machine, (turned, seconds) = recording.picture("machine"), recording.curve("seconds")
        if machine is None or not len(turned):
            return None
        numbers = [n for n in tried(knobs) if n <= machine[1]]
        strong, weak = (each[:, : len(numbers)] for each in efficiencies(knobs, seconds))
        parts = recording.curve("seconds_by_part")[1]
        return cls(int(machine[0]), int(machine[1]), np.array(numbers), strong, weak, np.median(seconds, axis=0), np.median(parts, axis=0))  # fmt: skip

    @property
    def decides(self) -> bool:
        """Whether there are enough turns, and more than one worker."""
        return len(self.strong) >= FEWEST and self.most > 1

    @property
    def where(self) -> str:
        """On what this was measured."""
        return f"{self.most} worker{'s' * (self.most > 1)} on {self.cores} core{'s' * (self.cores > 1)}"


def facts(knobs: ScalingKnobs, recording: Recording) -> Facts:
    """Speed-up and efficiency as medians over the turns, with their spread; the parts; the model; gradients and loss."""
    found: dict[str, float | None] = {}
    machine, measured = recording.picture("machine"), Measured.of(knobs, recording)
    found["cores"], found["workers_measured"] = (None, None) if machine is None else machine.astype(float).tolist()
    for n in sorted({2, *tried(knobs)[1:]}):
        k = int(np.searchsorted(measured.numbers, n)) if measured is not None and n in measured.numbers else None
        for kind in SERIES:
            turned = None if measured is None or k is None else getattr(measured, kind)[:, k]
            low, middle, high = (None,) * 3 if turned is None else np.quantile(turned, [0.25, 0.5, 0.75]).tolist()
            if kind == "strong":
                found[f"speedup[{n}]"] = None if middle is None else middle * n
            found[f"efficiency_{kind}[{n}]"] = middle
            found[f"efficiency_{kind}_spread[{n}]"] = None if high is None or low is None else high - low
    serial, quality = None, None
    if measured is not None and measured.most > 1:
        serial, quality = fit(measured.numbers, np.median(measured.strong, axis=0) * measured.numbers)
    found["amdahl_serial_fraction"] = serial
    found["amdahl_r2"] = quality if measured is not None and len(measured.numbers) >= 4 else None
    found["serial_fraction"] = None if measured is None else finite(measured.parts[0, 1] / measured.seconds[0])
    found["seconds_per_step[1]"] = None if measured is None else finite(measured.seconds[0])
    network = recording.picture("seconds_of_network")
    latency, bandwidth = (math.nan, math.nan) if network is None else network
    found["latency_microseconds"], found["bandwidth_gigabytes"] = finite(1e6 * latency), finite(1e-9 * bandwidth)
    efficiency, numbers = recording.picture("seconds_efficiency"), drawn(knobs)
    for n in sorted({2, knobs.model_up_to} & set(numbers)):
        for row, kind in enumerate(SERIES, start=2):
            value = math.nan if efficiency is None else efficiency[row, numbers.index(n)]
            found[f"model_efficiency_{kind}[{n}]"] = finite(value)
    gradient = recording.picture("gradient")
    seen = np.array([]) if gradient is None else gradient[~np.isnan(gradient)]
    found["gradient_difference"] = finite(seen.max()) if len(seen) else None
    for i, kind in enumerate(SERIES):
        found[f"loss[{kind}]"] = finite(recording.last("loss")[i]) if "loss" in recording.curves else None
    return found


def claims(knobs: ScalingKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found, measured = facts(knobs, recording), Measured.of(knobs, recording)
    return [
        _equal_gradients(recording, found),
        _no_wonders(measured),
        _weak_is_easier(measured),
        _amdahl_fits(found, measured),
        _model_meets(knobs, recording, measured),
        _more_is_not_faster(knobs, recording, measured),
    ]


HINT = "it takes two workers, and a machine with two cores"


def _equal_gradients(recording: Recording, found: Facts) -> Claim:
    difference, gradient = found["gradient_difference"], recording.picture("gradient")
    sent = 0 if gradient is None else int((~np.isnan(gradient[1])).sum())
    return Claim(
        "The average of the workers' gradients is the gradient of the whole batch",
        f"largest relative difference {difference:.1e}; {sent} numbers of workers by all-reduce" if difference is not None else "",
        f"less than {EQUAL:g}: rounding",
        difference < EQUAL if difference is not None and sent else None,
        "the mean loss of a batch is the mean of its equal shards' mean losses, and so is its gradient",
        literature=f"{GOYAL}: the premise of synchronous SGD",
        hint="it is measured right after the start",
    )  # fmt: skip


def _spelled(measured: Measured, kind: str) -> str:
    low, middle, high = np.quantile(getattr(measured, kind)[:, 1:], [0.25, 0.5, 0.75], axis=0)
    each = zip(measured.numbers[1:], low, middle, high, strict=True)
    return ", ".join(f"{m:.2f} ({a:.2f} … {b:.2f}) at N = {n}" for n, a, m, b in each)


def _no_wonders(measured: Measured | None) -> Claim:
    several = measured is not None and measured.most > 1
    highest = float(np.median(measured.strong[:, 1:], axis=0).max()) if measured and several else math.nan
    return Claim(
        "No worker does more than its share: strong efficiency stays below one",
        f"{_spelled(measured, 'strong')}; {measured.where}" if measured and several else "",
        f"at most {PLAUSIBLE}; median over the turns, middle half in brackets",
        highest <= PLAUSIBLE if measured and measured.decides else None,
        "S ≤ N; more would be a stopwatch gone wrong, or a shard that fits a cache",
        literature=f"{GOYAL}: about 90 % from 8 to 256 GPUs, batch 8,192, ResNet-50",
        hint=HINT,
    )


def _weak_is_easier(measured: Measured | None) -> Claim:
    several = measured is not None and measured.most > 1
    gain = measured.weak[:, -1] - measured.strong[:, -1] if measured and several else np.array([math.nan])
    low, middle, high = np.quantile(gain, [0.25, 0.5, 0.75])
    said = f"{_spelled(measured, 'weak')}; {middle:+.2f} over strong ({low:+.2f} … {high:+.2f})" if measured and several else ""  # fmt: skip
    return Claim(
        "Efficiency falls less when the work grows with the workers than when they share it",
        said,
        "weak at least strong at the largest N; three quarters of the turns must agree",
        bool(middle >= 0) if measured and measured.decides and (low >= 0 or high < 0) else None,
        "Gustafson 1988, against Amdahl 1967: the parts that do not shrink weigh less in a longer step",
        hint=HINT + "; if the turns do not agree, a quieter one, or more steps",
    )


def _amdahl_fits(found: Facts, measured: Measured | None) -> Claim:
    serial, quality = found["amdahl_serial_fraction"], found["amdahl_r2"]
    return Claim(
        "One serial share explains the speed-up at every number of workers",
        f"s = {serial:.2f}, R² = {quality:.3f}" if serial is not None and quality is not None else "",
        "R² of Amdahl's curve at least 0.9, over four numbers of workers or more",
        quality >= 0.9 if quality is not None and measured and measured.decides else None,
        "Amdahl 1967; two points always fit some curve",
        hint="it takes 4 workers, and a machine with 4 cores",
    )


def _model_meets(knobs: ScalingKnobs, recording: Recording, measured: Measured | None) -> Claim:
    efficiency = recording.picture("seconds_efficiency")
    apart, steady, said = math.nan, False, ""
    if measured and measured.most > 1 and efficiency is not None and not (knobs.latency or knobs.bandwidth):
        k = drawn(knobs).index(measured.most)
        ours, model = efficiency[:2, k], efficiency[2:, k]
        apart = float(np.abs(model / ours - 1).max())
        low, high = np.quantile(measured.strong[:, -1], [0.25, 0.75])
        steady = bool(high - low < 0.2 * ours[0])
        said = (
            f"strong {ours[0]:.2f}, model {model[0]:.2f}; weak {ours[1]:.2f}, model {model[1]:.2f}; N = {measured.most}"
        )
    return Claim(
        "Parts that were timed one by one add up to the step of all workers together",
        said,
        "both efficiencies within 25 % of the model's",
        apart < 0.25 if measured and measured.decides and steady else None,
        "the model of this lesson: shard alone + serial part + ring all-reduce",
        hint=HINT + " that is quiet, and the network as it was measured (latency 0, bandwidth 0)",
    )


def _more_is_not_faster(knobs: ScalingKnobs, recording: Recording, measured: Measured | None) -> Claim:
    frames, losses = recording.curve("loss")
    steps, most = recording.steps()[frames], measured.most if measured else 1
    strong = weak = math.nan
    if most > 1 and len(steps) >= FEWEST * most:
        # When weak scaling has seen as many examples as strong scaling by now.
        strong, weak = float(losses[-1, 0]), float(losses[int(np.searchsorted(steps, steps[-1] / most)), 1])
    known = math.isfinite(strong) and math.isfinite(weak)
    return Claim(
        "The same examples in larger batches teach less: weak scaling in seconds is not weak scaling in learning",
        f"loss {weak:.3f} in batches of {most} × {knobs.global_batch}, {strong:.3f} in batches of {knobs.global_batch}" if known else "",
        "a higher loss after as many examples, at the same learning rate",
        weak > strong if known and knobs.rule == "fixed" and recording.progress >= 1 else None,
        "this run: larger batches are fewer steps",
        literature=f"{GOYAL}: multiply the learning rate by k as well, after a gradual warm-up",
        hint=HINT + ", twenty steps or more, and the learning rate fixed",
    )  # fmt: skip


def cost(knobs: ScalingKnobs) -> Cost:
    """The steps of all settings that this machine can show, one after another, and as many processes as they take."""
    most = max(n for n in tried(knobs) if n <= cores())
    job, taken = task(knobs, most, "cpu"), knobs.steps + len(turns(knobs))
    examples, sent = 0.0, 0.0
    for each in job.settings:
        examples += taken * (knobs.global_batch / (each.workers if each.kind == "strong" else 1) + job.repeated)
        sent += taken * 2.0 * (1 - 1 / each.workers) * job.message
    examples += PROBES * sum(shards(knobs)) + knobs.global_batch * (len(drawn(knobs)) + 1.0)
    calls = (taken * len(job.settings) + sum(drawn(knobs))) * (60.0 + 25.0 * knobs.layers)
    numbers = taken * len(job.settings) * job.parameters * 4.0 + 10.0 * sent  # a network is slower than memory
    nets = 4.0 * (2.0 * job.parameters * len(job.settings) + 3.0 * knobs.layers * knobs.width * knobs.global_batch)
    held = most * (nets + WORKER_BYTES) if most > 1 else nets
    return Cost(6.0 * job.parameters * examples, numbers, calls + (START_CALLS if most > 1 else 0.0), held + 3e8)


def shrunk(knobs: ScalingKnobs) -> ScalingKnobs:
    """One worker, which needs no process of its own, a small net and few steps; the model has a network to go by."""
    return knobs.model_copy(
        update={"workers": 1, "width": 16, "layers": 1, "global_batch": 64, "steps": 10, "model_up_to": 8, "latency": 50.0, "bandwidth": 1.0}
    )  # fmt: skip


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    speedup, model = found.get("speedup[2]"), found.get("model_efficiency_strong[2]")
    if speedup is not None:
        return f"With two workers a step was {speedup:.2f} times as quick, measured on this machine."
    return None if model is None else f"By the model {2 * model:.2f} times; nothing was measured on two workers."


PRESETS: Mapping[str, ScalingKnobs] = {
    "Classroom": ScalingKnobs(),
    "As the notebook ran it": ScalingKnobs(workers=8, serial_fraction=0.0, global_batch=128),
    "Done right": ScalingKnobs(workers=8, steps=300),
    "A slow network": ScalingKnobs(latency=500.0, bandwidth=0.1, model_up_to=256),
    "Large batches, raised rate": ScalingKnobs(rule="linear", serial_fraction=0.0, steps=120),
}

LESSON = Lesson(
    slug="scaling",
    prose=prose.of("scaling"),
    revision=1,
    knobs=ScalingKnobs,
    presets=PRESETS,
    series=lambda knobs: SERIES,
    axes=lambda knobs: {
        "seconds": {"series": [name(each) for each in settings(knobs)]},
        "seconds_by_part": {"series": [name(each) for each in settings(knobs)], "part": MEASURED},
    },
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="step",
    watched="loss",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, Worker, Clock),
    settings=taken_home,
)
