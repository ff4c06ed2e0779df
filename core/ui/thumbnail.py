"""A stored run as a small living picture: an SVG whose curves draw themselves, a few kilobytes, no script."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

WIDTH, HEIGHT, EDGE = 320, 180, 14
MOST_POINTS = 60
THIN = 1.5  # a line of less in its chart stands beside the matter, and is thin here, too
PEN = "path{fill:none;stroke-width:2.4;stroke-linecap:round;stroke-linejoin:round}"
MOTION = (
    "path{stroke-dasharray:1;animation:draw 6s ease-in-out infinite}"
    "@keyframes draw{0%{stroke-dashoffset:1}60%,100%{stroke-dashoffset:0}}"
    "@media(prefers-reduced-motion:reduce){path,circle{animation:none}}"
)


def thumbnail(figure: go.Figure, moving: bool = True) -> str:
    """The lines and marks of a figure, scaled to 320 × 180; `moving`: animated from left to right."""
    traces = [trace for trace in figure.data if trace.type == "scatter" and not (trace.meta or {}).get("reference")]
    shapes = [(trace, *_points(figure, trace)) for trace in traces]
    shapes = [(trace, x, y) for trace, x, y in shapes if len(x)]
    style = PEN + MOTION if moving else PEN
    if not shapes:
        return _svg(style, ())
    xs, ys = (np.concatenate([shape[i] for shape in shapes]) for i in (1, 2))
    bounds = (*_span(xs[np.isfinite(xs)]), *_span(ys[np.isfinite(ys)]))
    return _svg(style, (mark for trace, x, y in shapes for mark in _draw(trace, x, y, bounds)))


def _points(figure: go.Figure, trace: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if trace.x is None or trace.y is None:
        return np.empty(0), np.empty(0)
    x, y = (np.asarray(values, dtype=float) for values in (trace.x, trace.y))
    x, y = (values[: min(len(x), len(y))] for values in (x, y))  # as the chart does
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log10(x) if figure.layout.xaxis.type == "log" else x
        y = np.log10(y) if figure.layout.yaxis.type == "log" else y
    keep = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS * 12 if np.isnan(y).any() else MOST_POINTS).astype(int))
    return (x[keep], y[keep]) if len(x) else (x, y)


def _span(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw(trace: Any, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], bounds: Sequence[float]) -> Iterable[str]:
    left, right, bottom, top = bounds
    px = EDGE + (x - left) / (right - left) * (WIDTH - 2 * EDGE)
    py = HEIGHT - EDGE - (y - bottom) / (top - bottom) * (HEIGHT - 2 * EDGE)
    colour = trace.line.color or trace.marker.color or "#1f83d6"
    colour = colour if isinstance(colour, str) else "#1f83d6"
    if trace.line.width == 0:
        return
    if trace.mode and "lines" not in trace.mode:
        yield from (
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>'
            for a, b in zip(px, py, strict=True)
            if math.isfinite(a) and math.isfinite(b)
        )
        return
    path, pen_down = "", False
    for a, b in zip(px, py, strict=True):
        drawn = math.isfinite(a) and math.isfinite(b)
        path += f"{'L' if pen_down else 'M'}{a:.1f} {b:.1f}" if drawn else ""
        pen_down = drawn
    if path:
        thin = ' style="stroke-width:1"' if (trace.line.width or 2) < THIN else ""
        yield f'<path pathLength="1" stroke="{colour}"{thin} d="{path}"/>'


def _svg(style: str, marks: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">'
        f"<style>{style}</style>{''.join(marks)}</svg>"
    )
