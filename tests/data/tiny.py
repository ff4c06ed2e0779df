"""A small set of the same make as MNIST, called "tiny", to be laid in folders, damaged and downloaded."""

import hashlib
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data import DataError, File, Source
from core.data.formats import read_idx

CPU = torch.device("cpu")
TINY = "tiny"


def idx(values):
    """An array as an idx file of bytes."""
    values = np.asarray(values, dtype=np.uint8)
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


RNG = np.random.default_rng(3)
PICTURES, LABELS = RNG.integers(0, 256, (40, 5, 4)), RNG.integers(0, 3, 40)
CONTENTS = {
    "train-images": idx(PICTURES[:30]),
    "train-labels": idx(LABELS[:30]),
    "t10k-images": idx(PICTURES[30:]),
    "t10k-labels": idx(LABELS[30:]),
}


def source_of(contents, published):
    """The entry of a set that is published as these files."""
    sums = ((len(held), hashlib.sha256(held).hexdigest(), zlib.crc32(held)) for held in contents.values())
    files = tuple(File(name, *each) for name, each in zip(contents, sums, strict=True))
    return Source(read_idx, ("a", "b", "c"), (1, 5, 4), "Noise.", published, files)


def put(root: Path) -> Path:
    """Lay the small set under `root`, as torchvision would; returns the folder of its files."""
    folder = root / "Tiny" / "raw"
    folder.mkdir(parents=True)
    for name, held in CONTENTS.items():
        (folder / name).write_bytes(held)
    return folder


def refusal(call, *arguments) -> str:
    """The one sentence with which `call` refuses."""
    with pytest.raises(DataError) as refused:
        call(*arguments)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def left_behind(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def run_all(*work):
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


def become_a_folder(path):
    path.unlink()
    path.mkdir()
