"""The gallery page: everything that ships, and filters that the link keeps."""

import pytest
from streamlit.testing.v1 import AppTest

from core.lessons import CURRICULUM
from core.places import ROOT
from core.ui import state

pytestmark = pytest.mark.usefixtures("server")  # with the gallery that ships and nothing else


def gallery() -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=180).run()
    at.switch_page("gallery.py").run()
    assert not at.exception
    return at


def questions(at):
    return [each.value for each in at.header]


def test_every_stored_preset_stands_under_its_lessons_question():
    stored = {(run.lesson.slug, run.key) for run in state.runner().store.list() if run.origin == "gallery"}
    wanted = [each.question for each in CURRICULUM if any(slug == each.slug for slug, _ in stored)]
    at = gallery()
    assert questions(at) == wanted
    assert len(wanted) >= 2


def test_filters_leave_what_meets_all_of_them():
    at = gallery()
    lesson = next(each for each in CURRICULUM if each.slug == "dying-relu")
    at.multiselect(key="lesson").set_value([lesson.title]).run()
    assert questions(at) == [lesson.question]
    at.multiselect(key="preset").set_value(["Done right"]).run()
    assert questions(at) == [lesson.question]
    assert sum("s on" in each.value for each in at.caption) == 1
    at.multiselect(key="data_set").set_value(["fashion-mnist"]).run()
    assert questions(at) == []
    assert "Take a filter away" in at.info[0].value
