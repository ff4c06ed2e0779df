"""The files in a folder, a tar or a zip, alike: their names and what reads them.

Archives are read where they lie and nothing is extracted: a name in them is a label, never a path on this machine.
"""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.data.search import is_junk

MAX_DEPTH = 6  # folders below the one that is read
MAX_FILES = 250_000
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
BROKEN = (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, UnicodeError, zlib.error, RuntimeError)
"""What reading a damaged, cut or locked archive raises."""


class ArchiveError(ValueError):
    """A folder or archive that holds what it must not. Its message lacks its full stop."""


@dataclass(frozen=True)
class Item:
    """A file in a folder or an archive.

    Attributes:
        name: with the folders it lies in, `train/cat/0001.png`, whatever its writer put there.
        size: in bytes, as the archive promises.
        read: gives its bytes, at most as many as it is told; None where it is no plain file.
        crc32: as a zip knows it.
    """

    name: str
    size: int
    read: Callable[[int], bytes] | None
    crc32: int | None = None


def is_archive(path: Path) -> bool:
    """Return whether the name is that of a tar or a zip."""
    return path.name.lower().endswith(SUFFIXES)


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Item]]:
    """The files at `path`, without what systems leave behind, in their order there; open as long as the context is."""
    if path.is_dir():
        yield _limited(path, _in_folder(path, path, 0))
    elif path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield _limited(path, _in_zip(archive))
    else:
        with tarfile.open(path) as tar:
            yield _limited(path, _in_tar(tar))


def _limited(path: Path, items: Iterator[Item]) -> Iterator[Item]:
    for count, item in enumerate(items):
        if count == MAX_FILES:
            raise ArchiveError(f"{path} holds more than {MAX_FILES} files")
        if not any(is_junk(part) for part in item.name.split("/") if part not in (".", "..")):
            yield item


def _in_folder(root: Path, folder: Path, depth: int) -> Iterator[Item]:
    for path in sorted(folder.iterdir()):
        if is_junk(path.name):
            continue
        if path.is_dir():
            if depth < MAX_DEPTH:
                yield from _in_folder(root, path, depth + 1)
        elif path.is_file():
            yield Item(path.relative_to(root).as_posix(), path.stat().st_size, partial(_read_file, path))


def _read_file(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _in_zip(archive: zipfile.ZipFile) -> Iterator[Item]:
    for info in archive.infolist():
        if not info.is_dir():
            name = info.filename.replace("\\", "/")
            yield Item(name, info.file_size, partial(_read_zipped, archive, info), info.CRC)


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    with archive.open(info) as file:
        return file.read(most)


def _in_tar(tar: tarfile.TarFile) -> Iterator[Item]:
    for member in tar:
        if not member.isdir():
            yield Item(member.name, member.size, partial(_read_tarred, tar, member) if member.isreg() else None)


def _read_tarred(tar: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    file = tar.extractfile(member)  # opens it for reading and writes nothing
    return b"" if file is None else file.read(most)
