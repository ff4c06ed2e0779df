"""What works everywhere, in two tables: on processors, and at addresses.

python -m tests.everywhere                        both tables, half an hour
python -m tests.everywhere --quick                without the tests on each processor: some minutes
python -m tests.everywhere processors             one of them
python -m tests.everywhere processors --mode "torch: plain" --write     some of its rows anew
python -m tests.everywhere --write                and keep them in docs/everywhere.md
"""

import argparse
import re
import sys
from importlib import import_module

from core.places import ROOT

FILE = ROOT / "docs" / "everywhere.md"
TITLES = {"processors": "Processors", "addresses": "Addresses"}
HEAD = """# Everywhere

Printed by `make everywhere`, which runs it all again. A processor here is this one, whose libraries are told to leave
its newer instructions unused. What is computed again from stored frames agrees to nine digits, and every verdict is the
same. Runs that are trained on another kind of processor differ from the sixth or seventh digit on: equal knobs give an
equal run, bit for bit, on one kind. The tests ran under the modes whose last column is filled.
"""


def main() -> int:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(TITLES)}; both where left out")
    parser.add_argument("--quick", action="store_true", help="without the column that runs all tests")
    parser.add_argument("--mode", action="append", default=[], help="only this row of the processors; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"keep them in {FILE.relative_to(ROOT)}")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(TITLES):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    written = _written()
    for part in chosen.parts or TITLES:
        made = import_module(f"tests.everywhere.{part}")
        if part == "processors":
            if unknown := set(chosen.mode) - set(made.MODES):
                parser.error(f"no mode {', '.join(sorted(unknown))}; there are {', '.join(made.MODES)}")
            written[part] = made.table(chosen.quick, chosen.mode, written.get(part, ""))
        else:
            written[part] = made.table()
        print(f"\n## {TITLES[part]}\n\n{written[part]}\n", flush=True)
        if chosen.write:  # at once: what follows may take an hour, or break
            FILE.parent.mkdir(exist_ok=True)
            told = [f"\n## {TITLES[each]}\n\n{written[each]}\n" for each in TITLES if each in written]
            FILE.write_text(HEAD + "".join(told), encoding="utf-8")
    return 0


def _written() -> dict[str, str]:
    """The tables that are kept, so that one can be made again without the other."""
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    parts = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {title.lower(): table.strip() for title, table in zip(parts[::2], parts[1::2], strict=True)}


if __name__ == "__main__":
    sys.exit(main())
