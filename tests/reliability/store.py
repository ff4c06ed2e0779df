"""The store under every trial of `tests/runs/crashes.py`, at full length."""

import errno

from tests.reliability.table import Row, Rows, share_of
from tests.runs import crashes


def rows(share: float, seed: int = 0) -> Rows:
    """Power loss, kills, a failing disk, damaged files; and whether these trials catch stores that are broken."""
    states, kills = share_of(10_000, share, 100), share_of(500, share, 5)
    step, flips = max(1, round(0.1 / share)), None if share >= 1 else share_of(5676, share, 100)
    for what, trial in (
        ("power loss at any operation", crashes.power_loss),
        ("power loss after a failed operation", crashes.power_loss_after_a_fault),
        ("power loss while room is made", crashes.power_loss_while_room_is_made),
    ):
        found = trial(states, seed)
        yield Row.of(what, f"{found.tried:,} states", found.wrong, "0 violations of 10,000")
    found = crashes.power_loss_beside_damage(share_of(2000, share, 100), seed)
    yield Row.of("power loss beside a damaged run", f"{found.tried:,} states", found.wrong, "0 violations")
    for makes_room in (False, True):
        found, slowest = crashes.kills(kills, seed, makes_room)
        wrong = [*found.wrong, *([f"a restart took {slowest:.1f} s"] if slowest >= 2.0 else [])]
        what = "server killed (kill -9) while it " + ("makes room" if makes_room else "commits")
        figure = f"slowest restart {slowest:.2f} s"
        yield Row.of(what, f"{found.tried} kills", wrong, "500: no run lost, restart told in 2 s", figure)
    tried, failures = 0, []
    for code in crashes.CODES:
        for stays in (False, True):
            found = crashes.failing_disk(code, stays, step)
            tried, failures = tried + found.tried, failures + found.wrong
    names = ", ".join(errno.errorcode[code] for code in crashes.CODES)
    yield Row.of(f"failing disk ({names})", f"{tried:,} operations", failures, "each fails: no half run")
    found = crashes.damage(flips, seed)
    yield Row.of("damaged run, bytes flipped and cut", f"{found.tried:,} bytes", found.wrong, "every byte: noticed")
    stores = crashes.broken_stores(states=max(200, states // 20), flips=500)
    missed = [f"{name} was not caught" for name, found in stores.items() if not found.wrong]
    caught = f"{len(stores) - len(missed)} of {len(stores)} caught"
    yield Row("stores that are broken on purpose", f"{len(stores)}", caught, "all caught", not missed, missed)
