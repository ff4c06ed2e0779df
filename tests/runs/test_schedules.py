"""The line on a virtual clock: nobody waits for more than one run of another, and no hour is wasted."""

from typing import ClassVar

import pytest

from core.runs import runner as runner_module
from core.runs.runner import Line, Runner
from tests.runs.schedules import FLOODS, Event, flood, seconds_of, serve, trial, virtual_time
from tests.runs.test_runner import job


def test_no_schedule_leaves_the_worker_idle_or_lets_anybody_wait_for_two_runs_of_another():
    found = trial(200)
    assert found["wrong"] == []
    assert min(found["runs"], 10 * found["refused"], 10 * found["shared"], 10 * found["stopped"]) > 500


def test_a_flood_of_a_thousand_runs_delays_another_student_by_one_run_at_most():
    with virtual_time():
        room = serve(flood())
    assert room.wrong == []
    theirs = [(at, run) for at, run in room.begun if FLOODS not in run.askers]
    assert len(theirs) == 12
    assert len(room.begun) + room.refused == 1012
    for k, (at, _) in enumerate(theirs):
        came = 1003.0 + 40 * k
        before = [run for begins, run in room.begun if begins < at and begins + seconds_of(run.knobs) > came]
        assert sum(FLOODS in run.askers for run in before) <= 1


def test_a_run_that_trains_on_for_others_counts_as_a_turn_of_whom_it_began_for():
    events = [Event(1000.0, "ann", 1), Event(1000.1, "bob", 1), Event(1000.2, "bob", 2)]
    events += [Event(1000.3, "ann", 1, leaves=True), Event(1000.4, "cy", 3)]
    with virtual_time():
        room = serve(events)
    assert room.wrong == []
    assert [run.knobs.seed for _, run in room.begun] == [1, 2, 3]


def test_a_thousand_who_stand_in_line_delay_another_asker_by_one():
    line = Line()
    for asker in ["flood"] * 1000 + ["ann", "ann"]:
        line.join(job(), asker)
    assert [line.take().asker for _ in range(5)] == ["flood", "ann", "flood", "ann", "flood"]


class FirstComeFirstServed(Line):
    """Whoever asks later waits for all that was asked for before."""

    came: ClassVar[list] = []

    def join(self, job, asker):
        super().join(job, asker)
        self.came.append(job)

    def _coming(self):
        return sorted(super()._coming(), key=lambda turn: self.came.index(turn[1]))


class LastComeFirstServed(Line):
    def _coming(self):
        return super()._coming()[::-1]


class FirstAskersTurn(Line):
    """What several want trains in the turn of who asked first, as if the others wanted nothing."""

    def join(self, job, asker):
        if not any(job in jobs for jobs in self._wanted.values()):
            super().join(job, asker)

    def leave(self, job, asker):
        super().leave(job, asker)
        if job.run.askers and not job.stop.is_set() and not job.asker:
            self.join(job, min(job.run.askers))


@pytest.mark.parametrize("line", [FirstComeFirstServed, LastComeFirstServed, FirstAskersTurn])
def test_an_unfair_line_is_caught(line, monkeypatch):
    monkeypatch.setattr(runner_module, "Line", line)
    assert any("waits for 2 runs of" in sentence for sentence in trial(60)["wrong"])


def test_a_runner_that_stops_what_others_want_is_caught(monkeypatch):
    stop = Runner.stop
    monkeypatch.setattr(Runner, "stop", lambda self, run, asker: stop(self, run, None))
    assert any("is stopped and" in sentence for sentence in trial(60)["wrong"])


def test_a_runner_that_trains_equal_runs_twice_is_caught(monkeypatch):
    monkeypatch.setattr(Runner, "_present", lambda self, key, fresh, asker: None)
    assert any("was trained 2 times" in sentence for sentence in trial(60)["wrong"])


def test_a_worker_that_is_idle_is_caught(monkeypatch):
    monkeypatch.setattr(Line, "take", lambda self: None)
    with pytest.raises(AssertionError, match="idle while a job waits"):
        trial(5)
