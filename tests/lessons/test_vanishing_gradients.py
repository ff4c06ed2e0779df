"""The lesson on vanishing gradients: its measures against autograd and closed forms, its claims in both directions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from core.frames import Frame, Recording
from core.lessons import vanishing_gradients as vg
from core.lessons.vanishing_gradients import GradientKnobs, lesson
from core.nets import ACTIVATIONS, INITS
from core.training.fleet import Fleet
from core.training.gradients import measure

CPU = torch.device("cpu")
MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh}


def record(knobs):
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return recording


@pytest.fixture(scope="module")
def newborn():
    """The pictures of a run that looks at birth only, at the notebook's width."""
    deviations = {"deviation_gain": vg.deviations(GradientKnobs())}
    return {**vg.at_birth(GradientKnobs(depths=(5, 15))), **vg.recipes(GradientKnobs()), **deviations}


@pytest.fixture(scope="module")
def naive():
    knobs = GradientKnobs(depths=(5, 15))
    return knobs, record(knobs)


def verdict(knobs, recording, words):
    (found,) = [claim for claim in lesson.result(knobs, recording).claims if words in claim.sentence]
    return found.holds


def ended(errors, pictures, **changed):
    """The recording of a run that ended with these errors (depths, seeds)."""
    recording = Recording()
    recording.append(Frame(0, {"relative_mse": np.array(errors)}, {**pictures, **changed}, progress=1.0))
    return recording


# ---- the measures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_gradients_at_birth_are_the_medians_that_autograd_gives(name):
    nets = Fleet(5, (1, 8, 8, 8, 1), activation=ACTIVATIONS[name], dtype=torch.float64)
    nets.initialise(INITS["pytorch"], 3)
    x, y = (each.double() for each in vg.sample(4))
    weights, errors = [], []
    for i in range(5):
        parts, entered = [], []
        for weight, bias in zip(nets.weights, nets.biases, strict=True):
            linear = nn.Linear(*weight.shape[1:], dtype=torch.float64)
            with torch.no_grad():
                linear.weight.copy_(weight[i].t())
                linear.bias.copy_(bias[i, 0])
            linear.register_forward_hook(lambda part, _, z, seen=entered: seen.append(z))
            parts += [linear, MODULES[name]()]
        net = nn.Sequential(*parts[:-1])
        loss = nn.functional.mse_loss(net(x), y)
        linears = [part for part in parts if isinstance(part, nn.Linear)]
        found = torch.autograd.grad(loss, [part.weight for part in linears] + entered)
        weights.append([float(g.abs().max()) for g in found[: len(linears)]])
        errors.append([float(g.square().mean().sqrt()) for g in found[len(linears) :]])
    sizes = measure(nets, *vg.sample(4))
    np.testing.assert_allclose(sizes.weights, np.median(weights, axis=0), rtol=1e-9)
    np.testing.assert_allclose(sizes.errors, np.median(errors, axis=0), rtol=1e-9)
    assert sizes.ratio == pytest.approx(np.median([w[0] / w[-1] for w in weights]), rel=1e-9)


def test_the_gain_of_a_geometric_row_is_its_factor_and_the_ends_do_not_count():
    row = np.array([7.0, *(3 * 0.2 ** np.arange(6)[::-1]), 50.0])
    assert vg.gain(row) == pytest.approx(0.2)
    assert vg.gain(1 / row) == pytest.approx(5)
    fitted = vg.straight(row)
    np.testing.assert_allclose(fitted[1:-1], row[1:-1])
    assert np.isnan(fitted[[0, -1]]).all()


@pytest.mark.parametrize("row", [[1.0, 2.0, 3.0], [1.0, 0.0, 0.1, 1.0], [1.0, math.nan, 0.1, 1.0]])
def test_a_row_that_is_short_or_touches_zero_has_no_gain(row):
    assert vg.gain(np.array(row)) is None
    assert np.isnan(vg.straight(np.array(row))).all()


@pytest.mark.parametrize(
    ("init", "init_sd"),
    [("normal", 0.05), ("normal", 0.25), ("normal", 0.5), *((name, 0.05) for name in ("he", "glorot", "pytorch"))],
)
def test_the_error_gains_what_the_closed_form_says(init, init_sd):
    knobs = GradientKnobs(depths=(20,), init=init, init_sd=init_sd)
    measured = vg.gain(vg.at_birth(knobs)["birth"][1, 0], skip=0)
    assert measured == pytest.approx(vg.theoretical_gain(knobs), rel=0.1)


def test_the_closed_form_is_the_notebooks_fifth_and_he_keeps():
    assert vg.theoretical_gain(GradientKnobs()) == pytest.approx(vg.NAIVE_GAIN)
    assert vg.theoretical_gain(GradientKnobs(init="he", width=200)) == pytest.approx(1)
    assert vg.theoretical_gain(GradientKnobs(init="pytorch")) == pytest.approx(math.sqrt(1 / 6))
    for other in ({"activation": "tanh"}, {"batch_norm": True}, {"residual": True}):
        assert vg.theoretical_gain(GradientKnobs(**other)) is None


def test_without_biases_weights_times_gradients_are_the_same_in_all_layers():
    nets = Fleet(4, (1, *[32] * 15, 1), activation=ACTIVATIONS["relu"], dtype=torch.float64)
    nets.initialise(vg.NO_BIASES.init, 1)
    nets.backward(*(each.double() for each in vg.sample(1)))
    products = torch.stack([(w * g).sum(dim=(1, 2)) for w, g in zip(nets.weights, nets.weight_grads, strict=True)])
    torch.testing.assert_close(products, products[:1].expand_as(products), rtol=1e-9, atol=0)


def test_deeper_nets_begin_with_the_layers_of_the_shallower_ones():
    shallow, deep = (vg.fleet(GradientKnobs(), depth, 2, CPU, torch.float32) for depth in (3, 6))
    for few, many in zip(shallow.weights[:3], deep.weights, strict=False):
        assert torch.equal(few, many)


def test_fifty_naive_layers_are_told_from_zero_at_birth():
    knobs = GradientKnobs(depths=(50,))
    recording = ended([[1.0]], vg.at_birth(knobs))
    found = lesson.result(knobs, recording).values
    assert 1e-38 < found["first_to_last_gradient[depth=50]"] < 1e-30
    assert found["gain_per_layer[depth=50]"] == pytest.approx(0.2, rel=0.1)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def test_a_look_changes_nothing_not_even_running_statistics():
    knobs = GradientKnobs(depths=(3,), batch_norm=True)
    x, y = vg.sample(1)
    nets = vg.fleet(knobs, 3, 2, CPU, torch.float32)
    losses = nets.backward(x, y)
    before, outputs = nets.parameters.clone(), nets.forward(x).clone()
    vg.Look(knobs, [nets], x, y).frame(0, [losses])
    assert torch.equal(nets.parameters, before)
    assert torch.equal(nets.forward(x), outputs)


def test_the_history_fills_up_with_the_gradients_of_each_moment():
    knobs = GradientKnobs(depths=(3, 4), width=8, epochs=10, seeds=2)
    recording = record(knobs)
    for k, history in recording.picture_changes("history"):
        now = dict(recording.picture_changes("gradients"))[k][1]  # of the deepest
        column = vg.moments(knobs).index(int(recording.steps()[k]))
        np.testing.assert_allclose(history[:, column], np.log10(now), rtol=1e-3)
        assert np.isnan(history[:, column + 1 :]).all()


@pytest.mark.parametrize("epochs", [0, 1, 7, 50, 499, 5000])
def test_moments_begin_at_birth_and_end_with_the_last_epoch(epochs):
    found = vg.moments(GradientKnobs(epochs=epochs))
    assert (found[0], found[-1]) == (0, epochs)
    assert found == sorted(set(found))
    assert len(found) == min(epochs, vg.FRAMES) + 1


def test_nets_that_explode_leave_a_gap_and_the_others_go_on():
    knobs = GradientKnobs(depths=(3, 50), width=64, init_sd=0.5, residual=True, epochs=2, seeds=2)
    recording = record(knobs)  # warnings are errors: nothing overflows unnoticed
    found = lesson.result(knobs, recording).values
    assert found["relative_mse[depth=50]"] is None
    assert found["relative_mse[depth=3]"] > 0
    assert np.isfinite(recording.picture("gradients")[0, :4]).all()


def test_the_median_leaves_out_nets_that_are_no_numbers():
    values = np.array([[1.0, 2.0], [3.0, math.inf], [5.0, 4.0], [math.nan, 0.0]])
    np.testing.assert_array_equal(vg.middle(values), [3.0, 3.0])
    assert np.isnan(vg.middle(values[3:])).all()


# ---- training -------------------------------------------------------------------------------------------------------


def test_naive_nets_of_five_layers_learn_and_those_of_fifteen_do_not(naive):
    knobs, recording = naive
    found = lesson.result(knobs, recording).values
    assert found["predicts_the_mean[depth=15]"] >= 0.8
    assert found["relative_mse[depth=5]"] < 0.05
    assert verdict(knobs, recording, "networks of 15 layers learn the mean") is True
    assert verdict(knobs, recording, "no harm to 5 layers") is True


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"init": "he"}, "From He's initialization"),
        ({"epsilon": 1e-16}, "What stops Adam is its ε"),
        ({"init": "pytorch", "epsilon": 1e-8}, "can still teach"),
        ({"batch_norm": True}, "makes the initialization not matter"),
    ],
)
def test_one_change_and_nets_of_fifteen_layers_learn(changed, words):
    knobs = GradientKnobs(depths=(15,), **changed)
    recording = record(knobs)
    assert verdict(knobs, recording, words) is True
    assert lesson.result(knobs, recording).values["predicts_the_mean[depth=15]"] == 0


# ---- claims, both ways ----------------------------------------------------------------------------------------------


def test_all_that_the_initialization_decides_holds_at_the_notebooks_width(naive):
    knobs, recording = naive
    for words in (
        "It is the initialization",
        "next to nothing",
        "same fifth",
        "fit their activation",
        "make it vanish",
        "deceive",
        "at every standard deviation",
    ):
        assert verdict(knobs, recording, words) is True
    first = lesson.result(knobs, recording).claims[0]
    assert first.sentence.startswith("It is the initialization"), "the question is the first claim"


@pytest.mark.parametrize(
    ("table", "recipe", "number", "words"),
    [
        ("recipe_ratio", vg.NAIVE, 1e-7, "next to nothing"),
        ("recipe_gain", vg.NAIVE, 0.3, "It is the initialization"),
        ("recipe_gain", vg.HE_RELU, 0.7, "It is the initialization"),
        ("recipe_gain", vg.KEEPERS[0], 0.76, "fit their activation"),
        ("recipe_gain", vg.KEEPERS[1], 0.71, "fit their activation"),
        ("recipe_gain", vg.KEEPERS[3], 1.23, "fit their activation"),
        ("recipe_gain", vg.OTHERS[1], 0.8, "make it vanish"),
        ("recipe_ratio", vg.NO_BIASES, 1e-6, "deceive"),
    ],
)
def test_a_claim_about_a_recipe_falls_with_its_number(newborn, table, recipe, number, words):
    numbers = newborn[table].copy()
    numbers[vg.RECIPES.index(recipe)] = number
    recording = ended(np.ones((2, 5)), newborn, **{table: numbers})
    assert verdict(GradientKnobs(depths=(5, 15)), recording, words) is False


@pytest.mark.parametrize(("activation", "sd", "factor"), [(0, 0.5, 1.1), (1, 0.05, 1.1), (1, 0.5, 0.9)])
def test_the_claim_about_standard_deviations_falls_with_one_of_its_factors(newborn, activation, sd, factor):
    gains = newborn["deviation_gain"].copy()
    gains[activation, vg.DEVIATIONS.index(sd)] = factor
    recording = ended(np.ones((2, 5)), newborn, deviation_gain=gains)
    assert verdict(GradientKnobs(depths=(5, 15)), recording, "at every standard deviation") is False


def test_factors_of_tanh_and_sigmoid_stay_below_their_bounds_at_every_standard_deviation(newborn):
    sigmoid, tanh, relu = newborn["deviation_gain"]
    most = np.sqrt(32) * np.array(vg.DEVIATIONS)
    assert (tanh <= 1.1 * most).all()  # of 20 networks, and a median over them
    assert (sigmoid <= 1.1 * most / 4).all()
    np.testing.assert_allclose(relu, most / np.sqrt(2), rtol=0.1)


def test_orthogonal_weights_need_the_square_root_of_two_for_relu(newborn):
    found = dict(zip((recipe.name for recipe in vg.RECIPES), newborn["recipe_gain"], strict=True))
    assert found["orthogonal × √2, ReLU"] / found["orthogonal, ReLU"] == pytest.approx(math.sqrt(2), rel=0.02)
    assert found["orthogonal, ReLU"] == pytest.approx(0.7, abs=0.03)
    weights = [np.zeros((3, 8, 8)) for _ in range(2)]
    for name, weight in zip(("orthogonal", "orthogonal √2"), weights, strict=True):
        INITS[name](weight, np.zeros((3, 1, 8)), np.random.default_rng(1))
    np.testing.assert_allclose(weights[1], math.sqrt(2) * weights[0])


def test_the_fifth_falls_where_layers_keep_their_gradient(newborn):
    flat = newborn["recipes"].copy()
    flat[0] = 1.0
    recording = ended(np.ones((2, 5)), newborn, recipes=flat)
    assert verdict(GradientKnobs(depths=(5, 15)), recording, "same fifth") is False


def test_keras_epsilon_acts_as_the_text_says():
    """Keras: rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε̂). PyTorch: rate · m̂ / (√v̂ + ε), v̂ = v / (1 − β₂ᵗ)."""
    acts = [1e-7 / math.sqrt(1 - 0.999**t) for t in (1, 1000)]
    assert [f"{each:.1e}" for each in acts] == ["3.2e-06", "1.3e-07"]
    assert "3.2\\cdot10^{-6}" in lesson.prose.theory
    assert "1.3\\cdot10^{-7}" in lesson.prose.theory


FAIL, LEARN = [1.0] * 5, [0.01] * 5
DEEP = {"depths": (5, 15)}


@pytest.mark.parametrize(
    ("changed", "errors", "words", "holds"),
    [
        ({}, [LEARN, [1.0, 1.0, 1.0, 1.0, 0.5]], "networks of 15 layers learn the mean", True),
        ({}, [LEARN, [1.0, 1.0, 1.0, 0.5, 0.5]], "networks of 15 layers learn the mean", False),
        ({"epsilon": 1e-8}, [LEARN, FAIL], "networks of 15 layers learn the mean", None),
        ({"epochs": 100}, [LEARN, FAIL], "networks of 15 layers learn the mean", None),
        ({}, [[0.01] * 4 + [0.06], FAIL], "no harm to 5 layers", False),
        ({"init": "he"}, [LEARN, LEARN], "From He's initialization", True),
        ({"init": "he"}, [LEARN, [0.01] * 4 + [0.06]], "From He's initialization", False),
        ({"init": "he", "seeds": 1}, [[0.01], [0.01]], "From He's initialization", None),
        ({"epsilon": 1e-16}, [LEARN, [0.01] * 4 + [1.0]], "What stops Adam", False),
        ({}, [LEARN, LEARN], "What stops Adam", None),
        ({"batch_norm": True}, [LEARN, FAIL], "makes the initialization not matter", False),
        ({"residual": True, "depths": (5, 50)}, [LEARN, LEARN], "With a shortcut", True),
        ({"residual": True, "depths": (5, 50)}, [LEARN, FAIL], "With a shortcut", False),
        ({"residual": True}, [LEARN, LEARN], "With a shortcut", None),
        ({"init": "orthogonal √2", "depths": (5, 50)}, [LEARN, LEARN], "times ReLU's √2", True),
        ({"init": "orthogonal √2", "depths": (5, 50)}, [LEARN, FAIL], "times ReLU's √2", False),
        ({"init": "orthogonal", "depths": (5, 50)}, [LEARN, FAIL], "without the √2", True),
        ({"init": "orthogonal", "depths": (5, 50)}, [LEARN, LEARN], "without the √2", False),
        ({"init": "pytorch"}, [LEARN, LEARN], "can still teach", True),
        ({"init": "pytorch"}, [LEARN, FAIL], "can still teach", False),
    ],
)
def test_a_claim_about_training_goes_by_the_errors(newborn, changed, errors, words, holds):
    assert verdict(GradientKnobs(**{**DEEP, **changed}), ended(errors, newborn), words) is holds


@pytest.mark.parametrize(
    ("twelve", "holds"), [([0.01] * 4 + [1.0] * 16, True), ([0.5] * 20, False), ([1.0] * 20, False)]
)
def test_the_seed_decides_where_a_depth_has_networks_of_both_kinds(newborn, twelve, holds):
    knobs = GradientKnobs(depths=(11, 12, 13), seeds=20, epochs=1000)
    pictures = {name: picture for name, picture in newborn.items() if name.startswith("recipe")}
    recording = ended([[0.01] * 20, twelve, [1.0] * 20], pictures)
    assert verdict(knobs, recording, "the random seed decides") is holds


def test_batch_norm_explodes_at_birth_and_a_ratio_of_one_would_not():
    knobs = GradientKnobs(depths=(15,), batch_norm=True, epochs=0)
    assert verdict(knobs, record(knobs), "trades vanishing for exploding") is True
    pictures = {**vg.at_birth(knobs), "birth_ratio": np.array([1.0])}
    assert verdict(knobs, ended([FAIL], pictures), "trades vanishing for exploding") is False


def test_the_theory_falls_where_the_gain_is_another(newborn):
    knobs = GradientKnobs(depths=(5, 15), init="he")
    assert (
        verdict(knobs, ended([FAIL, FAIL], newborn), "The standard deviation of the weights alone") is False
    )  # of naive nets
    assert verdict(
        GradientKnobs(depths=(5, 15)), ended([FAIL, FAIL], newborn), "The standard deviation of the weights alone"
    )


def test_the_outcome_is_about_the_deepest_network(newborn):
    assert lesson.result(GradientKnobs(depths=(15, 5)), ended([FAIL, LEARN], {})).outcome is None
    found = lesson.result(GradientKnobs(depths=(5, 15)), ended([LEARN, FAIL], newborn))
    assert "15 layers" in found.outcome
    assert f"{found.fact('first_to_last_gradient', 'depth=15'):.1e}" in found.outcome


# ---- the notebook ---------------------------------------------------------------------------------------------------


def test_the_notebooks_gradients_shrink_by_the_factor_that_is_quoted():
    first, *_, last = vg.NOTEBOOK_GRADIENTS
    assert len(vg.NOTEBOOK_GRADIENTS) == 16
    assert first / last == pytest.approx(1.7e-11, rel=0.01)
    assert (first / last) ** (1 / 15) == pytest.approx(0.191, abs=5e-4)
    assert vg.gain(np.array(vg.NOTEBOOK_GRADIENTS)) == pytest.approx(0.164, abs=5e-4)


def test_the_hunt_quotes_the_seeds_that_the_notebook_drew():
    text = " ".join(mistake.cause for mistake in lesson.prose.mistakes)
    by_len = []
    for depth, first in ((13, 931113), (14, 239740), (15, 518052)):
        chance = np.random.RandomState(3575)
        biases, weights = (chance.randint(1, int(1e6), size=32 * depth + 1) for _ in range(2))
        assert (biases[0], weights[0]) == (414728, first)
        assert str(first) in text
        chance = np.random.RandomState(3575)
        by_len.append([chance.randint(1, int(1e6), size=depth + 1)[0] for _ in range(2)][1])
    assert len(set(by_len)) == 3  # `len` would not have mended it


def test_the_notebooks_net_has_its_number_of_parameters():
    nets = vg.fleet(lesson.presets["As the notebook ran it"], 15, 1, CPU, torch.float32)
    assert nets.parameters.numel() == 14_881
