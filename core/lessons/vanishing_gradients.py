"""Why does a deep net stop learning, and is it the depth? (notebook 002, section 1)

Nets of several depths and of one width fit a function of one variable, side by side. Before training and during it we
look at the largest gradient of each layer: where every layer multiplies it by the same factor, depth only counts how
often. The factor is the initialization's choice.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from core import prose
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson
from core.narrator import Diverges, Levels, Watch
from core.nets import ACTIVATIONS, INITS, Init, normal
from core.panels import COLOURS, DASHES, FAINT, Panel, Still, Switch, lines, reference
from core.traces import Heatmap, Scatter, Trace
from core.training.fleet import Fleet

POINTS = 50  # as the notebook; its function is an image, so ours is our choice
INTERVAL = 2.0  # x is uniform on ±2, as the notebook
NOISE = 0.1
KERAS_EPSILON = 1e-7
LEARNING_RATE = 0.001  # Adam's default, full batch, as the notebook's other cells
BIRTHS = 20  # nets looked at before training, of each depth and of each recipe; the first of them are trained
FRAMES = 50
GRID = 61  # points of the interval on which functions are drawn
SHOWN = 5  # nets of each depth that are drawn: the first ones, not chosen ones
UNITS_SHOWN = 32  # units of each layer whose activations are counted, likewise
FLOOR = 1e-20  # where a gradient of zero is drawn on a logarithmic axis
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHAPES = len(QUANTILES) + 1  # and how far x moves a unit
NAIVE_SD = 0.05  # Keras' `RandomNormal`
NAIVE_GAIN = 0.2  # √(32 · 0.05² / 2)
CRITICAL = 15  # hidden layers of the notebook's net that "totally failed"
LEARNED, FAILED = 0.05, 0.95  # MSE over variance: below it a net has learned, above it it predicts the mean
KEPT = (0.02, 20.0)  # first to last gradient of a net that passes its gradient through
# Largest gradient by layer of the notebook's net with 15 hidden layers, after it was fitted.
NOTEBOOK_GRADIENTS = (
    8.619981e-11, 7.4668494e-11, 5.555045e-10, 1.1582649e-09, 1.0108434e-08, 7.581418e-08, 3.8226204e-07, 3.2883786e-06,
    2.7240822e-05, 0.00021533686, 0.0004904665, 0.004181428, 0.02815935, 0.1306683, 0.8350754, 5.0867157,
)  # fmt: skip
HE = "He et al. 2015, arXiv 1502.01852"
ADAM = "Kingma & Ba 2015, arXiv 1412.6980: a step is the rate times gradient over its size plus ε"
HINT_WIDTH = "it takes width 32, which the notebook has, and the first moments of a run"


class GradientKnobs(Knobs):
    """What may be turned."""

    depths: tuple[int, ...] = knob((5, 10, 15), "hidden layers: nets of each depth train side by side", 2, 50, stops=(2, 5, 10, 13, 14, 15, 20, 30, 50), shown=True)  # fmt: skip
    init: Literal["normal", "glorot", "he", "lecun", "orthogonal", "pytorch"] = knob("normal", "how weights start; normal has one spread for every layer and its biases, as the notebook", label="initialization", shown=True)  # fmt: skip
    init_sd: float = knob(0.05, "the spread of normal: at width 32, 0.05 divides ReLU's gradient by five in each layer, 0.25 keeps it, 0.5 doubles it", 0.01, 0.5, label="spread of normal", stops=(0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5), shown=True)  # fmt: skip
    activation: Literal["sigmoid", "tanh", "relu", "selu"] = knob("relu", "what a unit does with its sum; its slope multiplies the gradient", shown=True)  # fmt: skip
    width: int = knob(32, "units in each hidden layer", 8, 256, stops=(8, 16, 32, 64, 128, 256))
    batch_norm: bool = knob(False, "brings every unit to mean 0 and spread 1 over the examples, whatever the weights")
    residual: bool = knob(False, "each layer adds to its input instead of replacing it: the gradient has a way around")
    epochs: int = knob(500, "steps of Adam on all examples; 0 looks at birth only", 0, 5000, stops=(0, 100, 200, 500, 1000, 2000, 5000))  # fmt: skip
    epsilon: float = knob(KERAS_EPSILON, "what Adam adds before it divides a gradient by its size: gradients far below it move nothing; Keras has 1e-7, PyTorch 1e-8", 1e-16, 1e-4, label="Adam's ε", stops=(1e-16, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-4))  # fmt: skip
    seeds: int = knob(5, "nets of each depth that differ in their start alone: how much is chance", 1, 20, stops=(1, 3, 5, 10, 20))  # fmt: skip
    seed: int = SEED


@dataclass(frozen=True)
class Recipe:
    """One way to start a net, in the chart of all of them."""

    name: str
    init: Init
    activation: str


NAIVE = Recipe("N(0, 0.05²), ReLU", normal(NAIVE_SD, biases=True), "relu")
NO_BIASES = Recipe("the same, biases 0", normal(NAIVE_SD), "relu")
RECIPES = (
    NAIVE,
    NO_BIASES,
    Recipe("He, ReLU", INITS["he"], "relu"),
    Recipe("orthogonal, ReLU", INITS["orthogonal"], "relu"),
    Recipe("Glorot, tanh", INITS["glorot"], "tanh"),
    Recipe("LeCun, SELU", INITS["lecun"], "selu"),
    Recipe("Glorot, sigmoid", INITS["glorot"], "sigmoid"),
    Recipe("PyTorch, ReLU", INITS["pytorch"], "relu"),
)
KEEPERS = RECIPES[2:6]
OTHERS = RECIPES[6:]


def series(knobs: GradientKnobs) -> list[str]:
    """One fleet per depth."""
    return [f"depth={depth}" for depth in knobs.depths]


def moments(knobs: GradientKnobs) -> list[int]:
    """The epochs after which the nets are looked at."""
    return sorted({round(share * knobs.epochs / FRAMES) for share in range(FRAMES + 1)})


def evenly(device: torch.device) -> torch.Tensor:
    """The interval in even steps, (points, 1)."""
    return torch.linspace(-INTERVAL, INTERVAL, GRID, device=device).unsqueeze(1)


def sample(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples, (points, 1) each: a sine with noise."""
    chance = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(POINTS, 1, generator=chance) - 1) * INTERVAL
    return x, truth(x) + NOISE * torch.randn(POINTS, 1, generator=chance)


def truth(x: torch.Tensor) -> torch.Tensor:
    """The function behind the examples."""
    return torch.sin(2 * x)


def fleet(knobs: GradientKnobs, depth: int, nets: int, device: torch.device, dtype: torch.dtype) -> Fleet:
    """Fresh nets of one depth. Deeper ones start with the same layers and go on: depth alone sets them apart."""
    init = normal(knobs.init_sd, biases=True) if knobs.init == "normal" else INITS[knobs.init]
    made = Fleet(
        nets,
        (1, *[knobs.width] * depth, 1),
        activation=ACTIVATIONS[knobs.activation],
        batch_norm=knobs.batch_norm,
        residual=knobs.residual,
        device=device,
        dtype=dtype,
    )
    made.initialise(init, knobs.seed)
    return made


def train(knobs: GradientKnobs, device: torch.device) -> Iterator[Frame]:
    """Look at many nets of each depth at birth, then train some of them: full batch, all depths side by side."""
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


class Sizes(NamedTuple):
    """How large the gradients of some nets are: medians over them.

    Attributes:
        weights: the largest |gradient| of a weight in each layer, (layers,).
        errors: the root mean square of the error that backpropagation carries to each layer, over its units and the
            examples, (layers,).
        ratio: the first layer's largest gradient over the last layer's.
    """

    weights: Array
    errors: Array
    ratio: float


def newborn(nets: Fleet, seed: int) -> Sizes:
    """The gradients of fresh nets on the examples."""
    x, y = (each.to(nets.dtype) for each in sample(seed))
    nets.backward(x, y)
    weights = largest(nets)
    errors = np.stack([error.square().mean(dim=(1, 2)).sqrt().numpy() for error in nets.errors()], axis=1)
    first, last = weights[:, :1], weights[:, -1:]
    ratios = np.divide(first, last, out=np.full_like(first, np.nan), where=last > 0)  # a dead net has none
    return Sizes(middle(weights), middle(errors), float(middle(ratios)[0]))


def largest(nets: Fleet) -> Array:
    """The largest |gradient| of a weight, (nets, layers)."""
    return np.stack([g.abs().amax(dim=(1, 2)).double().cpu().numpy() for g in nets.weight_grads], axis=1)


def middle(values: Array) -> Array:
    """The median over nets (nets, ...), of those that are numbers throughout; nan where there is none."""
    kept = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
    return np.median(kept, axis=0) if len(kept) else np.full(values.shape[1:], np.nan)


def at_birth(knobs: GradientKnobs) -> dict[str, Array]:
    """Gradients before training, in float64, where 0.2⁵⁰ is still told from 0.

    Returns:
        "birth": weights' and errors' sizes by depth and layer (2, depths, layers), nan beyond a net's last layer;
        "birth_ratio" (depths,); "birth_fit": the straight line through the weights' sizes, (depths, layers).
    """
    born = [
        newborn(fleet(knobs, depth, BIRTHS, torch.device("cpu"), torch.float64), knobs.seed) for depth in knobs.depths
    ]
    drawn = np.stack([padded([s.weights for s in born]), padded([s.errors for s in born])])
    fits = padded([straight(s.weights) for s in born])
    return {
        "birth": drawn,
        "birth_ratio": np.array([s.ratio for s in born]),
        "birth_fit": np.where((fits > FLOOR) & (fits < 1 / FLOOR), fits, np.nan).astype("f4"),
    }


def recipes(knobs: GradientKnobs) -> dict[str, Array]:
    """Gradients at birth of nets with the notebook's 15 layers, for every recipe: (recipes, layers) and (recipes,)."""
    shape = (1, *[knobs.width] * CRITICAL, 1)
    born = []
    for recipe in RECIPES:
        nets = Fleet(BIRTHS, shape, activation=ACTIVATIONS[recipe.activation], dtype=torch.float64)
        nets.initialise(recipe.init, knobs.seed)
        born.append(newborn(nets, knobs.seed))
    return {"recipes": np.stack([s.weights for s in born]), "recipe_ratio": np.array([s.ratio for s in born])}


def padded(rows: list[Array]) -> Array:
    """Rows of unequal length as one array, nan where a row has ended."""
    table = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def gain(sizes: Array, *, skip: int = 1) -> float | None:
    """The factor by which each layer multiplies what passes back through it: a fit of a straight line to its logarithm.

    Args:
        sizes: by layer, (layers,), the output layer last.
        skip: layers at the input that are left out, besides the output layer: other layers have other shapes.
    """
    slope = _line(sizes, skip)
    return None if slope is None else 10 ** -slope[0]


def straight(sizes: Array) -> Array:
    """The fitted line at the layers that it was fitted to, nan at the others."""
    fitted = np.full(len(sizes), np.nan)
    line = _line(sizes, 1)
    if line is not None:
        layers = np.arange(1, len(sizes) - 1)
        fitted[layers] = 10.0 ** (line[0] * layers + line[1])
    return fitted


def _line(sizes: Array, skip: int) -> tuple[float, float] | None:
    inner = sizes[skip:-1]
    if len(inner) < 2 or not (np.isfinite(inner) & (inner > 0)).all():
        return None
    slope, start = np.polyfit(np.arange(skip, skip + len(inner)), np.log10(inner), 1)
    return float(slope), float(start)


class Look:
    """What is drawn of the nets at one moment. It changes nothing about them."""

    def __init__(self, knobs: GradientKnobs, fleets: list[Fleet], x: torch.Tensor, y: torch.Tensor) -> None:
        self.knobs, self.fleets, self.x = knobs, fleets, x
        self.variance = float(y.double().var(correction=0))
        self.moments = moments(knobs)
        self.grid = evenly(x.device)
        self.deepest = int(np.argmax(knobs.depths))
        self.history = np.full((max(knobs.depths) + 1, len(self.moments)), np.nan, dtype="f4")

    def frame(self, epoch: int, losses: list[torch.Tensor]) -> Frame:
        """Everything that the panels show after `epoch` steps."""
        floored = [np.maximum(middle(largest(nets)), FLOOR) for nets in self.fleets]
        self.history[:, self.moments.index(epoch)] = np.log10(floored[self.deepest]).astype("f2")
        return Frame(
            epoch,
            {"relative_mse": np.stack([loss.double().cpu().numpy() for loss in losses]) / self.variance},
            {
                "gradients": padded(floored).astype("f4"),
                "history": self.history,
                "functions": np.stack([self.functions(nets) for nets in self.fleets]),
                "activations": self.activations(),
            },
            epoch / self.knobs.epochs if self.knobs.epochs else 1.0,
        )

    def functions(self, nets: Fleet) -> Array:
        """The first nets' outputs on the grid, a gap after each, (shown · (grid + 1),)."""
        outputs = nets.forward(self.grid).squeeze(2)[:SHOWN].float().cpu().numpy()  # (shown, grid)
        drawn = np.clip(outputs, -9, 9)  # far outside the chart; and half a float's digits, which pack well
        return np.pad(drawn, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype("f2").astype("f4")

    def activations(self) -> Array:
        """Of each hidden layer of the deepest nets: quantiles of its activations, and how far x moves a unit, the
        root mean square over units of the standard deviation over x; (quantiles + 1, layers)."""
        found = []
        for layer in self.fleets[self.deepest].layers(self.x, training=True)[:-1]:
            a = layer.after[:SHOWN, :, :UNITS_SHOWN].double().cpu().numpy()  # (shown, points, units)
            whole = np.isfinite(a).all()
            found.append([*np.quantile(a, QUANTILES), np.sqrt(a.var(axis=1).mean())] if whole else [np.nan] * SHAPES)
        return np.array(found, dtype="f4").T


def panels(knobs: GradientKnobs) -> list[Panel]:
    """Gradients by layer, now and over time; loss, functions and activations; and all recipes at birth."""
    epochs = [0, max(1, knobs.epochs)]
    return [
        _gradient_panel(knobs),
        _history_panel(knobs),
        lines(
            "Loss",
            "Mean squared error on the examples, over the variance of their targets: at 1 a net predicts the mean. The band is the spread over the starts.",
            "relative_mse",
            series(knobs),
            x="epochs",
            y="MSE / variance",
            band=knobs.seeds > 1,
            extra=[
                reference(epochs, [1.0, 1.0], "predicts the mean"),
                reference(epochs, [LEARNED] * 2, f"has learned, below {LEARNED:g}", line={"color": FAINT, "width": 1}),
            ],
            xaxis={"range": epochs},
            yaxis={"type": "log"},
        ),
        _function_panel(knobs),
        _activation_panel(knobs),
        _recipe_panel(knobs),
    ]


def _drawn(x: Array, name: str, number: int, mode: str = "lines", **style: Any) -> Trace:
    """A line in the colour and dash of the `number`th series, with its name at its end."""
    line = {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number % len(DASHES)], **style}
    return Scatter(x=x, name=name, mode=mode, line=line, marker={"size": 5}, meta={"label": name})


def _by_layer(layers: int, title: str, **more: Any) -> dict[str, Any]:
    """The layout of a chart of layers."""
    x = {"title": {"text": "layer, from the input"}, "range": [0.5, layers + 0.5]}
    return {"xaxis": x, "yaxis": {"title": {"text": title}, **more}}


def _gradient_panel(knobs: GradientKnobs) -> Panel:
    traces: list[Still | Switch] = []
    if CRITICAL in knobs.depths:
        layers = list(range(1, len(NOTEBOOK_GRADIENTS) + 1))
        traces.append(reference(layers, NOTEBOOK_GRADIENTS, "notebook: 15 layers, fitted", mode="lines+markers"))
    for i, (depth, name) in enumerate(zip(knobs.depths, series(knobs), strict=True)):
        now = _drawn(np.arange(1, depth + 2), name, i, "lines+markers")
        line = {**now["line"], "width": 1, "dash": "dot"}
        fit = Scatter(now, name="straight line at birth", mode="lines", line=line, meta={}, legendgroup="fit", showlegend=i == 0)  # fmt: skip
        traces += [Switch(fit, {"y": ("birth_fit", i)}), Switch(now, {"y": ("gradients", i)})]
    return Panel(
        "Gradient by layer",
        "Largest gradient of a weight in each layer, now; the median over the starts. The dotted lines are fits to the gradients before training: their slope is the factor per layer.",
        traces,
        _by_layer(max(knobs.depths) + 1, "largest |gradient|", type="log", dtick=3),
    )


def _history_panel(knobs: GradientKnobs) -> Panel:
    deepest, columns = max(knobs.depths), moments(knobs)
    powers = range(-12, 3, 2)
    drawn = Heatmap(
        x=columns,
        y=np.arange(1, deepest + 2),
        z=np.full((deepest + 1, len(columns)), np.nan),
        name="log₁₀ of the largest |gradient|",
        zmin=powers[0],
        zmax=powers[-1],
        colorscale="Viridis",
        hovertemplate="epoch %{x}, layer %{y}: 10^%{z:.1f}<extra></extra>",
        colorbar={
            "tickvals": list(powers),
            "ticktext": [f"10<sup>{power}</sup>" for power in powers],
            "thickness": 12,
            "outlinewidth": 0,
        },
    )
    half = max(1, knobs.epochs) / max(1, len(columns) - 1) / 2
    x = {"title": {"text": "epochs"}, "range": [-half, columns[-1] + half]}
    y = {"title": {"text": "layer, from the input"}, "range": [0.5, deepest + 1.5]}
    return Panel(
        f"Gradient over time, {deepest} layers",
        "The same for the deepest nets, layer by layer as they train: dark layers receive next to nothing.",
        [Switch(drawn, {"z": "history"})],
        {"xaxis": x, "yaxis": y, "showlegend": False},
    )


def _function_panel(knobs: GradientKnobs) -> Panel:
    grid = evenly(torch.device("cpu"))
    xs, wanted, x, y = (each.squeeze(1).tolist() for each in (grid, truth(grid), *sample(knobs.seed)))
    behind = [
        reference(xs, wanted, "truth", line={"color": FAINT, "width": 4}),
        reference(x, y, "examples", mode="markers", marker={"color": FAINT, "size": 5}),
    ]
    tiled = np.tile([*xs, np.nan], min(SHOWN, knobs.seeds))
    drawn = [Switch(_drawn(tiled, name, i, width=1.5), {"y": ("functions", i)}) for i, name in enumerate(series(knobs))]
    return Panel(
        "What they have learned",
        f"The functions of the first {SHOWN} nets of each depth: one that its gradients do not reach draws the mean.",
        [*behind, *drawn],
        {
            "xaxis": {"title": {"text": "x"}, "range": [-INTERVAL, INTERVAL]},
            "yaxis": {"title": {"text": "output"}, "range": [-1.9, 1.9]},
        },
    )


def _activation_panel(knobs: GradientKnobs) -> Panel:
    deepest = max(knobs.depths)
    number, layers = knobs.depths.index(deepest), np.arange(1, deepest + 1)
    red, green, blue = (int(COLOURS[number % len(COLOURS)][i : i + 2], 16) for i in (1, 3, 5))
    traces = []
    for i, opacity in enumerate((0.0, 0.12, 0.3, 0.3, 0.12)):  # the band up to each quantile
        trace = _drawn(layers, "median", number, dash="solid")
        if QUANTILES[i] != 0.5:
            trace.update(name=f"{QUANTILES[i]:.0%}", line={"width": 0}, meta={}, showlegend=False, hoverinfo="skip")
        if i > 0:
            trace.update(fill="tonexty", fillcolor=f"rgba({red},{green},{blue},{opacity})")
        traces.append(Switch(trace, {"y": ("activations", i)}))
    moved = _drawn(layers, "moved by x", number, "lines+markers", color=FAINT, dash="dash")
    return Panel(
        f"Activations, {deepest} layers",
        "What the units of each layer say: the middle 50 % and 90 %, and how far a unit moves as x runs over the examples. Where that is 0 the layer has forgotten its input.",
        [*traces, Switch(moved, {"y": ("activations", SHAPES - 1)})],
        _by_layer(deepest, "activation"),
    )


def _recipe_panel(knobs: GradientKnobs) -> Panel:
    layers = np.arange(1, CRITICAL + 2)
    return Panel(
        f"Other recipes, {CRITICAL} layers at birth",
        f"Largest gradient of a weight in each layer of untrained nets with {CRITICAL} hidden layers of {knobs.width} units, the median of {BIRTHS}: a slope is a gain other than 1.",
        [Switch(_drawn(layers, recipe.name, 4 + i), {"y": ("recipes", i)}) for i, recipe in enumerate(RECIPES)],
        _by_layer(CRITICAL + 1, "largest |gradient|", type="log", dtick=3),
    )


def watches(knobs: GradientKnobs) -> list[Watch]:
    """What the narrator may tell."""
    names, loss = series(knobs), "MSE over variance"
    return [Diverges("relative_mse", names, loss), Levels("relative_mse", names, loss)]


def facts(knobs: GradientKnobs, recording: Recording) -> Facts:
    """For each depth, the shallowest first: the gradients at birth, and what the trained nets came to."""
    found: dict[str, float | None] = {}
    birth, ratios = recording.picture("birth"), recording.picture("birth_ratio")
    errors = recording.last("relative_mse")  # (depths, seeds)
    for i in np.argsort(knobs.depths):
        name = f"[depth={knobs.depths[i]}]"
        if birth is not None and ratios is not None:
            layers = knobs.depths[i] + 1
            found[f"first_to_last_gradient{name}"] = _finite(ratios[i])
            found[f"gain_per_layer{name}"] = gain(birth[0, i, :layers])
            found[f"error_gain_per_layer{name}"] = gain(birth[1, i, :layers], skip=0)
        found[f"relative_mse{name}"] = _finite(np.median(errors[i]))
        found[f"learned{name}"] = float((errors[i] < LEARNED).mean())
        found[f"predicts_the_mean{name}"] = float((errors[i] > FAILED).mean())
    at_birth = recording.picture("recipe_ratio")
    if at_birth is not None:
        for recipe, ratio in zip(RECIPES, at_birth, strict=True):
            found[f"first_to_last_gradient[{recipe.name}]"] = _finite(ratio)
    return found


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def theoretical_gain(knobs: GradientKnobs) -> float | None:
    """√(width · Var(w) / 2), by which a layer of ReLU multiplies the error's root mean square; None for other layers."""
    if knobs.activation != "relu" or knobs.batch_norm or knobs.residual:
        return None
    one = 1 / knobs.width
    variances = {"he": 2 * one, "glorot": one, "lecun": one, "orthogonal": one, "pytorch": one / 3}
    return math.sqrt(knobs.width * variances.get(knobs.init, knobs.init_sd**2) / 2)


def claims(knobs: GradientKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run: of all recipes at birth, of its own nets at birth, and after training."""
    found = facts(knobs, recording)
    layers = recording.picture("recipes")
    made = [
        *_naive_at_birth(knobs, found, layers),
        _recipes(
            "Initializations that fit their activation carry the gradient through 15 layers",
            KEEPERS,
            KEPT,
            knobs,
            found,
            "He et al. 2015; Glorot & Bengio 2010; Klambauer et al. 2017; Saxe et al. 2014",
        ),
        _recipes(
            "PyTorch's own default vanishes too, and so does the sigmoid under Glorot's",
            OTHERS,
            (0.0, 1e-4),
            knobs,
            found,
            "gains of √(1/6) = 0.41, since nn.Linear draws with variance 1/(3 fan_in), and of at most 1/4, the sigmoid's steepest slope",
        ),
        _blind_ratio(knobs, found, layers),
        _theory(knobs, found),
    ]
    return made + (_trained(knobs, _Trained(knobs, recording), found) if knobs.width == 32 else [])


def _naive_at_birth(knobs: GradientKnobs, found: Facts, layers: Array | None) -> list[Claim]:
    ratio = found.get(f"first_to_last_gradient[{NAIVE.name}]")
    factor = None if layers is None else gain(layers[0])
    return [
        Claim(
            "In 15 layers of ReLU that start from N(0, 0.05²), the first layer's gradient is next to nothing beside the last's",
            "" if ratio is None else f"{ratio:.1e}, the median of {BIRTHS} untrained nets in “Other recipes”",
            "under 1e-8",
            ratio < 1e-8 if ratio is not None and knobs.width == 32 else None,
            "0.2¹⁵ = 3.3e-11, times what the first and the last layer do by their shapes",
            notebook="1.7e-11, of one fitted net",
            hint=HINT_WIDTH,
        ),
        Claim(
            "Each of these layers divides the gradient by five",
            "" if factor is None else f"{factor:.3f} per layer there, its logarithm {math.log(factor):.3f}",
            f"logarithm within 10 % of ln {NAIVE_GAIN} = {math.log(NAIVE_GAIN):.3f}",
            abs(math.log(factor) / math.log(NAIVE_GAIN) - 1) < 0.1 if factor and knobs.width == 32 else None,
            f"√(32 · 0.05² / 2) = 0.2, {HE}",
            notebook="0.191 per layer, end to end",
            hint=HINT_WIDTH,
        ),
    ]


def _recipes(
    sentence: str,
    these: tuple[Recipe, ...],
    limits: tuple[float, float],
    knobs: GradientKnobs,
    found: Facts,
    source: str,
) -> Claim:
    ratios = {each.name: found.get(f"first_to_last_gradient[{each.name}]") for each in these}
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    return Claim(
        sentence,
        "; ".join(f"{name}: {ratio:.2g}" for name, ratio in known.items()),
        f"first to last gradient within {limits[0]:g} … {limits[1]:g} for each",
        all(limits[0] <= ratio <= limits[1] for ratio in known.values())
        if len(known) == len(these) and knobs.width == 32
        else None,
        source,
        hint=HINT_WIDTH,
    )


def _blind_ratio(knobs: GradientKnobs, found: Facts, layers: Array | None) -> Claim:
    ratio = found.get(f"first_to_last_gradient[{NO_BIASES.name}]")
    top = None if layers is None else float(layers[RECIPES.index(NO_BIASES)].max())
    return Claim(
        "The ratio alone can deceive: without biases the same bad start has a ratio near 1, since all gradients are equally tiny",
        f"ratio {ratio:.2g}, largest gradient of any layer {top:.1e}" if ratio is not None else "",
        f"ratio within {KEPT[0]:g} … {KEPT[1]:g}, every gradient under 1e-6",
        KEPT[0] <= ratio <= KEPT[1] and top < 1e-6
        if ratio is not None and top is not None and knobs.width == 32
        else None,
        "Euler's theorem: a ReLU net without biases is homogeneous in the weights of each of its layers",
        hint=HINT_WIDTH,
    )


def _theory(knobs: GradientKnobs, found: Facts) -> Claim:
    depth, wanted = max(knobs.depths), theoretical_gain(knobs)
    measured = found.get(f"error_gain_per_layer[depth={depth}]")
    spelled = "" if measured is None else f"{measured:.3f} per layer, {depth} layers"
    return Claim(
        "The spread of the weights alone sets the factor by which a layer of ReLU multiplies the error",
        spelled + (f"; theory {wanted:.3f}" if spelled and wanted else ""),
        "√(width · Var(w) / 2), within 10 %",
        abs(measured / wanted - 1) < 0.1 if measured and wanted and depth >= 10 and knobs.width >= 32 else None,
        HE,
        hint="it takes plain ReLU layers, 10 or more of them, and a width of 32 or more",
    )


class _Trained:
    """What has become of the trained nets by now."""

    def __init__(self, knobs: GradientKnobs, recording: Recording) -> None:
        self.depths, self.errors = knobs.depths, recording.last("relative_mse")  # (depths, seeds)
        self.ended = recording.progress >= 1.0 and knobs.epochs >= 500

    def at(self, depth: int) -> Array:
        """MSE over variance of each net of that depth, (seeds,); empty if there is none."""
        return self.errors[self.depths.index(depth)] if depth in self.depths else np.empty(0)

    def decides(self, depth: int, seeds: int = 5) -> bool:
        """Whether the run is over and has that many nets of that depth."""
        return self.ended and len(self.at(depth)) >= seeds

    def spelled(self, depth: int) -> str:
        """How many have learned and how many predict the mean, in words."""
        errors = self.at(depth)
        good, bad = (errors < LEARNED).sum(), (errors > FAILED).sum()
        return f"{depth} layers: of {len(errors)} nets {good} learned, {bad} at the mean" if len(errors) else ""

    def learns(self, sentence: str, depth: int, source: str, *, also: bool = True, notebook: str = "") -> Claim:
        """The claim that every net of a depth learns; `also` is what else it takes."""
        return Claim(
            sentence,
            self.spelled(depth),
            f"MSE over variance under {LEARNED} in every net",
            also and bool((self.at(depth) < LEARNED).all()) if self.decides(depth) else None,
            source,
            notebook=notebook,
            hint=f"it takes depth {depth}, 5 seeds and 500 epochs",
        )


def _trained(knobs: GradientKnobs, nets: _Trained, found: Facts) -> list[Claim]:
    """The claims about training, those that this start and these layers speak about."""
    deepest, here = max(knobs.depths), found.get(f"first_to_last_gradient[depth={CRITICAL}]")
    naive = (knobs.init, knobs.init_sd) == ("normal", NAIVE_SD)
    if knobs.activation != "relu":
        return []
    if naive and knobs.batch_norm:
        sentence = "Batch norm makes the start not matter: nets of 15 layers learn from N(0, 0.05²)"
        return [
            nets.learns(sentence, CRITICAL, "Ioffe & Szegedy 2015, arXiv 1502.03167"),
            _norm_explodes(deepest, found.get(f"first_to_last_gradient[depth={deepest}]")),
        ]
    if naive and knobs.residual:
        sentence = "With a way around each layer nets of 30 layers and more learn from the same start"
        return [nets.learns(sentence, max(deepest, 30), "He et al. 2016, arXiv 1512.03385")]
    if knobs.batch_norm or knobs.residual:
        return []
    if naive:
        sentence = "The same start does no harm to 5 layers: 0.2⁵ is small, 0.2¹⁵ is nothing"
        return [
            _fail(knobs, nets),
            nets.learns(sentence, 5, "this lesson's nets"),
            _luck(knobs, nets),
            _epsilon(knobs, nets),
        ]
    if knobs.init == "he":
        sentence = "From He's start nets of 15 layers learn, every one"
        return [nets.learns(sentence, CRITICAL, HE, notebook="never tried: “Why?” is its last word")]
    if knobs.init == "pytorch":
        sentence = (
            "A first layer's gradient below a ten-thousandth of the last's can still teach: Adam divides it by its size"
        )
        return [nets.learns(sentence, CRITICAL, ADAM, also=here is not None and here < 1e-4)]
    return []


def _norm_explodes(depth: int, ratio: float | None) -> Claim:
    return Claim(
        "Batch norm trades vanishing for exploding: at birth gradients now grow towards the input",
        "" if ratio is None else f"first to last gradient {ratio:.3g}, {depth} layers",
        "over 10, in 15 layers or more",
        ratio > 10 if ratio is not None and depth >= CRITICAL else None,
        "Yang et al. 2019, arXiv 1902.08129: gradients grow exponentially with depth",
        hint="it takes 15 layers or more",
    )


def _fail(knobs: GradientKnobs, nets: _Trained) -> Claim:
    decides = nets.decides(CRITICAL) and knobs.epsilon >= KERAS_EPSILON
    return Claim(
        "So started, nets of 15 layers learn the mean and nothing else",
        nets.spelled(CRITICAL),
        f"MSE over variance above {FAILED} in at least four of five nets",
        bool((nets.at(CRITICAL) > FAILED).mean() >= 0.8) if decides else None,
        "the notebook's settings, replicated at eight seeds: 158 of 160 nets",
        notebook="“Estimation has totally failed”, of one net",
        hint="it takes depth 15, 5 seeds, 500 epochs and Adam's ε of 1e-7, which is Keras's",
    )


def _luck(knobs: GradientKnobs, nets: _Trained) -> Claim:
    depths = [depth for depth in sorted(knobs.depths) if nets.decides(depth, seeds=20)]
    both = any((nets.at(depth) < LEARNED).any() and (nets.at(depth) > FAILED).any() for depth in depths)
    wide = bool(depths) and depths[0] <= 11 and depths[-1] >= 13 and knobs.epochs >= 1000
    return Claim(
        "Around 12 layers the start decides: of nets of one depth some learn, others do not",
        "; ".join(nets.spelled(depth) for depth in depths),
        f"a depth with nets below {LEARNED} and nets above {FAILED}, of twenty",
        both if wide else None,
        "the notebook's settings, replicated with twenty starts",
        notebook="13 layers “not too bad”, 14 “definitely worse”, 15 “totally failed”: one net each",
        hint='the preset "Luck of the start" has the depths, 20 seeds and 1,000 epochs that it takes',
    )


def _epsilon(knobs: GradientKnobs, nets: _Trained) -> Claim:
    decides = nets.decides(CRITICAL) and knobs.epsilon <= 1e-15
    return Claim(
        "What stops Adam is its ε: without it not one net of 15 layers is left at the mean",
        nets.spelled(CRITICAL),
        f"MSE over variance above {FAILED} in no net, from the same start",
        not (nets.at(CRITICAL) > FAILED).any() if decides else None,
        ADAM,
        hint='the preset "Adam without its ε" sets it to 1e-16',
    )


def cost(knobs: GradientKnobs) -> Cost:
    """Matrix products, elementwise work and calls of every step; the untrained nets, in double precision.

    A small product runs at about half the speed of the large one that is measured: 11 where arithmetic says 6.
    """
    looks, total, held = len(moments(knobs)), Cost(0.0, 0.0, 0.0, 0.0), 5e7
    trained = [(depth, knobs.seeds, knobs.epochs + 1, 1.0) for depth in knobs.depths]
    newborn = [(depth, BIRTHS, 1, 4.0) for depth in (*knobs.depths, *[CRITICAL] * len(RECIPES))]
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


def shrunk(knobs: GradientKnobs) -> GradientKnobs:
    """Two depths, two narrow nets of each, a few steps: a moment of work, everything else as it was."""
    return knobs.model_copy(
        update={"depths": knobs.depths[:2], "width": 8, "seeds": min(knobs.seeds, 2), "epochs": min(knobs.epochs, 3)}
    )


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    ratios = [(name, value) for name, value in found.items() if name.startswith("first_to_last_gradient[depth=")]
    if not ratios or ratios[-1][1] is None:
        return None
    name, ratio = ratios[-1]
    depth = name.removeprefix("first_to_last_gradient[depth=").removesuffix("]")
    factor = found.get(f"gain_per_layer[depth={depth}]")
    each = "" if factor is None else f", a factor of {factor:.2f} from layer to layer"
    return f"In the nets of {depth} layers it was {ratio:.1e} of the last layer's{each}."


PRESETS: Mapping[str, GradientKnobs] = {
    "Classroom": GradientKnobs(),
    "As the notebook ran it": GradientKnobs(depths=(13, 14, 15), epochs=1000, seeds=1),
    "Done right": GradientKnobs(depths=(5, 15, 30, 50), init="he", epochs=1000),
    "Luck of the start": GradientKnobs(depths=(11, 12, 13, 14), epochs=1000, seeds=20),
    "PyTorch's default": GradientKnobs(depths=(10, 15, 30), init="pytorch", epsilon=1e-8),
    "Adam without its ε": GradientKnobs(epsilon=1e-16, epochs=1000),
    "Batch norm": GradientKnobs(depths=(5, 15, 30), batch_norm=True),
    "A way around": GradientKnobs(depths=(5, 15, 50), residual=True),
}

LESSON = Lesson(
    slug="vanishing-gradients",
    prose=prose.of("vanishing-gradients"),
    revision=1,
    knobs=GradientKnobs,
    presets=PRESETS,
    series=series,
    repeats="net",
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="relative_mse",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, fleet, gain, Look, Fleet.backward),
)
