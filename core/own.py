"""A lesson of one's own: a first version to start from, and what it still lacks.

`python -m core new` and `python -m core check`.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from core.cost import Calibration
from core.frames import TIMED, Recording
from core.lesson import AnyLesson
from core.library import MAX_SLUG, SLUG, LessonError, load
from core.narrator import marks
from core.panels import Grow

MAX_FRAMES = 400  # that a page can replay without a pause
MIN_HELP = 10  # characters

CODE = '''"""Which learning rate takes gradient descent down a ravine fastest?"""

import torch

from core.lab import SEED, Check, Curve, Diverges, Frame, Knobs, Lesson, knob


class {name}Knobs(Knobs):
    """Hyper-parameters."""

    rate: float = knob(0.03, "step size of gradient descent", 0.001, 1.0, stops=(0.003, 0.01, 0.03, 0.07), shown=True)
    steps: int = knob(200, "gradient steps", 1, 5000, stops=(50, 100, 200, 500), shown=True)
    seed: int = SEED


lesson = Lesson(
    "{slug}",
    {name}Knobs,
    axis="step",
    length="steps",
    curves=[Curve("loss", "loss", log=True, events=[Diverges])],
    presets={{"Classroom": {{}}, "Too fast": {{"rate": 0.07}}}},
    small={{"steps": 20}},
)


@lesson.experiment
def train(knobs, device):
    """Gradient descent on a quadratic, from a random start."""
    rng = torch.Generator().manual_seed(knobs.seed)
    w = (10 * torch.randn(2, generator=rng)).to(device)
    curvature = torch.tensor([1.0, 30.0], device=device)
    for step in range(knobs.steps + 1):
        yield Frame(step, {{"loss": 0.5 * float((curvature * w * w).sum())}}, progress=step / knobs.steps)
        w = w - knobs.rate * curvature * w


@lesson.claim(
    "Gradient descent falls to the bottom where the step size is under 2 / 30",
    expected="a loss that ends below where it began exactly where the step size is under 2 / 30",
    source="the largest curvature is 30: each step multiplies that coordinate by 1 - 30 · rate",
)
def stable(result):
    """Compare the two ends of the curve."""
    losses = result.line("loss")[1]
    falls = bool(losses[-1] < losses[0])
    return Check(f"from {{losses[0]:.3g}} to {{losses[-1]:.3g}}", falls == (result.knobs.rate < 2 / 30))


@lesson.outcome
def what_happened(result):
    """Answer the prediction."""
    losses = result.line("loss")[1]
    return f"The loss went from {{losses[0]:.3g}} to {{losses[-1]:.3g}}."
'''

WORDS = """# {title}

Which learning rate takes gradient descent down a ravine fastest?

*a lesson of one's own · no data*

## Predict

What does a step size of 0.07 do here?

- it is the fastest
- it is slow
- it diverges

## Theory

Along a direction of curvature $c$, one step of gradient descent with step size $\\eta$ multiplies the distance to the
minimum by $1 - \\eta c$. It shrinks where $|1 - \\eta c| < 1$, that is where $\\eta < 2 / c$: the steepest direction
says how large a step may be, the flattest one how many steps it takes.

## What the notebook got wrong

### A rate that is right for one direction

1. Set the step size to 0.07 and look at the loss.

> The curvature is 30 in one direction: 1 − 0.07 · 30 = −1.1, so each step overshoots by more than the last.
"""


def write(slug: str, folder: Path) -> list[Path]:
    """Write a lesson that runs, and its words, into a folder; return both files.

    Raises:
        LessonError: the slug cannot be, or a file is there already.
    """
    if not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG:
        rule = f"write lower-case letters, digits and hyphens, {MAX_SLUG} characters at most"
        raise LessonError(f'"{slug[:MAX_SLUG]}" cannot be a slug; {rule}, as in my-lesson.')
    stem = slug.replace("-", "_")
    paths = [folder / f"{stem}.py", folder / f"{stem}.md"]
    for path in paths:
        if path.exists():
            raise LessonError(f"{path} is there already; choose another slug, or move it away.")
    name = "".join(part.capitalize() for part in slug.split("-"))
    name = name if name[0].isalpha() else f"Lesson{name}"
    folder.mkdir(parents=True, exist_ok=True)
    paths[0].write_text(CODE.format(slug=slug, name=name), encoding="utf-8")
    paths[1].write_text(WORDS.format(title=slug.replace("-", " ").capitalize()), encoding="utf-8")
    return paths


def check(path: Path) -> list[str]:
    """Return what the lesson in a file still lacks, a sentence each; none where it keeps every promise.

    Trains it in small.
    """
    try:
        lesson = load(path)
    except OSError as error:
        return [f"{path} cannot be read ({error.strerror})."]
    except LessonError as error:
        return [str(error)]
    return [*_of_knobs(lesson), *_of_runs(lesson)]


def _of_knobs(lesson: AnyLesson) -> Iterator[str]:
    if lesson.prose.origin.endswith(".py"):
        yield f"It has no words: write {lesson.slug.replace('-', '_')}.md beside it, with a title and a question."
    for knob in lesson.knobs.declared():
        if len(knob.help) < MIN_HELP:
            yield f'The knob {knob.name} says "{knob.help}"; say in a few words what turning it does.'
        if knob.item != "str" and knob.kind != "bool" and (knob.low is None or knob.high is None):
            yield f"The knob {knob.name} has no limits; give knob(default, help, low, high)."
        if any(not knob.low <= stop <= knob.high for stop in knob.stops if knob.item != "str" and knob.low is not None):
            yield f"The knob {knob.name} has stops outside {knob.limits}."
    if next(iter(lesson.presets)) != "Classroom":
        yield f'The first preset is "{next(iter(lesson.presets))}"; call it "Classroom".'


def _of_runs(lesson: AnyLesson) -> Iterator[str]:
    for name, preset in lesson.presets.items():
        knobs, where = lesson.small(preset), f'The preset "{name}"'
        first, error = _trained(lesson, knobs)
        if error:
            yield f"{where} {error}"
            continue
        yield from (f"{where} {said}" for said in _of_run(lesson, knobs, first))
        again, _ = _trained(lesson, knobs)
        if any(not _equal(first, again, key) for key in first.arrays() if not key.partition("/")[2].startswith(TIMED)):
            yield f"{where} gives other numbers each time; draw all random numbers from a generator seeded by a knob."


def _trained(lesson: AnyLesson, knobs: object) -> tuple[Recording, str]:
    """A small run, and what went wrong in it; "" where nothing did."""
    recording = Recording()
    try:
        for frame in lesson.train(knobs, torch.device("cpu")):
            recording.append(frame)
    except Exception as error:  # it is the lesson's own code
        return recording, f"fails after {len(recording)} frames ({type(error).__name__}: {error})."
    return recording, ""


def _of_run(lesson: AnyLesson, knobs: object, recording: Recording) -> Iterator[str]:
    steps = recording.steps()
    if len(steps) < 2:
        yield f"yields {len(steps)} frames; yield one at the start, one at the end and some between."
        return
    if steps[0] != 0:
        yield f"begins at {lesson.axis} {steps[0]:g}; yield a frame at 0, before the first step."
    if len(steps) > MAX_FRAMES:
        yield f"yields {len(steps)} frames in small, more than {MAX_FRAMES}; yield a frame every few steps."
    if not math.isclose(recording.progress, 1.0):
        yield f"ends at a progress of {recording.progress:.0%}; give the last frame progress=1."
    for curve in set(lesson.curves) - set(recording.curves):
        yield f"has no value of the curve {curve} in any frame."
    try:
        for panel in lesson.panels(knobs):
            panel.figure(recording)
            for trace in panel.traces:
                if isinstance(trace, Grow) and trace.curve not in recording.curves:
                    yield f'draws the curve {trace.curve} in "{panel.name}", which no frame has.'
        result = lesson.result(knobs, recording)
        for claim in result.claims:
            if not claim.source:
                yield f'states "{claim.sentence}" without a source.'
        _ = result.facts, result.outcome, marks(recording, lesson.watches(knobs), lesson.axis)
        if lesson.cost_of(knobs).bytes <= 0 or Calibration().seconds(lesson.cost_of(knobs)) <= 0:
            yield "costs nothing; let @lesson.cost return the work of a run, or leave it out."
    except Exception as error:  # it is the lesson's own code
        yield f"trains, and then its charts, facts or claims fail ({type(error).__name__}: {error})."


def _equal(one: Recording, other: Recording, key: str) -> bool:
    a, b = one.arrays()[key], other.arrays().get(key)
    return b is not None and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
