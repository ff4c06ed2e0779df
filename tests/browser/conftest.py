"""A real server and a real browser for the tests of this folder. Nothing leaves the loopback."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
# Of a window that nobody sees: the suggestions below its address bar are pages themselves, with a process of their own
# that works whenever a page loads (a fifth of all that a page of the app costs), and one more process waits in store.
UNSEEN = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"]
# What Playwright turns off. It is said again, as the last such flag counts.
UNWANTED = [
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch", "TcpPortRandomizationWin",
    "ThirdPartyStoragePartitioning",
]  # fmt: skip
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--disable-features={','.join(UNSEEN + UNWANTED)}",
]  # fmt: skip
TRAINS_NOTHING = {"GRADIENT_LAB_ENGINE": "in_thread"}  # a server that needs no second process, which takes 5 s to warm
HEARD = 30_000  # ms within which a press shows, unless it was lost
PATIENCE = 60.0  # seconds for a server to come up, or a page to show what is waited for; stuck then, not slow


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """`serve(app_path, env={}) -> base_url`: starts a server on a free port of the loopback, ends it with the file."""
    servers = []

    def start(app_path, env=None):
        log = tmp_path_factory.mktemp("server") / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", str(app_path), "--server.headless", "true"]
        command += ["--server.address", "127.0.0.1", "--server.port", str(port)]
        with log.open("wb") as out:
            server = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", **(env or {})},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        servers.append(server)
        url = f"http://127.0.0.1:{port}"
        wait_for_health(server, url, log)
        return url

    yield start
    for server in servers:
        server.terminate()
    for server in servers:
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for_health(server, url, log):
    """Until the server answers, or fail with what it wrote."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
            return
        time.sleep(0.1)
    pytest.fail(f"The server did not come up (exit status {server.poll()}):\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium. Missing: the tests are skipped, but fail in CI, where they may not be.

    One for a file and not for all tests: as long as Playwright is up, no other test can run an event loop.
    """
    if not CHROMIUM.exists():
        sentence = f"{CHROMIUM} is missing; install Debian's package chromium to drive the pages"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


def _counts(said):
    """Whether the console complains. That Streamlit looks for its server under a deep link's path first is no fault."""
    return said.type == "error" and "/_stcore/" not in said.location["url"]


@pytest.fixture
def open_page(browser):
    """`open_page(**context) -> page`: a fresh visitor. Afterwards no page may have complained.

    A test that provokes a complaint takes it out of `page.problems` (a list of sentences).
    """
    contexts = []

    def start(**context):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(f"error: {error}"))
        page.on("console", lambda said: _counts(said) and page.problems.append(f"console: {said.text} {said.location}"))
        return page

    yield start
    problems = [problem for context in contexts for page in context.pages for problem in getattr(page, "problems", [])]
    boxes = [box for context in contexts for page in context.pages for box in page.get_by_test_id("stException").all()]
    for context in contexts:
        context.close()
    assert problems == []
    assert not boxes


@pytest.fixture
def page(open_page):
    """A visitor with a laptop."""
    return open_page()


def press_run(page):
    """Press Run until it is heard: a press within the page's own first run can be lost, as readers know of pages."""
    from playwright.sync_api import TimeoutError as TooLate

    named = re.compile("run=[0-9a-f]{32}")
    for _ in range(3):
        page.get_by_role("button", name="Run ·").click()
        with suppress(TooLate):
            return page.wait_for_url(named, timeout=HEARD)
    pytest.fail(f"Run was pressed three times, and nothing trains: {page.get_by_test_id('stAlert').all_inner_texts()}")
