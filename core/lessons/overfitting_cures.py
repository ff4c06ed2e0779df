"""Which cure for overfitting helps beyond random variation? (notebook 002; Krogh & Vedelsby 1995)

A big network memorizes fifty noisy points of a curve. The cures stand beside it: half the width, early stopping, an
ensemble, weight decay, dropout. All train at once on several data sets, since one data set proves nothing: each cure is
compared with the big network on the same data. The words are in `overfitting-cures.md`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch

from core.charts import AnyTrace, axis, chart, growing, interval, level, small_multiples
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve
from core.facts import Fact, mean
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Overfits
from core.panels import COLOURS, FAINT, Panel, Still, Switch, reference
from core.result import Missing, Result
from core.stats import Estimate, mean_of
from core.traces import Bar, Scatter
from core.training.cures import (
    FEATURES,
    KIND_OF,
    NOTEBOOK_STOP,
    TAUS,
    UNSTOPPED,
    Kind,
    Samples,
    ambiguity,
    early_stopping_and_l2,
    least_squares,
)
from core.training.noisy_curve import GRID, grid, truth

Cure = Literal["big net", "smaller net", "early stopping", "ensemble", "weight decay", "dropout", "unstopped ensemble"]
CURES: Sequence[str] = get_args(Cure)
COLOUR = dict(zip(CURES, (COLOURS[i] for i in (3, 1, 0, 2, 5, 4, 9)), strict=True))
DASH = dict(zip(CURES, ("solid", "dash", "solid", "longdash", "dashdot", "dot", "longdashdot"), strict=True))
FRAMES = 80  # of a run: so often are all networks tested
SETTLED = 5  # frames whose median is what a network has come to: full-batch Adam spikes now and then, for a few epochs
EACH = 2  # every second point of the grid is drawn
MEMBERS_DRAWN = 8
NOTEBOOK: Mapping[str, tuple[float, float]] = {  # its train and validation MSE, on data that it does not print
    "big net": (0.00626838, 0.0313612),
    "smaller net": (0.00697594, 0.0302323),
    "early stopping": (0.0113222, 0.0279638),  # the mean of its ten early-stopped networks
    "ensemble": (0.0105538, 0.0270576),
}
NOTEBOOK_DROPOUT = {0.2: (0.0103586, 0.0354970), 0.05: (0.00827718, 0.0327324)}
NOTEBOOK_RISE = NOTEBOOK["smaller net"][1] / NOTEBOOK["early stopping"][1] - 1  # what training on cost it: 8.1 %
KROGH = "Krogh & Vedelsby 1995"
GOODFELLOW = "Goodfellow, Bengio & Courville 2016, Deep Learning, §7.8"


class CureKnobs(Knobs):
    """Hyper-parameters."""

    cures: tuple[Cure, ...] = knob(("big net", "smaller net", "early stopping", "ensemble", "weight decay", "dropout"), "what trains side by side; differences are taken to the big net", shown=True)  # fmt: skip
    points: int = knob(50, "training points: the fewer, the easier they are memorized", 10, 500, stops=(10, 20, 50, 100, 200, 500), shown=True)  # fmt: skip
    noise: float = knob(0.15, "standard deviation of the noise on every point; its square is the error that no network can beat", 0.0, 0.5, stops=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5), shown=True)  # fmt: skip
    width: int = knob(96, "units in each hidden layer of the big net; the smaller net and the members have half", 8, 512, stops=(8, 16, 32, 64, 96, 128, 256, 512), shown=True)  # fmt: skip
    depth: int = knob(5, "hidden layers of every network", 1, 6)
    epochs: int = knob(400, "steps on all training points at once", 10, 2000, stops=(50, 100, 200, 400, 600, 1000, 2000))  # fmt: skip
    learning_rate: float = knob(0.003, "step size of Adam; Keras and the notebook use 0.001", 1e-5, 0.03, stops=(1e-5, 1e-4, 0.0003, 0.001, 0.003, 0.01, 0.03))  # fmt: skip
    stopping: Literal["patience", "epoch 100"] = knob("patience", "when early stopping stops: at each network's own lowest validation error, or at one epoch for all, as the notebook chose by eye")  # fmt: skip
    patience: int = knob(60, "epochs without a lower validation error after which a network is stopped", 5, 500, stops=(5, 10, 20, 40, 60, 100, 200, 500))  # fmt: skip
    members: int = knob(4, "networks in the ensemble, each with an initialization of its own; stopped early, unless it is the unstopped ensemble", 1, 30, stops=(1, 2, 4, 6, 10, 20, 30))  # fmt: skip
    weight_decay: float = knob(5.0, "strength of AdamW's weight decay: each step shrinks every weight by the learning rate times this", 0.0, 30.0, stops=(0.0, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 30.0))  # fmt: skip
    rate: float = knob(0.05, "probability that dropout drops a unit in a step; the notebook's second rate", 0.0, 0.8, stops=(0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8), label="dropout rate")  # fmt: skip
    init: Literal["he", "glorot", "normal 0.05"] = knob("he", "distribution of the initial weights: He's, with biases that spread the units' kinks over the interval; Glorot's, smaller; or N(0, 0.05²) as the notebook, biases too", label="initialization")  # fmt: skip
    data_sets: int = knob(5, "data sets, each with networks of its own: how much of a difference is random variation", 1, 10, stops=(1, 2, 3, 4, 5, 7, 10))  # fmt: skip
    validation_points: int = knob(300, "points on which the moment to stop is chosen; errors on new points are computed apart", 10, 10_000, stops=(10, 50, 100, 300, 1000, 10_000))  # fmt: skip
    seed: int = SEED


ERRORS = {"test_mse": "error on new points", "validation_mse": "validation error", "train_mse": "training error"}
lesson = Lesson(
    "overfitting-cures",
    CureKnobs,
    revision=2,
    axis="epoch",
    length="epochs",
    series=lambda knobs: knobs.cures,
    repeats="data_set",
    curves=[
        Curve(name, label, "mean squared", log=True, events=[Diverges, partial(Overfits, seen="train_mse")] if name == "test_mse" else (), fact=False)
        for name, label in ERRORS.items()
    ],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(cures=CURES[:4], width=512, epochs=1000, learning_rate=0.001, stopping="epoch 100", members=10, init="normal 0.05", data_sets=1, validation_points=10_000),
        "Done right": dict(width=512, epochs=1000, learning_rate=0.001, patience=100, members=10),
        "Plenty of points": dict(points=500, data_sets=3),
        "Averaging alone": dict(cures=("big net", "smaller net", "ensemble", UNSTOPPED)),
        "Dropout from smaller weights": dict(cures=("big net", "dropout"), init="glorot", data_sets=10),
    },
    small=dict(width=8, epochs=10, members=3, validation_points=20, data_sets=2),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


@lesson.experiment
def train(knobs: CureKnobs, device: torch.device) -> Iterator[Frame]:
    """Train every kind of network that the cures ask for, step by step, on all data sets at once."""
    samples = Samples(knobs, device)
    needed = dict.fromkeys(KIND_OF.get(cure, cure) for cure in knobs.cures)
    kinds: dict[str, Kind] = {name: Kind(name, knobs, samples) for name in needed}
    similar = early_stopping_and_l2(*least_squares(knobs.seed))
    looks: list[Array] = []
    yield frame(knobs, samples, kinds, 0, looks, quadratic=similar)

    every = max(1, knobs.epochs // FRAMES)
    for epoch in range(1, knobs.epochs + 1):
        training = [kind for kind in kinds.values() if kind.wanted]
        for kind in training:
            kind.epoch(epoch)
        if epoch % every == 0 or epoch in (NOTEBOOK_STOP, knobs.epochs):
            yield frame(knobs, samples, kinds, epoch, looks)


def frame(knobs: CureKnobs, samples: Samples, kinds: Mapping[str, Kind], epoch: int, looks: list[Array], **also: Array) -> Frame:  # fmt: skip
    """Return everything that the charts show; its errors join the earlier `looks`, each (3, cures, data_sets)."""
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
        pictures["difference"] = beside_big(knobs, table[2]).astype("f4")  # (cures, data_sets)
    if "ensemble" in kinds:
        members = kinds["ensemble"].outputs(stopped=True)
        pictures["identity"] = ambiguity(members[..., -GRID:], truth(grid()))  # (3, data_sets)
        pictures["sums"] = np.array(["{:.4f}<br>+{:.4f}<br>={:.4f}".format(*each) for each in pictures["identity"].T])
        pictures["stops"] = kinds["ensemble"].best.epoch.astype("f4")  # (members, data_sets)
        pictures["members"] = one_line(members[:MEMBERS_DRAWN, 0, -GRID::EACH])
    curves = {"train_mse": train_mse, "validation_mse": validation_mse, "test_mse": test_mse}
    return Frame(epoch, curves, pictures, epoch / knobs.epochs)


def settled(looks: Sequence[Array] | Array) -> Array:
    """Return what the errors have come to: the median of the last frames."""
    return np.asarray(np.median(looks[-SETTLED:], axis=0))


def prediction(cure: str, kinds: Mapping[str, Kind]) -> Array:
    """Return what a cure predicts now, (data_sets, everything)."""
    kind = kinds[KIND_OF.get(cure, cure)]
    return np.asarray(kind.outputs(stopped=cure in ("early stopping", "ensemble")).mean(axis=0))


def beside_big(knobs: CureKnobs, test_mse: Array) -> Array:
    """Return each cure's error relative to the big net's on the same data set, less 1: -0.2 is 20 % lower.

    Relative, since now and then a data set spoils the big net badly, and would be all that a mean sees.
    """
    return np.asarray(test_mse / test_mse[knobs.cures.index("big net")] - 1)


def one_line(functions: Array) -> Array:
    """Return several functions as one line with gaps, (functions · (points + 1),)."""
    return np.concatenate([functions, np.full((len(functions), 1), np.nan)], axis=1).round(3).astype("f4").ravel()


lesson.shown(train, Kind, ambiguity, early_stopping_and_l2)
THIN = 27.0  # passes over its result that a product with a side of one takes: measured, .76 ns a number against .03


@lesson.cost
def cost(knobs: CureKnobs) -> Cost:
    """Matrix products of training and testing, and the optimizer's pass over all weights."""
    tested = knobs.points + knobs.validation_points + GRID
    looks = min(knobs.epochs, FRAMES) + 2
    total = Cost(0.0, 0.0, 0.0, 5e7)
    for name in dict.fromkeys(KIND_OF.get(cure, cure) for cure in knobs.cures):
        half, ensemble = name in ("smaller net", "ensemble"), name == "ensemble"
        width = knobs.width // 2 if half else knobs.width
        nets = knobs.data_sets * (knobs.members if ensemble else 1)
        stop = NOTEBOOK_STOP + (knobs.patience if knobs.stopping == "patience" else 0)
        share = min(1.0, stop / knobs.epochs) if ensemble and UNSTOPPED not in knobs.cures else 1.0
        weights = width * (width * (knobs.depth - 1) + 2 + knobs.depth)
        steps = knobs.epochs * share
        # Twice the arithmetic: products as small as these run at half the speed of large ones.
        flops = 2.0 * nets * weights * (6.0 * knobs.points * steps + 2.0 * tested * looks * share)
        numbers = nets * steps * (6.0 * weights + (8.0 * knobs.depth + 5.0 * THIN) * width * knobs.points)
        numbers += nets * looks * share * (3.0 * knobs.depth + 2.0 * THIN) * width * tested
        if half and knobs.stopping == "patience" and (ensemble or "early stopping" in knobs.cures):
            validated = float(min(stop, knobs.epochs) * knobs.validation_points)  # each epoch, until all have stopped
            flops += 4.0 * nets * weights * validated
            numbers += nets * (3.0 * knobs.depth + 2.0 * THIN) * width * validated
        held = 4.0 * nets * (6.0 * weights + 2.0 * width * tested + 3.0 * width * knobs.depth * knobs.points)
        total = total + Cost(flops, numbers, 14.0 * knobs.depth * (steps + looks), total.bytes + held)
    return total


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: CureKnobs) -> Iterator[Panel]:
    """Errors by epoch, learned functions, the notebook's table, differences, the identity, early stopping."""
    unit = max(knobs.noise, 0.03) ** 2  # the error by which axes are sized
    room = max(1.0, 50 / knobs.points)  # networks of fewer than fifty points err more
    ends = (unit * 10**-0.65, unit * 10**0.4 * room)
    noise = [level(knobs.noise**2, 0, knobs.epochs, f"noise: {knobs.noise**2:.4f}")] if knobs.noise else []
    style: dict[str, Any] = {"colours": [COLOUR[cure] for cure in knobs.cures], "dashes": [DASH[cure] for cure in knobs.cures]}  # fmt: skip
    caption = "Mean squared error to expect of a new point, from the true curve and the noise; mean and range over the data sets."
    drawn = lesson.line_chart(knobs, "test_mse", caption, extra=noise, range=ends, band=knobs.data_sets > 1, **style)
    for each in drawn.traces:  # bands over one another: paler than usual, and all of them behind the lines
        if "fillcolor" in each.trace:
            each.trace["fillcolor"] = each.trace["fillcolor"].replace("0.18", "0.07")
    behind = sorted(drawn.traces, key=lambda each: each.trace["line"]["width"] != 0)
    yield Panel(drawn.name, drawn.caption, behind, drawn.layout)
    plain = plain_net(knobs.cures) or knobs.cures[0]
    shown = [growing(name, knobs.cures.index(plain), f"{plain}: {ERRORS[name]}", COLOUR[plain], line={"dash": dash}) for name, dash in (("validation_mse", "solid"), ("train_mse", "dot"))]  # fmt: skip
    yield chart(
        "When to stop?",
        f"Validation and training error of the {plain}, means over the data sets: the chart from which the notebook chose epoch {NOTEBOOK_STOP} by eye. Its lowest validation error is where early stopping stops.",
        [*noise, reference([NOTEBOOK_STOP] * 2, ends, f"the notebook's epoch {NOTEBOOK_STOP}"), *shown],
        x=axis("epochs", range=(0, knobs.epochs)),
        y=axis("mean squared error", log=True, range=(ends[0] / 4, ends[1])),
    )  # fmt: skip
    yield functions(knobs)
    names = axis("", ticks=range(len(knobs.cures)), labels=[cure.replace(" ", "<br>") for cure in knobs.cures], range=(-0.5, len(knobs.cures) - 0.5))  # fmt: skip
    yield notebook_table(knobs, names, 2.4 * unit * room, room > 1)
    if "big net" in knobs.cures and len(knobs.cures) > 1:
        others = [(i, cure) for i, cure in enumerate(knobs.cures) if cure != "big net"]
        dot = {"mode": "markers", "opacity": 0.75, "showlegend": False}
        dots = [Switch(Scatter(x=[i + 0.18] * knobs.data_sets, name=cure, marker={"size": 7, "color": COLOUR[cure]}, **dot), {"y": ("difference", i)}) for i, cure in others]  # fmt: skip
        reach = 0.6 if room == 1.0 else 1.0
        yield chart(
            "Better than the big net?",
            "Error on new points relative to the big net's on the same data set: a dot for each data set, and the mean with its 95 % interval. Where it crosses zero, these data cannot tell.",
            [level(0, -0.5, len(knobs.cures) - 0.5, "the big net on the same data"), *(interval("difference", i, i, cure, COLOUR[cure]) for i, cure in others), *dots],
            x=names,
            y=axis("error against the big net's", range=(-reach, reach), format="+.0%"),
        )  # fmt: skip
    if "ensemble" in (KIND_OF.get(cure, cure) for cure in knobs.cures):
        yield averaging(knobs, 1.25 * unit * room)
    rows = (("cosine of the two", COLOURS[2], "solid"), ("difference, relative to L2's length", COLOURS[3], "dash"))
    yield chart(
        "Is early stopping L2?",
        f"Least squares with {FEATURES} weights: gradient descent in small steps, stopped after τ of them, beside L2 with λ = 1/(ητ). The direction agrees, the weights do not; and this is the case in which the theory holds.",
        [level(0.99, TAUS[0], TAUS[-1], "0.99"), *(Switch(Scatter(x=TAUS, name=name, mode="lines", line={"color": colour, "dash": dash, "width": 2}), {"y": ("quadratic", i)}) for i, (name, colour, dash) in enumerate(rows))],
        x=axis("steps τ", log=True, ticks=[5, 10, 20, 50, 100, 200, 500]),
        y=axis("", range=(0, 1.05)),
    )  # fmt: skip


def functions(knobs: CureKnobs) -> Panel:
    """Return the chart of what the networks of the first data set have learned, a cell for each cure."""
    x, samples = grid()[::EACH], Samples(knobs, torch.device("cpu"))
    dots = {"x": samples.x[0, : knobs.points, 0].numpy(), "y": samples.y[0, : knobs.points, 0].numpy()}
    still = [
        Still(Scatter(**dots, name="training points", mode="markers", marker={"size": 4, "color": FAINT}, opacity=0.6)),
        reference(list(x), list(truth(x)), "true function", line={"color": FAINT, "width": 4}, opacity=0.6),
    ]
    cells: dict[str, list[AnyTrace]] = {}
    for i, cure in enumerate(knobs.cures):
        line = {"color": COLOUR[cure], "width": 2}
        cells[cure] = [*still, Switch(Scatter(x=x, name=cure, mode="lines", line=line), {"y": ("functions", i)})]
        if cure == "ensemble":
            many = np.tile(np.append(x, np.nan), min(knobs.members, MEMBERS_DRAWN))
            thin = Scatter(x=many, name="members", mode="lines", line={**line, "width": 0.8}, opacity=0.45)
            cells[cure].insert(2, Switch(thin, {"y": "members"}))
    reach = 0.9 + 2 * knobs.noise
    return small_multiples(
        "What they have learned",
        f"The first data set: its {knobs.points} points, the true function (broad, grey), and each cure's function; of the ensemble also its members.",
        cells,
        colours=COLOUR,
        x={"range": [-2.05, 2.05], "tickvals": [-1, 0, 1]},
        y={"range": [-reach, reach], "nticks": 5},
    )


def notebook_table(knobs: CureKnobs, names: Mapping[str, object], top: float, crowded: bool) -> Panel:
    """Return the chart of training and validation error at the end, beside the notebook's."""
    theirs = {**NOTEBOOK, "dropout": NOTEBOOK_DROPOUT.get(knobs.rate, ())}
    known = [(i, error) for i, cure in enumerate(knobs.cures) for error in theirs.get(cure, ())]
    places, errors = [i for i, _ in known], [error for _, error in known]
    cross = {"symbol": "x-thin-open", "size": 9, "color": FAINT}
    marks = [reference(places, errors, "notebook, on other data", mode="markers", marker=cross)] if known else []
    colours = [COLOUR[cure] for cure in knobs.cures]
    rows = (("training", "circle-open", "bottom center"), ("validation", "diamond", "top center"))
    style = {"x": list(range(len(colours))), "mode": "markers+text", "texttemplate": "%{y:.4f}"}
    drawn = [Switch(Scatter(name=name, marker={"symbol": symbol, "size": 10, "color": colours}, textposition=side, **style), {"y": ("table", row)}) for row, (name, symbol, side) in enumerate(rows)]  # fmt: skip
    return chart(
        "The notebook's table",
        "Training and validation error of each cure, mean over the data sets, median of the last five frames. The notebook's numbers come from data that it does not print: they are for orientation only.",
        [*marks, *drawn],
        x=names,
        y=axis("mean squared error", range=(-0.12 * top if crowded else 0.0, top)),  # room for numbers next to 0
    )


def averaging(knobs: CureKnobs, top: float) -> Panel:
    """Return the chart of the ambiguity identity."""
    sets, colour = list(range(1, knobs.data_sets + 1)), COLOUR["ensemble"]
    rows = (("the ensemble", ""), ("+ ambiguity: how far members disagree", "/"))
    parts = [Switch(Bar(x=sets, name=name, marker={"color": colour, "pattern": {"shape": shape}}), {"y": ("identity", i)}) for i, (name, shape) in enumerate(rows)]  # fmt: skip
    line = {"symbol": "line-ew-open", "size": 34, "color": COLOUR["smaller net"], "line": {"width": 3}}
    text = {"mode": "markers+text" if knobs.data_sets <= 6 else "markers", "textposition": "top center", "textfont": {"size": 11}}  # fmt: skip
    members = Scatter(x=sets, name="= mean of the members", marker=line, **text)
    return chart(
        "What averaging gains",
        "Squared distance to the true function, by data set, members stopped early. The ensemble's error and the members' disagreement add up to the members' mean error: always, exactly.",
        [*parts, Switch(members, {"y": ("identity", 2), "text": "sums"})],
        x=axis("data set", ticks=sets, range=(0.4, knobs.data_sets + 0.6)),
        y=axis("squared distance", range=(0, top)),
        barmode="stack",
        bargap=0.45,
    )


# ---- facts ---------------------------------------------------------------------------------------------------------


def plain_net(cures: Sequence[str]) -> str | None:
    """Return the network without a cure that shows overfitting: the notebook's smaller one, else the big one."""
    return next((name for name in ("smaller net", "big net") if name in cures), None)


@lesson.facts
def facts(result: Result[CureKnobs]) -> Iterator[Fact]:
    """Yield errors of each cure, differences to the big net, what overfitting costs, and the identity's numbers."""
    cures = result.knobs.cures
    errors = {name: settled(result.curve(name)[1]) for name in ERRORS}  # (cures, data_sets)
    for i, cure in enumerate(cures):
        for name, values in errors.items():
            yield mean(name, cure, values[i])
        if "big net" in cures and cure != "big net":
            yield mean("difference", cure, beside_big(result.knobs, errors["test_mse"])[i])
    if (plain := plain_net(cures)) is not None:
        validation, test = (result.curve(each)[1][:, cures.index(plain)] for each in ("validation_mse", "test_mse"))
        best = np.take_along_axis(test, validation.argmin(axis=0)[None], axis=0)[0]  # chosen on other points
        yield mean("rise", plain, settled(test) / best - 1)
    pictures = result.recording.pictures
    if "identity" in pictures:
        together, apart, members = result.table("identity")
        yield mean("ensemble_distance", "", together)
        yield mean("ambiguity", "", apart)
        yield mean("mean_member_distance", "", members)
        yield Fact("least_gain", "", (members - together).min())  # by averaging, over the data sets
        yield Fact("ambiguity_residual", "", np.abs(together - (members - apart)).max())
    if "stops" in pictures:
        stops = result.table("stops")  # (members, data_sets)
        yield Fact("first_stop", "", stops.min())
        yield Fact("last_stop", "", stops.max())
        yield mean("log_stop_ratio", "", np.log(np.maximum(stops.max(axis=0), 1) / np.maximum(stops.min(axis=0), 1)))
    if "quadratic" in pictures:
        cosine, apart = result.table("quadratic")
        yield Fact("cosine", "", cosine.min())
        yield Fact("relative_difference", "", apart.max())


# ---- claims --------------------------------------------------------------------------------------------------------


def has_learned(result: Result[CureKnobs]) -> bool:
    """Return whether a network without a cure has learned at all: its error on the training points has halved."""
    name = plain_net(result.knobs.cures)
    if name is None:
        return False
    first = result.curve("train_mse")[1][0, result.knobs.cures.index(name)].mean()
    return bool(result.fact("train_mse", name) <= 0.5 * first)


PLAIN = Needs("a network without a cure among the cures", lambda knobs: plain_net(knobs.cures) is not None)
TRAINED = (PLAIN, Needs.at_least("epochs", 300), Needs("a network without a cure that learns its points", result=has_learned), Needs.at_least("data_sets", 3))  # fmt: skip
ENSEMBLE = Needs("the ensemble among the cures", lambda knobs: "ensemble" in (KIND_OF.get(cure, cure) for cure in knobs.cures), change=lambda knobs: {"cures": (*knobs.cures, "ensemble")})  # fmt: skip
MORE = "more data sets make the interval narrower"
HELP = ("early stopping", "ensemble", "weight decay")


@lesson.claim(
    "Early stopping, an ensemble of stopped networks and weight decay each err less on new points than the big net",
    expected="three differences whose 95 % intervals all lie below zero",
    source="paired by data set: the same points",
    notebook="0.0280 and 0.0271 against 0.0314, one data set; no weight decay",
    needs=[Needs.among("cures", "big net", *HELP), *TRAINED],
)
def three_help(result: Result[CureKnobs]) -> Check:
    """The lesson's own question."""
    found = {cure: mean_of(result.samples("difference", cure)) for cure in HELP}
    verdicts = {each.falls_below(0) for each in found.values()}
    said = "; ".join(f"{cure} {each.sentence('.1%')}" for cure, each in found.items())
    return Check(said, False if False in verdicts else None if None in verdicts else True, MORE)


ALONE: Mapping[str, tuple[str, str]] = {  # cure → sentence, the notebook's numbers
    "early stopping": ("Early stopping of the smaller net", "0.0280 against 0.0314"),
    "ensemble": ("An ensemble of smaller nets, stopped early,", "0.0271 against 0.0314; most of it is the early stopping of its members"),
    UNSTOPPED: ("An ensemble of smaller nets that are trained to the end", "none: its ensemble is stopped early"),
    "weight decay": ("Weight decay", ""),
    "smaller net": ("A network of half the width", "0.0302 against 0.0314"),
    "dropout": ("Dropout", "0.0355 and 0.0327 at rates 0.2 and 0.05, with twice the width: worse than 0.0314"),
}  # fmt: skip


def beats_big(cure: str) -> Callable[[Result[CureKnobs]], Check]:
    """Return the check whether a cure errs less than the big net."""

    def check(result: Result[CureKnobs]) -> Check:
        found = mean_of(result.samples("difference", cure))
        return Check(found.sentence(".1%"), found.falls_below(0), MORE)

    return check


for cure, (words, numbers) in ALONE.items():
    lesson.claim(
        f"{words} errs less on new points than the big net",
        expected="a difference whose 95 % interval lies below zero",
        source="paired by data set: the same points",
        notebook=numbers,
        needs=[Needs.among("cures", "big net"), *TRAINED],
        shown=partial(lambda knobs, cure: cure in knobs.cures, cure=cure),
    )(beats_big(cure))


def rise(result: Result[CureKnobs]) -> tuple[str, Estimate]:
    """Estimate by how much a network without a cure errs more at the end than at its lowest validation error."""
    name = plain_net(result.knobs.cures)
    if name is None:
        raise Missing("network without a cure")
    return name, mean_of(result.samples("rise", name))


@lesson.claim(
    "Trained on and on, a network without a cure gets worse on new points",
    expected="a rise since its lowest validation error whose 95 % interval lies above zero",
    source="chosen on validation points, measured on new ones: a network that does not get worse rises by nothing",
    notebook="0.0302 after 1000 epochs, 0.0280 after 100",
    needs=TRAINED,
    shown=lambda knobs: knobs.points < 500,
)
def gets_worse(result: Result[CureKnobs]) -> Check:
    """Overfitting."""
    name, found = rise(result)
    return Check(f"{name}: {found.sentence('.1%')}", found.exceeds(0), MORE)


@lesson.claim(
    "With ten times the notebook's points, training on and on costs less than it cost the notebook with fifty",
    expected=f"a rise since its lowest validation error whose 95 % interval lies below the notebook's {NOTEBOOK_RISE:.1%}",
    source="notebook 002: 0.0302 after 1000 epochs, 0.0280 after 100",
    needs=TRAINED,
    shown=lambda knobs: knobs.points >= 500,
)
def plenty(result: Result[CureKnobs]) -> Check:
    """More data."""
    name, found = rise(result)
    return Check(f"{name}: {found.text('.1%')}", found.falls_below(NOTEBOOK_RISE), MORE)


@lesson.claim(
    "A network without a cure memorizes noise: its training error falls below the noise's variance",
    expected="a training error, less that variance, whose 95 % interval lies below zero",
    source="the true curve itself has that error: what is below it is fitted noise",
    notebook="0.00698, on data whose noise it does not print",
    needs=[*TRAINED, Needs("noise", lambda knobs: knobs.noise > 0)],
)
def memorizes(result: Result[CureKnobs]) -> Check:
    """What overfitting learns."""
    name, variance = plain_net(result.knobs.cures) or "", result.knobs.noise**2
    found = mean_of(result.samples("train_mse", name) - variance)
    return Check(f"{name}: {result.fact('train_mse', name):.4f} − {variance:.4f} = {found.sentence('.4f')}", found.falls_below(0), MORE)  # fmt: skip


@lesson.claim(
    "Ensemble error = mean error of its members − their ambiguity, exactly",
    expected="off by less than 0.000001 on every data set",
    source=KROGH,
    notebook="0.0270576 = 0.0279638 − 0.0009062, if it holds; the members' variance is not printed",
    needs=[ENSEMBLE],
    early=True,
)
def identity(result: Result[CureKnobs]) -> Check:
    """The ambiguity identity."""
    together, apart, members, residual = (result.fact(name) for name in ("ensemble_distance", "ambiguity", "mean_member_distance", "ambiguity_residual"))  # fmt: skip
    return Check(f"{together:.6f} = {members:.6f} − {apart:.6f}; off by {residual:.1e} at most", residual < 1e-6)


@lesson.claim(
    "An ensemble is never worse than the mean of its members",
    expected="no larger error on any data set",
    source=KROGH + ": ambiguity is a variance, so it is never negative",
    notebook="0.0270576 against 0.0279638",
    needs=[ENSEMBLE],
    early=True,
)
def never_worse(result: Result[CureKnobs]) -> Check:
    """What follows from it."""
    least = result.fact("least_gain")
    return Check(f"the smallest gain of any data set is {least:.6f}".replace("-", "−"), least >= -1e-12)


@lesson.claim(
    "On the same data, the right moment to stop differs from initialization to initialization",
    expected="the last member at least 1.5 times as late as the first, mean over the data sets; the 95 % interval lies above",
    source="members of one data set differ in their initialization alone",
    notebook="“early stopping can be a little risky”, without a number; epoch 100 for all",
    needs=[ENSEMBLE, *TRAINED, Needs.at_least("members", 4), Needs.settings(stopping="patience")],
)  # fmt: skip
def moments(result: Result[CureKnobs]) -> Check:
    """Why one epoch for all is risky."""
    ratio = mean_of(result.samples("log_stop_ratio"))
    times = [math.exp(each) for each in (ratio.mean, ratio.low, ratio.high)]
    return Check("{:.2f} times as late (95 % interval {:.2f} … {:.2f})".format(*times), ratio.exceeds(math.log(1.5)), MORE)  # fmt: skip


@lesson.claim(
    "On a quadratic loss, in small steps, early stopping points where L2 points, but is not the same",
    expected="cosine at least 0.99 at every τ from 5 to 500",
    source="Kantorovich's inequality gives 0.99 as ηλ → 0, here 0.02 at most; " + GOODFELLOW,
    notebook="“almost equivalent to L2 regularization”, without the condition",
    early=True,
)
def quadratic(result: Result[CureKnobs]) -> Check:
    """How near the two are."""
    cosine, apart = result.fact("cosine"), result.fact("relative_difference")
    return Check(f"cosine {cosine:.4f} or more, weights up to {apart:.0%} apart", cosine >= 0.99)


@lesson.outcome
def best_cure(result: Result[CureKnobs]) -> str:
    """Answer which cure brings the error on new points down the most."""
    found = {fact.series: mean_of(fact.samples) for fact in result.facts if fact.name == "difference" and fact.samples is not None}  # fmt: skip
    if not found:
        return "Nothing to compare: this run has the big net alone, or lacks it."
    best = min(found, key=lambda cure: found[cure].mean)
    lower = [cure for cure, each in found.items() if each.direction == "lower"]
    return f"The lowest error on new points has {best}: {found[best].text('.0%')} against the big net. Lower beyond random variation: {', '.join(lower) or 'none'}."
