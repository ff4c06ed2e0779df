"""The contract's own small pieces: keys, presets, divergence."""

from dataclasses import replace

import numpy as np

from core.frames import Frame, Recording
from core.lessons import LESSONS

LESSON = LESSONS["width-and-interpolation"]
KNOBS = LESSON.knobs(widths=(8, 16), seeds=2)


def test_the_key_changes_with_knobs_lesson_and_revision_only():
    key = LESSON.key(KNOBS)
    assert key == LESSON.key(LESSON.parse(KNOBS.model_dump()))
    others = [
        LESSON.key(KNOBS.model_copy(update={"seed": 2})),
        replace(LESSON, revision=2).key(KNOBS),
        replace(LESSON, slug="other").key(KNOBS),
        replace(LESSON, title="other").key(KNOBS),
    ]
    assert [other == key for other in others] == [False, False, False, True]


def test_a_net_whose_loss_is_no_number_in_any_seed_has_diverged_at_that_step():
    recording = Recording()
    for step, losses in enumerate([[[1, 1], [1, 1]], [[1, 1], [1, np.inf]], [[1, 1], [1, np.nan]]]):
        recording.append(Frame(step, {"train_loss": losses}))
    assert LESSON.diverged(KNOBS, recording) == {"h=16": 1.0}


def test_nothing_has_diverged_before_the_first_frame():
    assert LESSON.diverged(KNOBS, Recording()) == {}


def test_a_preset_is_recognised_by_its_knobs():
    assert LESSON.preset_of(LESSON.presets["Done right"]) == "Done right"
    assert LESSON.preset_of(KNOBS) is None
