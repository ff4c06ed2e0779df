"""The rule for random variation: it agrees with SciPy, and raises the alarm as rarely as it says."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from core.stats import CANNOT_TELL, Estimate, independent, mean_of, paired, proportion

TRIALS = 4000
FOUR_ERRORS = 4 * math.sqrt(0.05 * 0.95 / TRIALS)  # what 4,000 trials may be off by, once in 16,000 rounds


def rows(n, seed=0, spread=1.0, shape=(TRIALS,)):
    return np.random.default_rng(seed).normal(scale=spread, size=(*shape, n))


def agrees(found: Estimate, test):
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, test.pvalue), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 20])
def test_intervals_and_p_values_are_those_of_scipy(n):
    a, b = rows(n, 1, shape=())[:n] + 0.7, rows(n + 3, 2, 3.0, shape=())
    agrees(mean_of(a), scipy_stats.ttest_1samp(a, 0.0))
    agrees(paired(a, b[:n]), scipy_stats.ttest_rel(a, b[:n]))
    agrees(independent(a, b), scipy_stats.ttest_ind(a, b, equal_var=False))
    assert (paired(a, b[:n]).n, independent(a, b).n) == (n, n)


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_pairs_that_do_not_differ_raise_the_alarm_in_one_of_twenty_trials(n):
    """What the seed does to both is large here and counts for nothing."""
    shared = rows(n, 3, 10.0)
    alarms = [paired(a, b).direction for a, b in zip(shared + rows(n, 4), shared + rows(n, 5), strict=True)]
    share = np.mean([each is not None for each in alarms])
    assert abs(share - 0.05) <= FOUR_ERRORS
    assert abs(alarms.count("higher") - alarms.count("lower")) <= 4 * math.sqrt(0.05 * TRIALS)


@pytest.mark.parametrize(
    ("n", "m", "spread", "expected"),
    # The right shares by 200,000 trials of SciPy's own test each.
    [(3, 3, 1, 0.0345), (3, 3, 4, 0.0563), (5, 5, 1, 0.0449), (10, 10, 2, 0.0507), (20, 20, 1, 0.0498)],
)
def test_groups_without_common_seeds_raise_it_no_more_often(n, m, spread, expected):
    alarms = [independent(a, b).direction for a, b in zip(rows(n, 6), rows(m, 7, spread), strict=True)]
    assert abs(np.mean([each is not None for each in alarms]) - expected) <= FOUR_ERRORS


def test_an_effect_that_mean_above_standard_deviation_misses_is_found():
    """Ten data sets, −14.2 ± 15.5 %: p = .018, which a rule of thumb called no difference."""
    x = rows(10, 8, shape=())
    x = (x - x.mean()) / x.std(ddof=1) * 15.5 - 14.2
    found = mean_of(x)
    assert found.direction == "lower"
    assert found.p == pytest.approx(0.018, abs=0.001)
    assert abs(x.mean()) < x.std(ddof=1)


def test_three_repeats_whose_mean_exceeds_their_standard_deviation_are_no_proof():
    found = mean_of([0.5, 1.0, 2.0])
    assert found.direction is None
    assert found.sentence(".1f") == f"+1.2 (95 % interval −0.7 … +3.1, n = 3): {CANNOT_TELL}"


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_repeat_says_nothing_of_its_own_variation(values):
    found = mean_of(values)
    assert found.direction is None
    assert found.n == len(values)
    assert CANNOT_TELL in found.sentence()
    assert independent(values, [1.0, 2.0]).direction is None
    assert independent([1.0, 2.0], values).direction is None


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_net_that_diverged_leaves_no_mean(lost):
    found = paired([1.0, lost, 2.0], [0.0, 0.0, 0.0])
    assert math.isnan(found.mean)
    assert found.direction is None
    assert independent([1.0, lost], [0.0, 0.1]).direction is None


def test_last_bits_are_no_difference():
    third = np.full(5, 1 / 3)
    found = paired(third, third * (1 + 1e-15))
    assert (found.mean, found.direction, found.p) == (0.0, None, 1.0)


def test_repeats_that_agree_to_the_step_in_which_they_are_measured_are_not_free_of_variation():
    assert paired([41, 41, 41], [40, 40, 40]).direction == "higher"
    assert paired([41, 41, 41], [40, 40, 40], resolution=1).direction is None  # one epoch apart, in whole epochs
    assert paired([60, 60, 60], [40, 40, 40], resolution=1).direction == "higher"
    rng = np.random.default_rng(9)
    alarms = []
    for _ in range(TRIALS):  # two nets alike, told in whole epochs
        shared = rng.uniform(size=3)
        a, b = np.rint(shared + 0.2 * rng.normal(size=(2, 3)))
        alarms.append(paired(a, b, resolution=1).direction is not None)
    assert np.mean(alarms) <= 0.05


def test_rows_of_another_length_are_no_pairs():
    with pytest.raises(ValueError, match="rows of one length"):
        paired([1.0, 2.0], [1.0])


def test_numbers_are_told_with_their_interval_and_repeats():
    assert mean_of([2.0, 2.2, 1.8]).text(".2f", "points") == "+2.00 points (95 % interval +1.50 … +2.50, n = 3)"
    assert mean_of([-0.021, -0.022, -0.02]).sentence(".1%") == "−2.1% (95 % interval −2.3% … −1.9%, n = 3)"
    assert mean_of([1.0]).text() == "+1 (no interval, n = 1)"


@pytest.mark.parametrize(("hits", "n"), [(0, 500), (3, 20), (431, 500), (20, 20), (1, 1)])
def test_the_interval_of_a_share_is_the_exact_one_of_scipy(hits, n):
    found = proportion(hits, n)
    interval = scipy_stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert (found.mean, found.n) == (hits / n, n)


def test_without_a_trial_a_share_may_be_anything():
    found = proportion(0, 0)
    assert (found.low, found.high) == (0.0, 1.0)
    assert math.isnan(found.mean)
    with pytest.raises(ValueError, match="3 hits in 2 trials"):
        proportion(3, 2)


def test_an_interval_lies_above_a_level_below_it_or_says_nothing():
    found = Estimate(0.5, 0.4, 0.6, 9, math.nan)
    assert [found.exceeds(level) for level in (0.3, 0.5, 0.7)] == [True, None, False]
    assert [found.falls_below(level) for level in (0.3, 0.5, 0.7)] == [False, None, True]
    assert [found.within(*limits) for limits in ((0.4, 0.6), (0.5, 1.0), (0.0, 0.5), (0.7, 1.0), (0.0, 0.3))] == [
        True, None, None, False, False,
    ]  # fmt: skip
