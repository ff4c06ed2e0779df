"""Commits in a loop until it is killed: `python -m tests.runs.committer FOLDER`, told what to do on its input.

"start LANE" forks a process that begins, commits and ends jobs of that lane and says so; "reap PID" waits for one.
"""

import os
import sys
from pathlib import Path

from core.runs.files import Files
from tests.runs.crashes import sound
from tests.runs.fakes import commit, trained


def say(*words: object) -> None:
    """One line, at once and whole: the next instruction may be the last."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(top: Path, lane: int) -> None:
    store = sound(top, Files())
    store.recover()
    n = 0
    while True:
        run = trained(seed=lane * 20 + n % 20, extra=n % 3)
        frames = len(run.recording)
        say("coming", run.key, frames)
        store.begin(run)
        say("begun", run.key, frames)
        commit(store, run, fresh=True)
        say("done", run.key, frames)
        say("ending", run.key, frames)
        store.end(run)
        say("over", run.key, frames)
        n += 1


if __name__ == "__main__":
    for line in sys.stdin:
        word, number = line.split()
        if word == "start":
            child = os.fork()
            if child == 0:
                work(Path(sys.argv[1]), int(number))
            say("pid", child)
        else:
            os.waitpid(int(number), 0)
            say("reaped", number)
