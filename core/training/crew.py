"""A crew: worker processes that start together, answer together and end together.

    with Crew("core.training.parallel:Worker", 2, job) as crew:
        answers = crew.ask("step", 3)          # one of each worker, in their order

Each worker imports what the reference names, calls it once with (rank, size, folder, given), and calls the result with
every question. However we end, none is left: on our way out they are killed and waited for, and when our end of a line
goes dead because we were killed ourselves, the worker notices and ends. The folder is for what workers must share in
order to meet; it goes with them.
"""

import importlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, cast

from core.knobs import clip
from core.places import ROOT

MOST_SAID = 120  # characters of what a worker says of its failure
LAST_WORDS = 1.0  # seconds in which the death of one worker may explain the failure of another
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

log = logging.getLogger(__name__)


class WorkerError(RuntimeError):
    """A worker failed or died; all are ended by now. Its message says which and of what."""


@dataclass(frozen=True)
class Failure:
    """What a worker answers when it cannot go on; where it died, what we say for it, without a trace."""

    said: str
    trace: str


# ---- our side ------------------------------------------------------------------------------------------------------


class Crew:
    """`size` worker processes. A context: on its way out nothing is left of them.

    Args:
        work: what a worker calls with (rank, size, folder, given): "module:name". Its result is called with each
            question and gives the answer.
        size: how many workers.
        given: what each is told at the start.
    """

    def __init__(self, work: str, size: int, given: Any) -> None:
        self.work, self.size, self.given = work, size, given
        self.workers: list[_Process] = []
        self._left = ExitStack()

    def __enter__(self) -> Self:
        """Start them all, without waiting until they are ready."""
        with ExitStack() as started:
            folder = tempfile.mkdtemp(prefix="gradient-lab-")
            started.callback(shutil.rmtree, folder, ignore_errors=True)
            for rank in range(self.size):
                worker = _Process()
                started.callback(worker.end)
                self.workers.append(worker)
                with suppress(OSError):  # it has died: that is told when it is asked
                    worker.line.send((self.work, rank, self.size, folder, self.given))
            self._left = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:  # all at once, then one by one until it is gone
            worker.process.kill()
        self._left.close()

    def ask(self, *question: Any) -> list[Any]:
        """Put a question to all; their answers by rank. Raises `WorkerError` as soon as one of them cannot answer."""
        for worker in self.workers:
            with suppress(OSError):
                worker.line.send(question)
        answers: dict[int, Any] = {}
        while len(answers) < self.size:
            self._collect(answers, None)
            if self._failures(answers):
                self._wait_for_the_dead(answers)
                rank, failure = min(self._failures(answers), key=lambda each: len(each[1].trace))
                log.warning("Worker %d %s.\n%s", rank + 1, failure.said, failure.trace)
                raise WorkerError(f"worker {rank + 1} of {self.size} {failure.said}")
        return [answers[rank] for rank in range(self.size)]

    def _wait_for_the_dead(self, answers: dict[int, Any]) -> None:
        """One that dies takes others with it, who notice a broken connection, perhaps before we do: it is the cause."""
        until = time.monotonic() + LAST_WORDS
        with suppress(TimeoutError):
            while len(answers) < self.size and all(failure.trace for _, failure in self._failures(answers)):
                self._collect(answers, max(0.0, until - time.monotonic()))

    @staticmethod
    def _failures(answers: Mapping[int, Any]) -> list[tuple[int, Failure]]:
        return [(rank, answer) for rank, answer in answers.items() if isinstance(answer, Failure)]

    def _collect(self, answers: dict[int, Any], patience: float | None) -> None:
        """What has come, at least one answer; `TimeoutError` if none does."""
        lines = {worker.line: rank for rank, worker in enumerate(self.workers) if rank not in answers}
        ready = wait(list(lines), patience)
        if not ready:
            raise TimeoutError
        for line in ready:
            rank = lines[cast("Any", line)]
            try:
                answers[rank] = self.workers[rank].line.recv()
            except (EOFError, OSError):
                answers[rank] = Failure(f"was ended by {self.workers[rank].cause_of_death()}", "")


class _Process:
    """One worker process (`main`) and our end of the line to it."""

    def __init__(self) -> None:
        self.line, theirs = Pipe()
        code = "from core.training import crew; crew.main()"
        path = [str(ROOT), *(os.path.abspath(each) for each in sys.path)]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in our terminal is not for it
                stdin=subprocess.DEVNULL,
                stdout=2,  # what it prints must not get between what we print
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(path)},
            )

    def cause_of_death(self) -> str:
        """What ended it, once it has hung up: "signal 9 (SIGKILL)", "exit status 1"."""
        status = self.process.wait()
        return f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """Kill it and wait until it is gone. Twice does no harm."""
        self.process.kill()
        self.process.wait()
        self.line.close()


# ---- the worker's side ---------------------------------------------------------------------------------------------


def main() -> None:
    """Answer on the line whose file descriptor the command line names, until it goes dead."""
    line = Connection(int(sys.argv[1]))
    work, rank, size, folder, given = line.recv()
    questions: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    # In a thread of its own, since whoever computes or waits for other workers does not look at the line.
    threading.Thread(target=_listen, args=(line, questions, folder), daemon=True).start()
    try:
        module, _, name = work.partition(":")
        answer: Callable[..., Any] = getattr(importlib.import_module(module), name)(rank, size, Path(folder), given)
        while True:
            line.send(answer(*questions.get()))
    except Exception as error:
        said = clip(" ".join([type(error).__name__ + ":", *str(error).split("\n", 1)[0].split()]), MOST_SAID)
        with suppress(OSError):
            line.send(Failure(f"failed with {said.rstrip('.:')}", traceback.format_exc()))
        threading.Event().wait()  # stay until we are ended: our death would look like a cause to the others


def _listen(line: Connection, questions: "SimpleQueue[tuple[Any, ...]]", folder: str) -> None:
    """Take the questions; end the process when nobody is left to ask any."""
    try:
        while True:
            questions.put(line.recv())
    except (EOFError, OSError):
        shutil.rmtree(folder, ignore_errors=True)  # whoever was killed could not
        os._exit(0)
