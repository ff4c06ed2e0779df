"""Claims: what a lesson states, checked on the run at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

Verdict = Literal["holds", "does not hold", "not decided"]
MIN_EXAMPLES = 6
"""How many answers two accuracies on the same examples must differ by before a claim may rest on their difference.

An example on which only one of two equally good networks is right speaks for either with probability ½. Six such
examples, all for the same one, come in 2·½⁶ = 3 % of cases, five in 6 % (two-sided sign test, McNemar 1947): where
networks differ by five answers or fewer, no test at 5 % can tell them apart.
"""

SIGNS: Mapping[Verdict, str] = {"holds": "✓", "does not hold": "✗", "not decided": "○"}


@dataclass(frozen=True)
class Claim:
    """One statement of a lesson beside the number that decides it.

    Attributes:
        sentence: what is claimed, without the number.
        measured: this run's number, spelled; "" while there is none.
        expected: the inequality that an honest run meets, spelled.
        holds: whether the number meets it; None where this run cannot decide.
        source: where `expected` comes from.
        notebook: what the course notebook reported, if anything.
        literature: what the literature reports, if anything.
        hint: where `holds` is None, what to turn so that a run decides it.
    """

    sentence: str
    measured: str
    expected: str
    holds: bool | None
    source: str
    notebook: str = ""
    literature: str = ""
    hint: str = ""

    @property
    def verdict(self) -> Verdict:
        """`holds` in the reader's words."""
        if self.holds is None:
            return "not decided"
        return "holds" if self.holds else "does not hold"

    def plain(self) -> dict[str, Any]:
        """As JSON-ready values, with the verdict spelled out."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Claim":
        """Back from `plain`."""
        return cls(**{name: value for name, value in plain.items() if name != "verdict"})


def resolves(difference: float, examples: int) -> bool:
    """Whether that many examples can show a difference of two accuracies this small: see `MIN_EXAMPLES`."""
    return abs(difference) * examples >= MIN_EXAMPLES - 1e-6


def in_order(accuracies: Sequence[float], examples: int) -> bool | None:
    """Whether accuracies on the same examples fall from each to the next; None where two are too close to tell."""
    steps = [first - second for first, second in pairwise(accuracies)]
    if any(step < 0 and resolves(step, examples) for step in steps):
        return False
    return True if all(resolves(step, examples) for step in steps) else None
