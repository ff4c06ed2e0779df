"""Does a deeper network need fewer units? (notebooks 000, 001 and 004)

Networks of one, two and three hidden layers learn the Eggholder surface from noisy samples, all side by side: the same
examples in the same order, so that they differ in shape alone. What a network predicts that has learned nothing is the
mean, and its error is then the target's standard deviation: that line stands in every chart, and beside it the error of
random units that are never trained. The words are in `depth-vs-width.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import AfterValidator, model_validator
from torch import Tensor

from core.charts import AnyTrace, axis, chart
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Levels, Overfits
from core.nets import INITS, Init, uniform
from core.panels import COLOURS, DASHES, FAINT, Grow, Panel, Still, Switch, reference, spread
from core.result import Missing, Result
from core.stats import Estimate, paired
from core.traces import Heatmap, Scatter
from core.training.architectures import FAMILIES, LAYERS, MAX_NETS, Hidden, architecture, hidden_layers, name_of
from core.training.assorted import Assorted, parameters

EDGE = 512.0  # of the square on which the surface is defined
LOWEST = -959.6407, (512.0, 404.2319)  # the surface's minimum, and where it lies (Jamil & Yang 2013)
TRAIN, VALIDATION = 0.8, 0.1  # shares of the samples; the rest is the test set
GRID = 40  # points along each side of a drawn surface
FRAMES, SURFACES = 200, 25  # at most: frames in all, and those that carry surfaces
TARGET_SD = 298.0  # standard deviation of the surface over the square
KURTOSIS = 2.90  # of its heights there: says how far the standard deviation of a sample may lie from that of all
TIMED = 100_000  # samples over all epochs before times are compared: fewer take a clock's own resolution
RANDOM_UNITS, BIAS_LIMIT, FITTED = (
    512,
    math.sqrt(6),
    20_000,
)  # untrained units, ± their biases, points they are fitted to
NOTEBOOK_RMSE: Mapping[str, float] = {  # notebook 004's table, as far as it is printed
    "16": 294.535, "32": 286.858, "64": 288.384, "128": 280.637, "256": 283.629, "512": 287.170, "16-16": 196.520,
    "16-32": 162.905, "16-64": 179.191, "16-128": 149.791, "16-256": 140.212, "32-16": 213.370, "32-32": 183.775,
    "32-64": 162.610, "32-128": 130.527, "32-256": 111.450, "64-16": 190.546, "64-32": 161.412, "64-64": 146.507,
    "64-128": 146.441,
}  # fmt: skip
NOTEBOOK_MEANS = (  # its printed means over networks of equal depth and units: units, layers, RMSE
    (48, 2, 188.137), (48, 3, 165.132), (64, 3, 147.935), (80, 2, 184.869), (80, 3, 120.197), (96, 2, 162.011),
    (96, 3, 130.856), (112, 3, 127.978),
)  # fmt: skip
NOTEBOOK_SECONDS = (  # of notebooks 000 (2,000 epochs of 80,000 points) and 004 (stopped early): parameters, seconds
    *((129, 370.7), (257, 363.4), (513, 363.2), (1025, 363.4), (2049, 366.1)),
    *((65, 103.3), (401, 134.0), (1265, 93.1), (4721, 138.2), (8929, 201.2), (4673, 90.1), (8897, 88.3)),
)  # fmt: skip


class DepthKnobs(Knobs):
    """Hyper-parameters."""

    architectures: tuple[Annotated[str, AfterValidator(architecture)], ...] = knob(("64", "512", "128-128", "64-64-64"), "the networks: widths of their hidden layers, such as 32-256, or a family such as all 143", most=40, stops=(*FAMILIES, "64", "256", "512", "64-64", "128-128", "32-256", "64-64-64", "128-128-64"), shown=True)  # fmt: skip
    samples: int = knob(20_000, "points drawn from the surface: four fifths training set, a tenth validation set, a tenth test set", 200, 200_000, stops=(1000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000), shown=True)  # fmt: skip
    epochs: int = knob(30, "how often each network goes through the training set, at most", 1, 2000, stops=(5, 10, 20, 30, 40, 60, 100, 200, 500, 1000, 2000), shown=True)  # fmt: skip
    scale_targets: bool = knob(True, "whether the surface is standardised for the networks; errors are shown in its own units")  # fmt: skip
    scale_inputs: Literal["none", "by 512", "standardised"] = knob("standardised", "what the networks see of the coordinates: as they are, ±1, or with standard deviation 1")  # fmt: skip
    init: Literal["zero", "he", "glorot"] = knob("he", "initialization of the weights; zero is notebook 000's way for deep networks, its single layers start within ±0.05", label="initialization")  # fmt: skip
    bias_init: Literal["zero", "spread"] = knob("zero", "biases of the first hidden layer at initialization; zero: the folds of all its units pass through the centre of the square; spread: uniform within ±2.45 input standard deviations, so that they lie all over it", added=True, shown=True, label="biases")  # fmt: skip
    batch_norm: Literal["none", "after activation", "deep nets only"] = knob("none", "normalise what leaves each hidden layer; the notebooks did so in deep networks only, and took its effect for depth's")  # fmt: skip
    optimizer: Literal["sgd", "momentum", "nesterov", "adam", "nadam"] = knob("adam", "how a gradient becomes a step")
    learning_rate: float = knob(0.003, "how far each step moves the weights", 1e-5, 1.0, stops=(1e-5, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0))  # fmt: skip
    batch_size: int = knob(250, "points averaged into one step", 10, 10_000, stops=(50, 100, 250, 500, 1000, 5000))
    patience: int = knob(0, "epochs without a better score after which a network stops and goes back to its best; 0: it never stops", 0, 500, stops=(0, 5, 10, 20, 50, 100))  # fmt: skip
    judge: Literal["validation", "test"] = knob("validation", "the set that decides when a network stops; the notebook took the test set, which then tests nothing", label="stopped by")  # fmt: skip
    noise: float = knob(0.3, "standard deviation of what is added to the surface, whose own is 298", 0.0, 300.0, stops=(0.0, 0.3, 10.0, 30.0, 100.0, 300.0))  # fmt: skip
    surface: Literal["eggholder", "as notebook 000 typed it"] = knob("eggholder", "what is learned; notebook 000 lost an index and a root on the way")  # fmt: skip
    seeds: int = knob(3, "repeats with other points, order and initialization: without three, no difference can be told from random variation", 1, 8, stops=(1, 2, 3, 4, 5))  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(nets_of(self)) > MAX_NETS:
            raise ValueError(f"architectures name {len(nets_of(self))} nets; at most {MAX_NETS} stand side by side")
        return self


def nets_of(knobs: DepthKnobs) -> list[Hidden]:
    """Return the architectures that the knobs name, each once, by depth and then by units."""
    return hidden_layers(knobs.architectures)


def series(knobs: DepthKnobs) -> list[str]:
    """Return the names of the networks."""
    return [name_of(hidden) for hidden in nets_of(knobs)]


NOTEBOOK = dict(samples=100_000, epochs=60, init="glorot", batch_norm="deep nets only", batch_size=1000, seeds=1)
EIGHT = ("64", "512", "64-128", "32-256", "64-256", "32-32-32", "64-64-64", "128-128-64")
TWENTY = (  # of the 143, from few units to many
    *("64", "128", "256", "512"),
    *("32-32", "64-64", "32-128", "128-128", "32-256", "64-256", "128-256", "256-256"),
    *("32-32-32", "64-64-64", "32-64-128", "64-64-128", "128-128-64", "64-64-256", "64-128-256", "128-128-256"),
)

lesson = Lesson(
    "depth-vs-width",
    DepthKnobs,
    revision=1,
    axis="epoch",
    length="epochs",
    series=series,
    curves=[
        Curve("test_rmse", "test RMSE", format=".1f", events=[Diverges, partial(Overfits, seen="train_rmse"), Levels]),
        Curve("train_rmse", "train RMSE", format=".1f"),
    ],
    tables=[
        Table("random_features", "test RMSE of untrained units with zero and with spread biases", ("biases", "seeds")),
        Table("random_line", "the same with spread biases, mean over the seeds, at both ends of the axis", ("ends",), added=True),
        Table("largest_kernel", "largest weight of each network", ("series",)),
        Table("seconds_per_epoch", "training time of an epoch", ("series",)),
    ],
    presets={
        "Classroom": dict(bias_init="spread"),
        "As the notebook ran it": dict(architectures=("all 143",), **NOTEBOOK, scale_targets=False, scale_inputs="none", optimizer="nadam", learning_rate=0.001, patience=20, judge="test"),
        "Done right": dict(architectures=("all 143",), samples=100_000, epochs=60, batch_size=1000, patience=10, seeds=1),
        "Three seeds": dict(architectures=TWENTY, samples=50_000, epochs=40, batch_size=500, patience=10),
        "Biases of zero": dict(),
        "Eight networks, biases of zero": dict(architectures=EIGHT, epochs=60, seeds=1),
        "As notebook 000 ran it": dict(architectures=("notebook 000",), **NOTEBOOK | dict(init="zero"), scale_targets=False, scale_inputs="by 512", optimizer="sgd", learning_rate=0.01, surface="as notebook 000 typed it"),
        "As notebook 001 ran it": dict(architectures=("notebook 001",), **NOTEBOOK | dict(epochs=200), optimizer="nesterov", learning_rate=0.01),
    },
    small=dict(architectures=("4", "4-3", "3-3-3"), samples=400, epochs=3, seeds=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def eggholder(x: Array, surface: str = "eggholder") -> Array:
    """Return the surface at x (points, 2), (points,); or what notebook 000 made of it."""
    first, second = x[:, 0], x[:, 1]
    left = np.sin(np.sqrt(np.abs(first / 2 + second + 47)))
    if surface == "eggholder":
        height = -(second + 47) * left - first * np.sin(np.sqrt(np.abs(first - (second + 47))))
    else:
        height = -(first + 47) * left - first * np.sin(np.abs(first - second - 47))
    return np.asarray(height)


def square() -> Array:
    """Return the points of a drawn surface, row by row, (GRID², 2)."""
    side = np.linspace(-EDGE, EDGE, GRID)
    return np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)


class Task:
    """The samples, split and scaled as the networks see them."""

    def __init__(self, knobs: DepthKnobs, seed: int, device: torch.device) -> None:
        rng = np.random.default_rng(seed)
        x = rng.uniform(-EDGE, EDGE, (knobs.samples, 2))
        y = eggholder(x, knobs.surface) + knobs.noise * rng.normal(size=knobs.samples)
        ends = [int(TRAIN * knobs.samples), int((TRAIN + VALIDATION) * knobs.samples)]
        self.seed, self.device = seed, device
        self.divisor = {"none": 1.0, "by 512": EDGE, "standardised": EDGE / math.sqrt(3)}[knobs.scale_inputs]
        self.input_sd = EDGE / math.sqrt(3) / self.divisor
        learned = y[: ends[0]]
        self.centre, self.scale = (float(learned.mean()), float(learned.std())) if knobs.scale_targets else (0.0, 1.0)
        self.x, x_validation, x_test = (self.seen(part) for part in np.split(x, ends))
        self.y, y_validation, self.y_test = np.split(y, ends)
        self.targets = torch.from_numpy((self.y - self.centre) / self.scale).to(device, torch.float32)
        judged = (x_validation, y_validation) if knobs.judge == "validation" else (x_test, self.y_test)
        self.looked_at = torch.cat([judged[0], x_test])  # evaluated in one go
        self.y_judge = judged[1]

    def seen(self, x: Array) -> Tensor:
        """Return coordinates (points, 2) as the networks see them; standardised by the square's own mean and sd."""
        return torch.from_numpy(x / self.divisor).to(self.device, torch.float32)

    def rmse(self, nets: Assorted, active: Array) -> tuple[Array, Array]:
        """Return the RMSE that decides when to stop and that on the test set, in the surface's units, each (nets,)."""
        outputs = nets.predict(self.looked_at, active).astype(np.float64) * self.scale + self.centre
        errors = np.square(outputs - np.concatenate([self.y_judge, self.y_test]))
        m = len(self.y_judge)
        return np.sqrt(errors[:, :m].mean(axis=1)), np.sqrt(errors[:, m:].mean(axis=1))

    def random_features(self, spread_biases: bool) -> float:
        """Return the test RMSE of random ReLU units that are never trained, with a least-squares output.

        A single layer that gradient descent leaves near the mean can thus be told from one that cannot do better.
        """
        rng = np.random.default_rng([self.seed, RANDOM_UNITS])
        weights, biases = rng.normal(size=(2, RANDOM_UNITS)), rng.uniform(-BIAS_LIMIT, BIAS_LIMIT, RANDOM_UNITS)

        def features(x: Tensor) -> Array:
            inputs = x.cpu().numpy().astype(np.float64) / self.input_sd
            hidden = np.maximum(inputs @ weights + spread_biases * biases, 0)
            return np.column_stack([hidden, np.ones(len(x))])

        known, new = features(self.x[:FITTED]), features(self.looked_at[len(self.y_judge) :])
        fitted = np.linalg.lstsq(known.T @ known, known.T @ self.y[:FITTED], rcond=1e-13)[0]
        return float(np.sqrt(np.square(new @ fitted - self.y_test).mean()))


class Repeat:
    """One repeat of the experiment: its own points, order and networks, each of them until it stops.

    Attributes:
        active: which networks still learn, (nets,).
        test_rmse: of each network, (nets,); of one that has stopped, at its best.
        train_rmse: on the training points while they were last learned, (nets,).
        epochs: how many each network was trained for, (nets,).
    """

    def __init__(self, knobs: DepthKnobs, seed: int, device: torch.device) -> None:
        hidden = nets_of(knobs)
        self.knobs, self.task = knobs, Task(knobs, seed, device)
        self.nets = Assorted(
            2, hidden, batch_norm=normed(knobs), optimizer=knobs.optimizer, lr=knobs.learning_rate, device=device
        )
        limit = BIAS_LIMIT * self.task.input_sd if knobs.bias_init == "spread" else 0.0
        self.nets.initialise([_init(knobs, each) for each in hidden], seed, limit)
        self.rng = torch.Generator().manual_seed(seed)
        self.active, self.waited = np.full(len(hidden), True), np.zeros(len(hidden))
        self.best, self.test_rmse = self.task.rmse(self.nets, self.active)
        self.kept = self.test_rmse
        self.nets.remember(self.active)
        self.train_rmse, self.epochs = np.full(len(hidden), np.nan), np.zeros(len(hidden))

    def epoch(self, last: bool) -> None:
        """Train every network that still learns for an epoch; in the end bring each back to its best."""
        if not self.active.any():
            return
        knobs, task = self.knobs, self.task
        order = torch.randperm(len(task.x), generator=self.rng)
        losses = self.nets.epoch(task.x, task.targets, order, knobs.batch_size, self.active)
        self.epochs += self.active
        judged, tested = task.rmse(self.nets, self.active)
        self.train_rmse = np.where(self.active, np.sqrt(losses) * task.scale, self.train_rmse)
        if knobs.patience:
            better = self.active & (judged < self.best)
            self.nets.remember(better)
            self.best, self.kept = np.where(better, judged, self.best), np.where(better, tested, self.kept)
            self.waited = np.where(better, 0, self.waited + self.active)
            self.active = self.active & (self.waited < knobs.patience)
        else:
            self.kept = tested
        if last or not self.active.any():
            self.active = np.zeros_like(self.active)
            if knobs.patience:
                self.nets.recall()
        self.test_rmse = np.where(self.active, tested, self.kept)


@lesson.experiment
def train(knobs: DepthKnobs, device: torch.device) -> Iterator[Frame]:
    """Train all networks of all repeats epoch by epoch, until the last of them has stopped."""
    repeats = [Repeat(knobs, knobs.seed + i, device) for i in range(knobs.seeds)]
    look = Look(knobs, repeats)
    every, surface_every = max(1, knobs.epochs // FRAMES), max(1, knobs.epochs // SURFACES)
    yield look.frame(0, surfaces=True)
    for epoch in range(1, knobs.epochs + 1):
        for repeat in repeats:
            repeat.epoch(last=epoch == knobs.epochs)
        over = not any(repeat.active.any() for repeat in repeats)
        if over or epoch % every == 0:
            yield look.frame(epoch, surfaces=over or epoch % surface_every == 0, over=over)
        if over:
            return


def _init(knobs: DepthKnobs, hidden: Hidden) -> Init:
    """Return the law of a network's weights: notebook 000 had zero for deep ones, "random_uniform" for single layers."""
    return uniform(0.05) if knobs.init == "zero" and len(hidden) == 1 else INITS[knobs.init]


def normed(knobs: DepthKnobs) -> list[bool]:
    """Return which networks have batch norm, (nets,) of bool."""
    if knobs.batch_norm == "deep nets only":
        return [len(hidden) > 1 for hidden in nets_of(knobs)]
    return [knobs.batch_norm != "none"] * len(nets_of(knobs))


class Look:
    """What is drawn of the networks at one moment. It changes nothing about them."""

    def __init__(self, knobs: DepthKnobs, repeats: Sequence[Repeat]) -> None:
        self.knobs, self.repeats = knobs, repeats
        self.task, self.nets = repeats[0].task, repeats[0].nets  # whose surfaces are drawn
        self.layout = Layout(knobs)
        self.grid, self.truth = self.task.seen(square()), eggholder(square(), knobs.surface)

    def frame(self, epoch: int, *, surfaces: bool, over: bool = False) -> Frame:
        """Return errors of every network; now and then the surface that one of each depth has learned."""
        layout = self.layout
        test_rmse, train_rmse, epochs, seconds = (
            np.stack(each, axis=1)  # (nets, seeds)
            for each in zip(
                *((each.test_rmse, each.train_rmse, each.epochs, each.nets.seconds) for each in self.repeats),
                strict=True,
            )
        )
        error, time = test_rmse.mean(axis=1), seconds.mean(axis=1)
        timed = np.where(time > 0, time, np.nan)  # a logarithmic axis has no 0
        pictures = {
            "rmse": layout.by_depth(error),
            "rmse_by_units": layout.mean_by(layout.units, error),
            "rmse_by_parameters": layout.mean_by(layout.parameters, error),
            "seconds": layout.by_depth(timed),
            "seconds_by_parameters": layout.mean_by(layout.parameters, timed),
        }
        if self.knobs.seeds > 1:
            pictures["rmse_above"] = layout.by_depth(test_rmse.max(axis=1) - error)
            pictures["rmse_below"] = layout.by_depth(error - test_rmse.min(axis=1))
        if epoch == 0:
            pictures["mean_line"] = np.full(2, np.mean([each.task.y_test.std() for each in self.repeats]))
            found = [[each.task.random_features(spread) for each in self.repeats] for spread in (False, True)]
            pictures["random_features"] = np.array(found)  # (biases, seeds)
            pictures["random_line"] = np.full(2, np.mean(found[1]))
        if surfaces:
            learned = self.learned(test_rmse[:, 0])
            pictures["learned"] = learned.astype("f2")
            pictures["error"] = (learned - self.truth.reshape(GRID, GRID)).astype("f2")
        if over:
            pictures["seconds_per_epoch"] = (seconds / epochs).mean(axis=1)
            pictures["largest_kernel"] = np.array(
                [
                    max(np.abs(each).max() for repeat in self.repeats for each in repeat.nets.weights(i))
                    for i in range(len(layout.hidden))
                ]
            )
        # One number a net where there is one seed, else one for each seed.
        curves = {"train_rmse": train_rmse, "test_rmse": test_rmse}
        curves = {name: values.squeeze(axis=1) if values.shape[1] == 1 else values for name, values in curves.items()}
        return Frame(epoch, curves, pictures, 1.0 if over else 0.999 * epoch / self.knobs.epochs)

    def learned(self, test_rmse: Array) -> Array:
        """Return what the network of each depth with the lowest test error makes of the square, (depths, GRID, GRID).

        It is chosen to be looked at; no number rests on it. NaN where all have diverged.
        """
        found = np.full((len(self.layout.depths), GRID, GRID), np.nan)
        chosen = {}
        for row, depth in enumerate(self.layout.depths):
            of_depth = np.where(self.layout.depth == depth, np.nan_to_num(test_rmse, nan=np.inf), np.inf)
            if np.isfinite(of_depth).any():
                chosen[row] = int(of_depth.argmin())
        active = np.isin(np.arange(len(test_rmse)), list(chosen.values()))
        outputs = self.nets.predict(self.grid, active) * self.task.scale + self.task.centre
        for row, i in chosen.items():
            found[row] = outputs[i].reshape(GRID, GRID)
        return found.clip(-9e3, 9e3)  # half precision ends at 65,504


class Layout:
    """Where each network stands in the charts: its depth, its units, its parameters."""

    def __init__(self, knobs: DepthKnobs) -> None:
        self.hidden = nets_of(knobs)
        self.names = series(knobs)
        self.depth = np.array([len(each) for each in self.hidden])
        self.depths = sorted(set(self.depth.tolist()))
        self.units = np.array([sum(each) for each in self.hidden])
        self.parameters = np.array(
            [parameters(2, each, norm) for each, norm in zip(self.hidden, normed(knobs), strict=True)]
        )

    def by_depth(self, values: Array) -> Array:
        """Return `values` (nets,) in one row per depth, (depths, nets); NaN elsewhere."""
        return np.array([np.where(self.depth == depth, values, np.nan) for depth in self.depths], dtype="f4")

    def mean_by(self, x: Array, values: Array) -> Array:
        """Return the mean over the networks of a depth at each distinct x, (depths, distinct x); NaN where there is none."""
        rows = []
        for depth in self.depths:
            sets = [values[(self.depth == depth) & (x == each)] for each in np.unique(x)]
            rows.append([each.mean() if len(each) else np.nan for each in sets])
        return np.array(rows, dtype="f4")


lesson.shown(eggholder, Task, train, Assorted.epoch)


@lesson.cost
def cost(knobs: DepthKnobs) -> Cost:
    """Matrix products of all but the first and the last layer, a few passes over the activations, and the random units."""
    layout = Layout(knobs)
    seen = TRAIN * knobs.samples * knobs.epochs
    looks = 2 * (1 - TRAIN) * knobs.samples * knobs.epochs
    flops = knobs.seeds * float(layout.parameters.sum()) * (6 * seen + 2 * looks)
    numbers = knobs.seeds * float(layout.units.sum()) * (20 * seen + 5 * looks)
    steps = knobs.seeds * math.ceil(TRAIN * knobs.samples / knobs.batch_size) * knobs.epochs
    held = 4.0 * float(layout.units.sum()) * 3 * max(knobs.batch_size, 250) + 40.0 * float(layout.parameters.sum())
    outputs = 16.0 * len(layout.hidden) * knobs.samples * 2 * (1 - TRAIN)
    memory = 8.0 * RANDOM_UNITS * 1.4 * FITTED + knobs.seeds * (held + 60.0 * knobs.samples) + outputs + 1e8
    fitted = min(FITTED, TRAIN * knobs.samples)
    flops += knobs.seeds * 4.0 * RANDOM_UNITS**2 * (fitted + 25 * RANDOM_UNITS)
    numbers += knobs.seeds * 12.0 * RANDOM_UNITS * fitted
    return Cost(flops, numbers, 2.0 * steps * len(layout.hidden), memory)


@lesson.script_settings
def settings(knobs: DepthKnobs) -> Mapping[str, Any]:
    """Give the script the networks by name, families written out."""
    return {**knobs.model_dump(), "architectures": tuple(series(knobs))}


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: DepthKnobs) -> Iterator[Panel]:
    """Errors by units and parameters, the surfaces, learning curves, and time."""
    layout = Layout(knobs)
    repeated = knobs.seeds > 1
    seeds = f" Dots are means over {knobs.seeds} seeds, bars reach from the lowest to the highest." if repeated else ""
    error = axis("test RMSE", range=(0, 1.15 * TARGET_SD))
    units, count = (_around(x, title) for x, title in ((layout.units, "hidden units"), (layout.parameters, "trainable parameters")))  # fmt: skip
    epochs = np.array([0, knobs.epochs])
    yield chart(
        "Error by units",
        "Test error of every network against its units, one colour per depth; the line is the mean of networks with equally many units. A network that has learned nothing stands on the upper dotted line; on the lower one stand 512 random units that are never trained, with spread biases and a least-squares output."
        + seeds,
        [*_levels(layout.units), *_notebook(layout), *_dots(layout, layout.units, "rmse", "rmse_by_units", repeated)],
        x=units,
        y=error,
    )
    yield _surfaces_panel(layout, knobs)
    yield chart(
        "Learning curves",
        "Test error of every network over the epochs, one colour per depth; a line that goes level has stopped at its best.",
        [*_levels(epochs), *_curves(layout, "test_rmse", repeated)],
        x=axis("epochs", range=(0, knobs.epochs)),
        y=error,
    )
    yield chart(
        "Error by parameters",
        "Test error of every network against its trainable parameters; running statistics of batch norm are none of them."
        + seeds,
        [*_levels(layout.parameters), *_dots(layout, layout.parameters, "rmse", "rmse_by_parameters", repeated)],
        x=count,
        y=error,
    )
    yield chart(
        "Training error",
        "Error on the training points while they are learned: far below the test error, a network memorizes them.",
        [*_levels(epochs), *_curves(layout, "train_rmse", repeated)],
        x=axis("epochs", range=(0, knobs.epochs)),
        y={**error, "title": {"text": "train RMSE"}},
    )
    beside = [(x, y) for x, y in NOTEBOOK_SECONDS if layout.parameters.min() <= x <= layout.parameters.max()]
    theirs = [_points(beside, "notebooks 000 and 004", "x-thin-open")] if beside else []
    yield chart(
        "Training time",
        "Seconds that each network's training took so far, its own clock, against its parameters. The only chart that differs between equal runs. The notebooks' seconds are those of their machines and epochs.",
        [*theirs, *_dots(layout, layout.parameters, "seconds", "seconds_by_parameters")],
        x=count,
        y=axis("seconds", log=True, tickformat="~g", nticks=8, dtick=None),
    )  # fmt: skip


def _around(x: Array, title: str) -> dict[str, Any]:
    """Return a logarithmic axis that shows all of x."""
    return axis(title, log=True, range=(x.min() / 1.3, x.max() * 1.3), tickformat="~s", nticks=8, dtick=None)


def _levels(x: Array) -> list[AnyTrace]:
    """Return the error of predicting the mean, and that of random units."""
    ends = [float(x.min()) / 2, float(x.max()) * 2]

    def line(name: str, table: str) -> Switch:
        style = {"color": FAINT, "dash": "dot", "width": 1.5}
        return Switch(Scatter(x=ends, mode="lines", name=name, line=style, meta={"reference": True}), {"y": table})

    return [line("predict the mean", "mean_line"), line("512 random units, untrained", "random_line")]


def _notebook(layout: "Layout") -> list[Still]:
    """Return what notebook 004 printed for these networks, and its means over networks with equally many units."""
    seen = [(x, NOTEBOOK_RMSE[name]) for x, name in zip(layout.units, layout.names, strict=True) if name in NOTEBOOK_RMSE]  # fmt: skip
    means = [(x, y) for x, depth, y in NOTEBOOK_MEANS if depth in layout.depths and x in layout.units]
    kinds = ((seen, "notebook 004", "x-thin-open"), (means, "notebook 004, printed means", "square-open"))
    return [_points(points, name, symbol) for points, name, symbol in kinds if points]


def _points(points: Sequence[tuple[float, float]], name: str, symbol: str) -> Still:
    x, y = zip(*points, strict=True)
    return reference(x, y, name, mode="markers", marker={"symbol": symbol, "size": 8, "color": FAINT})


def _dots(layout: Layout, x: Array, each: str, mean: str, bars: bool = False) -> list[Grow | Switch | Still]:
    """Return a dot per network and a mean line per depth; bars reach over the seeds of each network."""
    drawn: list[Grow | Switch | Still] = []
    for row, depth in enumerate(layout.depths):
        colour, name = COLOURS[depth - 1], LAYERS[depth - 1]
        dots = Scatter(
            x=x,
            text=layout.names,
            name=name,
            mode="markers",
            marker={"color": colour, "size": 7, "opacity": 0.75},
            hovertemplate="%{text}: %{y:.1f}<extra></extra>",
            legendgroup=name,
            showlegend=False,
        )
        moves: dict[str, str | tuple[str, int]] = {"y": (each, row)}
        if bars:
            dots["error_y"] = {"type": "data", "symmetric": False, "thickness": 1, "width": 2}
            moves |= {"error_y.array": (f"{each}_above", row), "error_y.arrayminus": (f"{each}_below", row)}
        line = Scatter(
            x=np.unique(x),
            name=name,
            mode="lines",
            connectgaps=True,
            line={"color": colour, "dash": DASHES[depth - 1], "width": 2},
            meta={"label": name},
            legendgroup=name,
        )
        drawn += [Switch(dots, moves), Switch(line, {"y": (mean, row)})]
    return drawn


def _curves(layout: Layout, curve: str, repeated: bool) -> list[Grow]:
    """Return a line per network, the mean over its seeds; few have labels, and bands from the lowest seed to the highest."""
    few = len(layout.hidden) <= 12
    seen: set[int] = set()
    drawn: list[Grow] = []
    for i, (name, depth) in enumerate(zip(layout.names, layout.depth.tolist(), strict=True)):
        line = Scatter(
            name=name if few else LAYERS[depth - 1],
            mode="lines",
            line={"color": COLOURS[depth - 1], "dash": DASHES[depth - 1], "width": 2 if few else 1},
            opacity=1.0 if few else 0.5,
            legendgroup=str(depth),
            showlegend=few or depth not in seen,
            meta={"label": name} if few else None,
        )
        seen.add(depth)
        band = spread(curve, curve, i, COLOURS[depth - 1], str(depth)) if few and repeated else []
        drawn += [*band, Grow(line, curve, i)]
    return drawn


def _surfaces_panel(placed: Layout, knobs: DepthKnobs) -> Panel:
    """Return the true surface, and below each other what a network of each depth has learned and where it errs."""
    side = np.linspace(-EDGE, EDGE, GRID)
    columns = len(placed.depths) + 1
    look: dict[str, Any] = {"x": side, "y": side, "zmin": -960, "zmax": 960, "colorscale": "RdBu", "zsmooth": "best"}
    truth = Heatmap(
        z=eggholder(square(), knobs.surface).reshape(GRID, GRID).astype("f4"),
        name="true surface",
        showscale=False,
        **look,
    )
    traces: list[Grow | Switch | Still] = [Still(truth)]
    layout: dict[str, Any] = {"annotations": []}
    gap = 0.02

    def place(number: int, column: int, row: int, title: str) -> None:
        left, width = column / columns, 1 / columns
        low, high = (0.55, 0.95) if row == 0 else (0.0, 0.40)
        suffix = "" if number == 1 else str(number)
        hidden = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
        layout[f"xaxis{suffix}"] = {**hidden, "domain": [left, left + width - gap], "anchor": f"y{suffix}"}
        layout[f"yaxis{suffix}"] = {**hidden, "domain": [low, high], "anchor": f"x{suffix}"}
        layout["annotations"].append(
            {
                "text": title, "x": left + (width - gap) / 2, "y": high, "xref": "paper", "yref": "paper",
                "xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 12},
            }
        )  # fmt: skip

    place(1, 0, 0, "true surface")
    number = 1
    for row, picture in enumerate(("learned", "error")):
        for k, depth in enumerate(placed.depths):
            number += 1
            title = f"{LAYERS[depth - 1]}" if row == 0 else "its error"
            place(number, k + 1, row, title)
            scale = number == 2
            heat = Heatmap(
                name=title, xaxis=f"x{number}", yaxis=f"y{number}", showscale=scale, **look,
                colorbar={"x": 0.0, "y": 0.2, "len": 0.45, "xanchor": "left", "thickness": 10, "tickvals": [-900, 0, 900]} if scale else None,
            )  # fmt: skip
            traces.append(Switch(heat, {"z": (picture, k)}))
    return Panel(
        "The surface, learned",
        "The true surface, what the network of each depth with the lowest test error has made of it so far, and below where it errs: white is right, blue too high, red too low. Of several seeds, the first.",
        traces,
        layout,
    )


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[DepthKnobs]) -> Iterator[Fact]:
    """Yield errors in the surface's units; of networks that stop early, at their best.

    The lowest error of a depth is the luckiest of its networks: claims rest on means over the networks of a depth.
    """
    layout = Layout(result.knobs)
    line = result.recording.picture("mean_line")
    sd = float(line[0]) if line is not None else None
    yield Fact("target_sd", "", sd)
    test = errors(result)
    for depth in layout.depths:
        own = test[layout.depth == depth]
        best = np.nan_to_num(own.mean(axis=1), nan=np.inf).min()
        yield Fact("best_test_rmse", LAYERS[depth - 1], best)
        yield Fact("best_r2", LAYERS[depth - 1], 1 - (best / sd) ** 2 if sd else None)
        yield mean("mean_test_rmse", LAYERS[depth - 1], own.mean(axis=0))
    for shallow, deep in pairwise(layout.depths):
        gain = test[layout.depth == shallow].mean(axis=0) - test[layout.depth == deep].mean(axis=0)
        yield mean("gain", f"{LAYERS[deep - 1]} over {LAYERS[shallow - 1]}", gain)
    if result.recording.picture("random_features") is not None:
        for name, row in zip(("zero biases", "spread biases"), result.table("random_features"), strict=True):
            yield mean("random_features_rmse", name, row)
    seconds = result.recording.picture("seconds")
    for i, name in enumerate(layout.names):
        yield Fact("parameters", name, float(layout.parameters[i]))
        row = layout.depths.index(len(layout.hidden[i]))
        yield Fact("train_seconds", name, None if seconds is None else seconds[row, i])


def errors(result: Result[DepthKnobs]) -> Array:
    """Return the test RMSE of every network, (nets, seeds); NaN where it diverged."""
    return result.last("test_rmse").reshape(len(result.series), -1)


# ---- claims --------------------------------------------------------------------------------------------------------

REPEATED = Needs.at_least("seeds", 3)
SURFACE = Needs.settings("the true surface", surface="eggholder")
TRAINED = Needs("weights that do not start from zero", lambda knobs: knobs.init != "zero", change=lambda knobs: {"init": "he"})  # fmt: skip
FAIR = Needs(
    "scaled inputs and targets, and networks that differ in shape alone",
    lambda knobs: knobs.scale_targets and knobs.scale_inputs != "none" and knobs.batch_norm != "deep nets only",
    change=lambda knobs: {"scale_targets": True, "scale_inputs": "standardised", "batch_norm": "none"},
)
LEARNED = Needs("a network that explains half of the variance", result=lambda result: bool(np.nanmin(errors(result).mean(axis=1), initial=np.inf) <= math.sqrt(0.5) * (result.fact_or_none("target_sd") or 0)))  # fmt: skip


def pair(knobs: DepthKnobs) -> tuple[Hidden, Hidden] | None:
    """Return the widest single layer and the deep network with the fewest units, if that has fewer; else None."""
    single = max((each for each in nets_of(knobs) if len(each) == 1), default=None, key=sum)
    deep = min((each for each in nets_of(knobs) if len(each) > 1), default=None, key=sum)
    return (single, deep) if single and deep and sum(deep) < sum(single) else None


FEWER = Needs("a single layer and a deeper network with fewer units", lambda knobs: pair(knobs) is not None)
DEPTHS = Needs("networks of two depths", lambda knobs: len({len(each) for each in nets_of(knobs)}) > 1)
SINGLE = Needs("a network of one layer", lambda knobs: len(nets_of(knobs)[0]) == 1)


def lower(gain: Estimate, before: str = "") -> Check:
    """Return the check of a claim that an error is lower by this gain."""
    holds = None if gain.direction is None else gain.direction == "higher"
    return Check(before + gain.sentence(".1f", "lower"), holds, "more seeds make the interval narrower")


@lesson.claim(
    "A deeper network with fewer units errs less than the widest single layer",
    expected="a test RMSE lower by an amount whose 95 % interval lies above zero",
    source="the deep network with the fewest units against the single layer with the most: neither is chosen by its error; pair by pair",
    notebook="004: 196.5 (16-16) against 287.2 (512), with batch norm in the deep one alone",
    literature="Telgarsky 2016: some functions of many layers need exponentially many units in few",
    needs=[FEWER, SURFACE, TRAINED, FAIR, LEARNED, REPEATED],
)
def fewer_units(result: Result[DepthKnobs]) -> Check:
    """The lesson's own question."""
    chosen = pair(result.knobs)
    if chosen is None:
        raise Missing("deeper network with fewer units than a single layer")
    (single, deep), test = chosen, errors(result)
    one, other = (test[result.series.index(name_of(each))] for each in chosen)
    said = f"{name_of(deep)} ({sum(deep)} units) {other.mean():.1f}, {name_of(single)} {one.mean():.1f}: "
    return lower(paired(one, other), said)


@lesson.claim(
    "Networks of each further layer err less on average",
    expected="a mean test RMSE lower by an amount whose 95 % interval lies above zero, at each step of depth",
    source="means over all networks of a depth, so that the luckiest of many is not chosen; pair by pair",
    notebook="one run of each network, batch norm in the deep ones alone",
    needs=[DEPTHS, SURFACE, TRAINED, FAIR, LEARNED, REPEATED],
)
def each_layer(result: Result[DepthKnobs]) -> Check:
    """What depth brings, layer by layer."""
    depths = [LAYERS[depth - 1] for depth in Layout(result.knobs).depths]
    if len(depths) < 2:
        raise Missing("second depth")
    gains = {f"{shallow} → {deep}": result.difference("mean_test_rmse", shallow, deep) for shallow, deep in pairwise(depths)}  # fmt: skip
    directions = {gain.direction for gain in gains.values()}
    said = "; ".join(f"{name}: {gain.sentence('.1f', 'lower')}" for name, gain in gains.items())
    return Check(said, False if "lower" in directions else None if None in directions else True, "more seeds make the intervals narrower")  # fmt: skip


@lesson.claim(
    "A single layer can do better than training makes it: 512 random units, never trained, err less",
    expected="a test RMSE lower than that of the best trained single layer by an amount whose 95 % interval lies above zero",
    source="biases uniform within ±√6 and a least-squares output, on the same points; of the trained ones the lowest of each seed",
    notebook="004 concludes from trained single layers, 280.6 at best, what such networks can do",
    needs=[SINGLE, SURFACE, REPEATED],
)
def random_units(result: Result[DepthKnobs]) -> Check:
    """Approximation is not what fails."""
    random = result.samples("random_features_rmse", "spread biases")
    trained = errors(result)[Layout(result.knobs).depth == 1]
    if not len(trained):
        raise Missing("network of one layer")
    best = trained.min(axis=0)
    return lower(paired(best, random), f"{random.mean():.1f} at random, {best.mean():.1f} trained: ")


@lesson.claim(
    "With biases of zero the same random units can do little: where the folds lie decides",
    expected="a test RMSE higher than with spread biases by an amount whose 95 % interval lies above zero",
    source="the same random weights with and without biases, a least-squares output, on the same points",
    needs=[SURFACE, REPEATED],
    early=True,
)
def zero_biases(result: Result[DepthKnobs]) -> Check:
    """The cause of what looked like a single layer's limit."""
    zero, spread_out = (result.samples("random_features_rmse", f"{name} biases") for name in ("zero", "spread"))
    return lower(paired(zero, spread_out), f"{zero.mean():.1f} with zero, {spread_out.mean():.1f} with spread biases: ")


@lesson.claim(
    "The surface is the Eggholder function: its lowest point is where the literature has it",
    expected=f"{LOWEST[0]} ± 0.001",
    source="computed",
    literature="-959.6407 at (512, 404.2319)",
    notebook="000 has x₀ where x₁ belongs, and lost a square root",
    early=True,
)
def minimum(result: Result[DepthKnobs]) -> Check:
    """The formula."""
    value = float(eggholder(np.array([LOWEST[1]]))[0])
    return Check(f"f(512, 404.2319) = {value:.4f}", abs(value - LOWEST[0]) < 1e-3)


def sd_error(knobs: DepthKnobs) -> float:
    """Return three standard errors of the standard deviation of the test points."""
    points = round((1 - TRAIN - VALIDATION) * knobs.samples) * knobs.seeds
    return 3 * TARGET_SD * math.sqrt((KURTOSIS - 1) / (4 * points))


@lesson.claim(
    "A network that predicts the mean errs by the standard deviation of the surface, about 298: the line in every chart",
    expected=lambda knobs: f"298 ± {sd_error(knobs):.1f}, three standard errors for so many test points",
    source="a million points of the surface: 298.0",
    notebook="000's “RMSE” of 88,273 is an MSE, and its root is 297: nothing was learned",
    needs=[SURFACE, Needs.at_most("noise", 1), Needs.at_least("samples", 10_000)],
    early=True,
)
def standard_deviation(result: Result[DepthKnobs]) -> Check:
    """The line of the mean."""
    sd = result.fact("target_sd")
    return Check(f"{sd:.1f}", abs(sd - TARGET_SD) <= sd_error(result.knobs))


@lesson.claim(
    "Deep networks that start from zero learn nothing: no weight ever moves, and they predict the mean",
    expected="weights exactly 0, R² within ±0.01",
    source="each unit's gradient is the product of weights that are 0",
    notebook="000's errors agree with the variance of its target to three digits; it concluded that deep networks overfit",
    needs=[Needs.settings(init="zero"), Needs("a network of two layers or more", lambda knobs: len(nets_of(knobs)[-1]) > 1)],
    shown=lambda knobs: knobs.init == "zero",
)  # fmt: skip
def zero_weights(result: Result[DepthKnobs]) -> Check:
    """Notebook 000."""
    deep = Layout(result.knobs).depth > 1
    kernels, r2 = result.table("largest_kernel")[deep], 1 - np.square(errors(result)[deep] / result.fact("target_sd"))
    if not len(kernels):
        raise Missing("network of two layers")
    said = f"largest weight {np.abs(kernels).max():g}, R² {r2.min():.4f} … {r2.max():.4f}"
    return Check(said, not kernels.any() and bool((np.abs(r2) <= 0.01).all()))


@lesson.claim(
    "An epoch of the largest network takes longer than one of the smallest, but less than in proportion to their parameters",
    expected="between 1 and the ratio of their parameters",
    source="each network's own clock, from its own start",
    notebook="001 summed one clock over all its networks, so that each later one seemed slower; 000 lost its first point",
    needs=[
        Needs("networks of which one has eight times another's parameters", lambda knobs: np.ptp(np.log(Layout(knobs).parameters)) >= math.log(8)),
        Needs(f"{TIMED:,} samples over all epochs, which a clock can time", lambda knobs: knobs.samples * knobs.epochs >= TIMED),
    ],
)  # fmt: skip
def time_grows(result: Result[DepthKnobs]) -> Check:
    """What a larger network costs."""
    count, each = Layout(result.knobs).parameters, result.table("seconds_per_epoch")
    large, small = int(count.argmax()), int(count.argmin())
    times, factor = float(each[large] / each[small]), count[large] / count[small]
    return Check(f"{times:.0f} times the time for {factor:.0f} times the parameters", 1 < times < factor)


@lesson.outcome
def outcome(result: Result[DepthKnobs]) -> str | None:
    """Tell the mean error of each depth beside the two lines."""
    known = [(name, value) for name in LAYERS if result.has("mean_test_rmse", name) and (value := result.fact_or_none("mean_test_rmse", name)) is not None]  # fmt: skip
    if len(known) < 2:
        return None
    said = ", ".join(f"{name} {value:.0f}" for name, value in known)
    said = f"Mean test RMSE by depth: {said}; predicting the mean errs by {result.fact('target_sd'):.0f}"
    if not result.has("random_features_rmse", "spread biases"):
        return f"{said}."
    return f"{said}, 512 random units that are never trained by {result.fact('random_features_rmse', 'spread biases'):.0f}."  # fmt: skip
