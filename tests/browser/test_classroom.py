"""A class on one server: its code, by link and by hand, and what stays shut without it."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.browser.conftest import TRAINS_NOTHING

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
CODES = {"GRADIENT_LAB_CLASS_CODE": "tulip", "GRADIENT_LAB_TEACHER_CODE": "rembrandt"}


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_phone_comes_in_by_the_link_a_teacher_by_hand_and_nobody_else(serve, open_page, tmp_path):
    base = serve(APP, {**CODES, **TRAINS_NOTHING, "GRADIENT_LAB_CACHE": str(tmp_path)})
    phone = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone.goto(f"{base}/dying-relu?width=4&hide=width&code=tulip")
    phone.get_by_text("Fixed by this link").wait_for()
    phone.locator(".gl-plot").first.scroll_into_view_if_needed()
    phone.wait_for_selector(".gl-plot .main-svg")  # the assets and the api answer too
    assert "code" not in phone.url

    assert [status(base + path) for path in ("/", "/dying-relu", "/api/compare", "/_stcore/host-config")] == [401] * 4
    teacher = open_page()
    teacher.goto(f"{base}/classroom")
    teacher.get_by_label("Code").fill("Rem brandt")
    teacher.get_by_role("button", name="Come in").click()
    teacher.get_by_role("button", name="Show it to the room").click()
    picture = teacher.get_by_role("dialog").get_by_alt_text("QR code")
    picture.wait_for()
    assert picture.evaluate("(image) => image.naturalWidth") > 200, "it is drawn"
    teacher.get_by_test_id("stMetric").filter(has_text="Pages open").get_by_text("in 2 browsers").wait_for()
    refused = [each for each in teacher.problems if "401 (Unauthorized)" in each]
    assert len(refused) == 1, "the page that asked for the code, and nothing after it"
    teacher.problems.remove(refused[0])


def test_a_page_whose_ticket_no_longer_counts_becomes_the_door(serve, open_page, tmp_path):
    """As after a restart, when the player asks for what is new or Streamlit connects again."""
    base = serve(APP, {**CODES, **TRAINS_NOTHING, "GRADIENT_LAB_CACHE": str(tmp_path)})
    page = open_page()
    page.goto(f"{base}/dying-relu?width=4&code=tulip")
    page.wait_for_selector(".gl-plot .main-svg")
    page.context.clear_cookies()
    page.evaluate("fetch('api/runs/0123456789abcdef').then((answer) => answer.text())")
    page.get_by_role("button", name="Come in").wait_for()
    page.get_by_label("Code").fill("tulip")
    page.get_by_role("button", name="Come in").click()
    page.wait_for_selector(".gl-plot .main-svg")
    assert "width=4" in page.url
    page.problems[:] = [each for each in page.problems if "401 (Unauthorized)" not in each]
