"""A knob shared out among a class, on the screen: how the teacher does it, what each browser has, what all find."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core import links
from core.cost import MOST_STUDENT_SECONDS, spell_seconds
from core.device import DeviceError
from core.knobs import Knob, KnobError, Knobs, spell
from core.lesson import AnyLesson
from core.ui import page_query, state
from core.ui.cards import as_text
from core.ui.class_sweep import ClassSweep, has, numbers_of, on_offer, own_series, usable
from core.ui.knob_panel import settings
from core.ui.player import player

HEIGHT = 440  # pixels of the one chart, which is for a room
EVERY = 2.0  # seconds between two looks at who still trains


def _query(share: ClassSweep) -> dict[str, str]:
    """The query of a link to what the class finds."""
    common = state.knobs_in_link(share.lesson, share.knobs)
    return {"lesson": share.lesson.slug, **common, links.SHARE: share.text}


def choose(lesson: AnyLesson, knobs: Knobs) -> ClassSweep | None:
    """The teacher's choice: which knob is shared out, and which of its values; None: none, or not yet."""
    key, had = f"{lesson.slug}/for_class/share", state.share(lesson)
    knobs_on_offer: dict[str, Knob] = {knob.name: knob for knob in on_offer(lesson)}
    state.begin(key, had.knob.name if had else None)
    name = st.selectbox(
        "Share out a knob",
        list(knobs_on_offer),
        index=None,
        format_func=lambda each: knobs_on_offer[each].label,
        key=key,
        placeholder="nothing: all of the class have the same knobs",
        help="Each browser takes one value of this knob, and what they find fills one chart.",
        persist_state="session",
    )
    if name is None:
        return None
    knob = knobs_on_offer[name]
    values, key = list(usable(lesson, knobs, knob)), f"{key}/{name}"
    state.begin(key, [value for value in had.values if value in values] if had and had.knob == knob else values)
    state.begin(key, [value for value in state.held(key) if value in values], news=True)  # the other knobs were turned
    kept: Any = {"key": key, "persist_state": "session"}
    chosen = st.pills("Values", values, selection_mode="multi", format_func=spell, wrap=True, **kept)
    try:
        share = ClassSweep.of(lesson, knobs, name, [value for value in values if value in chosen])
    except KnobError as error:
        st.warning(str(error), icon=":material/tune:")
        return None
    st.caption(_price(share))
    return share


def _price(share: ClassSweep) -> str:
    """What it will take until each value has been trained once, and what students may not."""
    try:
        seconds = [state.runner().estimate(share.lesson, share.dealt(i)) for i in range(len(share.values))]
    except DeviceError as error:
        return str(error)
    long = [spell(value) for value, each in zip(share.values, seconds, strict=True) if each > MOST_STUDENT_SECONDS]
    said = f"Each value once: {spell_seconds(sum(seconds))}, one after another."
    if len(share.names) > 1:
        said += " Who comes when all have been given out takes one with the next seed."
    return said + (f" Too long for students: {', '.join(long)}." if long else "")


def yours(lesson: AnyLesson, knobs: Knobs | None, found: "st.Page") -> None:
    """What this browser has of a class that shares a knob out, whether its run would count, and the way to what all
    find."""
    share = state.share(lesson)
    if share is None:
        return
    own = [knob for knob in lesson.knobs.declared() if knob.name in share.names]
    with st.container(horizontal=True, vertical_alignment="center", key="yours"):
        st.markdown(f":material/groups: Yours in this class: **{settings(lesson, own)}**", width="content")
        way_to(found, share)
    turned = share.turned(knobs) if knobs is not None else ()
    if turned:
        labels = ", ".join(as_text(knob.label) for knob in lesson.knobs.declared() if knob.name in turned)
        st.caption(f":material/info: You turned {labels}: this run counts for you, and not for the class.")


def way_to(found: "st.Page", share: ClassSweep) -> None:
    """A link to what the class finds."""
    st.page_link(found, label="What the class finds", icon=":material/scatter_plot:", query_params=_query(share))


def heading() -> ClassSweep | None:
    """The lesson's question, and what is shared out; None where the link names no such thing."""
    share, sentence = state.shared_in_link()
    st.title("What the class finds" if share is None else share.lesson.question, anchor=False)
    if sentence:
        st.warning(sentence, icon=":material/link_off:")
    if share is not None:
        st.caption(f"{_in_common(share)} Whatever is stored with these knobs counts.")
    return share


def what_the_class_finds(share: ClassSweep, page: Callable[[AnyLesson], Any]) -> None:
    """One chart that fills as the class trains."""
    lesson = share.lesson
    numbers = _numbers(share)
    if not numbers:
        _wait_for_the_first(share)
        return
    key, wanted = f"found/number/{lesson.slug}", state.number_in_link()
    moved = page_query.is_history() or state.held(key) not in numbers
    state.begin(key, wanted if wanted in numbers else numbers[0], news=moved)
    number = st.selectbox("Number", numbers, format_func=lambda each: each.replace("_", " "), key=key, width=360)
    state.say_number(number)
    # All look at the chart, which asks for more by itself; the words beside it cost more.
    st.fragment(_how_far, run_every=EVERY if state.teacher() else None)(share, number)
    asked = _query(share) | {links.NUMBER: number}
    player(
        share.name,
        key=f"found/{lesson.slug}",
        source=f"api/class/{lesson.slug}?{urlencode(asked)}",
        projector=state.projector(),
        height=HEIGHT,
        link=False,
    )
    st.page_link(page(lesson), label="Open the lesson", icon=":material/arrow_forward:")


def _in_common(share: ClassSweep) -> str:
    """What is shared out, and what else all runs have that the lesson's first preset has otherwise."""
    changed = share.knobs.changed_from(next(iter(share.lesson.presets.values())))
    common = [knob for knob in share.lesson.knobs.declared() if knob.name in changed and knob.name not in share.names]
    also = ", ".join(f"{as_text(knob.label)} = {as_text(spell(changed[knob.name]))}" for knob in common)
    return f"The class shares out: {as_text(share.knob.label)}." + (f" All have {also}." if also else "")


def _numbers(share: ClassSweep) -> list[str]:
    """The names of the numbers that the class has found, or of those of a near run while it has none: those first that
    its nets have each, those last that are "never" in all runs."""
    runs = list(state.gatherer().found(share).runs)
    if not runs:
        near = state.runner().store.nearest_listed(share.lesson, share.knobs)
        runs = [near] if near else []

    def rank(number: str) -> tuple[bool, bool]:
        of_nets = set(own_series(share.lesson, runs[0].knobs, runs[0].facts, number)) & set(
            share.lesson.series(runs[0].knobs)
        )
        return not any(has(run.facts, number) for run in runs), not of_nets

    return sorted(dict.fromkeys(number for run in runs for number in numbers_of(run.facts)), key=rank)


@st.fragment(run_every=EVERY)
def _wait_for_the_first(share: ClassSweep) -> None:
    """Until a run of the lesson has ended there is no number to draw."""
    st.info("No run of this lesson has ended yet. Press Run there.", icon=":material/play_arrow:")
    if _numbers(share):
        st.rerun()


def _how_far(share: ClassSweep, number: str) -> None:
    """How much of the class has been trained, looked at again and again."""
    runs = state.gatherer().found(share).runs
    done = {share.place(run.knobs) for run in runs}
    without = sum(not has(run.facts, number) for run in runs)
    coming = sum(share.place(run.knobs) is not None for run in state.runner().live())
    said = [f"**{len(done)} of {len(share.values)}** values", f"{len(runs)} run{'s' if len(runs) != 1 else ''}"]
    said += [f"{without} of them without this number"] if without else []
    said += [f"{coming} more in line"] if coming else []
    st.markdown(", ".join(said))
