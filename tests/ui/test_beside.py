"""Knobs and facts side by side: what differs, by how much, and what the seeds say to that."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.frames import Frame
from core.knobs import Knobs, knob
from core.runs.run import Run, State
from core.stats import CANNOT_TELL, independent, paired
from core.ui.beside import NOT_HERE, explained, facts_beside, knobs_beside, seeds


class Small(Knobs):
    passes: int = knob(20, "how often", ge=1, le=200)
    lr: float = knob(0.005, "how far", ge=0.0, le=2.0, label="learning rate")
    widths: tuple[int, ...] = knob((8, 32), "how wide", ge=1, le=64)
    seed: int = knob(1, "random seed", ge=0, le=100)


def run(facts, loss, knobs=None, series=("h=8", "h=32")):
    """A run that ended with these facts; its curve "loss" ended with this, after something else."""
    lesson = SimpleNamespace(facts=lambda knobs, recording: facts, series=lambda knobs: series)
    made = Run(lesson, knobs or Small(), "a" * 32, state=State.DONE)
    for step, value in enumerate((np.zeros_like(loss, dtype=float), loss)):
        made.recording.append(Frame(step, {"loss": value}))
    return made


def row(table, name):
    return dict(table)[name]


def test_knobs_that_differ_stand_apart_from_those_that_are_equal():
    runs = [run({}, [0.0], Small()), run({}, [0.0], Small(lr=0.1)), run({}, [0.0], Small(widths=(4,)))]
    differ, equal = knobs_beside(runs)
    assert differ == [("learning rate", ["0.005", "0.1", "0.005"]), ("widths", ["[8, 32]", "[8, 32]", "[4]"])]
    assert equal == [("passes", ["20", "20", "20"]), ("seed", ["1", "1", "1"])]


def test_facts_stand_beside_the_first_run_with_their_difference():
    table = facts_beside(
        [
            run({"loss": 0.5, "never": None, "count": 61_100_840.0, "equal": 0.1 + 0.2, "mine": 1.0}, [0.0]),
            run({"loss": 0.25, "never": 3.0, "count": 61_100_841.0, "equal": 0.3, "theirs": 2.0}, [0.0]),
        ]
    )
    first, other = row(table, "loss")
    assert (first.value, first.difference) == ("0.5", "")
    assert (other.value, other.difference) == ("0.25", "−0.25")
    assert [(cell.value, cell.difference) for cell in row(table, "never")] == [("none", ""), ("3", "")]
    assert [(cell.value, cell.difference) for cell in row(table, "count")] == [("61,100,840", ""), ("61,100,841", "+1")]
    assert row(table, "equal")[1].difference == "same"
    assert [cell.value for cell in row(table, "mine")] == ["1", NOT_HERE]
    assert [cell.value for cell in row(table, "theirs")] == [NOT_HERE, "2"]


def test_a_fact_gets_the_seeds_of_its_series_and_with_several_of_both_a_verdict():
    first = run({"loss[h=8]": 2.0, "loss[h=32]": 9.0}, [[1.0, 2.0, 3.0], [8.0, 9.0, 10.0]])
    other = run({"loss[h=8]": 5.0, "loss[h=32]": 9.5}, [[4.1, 4.9, 6.0], [7.0, 11.5, 10.0]])
    table = facts_beside([first, other])
    narrow, wide = row(table, "loss[h=8]"), row(table, "loss[h=32]")
    assert [cell.spread for cell in narrow] == ["1 … 3 over 3 seeds", "4.1 … 6 over 3 seeds"]
    assert (narrow[1].difference, narrow[1].verdict) == ("+3", "higher (95 % interval +2.75 … +3.25)")
    assert (wide[1].difference, wide[1].verdict) == ("+0.5", f"{CANNOT_TELL} (95 % interval −3.98 … +4.98)")
    assert narrow[0].verdict == ""
    assert CANNOT_TELL in explained(table)
    assert CANNOT_TELL not in explained(facts_beside([first]))


def test_runs_of_the_same_seeds_are_compared_pair_by_pair_and_others_group_by_group():
    ours, theirs = [[1.0, 2.0, 3.0]], [[1.5, 2.4, 3.6]]

    def compared(**knobs):
        other = run({"loss[h=8]": 2.5}, knobs.pop("loss", theirs), Small(**knobs))
        return row(facts_beside([run({"loss[h=8]": 2.0}, ours), other]), "loss[h=8]")[1].estimate

    assert compared() == paired(theirs[0], ours[0])
    assert compared(seed=5) == independent(theirs[0], ours[0])
    assert compared().direction == "higher"
    assert compared(seed=5).direction is None
    assert compared(loss=[[1.5, 2.4, 3.6, 2.5]]) == independent([1.5, 2.4, 3.6, 2.5], ours[0])


@pytest.mark.parametrize(
    "loss", [[[5.0], [9.5]], [5.0, 9.5], [[np.nan, 5.0, 6.0], [9.0, 9.5, 10.0]], [[7.0, 8.0], [1.0, 2.0]]]
)
def test_no_verdict_without_seeds_that_make_the_fact(loss):
    """One seed, no seeds, a net that diverged, another number."""
    first = run({"loss[h=8]": 2.0}, [[1.0, 2.0, 3.0], [8.0, 9.0, 10.0]])
    cell = row(facts_beside([first, run({"loss[h=8]": 5.0}, loss)]), "loss[h=8]")[1]
    assert (cell.difference, cell.spread, cell.verdict, cell.estimate) == ("+3", "", "", None)


def test_a_series_spelled_otherwise_is_found_by_its_number_where_only_one_fits():
    loss = [[1.0, 2.0, 6.0], [7.0, 8.0, 9.0]]
    made = run({}, loss)
    assert seeds(made, "loss[p=0]", 3.0).tolist() == loss[0]  # its mean
    assert seeds(made, "loss[p=0]", 2.0).tolist() == loss[0]  # its median
    assert seeds(made, "loss[h=32]", 3.0) is None  # another series' number
    assert seeds(made, "loss[p=0]", 4.0) is None
    assert seeds(made, "accuracy[h=8]", 3.0) is None
    assert seeds(run({}, [[1.0, 3.0], [0.0, 4.0]]), "loss[p=0]", 2.0) is None


def test_what_is_the_same_in_every_seed_says_so():
    runs = [run({"loss[h=8]": 1.0}, [[1.0, 1.0], [2.0, 3.0]]), run({"loss[h=8]": 1.0}, [[1.0, 1.0], [2.0, 3.0]])]
    cells = row(facts_beside(runs), "loss[h=8]")
    assert [cell.spread for cell in cells] == ["in all 2 seeds", "in all 2 seeds"]
    assert (cells[1].difference, cells[1].verdict) == ("same", "")
