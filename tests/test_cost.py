"""Cost: known before the start, and the absurd refused without being tried."""

import resource
import time

import pytest
import torch

from core.cost import (
    MOST_BYTES,
    MOST_GPU_SECONDS,
    MOST_SECONDS,
    Calibration,
    Cost,
    CostError,
    calibrate,
    check,
    limit,
    spell_seconds,
)
from core.knobs import KnobError
from core.lessons import CURRICULUM
from core.resources import Amount

MACHINE = Calibration(flops=1e11, numbers=1e9, calls=1e5)


def test_seconds_are_the_sum_of_the_three_prices():
    assert MACHINE.seconds(Cost(2e11, 3e9, 4e5, 0)) == pytest.approx(2 + 3 + 4)


def test_costs_add_up_but_memory_only_peaks():
    assert Cost(1, 2, 3, 10) + Cost(1, 1, 1, 4) == Cost(2, 3, 4, 10)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (Cost(0, 0, 0, 2 * MOST_BYTES), "8.0 GiB of memory, more than the 4 GiB"),
        (Cost(1e11 * 3 * MOST_SECONDS, 0, 0, 0), "about 3 h, longer than the about 60 min"),
    ],
)
def test_the_absurd_is_refused_in_one_sentence_with_the_next_move(cost, said):
    with pytest.raises(CostError, match=said) as caught:
        check(cost, MACHINE)
    assert "choose fewer" in str(caught.value)


def test_what_this_machine_has_no_memory_for_is_refused_in_a_sentence():
    room, small, large = Amount(free=2**30, total=3 * 2**30), Cost(0, 0, 0, 2**29), Cost(0, 0, 0, 2**31)
    assert check(small, MACHINE, room=room) == check(large, MACHINE, room=room, idle=False) == 0
    with pytest.raises(
        CostError, match=r"needs about 2\.0 GiB of memory, more than the 1\.0 GiB that .* has left; choose"
    ):
        check(large, MACHINE, room=room)
    with pytest.raises(CostError, match=r"more than the 3\.0 GiB that this machine has in all; choose fewer"):
        check(Cost(0, 0, 0, 2**32 - 1), MACHINE, room=room, idle=False)


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_the_most_that_can_be_asked_for_is_judged_in_50_ms_without_allocating_it(lesson):
    most = {knob.name: knob.high for knob in lesson.knobs.declared() if knob.kind in ("int", "float")}
    for knob in lesson.knobs.declared():
        if knob.kind == "list" and knob.item == "int":
            most[knob.name] = [int(knob.high) - k for k in range(min(knob.most, int(knob.high - knob.low) + 1))]
    usual = lesson.presets["Done right" if "Done right" in lesson.presets else "Classroom"]
    lesson.cost_of(usual)  # what is set up at first use is not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.thread_time()
    try:
        check(lesson.cost_of(lesson.parse({**usual.model_dump(), **most})), MACHINE)
    except (CostError, KnobError) as refusal:
        assert str(refusal).endswith(".")
    else:
        assert lesson.slug in ("cnn-arithmetic", "perceptron-and-hinge"), "their limits themselves are small"
    assert time.thread_time() - start < 0.05
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # kB


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_absurd_knobs_are_refused_in_50_ms(lesson):
    absurd = {each.name: (each.high * 10 + 1, each.low - 1) for each in lesson.knobs.declared() if each.item != "str"}
    assert len(absurd) >= 3
    for name, values in {**absurd, "width_of_all": (10**9,)}.items():
        for value in values:
            start = time.thread_time()
            with pytest.raises(KnobError) as caught:
                lesson.parse({name: value})
            assert time.thread_time() - start < 0.05
            assert name in str(caught.value)


def test_a_run_is_ended_at_many_times_its_estimate():
    assert limit(0.0) == 120
    assert limit(10.0) == 220
    assert limit(MOST_SECONDS) == 2 * MOST_SECONDS


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_every_preset_may_be_started_and_more_work_costs_more(lesson):
    for knobs in lesson.shipped.values():  # those for a GPU are refused elsewhere
        assert check(lesson.cost_of(knobs), Calibration()) > 0
    usual = lesson.presets["Classroom"]
    more = {knob.name: knob.high for knob in lesson.knobs.declared() if knob.kind == "int" and knob.name != "seed"}
    more |= {knob.name: knob.choices for knob in lesson.knobs.declared() if knob.kind == "list" and knob.choices}
    costs = [MACHINE.seconds(lesson.cost_of(usual.model_copy(update={name: value}))) for name, value in more.items()]
    assert max(costs) > 1.3 * MACHINE.seconds(lesson.cost_of(usual))


@pytest.mark.parametrize("lesson", [lesson for lesson in CURRICULUM if lesson.for_gpu], ids=lambda lesson: lesson.slug)
def test_a_preset_for_a_gpu_is_refused_where_there_is_none_for_its_time_and_not_its_memory(lesson):
    for name in lesson.for_gpu:
        cost = lesson.cost_of(lesson.presets[name])
        assert cost.bytes < MOST_BYTES
        with pytest.raises(CostError, match="would take"):
            check(cost, Calibration())
        assert check(cost, Calibration(flops=1e13, numbers=1e12, calls=1e5), MOST_GPU_SECONDS) > 60


def test_calibration_measures_this_machine():
    found = calibrate(torch.device("cpu"))
    assert found.flops > 1e8
    assert found.numbers > 1e6
    assert found.calls > 1e3


def test_durations_are_spelled_as_people_say_them():
    assert [spell_seconds(s) for s in (0.2, 8.4, 300, 8000)] == ["under 1 s", "about 8 s", "about 5 min", "about 2 h"]
