"""The app at every kind of address, with and without codes, without a browser and with one.

A server serves for all addresses that need the same settings; the next one starts while one is tried.
"""

import pytest

from tests.browser.conftest import press_run
from tests.everywhere.addresses import ADDRESSES, CHECKS, KNOBS, LESSON, REFUSED, Lab, found, in_labs

pytestmark = [
    pytest.mark.browser,
    # The proxy is cut off in the midst of things when its test has ended.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WITH_CODES_ALONE = {"nested base path", "rewritten Origin, declared", "stripped base path", "TLS by a proxy"}
SEEN_WITHOUT_CODES = {"plain", "base path", "rewritten, undeclared"}  # by a browser
SAID_WITHIN = 5000  # milliseconds
SMALL = "&".join(f"{name}={value}" for name, value in KNOBS.items())


def cases():
    for codes in (False, True):
        asked = [each for each in ADDRESSES if codes or each.name not in WITH_CODES_ALONE]
        for number, addresses in enumerate(in_labs(asked)):
            for address in addresses:
                yield number, codes, address


CASES = list(cases())
LABS = list(dict.fromkeys((number, codes) for number, codes, _ in CASES))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """`lab(number, codes)`: that server; the one after it starts, the ones before it end."""
    started = {}

    def start(which):
        addresses = [address for *of, address in CASES if tuple(of) == which]
        if which not in started and not addresses[0].why_not:
            started[which] = Lab(addresses, which[1], tmp_path_factory.mktemp("lab"))

    def get(*which):
        at = LABS.index(which)
        for before in [each for each in started if LABS.index(each) < at]:
            started.pop(before).end()
        for each in LABS[at : at + 2]:
            start(each)
        return started[which]

    yield get
    for each in started.values():
        each.end()


@pytest.fixture(params=CASES, ids=lambda case: f"{case[2].name}, {'codes' if case[1] else 'open'}")
def here(request, lab):
    """The app at one address."""
    number, codes, address = request.param
    if address.why_not:
        pytest.skip(address.why_not)
    with lab(number, codes).at(address) as served:
        yield served


def test_everything_works_there_or_is_refused_with_its_reason(here, open_page):
    assert found(here) == dict.fromkeys(CHECKS, "yes") | ({} if here.address.connects else {"socket": REFUSED})
    if not here.codes and here.address.name not in SEEN_WITHOUT_CODES:
        return
    page = open_page(ignore_https_errors=True)
    if here.address.connects:
        a_class_is_at_work(here, page)
    else:
        page.goto(here.entrance)
        box = page.locator("#gradient-lab-connection")
        box.wait_for(timeout=SAID_WITHIN)
        assert f"GRADIENT_LAB_ADDRESS={here.origin}" in box.inner_text()
        page.problems = [each for each in page.problems if "WebSocket" not in each]


def a_class_is_at_work(here, page):
    """Home, a lesson with charts, Run, a download, Classroom and its QR code."""
    page.goto(here.entrance)
    page.get_by_role("link", name="Open the lesson").first.wait_for()
    page.wait_for_function("document.querySelector('.gl-card img')?.naturalWidth > 0")
    assert page.url.rstrip("/") == here.url
    page.goto(f"{here.url}/no/such/page")
    page.get_by_role("link", name="All lessons").click()
    page.wait_for_url(f"{here.url}/")
    page.problems = [each for each in page.problems if "/no/such/page" not in each]
    page.goto(f"{here.url}/{LESSON}?{SMALL}")
    press_run(page)
    page.locator(".gl-plot").first.scroll_into_view_if_needed()  # a chart far below the screen is not drawn yet
    page.wait_for_selector(".gl-plot .main-svg")
    assert page.url.startswith(f"{here.url}/{LESSON}?")
    page.locator(".gl-player", has_text="done").first.wait_for()
    page.get_by_text("Take it home").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").first.click()
    assert download.value.suggested_filename.endswith(".csv")
    if here.codes:
        page.goto(f"{here.url}/door")
        page.get_by_label("Code").fill("rembrandt")
        page.get_by_role("button", name="Come in").click()
        page.get_by_role("button", name="Show it to the room").click()
        page.get_by_role("dialog").get_by_alt_text("QR code").wait_for()
        assert page.url == f"{here.url}/classroom"
        if here.address.declared or not here.address.behind:
            page.get_by_role("dialog").get_by_text(here.url.split("://")[1]).first.wait_for()
