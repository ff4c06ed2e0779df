"""Everything that a lesson of one's own is written with, in one import (docs/write-a-lesson.md).

And runs from a notebook::

    from core import lab
    run = lab.run("dying-relu", depth=9)  # shows itself as the player
    run.curves, run.facts                 # pandas frames
"""

from typing import TYPE_CHECKING, Any

from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean, median
from core.frames import Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Levels, Overfits, Reaches
from core.result import Missing, Result
from core.stats import independent, mean_of, paired

__all__ = [
    "SEED",
    "Check",
    "Cost",
    "Curve",
    "Diverges",
    "Fact",
    "Frame",
    "Knobs",
    "Lesson",
    "Levels",
    "Missing",
    "Needs",
    "Overfits",
    "Reaches",
    "Result",
    "Table",
    "independent",
    "knob",
    "mean",
    "mean_of",
    "median",
    "paired",
    "run",
]

if TYPE_CHECKING:
    from core.notebook import LabRun


def run(slug: str, *, preset: str = "", device: str = "auto", fresh: bool = False, **knobs: Any) -> "LabRun":
    """Train a run of a lesson here, or find it among the stored ones: see `core.notebook.run`."""
    from core import notebook  # here: a lesson's file that is trained needs none of it

    return notebook.run(slug, preset=preset, device=device, fresh=fresh, **knobs)
