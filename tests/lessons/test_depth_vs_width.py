"""Depth versus width: the surface, the networks, the random units, and what the lesson makes of them."""

import math
from math import nan, sin, sqrt

import numpy as np
import pytest
import torch

from core.frames import Frame, Recording
from core.knobs import KnobError
from core.lessons.depth_vs_width import (
    FAMILIES,
    DepthKnobs,
    Layout,
    Task,
    eggholder,
    lesson,
    nets_of,
    series,
)
from core.stats import CANNOT_TELL
from core.training.assorted import start

CPU = torch.device("cpu")
SMALL = DepthKnobs(architectures=("6", "5-5", "4-4-4"), samples=2000, epochs=12, batch_size=100, seeds=1)


def record(knobs):
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return recording


def values(knobs, recording):
    return lesson.result(knobs, recording).values


def claim(result, words):
    (found,) = (each for each in result.claims if words in each.sentence)
    return found


def test_the_surface_is_the_published_one():
    assert eggholder(np.array([[512.0, 404.2319]]))[0] == pytest.approx(-959.6407, abs=1e-3)
    x = np.random.default_rng(0).uniform(-512, 512, (50, 2))
    for (a, b), height in zip(x, eggholder(x), strict=True):
        left, right = (b + 47) * sin(sqrt(abs(a / 2 + b + 47))), a * sin(sqrt(abs(a - (b + 47))))
        assert height == pytest.approx(-left - right)
    many = eggholder(np.random.default_rng(1).uniform(-512, 512, (400_000, 2)))
    assert many.std() == pytest.approx(298, abs=1)
    assert many.mean() == pytest.approx(-4, abs=2)


def test_notebook_000s_surface_is_another_one_of_much_the_same_sd_and_is_the_one_that_is_drawn():
    x = np.random.default_rng(1).uniform(-512, 512, (400_000, 2))
    typed = eggholder(x, "as notebook 000 typed it")
    assert typed.var() == pytest.approx(88_600, rel=0.01), "science: the reading that its reported MSE allows"
    assert abs(np.corrcoef(typed, eggholder(x))[0, 1]) < 0.9
    a, b = x[0]
    assert typed[0] == pytest.approx((-a - 47) * sin(sqrt(abs(a / 2 + (b + 47)))) - a * sin(abs(a - b - 47)))
    drawn = [
        np.array(lesson.panels(SMALL.model_copy(update={"surface": surface}))[1].traces[0].trace["z"])
        for surface in ("eggholder", "as notebook 000 typed it")
    ]
    assert np.abs(drawn[0] - drawn[1]).max() > 1000


def test_families_are_the_notebooks():
    assert [len(FAMILIES[name]) for name in ("one layer", "two layers", "three layers", "all 143")] == [6, 25, 112, 143]
    assert len(set(FAMILIES["all 143"])) == 143
    assert max(map(sum, FAMILIES["all 143"])) == 512
    theirs = {sum(each) for each in FAMILIES["notebook 000"] if len(each) == 3}
    assert theirs == {320, 352, 384, 416, 448}, "its plot says 512 for the last"


@pytest.mark.parametrize(
    ("asked", "nets"),
    [
        (["32-256"], ["32-256"]),
        (["64x64", "All 143", "64"], None),
        (["3-2-1", "7", "7-1"], ["7", "7-1", "3-2-1"]),
        (["one layer", "16", "512"], ["16", "32", "64", "128", "256", "512"]),
    ],
)
def test_architectures_may_be_typed_or_named(asked, nets):
    found = series(DepthKnobs.parse({"architectures": asked}))
    assert found == (nets or series(DepthKnobs(architectures=("all 143",))))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("32-", "32- is no architecture: write widths with hyphens, such as 32-256"),
        ("deep", "deep is no architecture"),
        ("500-13", "500-13 has 2 layers and 513 units"),
        ("1-1-1-1-1-1-1", "has 7 layers"),
        ("0-5", "0-5 has 2 layers"),
        ("9" * 400, "is no architecture"),
    ],
)
def test_an_architecture_that_cannot_be_gets_a_sentence(asked, said):
    with pytest.raises(KnobError, match=said):
        lesson.parse({"architectures": [asked]})


def test_too_many_nets_get_a_sentence():
    with pytest.raises(KnobError, match=r"architectures name 17. nets; at most 160 stand side by side"):
        lesson.parse({"architectures": ["all 143", *(f"7-{i}" for i in range(1, 32))]})


def test_samples_are_split_once_and_scaled_by_what_is_learned():
    task = Task(SMALL, SMALL.seed, CPU)
    assert (len(task.x), len(task.y_judge), len(task.y_test)) == (1600, 200, 200)
    assert task.targets.mean().item() == pytest.approx(0, abs=1e-5)
    assert task.targets.std().item() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(task.targets.numpy() * task.scale + task.centre, task.y, rtol=1e-5, atol=1e-3)
    assert task.x.std(dim=0).tolist() == pytest.approx([1, 1], abs=0.05)
    raw = Task(SMALL.model_copy(update={"scale_inputs": "none", "scale_targets": False}), SMALL.seed, CPU)
    assert raw.x.abs().max() > 500
    np.testing.assert_allclose(raw.targets.numpy(), task.y, rtol=1e-6)
    asked = Task(SMALL.model_copy(update={"judge": "test"}), SMALL.seed, CPU)
    assert np.array_equal(asked.y_judge, task.y_test)
    assert not np.array_equal(task.y_judge, task.y_test)


# ---- biases and random units -----------------------------------------------------------------------------------------


def test_spread_biases_are_those_of_the_first_layer_and_change_no_weight():
    def fill(weight, bias, rng):
        weight[:] = rng.normal(size=weight.shape)

    plain, spread = (start(fill, 2, (400, 30), 3, limit) for limit in (0.0, 2.45))
    for (w, b), (same, other) in zip(plain, spread, strict=True):
        assert np.array_equal(w, same)
        assert not b.any()
        assert other.any() == (other is spread[0][1])
    first = spread[0][1]
    assert 2.3 < np.abs(first).max() <= 2.45
    assert np.abs(np.mean(first)) < 0.3


@pytest.mark.parametrize("scale_inputs", ["none", "by 512", "standardised"])
def test_untrained_units_with_spread_biases_explain_most_of_the_surface_and_without_biases_little(scale_inputs):
    """512 of them reach 112 … 142 over four seeds; with biases of zero all folds pass through the centre: 275 … 295."""
    task = Task(SMALL.model_copy(update={"samples": 20_000, "scale_inputs": scale_inputs}), 1, CPU)
    assert 100 < task.random_features(True) < 155
    assert 260 < task.random_features(False) < 310


def test_without_biases_a_layer_is_linear_along_every_ray_from_the_centre():
    """Why a layer whose biases stay near zero cannot bend twice: its folds are lines through one point."""
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=(2, 50)), rng.normal(size=(7, 2))
    near, far = (np.maximum(factor * x @ weights, 0) for factor in (1, 3))
    np.testing.assert_allclose(far, 3 * near)


def test_the_line_of_the_random_units_is_computed_in_the_run():
    knobs = SMALL.model_copy(update={"seeds": 2, "epochs": 1})
    recording = record(knobs)
    table = recording.picture("random_features")
    assert table.shape == (2, 2)
    assert table[1].tolist() == pytest.approx([Task(knobs, seed, CPU).random_features(True) for seed in (1, 2)])
    assert recording.picture("random_line").tolist() == pytest.approx([table[1].mean()] * 2)
    assert values(knobs, recording)["random_features_rmse[zero biases]"] == pytest.approx(table[0].mean())


# ---- training --------------------------------------------------------------------------------------------------------


def test_errors_are_in_the_surfaces_units_and_begin_near_its_sd():
    recording = record(SMALL)
    first, last = recording.curve("test_rmse")[1][[0, -1]]
    sd = values(SMALL, recording)["target_sd"]
    assert sd == pytest.approx(298, rel=0.1)
    assert (last < first).all()
    assert (last < 1.05 * sd).all()
    train_rmse = recording.last("train_rmse")
    assert (np.abs(train_rmse / last - 1) < 0.25).all()


def test_a_network_that_stops_goes_back_to_its_best_epoch():
    free = SMALL.model_copy(update={"epochs": 60, "judge": "test", "learning_rate": 0.03})
    stopping = free.model_copy(update={"patience": 3})
    _, scores = record(free).curve("test_rmse")  # (epochs + 1, nets)
    recording = record(stopping)
    best = np.full(3, np.inf)
    for i in range(3):
        waited = 0
        for score in scores[:, i]:
            waited = 0 if score < best[i] else waited + 1
            best[i] = min(best[i], score)
            if waited == 3:
                break
    np.testing.assert_allclose(recording.last("test_rmse"), best, rtol=1e-6)
    assert recording.steps()[-1] < 60, "all have stopped before the end"
    learned = recording.picture("learned")
    assert learned.shape[0] == 3
    assert np.isfinite(learned).all()


def test_deep_networks_from_zero_predict_the_mean_and_the_claim_says_so():
    knobs = SMALL.model_copy(update={"init": "zero", "optimizer": "sgd", "learning_rate": 0.1, "samples": 20_000})
    recording = record(knobs)
    result = lesson.result(knobs, recording)
    assert claim(result, "start from zero").holds is True
    assert (recording.picture("largest_kernel")[1:] == 0).all()
    assert recording.picture("largest_kernel")[0] > 0, "single layers start within ±0.05"
    assert result.values["best_r2[2 layers]"] == pytest.approx(0, abs=0.01)
    assert not any("start from zero" in each.sentence for each in lesson.result(SMALL, recording).claims)


def test_each_seed_is_the_run_that_it_would_be_alone():
    knobs = SMALL.model_copy(update={"epochs": 8, "patience": 2, "seeds": 3, "learning_rate": 0.03})
    together = record(knobs)
    last = together.last("test_rmse")  # (nets, seeds)
    for i in range(3):
        alone = record(knobs.model_copy(update={"seed": knobs.seed + i, "seeds": 1}))
        # Where nothing is compiled, nets are padded to fleets, and products in float32 are taken over more of them.
        np.testing.assert_allclose(last[:, i], alone.last("test_rmse"), rtol=1e-3)
        np.testing.assert_allclose(together.last("train_rmse")[:, i], alone.last("train_rmse"), rtol=1e-3)
    assert values(knobs, together)["test_rmse[5-5]"] == pytest.approx(last[1].mean())
    headline = lesson.panels(knobs)[0].figure(together)
    (dots,) = (each for each in headline.data if each.name == "2 layers" and each.mode == "markers")
    assert dots.y[1] == pytest.approx(last[1].mean())
    assert dots.y[1] + dots.error_y.array[1] == pytest.approx(last[1].max())
    assert dots.y[1] - dots.error_y.arrayminus[1] == pytest.approx(last[1].min())


def test_charts_average_networks_that_share_an_x():
    layout = Layout(DepthKnobs(architectures=("8", "4-4", "6-2", "3-4", "2-2-4")))
    assert layout.names == ["8", "3-4", "4-4", "6-2", "2-2-4"]
    means = layout.mean_by(layout.units, np.array([1.0, 2.0, 3.0, 5.0, 7.0]))
    np.testing.assert_array_equal(means, [[math.nan, 1], [2, 4], [math.nan, 7]])
    rows = layout.by_depth(np.arange(5.0))
    np.testing.assert_array_equal(np.isfinite(rows).sum(axis=1), [1, 3, 1])


def test_a_deeper_network_of_fewer_units_does_better():
    """The lesson's own outcome, small."""
    knobs = DepthKnobs(architectures=("256", "32-32-32"), samples=10_000, epochs=40, batch_size=100, seeds=1)
    found = values(knobs, record(knobs))
    assert found["best_test_rmse[3 layers]"] < 0.85 * found["best_test_rmse[1 layer]"]
    assert found["parameters[32-32-32]"] == 3 * 32 + 2 * 33 * 32 + 33
    assert found["train_seconds[32-32-32]"] > 0
    assert [name for name in found if name.startswith("test_rmse")] == ["test_rmse[256]", "test_rmse[32-32-32]"]
    assert len(nets_of(knobs)) == 2


# ---- claims ----------------------------------------------------------------------------------------------------------

CLEAR = [[300, 301, 302], [280, 283, 281], [110, 121, 132], [60, 62, 64]]
NETS = ("64", "512", "32-256", "64-64-64")


def ended(test_rmse, *, random=((276, 277, 278), (124, 129, 134)), mean_line=298.0, progress=1.0, tables=None, **knobs):
    """A run that ends with these test errors, (nets, seeds), and these of random units, (biases, seeds)."""
    errors = np.array(test_rmse, dtype=float)
    asked = DepthKnobs(**{"architectures": NETS[: len(errors)], "seeds": errors.shape[1], **knobs})
    shown = errors if asked.seeds > 1 else errors[:, 0]
    layout = Layout(asked)
    pictures = {
        "mean_line": np.full(2, mean_line),
        "seconds": layout.by_depth(np.arange(1.0, len(errors) + 1)),
        "random_features": np.array(random, dtype=float)[:, : asked.seeds],
        "seconds_per_epoch": np.arange(1.0, len(errors) + 1),
        **(tables or {}),
    }
    recording = Recording()
    recording.append(Frame(0, {"train_rmse": shown, "test_rmse": shown}, pictures, progress))
    return lesson.result(asked, recording)


@pytest.mark.parametrize(
    ("deep", "holds", "words"),
    [
        ([60, 62, 64], True, "64-64-64 (192 units) 62.0, 512 281.3: +219.3 lower (95 % interval +"),
        ([400, 410, 405], False, "−123.7 lower"),
        ([280, 150, 330], None, CANNOT_TELL),
        ([60, nan, 64], None, ""),
    ],
)
def test_fewer_units_suffice_where_the_interval_leaves_out_zero(deep, holds, words):
    """The deep network with the fewest units, 192, against the single layer with the most, whatever they score."""
    result = ended([*CLEAR[:3], deep])
    found = claim(result, "with fewer units errs less")
    assert found.holds is holds
    assert words in found.measured
    assert result.claims[0] == found, "the lesson's own question comes first"
    unfair = ended([*CLEAR[:3], deep], batch_norm="deep nets only")
    assert claim(unfair, "with fewer units errs less").holds is None


@pytest.mark.parametrize(
    ("two", "holds"), [([110, 121, 132], True), ([40, 42, 45], False), ([70, 62, 50], None), ([110, nan, 132], None)]
)
def test_each_step_of_depth_is_told_by_means_and_can_refuse(two, holds):
    result = ended([CLEAR[0], CLEAR[1], two, CLEAR[3]])
    found = claim(result, "further layer")
    assert found.holds is holds
    steps = [part.partition(":")[0] for part in found.measured.split("; ")]
    assert steps == ["1 layer → 2 layers", "2 layers → 3 layers"]
    if holds:
        assert result.values["gain[2 layers over 1 layer]"] == pytest.approx((301 + 281.333) / 2 - 121, abs=0.01)
        assert result.values["best_test_rmse[1 layer]"] == pytest.approx(281.333, abs=0.01)


@pytest.mark.parametrize(("trained", "holds"), [(281, True), (100, False), (129, None)])
def test_a_single_layer_could_do_better_where_random_units_do(trained, holds):
    errors = [[trained, trained + 5, trained - 6]]
    assert claim(ended(errors), "never trained").holds is holds
    assert claim(ended([[trained]]), "never trained").holds is None


@pytest.mark.parametrize(("zero", "holds"), [(276, True), (60, False), (129, None)])
def test_zero_biases_cost_random_units_most_of_what_they_can_do(zero, holds):
    random = ([zero, zero + 5, zero - 6], [124, 129, 134])
    assert claim(ended(CLEAR, random=random), "biases of zero").holds is holds


def test_the_sd_of_a_few_test_points_is_not_held_against_the_surface():
    """Of 2,000 points it lies 4.6 from that of all, more or less; of a surface of another sd much farther."""

    def holds(mean_line, samples=20_000):
        result = ended([[280], [110]], mean_line=mean_line, samples=samples)
        return claim(result, "standard deviation of the surface").holds

    draws = np.random.default_rng(0).uniform(-512, 512, (100, 2000, 2))
    sds = [eggholder(points).std() for points in draws]
    assert 4 < np.std(sds) < 5.3
    assert sum(holds(sd) for sd in sds) >= 97
    assert [holds(sqrt(44_700)), holds(310.0, 200_000), holds(298.0, 5000)] == [False, False, None]


@pytest.mark.parametrize(("kernel", "holds"), [(0.0, True), (1e-9, False)])
def test_a_weight_that_moves_refutes_the_claim_on_zero(kernel, holds):
    tables = {"largest_kernel": np.array([0.05, 0.05, kernel, 0.0])}
    result = ended([[298.0]] * 4, init="zero", tables=tables)
    assert claim(result, "start from zero").holds is holds


@pytest.mark.parametrize(("seconds", "holds"), [([2, 1, 3, 4], True), ([1, 1, 60, 1], False), ([4, 1, 3, 1], False)])
def test_time_grows_but_less_than_parameters(seconds, holds):
    tables = {"seconds_per_epoch": np.array(seconds, dtype=float)}
    assert claim(ended(CLEAR, tables=tables), "takes longer").holds is holds


def test_an_open_claim_says_what_it_takes_and_old_runs_without_random_units_say_so():
    found = claim(ended([[281], [60]], architectures=("512", "64-64")), "with fewer units")
    assert found.holds is None
    assert "seeds ≥ 3" in found.hint
    assert lesson.parse(found.decided_by) == lesson.presets["Classroom"]
    assert claim(ended(CLEAR, progress=0.5), "with fewer units").hint == "it takes the end of the run"
    recording = Recording()
    recording.append(Frame(0, {"test_rmse": np.array(CLEAR, dtype=float)}, {"mean_line": np.full(2, 298.0)}, 1.0))
    old = lesson.result(DepthKnobs(architectures=NETS), recording)
    assert claim(old, "never trained").hint == "this run has no the repeats of random_features_rmse[spread biases]"
