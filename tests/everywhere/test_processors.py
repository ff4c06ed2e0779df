"""Verify, bundles and lessons on other kinds of processors, each in a process of its own.

All tests under every mode: `python -m tests.everywhere processors`.
"""

from typing import Any

import pytest

from tests.everywhere import processors
from tests.everywhere.processors import MODES, QUICK, apart, difference, environment, under

SLOW = {"as it is", "OpenBLAS: SkylakeX", "NumPy: plain", "MKL: any processor"}  # "the oldest of each" has them too


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    return under("as it is", quick=True)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in SLOW])
def test_what_is_stored_is_right_on_another_processor_and_lessons_come_to_the_same(mode, here):
    there = under(mode, quick=True)
    assert there["verify"].endswith(" runs verified, 0 problems"), there["verify"]
    assert not there["verify"].startswith("0 runs")
    assert there["bundles"] == []
    assert apart(here["contract"], there["contract"]) == []
    assert difference(here["contract"], there["contract"]) < 1e-4


def test_this_processor_finds_no_problem_either(here):
    assert here["verify"].endswith(" runs verified, 0 problems"), here["verify"]
    assert here["bundles"] == []
    assert all(here["contract"][slug]["again"] for slug in QUICK)


def test_another_verdict_and_another_fact_are_noticed(here):
    contract = here["contract"]
    slug = QUICK[0]
    facts = contract[slug]["facts"]
    name = next(name for name, value in facts.items() if value)
    for changes, says in (
        ({"facts": {**facts, name: facts[name] * (1 + 1e-3)}}, f"{slug}: {name} is "),
        ({"facts": {**facts, name: None}}, f"{slug}: {name} is None"),
        ({"facts": {**facts, "new": 1.0}}, f"{slug}: new is 1.0, not None"),
        ({"verdicts": ["holds"]}, f"{slug}: verdicts are ['holds']"),
        ({"again": False}, f"{slug}: equal knobs gave another run"),
    ):
        (found,) = apart(contract, {**contract, slug: {**contract[slug], **changes}})
        assert found.startswith(says)
    nudged = {**facts, name: facts[name] * (1 + 1e-6)}
    assert apart(contract, {**contract, slug: {**contract[slug], "facts": nudged}}) == []


def test_a_mode_is_this_environment_but_for_its_variables(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("GRADIENT_LAB_DATA", "/data")
    for mode, variables in MODES.items():
        made = environment(mode)
        assert made["GRADIENT_LAB_DATA"] == "/data"
        assert made.get("OPENBLAS_CORETYPE") == variables.get("OPENBLAS_CORETYPE")


def test_a_row_is_made_anew_and_the_others_stay(here, monkeypatch):
    ran = []
    monkeypatch.setattr(processors, "under", lambda mode: ran.append(mode) or here)
    monkeypatch.setattr(processors, "suite", lambda mode: "1 passed, 0 failed")
    whole = processors.table()
    assert ran == ["as it is", *MODES]
    last = list(MODES)[-1]
    monkeypatch.setattr(processors, "suite", lambda mode: "0 passed, 1 failed")
    ran.clear()
    again = processors.table(modes=[last], kept=whole)
    assert ran == ["as it is", last]
    assert again.splitlines()[:-1] == whole.splitlines()[:-1]
    assert len(whole.splitlines()) == 2 + len(MODES)
    assert again.splitlines()[-1] == whole.splitlines()[-1].replace("1 passed, 0 failed", "0 passed, 1 failed")
