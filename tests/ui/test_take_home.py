"""What people take home: the curves as a table, the script, over HTTP, and a refusal in a sentence."""

import io
from types import SimpleNamespace

import numpy as np
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
from core.ui.take_home import as_text, curves_csv

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
    wanted = (table.curve == "train_loss") & (table.series == "h=16") & (table.seed == 2) & (table.step == 2)
    assert table[wanted].value.tolist() == [2.5]


def table_of(lesson, knobs, *frames):
    made = Run(lesson, knobs, lesson.key(knobs), state=State.DONE)
    for step, curves in enumerate(frames):
        made.recording.append(Frame(step, curves))
    return curves_csv(made)


def read(content):
    return pd.read_csv(io.BytesIO(content))


def test_seven_widths_take_no_names_from_the_seven_learning_rates_and_seeds_are_those_of_the_knobs():
    knobs = LESSON.knobs(widths=(2, 4, 8, 16, 32, 64, 128), seed=5, seeds=3)
    loss = np.arange(21.0).reshape(7, 3)
    table = read(table_of(LESSON, knobs, {"train_loss": loss, "ladder_loss": np.arange(7.0)}))
    widths, ladder = (table[table.curve == curve] for curve in ("train_loss", "ladder_loss"))
    assert list(widths.series.unique()) == [f"h={width}" for width in knobs.widths]
    assert list(widths.seed.unique()) == [5, 6, 7]
    assert widths.value.tolist() == loss.ravel().tolist()
    assert list(ladder.series) == [f"lr={rate}" for rate in ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1")]
    assert set(ladder.seed) == {5}


def test_the_parts_of_a_step_stand_under_part_and_not_under_seed():
    lesson = LESSONS["scaling"]
    knobs = lesson.knobs(workers=2, seed=9)
    table = read(table_of(lesson, knobs, {"seconds": [1, 2, 3], "seconds_by_part": np.ones((3, 3)), "loss": [1, 2]}))
    assert list(table) == ["step", "curve", "series", "seed", "part", "value"]
    parts = table[table.curve == "seconds_by_part"]
    assert list(parts.part.unique()) == ["compute", "serial", "communicate"]
    assert list(parts.series.unique()) == ["1 worker", "2, strong", "2, weak"]
    assert set(table.seed) == {9}
    assert table[table.curve == "loss"].part.isna().all()


def test_repeats_that_have_no_seed_of_their_own_are_counted():
    lesson = LESSONS["dropout"]
    table = read(table_of(lesson, lesson.knobs(seed=5, data_sets=2), {"train_mse": np.ones((2, 2)), "sample_gap": 1.0}))
    assert list(table) == ["step", "curve", "series", "seed", "data_set", "value"]
    assert table.data_set.tolist()[:4] == [1, 2, 1, 2]
    assert set(table.seed) == {5}
    assert table[table.curve == "sample_gap"].series.tolist() == ["all"]


def test_architectures_stay_what_they_are_in_a_spreadsheet():
    lesson = LESSONS["depth-vs-width"]
    knobs = lesson.knobs(architectures=("8", "8-8", "1-2-3"))
    content = table_of(lesson, knobs, {"train_rmse": [0.1, 1 / 3, 1e-300]})
    assert [line.split(",")[2] for line in content.decode().splitlines()[1:]] == ["net 8", "net 8-8", "net 1-2-3"]
    assert read(content).value.tolist() == [0.1, 1 / 3, 1e-300]


@pytest.mark.parametrize(
    "name",
    [
        "8-8",
        "1-2", "3/4", "64", "007", "1.5", "1,5", "1e5", "8:30", "8:30 pm", "5 am", "=1+1", "+5", "-3", "@x", "50%",
        "\tx", "May 5", "mar1", "5 Dez", "1-Okt", "SEPT2", "NA", "nan", "None", "null", "TRUE", "n/a", "",
        "-inf", "$5", "1 1/2",
    ],
)  # fmt: skip
def test_what_would_become_a_date_a_number_or_a_formula_stands_behind_a_word(name):
    assert as_text(name) == f"net {name}"


@pytest.mark.parametrize(
    "name", ["h=8", "lr=0.001", "1 worker", "2, strong", "your net", "Mario", "M=4, frozen", "größer"]
)
def test_other_names_stay_as_they_are(name):
    assert as_text(name) == name


def test_a_table_with_umlauts_says_its_encoding_and_one_without_is_plain_ascii(run, monkeypatch):
    assert curves_csv(run).startswith(b"step,curve,series,seed,value\n")
    monkeypatch.setitem(vars(LESSON), "series", lambda knobs: ("größer", "ε=1"))
    content = curves_csv(run)
    assert content.startswith(b"\xef\xbb\xbfstep,")
    table = read(content)
    assert next(iter(table)) == "step"
    assert {"größer", "ε=1"} <= set(table.series)


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
