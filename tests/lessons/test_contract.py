"""One contract for every lesson and preset, shrunk by the override that the lesson declares."""

import io
import itertools
import json
import math
import re
from collections import Counter
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch

from core.claims import Claim
from core.frames import TIMED, Recording
from core.knobs import Knob, Knobs, link_text
from core.lesson import AnyLesson
from core.lessons import CURRICULUM, LESSONS
from core.narrator import MOST, Kind, marks
from core.places import GALLERY
from core.runs import bundle
from core.runs.agreement import disagreement, stated
from core.runs.run import Run, State
from core.runs.store import Store
from core.ui.take_home import MISREAD, as_text, curves_csv

CPU = torch.device("cpu")
EVERY = [pytest.param(lesson, name, id=f"{lesson.slug}-{name}") for lesson in CURRICULUM for name in lesson.presets]


def record(lesson: AnyLesson, knobs: Knobs, frames: int | None = None) -> Recording:
    recording = Recording()
    for frame in itertools.islice(lesson.train(knobs, CPU), frames):
        recording.append(frame)
    return recording


@pytest.fixture(scope="module")
def recordings() -> dict[tuple[str, str], Recording]:
    """One shrunk run per lesson and preset, trained once for all tests here."""
    return {
        (lesson.slug, name): record(lesson, lesson.small(knobs))
        for lesson in CURRICULUM
        for name, knobs in lesson.presets.items()
    }


def test_slugs_are_distinct_and_fit_a_link():
    assert len(LESSONS) == len(CURRICULUM)
    assert all(slug.replace("-", "").isalnum() and slug == slug.lower() for slug in LESSONS)


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_presets_begin_with_the_classroom_and_hold_the_notebook_and_the_right_way(lesson):
    names = list(lesson.presets)
    assert names[0] == "Classroom"
    ran = set() if lesson.slug == "scaling" else {"As the notebook ran it"}  # which the notebook left out
    assert {"Done right", *ran} <= set(names)
    # A knob that came later has the value that stored runs had; the Classroom may have a better one.
    added = {knob.name for knob in lesson.knobs.declared() if knob.added}
    assert set(lesson.presets["Classroom"].changed_from(lesson.knobs())) <= added
    assert len(set(lesson.presets.values())) == len(names)


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_every_knob_says_its_effect_and_shows_stops_within_its_limits(lesson):
    for knob in lesson.knobs.declared():
        assert len(knob.help) > 10
        assert knob.item == "str" or (knob.low is not None and knob.high is not None)
        assert knob.item == "str" or all(knob.low <= stop <= knob.high for stop in knob.stops)
    assert 2 <= sum(knob.shown for knob in lesson.knobs.declared()) <= 4


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_frames_begin_at_zero_never_fall_and_end_whole(lesson, name, recordings):
    recording = recordings[lesson.slug, name]
    steps = recording.steps()
    assert steps[0] == 0
    assert (np.diff(steps) >= 0).all()
    assert recording.progress == pytest.approx(1.0)
    assert 2 <= len(steps) <= 400
    assert recording.curve(lesson.watched)[1].shape[1] == len(lesson.series(lesson.small(lesson.presets[name])))


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_facts_are_numbers_or_null_and_the_same_from_a_stored_recording(lesson, name, recordings):
    recording, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    facts = lesson.result(knobs, recording).values
    assert facts
    assert all(value is None or math.isfinite(value) for value in facts.values())
    json.dumps(dict(facts), allow_nan=False)
    again = Recording.from_arrays(recording.arrays())  # the same numbers, and sums over them in another order
    here, there = (Run(lesson, knobs, "", recording=each, state=State.DONE) for each in (recording, again))
    assert disagreement(stated(here), stated(there)) == ""


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_claims_are_sentences_with_a_source_and_say_how_to_decide_them(lesson, name, recordings):
    recording, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    found = lesson.result(knobs, recording).claims
    assert len({claim.sentence for claim in found}) == len(found) >= 3
    for claim in found:
        assert claim.source
        assert claim.expected
        assert claim.holds is not None or claim.hint
        assert Claim.of(json.loads(json.dumps(claim.plain()))) == claim


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_claims_and_facts_can_be_asked_for_at_every_frame(lesson, name, recordings):
    whole, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    for upto in range(1, len(whole)):
        partial = record(lesson, knobs, upto)
        assert lesson.result(knobs, partial).facts
        assert lesson.result(knobs, partial).claims
        if upto > 3:
            break


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_every_panel_draws_empty_midway_and_done_and_its_deltas_add_up(lesson, name, recordings):
    recording, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    middle = len(recording) // 2
    for panel in lesson.panels(knobs):
        assert panel.name
        assert len(panel.caption) > 20
        empty, midway, done = (panel.figure(recording, upto) for upto in (0, middle, None))
        assert len(empty.data) == len(midway.data) == len(done.data) == len(panel.bindings())
        assert panel.figure(recording) == done
        whole = panel.delta(recording)
        parts = panel.delta(recording, 0, middle) + panel.delta(recording, middle)
        assert _points(whole) == _points(parts)
        json.dumps(whole, allow_nan=False)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> list[Run]:
    """The runs that ship: long enough for something to happen."""
    store = Store(tmp_path_factory.mktemp("cache"), [GALLERY], LESSONS)
    return [run for listed in store.list() if (run := store.find(listed.lesson, listed.knobs)) is not None]


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_the_narrator_watches_curves_that_there_are_and_speaks_in_sentences(lesson, name, recordings):
    recording, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    for watch in lesson.watches(knobs):
        values = recording.curve(watch.curve)[1]
        assert 0 < len(watch.names) <= values.shape[1]
        assert re.fullmatch(r"\S.*\b0\.5\b.*\.", watch.say(watch.names[0], watch.what, "0.5", "pass 2", "0.7")[1])
    assert_marks_lie_on_lines(lesson, knobs, recording)


def test_the_narrator_has_something_to_tell_of_the_runs_that_ship(stored):
    kinds = {kind for run in stored for kind in assert_marks_lie_on_lines(run.lesson, run.knobs, run.recording)}
    assert kinds == set(get_args(Kind))


def assert_marks_lie_on_lines(lesson: AnyLesson, knobs: Knobs, recording: Recording) -> set[str]:
    """Marks are few, each is a point of a line, and half of the run tells what the whole told by then; their kinds."""
    watches, steps, middle = lesson.watches(knobs), recording.steps(), len(recording) // 2
    found = marks(recording, watches, lesson.axis)
    assert marks(recording, watches, lesson.axis, middle) == [mark for mark in found if mark.frame < middle]
    assert all(count <= MOST for count in Counter(mark.curve for mark in found).values())
    for mark in found:
        frames, values = recording.curve(mark.curve)
        line = values.reshape(*values.shape[:2], -1)[:, mark.series].mean(axis=1)
        assert mark.frame in frames
        assert mark.step <= steps[mark.frame]
        assert mark.value in line[steps[frames] == mark.step]
        assert re.fullmatch(r"\S.*\d.*\.", mark.sentence)
        assert re.search(r"\d", mark.label)
    return {mark.kind for mark in found}


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_what_is_watched_is_drawn(lesson):
    panels = lesson.panels(lesson.knobs())
    for watch in lesson.watches(lesson.knobs()):
        drawn = [i for i in range(len(watch.names)) if any(panel.drawn(watch.curve, i) for panel in panels)]
        # What tells of a net that diverged may be drawn nowhere; it is told in words then.
        assert drawn == list(range(len(watch.names))) or watch.curve == lesson.watched, watch.curve


def _points(delta: list[dict[str, Any]]) -> dict[Any, Any]:
    return {
        (part["trace"], part.get("set", "y"), frame): json.dumps(value)
        for part in delta
        for frame, value in zip(part["frames"], part.get("y", part.get("values")), strict=True)
    }


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_the_table_of_its_curves_has_the_lessons_own_names_and_true_seeds(lesson, name, recordings):
    recording, knobs = recordings[lesson.slug, name], lesson.small(lesson.presets[name])
    run = Run(lesson, knobs, lesson.key(knobs), recording=recording, state=State.DONE)
    table = pd.read_csv(io.BytesIO(curves_csv(run)))
    seed, seeds = getattr(knobs, "seed", None), getattr(knobs, "seeds", 1)
    for curve in recording.curves:
        frames, values = recording.curve(curve)
        axes = lesson.axes_of(knobs, curve, values.shape[1:])
        declared = dict(lesson.axes(knobs).get(curve, {}))
        assert [len(each) for each in axes.values()][: values.ndim - 1] == list(values.shape[1:])
        assert all(axes[each] == declared[each] for each in declared), "as many names as columns"
        if not declared:
            assert list(axes["series"]) == list(lesson.series(knobs) if values.ndim > 1 else ("all",))
        rows = table[table.curve == curve]
        assert rows.value.to_numpy().tolist() == pytest.approx(values.ravel().tolist(), nan_ok=True, rel=0, abs=0)
        assert rows.step.tolist() == np.repeat(recording.steps()[frames], values[0].size).tolist()
        for axis, names in axes.items():
            said = [as_text(each) if isinstance(each, str) else each for each in names]
            assert rows[axis].dropna().unique().tolist() == [each for each in said if each is not None]
        if seed is not None:
            assert set(rows.seed) <= set(range(seed, seed + seeds))
    assert not [each for each in table.series.unique() if MISREAD.fullmatch(each)]


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_its_runs_can_go_to_another_server(lesson, name, recordings, tmp_path):
    here, there = (Store(tmp_path / each, [], LESSONS) for each in ("here", "there"))
    knobs = lesson.small(lesson.presets[name])
    run = Run(lesson, knobs, lesson.key(knobs), recording=recordings[lesson.slug, name], state=State.DONE)
    here.commit(run, threads=1, versions={}, data=lesson.dataset(knobs))
    found, new = bundle.bring_in(bundle.export(run), there)
    assert new
    assert found.key == run.key
    assert disagreement(stated(run), stated(found)) == ""


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_equal_knobs_give_an_equal_run_bit_for_bit(lesson, name, recordings):
    """On one kind of processor: `tests/everywhere` tells how far apart others are."""
    again = record(lesson, lesson.small(lesson.presets[name])).arrays()
    first = recordings[lesson.slug, name].arrays()
    assert first.keys() == again.keys()
    for key, value in first.items():
        if key.partition("/")[2].startswith(TIMED):
            continue
        np.testing.assert_array_equal(value, again[key], err_msg=key)


LEFT_TO_CHANCE = [lesson for lesson in CURRICULUM if "seed" in lesson.knobs.model_fields]  # a calculator has no seed


@pytest.mark.parametrize("lesson", LEFT_TO_CHANCE, ids=lambda lesson: lesson.slug)
def test_another_seed_gives_another_run(lesson, recordings):
    knobs = lesson.small(lesson.presets["Classroom"])
    other = record(lesson, knobs.model_copy(update={"seed": knobs.seed + 1}))
    assert not np.array_equal(
        other.curve(lesson.watched)[1], recordings[lesson.slug, "Classroom"].curve(lesson.watched)[1]
    )


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_training_leaks_no_mode_to_whoever_iterates(lesson, name):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for _ in lesson.train(lesson.small(lesson.presets[name]), CPU):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert torch.equal(torch.random.get_rng_state(), before), "the global seed belongs to nobody"


def bounds(knob: Knob) -> tuple[Any, ...]:
    """The outermost values of a knob; of words and texts, all that it offers."""
    if knob.kind == "bool":
        return (False, True)
    if knob.item == "str":
        return knob.choices or knob.stops or (knob.default,)
    return (knob.low, knob.high)


AT_BOUNDS = [
    pytest.param(lesson, knob, bound, id=f"{lesson.slug}-{knob.name}-{bound}")
    for lesson in CURRICULUM
    for knob in lesson.knobs.declared()
    for bound in bounds(knob)
]


@pytest.mark.parametrize(("lesson", "knob", "bound"), AT_BOUNDS)
def test_every_knob_works_at_both_bounds(lesson, knob, bound):
    value = (bound,) if knob.kind == "list" else bound
    if knob.name == "dataset" and bound != "digits":
        pytest.skip("needs the real data set; tests/lessons has a test of its own for that")
    knobs = lesson.parse({**lesson.small(lesson.knobs()).model_dump(), knob.name: value})
    recording = record(lesson, knobs, frames=2)
    assert lesson.result(knobs, recording).facts
    for panel in lesson.panels(knobs):
        panel.figure(recording)
    assert lesson.cost_of(knobs).bytes > 0


@pytest.mark.parametrize(("lesson", "name"), EVERY)
def test_a_link_carries_the_knobs(lesson, name):
    knobs = lesson.presets[name]
    text = {each: link_text(value) for each, value in knobs.model_dump().items()}
    assert lesson.parse(text) == knobs
    assert lesson.preset_of(lesson.parse(text)) == name


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_what_students_read_is_the_code_that_runs(lesson):
    assert "yield" in lesson.source()
    assert "def train(" in lesson.source()
    assert len(lesson.prose.mistakes) >= 3
    assert all(mistake.clues and mistake.cause for mistake in lesson.prose.mistakes)
    assert len(lesson.prose.theory) > 500
    texts = [
        lesson.prose.theory,
        *(text for each in lesson.prose.mistakes for text in (each.title, *each.clues, each.cause)),
    ]
    for text in texts:
        assert all(c == "\n" or c.isprintable() for c in text), "a formula whose backslash was eaten"
        assert text.count("$") % 2 == 0
        fences = [line for line in text.splitlines() if "$$" in line]
        assert set(fences) <= {"$$"}, "a displayed formula takes the rest of the page where its fence shares a line"
        assert not re.search(r"(?<!\\)\b(t?frac|ight|eft|athrm|abla|elta)\b(?=[{(\s])", text)
    small = lesson.small(lesson.knobs())
    assert lesson.result(small, record(lesson, small)).outcome


def test_knobs_of_different_runs_have_different_keys():
    keys = {lesson.key(knobs) for lesson in CURRICULUM for knobs in lesson.presets.values()}
    assert len(keys) == sum(len(lesson.presets) for lesson in CURRICULUM)
    assert all(len(key) == 32 for key in keys)
