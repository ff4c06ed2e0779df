"""A class as a sweep: each browser takes one value of a knob, and what all of them find fills one chart.

A link says which knob and which values, `share=width~8~16~32`, and what all have in common. Browsers get the values in
turn; once round, the next ones get them again, with the next seed unless seeds are what is shared. Whatever is stored
with these knobs belongs to the sweep, whoever asked for it. No Streamlit here.
"""

import functools
import itertools
import json
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from core import links
from core.facts import Values, parts_of
from core.frames import Array
from core.knob_text import match
from core.knobs import Knob, KnobError, Knobs, clip, link_text, spell
from core.lesson import AnyLesson
from core.panels import COLOURS, DASHES, Panel, Switch, pack
from core.runs.run import State
from core.runs.store import Listed
from core.traces import Scatter
from core.ui.kept import kept
from core.ui.run_json import empty_figure

SEED = "seed"
BETWEEN = "~"  # in no value of a knob, and a link spells it as it is
MOST_VALUES = 100  # of a knob that is shared out
SEEDS = 30  # on offer where a knob has neither stops nor few values: a class
MOST_SERIES = len(COLOURS)  # in the chart
MOST_BROWSERS = 1000  # that have a value of one knob; the one not seen for longest goes first
MOST_SWEEPS = 1000  # of a lesson, whose runs are at hand
MOST_RUNS = 1000  # in a chart, the first that came
MOST_MOMENTS = 30  # drawn of what came since the last look: each holds all dots up to it
WIDE = 100.0  # times the smallest of positive numbers is the largest: then their axis is logarithmic
FRESH = 0.5  # seconds for which stored runs are not looked for again


@dataclass(frozen=True)
class ClassSweep:
    """One knob of a lesson, shared out.

    Attributes:
        lesson: whose knob it is.
        knobs: what all have in common; the shared knob and the seed stand at the first that are dealt.
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
        read = [getattr(_with(lesson, knobs, knob, value), name) for value in values]
        if knob.kind == "list" and any(len(value) > 1 for value in read):
            raise KnobError(f"share = {name} gives several values to one browser; write {BETWEEN} between them.")
        if len(set(read)) < len(read):
            raise KnobError(f"share = {name} names a value twice; give each once.")
        items = tuple(value[0] if knob.kind == "list" else value for value in read)
        return cls(lesson, _with(lesson, knobs, knob, items[0]), knob, items)

    @classmethod
    def read(cls, lesson: AnyLesson, knobs: Knobs, text: str) -> Self:
        """What a link says, `width~8~16~32`. Raises `KnobError`."""
        name, values = links.shared(text)
        return cls.of(lesson, knobs, match(name, [each.name for each in on_offer(lesson)]) or name, values)

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
            changes[SEED] = (getattr(self.knobs, SEED) + turn) % _seeds(self.lesson)
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

    @functools.cached_property
    def name(self) -> str:
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
    low, high = int(knob.low or 0), int(knob.high or SEEDS)
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


def _seeds(lesson: AnyLesson) -> int:
    """How many seeds a lesson takes; they begin at 0."""
    (most,) = (knob.high for knob in lesson.knobs.declared() if knob.name == SEED)
    return int(most or 0) + 1


def _usual(lesson: AnyLesson) -> Knobs:
    usual: Knobs = next(iter(lesson.presets.values()))
    return usual


def _with(lesson: AnyLesson, knobs: Knobs, knob: Knob, value: Any) -> Knobs:
    """These knobs with one value of the shared one. Raises `KnobError`."""
    alone = knob.kind == "list" and not isinstance(value, str)
    asked: Knobs = lesson.asked({**dict(knobs), knob.name: [value] if alone else value})
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
            numbers.move_to_end(asker)
            if len(numbers) > MOST_BROWSERS:
                numbers.popitem(last=False)
            return numbers[asker]


# --- what they found -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What has come of a sweep.

    Attributes:
        sweep: which one.
        runs: in the order in which they came.
        version: another where one of the runs before has gone; in equal versions runs are only added.
    """

    sweep: ClassSweep
    runs: Sequence[Listed]
    version: int

    @property
    def name(self) -> tuple[str, int, int]:
        """What is kept of it."""
        return self.sweep.name, self.version, len(self.runs)


@dataclass(frozen=True)
class _Arrived:
    """The runs of a lesson in the order in which they came, and which of them belong to which sweep."""

    runs: Mapping[str, Listed]
    version: int
    of: dict[str, Found] = field(default_factory=dict)


class Gatherer:
    """Finds the runs of a sweep, and remembers in which order they came. Safe to use from many threads.

    Args:
        stored: gives the stored runs of a lesson.
    """

    def __init__(self, stored: Callable[[AnyLesson], Sequence[Listed]]) -> None:
        self._stored = stored
        self._guard = threading.Lock()
        # No version comes twice, not even after a restart: a player may have seen those of before.
        self._versions = itertools.count(time.time_ns())
        self._arrived: dict[str, tuple[float, _Arrived]] = {}

    def found(self, sweep: ClassSweep) -> Found:
        """What has come of a sweep by now."""
        slug = sweep.lesson.slug
        with self._guard:
            at, arrived = self._arrived.get(slug, (-FRESH, None))
            now = time.monotonic()
            if arrived is None or now - at > FRESH:
                arrived = self._look(sweep.lesson, arrived)
                self._arrived[slug] = now, arrived
            if sweep.name not in arrived.of:
                if len(arrived.of) >= MOST_SWEEPS:
                    arrived.of.clear()
                own = [run for run in arrived.runs.values() if sweep.place(run.knobs) is not None]
                arrived.of[sweep.name] = Found(sweep, own[:MOST_RUNS], arrived.version)
            return arrived.of[sweep.name]

    def _look(self, lesson: AnyLesson, before: _Arrived | None) -> _Arrived:
        here = {run.key: run for run in self._stored(lesson)}
        had = before.runs if before else {}
        if before and had.keys() == here.keys():
            return before
        new = sorted(here.keys() - had.keys(), key=lambda key: (here[key].created.timestamp(), key))
        whole = before is not None and had.keys() <= here.keys()
        order = [*(key for key in had if key in here), *new]
        return _Arrived({key: here[key] for key in order}, before.version if before and whole else next(self._versions))


def numbers_of(facts: Values) -> list[str]:
    """The names of the numbers of a result, each once: "test_loss[h=8]" and "test_loss[h=32]" are "test_loss"."""
    return list(dict.fromkeys(parts_of(name)[0] for name in facts))


def has(facts: Values, number: str) -> bool:
    """Whether a result has this number, of any series: "never" is none."""
    return any(value is not None for name, value in facts.items() if parts_of(name)[0] == number)


def own_series(lesson: AnyLesson, knobs: Knobs, facts: Values, number: str) -> Mapping[str, float | None]:
    """What a run says of a number by itself: series → value.

    Where it has the number as a whole, that is all; else what it says of its own series, NAME[SERIES] or
    NAME[SERIES, something]; else all it says. What a lesson knows besides, of other nets, is left out.
    """
    said = {}
    for fact, value in facts.items():
        name, series = parts_of(fact)
        if name == number:
            said[series] = value
    if "" in said:
        return {"": said[""]}
    trained = lesson.series(knobs)
    mine = {name: value for name, value in said.items() if name in trained or name.partition(", ")[0] in trained}
    return mine or said


def _by_series(sweep: ClassSweep, run: Listed, number: str) -> Mapping[str, float | None]:
    """The same for the chart: where the series is what is shared out, its name is not said again."""
    mine = own_series(run.lesson, run.knobs, run.facts, number)
    if sweep.knob.kind != "list":
        return mine
    if len(mine) == 1:
        return {"": value for value in mine.values()}  # noqa: B035, of one value
    first = next(iter(run.lesson.series(run.knobs)), "")
    return {name.removeprefix(first).removeprefix(", "): value for name, value in mine.items()}


def gathered(found: Found, number: str, since: int = 0) -> dict[str, Any]:
    """What the player takes for a run that grows by a frame with every run of the class. Pure.

    Args:
        found: what has come of a sweep.
        number: which number of the results is drawn.
        since: how many of these runs the reader has.
    """
    sweep = found.sweep
    each = [(sweep.place(run.knobs), _by_series(sweep, run, number)) for run in found.runs]
    names = list(dict.fromkeys(name for _, mine in each for name in mine))
    series = names[:MOST_SERIES]
    logarithmic = _spans([y for _, mine in each for y in mine.values() if y is not None])
    panel = _panel(sweep, number, series, len(names), "log" if logarithmic else "linear")
    frames = _moments(since, len(each))
    delta = []
    for i, name in enumerate(series):
        points = [(place, mine.get(name)) for place, mine in each]
        for trace, draw in ((2 * i, _line), (2 * i + 1, _dots)):
            drawn = [draw(sweep, points[: k + 1]) for k in frames]
            for at, axis in enumerate("xy"):
                values = [pack(both[at]) for both in drawn]
                delta.append({"trace": trace, "set": axis, "frames": frames, "values": values})
    done = {place for place, _ in each}
    also = {"caption": panel.caption, "figure": empty_figure(panel)} if since == 0 else {}
    return {
        "run": sweep.name,
        "created": json.dumps([found.version, number, names, logarithmic]),
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


@kept()
def gathered_json(found: Found, number: str, since: int) -> str:
    """The same as text. Kept, since a class looks at the same chart, and asks again before there is more."""
    return json.dumps(gathered(found, number, since), allow_nan=False, separators=(",", ":"))


def _moments(since: int, upto: int) -> list[int]:
    """The frames from `since` on that get a picture, the last one among them; the others show the one before."""
    if since >= upto:
        return []
    thinned = np.linspace(upto - 1, since, min(upto - since, MOST_MOMENTS))
    return sorted({round(frame) for frame in thinned.tolist()})


def _spans(values: Sequence[float]) -> bool:
    """Whether these are so far apart that a linear axis would show the largest alone."""
    return bool(values) and min(values) > 0 and max(values) >= WIDE * min(values)


def _panel(sweep: ClassSweep, number: str, series: Sequence[str], of: int, axis: str) -> Panel:
    what, by = number.replace("_", " "), sweep.knob.label
    traces = []
    for i, name in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        label = name or "mean"
        style = {"color": colour, "dash": DASHES[i % len(DASHES)], "width": 2}
        line = Scatter(name=f"{name}, mean" if name else "mean", mode="lines", line=style, meta={"label": label})
        dots = Scatter(name=name or "a run", mode="markers", marker={"color": colour, "size": 9}, opacity=0.75)
        traces += [Switch(trace, {"x": f"x{i}", "y": f"y{i}"}) for trace in (line, dots)]
    drawn = "their mean so far" if sweep.knob.name == SEED else "a line through the means of equal values"
    labels = [spell(value) for value in sweep.values]
    layout = {
        "xaxis": {
            "title": {"text": by}, "type": "category", "categoryorder": "array", "categoryarray": labels,
            "range": [-0.5, len(labels) - 0.5],
        },
        "yaxis": {"title": {"text": what}, "type": axis},
        "showlegend": False,
    }  # fmt: skip
    caption = f"A dot for every run of the class that has the number, and {drawn}."
    if of > len(series):
        caption += f" The first {len(series)} of {of} series."
    return Panel(f"{what[:1].upper()}{what[1:]} by {by}", caption, traces, layout)


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
