"""What a class finds that shares a knob out: the results of all its browsers in one chart."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from core.lesson import AnyLesson
from core.ui import page_query, sharing
from core.ui.lesson_parts import projector_switch

PageOf = Callable[[AnyLesson], Any]


def page(lesson_page: PageOf) -> "st.Page":
    """Where the link says what is shared out; `lesson_page` gives the page of its lesson."""
    show_it = partial(show, lesson_page)
    return st.Page(show_it, title="What the class finds", url_path="found", visibility="hidden")


def show(lesson_page: PageOf) -> None:
    """Draw what has been found by now, and go on."""
    words, switch = st.columns([5, 1], vertical_alignment="bottom")
    with switch:
        projector_switch()
    with words:
        share = sharing.heading()
    if share is not None:
        sharing.what_the_class_finds(share, lesson_page)
    page_query.send()
