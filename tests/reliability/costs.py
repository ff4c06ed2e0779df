"""What runs were said to cost, and what they cost: random knob sets of every lesson, trained one after the other.

    python tests/reliability/costs.py                         12 of each lesson, some minutes
    python tests/reliability/costs.py --sets 4 --lesson dropout --seed 7 --verbose

A run counts by the CPU time of its one thread: on a machine that has other work the clock tells about that work. Only
what trains in several processes counts by the clock. Exit status 1 where more than 5 % of the runs are off by more than
3×, of all lessons together, or one took more memory than it was said to.
"""

import argparse
import math
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from core import data
from core.cost import Calibration, CostError, calibrate, check
from core.knobs import Knob, KnobError, Knobs
from core.lesson import AnyLesson
from core.lessons import CURRICULUM
from core.training import assorted, online
from tests.reliability.table import Row, Rows, share_of

CPU = torch.device("cpu")
LEAST, MOST = 0.3, 6.0  # seconds of a run by its estimate; a lesson that never takes so long is tried as it is
OFF = 3.0
BY_CLOCK = {"scaling"}  # other processes do its work, and its estimate is of the time that they take together
SPARE = 256 * 2**20  # bytes that a process may grow by for other reasons: what it compiles, what it frees late


@dataclass(frozen=True)
class Tried:
    """One run: said and found."""

    lesson: str
    knobs: str
    said: float
    took: float  # CPU seconds; by the clock where other processes do the work
    clock: float  # seconds
    bytes_said: float
    bytes_took: float

    @property
    def ratio(self) -> float:
        """Above one where it took longer than was said. A run of under 0.1 s is as good as none."""
        return max(self.took, 0.1) / max(self.said, 0.1)

    @property
    def off(self) -> bool:
        """Whether nobody could plan by that."""
        return not 1 / OFF <= self.ratio <= OFF

    @property
    def greedy(self) -> bool:
        """Whether it took more memory than was said."""
        return self.bytes_took > self.bytes_said + SPARE


def drawn(lesson: AnyLesson, calibration: Calibration, chance: random.Random) -> Knobs:
    """Random knobs of an estimate that can be tried; of many, that which comes nearest to it."""
    best: tuple[float, Knobs] | None = None
    for _ in range(400):
        preset: Knobs = chance.choice(list(lesson.presets.values()))
        turned = {each.name: _turned(each, getattr(preset, each.name), chance) for each in lesson.knobs.declared()}
        with suppress(KnobError, CostError):
            knobs: Knobs = lesson.parse({**preset.model_dump(), **turned})
            needed = lesson.dataset(knobs)
            if needed is not None and not data.available(needed):
                continue
            said = check(lesson.cost_of(knobs), calibration)
            if LEAST <= said <= MOST:
                return knobs
            far = abs(math.log(max(said, 1e-9) / LEAST))
            if best is None or far < best[0]:
                best = far, knobs
    if best is None:
        raise ValueError(f"{lesson.slug} has no knobs that can be drawn")
    return best[1]


def _turned(knob: Knob, value: Any, chance: random.Random) -> Any:
    """Another value, mostly; numbers around the usual one, since their limits are far apart."""
    if chance.random() < 0.4 or knob.kind == "text":
        return value
    if knob.kind == "bool":
        return chance.random() < 0.5
    if knob.kind == "choice":
        return chance.choice(knob.choices)
    if knob.kind == "list":
        offered = knob.choices or knob.stops or value
        return tuple(chance.sample(offered, chance.randint(1, min(len(offered), knob.most))))
    if knob.low is None or knob.high is None or not value:
        return value
    near = min(max(value * 5.0 ** chance.uniform(-1, 1), knob.low), knob.high)
    return round(near) if knob.kind == "int" else near


def tried(lesson: AnyLesson, knobs: Knobs, calibration: Calibration) -> Tried:
    """Train it here, now."""
    cost = lesson.cost_of(knobs)
    if needed := lesson.dataset(knobs):
        data.load(needed, CPU)
    _forget_peak()
    held = _peak()
    clock, start = time.perf_counter(), time.process_time()
    for _ in lesson.train(knobs, CPU):
        pass
    took, clock = time.process_time() - start, time.perf_counter() - clock
    took = clock if lesson.slug in BY_CLOCK else took
    usual = next(iter(lesson.presets.values()))
    changed = ", ".join(f"{name}={value}" for name, value in knobs.changed_from(usual).items())
    said = calibration.seconds(cost)
    return Tried(lesson.slug, changed, said, took, clock, cost.bytes, max(0.0, _peak() - held))


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _peak() -> float:
    """The most memory that this process has had, in bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return 1024.0 * int(line.split()[1])
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def sweep(lessons: list[AnyLesson], sets: int, seed: int, calibration: Calibration) -> Iterator[Tried]:
    """Runs of all lessons in turn, so that a disturbance of this machine hits all of them."""
    chances = {lesson.slug: random.Random(f"{seed}/{lesson.slug}") for lesson in lessons}
    for _ in range(sets):
        for lesson in lessons:
            yield tried(lesson, drawn(lesson, calibration, chances[lesson.slug]), calibration)


def rows(share: float, seed: int = 0) -> Rows:
    """Runs take what they were said to take."""
    found = list(sweep(list(CURRICULUM), share_of(12, share), seed, calibrated()))
    off = [f"{each.lesson} took {each.ratio:.2f}× what was said: {each.knobs}" for each in found if each.off]
    greedy = [f"{each.lesson} took more memory: {each.knobs}" for each in found if each.greedy]
    figure = f"{len(found) - len(off)} within {OFF:g}×, {len(greedy)} took more memory than was said"
    holds = len(off) <= 0.05 * len(found) and not greedy
    yield Row("what runs cost", f"{len(found)} runs", figure, "95 % within 3×, none more memory", holds, off + greedy)


def calibrated() -> Calibration:
    """The prices of this machine, for one thread, once what is compiled at first has been."""
    torch.set_num_threads(1)
    online.warm_up()
    assorted.warm_up()
    torch.optim.SGD([torch.zeros(1)], lr=1.0)
    return calibrate(CPU)


def main() -> int:
    """Print the table; 1 where a figure was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=12, help="knob sets of each lesson")
    parser.add_argument("--lesson", choices=[each.slug for each in CURRICULUM])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="say each run")
    chosen = parser.parse_args()
    lessons = [each for each in CURRICULUM if chosen.lesson in (None, each.slug)]
    calibration = calibrated()
    print(f"{calibration.flops:.3g} flops, {calibration.numbers:.3g} numbers, {calibration.calls:.3g} calls a second")
    found: list[Tried] = []
    for each in sweep(lessons, chosen.sets, chosen.seed, calibration):
        found.append(each)
        if chosen.verbose or each.off:
            print(
                f"{each.lesson:<24} said {each.said:6.2f} s, took {each.took:6.2f} s CPU ({each.clock:.1f} s), "
                f"{each.ratio:5.2f}×; {each.bytes_took / 2**20:.0f} of {each.bytes_said / 2**20:.0f} MB: {each.knobs}",
                flush=True,
            )
    print(f"{'lesson':<24} {'runs':>5} {'within 3×':>10} {'least':>7} {'median':>7} {'most':>7}  {'memory, most':>12}")
    greedy = [each for each in found if each.greedy]
    for lesson in lessons:
        ratios = [each.ratio for each in found if each.lesson == lesson.slug]
        within = sum(not each.off for each in found if each.lesson == lesson.slug)
        memory = max(each.bytes_took / each.bytes_said for each in found if each.lesson == lesson.slug)
        print(
            f"{lesson.slug:<24} {len(ratios):>5} {within / len(ratios):>10.0%} {min(ratios):>6.2f}× "
            f"{median(ratios):>6.2f}× {max(ratios):>6.2f}×  {memory:>11.0%}"
        )
    share = sum(not each.off for each in found) / len(found)
    print(f"all: {len(found)} runs, {share:.1%} within {OFF:g}×; {len(greedy)} took more memory than was said")
    return 1 if share < 0.95 or greedy else 0


if __name__ == "__main__":
    sys.exit(main())
