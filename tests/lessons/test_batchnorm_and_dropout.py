"""Batch norm and dropout: the variants, what the frames show against the networks themselves, claims that flip."""

import itertools

import numpy as np
import pytest
import torch

from core import data
from core.frames import Frame, Recording
from core.lessons.batchnorm_and_dropout import NOTEBOOK, VARIANTS, NormKnobs, has_norm, kind, lesson
from core.stats import CANNOT_TELL
from core.training.lenet import LAYERS, BatchNorm, Kind, LeNet, SideBySide
from core.training.lenet_state import BELOW, CUT, PLACES, WRONG, Images

CPU = torch.device("cpu")
SMALL = {"dataset": "digits", "examples": 60, "epochs": 2, "batch_size": 20, "variants": VARIANTS, "seeds": 1}


def knobs(**turned):
    return NormKnobs.parse({**SMALL, **turned})


def record(turned):
    recording = Recording()
    for frame in lesson.train(turned, CPU):
        recording.append(frame)
    return recording


def images(turned):
    return Images(data.load(turned.dataset, CPU), turned.examples, turned.seed)


@pytest.fixture(scope="module")
def small():
    return record(knobs(seeds=2))


def claim(turned, recording, words):
    (found,) = [each for each in lesson.result(turned, recording).claims if words in each.sentence]
    return found


# ---- the variants --------------------------------------------------------------------------------------------------


def test_variants_differ_in_what_their_names_say():
    turned = knobs(hidden_rate=0.5, input_rate=0.2)
    kinds = {name: kind(name, turned, 33.0, 78.0) for name in VARIANTS}
    assert kinds["plain"] == Kind(keep=turned.keep)
    norms = {name for name in VARIANTS if name.startswith(("batch norm", "both"))}
    assert {name for name in VARIANTS if kinds[name].batch_norm} == norms
    assert {name for name in VARIANTS if kinds[name].input_norm} == {"batch norm on input too", "both"}
    drops = {name for name in VARIANTS if name.startswith(("dropout", "both"))}
    assert {name for name in VARIANTS if kinds[name].hidden_rate} == drops
    assert {name for name in VARIANTS if kinds[name].input_rate} == drops - {"both (dropout last)"}
    assert {name for name in VARIANTS if kinds[name].last_only} == {"both (dropout last)"}
    standardised = {"batch norm", "both (dropout last)", *(name for name in VARIANTS if "(standardised)" in name)}
    assert {name for name in VARIANTS if kinds[name].spread == 78.0} == standardised
    assert kinds["both"].dropout_first
    assert not kind("both", knobs(order="batch norm, then dropout"), 0.0, 1.0).dropout_first


def test_variants_that_are_compared_on_standardised_inputs_differ_in_nothing_else():
    turned = knobs()
    made = {name: kind(name, turned, 33.0, 78.0) for name in VARIANTS}
    without = {"batch_norm": False, "hidden_rate": 0.0, "input_rate": 0.0}
    for name in ("batch norm", "dropout (standardised)", "both (standardised)"):
        assert Kind(**{**vars(made[name]), **without}) == made["plain (standardised)"]


def test_all_that_norms_is_said_to_norm():
    for name in VARIANTS:
        net = LeNet(kind(name, knobs(), 0.0, 255.0), 1)
        assert [norm.width > 0 for norm in net.norms] == [has_norm(name, place) for place in PLACES]


def test_standardised_images_have_mean_0_and_standard_deviation_1_and_digits_fill_28():
    made = images(knobs(examples=300))
    assert made.x.shape == (300, 1, 28, 28)
    scaled = (made.x.float() - made.mean) / made.sd
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - 1) < 1e-4
    raw, _ = data.subset(data.load("digits", CPU), 300, 1)
    assert torch.equal(made.x[:, 0, 2:26:3, 2:26:3], (raw.view(-1, 8, 8).float() * 255 / 16).round().to(torch.uint8))
    assert not made.x[:, :, :2].any()


def test_dropout_behind_the_last_batch_norm_alone_drops_nothing_before_it():
    net = LeNet(Kind(batch_norm=True, hidden_rate=0.5, dropout_first=False, last_only=True), 1).train()
    a = torch.randn(30, 84, generator=torch.Generator().manual_seed(1))
    for layer, width in zip((1, 2, 3), (6, 16, 120), strict=True):
        assert (net.between(torch.randn(30, width), layer) != 0).all()
    share = float((net.between(a, 4) == 0).float().mean())
    assert 0.4 < share < 0.6


# ---- the theory ----------------------------------------------------------------------------------------------------


def test_what_batch_norm_gives_in_evaluation_is_the_mean_over_masks_of_what_it_gave_in_training():
    net = LeNet(Kind(batch_norm=True, hidden_rate=0.5), seed=3).train()
    norm, a = BatchNorm(84, 0.0, "cpu"), torch.randn(50, 84, generator=torch.Generator().manual_seed(2))
    norm(net.drop(a, 0.5))  # the running statistics are those of dropped activations
    norm.eval()
    with torch.no_grad():
        over_masks = torch.stack([norm(net.drop(a, 0.5)) for _ in range(4000)]).mean(dim=0)
        plain = norm(a)
    assert float((over_masks - plain).abs().mean()) < 0.02
    assert float(plain.var()) == pytest.approx(0.5, abs=0.06)  # and its variance is half of what is expected


def test_the_worked_example_of_co_adaptation():
    s, n = np.random.default_rng(1).normal(size=(2, 200_000))
    units = np.stack([s + n, n])

    def best(masks):
        x = np.concatenate([units * np.array(mask)[:, None] for mask in masks], axis=1)
        return np.linalg.lstsq(x.T, np.tile(s, len(masks)), rcond=None)[0]

    np.testing.assert_allclose(best([(1, 1)]), [1, -1], atol=1e-9)
    np.testing.assert_allclose(best(list(itertools.product((0, 2), repeat=2))), [2 / 7, -1 / 7], atol=0.01)


# ---- what the frames show ------------------------------------------------------------------------------------------


def test_the_last_frame_tells_what_the_networks_make_of_all_test_images(small):
    turned = knobs(seeds=2)
    made = images(turned)
    kinds = [kind(name, turned, made.mean, made.sd) for name in VARIANTS]
    nets = SideBySide([LeNet(each, seed) for each in kinds for seed in (1, 2)], turned.learning_rate, 0.0)
    rngs, printed = [torch.Generator().manual_seed(seed) for seed in (1, 2)], []
    for _ in range(turned.epochs):  # whole epochs at once
        orders = [torch.randperm(60, generator=rng) for rng in rngs]
        printed.append(nets.train(made.x, made.y, orders * len(VARIANTS), 20).reshape(-1, 2))
    judged = nets.judge(made.x_test, made.y_test)
    one = 1 / len(made.y_test)  # image between two classes may fall on either side
    np.testing.assert_allclose(small.last("test_accuracy"), judged.accuracy.reshape(-1, 2), atol=1.001 * one)
    np.testing.assert_allclose(small.last("test_loss"), judged.loss.reshape(-1, 2), rtol=1e-6)
    np.testing.assert_allclose(small.curve("epoch_loss")[1], printed, rtol=1e-6)
    result = lesson.result(turned, small)
    facts, last = result.values, VARIANTS.index("both")
    assert facts["test_accuracy[both]"] == pytest.approx(judged.accuracy.reshape(-1, 2)[last].mean())
    np.testing.assert_allclose(result.samples("loss_as_trained", "plain, epoch 2"), printed[1][0])
    assert {f"test_accuracy[{name}]" for name in VARIANTS} <= set(facts)
    assert {f"variance_shift[both, {place}]" for place in PLACES} <= set(facts)
    assert "variance_shift[plain, C6]" not in facts
    row = VARIANTS.index("batch norm on input too")
    for name, of in (("gamma", "gamma"), ("beta", "beta"), ("moving_mean", "mean"), ("variance_expected", "variance")):
        ours = np.concatenate([getattr(norm, of).detach() for norm in nets.nets[2 * row].norms])
        np.testing.assert_allclose(small.picture(name)[row], ours, rtol=1e-5, atol=1e-7)
    assert np.isnan(small.picture("beta")[0]).all()


def test_an_epoch_takes_seconds_of_each_network_alone(small):
    seconds = lesson.result(knobs(seeds=2), small).samples("seconds_per_epoch", "both")
    assert seconds.shape == (2,)
    assert (seconds > 0).all()
    np.testing.assert_allclose(small.picture("seconds"), small.last("seconds_per_epoch").mean(axis=1))


def test_misclassified_images_are_misclassified(small):
    made, words = images(knobs()), small.picture("misread").reshape(len(VARIANTS), WRONG)
    whole, side = small.picture("wrong"), CUT.stop - CUT.start
    for i in range(len(VARIANTS)):
        said = [word.split(" as ") for word in words[i] if word]
        assert said
        assert all(true != taken for true, taken in said)
        row = (side + BELOW) * i
        tile = torch.from_numpy(whole[row : row + side, :side])
        found = [
            int(made.y_test[n]) for n in range(len(made.y_test)) if torch.equal(made.x_test[n, 0, 4:24, 4:24], tile)
        ]
        assert int(said[0][0]) in found


# ---- what is stated ------------------------------------------------------------------------------------------------


def test_variance_doubles_behind_dropout_and_nowhere_else(real_data):
    names = ("batch norm", "both (standardised)", "both (dropout last)")
    turned = NormKnobs(variants=names, examples=1500, epochs=2, batch_size=15, seeds=1)
    result = lesson.result(turned, record(turned))
    for layer in LAYERS:
        assert 1.7 <= result.fact("variance_shift", f"both (standardised), {layer}") <= 2.4
        assert 0.85 <= result.fact("variance_shift", f"batch norm, {layer}") <= 1.15
        assert 0.85 <= result.fact("variance_shift", f"both (dropout last), {layer}") <= 1.15
    assert claim(turned, result.recording, "about twice the variance").holds is True
    assert claim(turned, result.recording, "nothing is dropped before it").holds is True
    # The other claim, told these numbers, says that they are no small ones.
    other = turned.model_copy(update={"order": "batch norm, then dropout"})
    assert claim(other, result.recording, "ahead of dropout meets").holds is False


SCORES = dict(zip(VARIANTS, (0.93, 0.94, 0.983, 0.986, 0.987, 0.919, 0.925, 0.957, 0.96, 0.98), strict=True))
SHIFTS = {name: 2.1 if name in ("both", "both (standardised)") else 1.0 for name in VARIANTS}
PRINTED = dict.fromkeys(VARIANTS, 0.7) | {name: losses[0] for name, (losses, _, _) in NOTEBOOK.items()}
BY_SEED = np.array([-0.001, 0.0, 0.001, 0.0005, -0.0005])


def told(turned, *, scores=(), shifts=(), printed=(), scatter=()):
    """A run with these scores, running over met variances and printed losses; in `scatter` those of each seed."""
    names = lesson.series(turned)
    repeats = BY_SEED[: turned.seeds]
    score, moved, losses = SCORES | dict(scores), SHIFTS | dict(shifts), PRINTED | dict(printed)
    values = np.array([dict(scatter).get(name, score[name] + repeats) for name in names])
    curves = dict.fromkeys(("test_accuracy", "train_accuracy"), values)
    curves |= dict.fromkeys(("test_loss", "train_loss", "loss_as_trained"), 2 * (1 - values))
    for place in PLACES:
        curves[f"variance_shift_{place}"] = np.array([[moved[name]] * turned.seeds for name in names])
    recording = Recording()
    recording.append(Frame(0, curves))
    first = np.array([[losses[name]] * turned.seeds for name in names])
    for epoch in range(1, turned.epochs + 1):
        recording.append(Frame(epoch, {**curves, "epoch_loss": first}, progress=epoch / turned.epochs))
    return recording


DONE_RIGHT = lesson.presets["Done right"]
CLASSROOM = lesson.presets["Classroom"]
FIRST = lesson.presets["Batch norm first"]
LAST_ONLY = lesson.presets["Dropout behind the last batch norm"]
ALONE, BOTH, DROPOUT, LAST = "batch norm", "both (standardised)", "dropout (standardised)", "both (dropout last)"


@pytest.mark.parametrize(
    ("turned", "words", "no"),
    [
        (CLASSROOM, "batch norm alone classifies better", {"scores": {BOTH: 0.99}}),
        (CLASSROOM, "batch norm alone classifies better", {"scores": {"plain (standardised)": 0.99}}),
        (DONE_RIGHT, "batch norm alone classifies better", {"scores": {"both": 0.99}}),
        (CLASSROOM, "Both together classify better", {"scores": {DROPOUT: 0.97}}),
        (DONE_RIGHT, "Both together classify better", {"scores": {"dropout": 0.97}}),
        (CLASSROOM, "dropout alone costs accuracy", {"scores": {DROPOUT: 0.95}}),
        (DONE_RIGHT, "dropout alone costs accuracy", {"scores": {"dropout": 0.94}}),
        (LAST_ONLY, "behind the last batch norm alone", {"scores": {LAST: 0.95}}),
        (FIRST, "the order is not the cause", {"scores": {BOTH: 0.99}}),
        (DONE_RIGHT, "standardised inputs bring without it", {"scores": {ALONE: 0.98}}),
        (DONE_RIGHT, "to within 0.4 points", {"scores": {ALONE: 0.98}}),
        (CLASSROOM, "about twice the variance", {"shifts": {BOTH: 1.6}}),
        (CLASSROOM, "about twice the variance", {"shifts": {BOTH: 2.5}}),
        (LAST_ONLY, "nothing is dropped before it", {"shifts": {LAST: 1.2}}),
        (CLASSROOM, "training loss that Keras prints", {"printed": {DROPOUT: 0.1}}),
        (DONE_RIGHT, "“batch norm (inputs / 255)”", {"scores": {"batch norm (inputs / 255)": 0.979}}),
        (DONE_RIGHT, "“dropout”", {"scores": {"dropout": 0.951}}),
        (DONE_RIGHT, "“both”", {"scores": {"both": 0.939}}),
        (DONE_RIGHT, "printed losses are the same", {"printed": {"both": 1.06}}),
        (lesson.presets["Full recipe"], "comes to where its authors had it", {"scores": {ALONE: 0.988}}),
    ],
)
def test_every_claim_can_hold_and_can_fail(turned, words, no):
    yes = {"scores": {ALONE: 0.995}} if "authors" in words else {}
    assert claim(turned, told(turned, **yes), words).holds is True
    assert claim(turned, told(turned, **no), words).holds is False


def test_reversed_order_is_held_to_a_ratio_of_one():
    ones, words = {"shifts": {BOTH: 1.02}}, "ahead of dropout meets"
    assert claim(FIRST, told(FIRST, **ones), words).holds is True
    assert claim(FIRST, told(FIRST), words).holds is False


def test_an_interval_that_contains_zero_decides_nothing_and_says_so():
    wide = {"scatter": {BOTH: np.array([0.9, 0.99, 0.98, 0.99, 0.97])}}
    found = claim(CLASSROOM, told(CLASSROOM, **wide), "batch norm alone classifies better")
    assert found.holds is None
    assert CANNOT_TELL in found.measured
    wide = {"scatter": {"batch norm on input too": np.array([0.99, 0.98, 0.992])}}
    assert claim(DONE_RIGHT, told(DONE_RIGHT, **wide), "to within 0.4 points").holds is None


def test_one_seed_and_other_settings_decide_no_comparison():
    one = CLASSROOM.model_copy(update={"seeds": 1})
    found = claim(one, told(one), "batch norm alone classifies better")
    assert found.holds is None
    assert 'the preset "Classroom" has that' in found.hint
    for turned in ({"hidden_rate": 0.1}, {"epochs": 20}, {"dataset": "fashion-mnist"}, {"examples": 500}):
        other = CLASSROOM.model_copy(update=turned)
        assert claim(other, told(other), "batch norm alone classifies better").holds is None
    assert claim(CLASSROOM, told(CLASSROOM), "“dropout”").holds is None
    assert claim(knobs(), record(knobs()), "61,706").holds is True


def test_the_full_recipe_is_scored_by_the_variant_that_is_named_and_by_no_better_one():
    turned = DONE_RIGHT.model_copy(update={"epochs": 15, "momentum": 0.9})
    better = {"scores": {"both": 0.995, ALONE: 0.98}}
    assert claim(turned, told(turned, **better), "authors had it").holds is False


def test_statistics_that_have_not_settled_decide_nothing():
    turned = CLASSROOM.model_copy(update={"keep": 0.999})
    assert claim(turned, told(turned), "about twice the variance").holds is None


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_real_images_are_learned_from(dataset, real_data):
    turned = NormKnobs(dataset=dataset, variants=("batch norm",), examples=600, epochs=1, batch_size=20, seeds=1)
    assert lesson.result(turned, record(turned)).fact("test_accuracy", "batch norm") > 0.5
