"""Networks that learn from views of images: what a step of batch augmentation is, and what its gradients do.

    learner = Learner(knobs, Kind(m=4), images, labels, classes=10, seed=1)
    for steps in learner.epoch(): ...
    learner.learn(steps)                                    # the mean of their losses

`knobs` are those of the lesson on cutout, or any object with attributes of these names.
"""

import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import MultiStepLR

from core import data
from core.charts import axis, chart, colour, dots
from core.data import Dataset
from core.frames import Array, Frame, Recording
from core.nets import he, relu
from core.panels import COLOURS, Panel, Switch, png, reference
from core.traces import Image, Scatter
from core.training.fleet import OPTIMIZERS, Fleet
from core.training.resnet import ResNet, size
from core.training.views import Holes, Pictures, smaller

QUARTERS = (2, 3)  # of the training, after which a rate in steps falls to a tenth
MIRRORED = ("cifar10", "fashion-mnist")  # a mirrored digit is another sign
PROBE_BATCHES, PROBE_B, PROBE_SIDE, PROBE_UNITS = 200, 4, 8, 16  # the small net whose gradient varies
PROBE_PARTS = 5
AREA_MASKS = 4096
# Validation accuracy of the notebook's baseline, ResNet-44 without cutout, after each of its 66 epochs, in 1/10,000.
BASELINE = (
    4527, 6386, 7095, 6002, 6359, 7101, 5923, 7372, 6670, 6980, 6348, 7544, 7567, 7611, 7689, 7341, 7688, 7413,
    7861, 6873, 7632, 8436, 8139, 8092, 8094, 8282, 8462, 8235, 8307, 8033, 8120, 8495, 8500, 8211, 8525, 8411,
    8229, 8001, 7760, 8470, 8489, 8117, 8574, 8324, 8454, 8751, 8083, 8477, 7986, 8464, 8477, 8061, 8457, 8314,
    8517, 8042, 8174, 8627, 8300, 8244, 7671, 8307, 8674, 8043, 8487, 8425,
)  # fmt: skip
DEVRIES = {"ResNet-18": (4.72, 3.99), "WRN-28-10": (3.87, 3.08)}  # test error, %, without cutout and with length 16
COUNTS = ("steps", "read", "again", "same", "seconds")  # of each network so far
SHOWN_VIEWS, GAP = 3, 2  # of each image that is shown; pixels between them


class Kind(NamedTuple):
    """What a network is shown.

    Attributes:
        m: views of each image in a step.
        frozen: whether they are the notebook's copies, with holes that were cut once.
        length: side of the squares that are cut out; that of the knobs where it is None.
        dropout: whether as many pixels are dropped one by one, instead.
    """

    m: int
    frozen: bool = False
    length: int | None = None
    dropout: bool = False


def rng(seed: int, purpose: str) -> torch.Generator:
    """Return a generator for one purpose, so that no draw repeats another."""
    mixed = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(mixed.generate_state(1)[0]))


def holes(knobs: Any, kind: Kind | None = None) -> Holes:
    """Return what is cut out: of that network's views, or as the knobs have it."""
    length = knobs.cutout_length if kind is None or kind.length is None else kind.length
    return Holes(length, knobs.holes, knobs.fill)


class Learner:
    """One network with its views: what a step of it is, is the whole lesson.

    All networks of a seed have the same initialization and see the same images in the same order; each draws views of
    its own, those of equal M the same ones.
    """

    def __init__(self, knobs: Any, kind: Kind, pictures: Pictures, labels: Tensor, classes: int, seed: int) -> None:
        self.knobs, self.kind, self.pictures, self.labels = knobs, kind, pictures, labels
        self.m, self.frozen = kind.m, kind.frozen
        self.holes, n = holes(knobs, kind), len(labels)
        self.net = ResNet(knobs.depth, pictures.shape[0], classes, knobs.shortcut, labels.device)
        self.net.initialise(rng(seed, "start"))
        decay = {"weight_decay": knobs.weight_decay}
        self.optimizer = OPTIMIZERS[knobs.optimizer](self.net.parameters(), lr=knobs.learning_rate, **decay)
        all_steps = knobs.epochs * -(-n * (self.m if self.frozen else 1) // knobs.batch_size)
        falls = [-(-all_steps * quarter // 4) for quarter in QUARTERS if knobs.schedule == "steps"]
        self.schedule = MultiStepLR(self.optimizer, falls)
        self.order, self.chance = rng(seed, "order"), rng(seed, f"views {(kind.m, kind.frozen)}")
        self.dropping = rng(seed, "dropped")
        # Where each copy's holes are: cut once for all where they are frozen, else those of the newest step.
        drawn = self.holes.centres(n * self.m, pictures.shape[1:], self.chance)
        self.centres = drawn.view(n, self.m, self.holes.count, 2)
        self.steps, self.read, self.seconds = 0, 0, 0.0
        self.again, self.same = 0, 0  # views of a copy that was seen before, and those whose holes were where they are

    def epoch(self) -> list[tuple[Tensor, Tensor]]:
        """The steps of one epoch: for each, its pictures and which of their M copies, both (views of the step,)."""
        n, b, m = len(self.labels), self.knobs.batch_size, self.m
        if self.frozen:  # the notebook: the set is M times as long, the batch is not
            order = torch.randperm(n * m, generator=self.order)
            return [(part // m, part % m) for part in order.tensor_split(-(-n * m // b))]
        order = torch.randperm(n, generator=self.order)
        return [
            (part.repeat_interleave(m), torch.arange(m).repeat(len(part))) for part in order.tensor_split(-(-n // b))
        ]

    def learn(self, steps: Sequence[tuple[Tensor, Tensor]]) -> float:
        """Take these steps; the mean of their losses."""
        device = self.labels.device
        # What else the machine does is no time of this net's; a GPU has no clock but the wall's.
        clock = time.thread_time if device.type == "cpu" else time.perf_counter
        began = clock()
        total = torch.zeros((), device=device)
        self.net.train()
        for rows, copies in steps:
            before = self.centres[rows, copies]
            centres = before if self.frozen else self.holes.centres(len(rows), self.pictures.shape[1:], self.chance)
            self.centres[rows, copies] = centres
            if self.read >= self.centres[..., 0, 0].numel():  # from the second epoch on
                self.again += len(rows)
                self.same += int((centres == before).flatten(1).all(dim=1).sum())
            rows = rows.to(device)
            batch = self.views(rows, self.chance, centres)
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.net(batch), self.labels[rows])
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach()
            self.steps, self.read = self.steps + 1, self.read + len(rows)
        mean = float(total) / len(steps)
        self.seconds += clock() - began
        return mean

    def views(self, rows: Tensor, chance: torch.Generator, centres: Tensor) -> Tensor:
        """Return what the network reads of these images."""
        mirror = self.knobs.dataset in MIRRORED
        views = self.pictures.views(
            rows, chance, self.holes, centres, self.knobs.shift, mirror=mirror, frozen=self.frozen
        )
        read = smaller(views, self.knobs.shrink)
        if self.kind.dropout:  # of all colours of a pixel, to the mean: cutout's share without its neighbourhood
            share = holes(self.knobs).area(*self.pictures.shape[1:])
            stays = torch.rand(len(read), 1, *read.shape[2:], generator=self.dropping) >= share
            read = read * stays.to(read.device)
        return read

    def error(self, x: Tensor, y: Tensor) -> float:
        """Return the share of images that it misclassifies."""
        self.net.eval()
        with torch.no_grad():
            wrong = [(self.net(xs).argmax(1) != ys).sum() for xs, ys in zip(x.split(500), y.split(500), strict=True)]
        return float(torch.stack(wrong).sum()) / len(y)


def gradient_variance(knobs: Any, pictures: Pictures, labels: Tensor) -> Iterator[Array]:
    """Yield the variance of the gradient from batch to batch, (2, ms), over that of B images with one view each.

    Row 0: of B images with m views each, which is batch augmentation. Row 1: of m · B images with one view each. Of a
    small dense network at initialization, on images averaged to some 8 pixels a side: `Fleet` computes the gradients of
    many batches at once, each as a network of its own that has the weights of all. Estimates get better one by one.
    """
    most, draw = ms(knobs)[-1], rng(knobs.seed, "variance")
    shape, device, cut = pictures.shape, labels.device, holes(knobs)
    by, each = max(1, min(shape[1:]) // PROBE_SIDE), PROBE_BATCHES // PROBE_PARTS
    inputs = shape[0] * math.ceil(shape[1] / by) * math.ceil(shape[2] / by)
    sizes = (inputs, PROBE_UNITS, int(labels.max()) + 1)
    fleet = Fleet(2 * each * most, sizes, activation=relu, loss="cross entropy", device=device)
    fleet.initialise(he, knobs.seed)
    for weight in fleet.weights:
        weight.copy_(weight[:1].clone().expand_as(weight))
    sums = squares = torch.zeros((), dtype=torch.float64)
    for part in range(1, PROBE_PARTS + 1):
        rows = torch.randint(len(labels), (2, each, most, PROBE_B), generator=draw)
        rows[0] = rows[0, :, :1]  # the same pictures for every view
        rows = rows.view(-1).to(device)
        centres = cut.centres(len(rows), shape[1:], draw)
        views = pictures.views(rows, draw, cut, centres, knobs.shift, mirror=knobs.dataset in MIRRORED)
        x = smaller(views, by).flatten(1).view(fleet.nets, PROBE_B, inputs)
        fleet.backward(x, labels[rows].view(fleet.nets, PROBE_B))
        gradient = torch.cat([grad.flatten(1) for grad in (*fleet.weight_grads, *fleet.bias_grads)], dim=1).cpu()
        gradient = gradient.double().view(2, each, most, -1).cumsum(dim=2)
        means = torch.stack([gradient[:, :, m - 1] / m for m in ms(knobs)], dim=2)  # (2, batches, ms, parameters)
        sums, squares = sums + means.sum(dim=1), squares + means.square().sum(dim=1)
        seen = part * each
        variance = ((squares - sums.square() / seen) / (seen - 1)).sum(dim=2)  # (2, ms)
        yield (variance / variance[:, :1]).numpy()


def ms(knobs: Any) -> list[int]:
    """Return how many views the gradient's variance is measured for."""
    most = min(max(*knobs.augmentations, 2), 8)
    return [m for m in (1, 2, 4, 8) if m <= most]


def accumulated(knobs: Any, pictures: Pictures, labels: Tensor, m: int = 4) -> list[float]:
    """How far the gradient of one batch of B · m views is from the mean of m gradients of B views each.

    The largest difference over the largest entry; with batch norm standing still, then with batch norm of the batch.
    """
    learner, draw = (
        Learner(knobs, Kind(m), pictures, labels, int(labels.max()) + 1, knobs.seed),
        rng(0, "accumulated"),
    )
    dtype = torch.float32 if labels.device.type == "mps" else torch.float64
    rows = torch.randint(len(labels), (8,), generator=draw).repeat(m).to(labels.device)
    batch = learner.views(rows, draw, learner.holes.centres(len(rows), pictures.shape[1:], draw)).to(dtype)
    net, found = learner.net.to(dtype), []
    for training in (False, True):
        net.train(training)

        def gradient(x: Tensor, y: Tensor) -> Tensor:
            loss = functional.cross_entropy(net(x), y)
            return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(net.parameters()))])

        at_once = gradient(batch, labels[rows])
        parts = zip(batch.chunk(m), labels[rows].chunk(m), strict=True)
        mean = torch.stack([gradient(*part) for part in parts]).mean(dim=0)
        found.append(float((at_once - mean).abs().max() / at_once.abs().max()))
    return found


def mosaic(knobs: Any, shown: Pictures, frozen: Tensor, draw: torch.Generator) -> Array:
    """Return each image as it is, in fresh views, and in a view of its frozen copy, as the source of an image trace.

    Args:
        knobs: of the lesson.
        shown: the images.
        frozen: the holes' centres of their copies.
        draw: for the views.
    """
    cut, (_, height, width), rows = holes(knobs), shown.shape, torch.arange(len(shown.pixels))
    tiles = [shown.pixels]
    for i in range(SHOWN_VIEWS + 1):
        copied = i == SHOWN_VIEWS
        centres = frozen if copied else cut.centres(len(rows), (height, width), draw)
        at, mirror = rows.to(shown.pixels.device), knobs.dataset in MIRRORED
        view = shown.views(at, draw, cut, centres, knobs.shift, mirror=mirror, frozen=copied)
        tiles.append(shown.colours(view))
    pixels = torch.stack(tiles, dim=1).cpu().numpy()  # (images, tiles, height, width, channels)
    whole = np.zeros((len(rows), height + GAP, len(tiles), width + GAP, 4), np.uint8)
    whole[:, :height, :, :width, :3] = brightened(pixels, shown.shape).transpose(0, 2, 1, 3, 4)
    whole[:, :height, :, :width, 3] = 255
    return np.array(png(whole.reshape(len(rows) * (height + GAP), -1, 4)))


def brightened(pixels: Array, shape: tuple[int, int, int]) -> Array:
    """Pixels as they are; those of the 8 × 8 digits, which end at 16, as bright as others."""
    return np.asarray(np.minimum(pixels.astype(int) * (16 if shape[1] == 8 else 1), 255))


class Observer:
    """What is drawn and measured at one moment. It changes nothing about the networks, nor about their generators."""

    def __init__(self, knobs: Any, whole: Dataset, learners: Sequence[Sequence[Learner]], evaluations: int) -> None:
        self.knobs, self.learners = knobs, learners
        shape = (len(learners), evaluations)
        self.points = {name: np.full(shape, np.nan, dtype="f4") for name in ("errors", "steps_at", "seconds_at")}
        self.tested, self.draw = 0, rng(knobs.seed, "shown")
        rows = torch.tensor([i % len(whole.y_train) for i in knobs.pictures], device=whole.y_train.device)
        self.shown = Pictures(whole.x_train[rows], whole.shape, like=learners[0][0].pictures)
        self.frozen = holes(knobs).centres(len(rows), whole.shape[1:], self.draw)

    def frame(self, epoch: float, errors: Array | None, **curves: Any) -> Frame:
        """Return the counts, and the errors where they were measured: (series, seeds)."""
        counts = {name: [[getattr(one, name) for one in made] for made in self.learners] for name in COUNTS}
        found: dict[str, Any] = {**curves, **{name: np.array(each, dtype=float) for name, each in counts.items()}}
        snapshots: dict[str, Any] = {}
        if errors is not None:
            found["test_error"] = errors
            for name, values in (("errors", errors), ("steps_at", found["steps"]), ("seconds_at", found["seconds"])):
                self.points[name][:, self.tested] = values.mean(axis=1)
                snapshots[name] = self.points[name].copy()
            self.tested += 1
            if self.knobs.compare == "cutout lengths":
                snapshots["last_errors"] = errors
            snapshots["shown"] = mosaic(self.knobs, self.shown, self.frozen, self.draw)
        return Frame(epoch, found, snapshots, epoch / self.knobs.epochs)


def counted(knobs: Any, whole: Dataset) -> dict[str, Any]:
    """Return what can be counted before any step: parameters, and how much the holes hide."""
    _, height, width = whole.shape
    drawn = holes(knobs).centres(AREA_MASKS, (height, width), rng(knobs.seed, "area"))
    each = (torch.arange(side).expand(AREA_MASKS, -1) for side in (height, width))
    hidden = holes(knobs).hidden(drawn, *each) if knobs.cutout_length else torch.zeros(1)
    parameters = [
        *size(44),
        *size(44, shortcut="projection"),
        size(knobs.depth, whole.shape[0], len(whole.classes), knobs.shortcut)[0],
    ]
    return {"parameters": parameters, "masked_area": [hidden.double().mean(), holes(knobs).area(height, width)]}


def an_epoch(recording: Recording) -> dict[str, Array]:
    """Return what each network counted in a mean epoch, each (series, seeds); nothing before one is over."""
    steps = recording.steps()
    whole = np.flatnonzero((steps >= 1) & (steps == np.round(steps)))
    if not len(whole):
        return {}
    at = {name: dict(zip(*map(list, recording.curve(name)), strict=True)) for name in COUNTS}
    return {name: np.asarray(at[name][whole[-1]]) / steps[whole[-1]] for name in COUNTS}


# ---- charts --------------------------------------------------------------------------------------------------------


def images_chart(knobs: Any) -> Panel:
    """Return the images with their holes."""
    _, height, width = data.SOURCES[knobs.dataset].shape
    names = ["as it is", *[f"view {i}" for i in range(1, SHOWN_VIEWS + 1)], "frozen copy"]
    wide, high = (width + GAP) * len(names), (height + GAP) * len(knobs.pictures)
    cut = f"{knobs.holes} hole{'s' * (knobs.holes > 1)} of {knobs.cutout_length} × {knobs.cutout_length} pixels"
    caption = (
        f"Images {', '.join(map(str, knobs.pictures))} of the set, new views of them with {cut}, and a copy whose hole "
        "was cut once: it moves with its image and never changes."
    )
    middles = [(i + 0.5) * (width + GAP) - GAP / 2 for i in range(len(names))]
    x = axis("", range=(-0.5, wide - 0.5), ticks=middles, labels=names, showgrid=False, constrain="domain")
    y = {"visible": False, "range": [high - 0.5, -0.5], "scaleanchor": "x", "constrain": "domain"}
    shown = Switch(Image(name="views", hoverinfo="skip"), {"source": "shown"})
    return chart("What the networks are shown", caption, [shown], x=x, y=y)


def variance_chart(knobs: Any) -> Panel:
    """Return how the gradient's variance falls with M."""
    at = ms(knobs)
    ends = (0.9, at[-1] * 1.1)
    drawn: list[Any] = [reference(ends, [1, 1], "B images")]
    for i, (name, shade, dash) in enumerate(
        (("B images, M views", COLOURS[8], "solid"), ("M · B images", COLOURS[9], "dash"))
    ):
        line = {"color": shade, "dash": dash}
        trace = Scatter(x=at, name=name, mode="lines+markers", line=line, marker={"size": 9}, meta={"label": name})
        drawn.append(Switch(trace, {"y": ("variance", i)}))
    return chart(
        "Variance of the gradient",
        f"Variance of a small network's gradient from batch to batch, over that of B images with one view each; "
        f"{PROBE_BATCHES} batches of B = {PROBE_B}. More views of the same images help, other images help more.",
        drawn,
        x=axis("M", log=True, ticks=at, range=ends),
        y=axis("variance", log=True, ticks=[0.1, 0.2, 0.3, 0.5, 0.7, 1], range=(0.7 / at[-1], 1.3)),
    )


def against(name: str, caption: str, x: tuple[str, Mapping[str, Any]], styles: Sequence[Any]) -> Panel:
    """Return test error against a table of the same shape.

    Args:
        name: title.
        caption: what is to be seen.
        x: the table, and the axis along which it lies.
        styles: name, color and dash of each series.
    """
    table, along = x
    drawn = []
    for i, (label, shade, dash) in enumerate(styles):
        line = {"color": shade, "dash": dash, "width": 2}
        trace = Scatter(name=label, mode="lines+markers", line=line, marker={"size": 5}, meta={"label": label})
        drawn.append(Switch(trace, {"x": (table, i), "y": ("errors", i)}))
    return chart(name, caption, drawn, x=along, y=axis("test error", range=(0, 1), format=".0%"))


def lengths_chart(lengths: Sequence[int], repeats: int) -> Panel:
    """Return test error by cutout length, beside what was published of much longer trainings."""
    published = [
        reference([0, 16], [error / 100 for error in pair], f"{net}, DeVries and Taylor 2017", mode="lines+markers")
        for net, pair in DEVRIES.items()
    ]
    errors = [
        dots("last_errors", i, [length] * repeats, f"length={length}", colour(i)) for i, length in enumerate(lengths)
    ]
    caption = (
        "A dot for each seed, beside what DeVries and Taylor report for lengths 0 and 16 after 200 epochs on all of "
        "CIFAR-10: there the network has memorized its training set, and here it is far from it."
    )
    x, y = axis("cutout length", ticks=lengths), axis("test error", range=(0, 1), format=".0%")
    return chart("Test error by cutout length", caption, [*published, *errors], x=x, y=y)


def baseline_chart() -> Panel:
    """Return what the notebook printed of its baseline, and where its learning rate was to fall."""
    shown = [
        reference([80, 80], [0.0, 0.6], "its learning rate was to fall here"),
        reference([0, 100], [0.0717] * 2, "He et al. 2016: 7.17 %"),
        reference(
            list(range(1, len(BASELINE) + 1)),
            [1 - each / 10_000 for each in BASELINE],
            "the notebook, 66 epochs",
            line={"color": COLOURS[7], "width": 2},
            opacity=1,
        ),
    ]
    caption = (
        "Error on the test set that the notebook printed for ResNet-44 without cutout, and by which it decided when to "
        "stop: 12.49 % at best, at epoch 46, and the end at 66, by early stopping with a patience of 20. The learning "
        "rate was 0.001 throughout."
    )
    y = axis("test error", range=(0, 0.6), format=".0%")
    return chart("The notebook's baseline", caption, shown, x=axis("epochs", range=(0, 100)), y=y)
