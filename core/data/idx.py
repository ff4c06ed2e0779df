"""MNIST and what is made after its pattern, in every form in which people keep it, known by content.

Four files: images and labels to train on, and to test on. They may be packed, carry dots for hyphens, lie in any folder
below the one that is named, in a tar or zip, or as arrays in one `.npz`, as Keras keeps them. What a file is called
only says which of the four it may be; whose it is, its size and CRC-32 say, which gzip and zip write beside their
content: the files of FashionMNIST in a folder called MNIST are FashionMNIST. SHA-256 has the last word, at loading.
"""

import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from core.data.catalogue import SOURCES, DataError, File, Source
from core.data.containers import BROKEN, Item, is_archive, opened
from core.data.formats import Content, idx_header
from core.data.search import Walk, roots, walk

NAME = re.compile(
    r"(train|t10k|test)[-_. ]?(images|labels)([-_. ]?idx[13]?)?([-_. ]?ubyte)?( ?\(\d\))?(\.gz)?", re.IGNORECASE
)
ARRAYS = {"x_train": 0, "y_train": 1, "x_test": 2, "y_test": 3}  # as Keras calls them, and which of the four each is
OTHERS = ("kmnist", "emnist", "qmnist", "medmnist", "mnistm", "notmnist")  # sets with files of the same names
GZIP = b"\x1f\x8b"
MAX_PACKED = 2**26  # bytes of a member that has to be unpacked to be known
PART = 2**20


@dataclass(frozen=True)
class Candidate:
    """Something that may be one of a set's four files.

    Attributes:
        role: which of the four, by its name.
        where: its path, and the member's name where it lies in an archive.
        home: the folder or archive it lies in.
        key: changes when it is written anew.
        look: gives its size and CRC-32, unpacked; `OSError` or `DataError` where it cannot be read.
        read: gives its bytes, unpacked; likewise.
    """

    role: int
    where: str
    home: Path
    key: tuple[object, ...]
    look: Callable[[], tuple[int, int]]
    read: Callable[[], bytes | Content]

    def looked_at(self) -> tuple[int, int]:
        """Its size and CRC-32, found out once for as long as it is not written anew."""
        if self.key not in _looked_at:
            _looked_at[self.key] = self.look()
        return _looked_at[self.key]

    def is_file(self, file: File) -> bool:
        """Return whether it holds what was published as `file`; errors as of `look`."""
        return self.looked_at() == (file.bytes, file.crc32)

    def content(self, file: File) -> Content:
        """Its bytes, held against the published hash; `OSError` or `DataError` where they are not to be had."""
        held = self.read()
        content = held if isinstance(held, np.ndarray) else np.frombuffer(bytearray(held), dtype=np.uint8)
        if hashlib.sha256(content.data).hexdigest() != file.sha256:
            raise DataError(f"{self.where} does not hold the bytes that were published")
        return content


_looked_at: dict[tuple[object, ...], tuple[int, int]] = {}


@dataclass(frozen=True)
class Found:
    """What lies below one folder of a set.

    Attributes:
        files: one for each of the four that is there and whole, by its number.
        fault: why the others are not used, without a full stop; empty where nothing like them lies there.
        foreign: the fault is that they are another set's.
    """

    files: dict[int, Candidate]
    fault: str = ""
    foreign: bool = False

    def whole(self, source: Source) -> bool:
        """Return whether nothing is missing."""
        return len(self.files) == len(source.files)

    @property
    def where(self) -> str:
        """The folder or archive that holds all of them."""
        return os.path.commonpath([candidate.home for candidate in self.files.values()])


def find(name: str) -> Iterator[Found]:
    """Look for the files of a set below each of the folders that are searched, in their order."""
    return (_find(name, root) for root in roots())


def _find(name: str, root: Path) -> Found:
    source, seen = SOURCES[name], walk(root)
    candidates = sorted(_candidates(seen), key=lambda candidate: _distance(name, root, candidate))
    files: dict[int, Candidate] = {}
    faults: list[tuple[bool, str]] = []  # (it is another set's, what is wrong)
    for role, file in enumerate(source.files):
        for candidate in (each for each in candidates if each.role == role):
            try:
                if candidate.is_file(file):
                    files[role] = candidate
                    break
                faults += _faults(name, root, candidate, file)
            except (OSError, DataError) as error:
                faults.append((False, _unreadable(candidate.where, error)))
    if len(files) == len(source.files):
        return Found(files)
    faults += _absences(source, seen, files, bool(candidates and faults))
    faults += [(False, _unreadable(root, error)) for error in seen.errors]
    foreign, fault = min(faults, default=(False, ""), key=lambda each: each[0])  # damage before what is another's
    return Found(files, fault, foreign)


def _distance(name: str, root: Path, candidate: Candidate) -> int:
    """0 where its folder says that it is this set's, 1 where it says nothing, 2 where it says that it is another's."""
    sets = {source.published.lower(): key for key, source in SOURCES.items() if source.files}
    for part in reversed([*root.parts[-3:], *Path(os.path.relpath(candidate.where, root)).parts]):
        word = re.sub(r"[\W_]", "", part).lower()
        if any(other in word for other in OTHERS):
            return 2
        said = [sets[each] for each in sorted(sets, key=len, reverse=True) if each in word]
        if said or "fashion" in word:
            return 0 if (said or ["fashion-mnist"])[0] == name else 2
    return 1


def _faults(name: str, root: Path, candidate: Candidate, file: File) -> Iterator[tuple[bool, str]]:
    """Say why a candidate that can be read is not the file that it is called, unless its folder is another set's."""
    if _distance(name, root, candidate) == 2:
        return
    for other, source in SOURCES.items():
        if source.files and candidate.is_file(source.files[candidate.role]):
            yield True, f"{candidate.home} holds the files of {other}"
            return
    size, _ = candidate.looked_at()
    if size != file.bytes:
        yield False, f"{candidate.where} has {size} bytes instead of {file.bytes}"
    else:
        yield False, f"{candidate.where} does not hold the bytes that were published"


def _absences(source: Source, seen: Walk, files: dict[int, Candidate], explained: bool) -> Iterator[tuple[bool, str]]:
    """Name the first file that is missing where others of its set are whole, or that is a folder."""
    lacking = next(role for role in range(len(source.files)) if role not in files)
    for folder, listing in seen.listings.items():
        for name in listing.folders:
            if _role(name) == lacking and source.published.lower() in str(folder).lower():
                yield False, f"{folder / name} is a folder instead of a file"
    if files and not explained:
        home = next(iter(files.values())).home
        yield False, f"{home} lacks {source.files[lacking].name}"


def _unreadable(where: str | Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or where} cannot be read ({error.strerror or error})"
    return str(error)


# ---- what may be one of the four ---------------------------------------------------------------------------------


def _role(name: str) -> int | None:
    """Which of the four files a name is one of: 0 and 1 to train on, 2 and 3 to test on."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    return 2 * (match[1].lower() != "train") + (match[2].lower() == "labels")


def _candidates(seen: Walk) -> Iterator[Candidate]:
    """Bare files first, then packed ones, then those in archives, since looking into these takes longer."""
    packed: list[Candidate] = []
    archives: list[Path] = []
    for path in seen.files():
        role, name = _role(path.name), path.name.lower()
        if role is not None:
            if name.endswith(".gz"):
                packed.append(_file(path, role))
            else:
                yield _file(path, role)
        elif "mnist" in f"{path.parent.name}/{name}".lower() and (name.endswith(".npz") or is_archive(path)):
            archives.append(path)
    yield from packed
    for path in archives:
        yield from _in_npz(path) if path.name.lower().endswith(".npz") else _in_archive(path)


def _key(path: Path, *more: object) -> tuple[object, ...]:
    try:
        stat = path.stat()
    except OSError:
        return (str(path), *more)
    return (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, *more)


def _file(path: Path, role: int) -> Candidate:
    return Candidate(role, str(path), path.parent, _key(path), partial(_look_at_file, path), partial(_read_file, path))


def _look_at_file(path: Path) -> tuple[int, int]:
    """Of a packed file its last bytes say both; they say nothing true of one that was cut, which then is no match."""
    with path.open("rb") as file:
        if file.read(2) == GZIP:
            file.seek(-8, os.SEEK_END)
            crc32, size = struct.unpack("<II", file.read(8))
            return size, crc32
        file.seek(0)
        return _sum(file)


def _sum(file: IO[bytes]) -> tuple[int, int]:
    size = crc32 = 0
    while part := file.read(PART):
        size, crc32 = size + len(part), zlib.crc32(part, crc32)
    return size, crc32


def _read_file(path: Path) -> bytes | Content:
    content: Content = np.fromfile(path, dtype=np.uint8)
    return _unpacked(content.tobytes(), str(path)) if content[:2].tobytes() == GZIP else content


def _unpacked(packed: bytes, where: str) -> bytes:
    """What a gzip file holds, at most as much as any set has in one."""
    try:
        unpacker = zlib.decompressobj(wbits=31)
        content = unpacker.decompress(packed, max(file.bytes for each in SOURCES.values() for file in each.files) + 1)
    except zlib.error as error:
        raise DataError(f"{where} is damaged") from error
    if not unpacker.eof:
        raise DataError(f"{where} is cut short")
    return content


def _in_archive(path: Path) -> Iterator[Candidate]:
    """The members of a tar or zip that are called like the four."""
    try:
        with opened(path) as items:
            members = [item for item in items if item.read is not None]
    except (*BROKEN, ValueError):
        return  # an archive that merely has mnist in its name says nothing
    for item in members:
        if (role := _role(item.name.rsplit("/", 1)[-1])) is not None and item.size <= MAX_PACKED:
            read = partial(_read_member, path, item.name)
            look = partial(_look_at_member, item, read)
            yield Candidate(role, f"{path}/{item.name}", path, _key(path, item.name), look, read)


def _look_at_member(item: Item, read: Callable[[], bytes]) -> tuple[int, int]:
    if item.crc32 is not None and not item.name.lower().endswith(".gz"):
        return item.size, item.crc32
    content = read()
    return len(content), zlib.crc32(content)


def _read_member(path: Path, name: str) -> bytes:
    try:
        with opened(path) as items:
            item = next(item for item in items if item.name == name)
            content = item.read(MAX_PACKED) if item.read is not None else b""
    except BROKEN as error:
        raise DataError(f"{path}/{name} is damaged") from error
    return _unpacked(content, f"{path}/{name}") if content[:2] == GZIP else content


def _in_npz(path: Path) -> Iterator[Candidate]:
    """The arrays that Keras keeps, each as the idx file it was made from."""
    for name, role in ARRAYS.items():
        read = partial(_read_array, path, name)
        yield Candidate(role, f"{path}/{name}", path, _key(path, name), partial(_look_at_array, read), read)


def _look_at_array(read: Callable[[], bytes]) -> tuple[int, int]:
    content = read()
    return len(content), zlib.crc32(content)


def _read_array(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            member = f"{name}.npy"
            if archive.getinfo(member).file_size > 8 * MAX_PACKED:
                raise DataError(f"{path}/{name} is too large")
            with archive.open(member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except (*BROKEN, KeyError, ValueError) as error:
        if isinstance(error, DataError | PermissionError):
            raise
        raise DataError(f"{path} holds no array {name} that can be read") from error
    if array.dtype.kind not in "ui" or (array.size and (array.min() < 0 or array.max() > 255)):
        raise DataError(f"{path}/{name} holds other numbers than 0 … 255")
    return idx_header(array.shape) + array.astype(np.uint8).tobytes()
