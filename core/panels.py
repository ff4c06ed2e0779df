"""Panels: the charts of a lesson, declared once and drawn alike live, in replay and in an export.

A panel is a Plotly layout and its traces. A trace either stands still, *grows* by the points of a curve, or
*switches* its data with a picture. `figure` draws the panel at any frame; `delta` says what the frames since
some frame added, so that a chart already on screen need not be sent again.
"""

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from core.frames import Array, Recording
from core.traces import Scatter, Trace

COLOURS = (
    "#1f83d6", "#c77700", "#0f9470", "#d9480f", "#b0549a", "#7a6ff0",
    "#8a7a1e", "#6b7a8f", "#c2255c", "#12889b", "#6f8c12", "#a0522d",
)  # fmt: skip
"""Series colours, told apart by the colour-blind and legible on white and on black (contrast 3 and more)."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FAINT = "#8a8f98"
ALIVE, DEAD = COLOURS[0], COLOURS[3]

Over = Literal["mean", "lowest", "highest"]


@dataclass(frozen=True)
class Grow:
    """A trace that gains the points of one column of a curve, against the frames' steps.

    Where the curve keeps repeats with seeds of their own, `over` says which number of them is drawn.
    """

    trace: Trace
    curve: str
    column: int | None = None
    over: Over = "mean"

    def points(self, recording: Recording, since: int, upto: int | None) -> tuple[NDArray[np.int64], Array]:
        """Frame numbers (points,) and heights (points,)."""
        frames, values = recording.curve(self.curve, since, upto)
        if not len(frames):
            return frames, np.empty(0)
        if self.column is not None and values.ndim > 1:  # a curve of one number has one column
            values = values[:, self.column]
        if values.ndim > 1:
            repeats = values.reshape(len(values), -1)
            if self.over == "mean":
                values = repeats.mean(axis=1)
            else:
                values = repeats.min(axis=1) if self.over == "lowest" else repeats.max(axis=1)
        return frames, values


@dataclass(frozen=True)
class Switch:
    """A trace whose attributes ("y", "z", "marker.color") show the newest of a picture, one row of it, or what a
    function makes of it."""

    trace: Trace
    pictures: Mapping[str, str | tuple[str, int | Callable[[Array], Array]]]

    @property
    def blank(self) -> Trace:
        """Its coordinates before their first picture: gaps. Left out, Plotly would count 0, 1, 2 … and draw that."""
        coming = [each for each in ("x", "y") if each in self.pictures and each not in self.trace]
        known = [self.trace[each] for each in ("x", "y") if coming and each in self.trace]
        return {each: [None] * max(map(len, known), default=0) for each in coming}

    def part(self, attribute: str, picture: Array) -> Array:
        """What `attribute` shows of a whole `picture`."""
        name = self.pictures[attribute]
        if isinstance(name, str):
            return picture
        return np.asarray(name[1](picture) if callable(name[1]) else picture[name[1]])

    def name(self, attribute: str) -> str:
        """The name of the picture that `attribute` shows."""
        name = self.pictures[attribute]
        return name if isinstance(name, str) else name[0]


@dataclass(frozen=True)
class Still:
    """A trace that never changes: a true function, a reference line, the literature's numbers."""

    trace: Trace


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        name: its title.
        caption: what is to be seen in it, in one sentence; also its text for those who cannot see it.
        traces: in drawing order.
        layout: Plotly layout: axis titles, ranges, reference lines.
    """

    name: str
    caption: str
    traces: Sequence[Grow | Switch | Still]
    layout: Mapping[str, Any] = field(default_factory=dict)

    def figure(self, recording: Recording, upto: int | None = None) -> go.Figure:
        """The chart after the first `upto` frames (all by default). Pure: equal input, equal figure."""
        figure = go.Figure(layout=go.Layout(**self.layout))
        steps = recording.steps(0, upto)
        for each in self.traces:
            figure.add_trace(each.trace)
            trace = figure.data[-1]
            if isinstance(each, Grow):
                frames, heights = each.points(recording, 0, upto)
                trace.update(x=steps[frames], y=np.where(np.isfinite(heights), heights, np.nan))
            elif isinstance(each, Switch):
                trace.update(each.blank)
                for attribute in each.pictures:
                    picture = recording.picture(each.name(attribute), upto)
                    if picture is not None:
                        trace.update(_nest(attribute, each.part(attribute, picture)))
        return figure

    def bindings(self) -> list[dict[str, Any]]:
        """How each trace moves, as JSON for the player: {"moves": "grow" | "switch" | "still"}."""
        kinds = {Grow: "grow", Switch: "switch", Still: "still"}
        return [{"moves": kinds[type(each)]} for each in self.traces]

    def drawn(self, curve: str, column: int) -> list[int]:
        """The traces that draw this column of a curve as one line."""
        return [
            i
            for i, each in enumerate(self.traces)
            if isinstance(each, Grow) and (each.curve, each.column or 0, each.over) == (curve, column, "mean")
        ]

    def delta(self, recording: Recording, since: int = 0, upto: int | None = None) -> list[dict[str, Any]]:
        """What frames `since` … `upto` add, as JSON.

        One entry per trace that moved: {"trace": i, "frames": [...], "y": [...]} where it grew (null is a gap),
        {"trace": i, "set": attribute, "frames": [...], "values": [array, ...]} where it switched.
        """
        found: list[dict[str, Any]] = []
        for i, each in enumerate(self.traces):
            if isinstance(each, Grow):
                frames, heights = each.points(recording, since, upto)
                if len(frames):
                    found.append({"trace": i, "frames": frames.tolist(), "y": [plain(y) for y in heights.tolist()]})
            elif isinstance(each, Switch):
                for attribute in each.pictures:
                    changes = recording.picture_changes(each.name(attribute), since)
                    changes = [(k, picture) for k, picture in changes if upto is None or k < upto]
                    if changes:
                        values = [pack(each.part(attribute, picture)) for _, picture in changes]
                        found.append(
                            {
                                "trace": i,
                                "set": attribute,
                                "frames": [k for k, _ in changes],
                                "values": values,
                            }
                        )
        return found


def png(pixels: Array) -> str:
    """Colours with opacity, (height, width, 4) uint8, as the text that an image trace takes for its `source`."""
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG", compress_level=9)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def plain(value: float, digits: int = 6) -> float | None:
    """A number as JSON keeps it: six digits, and null where there is none."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def pack(array: Array) -> Any:
    """An array as JSON: text as it is or in lists, numbers as base64 of float32 with their shape (4 bytes a number)."""
    if array.dtype.kind in "US":
        return array.tolist()
    small = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(small.shape), "f4": base64.b64encode(small.tobytes()).decode("ascii")}


def lines(
    name: str,
    caption: str,
    curve: str,
    series: Sequence[str],
    *,
    x: str,
    y: str,
    band: bool | tuple[str, str] = False,
    extra: Sequence[Grow | Switch | Still] = (),
    colours: Sequence[str] = COLOURS,
    dashes: Sequence[str] = DASHES,
    **layout: Any,
) -> Panel:
    """A panel with one growing line per series, and the spread over its seeds as a band.

    Args:
        name: title of the panel.
        caption: what is to be seen.
        curve: the curve it draws, one column per series.
        series: names of the lines.
        x: title of the horizontal axis, with its unit.
        y: title of the vertical axis, with its unit.
        band: whether the curve has several seeds whose spread is drawn, or the two curves that bound the band.
        extra: traces that stand behind the lines.
        colours: one per series, the same in every panel of a lesson.
        dashes: one per series, besides the colour.
        layout: further Plotly layout, `xaxis` and `yaxis` merged with the titles.
    """
    traces: list[Grow | Switch | Still] = list(extra)
    low, high = band if isinstance(band, tuple) else (curve, curve)
    for i, label in enumerate(series):
        colour = colours[i % len(colours)]
        if band:
            traces += spread(low, high, i, colour, label)
        style = {"color": colour, "dash": dashes[i % len(dashes)], "width": 2}
        line = Scatter(name=label, mode="lines", line=style, legendgroup=label, meta={"label": label})
        traces.append(Grow(line, curve, i))
    axes = {
        "xaxis": {"title": {"text": x}, **layout.pop("xaxis", {})},
        "yaxis": {"title": {"text": y}, **layout.pop("yaxis", {})},
    }
    return Panel(name, caption, traces, {**axes, **layout})


def spread(low: str, high: str, column: int, colour: str, group: str) -> list[Grow]:
    """The band from the lowest seed of one curve to the highest of another, in the colour of the line of its group."""
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": group}
    fill = {"fill": "tonexty", "fillcolor": see_through(colour)}
    return [
        Grow(Scatter(**edge), low, column, "lowest"),
        Grow(Scatter(**edge, **fill), high, column, "highest"),
    ]


def reference(x: Sequence[Any], y: Sequence[Any], label: str, **style: Any) -> Still:
    """A faint line or mark with somebody else's numbers; `label` says whose."""
    settings = {
        "mode": "lines",
        "line": {"color": FAINT, "dash": "dot", "width": 1.5},
        "opacity": 0.85,
        **style,
    }
    return Still(Scatter(x=list(x), y=list(y), name=label, meta={"reference": True}, **settings))


def see_through(colour: str) -> str:
    """A colour as it fills a band."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def _nest(attribute: str, value: Array) -> dict[str, Any]:
    """{"marker.color": v} as Plotly's Python side takes it: {"marker": {"color": v}}."""
    *outer, inner = attribute.split(".")
    found: dict[str, Any] = {inner: value if value.ndim else value.item()}
    for name in reversed(outer):
        found = {name: found}
    return found
