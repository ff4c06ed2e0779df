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
from collections.abc import Mapping
from multiprocessing.connection import Connection
from queue import SimpleQueue

import torch

from core.knobs import KnobError
from core.lesson import AnyLesson
from core.runs.engines import BEGUN, STOP, Ending, EngineError, Machine, Request, Stopped, trained
from core.training import online

NICE = 10  # while it trains, the pages come first

log = logging.getLogger(__name__)


def main() -> None:
    """Serve the line whose file descriptor the command line names, until it goes dead."""
    line, reference = Connection(int(sys.argv[1])), sys.argv[2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests: SimpleQueue[Request] = SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(line, requests, stop), daemon=True).start()
    try:
        lessons = _lessons(reference)
        machine = _warmed_up()
    except Exception as error:
        log.exception("The training process could not get ready.")
        line.send(EngineError(f"{type(error).__name__}: {error}"))
        return
    os.nice(NICE)  # only now: while it gets ready somebody may be waiting
    line.send(machine)
    while True:
        line.send(_train(line, lessons, requests.get(), stop))


def _listen(line: Connection, requests: "SimpleQueue[Request]", stop: threading.Event) -> None:
    """Take what comes while the other thread trains."""
    try:
        while True:
            message = line.recv()
            if message == STOP:
                stop.set()
            else:
                stop.clear()  # a stop that came too late for the last one is not meant for this one
                requests.put(message)
    except (EOFError, OSError):
        os._exit(0)  # the other thread may be in the middle of anything


def _lessons(reference: str) -> Mapping[str, AnyLesson]:
    """The lessons that "module:name" refers to, by slug."""
    module, _, name = reference.partition(":")
    return {lesson.slug: lesson for lesson in getattr(importlib.import_module(module), name)}


def _warmed_up() -> Machine:
    """All that the first run would otherwise wait for."""
    machine = Machine.measured()  # also makes torch load its kernels, and CUDA its context
    torch.set_num_threads(machine.threads)
    try:
        online.warm_up()
    except Exception:
        log.warning("The compiled inner loop is not to be had; a lesson that needs it will say so.", exc_info=True)
    return machine


def _train(line: Connection, lessons: Mapping[str, AnyLesson], request: Request, stop: threading.Event) -> Ending:
    """Train one request, sending every frame; how it ended is the last thing to be sent."""
    line.send(BEGUN)
    lesson = lessons.get(request.slug)
    if lesson is None:
        return EngineError(f"{request.slug} is no lesson of the training process; start the server anew.")
    try:
        for frame in trained(lesson, lesson.parse(request.knobs), torch.device(request.device), stop):
            line.send(frame)
    except (Stopped, EngineError) as ending:
        return ending
    except KnobError as error:
        return EngineError(str(error))
    return None
