"""The result of a run so far: what a lesson's facts, claims and outcome read."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.claims import Claim
from core.facts import Fact, Values
from core.frames import Array, Recording
from core.knobs import Knobs
from core.stats import Estimate, paired

if TYPE_CHECKING:
    from core.lesson import Lesson

K = TypeVar("K", bound=Knobs)


class Missing(LookupError):
    """A number that this run does not have. Where a claim asks for it, the claim is not decided."""


class Result(Generic[K]):
    """Facts, curves and tables of a run, by name. What is not there raises `Missing`.

    Attributes:
        knobs: of the run.
        recording: its frames so far.
        series: names of what is trained side by side.
    """

    def __init__(self, lesson: "Lesson[K]", knobs: K, recording: Recording) -> None:
        self.lesson, self.knobs, self.recording = lesson, knobs, recording
        self.series: Sequence[str] = tuple(lesson.series(knobs))

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.recording.progress >= 1.0

    @cached_property
    def facts(self) -> Sequence[Fact]:
        """The named numbers, the lesson's own first, then the last values of its curves."""
        return tuple(self.lesson.compute_facts(self))

    @cached_property
    def values(self) -> Values:
        """The same as full name → value."""
        return {fact.full_name: fact.value for fact in self.facts}

    @cached_property
    def claims(self) -> Sequence[Claim]:
        """The lesson's claims, checked on this run."""
        return tuple(self.lesson.check_claims(self))

    @property
    def outcome(self) -> str | None:
        """A sentence that answers what was asked before the run; None while it cannot."""
        return self.lesson.tell_outcome(self)

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Fact]:
        return {(fact.name, fact.series): fact for fact in self.facts}

    def has(self, name: str, series: str = "") -> bool:
        """Return whether there is a fact of this name, be its value a number or none."""
        return (name, series) in self._by_name

    def fact(self, name: str, series: str = "") -> float:
        """Return the value of a fact; `Missing` where there is none."""
        value = self.fact_or_none(name, series)
        if value is None:
            raise Missing(f"{name}[{series}]" if series else name)
        return value

    def fact_or_none(self, name: str, series: str = "") -> float | None:
        """Return the value of a fact, None for "there is none"; `Missing` where the run has no such fact."""
        if not self.has(name, series):
            raise Missing(f"{name}[{series}]" if series else name)
        return self._by_name[name, series].value

    def samples(self, name: str, series: str = "") -> Array:
        """Return the numbers that a fact sums up, (repeats,); `Missing` where it has none."""
        if not self.has(name, series) or (samples := self._by_name[name, series].samples) is None:
            raise Missing(f"the repeats of {name}[{series}]" if series else f"the repeats of {name}")
        return samples

    def difference(self, name: str, series: str, reference: str, resolution: float = 0.0) -> Estimate:
        """Estimate by how much a fact of one series exceeds that of another, pair by pair (`stats.paired`)."""
        return paired(self.samples(name, series), self.samples(name, reference), resolution)

    def curve(self, name: str) -> tuple[Array, Array]:
        """Return steps (points,) and values (points, ...) of a curve; `Missing` while it has no point."""
        frames, values = self.recording.curve(name)
        if not len(frames):
            raise Missing(name)
        return self.recording.steps()[frames], values

    def line(self, name: str, series: str = "") -> tuple[NDArray[np.float64], Array]:
        """Return steps (points,) and the mean over repeats (points,) of one series of a curve.

        A curve of one number has the series "". `Missing` where it has no point, or not this series.
        """
        steps, values = self.curve(name)
        if values.ndim == 1:
            return steps, values
        names = list(self.lesson.names_along(name, self.knobs))
        if series not in names:
            raise Missing(f"{name}[{series}]")
        return steps, values[:, names.index(series)].reshape(len(values), -1).mean(axis=1)

    def last(self, name: str) -> Array:
        """Return the newest value of a curve, shape of one frame's; `Missing` while there is none."""
        if name not in self.recording.curves:
            raise Missing(name)
        return self.recording.last(name)

    def table(self, name: str) -> Array:
        """Return the newest array of this name; `Missing` while there is none."""
        found = self.recording.picture(name)
        if found is None:
            raise Missing(name)
        return found
