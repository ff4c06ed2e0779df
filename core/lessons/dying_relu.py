"""Why do narrow, deep ReLU nets die before they learn anything? (notebook 001; Lu et al. 2019)

Many independent nets, ten layers deep and two units wide, fit a function of one variable. A net is dead when one of
its hidden layers no longer depends on the input: every gradient before that layer is exactly zero, for ever.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch

from core import prose
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson
from core.narrator import Diverges, Levels, Reaches, Watch
from core.nets import ACTIVATIONS, INITS, leaky_relu
from core.panels import ALIVE, COLOURS, DASHES, DEAD, Panel, Still, Switch, lines, reference
from core.traces import Scatter
from core.training.fleet import Fleet, orders

BATCH = 64
TESTS = 500  # as the notebook: unseen points on which its variance is taken
NOTEBOOK_VARIANCE = 1e-3  # it wrote 10e-4
SHOWN = 48  # nets whose function is drawn: the first ones, not chosen ones
GRID = 49  # points of the interval on which functions are drawn
FINE = 257  # points of the interval on which death is decided
DEPTHS = 30  # hidden layers of the chart of birth
WIDTHS = (1, 2, 3, 4, 6, 10)  # and its widths
FITS_SHOWN = 100  # frames of the notebook's way
FLOOR = 1e-12  # where "exactly zero" is drawn on a logarithmic axis
LU = "Lu et al. 2019, arXiv 1903.06733"
TARGETS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "|x|": torch.abs,
    "x·sin(5x)": lambda x: x * torch.sin(5 * x),
    "1{x>0}+0.2·sin(5x)": lambda x: (x > 0).to(x.dtype) + 0.2 * torch.sin(5 * x),
}
HALF_WIDTH = {"±√3": math.sqrt(3), "±√7": math.sqrt(7)}
COLLAPSED = ("by structure", "by variance", "at birth")  # how it is counted which nets have collapsed


class ReluKnobs(Knobs):
    """What may be turned."""

    depth: int = knob(9, "hidden layers; the paper counts the output too, so its 10 layers are 9 here", 1, 30, stops=(1, 2, 3, 5, 7, 9, 10, 15, 20, 30), shown=True)  # fmt: skip
    width: int = knob(2, "units in each hidden layer", 1, 16, stops=(1, 2, 3, 4, 6, 8, 10, 16), shown=True)
    activation: Literal["relu", "leaky relu", "elu", "tanh"] = knob("relu", "what a unit does with its sum; only ReLU is exactly flat", shown=True)  # fmt: skip
    init: Literal["he", "glorot", "orthogonal", "randomized asymmetric"] = knob("he", "how weights start; the last tilts each unit towards being on", label="initialization", shown=True)  # fmt: skip
    nets: int = knob(500, "independent nets, each with its own start and order of examples", 20, 4000, stops=(50, 200, 500, 1000, 2000, 4000))  # fmt: skip
    slope: float = knob(0.2, "slope of leaky ReLU where it leaks; Keras uses 0.2", 0.0, 0.5, stops=(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5))  # fmt: skip
    target: Literal["|x|", "x·sin(5x)", "1{x>0}+0.2·sin(5x)"] = knob("|x|", "the function to learn, one of the paper's three")  # fmt: skip
    interval: Literal["±√3", "±√7"] = knob("±√3", "where inputs are drawn: the paper's interval or the notebook's")
    optimizer: Literal["sgd", "momentum", "nesterov", "adam"] = knob("adam", "how a gradient becomes a step; none of them moves what has no gradient")  # fmt: skip
    learning_rate: float = knob(0.001, "how far each step moves the weights", 1e-5, 1.0, stops=(1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0))  # fmt: skip
    epochs: int = knob(10, "passes over the 3,000 points; 0 looks at birth only", 0, 50, stops=(0, 1, 2, 5, 10, 20, 50))  # fmt: skip
    points: int = knob(3000, "training points, drawn from the interval", 64, 10_000, stops=(64, 300, 1000, 3000, 10_000))  # fmt: skip
    training: Literal["independent nets", "one net, fitted again"] = knob("independent nets", "the second is what the notebook did: one net, fitted as many times as there should be nets")  # fmt: skip
    seed: int = SEED


def fleet(knobs: ReluKnobs, nets: int, device: torch.device, *, seed: int, depth: int = 0, width: int = 0) -> Fleet:
    """`nets` fresh nets of one input and one output; depth and width as the knobs say, unless given."""
    sizes = (1, *[width or knobs.width] * (depth or knobs.depth), 1)
    activation = leaky_relu(knobs.slope) if knobs.activation == "leaky relu" else ACTIVATIONS[knobs.activation]
    made = Fleet(nets, sizes, activation=activation, loss="mse", device=device)
    made.initialise(INITS[knobs.init], seed)
    return made


def sample(knobs: ReluKnobs, points: int, seed: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points drawn from the interval and the target there, each (points, 1)."""
    chance = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(points, 1, generator=chance) - 1) * HALF_WIDTH[knobs.interval]
    return x.to(device), TARGETS[knobs.target](x).to(device)


def evenly(knobs: ReluKnobs, points: int, device: torch.device) -> torch.Tensor:
    """The interval in even steps, (points, 1)."""
    half = HALF_WIDTH[knobs.interval]
    return torch.linspace(-half, half, points, device=device).unsqueeze(1)


def train(knobs: ReluKnobs, device: torch.device) -> Iterator[Frame]:
    """Look at the nets at birth, then after each epoch; or fit one net again and again, as the notebook did."""
    x, y = sample(knobs, knobs.points, knobs.seed, device)  # (points, 1)
    x_test, _ = sample(knobs, TESTS, knobs.seed + 1, device)
    again = knobs.training == "one net, fitted again"
    nets = fleet(knobs, 1 if again else knobs.nets, device, seed=knobs.seed)
    births = fleet(knobs, knobs.nets, device, seed=knobs.seed) if again else nets
    born_dead = float(dead(births, evenly(knobs, FINE, device)).mean())
    look = Look(knobs, nets, x, y, x_test, evenly(knobs, FINE, device), evenly(knobs, GRID, device))
    yield look.frame(0, 0.0, born_dead)
    for chart in dead_by_depth(knobs, device):  # (widths, depths), filled width by width
        yield Frame(0, pictures={"dead_by_depth": chart})

    optimizer = nets.optimizer(knobs.optimizer, knobs.learning_rate)
    fits = knobs.nets if again else 1
    epochs = fits * knobs.epochs
    for epoch in range(1, epochs + 1):
        order = orders(nets.nets, len(x), seed=knobs.seed, epoch=epoch).to(device)  # (nets, points)
        for batch in order.split(BATCH, dim=1):  # (nets, batch)
            nets.backward(nets.pick(x, batch), nets.pick(y, batch))
            optimizer.step()
        if again and epoch % knobs.epochs == 0:
            look.count_fit()
        if not again or epoch % max(1, epochs // FITS_SHOWN) == 0:
            yield look.frame(epoch, epoch / epochs, born_dead)


def dead(nets: Fleet, grid: torch.Tensor) -> Array:
    """Which nets have a layer that does not depend on the input anywhere on the grid, (nets,)."""
    return nets.constant_layers(grid).any(dim=1).cpu().numpy()


def dead_by_depth(knobs: ReluKnobs, device: torch.device) -> Iterator[Array]:
    """Share of nets that are dead at birth, (widths, depths), nan where not yet counted.

    A deep net's first layers are a shallower net, so one fleet of the greatest depth serves for all.
    """
    grid = evenly(knobs, 65, device)
    shares = np.full((len(WIDTHS), DEPTHS), np.nan, dtype=np.float32)
    for i, width in enumerate(WIDTHS):
        nets = fleet(knobs, min(knobs.nets, 1000), device, seed=knobs.seed + width, depth=DEPTHS, width=width)
        layers = nets.constant_layers(grid)[:, :-1].cpu().numpy()  # (nets, depths)
        shares[i] = np.logical_or.accumulate(layers, axis=1).mean(axis=0)
        yield shares


class Look:
    """What is drawn and counted of the nets at one moment. It changes nothing about them."""

    def __init__(self, knobs: ReluKnobs, nets: Fleet, x: torch.Tensor, y: torch.Tensor, *grids: torch.Tensor) -> None:
        self.knobs, self.nets, self.x, self.y = knobs, nets, x, y
        self.x_test, self.fine, self.grid = grids
        self.fits: list[tuple[bool, bool]] = []  # the notebook's way: collapsed, and by variance, after each fit

    def collapsed(self) -> tuple[Array, Array]:
        """Nets whose output is constant, by structure and by the notebook's variance test, each (nets,)."""
        variance = self.nets.forward(self.x_test).squeeze(2).var(dim=1, correction=0)
        return dead(self.nets, self.fine), (variance <= NOTEBOOK_VARIANCE).cpu().numpy()

    def count_fit(self) -> None:
        """Count the one net after one of its fits, as the notebook did."""
        by_structure, by_variance = self.collapsed()
        self.fits.append((bool(by_structure[0]), bool(by_variance[0])))

    def frame(self, epoch: int, progress: float, born_dead: float) -> Frame:
        """Everything that the panels show."""
        gone, by_variance = self.collapsed()
        loss = self.nets.backward(self.x, self.y)  # on all points; leaves the gradient in weight_grads
        losses = loss.double().cpu().numpy()
        gradients = np.stack([g.abs().amax(dim=(1, 2)).double().cpu().numpy() for g in self.nets.weight_grads], axis=1)
        shares = np.mean(self.fits, axis=0) if self.fits else np.array([gone.mean(), by_variance.mean()])
        return Frame(
            epoch,
            {
                "dead": np.array([shares[0], shares[1], born_dead]),
                "loss": np.array([_median(losses[~gone]), _median(losses[gone])]),
                "median_loss": np.array([np.median(losses)]),
                "zero_gradient": float((gradients[:, 0] == 0).mean()),
            },
            {
                "functions": self.functions(gone),
                "gradients": np.stack([_median(gradients[~gone]), _floored(_median(gradients[gone]))]).astype("f4"),
                "this_run": np.array([gone.mean()], dtype="f4"),
            },
            progress,
        )

    def functions(self, gone: Array) -> Array:
        """The first nets' outputs on the grid, a gap after each: alive ones, then dead ones, (2, shown · (grid + 1))."""
        outputs = self.nets.forward(self.grid).squeeze(2)[:SHOWN].float().cpu().numpy()  # (shown, grid)
        lines = np.concatenate([outputs, np.full((len(outputs), 1), np.nan, dtype="f4")], axis=1)
        kept = gone[:SHOWN, None]
        return np.stack([np.where(kept, np.nan, lines).ravel(), np.where(kept, lines, np.nan).ravel()])


def _median(values: Array) -> Any:
    """The median over nets; nan where there is no net."""
    return np.median(values, axis=0) if len(values) else np.full(values.shape[1:], np.nan)


def _floored(values: Array) -> Array:
    return np.maximum(values, FLOOR)


def panels(knobs: ReluKnobs) -> list[Panel]:
    """Deaths over the epochs, the learned functions, death against depth, gradients by layer, and the loss."""
    epochs = max(1, knobs.epochs * (knobs.nets if knobs.training != "independent nets" else 1))
    axis: dict[str, Any] = {"x": "epochs", "xaxis": {"range": [0, epochs]}}
    share = {"range": [0, 1.03], "tickformat": ".0%"}
    notebook = [reference([0, epochs], [1.0, 1.0], "notebook: 100 %")] if knobs.activation == "relu" else []
    return [
        lines(
            "Collapsed nets",
            "Share of the nets whose output no longer depends on the input: decided by structure, by the notebook's variance test, and already at birth.",
            "dead",
            COLLAPSED,
            y="share of nets",
            extra=notebook,
            colours=(DEAD, COLOURS[4], COLOURS[7]),
            yaxis=share,
            **axis,
        ),
        _functions_panel(knobs),
        _depth_panel(knobs),
        _gradient_panel(knobs),
        lines(
            "Loss of the living and the dead",
            "Median training loss (mean squared error). A dead net can only learn the mean: its loss goes to the variance of the target and no lower.",
            "loss",
            ("alive", "collapsed"),
            y="mean squared error",
            extra=[reference([0, epochs], [_variance(knobs)] * 2, "variance of the target")],
            colours=(ALIVE, DEAD),
            yaxis={"type": "log"},
            **axis,
        ),
    ]


def _functions_panel(knobs: ReluKnobs) -> Panel:
    grid = evenly(knobs, GRID, torch.device("cpu"))
    x = np.tile(
        np.append(grid.squeeze(1).numpy(), np.nan), min(SHOWN, 1 if knobs.training != "independent nets" else SHOWN)
    )
    truth = Still(
        Scatter(
            x=grid.squeeze(1).numpy(),
            y=TARGETS[knobs.target](grid).squeeze(1).numpy(),
            name="target",
            line={"color": "#8a8f98", "width": 4},
            opacity=0.6,
            meta={"reference": True},
        )
    )
    drawn = [
        Switch(
            Scatter(x=x, name=name, mode="lines", line={"color": colour, "width": 1.2}, opacity=0.7),
            {"y": ("functions", i)},
        )
        for i, (name, colour) in enumerate((("alive", ALIVE), ("collapsed", DEAD)))
    ]
    return Panel(
        "What they have learned",
        f"The functions of the first {SHOWN} nets over the target: a collapsed net is a flat line.",
        [truth, *drawn],
        {"xaxis": {"title": {"text": "x"}}, "yaxis": {"title": {"text": "output"}}},
    )


def _depth_panel(knobs: ReluKnobs) -> Panel:
    depths = np.arange(1, DEPTHS + 1)
    births = [
        Switch(
            Scatter(
                x=depths,
                name=f"width {width}",
                mode="lines",
                line={"color": COLOURS[i], "dash": DASHES[i]},
                meta={"label": f"width {width}"},
            ),
            {"y": ("dead_by_depth", i)},
        )
        for i, width in enumerate(WIDTHS)
    ]
    here = Switch(
        Scatter(
            x=[knobs.depth],
            name="this run now",
            mode="markers",
            marker={"size": 13, "symbol": "star", "color": DEAD, "line": {"width": 1, "color": "white"}},
        ),
        {"y": "this_run"},
    )
    theirs = reference(
        [9],
        [0.9],
        "Lu et al.: over 90 % (width 2, trained)",
        mode="markers",
        marker={"symbol": "triangle-up-open", "size": 11, "color": "#8a8f98"},
    )
    return Panel(
        "Dead at birth, by depth and width",
        "Share of nets that are dead before training, for each depth; the star is this run, now.",
        [*births, theirs, here],
        {
            "xaxis": {"title": {"text": "hidden layers"}, "range": [1, DEPTHS]},
            "yaxis": {"title": {"text": "share of nets"}, "range": [0, 1.03], "tickformat": ".0%"},
        },
    )


def _gradient_panel(knobs: ReluKnobs) -> Panel:
    layers = np.arange(1, knobs.depth + 2)
    drawn = [
        Switch(
            Scatter(
                x=layers, name=name, mode="lines+markers", line={"color": colour, "dash": dash}, meta={"label": name}
            ),
            {"y": ("gradients", i)},
        )
        for i, (name, colour, dash) in enumerate((("alive", ALIVE, "solid"), ("collapsed", DEAD, "dash")))
    ]
    return Panel(
        "Gradient by layer",
        f"Largest gradient of a weight in each layer, median over nets. What lies on the floor of {FLOOR:g} is exactly zero.",
        [Still(reference([1, knobs.depth + 1], [float(np.float32(FLOOR))] * 2, "exactly zero").trace), *drawn],
        {
            "xaxis": {"title": {"text": "layer, from the input"}, "range": [0.8, knobs.depth + 1.2]},
            "yaxis": {"title": {"text": "largest |gradient|"}, "type": "log", "dtick": 3},
        },
    )


def _variance(knobs: ReluKnobs) -> float:
    """Variance of the target over its interval, to many digits."""
    x = evenly(knobs, 20_001, torch.device("cpu")).double()
    return float(TARGETS[knobs.target](x).var(correction=0))


def watches(knobs: ReluKnobs) -> list[Watch]:
    """What the narrator may tell: of the dead, by structure and by the notebook's test, and of the loss."""
    return [
        Reaches("dead", ("structure", "the variance test"), "their share", ".1%", bound=0.9, kind="dead", does="counts nine nets in ten or more as collapsed"),
        Levels("loss", ("a living net", "a collapsed net"), "median loss"),
        Diverges("median_loss", ("the median net",), "loss"),
    ]  # fmt: skip


def facts(knobs: ReluKnobs, recording: Recording) -> Facts:
    """Shares of dead nets at the end, and what tells the slow from the dead."""
    collapsed, by_variance, born_dead = (float(share) for share in recording.last("dead"))
    alive, gone = (float(value) for value in recording.last("loss"))
    found: dict[str, float | None] = {
        "born_dead_fraction": born_dead,
        "collapsed_fraction": collapsed,
        "collapsed_fraction_by_variance": by_variance,
        "zero_gradient_fraction": float(recording.last("zero_gradient")),
        "median_loss[alive]": alive if math.isfinite(alive) else None,
        "median_loss[collapsed]": gone if math.isfinite(gone) else None,
        "target_variance": _variance(knobs),
    }
    chart = recording.picture("dead_by_depth")
    if chart is not None and np.isfinite(chart).all():
        for width, shares in zip(WIDTHS, chart, strict=True):
            found[f"born_dead_fraction[width={width}]"] = float(shares[knobs.depth - 1])
    return found


def claims(knobs: ReluKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0 or knobs.epochs == 0
    relu = knobs.activation == "relu" or (knobs.activation == "leaky relu" and knobs.slope == 0)
    independent = knobs.training == "independent nets"
    paper = relu and (knobs.depth, knobs.width) == (9, 2)
    symmetric = knobs.init != "randomized asymmetric"
    trained = ended and independent and knobs.epochs > 0
    made = [
        _born_dead(knobs, found, paper and symmetric),
        _collapse(knobs, found, trained and paper and symmetric),
        _no_revival(found, trained and relu),
        _asymmetric(knobs, found, paper and not symmetric),
        _leaky(knobs, found, trained),
        _variance_test(found, trained),
        _depth_and_width(recording, relu and knobs.nets >= 500),
        _mean_only(knobs, found, ended and relu),
    ]
    return [claim for claim in made if claim is not None]


def _born_dead(knobs: ReluKnobs, found: Facts, decides: bool) -> Claim:
    share = found["born_dead_fraction"]
    return Claim(
        "Of ReLU nets with 9 hidden layers of 2 units, nearly nine in ten are dead before training",
        f"{share:.1%} of {knobs.nets} nets",
        "85 % … 92 %",
        share is not None and 0.85 <= share <= 0.92 if decides and knobs.nets >= 500 else None,
        "4,000 nets of this lesson: 87.7 % to 88.1 %; death depends on the signs of the weights only",
        hint="it takes ReLU, 9 layers of 2 units, a symmetric init and 500 nets or more",
    )


def _collapse(knobs: ReluKnobs, found: Facts, decides: bool) -> Claim:
    share = found["collapsed_fraction"]
    enough = knobs.nets >= 300 and knobs.epochs >= 20 and knobs.optimizer == "adam" and knobs.init == "he"
    return Claim(
        "After training, more than 90 % of them have collapsed to a constant",
        f"{share:.1%} of {knobs.nets} {'nets' if knobs.training == 'independent nets' else 'fits of one net'}",
        "over 90 %",
        share is not None and share > 0.90 if decides and enough else None,
        LU,
        notebook="100 %, of one net fitted 1000 times",
        literature="over 90 % of 1000 nets",
        hint='the preset "Done right" follows the paper: He, Adam, 20 epochs, 300 nets or more',
    )


def _no_revival(found: Facts, decides: bool) -> Claim:
    born, collapsed = found["born_dead_fraction"], found["collapsed_fraction"]
    return Claim(
        "Training revives no dead net: it can only add to them",
        f"{born:.1%} at birth, {collapsed:.1%} after training",
        "no fewer after training than at birth",
        collapsed >= born if decides and born is not None and collapsed is not None else None,
        "a zero gradient moves nothing, whatever the optimizer",
        hint="it takes ReLU, independent nets and at least one epoch",
    )


def _asymmetric(knobs: ReluKnobs, found: Facts, decides: bool) -> Claim | None:
    share = found["born_dead_fraction"]
    if knobs.init != "randomized asymmetric":
        return None
    return Claim(
        "Randomized asymmetric initialization lets most nets be born alive",
        f"{share:.1%} dead at birth",
        "at most 30 %, a third of He's 88 %",
        share is not None and share <= 0.294 if decides and knobs.nets >= 500 else None,
        LU,
        literature="collapse after training falls from 91.9 % to 29.2 % and from 93.8 % to 32.6 % on two functions",
        hint="it takes ReLU, 9 layers of 2 units and 500 nets or more",
    )


def _leaky(knobs: ReluKnobs, found: Facts, trained: bool) -> Claim | None:
    zero, collapsed = found["zero_gradient_fraction"], found["collapsed_fraction"]
    if knobs.activation != "leaky relu" or zero is None or collapsed is None:
        return None
    return Claim(
        "Leaky ReLU has no dead nets: no gradient is exactly zero",
        f"{zero:.1%} of nets with a zero gradient, {collapsed:.1%} collapsed",
        "none, and under 10 %",
        zero == 0 and collapsed < 0.10 if trained and knobs.slope >= 0.1 else None,
        "the slope is never 0, so no product of slopes is",
        notebook="0.2 % collapsed, of one net fitted 1000 times",
        hint="it takes a slope of 0.1 or more and independent nets",
    )


def _variance_test(found: Facts, decides: bool) -> Claim:
    collapsed, by_variance = found["collapsed_fraction"] or 0.0, found["collapsed_fraction_by_variance"] or 0.0
    apart = by_variance - collapsed
    return Claim(
        "The notebook's variance test takes nets for dead that are merely slow",
        f"{by_variance:.1%} by variance, {collapsed:.1%} by structure",
        "5 points more by variance, where nets are alive but flat",
        True if decides and apart >= 0.05 else None,
        "variance of 500 outputs ≤ 0.001 against a derivative that is exactly zero",
        notebook="its only test",
        hint='the two part where nets learn slowly: the preset "Leaky, two epochs"',
    )


def _depth_and_width(recording: Recording, decides: bool) -> Claim:
    chart = recording.picture("dead_by_depth")
    whole = chart is not None and bool(np.isfinite(chart).all())
    narrow, wide = (
        chart[WIDTHS.index(width)] if chart is not None and whole else np.zeros(DEPTHS) for width in (2, 10)
    )
    falls = chart is not None and bool((np.diff(chart[:, 8]) <= 0.02).all())
    return Claim(
        "Depth kills, width saves: the dead share rises with depth and falls with width",
        f"the chart's own nets, 9 hidden layers: {narrow[8]:.1%} at width 2, {wide[8]:.1%} at width 10"
        if whole
        else "",
        "rising with depth, falling with width, under 1 % at width 10 with a symmetric init",
        bool(falls and narrow[29] > narrow[8] > narrow[3] and wide[8] < 0.01) if decides and whole else None,
        LU + ", and 4,000 nets of this lesson: 0.1 % at width 10",
        hint="it takes ReLU and 500 nets or more",
    )


def _mean_only(knobs: ReluKnobs, found: Facts, decides: bool) -> Claim:
    loss, variance = found["median_loss[collapsed]"], _variance(knobs)
    steps = knobs.epochs * math.ceil(knobs.points / BATCH)
    # How far the output's bias can have come: Adam moves it by the rate itself, the others by a share of its error.
    shares = {"adam": 0.5, "sgd": 0.3, "momentum": 3.0, "nesterov": 3.0}
    arrived = steps * knobs.learning_rate * shares[knobs.optimizer] >= 1.0
    return Claim(
        "A collapsed net learns the mean and nothing else: its loss is the variance of the target",
        "" if loss is None else f"loss {loss:.4f}, variance {variance:.4f}",
        "equal within 5 %",
        abs(loss / variance - 1) < 0.05 if decides and loss is not None and arrived else None,
        "least squares with a constant",
        notebook="loss 0.576 to 0.577, which is Var |x| = 7/12 = 0.583 on its sample",
        hint="the output's bias needs time to reach the mean: momentum at a rate of 0.01, or 50 epochs of Adam",
    )


def cost(knobs: ReluKnobs) -> Cost:
    """Elementwise work on all nets' activations, and the fixed price of each layer's calls."""
    again = knobs.training != "independent nets"
    nets, epochs = (1, knobs.epochs * knobs.nets) if again else (knobs.nets, knobs.epochs)
    steps = epochs * math.ceil(knobs.points / BATCH)
    looks = 1 + min(epochs, FITS_SHOWN if again else epochs)
    work = nets * knobs.depth * knobs.width
    curved = {"tanh": 110.0, "elu": 300.0}.get(knobs.activation, 0.0)  # measured, as all of these
    numbers = work * (180.0 + 10.0 * knobs.width + curved) * (steps * BATCH + looks * (knobs.points + FINE + TESTS))
    births = min(knobs.nets, 1000) * DEPTHS * 200.0 * sum(width * (8.0 + width) for width in WIDTHS)
    calls = 14.0 * knobs.depth * (steps + 4 * looks) + 6.0 * DEPTHS * len(WIDTHS)
    held = 4.0 * work * 6 * knobs.points + 8.0 * knobs.nets * 16 * FINE * 4 + 5e7
    return Cost(0.0, numbers + births, calls, held)


def shrunk(knobs: ReluKnobs) -> ReluKnobs:
    """A few nets, one epoch of a few points: a moment of work, everything else as it was."""
    return knobs.model_copy(
        update={"nets": 20, "epochs": min(knobs.epochs, 1), "points": 128, "depth": min(knobs.depth, 4)}
    )


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    born, collapsed = found.get("born_dead_fraction"), found.get("collapsed_fraction")
    if born is None or collapsed is None:
        return None
    return f"{born:.0%} were dead at birth, before any training, and {collapsed:.0%} at the end."


PAPER = {"depth": 9, "width": 2, "nets": 1000, "epochs": 20}
NOTEBOOK_SETTINGS = {
    "depth": 10,
    "nets": 1000,
    "init": "glorot",
    "interval": "±√7",
    "optimizer": "nesterov",
    "learning_rate": 0.01,
    "epochs": 2,
}
PRESETS: Mapping[str, ReluKnobs] = {
    "Classroom": ReluKnobs(),
    "As the notebook ran it": ReluKnobs.parse({**NOTEBOOK_SETTINGS, "training": "one net, fitted again"}),
    "Done right": ReluKnobs.parse(PAPER),
    "Leaky, two epochs": ReluKnobs.parse({**NOTEBOOK_SETTINGS, "activation": "leaky relu"}),
    "Randomized asymmetric": ReluKnobs.parse({**PAPER, "init": "randomized asymmetric"}),
}

LESSON = Lesson(
    slug="dying-relu",
    prose=prose.of("dying-relu"),
    revision=1,
    knobs=ReluKnobs,
    presets=PRESETS,
    series=lambda knobs: ["all nets"],
    axes=lambda knobs: {"dead": {"series": COLLAPSED}, "loss": {"series": ("alive", "collapsed")}},
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="median_loss",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, Look, Fleet.backward),
)
