"""What LeNets side by side hold and misclassify, as arrays for charts: evaluated at one moment, nothing is changed.

state = State(nets, repeats=3, x=x, y=y, x_test=x_test, y_test=y_test)
curves, snapshots = state.at(few=400)
"""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.charts import axis, chart, mosaic, tiled
from core.data import Dataset, subset
from core.frames import Array
from core.panels import FAINT, Panel, Switch, reference
from core.traces import Heatmap, Scatter, Violin
from core.training.lenet import LAYERS, SIDE, WIDTHS, Judged, LeNet, SideBySide, expected

PLACES = ("input", *LAYERS)
SIZES = (1, *WIDTHS)  # channels at each of these places, behind which batch norm may stand
WRONG = 6  # misclassified images that are shown of each variant
CUT = slice(4, 24)  # the middle of an image: MNIST's digits lie within 20×20
BELOW, BESIDE = 7, 3  # room between misclassified images, for what they are taken for
MOST = 2000  # training examples evaluated at the end


class Images:
    """Images of a data set as LeNet takes them, raw pixels (n, 1, 28, 28), and their classes.

    Args:
        dataset: where they come from.
        n: size of the training set.
        seed: of which examples are in it.

    Attributes:
        x, y: to train on.
        x_test, y_test: to test on.
        mean, sd: of the training set's pixels.
    """

    def __init__(self, dataset: Dataset, n: int, seed: int) -> None:
        x, self.y = subset(dataset, n, seed)
        self.x, self.x_test = images(x, dataset.shape), images(dataset.x_test, dataset.shape)
        self.y_test = dataset.y_test
        pixels = self.x.float()
        self.mean, self.sd = float(pixels.mean()), float(pixels.std())


def images(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return pixels (n, pixels) as images (n, 1, 28, 28); digits of 8×8, 0 … 16, three times as large and framed."""
    raw = x.view(-1, *shape)
    if shape[1] == SIDE:
        return raw
    factor = SIDE // shape[1]
    frame = (SIDE - factor * shape[1]) // 2
    large = (raw.float() * (255 / 16)).round().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    return functional.pad(large, (frame,) * 4).to(torch.uint8)


class State:
    """Networks in groups, the variants, each of `repeats` that differ in their seeds.

    Args:
        nets: the networks, variant by variant.
        images: what they learn from and are tested on.
        repeats: of each variant.
    """

    def __init__(self, nets: SideBySide, images: Images, repeats: int) -> None:
        self.nets, self.images, self.repeats = nets, images, repeats

    def by_variant(self, values: Array) -> Array:
        """Return a value of every network (nets,) as curves have it: (variants, repeats)."""
        return values.reshape(-1, self.repeats)

    def at(self, few: int | None, *, wrong: bool) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return curves (variants, repeats) and snapshots of the first repeats.

        Args:
            few: training and test images to evaluate; None for all that are evaluated at the end.
            wrong: whether misclassified images are among the snapshots, which are most of what a frame takes.
        """
        seen, of = few or MOST, self.images
        trained = self.nets.judge(of.x[:seen], of.y[:seen])
        tested = self.nets.judge(of.x_test[:few], of.y_test[:few])
        running, met = [expected(net) for net in self.nets.nets], tested.met
        curves = {
            "test_accuracy": tested.accuracy,
            "test_loss": tested.loss,
            "train_accuracy": trained.accuracy,
            "train_loss": trained.loss,
        }
        for l, place in enumerate(PLACES):
            shifts = [variance_shift(ours[l], theirs[l]) for ours, theirs in zip(running, met, strict=True)]
            curves[f"variance_shift_{place}"] = np.array(shifts)
        first = slice(None, None, self.repeats)
        nets = self.nets.nets[first]
        snapshots = {
            **(self.wrong(tested) if wrong else {}),
            "filters": mosaic(torch.stack([net.weights[0].detach()[:, 0].cpu() for net in nets]).numpy()),
            "gamma": np.stack([held(net, "gamma") for net in nets]),
            "beta": np.stack([held(net, "beta") for net in nets]),
            "moving_mean": np.stack([held(net, "mean") for net in nets]),
            "variance_expected": np.stack([by_channel(each) for each in running[first]]),
            "variance_met": np.stack([by_channel(each) for each in met[first]]),
        }
        return {name: self.by_variant(values) for name, values in curves.items()}, snapshots

    def wrong(self, tested: Judged) -> dict[str, Array]:
        """Return the first test images that each variant misclassifies, in one image, and what they are taken for."""
        truth = self.images.y_test.cpu().numpy()
        rows, texts = [], []
        for classes in tested.reads[:: self.repeats]:
            which = np.flatnonzero(classes != truth[: len(classes)])[:WRONG]
            shown = np.zeros((WRONG, CUT.stop - CUT.start, CUT.stop - CUT.start), dtype=np.uint8)
            shown[: len(which)] = self.images.x_test[torch.from_numpy(which)][:, 0, CUT, CUT].cpu().numpy()
            rows.append(shown)
            texts += [f"{truth[i]} as {classes[i]}" for i in which] + [""] * (WRONG - len(which))
        return {"wrong": mosaic(np.stack(rows), (BELOW, BESIDE)), "misread": np.array(texts)}


def by_channel(layers: Sequence[Array]) -> Array:
    """Return a number of every channel behind which batch norm may stand, layer by layer; nan where there is none."""
    return np.concatenate(
        [each if len(each) else np.full(size, np.nan) for each, size in zip(layers, SIZES, strict=True)]
    ).astype("f4")


def held(net: LeNet, which: str) -> Array:
    """Return "gamma", "beta" or the running "mean" of every channel, (channels,)."""
    return by_channel(
        [getattr(norm, which).detach().cpu().numpy() if norm.width else np.empty(0) for norm in net.norms]
    )


def variance_shift(running: Array, met: Array) -> float:
    """Return a layer's running variance over the one met in evaluation, its channels together; nan without any."""
    return float(running.mean() / met.mean()) if met.any() else math.nan


# ---- charts --------------------------------------------------------------------------------------------------------


def arrays_chart(rows: Mapping[str, int], colours: Mapping[str, str], on_input: Container[str] = ()) -> Panel:
    """Return violins of the four arrays that Keras prints of a batch norm, by layer: two learned, two averaged.

    Args:
        rows: variant with batch norm → its row in the snapshots.
        colours: of the variants.
        on_input: the variants whose input is normalised, too.
    """
    places = np.repeat(PLACES, SIZES)
    traces: list[Switch] = []
    grid = {"gamma": ("x", "y"), "beta": ("x2", "y2"), "moving_mean": ("x3", "y3"), "variance_expected": ("x4", "y4")}
    for name, row in rows.items():
        for table, (x, y) in grid.items():
            style: Any = {"x": places, "xaxis": x, "yaxis": y, "legendgroup": name}
            violin = Violin(
                name=name,
                showlegend=table == "gamma",
                line={"color": colours[name], "width": 1},
                meanline={"visible": True},
                points=False,
                spanmode="hard",
                scalegroup=f"{name} {table}",
                offsetgroup=name,
                alignmentgroup="variants",
                scalemode="width",
                **style,
            )
            traces.append(Switch(violin, {"y": (table, row)}))
            if name in on_input:  # one channel is no violin
                marker = {"color": colours[name], "symbol": "diamond", "size": [8, *[0] * sum(WIDTHS)]}
                dot = Scatter(name=f"{name}, input", mode="markers", marker=marker, showlegend=False, **style)
                traces.append(Switch(dot, {"y": (table, row)}))
    order = {"type": "category", "categoryorder": "array", "categoryarray": list(PLACES)}
    category = {**order, "range": [-0.5, len(PLACES) - 0.5]}
    halves = ((0.0, 0.46), (0.54, 1.0))
    layout: dict[str, Any] = {}
    for i, (label, (x, y)) in enumerate(
        zip(("scale γ", "shift β", "running mean", "running variance"), grid.values(), strict=True)
    ):
        layout["xaxis" + x[1:]] = {**category, "domain": halves[i // 2], "anchor": y}
        layout["yaxis" + y[1:]] = {"title": {"text": label}, "domain": halves[1 - i % 2], "anchor": x}
    caption = (
        "Of every channel, by layer. Left what the gradient moves: scale γ and shift β, which start at 1 and 0. Right "
        "what is averaged over past batches and learned by nothing: the running mean and variance. The input's one "
        "channel is a diamond."
    )
    return Panel("What batch norm holds", caption, traces, {"violinmode": "group", **layout})


def variance_chart(rows: Mapping[str, int], colours: Mapping[str, str]) -> Panel:
    """Return the running variance against that in evaluation, a dot for each channel."""
    marks, places = np.repeat(("star", "square", "diamond", "circle", "cross"), SIZES), np.repeat(PLACES, SIZES)
    dots = [
        Switch(
            Scatter(
                name=name,
                mode="markers",
                text=places,
                marker={"color": colours[name], "size": 6, "opacity": 0.6, "symbol": marks},
                hovertemplate="%{text}: met %{x:.3g}, expected %{y:.3g}<extra></extra>",
            ),
            {"y": ("variance_expected", row), "x": ("variance_met", row)},
        )
        for name, row in rows.items()
    ]
    ends = [1e-3, 3.0]
    room: Any = {"range": (10**-1.8, 10**0.4), "log": True, "tickformat": "~g", "nticks": 6, "dtick": None}
    return chart(
        "The variance that is expected and the one that is met",
        "Each dot a channel (point at it for its layer): its variance in evaluation, and the running variance by which "
        "batch norm divides it. On the solid line they agree; on the dotted one the network expects twice what it "
        "meets.",
        [
            reference(ends, ends, "equal", line={"color": FAINT, "width": 1.5}),
            reference(ends, [2 * end for end in ends], "twice: dropout 0.5, then batch norm"),
            *dots,
        ],
        x=axis("variance in evaluation", **room),
        y=axis("running variance", **room),
    )


def filters_chart(names: Sequence[str]) -> Panel:
    """Return the first layer's filters, a row for each variant."""
    heat = Heatmap(colorscale="RdBu", zmin=-0.6, zmax=0.6, showscale=False, hoverinfo="z")
    rows = {name: 6 * i + 2 for i, name in enumerate(names)}
    caption = (
        "The six 5×5 filters of each variant as they form: blue responds to ink, red to its absence. All variants "
        "start with the same six."
    )
    return tiled("The first layer's filters", caption, [Switch(heat, {"z": "filters"})], rows)


def wrong_chart(names: Sequence[str]) -> Panel:
    """Return the first misclassified images, a row for each variant, and below each what it is taken for."""
    side = CUT.stop - CUT.start
    rows = {name: (side + BELOW) * i + side / 2 for i, name in enumerate(names)}
    under = [((side + BESIDE) * k + side / 2, row + side / 2 + 2.5) for row in rows.values() for k in range(WRONG)]
    heat = Heatmap(colorscale="Greys", zmin=0, zmax=255, showscale=False, hoverinfo="skip")
    at: Any = {"x": [x for x, _ in under], "y": [y for _, y in under], "textfont": {"size": 10, "color": FAINT}}
    words = Scatter(mode="text", name="taken for", hoverinfo="skip", showlegend=False, **at)
    caption = (
        f"The first {WRONG} test images that each variant misclassifies now: what it is, and what it is taken for. "
        "Where a row has gaps, no more were wrong."
    )
    return tiled("Misclassified", caption, [Switch(heat, {"z": "wrong"}), Switch(words, {"text": "misread"})], rows)
