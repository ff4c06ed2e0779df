"""What survives: a little of every trial in `crashes.py`; `tests/reliability/store.py` runs them at full length."""

import random

import pytest

from tests.runs import crashes
from tests.runs.power import Disk


def test_no_power_loss_breaks_a_promise():
    found = crashes.power_loss(states=300)
    assert found.tried == 300
    assert found.wrong == []


def test_no_power_loss_after_a_fault_breaks_a_promise():
    found = crashes.power_loss_after_a_fault(states=160)
    assert found.tried >= 100
    assert found.wrong == []


def test_no_power_loss_while_room_is_made_breaks_a_promise():
    found = crashes.power_loss_while_room_is_made(states=200)
    assert found.tried == 200
    assert found.wrong == []


def test_no_power_loss_deletes_a_damaged_run():
    found = crashes.power_loss_beside_damage(states=150)
    assert found.tried == 150
    assert found.wrong == []


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("code", crashes.CODES)
def test_no_failing_operation_breaks_more_than_its_own_run(code, stays):
    found = crashes.failing_disk(code, stays, step=11)
    assert found.tried >= 10
    assert found.wrong == []


def test_every_damage_is_noticed_and_kept(caplog):
    found = crashes.damage(most=200)
    assert found.tried >= 200
    assert found.wrong == []


def test_seven_broken_stores_are_caught():
    for name, found in crashes.broken_stores(states=120, flips=200).items():
        assert found.wrong, name


@pytest.mark.parametrize("makes_room", [False, True])
def test_no_kill_breaks_a_promise(makes_room):
    found, slowest = crashes.kills(6, makes_room=makes_room)
    assert found.tried == 6
    assert found.wrong == []
    assert slowest < 2.0


# The modelled disk itself


def states(top, *operations):
    """Every state that 200 power losses left, as {path: bytes}."""
    disk = Disk(top)
    disk.play(operations)
    found = []
    for k in range(200):
        disk.lay_out(top / str(k), random.Random(k))
        state = {path.name: path.read_bytes() for path in (top / str(k)).rglob("*") if path.is_file()}
        if state not in found:
            found.append(state)
    return found


def test_the_modelled_disk_forgets_what_nobody_waited_for(tmp_path):
    found = states(tmp_path, ("create", tmp_path / "a", 1), ("write", 1, b"xy"))
    for state in ({}, {"a": b""}, {"a": b"x"}, {"a": b"x\0"}, {"a": b"xy"}):
        assert state in found


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ("sync_folder", [{"a": b"xy"}]),
        ("sync_folder, rename a b", [{"a": b"xy"}, {"b": b"xy"}]),
        ("rename a b, sync_folder", [{"b": b"xy"}]),
        ("sync_folder, remove a, sync_folder", [{}]),
        ("sync_folder, make_folder sub, rename a sub/b, sync_folder", [{"a": b"xy"}, {"b": b"xy"}]),
        ("sync_folder, make_folder sub, rename a sub/b, sync_folder sub, sync_folder", [{"b": b"xy"}]),
        (
            "sync_folder, make_folder sub, rename a sub/b, sync_folder sub",
            [{}, {"b": b"xy"}],
        ),  # sub itself was not kept
    ],
)
def test_the_modelled_disk_keeps_what_was_waited_for(tmp_path, operations, left):
    played = [("create", tmp_path / "a", 1), ("write", 1, b"xy"), ("sync", 1)]
    for each in operations.split(", "):
        name, *paths = each.split(" ")
        played.append((name, *((tmp_path / path for path in paths) if paths else (tmp_path,))))
    found = states(tmp_path, *played)
    assert sorted(found, key=str) == sorted(left, key=str)
