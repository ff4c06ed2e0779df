"""Everything that a lesson of one's own is written with, in one import (docs/write-a-lesson.md)."""

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
]
