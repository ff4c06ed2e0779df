"""Do facts and claims that are computed again from a run's frames agree with those that were stored?

The frames are the same bytes everywhere; what a processor makes of them is not. A sum over an array is taken in as many
parts as the processor's vectors hold numbers, a product of matrices in another order for each generation of processors,
with or without fused multiply-adds, and exp, log, sin and cos come from other code: the last digits differ. So numbers
are compared within a tolerance, verdicts and sentences by equality.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.runs.packing import plain_facts
from core.runs.run import Run
from core.stats import ROUNDING

# Where numbers cancel, their own sizes count and not that of what is left: of numbers up to about 100, in float64, a
# difference that should be zero is anything up to this. Facts that matter are larger: a gradient that vanishes in
# fifteen layers is 1e-12 of the last one's.
ABSOLUTE_TOLERANCE = 1e-13

# As claims print them: −1,234.5, 3.5e-10.
NUMBER = re.compile(r"[-−+]?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")


def stated(run: Run) -> dict[str, Any]:
    """Return what its lesson says of a run's frames, as a manifest holds it: its facts and its claims."""
    # By way of JSON, since lessons compare NumPy numbers and get NumPy's own kind of truth.
    claims = json.loads(json.dumps([claim.plain() for claim in run.claims], default=np.generic.item))
    return {"facts": plain_facts(run.facts), "claims": claims}


def disagreement(stored: Mapping[str, Any], again: Mapping[str, Any]) -> str:
    """Return the first stored fact or claim that does not come out again, without a full stop; "" where all do.

    Args:
        stored: facts and claims as `stated` gave them once.
        again: the same, computed anew.
    """
    facts, facts_again = stored["facts"], again["facts"]
    for name in {**facts, **facts_again}:
        if name not in facts or name not in facts_again:
            return f"the fact {name} is {'gone' if name in facts else 'new'}"
        if not same_number(facts[name], facts_again[name]):
            return f"the fact {name} was {_spelled(facts[name])} and is {_spelled(facts_again[name])}"
    if len(stored["claims"]) != len(again["claims"]):
        return f"there were {len(stored['claims'])} claims and are {len(again['claims'])}"
    for claim, claim_again in zip(stored["claims"], again["claims"], strict=True):
        for part in {**claim, **claim_again}:
            one, other = claim.get(part), claim_again.get(part)
            same = same_text(one or "", other or "") if part == "measured" else one == other
            if not same:
                return f"the claim “{claim.get('sentence')}” had {part} {one!r} and has {other!r}"
    return ""


def same_number(stored: float | None, again: float | None) -> bool:
    """Return whether two numbers differ by no more than processors do; None, "there is none", equals None alone."""
    if stored is None or again is None:
        return stored is again
    return math.isclose(stored, again, rel_tol=ROUNDING, abs_tol=ABSOLUTE_TOLERANCE)


def same_text(stored: str, again: str) -> bool:
    """Return whether two texts have the same words, and numbers that differ by one unit of a last digit at most.

    A number whose last bit differs may be rounded to the digit next to it: 0.25 to 0.2 or to 0.3, 9.9995 to 1e+01.
    """
    numbers, others = NUMBER.findall(stored), NUMBER.findall(again)
    return NUMBER.split(stored) == NUMBER.split(again) and all(map(_same_printed, numbers, others))


def _same_printed(one: str, other: str) -> bool:
    (first, unit), (second, other_unit) = _printed(one), _printed(other)
    return abs(first - second) <= max(unit, other_unit, ABSOLUTE_TOLERANCE) * 1.001  # 0.3 - 0.2 is not quite 0.1


def _printed(text: str) -> tuple[float, float]:
    """A printed number and the unit of its last digit."""
    digits, _, exponent = text.replace(",", "").replace("−", "-").partition("e")
    decimals = len(digits.partition(".")[2])
    return float(f"{digits}e{exponent or 0}"), 10.0 ** (int(exponent or 0) - decimals)


def _spelled(value: float | None) -> str:
    return "none" if value is None else f"{value:.12g}"
