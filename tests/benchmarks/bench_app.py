"""What a reader waits for, with a real server and a real Chromium.

    python tests/benchmarks/bench_app.py [cold | presses | lists | slug ...]

Prints medians of five rounds (`ROUNDS`): from the command to the first page; from a press to what it shows, the first
press on a fresh server apart; for each lesson from Run to the first live point, from a pressed preset to its stored
run, from a link to a stored run on the screen, and the bytes of a refresh; then the gallery and the runs page with a
thousand runs stored. Needs Debian's chromium and PyPI's playwright.
"""

import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from core import data
from core.frames import Recording
from core.lessons import LESSONS
from core.runs.run import Run, State
from core.runs.store import Store

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ROUNDS = int(os.environ.get("ROUNDS", "5"))
POINTS = """() => document.querySelector('.js-plotly-plot')?.data?.some(
  (t) => (t.y?.length || t.y?.bdata || t.z?.length) && !t.meta?.reference)"""
NAMED = "(name) => document.querySelector('.js-plotly-plot')?.data?.some((t) => t.name === name && t.x?.length)"
COMPARED = LESSONS["width-and-interpolation"]  # two of its runs are laid over each other
STORED = 1000
READ = 3  # visits after which Chromium keeps scripts as it has read them


def start(cache):
    """A server on a free port: (process, address)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    env = {**os.environ, "GRADIENT_LAB_CACHE": cache}
    server = subprocess.Popen([*command, "--server.port", str(port)], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    return server, f"http://127.0.0.1:{port}"


def first_page(browser, base):
    """Open the map as soon as the server answers."""
    page = browser.new_page()
    while True:
        try:
            page.goto(base)
            break
        except Exception:
            time.sleep(0.05)
    page.get_by_role("heading", name="Gradient Lab").wait_for(timeout=60_000)
    page.close()


def note_refresh(sizes, answer):
    """Keep the size of an answer that carries only what is new."""
    if "since=" in answer.url and "since=0" not in answer.url:
        sizes.append(len(answer.body()))


def is_live(answer):
    """Whether an answer carries frames of a run that trains."""
    return (
        "/api/runs/" in answer.url
        and answer.ok
        and '"state":"running"' in answer.text()
        and '"steps":[]' not in answer.text()
    )


def live_point(browser, base, slug, seed):
    """Seconds from Run to the first live point; the page, which goes on."""
    page = browser.new_page()
    page.goto(f"{base}/{slug}?seed={seed}")
    run = page.get_by_role("button", name="Run · about")
    run.or_(page.get_by_role("button", name="Run · under")).wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    # The page shows the nearest stored run meanwhile; the new one counts from its own first answer.
    begun = time.perf_counter()
    with page.expect_response(is_live, timeout=60_000):
        page.get_by_role("button", name="Run ·").click()
    page.wait_for_function(POINTS, timeout=60_000)
    return time.perf_counter() - begun, page


def finished(page):
    """The link to the run on a page, once it has ended, and the bytes of each refresh until then."""
    sizes = []
    page.on("response", functools.partial(note_refresh, sizes))
    page.get_by_text("Claims, checked on this run").wait_for(timeout=120_000)
    page.get_by_text("This run:").first.wait_for(timeout=120_000)
    return page.url, sizes


def stopped(page):
    """End the run on a page: its first point was all that was wanted."""
    stop = page.get_by_role("button", name="Stop", exact=True)
    if stop.count():  # a quick one has ended by itself
        stop.click()
    page.get_by_role("button", name="Run ·").wait_for(timeout=60_000)
    page.close()


@contextmanager
def returning(playwright):
    """A browser with a profile on disk: it keeps files, and how it read them, from tab to tab."""
    with tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path="/usr/bin/chromium", args=FLAGS
        )
        yield browser
        browser.close()


def drawn_from_a_link(browser, link):
    """Seconds from a link in a new tab to the run on the screen."""
    page = browser.new_page()
    begun = time.perf_counter()
    page.goto(link)
    page.wait_for_function(POINTS, timeout=60_000)
    seconds = time.perf_counter() - begun
    page.close()
    return seconds


def drawn_from_a_preset(browser, base, slug):
    """Seconds from the press of the second preset that ships as a run to that run on the screen."""
    shipped = LESSONS[slug].shipped
    name, knobs = list(shipped.items())[1]
    key = LESSONS[slug].key(knobs)
    page = browser.new_page()
    page.goto(f"{base}/{slug}")
    page.wait_for_function(POINTS, timeout=60_000)
    page.wait_for_timeout(1000)
    begun = time.perf_counter()
    with page.expect_response(
        lambda answer: f"/api/runs/{key}" in answer.url and "since" in answer.url, timeout=60_000
    ):
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function(POINTS, timeout=60_000)
    seconds = time.perf_counter() - begun
    page.close()
    return seconds


def presses(browser, base):
    """From a press to what it shows, within one visit: Compare, another line there, the gallery, one of its runs."""
    times = {}

    def waited(what, press, arrived):
        begun = time.perf_counter()
        press()
        arrived()
        times.setdefault(what, []).append(time.perf_counter() - begun)

    def drawn(page, name=None):
        return lambda: page.wait_for_function(POINTS if name is None else NAMED, arg=name, timeout=60_000)

    first, second = (name for name in COMPARED.presets if name in ("Classroom", "Done right"))
    for _ in range(ROUNDS):
        page = browser.new_page()
        page.goto(f"{base}/{COMPARED.slug}")
        drawn(page)()
        page.wait_for_timeout(1500)
        words = page.get_by_text("Choose one more run")
        waited("Compare with …", page.get_by_role("link", name="Compare with …").click, words.wait_for)
        page.wait_for_timeout(1000)
        pair = page.get_by_role("button", name=f"{first} beside {second}")
        waited("two runs to their curves", pair.click, drawn(page))
        page.wait_for_timeout(1000)
        waited("another line", page.get_by_role("button", name="h=512").click, drawn(page, "B h=512"))
        page.get_by_text("Runs", exact=True).first.click()  # the menu
        page.wait_for_timeout(500)
        cards = page.get_by_role("link", name="Change a knob")
        waited("gallery", page.locator("a[href$='/gallery']").first.click, cards.first.wait_for)
        page.wait_for_timeout(1000)
        waited("a run of the gallery to its curves", cards.nth(2).click, drawn(page))
        page.close()
    for what, seconds in times.items():
        print(f"press: {what:35} {seconds[0]:6.2f} s at first, then {median(seconds[1:] or seconds):.2f} s", flush=True)


def lesson(browser, kept, base, slug):
    """The figures of one lesson. Each page of `browser` is a new browser's; those of `kept` are tabs of one."""
    if "seed" in LESSONS[slug].knobs.model_fields:
        live = []
        for seed in range(11, 11 + ROUNDS):
            seconds, page = live_point(browser, base, slug, seed)
            live.append(seconds)
            if len(live) < ROUNDS:
                stopped(page)
        print(f"{slug}: Run to first live point     {median(live):6.2f} s, {max(live):.2f} s at most")
        link, sizes = finished(page)
        page.close()
        for who, where in (("a browser's first visit", browser), ("a new tab of one that was here", kept)):
            for _ in range(READ if where is kept else 0):
                drawn_from_a_link(where, link)
            stored = median(drawn_from_a_link(where, link) for _ in range(ROUNDS))
            print(f"{slug}: link to a stored run drawn  {stored:6.2f} s ({who}, page load included)")
        print(f"{slug}: bytes of a refresh          {median(sizes or [0]):6.0f} (median), {max(sizes or [0])} at most")
    pressed = median(drawn_from_a_preset(browser, base, slug) for _ in range(ROUNDS))
    print(f"{slug}: preset to its stored run    {pressed:6.2f} s", flush=True)


def fill(cache):
    """A thousand small runs in a cache."""
    relu = LESSONS["dying-relu"]
    store = Store(Path(cache), [], LESSONS)
    recording = Recording()
    knobs = relu.small(relu.knobs())
    for frame in relu.train(knobs, torch.device("cpu")):
        recording.append(frame)
    for seed in range(STORED):
        own = knobs.model_copy(update={"seed": seed})
        run = Run(relu, own, relu.key(own), "CPU", recording, State.DONE, wall_seconds=1.0)
        store.commit(run, threads=1, versions={}, data=None)


def thousand(kept):
    """The lists with a thousand runs stored, beside the map, which has none: all with a page load in a new tab."""
    shown = {"": "link:Open the lesson", "gallery": "link:Change a knob", "runs": "text:UTC"}
    with tempfile.TemporaryDirectory() as cache:
        fill(cache)
        server, base = start(cache)
        try:
            first_page(kept, base)
            for path, mark in shown.items():
                kind, _, words = mark.partition(":")
                times = []
                for _ in range(READ + ROUNDS):
                    page = kept.new_page()
                    begun = time.perf_counter()
                    page.goto(f"{base}/{path}")
                    found = page.get_by_role("link", name=words) if kind == "link" else page.get_by_text(words)
                    found.first.wait_for(timeout=60_000)
                    times.append(time.perf_counter() - begun)
                    page.close()
                print(
                    f"{path or 'map'} with {STORED} runs stored: {median(times[READ:]):6.2f} s, page load included",
                    flush=True,
                )
        finally:
            server.terminate()
            server.wait()


def cold(browser, cache):
    """From the command to the first page drawn."""
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        server, base = start(cache)
        try:
            first_page(browser, base)
            seconds.append(time.perf_counter() - begun)
        finally:
            server.terminate()
            server.wait()
    print(f"cold start to first page   {median(seconds):6.2f} s", flush=True)


def get_ready(cache, slugs):
    """Decode the pictures that these lessons train on, as a teacher does once, where they lie here in another form."""
    os.environ["GRADIENT_LAB_CACHE"] = cache
    for slug in slugs:
        name = LESSONS[slug].dataset(next(iter(LESSONS[slug].presets.values())))
        if name is not None and not data.available(name) and data.undecoded(name) is not None:
            data.download(name, lambda share: None)


def main():
    asked = sys.argv[1:] or ["cold", "presses", *LESSONS, "lists"]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as cache:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        if "cold" in asked:
            cold(browser, cache)
        get_ready(cache, [slug for slug in LESSONS if slug in asked])
        if {"presses", *LESSONS} & set(asked):
            server, base = start(cache)
            try:
                first_page(browser, base)
                time.sleep(15)  # the training process gets ready behind the first page
                if "presses" in asked:
                    presses(browser, base)
                with returning(playwright) as kept:
                    for slug in LESSONS:
                        if slug in asked:
                            lesson(browser, kept, base, slug)
            finally:
                server.terminate()
                server.wait()
        if "lists" in asked:
            with returning(playwright) as kept:
                thousand(kept)
        browser.close()


if __name__ == "__main__":
    main()
