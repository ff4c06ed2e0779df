"""Several runs of one lesson overlaid: one set of charts, in the shape that the player takes for a single run.

The runs share the axis of steps and not of frames: a frame of the overlay is a step that any of them has, and each
shows what it had by then. Only growing lines are overlaid: two histograms in one place say nothing. No Streamlit here.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.frames import Array
from core.knobs import clip
from core.panels import COLOURS, DASHES, Grow, Panel, Still, plain, see_through
from core.runs.run import RUN_ID, Run, State
from core.traces import Trace
from core.ui.kept import kept
from core.ui.run_json import Part, empty_figure

LEAST, MOST = 2, 8
"""How many runs are compared at once: more colours than that are not told apart at a glance."""

LETTERS = "ABCDEFGH"
MOST_LINES = 8  # in one chart, unless the reader asks for more

Shared = Mapping[int, Panel]
"""A panel that several runs have under one name: number of the run → its own panel."""


def pick(keys: Sequence[str], get: Callable[[str], Run | None]) -> tuple[list[Run], list[str]]:
    """The runs of these names that can be overlaid, and a sentence for each that cannot.

    Args:
        keys: names of runs, as they stand in a link: any text.
        get: looks a run up; asked only for what can be a run's name.
    """
    names = list(dict.fromkeys(keys))
    found: list[Run] = []
    sentences = []
    if len(names) > MOST:
        sentences.append(f"{len(names)} runs are too many to tell apart; {MOST} at most are compared.")
    for name in names[:MOST]:
        run = get(name) if RUN_ID.fullmatch(name) else None
        objection = _objection(name, run, found)
        if objection:
            sentences.append(objection)
        elif run is not None:
            found.append(run)
    return found, sentences


def _objection(name: str, run: Run | None, before: Sequence[Run]) -> str:
    """Why a run cannot join those before it; nothing where it can."""
    if not RUN_ID.fullmatch(name):
        return f"{clip(name, 40)} is no run's name: it takes 16 to 64 of the digits 0-9 and a-f."
    if run is None:
        return f"Run {name[:12]}… is not on this server; choose among the stored ones."
    if before and run.lesson is not before[0].lesson:
        return (
            f"Run {name[:12]}… is of the lesson {run.lesson.title}, the first one of {before[0].lesson.title}; "
            "compare runs of one lesson."
        )
    if not run.state.final:
        return f"Run {name[:12]}… still trains; it can be compared when it has ended."
    if not len(run.recording):
        return f"Run {name[:12]}… ended before its first frame; press Run on its page to train it again."
    return ""


# --- which panels, which lines ---------------------------------------------------------------------------------------


def shared(runs: Sequence[Run]) -> tuple[list[Shared], list[str]]:
    """The panels that can be overlaid, and the names of those that cannot: no lines that grow, or one run's alone."""
    found: dict[str, dict[int, Panel]] = {}
    for i, run in enumerate(runs):
        for panel in _panels(Part.of(run, 0)):
            found.setdefault(panel.name, {})[i] = panel
    growing = {name: {i: panel for i, panel in each.items() if lines_of(panel)} for name, each in found.items()}
    return (
        [each for each in growing.values() if len(each) >= LEAST],
        [name for name, each in growing.items() if len(each) < LEAST],
    )


@kept(weigh=lambda panels: 0)  # without a frame, they are small
def _panels(part: Part) -> Sequence[Panel]:
    """Kept, since some lessons compute much of what their panels show."""
    return part.run.lesson.panels(part.run.knobs)


def lines_of(panel: Panel) -> list[str]:
    """The names of the lines that grow in a panel."""
    grown = (each.trace for each in panel.traces if isinstance(each, Grow))
    return [str(trace["name"]) for trace in grown if trace["type"] == "scatter" and trace.get("name")]


def on_offer(panels: Sequence[Shared]) -> list[str]:
    """The names of all lines in these panels, each once, in the order of the lesson."""
    return list(dict.fromkeys(name for each in panels for panel in each.values() for name in lines_of(panel)))


def usual(panels: Sequence[Shared]) -> list[str]:
    """The lines that are shown unless the reader asks for others.

    Of each panel those that most of the runs have, as many as stay legible; and of a run that has none of these its
    first one, since every run is to be seen.
    """
    found: dict[str, None] = {}
    for each in panels:
        lines = [lines_of(panel) for panel in each.values()]
        runs_with = Counter(name for names in lines for name in names)
        most = max(runs_with.values())
        common = [name for name in on_offer([each]) if runs_with[name] == most][: max(1, MOST_LINES // most)]
        also = [names[0] for names in lines if not set(names) & set(common)]
        found |= dict.fromkeys([*common, *also])
    return [name for name in on_offer(panels) if name in found]


def chosen(panels: Sequence[Shared], asked: Sequence[str]) -> list[str]:
    """The lines that the reader asks for, those that no run has passed over; without any the usual ones."""
    return [name for name in on_offer(panels) if name in asked] or usual(panels)


# --- the overlay -----------------------------------------------------------------------------------------------------


def compared(runs: Sequence[Run], asked: Sequence[str] = ()) -> dict[str, Any]:
    """What `core.ui.run_json.state` says of one run, of several at once. Pure: equal runs, equal answer.

    Args:
        runs: of one lesson, final; the first one lends the charts their captions.
        asked: names of lines to show; none: the usual ones.
    """
    own_steps = [_steps(run) for run in runs]
    steps = np.unique(np.concatenate(own_steps))
    places = [np.searchsorted(steps, own) for own in own_steps]  # a run's frame → the overlay's
    panels, _ = shared(runs)
    names = chosen(panels, asked)
    drawn = [_drawn(each, names, runs, places) for each in panels if set(names) & set(on_offer([each]))]
    return {
        "run": ",".join(run.key for run in runs),
        "created": ",".join(run.created.isoformat() for run in runs),
        "state": State.DONE.value,
        "error": "",
        "progress": 1.0,
        "seconds_left": None,
        "place": 0,
        "axis": runs[0].lesson.axis,
        "since": 0,
        "frames": len(steps),
        "steps": steps.tolist(),
        "panels": drawn,
        "marks": None,  # the narrator speaks of one run at a time
    }


def headline(runs: Sequence[Run], asked: Sequence[str] = ()) -> tuple[Panel, go.Figure] | None:
    """The first of these panels and how it looks at the end of all runs; None where nothing can be overlaid."""
    panels, _ = shared(runs)
    names = chosen(panels, asked)
    first = next((each for each in panels if set(names) & set(on_offer([each]))), None)
    if first is None:
        return None
    panel, owners = _overlay(first, names)
    figure = go.Figure(layout=panel.layout)
    for trace, owner in zip(panel.traces, owners, strict=True):
        figure.add_trace(trace.trace)
        if isinstance(trace, Grow) and owner is not None:
            frames, heights = trace.points(runs[owner].recording, 0, None)
            figure.data[-1].update(x=_steps(runs[owner])[frames], y=heights)
    return panel, figure


def compared_json(parts: tuple[Part, ...], asked: tuple[str, ...]) -> str:
    """The same as text."""
    return json.dumps(compared([part.run for part in parts], asked), allow_nan=False, separators=(",", ":"))


def _steps(run: Run) -> Array:
    """The steps of its frames as they travel: two that are written alike are one."""
    return np.array([float(f"{step:.9g}") for step in run.recording.steps().tolist()])


def _drawn(panels: Shared, names: Sequence[str], runs: Sequence[Run], places: Sequence[Array]) -> dict[str, Any]:
    """One overlaid panel as the player takes it."""
    panel, owners = _overlay(panels, names)
    delta = []
    for k, (trace, owner) in enumerate(zip(panel.traces, owners, strict=True)):
        if isinstance(trace, Grow) and owner is not None:
            frames, heights = trace.points(runs[owner].recording, 0, None)
            at = places[owner][frames]
            delta.append({"trace": k, "frames": at.tolist(), "y": [plain(y) for y in heights.tolist()]})
    said = {"name": panel.name, "caption": panel.caption, "bindings": panel.bindings()}
    return {**said, "figure": empty_figure(panel), "delta": delta}


def _overlay(panels: Shared, names: Sequence[str]) -> tuple[Panel, list[int | None]]:
    """One panel of several, and whose run each of its traces shows; None: everybody's."""
    first = next(iter(panels.values()))
    traces: list[Grow | Still] = [*_references(list(panels.values()))]
    owners: list[int | None] = [None] * len(traces)
    here = [name for name in on_offer([panels]) if name in names]
    several = len(here) > 1  # then the dash tells the lines of a run apart, else it repeats the colour
    for i, panel in panels.items():
        for each in panel.traces:
            name = str(each.trace.get("name") or each.trace.get("legendgroup", ""))  # a band is its group's
            if isinstance(each, Grow) and name in names:
                label = f"{LETTERS[i]} {name}" if several else LETTERS[i]
                dash = DASHES[(here.index(name) if several else i) % len(DASHES)]
                traces.append(replace(each, trace=_dressed(each.trace, COLOURS[i], dash, label)))
                owners.append(i)
    # Only the first sentence: the others may speak of colours and dashes that mean the runs here.
    caption = first.caption.split(". ")[0].removesuffix(".") + "."
    return Panel(first.name, caption, traces, _layout(list(panels.values()))), owners


def _dressed(trace: Trace, colour: str, dash: str, label: str) -> Trace:
    """A trace in the colour of its run, with a dash and a label that tell its line."""
    made: Trace = {**trace, "legendgroup": label}
    if "fill" in made:
        made["fillcolor"] = see_through(colour)
    if "name" in made:
        line = {**made.get("line", {}), "color": colour, "dash": dash}
        made |= {"name": label, "meta": {"label": label}, "line": line}
        if "markers" in made.get("mode", ""):
            made["marker"] = {**made.get("marker", {}), "color": colour}
    return made


def _references(panels: Sequence[Panel]) -> list[Still]:
    """What stands still in all of these panels under one name at one height: what holds for one run only would mislead.

    The longest of each, since a run may have drawn it as far as itself.
    """
    found: dict[str, list[Still]] = {}
    for panel in panels:
        mine = {_identity(each): each for each in panel.traces if isinstance(each, Still)}
        for identity, each in mine.items():
            found.setdefault(identity, []).append(each)
    return [max(each, key=_length) for each in found.values() if len(each) == len(panels)]


def _identity(each: Still) -> str:
    return f"{each.trace.get('name')}: {list(each.trace.get('y', ()))}"


def _length(each: Still) -> float:
    numbers = [x for x in each.trace.get("x", ()) if isinstance(x, int | float)]
    return max(numbers) - min(numbers) if numbers else 0.0


def _layout(panels: Sequence[Panel]) -> dict[str, Any]:
    """The layout on which these panels agree, and ranges wide enough for all of them."""
    first, *others = (panel.layout for panel in panels)
    agreed = {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
    for name in ("xaxis", "yaxis"):
        axes = [{**each.get(name, {})} for each in (first, *others)]
        ranges = [axis.pop("range", None) for axis in axes]
        together = {key: value for key, value in axes[0].items() if all(axis.get(key) == value for axis in axes)}
        agreed[name] = {**together, **_range(ranges)}
    return agreed


def _range(ranges: Sequence[Any]) -> dict[str, list[float]]:
    """A range that covers all of these; none where one is open, or where they run downwards."""
    pairs = [[float(end) for end in each] for each in ranges if each is not None and None not in each]
    if len(pairs) < len(ranges) or any(low > high for low, high in pairs):
        return {}
    return {"range": [min(low for low, _ in pairs), max(high for _, high in pairs)]}
