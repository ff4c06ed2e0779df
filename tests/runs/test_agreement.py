"""What another processor makes of the same frames agrees with what is stored; what another lesson makes does not."""

from dataclasses import replace

import pytest

from core.claims import Claim
from core.frames import Recording
from core.runs.agreement import disagreement, same_number, same_text, stated
from core.runs.run import Run, State
from tests.runs.fakes import LESSON, TinyKnobs

CLAIM = Claim("a gap closes", "gap 0.0174 with, 0.0289 without", "a smaller gap", True, "theory", hint="more epochs")


def said(facts=None, claims=(CLAIM,)) -> dict:
    plain = [claim.plain() for claim in claims]
    return {"facts": {"loss": 0.5, "never": None} if facts is None else facts, "claims": plain}


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        (0.08333, 0.08333 * (1 + 7.7e-11)),  # dying-relu's target, drawn again by plain SSE instead of AVX-512
        (-1.602, -1.602 * (1 + 2.2e-15)),  # polyfit's slope by another BLAS
        (3.5e-10, 3.5e-10 * (1 + 1e-12)),
        (5.4e-20, 2.6e-18),  # what numbers of size 1 leave where they cancel
        (0.0, -0.0),
        (7.8e-16, 0.0),
        (46, 46),
        (46, 46.0),
        (True, 1.0),
        (1e300, 1e300 * (1 + 1e-15)),
        (float("inf"), float("inf")),
        (None, None),
    ],
)
def test_numbers_agree_that_differ_as_processors_do(stored, again):
    assert same_number(stored, again)
    assert same_number(again, stored)


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        (0.5, 0.5 + 1e-8),
        (46, 47),
        (60_000_000, 60_000_001),
        (3.5e-10, 3.6e-10),  # small, and yet a result: how far a gradient vanished
        (6.6e-12, 0.0),
        (None, 0.0),
        (0.0, None),
        (None, float("inf")),
        (1e308, float("inf")),
        (float("inf"), float("-inf")),
        (0.5, -0.5),
    ],
)
def test_numbers_disagree_that_differ_by_more(stored, again):
    assert not same_number(stored, again)
    assert not same_number(again, stored)


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        ("", ""),
        ("never", "never"),
        ("0.25 by chance", "0.24 by chance"),
        ("296.4", "296.5"),
        ("9.9995", "1e+01"),
        ("999.95 of 3", "1,000.0 of 3"),
        ("0.0001", "9.9995e-05"),
        ("R² -0.0000 … 0.0000", "R² 0.0000 … -0.0000"),
        ("−0.0 points", "+0.0 points"),
        ("7e-16 apart", "0 apart"),
        ("248 times the time", "249 times the time"),
        ("h=8: never, h=32: pass 46", "h=8: never, h=32: pass 46"),
    ],
)
def test_a_measurement_may_be_rounded_to_the_next_digit(stored, again):
    assert same_text(stored, again)
    assert same_text(again, stored)


@pytest.mark.parametrize(
    ("stored", "again"),
    [
        ("", "0.5"),
        ("0.25", "0.5"),
        ("0.25 lower", "0.25 higher"),
        ("pass 46", "never"),
        ("3 of 5 nets", "5 of 5 nets"),
        ("0.5, 0.6", "0.5"),
        ("3.5e-10", "3.5e-09"),
        ("0.5 points", "-0.5 points"),
    ],
)
def test_a_measurement_with_other_words_or_another_number_is_noticed(stored, again):
    assert not same_text(stored, again)
    assert not same_text(again, stored)


def test_what_comes_out_again_is_no_disagreement():
    again = said(
        {"never": None, "loss": 0.5 * (1 + 1e-12)}, [replace(CLAIM, measured="gap 0.0173 with, 0.0289 without")]
    )
    assert disagreement(said(), again) == ""


@pytest.mark.parametrize(
    ("again", "says"),
    [
        (said({"loss": 0.51, "never": None}), "the fact loss was 0.5 and is 0.51"),
        (said({"loss": None, "never": None}), "the fact loss was 0.5 and is none"),
        (said({"loss": 0.5, "never": 3.0}), "the fact never was none and is 3"),
        (said({"loss": 0.5}), "the fact never is gone"),
        (said({"loss": 0.5, "never": None, "gain": 1.0}), "the fact gain is new"),
        (said(claims=[]), "there were 1 claims and are 0"),
        (said(claims=[replace(CLAIM, holds=False)]), "the claim “a gap closes” had holds True and has False"),
        (said(claims=[replace(CLAIM, holds=None)]), "had holds True and has None"),
        (said(claims=[replace(CLAIM, sentence="a gap opens")]), "had sentence 'a gap closes' and has 'a gap opens'"),
        (said(claims=[replace(CLAIM, expected="a gap")]), "had expected 'a smaller gap' and has 'a gap'"),
        (said(claims=[replace(CLAIM, measured="gap 0.5 with, 0.0289 without")]), "had measured 'gap 0.0174 with"),
        (said(claims=[replace(CLAIM, source="a guess")]), "had source"),
        (said(claims=[replace(CLAIM, hint="")]), "had hint"),
    ],
)
def test_what_has_changed_is_named(again, says):
    assert says in disagreement(said(), again)


def test_a_claim_of_an_older_kind_is_a_change_and_no_failure():
    older = said()
    del older["claims"][0]["hint"]
    assert "had hint None and has 'more epochs'" in disagreement(older, said())


def test_what_a_run_states_is_what_its_manifest_will_hold():
    run = Run(LESSON, TinyKnobs(), "0" * 32, recording=Recording(), state=State.FAILED)
    assert stated(run) == {"facts": {}, "claims": []}
