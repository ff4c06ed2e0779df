"""Engines: where frames come from. This thread, or a warm child process, which is the rule.

Torch's seed and number of threads belong to a whole process, a CUDA assert poisons its process for good, and Python
that trains holds up Python that answers pages. So training has a process of its own, which can also be killed. It is
started early and waits with everything imported, compiled and measured; when it dies, that costs one run.
"""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from multiprocessing.connection import Pipe
from typing import Any, NoReturn, Protocol, cast

import numpy as np
import torch

from core import device, resources
from core.cost import MOST_BYTES, Calibration, CostError, calibrate, spell_seconds
from core.data import DataError
from core.device import DeviceError, Devices
from core.frames import Frame, FrameError
from core.knobs import KnobError, Knobs, clip
from core.lesson import AnyLesson
from core.places import ROOT

LESSONS = "core.lessons:LESSONS"
PATIENCE = 0.7  # seconds a training process may take to stop; then it is killed
LOOK = 0.02  # seconds between two looks at whether to stop, while no frame comes
FAREWELL = 2.0  # seconds a process that hung up may take to end
WATCH = 0.2  # seconds between two looks at how much a training process takes
VERSIONS = ("torch", "numpy", "numba")
NO_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)  # how torch says it without its own type
MPS_LACKS = re.compile("mps|float64", re.IGNORECASE)  # how torch names what Apple's GPU cannot do
SENTENCES = (KnobError, CostError, DataError, DeviceError)
"""Errors whose message is a sentence for the reader already."""

Frames = Generator[Frame, None, None]


class EngineError(RuntimeError):
    """Training ended by itself and should not have. Its text is one sentence for the reader.

    Attributes:
        details: the trace for the log; "" where the sentence says it all.
    """

    def __init__(self, sentence: str, details: str = "") -> None:
        super().__init__(sentence, details)  # both, or it could not travel between processes
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])


class Stopped(Exception):
    """Training was cut short because somebody asked for it."""


@dataclass(frozen=True)
class Machine:
    """What training finds here.

    Attributes:
        devices: type of device → what it is called; those that work, the CPU among them.
        calibrations: type of device → how quick it is.
        threads: that torch takes for training.
        versions: package → version; all on which a run's numbers may depend.
        broken: type of device that is listed and does not work → why.
    """

    devices: Mapping[str, str]
    calibrations: Mapping[str, Calibration]
    threads: int
    versions: Mapping[str, str]
    broken: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def measured(cls) -> "Machine":
        """What this process finds; a tenth of a second for each device. Raises `DeviceError`."""
        threads = device.threads()
        found = device.working()
        versions = {"python": sys.version.split()[0]}
        for package in VERSIONS:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        broken, calibrations = dict(found.broken), {}
        with device.taking_threads(threads):
            for kind in found.names:
                try:
                    calibrations[kind] = calibrate(torch.device(kind))
                except Exception as error:
                    if kind == "cpu":
                        raise
                    broken[kind] = device.reason(error)
        names = {kind: name for kind, name in found.names.items() if kind in calibrations}
        return cls(names, calibrations, threads, versions, broken)

    @property
    def found(self) -> Devices:
        """Its devices, to pick from; while nothing is known of them, what torch lists."""
        return Devices(self.devices, self.broken) if self.devices else device.listed()


UNKNOWN = Machine(devices={}, calibrations={}, threads=0, versions={})


class Engine(Protocol):
    """Turns lesson and knobs into frames. One thread at a time may use it, except for `machine` and `close`."""

    @property
    def machine(self) -> Machine:
        """What is known about this machine; `UNKNOWN` until it was measured."""

    def warm(self) -> None:
        """Get ready for the next run without waiting for it, again and again while there is nothing to do."""

    def ready(self, stop: threading.Event) -> Machine:
        """Wait until training can start. Raises `Stopped` and `EngineError`."""

    def frames(
        self, lesson: AnyLesson, knobs: Knobs, where: torch.device, stop: threading.Event, limit: float = math.inf
    ) -> Frames:
        """Train, frame by frame. A generator: close it.

        Args:
            lesson: what to train.
            knobs: of that lesson.
            where: on which device.
            stop: set to end it.
            limit: seconds after which it is ended. Its memory is limited too, as far as an engine can.

        Raises:
            Stopped: `stop` was set and cut the training short; had it come to its end before, that stands.
            EngineError: the training failed, took too much, or its process died.
        """

    def close(self) -> None:
        """End everything that was started. Twice does no harm."""


def chosen() -> Engine:
    """The engine that `GRADIENT_LAB_ENGINE` names: in_process, where nothing is said, or in_thread.

    Raises `EngineError` for any other word.
    """
    usual = "in_thread" if sys.platform == "win32" else "in_process"  # no socket can be handed to a child there
    name = os.environ.get("GRADIENT_LAB_ENGINE", "").strip() or usual
    if name == "in_process":
        return InProcess()
    if name == "in_thread":
        return InThread()
    raise EngineError(f"GRADIENT_LAB_ENGINE = {clip(name)} is no engine; choose in_process or in_thread.")


# ---- in this thread ------------------------------------------------------------------------------------------------


class InThread:
    """Trains in the thread that asks for the frames: for tests, the command line, and hosts that start no process."""

    @cached_property
    def machine(self) -> Machine:
        """Measured at first need."""
        return Machine.measured()

    def warm(self) -> None:
        """Measure the machine."""
        _ = self.machine

    def ready(self, stop: threading.Event) -> Machine:
        """At once."""
        return self.machine

    def frames(
        self, lesson: AnyLesson, knobs: Knobs, where: torch.device, stop: threading.Event, limit: float = math.inf
    ) -> Frames:
        """As `Engine.frames`; a lesson ends at its next frame, and its memory cannot be told from that of others."""
        watch = _Watch(None, limit)
        with device.taking_threads(self.machine.threads):
            for frame in trained(lesson, knobs, where, stop):
                yield frame
                watch.look(lesson, frame.step)

    def close(self) -> None:
        """Nothing to end."""


def trained(lesson: AnyLesson, knobs: Knobs, where: torch.device, stop: threading.Event) -> Frames:
    """The lesson's frames as plain NumPy copies; whatever it raises becomes an `EngineError`."""
    step = None
    try:
        with closing(cast("Any", lesson.train(knobs, where))) as frames:
            for frame in frames:
                frame = _plain(frame)
                step = frame.step
                yield frame
                if stop.is_set():
                    raise Stopped
    except (GeneratorExit, Stopped):
        raise
    except BaseException as error:  # SystemExit too: no lesson may end the thread or process that serves all
        raise EngineError(*_failure(lesson, step, error, where)) from error


def _plain(frame: Frame) -> Frame:
    # A tensor would travel through shared memory, and a view of the trainer's buffer would change on its way.
    curves = {name: np.asarray(value).astype(np.float64) for name, value in frame.curves.items()}
    pictures = {name: np.asarray(value).copy() for name, value in frame.pictures.items()}
    for name, picture in pictures.items():
        if picture.dtype == object:
            raise FrameError(f"picture {name} is no plain array")
    return Frame(float(frame.step), curves, pictures, float(frame.progress))


def _failure(lesson: AnyLesson, step: float | None, error: BaseException, device: torch.device) -> tuple[str, str]:
    """The sentence for the reader, and the trace for the log."""
    if isinstance(error, SENTENCES):
        return str(error), ""
    trace = "".join(traceback.format_exception(error))
    where = _reached(lesson, step)
    said = clip(" ".join([type(error).__name__ + ":", *str(error).split("\n", 1)[0].split()]), 160).rstrip(".:")
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or NO_MEMORY.search(str(error)):
        return f"{lesson.title} ran out of memory {where}; choose fewer or smaller nets, or fewer examples.", trace
    if device.type == "mps" and MPS_LACKS.search(str(error)):
        return (
            f"{lesson.title} cannot train on Apple's GPU, the device mps ({said}); choose the device auto or cpu.",
            trace,
        )
    return f"{lesson.title} failed {where} ({said}); turn a knob back, or press Run to try again.", trace


def _reached(lesson: AnyLesson, step: float | None) -> str:
    return "before its first frame" if step is None else f"at {lesson.axis} {step:g}"


# ---- in a process of its own ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What the child is asked to train. It answers with `BEGUN`, frames, and then one `Ending`."""

    slug: str
    knobs: Mapping[str, Any]
    device: str
    code_hash: str = ""  # of a lesson of one's own: what trains is what the page showed


BEGUN = "begun"
"""Says that the child has taken the request."""

STOP = "stop"
"""Asks it to end what it trains."""

Ending = Stopped | EngineError | None
"""How a training ended; None: it is done."""


class InProcess:
    """Trains in a warm child process.

    Args:
        lessons: where the child finds the lessons: "module:name of a library or a sequence".
    """

    def __init__(self, lessons: str = LESSONS) -> None:
        self.machine = UNKNOWN
        self._lessons = lessons
        self._child: _Child | None = None
        self._closed = False
        self._swap = threading.Lock()

    def warm(self) -> None:
        """Start the child if there is none or the last one ended; note when it is ready."""
        child = self._child
        if child is None or (child.ended and child.machine is not None):
            self._replace()
        # One that never got ready would not the next time either: that is tried when somebody wants to train.
        elif child.machine is None and not child.ended:
            self.machine = child.greeting(patience=0) or self.machine

    def ready(self, stop: threading.Event) -> Machine:
        """Wait for the child, a new one if need be."""
        if self._child is None or self._child.ended:
            self._replace()
        while self._child is not None and not stop.is_set():
            if machine := self._child.greeting(patience=LOOK):
                self.machine = machine
                return machine
        raise Stopped

    def frames(
        self, lesson: AnyLesson, knobs: Knobs, where: torch.device, stop: threading.Event, limit: float = math.inf
    ) -> Frames:
        """As `Engine.frames`; a child that does not stop in time, or takes too much, is killed."""
        child = self._begun(Request(lesson.slug, knobs.model_dump(), str(where), lesson.code_hash), stop)
        watch = _Watch(child.process.pid, limit)
        step, settled, kill_at = None, False, float("inf")
        try:
            while time.monotonic() < kill_at:
                if stop.is_set() and kill_at == float("inf"):
                    child.line.send(STOP)
                    kill_at = time.monotonic() + PATIENCE
                watch.look(lesson, step)
                # Whatever comes meanwhile is read, or the child could wait for room to write while we wait for it.
                if not child.line.poll(LOOK):
                    continue
                message = child.line.recv()
                if isinstance(message, Frame):
                    step = message.step
                    yield message
                    continue
                # After an error that nobody foresaw, the process may be as poisoned as a CUDA assert leaves it.
                settled = not (isinstance(message, EngineError) and message.details)
                if message is None:
                    return
                raise message
            raise Stopped
        except (EOFError, OSError) as error:
            if stop.is_set():
                raise Stopped from error
            raise EngineError(
                f"The training process was ended by {child.cause_of_death()} {_reached(lesson, step)}; nothing else "
                "was lost; press Run to start it again."
            ) from error
        finally:
            if not settled:
                child.kill()

    def close(self) -> None:
        """Kill the child."""
        with self._swap:
            self._closed = True
            if self._child is not None:
                self._child.kill()
                self._child.bury()

    def _begun(self, request: Request, stop: threading.Event) -> "_Child":
        """The child that took the request. It may have been killed since it was last heard of: then it is the next."""
        while True:
            self.ready(stop)
            child = self._child
            if child is None:
                raise Stopped
            try:
                child.line.send(request)
                kill_at = time.monotonic() + PATIENCE
                while not child.line.poll(LOOK):
                    if stop.is_set() and time.monotonic() > kill_at:
                        child.kill()
                        raise Stopped
                if child.line.recv() == BEGUN:
                    return child
            except (EOFError, OSError):
                child.kill()

    def _replace(self) -> None:
        """A fresh child in the place of the one there is; it gets ready in its own time."""
        with self._swap:
            before, self._child = self._child, None if self._closed else _Child(self._lessons)
            if before is not None:
                before.kill()
                before.bury()


class _Watch:
    """Looks after what a training takes, from outside: what hangs or swallows memory would not look after itself.

    Its memory is what its process has grown by. A limit of the operating system would count all that CUDA and torch
    merely reserve; and an allocation that fails in the midst of a library may end anywhere.
    """

    def __init__(self, pid: int | None, seconds: float) -> None:
        self._pid, self._seconds, self._began = pid, seconds, time.monotonic()
        self._held, self._next = self._resident(), 0.0
        room = resources.memory()  # beyond it the system would end some process, and say nothing
        self._most = MOST_BYTES if room is None else min(MOST_BYTES, room.free)

    def look(self, lesson: AnyLesson, step: float | None) -> None:
        """`EngineError` where it takes too much. Looks again only after a moment."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + WATCH
        if now > self._began + self._seconds:
            raise EngineError(
                f"{lesson.title} was ended {_reached(lesson, step)} after {spell_seconds(now - self._began)}, many "
                "times what it was said to take; turn a knob back, or press Run to try again."
            )
        grown = self._resident() - self._held
        if grown > self._most:
            raise EngineError(
                f"{lesson.title} was ended {_reached(lesson, step)}, since it took {grown / 2**30:.1f} GiB of memory, "
                f"more than the {self._most / 2**30:.1f} GiB a run may take; choose fewer or smaller nets, or fewer "
                "examples."
            )

    def _resident(self) -> int:
        """The bytes of memory that the process has now; 0 where that cannot be told."""
        if self._pid is None:
            return 0
        try:
            with open(f"/proc/{self._pid}/statm", encoding="utf-8") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):  # not Linux, or it has just ended
            return 0


class _Child:
    """A training process (`core.runs.worker`) and our end of the line to it.

    It ends with us: when the line goes dead, however we ended, it does the same. (Linux can also signal a process at
    its parent's death, but means the thread that started it, and ours come and go.)
    """

    def __init__(self, lessons: str) -> None:
        self.machine: Machine | None = None
        self._killed = False
        self.line, theirs = Pipe()
        # Not multiprocessing's own spawn: that imports the main module anew, which may be all of Streamlit.
        code = "from core.runs import worker; worker.main()"
        path = [str(ROOT), *(os.path.abspath(each) for each in sys.path)]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(theirs.fileno()), lessons],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in our terminal is not for it
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a lesson prints must not get between what we print
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            )

    def greeting(self, patience: float) -> Machine | None:
        """What it says once it is ready, waiting `patience` seconds; `EngineError` where it cannot get ready."""
        if self.machine is None and self.line.poll(patience):
            try:
                message = self.line.recv()
            except (EOFError, OSError):
                self._refuse(f"was ended by {self.cause_of_death()}", "")
            if isinstance(message, EngineError):
                self.kill()
                self._refuse(f"says: {message}", message.details)
            self.machine = message
        return self.machine

    def _refuse(self, said: str, details: str) -> NoReturn:
        raise EngineError(
            f"The training process could not get ready and {said.rstrip('.')}; the server's log may say more; press "
            "Run to try again.",
            details,
        )

    @property
    def ended(self) -> bool:
        """Whether it trains no more."""
        return self._killed or self.process.poll() is not None

    def cause_of_death(self) -> str:
        """What ended it, once it has hung up: "signal 9 (SIGKILL)", "exit status 1"."""
        try:
            status = self.process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status >= 0:
            return f"exit status {status}"
        try:
            return f"signal {-status} ({signal.Signals(-status).name})"
        except ValueError:  # one without a name
            return f"signal {-status}"

    def kill(self) -> None:
        """End it, without waiting for that. Our end of the line closes with the last who reads it."""
        self._killed = True
        self.process.kill()

    def bury(self) -> None:
        """Wait until a killed one is gone."""
        self.process.wait()
