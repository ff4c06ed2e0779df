"""Runs on disk: named by what produced them, committed crash-safe, hash-checked when read, never pickled.

::

    <written>/runs/SLUG/KEY/run.json       the manifest, sealed
    <written>/runs/SLUG/KEY/frames.npz     the recording
    <written>/runs/.jobs/                  a locked marker for each job in work
    <written>/runs/.interrupted/           markers whose process died before it could commit
    <written>/runs/.partial/               what is being written or let go; swept by whoever writes next
    <written>/runs/.pinned/KEY             an empty file for each run that somebody has pinned
    <written>/runs/.lock                   held by the one who writes, for as long as it takes
    <written>/set-aside/SLUG/KEY           damaged runs: never shown, deleted only where room is needed

A gallery is such a folder of SLUG/KEY, shipped with the product and only read, except by `gallery build`; what is
damaged there is skipped.
Reading needs no lock: a run's folder appears and goes by one rename, and its manifest is replaced by one. What is
written and what goes to make room for it: `core.runs.keeping`.
"""

import logging
import math
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from core import places
from core.facts import Values
from core.frames import Recording
from core.knobs import KnobError, Knobs
from core.lesson import AnyLesson
from core.runs.agreement import disagreement, stated
from core.runs.files import Files, Stamp
from core.runs.keeping import INTERRUPTED, JOBS, MANIFEST, PARTIAL, Full, Keeper, StoreError, quota
from core.runs.packing import (
    MOST_ARRAYS,
    MOST_MANIFEST,
    Damaged,
    Foreign,
    pack,
    record,
    seal,
    unpack,
    unseal,
)
from core.runs.run import RUN_ID, FileRecord, Manifest, Run, State

__all__ = ["Listed", "Store", "StoreError"]

T = TypeVar("T")
Origin = Literal["runs", "gallery"]

FRAMES = re.compile(r"frames(-[0-9a-f]{16})?\.npz")
PATIENCE = 10.0  # seconds to wait for another process that writes
SETTLED = 2 * 10**9  # ns after which a folder's time tells its next change from its last one
MOST_LOADED = 256 * 2**20  # bytes of recordings kept in memory

SAVING = ("The run is finished but could not be saved", "press Run again")
TAKING_IN = ("The imported run could not be saved", "import it again")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """A stored run as lists show it: all but its frames."""

    lesson: AnyLesson
    knobs: Knobs
    manifest: Manifest
    origin: Origin

    @property
    def slug(self) -> str:
        """Its lesson's name in links."""
        return self.manifest.slug

    @property
    def key(self) -> str:
        """Its own name."""
        return self.manifest.key

    @property
    def created(self) -> datetime:
        """When it was asked for."""
        return self.manifest.created

    @property
    def wall_seconds(self) -> float:
        """How long it trained."""
        return self.manifest.wall_seconds

    @property
    def device(self) -> str:
        """What it trained on."""
        return self.manifest.device

    @property
    def imported(self) -> bool:
        """Whether it came as a file from another machine."""
        return self.manifest.imported

    @property
    def facts(self) -> Values:
        """The named numbers of its result."""
        return self.manifest.facts

    @property
    def claims(self) -> list[dict[str, Any]]:
        """Its claims, as `Claim.plain` gave them."""
        return self.manifest.claims


class Job(BaseModel):
    """A marker: somebody is training this."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    slug: str
    key: str
    knobs: dict[str, Any]
    created: datetime


class Store(Keeper):
    """The runs of this machine and of the galleries. Safe to use from many threads and beside other processes.

    Args:
        written: the folder that this machine writes; made when first written to.
        galleries: folders of precomputed runs.
        lessons: slug → lesson: the runs of others are left alone.
        files: the disk.
        patience: seconds to wait for another process that writes.
        most: bytes that the runs in `written` may take in all.
    """

    def __init__(
        self,
        written: Path,
        galleries: Sequence[Path],
        lessons: Mapping[str, AnyLesson],
        files: Files | None = None,
        patience: float = PATIENCE,
        most: float = math.inf,
    ) -> None:
        super().__init__(written, files or Files(), patience, most)
        self.lessons = lessons
        self._roots: list[tuple[Path, Origin]] = [(self.runs, "runs"), *((root, "gallery") for root in galleries)]
        self._guard = threading.Lock()
        # Folder → its manifest's stamp when last read, and what it held; None: nothing to be shown.
        self._index: dict[Path, tuple[Stamp | None, Listed | None]] = {}
        self._loaded: OrderedDict[Path, tuple[Stamp, Run, int]] = OrderedDict()
        self._held: dict[str, tuple[Path, int]] = {}
        # Folder of a lesson's runs → its stamp when last looked through, and what was found.
        self._listings: dict[Path, tuple[Stamp | None, dict[str, Listed]]] = {}  # what lay in a folder, and when
        self._slug_of: dict[str, str] = {}  # of the keys that were found

    @classmethod
    def default(cls, lessons: Mapping[str, AnyLesson]) -> Self:
        """The store of this installation: what `GRADIENT_LAB_CACHE` holds, and the gallery that ships.

        Raises `StoreError` where `GRADIENT_LAB_QUOTA` is no amount.
        """
        written = places.written()
        return cls(written, list(dict.fromkeys((written / "gallery", places.GALLERY))), lessons, most=quota())

    # Reading

    def find(self, lesson: AnyLesson, knobs: Knobs) -> Run | None:
        """The stored run of these knobs, whole and checked: this machine's own, else a gallery's."""
        key = lesson.key(knobs)
        return self._first(lesson.slug, key, self._load)

    def has(self, lesson: AnyLesson, knobs: Knobs) -> bool:
        """Whether these knobs have a stored run, by its manifest alone."""
        return self._first(lesson.slug, lesson.key(knobs), self._entry) is not None

    def get(self, key: str) -> Run | None:
        """The run of that name: stored, or else interrupted. Any text may be asked for."""
        if not RUN_ID.fullmatch(key):
            return None
        # A key belongs to one lesson: where it was found once, it is looked for first.
        known = self._slug_of.get(key)
        for slug in sorted(self.lessons, key=lambda slug: slug != known):
            if run := self._first(slug, key, self._load):
                self._slug_of[key] = slug
                return run
        self._slug_of.pop(key, None)
        return next((run for run in self.interrupted() if run.key == key), None)

    def list(self) -> Sequence[Listed]:
        """Every stored run, newest first. A run that lies in two places is listed for each."""
        found = [each for slug in self.lessons for each in self._listed(slug)]
        return sorted(found, key=lambda each: each.created.timestamp(), reverse=True)

    def of(self, lesson: AnyLesson) -> Sequence[Listed]:
        """The stored runs of a lesson as it is now, at hand for those who look again and again."""
        return [each for each in self._known(lesson.slug) if each.manifest.revision == lesson.revision]

    def nearest_listed(self, lesson: AnyLesson, knobs: Knobs) -> Listed | None:
        """The stored run whose knobs differ in the fewest places, the newest of several; None where there is none."""
        found = (self._first(lesson.slug, each.key, self._entry) for each in self._by_distance(lesson, knobs))
        return next(filter(None, found), None)

    def nearest(self, lesson: AnyLesson, knobs: Knobs) -> Run | None:
        """The nearest stored run that is whole, loaded."""
        if run := self.find(lesson, knobs):  # nearer than any, and found without a look at all
            return run
        for each in self._by_distance(lesson, knobs):
            if run := self._first(lesson.slug, each.key, self._load):
                return run
        return None

    def interrupted(self) -> Sequence[Run]:
        """The jobs that a crash cut off and nobody has finished since, newest first."""
        found: list[Run] = []
        for name in self._seen(self.runs / INTERRUPTED):
            with suppress(OSError, ValueError, Foreign):
                job = self._job(self.runs / INTERRUPTED / name)
                run = self._interrupted_run(job)
                if not self._first(job.slug, job.key, self._entry):
                    found.append(run)
        return sorted(found, key=lambda run: run.created.timestamp(), reverse=True)

    def used(self, run: Run) -> None:
        """Note that somebody looks at a run that the caller had in memory: it goes later when room is needed."""
        if run.origin == "runs":
            self._note_use(self.runs / run.lesson.slug / run.key)

    def verify(self, root: Path) -> Sequence[str]:
        """What is wrong in a folder of runs, a sentence each; none where every byte is as written. `StoreError`."""
        folders = self.folders(root)
        return [f"{folder.parent.name}/{folder.name}: {fault}." for folder in folders if (fault := self._fault(folder))]

    def folders(self, root: Path) -> Sequence[Path]:
        """Where the runs of a folder of runs lie, whole or not. `StoreError`."""
        with self._telling(root, "The stored runs could not be checked"):
            slugs = [slug for slug in self._names(root) if not slug.startswith(".")]
            return [root / slug / key for slug in slugs for key in self._names(root / slug)]

    # Writing

    def commit(
        self,
        run: Run,
        *,
        threads: int,
        versions: Mapping[str, str],
        data: str | None,
        gallery: Path | None = None,
        fresh: bool = False,
        imported: bool = False,
    ) -> Run:
        """Store a finished run. When this returns, it survives `kill -9` and power loss.

        Args:
            run: all frames recorded; on success it gains its manifest and origin.
            threads: of its training process.
            versions: package → version.
            data: the data set it saw, or None.
            gallery: where to store it instead of among this machine's own runs.
            fresh: replace the stored run of the same key; otherwise that one stays (commit wins).
            imported: it was trained on another machine and came as a file.

        Returns:
            The run that lies on disk now: `run`, or the equal one that lay there before.

        Raises:
            StoreError: it could not be saved. `run` is as it was, nothing half-written is ever shown, and a run
                stored under its key before is still there.
        """
        trying, once_more = TAKING_IN if imported else SAVING
        arrays = run.recording.arrays()
        size = sum(array.nbytes for array in arrays.values())
        if size > MOST_ARRAYS:
            raise StoreError(
                f"{trying}: its frames take {size / 2**20:.0f} MB, more than the {MOST_ARRAYS / 2**20:.0f} MB a "
                "stored run may take; choose fewer passes, nets or pictures."
            )
        frames = pack(arrays)
        manifest = Manifest(
            slug=run.lesson.slug,
            key=run.key,
            revision=run.lesson.revision,
            knobs=run.knobs.model_dump(mode="json"),
            created=run.created,
            wall_seconds=run.seconds,
            device=run.device,
            threads=threads,
            versions=dict(versions),
            data=data,
            frames=len(run.recording),
            **stated(run),
            imported=imported,
        )
        root = self.runs if gallery is None else gallery
        origin: Origin = "runs" if gallery is None else "gallery"
        folder = root / manifest.slug / manifest.key
        with self._writing(root, trying, then=f" and {once_more}"):
            self._make(folder.parent)
            stored = self._settle(folder, origin)
            if stored is not None and not fresh:
                self.files.sync_folder(folder)  # whoever put it there may have died before this
                self.files.sync_folder(folder.parent)
                return stored
            name = "frames.npz" if stored is None else f"frames-{record(frames).sha256[:16]}.npz"
            manifest = manifest.model_copy(update={"files": {name: record(frames)}})
            said = seal(manifest)
            if gallery is None:
                self._forget_folders(self._make_room(len(frames) + len(said), folder))
            self._place(folder, {name: frames, MANIFEST: said})
        if run.manifest is not None:
            return replace(run, manifest=manifest, origin=origin)  # a copy: the original lies where it says
        run.manifest, run.origin = manifest, origin
        return run

    def restate(self, folder: Path) -> str | None:
        """Let the lesson of now say what the frames in `folder` show; the new key, None where nothing has changed.

        Its frames stay, byte for byte, with everything that is said of where they come from; facts and claims are
        computed from them anew, and the stored ones stay where these differ by no more than processors do. Where the
        lesson has got knobs since, the run has their defaults and a new key: were its numbers others with these, the
        lesson's revision would have been raised.

        Raises `Foreign` or `Damaged` where it is no run of the lesson's revision, `StoreError` where the disk fails.
        """
        root = folder.parents[1]
        with self._writing(root, "The run could not be restated"):
            before = unseal(self.files.read(folder / MANIFEST, MOST_MANIFEST))
            lesson, knobs = self._knobs(before.slug, before.knobs)
            if before.revision != lesson.revision:
                raise Foreign(f"made by revision {before.revision} of its lesson, which has {lesson.revision} now")
            if (before.slug, before.key) != (folder.parent.name, folder.name):
                raise Damaged("it lies in the folder of another run")
            frames = self._read_recording(folder, before)
            run = Run(lesson, knobs, lesson.key(knobs), recording=frames, state=State.DONE)
            now = {"key": run.key, "knobs": run.knobs.model_dump(mode="json")}
            if disagreement(before.model_dump(include={"facts", "claims"}), said := stated(run)):
                now |= said
            after = before.model_copy(update=now)
            if after == before:
                return None
            place = root / before.slug / run.key
            if place != folder and self.files.stamp(place) is not None:
                raise Foreign(f"with the knobs that its lesson has got since it is run {run.key}, which lies here too")
            name, promised = _frames_of(before)
            self._place(place, {name: self.files.read(folder / name, promised.size), MANIFEST: seal(after)})
            if place != folder:
                self.files.remove(folder)
        return run.key

    def begin(self, run: Run) -> None:
        """Note on disk that this process trains `run`, so that a restart can tell it was cut off.

        Raises `StoreError`; the run may be trained all the same.
        """
        if run.key in self._held:
            return
        job = Job(slug=run.lesson.slug, key=run.key, knobs=run.knobs.model_dump(mode="json"), created=run.created)
        partial, marker = self.runs / PARTIAL / run.key, self.runs / JOBS / f"{run.key}-{secrets.token_hex(8)}.json"
        with self._writing(self.runs, "The run trains but could not be noted on disk"):
            self._make(marker.parent)
            self.files.make_folder(partial.parent)
            file = self.files.create(partial)
            try:
                # The lock goes with the file under its new name. No process id: those are used again, and two
                # containers that share a disk number their processes alike.
                self.files.hold(file)
                self.files.write(file, job.model_dump_json(indent=2).encode())
                self.files.sync(file)
                self.files.rename(partial, marker)
                self.files.sync_folder(marker.parent)
                self._forget(run.key)
            except BaseException:
                self.files.close(file)
                with suppress(OSError):
                    self.files.remove(marker)
                raise
        self._held[run.key] = marker, file

    def end(self, run: Run) -> None:
        """Take back what `begin` noted. Never raises: `recover` settles what a failing disk leaves."""
        if run.key not in self._held:
            return
        marker, file = self._held.pop(run.key)
        try:
            with self._writing(self.runs, "The run is over but is still noted on disk"):
                self.files.remove(marker)
                self.files.sync_folder(marker.parent)
        except StoreError as error:
            log.warning("%s", error)
        with suppress(OSError):
            self.files.close(file)

    def recover(self) -> Sequence[Run]:
        """Clean up, at start: sweep what is half-written, turn dead jobs into interrupted runs, heed a smaller quota.

        Jobs of a process that lives are left alone. Returns `interrupted()`; raises `StoreError`.
        """
        trying = "What the last server left behind could not be cleaned up"
        with self._telling(self.runs, trying):
            if self.files.stamp(self.runs) is None:
                return []
        with self._writing(self.runs, trying):
            for name in self._names(self.runs / JOBS):
                self._bury(self.runs / JOBS / name)
            for name in self._names(self.runs / INTERRUPTED):
                self._bury(self.runs / INTERRUPTED / name)
            with suppress(Full):  # whoever wants to store one more will hear of it
                self._forget_folders(self._make_room(0))
        return self.interrupted()

    # Behind reading

    def _first(self, slug: str, key: str, read: Callable[[Path, Origin], T | None]) -> T | None:
        """What `read` gives for the first place that has this run."""
        for root, origin in self._roots:
            if (found := self._offer(root / slug / key, origin, read)) is not None:
                return found
        return None

    def _listed(self, slug: str) -> Iterator[Listed]:
        for root, origin in self._roots:
            entries = (self._offer(root / slug / key, origin, self._entry) for key in self._keys(root / slug))
            yield from filter(None, entries)

    def _keys(self, folder: Path) -> Sequence[str]:
        """What lies there by the name of a run."""
        return [name for name in self._seen(folder) if RUN_ID.fullmatch(name)]

    def _known(self, slug: str) -> Iterator[Listed]:
        """As `_listed`, reading only what came since the last time: each look at a page asks for this."""
        for root, origin in self._roots:
            folder = root / slug
            stamp: Stamp | None = None
            with suppress(OSError):  # a disk that fails: what can be read is shown
                stamp = self.files.stamp(folder)  # before it is looked through: what comes meanwhile makes a newer one
            at, known = self._listings.get(folder, (None, {}))
            if stamp is None or at != stamp:
                keys = self._keys(folder)
                found = {key: known.get(key) or self._offer(folder / key, origin, self._entry) for key in keys}
                known = {key: each for key, each in found.items() if each is not None}
                # A second change within a moment may leave the same stamp, and what cannot be read now may be later.
                settled = stamp is not None and time.time_ns() - stamp[0] > SETTLED and len(known) == len(found) > 0
                self._listings[folder] = stamp if settled else None, known
            yield from known.values()

    def _by_distance(self, lesson: AnyLesson, knobs: Knobs) -> Sequence[Listed]:
        return sorted(
            self.of(lesson), key=lambda each: (len(each.knobs.changed_from(knobs)), -each.created.timestamp())
        )

    def _offer(self, folder: Path, origin: Origin, read: Callable[[Path, Origin], T | None]) -> T | None:
        """What `read` gives, or None where it is not there, not ours, or damaged; then it is put out of the way."""
        try:
            return read(folder, origin)
        except FileNotFoundError:
            return None  # set aside by another process since we looked
        except OSError as error:
            log.warning("%s cannot be read: %s", folder, error)  # says nothing about its bytes
            return None
        except Foreign as error:
            log.warning("%s is skipped: %s", folder, error)
            self._shun(folder)
            return None
        except ValueError as error:
            if origin == "gallery":
                log.warning("%s is damaged and skipped: %s", folder, error)
                self._shun(folder)
                return None
        try:
            with self._writing(self.runs, "A damaged run could not be set aside"):
                # Again, now that nobody writes: its files may just have been replaced under our hands.
                try:
                    return read(folder, origin)
                except ValueError as error:
                    self._set_aside(folder, str(error))
        except (StoreError, Foreign) as error:
            log.warning("%s", error)
            self._shun(folder)
        return None

    def _load(self, folder: Path, origin: Origin) -> Run | None:
        """The whole run in `folder`, checked now or earlier in this process; None where there is none."""
        stamp = self.files.stamp(folder / MANIFEST)  # before it is read: a newer one is then read again
        listed = self._entry(folder, origin)
        if listed is None:
            return None
        if origin == "runs":
            self._note_use(folder)
        with self._guard:
            if folder in self._loaded and self._loaded[folder][0] == stamp:
                self._loaded.move_to_end(folder)
                return self._loaded[folder][1]
        recording = self._read_recording(folder, listed.manifest)
        run = _stored_run(listed, recording)
        if stamp is not None:
            self._keep(folder, stamp, run)
        return run

    def _entry(self, folder: Path, origin: Origin) -> Listed | None:
        """The manifest in `folder`, read again only if its file has changed; None where nothing is to be shown."""
        stamp = self.files.stamp(folder / MANIFEST)
        known = self._index.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        if stamp is None and self.files.stamp(folder) is None:
            return None
        listed = self._read_entry(folder, origin)
        with self._guard:
            self._index[folder] = stamp, listed
        return listed

    def _read_entry(self, folder: Path, origin: Origin) -> Listed:
        """The manifest in `folder`, and whether it belongs there. `Damaged`, `Foreign` or `OSError`."""
        try:
            manifest = unseal(self.files.read(folder / MANIFEST, MOST_MANIFEST))
        except FileNotFoundError as error:
            raise Damaged(f"{MANIFEST} is missing") from error
        if (manifest.slug, manifest.key) != (folder.parent.name, folder.name):
            raise Damaged("it lies in the folder of another run")
        lesson, knobs = self._knobs(manifest.slug, manifest.knobs)
        if lesson.key(knobs, manifest.revision) != manifest.key:
            raise Foreign("its key is not the hash of its lesson, revision and knobs")
        _frames_of(manifest)
        return Listed(lesson, knobs, manifest, origin)

    def _read_recording(self, folder: Path, manifest: Manifest) -> Recording:
        """The frames in `folder`, byte for byte as `manifest` says. `Damaged` or `OSError`."""
        name, promised = _frames_of(manifest)
        try:
            data = self.files.read(folder / name, promised.size)
        except FileNotFoundError as error:
            raise Damaged(f"{name} is missing") from error
        self._check(name, data, promised)
        recording = unpack(data)
        if len(recording) != manifest.frames:
            raise Damaged(f"{name} holds {len(recording)} frames, not {manifest.frames}")
        return recording

    def _fault(self, folder: Path) -> str:
        """What is wrong with the run in `folder`, without a full stop; "" where nothing is."""
        try:
            listed = self._read_entry(folder, "gallery")
            self._read_recording(folder, listed.manifest)
        except (OSError, ValueError, Foreign) as error:
            return str(error)
        made, now = listed.manifest.revision, listed.lesson.revision
        return "" if made == now else f"made by revision {made} of its lesson, which has {now} now"

    def _check(self, name: str, data: bytes, promised: FileRecord) -> None:
        if record(data) != promised:
            raise Damaged(f"{name} is not as it was written")

    def _knobs(self, slug: str, values: Mapping[str, Any]) -> tuple[AnyLesson, Knobs]:
        if slug not in self.lessons:
            raise Foreign(f"there is no lesson {slug}")
        try:
            return self.lessons[slug], self.lessons[slug].parse(values)
        except KnobError as error:
            raise Foreign(f"its lesson has other knobs now: {str(error).removesuffix('.')}") from error

    def _keep(self, folder: Path, stamp: Stamp, run: Run) -> None:
        """Keep a loaded run in memory; let go those not read for longest."""
        size = sum(array.nbytes for array in run.recording.arrays().values())
        with self._guard:
            self._loaded[folder] = stamp, run, size
            self._loaded.move_to_end(folder)
            while len(self._loaded) > 1 and sum(each[2] for each in self._loaded.values()) > MOST_LOADED:
                self._loaded.popitem(last=False)

    def _shun(self, folder: Path) -> None:
        """Do not read this folder again until its manifest changes."""
        with suppress(OSError):
            stamp = self.files.stamp(folder / MANIFEST)
            with self._guard:
                self._index[folder] = stamp, None
                self._loaded.pop(folder, None)

    def _forget_folders(self, gone: Sequence[Path]) -> None:
        with self._guard:
            for folder in gone:
                self._index.pop(folder, None)
                self._loaded.pop(folder, None)

    def _seen(self, folder: Path) -> Sequence[str]:
        """What lies in a folder as far as it can be read: a reader is shown the rest."""
        try:
            return self._names(folder)
        except OSError as error:
            log.warning("%s cannot be read: %s", folder, error)
            return ()

    # Behind writing, with the lock held

    def _settle(self, folder: Path, origin: Origin) -> Run | None:
        """The whole run that lies in `folder`; whatever else lies there is set aside."""
        if self.files.stamp(folder) is None:
            return None
        try:
            listed = self._read_entry(folder, origin)
            return _stored_run(listed, self._read_recording(folder, listed.manifest))
        except (ValueError, Foreign) as error:
            self._set_aside(folder, str(error))
            return None

    # Jobs

    def _job(self, path: Path) -> Job:
        return Job.model_validate_json(self.files.read(path, MOST_MANIFEST))

    def _interrupted_run(self, job: Job) -> Run:
        lesson, knobs = self._knobs(job.slug, job.knobs)
        if lesson.key(knobs) != job.key:
            raise Foreign("its lesson has been revised since")
        return Run(
            lesson=lesson,
            knobs=knobs,
            key=job.key,
            state=State.INTERRUPTED,
            error=f"This run was cut off when its server stopped (asked for {job.created:%Y-%m-%d %H:%M} UTC); "
            "press Run to train it again.",
            origin="runs",
            created=job.created,
        )

    def _forget(self, key: str) -> None:
        """Drop what is said of an earlier, interrupted attempt: there is a new one."""
        earlier = [name for name in self._names(self.runs / INTERRUPTED) if name.startswith(key)]
        for name in earlier:
            self.files.remove(self.runs / INTERRUPTED / name)
        if earlier:
            self.files.sync_folder(self.runs / INTERRUPTED)

    def _bury(self, marker: Path) -> None:
        """Settle a marker: nothing if its process lives, gone if its run is stored, else kept as interrupted."""
        file = self.files.open(marker)
        try:
            if not self.files.hold(file):
                return
            stored = None
            with suppress(ValueError, Foreign):  # kept, though nobody can read it
                run = self._interrupted_run(self._job(marker))
                stored = self._settle(self.runs / run.lesson.slug / run.key, "runs")
            # Nobody waits for the disk here: what a power loss undoes, the next recovery does again.
            if stored is not None:
                self.files.remove(marker)
            elif marker.parent.name == JOBS:
                self._make(self.runs / INTERRUPTED)
                self.files.rename(marker, self.runs / INTERRUPTED / marker.name)
        finally:
            self.files.close(file)


def _frames_of(manifest: Manifest) -> tuple[str, FileRecord]:
    """The one file beside a manifest: its name and what it must be."""
    found = list(manifest.files.items())
    if len(found) != 1 or not FRAMES.fullmatch(found[0][0]) or not 0 <= found[0][1].size <= MOST_ARRAYS:
        raise Damaged("run.json names other files than frames.npz")
    return found[0]


def _stored_run(listed: Listed, recording: Recording) -> Run:
    manifest = listed.manifest
    return Run(
        lesson=listed.lesson,
        knobs=listed.knobs,
        key=manifest.key,
        device=manifest.device,
        recording=recording,
        state=State.DONE,
        origin=listed.origin,
        created=manifest.created,
        wall_seconds=manifest.wall_seconds,
        manifest=manifest,
    )
