"""The narrator: every kind of mark on made-up curves, and that nothing told is ever taken back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import Frame, Recording
from core.narrator import MOST, POINTS, TURNED, Diverges, Levels, Overfits, Reaches, marks

NAN, INF = float("nan"), float("inf")
DIVERGES = Diverges("loss", ("a", "b"), "train loss")
LEVELS = Levels("loss", ("a", "b"), "train loss")
OVERFITS = Overfits("loss", ("a", "b"), "test loss", seen="seen")
INTERPOLATES = Reaches("loss", ("a", "b"), "accuracy", ".0%", bound=1.0, kind="interpolated", does="knows all")
ENDS = Reaches("loss", ("a", "b"), "share", bound=0.1, falling=True, kind="finished", does="has finished")
EVERY = (DIVERGES, INTERPOLATES, ENDS, OVERFITS, LEVELS)


def recorded(loss, seen=None, every=1):
    """A recording whose step is ten times its frame; `loss` has a row, or a number, for each `every`th frame."""
    recording = Recording()
    for k in range(every * len(loss)):
        curves = {} if k % every else {"loss": np.atleast_1d(loss[k // every])}
        recording.append(Frame(10 * k, curves if seen is None else {**curves, "seen": np.atleast_1d(seen[k])}))
    return recording


def told(watch, loss, seen=None, every=1):
    """What one watch tells of one line: (frame, step, value)."""
    return [(mark.frame, mark.step, mark.value) for mark in marks(recorded(loss, seen, every), [watch], "pass")]


# ---- diverged -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [NAN, INF, -INF])
def test_a_line_diverges_where_it_is_no_number_any_more_and_stands_at_its_last_one(lost):
    (mark,) = marks(recorded([2.0, 3.0, lost, lost]), [DIVERGES], "pass")
    assert (mark.frame, mark.step, mark.value, mark.kind) == (2, 10, 3.0, "diverged")
    assert (mark.curve, mark.series, mark.label) == ("loss", 0, "a: diverged at 3")
    assert mark.sentence == "a diverges: train loss was 3 at pass 10 and is no number any more."


def test_what_was_never_a_number_has_not_diverged():
    assert told(DIVERGES, [NAN, NAN, NAN]) == []
    assert told(DIVERGES, [NAN, 1.0, 2.0]) == []
    assert told(DIVERGES, [NAN, 1.0, 2.0, NAN]) == [(3, 20, 2.0)]


def test_one_seed_that_diverges_breaks_the_mean():
    rows = [[[1.0, 3.0], [1.0, 1.0]], [[2.0, 4.0], [1.0, 1.0]], [[1.0, INF], [1.0, 1.0]]]
    (mark,) = marks(recorded(rows), [DIVERGES], "pass")
    assert (mark.frame, mark.series, mark.value) == (2, 0, 3.0)
    assert mark.sentence.startswith("a diverges: mean train loss was 3 at pass 10")


def test_seeds_that_overflow_each_way_are_no_warning():
    assert told(DIVERGES, [[[1.0, 1.0]], [[INF, -INF]]]) == [(1, 0, 1.0)]


# ---- interpolated, finished, dead ---------------------------------------------------------------------------------


def test_a_bound_is_reached_once_and_however_the_line_goes_on():
    assert told(INTERPOLATES, [0.2, 0.9, 1.0, 0.9, 1.0]) == [(2, 20, 1.0)]
    assert told(INTERPOLATES, [0.2, 0.9999]) == []
    assert told(ENDS, [0.5, 0.1, 0.0]) == [(1, 10, 0.1)]
    assert told(ENDS, [0.5, 0.2]) == []


def test_a_bound_that_is_met_from_the_start_is_told_at_once_with_its_number():
    (mark,) = marks(recorded([1.0]), [INTERPOLATES], "epoch")
    assert (mark.frame, mark.sentence, mark.label) == (0, "a knows all: accuracy is 100%.", "a: interpolated at 100%")


def test_a_mean_of_seeds_is_at_the_bound_where_all_are():
    assert told(INTERPOLATES, [[[1.0, 0.5]], [[0.9, 1.0]], [[1.0, 1.0]]]) == [(2, 20, 1.0)]


# ---- level --------------------------------------------------------------------------------------------------------


def test_a_line_is_level_after_ten_points_within_one_percent_and_stands_where_that_began():
    falling = [8.0, 4.0, 2.0]
    assert told(LEVELS, falling + [1.0] * (POINTS - 1)) == []
    assert told(LEVELS, falling + [1.0, 1.009] * (POINTS // 2)) == [(2 + POINTS, 30, 1.0)]
    assert told(LEVELS, falling + [1.0, 1.011] * POINTS) == []
    (mark,) = marks(recorded([8.0] + [0.5] * POINTS), [LEVELS], "pass")
    assert mark.sentence == "a is level: train loss has stayed within 1% of 0.5 since pass 10."


def test_a_loss_that_still_halves_is_not_level_however_small_it_is():
    assert told(LEVELS, [2.0**-k for k in range(40)]) == []


def test_what_never_moved_is_level_from_the_start():
    assert told(LEVELS, [1.0] * POINTS) == [(POINTS - 1, 0, 1.0)]
    assert told(LEVELS, [0.0] * POINTS) == [(POINTS - 1, 0, 0.0)]
    assert told(LEVELS, [1.0] * (POINTS - 1)) == []


def test_a_gap_is_no_plateau():
    assert told(LEVELS, [NAN] * 2 * POINTS) == []
    assert told(LEVELS, [1.0] * 6 + [NAN] + [1.0] * 6) == []


def test_points_count_and_not_frames():
    assert told(LEVELS, [1.0] * POINTS, every=3) == [(3 * (POINTS - 1), 0, 1.0)]


# ---- overfits -----------------------------------------------------------------------------------------------------

TURNS = [2.0, 1.0, 1.02, 1.06, 1.06, 1.07]
FALLS = [2.0, 1.0, 0.9, 0.8, 0.7, 0.6]


def test_overfitting_is_told_after_three_points_five_percent_up_and_stands_at_the_lowest():
    assert told(OVERFITS, TURNS, FALLS) == [(5, 10, 1.0)]
    (mark,) = marks(recorded(TURNS, FALLS), [OVERFITS], "pass")
    assert mark.sentence == "a overfits: test loss was lowest, 1, at pass 10 and has risen to 1.07."
    assert told(OVERFITS, TURNS[: 2 + TURNED], FALLS) == []
    assert told(OVERFITS, [2.0, 1.0, 1.04, 1.04, 1.04, 1.04], FALLS) == []


def test_a_lower_point_in_between_begins_the_count_again():
    assert told(OVERFITS, [2.0, 1.0, 1.1, 1.1, 0.99, 1.1, 1.1, 1.1], [2.0, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]) == [
        (7, 40, 0.99)
    ]


def test_where_the_training_error_rises_too_it_is_a_spike_and_no_overfitting():
    assert told(OVERFITS, TURNS, [2.0, 1.0, 1.2, 1.2, 1.2, 1.2]) == []
    assert told(OVERFITS, TURNS, [NAN] * 6) == []


def test_the_training_error_may_be_taken_more_often_or_not_at_all():
    often = np.linspace(2.0, 0.5, 18).tolist()
    assert told(OVERFITS, TURNS, often, every=3) == [(15, 30, 1.0)]
    assert marks(recorded(TURNS), [OVERFITS], "pass") == []


def test_an_error_of_nothing_overfits_only_where_it_rises():
    assert told(OVERFITS, [1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.4, 0.3, 0.2]) == []
    assert told(OVERFITS, [1.0, 0.0, 0.1, 0.1, 0.1], [1.0, 0.5, 0.4, 0.3, 0.2]) == [(4, 10, 0.0)]


# ---- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch", EVERY, ids=lambda watch: type(watch).__name__)
def test_nothing_is_told_of_nothing(watch):
    assert marks(Recording(), [watch], "pass") == []
    assert marks(recorded([0.5]), [watch], "pass") == []
    assert marks(recorded([NAN]), [watch], "pass") == []


def test_names_choose_the_columns_and_a_plain_number_is_one_line():
    rows = [[1.0, 1.0, 1.0]]
    assert [mark.series for mark in marks(recorded(rows), [INTERPOLATES], "pass")] == [0, 1]
    recording = Recording()
    recording.append(Frame(0, {"loss": 1.0}))
    assert [mark.series for mark in marks(recording, [INTERPOLATES], "pass")] == [0]


def test_of_many_lines_the_first_six_are_told():
    names = [str(i) for i in range(20)]
    rows = np.tril(np.ones((20, 20)))  # line i is at 1 from frame i on
    watch = Reaches("loss", names, "accuracy", bound=1.0, kind="interpolated", does="knows all")
    assert [(mark.series, mark.frame) for mark in marks(recorded(rows), [watch], "pass")] == [
        (i, i) for i in range(MOST)
    ]


NUMBERS = st.sampled_from([NAN, INF, 0.0, 0.05, 0.5, 0.5001, 0.53, 0.6, 1.0, 1.004, 2.0, 1e300])
RUNS = st.integers(1, 3).flatmap(
    lambda seeds: st.lists(
        st.lists(st.lists(NUMBERS, min_size=seeds, max_size=seeds), min_size=2, max_size=2), min_size=1, max_size=30
    )
)


@given(RUNS, st.data())
def test_what_is_told_at_a_frame_stands_whatever_comes_after(rows, data):
    held = np.repeat(rows, data.draw(st.integers(1, POINTS + 1)), axis=0)  # plateaus too
    seen = np.linspace(3.0, 1.0, len(held))[:, None] * np.ones(2)
    whole = recorded(held, seen)
    everything = marks(whole, EVERY, "pass")
    assert [mark.frame for mark in everything] == sorted(mark.frame for mark in everything)
    assert len({(mark.kind, mark.curve, mark.series) for mark in everything}) == len(everything)
    steps, (_, values) = whole.steps(), whole.curve("loss")
    for mark in everything:
        at = int(np.flatnonzero(steps == mark.step)[0])
        assert at <= mark.frame < len(whole)
        assert mark.value == values[at, mark.series].mean()
    for upto in {0, 1, data.draw(st.integers(0, len(held))), len(held) - 1}:
        known = [mark for mark in everything if mark.frame < upto]
        assert marks(recorded(held[:upto], seen), EVERY, "pass") == known
        assert marks(whole, EVERY, "pass", upto) == known
