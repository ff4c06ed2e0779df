"""A class that shares a knob out: two phones train their own values, and the chart for the room fills."""

from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as TooLate

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
LINK = "dying-relu?nets=20&epochs=1&points=64&share=width~4~6"
CODES = {"GRADIENT_LAB_CLASS_CODE": "tulip", "GRADIENT_LAB_TEACHER_CODE": "rembrandt"}
DOTS = """(dots) => {
  const found = document.querySelector('.gl-plot')?.data?.find((trace) => trace.name === 'a run');
  return JSON.stringify([...(found?.x ?? [])].sort()) === JSON.stringify(dots);
}"""
LABELS = """(names) => {
  const labels = [...document.querySelectorAll('.gl-label')];
  const { left, width } = document.querySelector('.gl-plot').getBoundingClientRect();
  const right = labels.every((label) => label.getBoundingClientRect().left > left + 0.7 * width);
  return right && names.every((name) => labels.some((label) => label.textContent === name));
}"""


def test_what_two_phones_find_fills_the_chart_of_the_room(serve, open_page, tmp_path):
    base = serve(APP, {**CODES, "GRADIENT_LAB_CACHE": str(tmp_path)})
    teacher = open_page(viewport={"width": 1920, "height": 1080})
    teacher.goto(f"{base}/{LINK}&code=rembrandt")
    teacher.get_by_text("Yours in this class").wait_for()
    teacher.get_by_role("link", name="What the class finds").click()
    teacher.get_by_text("The class shares out: width. All have nets = 20").wait_for()
    teacher.get_by_text("0 of 2 values, 0 runs").wait_for()
    teacher.wait_for_function("() => document.querySelector('.gl-plot')?.layout")
    for width, dots in (("4", ["4"]), ("6", ["4", "6"])):
        phone = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        phone.goto(f"{base}/{LINK}&code=tulip")
        phone.get_by_text(f"width = {width} · seed").wait_for()
        for _ in range(3):  # a press within the page's own first run can be lost
            phone.get_by_role("button", name="Run ·").tap()
            with suppress(TooLate):
                phone.wait_for_url("**run=*", timeout=30_000)
                break
        teacher.wait_for_function(DOTS, arg=dots)
    teacher.get_by_text("2 of 2 values, 2 runs").wait_for()
    teacher.wait_for_function(LABELS, arg=["mean"])
    assert teacher.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1")
