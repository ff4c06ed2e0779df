"""Two to eight runs of a lesson: what differs, their curves over each other, their facts side by side."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.lesson import AnyLesson
from core.ui import compare as parts
from core.ui import page_query
from core.ui.lesson_parts import projector_switch
from core.ui.overlay import LEAST

PageOf = Callable[[AnyLesson], Any]


def page(lesson_page: PageOf) -> "st.Page":
    """The page that compares runs; `lesson_page` gives the page where one of them opens alone."""
    return st.Page(partial(show, lesson_page), title="Compare", url_path="compare")


def show(lesson_page: PageOf) -> None:
    """Draw a comparison."""
    words, switch = st.columns([5, 1], vertical_alignment="bottom")
    words.title("Compare", anchor=False)
    with switch:
        projector_switch()
    choice = parts.choose()
    if len(choice.runs) < LEAST:
        parts.suggest(choice)
        page_query.send()
        return
    parts.knobs(choice.runs)
    query = parts.charts(choice)
    page_query.send()
    parts.facts(choice.runs)
    parts.take_home(query)
    parts.links(choice.runs, lesson_page)
