"""Knob sets, links and sizes that nobody should send, at full length (`tests/ui/links.py`)."""

import os
import tempfile

from core.ui import state
from tests.reliability.table import Row, Rows, share_of
from tests.ui import links

PAGES = 0.05  # share of the links that is tried on whole pages; the others on the knobs, where they are read


def rows(share: float, seed: int = 0) -> Rows:
    """No exception on the screen; each refusal one sentence with the knob and what it takes; at once."""
    sets, pages = share_of(10_000, share * (1 - PAGES), 50), share_of(10_000, share * PAGES, 16)
    wrong = [fault for lesson, asked in links.generated(sets, seed) for fault in links.objections(lesson, asked)]
    wrong += _on_pages(pages, seed)
    tried = f"{sets + pages:,}, {pages} of them on whole pages"
    yield Row.of("hostile knob sets and links", tried, wrong, "0 exceptions; each refusal a sentence with limits")

    slowest, largest, wrong = 0.0, 0, []
    every = links.absurd()
    chosen = every[:: max(1, round(0.1 / share))]
    for lesson, name, value in chosen:
        seconds, size, found = links.absurd_objections(lesson, name, value)
        slowest, largest, wrong = max(slowest, seconds), max(largest, size), wrong + found
    figure = f"at most {1000 * slowest:.1f} ms and {largest / 1000:.0f} kB"
    yield Row.of("absurd sizes", f"{len(chosen):,} values", wrong, "refused or priced in 50 ms, no memory", figure)


def _on_pages(count: int, seed: int) -> list[str]:
    compared = count // 8
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"GRADIENT_LAB_CACHE": folder, "GRADIENT_LAB_ENGINE": "in_thread"}
        state.runner.clear()
        try:
            found = [
                links.page_objections(each.slug, asked) for each, asked in links.generated(count - compared, seed + 1)
            ]
            found += [links.comparison_objections(asked) for asked in links.comparisons(compared, seed)]
        finally:
            state.runner().close()
            state.runner.clear()
    return [fault for faults in found for fault in faults]
