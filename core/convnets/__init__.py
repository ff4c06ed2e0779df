"""Convolutional networks on paper: a short language of layers, and what each layer of a network costs.

A network is a text, one layer on a line or between commas::

    conv 6 5x5 pad 2     6 filters of 5 × 5; also 1x7, stride 2, dilation 2, groups 2, same, no bias, floor
    transposed 6 2x2 stride 2    a transposed convolution; `upsample 2` trains nothing
    depthwise 3x3 pad 1  a filter for each channel; also `separable 16 3x3` and `pointwise 16`
    pool 2               windows of 2 × 2 beside each other; pool 3x3 stride 2 overlaps; also avgpool, ceil
    fc 120               120 dense units
    norm                 batch norm; also layernorm, groupnorm 8, instancenorm, and `scale`, a factor for each channel
    average              the mean of each channel; average 7x7 of 7 × 7 parts of it
    se 8                 squeeze-and-excitation with 8 units
    ( a, b | c )         branches whose channels are laid side by side
    ( a, b + )           branches that are added; an empty branch hands on what came in; * multiplies
    3 × ( a, b )         the same three times, each with weights of its own
    skip 32 stride 2     a shortcut without parameters: every second pixel, and 32 channels, the new ones zero

The words of PyTorch, Keras and of papers are taken too, `nn.Conv2d(3, 6, 5)` among them (`core.convnets.vocabulary`).
A size that does not divide is refused unless the layer says `floor`. A dense layer gives feature maps of 1 × 1, one for
each unit; activation functions and dropout are read, work in place and count as nothing.
"""

from core.convnets.branches import Branches, Separable, SqueezeExcite, with_weights
from core.convnets.counting import (
    Axis,
    Chain,
    Count,
    Kind,
    Layer,
    LayerError,
    Maps,
    Row,
    account,
    by_branch,
    by_layer,
    total,
)
from core.convnets.layers import (
    Average,
    Conv,
    Dense,
    Depthwise,
    Pool,
    Skip,
    Slice,
    Transposed,
    Upsample,
    ZeroPad,
)
from core.convnets.norms import GroupNorm, InstanceNorm, LayerNorm, Norm, Scale
from core.convnets.plain import plain
from core.convnets.reading import read
from core.convnets.writing import write

__all__ = [
    "Average",
    "Axis",
    "Branches",
    "Chain",
    "Conv",
    "Count",
    "Dense",
    "Depthwise",
    "GroupNorm",
    "InstanceNorm",
    "Kind",
    "Layer",
    "LayerError",
    "LayerNorm",
    "Maps",
    "Norm",
    "Pool",
    "Row",
    "Scale",
    "Separable",
    "Skip",
    "Slice",
    "SqueezeExcite",
    "Transposed",
    "Upsample",
    "ZeroPad",
    "account",
    "by_branch",
    "by_layer",
    "plain",
    "read",
    "total",
    "with_weights",
    "write",
]
