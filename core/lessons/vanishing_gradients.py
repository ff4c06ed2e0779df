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
import plotly.graph_objects as go
import torch

from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs, knob
from core.lesson import Facts, Lesson, Mistake, Prediction
from core.nets import ACTIVATIONS, INITS, Init, normal
from core.panels import COLOURS, DASHES, FAINT, Panel, Still, Switch, lines, reference
from core.training.fleet import Fleet

POINTS = 50  # as the notebook; its function is an image, so ours is our choice
INTERVAL = 2.0  # x is uniform on ±2, as the notebook
NOISE = 0.1
LEARNING_RATE = 0.001  # Adam's default, full batch, as the notebook's other cells
BIRTHS = 50  # nets looked at before training, of each depth and of each recipe; the first of them are trained
FRAMES = 50
GRID = 61  # points of the interval on which functions are drawn
SHOWN = 5  # nets of each depth that are drawn: the first ones, not chosen ones
UNITS_SHOWN = 32  # units of each layer whose activations are counted, likewise
FLOOR = 1e-20  # where a gradient of zero is drawn on a logarithmic axis
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
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


class GradientKnobs(Knobs):
    """What may be turned."""

    depths: tuple[int, ...] = knob((5, 10, 15), "hidden layers: nets of each depth train side by side", ge=2, le=50, stops=(2, 5, 10, 13, 14, 15, 20, 30, 50), shown=True)  # fmt: skip
    init: Literal["normal", "glorot", "he", "lecun", "orthogonal", "pytorch"] = knob("normal", "how weights start; normal has one spread for every layer and its biases, as the notebook", label="initialization", shown=True)  # fmt: skip
    init_sd: float = knob(0.05, "the spread of normal: at width 32, 0.05 divides ReLU's gradient by five in each layer, 0.25 keeps it, 0.5 doubles it", label="spread", ge=0.01, le=0.5, stops=(0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5), shown=True)  # fmt: skip
    activation: Literal["sigmoid", "tanh", "relu", "selu"] = knob("relu", "what a unit does with its sum; its slope multiplies the gradient", shown=True)  # fmt: skip
    width: int = knob(32, "units in each hidden layer", ge=8, le=256, stops=(8, 16, 32, 64, 128, 256))
    batch_norm: bool = knob(False, "brings every unit to mean 0 and spread 1 over the examples, whatever the weights")
    residual: bool = knob(False, "each layer adds to its input instead of replacing it: the gradient has a way around")
    epochs: int = knob(500, "steps of Adam on all examples; 0 looks at birth only", ge=0, le=5000, stops=(0, 100, 200, 500, 1000, 2000, 5000))  # fmt: skip
    seeds: int = knob(5, "nets of each depth that differ in their start alone: how much is chance", ge=1, le=20, stops=(1, 3, 5, 10, 20))  # fmt: skip
    seed: int = knob(1, "where chance begins; equal knobs give an equal run", ge=0, le=2**31 - 1)


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


def sample(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples, (points, 1) each: a sine with noise."""
    chance = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(POINTS, 1, generator=chance) - 1) * INTERVAL
    return x, truth(x) + NOISE * torch.randn(POINTS, 1, generator=chance)


def truth(x: torch.Tensor) -> torch.Tensor:
    """The function behind the examples."""
    return torch.sin(2 * x)


def init_of(knobs: GradientKnobs) -> Init:
    """The initialization that the knobs ask for."""
    return normal(knobs.init_sd, biases=True) if knobs.init == "normal" else INITS[knobs.init]


def fleet(knobs: GradientKnobs, depth: int, nets: int, device: torch.device, dtype: torch.dtype) -> Fleet:
    """Fresh nets of one depth. Nets of other depths start with the same layers: only depth sets them apart."""
    made = Fleet(
        nets,
        (1, *[knobs.width] * depth, 1),
        activation=ACTIVATIONS[knobs.activation],
        batch_norm=knobs.batch_norm,
        residual=knobs.residual,
        device=device,
        dtype=dtype,
    )
    made.initialise(init_of(knobs), knobs.seed)
    return made


def train(knobs: GradientKnobs, device: torch.device) -> Iterator[Frame]:
    """Look at many nets of each depth at birth, then train some of them: full batch, all depths side by side."""
    x, y = (each.to(device) for each in sample(knobs.seed))  # (points, 1)
    fleets = [fleet(knobs, depth, knobs.seeds, device, torch.float32) for depth in knobs.depths]
    optimizers = [nets.optimizer("adam", LEARNING_RATE) for nets in fleets]
    look = Look(knobs, fleets, x, y)
    for epoch in range(knobs.epochs + 1):
        losses = [nets.backward(x, y) for nets in fleets]  # (seeds,) each; the gradients stay in the fleets
        if epoch in look.moments:
            yield look.frame(epoch, losses)
        if epoch == 0:
            yield Frame(0, pictures=at_birth(knobs))
            yield Frame(0, pictures=recipes(knobs))
        for optimizer in optimizers:
            optimizer.step()


class Sizes(NamedTuple):
    """How large the gradients of some nets are: medians over them.

    Attributes:
        weights: the largest |gradient| of a weight in each layer, (layers,).
        errors: the length of the biases' gradient in each layer, which is the error that backpropagation carries
            there, summed over the examples, (layers,).
        ratio: the first layer's largest gradient over the last layer's.
    """

    weights: Array
    errors: Array
    ratio: float


def sizes(nets: Fleet) -> Sizes:
    """Of the gradients that the last `backward` left. Nets whose gradients are no numbers any more are left out."""
    weights = largest(nets)
    errors = np.stack([g.norm(dim=(1, 2)).double().cpu().numpy() for g in nets.bias_grads], axis=1)
    return Sizes(middle(weights), middle(errors), float(middle(weights[:, :1] / weights[:, -1:])[0]))


def largest(nets: Fleet) -> Array:
    """The largest |gradient| of a weight, (nets, layers)."""
    return np.stack([g.abs().amax(dim=(1, 2)).double().cpu().numpy() for g in nets.weight_grads], axis=1)


def middle(values: Array) -> Array:
    """The median over nets (nets, ...), of those that are numbers throughout; nan where there is none."""
    kept = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
    return np.median(kept, axis=0) if len(kept) else np.full(values.shape[1:], np.nan)


def newborn(nets: Fleet, seed: int) -> Sizes:
    """The gradients of fresh nets on the examples."""
    x, y = (each.to(nets.dtype) for each in sample(seed))
    nets.backward(x, y)
    return sizes(nets)


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
    lines = padded([straight(s.weights) for s in born])
    return {
        "birth": drawn,
        "birth_ratio": np.array([s.ratio for s in born]),
        "birth_fit": np.maximum(lines, FLOOR).astype("f4"),
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
        self.deepest = fleets[int(np.argmax(knobs.depths))]
        self.history = np.full((len(self.deepest.sizes) - 1, len(self.moments)), np.nan, dtype="f2")

    def frame(self, epoch: int, losses: list[torch.Tensor]) -> Frame:
        """Everything that the panels show after `epoch` steps."""
        floored = [np.maximum(middle(largest(nets)), FLOOR) for nets in self.fleets]
        deepest = np.log10(floored[self.fleets.index(self.deepest)])
        self.history[:, self.moments.index(epoch)] = deepest
        return Frame(
            epoch,
            {"relative_mse": np.stack([loss.double().cpu().numpy() for loss in losses]) / self.variance},
            {
                "gradients": padded(floored).astype("f4"),
                "history": self.history,
                "functions": np.stack([self.functions(nets) for nets in self.fleets]),
                "activations": self.activations(),
            },
            epoch / knobs_epochs(self.knobs),
        )

    def functions(self, nets: Fleet) -> Array:
        """The first nets' outputs on the grid, a gap after each, (shown · (grid + 1),)."""
        outputs = nets.forward(self.grid).squeeze(2)[:SHOWN].float().cpu().numpy()  # (shown, grid)
        drawn = np.clip(outputs, -9, 9)  # far outside the chart, and within what float16 holds
        return np.pad(drawn, ((0, 0), (0, 1)), constant_values=np.nan).ravel().astype("f2")

    def activations(self) -> Array:
        """Of each hidden layer of the deepest nets: quantiles of its activations, and how far x moves a unit, the
        root mean square over units of the standard deviation over x; (quantiles + 1, layers)."""
        found = []
        for layer in self.deepest.layers(self.x)[:-1]:
            a = layer.after[:SHOWN, :, :UNITS_SHOWN].double().cpu().numpy()  # (shown, points, units)
            moved = np.sqrt(a.var(axis=1).mean()) if np.isfinite(a).all() else np.nan
            found.append([*np.quantile(a, QUANTILES), moved])
        return np.array(found, dtype="f4").T
