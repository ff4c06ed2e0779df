"""Numbers of several runs side by side: which knobs differ, how far the facts lie apart, what the seeds say to that.

No Streamlit here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.facts import Values
from core.frames import Array
from core.knobs import spell
from core.runs.agreement import same_number
from core.runs.run import Run
from core.stats import CANNOT_TELL, Estimate, independent, paired

SAME = "same"
NOT_HERE = "–"  # a fact that this run does not have at all, as of a net that it did not train


@dataclass(frozen=True)
class Cell:
    """What one run says of a fact.

    Attributes:
        value: "none" is a number that this run does not have ("never").
        difference: to the first run, with its sign; "" where there is none to tell.
        spread: the lowest and the highest over its seeds; "" where it has one or none.
        estimate: by how much the seeds of this run lie above those of the first one; None where one of them has none.
    """

    value: str
    difference: str = ""
    spread: str = ""
    estimate: Estimate | None = None

    @property
    def verdict(self) -> str:
        """What the estimate says, with its interval; "" where there is none."""
        if self.estimate is None:
            return ""
        ends = " … ".join(_signed(end) for end in (self.estimate.low, self.estimate.high))
        return f"{self.estimate.direction or CANNOT_TELL} (95 % interval {ends})"


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
    samples = [_samples(run) for run in runs]
    names = dict.fromkeys(name for each in facts for name in each)
    table = []
    for name in names:
        first = samples[0].get(name)
        cells = [_cell(facts[0], name, first)]
        for run, own, repeats in zip(runs[1:], facts[1:], samples[1:], strict=True):
            value, other = own.get(name), facts[0].get(name)
            behind = repeats.get(name)
            cell = _cell(own, name, behind)
            if value is not None and other is not None:
                cell = replace(cell, difference=_difference(value, other))
            if first is not None and behind is not None and cell.difference != SAME:
                cell = replace(cell, estimate=_estimate(runs[0], first, run, behind))
            cells.append(cell)
        table.append((name, cells))
    return table


def explained(rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    """What differences and verdicts in this table mean."""
    said = "Each difference is to A."
    if any(cell.estimate is not None for _, cells in rows for cell in cells):
        said += (
            " Where both runs have several seeds, the 95 % interval of the mean difference stands beside it. An "
            f"interval that contains zero: {CANNOT_TELL}, which does not mean that there is no difference. Of twenty "
            "comparisons between equal runs, one seems to show a difference all the same."
        )
    return said


def _estimate(first: Run, values: Array, other: Run, others: Array) -> Estimate:
    """The difference to the first run: pair by pair where equal repeats share their seeds, else group against group."""
    same_seeds = getattr(first.knobs, "seed", None) == getattr(other.knobs, "seed", None)
    return paired(others, values) if same_seeds and len(values) == len(others) else independent(others, values)


def _cell(facts: Values, name: str, behind: Array | None) -> Cell:
    """What a run says of a fact by itself."""
    value = facts.get(name)
    there = "none" if name in facts else NOT_HERE
    return Cell(there if value is None else short(value), spread=_spread(behind))


def _samples(run: Run) -> dict[str, Array]:
    """Facts that sum up several repeats, each a finite number: full name → (repeats,)."""
    facts = run.result.facts if len(run.recording) else ()
    return {
        fact.full_name: fact.samples
        for fact in facts
        if fact.samples is not None and fact.samples.size > 1 and np.isfinite(fact.samples).all()
    }


def short(value: float) -> str:
    """A number for a table: counts whole, the rest in four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _difference(value: float, first: float) -> str:
    if same_number(value, first):
        return SAME
    return _signed(value - first)


def _signed(by: float) -> str:
    text = f"{abs(by):,.0f}" if float(by).is_integer() else f"{abs(by):.3g}"
    return f"{'−' if by < 0 else '+'}{text}"


def _spread(values: Array | None) -> str:
    if values is None:
        return ""
    low, high = short(values.min()), short(values.max())
    return f"{low} … {high} over {len(values)} seeds" if low != high else f"in all {len(values)} seeds"
