"""A claim as a lesson declares it, and how it is decided on a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.claims import Check, Claim, Needs
from core.knobs import Knobs
from core.result import Missing, Result

K = TypeVar("K", bound=Knobs)

ENDED = Needs("the end of the run", result=lambda result: result.finished)
"""The need of every claim that cannot be decided earlier."""


@dataclass(frozen=True)
class ClaimRule(Generic[K]):
    """One statement of a lesson and the function that checks it. The arguments are those of `Lesson.claim`."""

    sentence: str | Callable[[K], str]
    expected: str | Callable[[K], str]
    source: str
    check: Callable[[Result[K]], Check]
    needs: Sequence[Needs]
    notebook: str
    literature: str
    shown: Callable[[K], bool]

    def on(self, result: Result[K]) -> Claim:
        """Return the claim, decided where this run can."""
        unmet = [need for need in self.needs if not _met(need, result)]
        try:
            check = self.check(result)
        except Missing as error:
            check = Check("", None, hint=f"this run has no {error}")
        holds = None if unmet or check.holds is None else bool(check.holds)
        hint: str = ""
        knobs: Mapping[str, Any] = {}
        if holds is None:
            hint, knobs = self._what_it_takes(unmet, result) if unmet else (check.hint, {})
        sentence, expected = (
            said if isinstance(said, str) else said(result.knobs) for said in (self.sentence, self.expected)
        )
        return Claim(
            sentence, check.measured, expected, holds, self.source, self.notebook, self.literature, hint, knobs
        )

    def _what_it_takes(self, unmet: Sequence[Needs], result: Result[K]) -> tuple[str, Mapping[str, Any]]:
        """Say what an undecided claim takes, and find knobs that have it: a preset's, else those at hand, changed."""
        hint = f"it takes {', '.join(need.what for need in unmet)}"
        about_knobs = [need.knobs for need in self.needs if need.knobs is not None]
        if all(need.knobs is None for need in unmet):
            return hint, {}
        lesson = result.lesson
        for knobs in (*lesson.shipped.values(), *lesson.presets.values(), *self._changed(unmet, result)):
            if all(met(knobs) for met in about_knobs) and self.shown(knobs):
                preset = lesson.preset_of(knobs)
                return f'{hint}; the preset "{preset}" has that' if preset else hint, knobs.model_dump(mode="json")
        return hint, {}

    def _changed(self, unmet: Sequence[Needs], result: Result[K]) -> Sequence[K]:
        """The knobs at hand, changed as the unmet needs ask; none where that cannot be."""
        values = result.knobs.model_dump()
        for need in unmet:
            values |= need.change(result.knobs)
        try:
            return [result.lesson.asked(values)]
        except ValueError:
            return []


def _met(need: Needs, result: Result[Any]) -> bool:
    """Return whether a result meets a need; it does not where it lacks the number that the need is about."""
    try:
        return need.met(result)
    except Missing:
        return False
