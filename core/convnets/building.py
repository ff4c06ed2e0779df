"""The language as modules of PyTorch: what a text describes, to be run, counted or trained."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.convnets.branches import Branches
from core.convnets.counting import Chain, Layer, Maps
from core.convnets.layers import Average, Conv, Dense, Pool, Skip, Slice, Transposed, Upsample, ZeroPad
from core.convnets.norms import GroupNorm, InstanceNorm, Norm, Scale
from core.convnets.plain import Around, plain


def build(chain: Chain, x: Maps) -> nn.Sequential:
    """The module that these layers are for feature maps of this size, (batch, channels, height, width) in and out.

    Made under `torch.device("meta")` it takes no memory. Raises `LayerError` where a layer does not fit.
    """
    made = []
    for layer in plain(chain, x):
        made.append(_module(layer, x))
        x = layer.rows(x)[-1].out
    return nn.Sequential(*made)


def _module(layer: Layer, x: Maps) -> nn.Module:
    match layer:
        case Branches():
            return Joined([build(chain, x) for chain in layer.chains], layer.join)
        case Conv():
            c = layer
            return nn.Conv2d(x.channels, c.filters, c.size, c.stride, c.pad, c.dilation, c.groups, c.bias)
        case Transposed():
            t = layer
            return nn.ConvTranspose2d(
                x.channels, t.filters, t.size, t.stride, t.pad, t.extra, t.groups, t.bias, t.dilation
            )
        case Dense():
            linear = nn.Linear(x.numbers, layer.units, layer.bias)
            return nn.Sequential(nn.Flatten(), linear, nn.Unflatten(1, (layer.units, 1, 1)))
        case Pool(mean=True):
            return nn.AvgPool2d(layer.size, layer.steps, layer.pad, ceil_mode=layer.ceil)
        case Pool():
            return nn.MaxPool2d(layer.size, layer.steps, layer.pad, ceil_mode=layer.ceil)
    return _simple(layer, x)


def _simple(layer: Layer, x: Maps) -> nn.Module:
    match layer:
        case Average():
            return nn.AdaptiveAvgPool2d(layer.size)
        case Norm():
            return nn.BatchNorm2d(x.channels)
        case GroupNorm():
            return nn.GroupNorm(layer.groups, x.channels)
        case InstanceNorm():
            return nn.InstanceNorm2d(x.channels)
        case Scale():
            return Factors(x.channels)
        case Upsample():
            return nn.Upsample(scale_factor=tuple(map(float, layer.factor)))
        case ZeroPad():
            high, wide = layer.pad
            return nn.ZeroPad2d((wide, wide, high, high))
        case Around():
            return Padding((layer.left, layer.right, layer.top, layer.bottom))
        case Slice():
            return Channels(layer.channels)
        case Skip():
            return Shortcut(layer.filters - x.channels, layer.stride)
    raise TypeError(f"{layer} has no module")


class Joined(nn.Module):
    """Branches that read the same tensor."""

    def __init__(self, branches: Sequence[nn.Module], join: str) -> None:
        super().__init__()
        self.branches, self.join = nn.ModuleList(branches), join

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        ends = [branch(x) for branch in self.branches]
        if self.join == "|":
            return torch.cat(ends, dim=1)
        joined: Tensor = reduce(torch.add if self.join == "+" else torch.mul, ends)
        return joined


class Padding(nn.ZeroPad2d):
    """What a layer with `same` adds as it reads."""


class Factors(nn.Module):
    """One trained factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        return x * self.weight


class Channels(nn.Module):
    """The first channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        return x[:, : self.channels]


class Shortcut(nn.Module):
    """He et al.'s shortcut A: pixels left out, and channels of zeros behind."""

    def __init__(self, added: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        x = x[:, :, :: self.stride[0], :: self.stride[1]]
        return functional.pad(x, (0, 0, 0, 0, 0, self.added))
