"""The knobs of a lesson as widgets, derived from their declaration."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from core import links
from core.knobs import Knob, KnobError, Knobs, spell
from core.lesson import AnyLesson
from core.ui import state
from core.ui.cards import as_text

COLUMN_WIDTH = 150  # pixels of a knob at least: two stand side by side on a phone
SIDE_BY_SIDE = 30  # characters of all choices together, up to which they are buttons side by side


def presets(lesson: AnyLesson, current: Knobs | None) -> None:
    """One button per preset; pressing one sets every knob and shows its stored run."""
    for name, knobs in lesson.presets.items():
        kind = "primary" if current == knobs else "secondary"
        hint = "Takes a GPU: it is no part of the gallery." if name in lesson.for_gpu else None
        st.button(name, key=f"{lesson.slug}/preset/{name}", type=kind, help=hint, on_click=take, args=(lesson, knobs))  # type: ignore[arg-type]


def take(lesson: AnyLesson, knobs: Knobs) -> None:
    """Put these knobs in place of those on the page."""
    state.fill_widgets(lesson, knobs)
    state.go_by_widgets(lesson)
    state.show_run(None)


def knobs_now(lesson: AnyLesson) -> tuple[Knobs | None, str]:
    """What the knobs say before any of them is drawn: by a link that was opened, else by their widgets.

    Returns them, or None where they cannot be, and the sentence that says why, or what of a link was left out.
    """
    errors: list[str] = []
    if state.link_is_news(lesson):
        from_link, errors = state.knobs_from_link(lesson)
        from_link, more = state.fix_by_link(lesson, from_link)
        errors += more
        state.fill_widgets(lesson, from_link)
    knobs, wrong = knobs_as_turned(lesson)
    return knobs, wrong or links.sentence(errors)


def knobs_as_turned(lesson: AnyLesson) -> tuple[Knobs | None, str]:
    """What the widgets say, which the link says then too; as `knobs_now`, for a page that stands already."""
    knobs, wrong = _knobs_of_widgets(lesson)
    if knobs is not None:
        state.write_link(lesson, knobs)
    return knobs, wrong


def _knobs_of_widgets(lesson: AnyLesson) -> tuple[Knobs | None, str]:
    values = {knob.name: state.knob_value(lesson, knob) for knob in lesson.knobs.declared()}
    try:
        return lesson.asked({name: value for name, value in values.items() if value is not None}), ""
    except KnobError as error:
        return None, str(error)


def knob_panel(lesson: AnyLesson, current: Knobs | None, sentence: str) -> None:
    """Draw presets and knobs; those of `current` are marked where a preset has them.

    Args:
        lesson: whose knobs.
        current: as they stand, or None where they cannot be.
        sentence: what the page says of them below.
    """
    state.keep_look(lesson, _look(lesson, current, sentence))
    declared, hidden = lesson.knobs.declared(), state.hidden(lesson)
    offered = [knob for knob in declared if knob.name not in hidden]
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="presets"):
        presets(lesson, current)
        more = [knob for knob in offered if not knob.shown]
        if more:
            with st.popover("More knobs", icon=":material/tune:", type="tertiary"):
                for knob in more:
                    _widget(lesson, knob)
    shown = [knob for knob in offered if knob.shown]
    if shown:
        columns = sum(1 + _wide(knob) for knob in shown)
        grid = st.grid(columns, min_column_width=COLUMN_WIDTH, gap=("small", "medium"), key="knobs")
        for knob in shown:
            with grid.cell(column_span=2) if _wide(knob) else grid:
                _widget(lesson, knob)
    own = share.names if (share := state.share(lesson)) else ()
    _fixed(lesson, [knob for knob in declared if knob.name in hidden and knob.name not in own])


def _look(lesson: AnyLesson, knobs: Knobs | None, sentence: str) -> tuple[object, ...]:
    """What decides how the page looks around its knobs: the sentence below, the marked preset, the data set, what was
    turned that all of a class have in common."""
    if knobs is None:
        return (sentence,)
    share = state.share(lesson)
    turned = () if share is None else share.turned(knobs)
    return (sentence, lesson.preset_of(knobs), lesson.dataset(knobs), turned)


def _turned(lesson: AnyLesson) -> None:
    """Somebody turned a knob: draw what follows from the knobs, and all of the page only where more has changed.

    The knobs are half of what there is to draw, and whoever turned one has it before their eyes as it is now.
    """
    if state.kept_look(lesson) == _look(lesson, *_knobs_of_widgets(lesson)) and not state.opened_for_class(lesson):
        with suppress(StreamlitAPIException):  # that part does not stand yet: somebody was quicker than the page
            st.rerun(state.what_follows(lesson))
    state.go_by_widgets(lesson)


def _fixed(lesson: AnyLesson, knobs: Sequence[Knob]) -> None:
    """What this link does not let the reader turn."""
    if knobs:
        st.caption(f":material/lock: Fixed by this link: {settings(lesson, knobs)}")


def settings(lesson: AnyLesson, knobs: Sequence[Knob]) -> str:
    """How these knobs stand now, in Markdown."""
    return " · ".join(f"{as_text(knob.label)} = {as_text(spell(state.knob_value(lesson, knob)))}" for knob in knobs)


def _widget(lesson: AnyLesson, knob: Knob) -> None:
    """One knob: steps where it declares stops, a number field where it does not."""
    label = knob.label[0].upper() + knob.label[1:]
    help = knob.help[0].upper() + knob.help[1:] + "."
    kept: Any = {"key": state.widget_key(lesson, knob), "help": help, "persist_state": "session"}
    kept |= {"on_change": _turned, "args": (lesson,)}
    value = state.knob_value(lesson, knob)
    if knob.kind == "list" and knob.choices:
        st.pills(label, knob.choices, selection_mode="multi", wrap=True, **kept)
    elif knob.kind == "list" and knob.item == "str":
        st.multiselect(label, _words(knob, value), accept_new_options=True, max_selections=knob.most, wrap=True, **kept)
    elif knob.kind == "list":
        st.pills(label, _stops(knob, value), selection_mode="multi", format_func=spell, wrap=True, **kept)
    elif knob.kind == "text":
        st.text_area(label, max_chars=knob.most, height="content", **kept)
    elif _side_by_side(knob):
        st.segmented_control(label, knob.choices, required=True, **kept)
    elif knob.kind == "choice":
        st.selectbox(label, knob.choices, **kept)
    elif knob.kind == "bool":
        st.toggle(label, **kept)
    elif knob.stops:
        st.select_slider(label, _stops(knob, [value]), format_func=spell, **kept)
    else:
        number: Any = int if knob.kind == "int" else float
        least, most = (None if bound is None else number(bound) for bound in (knob.low, knob.high))
        st.number_input(label, least, most, step=1 if knob.kind == "int" else None, **kept)


def _side_by_side(knob: Knob) -> bool:
    return knob.kind == "choice" and sum(map(len, knob.choices)) <= SIDE_BY_SIDE


def _wide(knob: Knob) -> bool:
    """Whether it takes two columns: what has a button for each of its values."""
    return knob.kind == "list" or _side_by_side(knob)


def _stops(knob: Knob, values: Any) -> list[Any]:
    """The declared stops, and the present values where a link or a preset chose others."""
    return sorted({*knob.stops, *(value for value in values or () if value is not None)})


def _words(knob: Knob, values: Any) -> list[str]:
    """The words on offer, and behind them those that a link, a preset or the reader chose."""
    return list(dict.fromkeys([*knob.stops, *(values or ())]))
