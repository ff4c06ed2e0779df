"""The optimizers: every rule against torch.optim, the penalty against a closed form, the search, and the claims."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core import data
from core.frames import Frame, Recording
from core.knobs import KnobError
from core.lessons.optimizers import (
    ADAPTIVE,
    ALL,
    RATES,
    OptimizerKnobs,
    chosen,
    drawn,
    glorot_penalty,
    lesson,
    misranked,
)
from core.training import update_rules
from core.training.update_rules import LANDSCAPES, OPTIMIZERS, RULES, STEPS, walk

CPU = torch.device("cpu")
TINY = OptimizerKnobs(
    optimizers=ALL, dataset="digits", width=8, examples=120, epochs=2, batch_size=32, rates="notebook"
)


def record(knobs):
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return recording


def turned(**knobs):
    return TINY.model_copy(update=knobs)


# ---- the rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_rule_gives_the_update_of_torch_optim(name):
    rng = np.random.default_rng(2)
    gradients = rng.normal(0, 1, (40, 7)) * np.geomspace(1e-3, 10, 7)
    weights = torch.tensor(rng.normal(size=7), requires_grad=True)
    library, state = OPTIMIZERS[name]([weights], lr=0.05), {}
    for t, gradient in enumerate(gradients, start=1):
        before = weights.detach().clone()
        weights.grad = torch.from_numpy(gradient)
        library.step()
        ours = 0.05 * RULES[name](gradient, state, t)
        np.testing.assert_allclose(ours, (before - weights.detach()).numpy(), rtol=0, atol=1e-6)
        assert np.abs(ours).max() > 0


def test_epsilon_stands_outside_the_root():
    """Inside it, as in Keras 3, the first step of RMSProp for this gradient is a tenth as long: 0.315."""
    (g,) = gradient = np.array([1e-4])
    assert RULES["rmsprop"](gradient, {}, 1)[0] == pytest.approx(3.15, rel=0.01)
    assert g / np.sqrt(0.1 * g**2 + 1e-7) == pytest.approx(0.315, rel=0.01)


def test_without_a_penalty_adamw_is_adam_and_with_one_it_is_not():
    for l2, same in ((0.0, True), (0.01, False)):
        trial = drawn(turned(l2=l2), 1, CPU)
        weights = trial.trained([("adam", 0.01), ("adamw", 0.01)], 2).nets.weights[0]
        assert torch.allclose(weights[0], weights[1], atol=1e-6) is same


def test_rmsprop_as_the_notebook_writes_it_is_another_rule(monkeypatch):
    def squared_mean(g, s, t):
        s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g
        return g / (np.abs(s["v"]) + 1e-7)

    monkeypatch.setattr(update_rules, "RULES", {**RULES, "rmsprop": squared_mean})
    assert walk(["rmsprop"], "ravine")[1] > 1e-3


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_every_rule_goes_downhill_and_stays_on_the_map(landscape):
    paths, differing = walk(ALL, landscape)
    z = LANDSCAPES[landscape][0](*torch.from_numpy(paths).unbind(dim=2)).numpy()
    assert paths.shape == (len(ALL), STEPS + 1, 2)
    assert (z[:, -1] < z[:, 0]).all()
    assert np.abs(paths).max() <= 2
    assert differing < 1e-6


# ---- the networks ------------------------------------------------------------------------------------------------


def twin(trial, width):
    """The same network in plain PyTorch, initialized as ours."""
    start = trial.fleet([("sgd", 0.1)]).nets
    net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    with torch.no_grad():
        for layer, weight, bias in zip(net[::2], start.weights, start.biases, strict=True):
            layer.weight.copy_(weight[0].T)
            layer.bias.copy_(bias[0, 0])
    return net


@pytest.mark.parametrize("name", ALL)
def test_a_network_trains_as_one_in_plain_pytorch_with_the_penalty_in_its_loss(name):
    trial = drawn(turned(l2=0.01), 1, CPU)
    split, fleet, net = trial.split, trial.fleet([("sgd", 0.1), (name, 0.01)]), twin(trial, TINY.width)
    hidden = [*net[0].parameters(), *net[2].parameters()]
    groups = [{"params": hidden}, {"params": list(net[4].parameters())}]
    if name == "adamw":
        groups[0]["weight_decay"] = 0.02
    oracle = OPTIMIZERS[name](groups, lr=0.01)
    for rows in trial.batches(2):
        losses = fleet.step(split.x[rows], split.y[rows])
        loss = nn.functional.cross_entropy(net(split.x[rows]), split.y[rows])
        assert float(losses[1]) == pytest.approx(loss.item(), abs=1e-4)
        penalty = 0.01 * sum(part.square().sum() for part in hidden)
        oracle.zero_grad()
        (loss if name == "adamw" else loss + penalty).backward()
        oracle.step()
    for mine, theirs in zip(fleet.nets.weights, net[::2], strict=True):
        torch.testing.assert_close(mine[1], theirs.weight.T, atol=2e-4, rtol=1e-3)
    assert fleet.penalty()[1] == pytest.approx(0.01 * sum(float(p.detach().square().sum()) for p in hidden), rel=1e-3)
    cross_entropy, accuracy = fleet.evaluate(split.x_test, split.y_test)
    logits = net(split.x_test)
    assert cross_entropy[1] == pytest.approx(nn.functional.cross_entropy(logits, split.y_test).item(), abs=1e-3)
    assert accuracy[1] == pytest.approx((logits.argmax(1) == split.y_test).float().mean().item(), abs=0.01)


def test_nothing_is_chosen_by_what_is_learned_or_tested():
    split = drawn(turned(examples=600), 1, CPU).split
    seen, validation, test = (
        {tuple(row.tolist()) for row in part} for part in (split.x, split.x_validation, split.x_test)
    )
    assert (len(split.y), len(split.y_validation)) == (600, 120)
    assert not seen & validation
    assert not validation & test
    assert 0 <= split.x.min() < split.x.max() <= 1


def test_a_set_that_cannot_give_so_many_says_so():
    """A sixth is for validation. Digits, which a press takes where a set is missing, is no refusal but a sentence."""
    with pytest.raises(KnobError, match=r"examples = 41667 is more than cifar10 gives.* 41666 would do"):
        lesson.parse({"dataset": "cifar10", "examples": "41667"})
    assert lesson.parse({"dataset": "cifar10", "examples": "41666"}).examples == 41_666
    assert lesson.parse({"dataset": "fashion-mnist", "examples": "50000"}).examples == 50_000
    for examples, learned in ((1500, 1250), (1000, 1000)):
        knobs = lesson.parse({"dataset": "digits", "examples": str(examples)})
        assert len(drawn(knobs, 1, CPU).split.y) == learned
        said = f"digits gives {learned} training examples" in lesson.panels(knobs)[0].caption
        assert said == (learned < examples)


def test_the_search_takes_the_rate_that_is_best_on_the_validation_set_for_each_seed():
    knobs = turned(rates="tuned", optimizers=("sgd", "adadelta"), seeds=2)
    together = record(knobs)
    values = lesson.result(knobs, together).values
    alone = [record(knobs.model_copy(update={"seeds": 1, "seed": knobs.seed + k})) for k in range(2)]
    for k, recording in enumerate(alone):
        search, best = recording.picture("search"), recording.picture("chosen")
        assert search.shape == (2, len(RATES))
        for i in range(2):
            assert best[1, i] == np.nanmax(search[i])
            assert search[i, RATES.index(best[0, i])] == np.nanmax(search[i])
            assert together.picture("chosen")[0, 2 * i + k] == best[0, i]
            assert together.picture("tuning")[:, 2 * i + k].tolist() == recording.picture("tuning")[:, i].tolist()
        np.testing.assert_allclose(together.last("test_accuracy")[:, k], recording.last("test_accuracy"))
    assert values["tuned_rate[sgd]"] == np.median(together.picture("chosen")[0, :2])
    assert values["search_test_accuracy[adadelta, notebook]"] == together.picture("tuning")[0, 2:].mean()
    assert {0.001, 0.01, 1.0} <= {round(rate, 6) for rate in RATES}


def test_a_network_that_diverges_is_a_gap_and_is_never_chosen():
    trial = drawn(TINY, 1, CPU)
    loss, accuracy = trial.trained([("sgd", 1e30), ("sgd", 0.1)], 1).evaluate(trial.split.x_test, trial.split.y_test)
    assert np.isnan([loss[0], accuracy[0]]).all()
    assert np.isfinite([loss[1], accuracy[1]]).all()
    assert chosen(np.array([[np.nan, 0.3, 0.2] + [np.nan] * 7]))[:, 0].tolist() == [RATES[1], 0.3]


def test_the_four_numbers_of_each_network_are_facts():
    knobs = turned(dropout="both", l2=0.01, optimizers=("adam", "sgd"))
    recording = record(knobs)
    values = lesson.result(knobs, recording).values
    for k, name in enumerate(("adam", "sgd", "adam + dropout", "sgd + dropout")):
        assert values[f"test_accuracy[{name}]"] == recording.last("test_accuracy")[k]
        assert values[f"cross_entropy[{name}]"] == recording.last("cross_entropy")[k]
        assert values[f"penalty[{name}]"] == recording.last("penalty")[k] > 0
        assert values[f"train_seconds[{name}]"] > 0


# ---- the claims --------------------------------------------------------------------------------------------------

FIVE = {"optimizers": ADAPTIVE, "seeds": 3}
PAIR = {"optimizers": ("adadelta", "adam"), "seeds": 3}
NEAR, FAR = [0.70, 0.71, 0.72, 0.73, 0.74], [0.10, 0.71, 0.72, 0.50, 0.74]


def ended(accuracy, *, default=None, tuned=None, one_epoch=(0.1, 0.5, 0.5, 0.5), curves=None, jitter=0.01, **knobs):
    """A finished run of three seeds in which networks have these accuracies, and after the search at two rates."""
    asked = OptimizerKnobs(**{"rates": "tuned", "optimizers": ADAPTIVE[: len(accuracy)], "seeds": 3, **knobs})
    wobble = jitter * np.array([-1, 0, 1])[: asked.seeds]  # the better ones vary by seed, so intervals have a width

    def by_seed(values):
        values = np.array(values, dtype=float)[:, None]
        return values + wobble * values

    last = {name: [1.0] * len(accuracy) for name in ("cross_entropy", "penalty", "batch_loss", "seconds")}
    last["test_accuracy"] = accuracy
    last = {name: by_seed(values) for name, values in {**last, **(curves or {})}.items()}
    count, pictures = len(asked.optimizers), {"one_epoch_by_seed": by_seed(one_epoch).T.ravel()}
    if tuned is not None:
        pictures["tuning"] = np.stack([by_seed(default).ravel(), by_seed(tuned).ravel()])
        pictures["search"] = np.full((count, len(RATES)), 0.5)
        pictures["chosen"] = np.stack([np.full(count * asked.seeds, 0.1), by_seed(tuned).ravel()])
    if asked.seeds == 1:
        last = {name: values[:, 0] for name, values in last.items()}
    recording = Recording()
    recording.append(Frame(0, {**last, "updates": 40, "differing": 1e-9}, pictures, 1.0))
    return lesson.result(asked, recording)


def claim(result, words):
    (found,) = (each for each in result.claims if words in each.sentence)
    return found


@pytest.mark.parametrize(("default", "tuned", "holds"), [(FAR, NEAR, True), (NEAR, FAR, False), (NEAR, NEAR, None)])
def test_the_gap_narrows_where_it_is_smaller_at_tuned_rates(default, tuned, holds):
    result = ended(NEAR, default=default, tuned=tuned)
    found = claim(result, "narrows the gap")
    assert found.holds is holds
    assert result.claims[0] == found, "the lesson's own question comes first"
    gap = result.values["accuracy_gap[notebook]"], result.values["accuracy_gap[tuned]"]
    assert gap == pytest.approx((max(default) - min(default), max(tuned) - min(tuned)))
    assert claim(ended(NEAR, default=default, tuned=tuned, seeds=1), "narrows the gap").holds is None
    assert "points ahead of the worst" in result.outcome


@pytest.mark.parametrize(("worst", "jitter", "holds"), [(0.71, 0.01, True), (0.60, 0.01, False), (0.69, 0.9, None)])
def test_the_gap_that_is_left_is_below_5_points_above_or_unclear(worst, jitter, holds):
    result = ended([worst, *NEAR[1:]], default=FAR, tuned=NEAR, jitter=jitter)
    assert claim(result, "within 5 points").holds is holds


@pytest.mark.parametrize(
    ("default", "tuned", "holds"),
    [((0.1, 0.7), (0.7, 0.72), True), ((0.7, 0.1), (0.72, 0.7), False), ((0.5, 0.5), (0.6, 0.6), None)],
)
def test_tuning_brings_adadelta_more_than_adam(default, tuned, holds):
    assert claim(ended((0.7, 0.7), default=default, tuned=tuned, **PAIR), "suit Adam").holds is holds


@pytest.mark.parametrize(("after", "holds"), [((0.1, 0.5), True), ((0.5, 0.1), False), ((0.3, 0.3), None)])
def test_adadelta_at_one_is_ahead_after_the_first_epoch(after, holds):
    result = ended((0.7, 0.7), one_epoch=(*after, 0.5, 0.5), **PAIR, rates="notebook")
    assert claim(result, "is not AdaDelta").holds is holds
    assert [result.values[f"one_epoch[adadelta {rate}]"] for rate in ("0.001", "1")] == pytest.approx(after)


@pytest.mark.parametrize(
    ("cross_entropy", "penalty", "holds"),
    [
        ((0.5, 0.6, 0.7), (3.0, 2.0, 1.0), True),
        ((0.7, 0.6, 0.5), (1.0, 2.0, 3.0), False),
        ((0.5, 0.6, 0.7), (1.0, 1.0, 1.0), None),
    ],
)
def test_the_penalty_ranks_worse_where_it_turns_pairs_round(cross_entropy, penalty, holds):
    """Equal shares in every seed have no variation: such a difference of zero decides nothing."""
    curves = {"cross_entropy": cross_entropy, "penalty": penalty}
    result = ended((0.8, 0.7, 0.6), curves=curves, l2=0.01, rates="paper")
    assert claim(result, "ranks optimizers worse").holds is holds
    assert claim(ended((0.8, 0.7, 0.6), curves=curves, rates="paper"), "ranks optimizers worse").holds is None


def test_a_pair_is_misranked_where_the_smaller_loss_has_the_lower_accuracy():
    loss, accuracy = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), np.array([[0.5, 0.7], [0.6, 0.6], [0.4, 0.5]])
    np.testing.assert_allclose(misranked(loss, accuracy), [1 / 3, 0])


@pytest.mark.parametrize(("dataset", "width", "expected"), [("cifar10", 1000, 25.1), ("digits", 64, None)])
def test_the_penalty_at_initialization_follows_from_it(dataset, width, expected):
    knobs = turned(dataset=dataset, width=width, l2=0.01, optimizers=("sgd",), seeds=1)
    blank, classes = torch.zeros(20, 3072 if dataset == "cifar10" else 64), torch.zeros(20, dtype=torch.int64)
    trial = drawn(turned(), 1, CPU)
    trial.split = data.Split(blank, classes, blank, classes, blank, classes, 10)
    trial.sizes, trial.l2 = (blank.shape[1], width, width, 10), 0.01
    penalty = trial.fleet([("sgd", 0.1)]).penalty()
    assert penalty[0] == pytest.approx(glorot_penalty(knobs), rel=0.05)
    if expected:
        assert penalty[0] == pytest.approx(expected, rel=0.01)
    for factor, holds in ((1, True), (1.1, False)):
        asked = knobs.model_dump(exclude={"rates"})
        result = ended([0.5], curves={"penalty": penalty * factor}, **asked, rates="paper")
        assert claim(result, "Glorot").holds is holds


@pytest.mark.parametrize(("printed", "holds"), [(2.0, True), (0.5, False), (1.0, None)])
def test_dropout_adds_to_the_printed_loss(printed, holds):
    curves = {"batch_loss": [1.0, 1.0, printed, printed]}
    result = ended([0.5] * 4, curves=curves, **PAIR, dropout="both", rates="paper")
    assert claim(result, "Dropout adds").holds is holds


@pytest.mark.parametrize(
    ("examples", "best", "holds"), [(40_000, 0.51, True), (40_000, 0.49, False), (4000, 0.49, None), (4000, 0.51, None)]
)
def test_half_of_cifar10_is_decided_by_large_runs_alone(examples, best, holds):
    """Of the optimizer that is chosen on the validation set, not of the one that the test set likes best."""
    knobs = {**PAIR, "dataset": "cifar10", "examples": examples, "epochs": 20}
    result = ended((0.9, best), default=(0.1, 0.5), tuned=(0.3, 0.6), **knobs)
    assert claim(result, "half of the CIFAR-10").holds is holds


def test_networks_that_have_not_learned_decide_nothing():
    for found in ended([0.1] * 5, default=FAR, tuned=NEAR).claims[:3]:
        assert found.holds is None
        assert "twice as often as guessing" in found.hint


def test_it_learns_from_images_in_a_folder_and_each_is_of_its_class(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    for c, name in enumerate(data.SOURCES["cifar10"].classes):
        for part, count in (("train", 12), ("test", 3)):
            folder = tmp_path / "cifar10-images" / part / name
            folder.mkdir(parents=True)
            for i in range(count):  # a class is a shade
                Image.new("RGB", (32, 32), (25 * c + i, 0, 0)).save(folder / f"{i}.png")
    knobs = turned(dataset="cifar10", optimizers=("adam",), examples=100, epochs=30, width=32, pixels="standardised")
    assert len(set(drawn(knobs, 1, CPU).split.y_test[:10].tolist())) > 3, "a glance sees many classes"
    recording = record(knobs)
    assert recording.last("test_accuracy")[0] > 0.6
    assert recording.curve("test_accuracy")[1][0, 0] < 0.4
