"""Runs that grow without training anything, as the player's tests need them."""

import threading
import time
from types import SimpleNamespace

import numpy as np

from core.frames import Frame
from core.narrator import Diverges, Reaches
from core.panels import COLOURS, Panel, Switch, lines, reference
from core.runs.run import Run, State
from core.traces import Bar, Scatter

SERIES = [f"h={2**k}" for k in range(1, 11)]
SPREAD = np.random.default_rng(0).normal(size=(4, 400))  # (pictures, dots)


def losses(step, frames):
    """Ten falling losses at a step, shape (series,)."""
    pace = np.arange(1, len(SERIES) + 1)
    return 0.1 * pace + 2.2 * np.exp(-3.0 * step / frames * pace) + 0.01 * np.sin(step + pace)


def panels(few):
    """A headline chart, the same on a logarithmic axis, a chart with a fixed range, and two that switch."""
    series = SERIES[:few]
    dots = Switch(
        Scatter(x=np.arange(400), mode="markers", name="weights", marker={"size": 4, "color": COLOURS[0]}),
        {"y": "spread"},
    )
    sizes = Switch(Bar(x=series, name="size", marker={"color": COLOURS[2]}), {"y": "sizes"})
    guess = reference([0, 1], [2.303, 2.303], "guessing: ln 10")
    return [
        lines("Train loss", "Mean cross-entropy on the training examples: the wider the net, the sooner it falls.",
              "loss", series, x="passes over the examples", y="cross-entropy (nats)", extra=[guess]),
        lines("Train loss, logarithmic", "The same on a logarithmic axis, where a steady pace is a straight line.",
              "loss", series, x="passes over the examples", y="cross-entropy (nats)", yaxis={"type": "log"}),
        lines("Read correctly", "Share of the training examples that each net reads correctly; 100 % is interpolation.",
              "accuracy", series, x="passes over the examples", y="read correctly",
              yaxis={"range": [0, 1.03], "tickformat": ".0%"}),
        Panel("Weights", "Every weight of the last layer, now.", [dots],
              {"xaxis": {"title": {"text": "weight"}}, "yaxis": {"title": {"text": "value"}}}),
        Panel("Size of the weights", "Mean square of the weights of each net, now.", [sizes],
              {"xaxis": {"title": {"text": "net"}}, "yaxis": {"title": {"text": "mean square"}}}),
    ]  # fmt: skip


def watches(few):
    """What may happen to the nets: one diverges, and accuracies pass 80 %."""
    names = SERIES[:few]
    high = Reaches("accuracy", names, "accuracy", ".1%", bound=0.8, kind="finished", does="reads four in five")
    return [Diverges("loss", names, "train loss"), high]


def frame(step, frames, few, lost_after=None):
    """What a trainer would yield at a step; the third net diverges after `lost_after` of them."""
    loss = losses(step, frames)[:few]
    if few > 1:
        loss[1] = np.nan if 10 <= step < 14 else loss[1]
    if lost_after is not None and step > lost_after:
        loss[2] = np.inf
    pictures = {"sizes": loss * step / frames}
    if step % (frames // 4) == 0 and step < frames:
        pictures["spread"] = SPREAD[step * 4 // frames] * (1 + step / frames)
    accuracy = np.where(np.isinf(loss), np.nan, np.exp(-loss / 3))
    return Frame(step, {"loss": loss, "accuracy": accuracy}, pictures, step / (frames - 1))


# The first digit of a run's name says what it is; the rest is free, so that each test has a run of its own.
KINDS = {
    "a": {"frames": 1000},
    "b": {"frames": 80, "pace": 12, "few": 6, "holds": [79]},
    "c": {"frames": 30, "pace": 15, "few": 4, "ahead": 0, "holds": [0, 29]},
    "d": {"frames": 12, "few": 4, "error": "The training process was killed at pass 11. Press Run to start it again."},
    "e": {"frames": 60, "few": 5, "lost_after": 33},
    "f": {"frames": 80, "few": 5},
    "1": {"frames": 1000, "pace": 8, "ahead": 900},
    "2": {"frames": 24, "pace": 12, "few": 3, "holds": [23]},
    "3": {"frames": 4000, "pace": 12, "few": 6},
}


class Growing:
    """A run that gains `pace` frames a second from the first look at it; without a pace it has them at once.

    It starts with `ahead` of its `frames`. At each of the counts of frames in `holds` it waits until it is let go, so
    that what is looked at meanwhile is still so on a slow machine; without a frame it waits in line.
    """

    def __init__(self, key, frames, pace=None, few=10, ahead=1, holds=(), lost_after=None, error=""):
        self.frames, self.pace, self.few, self.lost_after = frames, pace, few, lost_after
        self.ahead, self.holds = ahead, list(holds)
        lesson = SimpleNamespace(axis="pass", panels=lambda knobs: panels(few), watches=lambda knobs: watches(few))
        self.run = Run(lesson, None, key, error=error)
        self.began = None
        self.lock = threading.Lock()

    def let_go(self):
        """Let it go on from where it waits, or shall wait."""
        with self.lock:
            self.holds.pop(0)
            self.ahead, self.began = len(self.run.recording), time.monotonic()

    def now(self):
        """The run as it is by now."""
        with self.lock:
            self.began = self.began or time.monotonic()
            due = self.holds[0] if self.holds else self.frames
            if self.pace is not None:
                due = min(due, self.ahead + int((time.monotonic() - self.began) * self.pace))
            for step in range(len(self.run.recording), due):
                self.run.recording.append(frame(step, self.frames, self.few, self.lost_after))
            if not len(self.run.recording):
                self.run.state = State.QUEUED
            elif due < self.frames:
                self.run.state = State.RUNNING
            else:
                self.run.state = State.FAILED if self.run.error else State.DONE
            return self.run


class Runs:
    """What stands in for the runner."""

    def __init__(self):
        self.lock = threading.Lock()
        self.held = {}

    def get(self, key):
        """The run of that name, begun if nobody asked for it before."""
        with self.lock:
            if key not in self.held and key[0] in KINDS:
                self.held[key] = Growing(key, **KINDS[key[0]])
            found = self.held.get(key)
        return found and found.now()

    def place(self, run):
        """Second in line while it waits."""
        return 2 if run.state is State.QUEUED else 0

    def seconds_left(self, run):
        """By its pace."""
        growing = self.held[run.key]
        return (growing.frames - len(run.recording)) / growing.pace if growing.pace else None
