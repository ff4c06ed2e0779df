"""The store: what it gives back, what it lists, what it says when it cannot."""

import errno
import io
import json
import os
import shutil
import threading
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core import places
from core.frames import Frame
from core.runs import packing
from core.runs.packing import Damaged, Foreign
from core.runs.run import State
from core.runs.store import Store, StoreError
from tests.altered import altered
from tests.runs.fakes import LESSON, LESSONS, FailingFiles, QuickFiles, TinyKnobs, commit, die, same, store_at, trained


def folder_of(store: Store, run) -> Path:
    return store.runs / run.lesson.slug / run.key


def rewrite(folder: Path, **changes) -> None:
    """Write other things into a manifest, under a valid seal: what another version would have written."""
    manifest = packing.unseal((folder / "run.json").read_bytes())
    (folder / "run.json").write_bytes(packing.seal(manifest.model_copy(update=changes)))


# Back as it was


def test_a_committed_run_comes_back_bit_for_bit(tmp_path):
    run = trained(seed=3)
    commit(store_at(tmp_path), run)
    found = store_at(tmp_path).find(LESSON, TinyKnobs(seed=3))
    assert found is not run
    assert same(found.recording, run.recording)
    assert found.state is State.DONE
    assert (found.key, found.knobs, found.device, found.origin) == (run.key, run.knobs, "a fake", "runs")
    assert (found.wall_seconds, found.created) == (1.25, run.created)
    assert found.facts == run.facts
    assert found.claims == run.claims


def test_a_commit_says_on_the_run_that_it_lies_on_disk(tmp_path):
    run = trained()
    assert run.manifest is None
    assert commit(store_at(tmp_path), run) is run
    assert run.manifest is not None
    assert run.origin == "runs"


def test_facts_that_are_no_numbers_become_null_and_numpy_truth_becomes_plain(tmp_path):
    store, run = store_at(tmp_path), trained()
    commit(store, run)
    said = json.loads((folder_of(store, run) / "run.json").read_text())
    assert said["facts"] == {"final_loss": run.recording.last("loss")[0], "gap": None, "never": None}
    assert said["claims"][0]["holds"] is True


def test_equal_runs_are_equal_bytes(tmp_path):
    stores = [store_at(tmp_path / name) for name in "ab"]
    for store in stores:
        commit(store, trained(seed=5))
    one, other = ((folder_of(store, trained(seed=5)) / "frames.npz").read_bytes() for store in stores)
    assert one == other


def test_numpy_reads_the_frames_without_us(tmp_path):
    store, run = store_at(tmp_path), trained()
    commit(store, run)
    with np.load(folder_of(store, run) / "frames.npz", allow_pickle=False) as arrays:
        assert {name: arrays[name].tolist() for name in arrays} == {
            name: array.tolist() for name, array in run.recording.arrays().items()
        }


def test_other_knobs_find_nothing(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained(seed=1))
    assert store.find(LESSON, TinyKnobs(seed=2)) is None
    assert store.has(LESSON, TinyKnobs(seed=1))
    assert not store.has(LESSON, TinyKnobs(seed=2))


def test_a_run_is_read_once_and_then_kept(tmp_path):
    commit(store_at(tmp_path), trained())
    store = store_at(tmp_path)
    assert store.find(LESSON, TinyKnobs()) is store.find(LESSON, TinyKnobs())


def test_runs_long_not_read_leave_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("core.runs.store.MOST_LOADED", 2000)  # bytes: four tiny runs
    store = store_at(tmp_path)
    for seed in range(20):
        commit(store, trained(seed))
        store.find(LESSON, TinyKnobs(seed=seed))
    assert 1 <= len(store._loaded) < 10
    assert store.find(LESSON, TinyKnobs(seed=0)) is not None


# Names


def test_a_run_is_found_by_its_name(tmp_path):
    store, run = store_at(tmp_path), trained()
    commit(store, run)
    assert same(store.get(run.key).recording, run.recording)
    assert store.get("0" * 32) is None


@pytest.mark.parametrize(
    "name", ["", "..", "../../etc", "0" * 15, "0" * 65, "A" * 32, "0" * 32 + "\n", "0" * 31 + "/", "\0" * 32, "é" * 20]
)
def test_what_is_no_name_touches_no_file(tmp_path, name):
    files = FailingFiles()
    files.fails = 1
    assert store_at(tmp_path, files).get(name) is None
    assert files.done == 0


# Lists


def test_the_list_is_newest_first_with_the_place_of_each(tmp_path):
    store = store_at(tmp_path)
    now = datetime.now(UTC)
    for age, seed in ((3, 1), (1, 2), (2, 3)):
        run = trained(seed)
        run.created = now - timedelta(hours=age)
        commit(store, run, gallery=tmp_path / "gallery" if seed == 3 else None)
    listed = store.list()
    assert [(each.knobs.seed, each.origin) for each in listed] == [(2, "runs"), (3, "gallery"), (1, "runs")]
    assert listed[0].facts["final_loss"] == trained(2).facts["final_loss"]


def test_the_list_sees_what_another_process_stored_replaced_and_removed(tmp_path):
    store, other = store_at(tmp_path), store_at(tmp_path)
    assert list(store.list()) == []
    run = trained()
    commit(other, run)
    assert [each.manifest.frames for each in store.list()] == [6]
    commit(other, trained(extra=2), fresh=True)
    assert [each.manifest.frames for each in store.list()] == [8]
    other.files.remove(folder_of(other, run))
    assert list(store.list()) == []
    assert store.find(LESSON, TinyKnobs()) is None


def test_a_list_reads_each_manifest_once(tmp_path):
    for seed in range(5):
        commit(store_at(tmp_path), trained(seed))
    reads = []

    class Counting(QuickFiles):
        def read(self, path, most):
            reads.append(path)
            return super().read(path, most)

    store = store_at(tmp_path, Counting())
    store.list()
    store.list()
    assert len(reads) == 5


def test_the_nearest_run_is_looked_for_among_those_that_are_there_now(tmp_path):
    store = store_at(tmp_path)
    folder = store.runs / LESSON.slug
    commit(store, trained(1))
    for seed in (2, 3):
        long_ago = time.time_ns() - 10**12 + seed
        os.utime(folder, ns=(long_ago, long_ago))  # nothing has come or gone for a while: what is there is known
        assert store.nearest(LESSON, TinyKnobs(seed=seed)).knobs.seed < seed
        commit(store, trained(seed))
        assert store.nearest(LESSON, TinyKnobs(seed=seed)).knobs.seed == seed
    os.utime(folder, ns=(long_ago + 1, long_ago + 1))
    assert store.nearest(LESSON, TinyKnobs(seed=3)).knobs.seed == 3
    shutil.rmtree(folder_of(store, trained(3)))
    assert store.nearest(LESSON, TinyKnobs(seed=3)).knobs.seed < 3


def test_the_nearest_run_differs_in_the_fewest_knobs(tmp_path):
    store = store_at(tmp_path)
    assert store.nearest(LESSON, TinyKnobs()) is None
    assert store.nearest_listed(LESSON, TinyKnobs()) is None
    for seed, rate in ((1, 0.1), (2, 0.2)):
        commit(store, trained(seed, rate=rate))
    assert store.nearest(LESSON, TinyKnobs(seed=7, rate=0.1)).knobs.seed == 1
    assert store.nearest_listed(LESSON, TinyKnobs(seed=2, rate=0.7)).knobs.seed == 2
    (folder_of(store, trained(2, rate=0.2)) / "frames.npz").write_bytes(b"")
    assert store.nearest(LESSON, TinyKnobs(seed=2, rate=0.7)).knobs.seed == 1  # the nearest that is whole


def test_a_run_of_an_earlier_revision_can_be_read_but_is_not_offered(tmp_path):
    commit(store_at(tmp_path), trained())
    revised = altered(LESSON, revision=2)
    store = Store(tmp_path / "cache", [], {"tiny": revised})
    assert store.find(revised, TinyKnobs()) is None
    assert store.nearest(revised, TinyKnobs()) is None
    assert [each.manifest.revision for each in store.list()] == [1]
    assert store.get(trained().key) is not None
    assert "made by revision 1" in store.verify(store.runs)[0]


# Said anew


def later(**changes) -> dict:
    """The lesson as somebody changed it since."""
    return {"tiny": altered(LESSON, **changes)}


def test_a_run_is_restated_from_the_frames_that_it_has(tmp_path):
    run = commit(store_at(tmp_path), trained())
    folder = folder_of(store_at(tmp_path), run)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stricter = later(check_claims=lambda result: [replace(*LESSON.check_claims(result), expected="< 0.1")])
    store = Store(tmp_path / "cache", [], stricter, QuickFiles())
    assert store.restate(folder) == run.key
    found = store.get(run.key)
    assert [claim.expected for claim in found.claims] == ["< 0.1"]
    assert (folder / "frames.npz").read_bytes() == before["frames.npz"]
    assert found.manifest.model_copy(update={"claims": run.manifest.claims}) == run.manifest
    assert store.restate(folder) is None, "it says that already"
    assert not store.verify(store.runs)


@pytest.mark.parametrize(("factor", "changed"), [(1 + 1e-12, False), (1 - 1e-12, False), (1 + 1e-6, True)])
def test_last_digits_as_another_processor_computes_them_restate_nothing(tmp_path, factor, changed):
    run = commit(store_at(tmp_path), trained())
    folder = folder_of(store_at(tmp_path), run)
    before = (folder / "run.json").read_bytes()

    def elsewhere(result):
        return [replace(fact, value=fact.value and fact.value * factor) for fact in LESSON.compute_facts(result)]

    store = Store(tmp_path / "cache", [], later(compute_facts=elsewhere), QuickFiles())
    assert store.restate(folder) == (run.key if changed else None)
    assert ((folder / "run.json").read_bytes() != before) == changed


def test_a_run_from_before_a_knob_was_added_gets_its_default_and_its_key(tmp_path):
    store, run = store_at(tmp_path), trained(seed=4)
    folder = folder_of(store, commit(store, run))
    earlier = folder.with_name("0" * 32)
    folder.rename(earlier)
    rewrite(earlier, knobs={"seed": 4}, key=earlier.name)
    assert store.find(LESSON, TinyKnobs(seed=4)) is None
    assert store.restate(earlier) == run.key
    assert not earlier.exists()
    found = store.find(LESSON, TinyKnobs(seed=4))
    assert same(found.recording, run.recording)
    assert found.manifest == run.manifest


def test_what_cannot_be_restated_stays_as_it_is(tmp_path):
    store, run, other = store_at(tmp_path), trained(), trained(seed=1)
    folder, beside = (folder_of(store, commit(store, each)) for each in (run, other))
    before = (folder / "run.json").read_bytes()
    for refused, why in (
        (later(revision=2), "made by revision 1 of its lesson, which has 2 now"),
        ({}, "there is no lesson tiny"),
    ):
        with pytest.raises(Foreign, match=why):
            Store(tmp_path / "cache", [], refused, QuickFiles()).restate(folder)
    assert (folder / "run.json").read_bytes() == before
    rewrite(beside, knobs=run.knobs.model_dump(mode="json"))
    with pytest.raises(Foreign, match=f"run {run.key}, which lies here too"):
        store.restate(beside)
    rewrite(beside, key=run.key)
    with pytest.raises(Damaged, match="in the folder of another run"):
        store.restate(beside)
    (folder / "frames.npz").write_bytes(b"")
    with pytest.raises(Damaged):
        store.restate(folder)
    assert (folder / "run.json").read_bytes() == before


# Own runs and galleries


def test_a_gallery_is_read_after_the_own_runs(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained(extra=1), gallery=tmp_path / "gallery")
    assert store.find(LESSON, TinyKnobs()).origin == "gallery"
    commit(store, trained())
    assert store.find(LESSON, TinyKnobs()).origin == "runs"
    assert [each.origin for each in store.list()].count("gallery") == 1
    assert sorted(name for name in os.listdir(tmp_path / "gallery")) == [".lock", "tiny"]


def test_a_stored_run_put_into_the_gallery_stays_where_it_lies_too(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained())
    own = store.find(LESSON, TinyKnobs())
    shipped = commit(store, own, gallery=tmp_path / "gallery")
    assert (own.origin, shipped.origin) == ("runs", "gallery")
    assert same(own.recording, shipped.recording)


def test_the_written_part_can_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(tmp_path / "elsewhere"))
    store = Store.default(LESSONS)
    commit(store, trained())
    assert (tmp_path / "elsewhere" / "runs" / "tiny" / trained().key / "run.json").exists()
    assert [root for root, origin in store._roots if origin == "gallery"] == [
        tmp_path / "elsewhere" / "gallery",
        places.GALLERY,
    ]
    monkeypatch.delenv("GRADIENT_LAB_CACHE")
    assert [root for root, _ in Store.default(LESSONS)._roots] == [places.ROOT / "cache" / "runs", places.GALLERY]


# One key, twice


def test_the_first_of_two_equal_runs_stays(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained())
    late = trained(extra=2)
    assert len(commit(store, late).recording) == 6
    assert late.manifest is None
    assert len(store.find(LESSON, TinyKnobs()).recording) == 6


def test_a_fresh_run_replaces_the_stored_one(tmp_path):
    store = store_at(tmp_path)
    for extra in (0, 2, 3, 3):
        commit(store, trained(extra=extra), fresh=True)
        assert len(store.find(LESSON, TinyKnobs()).recording) == 6 + extra
        assert len(os.listdir(folder_of(store, trained()))) == 2
    assert store.verify(store.runs) == []


def test_a_commit_over_a_damaged_run_sets_that_one_aside(tmp_path):
    store, run = store_at(tmp_path), trained()
    for n in range(3):
        folder_of(store, run).mkdir(parents=True, exist_ok=True)
        (folder_of(store, run) / "frames.npz").write_bytes(b"half")
        commit(store, trained())
        assert store.find(LESSON, TinyKnobs()) is not None
        assert len(os.listdir(tmp_path / "cache" / "set-aside" / "tiny")) == n + 1


def test_many_threads_commit_and_read_at_once(tmp_path):
    store, faults = store_at(tmp_path), []

    def work(me):
        try:
            for k in range(6):
                commit(store, trained(seed=(me + k) % 5, extra=k), fresh=k % 2 == 0)
                for run in (store.find(LESSON, TinyKnobs(seed=seed)) for seed in range(5)):
                    assert run is None or 6 <= len(run.recording) <= 11
                store.list()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(store.list()) == 5
    assert store.verify(store.runs) == []
    assert not (tmp_path / "cache" / "set-aside").exists()


# Damaged, foreign, hostile


def test_a_damaged_run_is_set_aside_and_kept(tmp_path, caplog):
    commit(store_at(tmp_path), trained())
    store = store_at(tmp_path)
    frames = folder_of(store, trained()) / "frames.npz"
    bad = bytearray(frames.read_bytes())
    bad[40] ^= 1
    frames.write_bytes(bad)
    assert store.find(LESSON, TinyKnobs()) is None
    assert list(store.list()) == []
    assert (tmp_path / "cache" / "set-aside" / "tiny" / trained().key / "frames.npz").read_bytes() == bad
    assert "not as it was written" in caplog.text


def test_a_damaged_gallery_run_is_skipped_reported_once_and_left(tmp_path, caplog):
    commit(store_at(tmp_path), trained(), gallery=tmp_path / "gallery")
    folder = tmp_path / "gallery" / "tiny" / trained().key
    (folder / "frames.npz").write_bytes(b"")
    store = store_at(tmp_path)
    for _ in range(3):
        assert store.find(LESSON, TinyKnobs()) is None
        assert list(store.list()) == []
    assert caplog.text.count("damaged and skipped") == 1
    assert sorted(os.listdir(folder)) == ["frames.npz", "run.json"]
    assert len(store.verify(tmp_path / "gallery")) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "format 2"),
        ({"knobs": {"seed": 0, "rate": 0.1, "depth": 3}}, "other knobs"),
        ({"knobs": {"seed": 1, "rate": 0.1}}, "not the hash"),
        ({"wall_seconds": "long"}, "another version"),
    ],
)
def test_what_another_version_wrote_is_left_alone(tmp_path, changes, why, caplog, recwarn):
    commit(store_at(tmp_path), trained())
    store = store_at(tmp_path)
    rewrite(folder_of(store, trained()), **changes)
    recwarn.clear()
    assert store.find(LESSON, TinyKnobs()) is None
    assert list(store.list()) == []
    assert folder_of(store, trained()).exists()
    assert why in caplog.text
    assert why in store.verify(store.runs)[0]
    commit(store, trained())  # the place is taken: what lies there makes room and is kept
    assert len(store.list()) == 1
    assert (tmp_path / "cache" / "set-aside" / "tiny" / trained().key / "run.json").exists()


def test_runs_of_unknown_lessons_are_not_listed(tmp_path):
    commit(store_at(tmp_path), trained())
    store = Store(tmp_path / "cache", [], {})
    assert list(store.list()) == []
    assert store.get(trained().key) is None
    assert "no lesson tiny" in store.verify(store.runs)[0]


def test_a_copy_under_another_name_is_noticed(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained())
    folder_of(store, trained()).rename(store.runs / "tiny" / ("0" * 32))
    assert store.get("0" * 32) is None
    assert (tmp_path / "cache" / "set-aside" / "tiny" / ("0" * 32)).exists()


@pytest.mark.parametrize(
    "files",
    [{}, {"../run.json": None}, {"frames.npz": None, "frames-0123456789abcdef.npz": None}, {"frames.npy": None}],
)
def test_a_manifest_names_no_other_file_than_its_frames(tmp_path, files):
    store = store_at(tmp_path)
    commit(store, trained())
    one = packing.unseal((folder_of(store, trained()) / "run.json").read_bytes()).files["frames.npz"]
    rewrite(folder_of(store, trained()), files=dict.fromkeys(files, one))
    assert store.find(LESSON, TinyKnobs()) is None


def archive(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as found:
        for name, data in members.items():
            found.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_arrays_are_refused_that_are_pickled_forged_doubled_or_bombs():
    one, zero = npy(np.ones(1)), npy(np.array(0.0))
    assert len(packing.unpack(archive(steps=one, progress=zero))) == 1
    huge = one.replace(b"(1,), }" + b" " * 10, b"(9999999999,), }" + b" ")
    assert len(huge) == len(one)
    pickled = npy(np.array([{}]), allow_pickle=True)
    buffer = io.BytesIO(archive(steps=one, progress=zero))
    with zipfile.ZipFile(buffer, "a") as doubled, pytest.warns(UserWarning, match="Duplicate"):
        doubled.writestr("steps.npy", one)
    for bad in (
        archive(steps=huge, progress=zero),
        archive(steps=pickled, progress=zero),
        buffer.getvalue(),
        b"",
        b"PK",
    ):
        with pytest.raises(Damaged):
            packing.unpack(bad)
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):  # unpacked whole, however little is asked for
        with pytest.raises(Damaged, match="packed in another way"):
            packing.unpack(archive(method, steps=one, progress=zero))
    declared = bytearray(archive(steps=npy(np.zeros(10**6)), progress=zero))
    for size in (100, 2**24):
        declared[(place := declared.find(b"PK\1\2") + 24) : place + 4] = size.to_bytes(4, "little")
        with pytest.raises(Damaged):
            packing.unpack(bytes(declared))
    bomb = archive(steps=npy(np.zeros(200_000)), progress=zero)
    assert len(bomb) < 10_000
    with pytest.raises(Damaged, match="unpack to"):
        packing.unpack(bomb, most=10**6)


def test_a_sealed_manifest_of_deep_or_wrong_json_is_foreign():
    import hashlib

    for body in (b'{"a": ' + b"[" * 10_000, b'{\n  "format": 1', b"{"):
        data = body + f',\n  "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()
        with pytest.raises(Foreign):
            packing.unseal(data)


def test_too_long_a_manifest_is_not_read(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained())
    (folder_of(store, trained()) / "run.json").write_bytes(b" " * (2**20 + 1))
    assert store.find(LESSON, TinyKnobs()) is None


def test_too_large_a_run_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("core.runs.store.MOST_ARRAYS", 2**20)
    run = trained()
    run.recording.append(Frame(step=7, pictures={"big": np.zeros(2**18)}))
    with pytest.raises(StoreError, match="its frames take 2 MB, more than the 1 MB a stored run may take"):
        commit(store_at(tmp_path), run)
    assert run.manifest is None
    assert not (tmp_path / "cache").exists()


def test_verify_has_nothing_to_say_of_whole_runs(tmp_path):
    store = store_at(tmp_path)
    for seed in range(3):
        commit(store, trained(seed), gallery=tmp_path / "gallery")
    assert store.verify(tmp_path / "gallery") == []
    assert store.verify(tmp_path / "nowhere") == []


# The disk says no


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left in"),
        (errno.EROFS, "is read-only; set GRADIENT_LAB_CACHE"),
        (errno.EACCES, "no permission to write in"),
        (errno.EMFILE, "too many files open"),
        (errno.EIO, "failed (Input/output error); check the disk"),
    ],
)
def test_a_disk_that_says_no_becomes_one_sentence(tmp_path, code, words):
    files = FailingFiles()
    files.fails, files.code, files.stays = 3, code, True
    run = trained()
    with pytest.raises(StoreError) as caught:
        commit(store_at(tmp_path, files), run)
    sentence = str(caught.value)
    assert sentence.startswith("The run is finished but could not be saved: ")
    assert words in sentence
    assert sentence.endswith("press Run again.")
    assert isinstance(caught.value.__cause__, OSError)
    assert run.manifest is None
    assert len(run.recording) == 6


class ReadOnlyFiles(QuickFiles):
    """A disk that is only read; counts how often."""

    def __init__(self):
        self.reads = 0

    def _refuse(self, *args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    create = open = rename = remove = _refuse

    def read(self, path, most):
        self.reads += 1
        return super().read(path, most)


def test_a_read_only_cache_is_still_read(tmp_path):
    for seed in range(2):
        commit(store_at(tmp_path), trained(seed))
    store = store_at(tmp_path, ReadOnlyFiles())
    (folder_of(store, trained(1)) / "frames.npz").write_bytes(b"")
    assert store.find(LESSON, TinyKnobs(seed=0)) is not None
    with pytest.raises(StoreError, match="is read-only"):
        commit(store, trained(2))
    with pytest.raises(StoreError, match="is read-only"):
        store.recover()
    assert store.find(LESSON, TinyKnobs(seed=1)) is None  # damaged, and it cannot be set aside
    reads = store.files.reads
    assert store.find(LESSON, TinyKnobs(seed=1)) is None
    assert [each.knobs.seed for each in store.list()] == [0]
    assert store.files.reads == reads


def test_reading_writes_nothing(tmp_path):
    store = store_at(tmp_path)
    store.find(LESSON, TinyKnobs())
    store.list()
    store.interrupted()
    store.recover()
    assert os.listdir(tmp_path) == []


def test_a_reading_error_is_no_damage(tmp_path):
    commit(store_at(tmp_path), trained())

    class Tired(QuickFiles):
        def read(self, path, most):
            raise OSError(errno.EMFILE, "Too many open files")

    store = store_at(tmp_path, Tired())
    assert store.find(LESSON, TinyKnobs()) is None
    assert list(store.list()) == []
    store.files = QuickFiles()
    assert store.find(LESSON, TinyKnobs()) is not None


def test_a_second_writer_waits_and_then_says_so(tmp_path):
    store = store_at(tmp_path)
    commit(store, trained())
    with (
        store.files.lock(store.runs / ".lock", 0),
        pytest.raises(StoreError, match=r"another Gradient Lab process is writing in .*; wait until"),
    ):
        commit(store_at(tmp_path, patience=0.05), trained(1))
    commit(store_at(tmp_path, patience=0.05), trained(1))
    waiting = threading.Thread(target=commit, args=(store_at(tmp_path), trained(2)))
    with store.files.lock(store.runs / ".lock", 0):
        waiting.start()
        waiting.join(0.1)
        assert store.find(LESSON, TinyKnobs(seed=2)) is None  # and reading needs no lock
    waiting.join()
    assert store.find(LESSON, TinyKnobs(seed=2)) is not None


# Jobs


def test_a_job_cut_off_is_kept_as_interrupted_until_it_is_finished(tmp_path):
    store, run = store_at(tmp_path), trained()
    store.begin(run)
    die(store)
    (cut,) = store_at(tmp_path).recover()
    assert (cut.key, cut.knobs, cut.state, cut.created) == (run.key, run.knobs, State.INTERRUPTED, run.created)
    assert cut.error.startswith("This run was cut off when its server stopped")
    assert cut.error.endswith("press Run to train it again.")
    after = store_at(tmp_path)
    assert [each.key for each in after.recover()] == [run.key]  # once more, nothing new
    assert after.get(run.key).state is State.INTERRUPTED
    assert list(after.list()) == []
    after.begin(run)
    assert list(after.interrupted()) == []
    commit(after, run)
    after.end(run)
    assert after.get(run.key).state is State.DONE
    assert list(store_at(tmp_path).recover()) == []
    assert os.listdir(after.runs / ".jobs") == []


def test_a_job_that_was_ended_leaves_nothing(tmp_path):
    store, run = store_at(tmp_path), trained()
    store.begin(run)
    store.begin(run)
    store.end(run)
    store.end(run)
    assert list(store_at(tmp_path).recover()) == []


def test_commit_wins_over_a_leftover_marker(tmp_path):
    store, run = store_at(tmp_path), trained()
    store.begin(run)
    commit(store, run)
    die(store)
    after = store_at(tmp_path)
    assert list(after.recover()) == []
    assert os.listdir(after.runs / ".jobs") == []
    assert after.get(run.key).state is State.DONE


def test_the_jobs_of_a_living_process_are_left_alone(tmp_path):
    server, line = store_at(tmp_path), store_at(tmp_path)
    server.begin(trained(1))
    line.begin(trained(1))
    line.begin(trained(2))
    die(line)
    assert [each.knobs.seed for each in store_at(tmp_path).recover()] == [2, 1]
    assert len(os.listdir(server.runs / ".jobs")) == 1
    server.end(trained(1))


def test_markers_that_nobody_can_read_harm_nobody(tmp_path):
    store = store_at(tmp_path)
    for seed in range(3):
        store.begin(trained(seed))
    die(store)
    jobs = sorted((store.runs / ".jobs").iterdir())
    jobs[0].write_text("{")
    jobs[1].write_text(jobs[1].read_text().replace("tiny", "../../etc"))
    assert len(store_at(tmp_path).recover()) == 1
    assert len(os.listdir(store.runs / ".interrupted")) == 3


def test_recovery_sweeps_what_is_half_written(tmp_path):
    store = store_at(tmp_path)
    half = store.runs / ".partial" / trained().key
    half.mkdir(parents=True)
    (half / "frames.npz").write_bytes(b"half")
    store.recover()
    assert os.listdir(store.runs) == [".lock"]
