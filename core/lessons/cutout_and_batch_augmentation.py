"""Do M views of each picture in a step teach more than one? (notebook 004, problem 4; Hoffer et al. 2020)

Residual nets read small pictures, each view of them moved, mirrored and with a hole cut out. With batch augmentation a
step sees M fresh views of each of its B pictures, and an epoch has as many steps as before. Beside them train the
notebook's nets: M copies of the whole set with holes that were cut once, which is an epoch of M times as many steps.
"""

import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import MultiStepLR

from core import data, prose
from core.claims import Claim, resolves
from core.cost import Cost
from core.data import Dataset
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson, finite, noted_sizes, sizes_of
from core.narrator import Diverges, Levels, Watch
from core.nets import he, relu
from core.panels import COLOURS, Panel, Switch, lines, png, reference
from core.traces import Image, Scatter
from core.training.fleet import OPTIMIZERS, Fleet
from core.training.resnet import ResNet, Shortcut, multiplications, size
from core.training.views import Holes, Pictures, Shift, reach, smaller

LOOKS, TESTS = 60, 10  # about so many frames, and so many of them with test errors
QUARTERS = (2, 3)  # of the training, after which a rate in steps falls to a tenth
MIRRORED = ("cifar10", "fashion-mnist")  # a mirrored digit is another sign
PROBE_BATCHES, PROBE_B, PROBE_SIDE, PROBE_UNITS = 200, 4, 8, 16  # the small net on which gradients scatter
PROBE_MOST = 8  # views of a picture there, at most
PROBE_PARTS = 5
AGAIN = 100  # views seen before, of which at most 5 may have their holes where they were: by chance one in 64 does
AREA_MASKS = 4096
COUNTS = ("steps", "read", "again", "same", "seconds")  # of each net so far
SHOWN_VIEWS, GAP = 3, 2  # of each picture that is shown; pixels between them
NOTEBOOK_FIRST = {8: (0.7432, 0.7436, 0.7803, 0.8596, 0.8311), 2: (0.4884, 0.6893, 0.6408, 0.6936, 0.6094)}
T95 = {3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895}  # Student's t by seeds: 95 % lie below
HOFFER = "Hoffer et al. 2020, CVPR"


class CutoutKnobs(Knobs):
    """What may be turned."""

    augmentations: tuple[int, ...] = knob((1, 4), "M, the views of each picture in one step: one net for each, side by side", 1, 40, stops=(1, 2, 4, 8, 16, 40), label="augmentations M", shown=True)  # fmt: skip
    frozen_copies: Literal["none", "beside", "instead"] = knob("beside", "nets on the notebook's M copies of the set, with holes cut once: none, beside the others (for M above 1), or instead of them", shown=True)  # fmt: skip
    cutout_length: int = knob(12, "side of the square that is cut out, in pixels; 0 cuts nothing", 0, 24, stops=(0, 4, 8, 12, 16, 20, 24), shown=True)  # fmt: skip
    holes: int = knob(1, "squares cut out of each view", 1, 4, stops=(1, 2, 3, 4), shown=True)
    fill: Literal["mean", "black"] = knob("mean", "what stands in a hole: the mean colour, which the net reads as 0, or black as in the notebook")  # fmt: skip
    shift: Shift = knob("crop", "how far a view may move: an eighth of the side with mean colour at the border, the notebook's tenth with its edge repeated, or not at all")  # fmt: skip
    pictures: tuple[int, ...] = knob((7, 3), "which pictures of the set are shown with their holes; 7 and 3 are the notebook's", 0, 49_999, stops=(0, 3, 7, 12, 25), most=4, label="pictures shown")  # fmt: skip
    depth: int = knob(8, "layers of the net: 6n + 2", 8, 56, stops=(8, 14, 20, 26, 32, 38, 44, 50, 56))
    shortcut: Shortcut = knob("padding", "what leads past a block that changes the size: nothing to learn, or the notebook's 1 × 1 convolution")  # fmt: skip
    shrink: int = knob(4, "side of the squares of pixels that are averaged before the net reads a view: 1 is the whole picture, 2 four times as quick", 1, 4, stops=(1, 2, 3, 4))  # fmt: skip
    examples: int = knob(2000, "pictures to learn from, at most as many as the set has", 50, 60_000, stops=(500, 1000, 2000, 4000, 10_000, 50_000))  # fmt: skip
    tests: int = knob(1000, "unseen pictures that judge the nets", 50, 10_000, stops=(500, 1000, 2000, 5000, 10_000))  # fmt: skip
    epochs: int = knob(2, "how often a net sees every picture, M views at a time", 1, 200, stops=(1, 2, 3, 5, 10, 15, 20, 50, 100, 200))  # fmt: skip
    batch_size: int = knob(32, "B, the pictures of one step; with M views each a step reads M · B", 8, 256, stops=(8, 16, 32, 64, 128, 256))  # fmt: skip
    optimizer: Literal["sgd", "momentum", "nesterov", "adam"] = knob("adam", "how a gradient becomes a step")
    learning_rate: float = knob(0.003, "how far a step moves the weights", 0.0001, 1.0, stops=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1))  # fmt: skip
    schedule: Literal["constant", "steps"] = knob("steps", "whether the rate stays, or falls to a tenth after half of the epochs and again after three quarters")  # fmt: skip
    weight_decay: float = knob(0.0001, "pull of every weight towards 0, added to its gradient", 0.0, 0.01, stops=(0.0, 0.0001, 0.0002, 0.0005, 0.001))  # fmt: skip
    dataset: Literal["cifar10", "fashion-mnist", "mnist", "digits"] = knob("cifar10", "what is learned; digits needs no download")  # fmt: skip
    seeds: int = knob(1, "repeats with other examples, order, views and start: how much is chance", 1, 8, stops=(1, 2, 3, 4, 5, 8))  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _depth_divides(self) -> Self:
        """A block has two layers and a stage as many blocks as the others."""
        if left := (self.depth - 2) % 6:
            raise ValueError(
                f"depth = {self.depth} is not 6n + 2; {self.depth - left} or {min(self.depth - left + 6, 56)} would do"
            )
        return self


Kind = tuple[int, bool]
"""M, and whether it is the notebook's frozen copies."""


def kinds(knobs: CutoutKnobs) -> list[Kind]:
    """What trains side by side."""
    fresh = [(m, False) for m in knobs.augmentations] if knobs.frozen_copies != "instead" else []
    least = {"none": math.inf, "beside": 2, "instead": 1}[knobs.frozen_copies]
    return fresh + [(m, True) for m in knobs.augmentations if m >= least]


def called(kind: Kind) -> str:
    """Its name in charts and facts."""
    return f"M={kind[0]}, frozen" if kind[1] else f"M={kind[0]}"


def series(knobs: CutoutKnobs) -> list[str]:
    """One net per M and way."""
    return [called(kind) for kind in kinds(knobs)]


# ---- the nets ------------------------------------------------------------------------------------------------------


def chance(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, so that no draw repeats another."""
    mixed = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(mixed.generate_state(1)[0]))


class Learner:
    """One net with its views: what a step of it is, is the whole lesson.

    All nets of a seed start alike and meet the same pictures in the same order; each draws views of its own.
    """

    def __init__(
        self, knobs: CutoutKnobs, kind: Kind, pictures: Pictures, labels: Tensor, classes: int, seed: int
    ) -> None:
        self.knobs, (self.m, self.frozen), self.pictures, self.labels = knobs, kind, pictures, labels
        self.holes, n = holes(knobs), len(labels)
        self.net = ResNet(knobs.depth, pictures.shape[0], classes, knobs.shortcut, labels.device)
        self.net.initialise(chance(seed, "start"))
        decay = {"weight_decay": knobs.weight_decay}
        self.optimizer = OPTIMIZERS[knobs.optimizer](self.net.parameters(), lr=knobs.learning_rate, **decay)
        all_steps = knobs.epochs * -(-n * (self.m if self.frozen else 1) // knobs.batch_size)
        falls = [-(-all_steps * quarter // 4) for quarter in QUARTERS if knobs.schedule == "steps"]
        self.schedule = MultiStepLR(self.optimizer, falls)
        self.order, self.chance = chance(seed, "order"), chance(seed, f"views {kind}")
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
        """What the net reads of these pictures."""
        mirror = self.knobs.dataset in MIRRORED
        views = self.pictures.views(
            rows, chance, self.holes, centres, self.knobs.shift, mirror=mirror, frozen=self.frozen
        )
        return smaller(views, self.knobs.shrink)

    def error(self, x: Tensor, y: Tensor) -> float:
        """Share of pictures that it misreads."""
        self.net.eval()
        with torch.no_grad():
            wrong = [(self.net(xs).argmax(1) != ys).sum() for xs, ys in zip(x.split(500), y.split(500), strict=True)]
        return float(torch.stack(wrong).sum()) / len(y)


def examples(knobs: CutoutKnobs) -> int:
    """How many pictures there are to learn from: as many as were asked for, if the set has them."""
    return min(knobs.examples, data.sizes(knobs.dataset)[0])


def tests(knobs: CutoutKnobs) -> int:
    """How many unseen pictures judge the nets, likewise."""
    return min(knobs.tests, data.sizes(knobs.dataset)[1])


def holes(knobs: CutoutKnobs) -> Holes:
    """What is cut out."""
    return Holes(knobs.cutout_length, knobs.holes, knobs.fill)


def train(knobs: CutoutKnobs, device: torch.device) -> Iterator[Frame]:
    """Every net, slice by slice of an epoch, so that all curves grow together."""
    whole = data.load(knobs.dataset, device)
    judged = torch.randperm(len(whole.y_test), generator=chance(knobs.seed, "tests"))[: knobs.tests].to(device)
    learners: list[list[Learner]] = [[] for _ in kinds(knobs)]  # (series, seeds)
    for seed in range(knobs.seed, knobs.seed + knobs.seeds):
        x, y = data.subset(whole, examples(knobs), seed)
        pictures = Pictures(x, whole.shape)
        for kind, made in zip(kinds(knobs), learners, strict=True):
            made.append(Learner(knobs, kind, pictures, y, len(whole.classes), seed))
    first = learners[0][0].pictures
    x_test, y_test = Pictures(whole.x_test[judged], whole.shape, like=first).plain(), whole.y_test[judged]
    x_test = smaller(x_test, knobs.shrink)

    n, look = len(learners[0][0].labels), Look(knobs, whole, learners)
    slices = max(1, min(round(LOOKS / knobs.epochs), -(-n // knobs.batch_size)))  # of an epoch
    ends = np.linspace(0, slices * knobs.epochs, min(TESTS, slices * knobs.epochs) + 1).round().astype(int).tolist()

    def scores() -> Array:
        return np.array([[one.error(x_test, y_test) for one in made] for made in learners])

    yield look.frame(0.0, scores(), **counted(knobs, whole))
    yield Frame(0, {}, {"note": np.array(whole.note), **noted_sizes(knobs.dataset)})
    for variances in gradient_variance(knobs, first, learners[0][0].labels):
        yield Frame(0, {}, {"variance": variances})
    yield Frame(0, {"gradient_difference": accumulated(knobs, first, learners[0][0].labels)})
    for k in range(slices * knobs.epochs):
        if k % slices == 0:
            steps = [[one.epoch() for one in made] for made in learners]
        losses = []
        for made, plans in zip(learners, steps, strict=True):
            cuts = np.linspace(0, len(plans[0]), slices + 1).round().astype(int)[k % slices :][:2]
            losses.append([one.learn(plan[slice(*cuts)]) for one, plan in zip(made, plans, strict=True)])
        at = (k + 1) / slices
        yield look.frame(at, scores() if k + 1 in ends else None, train_loss=np.array(losses))


def settings(knobs: CutoutKnobs) -> Mapping[str, Any]:
    """For the script, several to a line: its nets, what a view is, the net, the examples, and how it learns."""
    source, rule = data.SOURCES[knobs.dataset], "adam" if knobs.optimizer == "adam" else "sgd"
    border = "replicate" if knobs.shift == "notebook" else "constant"
    views = (knobs.cutout_length, knobs.holes, knobs.fill, reach(knobs.shift, source.shape[1]), border)
    examples = (source.published or knobs.dataset, knobs.examples, knobs.tests, knobs.epochs, knobs.batch_size)
    rate = (knobs.learning_rate, QUARTERS if knobs.schedule == "steps" else ())
    inertia = (0.9 if knobs.optimizer in ("momentum", "nesterov") else 0.0, knobs.optimizer == "nesterov")
    return {
        "nets": tuple((called(kind), *kind) for kind in kinds(knobs)),
        "cutout_length, holes, fill, reach, border, mirrored": (*views, knobs.dataset in MIRRORED),
        "depth, shortcut, shrink": (knobs.depth, knobs.shortcut, knobs.shrink),
        "dataset, examples, tests, epochs, batch_size, seeds, seed": (*examples, knobs.seeds, knobs.seed),
        "optimizer, learning_rate, falls, momentum, nesterov, weight_decay": (rule, *rate, *inertia, knobs.weight_decay),
    }  # fmt: skip


def counted(knobs: CutoutKnobs, whole: Dataset) -> dict[str, Any]:
    """What can be counted before any step: parameters, and how much the holes hide."""
    _, height, width = whole.shape
    drawn = holes(knobs).centres(AREA_MASKS, (height, width), chance(knobs.seed, "area"))
    each = (torch.arange(side).expand(AREA_MASKS, -1) for side in (height, width))
    hidden = holes(knobs).hidden(drawn, *each) if knobs.cutout_length else torch.zeros(1)
    parameters = [
        *size(44),
        *size(44, shortcut="projection"),
        size(knobs.depth, whole.shape[0], len(whole.classes), knobs.shortcut)[0],
    ]
    return {"parameters": parameters, "masked_area": [hidden.double().mean(), holes(knobs).area(height, width)]}


def gradient_variance(knobs: CutoutKnobs, pictures: Pictures, labels: Tensor) -> Iterator[Array]:
    """How much the gradient scatters from batch to batch: (2, ms), over that of B pictures with one view each.

    Row 0: of B pictures with m views each, which is batch augmentation. Row 1: of m · B pictures with one view each. Of
    a small dense net as it starts, on pictures averaged to some 8 pixels a side: `Fleet` computes the gradient of many
    batches at once, each as a net of its own that has the weights of all. Estimates get better from one to the next.
    """
    most, draw = ms(knobs)[-1], chance(knobs.seed, "variance")
    shape, device, cut = pictures.shape, labels.device, holes(knobs)
    by, each = max(1, min(shape[1:]) // PROBE_SIDE), PROBE_BATCHES // PROBE_PARTS
    inputs = shape[0] * math.ceil(shape[1] / by) * math.ceil(shape[2] / by)
    fleet = Fleet(2 * each * most, (inputs, PROBE_UNITS, int(labels.max()) + 1), activation=relu, loss="cross entropy", device=device)  # fmt: skip
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


def ms(knobs: CutoutKnobs) -> list[int]:
    """How many views the gradient's scatter is measured for."""
    most = min(max(*knobs.augmentations, 2), PROBE_MOST)
    return [m for m in (1, 2, 4, 8) if m <= most]


def accumulated(knobs: CutoutKnobs, pictures: Pictures, labels: Tensor, m: int = 4) -> list[float]:
    """How far the gradient of one batch of B · m views is from the mean of m gradients of B views each.

    The largest difference over the largest entry; with batch norm standing still, then with batch norm of the batch.
    """
    learner, draw = (
        Learner(knobs, (m, False), pictures, labels, int(labels.max()) + 1, knobs.seed),
        chance(0, "accumulated"),
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


class Look:
    """What is drawn and measured at one moment. It changes nothing about the nets, nor about their chance."""

    def __init__(self, knobs: CutoutKnobs, whole: Dataset, learners: Sequence[Sequence[Learner]]) -> None:
        self.knobs, self.learners = knobs, learners
        shape = (len(learners), TESTS + 1)
        self.points = {name: np.full(shape, np.nan, dtype="f4") for name in ("errors", "steps_at", "seconds_at")}
        self.tested, self.draw = 0, chance(knobs.seed, "shown")
        rows = torch.tensor([i % len(whole.y_train) for i in knobs.pictures], device=whole.y_train.device)
        self.shown = Pictures(whole.x_train[rows], whole.shape, like=learners[0][0].pictures)
        self.frozen = holes(knobs).centres(len(rows), whole.shape[1:], self.draw)

    def frame(self, epoch: float, errors: Array | None, **curves: Any) -> Frame:
        """The counts, and the errors where they were measured: (series, seeds)."""
        counts = {name: [[getattr(one, name) for one in made] for made in self.learners] for name in COUNTS}  # fmt: skip
        found: dict[str, Any] = {**curves, **{name: np.array(each, dtype=float) for name, each in counts.items()}}
        pictures: dict[str, Any] = {}
        if errors is not None:
            found["test_error"] = errors
            for name, values in (("errors", errors), ("steps_at", found["steps"]), ("seconds_at", found["seconds"])):
                self.points[name][:, self.tested] = values.mean(axis=1)
                pictures[name] = self.points[name].copy()
            self.tested += 1
            pictures["shown"] = self.mosaic()
        return Frame(epoch, found, pictures, epoch / self.knobs.epochs)

    def mosaic(self) -> Array:
        """Each picture as it is, in fresh views, and in a view of its frozen copy, as the source of an image."""
        cut, (_, height, width), rows = holes(self.knobs), self.shown.shape, torch.arange(len(self.shown.pixels))
        tiles = [self.shown.pixels]
        for i in range(SHOWN_VIEWS + 1):
            frozen = i == SHOWN_VIEWS
            centres = self.frozen if frozen else cut.centres(len(rows), (height, width), self.draw)
            view = self.shown.views(
                rows.to(self.shown.pixels.device), self.draw, cut, centres, self.knobs.shift,
                mirror=self.knobs.dataset in MIRRORED, frozen=frozen,
            )  # fmt: skip
            tiles.append(self.shown.colours(view))
        pixels = torch.stack(tiles, dim=1).cpu().numpy()  # (pictures, tiles, height, width, channels)
        whole = np.zeros((len(rows), height + GAP, len(tiles), width + GAP, 4), np.uint8)
        whole[:, :height, :, :width, :3] = brightened(pixels, self.shown.shape).transpose(0, 2, 1, 3, 4)
        whole[:, :height, :, :width, 3] = 255
        return np.array(png(whole.reshape(len(rows) * (height + GAP), -1, 4)))


def brightened(pixels: Array, shape: tuple[int, int, int]) -> Array:
    """Pixels as they are; those of the 8 × 8 digits, which end at 16, as bright as others."""
    return np.asarray(np.minimum(pixels.astype(int) * (16 if shape[1] == 8 else 1), 255))


# ---- what is shown -------------------------------------------------------------------------------------------------


def panels(knobs: CutoutKnobs) -> list[Panel]:
    """Test error by epoch, the pictures, the same error by steps and by time, how gradients scatter, and train loss."""
    style: dict[str, Any] = {"colours": colours(knobs), "dashes": dashes(knobs)}
    band = knobs.seeds > 1
    over = f" Mean and range over {knobs.seeds} seeds." if band else ""
    epochs: dict[str, Any] = {"x": "epochs over the pictures", "band": band, "xaxis": {"range": [0, knobs.epochs]}}
    share: dict[str, Any] = {"range": [0, 1], "tickformat": ".0%"}
    most = max(len_of(knobs, kind) for kind in kinds(knobs)) * knobs.epochs
    marks = _notebook_marks(knobs) if comparable(knobs) else []
    return [
        lines(
            "Test error by epoch",
            f"Share of {tests(knobs):,} unseen pictures that each net misreads. Frozen copies take M times as many steps in an epoch.{over}",
            "test_error",
            series(knobs),
            y="misread",
            extra=marks,
            yaxis=share,
            **epochs,
            **style,
        ),
        _pictures_panel(knobs),
        _against(knobs, "Test error by steps", "The same errors against the steps of the optimizer: with fresh views, every M takes as many.", "steps_at", {"title": {"text": "steps"}, "range": [0, most]}),
        _against(knobs, "Test error by seconds", "The same errors against the time for which the net's own steps kept the processor busy: M views are M times the work.", "seconds_at", {"title": {"text": "seconds of training"}, "rangemode": "tozero"}),
        _variance_panel(knobs),
        lines(
            "Train loss",
            f"Mean cross-entropy of the views in the newest steps, holes and all.{over}",
            "train_loss",
            series(knobs),
            y="cross-entropy (nats)",
            yaxis={"rangemode": "tozero"},
            **epochs,
            **style,
        ),
    ]  # fmt: skip


def colours(knobs: CutoutKnobs) -> list[str]:
    """One colour for each M, fresh or frozen."""
    return [COLOURS[knobs.augmentations.index(m)] for m, _ in kinds(knobs)]


def dashes(knobs: CutoutKnobs) -> list[str]:
    """Frozen copies are dotted."""
    return ["dot" if frozen else "solid" for _, frozen in kinds(knobs)]


def len_of(knobs: CutoutKnobs, kind: Kind) -> int:
    """Steps of an epoch, to lay out an axis; what a claim says is counted."""
    return math.ceil(examples(knobs) * (kind[0] if kind[1] else 1) / knobs.batch_size)


def _notebook_marks(knobs: CutoutKnobs) -> list[Any]:
    return [
        reference(
            range(1, len(NOTEBOOK_FIRST[m]) + 1),
            [1 - each for each in NOTEBOOK_FIRST[m]],
            f"notebook, M={m}",
            mode="markers",
            marker={"symbol": "x", "size": 8, "color": COLOURS[knobs.augmentations.index(m)]},
        )
        for m in knobs.augmentations
        if m in NOTEBOOK_FIRST
    ]


def _against(knobs: CutoutKnobs, name: str, caption: str, x: str, axis: dict[str, Any]) -> Panel:
    drawn = [
        Switch(
            Scatter(name=label, mode="lines+markers", line={"color": colour, "dash": dash, "width": 2}, marker={"size": 5}, meta={"label": label}),
            {"x": (x, i), "y": ("errors", i)},
        )
        for i, (label, colour, dash) in enumerate(zip(series(knobs), colours(knobs), dashes(knobs), strict=True))
    ]  # fmt: skip
    return Panel(
        name,
        caption,
        drawn,
        {"xaxis": axis, "yaxis": {"title": {"text": "misread"}, "range": [0, 1], "tickformat": ".0%"}},
    )


def _pictures_panel(knobs: CutoutKnobs) -> Panel:
    _, height, width = data.SOURCES[knobs.dataset].shape
    names = ["as it is", *[f"view {i}" for i in range(1, SHOWN_VIEWS + 1)], "frozen copy"]
    wide, high = (width + GAP) * len(names), (height + GAP) * len(knobs.pictures)
    cut = f"{knobs.holes} hole{'s' * (knobs.holes > 1)} of {knobs.cutout_length} × {knobs.cutout_length} pixels"
    return Panel(
        "What the nets are shown",
        f"Pictures {', '.join(map(str, knobs.pictures))} of the set, new views of them with {cut}, and a copy whose hole was cut once: it moves with its picture and never changes.",
        [Switch(Image(name="views", hoverinfo="skip"), {"source": "shown"})],
        {
            "xaxis": {
                "range": [-0.5, wide - 0.5],
                "tickvals": [(i + 0.5) * (width + GAP) - GAP / 2 for i in range(len(names))],
                "ticktext": names,
                "showgrid": False,
                "constrain": "domain",
            },
            "yaxis": {"visible": False, "range": [high - 0.5, -0.5], "scaleanchor": "x", "constrain": "domain"},
        },
    )


def _variance_panel(knobs: CutoutKnobs) -> Panel:
    at = ms(knobs)
    ways = (("B pictures, M views", COLOURS[8], "solid"), ("M · B pictures", COLOURS[9], "dash"))
    drawn = [
        Switch(
            Scatter(x=at, name=name, mode="lines+markers", line={"color": colour, "dash": dash}, marker={"size": 9}, meta={"label": name}),
            {"y": ("variance", i)},
        )
        for i, (name, colour, dash) in enumerate(ways)
    ]  # fmt: skip
    return Panel(
        "How much the gradient scatters",
        f"Variance of a small net's gradient from batch to batch, over that of B pictures with one view each; {PROBE_BATCHES} batches of B = {PROBE_B}. More views of the same pictures help, other pictures help more.",
        [reference([0.9, at[-1] * 1.1], [1, 1], "B pictures"), *drawn],
        {
            "xaxis": {"title": {"text": "M"}, "type": "log", "tickvals": at, "range": [math.log10(0.9), math.log10(at[-1] * 1.1)]},
            "yaxis": {"title": {"text": "variance"}, "type": "log", "tickvals": [0.1, 0.2, 0.3, 0.5, 0.7, 1], "range": [math.log10(0.7 / at[-1]), math.log10(1.3)]},
        },
    )  # fmt: skip


def comparable(knobs: CutoutKnobs) -> bool:
    """Whether the notebook's errors speak about such a run: its net, its data, its copies."""
    return (knobs.depth, knobs.dataset, knobs.frozen_copies, knobs.shrink) == (44, "cifar10", "instead", 1)


# ---- what is stated ------------------------------------------------------------------------------------------------


def watches(knobs: CutoutKnobs) -> list[Watch]:
    """What the narrator may tell."""
    names = series(knobs)
    return [Diverges("train_loss", names, "train loss"), Levels("train_loss", names, "train loss"), Levels("test_error", names, "test error", form=".1%")]  # fmt: skip


def facts(knobs: CutoutKnobs, recording: Recording) -> Facts:
    """Errors at the end, what an epoch takes, what the holes hide, sizes, and how gradients scatter."""
    found: dict[str, float | None] = {}
    names, per_epoch, last = series(knobs), an_epoch(recording), {name: recording.last(name) for name in COUNTS}
    errors = recording.last("test_error")
    for i, name in enumerate(names):
        found[f"test_error[{name}]"] = finite(errors[i].mean())
        for fact, curve in (
            ("steps_per_epoch", "steps"),
            ("pictures_per_epoch", "read"),
            ("seconds_per_epoch", "seconds"),
        ):
            found[f"{fact}[{name}]"] = None if per_epoch is None else finite(per_epoch[curve][i].mean())
        again = last["again"][i].sum()
        found[f"masks_repeated[{name}]"] = finite(last["same"][i].sum() / again) if again else None
    gain = gains(knobs, recording)
    found["gain_at_equal_steps"] = None if gain is None else finite(gain.mean())
    found["gain_spread"] = None if gain is None or len(gain) < 2 else finite(gain.std(ddof=1))
    area, parameters = recording.last("masked_area"), recording.last("parameters")
    found[f"masked_area[length={knobs.cutout_length}]"] = finite(area[0])
    found["masked_area_expected"] = finite(area[1])
    for name, value in zip(SIZES, parameters, strict=False):
        found[name] = finite(value)
    found["parameters[this net]"] = finite(parameters[-1])
    variance = recording.picture("variance")
    for i, m in list(enumerate(ms(knobs)))[1:]:
        for way, row in (("views", 0), ("pictures", 1)):
            found[f"gradient_variance[{m} {way}]"] = None if variance is None else finite(variance[row, i])
    for i, name in enumerate(("gradient_difference", "gradient_difference[batch norm]")):
        there = "gradient_difference" in recording.curves
        found[name] = finite(recording.last("gradient_difference")[i]) if there else None
    return found


SIZES = ("parameters[resnet44]", "statistics[resnet44]", "parameters[resnet44 keras]", "statistics[resnet44 keras]")


def an_epoch(recording: Recording) -> dict[str, Array] | None:
    """What each net counted in a mean epoch, each (series, seeds), once one is over."""
    steps = recording.steps()
    whole = np.flatnonzero((steps >= 1) & (steps == np.round(steps)))
    if not len(whole):
        return None
    at = {name: dict(zip(*map(list, recording.curve(name)), strict=True)) for name in COUNTS}
    return {name: np.asarray(at[name][whole[-1]]) / steps[whole[-1]] for name in COUNTS}


def gains(knobs: CutoutKnobs, recording: Recording) -> Array | None:
    """Error with one view less that with four, after as many steps: (seeds,); None where a run lacks either."""
    ways = kinds(knobs)
    if (1, False) not in ways or (4, False) not in ways:
        return None
    errors = recording.last("test_error")
    return np.asarray(errors[ways.index((1, False))] - errors[ways.index((4, False))])


def claims(knobs: CutoutKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    frozen = [_frozen_steps(knobs, found)] if any(way for _, way in kinds(knobs)) else []
    return [
        _steps(knobs, found),
        *frozen,
        _fresh_masks(knobs, found, recording),
        _area(knobs, found),
        _accumulated(found),
        _scatter(knobs, found, recording),
        _equal_steps(knobs, recording, ended),
        _sizes(found),
        _full_recipe(knobs, recording, ended),
    ]


def _steps(knobs: CutoutKnobs, found: Facts) -> Claim:
    counts = {m: found[f"steps_per_epoch[M={m}]"] for m, frozen in kinds(knobs) if not frozen}
    known = bool(counts) and None not in counts.values()
    return Claim(
        "With batch augmentation an epoch takes as many steps, whatever M is",
        ", ".join(f"M={m}: {steps:g}" for m, steps in counts.items()) if known else "",
        "the same number for every M",
        len(set(counts.values())) == 1 if known and len(counts) > 1 else None,
        "counted in this run",
        notebook="75, 139 and 286 s an epoch at M = 2, 4 and 8: its epochs grew with M",
        literature=f"{HOFFER}: each step has B pictures × M views",
        hint="it takes two values of M with fresh views, and a whole epoch",
    )


def _frozen_steps(knobs: CutoutKnobs, found: Facts) -> Claim:
    counts = {m: found[f"steps_per_epoch[M={m}, frozen]"] for m, frozen in kinds(knobs) if frozen}
    said = {m: steps for m, steps in counts.items() if steps is not None}
    kind = kinds(knobs)[0]
    n = (found[f"pictures_per_epoch[{called(kind)}]"] or math.nan) / kind[0]  # of which each is read M times
    right = all(steps == math.ceil(n * m / knobs.batch_size) for m, steps in said.items())
    return Claim(
        "M frozen copies are a set M times as long: an epoch takes M times as many steps",
        ", ".join(f"M={m}: {steps:g}" for m, steps in said.items()),
        "M · n / B steps, rounded up",
        right if said else None,
        "counted in this run",
        notebook="np.repeat, batches of 64: 75, 139 and 286 s an epoch at M = 2, 4 and 8",
        hint="it takes a whole epoch",
    )


def _fresh_masks(knobs: CutoutKnobs, found: Facts, recording: Recording) -> Claim:
    enough = bool((recording.last("again").sum(axis=1) >= AGAIN).all())
    shares = {kind: found[f"masks_repeated[{called(kind)}]"] for kind in kinds(knobs)}
    known = {kind: share for kind, share in shares.items() if share is not None}
    return Claim(
        "From epoch to epoch fresh views have other holes, and frozen copies the same",
        ", ".join(f"{called(kind)}: {share:.2%} where they were" for kind, share in known.items()),
        "fresh at most 5 %, frozen 100 %",
        all(share == 1.0 if frozen else share <= 0.05 for (_, frozen), share in known.items())
        if known and enough
        else None,
        "counted in this run, from the second epoch on",
        notebook="one cutout for each copy, before training",
        literature="DeVries and Taylor 2017: a new place each time a picture is loaded",
        hint=f"it takes {AGAIN} views that were seen before: two epochs, and enough pictures",
    )


def _area(knobs: CutoutKnobs, found: Facts) -> Claim:
    area, expected = found[f"masked_area[length={knobs.cutout_length}]"], found["masked_area_expected"]
    known = area is not None and expected is not None
    _, height, width = data.SOURCES[knobs.dataset].shape
    whole = knobs.cutout_length**2 / (height * width)
    one = f"; one whole square would be {whole:.1%}" if known and knobs.holes == 1 else ""
    return Claim(
        "Squares may stick out at the border, so they hide less than their area",
        f"{area:.2%} hidden{one}" if area is not None else "",
        f"{expected:.2%} ± 0.5 points" if expected is not None else "what clipped squares cover, ± 0.5 points",
        abs(area - expected) <= 0.005 if area is not None and expected is not None and knobs.cutout_length else None,
        f"the mean over all places of the centre; {AREA_MASKS:,} drawn masks",
        literature="of 32 × 32 pixels 11.5 % at length 12 and 19.1 % at 16, not 14.1 % and 25 %",
        hint="it takes a hole: a cutout length above 0",
    )


def _accumulated(found: Facts) -> Claim:
    still, moving = found["gradient_difference"], found["gradient_difference[batch norm]"]
    return Claim(
        "Without batch norm's statistics, the gradient of B · M views is the mean of M gradients of B views",
        f"{still:.1g} apart; {moving:.1g} with batch norm, whose means are of the batch" if still is not None and moving is not None else "",
        "less than 1e-5 of the largest entry",
        still < 1e-5 if still is not None else None,
        "this net as it starts, B = 8, M = 4; double precision where the device has it",
        hint="it is measured before the first step",
    )  # fmt: skip


def _scatter(knobs: CutoutKnobs, found: Facts, recording: Recording) -> Claim:
    m = ms(knobs)[-1]
    views, pictures = found[f"gradient_variance[{m} views]"], found[f"gradient_variance[{m} pictures]"]
    enough = len(recording.picture_changes("variance")) >= PROBE_PARTS
    differ = knobs.shift != "none" or knobs.cutout_length > 0 or knobs.dataset in MIRRORED
    return Claim(
        "More views of a picture calm the gradient, other pictures calm it more",
        f"M = {m}: {views:.3f} with views, {pictures:.3f} with pictures, of the variance at B" if views is not None and pictures is not None else "",
        "views below 1, pictures below views",
        1.0 > views > pictures if views is not None and pictures is not None and enough and differ else None,
        f"{PROBE_BATCHES} batches of {PROBE_B}, a dense net of {PROBE_UNITS} units as it starts",
        literature=f"{HOFFER}: Var(g) at B ≥ B pictures × M views ≥ M · B pictures",
        hint="it is measured before the first step, where views of a picture differ at all",
    )  # fmt: skip


def _equal_steps(knobs: CutoutKnobs, recording: Recording, ended: bool) -> Claim:
    gain, errors = gains(knobs, recording), recording.last("test_error")
    count = min(knobs.tests, sizes_of(knobs.dataset, recording)[1])
    said, holds = "", None
    if gain is not None:
        said = f"{gain.mean() * 100:+.1f} points better with four"
        if len(gain) in T95:
            reach = T95[len(gain)] * float(gain.std(ddof=1)) / math.sqrt(len(gain))
            said += f", ± {reach * 100:.1f} over {len(gain)} seeds"
            learned = bool((errors.mean(axis=1) < 0.8).all()) and resolves(0.005, count * knobs.seeds)
            if ended and learned and gain.mean() - reach >= -0.005:
                holds = True
            elif ended and learned and gain.mean() + reach < -0.005:
                holds = False
    return Claim(
        "After as many steps, four views of each picture err no more than one",
        said,
        "at most half a point more, sure at 95 % over three seeds or more",
        holds,
        f"this run, {count:,} unseen pictures",
        notebook="no net with M = 1 and cutout, and never equal steps",
        literature=f"{HOFFER}: fewer steps to the same error, each of M times the work",
        hint="one seed is chance: it takes M = 1 and 4 with fresh views, three seeds, 1,200 answers over the seeds (half a point of them is six), nets that have learned something, and a difference that the seeds agree on",
    )


def _sizes(found: Facts) -> Claim:
    plain, keras, statistics = (found[name] for name in (SIZES[0], SIZES[2], SIZES[3]))
    known = plain is not None and keras is not None and statistics is not None
    return Claim(
        "ResNet-44 has 658,586 parameters; with the notebook's shortcuts and biases 662,826, and 3,168 running statistics",
        f"{plain:,.0f}; {keras:,.0f} and {statistics:,.0f}" if known else "",
        "658,586; 662,826 and 3,168, which make 665,994",
        (plain, keras, statistics) == (658_586, 662_826, 3_168) if known else None,
        "counted in the nets that this lesson trains",
        notebook="665,994, of which 662,826 are trained",
        literature="He et al. 2016: 0.66 million",
        hint="it is counted before the first step",
    )


def _full_recipe(knobs: CutoutKnobs, recording: Recording, ended: bool) -> Claim:
    full = (knobs.dataset, knobs.depth, knobs.shrink) == ("cifar10", 44, 1) and knobs.examples >= 50_000 and knobs.tests >= 10_000  # fmt: skip
    fresh = [i for i, (_, frozen) in enumerate(kinds(knobs)) if not frozen]
    enough = full and bool(fresh) and knobs.epochs >= 100
    note = recording.picture("note")
    best = float(recording.last("test_error")[fresh].mean(axis=1).min()) if fresh else math.nan
    return Claim(
        "ResNet-44 with the full recipe misreads at most 8 % of CIFAR-10's test pictures",
        f"{best:.2%}" if enough else "",
        "8.0 % or less",
        best <= 0.08 if enough and ended else None,
        f"He et al. 2016, on the published pictures. {'' if note is None else note.item()}".rstrip(),
        notebook="12.49 % at best, at epoch 46 of 66, before its rate ever fell",
        literature="He et al. 2016: 7.17 %",
        hint='two cores cannot decide it; the preset "Done right" does on a GPU',
    )


def cost(knobs: CutoutKnobs) -> Cost:
    """The net's multiplications forward and back, its elementwise work, and the views."""
    channels, height, width = data.SOURCES[knobs.dataset].shape
    n, side = examples(knobs), math.ceil(max(height, width) / knobs.shrink)
    ways = kinds(knobs)
    read = float(n * knobs.epochs * knobs.seeds * sum(m for m, _ in ways))
    judged = float((TESTS + 1) * tests(knobs) * knobs.seeds * len(ways))
    steps = knobs.epochs * knobs.seeds * sum(len_of(knobs, kind) for kind in ways)
    probed = 2.0 * PROBE_BATCHES * ms(knobs)[-1] * PROBE_B
    maps = 16 * side**2 * (knobs.depth / 3) * (1 + 1 / 2 + 1 / 4)
    products = 2.0 * multiplications(knobs.depth, channels, side)
    flops = products * (3.0 * read + judged)
    numbers = maps * (24.0 * read + 6.0 * judged) + 40.0 * height * width * channels * (read + probed)
    largest = max(knobs.batch_size * (1 if frozen else m) for m, frozen in ways)
    held = 16.0 * maps * largest + 40.0 * height * width * channels * largest + 2.0 * height * width * channels * 6e4
    copies = 24.0 * knobs.seeds * n * knobs.holes * sum(m for m, _ in ways)
    return Cost(flops, numbers, 14.0 * steps * (knobs.depth + 8) + 4e3, held + copies + 3e8)


def shrunk(knobs: CutoutKnobs) -> CutoutKnobs:
    """Embedded digits, the smallest net, two short epochs; everything else as it was."""
    few = tuple(m for m in knobs.augmentations if m <= 4) or (2,)
    return knobs.model_copy(
        update={"dataset": "digits", "depth": 8, "examples": 50, "tests": 50, "epochs": 2, "batch_size": 25, "augmentations": few, "cutout_length": min(knobs.cutout_length, 4), "seeds": min(knobs.seeds, 2), "shrink": min(knobs.shrink, 2)}
    )  # fmt: skip


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    prefix = "test_error[M="
    errors = {
        name[len(prefix) : -1]: value for name, value in found.items() if name.startswith(prefix) and value is not None
    }
    if len(errors) < 2:
        return None
    said = ", ".join(f"M={name}: {error:.1%}" for name, error in errors.items())
    gain, spread = found.get("gain_at_equal_steps"), found.get("gain_spread")
    if gain is None:
        return f"Misread at the end: {said}."
    if gain == 0:
        return f"Misread at the end: {said}. After as many steps one view of each picture and four did equally well."
    ahead = "four views" if gain > 0 else "one view"
    sure = "one seed cannot tell that from chance" if spread is None else f"the seeds scatter by {spread:.1%}"
    return f"Misread at the end: {said}. After as many steps {ahead} of each picture did better by {abs(gain):.1%}; {sure}."


FULL = {"depth": 44, "shrink": 1, "examples": 50_000, "tests": 10_000, "epochs": 100, "batch_size": 64}
PRESETS: Mapping[str, CutoutKnobs] = {
    "Classroom": CutoutKnobs(),
    "As the notebook ran it": CutoutKnobs.parse(
        {**FULL, "augmentations": (2, 4, 8), "frozen_copies": "instead", "fill": "black", "shift": "notebook", "shortcut": "projection", "optimizer": "adam", "learning_rate": 0.001, "schedule": "constant", "weight_decay": 0.0002}
    ),
    "Done right": CutoutKnobs.parse(
        {**FULL, "augmentations": (1, 4), "frozen_copies": "none", "cutout_length": 16, "optimizer": "momentum", "learning_rate": 0.1}
    ),
    "2,000 pictures, 3 epochs, three seeds": CutoutKnobs(
        augmentations=(1, 2, 4), frozen_copies="none", tests=2000, epochs=3, seeds=3
    ),
    "The notebook's copies, 2,000 pictures, 4 epochs": CutoutKnobs(
        augmentations=(2, 4, 8), frozen_copies="instead", fill="black", shift="notebook", shortcut="projection", epochs=4, batch_size=64, learning_rate=0.001, schedule="constant", weight_decay=0.0002
    ),
}  # fmt: skip

LESSON = Lesson(
    slug="cutout-and-batch-augmentation",
    prose=prose.of("cutout-and-batch-augmentation"),
    revision=2,
    knobs=CutoutKnobs,
    presets=PRESETS,
    for_gpu=("As the notebook ran it", "Done right"),
    series=series,
    axes=lambda knobs: {
        "parameters": {"series": (*SIZES, "parameters[this net]")},
        "masked_area": {"series": ("measured", "expected")},
        "gradient_difference": {"series": ("batch norm standing still", "batch norm of the batch")},
    },
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="train_loss",
    dataset=lambda knobs: knobs.dataset,
    shrunk=shrunk,
    settings=settings,
    outcome=reveal,
    code=(train, Learner, Pictures.views, Holes, ResNet),
)
