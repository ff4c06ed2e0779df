"""A crew of worker processes: none is left, however its work ends."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from core.places import ROOT
from core.training.crew import Crew, WorkerError

WORK = "tests.training.crew_work:Work"
SOON = 30.0  # seconds within which everything here ends on the slowest machine


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Where crews put their folders: empty again after each test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.glob("gradient-lab-*"))


def alive(pid):
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists() if sys.platform == "linux" else _signalled(pid)


def _signalled(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(true, within=SOON):
    end = time.monotonic() + within
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def pids(crew):
    return [worker.process.pid for worker in crew.workers]


def test_each_worker_answers_in_its_place_and_none_is_left(folders):
    with Crew(WORK, 3, "given") as crew:
        answers = crew.ask("who", 7)
        assert [answer[:4] for answer in answers] == [(rank, 3, "given", 7) for rank in range(3)]
        assert [answer[4] for answer in answers] == pids(crew)
        assert {answer[5] for answer in answers} == {str(each) for each in folders.glob("gradient-lab-*")}
        assert [answer[3] for answer in crew.ask("who", 8)] == [8] * 3
    assert not any(map(alive, pids(crew)))


def test_an_error_in_one_worker_is_told_and_ends_the_others():
    started = time.monotonic()
    with (
        pytest.raises(WorkerError, match=r"^worker 2 of 3 failed with ValueError: seven is$"),
        Crew(WORK, 3, 0) as crew,
    ):
        crew.ask("fail", 1)
    assert not any(map(alive, pids(crew)))
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("others", ["wait", "fail"])
def test_the_worker_that_was_killed_is_named_rather_than_those_who_miss_it(others):
    for which in (0, 2):
        said = rf"^worker {which + 1} of 3 was ended by signal 9 \(SIGKILL\)$"
        with pytest.raises(WorkerError, match=said), Crew(WORK, 3, 0) as crew:
            crew.ask("die", which, others)
        assert not any(map(alive, pids(crew)))


def test_a_worker_that_cannot_start_or_leaves_is_told_when_it_is_asked():
    with (
        pytest.raises(WorkerError, match=r"^worker 2 of 2 failed with OSError: no room$"),
        Crew(WORK, 2, "no start") as crew,
    ):
        crew.ask("who", 0)
    with pytest.raises(WorkerError, match=r"^worker 1 of 1 was ended by exit status 3$"), Crew(WORK, 1, 0) as crew:
        crew.ask("leave", 3)
    with (
        pytest.raises(WorkerError, match=r"^worker 1 of 1 failed with ModuleNotFoundError"),
        Crew("no.such:x", 1, 0) as crew,
    ):
        crew.ask("who", 0)


class Asked(Exception):
    """What the training process raises in the middle of a lesson that is to stop (`core.runs.worker`)."""


def test_a_signal_that_raises_gets_through_while_workers_are_waited_for():
    def raised(*_):
        raise Asked

    def asked():
        timer.start()
        crew.ask("sleep")

    before = signal.signal(signal.SIGALRM, raised)
    timer = threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM))
    try:
        with pytest.raises(Asked), Crew(WORK, 2, 0) as crew:
            asked()
    finally:
        timer.cancel()
        signal.signal(signal.SIGALRM, before)
    assert not any(map(alive, pids(crew)))


def test_workers_end_by_themselves_when_whoever_started_them_is_killed(folders):
    code = f"""
import tempfile
from core.training.crew import Crew
tempfile.tempdir = {str(folders)!r}
with Crew({WORK!r}, 2, 0) as crew:
    print(*(answer[4] for answer in crew.ask("who", 0)), flush=True)
    crew.ask("sleep")
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8")
    with parent:
        workers = [int(each) for each in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(alive, workers))
        parent.kill()
        parent.wait()
        assert until(lambda: not any(_runs(pid) for pid in workers))
    assert until(lambda: not list(folders.glob("gradient-lab-*")))


def _runs(pid):
    """Whether it runs; one whose parent was killed may stay a zombie, where nobody collects orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
