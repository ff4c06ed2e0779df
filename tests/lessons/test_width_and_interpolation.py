"""Width and interpolation: what the lesson says of random variation, and that each claim can come out both ways."""

from math import nan

import numpy as np
import pytest
import torch

from core.claims import Claim
from core.data import DataError
from core.frames import Frame, Recording
from core.lessons.width_and_interpolation import CHANCE_LOSS, RATES, SEARCH_FRAMES, Repeat, WidthKnobs, lesson
from core.stats import CANNOT_TELL

NOTEBOOK = {"examples": 6000, "passes": 100, "seeds": 3}


def result(first_full, *, progress=1.0, scores=None, search=None, **knobs):
    """A run that ends with these passes to interpolate (widths, seeds), nan for never, and these scores."""
    table = np.array(first_full, dtype=float)
    turned = WidthKnobs(**{"widths": (8, 16, 32, 128)[: len(table)], "seeds": table.shape[1], **knobs})
    recording = Recording()
    losses = np.ones(len(RATES)) if search is None else np.array(search)
    curves = {
        f"{part}_{what}": np.full(table.shape, 0.5) for part in ("train", "test") for what in ("loss", "accuracy")
    }
    recording.append(Frame(0, {**curves, "ladder_loss": losses}, {"first_full": table}))
    for i in range(1, SEARCH_FRAMES + 1):
        recording.append(Frame(i / SEARCH_FRAMES, {"ladder_loss": losses}))
    ended = {
        name: np.broadcast_to(np.array(value, dtype=float)[:, None], table.shape)
        for name, value in (scores or {}).items()
    }
    recording.append(Frame(turned.passes, {**curves, **ended}, {"first_full": table}, progress))
    return lesson.result(turned, recording)


def claim(of, words) -> Claim:
    (found,) = (each for each in of.claims if words in each.sentence)
    return found


CLEAR = [[nan, nan, nan], [80, 74, 70], [50, 46, 45], [35, 34, 31]]


@pytest.mark.parametrize(
    ("first_full", "holds", "words"),
    [
        (CLEAR, True, "+67.7 passes sooner (95 % interval +62.5 … +72.8, n = 3)"),
        ([[35, 34, 31], [80, 74, 70]], False, "−41.3 passes sooner"),
        ([[50, 30, 45], [45, 44, 31]], None, CANNOT_TELL),
        ([[50, 30, 45], [45, 44, nan]], None, ""),  # the wider one did not get there with every seed
        ([[50], [31]], None, "no interval, n = 1"),
    ],
)
def test_a_lead_counts_where_its_interval_leaves_out_zero(first_full, holds, words):
    found = claim(result(first_full, passes=100), "sooner than the narrowest")
    assert found.holds is holds
    assert words in found.measured


def test_every_pair_of_neighbours_is_told_and_one_of_them_can_refuse():
    words = "Of any two neighbouring widths"
    clear = claim(result(CLEAR, passes=100), words)
    assert clear.holds is True
    assert [part.partition(":")[0] for part in clear.measured.split("; ")] == [
        "h=8 → h=16",
        "h=16 → h=32",
        "h=32 → h=128",
    ]
    assert claim(result([*CLEAR[:3], [60, 58, 57]], passes=100), words).holds is False
    unclear = claim(result([*CLEAR[:3], [49, 44, 47]], passes=100), words)
    assert unclear.holds is None
    assert "more seeds" in unclear.hint
    never = claim(result([[nan, nan, nan]] * 4, passes=100), words)
    assert never.holds is None
    assert never.measured == ""


def test_a_lead_of_equal_passes_in_every_seed_is_not_certain_beyond_the_step_in_which_it_is_measured():
    found = claim(result([[10, 20, 30], [8, 18, 28]]), "sooner than the narrowest")
    assert found.holds is True
    assert "+2.0 passes sooner (95 % interval +" in found.measured
    assert "interval +2.0 … +2.0" not in found.measured


def turned(loss):
    """Scores of networks that have learned, and whose test loss was 0.5 and ends here."""
    return {"scores": {"train_accuracy": [1.0] * 4, "test_loss": [loss] * 4, "test_accuracy": [0.5] * 4}}


@pytest.mark.parametrize(
    ("words", "yes", "no"),
    [
        ("8 units does not interpolate", {}, {"first_full": [[90, 99, 80], *CLEAR[1:]]}),
        ("only 32 interpolates", {"first_full": [CLEAR[0], [nan] * 3, *CLEAR[2:]]}, {}),
        ("32 units interpolates", {}, {"first_full": [*CLEAR[:2], [39, 38, 90], CLEAR[3]]}),
        (
            "128 units classify",
            {"scores": {"test_accuracy": [0.8, 0.8, 0.8, 0.83]}},
            {"scores": {"test_accuracy": [0.8, 0.8, 0.8, 0.82]}},
        ),
        (
            "do not interpolate all 60,000",
            {"first_full": [[nan], [nan], [nan]], "examples": 60_000, "seeds": 1},
            {"first_full": [[nan], [nan], [9]], "examples": 60_000, "seeds": 1},
        ),
        ("test loss rises", turned(0.56), turned(0.54)),
        ("smallest learning rate", {"search": [1, 1, 1, 1, 2.4, 3, nan]}, {"search": [1, 1, 1, 2.4, 2.4, 3, nan]}),
    ],
)
def test_every_claim_can_hold_and_can_fail(words, yes, no):
    for holds, given in ((True, yes), (False, no)):
        assert claim(result(**{"first_full": CLEAR, **NOTEBOOK, **given}), words).holds is holds


@pytest.mark.parametrize(("train", "test", "holds"), [(1.0, 0.1, True), (0.98, 0.1, False), (1.0, 0.14, False)])
def test_random_labels_are_memorized_or_not(train, test, holds):
    scores = {"train_accuracy": [train], "test_accuracy": [test]}
    run = result([[50]], widths=(512,), label_noise=1.0, examples=1000, passes=150, scores=scores)
    assert claim(run, "memorizes labels").holds is holds


def test_an_open_claim_names_what_it_takes_and_the_preset_that_has_it():
    found = claim(result(CLEAR), "32 units interpolates")
    assert found.holds is None
    assert found.hint.endswith('the preset "Done right" has that')
    assert "passes ≥ 100" in found.hint
    assert WidthKnobs(**found.decided_by) == lesson.presets["Done right"]
    assert claim(result(CLEAR, progress=0.9, passes=100), "sooner than").hint == "it takes the end of the run"


def test_width_hardly_shortens_the_plateau_and_a_network_leaves_it_in_few_directions():
    """Saddle escape, not the lazy regime: 128 times the units do not train 128 times as fast at first."""
    try:
        repeat = Repeat(WidthKnobs(widths=(8, 1024), examples=1500), 1, torch.device("cpu"))
    except DataError as error:
        pytest.skip(str(error))
    order, left = torch.cat([repeat.order() for _ in range(2)]), {}
    for step in range(0, len(order), 20):
        for width, loss in zip((8, 1024), repeat.nets.evaluate(repeat.x, repeat.y)[0], strict=True):
            if loss < 0.95 * CHANCE_LOSS:
                left.setdefault(width, step)
        if len(left) == 2:
            break
        repeat.nets.train(repeat.x, repeat.y, order[step : step + 20])
    assert left[1024] <= left[8] < 2 * left[1024]
    sizes = np.linalg.svd(repeat.nets.parameters(1)[0].numpy(), compute_uv=False)
    assert (sizes > 0.05 * sizes[0]).sum() <= 6  # of 784 directions that the inputs have
