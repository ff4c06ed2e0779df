"""Sizes and counts: what runs from layer to layer, and what each layer adds to a network's account."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, Protocol, Self

Kind = Literal["input", "conv", "fc", "norm", "pool", "shape", "join"]
Count = Literal["parameters", "weights", "biases", "statistics", "macs", "activations"]


class LayerError(ValueError):
    """A network that cannot be. Its message is one sentence for the reader, without the full stop."""


@dataclass(frozen=True)
class Step:
    """How far neighbouring outputs reach into a layer's input, along one direction.

    Attributes:
        stride: inputs from one output to the next; of a transposed convolution (`up`), outputs for each input.
        reach: inputs under one window, holes of a dilation among them.
        up: whether it is a transposed convolution.
    """

    stride: int
    reach: int
    up: bool = False

    def span(self, outputs: int) -> int:
        """Inputs, at most, on which that many neighbouring outputs depend."""
        if self.up:
            return (outputs + self.reach - 2) // self.stride + 1
        return (outputs - 1) * self.stride + self.reach

    def after(self, before: Self) -> Self | None:
        """The one step that does what `before` and this one do, if there is one."""
        if self.up or before.up:
            return None
        return replace(self, stride=before.stride * self.stride, reach=before.span(self.reach))


@dataclass(frozen=True)
class Axis:
    """One direction of a feature map.

    Attributes:
        size: pixels along it.
        steps: how it came from the image, fewest steps.
        fixed: whether it has this size whatever the image, as behind a dense layer.
    """

    size: int
    steps: tuple[Step, ...] = ()
    fixed: bool = False

    @property
    def sees(self) -> int:
        """Receptive field: pixels of the image, at most, on which one number depends, padding among them."""
        pixels = 1
        for step in reversed(self.steps):
            pixels = step.span(pixels)
        return pixels

    @property
    def jump(self) -> Fraction:
        """Pixels of the image between two neighbours here."""
        product = Fraction(1)
        for step in self.steps:
            product *= Fraction(1, step.stride) if step.up else step.stride
        return product

    def then(self, size: int, step: Step, *, fixed: bool = False) -> "Axis":
        """The axis of a layer that reads this one."""
        one = step.after(self.steps[-1]) if self.steps else None
        steps = (*self.steps[:-1], one) if one is not None else (*self.steps, step)
        return Axis(size, steps, fixed or self.fixed)


@dataclass(frozen=True)
class Maps:
    """What runs from layer to layer for one image: so many channels of one height and width."""

    channels: int
    high: Axis
    wide: Axis

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.high.size

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.wide.size

    @property
    def positions(self) -> int:
        """Pixels of one channel."""
        return self.height * self.width

    @property
    def numbers(self) -> int:
        """How many numbers they hold."""
        return self.channels * self.positions

    @property
    def sees(self) -> int:
        """Receptive field in pixels of the image: along its side, or the longer one."""
        return max(self.high.sees, self.wide.sees)

    def __str__(self) -> str:
        return f"{self.channels} × {self.height} × {self.width}"


@dataclass(frozen=True)
class Row:
    """One line of a network's account, for one image.

    Attributes:
        name: the layer, in the language.
        kind: what it is.
        out: the feature maps that it gives.
        activations: numbers that it adds to those a training step must keep.
        weights: numbers that multiply, and are trained.
        biases: numbers that are added, and are trained.
        statistics: numbers that are kept but not trained: a batch norm's running means and variances.
        macs: multiply–accumulate operations of convolutions and dense layers.
        branch: in brackets, which branch it stands in: "2" of the first brackets, "2.1" of brackets in it.
    """

    name: str
    kind: Kind
    out: Maps
    activations: int
    weights: int = 0
    biases: int = 0
    statistics: int = 0
    macs: int = 0
    branch: str = ""

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        return self.weights + self.biases


class Layer(Protocol):
    """Anything that turns feature maps into others."""

    def rows(self, x: Maps) -> list[Row]:
        """Its account for the maps that come in; the last row's `out` goes on. Raises `LayerError`."""
        ...


Chain = tuple[Layer, ...]


def through(chain: Iterable[Layer], x: Maps) -> list[Row]:
    """The rows of one layer after another."""
    rows: list[Row] = []
    for layer in chain:
        rows += layer.rows(x)
        x = rows[-1].out
    return rows


def account(chain: Iterable[Layer], channels: int, height: int, width: int = 0) -> list[Row]:
    """The rows of a network, the image first; without a width it is square.

    Raises:
        LayerError: a layer does not fit.
    """
    image = Maps(channels, Axis(height), Axis(width or height))
    return [Row("input", "input", image, image.numbers), *through(chain, image)]


def total(rows: Iterable[Row], what: Count, *kinds: Kind) -> int:
    """The sum of one count over all rows, or over those of the kinds given."""
    return sum(getattr(row, what) for row in rows if not kinds or row.kind in kinds)


def by_layer(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows cut before each convolution and each dense layer; other rows go with the one before."""
    layers: list[list[Row]] = [[]]
    for row in rows:
        if row.kind in ("conv", "fc"):
            layers.append([])
        layers[-1].append(row)
    return layers


def by_branch(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows in brackets by the outermost branch that they stand in; empty for a plain chain."""
    branches: dict[str, list[Row]] = {}
    for row in rows:
        if row.branch:
            branches.setdefault(row.branch.partition(".")[0], []).append(row)
    return branches
