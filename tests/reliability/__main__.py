"""Every promise, tried at length, in one table.

    python -m tests.reliability                          all of it, hours
    python -m tests.reliability --share 0.01             a quick look at all of it
    python -m tests.reliability store load --share 0.1   some of it

Each part runs in a process of its own: what one leaves in memory, or breaks, is no other's. Exit status 1 where a
promise was broken.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module

from core.places import ROOT
from tests.reliability.table import Row, markdown

PARTS = ("store", "bundles", "runner", "costs", "knobs", "load")


def tried(part: str, share: float) -> Iterator[Row]:
    """The rows of one part, as they come."""
    command = [sys.executable, "-m", "tests.reliability", part, "--share", str(share), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield Row(**json.loads(line))
    if process.returncode:
        yield Row(part, "", f"ended with status {process.returncode}", "ends", False)


def show(row: Row, seconds: float) -> None:
    """One row at once, for whoever waits."""
    print(f"{'ok' if row.holds else 'BROKEN':<7} {row.what}: {row.tried}; {row.figure} ({seconds:.0f} s)", flush=True)
    for sentence in row.wrong:
        print(f"        {sentence}", flush=True)


def main() -> int:
    """Print the table; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all where left out")
    parser.add_argument("--share", type=float, default=1.0, help="of the full length")
    parser.add_argument("--json", action="store_true", help="a line of JSON a row, in this process")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if chosen.json:
        logging.disable(logging.CRITICAL)  # what is broken on purpose is reported thousands of times
        for part in chosen.parts:
            for row in import_module(f"tests.reliability.{part}").rows(chosen.share):
                print(json.dumps(asdict(row)), flush=True)
        return 0
    rows, begun = [], time.perf_counter()
    for part in chosen.parts or PARTS:
        for row in tried(part, chosen.share):
            show(row, time.perf_counter() - begun)
            rows.append(row)
            begun = time.perf_counter()
    print(f"\n{markdown(rows)}")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
