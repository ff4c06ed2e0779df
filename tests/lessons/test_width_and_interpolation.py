"""Width and interpolation: what the lesson says of chance."""

from math import nan

import numpy as np
import pytest

from core.frames import Frame, Recording
from core.lessons.width_and_interpolation import LADDER, WidthKnobs, claims

CHANCE = "by more than the spread"


def told(first_full, progress=1.0):
    """The claim on chance of a run that ends with these passes to interpolate (widths, seeds), nan for never."""
    table = np.array(first_full)
    knobs = WidthKnobs(widths=(32, 8, 128)[: len(table)], seeds=table.shape[1])
    curves = {
        f"{part}_{what}": np.full(table.shape, 0.5) for part in ("train", "test") for what in ("loss", "accuracy")
    }
    recording = Recording()
    recording.append(Frame(0, {**curves, "ladder_loss": np.ones(len(LADDER))}, {"first_full": table}, progress))
    (claim,) = (each for each in claims(knobs, recording) if CHANCE in each.sentence)
    return claim


def test_a_lead_counts_where_it_is_larger_than_its_spread():
    real = told([[50, 46, 45], [80, 74, 70], [35, 34, 31]])
    assert real.holds is True
    assert real.measured.split("; ") == [  # narrow first, whatever the order of the knob
        "h=8 → h=32: 27.7 ± 2.5 passes sooner, in 3 of 3 seeds: larger than its spread",
        "h=32 → h=128: 13.7 ± 1.5 passes sooner, in 3 of 3 seeds: larger than its spread",
    ]
    chance = told([[50, 30, 45], [80, 74, 70], [35, 34, 41]])
    assert chance.holds is False
    assert "5.0 ± 9.5 passes sooner, in 2 of 3 seeds: overlap, no real difference" in chance.measured


@pytest.mark.parametrize(
    ("first_full", "words"),
    [
        ([[31, 26, nan], [nan, nan, nan]], "they get there in 0 and 2 of 3 seeds, the wider sooner in 2: overlap"),
        ([[31, 26, 22], [nan, 90, nan]], "they get there in 1 and 3 of 3 seeds, the wider sooner in 3: alike in all"),
        ([[nan, nan, nan], [nan, nan, nan]], "neither gets there"),
        ([[31], [40]], "sooner; one seed: how much of that is chance is not decided"),
        ([[40], [31]], "not sooner; one seed"),
        ([[31, 26], [40, 41]], "12.0 ± 4.2 passes sooner"),
    ],
)
def test_too_few_that_get_there_decide_nothing(first_full, words):
    claim = told(first_full)
    assert claim.holds is None
    assert claim.measured.startswith(f"h=8 → h=32: {words}")


def test_a_run_that_goes_on_decides_nothing():
    assert told([[50, 46, 45], [80, 74, 70], [35, 34, 31]], progress=0.9).holds is None
