"""Where data sets may lie on this machine, and what lies there: a walk that ends soon, whatever folder it is given.

People keep data in `data/MNIST/raw/`, in `MNIST/`, in a folder of downloads, and sometimes name all of their home. So
folders that sound like data are looked into first, depth and number are bounded, and what systems leave behind
(`.DS_Store`, `Thumbs.db`, `__MACOSX/`) is no file at all.
"""

import heapq
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core import places

VARIABLE = "GRADIENT_LAB_DATA"
MAX_DEPTH = 6  # folders below the one that is named
MAX_FOLDERS = 300
MAX_ENTRIES = 2000  # of one folder: none that holds a data set has more, but for the images of one class
SETTLED_NS = 2_000_000_000  # a folder changed longer ago than this has a new time at its next change

JUNK = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
}
PROMISING = ("mnist", "cifar", "fashion", "raw", "data", "torch", "keras", "train-", "t10k-")


def is_junk(name: str) -> bool:
    """Return whether a file or folder of that name was left by a system or hidden by its owner."""
    return name.startswith((".", "~$")) or name.lower() in JUNK


# ---- the folders that are searched -------------------------------------------------------------------------------


def given() -> Path | None:
    """The path in `GRADIENT_LAB_DATA`, as its writer meant it: quotes, blanks, `~` and `$HOME` are understood."""
    named = os.environ.get(VARIABLE, "").strip().strip("\"'").strip()
    return Path(os.path.expanduser(os.path.expandvars(named))).absolute() if named else None


def own() -> Path:
    """The folder of the cache where downloads go."""
    return places.written() / "data"


def roots() -> list[Path]:
    """The folders where sets are searched, in their order. A file that is named stands for its folder."""
    named = given()
    if named is not None and os.path.isfile(named):
        named = named.parent
    return [root for root in (named, own()) if root is not None]


def looked_in() -> str:
    """Say where sets are looked for: for a sentence that ends "…, where it was looked for in".

    A variable that names what is not there is the likeliest cause of a missing set, so that is said first.
    """
    named, ours = given(), own()
    if named is None:
        return f"in {ours}"
    if not _exists(named):
        return f"in {ours}; {VARIABLE} names {named}, which does not exist"
    if os.path.isfile(named):
        return f"in {named.parent}, the folder of the file that {VARIABLE} names, or in {ours}"
    seen, limits = walk(named), ""
    if seen.cut:
        limits = f" (its first {MAX_FOLDERS} folders, so name a folder nearer to the set)"
    elif seen.errors:
        limits = f" ({seen.errors[0].filename} cannot be read: {seen.errors[0].strerror})"
    return f"in {named}{limits} or in {ours}"


def _exists(path: Path) -> bool:
    """Return whether there is anything at `path`; what may not be looked at is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


# ---- what lies in them -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """The names in one folder, sorted, without junk; links are what they lead to."""

    folders: tuple[str, ...]
    files: tuple[str, ...]


@dataclass
class Walk:
    """What was seen below a folder.

    Attributes:
        listings: every folder that was looked into, nearest and most promising first.
        errors: why others could not be.
        cut: there were more than `MAX_FOLDERS`.
    """

    listings: dict[Path, Listing] = field(default_factory=dict)
    errors: list[OSError] = field(default_factory=list)
    cut: bool = False

    def files(self) -> Iterator[Path]:
        """Every file that was seen."""
        return (folder / name for folder, listing in self.listings.items() for name in listing.files)


def walk(root: Path) -> Walk:
    """Look at a folder and what lies below it, in bounded depth and number."""
    seen = Walk()
    waiting = [(False, 0, str(root))]
    while waiting:
        if len(seen.listings) == MAX_FOLDERS:
            seen.cut = True
            break
        _, depth, path = heapq.heappop(waiting)
        folder = Path(path)
        try:
            listing = listed(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            seen.errors.append(error)
            continue
        seen.listings[folder] = listing
        if depth < MAX_DEPTH:
            for name in listing.folders:
                dull = not any(word in name.lower() for word in PROMISING)
                heapq.heappush(waiting, (dull, depth + 1, f"{path}{os.sep}{name}"))
    return seen


_listings: dict[str, tuple[int, Listing]] = {}


def listed(folder: Path) -> Listing:
    """The names in a folder, read again only where its time says that they changed; `OSError` where they cannot be."""
    changed = folder.stat().st_mtime_ns
    known = _listings.get(str(folder))
    if known is not None and known[0] == changed:
        return known[1]
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count == MAX_ENTRIES:
                break
            if not is_junk(entry.name):
                (folders if _is_folder(entry) else files).append(entry.name)
    listing = Listing(tuple(sorted(folders)), tuple(sorted(files)))
    if time.time_ns() - changed > SETTLED_NS:
        if len(_listings) > 2 * MAX_FOLDERS:
            _listings.clear()
        _listings[str(folder)] = (changed, listing)
    return listing


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
