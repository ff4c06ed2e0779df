"""How many frames a second does the player draw while somebody scrubs? `python tests/benchmarks/bench_player.py`

A run of 300 frames of made-up numbers, six widths, three seeds with their bands, in the file that people take home:
Chromium without a GPU, a laptop's window, the scrubber moved at every screen refresh for ten seconds. Prints draws per
second of the headline chart, with all charts that stand on the screen drawn each time.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from core.frames import Frame
from core.lessons import LESSONS
from core.runs.run import Run, State
from core.ui.replay import replay_html

FLAGS = ["--no-sandbox", "--disable-gpu"]
FRAMES, SECONDS = 300, float(os.environ.get("SECONDS", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SCRUB = """
(seconds) => new Promise((done) => {
  const scrubber = document.querySelector(".gl-scrubber");
  const headline = document.querySelector(".gl-plot");
  let draws = 0;
  headline.on("plotly_afterplot", () => (draws += 1));
  const begun = performance.now();
  let place = 0;
  const move = () => {
    const gone = (performance.now() - begun) / 1000;
    if (gone > seconds) return done(draws / gone);
    place = (place + 1) % Number(scrubber.max);
    scrubber.value = String(place);
    scrubber.dispatchEvent(new Event("input", { bubbles: true }));
    requestAnimationFrame(move);
  };
  move();
})
"""


def made_up():
    """A run of the lesson on widths, as long as the longest that is recorded."""
    lesson = LESSONS["width-and-interpolation"]
    knobs = lesson.knobs(widths=(8, 16, 32, 64, 128, 512), passes=FRAMES - 1, seeds=3)
    run = Run(lesson, knobs, lesson.key(knobs), device="CPU", state=State.DONE, wall_seconds=1.0)
    chance = np.random.default_rng(0)
    for step in range(FRAMES):
        falling = np.exp(-step / 60 * (1 + np.arange(6)))[:, None] * (1 + 0.1 * chance.normal(size=(6, 3)) ** 2)
        curves = {"train_loss": falling, "test_loss": falling + 0.5}
        curves |= {"train_accuracy": np.exp(-falling), "test_accuracy": 0.8 * np.exp(-falling)}
        first_full = np.full((6, 3), np.nan)
        run.recording.append(
            Frame(step, curves | {"ladder_loss": np.ones(7)}, {"first_full": first_full}, step / FRAMES)
        )
    return run


def main():
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.html"
        path.write_bytes(replay_html(made_up()))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for name, size in (("laptop", (1440, 900)), ("projector", (1920, 1080)), ("phone", (390, 844))):
            rates = []
            for _ in range(ROUNDS):
                page = browser.new_page(viewport={"width": size[0], "height": size[1]})
                page.goto(path.as_uri())
                page.wait_for_selector(".gl-plot .main-svg")
                page.wait_for_timeout(1000)
                rates.append(page.evaluate(SCRUB, SECONDS))
                page.close()
            print(
                f"{name}: {sorted(rates)[ROUNDS // 2]:.1f} draws a second while scrubbing {FRAMES} frames", flush=True
            )
        browser.close()


if __name__ == "__main__":
    main()
