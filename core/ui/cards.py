"""Cards: a stored run at a glance, with its living thumbnail."""

from html import escape

import streamlit as st

from core.claims import Claim, Verdict
from core.knobs import Knobs, spell
from core.lesson import AnyLesson, Facts

SIGNS: dict[Verdict, str] = {"holds": "✓", "does not hold": "✗", "not decided": "○"}


def picture(key: str | None, alt: str) -> None:
    """The thumbnail of a stored run; without one, a calm empty field."""
    inner = '<div class="gl-none">no run stored yet</div>'
    if key is not None:
        inner = f'<img src="api/runs/{escape(key)}/thumbnail.svg" alt="{escape(alt, quote=True)}" loading="lazy">'
    st.html(f'<div class="gl-card">{inner}</div>')


def tally(claims: list[Claim]) -> str:
    """How many claims hold, do not hold, are not decided: "✓ 4  ○ 1"."""
    verdicts = [claim.verdict for claim in claims]
    return "  ".join(f"{sign} {verdicts.count(verdict)}" for verdict, sign in SIGNS.items() if verdict in verdicts)


def headline_facts(facts: Facts, most: int = 3) -> str:
    """The first few facts in a line, numbers short."""
    return " · ".join(
        f"{name} {'none' if value is None else spell(round(value, 4))}" for name, value in list(facts.items())[:most]
    )


def title(lesson: AnyLesson, knobs: Knobs) -> str:
    """What a run is called: its preset, or what differs from the first one."""
    preset = lesson.preset_of(knobs)
    if preset is not None:
        return preset
    changed = knobs.changed_from(next(iter(lesson.presets.values())))
    return ", ".join(f"{name} = {spell(value)}" for name, value in changed.items())
