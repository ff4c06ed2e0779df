"""CIFAR-10 in every form in which a machine may have it: what lies here, best first, and its numbers.

It is published as batches of bare bytes and as pickles; people keep either as the archive or unpacked, and often as
images in folders. A folder is known by what lies in it, an archive by its name and then by what it holds.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from core.data.catalogue import CIFAR10_CLASSES as CLASSES
from core.data.containers import BROKEN, SUFFIXES, ArchiveError, Item, opened
from core.data.decoded import Decoded
from core.data.images import PARTS, PIXELS, Numbers, PictureError, Tell, read_images
from core.data.inert_pickle import PickleError, read_inert
from core.data.search import Listing, Walk, walk

PUBLISHED = "the published archive"
UNHASHED = "binary batch files"
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVES = {
    "cifar-10-binary.tar.gz": (170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    "cifar-10-python.tar.gz": (170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
}
"""The published archives: their names, sizes and hashes, the one that is downloaded first."""
BINARY = next(iter(ARCHIVES))

TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""What was published of the files with pickles, of which there is no better hash."""

NAME = re.compile(r"cifar[-_ .]?10(?!\d)", re.IGNORECASE)
MAX_BATCH = 2**25  # bytes of one file of batches
MAX_LOOKED_AT = 1000  # entries of a folder that its fingerprint reads


# ---- what lies here ----------------------------------------------------------------------------------------------


def candidates(roots: list[Path]) -> list[Path]:
    """Everything in these folders that looks like the set, best first, those in the first folder before the others."""
    return [path for root in roots for path in _below(walk(root))]


def _below(seen: Walk) -> list[Path]:
    ranked = []
    for folder, listing in seen.listings.items():
        if (rank := _rank_of_folder(seen, folder, listing)) is not None:
            ranked.append((rank, folder))
        for name in listing.files:
            if name.lower().endswith((*SUFFIXES, "_archive")) and NAME.search(f"{name} {folder.name}"):
                ranked.append((_rank_of_archive(name.lower()), folder / name))
    inside = {path for rank, path in ranked if rank == 5}
    kept = [(rank, path) for rank, path in ranked if not inside & set(path.parents)]
    return [path for _, path in sorted(kept, key=lambda each: each[0])]


def _rank_of_folder(seen: Walk, folder: Path, listing: Listing) -> int | None:
    names = {name.lower() for name in listing.files}
    if TRAIN[0] in names:
        return 0
    if f"{TRAIN[0]}.bin" in names:
        return 3
    parts = [seen.listings.get(folder / name) for name in listing.folders if name.lower() in PARTS]
    classes = {name.lower() for part in parts if part is not None for name in part.folders} & set(CLASSES)
    return 5 if len(classes) >= (1 if NAME.search(folder.name) else len(CLASSES) // 2) else None


def _rank_of_archive(name: str) -> int:
    return {BINARY: 1, "cifar-10-python.tar.gz": 2}.get(name, 4)


def fingerprint(path: Path) -> str:
    """What changes when the images do: name, size and time of a file; of a folder, those of what it holds.

    A folder is looked at two levels deep, which shows every image that comes or goes, yet not one that is written over
    in place: looking at 60,000 files each time a page is drawn would take longer than the page.
    """
    inside = (path.glob(depth) for depth in ("*", "*/*"))
    below = [each for entries in inside for each in sorted(islice(entries, MAX_LOOKED_AT))] if path.is_dir() else []
    seen = [(str(each.relative_to(path)), each.stat()) for each in (path, *below)]
    told = [path.name, *([name, stat.st_size, stat.st_mtime_ns] for name, stat in seen)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


# ---- its numbers -------------------------------------------------------------------------------------------------


def decode(path: Path, tell: Tell) -> Decoded:
    """The images at `path`, one of `candidates`.

    Raises:
        PictureError: they cannot be read or are not what they should be.
    """
    try:
        published = ARCHIVES.get(path.name.lower()) if path.is_file() else None
        if published is not None:
            size, sha256 = published
            if path.stat().st_size != size:
                raise PictureError(f"{path} has {path.stat().st_size} bytes instead of {size}")
            tell(0.1)
            return unpacked(path.read_bytes(), sha256, str(path))
        with opened(path) as items:
            return _decoded(path, items, tell)
    except PictureError:
        raise
    except ArchiveError as error:
        raise PictureError(str(error)) from error
    except BROKEN as error:
        where = getattr(error, "filename", None) or path
        raise PictureError(f"{where} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def unpacked(archive: bytes | bytearray, sha256: str, where: str) -> Decoded:
    """The images in a published archive, after its bytes were held against the published hash.

    Raises:
        PictureError: these are not the bytes that were published.
    """
    if hashlib.sha256(archive).hexdigest() != sha256:
        raise PictureError(f"{where} does not hold the bytes that were published")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                files[Path(member.name).name] = file.read()
    if f"{TRAIN[0]}.bin" in files:
        return Decoded(PUBLISHED, _arrays(*(_binary(where, files, part) for part in (TRAIN, TEST))))
    return Decoded(PUBLISHED, _arrays(*(_pickled(where, files, part) for part in (TRAIN, TEST))))


def _decoded(path: Path, items: Iterator[Item], tell: Tell) -> Decoded:
    listed = list(items)
    batches = {}
    for item in listed:
        name = item.name.rsplit("/", 1)[-1].lower()
        if name.removesuffix(".bin") in (*TRAIN, *TEST) and item.read is not None and item.size <= MAX_BATCH:
            batches[name] = item.read
    if not batches:
        kind, arrays = read_images(path, listed, tell)
        return Decoded(kind, arrays)
    files = {}
    for done, (name, read) in enumerate(batches.items()):
        tell(0.8 * done / len(batches))
        files[name] = read(MAX_BATCH)
    if all(name in files for name in (*TRAIN, *TEST)):
        for name, md5 in MD5.items():
            if hashlib.md5(files[name], usedforsecurity=False).hexdigest() != md5:
                raise PictureError(f"{path} does not hold the files that were published: {name} is another")
        return Decoded(PUBLISHED, _arrays(*(_pickled(str(path), files, part) for part in (TRAIN, TEST))))
    return Decoded(UNHASHED, _arrays(*(_binary(str(path), files, part) for part in (TRAIN, TEST))))


Rows = tuple[Numbers, Numbers]
"""Pixels (examples, 3072), one channel after another, and labels (examples,)."""


def _arrays(train: Rows, test: Rows) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    return *train, *test


def _binary(where: str, files: dict[str, bytes], part: tuple[str, ...]) -> Rows:
    """Batches of bare bytes: a label and 3,072 pixels for each image."""
    found = []
    for name in (f"{batch}.bin" for batch in part):
        if name not in files:
            raise PictureError(f"{where} lacks {name}")
        if not files[name] or len(files[name]) % (1 + PIXELS):
            raise PictureError(f"{where}/{name} has {len(files[name])} bytes, no multiple of {1 + PIXELS}; it is cut")
        found.append(np.frombuffer(files[name], dtype=np.uint8).reshape(-1, 1 + PIXELS))
    rows = np.concatenate(found)
    if set(rows[:, 0].tolist()) != set(range(len(CLASSES))):
        raise PictureError(f"{where} holds other labels than the ten classes")
    return rows[:, 1:], rows[:, 0]


def _pickled(where: str, files: dict[str, bytes], part: tuple[str, ...]) -> Rows:
    """Batches as pickles of a dictionary, read without running them."""
    pixels, labels = [], []
    for name in part:
        try:
            held = {_text(key): value for key, value in read_inert(files[name]).items()}
            inside = (*held["data"].arguments, *(held["data"].state or ()))  # of an array as NumPy rebuilds it
            content = next(each for each in inside if isinstance(each, bytes) and len(each) >= PIXELS)
            pixels.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, PIXELS))
            labels.append(np.array(held["labels"], dtype=np.uint8))
        except (PickleError, KeyError, AttributeError, TypeError, ValueError, StopIteration) as error:
            raise PictureError(f"{where}/{name} is no batch of images that can be read") from error
    return np.concatenate(pixels), np.concatenate(labels)


def _text(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)
