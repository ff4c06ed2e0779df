"""Claims: when accuracies on a number of examples may decide one."""

import pytest
from scipy.stats import binomtest

from core.claims import MIN_EXAMPLES, in_order, resolves


def test_six_answers_are_the_fewest_that_a_sign_test_tells_from_random_variation():
    assert binomtest(MIN_EXAMPLES, MIN_EXAMPLES).pvalue < 0.05 < binomtest(MIN_EXAMPLES - 1, MIN_EXAMPLES - 1).pvalue


@pytest.mark.parametrize(
    ("difference", "examples", "told"),
    [
        (0.05, 12, False),
        (0.05, 119, False),
        (0.05, 120, True),
        (-0.05, 120, True),
        (0.01, 296, False),
        (0.01, 600, True),
    ],
)
def test_a_difference_takes_examples_enough_to_be_six_of_them(difference, examples, told):
    assert resolves(difference, examples) is told


@pytest.mark.parametrize(
    ("accuracies", "examples", "order"),
    [
        ((0.98, 0.95, 0.92), 10_000, True),
        ((0.95, 0.98, 0.92), 10_000, False),
        ((0.98, 0.9797, 0.92), 10_000, None),  # three answers
        ((0.9797, 0.98, 0.92), 10_000, None),
        ((0.98, 0.9797, 0.99), 10_000, False),  # the last two stand the other way round
        ((0.98, 0.95, 0.92), 100, None),
    ],
)
def test_an_order_holds_fails_or_is_too_close_to_tell(accuracies, examples, order):
    assert in_order(accuracies, examples) is order
