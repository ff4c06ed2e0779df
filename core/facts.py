"""Facts: the named numbers of a result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.frames import Array

Values = Mapping[str, float | None]
"""Full name of a fact → its value, as manifests, links and `--json` hold it; None is "there is none", as of "never"."""


@dataclass(frozen=True, eq=False)
class Fact:
    """One number of a result.

    Attributes:
        name: what it measures: "test_loss".
        series: whose it is, "h=8"; "" where it is of the run as a whole.
        value: the number; None where there is none, as of "never". What is not finite becomes None.
        samples: the numbers that it sums up, one per repeat, (repeats,); None where it has no repeats.
    """

    name: str
    series: str
    value: float | None
    samples: Array | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", None if self.value is None else finite(self.value))

    @property
    def full_name(self) -> str:
        """The name in manifests, links and `--json`: "test_loss[h=8]"."""
        return f"{self.name}[{self.series}]" if self.series else self.name


def parts_of(full_name: str) -> tuple[str, str]:
    """Return name and series of a fact's full name, as manifests hold it: the inverse of `Fact.full_name`."""
    name, _, series = full_name.removesuffix("]").partition("[")
    return name, series


def finite(value: Any) -> float | None:
    """Return a number as a manifest can hold it: None for nan and infinities."""
    return float(value) if math.isfinite(value) else None


def mean(name: str, series: str, samples: Any) -> Fact:
    """Return the fact that is the mean of `samples` (repeats,)."""
    values = np.asarray(samples, dtype=float)
    return Fact(name, series, float(values.mean()) if values.size else None, values)


def median(name: str, series: str, samples: Any) -> Fact:
    """Return the fact that is the median of `samples` (repeats,); nan is a repeat that never got there."""
    values = np.asarray(samples, dtype=float)
    return Fact(name, series, float(np.median(np.nan_to_num(values, nan=np.inf))) if values.size else None, values)
