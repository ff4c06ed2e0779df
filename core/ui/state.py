"""What one browser session and its link hold. With `core.ui.page_query` the only file that names `session_state`.

Nothing that is needed later lives only here: the link carries lesson, knobs, run and frame, so a reload or another
laptop finds the same page.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import streamlit as st

from core import links
from core.knob_text import match
from core.knobs import Knob, KnobError, Knobs, clip, link_text
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.runs import engines
from core.runs.run import RUN_ID, Run
from core.runs.runner import Runner
from core.runs.store import Store
from core.ui import page_query, paths
from core.ui.addresses import ADDRESS_VARIABLE, addresses, declared
from core.ui.class_sweep import ClassSweep, Dealer, Gatherer
from core.ui.cookies import Cookies
from core.ui.door import Door
from core.ui.invitation import Invitation, invitation
from core.ui.origins import Origins
from core.ui.votes import Votes

COMPARISON = ("lesson", "runs", "series")
ADDRESSES_KEPT = 10.0
"""Seconds until this machine's addresses are looked up again: a laptop may enter the room's network after its start."""
SENT_AWAY = "The teacher stopped this run. Press Run to ask for it again."
"""For those whose run somebody else ended."""


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


def served_at() -> str:
    """The address of this server, as whoever starts it should open it."""
    if (invitation := invited()) is not None:
        return invitation.address
    bound, port, tls = (st.get_option(f"server.{name}") for name in ("address", "port", "sslCertFile"))
    return addresses(bound or "", port, bool(tls), base_path(), os.environ.get(ADDRESS_VARIABLE, ""))[0]


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


def knobs_from_link(lesson: AnyLesson) -> tuple[Knobs, list[str]]:
    """The knobs that the link asks for, and a sentence for each thing that cannot be had, which is lost alone."""
    said, errors = _said(), []
    base, wrong = links.one(
        links.PRESET,
        said.pop(links.PRESET, []),
        lambda text: name and lesson.presets[name] if (name := match(text, list(lesson.presets))) else None,
        "the name of a preset: " + ", ".join(lesson.presets),
    )
    errors += [wrong] if wrong else []
    asked = links.read_knobs(lesson, {name: said[name] for name in said if name not in (links.HIDE, links.SHARE)}, base)
    errors += asked.errors
    for name, read, takes in (
        ("frame", links.frame, "a whole number, 0 for the beginning; without it the end is shown"),
        ("projector", links.switch, "on or off"),
        ("before", _run_name, "the name of a run, 16 to 64 of the digits 0-9 and a-f"),
    ):
        errors += filter(None, [links.one(name, page_query.given(name), read, takes)[1]])
    return asked.knobs, errors


def _run_name(text: str) -> str | None:
    return key if RUN_ID.fullmatch(key := links.run_key(text)) else None


def widget_key(lesson: AnyLesson, knob: Knob) -> str:
    """The key under which a knob's widget keeps its value."""
    return f"{lesson.slug}/{knob.name}"


def fill_widgets(lesson: AnyLesson, knobs: Knobs) -> None:
    """Set every knob widget of a lesson to these values."""
    for knob in knobs.declared():
        value = getattr(knobs, knob.name)
        st.session_state[widget_key(lesson, knob)] = list(value) if knob.kind == "list" else value


def fix_by_link(lesson: AnyLesson, knobs: Knobs) -> tuple[Knobs, list[str]]:
    """Take off the page what the link hides; its knobs keep the values that the link gives them. Where it shares a knob
    out, this browser takes its own value of that.

    Returns the knobs with that value, and a sentence for each thing that the link hides or shares out and cannot.
    """
    names, errors = links.hidden(lesson, page_query.given(links.HIDE))
    share, wrong = _shared(lesson, knobs)
    errors += [wrong] if wrong else []
    if share is not None:
        # The teacher of a class takes no value away from it.
        knobs = share.dealt(0 if teacher() and invited() is not None else dealer().number(share, asker()))
        names += share.names
    fix(lesson, knobs, names, share)
    return knobs, errors


def _shared(lesson: AnyLesson, knobs: Knobs) -> tuple[ClassSweep | None, str]:
    """What the link shares out, if it shares out anything, and the sentence on why that cannot be."""
    texts = dict.fromkeys(page_query.given(links.SHARE))
    if not texts:
        return None, ""
    if len(texts) > 1:
        said = clip(" and ".join(texts), 100)
        return None, f"This link shares out two things: {said}; give {links.SHARE} once, as in the link of your class."
    try:
        return ClassSweep.read(lesson, knobs, next(iter(texts))), ""
    except KnobError as error:
        return None, f"This link shares out something else: {error}"


def fix(lesson: AnyLesson, knobs: Knobs, names: Collection[str], share: ClassSweep | None = None) -> None:
    """Take these knobs and parts off the page of a lesson; the knobs keep the values that they have here.

    Args:
        lesson: whose page it is.
        knobs: as they are.
        names: of knobs and parts.
        share: what of them is shared out, if anything is.
    """
    parts = [name for name in (*lesson.knobs.model_fields, links.PREDICTION, links.HUNT) if name in names]
    st.session_state[f"{lesson.slug}/fixed"] = {name: getattr(knobs, name, None) for name in parts}
    st.session_state[f"{lesson.slug}/share"] = share


def share(lesson: AnyLesson) -> ClassSweep | None:
    """What the page of a lesson has from a class that shares a knob out."""
    found: ClassSweep | None = st.session_state.get(f"{lesson.slug}/share")
    return found


def shared_in_link() -> tuple[ClassSweep | None, str]:
    """What the link says of a class that shares a knob out, or a sentence on why it cannot be; and that is one then."""
    slug, _ = links.one("lesson", page_query.given("lesson"), lambda text: match(text, list(LESSONS)), "")
    lesson = LESSONS.get(slug)
    if lesson is None or not page_query.given(links.SHARE):
        return None, "This link names no class; make one under “For a class” on a lesson's page."
    knobs, errors = knobs_from_link(lesson)
    share, wrong = _shared(lesson, knobs)
    return share, wrong or links.sentence(errors)


def number_in_link() -> str:
    """The number of the results that the link wants shown; any text."""
    return next(iter(page_query.given(links.NUMBER)), "")


def say_number(number: str) -> None:
    """Make the link want this one."""
    page_query.say(**{links.NUMBER: [number]})


def hidden(lesson: AnyLesson) -> Collection[str]:
    """The knobs and parts that the page of a lesson does not show."""
    return tuple(st.session_state.get(f"{lesson.slug}/fixed", {}))


def link_is_news(lesson: AnyLesson) -> bool:
    """Whether the link says other knobs than this page last wrote there: somebody opened a link, or went back to one.

    An empty link is no news to a session that has turned the knobs before, unless they went back to it: it comes from
    the menu. Nor is any to somebody who has just turned one: their browser may not have heard yet what this page wrote
    a moment ago.
    """
    turned = st.session_state.pop(f"{lesson.slug}/turned", False)
    filled = all(widget_key(lesson, knob) in st.session_state for knob in lesson.knobs.declared())
    said, written = _said(), st.session_state.get(f"{lesson.slug}/link")
    if not filled or page_query.is_history():
        return not filled or said != written
    empty = not said and not page_query.given("run")
    return not turned and not empty and said != written


def go_by_widgets(lesson: AnyLesson) -> None:
    """Go by the widgets at the next look at the whole page. For callbacks: somebody has just set them."""
    st.session_state[f"{lesson.slug}/turned"] = True


def _said() -> dict[str, list[str]]:
    return page_query.knobs_in(page_query.query())


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
    wanted = {name: [text] for name, text in knobs_in_link(lesson, knobs if own is None else own.knobs).items()}
    hides = [name for name in hidden(lesson) if own is None or name not in own.names]
    if hides:
        wanted[links.HIDE] = [",".join(hides)]
    if own is not None:
        wanted[links.SHARE] = [own.text]
    page_query.say_knobs(wanted)
    st.session_state[f"{lesson.slug}/link"] = wanted


def comparison() -> tuple[dict[str, list[str]], bool]:
    """What the link says of a comparison (lesson, runs, series; any text), and whether somebody opened that link.

    An empty link is no news to a session that has compared before, unless the reader went back to it: it comes from the
    menu, or from a browser that has only just followed a link and forgets to send it. It means what was there last.
    """
    said = page_query.query()
    now = {name: said.get(name, []) for name in COMPARISON}
    before: dict[str, list[str]] | None = st.session_state.get("compare/said")
    if before is not None and (now == before or not (any(now.values()) or page_query.is_history())):
        return before, False
    return now, True


def say_comparison(**said: Sequence[str]) -> None:
    """Make the link say these values of a comparison; what is empty it does not say."""
    page_query.say(**said)
    before = st.session_state.get("compare/said", {name: [] for name in COMPARISON})
    st.session_state["compare/said"] = {**before, **{name: list(values) for name, values in said.items()}}


def forget_frame() -> None:
    """Take the moment out of the link: what is shown has other frames now."""
    page_query.say(frame=[])


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
    """The run that the link names, as far as it is one's name; else what stands there."""
    given = page_query.given("run")
    names = dict.fromkeys(_run_name(text) or text for text in given)
    return " and ".join(names) if names else None


def earlier_in_link() -> str | None:
    """The run that the link names as the earlier one, if it can be one's name."""
    key: str | None = links.one("before", page_query.given("before"), _run_name, "")[0]
    return key


def show_run(key: str | None, before: str | None = None) -> None:
    """Make the link name this run, from its beginning, and perhaps the one that came before it; None: no run."""
    page_query.say(run=[key] if key else [], before=[before] if before else [], frame=[])


def frame_in_link() -> int | None:
    """The frame that the link names, if it names one."""
    number: int | None = links.one("frame", page_query.given("frame"), links.frame, "")[0]
    return number


def link_sentence(key: str) -> str:
    """Why a run in a link cannot be shown."""
    if not RUN_ID.fullmatch(key):
        return (
            f"run = {clip(key, 40)} is no run's name: it takes 16 to 64 of the digits 0-9 and a-f. Press Run instead."
        )
    return f"Run {key[:12]}… is not on this server. Press Run to train it again, or look under Runs."


def projector() -> bool:
    """Whether the page is shown to a room: large type, few words."""
    return links.one("projector", page_query.given("projector"), links.switch, "")[0] is True


def begin_projector() -> str:
    """The key of the switch for that, which stands as the link says."""
    key = "projector_switch"
    begin(key, projector(), news=True)
    return key


def turn_projector() -> None:
    """Make the link say what the switch says. For callbacks."""
    page_query.say(projector=["on"] if held("projector_switch") else [])


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
