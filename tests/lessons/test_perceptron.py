"""Perceptron and hinge: held against scikit-learn, SciPy's solver and the notebook's own program; claims both ways."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import Perceptron, SGDClassifier

from core.frames import Frame, Recording
from core.lessons import perceptron as module
from core.lessons.perceptron import LADDER, RULES, TESTS, PerceptronKnobs, draw, label, lesson, moments, rates
from core.stats import CANNOT_TELL, mean_of, paired
from core.training.jit import compiled
from core.training.lines import boundaries, disagreement, learn, max_margin, pulling

CPU = torch.device("cpu")
NOTEBOOK = lesson.presets["As the notebook ran it"]
SAME_START = lesson.presets["The notebook's program, same start"]
OTHER_STARTS = lesson.presets["The notebook's points, other starts"]
TOO_SOON = lesson.presets["The notebook's settings, labels right"]


def run(knobs):
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return lesson.result(knobs, recording)


def few(knobs=None, **others):
    return (knobs or PerceptronKnobs(epochs=30)).model_copy(update={"training_sets": 5, **others})


def verdict(result, words):
    (found,) = [claim.holds for claim in result.claims if words in claim.sentence]
    return found


@pytest.fixture(scope="module")
def bugged():
    """The notebook's program, a start for each rule."""
    return run(NOTEBOOK.model_copy(update={"training_sets": 100}))


# ---- the definition ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_start", [True, False])
def test_training_is_scikit_learns(same_start):
    knobs = PerceptronKnobs(points=12, learning_rate=0.05, epochs=17, same_start=same_start, seed=4, training_sets=5)
    x, x_test, start = draw(knobs)
    result = run(knobs)
    tests, trains = np.zeros((2, 5)), np.zeros((2, 5))
    for k in range(5):
        y, y_test = (np.where(each[k, :, 0] > each[k, :, 1], 1, -1) for each in (x, x_test))
        same = {"shuffle": False, "fit_intercept": False, "eta0": 0.05, "max_iter": 17, "tol": None, "alpha": 0.0}
        rules = (Perceptron(**same), SGDClassifier(loss="hinge", learning_rate="constant", **same))
        for i, rule in enumerate(rules):
            rule.fit(x[k], y, coef_init=start[k, i][None])
            tests[i, k], trains[i, k] = rule.score(x_test[k], y_test), rule.score(x[k], y)
    np.testing.assert_allclose(result.last("test_accuracy"), tests.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(result.last("train_accuracy"), trains.mean(axis=1), atol=1e-12)
    np.testing.assert_array_equal(result.table("correct"), np.round(tests * TESTS))
    apart = tests[1] - tests[0]
    assert result.fact("paired_difference") == pytest.approx(apart.mean(), abs=1e-12)
    assert result.fact("paired_difference_error") == pytest.approx(apart.std(ddof=1) / math.sqrt(5), abs=1e-12)
    low, high = (result.last(f"difference_{end}")[0] for end in ("low", "high"))
    assert (low, high) == pytest.approx((mean_of(apart).low, mean_of(apart).high), abs=1e-12)


def test_the_compiled_loops_are_the_loops_that_are_shown():
    for notebook, negative in ((False, -1.0), (True, 0.0)):
        rng = np.random.default_rng(0)
        x, w = rng.uniform(0, 1, (4, 6, 2)), rng.uniform(-3, 3, (4, 2, 3, 2))
        y, settings = np.where(x[..., 0] > x[..., 1], 1.0, negative), (np.array([0.01, 0.1, 1.0]), np.array([0.0, 1.0]))
        again = w.copy()
        moved = learn(w, x, y, *settings, notebook, 9)
        np.testing.assert_array_equal(compiled(learn)(again, x, y, *settings, notebook, 9), moved)
        np.testing.assert_allclose(again, w, rtol=1e-12)


def test_a_point_moves_the_weights_by_the_slope_of_the_loss():
    rng = np.random.default_rng(0)
    for margin in (0.0, 1.0):
        x, w = rng.uniform(0, 1, (50, 1, 2)), rng.uniform(-3, 3, (50, 1, 1, 2))
        y = np.where(rng.random((50, 1)) < 0.5, 1.0, -1.0)
        weights = torch.from_numpy(w[:, 0, 0].copy()).requires_grad_()
        score = (weights * torch.from_numpy(x[:, 0])).sum(dim=1)
        torch.clamp(margin - torch.from_numpy(y[:, 0]) * score, min=0).sum().backward()
        moved = w.copy()
        compiled(learn)(moved, x, y, np.ones(1), np.array([margin]), False, 1)
        np.testing.assert_allclose((moved - w)[:, 0, 0], -weights.grad.numpy(), atol=1e-12)


def test_weights_of_zero_are_moved_by_either_rule():
    w = np.zeros((1, 2, 1, 2))
    moved = learn(w, np.array([[[0.5, 0.25]]]), np.array([[1.0]]), np.ones(1), np.array([0.0, 1.0]), False, 1)
    assert moved.ravel().tolist() == [1, 1]
    assert w[0, :, 0].tolist() == [[0.5, 0.25]] * 2


def test_without_a_margin_hinge_is_the_perceptron():
    assert run(few(margin=0.0)).curve("apart")[1].max() == 0
    assert run(few(margin=0.1)).curve("apart")[1].max() > 0


def test_from_zero_the_rate_changes_nothing_for_the_perceptron():
    by_rate = run(few(init_scale=0.0)).table("by_rate")
    assert np.ptp(by_rate[0]) == pytest.approx(0, abs=1e-6)
    assert np.ptp(by_rate[1]) > 0.01


def test_rate_and_margin_are_one_knob():
    once, twice = (
        run(few(init_scale=0.0, margin=margin, learning_rate=rate)) for margin, rate in ((1.0, 0.25), (2.0, 0.5))
    )
    np.testing.assert_array_equal(once.curve("test_accuracy")[1], twice.curve("test_accuracy")[1])


# ---- the line of maximum margin ------------------------------------------------------------------------------------


def test_the_maximum_margin_is_that_of_scipys_solver_and_no_angle_has_a_larger_one():
    x, _, _ = draw(PerceptronKnobs(training_sets=20, seed=9))
    angles = np.linspace(0, 2 * math.pi, 200_001)
    units = np.stack([np.cos(angles), np.sin(angles)])  # (2, angles)
    for points in x:
        y = label(points, "-1/+1")
        w = max_margin(points, y)
        margins = y * (points @ w)
        assert margins.min() == pytest.approx(1, abs=1e-6)
        largest = (y[:, None] * (points @ units)).min(axis=0).max()  # γ, to the step of the angles
        assert 1 / np.linalg.norm(w) == pytest.approx(largest, abs=4e-5)
        ahead = y[:, None] * points
        constraint = {"type": "ineq", "fun": lambda v, z=ahead: z @ v - 1, "jac": lambda v, z=ahead: z}
        found = minimize(lambda v: v @ v, 1.2 * w + 0.01, jac=lambda v: 2 * v, constraints=[constraint], method="SLSQP")
        np.testing.assert_allclose(found.x, w, rtol=1e-3)


def test_points_of_one_class_have_a_line_too():
    points = np.array([[0.9, 0.1], [0.6, 0.2]])
    w = max_margin(points, np.ones(2))
    assert (points @ w).min() == pytest.approx(1)


def test_hinge_comes_to_rest_beyond_the_length_that_the_largest_margin_asks_for_and_at_its_accuracy():
    knobs = PerceptronKnobs(training_sets=40, epochs=20_000, learning_rate=1.0, init_scale=0.1)
    x, _, start = draw(knobs)
    y = label(x, "-1/+1")
    w = np.repeat(start[:, 1:, None], 1, axis=2)
    moved = compiled(learn)(w, x, y, np.ones(1), np.ones(1), False, knobs.epochs)[:, 0, 0]
    needed = np.array([np.linalg.norm(max_margin(*each)) for each in zip(x, y, strict=True)])
    at_rest = moved == 0
    assert at_rest.sum() > 20
    assert (np.linalg.norm(w[at_rest, 0, 0], axis=1) >= needed[at_rest] - 1e-9).all()  # ‖w‖ ≥ 1/γ of the largest γ


# ---- what is drawn and counted -------------------------------------------------------------------------------------


def test_each_set_is_drawn_as_the_notebook_drew_its_own():
    x, x_test, start = draw(NOTEBOOK)
    rng = np.random.RandomState(3)
    np.testing.assert_array_equal(x[0], rng.uniform(0, 1, size=(20, 2)))
    np.testing.assert_array_equal(x_test[0], rng.uniform(0, 1, size=(1000, 2)))
    np.testing.assert_array_equal(start[0], rng.uniform(-3, 3, size=(2, 2)))
    for many, one in zip((x, x_test), draw(few(NOTEBOOK)), strict=False):
        np.testing.assert_array_equal(many[:5], one)


def test_starts_and_points_are_shared_where_they_should_be():
    x, _, own = draw(few(NOTEBOOK))
    _, _, start = draw(few(NOTEBOOK, same_start=True))
    np.testing.assert_array_equal(start[:, 0], start[:, 1])
    np.testing.assert_array_equal(start[:, 0], own[:, 0])
    assert (own[:, 0] != own[:, 1]).all()
    same, same_tests, others = draw(few(NOTEBOOK, same_points=True))
    np.testing.assert_array_equal(same, np.stack([x[0]] * 5))
    np.testing.assert_array_equal(others, own)
    assert np.ptp(same_tests, axis=0).max() == 0


def test_disagreement_is_that_of_all_pairs_of_sets():
    knobs = few()
    _, x_test, w = draw(knobs)
    votes = np.einsum("src,nc->rsn", w, x_test[0]) > 0
    found, table = disagreement(votes), run(few(epochs=10)).table("pair_disagreement")
    for i in range(2):
        pairs = [(a != b).mean() for a, b in itertools.combinations(votes[i], 2)]
        assert found[i] == pytest.approx(np.mean(pairs), abs=1e-12)
    assert table.shape == (2, 2)  # five sets are two pairs without a set in common


def test_points_that_move_the_weights_are_those_within_the_margin():
    x, _, w = draw(few())
    y = label(x, "-1/+1")
    within = y * np.einsum("src,snc->rsn", w, x)  # (rules, sets, points)
    expected = np.stack([(within[0] <= 0).mean(axis=1), (within[1] <= 1).mean(axis=1)])
    before = w.copy()
    np.testing.assert_allclose(pulling(w, x, y, np.array([0.0, 1.0]), False), expected)
    np.testing.assert_array_equal(w, before)


def test_boundaries_lie_where_the_score_is_zero():
    w = np.array([[1.0, -1.0], [2.0, -1.0], [1.0, 0.5], [1.0, 0.0]])
    lines = boundaries(w).reshape(4, 3)
    for k, slope in enumerate((1.0, 2.0)):
        assert lines[k, :2].tolist() == [0.0, slope]
        assert w[k] @ [1.0, slope] == 0
    assert np.isnan(lines[:, 2]).all()
    assert np.isnan(lines[2:]).all()  # these do not cross the square


def test_moments_are_distinct_and_hold_the_notebooks_hundredth():
    for epochs in (10, 100, 137, 30_000):
        found = moments(epochs)
        assert found == sorted(set(found))
        assert (found[0], found[-1]) == (1, epochs)
        assert (100 in found) == (epochs >= 100)


def test_the_ladder_trains_as_the_chosen_rate_does():
    chosen, beside = few(epochs=100, learning_rate=0.01), few(epochs=150, learning_rate=0.5)
    found = run(chosen)
    for result in (found, run(beside)):
        assert result.fact("small_rate_difference") == pytest.approx(found.fact("paired_difference"), abs=1e-6)
    assert len(rates(beside)) == len(LADDER) + 1


def test_one_training_set_has_no_variation():
    result = run(few(epochs=10, training_sets=1))
    for name in ("test_accuracy_sd", "disagreement", "pair_disagreement"):
        assert result.fact_or_none(name, "hinge") is None
    assert result.fact_or_none("paired_difference_error") is None
    assert result.fact_or_none("small_rate_difference") is None
    assert result.fact("test_accuracy_mean", "hinge") > 0
    assert result.outcome is None


# ---- the notebook --------------------------------------------------------------------------------------------------


def notebook_run(rng):
    """The notebook's cells as they stand, but for the generator, which it kept global."""
    X_train = rng.uniform(0, 1, size=(20, 2))
    y_train = [1 if X_train[x, 0] > X_train[x, 1] else 0 for x in range(len(X_train))]
    X_test = rng.uniform(0, 1, size=(1000, 2))
    y_test = [1 if X_test[x, 0] > X_test[x, 1] else 0 for x in range(len(X_test))]

    def perceptron(X, y, epochs, learning_rate=0.01, loss_func=None):
        n, d = X.shape
        w0 = rng.uniform(-3, 3, size=(1, d))
        for _ in range(epochs):
            for i in range(n):
                y_pred = np.sign(np.matmul(X[i], np.transpose(w0)))
                y_error = y[i] - y_pred
                if loss_func == "hinge":
                    total_loss = np.mean([max(1 - x, 0) for x in y_pred])
                    if y_error == 0 and total_loss > 0:
                        w0 = w0 + (learning_rate * y[i] * X[i])
                    else:
                        w0 = w0 + (learning_rate * y_error * X[i])
                else:
                    w0 = w0 + (learning_rate * y_error * X[i])
        return w0

    def evaluate(X, y, w):
        y_pred = np.sign(np.matmul(X, np.transpose(w)))[:, 0]
        return np.mean(np.where(y_pred == y, 1, 0))

    weights = perceptron(X_train, y_train, epochs=100)
    weights2 = perceptron(X_train, y_train, epochs=100, loss_func="hinge")
    return evaluate(X_test, y_test, weights), evaluate(X_test, y_test, weights2), np.mean(y_test)


def test_the_preset_is_the_notebooks_program_which_gives_its_number_for_either_rule():
    rng = np.random.RandomState(3)
    expected = [notebook_run(rng) for _ in range(3)]
    result = run(few(NOTEBOOK, training_sets=3))
    accuracies = np.array([both for *both, _ in expected]).T  # (rules, sets)
    np.testing.assert_array_equal(result.table("correct"), np.round(accuracies * TESTS))
    np.testing.assert_allclose(result.last("positives"), [np.mean([p for *_, p in expected]), 0.538], atol=1e-12)
    assert expected[0][:2] == pytest.approx((0.538, 0.538), abs=1e-12)  # and not 0.505 for hinge
    assert verdict(result, "first training set is") is True
    other = lesson.result(NOTEBOOK.model_copy(update={"seed": 4}), result.recording)
    assert verdict(other, "first training set is") is None


def test_its_ceiling_holds_with_its_labels_and_is_broken_by_right_ones(bugged):
    assert verdict(bugged, "never exceeds") is True
    right = run(few(epochs=100))
    assert verdict(lesson.result(NOTEBOOK, right.recording), "never exceeds") is False
    assert not any("never exceeds" in claim.sentence for claim in right.claims)  # nothing given away
    assert max(bugged.fact("test_accuracy_mean", rule) for rule in RULES) <= bugged.fact("positive_fraction")


def test_its_updates_never_end_and_right_ones_do(bugged):
    assert verdict(bugged, "for ever") is True
    right = run(few(epochs=1000))
    assert verdict(lesson.result(NOTEBOOK, right.recording), "for ever") is False


def test_its_hinge_is_its_perceptron(bugged):
    twins = run(few(SAME_START))
    assert verdict(twins, "never part") is True
    assert verdict(lesson.result(SAME_START, bugged.recording), "never part") is False  # other starts
    assert verdict(bugged, "never part") is None
    assert twins.fact("paired_difference_sd") == 0


def test_another_set_moves_more_than_it_reports_and_another_start_alone_does_not(bugged):
    assert verdict(bugged, "One training set cannot") is True
    assert verdict(lesson.result(NOTEBOOK, run(few(SAME_START)).recording), "One training set cannot") is False
    assert verdict(bugged, "another start does not") is None
    starts = run(OTHER_STARTS.model_copy(update={"training_sets": 100}))
    for rule in RULES:
        assert starts.fact("at_share_of_positives", rule) >= 0.95
    for recording, holds in ((starts.recording, True), (bugged.recording, False)):
        assert verdict(lesson.result(OTHER_STARTS, recording), "another start does not") is holds


# ---- the claims ----------------------------------------------------------------------------------------------------


def result(perceptron, hinge, *, best=None, converged=(10, 20_000), pairs=(0.05, 0.04), small=(0.95, 0.85), **knobs):
    """A run that ends with these accuracies of 500 sets, (sets,) each."""
    turned = PerceptronKnobs(**{"training_sets": 500, **knobs})
    tests = np.stack([perceptron, hinge])
    steps = np.random.default_rng(7).normal(0, 0.001, 250)
    steps -= steps.mean()
    ladder = np.zeros((2, len(rates(turned))))
    ladder[:, rates(turned).index(0.01)] = small
    curves = {
        "train_accuracy": [1.0, 0.999],
        "pulling": [0.0, 0.01],
        "disagreement": [0.05, 0.04],
        "positives": [0.5, 0.5],
    }
    recording = Recording()
    for epoch in (0, 100, turned.epochs):
        tables = {
            "correct": np.round(tests * TESTS).astype(np.int16),
            "converged_at": np.repeat(np.array(converged, dtype=float)[:, None], 500, axis=1) + steps[0],
            "pair_disagreement": np.array(pairs)[:, None] + np.stack([steps, -steps]),
            "max_margin_accuracies": hinge if best is None else best,
            "needed_length": np.full(500, 40.0),
            "by_rate": ladder,
        }
        recording.append(Frame(epoch, curves, tables, epoch / turned.epochs))
    return lesson.result(turned, recording)


RNG = np.random.default_rng(3)
BASE = np.round(0.965 + RNG.normal(0, 0.01, 500), 3)
WIDE, NOISE = np.round(RNG.normal(0, 0.02, 500), 3), np.round(RNG.normal(0, 0.02, 500), 3)


@pytest.mark.parametrize(
    ("words", "yes", "no", "open"),
    [
        (
            "better than the perceptron",
            {"perceptron": BASE - 0.006, "hinge": BASE},
            {"perceptron": BASE + 0.006, "hinge": BASE},
            {"perceptron": BASE + NOISE - NOISE.mean(), "hinge": BASE},
        ),
        (
            "gains less than one point",
            {"perceptron": BASE - 0.006, "hinge": BASE},
            {"perceptron": BASE - 0.02, "hinge": BASE},
            {"perceptron": BASE - 0.01 + NOISE - NOISE.mean(), "hinge": BASE},
        ),
        (
            "as the line of maximum margin",
            {"perceptron": BASE, "hinge": BASE, "best": BASE},
            {"perceptron": BASE, "hinge": BASE, "best": BASE + 0.002},
            {"perceptron": BASE, "hinge": BASE, "best": BASE + NOISE - NOISE.mean()},
        ),
        (
            "depends less",
            {"perceptron": BASE + WIDE, "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE + WIDE},
            {"perceptron": 0.95 + WIDE, "hinge": 0.95 - WIDE},
        ),
        (
            "end below 90%",
            {"perceptron": BASE - 0.1 * (np.arange(500) < 40), "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE - 0.1 * (np.arange(500) < 40)},
            {"perceptron": BASE - 0.1 * (np.arange(500) < 3), "hinge": BASE - 0.1 * (np.arange(500) > 497)},
        ),
        (
            "fewer test points",
            {"perceptron": BASE, "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE, "pairs": (0.04, 0.05)},
            {"perceptron": BASE, "hinge": BASE, "pairs": (0.05, 0.05)},
        ),
        (
            "converges later",
            {"perceptron": BASE, "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE, "converged": (900, 30)},
            {"perceptron": BASE, "hinge": BASE, "converged": (900, 900)},
        ),
        (
            "clearly worse",
            {"perceptron": BASE, "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE, "small": (0.95, 0.91)},
            {"perceptron": BASE, "hinge": BASE, "points": 10},
        ),
        (
            "teach either",
            {"perceptron": BASE, "hinge": BASE},
            {"perceptron": BASE - 0.03, "hinge": BASE},
            {"perceptron": BASE, "hinge": BASE, "epochs": 100},
        ),
    ],
)
def test_every_claim_can_hold_can_fail_and_can_stay_open(words, yes, no, open):
    for holds, given in ((True, yes), (False, no), (None, open)):
        assert verdict(result(**given), words) is holds, holds


def test_the_perceptron_converges_or_does_not():
    there = result(BASE, BASE)
    assert verdict(there, "The perceptron converges") is True
    soon = lesson.result(PerceptronKnobs(epochs=1000), run(few(TOO_SOON, epochs=10, training_sets=30)).recording)
    assert verdict(soon, "The perceptron converges") is False


def test_what_cannot_be_told_is_not_called_equal():
    (found,) = [each for each in result(BASE + NOISE - NOISE.mean(), BASE).claims if "better than" in each.sentence]
    assert CANNOT_TELL in found.measured
    assert "more training sets" in found.hint


def test_the_first_claim_answers_the_question_and_takes_the_time_that_hinge_needs():
    first = result(BASE - 0.006, BASE).claims[0]
    assert "better than the perceptron" in first.sentence
    soon = result(BASE - 0.006, BASE, epochs=1000).claims[0]
    assert soon.holds is None
    assert "epochs ≥ 30000" in soon.hint.replace(",", "").replace("\u202f", "")


def test_variances_are_compared_pair_by_pair():
    found = module.variance_difference(result(BASE + WIDE, BASE))
    perceptron, hinge = (100 * np.round(each, 3) for each in (BASE + WIDE, BASE))
    again = paired((hinge - hinge.mean()) ** 2, (perceptron - perceptron.mean()) ** 2)
    assert (found.low, found.high) == pytest.approx((again.low, again.high))
    assert found.mean == pytest.approx(hinge.var() - perceptron.var())


def test_nothing_is_decided_before_the_end():
    for knobs in (PerceptronKnobs(training_sets=500), NOTEBOOK):
        recording = Recording()
        for frame in itertools.islice(lesson.train(knobs, CPU), 3):
            recording.append(frame)
        assert {claim.holds for claim in lesson.result(knobs, recording).claims} == {None}


def test_the_outcome_tells_what_the_data_can_tell():
    better = result(BASE - 0.006 + WIDE - WIDE.mean(), BASE).outcome
    assert "hinge is better" in better
    assert "hinge is steadier" in better
    unclear = result(BASE + NOISE - NOISE.mean(), BASE + WIDE - WIDE.mean()).outcome
    assert unclear.count(CANNOT_TELL) == 2
