"""Knobs and facts side by side: what differs, by how much, and what the seeds say to that."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.facts import Fact, parts_of
from core.frames import Frame
from core.knobs import Knobs, knob
from core.runs.run import Run, State
from core.stats import CANNOT_TELL, independent, paired
from core.ui.beside import NOT_HERE, explained, facts_beside, knobs_beside


class Small(Knobs):
    passes: int = knob(20, "how often", 1, 200)
    lr: float = knob(0.005, "how far", 0.0, 2.0, label="learning rate")
    widths: tuple[int, ...] = knob((8, 32), "how wide", 1, 64)
    seed: int = knob(1, "random seed", 0, 100)


def run(facts, samples=None, knobs=None):
    """A run with these facts, full name → value; `samples` are what some of them sum up."""
    found = []
    for full_name, value in facts.items():
        repeats = (samples or {}).get(full_name)
        found.append(Fact(*parts_of(full_name), value, None if repeats is None else np.array(repeats, dtype=float)))
    values = {fact.full_name: fact.value for fact in found}
    lesson = SimpleNamespace(result=lambda knobs, recording: SimpleNamespace(facts=found, values=values))
    made = Run(lesson, knobs or Small(), "a" * 32, state=State.DONE)
    made.recording.append(Frame(0, {"loss": 1.0}))
    return made


def row(table, name):
    return dict(table)[name]


def test_knobs_that_differ_stand_apart_from_those_that_are_equal():
    runs = [run({}), run({}, knobs=Small(lr=0.1)), run({}, knobs=Small(widths=(4,)))]
    differ, equal = knobs_beside(runs)
    assert differ == [("learning rate", ["0.005", "0.1", "0.005"]), ("widths", ["[8, 32]", "[8, 32]", "[4]"])]
    assert equal == [("passes", ["20", "20", "20"]), ("seed", ["1", "1", "1"])]


def test_facts_stand_beside_the_first_run_with_their_difference():
    table = facts_beside(
        [
            run({"loss": 0.5, "never": None, "count": 61_100_840.0, "equal": 0.1 + 0.2, "mine": 1.0}),
            run({"loss": 0.25, "never": 3.0, "count": 61_100_841.0, "equal": 0.3, "theirs": 2.0}),
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
    first = run({"loss[h=8]": 2.0, "loss[h=32]": 9.0}, {"loss[h=8]": [1, 2, 3], "loss[h=32]": [8, 9, 10]})
    other = run({"loss[h=8]": 5.0, "loss[h=32]": 9.5}, {"loss[h=8]": [4.1, 4.9, 6], "loss[h=32]": [7, 11.5, 10]})
    table = facts_beside([first, other])
    narrow, wide = row(table, "loss[h=8]"), row(table, "loss[h=32]")
    assert [cell.spread for cell in narrow] == ["1 … 3 over 3 seeds", "4.1 … 6 over 3 seeds"]
    assert (narrow[1].difference, narrow[1].verdict) == ("+3", "higher (95 % interval +2.75 … +3.25)")
    assert (wide[1].difference, wide[1].verdict) == ("+0.5", f"{CANNOT_TELL} (95 % interval −3.98 … +4.98)")
    assert narrow[0].verdict == ""
    assert CANNOT_TELL in explained(table)
    assert CANNOT_TELL not in explained(facts_beside([first]))


def test_runs_of_the_same_seeds_are_compared_pair_by_pair_and_others_group_by_group():
    ours, theirs = [1.0, 2.0, 3.0], [1.5, 2.4, 3.6]

    def compared(loss=theirs, **knobs):
        other = run({"loss[h=8]": 2.5}, {"loss[h=8]": loss}, Small(**knobs))
        return row(facts_beside([run({"loss[h=8]": 2.0}, {"loss[h=8]": ours}), other]), "loss[h=8]")[1].estimate

    assert compared() == paired(theirs, ours)
    assert compared(seed=5) == independent(theirs, ours)
    assert compared().direction == "higher"
    assert compared(seed=5).direction is None
    assert compared([1.5, 2.4, 3.6, 2.5]) == independent([1.5, 2.4, 3.6, 2.5], ours)


@pytest.mark.parametrize("samples", [[5.0], None, [np.nan, 5.0, 6.0]])
def test_no_verdict_without_several_finite_repeats(samples):
    """One seed, no seeds, a network that diverged."""
    first = run({"loss[h=8]": 2.0}, {"loss[h=8]": [1.0, 2.0, 3.0]})
    cell = row(facts_beside([first, run({"loss[h=8]": 5.0}, {"loss[h=8]": samples})]), "loss[h=8]")[1]
    assert (cell.difference, cell.spread, cell.verdict, cell.estimate) == ("+3", "", "", None)


def test_what_is_the_same_in_every_seed_says_so():
    runs = [run({"loss[h=8]": 1.0}, {"loss[h=8]": [1, 1]}), run({"loss[h=8]": 1.0}, {"loss[h=8]": [1, 1]})]
    cells = row(facts_beside(runs), "loss[h=8]")
    assert [cell.spread for cell in cells] == ["in all 2 seeds", "in all 2 seeds"]
    assert (cells[1].difference, cells[1].verdict) == ("same", "")
