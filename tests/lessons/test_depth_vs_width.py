"""Depth versus width: the surface, the nets, and what the lesson makes of them."""

import math
from math import sin, sqrt

import numpy as np
import pytest
import torch

from core.frames import Frame, Recording
from core.knobs import KnobError
from core.lessons.depth_vs_width import (
    FAMILIES,
    LESSON,
    Charts,
    DepthKnobs,
    Task,
    claims,
    eggholder,
    facts,
    nets_of,
    panels,
    series,
    train,
)

CPU = torch.device("cpu")
SMALL = DepthKnobs(architectures=("6", "5-5", "4-4-4"), samples=2000, epochs=12, batch_size=100)


def record(knobs):
    recording = Recording()
    for frame in train(knobs, CPU):
        recording.append(frame)
    return recording


def test_the_surface_is_the_published_one():
    assert eggholder(np.array([[512.0, 404.2319]]))[0] == pytest.approx(-959.6407, abs=1e-3)
    x = np.random.default_rng(0).uniform(-512, 512, (50, 2))
    for (a, b), height in zip(x, eggholder(x), strict=True):
        left, right = (b + 47) * sin(sqrt(abs(a / 2 + b + 47))), a * sin(sqrt(abs(a - (b + 47))))
        assert height == pytest.approx(-left - right)
    many = eggholder(np.random.default_rng(1).uniform(-512, 512, (400_000, 2)))
    assert many.std() == pytest.approx(298, abs=1)
    assert many.mean() == pytest.approx(-4, abs=2)


def test_notebook_000s_surface_is_another_one_of_much_the_same_spread():
    x = np.random.default_rng(1).uniform(-512, 512, (400_000, 2))
    typed = eggholder(x, "as notebook 000 typed it")
    assert typed.var() == pytest.approx(88_600, rel=0.01), "science: the reading that its reported MSE allows"
    assert abs(np.corrcoef(typed, eggholder(x))[0, 1]) < 0.9
    a, b = x[0]
    assert typed[0] == pytest.approx((-a - 47) * sin(sqrt(abs(a / 2 + (b + 47)))) - a * sin(abs(a - b - 47)))


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
        LESSON.parse({"architectures": [asked]})


def test_too_many_nets_get_a_sentence():
    with pytest.raises(KnobError, match=r"architectures name 17. nets; at most 160 stand side by side"):
        LESSON.parse({"architectures": ["all 143", *(f"7-{i}" for i in range(1, 32))]})


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


def test_errors_are_in_the_surfaces_units_and_begin_near_its_spread():
    recording = record(SMALL)
    first, last = recording.curve("test_rmse")[1][[0, -1]]
    sd = facts(SMALL, recording)["target_sd"]
    assert sd == pytest.approx(298, rel=0.1)
    assert (last < first).all()
    assert (last < 1.05 * sd).all()
    train_rmse = recording.last("train_rmse")
    assert (np.abs(train_rmse / last - 1) < 0.25).all()


def test_a_net_that_stops_goes_back_to_its_best_epoch():
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


def test_deep_nets_from_zero_predict_the_mean_and_the_claim_says_so():
    knobs = SMALL.model_copy(update={"init": "zero", "optimizer": "sgd", "learning_rate": 0.1, "samples": 20_000})
    recording = record(knobs)
    found = {claim.sentence: claim for claim in claims(knobs, recording)}
    (zero,) = (claim for sentence, claim in found.items() if "start from zero" in sentence)
    assert zero.holds is True
    assert (recording.picture("largest_kernel")[1:] == 0).all()
    assert recording.picture("largest_kernel")[0] > 0, "single layers start within ±0.05"
    assert facts(knobs, recording)["best_r2[2 layers]"] == pytest.approx(0, abs=0.01)
    assert not any("start from zero" in claim.sentence for claim in claims(SMALL, recording))


def told(knobs, test_rmse, progress=1.0, mean_line=298.0):
    """What is claimed of a recording that ends with these errors: verdicts by sentence, and the claim on chance."""
    recording, charts = Recording(), Charts(knobs)
    pictures = {"mean_line": np.full(2, mean_line), "seconds": charts.by_depth(np.arange(1.0, len(test_rmse) + 1))}
    recording.append(Frame(0, {"test_rmse": test_rmse, "train_rmse": test_rmse}, pictures, progress))
    found = claims(knobs, recording)
    (spread,) = (claim for claim in found if "by more than the spread" in claim.sentence)
    return {claim.sentence: claim.holds for claim in found}, spread


def test_the_spread_of_a_few_test_points_is_not_held_against_the_surface():
    """Of 2,000 points it lies 4.6 from that of all, more or less; of a surface of another spread much farther."""
    knobs = DepthKnobs(architectures=("512", "32-256"), samples=20_000)

    def holds(mean_line, samples=20_000):
        found, _ = told(knobs.model_copy(update={"samples": samples}), [280.0, 110.0], mean_line=mean_line)
        return next(holds for sentence, holds in found.items() if "spread of the surface" in sentence)

    draws = np.random.default_rng(0).uniform(-512, 512, (100, 2000, 2))
    spreads = [eggholder(points).std() for points in draws]
    assert 4 < np.std(spreads) < 5.3
    assert sum(holds(spread) for spread in spreads) >= 97
    assert [holds(sqrt(44_700)), holds(310.0, 200_000), holds(298.0, 5000)] == [False, False, None]


def test_claims_turn_with_the_numbers_and_wait_for_what_they_need():
    knobs = DepthKnobs(architectures=("512", "32-256", "64-64-64"), samples=100_000)
    two, three, one = "two hidden layers beat", "three hidden layers beat", "One hidden layer"

    def verdicts(errors, knobs=knobs, progress=1.0):
        found, _ = told(knobs, errors, progress)
        return [next(holds for sentence, holds in found.items() if part in sentence) for part in (two, three, one)]

    assert verdicts([280.0, 110.0, 50.0]) == [True, True, True]
    assert verdicts([280.0, 215.0, 170.0]) == [False, False, True]
    assert verdicts([200.0, 110.0, 50.0]) == [True, True, False]
    assert verdicts([280.0, 110.0, 50.0], progress=0.5) == [None, None, None]
    unscaled = knobs.model_copy(update={"scale_targets": False})
    assert verdicts([280.0, 110.0, 50.0], unscaled) == [None, None, None]


def test_each_seed_is_the_run_that_it_would_be_alone():
    knobs = SMALL.model_copy(update={"epochs": 8, "patience": 2, "seeds": 3, "learning_rate": 0.03})
    together = record(knobs)
    last = together.last("test_rmse")  # (nets, seeds)
    for i in range(3):
        alone = record(knobs.model_copy(update={"seed": knobs.seed + i, "seeds": 1}))
        # Where nothing is compiled, nets are padded to fleets, and products in float32 are taken over more of them.
        np.testing.assert_allclose(last[:, i], alone.last("test_rmse"), rtol=1e-3)
        np.testing.assert_allclose(together.last("train_rmse")[:, i], alone.last("train_rmse"), rtol=1e-3)
    assert facts(knobs, together)["test_rmse[5-5]"] == pytest.approx(last[1].mean())
    headline = panels(knobs)[0].figure(together)
    (dots,) = (each for each in headline.data if each.name == "2 layers" and each.mode == "markers")
    assert dots.y[1] == pytest.approx(last[1].mean())
    assert dots.y[1] + dots.error_y.array[1] == pytest.approx(last[1].max())
    assert dots.y[1] - dots.error_y.arrayminus[1] == pytest.approx(last[1].min())


def test_a_gain_counts_where_it_is_larger_than_its_spread():
    knobs = DepthKnobs(architectures=("512", "64", "32-256", "64-64-64"), samples=100_000, seeds=3)

    def verdict(two, knobs=knobs):
        return told(knobs, np.array([[290.0, 300.0, 310.0], [280.0, 290.0, 300.0], two, [50.0, 52.0, 54.0]]))[1]

    real = verdict([110.0, 121.0, 132.0])
    assert real.holds is True
    first, second = real.measured.split("; ")
    assert first == "1 → 2 layers: 169.0 ± 1.0 less, the deeper is ahead in 3 of 3 seeds: larger than its spread"
    assert second == "2 → 3 layers: 69.0 ± 9.0 less, the deeper is ahead in 3 of 3 seeds: larger than its spread"
    chance = verdict([40.0, 52.0, 76.0])
    assert chance.holds is False
    assert chance.measured.endswith("4.0 ± 16.4 less, the deeper is ahead in 1 of 3 seeds: overlap, no real difference")
    lost = verdict([110.0, np.nan, 132.0])
    assert lost.holds is None
    assert lost.measured == "1 → 2 layers: a net diverged; 2 → 3 layers: a net diverged"
    one = told(knobs.model_copy(update={"seeds": 1}), np.array([290.0, 280.0, 110.0, 50.0]))[1]
    assert one.holds is None
    assert one.measured.endswith("one seed: how much of that is chance is not decided")


def test_charts_average_nets_that_share_an_x():
    charts = Charts(DepthKnobs(architectures=("8", "4-4", "6-2", "3-4", "2-2-4")))
    assert charts.names == ["8", "3-4", "4-4", "6-2", "2-2-4"]
    means = charts.mean_by(charts.units, np.array([1.0, 2.0, 3.0, 5.0, 7.0]))
    np.testing.assert_array_equal(means, [[math.nan, 1], [2, 4], [math.nan, 7]])
    rows = charts.by_depth(np.arange(5.0))
    np.testing.assert_array_equal(np.isfinite(rows).sum(axis=1), [1, 3, 1])


def test_a_classroom_of_three_depths_ranks_them():
    """The lesson's own outcome, small: a deeper net of no more units does better."""
    knobs = DepthKnobs(architectures=("256", "32-32-32"), samples=10_000, epochs=40, batch_size=100)
    found = facts(knobs, record(knobs))
    assert found["best_test_rmse[3 layers]"] < 0.85 * found["best_test_rmse[1 layer]"]
    assert found["parameters[32-32-32]"] == 3 * 32 + 2 * 33 * 32 + 33
    assert found["train_seconds[32-32-32]"] > 0
    assert [name for name in found if name.startswith("test_rmse")] == ["test_rmse[256]", "test_rmse[32-32-32]"]
    assert len(nets_of(knobs)) == 2
