"""Does switching units off at random keep a net from learning noise by heart? (notebook 002; Srivastava et al. 2014)

Wide nets learn fifty noisy points of a curve, on several data sets at once. Half of them train with dropout; the other
half are the same nets, from the same start, without: what differs between them is dropout and nothing else. Beside
them stand the three rules that are to make up for the missing units, the notebook's wrong one among them.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise, product
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
from core.panels import COLOURS, FAINT, Panel, Still, Switch, lines, reference
from core.traces import Bar, Scatter
from core.training.fleet import Dropout, Fleet, Rule

LEARNING_RATE = 0.001  # Adam's and Keras' default, which the notebook kept
LOOKS = 80  # frames after the first
GRID = 201  # even points of the interval on which nets are judged
EACH = 4  # every fourth of them is drawn
SAMPLES = 50  # nets with units missing that are drawn for the band
UNITS_SHOWN = 8  # of each hidden layer of the drawn net
MASKED, MASKS = 32, 32_768  # units and examples that decide a layer's mean: a million masks
LEARNED = 300  # epochs before nets with and without dropout are compared
ENOUGH = 6  # data sets: of fewer not even unanimous ones are told from chance at 5 %
RULES: tuple[Rule, ...] = ("inverted", "keep", "notebook")
RULE_NAMES = {"inverted": "inverted", "keep": "times 1 − p", "notebook": "notebook: times p"}
RULE_COLOURS = (COLOURS[4], COLOURS[2], COLOURS[3])
WITH, WITHOUT = COLOURS[0], COLOURS[1]
NOTEBOOK: Mapping[float, tuple[float, float]] = {  # rate → training and validation MSE, on data it does not print
    0.2: (0.010358586870133878, 0.03549703559279442),
    0.05: (0.008277178294956684, 0.032732396107912065),
}
NARROWER = 0.0313612  # validation MSE of the notebook's net of 512 units, without dropout
SRIVASTAVA = "Srivastava et al. 2014, JMLR 15:1929"


class DropoutKnobs(Knobs):
    """What may be turned."""

    rate: float = knob(0.2, "probability p that a hidden unit is dropped in a training step; 0 is no dropout", 0.0, 0.8, stops=(0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8), shown=True)  # fmt: skip
    rule: Literal["inverted", "keep", "notebook"] = knob("inverted", "what makes up for dropped units: kept ones × 1/(1 − p) in training, all × (1 − p) in evaluation, or, as the notebook's text says, all × p", shown=True)  # fmt: skip
    width: int = knob(64, "units in each hidden layer", 2, 1024, stops=(8, 16, 32, 64, 128, 256, 512, 1024), shown=True)  # fmt: skip
    points: int = knob(50, "training points: the fewer, the easier they are learned by heart", 5, 500, stops=(10, 20, 50, 100, 200, 500), shown=True)  # fmt: skip
    depth: int = knob(4, "hidden layers, each followed by dropout", 1, 6)
    input_rate: float = knob(0.0, "probability that an input is dropped; here there is only one, so then the net sees 0", 0.0, 0.8, stops=(0.0, 0.05, 0.1, 0.2, 0.5, 0.8))  # fmt: skip
    where: Literal["every hidden layer", "all but the last"] = knob("every hidden layer", "where units are dropped; the notebook spared its fifth and last hidden layer", label="dropout after")  # fmt: skip
    epochs: int = knob(1500, "steps on all training points at once", 10, 5000, stops=(100, 300, 500, 1000, 1500, 2000, 3000, 5000))  # fmt: skip
    noise: float = knob(0.15, "spread of the noise on each point; its square is the error that nobody can beat", 0.0, 0.5, stops=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5))  # fmt: skip
    init: Literal["glorot", "he", "normal 0.05"] = knob("glorot", "how weights start; the last is the notebook's N(0, 0.05²), biases too, which fades away in narrow nets", label="initialization")  # fmt: skip
    data_sets: int = knob(8, "data sets, each with nets of its own: how much of a difference is chance", 1, 12, stops=(1, 2, 3, 5, 6, 8, 10, 12))  # fmt: skip
    seed: int = SEED


def series(knobs: DropoutKnobs) -> list[str]:
    """The two kinds of nets."""
    return [f"dropout {knobs.rate:g}", "no dropout"]


# ---- the data ------------------------------------------------------------------------------------------------------


def truth(x: Array) -> Array:
    """The curve behind the points; the notebook does not print its own."""
    return np.asarray(0.5 * np.sin(2 * x) + 0.2 * x)


def grid() -> Array:
    """The interval in even steps, (GRID,)."""
    return np.linspace(-2, 2, GRID)


def sample(knobs: DropoutKnobs) -> tuple[Array, Array]:
    """Every data set's inputs and noisy targets, each (data_sets, points); one more set leaves the others as they are."""
    chances = [np.random.default_rng([knobs.seed, i]) for i in range(knobs.data_sets)]
    x = np.stack([chance.uniform(-2, 2, knobs.points) for chance in chances])
    return x, truth(x) + np.stack([chance.normal(0, knobs.noise, knobs.points) for chance in chances])


# ---- the nets ------------------------------------------------------------------------------------------------------


STARTS: Mapping[str, Init] = {"glorot": INITS["glorot"], "he": INITS["he"], "normal 0.05": normal(0.05, biases=True)}


def rates(knobs: DropoutKnobs) -> list[float]:
    """The rate of each hidden layer."""
    spared = knobs.where == "all but the last"
    return [knobs.rate] * (knobs.depth - spared) + [0.0] * spared


def fleet(knobs: DropoutKnobs, nets: int, dropout: Dropout | None, device: torch.device) -> Fleet:
    """`nets` fresh nets of one input and one output; net i starts alike with and without dropout."""
    made = Fleet(nets, (1, *[knobs.width] * knobs.depth, 1), activation=relu, dropout=dropout, device=device)
    made.initialise(STARTS[knobs.init], knobs.seed)
    return made


def train(knobs: DropoutKnobs, device: torch.device) -> Iterator[Frame]:
    """With dropout and without, on the same points from the same start: full-batch Adam, as the notebook."""
    x, y = (torch.from_numpy(each).float().to(device).unsqueeze(2) for each in sample(knobs))  # (data_sets, points, 1)
    nets = fleet(knobs, knobs.data_sets, Dropout(rates(knobs), knobs.input_rate, knobs.rule), device)
    control = fleet(knobs, knobs.data_sets, None, device)
    optimizers = [each.optimizer("adam", LEARNING_RATE) for each in (nets, control)]
    look = Look(knobs, nets, control, x, y)
    yield look.frame(0)
    yield Frame(0, {"zero_rate_differing": zero_rate_differing(knobs, device)}, {"ratios": scale_ratios(knobs, device)})

    looks = set(np.linspace(0, knobs.epochs, LOOKS + 1).round().astype(int).tolist())
    for epoch in range(1, knobs.epochs + 1):
        for each, optimizer in zip((nets, control), optimizers, strict=True):
            each.backward(x, y)  # draws new masks
            optimizer.step()
        if epoch in looks:
            yield look.frame(epoch)


def scale_ratios(knobs: DropoutKnobs, device: torch.device) -> Array:
    """Mean training output over evaluation output of the same weights: (rules, dropout layers).

    Each unit averages the layer before it, and all are positive, so that ReLU does nothing: what is measured is what
    dropout and its rule do to the mean, over a million masks in each layer.
    """
    found = []
    for rule in RULES:
        stack = Fleet(1, (1, *[MASKED] * knobs.depth, 1), activation=relu, dropout=Dropout(knobs.rate, 0.0, rule), device=device)  # fmt: skip
        stack.initialise(lambda weight, bias, rng: weight.fill(1 / weight.shape[1]), knobs.seed)
        ones = torch.ones(MASKS, 1, device=device)
        means = [
            torch.stack([layer.after.double().mean() for layer in stack.layers(ones, training=training)[:-1]])
            for training in (True, False)
        ]
        found.append((means[0] / means[1]).cpu().numpy())
    return np.stack(found)


def zero_rate_differing(knobs: DropoutKnobs, device: torch.device, steps: int = 10) -> float:
    """How many numbers differ between nets trained at a rate of 0 and without dropout."""
    small = knobs.model_copy(update={"width": min(knobs.width, 64)})
    x, y = (torch.from_numpy(each[:1]).float().to(device).unsqueeze(2) for each in sample(small))
    trained = []
    for dropout in (Dropout(0.0, 0.0, knobs.rule), None):
        one = fleet(small, 1, dropout, device)
        optimizer = one.optimizer("adam", LEARNING_RATE)
        for _ in range(steps):
            one.backward(x, y)
            optimizer.step()
        trained.append(one.parameters)
    return float((trained[0] != trained[1]).sum())


class Look:
    """What is drawn and measured of the nets at one moment. It changes nothing about them, nor about their masks."""

    def __init__(self, knobs: DropoutKnobs, nets: Fleet, control: Fleet, x: torch.Tensor, y: torch.Tensor) -> None:
        self.knobs, self.nets, self.control, self.y = knobs, nets, control, y
        even = torch.from_numpy(grid()).float().to(x.device).unsqueeze(1)
        self.everything = torch.cat([x, even.expand(len(x), -1, -1)], dim=1)  # (data_sets, points + GRID, 1)
        self.drawn = even[::EACH]  # (drawn, 1)
        # The first net once more, with chance of its own: looking draws no mask that training would have drawn.
        self.first = fleet(knobs, 1, Dropout(rates(knobs), knobs.input_rate, knobs.rule), x.device)
        self.drawing = Drawing.of(knobs)

    def frame(self, epoch: int) -> Frame:
        """Everything that the panels show."""
        outputs = np.stack(
            [each.forward(self.everything).squeeze(2).cpu().numpy() for each in (self.nets, self.control)]
        )
        train, validation = self.scores(outputs.astype(np.float64))
        band, sampled = self.band()
        gain = validation[1] - validation[0]
        mean, chance = gain.mean(), np.quantile(tossed(gain), 0.95)
        return Frame(
            epoch,
            {"train_mse": train, "validation_mse": validation, **sampled},
            {
                "functions": outputs[:, 0, self.knobs.points :: EACH],
                "band": band,
                "net": self.drawing.nodes(self.nets.masks).astype("f4"),
                "edges": self.drawing.edges(self.nets.masks).astype("f4"),
                "gain": gain.astype("f4"),
                "mean_gain": np.repeat([[mean], [-chance], [chance]], 2, axis=1).astype("f4"),
            },
            epoch / self.knobs.epochs,
        )

    def scores(self, outputs: Array) -> tuple[Array, Array]:
        """Mean squared error on the training points and on new ones, each (2, data_sets), of (2, data_sets, all).

        The second is the error to expect of a new noisy point: the squared distance to the true curve, averaged over
        an even grid, plus the variance of the noise. It has no luck of a validation set in it.
        """
        seen, new = outputs[..., : self.knobs.points], outputs[..., self.knobs.points :]
        train = (seen - self.y.squeeze(2).double().cpu().numpy()) ** 2
        return train.mean(axis=2), ((new - truth(grid())) ** 2).mean(axis=2) + self.knobs.noise**2

    def band(self) -> tuple[Array, dict[str, float]]:
        """The first net in training mode: mean − 2 sd, mean + 2 sd and mean of its samples, (3, drawn), and facts."""
        for mine, theirs in zip(
            self.first.weights + self.first.biases, self.nets.weights + self.nets.biases, strict=True
        ):
            mine.copy_(theirs[:1])
        evaluated = self.first.forward(self.drawn).double()
        samples = self.first.forward(self.drawn.repeat(SAMPLES, 1), training=True).double().view(SAMPLES, -1)
        again = self.first.forward(self.drawn).double()
        mean, sd = samples.mean(dim=0), samples.std(dim=0)
        facts = {
            "sample_spread": float(sd.square().mean().sqrt()),
            "sample_gap": float((mean - evaluated.flatten()).square().mean().sqrt()),
            "evaluation_difference": float((again - evaluated).abs().max()),
        }
        return torch.stack([mean - 2 * sd, mean + 2 * sd, mean]).float().cpu().numpy(), facts


class Drawing(NamedTuple):
    """The drawn net: a few units of each layer of the first net, and what the newest step did to its first example.

    Attributes:
        heights: where the units of each layer stand, inputs and outputs included, each (shown,).
    """

    heights: list[Array]

    @classmethod
    def of(cls, knobs: DropoutKnobs) -> "Drawing":
        """Layers stand above one another's middle."""
        shown = [1, *[min(knobs.width, UNITS_SHOWN)] * knobs.depth, 1]
        return cls([np.arange(units) - (units - 1) / 2 for units in shown])

    def places(self) -> tuple[Array, Array]:
        """Horizontal places of the units (units,) and of the edges, a start, an end and a gap each, (3 · edges,)."""
        units = np.concatenate([np.full(len(layer), l) for l, layer in enumerate(self.heights)])
        edges = [np.tile([l, l + 1, np.nan], len(a) * len(b)) for l, (a, b) in enumerate(pairwise(self.heights))]
        return units, np.concatenate(edges)

    def nodes(self, masks: list[torch.Tensor | None]) -> Array:
        """Heights of the units that are kept and of those that are dropped, nan elsewhere, (2, units)."""
        heights, kept = np.concatenate(self.heights), np.concatenate(self.kept(masks))
        return np.stack([np.where(kept, heights, np.nan), np.where(kept, np.nan, heights)])

    def edges(self, masks: list[torch.Tensor | None]) -> Array:
        """Heights along the edges between units that are kept, as `places`; nan elsewhere."""
        heights, kept = self.heights, self.kept(masks)
        found = []
        for l in range(len(heights) - 1):
            start, end = (each.ravel() for each in np.meshgrid(heights[l], heights[l + 1], indexing="ij"))
            drawn = np.stack([start, end, np.full(len(start), np.nan)], axis=1)  # (edges, 3)
            drawn[~np.logical_and.outer(kept[l], kept[l + 1]).ravel()] = np.nan
            found.append(drawn.ravel())
        return np.concatenate(found)

    def kept(self, masks: list[torch.Tensor | None]) -> list[Array]:
        """Which of the units shown the newest step kept, by layer; all where no mask was drawn yet."""
        found = [np.ones(len(layer), dtype=bool) for layer in self.heights]
        for l, mask in enumerate(masks):
            if mask is not None:
                found[l] = mask[0, : len(found[l]), 0].cpu().numpy() > 0
        return found


# ---- what is shown -------------------------------------------------------------------------------------------------


def panels(knobs: DropoutKnobs) -> list[Panel]:
    """The functions and their band, the net with its mask, both errors, the gain by data set, and the three rules."""
    seen = NOTEBOOK.get(knobs.rate) if comparable(knobs) else None
    ends = [0, knobs.epochs]
    notebook = [[reference(ends, [mse] * 2, f"notebook, 1024 units: {mse:.4f}")] for mse in seen] if seen else [[], []]
    floor = [reference(ends, [knobs.noise**2] * 2, "noise alone", line={"color": FAINT, "dash": "solid", "width": 1})]
    axes: dict[str, Any] = {
        "x": "epochs",
        "y": "mean squared error",
        "band": knobs.data_sets > 1,
        "colours": (WITH, WITHOUT),
        "xaxis": {"range": ends},
        "yaxis": {"type": "log"},
    }
    over = f" Mean and range over {knobs.data_sets} data sets." if knobs.data_sets > 1 else ""
    return [
        _functions_panel(knobs),
        _net_panel(knobs),
        lines("Error on new points", f"Squared error to expect of a new noisy point, judged without dropped units.{over}", "validation_mse", series(knobs), extra=[*floor, *notebook[1]] if knobs.noise else notebook[1], **axes),
        lines("Error on the training points", f"The same nets on the points they learn from: below the noise they learn it by heart.{over}", "train_mse", series(knobs), extra=[*floor, *notebook[0]] if knobs.noise else notebook[0], **axes),
        _gain_panel(knobs),
        _rules_panel(knobs),
    ]  # fmt: skip


def _functions_panel(knobs: DropoutKnobs) -> Panel:
    x, y = (each[0] for each in sample(knobs))
    drawn = grid()[::EACH]
    edge: dict[str, Any] = {"x": drawn, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    fill: dict[str, Any] = {"fill": "tonexty", "fillcolor": "rgba(31,131,214,0.18)"}
    band = {**edge, **fill, "showlegend": True, "name": f"{SAMPLES} masks, ±2 sd"}
    dots: dict[str, Any] = {"color": FAINT, "size": 6}
    reach = float(np.abs(truth(grid())).max()) + 2.5 * knobs.noise + 0.1
    return Panel(
        "What they have learned",
        f"Both nets of the first data set, judged whole (lines), and the one with dropout under random masks: mean (dotted) ± 2 sd over {SAMPLES} of them.",
        [
            Still(Scatter(x=grid(), y=truth(grid()), name="true curve", mode="lines", line={"color": FAINT, "width": 4}, opacity=0.5, meta={"reference": True})),
            Still(Scatter(x=x, y=y, name="training points", mode="markers", marker=dots, meta={"reference": True})),
            Switch(Scatter(**edge), {"y": ("band", 0)}),
            Switch(Scatter(**band), {"y": ("band", 1)}),
            Switch(Scatter(x=drawn, name="mean of the masks", mode="lines", line={"color": WITH, "dash": "dot", "width": 1.5}), {"y": ("band", 2)}),
            Switch(Scatter(x=drawn, name="no dropout", mode="lines", line={"color": WITHOUT, "dash": "dash", "width": 2}, meta={"label": "no dropout"}), {"y": ("functions", 1)}),
            Switch(Scatter(x=drawn, name=series(knobs)[0], mode="lines", line={"color": WITH, "width": 2.5}, meta={"label": series(knobs)[0]}), {"y": ("functions", 0)}),
        ],
        {"xaxis": {"title": {"text": "x"}, "range": [-2, 2]}, "yaxis": {"title": {"text": "output"}, "range": [-reach, reach]}},
    )  # fmt: skip


def _net_panel(knobs: DropoutKnobs) -> Panel:
    drawing = Drawing.of(knobs)
    units, edges = drawing.places()
    shown = min(knobs.width, UNITS_SHOWN)
    some = f"{shown} of {knobs.width} units a layer" if shown < knobs.width else "all units"
    names = ["input", *[f"hidden {l}" for l in range(1, knobs.depth + 1)], "output"]
    whole = Scatter(x=edges, y=drawing.edges([]), name="all edges", mode="lines", line={"color": FAINT, "width": 0.5}, opacity=0.35, hoverinfo="skip", showlegend=False)  # fmt: skip
    alive = Scatter(x=edges, name="edges", mode="lines", line={"color": WITH, "width": 0.8}, opacity=0.6, hoverinfo="skip", showlegend=False)  # fmt: skip
    kept = Scatter(x=units, name="kept", mode="markers", marker={"color": WITH, "size": 13})
    gone = Scatter(x=units, name="dropped", mode="markers", marker={"color": FAINT, "size": 11, "symbol": "x-thin-open", "line": {"width": 2}})  # fmt: skip
    return Panel(
        "The net in its newest step",
        f"What the newest step left of the net for one training example ({some}): every example and every step draws anew.",
        [
            Still(whole),
            Switch(alive, {"y": "edges"}),
            Switch(kept, {"y": ("net", 0)}),
            Switch(gone, {"y": ("net", 1)}),
        ],
        {
            "xaxis": {"range": [-0.4, knobs.depth + 1.4], "tickvals": list(range(len(names))), "ticktext": names},
            "yaxis": {"visible": False, "range": [-shown / 2 - 0.3, shown / 2 + 0.3]},
        },
    )


def _gain_panel(knobs: DropoutKnobs) -> Panel:
    sets = np.arange(1, knobs.data_sets + 1)
    ends = [0.5, knobs.data_sets + 0.5]
    edge: dict[str, Any] = {"x": ends, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    fill: dict[str, Any] = {"fill": "tonexty", "fillcolor": "rgba(138,143,152,0.25)"}
    band = {**edge, **fill, "showlegend": True, "name": "a mean by chance"}
    traces: list[Switch | Still] = [
        Switch(Bar(x=sets, name="gain by data set", marker={"color": WITH}, width=0.55), {"y": "gain"}),
        Still(reference(ends, [0, 0], "no difference", line={"color": FAINT, "width": 1.5}).trace),
    ]
    if knobs.data_sets > 1:
        mean = Scatter(x=ends, name="mean", mode="lines", line={"color": WITH, "dash": "dash", "width": 2})
        traces.append(Switch(mean, {"y": ("mean_gain", 0)}))
    if knobs.data_sets >= ENOUGH:
        traces[:0] = [
            Switch(Scatter(**edge), {"y": ("mean_gain", 1)}),
            Switch(Scatter(**band), {"y": ("mean_gain", 2)}),
        ]
    verdict = f"It takes {ENOUGH} data sets to tell a gain from chance."
    if knobs.data_sets >= ENOUGH:
        verdict = "In the grey band lie 95 % of the means that tossed signs would give: a mean inside it is no real difference."
    # The rule of the text judges a net that hardly moves: its error is the variance of the curve.
    reach = 0.3 if knobs.rule == "notebook" else max(knobs.noise**2, 0.005)
    return Panel(
        "What dropout gains, data set by data set",
        f"Error on new points without dropout less that with it: above 0 dropout is the better. {verdict}",
        traces,
        {
            "xaxis": {"title": {"text": "data set"}, "range": ends, "tickvals": sets.tolist()},
            "yaxis": {"title": {"text": "gain in squared error"}, "range": [-reach, reach]},
        },
    )


def _rules_panel(knobs: DropoutKnobs) -> Panel:
    layers = list(range(1, knobs.depth + 1))
    drawn = [
        Switch(
            Scatter(
                x=layers,
                name=RULE_NAMES[rule],
                mode="lines+markers",
                line={"color": RULE_COLOURS[i], "dash": ("solid", "dash", "dot")[i]},
                marker={"size": (13, 8, 9)[i], "symbol": ("circle-open", "x", "diamond")[i]},
            ),
            {"y": ("ratios", i)},
        )
        for i, rule in enumerate(RULES)
    ]
    return Panel(
        "Three rules that make up for dropped units",
        "Mean output in training over output in evaluation, same weights, after each further dropout layer. At 1 the net that is judged is the one that was trained.",
        [reference([0.8, knobs.depth + 0.2], [1, 1], "as trained"), *drawn],
        {
            "xaxis": {"title": {"text": "dropout layers"}, "range": [0.8, knobs.depth + 0.2], "dtick": 1},
            "yaxis": {"title": {"text": "training ÷ evaluation"}, "type": "log", "range": _rules_range(knobs)},
        },
    )


def _rules_range(knobs: DropoutKnobs) -> list[float]:
    """Room for 1 and for what the notebook's rule comes to: where all agree, their last digits fill no chart."""
    furthest = knobs.depth * math.log10((1 - knobs.rate) / knobs.rate) if knobs.rate else 0.0
    return [min(0.0, furthest) - 0.3, max(0.0, furthest) + 0.3]


def comparable(knobs: DropoutKnobs) -> bool:
    """Whether the notebook's numbers speak about such a run: its depth, points and rule, though not its data."""
    return (knobs.depth, knobs.points, knobs.rule, knobs.input_rate, knobs.noise) == (5, 50, "inverted", 0.0, 0.15)


# ---- what is stated ------------------------------------------------------------------------------------------------


def watches(knobs: DropoutKnobs) -> list[Watch]:
    """What the narrator may tell."""
    names, error = series(knobs), "error on new points"
    return [Diverges("validation_mse", names, error), Overfits("validation_mse", names, error, seen="train_mse")]


def facts(knobs: DropoutKnobs, recording: Recording) -> Facts:
    """Errors at the end as means over the data sets, what dropout gained, and what the rules do to a layer's mean."""
    found: dict[str, float | None] = {}
    dropped = f"p={knobs.rate:g}" + (f", input {knobs.input_rate:g}" if knobs.input_rate else "")
    for curve in ("train_mse", "validation_mse"):
        for name, value in zip((dropped, "p=0"), recording.last(curve).mean(axis=1), strict=True):
            found[f"{curve}[{name}]"] = finite(value)
    _, errors = recording.curve("validation_mse")  # (frames, 2, data_sets)
    for name, value in zip((dropped, "p=0"), errors.min(axis=0).mean(axis=1), strict=True):
        found[f"lowest_validation_mse[{name}]"] = finite(value)
    gain = gains(recording)
    found["validation_gain"] = finite(gain.mean())
    found["validation_gain_spread"] = finite(gain.std(ddof=1)) if len(gain) > 1 else None
    found["data_sets_helped"] = float((gain > 0).sum())
    found["gain_by_chance"] = by_chance(gain) if np.isfinite(gain).all() else None
    for curve in ("sample_spread", "sample_gap", "evaluation_difference", "zero_rate_differing"):
        found[curve] = finite(recording.last(curve)) if curve in recording.curves else None
    ratios = recording.picture("ratios")  # (rules, layers)
    for i, rule in enumerate(RULES):
        found[f"scale_ratio[{rule}]"] = None if ratios is None else finite(ratios[i, 0])
    found["scale_ratio[notebook, all layers]"] = None if ratios is None else finite(ratios[-1, -1])
    return found


def gains(recording: Recording) -> Array:
    """Error on new points without dropout less that with it, now, for every data set: (data_sets,)."""
    with_dropout, without = recording.last("validation_mse")
    return np.asarray(without - with_dropout)


def tossed(gain: Array) -> Array:
    """How far from 0 the mean of the gains (data_sets,) lies when their signs are tossed, in all ways there are.

    Were dropout neither good nor bad, each gain could as well have had the other sign: an exact paired test.
    """
    signs = np.array(list(product((-1, 1), repeat=len(gain))))  # (2 ** data_sets, data_sets)
    return np.asarray(np.abs(signs @ gain) / len(gain))


def by_chance(gain: Array) -> float:
    """How often tossed signs take the mean as far from 0 as it is."""
    return float((tossed(gain) >= abs(gain.mean()) * (1 - 1e-9)).mean())


def claims(knobs: DropoutKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run."""
    found = facts(knobs, recording)
    ended = recording.progress >= 1.0
    return [
        _keeps_the_mean(knobs, found),
        _wrong_rule(knobs, found),
        _helps(knobs, recording, ended),
        _stopped_in_time(knobs, recording, ended),
        _less_by_heart(knobs, recording, ended),
        _judged_as_trained(knobs, found, ended),
        _nothing_random(knobs, found),
        _zero_is_none(found),
    ]


def _keeps_the_mean(knobs: DropoutKnobs, found: Facts) -> Claim:
    inverted, keep = found["scale_ratio[inverted]"], found["scale_ratio[keep]"]
    measured = inverted is not None and keep is not None
    return Claim(
        "Inverted dropout keeps the mean output of a layer, and so does scaling by 1 − p in evaluation",
        f"training ÷ evaluation: {inverted:.4f} and {keep:.4f}" if measured else "",
        "1 within 1 %, over 100,000 masks or more",
        max(abs(inverted - 1), abs(keep - 1)) < 0.01 if inverted is not None and keep is not None else None,
        f"E[mask] = 1 − p; {MASKED * MASKS:,} masks of this run",
        literature=f"{SRIVASTAVA}: in evaluation all weights times 1 − p",
        hint="it is measured right after the first frame",
    )


def _wrong_rule(knobs: DropoutKnobs, found: Facts) -> Claim:
    one, all_layers = found["scale_ratio[notebook]"], found["scale_ratio[notebook, all layers]"]
    p, depth = knobs.rate, knobs.depth
    layer = (1 - p) / p if p else math.nan
    measured = one is not None and all_layers is not None
    return Claim(
        "The notebook's rule, times p in evaluation, judges a net whose every layer is off by (1 − p)/p",
        f"{one:.3g}× after one layer, {all_layers:.4g}× after {depth}" if measured else "",
        f"{layer:.3g}× and {layer**depth:.4g}×, within 3 %" if p else "4× per layer at 0.2, 19× at 0.05",
        abs(one / layer - 1) < 0.03 and abs(all_layers / layer**depth - 1) < 0.03
        if p and one is not None and all_layers is not None
        else None,
        "E[mask] = 1 − p, which is p only at 0.5",
        notebook="“multiplying by the dropout rate when making test set predictions”, or “dividing by the dropout rate during training”",
        hint="it takes a rate above 0",
    )


def _learned(knobs: DropoutKnobs, recording: Recording, ended: bool) -> bool:
    """Whether the net without dropout had time to learn its points, and did: its error on them has halved."""
    _, errors = recording.curve("train_mse")  # (frames, 2, data_sets)
    return ended and knobs.epochs >= LEARNED and bool(errors[-1, 1].mean() <= 0.5 * errors[0, 1].mean())


def _helps(knobs: DropoutKnobs, recording: Recording, ended: bool) -> Claim:
    gain = gains(recording)
    mean, chance, enough = float(gain.mean()), by_chance(gain), len(gain) >= ENOUGH
    said = f"{abs(mean):.4f} {'better' if mean >= 0 else 'worse'}, ahead on {(gain > 0).sum()} of {len(gain)} data sets"
    verdict = "more than chance" if chance <= 0.05 else "overlap, no real difference"
    return Claim(
        "On new points dropout beats the same net without it, by more than chance",
        f"{said}; {chance:.1%} by chance: {verdict}" if enough else said,
        "better on average, and at most 5 % by chance",
        mean > 0 and chance <= 0.05 if enough and knobs.rate > 0 and _learned(knobs, recording, ended) else None,
        "paired test: same data, same start, signs of the gains tossed in all ways",
        notebook=f"no control: 0.0355 at 0.2 and 0.0327 at 0.05, both with 1024 units, against {NARROWER:.4f} with 512",
        hint=f"it takes {ENOUGH} data sets or more, a rate above 0, and {LEARNED} epochs in which the net learns",
    )


def _stopped_in_time(knobs: DropoutKnobs, recording: Recording, ended: bool) -> Claim:
    _, errors = recording.curve("validation_mse")  # (frames, 2, data_sets)
    lowest, at_end = errors[:, 1].min(axis=0).mean(), errors[-1, 0].mean()
    return Claim(
        "The net without dropout, stopped at its best epoch, is no worse than dropout at the end",
        f"{lowest:.4f} at its best, {at_end:.4f} with dropout at the end",
        "no larger error, mean over the data sets; the best epoch is known with hindsight only",
        bool(lowest <= at_end)
        if knobs.rate > 0 and knobs.rule != "notebook" and _learned(knobs, recording, ended)
        else None,
        "this run; dropout makes waiting less harmful rather than the net better",
        notebook="0.0280 for nets of 256 units stopped at epoch 100, its best single nets",
        hint=f"it takes a rate above 0, a rule that keeps the mean, and {LEARNED} epochs in which the net learns",
    )


def _less_by_heart(knobs: DropoutKnobs, recording: Recording, ended: bool) -> Claim:
    with_dropout, without = (recording.last("validation_mse") - recording.last("train_mse")).mean(axis=1)
    gap = bool(without >= 0.1 * recording.last("validation_mse")[1].mean())  # else there is none to be closed
    return Claim(
        "Dropout closes part of the gap between new points and training points",
        f"gap {with_dropout:.4f} with dropout, {without:.4f} without",
        "a smaller gap with dropout, mean over the data sets",
        bool(with_dropout < without)
        if gap and knobs.rate > 0 and knobs.rule != "notebook" and _learned(knobs, recording, ended)
        else None,
        "this run, same net, same start, same points",
        notebook="0.0251 at 0.2 and 0.0245 at 0.05; 0.0251 for 512 units without dropout",
        hint=f"it takes a rate above 0, a rule that keeps the mean, {LEARNED} epochs in which the net learns, and so few "
        "points that without dropout the gap is a tenth of the error on new points",
    )


def _judged_as_trained(knobs: DropoutKnobs, found: Facts, ended: bool) -> Claim:
    gap, spread = found["sample_gap"], found["sample_spread"]
    measured = gap is not None and spread is not None
    return Claim(
        "The whole net, judged without masks, stands for the mean of the nets that were trained",
        f"{gap:.3f} from the mean of {SAMPLES} masks, which scatter by {spread:.3f}" if measured else "",
        "closer to their mean than one standard deviation of theirs",
        gap < spread if gap is not None and spread is not None and spread > 0 and ended else None,
        SRIVASTAVA + ": scaling is a cheap stand-in for averaging over all thinned nets",
        notebook="“I suspect that this is because of the scaling adjustment”",
        hint="it takes a rate above 0 and a whole run",
    )


def _nothing_random(knobs: DropoutKnobs, found: Facts) -> Claim:
    difference = found["evaluation_difference"]
    return Claim(
        "In evaluation nothing is random: asked twice, the net gives the same numbers",
        f"largest difference {difference:g}" if difference is not None else "",
        "exactly 0, with masks drawn in between",
        difference == 0 if difference is not None else None,
        "masks are for training only",
        hint="a net that diverged has no numbers to compare",
    )


def _zero_is_none(found: Facts) -> Claim:
    differing = found["zero_rate_differing"]
    return Claim(
        "A rate of 0 is no dropout, bit for bit",
        f"{differing:.0f} parameters differ after ten steps" if differing is not None else "",
        "none",
        differing == 0 if differing is not None else None,
        "two nets of this run's shape (64 units at most), one with a rate of 0, one without dropout",
        hint="it is measured right after the first frame",
    )


def cost(knobs: DropoutKnobs) -> Cost:
    """Matrix products of both kinds of nets, Adam's and the masks' work, and the price of each layer's calls.

    The factors are measured. Products as small as these run at less than half the speed of large ones, which stands
    here as numbers that are moved.
    """
    kinds, layers, width = 2.0, knobs.depth + 1.0, knobs.width
    parameters = width * width * (knobs.depth - 1.0) + width * layers
    learned = 3.0 * knobs.epochs * knobs.points  # examples, forward and back
    judged = min(LOOKS, knobs.epochs) * (knobs.points + GRID + 1.0)
    sampled = min(LOOKS, knobs.epochs) * (SAMPLES + 2.0) * GRID / EACH  # by one net, in training mode
    examples = kinds * knobs.data_sets * (learned + judged) + sampled
    flops = 2.0 * parameters * examples
    small = 1.4 * parameters * examples
    adam = 21.0 * kinds * knobs.data_sets * parameters * knobs.epochs
    units = knobs.depth * width * (12.0 * examples + 180.0 * (knobs.data_sets * knobs.epochs * knobs.points + sampled))
    calls = kinds * knobs.epochs * (20.0 + 13.0 * layers)
    held = 4.0 * (kinds * 5.0 + 1.0) * knobs.data_sets * parameters + 8.0 * knobs.depth * width * SAMPLES * GRID
    return Cost(
        flops, small + adam + units + 1.2e10, calls, held + 1e8
    )  # the last: a million masks, and the nets they are on


def shrunk(knobs: DropoutKnobs) -> DropoutKnobs:
    """Small nets, few epochs, a few data sets: a moment of work, everything else as it was."""
    return knobs.model_copy(
        update={"width": min(knobs.width, 8), "epochs": 20, "depth": min(knobs.depth, 3), "data_sets": min(knobs.data_sets, 2), "points": min(knobs.points, 20)}
    )  # fmt: skip


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    gain, helped, chance = (found.get(name) for name in ("validation_gain", "data_sets_helped", "gain_by_chance"))
    if gain is None or helped is None or chance is None:
        return None
    kind = "the one with dropout" if gain > 0 else "the whole one"
    verdict = "more than chance" if chance <= 0.05 else "no more than chance can do"
    return f"On average {kind}, by {abs(gain):.4f}; dropout was ahead on {helped:.0f} data sets: {verdict}."


NOTEBOOK_SETTINGS = {"depth": 5, "where": "all but the last", "init": "normal 0.05", "epochs": 1000}
PRESETS: Mapping[str, DropoutKnobs] = {
    "Classroom": DropoutKnobs(),
    "As the notebook ran it": DropoutKnobs.parse({**NOTEBOOK_SETTINGS, "width": 1024, "data_sets": 1}),
    "Done right": DropoutKnobs.parse({**NOTEBOOK_SETTINGS, "width": 512, "data_sets": 10}),
    "As the text says": DropoutKnobs(rule="notebook", data_sets=6, epochs=1000),
    "Half of the units": DropoutKnobs(rate=0.5, epochs=3000, data_sets=6),
}

LESSON = Lesson(
    slug="dropout",
    prose=prose.of("dropout"),
    revision=1,
    knobs=DropoutKnobs,
    presets=PRESETS,
    series=series,
    repeats="data_set",
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="validation_mse",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, scale_ratios, Look, Dropout),
)
