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
from pathlib import Path
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.knobs import KnobError, clip
from core.lessons import LESSONS
from core.runs import bundle
from core.runs.bundle import BundleError
from core.runs.run import RUN_ID, Run
from core.scripts import has_script, script
from core.ui.class_sweep import ClassSweep, Gatherer, gathered_json
from core.ui.kept import kept
from core.ui.overlay import LEAST, MOST, compared_json, pick
from core.ui.replay import CHART_LIBRARY, PLAYER, comparison_html, replay_html
from core.ui.run_json import Part, charts_json, header
from core.ui.take_home import curves_csv
from core.ui.thumbnail import thumbnail

COUNT = re.compile(r"[0-9]{1,9}")
NO_FRAME = "This run has no frame, so there is nothing in it to keep; open it under Runs and press Run."
NO_SUCH_RUN = "There is no such run on this server; look under Runs."
FOR_EVER = "public, max-age=31536000, immutable"  # where the address changes with the content
FILES_KEPT = 32 * 2**20  # bytes of files of runs, and as many of comparisons: some ten of the largest
WORTH_PACKING = 4096  # bytes; what is shorter travels as it is
# What a browser opens by itself, such as a picture in a tab of its own, is taken for nothing else and runs no script.
ALONE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
}

ASSETS = {
    "player.js": (PLAYER / "player.js", "text/javascript"),
    "chart.js": (PLAYER / "chart.js", "text/javascript"),
    "player.css": (PLAYER / "player.css", "text/css"),
    CHART_LIBRARY.name: (CHART_LIBRARY, "text/javascript"),
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
    return [
        _route("/assets/{version}/{name}", _asset),
        _route("/api/compare", _comparison, runs),
        _route("/api/compare/replay.html", _comparison_to_keep, runs),
        _route("/api/runs/{key}", _frames, runs),
        _route("/api/runs/{key}/thumbnail.svg", _picture, runs),
        _route("/api/runs/{key}/curves.csv", _table, runs),
        _route("/api/runs/{key}/replay.html", _replay, runs),
        _route("/api/runs/{key}/script.py", _script, runs),
        _route("/api/runs/{key}/bundle.glab", _to_go, runs),
    ]


def class_routes(gatherer: Callable[[], Gatherer]) -> list[Route]:
    """Those of a class that shares a knob out; `gatherer` gives what it has found, likewise."""
    return [_route("/api/class/{slug}", _class, gatherer)]


def _route(path: str, answer: Callable[..., Response], *needs: Callable[[], object]) -> Route:
    # A plain function, not a coroutine: Starlette calls it in a thread, and the event loop stays free.
    def answered(request: Request) -> Response:
        try:
            return answer(request, *(need() for need in needs))
        except Refused as refusal:
            body = json.dumps({"error": str(refusal)}).encode()
            headers = {"Cache-Control": "no-store", **ALONE}
            return Response(body, refusal.status, headers, media_type="application/json")

    return Route(path, answered)


class Refused(Exception):
    """A request that gets no more than a sentence, with the HTTP status of its kind."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


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
def packed(path: Path) -> bytes:
    """A file by gzip, packed once. The largest takes a tenth of a second."""
    return gzip.compress(path.read_bytes(), mtime=0)


def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise Refused(404, f"There is no file {clip(name, 40)} here; the player has {', '.join(ASSETS)}.")
    path, media_type = ASSETS[name]
    current = request.path_params["version"] == _version(name)
    headers = {
        "ETag": f'"{_version(name)}"',
        "Cache-Control": FOR_EVER if current else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if _known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if takes_gzip(request):
        return Response(packed(path), headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
    return Response(path.read_bytes(), headers=headers, media_type=media_type)


# --- runs ------------------------------------------------------------------------------------------------------------


def _frames(request: Request, runs: Runs) -> Response:
    key, since = request.path_params["key"], _since(request)
    if not RUN_ID.fullmatch(key):
        raise Refused(404, f"{clip(key, 40)} is no run's name: it takes 16 to 64 of the digits 0-9 and a-f.")
    run = runs.get(key)
    if run is None:
        raise Refused(404, f"Run {key[:12]}… is not on this server. Press Run to train it again, or look under Runs.")
    part = Part.of(run, since)
    told = header(part, runs.place(run), runs.seconds_left(run))
    head = json.dumps(told, allow_nan=False, separators=(",", ":"))
    if part.state.final:
        return _final(request, _ended(part, head))
    return _json(request, _body(part, head), {"Cache-Control": "no-store"})


def _since(request: Request) -> int:
    """How many frames the player has."""
    said = request.query_params.get("since", "0")
    if not COUNT.fullmatch(said):
        raise Refused(400, f"since = {clip(said, 40)} is no number of frames; it takes 0 … 999999999.")
    return int(said)


def _class(request: Request, gatherer: Gatherer) -> Response:
    """What a class has found that shares a knob out, as a run that grows."""
    lesson = LESSONS.get(request.path_params["slug"])
    if lesson is None:
        raise Refused(404, f"There is no lesson {clip(request.path_params['slug'], 40)}; take one of the menu.")
    since, said = _since(request), dict(request.query_params)
    share, number = said.get("share", ""), said.get("number", "")
    if not number:
        raise Refused(400, "number is missing; it says which number is drawn, as in number=test_accuracy.")
    asked = tuple((name, text) for name, text in said.items() if name in lesson.knobs.model_fields)
    try:
        sweep = _sweep(lesson.slug, asked, share)
    except KnobError as error:
        raise Refused(400, str(error)) from error
    body = gathered_json(gatherer.found(sweep), number, since).encode()
    return _json(request, body, {"Cache-Control": "no-store"})


@kept(weigh=lambda sweep: 0)  # they are small
def _sweep(slug: str, asked: tuple[tuple[str, str], ...], share: str) -> ClassSweep:
    """Kept, since a player asks for the same again and again, and each value is tried with all knobs."""
    return ClassSweep.read(LESSONS[slug], LESSONS[slug].asked(dict(asked)), share)


def _body(part: Part, head: str) -> bytes:
    return f"{head[:-1]},{charts_json(part)[1:]}".encode()


@kept(weigh=lambda packed: len(packed.body))
def _ended(part: Part, head: str) -> "Packed":
    """The answer of a run that has ended. Kept, since to pack it takes up to 0.2 s, and a class asks for it."""
    return Packed.of(_body(part, head))


def _comparison(request: Request, runs: Runs) -> Response:
    """Several runs of one lesson, overlaid."""
    found = _compared(request, runs)
    return _final(request, _overlaid(tuple(Part.of(run, 0) for run in found), _series(request)))


@kept(weigh=lambda packed: len(packed.body))
def _overlaid(parts: tuple[Part, ...], asked: tuple[str, ...]) -> "Packed":
    """That answer. Kept, since a class looks at one comparison at the same moment."""
    return Packed.of(compared_json(parts, asked).encode())


def _comparison_to_keep(request: Request, runs: Runs) -> Response:
    """Several runs of one lesson as one file that replays anywhere."""
    found = _compared(request, runs)
    name = "-".join([found[0].lesson.slug, *(run.key[:8] for run in found)])
    content = _kept_comparison(tuple(Part.of(run, 0) for run in found), _series(request))
    return _file(content, f"{name}.html", "text/html")


@kept(most_bytes=FILES_KEPT)
def _kept_comparison(parts: tuple[Part, ...], series: tuple[str, ...]) -> bytes:
    return comparison_html([part.run for part in parts], series)


def _compared(request: Request, runs: Runs) -> Sequence[Run]:
    """The runs that a comparison asks for."""
    keys = [key for key in request.query_params.get("runs", "").split(",") if key]
    found, sentences = pick(keys, runs.get)
    if sentences:
        raise Refused(404, " ".join(sentences))
    if len(found) < LEAST:
        raise Refused(400, f"A comparison takes {LEAST} … {MOST} runs; this address names {len(found)}.")
    return found


def _series(request: Request) -> tuple[str, ...]:
    return tuple(request.query_params.getlist("series"))


def _picture(request: Request, runs: Runs) -> Response:
    """The headline chart of a run as a small SVG that draws itself."""
    run = _run(request, runs)
    part = Part.of(run, 0)
    headers = {"Cache-Control": "max-age=300" if part.state.final else "no-store", **ALONE}
    return Response(_drawn(part), headers=headers, media_type="image/svg+xml")


def _table(request: Request, runs: Runs) -> Response:
    """All curves of a run as CSV."""
    run = _run(request, runs)
    return _file(_made(curves_csv, _shown(run)), f"{run.lesson.slug}-{run.key[:8]}.csv", "text/csv")


def _replay(request: Request, runs: Runs) -> Response:
    """A finished run as one file that replays anywhere."""
    run = _run(request, runs)
    if not run.state.final:
        raise Refused(409, "This run still trains; the file can be had when it has ended.")
    return _file(_made(replay_html, _shown(run)), f"{run.lesson.slug}-{run.key[:8]}.html", "text/html")


def _script(request: Request, runs: Runs) -> Response:
    """A run's experiment as a stand-alone script with its knobs."""
    run = _run(request, runs)
    if not has_script(run.lesson):
        raise Refused(404, f"The lesson {run.lesson.slug} has no script; its code stands on its page.")
    return _file(script(run.lesson, run.knobs).encode(), f"{run.lesson.slug}-{run.key[:8]}.py", "text/x-python")


def _to_go(request: Request, runs: Runs) -> Response:
    """A stored run as one file that another server imports."""
    run = _run(request, runs)
    try:
        return _file(_made(bundle.export, Part.of(run, 0)), bundle.name_of(run), "application/octet-stream")
    except BundleError as error:
        raise Refused(409, str(error)) from error


@kept(most_bytes=FILES_KEPT)
def _made(make: Callable[[Run], bytes], part: Part) -> bytes:
    """A file of a run. Kept, since some take up to a second, and a class takes the same home at the same moment."""
    return make(part.run)


def _file(content: bytes, name: str, media_type: str) -> Response:
    """Something to keep, not to look at here."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **ALONE}
    return Response(content, headers=headers, media_type=media_type)


def _run(request: Request, runs: Runs) -> Run:
    key = request.path_params["key"]
    run = runs.get(key) if RUN_ID.fullmatch(key) else None
    if run is None:
        raise Refused(404, NO_SUCH_RUN)
    return run


def _shown(run: Run) -> Part:
    """All of a run that has something to show."""
    if not len(run.recording):
        raise Refused(409, NO_FRAME)
    return Part.of(run, 0)


@kept()
def _drawn(part: Part) -> str:
    headline = part.run.lesson.panels(part.run.knobs)[0]
    return thumbnail(headline.figure(part.run.recording, part.upto))


# --- answers ---------------------------------------------------------------------------------------------------------


def _json(request: Request, body: bytes, headers: Mapping[str, str], status: int = 200) -> Response:
    also = {**headers, "Vary": "Accept-Encoding", **ALONE}
    if len(body) > WORTH_PACKING and takes_gzip(request):
        body, also = gzip.compress(body, 6, mtime=0), {**also, "Content-Encoding": "gzip"}
    return Response(body, status, also, media_type="application/json")


class Packed(NamedTuple):
    """What never changes again."""

    tag: str
    body: bytes  # by gzip

    @classmethod
    def of(cls, body: bytes) -> "Packed":
        """Packed once, for whoever asks."""
        return cls(f'"{hashlib.sha256(body).hexdigest()[:32]}"', gzip.compress(body, 6, mtime=0))


def _final(request: Request, found: Packed) -> Response:
    """Something that never changes again: sent once to each browser."""
    headers = {"Cache-Control": "no-cache", "ETag": found.tag}
    if _known(request, found.tag):
        return Response(status_code=304, headers=headers)
    headers |= {"Vary": "Accept-Encoding", **ALONE}
    if not takes_gzip(request):
        return Response(gzip.decompress(found.body), headers=headers, media_type="application/json")
    return Response(found.body, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json")


def _known(request: Request, tag: str) -> bool:
    """Whether the browser holds this very version. A proxy that packs may have marked it as weak."""
    held = request.headers.get("if-none-match", "")
    return tag in (each.strip().removeprefix("W/") for each in held.split(","))


def takes_gzip(request: Request) -> bool:
    """Whether the browser reads what gzip has packed."""
    return "gzip" in request.headers.get("accept-encoding", "")
