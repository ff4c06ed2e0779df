"""Stop, kill and repeat at full length, as a table.

    python tests/reliability/runner.py                 all of it, some minutes
    python tests/reliability/runner.py --times 20 --schedules 500

Exit status 1 if a figure is not reached. Both lessons take part, with data sets where they are on this machine.
"""

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core import data
from core.knobs import Knobs
from core.lesson import AnyLesson
from core.lessons import LESSONS
from core.runs.engines import CURRICULUM, InProcess
from core.runs.run import Run, State
from core.runs.runner import Runner
from core.runs.store import Store
from tests.runs import schedules
from tests.runs.lessons_to_run import HERE
from tests.runs.lessons_to_run import LESSONS as MISBEHAVING

PATIENCE = 120.0  # seconds after which a run hangs


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
    preset = lesson.presets.get("Done right", next(iter(lesson.presets.values())))
    start = time.perf_counter()
    run = runner.submit(lesson, _knobs(preset, seed), device="cpu", fresh=True, asker="ann")
    with runner.changed:
        if not runner.changed.wait_for(lambda: len(run.recording) or run.state.final, PATIENCE):
            raise TimeoutError(f"{lesson.slug} did not begin")
    return run, time.perf_counter() - start


def _knobs(preset: Knobs, seed: int) -> Knobs:
    changes = {"seed": seed}
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


def repeated(times: int) -> int:
    """Train equal knobs again and again beside threads that keep every core busy; how many came out otherwise."""
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            np.linalg.svd(np.ones((200, 200)))

    others = [threading.Thread(target=busy) for _ in range(os.cpu_count() or 1)]
    for other in others:
        other.start()
    different = 0
    try:
        with running(LESSONS, CURRICULUM) as runner:
            for lesson in LESSONS.values():
                runs = []
                for _ in range(times):
                    knobs = lesson.shrunk(_knobs(next(iter(lesson.presets.values())), seed=7))
                    runs.append(runner.submit(lesson, knobs, device="cpu", fresh=True))
                    runner.wait(runs[-1], PATIENCE)
                different += sum(run.state is not State.DONE for run in runs)
                different += sum(_bits(run) != _bits(runs[0]) for run in runs)
    finally:
        done.set()
        for other in others:
            other.join()
    return different


def _bits(run: Run) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in run.recording.arrays().items()}


def main() -> int:
    """Print the table; 1 where a figure was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--schedules", type=int, default=10_000, help="of a class, on a virtual clock")
    chosen = parser.parse_args()
    times = chosen.times
    logging.disable(logging.CRITICAL)  # the runner reports each killed process
    deaf = {"deaf": MISBEHAVING["deaf"]}
    trials: dict[str, tuple[Callable[[], dict[str, list[float]]], dict[str, float]]] = {
        "stop, both lessons": (
            lambda: cancelled(dict(LESSONS), CURRICULUM, times),
            {"stopped": 1.0, "next run starts": 3.0},
        ),
        "stop, a lesson that does not listen": (
            lambda: cancelled(deaf, HERE, times // 10),
            {"stopped": 1.0, "next run starts": 3.0},
        ),
        "kill -9 of the training process": (lambda: killed(times), {"next run starts": 10.0}),
    }
    bad = 0
    print(f"{'trial':<38} {'what':<18} {'times':>6} {'median':>8} {'p95':>8} {'most':>8}  {'p95 at most':>11}")
    for name, (trial, limits) in trials.items():
        for what, seconds in trial().items():
            middle, high, most = np.quantile(seconds, (0.5, 0.95, 1.0))
            bad += high > limits[what]
            print(
                f"{name:<38} {what:<18} {len(seconds):>6} {middle:>6.2f} s {high:>6.2f} s {most:>6.2f} s"
                f"  {limits[what]:>9.0f} s",
                flush=True,
            )
    queue = schedules.trial(chosen.schedules)
    bad += len(queue["wrong"])
    print(
        f"queue, {chosen.schedules} schedules on a virtual clock: {queue['runs']} runs, {queue['shared']} shared, "
        f"{queue['stopped']} stopped, {queue['refused']} refused; {len(queue['wrong'])} violations",
        *queue["wrong"][:5],
        sep="\n    ",
        flush=True,
    )
    different = repeated(times // 10)
    bad += different
    print(f"equal knobs, {times // 10} times each, all cores busy: {different} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
