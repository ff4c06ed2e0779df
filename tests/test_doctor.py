"""The doctor: what it finds, and when a Run would be refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import doctor, resources
from core.__main__ import main
from core.device import Devices
from core.doctor import VARIABLES, examine
from core.places import ROOT
from core.resources import Amount

GB = 2**30
CPU = Devices({"cpu": "CPU, 2 cores"})


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch, tmp_path, cache):
    """A machine in order: nothing is set but the cache, and there is memory and disk."""
    for name in [name for name in os.environ if name.startswith(("GRADIENT_LAB_", "STREAMLIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(cache))
    monkeypatch.setattr(resources, "memory", lambda: Amount(6 * GB, 8 * GB))
    monkeypatch.setattr(resources, "disk", lambda folder: Amount(50 * GB, 100 * GB))
    monkeypatch.setattr(resources, "cores", lambda: 2)
    monkeypatch.setattr("core.device.cores", lambda: 2)


def check(report, name):
    return next(each for each in report.checks if each.name == name)


def test_a_machine_in_order_gets_one_line_and_status_0(cache, capsys):
    report = examine(CPU)
    assert report.refusals == []
    assert report.line == (
        "Gradient Lab found: CPU, 2 cores · 2 cores, 1 for training · 6 GB of 8 GB memory free · "
        f"{check(report, 'data sets').found} · cache {cache}, 50 GB free · http://127.0.0.1:8501."
    )
    assert "digits" in check(report, "data sets").found
    assert main(["doctor"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "] == [
        each.name.split()[0] for each in report.checks
    ]
    assert not cache.exists(), "the doctor changes nothing"


def test_as_json_it_is_one_object(capsys, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_QUOTA", "much")
    assert main(["doctor", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert [each["name"] for each in said["checks"]] == [each.name for each in examine(CPU).checks]
    (refusal,) = [sentence for each in said["checks"] for sentence in each["refusals"]]
    assert refusal.startswith("GRADIENT_LAB_QUOTA = much is no amount of disk")


def test_each_missing_data_set_has_a_hint_and_digits_need_none(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    report = examine(CPU)
    data = check(report, "data sets")
    assert data.found == "data sets digits (not fashion-mnist, mnist, cifar10)"
    assert [hint.split()[0] for hint in data.hints] == ["fashion-mnist", "mnist", "cifar10"]
    assert report.refusals == []


BAD = {
    "GRADIENT_LAB_CACHE": "~no-such-user/x",
    "GRADIENT_LAB_QUOTA": "0 GB",
    "GRADIENT_LAB_THREADS": "many",
    "GRADIENT_LAB_ENGINE": "steam",
    "GRADIENT_LAB_CLASS_CODE": "x",
    "GRADIENT_LAB_TEACHER_CODE": "x",
    "GRADIENT_LAB_ADDRESS": "the lab",
    "GRADIENT_LAB_PROXIES": "somewhere",
    "GRADIENT_LAB_LESSONS": "~no-such-user/x",
}


@pytest.mark.parametrize("name", BAD)
def test_a_setting_that_cannot_be_used_is_a_sentence_and_refuses(monkeypatch, name):
    monkeypatch.setenv(name, BAD[name])
    report = examine(CPU)
    assert len(report.refusals) == 1, report.refusals
    assert name in report.refusals[0]
    assert report.refusals == doctor.bad_settings()
    assert report.refusals[0] in report.text
    assert report.refusals[0] in report.line


def test_every_variable_that_the_product_reads_is_looked_at():
    sources = [*ROOT.glob("core/**/*.py"), ROOT / "app.py"]
    read = {
        word.strip('"')
        for path in sources
        for word in path.read_text(encoding="utf-8").replace("`", " ").split()
        if word.startswith('"GRADIENT_LAB_') and word.endswith('"')
    }
    assert read <= VARIABLES.keys() | {"GRADIENT_LAB_"}
    assert VARIABLES.keys() == BAD.keys() | {"GRADIENT_LAB_DATA"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in VARIABLES)


def test_a_variable_with_a_wrong_name_has_a_hint(monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_CAHCE", "x")
    report = examine(CPU)
    said = "GRADIENT_LAB_CAHCE is no setting of Gradient Lab; did you mean GRADIENT_LAB_CACHE?"
    assert check(report, "settings").hints == (said,)
    assert report.refusals == []


def test_devices_that_are_left_out_are_said_and_refuse_nothing():
    report = examine(Devices({"mps": "Apple GPU", "cpu": "CPU, 2 cores"}, {"cuda": "no driver"}))
    assert check(report, "device").found == "CPU, 2 cores"
    assert [hint.split()[0] for hint in check(report, "device").hints] == ["cuda", "mps"]
    assert "cuda is listed by torch but does not work (no driver); left out." in report.line
    assert report.refusals == []


def test_too_little_memory_names_the_lessons_that_do_not_fit(monkeypatch):
    monkeypatch.setattr(resources, "memory", lambda: Amount(1000, 8 * GB))
    said = examine(CPU).refusals
    assert said
    assert all(": This run needs about" in sentence for sentence in said)
    monkeypatch.setattr(resources, "memory", lambda: None)
    assert examine(CPU).refusals == []


def _file(folder: Path) -> Path:
    (folder / "file").write_text("", encoding="utf-8")
    return folder / "file"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (_file, "is not a folder, so no run can be stored in"),
        (lambda folder: _file(folder) / "below", "is not a folder, so no run can be stored in"),
        (lambda folder: Path("/proc/none"), "No run can be stored in /proc/none"),
    ],
    ids=["a file", "below a file", "where nothing can be written"],
)
def test_a_cache_that_cannot_be_written_refuses(monkeypatch, tmp_path, place, said):
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(place(tmp_path)))
    (refusal,) = examine(CPU).refusals
    assert said in refusal
    assert refusal.endswith("set GRADIENT_LAB_CACHE to a folder that can be written.")


def test_a_full_disk_refuses(monkeypatch):
    monkeypatch.setattr(resources, "disk", lambda folder: Amount(1000, 100 * GB))
    (refusal,) = examine(CPU).refusals
    assert "are free for runs in" in refusal


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:8501"),
        ({"STREAMLIT_SERVER_PORT": "9000", "STREAMLIT_SERVER_BASE_URL_PATH": "/lab/"}, "http://127.0.0.1:9000/lab"),
        ({"STREAMLIT_SERVER_ADDRESS": "::1"}, "http://[::1]:8501"),
        ({"GRADIENT_LAB_ADDRESS": "https://lab.school.example"}, "https://lab.school.example"),
    ],
)
def test_the_address_is_what_the_settings_say(monkeypatch, settings, address):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert check(examine(CPU), "address").found == address
    assert check(examine(CPU, "http://here:1"), "address").found == "http://here:1"


def test_a_server_that_was_given_something_unusable_does_not_start():
    environment = {**os.environ, "GRADIENT_LAB_THREADS": "many", "GRADIENT_LAB_QUOTA": "much"}
    ran = subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 1
    assert [line.split()[0] for line in ran.stderr.splitlines()[-2:]] == ["GRADIENT_LAB_QUOTA", "GRADIENT_LAB_THREADS"]
