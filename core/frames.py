"""Frames and recordings: what a run shows, as plain numbers.

A lesson's `train` yields frames; a `Recording` keeps them. Whoever draws, replays, exports or checks a run reads
its recording and cannot tell whether it is live, from the cache or from another machine.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
TIMED = "seconds"
"""How the names of curves and pictures begin that hold measured time: all else is equal in equal runs on
one kind of processor."""

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


class FrameError(ValueError):
    """A frame that does not fit its recording: a fault of the lesson, never of the reader."""


@dataclass(frozen=True)
class Frame:
    """One moment of a run.

    Attributes:
        step: where on the run's own axis (passes, epochs) this moment lies; never falls from frame to frame.
        curves: name → one number, or an array with one number per series, shape (series,), or per series and
            repeat with its own seed, shape (series, seeds). `nan` or `inf` is a net that diverged: a gap.
        pictures: name → an array that replaces the one before: a histogram, learned functions, an image.
        progress: share of the run's work that is done, 0 … 1; the time left derives from it.
    """

    step: float
    curves: Mapping[str, ArrayLike] = field(default_factory=dict)
    pictures: Mapping[str, ArrayLike] = field(default_factory=dict)
    progress: float = 0.0


class Recording:
    """The frames of one run: append-only, columnar, safe to read while another thread appends.

    A frame need not carry every curve or picture: each has its own column of frame numbers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: list[float] = []
        self._curves: dict[str, list[tuple[int, Array]]] = {}
        self._pictures: dict[str, list[tuple[int, Array]]] = {}
        self.progress = 0.0

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, frame: Frame) -> None:
        """Add one frame. The recording keeps copies: the trainer may go on writing into its own buffers."""
        curves = {name: np.array(value, dtype=np.float64) for name, value in frame.curves.items()}
        pictures = {name: np.array(value) for name, value in frame.pictures.items()}
        with self._lock:
            if self._steps and frame.step < self._steps[-1]:
                raise FrameError(f"step {frame.step} comes after step {self._steps[-1]}")
            for name, value in curves.items():
                before = self._curves.get(name)
                if before and before[0][1].shape != value.shape:
                    raise FrameError(f"curve {name}: shape {value.shape} after {before[0][1].shape}")
            for name, value in pictures.items():
                if value.dtype == object:
                    raise FrameError(f"picture {name} is no plain array")
            k = len(self._steps)
            for columns, values in ((self._curves, curves), (self._pictures, pictures)):
                for name, value in values.items():
                    columns.setdefault(name, []).append((k, value))
            # Last, since readers take the number of steps for the number of whole frames.
            self._steps.append(float(frame.step))
            self.progress = max(self.progress, float(frame.progress))

    @property
    def curves(self) -> tuple[str, ...]:
        """Names of the curves so far."""
        with self._lock:
            return tuple(self._curves)

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of the pictures so far."""
        with self._lock:
            return tuple(self._pictures)

    def steps(self, since: int = 0, upto: int | None = None) -> NDArray[np.float64]:
        """The steps of frames `since` … `upto` (exclusive), shape (frames,)."""
        with self._lock:
            return np.array(self._steps[since:upto], dtype=np.float64)

    def curve(self, name: str, since: int = 0, upto: int | None = None) -> Curve:
        """Frame numbers (points,) and values (points, ...) of a curve; empty while it has no point."""
        points = self._cut(self._curves, name, since, upto)
        frames = np.array([k for k, _ in points], dtype=np.int64)
        values = np.stack([value for _, value in points]) if points else np.empty((0,))
        return frames, values

    def last(self, name: str) -> NDArray[np.float64]:
        """The curve's newest value, shape of one frame's; `KeyError` where there is none."""
        with self._lock:
            return np.asarray(self._curves[name][-1][1])

    def picture(self, name: str, upto: int | None = None) -> Array | None:
        """The newest picture of that name at or before frame `upto` - 1, or None."""
        points = self._cut(self._pictures, name, 0, upto)
        return points[-1][1] if points else None

    def picture_changes(self, name: str, since: int = 0) -> list[tuple[int, Array]]:
        """(frame, picture) for each time it changed from frame `since` on."""
        return self._cut(self._pictures, name, since, None)

    def arrays(self) -> dict[str, Array]:
        """Everything as flat named arrays, ready for an `.npz` file; `from_arrays` is the way back."""
        with self._lock:
            found: dict[str, Array] = {"steps": np.array(self._steps), "progress": np.array(self.progress)}
            for name, points in self._curves.items():
                found[f"curve/{name}/frames"] = np.array([k for k, _ in points], dtype=np.int64)
                found[f"curve/{name}/values"] = np.stack([value for _, value in points])
            for name, points in self._pictures.items():
                found[f"picture/{name}/frames"] = np.array([k for k, _ in points], dtype=np.int64)
                if len({(value.shape, value.dtype) for _, value in points}) == 1:
                    found[f"picture/{name}/stack"] = np.stack([value for _, value in points])
                else:
                    for i, (_, value) in enumerate(points):
                        found[f"picture/{name}/{i}"] = value
            return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Recording":
        """A recording from what `arrays` gave, and from nothing else: `KeyError` or `ValueError`.

        Memory goes to what is there, never to what a shape promises: an array of no numbers may claim any length.
        """
        made, left = cls(), dict(arrays)
        steps, progress = left.pop("steps"), left.pop("progress")
        if steps.ndim != 1 or steps.dtype != np.float64 or not (steps[1:] >= steps[:-1]).all():
            raise ValueError("steps: they fall, or are no numbers")
        if progress.ndim or progress.dtype != np.float64:
            raise ValueError("progress: it is no number")
        made._steps, made.progress = steps.tolist(), float(progress)
        for place in [name for name in arrays if name.endswith("/frames")]:
            column = place.removesuffix("/frames")
            kind, _, title = column.partition("/")
            columns, stacked = {"curve": (made._curves, "values"), "picture": (made._pictures, "stack")}[kind]
            frames = left.pop(place)
            rising = frames.ndim == 1 and frames.dtype == np.int64 and (frames[1:] > frames[:-1]).all()
            if not rising or not len(frames) or not 0 <= frames[0] <= frames[-1] < len(steps):
                raise ValueError(f"{place}: frame numbers that no recording has")
            values: Array | Sequence[Array]
            if kind == "picture" and f"{column}/stack" not in left:
                values = [left.pop(f"{column}/{i}") for i in range(len(frames))]
            else:
                values = left.pop(f"{column}/{stacked}")
                if not values.ndim or len(values) != len(frames) or (kind == "curve" and values.dtype != np.float64):
                    raise ValueError(f"{column}: values that are not one for each frame, or no numbers")
            columns[title] = list(zip(frames.tolist(), values, strict=True))
        if left:
            raise ValueError(f"{min(left)}: an array that belongs to nothing")
        return made

    def _cut(
        self, columns: dict[str, list[tuple[int, Array]]], name: str, since: int, upto: int | None
    ) -> list[tuple[int, Array]]:
        with self._lock:
            end = len(self._steps) if upto is None else upto
            return [(k, value) for k, value in columns.get(name, ()) if since <= k < end]
