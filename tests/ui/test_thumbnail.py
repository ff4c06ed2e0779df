"""Thumbnails: a run's headline chart in a few kilobytes that draw themselves."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest

from core.panels import reference
from core.ui.thumbnail import EDGE, HEIGHT, WIDTH, thumbnail

SPACE = "{http://www.w3.org/2000/svg}"


def paths(svg: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f"{SPACE}path")


def numbers(path: ElementTree.Element) -> np.ndarray:
    return np.array(re.findall(r"-?[\d.]+", path.get("d")), dtype=float).reshape(-1, 2)


def test_a_rising_line_fills_the_field_from_corner_to_corner():
    (path,) = paths(thumbnail(go.Figure(go.Scatter(x=[0, 1], y=[0, 5], line={"color": "#c77700"}))))
    np.testing.assert_allclose(numbers(path), [[EDGE, HEIGHT - EDGE], [WIDTH - EDGE, EDGE]])
    assert path.get("stroke") == "#c77700"
    assert path.get("pathLength") == "1"


def test_a_gap_lifts_the_pen():
    (path,) = paths(thumbnail(go.Figure(go.Scatter(x=[0, 1, 2, 3], y=[0, np.nan, 1, 2]))))
    assert path.get("d").count("M") == 2


def test_a_line_is_as_long_as_the_shorter_of_its_two_lists():
    (path,) = paths(thumbnail(go.Figure(go.Scatter(x=[0, 1, 2, 3], y=[0, 5]))))
    assert len(numbers(path)) == 2


def test_a_logarithmic_axis_is_drawn_as_one():
    figure = go.Figure(go.Scatter(x=[0, 1, 2], y=[1, 10, 100]), {"yaxis": {"type": "log"}})
    heights = numbers(paths(thumbnail(figure))[0])[:, 1]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


def test_references_and_the_edges_of_bands_are_left_out():
    figure = go.Figure([go.Scatter(x=[0, 1], y=[0, 1]), go.Scatter(x=[0, 1], y=[0, 2], line={"width": 0})])
    figure.add_trace(reference([0, 1], [9, 9], "notebook").trace)
    assert len(paths(thumbnail(figure))) == 1


def test_marks_are_dots():
    svg = thumbnail(go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="markers")))
    assert len(ElementTree.fromstring(svg).findall(f"{SPACE}circle")) == 2


@pytest.mark.parametrize("figure", [go.Figure(), go.Figure(go.Scatter(x=[], y=[])), go.Figure(go.Heatmap(z=[[1]]))])
def test_a_chart_without_lines_is_an_empty_field(figure):
    assert paths(thumbnail(figure)) == []


def test_a_long_run_stays_small():
    x = np.arange(10_000)
    figure = go.Figure([go.Scatter(x=x, y=np.sin(x / 100 + i)) for i in range(6)])
    assert len(thumbnail(figure)) < 8_000


def test_what_is_thin_in_a_chart_is_thin_in_its_picture():
    thin, bold = (go.Figure(go.Scatter(x=[0, 1], y=[0, 1], line={"width": width})) for width in (1, 2))
    assert 'style="stroke-width:1"' in thumbnail(thin)
    assert 'style="stroke-width:1"' not in thumbnail(bold)


def test_a_still_picture_does_not_move():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 5]))
    assert "animation" in thumbnail(figure)
    assert "dash" not in thumbnail(figure, moving=False)
    assert [each.get("d") for each in paths(thumbnail(figure, moving=False))] == [
        each.get("d") for each in paths(thumbnail(figure))
    ]
