"""A class at work for minutes, a rush of browsers, a thousand who come and go (`tests/load/classroom.py`).

`SECONDS=60 make load` takes a minute for each class instead of ten.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.load import classroom
from tests.load.classroom import Server, serving
from tests.reliability.table import Row, Rows, share_of

SESSIONS = (30, 100)
PROMISED = 0.1  # seconds: 95 of 100 answers
MORE_MEMORY = 50.0  # MB
COLLECTED = 65.0  # seconds: app.py collects every 60
SETTLE = 150.0  # seconds: Streamlit keeps what a disconnected browser may come back to for two minutes


def rows(share: float) -> Rows:
    """Each trial on a server of its own, which trains in its other process."""
    seconds = float(os.environ.get("SECONDS", 600 * share))
    for sessions in SESSIONS:
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
            yield _class(server, sessions, seconds)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        yield _burst(server, 100)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        yield _visits(server, share_of(1000, share, 50))


def _class(server: Server, sessions: int, seconds: float) -> Row:
    used = server.cpu_seconds
    tally = classroom.in_class(server, sessions, seconds)
    busy = (server.cpu_seconds - used) / seconds
    wrong = [*tally.failed, *classroom.lost(server, tally)]
    timed = {"page": tally.scripts, "refresh": tally.refreshes}
    slow = [f"{name}: p95 {1000 * _p95(found):.0f} ms" for name, found in timed.items() if _p95(found) > PROMISED]
    figure = "; ".join(f"{name}: {classroom.quantiles(found)}" for name, found in timed.items())
    figure += f"; {len(tally.failed)} failed, {len(wrong) - len(tally.failed)} lost of {len(tally.done)} runs done"
    figure += f"; {100 * busy:.0f} % of a core, {server.megabytes:.0f} MB, {server.threads} threads"
    tried = f"{sessions} sessions, {seconds:.0f} s, {len(tally.scripts):,} pages, {len(tally.refreshes):,} refreshes"
    promise = "p95 under 100 ms, 0 failed, 0 lost"
    log = [server.said] if tally.failed else []
    return Row("a class at work while it trains", tried, figure, promise, not wrong + slow, wrong[:20] + slow + log)


def _p95(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.95)) if seconds else np.inf


def _burst(server: Server, opens: int) -> Row:
    last, failed = classroom.burst(server, opens, within=5.0)
    figure = f"last page after {last:.1f} s; {len(failed)} failed"
    tried = f"{opens} new browsers within 5 s, with all their files"
    return Row("a rush", tried, figure, "last page in 10 s, 0 failed", last < 10.0 and not failed, failed[:20])


def _visits(server: Server, times: int) -> Row:
    classroom.come_and_go(server, 150)  # as many sessions as Streamlit keeps for those who may come back
    settle(server, server.threads)
    before, threads = server.megabytes, server.threads
    failed = classroom.come_and_go(server, times)
    settle(server, threads)
    more, now = server.megabytes - before, server.threads
    figure = f"{more:+.0f} MB, {now} threads after {threads}; {len(failed)} failed"
    promise = "50 MB more at most, threads back"
    holds = more <= MORE_MEMORY and now <= threads and not failed
    return Row("those who connect and disconnect", f"{times:,}", figure, promise, holds, failed[:20])


def settle(server: Server, threads: int) -> None:
    """Wait until sessions are forgotten, garbage is collected, and no more threads are left than there were."""
    end = time.monotonic() + SETTLE
    time.sleep(COLLECTED)
    while server.threads > threads and time.monotonic() < end:
        time.sleep(1.0)
