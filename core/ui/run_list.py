"""The runs of this server as lists: the line, what was cut short, what is stored."""

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from core.cost import spell_seconds
from core.lesson import AnyLesson
from core.runs import bundle
from core.runs.bundle import BundleError
from core.runs.run import Run, State
from core.runs.store import StoreError
from core.ui import cards, state

PageOf = Callable[[AnyLesson], Any]
PER_PAGE = 20
EVERY = 1.0  # seconds between two looks at the line


@st.fragment(run_every=EVERY)
def live(page: PageOf) -> None:
    """What trains and what waits; then what failed or was stopped."""
    line(page)
    ended = [run for run in state.runner().recent() if run.state is not State.DONE]
    ended += [run for run in state.runner().store.interrupted() if run.key not in {each.key for each in ended}]
    if ended:
        st.subheader("Cut short", anchor=False)
    for run in ended[:PER_PAGE]:
        words, link = st.columns([4, 1], vertical_alignment="center")
        words.markdown(f"**{run.lesson.title}** · {run.lesson.name_of(run.knobs)} · {run.state}  \n{run.error}")
        with link:
            _open(run.lesson, run, page)


def line(page: PageOf, operator: bool = False) -> None:
    """What trains and what waits, with place, progress and time left; the operator sees for whom."""
    runs = state.runner().live()
    st.subheader("In line", anchor=False)
    if not runs:
        st.caption("Nothing trains now.")
    for run in runs:
        _live_row(run, page, operator)


def _live_row(run: Run, page: PageOf, operator: bool) -> None:
    runner = state.runner()
    words, bar, link, stop = st.columns([4, 3, 1, 1], vertical_alignment="center")
    asked = " :blue-badge[yours]" if state.asker() in run.askers else ""
    if operator:
        asked = f"  \nfor {', '.join(state.short_name(each) for each in tuple(run.askers))}"
    words.markdown(f"**{run.lesson.title}** · {cards.as_text(run.lesson.name_of(run.knobs))}{asked}")
    left = runner.seconds_left(run)
    place = runner.place(run)
    when = "" if left is None else f"{spell_seconds(left)} {'until it starts' if place else 'left'}"
    where = f"place {place} in line" if place else run.device
    bar.progress(min(1.0, run.recording.progress), " · ".join(filter(None, (where, when))))
    with link:
        _open(run.lesson, run, page)
    with stop:
        # By its start too: one that is just being stopped may have been asked for anew.
        if stop_button(run, f"stop/{run.key}/{run.created.timestamp()}"):
            state.stop(run)
            st.rerun(scope="fragment")


def stop_button(run: Run, key: str) -> bool:
    """Stop, for those who may. Whether it was pressed."""
    may = state.may_stop(run)
    help = None if may else "Others asked for this run."
    return st.button("Stop", key=key, icon=":material/stop:", disabled=not may, help=help)


def _open(lesson: AnyLesson, run: Any, page: PageOf) -> None:
    st.page_link(page(lesson), label="Open", query_params=state.link_to(lesson, run.knobs, run.key))


def find_again(page: PageOf) -> None:
    """A field for a link or a run's name."""
    st.subheader("Find a run again", anchor=False)
    text = st.text_input("Its link, or its name", placeholder="0123456789abcdef…", key="find", max_chars=2000)
    if not text.strip():
        return
    names = re.findall(r"(?<![0-9a-f])[0-9a-f]{16,64}(?![0-9a-f])", text)
    run = next((found for name in names if (found := state.runner().get(name)) is not None), None)
    if run is None:
        st.warning(state.link_sentence(names[0] if names else text), icon=":material/search_off:")
        return
    st.markdown(f"**{run.lesson.title}** · {run.lesson.name_of(run.knobs)} · {run.state}")
    _open(run.lesson, run, page)


def bring_in(page: PageOf) -> None:
    """A field for a run that was trained on another server, as a file."""
    st.subheader("Bring a run from another server", anchor=False)
    if not state.teacher():
        st.caption("In a class the teacher does this: a run that is brought is shown to all.")
        return
    with st.form("import", clear_on_submit=True, border=False):
        file = st.file_uploader(
            "Its file, from “Take it home” there",
            type=bundle.SUFFIX,
            max_upload_size=bundle.MOST_BYTES // 2**20,
            key="bundle",
        )
        pressed = st.form_submit_button("Import", icon=":material/upload_file:")
    if not pressed:
        return
    if file is None:
        st.warning("Choose a file first.", icon=":material/upload_file:")
        return
    try:
        run, new = bundle.bring_in(file.getvalue(), state.runner().store)
    except (BundleError, StoreError) as error:
        st.error(cards.as_text(str(error)), icon=":material/block:")
        return
    words = f"**{run.lesson.title}** · {cards.as_text(run.lesson.name_of(run.knobs))}"
    if new:
        st.success(f"Imported: {words}, trained on {cards.as_text(run.device)}.", icon=":material/check:")
    else:
        st.info(f"{words} is here already, and stays as it is: the file was left out.", icon=":material/inventory_2:")
    _open(run.lesson, run, page)


def stored(page: PageOf, compare: "st.Page") -> None:
    """Everything on disk, newest first, a page at a time; each can be opened, and compared with others.

    The teacher pins what shall stay when room is made for new runs.
    """
    runs = [each for each in state.runner().store.list() if each.origin == "runs"]
    st.subheader("Stored on this server", anchor=False)
    if not runs:
        st.caption("Nothing yet: what you run is kept here and opens at once the next time.")
        return
    pages = (len(runs) + PER_PAGE - 1) // PER_PAGE
    number = st.pagination(pages, key="stored_page") if pages > 1 else 1
    pinned, teacher = state.runner().store.pinned, state.teacher()
    for run in runs[(number - 1) * PER_PAGE : number * PER_PAGE]:
        words, when, link, beside, *last = st.columns([5, 3, 1, 1, 1][: 4 + teacher], vertical_alignment="center")
        mark = " :blue-badge[pinned]" if run.key in pinned else ""
        words.markdown(f"**{run.lesson.title}** · {run.lesson.name_of(run.knobs)}{cards.badge(run)}{mark}")
        when.caption(f"{run.created:%Y-%m-%d %H:%M} UTC · {cards.trained(run)}")
        with link:
            _open(run.lesson, run, page)
        beside.page_link(compare, label="Compare", query_params={"runs": run.key})
        for column in last:
            with column:
                _pin(run.key, run.key in pinned)


def _pin(key: str, pinned: bool) -> None:
    """A button that keeps a run, or lets it go when its turn comes."""
    label, icon = ("Unpin", ":material/keep_off:") if pinned else ("Pin", ":material/keep:")
    help = "A pinned run stays when room is made for new ones."
    if not st.button(label, key=f"pin/{key}", icon=icon, type="tertiary", help=help):
        return
    store = state.runner().store
    try:
        store.unpin(key) if pinned else store.pin(key)
    except StoreError as error:
        st.error(str(error), icon=":material/block:")
    else:
        st.rerun()
