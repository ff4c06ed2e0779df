"""Commits in a loop until it is killed: `python -m tests.runs.committer FOLDER`, told what to do on its input.

"start LANE" forks a process that begins, commits and ends jobs of that lane and says so; "reap PID" waits for one.
Lanes 2 and 3 have a quota that fits a quarter of their runs, and pin some.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from core.runs.files import Files
from core.runs.store import Store, StoreError
from tests.runs.crashes import sound, tight
from tests.runs.fakes import commit, trained


def say(*words: object) -> None:
    """One line, at once and whole: the next instruction may be the last."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def work(top: Path, lane: int) -> None:
    store = sound(top, Files())
    if lane >= 2:
        tight(store, 12)
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
        if lane >= 2 and n % 20 in (3, 4):
            pin(store, run.key, n % 40 < 20)
        n += 1


def pin(store: Store, key: str, on: bool) -> None:
    """Pin or unpin; another lane may have made room of the run just now."""
    say("pinning" if on else "unpinning", key, 0)
    with suppress(StoreError):
        (store.pin if on else store.unpin)(key)
        say("pinned" if on else "unpinned", key, 0)


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
