"""Power loss, modelled: every state in which a disk may come back that forgets whatever nobody waited for.

`RecordedFiles` works on the real disk and writes down each operation. `Disk` plays a prefix of them and then lays
out one of the states that are possible after the power fails there:

- a file whose bytes were not synced holds what was synced before, nothing, a beginning, or zeros;
- a folder whose entries were not synced has any of the changes since, in order, each on its own, lost or kept;
- a rename is one change: kept or lost as a whole, and kept once the folder of its new name is synced.

That is weaker than the journaling file systems are, and as strong as POSIX promises.
"""

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.runs.fakes import QuickFiles

Operation = tuple[Any, ...]


class RecordedFiles(QuickFiles):
    """The real disk, with a log of what was asked of it. `said` adds what the store promised."""

    def __init__(self) -> None:
        self.log: list[Operation] = []
        self._open: dict[int, int] = {}
        self._made = 0

    def said(self, *promise: Any) -> None:
        self.log.append(("said", *promise))

    def make_folder(self, path: Path) -> None:
        new = not path.exists()
        super().make_folder(path)
        if new:
            self.log.append(("make_folder", path))

    def create(self, path: Path) -> int:
        file = super().create(path)
        self._made += 1
        self._open[file] = self._made
        self.log.append(("create", path, self._made))
        return file

    def write(self, file: int, data: bytes) -> None:
        super().write(file, data)
        self.log.append(("write", self._open[file], data))

    def sync(self, file: int) -> None:
        super().sync(file)
        if file in self._open:
            self.log.append(("sync", self._open[file]))

    def close(self, file: int) -> None:
        super().close(file)
        self._open.pop(file, None)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.log.append(("sync_folder", path))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.log.append(("rename", old, new))

    def remove(self, path: Path) -> None:
        inside = [Path(top) / name for top, folders, names in os.walk(path, topdown=False) for name in names + folders]
        super().remove(path)
        self.log.extend(("remove", each) for each in (*inside, path))


@dataclass(eq=False)
class File:
    synced: bytes = b""
    now: bytes = b""


@dataclass(eq=False)
class Folder:
    synced: "dict[str, File | Folder]" = field(default_factory=dict)
    now: "dict[str, File | Folder]" = field(default_factory=dict)
    changes: "list[Change]" = field(default_factory=list)


@dataclass(eq=False)
class Change:
    """Entries that change together: (folder, name, what is there then; None: nothing)."""

    parts: list[tuple[Folder, str, File | Folder | None]]


class Disk:
    """A disk with a memory before it, below `top`, which stands from the beginning."""

    def __init__(self, top: Path) -> None:
        self.top, self.root = top, Folder()
        self.files: dict[int, File] = {}

    def play(self, operations: Iterable[Operation]) -> None:
        for name, *args in operations:
            getattr(self, f"_{name}")(*args)

    def _said(self, *promise: Any) -> None:
        pass

    def _make_folder(self, path: Path) -> None:
        self._change((path, Folder()))

    def _create(self, path: Path, number: int) -> None:
        self.files[number] = File()
        self._change((path, self.files[number]))

    def _write(self, number: int, data: bytes) -> None:
        self.files[number].now += data

    def _sync(self, number: int) -> None:
        self.files[number].synced = self.files[number].now

    def _rename(self, old: Path, new: Path) -> None:
        self._change((old, None), (new, self._at(old.parent).now[old.name]))

    def _remove(self, path: Path) -> None:
        self._change((path, None))

    def _sync_folder(self, path: Path) -> None:
        if path != self.top and self.top not in path.parents:
            return
        folder = self._at(path)
        for change in list(folder.changes):
            # A rename is kept through its new folder; the old one alone cannot keep it.
            if change in folder.changes and change.parts[-1][0] is folder:
                self._keep(change)

    def _keep(self, change: Change) -> None:
        for folder, name, entry in change.parts:
            _set(folder.synced, name, entry)
            # What was to happen to this name before is overtaken.
            for earlier in folder.changes[: folder.changes.index(change)]:
                earlier.parts = [part for part in earlier.parts if part[:2] != (folder, name)]
        for folder in {part[0] for part in change.parts}:
            folder.changes = [each for each in folder.changes if each is not change and each.parts]

    def _change(self, *targets: tuple[Path, File | Folder | None]) -> None:
        change = Change([(self._at(path.parent), path.name, entry) for path, entry in targets])
        for folder, name, entry in change.parts:
            _set(folder.now, name, entry)
            if change not in folder.changes:
                folder.changes.append(change)

    def _at(self, path: Path) -> Folder:
        folder = self.root
        for name in path.relative_to(self.top).parts:
            found = folder.now[name]
            assert isinstance(found, Folder)
            folder = found
        return folder

    def lay_out(self, target: Path, chance: random.Random) -> None:
        """One possible state after the power fails now, below `target`."""
        # The worst case, the best, and all between.
        keep = chance.choice((0.0, 1.0, 0.2, 0.5, 0.8))
        decided: dict[Change, bool] = {}
        _lay_out(self.root, target, chance, keep, decided)


def _set(entries: "dict[str, File | Folder]", name: str, entry: File | Folder | None) -> None:
    if entry is None:
        entries.pop(name, None)
    else:
        entries[name] = entry


def _lay_out(folder: Folder, target: Path, chance: random.Random, keep: float, decided: dict[Change, bool]) -> None:
    target.mkdir()
    entries = dict(folder.synced)
    for change in folder.changes:
        if change not in decided:
            decided[change] = chance.random() < keep
        if decided[change]:
            for where, name, entry in change.parts:
                if where is folder:
                    _set(entries, name, entry)
    for name, entry in entries.items():
        if isinstance(entry, Folder):
            _lay_out(entry, target / name, chance, keep, decided)
        else:
            (target / name).write_bytes(_bytes_left(entry, chance, keep))


def _bytes_left(file: File, chance: random.Random, keep: float) -> bytes:
    if file.now == file.synced or chance.random() < keep:
        return file.now
    cut = chance.randrange(len(file.now) + 1)
    return chance.choice((file.synced, file.now[:cut], file.now[:cut] + bytes(len(file.now) - cut)))
