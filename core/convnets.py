"""Convolutional nets on paper: a short language of layers, and what each layer of a net costs.

A net is a text, one layer on a line or between commas::

    conv 6 5x5 pad 2     6 filters of 5 × 5; also: stride 2, groups 2, no bias, floor
    pool 2               windows of 2 × 2 beside each other; pool 3x3 stride 2 lets them overlap
    fc 120               120 dense units
    norm                 batch norm
    average              the mean of each map
    ( a, b | c )         branches whose maps are laid side by side
    ( a, b + )           branches whose maps are added; an empty branch hands on what came in
    skip 32 stride 2     a shortcut without parameters: every second pixel, and 32 maps of which the new ones are zero

Maps are square. A size that does not divide is refused, unless the layer says `floor`. A dense layer gives maps of
1 × 1, one for each unit, and activation functions work in place: they hold no number of their own.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from core.knobs import clip

MOST = 65_536  # of any number in a layer
MOST_NESTED = 4  # brackets in brackets

Kind = Literal["input", "conv", "fc", "norm", "pool", "skip", "join"]
Count = Literal["parameters", "weights", "biases", "statistics", "multiplications", "activations"]


class LayerError(ValueError):
    """A net that cannot be. Its message is one sentence for the reader, without the full stop."""


@dataclass(frozen=True)
class Maps:
    """What runs from layer to layer for one picture.

    Attributes:
        channels: how many maps.
        side: pixels along the side of each.
        sees: receptive field: pixels of the picture, along its side, on which one number here depends.
        jump: pixels of the picture between two neighbours here.
    """

    channels: int
    side: int
    sees: int = 1
    jump: int = 1

    @property
    def numbers(self) -> int:
        """How many numbers they hold."""
        return self.channels * self.side**2

    def __str__(self) -> str:
        return f"{self.channels} × {self.side} × {self.side}"


@dataclass(frozen=True)
class Row:
    """One line of a net's account, for one picture.

    Attributes:
        name: the layer as it was written.
        kind: what it is.
        out: the maps that it gives.
        activations: numbers that it adds to those a training step must keep.
        weights: numbers that multiply, and are trained.
        biases: numbers that are added, and are trained.
        statistics: numbers that are kept but not trained: a batch norm's running means and variances.
        multiplications: of convolutions and dense layers, each with its addition.
    """

    name: str
    kind: Kind
    out: Maps
    activations: int
    weights: int = 0
    biases: int = 0
    statistics: int = 0
    multiplications: int = 0

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        return self.weights + self.biases


class Layer(Protocol):
    """Anything that turns maps into other maps."""

    def rows(self, x: Maps) -> list[Row]:
        """Its account for the maps that come in; the last row's `out` goes on. Raises `LayerError`."""
        ...


Chain = tuple[Layer, ...]


@dataclass(frozen=True)
class Conv:
    """A convolution: each of its filters makes one map."""

    name: str
    filters: int
    size: int
    stride: int = 1
    pad: int = 0
    groups: int = 1
    bias: bool = True
    floor: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """A weight is used at every position; a filter reads only the channels of its own group."""
        for what, number in (("channels that come in", x.channels), ("filters", self.filters)):
            if number % self.groups:
                raise LayerError(
                    f"{self.name}: {number} {what} do not split into {self.groups} groups; groups must divide them"
                )
        side = positions(self.name, x.side, self.size, self.stride, self.pad, self.floor)
        weights = self.filters * (x.channels // self.groups) * self.size**2
        out = Maps(self.filters, side, x.sees + (self.size - 1) * x.jump, x.jump * self.stride)
        biases = self.filters if self.bias else 0
        return [Row(self.name, "conv", out, out.numbers, weights, biases, multiplications=weights * side**2)]


@dataclass(frozen=True)
class Dense:
    """A dense layer: each unit reads every number that comes in."""

    name: str
    units: int
    bias: bool = True

    def rows(self, x: Maps) -> list[Row]:
        """Each weight is used once."""
        weights = self.units * x.numbers
        out = Maps(self.units, 1, x.sees + (x.side - 1) * x.jump, x.jump)
        biases = self.units if self.bias else 0
        return [Row(self.name, "fc", out, out.numbers, weights, biases, multiplications=weights)]


@dataclass(frozen=True)
class Pool:
    """The largest, or the mean, of each window: the account is the same."""

    name: str
    size: int
    stride: int = 0  # 0: as wide as the window
    pad: int = 0
    floor: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """Nothing to train."""
        if self.pad > self.size // 2:
            raise LayerError(f"{self.name}: windows of {self.size} take a padding of {self.size // 2} at most")
        stride = self.stride or self.size
        side = positions(self.name, x.side, self.size, stride, self.pad, self.floor)
        out = Maps(x.channels, side, x.sees + (self.size - 1) * x.jump, x.jump * stride)
        return [Row(self.name, "pool", out, out.numbers)]


@dataclass(frozen=True)
class Average:
    """The mean of each map, whatever its size."""

    name: str

    def rows(self, x: Maps) -> list[Row]:
        """One window over the whole map."""
        return Pool(self.name, x.side).rows(x)


@dataclass(frozen=True)
class Norm:
    """Batch norm: a scale and a shift for each channel, and the mean and variance that it keeps for later."""

    name: str

    def rows(self, x: Maps) -> list[Row]:
        """Its multiplications are few, and vanish into the convolution once training is over: not counted."""
        return [Row(self.name, "norm", x, x.numbers, x.channels, x.channels, statistics=2 * x.channels)]


@dataclass(frozen=True)
class Skip:
    """He et al.'s shortcut A: pixels are left out, and maps of zeros are added until there are enough."""

    name: str
    filters: int
    stride: int = 1
    floor: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """Nothing to train, nothing to multiply."""
        if self.filters < x.channels:
            raise LayerError(f"{self.name}: {x.channels} channels come in, and it can only add some; ask for more")
        side = positions(self.name, x.side, 1, self.stride, 0, self.floor)
        out = Maps(self.filters, side, x.sees, x.jump * self.stride)
        return [Row(self.name, "skip", out, out.numbers)]


@dataclass(frozen=True)
class Branches:
    """Chains that read the same maps, and whose results are laid side by side or added."""

    chains: tuple[Chain, ...]
    added: bool

    def rows(self, x: Maps) -> list[Row]:
        """All rows of all chains, then their join. Only a sum holds numbers of its own."""
        parts = [through(chain, x) for chain in self.chains]
        ends = [part[-1].out if part else x for part in parts]
        first = ends[0]
        for end in ends[1:]:
            if end.side != first.side or (self.added and end.channels != first.channels):
                how = "be added" if self.added else "lie side by side"
                raise LayerError(f"( … ): branches that end in {first} and {end} cannot {how}; give them equal sizes")
        channels = first.channels if self.added else sum(end.channels for end in ends)
        out = Maps(channels, first.side, max(end.sees for end in ends), max(end.jump for end in ends))
        name, kept = ("added", out.numbers) if self.added else ("side by side", 0)
        return [row for part in parts for row in part] + [Row(name, "join", out, kept)]


def positions(name: str, side: int, size: int, stride: int, pad: int, floor: bool) -> int:
    """How often a window fits along a side: (side + 2 pad − size) / stride + 1, which must be whole."""
    room = side + 2 * pad - size
    if room < 0:
        raise LayerError(
            f"{name} does not fit: its input is {side} wide, with padding {side + 2 * pad}; "
            f"pad {-(-(size - side) // 2)} or a larger picture would do"
        )
    if room % stride and not floor:
        near = [fit for fit in (side - room % stride, side - room % stride + stride) if fit >= 1]
        raise LayerError(
            f"{name} does not divide an input {side} wide: ({side} + 2·{pad} − {size}) / {stride} + 1 = "
            f"{room / stride + 1:.6g} positions; {' or '.join(map(str, near))} wide would do, or the word floor"
        )
    return room // stride + 1


def through(chain: Iterable[Layer], x: Maps) -> list[Row]:
    """The rows of one layer after another."""
    rows: list[Row] = []
    for layer in chain:
        rows += layer.rows(x)
        x = rows[-1].out
    return rows


def account(chain: Chain, channels: int, side: int) -> list[Row]:
    """The rows of a net, the picture first. Raises `LayerError` where a layer does not fit."""
    picture = Maps(channels, side)
    return [Row("input", "input", picture, picture.numbers), *through(chain, picture)]


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


# --- reading the language ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """How a layer is written: its numbers in order, then its options in any order."""

    layer: Callable[..., Layer]
    numbers: tuple[str, ...]
    options: tuple[str, ...]
    flags: tuple[str, ...]
    example: str


WORDS = {
    "conv": Word(
        Conv, ("filters", "size"), ("stride", "pad", "groups"), ("no bias", "floor"), "conv 16 5x5 stride 2 pad 2"
    ),
    "pool": Word(Pool, ("size",), ("stride", "pad"), ("floor",), "pool 3x3 stride 2"),
    "fc": Word(Dense, ("units",), (), ("no bias",), "fc 120"),
    "norm": Word(Norm, (), (), (), "norm"),
    "average": Word(Average, (), (), (), "average"),
    "skip": Word(Skip, ("filters",), ("stride",), ("floor",), "skip 32 stride 2"),
}
NOTHING = ("relu", "tanh", "sigmoid", "softmax", "dropout", "flatten")  # words that readers expect to be layers


def read(text: str) -> Chain:
    """The layers that a text describes. Raises `LayerError`."""
    tokens = deque(token.strip() for token in re.findall(r"[()|+]|[^()|+,;\n]+", text) if token.strip())
    chain = _chain(tokens, 0)
    if tokens:
        raise LayerError(
            f"“{tokens[0]}” stands outside of brackets; branches are written ( conv 8 1x1 | conv 8 3x3 pad 1 )"
        )
    if not chain:
        raise LayerError("a net needs a layer; write one on a line, such as conv 16 5x5")
    return chain


def _chain(tokens: deque[str], depth: int) -> Chain:
    layers: list[Layer] = []
    while tokens and tokens[0] not in ")|+":
        token = tokens.popleft()
        layers.append(_branches(tokens, depth + 1) if token == "(" else _layer(token))
    return tuple(layers)


def _branches(tokens: deque[str], depth: int) -> Branches:
    if depth > MOST_NESTED:
        raise LayerError(f"brackets stand in brackets more than {MOST_NESTED} deep; fewer will do")
    chains, marks = [_chain(tokens, depth)], set()
    while tokens and tokens[0] != ")":
        marks.add(tokens.popleft())
        chains.append(_chain(tokens, depth))
    if not tokens:
        raise LayerError("a bracket is opened and never closed; end its last branch with )")
    tokens.popleft()
    if len(marks) != 1:
        raise LayerError(
            "the branches in a bracket are parted by | to lie side by side or by + to be added, by one of them"
        )
    return Branches(tuple(chains), added=marks == {"+"})


def _layer(phrase: str) -> Layer:
    name = clip(" ".join(phrase.lower().replace("×", "x").split()))
    word, *rest = name.replace("no bias", "no_bias").split()
    known = WORDS.get(word)
    if known is None:
        if word in NOTHING:
            raise LayerError(f"{word} has no numbers of its own; leave it out")
        raise LayerError(f"{word} is no layer here; write {', '.join(list(WORDS)[:-1])} or {list(WORDS)[-1]}")
    left = deque(rest)
    values: dict[str, int | bool] = {title: _number(name, title, left, known) for title in known.numbers}
    while left:
        option = left.popleft().replace("_", " ")
        if option in values or (option == "no bias" and "bias" in values):
            raise LayerError(f"{name} says {option} twice; say it once")
        if option in known.flags:
            values["bias" if option == "no bias" else option] = option != "no bias"
        elif option in known.options:
            values[option] = _number(name, option, left, known)
        else:
            raise LayerError(f"{name}: “{option}” is no part of {word}; write it like {known.example}")
    return known.layer(name, **values)


def _number(name: str, title: str, left: deque[str], known: Word) -> int:
    """The next number; a size may be written 5 or 5x5."""
    if not left:
        raise LayerError(f"{name} lacks its {title}; write it like {known.example}")
    token = left.popleft()
    first, *others = token.split("x") if title == "size" else [token]
    if not first.isdecimal() or any(other != first for other in others) or len(others) > 1:
        what = "a square, such as 5x5" if title == "size" else "a whole number"
        raise LayerError(f"{name}: its {title}, “{token}”, is not {what}; write it like {known.example}")
    least = 0 if title == "pad" else 1
    if not least <= int(first) <= MOST:
        raise LayerError(f"{name}: {title} = {int(first)} is outside {least} … {MOST}; write it like {known.example}")
    return int(first)
