"""Layers that are short for others, written out: what is left are PyTorch's own."""

from dataclasses import dataclass, replace

from core.convnets.branches import Branches, Separable, SqueezeExcite
from core.convnets.counting import Axis, Chain, Layer, Maps, Row, Step
from core.convnets.layers import NONE, Conv, Depthwise, Pool, Transposed, windows
from core.convnets.norms import GroupNorm, LayerNorm


@dataclass(frozen=True)
class Around:
    """The zeros that `same` adds on each side, uneven where their number is odd; the layer behind counts them."""

    left: int
    right: int
    top: int
    bottom: int

    def __str__(self) -> str:
        return f"around {self.left} {self.right} {self.top} {self.bottom}"

    def rows(self, x: Maps) -> list[Row]:
        """They are no activations: the layer pads as it reads."""
        high, wide = (
            axis.then(axis.size + more, Step(1, 1))
            for axis, more in ((x.high, self.top + self.bottom), (x.wide, self.left + self.right))
        )
        return [Row(str(self), "shape", Maps(x.channels, high, wide), 0)]


def plain(chain: Chain, x: Maps) -> Chain:
    """The same layers, none of which is short for others, for feature maps of this size.

    Layer norm over the channels becomes group norm of one group, which has as many parameters and another mean.
    """
    found: list[Layer] = []
    for layer in chain:
        found += _plain(layer, x)
        x = layer.rows(x)[-1].out
    return tuple(found)


def _plain(layer: Layer, x: Maps) -> Chain:
    match layer:
        case Branches():
            return (replace(layer, chains=tuple(plain(each, x) for each in layer.chains)),)
        case SqueezeExcite():
            return (layer.branches(x.channels),)
        case Separable():
            return plain(layer.chain, x)
        case Depthwise():
            return _plain(layer.conv(x.channels), x)
        case LayerNorm():
            return (GroupNorm(1),)
        case Conv(same=True) | Pool(same=True):
            (top, bottom), (left, right) = _same_pads(layer, x.high, x.wide)
            bare: Layer = replace(layer, pad=NONE, same=False, floor=True)
            return (Around(left, right, top, bottom), bare) if top + bottom + left + right else (bare,)
        case Transposed(same=True):
            pad, extra = layer.same_pads
            return (replace(layer, pad=pad, extra=extra, same=False),)
    return (layer,)


def _same_pads(layer: Conv | Pool, high: Axis, wide: Axis) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = windows(layer, Maps(1, high, wide))
    return rows.same_pads(high.size), columns.same_pads(wide.size)
