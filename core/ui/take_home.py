"""What people take home of a run."""

import io
import re

import pandas as pd

from core.runs.run import Run

MONTH = r"(jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*"
MISREAD = re.compile(
    rf"[=+\-@\s].*|[\d\s.,:/%$€e+\-]*|\d[\d:]*\s*[ap]m?|{MONTH}[\s./\-]*\d.*|\d+[\s./\-]*{MONTH}.*|"
    r"#?n/?a|-?nan|null|none|true|false|[+-]?inf(inity)?",
    re.I | re.S,
)
"""What a spreadsheet takes for a date, a number or a formula, and pandas for nothing or a number."""


def curves_csv(run: Run) -> bytes:
    """All curves of a run as a long table: step, curve, series, seed, value; more columns where a curve has more.

    What the columns of a curve are called is the lesson's to say (`Lesson.axes_of`). Names that a spreadsheet would
    make dates, numbers or formulas of stand behind a word ("net 8-8"), since nothing else keeps them in all of them.
    Numbers have a decimal point and all their digits.
    """
    tables = []
    steps = run.recording.steps()
    for curve in run.recording.curves:
        frames, values = run.recording.curve(curve)
        axes = run.lesson.axes_of(run.knobs, curve, values.shape[1:])
        rows = pd.MultiIndex.from_product([pd.Index(steps[frames]), *axes.values()], names=["step", *axes])
        tables.append(pd.DataFrame({"value": values.reshape(-1)}, index=rows).reset_index().assign(curve=curve))
    table = pd.concat(tables)
    more = [name for name in table if name not in ("step", "curve", "series", "seed", "value")]
    table = table[["step", "curve", "series", "seed", *more, "value"]]
    for name in table.select_dtypes(exclude="number"):
        table[name] = table[name].map(as_text, na_action="ignore")
    for name in table.columns.difference(["step", "value"]).intersection(table.select_dtypes("number").columns):
        table[name] = table[name].astype("Int64")  # whole, though some curves have none of it
    written = io.StringIO()
    table.to_csv(written, index=False)
    text = written.getvalue()
    # A spreadsheet takes a file without the mark for one of its own country's encoding.
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def as_text(name: str) -> str:
    """A name that neither a spreadsheet nor pandas takes for anything but text."""
    return f"net {name}" if MISREAD.fullmatch(name) else name
