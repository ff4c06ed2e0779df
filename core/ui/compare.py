"""The parts of the Compare page, top to bottom: which runs, what differs, their curves in one player, their facts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core import knob_text
from core.knobs import RIGHT, Knobs, clip
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.links import run_key
from core.panels import COLOURS
from core.runs.run import Run
from core.ui import state
from core.ui.beside import NOT_HERE, Cell, explained, facts_beside, knobs_beside
from core.ui.cards import spoken
from core.ui.look import COMPARE_ICON
from core.ui.overlay import LEAST, LETTERS, MOST, chosen, on_offer, pick, shared, usual
from core.ui.player import player

Query = list[tuple[str, str]]

SUGGESTED = 3  # pairs, where nothing is chosen yet
LONGEST_NAME = 60  # characters of a run's name at the head of a column


@dataclass(frozen=True)
class Choice:
    """What is to be compared.

    Attributes:
        lesson: None where nothing is stored at all.
        runs: of this lesson; fewer than two cannot be compared.
        series: the lines that the link asks for.
        news: whether somebody has just opened that link.
    """

    lesson: AnyLesson | None
    runs: Sequence[Run]
    series: Sequence[str]
    news: bool


def choose() -> Choice:
    """The lesson and the runs that the reader chooses; both stand in the link."""
    link, news = state.comparison()
    before = [run_key(key) for text in link["runs"] for key in knob_text.names(text)]
    asked, sentences = pick(before, state.runner().get)
    for sentence in sentences:
        st.warning(sentence, icon=":material/link_off:")
    stored = _stored()
    for run in asked:  # perhaps one that has been stopped, which no list has
        stored.setdefault(run.lesson.slug, {}).setdefault(run.key, run.knobs)
    offered = [lesson.slug for lesson in LESSONS.values() if stored.get(lesson.slug)]
    if not offered:
        return Choice(None, [], [], news)
    first = next((each for each in offered if len(stored[each]) >= LEAST), offered[0])
    wished = [asked[0].lesson.slug] if asked else [knob_text.match(text, offered) for text in link["lesson"]]
    state.begin("compare/lesson", next((each for each in wished if each in offered), first), news)
    left, right = st.columns([1, 3])
    slug = left.selectbox("Lesson", offered, format_func=lambda each: LESSONS[each].title, key="compare/lesson")
    lesson, own = LESSONS[slug], stored[slug]
    state.begin(f"compare/runs/{slug}", [run.key for run in asked if run.key in own], news)
    keys = right.multiselect(
        "Runs, two to eight",
        own,
        format_func=lambda key: lesson.name_of(own[key]),
        max_selections=MOST,
        key=f"compare/runs/{slug}",
        placeholder="Choose runs of this lesson",
    )
    runs, gone = pick(keys, state.runner().get)
    for sentence in gone:
        st.warning(sentence, icon=":material/link_off:")
    series = link["series"] if len(runs) >= LEAST else []
    state.say_comparison(lesson=[] if keys else [slug], runs=[",".join(keys)] if keys else [], series=series)
    if before and before != keys:
        state.forget_frame()
    return Choice(lesson, runs, series, news)


def _stored() -> dict[str, dict[str, Knobs]]:
    """The stored runs of each lesson, presets first, then the newest: slug → key → knobs."""
    found: dict[str, dict[str, Knobs]] = {lesson.slug: {} for lesson in LESSONS.values()}
    listed = state.runner().store.list()
    for lesson in LESSONS.values():
        own = {run.key: run.knobs for run in listed if run.lesson is lesson}
        presets = [lesson.key(knobs) for knobs in lesson.presets.values()]
        found[lesson.slug] = {key: own[key] for key in [*presets, *own] if key in own}
    return found


def suggest(choice: Choice) -> None:
    """Where too little is chosen: what to do, and pairs to begin with."""
    lesson, runs = choice.lesson, choice.runs
    if lesson is None:
        st.info("No run is stored here yet. Open a lesson and press Run.", icon=":material/play_arrow:")
        return
    own = _stored()[lesson.slug] | {run.key: run.knobs for run in runs}
    first = runs[0].key if runs else next(iter(own))
    others = sorted((key for key in own if key != first), key=lambda key: lesson.preset_of(own[key]) != RIGHT)[
        :SUGGESTED
    ]
    if not others:
        st.info("This lesson has one stored run only. Change a knob on its page and press Run.", icon=COMPARE_ICON)
        return
    wanted = "one more run" if runs else "two to eight runs"
    st.info(f"Choose {wanted} of this lesson: the curves share their charts and one scrubber. Or begin with a pair:")
    for other in others:
        names = " beside ".join(f"**{clip(lesson.name_of(own[key]), LONGEST_NAME)}**" for key in (first, other))
        # No link: the address of the page that one is on already does not follow a link to itself.
        take = (f"compare/runs/{lesson.slug}", [first, other], True)
        st.button(names, key=f"compare/pair/{other}", icon=COMPARE_ICON, on_click=state.begin, args=take)


def knobs(runs: Sequence[Run]) -> None:
    """What differs; what does not is folded away. The head of the table says which letter and colour is whose."""
    differ, equal = knobs_beside(runs)
    _table("knob", runs, [(label, list(map(escape, values))) for label, values in differ])
    if equal:
        with st.expander(f"{len(equal)} knobs are equal"):
            st.markdown("  \n".join(f"{label}: `{values[0]}`" for label, values in equal))


def charts(choice: Choice) -> Query:
    """The curves of all runs, moved by one scrubber; which lines is the reader's choice. What asks for them."""
    runs = choice.runs
    panels, left_out = shared(runs)
    names = on_offer(panels)
    keys = ",".join(run.key for run in runs)
    lines: list[str] = []
    if len(names) > 1:
        state.begin(f"compare/series/{keys}", chosen(panels, choice.series), choice.news)
        shown = st.pills("Lines", names, selection_mode="multi", wrap=True, key=f"compare/series/{keys}")
        lines = [] if not shown or set(shown) == set(usual(panels)) else [name for name in names if name in shown]
    state.say_comparison(series=lines)
    query = [("runs", keys), *(("series", name) for name in lines)]
    if panels:
        player(
            runs[0].key,
            key="player/compare",
            source=f"api/compare?{urlencode(query)}",
            frame=state.frame_in_link(),
            projector=state.projector(),
        )
    if left_out:
        st.caption(f"Not overlaid, since they show one moment or belong to one run only: {', '.join(left_out)}.")
    return query


def take_home(query: Query) -> None:
    """The comparison as a file to keep."""
    address = escape(f"api/compare/replay.html?{urlencode(query)}")
    words = "Take this comparison home: one HTML file that replays offline"
    st.html(f'<p class="gl-files"><a href="{address}" download>{words}</a></p>')


def facts(runs: Sequence[Run]) -> None:
    """The numbers of the results with their difference to the first run, and what the seeds say to it."""
    rows = facts_beside(runs)
    if not rows:
        return
    st.subheader("Facts", anchor=False)
    st.caption(explained(rows))
    alone = [row for row in rows if sum(cell.value != NOT_HERE for cell in row[1]) < LEAST]
    _facts(runs, [row for row in rows if row not in alone])
    if alone:
        with st.expander(f"{len(alone)} facts that one run has alone"):
            _facts(runs, alone)


def _facts(runs: Sequence[Run], rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    _table("fact", runs, [(spoken(name), list(map(_cell, cells))) for name, cells in rows])


def links(runs: Sequence[Run], page: Callable[[AnyLesson], Any]) -> None:
    """Each run on its own page."""
    with st.container(horizontal=True):
        for letter, run in zip(LETTERS, runs, strict=False):
            query = state.link_to(run.lesson, run.knobs, run.key)
            st.page_link(page(run.lesson), label=f"Open {letter}", icon=":material/arrow_forward:", query_params=query)


def _cell(cell: Cell) -> str:
    below = [part for part in (cell.difference, cell.verdict) if part]
    lines = [" · ".join(below), cell.spread]
    return f"<span>{escape(cell.value)}</span>" + "".join(f"<small>{escape(line)}</small>" for line in lines if line)


def _table(what: str, runs: Sequence[Run], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """A table with a column for each run; the cells are HTML, the labels are text."""
    heads = "".join(f'<th scope="col">{_head(i, run)}</th>' for i, run in enumerate(runs))
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{"</td><td>".join(cells)}</td></tr>' for label, cells in rows
    )
    head = f'<tr><th scope="col">{escape(what)}</th>{heads}</tr>'
    st.html(f'<div class="gl-beside" tabindex="0"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')


def _head(number: int, run: Run) -> str:
    name = escape(clip(run.lesson.name_of(run.knobs), LONGEST_NAME))
    return f'<span class="gl-letter" style="background:{COLOURS[number]}">{LETTERS[number]}</span>{name}'
