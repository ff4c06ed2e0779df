"""The parts of a lesson page, top to bottom. Each draws one of them and returns what the page needs to know."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from core import data
from core.claims import SIGNS, Claim
from core.cost import CostError, spell_seconds
from core.data import DataError
from core.device import DeviceError
from core.knobs import KnobError, Knobs, spell
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.links import HUNT, PREDICTION
from core.runs.run import Run, State
from core.runs.runner import QueueFull
from core.scripts import has_script, script
from core.ui import classroom, data_sets, page_query, state
from core.ui.cards import as_text
from core.ui.folded import folded
from core.ui.knob_panel import knobs_as_turned, take
from core.ui.look import COMPARE_ICON
from core.ui.player import player
from core.ui.replay import provenance
from core.ui.run_list import stop_button

RUN, STOP = "run", "stop"  # keys of the two buttons
SCRIPT_HEIGHT = 260  # pixels: some ten lines of it, the rest scrolls
MOST_CHANGED = 2  # knobs in which a run may differ from the one that stands pale behind it


def heading(lesson: AnyLesson) -> None:
    """The question, where it comes from, and the switch for a room."""
    words, switch = st.columns([5, 1], vertical_alignment="bottom")
    words.title(lesson.question, anchor=False)
    words.caption(lesson.origin)
    with switch:
        projector_switch()


def projector_switch() -> None:
    """Large type and few words, on or off."""
    st.toggle("Projector", key=state.begin_projector(), on_change=state.turn_projector, help="Large type for a room.")


Known = tuple[Knobs | None, str]
"""Knobs as they stand, or None where they cannot be; and why what was pressed was refused, "" where it was not."""


def run_and_what_it_shows(lesson: AnyLesson, known: Known, compare: "st.Page") -> None:
    """Draw what follows from the knobs: half of the page, and all that changes where one is turned, Run is pressed or
    a run ends. Then this part is drawn alone.

    Args:
        lesson: whose page it is.
        known: what the page knows as it is drawn; this part alone finds out anew.
        compare: where runs are compared.
    """
    st.fragment(_run_and_what_it_shows, key=state.what_follows(lesson))(lesson, [known], compare)


def _run_and_what_it_shows(lesson: AnyLesson, known: list[Known], compare: "st.Page") -> None:
    knobs, refusal = known.pop() if known else _found_out(lesson)
    run = shown_run(lesson, knobs)
    # Read once, ahead of everything that depends on it: a run may end while the page is drawn, and the player tells of
    # an end that this page has not drawn yet.
    seen = None if run is None else run.state
    run_bar(lesson, knobs, run, refusal, compare)
    predict(lesson, run)
    if run is None:
        st.info("Nothing has been run here yet. Press Run.", icon=":material/play_arrow:")
    else:
        verdict_on_run(lesson, run)
        earlier, what_changed = earlier_run(lesson, run)
        player(
            run.key,
            key=f"player/{lesson.slug}",
            state=seen,
            frame=state.frame_in_link(),
            ghost=earlier,
            ghost_text=what_changed,
            projector=state.projector(),
            presses=state.counter(_presses(lesson)),
        )
        claims(run)
    hunt(lesson)
    theory_and_code(lesson)
    if run is not None:
        take_home(run)


def _found_out(lesson: AnyLesson) -> Known:
    knobs, _ = knobs_as_turned(lesson)
    refusal = press(lesson, knobs)
    page_query.send()
    return knobs, refusal


def press(lesson: AnyLesson, knobs: Knobs | None) -> str:
    """Do what Run or Stop asks, if one was pressed. Returns the sentence of a refusal.

    Before anything is drawn: a page that is drawn again for another reason would lose a press that is looked at later,
    and what is drawn after it stands at once as it will be.
    """
    if state.pressed(STOP):
        run = state.runner().get(state.run_in_link() or "")
        if run is not None:
            state.stop(run)
    if knobs is None or not state.pressed(RUN):
        return ""
    shown = _linked_or_nearest(lesson, knobs)
    try:
        run = state.runner().submit(lesson, knobs, asker=state.asker(), student=not state.teacher())
    except (CostError, DataError, DeviceError, QueueFull) as error:
        return str(error)
    before = state.earlier_in_link()  # stays where what is shown has no curves of its own
    if shown is not None and len(shown.recording):
        before = shown.key if shown.state.final and shown.key != run.key else None
    state.show_run(run.key, before)
    state.count(_presses(lesson))
    return ""


def _presses(lesson: AnyLesson) -> str:
    """The key under which it is counted how often Run was pressed here, and not refused."""
    return f"{lesson.slug}/presses"


def run_bar(lesson: AnyLesson, knobs: Knobs | None, shown: Run | None, refusal: str, compare: "st.Page") -> None:
    """Run with what it will cost, Stop while something is to be stopped, and the way to `compare` what has ended."""
    with st.container(horizontal=True, vertical_alignment="center", key="run_bar"):
        live = shown is not None and not shown.state.final
        mine = shown is not None and state.asker() in shown.askers
        label = "Run" if knobs is None else f"Run · {_price(lesson, knobs)}"
        idle = knobs is None or (live and mine)
        st.button(label, type="primary", key=RUN, icon=":material/play_arrow:", disabled=idle)
        if refusal:
            st.error(refusal, icon=":material/block:")
        if shown is not None and live:
            stop_button(shown, STOP)
        if shown is not None:
            left_out = as_text(" ".join(state.runner().engine.machine.found.sentences))
            st.caption(_what_is_shown(lesson, knobs, shown), help=left_out or None)
        if shown is not None and not live and len(shown.recording):
            st.page_link(compare, label="Compare with …", icon=COMPARE_ICON, query_params={"runs": shown.key})


def _price(lesson: AnyLesson, knobs: Knobs) -> str:
    if state.runner().store.has(lesson, knobs):
        return "instant"
    return spell_seconds(state.runner().estimate(lesson, knobs))


def _what_is_shown(lesson: AnyLesson, knobs: Knobs | None, run: Run) -> str:
    where = {"gallery": "from the gallery", "runs": "from the cache", "live": "this run"}[run.origin]
    where = "imported from another server" if run.imported else where
    if knobs is None or run.knobs == knobs:
        if not run.state.final:  # the player says whether it waits or trains: it looks again and again
            return "Shown: this run. It starts by itself and grows here."
        if not len(run.recording):
            return f"This run was {run.state} before its first curve."
        return f"Shown: {where}, {as_text(run.device)}."
    if not run.state.final:
        return f"Shown: the run asked for, with {run.knobs.difference(knobs)}. When it has ended, press Run for yours."
    which = "the run before" if run.origin == "live" else f"the nearest run, {where}"
    return f"Shown: {which}, with {run.knobs.difference(knobs)}. Press Run for yours."


def earlier_run(lesson: AnyLesson, run: Run) -> tuple[str | None, str]:
    """The run that was on the screen when this one was asked for, and what it had otherwise.

    None where there was none, or where so much was changed that the two cannot be compared at a glance.
    """
    key = state.earlier_in_link()
    before = state.runner().get(key) if key is not None and key != run.key else None
    if before is None or before.lesson is not lesson:
        return None, ""
    changed = before.knobs.changed_from(run.knobs)
    if len(changed) > MOST_CHANGED:
        return None, ""
    labels = {knob.name: knob.label for knob in lesson.knobs.declared()}
    now = dict(run.knobs)
    words = (f"{labels[name]} = {spell(value)}, now {spell(now[name])}" for name, value in changed.items())
    return before.key, f"Pale: the run before, with {'; '.join(words)}"


def shown_run(lesson: AnyLesson, knobs: Knobs | None) -> Run | None:
    """The run on the screen: the link's, else the stored one of these knobs, else the nearest stored one."""
    asked, run = state.run_in_link(), _linked_or_nearest(lesson, knobs)
    if asked is not None and (run is None or run.key != asked):
        st.warning(state.link_sentence(asked), icon=":material/link_off:")
    return run


def _linked_or_nearest(lesson: AnyLesson, knobs: Knobs | None) -> Run | None:
    asked = state.run_in_link()
    run = None if asked is None else state.runner().get(asked)  # it may be asked for any text
    if run is not None and run.lesson is lesson:
        return run
    return state.runner().store.nearest(lesson, knobs if knobs is not None else next(iter(lesson.presets.values())))


def missing_data(lesson: AnyLesson, knobs: Knobs) -> None:
    """Where a data set is not on this machine: download it, or take the embedded one in one click.

    One that lies here in a form that has yet to be decoded is decoded, with the same bar.
    """
    name = lesson.dataset(knobs)
    if name is None or data.available(name):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="missing"):
        wanted = data_sets.wanted(name, "download")
        st.button("Use digits, which needs no download", key="digits", on_click=_use_digits, args=(lesson, knobs))
    if wanted:
        data_sets.bring(name)


def _use_digits(lesson: AnyLesson, knobs: Knobs) -> None:
    other = knobs.model_copy(update={"dataset": "digits"})
    share = state.share(lesson)
    if share is not None:
        share = replace(share, knobs=share.knobs.model_copy(update={"dataset": "digits"}))
    state.fix(lesson, other, state.hidden(lesson), share)
    state.fill_widgets(lesson, other)
    state.go_by_widgets(lesson)


def verdict_on_run(lesson: AnyLesson, run: Run) -> None:
    """What went wrong, if anything did: a failure, an interruption, a net that diverged."""
    if run.state in (State.FAILED, State.INTERRUPTED):
        st.error(run.error, icon=":material/error:")
    elif run.error:
        st.warning(run.error, icon=":material/warning:")
    for series, step in lesson.diverged(run.knobs, run.recording).items():
        st.warning(
            f"{series} diverged at {lesson.axis} {step:g}: its loss is no number any more. The others went on. "
            "A smaller learning rate keeps it.",
            icon=":material/trending_up:",
        )


def predict(lesson: AnyLesson, run: Run | None) -> None:
    """One question before the reveal; skipping it costs nothing. The teacher of a class sees what it says."""
    if PREDICTION in state.hidden(lesson) or not lesson.prose.answers:
        return
    with st.container(border=True, key="predict"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/psychology_alt: **{lesson.prose.prediction}**", width="content")
            said: Any = {"on_change": state.predicted, "args": (lesson,), "label_visibility": "collapsed", "wrap": True}
            st.pills("Your prediction", lesson.prose.answers, key=state.begin_prediction(lesson), **said)
            guess = state.prediction(lesson)
            ended = guess is not None and run is not None and run.state.final
            if ended and st.toggle("Show what happened", key=f"{lesson.slug}/reveal"):
                told = (run.outcome if run is not None else None) or "This run cannot tell."
                st.markdown(f"You said: *{guess}*. {told}", width="content")
        if state.invited() is not None and state.teacher():
            classroom.class_predicts(lesson)


def claims(run: Run) -> None:
    """Every claim with its number, the notebook's and the literature's, and its verdict."""
    if not run.lesson.has_claims:
        return
    st.subheader("Claims, checked on this run", anchor=False)
    if not run.state.final:
        st.caption("Checked when the run ends.")
        return
    if run.manifest is not None and run.manifest.data not in (None, run.lesson.dataset(run.knobs)):
        st.caption(f"Data: {run.manifest.data}.")  # not as they were published: said beside what is compared
    if run.state is State.STOPPED and run.recording.progress < 1.0:
        st.caption("This run was stopped: what only its end decides is not decided.")
    few_words = state.projector()
    st.markdown("\n\n".join(_claim(claim, few_words) for claim in run.claims))
    if not few_words:
        _deciding_knobs(run)


def _deciding_knobs(run: Run) -> None:
    """A button for each set of knobs whose run would decide claims that this one leaves open."""
    lesson = run.lesson
    if state.hidden(lesson) or state.share(lesson) is not None:
        return  # what a link fixes stays as it is
    undecided: Counter[Knobs] = Counter()
    for claim in run.claims:
        if claim.holds is None and claim.decided_by:
            with suppress(KnobError):  # stored by an earlier version
                undecided[lesson.parse(claim.decided_by)] += 1
    if undecided:
        with st.container(horizontal=True, vertical_alignment="center", key="deciding"):
            st.caption("Not decided yet, and what would decide it:", width="content")
            for i, (knobs, count) in enumerate(undecided.items()):
                label = f"{lesson.name_of(knobs)} ({count} {'claim' if count == 1 else 'claims'})"
                st.button(label, key=f"deciding{i}", type="tertiary", on_click=take, args=(lesson, knobs))


def _claim(claim: Claim, few_words: bool) -> str:
    """A claim as a paragraph."""
    colour = {"holds": "green", "does not hold": "red", "not decided": "gray"}[claim.verdict]
    lines = [f":{colour}-badge[{SIGNS[claim.verdict]} {claim.verdict}] &nbsp; **{claim.sentence}.**"]
    if few_words:  # for a room
        return f"{lines[0]} {claim.measured}"
    if claim.measured:
        lines.append(f"This run: {claim.measured}. Expected: {claim.expected} ({claim.source}).")
    said = [f"Notebook: {claim.notebook}." if claim.notebook else ""]
    said += [f"Literature: {claim.literature}." if claim.literature else ""]
    if claim.holds is None and claim.hint:
        said.append(f"To decide it: {claim.hint}.")
    return "  \n".join([*lines, " ".join(filter(None, said))]).rstrip()


def hunt(lesson: AnyLesson) -> None:
    """The notebook's mistakes; the cause comes last, step by step."""
    if HUNT in state.hidden(lesson) or not lesson.prose.mistakes:
        return
    with folded(f"{lesson.slug}/hunt", "What the notebook got wrong", ":material/search:") as opened:
        if not opened:
            return
        reproduced = 'The preset "As the notebook ran it" reproduces it. ' * (
            "As the notebook ran it" in lesson.presets
        )
        st.caption(f"{reproduced}Find the cause before you read it.")
        for number, mistake in enumerate(lesson.prose.mistakes, start=1):
            st.markdown(f"**{number}. {mistake.title}**")
            key = f"{lesson.slug}/clue/{number}"
            given = state.counter(key)
            for clue in mistake.clues[:given]:
                st.markdown(f"- {clue}")
            if given > len(mistake.clues):
                st.info(mistake.cause)
            else:
                label = "Give me a clue" if given < len(mistake.clues) else "Show the cause"
                st.button(label, key=f"{key}/more", on_click=state.count, args=(key,))


def theory_and_code(lesson: AnyLesson) -> None:
    """Why it happens, and the code that ran."""
    if lesson.prose.theory:
        with st.expander("Why?", icon=":material/school:"):  # always drawn: a page that is printed shows it
            st.markdown(lesson.prose.theory)
    with folded(f"{lesson.slug}/code", "The code", ":material/code:") as opened:
        if opened:
            st.caption("The training as it runs: where a notebook prints, this yields a frame.")
            st.code(lesson.source(), language="python", line_numbers=True)


def take_home(run: Run) -> None:
    """The run to keep, its script, the command that repeats it, and where the numbers come from."""
    with folded(f"{run.lesson.slug}/take_home", "Take it home", ":material/redeem:") as opened:
        if not opened:
            return
        if not run.state.final:
            st.caption("When the run has ended.")
            return
        # Routes of ours, since Streamlit would make each file anew at each look and forget it at each reload.
        files: dict[str, str] = {}
        if len(run.recording):
            files |= {"replay.html": "One HTML file that replays offline", "curves.csv": "The curves as CSV"}
        if has_script(run.lesson):
            files["script.py"] = "A script for your notebook"
        if run.manifest is not None:
            files["bundle.glab"] = "One file for another server"
        links = (f'<a href="api/runs/{run.key}/{file}" download>{words}</a>' for file, words in files.items())
        st.html(f'<p class="gl-files">{" ".join(links)}</p>')
        if has_script(run.lesson):
            st.caption("The script, with this run's knobs. It takes PyTorch with torchvision, and matplotlib to draw:")
            st.code(script(run.lesson, run.knobs), language="python", height=SCRIPT_HEIGHT)
        st.caption("Each chart gives a PNG. The address of this page carries the run and the moment where you stop it.")
        st.caption("The same run, from the command line:")
        st.code(command(run), language="bash")
        st.caption("Where these numbers come from:")
        st.dataframe(pd.DataFrame(provenance(run)), hide_index=True, column_config={"0": "", "1": ""})


def neighbours(lesson: AnyLesson, page: Callable[[AnyLesson], Any]) -> None:
    """The lessons before and after this one, a key each."""
    lessons = list(LESSONS.values())
    at = lessons.index(lesson)
    with st.container(horizontal=True, horizontal_alignment="distribute", key="neighbours"):
        for step, key, icon in ((-1, "p", ":material/arrow_back:"), (1, "n", ":material/arrow_forward:")):
            if 0 <= at + step < len(lessons):
                other = lessons[at + step]
                if st.button(other.title, key=f"neighbour{step}", icon=icon, type="tertiary", shortcut=key):
                    st.switch_page(page(other))


def command(run: Run) -> str:
    """The command that gives this run again."""
    preset = run.lesson.preset_of(run.knobs)
    if preset is not None:
        return f'python -m core run {run.lesson.slug} --preset "{preset}"'
    usual = next(iter(run.lesson.presets.values()))
    sets = (f"--set '{name}={json.dumps(value)}'" for name, value in run.knobs.changed_from(usual).items())
    return " ".join(["python -m core run", run.lesson.slug, *sets])
