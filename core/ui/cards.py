"""Cards: a stored run at a glance, with its living thumbnail."""

import re
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.claims import SIGNS, Claim
from core.facts import Values
from core.knobs import spell
from core.runs.store import Listed


def card(key: str) -> DeltaGenerator:
    """A field for a picture and links below it: a press on the picture is one on the first of them."""
    return st.container(key=f"card-{key}", gap="small")


def picture(key: str | None, alt: str) -> None:
    """The thumbnail of a stored run; without one, a calm empty field."""
    inner = '<div class="gl-none">no run stored yet</div>'
    if key is not None:
        inner = f'<img src="api/runs/{escape(key)}/thumbnail.svg" alt="{escape(alt, quote=True)}" loading="lazy">'
    st.html(f'<div class="gl-card">{inner}</div>')


def as_text(words: str) -> str:
    """Words of somebody else's, for where Streamlit reads Markdown: they are seen as they are, and do nothing.

    An address is made a link behind Markdown's back, escaped or not; a word joiner, which nobody sees, prevents that.
    """
    unlinked = re.sub(r"(?<=\w)(?=[.:@][\w/])", "\u2060", words)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", unlinked)


def trained(run: Listed) -> str:
    """How long a stored run trained, and on what."""
    return f"{run.wall_seconds:.1f} s on {as_text(run.device)}"


def badge(run: Listed) -> str:
    """A mark on what came as a file from another machine; nothing on the others."""
    return " :violet-badge[imported]" if run.imported else ""


def tally(claims: list[Claim]) -> str:
    """How many claims hold, do not hold, are not decided: "✓ 4  ○ 1"."""
    verdicts = [claim.verdict for claim in claims]
    return "  ".join(f"{sign} {verdicts.count(verdict)}" for verdict, sign in SIGNS.items() if verdict in verdicts)


def spoken(fact: str) -> str:
    """A fact's name for people: "test_loss[h=8]" is "test loss · h=8"."""
    return fact.removesuffix("]").replace("[", " · ").replace("_", " ")


def headline_facts(facts: Values, most: int = 3) -> str:
    """The first few facts, a line each, numbers short."""
    return "  \n".join(
        f"{spoken(name)}: {'none' if value is None else spell(float(f'{value:.4g}'))}"
        for name, value in list(facts.items())[:most]
    )
