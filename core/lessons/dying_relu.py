"""Why do narrow, deep ReLU networks die before they learn anything? (notebook 001; Lu et al. 2019)

Many independent networks, ten layers deep and two units wide, fit a function of one variable. A network is dead when
one of its hidden layers no longer depends on the input: every gradient before that layer is exactly zero. Each network
is followed by itself, from its initialization on. The words are in `dying-relu.md`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from core.charts import axis, bars, chart, colour, dots, level, mark, profile
from core.claims import Check, Needs, all_hold
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Levels, Reaches
from core.nets import ACTIVATIONS, INITS, leaky_relu
from core.panels import ALIVE, COLOURS, DASHES, DEAD, Panel, reference
from core.result import Missing, Result
from core.stats import Estimate, independent, paired, proportion
from core.training.deaths import Lives, dead, dead_by_layer, evaluate, take_magnitudes
from core.training.fleet import Fleet, orders

BATCH = 64
TESTS = 500  # as the notebook: unseen points on which its variance is taken
NOTEBOOK_VARIANCE = 1e-3  # it wrote 10e-4
SHOWN = 48  # networks whose function is drawn: the first ones, not chosen ones
GRID, COARSE, FINE = 49, 65, 257  # points of the interval: functions drawn, untrained networks, death decided
CHUNK = 500  # points that are evaluated at once
DEPTHS, WIDTHS = 30, (1, 2, 3, 4, 6, 10)  # hidden layers and widths of the chart of networks that are born dead
UNTRAINED = 2000  # networks of each initialization that are looked at without being trained
FITS_SHOWN = 100  # frames of the notebook's way
FLOOR = 1e-12  # where "exactly zero" is drawn on a logarithmic axis
LU = "Lu et al. 2019, arXiv 1903.06733"
FOLLOWED = "each network is followed from its initialization on"
MORE, ANOTHER = "more networks decide it", "another random seed draws other networks"
TARGETS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "|x|": torch.abs,
    "x·sin(5x)": lambda x: x * torch.sin(5 * x),
    "1{x>0}+0.2·sin(5x)": lambda x: (x > 0).to(x.dtype) + 0.2 * torch.sin(5 * x),
}
HALF_WIDTH = {"±√3": math.sqrt(3), "±√7": math.sqrt(7)}
COUNTED = ("by structure", "by variance", "at initialization")  # how it is counted which networks have collapsed
FATES = ("died in training", "died and came back", "born dead and came back")
INITIALIZATIONS = ("he", "glorot", "orthogonal", "randomized asymmetric")
PAPER = dict(depth=9, width=2, nets=1000, epochs=20)
NOTEBOOK = dict(depth=10, width=2, nets=1000, init="glorot", interval="±√7", optimizer="nesterov", learning_rate=0.01, epochs=2)  # fmt: skip


class ReluKnobs(Knobs):
    """Hyper-parameters."""

    depth: int = knob(9, "hidden layers; the paper counts the output too, so its 10 layers are 9 here", 1, 30, stops=(1, 2, 3, 5, 7, 9, 10, 15, 20, 30), shown=True)  # fmt: skip
    width: int = knob(2, "units in each hidden layer", 1, 16, stops=(1, 2, 3, 4, 6, 8, 10, 16), shown=True)
    activation: Literal["relu", "leaky relu", "elu", "tanh"] = knob("relu", "what a unit makes of its weighted sum; only ReLU is exactly flat", shown=True)  # fmt: skip
    init: Literal["he", "glorot", "orthogonal", "randomized asymmetric"] = knob("he", "how weights are initialized; the last one makes a unit more likely to be on", label="initialization", shown=True)  # fmt: skip
    nets: int = knob(500, "independent networks, each with its own initialization and order of examples", 20, 4000, stops=(50, 200, 500, 1000, 2000, 4000))  # fmt: skip
    slope: float = knob(0.2, "slope of leaky ReLU below zero; Keras uses 0.2", 0.0, 0.5, stops=(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5))  # fmt: skip
    target: Literal["|x|", "x·sin(5x)", "1{x>0}+0.2·sin(5x)"] = knob("|x|", "the function to learn, one of the paper's three")  # fmt: skip
    interval: Literal["±√3", "±√7"] = knob("±√3", "where inputs are drawn: the paper's interval or the notebook's")
    optimizer: Literal["sgd", "momentum", "nesterov", "adam"] = knob("adam", "how a gradient becomes a step; none of them moves what never had a gradient")  # fmt: skip
    learning_rate: float = knob(0.001, "step size of the optimizer", 1e-5, 1.0, stops=(1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0))  # fmt: skip
    epochs: int = knob(10, "how often each network sees every training point; 0 looks at the initialization alone", 0, 50, stops=(0, 1, 2, 5, 10, 20, 50))  # fmt: skip
    points: int = knob(3000, "training points, drawn from the interval", 64, 10_000, stops=(64, 300, 1000, 3000, 10_000))  # fmt: skip
    training: Literal["independent nets", "one net, fitted again"] = knob("independent nets", "the second is what the notebook did: one network, fitted as many times as there should be networks")  # fmt: skip
    tracking: Literal["each epoch", "each step"] = knob("each epoch", "when it is looked at which networks are dead: one that dies may come back within an epoch", added=True)  # fmt: skip
    seed: int = SEED


lesson = Lesson(
    "dying-relu",
    ReluKnobs,
    revision=2,  # since then each network is followed by itself
    axis="epoch",
    series=lambda knobs: ["all nets"],
    curves=[
        Curve("median_loss", "loss", events=[Diverges], names=["the median network"], fact=False),
        Curve("dead", "share of networks", format=".1%", axes={"series": COUNTED}, names=["structure", "the variance test"], events=[partial(Reaches, bound=0.9, kind="dead", does="counts nine networks in ten or more as collapsed")], fact=False),
        Curve("fates", "share of networks", format=".1%", axes={"series": FATES}, fact=False),
        Curve("loss", "median loss", "mean squared error", log=True, axes={"series": ("alive", "collapsed")}, names=["a living network", "a collapsed network"], events=[Levels], fact=False),
        Curve("zero_gradient", "share of networks whose first layer has a gradient of zero", fact=False),
    ],
    tables=[
        Table("networks", "each network: dead at initialization, now, at any time; alive again", ("what", "network")),
        Table("dead_by_depth", "share of networks that are born dead, NaN while not counted", ("width", "depth")),
        Table("dead_by_init", "share of networks that are born dead", ("initialization",)),
    ],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(NOTEBOOK, training="one net, fitted again"),
        "Done right": PAPER,
        "Leaky, two epochs": dict(NOTEBOOK, activation="leaky relu"),
        "Randomized asymmetric": dict(PAPER, init="randomized asymmetric"),
        "Back to life": dict(depth=3, nets=1000, interval="±√7", optimizer="nesterov", learning_rate=0.03, epochs=5, tracking="each step"),
    },
    small=dict(nets=20, epochs=1, points=128, depth=4),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def fleet(knobs: ReluKnobs, nets: int, device: torch.device, *, seed: int = 0, depth: int = 0, width: int = 0, init: str = "") -> Fleet:  # fmt: skip
    """Return freshly initialized networks of one input and one output, as the knobs say where nothing is given."""
    sizes = (1, *[width or knobs.width] * (depth or knobs.depth), 1)
    activation = leaky_relu(knobs.slope) if knobs.activation == "leaky relu" else ACTIVATIONS[knobs.activation]
    made = Fleet(nets, sizes, activation=activation, loss="mse", device=device)
    made.initialise(INITS[init or knobs.init], seed or knobs.seed)
    return made


def sample(knobs: ReluKnobs, points: int, seed: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points drawn from the interval and the target there, each (points, 1)."""
    rng = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(points, 1, generator=rng) - 1) * HALF_WIDTH[knobs.interval]
    return x.to(device), TARGETS[knobs.target](x).to(device)


def evenly(knobs: ReluKnobs, points: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the interval in even steps, (points, 1)."""
    half = HALF_WIDTH[knobs.interval]
    return torch.linspace(-half, half, points, device=device).unsqueeze(1)


@lesson.experiment
def train(knobs: ReluKnobs, device: torch.device) -> Iterator[Frame]:
    """Look at the networks before training, then after each epoch; or fit one again and again, as the notebook."""
    x, y = sample(knobs, knobs.points, knobs.seed, device)  # (points, 1)
    again = knobs.training == "one net, fitted again"
    nets = fleet(knobs, 1 if again else knobs.nets, device)
    born_dead = float(dead(fleet(knobs, knobs.nets, device), evenly(knobs, FINE, device)).mean())
    measured = Measured(knobs, nets, x, y, born_dead)
    yield measured.frame(0, 0.0)
    yield from untrained(knobs, device)

    optimizer = nets.optimizer(knobs.optimizer, knobs.learning_rate)
    epochs = knobs.epochs * (knobs.nets if again else 1)
    for epoch in range(1, epochs + 1):
        order = orders(nets.nets, len(x), seed=knobs.seed, epoch=epoch).to(device)  # (nets, points)
        for batch in order.split(BATCH, dim=1):  # (nets, batch)
            nets.backward(nets.pick(x, batch), nets.pick(y, batch))
            optimizer.step()
            if knobs.tracking == "each step":
                measured.lives.look()
        if again and epoch % knobs.epochs == 0:
            measured.count_fit()
        if not again or epoch % max(1, epochs // FITS_SHOWN) == 0:
            yield measured.frame(epoch, epoch / epochs)


def untrained(knobs: ReluKnobs, device: torch.device) -> Iterator[Frame]:
    """Yield the share of networks that are born dead: by initialization, (initializations,), and by width and depth.

    "new_magnitudes" is the share of networks that die or live otherwise where each weight keeps its sign and takes the
    magnitude of another draw.
    """
    grid = evenly(knobs, COARSE, device)
    by_init = [dead(fleet(knobs, UNTRAINED, device, init=init), grid).mean() for init in INITIALIZATIONS]
    nets, others = fleet(knobs, UNTRAINED, device), fleet(knobs, UNTRAINED, device, seed=knobs.seed + 1)
    before = dead(nets, grid)
    take_magnitudes(nets, others)
    changed = float((dead(nets, grid) != before).mean())
    yield Frame(0, pictures={"dead_by_init": np.array(by_init), "new_magnitudes": np.array(changed)})
    by_depth = np.full((len(WIDTHS), DEPTHS), np.nan, dtype=np.float32)
    for i, width in enumerate(WIDTHS):
        nets = fleet(knobs, min(knobs.nets, 1000), device, seed=knobs.seed + width, depth=DEPTHS, width=width)
        by_depth[i] = dead_by_layer(nets, grid)
        yield Frame(0, pictures={"dead_by_depth": by_depth})


class Measured:
    """What is measured of the networks. It changes nothing about them."""

    def __init__(self, knobs: ReluKnobs, nets: Fleet, x: torch.Tensor, y: torch.Tensor, born_dead: float) -> None:
        self.nets, self.x, self.y, self.born_dead = nets, x, y, born_dead
        self.x_test, _ = sample(knobs, TESTS, knobs.seed + 1, x.device)
        self.grid = evenly(knobs, GRID, x.device)
        self.lives = Lives(nets, evenly(knobs, FINE, x.device))
        self.fits: list[tuple[bool, bool]] = []  # the notebook's way: collapsed, and by variance, after each fit

    def flat(self) -> Array:
        """Return which networks the notebook calls collapsed: their output's variance is small, (nets,)."""
        variance = self.nets.forward(self.x_test).squeeze(2).var(dim=1, correction=0)
        return (variance <= NOTEBOOK_VARIANCE).cpu().numpy()

    def count_fit(self) -> None:
        """Count the one network after one of its fits, as the notebook did."""
        self.fits.append((bool(self.lives.look()[0]), bool(self.flat()[0])))

    def frame(self, epoch: int, progress: float) -> Frame:
        """Return everything that the charts show."""
        lives, gone, flat = self.lives, self.lives.look(), self.flat()
        losses, gradients = evaluate(self.nets, self.x, self.y, CHUNK)
        shares = np.mean(self.fits, axis=0) if self.fits else np.array([gone.mean(), flat.mean()])
        fates = [lives.ever & ~lives.born, lives.back & ~lives.born, lives.back & lives.born]
        outputs = self.nets.forward(self.grid).squeeze(2)[:SHOWN].float().cpu().numpy()  # (shown, grid)
        lines, hidden = np.pad(outputs, ((0, 0), (0, 1)), constant_values=np.nan), gone[:SHOWN, None]
        curves = {
            "dead": np.array([*shares, self.born_dead]),
            "fates": np.mean(fates, axis=1),
            "loss": np.array([_median(losses[~gone]), _median(losses[gone])]),
            "median_loss": np.array([np.median(losses)]),
            "zero_gradient": float((gradients[:, 0] == 0).mean()),
        }
        pictures = {
            "functions": np.stack([np.where(hidden, np.nan, lines).ravel(), np.where(hidden, lines, np.nan).ravel()]),
            "gradients": np.stack([_median(gradients[~gone]), np.maximum(_median(gradients[gone]), FLOOR)]).astype("f4"),
            "this_run": np.array([gone.mean()], dtype="f4"),
            "networks": np.stack([lives.born, gone, lives.ever, lives.back]).astype("u1"),
        }  # fmt: skip
        return Frame(epoch, curves, pictures, progress)


def _median(values: Array) -> Any:
    """Return the median over networks; nan where there is none."""
    return np.median(values, axis=0) if len(values) else np.full(values.shape[1:], np.nan)


lesson.shown(train, untrained, Measured, Lives, Fleet.backward)


@lesson.script_settings
def script_settings(knobs: ReluKnobs) -> Mapping[str, Any]:
    """Return the knobs but for when to look: the script looks after each epoch."""
    return knobs.model_dump(exclude={"tracking"})


@lesson.cost
def cost(knobs: ReluKnobs) -> Cost:
    """Elementwise work on all activations, and the fixed price of each layer's calls."""
    again = knobs.training != "independent nets"
    nets, epochs = (1, knobs.epochs * knobs.nets) if again else (knobs.nets, knobs.epochs)
    steps = epochs * math.ceil(knobs.points / BATCH)
    looks = 1 + min(epochs, FITS_SHOWN if again else epochs)
    tracked = steps if knobs.tracking == "each step" else 0
    work = nets * knobs.depth * knobs.width
    curved = {"tanh": 110.0, "elu": 300.0}.get(knobs.activation, 0.0)  # measured, as all of these
    each = 180.0 + 10.0 * knobs.width + curved
    numbers = work * each * (steps * BATCH + looks * (knobs.points + FINE + TESTS) + tracked * FINE)
    births = min(knobs.nets, 1000) * DEPTHS * 200.0 * sum(width * (8.0 + width) for width in WIDTHS)
    births += 6 * UNTRAINED * knobs.depth * knobs.width * (8.0 + knobs.width) * 200.0
    calls = 14.0 * knobs.depth * (steps + tracked + 4 * looks) + 6.0 * DEPTHS * len(WIDTHS)
    held = 4.0 * work * 6 * min(knobs.points, CHUNK) + 8.0 * max(knobs.nets, UNTRAINED) * 16 * FINE * 4 + 5e7
    return Cost(0.0, numbers + births, calls, held)


# ---- charts --------------------------------------------------------------------------------------------------------


def bounds(width: int, depth: Any) -> tuple[Any, Any]:
    """Return between what the probability lies that a network is born dead, by its number of hidden layers.

    It takes ReLU, biases of zero, and independent weights, each as likely as its negative.
    """
    return 1 - (1 - 4.0**-width) ** (depth - 1), 1 - (1 - 2.0**-width) ** depth


def bounded(knobs: ReluKnobs) -> bool:
    """Return whether the bounds are of these networks: orthogonal weights depend on each other."""
    return is_relu(knobs) and knobs.init in ("he", "glorot")


def is_relu(knobs: ReluKnobs) -> bool:
    """Return whether units are exactly flat below zero."""
    return knobs.activation == "relu" or (knobs.activation == "leaky relu" and knobs.slope == 0)


def target_variance(knobs: ReluKnobs) -> float:
    """Return the variance of the target over its interval, to many digits."""
    return float(TARGETS[knobs.target](evenly(knobs, 20_001).double()).var(correction=0))


@lesson.charts
def charts(knobs: ReluKnobs) -> Iterator[Panel]:
    """Deaths over the epochs, what was learned, who is born dead, who comes back, gradients, loss."""
    epochs = max(1, knobs.epochs * (knobs.nets if knobs.training != "independent nets" else 1))
    time, share = {"range": [0, epochs]}, axis("share of networks", range=(0, 1.03), format=".0%")
    groups = (("alive", ALIVE, "solid"), ("collapsed", DEAD, "dash"))
    yield lesson.line_chart(
        knobs, "dead", "Share of the networks whose output no longer depends on the input: decided by structure, by the notebook's variance test, and already at initialization.",
        name="Collapsed networks", colours=(DEAD, COLOURS[4], COLOURS[7]), range=(0, 1.03), xaxis=time,
        extra=[level(1.0, 0, epochs, "notebook: 100 %")] if knobs.activation == "relu" else [],
    )  # fmt: skip
    grid = evenly(knobs, GRID).squeeze(1)
    x = np.tile([*grid.tolist(), np.nan], min(SHOWN, knobs.nets if knobs.training == "independent nets" else 1))
    truth = reference(grid.tolist(), TARGETS[knobs.target](grid).tolist(), "target", line={"width": 4})
    yield chart(
        "What they have learned", f"The functions of the first {SHOWN} networks over the target: a collapsed network is a flat line.",
        [truth, *(profile("functions", i, x, name, tint, line={"width": 1.2}, opacity=0.7, meta={}) for i, (name, tint, _) in enumerate(groups))],
        x="x", y="output",
    )  # fmt: skip
    depths = np.arange(1, DEPTHS + 1)
    limits = [reference(depths.tolist(), ends.tolist(), f"{word} bound, width {knobs.width}") for word, ends in zip(("lower", "upper"), bounds(knobs.width, depths), strict=True)]  # fmt: skip
    births = [profile("dead_by_depth", i, depths, f"width {width}", colour(i), line={"dash": DASHES[i]}) for i, width in enumerate(WIDTHS)]  # fmt: skip
    theirs = mark(9, 0.9, "Lu et al.: over 90 % (width 2, trained)", symbol="triangle-up-open")
    here = dots("this_run", None, [knobs.depth], "this run now", DEAD, size=13, marker={"symbol": "star"})
    yield chart(
        "Born dead, by depth and width", "Share of networks that are dead before training, for each depth; the star is this run, now. The dotted lines are the bounds of the theory for this run's width.",
        [*(limits if bounded(knobs) else []), *births, theirs, here], x=axis("hidden layers", range=(1, DEPTHS)), y=share,
    )  # fmt: skip
    yield chart(
        "Born dead, by initialization", f"The same of {UNTRAINED:,} untrained networks of this run's depth and width: where a weight is as likely as its negative, networks die alike.",
        [bars("dead_by_init", None, INITIALIZATIONS, "born dead", DEAD)], x="initialization", y=share, legend=False,
    )  # fmt: skip
    yield lesson.line_chart(
        knobs, "fates", f"Networks that were born alive and died, and networks that were alive again after they had been dead; looked at after {knobs.tracking}.",
        name="Died and came back", colours=(DEAD, ALIVE, COLOURS[4]), xaxis=time,
    )  # fmt: skip
    zero, layers = reference([1, knobs.depth + 1], [float(np.float32(FLOOR))] * 2, "exactly zero"), np.arange(1, knobs.depth + 2)  # fmt: skip
    yield chart(
        "Gradient by layer", f"Largest gradient of a weight in each layer, median over networks. What lies on the floor of {FLOOR:g} is exactly zero.",
        [zero, *(profile("gradients", i, layers, name, tint, mode="lines+markers", line={"dash": dash}) for i, (name, tint, dash) in enumerate(groups))],
        x=axis("layer, from the input", range=(0.8, knobs.depth + 1.2)), y=axis("largest |gradient|", log=True, dtick=3),
    )  # fmt: skip
    yield lesson.line_chart(
        knobs, "loss", "Median training loss. A dead network can only learn the mean: its loss goes to the variance of the target and no lower.",
        name="Loss of the living and the dead", extra=[level(target_variance(knobs), 0, epochs, "variance of the target")],
        colours=(ALIVE, DEAD), y="mean squared error", xaxis=time, yaxis={"dtick": None},
    )  # fmt: skip


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[ReluKnobs]) -> Iterator[Fact]:
    """Yield the shares of dead networks, what tells the slow from the dead, and what became of each network."""
    knobs, pictures = result.knobs, result.recording.pictures
    collapsed, by_variance, born = result.last("dead")
    single = {"born_dead": born, "collapsed": collapsed, "collapsed_fraction_by_variance": by_variance}
    single |= {"zero_gradient": result.last("zero_gradient")}
    single |= dict(zip(("died", "revived", "born_dead_revived"), result.last("fates"), strict=True))
    yield from (Fact(name if "fraction" in name else f"{name}_fraction", "", value) for name, value in single.items())
    yield from (Fact("median_loss", name, loss) for name, loss in zip(("alive", "collapsed"), result.last("loss"), strict=True))  # fmt: skip
    yield Fact("target_variance", "", target_variance(knobs))
    for word, bound in zip(("lower", "upper"), bounds(knobs.width, knobs.depth), strict=True):
        yield Fact(f"born_dead_{word}_bound", "", bound if bounded(knobs) else None)
    if "dead_by_depth" in pictures and np.isfinite(table := result.table("dead_by_depth")).all():
        yield from (Fact("born_dead_fraction", f"width={width}", row[knobs.depth - 1]) for width, row in zip(WIDTHS, table, strict=True))  # fmt: skip
    if "dead_by_init" in pictures:
        yield from (Fact("born_dead_fraction", f"init={init}", share) for init, share in zip(INITIALIZATIONS, result.table("dead_by_init"), strict=True))  # fmt: skip
        yield Fact("fate_changed_by_magnitudes", "", float(result.table("new_magnitudes")))


def networks(result: Result[ReluKnobs]) -> tuple[Array, Array, Array, Array]:
    """Return which networks were born dead, are dead, were dead at some time and came back, (nets,) each."""
    born, gone, ever, back = result.table("networks").astype(bool)
    return born, gone, ever, back


def share_of(share: float, count: int) -> Estimate:
    """Estimate a probability from the share of so many networks."""
    return proportion(round(share * count), count)


def spell(share: Estimate, what: str) -> str:
    """Spell a share with its interval."""
    return f"{share.mean:.1%} of {share.n} {what} (95 % interval {share.low:.1%} … {share.high:.1%})"


def gap(shares: tuple[float, float], count: int) -> Estimate:
    """Estimate by how many points one of two shares exceeds the other; each is of so many other networks."""
    one, other = (100.0 * (np.arange(count) < round(share * count)) for share in shares)
    return independent(one, other)


# ---- claims --------------------------------------------------------------------------------------------------------

RELU, SYMMETRIC = Needs("ReLU", is_relu), Needs("a symmetric initialization", lambda knobs: knobs.init != INITIALIZATIONS[-1])  # fmt: skip
SHAPE = Needs.settings("9 hidden layers of 2 units", depth=9, width=2)
INDEPENDENT = Needs.settings("independent networks", training="independent nets")
TRAINED, MANY = Needs.at_least("epochs", 1), Needs.at_least("nets", 500)


@lesson.claim(
    "The initialization kills them: most networks that end collapsed were dead before the first step",
    expected="more than half of the collapsed networks, with a 95 % interval above 50 %", source=FOLLOWED,
    needs=[RELU, INDEPENDENT, TRAINED],
)  # fmt: skip
def born_not_made(result: Result[ReluKnobs]) -> Check:
    """The lesson's own question."""
    born, gone, _, _ = networks(result)
    if not gone.any():
        raise Missing("collapsed network")
    share = proportion(int((born & gone).sum()), int(gone.sum()))
    return Check(spell(share, "collapsed networks were born dead"), share.exceeds(0.5), MORE)


@lesson.claim(
    "Of ReLU networks with 9 hidden layers of 2 units, nearly nine in ten are dead before training",
    expected="a 95 % interval within 78 % … 95 %: nearer to nine in ten than to two thirds or to all",
    source="4,000 networks of this lesson: 87.7 % to 88.1 %", needs=[RELU, SHAPE, SYMMETRIC, MANY], early=True,
)  # fmt: skip
def nine_in_ten(result: Result[ReluKnobs]) -> Check:
    """The prediction."""
    share = share_of(result.fact("born_dead_fraction"), result.knobs.nets)
    return Check(spell(share, "networks"), share.within(0.78, 0.95), MORE)


@lesson.claim(
    "As many are born dead as the theory allows: at least 1 − (1 − 4⁻ʷ)ᴸ⁻¹, at most 1 − (1 − 2⁻ʷ)ᴸ",
    expected="a 95 % interval between these bounds, for L hidden layers of w units",
    source=f"Harris' inequality for the lower bound, which rises to 1 with depth; {LU} for the upper one, which falls with width",
    needs=[Needs("ReLU and independent weights: He or Glorot", bounded)], early=True,
)  # fmt: skip
def within_bounds(result: Result[ReluKnobs]) -> Check:
    """Why depth kills and width saves."""
    share = share_of(result.fact("born_dead_fraction"), result.knobs.nets)
    low, high = bounds(result.knobs.width, result.knobs.depth)
    return Check(f"{spell(share, 'networks')}, bounds {low:.2%} and {high:.2%}", share.within(low, high), MORE)


@lesson.claim(
    "Depth kills, width saves: more are born dead at 9 layers than at 4, and more at width 2 than at width 10",
    expected="differences whose 95 % intervals lie above zero", source=LU, needs=[RELU, MANY], early=True,
)  # fmt: skip
def depth_and_width(result: Result[ReluKnobs]) -> Check:
    """The chart's own networks: the deeper ones begin with the layers of the shallower ones."""
    table, count = result.table("dead_by_depth"), min(result.knobs.nets, 1000)
    narrow, wide = (table[WIDTHS.index(width)] for width in (2, 10))
    if not np.isfinite(table).all():
        raise Missing("share of every width")
    deeper, wider = share_of(narrow[8] - narrow[3], count), gap((narrow[8], wide[8]), count)
    said = f"width 2: {narrow[3]:.1%} at 4 layers, {narrow[8]:.1%} at 9; width 10: {wide[8]:.1%} at 9"
    return Check(said, all_hold([deeper.exceeds(0) or False, wider.exceeds(0)]), MORE)


@lesson.claim(
    "Where a weight is as likely as its negative, networks die alike: He, Glorot and orthogonal differ by less than 5 points",
    expected="differences to He whose 95 % intervals lie within ±5 points",
    source="4,000 networks of each, computed before: within 2 points", needs=[RELU, SHAPE], early=True,
)  # fmt: skip
def alike(result: Result[ReluKnobs]) -> Check:
    """Which property of the initialization counts."""
    he, *others = result.table("dead_by_init")[:3]
    gaps = [gap((share, he), UNTRAINED) for share in others]
    said = "; ".join(f"{init}: {each.text('.1f', 'points')}" for init, each in zip(INITIALIZATIONS[1:3], gaps, strict=True))  # fmt: skip
    return Check(said, all_hold(each.within(-5, 5) for each in gaps), ANOTHER)


@lesson.claim(
    "The signs of the weights do not decide alone: under the same signs, new magnitudes change the fate of some networks",
    expected="more than 1 % of the networks, with a 95 % interval above that",
    source="a recomputation in NumPy: 9.1 %", needs=[RELU, SHAPE, SYMMETRIC], early=True,
)  # fmt: skip
def magnitudes(result: Result[ReluKnobs]) -> Check:
    """Against a tempting explanation."""
    share = share_of(result.fact("fate_changed_by_magnitudes"), UNTRAINED)
    return Check(spell(share, "networks"), share.exceeds(0.01), ANOTHER)


@lesson.claim(
    "After training, more than 90 % of them have collapsed to a constant",
    expected="over 90 %, with a 95 % interval above that", source=LU,
    notebook="100 %, of one network fitted 1000 times", literature="over 90 % of 1000 networks",
    needs=[RELU, SHAPE, INDEPENDENT, Needs.settings(init="he", optimizer="adam"), Needs.at_least("epochs", 20), Needs.at_least("nets", 300)],
)  # fmt: skip
def collapse(result: Result[ReluKnobs]) -> Check:
    """The paper's number."""
    share = share_of(result.fact("collapsed_fraction"), result.knobs.nets)
    return Check(spell(share, "networks"), share.exceeds(0.9), MORE)


@lesson.claim(
    "Training adds to the dead: more networks are dead at its end than at its beginning",
    expected="a difference, network by network, whose 95 % interval lies above zero", source=FOLLOWED,
    needs=[RELU, INDEPENDENT, TRAINED],
)  # fmt: skip
def adds(result: Result[ReluKnobs]) -> Check:
    """What training does to those that were born alive."""
    born, gone, _, _ = networks(result)
    more = paired(100.0 * gone, 100.0 * born)
    return Check(f"{born.mean():.1%}, then {gone.mean():.1%}: {more.text('.1f', 'points')}", more.exceeds(0), MORE)


@lesson.claim(
    "No optimizer moves a network that is born dead: none comes back",
    expected="0 networks", source="its gradients are exactly zero from the first step on, and so is every average of them",
    needs=[RELU, INDEPENDENT, TRAINED],
)  # fmt: skip
def never_back(result: Result[ReluKnobs]) -> Check:
    """Dead from the start."""
    born, _, _, back = networks(result)
    if not born.any():
        raise Missing("network that is born dead")
    return Check(f"{(born & back).sum()} of {born.sum()} that were born dead", not (born & back).any())


@lesson.claim(
    "One that dies in training can come back: the optimizer still moves it by the gradients of before",
    expected="1 network or more", source="a recomputation: 8 of 200 networks of 3 layers of 2 units, Nesterov at 0.03",
    needs=[RELU, INDEPENDENT, TRAINED, Needs.settings(tracking="each step"), Needs("momentum or Adam", lambda knobs: knobs.optimizer != "sgd", change=lambda knobs: {"optimizer": "nesterov"}), MANY],
)  # fmt: skip
def comes_back(result: Result[ReluKnobs]) -> Check:
    """Death is not final where steps have a memory."""
    born, _, ever, back = networks(result)
    return Check(f"{(back & ~born).sum()} of {(ever & ~born).sum()} that died in training", bool((back & ~born).any()))


@lesson.claim(
    "Randomized asymmetric initialization: fewer than 30 % are born dead, where He has 88 %",
    expected="under 30 %, with a 95 % interval below that", source=LU,
    literature="collapse after training falls from 91.9 % to 29.2 % and from 93.8 % to 32.6 % on two functions",
    needs=[RELU, SHAPE, MANY], shown=lambda knobs: knobs.init == "randomized asymmetric", early=True,
)  # fmt: skip
def asymmetric(result: Result[ReluKnobs]) -> Check:
    """A unit that leans towards being on."""
    share = share_of(result.fact("born_dead_fraction"), result.knobs.nets)
    return Check(spell(share, "networks"), share.within(0, 0.3), MORE)


@lesson.claim(
    "Leaky ReLU has no dead networks: no first layer has a gradient of exactly zero",
    expected="0 networks with a gradient of zero, 0 collapsed", source="the slope is never 0, so no product of slopes is",
    notebook="0.2 % collapsed, of one network fitted 1000 times",
    needs=[Needs.at_least("slope", 0.1), INDEPENDENT, TRAINED], shown=lambda knobs: knobs.activation == "leaky relu",
)  # fmt: skip
def leaky(result: Result[ReluKnobs]) -> Check:
    """The cure that the notebook tried."""
    zero, gone = (round(result.fact(f"{name}_fraction") * result.knobs.nets) for name in ("zero_gradient", "collapsed"))
    return Check(f"{zero} of {result.knobs.nets} with a gradient of zero, {gone} collapsed", zero == gone == 0)


@lesson.claim(
    "The notebook's variance test calls most of its leaky networks collapsed after two epochs, though they are alive",
    expected="more than half of the living networks, with a 95 % interval above 50 %", notebook="its only test",
    source="variance of 500 outputs ≤ 0.001 against a derivative that is exactly zero; 200 replicas: 92 %",
    needs=[Needs.settings("leaky ReLU at the notebook's settings, two epochs", **NOTEBOOK, slope=0.2), INDEPENDENT],
    shown=lambda knobs: knobs.activation == "leaky relu",
)  # fmt: skip
def slow_not_dead(result: Result[ReluKnobs]) -> Check:
    """Slow is not dead."""
    flat, gone = (round(result.fact(f"collapsed_fraction{by}") * result.knobs.nets) for by in ("_by_variance", ""))
    share = proportion(max(flat - gone, 0), result.knobs.nets - gone)
    return Check(spell(share, "living networks"), share.exceeds(0.5), MORE)


def arrived(knobs: ReluKnobs) -> bool:
    """Return whether the output's bias had the time to reach the mean of the targets.

    Adam moves it by the rate itself, the others by a share of its error.
    """
    share = {"adam": 0.5, "sgd": 0.3, "momentum": 3.0, "nesterov": 3.0}[knobs.optimizer]
    return knobs.epochs * math.ceil(knobs.points / BATCH) * knobs.learning_rate * share >= 1.0


@lesson.claim(
    "A collapsed network learns the mean and nothing else: its loss is the variance of the target",
    expected="equal within 5 %, three standard errors of a variance of 3,000 points", source="least squares with a constant",
    notebook="loss 0.576 to 0.577, which is Var |x| = 7/12 = 0.583 on its sample",
    needs=[RELU, Needs.at_least("points", 3000), Needs("time for the output's bias to reach the mean: momentum at a rate of 0.01, or 50 epochs of Adam", arrived, change=lambda knobs: {"optimizer": "momentum", "learning_rate": 0.01})],
)  # fmt: skip
def mean_only(result: Result[ReluKnobs]) -> Check:
    """What is left to learn."""
    loss, variance = result.fact("median_loss", "collapsed"), result.fact("target_variance")
    return Check(f"loss {loss:.4f}, variance {variance:.4f}", abs(loss / variance - 1) < 0.05)


@lesson.outcome
def dead_before(result: Result[ReluKnobs]) -> str:
    """Answer how many were dead before training."""
    born, collapsed = result.fact("born_dead_fraction"), result.fact("collapsed_fraction")
    return f"{born:.0%} were dead before any training, and {collapsed:.0%} at the end."
