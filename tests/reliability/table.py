"""One row for each promise: what was tried, the figure reached, and whether the promise held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Rows = Iterator["Row"]


@dataclass(frozen=True)
class Row:
    """A promise after its trial.

    Attributes:
        what: the trial.
        tried: how much of it.
        figure: what was measured or counted.
        promise: what it had to be.
        holds: whether it was.
        wrong: what went wrong, a sentence each.
    """

    what: str
    tried: str
    figure: str
    promise: str
    holds: bool
    wrong: Sequence[str] = field(default_factory=list)

    @classmethod
    def of(cls, what: str, tried: str, wrong: Sequence[str], promise: str, figure: str = "") -> "Row":
        """A trial that lists what went wrong: nothing may have."""
        counted = f"{len(wrong)} violations" + (f"; {figure}" if figure else "")
        return cls(what, tried, counted, promise, not wrong, list(wrong[:20]))

    def cells(self) -> Sequence[str]:
        """As a line of the table."""
        return self.what, self.tried, self.figure, self.promise, "yes" if self.holds else "NO"


HEAD = ("trial", "tried", "figure", "promise", "holds")


def markdown(rows: Sequence[Row]) -> str:
    """The table, aligned, as the README has it."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([written[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *written[1:]])


def share_of(whole: int, share: float, least: int = 1) -> int:
    """A share of a trial's full length."""
    return max(least, round(whole * share))
