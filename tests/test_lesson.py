"""The contract's own small pieces: keys, presets, divergence."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import Frame, Recording
from core.knobs import KnobError
from core.lessons import LESSONS
from tests.altered import altered

LESSON = LESSONS["width-and-interpolation"]
KNOBS = LESSON.knobs(widths=(8, 16), seeds=2)


def test_the_key_changes_with_knobs_lesson_and_revision_only():
    key = LESSON.key(KNOBS)
    assert key == LESSON.key(LESSON.parse(KNOBS.model_dump()))
    others = [
        LESSON.key(KNOBS.model_copy(update={"seed": 2})),
        altered(LESSON, revision=2).key(KNOBS),
        altered(LESSON, slug="other").key(KNOBS),
        altered(LESSON, prose=replace(LESSON.prose, title="other")).key(KNOBS),
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


@pytest.mark.parametrize("slug", list(LESSONS))
@given(chance=st.randoms(use_true_random=False))
def test_what_a_list_names_comes_in_one_order_whatever_order_it_was_chosen_in(slug, chance):
    lesson = LESSONS[slug]
    for knobs in lesson.presets.values():
        values = knobs.model_dump()
        assert lesson.asked(values) == knobs, "a preset stays as it is"
        for each in knobs.declared():
            if each.kind == "list":
                offered = each.choices or each.stops
                values[each.name] = chance.sample(offered, chance.randint(1, min(len(offered), each.most)))
        with suppress(KnobError):  # some choices cannot be together
            first = lesson.asked(values)
            for each in knobs.declared():
                if each.kind == "list":
                    chance.shuffle(values[each.name])
            assert lesson.key(lesson.asked(values)) == lesson.key(first)
            assert lesson.asked(first.model_dump()) == first


def test_words_that_are_not_on_offer_come_last_as_they_were_given():
    lesson = LESSONS["depth-vs-width"]
    asked = lesson.asked({"architectures": ["7-7", "512", "9", "64"]})
    assert asked.architectures == ("64", "512", "7-7", "9")
