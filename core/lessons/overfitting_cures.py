"""Which cure for overfitting helps by more than chance? (notebook 002; Krogh & Vedelsby 1995)

A big net learns fifty noisy points of a curve by heart. Five cures stand beside it: half the width, early stopping,
an ensemble, weight decay, dropout. All train at once on several data sets, since one data set proves nothing: a
cure counts where its difference to the big net exceeds the spread of that difference over the data sets.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from core import prose
from core.claims import Claim
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson, finite
from core.narrator import Diverges, Overfits, Watch
from core.nets import INITS, Init, normal, relu
from core.panels import COLOURS, FAINT, Grow, Panel, Still, Switch, lines, reference
from core.traces import Bar, Scatter
from core.training.fleet import Dropout, Fleet

Cure = Literal["big net", "smaller net", "early stopping", "ensemble", "weight decay", "dropout"]
COLOUR: Mapping[str, str] = dict(
    zip(Cure.__args__, (COLOURS[3], COLOURS[1], COLOURS[0], COLOURS[2], COLOURS[5], COLOURS[4]), strict=True)  # type: ignore[attr-defined]
)
DASH = dict(zip(COLOUR, ("solid", "dash", "solid", "longdash", "dashdot", "dot"), strict=True))
LOOKS = 80  # frames of a run: so often are all nets tested
SETTLED = 5  # looks whose median is what a net has come to: full-batch Adam spikes now and then, for a few epochs
NOTEBOOK_STOP = 100  # the epoch that the notebook chose by eye
GRID = 201  # even points of the interval on which a net is tested
EACH = 2  # every second of them is drawn
MEMBERS_DRAWN = 8
NOTEBOOK: Mapping[str, tuple[float, float]] = {  # its train and validation MSE, on data that it does not print
    "big net": (0.00626838, 0.0313612),
    "smaller net": (0.00697594, 0.0302323),
    "early stopping": (0.0113222, 0.0279638),  # the mean of its ten early-stopped nets
    "ensemble": (0.0105538, 0.0270576),
}
NOTEBOOK_DROPOUT = {0.2: (0.0103586, 0.0354970), 0.05: (0.00827718, 0.0327324)}
FEATURES, LINEAR_POINTS = 10, 50  # the least-squares problem
TAUS = np.unique(np.geomspace(5, 500, 25).astype(int))  # steps after which gradient descent is stopped
KROGH = "Krogh & Vedelsby 1995"
GOODFELLOW = "Goodfellow, Bengio & Courville 2016, Deep Learning, §7.8"


class CureKnobs(Knobs):
    """What may be turned."""

    cures: tuple[Cure, ...] = knob(("big net", "smaller net", "early stopping", "ensemble", "weight decay", "dropout"), "what trains side by side; differences are taken to the big net", shown=True)  # fmt: skip
    points: int = knob(50, "training points: the fewer, the more there is to be learned by heart", 10, 500, stops=(10, 20, 50, 100, 200, 500), shown=True)  # fmt: skip
    noise: float = knob(0.15, "spread of the noise on every point; its square is the error that nobody can beat", 0.0, 0.5, stops=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5), shown=True)  # fmt: skip
    width: int = knob(96, "units in each hidden layer of the big net; the smaller net and the members have half", 8, 512, stops=(8, 16, 32, 64, 96, 128, 256, 512), shown=True)  # fmt: skip
    depth: int = knob(5, "hidden layers of every net", 1, 6)
    epochs: int = knob(400, "steps on all training points at once", 10, 2000, stops=(50, 100, 200, 400, 600, 1000, 2000))  # fmt: skip
    learning_rate: float = knob(0.003, "how far each step of Adam goes; Keras and the notebook use 0.001", 1e-5, 0.03, stops=(1e-5, 1e-4, 0.0003, 0.001, 0.003, 0.01, 0.03))  # fmt: skip
    stopping: Literal["patience", "epoch 100"] = knob("patience", "when early stopping stops: at each net's own best validation error, or at one epoch for all, as the notebook chose by eye")  # fmt: skip
    patience: int = knob(60, "epochs without a better validation error after which a net is stopped", 5, 500, stops=(5, 10, 20, 40, 60, 100, 200, 500))  # fmt: skip
    members: int = knob(4, "nets in the ensemble, each with a start of its own and stopped early", 1, 30, stops=(1, 2, 4, 6, 10, 20, 30))  # fmt: skip
    weight_decay: float = knob(5.0, "how hard weight decay pulls: each step shrinks every weight by the learning rate times this", 0.0, 30.0, stops=(0.0, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 30.0))  # fmt: skip
    rate: float = knob(0.05, "share of the units that dropout turns off in each step", 0.0, 0.8, stops=(0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8), label="dropout rate")  # fmt: skip
    init: Literal["he", "normal 0.05"] = knob("he", "how weights start: He, kinks spread over the interval; or N(0, 0.05²) as the notebook, biases too", label="initialization")  # fmt: skip
    data_sets: int = knob(5, "data sets, each with nets of its own: how much of a difference is chance", 1, 10, stops=(1, 2, 3, 4, 5, 7, 10))  # fmt: skip
    validation_points: int = knob(300, "points on which the moment to stop is chosen; errors on new points are scored apart", 10, 10_000, stops=(10, 50, 100, 300, 1000, 10_000))  # fmt: skip
    seed: int = SEED


def truth(x: Array) -> Array:
    """The function behind the points; the notebook does not print its own."""
    return np.asarray(0.5 * np.sin(2 * x) + 0.2 * x)


def spread_out(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """He, and where the single input enters biases from N(0, 1): with none, every unit would bend at x = 0."""
    INITS["he"](weight, bias, rng)
    if weight.shape[1] == 1:
        bias[:] = rng.spawn(1)[0].normal(0, 1, bias.shape)


STARTS: Mapping[str, Init] = {"he": spread_out, "normal 0.05": normal(0.05, biases=True)}


class Samples:
    """Data sets of one kind, side by side: points to learn, points to choose the moment to stop, points to test.

    Attributes:
        x: inputs of all three, in this order, (data_sets, everything, 1).
        y: what is expected there, likewise: noisy on the first two, the true function on the test points.
        targets: the same in double precision, (data_sets, everything).
        points: how many are to be learned.
        noise: spread of the noise.
    """

    def __init__(self, knobs: CureKnobs, device: torch.device) -> None:
        chances = [np.random.default_rng([knobs.seed, i, 1]) for i in range(knobs.data_sets)]
        # The points to learn are drawn first: another number of validation points leaves them as they are.
        counts = (knobs.points, knobs.validation_points)
        draws = [(one.uniform(-2, 2, n), one.normal(0, knobs.noise, n)) for one in chances for n in counts]
        x, noise = (np.concatenate(part).reshape(knobs.data_sets, -1) for part in zip(*draws, strict=True))
        test = np.tile(grid(), (knobs.data_sets, 1))
        self.x = _tensor(np.concatenate([x, test], axis=1), device)
        self.y = _tensor(np.concatenate([truth(x) + noise, truth(test)], axis=1), device)
        self.targets = self.y[..., 0].double().cpu().numpy()  # (data_sets, everything)
        self.points, self.noise = knobs.points, knobs.noise

    def scores(self, outputs: Array) -> tuple[Array, Array, Array]:
        """Mean squared error on training, validation and new points, each (...), of outputs (..., data_sets, all).

        The third is the error to expect of a new noisy point: the squared distance to the true function, averaged over
        an even grid, plus the variance of the noise. No test set's own luck is in it.
        """
        squares = (outputs - self.targets) ** 2
        train, validation, distance = np.split(squares, [self.points, squares.shape[-1] - GRID], axis=-1)
        return train.mean(-1), validation.mean(-1), distance.mean(-1) + self.noise**2


def grid() -> Array:
    """The interval in even steps, (GRID,)."""
    return np.linspace(-2, 2, GRID)


def _tensor(values: Array, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).to(torch.float32).to(device).unsqueeze(-1)


class Best(NamedTuple):
    """When each net was at its best, all (members, data_sets)."""

    error: Array  # its validation error then; where all stop at one epoch it is not looked at
    epoch: Array
    running: Array  # whether a better epoch is still waited for


class Kind:
    """Nets of one kind: `members` for every data set, trained on all of its points at once."""

    def __init__(self, name: str, knobs: CureKnobs, samples: Samples) -> None:
        self.members = knobs.members if name == "ensemble" else 1
        self.samples, self.knobs = samples, knobs
        width = max(1, knobs.width // 2) if name in ("smaller net", "ensemble") else knobs.width
        # As the notebook: units are dropped after every hidden layer but the last.
        dropped = [*[knobs.rate] * (knobs.depth - 1), 0.0] if knobs.depth > 1 else [knobs.rate]

        def fresh() -> Fleet:
            made = Fleet(
                self.members * knobs.data_sets,
                (1, *[width] * knobs.depth, 1),
                activation=relu,
                dropout=Dropout(dropped) if name == "dropout" else None,
                device=samples.x.device,
            )
            # Nets of one size start alike whatever their cure; the members start elsewhere.
            made.initialise(STARTS[knobs.init], knobs.seed + (name == "ensemble"))
            return made

        stops = name == "ensemble" or (name == "smaller net" and "early stopping" in knobs.cures)
        self.fleet = fresh()
        self.stopped = fresh() if stops else self.fleet  # each net as it was at its best
        # AdamW without decay is Adam.
        self.optimizer = self.fleet.optimizer(
            "adamw", knobs.learning_rate, knobs.weight_decay if name == "weight decay" else 0.0
        )
        self.x, self.y = (table.repeat(self.members, 1, 1) for table in (samples.x, samples.y))  # (nets, everything, 1)
        nets = (self.members, knobs.data_sets)
        self.best = Best(self._validation_error(), np.zeros(nets), np.full(nets, stops))
        self.endless = name in knobs.cures and name != "ensemble"

    @property
    def wanted(self) -> bool:
        """Whether training goes on: nets that are only there to be stopped early leave when all have stopped."""
        return self.endless or bool(self.best.running.any())

    def epoch(self, epoch: int) -> None:
        """One step of all nets on all training points; then those that may be stopped early are validated."""
        points = self.samples.points
        self.fleet.backward(self.x[:, :points], self.y[:, :points])
        self.optimizer.step()
        if self.best.running.any():
            self._validate(epoch)

    def _validate(self, epoch: int) -> None:
        """Whether this epoch is each net's best so far, and whether a better one is still waited for."""
        error, at, running = self.best
        if self.knobs.stopping == "patience":
            now = self._validation_error()
            better = running & (now < error)
            error, at = np.where(better, now, error), np.where(better, epoch, at)
            running = running & (epoch - at < self.knobs.patience)
        else:
            better, at, running = running, np.where(running, epoch, at), running & (epoch < NOTEBOOK_STOP)
        self.best = Best(error, at, running)
        which = torch.from_numpy(better.ravel()).to(self.x.device).view(-1, 1, 1)
        for mine, theirs in zip(
            self.stopped.weights + self.stopped.biases, self.fleet.weights + self.fleet.biases, strict=True
        ):
            mine.copy_(torch.where(which, theirs, mine))

    def outputs(self, stopped: bool = False) -> Array:
        """What every net puts out now, or did at its best, at all points, (members, data_sets, everything)."""
        return self._forward(self.stopped if stopped else self.fleet, self.x)

    def _validation_error(self) -> Array:
        held_out = slice(self.samples.points, -GRID)
        errors = self._forward(self.fleet, self.x[:, held_out]) - self.samples.targets[:, held_out]
        return np.asarray((errors**2).mean(axis=-1))

    def _forward(self, fleet: Fleet, x: torch.Tensor) -> Array:
        found = fleet.forward(x).squeeze(2).double().cpu().numpy()  # (nets, points)
        return found.reshape(self.members, self.knobs.data_sets, -1)


def train(knobs: CureKnobs, device: torch.device) -> Iterator[Frame]:
    """Every kind of net that the cures ask for, step by step, on all data sets at once."""
    samples = Samples(knobs, device)
    needed = dict.fromkeys("smaller net" if cure == "early stopping" else cure for cure in knobs.cures)
    kinds: dict[str, Kind] = {name: Kind(name, knobs, samples) for name in needed}
    similar = early_stopping_and_l2(*least_squares(knobs.seed))
    looks: list[Array] = []
    yield frame(knobs, samples, kinds, 0, looks, quadratic=similar)

    every = max(1, knobs.epochs // LOOKS)
    for epoch in range(1, knobs.epochs + 1):
        training = [kind for kind in kinds.values() if kind.wanted]
        for kind in training:
            kind.epoch(epoch)
        if epoch % every == 0 or epoch in (NOTEBOOK_STOP, knobs.epochs):
            yield frame(knobs, samples, kinds, epoch, looks)


def frame(
    knobs: CureKnobs, samples: Samples, kinds: Mapping[str, Kind], epoch: int, looks: list[Array], **also: Array
) -> Frame:
    """Everything that the panels show; this look's errors join the earlier `looks`, each (3, cures, data_sets)."""
    outputs = np.stack([prediction(cure, kinds) for cure in knobs.cures])  # (cures, data_sets, everything)
    looks.append(np.stack(samples.scores(outputs)))
    train_mse, validation_mse, test_mse = looks[-1]
    table = settled(looks)  # (3, cures, data_sets)
    pictures = {
        "functions": outputs[:, 0, -GRID::EACH].round(3).astype("f4"),  # small when packed
        "table": table[:2].mean(axis=2).astype("f4"),
        **also,
    }
    if "big net" in knobs.cures:
        differences = beside_big(knobs, table[2])  # (cures, data_sets)
        centre, spread = differences.mean(1), _spread(differences)
        pictures["difference"] = differences.astype("f4")
        pictures["difference_band"] = np.stack([centre - spread, centre, centre + spread], axis=1).astype("f4")
    if "ensemble" in kinds:
        members = kinds["ensemble"].outputs(stopped=True)
        pictures["identity"] = ambiguity(members[..., -GRID:], truth(grid()))  # (3, data_sets)
        pictures["sums"] = np.array(["{:.4f}<br>+{:.4f}<br>={:.4f}".format(*each) for each in pictures["identity"].T])
        pictures["stops"] = kinds["ensemble"].best.epoch.astype("f4")  # (members, data_sets)
        pictures["members"] = _one_line(members[:MEMBERS_DRAWN, 0, -GRID::EACH])
    curves = {"train_mse": train_mse, "validation_mse": validation_mse, "test_mse": test_mse}
    return Frame(epoch, curves, pictures, epoch / knobs.epochs)


def settled(looks: Sequence[Array] | Array) -> Array:
    """What the errors have come to: the median of the last looks."""
    return np.asarray(np.median(looks[-SETTLED:], axis=0))


def prediction(cure: str, kinds: Mapping[str, Kind]) -> Array:
    """What a cure answers now, (data_sets, everything)."""
    if cure == "early stopping":
        return np.asarray(kinds["smaller net"].outputs(stopped=True)[0])
    if cure == "ensemble":
        return np.asarray(kinds["ensemble"].outputs(stopped=True).mean(axis=0))
    return np.asarray(kinds[cure].outputs()[0])


def ambiguity(members: Array, target: Array) -> Array:
    """The two sides of the ambiguity identity, (3, data_sets): ensemble's error, ambiguity, mean error of a member.

    Args:
        members: their outputs, (members, data_sets, points).
        target: what is to be met, (points,).
    """
    together = members.mean(axis=0)
    return np.stack(
        [
            ((together - target) ** 2).mean(axis=-1),
            ((members - together) ** 2).mean(axis=(0, -1)),
            ((members - target) ** 2).mean(axis=(0, -1)),
        ]
    )


def least_squares(seed: int) -> tuple[Array, Array]:
    """A linear problem, (points, features) and (points,), some of whose directions are learned late."""
    chance = np.random.default_rng([seed, 2])
    x = chance.normal(size=(LINEAR_POINTS, FEATURES)) * np.geomspace(1, 0.1, FEATURES)
    return x, x @ chance.normal(size=FEATURES) + 0.5 * chance.normal(size=LINEAR_POINTS)


def early_stopping_and_l2(x: Array, y: Array) -> Array:
    """Least squares by gradient descent from zero, stopped after τ steps, beside L2 with λ = 1/(ητ).

    Returns:
        (2, taus): the cosine between the two weights, and the length of their difference relative to L2's weights.
    """
    curvature, pull = x.T @ x / len(x), x.T @ y / len(x)
    eta = 0.02 / np.linalg.eigvalsh(curvature)[-1]
    weights, found = np.zeros(len(pull)), []
    for step in range(1, TAUS[-1] + 1):
        weights = weights - eta * (curvature @ weights - pull)
        if step in TAUS:
            ridge = np.linalg.solve(curvature + np.eye(len(pull)) / (eta * step), pull)
            sizes = np.linalg.norm(weights), np.linalg.norm(ridge)
            found.append((weights @ ridge / (sizes[0] * sizes[1]), np.linalg.norm(weights - ridge) / sizes[1]))
    return np.array(found).T


def beside_big(knobs: CureKnobs, test_mse: Array) -> Array:
    """Each cure's error on new points relative to the big net's on the same data set, less 1: -0.2 is 20 % lower.

    Relative, since now and then a data set spoils the big net badly, and would be all that a mean sees.
    """
    return np.asarray(test_mse / test_mse[knobs.cures.index("big net")] - 1)


def _spread(differences: Array) -> Array:
    """Standard deviation over the data sets, (cures,); nan for a single one."""
    if differences.shape[1] < 2:
        return np.full(len(differences), np.nan)
    return np.asarray(differences.std(axis=1, ddof=1))


def _one_line(functions: Array) -> Array:
    """Several functions as one line with gaps, (functions · (points + 1),)."""
    return np.concatenate([functions, np.full((len(functions), 1), np.nan)], axis=1).round(3).astype("f4").ravel()


def panels(knobs: CureKnobs) -> list[Panel]:
    """Errors by epoch, the learned functions, the notebook's table, differences, the identity, and early stopping."""
    more = []
    if "big net" in knobs.cures and len(knobs.cures) > 1:
        more.append(_difference_panel(knobs))
    if "ensemble" in knobs.cures:
        more.append(_identity_panel(knobs))
    return [_error_panel(knobs), _functions_panel(knobs), _table_panel(knobs), *more, _quadratic_panel()]


def _scale(knobs: CureKnobs) -> float:
    """The error by which axes are sized: that of the noise, where there is any."""
    return max(knobs.noise, 0.03) ** 2


def _room(knobs: CureKnobs) -> float:
    """How many times the usual errors axes have room for: nets of fewer than fifty points err more."""
    return max(1.0, 50 / knobs.points)


def _error_panel(knobs: CureKnobs) -> Panel:
    floor, unit = knobs.noise**2, math.log10(_scale(knobs))
    first = knobs.cures[0]
    noise = [reference([0, knobs.epochs], [floor, floor], f"noise: {floor:.4f}")] if floor else []
    drawn = lines(
        "Error on new points",
        f"Mean squared error to expect of a new point, mean and range over the data sets. Finely dotted: the {first}'s error on its training points, which falls on while the error on new points turns up.",
        "test_mse",
        knobs.cures,
        x="epochs",
        y="mean squared error",
        band=knobs.data_sets > 1,
        extra=noise,
        colours=[COLOUR[cure] for cure in knobs.cures],
        dashes=[DASH[cure] for cure in knobs.cures],
        xaxis={"range": [0, knobs.epochs]},
        yaxis={"type": "log", "range": [unit - 0.65, unit + 0.4 + math.log10(_room(knobs))]},
    )
    training = Scatter(
        name=f"{first}, on its training points",
        mode="lines",
        line={"color": COLOUR[first], "dash": "1px,3px", "width": 1.5},
    )
    # Six bands over one another: paler than usual, and all of them behind the lines.
    for each in drawn.traces:
        if "fillcolor" in each.trace:
            each.trace["fillcolor"] = each.trace["fillcolor"].replace("0.18", "0.07")
    ordered = sorted(drawn.traces, key=lambda each: each.trace["line"]["width"] != 0)
    return Panel(drawn.name, drawn.caption, [*ordered, Grow(training, "train_mse", 0)], drawn.layout)


def _functions_panel(knobs: CureKnobs) -> Panel:
    x, samples = grid()[::EACH], Samples(knobs, torch.device("cpu"))
    columns = min(3, len(knobs.cures))
    rows = math.ceil(len(knobs.cures) / columns)
    reach = 0.9 + 2 * knobs.noise
    layout: dict[str, Any] = {"showlegend": False, "annotations": []}
    traces: list[Grow | Switch | Still] = []
    for i, cure in enumerate(knobs.cures):
        row, column, own = i // columns, i % columns, str(i + 1) if i else ""
        axes = {"xaxis": f"x{own}", "yaxis": f"y{own}"}
        left, top = column / columns, 1 - row / rows
        layout[f"xaxis{own}"] = {
            "domain": [left + 0.01, left + 1 / columns - 0.01],
            "range": [-2.05, 2.05],
            "tickvals": [-1, 0, 1],
            "anchor": f"y{own}",
            "showticklabels": row == rows - 1,
        }
        layout[f"yaxis{own}"] = {
            "domain": [top - 1 / rows + 0.02, top - 0.09],
            "range": [-reach, reach],
            "anchor": f"x{own}",
            "showticklabels": column == 0,
            "nticks": 5,
        }
        layout["annotations"].append(
            {
                "text": f"<b>{cure}</b>",
                "x": left + 0.5 / columns,
                "y": top,
                "xref": "paper",
                "yref": "paper",
                "showarrow": False,
                "xanchor": "center",
                "yanchor": "top",
                "font": {"color": COLOUR[cure]},
            }
        )
        dots = {"x": samples.x[0, : knobs.points, 0].numpy(), "y": samples.y[0, : knobs.points, 0].numpy()}
        traces.append(
            Still(
                Scatter(
                    **dots,
                    **axes,
                    name="training points",
                    mode="markers",
                    marker={"size": 4, "color": FAINT},
                    opacity=0.6,
                )
            )
        )
        traces.append(
            Still(
                Scatter(
                    x=x,
                    y=truth(x),
                    **axes,
                    name="true function",
                    mode="lines",
                    line={"color": FAINT, "width": 4},
                    opacity=0.6,
                    meta={"reference": True},
                )
            )
        )
        if cure == "ensemble":
            each = np.tile(np.append(x, np.nan), min(knobs.members, MEMBERS_DRAWN))
            thin = Scatter(
                x=each, **axes, name="members", mode="lines", line={"color": COLOUR[cure], "width": 0.8}, opacity=0.45
            )
            traces.append(Switch(thin, {"y": "members"}))
        line = Scatter(x=x, **axes, name=cure, mode="lines", line={"color": COLOUR[cure], "width": 2})
        traces.append(Switch(line, {"y": ("functions", i)}))
    return Panel(
        "What they have learned",
        f"The first data set: its {knobs.points} points, the true function (broad, grey), and each net's function; of the ensemble also its members.",
        traces,
        layout,
    )


def _by_cure(knobs: CureKnobs) -> dict[str, Any]:
    names = [cure.replace(" ", "<br>") for cure in knobs.cures]
    return {"tickvals": list(range(len(names))), "ticktext": names, "range": [-0.5, len(names) - 0.5]}


def _table_panel(knobs: CureKnobs) -> Panel:
    theirs = {**NOTEBOOK, **({"dropout": NOTEBOOK_DROPOUT[knobs.rate]} if knobs.rate in NOTEBOOK_DROPOUT else {})}
    known = [(i, theirs[cure]) for i, cure in enumerate(knobs.cures) if cure in theirs]
    marks = [
        reference(
            [i for i, _ in known for _ in range(2)],
            [error for _, pair in known for error in pair],
            "notebook, on other data",
            mode="markers",
            marker={"symbol": "x-thin-open", "size": 9, "color": FAINT},
        )
    ]
    colours = [COLOUR[cure] for cure in knobs.cures]
    top = 2.4 * _scale(knobs) * _room(knobs)
    low = 0.0 if _room(knobs) == 1.0 else -0.12 * top  # room for the numbers below errors that are next to 0
    drawn = [
        Switch(
            Scatter(
                x=list(range(len(knobs.cures))),
                name=name,
                mode="markers+text",
                marker={"symbol": symbol, "size": 10, "color": colours},
                texttemplate="%{y:.4f}",
                textposition=side,
            ),
            {"y": ("table", row)},
        )
        for row, (name, symbol, side) in enumerate(
            (("training", "circle-open", "bottom center"), ("validation", "diamond", "top center"))
        )
    ]
    return Panel(
        "The notebook's table",
        "Training and validation error of each cure, mean over the data sets, median of the last five looks. The notebook's numbers come from data that it does not print: they are for orientation only.",
        [*(marks if known else []), *drawn],
        {
            "xaxis": _by_cure(knobs),
            "yaxis": {"title": {"text": "mean squared error"}, "range": [low, top]},
        },
    )


def _difference_panel(knobs: CureKnobs) -> Panel:
    traces: list[Grow | Switch | Still] = [
        reference([-0.5, len(knobs.cures) - 0.5], [0, 0], "the big net on the same data")
    ]
    reach = 0.6 if _room(knobs) == 1.0 else 1.0
    for i, cure in enumerate(knobs.cures):
        if cure == "big net":
            continue
        line = {"color": COLOUR[cure], "width": 3}
        band = Scatter(
            x=[i] * 3,
            name=f"{cure}: mean ± spread",
            mode="lines+markers",
            line=line,
            marker={"symbol": "line-ew-open", "size": 16, "line": {"width": 3, "color": COLOUR[cure]}},
            showlegend=False,
        )
        dots = Scatter(
            x=[i + 0.18] * knobs.data_sets,
            name=cure,
            mode="markers",
            marker={"size": 7, "color": COLOUR[cure]},
            opacity=0.75,
            showlegend=False,
        )
        traces += [Switch(band, {"y": ("difference_band", i)}), Switch(dots, {"y": ("difference", i)})]
    return Panel(
        "Better than the big net?",
        "Error on new points relative to the big net's on the same data set: a dot for each data set, and mean ± standard deviation. A bar that stays clear of zero is a difference; one that crosses it is not.",
        traces,
        {
            "xaxis": _by_cure(knobs),
            "yaxis": {"title": {"text": "error against the big net's"}, "range": [-reach, reach], "tickformat": "+.0%"},
        },
    )


def _identity_panel(knobs: CureKnobs) -> Panel:
    sets = list(range(1, knobs.data_sets + 1))
    colour = COLOUR["ensemble"]
    bars = [
        Switch(Bar(x=sets, name=name, marker={"color": colour, "pattern": {"shape": shape}}), {"y": ("identity", row)})
        for row, (name, shape) in enumerate((("the ensemble", ""), ("+ ambiguity: how far members disagree", "/")))
    ]
    mean = Scatter(
        x=sets,
        name="= mean of the members",
        mode="markers+text" if knobs.data_sets <= 6 else "markers",
        marker={"symbol": "line-ew-open", "size": 34, "color": COLOUR["smaller net"], "line": {"width": 3}},
        textposition="top center",
        textfont={"size": 11},
    )
    return Panel(
        "What averaging gains",
        "Squared distance to the true function, by data set. The ensemble's error and the members' disagreement add up to the members' mean error: always, exactly.",
        [*bars, Switch(mean, {"y": ("identity", 2), "text": "sums"})],
        {
            "barmode": "stack",
            "bargap": 0.45,
            "xaxis": {"title": {"text": "data set"}, "tickvals": sets, "range": [0.4, knobs.data_sets + 0.6]},
            "yaxis": {"title": {"text": "squared distance"}, "range": [0, 1.25 * _scale(knobs) * _room(knobs)]},
        },
    )


def _quadratic_panel() -> Panel:
    names = (("cosine of the two", COLOURS[2], "solid"), ("difference, relative to L2's length", COLOURS[3], "dash"))
    drawn = [
        Switch(
            Scatter(x=TAUS, name=name, mode="lines", line={"color": colour, "dash": dash, "width": 2}),
            {"y": ("quadratic", row)},
        )
        for row, (name, colour, dash) in enumerate(names)
    ]
    return Panel(
        "Is early stopping L2?",
        f"Least squares with {FEATURES} weights: gradient descent stopped after τ steps beside L2 with λ = 1/(ητ). The direction agrees, the weights do not; and this is the case in which the theory holds.",
        [reference([TAUS[0], TAUS[-1]], [0.99, 0.99], "0.99"), *drawn],
        {
            "xaxis": {"title": {"text": "steps τ"}, "type": "log", "tickvals": [5, 10, 20, 50, 100, 200, 500]},
            "yaxis": {"title": {"text": ""}, "range": [0, 1.05]},
        },
    )


def watches(knobs: CureKnobs) -> list[Watch]:
    """What the narrator may tell."""
    error = "error on new points"
    return [Diverges("test_mse", knobs.cures, error), Overfits("test_mse", knobs.cures, error, seen="train_mse")]


def facts(knobs: CureKnobs, recording: Recording) -> Facts:
    """Errors of each cure as means over the data sets, differences to the big net, and the identity's numbers."""
    found: dict[str, float | None] = {}
    errors = {name: settled(recording.curve(name)[1]) for name in ("train_mse", "validation_mse", "test_mse")}
    for i, cure in enumerate(knobs.cures):
        for name, values in errors.items():
            found[f"{name}[{cure}]"] = finite(values[i].mean())
        if "big net" in knobs.cures and cure != "big net":
            difference = beside_big(knobs, errors["test_mse"])[i]
            found[f"difference[{cure}]"] = finite(difference.mean())
            found[f"spread[{cure}]"] = finite(_spread(difference[None])[0])
    identity, stops, similar = (recording.picture(name) for name in ("identity", "stops", "quadratic"))
    if identity is not None:
        together, apart, mean = identity
        found["ensemble_distance"] = finite(together.mean())
        found["ambiguity"] = finite(apart.mean())
        found["mean_member_distance"] = finite(mean.mean())
        found["least_gain"] = finite((mean - together).min())  # by averaging, over the data sets
    found["ambiguity_residual"] = None if identity is None else finite(np.abs(together - (mean - apart)).max())
    if stops is not None:
        found["first_stop"], found["last_stop"] = float(stops.min()), float(stops.max())
    if similar is not None:
        found["cosine"], found["relative_difference"] = float(similar[0].min()), float(similar[1].max())
    return found


def claims(knobs: CureKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    # Few noisy points, a net with room for all of them, and time to learn them by heart.
    tempted = (
        knobs.points <= 60 and knobs.noise >= 0.1 and knobs.width >= 96 and knobs.depth >= 4 and knobs.epochs >= 300
    )
    learned = _learned(knobs, recording)
    tempted = tempted and learned
    decides = ended and tempted and knobs.data_sets >= 3
    usual = {"weight decay": 1 <= knobs.weight_decay <= 6, "dropout": knobs.rate > 0}
    return [
        *_overfitting(knobs, recording, ended and learned, tempted),
        *_identity(found),
        *(_verdict(cure, found, decides and usual.get(cure, True)) for cure in VERDICTS),
        _moments(knobs, found, decides),
        _quadratic(found),
    ]


def _learned(knobs: CureKnobs, recording: Recording) -> bool:
    """Whether a plain net has learned at all: its error on the training points has halved, mean over the data sets."""
    name = next((cure for cure in ("big net", "smaller net") if cure in knobs.cures), None)
    errors = recording.curve("train_mse")[1]  # (frames, cures, data_sets)
    if name is None:
        return False
    i = knobs.cures.index(name)
    return bool(settled(errors)[i].mean() <= 0.5 * errors[0, i].mean())


def _overfitting(knobs: CureKnobs, recording: Recording, ended: bool, tempted: bool) -> list[Claim]:
    # The smaller net is the notebook's; where it is not shown, the big one serves.
    name = next((cure for cure in ("smaller net", "big net") if cure in knobs.cures), None)
    turn, ratio = None, None
    full = knobs.width >= 512 and knobs.epochs >= 800  # the notebook's size: no data set of ours failed to show it
    needed = 1.15 if full else 1.1  # a narrower net has less room for the noise
    decides = ended and tempted and (full or knobs.data_sets >= 3)
    hint = "it takes 50 noisy points, a plain net as wide as in Classroom, 300 epochs and 3 data sets"
    if name is not None:
        validation = recording.curve("validation_mse")[1][:, knobs.cures.index(name)]  # (frames, data_sets)
        last = np.maximum(settled(validation), 1e-12)
        training = settled(recording.curve("train_mse")[1])[knobs.cures.index(name)]
        turn = finite(np.median(last / np.maximum(validation.min(axis=0), 1e-12)))
        ratio = finite(np.median(training / last))
    numbers = {"source": "replicas at the notebook's settings", "hint": hint}
    plenty = Claim(
        "Ten times the notebook's points leave next to nothing to cure",
        "" if turn is None else f"last validation error {turn:.2f} times the lowest, median over data sets",
        "1.1 times at most",
        turn <= 1.1 if ended and turn is not None and knobs.epochs >= 300 else None,
        "nets of this lesson",
        hint="it takes a plain net and 300 epochs, to the end",
    )
    return [
        *([plenty] if knobs.points >= 500 else []),
        Claim(
            f"Trained on and on, the {name or 'net'} gets worse on points it does not train on",
            "" if turn is None else f"last validation error {turn:.2f} times the lowest, median over data sets",
            f"{needed} times or more" + (" (1.15 at the notebook's size)" if needed < 1.15 else ""),
            turn >= needed if decides and turn is not None else None,
            notebook="0.0302 after 1000 epochs, 0.0280 after 100",
            **numbers,  # type: ignore[arg-type]
        ),
        Claim(
            "It knows its training points far better than new ones",
            "" if ratio is None else f"training error {ratio:.2f} times the validation error, median over data sets",
            "under 0.6 times",
            ratio < 0.6 if decides and ratio is not None else None,
            notebook="0.00698 against 0.0302: 0.23 times",
            **numbers,  # type: ignore[arg-type]
        ),
    ]


def _identity(found: Facts) -> list[Claim]:
    residual, hint = found["ambiguity_residual"], "the ensemble must be among the cures"
    names = ("ensemble_distance", "ambiguity", "mean_member_distance")
    together, apart, mean = (found.get(name) or 0.0 for name in names)
    gain = found.get("least_gain")
    return [
        Claim(
            "Ensemble error = mean error of its members − their ambiguity, exactly",
            f"{together:.6f} = {mean:.6f} − {apart:.6f}; off by {residual:.1e} at most" if residual is not None else "",
            "off by less than 0.000001 on every data set",
            residual < 1e-6 if residual is not None else None,
            KROGH,
            notebook="0.0270576 = 0.0279638 − 0.0009062, if it holds; the members' spread is not printed",
            hint=hint,
        ),
        Claim(
            "An ensemble is never worse than the mean of its members",
            f"better on every data set, by {gain:.6f} or more" if gain is not None and gain >= 0 else "",
            "no larger on any data set",
            gain >= -1e-12 if gain is not None else None,
            KROGH + ": ambiguity is a variance, so it is never negative",
            notebook="0.0270576 against 0.0279638",
            hint=hint,
        ),
    ]


VERDICTS: Mapping[
    str, tuple[str, bool, str]
] = {  # sentence, whether the cure is expected to help, the notebook's numbers
    "early stopping": (
        "Early stopping of the smaller net beats the big net by more than chance",
        True,
        "0.0280 against 0.0314, without a spread",
    ),
    "ensemble": (
        "An ensemble of smaller nets, stopped early, beats the big net by more than chance",
        True,
        "0.0271 against 0.0314, without a spread; most of it is the early stopping of its members",
    ),
    "weight decay": ("Weight decay beats the big net by more than chance", True, ""),
    "smaller net": (
        "Half the width is no cure here: it does not beat the big net by more than chance",
        False,
        "0.0302 against 0.0314: one data set, no spread",
    ),
    "dropout": (
        "Dropout is no cure here: it does not beat the big net by more than chance",
        False,
        "0.0355 and 0.0327 at rates 0.2 and 0.05, with twice the width: worse than 0.0314",
    ),
}


def _verdict(cure: str, found: Facts, decides: bool) -> Claim:
    """Whether a cure's difference to the big net exceeds the spread of that difference over the data sets."""
    sentence, helps, notebook = VERDICTS[cure]
    difference, spread = found.get(f"difference[{cure}]"), found.get(f"spread[{cure}]")
    better, measured = None, ""
    if difference is not None and spread is not None:
        better = -difference > spread
        verdict = "better" if better else "worse" if difference > spread else "no difference that is more than chance"
        measured = f"{difference:+.1%} ± {spread:.1%}: {verdict}"
    elif difference is not None:
        measured = f"{difference:+.1%} on one data set: no spread, no verdict"
    return Claim(
        sentence,
        measured.replace("-", "−"),
        f"error on new points {'' if helps else 'not '}lower by more than the spread of the difference over the data sets",
        better is helps if decides and better is not None else None,
        "nets of 5×96 in this lesson: so in each of six seeds, ten data sets each",
        notebook=notebook,
        hint="it takes the big net, this cure (weight decay 1 … 6), 50 noisy points, 300 epochs and 3 data sets",
    )


def _moments(knobs: CureKnobs, found: Facts, decides: bool) -> Claim:
    first, last = found.get("first_stop"), found.get("last_stop")
    known = first is not None and last is not None and first > 0
    return Claim(
        "The right moment to stop differs from start to start",
        f"the members are best between epoch {first:.0f} and {last:.0f}" if known else "",
        "the last at least 1.5 times as late as the first",
        last >= 1.5 * first  # type: ignore[operator]
        if known and decides and knobs.stopping == "patience" and knobs.members * knobs.data_sets >= 10
        else None,
        "nets of this lesson",
        notebook="“early stopping can be a little risky”, without a number; epoch 100 for all",
        hint='it takes ten members or more over all data sets, stopped by "patience"',
    )


def _quadratic(found: Facts) -> Claim:
    cosine, apart = found.get("cosine"), found.get("relative_difference")
    return Claim(
        "On a quadratic loss early stopping points where L2 points, but is not the same",
        f"cosine {cosine:.4f} or more, weights up to {apart:.0%} apart" if cosine is not None else "",
        "cosine at least 0.99 at every τ from 5 to 500",
        cosine >= 0.99 if cosine is not None else None,
        "Kantorovich's inequality gives 0.99; " + GOODFELLOW,
        notebook="“almost equivalent to L2 regularization”, without the condition",
        hint="the first frame decides it",
    )


THIN = 27.0
"""How many passes over its result a product takes that has a side of one, as of the one input and the one output:
measured, 0.76 ns a number where a pass takes 0.03."""


def cost(knobs: CureKnobs) -> Cost:
    """Matrix products of training and looking, and the optimizer's pass over all weights."""
    looked = knobs.points + knobs.validation_points + GRID
    looks = min(knobs.epochs, LOOKS) + 2
    total = Cost(0.0, 0.0, 0.0, 5e7)
    for name in dict.fromkeys("smaller net" if cure == "early stopping" else cure for cure in knobs.cures):
        half, ensemble = name in ("smaller net", "ensemble"), name == "ensemble"
        width = knobs.width // 2 if half else knobs.width
        nets = knobs.data_sets * (knobs.members if ensemble else 1)
        stop = NOTEBOOK_STOP + (knobs.patience if knobs.stopping == "patience" else 0)
        share = min(1.0, stop / knobs.epochs) if ensemble else 1.0
        weights = width * (width * (knobs.depth - 1) + 2 + knobs.depth)
        steps = knobs.epochs * share
        # Twice the arithmetic: products as small as these run at half the speed of large ones.
        flops = 2.0 * nets * weights * (6.0 * knobs.points * steps + 2.0 * looked * looks * share)
        numbers = nets * steps * (6.0 * weights + (8.0 * knobs.depth + 5.0 * THIN) * width * knobs.points)
        numbers += nets * looks * share * (3.0 * knobs.depth + 2.0 * THIN) * width * looked
        if half and knobs.stopping == "patience" and (ensemble or "early stopping" in knobs.cures):
            validated = float(
                min(stop, knobs.epochs) * knobs.validation_points
            )  # in every epoch, until all have stopped
            flops += 4.0 * nets * weights * validated
            numbers += nets * (3.0 * knobs.depth + 2.0 * THIN) * width * validated
        held = 4.0 * nets * (6.0 * weights + 2.0 * width * looked + 3.0 * width * knobs.depth * knobs.points)
        total = total + Cost(flops, numbers, 14.0 * knobs.depth * (steps + looks), total.bytes + held)
    return total


def shrunk(knobs: CureKnobs) -> CureKnobs:
    """Narrow nets, a few steps: a moment of work, everything else as it was."""
    small = {"width": 8, "epochs": 10, "members": min(knobs.members, 3), "validation_points": 20}
    return knobs.model_copy(update={**small, "data_sets": min(knobs.data_sets, 2)})


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    prefix = "difference["
    differences = {name[len(prefix) : -1]: value for name, value in found.items() if name.startswith(prefix)}
    known = {cure: value for cure, value in differences.items() if value is not None}
    if not known:
        return "Nothing to compare: this run has the big net alone, or lacks it."
    best = min(known, key=lambda cure: known[cure])
    beyond = [cure for cure in known if -known[cure] > (found.get(f"spread[{cure}]") or math.inf)]
    tail = f"Better by more than chance: {', '.join(beyond) or 'none'}."
    return f"The lowest error on new points has {best}: {known[best]:+.0%} against the big net. {tail}"


PRESETS: Mapping[str, CureKnobs] = {
    "Classroom": CureKnobs(),
    "As the notebook ran it": CureKnobs(
        cures=("big net", "smaller net", "early stopping", "ensemble"),
        width=512,
        epochs=1000,
        learning_rate=0.001,
        stopping="epoch 100",
        members=10,
        init="normal 0.05",
        data_sets=1,
        validation_points=10_000,
    ),
    "Done right": CureKnobs(width=512, epochs=1000, learning_rate=0.001, patience=100, members=10),
    "Plenty of points": CureKnobs(points=500, data_sets=3),
}

LESSON = Lesson(
    slug="overfitting-cures",
    prose=prose.of("overfitting-cures"),
    revision=2,
    knobs=CureKnobs,
    presets=PRESETS,
    series=lambda knobs: knobs.cures,
    repeats="data_set",
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="train_mse",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, Kind, ambiguity, early_stopping_and_l2),
)
