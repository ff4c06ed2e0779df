"""Pages without a browser: what stands on them, what a link does to them, and what a bad one gets."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core import data
from core.lessons import CURRICULUM, LESSONS
from core.places import GALLERY, ROOT
from core.runs import bundle
from core.runs.run import Run, State
from core.runs.store import Store
from core.ui import state
from tests.ui.opened import LONG, knobs_on, lesson_page, unfolded

pytestmark = pytest.mark.usefixtures("server")

RELU = LESSONS["dying-relu"]
SMALL = {"nets": "20", "epochs": "1", "points": "64", "depth": "2"}


def said(at: AppTest, name: str) -> str:
    """What the link says under `name`; AppTest gives a list for what was in it from the beginning."""
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def settled(at: AppTest) -> AppTest:
    """The page again, once the run that its link names has ended."""
    run = state.runner().get(said(at, "run"))
    assert state.runner().wait(run, LONG)
    return at.run()


def words(at: AppTest) -> str:
    shown = (*at.markdown, *at.caption, *at.text, *at.warning, *at.error, *at.info)
    return "\n".join(str(each.value) for each in shown)


@pytest.mark.parametrize("slug", list(LESSONS))
def test_a_lesson_opens_with_its_question_its_presets_and_run(slug):
    at = lesson_page(slug)
    assert not at.exception
    assert at.title[0].value == LESSONS[slug].question
    labels = [button.label for button in at.button]
    assert labels[: len(LESSONS[slug].presets)] == list(LESSONS[slug].presets)
    assert any(label.startswith("Run · ") for label in labels)


@pytest.mark.parametrize("slug", list(LESSONS))
def test_what_is_folded_is_drawn_when_it_is_opened_and_not_before(slug):
    lesson = LESSONS[slug]
    at = lesson_page(slug)
    folded = (lesson.source(), lesson.prose.mistakes[0].title, "Where these numbers come from")
    drawn = words(at) + "".join(each.value for each in at.code)
    assert lesson.prose.theory.strip() in drawn  # folded too, but there: a page that is printed shows it
    assert not [text for text in folded if text in drawn]

    at = unfolded(at, slug, "hunt", "code", "take_home", "class")
    assert not at.exception
    drawn = words(at) + "".join(each.value for each in at.code)
    assert not [text for text in folded if text.strip() not in drawn]
    assert knobs_on(at, lesson) == {knob.name for knob in lesson.knobs.declared()}


def test_run_takes_the_knob_that_was_turned_by_the_same_press():
    at = lesson_page("dying-relu", **SMALL)
    at.select_slider(key="dying-relu/width").set_value(6)
    at.button(key="run").click().run()
    assert state.runner().get(said(at, "run")).knobs.width == 6
    settled(at)


def test_the_order_in_which_a_list_is_chosen_makes_no_other_run():
    usual, other = (lesson_page("width-and-interpolation", widths=order) for order in ("8,32,128", "128,8,32"))
    assert "widths" not in other.query_params
    pills = next(each for each in other.button_group if each.key == "width-and-interpolation/widths")
    pills.set_value([32, 128, 8])
    other.run()
    for at in (usual, other):
        assert any(each.label == "Run · instant" for each in at.button)
        assert "widths =" not in "".join(each.value for each in at.caption)


def test_a_press_is_done_before_anything_is_drawn(monkeypatch):
    """What interrupts a page while it is drawn cannot lose it."""

    def interrupted(lesson):
        raise RuntimeError("drawn again")

    at = lesson_page("dying-relu", **SMALL)
    monkeypatch.setattr("core.ui.lesson_parts.heading", interrupted)
    at.button(key="run").click().run()
    assert at.exception
    assert state.runner().wait(state.runner().get(said(at, "run")), LONG)


@pytest.mark.parametrize("page", ["home.py", "gallery.py", "runs.py", "classroom.py"])
def test_the_other_pages_stand_without_any_run(page):
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run()
    assert not at.exception
    at.switch_page(page).run()
    assert not at.exception
    assert at.title


def test_the_map_names_every_lesson():
    at = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=LONG).run()
    assert not at.exception
    assert all(lesson.origin in words(at) for lesson in CURRICULUM)


def test_run_trains_shows_claims_and_the_link_finds_it_again():
    at = lesson_page("dying-relu", **SMALL)
    at.button(key="run").click().run()
    key = said(at, "run")
    assert key == RELU.key(RELU.parse(SMALL))
    at = settled(at)
    assert not at.exception
    assert state.runner().get(key).state is State.DONE
    assert "none comes back" in words(at)

    again = lesson_page("dying-relu", run=key, **SMALL)
    assert "none comes back" in words(again)
    assert any(button.label == "Run · instant" for button in again.button)


def test_an_end_that_the_page_has_not_drawn_is_left_for_the_player_to_tell(monkeypatch):
    from core.ui import lesson_parts as parts

    known = []
    monkeypatch.setattr(parts, "player", lambda run_key, **said: known.append(said["state"]))
    draw = parts.run_bar

    def ends_beside_it(lesson, knobs, run, *rest):
        draw(lesson, knobs, run, *rest)
        if run is not None and not run.state.final:
            state.runner().stop(run, None)
            assert state.runner().wait(run, LONG)

    monkeypatch.setattr(parts, "run_bar", ends_beside_it)
    at = lesson_page("dying-relu", nets="1000", epochs="50")
    at.button(key="run").click().run()
    assert state.runner().get(said(at, "run")).state is State.STOPPED
    assert any(button.key == "stop" for button in at.button)
    assert not known[-1].final
    assert "This run was stopped: what only its end decides is not decided." in words(at.run())


def test_a_run_is_taken_home_as_a_script_with_its_own_knobs(monkeypatch):
    at = lesson_page("dying-relu", **SMALL)
    at.button(key="run").click().run()
    at = unfolded(settled(at), "dying-relu", "take_home")
    link = f'href="api/runs/{said(at, "run")}/script.py"'
    assert sum(link in each.value for each in at.get("html")) == 1
    assert any("nets = 20  #" in each.value for each in at.code)

    monkeypatch.setattr("core.ui.lesson_parts.has_script", lambda lesson: False)
    at.run()
    assert not at.exception
    assert not any("script.py" in each.value for each in at.get("html"))
    assert not any("nets = 20  #" in each.value for each in at.code)


def test_the_run_before_stays_in_the_link_until_a_preset_is_taken():
    at = lesson_page("dying-relu", **SMALL)
    at.button(key="run").click().run()
    at = settled(at)
    first = said(at, "run")
    at.select_slider(key="dying-relu/width").set_value(6).run()
    at.button(key="run").click().run()
    at = settled(at)
    assert said(at, "before") == first != said(at, "run")
    assert not at.exception
    at.button(key="dying-relu/preset/Classroom").click().run()
    assert "before" not in at.query_params


@pytest.mark.parametrize("before", ["0" * 32, "nonsense", "../../etc"])
def test_an_earlier_run_that_is_not_there_is_left_out(before):
    at = lesson_page("dying-relu", before=before, **SMALL)
    at.button(key="run").click().run()
    assert not settled(at).exception


def test_a_link_sets_the_knobs_and_the_page_writes_them_back():
    at = lesson_page("dying-relu", width="4", init="glorot")
    assert at.select_slider(key="dying-relu/width").value == 4
    assert at.selectbox(key="dying-relu/init").value == "glorot"
    assert "Shown: the nearest run, from the gallery, with width = 2, initialization = he." in words(at)
    at.select_slider(key="dying-relu/width").set_value(6).run()
    assert said(at, "width") == "6"
    at.run().select_slider(key="dying-relu/width").set_value(2).run()
    assert "width" not in at.query_params


def whole(at: AppTest) -> bool:
    """Whether all of the page was drawn the last time, from its question on."""
    return bool(at.title)


def test_a_turned_knob_redraws_what_follows_from_it_and_not_the_knobs():
    at = lesson_page("dying-relu", width="4", init="glorot")
    at.select_slider(key="dying-relu/width").set_value(6).run()
    assert not at.exception
    assert not whole(at)
    assert knobs_on(at, RELU) == set()
    assert "Shown: the nearest run, from the gallery, with width = 2, initialization = he." in words(at)
    assert any(button.label.startswith("Run · ") for button in at.button)
    assert said(at, "width") == "6"
    assert at.run().select_slider(key="dying-relu/width").value == 6


@pytest.mark.parametrize(
    ("query", "turned"),
    [({}, 6), ({"width": "6"}, 2)],
    ids=["away from a preset", "to a preset"],
)
def test_a_knob_that_changes_which_preset_is_marked_redraws_the_page(query, turned):
    at = lesson_page("dying-relu", **query)
    at.select_slider(key="dying-relu/width").set_value(turned).run()
    assert not at.exception
    assert whole(at)
    assert at.select_slider(key="dying-relu/width").value == turned


def test_a_knob_that_changes_the_data_set_redraws_the_page(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    at = lesson_page("width-and-interpolation", passes="7", dataset="digits")
    at.segmented_control(key="width-and-interpolation/dataset").set_value("mnist").run()
    assert not at.exception
    assert whole(at)
    assert "is not on this machine" in words(at)


def test_a_sentence_on_the_knobs_comes_and_goes_with_what_it_is_about():
    at = lesson_page("width-and-interpolation", passes="7")
    at.pills(key="width-and-interpolation/widths").set_value([]).run()
    assert "widths is empty" in words(at)
    at.pills(key="width-and-interpolation/widths").set_value([8]).run()
    assert not at.exception
    assert "widths is empty" not in words(at)
    assert not at.button(key="run").disabled


def test_an_open_link_for_a_class_follows_the_knobs():
    at = unfolded(lesson_page("dying-relu", width="4"), "dying-relu", "class")
    assert "width=4" in at.code[-1].value
    at.select_slider(key="dying-relu/width").set_value(6).run()
    assert not at.exception
    assert "width=6" in at.code[-1].value


def test_a_knob_turned_before_the_page_stands_redraws_all_of_it(monkeypatch):
    at = lesson_page("dying-relu", width="4")
    monkeypatch.setattr("core.ui.state.what_follows", lambda lesson: "not drawn yet")
    at.select_slider(key="dying-relu/width").set_value(6).run()
    assert not at.exception
    assert whole(at)
    assert at.select_slider(key="dying-relu/width").value == 6


def test_a_preset_sets_every_knob():
    at = lesson_page("dying-relu", width="4")
    at.button(key="dying-relu/preset/As the notebook ran it").click().run()
    assert at.select_slider(key="dying-relu/depth").value == 10
    assert said(at, "optimizer") == "nesterov"
    assert "width" not in at.query_params


def test_what_is_set_before_the_browser_has_heard_of_the_link_stays():
    def as_the_browser_knows_it(**query):
        at.query_params.clear()
        for name, value in query.items():
            at.query_params[name] = value
        return at

    at = lesson_page("dying-relu", width="4")
    at.button(key="dying-relu/preset/Done right").click().run()
    as_the_browser_knows_it(width="4").button(key="dying-relu/preset/As the notebook ran it").click().run()
    assert at.select_slider(key="dying-relu/depth").value == 10
    assert said(at, "optimizer") == "nesterov"
    as_the_browser_knows_it(width="4").select_slider(key="dying-relu/depth").set_value(5).run()
    assert whole(at)  # no preset is marked any more
    assert at.select_slider(key="dying-relu/depth").value == 5
    as_the_browser_knows_it(width="4").run()  # and a link that somebody opens is heeded
    assert at.select_slider(key="dying-relu/width").value == 4
    assert at.select_slider(key="dying-relu/depth").value == RELU.presets["Classroom"].depth


def runs_page() -> AppTest:
    def script() -> None:
        import streamlit as st

        from core.ui import run_list

        def page(lesson):
            return st.Page(lambda: None, url_path=lesson.slug, title=lesson.title)

        beside = st.Page(lambda: None, url_path="compare", title="Compare")
        st.navigation([beside, *(page(lesson) for lesson in run_list.state.runner().lessons.values())])
        run_list.bring_in(page)
        run_list.stored(page, beside)

    return AppTest.from_function(script, default_timeout=LONG).run()


def import_file(at: AppTest, content: bytes) -> AppTest:
    at.file_uploader(key="bundle").set_value(("run.glab", content, "application/octet-stream"))
    return next(button for button in at.button if button.label == "Import").click().run()


@pytest.fixture
def elsewhere(tmp_path) -> bytes:
    """A run of another server, as a file; its device is called what no device is."""
    store = Store(tmp_path / "elsewhere", [GALLERY], LESSONS)
    run = store.find(RELU, RELU.presets["Classroom"])
    knobs = RELU.presets["Classroom"].model_copy(update={"seed": 4711})
    other = Run(RELU, knobs, RELU.key(knobs), device="**H200** <b>", recording=run.recording, state=State.DONE)
    return bundle.export(store.commit(other, threads=1, versions={}, data=None))


def test_a_run_from_another_server_is_imported_once_and_says_so(elsewhere):
    at = import_file(runs_page(), elsewhere)
    assert not at.exception
    assert r"trained on \*\*H200\*\* \<b\>" in at.success[0].value
    assert ":violet-badge[imported]" in words(at)
    again = import_file(runs_page(), elsewhere)
    assert not again.success
    assert "is here already, and stays as it is" in again.info[0].value

    (stored,) = [run for run in state.runner().store.list() if run.origin == "runs"]
    page = lesson_page("dying-relu", run=stored.key, seed="4711")
    assert not page.exception
    assert r"Shown: imported from another server, \*\*H200\*\* \<b\>." in words(page)
    assert any(button.label == "Run · instant" for button in page.button)
    page = unfolded(page, "dying-relu", "take_home")
    assert any("api/runs/" in each.body and "bundle.glab" in each.body for each in page.html)


@pytest.mark.parametrize(("cut", "sentence"), [(0, "is no run of Gradient Lab"), (-1, "its frames are not those")])
def test_a_file_that_cannot_be_imported_gets_one_sentence(elsewhere, cut, sentence):
    at = import_file(runs_page(), elsewhere[:cut])
    assert not at.exception
    assert [sentence in each.value for each in at.error] == [True]
    assert not [run for run in state.runner().store.list() if run.origin == "runs"]


def test_import_without_a_file_asks_for_one():
    at = runs_page()
    at = next(button for button in at.button if button.label == "Import").click().run()
    assert "Choose a file first." in at.warning[0].value


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"width": "99"}, "width = 99 is outside 1 … 16"),
        ({"depth": "abc"}, "depth = abc is not a whole number"),
        ({"colour": "red"}, "colour is not a knob of this lesson"),
        ({"run": "../../etc/passwd"}, "is no run's name"),
        ({"run": "0" * 32}, "is not on this server"),
        ({"run": "<script>alert(1)</script>"}, "is no run's name"),
        ({"frame": "-7", "run": "f" * 64}, "is not on this server"),
        ({"nets": "9" * 5000}, "nets = "),
    ],
)
def test_a_link_that_asks_for_what_cannot_be_gets_one_sentence_and_the_page_stands(query, sentence):
    at = lesson_page("dying-relu", depth="3", **query) if "depth" not in query else lesson_page("dying-relu", **query)
    assert not at.exception
    assert len([each for each in at.warning if sentence in each.value]) == 1
    assert at.title[0].value == RELU.question
    if "depth" not in query:
        assert at.select_slider(key="dying-relu/depth").value == 3, "the knobs that can be used stay"


def test_a_knob_that_cannot_be_used_stops_run_and_says_why():
    at = lesson_page("width-and-interpolation")
    at.pills(key="width-and-interpolation/widths").set_value([]).run()
    assert not at.exception
    assert "widths is empty; choose 1 to 12" in words(at)
    assert at.button(key="run").disabled


def test_a_missing_data_set_offers_the_embedded_one_in_one_click(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    at = lesson_page("width-and-interpolation")
    assert "is not on this machine" in words(at)
    assert data.status("fashion-mnist").sentence in words(at)
    at.button(key="digits").click().run()
    assert not at.exception
    assert said(at, "dataset") == "digits"
    assert "is not on this machine" not in words(at)


def test_pictures_that_lie_here_are_decoded_at_the_press_of_the_same_button(monkeypatch, tmp_path):
    where, done = tmp_path / "cifar10-images.tar", []
    lies = data.Status("fashion-mnist", False, True, str(where), None, "It lies there.", "press “Decode it”")
    monkeypatch.setattr(data, "available", lambda name: bool(done))
    monkeypatch.setattr(data, "undecoded", lambda name: None if done else where)
    monkeypatch.setattr(data, "status", lambda name: replace(lies, name=name, found=bool(done), undecoded=not done))
    monkeypatch.setattr(data, "download", lambda name, progress: (progress(0.5), done.append(name)))
    at = lesson_page("width-and-interpolation")
    assert "is here as `cifar10-images.tar` and has yet to be decoded" in words(at)
    assert at.button(key="download").label == "Decode it"
    at.button(key="download").click().run()
    assert not at.exception
    assert done == ["fashion-mnist"]
    assert "has yet to be decoded" not in words(at)


def test_pressing_run_without_the_data_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    at = lesson_page("width-and-interpolation", seed="4711")  # no run of the gallery
    at.button(key="run").click().run()
    assert not at.exception
    assert len(at.error) == 1
    assert str(tmp_path) in at.error[0].value


def test_the_hunt_gives_clues_one_by_one_and_the_cause_last():
    at = unfolded(lesson_page("dying-relu"), "dying-relu", "hunt")
    first = RELU.prose.mistakes[0]
    for clue in first.clues:
        assert clue not in words(at)
        at.button(key="dying-relu/clue/1/more").click().run()
        assert clue in words(at)
    assert first.cause not in words(at)
    at.button(key="dying-relu/clue/1/more").click().run()
    assert first.cause in words(at)


def test_a_run_that_failed_says_so_on_its_page(monkeypatch):
    at = lesson_page("dying-relu", **SMALL)
    monkeypatch.setattr("core.lessons.dying_relu.orders", lambda *_, **__: 1 / 0)
    at.button(key="run").click().run()
    at = settled(at)
    assert not at.exception
    assert len(at.error) == 1
    assert "ZeroDivisionError" in at.error[0].value


def test_a_net_that_diverged_is_named(monkeypatch):
    query = {"dataset": "digits", "widths": "4,16", "learning_rate": "2.0", "passes": "3", "examples": "100"}
    at = lesson_page("width-and-interpolation", **query)
    at.button(key="run").click().run()
    at = settled(at)
    assert not at.exception
    run = state.runner().get(said(at, "run"))
    named = LESSONS["width-and-interpolation"].diverged(run.knobs, run.recording)
    assert named
    assert sum("diverged at pass" in each.value for each in at.warning) == len(named)


def test_a_run_whose_claims_cannot_be_made_out_gets_a_sentence_not_a_trace(monkeypatch):
    at = lesson_page("dying-relu", **SMALL)
    monkeypatch.setattr(RELU, "check_claims", lambda *_: 1 / 0)
    at.button(key="run").click().run()
    at = settled(at)
    assert not at.exception
    assert "facts and claims could not be made out" in at.error[0].value
