"""Dropout: the three rules against their closed forms, training against autograd, the verdict against SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from core.frames import Frame, Recording
from core.lessons import dropout as lesson
from core.lessons.dropout import LESSON, Dropout, DropoutKnobs

CPU = torch.device("cpu")
SMALL = {"width": 16, "depth": 2, "points": 20, "epochs": 20, "data_sets": 2}


def knobs(**turned):
    return DropoutKnobs.parse({**SMALL, **turned})


def record(turned):
    recording = Recording()
    for frame in LESSON.train(turned, CPU):
        recording.append(frame)
    return recording


def holds(turned, recording, words):
    (claim,) = [claim for claim in LESSON.claims(turned, recording) if words in claim.sentence]
    return claim.holds


# ---- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.8])
def test_only_the_notebooks_rule_is_off_and_by_its_factor_in_every_layer(rate):
    inverted, keep, notebook = lesson.scale_ratios(knobs(rate=rate, depth=4), CPU)
    assert lesson.MASKED * lesson.MASKS >= 100_000
    np.testing.assert_allclose(inverted, 1, atol=0.01)
    np.testing.assert_allclose(keep, 1, atol=0.01)
    np.testing.assert_allclose(notebook, ((1 - rate) / rate) ** np.arange(1, 5), rtol=0.02)


def test_the_notebooks_rule_is_four_times_off_at_02_and_nineteen_times_at_005():
    found = {rate: LESSON.facts(knobs(rate=rate), record(knobs(rate=rate))) for rate in (0.2, 0.05)}
    assert found[0.2]["scale_ratio[notebook]"] == pytest.approx(4, rel=0.01)
    assert found[0.05]["scale_ratio[notebook]"] == pytest.approx(19, rel=0.01)
    for name in ("scale_ratio[inverted]", "train_mse[p=0.2]", "validation_mse[p=0.2]", "train_mse[p=0]"):
        assert found[0.2][name] > 0
    assert "validation_mse[p=0.05]" in found[0.05]


def test_keep_scaling_and_the_notebooks_rule_train_the_same_net_and_judge_another():
    keep, notebook = (record(knobs(rule=rule)) for rule in ("keep", "notebook"))
    same = {"rtol": 1e-4, "atol": 1e-6}  # float32, in which another rule may be another order of multiplying
    np.testing.assert_allclose(keep.picture("band"), notebook.picture("band"), **same)  # masks, training mode
    assert not np.allclose(keep.picture("functions")[0], notebook.picture("functions")[0])
    np.testing.assert_allclose(keep.picture("functions")[1], notebook.picture("functions")[1], **same)  # the control


def test_the_claim_about_the_judged_net_flips_with_the_rule():
    learned = {"epochs": 300, "depth": 3}
    for rule, expected in (("inverted", True), ("keep", True), ("notebook", False)):
        turned = knobs(rule=rule, **learned)
        recording = record(turned)
        assert holds(turned, recording, "stands for the mean") is expected
        assert holds(turned, recording, "keeps the mean") is True
        assert holds(turned, recording, "closes part of the gap") is (True if expected else None)


# ---- training -----------------------------------------------------------------------------------------------------


def test_training_is_what_autograd_and_pytorchs_adam_make_of_the_same_masks():
    turned = knobs(epochs=10, input_rate=0.1, rule="inverted", rate=0.3)
    x, y = (torch.from_numpy(each).float().unsqueeze(2) for each in lesson.sample(turned))
    chance = lesson.fleet(turned, 2, Dropout(0.3, 0.1), CPU)  # draws the masks of the lesson's own nets
    start = [
        [each.clone().requires_grad_() for each in pair] for pair in zip(chance.weights, chance.biases, strict=True)
    ]
    optimizer = torch.optim.Adam([each for pair in start for each in pair], lr=0.001)

    def outputs(a, masks):
        for l, (weight, bias) in enumerate(start):
            a = (a * masks[l].transpose(1, 2) if masks else a) @ weight + bias
            a = functional.relu(a) if l < len(start) - 1 else a
        return a

    for _ in range(10):
        chance.backward(x, y)
        optimizer.zero_grad()
        ((outputs(x, chance.masks) - y) ** 2).mean(dim=(1, 2)).sum().backward()
        optimizer.step()
    expected = ((outputs(x, None) - y) ** 2).mean(dim=(1, 2)).detach().numpy()
    np.testing.assert_allclose(record(turned).last("train_mse")[0], expected, rtol=1e-4)


def test_a_rate_of_zero_is_the_control_bit_for_bit_and_the_claim_would_notice(monkeypatch):
    turned = knobs(rate=0.0)
    _, errors = record(turned).curve("validation_mse")
    np.testing.assert_array_equal(errors[:, 0], errors[:, 1])
    assert holds(turned, record(turned), "bit for bit") is True
    monkeypatch.setattr(lesson, "Dropout", lambda rate, input_rate, rule: Dropout(0.1, 0.0, rule))
    assert lesson.zero_rate_differing(turned, CPU) > 0
    assert holds(turned, record(turned), "bit for bit") is False


def test_evaluation_is_not_random_though_masks_are_drawn_and_the_claim_would_notice(monkeypatch):
    turned = knobs()
    recording = record(turned)
    assert recording.last("sample_spread") > 0
    assert recording.last("evaluation_difference") == 0
    assert holds(turned, recording, "nothing is random") is True
    real = lesson.Fleet.forward
    monkeypatch.setattr(lesson.Fleet, "forward", lambda self, x, training=False: real(self, x, training=True))
    assert holds(turned, record(turned), "nothing is random") is False


def test_both_kinds_start_alike_and_more_data_sets_leave_the_first_ones_as_they_are():
    first = record(knobs(rate=0.5)).curve("train_mse")[1][0]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-5)  # the same nets in two fleets, float32
    few, many = (lesson.sample(knobs(data_sets=n)) for n in (2, 5))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other[:2], rtol=1e-12, atol=1e-12)  # sines of a longer array, in float64
        assert len(np.unique(other[:, 0])) == 5
    few_nets, many_nets = (lesson.fleet(knobs(), n, None, CPU) for n in (2, 5))
    for one, other in zip(few_nets.weights, many_nets.weights, strict=True):
        assert torch.equal(one, other[:2])


def test_the_notebooks_start_has_its_spread_in_weights_and_biases():
    made = lesson.fleet(knobs(init="normal 0.05", width=256), 2, None, CPU)
    for part in (made.weights[1], made.biases[1]):
        assert float(part.std()) == pytest.approx(0.05, rel=0.1)
        assert abs(float(part.mean())) < 0.01


def test_the_last_hidden_layer_can_be_spared():
    turned = knobs(where="all but the last", depth=3)
    assert lesson.rates(turned) == [0.2, 0.2, 0.0]
    x, y = (torch.from_numpy(each).float().unsqueeze(2) for each in lesson.sample(turned))
    nets = lesson.fleet(turned, 2, Dropout(lesson.rates(turned)), CPU)
    nets.backward(x, y)
    assert [mask is None for mask in nets.masks] == [True, False, False, True]


# ---- what is measured ---------------------------------------------------------------------------------------------


def test_the_error_on_new_points_is_what_very_many_new_points_would_show():
    turned = knobs(data_sets=1, noise=0.3)
    *_, last = LESSON.train(turned, CPU)
    nets = lesson.fleet(turned, 1, None, CPU)
    x, y = (torch.from_numpy(each).float().unsqueeze(2) for each in lesson.sample(turned))
    optimizer = nets.optimizer("adam", lesson.LEARNING_RATE)
    for _ in range(turned.epochs):
        nets.backward(x, y)
        optimizer.step()
    rng = np.random.default_rng(0)
    new = rng.uniform(-2, 2, 200_000)
    noisy = lesson.truth(new) + rng.normal(0, 0.3, len(new))
    outputs = nets.forward(torch.from_numpy(new).float().unsqueeze(1)).flatten().double().numpy()
    assert last.curves["validation_mse"][1, 0] == pytest.approx(((outputs - noisy) ** 2).mean(), rel=0.02)


def test_the_band_of_one_layer_has_the_width_that_the_masks_variance_gives():
    rate = 0.3
    turned = knobs(depth=1, rate=rate, width=32, data_sets=1)
    nets = lesson.fleet(turned, 1, Dropout(rate), CPU)
    x, y = (torch.from_numpy(each).float().unsqueeze(2) for each in lesson.sample(turned))
    low, high, mean = lesson.Look(turned, nets, nets, x, y).band()[0]
    even = torch.from_numpy(lesson.grid()[:: lesson.EACH]).float().unsqueeze(1)
    hidden = functional.relu(even @ nets.weights[0][0] + nets.biases[0][0])  # (drawn, width)
    parts = (hidden * nets.weights[1][0, :, 0]).double().numpy()
    exact = np.sqrt(rate / (1 - rate) * (parts**2).sum(axis=1))
    far = exact > 0.01  # at x = 0 a net without biases has no output and no spread
    assert ((high - low) / 4)[far].mean() == pytest.approx(exact[far].mean(), rel=0.08)
    off = (mean - parts.sum(axis=1))[far] / (exact[far] / math.sqrt(lesson.SAMPLES))
    assert np.abs(off).max() < 5  # the whole net is the mean of the thinned ones, for one layer exactly


@pytest.mark.parametrize("gain", [[1.0, 2, 3, 4, 5, 6], [-1.0, 2, -3, 4, 5, 6, 7], [0.3, -0.2, 0.1, -0.4, 0.2, 0.1]])
def test_the_verdict_is_scipys_exact_permutation_test(gain):
    exact = stats.permutation_test((np.array(gain),), np.mean, permutation_type="samples", n_resamples=10_000)
    assert lesson.by_chance(np.array(gain)) == pytest.approx(exact.pvalue)


@pytest.mark.parametrize(
    ("gain", "rate", "expected"),
    [
        ([0.01, 0.02, 0.03, 0.02, 0.01, 0.02], 0.2, True),
        ([-0.01, -0.02, -0.03, -0.02, -0.01, -0.02], 0.2, False),  # far from chance, but worse
        ([0.01, -0.02, 0.03, -0.02, 0.01, 0.02], 0.2, False),  # no more than chance
        ([0.01, 0.02, 0.03, 0.02, 0.01, 0.02], 0.0, None),
        ([0.01, 0.02, 0.03, 0.02, 0.01], 0.2, None),  # too few data sets
    ],
)
def test_dropout_helps_only_where_it_is_better_and_by_more_than_chance(gain, rate, expected):
    errors = np.stack([np.full(len(gain), 0.05), 0.05 + np.array(gain)])
    recording = Recording()
    recording.append(Frame(0, {"train_mse": 3 * errors, "validation_mse": 3 * errors}))
    recording.append(Frame(300, {"train_mse": errors, "validation_mse": errors}, progress=1.0))
    turned = knobs(rate=rate, data_sets=len(gain), epochs=300)
    assert holds(turned, recording, "beats the same net") is expected
    found = LESSON.facts(turned, recording)
    assert found["validation_gain"] == pytest.approx(np.mean(gain))
    assert found["data_sets_helped"] == sum(each > 0 for each in gain)
    assert LESSON.outcome(found)
    recording = Recording()
    recording.append(Frame(0, {"train_mse": errors, "validation_mse": errors}, progress=0.5))
    assert holds(turned, recording, "beats the same net") is None


# ---- what is drawn ------------------------------------------------------------------------------------------------


def test_the_drawn_net_shows_the_masks_and_no_edge_of_a_dropped_unit():
    turned = knobs(width=3, depth=2)
    drawing = lesson.Drawing.of(turned)
    masks = [None, torch.tensor([[[2.0], [0.0], [2.0]]]), torch.tensor([[[0.0], [2.0], [2.0]]])]
    kept, dropped = drawing.nodes(masks)
    shown = np.array([True, True, False, True, False, True, True, True])  # input, two layers of three, output
    np.testing.assert_array_equal(np.isfinite(kept), shown)
    np.testing.assert_array_equal(np.isfinite(dropped), ~shown)
    x, y = drawing.places()[1].reshape(-1, 3), drawing.edges(masks).reshape(-1, 3)
    drawn = [(int(a), s, e) for (a, _, _), (s, e, _) in zip(x, y, strict=True) if math.isfinite(s)]
    assert drawn == [(0, 0, -1), (0, 0, 1), (1, -1, 0), (1, -1, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0)]


def test_the_drawn_masks_are_in_motion_and_drop_at_the_rate():
    turned = knobs(rate=0.3, width=8, depth=6, epochs=80, data_sets=1)
    pictures = [np.isfinite(picture[1]) for _, picture in record(turned).picture_changes("net")]
    assert not pictures[0].any()  # no mask before the first step
    hidden = np.stack(pictures[1:])[:, 1:-1]  # (frames, 48 units)
    assert hidden.shape == (80, 48)
    assert hidden.mean() == pytest.approx(0.3, abs=0.03)  # 3,840 draws: 4 standard errors
    assert len(np.unique(hidden, axis=0)) == 80
    assert not np.stack(pictures)[:, [0, -1]].any()


def test_the_cost_counts_the_matrix_products_that_run(monkeypatch):
    monkeypatch.setattr(lesson, "MASKS", 8)  # the chart of the rules is not what grows
    turned = knobs(width=32, depth=3, points=50, epochs=30, data_sets=2)
    with FlopCounterMode(display=False) as counted:
        record(turned)
    assert LESSON.cost_of(turned).flops == pytest.approx(counted.get_total_flops(), rel=0.15)


@pytest.mark.parametrize(("at_end", "expected"), [(0.05, True), (0.02, False)])
def test_stopping_in_time_is_compared_with_dropout_at_the_end(at_end, expected):
    recording = Recording()
    for step, errors in enumerate([(0.1, 0.1), (0.08, 0.03), (at_end, 0.06)]):
        both = np.array(errors)[:, None]
        learned = both / (1 + step)  # what the nets train on falls all the while
        recording.append(Frame(step, {"train_mse": learned, "validation_mse": both}, progress=step / 2))
        assert holds(knobs(epochs=300), recording, "stopped at its best epoch") is (expected if step == 2 else None)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5, 0.8])
def test_the_chart_of_rules_has_room_for_all_of_them_and_none_for_last_digits(rate):
    knobs = DropoutKnobs(rate=rate, depth=4)
    panel = next(each for each in LESSON.panels(knobs) if each.name.startswith("Three rules"))
    low, high = panel.layout["yaxis"]["range"]
    assert (low <= -0.3, high >= 0.3) == (True, True)  # half and twice
    if rate:
        assert low < 4 * np.log10((1 - rate) / rate) < high
