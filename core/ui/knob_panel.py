"""The knobs of a lesson as widgets, derived from their declaration."""

from typing import Any

import streamlit as st

from core.knobs import Knob, KnobError, Knobs, spell
from core.lesson import AnyLesson
from core.ui import state


def presets(lesson: AnyLesson, current: Knobs | None) -> None:
    """One button per preset; pressing one sets every knob and shows its stored run."""
    with st.container(horizontal=True, gap="small"):
        for name, knobs in lesson.presets.items():
            kind = "primary" if current == knobs else "secondary"
            st.button(name, key=f"{lesson.slug}/preset/{name}", type=kind, on_click=_take, args=(lesson, knobs))  # type: ignore[arg-type]


def _take(lesson: AnyLesson, knobs: Knobs) -> None:
    state.fill_widgets(lesson, knobs)
    state.write_link(lesson, knobs)
    state.show_run(None)


def knob_panel(lesson: AnyLesson) -> tuple[Knobs | None, str]:
    """Draw the knobs. Returns what they are set to, or None and the sentence that says why they cannot be used."""
    news = ""
    if state.link_is_news(lesson):
        from_link, news = state.knobs_from_link(lesson)
        state.fill_widgets(lesson, from_link)
    declared = lesson.knobs.declared()
    with st.container(key="knobs"):
        shown = [knob for knob in declared if knob.shown]
        for column, knob in zip(st.columns(len(shown), gap="medium"), shown, strict=True):
            with column:
                _widget(lesson, knob)
        with st.expander("More knobs"):
            rest = [knob for knob in declared if not knob.shown]
            for start in range(0, len(rest), 3):
                for column, knob in zip(st.columns(3, gap="medium"), rest[start : start + 3], strict=False):
                    with column:
                        _widget(lesson, knob)
    values = {knob.name: state.widget_value(lesson, knob) for knob in declared}
    try:
        knobs = lesson.parse({name: value for name, value in values.items() if value is not None})
    except KnobError as error:
        return None, str(error)
    state.write_link(lesson, knobs)
    return knobs, news


def _widget(lesson: AnyLesson, knob: Knob) -> None:
    """One knob: steps where it declares stops, a number field where it does not."""
    label = knob.label[0].upper() + knob.label[1:]
    help = knob.help[0].upper() + knob.help[1:] + "."
    kept: Any = {"key": state.widget_key(lesson, knob), "help": help, "persist_state": "session"}
    value = state.widget_value(lesson, knob)
    if knob.kind == "list":
        st.pills(label, _stops(knob, value), selection_mode="multi", format_func=spell, **kept)
    elif knob.kind == "choice" and sum(map(len, knob.choices)) <= 30:
        st.segmented_control(label, knob.choices, required=True, **kept)
    elif knob.kind == "choice":
        st.selectbox(label, knob.choices, **kept)
    elif knob.kind == "bool":
        st.toggle(label, **kept)
    elif knob.stops:
        st.select_slider(label, _stops(knob, [value]), format_func=spell, **kept)
    else:
        number: Any = int if knob.kind == "int" else float
        least, most = (None if bound is None else number(bound) for bound in (knob.ge, knob.le))
        st.number_input(label, least, most, step=1 if knob.kind == "int" else None, **kept)


def _stops(knob: Knob, values: Any) -> list[Any]:
    """The declared stops, and the present values where a link or a preset chose others."""
    return sorted({*knob.stops, *(value for value in values or () if value is not None)})
