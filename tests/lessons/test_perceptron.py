"""Perceptron and hinge: held against autograd, scikit-learn and the notebook's own program."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import Perceptron, SGDClassifier

from core.frames import Recording
from core.lessons import perceptron as lesson
from core.lessons.perceptron import LESSON, PRESETS, PerceptronKnobs

CPU = torch.device("cpu")
MARGINS = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
NOTEBOOK = PRESETS["As the notebook ran it"]


def run(knobs):
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return recording


def few(knobs, **others):
    return knobs.model_copy(update={"training_sets": 5, **others})


@pytest.fixture(scope="module")
def classroom():
    return run(PerceptronKnobs())


@pytest.fixture(scope="module")
def too_soon():
    """Labels right, but the notebook's rate and epochs."""
    return run(PRESETS["The notebook's settings, labels right"].model_copy(update={"training_sets": 500}))


@pytest.fixture(scope="module")
def bugged():
    """The notebook's program, a start for each rule."""
    return run(NOTEBOOK.model_copy(update={"training_sets": 100}))


def verdicts(knobs, recording):
    return {claim.sentence: claim.holds for claim in lesson.claims(knobs, recording)}


def verdict(knobs, recording, word):
    (found,) = [holds for sentence, holds in verdicts(knobs, recording).items() if word in sentence]
    return found


# --- the definition


def test_a_point_pulls_with_the_slope_of_the_loss():
    chance = torch.Generator().manual_seed(0)
    y = torch.randint(2, (50,), generator=chance).double() * 2 - 1
    score = torch.randn(2, 50, generator=chance, dtype=torch.float64).mul(2).requires_grad_()
    loss = torch.clamp(MARGINS - y * score, min=0).sum()
    (slope,) = torch.autograd.grad(loss, score)
    pulled = lesson.pull(y, score.detach(), MARGINS)
    assert torch.equal(pulled, -slope)
    assert 0 < (pulled == 0).double().mean() < 1


def test_weights_of_zero_are_moved_by_either_rule():
    assert lesson.pull(torch.tensor([1.0, -1.0]), torch.zeros(2, 2), MARGINS.float()).tolist() == [[1, -1], [1, -1]]


@pytest.mark.parametrize("same_start", [True, False])
def test_training_is_scikit_learns(same_start):
    knobs = few(PerceptronKnobs(points=12, learning_rate=0.05, epochs=17, same_start=same_start, seed=4))
    x, x_test, start = lesson.draw(knobs)
    recording = run(knobs)
    tests, trains = np.zeros((2, 5)), np.zeros((2, 5))
    for k in range(5):
        y, y_test = (np.where(each[0, k] > each[1, k], 1, -1) for each in (x, x_test))
        same = {"shuffle": False, "fit_intercept": False, "eta0": 0.05, "max_iter": 17, "tol": None, "alpha": 0.0}
        rules = (Perceptron(**same), SGDClassifier(loss="hinge", learning_rate="constant", **same))
        for i, rule in enumerate(rules):
            rule.fit(x[:, k].T, y, coef_init=start[:, i, k][None])
            tests[i, k], trains[i, k] = rule.score(x_test[:, k].T, y_test), rule.score(x[:, k].T, y)
    np.testing.assert_allclose(recording.last("test_accuracy"), tests.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(recording.last("train_accuracy"), trains.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(recording.last("first_accuracy"), tests[:, 0], atol=1e-12)
    np.testing.assert_allclose(recording.picture("accuracies"), np.sort(tests), atol=1e-6)
    np.testing.assert_allclose(recording.last("test_sd"), tests.std(axis=1, ddof=1), atol=1e-12)
    np.testing.assert_allclose(recording.last("test_low"), np.quantile(tests, 0.05, axis=1), atol=1e-12)
    found = lesson.facts(knobs, recording)
    apart = tests[1] - tests[0]
    assert found["paired_difference"] == pytest.approx(apart.mean(), abs=1e-12)
    assert found["paired_difference_error"] == pytest.approx(apart.std(ddof=1) / math.sqrt(5), abs=1e-12)


def test_without_a_margin_hinge_is_the_perceptron():
    assert run(few(PerceptronKnobs(epochs=30, margin=0.0))).curve("apart")[1].max() == 0
    assert run(few(PerceptronKnobs(epochs=30, margin=0.1))).curve("apart")[1].max() > 0


def test_from_zero_the_rate_changes_nothing_for_the_perceptron():
    by_rate = run(few(PerceptronKnobs(epochs=30, init_scale=0.0))).picture("by_rate")
    assert np.ptp(by_rate[0]) == pytest.approx(0, abs=1e-6)
    assert np.ptp(by_rate[1]) > 0.01


def test_rate_and_margin_are_one_knob():
    once, twice = (
        run(few(PerceptronKnobs(epochs=30, init_scale=0.0, margin=margin, learning_rate=rate)))
        for margin, rate in ((1.0, 0.25), (2.0, 0.5))
    )
    np.testing.assert_array_equal(once.curve("test_accuracy")[1], twice.curve("test_accuracy")[1])


# --- what is drawn and counted


def test_each_set_is_drawn_as_the_notebook_drew_its_own():
    x, x_test, start = lesson.draw(NOTEBOOK)
    chance = np.random.RandomState(3)
    np.testing.assert_array_equal(x[:, 0].T, chance.uniform(0, 1, size=(20, 2)))
    np.testing.assert_array_equal(x_test[:, 0].T, chance.uniform(0, 1, size=(1000, 2)))
    np.testing.assert_array_equal(start[:, 0, 0], chance.uniform(-3, 3, size=(1, 2))[0])
    np.testing.assert_array_equal(start[:, 1, 0], chance.uniform(-3, 3, size=(1, 2))[0])
    for many, one in zip((x, x_test), lesson.draw(few(NOTEBOOK)), strict=False):
        np.testing.assert_array_equal(many[:, :5], one)


def test_rules_share_their_start_where_they_should():
    *_, start = lesson.draw(few(NOTEBOOK, same_start=True))
    *_, own = lesson.draw(few(NOTEBOOK))
    np.testing.assert_array_equal(start[:, 0], start[:, 1])
    np.testing.assert_array_equal(start[:, 0], own[:, 0])
    assert (own[:, 0] != own[:, 1]).all()


def look(knobs):
    x, x_test, start = (torch.from_numpy(each.copy()) for each in lesson.draw(knobs))
    rule = partial(lesson.pull, margins=MARGINS)
    return lesson.Look(knobs, rule, x, lesson.label(x, knobs.labels), x_test), start


def test_disagreement_is_that_of_all_pairs_of_sets():
    seen, w = look(few(PerceptronKnobs()))
    found = seen.disagreement(w)
    for i in range(2):
        votes = (w[:, i].T @ seen.x_test[:, 0]).sign()  # (sets, tests)
        pairs = [(a != b).double().mean().item() for a, b in itertools.combinations(votes, 2)]
        assert found[i].item() == pytest.approx(np.mean(pairs), abs=1e-12)


def test_pulling_points_are_those_within_the_margin():
    seen, w = look(few(PerceptronKnobs()))
    within = seen.y * torch.einsum("crs,csn->rsn", w, seen.x)
    expected = [(within[0] <= 0).double().mean().item(), (within[1] <= 1).double().mean().item()]
    assert seen.pulling(w).tolist() == pytest.approx(expected)


def test_boundaries_lie_where_the_score_is_zero():
    w = torch.tensor([[[1.0, 2.0, 1.0, 1.0]], [[-1.0, -1.0, 0.5, 0.0]]])  # (2, one rule, four sets)
    lines = lesson.boundaries(w).view(4, 3)
    for k, slope in enumerate((1.0, 2.0)):
        assert lines[k, :2].tolist() == [0.0, slope]
        assert (w[:, 0, k] @ torch.tensor([1.0, slope])).item() == 0
    assert lines[:, 2].isnan().all()
    assert lines[2:].isnan().all()  # these do not cross the square


def test_moments_are_distinct_and_hold_the_notebooks_hundredth():
    for epochs in (10, 100, 137, 2000):
        found = lesson.moments(epochs)
        assert found == sorted(set(found))
        assert (found[0], found[-1]) == (1, epochs)
        assert (100 in found) == (epochs >= 100)


def test_the_ladder_trains_as_the_chosen_rate_does():
    chosen = few(PerceptronKnobs(epochs=100, learning_rate=0.01))
    beside = few(PerceptronKnobs(epochs=150, learning_rate=0.5))
    found = lesson.facts(chosen, run(chosen))
    again = lesson.facts(beside, run(beside))
    assert found["small_rate_difference"] == pytest.approx(found["paired_difference"], abs=1e-6)
    assert again["small_rate_difference"] == pytest.approx(found["paired_difference"], abs=1e-6)
    assert len(lesson.rates(beside)) == len(lesson.LADDER) + 1


def test_one_training_set_has_no_spread():
    knobs = few(PerceptronKnobs(epochs=10), training_sets=1)
    found = lesson.facts(knobs, run(knobs))
    assert found["test_accuracy_sd[hinge]"] is None
    assert found["paired_difference_error"] is None
    assert found["disagreement[hinge]"] is None
    assert found["small_rate_difference"] is None
    assert found["test_accuracy_mean[hinge]"] is not None
    assert LESSON.outcome(found) is None


# --- the notebook


def notebook_run(chance):
    """The notebook's cells as they stand, but for the generator, which it kept global."""
    X_train = chance.uniform(0, 1, size=(20, 2))
    y_train = [1 if X_train[x, 0] > X_train[x, 1] else 0 for x in range(len(X_train))]
    X_test = chance.uniform(0, 1, size=(1000, 2))
    y_test = [1 if X_test[x, 0] > X_test[x, 1] else 0 for x in range(len(X_test))]

    def perceptron(X, y, epochs, learning_rate=0.01, loss_func=None):
        n, d = X.shape
        w0 = chance.uniform(-3, 3, size=(1, d))
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


def test_the_preset_is_the_notebooks_program_and_gives_its_number():
    chance = np.random.RandomState(3)
    expected = [notebook_run(chance) for _ in range(5)]
    recording = run(few(NOTEBOOK))
    accuracies = np.array([both for *both, _ in expected]).T  # (rules, sets)
    np.testing.assert_allclose(recording.picture("accuracies"), np.sort(accuracies), atol=1e-6)
    np.testing.assert_allclose(recording.last("test_accuracy"), accuracies.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(recording.last("first_accuracy"), expected[0][:2], atol=1e-12)
    np.testing.assert_allclose(recording.last("positives"), [np.mean([p for *_, p in expected]), 0.538], atol=1e-12)
    assert recording.last("first_accuracy")[0] == pytest.approx(0.538, abs=1e-12)  # a mean over a thousand points
    assert verdict(NOTEBOOK, recording, "notebook's own") is True
    assert verdict(NOTEBOOK.model_copy(update={"seed": 4}), recording, "notebook's own") is None


def test_its_ceiling_holds_with_its_labels_and_is_broken_by_right_ones(bugged, too_soon):
    assert verdict(NOTEBOOK, bugged, "never exceeds") is True
    assert verdict(NOTEBOOK, too_soon, "never exceeds") is False
    assert not any(
        "never exceeds" in sentence for sentence in verdicts(PerceptronKnobs(), too_soon)
    )  # nothing given away
    found = lesson.facts(NOTEBOOK, bugged)
    assert max(found[f"test_accuracy_mean[{rule}]"] for rule in lesson.RULES) <= found["positive_fraction"]


def test_its_updates_never_end_and_right_ones_do(bugged, classroom):
    assert verdict(NOTEBOOK, bugged, "pulls for ever") is True
    assert verdict(NOTEBOOK, classroom, "pulls for ever") is False


def test_its_hinge_is_its_perceptron(bugged):
    twins = few(NOTEBOOK, same_start=True)
    recording = run(twins)
    assert verdict(twins, recording, "never part") is True
    assert verdict(twins, bugged, "never part") is False  # other starts
    assert verdict(NOTEBOOK, bugged, "never part") is None
    assert lesson.facts(twins, recording)["paired_difference_sd"] == 0


def test_another_start_moves_more_than_it_reports(bugged):
    assert verdict(NOTEBOOK, bugged, "Another start") is True
    recording = run(few(NOTEBOOK, same_start=True))
    assert verdict(NOTEBOOK, recording, "Another start") is False
    assert verdict(few(NOTEBOOK, same_start=True), recording, "Another start") is None


def test_its_hinge_branch_has_no_effect_until_the_labels_are_right():
    score = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0]).expand(2, 5)
    for y in (0.0, 1.0):
        pulled = lesson.notebook_pull(torch.full((5,), y), score)
        assert torch.equal(pulled[0], pulled[1])
        assert torch.equal(pulled[0], y - score[0].sign())
    perceptron, hinge = lesson.notebook_pull(torch.full((5,), -1.0), score)
    assert perceptron.tolist() == [0, 0, -1, -2, -2]
    assert hinge.tolist() == [-1, -1, -1, -2, -2]  # correct negatives pull


# --- the claims


def test_the_classroom_decides_what_five_hundred_sets_can(classroom):
    found = verdicts(PerceptronKnobs(), classroom)
    assert list(found.values()).count(True) == 5
    assert list(found.values()).count(None) == 2
    assert verdict(PRESETS["Done right"], classroom, "shorter tail") is True
    assert verdict(PRESETS["Done right"], classroom, "fewer test points") is True


@pytest.mark.parametrize(
    "word", ["teach either", "In the mean", "depends less", "shorter tail", "fewer test points", "comes to an end"]
)
def test_claims_fall_where_hinge_had_no_time(word, too_soon):
    assert verdict(PRESETS["Done right"], too_soon, word) is False
    assert verdict(PRESETS["The notebook's settings, labels right"], too_soon, word) is None


def test_hinge_is_late_at_a_small_rate_only(too_soon, bugged):
    small = PRESETS["The notebook's settings, labels right"]
    assert verdict(small, too_soon, "clearly worse") is True
    assert verdict(small, bugged, "clearly worse") is False
    assert verdict(few(small), too_soon, "clearly worse") is None  # five sets are too few


def test_nothing_is_decided_before_the_end():
    knobs = PerceptronKnobs()
    recording = Recording()
    for frame in itertools.islice(lesson.train(knobs, CPU), 3):
        recording.append(frame)
    assert set(verdicts(knobs, recording).values()) == {None}
    assert set(verdicts(NOTEBOOK, recording).values()) == {None}


def test_the_reveal_tells_a_real_difference_from_chance():
    spread = {"test_accuracy_sd[perceptron]": 0.04, "test_accuracy_sd[hinge]": 0.03}
    chance = lesson.reveal({"paired_difference": 0.002, "paired_difference_error": 0.0015, **spread})
    real = lesson.reveal({"paired_difference": -0.1, "paired_difference_error": 0.004, **spread})
    assert "no real difference" in chance
    assert "hinge is steadier" in chance
    assert "the perceptron is better by 10.0 points" in real
