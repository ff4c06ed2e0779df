"""The product as a teacher meets it: a real server, a real Chromium, real training on the embedded digits."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as TooLate

from core.lessons import CURRICULUM, LESSONS
from core.runs import bundle
from core.runs.store import Store
from tests.browser.conftest import HEARD, press_run

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
SMALL = "dataset=digits&widths=4,16&examples=300"
QUICK = f"/width-and-interpolation?{SMALL}&passes=5"
LONG = "/dying-relu?nets=1000&depth=20&epochs=50"  # most of a minute: time to look at it


@pytest.fixture(scope="module")
def base(serve, tmp_path_factory):
    """One fresh server with an empty cache for this file."""
    return serve(APP, {"GRADIENT_LAB_CACHE": str(tmp_path_factory.mktemp("cache"))})


def expect_state(page, word):
    page.locator(".gl-player", has_text=word).first.wait_for()


GROWN = "document.querySelector('.js-plotly-plot').data.reduce((n, t) => n + (t.x ? t.x.length : 0), 0)"
REACHED = """Math.max(...(document.querySelector('.js-plotly-plot')?.data ?? [])
  .filter((trace) => /^h=\\d+$/.test(trace.name)).flatMap((trace) => [...trace.x]))"""  # not of the run before


def at_rest(element):
    """Where an element stands on the screen, once nothing that loads above it moves it any more."""
    before, box = None, element.bounding_box()
    while box is None or box != before:
        element.scroll_into_view_if_needed()
        element.page.wait_for_timeout(300)
        before, box = box, element.bounding_box()
    return box


PRINTED = """() => matchMedia("print").addEventListener("change", ({ matches }) => {
  if (!matches) return;
  const seen = (each) => each?.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true }) ?? false;
  const all = (selector) => [...document.querySelectorAll(selector)];
  globalThis.paper = {
    charts: all(".gl-panel").map((each) => [
      each.querySelectorAll(".overplot path").length > 0, each.querySelector(".gl-plot")._fullLayout.paper_bgcolor,
    ]),
    ground: all("body, .stApp, [data-testid=stMain], h1").map((each) => getComputedStyle(each).backgroundColor),
    ink: [...new Set(all("h1, [data-testid=stMain] .stMarkdown p").map((each) => getComputedStyle(each).color))],
    pressed: all(".gl-bar, .gl-tool, [data-testid=stMain] .stButton").filter(seen).length,
    theory: all("[data-testid=stExpanderDetails] p").filter(seen).map((each) => each.textContent).join(" "),
    width: document.documentElement.clientWidth,
    reach: Math.max(...all("[data-testid=stMain] :is(p, .gl-panel)").map((each) => each.getBoundingClientRect().right)),
  };
})"""


def test_a_lesson_is_printed_light_with_every_chart_and_its_theory(base, open_page):
    page = open_page(viewport={"width": 400, "height": 700}, color_scheme="dark")
    page.goto(f"{base}/dying-relu")
    page.wait_for_selector(".gl-panel", state="attached")
    page.get_by_text("Why?").wait_for()
    page.locator(".katex").first.wait_for(state="attached")
    page.evaluate(PRINTED)
    assert page.pdf().startswith(b"%PDF")
    paper = page.evaluate("paper")
    lesson = LESSONS["dying-relu"]
    assert paper["charts"] == [[True, "rgb(255, 255, 255)"]] * len(lesson.panels(lesson.presets["Classroom"]))
    assert set(paper["ground"]) <= {"rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"}
    assert paper["ink"] == ["rgb(27, 36, 48)"]
    assert paper["pressed"] == 0
    assert "A ReLU layer is dead when all of its units are off" in paper["theory"]
    assert paper["reach"] <= paper["width"] + 1
    page.locator(".gl-bar").wait_for()


def test_a_deep_link_opens_on_a_fresh_server_with_its_knobs(base, page):
    page.goto(f"{base}/dying-relu?width=4&depth=3")
    page.get_by_role("heading", name="Why do narrow, deep ReLU networks die").wait_for()
    assert "width=4" in page.url
    assert page.get_by_text("Page not found").count() == 0


def test_run_grows_live_ends_with_claims_and_a_reload_finds_it(base, page):
    page.goto(base + QUICK)
    press_run(page)
    page.wait_for_selector(".js-plotly-plot")
    page.get_by_text("Claims, checked on this run").wait_for()
    page.get_by_text("The widest network interpolates sooner").wait_for()
    url = page.url
    page.reload()
    page.get_by_text("The widest network interpolates sooner").wait_for()
    page.wait_for_selector(".js-plotly-plot")
    page.wait_for_function(
        "() => document.querySelectorAll('.js-plotly-plot')[0].data.some((t) => t.x && t.x.length > 4)"
    )
    assert page.url.split("&frame")[0] == url.split("&frame")[0]
    page.get_by_role("button", name="Run · instant").wait_for()


def test_a_turned_knob_leaves_the_page_standing_and_run_takes_it(base, page):
    """Only what follows from the knobs is drawn again: nothing goes, and the next knob and Run know what was turned."""
    page.goto(base + QUICK)
    page.wait_for_selector(".js-plotly-plot")
    knobs = page.locator("[data-testid=stSlider], [data-testid=stButtonGroup]")
    stood, presets = knobs.count(), page.get_by_role("button", name="Classroom").count()
    for width in ("8", "32"):
        page.get_by_test_id("stButtonGroup").get_by_role("button", name=width, exact=True).click()
    page.wait_for_url(re.compile("widths=4%2C8%2C16%2C32"))
    page.get_by_text("Press Run for yours").wait_for()
    assert knobs.count() == stood
    assert page.get_by_role("button", name="Classroom").count() == presets
    assert page.get_by_role("heading", level=1).count() == 1
    press_run(page)
    page.get_by_role("button", name="Run · instant").wait_for()
    (run,) = re.findall("run=([0-9a-f]{32})", page.url)
    assert page.evaluate("(key) => fetch(`api/runs/${key}`).then((r) => r.text())", run).count("h=8") > 0


def test_zoom_outlives_ten_refreshes_and_stop_ends_the_run_after_a_reload_too(base, page):
    page.goto(base + LONG)
    answers = []
    page.on(
        "response",
        lambda response: "/api/runs/" in response.url and "since=" in response.url and answers.append(response.url),
    )
    press_run(page)
    page.locator(".gl-state", has_text="live").wait_for()  # not the stored run that stood there before
    page.wait_for_function(f"() => document.querySelector('.js-plotly-plot')?.data && {GROWN} > 5")
    drag = page.locator(".js-plotly-plot .nsewdrag").first
    drag.hover()  # waits until the chart stands still
    box = drag.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8, steps=6)
    page.mouse.up()
    page.wait_for_timeout(300)
    look = "(({ xaxis, yaxis }) => [xaxis.range, yaxis.range])(document.querySelector('.js-plotly-plot')._fullLayout)"
    zoomed = page.evaluate(look)
    before, refreshes = page.evaluate(GROWN), len(answers)
    page.wait_for_function(f"(n) => {GROWN} > n + 10", arg=before)
    for _ in range(300):
        if len(answers) >= refreshes + 10:
            break
        page.wait_for_timeout(100)
    assert len(answers) >= refreshes + 10, "the page has stopped asking for what is new"
    assert page.evaluate(look) == zoomed
    page.reload()  # whoever pressed Run may still press Stop
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_state(page, "stopped")
    page.get_by_role("button", name="Stop", exact=True).wait_for(state="detached")


def test_the_scrubber_replays_a_stored_run_and_the_link_carries_the_moment(base, page):
    page.goto(f"{base}/width-and-interpolation?{SMALL}&passes=7")  # of this test alone, so that Run trains it
    press_run(page)
    page.get_by_text("Claims, checked on this run").wait_for()
    expect_state(page, "done")
    page.wait_for_function(f"() => {REACHED} === 7")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    page.get_by_role("slider", name="Moment of the run").focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"() => {REACHED} === 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("frame=1$"))
    page.get_by_text("pass 0.1 of 7").wait_for()
    page.keyboard.press("End")
    page.wait_for_function(f"() => {REACHED} === 7")
    page.wait_for_url(lambda url: "frame" not in url)


def test_the_run_before_stays_pale_behind_and_a_chip_says_what_changed(base, page):
    page.goto(f"{base}/width-and-interpolation?dataset=digits&widths=4,8,12&examples=200&learning_rate=0.01&passes=4")
    press_run(page)
    page.get_by_text("Claims, checked on this run").wait_for()
    assert page.locator(".gl-chip").is_hidden(), "the run that was shown before has little in common with it"
    page.goto(page.url.replace("passes=4", "passes=6"))
    page.wait_for_selector(".js-plotly-plot")
    page.get_by_role("button", name="Run ·").click()
    page.wait_for_url(re.compile("before=[0-9a-f]{32}"))
    page.locator(".gl-chip", has_text="passes = 4, now 6").wait_for()
    pale = "[...document.querySelectorAll('.js-plotly-plot')].some((p) => p.data.some((t) => /, before$/.test(t.name)))"
    page.wait_for_function(pale)


def test_legends_stay_above_their_curves_on_a_page_that_gets_wider(base, page):
    """Plotly places them by the margins that it finds: one of fewer rows than before came to lie within its chart."""
    page.set_viewport_size({"width": 1000, "height": 900})
    page.goto(f"{base}/scaling")
    legend = page.locator(".gl-plot .legend").first
    before = at_rest(legend)["height"]
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_function(
        """(before) => {
          const plot = document.querySelector(".gl-plot");
          const box = (part) => plot.querySelector(part).getBoundingClientRect();
          const [legend, curves] = [box(".legend"), box(".nsewdrag")];
          return 1.5 * legend.height < before && legend.bottom <= curves.top + 1;
        }""",
        arg=before,
    )


def test_a_key_leads_to_the_next_lesson_and_one_back(base, page):
    here, there = CURRICULUM[1:3]
    page.goto(f"{base}/{here.slug}")
    page.get_by_role("heading", level=1, name=here.question).wait_for()
    page.get_by_role("button", name=there.title).wait_for()
    page.keyboard.press("n")
    page.wait_for_url(f"{base}/{there.slug}**")
    page.get_by_role("heading", level=1, name=there.question).wait_for()
    page.get_by_role("button", name=here.title).wait_for()
    page.keyboard.press("p")
    page.wait_for_url(f"{base}/{here.slug}**")


def test_the_gallery_opens_and_replays_what_ships(base, page):
    page.goto(f"{base}/gallery")
    page.get_by_role("heading", name="Gallery").wait_for()
    page.get_by_role("link", name="Classroom").first.click()
    page.wait_for_url(re.compile("run=[0-9a-f]{32}"))
    page.wait_for_selector(".js-plotly-plot")
    expect_state(page, "done")


def test_the_runs_page_finds_a_run_by_its_link(base, page):
    page.goto(base + QUICK)
    press_run(page)
    page.get_by_text("Claims, checked on this run").wait_for()
    link = page.url
    page.goto(f"{base}/runs")
    page.get_by_role("textbox", name="Its link, or its name").fill(link)
    page.keyboard.press("Enter")
    page.get_by_text("· done").first.wait_for()


def test_a_press_on_the_picture_of_a_card_opens_what_it_shows(base, page):
    for path, opens in (("/gallery", "**/*run=*"), ("/", "**/dying-relu*")):
        page.goto(f"{base}{path}")
        for _ in range(3):  # what loads above a card may yet move it
            box = at_rest(page.locator(".gl-card img").nth(2))
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            with suppress(TooLate):
                page.wait_for_url(opens, timeout=HEARD)
                break
        else:
            pytest.fail(f"The picture was pressed three times, and {page.url} stays.")


def test_a_run_is_taken_from_one_server_to_another_and_text_of_others_stays_text(base, page, tmp_path):
    page.goto(f"{base}/width-and-interpolation")
    page.get_by_text("Take it home").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="One file for another server").click()
    assert re.fullmatch(r"width-and-interpolation-[0-9a-f]{8}\.glab", download.value.suggested_filename)
    taken = Path(download.value.path()).read_bytes()

    text = "<b>H200</b> **x** [y](http://evil.example) www.evil.example"
    run, _ = bundle.read(taken, LESSONS)
    run.knobs = run.knobs.model_copy(update={"seed": 4711})
    run.key, run.device = run.lesson.key(run.knobs), text
    other = Store(tmp_path / "other", [], LESSONS).commit(
        run, threads=1, versions={}, data=run.lesson.dataset(run.knobs)
    )
    page.goto(f"{base}/runs")
    page.locator("input[type=file]").set_input_files(
        {"name": "other.glab", "mimeType": "application/octet-stream", "buffer": bundle.export(other)}
    )
    page.get_by_text("other.glab").wait_for()
    page.get_by_role("button", name="Import").click()
    said = page.get_by_test_id("stAlert")
    said.get_by_text("Imported:").wait_for()
    assert said.inner_text().replace("\u2060", "").endswith(f"trained on {text}.")
    assert page.get_by_role("link", name="evil").count() == 0
    page.get_by_test_id("stColumn").filter(has_text="Bring a run").get_by_role("link", name="Open").click()
    page.get_by_text("Shown: imported from another server").wait_for()
    expect_state(page, "done")


@pytest.mark.parametrize("path", ["/", "/gallery", "/runs", "/dying-relu", "/width-and-interpolation"])
def test_a_phone_never_scrolls_sideways(base, open_page, path):
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(base + path)
    page.get_by_role("heading").first.wait_for()
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")
    assert page.evaluate(
        "() => { const m = document.querySelector('[data-testid=stMain]'); return m.scrollWidth <= m.clientWidth + 1 }"
    )


def test_on_a_phone_the_menu_gives_way_to_the_page_chosen_there(base, open_page):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.goto(base)
    page.get_by_test_id("stExpandSidebarButton").tap()
    menu = page.get_by_test_id("stSidebar")
    menu.get_by_role("link", name="Dying ReLU").tap()
    page.get_by_role("heading", name="Why do narrow").wait_for()
    page.wait_for_function("() => document.querySelector('[data-testid=stSidebar]')?.dataset.collapsed !== 'false'")
    page.get_by_role("button", name="Run ·").tap()  # nothing lies over it


def test_the_projector_look_has_large_type(base, page):
    page.goto(f"{base}/dying-relu?projector=on")
    page.get_by_role("heading", name="Why do narrow").wait_for()
    page.wait_for_function("() => parseFloat(getComputedStyle(document.documentElement).fontSize) >= 20")


def test_an_unknown_page_and_a_bad_run_get_a_sentence(base, page):
    page.goto(f"{base}/dying-relu?run=nonsense")
    page.get_by_text("is no run's name").wait_for()
    page.goto(f"{base}/no-such-lesson")
    page.get_by_role("heading", name="No such page").wait_for()
    page.problems[:] = [each for each in page.problems if "does not seem to exist" not in each and "404" not in each]
