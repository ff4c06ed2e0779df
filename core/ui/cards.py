"""Cards: a stored run at a glance, with its living thumbnail."""

from html import escape

import streamlit as st

from core.claims import SIGNS, Claim
from core.knobs import spell
from core.lesson import Facts


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
