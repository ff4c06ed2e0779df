"""Fewer examples than were asked for: what is counted is what there is, in every lesson that learns a data set.

And claims on runs that cannot decide them: too few examples, or too little training, decide nothing.
"""

import numpy as np
import pytest
import torch

from core import data, lesson
from core.frames import TIMED, Frame, Recording
from core.lessons import CURRICULUM, LESSONS

CPU = torch.device("cpu")
ON_DIGITS = [each for each in CURRICULUM if {"dataset", "examples"} <= set(each.knobs.model_fields)]
LEARNED = {"optimizers": 1250}  # of 1,501 a sixth is held out to tune on
QUICK = {
    "batchnorm-and-dropout": {"variants": ("batch norm",), "epochs": 1, "batch_size": 100},
    "width-and-interpolation": {"widths": (4,), "passes": 1, "batch_size": 64, "seeds": 1},
    "optimizers": {"optimizers": ("sgd", "adam"), "epochs": 1, "width": 8, "batch_size": 128},
    "cutout-and-batch-augmentation": {"augmentations": (2,), "frozen_copies": "instead", "epochs": 1},
}  # fmt: skip


def record(each, knobs):
    recording = Recording()
    for frame in each.train(knobs, CPU):
        recording.append(frame)
    return recording


def asked_and_there(slug, **more):
    """The knobs with all examples that the knob offers, and with as many as digits has."""
    each = LESSONS[slug]
    most = next(knob.high for knob in each.knobs.declared() if knob.name == "examples")
    there = LEARNED.get(slug, data.sizes("digits")[0])
    assert most > there
    base = {**each.knobs().model_dump(), **QUICK[slug], "dataset": "digits", **more}
    return [each.parse({**base, "examples": n}) for n in (int(most), there)]


@pytest.mark.parametrize("slug", [each.slug for each in ON_DIGITS])
def test_a_run_costs_and_learns_what_there_is(slug):
    each = LESSONS[slug]
    asked, there = asked_and_there(slug)
    assert each.cost_of(asked) == each.cost_of(there)
    assert each.cost_of(there) != each.cost_of(there.model_copy(update={"examples": there.examples - 200}))
    ran, same = record(each, asked), record(each, there)
    for name, values in same.arrays().items():
        if TIMED not in name:
            np.testing.assert_array_equal(ran.arrays()[name], values, err_msg=name)
    verdicts = [[(c.sentence, c.holds) for c in each.result(knobs, ran).claims] for knobs in (asked, there)]
    assert verdicts[0] == verdicts[1]
    for asking, being in zip(each.panels(asked), each.panels(there), strict=True):
        assert asking.layout == being.layout, "axes end where the run does"


@pytest.mark.parametrize("slug", [each.slug for each in ON_DIGITS])
def test_no_preset_on_digits_costs_more_than_what_digits_has(slug):
    each = LESSONS[slug]
    for knobs in each.presets.values():
        small = knobs.model_copy(update={"dataset": "digits"})
        there = min(small.examples, LEARNED.get(slug, data.sizes("digits")[0]))
        assert each.cost_of(small) == each.cost_of(small.model_copy(update={"examples": there}))


def test_frozen_copies_of_all_digits_have_the_steps_that_they_should():
    each = LESSONS["cutout-and-batch-augmentation"]
    knobs = asked_and_there(each.slug, augmentations=(2, 4), batch_size=32)[0]
    claim = next(c for c in each.result(knobs, record(each, knobs)).claims if "frozen" in c.sentence)
    assert (claim.measured, claim.holds) == ("M=2: 94, M=4: 188", True)  # 3,002 and 6,004 over 32


def test_statistics_that_have_not_settled_decide_nothing_on_digits():
    each = LESSONS["batchnorm-and-dropout"]
    preset = each.presets["As the notebook ran it"].model_copy(update={"dataset": "digits"})
    recording = record(each, each.small(preset))  # any frames: 80 steps keep .99⁸⁰ = 45 % of the start
    preset = preset.model_copy(update={"variants": each.small(preset).variants})
    about = [c for c in each.result(preset, recording).claims if "variance" in c.sentence]
    assert len(about) == 2
    assert [c.holds for c in about] == [None, None]


def test_a_run_notes_how_many_examples_there_were_where_a_set_is_smaller_than_published(monkeypatch):
    monkeypatch.setattr(data, "sizes", lambda name: (90, 12))
    recording = Recording()
    assert lesson.sizes_of("digits", recording) == (1501, 296)
    recording.append(Frame(0, {}, lesson.noted_sizes("digits")))
    assert lesson.sizes_of("digits", recording) == (90, 12)


# ---- runs that cannot decide -----------------------------------------------------------------------------------------

BY_COUNTING = (
    "Each rule as it is written",
    "Inverted dropout",
    "The notebook's rule",
    "In evaluation",
    "A rate of 0",
    "The whole net",
)
"""Claims that need no training: what is counted or computed once."""
TOO_LITTLE = [
    ("optimizers", {"dataset": "digits", "examples": 60, "epochs": 1}),
    ("optimizers", {"dataset": "digits", "examples": 20, "epochs": 6}),
    ("optimizers", {"dataset": "digits", "examples": 500, "epochs": 1, "batch_size": 512}),
    ("optimizers", {"dataset": "digits", "examples": 60, "epochs": 1, "l2": 0.01, "dropout": "with", "width": 8}),
    ("dropout", {"points": 500, "epochs": 10, "width": 16}),
    ("dropout", {"points": 5, "epochs": 10, "width": 16}),
    ("dropout", {"points": 50, "epochs": 300, "width": 2, "depth": 6, "init": "normal 0.05"}),
    ("width-and-interpolation", {"dataset": "digits", "examples": 50, "passes": 60, "seeds": 1, "widths": (8, 128)}),
]


@pytest.mark.parametrize(("slug", "values"), TOO_LITTLE)
def test_too_few_examples_or_too_little_training_decide_nothing(slug, values):
    each = LESSONS[slug]
    knobs = each.parse({**each.knobs().model_dump(), **values})
    for claim in each.result(knobs, record(each, knobs)).claims:
        if not claim.sentence.startswith(BY_COUNTING):
            assert (claim.sentence, claim.measured, claim.holds) == (claim.sentence, claim.measured, None)
            assert claim.hint
