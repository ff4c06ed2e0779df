"""Two runs of the gallery over each other in a real browser: one scrubber moves both, and each keeps its own steps."""

import re
from pathlib import Path

import pytest

from core.lessons import LESSONS
from tests.browser.conftest import TRAINS_NOTHING

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
LESSON = LESSONS["width-and-interpolation"]
SHORT, LONG = (LESSON.presets[name] for name in ("Classroom", "Done right"))
QUERY = f"runs={LESSON.key(SHORT)},{LESSON.key(LONG)}"
REACHED = """(letter) => Math.max(...(document.querySelector('.js-plotly-plot')?.data ?? [])
  .filter((trace) => trace.name?.startsWith(letter)).flatMap((trace) => [...trace.x]))"""


@pytest.fixture(scope="module")
def base(serve, tmp_path_factory):
    """One server with the gallery and an empty cache."""
    return serve(APP, {**TRAINS_NOTHING, "GRADIENT_LAB_CACHE": str(tmp_path_factory.mktemp("cache"))})


def reached(page):
    """The last step that the lines of each of two runs show in the headline chart."""
    return [page.evaluate(REACHED, letter) for letter in "AB"]


def settled(page, steps):
    """Wait until the two runs show this much."""
    page.wait_for_function(f"(steps) => ['A', 'B'].every((letter, i) => ({REACHED})(letter) === steps[i])", arg=steps)


def test_one_scrubber_moves_both_runs_each_as_far_as_it_went(base, page):
    page.goto(f"{base}/compare?{QUERY}")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    settled(page, [SHORT.passes, LONG.passes])
    scrubber = page.get_by_role("slider", name="Moment of the run")
    scrubber.focus()
    page.keyboard.press("Home")
    settled(page, [0, 0])
    scrubber.fill("15")  # of the union: eleven moments of the first pass, then pass after pass
    page.wait_for_url(re.compile("frame=15"))
    page.wait_for_function(f"() => ({REACHED})('A') > 0")
    both = reached(page)
    assert both[0] == both[1]
    scrubber.fill(str(round(0.8 * int(scrubber.get_attribute("max")))))
    page.wait_for_function(f"() => ({REACHED})('B') > {SHORT.passes}")
    assert reached(page)[0] == SHORT.passes, "the shorter run stays at its end"
    labels = page.locator(".gl-panel").first.locator(".gl-label").all_inner_texts()
    assert {label[0] for label in labels} == {"A", "B"}
    moment = page.url
    page.reload()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_function(f"() => ({REACHED})('B') < {LONG.passes}")
    assert page.url == moment


def test_from_a_lesson_to_a_comparison_and_to_another_line(base, page):
    page.goto(f"{base}/{LESSON.slug}")
    page.get_by_role("link", name="Compare with …").click()
    page.get_by_text("Choose one more run").wait_for()
    page.get_by_role("button", name="Classroom beside Done right").click()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    settled(page, [SHORT.passes, LONG.passes])
    page.get_by_role("button", name="h=512").click()
    page.wait_for_url(re.compile("series=h%3D512"))
    page.get_by_text("B h=512").first.wait_for()
    page.get_by_role("link", name="Open B").click()
    page.wait_for_url(re.compile(f"{LESSON.slug}.*run={LESSON.key(LONG)}"))


def test_a_comparison_on_a_phone_never_scrolls_sideways(base, open_page):
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(f"{base}/compare?{QUERY}")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.get_by_role("link", name="Open B").wait_for()
    for element in ("document.documentElement", "document.querySelector('[data-testid=stMain]')"):
        assert page.evaluate(f"{element}.scrollWidth <= {element}.clientWidth + 1")
