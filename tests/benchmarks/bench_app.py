"""What a reader waits for, with a real server and a real Chromium.

    python tests/benchmarks/bench_app.py

Prints medians of five rounds: from the command to the first page, from Run to the first live point, from a link to a
stored run on the screen, and the bytes of a refresh. Needs Debian's chromium and PyPI's playwright.
"""

import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ROUNDS = 5
POINTS = "() => document.querySelector('.js-plotly-plot')?.data?.some((t) => t.x && t.x.length && !t.meta?.reference)"


def start(cache):
    """A server on a free port, with an empty cache of its own: (process, address)."""
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


def main():
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as cache:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        cold, servers = [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            server, base = start(cache)
            servers.append(server)
            first_page(browser, base)
            cold.append(time.perf_counter() - begun)
            if len(servers) < ROUNDS:
                server.terminate()
                server.wait()
        print(f"cold start to first page   {median(cold):6.2f} s")
        time.sleep(8)  # the training process gets ready behind the first page

        for slug in ("dying-relu", "width-and-interpolation"):
            live, stored, sizes = [], [], []
            for seed in range(11, 11 + ROUNDS):
                page = browser.new_page()
                page.goto(f"{base}/{slug}?seed={seed}")
                run = page.get_by_role("button", name="Run · about")
                run.or_(page.get_by_role("button", name="Run · under")).wait_for(timeout=60_000)
                page.wait_for_timeout(1500)
                # The page shows the nearest stored run meanwhile; the new one counts from its own first answer.
                page.on("response", functools.partial(note_refresh, sizes))
                begun = time.perf_counter()
                page.get_by_role("button", name="Run ·").click()
                with page.expect_response(
                    lambda r: (
                        "/api/runs/" in r.url
                        and r.ok
                        and '"state":"running"' in r.text()
                        and '"steps":[]' not in r.text()
                    ),
                    timeout=60_000,
                ):
                    pass
                page.wait_for_function(POINTS, timeout=60_000)
                live.append(time.perf_counter() - begun)
                page.get_by_text("Claims, checked on this run").wait_for(timeout=120_000)
                page.get_by_text("This run:").first.wait_for(timeout=120_000)
                link = page.url
                page.close()

                page = browser.new_page()
                begun = time.perf_counter()
                page.goto(link)
                page.wait_for_function(POINTS, timeout=60_000)
                stored.append(time.perf_counter() - begun)
                page.close()
            print(f"{slug}: Run to first live point   {median(live):6.2f} s")
            print(f"{slug}: link to a stored run drawn {median(stored):6.2f} s (a new browser tab, page load included)")
            print(
                f"{slug}: bytes of a refresh         {median(sizes or [0]):6.0f} (median), {max(sizes or [0])} at most"
            )
        servers[-1].terminate()
        servers[-1].wait()
        browser.close()


if __name__ == "__main__":
    main()
