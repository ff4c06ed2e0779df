"""What the player is told of a run, as JSON: over HTTP while it grows, and within the file that one takes home."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.narrator import marks
from core.panels import COLOURS, Grow, Panel, Still, Switch, plain
from core.runs.run import Run, State
from core.traces import Trace, to_json
from core.ui.kept import kept


def state(run: Run, since: int = 0, *, place: int = 0, seconds_left: float | None = None) -> dict[str, Any]:
    """What a reader who has the first `since` frames of a run lacks, as plain JSON.

    {"run", "created", "state", "error", "progress", "seconds_left", "place", "axis", "since", "frames": how many there
    are, "steps": of the new frames, "panels": [{"name", "bindings", "delta"}], "marks": what the narrator knows since
    these frames, or null where it has nothing to watch}, and with `since` = 0 each panel's "caption" and "figure" too.
    Another "created" under an equal "run" means that it was trained anew.
    """
    part = Part.of(run, since)
    return {**header(part, place, seconds_left), **json.loads(charts_json(part))}


@dataclass(frozen=True)
class Part:
    """What one answer shows of a run. Parts of equal names give equal panels, whichever reader asks."""

    run: Run
    since: int
    upto: int
    state: State

    @classmethod
    def of(cls, run: Run, since: int) -> "Part":
        """All that the run has from frame `since` on."""
        now = run.state  # before the frames are counted: a run that is final by now has all of them
        return cls(run, since, len(run.recording), now)

    @property
    def name(self) -> tuple[str, str, int, int]:
        """What is kept of it."""
        return self.run.key, self.run.created.isoformat(), self.since, self.upto


def header(part: Part, place: int, seconds_left: float | None) -> dict[str, Any]:
    """Everything of an answer but its charts."""
    run = part.run
    return {
        "run": run.key,
        "created": run.created.isoformat(),
        "state": part.state.value,
        "error": run.error,
        "progress": 1.0 if part.state is State.DONE else round(run.recording.progress, 4),
        "seconds_left": None if part.state.final or seconds_left is None else round(seconds_left, 1),
        "place": 0 if part.state.final else place,
        "axis": run.lesson.axis,
        "since": part.since,
        "frames": part.upto,
        "steps": [float(f"{step:.9g}") for step in run.recording.steps(part.since, part.upto).tolist()],
    }


@kept()
def charts_json(part: Part) -> str:
    """Panels and marks of an answer."""
    recording = part.run.recording
    panels = _panels(Part(part.run, 0, 0, part.state))
    found = []
    for panel, still in panels:
        also = still if part.since == 0 else {}
        delta = panel.delta(recording, part.since, part.upto)
        found.append({"name": panel.name, "bindings": panel.bindings(), **also, "delta": delta})
    told = _marks(part, [panel for panel, _ in panels])
    return json.dumps({"panels": found, "marks": told}, allow_nan=False, separators=(",", ":"))


def _marks(part: Part, panels: Sequence[Panel]) -> list[dict[str, Any]] | None:
    """What is known since the frames of this part: {"frame", "x", "y", "label", "sentence", "lines": [[panel, trace]]}.

    The point (x, y) is where it stands on each of the lines; some stand on none.
    """
    lesson = part.run.lesson
    watches = lesson.watches(part.run.knobs)
    if not watches:
        return None
    return [
        {
            "frame": mark.frame,
            "x": float(f"{mark.step:.9g}"),
            "y": plain(mark.value),
            "label": mark.label,
            "sentence": mark.sentence,
            "lines": [[i, j] for i, panel in enumerate(panels) for j in panel.drawn(mark.curve, mark.series)],
        }
        for mark in marks(part.run.recording, watches, lesson.axis, part.upto)
        if mark.frame >= part.since
    ]


@kept(weigh=lambda panels: 0)  # without a frame, they are small
def _panels(part: Part) -> Sequence[tuple[Panel, Mapping[str, Any]]]:
    """The panels of a run and what never changes of them: building them costs more than any delta."""
    panels = part.run.lesson.panels(part.run.knobs)
    return [(each, {"caption": each.caption, "figure": empty_figure(each)}) for each in panels]


def _nothing(each: Grow | Switch | Still) -> Trace:
    """The coordinates of a trace before the first frame, where they are not its own."""
    if isinstance(each, Grow):
        return {"x": [], "y": []}
    return each.blank if isinstance(each, Switch) else {}


def empty_figure(panel: Panel) -> dict[str, Any]:
    """The chart before its first frame, as `panel.figure` draws it, but many times quicker: nothing is checked again.

    Its look is the reader's, so Plotly's own template stays at home.
    """
    data = [to_json(each.trace | _nothing(each)) for each in panel.traces]
    return {"data": data, "layout": {"colorway": list(COLOURS), **to_json(panel.layout)}}
