"""Layers made of layers: branches that read the same feature maps, and what is short for some of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.convnets.counting import Axis, Chain, LayerError, Maps, Row, Step, through
from core.convnets.layers import Average, Conv, Dense, Depthwise, Transposed, Written
from core.convnets.windows import Pair

Join = Literal["|", "+", "*"]
JOINED: dict[Join, tuple[str, str]] = {
    "|": ("side by side", "lie side by side"),
    "+": ("added", "be added"),
    "*": ("multiplied", "be multiplied"),
}
"""How branches end in one: the row's name, and what branches of unequal sizes cannot do."""


@dataclass(frozen=True)
class Branches:
    """Chains that read the same feature maps, and whose results are laid side by side, added or multiplied."""

    chains: tuple[Chain, ...]
    join: Join

    def rows(self, x: Maps) -> list[Row]:
        """All rows of all chains, then their join. Maps side by side are those of the branches: no further numbers."""
        parts = [through(chain, x) for chain in self.chains]
        ends = [part[-1].out if part else x for part in parts]
        # Of a product, a gate of 1 × 1 counts for every pixel.
        first = max(ends, key=lambda end: end.positions) if self.join == "*" else ends[0]
        gates = [self.join == "*" and end.positions == 1 < first.positions for end in ends]
        for end, gate in zip(ends, gates, strict=True):
            same = gate or (end.height, end.width) == (first.height, first.width)
            if not same or (self.join != "|" and end.channels != first.channels):
                raise LayerError(
                    f"( … ): branches that end in {first} and {end} cannot {JOINED[self.join][1]}; "
                    "give them equal sizes"
                )
        channels = sum(end.channels for end in ends) if self.join == "|" else first.channels
        whole = [end for end, gate in zip(ends, gates, strict=True) if not gate]
        high = _joined([end.high for end in whole], max(end.high.sees for end in ends))
        wide = _joined([end.wide for end in whole], max(end.wide.sees for end in ends))
        out = Maps(channels, high, wide)
        kept = 0 if self.join == "|" else out.numbers
        rows = [
            replace(row, branch=f"{i}.{row.branch}" if row.branch else str(i))
            for i, part in enumerate(parts, start=1)
            for row in part
        ]
        return [*rows, Row(JOINED[self.join][0], "join", out, kept)]


def _joined(axes: Sequence[Axis], sees: int) -> Axis:
    """The axis that depends on `sees` pixels, and whose neighbours are as far apart as in the coarsest branch."""
    axis = max(axes, key=lambda axis: axis.jump)
    wider = Axis(axis.size, (Step(1, 1 + sees - axis.sees),))
    for step in axis.steps:
        wider = wider.then(axis.size, step)
    return replace(wider, fixed=any(axis.fixed for axis in axes))


@dataclass(frozen=True)
class SqueezeExcite(Written):
    """Squeeze-and-excitation (Hu et al. 2018): the means of the channels decide how much each counts."""

    units: int
    bias: bool = True

    def branches(self, channels: int) -> Branches:
        """What it is short for."""
        gate = (Average(), Conv(self.units, (1, 1), bias=self.bias), Conv(channels, (1, 1), bias=self.bias))
        return Branches(((), gate), "*")

    def rows(self, x: Maps) -> list[Row]:
        """Those of its parts."""
        return [replace(row, branch="") for row in self.branches(x.channels).rows(x)]


@dataclass(frozen=True)
class Separable(Written):
    """A depthwise convolution and one of 1 × 1 behind it, with a bias in the second alone, as Keras has it."""

    filters: int
    size: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    bias: bool = True
    same: bool = False
    floor: bool = False

    @property
    def chain(self) -> Chain:
        """What it is short for."""
        each = Depthwise(self.size, self.stride, self.pad, self.dilation, 1, False, self.same, self.floor)
        return each, Conv(self.filters, (1, 1), bias=self.bias)

    def rows(self, x: Maps) -> list[Row]:
        """Those of its parts."""
        return through(self.chain, x)


def with_weights(chain: Chain) -> int:
    """How many convolutions and dense layers a chain has, those in branches among them."""
    found = 0
    for layer in chain:
        match layer:
            case Branches():
                found += sum(map(with_weights, layer.chains))
            case SqueezeExcite() | Separable():
                found += 2
            case Conv() | Depthwise() | Transposed() | Dense():
                found += 1
    return found
