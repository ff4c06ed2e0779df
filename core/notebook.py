"""Runs from a notebook or a script of one's own: `core.lab.run`."""

import importlib
import io
import sys
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

from core import data, links
from core.claims import Claim
from core.knobs import KnobError, Knobs
from core.lessons import LESSONS
from core.runs.engines import EngineError, InThread
from core.runs.run import Run, State
from core.runs.runner import Runner
from core.runs.store import Store
from core.ui.replay import replay_html
from core.ui.take_home import curves_csv

HEIGHT = 760  # pixels of the player in a notebook
LOOK = 0.2  # seconds between two looks at a run


class LabRun:
    """A run that has ended. A notebook shows it as the player, which needs no network.

    Attributes:
        run: the run itself: `run.recording` has its frames.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def knobs(self) -> Knobs:
        """What it was asked for."""
        return self.run.knobs

    @property
    def curves(self) -> pd.DataFrame:
        """Every point of every curve: columns curve, step, series, seed, value and what else there is."""
        return pd.read_csv(io.BytesIO(curves_csv(self.run)))

    @property
    def facts(self) -> pd.DataFrame:
        """The numbers of the result: columns fact, series, value, and samples, what the value sums up."""
        rows = [(fact.name, fact.series, fact.value, fact.samples) for fact in self.run.result.facts]
        return pd.DataFrame(rows, columns=["fact", "series", "value", "samples"])

    @property
    def claims(self) -> list[Claim]:
        """The lesson's claims, checked on this run."""
        return self.run.claims

    def __repr__(self) -> str:
        """Name, knobs and key in a line."""
        return f"<{self.run.lesson.slug}, {self.run.lesson.name_of(self.run.knobs)}, run {self.run.key}>"

    def _repr_html_(self) -> str:
        page = escape(replay_html(self.run).decode("utf-8"), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" title="{escape(repr(self))}" '
            f'style="width:100%;height:{HEIGHT}px;border:0"></iframe>'
        )


def run(slug: str, *, preset: str = "", device: str = "auto", fresh: bool = False, **knobs: Any) -> LabRun:
    """Train a run of a lesson here, or find it among the stored ones.

    Args:
        slug: name of the lesson: "dying-relu".
        preset: where its knobs start; the first one where left out.
        device: "auto", "cpu", "cuda" or "mps".
        fresh: whether to train even where the run is stored.
        **knobs: the knobs to turn, as `depth=9`.

    Raises:
        KnobError: there is no such lesson, preset, knob or value; with what there is.
        EngineError: the run failed.
    """
    LESSONS.refresh()
    if slug not in LESSONS:
        raise KnobError(f"{slug!r} is no lesson; choose {', '.join(LESSONS)}.")
    lesson = LESSONS[slug]
    if preset and preset not in lesson.presets:
        raise KnobError(f"{preset!r} is no preset of {slug}; choose {', '.join(lesson.presets)}.")
    base = lesson.presets[preset or next(iter(lesson.presets))]
    asked = links.read_knobs(lesson, {name: [value] for name, value in knobs.items()}, base)
    if asked.errors:
        raise KnobError(" ".join(asked.errors))
    store = Store.default(LESSONS)
    needed = lesson.dataset(asked.knobs)
    if needed is not None and data.may_download(needed) and not store.has(lesson, asked.knobs):
        data.download(needed, lambda share: None)
    say, runner = _progress(), Runner(store, InThread(), LESSONS)
    try:
        found = runner.submit(lesson, asked.knobs, device=device, fresh=fresh, asker="notebook")
        while not runner.wait(found, timeout=LOOK):
            say(found.recording.progress)
        say(1.0)
    finally:
        runner.close()
    if found.state is not State.DONE:
        raise EngineError(found.error or f"The run ended as {found.state}.")
    return LabRun(found)


def _progress() -> Callable[[float], None]:
    """What shows how far a run is: a bar in a notebook, a line on a terminal, nothing elsewhere."""
    shell = sys.modules.get("IPython")
    kernel = shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None
    if kernel:
        show: Any = importlib.import_module("IPython.display")
        handle = show.display(show.HTML(_bar(0.0)), display_id=True)
        return lambda done: handle.update(show.HTML(_bar(done)))
    if sys.stderr.isatty():
        return lambda done: print(f"\r{done:4.0%}", end="\n" if done >= 1 else "", file=sys.stderr, flush=True)
    return lambda done: None


def _bar(done: float) -> str:
    return f'<progress value="{done:.3f}" max="1" style="width:100%"></progress>'
