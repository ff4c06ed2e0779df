"""Overfitting cures: scores, stopping, the identity and the least-squares problem against oracles; claims that flip."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from torch import nn

from core.frames import Frame, Recording
from core.lessons.overfitting_cures import CureKnobs, lesson, train
from core.stats import CANNOT_TELL
from core.training.cures import (
    INITIALIZATIONS,
    NOTEBOOK_STOP,
    TAUS,
    UNSTOPPED,
    Kind,
    Samples,
    ambiguity,
    early_stopping_and_l2,
    least_squares,
)
from core.training.noisy_curve import grid, truth

CPU = torch.device("cpu")
SMALL = CureKnobs(width=16, depth=2, epochs=120, members=3, data_sets=2, validation_points=40, patience=500)


def record(knobs: CureKnobs) -> Recording:
    recording = Recording()
    for frame in train(knobs, CPU):
        recording.append(frame)
    return recording


def curves(knobs: CureKnobs, name: str) -> dict[str, np.ndarray]:
    """Each cure's curve, (frames, data_sets)."""
    values = record(knobs).curve(name)[1]
    return {cure: values[:, i] for i, cure in enumerate(knobs.cures)}


@pytest.fixture(scope="module")
def small() -> Recording:
    return record(SMALL)


@pytest.fixture(scope="module")
def tempted() -> tuple[CureKnobs, Recording]:
    knobs = CureKnobs(
        cures=("big net", "smaller net", "early stopping", "ensemble"), epochs=300, data_sets=3, members=2
    )
    return knobs, record(knobs)


# ---- the data --------------------------------------------------------------------------------------------------------


def test_more_validation_points_leave_the_points_to_learn_as_they_are():
    few, many = (
        Samples(SMALL.model_copy(update={"validation_points": count, "data_sets": 1}), CPU) for count in (10, 200)
    )
    assert torch.equal(few.x[:, :50], many.x[:, :50])
    torch.testing.assert_close(few.y[:, :50], many.y[:, :50])  # sines of a longer array may end in other bits
    assert many.x.shape == (1, 50 + 200 + len(grid()), 1)


def test_the_truth_itself_scores_the_noise_and_no_more():
    samples = Samples(CureKnobs(points=500, validation_points=5000, data_sets=2, noise=0.2), CPU)
    training, validation, new = samples.scores(truth(samples.x[..., 0].double().numpy()))
    np.testing.assert_allclose(new, 0.04, atol=1e-9)
    np.testing.assert_allclose(validation, 0.04, rtol=0.08)
    np.testing.assert_allclose(training, 0.04, rtol=0.25)
    assert training[0] != training[1]  # data sets of their own


def test_scores_are_mean_squared_errors_of_each_part():
    samples = Samples(SMALL, CPU)
    outputs = np.random.default_rng(0).normal(size=samples.x.shape[:2])
    y = samples.y[..., 0].numpy()
    training, validation, new = samples.scores(outputs)
    for i in range(SMALL.data_sets):
        assert training[i] == pytest.approx(mean_squared_error(y[i, :50], outputs[i, :50]))
        assert validation[i] == pytest.approx(mean_squared_error(y[i, 50:90], outputs[i, 50:90]))
        assert new[i] == pytest.approx(mean_squared_error(truth(grid()), outputs[i, 90:]) + 0.15**2, rel=1e-5)


# ---- the nets --------------------------------------------------------------------------------------------------------


def plain_net(kind: Kind, net: int) -> nn.Sequential:
    """One net of a kind as a plain PyTorch module with its own copy of the weights."""
    layers: list[nn.Module] = []
    for weight, bias in zip(kind.fleet.weights, kind.fleet.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data = weight[net].t().clone()
        linear.bias.data = bias[net, 0].clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(
    ("name", "net", "data_set"), [("big net", 1, 1), ("weight decay", 0, 0), ("smaller net", 1, 1), ("ensemble", 3, 1)]
)
def test_a_kind_trains_as_plain_pytorch_does(name, net, data_set):
    kind = Kind(name, SMALL, Samples(SMALL, CPU))
    model = plain_net(kind, net)
    decay = SMALL.weight_decay if name == "weight decay" else 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=SMALL.learning_rate, weight_decay=decay)
    x, y = kind.samples.x[data_set], kind.samples.y[data_set]
    for epoch in range(5):
        kind.epoch(epoch + 1)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x[:50]), y[:50]).backward()
        optimizer.step()
    ours = kind.outputs()[net // SMALL.data_sets, data_set]
    np.testing.assert_allclose(ours, model(x).detach()[:, 0].numpy(), atol=2e-5)


def test_kinds_have_the_sizes_that_their_cure_says():
    knobs = SMALL.model_copy(update={"depth": 4})
    kinds = {name: Kind(name, knobs, Samples(knobs, CPU)) for name in ("big net", "smaller net", "ensemble", "dropout")}
    assert kinds["big net"].fleet.sizes == (1, 16, 16, 16, 16, 1)
    assert kinds["smaller net"].fleet.sizes == (1, 8, 8, 8, 8, 1)
    assert kinds["ensemble"].fleet.nets == 6
    assert kinds["dropout"].fleet.rates == (0.0, 0.05, 0.05, 0.05, 0.0)  # as the notebook: after all but the last
    assert set(kinds["big net"].fleet.rates) == {0.0}


def test_a_cure_turned_down_to_nothing_is_the_big_net():
    knobs = SMALL.model_copy(
        update={"cures": ("big net", "weight decay", "dropout"), "weight_decay": 0.0, "rate": 0.0, "epochs": 20}
    )
    found = curves(knobs, "test_mse")
    same = {"rtol": 1e-4}  # AdamW and Adam, in float32; the cures turned on differ in the first digits
    np.testing.assert_allclose(found["weight decay"], found["big net"], **same)
    np.testing.assert_allclose(found["dropout"], found["big net"], **same)
    on = curves(knobs.model_copy(update={"weight_decay": 5.0, "rate": 0.05}), "test_mse")
    assert (on["weight decay"][-1] != found["big net"][-1]).all()
    assert (on["dropout"][-1] != found["big net"][-1]).all()


def test_starts_spread_the_first_bends_or_follow_the_notebook():
    for name, sds in (("he", (1.0, 0.0)), ("normal 0.05", (0.05, 0.05))):
        for fan_in, sd in zip((1, 400), sds, strict=True):
            weight, bias = np.zeros((1, fan_in, 4000)), np.zeros((1, 1, 4000))
            INITIALIZATIONS[name](weight, bias, np.random.default_rng(1))
            assert bias.std() == pytest.approx(sd, rel=0.05)
            assert weight.std() == pytest.approx(0.05 if name != "he" else np.sqrt(2 / fan_in), rel=0.05)


# ---- early stopping and the ensemble ---------------------------------------------------------------------------------


def test_with_endless_patience_early_stopping_is_the_best_look_of_the_smaller_net(small):
    validation = small.curve("validation_mse")[1]
    test = small.curve("test_mse")[1]
    smaller, stopped = SMALL.cures.index("smaller net"), SMALL.cures.index("early stopping")
    np.testing.assert_allclose(validation[:, stopped], np.minimum.accumulate(validation[:, smaller], axis=0))
    best = validation[:, smaller].argmin(axis=0)
    for i in range(SMALL.data_sets):
        assert test[-1, stopped, i] == pytest.approx(test[best[i], smaller, i], rel=1e-6)


@pytest.mark.parametrize("patience", [5, 7, 25])
def test_patience_counts_epochs_however_rare_frames_are(patience):
    """Frames of 2,000 epochs are 25 epochs apart; what the smaller net's validation says in between counts."""
    update = {"cures": ("smaller net", "early stopping", "ensemble"), "patience": patience, "learning_rate": 0.02}
    knobs = SMALL.model_copy(update={**update, "epochs": 2000, "width": 8})
    frames = train(knobs, CPU)
    recording = Recording()
    for frame in itertools.islice(frames, 12):
        recording.append(frame)
    often = record(knobs.model_copy(update={"epochs": 159}))  # every epoch is a frame
    validation = often.curve("validation_mse")[1][:, knobs.cures.index("smaller net")]  # (frames, data_sets)
    stops = recording.picture("stops")
    assert (stops % 25 != 0).any()
    over = often.picture("stops") + patience <= 159
    assert over.sum() >= 4
    np.testing.assert_array_equal(stops[over], often.picture("stops")[over])
    bests = {i: first_best(validation[:, i], patience) for i in range(knobs.data_sets)}
    assert any(best is not None for best in bests.values())
    for i, best in bests.items():
        if best is None:
            continue
        stopped = recording.curve("validation_mse")[1][-1, knobs.cures.index("early stopping"), i]
        assert stopped == pytest.approx(validation[best, i], rel=1e-9)


def first_best(errors, patience):
    """The epoch whose net is kept: none of the `patience` that follow is better. None: it still waits."""
    best = 0
    for epoch, error in enumerate(errors):
        if error < errors[best]:
            best = epoch
        if epoch - best >= patience:
            return best
    return None


def test_patience_ends_it_though_a_better_epoch_may_come():
    update = {"cures": ("smaller net", "early stopping"), "patience": 5, "learning_rate": 0.02}
    knobs = SMALL.model_copy(update=update)
    found = curves(knobs, "validation_mse")
    smaller, stopped = found["smaller net"], found["early stopping"]
    for i in range(knobs.data_sets):
        best, at, done = np.inf, 0, None  # every epoch is looked at
        for epoch, error in enumerate(smaller[:, i]):
            if error < best:
                best, at = error, epoch
            if epoch - at >= 5:
                done = epoch
                break
        assert stopped[-1, i] == pytest.approx(best, rel=1e-6)
        assert done is not None
        assert stopped[done:, i] == pytest.approx(best, rel=1e-6)


def test_the_notebooks_way_stops_every_net_at_epoch_100():
    knobs = SMALL.model_copy(update={"stopping": "epoch 100"})
    recording = record(knobs)
    at = int(np.flatnonzero(recording.steps() == NOTEBOOK_STOP)[0])
    values = recording.curve("test_mse")[1]
    smaller, stopped = knobs.cures.index("smaller net"), knobs.cures.index("early stopping")
    np.testing.assert_allclose(values[-1, stopped], values[at, smaller], rtol=1e-6)
    assert (values[-1, smaller] != values[at, smaller]).all()
    assert set(recording.picture("stops").ravel()) == {NOTEBOOK_STOP}
    assert verdicts(knobs, recording)["On the same data"] is None


def test_members_leave_when_all_have_stopped_and_the_smaller_net_only_if_nobody_asked_for_it():
    knobs = SMALL.model_copy(update={"stopping": "epoch 100", "cures": ("early stopping", "ensemble")})
    alone = {name: Kind(name, knobs, Samples(knobs, CPU)) for name in ("smaller net", "ensemble")}
    asked = Kind("smaller net", SMALL.model_copy(update={"stopping": "epoch 100"}), Samples(SMALL, CPU))
    for kind in (*alone.values(), asked):
        kind.epoch(99)
        assert kind.wanted
        kind.epoch(100)
    assert not alone["smaller net"].wanted
    assert not alone["ensemble"].wanted
    assert asked.wanted


def test_the_unstopped_ensemble_averages_the_same_members_at_the_end():
    knobs = SMALL.model_copy(update={"cures": ("ensemble", UNSTOPPED), "stopping": "epoch 100"})
    alone = knobs.model_copy(update={"cures": (UNSTOPPED,)})
    both, one = curves(knobs, "test_mse"), curves(alone, "test_mse")
    np.testing.assert_array_equal(both[UNSTOPPED], one[UNSTOPPED])
    steps = record(knobs).steps()
    np.testing.assert_allclose(both["ensemble"][steps <= 100], both[UNSTOPPED][steps <= 100], rtol=1e-6)
    assert (both["ensemble"][-1] != both[UNSTOPPED][-1]).all()
    kind = Kind("ensemble", alone, Samples(alone, CPU))
    assert kind.wanted
    assert lesson.cost_of(alone).flops > lesson.cost_of(alone.model_copy(update={"cures": ("ensemble",)})).flops


def test_the_identity_against_scikit_learn():
    rng = np.random.default_rng(3)
    members, target = rng.normal(size=(7, 2, 31)), rng.normal(size=31)
    together, apart, mean = ambiguity(members, target)
    for i in range(2):
        assert together[i] == pytest.approx(mean_squared_error(target, members[:, i].mean(axis=0)))
        assert mean[i] == pytest.approx(np.mean([mean_squared_error(target, each) for each in members[:, i]]))
        assert apart[i] == pytest.approx(members[:, i].var(axis=0).mean())
    np.testing.assert_allclose(together, mean - apart, atol=1e-12)


def test_the_facts_of_the_ensemble_are_those_of_its_curve(small):
    facts = lesson.result(SMALL, small).values
    final = small.curve("test_mse")[1][-1, SMALL.cures.index("ensemble")].mean()
    assert facts["ensemble_distance"] + 0.15**2 == pytest.approx(final, rel=1e-4)
    assert facts["ensemble_distance"] <= facts["mean_member_distance"]
    assert facts["ambiguity_residual"] < 1e-12


def test_an_ensemble_of_one_gains_nothing():
    recording = record(SMALL.model_copy(update={"cures": ("ensemble",), "members": 1, "epochs": 10}))
    together, apart, mean = recording.picture("identity")
    assert (apart == 0).all()
    np.testing.assert_allclose(together, mean, rtol=1e-6)  # one sum over all, and one over each


# ---- early stopping and L2 -------------------------------------------------------------------------------------------


def test_the_quadratic_comparison_against_eigenvalues_and_ridge_regression():
    x, y = least_squares(7)
    n = len(x)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    eta = 0.02 / values[-1]
    for k, tau in enumerate(TAUS):
        descent = vectors @ ((1 - (1 - eta * values) ** tau) * (vectors.T @ best))
        ridge = Ridge(alpha=n / (eta * tau), fit_intercept=False).fit(x, y).coef_
        cosine, apart = early_stopping_and_l2(x, y)[:, k]
        assert cosine == pytest.approx(descent @ ridge / np.linalg.norm(descent) / np.linalg.norm(ridge))
        assert apart == pytest.approx(np.linalg.norm(descent - ridge) / np.linalg.norm(ridge))


def test_in_large_steps_early_stopping_and_l2_do_not_agree():
    """The bound takes ηλ → 0: at ηλ = 1 for the largest λ and one step the cosine is .949 for λ = 1 and a small one."""
    x = np.diag([1.0, 0.2]) * np.sqrt(2)  # curvatures 1 and .04
    cosines = {step: early_stopping_and_l2(x, np.array([1.0, 5.0]), step, [1])[0, 0] for step in (1.0, 0.02)}
    assert cosines[1.0] < 0.97
    assert cosines[0.02] > 0.99


def test_in_small_steps_the_directions_agree_on_quadratic_problems_and_the_lengths_need_not():
    found = np.stack([early_stopping_and_l2(*least_squares(seed)) for seed in range(40)])
    assert (found[:, 0] >= 0.99).all()
    assert (found[:, 1] <= 0.32).all()
    assert (found[:, 1].max(axis=1) > 0.1).all()


# ---- what the lesson says --------------------------------------------------------------------------------------------

THREE, WORSE, MEMORIZES, MOMENTS = (
    "Early stopping, an ensemble",
    "Trained on and on",
    "A network without",
    "On the same",
)
ALONE = ("Early stopping of the", "An ensemble of smaller nets, st", "Weight decay", "A network of half", "Dropout")


def claim(knobs: CureKnobs, recording: Recording, words: str):
    (found,) = (each for each in lesson.result(knobs, recording).claims if each.sentence.startswith(words))
    return found


def verdicts(knobs: CureKnobs, recording: Recording) -> dict[str, bool | None]:
    """Each claim's truth by the first words of its sentence."""
    return {claim.sentence.split(",")[0]: claim.holds for claim in lesson.result(knobs, recording).claims}


def test_a_network_with_room_for_the_noise_memorizes_it_and_stopping_helps(tempted):
    knobs, recording = tempted
    assert claim(knobs, recording, MEMORIZES).holds is True
    found = claim(knobs, recording, THREE)
    assert found.holds is None
    assert "weight decay" in found.hint
    facts = lesson.result(knobs, recording).values
    assert facts["train_mse[big net]"] < 0.15**2 < facts["test_mse[early stopping]"] < facts["test_mse[big net]"]
    assert facts["rise[smaller net]"] > 0


WOBBLE = np.array([0.0, 0.02, -0.02, 0.01, -0.01])  # over the data sets


def made_up(ratios: np.ndarray, rise: float = 1.3, training: float = 0.01, **pictures: np.ndarray) -> Recording:
    """A finished run whose cures end at `ratios`, (cures, data_sets), of the big net's error, up from the lowest."""
    recording = Recording()
    for step, progress in ((0, 0.0), (100, 0.2), *((400 + i, 1.0) for i in range(5))):
        error = 0.04 * ratios * (1 + WOBBLE[: ratios.shape[1]])
        low = {0: 3.0, 100: 1 / rise}.get(step, 1.0)
        seen = np.full(ratios.shape, training) * (1 + WOBBLE[: ratios.shape[1]])
        curves = {
            "train_mse": seen if step else 10 * seen,
            "validation_mse": error * max(low, 0.2),
            "test_mse": error * low,
        }
        curves["validation_mse"] = error * (0.5 if step == 100 else 1.0)
        recording.append(Frame(step, curves, pictures, progress))
    return recording


def against(ratio: float, spread: float = 1.0) -> np.ndarray:
    """The big net, and cures that err `ratio` times as much on five data sets."""
    return np.concatenate([np.ones((1, 5)), np.tile(ratio * (1 + spread * WOBBLE), (5, 1))])


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [(against(0.8), True), (against(1.2), False), (against(1.0), None), (against(0.9, 20), None)],
)
def test_a_cure_helps_where_the_interval_lies_below_zero_and_harms_where_it_lies_above(ratios, expected):
    recording = made_up(ratios)
    for words in (THREE, *ALONE):
        found = claim(CureKnobs(), recording, words)
        assert found.holds is expected, words
        assert (CANNOT_TELL in found.measured) is (expected is None)


def test_three_cures_help_only_where_each_of_them_does():
    for cure, ratio, expected in (("weight decay", 1.2, False), ("ensemble", 1.0, None), ("dropout", 1.2, True)):
        ratios = against(0.8)
        ratios[CureKnobs().cures.index(cure)] = ratio * (1 + WOBBLE)
        assert claim(CureKnobs(), made_up(ratios), THREE).holds is expected


def test_what_a_standard_deviation_hides_an_interval_shows():
    """Of ten data sets, a difference of −14.2 % ± 15.5 % was told as no difference, with a p-value of .018."""
    spread = np.array([-1.5, -1.2, -0.8, -0.4, 0.0, 0.1, 0.4, 0.8, 1.1, 1.5])
    ratios = np.ones((2, 10))
    ratios[1] = 1 - 0.142 + 0.155 * spread / spread.std(ddof=1)
    recording = Recording()
    for step in (0, 400):
        curves = dict.fromkeys(("train_mse", "validation_mse", "test_mse"), 0.04 * ratios * (1 if step else 3))
        recording.append(Frame(step, curves, progress=step / 400))
    knobs = CureKnobs(cures=("big net", "dropout"), data_sets=10)
    for _ in range(5):
        recording.append(Frame(400, {name: recording.last(name) for name in recording.curves}, progress=1.0))
    assert claim(knobs, recording, "Dropout").holds is True


@pytest.mark.parametrize(("rise", "worse", "cheap"), [(1.3, True, False), (1.0, None, True), (0.9, False, True)])
def test_what_training_on_costs_is_chosen_on_validation_points_and_measured_on_new_ones(rise, worse, cheap):
    recording = made_up(np.ones((6, 5)), rise)
    assert lesson.result(CureKnobs(), recording).values["rise[smaller net]"] == pytest.approx(rise - 1)
    assert claim(CureKnobs(), recording, WORSE).holds is worse
    many = CureKnobs(points=500)
    assert claim(many, recording, "With ten times").holds is cheap
    assert WORSE not in verdicts(many, recording)


@pytest.mark.parametrize(("training", "expected"), [(0.01, True), (0.03, False), (0.0225, None)])
def test_noise_is_memorized_where_the_training_error_lies_below_its_variance(training, expected):
    assert claim(CureKnobs(), made_up(np.ones((6, 5)), training=training), MEMORIZES).holds is expected


@pytest.mark.parametrize(("last", "expected"), [(200, True), (110, False), (150, None)])
def test_moments_to_stop_are_compared_within_a_data_set(last, expected):
    stops = np.array([[100, 100, 100, 100, 100], [120, 104, 107, 101, 103], last * (1 + 5 * WOBBLE), [100] * 5])
    assert claim(CureKnobs(), made_up(np.ones((6, 5)), stops=stops), MOMENTS).holds is expected
    pooled = np.tile([50.0, 80, 120, 180, 240], (4, 1))  # data sets differ, members do not
    assert claim(CureKnobs(), made_up(np.ones((6, 5)), stops=pooled), MOMENTS).holds is False


@pytest.mark.parametrize(("cosine", "expected"), [(0.995, True), (0.98, False)])
def test_the_cosine_of_early_stopping_and_l2_decides(cosine, expected):
    recording = made_up(np.ones((6, 5)), quadratic=np.array([[1.0, cosine], [0.1, 0.3]]))
    assert claim(CureKnobs(), recording, "On a quadratic").holds is expected


@pytest.mark.parametrize(("member", "holds"), [(0.006, True), (0.004, False)])
def test_an_ensemble_worse_than_its_members_on_one_data_set_would_be_noticed(member, holds):
    identity = np.array([[0.005, 0.005], [0.001, 0.001], [0.006, member]])
    knobs, recording = CureKnobs(data_sets=2), made_up(np.ones((6, 2)), identity=identity)
    assert claim(knobs, recording, "An ensemble is never").holds is holds
    assert claim(knobs, recording, "Ensemble error").holds is (member == 0.006)


def test_one_data_set_decides_nothing_about_differences():
    knobs, recording = CureKnobs(data_sets=1), made_up(np.full((6, 1), 0.5))
    for words in (THREE, *ALONE, WORSE, MEMORIZES):
        assert claim(knobs, recording, words).holds is None
        assert "data sets ≥ 3" in claim(knobs, recording, words).hint


def test_a_spike_of_one_frame_decides_nothing():
    recording = made_up(np.ones((6, 5)))
    before = lesson.result(CureKnobs(), recording).values
    recording.append(Frame(500, {name: np.full((6, 5), 9.0) for name in recording.curves}, progress=1.0))
    after = lesson.result(CureKnobs(), recording).values
    assert after["test_mse[big net]"] == pytest.approx(before["test_mse[big net]"])


def test_runs_without_the_big_net_compare_nothing_and_still_draw():
    knobs = SMALL.model_copy(update={"cures": ("early stopping",), "epochs": 10})
    recording = record(knobs)
    facts = lesson.result(knobs, recording).values
    assert not any(name.startswith("difference") for name in facts)
    assert "ambiguity_residual" not in facts
    assert "Nothing to compare" in lesson.result(knobs, recording).outcome
    names = [panel.name for panel in lesson.panels(knobs)]
    assert "Better than the big net?" not in names
    assert "What averaging gains" not in names


def test_fewer_points_err_more_and_their_axes_have_room_for_it():
    tops = [
        {panel.name: panel.layout["yaxis"]["range"][1] for panel in lesson.panels(CureKnobs(points=points))}
        for points in (20, 50, 500)
    ]
    sized = ("Error on new points", "The notebook's table", "Better than the big net?", "What averaging gains")
    assert all(tops[0][name] > tops[1][name] for name in sized)
    assert tops[1] == tops[2]


def test_the_notebooks_preset_is_the_notebooks():
    knobs = lesson.presets["As the notebook ran it"]
    assert (knobs.points, knobs.validation_points, knobs.width, knobs.depth) == (50, 10_000, 512, 5)
    assert (knobs.epochs, knobs.stopping, knobs.members, knobs.learning_rate) == (1000, "epoch 100", 10, 0.001)
