"""The runner: whose turn it is, who shares a run, and that nothing a lesson does ends the service."""

import errno
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.cost import Calibration, Cost, CostError
from core.data import DataError
from core.device import DeviceError, Devices
from core.frames import Frame
from core.resources import Amount
from core.runs import runner as runner_module
from core.runs.engines import UNKNOWN, Engine, InProcess, InThread, Machine
from core.runs.run import Run, State
from core.runs.runner import MOST_RECENT, MOST_WAITING, SHARE, Job, Line, QueueFull, Runner
from core.runs.store import Store, StoreError
from tests.runs.fakes import QuickFiles, die, same
from tests.runs.lessons_to_run import HERE, LESSONS, RunKnobs, lesson

CPU = torch.device("cpu")
PATIENCE = 180.0  # seconds within which everything here ends on the slowest machine


class Gate:
    """A lesson that trains, half done, until it is opened, and counts how often it began."""

    def __init__(self) -> None:
        self.lesson = lesson("gate", self.train, cost_of=lambda knobs: Cost(0, 0, 0, 0))
        self.began = 0
        self.opened = threading.Event()

    def train(self, knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
        self.began += 1
        k = 0
        while not self.opened.wait(0.005):
            yield Frame(k := k + 1, {"loss": [0.0, 0.0]}, progress=0.5)
        yield Frame(k + 1, {"loss": [0.0, 0.0]}, progress=1.0)


@pytest.fixture
def gate():
    return Gate()


@contextmanager
def running(folder, gate: Gate | None = None, engine: Engine | None = None, store: Store | None = None):
    lessons = LESSONS if gate is None else {**LESSONS, "gate": gate.lesson}
    runner = Runner(store or store_at(folder, lessons), engine or InThread(), lessons)
    try:
        yield runner
    finally:
        runner.close()
        assert not runner._thread.is_alive()


def store_at(folder, lessons=LESSONS) -> Store:
    return Store(folder / "cache", [], lessons, QuickFiles())


def submit(runner: Runner, slug: str, asker: str = "ann", fresh: bool = False, **knobs) -> Run:
    return runner.submit(runner.lessons[slug], RunKnobs(**knobs), device="cpu", fresh=fresh, asker=asker)


def ended(runner: Runner, run: Run) -> State:
    assert runner.wait(run, PATIENCE)
    return run.state


def begun(runner: Runner, run: Run) -> Run:
    """The run, once its first frame is there."""
    with runner.changed:
        assert runner.changed.wait_for(lambda: len(run.recording), PATIENCE)
    return run


# From knobs to a stored run


def test_a_run_is_trained_judged_and_stored(tmp_path):
    with running(tmp_path) as runner:
        run = submit(runner, "good", seed=5)
        assert ended(runner, run) is State.DONE
        assert (run.error, run.origin, run.device) == ("", "runs", runner.engine.machine.devices["cpu"])
        assert len(run.recording) == 5
        manifest = run.manifest
        assert manifest.wall_seconds == run.wall_seconds > 0
        assert (manifest.threads, manifest.versions) == (runner.engine.machine.threads, runner.engine.machine.versions)
        assert manifest.facts["final_loss"] == run.recording.last("loss")[0]
        assert manifest.data is None
        assert runner.get(run.key) is run
        assert submit(runner, "good", seed=5) is run
    again = store_at(tmp_path).find(LESSONS["good"], RunKnobs(seed=5))
    assert same(again.recording, run.recording)


def test_a_stored_run_is_there_at_once_in_the_next_server(tmp_path):
    with running(tmp_path) as runner:
        key = submit(runner, "good").key
        assert runner.wait(runner.get(key), PATIENCE)
    with running(tmp_path) as runner:
        run = submit(runner, "good")
        assert (run.state, run.key, runner.live(), runner.recent()) == (State.DONE, key, [], [])
        assert runner.wait(run, 0)
        assert runner.get(key).key == key


def test_fresh_trains_what_is_stored_and_replaces_it(tmp_path):
    with running(tmp_path) as runner:
        first = submit(runner, "good")
        ended(runner, first)
        second = submit(runner, "good", fresh=True)
        assert second is not first
        assert ended(runner, second) is State.DONE
        assert runner.store.find(LESSONS["good"], RunKnobs()).created == second.created > first.created
        assert runner.get(first.key) is second


@pytest.mark.parametrize("fresh", [False, True])
def test_what_another_process_stored_meanwhile_stays_unless_somebody_wants_it_fresh(tmp_path, gate, fresh):
    other = store_at(tmp_path, {"gate": gate.lesson})
    with running(tmp_path, gate) as runner:
        run = begun(runner, submit(runner, "gate"))
        earlier = Run(gate.lesson, RunKnobs(), run.key, recording=run.recording, state=State.DONE, wall_seconds=1.0)
        other.commit(earlier, threads=1, versions={}, data=None)
        assert submit(runner, "gate", "ben", fresh=fresh) is run
        gate.opened.set()
        assert ended(runner, run) is State.DONE
        expected = run if fresh else earlier
        assert runner.get(run.key).created == other.get(run.key).created == expected.created


def test_the_data_set_stands_in_the_manifest(tmp_path):
    with running(tmp_path) as runner:
        run = submit(runner, "on-digits")
        ended(runner, run)
        assert run.manifest.data == "digits"


# Sharing


def test_equal_runs_are_one_and_one_who_stops_does_not_stop_the_other(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        run = begun(runner, submit(runner, "gate", "ann"))
        assert submit(runner, "gate", "ben") is run
        assert run.askers == {"ann", "ben"}
        assert not runner.stop(run, "a stranger")
        assert not runner.stop(run, "ann")
        assert run.state is State.RUNNING
        gate.opened.set()
        assert ended(runner, run) is State.DONE
        assert gate.began == 1


def test_the_last_who_wanted_it_stops_it_and_what_was_recorded_stays(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        run = begun(runner, submit(runner, "gate", "ann"))
        submit(runner, "gate", "ben")
        runner.stop(run, "ben")
        assert runner.stop(run, "ann")
        assert ended(runner, run) is State.STOPPED
        assert (run.error, run.manifest) == ("", None)
        assert len(run.recording) > 0
        assert runner.get(run.key) is run
        assert not runner.stop(run, "ann")
        assert runner.store.interrupted() == []


def test_the_operator_stops_a_run_for_all(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        run = begun(runner, submit(runner, "gate", "ann"))
        submit(runner, "gate", "ben")
        assert runner.stop(run, None)
        assert ended(runner, run) is State.STOPPED


def test_in_a_pause_nothing_new_is_taken_but_what_is_there_is_given_and_the_line_is_worked_off(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        assert ended(runner, submit(runner, "good", seed=9)) is State.DONE
        first = begun(runner, submit(runner, "gate"))
        waiting = submit(runner, "good", "bea")
        runner.paused = True
        with pytest.raises(QueueFull, match="The teacher has paused new runs; what is stored opens as before"):
            runner.submit(runner.lessons["good"], RunKnobs(seed=1), device="cpu", asker="cleo", student=True)
        assert submit(runner, "good", "cleo") is waiting, "what waits can be joined"
        assert submit(runner, "good", "cleo", seed=9).state is State.DONE
        taken = runner.submit(runner.lessons["good"], RunKnobs(seed=2), device="cpu", asker="teacher")
        gate.opened.set()
        assert [ended(runner, run) for run in (first, waiting, taken)] == [State.DONE] * 3
        runner.paused = False
        assert ended(runner, submit(runner, "good", "cleo", seed=1)) is State.DONE


def test_the_line_is_cleared_and_what_trains_goes_on(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        assert runner.clear() == 0
        first = begun(runner, submit(runner, "gate"))
        waiting = [submit(runner, "good", asker, seed=seed) for seed, asker in enumerate(("ann", "ann", "bea"))]
        submit(runner, "good", "cleo", seed=2)
        assert runner.clear() == 3
        assert [run.state for run in waiting] == [State.STOPPED] * 3
        assert runner.live() == [first]
        gate.opened.set()
        assert ended(runner, first) is State.DONE


def test_a_class_that_presses_run_together_trains_once_and_those_who_leave_stop_nobody_else(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        runs: list[Run] = []
        barrier = threading.Barrier(100)

        def press(asker: int) -> None:
            barrier.wait(PATIENCE)
            run = submit(runner, "gate", str(asker))
            if asker % 3 == 0:
                runner.stop(run, str(asker))
            runs.append(run)

        begun(runner, submit(runner, "gate", "teacher"))
        students = [threading.Thread(target=press, args=(asker,)) for asker in range(100)]
        for student in students:
            student.start()
        for student in students:
            student.join()
        assert runner.stop(runs[0], "teacher") is False
        assert len(runs) == 100
        assert len({id(run) for run in runs}) == 1
        assert runs[0].askers == {str(asker) for asker in range(100) if asker % 3}
        gate.opened.set()
        assert ended(runner, runs[0]) is State.DONE
        assert gate.began == 1
        assert [run.key for run in runner.recent()] == [runs[0].key]


def test_a_class_that_presses_run_before_anything_trains_trains_once(tmp_path):
    with running(tmp_path) as runner:
        runs: list[Run] = []
        barrier = threading.Barrier(100)

        def press(asker: int) -> None:
            barrier.wait(PATIENCE)
            runs.append(submit(runner, "good", str(asker)))

        students = [threading.Thread(target=press, args=(asker,)) for asker in range(100)]
        for student in students:
            student.start()
        for student in students:
            student.join()
        assert {id(run) for run in runs} == {id(runs[0])}
        assert len(runs) == 100
        assert ended(runner, runs[0]) is State.DONE
        assert [run.key for run in runner.recent()] == [runs[0].key]


def test_who_asks_for_a_run_that_is_being_stopped_gets_a_new_one(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        stopped = begun(runner, submit(runner, "gate"))
        runner.stop(stopped, "ann")
        again = submit(runner, "gate")
        assert again is not stopped
        assert runner.get(again.key) is again
        gate.opened.set()
        assert (ended(runner, stopped), ended(runner, again)) == (State.STOPPED, State.DONE)


# Standing in line


def test_line_place_and_time_left(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        runs = [begun(runner, submit(runner, "gate"))]
        assert runner.estimate(gate.lesson, RunKnobs(), "cpu") == 0.0
        runs += [submit(runner, "good", seed=seed) for seed in range(3)]
        assert runner.live() == runs
        assert [runner.place(run) for run in runs] == [0, 1, 2, 3]
        runs[0].started = time.monotonic() - 10.0  # half done after ten seconds
        assert runner.seconds_left(runs[0]) == pytest.approx(10.0, abs=2.0)
        each = runner.estimate(LESSONS["good"], RunKnobs(), "cpu")
        assert each > 0
        waits = [runner.seconds_left(run) for run in runs[1:]]
        assert waits == sorted(waits)
        assert waits[2] - waits[0] < 2 * each + 2.0
        assert runner.stop(runs[1], "ann")
        assert (runs[1].state, runner.place(runs[1]), runner.seconds_left(runs[1])) == (State.STOPPED, 0, None)
        assert [runner.place(run) for run in runs[2:]] == [1, 2]
        gate.opened.set()
        assert [ended(runner, run) for run in runs] == [State.DONE, State.STOPPED, State.DONE, State.DONE]
        assert runner.live() == []
        assert runner.recent() == [runs[3], runs[2], runs[0], runs[1]]
        assert len(runs[1].recording) == 0


def test_nobody_can_tell_how_long_a_run_takes_that_says_nothing_and_is_late(tmp_path):
    silent = Gate()

    def train(knobs, device):
        yield Frame(0, {"loss": [0.0, 0.0]})
        while not silent.opened.wait(0.005):
            yield Frame(0, {"loss": [0.0, 0.0]})

    silent.lesson = lesson("gate", train, cost_of=lambda knobs: Cost(0, 0, 0, 0))
    with running(tmp_path, silent) as runner:
        late = begun(runner, submit(runner, "gate"))
        behind = submit(runner, "good")
        assert runner.seconds_left(late) is None
        assert runner.seconds_left(behind) is None
        silent.opened.set()
        ended(runner, behind)


def test_a_flood_delays_another_asker_by_one_run(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        flood = [begun(runner, submit(runner, "gate", "ann"))]
        flood += [submit(runner, "good", "ann", seed=seed) for seed in range(SHARE)]
        late = submit(runner, "good", "ben", seed=99)
        assert runner.place(late) == 1
        with pytest.raises(
            QueueFull, match=rf"You have {SHARE} runs in line.*next starts in .*; wait for it or stop one"
        ):
            submit(runner, "good", "ann", seed=77)
        assert submit(runner, "good", "ann", seed=99) is late
        gate.opened.set()
        ended(runner, flood[-1])
        assert runner.recent()[-2:] == [late, flood[0]]


def test_a_run_whose_first_asker_leaves_takes_the_turn_of_another(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        begun(runner, submit(runner, "gate", "cem"))
        shared = submit(runner, "good", "ann", seed=99)
        submit(runner, "good", "ben", seed=99)
        runner.stop(shared, "ann")
        for seed in range(SHARE):  # it counts as ben's now, and ann has her whole share
            submit(runner, "good", "ann", seed=seed)
        gate.opened.set()
        assert ended(runner, shared) is State.DONE


def test_a_full_line_says_how_long_it_is(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        begun(runner, submit(runner, "gate"))
        for k in range(MOST_WAITING):
            submit(runner, "good", str(k), seed=k)
        with pytest.raises(QueueFull, match=rf"{MOST_WAITING} runs are in line.*they take .*; look at a run"):
            submit(runner, "good", "zoe", seed=999)
        assert len(runner.live()) == MOST_WAITING + 1
        runner.stop(runner.live()[1], None)
        submit(runner, "good", "zoe", seed=999)


def job() -> Job:
    return Job(Run(LESSONS["good"], RunKnobs(), "0" * 32), CPU, 1.0, False)


TAKE = st.none()
ASK = st.tuples(st.sampled_from("abc"), st.just(-1))
JOIN_OR_LEAVE = st.tuples(st.sampled_from("abcABC"), st.integers(0, 5))


@given(st.lists(st.one_of(TAKE, ASK, JOIN_OR_LEAVE), max_size=40))
def test_askers_take_turns_and_the_line_says_how(moves):
    """None takes the next; a letter asks for one more run, or joins one in line; a capital one leaves it."""
    line = Line()
    wanted: dict[str, list[Job]] = {asker: [] for asker in "abc"}
    last_turn: dict[str, int] = {}
    for turn, move in enumerate(moves):
        if move is not None:
            who, number = move
            standing = line.order()
            if number >= len(standing):
                continue
            this = job() if number < 0 else standing[number]
            if who.isupper():
                line.leave(this, who.lower())
                wanted[who.lower()] = [each for each in wanted[who.lower()] if each is not this]
            else:
                line.join(this, who)
                wanted[who] += [this] if this not in wanted[who] else []
            continue
        waiting = {asker for asker, jobs in wanted.items() if jobs}
        taken = line.take()
        assert (taken is None) == (not waiting)
        if taken is not None:
            assert all(last_turn.get(taken.asker, -1) <= last_turn.get(asker, -1) for asker in waiting)
            assert taken is wanted[taken.asker][0]
            wanted = {asker: [each for each in jobs if each is not taken] for asker, jobs in wanted.items()}
            last_turn[taken.asker] = turn
    foretold = list(line.order())
    assert set(foretold) == {each for jobs in wanted.values() for each in jobs}
    assert len(foretold) == len(line) == len(set(foretold))
    assert all(list(line.wanted(asker)) == jobs for asker, jobs in wanted.items())
    assert [line.take() for _ in foretold] == foretold


def test_who_joins_a_run_does_not_stand_behind_the_others_of_who_asked_first(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        begun(runner, submit(runner, "gate", "cem"))
        flood = [submit(runner, "good", "ann", seed=seed) for seed in range(5)]
        assert submit(runner, "good", "ben", seed=4) is flood[4]
        later = submit(runner, "good", "cleo", seed=9)
        assert [runner.place(run) for run in (flood[0], flood[4], later, flood[1])] == [1, 2, 3, 4]


def test_who_leaves_a_run_moves_it_for_nobody_else(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        begun(runner, submit(runner, "gate", "zoe"))
        for seed in range(4):  # ben, by name the first of those who stay, has others in line before it
            submit(runner, "good", "ben", seed=seed)
        shared = submit(runner, "good", "dan", seed=9)
        for asker in ("ben", "cleo"):
            submit(runner, "good", asker, seed=9)
        assert runner.place(shared) == 2
        assert not runner.stop(shared, "dan")
        assert runner.place(shared) == 2


def test_a_stopped_attempt_hides_no_stored_run(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        stored = submit(runner, "good", seed=3)
        assert ended(runner, stored) is State.DONE
        begun(runner, submit(runner, "gate"))
        again = submit(runner, "good", "ben", fresh=True, seed=3)
        assert again is not stored
        assert runner.stop(again, "ben")
        assert again.state is State.STOPPED
        assert runner.get(again.key).state is State.DONE
        gate.opened.set()


def test_a_student_asks_for_nothing_long_and_the_teacher_does(tmp_path, monkeypatch):
    with running(tmp_path) as runner:
        monkeypatch.setattr(runner_module, "MOST_STUDENT_SECONDS", 1e-9)
        with pytest.raises(CostError, match="longer than"):
            runner.submit(runner.lessons["good"], RunKnobs(), device="cpu", asker="ann", student=True)
        assert ended(runner, runner.submit(runner.lessons["good"], RunKnobs(), device="cpu")) is State.DONE
        there = runner.submit(runner.lessons["good"], RunKnobs(), device="cpu", asker="ann", student=True)
        assert there.state is State.DONE, "what is stored opens for all"


# Refused before it waits


@pytest.mark.parametrize(
    ("slug", "device", "error", "sentence"),
    [
        ("huge", "cpu", CostError, "longer than"),
        ("good", "warp", DeviceError, "device = warp is unknown"),
        ("on-mnist", "cpu", DataError, "mnist is not on this machine"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_waits(tmp_path, monkeypatch, slug, device, error, sentence):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(tmp_path / "cache"))
    with running(tmp_path) as runner:
        with pytest.raises(error, match=sentence):
            runner.submit(LESSONS[slug], RunKnobs(), device=device)
        assert runner.live() == runner.recent() == []


@pytest.mark.parametrize(
    ("device", "seed", "refused"), [("cuda", 0, False), ("cpu", 0, True), ("cuda", 1, True)], ids=str
)
def test_a_papers_recipe_may_take_long_on_a_gpu_as_it_stands_and_nothing_else(
    tmp_path, monkeypatch, device, seed, refused
):
    long = lesson("good", cost_of=lambda knobs: Cost(2 * 3600 * Calibration().flops, 1, 1, 1), for_gpu=("Classroom",))
    runner = Runner(store_at(tmp_path, {"good": long}), InThread(), {"good": long})
    monkeypatch.setattr(runner, "_pick", lambda name: torch.device(device))
    monkeypatch.setattr(runner, "_calibration", lambda where: Calibration())
    knobs = RunKnobs().model_copy(update={"seed": RunKnobs().seed + seed})
    try:
        if refused:
            with pytest.raises(CostError, match="about 2 h, longer than the about 60 min"):
                runner.submit(long, knobs)
        else:
            assert runner.submit(long, knobs).key == long.key(knobs)
    finally:
        runner.close()


def test_a_run_waits_for_memory_that_another_holds_and_is_refused_where_nobody_will_give_it_back(
    tmp_path, gate, monkeypatch
):
    monkeypatch.setattr("core.resources.memory", lambda: Amount(free=1, total=10))
    monkeypatch.setitem(LESSONS, "large", lesson("large", cost_of=lambda knobs: Cost(0, 0, 0, 5)))
    with running(tmp_path, gate) as runner:
        with pytest.raises(CostError, match="that this machine has left"):
            submit(runner, "large")
        begun(runner, submit(runner, "gate"))
        run = submit(runner, "large")
        gate.opened.set()
        assert ended(runner, run) is State.FAILED
        assert "of memory, more than the 0.0 GiB that this machine has left" in run.error


class Late(InThread):
    """An engine that knows its devices only when it is to train: none but a CPU that works."""

    def __init__(self) -> None:
        self.machine, self.may_begin = UNKNOWN, threading.Event()

    def warm(self) -> None:
        """Learns nothing yet."""

    def ready(self, stop):
        self.may_begin.wait(PATIENCE)
        self.machine = Machine({"cpu": "CPU"}, {"cpu": Calibration()}, 1, {}, {"cuda": "no driver"})
        return self.machine


@pytest.mark.parametrize(
    ("asked", "most", "state", "error"),
    [
        ("auto", 60.0, State.DONE, ""),
        ("cpu", 60.0, State.DONE, ""),
        (
            "cuda",
            60.0,
            State.FAILED,
            "device = cuda is listed by torch but does not work (no driver); choose auto or cpu.",
        ),
        ("auto", 0.0, State.FAILED, "longer than"),
    ],
)
def test_a_run_that_was_meant_for_a_gpu_that_does_not_work_trains_elsewhere(
    tmp_path, monkeypatch, asked, most, state, error
):
    listed = Devices({"cuda": "cuda", "cpu": "cpu"})
    monkeypatch.setattr("core.device.listed", lambda: listed)
    with running(tmp_path, engine=Late()) as runner:
        run = runner.submit(LESSONS["good"], RunKnobs(), device=asked)
        monkeypatch.setattr(runner_module, "MOST_SECONDS", most)
        runner.engine.may_begin.set()
        assert ended(runner, run) is state
        assert error in run.error
        assert state is State.FAILED or run.device == "CPU"


def test_a_lesson_that_the_engine_does_not_know_is_refused(tmp_path):
    with running(tmp_path) as runner, pytest.raises(LookupError, match="good is not the lesson of that name"):
        runner.submit(lesson("good"), RunKnobs())


# Whatever a lesson does


@pytest.mark.parametrize(
    ("slug", "sentence"),
    [
        ("failing", "Tiny failed at pass 7 (ZeroDivisionError: a fault); turn a knob back, or press Run to try again."),
        ("leaving", "Tiny failed at pass 0 (SystemExit: I leave); turn a knob back, or press Run to try again."),
        ("without-data", "The pictures are damaged; download them anew."),
        (
            "falling",
            "Tiny could not be trained (FrameError: step 0.0 comes after step 1.0); turn a knob back, or press Run to "
            "try again.",
        ),
        (
            "bad-facts",
            "Tiny was trained, but its facts and claims could not be made out (KeyError: 'no such curve'); turn a knob "
            "back, or press Run to try again.",
        ),
        (
            "bad-claims",
            "Tiny was trained, but its facts and claims could not be made out (KeyError: 'no such curve'); turn a knob "
            "back, or press Run to try again.",
        ),
        (
            "leaving-facts",
            "Tiny was trained, but its facts and claims could not be made out (SystemExit: I leave); turn a knob back, "
            "or press Run to try again.",
        ),
    ],
)
def test_a_lesson_that_fails_costs_its_own_run_only(tmp_path, slug, sentence):
    with running(tmp_path) as runner:
        run = submit(runner, slug)
        behind = submit(runner, "good")
        assert ended(runner, run) is State.FAILED
        assert run.error == sentence
        assert len(run.recording) > 0
        assert runner.get(run.key) is run
        assert ended(runner, behind) is State.DONE
        assert runner.store.interrupted() == []
        assert submit(runner, slug) is not run


def test_only_the_newest_runs_stay_in_memory(tmp_path):
    with running(tmp_path) as runner:
        runs = [submit(runner, "failing", str(seed), seed=seed) for seed in range(MOST_RECENT + 2)]
        for run in runs:
            ended(runner, run)
        assert len(runner.recent()) == MOST_RECENT
        assert runner.get(runs[1].key) is None
        assert runner.get(runs[2].key) is runs[2]


# Trouble with the disk


class FullFiles(QuickFiles):
    """A disk that may be full."""

    full = False

    def create(self, path):
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().create(path)


def test_a_run_that_cannot_be_saved_is_shown_and_saved_when_asked_for_again(tmp_path):
    files = FullFiles()
    files.full = True
    with running(tmp_path, store=Store(tmp_path / "cache", [], LESSONS, files)) as runner:
        run = submit(runner, "good")
        assert ended(runner, run) is State.DONE
        assert "could not be saved" in run.error
        assert (run.manifest, len(run.recording), runner.get(run.key)) == (None, 5, run)
        assert submit(runner, "good") is run
        assert "could not be saved" in run.error
        files.full = False
        assert submit(runner, "good") is run
        assert run.error == ""
        assert run.manifest is not None
    assert store_at(tmp_path).get(run.key) is not None


class BrokenStore(Store):
    """A store that can neither clean up nor note what trains."""

    def recover(self):
        raise StoreError("What the last server left behind could not be cleaned up.")

    def begin(self, run):
        raise StoreError("The run trains but could not be noted on disk.")


def test_a_store_that_cannot_note_what_trains_does_not_keep_it_from_training(tmp_path):
    with running(tmp_path, store=BrokenStore(tmp_path / "cache", [], LESSONS, QuickFiles())) as runner:
        assert ended(runner, submit(runner, "good")) is State.DONE


def test_what_trains_is_noted_on_disk_for_as_long_as_it_does(tmp_path, gate):
    with running(tmp_path, gate) as runner:
        run = begun(runner, submit(runner, "gate"))
        notes = runner.store.runs / ".jobs"
        assert [note.name.partition("-")[0] for note in notes.iterdir()] == [run.key]
        gate.opened.set()
        ended(runner, run)
        assert list(notes.iterdir()) == []


def test_a_new_server_says_what_the_last_one_was_cut_off_from(tmp_path):
    dead = store_at(tmp_path)
    cut_off = Run(LESSONS["good"], RunKnobs(seed=9), LESSONS["good"].key(RunKnobs(seed=9)))
    dead.begin(cut_off)
    die(dead)
    with running(tmp_path) as runner:
        ended(runner, submit(runner, "good"))
        assert runner.get(cut_off.key).state is State.INTERRUPTED
        again = submit(runner, "good", seed=9)
        assert ended(runner, again) is State.DONE
        assert runner.get(cut_off.key) is again


# With the training process


@pytest.fixture(scope="module")
def process():
    """One warm training process for the tests below; they close their runners, but not this."""

    class Kept(InProcess):
        def close(self) -> None:
            pass

    engine = Kept(HERE)
    yield engine
    InProcess.close(engine)


def test_runs_stopped_at_random_moments_leave_the_next_one_whole(tmp_path, process):
    moments = random.Random(0)
    with running(tmp_path, engine=process) as runner:
        for seed in range(10):
            run = submit(runner, "good", seed=seed, frames=10**6, pause=0.002)
            time.sleep(moments.random() * 0.05)
            assert runner.stop(run, "ann")
            assert ended(runner, run) is State.STOPPED
        whole = submit(runner, "good", seed=3)
        assert ended(runner, whole) is State.DONE
    with running(tmp_path / "other") as runner:
        again = submit(runner, "good", seed=3)
        ended(runner, again)
        for curve in ("loss", "accuracy"):
            assert (again.recording.curve(curve)[1] == whole.recording.curve(curve)[1]).all()


def test_a_killed_process_costs_the_run_that_trained_in_it(tmp_path, process):
    with running(tmp_path, engine=process) as runner:
        run = begun(runner, submit(runner, "good", frames=10**6, pause=0.01))
        behind = submit(runner, "good", "ben")
        os.kill(int(run.recording.picture("process")[0]), signal.SIGKILL)
        assert ended(runner, run) is State.FAILED
        assert "ended by signal 9 (SIGKILL) at pass" in run.error
        assert ended(runner, behind) is State.DONE


def test_a_run_that_will_not_end_is_ended_and_the_next_one_trains(tmp_path, process, monkeypatch):
    monkeypatch.setattr("core.cost.GRACE", 0.3)
    with running(tmp_path, engine=process) as runner:
        run = submit(runner, "quiet")
        behind = submit(runner, "good", "ben")
        assert ended(runner, run) is State.FAILED
        assert "many times what it was said to take" in run.error
        assert ended(runner, behind) is State.DONE


def test_closing_stops_all_and_leaves_no_process_and_no_thread(tmp_path):
    threads, engine = threading.active_count(), InProcess(HERE)
    runner = Runner(store_at(tmp_path), engine, LESSONS)
    run = begun(runner, submit(runner, "good", frames=10**6, pause=0.01))
    waiting = submit(runner, "good", "ben")
    child = engine._child
    runner.close()
    runner.close()
    assert (run.state, waiting.state) == (State.STOPPED, State.STOPPED)
    assert child.process.poll() is not None
    assert threading.active_count() == threads
    with pytest.raises(QueueFull, match="closing"):
        submit(runner, "good", "zoe", seed=9)
