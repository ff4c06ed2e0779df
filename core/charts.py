"""The charts that lessons have in common, each in one line: axes, points, bars, heat maps, reference lines.

Line charts of a declared curve come from `Lesson.line_chart`. What is special is built from `core.panels` and
`core.traces`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.frames import Array
from core.panels import COLOURS, FAINT, Grow, Panel, Still, Switch, reference
from core.stats import mean_of
from core.traces import Bar, Heatmap, Scatter

AnyTrace = Grow | Switch | Still
Axis = Mapping[str, Any]


def axis(
    title: str,
    *,
    log: bool = False,
    range: Sequence[float] | None = None,
    format: str = "",
    ticks: Sequence[Any] | None = None,
    labels: Sequence[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return an axis as Plotly takes it.

    Args:
        title: what stands along it, with its unit.
        log: whether it is logarithmic, with a tick for each power of ten.
        range: its two ends, as numbers of the axis whether it is logarithmic or not.
        format: of its numbers: ".0%".
        ticks: where its ticks stand.
        labels: what is written there.
        **more: further Plotly attributes.
    """
    found: dict[str, Any] = {"title": {"text": title}}
    if log:
        found |= {"type": "log"} | ({} if ticks is not None else {"dtick": 1})
    if range is not None:
        found["range"] = [math.log10(end) for end in range] if log else list(range)
    if format:
        found["tickformat"] = format
    if ticks is not None:
        found["tickvals"] = list(ticks)
    if labels is not None:
        found["ticktext"] = list(labels)
    return found | more


def around(values: Iterable[float], factor: float = 1.25) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that has room around these values."""
    known = list(values)
    return min(known) / factor, max(known) * factor


def chart(
    name: str,
    caption: str,
    traces: Iterable[AnyTrace],
    *,
    x: str | Axis,
    y: str | Axis,
    legend: bool = True,
    **layout: Any,
) -> Panel:
    """Return a chart of any traces, drawn in their order.

    Args:
        name: its title.
        caption: what is to be seen in it, in a sentence; also for those who cannot see it.
        traces: what is drawn.
        x: the horizontal axis, or its title alone.
        y: the vertical axis, or its title alone.
        legend: whether the names of the traces are listed.
        **layout: further Plotly layout.
    """
    axes = {"xaxis": axis(x) if isinstance(x, str) else dict(x), "yaxis": axis(y) if isinstance(y, str) else dict(y)}
    return Panel(name, caption, list(traces), {**axes, **({} if legend else {"showlegend": False}), **layout})


def growing(
    curve: str, column: int | None, name: str, colour: str, *, mode: str = "lines", over: Any = "mean", **style: Any
) -> Grow:
    """Return a line that grows by the points of one column of a curve."""
    line = {"color": colour, "width": 2, **style.pop("line", {})}
    return Grow(Scatter(name=name, mode=mode, line=line, meta={"label": name}, **style), curve, column, over)


def dots(
    table: str, row: int | None, x: Sequence[Any], name: str, colour: str, *, size: float = 11, **style: Any
) -> Switch:
    """Return points at `x` whose heights are a table, or one row of it."""
    marker = {"color": colour, "size": size, **style.pop("marker", {})}
    trace = Scatter(x=list(x), name=name, mode="markers", marker=marker, **style)
    return Switch(trace, {"y": table if row is None else (table, row)})


def profile(
    table: str, row: int | None, x: Sequence[Any] | Array, name: str, colour: str, *, mode: str = "lines", **style: Any
) -> Switch:
    """Return a line over `x`, such as layers, whose heights are a table, or one row of it."""
    line = {"color": colour, "width": 2, **style.pop("line", {})}
    given = {"meta": {"label": name}, **style}
    return Switch(
        Scatter(x=np.asarray(x), name=name, mode=mode, line=line, **given),
        {"y": table if row is None else (table, row)},
    )


def bars(table: str, row: int | None, x: Sequence[Any], name: str, colour: str, **style: Any) -> Switch:
    """Return bars at `x` whose heights are a table, or one row of it."""
    trace = Bar(x=list(x), name=name, marker={"color": colour}, **style)
    return Switch(trace, {"y": table if row is None else (table, row)})


def interval(
    table: str, row: int | None, x: float, name: str, colour: str, *, of: Callable[[Array], Array] = np.asarray
) -> Switch:
    """Return the mean of a table of repeats, or of one row of it, with its 95 % interval (`core.stats`) at `x`.

    Args:
        table: its name; (repeats,) or (rows, repeats).
        row: which row.
        x: where it stands.
        name: what it is the mean of.
        colour: of the bar.
        of: what is made of the repeats before their mean is taken.
    """

    def ends(values: Array) -> Array:
        found = mean_of(of(values if row is None else values[row]))
        heights = np.array([found.low, found.mean, found.high])
        return np.where(np.isfinite(heights), heights, np.nan)

    marker = {"symbol": "line-ew-open", "size": 16, "line": {"width": 3, "color": colour}}
    line = {"color": colour, "width": 3}
    bar = Scatter(x=[x] * 3, name=f"{name}: mean, 95 % interval", mode="lines+markers", line=line, marker=marker)
    return Switch({**bar, "showlegend": False}, {"y": (table, ends)})


def heat(table: str, x: Sequence[Any], y: Sequence[Any], title: str, *, scale: str = "Viridis", **style: Any) -> Switch:
    """Return a heat map of a table (y, x); `title` says what its colours mean."""
    return Switch(Heatmap(x=list(x), y=list(y), colorscale=scale, colorbar={"title": title}, **style), {"z": table})


def small_multiples(
    name: str,
    caption: str,
    cells: Mapping[str, Sequence[AnyTrace]],
    *,
    colours: Mapping[str, str],
    x: Axis,
    y: Axis,
    columns: int = 3,
) -> Panel:
    """Return a chart of equal cells side by side, in rows of `columns`.

    Args:
        name: its title.
        caption: what is to be seen in it.
        cells: title of each cell → its traces.
        colours: title of a cell → the title's colour.
        x: every cell's horizontal axis; its numbers stand below the last row.
        y: every cell's vertical axis; its numbers stand beside the first column.
        columns: cells in a row, at most.
    """
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    layout: dict[str, Any] = {"showlegend": False, "annotations": []}
    drawn: list[AnyTrace] = []
    for i, (title, traces) in enumerate(cells.items()):
        row, column, own = i // columns, i % columns, str(i + 1) if i else ""
        left, top = column / columns, 1 - row / rows
        across = {"domain": [left + 0.01, left + 1 / columns - 0.01], "anchor": f"y{own}"}
        up = {"domain": [top - 1 / rows + 0.02, top - 0.09], "anchor": f"x{own}"}
        layout[f"xaxis{own}"] = {**x, **across, "showticklabels": row == rows - 1}
        layout[f"yaxis{own}"] = {**y, **up, "showticklabels": column == 0}
        place = {"x": left + 0.5 / columns, "y": top, "xref": "paper", "yref": "paper", "xanchor": "center"}
        text = {"text": f"<b>{title}</b>", "yanchor": "top", "showarrow": False, "font": {"color": colours[title]}}
        layout["annotations"].append({**place, **text})
        drawn += [replace(each, trace={**each.trace, "xaxis": f"x{own}", "yaxis": f"y{own}"}) for each in traces]
    return Panel(name, caption, drawn, layout)


def level(height: float, start: float, stop: float, label: str, **style: Any) -> Still:
    """Return a faint horizontal line at somebody else's number; `label` says whose."""
    return reference([start, stop], [height, height], label, **style)


def mark(x: float | str, y: float, label: str, colour: str = FAINT, symbol: str = "x") -> Still:
    """Return one point with somebody else's number, such as the notebook's."""
    return reference([x], [y], label, mode="markers", marker={"symbol": symbol, "size": 9, "color": colour})


def colour(i: int) -> str:
    """Return the colour of the series number `i`, the same in every chart of a lesson."""
    return COLOURS[i % len(COLOURS)]


def shades(count: int) -> list[str]:
    """Return colours from blue to red for series that have an order, such as learning rates."""
    return [f"hsl({210 - 190 * i / max(1, count - 1):.0f},65%,48%)" for i in range(count)]


def mosaic(tiles: Array, gaps: tuple[int, int] = (1, 1)) -> Array:
    """Return tiles (rows, columns, height, width) as one image.

    Args:
        tiles: small images.
        gaps: pixels of nan below and beside each tile; of 0 where the tiles hold whole numbers.
    """
    rows, columns, height, width = tiles.shape
    below, beside = gaps
    empty = np.nan if tiles.dtype.kind == "f" else 0
    framed = np.pad(tiles, ((0, 0), (0, 0), (0, below), (0, beside)), constant_values=empty)
    return framed.transpose(0, 2, 1, 3).reshape(rows * (height + below), columns * (width + beside))


def tiled(name: str, caption: str, traces: Sequence[AnyTrace], rows: Mapping[str, float]) -> Panel:
    """Return the chart of a `mosaic`, square pixels with the name of each row at its height in pixels, from the top."""
    bare = {"showgrid": False, "zeroline": False, "showline": False, "ticks": "", "constrain": "domain"}
    y = {"tickvals": list(rows.values()), "ticktext": list(rows), "autorange": "reversed", "scaleanchor": "x", **bare}
    return Panel(name, caption, traces, {"xaxis": {"visible": False, "constrain": "domain"}, "yaxis": y})
