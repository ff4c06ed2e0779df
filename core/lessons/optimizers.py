"""Which optimizer is best, and does the answer survive tuning? (notebook 004, problem 1)

The same net, from the same start, on the same examples in the same order, once for each optimizer, side by side, with
and without dropout. The loss is shown in its two parts, since the penalty on the weights is most of what the notebook
ranked by. Each learning rate is the notebook's, the paper's, or the best of ten on examples held out from training.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from pydantic import model_validator
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from core import data, prose
from core.claims import Claim, resolves
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import SEED, Knobs, knob
from core.lesson_v1 import Facts, Lesson, finite, noted_sizes, sizes_of
from core.narrator import Diverges, Watch
from core.nets import INITS, relu
from core.panels import COLOURS, Panel, Still, Switch, lines, reference
from core.traces import Bar, Contour, Scatter
from core.training.fleet import Dropout, Fleet

Name = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "nadam", "adamw"]

# Constants as Keras has them, so that "notebook" rates mean what they meant there.
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "momentum": partial(SGD, momentum=0.9),
    "nesterov": partial(SGD, momentum=0.9, nesterov=True),
    "adagrad": partial(Adagrad, initial_accumulator_value=0.1, eps=1e-7),
    "rmsprop": partial(RMSprop, alpha=0.9, eps=1e-7),
    "adadelta": partial(Adadelta, rho=0.95, eps=1e-7),
    "adam": partial(Adam, eps=1e-7),
    "nadam": partial(NAdam, eps=1e-7),
    "adamw": partial(AdamW, eps=1e-7, weight_decay=0.0),
}
ALL: tuple[Name, ...] = get_args(Name)
ADAPTIVE: tuple[Name, ...] = ("adagrad", "rmsprop", "nadam", "adadelta", "adam")  # the notebook's five
NOTEBOOK_RATES: Mapping[str, float] = {
    **dict.fromkeys(ALL, 0.001),
    "sgd": 0.01,
    "momentum": 0.01,
    "nesterov": 0.01,
}  # Keras' defaults
PAPER_RATES: Mapping[str, float] = {**NOTEBOOK_RATES, "adagrad": 0.01, "adadelta": 1.0, "nadam": 0.002}
GRID = tuple(10 ** (k / 2 - 4) for k in range(10))  # 0.0001 … 3.16; holds 0.001, 0.01, 0.1 and 1
INPUT_DROPOUT, HIDDEN_DROPOUT = 0.2, 0.5  # the notebook's
SEARCHED = 1 / 3  # of the epochs, for each rate of the search
LOOKS, FEW_LOOKS, WIDE = 24, 8, 256  # frames after the search; nets from this width on take long to look at
GLANCE = 500  # test and training examples that are judged on the way; at the end all tests are
DEFAULTS = (("adadelta", 0.001), ("adadelta", 1.0), ("adagrad", 0.001), ("adagrad", 0.01))  # one epoch each
STEPS = 120  # on the landscape
GUESSING = math.log(10)
NOTEBOOK: Mapping[str, tuple[float, float, float, float]] = {  # least loss, with dropout; test accuracy, with dropout
    "adagrad": (1.5973, 1.7147, 0.5103, 0.4805),
    "rmsprop": (1.9577, 2.2433, 0.3312, 0.2553),
    "nadam": (1.8171, 2.2300, 0.3975, 0.2567),
    "adadelta": (4.6888, 5.5735, 0.4507, 0.4037),
    "adam": (1.8388, 2.2936, 0.4176, 0.2812),
}
WITH = " + dropout"


class OptimizerKnobs(Knobs):
    """What may be turned."""

    optimizers: tuple[Name, ...] = knob(("sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "nadam"), "which rules train, one net each, side by side", shown=True)  # fmt: skip
    rates: Literal["notebook", "paper", "tuned"] = knob("tuned", "the learning rate of each: Keras' default as in the notebook, the one of its paper, or the best of ten on a validation split", shown=True, label="learning rates")  # fmt: skip
    l2: float = knob(0.0, "λ of the penalty λ·Σw² on the hidden layers; AdamW shrinks weights by as much instead", 0.0, 0.01, stops=(0.0, 0.0001, 0.001, 0.01), shown=True, label="L2 penalty")  # fmt: skip
    dropout: Literal["without", "with", "both"] = knob("without", "whether a fifth of the inputs and half of the hidden units are dropped in training; at the same rates", shown=True)  # fmt: skip
    width: int = knob(64, "units in each of the two hidden layers; the notebook's net has 1,000", 2, 1000, stops=(16, 32, 64, 128, 256, 512, 1000))  # fmt: skip
    examples: int = knob(1500, "training examples; a fifth as many again are held out to tune on, so cifar10 gives 41,666 at most", 20, 50_000, stops=(500, 1000, 1500, 2000, 4000, 10_000, 50_000))  # fmt: skip
    epochs: int = knob(6, "how often each net sees every example", 1, 200, stops=(2, 4, 6, 8, 10, 20, 50, 100, 200))  # fmt: skip
    batch_size: int = knob(32, "examples averaged into one step", 4, 512, stops=(16, 32, 64, 128, 256))
    dataset: Literal["cifar10", "fashion-mnist", "mnist", "digits"] = knob("fashion-mnist", "what is learned; the notebook's is cifar10, digits needs no download")  # fmt: skip
    pixels: Literal["0 to 1", "standardised"] = knob("0 to 1", "what the net sees: pixels over their largest value, as the notebook, or less their mean and over their spread, which is learned faster")  # fmt: skip
    landscape: Literal["ravine", "saddle", "eggholder"] = knob("ravine", "the two-dimensional function on which the same rules are watched")  # fmt: skip
    seed: int = SEED

    @model_validator(mode="after")
    def _leaves_some_to_tune_on(self) -> Self:
        """What is tuned on may not be learned. Digits, the set for whoever has no other, gives what it can."""
        gives = five_sixths(data.SOURCES["cifar10"].counts[0])
        if self.dataset == "cifar10" and self.examples > gives:
            raise ValueError(
                f"examples = {self.examples} is more than cifar10 gives: of its 50,000 training pictures a sixth is held "
                f"out to tune the learning rates on; {gives} would do, or dataset = fashion-mnist"
            )
        return self


def five_sixths(whole: int) -> int:
    """How many of a set's training examples may be learned: the search for rates has the rest."""
    return whole * 5 // 6


def examples(knobs: OptimizerKnobs) -> int:
    """How many examples there are to learn: as many as were asked for, if the set has them and some to tune on."""
    return min(knobs.examples, five_sixths(data.sizes(knobs.dataset)[0]))


def series(knobs: OptimizerKnobs) -> list[str]:
    """One net per optimizer without dropout, then one with."""
    return [name + end for end in endings(knobs) for name in knobs.optimizers]


def endings(knobs: OptimizerKnobs) -> list[str]:
    """What the names of the nets end on."""
    return {"without": [""], "with": [WITH], "both": ["", WITH]}[knobs.dropout]


# ---- the rules, written out ----------------------------------------------------------------------------------------

State = dict[str, Any]


def descend(g: Array, s: State, t: int) -> Array:
    """Gradient descent."""
    return g


def momentum(g: Array, s: State, t: int) -> Array:
    """A ball that keeps nine tenths of its speed."""
    s["m"] = 0.9 * s.get("m", 0.0) + g
    return np.asarray(s["m"])


def nesterov(g: Array, s: State, t: int) -> Array:
    """The same, looking one step ahead."""
    return g + 0.9 * momentum(g, s, t)


def adagrad(g: Array, s: State, t: int) -> Array:
    """Each direction over the root of the sum of its squared gradients: steps only get shorter."""
    s["v"] = s.get("v", 0.1) + g**2
    return np.asarray(g / (np.sqrt(s["v"]) + 1e-7))


def rmsprop(g: Array, s: State, t: int) -> Array:
    """The sum becomes a running mean of g², which forgets."""
    s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g**2
    return np.asarray(g / (np.sqrt(s["v"]) + 1e-7))


def adadelta(g: Array, s: State, t: int) -> Array:
    """The same, times the root of the mean of its own squared steps, which start near 0."""
    s["v"] = 0.95 * s.get("v", 0.0) + 0.05 * g**2
    step = np.sqrt(s.get("u", 0.0) + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["u"] = 0.95 * s.get("u", 0.0) + 0.05 * step**2
    return np.asarray(step)


def adam(g: Array, s: State, t: int) -> Array:
    """Running means of g and of g², both freed of their start at 0."""
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g**2
    return np.asarray(s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7))


def nadam(g: Array, s: State, t: int) -> Array:
    """Adam, looking one step ahead."""
    now, ahead = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (t, t + 1))
    s["mu"] = s.get("mu", 1.0) * now
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g**2
    mean = ahead * s["m"] / (1 - s["mu"] * ahead) + (1 - now) * g / (1 - s["mu"])
    return np.asarray(mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7))


RULES: Mapping[str, Callable[[Array, State, int], Array]] = {
    "sgd": descend, "momentum": momentum, "nesterov": nesterov, "adagrad": adagrad, "rmsprop": rmsprop,
    "adadelta": adadelta, "adam": adam, "nadam": nadam, "adamw": adam,
}  # fmt: skip
"""What is subtracted, over the learning rate, from gradient, state and number of the step. AdamW is Adam that shrinks
the weights besides; on a landscape nothing is shrunk."""

# Rates at which each rule gets somewhere in 120 steps, on slopes of about 1.
WALKING = {"sgd": 0.03, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.2, "rmsprop": 0.03, "adadelta": 1.0, "adam": 0.1, "nadam": 0.1, "adamw": 0.1}  # fmt: skip


def ravine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Twenty-five times as steep across as along."""
    return 0.5 * x**2 + 12.5 * y**2


def saddle(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Down along x to a point that is flat, from where it goes down along y."""
    return x**2 - y**2 + y**4 / 4


def eggholder(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The many valleys of the other lessons, all of it in −2 … 2 and a hundredth as deep."""
    u, v = 256 * x, 256 * y + 47
    return (-v * (u / 2 + v).abs().sqrt().sin() - u * (u - v).abs().sqrt().sin()) / 500


LANDSCAPES = {"ravine": (ravine, (-1.8, 1.0)), "saddle": (saddle, (-1.6, 0.02)), "eggholder": (eggholder, (0.3, 0.6))}


def walk(knobs: OptimizerKnobs) -> tuple[Array, float]:
    """Each rule's path, (optimizers, STEPS + 1, 2), and its largest difference from `torch.optim` in any one step."""
    height, start = LANDSCAPES[knobs.landscape]
    paths, differing = [], 0.0
    for name in knobs.optimizers:
        own, theirs = np.array(start), torch.tensor(start, dtype=torch.float64, requires_grad=True)
        library, state, path = OPTIMIZERS[name]([theirs], lr=WALKING[name]), State(), [own]
        for t in range(1, STEPS + 1):
            slope = torch.autograd.grad(height(*theirs), theirs)[0]
            theirs.grad, before = slope, theirs.detach().numpy().copy()
            library.step()
            update = WALKING[name] * RULES[name](slope.numpy(), state, t)
            differing = max(differing, float(np.abs(before - update - theirs.detach().numpy()).max()))
            path.append(before - update)
        paths.append(np.stack(path))
    return np.stack(paths), differing


# ---- the nets ------------------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """Pixels and classes, to learn from, to tune on and for the test; and how many classes there are."""

    x: torch.Tensor
    y: torch.Tensor
    x_validation: torch.Tensor
    y_validation: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    classes: int

    @classmethod
    def of(cls, knobs: OptimizerKnobs, device: torch.device) -> "Task":
        """The validation examples are none of those to learn from."""
        whole = data.load(knobs.dataset, device)
        learned = examples(knobs)
        x, y = data.subset(whole, learned + learned // 5, knobs.seed)
        if knobs.pixels == "standardised":
            learn, others = data.scale(x[:learned], torch.cat([x[learned:], whole.x_test]), "global")
        else:
            most = float(whole.x_train.max())
            learn, others = x[:learned].float() / most, torch.cat([x[learned:], whole.x_test]).float() / most
        held_out, test = others.split([len(x) - learned, len(whole.x_test)])
        # A glance takes the first tests, and a set may come class by class.
        mixed = torch.randperm(len(test), generator=torch.Generator().manual_seed(knobs.seed)).to(device)
        return cls(learn, y[:learned], held_out, y[learned:], test[mixed], whole.y_test[mixed], len(whole.classes))


class SideBySide:
    """Nets that differ in optimizer or rate alone: one start, one order of the examples."""

    def __init__(self, knobs: OptimizerKnobs, task: Task, rules: Sequence[tuple[str, float]], dropout: bool) -> None:
        sizes = (task.x.shape[1], knobs.width, knobs.width, task.classes)
        make = partial(Fleet, sizes=sizes, activation=relu, loss="cross entropy", device=task.x.device)
        self.nets = make(len(rules), dropout=Dropout(HIDDEN_DROPOUT, INPUT_DROPOUT) if dropout else None)
        self.nets.initialise(INITS["zero"], knobs.seed)  # and chance for the masks
        one = make(1)
        one.initialise(INITS["glorot"], knobs.seed)
        for mine, start in zip(self.nets.weights, one.weights, strict=True):
            mine.copy_(start.expand_as(mine))
        self.knobs, self.task = knobs, task
        self.seconds = np.zeros(len(rules))
        decoupled = [name == "adamw" for name, _ in rules]
        self.pull = torch.tensor([0.0 if each else 2 * knobs.l2 for each in decoupled], device=task.x.device).view(-1, 1, 1)  # fmt: skip
        self.optimizers = [self._optimizer(i, *rule) for i, rule in enumerate(rules)]

    def _optimizer(self, i: int, name: str, lr: float) -> Optimizer:
        """The library's, over the parameters of net i."""
        layers = []
        for parts, grads in ((self.nets.weights, self.nets.weight_grads), (self.nets.biases, self.nets.bias_grads)):
            for part, grad in zip(parts, grads, strict=True):
                own = part[i]
                own.grad = grad[i]
                layers.append(own)
        if name != "adamw":
            return OPTIMIZERS[name](layers, lr=lr)
        output = [layers[2], layers[5]]
        hidden = {"params": layers[:2] + layers[3:5], "weight_decay": 2 * self.knobs.l2}
        return OPTIMIZERS[name]([hidden, {"params": output}], lr=lr)

    def step(self, rows: torch.Tensor) -> torch.Tensor:
        """One update of every net on the examples `rows`; their losses as training sees them, (nets,)."""
        began = self._now()
        losses = self.nets.backward(self.task.x[rows], self.task.y[rows])
        if self.knobs.l2:
            for part, grad in [*self._hidden(self.nets.weights, self.nets.weight_grads), *self._hidden(self.nets.biases, self.nets.bias_grads)]:  # fmt: skip
                grad.addcmul_(part, self.pull)
        ended = self._now()
        self.seconds += (ended - began) / self.nets.nets  # what all share
        for i, optimizer in enumerate(self.optimizers):
            optimizer.step()
            began, ended = ended, self._now()
            self.seconds[i] += ended - began
        return losses

    def _now(self) -> float:
        """Seconds of this process's own work, which others on the machine do not stretch; on a GPU, of the clock."""
        if not self.task.x.is_cuda:
            return time.process_time()
        torch.cuda.synchronize(self.task.x.device)
        return time.perf_counter()

    @staticmethod
    def _hidden(*parts: list[torch.Tensor]) -> Iterator[tuple[torch.Tensor, ...]]:
        return zip(*(each[:-1] for each in parts), strict=True)

    def penalty(self) -> Array:
        """λ·Σw² of every net, over weights and biases of its hidden layers, (nets,)."""
        squares = sum((part[0].double().square().sum(dim=(1, 2)) for part in [*self._hidden(self.nets.weights), *self._hidden(self.nets.biases)]), torch.zeros(1, device=self.task.x.device))  # fmt: skip
        return self.knobs.l2 * squares.cpu().numpy()

    def judge(self, x: torch.Tensor, y: torch.Tensor) -> tuple[Array, Array]:
        """Cross-entropy and accuracy without dropout, each (nets,); nan where a net diverged."""
        loss, right = torch.zeros(self.nets.nets, dtype=torch.float64), torch.zeros(self.nets.nets, dtype=torch.float64)
        for inputs, truth in zip(x.split(GLANCE), y.split(GLANCE), strict=True):
            logits = self.nets.forward(inputs)  # (nets, examples, classes)
            told = torch.log_softmax(logits, dim=2).gather(2, truth.expand(self.nets.nets, -1).unsqueeze(2))
            loss -= told.double().sum(dim=(1, 2)).cpu()
            right += (logits.argmax(dim=2) == truth).double().sum(dim=1).cpu()
        known = torch.isfinite(loss)
        return tuple(torch.where(known, each / len(y), torch.nan).numpy() for each in (loss, right))  # type: ignore[return-value]


def batches(knobs: OptimizerKnobs, task: Task, epochs: int) -> Iterator[torch.Tensor]:
    """The examples of every step; each epoch has an order of its own, the same for all nets and searches."""
    chance = torch.Generator().manual_seed(knobs.seed)
    for _ in range(epochs):
        yield from torch.randperm(len(task.y), generator=chance).to(task.x.device).split(knobs.batch_size)


def train(knobs: OptimizerKnobs, device: torch.device) -> Iterator[Frame]:
    """Frame 0; one epoch at the defaults of AdaDelta and AdaGrad and their papers; the search; then all, side by side."""
    task = Task.of(knobs, device)
    paths, differing = walk(knobs)
    rates = dict(PAPER_RATES if knobs.rates == "paper" else NOTEBOOK_RATES)
    shares = work(knobs)
    per_epoch = math.ceil(len(task.y) / knobs.batch_size)

    def frame(step: float, sides: Sequence[SideBySide], batch_loss: Array, tests: int, done: float) -> Frame:
        seen = [side.judge(task.x[:GLANCE], task.y[:GLANCE]) for side in sides]
        new = [side.judge(task.x_test[:tests], task.y_test[:tests]) for side in sides]
        cross_entropy, accuracy = (np.concatenate([each[k] for each in part]) for part, k in ((seen, 0), (new, 1)))
        penalty = np.concatenate([side.penalty() for side in sides])
        walked = np.where(np.arange(STEPS + 1) <= round(step / knobs.epochs * STEPS), 1.0, np.nan)
        curves = {"test_accuracy": accuracy, "cross_entropy": cross_entropy, "penalty": penalty, "batch_loss": batch_loss, "seconds": np.concatenate([side.seconds for side in sides])}  # fmt: skip
        pictures = {"paths": (paths * walked[:, None]).transpose(2, 0, 1).reshape(-1, STEPS + 1).astype("f4"), "parts": np.stack([cross_entropy, penalty]).astype("f4")}  # fmt: skip
        return Frame(step, curves, pictures, done)

    def ready() -> list[SideBySide]:
        rules = [(name, rates[name]) for name in knobs.optimizers]
        return [SideBySide(knobs, task, rules, end == WITH) for end in endings(knobs)]

    unknown = np.full(len(series(knobs)), np.nan)
    yield frame(0, ready(), unknown, GLANCE, 0.0)
    yield Frame(0, {"differing": differing}, noted_sizes(knobs.dataset))

    defaults = SideBySide(knobs, task, DEFAULTS, dropout=False)
    for rows in batches(knobs, task, 1):
        defaults.step(rows)
    done = shares[0]
    yield Frame(0, {"updates": per_epoch}, {"one_epoch": defaults.judge(task.x_test, task.y_test)[1]}, done)

    if knobs.rates == "tuned":
        found = np.full((len(knobs.optimizers), len(GRID)), np.nan)
        for i, name in enumerate(knobs.optimizers):
            searching = SideBySide(knobs, task, [(name, lr) for lr in GRID], dropout=False)
            for rows in batches(knobs, task, searched(knobs)):
                searching.step(rows)
            found[i] = searching.judge(task.x_validation, task.y_validation)[1]
            best = int(np.argmax(np.nan_to_num(found[i])))
            rates[name] = GRID[best]
            done += shares[1] / len(knobs.optimizers)
            yield Frame(0, {}, {"search": found, "chosen": chosen(found)}, done)

    sides = ready()
    updates = knobs.epochs * per_epoch
    looks = set(np.linspace(0, updates, (FEW_LOOKS if knobs.width >= WIDE else LOOKS) + 1).round().astype(int).tolist())
    told: list[torch.Tensor] = []
    for t, rows in enumerate(batches(knobs, task, knobs.epochs), start=1):
        told.append(torch.cat([side.step(rows) for side in sides]))
        if t in looks:
            tests = len(task.y_test) if t == updates else GLANCE
            mean, told = torch.stack(told).double().mean(dim=0).cpu().numpy(), []
            yield frame(t / per_epoch, sides, mean, tests, 1.0 if t == updates else done + (1 - done) * t / updates)


def searched(knobs: OptimizerKnobs) -> int:
    """Epochs that each rate of the search gets."""
    return max(1, round(SEARCHED * knobs.epochs))


def work(knobs: OptimizerKnobs) -> tuple[float, float]:
    """The shares of the run's work that one epoch at the defaults and the search take."""
    nets = len(knobs.optimizers)
    parts = [len(DEFAULTS), nets * len(GRID) * searched(knobs) * (knobs.rates == "tuned"), nets * len(endings(knobs)) * knobs.epochs]  # fmt: skip
    return parts[0] / sum(parts), parts[1] / sum(parts)


def settings(knobs: OptimizerKnobs) -> Mapping[str, Any]:
    """For the script: the learning rates themselves unless it is to search for them; it has no landscape."""
    given = PAPER_RATES if knobs.rates == "paper" else NOTEBOOK_RATES
    rates = "tuned" if knobs.rates == "tuned" else tuple(given[name] for name in knobs.optimizers)
    return {**knobs.model_dump(exclude={"landscape"}), "rates": rates}


def chosen(found: Array) -> Array:
    """The best rate of each optimizer that was searched, and its accuracy, (2, optimizers)."""
    best = np.argmax(np.nan_to_num(found), axis=1)
    accuracy = found[np.arange(len(found)), best]
    return np.stack([np.where(np.isfinite(accuracy), np.array(GRID)[best], np.nan), accuracy])


# ---- what is shown -------------------------------------------------------------------------------------------------


def panels(knobs: OptimizerKnobs) -> list[Panel]:
    """Accuracy, the search, the loss in its two parts, the training loss, one epoch at the defaults, the landscape."""
    names = series(knobs)
    colours = [COLOURS[ALL.index(name)] for name in knobs.optimizers] * len(endings(knobs))
    dashes = [("dot" if name.endswith(WITH) else "solid") for name in names]
    share: dict[str, Any] = {"tickformat": ".0%", "range": [0, 1]}
    axis: dict[str, Any] = {"x": "epoch", "colours": colours, "dashes": dashes, "xaxis": {"range": [0, knobs.epochs]}}
    ends = [reference([0, knobs.epochs], [0.1, 0.1], "guessing")]
    if as_in_notebook(knobs):
        ends += [reference([knobs.epochs], [NOTEBOOK[name][2]], f"notebook: {name}, all pictures, 200 epochs", mode="markers", marker={"symbol": "x", "size": 9, "color": COLOURS[ALL.index(name)]}) for name in knobs.optimizers if name in NOTEBOOK]  # fmt: skip
    found = [
        lines(
            "Test accuracy",
            _about_accuracy(knobs),
            "test_accuracy",
            names,
            y="test accuracy",
            yaxis=share,
            extra=ends,
            **axis,
        )
    ]
    if knobs.rates == "tuned":
        found.append(_search(knobs))
    bars = [Switch(Bar(x=names, name=part, marker={"color": colour}), {"y": ("parts", k)}) for k, (part, colour) in enumerate((("cross-entropy", COLOURS[0]), ("penalty", COLOURS[1])))]  # fmt: skip
    return [
        *found,
        Panel(
            "What the loss is made of",
            "Cross-entropy on training pictures, and on top of it the penalty λ·Σw²; the notebook ranked by their sum.",
            bars,
            {"barmode": "stack", "yaxis": {"title": {"text": "loss"}, "rangemode": "tozero"}},
        ),
        lines(
            "Cross-entropy in training",
            "On training pictures, without the penalty and with all units there.",
            "cross_entropy",
            names,
            y="cross-entropy",
            yaxis={"rangemode": "tozero"},
            extra=[reference([0, knobs.epochs], [GUESSING, GUESSING], "guessing: ln 10")],
            **axis,
        ),
        Panel(
            "One epoch at the default rate and at the paper's",
            "AdaDelta and AdaGrad after one epoch: Keras sets 0.001 for both, the papers 1 and 0.01.",
            [
                Switch(
                    Bar(
                        x=[f"{name} {rate:g}" for name, rate in DEFAULTS],
                        marker={"color": [COLOURS[ALL.index(name)] for name, _ in DEFAULTS]},
                        showlegend=False,
                    ),
                    {"y": "one_epoch"},
                )
            ],
            {"yaxis": {"title": {"text": "test accuracy"}, **share}},
        ),
        _landscape(knobs),
    ]


def _about_accuracy(knobs: OptimizerKnobs) -> str:
    """What the first chart shows, and on how many examples where they are not as many as was asked for."""
    said = (
        f"The share of unknown pictures that each net names rightly: of {GLANCE} on the way, of all of them at the end."
    )
    if knobs.dropout != "without":
        said += " Dotted: with dropout."
    if knobs.examples > (gives := examples(knobs)):
        said += f" {knobs.dataset} gives {gives} examples to learn, not {knobs.examples}."
    return said


def _search(knobs: OptimizerKnobs) -> Panel:
    """Validation accuracy by rate."""
    traces: list[Any] = []
    for i, name in enumerate(knobs.optimizers):
        colour = COLOURS[ALL.index(name)]
        style = {"mode": "lines", "line": {"color": colour, "width": 2}, "legendgroup": name}
        traces.append(Switch(Scatter(x=GRID, name=name, meta={"label": name}, **style), {"y": ("search", i)}))
    marker = {"symbol": "star", "size": 11, "color": [COLOURS[ALL.index(name)] for name in knobs.optimizers]}
    traces.append(Switch(Scatter(mode="markers", name="chosen", marker=marker), {"x": ("chosen", 0), "y": ("chosen", 1)}))  # fmt: skip
    traces.append(reference([0.001, 0.001], [0, 1], "Keras' default rate (of sgd and momentum: 0.01)"))
    return Panel(
        "The search: accuracy by learning rate",
        f"Each optimizer after {searched(knobs)} epochs at ten rates, on pictures held out; stars are the rates that are taken.",
        traces,
        {
            "xaxis": {"title": {"text": "learning rate"}, "type": "log", "dtick": 1, "range": [-4.1, 0.6]},
            "yaxis": {"title": {"text": "validation accuracy"}, "tickformat": ".0%", "range": [0, 1]},
        },
    )


def _landscape(knobs: OptimizerKnobs) -> Panel:
    """The paths, over the height of the landscape."""
    height, start = LANDSCAPES[knobs.landscape]
    even = torch.linspace(-2, 2, 61, dtype=torch.float64)
    z = height(even[None, :], even[:, None]).numpy().round(3)
    ground = Contour(x=even.numpy(), y=even.numpy(), z=z, showscale=False, ncontours=18, contours={"coloring": "lines"}, colorscale=[[0, "#9aa0a8"], [1, "#9aa0a8"]], opacity=0.5, hoverinfo="skip", name="height", showlegend=False)  # fmt: skip
    traces: list[Any] = [Still(ground)]
    n = len(knobs.optimizers)
    for i, name in enumerate(knobs.optimizers):
        line = {"color": COLOURS[ALL.index(name)], "width": 2}
        trace = Scatter(mode="lines", name=f"{name}, {WALKING[name]:g}", line=line)
        traces.append(Switch(trace, {"x": ("paths", i), "y": ("paths", n + i)}))
    traces.append(reference([start[0]], [start[1]], "start", mode="markers", marker={"symbol": "circle-open", "size": 10}))  # fmt: skip
    return Panel(
        f"The same rules on a landscape: {knobs.landscape}",
        f"{STEPS} steps of each rule from one start, at the rates in the legend; lines of equal height in grey.",
        traces,
        {
            "xaxis": {"title": {"text": "x"}, "range": [-2, 2]},
            "yaxis": {"title": {"text": "y"}, "range": [-2, 2]},
        },
    )


def as_in_notebook(knobs: OptimizerKnobs) -> bool:
    """Whether the notebook's numbers may stand beside these."""
    return knobs.dataset == "cifar10" and knobs.rates == "notebook" and knobs.l2 == 0.01


def watches(knobs: OptimizerKnobs) -> Sequence[Watch]:
    """A net that diverges."""
    return [Diverges("cross_entropy", series(knobs), "cross-entropy")]


# ---- what is stated ------------------------------------------------------------------------------------------------


def facts(knobs: OptimizerKnobs, recording: Recording) -> Facts:
    """Each net's accuracy, its loss in two parts and its training time; the tuned rates and what they bring."""
    found: dict[str, float | None] = {}
    curves = {"test_accuracy": "test_accuracy", "cross_entropy": "cross_entropy", "penalty": "penalty", "train_seconds": "seconds"}  # fmt: skip
    for fact, curve in curves.items():
        for name, value in zip(series(knobs), recording.last(curve), strict=True):
            found[f"{fact}[{name}]"] = finite(value)
    one_epoch = recording.picture("one_epoch")
    for k, (name, rate) in enumerate(DEFAULTS):
        found[f"one_epoch[{name} {rate:g}]"] = None if one_epoch is None else finite(one_epoch[k])
    search = recording.picture("search")
    if search is not None:
        for i, name in enumerate(knobs.optimizers):
            rate, accuracy = chosen(search)[:, i]
            found[f"tuned_rate[{name}]"] = finite(rate)
            found[f"validation_accuracy[{name}, tuned]"] = finite(accuracy)
            found[f"validation_accuracy[{name}, notebook]"] = finite(search[i, at_notebook(name)])
    return found


def at_notebook(name: str) -> int:
    """Where the notebook's rate stands in the grid."""
    return int(np.argmin(np.abs(np.log(np.array(GRID) / NOTEBOOK_RATES[name]))))


def claims(knobs: OptimizerKnobs, recording: Recording) -> list[Claim]:
    """What tuning does to the ranking, what the penalty does to it, and what dropout does to the printed loss."""
    ended = recording.progress >= 1.0
    return [
        _spread(knobs, recording, ended),
        _reverses(knobs, recording),
        _adadelta(recording),
        _penalty_ranks(knobs, recording, ended),
        _penalty_at_start(knobs, recording),
        _printed_with_dropout(knobs, recording, ended),
        _plain_net(knobs, recording, ended),
        _as_torch(recording),
    ]


def _spread(knobs: OptimizerKnobs, recording: Recording, ended: bool) -> Claim:
    names = series(knobs)
    five = {name: value for name, value in zip(names, recording.last("test_accuracy"), strict=True) if name in ADAPTIVE}
    measured = len(five) >= 2 and ended
    learned, tests = counts(knobs, recording)
    decides = updates(knobs, learned) >= UPDATES and resolves(0.05, learned // 5) and resolves(0.05, tests)
    gap = max(five.values()) - min(five.values()) if measured else math.nan
    said = f"{gap * 100:.1f} pp, {min(five.values()):.1%} … {max(five.values()):.1%}" if measured else ""
    return Claim(
        "With its rate tuned, each of the notebook's five optimizers comes to about the same test accuracy",
        said,
        "less than 5 pp between the best and the worst of the five, without dropout",
        bool(gap < 0.05) if ended and len(five) == len(ADAPTIVE) and knobs.rates == "tuned" and decides else None,
        "this run: ten rates each, chosen on held-out examples",
        notebook="17.9 pp between AdaGrad (51.0 %) and RMSProp (33.1 %), each at one rate",
        literature="Wilson et al. 2017, a VGG net on CIFAR-10: 7.65 ± 0.14 % error with SGD, 9.60 ± 0.19 % with the best adaptive rule",
        hint=f"tune the rates of all five, without dropout, on 600 examples or more, with {UPDATES} updates, to the end",
    )


def _reverses(knobs: OptimizerKnobs, recording: Recording) -> Claim:
    search = recording.picture("search")
    whole = search is not None and not np.isnan(search).all(axis=1).any() and len(knobs.optimizers) > 1
    said, holds = "", None
    if search is not None and whole:
        notebook = np.nan_to_num(np.array([search[i, at_notebook(name)] for i, name in enumerate(knobs.optimizers)]))
        tuned = chosen(search)[1]
        turned = [(a, b) for a, b in pairs(notebook, 0.05) if tuned[a] < tuned[b]]
        apart = len(pairs(notebook, 0.05))
        enough = resolves(0.05, counts(knobs, recording)[0] // 5) and _learned(tuned)
        said, holds = f"{len(turned)} of {apart} pairs turn round", bool(turned) if enough else None
        if turned:
            a, b = max(turned, key=lambda pair: notebook[pair[0]] - notebook[pair[1]])
            first, second = knobs.optimizers[a], knobs.optimizers[b]
            said += f"; {first} and {second}: {notebook[a]:.0%} and {notebook[b]:.0%}, tuned {tuned[a]:.0%} and {tuned[b]:.0%}"  # fmt: skip
    return Claim(
        "Tuning turns the ranking round: of two optimizers the one that was clearly behind comes out ahead",
        said,
        "one pair or more that is 5 pp apart at the notebook's rates and the other way round when tuned",
        holds,
        "validation accuracy in this run's search, where both rates are in the grid",
        notebook="ranks optimizers by Keras' defaults",
        hint="tune the rates of two optimizers or more, on 600 examples or more, a fifth of which are six at 5 pp",
    )


UPDATES = 100  # before nets may be ranked; Classroom has 282


def counts(knobs: OptimizerKnobs, recording: Recording) -> tuple[int, int]:
    """Examples that this run learned, and those it was tested on; as many again as a fifth of the first tuned it."""
    train, tests = sizes_of(knobs.dataset, recording)
    return min(knobs.examples, five_sixths(train)), tests


def updates(knobs: OptimizerKnobs, learned: int) -> int:
    """Updates of each net in a whole run on so many examples."""
    return knobs.epochs * math.ceil(learned / knobs.batch_size)


def _learned(accuracy: Array) -> bool:
    """Whether the best of these nets is right twice as often as guessing is."""
    return bool(np.nanmax(accuracy) >= 0.2)


def pairs(values: Array, least: float) -> list[tuple[int, int]]:
    """Pairs (a, b) with a ahead of b by `least` or more."""
    both = [pair for each in combinations(range(len(values)), 2) for pair in (each, each[::-1])]
    return [(a, b) for a, b in both if values[a] - values[b] >= least]


def _adadelta(recording: Recording) -> Claim:
    accuracy = recording.picture("one_epoch")
    updates = recording.last("updates") if "updates" in recording.curves else 0
    said, holds = "", None
    if accuracy is not None and np.isfinite(accuracy[:2]).all():
        gain = accuracy[1] - accuracy[0]
        said = f"{accuracy[0]:.1%} at 0.001, {accuracy[1]:.1%} at 1, after {updates:.0f} updates"
        holds = bool(gain >= 0.2) if gain >= 0.2 or updates >= UPDATES else None
    return Claim(
        "AdaDelta at 0.001 is not AdaDelta: at 1, the rate of its paper, one epoch takes it 20 pp further",
        said,
        "20 pp or more after the first epoch",
        holds,
        "Zeiler 2012 has no rate at all, which is a rate of 1",
        notebook="ran it at 0.001, Keras' default, and found it worst by loss",
        literature="Keras' documentation says to use 1.0 to match the paper",
        hint="an epoch of 100 updates or more: more examples or smaller batches",
    )


def _penalty_ranks(knobs: OptimizerKnobs, recording: Recording, ended: bool) -> Claim:
    size = len(knobs.optimizers)
    accuracy, loss = recording.last("test_accuracy")[:size], (recording.last("cross_entropy") + recording.last("penalty"))[:size]  # fmt: skip
    known = ended and knobs.l2 > 0 and size > 1 and bool(np.isfinite(loss).all())
    enough = known and resolves(0.01, counts(knobs, recording)[1]) and _learned(accuracy)
    wrong = [(a, b) for a, b in pairs(accuracy, 0.01) if loss[a] > loss[b]] if known else []
    said = ""
    if wrong:
        a, b = max(wrong, key=lambda pair: loss[pair[0]] - loss[pair[1]])
        first, second = knobs.optimizers[a], knobs.optimizers[b]
        said = f"{len(wrong)} pairs stand the other way round; {first}: loss {loss[a]:.2f}, {accuracy[a]:.1%} right; {second}: {loss[b]:.2f}, {accuracy[b]:.1%}"  # fmt: skip
    return Claim(
        "Ranked by the loss with its penalty, optimizers stand in another order than by accuracy",
        said or ("no pair stands the other way round" if known else ""),
        "one pair or more in which the larger loss is the better classifier, by 1 pp or more",
        bool(wrong) if enough else None,
        "this run",
        notebook="AdaDelta has the worst loss, 4.69, and the second best accuracy, 45.1 %",
        hint="it takes a penalty, l2 > 0, two optimizers of which one has learned, and 600 test pictures",
    )


def _penalty_at_start(knobs: OptimizerKnobs, recording: Recording) -> Claim:
    _, values = recording.curve("penalty")
    _, cross_entropy = recording.curve("cross_entropy")
    known = knobs.l2 > 0
    inputs = {"digits": 64, "cifar10": 3072}.get(knobs.dataset, 784)
    formula = knobs.l2 * (2 * inputs * knobs.width / (inputs + knobs.width) + knobs.width)
    start = float(values[0, 0])
    return Claim(
        "At the start the penalty is what Glorot's initialization makes it, whatever the pictures",
        f"{start:.2f}, beside a cross-entropy of {cross_entropy[0, 0]:.2f}" if known else "",
        f"{formula:.2f} within 5 %: λ·Σ 2·fan_in·fan_out/(fan_in + fan_out)"
        if known
        else "25.1 for the notebook's net",
        bool(abs(start / formula - 1) < 0.05) if known and knobs.width >= 32 else None,
        "Var(w) = 2/(fan_in + fan_out), Glorot & Bengio 2010",
        notebook="its loss begins at about 27, of which 25.1 is penalty, and is ranked as it is",
        hint="it takes a penalty, l2 > 0, and 32 units or more",
    )


def _printed_with_dropout(knobs: OptimizerKnobs, recording: Recording, ended: bool) -> Claim:
    at = [i for i, name in enumerate(series(knobs)) if name.endswith(WITH)]
    printed, true = (recording.last(curve)[at] for curve in ("batch_loss", "cross_entropy"))
    known = ended and len(at) > 0 and bool(np.isfinite(printed).all())
    above = int((printed > true).sum()) if known else 0
    return Claim(
        "With dropout, the loss that is printed in training overstates the loss of the net",
        f"for {above} of {len(at)}; on average {printed.mean():.2f} printed, {true.mean():.2f} with all units" if known else "",
        "larger for each net",
        above == len(at) if known and _learned(recording.last("test_accuracy")[at]) else None,
        "the printed loss has units missing, and is a mean over steps before the last",
        notebook="compares it with the loss of nets that have all their units, and finds dropout worse",
        hint="train with dropout until a net has learned something",
    )  # fmt: skip


def _plain_net(knobs: OptimizerKnobs, recording: Recording, ended: bool) -> Claim:
    plain = [value for name, value in zip(series(knobs), recording.last("test_accuracy"), strict=True) if name in ALL]
    known = ended and knobs.dataset == "cifar10" and bool(plain) and bool(np.isfinite(plain).any())
    best = float(np.nanmax(plain)) if known else math.nan
    learned, tests = counts(knobs, recording)
    large, tested = learned >= 40_000, tests >= 1000
    return Claim(
        "Without penalty and dropout such a net names half of the CIFAR-10 test pictures rightly",
        f"{best:.1%}" if known else "",
        "50 % or more",
        bool(best >= 0.5) if known and tested and (large or best >= 0.5) and knobs.l2 == 0 else None,
        "Zhang et al. 2017: 50.5 % with one hidden layer of 512, 52.4 % with three",
        notebook="51.0 % with AdaGrad, penalty and all",
        hint="dataset = cifar10, 40,000 examples or more, l2 = 0, without dropout: hours on one core",
    )


def _as_torch(recording: Recording) -> Claim:
    measured = "differing" in recording.curves
    largest = float(recording.last("differing")) if measured else math.nan
    return Claim(
        "Each rule as it is written here gives the update of torch.optim",
        f"largest difference {largest:.1e} in {STEPS} steps on the landscape" if measured else "",
        "less than 1e-6 in every step",
        largest < 1e-6 if measured else None,
        "torch.optim in float64, with the same constants",
        notebook="writes RMSProp with E[g]² where it is E[g²]",
        hint="it is measured right after the first frame",
    )


def cost(knobs: OptimizerKnobs) -> Cost:
    """Matrix products of every net, what the updates read and write, and the price of each update's calls."""
    inputs = {"digits": 64, "cifar10": 3072}.get(knobs.dataset, 784)
    parameters = (inputs + knobs.width + 10.0) * knobs.width
    nets, sides = len(knobs.optimizers), len(endings(knobs))
    epochs = len(DEFAULTS) + nets * sides * knobs.epochs + nets * len(GRID) * searched(knobs) * (knobs.rates == "tuned")
    count, tests = examples(knobs), data.sizes(knobs.dataset)[1]
    steps = epochs * math.ceil(count / knobs.batch_size)
    looks = FEW_LOOKS if knobs.width >= WIDE else LOOKS
    judged = nets * sides * (looks * 2.0 * GLANCE + tests) + nets * len(GRID) * count / 5
    flops = parameters * (6.0 * epochs * count + 2.0 * judged)
    masks = 8.0 * (inputs + 2 * knobs.width) * count * nets * knobs.epochs * (knobs.dropout != "without")
    held = 4.0 * parameters * (9.0 * max(nets * sides, len(GRID)) + 8.0) + 8e8
    return Cost(flops, steps * 12.0 * parameters + masks, 40.0 * steps, held)


def shrunk(knobs: OptimizerKnobs) -> OptimizerKnobs:
    """Digits, few examples, tiny nets: a moment of work."""
    return knobs.model_copy(update={"dataset": "digits", "width": 8, "examples": 100, "epochs": 2, "batch_size": 32})


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    accuracy = {name: value for name in ALL if (value := found.get(f"test_accuracy[{name}]")) is not None}
    if not accuracy:
        accuracy = {name: value for name in ALL if (value := found.get(f"test_accuracy[{name}{WITH}]")) is not None}
    if not accuracy:
        return None
    best, worst = max(accuracy, key=lambda name: accuracy[name]), min(accuracy, key=lambda name: accuracy[name])
    gap = 100 * (accuracy[best] - accuracy[worst])
    return f"{best} came first with {accuracy[best]:.1%} and {worst} last with {accuracy[worst]:.1%}: {gap:.1f} pp between them."


PRESETS: Mapping[str, OptimizerKnobs] = {
    "Classroom": OptimizerKnobs(),
    "As the notebook ran it": OptimizerKnobs(optimizers=ADAPTIVE, rates="notebook", l2=0.01, dropout="both", width=1000, examples=40_000, epochs=200, batch_size=128, dataset="cifar10"),
    "Done right": OptimizerKnobs(optimizers=ALL, dropout="both", width=1000, examples=40_000, epochs=100, batch_size=128, dataset="cifar10", pixels="standardised"),
    "The notebook's settings, 1,000 pictures, 8 epochs": OptimizerKnobs(optimizers=ADAPTIVE, rates="notebook", l2=0.01, dropout="both", width=1000, examples=1000, epochs=8, batch_size=128, dataset="cifar10"),
    "Tuned, 3,000 pictures, 10 epochs": OptimizerKnobs(optimizers=ALL, examples=3000, epochs=10, dataset="cifar10", pixels="standardised"),
    "With the notebook's penalty": OptimizerKnobs(rates="paper", l2=0.01, dropout="both", landscape="saddle"),
    "At the papers' rates": OptimizerKnobs(optimizers=ALL, rates="paper", landscape="eggholder"),
}  # fmt: skip

LESSON = Lesson(
    slug="optimizers",
    prose=prose.of("optimizers"),
    revision=1,
    knobs=OptimizerKnobs,
    presets=PRESETS,
    for_gpu=("As the notebook ran it", "Done right"),
    series=series,
    train=train,
    panels=panels,
    watches=watches,
    facts=facts,
    claims=claims,
    cost=cost,
    axis="epoch",
    watched="cross_entropy",
    dataset=lambda knobs: None if knobs.dataset == "digits" else knobs.dataset,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, SideBySide, walk, *dict.fromkeys(RULES.values())),
    settings=settings,
)
