"""Data sets that lie on this machine: what they hold, where they are found, how they fail, what is said of them."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from core import data
from tests.data.tiny import (
    CONTENTS,
    CPU,
    LABELS,
    PICTURES,
    TINY,
    become_a_folder,
    flip,
    put,
    refusal,
    run_all,
    truncate,
)

# ---- the real sets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "digits"])
def test_sizes_are_told_without_loading_and_are_those_of_the_loaded_set(name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(data, "load", None)
        told = data.sizes(name)
    if data.available(name):
        loaded = data.load(name, CPU)
        assert told == (len(loaded.y_train), len(loaded.y_test))


@pytest.mark.parametrize(("name", "published"), [("fashion-mnist", "FashionMNIST"), ("mnist", "MNIST")])
def test_a_real_set_is_what_torchvision_reads(real_data, name, published):
    from torchvision import datasets

    loaded = data.load(name, CPU)
    root = Path(loaded.source).parents[1]
    for train, x, y in ((True, loaded.x_train, loaded.y_train), (False, loaded.x_test, loaded.y_test)):
        theirs = getattr(datasets, published)(root, train=train)
        assert torch.equal(x.view(-1, *loaded.shape).squeeze(1), theirs.data)
        assert torch.equal(y, theirs.targets)
        assert (x.dtype, y.dtype) == (torch.uint8, torch.int64)
    assert loaded.x_train.shape == (60_000, 784)
    assert loaded.x_test.shape == (10_000, 784)
    if name == "fashion-mnist":
        assert list(loaded.classes) == theirs.classes


def test_fashion_mnist_has_as_many_of_each_class(real_data):
    loaded = data.load("fashion-mnist", CPU)
    assert loaded.y_train.bincount().tolist() == [6000] * 10
    assert loaded.y_test.bincount().tolist() == [1000] * 10


def test_mnist_has_the_published_count_of_each_digit(real_data):
    loaded = data.load("mnist", CPU)
    assert loaded.y_train.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.y_test.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_scaling_per_pixel_makes_the_outliers_of_the_notebook_and_global_scaling_none(real_data):
    loaded = data.load("fashion-mnist", CPU)
    x, _ = data.subset(loaded, 6000, seed=1)
    train, test = data.scale(x, loaded.x_test, "per pixel")
    assert 60 < train.abs().max() < 80  # at most √6000 = 77.5, where one example alone lights a pixel
    assert test.abs().max() > 300
    squares = train.square().sum(dim=1)
    assert squares.max() > 15 * squares.mean()
    train, test = data.scale(x, loaded.x_test, "global")
    assert max(train.abs().max(), test.abs().max()) < 3


# ---- digits ------------------------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn_split_alike_in_every_class():
    loaded = data.load("digits", CPU)
    pixels, classes = load_digits(return_X_y=True)
    rows = torch.cat([loaded.x_train, loaded.x_test]).numpy()
    labels = torch.cat([loaded.y_train, loaded.y_test]).numpy()
    ours = sorted(map(tuple, np.column_stack([rows, labels])))
    assert ours == sorted(map(tuple, np.column_stack([pixels, classes]).astype(int)))
    assert (len(loaded.y_train), len(loaded.y_test)) == (1501, 296)
    assert ((6 * loaded.y_test.bincount() - torch.from_numpy(np.bincount(classes))).abs() < 6).all()
    sixth_zero = torch.from_numpy(pixels[classes == 0][5]).to(torch.uint8)
    assert torch.equal(loaded.x_test[loaded.y_test == 0][0], sixth_zero)
    assert (loaded.x_train.dtype, loaded.y_train.dtype) == (torch.uint8, torch.int64)
    assert (loaded.shape, loaded.source, len(loaded.classes)) == ((1, 8, 8), "embedded", 10)


def test_digits_need_no_folder_and_no_download(named, cache):
    assert data.available("digits")
    assert not data.may_download("digits")
    told = []
    data.download("digits", told.append)
    assert told == [1.0]
    assert not cache.exists()


# ---- finding and reading -----------------------------------------------------------------------------------------


def test_a_set_is_read_from_the_folder_that_is_named(named):
    folder = put(named)
    assert data.available(TINY)
    loaded = data.load(TINY, CPU)
    assert torch.equal(loaded.x_train, torch.from_numpy(PICTURES[:30].reshape(30, 20)).to(torch.uint8))
    assert torch.equal(loaded.x_test.view(-1, *loaded.shape)[3, 0], torch.from_numpy(PICTURES[33]).to(torch.uint8))
    assert loaded.y_train.tolist() == LABELS[:30].tolist()
    assert loaded.y_test.tolist() == LABELS[30:].tolist()
    assert loaded.source == str(folder)


def test_the_cache_is_read_where_no_folder_is_named_and_where_the_named_one_lacks_the_set(cache, monkeypatch, tmp_path):
    folder = put(cache / "data")
    for folder_named in ("", str(tmp_path / "nowhere")):
        monkeypatch.setenv("GRADIENT_LAB_DATA", folder_named)
        assert data.available(TINY)
        assert data.load(TINY, CPU).source == str(folder)


def test_the_named_folder_comes_first(named, cache):
    put(cache / "data")
    folder = put(named)
    assert data.load(TINY, CPU).source == str(folder)


def test_a_set_is_prepared_once_for_each_device_and_folder(named, tmp_path, monkeypatch):
    put(named)
    first = data.load(TINY, CPU)
    assert data.load(TINY, torch.device("cpu")) is first
    other = data.load(TINY, torch.device("meta"))
    assert other is not first
    assert other.x_train.device.type == "meta"
    put(tmp_path / "moved")
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path / "moved"))
    assert data.load(TINY, CPU) is not first


def test_threads_that_ask_at_once_get_one_object(named, monkeypatch):
    put(named)
    reads = []
    fromfile = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *args, **kwargs: reads.append(1) or fromfile(*args, **kwargs))
    gate, got = threading.Barrier(8), []

    def ask():
        gate.wait()
        got.append(data.load(TINY, CPU))

    run_all(*[ask] * 8)
    assert len(got) == 8
    assert len(set(map(id, got))) == 1
    assert len(reads) == len(CONTENTS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_set_goes_to_the_gpu_as_it_is():
    cuda = torch.device("cuda")
    there, here = data.load("digits", cuda), data.load("digits", CPU)
    assert there.x_train.is_cuda
    for ours, theirs in zip(data.subset(there, 100, 4), data.subset(here, 100, 4), strict=True):
        assert torch.equal(ours.cpu(), theirs)
    assert torch.equal(
        data.corrupt_labels(there.y_train, 0.4, 10, 4).cpu(), data.corrupt_labels(here.y_train, 0.4, 10, 4)
    )
    for ours, theirs in zip(
        data.scale(there.x_train, there.x_test, "global"), data.scale(here.x_train, here.x_test, "global"), strict=True
    ):
        torch.testing.assert_close(ours.cpu(), theirs)


# ---- missing and damaged -----------------------------------------------------------------------------------------


def test_a_missing_set_is_a_sentence_with_where_and_what_next(named, cache):
    assert not data.available(TINY)
    sentence = refusal(data.load, TINY, CPU)
    assert sentence == (
        f"tiny is not on this machine, where it was looked for in {named} or in {cache}/data; "
        'download it with "python -m core data get tiny", point GRADIENT_LAB_DATA at a folder that has it, '
        "or choose dataset = digits, which needs no download."
    )
    assert not cache.exists(), "load never downloads"


def test_a_file_where_the_folder_should_be_is_a_missing_set(named, cache):
    (named / "Tiny").write_text("not a folder")
    assert not data.available(TINY)
    assert "is not on this machine" in refusal(data.load, TINY, CPU)


@pytest.mark.parametrize(
    "call",
    [lambda name: data.load(name, CPU), data.available, data.may_download, lambda name: data.download(name, print)],
)
@pytest.mark.parametrize("name", ["", "cifar-10", "../mnist", "MNIST", "y" * 300, "mnist\n"])
def test_an_unknown_set_is_a_sentence_with_those_there_are(call, name):
    sentence = refusal(call, name)
    assert sentence.endswith("is unknown; choose fashion-mnist, mnist, cifar10 or digits.")
    assert len(sentence) < 150


DAMAGE = {
    "truncated": (truncate, "{folder}/{name} has"),
    "empty": (lambda path: path.write_bytes(b""), "{folder}/{name} has 0 bytes instead of"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "{folder}/{name} has"),
    "flipped": (flip, "{folder}/{name} does not hold the bytes that were published"),
    "removed": (Path.unlink, "{folder} lacks {name}"),
    "a folder": (become_a_folder, "{folder}/{name} is a folder instead of a file"),
}


@pytest.mark.parametrize("victim", CONTENTS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_set_is_a_sentence_that_names_the_file(named, cache, kind, victim):
    folder = put(named)
    damage, said = DAMAGE[kind]
    damage(folder / victim)
    sentence = refusal(data.load, TINY, CPU)
    assert sentence.startswith("tiny cannot be used: ")
    assert said.format(folder=folder, name=victim) in sentence
    assert sentence.endswith(
        'download it anew with "python -m core data get tiny", point GRADIENT_LAB_DATA at a folder that has it, '
        "or choose dataset = digits, which needs no download."
    )
    assert not data.available(TINY)
    assert data.status(TINY).sentence == sentence


def test_a_damaged_set_in_the_named_folder_does_not_hide_a_good_one_in_the_cache(named, cache):
    flip(put(named) / "train-labels")
    good = put(cache / "data")
    assert data.load(TINY, CPU).source == str(good)


def test_a_file_that_may_not_be_read_is_a_sentence(named, monkeypatch):
    folder = put(named)

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(np, "fromfile", refuse)
    assert f"{folder}/train-images cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_entered_is_a_sentence(named):
    folder = put(named)
    folder.chmod(0)
    try:
        assert not data.available(TINY)
        assert "cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)
    finally:
        folder.chmod(0o755)


def test_a_folder_whose_files_may_not_be_looked_at_is_no_missing_set(named, monkeypatch):
    put(named)

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    assert not data.available(TINY)
    assert "cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)


def test_a_run_may_fetch_a_set_unasked_only_into_the_cache(named, monkeypatch, cache):
    assert not data.may_download(TINY), "the reader named a folder"
    monkeypatch.delenv("GRADIENT_LAB_DATA")
    assert data.may_download(TINY)
    put(cache / "data")
    assert not data.may_download(TINY), "it is here"


# ---- what is said of a set ---------------------------------------------------------------------------------------


def test_status_says_what_is_here_and_what_to_do(named, cache):
    digits = data.status("digits")
    assert (digits.found, digits.where, digits.examples, digits.hint) == (True, "embedded", (1501, 296), "")
    loaded = data.load("digits", CPU)
    assert (len(loaded.y_train), len(loaded.y_test)) == digits.examples
    missing = data.status(TINY)
    assert (missing.found, missing.undecoded, missing.where, missing.examples) == (False, False, "", None)
    assert missing.sentence == refusal(data.require, TINY)
    assert str(named) in missing.message
    assert "data get tiny" in missing.hint
    folder = put(named)
    here = data.status(TINY)
    assert (here.found, here.where, here.hint) == (True, str(folder), "")
    assert here.sentence == here.message == f"tiny is read from {folder}."


def test_the_status_of_every_set_is_told_in_their_order():
    assert [each.name for each in data.statuses()] == list(data.NAMES)
