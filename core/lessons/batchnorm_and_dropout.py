"""Batch norm, dropout, or both: with which does LeNet-5 classify best? (notebook 001, problem 3)

LeNet-5 learns MNIST in several variants side by side: with the same initialization, on the same images in the same
order, so that they differ in what stands between their layers, and in their inputs where a name says so. Besides the
curves are shown what batch norm has learned, and the variance that it expects against the one that it meets once
dropout is switched off. The words are in `batchnorm-and-dropout.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from core import data
from core.charts import axis, bars, chart, growing, mark
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson, sizes_of
from core.narrator import Diverges, Overfits, Reaches
from core.panels import COLOURS, DASHES, Panel
from core.result import Missing, Result
from core.stats import Estimate, paired
from core.training.lenet import LAYERS, SIDE, WIDTHS, BatchNorm, Kind, LeNet, SideBySide
from core.training.lenet_state import (
    MOST,
    PLACES,
    Images,
    State,
    arrays_chart,
    filters_chart,
    variance_chart,
    wrong_chart,
)

Variant = Literal["plain", "plain (standardised)", "batch norm (inputs / 255)", "batch norm", "batch norm on input too", "dropout", "dropout (standardised)", "both", "both (standardised)", "both (dropout last)"]  # fmt: skip

VARIANTS: tuple[Variant, ...] = ("plain", "plain (standardised)", "batch norm (inputs / 255)", "batch norm", "batch norm on input too", "dropout", "dropout (standardised)", "both", "both (standardised)", "both (dropout last)")  # fmt: skip
STYLES = ((7, 0), (10, 0), (2, 1), (0, 2), (5, 3), (1, 4), (8, 4), (3, 5), (9, 5), (6, 1))  # colour and dash of each
COLOUR: Mapping[str, str] = {name: COLOURS[i] for name, (i, _) in zip(VARIANTS, STYLES, strict=True)}
DASH: Mapping[str, str] = {name: DASHES[i] for name, (_, i) in zip(VARIANTS, STYLES, strict=True)}
FRAMES, EVALUATIONS = 60, 12  # at most so many frames of the training loss, and of everything else
FEW = 400  # examples evaluated on the way, of a small training set, by all networks of a variant together
AVERAGED = 100  # images behind a running variance that is compared: one channel's has a standard error of √(2/100)
# Loss as trained after each epoch, test loss and test accuracy, as the notebook prints them.
NOTEBOOK: Mapping[str, tuple[tuple[float, ...], float, float]] = {
    "batch norm (inputs / 255)": ((0.2855, 0.1329, 0.0934, 0.0742, 0.0621), 0.0580, 0.9833),
    "batch norm on input too": ((0.2539, 0.1023, 0.0733, 0.0597, 0.0512), 0.0474, 0.9871),
    "dropout": ((1.4186, 0.7145, 0.6049, 0.5484, 0.5104), 0.2790, 0.9189),
    "both": ((0.9527, 0.5990, 0.4893, 0.4188, 0.3674), 0.1341, 0.9574),
}
RECIPE: Mapping[str, Any] = dict(examples=60_000, epochs=5, batch_size=100, learning_rate=0.01, keep=0.99)
RATES: Mapping[str, Any] = dict(hidden_rate=0.5, input_rate=0.2)
SAME: Mapping[str, Any] = {**RECIPE, **RATES, "dataset": "mnist", "momentum": 0.0, "order": "dropout, then batch norm"}


class NormKnobs(Knobs):
    """Hyper-parameters."""

    variants: tuple[Variant, ...] = knob(("plain (standardised)", "batch norm", "dropout (standardised)", "both (standardised)"), "networks that are trained side by side, with the same initialization on the same images", most=len(VARIANTS), shown=True)  # fmt: skip
    examples: int = knob(1000, "size of the training set, at most as many images as there are", 20, 60_000, stops=(500, 1000, 2000, 5000, 10_000, 20_000, 60_000), shown=True)  # fmt: skip
    epochs: int = knob(4, "how often each network goes through the training set", 1, 30, stops=(1, 2, 3, 4, 5, 8, 10, 15, 20, 30))  # fmt: skip
    batch_size: int = knob(20, "images averaged into one step, and into batch norm's mean and variance", 2, 512, stops=(8, 16, 20, 32, 40, 64, 100, 128, 256, 512))  # fmt: skip
    learning_rate: float = knob(0.05, "step size of SGD", 1e-4, 2.0, stops=(0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0))  # fmt: skip
    momentum: float = knob(0.0, "share of the last step that the next one begins with", 0.0, 0.99, stops=(0.0, 0.5, 0.8, 0.9, 0.95, 0.99))  # fmt: skip
    hidden_rate: float = knob(0.5, "probability that an activation of a hidden layer is dropped in training, in feature maps too", 0.0, 0.7, stops=(0.0, 0.1, 0.2, 0.3, 0.5, 0.7), shown=True)  # fmt: skip
    input_rate: float = knob(0.2, "probability that a pixel is dropped in training", 0.0, 0.5, stops=(0.0, 0.1, 0.2, 0.3, 0.5))  # fmt: skip
    order: Literal["dropout, then batch norm", "batch norm, then dropout"] = knob("dropout, then batch norm", "which comes first where a network has both in every layer; the notebook dropped first", shown=True)  # fmt: skip
    keep: float = knob(0.9, "share of batch norm's old running statistics that a step leaves: 0.99 in Keras, 0.9 in PyTorch", 0.0, 0.999, stops=(0.0, 0.5, 0.9, 0.99, 0.999), label="running statistics kept")  # fmt: skip
    dataset: Literal["mnist", "fashion-mnist", "digits"] = knob("mnist", "which images; digits needs no download and is enlarged to 28×28", label="data set")  # fmt: skip
    seeds: int = knob(5, "repeats of each variant, each with an initialization and an order of its own", 1, 5, stops=(1, 2, 3, 5))  # fmt: skip
    seed: int = SEED


def series(knobs: NormKnobs) -> list[str]:
    """Return the variants, each once, in a fixed order."""
    return [name for name in VARIANTS if name in knobs.variants]


lesson = Lesson(
    "batchnorm-and-dropout",
    NormKnobs,
    revision=2,
    axis="epoch",
    length="epochs",
    series=series,
    curves=[
        Curve("test_accuracy", "test accuracy", format=".1%", events=[partial(Reaches, bound=0.98, kind="finished", does="classifies 98 % of the test images correctly")]),
        Curve("test_loss", "test loss", "nats", events=[Diverges, partial(Overfits, seen="train_loss")]),
        Curve("train_accuracy", "train accuracy", format=".1%"),
        Curve("train_loss", "train loss", "nats"),
        Curve("loss_as_trained", "train loss in training mode", "nats", fact=False),
        Curve("epoch_loss", "train loss in training mode, mean of an epoch", "nats", fact=False),
        *[Curve(f"variance_shift_{place}", f"running variance over that in evaluation, {place}", fact=False) for place in PLACES],
        Curve("seconds_per_epoch", "time of an epoch", "seconds of a core"),
    ],
    tables=[
        *[Table(name, label, ("series", "channels")) for name, label in (
            ("gamma", "scale γ"), ("beta", "shift β"),
            ("variance_expected", "running variance"), ("variance_met", "variance in evaluation"))],
        Table("moving_mean", "running mean", ("series", "channels"), added=True),
        Table("seconds", "seconds of a core that an epoch takes, mean over the repeats", ("series",), added=True),
    ],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(variants=tuple(NOTEBOOK), seeds=1, **RECIPE),
        "Done right": dict(variants=("plain", "batch norm (inputs / 255)", "batch norm", "batch norm on input too", "dropout", "both"), seeds=3, **RECIPE),
        "Dropout behind the last batch norm": dict(variants=("batch norm", "both (standardised)", "both (dropout last)"), examples=1000, seeds=3),
        "Batch norm first": dict(variants=("batch norm", "both (standardised)", "both (dropout last)"), order="batch norm, then dropout", seeds=3),
        "Full recipe": dict(variants=("batch norm",), seeds=1, **{**RECIPE, "epochs": 15, "momentum": 0.9}),
    },
    small=dict(dataset="digits", examples=40, epochs=2, batch_size=20, seeds=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def examples(knobs: NormKnobs) -> int:
    """Return the size of the training set: as many as were asked for, if the data set has them."""
    return min(knobs.examples, data.sizes(knobs.dataset)[0])


def steps(knobs: NormKnobs) -> int:
    """Return the steps of each network in a whole run."""
    return knobs.epochs * math.ceil(examples(knobs) / knobs.batch_size)


def kind(name: str, knobs: NormKnobs, mean: float, sd: float) -> Kind:
    """Return what a variant has between its layers, given mean and standard deviation of the training set's pixels.

    "batch norm" and those that say so see standardised inputs; the others pixels / 255, as the notebook had them.
    """
    drops, last = name.startswith(("dropout", "both")), name == "both (dropout last)"
    standardised = last or name == "batch norm" or name.endswith("(standardised)")
    return Kind(
        batch_norm=has_norm(name, "C6"),
        input_norm=has_norm(name, "input"),
        hidden_rate=knobs.hidden_rate if drops else 0.0,
        input_rate=knobs.input_rate if drops and not last else 0.0,
        dropout_first=knobs.order == "dropout, then batch norm" and not last,
        last_only=last,
        keep=knobs.keep,
        centre=mean if standardised else 0.0,
        spread=sd if standardised else 255.0,
    )


def has_norm(name: str, place: str) -> bool:
    """Return whether a variant has batch norm behind that layer."""
    if place == "input":
        return name in ("batch norm on input too", "both")
    return name.startswith(("batch norm", "both"))


@lesson.experiment
def train(knobs: NormKnobs, device: torch.device) -> Iterator[Frame]:
    """Train all variants epoch by epoch, each with its seeds: plain SGD, as the notebook."""
    images, names = Images(data.load(knobs.dataset, device), examples(knobs), knobs.seed), series(knobs)
    seeds = [knobs.seed + i for i in range(knobs.seeds)]
    kinds = [kind(name, knobs, images.mean, images.sd) for name in names]
    fresh = [LeNet(each, seed, device) for each in kinds for seed in seeds]
    nets = SideBySide(fresh, knobs.learning_rate, knobs.momentum)
    state = State(nets, images, knobs.seeds)
    yield Frame(0, *state.at(FEW // 2, wrong=True))

    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    parts = max(1, FRAMES // knobs.epochs)  # frames in an epoch
    every = max(1, FRAMES // EVALUATIONS)
    for epoch in range(1, knobs.epochs + 1):
        orders = [torch.randperm(len(images.x), generator=rng).split(knobs.batch_size) for rng in rngs]
        batches = len(orders[0])
        ends = np.unique(np.linspace(0, batches, min(parts, batches) + 1).round().astype(int))
        total = np.zeros(len(nets.nets))
        for i in range(len(ends) - 1):
            chosen = [torch.cat(order[ends[i] : ends[i + 1]]) for order in orders]
            losses = nets.train(images.x, images.y, chosen * len(names), knobs.batch_size)
            total += losses * len(chosen[0])
            at, over = epoch - 1 + ends[i + 1] / batches, bool(ends[i + 1] == batches)
            last = over and epoch == knobs.epochs
            curves: dict[str, Array] = {}
            snapshots: dict[str, Array] = {}
            if over or (i + 1) % every == 0:
                few = None if last else max(FEW // knobs.seeds, len(images.x) // 12)
                curves, snapshots = state.at(few, wrong=over)
            curves["loss_as_trained"] = state.by_variant(losses)
            if over:
                curves["epoch_loss"] = state.by_variant(total / len(images.x))
                curves["seconds_per_epoch"] = state.by_variant(nets.seconds / epoch)
                snapshots["seconds"] = curves["seconds_per_epoch"].mean(axis=1)
            yield Frame(at, curves, snapshots, 1.0 if last else 0.98 * at / knobs.epochs)


lesson.shown(kind, train, LeNet, BatchNorm, SideBySide)


@lesson.cost
def cost(knobs: NormKnobs) -> Cost:
    """Convolutions, the passes over the feature maps, and the price of a step's calls.

    Convolutions this small get to about half the rate of a matrix product, so their arithmetic counts twice.
    """
    count, tests = examples(knobs), data.sizes(knobs.dataset)[1]
    batches, seen = steps(knobs) * knobs.seeds, float(count * knobs.epochs * knobs.seeds)
    looks = min(EVALUATIONS, FRAMES // max(1, FRAMES // EVALUATIONS)) + knobs.epochs
    evaluated = (
        2.0 * looks * min(max(FEW // knobs.seeds, count // 12), count) + min(MOST, count) + tests
    ) * knobs.seeds
    flops = numbers = calls = 0.0
    for name in series(knobs):
        norm, drop = has_norm(name, "F84"), name.startswith(("dropout", "both"))
        flops += 2 * (2.3e6 * seen + 0.83e6 * evaluated)
        numbers += (2e5 + 1.5e5 * norm + 2e5 * drop + 1e5 * has_norm(name, "input")) * seen + 1e5 * evaluated
        calls += (150.0 + 60.0 * norm + 60.0 * drop) * batches
    return Cost(flops, numbers, calls, 4e8 + 4.0 * SIDE * SIDE * (count + tests) + 5e7 * len(knobs.variants))


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: NormKnobs) -> Iterator[Panel]:
    """Accuracy and losses, what batch norm holds and what it expects, time, filters, and misclassified images."""
    names, log = series(knobs), {"type": "log", "tickformat": "~g", "nticks": 6}
    normed = {name: i for i, name in enumerate(names) if has_norm(name, "C6")}
    style: dict[str, Any] = {"colours": [COLOUR[name] for name in names], "dashes": [DASH[name] for name in names]}
    theirs = {name: NOTEBOOK[name][1:] for name in names if name in NOTEBOOK and knobs.matches(SAME)}
    losses = [mark(5, loss, f"notebook: {loss:.4f}", COLOUR[name]) for name, (loss, _) in theirs.items()]
    accuracies = [mark(5, share, f"notebook: {share:.2%}", COLOUR[name]) for name, (_, share) in theirs.items()]
    thin = [growing("loss_as_trained", i, f"{name}, as trained", COLOUR[name], line={"width": 1}, opacity=0.45, legendgroup=name, showlegend=False) for i, name in enumerate(names)]  # fmt: skip
    yield lesson.line_chart(knobs, "test_accuracy", "Share of the test images classified correctly, without dropout: of the first few on the way, of all at the end, so a jump there is other images.", extra=accuracies, range=(0, 1.01), **style)  # fmt: skip
    yield lesson.line_chart(knobs, "test_loss", "Cross-entropy on the same test images, with the same jump at the end.", extra=losses, yaxis=log, **style)  # fmt: skip
    yield lesson.line_chart(knobs, "train_loss", "Thin: the loss in training mode, with dropout at work, as Keras prints it. Thick: the same networks on training images in evaluation mode. Only the thick lines may be compared with the test loss.", name="Training loss, in training and in evaluation mode", extra=thin, yaxis=log, **style)  # fmt: skip
    yield arrays_chart(normed, COLOUR, [name for name in names if has_norm(name, "input")])
    yield variance_chart(normed, COLOUR)
    yield chart(
        "Time of an epoch",
        "For how many seconds an epoch keeps one core busy, mean so far. The notebook's took 56 with batch norm, 58 with batch norm on the input too, 44 with dropout and 62 with both. (Runs stored before this was measured have no bars.)",
        [bars("seconds", None, names, "an epoch", COLOURS[0])],
        x="variant", y=axis("seconds of a core", rangemode="tozero"), legend=False,
    )  # fmt: skip
    yield filters_chart(names)
    yield wrong_chart(names)


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[NormKnobs]) -> Iterator[Fact]:
    """Yield the losses as trained after the first and the last epoch, and how far expected and met variances differ."""
    if "epoch_loss" in result.recording.curves:
        printed = result.curve("epoch_loss")[1]  # (epochs, variants, seeds)
        for i, name in enumerate(result.series):
            for k in sorted({0, len(printed) - 1}):
                yield mean("loss_as_trained", f"{name}, epoch {k + 1}", printed[k, i])
    for place in PLACES:
        for name, values in zip(result.series, result.last(f"variance_shift_{place}"), strict=True):
            if has_norm(name, place):
                yield mean("variance_shift", f"{name}, {place}", values)


Pairs = Sequence[tuple[str, str]]
"""Two variants that differ in what is compared alone; of several such pairs the first one that a run has counts."""

NORM_PLAIN: Pairs = (("batch norm", "plain (standardised)"), ("batch norm (inputs / 255)", "plain"))
NORM_DROPOUT: Pairs = (("batch norm", "dropout (standardised)"), ("batch norm (inputs / 255)", "dropout"))
NORM_BOTH: Pairs = (("batch norm", "both (standardised)"), ("batch norm on input too", "both"))
BOTH_DROPOUT: Pairs = (("both (standardised)", "dropout (standardised)"), ("both", "dropout"))
PLAIN_DROPOUT: Pairs = (("plain (standardised)", "dropout (standardised)"), ("plain", "dropout"))
LAST_EVERY: Pairs = (("both (dropout last)", "both (standardised)"),)
SCALED: Pairs = (("batch norm", "batch norm (inputs / 255)"),)
INPUT_NORM: Pairs = (("batch norm on input too", "batch norm"),)
DROPOUT: Pairs = (("dropout (standardised)", "dropout (standardised)"), ("dropout", "dropout"))


def alike(knobs: NormKnobs, pairs: Pairs) -> tuple[str, str] | None:
    """Return the first of these pairs that a run has, or None."""
    return next((pair for pair in pairs if set(pair) <= set(knobs.variants)), None)


def ahead(result: Result[NormKnobs], pairs: Pairs) -> tuple[str, Estimate]:
    """Estimate by how many points of test accuracy the one is ahead of the other, pair by pair; with their names."""
    pair = alike(result.knobs, pairs)
    if pair is None:
        raise Missing(" and ".join(pairs[0]))
    one, other = (100 * result.samples("test_accuracy", name) for name in pair)
    return " − ".join(pair), paired(one, other, 100 / sizes_of(result.knobs.dataset, result.recording)[1])


# ---- claims --------------------------------------------------------------------------------------------------------

LI = "Li et al., CVPR 2019"
REPEATED = Needs.at_least("seeds", 3)
SHORT = Needs.at_most("epochs", 8)
DROPPED = Needs.settings("the notebook's rates of dropout", **RATES)
TRAINED = Needs("200 steps on MNIST", lambda knobs: steps(knobs) >= 200 and knobs.dataset == "mnist", change=lambda knobs: dict(dataset="mnist", examples=max(1000, knobs.examples), epochs=max(4, knobs.epochs), batch_size=min(20, knobs.batch_size)))  # fmt: skip
SETTLED = Needs("running statistics of many images, which have forgotten how they started", lambda knobs: knobs.keep ** steps(knobs) < 0.01 and min(examples(knobs), knobs.batch_size / (1 - knobs.keep)) >= AVERAGED)  # fmt: skip
COMPARABLE = Needs.settings("the notebook's settings", **SAME)
REVERSED = "batch norm, then dropout"


def has(*comparisons: Pairs) -> Needs:
    """Need the two variants of each comparison."""
    names = {name for pairs in comparisons for name in pairs[0]}
    return Needs(
        f"the variants {', '.join(name for name in VARIANTS if name in names)}",
        lambda knobs: all(alike(knobs, pairs) for pairs in comparisons),
        change=lambda knobs: {"variants": tuple(name for name in VARIANTS if name in names | set(knobs.variants))},
    )


def all_ahead(result: Result[NormKnobs], comparisons: Sequence[Pairs]) -> Check:
    """Check that in each comparison the first variant has the higher test accuracy."""
    found = dict(ahead(result, pairs) for pairs in comparisons)
    directions = {each.direction for each in found.values()}
    said = "; ".join(f"{pair}: {each.sentence('.2f', 'points')}" for pair, each in found.items())
    holds = False if "lower" in directions else None if None in directions else True
    return Check(said, holds, "more seeds make the intervals narrower")


def claim_ahead(sentence: str, *comparisons: Pairs, needs: Sequence[Needs] = (DROPPED, SHORT), **more: Any) -> None:
    """Claim that in each comparison the first variant has the higher test accuracy."""
    lesson.claim(
        sentence, expected="differences in test accuracy whose 95 % intervals all lie above zero",
        source="paired by seed: same initialization, same images, same order; evaluated on all test images",
        needs=[has(*comparisons), *needs, TRAINED, REPEATED], **more,
    )(partial(all_ahead, comparisons=comparisons))  # fmt: skip


claim_ahead("After a short training batch norm alone classifies better than the plain network, than dropout alone and than both", NORM_PLAIN, NORM_DROPOUT, NORM_BOTH, notebook="98.33 %, dropout 91.89 %, both 95.74 %, one run of each; no plain network")  # fmt: skip
claim_ahead("Both together classify better than dropout alone", BOTH_DROPOUT, notebook="95.74 % against 91.89 %, one run of each")  # fmt: skip
claim_ahead("In so short a training dropout alone costs accuracy: the plain network classifies better", PLAIN_DROPOUT, notebook="no plain network; it says that with dropout “generalization is better”")  # fmt: skip
claim_ahead("With dropout behind the last batch norm alone, both classify better than with dropout in every layer", LAST_EVERY, notebook="dropped before every batch norm", literature=f"{LI}: drop behind the last batch norm")  # fmt: skip
claim_ahead("With batch norm ahead of dropout in every layer, both still classify worse than batch norm alone: the order is not the cause", NORM_BOTH, shown=lambda knobs: knobs.order == REVERSED)  # fmt: skip
claim_ahead("What the notebook takes for a gain of batch norm on the inputs, standardised inputs bring without it", SCALED, needs=(), notebook="98.71 against 98.33 %, but its “standard normalization” is X / 255 alone")  # fmt: skip


@lesson.claim(
    "Batch norm on one-channel inputs does what standardised inputs do, to within 0.4 points",
    expected="a difference whose 95 % interval lies within ± 0.4 points", needs=[has(INPUT_NORM), COMPARABLE, REPEATED],
    source="on one channel it is the same: less the mean, over the standard deviation; then one scale and one shift",
    notebook="98.71 against 98.33 %, but its “standard normalization” is X / 255 alone",
)  # fmt: skip
def input_norm(result: Result[NormKnobs]) -> Check:
    """An equivalence: the interval has to lie within the bounds, not to contain zero."""
    _, gain = ahead(result, INPUT_NORM)
    holds = True if gain.low > -0.4 and gain.high < 0.4 else False if gain.low > 0.4 or gain.high < -0.4 else None
    return Check(gain.text(".2f", "points"), holds, "more seeds make the interval narrower")


def within(result: Result[NormKnobs], names: Sequence[str], low: float, high: float) -> Check:
    """Check that in every hidden layer of these variants expected over met variance lies between the bounds."""
    shifts = [result.fact("variance_shift", f"{name}, {place}") for name in result.series if name in names for place in LAYERS]  # fmt: skip
    if not shifts:
        raise Missing(" or ".join(names))
    said = f"running ÷ evaluation: {min(shifts):.2f} … {max(shifts):.2f} over the hidden layers"
    return Check(said, low <= min(shifts) and max(shifts) <= high)


def claim_within(sentence: str, names: Sequence[str], low: float, high: float, *needs: Needs, **more: Any) -> None:
    """Claim that expected over met variance lies between the bounds."""
    there = Needs(f"one of the variants {', '.join(names)}", lambda knobs: bool(set(names) & set(knobs.variants)))
    expected, check = f"{low} … {high} in every hidden layer", partial(within, names=names, low=low, high=high)
    lesson.claim(sentence, expected=expected, needs=[there, SETTLED, *needs], **more)(check)


DROPS, HALF = ("both", "both (standardised)"), Needs.settings(hidden_rate=0.5)
KEEPS = ("batch norm (inputs / 255)", "batch norm", "batch norm on input too", "both (dropout last)")
claim_within("Batch norm behind dropout of 0.5 expects about twice the variance that it meets in evaluation", DROPS, 1.7, 2.4, HALF, source="activations of mean 0 kept with probability q and divided by it: variance grows by 1/q, 2 at 0.5", notebook="dropped before every batch norm, and never looked", literature=f"{LI}: “variance shift”", shown=lambda knobs: knobs.order != REVERSED)  # fmt: skip
claim_within("Batch norm ahead of dropout meets about the variance that it expects", DROPS, 0.85, 1.25, HALF, source=f"what is left is what dropout does to the layer before, over which weights average. {LI}", notebook="dropped before every batch norm", shown=lambda knobs: knobs.order == REVERSED)  # fmt: skip
claim_within("Where nothing is dropped before it, batch norm meets the variance that it expects", KEEPS, 0.85, 1.15, source=f"training against test images. {LI}")  # fmt: skip


@lesson.claim(
    "The training loss that Keras prints with dropout is higher than that of the network that is evaluated",
    expected="a difference whose 95 % interval lies above zero", needs=[has(DROPOUT), DROPPED, TRAINED, REPEATED],
    source="the same networks on images that they learned from, in evaluation mode; paired by seed",
    notebook="0.5104 printed in training beside 0.2790 on the test, read as better generalization",
)  # fmt: skip
def printed(result: Result[NormKnobs]) -> Check:
    """Two modes of one network."""
    name, _ = alike(result.knobs, DROPOUT) or ("dropout", "")
    said, evaluated = f"{name}, epoch {result.knobs.epochs}", result.samples("train_loss", name)
    more = paired(result.samples("loss_as_trained", said), evaluated)
    text = f"{result.fact('loss_as_trained', said):.3f} printed, {evaluated.mean():.3f} evaluated: {more.sentence()}"
    return Check(text, None if more.direction is None else more.direction == "higher", "more seeds")


for name, low, high in (("batch norm (inputs / 255)", 0.98, 1.0), ("dropout", 0.89, 0.95), ("both", 0.94, 0.975)):

    @lesson.claim(
        f"The notebook's result for “{name}” comes out again at its settings",
        expected=f"{low:.1%} … {high:.1%}", needs=[COMPARABLE, Needs.among("variants", name)],
        source="notebook 001, problem 3; a replica in Keras", notebook=f"{NOTEBOOK[name][2]:.2%}, one run",
    )  # fmt: skip
    def again(result: Result[NormKnobs], name: str = name, low: float = low, high: float = high) -> Check:
        """One of the notebook's three results."""
        score = result.fact("test_accuracy", name)
        return Check(f"{score:.2%}, mean of {result.knobs.seeds}", low <= score <= high)


@lesson.claim(
    "These are the notebook's networks: after one epoch their printed losses are the same", expected="all four within 10 %",
    source="replica in Keras: .2785, .2536, 1.3965, .9498", needs=[COMPARABLE, Needs.among("variants", *NOTEBOOK)],
    notebook=", ".join(str(losses[0]) for losses, _, _ in NOTEBOOK.values()),
)  # fmt: skip
def same_losses(result: Result[NormKnobs]) -> Check:
    """Settings that the notebook did not state would show here."""
    pairs = [(result.fact("loss_as_trained", f"{name}, epoch 1"), theirs[0]) for name, (theirs, _, _) in NOTEBOOK.items()]  # fmt: skip
    said = ", ".join(f"{ours:.3f} for its {theirs:.3f}" for ours, theirs in pairs)
    return Check(said, all(abs(ours / theirs - 1) < 0.1 for ours, theirs in pairs))


@lesson.claim(
    "LeNet-5 has 61,706 trainable parameters, and batch norm adds two for each channel, not four", early=True,
    expected=f"61,706 and 2 × {sum(WIDTHS)} = {2 * sum(WIDTHS)}", source="counted in the networks of this lesson",
    notebook="prints moving mean and variance as “learned batch norm parameters”, too",
    literature="LeCun et al. 1998: about 60,000, with fewer connections in C3",
)  # fmt: skip
def counts(result: Result[NormKnobs]) -> Check:
    """Counted, not trained."""
    plain, norm = (sum(each.numel() for each in LeNet(of, 0).parameters()) for of in (Kind(), Kind(batch_norm=True)))
    said = f"{plain:,}, and {norm - plain} with batch norm behind its hidden layers"
    return Check(said, plain == 61_706 and norm - plain == 2 * sum(WIDTHS))


@lesson.claim(
    "With batch norm, momentum and 15 epochs LeNet-5 comes to where its authors had it",
    expected="at least 98.9 %", source="accept threshold of this lesson", notebook="98.71 % at best, after 5 epochs",
    literature="LeCun et al. 1998: 99.05 %",
    needs=[Needs.settings(dataset="mnist", examples=60_000), Needs.at_least("epochs", 15), Needs.at_least("momentum", 0.5), Needs.among("variants", "batch norm")],
)  # fmt: skip
def full_recipe(result: Result[NormKnobs]) -> Check:
    """One variant that is named beforehand: the best of several would be chosen and scored on one set."""
    score = result.fact("test_accuracy", "batch norm")
    return Check(f"{score:.2%}", score >= 0.989)


@lesson.outcome
def ranking(result: Result[NormKnobs]) -> str:
    """Answer which variant classifies best."""
    ranked = sorted(((result.fact("test_accuracy", name), name) for name in result.series), reverse=True)
    over = f", mean of {result.knobs.seeds} seeds" if result.knobs.seeds > 1 else ""
    return f"Test accuracy{over}: " + ", ".join(f"{name} {value:.1%}" for value, name in ranked) + "."
