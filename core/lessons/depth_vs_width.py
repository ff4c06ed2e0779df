"""Does a deeper net need fewer units? (notebooks 000, 001 and 004)

Nets of one, two and three hidden layers learn the Eggholder surface from noisy samples, all of them side by side: the
same examples in the same order, so that they differ in shape alone. A net that has learned nothing predicts the mean,
and its error is then the spread of the target: that line stands in every chart.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any, Literal, Self

import numpy as np
import plotly.graph_objects as go
import torch
from pydantic import AfterValidator, model_validator
from torch import Tensor

from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs, clip, knob
from core.lesson import Facts, Lesson, Mistake, Prediction, finite
from core.narrator import Diverges, Levels, Overfits, Watch
from core.nets import INITS, Init, uniform
from core.panels import COLOURS, DASHES, FAINT, Grow, Panel, Still, Switch, reference
from core.training.assorted import Assorted, parameters

Hidden = tuple[int, ...]

EDGE = 512.0  # of the square on which the surface is defined
LOWEST = -959.6407, (512.0, 404.2319)  # the surface's minimum, and where it lies (Jamil & Yang 2013)
TRAIN, VALIDATION = 0.8, 0.1  # shares of the samples; the rest is the test set
GRID = 40  # points along each side of a drawn surface
FRAMES, SURFACES = 200, 25  # at most: frames in all, and those that carry surfaces
MOST_LAYERS, MOST_UNITS, MOST_NETS = 6, 512, 160
SPREAD = 298.0  # standard deviation of the surface over the square, for axes before the data are drawn
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
    samples: int = knob(20_000, "points drawn from the surface; four fifths train, a tenth decides when to stop, a tenth tests", ge=200, le=200_000, stops=(1000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000), shown=True)  # fmt: skip
    epochs: int = knob(60, "at most so many passes over the training points", ge=1, le=2000, stops=(5, 10, 20, 40, 60, 100, 200, 500, 1000, 2000), shown=True)  # fmt: skip
    scale_targets: bool = knob(True, "whether the surface is brought to mean 0 and spread 1 for the nets; errors are shown in its own units", shown=True)  # fmt: skip
    scale_inputs: Literal["none", "by 512", "standardised"] = knob("standardised", "what the nets see of the coordinates: as they are, ±1, or with spread 1")  # fmt: skip
    init: Literal["zero", "he", "glorot"] = knob("he", "how weights start; zero is notebook 000's way for deep nets, its single layers start within ±0.05", label="initialization")  # fmt: skip
    batch_norm: Literal["none", "after activation", "deep nets only"] = knob("none", "normalise what leaves each hidden layer; the notebooks did so in deep nets only, and took its effect for depth's")  # fmt: skip
    optimizer: Literal["sgd", "momentum", "nesterov", "adam", "nadam"] = knob("adam", "how a gradient becomes a step")
    learning_rate: float = knob(0.003, "how far each step moves the weights", ge=1e-5, le=1.0, stops=(1e-5, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0))  # fmt: skip
    batch_size: int = knob(
        250, "points averaged into one step", ge=10, le=10_000, stops=(50, 100, 250, 500, 1000, 5000)
    )
    patience: int = knob(0, "epochs without a better score after which a net stops and goes back to its best; 0: it never stops", ge=0, le=500, stops=(0, 5, 10, 20, 50, 100))  # fmt: skip
    judge: Literal["validation", "test"] = knob("validation", "which points decide when a net stops; the notebook asked the test set, which then tests nothing")  # fmt: skip
    noise: float = knob(0.3, "standard deviation of what is added to the surface, whose own is 298", ge=0.0, le=300.0, stops=(0.0, 0.3, 10.0, 30.0, 100.0, 300.0))  # fmt: skip
    surface: Literal["eggholder", "as notebook 000 typed it"] = knob("eggholder", "what is learned; notebook 000 lost an index and a root on the way")  # fmt: skip
    seed: int = knob(1, "where chance begins; equal knobs give an equal run", ge=0, le=2**31 - 1)

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

    def __init__(self, knobs: DepthKnobs, device: torch.device) -> None:
        chance = np.random.default_rng(knobs.seed)
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


def train(knobs: DepthKnobs, device: torch.device) -> Iterator[Frame]:
    """All nets epoch by epoch, each until it stops; then each as it was at its best."""
    task = Task(knobs, device)
    hidden = nets_of(knobs)
    nets = Assorted(
        2, hidden, batch_norm=normed(knobs), optimizer=knobs.optimizer, lr=knobs.learning_rate, device=device
    )
    nets.initialise([_init(knobs, each) for each in hidden], knobs.seed)
    look = Look(knobs, task, nets)
    every, surface_every = max(1, knobs.epochs // FRAMES), max(1, knobs.epochs // SURFACES)
    chance = torch.Generator().manual_seed(knobs.seed)
    active, waited = np.full(len(hidden), True), np.zeros(len(hidden))
    best, test = task.rmse(nets, active)
    nets.remember(active)
    train_rmse, epochs = np.full(len(hidden), np.nan), np.zeros(len(hidden))
    yield look.frame(0, train_rmse, test, surfaces=True)

    for epoch in range(1, knobs.epochs + 1):
        order = torch.randperm(len(task.x), generator=chance)
        losses = nets.epoch(task.x, task.targets, order, knobs.batch_size, active)
        epochs += active
        judged, tested = task.rmse(nets, active)
        train_rmse = np.where(active, np.sqrt(losses) * task.scale, train_rmse)
        if knobs.patience:
            better = active & (judged < best)
            nets.remember(better)
            best, test = np.where(better, judged, best), np.where(better, tested, test)
            waited = np.where(better, 0, waited + active)
            active = active & (waited < knobs.patience)
        else:
            test = tested
        over = epoch == knobs.epochs or not active.any()
        if over and knobs.patience:
            nets.recall()
        if over or epoch % every == 0:
            shown = np.where(active & ~over, tested, test)  # one that has stopped stands where it was at its best
            yield look.frame(
                epoch, train_rmse, shown, surfaces=over or epoch % surface_every == 0, epochs=epochs if over else None
            )
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

    def __init__(self, knobs: DepthKnobs, task: Task, nets: Assorted) -> None:
        self.knobs, self.task, self.nets = knobs, task, nets
        self.charts = Charts(knobs)
        self.grid, self.truth = task.seen(task.grid), eggholder(task.grid, knobs.surface)

    def frame(
        self, epoch: int, train_rmse: Array, test_rmse: Array, *, surfaces: bool, epochs: Array | None = None
    ) -> Frame:
        """Errors of every net; now and then the surface that the best of each depth has learned.

        `epochs`: at the end, how many each net was trained for, (nets,).
        """
        charts, over = self.charts, epochs is not None
        seconds = np.where(self.nets.seconds > 0, self.nets.seconds, np.nan)  # a logarithmic axis has no 0
        pictures = {
            "rmse": charts.by_depth(test_rmse),
            "rmse_by_units": charts.mean_by(charts.units, test_rmse),
            "rmse_by_parameters": charts.mean_by(charts.parameters, test_rmse),
            "seconds": charts.by_depth(seconds),
            "seconds_by_parameters": charts.mean_by(charts.parameters, seconds),
        }
        if epoch == 0:
            pictures["mean_line"] = np.full(2, self.task.y_test.std())
        if surfaces:
            learned = self.learned(test_rmse)
            pictures["learned"] = learned.astype("f2")
            pictures["error"] = (learned - self.truth.reshape(GRID, GRID)).astype("f2")
        if epochs is not None:
            pictures["seconds_per_epoch"] = self.nets.seconds / epochs
            pictures["largest_kernel"] = np.array(
                [max(np.abs(each).max() for each in self.nets.weights(i)) for i in range(len(charts.hidden))]
            )
        curves = {"train_rmse": train_rmse, "test_rmse": test_rmse}
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
    log = {"type": "log", "tickformat": "~g", "nticks": 8}
    units = {**_around(charts.units), "title": {"text": "hidden units"}}
    count = {**_around(charts.parameters), "title": {"text": "trainable parameters"}}
    return [
        Panel(
            "Error by units",
            "Test error of every net against its units, one colour per depth; the line is the mean of nets that share their number of units. A net that has learned nothing stands on the dotted line.",
            [
                *_predict_the_mean(charts.units),
                *_notebook(charts),
                *_dots(charts, charts.units, "rmse", "rmse_by_units"),
            ],
            {"xaxis": units, "yaxis": top},
        ),
        _surfaces_panel(charts),
        Panel(
            "Learning curves",
            "Test error of every net over the epochs, one colour per depth; a line that goes level has stopped at its best.",
            [*_predict_the_mean(np.array([0, knobs.epochs])), *_curves(charts, "test_rmse")],
            {"xaxis": {"title": {"text": "epochs"}, "range": [0, knobs.epochs]}, "yaxis": top},
        ),
        Panel(
            "Error by parameters",
            "Test error of every net against the numbers that its training moves; running statistics of batch norm are none of them.",
            [*_predict_the_mean(charts.parameters), *_dots(charts, charts.parameters, "rmse", "rmse_by_parameters")],
            {"xaxis": count, "yaxis": top},
        ),
        Panel(
            "Training error",
            "Error on the training points while they are learned: where it lies far below the test error, a net learns them by heart.",
            [*_predict_the_mean(np.array([0, knobs.epochs])), *_curves(charts, "train_rmse")],
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
    line = go.Scatter(
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


def _dots(charts: Charts, x: Array, each: str, mean: str) -> list[Grow | Switch | Still]:
    """A dot per net and a mean line per depth."""
    drawn: list[Grow | Switch | Still] = []
    for row, depth in enumerate(charts.depths):
        colour, name = COLOURS[depth - 1], LAYERS[depth - 1]
        dots = go.Scatter(
            x=x,
            text=charts.names,
            name=name,
            mode="markers",
            marker={"color": colour, "size": 7, "opacity": 0.75},
            hovertemplate="%{text}: %{y:.1f}<extra></extra>",
            legendgroup=name,
            showlegend=False,
        )
        line = go.Scatter(
            x=np.unique(x),
            name=name,
            mode="lines",
            connectgaps=True,
            line={"color": colour, "dash": DASHES[depth - 1], "width": 2},
            meta={"label": name},
            legendgroup=name,
        )
        drawn += [Switch(dots, {"y": (each, row)}), Switch(line, {"y": (mean, row)})]
    return drawn


def _curves(charts: Charts, curve: str) -> list[Grow]:
    few = len(charts.hidden) <= 12
    seen: set[int] = set()
    drawn = []
    for i, (name, depth) in enumerate(zip(charts.names, charts.depth.tolist(), strict=True)):
        line = go.Scatter(
            name=name if few else LAYERS[depth - 1],
            mode="lines",
            line={"color": COLOURS[depth - 1], "dash": DASHES[depth - 1], "width": 2 if few else 1},
            opacity=1.0 if few else 0.5,
            legendgroup=str(depth),
            showlegend=few or depth not in seen,
            meta={"label": name} if few else None,
        )
        seen.add(depth)
        drawn.append(Grow(line, curve, i))
    return drawn


def _surfaces_panel(charts: Charts) -> Panel:
    """The true surface, and below each other what the best net of each depth has learned and where it errs."""
    side = np.linspace(-EDGE, EDGE, GRID)
    columns = len(charts.depths) + 1
    grid = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    look: dict[str, Any] = {"x": side, "y": side, "zmin": -960, "zmax": 960, "colorscale": "RdBu", "zsmooth": "best"}
    truth = go.Heatmap(z=eggholder(grid).reshape(GRID, GRID).astype("f4"), name="true surface", showscale=False, **look)
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
            heat = go.Heatmap(
                name=title, xaxis=f"x{number}", yaxis=f"y{number}", showscale=scale, **look,
                colorbar={"x": 0.0, "y": 0.2, "len": 0.45, "xanchor": "left", "thickness": 10, "tickvals": [-900, 0, 900]} if scale else None,
            )  # fmt: skip
            traces.append(Switch(heat, {"z": (picture, k)}))
    return Panel(
        "The surface, learned",
        "The true surface, what the best net of each depth has made of it so far, and below where it errs: white is right, blue too high, red too low.",
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
    """Errors in the surface's units; of nets that stop early, at their best."""
    charts = Charts(knobs)
    sd = recording.picture("mean_line")
    spread = float(sd[0]) if sd is not None else None
    found: dict[str, float | None] = {"target_sd": spread}
    test, trained = recording.last("test_rmse"), recording.last("train_rmse")
    seconds = recording.picture("seconds")
    for depth in charts.depths:
        best = np.nanmin(np.where(charts.depth == depth, np.nan_to_num(test, nan=np.inf), np.inf))
        found[f"best_test_rmse[{LAYERS[depth - 1]}]"] = finite(best)
        found[f"best_r2[{LAYERS[depth - 1]}]"] = finite(1 - (best / spread) ** 2) if spread else None
    for i, name in enumerate(charts.names):
        found[f"test_rmse[{name}]"] = finite(test[i])
        found[f"train_rmse[{name}]"] = finite(trained[i])
        found[f"parameters[{name}]"] = float(charts.parameters[i])
        row = charts.depths.index(len(charts.hidden[i]))
        found[f"train_seconds[{name}]"] = None if seconds is None else finite(seconds[row, i])
    return found


def claims(knobs: DepthKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    true_surface = knobs.surface == "eggholder"
    learns = ended and true_surface and knobs.init != "zero"
    fair = learns and knobs.scale_targets and knobs.scale_inputs != "none" and knobs.batch_norm != "deep nets only"
    enough = knobs.samples >= 16_000 and knobs.epochs >= 20
    made = [
        _minimum(),
        _spread(knobs, found),
        _deeper(found, 3, 0.6, fair and enough),
        _deeper(found, 2, 0.75, fair and enough),
        _single_layer(knobs, found, fair and enough),
        _notebook_nets(knobs, found, ended),
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
    return Claim(
        "A net that predicts the mean errs by the spread of the surface, about 298: the line in every chart",
        f"{sd:.1f}" if sd is not None else "",
        "295 … 301",
        295 <= sd <= 301 if decides and sd is not None else None,
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
        hint="it takes a net of one layer with 256 units or more, scaled, 16,000 samples and 20 epochs",
    )


def _notebook_nets(knobs: DepthKnobs, found: Facts, ended: bool) -> Claim | None:
    value = found.get("test_rmse[32-256]")
    if value is None:
        return None
    alike = (knobs.scale_inputs, knobs.scale_targets, knobs.optimizer, knobs.batch_norm) == (
        "none", False, "nadam", "deep nets only",
    )  # fmt: skip
    enough = knobs.samples >= 50_000 and knobs.epochs >= 40
    return Claim(
        "The notebook's best small net, 32-256, does better once inputs and targets are scaled",
        f"{value:.1f}",
        "below the notebook's 111.4",
        value < NOTEBOOK_RMSE["32-256"] if ended and not alike and enough and knobs.init != "zero" else None,
        "notebook 004, with unscaled inputs, batch norm between the layers and Nadam, stopped on its test set",
        notebook="111.45, of one run",
        hint="scale inputs and targets, and give it 50,000 samples and 40 epochs",
    )


def _zero(knobs: DepthKnobs, recording: Recording, found: Facts, ended: bool) -> Claim | None:
    if knobs.init != "zero":
        return None
    kernels = recording.picture("largest_kernel")
    charts = Charts(knobs)
    sd = found["target_sd"] or 1.0
    r2 = 1 - np.square(recording.last("test_rmse") / sd)
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
        1 < times < factor if ended and times and factor >= 8 else None,
        "each net's own clock, from its own start",
        notebook="001 summed one clock over all its nets, so that each later net seemed slower; 000 lost its first point",
        hint="it takes nets of very different size",
    )


def cost(knobs: DepthKnobs) -> Cost:
    """Matrix products of all but the first and the last layer, and a few passes over the activations."""
    charts = Charts(knobs)
    seen = TRAIN * knobs.samples * knobs.epochs
    looks = 2 * (1 - TRAIN) * knobs.samples * knobs.epochs
    flops = float(charts.parameters.sum()) * (6 * seen + 2 * looks)
    numbers = float(charts.units.sum()) * (20 * seen + 5 * looks)
    steps = math.ceil(TRAIN * knobs.samples / knobs.batch_size) * knobs.epochs
    held = 4.0 * float(charts.units.sum()) * 3 * max(knobs.batch_size, 250) + 40.0 * float(charts.parameters.sum())
    outputs = 16.0 * len(charts.hidden) * knobs.samples * 2 * (1 - TRAIN)
    return Cost(flops, numbers, 2.0 * steps * len(charts.hidden), held + outputs + 60.0 * knobs.samples + 1e8)


def shrunk(knobs: DepthKnobs) -> DepthKnobs:
    """Three tiny nets and a few points: a moment of work, everything else as it was."""
    return knobs.model_copy(
        update={"architectures": ("4", "4-3", "3-3-3"), "samples": 400, "epochs": min(knobs.epochs, 3)}
    )


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    best = {layers: found.get(f"best_test_rmse[{layers}]") for layers in LAYERS}
    ranked = sorted((value, layers) for layers, value in best.items() if value is not None)
    if len(ranked) < 2:
        return None
    told = ", ".join(f"{layers} {value:.0f}" for value, layers in ranked)
    return f"The best nets err by: {told}; predicting the mean errs by {found.get('target_sd') or 0:.0f}."


HUNT = (
    Mistake(
        "An RMSE of 88,273 on a surface that lies within ±1,000",
        (
            "Notebook 000 prints the same five digits for every net, wide or deep. Take the root of 88,273.",
            "Compare √88,273 = 297 with the dotted line of these charts.",
        ),
        "What is printed is the mean of squares, labelled as its root. The root, 297, is the spread of the target: every "
        "net of notebook 000 predicts the mean. Nothing was learned, so nothing can be said about depth or width.",
    ),
    Mistake(
        "Deep nets that “overfit”",
        (
            "How do the deep nets of notebook 000 start? Read `kernel_initializer`.",
            "Set initialization to “zero” and watch the error. Which weights move?",
        ),
        "All kernels start at exactly zero. A unit's gradient is a product with the weights behind it, which are zero too: "
        "no kernel ever moves, the output is a constant, and the test error is the variance of the target. A net that "
        "cannot fit its training points does not overfit; it does not fit.",
    ),
    Mistake(
        "Depth helps, or is it batch norm?",
        (
            "In notebooks 001 and 004, which nets have batch norm? Look where the layer is added.",
            "Compare batch norm “deep nets only” with “none” and with “after activation”, all else equal.",
        ),
        "Nets of one hidden layer have none in any of the notebooks, deeper nets always do. On unscaled inputs, integers up to "
        "±512, that alone decides a great deal. Scale inputs and targets and treat all nets alike, and depth still wins: "
        "the conclusion stands, the experiment did not show it.",
    ),
    Mistake(
        "The more nets, the slower",
        (
            "Notebook 001 plots the time of each net. Which object keeps the time, and when is it emptied?",
            "`cb = TimingCallback()` stands before the loop; each fit appends to the same list, and sum(cb.logs) is plotted.",
        ),
        "One clock is never reset: each net's time includes all nets before it. Notebook 000 plots five times against four "
        "points, and 004's depend on where each net happened to stop. Here each net has its own clock.",
    ),
    Mistake(
        "The test set that trained along",
        (
            "Notebook 004 stops each net by `val_rmse` and reports its minimum. Which points are `validation_data`?",
            "They are the test set. What does the smallest of many noisy numbers say about the next one?",
        ),
        "The same points choose the epoch and judge the result, so each figure is the luckiest of its run. With 20,000 points "
        "the luck is small, but a test set that has been asked is one no more. This lesson stops by a validation set of its "
        "own; turn “judge” to see the difference.",
    ),
    Mistake(
        "A net of 400 units at 512, 284 for 288, and a formula with a hole",
        (
            "Compare the lists of widths with the lists behind the plots in notebooks 000 and 001.",
            "Compare notebook 000's formula, sign by sign, with the Eggholder function.",
        ),
        "Notebook 001 trained 400 units and drew the point at 512; 000's axis has 284 for 32 + 256 and 512 for 64 + 128 + 256. And "
        "its formula uses x₀ where x₁ belongs and has lost a square root: its second term swings with period 2π over a "
        "square of side 1,024, which 100,000 samples cannot show to any net.",
    ),
)

THEORY = r"""
**What is learned.** The Eggholder function on $[-512,512]^2$,

$$
f(x_1,x_2) = -(x_2+47)\sin\sqrt{\left|\tfrac{x_1}{2}+x_2+47\right|} - x_1\sin\sqrt{\left|x_1-(x_2+47)\right|},
$$

has mean −4, standard deviation 298 and its minimum −959.64 at (512, 404.23). The noise of 0.3 is a millionth of the
variance: what is left of the error is what the net cannot bend to.

**Error beside the mean.** $R^2 = 1-\mathrm{MSE}/\mathrm{Var}(y)$ is 0 for a net that predicts the mean and 1 for a perfect
one. An error without that line beside it says nothing: 297 looks like a number, and is $R^2=0$.

**Why depth.** A ReLU net is piecewise linear. One layer of $m$ units folds the plane along $m$ straight lines that
cross it from edge to edge, so every ridge it makes goes on for ever; a second layer folds what is folded already, and
the number of pieces can grow like a power of the width with each layer. Eggholder's curved, crossing ridges are just
what few long straight folds cannot make. Telgarsky (2016) has functions of $\Theta(k^3)$ layers of constant width that no
net of $O(k)$ layers matches with fewer than $2^k$ units.

**Parameters.** A net $2 - h_1 - \dots - h_L - 1$ has $\sum_l (h_{l-1}+1)\,h_l + h_L + 1$ weights and biases. With 512 units in
one layer that is 2,049; as 128-128-64 it is 25,217. Equal units are not equal parameters, so both charts are drawn.

**What is cut.** The notebooks allowed 2,000 epochs. Their presets here end after 60 or 200, when the order of the nets
has long been settled; the knob goes to 2,000 for those who have the hour.

*Sources: notebooks 000, 001 and 004; Telgarsky, "Benefits of depth in neural networks", 2016; Jamil & Yang, "A literature
survey of benchmark functions", 2013.*
"""

NOTEBOOK_004 = {
    "architectures": ("all 143",), "samples": 100_000, "scale_targets": False, "scale_inputs": "none", "init": "glorot",
    "batch_norm": "deep nets only", "optimizer": "nadam", "learning_rate": 0.001, "batch_size": 1000, "epochs": 60,
    "patience": 20, "judge": "test",
}  # fmt: skip
PRESETS: Mapping[str, DepthKnobs] = {
    "Classroom": DepthKnobs(),
    "As the notebook ran it": DepthKnobs.parse(NOTEBOOK_004),
    "Done right": DepthKnobs(
        architectures=("all 143",), samples=100_000, epochs=60, learning_rate=0.003, batch_size=1000, patience=10
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
    title="Depth versus width",
    question="Does a deeper net need fewer units?",
    origin="notebooks 000, 001 and 004 · Eggholder",
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
    predict=Prediction(
        "With at most 512 units to spend, which net comes closest to the surface?",
        ("one wide layer", "two layers", "three layers", "all the same"),
        reveal,
    ),
    hunt=HUNT,
    theory=THEORY,
    code=(eggholder, Task, train, Assorted.epoch),
    settings=lambda knobs: {**knobs.model_dump(), "architectures": tuple(series(knobs))},
)
