"""A curriculum that misbehaves in every known way. The training process of the tests imports it by name."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.cost import Cost
from core.data import DataError
from core.frames import Frame
from core.knobs import Knobs, knob
from core.lesson import AnyLesson
from tests.altered import altered
from tests.runs import fakes


class RunKnobs(Knobs):
    seed: int = knob(0, "which random numbers", 0, 10**6)
    frames: int = knob(5, "how many frames there are", 0, 10**6)
    pause: float = knob(0.0, "seconds between two frames", 0.0, 100.0)
    rates: tuple[float, ...] = knob((0.1, 0.3), "how far each step moves", 0.0, 1.0)


def good(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Sums in float32 whose last bits depend on how they are split."""
    chance = torch.Generator().manual_seed(knobs.seed)
    weights = torch.randn(300, 300, generator=chance).to(device)
    for k in range(knobs.frames):
        if k:
            time.sleep(knobs.pause)
        weights = torch.tanh(weights @ weights / 17) + knobs.rates[0]
        yield Frame(
            k,
            {"loss": weights.mean(dim=0)[:2].cpu(), "accuracy": k / 10},
            {"weights": weights[:3].cpu(), "process": _process()},
            progress=k / max(1, knobs.frames - 1),
        )


def _process() -> np.ndarray:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    state = (torch.get_num_threads(), torch.is_grad_enabled(), "streamlit" in sys.modules)
    return np.array([os.getpid(), os.getsid(0), nice, *state])


def call_process(name: str) -> None:
    """How a lesson says, without a frame, where it is."""
    Path("/proc/self/comm").write_text(name, encoding="utf-8")


def not_to_be_cut_off(name: str) -> None:
    """Take a while, and fail for good once it was cut off, as some imports and compilations do."""
    if "CUT_OFF" in os.environ:
        raise RuntimeError(f"{name} was cut off")
    os.environ["CUT_OFF"] = "so far"
    call_process(name)
    time.sleep(0.3)
    del os.environ["CUT_OFF"]


def quiet(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Says one thing and then nothing for a minute."""
    call_process("begun")
    yield Frame(0, {"loss": [0.0, 0.0]})
    with torch.no_grad():
        call_process("quiet")
        for _ in range(6000):
            time.sleep(0.01)
    yield Frame(1, {"loss": [0.0, 0.0]})


def importing(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Imports a module that takes its time."""
    call_process("begun")
    yield Frame(0, {"loss": [0.0, 0.0]})
    importlib.import_module("tests.runs.slow_to_import")
    yield Frame(1, {"loss": [0.0, 0.0]})


def compiling(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Calls a function that has to be compiled first."""
    call_process("begun")
    yield Frame(0, {"loss": [0.0, 0.0]})
    importlib.import_module("tests.runs.slow_to_compile").compiled()
    yield Frame(1, {"loss": [0.0, 0.0]})


def deaf(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Says one thing, then nothing for a minute, and lets nobody interrupt it."""
    call_process("begun")
    yield Frame(0, {"loss": [0.0, 0.0]})
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(BaseException):
            call_process("deaf")
            time.sleep(60)


def mortal(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Kills its process at its third frame."""
    for k in range(3):
        yield Frame(k, {"loss": [0.0, 0.0]})
    time.sleep(0.05)  # what is written before is read
    os.kill(os.getpid(), signal.SIGKILL)


def failing(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    yield Frame(0, {"loss": [0.0, 0.0]})
    yield Frame(7, {"loss": [0.0, 0.0]})
    raise ZeroDivisionError("a fault\nof two lines")


def without_data(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    yield Frame(0, {"loss": [0.0, 0.0]})
    raise DataError("The pictures are damaged; download them anew.")


def leaving(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    yield Frame(0, {"loss": [0.0, 0.0]})
    sys.exit("I leave")


def greedy(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    yield Frame(0, {"loss": [0.0, 0.0]})
    torch.empty(2**60)


def hungry(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Takes 100 MB more at each frame, and keeps it."""
    held = []
    for k in range(100):
        held.append(np.ones(100 * 2**20, dtype=np.uint8))
        yield Frame(k, {"loss": [0.0, 0.0]})
        time.sleep(0.05)


def raising(error: BaseException) -> Any:
    """What a GPU that goes wrong looks like from Python."""

    def train(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
        yield Frame(0, {"loss": [0.0, 0.0]})
        raise error

    return train


def dying_by(number: int) -> Any:
    """What a library that goes wrong does to its process."""

    def train(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
        yield Frame(0, {"loss": [0.0, 0.0]})
        time.sleep(0.05)  # what is written before is read
        os.kill(os.getpid(), number)

    return train


ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"
FAULTS = {
    "cuda-memory": raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")),
    "cuda-memory-late": raising(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be")),
    "cuda-assert": raising(RuntimeError(ASSERT)),
    "mps-type": raising(TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework does not.")),
    "mps-operator": raising(NotImplementedError("The operator 'aten::foo' is not currently implemented for MPS.")),
    "no-memory": raising(MemoryError()),
    "aborting": dying_by(signal.SIGABRT),
    "segfault": dying_by(signal.SIGSEGV),
    "out-of-memory-killer": dying_by(signal.SIGKILL),
}


def falling(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Its steps fall, which no recording takes."""
    yield Frame(1, {"loss": [0.0, 0.0]})
    yield Frame(0, {"loss": [0.0, 0.0]})


def odd(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Shows what cannot travel."""
    yield Frame(0, {"loss": [0.0, 0.0]}, {"what": np.array([lambda: 0, print], dtype=object)})


def loud(knobs: RunKnobs, device: torch.device) -> Iterator[Frame]:
    """Frames of two megabytes, as fast as it can."""
    for k in range(knobs.frames):
        yield Frame(k, {"loss": [0.0, 0.0]}, {"noise": np.full(2**21, k % 256, dtype=np.uint8)})


def lesson(slug: str, train=good, **changes) -> AnyLesson:
    return altered(fakes.LESSON, slug=slug, knobs=RunKnobs, presets={"Classroom": RunKnobs()}, train=train, **changes)


def fault(*_):
    raise KeyError("no such curve")


def leave(*_):
    sys.exit("I leave")


CURRICULUM = (
    lesson("good"),
    lesson("quiet", quiet),
    lesson("importing", importing),
    lesson("compiling", compiling),
    lesson("deaf", deaf),
    lesson("mortal", mortal),
    lesson("failing", failing),
    lesson("without-data", without_data),
    lesson("leaving", leaving),
    lesson("greedy", greedy),
    lesson("falling", falling),
    lesson("odd", odd),
    lesson("loud", loud),
    lesson("hungry", hungry),
    *(lesson(slug, train) for slug, train in FAULTS.items()),
    lesson("bad-facts", compute_facts=fault),
    lesson("bad-claims", check_claims=fault),
    lesson("leaving-facts", compute_facts=leave),
    lesson("huge", cost_of=lambda knobs: Cost(1e18, 1, 1, 1)),
    lesson("on-mnist", dataset=lambda knobs: "mnist"),
    lesson("on-digits", dataset=lambda knobs: "digits"),
)
LESSONS = {each.slug: each for each in CURRICULUM}
HERE = "tests.runs.lessons_to_run:CURRICULUM"
