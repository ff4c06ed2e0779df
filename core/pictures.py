"""CIFAR-10 in every form in which a machine may have it, decoded once into one file that is kept and checked.

Decoding 60,000 JPEGs takes half a minute, reading the kept file a fraction of a second. It is one line of JSON (what
it was made of, and the SHA-256 of what follows) and then the bare numbers, so that a reader finds all of it or none:
it appears under its name at once, and two processes that make it at the same time make the same.

Archives are read where they lie and nothing is extracted: a name in them is a label, never a path on this machine.
"""

import hashlib
import io
import json
import os
import tarfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

Numbers = np.ndarray[Any, np.dtype[np.uint8]]
"""Numbers of one byte: pixels, labels, the bytes of a file."""

Tell = Callable[[float], None]
"""Called with the share that is done."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
PIXELS = 3 * SIDE * SIDE
PARTS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png")

PUBLISHED = "the published archive"
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_BYTES = 170_052_171
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

MOST_PICTURES = 200_000
MOST_BYTES = 2**20  # of one picture as a file: a thousand times what one of 32×32 needs
MOST_HEADER = 4096
MOST_LOOKED_AT = 1000  # entries of a folder that its fingerprint reads
OFTEN = 500  # pictures between two reports of progress


class PictureError(ValueError):
    """Pictures that cannot be used. Its message is what is wrong, without its full stop."""


@dataclass(frozen=True)
class Decoded:
    """All pictures of a set as numbers.

    Attributes:
        kind: in which form they came, to stand beside results.
        arrays: pixels (examples, 3072) and labels (examples,) to learn from, then the same two for the test.
    """

    kind: str
    arrays: tuple[Numbers, Numbers, Numbers, Numbers]


@dataclass(frozen=True)
class Kept:
    """The first line of a kept file.

    Attributes:
        kind: as in `Decoded`.
        fingerprint: of what it was decoded from; empty where that was downloaded and not kept itself.
        counts: pictures to learn from, and for the test.
        sha256: of the above and of everything after the line.
    """

    kind: str
    fingerprint: str
    counts: tuple[int, int]
    sha256: str

    @property
    def bytes(self) -> int:
        """Of everything after the line."""
        return sum(self.counts) * (PIXELS + 1)


# ---- the kept file -----------------------------------------------------------------------------------------------


def kept(path: Path) -> Kept | None:
    """What a kept file says of itself; None where there is none, or it is not of its promised length."""
    try:
        with path.open("rb") as file:
            line = file.readline(MOST_HEADER)
            told = json.loads(line)
            found = Kept(str(told["kind"]), str(told["fingerprint"]), tuple(told["counts"]), str(told["sha256"]))
            whole = len(found.counts) == 2 and os.fstat(file.fileno()).st_size == len(line) + found.bytes
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def contents(path: Path) -> tuple[Kept, Sequence[Numbers]]:
    """What was kept, after its bytes were held against their hash: its first line, and the four arrays flat.

    Raises:
        PictureError: it is not there or damaged.
    """
    found = kept(path)
    if found is None:
        raise PictureError(f"{path} is not whole")
    try:
        flat = np.fromfile(path, dtype=np.uint8)[-found.bytes :]
    except OSError as error:
        raise PictureError(f"{path} cannot be read ({error.strerror})") from error
    if _sha256(found.kind, found.fingerprint, found.counts, [flat]) != found.sha256:
        raise PictureError(f"{path} is damaged")
    train, test = found.counts
    ends = np.cumsum([train * PIXELS, train, test * PIXELS])
    return found, np.split(flat, ends)


def keep(path: Path, decoded: Decoded, fingerprint: str) -> None:
    """Write the file beside its place, then move it there. `OSError` where that fails, and nothing is left behind."""
    arrays = [np.ascontiguousarray(array) for array in decoded.arrays]
    counts = (len(arrays[1]), len(arrays[3]))
    header = Kept(decoded.kind, fingerprint, counts, _sha256(decoded.kind, fingerprint, counts, arrays))
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".decoding-", dir=path.parent) as beside:
        unfinished = Path(beside, path.name)
        with unfinished.open("wb") as file:
            file.write(json.dumps(asdict(header)).encode() + b"\n")
            for array in arrays:
                file.write(array.data)
        os.replace(unfinished, path)


def _sha256(kind: str, fingerprint: str, counts: tuple[int, int], arrays: Sequence[Numbers]) -> str:
    digest = hashlib.sha256(json.dumps([kind, fingerprint, counts]).encode())
    for array in arrays:
        digest.update(array.data)
    return digest.hexdigest()


# ---- what lies here ----------------------------------------------------------------------------------------------


def found(roots: Iterable[Path]) -> Path | None:
    """The best form of the set that lies in these folders; None where there is none."""
    present = (root / name for root in roots for name in FORMS)
    return next((path for path in present if _there(path)), None)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def fingerprint(path: Path) -> str:
    """What changes when the pictures do: name, size and time of a file; of a folder, those of what it holds.

    A folder is looked at two levels deep, which shows every picture that comes or goes, yet not one that is written
    over in place: looking at 60,000 files each time a page is drawn would take longer than the page.
    """
    inside = (path.glob(depth) for depth in ("*", "*/*"))
    below = [each for entries in inside for each in sorted(islice(entries, MOST_LOOKED_AT))] if path.is_dir() else []
    seen = [(str(each.relative_to(path)), each.stat()) for each in (path, *below)]
    told = [path.name, *([name, stat.st_size, stat.st_mtime_ns] for name, stat in seen)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def decode(path: Path, tell: Tell) -> Decoded:
    """The pictures at `path`, which `found` gave.

    Raises:
        PictureError: they cannot be read or are not what they should be.
    """
    try:
        return FORMS[path.name](path, tell)
    except (OSError, tarfile.TarError, EOFError, UnicodeError) as error:
        raise PictureError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error


# ---- the published archive ---------------------------------------------------------------------------------------


def unpacked(archive: bytes | bytearray) -> Decoded:
    """The pictures in the published archive of plain bytes: a label and 3,072 pixels each, one channel after another.

    Raises:
        PictureError: these are not the bytes that were published.
    """
    if hashlib.sha256(archive).hexdigest() != ARCHIVE_SHA256:
        raise PictureError("it does not hold the bytes that were published")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        files = {Path(member.name).name: _bytes(tar, member) for member in tar if member.isreg()}
    train = b"".join(files[f"data_batch_{number}.bin"] for number in range(1, 6))
    rows = [np.frombuffer(part, dtype=np.uint8).reshape(-1, 1 + PIXELS) for part in (train, files["test_batch.bin"])]
    return Decoded(PUBLISHED, (rows[0][:, 1:], rows[0][:, 0], rows[1][:, 1:], rows[1][:, 0]))


def _from_archive(path: Path, tell: Tell) -> Decoded:
    if path.stat().st_size != ARCHIVE_BYTES:
        raise PictureError(f"{path} has {path.stat().st_size} bytes instead of {ARCHIVE_BYTES}")
    tell(0.1)
    return unpacked(path.read_bytes())


def _from_batches(path: Path, tell: Tell) -> Decoded:
    """What torchvision keeps, read by torchvision, which holds each of its files against a published hash first."""
    from torchvision import datasets  # takes a second, and only this form needs it

    arrays: list[Numbers] = []
    for part, share in zip(PARTS, (0.1, 0.8), strict=True):
        tell(share)
        try:
            read = datasets.CIFAR10(path.parent, train=part == "train", download=False)
        except RuntimeError as error:
            raise PictureError(f"{path} does not hold the files that were published") from error
        arrays.append(read.data.transpose(0, 3, 1, 2).reshape(-1, PIXELS))
        arrays.append(np.array(read.targets, dtype=np.uint8))
    return Decoded(PUBLISHED, (arrays[0], arrays[1], arrays[2], arrays[3]))


# ---- pictures as files -------------------------------------------------------------------------------------------

File = tuple[str, Callable[[], bytes]]
"""A picture as a file: its name with its two folders, train/cat/0001.jpg, and what reads it."""


def _from_tar(path: Path, tell: Tell) -> Decoded:
    with tarfile.open(path, mode="r:") as tar:
        return _pictures(path, _members(path, tar), tell)


def _members(path: Path, tar: tarfile.TarFile) -> Iterator[File]:
    for member in tar:
        if member.isdir():
            continue
        if not member.isreg():
            raise PictureError(f"{path} holds {_short(member.name)}, which is no plain file")
        if member.size > MOST_BYTES:
            raise PictureError(f"{path} holds {_short(member.name)} of {member.size} bytes, too large for a picture")
        yield member.name.removeprefix("./"), partial(_bytes, tar, member)


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)  # opens it for reading and writes nothing
    if file is None:
        raise PictureError(f"{_short(member.name)} cannot be read")
    return file.read()


def _from_folder(path: Path, tell: Tell) -> Decoded:
    return _pictures(path, _files(path), tell)


def _files(path: Path) -> Iterator[File]:
    for file in path.glob("*/*/*"):
        if file.suffix.lower() not in SUFFIXES:
            continue
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise PictureError(f"{file} is no file, or too large for a picture")
        yield file.relative_to(path).as_posix(), file.read_bytes


def _pictures(path: Path, files: Iterable[File], tell: Tell) -> Decoded:
    """All pictures, decoded in the order of their names, so that a folder and a tar of it give the same."""
    listed = sorted(islice(files, MOST_PICTURES + 1), key=lambda file: file[0])
    if len(listed) > MOST_PICTURES:
        raise PictureError(f"{path} holds more than {MOST_PICTURES} pictures")
    found: dict[str, list[Numbers]] = {part: [] for part in PARTS}
    labels: dict[str, list[int]] = {part: [] for part in PARTS}
    formats = set()
    for done, (name, read) in enumerate(listed):
        if done % OFTEN == 0:
            tell(done / len(listed))
        part, of = _place(path, name)
        pixels, as_what = _picture(f"{path}/{_short(name)}", read())
        found[part].append(pixels)
        labels[part].append(CLASSES.index(of))
        formats.add(as_what)
    for part in PARTS:
        lacking = [each for i, each in enumerate(CLASSES) if i not in labels[part]]
        if lacking:
            raise PictureError(f"{path} holds no picture in {part}/{lacking[0]}/")
    x_train, x_test = (np.stack(found[part]) for part in PARTS)
    y_train, y_test = (np.array(labels[part], dtype=np.uint8) for part in PARTS)
    kind = "JPEG-recompressed images" if "JPEG" in formats else "images in PNG files"
    return Decoded(kind, (x_train, y_train, x_test, y_test))


def _place(path: Path, name: str) -> tuple[str, str]:
    """Part and class of a picture, from its name; the name of the file itself says nothing."""
    folders = name.split("/")
    if len(folders) != 3 or folders[0] not in PARTS or folders[1] not in CLASSES:
        raise PictureError(
            f"{path} holds {_short(name)}, which lies neither in train/<class>/ nor in test/<class>/ of the ten classes"
        )
    return folders[0], folders[1]


def _picture(name: str, packed: bytes) -> tuple[Numbers, str]:
    """Its pixels (3072,), one channel after another, and its format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at below, before a pixel is decoded
            picture = Image.open(io.BytesIO(packed), formats=("JPEG", "PNG"))
            if picture.size != (SIDE, SIDE):
                raise PictureError(f"{name} has {picture.width}×{picture.height} pixels instead of {SIDE}×{SIDE}")
            pixels = np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except PictureError:
        raise
    except Exception as error:  # whatever a decoder makes of foreign bytes
        raise PictureError(f"{name} is no picture that can be read") from error
    return pixels.transpose(2, 0, 1).reshape(PIXELS), str(picture.format)


def _short(name: str) -> str:
    """A name from an archive, which may be anything, for a sentence."""
    text = name if name.isprintable() else repr(name)
    return text if len(text) <= 60 else f"{text[:59]}…"


FORMS: dict[str, Callable[[Path, Tell], Decoded]] = {
    "cifar-10-batches-py": _from_batches,
    "cifar-10-binary.tar.gz": _from_archive,
    "cifar10-images.tar": _from_tar,
    "cifar10-images": _from_folder,
}
"""What the set may be called in a folder of data sets, best first."""
