"""The store under every trial, at full length, as a table.

    python tests/reliability/store.py                  all of it, some minutes
    python tests/reliability/store.py --states 1000 --kills 50 --step 5 --flips 500

Exit status 1 if anything was found that should not be.
"""

import argparse
import errno
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.runs import crashes
from tests.runs.crashes import Findings


def rows(states: int, kills: int, step: int, flips: int | None, seed: int) -> dict[str, Callable[[], Findings]]:
    """What is tried, by name."""

    def killed(makes_room: bool) -> Findings:
        found, slowest = crashes.kills(kills, seed, makes_room)
        if slowest >= 2.0:
            found.wrong.append(f"a restart took {slowest:.1f} s to tell what was cut off")
        return found

    def failing(code: int) -> Findings:
        once, on = crashes.failing_disk(code, False, step), crashes.failing_disk(code, True, step)
        return Findings(once.wrong + on.wrong, once.tried + on.tried)

    return {
        "power loss": lambda: crashes.power_loss(states, seed),
        "power loss after a failed operation": lambda: crashes.power_loss_after_a_fault(states, seed),
        "power loss while room is made": lambda: crashes.power_loss_while_room_is_made(states, seed),
        "power loss beside a damaged run": lambda: crashes.power_loss_beside_damage(states // 5, seed),
        **{f"failing disk, {errno.errorcode[code]}": partial(failing, code) for code in crashes.CODES},
        "damaged run, bytes flipped and cut": lambda: crashes.damage(flips, seed),
        "killed while it commits (kill -9)": partial(killed, False),
        "killed while it makes room (kill -9)": partial(killed, True),
    }


def main() -> int:
    """Print the table; 1 where a promise was broken or a broken store was not caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=10_000, help="states after power loss")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--step", type=int, default=1, help="every how many-th operation fails")
    parser.add_argument("--flips", type=int, default=None, help="damaged bytes; all where left out")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the store reports each of the thousands of damaged runs
    bad = 0
    print(f"{'trial':<40} {'tried':>7} {'wrong':>6} {'seconds':>8}")
    for name, trial in rows(**vars(chosen)).items():
        start = time.perf_counter()
        found = trial()
        bad += len(found.wrong)
        print(f"{name:<40} {found.tried:>7} {len(found.wrong):>6} {time.perf_counter() - start:>8.1f}", flush=True)
        for sentence in found.wrong[:5]:
            print(f"    {sentence}")
    for name, found in crashes.broken_stores(states=max(200, chosen.states // 20), flips=500).items():
        bad += not found.wrong
        verdict = f"caught, {len(found.wrong)} times" if found.wrong else "NOT CAUGHT"
        print(f"a broken store: {name:<24} {found.tried:>7} {verdict}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
