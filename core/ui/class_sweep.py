"""A class as a sweep: each browser takes one value of a knob, and what all of them find fills one chart.

A link says which knob and which values, `share=width~8~16~32`. Browsers get them in turn; once round, the next ones get
the same values with another seed. Whatever is stored with these knobs belongs to the sweep, whoever asked for it. No
Streamlit here.
"""

import functools
import itertools
import json
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from core.frames import Array
from core.knobs import Knob, KnobError, Knobs, clip, link_text, spell
from core.lesson import AnyLesson, Facts
from core.panels import COLOURS, DASHES, Panel, Switch, pack
from core.runs.run import State
from core.runs.store import Listed
from core.traces import Scatter
from core.ui.run_json import empty_figure

SEED = "seed"
BETWEEN = "~"  # in no value of a knob, and a link spells it as it is
MOST_VALUES = 100  # of a knob that is shared out
SEEDS = 30  # on offer where a knob has neither stops nor few values: a class
MOST_SERIES = len(COLOURS)  # in the chart
MOST_BROWSERS = 1000  # that get a value of one knob; the one that came longest ago goes first
MOST_GATHERED = 50  # sweeps whose order is kept
MOST_RUNS = 1000  # in a chart, the first that came
MOST_MOMENTS = 30  # drawn of what came since the last look: each holds all dots up to it
FRESH = 0.5  # seconds for which what was gathered is not looked for again


@dataclass(frozen=True)
class ClassSweep:
    """One knob of a lesson, shared out.

    Attributes:
        lesson: whose knob it is.
        knobs: what all have in common; the shared knob and the seed stand at the first ones that are dealt.
        knob: the one that is shared out.
        values: what it takes, in order; a list takes each as its only item.
    """

    lesson: AnyLesson
    knobs: Knobs
    knob: Knob
    values: tuple[Any, ...]

    @classmethod
    def of(cls, lesson: AnyLesson, knobs: Knobs, name: str, values: Sequence[Any]) -> Self:
        """Share a knob out. Raises `KnobError` where it, or one of the values, is not to be had."""
        knob = next((each for each in on_offer(lesson) if each.name == name), None)
        if knob is None:
            names = ", ".join(each.name for each in on_offer(lesson))
            raise KnobError(f"share = {clip(name)} is no knob to be shared out here; choose among {names}.")
        if not 2 <= len(values) <= MOST_VALUES:
            raise KnobError(
                f"share = {name} names {len(values)} values; it takes 2 … {MOST_VALUES}, as in "
                f"{name}{BETWEEN}{BETWEEN.join(map(link_text, offered(lesson, knob)[:3]))}."
            )
        if name != SEED and SEED in lesson.knobs.model_fields:
            knobs = knobs.model_copy(update={SEED: getattr(_usual(lesson), SEED)})
        read = [getattr(_with(lesson, knobs, knob, value), name) for value in values]
        if len(set(read)) < len(read):
            raise KnobError(f"share = {name} names a value twice; give each once.")
        items = tuple(value[0] if knob.kind == "list" else value for value in read)
        return cls(lesson, _with(lesson, knobs, knob, items[0]), knob, items)

    @classmethod
    def read(cls, lesson: AnyLesson, knobs: Knobs, text: str) -> Self:
        """What a link says, `width~8~16~32`. Raises `KnobError`."""
        name, *values = text.split(BETWEEN)
        return cls.of(lesson, knobs, name, values)

    @functools.cached_property
    def text(self) -> str:
        """As a link says it."""
        return BETWEEN.join([self.knob.name, *map(link_text, self.values)])

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The knobs that each browser has for itself."""
        return (self.knob.name, *((SEED,) if self.knob.name != SEED and SEED in self.lesson.knobs.model_fields else ()))

    def dealt(self, number: int) -> Knobs:
        """The knobs of the browser that came as number 0, 1, 2 …"""
        turn, at = divmod(number, len(self.values))
        value = self.values[at]
        changes = {self.knob.name: (value,) if self.knob.kind == "list" else value}
        if SEED in self.names[1:]:
            changes[SEED] = getattr(self.knobs, SEED) + turn
        return self.knobs.model_copy(update=changes)

    def turned(self, knobs: Knobs) -> frozenset[str]:
        """The knobs that are otherwise than all have them in common."""
        return frozenset(self.knobs.changed_from(knobs).keys() - set(self.names))

    def place(self, knobs: Knobs) -> int | None:
        """Which of the values a run with these knobs has; None where it is not of this sweep."""
        if self.turned(knobs):
            return None
        value = getattr(knobs, self.knob.name)
        if self.knob.kind == "list":
            value = value[0] if len(value) == 1 else None
        return self.values.index(value) if value in self.values else None

    @property
    def key(self) -> str:
        """Equal sweeps, equal text."""
        return f"{self.lesson.slug} {self.text} {self.knobs.canonical()}"


def on_offer(lesson: AnyLesson) -> Sequence[Knob]:
    """The knobs of a lesson that can be shared out: all but texts and lists of words that are not on offer."""
    return [knob for knob in lesson.knobs.declared() if len(offered(lesson, knob)) > 1]


def offered(lesson: AnyLesson, knob: Knob) -> Sequence[Any]:
    """The values of a knob that are worth sharing out."""
    if knob.kind == "bool":
        return (False, True)
    if knob.kind != "text" and (knob.choices or knob.stops):
        return knob.choices or knob.stops
    if knob.kind != "int":
        return ()
    low, high = int(knob.ge or 0), int(knob.le or SEEDS)
    first = low if high - low < SEEDS else getattr(_usual(lesson), knob.name)
    return tuple(range(first, min(high + 1, first + SEEDS)))


def usable(lesson: AnyLesson, knobs: Knobs, knob: Knob) -> Sequence[Any]:
    """Those of them that go with the other knobs."""
    found = []
    for value in offered(lesson, knob):
        with suppress(KnobError):
            _with(lesson, knobs, knob, value)
            found.append(value)
    return found


def _usual(lesson: AnyLesson) -> Knobs:
    usual: Knobs = next(iter(lesson.presets.values()))
    return usual


def _with(lesson: AnyLesson, knobs: Knobs, knob: Knob, value: Any) -> Knobs:
    """These knobs with one value of the shared one. Raises `KnobError`."""
    asked: Knobs = lesson.asked({**dict(knobs), knob.name: [value] if knob.kind == "list" else value})
    return asked


class Dealer:
    """Which browser came as which number, knob by knob: asked again, a browser has what it had. Safe to use from many
    threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._numbers: dict[tuple[str, str], OrderedDict[str, int]] = {}
        self._next: dict[tuple[str, str], itertools.count[int]] = defaultdict(itertools.count)

    def number(self, sweep: ClassSweep, asker: str) -> int:
        """The number of a browser."""
        with self._guard:
            key = sweep.lesson.slug, sweep.knob.name
            numbers = self._numbers.setdefault(key, OrderedDict())
            if asker not in numbers:
                numbers[asker] = next(self._next[key])
            if len(numbers) > MOST_BROWSERS:
                numbers.popitem(last=False)
            return numbers[asker]


# --- what they found -------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """The runs of a sweep, in the order in which they came; `version` is another where one of them has gone."""

    runs: Sequence[Listed]
    version: int


class Gatherer:
    """Keeps the order in which the runs of a sweep came. Safe to use from many threads.

    Args:
        stored: gives the stored runs of a lesson.
    """

    def __init__(self, stored: Callable[[AnyLesson], Sequence[Listed]]) -> None:
        self._stored = stored
        self._guard = threading.Lock()
        self._versions = itertools.count()
        self._kept: OrderedDict[str, tuple[float, Found]] = OrderedDict()

    def runs(self, sweep: ClassSweep) -> Found:
        """What has been found by now."""
        with self._guard:
            at, had = self._kept.pop(sweep.key, (-FRESH, None))
            now = time.monotonic()
            if had is None or now - at > FRESH:
                at, had = now, self._look(sweep, had)
            self._kept[sweep.key] = at, had
            if len(self._kept) > MOST_GATHERED:
                self._kept.popitem(last=False)
            return had

    def _look(self, sweep: ClassSweep, had: Found | None) -> Found:
        stored = self._stored(sweep.lesson)
        here = {run.key: run for run in stored if sweep.place(run.knobs) is not None}
        before = [run.key for run in had.runs] if had else []
        new = sorted(here.keys() - set(before), key=lambda key: (here[key].created.timestamp(), key))
        whole = had is not None and all(key in here for key in before)
        order = [*(key for key in before if key in here), *new]
        return Found([here[key] for key in order[:MOST_RUNS]], had.version if whole and had else next(self._versions))


def numbers_of(facts: Facts) -> list[str]:
    """The names of the numbers of a result, each once: "test_loss[h=8]" and "test_loss[h=32]" are "test_loss"."""
    return list(dict.fromkeys(name.partition("[")[0] for name in facts))


def has(facts: Facts, number: str) -> bool:
    """Whether a result has this number, of any series: "never" is none."""
    return any(value is not None for name, value in facts.items() if name.partition("[")[0] == number)


def _by_series(sweep: ClassSweep, facts: Facts, number: str) -> Mapping[str, float | None]:
    """What a run says of a number: series → value; "" where it has no series, or where the series is what is shared."""
    own = {}
    for fact, value in facts.items():
        name, _, series = fact.removesuffix("]").partition("[")
        if name == number:
            own[series] = value
    return {"": own.popitem()[1]} if sweep.knob.kind == "list" and len(own) == 1 else own


def gathered(sweep: ClassSweep, found: Found, number: str, since: int = 0) -> dict[str, Any]:
    """What the player takes for a run that grows by a frame with every run of the class. Pure.

    Args:
        sweep: what is shared out.
        found: what has come of it.
        number: which number of the results is drawn.
        since: how many of these runs the reader has.
    """
    each = [(sweep.place(run.knobs), _by_series(sweep, run.facts, number)) for run in found.runs]
    series = list(dict.fromkeys(name for _, own in each for name in own))[:MOST_SERIES]
    panel = _panel(sweep, number, series)
    frames = _moments(since, len(each))
    delta = []
    for i, name in enumerate(series):
        points = [(place, own.get(name)) for place, own in each]
        for trace, draw in ((2 * i, _line), (2 * i + 1, _dots)):
            drawn = [draw(sweep, points[: k + 1]) for k in frames]
            for at, axis in enumerate("xy"):
                values = [pack(both[at]) for both in drawn]
                delta.append({"trace": trace, "set": axis, "frames": frames, "values": values})
    done = {place for place, _ in each}
    also = {"caption": panel.caption, "figure": empty_figure(panel)} if since == 0 else {}
    return {
        "run": sweep.key,
        "created": json.dumps([found.version, number, series]),
        "state": State.RUNNING.value,  # more may come
        "error": "",
        "progress": len(done) / len(sweep.values),
        "seconds_left": None,
        "place": 0,
        "axis": "run",
        "since": since,
        "frames": len(each),
        "steps": list(range(since + 1, len(each) + 1)),
        "panels": [{"name": panel.name, "bindings": panel.bindings(), **also, "delta": delta}],
        "marks": None,
    }


def _moments(since: int, upto: int) -> list[int]:
    """The frames from `since` on that get a picture, the last one among them; the others show the one before."""
    thinned = np.linspace(upto - 1, since, min(upto - since, MOST_MOMENTS))
    return sorted({round(frame) for frame in thinned.tolist()})


def _panel(sweep: ClassSweep, number: str, series: Sequence[str]) -> Panel:
    what, by = number.replace("_", " "), sweep.knob.label
    traces = []
    for i, name in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        label = name or ("mean" if len(series) == 1 else "these nets")
        style = {"color": colour, "dash": DASHES[i % len(DASHES)], "width": 2}
        line = Scatter(name=f"{name}, mean" if name else "mean", mode="lines", line=style, meta={"label": label})
        dots = Scatter(name=name or "a run", mode="markers", marker={"color": colour, "size": 9}, opacity=0.75)
        traces += [Switch(trace, {"x": f"x{i}", "y": f"y{i}"}) for trace in (line, dots)]
    drawn = "the mean so far" if sweep.knob.name == SEED else "a line through the means of equal values"
    labels = [spell(value) for value in sweep.values]
    layout = {
        "xaxis": {
            "title": {"text": by}, "type": "category", "categoryorder": "array", "categoryarray": labels,
            "range": [-0.5, len(labels) - 0.5],
        },
        "yaxis": {"title": {"text": what}},
        "showlegend": False,
    }  # fmt: skip
    name = f"{what[0].upper()}{what[1:]} by {by}"
    return Panel(name, f"A dot for every run of the class, and {drawn}.", traces, layout)


Points = Sequence[tuple[int | None, float | None]]


def _dots(sweep: ClassSweep, points: Points) -> tuple[Array, Array]:
    """Every run that has the number: its value of the knob, and the number. Two arrays of shape (runs,)."""
    there = [(spell(sweep.values[place]), y) for place, y in points if place is not None and y is not None]
    return np.array([x for x, _ in there], dtype=str), np.array([y for _, y in there], dtype=float)


def _line(sweep: ClassSweep, points: Points) -> tuple[Array, Array]:
    """The means of equal values in their order, or, of seeds, the mean of all. Two arrays of shape (values,)."""
    at: dict[int, list[float]] = defaultdict(list)
    for place, y in points:
        if place is not None and y is not None:
            at[place].append(y)
    means = {place: np.mean(at[place]) for place in sorted(at)}
    if sweep.knob.name == SEED and means:
        means = dict.fromkeys((0, len(sweep.values) - 1), np.mean(list(means.values())))
    labels = [spell(sweep.values[place]) for place in means]
    return np.array(labels, dtype=str), np.array(list(means.values()), dtype=float)
