"""Batch norm, dropout, or both: which makes LeNet-5 read better? (notebook 001, problem 3)

LeNet-5 learns MNIST in up to six variants side by side: from the same start, on the same pictures in the same order, so
that they differ in what stands between the layers alone. Beside the curves stand what batch norm has learned, and the
variance that it expects against the variance that it meets once dropout is switched off.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core import data, prose
from core.claims import Claim, in_order
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson, finite
from core.narrator import Diverges, Overfits, Reaches, Watch
from core.panels import COLOURS, DASHES, FAINT, Grow, Panel, Still, Switch, lines, reference
from core.traces import Heatmap, Scatter, Violin
from core.training.lenet import LAYERS, SIDE, WIDTHS, BatchNorm, Judged, Kind, LeNet, SideBySide, expected

Variant = Literal["plain", "batch norm (inputs / 255)", "batch norm", "batch norm on input too", "dropout", "both"]

VARIANTS: tuple[Variant, ...] = ("plain", "batch norm (inputs / 255)", "batch norm", "batch norm on input too", "dropout", "both")  # fmt: skip
COLOUR = dict(zip(VARIANTS, (COLOURS[7], COLOURS[2], COLOURS[0], COLOURS[5], COLOURS[1], COLOURS[3]), strict=True))
DASH = dict(zip(VARIANTS, DASHES, strict=True))
FRAMES, LOOKS = 60, 12  # at most so many frames of the training loss, and of everything else
FEW, MOST = 400, 2000  # examples judged on the way, of a small training set; training examples judged at the end
FILTERS, WRONG = WIDTHS[0], 6  # first-layer filters, and wrongly read pictures that are shown of each variant
AVERAGED = 100  # pictures behind a running variance that is compared: one channel's scatters by √(2/100) = 14 %
CUT = slice(4, 24)  # the middle of a picture: MNIST's digits lie within 20×20
BELOW, BESIDE = 7, 3  # room between wrongly read pictures, for what they are read as
PLACES = ("input", *LAYERS)
SIZES = (1, *WIDTHS)
NORMED = sum(SIZES)  # channels that batch norm may stand behind
KERAS_KEEP = 0.99
# Loss as trained after each epoch, test loss and test accuracy, as the notebook prints them.
NOTEBOOK: Mapping[Variant, tuple[tuple[float, ...], float, float]] = {
    "batch norm (inputs / 255)": ((0.2855, 0.1329, 0.0934, 0.0742, 0.0621), 0.0580, 0.9833),
    "batch norm on input too": ((0.2539, 0.1023, 0.0733, 0.0597, 0.0512), 0.0474, 0.9871),
    "dropout": ((1.4186, 0.7145, 0.6049, 0.5484, 0.5104), 0.2790, 0.9189),
    "both": ((0.9527, 0.5990, 0.4893, 0.4188, 0.3674), 0.1341, 0.9574),
}
LI = "Li et al., CVPR 2019"
NOTEBOOK_001 = "notebook 001, problem 3"


class NormKnobs(Knobs):
    """What may be turned."""

    variants: tuple[Variant, ...] = knob(("plain", "batch norm", "dropout", "both"), "nets that are trained side by side, from the same start on the same pictures", most=6, shown=True)  # fmt: skip
    examples: int = knob(2000, "training pictures, at most as many as the set has", 20, 60_000, stops=(500, 1000, 2000, 5000, 10_000, 20_000, 60_000), shown=True)  # fmt: skip
    epochs: int = knob(4, "how often every net sees every picture", 1, 30, stops=(1, 2, 3, 4, 5, 8, 10, 15, 20, 30))
    batch_size: int = knob(40, "pictures averaged into one step, and into batch norm's mean and variance", 2, 512, stops=(8, 16, 32, 40, 64, 100, 128, 256, 512))  # fmt: skip
    learning_rate: float = knob(0.05, "how far each step moves the weights", 1e-4, 2.0, stops=(0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0))  # fmt: skip
    momentum: float = knob(0.0, "share of the last step that the next one begins with", 0.0, 0.99, stops=(0.0, 0.5, 0.8, 0.9, 0.95, 0.99))  # fmt: skip
    hidden_rate: float = knob(0.5, "probability that a number that leaves a hidden layer is dropped in training, on the maps too", 0.0, 0.7, stops=(0.0, 0.1, 0.2, 0.3, 0.5, 0.7), shown=True)  # fmt: skip
    input_rate: float = knob(0.2, "probability that a pixel is dropped in training", 0.0, 0.5, stops=(0.0, 0.1, 0.2, 0.3, 0.5))  # fmt: skip
    order: Literal["dropout, then batch norm", "batch norm, then dropout"] = knob("dropout, then batch norm", "which comes first where a net has both; the notebook dropped first", shown=True)  # fmt: skip
    keep: float = knob(0.9, "share of batch norm's old running statistics that a step leaves: 0.99 in Keras, 0.9 in PyTorch", 0.0, 0.999, stops=(0.0, 0.5, 0.9, 0.99, 0.999), label="running statistics kept")  # fmt: skip
    dataset: Literal["mnist", "fashion-mnist", "digits"] = knob("mnist", "which pictures; digits needs no download and is blown up to 28×28", label="data set")  # fmt: skip
    seeds: int = knob(1, "nets of each variant, each with a start and an order of its own: how much is chance", 1, 5, stops=(1, 2, 3, 5))  # fmt: skip
    seed: int = SEED


def series(knobs: NormKnobs) -> list[str]:
    """The variants, each once, in a fixed order."""
    return [name for name in VARIANTS if name in knobs.variants]


def examples(knobs: NormKnobs) -> int:
    """How many pictures there are to learn from: as many as were asked for, if the set has them."""
    return min(knobs.examples, data.sizes(knobs.dataset)[0])


def steps(knobs: NormKnobs) -> int:
    """Steps of each net in a whole run."""
    return knobs.epochs * math.ceil(examples(knobs) / knobs.batch_size)


def kind(name: str, knobs: NormKnobs, mean: float, spread: float) -> Kind:
    """What a variant has between its layers, given the mean and spread of the training set's pixels.

    Only "batch norm" sees standardised pictures; to the others pixels come as the notebook had them, 0 … 1.
    """
    norms, drops = name.startswith("batch norm") or name == "both", name in ("dropout", "both")
    return Kind(
        batch_norm=norms,
        input_norm=name in ("batch norm on input too", "both"),
        hidden_rate=knobs.hidden_rate if drops else 0.0,
        input_rate=knobs.input_rate if drops else 0.0,
        dropout_first=knobs.order == "dropout, then batch norm",
        keep=knobs.keep,
        centre=mean if name == "batch norm" else 0.0,
        spread=spread if name == "batch norm" else 255.0,
    )


class Task:
    """The pictures: training and test, raw pixels (n, 1, 28, 28)."""

    def __init__(self, knobs: NormKnobs, device: torch.device) -> None:
        dataset = data.load(knobs.dataset, device)
        x, self.y = data.subset(dataset, examples(knobs), knobs.seed)
        self.x, self.x_test = pictures(x, dataset.shape), pictures(dataset.x_test, dataset.shape)
        self.y_test = dataset.y_test
        pixels = self.x.float()
        self.mean, self.spread = float(pixels.mean()), float(pixels.std())


def pictures(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Pixels (n, pixels) as pictures (n, 1, 28, 28); the digits' 8×8, 0 … 16, three times as large and framed."""
    raw = x.view(-1, *shape)
    if shape[1] == SIDE:
        return raw
    factor = SIDE // shape[1]
    frame = (SIDE - factor * shape[1]) // 2
    large = (raw.float() * (255 / 16)).round().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    return functional.pad(large, (frame,) * 4).to(torch.uint8)


def train(knobs: NormKnobs, device: torch.device) -> Iterator[Frame]:
    """All variants epoch by epoch, each with its seeds: plain SGD, as the notebook."""
    task, names = Task(knobs, device), series(knobs)
    seeds = [knobs.seed + i for i in range(knobs.seeds)]
    kinds = [kind(name, knobs, task.mean, task.spread) for name in names]
    nets = SideBySide(
        [LeNet(each, seed, device) for each in kinds for seed in seeds], knobs.learning_rate, knobs.momentum
    )
    look = Look(knobs, task, nets)
    yield look.frame(0, 0.0, few=FEW // 2)

    chances = [torch.Generator().manual_seed(seed) for seed in seeds]
    parts = max(1, FRAMES // knobs.epochs)  # frames in an epoch
    every = max(1, FRAMES // LOOKS)
    for epoch in range(1, knobs.epochs + 1):
        orders = [torch.randperm(len(task.x), generator=chance).split(knobs.batch_size) for chance in chances]
        last = len(orders[0])
        ends = np.unique(np.linspace(0, last, min(parts, last) + 1).round().astype(int))
        total = np.zeros(len(nets.nets))
        for i in range(len(ends) - 1):
            chosen = [torch.cat(order[ends[i] : ends[i + 1]]) for order in orders]
            losses = nets.train(task.x, task.y, chosen * len(names), knobs.batch_size)
            total += losses * len(chosen[0])
            at, over = epoch - 1 + ends[i + 1] / last, ends[i + 1] == last
            done = at / knobs.epochs
            curves: dict[str, Any] = {"loss_as_trained": look.by_variant(losses)}
            if over:
                curves["epoch_loss"] = look.by_variant(total / len(task.x))
            if over and epoch == knobs.epochs:
                yield look.frame(at, 1.0, few=None, more=curves)
            elif over or (i + 1) % every == 0:
                few = max(FEW, len(task.x) // 12)
                yield look.frame(at, 0.98 * done, few=few, misread=bool(over), more=curves)
            else:
                yield Frame(at, curves, progress=0.98 * done)


class Look:
    """What is judged and drawn of the nets at one moment. It changes nothing about them."""

    def __init__(self, knobs: NormKnobs, task: Task, nets: SideBySide) -> None:
        self.knobs, self.task, self.nets, self.names = knobs, task, nets, series(knobs)

    def by_variant(self, values: Array) -> Array:
        """Of every net (nets,), as curves have it: (variants, seeds)."""
        return values.reshape(len(self.names), self.knobs.seeds)

    def frame(
        self,
        step: float,
        progress: float,
        *,
        few: int | None,
        misread: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Losses and accuracies on the first `few` training and test pictures, and what the first seed's nets hold.

        `misread`: whether wrongly read pictures are shown, which are most of what a frame takes on its way to a reader.
        """
        task = self.task
        seen = few or MOST
        trained = self.nets.judge(task.x[:seen], task.y[:seen])
        tested = self.nets.judge(task.x_test[:few], task.y_test[:few])
        running, met = [expected(net) for net in self.nets.nets], tested.met
        first = self.nets.nets[:: self.knobs.seeds]
        curves = {
            "test_accuracy": self.by_variant(tested.accuracy),
            "test_loss": self.by_variant(tested.loss),
            "train_accuracy": self.by_variant(trained.accuracy),
            "train_loss": self.by_variant(trained.loss),
            **{
                f"variance_shift_{place}": self.by_variant(
                    np.array([shift(a[l], b[l]) for a, b in zip(running, met, strict=True)])
                )
                for l, place in enumerate(PLACES)
            },
        }
        shown = {
            **(self.wrong(tested) if misread else {}),
            "filters": mosaic(torch.stack([net.weights[0].detach()[:, 0].cpu() for net in first]).numpy()),
            "gamma": np.stack([learned(net, "gamma") for net in first]),
            "beta": np.stack([learned(net, "beta") for net in first]),
            "variance_expected": np.stack([by_channel(each) for each in running[:: self.knobs.seeds]]),
            "variance_met": np.stack([by_channel(each) for each in met[:: self.knobs.seeds]]),
        }
        return Frame(step, {**curves, **(more or {})}, shown, progress)

    def wrong(self, tested: Judged) -> dict[str, Array]:
        """The first test pictures that each variant reads wrongly: all in one picture, and what they are taken for."""
        truth, image = self.task.y_test.cpu().numpy(), self.task.x_test
        rows, texts = [], []
        for reads in tested.reads[:: self.knobs.seeds]:
            which = np.flatnonzero(reads != truth[: len(reads)])[:WRONG]
            shown = np.zeros((WRONG, 20, 20), dtype=np.uint8)
            shown[: len(which)] = image[torch.from_numpy(which)][:, 0, CUT, CUT].cpu().numpy()
            rows.append(shown)
            said = [f"{truth[i]} as {reads[i]}" for i in which]
            texts += said + [""] * (WRONG - len(which))
        return {"wrong": mosaic(np.stack(rows), (BELOW, BESIDE)), "misread": np.array(texts)}


def by_channel(layers: Sequence[Array]) -> Array:
    """Of every channel behind which batch norm may stand, layer by layer, (NORMED,); nan where there is none."""
    return np.concatenate(
        [each if len(each) else np.full(size, np.nan) for each, size in zip(layers, SIZES, strict=True)]
    ).astype("f4")


def learned(net: LeNet, which: Literal["gamma", "beta"]) -> Array:
    """γ or β of every channel, (NORMED,)."""
    return by_channel(
        [getattr(norm, which).detach().cpu().numpy() if norm.width else np.empty(0) for norm in net.norms]
    )


def shift(running: Array, met: Array) -> float:
    """Running variance over the one met in evaluation, a layer's channels together; nan where there is none."""
    return float(running.mean() / met.mean()) if met.any() else math.nan


def mosaic(tiles: Array, gaps: tuple[int, int] = (1, 1)) -> Array:
    """Tiles (rows, columns, height, width) in one picture, with gaps of nan, or of 0, below and beside each."""
    rows, columns, height, width = tiles.shape
    below, beside = gaps
    empty = np.nan if tiles.dtype.kind == "f" else 0
    framed = np.pad(tiles, ((0, 0), (0, 0), (0, below), (0, beside)), constant_values=empty)
    return framed.transpose(0, 2, 1, 3).reshape(rows * (height + below), columns * (width + beside))


# ---- what is shown -------------------------------------------------------------------------------------------------


def panels(knobs: NormKnobs) -> list[Panel]:
    """Accuracy and losses, what batch norm has learned and what it expects, the filters, and what is misread."""
    names = series(knobs)
    colours, dashes = [COLOUR[name] for name in names], [DASH[name] for name in names]  # type: ignore[index]
    over = f" Mean and range over {knobs.seeds} seeds." if knobs.seeds > 1 else ""
    axes: dict[str, Any] = {
        "x": "epochs",
        "band": knobs.seeds > 1,
        "colours": colours,
        "dashes": dashes,
        "xaxis": {"range": [0, knobs.epochs]},
    }
    log = {"type": "log", "tickformat": "~g", "nticks": 6}
    return [
        lines("Test accuracy", f"Share of the test pictures read correctly, without dropout: of the first few on the way, of all at the end, so a jump there is other pictures.{over}", "test_accuracy", names, y="read correctly", extra=_notebook(knobs, "accuracy"), yaxis={"range": [0, 1.01], "tickformat": ".0%"}, **axes),
        lines("Test loss", f"Cross-entropy on the same test pictures, with the same jump at the end.{over}", "test_loss", names, y="cross-entropy", extra=_notebook(knobs, "loss"), yaxis=log, **axes),
        _training_panel(knobs, axes, log),
        _learned_panel(names),
        _shift_panel(names),
        _filters_panel(names),
        _wrong_panel(names),
    ]  # fmt: skip


def _notebook(knobs: NormKnobs, which: Literal["accuracy", "loss"]) -> list[Still]:
    """The notebook's test results, where they speak about such a run."""
    if not comparable(knobs):
        return []
    found = []
    for name in (name for name in VARIANTS if name in series(knobs) and name in NOTEBOOK):
        _, loss, accuracy = NOTEBOOK[name]
        marker = {"symbol": "x", "size": 8, "color": COLOUR[name]}
        said = f"notebook: {accuracy:.2%}" if which == "accuracy" else f"notebook: {loss:.4f}"
        found.append(
            reference(
                [5], [accuracy if which == "accuracy" else loss], said, mode="markers", marker=marker, showlegend=False
            )
        )
    return found


def _training_panel(knobs: NormKnobs, axes: Mapping[str, Any], log: Mapping[str, Any]) -> Panel:
    names = series(knobs)
    thin = [
        Grow(
            Scatter(name=f"{name}, as trained", mode="lines", line={"color": COLOUR[name], "width": 1}, opacity=0.45, legendgroup=name, showlegend=False),  # type: ignore[index]
            "loss_as_trained",
            i,
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    return lines("Training loss, printed and true", "Thin: the loss while training, with dropout at work, as Keras prints it. Thick: the same nets on training pictures, judged whole. Only the thick lines may be compared with the test loss.", "train_loss", names, y="cross-entropy", extra=thin, yaxis=dict(log), **axes)  # fmt: skip


def _normed(names: list[str]) -> list[tuple[int, str]]:
    """Row and name of the variants with batch norm."""
    return [(i, name) for i, name in enumerate(names) if name.startswith("batch norm") or name == "both"]


def _learned_panel(names: list[str]) -> Panel:
    """Violins of γ above and of β below, by layer."""
    places = np.repeat(PLACES, SIZES)
    traces: list[Switch | Still] = []
    for row, name in _normed(names):
        colour = COLOUR[name]  # type: ignore[index]
        for picture, axis in (("gamma", "y"), ("beta", "y2")):
            violin = Violin(
                x=places,
                name=name,
                yaxis=axis,
                line={"color": colour, "width": 1},
                meanline={"visible": True},
                points=False,
                spanmode="hard",
                scalegroup=f"{name} {picture}",
                offsetgroup=name,  # the same place above and below
                alignmentgroup="variants",
                scalemode="width",
                legendgroup=name,
                showlegend=picture == "gamma",
            )
            traces.append(Switch(violin, {"y": (picture, row)}))
            if has_norm(name, "input"):  # one channel is no violin
                marker = {"color": colour, "symbol": "diamond", "size": [8, *[0] * sum(WIDTHS)]}
                dot = Scatter(
                    x=places, name=f"{name}, input", yaxis=axis, mode="markers", marker=marker, showlegend=False
                )
                traces.append(Switch(dot, {"y": (picture, row)}))
    return Panel(
        "What batch norm has learned",
        "Scale γ (above) and shift β (below) of every channel, by layer; they start at 1 and 0, and the input's one is a diamond. The running mean and variance are no part of it: nothing learns them.",
        traces,
        {
            "violinmode": "group",
            "xaxis": {"type": "category", "categoryorder": "array", "categoryarray": list(PLACES), "range": [-0.5, len(PLACES) - 0.5], "anchor": "y2"},
            "yaxis": {"title": {"text": "scale γ"}, "domain": [0.54, 1.0]},
            "yaxis2": {"title": {"text": "shift β"}, "domain": [0.0, 0.46]},
        },
    )  # fmt: skip


def _shift_panel(names: list[str]) -> Panel:
    """Running against evaluation variance, a dot per channel."""
    symbols = ("star", "square", "diamond", "circle", "cross")
    marks = np.repeat(symbols, SIZES)
    places = np.repeat(PLACES, SIZES)
    dots = [
        Switch(
            Scatter(
                name=name,
                mode="markers",
                text=places,
                marker={"color": COLOUR[name], "size": 6, "opacity": 0.6, "symbol": marks},  # type: ignore[index]
                hovertemplate="%{text}: met %{x:.3g}, expected %{y:.3g}<extra></extra>",
            ),
            {"y": ("variance_expected", row), "x": ("variance_met", row)},
        )
        for row, name in _normed(names)
    ]
    ends = [1e-3, 3.0]
    return Panel(
        "The variance that is expected and the one that is met",
        "Each dot a channel (point at it for its layer): its variance in evaluation, and the running variance by which batch norm divides it. On the solid line they agree; on the dotted one the net expects twice what it meets.",
        [
            reference(ends, ends, "equal", line={"color": FAINT, "width": 1.5}),
            reference(ends, [2 * end for end in ends], "twice: dropout 0.5, then batch norm"),
            *dots,
        ],
        {
            "xaxis": {"title": {"text": "variance in evaluation"}, "type": "log", "range": [-1.8, 0.4], "tickformat": "~g", "nticks": 6},
            "yaxis": {"title": {"text": "running variance"}, "type": "log", "range": [-1.8, 0.4], "tickformat": "~g", "nticks": 6},
        },
    )  # fmt: skip


def _filters_panel(names: list[str]) -> Panel:
    rows = [6 * i + 2 for i in range(len(names))]
    heat = Heatmap(colorscale="RdBu", zmin=-0.6, zmax=0.6, showscale=False, hoverinfo="z")
    return Panel(
        "The first layer's filters",
        "The six 5×5 filters of each variant as they form: blue sees ink as more, red as less. All variants start with the same six.",
        [Switch(heat, {"z": "filters"})],
        {
            "xaxis": {"visible": False, "constrain": "domain"},
            "yaxis": {"tickvals": rows, "ticktext": names, "autorange": "reversed", "scaleanchor": "x", "showgrid": False, "zeroline": False, "constrain": "domain", "showline": False, "ticks": ""},
        },
    )  # fmt: skip


def _wrong_panel(names: list[str]) -> Panel:
    side = CUT.stop - CUT.start
    rows = [(side + BELOW) * i + side / 2 for i in range(len(names))]
    under = [((side + BESIDE) * k + side / 2, row + side / 2 + 2.5) for row in rows for k in range(WRONG)]
    heat = Heatmap(colorscale="Greys", zmin=0, zmax=255, showscale=False, hoverinfo="skip")
    words = Scatter(
        x=[x for x, _ in under], y=[y for _, y in under], mode="text", name="read as", textfont={"size": 10, "color": FAINT}, hoverinfo="skip", showlegend=False
    )  # fmt: skip
    return Panel(
        "Wrongly read",
        f"The first {WRONG} test pictures that each variant reads wrongly now: what it is, and what it is read as. Where a row has gaps, no more were wrong.",
        [Switch(heat, {"z": "wrong"}), Switch(words, {"text": "misread"})],
        {
            "xaxis": {"visible": False, "constrain": "domain"},
            "yaxis": {"tickvals": rows, "ticktext": names, "autorange": "reversed", "scaleanchor": "x", "showgrid": False, "zeroline": False, "constrain": "domain", "showline": False, "ticks": ""},
        },
    )  # fmt: skip


def comparable(knobs: NormKnobs) -> bool:
    """Whether a run has the notebook's settings, so that its numbers speak about it."""
    return (
        (knobs.dataset, knobs.examples, knobs.epochs, knobs.batch_size) == ("mnist", 60_000, 5, 100)
        and (knobs.learning_rate, knobs.momentum, knobs.keep) == (0.01, 0.0, KERAS_KEEP)
        and (knobs.hidden_rate, knobs.input_rate, knobs.order) == (0.5, 0.2, "dropout, then batch norm")
    )


# ---- what is stated ------------------------------------------------------------------------------------------------


def watches(knobs: NormKnobs) -> list[Watch]:
    """What the narrator may tell."""
    names = series(knobs)
    return [
        Diverges("test_loss", names, "test loss"),
        Overfits("test_loss", names, "test loss", seen="train_loss"),
        Reaches(
            "test_accuracy", names, "test accuracy", ".1%", bound=0.98, kind="finished", does="reads 98 % of the test"
        ),
    ]


def facts(knobs: NormKnobs, recording: Recording) -> Facts:
    """Losses and accuracies as means over the seeds, and how far expected and met variances lie apart."""
    found: dict[str, float | None] = {}
    names = series(knobs)
    for curve in ("test_accuracy", "test_loss", "train_accuracy", "train_loss"):
        for name, values in zip(names, recording.last(curve), strict=True):
            found[f"{curve}[{name}]"] = finite(values.mean())
    _, printed = recording.curve("epoch_loss")  # (epochs, variants, seeds)
    for i, name in enumerate(names):
        for k in (0, len(printed) - 1):
            if len(printed):
                found[f"loss_as_trained[{name}, epoch {k + 1}]"] = finite(printed[k, i].mean())
    for place in PLACES:
        for name, values in zip(names, recording.last(f"variance_shift_{place}"), strict=True):
            if has_norm(name, place):
                found[f"variance_shift[{name}, {place}]"] = finite(values.mean())
    return found


def has_norm(name: str, place: str) -> bool:
    """Whether a variant has batch norm behind that layer."""
    if place == "input":
        return name in ("batch norm on input too", "both")
    return name.startswith("batch norm") or name == "both"


def claims(knobs: NormKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    return [
        _ranking(knobs, found, ended),
        *_accuracies(knobs, found, ended),
        _input_norm(knobs, recording, ended),
        _only_scaling(knobs, recording, ended),
        _helps(knobs, found, ended),
        _shifted(knobs, found, ended),
        _not_shifted(knobs, found, ended),
        _printed(knobs, found, ended),
        _same_losses(knobs, found, ended),
        _counts(),
        _full_recipe(knobs, found, ended),
    ]


def _trained_enough(knobs: NormKnobs) -> bool:
    """Whether the variants have had time to part: 200 steps, and dropout as the notebook had it."""
    return steps(knobs) >= 200 and (knobs.hidden_rate, knobs.input_rate) == (0.5, 0.2) and knobs.dataset == "mnist"


def _tests(knobs: NormKnobs) -> int:
    """Test pictures that the nets are judged on at the end."""
    return data.sizes(knobs.dataset)[1]


def _norm_of(knobs: NormKnobs) -> str | None:
    """The variant that differs from the plain net in batch norm, and in as little else as there is."""
    wanted = ("batch norm (inputs / 255)", "batch norm", "batch norm on input too")
    return next((name for name in wanted if name in knobs.variants), None)


def _ranking(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    names = (_norm_of(knobs), "both", "dropout")
    scores = [found.get(f"test_accuracy[{name}]") for name in names]
    known = [score for score in scores if score is not None]
    short = knobs.epochs <= 8
    return Claim(
        "After a short training batch norm alone reads best, then both, then dropout alone",
        ", ".join(f"{name} {score:.2%}" for name, score in zip(names, scores, strict=True) if score is not None),
        "test accuracies in this order",
        in_order(known, _tests(knobs)) if ended and short and len(known) == 3 and _trained_enough(knobs) else None,
        NOTEBOOK_001,
        notebook="98.33 %, 95.74 %, 91.89 %",
        hint="it takes these three variants, the notebook's rates, 200 steps of MNIST and at most 8 epochs",
    )


def _accuracies(knobs: NormKnobs, found: Facts, ended: bool) -> list[Claim]:
    """The notebook's three results, at its settings."""
    bounds = (
        ("batch norm (inputs / 255)", 0.98, 1.0, "at least 98.0 %", "98.33 %"),
        ("dropout", 0.89, 0.95, "89 … 95 %", "91.89 %"),
        ("both", 0.94, 0.975, "94 … 97.5 %", "95.74 %"),
    )
    made = []
    for name, low, high, within, notebook in bounds:
        score = found.get(f"test_accuracy[{name}]")
        made.append(
            Claim(
                f"The notebook's result for “{name}” comes out again at its settings",
                f"{score:.2%}" if score is not None else "",
                within,
                low <= score <= high if ended and comparable(knobs) and score is not None else None,
                NOTEBOOK_001 + "; 5 epochs of 60,000 pictures",
                notebook=f"{notebook}, one run",
                literature="LeCun et al. 1998: LeNet-5 0.95 % test error" if name.startswith("batch") else "",
                hint=f'the presets "As the notebook ran it" and "Done right" have its settings, and the variant “{name}”',
            )
        )
    return made


def _input_norm(knobs: NormKnobs, recording: Recording, ended: bool) -> Claim:
    pair = _pair(knobs, recording.last("test_accuracy"), "batch norm on input too", "batch norm")
    gain = None if pair is None else float((pair[0] - pair[1]).mean())
    return Claim(
        "Batch norm on one-channel inputs does no more than standardised inputs do",
        f"{100 * gain:+.2f} points, mean of {knobs.seeds} seed{'s' * (knobs.seeds > 1)}" if gain is not None else "",
        "less than 0.4 points apart, mean of 3 seeds or more",
        abs(gain) < 0.004 if gain is not None and ended and comparable(knobs) and knobs.seeds >= 3 else None,
        "on one channel it is the same: less the mean, over the spread; then one scale and one shift",
        notebook="98.71 against 98.33 %, but its “standard normalization” is X / 255 alone",
        hint='one run is chance: the preset "Done right" has both variants and three seeds',
    )


def _only_scaling(knobs: NormKnobs, recording: Recording, ended: bool) -> Claim:
    _, printed = recording.curve("epoch_loss")  # (epochs, variants, seeds)
    first = printed[0] if len(printed) else None
    pairs = [
        None if first is None else _pair(knobs, first, "batch norm (inputs / 255)", name)
        for name in ("batch norm", "batch norm on input too")
    ]
    known = [float((pair[0] - pair[1]).mean()) for pair in pairs if pair is not None]
    said = f"{known[0]:.4f} by standardised inputs, {known[1]:.4f} by batch norm on them" if len(known) == 2 else ""
    return Claim(
        "What the notebook takes for a gain of input batch norm, standardised inputs bring as well",
        f"the loss of the first epoch falls by {said}" if said else "",
        "at least three quarters as much, mean of 3 seeds or more",
        known[1] > 0 and known[0] >= 0.75 * known[1]
        if ended and len(known) == 2 and comparable(knobs) and knobs.seeds >= 3
        else None,
        "replica: epoch-1 test accuracy .9596 with X / 255, .9650 standardised, .9655 with input batch norm",
        notebook="0.2855 to 0.2539 in the first epoch, taken for an effect of batch norm",
        hint='the preset "Done right" has all three variants and three seeds',
    )


def _pair(knobs: NormKnobs, values: Array, one: str, other: str) -> tuple[Array, Array] | None:
    """Of `values` (variants, seeds), the rows of two variants; None unless both are there."""
    names = series(knobs)
    return (values[names.index(one)], values[names.index(other)]) if one in names and other in names else None


def _helps(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    norm, plain, dropped = (found.get(f"test_accuracy[{name}]") for name in (_norm_of(knobs) or "", "plain", "dropout"))
    three = norm is not None and plain is not None and dropped is not None
    return Claim(
        "Against the plain net, which the notebook lacks, batch norm gains and dropout costs in so short a training",
        f"{_norm_of(knobs)} {norm:.2%}, plain {plain:.2%}, dropout {dropped:.2%}" if three else "",
        "test accuracies in this order",
        in_order((norm, plain, dropped), _tests(knobs))
        if norm is not None
        and plain is not None
        and dropped is not None
        and ended
        and _trained_enough(knobs)
        and knobs.epochs <= 8
        else None,
        "this run, same start, same pictures, same order",
        notebook="no plain net; it says that with dropout “generalization is better”",
        hint="it takes the variants plain, dropout and one with batch norm, the notebook's rates and 200 steps of MNIST",
    )


def _settled(knobs: NormKnobs) -> bool:
    """Whether the running statistics have forgotten how they started, and are those of enough pictures to compare."""
    averaged = min(examples(knobs), knobs.batch_size / (1 - knobs.keep))
    return knobs.keep ** steps(knobs) < 0.01 and averaged >= AVERAGED


def _shifts(knobs: NormKnobs, found: Facts, names: Sequence[str]) -> list[float]:
    """The shifts of these variants' hidden layers, as far as they are known."""
    values = [found.get(f"variance_shift[{name}, {place}]") for name in names for place in LAYERS]
    return [value for value in values if value is not None]


def _shifted(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    values = _shifts(knobs, found, ["both"]) if "both" in knobs.variants else []
    decides = ended and len(values) == len(LAYERS) and knobs.hidden_rate == 0.5 and _settled(knobs)
    measured = f"running ÷ evaluation: {min(values):.2f} … {max(values):.2f} over the hidden layers" if values else ""
    if knobs.order == "batch norm, then dropout":
        return Claim(
            "Batch norm ahead of dropout meets about the variance that it expects",
            measured,
            "0.85 … 1.25 in every hidden layer",
            min(values) >= 0.85 and max(values) <= 1.25 if decides else None,
            f"this run: only what dropout does to the layer before is left, and its weights average over that. {LI}",
            notebook="dropped before every batch norm",
            hint="it takes the variant both, a hidden rate of 0.5, and steps enough for the running statistics",
        )
    return Claim(
        "Batch norm behind dropout of 0.5 expects about twice the variance that it meets in evaluation",
        measured,
        "1.7 … 2.4 in every hidden layer",
        min(values) >= 1.7 and max(values) <= 2.4 if decides else None,
        "for numbers of mean 0 kept with probability q and divided by it, variance grows by 1/q: 2 at 0.5",
        notebook="dropped before every batch norm, and never looked",
        literature=f"{LI}: “variance shift”; the remedy is dropout behind the last batch norm",
        hint="it takes the variant both, a hidden rate of 0.5, and steps enough for the running statistics",
    )


def _not_shifted(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    without = [name for name in series(knobs) if name.startswith("batch norm")]
    if "both" in knobs.variants and knobs.hidden_rate == knobs.input_rate == 0:
        without.append("both")
    values = _shifts(knobs, found, without)
    return Claim(
        "Without dropout the variance that is expected is the one that is met",
        f"running ÷ evaluation: {min(values):.2f} … {max(values):.2f} over the hidden layers" if values else "",
        "1 ± 0.15 in every hidden layer",
        min(values) >= 0.85 and max(values) <= 1.15 if ended and values and _settled(knobs) else None,
        f"this run's nets without dropout; training against test pictures. {LI}",
        hint="it takes a variant with batch norm and without dropout, and steps enough for the running statistics",
    )


def _printed(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    printed, judged = found.get(f"loss_as_trained[dropout, epoch {knobs.epochs}]"), found.get("train_loss[dropout]")
    both = printed is not None and judged is not None
    return Claim(
        "The training loss that Keras prints with dropout is not the loss of the net that is judged",
        f"{printed:.3f} printed, {judged:.3f} on training pictures without dropout" if both else "",
        "printed at least 1.3 times as high",
        printed >= 1.3 * judged  # type: ignore[operator]
        if ended and both and knobs.hidden_rate >= 0.3 and _trained_enough(knobs)
        else None,
        "the same net, judged whole on pictures it learned from",
        notebook="0.5104 printed in training beside 0.2790 on the test, read as better generalization",
        hint="it takes the variant dropout, the notebook's rates and 200 steps of MNIST",
    )


def _same_losses(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    named = [name for name in series(knobs) if name in NOTEBOOK]
    found_losses = [found.get(f"loss_as_trained[{name}, epoch 1]") for name in named]
    pairs = [(value, NOTEBOOK[name][0][0]) for name, value in zip(named, found_losses, strict=True) if value]  # type: ignore[index]
    return Claim(
        "These are the notebook's nets: after one epoch their printed losses are the same",
        ", ".join(f"{value:.3f} for its {theirs:.3f}" for value, theirs in pairs) if comparable(knobs) else "",
        "all four within 10 %",
        all(abs(value / theirs - 1) < 0.1 for value, theirs in pairs)
        if ended and comparable(knobs) and len(pairs) == len(NOTEBOOK)
        else None,
        "replica in Keras: .2785, .2536, 1.3965, .9498",
        notebook="0.2855, 0.2539, 1.4186, 0.9527",
        hint='the presets "As the notebook ran it" and "Done right" have its settings',
    )


def _counts() -> Claim:
    plain, norm = (
        sum(each.numel() for each in LeNet(kind, 0).parameters()) for kind in (Kind(), Kind(batch_norm=True))
    )
    return Claim(
        "LeNet-5 has 61,706 numbers to learn, and batch norm adds two for each channel, not four",
        f"{plain:,}, and {norm - plain} with batch norm behind its hidden layers",
        f"61,706 and 2 × {sum(WIDTHS)} = {2 * sum(WIDTHS)}",
        plain == 61_706 and norm - plain == 2 * sum(WIDTHS),
        "counted in the nets of this lesson",
        notebook="prints moving mean and variance as “learned batch norm parameters”, too",
        literature="LeCun et al. 1998: about 60,000, with fewer connections in C3",
    )


def _full_recipe(knobs: NormKnobs, found: Facts, ended: bool) -> Claim:
    scores = {name: found[f"test_accuracy[{name}]"] for name in series(knobs)}
    known = {name: score for name, score in scores.items() if score is not None}
    best = max(known, key=lambda name: known[name], default=None)
    whole = knobs.dataset == "mnist" and knobs.examples == 60_000 and knobs.epochs >= 15 and knobs.momentum > 0
    return Claim(
        "Trained longer and with momentum, LeNet-5 comes to where its authors had it",
        f"{best}: {known[best]:.2%}" if best is not None else "",
        "at least 98.9 %",
        known[best] >= 0.989 if ended and whole and best is not None else None,
        "accept threshold of this lesson",
        notebook="98.71 % at best, after 5 epochs",
        literature="LeCun et al. 1998: 99.05 %",
        hint='the preset "Full recipe" trains 15 epochs with momentum',
    )


def cost(knobs: NormKnobs) -> Cost:
    """Convolutions, the passes over the maps, and the price of a step's calls.

    Convolutions this small get to about half the rate of a matrix product, so their arithmetic counts twice.
    """
    names, count = series(knobs), examples(knobs)
    batches = steps(knobs) * knobs.seeds
    seen = float(count * knobs.epochs * knobs.seeds)
    looks = min(LOOKS, FRAMES // max(1, FRAMES // LOOKS)) + knobs.epochs
    tests = data.sizes(knobs.dataset)[1]
    judged = (2.0 * looks * min(max(FEW, count // 12), count) + min(MOST, count) + tests) * knobs.seeds
    flops = numbers = calls = 0.0
    for name in names:
        norm, drop = has_norm(name, "F84"), name in ("dropout", "both")
        flops += 2 * (2.3e6 * seen + 0.83e6 * judged)
        numbers += (2e5 + 1.5e5 * norm + 2e5 * drop + 1e5 * has_norm(name, "input")) * seen + 1e5 * judged
        calls += (150.0 + 60.0 * norm + 60.0 * drop) * batches
    return Cost(flops, numbers, calls, 4e8 + 4.0 * SIDE * SIDE * (count + tests) + 5e7 * len(names))


def shrunk(knobs: NormKnobs) -> NormKnobs:
    """A few of the embedded digits, three variants, two epochs: a moment of work, everything else as it was."""
    kept = tuple(name for name in knobs.variants if name in ("plain", "batch norm on input too", "both"))
    return knobs.model_copy(
        update={"dataset": "digits", "examples": 40, "epochs": 2, "batch_size": 20, "variants": kept or knobs.variants, "seeds": min(knobs.seeds, 2)}
    )  # fmt: skip


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    prefix = "test_accuracy["
    scores = {name[len(prefix) : -1]: value for name, value in found.items() if name.startswith(prefix)}
    ranked = sorted(((value, name) for name, value in scores.items() if value is not None), reverse=True)
    if not ranked:
        return None
    return "Read correctly at the end: " + ", ".join(f"{name} {value:.1%}" for value, name in ranked) + "."


AT_THE_NOTEBOOKS: Mapping[str, Any] = {"examples": 60_000, "epochs": 5, "batch_size": 100, "learning_rate": 0.01, "keep": KERAS_KEEP}  # fmt: skip

PRESETS: Mapping[str, NormKnobs] = {
    "Classroom": NormKnobs(),
    "As the notebook ran it": NormKnobs(variants=tuple(NOTEBOOK), **AT_THE_NOTEBOOKS),
    "Done right": NormKnobs(variants=VARIANTS, seeds=3, **AT_THE_NOTEBOOKS),
    "Batch norm first": NormKnobs(variants=("batch norm", "dropout", "both"), order="batch norm, then dropout"),
    "Full recipe": NormKnobs(
        variants=("batch norm",), **{**AT_THE_NOTEBOOKS, "epochs": 15, "momentum": 0.9, "batch_size": 100}
    ),
}

LESSON = Lesson(
    slug="batchnorm-and-dropout",
    prose=prose.of("batchnorm-and-dropout"),
    revision=2,
    knobs=NormKnobs,
    presets=PRESETS,
    series=series,
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="test_loss",
    dataset=lambda knobs: knobs.dataset,
    shrunk=shrunk,
    outcome=reveal,
    code=(kind, train, LeNet, BatchNorm, SideBySide),
)
