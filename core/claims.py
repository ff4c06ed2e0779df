"""Claims: what a lesson states, checked on the run at hand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["holds", "does not hold", "not decided"]
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
