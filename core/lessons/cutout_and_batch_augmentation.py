"""Do M views of each image make a step less noisy, and a network better? (notebook 004, problem 4; Hoffer et al. 2020)

Residual networks classify small images, each view of them moved, mirrored and with a hole cut out. With batch
augmentation a step has M fresh views of each of its B images, and an epoch as many steps as before; the notebook's M
copies of the set, with holes cut once, make an epoch of M times as many steps. Cutout itself is measured by its length
and against dropout of as many pixels. The words are in `cutout-and-batch-augmentation.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import model_validator

from core import data
from core.charts import axis, colour, mark
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean, parts_of
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson, noted_sizes, sizes_of
from core.narrator import Diverges, Levels
from core.panels import Panel
from core.result import Missing, Result
from core.stats import Estimate, paired
from core.training import augmented
from core.training.augmented import (
    AREA_MASKS,
    COUNTS,
    MIRRORED,
    PROBE_B,
    PROBE_BATCHES,
    PROBE_PARTS,
    PROBE_UNITS,
    QUARTERS,
    Kind,
    Learner,
    Observer,
    ms,
    rng,
)
from core.training.resnet import ResNet, Shortcut, multiplications
from core.training.views import Holes, Pictures, Shift, reach, smaller

FRAMES, TESTS = 60, 10  # about so many frames, and so many of them with test errors
AGAIN = 100  # views seen before, of which at most 5 may have their holes where they were: at random one in 64 does
LENGTHS = (0, 8, 12, 16)  # of cutout, side by side
SIZES = ("parameters[resnet44]", "statistics[resnet44]", "parameters[resnet44 keras]", "statistics[resnet44 keras]")
NOTEBOOK_FIRST = {8: (0.7432, 0.7436, 0.7803, 0.8596, 0.8311), 2: (0.4884, 0.6893, 0.6408, 0.6936, 0.6094)}
HOFFER, VRIES = "Hoffer et al. 2020, CVPR", "DeVries and Taylor 2017"


class CutoutKnobs(Knobs):
    """Hyper-parameters."""

    compare: Literal["views", "cutout lengths", "cutout and dropout"] = knob("views", "what trains side by side: networks with M views of each image in a step; or with one view and squares of several lengths; or with one view whose pixels are cut out, or dropped one by one, or left alone", label="compare", shown=True, added=True)  # fmt: skip

    augmentations: tuple[int, ...] = knob((1, 4), "M, the views of each image in one step: one network for each, side by side", 1, 40, stops=(1, 2, 4, 8, 16, 40), label="augmentations M", shown=True)  # fmt: skip
    frozen_copies: Literal["none", "beside", "instead"] = knob("none", "networks on the notebook's M copies of the set, with holes cut once: none, beside the others (for M above 1), or instead of them", shown=True)  # fmt: skip
    cutout_length: int = knob(12, "side of the square that is cut out, in pixels; 0 cuts nothing", 0, 24, stops=(0, 4, 8, 12, 16, 20, 24), shown=True)  # fmt: skip
    holes: int = knob(1, "squares cut out of each view", 1, 4, stops=(1, 2, 3, 4))
    fill: Literal["mean", "black"] = knob("mean", "what stands in a hole: the mean color, which is 0 to the network, or black as in the notebook")  # fmt: skip
    shift: Shift = knob("crop", "how far a view may move: an eighth of the side with the mean color at the border, the notebook's tenth with its edge repeated, or not at all")  # fmt: skip
    pictures: tuple[int, ...] = knob((7, 3), "which images of the set are shown with their holes; 7 and 3 are the notebook's", 0, 49_999, stops=(0, 3, 7, 12, 25), most=4, label="images shown")  # fmt: skip
    depth: int = knob(8, "layers of the network: 6n + 2", 8, 56, stops=(8, 14, 20, 26, 32, 38, 44, 50, 56))
    shortcut: Shortcut = knob("padding", "what leads past a block that changes the size: no parameters, or the notebook's 1 × 1 convolution")  # fmt: skip
    shrink: int = knob(4, "side of the squares of pixels that are averaged before the network gets a view: 1 is the whole image, 2 four times as quick", 1, 4, stops=(1, 2, 3, 4))  # fmt: skip
    examples: int = knob(1000, "size of the training set, at most as many images as there are", 50, 60_000, stops=(500, 1000, 2000, 4000, 10_000, 50_000))  # fmt: skip
    tests: int = knob(1000, "test images", 50, 10_000, stops=(500, 1000, 2000, 5000, 10_000))  # fmt: skip
    epochs: int = knob(2, "how often a network goes through the training set, M views of each image at a time", 1, 200, stops=(1, 2, 3, 5, 10, 15, 20, 50, 100, 200))  # fmt: skip
    batch_size: int = knob(16, "B, the images of one step; with M views each a step has M · B", 8, 256, stops=(8, 16, 32, 64, 128, 256))  # fmt: skip
    optimizer: Literal["sgd", "momentum", "nesterov", "adam"] = knob("adam", "how a gradient becomes a step")
    learning_rate: float = knob(0.003, "step size of the optimizer", 0.0001, 1.0, stops=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1))  # fmt: skip
    schedule: Literal["constant", "steps"] = knob("steps", "whether the rate stays, or falls to a tenth after half of the epochs and again after three quarters")  # fmt: skip
    weight_decay: float = knob(0.0001, "pull of every weight towards 0, added to its gradient (L2)", 0.0, 0.01, stops=(0.0, 0.0001, 0.0002, 0.0005, 0.001))  # fmt: skip
    dataset: Literal["cifar10", "fashion-mnist", "mnist", "digits"] = knob("cifar10", "what is learned; digits needs no download")  # fmt: skip
    seeds: int = knob(3, "repeats with other examples, order, views and initialization", 1, 8, stops=(1, 2, 3, 4, 5, 8))  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _depth_divides(self) -> Self:
        """A block has two layers and a stage as many blocks as the others."""
        if left := (self.depth - 2) % 6:
            raise ValueError(
                f"depth = {self.depth} is not 6n + 2; {self.depth - left} or {min(self.depth - left + 6, 56)} would do"
            )
        return self


def kinds(knobs: CutoutKnobs) -> list[Kind]:
    """Return what trains side by side."""
    if knobs.compare == "cutout lengths":
        return [Kind(1, length=length) for length in LENGTHS]
    if knobs.compare == "cutout and dropout":
        return [Kind(1, length=0), Kind(1), Kind(1, length=0, dropout=True)]
    fresh = [Kind(m) for m in knobs.augmentations] if knobs.frozen_copies != "instead" else []
    least = {"none": math.inf, "beside": 2, "instead": 1}[knobs.frozen_copies]
    return fresh + [Kind(m, frozen=True) for m in knobs.augmentations if m >= least]


def series(knobs: CutoutKnobs) -> list[str]:
    """Return the names of what trains side by side, in charts and facts."""
    if knobs.compare == "cutout lengths":
        return [f"length={length}" for length in LENGTHS]
    if knobs.compare == "cutout and dropout":
        return ["neither", "cutout", "dropout"]
    return [f"M={kind.m}, frozen" if kind.frozen else f"M={kind.m}" for kind in kinds(knobs)]


FULL: Mapping[str, Any] = dict(depth=44, shrink=1, examples=50_000, tests=10_000, epochs=100, batch_size=64, seeds=1)
SMALL: Mapping[str, Any] = dict(examples=2000, epochs=3, batch_size=32)
NOTEBOOKS: Mapping[str, Any] = dict(augmentations=(2, 4, 8), frozen_copies="instead", fill="black", shift="notebook", shortcut="projection", learning_rate=0.001, schedule="constant", weight_decay=0.0002)  # fmt: skip

lesson = Lesson(
    "cutout-and-batch-augmentation",
    CutoutKnobs,
    revision=2,
    axis="epoch",
    length="epochs",
    series=series,
    curves=[
        Curve("train_loss", "train loss", "nats", events=[Diverges, Levels], fact=False),
        Curve("test_error", "test error", format=".1%", events=[Levels]),
        *[Curve(name, label, fact=False) for name, label in zip(COUNTS, ("steps", "views seen", "views of a copy seen before", "those whose holes were where they are", "seconds of training"), strict=True)],
        Curve("parameters", "parameters", axes={"series": (*SIZES, "parameters[this net]")}, fact=False),
        Curve("masked_area", "share of an image that is hidden", axes={"series": ("measured", "expected")}, fact=False),
        Curve("gradient_difference", "difference of gradients", axes={"series": ("batch norm standing still", "batch norm of the batch")}, fact=False),
    ],
    tables=[
        *[Table(name, label, ("series", "evaluations")) for name, label in (("errors", "test error, mean over repeats"), ("steps_at", "steps by then"), ("seconds_at", "seconds of training by then"))],
        Table("variance", "variance of the gradient over that of B images", ("way", "M")),
    ],
    presets={
        "Classroom": {},
        "As the notebook ran it": {**FULL, **NOTEBOOKS},
        "Done right": dict(augmentations=(1, 4), cutout_length=16, optimizer="momentum", learning_rate=0.1, **FULL),
        "2,000 images, 3 epochs": dict(augmentations=(1, 2, 4), tests=2000, **SMALL),
        "The notebook's copies, 2,000 images, 4 epochs": {**SMALL, **NOTEBOOKS, "epochs": 4, "batch_size": 64, "seeds": 1},
        "Frozen copies beside fresh views": {**SMALL, "frozen_copies": "beside", "epochs": 2, "seeds": 1},
        "Cutout by its length": dict(compare="cutout lengths", examples=1000, epochs=4),
        "Cutout against dropout": dict(compare="cutout and dropout", examples=1000, epochs=4),
    },
    for_gpu=("As the notebook ran it", "Done right"),
    small=dict(dataset="digits", depth=8, examples=50, tests=50, epochs=2, batch_size=25, cutout_length=4, seeds=2, shrink=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def sizes(knobs: CutoutKnobs) -> tuple[int, int]:
    """Return the sizes of training and test set: as many as were asked for, if the data set has them."""
    examples, tests = data.sizes(knobs.dataset)
    return min(knobs.examples, examples), min(knobs.tests, tests)


@lesson.experiment
def train(knobs: CutoutKnobs, device: torch.device) -> Iterator[Frame]:
    """Train every network, slice by slice of an epoch, so that all curves grow together."""
    whole = data.load(knobs.dataset, device)
    judged = torch.randperm(len(whole.y_test), generator=rng(knobs.seed, "tests"))[: knobs.tests].to(device)
    learners: list[list[Learner]] = [[] for _ in kinds(knobs)]  # (series, seeds)
    for seed in range(knobs.seed, knobs.seed + knobs.seeds):
        x, y = data.subset(whole, sizes(knobs)[0], seed)
        pictures = Pictures(x, whole.shape)
        for kind, made in zip(kinds(knobs), learners, strict=True):
            made.append(Learner(knobs, kind, pictures, y, len(whole.classes), seed))
    first = learners[0][0].pictures
    x_test, y_test = Pictures(whole.x_test[judged], whole.shape, like=first).plain(), whole.y_test[judged]
    x_test = smaller(x_test, knobs.shrink)

    n, observer = len(learners[0][0].labels), Observer(knobs, whole, learners, TESTS + 1)
    slices = max(1, min(round(FRAMES / knobs.epochs), -(-n // knobs.batch_size)))  # of an epoch
    ends = np.linspace(0, slices * knobs.epochs, min(TESTS, slices * knobs.epochs) + 1).round().astype(int).tolist()

    def scores() -> Array:
        return np.array([[one.error(x_test, y_test) for one in made] for made in learners])

    yield observer.frame(0.0, scores(), **augmented.counted(knobs, whole))
    yield Frame(0, {}, {"note": np.array(whole.note), **noted_sizes(knobs.dataset)})
    for variances in augmented.gradient_variance(knobs, first, learners[0][0].labels):
        yield Frame(0, {}, {"variance": variances})
    yield Frame(0, {"gradient_difference": augmented.accumulated(knobs, first, learners[0][0].labels)})
    for k in range(slices * knobs.epochs):
        if k % slices == 0:
            steps = [[one.epoch() for one in made] for made in learners]
        losses = []
        for made, plans in zip(learners, steps, strict=True):
            cuts = np.linspace(0, len(plans[0]), slices + 1).round().astype(int)[k % slices :][:2]
            losses.append([one.learn(plan[slice(*cuts)]) for one, plan in zip(made, plans, strict=True)])
        at = (k + 1) / slices
        yield observer.frame(at, scores() if k + 1 in ends else None, train_loss=np.array(losses))


lesson.shown(train, Learner, Pictures.views, Holes, ResNet)


@lesson.script_settings
def settings(knobs: CutoutKnobs) -> Mapping[str, Any]:
    """Return the script's settings, several to a line: its networks, what a view is, the examples, how they learn."""
    source, rule = data.SOURCES[knobs.dataset], "adam" if knobs.optimizer == "adam" else "sgd"
    border = "replicate" if knobs.shift == "notebook" else "constant"
    views = (knobs.holes, knobs.fill, reach(knobs.shift, source.shape[1]), border)
    dropped = augmented.holes(knobs).area(*source.shape[1:])
    nets = tuple((name, kind.m, kind.frozen, augmented.holes(knobs, kind).length, dropped if kind.dropout else 0.0) for name, kind in zip(series(knobs), kinds(knobs), strict=True))  # fmt: skip
    examples = (source.published or knobs.dataset, knobs.examples, knobs.tests, knobs.epochs, knobs.batch_size)
    rate = (knobs.learning_rate, QUARTERS if knobs.schedule == "steps" else ())
    inertia = (0.9 if knobs.optimizer in ("momentum", "nesterov") else 0.0, knobs.optimizer == "nesterov")
    return {
        "nets": nets,
        "holes, fill, reach, border, mirrored": (*views, knobs.dataset in MIRRORED),
        "depth, shortcut, shrink": (knobs.depth, knobs.shortcut, knobs.shrink),
        "dataset, examples, tests, epochs, batch_size, seeds, seed": (*examples, knobs.seeds, knobs.seed),
        "optimizer, learning_rate, falls, momentum, nesterov, weight_decay": (rule, *rate, *inertia, knobs.weight_decay),
    }  # fmt: skip


def steps_of(knobs: CutoutKnobs, kind: Kind) -> int:
    """Return the steps of an epoch, to lay out an axis and to estimate; what a claim says is counted."""
    return math.ceil(sizes(knobs)[0] * (kind.m if kind.frozen else 1) / knobs.batch_size)


@lesson.cost
def cost(knobs: CutoutKnobs) -> Cost:
    """The network's multiplications forward and back, its elementwise work, and the views."""
    channels, height, width = data.SOURCES[knobs.dataset].shape
    (n, tests), side, ways = sizes(knobs), math.ceil(max(height, width) / knobs.shrink), kinds(knobs)
    read = float(n * knobs.epochs * knobs.seeds * sum(kind.m for kind in ways))
    judged = float((TESTS + 1) * tests * knobs.seeds * len(ways))
    steps = knobs.epochs * knobs.seeds * sum(steps_of(knobs, kind) for kind in ways)
    probed = 2.0 * PROBE_BATCHES * ms(knobs)[-1] * PROBE_B
    maps = 16 * side**2 * (knobs.depth / 3) * (1 + 1 / 2 + 1 / 4)
    products = 2.0 * multiplications(knobs.depth, channels, side)
    flops = products * (3.0 * read + judged)
    numbers = maps * (24.0 * read + 6.0 * judged) + 40.0 * height * width * channels * (read + probed)
    largest = max(knobs.batch_size * (1 if kind.frozen else kind.m) for kind in ways)
    held = 16.0 * maps * largest + 40.0 * height * width * channels * largest + 2.0 * height * width * channels * 6e4
    copies = 24.0 * knobs.seeds * n * knobs.holes * sum(kind.m for kind in ways)
    return Cost(flops, numbers, 14.0 * steps * (knobs.depth + 8) + 4e3, held + copies + 3e8)


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: CutoutKnobs) -> Iterator[Panel]:
    """Test error by epoch, the images, the same error by steps and by time, gradients, train loss, the baseline."""
    ways, dashes = kinds(knobs), ["dot" if kind.frozen else "solid" for kind in kinds(knobs)]
    rows = [knobs.augmentations.index(kind.m) if knobs.compare == "views" else i for i, kind in enumerate(ways)]
    style: dict[str, Any] = {"colours": [colour(row) for row in rows], "dashes": dashes}  # of each M, fresh or frozen
    styles = list(zip(series(knobs), style["colours"], dashes, strict=True))
    told = [m for m in knobs.augmentations if m in NOTEBOOK_FIRST and knobs.matches(COMPARABLE)]
    theirs = [mark(epoch, 1 - each, f"notebook, M={m}", colour(knobs.augmentations.index(m))) for m in told for epoch, each in enumerate(NOTEBOOK_FIRST[m], start=1)]  # fmt: skip
    yield lesson.line_chart(knobs, "test_error", f"Share of {sizes(knobs)[1]:,} test images that each network misclassifies. Frozen copies take M times as many steps in an epoch.", name="Test error by epoch", extra=theirs, range=(0, 1), **style)  # fmt: skip
    yield augmented.images_chart(knobs)
    most = max(steps_of(knobs, kind) for kind in ways) * knobs.epochs
    yield augmented.against("Test error by steps", "The same errors against the steps of the optimizer: with fresh views, every M takes as many.", ("steps_at", axis("steps", range=(0, most))), styles)  # fmt: skip
    yield augmented.against("Test error by seconds", "The same errors against the time for which the network's own steps kept the processor busy: M views are M times the work.", ("seconds_at", axis("seconds of training", rangemode="tozero")), styles)  # fmt: skip
    if knobs.compare == "cutout lengths":
        yield augmented.lengths_chart(LENGTHS, knobs.seeds)
    yield augmented.variance_chart(knobs)
    yield lesson.line_chart(knobs, "train_loss", "Mean cross-entropy of the views in the newest steps, holes and all.", yaxis={"rangemode": "tozero"}, **style)  # fmt: skip
    yield augmented.baseline_chart()


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[CutoutKnobs]) -> Iterator[Fact]:
    """Yield what an epoch takes, what the holes hide, sizes, how gradients vary, and the gain at equal steps."""
    per_epoch, last = augmented.an_epoch(result.recording), {name: result.last(name) for name in COUNTS}
    for i, name in enumerate(result.series):
        for fact, curve in {"steps_per_epoch": "steps", "pictures_per_epoch": "read", "seconds_per_epoch": "seconds"}.items():  # fmt: skip
            yield mean(fact, name, per_epoch[curve][i]) if per_epoch else Fact(fact, name, None)
        again = last["again"][i].sum()
        yield Fact("masks_repeated", name, last["same"][i].sum() / again if again else None)
    rows = dict(zip(result.series, result.last("test_error"), strict=True))
    gain = rows["M=1"] - rows["M=4"] if {"M=1", "M=4"} <= set(rows) else None
    yield Fact("gain_at_equal_steps", "", None) if gain is None else mean("gain_at_equal_steps", "", gain)
    area = result.last("masked_area")
    yield Fact("masked_area", f"length={result.knobs.cutout_length}", area[0])
    yield Fact("masked_area_expected", "", area[1])
    for name, value in zip((*SIZES, "parameters[this net]"), result.last("parameters"), strict=True):
        yield Fact(*parts_of(name), value)
    variance = result.recording.picture("variance")
    for i, m in list(enumerate(ms(result.knobs)))[1:]:
        for row, way in enumerate(("views", "pictures")):
            yield Fact("gradient_variance", f"{m} {way}", None if variance is None else variance[row, i])
    differs = result.last("gradient_difference") if "gradient_difference" in result.recording.curves else (None, None)
    yield Fact("gradient_difference", "", differs[0])
    yield Fact("gradient_difference", "batch norm", differs[1])


def ahead(result: Result[CutoutKnobs], better: str, other: str) -> Estimate:
    """Estimate by how many points the test error of the one lies below that of the other, pair by pair."""
    if not {better, other} <= set(result.series):
        raise Missing(f"{better} and {other}")
    count = min(result.knobs.tests, sizes_of(result.knobs.dataset, result.recording)[1])
    more, less = (100 * result.samples("test_error", name) for name in (other, better))
    return paired(more, less, 100 / count)


# ---- claims --------------------------------------------------------------------------------------------------------

COMPARABLE: Mapping[str, Any] = dict(depth=44, dataset="cifar10", frozen_copies="instead", shrink=1)
REPEATED = Needs.at_least("seeds", 3)
FRESH = Needs("fresh views", lambda knobs: knobs.compare == "views" and knobs.frozen_copies != "instead", change=lambda knobs: dict(compare="views", frozen_copies="none"))  # fmt: skip
LEARNED = Needs("networks that have learned something: a test error below 80 %", result=lambda result: bool((result.last("test_error").mean(axis=1) < 0.8).all()))  # fmt: skip


@lesson.claim(
    "More views of an image reduce the gradient's variance, other images reduce it more", expected="views below 1, images below views",
    source=f"{PROBE_BATCHES} batches of {PROBE_B}, a dense network of {PROBE_UNITS} units at initialization", early=True,
    literature=f"{HOFFER}: Var(g) at B ≥ B images × M views ≥ M · B images",
    needs=[Needs("views of an image that differ", lambda knobs: knobs.shift != "none" or knobs.cutout_length > 0 or knobs.dataset in MIRRORED),
           Needs("all batches before the first step", result=lambda result: len(result.recording.picture_changes("variance")) >= PROBE_PARTS)],
)  # fmt: skip
def less_variance(result: Result[CutoutKnobs]) -> Check:
    """The theory's two inequalities."""
    m = ms(result.knobs)[-1]
    views, others = (result.fact("gradient_variance", f"{m} {way}") for way in ("views", "pictures"))
    said = f"M = {m}: {views:.3f} with views, {others:.3f} with images, of the variance at B"
    return Check(said, 1.0 > views > others)


def lower(result: Result[CutoutKnobs], better: str, other: str) -> Check:
    """Check that the one has the lower test error."""
    found = ahead(result, better, other)
    holds = None if found.direction is None else found.direction == "higher"
    return Check(f"{other} − {better}: {found.sentence('.1f', 'points')}", holds, "more seeds or a longer training")


def claim_lower(sentence: str, better: str, other: str, needs: Sequence[Needs], **more: Any) -> None:
    """Claim that the one has the lower test error."""
    lesson.claim(sentence, expected="a difference in test error whose 95 % interval lies above zero", source="paired by seed: same initialization, same images in the same order, as many steps", needs=[*needs, REPEATED, LEARNED], **more)(partial(lower, better=better, other=other))  # fmt: skip


LENGTHWISE: Any = dict(
    needs=[Needs.settings(compare="cutout lengths")], shown=lambda knobs: knobs.compare == "cutout lengths"
)
AGAINST: Any = dict(needs=[Needs.settings(compare="cutout and dropout")], shown=lambda knobs: knobs.compare == "cutout and dropout")  # fmt: skip
claim_lower("After as many steps, four views of each image give a lower test error than one", "M=4", "M=1", [FRESH, Needs.among("augmentations", 1, 4)], notebook="no network with M = 1 and cutout, and never equal steps", literature=f"{HOFFER}: fewer steps to the same error, each of M times the work", shown=lambda knobs: knobs.compare == "views")  # fmt: skip
claim_lower("Cutout of length 16 lowers the test error", "length=16", "length=0", literature=f"{VRIES}, CIFAR-10, 200 epochs: ResNet-18 4.72 → 3.99 %, WRN-28-10 3.87 → 3.08 %", **LENGTHWISE)  # fmt: skip
claim_lower("Cutout lowers the test error more than dropout of as many pixels", "cutout", "dropout", notebook="said without a run: neighbouring pixels hold the same information, so dropping single ones hides little", **AGAINST)  # fmt: skip
claim_lower("Cutout lowers the test error at all", "cutout", "neither", literature=f"{VRIES}: in long trainings", **AGAINST)  # fmt: skip


@lesson.claim(
    "With batch augmentation an epoch takes as many steps, whatever M is", expected="the same number for every M",
    source="counted in this run", needs=[FRESH, Needs("two values of M", lambda knobs: len(knobs.augmentations) > 1)], early=True,
    notebook="75, 139 and 286 s an epoch at M = 2, 4 and 8: its epochs grew with M",
    literature=f"{HOFFER}: each step has B images × M views", shown=lambda knobs: knobs.compare == "views",
)  # fmt: skip
def same_steps(result: Result[CutoutKnobs]) -> Check:
    """Fresh views."""
    counts = {name: result.fact("steps_per_epoch", name) for name in result.series if "frozen" not in name}
    return Check(", ".join(f"{name}: {steps:g}" for name, steps in counts.items()), len(set(counts.values())) == 1)


@lesson.claim(
    "M frozen copies are a set M times as long: an epoch takes M times as many steps", expected="M · n / B steps, rounded up",
    source="counted in this run", notebook="np.repeat, batches of 64: 75, 139 and 286 s an epoch at M = 2, 4 and 8",
    shown=lambda knobs: any(kind.frozen for kind in kinds(knobs)), early=True,
)  # fmt: skip
def frozen_steps(result: Result[CutoutKnobs]) -> Check:
    """The notebook's copies."""
    every = dict(zip(result.series, kinds(result.knobs), strict=True))
    counts = {name: result.fact("steps_per_epoch", name) for name, kind in every.items() if kind.frozen}
    first = result.series[0]
    n = result.fact("pictures_per_epoch", first) / every[first].m  # of which each is seen M times
    right = all(steps == math.ceil(n * every[name].m / result.knobs.batch_size) for name, steps in counts.items())
    return Check(", ".join(f"{name.removesuffix(', frozen')}: {steps:g}" for name, steps in counts.items()), right)


@lesson.claim(
    "From epoch to epoch fresh views have other holes, and frozen copies the same", expected="fresh at most 5 %, frozen 100 %",
    source="counted in this run, from the second epoch on", notebook="one cutout for each copy, before training", early=True,
    literature=f"{VRIES}: a new place each time an image is loaded", shown=lambda knobs: knobs.compare == "views",
    needs=[Needs(f"{AGAIN} views that were seen before: two epochs, and enough images", result=lambda result: bool((result.last("again").sum(axis=1) >= AGAIN).all()))],
)  # fmt: skip
def fresh_masks(result: Result[CutoutKnobs]) -> Check:
    """What "augmentation" means."""
    shares = {name: result.fact("masks_repeated", name) for name in result.series}
    right = all(share == 1.0 if "frozen" in name else share <= 0.05 for name, share in shares.items())
    return Check(", ".join(f"{name}: {share:.2%} where they were" for name, share in shares.items()), right)


@lesson.claim(
    "Squares may extend beyond the border, so they hide less than their area", expected="the mean over all places of the center, ± 0.5 points",
    source=f"{AREA_MASKS:,} drawn masks", needs=[Needs("a cutout length above 0", lambda knobs: knobs.cutout_length > 0, change=lambda knobs: dict(cutout_length=12))], early=True,
    literature="of 32 × 32 pixels 11.5 % at length 12 and 19.1 % at 16, not 14.1 % and 25 %",
)  # fmt: skip
def hidden_area(result: Result[CutoutKnobs]) -> Check:
    """Clipped squares."""
    area, expected = result.last("masked_area")
    _, height, width = data.SOURCES[result.knobs.dataset].shape
    one = f"; one whole square would be {result.knobs.cutout_length**2 / (height * width):.1%}" if result.knobs.holes == 1 else ""  # fmt: skip
    return Check(f"{area:.2%} hidden, {expected:.2%} expected{one}", abs(area - expected) <= 0.005)


@lesson.claim(
    "Without batch norm's statistics, the gradient of B · M views is the mean of M gradients of B views",
    expected="less than 1e-5 of the largest entry apart", early=True,
    source="this network at initialization, B = 8, M = 4; double precision where the device has it",
)  # fmt: skip
def same_gradient(result: Result[CutoutKnobs]) -> Check:
    """What may be computed one after another."""
    still, moving = result.fact("gradient_difference"), result.fact("gradient_difference", "batch norm")
    return Check(f"{still:.1g} apart; {moving:.1g} with batch norm, whose means are of the batch", still < 1e-5)


@lesson.claim(
    "ResNet-44 has 658,586 parameters; with the notebook's shortcuts and biases 662,826, and 3,168 running statistics",
    expected="658,586; 662,826 and 3,168, which make 665,994", source="counted in the networks that this lesson trains", early=True,
    notebook="665,994, of which 662,826 are trained", literature="He et al. 2016: 0.66 million",
)  # fmt: skip
def parameters(result: Result[CutoutKnobs]) -> Check:
    """Counted before the first step."""
    plain, _, keras, statistics = result.last("parameters")[:4]
    said = f"{plain:,.0f}; {keras:,.0f} and {statistics:,.0f}"
    return Check(said, (plain, keras, statistics) == (658_586, 662_826, 3_168))


@lesson.claim(
    "ResNet-44 with the full recipe and M = 4 misclassifies at most 8 % of CIFAR-10's test images", expected="8.0 % or less",
    source="He et al. 2016, on the published images; what these are stands beside the number",
    notebook="12.49 % at best, at epoch 46 of 66, before its rate ever fell", literature="He et al. 2016: 7.17 %, M = 1 without cutout",
    needs=[Needs.settings(dataset="cifar10", depth=44, shrink=1), Needs.at_least("examples", 50_000), Needs.at_least("tests", 10_000), Needs.at_least("epochs", 100), FRESH, Needs.among("augmentations", 4)],
)  # fmt: skip
def full_recipe(result: Result[CutoutKnobs]) -> Check:
    """One network that is named beforehand: the best of several would be chosen and scored on one set."""
    note, error = result.recording.picture("note"), result.fact("test_error", "M=4")
    return Check(f"{error:.2%}{'' if note is None else f' ({note.item()})'}", error <= 0.08)


@lesson.outcome
def answer(result: Result[CutoutKnobs]) -> str:
    """Tell how much noise the views take off, and what the seeds say of the errors."""
    errors = ", ".join(f"{name}: {result.fact('test_error', name):.1%}" for name in result.series)
    if not {"M=1", "M=4"} <= set(result.series):
        return f"Test error at the end: {errors}."
    views, others = (result.fact("gradient_variance", f"4 {way}") for way in ("views", "pictures"))
    gain = ahead(result, "M=4", "M=1").sentence(".1f", "points")
    return f"With four views of each image the gradient's variance is {views:.2f} of that with one, with four times as many images {others:.2f}. Test error at the end: {errors}; with four views it is lower by {gain}."
