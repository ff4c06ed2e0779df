"""The Compare page without a browser, on the runs of the gallery: by link, by hand, and with links that cannot be."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from core.lessons import LESSONS
from core.places import ROOT
from core.ui import state
from tests.ui.opened import LONG, by_link

pytestmark = pytest.mark.usefixtures("server")

WIDTH, RELU = LESSONS["width-and-interpolation"], LESSONS["dying-relu"]
CLASSROOM, RIGHT, LABELS = (WIDTH.key(WIDTH.presets[name]) for name in ("Classroom", "Done right", "Random labels"))
OTHER = RELU.key(RELU.presets["Classroom"])
RUNS, LINES = f"compare/runs/{WIDTH.slug}", f"compare/series/{CLASSROOM},{RIGHT}"


def opened(**query) -> AppTest:
    """The page, opened by a link."""

    def script():
        from pages import compare, lesson

        compare.show(lesson.page)

    return by_link(script, {}, query)


def said(at, name):
    """All that the link says under a name."""
    value = at.query_params.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def source(at):
    """What the player asks the server for: runs and lines; None where there is no player."""
    found = [node for node in elements(at.main) if node.type == "bidi_component"]
    if not found:
        return None
    query = parse_qs(urlsplit(json.loads(found[0].proto.json)["source"]).query)
    return query["runs"][0].split(","), query.get("series", [])


def elements(block):
    for child in block.children.values():
        yield from elements(child) if hasattr(child, "children") else [child]


def html(at):
    return "\n".join(node.proto.body for node in elements(at.main) if node.type == "html")


def links(at):
    """The links on the page: label → query."""
    return {node.proto.label: node.proto.query_string for node in elements(at.main) if node.type == "page_link"}


def test_a_link_opens_the_runs_with_what_differs_their_charts_and_their_facts():
    at = opened(runs=f"{CLASSROOM},{RIGHT}")
    assert not at.exception
    assert not at.warning
    assert at.selectbox(key="compare/lesson").value == WIDTH.slug
    assert at.multiselect(key=RUNS).value == [CLASSROOM, RIGHT]
    assert said(at, "runs") == [f"{CLASSROOM},{RIGHT}"]
    assert source(at) == ([CLASSROOM, RIGHT], [])
    knobs, facts, *_ = html(at).split("</div>")
    assert "<td>40</td><td>100</td>" in knobs
    assert "batch" not in knobs, "what is equal is folded away"
    assert "test loss · h=128" in facts
    assert "these data cannot tell (95 % interval" in facts
    assert "higher (95 % interval" in facts
    assert any("Passes until interpolation" in each.value for each in at.caption)
    assert f"run={RIGHT}" in links(at)["Open B"]
    assert f'href="api/compare/replay.html?runs={CLASSROOM}%2C{RIGHT}" download' in html(at)


def test_runs_chosen_by_hand_go_into_the_link_and_leave_it_again():
    at = opened(lesson=WIDTH.slug)
    assert source(at) is None
    at.multiselect(key=RUNS).set_value([CLASSROOM]).run()
    assert source(at) is None
    assert said(at, "runs") == [CLASSROOM]
    at.multiselect(key=RUNS).set_value([CLASSROOM, LABELS, RIGHT]).run()
    assert source(at)[0] == [CLASSROOM, LABELS, RIGHT]
    assert said(at, "runs") == [f"{CLASSROOM},{LABELS},{RIGHT}"]
    assert not said(at, "lesson"), "the runs say it"
    at.selectbox(key="compare/lesson").set_value(RELU.slug).run()
    assert (said(at, "runs"), said(at, "lesson")) == ([], [RELU.slug])
    assert not at.exception


def test_lines_are_chosen_in_the_link_too_and_the_usual_ones_need_none():
    at = opened(runs=f"{CLASSROOM},{RIGHT}", series=["h=512", "h=8", "h=77"])
    assert at.pills(key=LINES).value == ["h=8", "h=512"]
    assert source(at)[1] == said(at, "series") == ["h=8", "h=512"]
    at.pills(key=LINES).set_value(["h=128"]).run()
    assert source(at)[1] == said(at, "series") == ["h=128"]
    at.multiselect(key=RUNS).set_value([CLASSROOM, RIGHT, LABELS]).run()
    assert source(at)[1] == ["h=128"], "what the reader chose outlives another run"
    at.multiselect(key=RUNS).set_value([CLASSROOM, RIGHT]).run()
    at.pills(key=LINES).set_value([]).run()
    assert source(at)[1] == said(at, "series") == []
    assert not at.exception


def test_another_link_in_the_same_session_is_followed():
    at = opened(runs=f"{CLASSROOM},{RIGHT}", frame="7")
    assert said(at, "frame") == ["7"]
    at.query_params["runs"] = f"{LABELS},{CLASSROOM}"
    at.query_params["series"] = ["h=32"]
    at.run()
    assert source(at) == ([LABELS, CLASSROOM], ["h=32"])
    at.multiselect(key=RUNS).set_value([LABELS, RIGHT]).run()
    assert source(at)[0] == [LABELS, RIGHT]
    assert not said(at, "frame"), "the frame was another comparison's"


def test_an_empty_link_means_what_was_there_last():
    at = opened(runs=f"{CLASSROOM},{RIGHT}", series=["h=8"])
    for name in ("runs", "series"):
        del at.query_params[name]
    at.run()
    assert source(at) == ([CLASSROOM, RIGHT], ["h=8"])
    assert said(at, "runs") == [f"{CLASSROOM},{RIGHT}"]


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        ("nonsense", "nonsense is no run's name"),
        ("../../etc/passwd", "../../etc/passwd is no run's name"),
        ("<script>alert(1)</script>", "is no run's name"),
        ("0" * 32, "Run 000000000000… is not on this server"),
        (OTHER, "is of the lesson Dying ReLU, the first one of Width and interpolation"),
        ("9" * 5000, "is no run's name"),
    ],
)
def test_a_run_that_cannot_be_compared_gets_a_sentence_and_the_others_stay(also, sentence):
    at = opened(runs=f"{CLASSROOM},{also},{RIGHT}")
    assert not at.exception
    assert len(at.warning) == 1
    assert sentence in at.warning[0].value
    assert source(at)[0] == [CLASSROOM, RIGHT]
    assert said(at, "runs") == [f"{CLASSROOM},{RIGHT}"]


def test_nine_runs_are_too_many_and_the_first_eight_are_looked_for():
    at = opened(runs=",".join([CLASSROOM, RIGHT, *(f"{k:032x}" for k in range(7))]))
    assert "9 runs are too many" in at.warning[0].value
    assert source(at)[0] == [CLASSROOM, RIGHT]


@pytest.mark.parametrize("query", [{}, {"lesson": "no-such-lesson"}, {"runs": ","}, {"runs": "", "series": "h=8"}])
def test_the_empty_page_says_what_to_do_and_offers_pairs(query):
    at = opened(**query)
    assert not at.exception
    assert "Choose two to eight runs" in at.info[0].value
    assert any("Classroom" in button.label and "Done right" in button.label for button in at.button)
    assert source(at) is None


def test_one_run_is_offered_a_partner():
    at = opened(runs=CLASSROOM)
    assert "Choose one more run" in at.info[0].value
    next(each for each in at.button if each.label == "**Classroom** beside **Done right**").click().run()
    assert source(at)[0] == [CLASSROOM, RIGHT]
    assert said(at, "runs") == [f"{CLASSROOM},{RIGHT}"]


def test_without_any_stored_run_the_page_says_where_they_come_from(monkeypatch):
    monkeypatch.setattr("core.runs.store.Store.list", lambda store: [])
    at = opened()
    assert "No run is stored here yet" in at.info[0].value


def test_a_run_that_no_list_has_is_compared_as_long_as_the_link_names_it(monkeypatch):
    """One that was stopped, say."""
    knobs = RELU.parse({"nets": "20", "epochs": "1", "points": "64", "depth": "2"})
    run = state.runner().submit(RELU, knobs, asker="reader")
    assert state.runner().wait(run, LONG)
    listed = state.runner().store.list()
    monkeypatch.setattr("core.runs.store.Store.list", lambda store: [each for each in listed if each.key != run.key])
    at = opened(runs=f"{run.key},{OTHER}")
    assert source(at)[0] == [run.key, OTHER]
    at.pills(key=f"compare/series/{run.key},{OTHER}").set_value(["alive"]).run()
    assert not at.exception
    assert source(at) == ([run.key, OTHER], ["alive"])
    at.multiselect(key=f"compare/runs/{RELU.slug}").set_value([OTHER]).run()
    assert not at.exception
    assert said(at, "runs") == [OTHER]


@pytest.mark.parametrize("page", ["gallery.py", "runs.py"])
def test_the_other_pages_lead_here(page):
    knobs = RELU.parse({"nets": "20", "epochs": "1", "points": "64", "depth": "2"})
    run = state.runner().submit(RELU, knobs, asker="reader")
    assert state.runner().wait(run, LONG)
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run()
    at.switch_page(page).run()
    assert not at.exception
    wanted = {"gallery.py": f"lesson={RELU.slug}", "runs.py": f"runs={run.key}"}[page]
    found = [node for node in elements(at.main) if node.type == "page_link" and node.proto.page == "compare"]
    assert wanted in [node.proto.query_string for node in found]


def test_a_lesson_leads_here_with_its_run():
    def script(slug):
        from core.lessons import LESSONS
        from pages import lesson

        lesson.show(LESSONS[slug])

    at = AppTest.from_function(script, kwargs={"slug": WIDTH.slug}, default_timeout=LONG).run()
    assert links(at)["Compare with …"] == f"runs={CLASSROOM}"
