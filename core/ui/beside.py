"""Numbers of several runs side by side: which knobs differ, how far the facts lie apart, what the seeds say to that.

No Streamlit here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.frames import Array
from core.knobs import spell
from core.runs.run import Run

APART, OVERLAP = "apart", "overlap: no real difference"
NOT_HERE = "–"  # a fact that this run does not have at all, as of a net that it did not train


@dataclass(frozen=True)
class Cell:
    """What one run says of a fact.

    Attributes:
        value: "none" is a number that this run does not have ("never").
        difference: to the first run, with its sign; "" where there is none to tell.
        spread: the lowest and the highest over its seeds.
        verdict: whether the seeds of this run and of the first one lie apart.
    """

    value: str
    difference: str = ""
    spread: str = ""
    verdict: str = ""


Row = tuple[str, Sequence[str]]


def knobs_beside(runs: Sequence[Run]) -> tuple[list[Row], list[Row]]:
    """The knobs that differ, and those that are equal: label and one value a run."""
    differ: list[Row] = []
    equal: list[Row] = []
    for knob in runs[0].knobs.declared():
        values = [getattr(run.knobs, knob.name) for run in runs]
        rows = equal if all(value == values[0] for value in values) else differ
        rows.append((knob.label, [spell(value) for value in values]))
    return differ, equal


def facts_beside(runs: Sequence[Run]) -> list[tuple[str, list[Cell]]]:
    """Every fact that one of the runs has, a cell for each run; the first run is what the others are measured by."""
    facts = [run.facts for run in runs]
    names = dict.fromkeys(name for each in facts for name in each)
    table = []
    for name in names:
        values = [each.get(name) for each in facts]
        behind = [seeds(run, name) for run in runs]
        cells = []
        for i, value in enumerate(values):
            there = "none" if name in facts[i] else NOT_HERE
            beside = i > 0 and value is not None and values[0] is not None
            cells.append(
                Cell(
                    value=there if value is None else short(value),
                    difference=_difference(value, values[0]) if beside else "",
                    spread=_spread(behind[i]),
                    verdict=verdict(behind[0], behind[i]) if i > 0 else "",
                )
            )
        table.append((name, cells))
    return table


def seeds(run: Run, fact: str) -> Array | None:
    """The numbers that a fact sums up, one per seed; None where it does not come from several seeds, or not plainly.

    A fact NAME[…] belongs to the curve NAME, and there to the one series whose last values have it as their mean or as
    their median. So nothing is read into a fact that was made in another way.
    """
    value = run.facts.get(fact)
    curve = fact.partition("[")[0]
    if value is None or curve not in run.recording.curves:
        return None
    last = run.recording.last(curve)  # (series, seeds) where it has repeats
    if last.ndim != 2 or last.shape[1] < 2:
        return None
    for middle in (last.mean(axis=1), np.median(last, axis=1)):
        fits = last[np.isclose(middle, value, rtol=1e-9, atol=1e-12)]
        if len(fits) == 1:
            return np.asarray(fits[0])
    return None


def verdict(first: Array | None, other: Array | None) -> str:
    """What the seeds of two runs say of their difference; nothing without several finite ones of both.

    "apart": every seed of the one lies above every seed of the other. Otherwise their ranges overlap, and a difference
    of the means is no real one: other seeds may turn it round. `by_chance` says how often equal runs come out apart.
    """
    if first is None or other is None or not (np.isfinite(first).all() and np.isfinite(other).all()):
        return ""
    return APART if first.max() < other.min() or other.max() < first.min() else OVERLAP


def by_chance(first: int, other: int) -> float:
    """How often that many seeds and that many others lie apart although nothing differs: 0.1 for three and three.

    All orders are then equally likely, and two of them have the one group whole before the other.
    """
    return 2 / math.comb(first + other, first)


def most_by_chance(runs: Sequence[Run]) -> float | None:
    """The largest of these chances over all facts that have a verdict; None without any."""
    chances = []
    for name in runs[0].facts:
        first = seeds(runs[0], name)
        others = [seeds(run, name) for run in runs[1:]]
        chances += [
            by_chance(len(first), len(other))
            for other in others
            if first is not None and other is not None and verdict(first, other)
        ]
    return max(chances, default=None)


def short(value: float) -> str:
    """A number for a table: counts whole, the rest in four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _difference(value: float | None, first: float | None) -> str:
    if value is None or first is None:
        return ""
    if math.isclose(value, first, rel_tol=1e-9, abs_tol=1e-12):
        return "same"
    by = value - first
    text = f"{abs(by):,.0f}" if float(by).is_integer() else f"{abs(by):.3g}"
    return f"{'+' if by > 0 else '−'}{text}"


def _spread(values: Array | None) -> str:
    return "" if values is None else f"{short(values.min())} … {short(values.max())}, {len(values)} seeds"
