"""Why does a deep network stop learning, and is it the depth? (notebook 002, section 1)

Networks of several depths and of one width fit a function of one variable, side by side. Before training and during it
we look at the largest gradient of each layer: where every layer multiplies the error by the same factor, depth only
counts how often. The factor is the initialization's choice. The words are in `vanishing-gradients.md`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from core.charts import axis, chart, colour, level, profile
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Levels
from core.nets import ACTIVATIONS, INITS, Init, normal
from core.panels import COLOURS, DASHES, FAINT, Panel, Switch, reference
from core.result import Missing, Result
from core.traces import Heatmap
from core.training.fleet import Fleet
from core.training.gradients import Sizes, activity, gain, largest, measure, middle, padded, straight

POINTS = 50  # as the notebook; its function is an image, so ours is our choice
INTERVAL = 2.0  # x is uniform on ±2, as the notebook
NOISE = 0.1
KERAS_EPSILON = 1e-7
LEARNING_RATE = 0.001  # Adam's default, full batch, as the notebook's other cells
BIRTHS = 20  # untrained networks, of each depth and of each recipe; the first of them are trained
FRAMES = 50
GRID = 61  # points of the interval on which functions are drawn
SHOWN = 5  # networks of each depth that are drawn: the first ones, not chosen ones
UNITS_SHOWN = 32  # units of each layer whose activations are counted, likewise
FLOOR = 1e-20  # where a gradient of zero is drawn on a logarithmic axis
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NAIVE_SD = 0.05  # Keras' `RandomNormal`
NAIVE_GAIN = 0.2  # √(32 · 0.05² / 2)
CRITICAL = 15  # hidden layers of the notebook's network that "totally failed"
LEARNED, FAILED = 0.05, 0.95  # MSE over variance: below it a network has learned, above it it predicts the mean
KEPT = (0.02, 20.0)  # by what 15 layers may multiply an error that they pass on
KEPT_GAIN = (KEPT[0] ** (1 / CRITICAL), KEPT[1] ** (1 / CRITICAL))  # that is 0.77 … 1.22 for each layer
DEVIATIONS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
SWEPT = ("sigmoid", "tanh", "relu")  # activations whose gain is measured at each of them
# Largest gradient by layer of the notebook's network with 15 hidden layers, after it was fitted.
NOTEBOOK_GRADIENTS = (
    8.619981e-11, 7.4668494e-11, 5.555045e-10, 1.1582649e-09, 1.0108434e-08, 7.581418e-08, 3.8226204e-07, 3.2883786e-06,
    2.7240822e-05, 0.00021533686, 0.0004904665, 0.004181428, 0.02815935, 0.1306683, 0.8350754, 5.0867157,
)  # fmt: skip
HE = "He et al. 2015, arXiv 1502.01852"
ADAM = "Kingma & Ba 2015, arXiv 1412.6980: a step is the rate times gradient over its size plus ε"


class GradientKnobs(Knobs):
    """Hyper-parameters."""

    depths: tuple[int, ...] = knob((5, 10, 15), "hidden layers: networks of each depth train side by side", 2, 50, stops=(2, 5, 10, 13, 14, 15, 20, 30, 50), shown=True)  # fmt: skip
    init: Literal["normal", "glorot", "he", "lecun", "orthogonal", "orthogonal √2", "pytorch"] = knob("normal", "how weights are initialized; normal has one standard deviation for every layer and its biases, as the notebook", label="initialization", shown=True)  # fmt: skip
    init_sd: float = knob(0.05, "standard deviation of normal: at width 32, 0.05 divides ReLU's gradient by five in each layer, 0.25 keeps it, 0.5 doubles it", 0.01, 0.5, label="standard deviation of normal", stops=(0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5), shown=True)  # fmt: skip
    activation: Literal["sigmoid", "tanh", "relu", "selu"] = knob("relu", "what a unit makes of its weighted sum; its slope multiplies the gradient", shown=True)  # fmt: skip
    width: int = knob(32, "units in each hidden layer", 8, 256, stops=(8, 16, 32, 64, 128, 256))
    batch_norm: bool = knob(False, "brings every unit to mean 0 and variance 1 over the examples, whatever the weights")
    residual: bool = knob(False, "each layer adds to its input instead of replacing it: the gradient has a shortcut")
    epochs: int = knob(500, "steps of Adam on all examples; 0 looks at the initialization alone", 0, 5000, stops=(0, 100, 200, 500, 1000, 2000, 5000))  # fmt: skip
    epsilon: float = knob(KERAS_EPSILON, "what Adam adds before it divides a gradient by its size, after the bias correction, as PyTorch: gradients far below it move nothing; Keras writes 1e-7, PyTorch 1e-8", 1e-16, 1e-4, label="Adam's ε", stops=(1e-16, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-4))  # fmt: skip
    seeds: int = knob(5, "networks of each depth that differ in their initialization alone", 1, 20, stops=(1, 3, 5, 10, 20))  # fmt: skip
    seed: int = SEED


@dataclass(frozen=True)
class Recipe:
    """One way to initialize a network, in the chart of all of them."""

    name: str
    init: Init
    activation: str


NAIVE = Recipe("N(0, 0.05²), ReLU", normal(NAIVE_SD, biases=True), "relu")
NO_BIASES = Recipe("the same, biases 0", normal(NAIVE_SD), "relu")
HE_RELU = Recipe("He, ReLU", INITS["he"], "relu")
KEEPERS = (
    HE_RELU,
    Recipe("orthogonal × √2, ReLU", INITS["orthogonal √2"], "relu"),
    Recipe("Glorot, tanh", INITS["glorot"], "tanh"),
    Recipe("LeCun, SELU", INITS["lecun"], "selu"),
)
OTHERS = (
    Recipe("Glorot, sigmoid", INITS["glorot"], "sigmoid"),
    Recipe("PyTorch, ReLU", INITS["pytorch"], "relu"),
    Recipe("orthogonal, ReLU", INITS["orthogonal"], "relu"),
)
RECIPES = (NAIVE, NO_BIASES, *KEEPERS, *OTHERS)

lesson = Lesson(
    "vanishing-gradients",
    GradientKnobs,
    revision=2,  # since then ReLU has its √2 with orthogonal weights, and errors are measured for every recipe
    axis="epoch",
    length="epochs",
    series=lambda knobs: [f"depth={depth}" for depth in knobs.depths],
    curves=[Curve("relative_mse", "MSE over variance", log=True, events=[Diverges, Levels], fact=False)],
    tables=[
        Table("birth", "sizes of weights' gradients and of errors before training", ("what", "series", "layer")),
        Table("birth_ratio", "first to last gradient before training", ("series",)),
        Table("recipes", "largest gradient by layer of untrained networks", ("recipe", "layer")),
        Table("recipe_ratio", "first to last gradient of untrained networks", ("recipe",)),
        Table("recipe_gain", "factor by which a layer multiplies the error", ("recipe",)),
        Table("deviation_gain", "the same by standard deviation", ("activation", "standard deviation")),
    ],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(depths=(13, 14, 15), epochs=1000, seeds=1),
        "Done right": dict(depths=(5, 15, 30, 50), init="he", epochs=1000),
        "Luck of the initialization": dict(depths=(11, 12, 13, 14), epochs=1000, seeds=20),
        "PyTorch's default": dict(depths=(10, 15, 30), init="pytorch", epsilon=1e-8),
        "Adam without its ε": dict(epsilon=1e-16, epochs=1000),
        "Batch norm": dict(depths=(5, 15, 30), batch_norm=True),
        "Residual": dict(depths=(5, 15, 50), residual=True),
        "Orthogonal × √2": dict(depths=(5, 15, 50), init="orthogonal √2"),
        "Orthogonal without √2": dict(depths=(5, 15, 50), init="orthogonal"),
        "Sigmoid": dict(activation="sigmoid", init_sd=0.25),
        "Tanh": dict(activation="tanh", init_sd=0.2),
    },
    small=dict(depths=(5, 10), width=8, seeds=2, epochs=3),
    repeats="net",
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def moments(knobs: GradientKnobs) -> list[int]:
    """Return the epochs after which the networks are looked at."""
    return sorted({round(share * knobs.epochs / FRAMES) for share in range(FRAMES + 1)})


def evenly(device: torch.device) -> torch.Tensor:
    """Return the interval in even steps, (points, 1)."""
    return torch.linspace(-INTERVAL, INTERVAL, GRID, device=device).unsqueeze(1)


def sample(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the examples, (points, 1) each: a sine with noise."""
    rng = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(POINTS, 1, generator=rng) - 1) * INTERVAL
    return x, truth(x) + NOISE * torch.randn(POINTS, 1, generator=rng)


def truth(x: torch.Tensor) -> torch.Tensor:
    """Return the function behind the examples."""
    return torch.sin(2 * x)


def fleet(knobs: GradientKnobs, depth: int, nets: int, device: torch.device, dtype: torch.dtype) -> Fleet:
    """Return fresh networks of one depth. Deeper ones begin with the same layers: depth alone sets them apart."""
    init = normal(knobs.init_sd, biases=True) if knobs.init == "normal" else INITS[knobs.init]
    made = Fleet(
        nets, (1, *[knobs.width] * depth, 1), activation=ACTIVATIONS[knobs.activation], batch_norm=knobs.batch_norm,
        residual=knobs.residual, device=device, dtype=dtype,
    )  # fmt: skip
    made.initialise(init, knobs.seed)
    return made


@lesson.experiment
def train(knobs: GradientKnobs, device: torch.device) -> Iterator[Frame]:
    """Look at many untrained networks of each depth, then train some of them: full batch, all depths side by side."""
    x, y = (each.to(device) for each in sample(knobs.seed))  # (points, 1)
    fleets = [fleet(knobs, depth, knobs.seeds, device, torch.float32) for depth in knobs.depths]
    optimizers = [nets.optimizer("adam", LEARNING_RATE) for nets in fleets]
    for optimizer in optimizers:
        optimizer.param_groups[0]["eps"] = knobs.epsilon
    look = Look(knobs, fleets, x, y)
    for epoch in range(knobs.epochs + 1):
        if epoch > 0:
            for optimizer in optimizers:
                optimizer.step()
        losses = [nets.backward(x, y) for nets in fleets]  # (seeds,) each; the gradients stay in the fleets
        if epoch in look.moments:
            yield look.frame(epoch, losses)
        if epoch == 0:
            yield Frame(0, pictures=at_birth(knobs))
            yield Frame(0, pictures=recipes(knobs))
            yield Frame(0, pictures={"deviation_gain": deviations(knobs)})


def at_birth(knobs: GradientKnobs) -> dict[str, Array]:
    """Return gradients before training, in float64, where 0.2⁵⁰ is still told from 0.

    Returns:
        "birth": weights' and errors' sizes by depth and layer (2, depths, layers), nan beyond a network's last layer;
        "birth_ratio" (depths,); "birth_fit": the straight line through the weights' sizes, (depths, layers).
    """
    every = [fleet(knobs, depth, BIRTHS, torch.device("cpu"), torch.float64) for depth in knobs.depths]
    born = [measure(nets, *sample(knobs.seed)) for nets in every]
    drawn = np.stack([padded([s.weights for s in born]), padded([s.errors for s in born])])
    fits = padded([straight(s.weights) for s in born])
    return {
        "birth": drawn,
        "birth_ratio": np.array([s.ratio for s in born]),
        "birth_fit": np.where((fits > FLOOR) & (fits < 1 / FLOOR), fits, np.nan).astype("f4"),
    }


def untrained(recipe: Recipe, knobs: GradientKnobs) -> Sizes:
    """Return the gradients of networks with the notebook's 15 layers and this run's width, by one recipe."""
    sizes = (1, *[knobs.width] * CRITICAL, 1)
    nets = Fleet(BIRTHS, sizes, activation=ACTIVATIONS[recipe.activation], dtype=torch.float64)
    nets.initialise(recipe.init, knobs.seed)
    return measure(nets, *sample(knobs.seed))


def recipes(knobs: GradientKnobs) -> dict[str, Array]:
    """Return gradients of untrained networks for every recipe: (recipes, layers), and two numbers of each (recipes,)."""
    born = [untrained(recipe, knobs) for recipe in RECIPES]
    gains = np.array([gain(sizes.errors, skip=0) for sizes in born], dtype=float)
    ratios = np.array([sizes.ratio for sizes in born])
    return {"recipes": np.stack([s.weights for s in born]), "recipe_ratio": ratios, "recipe_gain": gains}


def deviations(knobs: GradientKnobs) -> Array:
    """Return by what a layer multiplies the error where weights and biases are N(0, sd²): (activations, deviations)."""
    each = [[untrained(Recipe("", normal(sd, biases=True), name), knobs) for sd in DEVIATIONS] for name in SWEPT]
    return np.array([[gain(sizes.errors, skip=0) for sizes in row] for row in each], dtype=float)


class Look:
    """What is drawn of the networks at one moment. It changes nothing about them."""

    def __init__(self, knobs: GradientKnobs, fleets: list[Fleet], x: torch.Tensor, y: torch.Tensor) -> None:
        self.knobs, self.fleets, self.x = knobs, fleets, x
        self.variance = float(y.double().var(correction=0))
        self.moments = moments(knobs)
        self.grid = evenly(x.device)
        self.deepest = int(np.argmax(knobs.depths))
        self.history = np.full((max(knobs.depths) + 1, len(self.moments)), np.nan, dtype="f4")

    def frame(self, epoch: int, losses: list[torch.Tensor]) -> Frame:
        """Return everything that the charts show after `epoch` steps."""
        floored = [np.maximum(middle(largest(nets)), FLOOR) for nets in self.fleets]
        self.history[:, self.moments.index(epoch)] = np.log10(floored[self.deepest]).astype("f2")
        return Frame(
            epoch,
            {"relative_mse": np.stack([loss.double().cpu().numpy() for loss in losses]) / self.variance},
            {
                "gradients": padded(floored).astype("f4"),
                "history": self.history,
                "functions": np.stack([self.functions(nets) for nets in self.fleets]),
                "activations": activity(self.fleets[self.deepest], self.x, SHOWN, UNITS_SHOWN, QUANTILES),
            },
            epoch / self.knobs.epochs if self.knobs.epochs else 1.0,
        )

    def functions(self, nets: Fleet) -> Array:
        """Return the first networks' outputs on the grid, a gap after each, (shown · (grid + 1),)."""
        outputs = nets.forward(self.grid).squeeze(2)[:SHOWN].float().cpu().numpy()  # (shown, grid)
        drawn = np.clip(outputs, -9, 9)  # far outside the chart; and half a float's digits, which pack well
        return np.pad(drawn, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype("f2").astype("f4")


lesson.shown(train, fleet, gain, Look, Fleet.backward)


@lesson.cost
def cost(knobs: GradientKnobs) -> Cost:
    """Matrix products, elementwise work and calls of every step; the untrained networks, in double precision.

    A small product runs at about half the speed of the large one that is measured: 11 where arithmetic says 6.
    """
    looks, total, held = len(moments(knobs)), Cost(0.0, 0.0, 0.0, 0.0), 5e7
    trained = [(depth, knobs.seeds, knobs.epochs + 1, 1.0) for depth in knobs.depths]
    others = [CRITICAL] * (len(RECIPES) + len(SWEPT) * len(DEVIATIONS))
    newborn = [(depth, BIRTHS, 1, 4.0) for depth in (*knobs.depths, *others)]
    for depth, nets, steps, work in trained + newborn:
        weights = nets * (depth - 1) * knobs.width**2
        units = nets * depth * knobs.width * POINTS
        extra = 1 + 1.5 * knobs.batch_norm + 0.5 * knobs.residual
        numbers = steps * (12.0 * weights + 14.0 * units * extra) + 25.0 * weights
        calls = steps * depth * (14.0 + 14.0 * knobs.batch_norm + 4.0 * knobs.residual)
        here = 26.0 * weights + 24.0 * units if work > 1 else 0.0  # gone when the next are born
        held += 20.0 * weights + 8.0 * units if work == 1 else 0.0  # as long as the run
        total += Cost(11.0 * work * steps * weights * POINTS, work * numbers, calls, here)
    numbers = 600.0 * looks * max(knobs.depths) * SHOWN * POINTS * min(knobs.width, UNITS_SHOWN)
    return total + Cost(0.0, numbers, 60.0 * looks * sum(knobs.depths), held + total.bytes)


# ---- charts --------------------------------------------------------------------------------------------------------


def by_layer(layers: int) -> dict[str, Any]:
    """Return the axis of a chart of layers."""
    return axis("layer, from the input", range=(0.5, layers + 0.5))


def drawn(table: str, row: int | None, x: Any, name: str, number: int, mode: str = "lines", **style: Any) -> Switch:
    """Return a line in the colour and dash of the series of that number, with its name at its end."""
    line = {"dash": DASHES[number % len(DASHES)], **style.pop("line", {})}
    return profile(table, row, x, name, colour(number), mode=mode, line=line, marker={"size": 5}, **style)


@lesson.charts
def charts(knobs: GradientKnobs) -> Iterator[Panel]:
    """Gradients by layer, now and over time; loss, functions and activations; all recipes, and standard deviations."""
    sizes = axis("largest |gradient|", log=True, dtick=3)
    names, deepest = lesson.series(knobs), max(knobs.depths)
    theirs = [reference(list(range(1, 17)), NOTEBOOK_GRADIENTS, "notebook: 15 layers, fitted", mode="lines+markers")] if CRITICAL in knobs.depths else []  # fmt: skip
    lines = []
    for i, (depth, name) in enumerate(zip(knobs.depths, names, strict=True)):
        layers = np.arange(1, depth + 2)
        fit: dict[str, Any] = {
            "line": {"width": 1, "dash": "dot"},
            "meta": {},
            "legendgroup": "fit",
            "showlegend": i == 0,
        }
        lines += [drawn("birth_fit", i, layers, "straight line at initialization", i, **fit), drawn("gradients", i, layers, name, i, "lines+markers")]  # fmt: skip
    yield chart(
        "Gradient by layer", "Largest gradient of a weight in each layer, now; the median over the initializations. The dotted lines are fits to the gradients before training: their slope is the factor per layer.",
        [*theirs, *lines], x=by_layer(deepest + 1), y=sizes,
    )  # fmt: skip
    yield _history_panel(knobs)
    epochs = max(1, knobs.epochs)
    yield lesson.line_chart(
        knobs, "relative_mse", "Mean squared error on the examples, over the variance of their targets: at 1 a network predicts the mean. The band is the range over the initializations.",
        name="Loss", y="MSE / variance", xaxis={"range": [0, epochs]}, yaxis={"dtick": None},
        extra=[level(1.0, 0, epochs, "predicts the mean"), level(LEARNED, 0, epochs, f"has learned, below {LEARNED:g}", line={"color": FAINT, "width": 1})],
    )  # fmt: skip
    grid = evenly(torch.device("cpu"))
    xs, wanted, x, y = (each.squeeze(1).tolist() for each in (grid, truth(grid), *sample(knobs.seed)))
    tiled = np.tile([*xs, np.nan], min(SHOWN, knobs.seeds))
    yield chart(
        "What they have learned", f"The functions of the first {SHOWN} networks of each depth: one that its gradients do not reach draws the mean.",
        [
            reference(xs, wanted, "truth", line={"color": FAINT, "width": 4}),
            reference(x, y, "examples", mode="markers", marker={"color": FAINT, "size": 5}),
            *(drawn("functions", i, tiled, name, i, line={"width": 1.5}) for i, name in enumerate(names)),
        ],
        x=axis("x", range=(-INTERVAL, INTERVAL)), y=axis("output", range=(-1.9, 1.9)),
    )  # fmt: skip
    yield _activation_panel(knobs)
    layers = np.arange(1, CRITICAL + 2)
    yield chart(
        f"Other recipes, {CRITICAL} layers at initialization", f"Largest gradient of a weight in each layer of untrained networks with {CRITICAL} hidden layers of {knobs.width} units, the median of {BIRTHS}. A slope is a gain other than 1; a flat line may be a gain of 1, or errors and activations that vanish alike.",
        [drawn("recipes", i, layers, recipe.name, 4 + i) for i, recipe in enumerate(RECIPES)], x=by_layer(CRITICAL + 1), y=sizes,
    )  # fmt: skip
    yield chart(
        "Gain by standard deviation", f"The factor by which each of {CRITICAL} untrained layers of {knobs.width} units multiplies the error, where weights and biases are normal with this standard deviation: below 1 gradients vanish, above 1 they explode.",
        [level(1.0, DEVIATIONS[0], DEVIATIONS[-1], "keeps the error"), *(drawn("deviation_gain", i, DEVIATIONS, name, i, "lines+markers") for i, name in enumerate(SWEPT))],
        x=axis("standard deviation", log=True, ticks=(0.01, 0.05, 0.1, 0.25, 0.5), range=(0.009, 0.55)), y=axis("factor per layer", log=True),
    )  # fmt: skip


def _history_panel(knobs: GradientKnobs) -> Panel:
    deepest, columns = max(knobs.depths), moments(knobs)
    powers = range(-12, 3, 2)
    bar = {"tickvals": list(powers), "ticktext": [f"10<sup>{power}</sup>" for power in powers], "thickness": 12, "outlinewidth": 0}  # fmt: skip
    heat = Heatmap(
        x=columns, y=np.arange(1, deepest + 2), z=np.full((deepest + 1, len(columns)), np.nan), colorscale="Viridis", colorbar=bar,
        name="log₁₀ of the largest |gradient|", zmin=powers[0], zmax=powers[-1], hovertemplate="epoch %{x}, layer %{y}: 10^%{z:.1f}<extra></extra>",
    )  # fmt: skip
    half = max(1, knobs.epochs) / max(1, len(columns) - 1) / 2
    return chart(
        f"Gradient over time, {deepest} layers", "The same for the deepest networks, layer by layer as they train: dark layers receive next to nothing.",
        [Switch(heat, {"z": "history"})], legend=False,
        x=axis("epochs", range=(-half, columns[-1] + half)), y=axis("layer, from the input", range=(0.5, deepest + 1.5)),
    )  # fmt: skip


def _activation_panel(knobs: GradientKnobs) -> Panel:
    deepest = max(knobs.depths)
    number, layers = knobs.depths.index(deepest), np.arange(1, deepest + 1)
    red, green, blue = (int(COLOURS[number % len(COLOURS)][i : i + 2], 16) for i in (1, 3, 5))
    traces = []
    for i, opacity in enumerate((0.0, 0.12, 0.3, 0.3, 0.12)):  # the band up to each quantile
        fill: dict[str, Any] = (
            {"fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},{opacity})"} if i > 0 else {}
        )
        edge: dict[str, Any] = {"line": {"width": 0}, "meta": {}, "showlegend": False, "hoverinfo": "skip"}
        if QUANTILES[i] == 0.5:
            traces.append(drawn("activations", i, layers, "median", number, line={"dash": "solid"}, **fill))
        else:
            traces.append(drawn("activations", i, layers, f"{QUANTILES[i]:.0%}", number, **edge, **fill))
    moved = drawn("activations", len(QUANTILES), layers, "moved by x", number, "lines+markers", line={"color": FAINT, "dash": "dash"})  # fmt: skip
    return chart(
        f"Activations, {deepest} layers", "What the units of each layer put out: the middle 50 % and 90 %, and how far a unit moves as x runs over the examples. Where that is 0 the layer has forgotten its input.",
        [*traces, moved], x=by_layer(deepest), y="activation",
    )  # fmt: skip


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[GradientKnobs]) -> Iterator[Fact]:
    """Yield, the shallowest depth first, the gradients before training and what the trained networks came to."""
    knobs, pictures, errors = result.knobs, result.recording.pictures, result.last("relative_mse")  # (depths, seeds)
    for i in np.argsort(knobs.depths):
        name = result.series[i]
        if "birth" in pictures:
            layers, birth = knobs.depths[i] + 1, result.table("birth")
            yield Fact("first_to_last_gradient", name, result.table("birth_ratio")[i])
            yield Fact("gain_per_layer", name, gain(birth[0, i, :layers]))
            yield Fact("error_gain_per_layer", name, gain(birth[1, i, :layers], skip=0))
        yield Fact("relative_mse", name, float(np.median(errors[i])), errors[i])
        yield Fact("learned", name, float((errors[i] < LEARNED).mean()))
        yield Fact("predicts_the_mean", name, float((errors[i] > FAILED).mean()))
    if "recipe_ratio" in pictures:
        for name, table in (("first_to_last_gradient", "recipe_ratio"), ("error_gain_per_layer", "recipe_gain")):
            yield from (Fact(name, recipe.name, value) for recipe, value in zip(RECIPES, result.table(table), strict=True))  # fmt: skip
    if "deviation_gain" in pictures:
        for activation, row in zip(SWEPT, result.table("deviation_gain"), strict=True):
            yield from (Fact("error_gain_per_layer", f"{activation}, sd={sd:g}", value) for sd, value in zip(DEVIATIONS, row, strict=True))  # fmt: skip


def theoretical_gain(knobs: GradientKnobs) -> float | None:
    """√(width · Var(w) / 2), by which a layer of ReLU multiplies the error's root mean square; None for other layers."""
    if knobs.activation != "relu" or knobs.batch_norm or knobs.residual:
        return None
    one = 1 / knobs.width
    variances = {"he": 2 * one, "glorot": one, "lecun": one, "orthogonal": one, "orthogonal √2": 2 * one, "pytorch": one / 3}  # fmt: skip
    return math.sqrt(knobs.width * variances.get(knobs.init, knobs.init_sd**2) / 2)


# ---- claims --------------------------------------------------------------------------------------------------------

NOTEBOOK_WIDTH = Needs.settings("width 32, which the notebook has", width=32)
FIVE, LONG = Needs.at_least("seeds", 5), Needs.at_least("epochs", 500)
PLAIN = dict(activation="relu", batch_norm=False, residual=False)


def gains(result: Result[GradientKnobs], recipes: tuple[Recipe, ...]) -> dict[str, float]:
    """Return by what a layer multiplies the error, by recipe."""
    return {recipe.name: result.fact("error_gain_per_layer", recipe.name) for recipe in recipes}


def spell(numbers: dict[str, float]) -> str:
    """Spell numbers by name."""
    return "; ".join(f"{name}: {number:.3g}" for name, number in numbers.items())


def is_fifth(factor: float) -> bool:
    """Return whether a factor's logarithm is within a tenth of that of the notebook's 0.2."""
    return abs(math.log(factor) / math.log(NAIVE_GAIN) - 1) < 0.1


@lesson.claim(
    "It is the initialization: of 15 layers, each divides the error by five from N(0, 0.05²), and passes it on from He's",
    expected=f"N(0, 0.05²): logarithm within 10 % of ln {NAIVE_GAIN}; He: {KEPT_GAIN[0]:.2f} … {KEPT_GAIN[1]:.2f}, which is {KEPT[0]:g} … {KEPT[1]:g} over 15 layers",
    source=f"√(32 · 0.05² / 2) = 0.2 and √(32 · (2/32) / 2) = 1, {HE}", needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def initialization_decides(result: Result[GradientKnobs]) -> Check:
    """The lesson's own question."""
    found = gains(result, (NAIVE, HE_RELU))
    naive, he = found.values()
    return Check(spell(found), is_fifth(naive) and KEPT_GAIN[0] <= he <= KEPT_GAIN[1])


@lesson.claim(
    "In 15 layers of ReLU that start from N(0, 0.05²), the first layer's gradient is next to nothing beside the last's",
    expected="under 1e-8", source="0.2¹⁵ = 3.3e-11, times what the first and the last layer do by their shapes",
    notebook="1.7e-11, of one fitted network", needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def next_to_nothing(result: Result[GradientKnobs]) -> Check:
    """The notebook's observation."""
    ratio = result.fact("first_to_last_gradient", NAIVE.name)
    return Check(f"{ratio:.1e}, the median of {BIRTHS} untrained networks", ratio < 1e-8)


@lesson.claim(
    "The gradients of its weights fall by the same fifth from layer to layer",
    expected=f"logarithm within 10 % of ln {NAIVE_GAIN} = {math.log(NAIVE_GAIN):.3f}", source=HE,
    notebook="0.164 by the same fit to its numbers, after training; 0.191 from end to end", needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def fifth_per_layer(result: Result[GradientKnobs]) -> Check:
    """The slope of the chart."""
    factor = gain(result.table("recipes")[RECIPES.index(NAIVE)])
    if factor is None:
        raise Missing("gradient in every layer")
    return Check(f"{factor:.3f} per layer, its logarithm {math.log(factor):.3f}", is_fifth(factor))


@lesson.claim(
    "Initializations that fit their activation pass the error on through 15 layers",
    expected=f"each layer multiplies it by {KEPT_GAIN[0]:.2f} … {KEPT_GAIN[1]:.2f}: by {KEPT[0]:g} … {KEPT[1]:g} in all",
    source="He et al. 2015; Glorot & Bengio 2010; Klambauer et al. 2017; Saxe et al. 2014, times ReLU's √2", needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def keepers(result: Result[GradientKnobs]) -> Check:
    """Judged by errors: the ratio of gradients can deceive."""
    found = gains(result, KEEPERS)
    return Check(spell(found), all(KEPT_GAIN[0] <= each <= KEPT_GAIN[1] for each in found.values()))


@lesson.claim(
    "PyTorch's default, Glorot's under a sigmoid and orthogonal weights without ReLU's √2 make it vanish",
    expected=f"each layer multiplies it by less than {KEPT_GAIN[0]:.2f}",
    source="gains of √(1/6) = 0.41, since nn.Linear draws with variance 1/(3 fan_in), of at most 1/4, the sigmoid's steepest slope, and of √(1/2) = 0.71",
    needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def others(result: Result[GradientKnobs]) -> Check:
    """What does not fit."""
    found = gains(result, OTHERS)
    return Check(spell(found), all(each < KEPT_GAIN[0] for each in found.values()))


@lesson.claim(
    "The ratio alone can deceive: without biases the same bad initialization has a ratio near 1, since all gradients are equally tiny",
    expected=f"ratio within {KEPT[0]:g} … {KEPT[1]:g}, every gradient under 1e-6",
    source="Euler's theorem: a ReLU network without biases is homogeneous in the weights of each of its layers", needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def blind_ratio(result: Result[GradientKnobs]) -> Check:
    """Why the other claims go by the errors."""
    ratio, top = result.fact("first_to_last_gradient", NO_BIASES.name), float(result.table("recipes")[RECIPES.index(NO_BIASES)].max())  # fmt: skip
    said = f"ratio {ratio:.2g}, largest gradient of any layer {top:.1e}"
    return Check(said, KEPT[0] <= ratio <= KEPT[1] and top < 1e-6)


@lesson.claim(
    "A sigmoid makes the error vanish at every standard deviation; tanh only at small ones",
    expected="sigmoid: a factor under 1 at each of 0.01 … 0.5; tanh: under 1 at 0.05, over 1 at 0.5",
    source="√32 · sd bounds tanh's factor, a quarter of that the sigmoid's; beyond sd = 1/√32 = 0.18 tanh is chaotic: Poole et al. 2016, arXiv 1606.05340",
    needs=[NOTEBOOK_WIDTH], early=True,
)  # fmt: skip
def saturating(result: Result[GradientKnobs]) -> Check:
    """Notebook 001, part 2, question 1."""
    sigmoid, tanh, _ = result.table("deviation_gain")
    small, large = tanh[DEVIATIONS.index(0.05)], tanh[DEVIATIONS.index(0.5)]
    said = f"sigmoid: {sigmoid.max():.3f} at most; tanh: {small:.3f} and {large:.3f}"
    return Check(said, bool(sigmoid.max() < 1 and small < 1 < large))


@lesson.claim(
    "The standard deviation of the weights alone sets the factor by which a layer of ReLU multiplies the error",
    expected="√(width · Var(w) / 2), within 10 %", source=HE, early=True,
    needs=[Needs.settings("plain ReLU layers", **PLAIN), Needs("10 layers or more", lambda knobs: max(knobs.depths) >= 10), Needs.at_least("width", 32)],
)  # fmt: skip
def theory(result: Result[GradientKnobs]) -> Check:
    """The closed form, on this run's own networks."""
    depth, wanted = max(result.knobs.depths), theoretical_gain(result.knobs)
    measured = result.fact("error_gain_per_layer", f"depth={depth}")
    if wanted is None:
        return Check(f"{measured:.3f} per layer, {depth} layers", None)
    return Check(f"{measured:.3f} per layer, {depth} layers; theory {wanted:.3f}", abs(measured / wanted - 1) < 0.1)


def errors_at(result: Result[GradientKnobs], depth: int) -> Array:
    """Return MSE over variance of each network of a depth, (seeds,)."""
    return result.samples("relative_mse", f"depth={depth}")


def tally(result: Result[GradientKnobs], depth: int) -> str:
    """Spell how many networks of a depth have learned and how many predict the mean."""
    errors = errors_at(result, depth)
    return f"{depth} layers: of {len(errors)} networks {(errors < LEARNED).sum()} learned, {(errors > FAILED).sum()} at the mean"


def learns(sentence: str, depth: int, source: str, shown: Callable[[GradientKnobs], bool], notebook: str = "", below: float = math.inf) -> None:  # fmt: skip
    """Claim that every network of a depth learns, where its first to last gradient is `below` that."""

    @lesson.claim(
        sentence, expected=f"MSE over variance under {LEARNED} in every network" + (f", first to last gradient under {below:g}" if below < math.inf else ""),
        source=source, notebook=notebook, shown=shown, needs=[NOTEBOOK_WIDTH, FIVE, LONG, Needs.among("depths", depth)],
    )  # fmt: skip
    def every_one(result: Result[GradientKnobs]) -> Check:
        ratio = result.fact("first_to_last_gradient", f"depth={depth}") if below < math.inf else 0.0
        said = tally(result, depth) + (f"; first to last gradient {ratio:.1e}" if below < math.inf else "")
        return Check(said, bool((errors_at(result, depth) < LEARNED).all()) and ratio < below)


def at_mean(sentence: str, depth: int, source: str, shown: Callable[[GradientKnobs], bool], notebook: str = "", needs: tuple[Needs, ...] = ()) -> None:  # fmt: skip
    """Claim that nearly every network of a depth stays at the mean."""

    @lesson.claim(
        sentence, expected=f"MSE over variance above {FAILED} in at least four of five networks", source=source, notebook=notebook,
        shown=shown, needs=[NOTEBOOK_WIDTH, FIVE, LONG, Needs.among("depths", depth), *needs],
    )  # fmt: skip
    def four_of_five(result: Result[GradientKnobs]) -> Check:
        return Check(tally(result, depth), bool((errors_at(result, depth) > FAILED).mean() >= 0.8))


def starts(init: str, **others: Any) -> Callable[[GradientKnobs], bool]:
    """Return a test for ReLU networks of one initialization, plain but for what is given."""
    sd = {"init_sd": NAIVE_SD} if init == "normal" else {}
    return lambda knobs: knobs.matches({**PLAIN, **sd, "init": init, **others})


naive = starts("normal")
at_mean("So started, networks of 15 layers learn the mean and nothing else", CRITICAL, "the notebook's settings, replicated at eight seeds: 158 of 160 networks", naive, "“Estimation has totally failed”, of one network", (Needs.at_least("epsilon", KERAS_EPSILON),))  # fmt: skip
learns("The same initialization does no harm to 5 layers: 0.2⁵ is small, 0.2¹⁵ is nothing", 5, "this lesson's networks", naive)  # fmt: skip
learns("From He's initialization networks of 15 layers learn, every one", CRITICAL, HE, starts("he"), "never tried: “Why?” is its last word")  # fmt: skip
learns("Orthogonal weights times ReLU's √2 learn at 50 layers", 50, "Saxe et al. 2014, arXiv 1312.6120; √2 is PyTorch's calculate_gain('relu')", starts("orthogonal √2"))  # fmt: skip
at_mean("Orthogonal weights without the √2 do not learn at 50 layers", 50, "0.71⁵⁰ = 3e-8; a recomputation: none of 5", starts("orthogonal"))  # fmt: skip
learns("A first layer's gradient below a ten-thousandth of the last's can still teach: Adam divides it by its size", CRITICAL, ADAM, starts("pytorch"), below=1e-4)  # fmt: skip
learns("Batch norm makes the initialization not matter: networks of 15 layers learn from N(0, 0.05²)", CRITICAL, "Ioffe & Szegedy 2015, arXiv 1502.03167", starts("normal", batch_norm=True))  # fmt: skip
learns("With a shortcut around each layer networks of 50 layers learn from the same initialization", 50, "He et al. 2016, arXiv 1512.03385", starts("normal", residual=True))  # fmt: skip


@lesson.claim(
    "Batch norm trades vanishing for exploding: at initialization gradients now grow towards the input",
    expected="first to last gradient over 10, in 15 layers or more", source="Yang et al. 2019, arXiv 1902.08129: gradients grow exponentially with depth",
    needs=[NOTEBOOK_WIDTH, Needs("15 layers or more", lambda knobs: max(knobs.depths) >= CRITICAL)], shown=lambda knobs: knobs.batch_norm, early=True,
)  # fmt: skip
def norm_explodes(result: Result[GradientKnobs]) -> Check:
    """The price."""
    depth = max(result.knobs.depths)
    ratio = result.fact("first_to_last_gradient", f"depth={depth}")
    return Check(f"{ratio:.3g}, {depth} layers", ratio > 10)


@lesson.claim(
    "Around 12 layers the random seed decides: of networks of one depth some learn, others do not",
    expected=f"a depth with networks below {LEARNED} and networks above {FAILED}, of twenty",
    source="the notebook's settings, replicated with twenty initializations",
    notebook="13 layers “not too bad”, 14 “definitely worse”, 15 “totally failed”: one network each", shown=naive,
    needs=[NOTEBOOK_WIDTH, Needs.at_least("seeds", 20), Needs.at_least("epochs", 1000), Needs.among("depths", 11, 12, 13)],
)  # fmt: skip
def luck(result: Result[GradientKnobs]) -> Check:
    """One network of each depth is no comparison."""
    depths = sorted(result.knobs.depths)
    errors = [errors_at(result, depth) for depth in depths]
    both = any((each < LEARNED).any() and (each > FAILED).any() for each in errors)
    return Check("; ".join(tally(result, depth) for depth in depths), both)


@lesson.claim(
    "What stops Adam is its ε: without it not one network of 15 layers is left at the mean",
    expected=f"MSE over variance above {FAILED} in no network, from the same initialization", source=ADAM, shown=naive,
    needs=[NOTEBOOK_WIDTH, FIVE, LONG, Needs.among("depths", CRITICAL), Needs.at_most("epsilon", 1e-15)],
)  # fmt: skip
def epsilon(result: Result[GradientKnobs]) -> Check:
    """The gradients are small, not zero."""
    return Check(tally(result, CRITICAL), not (errors_at(result, CRITICAL) > FAILED).any())


@lesson.outcome
def first_gradient(result: Result[GradientKnobs]) -> str:
    """Answer how large the first layer's gradient is in the deepest network."""
    name = f"depth={max(result.knobs.depths)}"
    ratio, factor = result.fact("first_to_last_gradient", name), result.fact_or_none("gain_per_layer", name)
    each = "" if factor is None else f", a factor of {factor:.2f} from layer to layer"
    return f"In the networks of {max(result.knobs.depths)} layers it was {ratio:.1e} of the last layer's{each}."
