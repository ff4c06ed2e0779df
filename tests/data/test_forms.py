"""Data sets as people have them: every form, name, folder and leftover of a machine, and what is said of it."""

import errno
import gzip
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from core import data
from core.data import idx as search_idx
from core.data import search
from tests.data.tiny import CONTENTS, CPU, LABELS, PICTURES, RNG, TINY, idx, put, refusal, source_of, truncate

OTHER = "other"
OTHERS = {
    "train-images": idx(RNG.integers(0, 256, (30, 5, 4))),
    "train-labels": idx(RNG.integers(0, 3, 30)),
    "t10k-images": idx(RNG.integers(0, 256, (10, 5, 4))),
    "t10k-labels": idx(RNG.integers(0, 3, 10)),
}
LONG = {"images": "-idx3-ubyte", "labels": "-idx1-ubyte"}


@pytest.fixture(autouse=True)
def other_set(monkeypatch):
    """A second set of the same sizes and names: only its bytes tell it from "tiny"."""
    monkeypatch.setitem(data.SOURCES, OTHER, source_of(OTHERS, "Elsewise"))


def is_tiny():
    loaded = data.load(TINY, CPU)
    assert data.available(TINY)
    assert data.status(TINY).found
    assert torch.equal(loaded.x_train.view(30, 5, 4), torch.from_numpy(PICTURES[:30]).to(torch.uint8))
    assert loaded.y_test.tolist() == LABELS[30:].tolist()
    return True


def long_name(name):
    """The name that the files of MNIST have, of a file of the small set."""
    return name + LONG[name.split("-")[1]]


# ---- where the files lie, and what they are called ---------------------------------------------------------------

NAMES = {
    "as published": long_name,
    "as published, packed": lambda name: f"{long_name(name)}.gz",
    "short": lambda name: name,
    "dotted": lambda name: long_name(name).replace("-idx", ".idx"),
    "dotted, packed": lambda name: long_name(name).replace("-idx", ".idx") + ".gz",
    "underscores": lambda name: long_name(name).replace("-", "_"),
    "in capitals": lambda name: long_name(name).upper(),
    "in capitals, packed": lambda name: f"{long_name(name).upper()}.GZ",
    "test for t10k": lambda name: long_name(name).replace("t10k", "test"),
    "downloaded twice": lambda name: f"{long_name(name)} (1).gz",
    "unpacked by a browser, which left the name": lambda name: f"{long_name(name)}.gz",
}
FOLDERS = [
    "Tiny/raw",
    "Tiny",
    "raw",
    ".",
    "tiny/RAW",
    "a/b/Tiny/raw",
    "a/b/c/d",
    "datasets/unit 1/Tiny",
    "ä ö/Tiny/raw",
]


@pytest.mark.parametrize("called", NAMES)
@pytest.mark.parametrize("folder", ["Tiny/raw", "."])
def test_files_are_taken_by_any_name_that_people_give_them(named, called, folder):
    home = named / folder
    home.mkdir(parents=True, exist_ok=True)
    for name, held in CONTENTS.items():
        packed = ("packed" in called and "un" not in called) or "twice" in called
        (home / NAMES[called](name)).write_bytes(gzip.compress(held) if packed else held)
    assert is_tiny()


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_are_taken_from_any_folder_below_the_one_that_is_named(named, folder):
    home = named / folder
    home.mkdir(parents=True, exist_ok=True)
    for name, held in CONTENTS.items():
        (home / f"{long_name(name)}.gz").write_bytes(gzip.compress(held))
    assert is_tiny()
    assert Path(data.status(TINY).where) == home.resolve() or Path(data.status(TINY).where) == home


def test_each_file_in_a_folder_of_its_name_as_some_sites_pack_them(named):
    for name, held in CONTENTS.items():
        home = named / "Tiny" / long_name(name)
        home.mkdir(parents=True)
        (home / long_name(name)).write_bytes(held)
    assert is_tiny()
    assert data.status(TINY).where == str(named / "Tiny")


@pytest.mark.parametrize("pack", ["zip", "zip of gz", "tar", "tar.gz", "tgz of gz"])
def test_files_are_read_in_an_archive_named_after_its_set(named, pack):
    members = {}
    for name, held in CONTENTS.items():
        packed = pack.endswith("of gz")
        members[f"Tiny/raw/{long_name(name)}{'.gz' if packed else ''}"] = gzip.compress(held) if packed else held
    archived(named / f"mnist-like.{pack.split()[0]}", {**members, "__MACOSX/Tiny/raw/._train-images": b"x"})
    assert is_tiny()
    assert data.status(TINY).where == str(named / f"mnist-like.{pack.split()[0]}")


def npz(path, arrays):
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def arrays_of(pictures, labels):
    return {"x_train": pictures[:30], "y_train": labels[:30], "x_test": pictures[30:], "y_test": labels[30:]}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_the_arrays_that_keras_keeps_are_read(named, dtype):
    npz(named / "mnist.npz", arrays_of(PICTURES.astype(dtype), LABELS.astype(dtype)))
    assert is_tiny()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (arrays_of(np.array([None] * 40, dtype=object), LABELS), "holds no array x_train that can be read"),
        (arrays_of(PICTURES - 300, LABELS), "holds other numbers than 0 … 255"),
        ({"x": PICTURES}, "holds no array x_train that can be read"),
    ],
)
def test_arrays_that_cannot_be_used_are_a_sentence_and_nothing_is_unpickled(named, arrays, said):
    npz(named / "mnist.npz", arrays)
    assert said in refusal(data.require, TINY)


def archived(path, members):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, held in members.items():
                archive.writestr(name, held)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, held in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(held)
            tar.addfile(info, io.BytesIO(held))
    return path


# ---- what systems leave behind -----------------------------------------------------------------------------------

JUNK = [
    "._train-images-idx3-ubyte",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/Tiny/raw/train-images-idx3-ubyte",
    "@eaDir/train-images-idx3-ubyte",
    ".hidden/train-images-idx3-ubyte",
    "~$train-images-idx3-ubyte",
    "$RECYCLE.BIN/train-labels",
]


@pytest.mark.parametrize("junk", JUNK)
def test_what_systems_leave_behind_is_no_data(named, junk):
    path = named / "Tiny" / "raw" / junk
    path.parent.mkdir(parents=True)
    path.write_bytes(b"junk")
    (named / "Tiny" / "empty").mkdir()
    assert "is not on this machine, where it was looked for" in refusal(data.require, TINY)
    shutil.rmtree(named / "Tiny" / "raw")
    put(named)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"junk")
    assert is_tiny()


# ---- what the variable says --------------------------------------------------------------------------------------

SPELLINGS = {
    "as it is": lambda path: str(path),
    "in quotes": lambda path: f'"{path}"',
    "in single quotes": lambda path: f"'{path}'",
    "with blanks": lambda path: f"  {path} \t",
    "with a slash": lambda path: f"{path}/",
    "with blanks in quotes": lambda path: f'"{path} "',
    "from home": lambda path: f"~/{path.name}",
    "from home, in quotes": lambda path: f'"~/{path.name}"',
    "with a variable": lambda path: f"$HOME/{path.name}",
    "relative": lambda path: f"./{path.name}",
    "relative, above": lambda path: f"../{path.parent.name}/{path.name}",
    "the set": lambda path: f"{path}/Tiny",
    "its files": lambda path: f"{path}/Tiny/raw",
    "one of its files": lambda path: f"{path}/Tiny/raw/train-images",
    "above": lambda path: str(path.parent),
}


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_the_variable_is_understood_as_people_write_it(tmp_path, monkeypatch, spelled):
    folder = tmp_path / "my data"
    put(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIENT_LAB_DATA", SPELLINGS[spelled](folder))
    assert is_tiny()


@pytest.mark.parametrize("spelled", ["", "  ", '""', "' '"])
def test_a_variable_that_says_nothing_is_none(monkeypatch, spelled, cache):
    monkeypatch.setenv("GRADIENT_LAB_DATA", spelled)
    assert data.may_download(TINY)
    assert f"where it was looked for in {cache}/data; download it" in refusal(data.require, TINY)


def test_a_variable_that_names_nothing_is_said_so(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path / "typo"))
    sentence = refusal(data.require, TINY)
    assert f"GRADIENT_LAB_DATA names {tmp_path}/typo, which does not exist" in sentence
    put(cache / "data")
    assert is_tiny()


def test_a_variable_that_names_a_file_is_said_so(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("no data")
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path / "notes.txt"))
    assert f"in {tmp_path}, the folder of the file that GRADIENT_LAB_DATA names" in refusal(data.require, TINY)


def test_a_whole_disk_is_looked_at_only_in_part_and_what_sounds_like_data_first(named, monkeypatch):
    monkeypatch.setattr(search, "MAX_FOLDERS", 12)
    for i in range(40):
        (named / f"{i:02}" / "inside").mkdir(parents=True)
    deep = put(named / "zz" / "data")
    looked = []
    listed = search.listed
    monkeypatch.setattr(search, "listed", lambda folder: looked.append(folder) or listed(folder))
    sentence = refusal(data.require, TINY)
    assert "its first 12 folders, so name a folder nearer to the set" in sentence
    assert len(set(looked)) <= 14
    deep.parent.rename(named / "mnist")
    assert is_tiny()


def test_links_that_lead_in_a_circle_end(named):
    (named / "again").symlink_to(named)
    put(named / "a")
    assert is_tiny()


def test_a_folder_is_not_read_twice_and_a_change_in_it_is_seen_at_once(named, monkeypatch):
    put(named / "a")
    for folder, _, _ in os.walk(named):
        os.utime(folder, (1e9, 1e9))
    assert is_tiny()
    read, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: read.append(folder) or scandir(folder))
    assert is_tiny()
    assert read == []
    shutil.rmtree(named / "a" / "Tiny" / "raw")
    assert not data.available(TINY)
    put(named / "b")
    assert is_tiny()


def test_a_file_is_summed_once_until_it_is_written_anew(named, monkeypatch):
    folder = put(named)
    summed = []
    crc32 = search_idx.zlib.crc32
    monkeypatch.setattr(search_idx.zlib, "crc32", lambda *args: summed.append(1) or crc32(*args))
    assert data.available(TINY)
    count = len(summed)
    assert count == len(CONTENTS)
    assert data.available(TINY)
    assert len(summed) == count
    (folder / "train-labels").write_bytes(CONTENTS["train-labels"])
    assert data.available(TINY)
    assert len(summed) == count + 1


# ---- whose files they are ----------------------------------------------------------------------------------------


def lay(folder, contents, suffix=""):
    folder.mkdir(parents=True)
    for name, held in contents.items():
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(held) if suffix else held)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", ["Tiny/raw", "Tiny", "raw"])
def test_another_sets_files_are_that_set_and_never_this_one(named, folder, suffix):
    home = lay(named / folder, OTHERS, suffix)
    assert not data.available(TINY)
    assert data.available(OTHER)
    loaded = data.load(OTHER, CPU)
    assert torch.equal(
        loaded.x_train.flatten(), torch.frombuffer(bytearray(OTHERS["train-images"][16:]), dtype=torch.uint8)
    )
    sentence = refusal(data.require, TINY)
    assert sentence.startswith(f"tiny is not on this machine: {home} holds the files of other; download it ")
    assert refusal(data.load, TINY, CPU) == sentence


def test_sets_that_lie_in_each_others_folders_are_both_found(named):
    lay(named / "Tiny" / "raw", OTHERS)
    lay(named / "Elsewise" / "raw", CONTENTS)
    assert is_tiny()
    assert data.status(TINY).where == str(named / "Elsewise" / "raw")
    assert data.status(OTHER).where == str(named / "Tiny" / "raw")


def test_two_sets_mixed_in_one_folder_are_told_apart(named):
    home = lay(named / "Tiny", {**CONTENTS, "train-labels": OTHERS["train-labels"]})
    sentence = refusal(data.require, TINY)
    assert f"{home} holds the files of other" in sentence
    (home / "train-labels.gz").write_bytes(gzip.compress(CONTENTS["train-labels"]))
    assert is_tiny()


def test_another_set_in_its_own_folder_is_no_news(named):
    lay(named / "Elsewise" / "raw", OTHERS)
    assert "tiny is not on this machine, where it was looked for in" in refusal(data.require, TINY)


@pytest.mark.parametrize("folder", ["KMNIST/raw", "EMNIST", "Elsewise/raw"])
def test_damage_in_another_sets_folder_is_not_this_sets(named, folder):
    home = lay(named / folder, CONTENTS)
    for path in home.iterdir():
        truncate(path)
    assert "tiny is not on this machine, where it was looked for in" in refusal(data.require, TINY)


# ---- damage ------------------------------------------------------------------------------------------------------


def test_a_packed_file_that_is_cut_is_a_sentence_and_a_good_one_beside_it_is_used(named):
    home = lay(named / "Tiny" / "raw", CONTENTS, ".gz")
    truncate(home / "train-images.gz")
    assert f"tiny cannot be used: {home}/train-images.gz " in refusal(data.require, TINY)
    (home / "train-images").write_bytes(CONTENTS["train-images"])
    assert is_tiny()


def test_a_packed_file_that_is_damaged_inside_is_found_at_the_latest_when_it_is_loaded(named):
    home = lay(named / "Tiny" / "raw", CONTENTS, ".gz")
    held = bytearray((home / "train-images.gz").read_bytes())
    held[len(held) // 2] ^= 1
    (home / "train-images.gz").write_bytes(held)
    sentence = refusal(data.load, TINY, CPU)
    assert sentence.startswith(f"tiny cannot be used: {home}/train-images.gz ")
    assert "download it anew" in sentence


def test_a_part_of_a_set_says_what_is_lacking(named):
    home = put(named)
    (home / "t10k-labels").unlink()
    (home / "t10k-images").unlink()
    assert f"tiny cannot be used: {home} lacks t10k-images; " in refusal(data.require, TINY)


def test_a_folder_that_may_not_be_read_is_said_of_every_set(named, monkeypatch):
    (named / "locked").mkdir()

    def refuse(folder):
        if folder.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    listed = search.listed
    monkeypatch.setattr(search, "listed", refuse)
    for name in (TINY, "cifar10"):
        assert f"{named}/locked cannot be read" in refusal(data.require, name)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("what", [".", "Tiny", "Tiny/raw", "Tiny/raw/train-images"])
def test_what_may_not_be_read_is_a_sentence(named, what):
    put(named)
    (named / what).chmod(0)
    try:
        assert "cannot be read (Permission denied)" in refusal(data.require, TINY)
    finally:
        (named / what).chmod(0o755)
