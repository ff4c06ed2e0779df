"""The teacher's page, and lesson pages as students and teachers of a class see them."""

import hashlib
import re
from html import escape
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core import data, links
from core.cost import MOST_STUDENT_SECONDS
from core.lessons import CURRICULUM, LESSONS
from core.places import ROOT
from core.runs.run import Run, State
from core.runs.runner import Runner
from core.runs.store import Store, StoreError
from core.ui import invitation, page_query, state
from core.ui.class_sweep import Found, Gatherer
from core.ui.door import Codes
from tests.ui.opened import LONG, by_link, knobs_on, lesson_page, unfolded

pytestmark = pytest.mark.usefixtures("server")

RELU = LESSONS["dying-relu"]
SMALL = {"nets": "20", "epochs": "1", "points": "64", "depth": "2"}


@pytest.fixture
def shown(monkeypatch):
    """The cookies that the browser shows; a test puts some in."""
    found = {}
    monkeypatch.setattr(state, "cookies", lambda: found)
    return found


@pytest.fixture
def class_is_open(monkeypatch, shown):
    """`class_is_open(role)`: this server has codes, and who looks has that role's ticket."""
    monkeypatch.setenv("GRADIENT_LAB_CLASS_CODE", "tulip")
    monkeypatch.setenv("GRADIENT_LAB_TEACHER_CODE", "rembrandt")
    monkeypatch.setenv("GRADIENT_LAB_ADDRESS", "http://lab:8501")
    state.door.clear()
    state.invited.clear()
    state._wanted_address.clear()

    def enter(role):
        shown[state.door().cookies.ticket] = state.door().ticket(role)

    yield enter
    state.door.clear()
    state.invited.clear()


def teachers_page() -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run()
    return at.switch_page("classroom.py").run()


def words(at: AppTest) -> str:
    shown = (*at.markdown, *at.caption, *at.text, *at.warning, *at.error, *at.info, *at.code, *at.get("html"))
    return "\n".join(str(each.value) for each in shown)


def train(knobs, asker="somebody"):
    return state.runner().submit(RELU, RELU.parse(knobs), asker=asker)


# --- who is the teacher ----------------------------------------------------------------------------------------------


def test_at_its_own_machine_whoever_looks_is_the_teacher_and_told_how_to_open_a_class():
    at = teachers_page()
    assert not at.exception
    assert "make classroom" in words(at)
    assert not at.toggle


def test_the_teacher_sees_how_the_class_gets_in(class_is_open):
    class_is_open("teacher")
    at = teachers_page()
    assert not at.exception
    assert "lab:8501" in words(at)
    assert "tulip" in words(at)
    assert 'alt="QR code of http://lab:8501/?code=tulip"' in words(at)
    at.button[0].click().run()
    assert not at.exception
    assert "code <b>tulip</b>" in words(at)


def test_where_the_machine_is_in_several_networks_the_teacher_chooses_the_address(class_is_open, monkeypatch):
    monkeypatch.setattr(invitation, "addresses", lambda *asked: ("http://10.0.0.5:8501", "http://192.168.1.20:8501"))
    monkeypatch.setattr(invitation, "doubt", lambda address, found: "")
    class_is_open("teacher")
    at = teachers_page()
    assert at.selectbox(key="address").options == ["10.0.0.5:8501", "192.168.1.20:8501"]
    assert "QR code of http://10.0.0.5:8501/?code=tulip" in words(at)
    at.selectbox(key="address").set_value("http://192.168.1.20:8501").run()
    assert not at.exception
    assert "QR code of http://192.168.1.20:8501/?code=tulip" in words(at)
    assert not at.warning
    again = teachers_page()
    assert again.selectbox(key="address").value == "http://192.168.1.20:8501"
    assert state.invited().to("dropout") == "http://192.168.1.20:8501/dropout?code=tulip", (
        "links for a class say it too"
    )


def test_a_class_without_a_network_is_told_so_on_the_teachers_page(class_is_open, monkeypatch):
    class_is_open("teacher")
    monkeypatch.delenv("GRADIENT_LAB_ADDRESS")  # and this server listens at the loopback
    state.invited.clear()
    at = teachers_page()
    assert not at.selectbox
    assert ["GRADIENT_LAB_ADDRESS" in each.value for each in at.warning] == [True]


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"server.sslCertFile": "lab.pem"}, "https://192.168.1.20:8501"),
        ({"server.baseUrlPath": "/lab/"}, "http://192.168.1.20:8501/lab"),
        ({"server.port": 443, "server.sslCertFile": "lab.pem"}, "https://192.168.1.20"),
        ({"server.address": "fd00::1", "server.port": 80}, "http://[fd00::1]"),
    ],
)
def test_the_qr_code_follows_what_streamlit_serves(class_is_open, monkeypatch, options, address):
    class_is_open("teacher")
    monkeypatch.delenv("GRADIENT_LAB_ADDRESS")
    options = {"server.address": "192.168.1.20", "server.port": 8501, "server.baseUrlPath": "", **options}
    monkeypatch.setattr(state.st, "get_option", lambda name: options.get(name))
    for each in (state.door, state.invited):
        each.clear()
    assert state.invited().address == address
    assert str(options["server.port"]) in state.door().cookies.ticket


@pytest.mark.parametrize("ticket", ["student", "teacher." + "0" * 64, ""])
def test_nobody_else_sees_or_does_anything_there(class_is_open, shown, ticket):
    class_is_open("student")
    if ticket != "student":
        shown[state.door().cookies.ticket] = ticket
    at = teachers_page()
    assert not at.exception
    assert 'href="door"' in words(at)
    assert "tulip" not in words(at)
    assert not at.button
    assert not at.toggle


# --- pause, clear, watch ---------------------------------------------------------------------------------------------


def test_a_pause_answers_students_with_a_sentence_and_leaves_the_teacher_and_what_is_stored(class_is_open):
    class_is_open("teacher")
    assert state.runner().wait(train({**SMALL, "seed": "5"}), LONG)
    at = teachers_page()
    at.toggle(key="pause").set_value(True).run()
    assert state.runner().paused
    assert teachers_page().toggle(key="pause").value, "another page of the teacher's says so too"

    class_is_open("student")
    student = lesson_page("dying-relu", **SMALL)
    student.button(key="run").click().run()
    assert [each.value for each in student.error] == [
        "The teacher has paused new runs; what is stored opens as before, so look at one of those."
    ]
    stored = lesson_page("dying-relu", seed="5", **SMALL)
    stored.button(key="run").click().run()
    assert not stored.error
    assert stored.query_params["run"]

    class_is_open("teacher")
    teacher = lesson_page("dying-relu", **SMALL)
    teacher.button(key="run").click().run()
    assert not teacher.error
    at.toggle(key="pause").set_value(False).run()
    assert not state.runner().paused


def test_the_teacher_sees_who_waits_for_what_stops_any_run_and_clears_the_line(class_is_open, shown):
    class_is_open("teacher")
    shown[state.door().cookies.client] = "a" * 32
    long = {"nets": "1000", "epochs": "50"}
    first, second = train({**long, "seed": "1"}, "b" * 32), train({**long, "seed": "2"}, "a" * 32)
    waiting = [train({**long, "seed": str(seed)}, "c" * 32) for seed in (3, 4)]
    at = teachers_page()
    assert not at.exception
    said = words(at)
    names = ["you", *(f"student {hashlib.sha256(each.encode()).hexdigest()[:4]}" for each in ("b" * 32, "c" * 32))]
    assert [said.count(f"  \nfor {name}") for name in names] == [1, 1, 2]
    assert "b" * 32 not in said, "whoever knows a name can press Stop with it"
    assert {each.label: each.value for each in at.metric}["In line"] == "3"

    at.button(key=f"stop/{second.key}/{second.created.timestamp()}").click().run()
    assert second.state is State.STOPPED
    next(each for each in at.button if each.label == "Clear the line").click().run()
    assert [run.state for run in waiting] == [State.STOPPED] * 2
    assert first.state is State.RUNNING
    at.button(key=f"stop/{first.key}/{first.created.timestamp()}").click().run()
    assert state.runner().wait(first, LONG)


def test_the_teacher_brings_all_data_sets_before_class(class_is_open, monkeypatch):
    done = []
    monkeypatch.setattr(data, "available", lambda name: name in (*done, "digits"))
    monkeypatch.setattr(data, "undecoded", lambda name: None)
    monkeypatch.setattr(
        data, "status", missing := lambda name: data.Status(name, False, False, "", None, f"No {name}.", "get it")
    )
    monkeypatch.setattr(data, "download", lambda name, progress: (progress(0.5), done.append(name)))
    class_is_open("teacher")
    at = teachers_page()
    needed = {lesson.dataset(knobs) for lesson in CURRICULUM for knobs in lesson.shipped.values()} - {None, "digits"}
    assert len(needed) > 1
    for name in needed:
        assert missing(name).sentence in words(at)
        at.button(key=f"bring/{name}").click().run()
    assert set(done) == needed
    assert "get it" not in words(at)


def test_the_teacher_is_told_where_the_class_would_find_another_run(class_is_open):
    class_is_open("teacher")
    for query, told in (({}, False), ({"seed": "4711"}, True)):
        at = unfolded(lesson_page("dying-relu", **query), "dying-relu", "class")
        assert ("No run with these knobs is stored" in words(at)) is told
        at.button(key="dying-relu/for_class/show").click().run()
        assert not at.exception
        assert any("gl-invited" in each.value for each in at.get("html"))


def predictions(at: AppTest):
    return next(each for each in at.button_group if each.key == "dying-relu/prediction")


def test_a_class_predicts_and_the_teacher_shows_what(class_is_open, shown):
    class_is_open("student")
    answers = RELU.prose.answers
    for asker, answer in (("a", answers[0]), ("b", answers[0]), ("c", answers[2])):
        shown[state.door().cookies.client] = asker * 32
        at = lesson_page("dying-relu")
        assert predictions(at).value is None
        predictions(at).set_value(answer)
        at.run()
        assert not any(each.label == "Show what the class predicts" for each in at.toggle)
    assert predictions(lesson_page("dying-relu")).value == answers[2], "it outlives a reload"

    class_is_open("teacher")
    shown[state.door().cookies.client] = "d" * 32
    teacher = lesson_page("dying-relu")
    assert not teacher.exception
    assert "3 answers so far" in words(teacher)
    assert "gl-votes" not in words(teacher), "nothing is given away"
    teacher.toggle(key="dying-relu/votes").set_value(True).run()
    counts = re.findall(r'<th scope="row">(.*?)</th><td>(\d+)</td>', words(teacher))
    assert counts == list(zip(map(escape, answers), ("2", "0", "1", "0"), strict=True))
    teacher.button(key="dying-relu/ask").click().run()
    assert "0 answers so far" in words(teacher)
    shown[state.door().cookies.client] = "c" * 32
    assert predictions(lesson_page("dying-relu")).value is None


def test_at_its_own_machine_there_is_no_class_to_predict():
    at = lesson_page("dying-relu")
    predictions(at).set_value(RELU.prose.answers[1])
    at.run()
    assert not at.exception
    assert not any(each.label == "Show what the class predicts" for each in at.toggle)
    assert predictions(at).value == RELU.prose.answers[1]


# --- who asks --------------------------------------------------------------------------------------------------------


def test_who_reloads_is_the_same_asker_and_twenty_tabs_are_one(shown):
    shown[state.door().cookies.client] = "a" * 32
    at = lesson_page("dying-relu", nets="1000", epochs="50")
    at.button(key="run").click().run()
    run = state.runner().live()[0]
    assert run.askers == {"a" * 32}
    reloaded = lesson_page("dying-relu", nets="1000", epochs="50", run=run.key)
    reloaded.button(key="stop").click().run()
    assert state.runner().wait(run, LONG)
    assert run.state is State.STOPPED


@pytest.mark.parametrize("cookie", ["", "short", "A" * 32, "a" * 33, "../../etc/passwd", "command line"])
def test_a_name_that_the_gate_did_not_give_is_none(shown, cookie, monkeypatch):
    shown[state.door().cookies.client] = cookie
    monkeypatch.setattr(state, "st", SimpleNamespace(session_state={}))
    assert state.asker() == state.asker() != cookie, "it has one for this session"


def test_who_did_not_ask_for_a_run_may_join_it_but_not_stop_it(class_is_open, shown):
    class_is_open("student")
    shown[state.door().cookies.client] = "a" * 32
    long = {"nets": "1000", "epochs": "50"}
    run = train(long, "b" * 32)
    at = lesson_page("dying-relu", run=run.key, **long)
    assert at.button(key="stop").disabled
    at.button(key="run").click().run()
    assert run.askers == {"a" * 32, "b" * 32}
    assert not at.button(key="stop").disabled
    assert at.button(key="run").disabled
    at.button(key="stop").click().run()
    assert run.askers == {"b" * 32}, "the other one still wants it"
    assert at.button(key="stop").disabled
    assert not at.button(key="run").disabled, "it can be asked for anew"
    class_is_open("teacher")
    shown[state.door().cookies.client] = "c" * 32
    teacher = lesson_page("dying-relu", run=run.key, **long)
    teacher.button(key="stop").click().run()
    assert state.runner().wait(run, LONG)
    assert (run.state, run.error) == (State.STOPPED, state.SENT_AWAY)


def test_who_is_sent_away_is_told_so(class_is_open, shown):
    class_is_open("student")
    shown[state.door().cookies.client] = "a" * 32
    first = train({"nets": "1000", "epochs": "50", "seed": "1"}, "b" * 32)
    at = lesson_page("dying-relu", nets="1000", epochs="50", seed="2")
    at.button(key="run").click().run()
    state.runner().clear(state.SENT_AWAY)
    at.run()
    assert state.SENT_AWAY in words(at)
    assert "This run was stopped before its first curve." in words(at)
    assert "auto" not in words(at)
    assert not any("Compare" in each.label for each in at.get("page_link"))
    state.runner().stop(first, None)
    assert state.runner().wait(first, LONG)


def test_a_student_asks_for_nothing_that_keeps_all_others_waiting(class_is_open):
    class_is_open("student")
    lesson = LESSONS["depth-vs-width"]
    knobs = lesson.presets["Done right"].model_copy(update={"seed": 4711})
    assert state.runner().estimate(lesson, knobs) > MOST_STUDENT_SECONDS
    at = lesson_page(lesson.slug, **state.knobs_in_link(lesson, knobs))
    at.button(key="run").click().run()
    assert "longer than the about 5 min a run may take" in at.error[0].value
    assert state.runner().live() == []


def test_a_run_that_is_stopped_and_asked_for_anew_stands_twice_in_line(monkeypatch):
    runs = [Run(RELU, RELU.presets["Classroom"], "0" * 32) for _ in range(2)]
    assert runs[0].created != runs[1].created
    monkeypatch.setattr(Runner, "live", lambda runner: runs)
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run()
    at.switch_page("runs.py").run()
    assert not at.exception
    assert [each.label for each in at.button].count("Stop") == 2


# --- what a link takes off a page ------------------------------------------------------------------------------------


def told(at: AppTest) -> str:
    """What the page says is fixed."""
    (said,) = [each.value for each in at.caption if "Fixed by this link: " in each.value]
    return said.split("Fixed by this link: ")[1]


def test_hidden_knobs_keep_the_values_of_the_link_and_the_page_says_so():
    at = lesson_page("dying-relu", width="4", hide="width,depth,prediction,hunt", **{**SMALL, "depth": "3"})
    assert not at.exception
    assert not knobs_on(at, RELU) & {"width", "depth"}
    assert "nets" in knobs_on(at, RELU)
    labels = {knob.name: knob.label for knob in RELU.knobs.declared()}
    fixed = {f"{labels['width']} = 4", f"{labels['depth']} = 3"}
    assert set(told(at).split(" · ")) == fixed
    assert RELU.prose.prediction not in words(at)
    assert not any("notebook got wrong" in each.label for each in at.expander)

    at.button(key="dying-relu/preset/As the notebook ran it").click().run()
    assert set(told(at).split(" · ")) == fixed, "no preset turns what is fixed"
    at.button(key="dying-relu/preset/Classroom").click().run()
    at.button(key="run").click().run()
    run = state.runner().get(at.query_params["run"])
    assert (run.knobs.width, run.knobs.depth) == (4, 3)
    state.runner().stop(run, None)


def test_what_is_hidden_stays_so_when_the_reader_comes_back_by_the_menu():
    at = lesson_page("dying-relu", width="4", hide="width")
    at.query_params.clear()
    at.run()
    assert "width" not in knobs_on(at, RELU)
    assert at.query_params["hide"] == "width"
    at.query_params.clear()
    at.query_params["nets"] = "20"
    at.run()
    assert "width" in knobs_on(at, RELU), "another link hides nothing"


@given(
    st.lists(st.text(max_size=9) | st.sampled_from(["width", "hunt", " depth", "dataset"]), max_size=5).map(",".join)
)
def test_a_link_may_hide_anything_by_any_name(hide):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "st", SimpleNamespace(session_state={}))
        patch.setattr(page_query, "given", lambda name: [hide] if name == links.HIDE else [])
        _, errors = state.fix_by_link(RELU, RELU.presets["Classroom"])
        there = {*RELU.knobs.model_fields, "prediction", "hunt"}
        assert there & set(hide.split(",")) <= set(state.hidden(RELU)) <= there
        assert all(each.startswith("hide = ") and each.isprintable() for each in errors)


def test_no_knob_has_the_name_of_a_part_or_of_what_a_link_says_itself():
    taken = {*links.OTHER, links.PREDICTION, links.HUNT}
    assert not [each for lesson in CURRICULUM for each in lesson.knobs.model_fields if each in taken]


def test_the_teacher_makes_a_link_by_clicking_and_unmakes_it(class_is_open, monkeypatch):
    class_is_open("teacher")
    at = unfolded(lesson_page("dying-relu", width="4"), "dying-relu", "class")
    at.button_group(key="dying-relu/for_class").set_value(["width", "hunt"]).run()
    link = "http://lab:8501/dying-relu?width=4&hide=width%2Chunt&code=tulip"
    assert link in [each.value for each in at.code]
    assert f'alt="QR code of {link.replace("&", "&amp;")}"' in words(at)
    assert "width" in knobs_on(at, RELU), "the teacher's own page stays as it is"

    monkeypatch.setattr("core.ui.classroom.MOST_IN_QR", len(link) - 1)
    at.run()
    assert link in [each.value for each in at.code]
    assert "QR code" not in words(at), "too long for a phone to read"

    there = lesson_page("dying-relu", width="4", hide="width,hunt")
    there = unfolded(there, "dying-relu", "class")
    assert "width" not in knobs_on(there, RELU)
    next(each for each in there.button if each.label == "Show everything here again").click().run()
    assert "width" in knobs_on(there, RELU)
    assert "hide" not in there.query_params


def test_students_make_no_links_bring_no_runs_and_download_no_data(class_is_open, monkeypatch, tmp_path):
    class_is_open("student")
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    at = lesson_page("width-and-interpolation")
    assert not any(each.label == "For a class" for each in at.expander)
    assert "That is for your teacher to do." in words(at)
    assert "download" not in [each.key for each in at.button]

    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run().switch_page("runs.py").run()
    assert not at.exception
    assert not at.get("file_uploader")
    assert "In a class the teacher does this" in words(at)


def test_the_embedded_data_can_be_taken_where_the_data_set_is_hidden(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    at = lesson_page("width-and-interpolation", hide="dataset")
    at.button(key="digits").click().run()
    assert not at.exception
    assert "dataset = digits" in words(at)


def test_a_code_in_a_link_is_no_knob():
    at = lesson_page("dying-relu", code="tulip")
    assert not at.warning


def test_codes_of_the_environment_close_the_door_of_this_server(class_is_open):
    class_is_open("student")
    assert state.door().codes == Codes("tulip", "rembrandt")
    assert not state.teacher()


# --- a knob shared out -----------------------------------------------------------------------------------------------

SHARE = "width~4~6~8"


def yours(at: AppTest) -> str:
    (said,) = [each.value for each in at.markdown if "Yours in this class: " in each.value]
    return said.split("Yours in this class: ")[1].strip("*")


def found_page(**query) -> AppTest:
    def script() -> None:
        from pages import found, lesson

        found.show(lesson.page)

    return by_link(script, {}, query)


def test_each_browser_takes_its_own_value_and_has_it_after_a_reload(class_is_open, shown):
    class_is_open("student")
    seen = {}
    for asker in "abcda":
        shown[state.door().cookies.client] = asker * 32
        at = lesson_page("dying-relu", share=SHARE, hide="hunt", **SMALL)
        assert not at.exception
        assert "width" not in knobs_on(at, RELU)
        assert seen.setdefault(asker, yours(at)) == yours(at)
        assert (at.query_params["share"], at.query_params["hide"]) == (SHARE, "hunt")
    seed = RELU.presets["Classroom"].seed
    assert seen == {
        "a": f"width = 4 · seed = {seed}",
        "b": f"width = 6 · seed = {seed}",
        "c": f"width = 8 · seed = {seed}",
        "d": f"width = 4 · seed = {seed + 1}",
    }


def test_who_reloads_or_sends_the_own_link_on_stays_in_the_class(class_is_open, shown):
    class_is_open("student")
    shown[state.door().cookies.client] = "a" * 32
    at = lesson_page("dying-relu", share=SHARE, **SMALL)
    link = dict(at.query_params)
    at.select_slider(key="dying-relu/depth").set_value(5).run()
    assert dict(at.query_params) == link, "it says what all have in common"
    again = lesson_page("dying-relu", **at.query_params)
    assert again.select_slider(key="dying-relu/depth").value == 2
    shown[state.door().cookies.client] = "b" * 32
    assert yours(lesson_page("dying-relu", **at.query_params)).startswith("width = 6")


def test_the_teacher_takes_no_value_away(class_is_open, shown):
    class_is_open("teacher")
    assert yours(lesson_page("dying-relu", share=SHARE)).startswith("width = 4")
    class_is_open("student")
    shown[state.door().cookies.client] = "a" * 32
    assert yours(lesson_page("dying-relu", share=SHARE)).startswith("width = 4")


def test_who_turns_what_the_class_has_in_common_is_told_that_it_does_not_count(class_is_open):
    class_is_open("student")
    at = lesson_page("dying-relu", share=SHARE, **SMALL)
    assert "not for the class" not in words(at)
    at.select_slider(key="dying-relu/depth").set_value(5).run()
    at.select_slider(key="dying-relu/epochs").set_value(2).run()
    assert "You turned depth, epochs: this run counts for you, and not for the class." in words(at)
    assert yours(at).startswith("width = 4"), "what is its own it keeps"
    at.select_slider(key="dying-relu/depth").set_value(2).run()
    at.select_slider(key="dying-relu/epochs").set_value(1).run()
    assert "not for the class" not in words(at)


def test_what_each_of_them_runs_fills_one_chart(class_is_open, shown):
    class_is_open("student")
    link = {"share": SHARE, **SMALL}
    empty = found_page(lesson="dying-relu", **link)
    assert not empty.exception
    assert "**0 of 3** values, 0 runs" in words(empty)
    for asker in "abcd":
        shown[state.door().cookies.client] = asker * 32
        at = lesson_page("dying-relu", **link)
        at.button(key="run").click().run()
        assert not at.exception
        assert state.runner().wait(state.runner().get(at.query_params["run"]), LONG)
    state.gatherer.clear()  # it was looked at just now
    found = found_page(lesson="dying-relu", number="collapsed_fraction", **link)
    assert not found.exception
    assert "**3 of 3** values, 4 runs" in words(found)
    assert "The class shares out: width. All have depth = 2, nets = 20" in words(found)
    assert found.selectbox(key="found/number/dying-relu").value == "collapsed_fraction"
    found.selectbox(key="found/number/dying-relu").set_value("born_dead_fraction").run()
    assert found.query_params["number"] == "born_dead_fraction"


def test_a_number_that_no_run_has_comes_last_and_is_told():
    lesson, link = LESSONS["width-and-interpolation"], {"dataset": "digits", "examples": "50", "passes": "1"}
    usual = lesson.presets["Classroom"].seed
    run = state.runner().submit(lesson, lesson.parse({**link, "widths": "4", "seed": usual}), asker="somebody")
    assert state.runner().wait(run, LONG)
    at = found_page(lesson=lesson.slug, share="widths~4~8", **link)
    assert not at.exception
    box = at.selectbox(key=f"found/number/{lesson.slug}")
    assert "passes to interpolate" in box.options[box.options.index("train accuracy") + 1 :], "one is never enough"
    assert box.value == "train_accuracy"
    assert "**1 of 2** values, 1 run" in words(at)
    box.set_value("passes_to_interpolate").run()
    assert "1 run, 1 of them without this number" in words(at)


def test_a_shared_knob_whose_usual_value_does_not_fit_reaches_the_class_with_all_knobs(class_is_open, shown):
    class_is_open("teacher")
    net = {"net": "conv 8 41x41, fc 10", "input_size": "64"}
    at = unfolded(lesson_page("cnn-arithmetic", **net), "cnn-arithmetic", "class")
    at.selectbox(key="cnn-arithmetic/for_class/share").set_value("input_size").run()
    assert not at.exception
    (link,) = [each.value for each in at.code if "share=" in each.value]
    query = dict(parse_qsl(link.partition("?")[2]))
    del query["code"]
    class_is_open("student")
    shown[state.door().cookies.client] = "a" * 32
    there = lesson_page("cnn-arithmetic", **query)
    assert not there.exception
    assert not there.warning
    assert yours(there) == "input size = 64"
    assert there.text_area(key="cnn-arithmetic/net").value == net["net"]


def test_before_any_run_of_the_lesson_the_chart_is_waited_for(monkeypatch):
    monkeypatch.setattr(Gatherer, "found", lambda self, sweep: Found(sweep, [], 0))
    monkeypatch.setattr(Store, "nearest_listed", lambda *_: None)
    at = found_page(lesson="dying-relu", share=SHARE)
    assert not at.exception
    assert "No run of this lesson has ended yet" in words(at)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "This link names no class"),
        ({"lesson": "no-lesson", "share": SHARE}, "This link names no class"),
        ({"lesson": "dying-relu", "share": "colour~1~2"}, "share = colour is no knob"),
        ({"lesson": "dying-relu", "share": SHARE, "depth": "1000"}, "depth = 1000 is outside"),
    ],
)
def test_a_link_to_what_no_class_shares_out_gets_a_sentence(query, says):
    at = found_page(**query)
    assert not at.exception
    assert says in words(at)


def test_a_lesson_whose_link_shares_out_what_cannot_be_says_so_and_stays():
    at = lesson_page("dying-relu", share="width~4~99", depth="3")
    assert not at.exception
    assert "This link shares out something else: width = 99 is outside 1 … 16" in words(at)
    assert "width" in knobs_on(at, RELU)
    assert at.query_params["depth"] == "3"
    assert "share" not in at.query_params


def test_the_teacher_shares_a_knob_out_by_clicking(class_is_open):
    class_is_open("teacher")
    at = unfolded(lesson_page("dying-relu", width="4", depth="3", seed="7"), "dying-relu", "class")
    at.selectbox(key="dying-relu/for_class/share").set_value("width").run()
    at.button_group(key="dying-relu/for_class/share/width").set_value([4, 6, 8]).run()
    assert not at.exception
    assert "http://lab:8501/dying-relu?depth=3&width=4&seed=7&share=width~4~6~8&code=tulip" in [
        each.value for each in at.code
    ]
    assert "Each value once: under 1 s" in words(at) or "Each value once: about" in words(at)
    at.button_group(key="dying-relu/for_class/share/width").set_value([4]).run()
    assert "share = width names 1 values" in words(at)
    assert "width" in knobs_on(at, RELU), "the teacher's own page stays as it is"

    there = unfolded(lesson_page("dying-relu", depth="3", hide="hunt", share=SHARE), "dying-relu", "class")
    again = "http://lab:8501/dying-relu?depth=3&width=4&hide=hunt&share=width~4~6~8&code=tulip"
    assert again in [each.value for each in there.code], "whoever opens it finds it as it was made"
    next(each for each in there.button if each.label == "Show everything here again").click().run()
    assert "width" in knobs_on(there, RELU)
    assert "share" not in there.query_params


# --- pins -----------------------------------------------------------------------------------------------------------


def stored_list() -> AppTest:
    def script() -> None:
        import streamlit as st

        from core.ui import run_list

        def page(lesson):
            return st.Page(lambda: None, url_path=lesson.slug, title=lesson.title)

        beside = st.Page(lambda: None, url_path="compare", title="Compare")
        st.navigation([beside, *(page(lesson) for lesson in run_list.state.runner().lessons.values())])
        run_list.stored(page, beside)

    return AppTest.from_function(script, default_timeout=LONG).run()


def test_the_teacher_pins_a_run_and_lets_it_go_and_students_see_it(class_is_open, monkeypatch):
    class_is_open("teacher")
    run = train(SMALL)
    assert state.runner().wait(run, LONG)
    store = state.runner().store
    at = stored_list()
    at.button(key=f"pin/{run.key}").click().run()
    assert not at.exception
    assert store.pinned == {run.key}
    assert ":blue-badge[pinned]" in words(at)

    class_is_open("student")
    student = stored_list()
    assert ":blue-badge[pinned]" in words(student)
    assert not student.button

    class_is_open("teacher")
    with monkeypatch.context() as patch:
        patch.setattr(store, "unpin", lambda key: (_ for _ in ()).throw(StoreError("The disk is full; free some.")))
        at.button(key=f"pin/{run.key}").click().run()
        assert [each.value for each in at.error] == ["The disk is full; free some."]
    at.button(key=f"pin/{run.key}").click().run()
    assert store.pinned == set()
    assert store.taken == sum(each.stat().st_size for each in (store.runs / "dying-relu").rglob("*") if each.is_file())
