"""The file that people take home replays from disk with the network off."""

import itertools

import pytest

from core.lessons import LESSONS
from core.places import GALLERY
from core.runs.store import Store
from core.ui.overlay import compared
from core.ui.replay import comparison_html, replay_html

LESSON = LESSONS["width-and-interpolation"]
POINTS = "Math.max(...document.querySelector('.gl-plot').data.map((trace) => (trace.y ?? []).length))"


@pytest.mark.browser
def test_a_comparison_replays_from_disk_without_a_network(open_page, tmp_path):
    store = Store(tmp_path, [GALLERY], LESSONS)
    runs = [store.find(LESSON, LESSON.presets[name]) for name in ("Classroom", "Done right")]
    path = tmp_path / "compared.html"
    path.write_bytes(comparison_html(runs))
    page = open_page(offline=True)
    page.goto(path.as_uri())
    page.wait_for_selector(".gl-plot .main-svg")
    page.get_by_role("button", name="To the end").click()
    until(page, f"{POINTS} > 90")
    page.get_by_role("button", name="Back to the start").click()
    until(page, f"{POINTS} < 5")
    assert page.get_by_role("cell", name="these data cannot tell").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A gallery run as a file on disk, and how many frames it has."""
    store = Store(tmp_path_factory.mktemp("cache"), [GALLERY], LESSONS)
    run = store.find(LESSON, LESSON.presets["Classroom"])
    path = tmp_path_factory.mktemp("home") / "run.html"
    path.write_bytes(replay_html(run))
    return path, len(run.recording)


def until(page, expression):
    """Wait for it. Not by `wait_for_function`, whose `eval` the page's own policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {expression}")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_replays_from_disk_without_a_network(open_page, kept, scheme):
    path, frames = kept
    page = open_page(color_scheme=scheme, offline=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".gl-plot .main-svg")
    assert page.locator(".gl-scrubber").get_attribute("max") == str(frames - 1)
    assert page.locator(".gl-panel").count() == len(LESSON.panels(LESSON.presets["Classroom"]))
    page.get_by_role("button", name="To the end").click()
    until(page, f"{POINTS} > 30")
    page.get_by_role("button", name="Back to the start").click()
    until(page, f"{POINTS} < 5")
    entries = page.get_by_role("region", name="What happened so far").get_by_role("listitem")
    assert entries.count() == 0
    page.get_by_role("button", name="To the end").click()
    assert "h=128 classifies every training example correctly" in " ".join(entries.all_text_contents())
    page.get_by_role("button", name="Back to the start").click()
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "Number(document.querySelector('.gl-scrubber').value) > 3")
    assert page.get_by_role("heading", level=1).inner_text() == LESSON.question
    assert "holds" in page.locator("body > .wide").inner_text()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")


# What is on paper, looked at while it is printed: the page is laid out for it only then.
WATCH = """() => {
  const seen = (each) => each.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true });
  const box = (each) => each.getBoundingClientRect().toJSON();
  const drawn = ".overplot :is(path, image, use)";
  matchMedia("print").addEventListener("change", ({ matches }) => {
    if (!matches) return;
    globalThis.paper = {
      width: document.documentElement.clientWidth,
      reach: Math.max(...[...document.querySelectorAll("h1, p, td, th")].map((each) => box(each).right)),
      ground: getComputedStyle(document.body).backgroundColor,
      pressed: [...document.querySelectorAll(".gl-bar, .gl-tool")].filter(seen).length,
      cells: [...document.querySelectorAll("td")].filter((each) => !seen(each)).length,
      moment: getComputedStyle(document.querySelector(".gl-player"), "::before").content,
      charts: [...document.querySelectorAll(".gl-panel")].map((panel) => ({
        name: panel.querySelector("h3").textContent,
        panel: box(panel),
        plot: box(panel.querySelector(".gl-plot")),
        drawing: box(panel.querySelector(".main-svg") ?? panel),
        shapes: [...panel.querySelectorAll(drawn)].filter((each) => box(each).width + box(each).height > 0).length,
        paper: panel.querySelector(".gl-plot")._fullLayout?.paper_bgcolor,
        whole: [getComputedStyle(panel).breakInside, getComputedStyle(panel.querySelector(".gl-chart")).breakInside],
      })),
    };
  });
}"""


def on_paper(page, **paper):
    """Print the page; what was on the paper."""
    page.evaluate(WATCH)
    assert page.pdf(**paper).startswith(b"%PDF")
    return page.evaluate("paper")


def fits(paper, names):
    """Every chart stands on the paper, drawn, light and apart from the others, and nothing is cut or to be pressed."""
    assert [chart["name"] for chart in paper["charts"]] == names
    for chart in paper["charts"]:
        assert chart["shapes"] > 0, chart["name"]
        assert chart["paper"] == "rgb(255, 255, 255)", chart["name"]
        assert "avoid" in chart["whole"], chart["name"]
        assert chart["drawing"]["width"] == pytest.approx(chart["plot"]["width"], abs=1)
        assert chart["panel"]["right"] <= paper["width"] + 1
        assert chart["drawing"]["bottom"] <= chart["panel"]["bottom"] + 1
    for above, below in itertools.pairwise(paper["charts"]):
        assert above["panel"]["bottom"] <= below["panel"]["top"] + 1
    assert paper["reach"] <= paper["width"] + 1
    assert paper["ground"] in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert paper["pressed"] == 0
    assert paper["cells"] == 0  # the folded tables are open


@pytest.mark.browser
@pytest.mark.parametrize("slug", list(LESSONS))
def test_every_chart_of_every_lesson_is_printed(open_page, tmp_path, slug):
    """On a narrow dark screen, on which nobody has scrolled: most charts have never been drawn there."""
    lesson = LESSONS[slug]
    knobs = next(iter(lesson.presets.values()))
    path = tmp_path / "run.html"
    path.write_bytes(replay_html(Store(tmp_path, [GALLERY], LESSONS).find(lesson, knobs)))
    page = open_page(viewport={"width": 400, "height": 700}, color_scheme="dark", offline=True)
    page.goto(path.as_uri())
    panels = lesson.panels(knobs)
    if any(each.trace["type"] == "image" for panel in panels for each in panel.traces):
        page.wait_for_selector(".gl-plot image", state="attached")  # a browser decodes it a moment after it is drawn
    fits(on_paper(page), [panel.name for panel in panels])


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "paper"),
    [(1366, {}), (400, {"format": "A4", "landscape": True}), (1366, {"width": "400px", "height": "800px"})],
)
def test_a_replay_is_printed_at_the_frame_shown_and_then_is_as_before(open_page, kept, width, paper):
    path, frames = kept
    page = open_page(viewport={"width": width, "height": 768}, color_scheme="dark", offline=True)
    page.goto(path.as_uri())
    page.locator(".gl-scrubber").fill(str(frames - 4))
    moment = page.locator(".gl-place").inner_text()
    dark = page.evaluate("getComputedStyle(document.querySelector('.gl-player')).backgroundColor")
    printed = on_paper(page, **paper)
    fits(printed, [panel.name for panel in LESSON.panels(LESSON.presets["Classroom"])])
    assert printed["moment"] == f'"{moment}"'
    assert moment.startswith(f"pass {page.evaluate('document.querySelector(`.gl-plot`).data.at(-1).x.at(-1)')} of ")
    assert page.evaluate("getComputedStyle(document.querySelector('.gl-player')).backgroundColor") == dark
    until(page, f"document.querySelector('.gl-plot').layout.paper_bgcolor === '{dark}'")
    wide = (
        "Math.abs(document.querySelector('.main-svg').clientWidth - document.querySelector('.gl-plot').clientWidth) < 2"
    )
    until(page, wide)
    assert page.locator(".gl-bar").is_visible()


@pytest.mark.browser
def test_a_comparison_is_printed(open_page, tmp_path):
    store = Store(tmp_path, [GALLERY], LESSONS)
    runs = [store.find(LESSON, LESSON.presets[name]) for name in ("Classroom", "Done right")]
    path = tmp_path / "compared.html"
    path.write_bytes(comparison_html(runs))
    page = open_page(color_scheme="dark", offline=True)
    page.goto(path.as_uri())
    fits(on_paper(page), [panel["name"] for panel in compared(runs)["panels"]])


@pytest.mark.browser
def test_without_a_script_it_shows_a_picture_and_says_so(open_page, kept):
    page = open_page(java_script_enabled=False, offline=True)
    page.goto(kept[0].as_uri())
    assert page.get_by_text("drawn by a script, which does not run here").is_visible()
    assert page.locator("#still svg").is_visible()
    assert page.locator("#still li").all_inner_texts() == ["h=8", "h=32", "h=128"]
    assert page.get_by_text("holds").first.is_visible()


@pytest.mark.browser
def test_a_browser_that_is_too_old_for_the_script_shows_the_same(open_page, kept, tmp_path):
    path = tmp_path / "old.html"
    path.write_text(kept[0].read_text().replace('<script type="importmap">', '<script type="unknown">'))
    page = open_page(offline=True)
    page.goto(path.as_uri())
    page.locator("#still svg").wait_for()
    page.problems.clear()
    page.goto(kept[0].as_uri())
    page.wait_for_selector(".gl-plot .main-svg")
    assert not page.locator("#still").is_visible()
