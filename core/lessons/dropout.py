"""Does dropout keep a network from memorizing noise? (notebook 002; Srivastava et al. 2014)

Wide networks learn fifty noisy points of a curve, on several data sets at once. Half of them train with dropout; the
other half are the same networks, from the same initialization, without: dropout alone differs. Beside them stand three
rules that are to make up for the dropped units, the notebook's wrong one among them. The words are in `dropout.md`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from core.charts import axis, bars, chart, level
from core.claims import Check, Needs
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact, mean
from core.frames import Array, Frame
from core.knobs import SEED, Knobs, knob
from core.lesson import Lesson
from core.narrator import Diverges, Overfits
from core.nets import INITS, relu
from core.panels import COLOURS, FAINT, Panel, Still, Switch, reference, see_through
from core.result import Missing, Result
from core.stats import mean_of, paired
from core.traces import Scatter
from core.training.fleet import Dropout, Fleet
from core.training.noisy_curve import ENDS, GRID, NOTEBOOK_INIT, expected_error, grid, truth
from core.training.thinned import MASKED, MASKS, RULES, SAMPLES, Drawing, rules_chart, scale_ratios, under_masks

LEARNING_RATE = 0.001  # the default of Adam and of Keras, which the notebook kept
FRAMES = 80  # after the first
EACH = 4  # every fourth point of the grid is drawn
LEARNED = 300  # epochs before networks with and without dropout are compared
WITH, WITHOUT = COLOURS[0], COLOURS[1]
NOTEBOOK: Mapping[float, tuple[float, float]] = {  # rate → training and validation MSE, on data it does not print
    0.2: (0.010358586870133878, 0.03549703559279442),
    0.05: (0.008277178294956684, 0.032732396107912065),
}
COMPARABLE = dict(
    depth=5, points=50, rule="inverted", input_rate=0.0, noise=0.15
)  # the notebook's, though not its data
NARROWER = 0.0313612  # validation MSE of the notebook's network of 512 units, without dropout
SRIVASTAVA = "Srivastava et al. 2014, JMLR 15:1929"


class DropoutKnobs(Knobs):
    """Hyper-parameters."""

    rate: float = knob(0.2, "probability p that a hidden unit is dropped in a training step; 0 is no dropout", 0.0, 0.8, stops=(0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8), shown=True)  # fmt: skip
    rule: Literal["inverted", "keep", "notebook"] = knob("inverted", "what makes up for dropped units: kept ones × 1/(1 − p) in training, all × (1 − p) in evaluation, or, as the notebook's text says, all × p", shown=True)  # fmt: skip
    width: int = knob(64, "units in each hidden layer", 2, 1024, stops=(8, 16, 32, 64, 128, 256, 512, 1024), shown=True)  # fmt: skip
    points: int = knob(50, "training points: the fewer, the easier they are memorized", 5, 500, stops=(10, 20, 50, 100, 200, 500), shown=True)  # fmt: skip
    depth: int = knob(4, "hidden layers, each followed by dropout", 1, 6)
    input_rate: float = knob(0.0, "probability that an input is dropped; here there is only one, so then the network sees 0", 0.0, 0.8, stops=(0.0, 0.05, 0.1, 0.2, 0.5, 0.8))  # fmt: skip
    where: Literal["every hidden layer", "all but the last"] = knob("every hidden layer", "where units are dropped; the notebook spared its fifth and last hidden layer, and a single layer that is spared leaves no dropout", label="dropout after")  # fmt: skip
    control: Literal["same network", "thinned width"] = knob("same network", "the network without dropout: the same one, or one of (1 − p) × width units, as many as a step keeps on average", added=True, label="network without dropout")  # fmt: skip
    epochs: int = knob(1500, "steps on all training points at once", 10, 5000, stops=(100, 300, 500, 1000, 1500, 2000, 3000, 5000))  # fmt: skip
    noise: float = knob(0.15, "standard deviation of the noise on each point; its square is the error that no network can beat", 0.0, 0.5, stops=(0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5))  # fmt: skip
    init: Literal["glorot", "he", "normal 0.05"] = knob("glorot", "distribution of the initial weights, He's the widest; the last is the notebook's N(0, 0.05²), biases too, which fades away in narrow networks", label="initialization")  # fmt: skip
    data_sets: int = knob(8, "data sets, each with networks of its own: how much of a difference is random variation", 1, 12, stops=(1, 2, 3, 5, 6, 8, 10, 12))  # fmt: skip
    seed: int = SEED


def rates(knobs: DropoutKnobs) -> list[float]:
    """Return the dropout rate of each hidden layer."""
    spared = knobs.where == "all but the last"
    return [knobs.rate] * (knobs.depth - spared) + [0.0] * spared


def dropping(knobs: DropoutKnobs) -> int:
    """Return how many hidden layers drop units at all."""
    return sum(rate > 0 for rate in rates(knobs))


def control_width(knobs: DropoutKnobs) -> int:
    """Return the units in each hidden layer of the network without dropout."""
    return max(1, round((1 - knobs.rate) * knobs.width)) if knobs.control == "thinned width" else knobs.width


def series(knobs: DropoutKnobs) -> list[str]:
    """Return the names of the two kinds of networks."""
    narrow = f", {control_width(knobs)} units" if knobs.control == "thinned width" else ""
    return [f"dropout {knobs.rate:g}", f"no dropout{narrow}"]


NOTEBOOK_SETTINGS = dict(depth=5, where="all but the last", init="normal 0.05", epochs=1000)

lesson = Lesson(
    "dropout",
    DropoutKnobs,
    revision=1,
    axis="epoch",
    length="epochs",
    series=series,
    repeats="data_set",
    curves=[
        # No validation set has a part in it: `noisy_curve.expected_error`. Stored frames have this name.
        Curve("validation_mse", "error on new points", "mean squared", log=True, events=[Diverges, lambda **each: Overfits(seen="train_mse", **each)], fact=False),
        Curve("train_mse", "error on the training points", "mean squared", log=True, fact=False),
        Curve("sample_spread", "standard deviation of the thinned networks' outputs"),
        Curve("sample_gap", "distance of the whole network from their mean"),
        Curve("evaluation_difference", "largest difference between two evaluations"),
        Curve("zero_rate_differing", "parameters that a rate of 0 changes"),
    ],
    tables=[Table("gain", "error on new points without dropout less that with it", ("repeats",)), Table("ratios", "training over evaluation output", ("rules", "layers"))],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(NOTEBOOK_SETTINGS, width=1024, data_sets=1),
        "Done right": dict(NOTEBOOK_SETTINGS, width=512, data_sets=10),
        "As the text says": dict(rule="notebook", data_sets=6, epochs=1000),
        "Half of the units": dict(rate=0.5, epochs=3000, data_sets=6),
        "The notebook's second rate": dict(rate=0.05),
        "Where dropout does harm": dict(init="he"),
        "A narrower network instead": dict(rate=0.5, control="thinned width"),
    },
    small=dict(width=8, epochs=20, depth=3, data_sets=2, points=20),
)  # fmt: skip


# ---- the experiment ------------------------------------------------------------------------------------------------


def sample(knobs: DropoutKnobs) -> tuple[Array, Array]:
    """Return every data set's inputs and noisy targets, each (data_sets, points); one more leaves the others alone."""
    rngs = [np.random.default_rng([knobs.seed, i]) for i in range(knobs.data_sets)]
    x = np.stack([rng.uniform(*ENDS, knobs.points) for rng in rngs])
    return x, truth(x) + np.stack([rng.normal(0, knobs.noise, knobs.points) for rng in rngs])


def fleet(knobs: DropoutKnobs, nets: int, dropout: Dropout | None, device: torch.device, width: int = 0) -> Fleet:
    """Return `nets` fresh networks; number i of one width starts alike with and without dropout."""
    made = Fleet(nets, (1, *[width or knobs.width] * knobs.depth, 1), activation=relu, dropout=dropout, device=device)
    made.initialise(INITS.get(knobs.init, NOTEBOOK_INIT), knobs.seed)
    return made


@lesson.experiment
def train(knobs: DropoutKnobs, device: torch.device) -> Iterator[Frame]:
    """With dropout and without, on the same points: full-batch Adam, as the notebook."""
    x, y = (torch.from_numpy(each).float().to(device).unsqueeze(2) for each in sample(knobs))  # (data_sets, points, 1)
    dropout = Dropout(rates(knobs), knobs.input_rate, knobs.rule)
    nets, first = (fleet(knobs, count, dropout, device) for count in (knobs.data_sets, 1))
    pair = nets, fleet(knobs, knobs.data_sets, None, device, control_width(knobs))
    optimizers = [each.optimizer("adam", LEARNING_RATE) for each in pair]
    yield look(knobs, pair, first, x, y, 0)
    yield Frame(
        0,
        {"zero_rate_differing": zero_rate_differing(knobs, device)},
        {"ratios": scale_ratios(knobs.rate, knobs.depth, knobs.seed, device)},
    )

    looks = set(np.linspace(0, knobs.epochs, FRAMES + 1).round().astype(int).tolist())
    for epoch in range(1, knobs.epochs + 1):
        for each, optimizer in zip(pair, optimizers, strict=True):
            each.backward(x, y)  # draws new masks
            optimizer.step()
        if epoch in looks:
            yield look(knobs, pair, first, x, y, epoch)


def zero_rate_differing(knobs: DropoutKnobs, device: torch.device, steps: int = 10) -> float:
    """Return how many numbers differ between networks trained at a rate of 0 and without dropout."""
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


def look(knobs: DropoutKnobs, pair: Sequence[Fleet], first: Fleet, x: torch.Tensor, y: torch.Tensor, epoch: int) -> Frame:  # fmt: skip
    """Return what is drawn and measured of the two kinds of networks; it changes nothing about them, nor their masks.

    `first` becomes a copy of the first network with a generator of its own: it draws no mask that training would have
    drawn.
    """
    even = torch.from_numpy(grid()).float().to(x.device).unsqueeze(1)  # (GRID, 1)
    everything = torch.cat([x, even.expand(len(x), -1, -1)], dim=1)  # (data_sets, points + GRID, 1)
    outputs = np.stack([each.forward(everything).squeeze(2).cpu().numpy() for each in pair])
    seen, new = np.split(outputs.astype(np.float64), [knobs.points], axis=2)  # (2, data_sets, points or GRID)
    train = ((seen - y.squeeze(2).double().cpu().numpy()) ** 2).mean(axis=2)
    errors = expected_error(new, knobs.noise)
    nets, drawing = pair[0], Drawing.of(knobs.width, knobs.depth)
    for mine, theirs in zip(first.weights + first.biases, nets.weights + nets.biases, strict=True):
        mine.copy_(theirs[:1])
    band, sampled = under_masks(first, even[::EACH])
    tables = {
        "functions": outputs[:, 0, knobs.points :: EACH],
        "band": band,
        "net": drawing.nodes(nets.masks).astype("f4"),
        "edges": drawing.edges(nets.masks).astype("f4"),
        "gain": (errors[1] - errors[0]).astype("f4"),
    }
    return Frame(epoch, {"train_mse": train, "validation_mse": errors, **sampled}, tables, epoch / knobs.epochs)


lesson.shown(train, scale_ratios, look, Dropout)


@lesson.cost
def cost(knobs: DropoutKnobs) -> Cost:
    """Matrix products, Adam's and the masks' work, each layer's calls; small products are slow: as numbers moved."""
    kinds, layers, width = 2.0, knobs.depth + 1.0, knobs.width
    parameters = width * width * (knobs.depth - 1.0) + width * layers
    learned = 3.0 * knobs.epochs * knobs.points  # examples, forward and back
    evaluated = min(FRAMES, knobs.epochs) * (knobs.points + GRID + 1.0)
    sampled = min(FRAMES, knobs.epochs) * (SAMPLES + 2.0) * GRID / EACH  # by one network, in training mode
    examples = kinds * knobs.data_sets * (learned + evaluated) + sampled
    flops = 2.0 * parameters * examples
    small = 1.4 * parameters * examples
    adam = 21.0 * kinds * knobs.data_sets * parameters * knobs.epochs
    units = knobs.depth * width * (12.0 * examples + 180.0 * (knobs.data_sets * knobs.epochs * knobs.points + sampled))
    calls = kinds * knobs.epochs * (20.0 + 13.0 * layers)
    held = 4.0 * (kinds * 5.0 + 1.0) * knobs.data_sets * parameters + 8.0 * knobs.depth * width * SAMPLES * GRID
    return Cost(flops, small + adam + units + 1.2e10, calls, held + 1e8)  # a million masks, and their networks


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: DropoutKnobs) -> Iterator[Panel]:
    """The functions and their band, the network with its mask, both errors, the gain by data set, the three rules."""
    yield functions(knobs)
    yield Drawing.of(knobs.width, knobs.depth).panel(knobs.width, WITH)
    seen = NOTEBOOK.get(knobs.rate) if knobs.matches(COMPARABLE) else None
    theirs = [[level(mse, 0, knobs.epochs, f"notebook, 1024 units: {mse:.4f}")] for mse in seen] if seen else [[], []]
    solid = {"color": FAINT, "dash": "solid", "width": 1}
    floor = [level(knobs.noise**2, 0, knobs.epochs, "noise alone", line=solid)] if knobs.noise else []
    style: dict[str, Any] = {"band": knobs.data_sets > 1, "colours": (WITH, WITHOUT)}
    over = f" Mean and range over {knobs.data_sets} data sets." if knobs.data_sets > 1 else ""
    yield lesson.line_chart(knobs, "validation_mse", f"Squared error to expect of a new noisy point, from the true curve and the noise, evaluated without dropping units.{over}", extra=[*floor, *theirs[1]], **style)  # fmt: skip
    yield lesson.line_chart(knobs, "train_mse", f"The same networks on the points they learn from: below the noise they memorize it.{over}", extra=[*floor, *theirs[0]], **style)  # fmt: skip
    sets = list(range(1, knobs.data_sets + 1))
    ends = (0.5, knobs.data_sets + 0.5)
    # The rule of the text evaluates a network that hardly moves: its error is the variance of the curve.
    reach = 0.3 if knobs.rule == "notebook" else max(knobs.noise**2, 0.005)
    yield chart(
        "What dropout gains, data set by data set",
        "Error on new points without dropout less that with it: above 0 dropout is the better. One data set may spoil a network badly, so the claim takes the mean of the relative gains.",
        [
            bars("gain", None, sets, "gain by data set", WITH, width=0.55),
            Still(reference(ends, [0, 0], "equal", line={"color": FAINT, "width": 1.5}).trace),
        ],
        x=axis("data set", range=ends, ticks=sets),
        y=axis("gain in squared error", range=(-reach, reach)),
    )  # fmt: skip
    yield rules_chart(knobs.rate, knobs.depth)


def functions(knobs: DropoutKnobs) -> Panel:
    """Return the chart of what the networks of the first data set have learned."""
    x, y = (each[0] for each in sample(knobs))
    drawn = grid()[::EACH]
    edge: dict[str, Any] = {"x": drawn, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    fill = {"fill": "tonexty", "fillcolor": see_through(WITH), "name": f"{SAMPLES} masks, ±2 sd"}
    reach = float(np.abs(truth(grid())).max()) + 2.5 * knobs.noise + 0.1
    dropped, whole = series(knobs)

    def line(table: str, row: int, name: str, **style: Any) -> Switch:
        return Switch(Scatter(x=drawn, name=name, mode="lines", line=style, meta={"label": name}), {"y": (table, row)})

    return chart(
        "What they have learned",
        f"Both networks of the first data set, evaluated whole (lines), and the one with dropout under random masks: mean (dotted) ± 2 standard deviations of {SAMPLES} of them.",
        [
            reference(list(grid()), list(truth(grid())), "true curve", line={"color": FAINT, "width": 4}, opacity=0.5),
            reference(list(x), list(y), "training points", mode="markers", marker={"color": FAINT, "size": 6}, opacity=1),
            Switch(Scatter(**edge, showlegend=False), {"y": ("band", 0)}),
            Switch(Scatter(**edge, **fill), {"y": ("band", 1)}),
            line("band", 2, "mean of the masks", color=WITH, dash="dot", width=1.5),
            line("functions", 1, whole, color=WITHOUT, dash="dash", width=2),
            line("functions", 0, dropped, color=WITH, width=2.5),
        ],
        x=axis("x", range=ENDS),
        y=axis("output", range=(-reach, reach)),
    )  # fmt: skip


# ---- facts ---------------------------------------------------------------------------------------------------------


def labels(knobs: DropoutKnobs) -> tuple[str, str]:
    """Return the names of the two kinds in facts."""
    return f"p={knobs.rate:g}" + (f", input {knobs.input_rate:g}" if knobs.input_rate else ""), "p=0"


@lesson.facts
def facts(result: Result[DropoutKnobs]) -> Iterator[Fact]:
    """Yield errors at the end and at their lowest, what dropout gained, and what the rules do to a layer's mean."""
    knobs = result.knobs
    errors = result.curve("validation_mse")[1]  # (frames, 2, data_sets)
    kinds = dict(zip(labels(knobs), range(2), strict=True))  # one where the rate is 0: they are equal then
    for name, i in kinds.items():
        yield mean("train_mse", name, result.last("train_mse")[i])
        yield mean("test_mse", name, errors[-1, i])
        yield mean("lowest_test_mse", name, errors[:, i].min(axis=0))
    yield mean("gain", "", errors[-1, 1] - errors[-1, 0])
    yield Fact("data_sets_helped", "", float((errors[-1, 1] > errors[-1, 0]).sum()))
    if "ratios" in result.recording.pictures:
        ratios, layers = result.table("ratios"), dropping(knobs)
        for rule, ratio in zip(RULES, ratios[:, 0], strict=True):  # at p = 0 all times p is no output at all
            yield Fact("scale_ratio", rule, ratio if knobs.rate or rule != "notebook" else None)
        yield Fact("scale_ratio", "notebook, all layers", ratios[-1, layers - 1] if layers else None)


def relative_gain(result: Result[DropoutKnobs], name: str = "test_mse") -> Array:
    """Return by which share of it dropout lowers an error of the network without, (data_sets,).

    Relative, since now and then a data set spoils a network badly and would be all that a mean sees.
    """
    dropped, whole = labels(result.knobs)
    return 1 - result.samples(name, dropped) / result.samples(name, whole)


# ---- claims --------------------------------------------------------------------------------------------------------


def has_learned(result: Result[DropoutKnobs]) -> bool:
    """Return whether the network without dropout has learned its points: its error on them has halved."""
    errors = result.curve("train_mse")[1]
    return bool(errors[-1, 1].mean() <= 0.5 * errors[0, 1].mean())


def has_gap(result: Result[DropoutKnobs]) -> bool:
    """Return whether without dropout a tenth of the error on new points is the gap to the training points."""
    new, seen = result.fact("test_mse", "p=0"), result.fact("train_mse", "p=0")
    return new - seen >= 0.1 * new


DROPS = Needs("a rate above 0 and a hidden layer that is not spared", lambda knobs: dropping(knobs) > 0)
TRUE_RULE = Needs("a rule that keeps the mean", lambda knobs: knobs.rule != "notebook", change=lambda knobs: {"rule": "inverted"})  # fmt: skip
SAME = Needs.settings(control="same network")
TRAINED = (Needs.at_least("data_sets", 3), Needs.at_least("epochs", LEARNED), Needs("a network without dropout that learns its points", result=has_learned))  # fmt: skip
MORE = "more data sets make the interval narrower"


@lesson.claim(
    lambda knobs: f"Trained to the end, dropout errs less on new points than {'the same network without it' if knobs.control == 'same network' else f'a network of {control_width(knobs)} units without it, as many as a step keeps'}",
    expected="a share of the error that dropout saves, whose 95 % interval lies above zero",
    source="paired by data set: same points, same initialization",
    notebook=f"no control: 0.0355 at 0.2 and 0.0327 at 0.05, both with 1024 units, against {NARROWER:.4f} with 512",
    needs=[DROPS, *TRAINED],
)  # fmt: skip
def helps(result: Result[DropoutKnobs]) -> Check:
    """The lesson's own question."""
    found = mean_of(relative_gain(result))
    ahead = f"ahead on {result.fact('data_sets_helped'):.0f} of {result.knobs.data_sets} data sets"
    return Check(f"{found.sentence('.1%')}; {ahead}", found.exceeds(0), MORE)


@lesson.claim(
    "Stopped at the lowest point of each curve, dropout gains less than at the end of training",
    expected="a smaller gain: the 95 % interval of the difference lies above zero",
    source="best against best, paired by data set; the lowest point is known only to who knows the true curve",
    notebook="0.0280 for networks of 256 units stopped at epoch 100, its best single networks",
    needs=[DROPS, SAME, TRUE_RULE, *TRAINED],
)
def best_against_best(result: Result[DropoutKnobs]) -> Check:
    """Dropout makes waiting less harmful rather than the best network better."""
    at_end, at_best = relative_gain(result), relative_gain(result, "lowest_test_mse")
    lost = paired(at_end, at_best)
    said = f"at the end {mean_of(at_end).text('.1%')}, at the lowest points {mean_of(at_best).sentence('.1%')}"
    return Check(f"{said}; lost: {lost.sentence('.1%')}", lost.exceeds(0), MORE)


@lesson.claim(
    "Dropout narrows the gap between new points and training points",
    expected="a narrower gap: the 95 % interval of the difference lies above zero",
    source="paired by data set: same points, same initialization",
    notebook="0.0251 at 0.2 and 0.0245 at 0.05; 0.0251 for 512 units without dropout",
    needs=[DROPS, SAME, TRUE_RULE, *TRAINED, Needs("so few points that without dropout the gap is a tenth of the error on new points", result=has_gap)],
)  # fmt: skip
def memorizes_less(result: Result[DropoutKnobs]) -> Check:
    """What dropout does to memorizing."""
    gaps = [result.samples("test_mse", name) - result.samples("train_mse", name) for name in labels(result.knobs)]
    found = mean_of((gaps[1] - gaps[0]) / result.samples("test_mse", "p=0"))
    said = f"gap {gaps[0].mean():.4f} with dropout, {gaps[1].mean():.4f} without"
    return Check(f"{said}: narrower by {found.sentence('.1%')} of the error without", found.exceeds(0), MORE)


@lesson.claim(
    "Inverted dropout keeps the mean output of a layer, and so does scaling by 1 − p in evaluation",
    expected="training ÷ evaluation is 1 within 1 %",
    source=f"E[mask] = 1 − p; {MASKED * MASKS:,} masks of this run: 1 % is five standard errors at p = 0.8",
    literature=f"{SRIVASTAVA}: in evaluation all weights times 1 − p",
    early=True,
)
def keeps_the_mean(result: Result[DropoutKnobs]) -> Check:
    """The two right rules."""
    ratios = [result.fact("scale_ratio", rule) for rule in ("inverted", "keep")]
    furthest = max(abs(ratio - 1) for ratio in ratios)
    return Check("training ÷ evaluation: {:.4f} and {:.4f}".format(*ratios), furthest < 0.01)


@lesson.claim(
    "The notebook's rule, times p in evaluation, evaluates a network whose every dropout layer is off by (1 − p)/p",
    expected=lambda knobs: f"{times(off(knobs))} and {times(off(knobs) ** dropping(knobs))}, within 3 %" if dropping(knobs) else "(1 − p)/p: 4× a layer at 0.2, 19× at 0.05, infinite at 0",
    source="E[mask] = 1 − p, which is p only at 0.5",
    notebook="“multiplying by the dropout rate when making test set predictions”, or “dividing by the dropout rate during training”",
    needs=[DROPS],
    early=True,
)  # fmt: skip
def wrong_rule(result: Result[DropoutKnobs]) -> Check:
    """The notebook's slip."""
    one, every = (result.fact("scale_ratio", name) for name in ("notebook", "notebook, all layers"))
    factor, layers = off(result.knobs), dropping(result.knobs)
    return Check(
        f"{times(one)} after one layer, {times(every)} after {layers}",
        abs(one / factor - 1) < 0.03 and abs(every / factor**layers - 1) < 0.03,
    )


def times(factor: float) -> str:
    """Spell a factor."""
    return f"{factor:,.0f}×" if factor >= 100 else f"{factor:.3g}×"


def off(knobs: DropoutKnobs) -> float:
    """Return by how much the notebook's rule is off in each layer."""
    return (1 - knobs.rate) / knobs.rate if knobs.rate else math.inf


@lesson.claim(
    "The whole network, evaluated without masks, stands for the mean of the thinned networks that were trained",
    expected="closer to their mean than one standard deviation of theirs, as near as a thinned network is itself",
    source=f"{SRIVASTAVA}: scaling is a cheap stand-in for averaging over all thinned networks",
    notebook="“I suspect that this is because of the scaling adjustment”",
    needs=[DROPS],
)
def evaluated_as_trained(result: Result[DropoutKnobs]) -> Check:
    """What is evaluated is what was trained."""
    gap, spread = result.fact("sample_gap"), result.fact("sample_spread")
    return Check(f"{gap:.3f} from the mean of {SAMPLES} masks, whose standard deviation is {spread:.3f}", gap < spread)


@lesson.claim(
    "In evaluation nothing is random: asked twice, the network gives the same numbers",
    expected="a largest difference of exactly 0, with masks drawn in between",
    source="masks are for training only",
    early=True,
)
def nothing_random(result: Result[DropoutKnobs]) -> Check:
    """Evaluation draws no masks."""
    difference = result.fact("evaluation_difference")
    return Check(f"largest difference {difference:g}", difference == 0)


@lesson.claim(
    "A rate of 0 is no dropout, bit for bit",
    expected="no parameter differs after ten steps",
    source="two networks of this run's shape (64 units at most), one with a rate of 0, one without dropout",
    early=True,
)
def zero_is_none(result: Result[DropoutKnobs]) -> Check:
    """The knob's lower end."""
    differing = result.fact("zero_rate_differing")
    return Check(f"{differing:.0f} parameters differ after ten steps", differing == 0)


@lesson.outcome
def who_errs_less(result: Result[DropoutKnobs]) -> str:
    """Answer which of the two errs less on new points."""
    found = mean_of(relative_gain(result))
    if not math.isfinite(found.mean):
        raise Missing("error on new points that is a number")
    better = series(result.knobs)[found.mean < 0]
    return f"On average the one called “{better}”. Dropout changes the error by {mean_of(-relative_gain(result)).sentence('.1%')}."
