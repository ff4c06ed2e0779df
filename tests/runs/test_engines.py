"""Engines: the same frames from this thread and from a child process, and what becomes of a child that goes wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from core import device
from core.cost import Calibration
from core.frames import Recording
from core.places import ROOT
from core.resources import Amount
from core.runs import engines
from core.runs.engines import UNKNOWN, EngineError, InProcess, InThread, Stopped
from tests.runs.fakes import same
from tests.runs.lessons_to_run import HERE, LESSONS, RunKnobs

CPU = torch.device("cpu")
OUT_OF_MEMORY = "Tiny ran out of memory at pass 0; choose fewer or smaller nets, or fewer examples."
PATIENCE = 180.0  # seconds within which everything here ends on the slowest machine


@pytest.fixture(scope="module")
def in_process():
    with closing(InProcess(HERE)) as engine:
        yield engine


@pytest.fixture(params=["in_thread", "in_process"])
def engine(request):
    return request.getfixturevalue("in_process") if request.param == "in_process" else InThread()


def frames(engine, slug, stop=None, **knobs):
    return engine.frames(LESSONS[slug], RunKnobs(**knobs), CPU, stop or threading.Event())


def record(engine, slug, **knobs) -> Recording:
    recording = Recording()
    for frame in frames(engine, slug, **knobs):
        recording.append(frame)
    return recording


def frames_until_stopped(engine, slug, stop_at, **knobs) -> int:
    """Stop at a frame; how many came all the same."""
    stop, count = threading.Event(), 0
    try:
        for count, _ in enumerate(frames(engine, slug, stop, **knobs), start=1):
            if count == stop_at:
                stop.set()
    except Stopped:
        return count
    raise AssertionError("it was not stopped")


def stop_far_from_a_frame(engine, slug) -> None:
    """Stop a lesson when its process bears its name, which is when it has gone about something that takes long."""
    name, stop = Path(f"/proc/{pid_of(engine)}/comm"), threading.Event()
    there = lambda: name.read_text(encoding="utf-8").strip() == slug  # noqa: E731
    watch = threading.Thread(target=lambda: eventually(there) and stop.set())
    with closing(frames(engine, slug, stop)) as found:
        assert next(found).step == 0
        watch.start()
        with pytest.raises(Stopped):
            list(found)
    watch.join()


def pid_of(engine) -> int:
    return int(record(engine, "good", frames=1).picture("process")[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be taken note of does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(holds) -> bool:
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# What they find


@pytest.fixture
def broken_gpu(monkeypatch, tmp_path):
    """Every process that starts from here on lists a GPU that does not work."""
    (tmp_path / "sitecustomize.py").write_text(LISTS_A_GPU, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


LISTS_A_GPU = """
import importlib.util, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.cuda.is_available = lambda: True
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def test_a_gpu_that_does_not_work_is_left_out_by_the_training_process(broken_gpu):
    with closing(InProcess(HERE)) as engine:
        machine = engine.ready(threading.Event())
        assert list(machine.devices) == list(machine.calibrations) == ["cpu"]
        assert list(machine.broken) == ["cuda"]
        assert machine.found.pick("auto") == CPU
        assert len(record(engine, "good")) == 5


def test_a_device_that_fails_while_it_is_measured_is_left_out(monkeypatch):
    def measured(where):
        if where.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 MiB.\nGPU 0")
        return Calibration()

    found = device.Devices({"cuda": "NVIDIA H200", "cpu": "CPU, 2 cores"})
    monkeypatch.setattr(device, "working", lambda: found)
    monkeypatch.setattr(engines, "calibrate", measured)
    machine = engines.Machine.measured()
    assert machine.devices == {"cpu": "CPU, 2 cores"}
    assert machine.broken == {"cuda": "CUDA out of memory. Tried to allocate 4 MiB"}


# What they give


def test_thread_and_process_give_the_same_frames_bit_for_bit(in_process):
    recordings = [
        record(engine, "good", seed=seed) for engine in (InThread(), in_process, in_process) for seed in (3, 4)
    ]
    plain = [recording.arrays() for recording in recordings]
    for arrays in plain:
        for name in [name for name in arrays if name.startswith("picture/process/")]:
            del arrays[name]
    three, four = [Recording.from_arrays(arrays) for arrays in plain[0::2]], plain[1]
    assert same(three[0], three[1])
    assert same(three[0], three[2])
    assert not same(three[0], Recording.from_arrays(four))


def test_the_child_is_a_quiet_process_of_its_own_without_streamlit(in_process):
    pid, session, nice, threads, _, streamlit = record(in_process, "good", frames=1).picture("process")
    assert pid != os.getpid()
    assert session == pid
    assert nice >= min(19, os.getpriority(os.PRIO_PROCESS, 0) + 19)
    assert threads == device.threads()
    assert not streamlit


def test_one_child_serves_run_after_run(in_process):
    assert pid_of(in_process) == pid_of(in_process)


def test_threads_of_this_process_are_as_they_were_after_a_run_in_it(monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_THREADS", "3")
    before = torch.get_num_threads()
    assert record(InThread(), "good").picture("process")[3] == 3
    assert torch.get_num_threads() == before


def test_the_machine_is_known_once_the_engine_is_ready(engine):
    machine = engine.ready(threading.Event())
    assert machine == engine.machine
    assert machine.devices["cpu"] == device.describe(CPU)
    assert machine.calibrations["cpu"].flops > 1e6
    assert machine.threads == device.threads()
    assert machine.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"python", "numpy"} <= set(machine.versions)


def test_more_than_the_line_holds_comes_through_to_a_slow_reader(in_process):
    for k, frame in enumerate(frames(in_process, "loud", frames=12)):
        time.sleep(0.01)
        assert (frame.pictures["noise"] == k).all()
    assert k == 11


def test_a_frame_is_a_copy(engine):
    found = list(frames(engine, "good", frames=2))
    assert all(type(value) is np.ndarray for frame in found for value in frame.curves.values())
    assert not np.array_equal(found[0].pictures["weights"], found[1].pictures["weights"])


# Stopping


def test_stop_ends_a_run_at_its_next_frame_and_the_child_stays(engine):
    pid = pid_of(engine)
    assert 3 <= frames_until_stopped(engine, "good", stop_at=3, frames=10**6, pause=0.01) < 1000
    assert pid_of(engine) == pid


def test_stop_reaches_into_a_lesson_that_is_far_from_its_next_frame(in_process):
    before = record(in_process, "good", frames=1).picture("process")
    stop_far_from_a_frame(in_process, "quiet")
    stop_far_from_a_frame(in_process, "quiet")
    after = record(in_process, "good", frames=1).picture("process")
    assert (after == before).all()  # the same process, with gradients on again
    assert after[4]


@pytest.mark.parametrize("slug", ["importing", "compiling"])
def test_stop_cuts_neither_an_import_nor_a_compilation_in_two(in_process, slug):
    pid = pid_of(in_process)
    stop_far_from_a_frame(in_process, slug)
    assert len(record(in_process, slug)) == 2
    assert pid_of(in_process) == pid


def test_stop_frees_a_child_that_waits_for_room_to_write(in_process):
    pid, stop = pid_of(in_process), threading.Event()
    with closing(frames(in_process, "loud", stop, frames=10**6)) as found:
        next(found)
        time.sleep(0.2)  # the line is full now
        stop.set()
        with pytest.raises(Stopped):
            list(found)
    assert pid_of(in_process) == pid


def test_a_late_stop_does_not_hit_the_next_run(in_process):
    stop = threading.Event()
    found = list(frames(in_process, "good", stop, frames=3))
    stop.set()
    assert len(found) == 3
    assert len(record(in_process, "good", frames=20, pause=0.005)) == 20


class Filled:
    """The line to a child that has said everything, up to the end of its run."""

    def __init__(self, line):
        self.line, self.held = line, deque(iter(line.recv, None))
        self.held.append(None)

    def poll(self, patience=0.0):
        return bool(self.held) or self.line.poll(patience)

    def recv(self):
        return self.held.popleft() if self.held else self.line.recv()

    def send(self, message):
        self.line.send(message)


def test_a_run_that_came_to_its_end_before_the_stop_is_done(in_process, monkeypatch):
    stop = threading.Event()
    found = frames(in_process, "good", stop, frames=3)
    first, child = next(found), in_process._child
    monkeypatch.setattr(child, "line", Filled(child.line))
    stop.set()
    assert [first.step, *(frame.step for frame in found)] == [0, 1, 2]


def test_a_child_that_does_not_listen_is_killed_and_another_one_trains(in_process):
    pid = pid_of(in_process)
    stop_far_from_a_frame(in_process, "deaf")
    assert eventually(lambda: not alive(pid))
    assert pid_of(in_process) != pid


def test_a_reader_who_leaves_leaves_nothing_training(in_process):
    pid = pid_of(in_process)
    with closing(frames(in_process, "deaf")) as found:
        next(found)
    assert eventually(lambda: not alive(pid))


def test_stop_does_not_wait_for_a_child_that_is_getting_ready():
    with closing(InProcess(HERE)) as engine:
        stop = threading.Event()
        stop.set()
        with pytest.raises(Stopped):
            engine.ready(stop)
        assert engine.machine is UNKNOWN


# Going wrong


def test_a_killed_child_costs_one_run_and_says_what_killed_it(in_process):
    with pytest.raises(EngineError) as caught:
        record(in_process, "mortal")
    assert str(caught.value) == (
        "The training process was ended by signal 9 (SIGKILL) at pass 2; nothing else was lost; press Run to start it "
        "again."
    )
    assert len(record(in_process, "good")) == 5


def test_a_child_killed_while_idle_costs_nothing(in_process):
    pid = pid_of(in_process)
    os.kill(pid, signal.SIGKILL)
    next_pid = pid_of(in_process)  # at once: it may not even be dead yet
    assert next_pid != pid
    child = in_process._child
    os.kill(next_pid, signal.SIGKILL)
    assert eventually(lambda: in_process.warm() or in_process._child is not child)


@pytest.mark.parametrize(
    ("slug", "sentence", "trace"),
    [
        (
            "failing",
            "Tiny failed at pass 7 (ZeroDivisionError: a fault); turn a knob back, or press Run to try again.",
            "in failing",
        ),
        ("leaving", "Tiny failed at pass 0 (SystemExit: I leave); turn a knob back, or press Run to try again.", "sys"),
        ("cuda-memory", OUT_OF_MEMORY, "in train"),
        ("cuda-memory-late", OUT_OF_MEMORY, "in train"),
        ("no-memory", OUT_OF_MEMORY, "in train"),
        ("greedy", "Tiny ran out of memory at pass 0; choose fewer or smaller nets, or fewer examples.", "in greedy"),
        (
            "odd",
            "Tiny failed before its first frame (FrameError: picture what is no plain array); turn a knob back, or "
            "press Run to try again.",
            "_plain",
        ),
        ("without-data", "The pictures are damaged; download them anew.", ""),
    ],
)
def test_a_lesson_that_fails_ends_in_one_sentence(slug, sentence, trace):
    with pytest.raises(EngineError) as caught:
        record(InThread(), slug)
    assert str(caught.value) == sentence
    assert trace in caught.value.details
    assert bool(caught.value.details) == bool(trace)


def test_the_sentence_comes_from_a_child_as_it_was_and_only_surprises_cost_the_process(in_process):
    pid = pid_of(in_process)
    with pytest.raises(EngineError, match=r"The pictures are damaged; download them anew.") as caught:
        record(in_process, "without-data")
    assert caught.value.details == ""
    assert pid_of(in_process) == pid
    with pytest.raises(EngineError, match=r"Tiny failed at pass 7 \(ZeroDivisionError: a fault\)") as caught:
        record(in_process, "failing")
    assert "in failing" in caught.value.details
    assert pid_of(in_process) != pid


@pytest.mark.parametrize(("slug", "said"), [("mps-type", "TypeError: Cannot"), ("mps-operator", "Error: The operator")])
def test_what_apples_gpu_cannot_do_ends_in_a_sentence_with_another_device(slug, said):
    with pytest.raises(EngineError, match=f"^Tiny cannot train on Apple's GPU, the device mps .*{said}") as caught:
        list(InThread().frames(LESSONS[slug], RunKnobs(), torch.device("mps"), threading.Event()))
    assert str(caught.value).endswith("); choose the device auto or cpu.")
    with pytest.raises(EngineError, match="turn a knob back"):
        list(InThread().frames(LESSONS[slug], RunKnobs(), CPU, threading.Event()))


@pytest.mark.parametrize(
    ("slug", "sentence"),
    [
        (
            "cuda-assert",
            "Tiny failed at pass 0 (RuntimeError: CUDA error: device-side assert triggered); turn a knob back, or "
            "press Run to try again.",
        ),
        (
            "segfault",
            "The training process was ended by signal 11 (SIGSEGV) at pass 0; nothing else was lost; press Run to "
            "start it again.",
        ),
    ],
)
def test_what_poisons_a_process_costs_one_run_and_that_process(in_process, slug, sentence):
    pid = pid_of(in_process)
    with pytest.raises(EngineError) as caught:
        record(in_process, slug)
    assert str(caught.value) == sentence
    assert eventually(lambda: not alive(pid))
    assert pid_of(in_process) != pid


def test_what_takes_too_much_memory_is_ended_and_so_is_its_process(in_process, monkeypatch):
    monkeypatch.setattr(engines, "MOST_BYTES", 300 * 2**20)
    pid = pid_of(in_process)
    with pytest.raises(
        EngineError, match=r"^Tiny was ended at pass \d+, since it took 0\.\d GiB of memory, more than the "
    ):
        record(in_process, "hungry")
    assert eventually(lambda: not alive(pid))
    assert len(record(in_process, "good")) == 5


def test_what_takes_more_memory_than_this_machine_has_left_is_ended_before_the_system_does(in_process, monkeypatch):
    monkeypatch.setattr(engines.resources, "memory", lambda: Amount(free=300 * 2**20, total=2**30))
    with pytest.raises(EngineError, match=r"^Tiny was ended at pass \d+, since it took .* more than the 0\.3 GiB"):
        record(in_process, "hungry")


@pytest.mark.parametrize("slug", ["good", "quiet"])
def test_what_takes_too_long_is_ended(in_process, slug):
    knobs = RunKnobs(frames=10**6, pause=0.01)
    engine = in_process if slug == "quiet" else InThread()
    with pytest.raises(
        EngineError, match=r"^Tiny was ended at pass \d+ after under 1 s, many times what it was said to"
    ):
        list(engine.frames(LESSONS[slug], knobs, CPU, threading.Event(), limit=0.3))


def test_a_child_that_cannot_get_ready_says_why_and_is_tried_again_only_when_asked(capfd):
    with closing(InProcess("tests.runs.nowhere:LESSONS")) as engine:
        with pytest.raises(EngineError, match=r"could not get ready and says: ModuleNotFoundError: .*nowhere.*;"):
            engine.ready(threading.Event())
        child = engine._child
        engine.warm()
        assert engine._child is child


# The end


def test_nothing_is_left_when_an_engine_closes():
    engine = InProcess(HERE)
    engine.warm()
    child = engine._child
    engine.close()
    engine.close()
    assert child.ended
    with pytest.raises(Stopped):
        engine.ready(threading.Event())
    engine.warm()
    assert engine._child is None or engine._child.ended


PARENT = """
import threading, torch
from core.runs.engines import InProcess
from tests.runs.lessons_to_run import HERE, LESSONS, RunKnobs
print("main", flush=True)
engine = InProcess(HERE)
for slug in ("good", "quiet"):
    knobs, stop = RunKnobs(frames=1), threading.Event()
    for frame in engine.frames(LESSONS[slug], knobs, torch.device("cpu"), stop):
        print(*frame.pictures.get("process", ["quiet"]), flush=True)
"""


def test_the_child_dies_with_a_parent_that_was_killed_and_never_runs_its_main_module(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment) as parent:
        said = [parent.stdout.readline().split() for _ in range(3)]
        parent.kill()
    assert [said[0], said[2]] == [["main"], ["quiet"]]
    assert eventually(lambda: not alive(int(said[1][0])))


# Which one


def test_the_environment_chooses_the_engine(monkeypatch):
    monkeypatch.delenv("GRADIENT_LAB_ENGINE", raising=False)
    assert isinstance(engines.chosen(), InProcess)
    monkeypatch.setenv("GRADIENT_LAB_ENGINE", "in_thread")
    assert isinstance(engines.chosen(), InThread)
    monkeypatch.setenv("GRADIENT_LAB_ENGINE", "warp")
    with pytest.raises(EngineError, match=r"GRADIENT_LAB_ENGINE = warp is no engine; choose in_process or in_thread."):
        engines.chosen()
