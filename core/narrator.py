"""The narrator: where something happens on the curves of a run, each moment with its number.

It judges the line that is drawn, the mean over the seeds, and it is causal: whether something has happened by a frame
depends on the frames up to it alone. So a mark that was set once neither moves nor goes as the run grows, and a replay
tells what was told live. A lesson says what may be told, as a list of watches.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.frames import Array, Recording

MOST = 6  # marks on a curve, the first ones: of many nets at once more would hide the lines
POINTS, WITHIN = 10, 0.01  # level: so many points in a row, none further than this share from the first of them
TURNED, RISE = 3, 0.05  # overfits: so many points in a row, each this share or more above the lowest before

Kind = Literal["diverged", "level", "overfits", "interpolated", "dead", "finished"]


@dataclass(frozen=True)
class Mark:
    """One thing that happened.

    Attributes:
        frame: from which frame on it is known.
        step, value: the point of the line at which it stands: where it began, at or before `frame`.
        curve, series: which line: a column of a curve.
        kind: what it is.
        label: a few words with the number.
        sentence: the same for the reader who does not see the chart.
    """

    frame: int
    step: float
    value: float
    curve: str
    series: int
    kind: Kind
    label: str
    sentence: str


@dataclass(frozen=True)
class Watch(ABC):
    """Something that may happen to each line of a curve, told at the first point at which it has.

    Attributes:
        curve: whose columns are watched.
        names: of its columns; those beyond the last name are not watched.
        what: what the curve measures: "test loss".
        form: how its numbers are spelled: ".1%".
    """

    curve: str
    names: Sequence[str]
    what: str
    form: str = ".3g"

    @abstractmethod
    def began(self, lines: Array, frames: NDArray[np.int64], recording: Recording) -> NDArray[np.int64]:
        """Of `lines` (points, series), nan where there is no number, at each point: where it began; -1: it has not."""

    @abstractmethod
    def say(self, name: str, what: str, number: str, since: str, now: str) -> tuple[Kind, str]:
        """The kind and the sentence. `number` is the value of `what` where it began, at `since`; `now` where known."""

    def marks(self, recording: Recording, axis: str, upto: int | None) -> list[Mark]:
        """At most one for each line, in their order."""
        frames, lines, seeds = _lines(recording, self.curve, upto)
        if not len(frames):
            return []
        what = f"mean {self.what}" if seeds > 1 else self.what
        began, steps, found = self.began(lines, frames, recording), recording.steps(0, upto), []
        for i, name in enumerate(self.names[: lines.shape[1]]):
            k = int((began[:, i] >= 0).argmax())
            since = int(began[k, i])
            if since < 0:
                continue
            step, value = float(steps[frames[since]]), float(lines[since, i])
            number, now = (format(float(each), self.form) for each in (value, lines[k, i]))
            kind, sentence = self.say(name, what, number, f"{axis} {step:g}", now)
            label = f"{name}: {kind} at {number}"
            found.append(Mark(int(frames[k]), step, value, self.curve, i, kind, label, sentence))
        return found


class Diverges(Watch):
    """A line that was a number and is none: nan or infinite, of any of its seeds. It stands at the last one that was.

    That is told at once. A line that was never a number has not diverged: there may be nothing to measure yet.
    """

    def began(self, lines: Array, frames: NDArray[np.int64], recording: Recording) -> NDArray[np.int64]:
        """The last point that was a number."""
        known = np.isfinite(lines)
        return np.where(known, -1, np.maximum.accumulate(np.where(known, _numbered(lines), -1)))

    def say(self, name: str, what: str, number: str, since: str, now: str) -> tuple[Kind, str]:
        """With the last number that there was."""
        return "diverged", f"{name} diverges: {what} was {number} at {since} and is no number any more."


@dataclass(frozen=True)
class Reaches(Watch):
    """A line that gets to a bound, from below or from above, or stands there from the start.

    Attributes:
        bound: where to.
        falling: whether from above.
        kind: what it means.
        does: the same as a clause: "reads every training example".
    """

    _: KW_ONLY
    bound: float
    falling: bool = False
    kind: Kind
    does: str

    def began(self, lines: Array, frames: NDArray[np.int64], recording: Recording) -> NDArray[np.int64]:
        """The point itself."""
        there = lines <= self.bound if self.falling else lines >= self.bound
        return np.where(there, _numbered(lines), -1)

    def say(self, name: str, what: str, number: str, since: str, now: str) -> tuple[Kind, str]:
        """With the number that it has got to."""
        return self.kind, f"{name} {self.does}: {what} is {number}."


class Levels(Watch):
    """A plateau: `POINTS` points in a row within the share `WITHIN` of the first of them. It stands where it began.

    That is relative to the value itself, so that a loss that still falls by powers of ten is not level on its last
    and smallest ones. A line that never moved is level from its start.
    """

    def began(self, lines: Array, frames: NDArray[np.int64], recording: Recording) -> NDArray[np.int64]:
        """The first of the points."""
        found = np.full(lines.shape, -1)
        if len(lines) >= POINTS:
            windows = np.lib.stride_tricks.sliding_window_view(lines, POINTS, axis=0)  # (windows, series, POINTS)
            first = windows[..., :1]
            level = (np.abs(windows - first) <= WITHIN * np.abs(first)).all(axis=2)
            found[POINTS - 1 :] = np.where(level, _numbered(level), -1)
        return found

    def say(self, name: str, what: str, number: str, since: str, now: str) -> tuple[Kind, str]:
        """With the number that it stays at."""
        return "level", f"{name} is level: {what} has stayed within {WITHIN:.0%} of {number} since {since}."


@dataclass(frozen=True)
class Overfits(Watch):
    """Onset of overfitting: the error on unseen examples rises while that on the training examples falls.

    `TURNED` points in a row lie `RISE` or more above the lowest one before them, and at each of them the training error
    is smaller than it was there. It stands at the lowest. A spike that lifts both errors is none.

    Attributes:
        seen: the curve of the training error, a column for each column of the other.
    """

    _: KW_ONLY
    seen: str

    def began(self, lines: Array, frames: NDArray[np.int64], recording: Recording) -> NDArray[np.int64]:
        """The lowest point so far."""
        before = np.fmin.accumulate(np.vstack([np.full_like(lines[:1], np.inf), lines[:-1]]))
        lowest = np.maximum.accumulate(np.where(lines < before, _numbered(lines), -1))
        seen = self._seen_at(frames, recording)
        if seen.shape != lines.shape:
            return np.full(lines.shape, -1)
        low, seen_there = (np.take_along_axis(each, lowest.clip(0), axis=0) for each in (lines, seen))
        turned = (lowest >= 0) & (lines > low) & (lines >= low + RISE * np.abs(low)) & (seen < seen_there)
        in_a_row = turned.copy()
        for i in range(1, TURNED):
            in_a_row[i:] &= turned[:-i]
            in_a_row[:i] = False
        return np.where(in_a_row, lowest, -1)

    def say(self, name: str, what: str, number: str, since: str, now: str) -> tuple[Kind, str]:
        """With the lowest number and the one that it has risen to."""
        return "overfits", f"{name} overfits: {what} was lowest, {number}, at {since} and has risen to {now}."

    def _seen_at(self, frames: NDArray[np.int64], recording: Recording) -> Array:
        """The training error at these frames, or the last one before them: (points, series)."""
        own, seen, _ = _lines(recording, self.seen, int(frames[-1]) + 1)
        if not len(own):
            return np.empty((0, 0))
        at = np.searchsorted(own, frames, side="right") - 1
        return np.where(at[:, None] >= 0, seen[at], np.nan)


def marks(recording: Recording, watches: Sequence[Watch], axis: str, upto: int | None = None) -> list[Mark]:
    """What has happened in the first `upto` frames (all by default), in the order in which it is known.

    Args:
        recording: of the run.
        watches: what may happen; of two at the same frame the earlier is told first.
        axis: what a step counts: "pass".
        upto: how many frames are looked at. What they give stays, whatever comes after them.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges does so here too
        found = [mark for watch in watches for mark in watch.marks(recording, axis, upto)]
    told: Counter[str] = Counter()
    kept = []
    for mark in sorted(found, key=lambda each: each.frame):
        told[mark.curve] += 1
        if told[mark.curve] <= MOST:
            kept.append(mark)
    return kept


def _lines(recording: Recording, curve: str, upto: int | None) -> tuple[NDArray[np.int64], Array, int]:
    """Frame numbers (points,); the lines as drawn (points, series), nan where there is no number; how many seeds."""
    frames, values = recording.curve(curve, 0, upto)
    if not len(frames):
        return frames, np.empty((0, 0)), 0
    repeats = values.reshape(len(frames), values.shape[1] if values.ndim > 1 else 1, -1)  # (points, series, seeds)
    lines = repeats.mean(axis=2)
    return frames, np.where(np.isfinite(lines), lines, np.nan), repeats.shape[2]


def _numbered(lines: Array) -> NDArray[np.int64]:
    """The number of each point, in the shape of `lines`."""
    return np.broadcast_to(np.arange(len(lines))[:, None], lines.shape)
