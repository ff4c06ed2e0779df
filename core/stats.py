"""The one rule for random variation: what may a few repeats of an experiment say?

Repeats differ in their seed alone: examples, order, initialization. A difference counts where its 95 % interval
(Student's t) leaves out zero; otherwise these data cannot tell, which is not the same as "no difference". Nets that
share a seed are compared pair by pair: what the seed does to both is no part of their difference then.

Source: Student (1908), "The Probable Error of a Mean", Biometrika 6; Welch (1947), "The Generalization of 'Student's'
Problem when Several Different Population Variances Are Involved", Biometrika 34; Clopper & Pearson (1934), "The Use of
Confidence or Fiducial Limits Illustrated in the Case of the Binomial", Biometrika 26.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, stdtr, stdtrit

from core.frames import Array

CONFIDENCE = 0.95

# How far apart, relatively, processors may compute the same number from the same numbers.
# Sums in another order: n numbers in float64 differ by at most n · 1.1e-16 of the sum of their sizes, in practice by
# about the root of n, so 1e-12 for the largest arrays of a recording. A target that a lesson draws anew and rounds to
# float32 has single numbers 6e-8 apart, which average out over thousands of points: 7.7e-11 was measured between plain
# SSE and AVX-512, the most of all facts. Who changes what a fact means changes it by more than the tenth digit.
ROUNDING = 1e-9

CANNOT_TELL = "these data cannot tell"

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Estimate:
    """A mean over repeats and the interval that covers the true mean in 95 % of experiments.

    Attributes:
        mean: nan without a single repeat.
        low, high: the ends of the interval; infinite where one repeat or none says nothing of its own variation.
        n: repeats that it rests on: the fewer ones where two groups are compared.
        p: two-sided p-value of "the true mean is zero"; nan where it cannot be computed.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float

    @property
    def direction(self) -> Direction | None:
        """ "higher" or "lower" where the interval leaves out zero; None: these data cannot tell."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else None

    def exceeds(self, level: float) -> bool | None:
        """Return whether the interval lies above `level`; False where it lies below, None where it does neither."""
        if self.low > level:
            return True
        return False if self.high < level else None

    def falls_below(self, level: float) -> bool | None:
        """Return whether the interval lies below `level`; False where it lies above, None where it does neither."""
        above = self.exceeds(level)
        return None if above is None else not above

    def within(self, low: float, high: float) -> bool | None:
        """Return whether the interval lies within these limits; False where it lies outside, None where it crosses."""
        if low <= self.low and self.high <= high:
            return True
        return False if self.low > high or self.high < low else None

    def text(self, form: str = ".3g", unit: str = "") -> str:
        """The numbers as a reader gets them: "−2.1 points (95 % interval −3.0 … −1.2, n = 5)".

        Args:
            form: format of each number, such as ".1f" or ".1%".
            unit: word behind the mean.
        """
        mean = _signed(self.mean, form) + (f" {unit}" if unit else "")
        if not math.isfinite(self.low):
            return f"{mean} (no interval, n = {self.n})"
        return f"{mean} (95 % interval {_signed(self.low, form)} … {_signed(self.high, form)}, n = {self.n})"

    def sentence(self, form: str = ".3g", unit: str = "") -> str:
        """`text`, with the verdict where these data cannot tell."""
        return self.text(form, unit) + ("" if self.direction else f": {CANNOT_TELL}")


def mean_of(values: ArrayLike, resolution: float = 0.0) -> Estimate:
    """Estimate the mean that `values` (repeats,) come from.

    A repeat that is no finite number, such as a net that diverged, leaves no mean to estimate: all is nan then.

    Args:
        values: one number per repeat.
        resolution: the step in which they are measured: 1 for epochs, 1/n for an accuracy on n examples. Without it,
            three repeats that agree to the last epoch would seem to be free of any variation.
    """
    x = _row(values)
    return _estimate(float(x.mean()) if x.size else math.nan, _squared_error(x, resolution), len(x) - 1, len(x))


def proportion(hits: int, n: int) -> Estimate:
    """Estimate the probability behind `hits` in `n` independent trials: Clopper and Pearson's exact interval.

    Its p-value is none: that a probability is zero is no hypothesis that a single hit leaves standing.

    Raises:
        ValueError: there are fewer trials than hits, or fewer hits than none.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits in {n} trials; it takes 0 … {n}.")
    tail = (1 - CONFIDENCE) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return Estimate(hits / n if n else math.nan, low, high, n, math.nan)


def paired(values: ArrayLike, reference: ArrayLike, resolution: float = 0.0) -> Estimate:
    """Estimate by how much `values` exceed `reference`, both (repeats,), where repeat i of both shares its seed.

    Raises:
        ValueError: there are not as many of the one as of the other.
    """
    x, y = _row(values), _row(reference)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"paired repeats come in two rows of one length, not {x.shape} and {y.shape}.")
    # The last bits of equal results differ between processors: they are no difference.
    return mean_of(np.where(np.isclose(x, y, rtol=ROUNDING, atol=0), 0.0, x - y), math.sqrt(2) * resolution)


def independent(values: ArrayLike, reference: ArrayLike, resolution: float = 0.0) -> Estimate:
    """Estimate by how much `values` (repeats,) exceed `reference` (others,), which share no seeds: Welch's interval.

    With few repeats it errs on the safe side: 3.4 % false alarms at three against three where both vary alike.
    """
    x, y = _row(values), _row(reference)
    errors = np.array([_squared_error(x, resolution), _squared_error(y, resolution)])
    total = float(errors.sum())
    freedom = min(len(x), len(y)) - 1.0
    if freedom > 0 and total > 0:
        freedom = total**2 / float((errors**2 / [len(x) - 1, len(y) - 1]).sum())
    difference = float(x.mean() - y.mean()) if x.size and y.size else math.nan
    return _estimate(difference, total, freedom, min(len(x), len(y)))


def _row(values: ArrayLike) -> Array:
    """Numbers with nan for whatever is none."""
    x = np.asarray(values, float)
    return np.where(np.isfinite(x), x, np.nan)


def _squared_error(x: Array, resolution: float) -> float:
    """Squared standard error of the mean of `x`, no less than rounding alone gives it; nan below two repeats."""
    return max(float(x.var(ddof=1)), resolution**2 / 12) / len(x) if len(x) > 1 else math.nan


def _estimate(mean: float, squared_error: float, freedom: float, n: int) -> Estimate:
    if not math.isfinite(mean):
        return Estimate(math.nan, math.nan, math.nan, n, math.nan)
    if not squared_error >= 0:
        return Estimate(float(mean), -math.inf, math.inf, n, math.nan)
    error = math.sqrt(squared_error)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return Estimate(float(mean), float(mean - half), float(mean + half), n, p)


def _signed(value: float, form: str) -> str:
    return format(value, f"+{form}").replace("-", "−")
