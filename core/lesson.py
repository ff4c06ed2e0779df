"""The contract: what a lesson is.

A lesson turns knobs into a stream of frames and says how to show and to judge them. It knows nothing of pages,
threads, files or queues. `train` is a generator: where a notebook prints, it yields.
"""

import functools
import hashlib
import inspect
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from core import data
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs
from core.narrator import Watch
from core.panels import Panel
from core.prose import Prose

K = TypeVar("K", bound=Knobs)
Facts = Mapping[str, float | None]
Axes = Mapping[str, Sequence[Any]]
"""Name of an axis → what stands along it, in the order of the axes: {"series": ("h=8", "h=32"), "seed": (5, 6, 7)}."""


READING = threading.Lock()


@functools.cache
def _source(each: Callable[..., Any]) -> str:
    """The code of a function or class. Kept: to find it, Python reads its whole file, and every page shows some.

    One at a time: two threads that parse at once break each other in Python 3.11 ("recursion depth mismatch").
    """
    with READING:
        return inspect.getsource(each).rstrip()


def parts_of(fact: str) -> tuple[str, str]:
    """Number and series of a fact's name: "test_loss[h=8]" is of "test_loss" and "h=8"; without a series that is ""."""
    number, _, series = fact.removesuffix("]").partition("[")
    return number, series


def sizes_of(dataset: str, recording: Recording) -> tuple[int, int]:
    """Training and test examples of the set that a run learned from: as it noted them, else as they are published.

    What lies on this machine says nothing about a run that may come from another one.
    """
    noted = recording.picture("sizes")
    return data.SOURCES[dataset].counts if noted is None else (int(noted[0]), int(noted[1]))


def noted_sizes(dataset: str) -> Mapping[str, Array]:
    """What a run notes for `sizes_of`: nothing, unless the set is another here than it is published."""
    here = data.sizes(dataset)
    return {} if here == data.SOURCES[dataset].counts else {"sizes": np.array(here)}


def finite(value: Any) -> float | None:
    """A number as a fact: None, which a manifest can hold and a page shows as unknown, for nan and infinities."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Lesson(Generic[K]):
    """One experiment.

    Attributes:
        slug: its name in links, folders and on the command line.
        prose: its words: title, question, what is asked before the run, theory, the notebook's mistakes.
        revision: raised whenever equal knobs would give other numbers; part of a run's key.
        knobs: the model that declares them.
        presets: name → knobs; "Classroom" first.
        series: names of what is trained side by side.
        train: the experiment. Yields its first frame at once, then about ten a second at most.
        panels: the charts, the headline chart first.
        watches: what the narrator may tell of its curves; empty where nothing happens in time.
        facts: the numbers of the result by name; None is a number that this run does not have ("never").
        claims: the statements, checked.
        cost: the work of a run with these knobs.
        axis: what a frame's step counts: "pass", "epoch".
        watched: the curve whose value stops being a number where a net diverges.
        dataset: name of the data set that these knobs need, or None.
        shrunk: the same knobs, small enough for a test.
        outcome: given the facts of a run, a sentence that answers what was asked before it; None while it cannot.
        code: the functions and classes shown under "The code", in reading order.
        for_gpu: names of presets that take a GPU: on offer, but no part of the gallery, which is built without one.
        settings: what the lesson's stand-alone script is told of a run (`core.scripts`), by name: its knobs, unless
            they name things that a script would have to look up.
        axes: curve → what stands along its axes, of the curves whose axes are not the series, and the repeats.
        repeats: what a curve repeats along its second axis: "seed" where each has a seed of its own, counted from the
            knob's; else the word for it, and all of them come of one seed.
    """

    slug: str
    prose: Prose
    revision: int
    knobs: type[K]
    presets: Mapping[str, K]
    series: Callable[[K], Sequence[str]]
    train: Callable[[K, torch.device], Iterator[Frame]]
    panels: Callable[[K], Sequence[Panel]]
    watches: Callable[[K], Sequence[Watch]]
    facts: Callable[[K, Recording], Facts]
    claims: Callable[[K, Recording], Sequence[Claim]]
    cost: Callable[[K], Cost]
    axis: str
    watched: str
    dataset: Callable[[K], str | None]
    shrunk: Callable[[K], K]
    outcome: Callable[[Facts], str | None]
    code: Sequence[Callable[..., Any]]
    for_gpu: Sequence[str] = ()
    settings: Callable[[K], Mapping[str, Any]] = Knobs.model_dump
    axes: Callable[[K], Mapping[str, Axes]] = lambda knobs: {}
    repeats: str = "seed"

    @property
    def title(self) -> str:
        """Its name in the curriculum, a few words."""
        return self.prose.title

    @property
    def question(self) -> str:
        """The one sentence that it answers."""
        return self.prose.question

    @property
    def origin(self) -> str:
        """Which notebook and which data it re-creates."""
        return self.prose.origin

    def parse(self, values: Mapping[str, Any]) -> K:
        """Knobs of this lesson from untrusted values, or a `KnobError` with one sentence."""
        return self.knobs.parse(values, self.presets)

    def asked(self, values: Mapping[str, Any]) -> K:
        """`parse` of what somebody chose: what a list names comes in one order, so that equal choices are equal runs.

        That is a preset's order where one names just these, else the order in which they are offered.
        """
        knobs = self.parse(values)
        presets = self.presets.values()
        changes = {}
        for each in knobs.declared():
            if each.kind == "list":
                items = getattr(knobs, each.name)
                usual = (getattr(preset, each.name) for preset in presets)
                changes[each.name] = next((had for had in usual if set(had) == set(items)), each.in_order(items))
        return knobs.model_copy(update=changes)

    @property
    def shipped(self) -> Mapping[str, K]:
        """The presets whose runs the gallery has."""
        return {name: knobs for name, knobs in self.presets.items() if name not in self.for_gpu}

    def key(self, knobs: K) -> str:
        """The name of the run that these knobs give: 32 hexadecimal digits."""
        text = f"{self.slug}\n{self.revision}\n{knobs.canonical()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def preset_of(self, knobs: K) -> str | None:
        """The name of the preset with exactly these knobs, if there is one."""
        return next((name for name, preset in self.presets.items() if preset == knobs), None)

    def name_of(self, knobs: K) -> str:
        """What a run with these knobs is called: its preset, or what differs from the first one."""
        usual = next(iter(self.presets.values()))
        return self.preset_of(knobs) or knobs.difference(usual)

    def axes_of(self, knobs: K, curve: str, shape: Sequence[int]) -> Axes:
        """What stands along the axes of a curve with values of this shape: "series" and "seed" among them.

        A curve of one number is of "all"; the seed is that of the knobs where a curve has no axis for it.
        """
        seed: Any = getattr(knobs, "seed", None)
        named = dict(self.axes(knobs).get(curve, {}))
        if not named:
            named = {"series": self.series(knobs) if shape else ("all",)}
            if len(shape) > 1:
                own = self.repeats == "seed" and seed is not None
                named[self.repeats] = range(seed, seed + shape[1]) if own else range(1, shape[1] + 1)
        # A run of another server may have curves that no lesson has: what stands there is counted.
        named |= {f"axis {i}": () for i in range(len(named), len(shape))}
        sizes = [*shape, *[1] * (len(named) - len(shape))]
        found = {
            name: each if len(each) == size else [f"{name} {i}" for i in range(1, size + 1)]
            for (name, each), size in zip(named.items(), sizes, strict=True)
        }
        return found if "seed" in found else {**found, "seed": (seed,)}

    def source(self) -> str:
        """The code of the lesson, as it runs, for the reader."""
        return "\n\n".join(map(_source, self.code))

    def diverged(self, knobs: K, recording: Recording) -> Mapping[str, float]:
        """Series whose net diverged → the step at which its loss was first no number any more."""
        frames, values = recording.curve(self.watched)
        steps = recording.steps()
        found = {}
        for i, name in enumerate(self.series(knobs)):
            if not len(frames) or values.ndim < 2 or i >= values.shape[1]:
                break
            lost = ~np.isfinite(values[:, i].reshape(len(values), -1)).all(axis=1)  # (frames,): of any seed
            if lost.any():
                found[name] = float(steps[frames[int(lost.argmax())]])
        return found


AnyLesson = Lesson[Any]
