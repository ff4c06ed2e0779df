"""What people take home: the curves as a table, the script, over HTTP, and a refusal in a sentence."""

import io
from types import SimpleNamespace

import pandas as pd
import pytest

from core.frames import Frame
from core.lessons import LESSONS
from core.places import GALLERY
from core.runs import bundle
from core.runs.run import Run, State
from core.runs.store import Store
from core.scripts import script
from core.ui.replay import provenance, replay_html
from core.ui.routes import routes

LESSON = LESSONS["width-and-interpolation"]


class OneRun:
    """A server with a single run."""

    def __init__(self, run):
        self.run = run

    def get(self, key):
        return self.run if key == self.run.key else None

    def place(self, run):
        return 0

    def seconds_left(self, run):
        return None


@pytest.fixture
def run():
    knobs = LESSON.knobs(widths=(8, 16), seeds=2)
    made = Run(LESSON, knobs, LESSON.key(knobs), state=State.DONE)
    for step in range(3):
        made.recording.append(Frame(step, {"train_loss": [[step, 1], [2, step + 0.5]], "ladder_loss": [1.0, 2.0, 3.0]}))
    return made


@pytest.fixture
def get(run):
    """`get(key, file)`: what the route of that file answers."""
    return served(run)


def served(run):
    by_file = {route.path.rpartition("/")[2]: route.endpoint for route in routes(lambda: OneRun(run))}
    return lambda key, file: by_file[file](SimpleNamespace(path_params={"key": key}))


def test_the_csv_has_a_row_for_each_step_curve_series_and_seed(get, run):
    answer = get(run.key, "curves.csv")
    assert answer.status_code == 200
    assert run.key[:8] in answer.headers["content-disposition"]
    table = pd.read_csv(io.BytesIO(answer.body))
    assert list(table) == ["step", "curve", "series", "seed", "value"]
    assert len(table) == 3 * 4 + 3 * 3
    wanted = (table.curve == "train_loss") & (table.series == "h=16") & (table.seed == 1) & (table.step == 2)
    assert table[wanted].value.tolist() == [2.5]


def test_the_script_has_the_knobs_of_the_run(get, run):
    answer = get(run.key, "script.py")
    assert answer.status_code == 200
    assert answer.body.decode() == script(LESSON, run.knobs)
    assert b"widths = (8, 16)" in answer.body
    assert f'filename="{LESSON.slug}-{run.key[:8]}.py"' in answer.headers["content-disposition"]


def test_a_lesson_without_a_script_is_refused_in_a_sentence(get, run, monkeypatch):
    monkeypatch.setattr("core.ui.routes.has_script", lambda lesson: False)
    answer = get(run.key, "script.py")
    assert answer.status_code == 404
    assert b"has no script" in answer.body


@pytest.mark.parametrize("file", ["curves.csv", "script.py", "thumbnail.svg", "bundle.glab"])
@pytest.mark.parametrize("key", ["0" * 32, "nonsense", "../../etc"])
def test_a_run_that_is_not_there_is_refused_in_a_sentence(get, key, file):
    answer = get(key, file)
    assert answer.status_code == 404
    assert b"no such run" in answer.body


def test_a_run_that_is_not_stored_has_no_file_for_another_server(get, run):
    answer = get(run.key, "bundle.glab")
    assert answer.status_code == 409
    assert b"only a stored run can go to another server" in answer.body


@pytest.mark.parametrize("file", ["curves.csv", "replay.html"])
def test_a_run_without_a_frame_has_nothing_to_keep(file):
    knobs = LESSON.presets["Classroom"]
    empty = Run(LESSON, knobs, LESSON.key(knobs), state=State.STOPPED)
    answer = served(empty)(empty.key, file)
    assert answer.status_code == 409
    assert b"has no frame" in answer.body


@pytest.mark.parametrize(("file", "maker"), [("curves.csv", "curves_csv"), ("replay.html", "replay_html")])
def test_a_class_that_takes_the_same_home_has_it_made_once(get, run, file, maker, monkeypatch):
    made = []
    monkeypatch.setattr(f"core.ui.routes.{maker}", lambda run: made.append(run) or b"file")
    assert [get(run.key, file).body for _ in range(3)] == [b"file"] * 3
    assert made == [run]
    run.recording.append(Frame(3, {"train_loss": [[3, 1], [2, 1]], "ladder_loss": [1.0, 2.0, 3.0]}))
    get(run.key, file)
    assert len(made) == 2, "it has grown since"


def test_the_file_for_another_server_is_taken_there(tmp_path):
    shipped = Store(tmp_path / "here", [GALLERY], LESSONS).find(LESSON, LESSON.presets["Classroom"])
    answer = served(shipped)(shipped.key, "bundle.glab")
    assert answer.headers["content-disposition"].endswith(f'{LESSON.slug}-{shipped.key[:8]}.glab"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    found, new = bundle.bring_in(answer.body, Store(tmp_path / "there", [], LESSONS))
    assert (found.key, found.imported, new) == (shipped.key, True, True)
    assert ("imported", "as a file from another machine; facts and claims were computed here") in provenance(found)
    assert "imported" not in dict(provenance(shipped))
    assert b", imported</p>" in replay_html(found)
    assert b", imported</p>" not in replay_html(shipped)


def test_the_thumbnail_is_a_picture(get, run):
    answer = get(run.key, "thumbnail.svg")
    assert answer.media_type == "image/svg+xml"
    assert answer.body.startswith(b"<svg")
