"""The map of the lessons."""

import streamlit as st

from core.lessons import CURRICULUM
from core.ui import cards, state
from pages.lesson import page

st.title("Gradient Lab", anchor=False)
st.markdown(
    "Experiments of deep learning, run live: pick a question, turn its knobs, press **Run** and watch the "
    "curves grow. Every lesson re-creates a course notebook, says what it got wrong and checks each claim."
)
for start in range(0, len(CURRICULUM), 3):
    for column, lesson in zip(st.columns(3, gap="large"), CURRICULUM[start : start + 3], strict=False):
        with column, cards.card(lesson.slug):
            usual = next(iter(lesson.presets.values()))
            stored = state.runner().store.nearest_listed(lesson, usual)
            cards.picture(stored.key if stored else None, f"A stored run of {lesson.title}, drawing itself")
            st.markdown(f"**{lesson.question}**")
            st.caption(f"{lesson.title} · {lesson.origin}")
            st.page_link(page(lesson), label="Open the lesson", icon=":material/arrow_forward:")
