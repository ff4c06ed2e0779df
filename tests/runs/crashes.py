"""What the store promises, tried: power loss, a failing disk, damaged files, kills; and seven stores that break it.

`test_crash.py` runs a little of each, `tests/reliability/store.py` all of it. Each function returns what went wrong,
one sentence for each, and how much was tried.
"""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.frames import Recording
from core.runs.files import Files
from core.runs.keeping import PARTIAL, Kept
from core.runs.run import FileRecord, Run
from core.runs.store import Store, StoreError
from tests.runs.fakes import LESSON, LESSONS, FailingFiles, QuickFiles, TinyKnobs, commit, die, same, trained
from tests.runs.power import Disk, Operation, RecordedFiles

Make = Callable[[Path, Files], Store]


@dataclass
class Findings:
    """What went wrong, and how much was tried."""

    wrong: list[str] = field(default_factory=list)
    tried: int = 0


@contextmanager
def folder(within: Path | None = None) -> Iterator[Path]:
    """An empty folder, removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix="gradient-lab-", dir=within))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def sound(top: Path, files: Files) -> Store:
    """The store that we ship."""
    return Store(top / "cache", [top / "gallery"], LESSONS, files)


def tight(store: Store, runs: float) -> Store:
    """The same with a quota of so many tiny runs."""
    store.most = runs * len_of_a_run()
    return store


@lru_cache
def len_of_a_run() -> int:
    with folder(_memory()) as top:
        store = sound(top, QuickFiles())
        return store.files.size(store.runs / LESSON.slug / commit(store, trained(0)).key)


# The same checks for every state of every disk


@dataclass
class Promises:
    """What a store has said up to some moment, and what it was asked and had not answered yet."""

    coming: dict[str, set[int]] = field(default_factory=dict)  # key → frames of runs that it may hold since
    begun: set[str] = field(default_factory=set)  # `begin` has returned
    done: dict[str, int] = field(default_factory=dict)  # `commit` has returned; key → frames
    over: set[str] = field(default_factory=set)  # `end` has returned
    hurt: bool = False  # somebody has damaged a run
    pins: dict[str, bool] = field(default_factory=dict)  # `pin` or `unpin` has returned; not there: either may be
    only_pinned_stay: bool = False  # room is made all the time, by several processes

    def hear(self, what: str, key: str, frames: int) -> None:
        if what == "coming":
            self.coming.setdefault(key, set()).add(frames)
            self.over.discard(key)
        elif what == "begun":
            self.begun.add(key)
        elif what == "done":
            self.done[key] = frames
            self.coming.pop(key, None)
        elif what == "ending":
            self.begun.discard(key)
        elif what == "over":
            self.over.add(key)
        elif what == "hurt":
            self.hurt = True
        elif what == "going":
            self.done.pop(key, None)
        elif what in ("pinning", "unpinning"):
            self.pins.pop(key, None)
        elif what in ("pinned", "unpinned"):
            self.pins[key] = what == "pinned"


SEEDS = {LESSON.key(TinyKnobs(seed=seed)): seed for seed in range(100)}


@lru_cache
def expected(key: str, frames: int) -> Recording:
    return trained(SEEDS[key], extra=frames - 6).recording


def broken_promises(store: Store, promises: Promises, roots: Sequence[Path]) -> list[str]:
    """What a freshly opened `store` does not keep of `promises`."""
    wrong = []
    interrupted = {run.key for run in store.recover()}
    listed = store.list()
    for each in listed:
        run = store.get(each.key)
        if run is None:
            wrong.append(f"{each.key} is listed and not whole")
        elif not same(run.recording, expected(run.key, len(run.recording))):
            wrong.append(f"{each.key} is not what was trained")
    for key, frames in promises.done.items():
        if promises.only_pinned_stay and not promises.pins.get(key):
            continue
        run = store.get(key)
        if run is None or run.manifest is None:
            wrong.append(f"{key} had said done and is lost")
        elif len(run.recording) not in {frames} | promises.coming.get(key, set()):
            wrong.append(f"{key} is back at an earlier version")
    stored = {each.key for each in listed}
    wrong += [f"{key}'s pin is lost" for key, on in promises.pins.items() if on and key not in store.pinned]
    wrong += [f"{key} is pinned again" for key, on in promises.pins.items() if not on and key in store.pinned]
    if not promises.only_pinned_stay:
        wrong += [f"{key} was cut off and nobody knows" for key in promises.begun - stored - interrupted]
    wrong += [f"{key} was over and is called interrupted" for key in promises.over & interrupted]
    for root in roots:
        wrong += store.verify(root)
        if (root.parent / "set-aside").exists():
            wrong.append("a crash alone has made a damaged run")
    if (store.runs / PARTIAL).exists():
        wrong.append("something is left in the temporary folder")
    try:
        commit(store, trained(99))
    except StoreError as error:
        wrong.append(f"the next commit failed: {error}")
    return wrong


# Power loss


Say = Callable[[str, str, int], None]
Story = Callable[[Callable[[], Store], Path, Say], None]


def lives(opens: Callable[[], Store], gallery: Path, said: Say) -> None:
    """Three lives of a server: runs, some fresh, one stopped, one for the gallery, some cut off and begun again."""

    def tell(store: Store, run: Run, work: str, **options: Any) -> None:
        frames = len(run.recording)
        said("coming", run.key, frames)
        if "b" in work:
            store.begin(run)
            said("begun", run.key, frames)
        if "c" in work:
            commit(store, run, **options)
            said("done", run.key, frames)
        if "e" in work:
            said("ending", run.key, frames)
            store.end(run)
            said("over", run.key, frames)

    first = opens()
    first.recover()
    tell(first, trained(0), "bce")
    tell(first, trained(1), "bce")
    tell(first, trained(0, extra=2), "bce", fresh=True)
    tell(first, trained(2), "be")
    tell(first, trained(3), "bc")
    tell(first, trained(0, extra=3), "bce", fresh=True)
    tell(first, trained(4), "bce", gallery=gallery)
    tell(first, trained(5), "b")
    tell(first, trained(0, extra=3), "bce")
    die(first)
    second = opens()
    second.recover()
    tell(second, trained(5), "be")
    tell(second, trained(6), "b")
    die(second)
    third = opens()
    third.recover()
    tell(third, trained(6), "bce")


def makes_room(opens: Callable[[], Store], gallery: Path, said: Say) -> None:
    """A server with a quota of three runs and two of them pinned, one after the other; one run grows."""
    store = tight(opens(), 3.5)

    def stores(run: Run, going: Sequence[int] = (), **options: Any) -> None:
        for seed in going:
            said("going", trained(seed).key, 0)
        said("coming", run.key, len(run.recording))
        commit(store, run, **options)
        said("done", run.key, len(run.recording))
        for seed in going:
            assert not store.has(LESSON, TinyKnobs(seed=seed))
        _age(store)

    def pins(seed: int, on: bool) -> None:
        key = trained(seed).key
        said("pinning" if on else "unpinning", key, 0)
        (store.pin if on else store.unpin)(key)
        said("pinned" if on else "unpinned", key, 0)

    stores(trained(0))
    stores(trained(1))
    pins(0, True)
    stores(trained(2))
    stores(trained(3), going=[1])
    stores(trained(4), gallery=gallery)
    pins(2, True)
    stores(trained(2, extra=2), fresh=True)
    stores(trained(5), going=[3])
    pins(0, False)
    stores(trained(6), going=[0])
    said("going", trained(5).key, 0)
    said("going", trained(6).key, 0)
    die(store)
    smaller = tight(opens(), 2)
    smaller.recover()
    pins(2, False)
    pins(2, True)


def _age(store: Store) -> None:
    """Make every run a minute older than it was: a test is quicker than a clock that counts minutes."""
    for each in (store.runs / LESSON.slug).iterdir():
        times = each.stat()
        os.utime(each, (times.st_atime - 60, times.st_mtime - 60))


def stubborn(opens: Callable[[], Store], gallery: Path, said: Say) -> None:
    """A server that tries each commit once more where it fails, and then takes what is stored."""
    store = opens()
    for run, fresh in ((trained(0), False), (trained(1), False), (trained(0, extra=2), True)):
        said("coming", run.key, len(run.recording))
        try:
            stored = commit(store, run, fresh=fresh)
        except StoreError:
            stored = commit(store, run)
        said("done", run.key, len(stored.recording))


def hurt(opens: Callable[[], Store], gallery: Path, said: Say) -> None:
    """A run is damaged on the disk, found so, set aside and trained again."""
    commit(opens(), trained(0))
    store = opens()
    frames = store.runs / LESSON.slug / trained(0).key / "frames.npz"
    store.files.remove(frames)
    store._save(frames, b"damaged")
    store.files.sync_folder(frames.parent)
    said("hurt", trained(0).key, 0)
    commit(store, trained(0))
    said("done", trained(0).key, 6)


def recorded(make: Make, files: RecordedFiles, top: Path, story: Story) -> list[Operation]:
    """What a story asks of the disk."""
    story(lambda: make(top, files), top / "gallery", files.said)
    return files.log


def keeps_promises(make: Make) -> Callable[[Path, Promises], list[str]]:
    def check(top: Path, promises: Promises) -> list[str]:
        store = make(top, QuickFiles())
        return broken_promises(store, promises, [store.runs, top / "gallery"])

    return check


def keeps_the_damaged(top: Path, promises: Promises) -> list[str]:
    """Once the damage is on the disk, it is never lost; once trained again, that is not lost either."""
    run = sound(top, QuickFiles()).find(LESSON, TinyKnobs())
    lost = (
        ["the damaged run is lost"] if b"damaged" not in {path.read_bytes() for path in top.rglob("frames.npz")} else []
    )
    return (lost if promises.hurt else []) + ["the new run is lost"] * bool(promises.done and run is None)


def lose_power(
    log: Sequence[Operation], top: Path, states: int, seed: int, check: Callable[[Path, Promises], list[str]]
) -> Findings:
    """After every operation of `log`, some of the states in which the disk may come back: `states` in all."""
    findings, chance = Findings(), random.Random(seed)
    disk, promises = Disk(top), Promises()
    for number, operation in enumerate(log):
        disk.play([operation])
        if operation[0] == "said":
            promises.hear(*operation[1:])
        for _ in range((number + 1) * states // len(log) - number * states // len(log)):
            with folder(_memory()) as place:
                disk.lay_out(place / "disk", chance)
                wrong = check(place / "disk", promises)
            findings.wrong += [f"after {number} {operation[0]}: {sentence}" for sentence in wrong]
            findings.tried += 1
    return findings


def _memory() -> Path | None:
    """A disk in memory, if there is one: a modelled disk need not wear out a real one."""
    return Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def power_loss(states: int, seed: int = 0, make: Make = sound, files: type[RecordedFiles] = RecordedFiles) -> Findings:
    """The promises under power loss."""
    with folder(_memory()) as top:
        log = recorded(make, files(), top, lives)
        return lose_power(log, top, states, seed, keeps_promises(make))


def power_loss_while_room_is_made(
    states: int, seed: int = 0, make: Make = sound, files: type[RecordedFiles] = RecordedFiles
) -> Findings:
    """The promises under power loss, where runs go for others and some are pinned."""
    with folder(_memory()) as top:
        log = recorded(make, files(), top, makes_room)
        return lose_power(log, top, states, seed, keeps_promises(make))


def power_loss_beside_damage(states: int, seed: int = 0) -> Findings:
    """A damaged run is never deleted, by power loss neither."""
    with folder(_memory()) as top:
        return lose_power(recorded(sound, RecordedFiles(), top, hurt), top, states, seed, keeps_the_damaged)


class FailingRecordedFiles(FailingFiles, RecordedFiles):
    """Fails once, and remembers what did happen."""


def power_loss_after_a_fault(states: int, seed: int = 0) -> Findings:
    """A disk that fails once, a server that goes on as it should, and then the power fails too."""
    findings, chance = Findings(), random.Random(seed)
    with folder(_memory()) as top:
        counting = FailingRecordedFiles()
        recorded(sound, counting, top, stubborn)
    moments = range(1, counting.done + 1)
    chosen = sorted(chance.sample(moments, min(len(moments), max(1, states // 40))))
    for moment in chosen:
        with folder(_memory()) as top:
            files = FailingRecordedFiles()
            files.fails = moment
            log = recorded(sound, files, top, stubborn)
            found = lose_power(log, top, states // len(chosen), seed + moment, keeps_promises(sound))
        findings.wrong += [f"operation {moment} failed, then {sentence}" for sentence in found.wrong]
        findings.tried += found.tried
    return findings


# A failing disk


CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE)


def failing_disk(code: int, stays: bool, step: int = 1) -> Findings:
    """Operation k = 1, 1 + step, … of a server's life fails; with `stays`, all after it too, until it is repaired."""
    findings, k = Findings(), 1
    while _one_fault(code, k, stays, findings):
        findings.tried += 1
        k += step
    return findings


def _one_fault(code: int, k: int, stays: bool, findings: Findings) -> bool:
    """Whether the life lasted until operation `k`."""

    def blame(sentence: str) -> None:
        findings.wrong.append(f"{errno.errorcode[code]} at operation {k}{' and on' * stays}: {sentence}")

    with folder(_memory()) as top:
        commit(sound(top, QuickFiles()), trained(0))
        commit(sound(top, QuickFiles()), trained(1), gallery=top / "gallery")
        files = FailingFiles()
        files.fails, files.code, files.stays = k, code, stays
        store, done = sound(top, files), {trained(0).key: 6}

        def commits(run: Run, **options: Any) -> None:
            commit(store, run, **options)
            done[run.key] = len(run.recording)

        def pins(run: Run) -> None:
            store.pin(run.key)
            pinned.append(run.key)

        def makes_way(run: Run) -> None:
            for key in {run.key, trained(0).key} - set(pinned):
                done.pop(key, None)

        pinned: list[str] = []
        steps: list[Callable[[], object]] = [
            store.recover,
            lambda: store.begin(trained(2)),
            lambda: commits(trained(2)),
            lambda: store.end(trained(2)),
            lambda: store.find(LESSON, TinyKnobs(seed=0)),
            lambda: store.find(LESSON, TinyKnobs(seed=1)),
            lambda: commits(trained(0, extra=2), fresh=True),
            lambda: commits(trained(3), gallery=top / "gallery"),
            store.list,
            store.interrupted,
            lambda: store.get(trained(2).key),
            lambda: store.nearest(LESSON, TinyKnobs(seed=50)),
            lambda: pins(trained(0)),
            lambda: tight(store, 2.5),
            lambda: makes_way(trained(2)),
            lambda: commits(trained(4)),
            lambda: store.unpin(trained(0).key),
        ]
        for step in steps:
            try:
                step()
            except StoreError as error:
                sentence = str(error)
                if sentence.count("\n") or not sentence.endswith(".") or ": " not in sentence:
                    blame(f"no plain sentence: {sentence}")
            except Exception as error:
                blame(f"{type(error).__name__} reached the caller: {error}")
        reached = files.done >= k
        files.fails = 0
        promises = Promises(done=done, coming={trained(0).key: {8}})
        after = sound(top, QuickFiles())
        for sentence in broken_promises(after, promises, [store.runs, top / "gallery"]):
            blame(sentence)
        for run in (trained(2), trained(7)):
            try:
                store.begin(run)
                commit(store, run)
                store.end(run)
            except Exception as error:
                blame(f"the service did not go on: {type(error).__name__}: {error}")
            if store.find(LESSON, run.knobs) is None:
                blame("the next run is not found")
        die(store)
        return reached


# Damage


def damage(most: int | None, seed: int = 0, make: Make = sound) -> Findings:
    """Flip every byte of a small run, and cut each file at every byte; `most` of them, spread evenly, or all."""
    findings, chance = Findings(), random.Random(seed)
    with folder(_memory()) as top:
        pristine = make(top, QuickFiles())
        run = commit(pristine, trained(0))
        place = pristine.runs / LESSON.slug / run.key
        whole = {path: path.read_bytes() for path in place.iterdir()}
        cases = [(path, how, at) for path, data in whole.items() for how in ("flip", "cut") for at in range(len(data))]
        cases += [(path, "remove", 0) for path in whole]
        for path, how, at in cases if most is None else cases[:: max(1, len(cases) // most)] + cases[-2:]:
            bad = bytearray(whole[path])
            if how == "flip":
                bad[at] ^= chance.randrange(1, 256)
            else:
                del bad[at:]
            path.write_bytes(bad)
            if how == "remove":
                path.unlink()
            findings.tried += 1
            store = make(top, QuickFiles())
            aside = top / "cache" / "set-aside" / LESSON.slug / run.key
            if store.find(LESSON, run.knobs) is not None or store.list():
                findings.wrong.append(f"{path.name}, {how} at {at}: not noticed")
            elif how != "remove" and (aside / path.name).read_bytes() != bad:
                findings.wrong.append(f"{path.name}, {how} at {at}: not kept")
            shutil.rmtree(top / "cache" / "set-aside", ignore_errors=True)
            place.mkdir(exist_ok=True)
            for each, data in whole.items():
                each.write_bytes(data)
    return findings


# Seven stores that do one thing wrong


class WritesInPlace(Store):
    def _place(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self._make(folder)
        for name, data in files.items():
            if self.files.stamp(folder / name):
                self.files.remove(folder / name)
            self._save(folder / name, data)
        self.files.sync_folder(folder)


class ManifestFirst(Store):
    def _place(self, folder: Path, files: Mapping[str, bytes]) -> None:
        (frames, data), (manifest, said) = files.items()
        super()._place(folder, {manifest: said})
        self._save(folder / frames, data)
        self.files.sync_folder(folder)


class NoFileSync(RecordedFiles):
    def sync(self, file: int) -> None:
        pass


class NoFolderSync(RecordedFiles):
    def sync_folder(self, path: Path) -> None:
        pass


class NoHashCheck(Store):
    def _check(self, name: str, data: bytes, promised: FileRecord) -> None:
        pass


class LetsGoInPlace(Store):
    def _let_go(self, going: Sequence[Kept]) -> None:
        for each in going:
            self.files.remove(each.folder)


class LetsGoTooSoon(Store):
    def _sweep(self, root: Path) -> None:
        if self.files.stamp(root / PARTIAL) is not None:
            self.files.remove(root / PARTIAL)  # the way there may be forgotten still


def broken_stores(states: int, flips: int) -> dict[str, Findings]:
    """Each broken store under the checks that the sound one passes: those that find nothing do not bite."""

    def of(kind: type[Store]) -> Make:
        return lambda top, files: kind(top / "cache", [top / "gallery"], LESSONS, files)

    return {
        "writes in place": power_loss(states, make=of(WritesInPlace)),
        "manifest first": power_loss(states, make=of(ManifestFirst)),
        "no file fsync": power_loss(states, files=NoFileSync),
        "no folder fsync": power_loss(states, files=NoFolderSync),
        "no hash check": damage(flips, make=of(NoHashCheck)),
        "lets go in place": power_loss_while_room_is_made(states // 2, make=of(LetsGoInPlace)),
        "lets go too soon": power_loss_while_room_is_made(states // 2, make=of(LetsGoTooSoon)),
    }


# kill -9


class Committers:
    """Processes that commit in a loop, to be killed. One parent with everything imported forks them at once."""

    def __init__(self, cache: Path) -> None:
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.runs.committer", str(cache)],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            bufsize=1,
        )
        self.promises = Promises()

    def start(self, lane: int) -> int:
        """A new committer; its process id."""
        return int(self._ask(f"start {lane}", "pid"))

    def kill(self, pid: int) -> None:
        """`kill -9`, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        self._ask(f"reap {pid}", "reaped")

    def close(self) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.close()
        self.parent.stdout.close()
        self.parent.wait()

    def _ask(self, question: str, answer: str) -> str:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(question + "\n")
        for line in self.parent.stdout:
            word, *rest = line.split()
            if word == answer:
                return rest[0]
            self.promises.hear(word, rest[0], int(rest[1]))
        raise RuntimeError("the committers' parent has died")


def kills(count: int, seed: int = 0, makes_room: bool = False) -> tuple[Findings, float]:
    """Two committers at a time, killed one after the other; and the longest that a restart took to tell, in seconds.

    With `makes_room` they have a quota that fits a quarter of what they commit.
    """
    findings, slowest, chance = Findings(), 0.0, random.Random(seed)
    with folder() as top:
        committers = Committers(top)
        committers.promises.only_pinned_stay = makes_room
        for round_ in range((count + 1) // 2):
            pids = [committers.start(lane) for lane in ((2, 3) if makes_room else (0, 1))]
            for left, pid in enumerate(pids):
                time.sleep(chance.uniform(0, 0.05))
                committers.kill(pid)
                findings.tried += 1
                store = sound(top, Files())
                start = time.perf_counter()
                try:
                    store.recover()
                except StoreError as error:
                    findings.wrong.append(f"round {round_}: {error}")
                slowest = max(slowest, time.perf_counter() - start)
                if left == 0:
                    # The other still works: its job must be left alone and its half-written run be let be.
                    # It may make room of a run between our two looks; then that is listed no more.
                    missed = [each.key for each in store.list() if store.get(each.key) is None]
                    for each in store.list():
                        if each.key in missed and store.get(each.key) is None:
                            findings.wrong.append(f"round {round_}: {each.key} is listed and not whole")
            wrong = broken_promises(sound(top, Files()), committers.promises, [top / "cache" / "runs"])
            findings.wrong += [f"round {round_}: {sentence}" for sentence in wrong]
        committers.close()
    return findings, slowest
