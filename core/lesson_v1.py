"""The lessons' first contract, until all are written in `core.lesson`'s: one dataclass of functions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from core.claims import Claim
from core.cost import Cost
from core.curves import Axes
from core.facts import Fact, Values, finite, parts_of
from core.frames import Frame, Recording
from core.knobs import Knobs
from core.lesson import Lesson as Contract
from core.lesson import noted_sizes, sizes_of
from core.narrator import Watch
from core.panels import Panel
from core.prose import Prose
from core.result import Result
from core.stats import ROUNDING

__all__ = ["Facts", "Lesson", "finite", "noted_sizes", "parts_of", "sizes_of"]

K = TypeVar("K", bound=Knobs)
Facts = Values


class Lesson(Contract[K]):
    """One experiment, given as functions."""

    def __init__(
        self,
        slug: str,
        prose: Prose,
        revision: int,
        knobs: type[K],
        presets: Mapping[str, K],
        series: Callable[[K], Sequence[str]],
        train: Callable[[K, torch.device], Iterator[Frame]],
        panels: Callable[[K], Sequence[Panel]],
        watches: Callable[[K], Sequence[Watch]],
        facts: Callable[[K, Recording], Facts],
        claims: Callable[[K, Recording], Sequence[Claim]],
        cost: Callable[[K], Cost],
        axis: str,
        watched: str,
        dataset: Callable[[K], str | None],
        shrunk: Callable[[K], K],
        outcome: Callable[[Facts], str | None],
        code: Sequence[Callable[..., Any]],
        for_gpu: Sequence[str] = (),
        settings: Callable[[K], Mapping[str, Any]] = Knobs.model_dump,
        axes: Callable[[K], Mapping[str, Axes]] = lambda knobs: {},
        repeats: str = "seed",
    ) -> None:
        super().__init__(slug, knobs, revision=revision, axis=axis, series=series, for_gpu=for_gpu, repeats=repeats)
        self.given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.__dict__["prose"] = prose
        self.presets = presets
        self._code = list(code)
        new: Any = {"train": train, "panels": panels, "watches": watches, "dataset": dataset, "small": shrunk}
        new |= {"cost_of": cost, "settings": settings, "axes": axes, "facts": facts, "claims": claims, "cost": cost}
        self.__dict__.update(new | {"outcome": outcome, "_watched": watched})

    @property
    def watched(self) -> str:
        """The curve that tells of a network that diverged."""
        return str(self.__dict__["_watched"])

    def names_along(self, curve: str, knobs: K) -> Sequence[str]:
        """Return what stands along the first axis of a curve."""
        declared = self.axes(knobs).get(curve)
        return tuple(next(iter(declared.values()))) if declared else tuple(self.series(knobs))

    def compute_facts(self, result: Result[K]) -> Iterator[Fact]:
        """Yield the facts, with the samples that they plainly sum up."""
        given: Facts = self.__dict__["facts"](result.knobs, result.recording)
        for full_name, value in given.items():
            name, series = parts_of(full_name)
            yield Fact(name, series, value, self._samples(result, name, series, value))

    def _samples(self, result: Result[K], curve: str, series: str, value: float | None) -> Any:
        """The last values of a curve, (repeats,), that have this value as their mean or median."""
        if value is None or curve not in result.recording.curves:
            return None
        last = result.recording.last(curve)  # (series, seeds) where it has repeats
        if last.ndim != 2 or last.shape[1] < 2:
            return None
        if series in result.series:
            last = last[[list(result.series).index(series)]]
        last = last[np.isfinite(last).all(axis=1)]  # a net that diverged has no place in a range
        for middle in (last.mean(axis=1), np.median(last, axis=1)):
            fits = last[np.isclose(middle, value, rtol=ROUNDING, atol=1e-13)]
            if len(fits) == 1:
                return np.asarray(fits[0])
        return None

    @property
    def has_claims(self) -> bool:
        """Whether it states anything."""
        return True

    def check_claims(self, result: Result[K]) -> Iterator[Claim]:
        """Yield the claims."""
        yield from self.__dict__["claims"](result.knobs, result.recording)

    def tell_outcome(self, result: Result[K]) -> str | None:
        """Return the sentence that answers the prediction."""
        told: str | None = self.__dict__["outcome"](result.values)
        return told
