"""A thousand hostile bundles, made of a tiny run and of every run of the gallery, imported one after the other."""

import tempfile
import warnings
from pathlib import Path

from core.lessons import LESSONS
from core.places import GALLERY
from core.runs.store import Store
from tests.reliability.table import Row, Rows, share_of
from tests.runs import hostile


def rows(share: float, seed: int = 0) -> Rows:
    """None may write outside the cache, run code, take 200 MB more memory, or end in anything but a sentence."""
    warnings.simplefilter("ignore")  # NumPy's, of the numbers that bundles are full of
    with tempfile.TemporaryDirectory() as folder:
        gallery = Store(Path(folder) / "none", [GALLERY], LESSONS)
        shipped = [gallery.find(each.lesson, each.knobs) for each in gallery.list()]
        tiny = hostile.stored(Store(Path(folder) / "tiny", [], {"drawn": hostile.DRAWN}))
        runs = [tiny, *(run for run in shipped if run is not None)]
        found = hostile.trial(runs, share_of(1000, share, len(hostile.KINDS)), seed, Path(folder) / "trial")
    figure = f"at most {found.extra[0] / 1e6:.0f} MB more memory and {found.slowest[0]:.2f} s for one"
    tried = f"{found.tried:,} of {len(hostile.KINDS)} kinds"
    promise = "0 files outside, 0 code run, under 200 MB"
    yield Row.of("hostile bundles imported", tried, found.wrong, promise, figure)
