"""Whether each lesson's Classroom preset decides the lesson's own question, at the shipped seed and at five others.

    python tests/benchmarks/bench_verdicts.py [--write] [--seeds 5] [slug ...]

The first claim of a lesson answers its question. Prints lesson × seed × verdict and the seconds of each run as a
Markdown table; --write puts it into docs/measured.md. Needs the data sets (`GRADIENT_LAB_DATA`).
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from core.claims import SIGNS
from core.device import keep_memory
from core.frames import Recording
from core.lessons import LESSONS
from core.places import ROOT
from core.resources import cores
from core.training import online

CPU = torch.device("cpu")
PLACE = ROOT / "docs" / "measured.md"
START, END = "<!-- verdicts -->", "<!-- end of verdicts -->"


def decided(lesson, knobs):
    """The first claim of a run with these knobs, and how long it trained."""
    began, recording = time.perf_counter(), Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    seconds = time.perf_counter() - began
    return lesson.result(knobs, recording).claims[0], seconds


def row(lesson, count):
    """A line of the table: the claim, its verdict at each seed, the median seconds."""
    usual = next(iter(lesson.presets.values()))
    seeds = [usual.seed + 10 * i for i in range(count + 1)] if hasattr(usual, "seed") else [None]
    found = [decided(lesson, usual if seed is None else usual.model_copy(update={"seed": seed})) for seed in seeds]
    signs = " ".join(SIGNS[claim.verdict] for claim, _ in found)
    for seed, (claim, seconds) in zip(seeds, found, strict=True):
        print(f"{lesson.slug} seed {seed}: {claim.verdict}; {claim.measured} ({seconds:.1f} s)", file=sys.stderr)
    return f"| {lesson.title} | {found[0][0].sentence} | {signs} | {median(seconds for _, seconds in found):.1f} |"


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("slugs", nargs="*", help="lessons; all where none is given")
    asked.add_argument("--seeds", type=int, default=5, help="seeds besides the shipped one")
    asked.add_argument("--write", action="store_true", help="put the table into docs/measured.md")
    given = asked.parse_args()
    torch.set_num_threads(cores())
    keep_memory()  # as the training process does
    online.warm_up()
    slugs = given.slugs or list(LESSONS)
    table = ["| lesson | claim that answers its question | shipped seed, then others | seconds |", "|---|---|---|---|"]
    table += [row(LESSONS[slug], given.seeds) for slug in slugs]
    print("\n".join(table))
    if given.write:
        text = PLACE.read_text(encoding="utf-8")
        before, rest = text.split(START)
        PLACE.write_text(f"{before}{START}\n{chr(10).join(table)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
