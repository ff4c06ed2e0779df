"""A thousand hostile bundles, imported one after the other: by kind, what became of them and what it took.

    python tests/reliability/bundles.py
    python tests/reliability/bundles.py --bundles 200 --seed 7

They are made of a tiny run and of every run of the gallery. Exit status 1 if one wrote outside the cache, ran code,
took 200 MB more memory or ten seconds, ended in anything but a sentence, or was shown as what it is not.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.lessons import LESSONS
from core.places import GALLERY
from core.runs.store import Store
from tests.runs import hostile


def main() -> int:
    """Print the table; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # NumPy's, of the numbers that bundles are full of
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        gallery = Store(Path(folder) / "none", [GALLERY], LESSONS)
        shipped = [gallery.find(each.lesson, each.knobs) for each in gallery.list()]
        tiny = hostile.stored(Store(Path(folder) / "tiny", [], {"drawn": hostile.DRAWN}))
        runs = [tiny, *(run for run in shipped if run is not None)]
        found = hostile.trial(runs, chosen.bundles, chosen.seed, Path(folder) / "trial")
    print(f"{'kind':<44} {'refused':>8} {'imported':>9}")
    for name in hostile.KINDS:
        print(f"{name:<44} {found.refused[name]:>8} {found.taken[name]:>9}")
    print(
        f"hostile bundles: {found.tried} of {len(runs)} runs, {len(found.wrong)} violations; at most "
        f"{found.extra[0] / 1e6:.0f} MB more memory ({found.extra[1]}) and {found.slowest[0]:.2f} s "
        f"({found.slowest[1]}) for one; {time.perf_counter() - start:.0f} s in all"
    )
    for sentence in found.wrong[:20]:
        print(f"    {sentence}")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
