"""Claims: what a lesson states, checked on the run at hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

from core.knobs import Knobs, spell

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
        hint: where `holds` is None, what a run that decides it must have.
        decided_by: where `holds` is None and some knobs would decide it, these knobs: name → value.
    """

    sentence: str
    measured: str
    expected: str
    holds: bool | None
    source: str
    notebook: str = ""
    literature: str = ""
    hint: str = ""
    decided_by: Mapping[str, Any] = field(default_factory=dict)

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


@dataclass(frozen=True)
class Check:
    """What a run says to a claim.

    Attributes:
        measured: its number, spelled.
        holds: whether it meets what is expected; None where these data cannot tell.
        hint: where `holds` is None, why.
    """

    measured: str
    holds: bool | None
    hint: str = ""


@dataclass(frozen=True)
class Needs:
    """A condition without which a run cannot decide a claim.

    Attributes:
        what: completes "it takes ...": "at least three seeds".
        knobs: whether knobs meet it; None where it is about the result.
        result: whether a result (`core.result.Result`) meets it; None where it is about the knobs.
        change: given knobs that do not meet it, the values that would.
    """

    what: str
    knobs: Callable[[Any], bool] | None = None
    result: Callable[[Any], bool] | None = None
    change: Callable[[Any], Mapping[str, Any]] = lambda knobs: {}

    def met(self, result: Any) -> bool:
        """Return whether a result and its knobs meet it."""
        return (self.knobs is None or self.knobs(result.knobs)) and (self.result is None or self.result(result))

    @classmethod
    def at_least(cls, name: str, value: float) -> "Needs":
        """Need a knob of this value or more."""
        met = lambda knobs: getattr(knobs, name) >= value  # noqa: E731
        return cls(f"{_words(name)} ≥ {spell(value)}", met, change=lambda knobs: {name: value})

    @classmethod
    def at_most(cls, name: str, value: float) -> "Needs":
        """Need a knob of this value or less."""
        met = lambda knobs: getattr(knobs, name) <= value  # noqa: E731
        return cls(f"{_words(name)} ≤ {spell(value)}", met, change=lambda knobs: {name: value})

    @classmethod
    def settings(cls, what: str = "", **values: Any) -> "Needs":
        """Need just these values of knobs; `what` names them where they are many: "the notebook's settings"."""
        said = what or " and ".join(f"{_words(name)} = {spell(value)}" for name, value in values.items())
        return cls(said, lambda knobs: knobs.matches(values), change=lambda knobs: values)

    @classmethod
    def among(cls, name: str, *items: Any) -> "Needs":
        """Need these items in a list knob."""

        def missing(knobs: Knobs) -> list[Any]:
            return [item for item in items if item not in getattr(knobs, name)]

        return cls(
            f"{' and '.join(map(spell, items))} among the {_words(name)}",
            lambda knobs: not missing(knobs),
            change=lambda knobs: {name: (*getattr(knobs, name), *missing(knobs))},
        )


def all_hold(verdicts: Iterable[bool | None]) -> bool | None:
    """Return whether all comparisons hold: False where one does not, else None where one cannot tell."""
    each = list(verdicts)
    return False if False in each else None if None in each else True


def _words(name: str) -> str:
    return name.replace("_", " ")


def resolves(difference: float, examples: int) -> bool:
    """Whether that many examples can show a difference of two accuracies this small: see `MIN_EXAMPLES`."""
    return abs(difference) * examples >= MIN_EXAMPLES - 1e-6


def in_order(accuracies: Sequence[float], examples: int) -> bool | None:
    """Whether accuracies on the same examples fall from each to the next; None where two are too close to tell."""
    steps = [first - second for first, second in pairwise(accuracies)]
    if any(step < 0 and resolves(step, examples) for step in steps):
        return False
    return True if all(resolves(step, examples) for step in steps) else None
