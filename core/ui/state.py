"""What one browser session and its link hold. The only file that names `session_state` and `query_params`.

Nothing that is needed later lives only here: the link carries lesson, knobs, run and frame, so a reload or another
laptop finds the same page.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import streamlit as st

from core.knobs import Knob, KnobError, Knobs, clip, link_text
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.runs import engines
from core.runs.run import RUN_ID, Run
from core.runs.runner import Runner
from core.runs.store import Store
from core.ui import paths
from core.ui.addresses import ADDRESS_VARIABLE, declared
from core.ui.class_sweep import ClassSweep, Dealer, Gatherer
from core.ui.cookies import Cookies
from core.ui.door import Door
from core.ui.invitation import Invitation, invitation
from core.ui.origins import Origins
from core.ui.votes import Votes

COMPARISON = ("lesson", "runs", "series")
HIDE = "hide"
"""What a link calls the parts of a lesson page that it takes away: names of knobs, and these two."""
PREDICTION, HUNT = "prediction", "hunt"
SHARE = "share"
"""What a link calls the knob of which each browser takes one value."""
NUMBER = "number"
"""What a link calls the number of the results that is shown of all of these."""
ADDRESSES_KEPT = 10.0
"""Seconds until this machine's addresses are looked up again: a laptop may enter the room's network after its start."""
SENT_AWAY = "The teacher stopped this run. Press Run to ask for it again."
"""For those whose run somebody else ended."""
RESERVED = ("run", "lesson", NUMBER, "before", "frame", "projector", "code", "embed", "embed_options")


@st.cache_resource(show_spinner=False)
def runner() -> Runner:
    """The one background thread of this server, with its store and its training process."""
    return Runner(Store.default(LESSONS), engines.chosen(), LESSONS)


@st.cache_resource(show_spinner=False)
def door() -> Door:
    """The door of this server: it has codes where a network can reach it."""
    base_path, address = st.get_option("server.baseUrlPath"), os.environ.get(ADDRESS_VARIABLE, "").strip()
    names = Cookies.of(st.get_option("server.port"), base_path, address)
    return Door.chosen(os.environ, st.get_option("server.address"), names)


def base_path() -> str:
    """Below which path this server answers, as "/lab"; "" for its root."""
    return paths.base_path(st.get_option("server.baseUrlPath"))


def origins() -> Origins:
    """Whose pages may connect. Raises `AddressError`."""
    open_door = door().codes is None
    return Origins(
        declared(os.environ.get(ADDRESS_VARIABLE, "")),
        also=st.get_option("server.corsAllowedOrigins"),
        local=open_door,
        all=open_door and not st.get_option("server.enableCORS"),
    )


@st.cache_resource(show_spinner=False, ttl=ADDRESSES_KEPT)
def invited() -> Invitation | None:
    """How a class finds this server; None where it serves its own machine alone."""
    codes = door().codes
    if codes is None:
        return None
    return invitation(
        codes,
        st.get_option("server.address") or "",
        st.get_option("server.port"),
        base_path(),
        tls=bool(st.get_option("server.sslCertFile")),
        wanted=_wanted_address().get("address", ""),
    )


def invite_to(address: str) -> None:
    """Make all invitations from now on say this address of the server's."""
    _wanted_address()["address"] = address
    invited.clear()


@st.cache_resource(show_spinner=False)
def _wanted_address() -> dict[str, str]:
    """Which address of this server the teacher wants students to be told, once there is one."""
    return {}


@st.cache_resource(show_spinner=False)
def votes() -> Votes:
    """What the class predicts."""
    return Votes()


@st.cache_resource(show_spinner=False)
def dealer() -> Dealer:
    """Who of the class has which value of a knob that is shared out."""
    return Dealer()


@st.cache_resource(show_spinner=False)
def gatherer() -> Gatherer:
    """What the class has found."""
    return Gatherer(lambda lesson: runner().store.of(lesson))


def asker() -> str:
    """Who is pressing the buttons: a random name that this browser keeps, or, without cookies, this session's."""
    kept = door().cookies.client_id(cookies())
    return kept or str(st.session_state.setdefault("asker", secrets.token_hex(8)))


def short_name(of: str) -> str:
    """What tells askers apart on the screen, and lets nobody press Stop in their name."""
    return "you" if of == asker() else f"student {hashlib.sha256(of.encode()).hexdigest()[:4]}"


def teacher() -> bool:
    """Whether whoever looks may do what only the teacher may: with a ticket, or at the server's own machine."""
    return door().role_of(cookies()) == "teacher"


def may_stop(run: Run) -> bool:
    """Whether whoever looks asked for this run, or may stop any."""
    return teacher() or asker() in run.askers


def stop(run: Run) -> None:
    """Take back what whoever looks asked for; the teacher takes it back for all."""
    if teacher() and run.askers - {asker()}:
        runner().stop(run, None, SENT_AWAY)
    else:
        runner().stop(run, asker())


def cookies() -> dict[str, str]:
    """What the browser showed when it opened this page."""
    return st.context.cookies.to_dict()


def knobs_from_link(lesson: AnyLesson) -> tuple[Knobs, str]:
    """The knobs that the link asks for, and one sentence where it asks for what cannot be.

    A link that cannot be used loses only what is wrong in it: the other knobs stay.
    """
    asked: dict[str, Any] = {name: value for name, value in _said().items() if name not in (HIDE, SHARE)}
    sentence = ""
    while True:
        try:
            return lesson.asked(asked), sentence
        except KnobError as error:
            sentence = sentence or f"This link asks for something else: {error}"
            bad = [name for name in asked if not _usable(lesson, name, asked[name])]
            asked = {name: value for name, value in asked.items() if bad and name not in bad}


def _usable(lesson: AnyLesson, name: str, value: Any) -> bool:
    try:
        lesson.parse({name: value})
    except KnobError:
        return False
    return True


def widget_key(lesson: AnyLesson, knob: Knob) -> str:
    """The key under which a knob's widget keeps its value."""
    return f"{lesson.slug}/{knob.name}"


def fill_widgets(lesson: AnyLesson, knobs: Knobs) -> None:
    """Set every knob widget of a lesson to these values."""
    for knob in knobs.declared():
        value = getattr(knobs, knob.name)
        st.session_state[widget_key(lesson, knob)] = list(value) if knob.kind == "list" else value


def fix_by_link(lesson: AnyLesson, knobs: Knobs) -> tuple[Knobs, str]:
    """Take off the page what the link hides; its knobs keep the values that the link gives them. Where it shares a knob
    out, this browser takes its own value of that.

    Returns the knobs with that value, and a sentence where the link shares out what cannot be.
    """
    names, share, sentence = set(st.query_params.get(HIDE, "").split(",")), None, ""
    if SHARE in st.query_params:
        try:
            share = ClassSweep.read(lesson, knobs, st.query_params[SHARE])
        except KnobError as error:
            sentence = f"This link shares out something else: {error}"
        else:
            # The teacher of a class takes no value away from it.
            knobs = share.dealt(0 if teacher() and invited() is not None else dealer().number(share, asker()))
            names |= set(share.names)
    fix(lesson, knobs, names, share)
    return knobs, sentence


def fix(lesson: AnyLesson, knobs: Knobs, names: Collection[str], share: ClassSweep | None = None) -> None:
    """Take these knobs and parts off the page of a lesson; the knobs keep the values that they have here.

    Args:
        lesson: whose page it is.
        knobs: as they are.
        names: of knobs and parts.
        share: what of them is shared out, if anything is.
    """
    parts = [name for name in (*lesson.knobs.model_fields, PREDICTION, HUNT) if name in names]
    st.session_state[f"{lesson.slug}/fixed"] = {name: getattr(knobs, name, None) for name in parts}
    st.session_state[f"{lesson.slug}/share"] = share


def share(lesson: AnyLesson) -> ClassSweep | None:
    """What the page of a lesson has from a class that shares a knob out."""
    found: ClassSweep | None = st.session_state.get(f"{lesson.slug}/share")
    return found


def shared_in_link() -> tuple[ClassSweep | None, str]:
    """What the link says of a class that shares a knob out, or a sentence on why it cannot be; and that is one then."""
    lesson = LESSONS.get(st.query_params.get("lesson", ""))
    if lesson is None or SHARE not in st.query_params:
        return None, "This link names no class; make one under “For a class” on a lesson's page."
    knobs, sentence = knobs_from_link(lesson)
    try:
        return ClassSweep.read(lesson, knobs, st.query_params[SHARE]), sentence
    except KnobError as error:
        return None, f"This link shares out something else: {error}"


def number_in_link() -> str:
    """The number of the results that the link wants shown; any text."""
    return str(st.query_params.get(NUMBER, ""))


def say_number(number: str) -> None:
    """Make the link want this one."""
    if number_in_link() != number:
        st.query_params[NUMBER] = number


def hidden(lesson: AnyLesson) -> Collection[str]:
    """The knobs and parts that the page of a lesson does not show."""
    return tuple(st.session_state.get(f"{lesson.slug}/fixed", {}))


def link_is_news(lesson: AnyLesson) -> bool:
    """Whether the link says other knobs than this page last wrote there: somebody opened a link.

    An empty link is no news to a session that has turned the knobs before: it comes from the menu. Nor is any to
    somebody who has just turned one: their browser may not have heard yet what this page wrote a moment ago.
    """
    turned = st.session_state.pop(f"{lesson.slug}/turned", False)
    filled = all(widget_key(lesson, knob) in st.session_state for knob in lesson.knobs.declared())
    said = _said()
    empty = not said and "run" not in st.query_params
    return not filled or (not turned and not empty and said != st.session_state.get(f"{lesson.slug}/link"))


def go_by_widgets(lesson: AnyLesson) -> None:
    """Go by the widgets at the next look at the whole page. For callbacks: somebody has just set them."""
    st.session_state[f"{lesson.slug}/turned"] = True


def _said() -> dict[str, str]:
    return {name: text for name, text in st.query_params.to_dict().items() if name not in RESERVED}


def knob_value(lesson: AnyLesson, knob: Knob) -> Any:
    """What a knob is set to now: by its widget, or for good where it is off the page."""
    fixed: dict[str, Any] = st.session_state.get(f"{lesson.slug}/fixed", {})
    return fixed[knob.name] if knob.name in fixed else st.session_state[widget_key(lesson, knob)]


def knobs_in_link(lesson: AnyLesson, knobs: Knobs) -> dict[str, str]:
    """What a link says of these knobs: those that the first preset has otherwise."""
    usual = next(iter(lesson.presets.values()))
    return {name: link_text(value) for name, value in knobs.changed_from(usual).items()}


def what_follows(lesson: AnyLesson) -> str:
    """The name of the part of a lesson page that follows from its knobs, for whoever redraws it alone."""
    return f"{lesson.slug}/what_follows"


def keep_look(lesson: AnyLesson, look: Hashable) -> None:
    """Note how the page of a lesson looks around its knobs."""
    st.session_state[f"{lesson.slug}/look"] = look


def kept_look(lesson: AnyLesson) -> Hashable:
    """What `keep_look` noted when the page was last drawn as a whole."""
    look: Hashable = st.session_state.get(f"{lesson.slug}/look")
    return look


def for_class(lesson: AnyLesson) -> str:
    """The key of the part of a lesson page that makes a link for a class."""
    return f"{lesson.slug}/class"


def opened_for_class(lesson: AnyLesson) -> bool:
    """Whether that part is open: it says the knobs too."""
    return bool(st.session_state.get(for_class(lesson), False))


def write_link(lesson: AnyLesson, knobs: Knobs) -> None:
    """Make the link say these knobs, and what it hides; of a class that shares a knob out what all have in common, so
    that whoever reloads, or sends the link on, stays in the class."""
    own = share(lesson)
    wanted = knobs_in_link(lesson, knobs if own is None else own.knobs)
    hides = [name for name in hidden(lesson) if own is None or name not in own.names]
    if hides:
        wanted[HIDE] = ",".join(hides)
    if own is not None:
        wanted[SHARE] = own.text
    said = _said()
    for name in said.keys() - wanted.keys():
        del st.query_params[name]
    for name, text in wanted.items():
        if said.get(name) != text:
            st.query_params[name] = text
    st.session_state[f"{lesson.slug}/link"] = wanted


def comparison() -> tuple[dict[str, list[str]], bool]:
    """What the link says of a comparison (lesson, runs, series; any text), and whether somebody opened that link.

    An empty link is no news to a session that has compared before: it comes from the menu, or from a browser that has
    only just followed a link and forgets to send it. It means what was there last.
    """
    now = {name: st.query_params.get_all(name) for name in COMPARISON}
    before: dict[str, list[str]] | None = st.session_state.get("compare/said")
    if before is not None and (now == before or not any(now.values())):
        return before, False
    return now, True


def say_comparison(**said: Sequence[str]) -> None:
    """Make the link say these values of a comparison; what is empty it does not say."""
    for name, values in said.items():
        if not values:
            st.query_params.pop(name, None)
        elif st.query_params.get_all(name) != list(values):
            st.query_params[name] = list(values)
    before = st.session_state.get("compare/said", {name: [] for name in COMPARISON})
    st.session_state["compare/said"] = {**before, **{name: list(values) for name, values in said.items()}}


def forget_frame() -> None:
    """Take the moment out of the link: what is shown has other frames now."""
    st.query_params.pop("frame", None)


def begin(key: str, value: Any, news: bool = False) -> None:
    """Give a widget the value that it has at first, and once more where there is news; else what it has.

    That is said anew each time: right after a change of pages Streamlit forgets values that no reader has set by hand.
    """
    st.session_state[key] = value if news or key not in st.session_state else st.session_state[key]


def held(key: str) -> Any:
    """What a widget holds now; None: there is none yet."""
    return st.session_state.get(key)


def pressed(key: str) -> bool:
    """Whether this look at the page is owed to a press on that button."""
    return bool(st.session_state.get(key, False))


def run_in_link() -> str | None:
    """The run that the link names, as it stands there: perhaps no run's name at all."""
    if st.session_state.pop("forget_run", False):
        show_run(None)
    return st.query_params.get("run")


def earlier_in_link() -> str | None:
    """The run that the link names as the earlier one, if it can be one's name."""
    key = st.query_params.get("before", "")
    return key if RUN_ID.fullmatch(key) else None


def forget_run() -> None:
    """Take the run out of the link at the next look. For callbacks: what they change of a link may not arrive."""
    st.session_state["forget_run"] = True


def show_run(key: str | None, before: str | None = None) -> None:
    """Make the link name this run, from its beginning, and perhaps the one that came before it; None: no run."""
    st.query_params.pop("frame", None)
    st.query_params.pop("before", None)
    if before is not None:
        st.query_params["before"] = before
    if key is None:
        st.query_params.pop("run", None)
    else:
        st.query_params["run"] = key


def frame_in_link() -> int | None:
    """The frame that the link names, if it names one."""
    text = st.query_params.get("frame", "")
    return int(text) if text.isdecimal() and len(text) < 7 else None


def link_sentence(key: str) -> str:
    """Why a run in a link cannot be shown."""
    if not RUN_ID.fullmatch(key):
        return (
            f"run = {clip(key, 40)} is no run's name: it takes 16 to 64 of the digits 0-9 and a-f. Press Run instead."
        )
    return f"Run {key[:12]}… is not on this server. Press Run to train it again, or look under Runs."


def projector() -> bool:
    """Whether the page is shown to a room: large type, few words."""
    return st.query_params.get("projector") == "on"


def set_projector(on: bool) -> None:
    """Turn the projector look on or off, in the link too."""
    if on:
        st.query_params["projector"] = "on"
    else:
        st.query_params.pop("projector", None)


def begin_prediction(lesson: AnyLesson) -> str:
    """The key of the widget for a prediction, which has what this browser said: before a reload, in another tab."""
    key = f"{lesson.slug}/prediction"
    begin(key, votes().given(lesson.slug, asker()), news=True)
    return key


def predicted(lesson: AnyLesson) -> None:
    """Count what this reader has just predicted. For callbacks."""
    votes().put(lesson.slug, asker(), held(f"{lesson.slug}/prediction"))


def prediction(lesson: AnyLesson) -> str | None:
    """What this reader predicted."""
    return votes().given(lesson.slug, asker())


def count(key: str) -> None:
    """One more of what is counted under `key`."""
    st.session_state[key] = counter(key) + 1


def counter(key: str) -> int:
    """How often `count` was called for `key`."""
    return int(st.session_state.get(key, 0))


def link_to(lesson: AnyLesson, knobs: Knobs, run: str) -> dict[str, str]:
    """The query of a link that opens this run, with its knobs set."""
    return {**knobs_in_link(lesson, knobs), "run": run}
