"""The words of the language, and the words of PyTorch, Keras and of papers that mean the same.

A layer is written as its word, its numbers in order, then its options in any order; `write` gives that phrase back.
"""

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Word:
    """How a layer is written.

    Attributes:
        layer: the name of its class.
        example: how it may be written.
        numbers: what it must say, in this order and without a name.
        more: what may follow without a name, as PyTorch's arguments do.
        options: what it may say after a name.
        flags: what it may say in one word; "no bias" in two.
        preset: what the word itself says.
    """

    layer: str
    example: str
    numbers: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)


_SLIDES = ("stride", "pad", "dilation")
_POOLS: dict[str, Any] = {
    "numbers": ("size",),
    "more": ("stride", "pad"),
    "options": ("stride", "pad"),
    "flags": ("same", "floor", "ceil"),
}

# fmt: off
WORDS: Mapping[str, Word] = {
    "conv": Word("Conv", "conv 16 5x5 stride 2 pad 2", ("filters", "size"), ("stride", "pad"), (*_SLIDES, "groups"), ("no bias", "same", "floor")),
    "pool": Word("Pool", "pool 3x3 stride 2", **_POOLS, preset={"mean": False}),
    "avgpool": Word("Pool", "avgpool 2", **_POOLS, preset={"mean": True}),
    "fc": Word("Dense", "fc 120", ("units",), flags=("no bias",)),
    "norm": Word("Norm", "norm"),
    "average": Word("Average", "average", more=("size",)),
    "depthwise": Word("Depthwise", "depthwise 3x3 stride 2 pad 1", ("size",), ("stride", "pad"), (*_SLIDES, "multiplier"), ("no bias", "same", "floor")),
    "pointwise": Word("Conv", "pointwise 64", ("filters",), flags=("no bias",), preset={"size": (1, 1)}),
    "separable": Word("Separable", "separable 64 3x3 pad 1", ("filters", "size"), (), _SLIDES, ("no bias", "same", "floor")),
    "transposed": Word("Transposed", "transposed 16 2x2 stride 2", ("filters", "size"), ("stride", "pad"), (*_SLIDES, "extra", "groups"), ("no bias", "same")),
    "upsample": Word("Upsample", "upsample 2", ("factor",)),
    "zeropad": Word("ZeroPad", "zeropad 3", ("pad",)),
    "layernorm": Word("LayerNorm", "layernorm"),
    "groupnorm": Word("GroupNorm", "groupnorm 8", ("groups",)),
    "instancenorm": Word("InstanceNorm", "instancenorm"),
    "scale": Word("Scale", "scale"),
    "se": Word("SqueezeExcite", "se 8", ("units",), flags=("no bias",)),
    "slice": Word("Slice", "slice 58", ("channels",)),
    "skip": Word("Skip", "skip 32 stride 2", ("filters",), (), ("stride",), ("floor",)),
}
# fmt: on

PAIRS = {"size", "stride", "pad", "dilation", "extra", "factor"}
"""What may differ between rows and columns: 5, 5x5 or 1x7."""

FROM_ZERO = {"pad", "extra"}

SAME: Mapping[str, str] = {
    spelled: word
    for word, others in {
        "conv": "convolution convolutional convolve convlayer",
        "pool": "maxpool maxpooling maxpoollayer pooling",
        "avgpool": "averagepool averagepooling avgpooling meanpool meanpooling",
        "fc": "dense linear fullyconnected fullyconnectedlayer fclayer denselayer lazylinear",
        "norm": "bn batchnorm batchnormalization batchnormalisation",
        "average": "gap globalaverage globalaveragepool globalaveragepooling globalavgpool globalavgpooling globalpool "
        "adaptiveavgpool adaptiveaveragepool adaptivemaxpool globalmaxpool globalmaxpooling averageall",
        "depthwise": "dw dwconv depthwiseconv depthwiseconvolution",
        "pointwise": "pw pwconv pointwiseconv pointwiseconvolution",
        "separable": "sepconv separableconv separableconvolution depthwiseseparable depthwiseseparableconv",
        "transposed": "convtranspose convtransposed transposedconv transposedconvolution transposeconv deconv "
        "deconvolution upconv",
        "upsample": "upsampling interpolate",
        "zeropad": "zeropadding padding pad",
        "layernorm": "ln layernormalization layernormalisation",
        "groupnorm": "gn groupnormalization groupnormalisation",
        "instancenorm": "in instancenormalization",
        "scale": "layerscale",
        "se": "seblock selayer squeezeexcite squeezeexcitation squeezeandexcitation squeezeandexcite",
        "slice": "take",
        "skip": "shortcut",
    }.items()
    for spelled in others.split()
}
"""Other names → the word. Capitals, hyphens, underscores, spaces and a "2d" at the end make no difference."""

OPTIONS: Mapping[str, str] = {
    "s": "stride", "strides": "stride", "by": "stride",
    "p": "pad", "padding": "pad", "pads": "pad",
    "d": "dilation", "dilated": "dilation", "dilationrate": "dilation", "rate": "dilation",
    "g": "groups", "group": "groups",
    "k": "size", "kernel": "size", "kernelsize": "size", "poolsize": "size", "window": "size",
    "outchannels": "filters", "outfeatures": "units", "depthmultiplier": "multiplier",
    "outputpadding": "extra", "scalefactor": "factor",
}  # fmt: skip
"""Other names of options → the option."""

NO_NUMBERS = frozenset(
    """
    relu relu6 leakyrelu elu selu celu gelu silu swish hardswish hardsigmoid hardtanh mish tanh sigmoid softmax
    logsoftmax softplus softsign activation linearactivation dropout spatialdropout droppath stochasticdepth flatten
    identity reshape shuffle channelshuffle rescaling rescale
    """.split()
)
"""Words that hold no trained numbers and work in place: taken, and counted as nothing."""

NOT_COUNTED: Mapping[str, str] = {
    **dict.fromkeys(
        ("input", "inputlayer", "inputshape", "image"),
        "the size and channels of the image are set beside the network; leave that line out",
    ),
    **dict.fromkeys(("output", "outputlayer"), "name the last layer by what it is, such as fc 10"),
    **dict.fromkeys(
        ("prelu",), "its slopes are trained, and PyTorch and Keras have different numbers of them; write relu"
    ),
    **dict.fromkeys(
        ("attention", "selfattention", "multiheadattention", "multiheadselfattention", "mhsa", "transformer"),
        "the language has no word for the product of two computed maps; it counts convolutional networks",
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn", "simplernn", "embedding"), "the language has no word for it; it takes images alone"
    ),
    **dict.fromkeys(
        ("conv1d", "conv3d", "maxpool1d", "maxpool3d"), "images have two directions here; conv 16 1x5 reads along one"
    ),
}
"""Words that the language cannot take → why, and what to write."""


@functools.lru_cache(maxsize=4096)
def write(layer: Hashable) -> str:
    """The phrase of one layer, which reads back as an equal layer."""
    kind = type(layer).__name__
    word, known = next(
        (word, known)
        for word, known in WORDS.items()
        if known.layer == kind and all(getattr(layer, name) == value for name, value in known.preset.items())
    )
    short = known.layer == "Pool"  # a window of 2 × 2 is 2
    said = [word, *(_spell(name, getattr(layer, name), short) for name in known.numbers)]
    defaults = {name: each.default for name, each in type(layer).__dataclass_fields__.items()}  # type: ignore[attr-defined]
    for name in dict.fromkeys((*known.options, *known.more)):
        value = getattr(layer, name)
        if value != defaults[name]:
            said += [_spell(name, value)] if name == "size" else [name, _spell(name, value)]
    for flag in known.flags:
        if getattr(layer, "bias" if flag == "no bias" else flag) != (flag == "no bias"):
            said.append(flag)
    return " ".join(said)


def _spell(name: str, value: Any, short: bool = False) -> str:
    if isinstance(value, int):
        return str(value)
    first, second = value
    return f"{first}x{second}" if first != second or (name == "size" and not short) else str(first)
