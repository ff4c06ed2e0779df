"""Pins and room: which runs go, which never do, and what is said where none can."""

import errno
import logging
import os
import time
from pathlib import Path

import pytest

from core.runs import keeping
from core.runs.engines import InThread
from core.runs.keeping import quota
from core.runs.run import Run, State
from core.runs.runner import Runner
from core.runs.store import Store, StoreError
from tests.runs.crashes import len_of_a_run
from tests.runs.fakes import LESSON, FailingFiles, QuickFiles, TinyKnobs, commit, die, store_at, trained
from tests.runs.lessons_to_run import LESSONS, RunKnobs


def place(store: Store, run: Run) -> Path:
    return store.runs / run.lesson.slug / run.key


def filled(folder: Path, seeds=range(4), room=None, files=None) -> Store:
    """A store with these runs, the first made longest ago, and room for `room` such runs: as many as there are."""
    store = store_at(folder, files)
    for minutes, seed in enumerate(reversed(seeds), start=10):
        commit(store, trained(seed))
        age(place(store, trained(seed)), minutes)
    store.most = (len(seeds) if room is None else room) * len_of_a_run() + 100
    return store


def age(folder: Path, minutes: float) -> None:
    then = time.time() - 60 * minutes
    os.utime(folder, (then, then))


def seeds(store: Store) -> list[int]:
    return sorted(each.knobs.seed for each in store.list())


def taken(store: Store) -> int:
    return sum(each.stat().st_size for top in (store.runs, store.aside) for each in top.glob("[!.]*/*/*"))


# Who goes


def test_the_run_that_nobody_has_used_for_longest_goes(tmp_path):
    store = filled(tmp_path)
    store.get(trained(0).key)  # the oldest, but somebody looks at it
    for new, left in ((4, [0, 2, 3, 4]), (5, [0, 3, 4, 5]), (6, [0, 4, 5, 6])):
        commit(store, trained(new))
        assert seeds(store) == left
        assert taken(store) <= store.most
    assert store.verify(store.runs) == []
    assert not (store.runs / ".partial").exists()
    assert store.find(LESSON, TinyKnobs(seed=1)) is None
    assert [each.knobs.seed for each in store_at(tmp_path).list() if each.knobs.seed < 4] == [0]


def test_a_run_in_anothers_place_counts_with_its_own_size(tmp_path):
    store = filled(tmp_path, seeds=(1, 2))
    store.most = 1e9
    assert store.taken == taken(store)
    for extra in (400, 3, 0):
        commit(store, trained(1, extra=extra), fresh=True)
        assert store.taken == taken(store)


def test_only_as_many_go_as_must(tmp_path):
    store = filled(tmp_path, seeds=range(6), room=6)
    commit(store, trained(9, extra=400))
    assert seeds(store)[-1] == 9
    assert 1 < len(seeds(store)) < 6
    assert 0 <= store.most - taken(store) < 1.5 * len_of_a_run()


def test_imported_runs_count_like_all_others(tmp_path):
    store = filled(tmp_path)
    commit(store, trained(7), imported=True)
    assert seeds(store) == [1, 2, 3, 7]
    age(place(store, trained(7)), 99)
    commit(store, trained(8))
    assert seeds(store) == [1, 2, 3, 8]


def test_a_replaced_run_counts_once_and_drives_nobody_out(tmp_path):
    store = filled(tmp_path)
    commit(store, trained(0), fresh=True)
    assert seeds(store) == [0, 1, 2, 3]
    commit(store, trained(4))
    assert seeds(store) == [0, 2, 3, 4]  # what was replaced is new again


def test_damaged_runs_go_first_and_not_silently(tmp_path, caplog):
    store = filled(tmp_path)
    for seed in (3, 2):
        frames = place(store, trained(seed)) / "frames.npz"
        frames.write_bytes(b"x" * frames.stat().st_size)
        assert store.find(LESSON, TinyKnobs(seed=seed)) is None
    aside = store.aside / "tiny"
    assert len(os.listdir(aside)) == 2
    assert "goes to make room" not in caplog.text
    commit(store, trained(4))
    assert os.listdir(aside) == [trained(2).key]  # 3 had been there for longest: it was made first
    assert seeds(store) == [0, 1, 4]
    assert f"{aside / trained(3).key} goes to make room" in caplog.text
    assert [record.levelno for record in caplog.records if "goes to make room" in record.message] == [logging.WARNING]


def test_a_smaller_quota_is_heeded_at_the_next_start(tmp_path):
    filled(tmp_path, seeds=range(10))
    after = store_at(tmp_path, most=4 * len_of_a_run() + 100)
    assert len(after.list()) == 10
    after.recover()
    assert seeds(after) == [6, 7, 8, 9]
    assert taken(after) <= after.most


def test_a_use_is_noted_once_a_minute_and_never_in_a_gallery(tmp_path):
    store = filled(tmp_path, seeds=[0])
    commit(store, trained(1), gallery=tmp_path / "gallery")
    shipped = tmp_path / "gallery" / "tiny" / trained(1).key
    age(shipped, 5)
    before = [store.files.stamp(folder) for folder in (place(store, trained(0)), shipped)]
    for _ in range(2):
        store.get(trained(0).key)
        store.get(trained(1).key)
        after = [store.files.stamp(folder) for folder in (place(store, trained(0)), shipped)]
        assert after[1] == before[1]
        assert abs(after[0][0] - time.time_ns()) < 60 * 10**9
        store.files.touch = None  # or this would be called
    again = store_at(tmp_path)
    assert again.find(LESSON, TinyKnobs()) is not None


def test_a_disk_that_takes_no_note_of_a_use_is_still_read(tmp_path):
    class Stiff(QuickFiles):
        def touch(self, path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    filled(tmp_path, seeds=[0])
    assert store_at(tmp_path, Stiff()).get(trained(0).key) is not None


# Who stays


def test_pinned_runs_the_gallery_and_what_trains_never_go(tmp_path):
    store = filled(tmp_path)
    store.pin(trained(0).key)
    again = trained(1)
    store.begin(again)  # somebody trains it afresh, and it is shown meanwhile
    commit(store, trained(50), gallery=tmp_path / "gallery")
    commit(store, trained(4))
    assert seeds(store) == [0, 1, 3, 4, 50]
    store.end(again)
    store.unpin(trained(0).key)
    commit(store, trained(5))
    assert seeds(store) == [1, 3, 4, 5, 50]


def test_where_all_is_pinned_the_new_run_is_refused_and_nothing_goes(tmp_path):
    store = filled(tmp_path)
    for seed in range(3):
        store.pin(trained(seed).key)
    run = trained(4, extra=100)  # even 3 would not be room enough
    with pytest.raises(StoreError) as caught:
        commit(store, run)
    assert str(caught.value) == (
        f"The run is finished but could not be saved: the {keeping.spell_size(store.most)} for stored runs are full of "
        "runs that are pinned or train; unpin some, or choose a larger GRADIENT_LAB_QUOTA and press Run again."
    )
    assert run.manifest is None
    assert seeds(store) == [0, 1, 2, 3]
    store.unpin(trained(0).key)
    store.unpin(trained(1).key)
    commit(store, run)
    assert seeds(store) == [2, 3, 4]


def test_there_is_a_number_of_runs_too_beyond_which_the_oldest_goes(tmp_path, monkeypatch):
    store = filled(tmp_path, seeds=range(5), room=1000)
    monkeypatch.setattr(keeping, "MOST_RUNS", 4)
    store.pin(trained(0).key)
    commit(store, trained(4), fresh=True)
    assert seeds(store) == [0, 2, 3, 4], "one too many went when one was replaced"
    commit(store, trained(5))
    assert seeds(store) == [0, 3, 4, 5]
    for seed in (3, 4, 5):
        store.pin(trained(seed).key)
    with pytest.raises(StoreError, match=r"the 4 places for stored runs are full of runs that are pinned or train"):
        commit(store, trained(6))
    assert seeds(store) == [0, 3, 4, 5]


def test_a_run_larger_than_the_quota_is_refused_and_nothing_goes(tmp_path):
    store = filled(tmp_path)
    store.most = len_of_a_run() / 2
    with pytest.raises(StoreError, match=r"it takes .* kB and all stored runs together may take .*; choose a larger"):
        commit(store, trained(4))
    assert seeds(store) == [0, 1, 2, 3]


def test_sizes_are_spelled_as_people_say_them():
    sizes = {0: "0 kB", 13_414: "13.1 kB", 512 * 2**20: "512 MB", 2.1e9: "1.96 GB", 3 * 2**40: "3 TB"}
    assert {size: keeping.spell_size(size) for size in sizes} == sizes


def test_a_full_disk_takes_nothing_from_anybody(tmp_path):
    class Fulls(QuickFiles):
        def write(self, file, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    filled(tmp_path)
    store = store_at(tmp_path, Fulls(), most=10**6)
    with pytest.raises(
        StoreError, match=r"no space left in .*; free some space, or choose a smaller GRADIENT_LAB_QUOTA"
    ):
        commit(store, trained(4))
    assert seeds(store) == [0, 1, 2, 3]


@pytest.mark.parametrize("moment", range(1, 66))
def test_whatever_fails_while_room_is_made_each_run_is_whole_or_gone(tmp_path, moment):
    filled(tmp_path).pin(trained(0).key)
    files = FailingFiles()
    files.fails = moment
    store = store_at(tmp_path, files, most=4 * len_of_a_run() + 100)
    try:
        commit(store, trained(4))
    except StoreError:
        assert seeds(store_at(tmp_path)) in ([0, 1, 2, 3], [0, 2, 3], [0, 2, 3, 4])
    else:
        assert seeds(store_at(tmp_path)) == [0, 2, 3, 4]
    assert store_at(tmp_path).verify(store.runs) == []
    assert not store.aside.exists()


# Pins


def test_a_pin_outlives_the_server_and_a_damaged_run(tmp_path):
    store, key = filled(tmp_path), trained(2).key
    assert store.pinned == frozenset()
    store.pin(key)
    store.pin(key)
    assert store_at(tmp_path).pinned == {key}
    (place(store, trained(2)) / "frames.npz").write_bytes(b"")
    assert store_at(tmp_path).get(key) is None
    commit(store, trained(2))
    assert store.pinned == {key}
    store.unpin(key)
    store.unpin(key)
    assert store_at(tmp_path).pinned == frozenset()


@pytest.mark.parametrize("key", ["", "..", "../../x", "0" * 32, "a/b", "0" * 20 + "\n", "x" * 1000])
def test_what_is_not_stored_cannot_be_pinned(tmp_path, key):
    store = filled(tmp_path, seeds=[0])
    with pytest.raises(StoreError, match=r"^Run .* is not stored here, so it cannot be pinned; press Run first.$"):
        store.pin(key)
    store.unpin(key)
    assert store.pinned == frozenset()
    assert store.verify(store.runs) == []


def test_a_pin_that_the_disk_does_not_take_is_a_sentence(tmp_path):
    store = filled(tmp_path, files=(files := FailingFiles()))
    files.fails, files.stays, files.code = files.done + 1, True, errno.EROFS
    for move in (store.pin, store.unpin):
        with pytest.raises(StoreError, match=r"could not be (un)?pinned: .* is read-only; .*pin it again\.$"):
            move(trained(0).key)
    assert store.pinned == frozenset()


# How much


@pytest.mark.parametrize(
    ("said", "size"),
    [("", 2 * 2**30), ("500 MB", 500 * 2**20), ("1.5GB", 3 * 2**29), (" 3 tb ", 3 * 2**40), ("0.5 mb", 2**19)],
)
def test_the_environment_says_how_much(said, size, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_QUOTA", said)
    assert quota() == size
    assert Store.default({}).most == size


@pytest.mark.parametrize(
    "said", ["2", "0 GB", "-1 GB", "much", "1e9 GB", "2 GB or so", "9999999999 TB", "½ GB", "٢ GB"]
)
def test_what_is_no_amount_is_refused_in_a_sentence(said, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_QUOTA", said)
    with pytest.raises(
        StoreError, match=r"^GRADIENT_LAB_QUOTA = .* is no amount of disk; say it like 500 MB or 2 GB.$"
    ):
        quota()


# Behind the runner


def test_the_runner_shows_what_there_was_no_room_for_and_saves_it_once_there_is(tmp_path):
    store = Store(tmp_path / "cache", [], LESSONS, QuickFiles(), most=10)
    runner = Runner(store, InThread(), LESSONS)
    try:
        run = runner.submit(LESSONS["good"], RunKnobs(), device="cpu")
        assert runner.wait(run, 60)
        assert (run.state, run.manifest, len(run.recording)) == (State.DONE, None, 5)
        assert "it takes" in run.error
        store.most = 10**6
        assert runner.submit(LESSONS["good"], RunKnobs(), device="cpu") is run
        assert (run.error, run.manifest is None) == ("", False)
        age(place(store, run), 50)
        assert runner.get(run.key) is run  # from memory; on disk it counts as looked at all the same
        assert abs(store.files.stamp(place(store, run))[0] - time.time_ns()) < 60 * 10**9
    finally:
        runner.close()


def test_a_killed_server_does_not_protect_its_runs_for_ever(tmp_path):
    store = filled(tmp_path)
    store.begin(trained(0))
    die(store)
    after = store_at(tmp_path, most=store.most)
    after.recover()
    commit(after, trained(4))
    assert seeds(after) == [1, 2, 3, 4]
