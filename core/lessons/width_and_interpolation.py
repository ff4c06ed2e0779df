"""Does a wider network interpolate its training set sooner? (notebook 003)

One hidden layer of ReLU units, plain SGD one example at a time, on a tenth of FashionMNIST. All widths train side by
side on the same examples in the same order, so they differ in width alone. In the first pass a search over learning
rates looks for the smallest one that diverges. The words are in `width-and-interpolation.md`.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from core import data
from core.charts import around, axis, chart, colour, dots, growing, level, mark, shades
from core.claims import Check, Needs, resolves
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, median
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Levels, Overfits, Reaches
from core.panels import Panel, reference
from core.result import Missing, Result
from core.stats import Estimate, paired
from core.training.online import SideBySide

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # of the search
SEARCH_WIDTH, SEARCH_FRAMES = 32, 10  # the width with which the notebook searched; frames of the one pass
TEST_POINTS = 15  # after the tenth pass about so many test scores are taken: each costs as much as half a pass
CHANCE_LOSS = math.log(10)  # cross-entropy of a network that gives each of ten classes the same probability
NOTEBOOK_PASSES = {32: 53, 128: 41, 512: 34}
NOTEBOOK_SEARCH = {0.01: 0.561, 0.02: 2.428}  # train loss after the pass; NaN at 0.1
NOTEBOOK: dict[str, Any] = dict(dataset="fashion-mnist", examples=6000, learning_rate=0.005, batch_size=1, label_noise=0.0, scaling="per pixel")  # fmt: skip


class WidthKnobs(Knobs):
    """Hyper-parameters."""

    widths: tuple[int, ...] = knob((8, 32, 128), "units in the hidden layer: one network for each, side by side", 2, 1024, stops=(4, 8, 16, 32, 64, 128, 256, 512, 1024), shown=True)  # fmt: skip
    learning_rate: float = knob(0.005, "step size of SGD", 0.0001, 2.0, stops=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1), shown=True)  # fmt: skip
    passes: int = knob(40, "how often each network goes through the training set", 1, 300, stops=(5, 10, 20, 40, 60, 100, 200), shown=True)  # fmt: skip
    examples: int = knob(1500, "size of the training set", 50, 60_000, stops=(500, 1000, 1500, 2000, 6000), shown=True)
    label_noise: float = knob(0.0, "share of the labels that are redrawn at random: nothing to understand, only to memorize", 0.0, 1.0, stops=(0.0, 0.1, 0.2, 0.5, 1.0))  # fmt: skip
    sampling: Literal["shuffled", "with replacement"] = knob("shuffled", "shuffled: each pass is an epoch; with replacement, as the notebook: a pass misses a third of the examples")  # fmt: skip
    scaling: Literal["per pixel", "global"] = knob("per pixel", "one mean and standard deviation for each pixel, as the notebook, or one for all: the first makes outliers of rare pixels")  # fmt: skip
    batch_size: int = knob(1, "examples averaged into one step", 1, 64, stops=(1, 2, 4, 8, 16, 32, 64))
    dataset: Literal["fashion-mnist", "mnist", "digits"] = knob("fashion-mnist", "what is learned; digits needs no download")  # fmt: skip
    seeds: int = knob(3, "repeats with other examples, order and initialization", 1, 8, stops=(1, 2, 3, 4, 5))
    seed: int = SEED


lesson = Lesson(
    "width-and-interpolation",
    WidthKnobs,
    revision=1,
    axis="pass",
    axis_title="passes over the training set",
    length="passes",
    series=lambda knobs: [f"h={width}" for width in knobs.widths],
    curves=[
        Curve("train_accuracy", "train accuracy", format=".1%", events=[partial(Reaches, bound=1.0, kind="interpolated", does="classifies every training example correctly")]),
        Curve("test_accuracy", "test accuracy", format=".1%", events=[Levels]),
        Curve("train_loss", "train loss", "nats", log=True, events=[Diverges]),
        Curve("test_loss", "test loss", "nats", events=[partial(Overfits, seen="train_loss")]),
        Curve("ladder_loss", "train loss", "nats", log=True, axes={"series": [f"lr={rate:g}" for rate in RATES]}, names=[f"rate {rate:g}" for rate in RATES], events=[Diverges], fact=False),
    ],
    tables=[Table("first_full", "first pass with training accuracy 100 %, NaN for never", ("series", "repeats"))],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(widths=(8, 16, 32, 128, 512), passes=100, examples=6000, sampling="with replacement", seeds=1),
        "Done right": dict(widths=(8, 16, 32, 64, 128, 512), passes=100, examples=6000, seeds=3),
        "Random labels": dict(widths=(32, 128, 512), passes=150, examples=1000, label_noise=1.0, seeds=1),
        "The full training set": dict(widths=(32, 128, 512), passes=10, examples=60_000, seeds=1),
    },
    small=dict(dataset="digits", widths=(4, 16), examples=120, passes=3, seeds=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def examples(knobs: WidthKnobs) -> int:
    """Return the size of the training set: as many as were asked for, if the data set has them."""
    return min(knobs.examples, data.sizes(knobs.dataset)[0])


class Repeat:
    """One repeat of the experiment: its own subset, its own order, its own networks."""

    def __init__(self, knobs: WidthKnobs, seed: int, device: torch.device) -> None:
        full = data.load(knobs.dataset, device)
        x, y = data.subset(full, examples(knobs), seed)
        self.x, self.x_test = data.scale(x, full.x_test, knobs.scaling)  # (examples, pixels), (tests, pixels)
        self.y = data.corrupt_labels(y, knobs.label_noise, len(full.classes), seed)
        self.y_test, self.classes = full.y_test, len(full.classes)
        self.rng = torch.Generator().manual_seed(seed)
        self.with_replacement = knobs.sampling == "with replacement"
        self.nets = self.side_by_side(knobs.widths, knobs.learning_rate, seed)

    def side_by_side(self, widths: Sequence[int], lr: float | Sequence[float], seed: int) -> SideBySide:
        """Return networks that see the same examples, initialized as in the notebook: tiny weights, zero biases."""
        return SideBySide(self.x.shape[1], widths, self.classes, lr=lr, init_sd=1e-6, seed=seed, device=self.x.device)

    def order(self) -> torch.Tensor:
        """Return the indices of one pass, in the order in which they are seen."""
        n = len(self.y)
        if self.with_replacement:
            return torch.randint(n, (n,), generator=self.rng)
        return torch.randperm(n, generator=self.rng)

    def scores(self, with_test: bool) -> dict[str, Array]:
        """Return loss and accuracy of every network now, each (widths,)."""
        sets = {"train": (self.x, self.y)} | ({"test": (self.x_test, self.y_test)} if with_test else {})
        return {
            f"{split}_{name}": value.double().cpu().numpy()
            for split, (x, y) in sets.items()
            for name, value in zip(("loss", "accuracy"), self.nets.evaluate(x, y), strict=True)
        }


@lesson.experiment
def train(knobs: WidthKnobs, device: torch.device) -> Iterator[Frame]:
    """Search for the learning rate in the first pass, then train every width over all passes."""
    repeats = [Repeat(knobs, knobs.seed + i, device) for i in range(knobs.seeds)]
    test_every = max(1, knobs.passes // TEST_POINTS)
    first_full = np.full((len(knobs.widths), knobs.seeds), np.nan)

    def frame(step: int, **search: Any) -> Frame:
        with_test = step <= 10 or step % test_every == 0 or step == knobs.passes
        scores = [repeat.scores(with_test) for repeat in repeats]
        curves = {name: np.stack([s[name] for s in scores], axis=1) for name in scores[0]}  # (widths, seeds)
        first_full[np.isnan(first_full) & (curves["train_accuracy"] == 1.0)] = step
        return Frame(step, {**curves, **search}, {"first_full": first_full}, (step + 1) / (knobs.passes + 1))

    home = repeats[0]
    search = home.side_by_side([SEARCH_WIDTH] * len(RATES), RATES, knobs.seed)
    yield frame(0, ladder_loss=search.evaluate(home.x, home.y)[0].cpu().numpy())
    for i, part in enumerate(torch.tensor_split(home.order(), SEARCH_FRAMES), start=1):
        search.train(home.x, home.y, part, knobs.batch_size)
        loss, done = search.evaluate(home.x, home.y)[0].cpu().numpy(), i / SEARCH_FRAMES
        yield Frame(done, {"ladder_loss": loss}, progress=done / (knobs.passes + 1))

    for step in range(1, knobs.passes + 1):
        for repeat in repeats:
            repeat.nets.train(repeat.x, repeat.y, repeat.order(), knobs.batch_size)
        yield frame(step)


lesson.shown(Repeat, train, SideBySide.train)


@lesson.cost
def cost(knobs: WidthKnobs) -> Cost:
    """Matrix products of training and evaluation, and the inner loop over hidden units."""
    pixels, tests = 64 if knobs.dataset == "digits" else 784, data.sizes(knobs.dataset)[1]
    count = examples(knobs)
    hidden, trained = sum(knobs.widths), knobs.seeds * knobs.passes * count
    tested = min(knobs.passes, 10) + knobs.passes // max(1, knobs.passes // TEST_POINTS)
    scored = knobs.seeds * ((knobs.passes + 1) * count + min(tested, knobs.passes + 1) * tests)
    searched = SEARCH_WIDTH * len(RATES) * count
    flops = 2.0 * pixels * (2 * hidden * trained + hidden * scored + searched * (2 + SEARCH_FRAMES))
    numbers = 50.0 * (hidden * trained + searched) + 6.0 * hidden * scored
    memory = 4.0 * knobs.seeds * (2 * pixels * (count + tests) + 3 * hidden * pixels) + 5e7
    return Cost(flops, numbers, 40.0 * trained / 64, memory)


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: WidthKnobs) -> Iterator[Panel]:
    """Accuracy and loss by pass, the pass at which each width interpolates, and the learning-rate search."""
    marked = NOTEBOOK_PASSES if knobs.matches(NOTEBOOK) else {}
    seen = {width: at for width, at in marked.items() if width in knobs.widths}
    marks = [mark(at, 1.0, f"notebook: h={width} at {at}", colour(knobs.widths.index(width))) for width, at in seen.items()]  # fmt: skip
    guessing = [level(CHANCE_LOSS, 0, knobs.passes, "guessing: ln 10")]
    yield lesson.line_chart(
        knobs,
        "train_accuracy",
        "Share of the training examples that each network classifies correctly; 100 % is interpolation.",
        extra=marks,
        range=(0, 1.03),
    )
    yield lesson.line_chart(
        knobs,
        "test_accuracy",
        "Share of the test examples classified correctly: it levels off long before training accuracy is perfect.",
        range=(0, 1.03),
    )
    yield lesson.line_chart(
        knobs, "train_loss", "Mean cross-entropy on the training set, on a logarithmic axis.", extra=guessing
    )
    yield lesson.line_chart(
        knobs,
        "test_loss",
        "Mean cross-entropy on the test set: it rises again while test accuracy holds.",
        extra=guessing,
    )
    reached = [
        dots("first_full", i, [width] * knobs.seeds, f"h={width}", colour(i)) for i, width in enumerate(knobs.widths)
    ]
    theirs = [reference(list(seen), list(seen.values()), "notebook", mode="lines+markers")] if seen else []
    yield chart(
        "Passes until interpolation",
        "The first pass with a training accuracy of 100 %, a dot for each seed; no dot: not yet.",
        [*theirs, *reached],
        x=axis("width h", log=True, ticks=sorted(knobs.widths), range=around(knobs.widths)),
        y=axis("passes", range=(0, knobs.passes * 1.05)),
        legend=False,
    )
    rates = [
        growing("ladder_loss", i, f"rate {rate:g}", shade, mode="lines+markers")
        for i, (rate, shade) in enumerate(zip(RATES, shades(len(RATES)), strict=True))
    ]
    theirs = [
        mark(1.0, loss, f"notebook: {loss} at rate {rate:g}")
        for rate, loss in NOTEBOOK_SEARCH.items()
        if knobs.matches(NOTEBOOK)
    ]
    yield chart(
        "Which learning rate diverges?",
        f"Train loss of networks with {SEARCH_WIDTH} units over their first pass, one for each learning rate. A rate diverges when its network ends worse than guessing, or becomes NaN.",
        [level(CHANCE_LOSS, 0, 1, "guessing: ln 10"), *theirs, *rates],
        x=axis("share of the first pass", range=(0, 1.02)),
        y=axis("cross-entropy (nats)", log=True, range=(0.2, 10_000)),
    )  # fmt: skip


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[WidthKnobs]) -> Iterator[Fact]:
    """Yield the median pass at which each width interpolates, the smallest such width, and the divergent rate."""
    passes = [median("passes_to_interpolate", name, row) for name, row in zip(result.series, result.table("first_full"), strict=True)]  # fmt: skip
    yield from passes
    there = [width for width, fact in zip(result.knobs.widths, passes, strict=True) if fact.value is not None]
    yield Fact("smallest_interpolating_width", "", min(there, default=None))
    losses = result.curve("ladder_loss")[1]
    worse = ~(losses[-1] <= CHANCE_LOSS)  # not "<=", so that NaN counts as worse
    ended = len(losses) > SEARCH_FRAMES and bool(worse.any())
    yield Fact("divergent_rate", "", RATES[int(worse.argmax())] if ended else None)


def lead(result: Result[WidthKnobs], narrow: int, wide: int) -> Estimate:
    """Estimate how many passes sooner `wide` units interpolate than `narrow` ones, pair by pair.

    A network that never got there counts as one pass after the last, so a lead is at least what is said. `Missing`
    where the wider one did not get there with every seed.
    """
    late, soon = (result.samples("passes_to_interpolate", f"h={width}") for width in (narrow, wide))
    if np.isnan(soon).any():
        raise Missing(f"width {wide} that interpolates with every seed")
    return paired(np.nan_to_num(late, nan=result.knobs.passes + 1), soon, resolution=1)


def at_pass(passes: float | None) -> str:
    """Spell the pass at which something happened."""
    return "never" if passes is None else f"pass {passes:g}"


# ---- claims --------------------------------------------------------------------------------------------------------

COMPARABLE = Needs.settings("the notebook's data, batch size and learning rate", **NOTEBOOK)
REPEATED = Needs.at_least("seeds", 3)
LONG = Needs.at_least("passes", 100)
SEVERAL = Needs("two widths or more", lambda knobs: len(knobs.widths) > 1)


@lesson.claim(
    "The widest network interpolates sooner than the narrowest",
    expected="a lead whose 95 % interval lies above zero",
    source="paired by seed: same examples, same order; never counts as one pass after the last",
    notebook="h=32: 53, h=128: 41, h=512: 34, one run of each",
    needs=[SEVERAL, REPEATED],
)
def wider_is_sooner(result: Result[WidthKnobs]) -> Check:
    """The lesson's own question."""
    ahead = lead(result, min(result.knobs.widths), max(result.knobs.widths))
    holds = None if ahead.direction is None else ahead.direction == "higher"
    return Check(ahead.sentence(".1f", "passes sooner"), holds, "more seeds make the interval narrower")


@lesson.claim(
    "Of any two neighbouring widths, the wider one interpolates sooner",
    expected="leads whose 95 % intervals all lie above zero",
    source="paired by seed: same examples, same order; never counts as one pass after the last",
    needs=[SEVERAL, REPEATED],
)
def every_step_is_sooner(result: Result[WidthKnobs]) -> Check:
    """Pairs of which neither interpolates say nothing."""
    leads = {}
    for narrow, wide in pairwise(sorted(result.knobs.widths)):
        if not np.isnan(result.samples("passes_to_interpolate", f"h={wide}")).any():
            leads[f"h={narrow} → h={wide}"] = lead(result, narrow, wide)
    if not leads:
        raise Missing("width that interpolates with every seed")
    said = "; ".join(f"{pair}: {ahead.sentence('.1f', 'passes sooner')}" for pair, ahead in leads.items())
    directions = {ahead.direction for ahead in leads.values()}
    holds = False if "lower" in directions else None if None in directions else True
    return Check(said, holds, "more seeds make the intervals narrower")


@lesson.claim(
    "A network of 8 units does not interpolate 6,000 examples within 100 passes",
    expected="never, or after pass 100",
    source="notebook 003, and three seeds of this lesson",
    notebook="h = 8 and h = 16: never",
    needs=[COMPARABLE, LONG, Needs.among("widths", 8)],
    shown=lambda knobs: 8 in knobs.widths,
)
def narrow_never(result: Result[WidthKnobs]) -> Check:
    """The narrow end."""
    at = result.fact_or_none("passes_to_interpolate", "h=8")
    return Check(f"{at_pass(at)}; {result.fact('train_accuracy', 'h=8'):.1%} at the end", at is None or at > 100)


@lesson.claim(
    "Of the widths 8, 16 and 32, only 32 interpolates 6,000 examples within 100 passes",
    expected="32",
    source="notebook 003, deliverable 2",
    notebook="h = 32, at pass 53",
    needs=[COMPARABLE, LONG, Needs.among("widths", 8, 16, 32)],
)
def smallest_width(result: Result[WidthKnobs]) -> Check:
    """The notebook's second deliverable."""
    at = {width: result.fact_or_none("passes_to_interpolate", f"h={width}") for width in (8, 16, 32)}
    there = [width for width, passes in at.items() if passes is not None and passes <= 100]
    return Check(", ".join(f"h={width}: {at_pass(passes)}" for width, passes in at.items()), there == [32])


@lesson.claim(
    "A network of 32 units interpolates 6,000 examples after about 50 passes",
    expected="pass 40 … 80, median of 3 seeds or more",
    source="replicas at the notebook's settings: 45 to 68 over four seeds, and one that stood at 99.97 %",
    notebook="53, one run",
    needs=[COMPARABLE, LONG, REPEATED, Needs.among("widths", 32)],
)
def thirty_two(result: Result[WidthKnobs]) -> Check:
    """The notebook's number."""
    at = result.fact_or_none("passes_to_interpolate", "h=32")
    return Check(f"{at_pass(at)}, median of {result.knobs.seeds}", at is not None and 40 <= at <= 80)


@lesson.claim(
    "32 units, enough for 6,000 examples, do not interpolate all 60,000 in as many steps as 100 passes over those",
    expected="never within 10 passes",
    source="notebook 003: with all data the smallest width that interpolates is much larger",
    needs=[
        Needs.settings(**(NOTEBOOK | {"examples": 60_000})),
        Needs.at_least("passes", 10),
        Needs.among("widths", 32),
    ],
    shown=lambda knobs: examples(knobs) >= 60_000,
)
def full_set(result: Result[WidthKnobs]) -> Check:
    """The notebook's remark on the full data set."""
    at = result.fact_or_none("passes_to_interpolate", "h=32")
    return Check(f"{at_pass(at)}; {result.fact('train_accuracy', 'h=32'):.1%} at the end", at is None or at > 10)


@lesson.claim(
    "128 units classify test examples better than 8",
    expected="at least 3 points better",
    source="replicas at the notebook's settings",
    needs=[COMPARABLE, Needs.among("widths", 8, 128), Needs.at_least("passes", 20)],
)
def wider_tests_better(result: Result[WidthKnobs]) -> Check:
    """What width does to generalization."""
    wide, narrow = (result.fact("test_accuracy", f"h={width}") for width in (128, 8))
    return Check(f"{wide:.1%} against {narrow:.1%}", wide - narrow >= 0.03 - 1e-9)


@lesson.claim(
    lambda knobs: f"h={max(knobs.widths)}: test loss rises again while test accuracy holds",
    expected="loss up by a tenth or more, accuracy down by a point at most",
    source="notebook 003, figures of deliverable 1",
    needs=[
        Needs.settings(label_noise=0.0),
        Needs("a test set of 600 or more", lambda knobs: resolves(0.01, data.sizes(knobs.dataset)[1])),
        Needs("a widest network that has learned 99.9 % of the training set", result=lambda result: result.fact("train_accuracy", widest(result)) >= 0.999),
    ],
)  # fmt: skip
def test_loss_turns(result: Result[WidthKnobs]) -> Check:
    """Growing certainty, not worse classification."""
    (passes, loss), (_, accuracy) = (result.line(f"test_{what}", widest(result)) for what in ("loss", "accuracy"))
    low = int(np.nanargmin(loss)) if np.isfinite(loss).any() else 0
    return Check(
        f"loss {loss[low]:.3f} at pass {passes[low]:g}, {loss[-1]:.3f} at the end; accuracy {accuracy[low]:.1%}, then {accuracy[-1]:.1%}",
        loss[-1] >= 1.1 * loss[low] and accuracy[-1] >= accuracy[low] - 0.01,
    )


def widest(result: Result[WidthKnobs]) -> str:
    """Return the series of the widest network."""
    return f"h={max(result.knobs.widths)}"


@lesson.claim(
    f"With {SEARCH_WIDTH} units, the smallest learning rate of the search that diverges is 0.02 or 0.05, not the notebook's 0.01",
    expected="0.02 or 0.05",
    source="loss after one pass above ln 10; replicas diverge at 0.02, in a lucky order at 0.05",
    notebook="declared 0.01, though its loss of 2.428 at 0.02 is the first above 2.303",
    needs=[COMPARABLE, Needs("the whole search", result=lambda result: len(result.curve("ladder_loss")[0]) > SEARCH_FRAMES)],
    early=True,
)  # fmt: skip
def divergent_rate(result: Result[WidthKnobs]) -> Check:
    """The notebook's η*."""
    at = result.fact_or_none("divergent_rate")
    return Check("no rate of the search does" if at is None else f"{at:g}", at in (0.02, 0.05))


@lesson.claim(
    "A network of 512 units memorizes labels that mean nothing",
    expected="at least 99 % of the training labels, 10 % ± 3 points of the test labels",
    source="Zhang et al. 2017",
    literature="CIFAR-10, one layer of 512: 99.34 % and 10.61 %",
    needs=[
        Needs.settings(label_noise=1.0),
        Needs.among("widths", 512),
        Needs.at_most("examples", 2000),
        LONG,
        Needs("a test set of 400 or more", lambda knobs: data.sizes(knobs.dataset)[1] >= 400),  # of fewer, 10 % scatter by more than 3 points (95 %)
    ],
    shown=lambda knobs: knobs.label_noise == 1.0,
)  # fmt: skip
def random_labels(result: Result[WidthKnobs]) -> Check:
    """Capacity without structure."""
    seen, unseen = result.fact("train_accuracy", "h=512"), result.fact("test_accuracy", "h=512")
    return Check(
        f"{seen:.1%} of the training labels, {unseen:.1%} of the test", seen >= 0.99 and abs(unseen - 0.1) <= 0.03
    )


@lesson.outcome
def first_to_interpolate(result: Result[WidthKnobs]) -> str:
    """Answer which width was the first."""
    at = {width: result.fact_or_none("passes_to_interpolate", f"h={width}") for width in result.knobs.widths}
    reached = {width: passes for width, passes in at.items() if passes is not None}
    if not reached:
        return "No width interpolated: none classifies every training example correctly yet."
    first = min(reached, key=lambda width: (reached[width], width))
    never = [f"h={width}" for width, passes in at.items() if passes is None]
    tail = f" {', '.join(never)} never did in this run." if never else ""
    return f"h={first} was the first to interpolate, at pass {reached[first]:g}.{tail}"
