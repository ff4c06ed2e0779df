"""Does a deeper net need fewer units? (notebooks 000, 001 and 004)

Nets of one, two and three hidden layers learn the Eggholder surface from noisy samples, all of them side by side: the
same examples in the same order, so that they differ in shape alone. A net that has learned nothing predicts the mean,
and its error is then the spread of the target: that line stands in every chart.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import AfterValidator, model_validator
from torch import Tensor

from core import prose
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, clip, knob
from core.lesson_v1 import Facts, Lesson, finite
from core.narrator import Diverges, Levels, Overfits, Watch
from core.nets import INITS, Init, uniform
from core.panels import COLOURS, DASHES, FAINT, Grow, Panel, Still, Switch, reference, spread
from core.traces import Heatmap, Scatter
from core.training.assorted import Assorted, parameters

Hidden = tuple[int, ...]

EDGE = 512.0  # of the square on which the surface is defined
LOWEST = -959.6407, (512.0, 404.2319)  # the surface's minimum, and where it lies (Jamil & Yang 2013)
TRAIN, VALIDATION = 0.8, 0.1  # shares of the samples; the rest is the test set
GRID = 40  # points along each side of a drawn surface
FRAMES, SURFACES = 200, 25  # at most: frames in all, and those that carry surfaces
MOST_LAYERS, MOST_UNITS, MOST_NETS = 6, 512, 160
ENOUGH = 3  # seeds that may decide whether a difference is chance
CURVES = ("test_rmse", "train_rmse")
SPREAD = 298.0  # standard deviation of the surface over the square, for axes before the data are drawn
TIMED = 100_000  # samples over all epochs before times are compared: fewer take a clock's own resolution
KURTOSIS = 2.90  # of its heights there: says how far the spread of some points may lie from that of all
LAYERS = ("1 layer", "2 layers", "3 layers", "4 layers", "5 layers", "6 layers")
NOTEBOOK_RMSE: Mapping[str, float] = {  # notebook 004's table, as far as it is printed
    "16": 294.535, "32": 286.858, "64": 288.384, "128": 280.637, "256": 283.629, "512": 287.170, "16-16": 196.520,
    "16-32": 162.905, "16-64": 179.191, "16-128": 149.791, "16-256": 140.212, "32-16": 213.370, "32-32": 183.775,
    "32-64": 162.610, "32-128": 130.527, "32-256": 111.450, "64-16": 190.546, "64-32": 161.412, "64-64": 146.507,
    "64-128": 146.441,
}  # fmt: skip


def name_of(hidden: Hidden) -> str:
    """How an architecture is called: "32-256"."""
    return "-".join(map(str, hidden))


def _up_to(layers: int) -> tuple[Hidden, ...]:
    """Notebook 004's nets of so many layers: powers of two from 16 to 512, at most 512 units in all."""
    return tuple(each for each in product((16, 32, 64, 128, 256, 512), repeat=layers) if sum(each) <= MOST_UNITS)


FAMILIES: Mapping[str, tuple[Hidden, ...]] = {
    "one layer": _up_to(1),
    "two layers": _up_to(2),
    "three layers": _up_to(3),
    "all 143": _up_to(1) + _up_to(2) + _up_to(3),
    "notebook 000": (
        *((32,), (64,), (128,), (256,), (512,)),
        *((128, 128), (32, 256), (64, 256), (128, 256), (256, 256)),
        *((32, 32, 256), (32, 64, 256), (64, 64, 256), (32, 128, 256), (64, 128, 256)),
    ),
    "notebook 001": (
        *((16,), (32,), (64,), (128,), (256,), (400,)),
        *((128, 16), (32, 16), (256, 128), (16, 16), (128, 32)),
        *((128, 16, 16), (32, 16, 32), (128, 128, 64)),
    ),
}


def architecture(text: str) -> str:
    """A family's name, or widths with hyphens between, "32-256"; `ValueError` where it is neither."""
    if text.strip().lower() in FAMILIES:
        return text.strip().lower()
    widths = text.replace("x", "-").split("-")
    if not all(width.strip().isdecimal() and len(width) < 6 for width in widths):
        raise ValueError(
            f"{clip(text, 30)} is no architecture: write widths with hyphens, such as 32-256, or one of "
            f"{', '.join(FAMILIES)}"
        )
    hidden = tuple(int(width) for width in widths)
    if len(hidden) > MOST_LAYERS or min(hidden) < 1 or sum(hidden) > MOST_UNITS:
        raise ValueError(
            f"{clip(text, 30)} has {len(hidden)} layers and {sum(hidden)} units: 1 … {MOST_LAYERS} layers of 1 unit or "
            f"more, {MOST_UNITS} units in all, can be trained"
        )
    return name_of(hidden)


class DepthKnobs(Knobs):
    """What may be turned."""

    architectures: tuple[Annotated[str, AfterValidator(architecture)], ...] = knob(("64", "512", "64-128", "32-256", "64-256", "32-32-32", "64-64-64", "128-128-64"), "the nets: widths of their hidden layers, such as 32-256, or a family such as all 143", most=40, stops=(*FAMILIES, "64", "256", "512", "64-64", "128-128", "32-256", "64-64-64", "128-128-64"), shown=True)  # fmt: skip
    samples: int = knob(20_000, "points drawn from the surface; four fifths train, a tenth decides when to stop, a tenth tests", 200, 200_000, stops=(1000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000), shown=True)  # fmt: skip
    epochs: int = knob(60, "at most so many passes over the training points", 1, 2000, stops=(5, 10, 20, 40, 60, 100, 200, 500, 1000, 2000), shown=True)  # fmt: skip
    scale_targets: bool = knob(True, "whether the surface is brought to mean 0 and spread 1 for the nets; errors are shown in its own units", shown=True)  # fmt: skip
    scale_inputs: Literal["none", "by 512", "standardised"] = knob("standardised", "what the nets see of the coordinates: as they are, ±1, or with spread 1")  # fmt: skip
    init: Literal["zero", "he", "glorot"] = knob("he", "how weights start; zero is notebook 000's way for deep nets, its single layers start within ±0.05", label="initialization")  # fmt: skip
    batch_norm: Literal["none", "after activation", "deep nets only"] = knob("none", "normalise what leaves each hidden layer; the notebooks did so in deep nets only, and took its effect for depth's")  # fmt: skip
    optimizer: Literal["sgd", "momentum", "nesterov", "adam", "nadam"] = knob("adam", "how a gradient becomes a step")
    learning_rate: float = knob(0.003, "how far each step moves the weights", 1e-5, 1.0, stops=(1e-5, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0))  # fmt: skip
    batch_size: int = knob(250, "points averaged into one step", 10, 10_000, stops=(50, 100, 250, 500, 1000, 5000))
    patience: int = knob(0, "epochs without a better score after which a net stops and goes back to its best; 0: it never stops", 0, 500, stops=(0, 5, 10, 20, 50, 100))  # fmt: skip
    judge: Literal["validation", "test"] = knob("validation", "which points decide when a net stops; the notebook asked the test set, which then tests nothing")  # fmt: skip
    noise: float = knob(0.3, "standard deviation of what is added to the surface, whose own is 298", 0.0, 300.0, stops=(0.0, 0.3, 10.0, 30.0, 100.0, 300.0))  # fmt: skip
    surface: Literal["eggholder", "as notebook 000 typed it"] = knob("eggholder", "what is learned; notebook 000 lost an index and a root on the way")  # fmt: skip
    seeds: int = knob(1, "repeats with other points, order and start: how much is chance; one leaves that open", 1, 8, stops=(1, 2, 3, 4, 5))  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(nets_of(self)) > MOST_NETS:
            raise ValueError(f"architectures name {len(nets_of(self))} nets; at most {MOST_NETS} stand side by side")
        return self


def nets_of(knobs: DepthKnobs) -> list[Hidden]:
    """The architectures that the knobs name, each once, by depth and then by units."""
    named = (FAMILIES.get(each) or (tuple(map(int, each.split("-"))),) for each in knobs.architectures)
    return sorted({hidden for family in named for hidden in family}, key=lambda each: (len(each), sum(each), each))


def series(knobs: DepthKnobs) -> list[str]:
    """One net per architecture."""
    return [name_of(hidden) for hidden in nets_of(knobs)]


def eggholder(x: Array, surface: str = "eggholder") -> Array:
    """The surface at x (points, 2), (points,); or what notebook 000 made of it."""
    first, second = x[:, 0], x[:, 1]
    left = np.sin(np.sqrt(np.abs(first / 2 + second + 47)))
    if surface == "eggholder":
        height = -(second + 47) * left - first * np.sin(np.sqrt(np.abs(first - (second + 47))))
    else:
        height = -(first + 47) * left - first * np.sin(np.abs(first - second - 47))
    return np.asarray(height)


class Task:
    """The samples, split and scaled as the nets see them."""

    def __init__(self, knobs: DepthKnobs, seed: int, device: torch.device) -> None:
        chance = np.random.default_rng(seed)
        x = chance.uniform(-EDGE, EDGE, (knobs.samples, 2))
        y = eggholder(x, knobs.surface) + knobs.noise * chance.normal(size=knobs.samples)
        ends = [int(TRAIN * knobs.samples), int((TRAIN + VALIDATION) * knobs.samples)]
        self.knobs, self.device = knobs, device
        learned = y[: ends[0]]
        self.centre, self.scale = (float(learned.mean()), float(learned.std())) if knobs.scale_targets else (0.0, 1.0)
        self.x, x_validation, x_test = (self.seen(part) for part in np.split(x, ends))
        self.y, y_validation, self.y_test = np.split(y, ends)
        self.targets = torch.from_numpy((self.y - self.centre) / self.scale).to(device, torch.float32)
        judged = (x_validation, y_validation) if knobs.judge == "validation" else (x_test, self.y_test)
        self.looked_at = torch.cat([judged[0], x_test])  # one look of the nets at both
        self.y_judge = judged[1]
        side = np.linspace(-EDGE, EDGE, GRID)
        self.grid = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)  # row by row: second coordinate, first

    def seen(self, x: Array) -> Tensor:
        """Coordinates (points, 2) as the nets see them; the standardised ones by the square's own mean and spread."""
        by = {"none": 1.0, "by 512": EDGE, "standardised": EDGE / math.sqrt(3)}[self.knobs.scale_inputs]
        return torch.from_numpy(x / by).to(self.device, torch.float32)

    def rmse(self, nets: Assorted, active: Array) -> tuple[Array, Array]:
        """Root mean square error by which nets are judged, and on the test points, in the surface's units, (nets,)."""
        outputs = nets.predict(self.looked_at, active).astype(np.float64) * self.scale + self.centre
        errors = np.square(outputs - np.concatenate([self.y_judge, self.y_test]))
        m = len(self.y_judge)
        return np.sqrt(errors[:, :m].mean(axis=1)), np.sqrt(errors[:, m:].mean(axis=1))


class Repeat:
    """One repeat of the experiment: its own points, its own order, its own nets, each of them until it stops.

    Attributes:
        active: which nets still learn, (nets,).
        test_rmse: the test error to show of each net, (nets,); of one that has stopped, at its best.
        train_rmse: the error on the training points while they were last learned, (nets,).
        epochs: how many each net was trained for, (nets,).
    """

    def __init__(self, knobs: DepthKnobs, seed: int, device: torch.device) -> None:
        hidden = nets_of(knobs)
        self.knobs, self.task = knobs, Task(knobs, seed, device)
        self.nets = Assorted(
            2, hidden, batch_norm=normed(knobs), optimizer=knobs.optimizer, lr=knobs.learning_rate, device=device
        )
        self.nets.initialise([_init(knobs, each) for each in hidden], seed)
        self.chance = torch.Generator().manual_seed(seed)
        self.active, self.waited = np.full(len(hidden), True), np.zeros(len(hidden))
        self.best, self.test_rmse = self.task.rmse(self.nets, self.active)
        self.kept = self.test_rmse
        self.nets.remember(self.active)
        self.train_rmse, self.epochs = np.full(len(hidden), np.nan), np.zeros(len(hidden))

    def epoch(self, last: bool) -> None:
        """Once over the training points with every net that still learns; in the end each as it was at its best."""
        if not self.active.any():
            return
        knobs, task = self.knobs, self.task
        order = torch.randperm(len(task.x), generator=self.chance)
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


def train(knobs: DepthKnobs, device: torch.device) -> Iterator[Frame]:
    """All nets of all repeats epoch by epoch, until the last of them has stopped."""
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
    """Notebook 000 started deep nets from zero and single layers from Keras's "random_uniform"."""
    return uniform(0.05) if knobs.init == "zero" and len(hidden) == 1 else INITS[knobs.init]


def normed(knobs: DepthKnobs) -> list[bool]:
    """Which nets have batch norm."""
    if knobs.batch_norm == "deep nets only":
        return [len(hidden) > 1 for hidden in nets_of(knobs)]
    return [knobs.batch_norm != "none"] * len(nets_of(knobs))


class Look:
    """What is drawn of the nets at one moment. It changes nothing about them."""

    def __init__(self, knobs: DepthKnobs, repeats: Sequence[Repeat]) -> None:
        self.knobs, self.repeats = knobs, repeats
        self.task, self.nets = repeats[0].task, repeats[0].nets  # whose surfaces are drawn
        self.charts = Charts(knobs)
        self.grid, self.truth = self.task.seen(self.task.grid), eggholder(self.task.grid, knobs.surface)

    def frame(self, epoch: int, *, surfaces: bool, over: bool = False) -> Frame:
        """Errors of every net; now and then the surface that the best of each depth has learned."""
        charts = self.charts
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
            "rmse": charts.by_depth(error),
            "rmse_by_units": charts.mean_by(charts.units, error),
            "rmse_by_parameters": charts.mean_by(charts.parameters, error),
            "seconds": charts.by_depth(timed),
            "seconds_by_parameters": charts.mean_by(charts.parameters, timed),
        }
        if self.knobs.seeds > 1:
            pictures["rmse_above"] = charts.by_depth(test_rmse.max(axis=1) - error)
            pictures["rmse_below"] = charts.by_depth(error - test_rmse.min(axis=1))
        if epoch == 0:
            pictures["mean_line"] = np.full(2, np.mean([each.task.y_test.std() for each in self.repeats]))
        if surfaces:
            learned = self.learned(test_rmse[:, 0])
            pictures["learned"] = learned.astype("f2")
            pictures["error"] = (learned - self.truth.reshape(GRID, GRID)).astype("f2")
        if over:
            pictures["seconds_per_epoch"] = (seconds / epochs).mean(axis=1)
            pictures["largest_kernel"] = np.array(
                [
                    max(np.abs(each).max() for repeat in self.repeats for each in repeat.nets.weights(i))
                    for i in range(len(charts.hidden))
                ]
            )
        # One number a net where there is one seed, else one for each seed.
        curves = {"train_rmse": train_rmse, "test_rmse": test_rmse}
        curves = {name: values.squeeze(axis=1) if values.shape[1] == 1 else values for name, values in curves.items()}
        return Frame(epoch, curves, pictures, 1.0 if over else 0.999 * epoch / self.knobs.epochs)

    def learned(self, test_rmse: Array) -> Array:
        """What the best net of each depth makes of the square, (depths, GRID, GRID); nan where all have diverged."""
        found = np.full((len(self.charts.depths), GRID, GRID), np.nan)
        chosen = {}
        for row, depth in enumerate(self.charts.depths):
            of_depth = np.where(self.charts.depth == depth, np.nan_to_num(test_rmse, nan=np.inf), np.inf)
            if np.isfinite(of_depth).any():
                chosen[row] = int(of_depth.argmin())
        active = np.isin(np.arange(len(test_rmse)), list(chosen.values()))
        outputs = self.nets.predict(self.grid, active) * self.task.scale + self.task.centre
        for row, i in chosen.items():
            found[row] = outputs[i].reshape(GRID, GRID)
        return found.clip(-9e3, 9e3)  # half precision ends at 65,504


class Charts:
    """Where each net stands in the charts: its depth, its units, its parameters."""

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
        """`values` (nets,) in one row per depth, (depths, nets); nan elsewhere."""
        return np.array([np.where(self.depth == depth, values, np.nan) for depth in self.depths], dtype="f4")

    def mean_by(self, x: Array, values: Array) -> Array:
        """For each depth, the mean over the nets at each distinct x, (depths, distinct x); nan where there is none."""
        rows = []
        for depth in self.depths:
            sets = [values[(self.depth == depth) & (x == each)] for each in np.unique(x)]
            rows.append([each.mean() if len(each) else np.nan for each in sets])
        return np.array(rows, dtype="f4")


# ---- what is shown -----------------------------------------------------------------------------------------------


def panels(knobs: DepthKnobs) -> list[Panel]:
    """Errors by units and parameters, the surfaces, learning curves, and time."""
    charts = Charts(knobs)
    top = {"range": [0, 1.15 * SPREAD], "title": {"text": "test RMSE"}}
    repeated = knobs.seeds > 1
    seeds = f" Dots are means over {knobs.seeds} seeds, bars reach from the lowest to the highest." if repeated else ""
    log = {"type": "log", "tickformat": "~g", "nticks": 8}
    units = {**_around(charts.units), "title": {"text": "hidden units"}}
    count = {**_around(charts.parameters), "title": {"text": "trainable parameters"}}
    return [
        Panel(
            "Error by units",
            "Test error of every net against its units, one colour per depth; the line is the mean of nets that share their number of units. A net that has learned nothing stands on the dotted line."
            + seeds,
            [
                *_predict_the_mean(charts.units),
                *_notebook(charts),
                *_dots(charts, charts.units, "rmse", "rmse_by_units", repeated),
            ],
            {"xaxis": units, "yaxis": top},
        ),
        _surfaces_panel(charts),
        Panel(
            "Learning curves",
            "Test error of every net over the epochs, one colour per depth; a line that goes level has stopped at its best.",
            [*_predict_the_mean(np.array([0, knobs.epochs])), *_curves(charts, "test_rmse", repeated)],
            {"xaxis": {"title": {"text": "epochs"}, "range": [0, knobs.epochs]}, "yaxis": top},
        ),
        Panel(
            "Error by parameters",
            "Test error of every net against the numbers that its training moves; running statistics of batch norm are none of them."
            + seeds,
            [
                *_predict_the_mean(charts.parameters),
                *_dots(charts, charts.parameters, "rmse", "rmse_by_parameters", repeated),
            ],
            {"xaxis": count, "yaxis": top},
        ),
        Panel(
            "Training error",
            "Error on the training points while they are learned: where it lies far below the test error, a net learns them by heart.",
            [*_predict_the_mean(np.array([0, knobs.epochs])), *_curves(charts, "train_rmse", repeated)],
            {
                "xaxis": {"title": {"text": "epochs"}, "range": [0, knobs.epochs]},
                "yaxis": {**top, "title": {"text": "train RMSE"}},
            },
        ),
        Panel(
            "Training time",
            "Seconds that each net's training took so far, its own clock, against its parameters. The only chart that differs between equal runs.",
            _dots(charts, charts.parameters, "seconds", "seconds_by_parameters"),
            {"xaxis": count, "yaxis": {**log, "title": {"text": "seconds"}}},
        ),
    ]


def _around(x: Array) -> dict[str, Any]:
    """A logarithmic axis that shows all of x."""
    return {
        "type": "log",
        "range": [math.log10(x.min() / 1.3), math.log10(x.max() * 1.3)],
        "tickformat": "~s",
        "nticks": 8,
    }


def _predict_the_mean(x: Array) -> list[Switch]:
    line = Scatter(
        x=[float(x.min()) / 2, float(x.max()) * 2],
        mode="lines",
        name="predict the mean",
        line={"color": FAINT, "dash": "dot", "width": 1.5},
        meta={"reference": True},
    )
    return [Switch(line, {"y": "mean_line"})]


def _notebook(charts: Charts) -> list[Still]:
    """What notebook 004 printed for these nets, faint."""
    seen = [
        (x, NOTEBOOK_RMSE[name]) for x, name in zip(charts.units, charts.names, strict=True) if name in NOTEBOOK_RMSE
    ]
    if not seen:
        return []
    style = {"mode": "markers", "marker": {"symbol": "x-thin-open", "size": 8, "color": FAINT}}
    return [reference([x for x, _ in seen], [y for _, y in seen], "notebook 004", **style)]


def _dots(charts: Charts, x: Array, each: str, mean: str, bars: bool = False) -> list[Grow | Switch | Still]:
    """A dot per net and a mean line per depth; bars reach over the seeds of each net."""
    drawn: list[Grow | Switch | Still] = []
    for row, depth in enumerate(charts.depths):
        colour, name = COLOURS[depth - 1], LAYERS[depth - 1]
        dots = Scatter(
            x=x,
            text=charts.names,
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


def _curves(charts: Charts, curve: str, repeated: bool) -> list[Grow]:
    """A line per net, the mean over its seeds; few nets have labels, and bands from the lowest seed to the highest."""
    few = len(charts.hidden) <= 12
    seen: set[int] = set()
    drawn: list[Grow] = []
    for i, (name, depth) in enumerate(zip(charts.names, charts.depth.tolist(), strict=True)):
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


def _surfaces_panel(charts: Charts) -> Panel:
    """The true surface, and below each other what the best net of each depth has learned and where it errs."""
    side = np.linspace(-EDGE, EDGE, GRID)
    columns = len(charts.depths) + 1
    grid = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    look: dict[str, Any] = {"x": side, "y": side, "zmin": -960, "zmax": 960, "colorscale": "RdBu", "zsmooth": "best"}
    truth = Heatmap(z=eggholder(grid).reshape(GRID, GRID).astype("f4"), name="true surface", showscale=False, **look)
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
        for k, depth in enumerate(charts.depths):
            number += 1
            title = f"best, {LAYERS[depth - 1]}" if row == 0 else "its error"
            place(number, k + 1, row, title)
            scale = number == 2
            heat = Heatmap(
                name=title, xaxis=f"x{number}", yaxis=f"y{number}", showscale=scale, **look,
                colorbar={"x": 0.0, "y": 0.2, "len": 0.45, "xanchor": "left", "thickness": 10, "tickvals": [-900, 0, 900]} if scale else None,
            )  # fmt: skip
            traces.append(Switch(heat, {"z": (picture, k)}))
    return Panel(
        "The surface, learned",
        "The true surface, what the best net of each depth has made of it so far, and below where it errs: white is right, blue too high, red too low. Of several seeds, the first.",
        traces,
        layout,
    )


# ---- what is found -----------------------------------------------------------------------------------------------


def watches(knobs: DepthKnobs) -> list[Watch]:
    """What the narrator may tell; of 143 nets, of the first to which it happens."""
    names = [f"net {name}" for name in series(knobs)]
    return [
        Diverges("test_rmse", names, "test RMSE", ".1f"),
        Overfits("test_rmse", names, "test RMSE", ".1f", seen="train_rmse"),
        Levels("test_rmse", names, "test RMSE", ".1f"),
    ]


def facts(knobs: DepthKnobs, recording: Recording) -> Facts:
    """Errors in the surface's units, means over the seeds; of nets that stop early, at their best."""
    charts = Charts(knobs)
    line = recording.picture("mean_line")
    sd = float(line[0]) if line is not None else None
    found: dict[str, float | None] = {"target_sd": sd}
    test, trained = (recording.last(curve).reshape(len(charts.hidden), -1).mean(axis=1) for curve in CURVES)
    seconds = recording.picture("seconds")
    for depth in charts.depths:
        best = np.nanmin(np.where(charts.depth == depth, np.nan_to_num(test, nan=np.inf), np.inf))
        found[f"best_test_rmse[{LAYERS[depth - 1]}]"] = finite(best)
        found[f"best_r2[{LAYERS[depth - 1]}]"] = finite(1 - (best / sd) ** 2) if sd else None
    for shallow, deep, gain in gains(knobs, recording):
        name = f"{LAYERS[deep - 1]} over {LAYERS[shallow - 1]}"
        found[f"gain[{name}]"] = finite(gain.mean())
        found[f"gain_spread[{name}]"] = finite(gain.std(ddof=1)) if len(gain) > 1 else None
    for i, name in enumerate(charts.names):
        found[f"test_rmse[{name}]"] = finite(test[i])
        found[f"train_rmse[{name}]"] = finite(trained[i])
        found[f"parameters[{name}]"] = float(charts.parameters[i])
        row = charts.depths.index(len(charts.hidden[i]))
        found[f"train_seconds[{name}]"] = None if seconds is None else finite(seconds[row, i])
    return found


def gains(knobs: DepthKnobs, recording: Recording) -> list[tuple[int, int, Array]]:
    """Of each depth and the next one: by how much the deeper one's best net errs less, seed by seed, (seeds,).

    The nets of a seed have the same points in the same order, so that chance in these is no part of the difference.
    """
    charts = Charts(knobs)
    errors = np.nan_to_num(recording.last("test_rmse").reshape(len(charts.hidden), -1), nan=np.inf)  # (nets, seeds)
    best = np.array([errors[charts.depth == depth].min(axis=0) for depth in charts.depths])
    best[np.isinf(best)] = np.nan  # all nets of this depth have diverged
    return [(*depths, best[i] - best[i + 1]) for i, depths in enumerate(pairwise(charts.depths))]


def claims(knobs: DepthKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    true_surface = knobs.surface == "eggholder"
    learns = ended and true_surface and knobs.init != "zero"
    # A net that learns nothing, or a surface under noise, says nothing about depth.
    best = [value for name, value in found.items() if name.startswith("best_test_rmse[") and value is not None]
    learned = bool(best) and min(best) <= 0.7 * (found["target_sd"] or 0.0) and knobs.noise <= 0.1 * SPREAD
    fair = (
        learns
        and learned
        and knobs.scale_targets
        and knobs.scale_inputs != "none"
        and knobs.batch_norm != "deep nets only"
    )
    enough = knobs.samples >= 16_000 and knobs.epochs >= 20
    made = [
        _minimum(),
        _spread(knobs, found),
        _deeper(found, 3, 0.6, fair and enough),
        _deeper(found, 2, 0.75, fair and enough),
        _single_layer(knobs, found, fair and enough),
        _no_chance(knobs, recording, fair and enough),
        _notebook_nets(knobs, found, ended and learned),
        _zero(knobs, recording, found, ended),
        _time(knobs, recording, ended),
    ]
    return [claim for claim in made if claim is not None]


def _minimum() -> Claim:
    value = float(eggholder(np.array([LOWEST[1]]))[0])
    return Claim(
        "The surface is the Eggholder function: its lowest point is where the literature has it",
        f"f(512, 404.2319) = {value:.4f}",
        f"{LOWEST[0]} ± 0.001",
        abs(value - LOWEST[0]) < 1e-3,
        "computed",
        literature="-959.6407 at (512, 404.2319)",
        notebook="000 has x₀ where x₁ belongs, and lost a square root",
    )


def _spread(knobs: DepthKnobs, found: Facts) -> Claim:
    sd = found["target_sd"]
    decides = knobs.surface == "eggholder" and knobs.noise <= 1 and knobs.samples >= 10_000
    points = round((1 - TRAIN - VALIDATION) * knobs.samples) * knobs.seeds
    chance = 3 * SPREAD * math.sqrt((KURTOSIS - 1) / (4 * points))
    return Claim(
        "A net that predicts the mean errs by the spread of the surface, about 298: the line in every chart",
        f"{sd:.1f}" if sd is not None else "",
        f"298 ± {chance:.1f}, three standard errors of the spread of {points:,} test points",
        abs(sd - SPREAD) <= chance if decides and sd is not None else None,
        "a million points of the surface: 298.0",
        notebook="000's “RMSE” of 88,273 is an MSE, and its root is 297: nothing was learned",
        hint="it takes 10,000 samples or more of the true surface, without much noise",
    )


def _deeper(found: Facts, depth: int, most: float, decides: bool) -> Claim:
    one, deep = found.get("best_test_rmse[1 layer]"), found.get(f"best_test_rmse[{depth} layers]")
    number = {2: "two", 3: "three"}[depth]
    return Claim(
        f"With at most 512 units, {number} hidden layers beat one by far",
        f"{deep:.1f} against {one:.1f}: {deep / one:.2f} of it" if one and deep else "",
        f"below {most:g} of the best net of one layer",
        deep < most * one if decides and one and deep else None,
        "this lesson's nets: 25 epochs and more, scaled inputs and targets, equal epochs for all",
        notebook={
            2: "004: 111.4 (32-256) against 280.6 (128)",
            3: "001: about 26 (128-128-64); it has no fair single layer",
        }[depth],
        literature="Telgarsky 2016: some functions of many layers need exponentially many units in few",
        hint=f"it takes nets of 1 and {depth} layers, scaled inputs and targets, 16,000 samples and 20 epochs",
    )


def _single_layer(knobs: DepthKnobs, found: Facts, decides: bool) -> Claim:
    sd, one = found["target_sd"], found.get("best_test_rmse[1 layer]")
    share = (one / sd) if one and sd else None
    wide = any(len(each) == 1 and sum(each) >= 256 for each in nets_of(knobs))
    return Claim(
        "One hidden layer, however wide, stays near the line of the mean",
        f"{one:.1f} of {sd:.1f}, R² = {1 - share**2:.2f}" if share else "",
        "above 0.7 of the target's spread",
        share > 0.7 if decides and wide and share else None,
        "this lesson's nets: one layer of up to 512 units",
        notebook="004: 280.6 at best; it says that RMSE falls with units, yet 512 units did worse than 128",
        hint="it takes a net of one layer with 256 units or more, a deeper one that learns, scaled, 16,000 samples, 20 epochs",
    )


def _no_chance(knobs: DepthKnobs, recording: Recording, decides: bool) -> Claim | None:
    steps = gains(knobs, recording)
    if not steps:
        return None
    enough = knobs.seeds >= ENOUGH and all(np.isfinite(gain).all() for _, _, gain in steps)
    said = [f"{shallow} → {deep} layers: {_told(gain)}" for shallow, deep, gain in steps]
    return Claim(
        "Each layer more lowers the error of the best net by more than the spread over the seeds",
        "; ".join(said) + ("" if knobs.seeds > 1 else "; one seed: how much of that is chance is not decided"),
        f"a mean gain larger than its standard deviation, over {ENOUGH} seeds or more",
        all(gain.mean() > gain.std(ddof=1) for _, _, gain in steps)
        if decides and enough and max(Charts(knobs).depths) <= 3
        else None,
        "differences seed by seed: same points, same order",
        notebook="one run of each net, no spread",
        hint=f'it takes {ENOUGH} seeds, and nets of one to three layers: the preset "Three seeds" has them',
    )


def _told(gain: Array) -> str:
    """A gain (seeds,) in words: how much, in how many seeds, and whether that is more than chance."""
    if not np.isfinite(gain).all():
        return "a net diverged"
    more = "less" if gain.mean() > 0 else "more"
    if len(gain) == 1:
        return f"{abs(gain[0]):.1f} {more}"
    verdict = "larger than its spread" if abs(gain.mean()) > gain.std(ddof=1) else "overlap, no real difference"
    less = f"{abs(gain.mean()):.1f} ± {gain.std(ddof=1):.1f} {more}"
    return f"{less}, the deeper is ahead in {(gain > 0).sum()} of {len(gain)} seeds: {verdict}"


def _notebook_nets(knobs: DepthKnobs, found: Facts, ended: bool) -> Claim | None:
    value = found.get("test_rmse[32-256]")
    if value is None:
        return None
    alike = (knobs.scale_inputs, knobs.scale_targets, knobs.optimizer, knobs.batch_norm) == (
        "none", False, "nadam", "deep nets only",
    )  # fmt: skip
    enough = knobs.samples >= 100_000 and knobs.epochs >= 60  # the notebook's points, and what its best net takes
    return Claim(
        "The notebook's best small net, 32-256, does better once inputs and targets are scaled",
        f"{value:.1f}",
        "below the notebook's 111.4",
        value < NOTEBOOK_RMSE["32-256"] if ended and not alike and enough and knobs.init != "zero" else None,
        "notebook 004, with unscaled inputs, batch norm between the layers and Nadam, stopped on its test set",
        notebook="111.45, of one run",
        hint="scale inputs and targets, and give it the notebook's 100,000 samples, and 60 epochs",
    )


def _zero(knobs: DepthKnobs, recording: Recording, found: Facts, ended: bool) -> Claim | None:
    if knobs.init != "zero":
        return None
    kernels = recording.picture("largest_kernel")
    charts = Charts(knobs)
    sd = found["target_sd"] or 1.0
    r2 = 1 - np.square(recording.last("test_rmse").reshape(len(charts.hidden), -1) / sd)
    deep = charts.depth > 1
    moved = kernels is not None and bool(kernels[deep].any())
    return Claim(
        "Deep nets that start from zero learn nothing: no weight ever moves, and they predict the mean",
        f"largest weight {np.abs(kernels[deep]).max():g}, R² {r2[deep].min():.4f} … {r2[deep].max():.4f}"
        if kernels is not None and deep.any()
        else "",
        "weights exactly 0, R² within ±0.01",
        not moved and bool((np.abs(r2[deep]) <= 0.01).all()) if ended and kernels is not None and deep.any() else None,
        "each unit's gradient is the product of weights that are 0",
        notebook="000's errors agree with the spread of its target to three digits; it concluded that deep nets overfit",
        hint="it takes nets of two layers or more, run to their end",
    )


def _time(knobs: DepthKnobs, recording: Recording, ended: bool) -> Claim:
    count, each = Charts(knobs).parameters, recording.picture("seconds_per_epoch")
    large, small = int(count.argmax()), int(count.argmin())
    times, factor = None if each is None else float(each[large] / each[small]), count[large] / count[small]
    return Claim(
        "An epoch of a larger net takes longer, but by far less than in proportion to its parameters",
        f"{times:.0f} times the time for {factor:.0f} times the parameters" if times else "",
        "longer for the largest net than for the smallest, by less than the ratio of their parameters",
        1 < times < factor if ended and times and factor >= 8 and knobs.samples * knobs.epochs >= TIMED else None,
        "each net's own clock, from its own start",
        notebook="001 summed one clock over all its nets, so that each later net seemed slower; 000 lost its first point",
        hint=f"it takes nets of very different size, and {TIMED:,} samples over all epochs, which a clock can time",
    )


def cost(knobs: DepthKnobs) -> Cost:
    """Matrix products of all but the first and the last layer, and a few passes over the activations."""
    charts = Charts(knobs)
    seen = TRAIN * knobs.samples * knobs.epochs
    looks = 2 * (1 - TRAIN) * knobs.samples * knobs.epochs
    flops = knobs.seeds * float(charts.parameters.sum()) * (6 * seen + 2 * looks)
    numbers = knobs.seeds * float(charts.units.sum()) * (20 * seen + 5 * looks)
    steps = knobs.seeds * math.ceil(TRAIN * knobs.samples / knobs.batch_size) * knobs.epochs
    held = 4.0 * float(charts.units.sum()) * 3 * max(knobs.batch_size, 250) + 40.0 * float(charts.parameters.sum())
    outputs = 16.0 * len(charts.hidden) * knobs.samples * 2 * (1 - TRAIN)
    memory = knobs.seeds * (held + 60.0 * knobs.samples) + outputs + 1e8
    return Cost(flops, numbers, 2.0 * steps * len(charts.hidden), memory)


def shrunk(knobs: DepthKnobs) -> DepthKnobs:
    """Three tiny nets and a few points: a moment of work, everything else as it was."""
    small = {"architectures": ("4", "4-3", "3-3-3"), "samples": 400}
    few = {"epochs": min(knobs.epochs, 3), "seeds": min(knobs.seeds, 2)}
    return knobs.model_copy(update=small | few)


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    best = {layers: found.get(f"best_test_rmse[{layers}]") for layers in LAYERS}
    ranked = sorted((value, layers) for layers, value in best.items() if value is not None)
    if len(ranked) < 2:
        return None
    told = ", ".join(f"{layers} {value:.0f}" for value, layers in ranked)
    line = f"The best nets err by: {told}; predicting the mean errs by {found.get('target_sd') or 0:.0f}."
    gains = {name[len("gain[") : -1]: value for name, value in found.items() if name.startswith("gain[")}
    verdicts = []
    for name, gain in gains.items():
        spread = found.get(f"gain_spread[{name}]")
        if gain is None or spread is None:
            return f"{line} One seed: how much of that is chance is not decided."
        verdict = "larger than its spread" if abs(gain) > spread else "overlap, no real difference"
        verdicts.append(f"{name} gains {gain:.0f} ± {spread:.0f}: {verdict}")
    return f"{line} Over the seeds, {'; '.join(verdicts)}." if verdicts else line


NOTEBOOK_004 = {
    "architectures": ("all 143",), "samples": 100_000, "scale_targets": False, "scale_inputs": "none", "init": "glorot",
    "batch_norm": "deep nets only", "optimizer": "nadam", "learning_rate": 0.001, "batch_size": 1000, "epochs": 60,
    "patience": 20, "judge": "test",
}  # fmt: skip
TWENTY = (  # of the 143, from few units to many
    *("64", "128", "256", "512"),
    *("32-32", "64-64", "32-128", "128-128", "32-256", "64-256", "128-256", "256-256"),
    *("32-32-32", "64-64-64", "32-64-128", "64-64-128", "128-128-64", "64-64-256", "64-128-256", "128-128-256"),
)
PRESETS: Mapping[str, DepthKnobs] = {
    "Classroom": DepthKnobs(),
    "As the notebook ran it": DepthKnobs.parse(NOTEBOOK_004),
    "Done right": DepthKnobs(
        architectures=("all 143",), samples=100_000, epochs=60, learning_rate=0.003, batch_size=1000, patience=10
    ),
    "Three seeds": DepthKnobs(
        architectures=TWENTY, samples=50_000, epochs=40, learning_rate=0.003, batch_size=500, patience=10, seeds=3
    ),
    "As notebook 000 ran it": DepthKnobs.parse(
        {
            "architectures": ("notebook 000",),
            "samples": 100_000,
            "scale_targets": False,
            "scale_inputs": "by 512",
            "init": "zero",
            "batch_norm": "deep nets only",
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "batch_size": 1000,
            "epochs": 60,
            "surface": "as notebook 000 typed it",
        }
    ),
    "As notebook 001 ran it": DepthKnobs.parse(
        {
            "architectures": ("notebook 001",),
            "samples": 100_000,
            "batch_norm": "deep nets only",
            "init": "glorot",
            "optimizer": "nesterov",
            "learning_rate": 0.01,
            "batch_size": 1000,
            "epochs": 200,
        }
    ),
}

LESSON = Lesson(
    slug="depth-vs-width",
    prose=prose.of("depth-vs-width"),
    revision=1,
    knobs=DepthKnobs,
    presets=PRESETS,
    series=series,
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="test_rmse",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(eggholder, Task, train, Assorted.epoch),
    settings=lambda knobs: {**knobs.model_dump(), "architectures": tuple(series(knobs))},
)
