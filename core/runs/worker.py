"""The training process: gets everything ready once, then trains what the engine `InProcess` asks for, one by one.

It reads requests from the line it was given and writes frames to it. When the line goes dead it ends, so it never
outlives the server, however that came to its end.
"""

import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from types import FrameType

import torch

from core import data, device
from core.frames import Frame
from core.knobs import KnobError
from core.lesson import AnyLesson
from core.library import Library
from core.runs.engines import BEGUN, STOP, Ending, EngineError, Frames, Machine, Request, Stopped, trained
from core.training import assorted, online

NICE = 19  # the most there is: while it trains, the pages come first
QUIET = 0.2  # seconds without a request after which there is time for a chore
AGAIN = 0.02  # seconds to the next try to interrupt what must not be
HALF_DONE = {"importlib", "numba", "llvmlite"}  # a module or a compiled function that they leave half there stays so

log = logging.getLogger(__name__)


def main() -> None:
    """Serve the line whose file descriptor the command line names, until it goes dead."""
    line, reference = Connection(int(sys.argv[1])), sys.argv[2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests: SimpleQueue[Request] = SimpleQueue()
    interrupt = Interrupt()
    threading.Thread(target=_listen, args=(line, requests, interrupt), daemon=True).start()
    try:
        lessons = _lessons(reference)
        machine = _warmed_up()
    except Exception as error:
        log.exception("The training process could not get ready.")
        line.send(EngineError(f"{type(error).__name__}: {error}"))
        return
    os.nice(NICE)  # only now: while it gets ready somebody may be waiting
    line.send(machine)
    chores = _chores()
    patience: float | None = QUIET
    while True:
        try:
            request = requests.get(timeout=patience)
        except Empty:
            patience = next(chores, None)
        else:
            line.send(_train(line, lessons, request, interrupt))
            device.give_memory_back()


class Interrupt:
    """Carries the wish to stop from the thread that listens right into the lesson, however far its next frame is.

    A signal lets the main thread raise `Stopped` as soon as it is back in Python, be it in the middle of a lesson's
    loop. Contexts and `finally` unwind as they do for every exception, and the process stays warm. Only what computes
    or waits outside of Python for long, or swallows the exception, has to be killed.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._within = False  # a lesson's code; a message to the parent must not be cut in two
        self._main = threading.get_ident()
        signal.signal(signal.SIGALRM, self._arrived)

    def ask(self) -> None:
        """Stop what trains; called from the other thread."""
        self.asked.set()
        signal.pthread_kill(self._main, signal.SIGALRM)

    def next_of(self, frames: Frames) -> Frame | None:
        """The next frame, None at the end; raises `Stopped` when asked to meanwhile."""
        self._within = True
        try:
            return next(frames, None)
        finally:
            self._within = False

    def _arrived(self, number: int, at: FrameType | None) -> None:
        if not self._within or not self.asked.is_set():
            return
        if _half_done(at):  # for every later run
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        self._within = False
        raise Stopped


def _half_done(at: FrameType | None) -> bool:
    """Whether something is being imported or compiled."""
    names = (each.f_globals.get("__name__", "") for each, _ in traceback.walk_stack(at))
    return any(name.partition(".")[0] in HALF_DONE for name in names)


def _listen(line: Connection, requests: "SimpleQueue[Request]", interrupt: Interrupt) -> None:
    """Take what comes while the main thread trains."""
    try:
        while True:
            message = line.recv()
            if message == STOP:
                interrupt.ask()
            else:
                interrupt.asked.clear()  # a stop that came too late for the last one is not meant for this one
                requests.put(message)
    except (EOFError, OSError):
        os._exit(0)  # the main thread may be in the middle of anything


def _lessons(reference: str) -> Mapping[str, AnyLesson]:
    """The lessons that "module:name" refers to, by slug: a library, or a sequence of lessons."""
    module, _, name = reference.partition(":")
    found = getattr(importlib.import_module(module), name)
    return found if isinstance(found, Library) else {lesson.slug: lesson for lesson in found}


def _warmed_up() -> Machine:
    """What every run needs."""
    device.keep_memory()
    machine = Machine.measured()  # also makes torch load its kernels, and CUDA its context
    torch.set_num_threads(machine.threads)
    try:
        online.warm_up()
    except Exception:
        log.warning("The compiled inner loop is not to be had; a lesson that needs it will say so.", exc_info=True)
    return machine


def _chores() -> Iterator[float]:
    """What takes a second and only some runs need, for when nobody waits; yields how long it should be quiet first."""
    with suppress(Exception):  # here and below: the run that needs it will say what is wrong
        torch.optim.SGD([torch.zeros(1)], lr=1.0)  # the first optimizer imports all of torch's compiler
    yield QUIET
    with suppress(Exception):
        assorted.warm_up()
    for name in data.NAMES:
        yield QUIET
        with suppress(Exception):
            if data.available(name):
                data.load(name, torch.device("cpu"))


def _train(line: Connection, lessons: Mapping[str, AnyLesson], request: Request, interrupt: Interrupt) -> Ending:
    """Train one request, sending every frame; how it ended is the last thing to be sent."""
    line.send(BEGUN)
    if isinstance(lessons, Library):
        lessons.refresh()
    lesson = lessons.get(request.slug)
    if lesson is None:
        return EngineError(f"{request.slug} is no lesson of the training process; start the server anew.")
    try:
        knobs, where = lesson.parse(request.knobs), torch.device(request.device)
        if lesson.code_hash != request.code_hash:
            return EngineError(f"The code of {lesson.title} was changed meanwhile; reload the page and press Run.")
        with closing(trained(lesson, knobs, where, interrupt.asked)) as frames:
            while (frame := interrupt.next_of(frames)) is not None:
                line.send(frame)
    except (Stopped, EngineError) as ending:
        return ending
    except KnobError as error:
        return EngineError(str(error))
    return None
