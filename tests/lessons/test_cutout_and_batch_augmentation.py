"""Cutout and batch augmentation: what a step is, what an epoch takes, and claims that flip with the numbers."""

import base64
import math
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from core import data
from core.frames import Frame, Recording
from core.knobs import KnobError
from core.lessons.cutout_and_batch_augmentation import LENGTHS, CutoutKnobs, lesson
from core.stats import CANNOT_TELL
from core.training import augmented
from core.training.augmented import BASELINE, COUNTS, GAP, SHOWN_VIEWS, Kind, Learner
from core.training.views import Pictures
from tests.altered import altered

CPU = torch.device("cpu")
SMALL = {**lesson.small(CutoutKnobs()).model_dump(), "frozen_copies": "beside", "seeds": 1, "batch_size": 25}


def knobs(**turned):
    return CutoutKnobs.parse({**SMALL, **turned})


def record(turned):
    recording = Recording()
    for frame in lesson.train(turned, CPU):
        recording.append(frame)
    return recording


def claim(turned, recording, words):
    (found,) = [claim for claim in lesson.result(turned, recording).claims if words in claim.sentence]
    return found


def facts(turned, recording):
    return lesson.result(turned, recording).values


def learner(kind, seed=1, **turned):
    made = knobs(**turned)
    whole = data.load("digits", CPU)
    x, y = data.subset(whole, made.examples, seed)
    return Learner(made, kind, Pictures(x, whole.shape), y, 10, seed)


@pytest.fixture(scope="module")
def run():
    """Fresh views with M = 1, 2 and 4, and frozen copies with 2 and 4."""
    turned = knobs(augmentations=(1, 2, 4), batch_size=8)
    return turned, record(turned)


# ---- what a step is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 3, 8])
def test_a_step_of_batch_augmentation_reads_m_views_of_each_picture_and_an_epoch_each_picture_once(m):
    steps = learner(Kind(m), batch_size=8).epoch()
    assert len(steps) == math.ceil(50 / 8)
    seen = []
    for rows, copies in steps:
        pictures = rows.unique()
        assert 1 <= len(pictures) <= 8
        assert sorted(zip(rows.tolist(), copies.tolist(), strict=True)) == [
            (row, j) for row in pictures.tolist() for j in range(m)
        ]
        seen += pictures.tolist()
    assert sorted(seen) == list(range(50))


def test_an_epoch_of_frozen_copies_is_the_notebooks_shuffled_np_repeat():
    steps = learner(Kind(4, frozen=True), batch_size=8).epoch()
    assert len(steps) == math.ceil(4 * 50 / 8)
    assert max(len(rows) for rows, _ in steps) <= 8
    pairs = [pair for rows, copies in steps for pair in zip(rows.tolist(), copies.tolist(), strict=True)]
    assert sorted(pairs) == [(row, j) for row in np.repeat(np.arange(50), 4)[::4].tolist() for j in range(4)]
    assert any(len(rows.unique()) < len(rows) for rows, _ in steps) or len(pairs) == 200


def test_all_nets_of_a_seed_start_alike_and_meet_the_same_pictures():
    one, four = learner(Kind(1)), learner(Kind(4))
    assert all(torch.equal(a, b) for a, b in zip(one.net.parameters(), four.net.parameters(), strict=True))
    for (rows, _), (others, _) in zip(one.epoch(), four.epoch(), strict=True):
        assert torch.equal(rows, others[::4])


def test_a_step_is_what_autograd_and_pytorchs_optimizer_make_of_the_views():
    ours, theirs = (
        learner(Kind(2), optimizer="momentum", learning_rate=0.05, schedule="constant", weight_decay=0.01)
        for _ in range(2)
    )
    steps = ours.epoch()[:2]
    optimizer = torch.optim.SGD(theirs.net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    losses = []
    for rows, _ in steps:
        centres = theirs.holes.centres(len(rows), (8, 8), theirs.chance)
        loss = functional.cross_entropy(theirs.net(theirs.views(rows, theirs.chance, centres)), theirs.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert ours.learn(steps) == pytest.approx(np.mean(losses), rel=1e-5)
    for one, other in zip(ours.net.parameters(), theirs.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [Kind(2), Kind(2, frozen=True)])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_rate_falls_to_a_tenth_after_half_and_three_quarters_of_the_steps_or_stays(kind, epochs):
    falls, stays = (learner(kind, learning_rate=0.05, schedule=each, epochs=epochs) for each in ("steps", "constant"))
    rates = {one: [] for one in (falls, stays)}
    for one, seen in rates.items():
        for step in [step for _ in range(epochs) for step in one.epoch()]:
            seen.append(one.optimizer.param_groups[0]["lr"])
            one.learn([step])
    n = len(rates[falls])
    expected = [0.05 if step < n / 2 else 0.005 if step < 3 * n / 4 else 0.0005 for step in range(n)]
    assert rates[falls] == pytest.approx(expected)
    assert rates[stays] == [0.05] * n


# ---- what is counted ----------------------------------------------------------------------------------------------


def test_steps_of_an_epoch_do_not_grow_with_m_but_with_frozen_copies_they_do(run):
    turned, recording = run
    found = facts(turned, recording)
    assert {found[f"steps_per_epoch[M={m}]"] for m in (1, 2, 4)} == {math.ceil(50 / 8)}
    assert {m: found[f"steps_per_epoch[M={m}, frozen]"] for m in (2, 4)} == {2: 13, 4: 25}
    assert {m: found[f"pictures_per_epoch[M={m}]"] for m in (1, 2, 4)} == {1: 50, 2: 100, 4: 200}
    assert claim(turned, recording, "whatever M is").holds is True
    assert claim(turned, recording, "M times as many steps").holds is True


def test_fresh_views_have_other_holes_in_the_next_epoch_and_frozen_copies_the_same(run):
    turned, recording = run
    found = facts(turned, recording)
    assert found["masks_repeated[M=4, frozen]"] == 1.0
    assert found["masks_repeated[M=4]"] < 0.06  # one place in 64 by chance
    long = knobs(epochs=12, cutout_length=3)
    assert facts(long, record(long))["masks_repeated[M=4]"] == pytest.approx(1 / 64, abs=0.012)
    once = knobs(epochs=1)
    assert facts(once, record(once))["masks_repeated[M=1]"] is None
    assert claim(once, record(once), "other holes").holds is None


@pytest.mark.parametrize(("length", "count"), [(4, 1), (3, 2), (6, 4)])
def test_holes_hide_what_clipped_squares_do(length, count):
    turned = knobs(cutout_length=length, holes=count)
    recording = record_first(turned)
    found = facts(turned, recording)
    assert found[f"masked_area[length={length}]"] == pytest.approx(found["masked_area_expected"], abs=0.01)
    assert found["masked_area_expected"] < count * length**2 / 64
    assert claim(knobs(cutout_length=0), record_first(knobs(cutout_length=0)), "beyond the border").holds is None


def record_first(turned, frames=1):
    recording = Recording()
    for frame, _ in zip(lesson.train(turned, CPU), range(frames), strict=False):
        recording.append(frame)
    return recording


def test_sizes_are_counted_in_the_nets(run):
    found = facts(*run)
    assert found["parameters[resnet44]"] == 658_586
    assert found["parameters[resnet44 keras]"] + found["statistics[resnet44 keras]"] == 665_994
    assert found["parameters[this net]"] == sum(each.numel() for each in learner(Kind(1)).net.parameters())


# ---- gradients ----------------------------------------------------------------------------------------------------


def test_the_gradient_of_all_views_is_the_mean_over_copies_but_for_batch_norm(run):
    found = facts(*run)
    assert found["gradient_difference"] < 1e-10
    assert found["gradient_difference[batch norm]"] > 1e-3
    assert claim(*run, "mean of M gradients").holds is True


def test_gradients_scatter_as_the_theory_orders_them():
    turned = knobs(augmentations=(1, 8))
    made = learner(Kind(1), augmentations=(1, 8))
    *_, (views, pictures) = augmented.gradient_variance(turned, made.pictures, made.labels)
    assert augmented.ms(turned) == [1, 2, 4, 8]
    assert (np.diff(views) < 0).all()
    assert (views[1:] > pictures[1:]).all()
    np.testing.assert_allclose(pictures, 1 / np.array([1, 2, 4, 8]), rtol=0.12)  # independent: 1 / m
    # Views calm what differs between views and nothing else: a + b / m, with a + b = 1.
    between = (views[3] - 1 / 8) / (1 - 1 / 8)
    np.testing.assert_allclose(views, between + (1 - between) / np.array([1, 2, 4, 8]), rtol=0.12)


def test_without_any_augmentation_views_calm_nothing():
    turned = {"shift": "none", "cutout_length": 0}
    made = learner(Kind(1), **turned)
    *_, (views, pictures) = augmented.gradient_variance(knobs(**turned), made.pictures, made.labels)
    np.testing.assert_allclose(views, 1, rtol=1e-6)
    assert pictures[-1] < 0.4
    for turns, holds in ((turned, None), ({}, True)):
        assert claim(knobs(**turns), record_first(knobs(**turns), 8), "reduce the gradient").holds is holds


# ---- claims and the contract --------------------------------------------------------------------------------------


def told(errors, **turned):
    """A run that ends with these test errors, in percent: (series, seeds)."""
    table = np.array(errors, dtype=float) / 100
    made = knobs(**{"seeds": table.shape[1], "frozen_copies": "none", "dataset": "mnist", "tests": 1000, **turned})
    recording, first = Recording(), record_first(knobs())
    curves = {name: first.last(name) for name in ("masked_area", "parameters")}
    counts = {name: np.ones(table.shape) for name in COUNTS}
    recording.append(Frame(0, {**curves, **counts, "test_error": table}))
    recording.append(Frame(2, {**counts, "test_error": table}, progress=1.0))
    return made, recording


def gaining(gains):
    """Errors with one view and with four that differ by these points."""
    return [[40.0] * len(gains), [40.0 - gain for gain in gains]]


@pytest.mark.parametrize(
    ("gains", "holds"),
    [([3, 3.5, 4], True), ([-2, -2.1, -2.2], False), ([5, -4, 1], None), ([0.0, 0.1, -0.1], None), ([9], None)],
)
def test_whether_four_views_beat_one_is_decided_by_the_interval_over_the_seeds(gains, holds):
    found = claim(*told(gaining(gains)), "four views of each image give a lower")
    assert found.holds is holds
    if holds is None:
        assert CANNOT_TELL in found.measured


def test_networks_that_have_learned_nothing_decide_nothing():
    nothing = [[90.0, 90.1, 90.2], [85.0, 85.1, 85.2]]
    assert claim(*told(nothing), "four views of each image give a lower").holds is None


@pytest.mark.parametrize(
    ("words", "turned", "yes", "no"),
    [
        ("length 16 lowers", {"compare": "cutout lengths"}, (40, 41, 40, 36), (40, 41, 40, 44)),
        ("more than dropout of as many", {"compare": "cutout and dropout"}, (40, 36, 41), (40, 41, 36)),
        ("lowers the test error at all", {"compare": "cutout and dropout"}, (40, 36, 41), (36, 40, 41)),
    ],
)
def test_what_is_said_of_cutout_itself_can_hold_and_can_fail(words, turned, yes, no):
    for means, holds in ((yes, True), (no, False)):
        errors = [[mean - 0.2, mean, mean + 0.2] for mean in means]
        assert claim(*told(errors, **turned), words).holds is holds


def test_counted_claims_can_fail():
    made, _ = told([[40.0], [38.0]])
    recording = Recording()
    counts = {name: np.ones((2, 1)) for name in COUNTS}
    ended = {"steps": (10, 40), "read": (100, 200), "again": (200, 200), "same": (2, 150)}
    counts |= {name: np.array(values, dtype=float)[:, None] for name, values in ended.items()}
    wrong = {"gradient_difference": [0.1, 0.2], "masked_area": [0.2, 0.1], "parameters": [1, 2, 3, 4, 5]}
    for _ in range(augmented.PROBE_PARTS):
        recording.append(Frame(0, {**counts, **wrong}, {"variance": np.array([[1, 0.9, 1.1], [1, 0.5, 0.25]])}))
    recording.append(Frame(2, {**counts, "test_error": np.array([[0.4], [0.38]])}, progress=1.0))
    counted = ("whatever M is", "have other holes", "beyond the border", "mean of M gradients", "reduce the", "658,586")
    for words in counted:
        assert claim(made, recording, words).holds is False, words
    frozen = made.model_copy(update={"augmentations": (2, 4), "frozen_copies": "instead"})
    assert claim(frozen, recording, "M times as many steps").holds is False


# ---- cutout itself ------------------------------------------------------------------------------------------------


def test_lengths_train_side_by_side_on_the_same_views_with_other_squares():
    turned = {"compare": "cutout lengths", "frozen_copies": "none", "shrink": 1, "shift": "none"}
    assert lesson.series(knobs(**turned)) == [f"length={length}" for length in LENGTHS]
    made = [learner(kind, **turned) for kind in (Kind(1, length=0), Kind(1, length=4))]
    rows, each = torch.arange(20), torch.arange(8).expand(20, -1)
    centres = made[0].holes.centres(20, (8, 8), torch.Generator().manual_seed(1))
    plain, cut = (one.views(rows, torch.Generator().manual_seed(2), centres) for one in made)
    hidden = made[1].holes.hidden(centres, each, each)
    assert torch.equal((plain != cut)[:, 0], hidden)  # no pixel of a digit is of just the mean color
    assert not cut[:, 0][hidden].any()


def test_dropout_drops_the_share_of_pixels_that_cutout_hides():
    turned = {"compare": "cutout and dropout", "frozen_copies": "none", "shrink": 1, "shift": "none"}
    made = learner(Kind(1, length=0, dropout=True), **turned)
    assert lesson.series(knobs(**turned)) == ["neither", "cutout", "dropout"]
    rows = torch.arange(50).repeat(40)
    centres = made.holes.centres(len(rows), (8, 8), torch.Generator().manual_seed(1))
    whole = learner(Kind(1, length=0), **turned).views(rows, torch.Generator().manual_seed(2), centres)
    seen = made.views(rows, torch.Generator().manual_seed(2), centres)
    there = whole != 0
    share = augmented.holes(knobs(**turned)).area(8, 8)
    assert float((seen[there] == 0).float().mean()) == pytest.approx(share, abs=0.01)
    assert torch.equal(seen[seen != 0], whole[seen != 0])


def test_the_baseline_is_the_one_that_the_notebook_printed():
    assert len(BASELINE) == 66
    assert (max(BASELINE), BASELINE.index(max(BASELINE)) + 1, BASELINE[-1]) == (8751, 46, 8425)
    (panel,) = [each for each in lesson.panels(CutoutKnobs()) if each.name == "The notebook's baseline"]
    drawn = panel.figure(Recording()).data[-1]
    assert min(drawn.y) == pytest.approx(0.1249)


def test_the_full_recipe_is_decided_by_the_full_recipe_alone(run):
    turned, recording = run
    assert claim(turned, recording, "full recipe").holds is None
    full = lesson.presets["Done right"]
    for error, holds in ((0.07, True), (0.09, False)):
        made = Recording()
        first = record_first(knobs(frozen_copies="none"))
        curves = {name: first.last(name) for name in first.curves if name != "test_error"}
        made.append(Frame(0, {**curves, "test_error": np.full((2, 1), error)}, progress=1.0))
        assert claim(full, made, "full recipe").holds is holds
        assert claim(full.model_copy(update={"shrink": 2}), made, "full recipe").holds is None


def test_depths_that_no_net_has_are_refused_with_two_that_fit():
    with pytest.raises(KnobError, match="depth = 9 is not 6n \\+ 2; 8 or 14 would do"):
        CutoutKnobs.parse({"depth": 9})


def test_presets_for_a_gpu_are_refused_here_and_no_part_of_the_gallery():
    assert set(lesson.for_gpu) < set(lesson.presets)
    assert set(lesson.shipped) == set(lesson.presets) - set(lesson.for_gpu)
    assert lesson.presets["Classroom"] in lesson.shipped.values()
    assert dict(altered(lesson, for_gpu=()).shipped) == dict(lesson.presets)


@pytest.mark.parametrize("frozen", ["none", "beside", "instead"])
def test_what_trains_side_by_side(frozen):
    names = lesson.series(knobs(augmentations=(1, 4), frozen_copies=frozen))
    assert (
        names
        == {
            "none": ["M=1", "M=4"],
            "beside": ["M=1", "M=4", "M=4, frozen"],
            "instead": ["M=1, frozen", "M=4, frozen"],
        }[frozen]
    )


def test_errors_by_steps_and_seconds_are_those_by_epoch(run):
    _, recording = run
    frames, errors = recording.curve("test_error")
    points = len(frames)
    np.testing.assert_allclose(recording.picture("errors")[:, :points], errors.mean(axis=2).T, rtol=1e-6)
    assert np.isnan(recording.picture("errors")[:, points:]).all()
    at, counted = recording.curve("steps")
    which = [at.tolist().index(frame) for frame in frames]
    np.testing.assert_array_equal(recording.picture("steps_at")[:, :points], counted[which].mean(axis=2).T)
    assert (np.diff(recording.picture("seconds_at")[:, :points], axis=1) > 0).all()


def test_every_picture_of_the_reader_is_shown_with_its_views(run):
    turned, recording = run

    shown = [
        Image.open(BytesIO(base64.b64decode(str(text).partition(",")[2])))
        for _, text in recording.picture_changes("shown")
    ]
    tiles = SHOWN_VIEWS + 2
    assert {each.size for each in shown} == {(tiles * (8 + GAP), len(turned.pictures) * (8 + GAP))}
    first, last = (np.asarray(each)[..., :3] for each in (shown[0], shown[-1]))
    whole = data.load("digits", CPU)
    for i, number in enumerate(turned.pictures):
        original = whole.x_train[number].view(8, 8, 1).numpy().astype(int) * 16
        tile = first[i * (8 + GAP) :][:8, :8]
        np.testing.assert_array_equal(tile, np.minimum(np.repeat(original, 3, axis=2), 255))
        np.testing.assert_array_equal(last[i * (8 + GAP) :][:8, :8], tile)
    assert not np.array_equal(first[:, 10:40], last[:, 10:40])


def test_a_run_on_real_pictures(real_data):
    turned = knobs(dataset="fashion-mnist", shrink=4, cutout_length=12, examples=100, tests=100, frozen_copies="none")
    found = facts(turned, record(turned))
    assert found["masked_area[length=12]"] == pytest.approx((12 / 28 - 144 / (4 * 28**2)) ** 2, abs=0.005)
    assert 0.1 < found["test_error[M=1]"] <= 1


def test_a_published_error_stands_beside_what_the_images_are(run):
    assert data.load("digits", CPU).note in claim(*run, "full recipe").measured


def test_stored_runs_from_before_lengths_could_be_compared_keep_their_keys():
    knobs = lesson.presets["2,000 images, 3 epochs"]
    assert "compare" not in knobs.canonical()
    assert "compare" in knobs.model_copy(update={"compare": "cutout lengths"}).canonical()
