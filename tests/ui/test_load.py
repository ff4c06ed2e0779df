"""What the teacher is told of the machine."""

import os
import shutil

from core.ui.load import Load


def test_this_machine_tells_its_load(tmp_path):
    now = Load.now(tmp_path / "not" / "there" / "yet")
    assert now.cores >= 1
    assert now.disk[1] == shutil.disk_usage(tmp_path).total
    for free, total in filter(None, (now.memory, now.disk)):
        assert 0 <= free <= total


def test_what_a_machine_does_not_tell_is_not_made_up(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: (_ for _ in ()).throw(PermissionError()))
    assert (Load.now(tmp_path).busy, Load.now(tmp_path).disk) == (None, None)
