"""PyTorch's functions in the language: which layer a call of each one is."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from core.convnets.counting import Layer, LayerError
from core.convnets.graph import Shape
from core.convnets.layers import Average, Conv, Dense, Depthwise, Pool, Skip, Slice, Transposed, Upsample, ZeroPad
from core.convnets.norms import GroupNorm, InstanceNorm, LayerNorm, Norm
from core.convnets.windows import Pair

Said = dict[str, Any]
"""The arguments of a call by name."""

IN_PLACE = frozenset(
    """
    relu relu6 leaky_relu elu selu celu gelu silu hardswish hardsigmoid hardtanh mish tanh sigmoid softmax log_softmax
    softplus dropout dropout2d feature_dropout alpha_dropout clone detach to float type_as
    """.split()
)
"""Functions that work in place and hold nothing that is trained."""

MOVES = frozenset(
    "contiguous permute transpose movedim view reshape flatten unflatten unsqueeze squeeze expand_as".split()
)
"""Functions that give the same numbers another shape; what reads them checks the shape that it needs."""


def _pair(value: Any) -> Pair:
    """PyTorch's one number or two."""
    numbers = [int(each) for each in value] if isinstance(value, tuple | list) else [int(value)]
    return numbers[0], numbers[-1]


def _image(x: Tensor, shape: Shape) -> None:
    """Raise `LayerError` where `x` is not one image's feature maps, channels first."""
    if tuple(x.shape) != (1, *shape) and not (x.dim() == 2 and tuple(x.shape) == (1, shape[0] * shape[1] * shape[2])):
        raise LayerError("it cuts or turns its feature maps, which the language has no word for")


def _left_over(shape: Shape, size: Pair, stride: Pair, pad: Pair, dilation: Pair = (1, 1)) -> bool:
    """Whether pixels at the end are left out, which the language says with the word `floor`."""
    return any(
        (n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in zip(shape[1:], size, stride, pad, dilation, strict=True)
    )


def _conv(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    filters, _, *size = said["weight"].shape
    groups, bias = said.get("groups", 1), said.get("bias") is not None
    stride, dilation = _pair(said.get("stride", 1)), _pair(said.get("dilation", 1))
    padding = said.get("padding", 0)
    same, pad = padding == "same", (0, 0) if isinstance(padding, str) else _pair(padding)
    floor = not same and _left_over(shape, _pair(size), stride, pad, dilation)
    if groups == shape[0] > 1 and filters % groups == 0:
        return Depthwise(_pair(size), stride, pad, dilation, filters // groups, bias, same, floor)
    return Conv(filters, _pair(size), stride, pad, dilation, groups, bias, same, floor)


def _transposed(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    groups = said.get("groups", 1)
    _, filters, *size = said["weight"].shape
    return Transposed(
        filters * groups,
        _pair(size),
        _pair(said.get("stride", 1)),
        _pair(said.get("padding", 0)),
        _pair(said.get("dilation", 1)),
        _pair(said.get("output_padding", 0)),
        groups,
        said.get("bias") is not None,
    )


def _linear(said: Said, x: Tensor, shape: Shape) -> Layer:
    """A dense layer, or a 1 × 1 convolution where the channels come last and it reads each pixel for itself."""
    units, bias = said["weight"].shape[0], said.get("bias") is not None
    if x.dim() == 2 and x.shape[1] == shape[0] * shape[1] * shape[2]:
        return Dense(units, bias)
    if x.shape[-1] != shape[0] or x.numel() != shape[0] * shape[1] * shape[2]:
        raise LayerError("a linear layer reads something else than whole images or the channels of each pixel")
    return Conv(units, (1, 1), bias=bias)


def _pool(mean: bool) -> Callable[[Said, Tensor, Shape], Layer]:
    def read(said: Said, x: Tensor, shape: Shape) -> Layer:
        _image(x, shape)
        if _pair(said.get("dilation", 1)) != (1, 1):
            raise LayerError("it pools with holes (dilation), which the language has no word for")
        size = _pair(said["kernel_size"])
        given = said.get("stride")
        stride = size if given is None or given == [] else _pair(given)
        pad, ceil = _pair(said.get("padding", 0)), bool(said.get("ceil_mode", False))
        left = _left_over(shape, size, stride, pad)
        return Pool(
            size, (0, 0) if stride == size else stride, pad, floor=left and not ceil, ceil=left and ceil, mean=mean
        )

    return read


def _average(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    size = said["output_size"]
    if isinstance(size, tuple | list):
        size = [shape[i + 1] if each is None else each for i, each in enumerate(size)]
    return Average(_pair(size))


def _mean(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    dims = said.get("dim")
    if not isinstance(dims, tuple | list) or sorted(dim % x.dim() for dim in dims) != [2, 3]:
        raise LayerError("it takes a mean over something else than height and width")
    return Average()


def _batch_norm(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    if said.get("weight") is None or said.get("running_mean") is None:
        raise LayerError(
            "it has a batch norm without scale or without running means, which the language has no word for"
        )
    return Norm()


def _layer_norm(said: Said, x: Tensor, shape: Shape) -> Layer:
    if tuple(said["normalized_shape"]) != shape[:1] or x.shape[-1] != shape[0] or said.get("weight") is None:
        raise LayerError("it has a layer norm over more than the channels, or without a scale")
    return LayerNorm()


def _group_norm(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    if said.get("weight") is None:
        raise LayerError("it has a group norm without scale, which the language has no word for")
    return GroupNorm(said["num_groups"])


def _instance_norm(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    if said.get("weight") is not None:
        raise LayerError(
            "it has an instance norm with a scale; groupnorm with a group for each channel counts the same"
        )
    return InstanceNorm()


def _upsample(said: Said, x: Tensor, shape: Shape) -> Layer:
    _image(x, shape)
    size, factor = said.get("size"), said.get("scale_factor")
    factors = [float(each) for each in (factor if isinstance(factor, tuple | list) else [factor, factor]) if each]
    if size is not None:
        factors = [a / b for a, b in zip(_pair(size), shape[1:], strict=True)]
    if any(each != int(each) for each in factors):
        raise LayerError("it enlarges by a factor that is no whole number, which the language has no word for")
    return Upsample(_pair(factors))


def _pad(said: Said, x: Tensor, shape: Shape) -> Layer:
    """Zeros around, or channels of zeros, as He et al.'s shortcut A adds them."""
    _image(x, shape)
    around = [int(each) for each in said["pad"]]
    left, right, top, bottom, *channels = around + [0] * (4 - len(around))
    if channels and not any((left, right, top, bottom)) and len(channels) == 2:
        return Skip(shape[0] + sum(channels))
    if channels or (left, top) != (right, bottom) or min(left, top) < 0:
        raise LayerError("it pads one side more than the other, which the language has no word for")
    return ZeroPad((top, left))


def _item(said: Said, x: Tensor, shape: Shape) -> Layer:
    """Every second pixel, as He et al.'s shortcut A reads, or some of the channels."""
    _image(x, shape)
    index = said["index"]
    parts = list(index) if isinstance(index, tuple) else [index]
    if parts[:1] == [Ellipsis]:
        parts = [slice(None)] * (x.dim() - len(parts) + 1) + parts[1:]
    if x.dim() != 4 or not all(isinstance(part, slice) for part in parts) or parts[0] != slice(None):
        raise LayerError("it takes single rows, columns or channels out, which the language has no word for")
    parts += [slice(None)] * (4 - len(parts))
    channels, *pixels = parts[1:]
    if all(part == slice(None) for part in pixels):
        return Slice(len(range(*channels.indices(shape[0]))))
    if channels != slice(None) or any(part != slice(None, None, part.step) for part in pixels):
        raise LayerError("it takes a part of each feature map, which the language has no word for")
    stride = (pixels[0].step or 1, pixels[1].step or 1)
    return Skip(shape[0], stride, floor=_left_over(shape, (1, 1), stride, (0, 0)))


Reader = Callable[[Said, Tensor, Shape], Layer]
_POOL = "input kernel_size stride padding"
FUNCTIONS: dict[str, tuple[Reader, str]] = {
    "conv2d": (_conv, "input weight bias stride padding dilation groups"),
    "conv_transpose2d": (_transposed, "input weight bias stride padding output_padding groups dilation"),
    "linear": (_linear, "input weight bias"),
    "max_pool2d": (_pool(mean=False), f"{_POOL} dilation ceil_mode return_indices"),
    "avg_pool2d": (_pool(mean=True), f"{_POOL} ceil_mode count_include_pad divisor_override"),
    "adaptive_avg_pool2d": (_average, "input output_size"),
    "adaptive_max_pool2d": (_average, "input output_size return_indices"),
    "mean": (_mean, "input dim keepdim"),
    "batch_norm": (_batch_norm, "input running_mean running_var weight bias training momentum eps"),
    "layer_norm": (_layer_norm, "input normalized_shape weight bias eps"),
    "group_norm": (_group_norm, "input num_groups weight bias eps"),
    "instance_norm": (_instance_norm, "input running_mean running_var weight bias use_input_stats momentum eps"),
    "interpolate": (_upsample, "input size scale_factor mode align_corners"),
    "pad": (_pad, "input pad mode value"),
    "getitem": (_item, "input index"),
}
"""Name of a function → how its call is read, and its arguments in their order."""


def layer_of(name: str, args: tuple[Any, ...], kwargs: Said, shape: Shape) -> Layer:
    """The layer that a call is, for feature maps of this shape. Raises `LayerError` where it is none."""
    if name not in FUNCTIONS:
        raise LayerError(f"it uses {name}, which the language has no word for")
    read, names = FUNCTIONS[name]
    said = dict(zip(names.split(), args, strict=False)) | kwargs
    return read(said, said["input"], shape)
