"""What the player is sent: asked of the real routes as a browser asks, without a socket."""

import asyncio
import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import plotly
import plotly.io
import pytest
from starlette.applications import Starlette

from core.frames import Frame, Recording
from core.lessons import LESSONS
from core.narrator import Diverges, Reaches
from core.panels import COLOURS, Panel, Still, Switch, lines, reference
from core.runs.run import Run, State
from core.traces import Scatter
from core.ui.replay import CHART_LIBRARY
from core.ui.routes import ASSETS, asset, routes
from core.ui.run_json import empty_figure, state

KEY, MISSING = "ab" * 16, "cd" * 16
SERIES = [f"h={width}" for width in range(1, 11)]


def charts(knobs):
    theirs = [reference([0, 1], [np.nan, 2.0], "theirs")]
    grown = lines("Loss", "It falls.", "loss", SERIES, x="pass", y="loss", extra=theirs)
    return [grown, Panel("Weights", "Now.", [Switch(Scatter(mode="markers"), {"y": "weights"})])]


def watched(knobs):
    return [
        Diverges("loss", SERIES, "loss"),
        Reaches("loss", SERIES, "loss", bound=1.9, kind="finished", does="is there"),
    ]


def made(frames, now=State.DONE, key=KEY):
    run = Run(SimpleNamespace(axis="pass", panels=charts, watches=watched), None, key)
    for step in range(frames):
        add(run, step)
    run.state = now
    return run


def add(run, step):
    loss = np.sin(step + np.arange(len(SERIES))) + 1.23456789
    loss[1] = np.inf if step == 2 else loss[1]
    pictures = {"weights": np.full(5, step)} if step % 3 == 0 else {}
    run.recording.append(Frame(step, {"loss": loss}, pictures, (step + 1) / 100))


class Runs:
    def __init__(self, *runs):
        self.held = {run.key: run for run in runs}

    def get(self, key):
        return self.held.get(key)

    def place(self, run):
        return 3

    def seconds_left(self, run):
        return 6.28


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


def ask(address, *runs, **headers):
    """One request to the routes, over ASGI."""
    path, _, query = address.partition("?")
    sent, received = [], [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return received.pop(0) if received else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    asyncio.run(Starlette(routes=routes(lambda: Runs(*runs)))(scope, receive, send))
    start = next(message for message in sent if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, body)


def test_the_first_answer_has_the_charts_and_all_frames():
    run = made(7)
    body = ask(f"/api/runs/{KEY}?since=0", run).json
    assert {name: body[name] for name in ("run", "state", "error", "axis", "since", "frames")} == {
        "run": KEY, "state": "done", "error": "", "axis": "pass", "since": 0, "frames": 7,
    }  # fmt: skip
    assert body["steps"] == [0, 1, 2, 3, 4, 5, 6]
    loss, weights = body["panels"]
    assert (loss["name"], loss["caption"]) == ("Loss", "It falls.")
    assert [each["moves"] for each in loss["bindings"]] == ["still"] + ["grow"] * len(SERIES)
    assert len(loss["figure"]["data"]) == 1 + len(SERIES)
    assert loss["delta"][0]["frames"] == list(range(7))
    assert loss["delta"][1]["y"][2] is None  # a net that was no number at frame 2
    assert weights["delta"][0]["frames"] == [0, 3, 6]


def test_the_charts_come_empty_and_without_a_look_of_their_own():
    figure = ask(f"/api/runs/{KEY}", made(7)).json["panels"][0]["figure"]
    assert "template" not in figure["layout"]
    assert "bdata" not in json.dumps([trace for trace in figure["data"] if trace["name"] in SERIES])


@pytest.mark.parametrize("slug", list(LESSONS))
def test_the_empty_charts_are_what_plotlys_own_classes_make_of_the_panels(slug):
    """They know each attribute and look at its value; what they would have otherwise, the browser would not draw."""
    for knobs in LESSONS[slug].presets.values():
        for panel in LESSONS[slug].panels(knobs):
            figure = panel.figure(Recording())
            figure.layout.template = None
            drawn = json.loads(plotly.io.to_json(figure, engine="json"))
            drawn["layout"].setdefault("colorway", list(COLOURS))
            assert rounded(json.loads(json.dumps(empty_figure(panel), allow_nan=False))) == rounded(drawn)


def rounded(value):
    """Without the last digits of its numbers."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 12) if isinstance(value, float) else value


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"line": {"width": "wide"}}, {"mode": 7}])
def test_a_trace_that_plotly_would_not_draw_is_noticed(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Panel("p", "c", [Still(Scatter(x=[1], y=[1], **wrong))]).figure(Recording())


def test_a_later_answer_has_only_what_is_new():
    body = ask(f"/api/runs/{KEY}?since=5", made(7)).json
    assert (body["since"], body["steps"]) == (5, [5, 6])
    assert all("figure" not in panel and "caption" not in panel for panel in body["panels"])
    assert body["panels"][0]["delta"][0]["frames"] == [5, 6]
    assert body["panels"][1]["delta"][0]["frames"] == [6]


def test_marks_come_with_the_frames_from_which_on_they_are_known():
    run = made(7)
    whole = state(run, 0)["marks"]
    assert [(mark["frame"], mark["lines"]) for mark in whole if "diverge" in mark["sentence"]] == [(2, [[0, 2]])]
    assert {mark["frame"] for mark in whole} > {0, 2}
    for mark in whole:
        assert mark.keys() == {"frame", "x", "y", "label", "sentence", "lines"}
        ((panel, trace),) = mark["lines"]
        assert run.lesson.panels(None)[panel].traces[trace].trace["name"] in SERIES
        (delta,) = [entry for entry in state(run)["panels"][panel]["delta"] if entry["trace"] == trace]
        assert mark["y"] == delta["y"][int(mark["x"])]  # it stands on its line
    for since in range(9):
        told = ask(f"/api/runs/{KEY}?since={since}", run).json["marks"]
        assert told == [mark for mark in whole if mark["frame"] >= since]


def test_marks_that_came_one_after_another_are_those_that_come_at_once():
    run, seen = made(0, State.RUNNING), []
    for step in range(7):
        add(run, step)
        seen += state(run, step)["marks"]
    assert seen == state(run, 0)["marks"]


def test_a_lesson_that_watches_nothing_has_no_marks_to_tell():
    run = made(7)
    run.lesson.watches = lambda knobs: ()
    assert ask(f"/api/runs/{KEY}", run).json["marks"] is None


@pytest.mark.parametrize("cuts", [(3, 7), (1, 2, 3, 4, 5, 6, 7), (7, 7)])
def test_deltas_one_after_another_are_the_whole(cuts):
    run = made(0, State.RUNNING)
    seen, had = [], 0
    for cut in cuts:
        for step in range(had, cut):
            add(run, step)
        seen.append(state(run, had))
        had = cut
    whole = state(run, 0)
    assert [step for part in seen for step in part["steps"]] == whole["steps"]
    for trace in range(len(SERIES)):
        entries = [entry for part in seen for entry in part["panels"][0]["delta"] if entry["trace"] == trace + 1]
        assert [y for entry in entries for y in entry["y"]] == whole["panels"][0]["delta"][trace]["y"]


def test_all_panels_end_at_the_same_frame(monkeypatch):
    run = made(4, State.RUNNING)
    grow = Panel.delta

    def while_it_trains(panel, recording, since, upto):
        add(run, len(recording))
        return grow(panel, recording, since, upto)

    monkeypatch.setattr(Panel, "delta", while_it_trains)
    body = ask(f"/api/runs/{KEY}", run).json
    ends = [entry["frames"][-1] for panel in body["panels"] for entry in panel["delta"]]
    assert (body["frames"], len(body["steps"]), max(ends)) == (4, 4, 3)


def test_a_run_that_ends_while_it_is_asked_is_final_only_with_all_its_frames(monkeypatch):
    run = made(4, State.RUNNING)

    class EndsWhenCounted(type(run.recording)):
        def __len__(self):
            run.state = State.DONE
            return super().__len__()

    run.recording.__class__ = EndsWhenCounted
    assert state(run, 0)["state"] == "running"
    assert state(run, 0)["state"] == "done"


def test_a_reader_ahead_of_the_server_gets_the_true_number_of_frames():
    body = ask(f"/api/runs/{KEY}?since=50", made(7)).json
    assert (body["frames"], body["steps"]) == (7, [])


def test_the_queue_shows_in_a_live_run_only():
    waiting = ask(f"/api/runs/{KEY}", made(0, State.QUEUED)).json
    done = ask(f"/api/runs/{KEY}", made(2)).json
    assert (waiting["place"], waiting["seconds_left"]) == (3, 6.3)
    assert (done["place"], done["seconds_left"], done["progress"]) == (0, None, 1.0)


def test_ten_curves_of_a_thousand_points_refresh_under_ten_kilobytes():
    run = made(1000, State.RUNNING)
    assert len(ask(f"/api/runs/{KEY}?since=990", run).body) < 10_000


def test_a_trained_again_run_says_so():
    assert state(made(2), 0)["created"] != state(made(2), 0)["created"]


def test_a_finished_run_is_sent_once():
    run = made(7)
    first = ask(f"/api/runs/{KEY}", run)
    tag = first.headers["etag"]
    assert not tag.startswith("W/")
    again = ask(f"/api/runs/{KEY}", run, if_none_match=f'"other", W/{tag}')
    assert (again.status, again.body) == (304, b"")
    assert ask(f"/api/runs/{KEY}?since=3", run, if_none_match=tag).status == 200


def test_a_live_run_is_never_kept():
    live = ask(f"/api/runs/{KEY}", made(7, State.RUNNING))
    assert live.headers["cache-control"] == "no-store"
    assert "etag" not in live.headers


OTHER = "ef" * 16


def pair(*names):
    """Two runs of one lesson."""
    first, second = (
        made(frames, now, key) for frames, now, key in names or ((3, State.DONE, KEY), (5, State.DONE, OTHER))
    )
    second.lesson = first.lesson
    return first, second


def test_two_runs_come_as_one_and_are_sent_once():
    first = ask(f"/api/compare?runs={KEY},{OTHER}&since=0", *pair(), accept_encoding="gzip")
    assert (first.status, first.json["run"], first.json["frames"]) == (200, f"{KEY},{OTHER}", 5)
    assert [panel["name"] for panel in first.json["panels"]] == ["Loss"]
    assert first.headers["cache-control"] == "no-cache"
    runs = pair()
    tag = ask(f"/api/compare?runs={KEY},{OTHER}", *runs).headers["etag"]
    again = ask(f"/api/compare?runs={KEY},{OTHER}", *runs, if_none_match=tag)
    assert (again.status, again.body) == (304, b"")
    assert ask(f"/api/compare?runs={OTHER},{KEY}", *runs, if_none_match=tag).status == 200, (
        "another order, other letters"
    )


def test_a_comparison_shows_the_lines_that_are_asked_for():
    query = "series=h%3D3&series=h%3D9&series=%3Cscript%3E"
    panel = ask(f"/api/compare?runs={KEY},{OTHER}&{query}", *pair()).json["panels"][0]
    named = [trace["name"] for trace in panel["figure"]["data"][1:]]
    assert named == ["A h=3", "A h=9", "B h=3", "B h=9"]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "A comparison takes 2 … 8 runs; this address names 0."),
        (f"runs={KEY}", 400, "A comparison takes 2 … 8 runs; this address names 1."),
        (f"runs={KEY},{KEY}", 400, "this address names 1"),
        (f"runs={KEY},{MISSING}", 404, f"Run {MISSING[:12]}… is not on this server"),
        (f"runs={KEY},../../etc", 404, "../../etc is no run's name"),
        (f"runs={','.join(f'{k:032x}' for k in range(9))}", 404, "9 runs are too many"),
    ],
)
def test_a_comparison_that_cannot_be_gets_one_sentence(query, status, says):
    for address in ("/api/compare", "/api/compare/replay.html"):
        answer = ask(f"{address}?{query}", *pair())
        assert answer.status == status
        assert says in answer.json["error"]


def test_a_run_that_still_trains_is_not_compared():
    runs = pair((3, State.DONE, KEY), (5, State.RUNNING, OTHER))
    answer = ask(f"/api/compare?runs={KEY},{OTHER}", *runs)
    assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    assert "still trains" in answer.json["error"]


def test_long_answers_are_packed_for_who_can_unpack():
    run = made(300)
    packed, plain = ask(f"/api/runs/{KEY}", run, accept_encoding="gzip, br"), ask(f"/api/runs/{KEY}", run)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json == plain.json
    run.state = State.RUNNING
    short = ask(f"/api/runs/{KEY}?since=300", run, accept_encoding="gzip")
    assert "content-encoding" not in short.headers


def test_no_answer_holds_what_is_no_json():
    def fail(constant):
        pytest.fail(f"{constant} in the answer")

    json.loads(ask(f"/api/runs/{KEY}", made(7)).body, parse_constant=fail)


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        (f"/api/runs/{MISSING}", 404, f"Run {MISSING[:12]}… is not on this server. Press Run"),
        ("/api/runs/abc", 404, "abc is no run's name: it takes 16 to 64 of the digits 0-9 and a-f."),
        (f"/api/runs/{KEY.upper()}", 404, "is no run's name"),
        (f"/api/runs/{'a' * 65}", 404, "is no run's name"),
        (f"/api/runs/{KEY}\n", 404, "is no run's name"),
        (f"/api/runs/{KEY}?since=-1", 400, "since = -1 is no number of frames; it takes 0 … 999999999."),
        (f"/api/runs/{KEY}?since=٣", 400, "is no number of frames"),
        (f"/api/runs/{KEY}?since=1e3", 400, "is no number of frames"),
        (f"/api/runs/{KEY}?since=", 400, "is no number of frames"),
        ("/assets/0/secrets.toml", 404, "There is no file secrets.toml here"),
    ],
)
def test_what_cannot_be_served_gets_one_sentence(address, status, says):
    answer = ask(address, made(7))
    assert answer.status == status
    assert says in answer.json["error"]


@pytest.mark.parametrize(
    "address",
    [f"/api/runs/{KEY}", f"/api/runs/{KEY}?since=3", f"/api/runs/{KEY}/thumbnail.svg", f"/api/runs/{MISSING}",
     f"/api/compare?runs={KEY},{OTHER}", f"/api/runs/{MISSING}/curves.csv", "/api/runs/nonsense"],
)  # fmt: skip
def test_what_is_opened_by_itself_is_taken_for_nothing_else_and_runs_no_script(address):
    headers = ask(address, *pair()).headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox"} <= set(policy)
    assert not any("script" in each for each in policy)


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a" * 15, "g" * 32, "a" * 32 + ".json"])
def test_a_name_that_is_no_key_is_never_looked_up(name, monkeypatch):
    monkeypatch.setattr(Runs, "get", lambda runs, key: pytest.fail(f"looked up {key}"))
    assert ask(f"/api/runs/{name}").status == 404


@pytest.mark.parametrize("name", ASSETS)
def test_the_players_files_are_packed_and_kept_until_they_change(name):
    packed = ask(f"/{asset(name)}", accept_encoding="gzip")
    assert gzip.decompress(packed.body) == ASSETS[name][0].read_bytes()
    assert packed.headers["content-type"].startswith(ASSETS[name][1])
    assert "immutable" in packed.headers["cache-control"]
    assert ask(f"/{asset(name)}", if_none_match=packed.headers["etag"]).status == 304
    older = ask(f"/assets/0123456789ab/{name}")
    assert older.headers["cache-control"] == "no-cache"
    assert older.body == ASSETS[name][0].read_bytes()


def test_the_chart_library_is_of_the_version_that_plotly_for_python_brings():
    def version(file):
        return re.search(r"plotly\.js[^\n]* v([0-9.]+)", file.read_text(encoding="utf-8")[:200])[1]

    assert version(CHART_LIBRARY) == version(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")


@pytest.mark.parametrize("slug", list(LESSONS))
def test_the_chart_library_draws_every_kind_of_chart_of_a_lesson(slug):
    """Each kind that it draws has a module there, named like it, with a `plot` of its own."""
    library = CHART_LIBRARY.read_text(encoding="utf-8")
    kinds = {
        each.trace["type"]
        for knobs in LESSONS[slug].presets.values()
        for panel in LESSONS[slug].panels(knobs)
        for each in panel.traces
    }
    assert kinds
    assert not [kind for kind in kinds if f'moduleType:"trace",name:"{kind}"' not in library]


def test_files_that_import_each_other_stand_in_one_folder():
    folders = {asset(name).rpartition("/")[0] for name in ASSETS if name != CHART_LIBRARY.name}
    assert len(folders) == 1
