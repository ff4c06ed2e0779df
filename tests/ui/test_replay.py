"""A run, or several, as one HTML file: whole, small enough, and asking nobody for anything."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from starlette.datastructures import QueryParams

from core.frames import Frame
from core.lessons import LESSONS
from core.runs.run import Run, State
from core.ui.overlay import compared
from core.ui.replay import POLICY, comparison_html, provenance, replay_html
from core.ui.routes import routes
from core.ui.run_json import state

LESSON = LESSONS["dying-relu"]


@pytest.fixture(scope="module")
def run():
    knobs = LESSON.small(LESSON.knobs())
    made = Run(LESSON, knobs, LESSON.key(knobs), state=State.DONE, device="CPU <2 cores> & more", wall_seconds=1.5)
    for frame in LESSON.train(knobs, torch.device("cpu")):
        made.recording.append(frame)
    return made


@pytest.fixture(scope="module")
def other(run):
    """The same with another rate and a hostile name of a device."""
    knobs = run.knobs.model_copy(update={"learning_rate": 0.05})
    made = Run(LESSON, knobs, LESSON.key(knobs), state=State.DONE, device="<b>", wall_seconds=2.5)
    for frame in LESSON.train(knobs, torch.device("cpu")):
        made.recording.append(frame)
    return made


def embedded(html):
    """What the player is told."""
    (frames,) = re.findall(r'<script type="application/json" id="run">(.*?)</script>', html.decode(), re.DOTALL)
    return json.loads(frames)


def test_the_file_holds_every_frame_and_the_player(run):
    text = replay_html(run).decode()
    assert embedded(replay_html(run)) == state(run)
    (imports,) = re.findall(r'<script type="importmap">(.*?)</script>', text)
    assert set(json.loads(imports)["imports"]) == {"gradient-lab/chart", "gradient-lab/player"}
    assert LESSON.question in text
    assert len(text) < 10_000_000


def test_a_comparison_holds_the_lines_that_are_asked_for_and_says_what_differs(run, other):
    runs = [run, other]
    html = comparison_html(runs)
    assert embedded(html) == compared(runs)
    text = html.decode()
    first, second = (LESSON.name_of(each.knobs) for each in runs)
    assert f"<th>A: {first}</th><th>B: {second}</th>" in text
    assert "<tr><td>learning rate</td><td>0.001</td><td>0.05</td></tr>" in text
    assert f"<td>{run.key}</td>" in text
    assert f"<td>{other.key}</td>" in text
    assert "Each difference is to A." in text
    assert "&lt;b&gt;" in text
    assert len(html) < 10_000_000
    (line, *_) = (trace["name"] for panel in embedded(html)["panels"] for trace in panel["figure"]["data"])
    one = line.partition(" ")[2]
    assert embedded(comparison_html(runs, [one])) == compared(runs, [one])


@pytest.mark.parametrize("several", [False, True])
def test_the_page_may_ask_nobody_for_anything(run, other, several):
    text = (comparison_html([run, other]) if several else replay_html(run)).decode()
    assert POLICY in text
    assert "default-src 'none'" in POLICY
    assert not re.search(r"(https?:)?//", POLICY)
    head, _, rest = text.partition("<script>")
    own = head + rest.partition("</script>")[2]  # without the chart library
    assert not re.search(r"""(src|href)=["']""", own)


def test_what_people_wrote_is_text(run):
    text = replay_html(run).decode()
    assert "CPU &lt;2 cores&gt; &amp; more" in text
    assert "<2 cores>" not in text.partition("<script>")[0] + text.partition('id="player"')[2].partition("<script")[0]


def test_a_series_name_cannot_end_the_script(run):
    odd = Run(LESSON, run.knobs, run.key, state=State.FAILED, error="</script><script>alert(1)</script>")
    odd.recording.append(Frame(0, {name: run.recording.curve(name)[1][0] for name in run.recording.curves}))
    assert "</script><script>alert" not in replay_html(odd).decode()


def test_provenance_names_every_knob_and_how_it_came_about(run):
    lines = dict(provenance(run))
    assert {name.replace("_", " ") for name in type(run.knobs).model_fields} <= lines.keys()
    assert lines["run"] == run.key
    assert lines["trained"].endswith("for 1.5 s")


@pytest.mark.parametrize(("now", "status"), [(State.DONE, 200), (State.RUNNING, 409), (None, 404)])
def test_the_route_gives_the_file_of_a_run_that_has_ended(run, now, status):
    asked = Run(LESSON, run.knobs, run.key, state=now or State.DONE, recording=run.recording)
    runs = SimpleNamespace(get=lambda key: asked if now else None)
    (endpoint,) = (route.endpoint for route in routes(lambda: runs) if route.path == "/api/runs/{key}/replay.html")
    answer = endpoint(SimpleNamespace(path_params={"key": run.key}))
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-disposition"] == f'attachment; filename="dying-relu-{run.key[:8]}.html"'
    else:
        assert json.loads(answer.body)["error"].endswith(".")


def test_the_route_gives_the_file_of_a_comparison_with_the_lines_that_are_shown(run, other):
    runs = {each.key: each for each in (run, other)}
    found = routes(lambda: SimpleNamespace(get=runs.get))
    (endpoint,) = (route.endpoint for route in found if route.path == "/api/compare/replay.html")
    asked = QueryParams([("runs", f"{run.key},{other.key}"), ("series", "by structure")])
    answer = endpoint(SimpleNamespace(query_params=asked))
    assert answer.status_code == 200
    name = f"dying-relu-{run.key[:8]}-{other.key[:8]}.html"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.body == comparison_html([run, other], ["by structure"])
