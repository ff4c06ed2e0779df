"""A run, or several beside each other, as one HTML file that replays in any browser: from disk, with no network.

The page holds the same player as the app, the chart library and the frames. Nothing in it asks for anything: its
own policy forbids that.
"""

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from core.claims import SIGNS, Claim
from core.knobs import spell
from core.panels import Panel
from core.runs.run import Run
from core.ui.beside import Cell, explained, facts_beside, knobs_beside
from core.ui.overlay import LETTERS, compared_json, headline, shared
from core.ui.run_json import Part, state
from core.ui.thumbnail import thumbnail

PLAYER = Path(__file__).parent / "player"
# The part of Plotly's own library that draws in two dimensions: a third of the whole that comes with the Python package
# (same version: a test sees to it), so a third of what a browser loads and reads before the first curve.
CHART_LIBRARY = Path(__file__).parent / "chart_library" / "plotly-cartesian.min.js"
POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:"

LOOK = """
:root { color-scheme: light dark; }
body { max-width: 1400px; margin: 0 auto; padding: 24px 20px 60px; font: 16px/1.5 system-ui, sans-serif; }
body { background: #ffffff; color: #1b2430; }
@media (prefers-color-scheme: dark) { body { background: #0e1117; color: #e8ecf1; } }
h1 { margin: 0; font-size: 1.9em; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; font-size: .93em; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }
td + td { min-width: 9em; font-variant-numeric: tabular-nums; }
.origin { margin: 4px 0 20px; opacity: .75; }
.wide { overflow-x: auto; }
main { margin-top: 18px; }
figure { max-width: 640px; margin: 12px 0; }
figure svg { display: block; width: 100%; aspect-ratio: 16 / 9; border: 1px solid #8884; border-radius: 8px; }
figure ul { display: flex; flex-wrap: wrap; gap: 0 1em; margin: 6px 0; padding: 0; list-style: none; font-weight: 600; }
.scripted #still { display: none; }
summary { margin: 18px 0 6px; font-weight: 600; cursor: pointer; }
@page { margin: 12mm; }
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; background: #ffffff; color: #1b2430; font-size: 14px; }
  .wide { overflow: visible; }
  td + td { min-width: 0; }
  td { overflow-wrap: anywhere; font-size: 12px; }
  h2, summary { break-after: avoid; }
  tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""

# Without a script, or in a browser that is too old for ours, the still picture stays, and the sentence above it.
FALLBACK = """
document.documentElement.className = "scripted";
addEventListener("load", function () {
  if (!window.Plotly || !document.querySelector(".gl-player")) document.documentElement.className = "";
});
"""

START = """
import { mount } from "gradient-lab/player";
const run = JSON.parse(document.getElementById("run").textContent);
const nothingNew = { ...run, steps: [], marks: [], panels: run.panels.map((panel) => ({ ...panel, delta: [] })) };
mount(document.getElementById("player"), {
  source: { fetch: async (since) => (since === 0 ? run : { ...nothingNew, since: run.frames }) },
});
"""


def replay_html(run: Run) -> bytes:
    """The whole file, about two megabytes, nearly all of them the chart library."""
    name = f"{run.lesson.title}: {run.lesson.name_of(run.knobs)}"
    imported = ", imported" if run.imported else ""
    panel = run.lesson.panels(run.knobs)[0]
    below = [
        _claims(run.claims),
        _details("Facts", ("fact", "value"), [(fact, _spell(value)) for fact, value in run.facts.items()]),
        _details("Where these numbers come from", ("", ""), provenance(run)),
    ]
    return _document(
        name,
        run.lesson.question,
        f"{name} · {run.lesson.origin} · trained {run.created:%Y-%m-%d} on {run.device}{imported}",
        json.dumps(state(run), allow_nan=False, separators=(",", ":")),
        "\n".join(below),
        still=_still(panel, panel.figure(run.recording)),
    )


def comparison_html(runs: Sequence[Run], series: Sequence[str] = ()) -> bytes:
    """Several runs of one lesson as one such file: their curves in the same charts, what differs, and their facts.

    Args:
        runs: as `core.ui.overlay.pick` gives them.
        series: names of the lines to show; none: the usual ones.
    """
    lesson = runs[0].lesson
    heads = [f"{letter}: {lesson.name_of(run.knobs)}" for letter, run in zip(LETTERS, runs, strict=False)]
    differ, equal = knobs_beside(runs)
    facts = facts_beside(runs)
    _, left_out = shared(runs)
    first = headline(runs, series)
    above = f"<h2>What differs</h2>{_table(('knob', *heads), [(label, *values) for label, values in differ])}"
    below = [
        f"<p>Not overlaid, since they show one moment or belong to one run only: {escape(', '.join(left_out))}.</p>"
        if left_out
        else "",
        f"<h2>Facts</h2><p>{escape(explained(facts))}</p>" if facts else "",
        _table(("fact", *heads), [(name, *map(_beside, cells)) for name, cells in facts]) if facts else "",
        _details(f"{len(equal)} knobs are equal", ("knob", "value"), [(label, values[0]) for label, values in equal]),
        *(
            _details(f"Where {head} comes from", ("", ""), provenance(run))
            for head, run in zip(heads, runs, strict=True)
        ),
    ]
    return _document(
        f"{lesson.title}: {len(runs)} runs compared",
        lesson.question,
        " · ".join([*heads, lesson.origin]),
        compared_json(tuple(Part.of(run, 0) for run in runs), tuple(series)),
        "\n".join(filter(None, below)),
        above,
        _still(*first) if first else "",
    )


def _beside(cell: Cell) -> str:
    return " · ".join(filter(None, (cell.value, cell.difference, cell.verdict, cell.spread)))


def _document(
    title: str, heading: str, origin: str, charts: str, below: str, above: str = "", still: str = ""
) -> bytes:
    """The page around the player.

    Args:
        title: of the window, text.
        heading: text.
        origin: the line below it, text.
        charts: what the player is told, as JSON.
        below: what stands below the player, HTML.
        above: what stands above it, HTML.
        still: what stands in the player's place where it does not run, HTML.
    """
    modules = {
        "gradient-lab/chart": _module("chart.js"),
        "gradient-lab/player": _module("player.js"),
    }
    library = CHART_LIBRARY.read_text(encoding="utf-8")
    frames = charts.replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)} · Gradient Lab</title>
<style>{LOOK}{(PLAYER / "player.css").read_text(encoding="utf-8")}</style>
<script>{library}</script>
<script>{FALLBACK}</script>
<script type="importmap">{json.dumps({"imports": modules})}</script>
</head>
<body>
<h1>{escape(heading)}</h1>
<p class="origin">{escape(origin)}</p>
{above}
<main id="player"></main>
<section id="still">{still}</section>
{below}
<script type="application/json" id="run">{frames}</script>
<script type="module">{START}</script>
</body>
</html>
""".encode()


def _still(panel: Panel, figure: go.Figure) -> str:
    """The headline chart at the end, for a reader whose browser runs no script, or not this one."""
    lines = dict.fromkeys(
        (trace.name, trace.line.color or trace.marker.color)
        for trace in figure.data
        if trace.type == "scatter" and trace.name and not (trace.meta or {}).get("reference")
    )
    names = "".join(
        f'<li style="color: {escape(colour)}">{escape(name)}</li>' for name, colour in lines if isinstance(colour, str)
    )
    return (
        "<p>The charts are drawn by a script, which does not run here. To see and replay all of them, open this file "
        "in a current browser with JavaScript. This is the first one, at the end of the run:</p>"
        f"<figure><figcaption><strong>{escape(panel.name)}.</strong> {escape(panel.caption)}</figcaption>"
        f"{thumbnail(figure, moving=False)}<ul>{names}</ul></figure>"
    )


def provenance(run: Run) -> list[tuple[str, str]]:
    """What produced a run, line by line: knobs, device, time, versions, and the hash that vouches for its frames."""
    lines = [("lesson", f"{run.lesson.slug}, revision {run.lesson.revision}"), ("run", run.key)]
    lines += [(name.replace("_", " "), spell(value)) for name, value in run.knobs.model_dump().items()]
    lines += [("device", run.device), ("trained", f"{run.created:%Y-%m-%d %H:%M} UTC, for {run.seconds:.1f} s")]
    if run.manifest is not None:
        lines += [("torch threads", str(run.manifest.threads)), ("data", run.manifest.data or "none")]
        if run.imported:
            lines.append(("imported", "as a file from another machine; facts and claims were computed here"))
        lines += [(name, version) for name, version in run.manifest.versions.items()]
        lines += [(f"SHA-256 of {name}", file.sha256) for name, file in run.manifest.files.items()]
    return lines


def _module(name: str) -> str:
    """A file of the player as an address that the page carries in itself."""
    text = (PLAYER / name).read_text(encoding="utf-8").replace('"./chart.js"', '"gradient-lab/chart"')
    return f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode('ascii')}"


def _claims(claims: Sequence[Claim]) -> str:
    rows = [
        (
            f"{SIGNS[claim.verdict]} {claim.verdict}",
            *(claim.sentence, claim.measured, claim.expected, claim.notebook, claim.literature),
        )
        for claim in claims
    ]
    head = ("verdict", "claim", "this run", "expected", "the notebook", "the literature")
    return f"<h2>Claims, checked on this run</h2>{_table(head, rows)}" if rows else ""


def _details(summary: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"<details><summary>{escape(summary)}</summary>{_table(head, rows)}</details>" if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(kind: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{line("th", head)}</thead><tbody>{body}</tbody></table></div>'


def _spell(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
