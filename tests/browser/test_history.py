"""Back and Forward: one press is one entry of the browser's history, and each entry brings the page of that moment."""

import re
from pathlib import Path

import pytest

from core.lessons import LESSONS

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
WIDTH, RELU = LESSONS["width-and-interpolation"], LESSONS["dying-relu"]
SETTLED = 1200  # ms after which a page that has been drawn writes no address by itself


@pytest.fixture(scope="module")
def base(serve, tmp_path_factory):
    """One server with the gallery and an empty cache."""
    return serve(APP, {"GRADIENT_LAB_CACHE": str(tmp_path_factory.mktemp("cache"))})


def opened(page, url):
    page.goto(url)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    return length(page)


def length(page):
    """How many entries the history has, once the page is at rest."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(SETTLED)
    return page.evaluate("history.length")


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def marked(page, preset):
    """Wait until a preset is the one that is marked, which is where the knobs stand as it has them."""
    page.locator("[data-testid=stBaseButton-primary]", has_text=preset).wait_for()


def test_a_preset_is_one_entry_and_back_and_forward_bring_its_knobs_and_its_run(base, page):
    before = opened(page, f"{base}/dying-relu")
    marked(page, "Classroom")
    press(page, "As the notebook ran it")
    marked(page, "As the notebook ran it")
    first = length(page)
    assert first == before + 1
    press(page, "Done right")
    marked(page, "Done right")
    assert length(page) == before + 2
    done_right = page.url
    page.go_back()
    marked(page, "As the notebook ran it")
    page.get_by_text("Shown: from the gallery").wait_for()
    page.go_back()
    marked(page, "Classroom")
    page.wait_for_timeout(SETTLED)
    assert page.url == f"{base}/dying-relu"
    page.go_forward()
    marked(page, "As the notebook ran it")
    page.go_forward()
    marked(page, "Done right")
    assert length(page) == before + 2
    assert page.url == done_right


def test_a_turned_knob_is_one_entry_and_run_is_one_and_its_end_none(base, page):
    before = opened(page, f"{base}/width-and-interpolation?dataset=digits&widths=4,16&examples=300&passes=5&seeds=1")
    page.get_by_test_id("stButtonGroup").get_by_role("button", name="8", exact=True).click()
    page.wait_for_url(re.compile("widths=4%2C8%2C16"))
    assert length(page) == before + 1
    page.get_by_role("button", name="Run ·").click()
    page.wait_for_url(re.compile("run=[0-9a-f]{32}"))
    page.get_by_role("button", name="Run · instant").wait_for()
    assert length(page) == before + 2, "the end of a run is no press"
    page.get_by_role("slider", name="Moment of the run").focus()
    page.keyboard.press("Home")
    page.wait_for_url(re.compile("frame=0"))
    assert length(page) == before + 2, "nor is a moment a page"
    page.go_back()
    page.wait_for_url(lambda url: "run=" not in url)
    page.get_by_text("Press Run for yours").or_(page.get_by_text("Shown: from the cache")).first.wait_for()
    assert "widths=4%2C8%2C16" in page.url
    page.go_back()
    page.wait_for_url(re.compile("widths=4(,|%2C)16"))
    eight = page.get_by_test_id("stButtonGroup").get_by_role("button", name="8", exact=True)
    page.wait_for_function("(e) => !/true/.test(e.getAttribute('data-selected'))", arg=eight.element_handle())
    page.go_forward()
    page.wait_for_url(re.compile("widths=4%2C8%2C16"))
    page.go_forward()
    page.wait_for_url(re.compile("run=[0-9a-f]{32}"))
    assert length(page) == before + 2


@pytest.mark.parametrize(
    "query", ["passes=7)&fbclid=x&utm_source=mail", "widths=8&widths=64&widths=256", "learning_rate=0,01&colour=red"]
)
def test_a_link_that_is_written_out_anew_takes_no_entry_of_its_own(base, page, query):
    page.goto(f"{base}/gallery")
    page.get_by_role("heading", name="Gallery").wait_for()
    before = length(page)
    assert opened(page, f"{base}/width-and-interpolation?{query}") == before + 1
    assert "fbclid" not in page.url
    page.go_back()
    page.get_by_role("heading", name="Gallery").wait_for()


def test_a_page_of_the_menu_is_one_entry_with_the_knobs_that_were_left_there(base, page):
    opened(page, f"{base}/dying-relu?width=4")
    before = length(page)
    page.get_by_role("button", name=LESSONS["vanishing-gradients"].title).last.click()
    page.wait_for_url("**/vanishing-gradients**")
    # No chart is waited for: the page stays scrolled to its end, where the button was, and charts out of sight wait.
    page.get_by_role("heading", level=1, name=LESSONS["vanishing-gradients"].question).wait_for()
    assert length(page) == before + 1
    page.go_back()
    page.wait_for_url(re.compile("dying-relu.*width=4"))
    page.get_by_role("heading", level=1, name=RELU.question).wait_for()


def test_the_projector_is_one_entry_and_back_turns_it_off(base, page):
    before = opened(page, f"{base}/dying-relu?width=4")
    page.get_by_test_id("stCheckbox").filter(has_text="Projector").locator("label").click()
    page.wait_for_url(re.compile("projector=on"))
    assert length(page) == before + 1
    page.go_back()
    page.wait_for_url(lambda url: "projector" not in url)
    page.wait_for_function("() => parseFloat(getComputedStyle(document.documentElement).fontSize) < 20")
    assert not page.get_by_test_id("stCheckbox").filter(has_text="Projector").locator("input").is_checked()
    assert length(page) == before + 1


def test_a_comparison_is_one_entry_for_each_choice_and_back_takes_it_back(base, page):
    page.goto(f"{base}/gallery")
    page.get_by_role("heading", name="Gallery").wait_for()
    before = length(page)
    page.goto(f"{base}/compare")
    page.get_by_text("begin with a pair").first.wait_for()
    assert length(page) == before + 1
    page.get_by_role("button", name=" beside ").first.click()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert length(page) == before + 2
    page.go_back()
    page.get_by_text("begin with a pair").first.wait_for()
    page.go_forward()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert length(page) == before + 2


def test_a_link_for_a_class_is_no_entry(base, page):
    before = opened(page, f"{base}/dying-relu?width=4")
    page.get_by_text("For a class").click()
    page.get_by_text("Choose what students shall not see").wait_for()
    page.get_by_test_id("stButtonGroup").get_by_role("button", name="width", exact=True).last.click()
    page.get_by_text("hide=width").first.wait_for()
    assert length(page) == before
