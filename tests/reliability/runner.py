"""Stop, kill and repeat at full length. Every lesson takes part, with data sets where they are on this machine."""

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from core import data
from core.frames import TIMED
from core.knobs import Knobs
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.runs.engines import LESSONS as PRODUCT
from core.runs.engines import InProcess
from core.runs.run import Run, State
from core.runs.runner import Runner
from core.runs.store import Store
from tests.reliability.table import Row, Rows, share_of
from tests.runs import schedules
from tests.runs.lessons_to_run import HERE
from tests.runs.lessons_to_run import LESSONS as MISBEHAVING

AT_ONCE = {"cnn-arithmetic"}  # it counts and trains nothing: over before anybody presses Stop
PATIENCE = 120.0  # seconds after which a run hangs
LIMITS = {"stopped": 1.0, "next run starts": 3.0}  # seconds, of 95 in 100


@contextmanager
def running(lessons: dict[str, AnyLesson], curriculum: str) -> Iterator[Runner]:
    """A runner with its training process, warm, on an empty store."""
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Store(Path(folder), [], lessons), InProcess(curriculum), lessons)
        try:
            begin(runner, next(iter(lessons.values())), seed=0)
            stop(runner, runner.live()[0])
            yield runner
        finally:
            runner.close()


def begin(runner: Runner, lesson: AnyLesson, seed: int) -> tuple[Run, float]:
    """A run that has its first frame, and the seconds from the press of Run to that."""
    preset = max(lesson.shipped.values(), key=lambda knobs: runner.estimate(lesson, knobs))
    start = time.perf_counter()
    run = runner.submit(lesson, _knobs(preset, seed), device="cpu", fresh=True, asker="ann")
    with runner.changed:
        if not runner.changed.wait_for(lambda: len(run.recording) or run.state.final, PATIENCE):
            raise TimeoutError(f"{lesson.slug} did not begin")
    return run, time.perf_counter() - start


def _knobs(preset: Knobs, seed: int) -> Knobs:
    changes = {"seed": seed} if "seed" in type(preset).model_fields else {}
    if "frames" in type(preset).model_fields:
        changes |= {"frames": 10**6, "pause": 0.01}
    if not data.available(getattr(preset, "dataset", "digits")):
        changes |= {"dataset": "digits"}
    return preset.model_copy(update=changes)


def stop(runner: Runner, run: Run) -> float:
    """Seconds from the press of Stop to the end of the run."""
    start = time.perf_counter()
    runner.stop(run, None)
    if not runner.wait(run, PATIENCE):
        raise TimeoutError(f"{run.lesson.slug} did not stop")
    if run.state is not State.STOPPED:
        raise ValueError(f"{run.lesson.slug} was stopped and is {run.state}: {run.error}")
    return time.perf_counter() - start


def cancelled(lessons: dict[str, AnyLesson], curriculum: str, times: int) -> dict[str, list[float]]:
    """Stop runs at random moments, a fifth of them before their first frame; start the next one at once."""
    moments = random.Random(0)
    found: dict[str, list[float]] = {"stopped": [], "next run starts": []}
    with running(lessons, curriculum) as runner:
        for k in range(times):
            lesson = list(lessons.values())[k % len(lessons)]
            run, starts = begin(runner, lesson, seed=k)
            if k:
                found["next run starts"].append(starts)
            time.sleep(moments.random())
            found["stopped"].append(stop(runner, run))
            if k % 5 == 0:
                run = runner.submit(lesson, _knobs(run.knobs, seed=10**5 + k), device="cpu", asker="ann")
                time.sleep(0.1 * moments.random())
                found["stopped"].append(stop(runner, run))
    return found


def killed(times: int) -> dict[str, list[float]]:
    """Kill the training process at random moments, half of them while it trains."""
    moments = random.Random(1)
    found: dict[str, list[float]] = {"next run starts": []}
    with running(MISBEHAVING, HERE) as runner:
        for k in range(times):
            run, starts = begin(runner, MISBEHAVING["good"], seed=k)
            if k:
                found["next run starts"].append(starts)
            time.sleep(0.2 * moments.random())
            if k % 2:
                stop(runner, run)
            os.kill(int(run.recording.picture("process")[0]), signal.SIGKILL)
            if not runner.wait(run, PATIENCE):
                raise TimeoutError("the run of a killed process did not end")
            if run.state is not (State.STOPPED if k % 2 else State.FAILED) or bool(run.error) == bool(k % 2):
                raise ValueError(f"a killed run is {run.state}: {run.error}")
            time.sleep(0.2 * moments.random())
    return found


def repeated(times: int) -> list[str]:
    """Train equal knobs again and again beside threads that keep every core busy; what came out otherwise."""
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            np.linalg.svd(np.ones((200, 200)))

    others = [threading.Thread(target=busy) for _ in range(os.cpu_count() or 1)]
    for other in others:
        other.start()
    different: list[str] = []
    try:
        with running(LESSONS, PRODUCT) as runner:
            for lesson in LESSONS.values():
                runs = []
                for _ in range(times):
                    knobs = lesson.small(_knobs(next(iter(lesson.presets.values())), seed=7))
                    runs.append(runner.submit(lesson, knobs, device="cpu", fresh=True))
                    runner.wait(runs[-1], PATIENCE)
                different += [f"{lesson.slug}: {run.state} {run.error}" for run in runs if run.state is not State.DONE]
                different += [f"{lesson.slug}: other bits" for run in runs if _bits(run) != _bits(runs[0])]
    finally:
        done.set()
        for other in others:
            other.join()
    return different


def _bits(run: Run) -> dict[str, bytes]:
    arrays = run.recording.arrays().items()
    return {name: array.tobytes() for name, array in arrays if not name.partition("/")[2].startswith(TIMED)}


def _figures(found: dict[str, list[float]]) -> str:
    return "; ".join(
        f"{what}: p95 {np.quantile(seconds, 0.95):.2f} s, most {max(seconds):.2f} s" for what, seconds in found.items()
    )


def rows(share: float) -> Rows:
    """Stop and kill at random moments, and equal knobs again and again."""
    times = share_of(200, share, 5)
    deaf = {"deaf": MISBEHAVING["deaf"]}
    trains = {slug: lesson for slug, lesson in LESSONS.items() if slug not in AT_ONCE}
    for what, lessons, curriculum, most in (
        ("cancel at random moments, every lesson", trains, PRODUCT, times),
        ("cancel, a lesson that does not listen", deaf, HERE, share_of(20, share, 3)),
    ):
        found = cancelled(lessons, curriculum, most)
        late = [name for name, limit in LIMITS.items() if np.quantile(found[name], 0.95) > limit]
        promise = "stopped in 1 s, next in 3 s (p95)"
        yield Row(what, f"{len(found['stopped'])} stops", _figures(found), promise, not late, late)
    found = killed(times)
    slow = max(found["next run starts"]) > 10.0
    promise = "server up, told, next in 10 s"
    yield Row("training process killed (kill -9)", f"{times} kills", _figures(found), promise, not slow)
    queue = schedules.trial(share_of(10_000, share, 100))
    what = ", ".join(f"{queue[name]:,} {name}" for name in ("runs", "shared", "stopped", "refused"))
    tried = f"{share_of(10_000, share, 100):,} schedules on a virtual clock"
    promise = "never idle; a flood delays others by one"
    yield Row.of("queue, random arrivals", tried, queue["wrong"], promise, what)
    again = share_of(20, share, 3)
    different = repeated(again)
    promise = "bit-equal on a CPU"
    tried = f"{again} times, {len(LESSONS)} lessons, cores busy"
    yield Row("equal knobs again and again", tried, f"{len(different)} differ", promise, not different, different[:20])
