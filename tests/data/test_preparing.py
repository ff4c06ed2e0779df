"""What lessons make of a set: subsets, scaled pixels, labels that are partly wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from core import data
from tests.data.tiny import CPU, refusal

# ---- preparing ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", CPU)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 1501), seed=st.integers(0, 2**31 - 1))
def test_a_subset_holds_distinct_examples_each_with_its_own_label(n, seed):
    digits = data.load("digits", CPU)
    ids = torch.arange(1501)
    numbered = data.Dataset("n", ids[:, None], 2 * ids, ids, ids, (), digits.shape, "", "")
    x, y = data.subset(numbered, n, seed)
    assert x.shape == (n, 1)
    assert len(x.unique()) == n
    assert torch.equal(y, 2 * x.squeeze(1))


def test_a_subset_follows_from_its_seed_and_leaves_the_global_one_alone(digits):
    before = torch.random.get_rng_state()
    one, again, other = (data.subset(digits, 200, seed) for seed in (1, 1, 2))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[1], other[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    smaller = data.subset(digits, 50, 1)
    assert torch.equal(smaller[0], one[0][:50]), "fewer examples are the first of more"


def test_a_subset_draws_other_numbers_than_a_lesson_with_the_same_seed(digits):
    whole = data.subset(digits, 1501, 7)[1]
    order = torch.randperm(1501, generator=torch.Generator().manual_seed(7))
    assert not torch.equal(whole, digits.y_train[order])


@pytest.mark.parametrize("n", [0, -3, 1502])
def test_a_subset_of_impossible_size_is_a_sentence(digits, n):
    assert refusal(data.subset, digits, n, 0).startswith(f"examples = {n} is outside 1 … 1501")


def test_scaling_per_pixel_is_scikit_learns_with_bessels_correction(digits):
    x, _ = data.subset(digits, 300, 3)
    train, test = data.scale(x, digits.x_test, "per pixel")
    oracle = StandardScaler().fit(x.double().numpy())
    lit = x.float().std(dim=0) > 0  # scikit-learn leaves constant pixels unscaled
    bessel = np.sqrt(299 / 300)
    for ours, raw in ((train, x), (test, digits.x_test)):
        theirs = torch.from_numpy(oracle.transform(raw.double().numpy()) * bessel)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours[:, lit].double(), theirs[:, lit], rtol=1e-4, atol=1e-4)
    assert (train[:, ~lit] == 0).all()


def test_scaling_per_pixel_is_the_notebooks_line(digits):
    x = digits.x_train.double()
    theirs = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    ours, _ = data.scale(digits.x_train, digits.x_test, "per pixel")
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_global_scaling_has_one_mean_and_spread(digits):
    x = digits.x_train.numpy().astype(float)
    train, test = data.scale(digits.x_train, digits.x_test, "global")
    for ours, raw in ((train, x), (test, digits.x_test.numpy())):
        theirs = (raw - x.mean()) / (x.std(ddof=1) + 1e-6)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["per pixel", "global"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_scaling_leaves_what_it_is_given_alone(mode, dtype):
    x = torch.arange(12, dtype=dtype).view(4, 3)
    test = x.clone()
    data.scale(x, test, mode)
    assert torch.equal(x, torch.arange(12, dtype=dtype).view(4, 3))
    assert torch.equal(test, x)


def test_scaling_of_pictures_without_light_is_zero_and_finite():
    dark = torch.zeros(5, 3, dtype=torch.uint8)
    for mode in ("per pixel", "global"):
        train, test = data.scale(dark, dark + 1, mode)
        assert (train == 0).all()
        assert test.isfinite().all()


def test_bad_scaling_is_a_sentence(digits):
    assert refusal(data.scale, digits.x_train, digits.x_test, "by ear") == (
        "scaling = by ear is unknown; choose per pixel or global."
    )
    assert "too few to scale" in refusal(data.scale, digits.x_train[:1], digits.x_test, "global")


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1), n=st.integers(0, 400), classes=st.integers(1, 12), seed=st.integers(0, 2**31 - 1))
def test_label_noise_redraws_no_more_than_its_share_within_the_classes(share, n, classes, seed):
    y = torch.arange(n) % classes
    noisy = data.corrupt_labels(y, share, classes, seed)
    assert torch.equal(y, torch.arange(n) % classes)
    assert noisy.dtype == torch.int64
    assert noisy is not y
    assert int((noisy != y).sum()) <= round(share * n)
    assert ((noisy >= 0) & (noisy < classes)).all()
    assert torch.equal(noisy, data.corrupt_labels(y, share, classes, seed))


def test_no_label_noise_changes_nothing_and_a_share_is_redrawn_exactly():
    absent = torch.full((10_000,), 99)  # a class that cannot be drawn: every redrawn label shows
    assert torch.equal(data.corrupt_labels(absent, 0.0, 10, 1), absent)
    for share in (0.1, 0.25, 1.0):
        noisy = data.corrupt_labels(absent, share, 10, 1)
        assert int((noisy != 99).sum()) == round(share * 10_000)


def test_redrawn_labels_are_uniform_and_may_be_true():
    y = torch.zeros(50_000, dtype=torch.int64)
    counts = data.corrupt_labels(y, 1.0, 10, 5).bincount(minlength=10).double()
    sd = (50_000 * 0.1 * 0.9) ** 0.5
    assert ((counts - 5000).abs() < 5 * sd).all()


def test_more_label_noise_keeps_the_noise_of_less():
    absent = torch.full((1000,), 99)
    less, more = (data.corrupt_labels(absent, share, 10, 8) for share in (0.2, 0.5))
    redrawn = less != 99
    assert torch.equal(more[redrawn], less[redrawn])
    assert not torch.equal(data.corrupt_labels(absent, 0.5, 10, 9), more)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_impossible_share_of_label_noise_is_a_sentence(share):
    assert "is outside 0 … 1" in refusal(data.corrupt_labels, torch.zeros(3, dtype=torch.int64), share, 10, 0)
