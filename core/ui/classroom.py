"""The parts of the teacher's page, and of a lesson page what only the teacher sees."""

import math
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

import streamlit as st

from core import links, places
from core.knobs import Knobs
from core.lesson import AnyLesson
from core.runs.keeping import spell_size
from core.ui import run_list, sharing, state
from core.ui.door import spaced
from core.ui.folded import folded
from core.ui.gate import DOOR
from core.ui.invitation import Invitation, qr_svg
from core.ui.load import Load

PageOf = Callable[[AnyLesson], Any]
PLAIN: Any = {"delta_color": "off", "delta_arrow": "off"}  # a metric's second line is no change
LOOK_AGAIN = 30.0  # seconds between two looks at every stored file
EVERY = 2.0  # seconds between two looks at the line and the machine, and at what the class predicts
MOST_IN_QR = 1000  # characters of a link that a phone still reads from a wall
PARTS = {links.PREDICTION: "the prediction", links.HUNT: "what the notebook got wrong"}


def at_the_door() -> None:
    """For whoever is not the teacher: the way to become it."""
    st.markdown("This page is the teacher's.")
    st.html(f'<p class="gl-files"><a href="{DOOR.lstrip("/")}" target="_self">Enter the teacher\'s code</a></p>')


def invitation() -> None:
    """How the class gets here: address, code, QR code; in large for the projector."""
    invited = state.invited()
    if invited is None:
        st.info(
            "This server answers its own machine alone. `make classroom` opens it to the network, with a class code.",
            icon=":material/lock:",
        )
        return
    picture, words = st.columns([1, 2], gap="medium", vertical_alignment="center")
    with picture:
        _qr(invited.link, "12rem")
    with words:
        st.markdown(f"### {_bare(invited.address)}")
        st.markdown(f"Class code &nbsp; **{spaced(invited.codes.students)}**")
        if st.button("Show it to the room", icon=":material/qr_code_2:", type="primary"):
            _large(invited, invited.link)
        if len(invited.candidates) > 1:
            _choose_address(invited)
    if invited.warning:
        st.warning(invited.warning, icon=":material/wifi_off:")


def _choose_address(invited: Invitation) -> None:
    """For a machine in several networks: which of its addresses students are told."""
    state.begin("address", invited.address, news=True)
    st.selectbox(
        "Address",
        invited.candidates,
        format_func=_bare,
        key="address",
        on_change=lambda: state.invite_to(str(state.held("address"))),
        help="This machine is in several networks. Choose the address in the network that the students are in.",
    )


def _bare(address: str) -> str:
    """An address as people type it: browsers put `http://` before it themselves, but not `https://`."""
    return address.removeprefix("http://")


@st.dialog("Come in", width="large")
def _large(invited: Invitation, link: str) -> None:
    host, code = _bare(invited.address), spaced(invited.codes.students)
    _qr(link, "min(62vh, 100%); margin: 0 auto")
    st.html(f'<p class="gl-invited">{escape(host)}<br>code <b>{escape(code)}</b></p>')


def _qr(link: str, width: str) -> None:
    st.html(f'<img class="gl-qr" src="{qr_svg(link)}" alt="QR code of {escape(link)}" style="width: {width}">')


def controls() -> None:
    """Pause new runs, and clear the line."""
    runner = state.runner()
    st.subheader("Runs of the class", anchor=False)
    if state.invited() is not None:
        state.begin("pause", runner.paused, news=True)  # another page of the teacher's may have turned it
        st.toggle(
            "Pause new runs",
            key="pause",
            on_change=_pause,
            help="Students' Run is answered with a sentence. What trains and waits goes on; what is stored opens.",
        )
    if st.button("Clear the line", icon=":material/clear_all:", help="Sends away all who wait; what trains goes on."):
        count = runner.clear(state.SENT_AWAY)
        st.toast(f"{count} run{'s' if count != 1 else ''} sent away.", icon=":material/clear_all:")


def _pause() -> None:
    state.runner().paused = bool(state.held("pause"))


@st.fragment(run_every=EVERY)
def watch(page: PageOf) -> None:
    """Who is here, what this machine bears, and the line, looked at again and again."""
    pages, load = state.door().pages, Load.now(places.written())
    waiting = [run for run in state.runner().live() if state.runner().place(run)]
    with st.container(horizontal=True, gap="medium", key="load"):
        st.metric("Pages open", pages.total(), f"in {len(pages)} browser{'s' if len(pages) != 1 else ''}", **PLAIN)
        st.metric("In line", len(waiting))
        st.metric(
            "Cores wanted",
            _of(load.busy, lambda busy: f"{busy:.1f}"),
            f"there are {load.cores}",
            help="How many cores the work of the last minute would keep busy. More than there are: all of it waits.",
            **PLAIN,
        )
        st.metric("Memory free", *_share(load.memory), **PLAIN)
        st.metric("Stored runs", *_stored(), **PLAIN)
        st.metric("Disk free", *_share(load.disk), **PLAIN)
    run_list.line(page, operator=True)


@st.cache_data(ttl=LOOK_AGAIN, show_spinner=False)
def _stored() -> tuple[str, str]:
    """What all runs take, of what they may take."""
    store = state.runner().store
    return spell_size(store.taken), f"of {spell_size(store.most)}" if math.isfinite(store.most) else "no quota"


def _of(value: float | None, spell: Callable[[float], str]) -> str:
    return "not known" if value is None else spell(value)


def _share(found: tuple[int, int] | None) -> tuple[str, str | None]:
    return ("not known", None) if found is None else (spell_size(found[0]), f"of {spell_size(found[1])}")


@st.fragment(run_every=EVERY)
def class_predicts(lesson: AnyLesson) -> None:
    """How many of the class have answered, and, once the teacher wants it, what."""
    votes = state.votes().count(lesson.slug)
    given = sum(votes.values())
    with st.container(horizontal=True, vertical_alignment="center"):
        shown = st.toggle("Show what the class predicts", key=f"{lesson.slug}/votes")
        st.markdown(f"{given} answer{'s' if given != 1 else ''} so far", width="content")
        st.button("Ask anew", key=f"{lesson.slug}/ask", type="tertiary", on_click=_ask_anew, args=(lesson,))
    if shown:
        rows = (
            f'<tr><th scope="row">{escape(answer)}</th><td>{votes.get(answer, 0)}</td>'
            f'<td><div style="width: {100 * votes.get(answer, 0) / max(1, given):.1f}%"></div></td></tr>'
            for answer in lesson.prose.answers
        )
        st.html(f'<table class="gl-votes">{"".join(rows)}</table>')


def _ask_anew(lesson: AnyLesson) -> None:
    state.votes().clear(lesson.slug)


def link_for_class(lesson: AnyLesson, knobs: Knobs | None, found: "st.Page") -> None:
    """A link to this lesson that takes knobs and parts off the page, or shares a knob out; for the teacher alone.

    Args:
        lesson: which one.
        knobs: as they are on the teacher's page; None where they cannot be.
        found: where it is seen what a class finds that shares a knob out.
    """
    if knobs is None or not state.teacher():
        return
    with folded(state.for_class(lesson), "For a class", ":material/groups:") as opened:
        if not opened:
            return
        st.caption(
            "Choose what students shall not see here. Knobs keep the values that they have now. This keeps a page "
            "simple and no secret: whoever edits the link sees everything."
        )
        labels = {knob.name: knob.label for knob in lesson.knobs.declared()} | PARTS
        key = f"{lesson.slug}/for_class"
        own = state.share(lesson)
        state.begin(key, [name for name in state.hidden(lesson) if own is None or name not in own.names])
        names = st.pills(
            "Hide", list(labels), selection_mode="multi", format_func=labels.__getitem__, key=key, wrap=True
        )
        share = sharing.choose(lesson, knobs)
        query = state.knobs_in_link(lesson, knobs if share is None else share.knobs)
        if names:
            query[links.HIDE] = ",".join(names)
        if share is not None:
            query[links.SHARE] = share.text
        invited = state.invited()
        link = invited.to(lesson.slug, **query) if invited else f"{_origin()}/{lesson.slug}?{urlencode(query)}"
        st.code(link.rstrip("?"), language=None, wrap_lines=True)
        if invited is not None and len(link) <= MOST_IN_QR:
            _qr(link, "12rem")
            if st.button("Show it to the room", key=f"{key}/show", icon=":material/qr_code_2:"):
                _large(invited, link)
        if share is not None:
            sharing.way_to(found, share)
        elif not state.runner().store.has(lesson, knobs):
            st.caption(
                ":material/info: No run with these knobs is stored, so the class would find the nearest one. Press Run "
                "once: then it finds yours."
            )
        if state.hidden(lesson):
            st.button("Show everything here again", on_click=state.fix, args=(lesson, knobs, ()))


def _origin() -> str:
    """Where this page was opened."""
    parts = urlsplit(st.context.url or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
