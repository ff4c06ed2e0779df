"""Does a wider net learn its examples by heart sooner? (notebook 003)

One hidden layer of ReLU units, plain SGD one example at a time, on a tenth of FashionMNIST. All widths train side
by side on the same examples in the same order, so that they differ in width alone. Before them, in the first pass,
a ladder of learning rates looks for the smallest one that diverges.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from core import data, prose
from core.claims import Claim, resolves
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs, knob, spell
from core.lesson import Facts, Lesson
from core.narrator import Diverges, Levels, Overfits, Reaches, Watch
from core.panels import COLOURS, FAINT, Grow, Panel, Still, Switch, lines, reference
from core.traces import Scatter
from core.training.online import SideBySide

LADDER = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
LADDER_WIDTH = 32  # the width with which the notebook searched
LADDER_STOPS = 10  # frames of the ladder's one pass
TEST_POINTS = 15  # after the tenth pass about so many test scores are taken: each costs as much as half a pass
ENOUGH = 3  # seeds that may decide whether a difference is chance
GUESSING = math.log(10)  # loss of a net that gives each of ten classes the same chance
NOTEBOOK_PASSES = {32: 53, 128: 41, 512: 34}
NOTEBOOK = "notebook 003"


class WidthKnobs(Knobs):
    """What may be turned."""

    widths: tuple[int, ...] = knob((8, 32, 128), "units in the hidden layer: one net for each, side by side", ge=2, le=1024, stops=(4, 8, 16, 32, 64, 128, 256, 512, 1024), shown=True)  # fmt: skip
    learning_rate: float = knob(0.005, "how far each example moves the weights", ge=0.0001, le=2.0, stops=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1), shown=True)  # fmt: skip
    passes: int = knob(40, "how often each net sees every example", ge=1, le=300, stops=(5, 10, 20, 40, 60, 100, 200), shown=True)  # fmt: skip
    examples: int = knob(1500, "how many examples there are to learn by heart", ge=50, le=60_000, stops=(500, 1000, 1500, 2000, 6000), shown=True)  # fmt: skip
    label_noise: float = knob(0.0, "share of the labels that are redrawn at random: nothing to understand, only to memorise", ge=0.0, le=1.0, stops=(0.0, 0.1, 0.2, 0.5, 1.0))  # fmt: skip
    sampling: Literal["shuffled", "with replacement"] = knob("shuffled", "whether a pass sees every example once, or draws each at random as the notebook did and misses a third")  # fmt: skip
    scaling: Literal["per pixel", "global"] = knob("per pixel", "one mean and spread for each pixel, as the notebook, or one for all: the first makes outliers of rare pixels")  # fmt: skip
    batch_size: int = knob(1, "examples averaged into one step", ge=1, le=64, stops=(1, 2, 4, 8, 16, 32, 64))
    dataset: Literal["fashion-mnist", "mnist", "digits"] = knob("fashion-mnist", "what is learned; digits needs no download")  # fmt: skip
    seeds: int = knob(3, "repeats with other examples, order and start: how much is chance", ge=1, le=8, stops=(1, 2, 3, 4, 5))  # fmt: skip
    seed: int = knob(
        1, "where chance begins; equal knobs give an equal run on one kind of processor", ge=0, le=2**31 - 1
    )


def series(knobs: WidthKnobs) -> list[str]:
    """One net per width."""
    return [f"h={width}" for width in knobs.widths]


def examples(knobs: WidthKnobs) -> int:
    """How many examples there are to learn: as many as were asked for, if the set has them."""
    return min(knobs.examples, data.sizes(knobs.dataset)[0])


class Repeat:
    """One repeat of the experiment: its own subset, its own order, its own nets."""

    def __init__(self, knobs: WidthKnobs, seed: int, device: torch.device) -> None:
        whole = data.load(knobs.dataset, device)
        x, y = data.subset(whole, examples(knobs), seed)
        self.x, self.x_test = data.scale(x, whole.x_test, knobs.scaling)  # (examples, pixels), (tests, pixels)
        self.y = data.corrupt_labels(y, knobs.label_noise, len(whole.classes), seed)
        self.y_test, self.classes = whole.y_test, len(whole.classes)
        self.chance = torch.Generator().manual_seed(seed)
        self.with_replacement = knobs.sampling == "with replacement"
        self.nets = self.side_by_side(knobs.widths, knobs.learning_rate, seed)

    def side_by_side(self, widths: Sequence[int], lr: float | Sequence[float], seed: int) -> SideBySide:
        """Nets that see the same examples, started as the notebook did: tiny weights, no bias."""
        return SideBySide(self.x.shape[1], widths, self.classes, lr=lr, init_sd=1e-6, seed=seed, device=self.x.device)

    def order(self) -> torch.Tensor:
        """The examples of one pass, in the order in which they are seen."""
        n = len(self.y)
        if self.with_replacement:
            return torch.randint(n, (n,), generator=self.chance)
        return torch.randperm(n, generator=self.chance)

    def scores(self, tested: bool) -> dict[str, np.ndarray[Any, Any]]:
        """Loss and accuracy of every net now, on the training and perhaps on the test examples, each (widths,)."""
        sets = {"train": (self.x, self.y)} | ({"test": (self.x_test, self.y_test)} if tested else {})
        found = {}
        for name, (x, y) in sets.items():
            loss, accuracy = self.nets.evaluate(x, y)
            found[f"{name}_loss"], found[f"{name}_accuracy"] = (
                loss.double().cpu().numpy(),
                accuracy.double().cpu().numpy(),
            )
        return found


def train(knobs: WidthKnobs, device: torch.device) -> Iterator[Frame]:
    """The ladder of learning rates in the first pass, then every width over all passes."""
    repeats = [Repeat(knobs, knobs.seed + i, device) for i in range(knobs.seeds)]
    test_every = max(1, knobs.passes // TEST_POINTS)
    first_full = np.full((len(knobs.widths), knobs.seeds), np.nan)  # pass at which a net first knew every example

    def frame(step: int, **also: Any) -> Frame:
        tested = step <= 10 or step % test_every == 0 or step == knobs.passes
        scores = [repeat.scores(tested) for repeat in repeats]
        curves = {name: np.stack([s[name] for s in scores], axis=1) for name in scores[0]}  # (widths, seeds)
        first_full[np.isnan(first_full) & (curves["train_accuracy"] == 1.0)] = step
        done = (step + 1) / (knobs.passes + 1)
        return Frame(step, {**curves, **also}, {"first_full": first_full}, done)

    home = repeats[0]
    ladder = home.side_by_side([LADDER_WIDTH] * len(LADDER), LADDER, knobs.seed)
    yield frame(0, ladder_loss=ladder.evaluate(home.x, home.y)[0].cpu().numpy())
    for i, part in enumerate(torch.tensor_split(home.order(), LADDER_STOPS), start=1):
        ladder.train(home.x, home.y, part, knobs.batch_size)
        loss, _ = ladder.evaluate(home.x, home.y)
        yield Frame(
            i / LADDER_STOPS, {"ladder_loss": loss.cpu().numpy()}, progress=i / LADDER_STOPS / (knobs.passes + 1)
        )

    for step in range(1, knobs.passes + 1):
        for repeat in repeats:
            repeat.nets.train(repeat.x, repeat.y, repeat.order(), knobs.batch_size)
        yield frame(step)


def panels(knobs: WidthKnobs) -> list[Panel]:
    """Accuracy and loss by pass, the pass at which each width knows all, and the ladder."""
    names, band = series(knobs), knobs.seeds > 1
    axis: dict[str, Any] = {"x": "passes over the examples", "band": band}
    passes: dict[str, Any] = {"xaxis": {"range": [0, knobs.passes]}}
    share: dict[str, Any] = {"yaxis": {"range": [0, 1.03], "tickformat": ".0%"}}
    guess = [reference([0, knobs.passes], [GUESSING, GUESSING], "guessing: ln 10")]
    seen = [(width, at) for width, at in NOTEBOOK_PASSES.items() if comparable(knobs) and width in knobs.widths]
    marks = [
        reference(
            [at],
            [1.0],
            f"notebook: h={width} at {at}",
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": COLOURS[knobs.widths.index(width) % len(COLOURS)]},
        )
        for width, at in seen
    ]
    return [
        lines(
            "Train accuracy",
            "Share of the training examples each net reads correctly; 100 % is interpolation.",
            "train_accuracy",
            names,
            y="read correctly",
            extra=marks,
            **axis,
            **passes,
            **share,
        ),
        lines(
            "Test accuracy",
            "Share of unseen examples each net reads correctly: it levels off long before the training is perfect.",
            "test_accuracy",
            names,
            y="read correctly",
            **axis,
            **passes,
            **share,
        ),
        lines(
            "Train loss",
            "Mean cross-entropy on the training examples, on a logarithmic axis.",
            "train_loss",
            names,
            y="cross-entropy (nats)",
            extra=guess,
            **axis,
            xaxis=passes["xaxis"],
            yaxis={"type": "log", "dtick": 1},
        ),
        lines(
            "Test loss",
            "Mean cross-entropy on unseen examples: it rises again while test accuracy holds.",
            "test_loss",
            names,
            y="cross-entropy (nats)",
            extra=guess,
            **axis,
            **passes,
        ),
        _first_full_panel(knobs, seen),
        _ladder_panel(),
    ]


def _first_full_panel(knobs: WidthKnobs, seen: Sequence[tuple[int, int]]) -> Panel:
    dots = [
        Switch(
            Scatter(
                x=[width] * knobs.seeds,
                name=name,
                mode="markers",
                marker={"color": COLOURS[i % len(COLOURS)], "size": 11},
            ),
            {"y": ("first_full", i)},
        )
        for i, (width, name) in enumerate(zip(knobs.widths, series(knobs), strict=True))
    ]
    theirs = (
        [reference([width for width, _ in seen], [at for _, at in seen], "notebook", mode="lines+markers")]
        if seen
        else []
    )
    return Panel(
        "Passes until nothing is misread",
        "The first pass after which a net of this width reads every training example correctly; no dot: not yet.",
        [*theirs, *dots],
        {
            "xaxis": {
                "title": {"text": "width h"},
                "type": "log",
                "tickvals": sorted(knobs.widths),
                "range": [math.log10(min(knobs.widths) * 0.8), math.log10(max(knobs.widths) * 1.25)],
            },
            "yaxis": {"title": {"text": "passes"}, "range": [0, knobs.passes * 1.05]},
            "showlegend": False,
        },
    )


def _ladder_panel() -> Panel:
    rates = [f"{rate:g}" for rate in LADDER]
    shades = [f"hsl({210 - 190 * i / (len(LADDER) - 1):.0f},65%,48%)" for i in range(len(LADDER))]
    grown = [
        Grow(
            Scatter(name=f"rate {rate}", mode="lines+markers", line={"color": shade}, meta={"label": rate}),
            "ladder_loss",
            i,
        )
        for i, (rate, shade) in enumerate(zip(rates, shades, strict=True))
    ]
    line = Still(
        Scatter(
            x=[0, 1],
            y=[GUESSING, GUESSING],
            mode="lines",
            name="worse than guessing above",
            line={"color": FAINT, "dash": "dot"},
            meta={"reference": True},
        )
    )
    return Panel(
        "Which learning rate diverges?",
        f"Train loss of nets with {LADDER_WIDTH} units over their first pass, one for each learning rate. A rate diverges when its net ends worse than guessing, or breaks.",
        [line, *grown],
        {
            "xaxis": {"title": {"text": "share of the first pass"}, "range": [0, 1]},
            "yaxis": {"title": {"text": "cross-entropy (nats)"}, "type": "log", "dtick": 1, "range": [-0.7, 4]},
        },
    )


def watches(knobs: WidthKnobs) -> list[Watch]:
    """What the narrator may tell."""
    names = series(knobs)
    return [
        Diverges("train_loss", names, "train loss"),
        Reaches("train_accuracy", names, "train accuracy", ".0%", bound=1.0, kind="interpolated", does="reads every training example"),
        Overfits("test_loss", names, "test loss", seen="train_loss"),
        Levels("test_accuracy", names, "test accuracy", ".1%"),
        Diverges("ladder_loss", [f"rate {rate:g}" for rate in LADDER], "train loss"),
    ]  # fmt: skip


def divergent_rate(recording: Recording) -> float | None:
    """The smallest rate of the ladder whose net ends its pass worse than guessing; None: every rate held."""
    frames, losses = recording.curve("ladder_loss")
    if len(frames) <= LADDER_STOPS:
        return None
    worse = ~(losses[-1] <= GUESSING)  # not "<=", so that nan counts as worse
    return LADDER[int(worse.argmax())] if worse.any() else None


def facts(knobs: WidthKnobs, recording: Recording) -> Facts:
    """Final scores as means over the seeds; passes to interpolate as the median, None for never."""
    found: dict[str, float | None] = {}
    first_full = recording.picture("first_full")
    for i, name in enumerate(series(knobs)):
        if first_full is not None:
            at = float(np.median(np.nan_to_num(first_full[i], nan=np.inf)))
            found[f"passes_to_interpolate[{name}]"] = at if math.isfinite(at) else None
        for curve in ("train_accuracy", "test_accuracy", "train_loss", "test_loss"):
            found[f"{curve}[{name}]"] = float(recording.last(curve)[i].mean())
    found["divergent_rate"] = divergent_rate(recording)
    return found


def comparable(knobs: WidthKnobs) -> bool:
    """Whether the notebook's numbers speak about such a run: its data, its rate, whichever sampling."""
    same = (knobs.dataset, knobs.examples, knobs.learning_rate, knobs.batch_size, knobs.label_noise, knobs.scaling)
    return same == ("fashion-mnist", 6000, 0.005, 1, 0.0, "per pixel")


def claims(knobs: WidthKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    whole = recording.progress >= 1.0
    alike = comparable(knobs)
    return [
        *_narrow_never(knobs, found, alike and knobs.passes >= 100 and whole),
        _thirty_two(knobs, found, alike and whole),
        _wider_is_sooner(knobs, found, whole),
        _more_than_chance(knobs, recording, whole),
        _wider_tests_better(knobs, found, alike and whole),
        _test_loss_turns(knobs, recording, whole),
        _rate_that_diverges(knobs, found, recording),
        *_random_labels(knobs, found, whole),
    ]


def _narrow_never(knobs: WidthKnobs, found: Facts, decides: bool) -> list[Claim]:
    narrow = [width for width in knobs.widths if width <= 8]
    if not narrow:
        return []
    name = f"h={max(narrow)}"
    at = found.get(f"passes_to_interpolate[{name}]")
    best = found.get(f"train_accuracy[{name}]")
    return [
        Claim(
            f"A net of {max(narrow)} units never learns 6,000 examples by heart in 100 passes",
            f"{_at(at)}; {best:.1%} at the end" if best is not None else "",
            "never",
            at is None if decides else None,
            NOTEBOOK + ", and three seeds of this lesson",
            notebook="h = 8 and h = 16: never",
            hint='the preset "Done right" has the 6,000 examples and 100 passes that it takes',
        )
    ]


def _thirty_two(knobs: WidthKnobs, found: Facts, alike: bool) -> Claim:
    at = found.get("passes_to_interpolate[h=32]")
    enough = knobs.seeds >= ENOUGH and (knobs.passes >= 100 or at is not None)
    return Claim(
        "A net of 32 units reads all 6,000 examples correctly after some 50 passes",
        _at(at) + (f", median of {knobs.seeds}" if knobs.seeds > 1 else "") if 32 in knobs.widths else "",
        "40 … 80, median of 3 seeds or more",
        at is not None and 40 <= at <= 80 if alike and enough and 32 in knobs.widths else None,
        "replicas at the notebook's settings: 45 to 68 over four seeds, and one that stood at 99.97 %",
        notebook="53, one run",
        hint='one run is chance; the preset "Done right" takes the median over three',
    )


def _wider_is_sooner(knobs: WidthKnobs, found: Facts, whole: bool) -> Claim:
    ordered = sorted(knobs.widths)
    at = [found.get(f"passes_to_interpolate[h={width}]") for width in ordered]
    passes = [math.inf if each is None else each for each in at]
    known = sum(math.isfinite(each) for each in passes)
    return Claim(
        "The wider the net, the fewer passes it takes to know every example",
        ", ".join(f"h={width}: {_at(each)}" for width, each in zip(ordered, at, strict=True)),
        "never more passes at a larger width, medians of 3 seeds or more",
        all(narrow >= wide for narrow, wide in pairwise(passes))
        if whole and known >= 2 and knobs.seeds >= ENOUGH
        else None,
        NOTEBOOK,
        notebook="h=32: 53, h=128: 41, h=512: 34",
        hint="one run is chance: it takes three seeds, and two widths that get there",
    )


def _more_than_chance(knobs: WidthKnobs, recording: Recording, whole: bool) -> Claim:
    first_full = recording.picture("first_full")
    order = np.argsort(knobs.widths)
    pairs = (
        [] if first_full is None else [(narrow, wide, first_full[[narrow, wide]]) for narrow, wide in pairwise(order)]
    )
    finished = [each for _, _, each in pairs if np.isfinite(each).all()]  # both, with every seed
    said = [f"h={knobs.widths[narrow]} → h={knobs.widths[wide]}: {_sooner(each)}" for narrow, wide, each in pairs]
    one = knobs.seeds == 1
    return Claim(
        "Of two widths that get there with every seed, the wider is sooner by more than the spread over the seeds",
        "; ".join([*said, "one seed: how much of that is chance is not decided"] if one else said),
        f"a mean lead larger than its standard deviation, {ENOUGH} seeds or more",
        all(_beyond(each) for each in finished) if whole and finished and knobs.seeds >= ENOUGH else None,
        "differences seed by seed: same examples, same order",
        notebook="one run of each width, no spread",
        hint=f"it takes {ENOUGH} seeds, and two neighbouring widths that get there with every one",
    )


def _beyond(passes: Array) -> bool:
    """Whether the wider net's lead is larger than its spread, of passes (narrow and wide, seeds)."""
    lead = passes[0] - passes[1]
    return bool(lead.mean() > lead.std(ddof=1))


def _sooner(passes: Array) -> str:
    """Passes to interpolate of a narrow net and a wide one, (2, seeds), nan for never, compared in words."""
    if np.isnan(passes).all():
        return "neither gets there"
    narrow, wide = np.nan_to_num(passes, nan=np.inf)
    ahead, seeds = int((wide < narrow).sum()), len(wide)
    if seeds == 1:
        return "sooner" if ahead else "not sooner"
    if np.isnan(passes).any():
        there = " and ".join(str(int(each.sum())) for each in np.isfinite(passes))
        verdict = "alike in all" if ahead == seeds else "overlap, no real difference"
        return f"they get there in {there} of {seeds} seeds, the wider sooner in {ahead}: {verdict}"
    lead = narrow - wide
    verdict = "larger than its spread" if _beyond(passes) else "overlap, no real difference"
    return f"{lead.mean():.1f} ± {lead.std(ddof=1):.1f} passes sooner, in {ahead} of {seeds} seeds: {verdict}"


def _wider_tests_better(knobs: WidthKnobs, found: Facts, alike: bool) -> Claim:
    narrow, wide = found.get("test_accuracy[h=8]"), found.get("test_accuracy[h=128]")
    both = narrow is not None and wide is not None
    return Claim(
        "128 units read unseen examples better than 8",
        f"{wide:.1%} against {narrow:.1%}" if both else "",
        "at least 3 points better",
        wide >= narrow + 0.03 if both and alike and knobs.passes >= 20 else None,  # type: ignore[operator]
        "replicas at the notebook's settings",
        hint="it takes both widths, 6,000 examples and at least 20 passes",
    )


def _test_loss_turns(knobs: WidthKnobs, recording: Recording, whole: bool) -> Claim:
    frames, losses = recording.curve("test_loss")
    _, accuracies = recording.curve("test_accuracy")
    passes = recording.steps()[frames]
    i, tests = int(np.argmax(knobs.widths)), data.sizes(knobs.dataset)[1]
    name = f"h={max(knobs.widths)}"
    loss, accuracy = losses[:, i].mean(axis=-1), accuracies[:, i].mean(axis=-1)
    learned = bool(recording.last("train_accuracy")[i].mean() >= 0.999) and math.isfinite(loss[-1])
    low = int(np.nanargmin(loss)) if np.isfinite(loss).any() else 0
    return Claim(
        f"{name}: test loss rises again while test accuracy holds",
        f"loss {loss[low]:.3f} at pass {passes[low]:g}, {loss[-1]:.3f} at the end; accuracy {accuracy[low]:.1%}, then {accuracy[-1]:.1%}",
        "loss up by a tenth or more, accuracy down by a point at most",
        bool(loss[-1] >= 1.1 * loss[low] and accuracy[-1] >= accuracy[low] - 0.01)
        if whole and learned and knobs.label_noise == 0 and resolves(0.01, tests)
        else None,
        NOTEBOOK + ", figures of deliverable 1",
        hint="the net must know its examples (99.9 %) first, on true labels, and a point must be six unseen examples",
    )


def _rate_that_diverges(knobs: WidthKnobs, found: Facts, recording: Recording) -> Claim:
    at = found["divergent_rate"]
    ended = len(recording.curve("ladder_loss")[0]) > LADDER_STOPS
    return Claim(
        f"With {LADDER_WIDTH} units, 0.02 is the smallest rate of the ladder that diverges",
        "" if not ended else "no rate of the ladder does" if at is None else spell(at),
        "0.02 (0.05 in a lucky order)",
        at in (0.02, 0.05) if ended and comparable(knobs) else None,
        "loss after one pass above ln 10; replicas diverge from about 0.02 up",
        notebook="declared 0.01, though its loss of 2.428 at 0.02 is the first above 2.303",
        hint="it takes the notebook's 6,000 examples at batch size 1",
    )


def _random_labels(knobs: WidthKnobs, found: Facts, whole: bool) -> list[Claim]:
    if knobs.label_noise < 1.0:
        return []
    name = f"h={max(knobs.widths)}"
    train, test = found.get(f"train_accuracy[{name}]"), found.get(f"test_accuracy[{name}]")
    if train is None or test is None:
        return []
    decides = whole and max(knobs.widths) >= 512 and examples(knobs) <= 2000 and knobs.passes >= 100
    decides = decides and data.sizes(knobs.dataset)[1] >= 400  # 10 % of fewer scatter by more than 3 points (95 %)
    return [
        Claim(
            "A net of 512 units learns labels by heart that mean nothing",
            f"{train:.1%} of the training labels, {test:.1%} of the test",
            "at least 99 % of the training labels, 10 % ± 3 of the test",
            train >= 0.99 and abs(test - 0.10) <= 0.03 if decides else None,
            "Zhang et al. 2017",
            literature="CIFAR-10, one layer of 512: 99.34 % and 10.61 %",
            hint="it takes 512 units, at most 2,000 examples, 100 passes, and a data set with 400 to test on",
        )
    ]


def _at(passes: float | None) -> str:
    return "never" if passes is None else f"pass {passes:g}"


def cost(knobs: WidthKnobs) -> Cost:
    """Matrix products of training and scoring, and the inner loop over hidden units."""
    pixels, tests = 64 if knobs.dataset == "digits" else 784, data.sizes(knobs.dataset)[1]
    count = examples(knobs)
    hidden = sum(knobs.widths)
    trained = knobs.seeds * knobs.passes * count
    tested = min(knobs.passes, 10) + knobs.passes // max(1, knobs.passes // TEST_POINTS)
    scored = knobs.seeds * ((knobs.passes + 1) * count + min(tested, knobs.passes + 1) * tests)
    ladder = LADDER_WIDTH * len(LADDER) * count
    flops = 2.0 * pixels * (2 * hidden * trained + hidden * scored + ladder * (2 + LADDER_STOPS))
    numbers = 50.0 * (hidden * trained + ladder) + 6.0 * hidden * scored
    held = 4.0 * knobs.seeds * (2 * pixels * (count + tests) + 3 * hidden * pixels) + 5e7
    return Cost(flops, numbers, 40.0 * trained / 64, held)


def shrunk(knobs: WidthKnobs) -> WidthKnobs:
    """Embedded digits, two small widths, three passes: a second of work, everything else as it was."""
    small = {"dataset": "digits", "widths": (4, 16), "examples": 120, "passes": 3, "seeds": min(knobs.seeds, 2)}
    return knobs.model_copy(update=small)


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    prefix = "passes_to_interpolate[h="
    at = {int(name[len(prefix) : -1]): value for name, value in found.items() if name.startswith(prefix)}
    reached = {width: value for width, value in at.items() if value is not None}
    if not reached:
        return "No width got there: none reads every training example correctly yet."
    first = min(reached, key=lambda width: (reached[width], width))
    never = [f"h={width}" for width, value in at.items() if value is None]
    tail = f" {', '.join(never)} never did in this run." if never else ""
    return f"h={first} was the first to know every example, at pass {reached[first]:g}.{tail}"


PRESETS: Mapping[str, WidthKnobs] = {
    "Classroom": WidthKnobs(),
    "As the notebook ran it": WidthKnobs(
        widths=(8, 16, 32, 128, 512), passes=100, examples=6000, sampling="with replacement", seeds=1
    ),
    "Done right": WidthKnobs(widths=(8, 16, 32, 64, 128, 512), passes=100, examples=6000, seeds=3),
    "Random labels": WidthKnobs(widths=(32, 128, 512), passes=150, examples=1000, label_noise=1.0, seeds=1),
}

LESSON = Lesson(
    slug="width-and-interpolation",
    prose=prose.of("width-and-interpolation"),
    revision=1,
    knobs=WidthKnobs,
    presets=PRESETS,
    series=series,
    axes=lambda knobs: {"ladder_loss": {"series": [f"lr={rate:g}" for rate in LADDER]}},
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="pass",
    watched="train_loss",
    dataset=lambda knobs: knobs.dataset,
    shrunk=shrunk,
    outcome=reveal,
    code=(Repeat, train, SideBySide.train),
)
