"""One page for all lessons, top to bottom: question, knobs, prediction, run, claims, what was wrong, why."""

from functools import partial

import streamlit as st

from core.knobs import Knobs
from core.lesson import AnyLesson
from core.ui import classroom, state
from core.ui import lesson_parts as parts
from core.ui.knob_panel import knob_panel, knobs_now
from core.ui.player import player
from pages import compare


def page(lesson: AnyLesson) -> "st.Page":
    """The page of a lesson, under its slug."""
    return st.Page(partial(show, lesson), title=lesson.title, url_path=lesson.slug)


def show(lesson: AnyLesson) -> None:
    """Draw a lesson."""
    knobs, sentence = knobs_now(lesson)
    pressed = [parts.press(lesson, knobs)]
    parts.heading(lesson)
    knob_panel(lesson, knobs)
    if sentence:
        st.warning(sentence, icon=":material/tune:")
    if knobs is not None:
        parts.missing_data(lesson, knobs)
    run_and_what_it_shows(lesson, knobs, pressed)
    classroom.link_for_class(lesson, knobs)
    parts.neighbours(lesson, page)


@st.fragment
def run_and_what_it_shows(lesson: AnyLesson, knobs: Knobs | None, pressed: list[str]) -> None:
    """Draw what follows from the knobs: half of the page, and all that changes where Run is pressed or a run ends.

    Args:
        lesson: whose page it is.
        knobs: as they stand above, or None where they cannot be.
        pressed: the refusal of what was pressed, "" for none, where the whole page is drawn; this part alone finds out.
    """
    refusal = pressed.pop() if pressed else parts.press(lesson, knobs)
    run = parts.shown_run(lesson, knobs)
    # Read once, ahead of everything that depends on it: a run may end while the page is drawn, and the player tells of
    # an end that this page has not drawn yet.
    known = None if run is None else run.state
    parts.run_bar(lesson, knobs, run, refusal, compare.page(page))
    parts.predict(lesson, run)
    if run is None:
        st.info("Nothing has been run here yet. Press Run.", icon=":material/play_arrow:")
    else:
        parts.verdict_on_run(lesson, run)
        earlier, what_changed = parts.earlier_run(lesson, run)
        player(
            run.key,
            key=f"player/{lesson.slug}",
            state=known,
            frame=state.frame_in_link(),
            ghost=earlier,
            ghost_text=what_changed,
            projector=state.projector(),
        )
        parts.claims(run)
    parts.hunt(lesson)
    parts.theory_and_code(lesson)
    if run is not None:
        parts.take_home(run)
