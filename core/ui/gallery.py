"""The gallery: what ships, sorted by lesson, and how to find something in it."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.claims import Claim
from core.lesson import AnyLesson
from core.lessons import CURRICULUM
from core.runs.store import Listed
from core.ui import cards, state
from core.ui.look import COMPARE_ICON

A_ROW = 3  # cards beside each other
FILTERS: dict[str, Callable[[Listed], str]] = {
    "lesson": lambda run: run.lesson.title,
    "preset": lambda run: run.lesson.name_of(run.knobs),
    "device": lambda run: run.device,
    "data set": lambda run: run.lesson.dataset(run.knobs) or "none",
}


def shipped() -> Sequence[Listed]:
    """The runs of the gallery, in the order of the curriculum and of each lesson's presets."""
    by_key = {run.key: run for run in state.runner().store.list() if run.origin == "gallery"}
    wanted = (lesson.key(knobs) for lesson in CURRICULUM for knobs in lesson.presets.values())
    return [by_key[key] for key in wanted if key in by_key]


def filtered(runs: Sequence[Listed]) -> Sequence[Listed]:
    """One choice per property, kept in the link; the runs that meet all of them."""
    left = list(runs)
    for column, (name, of) in zip(st.columns(len(FILTERS)), FILTERS.items(), strict=True):
        offered = list(dict.fromkeys(of(run) for run in runs))
        key = name.replace(" ", "_")
        chosen = column.multiselect(name.capitalize(), offered, key=key, placeholder="all", bind="query-params")
        left = [run for run in left if not chosen or of(run) in chosen]
    return left


def show(runs: Sequence[Listed], page: Callable[[AnyLesson], Any], compare: "st.Page") -> None:
    """Cards under their question; a thumbnail draws itself, its title opens the run, `compare` overlays some."""
    for lesson in CURRICULUM:
        own = [run for run in runs if run.lesson is lesson]
        if not own:
            continue
        st.header(lesson.question, anchor=False)
        st.caption(f"{lesson.title} · {lesson.origin}")
        if len(own) > 1:
            st.page_link(compare, label="Compare some of them", icon=COMPARE_ICON, query_params={"lesson": lesson.slug})
        for start in range(0, len(own), A_ROW):
            for column, run in zip(st.columns(A_ROW, gap="large"), own[start : start + A_ROW], strict=False):
                with column:
                    _card(run, page)


def _card(run: Listed, page: Callable[[AnyLesson], Any]) -> None:
    lesson, name = run.lesson, run.lesson.name_of(run.knobs)
    with cards.card(run.key):
        cards.picture(run.key, f"{lesson.title}, {name}, drawing itself")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.page_link(page(lesson), label=f"**{name}**", query_params=state.link_to(lesson, run.knobs, run.key))
            st.page_link(page(lesson), label="Change a knob", query_params=state.knobs_in_link(lesson, run.knobs))
    claims = [Claim.of(each) for each in run.claims]
    st.caption(f"claims {cards.tally(claims)} · {cards.trained(run)}{cards.badge(run)}")
    st.caption(cards.headline_facts(run.facts))
