"""How long each preset trains, what was estimated for it, and when its first frame came.

    python tests/benchmarks/bench_presets.py [threads] [preset] [slug ...]

Runs without a server, with all cores unless `threads` says otherwise; medians of three rounds, one for what takes
longer than a minute. Needs FashionMNIST (`GRADIENT_LAB_DATA`).
"""

import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from core import data
from core.cost import calibrate
from core.device import keep_memory
from core.lessons import CURRICULUM, LESSONS
from core.resources import cores
from core.training import online

CPU = torch.device("cpu")


def measure(lesson, knobs):
    """(seconds to the first frame, seconds in all)."""
    start = time.perf_counter()
    frames = iter(lesson.train(knobs, CPU))
    next(frames)
    first = time.perf_counter() - start
    for _ in frames:
        pass
    return first, time.perf_counter() - start


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else cores())
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    slugs = sys.argv[3:] or [lesson.slug for lesson in CURRICULUM]
    keep_memory()  # as the training process does
    online.warm_up()
    calibration = calibrate(CPU)
    print(f"{torch.get_num_threads()} threads; seconds: first frame, all, estimated, ratio estimated : all")
    for lesson in (LESSONS[slug] for slug in slugs):
        for name, knobs in lesson.presets.items():
            needed = lesson.dataset(knobs)
            if wanted not in name or (needed is not None and not data.available(needed)):
                continue
            if needed is not None:
                data.load(needed, CPU)
            rounds = [measure(lesson, knobs)]
            while rounds[0][1] < 60 and len(rounds) < 3:
                rounds.append(measure(lesson, knobs))
            first, whole = (median(times) for times in zip(*rounds, strict=True))
            estimated = calibration.seconds(lesson.cost_of(knobs))
            print(
                f"{lesson.slug:26} {name:24} {first:6.2f} {whole:7.1f} {estimated:7.1f} {estimated / whole:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
