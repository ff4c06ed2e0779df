"""The file in which a decoded set is kept: made once, read in a fraction of a second, held against its own hash.

Decoding 60,000 JPEGs takes half a minute. The file is one line of JSON (what it was made of, and the SHA-256 of what
follows) and then the bare numbers, so that a reader finds all of it or none: it appears under its name at once, and two
processes that make it at the same time make the same.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.data.images import PIXELS, Numbers, PictureError

MAX_HEADER = 4096


@dataclass(frozen=True)
class Decoded:
    """All images of a set as numbers.

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
        counts: images to learn from, and for the test.
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


def kept(path: Path) -> Kept | None:
    """What a kept file says of itself; None where there is none, or it is not of its promised length."""
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_HEADER)
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
