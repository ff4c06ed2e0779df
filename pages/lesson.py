"""One page for all lessons, top to bottom: question, knobs, prediction, run, claims, what was wrong, why."""

from functools import partial

import streamlit as st

from core.lesson import AnyLesson
from core.ui import classroom, page_query, sharing
from core.ui import lesson_parts as parts
from core.ui.knob_panel import knob_panel, knobs_now
from pages import compare, found


def page(lesson: AnyLesson) -> "st.Page":
    """The page of a lesson, under its slug."""
    return st.Page(partial(show, lesson), title=lesson.title, url_path=lesson.slug)


def show(lesson: AnyLesson) -> None:
    """Draw a lesson."""
    knobs, sentence = knobs_now(lesson)
    refusal = parts.press(lesson, knobs)
    page_query.send()
    parts.heading(lesson)
    knob_panel(lesson, knobs, sentence)
    sharing.yours(lesson, knobs, found.page(page))
    if sentence:
        st.warning(sentence, icon=":material/tune:")
    if knobs is not None:
        parts.missing_data(lesson, knobs)
    parts.run_and_what_it_shows(lesson, (knobs, refusal), compare.page(page))
    classroom.link_for_class(lesson, knobs, found.page(page))
    parts.neighbours(lesson, page)
