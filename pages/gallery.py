"""Stored runs, by lesson: open one and it replays."""

import streamlit as st

from core.claims import Claim
from core.lessons import CURRICULUM
from core.ui import cards, state
from pages.lesson import page

st.title("Gallery", anchor=False)
st.markdown("Runs from real training, stored with the product. Opening one replays it; then change a knob.")
for lesson in CURRICULUM:
    st.header(lesson.question, anchor=False)
    stored = {
        each.key: each for each in state.runner().store.list() if each.lesson is lesson and each.origin == "gallery"
    }
    runs = [stored[lesson.key(knobs)] for knobs in lesson.presets.values() if lesson.key(knobs) in stored]
    if not runs:
        st.caption("No stored run yet.")
    for start in range(0, len(runs), 3):
        for column, run in zip(st.columns(3, gap="large"), runs[start : start + 3], strict=False):
            with column:
                title = lesson.name_of(run.knobs)
                cards.picture(run.key, f"{lesson.title}, {title}, drawing itself")
                st.page_link(page(lesson), label=f"**{title}**", query_params=state.link_to(lesson, run.knobs, run.key))
                verdicts = cards.tally([Claim.of(each) for each in run.claims])
                st.caption(f"{verdicts} · {run.wall_seconds:.0f} s on {run.device}")
                st.caption(cards.headline_facts(run.facts))
