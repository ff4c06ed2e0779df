"""Which optimizer is best, and how much of its lead is its learning rate? (notebook 004, problem 1)

The same network, from the same initialization, on the same examples in the same order, once for each optimizer, side by
side, with and without dropout. Each learning rate is the notebook's, an earlier default, or the best of ten on a
validation set. The loss is shown in its two parts. The words are in `optimizers.md`.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import model_validator

from core import data
from core.charts import axis, bars, chart, dots, level, mark
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean, median
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson, noted_sizes
from core.narrator import Diverges
from core.panels import COLOURS, Grow, Panel, Still, Switch, reference
from core.result import Missing, Result
from core.stats import Estimate, mean_of, paired
from core.traces import Contour, Scatter
from core.training.fleet import Dropout
from core.training.optimizer_fleet import OptimizerFleet, Trial
from core.training.update_rules import ALL, LANDSCAPES, RULES, STEPS, WALKING_RATES, Name, walk

ADAPTIVE: tuple[Name, ...] = ("adagrad", "rmsprop", "nadam", "adadelta", "adam")  # the notebook's five
NOTEBOOK_RATES: Mapping[str, float] = {**dict.fromkeys(ALL, 0.001), **dict.fromkeys(("sgd", "momentum", "nesterov"), 0.01)}  # fmt: skip
EARLIER_RATES: Mapping[str, float] = {**NOTEBOOK_RATES, "adagrad": 0.01, "adadelta": 1.0, "nadam": 0.002}  # Keras 2.2's
RATES = tuple(10 ** (k / 2 - 4) for k in range(10))  # of the search: 0.0001 … 3.16; holds 0.001, 0.01, 0.1 and 1
DROPOUT = Dropout(0.5, input_rate=0.2)  # the notebook's
SEARCHED = 1 / 3  # of the epochs, for each rate of the search
SEARCH_TESTS = 1000  # test examples on which the notebook's rate and the chosen one are compared
LOOKS, FEW_LOOKS, WIDE = 24, 8, 256  # frames after the search; networks from this width on take long to evaluate
GLANCE = 500  # test and training examples that are evaluated on the way; at the end all test examples are
DEFAULTS = (("adadelta", 0.001), ("adadelta", 1.0), ("adagrad", 0.001), ("adagrad", 0.01))  # one epoch each
GUESSING = math.log(10)
PIXELS = {"digits": 64, "cifar10": 3072}  # of an image; 784 otherwise
NOTEBOOK: Mapping[str, tuple[float, float, float, float, float, float]] = {
    # least loss, with dropout; test accuracy, with dropout; seconds, with dropout
    "adagrad": (1.5973, 1.7147, 0.5103, 0.4805, 415.3, 444.4),
    "rmsprop": (1.9577, 2.2433, 0.3312, 0.2553, 554.7, 584.1),
    "nadam": (1.8171, 2.2300, 0.3975, 0.2567, 788.7, 812.9),
    "adadelta": (4.6888, 5.5735, 0.4507, 0.4037, 461.6, 484.4),
    "adam": (1.8388, 2.2936, 0.4176, 0.2812, 423.1, 448.3),
}
WITH = " + dropout"


def five_sixths(whole: int) -> int:
    """Return how many of a set's training examples may be learned: the rest is the validation set of the search."""
    return whole * 5 // 6


class OptimizerKnobs(Knobs):
    """Hyper-parameters."""

    optimizers: tuple[Name, ...] = knob(("sgd", "adagrad", "rmsprop", "adadelta", "adam", "nadam"), "which rules train, one network each, side by side", shown=True)  # fmt: skip
    rates: Literal["notebook", "paper", "tuned"] = knob("tuned", "the learning rate of each; notebook: Keras' defaults; paper: Keras 2.2's, which has AdaDelta at its paper's 1, AdaGrad at 0.01 and Nadam at 0.002; tuned: for each the best of ten on a validation set", shown=True, label="learning rates")  # fmt: skip
    l2: float = knob(0.0, "λ of the penalty λ·Σw² on the hidden layers; AdamW shrinks weights by as much instead", 0.0, 0.01, stops=(0.0, 0.0001, 0.001, 0.01), shown=True, label="L2 penalty")  # fmt: skip
    dropout: Literal["without", "with", "both"] = knob("without", "whether a fifth of the inputs and half of the hidden units are dropped in training; at the same rates", shown=True)  # fmt: skip
    width: int = knob(64, "units in each of the two hidden layers; the notebook's network has 1,000", 2, 1000, stops=(16, 32, 64, 128, 256, 512, 1000))  # fmt: skip
    examples: int = knob(1000, "size of the training set; a fifth as many again are the validation set, so cifar10 gives 41,666 at most", 20, 50_000, stops=(500, 1000, 1500, 2000, 4000, 10_000, 50_000))  # fmt: skip
    epochs: int = knob(4, "how often each network goes through the training set", 1, 200, stops=(2, 4, 6, 8, 10, 20, 50, 100, 200))  # fmt: skip
    batch_size: int = knob(32, "examples averaged into one step", 4, 512, stops=(16, 32, 64, 128, 256))
    dataset: Literal["cifar10", "fashion-mnist", "mnist", "digits"] = knob("fashion-mnist", "what is learned; the notebook's is cifar10, digits needs no download")  # fmt: skip
    pixels: Literal["0 to 1", "standardised"] = knob("0 to 1", "what the network sees: pixels over their largest value, as the notebook, or less their mean and over their standard deviation, which is learned faster")  # fmt: skip
    landscape: Literal["ravine", "saddle", "eggholder"] = knob("ravine", "the two-dimensional function on which the same rules are watched")  # fmt: skip
    seeds: int = knob(1, "repeats with other examples, order and initialization: without three, no difference can be told from random variation", 1, 8, stops=(1, 2, 3, 5), added=True)  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _leaves_a_validation_set(self) -> Self:
        gives = five_sixths(data.SOURCES["cifar10"].counts[0])
        if self.dataset == "cifar10" and self.examples > gives:
            raise ValueError(
                f"examples = {self.examples} is more than cifar10 gives: of its 50,000 training images a sixth is the "
                f"validation set for the learning rates; {gives} would do, or dataset = fashion-mnist"
            )
        return self


def series(knobs: OptimizerKnobs) -> list[str]:
    """Return the names of the networks: one per optimizer without dropout, then one with."""
    return [name + end for end in endings(knobs) for name in knobs.optimizers]


def endings(knobs: OptimizerKnobs) -> list[str]:
    """Return what the names of the networks end on."""
    return {"without": [""], "with": [WITH], "both": ["", WITH]}[knobs.dropout]


CIFAR = dict(dataset="cifar10", width=1000, examples=40_000, batch_size=128)
NOTEBOOK_SETTINGS = dict(optimizers=ADAPTIVE, rates="notebook", l2=0.01, dropout="both")
PLAIN: tuple[Name, ...] = ALL[:-1]  # without a penalty AdamW is Adam

lesson = Lesson(
    "optimizers",
    OptimizerKnobs,
    revision=1,
    axis="epoch",
    length="epochs",
    series=series,
    curves=[
        Curve("test_accuracy", "test accuracy", format=".1%"),
        Curve("cross_entropy", "cross-entropy on training images", "nats", events=[Diverges]),
        Curve("penalty", "penalty", "nats"),
        Curve("batch_loss", "cross-entropy as training sees it", "nats", fact=False),
        Curve("seconds", "training time", "s", fact=False),
        Curve("differing", "largest difference from torch.optim", fact=False),
        Curve("updates", "updates in an epoch", fact=False),
    ],
    tables=[
        Table("one_epoch_by_seed", "test accuracy after one epoch", ("optimizers by seeds",), added=True),
        Table("search", "validation accuracy by learning rate, mean over the seeds", ("optimizers", "rates")),
        Table("chosen", "the rates chosen and their validation accuracy", ("rate and accuracy", "optimizers by seeds")),
        Table("tuning", "test accuracy after the search, at the notebook's and at the chosen rate", ("rates", "optimizers by seeds")),
    ],
    presets={
        "Classroom": dict(seeds=3),
        "As the notebook ran it": dict(**NOTEBOOK_SETTINGS, **CIFAR, epochs=200),
        "Done right": dict(**CIFAR, epochs=100, pixels="standardised", seeds=3),
        "The notebook's settings, 1,000 images, 8 epochs": dict(**NOTEBOOK_SETTINGS, **{**CIFAR, "examples": 1000}, epochs=8),
        "CIFAR-10, tuned, 1,000 images": dict(epochs=6, dataset="cifar10", pixels="standardised", seeds=3),
        "With the notebook's penalty": dict(optimizers=ALL, rates="paper", l2=0.01, dropout="both", landscape="saddle", seeds=3),
        "At Keras 2.2's rates": dict(optimizers=PLAIN, rates="paper", landscape="eggholder", seeds=3),
    },
    for_gpu=("As the notebook ran it", "Done right"),
    small=dict(dataset="digits", width=8, examples=100, epochs=2, batch_size=32, seeds=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def examples(knobs: OptimizerKnobs) -> int:
    """Return the size of the training set: as many as were asked for, if the data set has them and some to validate."""
    return min(knobs.examples, five_sixths(data.sizes(knobs.dataset)[0]))


def drawn(knobs: OptimizerKnobs, seed: int, device: torch.device) -> Trial:
    """Return one repeat of the experiment: its own examples, order and initialization."""
    scaling: data.Scaling | None = "global" if knobs.pixels == "standardised" else None
    split = data.split(data.load(knobs.dataset, device), examples(knobs), scaling, seed)
    return Trial(split, width=knobs.width, l2=knobs.l2, batch_size=knobs.batch_size, seed=seed)


@lesson.experiment
def train(knobs: OptimizerKnobs, device: torch.device) -> Iterator[Frame]:
    """Train one epoch at default rates, search for learning rates, then train all optimizers side by side."""
    trials = [drawn(knobs, knobs.seed + i, device) for i in range(knobs.seeds)]
    rates = [dict(EARLIER_RATES if knobs.rates == "paper" else NOTEBOOK_RATES) for _ in trials]
    paths, differing = walk(knobs.optimizers, knobs.landscape)
    shares = work(knobs)
    per_epoch = math.ceil(examples(knobs) / knobs.batch_size)

    def start() -> None:
        for trial, own in zip(trials, rates, strict=True):
            trial.start([(name, own[name]) for name in knobs.optimizers], [DROPOUT if end else None for end in endings(knobs)])  # fmt: skip

    def frame(step: float, tests: int, done: float) -> Frame:
        scores = [trial.scores(GLANCE, tests) for trial in trials]
        curves = {name: np.stack([each[name] for each in scores], axis=1) for name in scores[0]}  # (series, seeds)
        parts = np.stack([curves[name].mean(axis=1) for name in ("cross_entropy", "penalty")])
        walked = np.where(np.arange(STEPS + 1) <= round(step / knobs.epochs * STEPS), 1.0, np.nan)
        pictures = {"paths": (paths * walked[:, None]).transpose(2, 0, 1).reshape(-1, STEPS + 1).astype("f4"), "parts": parts.astype("f4")}  # fmt: skip
        # One number a network where there is one seed, else one for each seed.
        return Frame(step, {name: each.squeeze(1) if knobs.seeds == 1 else each for name, each in curves.items()}, pictures, done)  # fmt: skip

    start()
    yield frame(0, GLANCE, 0.0)
    yield Frame(0, {"differing": differing}, noted_sizes(knobs.dataset))

    one_epoch = np.stack([trial.trained(DEFAULTS, 1).evaluate(trial.split.x_test, trial.split.y_test)[1] for trial in trials])  # fmt: skip
    done = shares[0]
    yield Frame(0, {"updates": per_epoch}, {"one_epoch": one_epoch.mean(axis=0), "one_epoch_by_seed": one_epoch.ravel()}, done)  # fmt: skip

    if knobs.rates == "tuned":
        validated = np.full((len(knobs.optimizers), knobs.seeds, len(RATES)), np.nan)
        tested = np.full((len(knobs.optimizers), knobs.seeds, 2), np.nan)
        for i, name in enumerate(knobs.optimizers):
            for k, trial in enumerate(trials):
                validated[i, k], best, tests = trial.search(name, RATES, searched(knobs), SEARCH_TESTS)
                rates[k][name], tested[i, k] = RATES[best], tests[[at_notebook(name), best]]
            done += shares[1] / len(knobs.optimizers)
            yield Frame(0, {}, {"search": validated.mean(axis=1), "chosen": chosen(validated.reshape(-1, len(RATES))), "tuning": tested.reshape(-1, 2).T}, done)  # fmt: skip

    start()
    updates = knobs.epochs * per_epoch
    looks = set(np.linspace(0, updates, (FEW_LOOKS if knobs.width >= WIDE else LOOKS) + 1).round().astype(int).tolist())
    for t, rows in enumerate(zip(*(trial.batches(knobs.epochs) for trial in trials), strict=True), start=1):
        for trial, own in zip(trials, rows, strict=True):
            trial.step(own)
        if t in looks:
            last = len(trials[0].split.y_test) if t == updates else GLANCE
            yield frame(t / per_epoch, last, 1.0 if t == updates else done + (1 - done) * t / updates)


lesson.shown(train, Trial, OptimizerFleet, walk, *dict.fromkeys(RULES.values()))


def searched(knobs: OptimizerKnobs) -> int:
    """Return the epochs that each rate of the search gets."""
    return max(1, round(SEARCHED * knobs.epochs))


def at_notebook(name: str) -> int:
    """Return where the notebook's rate stands among those of the search."""
    return int(np.argmin(np.abs(np.log(np.array(RATES) / NOTEBOOK_RATES[name]))))


def chosen(validated: Array) -> Array:
    """Return the best rate of each search (searches, rates) and its accuracy, (2, searches); NaN before the search."""
    best = np.argmax(np.nan_to_num(validated), axis=1)
    accuracy = validated[np.arange(len(validated)), best]
    return np.stack([np.where(np.isfinite(accuracy), np.array(RATES)[best], np.nan), accuracy])


def work(knobs: OptimizerKnobs) -> tuple[float, float]:
    """Return the shares of the run's work that one epoch at default rates and the search take."""
    nets = len(knobs.optimizers)
    parts = [len(DEFAULTS), nets * len(RATES) * searched(knobs) * (knobs.rates == "tuned"), nets * len(endings(knobs)) * knobs.epochs]  # fmt: skip
    return parts[0] / sum(parts), parts[1] / sum(parts)


@lesson.cost
def cost(knobs: OptimizerKnobs) -> Cost:
    """Matrix products of every network, what the updates read and write, and the price of each update's calls."""
    inputs = PIXELS.get(knobs.dataset, 784)
    parameters = (inputs + knobs.width + 10.0) * knobs.width
    nets, sides = len(knobs.optimizers), len(endings(knobs))
    search = nets * len(RATES) * (knobs.rates == "tuned")
    epochs = len(DEFAULTS) + nets * sides * knobs.epochs + search * searched(knobs)
    count, tests = examples(knobs), data.sizes(knobs.dataset)[1]
    steps = epochs * math.ceil(count / knobs.batch_size)
    looks = FEW_LOOKS if knobs.width >= WIDE else LOOKS
    judged = nets * sides * (looks * 2.0 * GLANCE + tests) + search * (count / 5 + min(SEARCH_TESTS, tests))
    flops = parameters * (6.0 * epochs * count + 2.0 * judged)
    masks = 8.0 * (inputs + 2 * knobs.width) * count * nets * knobs.epochs * (knobs.dropout != "without")
    held = 4.0 * parameters * (9.0 * max(knobs.seeds * nets * sides, len(RATES)) + 8.0) + 8e8
    return Cost(knobs.seeds * flops, knobs.seeds * (steps * 12.0 * parameters + masks), knobs.seeds * 40.0 * steps, held)  # fmt: skip


@lesson.script_settings
def settings(knobs: OptimizerKnobs) -> Mapping[str, Any]:
    """Give the script the learning rates themselves unless it is to search for them; it has no landscape."""
    given = EARLIER_RATES if knobs.rates == "paper" else NOTEBOOK_RATES
    rates = "tuned" if knobs.rates == "tuned" else tuple(given[name] for name in knobs.optimizers)
    return {**knobs.model_dump(exclude={"landscape"}), "rates": rates}


# ---- charts --------------------------------------------------------------------------------------------------------


def hue(name: str) -> str:
    """Return the colour of an optimizer, the same whatever else is trained."""
    return COLOURS[ALL.index(name.removesuffix(WITH))]


@lesson.charts
def charts(knobs: OptimizerKnobs) -> Iterator[Panel]:
    """Accuracy, what tuning does to it, the search, the loss, the time, one epoch at default rates, a landscape."""
    names, optimizers = series(knobs), knobs.optimizers
    look: dict[str, Any] = {"colours": [hue(name) for name in names], "dashes": [_dash(name) for name in names]}
    theirs = [(name, NOTEBOOK[name]) for name in optimizers if name in NOTEBOOK and knobs.matches(COMPARABLE)]

    def marks(k: int) -> list[Still]:
        return [mark(knobs.epochs, values[k], f"notebook: {name}, all images, 200 epochs", hue(name)) for name, values in theirs]  # fmt: skip

    said = f"Share of test images classified correctly: of {GLANCE} on the way, of all at the end."
    said += " Dotted: with dropout." * (knobs.dropout != "without")
    if "adamw" in optimizers and not knobs.l2:
        said += " Without a penalty AdamW (dashed) is Adam: their lines coincide."
    if knobs.examples > (gives := examples(knobs)):
        said += f" {knobs.dataset} gives {gives} training examples, not {knobs.examples}."
    yield lesson.line_chart(
        knobs, "test_accuracy", said, range=(0, 1), extra=[level(0.1, 0, knobs.epochs, "guessing"), *marks(2)], **look
    )
    if knobs.rates == "tuned":
        by_seed = np.repeat(optimizers, knobs.seeds).tolist()
        yield chart(
            "What the learning rate decides",
            f"Test accuracy after the {searched(knobs)} epochs of the search, a dot for each seed: at Keras' default rate, and at the rate chosen on the validation set.",
            [dots("tuning", row, by_seed, name, COLOURS[row], marker={"opacity": 0.7}) for row, name in enumerate(("default rate", "chosen rate"))],
            x=axis("optimizer", type="category"),
            y=axis("test accuracy", format=".0%", range=(0, 1)),
        )  # fmt: skip
        lines = [Switch(Scatter(x=RATES, name=name, mode="lines", line={"color": hue(name), "width": 2}, meta={"label": name}), {"y": ("search", i)}) for i, name in enumerate(optimizers)]  # fmt: skip
        stars = Scatter(mode="markers", name="chosen", marker={"symbol": "star", "size": 11, "color": [hue(name) for name in by_seed]})  # fmt: skip
        yield chart(
            "The search: accuracy by learning rate",
            f"Validation accuracy of each optimizer after {searched(knobs)} epochs at ten rates, the mean over the seeds; stars are the rates that are taken, one for each seed.",
            [*lines, Switch(stars, {"x": ("chosen", 0), "y": ("chosen", 1)}), reference([0.001, 0.001], [0, 1], "Keras' default rate (of sgd and momentum: 0.01)")],
            x=axis("learning rate", log=True, range=(0.0001, 4)),
            y=axis("validation accuracy", format=".0%", range=(0, 1)),
        )  # fmt: skip
    yield chart(
        "Training loss, as the notebook plots it",
        "The mean cross-entropy of the latest steps, with units dropped where there is dropout, and on top of it the penalty λ·Σw².",
        [*(part for i, name in enumerate(names) for part in _stacked(i, name)), *marks(0)],
        x=axis("epochs", range=(0, knobs.epochs)),
        y=axis("cross-entropy and penalty (nats)", rangemode="tozero"),
    )  # fmt: skip
    yield chart(
        "What the loss is made of",
        "Cross-entropy on training images, and on top of it the penalty λ·Σw²; the notebook ranked by their sum.",
        [bars("parts", k, names, part, COLOURS[k]) for k, part in enumerate(("cross-entropy", "penalty"))],
        x=axis("network"),
        y=axis("loss", rangemode="tozero"),
        barmode="stack",
    )
    yield lesson.line_chart(
        knobs, "cross_entropy", "Without the penalty and with all units there.", extra=[level(GUESSING, 0, knobs.epochs, "guessing: ln 10")], **look
    )  # fmt: skip
    yield lesson.line_chart(knobs, "seconds", "Processor time of each network's updates so far.", extra=marks(4), **look)  # fmt: skip
    rules = [f"{name} {rate:g}" for name, rate in DEFAULTS]
    yield chart(
        "One epoch at two default rates",
        "AdaDelta and AdaGrad after one epoch, the mean and a dot for each seed. Keras sets 0.001 for both. AdaDelta's paper has no rate, which is 1; AdaGrad had 0.01 in Keras 2.2, and Keras says 1 for its paper's form.",
        [bars("one_epoch", None, rules, "mean", COLOURS[0]), dots("one_epoch_by_seed", None, rules * knobs.seeds, "seeds", COLOURS[3], size=7)],
        x=axis("optimizer and rate", type="category"),
        y=axis("test accuracy", format=".0%", range=(0, 1)),
        legend=False,
    )  # fmt: skip
    yield _landscape(knobs)


def _stacked(i: int, name: str) -> list[Grow]:
    """Return the sum of two curves as Plotly stacks them: a line nobody sees, and the penalty on top of it."""
    style: dict[str, Any] = {"mode": "lines", "stackgroup": name, "stackgaps": "interpolate", "fill": "none"}
    line = {"color": hue(name), "dash": _dash(name), "width": 2}
    seen = Scatter(name=name, line=line, hoverinfo="name", meta={"label": name}, **style)
    return [Grow(Scatter(line={"width": 0}, showlegend=False, hoverinfo="skip", **style), "batch_loss", i), Grow(seen, "penalty", i)]  # fmt: skip


def _dash(name: str) -> str:
    return "dot" if name.endswith(WITH) else "dash" if name == "adamw" else "solid"


def _landscape(knobs: OptimizerKnobs) -> Panel:
    """Return the paths of the rules over the height of the landscape."""
    height, start = LANDSCAPES[knobs.landscape]
    even, n = torch.linspace(-2, 2, 61, dtype=torch.float64), len(knobs.optimizers)
    z = height(even[None, :], even[:, None]).numpy().round(3)
    ground = Contour(x=even.numpy(), y=even.numpy(), z=z, showscale=False, ncontours=18, contours={"coloring": "lines"}, colorscale=[[0, "#9aa0a8"], [1, "#9aa0a8"]], opacity=0.5, hoverinfo="skip", name="height", showlegend=False)  # fmt: skip
    paths = [Switch(Scatter(mode="lines", name=f"{name}, {WALKING_RATES[name]:g}", line={"color": hue(name), "width": 2}), {"x": ("paths", i), "y": ("paths", n + i)}) for i, name in enumerate(knobs.optimizers)]  # fmt: skip
    return chart(
        f"The same rules on a landscape: {knobs.landscape}",
        f"{STEPS} steps of each rule from one point, at the rates in the legend; lines of equal height in grey.",
        [Still(ground), *paths, mark(*start, "start", symbol="circle-open")],
        x=axis("x", range=(-2, 2)),
        y=axis("y", range=(-2, 2)),
    )


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[OptimizerKnobs]) -> Iterator[Fact]:
    """Yield training times, accuracy after one epoch, the chosen rates and what they bring, and how far apart all are."""
    for name, row in zip(result.series, result.last("seconds"), strict=True):
        yield mean("train_seconds", name, row.ravel())
    one_epoch = result.recording.picture("one_epoch_by_seed")
    if one_epoch is None:  # a run of one seed that was stored before there were several
        one_epoch = result.recording.picture("one_epoch")
    for k, (name, rate) in enumerate(DEFAULTS):
        yield mean("one_epoch", f"{name} {rate:g}", [] if one_epoch is None else one_epoch[k :: len(DEFAULTS)])
    if result.recording.picture("search") is None:
        return
    search = result.table("search")
    rates, validated, defaults, tuned = (row.reshape(-1, result.knobs.seeds) for row in (*result.table("chosen"), *result.table("tuning")))  # fmt: skip
    for i, name in enumerate(result.knobs.optimizers):
        yield median("tuned_rate", name, rates[i])
        yield mean("validation_accuracy", f"{name}, tuned", validated[i])
        yield Fact("validation_accuracy", f"{name}, notebook", search[i, at_notebook(name)])
        yield mean("search_test_accuracy", f"{name}, notebook", defaults[i])
        yield mean("search_test_accuracy", f"{name}, tuned", tuned[i])
    for name, accuracy in (("notebook", defaults), ("tuned", tuned)):
        yield mean("accuracy_gap", name, gap(result.knobs, accuracy))


def gap(knobs: OptimizerKnobs, accuracy: Array) -> Array:
    """Return how far the best of the notebook's five optimizers is ahead of the worst, by seed, (seeds,).

    Args:
        knobs: of the run.
        accuracy: (optimizers or more, seeds); NaN, of a network that diverged, counts as 0.
    """
    five = np.nan_to_num(accuracy[[i for i, name in enumerate(knobs.optimizers) if name in ADAPTIVE]])
    return five.max(axis=0) - five.min(axis=0) if len(five) else np.full(accuracy.shape[1], np.nan)


def by_seed(result: Result[OptimizerKnobs], curve: str) -> Array:
    """Return the last values of a curve, (series, seeds)."""
    return result.last(curve).reshape(len(result.series), -1)


# ---- claims --------------------------------------------------------------------------------------------------------

COMPARABLE = dict(dataset="cifar10", rates="notebook", l2=0.01)  # runs beside which the notebook's numbers may stand
TUNED = Needs.settings(rates="tuned")
REPEATED = Needs.at_least("seeds", 3)
FIVE = Needs.among("optimizers", *ADAPTIVE)
PLAINLY = Needs("networks without dropout", lambda knobs: knobs.dropout != "with")
PENALTY = Needs("an L2 penalty", lambda knobs: knobs.l2 > 0, change=lambda knobs: {"l2": 0.01})
LEARNED = Needs("a network that is right twice as often as guessing", result=lambda result: bool(np.nanmax(by_seed(result, "test_accuracy").mean(axis=1), initial=0) >= 0.2))  # fmt: skip


def above_zero(difference: Estimate, form: str, unit: str, before: str = "") -> Check:
    """Return the check of a claim that a difference is positive."""
    holds = None if difference.direction is None else difference.direction == "higher"
    return Check(before + difference.sentence(form, unit), holds, "more seeds make the interval narrower")


@lesson.claim(
    "Tuning the learning rates narrows the gap between the best and the worst of the notebook's five optimizers",
    expected="a larger gap at Keras' default rates than at tuned rates: 95 % interval of the difference above zero",
    source="test accuracy after the search, the best less the worst of the five; rates chosen on the validation set; pair by pair",
    notebook="17.9 points between AdaGrad (51.0 %) and RMSProp (33.1 %), each at one rate",
    needs=[TUNED, FIVE, REPEATED, LEARNED],
)
def tuning_narrows_the_gap(result: Result[OptimizerKnobs]) -> Check:
    """The lesson's own question."""
    defaults, tuned = (100 * result.samples("accuracy_gap", name) for name in ("notebook", "tuned"))
    said = f"{defaults.mean():.1f} points at default rates, {tuned.mean():.1f} tuned; the difference: "
    return above_zero(paired(defaults, tuned), ".1f", "points", said)


@lesson.claim(
    "With its rate tuned, each of the five comes within 5 points of the best",
    expected="less than 5 points of test accuracy between the best and the worst, without dropout: 95 % interval below 5",
    source="the end of this run, all test images; mean over the seeds",
    notebook="17.9 points",
    literature="Wilson et al. 2017, a VGG net on CIFAR-10: 7.65 ± 0.14 % error with SGD, 9.60 ± 0.19 % with the best adaptive rule",
    needs=[TUNED, FIVE, PLAINLY, REPEATED, LEARNED],
)
def tuned_are_close(result: Result[OptimizerKnobs]) -> Check:
    """The gap that is left."""
    left = mean_of(100 * gap(result.knobs, by_seed(result, "test_accuracy")[: len(result.knobs.optimizers)]))
    holds = True if left.high < 5 else False if left.low > 5 else None
    return Check(left.text(".1f", "points"), holds, "the interval holds both more and less than 5 points")


@lesson.claim(
    "Keras' default rates suit Adam better than AdaDelta: tuning brings AdaDelta more",
    expected="a larger gain in test accuracy: 95 % interval of the difference above zero",
    source="test accuracy after the search, chosen rate less default rate; pair by pair",
    notebook="ranks both at 0.001: 41.8 % and 45.1 %",
    needs=[TUNED, Needs.among("optimizers", "adadelta", "adam"), REPEATED, LEARNED],
)
def defaults_suit_adam(result: Result[OptimizerKnobs]) -> Check:
    """Whom one default serves."""
    gains = {name: 100 * (result.samples("search_test_accuracy", f"{name}, tuned") - result.samples("search_test_accuracy", f"{name}, notebook")) for name in ("adadelta", "adam")}  # fmt: skip
    said = "; ".join(f"{name} gains {gain.mean():+.1f} points" for name, gain in gains.items())
    return above_zero(paired(gains["adadelta"], gains["adam"]), ".1f", "points", f"{said}; the difference: ")


@lesson.claim(
    "AdaDelta at 0.001 is not AdaDelta: at 1, the rate of its paper, one epoch takes it further",
    expected="a higher test accuracy after the first epoch: 95 % interval of the difference above zero",
    source="Zeiler 2012 has no rate at all, which is a rate of 1; pair by pair",
    notebook="ran it at 0.001, Keras' default, and found it worst by loss",
    literature="Keras' documentation says to use 1.0 to match the paper",
    needs=[REPEATED],
    early=True,
)
def adadelta_at_one(result: Result[OptimizerKnobs]) -> Check:
    """The notebook's AdaDelta."""
    small, one = (100 * result.samples("one_epoch", f"adadelta {rate}") for rate in ("0.001", "1"))
    if not len(one):
        raise Missing("first epoch")
    said = f"{small.mean():.1f} % at 0.001, {one.mean():.1f} % at 1, after {result.last('updates'):.0f} updates: "
    return above_zero(paired(one, small), ".1f", "points", said)


@lesson.claim(
    "The loss with its penalty ranks optimizers worse than the cross-entropy alone",
    expected="a larger share of pairs in which the smaller loss has the lower accuracy: 95 % interval of the difference above zero",
    source="all pairs of optimizers without dropout, at the end of this run",
    notebook="AdaDelta has the worst loss, 4.69, and the second best accuracy, 45.1 %",
    needs=[PENALTY, PLAINLY, Needs("three optimizers or more", lambda knobs: len(knobs.optimizers) > 2), REPEATED, LEARNED],
)  # fmt: skip
def penalty_ranks(result: Result[OptimizerKnobs]) -> Check:
    """What the notebook's ranking is a ranking of."""
    accuracy, cross_entropy, penalty = (by_seed(result, curve)[: len(result.knobs.optimizers)] for curve in ("test_accuracy", "cross_entropy", "penalty"))  # fmt: skip
    if len(accuracy) < 2:
        raise Missing("pair of optimizers")
    alone, together = misranked(cross_entropy, accuracy), misranked(cross_entropy + penalty, accuracy)
    said = f"{together.mean():.0%} of the pairs by loss, {alone.mean():.0%} by cross-entropy: "
    step = 100 / math.comb(len(accuracy), 2)  # in which shares of pairs are measured
    return above_zero(paired(100 * together, 100 * alone, resolution=step), ".0f", "points", said)


def misranked(loss: Array, accuracy: Array) -> Array:
    """Return the share of pairs of optimizers that the loss puts in the wrong order, by seed; both (optimizers, seeds)."""
    pairs = list(combinations(range(len(loss)), 2))
    wrong = [(loss[a] - loss[b]) * (accuracy[a] - accuracy[b]) > 0 for a, b in pairs]
    return np.asarray(np.mean(wrong, axis=0))


@lesson.claim(
    "At initialization the penalty is what Glorot's rule makes it, whatever the images",
    expected=lambda knobs: f"{glorot_penalty(knobs):.2f} within 5 %: λ·Σ 2·fan_in·fan_out/(fan_in + fan_out)",
    source="Var(w) = 2/(fan_in + fan_out), Glorot & Bengio 2010; the smallest such network has a standard error of 1.6 %",
    notebook="its loss begins at about 27, of which 25.1 is penalty, and is ranked as it is",
    needs=[PENALTY, Needs.at_least("width", 32)],
    early=True,
)
def penalty_at_start(result: Result[OptimizerKnobs]) -> Check:
    """Where the notebook's 25.1 comes from."""
    (penalty, cross_entropy), formula = (result.curve(name)[1][0].mean() for name in ("penalty", "cross_entropy")), glorot_penalty(result.knobs)  # fmt: skip
    return Check(f"{penalty:.2f}, beside a cross-entropy of {cross_entropy:.2f}", abs(penalty - formula) <= 0.05 * formula)  # fmt: skip


def glorot_penalty(knobs: OptimizerKnobs) -> float:
    """Return the expected λ·Σw² of the hidden layers at initialization."""
    inputs = PIXELS.get(knobs.dataset, 784)
    return knobs.l2 * (2 * inputs * knobs.width / (inputs + knobs.width) + knobs.width)


@lesson.claim(
    "Dropout adds to the loss that is printed in training, not only to that of the network",
    expected="printed loss less that of the whole network, larger with dropout than without: 95 % interval of the difference above zero",
    source="mean over the optimizers; the printed loss has units missing; pair by pair",
    notebook="compares the printed losses, and finds dropout worse",
    needs=[Needs.settings(dropout="both"), REPEATED, LEARNED],
)
def dropout_adds_to_the_printed_loss(result: Result[OptimizerKnobs]) -> Check:
    """Two losses that are no measure of the same thing."""
    if result.knobs.dropout != "both":
        raise Missing("pair of networks with dropout and without")
    excess = by_seed(result, "batch_loss") - by_seed(result, "cross_entropy")
    without, with_dropout = excess.reshape(2, len(result.knobs.optimizers), -1).mean(axis=1)
    return above_zero(paired(with_dropout, without), ".2f", "nats")


@lesson.claim(
    "Without penalty and dropout such a network classifies half of the CIFAR-10 test images correctly",
    expected="50 % or more, of the optimizer with the best validation accuracy",
    source="Zhang et al. 2017: 50.5 % with one hidden layer of 512, 52.4 % with three",
    notebook="51.0 % with AdaGrad, penalty and all",
    needs=[Needs.settings(dataset="cifar10", l2=0.0, rates="tuned"), PLAINLY, Needs.at_least("examples", 40_000), Needs.at_least("epochs", 20)],
)  # fmt: skip
def half_of_cifar(result: Result[OptimizerKnobs]) -> Check:
    """What such a network can do."""
    validated = {name: result.fact("validation_accuracy", f"{name}, tuned") for name in result.knobs.optimizers}
    best = max(validated, key=lambda name: validated[name])
    return Check(f"{best}: {(found := result.fact('test_accuracy', best)):.1%}", found >= 0.5)


@lesson.claim(
    "Each rule as it is written here gives the update of torch.optim",
    expected="a difference below 1e-6 in every step",
    source="torch.optim in float64, with the same constants",
    notebook="writes RMSProp with E[g]² where it is E[g²]",
    early=True,
)
def as_torch(result: Result[OptimizerKnobs]) -> Check:
    """The formulas under "Theory"."""
    largest = float(result.last("differing"))
    return Check(f"largest difference {largest:.1e} in {STEPS} steps on the landscape", largest < 1e-6)


@lesson.outcome
def outcome(result: Result[OptimizerKnobs]) -> str | None:
    """Tell how far the best was ahead of the worst."""
    if result.has("accuracy_gap", "tuned") and set(ADAPTIVE) <= set(result.knobs.optimizers):
        return f"At Keras' default rates the best of the five is {result.fact('accuracy_gap', 'notebook') * 100:.1f} points ahead of the worst, at tuned rates {result.fact('accuracy_gap', 'tuned') * 100:.1f} points."  # fmt: skip
    known = {name: value for name in result.series if (value := result.fact_or_none("test_accuracy", name)) is not None}
    if not known:
        return None
    best, worst = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    return f"{best} came first with {known[best]:.1%} and {worst} last with {known[worst]:.1%}: {100 * (known[best] - known[worst]):.1f} points between them."  # fmt: skip
