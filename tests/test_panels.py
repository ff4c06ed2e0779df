"""Panels: a figure is a pure function of the recording, and deltas add up to it."""

import base64
import copy
import io

import numpy as np
import pytest
from PIL import Image

from core.frames import Frame, Recording
from core.panels import COLOURS, Grow, Panel, Still, Switch, lines, pack, png, reference
from core.traces import Heatmap, Scatter

PANEL = Panel(
    "Everything",
    "Three kinds of traces.",
    [
        Still(Scatter(x=[0, 1], y=[5, 5])),
        Grow(Scatter(name="a"), "loss", 0),
        Grow(Scatter(name="b"), "seeds", 1, "highest"),
        Switch(Scatter(x=[1, 2]), {"y": ("rows", 1)}),
        Switch(Heatmap(), {"z": "image"}),
        Switch(Scatter(x=[1, 2], y=[1, 2]), {"marker.color": ("rows", 0)}),
    ],
)


def test_a_column_of_a_curve_is_drawn_by_its_lines_and_not_by_the_edges_of_bands():
    drawn = lines("Loss", "It falls.", "loss", ["a", "b"], x="pass", y="loss", band=True)
    assert [drawn.drawn("loss", column) for column in (0, 1, 2)] == [[2], [5], []]
    assert PANEL.drawn("loss", 0) == [1]
    assert PANEL.drawn("seeds", 1) == []
    one = Panel("Share", "Of all.", [Grow(Scatter(), "share")])
    assert one.drawn("share", 0) == [0]


def frame(k: int) -> Frame:
    curves = {"loss": [k * 1.0, np.inf if k == 3 else k], "seeds": [[k, k + 1], [k + 2, k + 5]]}
    pictures = {"rows": np.array([[k, k], [k + 1, k + 2]], "f4")}
    return Frame(k / 2, curves, pictures | ({"image": np.full((2, 2), k, "f4")} if k % 2 == 0 else {}))


@pytest.fixture
def recording() -> Recording:
    made = Recording()
    for k in range(6):
        made.append(frame(k))
    return made


def test_empty_midway_and_done(recording):
    assert len(PANEL.figure(Recording()).data) == 6
    midway = PANEL.figure(recording, upto=4)
    np.testing.assert_array_equal(midway.data[1].x, [0, 0.5, 1.0, 1.5])
    np.testing.assert_array_equal(midway.data[1].y, [0, 1, 2, 3])
    np.testing.assert_array_equal(midway.data[2].y, [5, 6, 7, 8])
    np.testing.assert_array_equal(midway.data[3].y, [4, 5])
    np.testing.assert_array_equal(midway.data[4].z, np.full((2, 2), 2))
    np.testing.assert_array_equal(midway.data[5].marker.color, [3, 3])
    assert PANEL.figure(recording) == PANEL.figure(recording, upto=6)


def test_before_its_first_picture_a_trace_shows_nothing():
    """With one of two coordinates, Plotly counts 0, 1, 2 … for the other: a curve that nobody measured."""
    traces = [
        Switch(Scatter(x=[1, 2, 3]), {"y": "line"}),
        Switch(Scatter(y=np.arange(2.0)), {"x": "line"}),
        Switch(Scatter(), {"x": "line", "y": "line"}),
        Switch(Scatter(x=[1, 2], y=[3, 4]), {"y": "line", "marker.color": "line"}),
        Switch(Heatmap(), {"z": "image"}),
    ]
    missing, sideways, both, given, _ = Panel("p", "", traces).figure(Recording()).data
    assert (list(missing.x), list(missing.y)) == ([1, 2, 3], [None] * 3)
    assert (list(sideways.x), list(sideways.y)) == ([None] * 2, [0, 1])
    assert (list(both.x), list(both.y)) == ([], [])
    assert (list(given.x), list(given.y)) == ([1, 2], [3, 4])


def test_drawing_changes_neither_the_declaration_nor_the_recording(recording):
    before = copy.deepcopy(PANEL.traces[1].trace)
    first = PANEL.figure(recording)
    assert PANEL.figure(recording) == first
    assert PANEL.traces[1].trace == before


def unpack(value):
    return np.frombuffer(base64.b64decode(value["f4"]), "<f4").reshape(value["shape"])


@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_deltas_add_up_to_the_whole(recording, cut):
    grown = {1: [], 2: []}
    shown = {}
    for since, upto in ((0, cut), (cut, None)):
        for part in PANEL.delta(recording, since, upto):
            if "y" in part:
                grown[part["trace"]] += list(zip(part["frames"], part["y"], strict=True))
            else:
                shown[part["trace"], part["set"]] = unpack(part["values"][-1])
    figure = PANEL.figure(recording)
    for i, points in grown.items():
        assert [k for k, _ in points] == list(range(6))
        np.testing.assert_allclose([y for _, y in points], figure.data[i].y)
    np.testing.assert_array_equal(shown[3, "y"], figure.data[3].y)
    np.testing.assert_array_equal(shown[4, "z"], figure.data[4].z)
    np.testing.assert_array_equal(shown[5, "marker.color"], figure.data[5].marker.color)


def test_a_diverged_net_is_a_gap():
    made = Recording()
    for loss in (1.0, np.inf, np.nan):
        made.append(Frame(0, {"loss": [loss, 1.0]}))
    panel = Panel("p", "c", [Grow(Scatter(), "loss", 0)])
    assert panel.delta(made)[0]["y"] == [1.0, None, None]
    assert np.isnan(panel.figure(made).data[0].y[1:]).all()


def test_lines_give_each_series_its_colour_its_dash_and_the_spread_of_its_seeds():
    panel = lines(
        "Loss", "c", "seeds", ["h=8", "h=32"], x="pass", y="loss", band=True, extra=[reference([0], [1], "ref")]
    )
    drawn = [each for each in panel.traces if isinstance(each, Grow) and each.over == "mean"]
    assert [each.trace["line"]["color"] for each in drawn] == list(COLOURS[:2])
    assert [each.trace["line"]["dash"] for each in drawn] == ["solid", "dash"]
    assert [each.over for each in panel.traces if isinstance(each, Grow)] == ["lowest", "highest", "mean"] * 2
    assert isinstance(panel.traces[0], Still)
    assert panel.layout["xaxis"]["title"]["text"] == "pass"


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_can_be_seen_on_white_and_on_the_dark_background(colour):
    light, dark = 1.05 / (luminance(colour) + 0.05), (luminance(colour) + 0.05) / (luminance("#0e1117") + 0.05)
    assert light >= 3.0
    assert dark >= 3.0


def test_packed_arrays_keep_four_bytes_a_number():
    packed = pack(np.arange(6, dtype=np.float64).reshape(2, 3))
    assert packed["shape"] == [2, 3]
    np.testing.assert_array_equal(unpack(packed), np.arange(6).reshape(2, 3))
    assert pack(np.array(["a", "b"])) == ["a", "b"]


def test_a_picture_is_drawn_from_a_png_and_sent_as_its_text():
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    source = png(pixels)
    head, _, body = source.partition(",")
    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), pixels)
    recording = Recording()
    recording.append(Frame(0, {}, {"shown": np.array(source)}))
    panel = Panel("Picture", "What is shown.", [Switch({"type": "image"}, {"source": "shown"})])
    assert panel.figure(recording).data[0].source == source
    assert panel.delta(recording) == [{"trace": 0, "set": "source", "frames": [0], "values": [source]}]
    again = Recording.from_arrays(recording.arrays())
    assert panel.delta(again) == panel.delta(recording)


def test_a_band_may_have_curves_of_its_own():
    recording = Recording()
    recording.append(Frame(0, {"mean": [0.5, 2.0], "low": [0.1, 1.0], "high": [0.7, 4.0]}))
    panel = lines("Mean", "Two means and a band.", "mean", ("a", "b"), x="step", y="value", band=("low", "high"))
    assert [list(trace.y) for trace in panel.figure(recording).data] == [[0.1], [0.7], [0.5], [1.0], [4.0], [2.0]]
