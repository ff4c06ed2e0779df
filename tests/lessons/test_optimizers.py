"""The optimizers: every rule against torch.optim, the penalty against a closed form, the search, and the claims."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.frames import Recording
from core.knobs import KnobError
from core.lessons import optimizers as lesson
from core.lessons.optimizers import ALL, LESSON, OPTIMIZERS, RULES, OptimizerKnobs, SideBySide, Task

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


ENOUGH = {"dataset": "fashion-mnist", "examples": 1500, "epochs": 6, "batch_size": 32}  # to decide by accuracies


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


def test_rmsprop_as_the_notebook_writes_it_is_another_rule(monkeypatch):
    def squared_mean(g, s, t):
        s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g
        return g / (np.abs(s["v"]) + 1e-7)

    monkeypatch.setattr(lesson, "RULES", {**RULES, "rmsprop": squared_mean})
    assert lesson.walk(turned(optimizers=("rmsprop",)))[1] > 1e-3


@pytest.mark.parametrize("landscape", lesson.LANDSCAPES)
def test_every_rule_goes_downhill_and_stays_on_the_map(landscape):
    paths, differing = lesson.walk(turned(landscape=landscape))
    height = lesson.LANDSCAPES[landscape][0]
    z = height(*torch.from_numpy(paths).unbind(dim=2)).numpy()
    assert paths.shape == (len(ALL), lesson.STEPS + 1, 2)
    assert (z[:, -1] < z[:, 0]).all()
    assert np.abs(paths).max() <= 2
    assert differing < 1e-6


# ---- the nets ----------------------------------------------------------------------------------------------------


def twin(task, width, seed):
    """The same net in plain PyTorch, started as ours."""
    start = SideBySide(turned(width=width, seed=seed), task, [("sgd", 0.1)], dropout=False).nets
    net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    with torch.no_grad():
        for layer, weight, bias in zip(net[::2], start.weights, start.biases, strict=True):
            layer.weight.copy_(weight[0].T)
            layer.bias.copy_(bias[0, 0])
    return net


@pytest.mark.parametrize("name", ALL)
def test_a_net_trains_as_one_in_plain_pytorch_with_the_penalty_in_its_loss(name):
    knobs = turned(l2=0.01)
    task = Task.of(knobs, CPU)
    side = SideBySide(knobs, task, [("sgd", 0.1), (name, 0.01)], dropout=False)
    net = twin(task, knobs.width, knobs.seed)
    hidden = [*net[0].parameters(), *net[2].parameters()]
    groups = [{"params": hidden}, {"params": list(net[4].parameters())}]
    if name == "adamw":
        groups[0]["weight_decay"] = 0.02
    oracle = OPTIMIZERS[name](groups, lr=0.01)
    for rows in lesson.batches(knobs, task, 2):
        losses = side.step(rows)
        loss = nn.functional.cross_entropy(net(task.x[rows]), task.y[rows])
        assert float(losses[1]) == pytest.approx(loss.item(), abs=1e-4)
        penalty = 0.01 * sum(part.square().sum() for part in hidden)
        oracle.zero_grad()
        (loss if name == "adamw" else loss + penalty).backward()
        oracle.step()
    for mine, theirs in zip(side.nets.weights, net[::2], strict=True):
        torch.testing.assert_close(mine[1], theirs.weight.T, atol=2e-4, rtol=1e-3)
    assert side.penalty()[1] == pytest.approx(0.01 * sum(float(p.detach().square().sum()) for p in hidden), rel=1e-3)
    cross_entropy, accuracy = side.judge(task.x_test, task.y_test)
    logits = net(task.x_test)
    assert cross_entropy[1] == pytest.approx(nn.functional.cross_entropy(logits, task.y_test).item(), abs=1e-3)
    assert accuracy[1] == pytest.approx((logits.argmax(1) == task.y_test).float().mean().item(), abs=0.01)


def test_all_nets_start_alike_with_dropout_and_without():
    task = Task.of(TINY, CPU)
    sides = [SideBySide(TINY, task, [(name, 0.01) for name in ALL], dropout) for dropout in (False, True)]
    for side in sides:
        for mine, first in zip(side.nets.weights, sides[0].nets.weights, strict=True):
            assert torch.equal(mine, first[:1].expand_as(mine))


def test_nothing_is_tuned_on_what_is_learned_or_tested():
    knobs = turned(examples=600)
    task = Task.of(knobs, CPU)
    seen, held_out, test = ({tuple(row.tolist()) for row in part} for part in (task.x, task.x_validation, task.x_test))
    assert (len(task.y), len(task.y_validation)) == (600, 120)
    assert not seen & held_out
    assert not held_out & test
    assert 0 <= task.x.min() < task.x.max() <= 1


def test_a_set_that_cannot_give_so_many_says_so():
    """A sixth is held out. Digits, which a press takes where a set is missing, is no refusal but a sentence."""
    with pytest.raises(KnobError, match=r"examples = 41667 is more than cifar10 gives.* 41666 would do"):
        LESSON.parse({"dataset": "cifar10", "examples": "41667"})
    assert LESSON.parse({"dataset": "cifar10", "examples": "41666"}).examples == 41_666
    assert LESSON.parse({"dataset": "fashion-mnist", "examples": "50000"}).examples == 50_000
    for examples, learned in ((1500, 1250), (1000, 1000)):
        knobs = LESSON.parse({"dataset": "digits", "examples": str(examples)})
        assert len(Task.of(knobs, CPU).y) == learned
        assert (f"digits gives {learned} examples" in LESSON.panels(knobs)[0].caption) == (learned < examples)


def test_the_search_takes_the_rate_that_is_best_on_the_validation_examples():
    recording = record(turned(rates="tuned", optimizers=("sgd", "adadelta")))
    search, chosen = recording.picture("search"), recording.picture("chosen")
    assert search.shape == (2, len(lesson.GRID))
    for i in range(2):
        assert chosen[1, i] == np.nanmax(search[i])
        assert search[i, lesson.GRID.index(chosen[0, i])] == np.nanmax(search[i])
    assert {0.001, 0.01, 1.0} <= {round(rate, 6) for rate in lesson.GRID}
    found = LESSON.facts(turned(rates="tuned", optimizers=("sgd", "adadelta")), recording)
    assert found["tuned_rate[sgd]"] == chosen[0, 0]
    assert found["validation_accuracy[adadelta, notebook]"] == search[1, 2]


def test_a_net_that_diverges_is_a_gap_and_is_never_chosen():
    task = Task.of(TINY, CPU)
    side = SideBySide(TINY, task, [("sgd", 1e30), ("sgd", 0.1)], dropout=False)
    for rows in lesson.batches(TINY, task, 1):
        side.step(rows)
    loss, accuracy = side.judge(task.x_test, task.y_test)
    assert np.isnan([loss[0], accuracy[0]]).all()
    assert np.isfinite([loss[1], accuracy[1]]).all()
    assert lesson.chosen(np.array([[np.nan, 0.3, 0.2] + [np.nan] * 7]))[:, 0].tolist() == [lesson.GRID[1], 0.3]


def test_the_four_numbers_of_each_net_are_facts():
    knobs = turned(dropout="both", l2=0.01, optimizers=("adam", "sgd"))
    recording = record(knobs)
    found = LESSON.facts(knobs, recording)
    for k, name in enumerate(("adam", "sgd", "adam + dropout", "sgd + dropout")):
        assert found[f"test_accuracy[{name}]"] == recording.last("test_accuracy")[k]
        assert found[f"cross_entropy[{name}]"] == recording.last("cross_entropy")[k]
        assert found[f"penalty[{name}]"] == recording.last("penalty")[k] > 0
        assert found[f"train_seconds[{name}]"] > 0


# ---- the claims --------------------------------------------------------------------------------------------------


def claim(knobs, recording, words):
    return next(each for each in LESSON.claims(knobs, recording) if words in each.sentence)


def finished(knobs, accuracy, **more):
    """A recording that ended with these accuracies."""
    recording, n = Recording(), len(accuracy)
    size = {"cross_entropy": [1.0] * n, "penalty": [0.0] * n, "batch_loss": [1.0] * n, "seconds": [1.0] * n}
    curves = {"test_accuracy": accuracy, **size, **more.pop("curves", {})}
    recording.append(lesson.Frame(0, curves, more, 1.0))
    return recording


@pytest.mark.parametrize(("last", "holds"), [(0.79, True), (0.7501, True), (0.7499, False), (0.2, False)])
def test_the_spread_is_of_the_notebooks_five(last, holds):
    knobs = turned(optimizers=(*lesson.ADAPTIVE, "sgd"), rates="tuned", **ENOUGH)
    recording = finished(knobs, [0.8, 0.78, 0.77, last, 0.8, 0.1])
    assert claim(knobs, recording, "same test accuracy").holds is holds
    assert claim(turned(optimizers=(*lesson.ADAPTIVE, "sgd")), recording, "same test accuracy").holds is None


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [((0.6, 0.7), (0.5, 0.8), True), ((0.6, 0.7), (0.58, 0.8), False), ((0.6, 0.8), (0.5, 0.7), False)],
)
def test_a_ranking_turns_where_one_that_was_5_points_behind_comes_out_ahead(first, second, holds):
    knobs = turned(optimizers=("adagrad", "adam"), rates="tuned", **ENOUGH)
    search = np.zeros((2, len(lesson.GRID)))
    search[:, 2], search[:, 5] = zip(first, second, strict=True)  # at 0.001, and tuned
    recording = finished(knobs, [0.5, 0.5], search=search)
    assert claim(knobs, recording, "turns the ranking round").holds is holds


@pytest.mark.parametrize(
    ("accuracy", "updates", "holds"),
    [((0.1, 0.5), 400, True), ((0.1, 0.5), 10, True), ((0.4, 0.5), 400, False), ((0.4, 0.5), 10, None)],
)
def test_adadelta_is_judged_after_enough_updates(accuracy, updates, holds):
    recording = finished(TINY, [0.5] * 9, one_epoch=np.array([*accuracy, 0.5, 0.5]), curves={"updates": updates})
    assert claim(TINY, recording, "is not AdaDelta").holds is holds


@pytest.mark.parametrize(("penalty", "holds"), [((3.0, 0.5), True), ((0.5, 3.0), False)])
def test_the_penalty_ranks_otherwise_where_the_larger_loss_classifies_better(penalty, holds):
    knobs = turned(optimizers=("adam", "sgd"), l2=0.01, **ENOUGH)
    recording = finished(knobs, [0.5, 0.4], curves={"penalty": penalty})
    assert claim(knobs, recording, "stand in another order").holds is holds
    assert claim(turned(optimizers=("adam", "sgd")), recording, "stand in another order").holds is None


@pytest.mark.parametrize(("inputs", "width", "expected"), [("cifar10", 1000, 25.1), ("digits", 64, None)])
def test_the_penalty_at_the_start_follows_from_the_initialization(inputs, width, expected):
    knobs = turned(dataset=inputs, width=width, l2=0.01, optimizers=("sgd",))
    blank = torch.zeros(20, 3072 if inputs == "cifar10" else 64)
    task = Task(*[blank, torch.zeros(20, dtype=torch.int64)] * 3, 10)
    penalty = SideBySide(knobs, task, [("sgd", 0.1)], dropout=False).penalty()
    if expected:
        assert penalty[0] == pytest.approx(expected, rel=0.01)
    recording = finished(knobs, [0.1], curves={"penalty": penalty})
    assert claim(knobs, recording, "At the start the penalty").holds
    wrong = finished(knobs, [0.1], curves={"penalty": penalty * 1.1})
    assert claim(knobs, wrong, "At the start the penalty").holds is False


def test_the_printed_loss_of_dropout_is_above_that_of_the_whole_net():
    knobs = turned(dropout="with", optimizers=("adam", "sgd"), epochs=20, width=32)
    recording = record(knobs)
    assert claim(knobs, recording, "overstates").holds
    assert (recording.last("batch_loss") > recording.last("cross_entropy")).all()
    below = finished(knobs, [0.5, 0.5], curves={"batch_loss": [2.0, 0.9]})
    assert claim(knobs, below, "overstates").holds is False


@pytest.mark.parametrize(
    ("examples", "best", "holds"), [(50_000, 0.51, True), (50_000, 0.49, False), (4000, 0.49, None), (4000, 0.51, True)]
)
def test_half_of_cifar10_is_decided_by_large_runs_alone(examples, best, holds):
    knobs = turned(dataset="cifar10", examples=examples, optimizers=("adam", "sgd"))
    assert claim(knobs, finished(knobs, [best, 0.3]), "half of the CIFAR-10").holds is holds
    assert claim(turned(optimizers=("adam", "sgd")), finished(knobs, [0.9, 0.9]), "half of the CIFAR-10").holds is None


def test_it_learns_from_pictures_in_a_folder_and_each_is_of_its_class(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    for c, name in enumerate(lesson.data.SOURCES["cifar10"].classes):
        for part, count in (("train", 12), ("test", 3)):
            folder = tmp_path / "cifar10-images" / part / name
            folder.mkdir(parents=True)
            for i in range(count):  # a class is a shade
                Image.new("RGB", (32, 32), (25 * c + i, 0, 0)).save(folder / f"{i}.png")
    knobs = turned(dataset="cifar10", optimizers=("adam",), examples=100, epochs=30, width=32, pixels="standardised")
    assert len(set(Task.of(knobs, CPU).y_test[:10].tolist())) > 3, "a glance sees many classes"
    recording = record(knobs)
    assert recording.last("test_accuracy")[0] > 0.6
    assert recording.curve("test_accuracy")[1][0, 0] < 0.4
