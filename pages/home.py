"""The map of the lessons."""

from collections.abc import Sequence

import streamlit as st

from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.ui import cards, state
from pages.lesson import page


def shelf(lessons: Sequence[AnyLesson]) -> None:
    """Three cards in a row."""
    for start in range(0, len(lessons), 3):
        for column, lesson in zip(st.columns(3, gap="large"), lessons[start : start + 3], strict=False):
            with column, cards.card(lesson.slug):
                usual = next(iter(lesson.presets.values()))
                stored = state.runner().store.nearest_listed(lesson, usual)
                cards.picture(stored.key if stored else None, f"A stored run of {lesson.title}, drawing itself")
                st.markdown(f"**{lesson.question}**")
                st.caption(f"{lesson.title} · {lesson.origin}")
                st.page_link(page(lesson), label="Open the lesson", icon=":material/arrow_forward:")


st.title("Gradient Lab", anchor=False)
st.markdown(
    "Experiments of deep learning, run live: pick a question, turn its knobs, press **Run** and watch the "
    "curves grow. Every lesson re-creates a course notebook, says what it got wrong and checks each claim."
)
shelf(LESSONS.curriculum)
if LESSONS.own or LESSONS.errors:
    st.subheader("Yours", anchor=False)
    for sentence in LESSONS.errors.values():
        st.warning(cards.as_text(sentence), icon=":material/code_off:")
    shelf(LESSONS.own)
