"""No serious fault that axe-core finds, on any kind of page, light and dark."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from core.lessons import LESSONS
from tests.browser.conftest import TRAINS_NOTHING

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
PAGES = {
    "/": "Gradient Lab",
    "/gallery": "Gallery",
    "/runs": "Runs",
    **{f"/{slug}": LESSONS[slug].question for slug in ("dropout", "vanishing-gradients", "cnn-arithmetic")},
}

WITH_KNOBS = ("/dropout", "/vanishing-gradients", "/cnn-arithmetic")  # with every kind of knob, opened on a stored run


@pytest.fixture(scope="module")
def base(serve, tmp_path_factory):
    return serve(APP, {**TRAINS_NOTHING, "GRADIENT_LAB_CACHE": str(tmp_path_factory.mktemp("cache"))})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(base, open_page, path, scheme):
    page = open_page(color_scheme=scheme)
    page.goto(base + path)
    page.get_by_role("heading", level=1, name=PAGES[path]).wait_for()
    if path in WITH_KNOBS:
        page.wait_for_selector(".gl-plot .main-svg")
    for _ in range(8):
        page.wait_for_timeout(1500)  # what fades in, or is drawn once more, is pale until it stands
        found = Axe().run(page).response["violations"]
        serious = {each["id"]: each["nodes"][0]["html"] for each in found if each["impact"] in ("serious", "critical")}
        if not serious:
            break
    assert serious == {}
