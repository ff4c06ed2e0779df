"""What a browser fetches over plain HTTP beside Streamlit's own traffic: the player's files, and runs as JSON.

The player asks `api/runs/<key>?since=<n>` for what it lacks and says itself how far it has come. So no session holds
what was sent, a lost answer heals by itself, and a refresh costs no script run. No Streamlit here.
"""

import functools
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import plotly
import plotly.io
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.knobs import clip
from core.panels import COLOURS, Panel
from core.runs.run import RUN_ID, Run, State
from core.ui.take_home import curves_csv
from core.ui.thumbnail import thumbnail

COUNT = re.compile(r"[0-9]{1,9}")
NO_SUCH_RUN = "There is no such run on this server; look under Runs."
WORTH_PACKING = 4096  # bytes; what is shorter travels as it is
KEPT = 32  # runs whose charts stay ready: as many as a class looks at

PLAYER = Path(__file__).parent / "player"
ASSETS = {
    "player.js": (PLAYER / "player.js", "text/javascript"),
    "chart.js": (PLAYER / "chart.js", "text/javascript"),
    "player.css": (PLAYER / "player.css", "text/css"),
    "plotly.min.js": (Path(plotly.__file__).parent / "package_data" / "plotly.min.js", "text/javascript"),
}


class Runs(Protocol):
    """Where runs are looked up: the runner, or what stands in for it in a test."""

    def get(self, key: str) -> Run | None:
        """The run of that key, live or stored; None where there is none."""

    def place(self, run: Run) -> int:
        """Its place in line: 1 is next, 0 is not in line."""

    def seconds_left(self, run: Run) -> float | None:
        """About how long it will still train; None where nobody can tell."""


def routes(runs: Callable[[], Runs]) -> list[Route]:
    """The routes to serve beside Streamlit's own.

    Args:
        runs: gives the runner; called at each request, so that nothing starts at import.
    """

    # Plain functions, not coroutines: Starlette calls them in a thread, and the event loop stays free.
    def frames(request: Request) -> Response:
        return _frames(request, runs())

    def picture(request: Request) -> Response:
        return _picture(request, runs())

    def table(request: Request) -> Response:
        return _table(request, runs())

    return [
        Route("/assets/{version}/{name}", _asset),
        Route("/api/runs/{key}", frames),
        Route("/api/runs/{key}/thumbnail.svg", picture),
        Route("/api/runs/{key}/curves.csv", table),
    ]


# --- files -----------------------------------------------------------------------------------------------------------


def asset(name: str) -> str:
    """Where a file of the player is served, relative to the page. It changes when the file does."""
    return f"assets/{_version(name)}/{name}"


@functools.cache
def _version(name: str) -> str:
    """One version for all of the player's own files, since they import each other by their bare names."""
    path, _ = ASSETS[name]
    files = [path] if path.parent != PLAYER else [path for path, _ in ASSETS.values() if path.parent == PLAYER]
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:12]


@functools.cache
def _packed(name: str) -> bytes:
    """The file, packed once: the chart library has nearly five megabytes."""
    return gzip.compress(ASSETS[name][0].read_bytes(), mtime=0)


def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        return _refuse(404, f"There is no file {clip(name, 40)} here; the player has {', '.join(ASSETS)}.")
    path, media_type = ASSETS[name]
    current = request.path_params["version"] == _version(name)
    headers = {
        "ETag": f'"{_version(name)}"',
        "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if _known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(request):
        return Response(_packed(name), headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(path.read_bytes(), headers=headers, media_type=media_type)


# --- runs ------------------------------------------------------------------------------------------------------------


def state(run: Run, since: int = 0, *, place: int = 0, seconds_left: float | None = None) -> dict[str, Any]:
    """What a reader who has the first `since` frames of a run lacks, as plain JSON.

    {"run", "created", "state", "error", "progress", "seconds_left", "place", "axis", "since", "frames": how many there
    are, "steps": of the new frames, "panels": [{"name", "bindings", "delta"}]}, and with `since` = 0 each panel's
    "caption" and "figure" too. Another "created" under an equal "run" means that it was trained anew.
    """
    part = _Part.of(run, since)
    return {**_header(part, place, seconds_left), "panels": json.loads(_panels_json(part))}


@dataclass(frozen=True)
class _Part:
    """What one answer shows of a run. Equal parts give equal panels, whichever reader asks."""

    run: Run = field(compare=False)
    key: str
    created: str
    since: int
    upto: int
    state: State = field(compare=False)

    @classmethod
    def of(cls, run: Run, since: int) -> "_Part":
        now = run.state  # before the frames are counted: a run that is final by now has all of them
        return cls(run, run.key, run.created.isoformat(), since, len(run.recording), now)


def _header(part: _Part, place: int, seconds_left: float | None) -> dict[str, Any]:
    run = part.run
    return {
        "run": part.key,
        "created": part.created,
        "state": part.state.value,
        "error": run.error,
        "progress": 1.0 if part.state is State.DONE else round(run.recording.progress, 4),
        "seconds_left": None if part.state.final or seconds_left is None else round(seconds_left, 1),
        "place": 0 if part.state.final else place,
        "axis": run.lesson.axis,
        "since": part.since,
        "frames": part.upto,
        "steps": [float(f"{step:.9g}") for step in run.recording.steps(part.since, part.upto).tolist()],
    }


@functools.lru_cache(maxsize=KEPT)
def _panels_json(part: _Part) -> str:
    """The panels of an answer. Kept, since a class that watches one run asks for the same part at the same moment."""
    recording = part.run.recording
    found = []
    for panel, still in _panels(_Part(part.run, part.key, part.created, 0, 0, part.state)):
        also = still if part.since == 0 else {}
        delta = panel.delta(recording, part.since, part.upto)
        found.append({"name": panel.name, "bindings": panel.bindings(), **also, "delta": delta})
    return json.dumps(found, allow_nan=False, separators=(",", ":"))


@functools.lru_cache(maxsize=KEPT)
def _panels(part: _Part) -> Sequence[tuple[Panel, Mapping[str, Any]]]:
    """The panels of a run and what never changes of them: building them costs more than any delta."""
    run = part.run
    return [(each, {"caption": each.caption, "figure": _empty(each, run)}) for each in run.lesson.panels(run.knobs)]


def _empty(panel: Panel, run: Run) -> dict[str, Any]:
    """The chart before its first frame. Its look is the reader's, so Plotly's own template stays at home."""
    figure = panel.figure(run.recording, upto=0)
    figure.layout.template = None
    figure.layout.colorway = figure.layout.colorway or COLOURS
    text = plotly.io.to_json(figure, validate=False, engine="json")
    found = json.loads(text)
    return {"data": found["data"], "layout": found["layout"]}


def _frames(request: Request, runs: Runs) -> Response:
    key, since = request.path_params["key"], request.query_params.get("since", "0")
    if not RUN_ID.fullmatch(key):
        return _refuse(404, f"{clip(key, 40)} is no run's name: it takes 16 to 64 of the digits 0-9 and a-f.")
    if not COUNT.fullmatch(since):
        return _refuse(400, f"since = {clip(since, 40)} is no number of frames; it takes 0 … 999999999.")
    run = runs.get(key)
    if run is None:
        return _refuse(404, f"Run {key[:12]}… is not on this server. Press Run to train it again, or look under Runs.")
    part = _Part.of(run, int(since))
    header = _header(part, runs.place(run), runs.seconds_left(run))
    head = json.dumps(header, allow_nan=False, separators=(",", ":"))
    body = f'{head[:-1]},"panels":{_panels_json(part)}}}'.encode()
    if not part.state.final:
        return _json(request, body, {"Cache-Control": "no-store"})
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    return Response(status_code=304, headers=headers) if _known(request, tag) else _json(request, body, headers)


def _picture(request: Request, runs: Runs) -> Response:
    """The headline chart of a run as a small SVG that draws itself."""
    run = _run(request, runs)
    if run is None:
        return _refuse(404, NO_SUCH_RUN)
    part = _Part.of(run, 0)
    headers = {"Cache-Control": "max-age=300" if part.state.final else "no-store"}
    return Response(_drawn(part), headers=headers, media_type="image/svg+xml")


def _table(request: Request, runs: Runs) -> Response:
    """All curves of a run as CSV."""
    run = _run(request, runs)
    if run is None:
        return _refuse(404, NO_SUCH_RUN)
    name = f"{run.lesson.slug}-{run.key[:8]}.csv"
    return Response(
        curves_csv(run), headers={"Content-Disposition": f'attachment; filename="{name}"'}, media_type="text/csv"
    )


def _run(request: Request, runs: Runs) -> Run | None:
    key = request.path_params["key"]
    return runs.get(key) if RUN_ID.fullmatch(key) else None


@functools.lru_cache(maxsize=KEPT)
def _drawn(part: _Part) -> str:
    headline = part.run.lesson.panels(part.run.knobs)[0]
    return thumbnail(headline.figure(part.run.recording, part.upto))


# --- answers ---------------------------------------------------------------------------------------------------------


def _json(request: Request, body: bytes, headers: Mapping[str, str], status: int = 200) -> Response:
    also = {**headers, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if len(body) > WORTH_PACKING and _takes_gzip(request):
        body, also = gzip.compress(body, 6, mtime=0), {**also, "Content-Encoding": "gzip"}
    return Response(body, status, also, media_type="application/json")


def _refuse(status: int, sentence: str) -> Response:
    body = json.dumps({"error": sentence}).encode()
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")


def _known(request: Request, tag: str) -> bool:
    """Whether the browser holds this very version. A proxy that packs may have marked it as weak."""
    held = request.headers.get("if-none-match", "")
    return tag in (each.strip().removeprefix("W/") for each in held.split(","))


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")
