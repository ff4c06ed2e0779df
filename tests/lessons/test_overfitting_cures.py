"""Overfitting cures: scores, stopping, the identity and the least-squares problem against oracles; claims that flip."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from torch import nn

from core.frames import Frame, Recording
from core.lessons.overfitting_cures import (
    LESSON,
    NOTEBOOK_STOP,
    PRESETS,
    STARTS,
    TAUS,
    CureKnobs,
    Kind,
    Samples,
    ambiguity,
    early_stopping_and_l2,
    grid,
    least_squares,
    train,
    truth,
)

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
            STARTS[name](weight, bias, np.random.default_rng(1))
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
    assert "the right moment" not in " ".join(c.sentence.lower() for c in LESSON.claims(knobs, recording) if c.holds)


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
    facts = LESSON.facts(SMALL, small)
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


def test_on_every_quadratic_problem_the_directions_agree_and_the_lengths_need_not():
    found = np.stack([early_stopping_and_l2(*least_squares(seed)) for seed in range(40)])
    assert (found[:, 0] >= 0.99).all()
    assert (found[:, 1] <= 0.32).all()
    assert (found[:, 1].max(axis=1) > 0.1).all()


# ---- what the lesson says --------------------------------------------------------------------------------------------


def verdicts(knobs: CureKnobs, recording: Recording) -> dict[str, bool | None]:
    """Each claim's truth by the first words of its sentence."""
    return {claim.sentence.split(",")[0]: claim.holds for claim in LESSON.claims(knobs, recording)}


def test_a_net_with_room_for_the_noise_learns_it_and_stopping_helps(tempted):
    knobs, recording = tempted
    found = verdicts(knobs, recording)
    assert found["Trained on and on"]
    assert found["It knows its training points far better than new ones"]
    assert found["Early stopping of the smaller net beats the big net by more than chance"]
    assert found["An ensemble of smaller nets"]
    assert found["Weight decay beats the big net by more than chance"] is None  # not among the cures
    facts = LESSON.facts(knobs, recording)
    assert facts["train_mse[big net]"] < 0.15**2 < facts["test_mse[early stopping]"] < facts["test_mse[big net]"]


def made_up(ratios: np.ndarray, validation: tuple[float, float] = (0.03, 0.04)) -> Recording:
    """A finished run of default knobs whose cures end at `ratios`, (cures, data_sets), of the big net's error."""
    recording = Recording()
    shape = ratios.shape
    for step, progress in ((0, 0.0), *((400 + i, 1.0) for i in range(5))):
        error = validation[0] if step == 0 else validation[1]
        curves = {
            "train_mse": np.full(shape, 0.01 if step else 0.1),
            "validation_mse": np.full(shape, error),
            "test_mse": 0.04 * ratios,
        }
        recording.append(Frame(step, curves, progress=progress))
    return recording


def test_a_difference_counts_when_it_exceeds_its_spread_and_only_then():
    knobs = CureKnobs()
    even = np.ones((6, 5))
    clear, unclear = even.copy(), even.copy()
    clear[1:] = (0.8, 0.82, 0.78, 0.81, 0.79)
    unclear[1:] = (0.7, 1.2, 0.9, 1.1, 0.8)
    better = ["Early stopping of the smaller net beats the big net by more than chance"]
    better += ["An ensemble of smaller nets", "Weight decay beats the big net by more than chance"]
    none = ["Half the width is no cure here: it does not beat the big net by more than chance"]
    none += ["Dropout is no cure here: it does not beat the big net by more than chance"]
    for ratios, is_better in ((clear, True), (unclear, False), (even, False), (2 - clear, False)):
        found = verdicts(knobs, made_up(ratios))
        assert [found[name] for name in better] == [is_better] * 3
        assert [found[name] for name in none] == [not is_better] * 2
    facts = LESSON.facts(knobs, made_up(clear))
    assert facts["difference[dropout]"] == pytest.approx(-0.2)
    assert facts["spread[dropout]"] == pytest.approx(np.std([0.8, 0.82, 0.78, 0.81, 0.79], ddof=1))


@pytest.mark.parametrize(("member", "holds"), [(0.006, True), (0.004, False)])
def test_an_ensemble_worse_than_its_members_on_one_data_set_would_be_noticed(member, holds):
    knobs = CureKnobs(data_sets=2)
    recording = made_up(np.ones((6, 2)))
    identity = np.array([[0.005, 0.005], [0.001, 0.001], [0.009, member]])
    recording.append(Frame(500, pictures={"identity": identity}, progress=1.0))
    found = verdicts(knobs, recording)
    assert found["An ensemble is never worse than the mean of its members"] is holds
    assert found["Ensemble error = mean error of its members − their ambiguity"] is False  # 0.009 is not 0.006


def test_one_data_set_decides_nothing_about_differences():
    knobs = CureKnobs(data_sets=1)
    recording = made_up(np.full((6, 1), 0.5))
    claims = LESSON.claims(knobs, recording)
    assert all(claim.holds is None for claim in claims if "chance" in claim.sentence)
    assert any("no verdict" in claim.measured for claim in claims)
    assert LESSON.facts(knobs, recording)["spread[ensemble]"] is None


@pytest.mark.parametrize(("last", "holds"), [(0.04, True), (0.0325, False)])
def test_the_turn_of_the_validation_error_is_measured_from_its_lowest(last, holds):
    found = verdicts(CureKnobs(), made_up(np.ones((6, 5)), (0.03, last)))
    assert found["Trained on and on"] is holds


@pytest.mark.parametrize(("last", "holds"), [(0.031, True), (0.04, False)])
def test_plenty_of_points_leave_nothing_to_cure_unless_the_error_turns_all_the_same(last, holds):
    knobs = PRESETS["Plenty of points"]
    found = verdicts(knobs, made_up(np.ones((6, 3)), (0.03, last)))
    assert found["Ten times the notebook's points leave next to nothing to cure"] is holds
    assert found["Trained on and on"] is None


def test_a_spike_of_one_look_decides_nothing():
    recording = made_up(np.ones((6, 5)))
    recording.append(Frame(500, {name: np.full((6, 5), 9.0) for name in recording.curves}, progress=1.0))
    assert LESSON.facts(CureKnobs(), recording)["test_mse[big net]"] == pytest.approx(0.04)


def test_runs_without_the_big_net_compare_nothing_and_still_draw():
    knobs = SMALL.model_copy(update={"cures": ("early stopping",), "epochs": 10})
    recording = record(knobs)
    facts = LESSON.facts(knobs, recording)
    assert not any(name.startswith("difference") for name in facts)
    assert facts["ambiguity_residual"] is None
    assert "Nothing to compare" in LESSON.outcome(facts)
    names = [panel.name for panel in LESSON.panels(knobs)]
    assert "Better than the big net?" not in names
    assert "What averaging gains" not in names


def test_fewer_points_err_more_and_their_axes_have_room_for_it():
    tops = [
        {panel.name: panel.layout["yaxis"]["range"][1] for panel in LESSON.panels(CureKnobs(points=points))}
        for points in (20, 50, 500)
    ]
    sized = ("Error on new points", "The notebook's table", "Better than the big net?", "What averaging gains")
    assert all(tops[0][name] > tops[1][name] for name in sized)
    assert tops[1] == tops[2]


def test_the_notebooks_preset_is_the_notebooks():
    knobs = PRESETS["As the notebook ran it"]
    assert (knobs.points, knobs.validation_points, knobs.width, knobs.depth) == (50, 10_000, 512, 5)
    assert (knobs.epochs, knobs.stopping, knobs.members, knobs.learning_rate) == (1000, "epoch 100", 10, 0.001)
