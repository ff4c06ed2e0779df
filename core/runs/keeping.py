"""What a store does to the disk: one writer at a time, runs placed whole or not at all, and room made for new ones.

All that was computed or brought here may take `GRADIENT_LAB_QUOTA` in all. Where a new run would go beyond that, others
go, whole and at once:

1. damaged runs that were set aside, the oldest first, each with a line in the log;
2. then the runs that nobody has made or looked at for longest: a class comes back to what it saw yesterday, not to
   what nobody has opened since last term.

What is pinned, what trains, and the gallery never go; where nothing else is left, the new run is refused. A full disk
takes nothing from anybody: what filled it may be somebody else, and would fill it again.

A run's time is that of its folder: made then, or looked at then (`_note_use`), to the minute. No run's own files are
touched.
"""

import errno
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.knobs import clip
from core.runs.files import Files, Stamp
from core.runs.run import RUN_ID

MANIFEST, LOCK = "run.json", ".lock"
JOBS, INTERRUPTED, PARTIAL, PINNED, ASIDE = ".jobs", ".interrupted", ".partial", ".pinned", "set-aside"

USUAL_QUOTA = "2 GB"
AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(MB|GB|TB)", re.IGNORECASE)
UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
MOST_RUNS = 5_000  # stored, whatever their size: who looks for the nearest one looks at all of a lesson
NOTE_EVERY = 60 * 10**9  # ns between two notes that a run is being looked at

CAUSES = {
    errno.ENOSPC: "no space left in {where}; free some space, or choose a smaller GRADIENT_LAB_QUOTA",
    errno.EDQUOT: "the quota for {where} is used up; free some space, or choose a smaller GRADIENT_LAB_QUOTA",
    errno.EROFS: "{where} is read-only; set GRADIENT_LAB_CACHE to a folder that can be written",
    errno.EACCES: "no permission to write in {where}; allow it or set GRADIENT_LAB_CACHE to another folder",
    errno.EPERM: "no permission to write in {where}; allow it or set GRADIENT_LAB_CACHE to another folder",
    errno.EEXIST: "{where} is not a folder; set GRADIENT_LAB_CACHE to one",
    errno.ENOTDIR: "{where} is not in a folder; set GRADIENT_LAB_CACHE to one",
    errno.ENOENT: "no folder can be made at {where}; set GRADIENT_LAB_CACHE to another place",
    errno.ENAMETOOLONG: "the name {where} is too long; set GRADIENT_LAB_CACHE to a shorter one",
    errno.EMFILE: "this process has too many files open; wait a moment",
    errno.ENFILE: "this machine has too many files open; wait a moment",
    errno.EAGAIN: "another Gradient Lab process is writing in {where}; wait until it is done or stop it",
}

log = logging.getLogger(__name__)


class StoreError(OSError):
    """The disk did not do what was asked. Its message is one sentence for the reader."""


class Full(OSError):
    """There is no room, and none to be made. Its message is a cause and what to do, without a full stop."""


@dataclass(frozen=True)
class Kept:
    """A folder that counts: a stored run, or one set aside."""

    folder: Path
    size: int
    used: int  # ns
    aside: bool

    @property
    def turn(self) -> tuple[bool, int, str]:
        """Who goes first: the least."""
        return not self.aside, self.used, self.folder.name


def quota() -> int:
    """The bytes that `GRADIENT_LAB_QUOTA` names, else 2 GB. Raises `StoreError` where it names none."""
    said = os.environ.get("GRADIENT_LAB_QUOTA", "").strip()
    found = AMOUNT.fullmatch(said or USUAL_QUOTA)
    if found is None or not float(found[1]):
        raise StoreError(f"GRADIENT_LAB_QUOTA = {clip(said)} is no amount of disk; say it like 500 MB or 2 GB.")
    return int(float(found[1]) * UNITS[found[2].upper()])


class Keeper:
    """The one who writes, and lets go.

    Args:
        written: the folder that this machine writes; made when first written to.
        files: the disk.
        patience: seconds to wait for another process that writes.
        most: bytes that all runs of this machine may take.
    """

    def __init__(self, written: Path, files: Files, patience: float, most: float = math.inf) -> None:
        self.runs, self.aside = written / "runs", written / ASIDE
        self.files, self.patience, self.most = files, patience, most
        # Folder that counts → its stamp when last looked at, and its bytes.
        self._sizes: dict[Path, tuple[Stamp, int]] = {}

    @property
    def taken(self) -> int:
        """The bytes that all runs of this machine take now, those set aside too. Looks at every run."""
        with suppress(OSError):
            return sum(each.size for each in self._kept())
        return 0

    # Pins

    @property
    def pinned(self) -> frozenset[str]:
        """The names of the runs that somebody has pinned."""
        with suppress(OSError):
            return self._pins()
        return frozenset()

    def pin(self, key: str) -> None:
        """Keep a stored run, however old, until it is unpinned. Raises `StoreError`."""
        pin = self.runs / PINNED / key
        with self._writing(self.runs, "The run could not be pinned", then=" and pin it again"):
            if not RUN_ID.fullmatch(key) or not self._stored(key):
                raise StoreError(f"Run {clip(key, 12)} is not stored here, so it cannot be pinned; press Run first.")
            self._make(pin.parent)
            with suppress(FileExistsError):
                self.files.close(self.files.create(pin))
            self.files.sync_folder(pin.parent)

    def unpin(self, key: str) -> None:
        """Let a run go when its turn comes. Raises `StoreError`."""
        if not RUN_ID.fullmatch(key):
            return
        pin = self.runs / PINNED / key
        with self._writing(self.runs, "The run could not be unpinned", then=" and unpin it again"):
            self._make(pin.parent)
            with suppress(FileNotFoundError):
                self.files.remove(pin)
            self.files.sync_folder(pin.parent)

    def _pins(self) -> frozenset[str]:
        return frozenset(filter(RUN_ID.fullmatch, self._names(self.runs / PINNED)))

    def _stored(self, key: str) -> bool:
        slugs = [slug for slug in self._names(self.runs) if not slug.startswith(".")]
        return any(self.files.stamp(self.runs / slug / key / MANIFEST) is not None for slug in slugs)

    # Room

    def _note_use(self, folder: Path) -> None:
        """Note on disk that a run was looked at, unless that was noted just now. A disk that cannot is left alone."""
        with suppress(OSError):
            stamp = self.files.stamp(folder)
            if stamp is not None and abs(time.time_ns() - stamp[0]) > NOTE_EVERY:
                self.files.touch(folder)

    def _make_room(self, needed: int, place: Path | None = None) -> Sequence[Path]:
        """Make room for `needed` bytes in `place`, if that takes letting runs go; the lock is held.

        Returns:
            The folders that are gone.

        Raises:
            Full: not even with all gone that may go. Then all are left where they are.
        """
        if needed > self.most:
            raise Full(
                f"it takes {spell_size(needed)} and all stored runs together may take {spell_size(self.most)}; {_MORE}"
            )
        kept = [each for each in self._kept() if each.folder != place]
        over = sum(each.size for each in kept) + needed - self.most
        too_many = len(kept) + (place is not None) - MOST_RUNS
        if max(over, too_many) <= 0:
            return ()
        live = {name.partition("-")[0] for name in self._names(self.runs / JOBS)}
        held = self._pins() | live
        going: list[Kept] = []
        for each in sorted(kept, key=lambda each: each.turn):
            if ((over > 0 and each.size) or too_many > 0) and (each.aside or each.folder.name not in held):
                going.append(each)
                over -= each.size
                too_many -= 1
        held_by = "runs that are pinned or train"
        if over > 0:
            raise Full(f"the {spell_size(self.most)} for stored runs are full of {held_by}; unpin some, or {_MORE}")
        if too_many > 0:
            raise Full(f"the {MOST_RUNS:,} places for stored runs are full of {held_by}; unpin some")
        self._let_go(going)
        return [each.folder for each in going]

    def _kept(self) -> Iterator[Kept]:
        for top in (self.aside, self.runs):
            for slug in self._names(top):
                for name in self._names(top / slug) if not slug.startswith(".") else ():
                    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                        if stamp := self.files.stamp(folder := top / slug / name):
                            yield Kept(folder, self._size(folder, stamp), stamp[0], top == self.aside)

    def _size(self, folder: Path, stamp: Stamp) -> int:
        """The bytes of a folder that counts, looked at again only if something came or went in it."""
        known = self._sizes.get(folder)
        if known is None or known[0] != stamp:
            known = self._sizes[folder] = stamp, self.files.size(folder)
        return known[1]

    def _let_go(self, going: Sequence[Kept]) -> None:
        """Out of sight by one rename each, and only then deleted: a run is there whole or not at all."""
        partial = self.runs / PARTIAL
        self.files.make_folder(partial)
        for number, each in enumerate(going):
            self.files.rename(each.folder, partial / f"gone-{number}")
            self._sizes.pop(each.folder, None)
            level = logging.WARNING if each.aside else logging.INFO
            log.log(level, "%s goes to make room for new runs (GRADIENT_LAB_QUOTA)", each.folder)
        self._sweep(self.runs)

    # Writing: all but `_writing` is called with the lock held

    @contextmanager
    def _writing(self, root: Path, trying: str, then: str = "") -> Iterator[None]:
        """Be the one writer of `root`; `_telling` where that fails."""
        with self._telling(root, trying, then):
            # What lies above the cache may be closed to us; then nobody here has made it either.
            with suppress(PermissionError):
                self._make(root.parent)
            self._make(root)
            with self.files.lock(root / LOCK, self.patience):
                self._sweep(root)
                try:
                    yield
                finally:
                    with suppress(OSError):
                        self._sweep(root)

    @contextmanager
    def _telling(self, root: Path, trying: str, then: str = "") -> Iterator[None]:
        """Trouble with the disk becomes one sentence: what was tried, the cause, the next move."""
        try:
            yield
        except StoreError:
            raise
        except OSError as error:
            usual = str(error) if isinstance(error, Full) else f"{{where}} failed ({error.strerror}); check the disk"
            cause = CAUSES.get(error.errno or 0, usual)
            raise StoreError(f"{trying}: {cause.replace('{where}', str(root))}{then}.") from error

    def _make(self, folder: Path) -> None:
        """Make a folder that is on the disk before anything is put into it."""
        try:
            self.files.make_folder(folder)
        except FileNotFoundError:
            self._make(folder.parent)
            self.files.make_folder(folder)
        self.files.sync_folder(folder.parent)  # also where it stood already: its maker may have died before this

    def _sweep(self, root: Path) -> None:
        """Delete what is half-written, and what was let go."""
        if self.files.stamp(partial := root / PARTIAL) is None:
            return
        if self.files.names(partial):
            # A power loss must not bring a run back to its old place when some of its files are gone already.
            self.files.sync_folder(partial)
        self.files.remove(partial)

    def _place(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Put a run's files, the manifest last, into `folder`: all at once, and on the disk when this returns."""
        partial = folder.parents[1] / PARTIAL / folder.name
        self.files.make_folder(partial.parent)
        self.files.make_folder(partial)
        for name, data in files.items():
            self._save(partial / name, data)
        self.files.sync_folder(partial)
        if self.files.stamp(folder) is None:
            self.files.rename(partial, folder)
            self.files.sync_folder(folder.parent)
            return
        # A folder cannot replace a folder, but a manifest can replace a manifest. The new frames go first, under a
        # name of their own, so that at every moment the manifest in place has its frames beside it.
        for name in files:
            self.files.rename(partial / name, folder / name)
            self.files.sync_folder(folder)
        with suppress(OSError):  # saved already; what cannot be removed does no harm
            for name in set(self.files.names(folder)) - set(files):
                self.files.remove(folder / name)

    def _save(self, path: Path, data: bytes) -> None:
        file = self.files.create(path)
        try:
            self.files.write(file, data)
            self.files.sync(file)
        finally:
            self.files.close(file)

    def _set_aside(self, folder: Path, why: str) -> None:
        aside = folder.parents[2] / ASIDE / folder.parent.name
        self._make(aside.parent)
        self._make(aside)
        taken = set(self.files.names(aside))
        name = next(
            name for n in range(len(taken) + 1) if (name := f"{folder.name}-{n}" if n else folder.name) not in taken
        )
        self.files.rename(folder, aside / name)
        self.files.sync_folder(aside)  # before another run takes its place, and with it its last way back
        log.warning("%s is damaged (%s); it lies in %s now", folder, why, aside / name)

    # Reading folders

    def _names(self, folder: Path) -> Sequence[str]:
        try:
            return self.files.names(folder)
        except (FileNotFoundError, NotADirectoryError):
            return ()


_MORE = "choose a larger GRADIENT_LAB_QUOTA"


def spell_size(size: float) -> str:
    """A number of bytes as people say it: 13.1 kB, 512 MB, 1.95 GB."""
    unit = next((unit for unit in ("TB", "GB", "MB") if size >= UNITS[unit]), "kB")
    return f"{size / UNITS[unit]:.3g} {unit}"
