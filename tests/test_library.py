"""Lessons of one's own: taken up while the server runs, no old run for changed code, a sentence where broken."""

import re
import threading

import numpy as np
import pytest
import torch

from core.cost import Calibration
from core.frames import Recording
from core.lessons import CURRICULUM, LESSONS
from core.library import VARIABLE, Library
from core.own import check, write
from core.places import ROOT
from core.runs.engines import EngineError, InProcess
from core.runs.store import Store

MINIMAL = '''"""Which learning rate takes gradient descent down a ravine fastest?"""

import torch

from core.lab import Curve, Frame, Knobs, Lesson, knob


class RavineKnobs(Knobs):
    rate: float = knob(0.05, "step size of gradient descent", 1e-3, 1.0)
    steps: int = knob(20, "how many gradient steps", 1, 5000)


lesson = Lesson("ravine", RavineKnobs, axis="step", curves=[Curve("loss", "loss", log=True)])


@lesson.experiment
def train(knobs, device):
    w = torch.tensor([10.0, 1.0], device=device)
    curvature = torch.tensor([1.0, 30.0], device=device)
    for step in range(knobs.steps + 1):
        yield Frame(step, {"loss": 0.5 * float((curvature * w * w).sum())}, progress=step / knobs.steps)
        w = w - knobs.rate * curvature * w
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def library(folder):
    found = Library(CURRICULUM)
    found.refresh()
    return found


def put(folder, code=MINIMAL, name="ravine.py"):
    (folder / name).write_text(code, encoding="utf-8")


def test_without_a_folder_there_is_the_curriculum_in_its_order(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    library = Library(CURRICULUM)
    library.refresh()
    assert list(library.values()) == list(CURRICULUM)
    assert list(LESSONS)[: len(CURRICULUM)] == [lesson.slug for lesson in CURRICULUM]


def test_twenty_lines_are_a_whole_lesson(folder, library):
    put(folder)
    library.refresh()
    (lesson,) = library.own
    assert list(library)[-1] == "ravine"
    assert lesson.question == "Which learning rate takes gradient descent down a ravine fastest?"
    assert lesson.title == "Ravine"
    assert lesson.parse({"rate": "0.01"}).rate == 0.01
    frames = list(lesson.train(lesson.knobs(), torch.device("cpu")))
    assert len(frames) == 21
    (panel,) = lesson.panels(lesson.knobs())
    recording = Recording()
    for frame in frames:
        recording.append(frame)
    assert len(panel.figure(recording).data[-1].y) == 21
    assert lesson.result(lesson.knobs(), recording).values == {"loss": pytest.approx(frames[-1].curves["loss"])}
    assert 0 < Calibration().seconds(lesson.cost_of(lesson.knobs())) < 60
    assert "yield Frame" in lesson.source()


def test_changed_code_is_taken_up_and_has_other_runs(folder, library):
    put(folder)
    library.refresh()
    before = library["ravine"]
    library.refresh()
    assert library["ravine"] is before, "what has not changed is not run again"
    put(folder, MINIMAL.replace("0.5 *", "0.25 *"))
    library.refresh()
    after = library["ravine"]
    assert after.key(after.knobs()) != before.key(before.knobs())
    assert "0.25" in after.source()
    (folder / "ravine.py").unlink()
    library.refresh()
    assert "ravine" not in library


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def train(:\n", "ravine.py, line 1: invalid syntax; mend it"),
        ("x = 1\ny = z\n", "ravine.py, line 2: NameError: name 'z' is not defined; mend it"),
        ("import nowhere_at_all\n", "line 1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = 1\n", "ravine.py declares no lesson; write lesson = Lesson(...)"),
        (MINIMAL.replace('"ravine"', '"../ravine"'), "cannot be a slug"),
        (MINIMAL.replace('"ravine"', '"dropout"'), "another lesson is called dropout; choose another slug"),
        (MINIMAL.replace("@lesson.experiment", ""), "has no experiment; decorate its generator"),
        (MINIMAL.replace('curves=[Curve("loss", "loss", log=True)]', "curves=[]"), "measures nothing"),
        (MINIMAL.replace("lesson = Lesson(", "import sys\nsys.exit(3)\nlesson = Lesson("), "SystemExit: 3"),
    ],
)
def test_a_broken_file_is_one_sentence_and_the_rest_goes_on(folder, library, code, says):
    put(folder, MINIMAL.replace('"ravine"', '"other"'), "other.py")
    put(folder, code)
    library.refresh()
    assert list(library.errors) == ["ravine.py"]
    assert says in library.errors["ravine.py"]
    assert "\n" not in library.errors["ravine.py"]
    assert [lesson.slug for lesson in library.own] == ["other"]


def test_a_folder_that_is_none_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    library = Library(CURRICULUM)
    library.refresh()
    assert "is no folder; name one, or unset it." in next(iter(library.errors.values()))


def test_a_frame_that_was_not_declared_is_refused_with_what_there_is(folder, library):
    put(folder, MINIMAL.replace('{"loss":', '{"lost":'))
    library.refresh()
    lesson = library["ravine"]
    with pytest.raises(ValueError, match="the curve lost is not declared; it has loss"):
        next(lesson.train(lesson.knobs(), torch.device("cpu")))


def test_what_new_writes_keeps_every_promise_and_is_never_overwritten(folder):
    code, words = write("my-lesson", folder)
    assert check(code) == []
    assert words.read_text(encoding="utf-8").startswith("# My lesson\n")
    with pytest.raises(ValueError, match="is there already"):
        write("my-lesson", folder)
    with pytest.raises(ValueError, match="cannot be a slug"):
        write("My Lesson", folder)
    library = Library(CURRICULUM)
    library.refresh()
    assert library["my-lesson"].question == "Which learning rate takes gradient descent down a ravine fastest?"
    assert not library.errors


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("range(knobs.steps + 1)", "range(1, knobs.steps + 1)", "begins at step 1; yield a frame at 0"),
        ("progress=step / knobs.steps", "progress=0.5", "ends at a progress of 50%"),
        ("manual_seed(knobs.seed)", "manual_seed(torch.seed())", "gives other numbers each time"),
        ('"step size of gradient descent"', '"rate"', 'The knob rate says "rate"'),
        ("w = w -", "w = [][step // 7] if step > 5 else w -", "fails after 7 frames (IndexError"),
        ('result.line("loss")[1]\n    falls', "result.loss\n    falls", "charts, facts or claims fail (AttributeError"),
        ('"Classroom": {}', '"Usual": {}', 'The first preset is "Usual"; call it "Classroom".'),
    ],
)  # fmt: skip
def test_check_says_what_a_lesson_lacks(folder, old, new, says):
    code, _ = write("my-lesson", folder)
    text = code.read_text(encoding="utf-8")
    assert old in text
    code.write_text(text.replace(old, new), encoding="utf-8")
    assert [sentence for sentence in check(code) if says in sentence]


def test_the_training_process_trains_the_code_that_the_page_shows(folder, library, tmp_path):
    put(folder)
    library.refresh()
    engine, stop = InProcess(), threading.Event()
    try:
        engine.ready(stop)
        lesson = library["ravine"]
        frames = list(engine.frames(lesson, lesson.knobs(), torch.device("cpu"), stop))
        assert np.asarray(frames[-1].curves["loss"]).item() > 0
        put(folder, MINIMAL.replace("0.5 *", "0.25 *"))
        with pytest.raises(EngineError, match="was changed meanwhile; reload the page"):
            list(engine.frames(lesson, lesson.knobs(), torch.device("cpu"), stop))
        library.refresh()
        lesson = library["ravine"]
        halved = list(engine.frames(lesson, lesson.knobs(), torch.device("cpu"), stop))
        assert halved[0].curves["loss"] == pytest.approx(frames[0].curves["loss"] / 2)
    finally:
        engine.close()
    assert Store(tmp_path / "cache", [], library).list() == []


def test_the_guide_builds_a_lesson_that_keeps_every_promise(folder):
    guide = (ROOT / "docs" / "write-a-lesson.md").read_text(encoding="utf-8")
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", guide, re.S))
    (words,) = re.findall(r"```markdown\n(.*?)```", guide, re.S)
    put(folder, code, "momentum_in_a_ravine.py")
    put(folder, words, "momentum_in_a_ravine.md")
    assert check(folder / "momentum_in_a_ravine.py") == []
    library = Library(CURRICULUM)
    library.refresh()
    lesson = library["momentum-in-a-ravine"]
    for name, holds in (("Classroom", True), ("Too much momentum", False)):
        recording = Recording()
        for frame in lesson.train(lesson.presets[name], torch.device("cpu")):
            recording.append(frame)
        result = lesson.result(lesson.presets[name], recording)
        assert result.claims[0].holds is holds, (name, result.claims[0].measured)
        assert result.outcome
