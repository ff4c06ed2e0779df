"""A tiny lesson, its runs, and disks that are quick, fail, or remember what was done to them."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.claims import Check
from core.cost import Cost
from core.curves import Curve
from core.facts import Fact
from core.frames import Frame, Recording
from core.knobs import Knobs, knob
from core.lesson import Lesson
from core.prose import Prose
from core.result import Result
from core.runs.files import Files
from core.runs.run import Run, State
from core.runs.store import Store


class TinyKnobs(Knobs):
    seed: int = knob(0, "which random numbers", 0, 10**6)
    rate: float = knob(0.1, "how far each step moves", 0.001, 10.0)


def train(knobs: TinyKnobs, device: torch.device) -> Iterator[Frame]:
    random = np.random.default_rng(knobs.seed)
    for k in range(6):
        yield Frame(
            step=k,
            curves={"loss": random.random(2), "accuracy": k / 5},
            pictures={"weights": random.random((3, 2)).astype(np.float32)} if k % 2 == 0 else {},
            progress=k / 5,
        )


LESSON = Lesson(
    "tiny",
    TinyKnobs,
    axis="pass",
    series=lambda knobs: ("a", "b"),
    curves=[Curve("loss", "loss", fact=False), Curve("accuracy", "accuracy", fact=False)],
    presets={"Classroom": {}, "Done right": {"rate": 0.5}},
)
LESSON.prose = Prose("Tiny", "Does it come back?", "no notebook", "?", ("yes", "no"), "", ())
LESSON.experiment(train)
LESSON.cost(lambda knobs: Cost(1, 1, 1, 1))
LESSON.charts(lambda knobs: ())


@LESSON.facts
def facts(result: Result[TinyKnobs]) -> Iterator[Fact]:
    yield Fact("final_loss", "", result.last("loss")[0])
    yield Fact("gap", "", float("inf"))
    yield Fact("never", "", None)


@LESSON.claim("The loss stays below one.", expected="< 1", source="closed form", early=True)
def below_one(result: Result[TinyKnobs]) -> Check:
    loss = result.last("loss")[0]
    return Check(f"{loss:.2f}", loss < 1)


LESSONS = {LESSON.slug: LESSON}


def trained(seed: int = 0, extra: int = 0, **knobs: Any) -> Run:
    """A finished run, still in memory; `extra` frames more make another run of the same key."""
    chosen = TinyKnobs(seed=seed, **knobs)
    run = Run(LESSON, chosen, LESSON.key(chosen), device="a fake", state=State.RUNNING, wall_seconds=1.25)
    for frame in train(chosen, torch.device("cpu")):
        run.recording.append(frame)
    for k in range(extra):
        run.recording.append(Frame(step=10 + k, curves={"accuracy": 1.0}))
    return run


def commit(store: Store, run: Run, **options: Any) -> Run:
    return store.commit(run, threads=1, versions={"torch": "0"}, data=None, **options)


def same(one: Recording, other: Recording) -> bool:
    """Whether two recordings are equal, bit for bit."""
    a, b = one.arrays(), other.arrays()
    return list(a) == list(b) and all(a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]) for name in a)


class QuickFiles(Files):
    """The real disk without the waiting: for tests in which the power stays on."""

    def sync(self, file: int) -> None:
        pass


OPERATIONS = (
    "make_folder", "create", "write", "sync", "close", "sync_folder", "rename", "remove", "read", "names", "stamp",
    "size", "touch", "hold", "open",
)  # fmt: skip


class FailingFiles(QuickFiles):
    """A disk whose operation number `fails`, counted from 1, goes wrong; with `stays`, all after it too."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0
        self.fails, self.code, self.stays = 0, errno.EIO, False

    def _step(self) -> None:
        self.done += 1
        if self.fails and (self.done == self.fails or (self.stays and self.done > self.fails)):
            raise OSError(self.code, os.strerror(self.code))

    def write(self, file: int, data: bytes) -> None:
        try:
            self._step()
        except OSError:
            super().write(file, data[: len(data) // 2])  # a full disk takes some
            raise
        super().write(file, data)

    def close(self, file: int) -> None:
        super().close(file)  # a failing close has closed all the same
        self._step()


def _failing(name: str) -> Any:
    def operation(self: FailingFiles, *args: Any) -> Any:
        self._step()
        return getattr(super(FailingFiles, self), name)(*args)

    return operation


for _name in OPERATIONS:
    if _name not in vars(FailingFiles):
        setattr(FailingFiles, _name, _failing(_name))


def store_at(folder: Path, files: Files | None = None, **options: Any) -> Store:
    return Store(folder / "cache", [folder / "gallery"], LESSONS, files or QuickFiles(), **options)


def die(store: Store) -> None:
    """What the operating system does to a killed process: its open files are closed, and so its locks gone."""
    for _, file in store._held.values():
        os.close(file)
    store._held.clear()
