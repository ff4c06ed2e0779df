"""The file that people take home replays from disk with the network off."""

import pytest

from core.lessons import LESSONS
from core.places import GALLERY
from core.runs.store import Store
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
    assert page.get_by_role("cell", name="overlap: no real difference").count() > 0
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
    assert "h=128 reads every training example" in " ".join(entries.all_text_contents())
    page.get_by_role("button", name="Back to the start").click()
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "Number(document.querySelector('.gl-scrubber').value) > 3")
    assert page.get_by_role("heading", level=1).inner_text() == LESSON.question
    assert "holds" in page.locator("body > .wide").inner_text()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")
