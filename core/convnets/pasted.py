"""Lines of PyTorch and Keras in a text: `nn.Conv2d(3, 16, 5, padding=2)` becomes a phrase of the language."""

import ast
import re

from core.convnets.counting import LayerError
from core.knobs import clip

_POOL = ("size", "stride", "pad")
ARGUMENTS = {
    "Conv2d": ("", "filters", "size", "stride", "pad", "dilation", "groups", "bias"),
    "ConvTranspose2d": ("", "filters", "size", "stride", "pad", "extra", "groups", "bias", "dilation"),
    "Linear": ("", "units", "bias"),
    "LazyConv2d": ("filters", "size", "stride", "pad", "dilation", "groups", "bias"),
    "LazyLinear": ("units", "bias"),
    "MaxPool2d": _POOL,
    "AvgPool2d": _POOL,
    "AdaptiveAvgPool2d": ("size",),
    "AdaptiveMaxPool2d": ("size",),
    "BatchNorm2d": ("", "", "", ""),
    "BatchNorm1d": ("", "", "", ""),
    "LayerNorm": ("", "", ""),
    "GroupNorm": ("groups", ""),
    "InstanceNorm2d": ("",),
    "ZeroPad2d": ("pad",),
    "Upsample": ("", "factor"),
    "Conv2D": ("filters", "size", "stride", "pad"),
    "Conv2DTranspose": ("filters", "size", "stride", "pad"),
    "DepthwiseConv2D": ("size", "stride", "pad"),
    "SeparableConv2D": ("filters", "size", "stride", "pad"),
    "Dense": ("units",),
    "MaxPooling2D": _POOL,
    "MaxPool2D": _POOL,
    "AveragePooling2D": _POOL,
    "ZeroPadding2D": ("pad",),
    "UpSampling2D": ("factor",),
    "BatchNormalization": (),
    "LayerNormalization": (),
    "GroupNormalization": ("groups",),
    "GlobalAveragePooling2D": (),
    "GlobalMaxPooling2D": (),
}
"""Arguments of each in their order; "" is one that follows from what comes in, or moves no count."""

NO_COUNT = frozenset(
    """
    activation name input_shape input_dim in_channels in_features num_features num_channels kernel_initializer
    bias_initializer kernel_regularizer depthwise_initializer inplace eps momentum epsilon axis device dtype
    padding_mode data_format return_indices count_include_pad normalized_shape mode align_corners interpolation
    trainable rate p track_running_stats
    """.split()
)
"""Arguments by name that move no count."""

AROUND = re.compile(r"(?:\w+\.)*(?:Sequential|add|append)\s*(?=\()")
ASSIGNED = re.compile(r"^[ \t]*(?:self\.)?\w+[ \t]*=(?!=)[ \t]*", re.MULTILINE)
CALL = re.compile(r"(?<![\w.])(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)\(")


def phrases_of_calls(text: str) -> str:
    """The text with each call of a layer's class as a phrase; what is no call stays as it is.

    Raises:
        LayerError: an argument is no literal number.
    """
    if "(" not in text:
        return text
    text, out, at = ASSIGNED.sub("", AROUND.sub("", text)), "", 0
    for found in CALL.finditer(text):
        if found.start() < at:
            continue
        end = _closing(text, found.end())
        if end is None or any(sign in text[found.end() : end] for sign in "|+*"):
            continue
        out += text[at : found.start()] + _phrase(found[1], text[found.end() : end])
        at = end + 1
    return out + text[at:]


def _closing(text: str, start: int) -> int | None:
    """Where the bracket that opened ahead of `start` is closed."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None


def _phrase(name: str, arguments: str) -> str:
    if name not in ARGUMENTS:  # an activation, or a name that the reader of phrases answers
        return f"{name} "
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LayerError(
            f"{name}({clip(arguments)}) is no call that Python reads; write it like conv 16 5x5"
        ) from error
    assert isinstance(call, ast.Call)
    titles = ARGUMENTS[name]
    if len(call.args) > len(titles):
        raise LayerError(f"{name}({clip(arguments)}) has more arguments than {name} takes; leave some out")
    said = [name]
    for title, value in zip(titles, call.args, strict=False):
        said += _argument(name, title, value)
    for keyword in call.keywords:
        if keyword.arg not in NO_COUNT:
            said += _argument(name, str(keyword.arg), keyword.value)
    if name in ("MaxPooling2D", "MaxPool2D", "AveragePooling2D") and len(said) == 1:
        said.append("2")  # Keras' default
    return " ".join(said)


def _argument(name: str, title: str, value: ast.expr) -> list[str]:
    if title == "":
        return []
    try:
        found = ast.literal_eval(value)
    except ValueError as error:
        raise LayerError(
            f"{name}: {clip(ast.unparse(value))} is a name whose value is not known here; write a number for {title}"
        ) from error
    if found is None:
        return []
    if isinstance(found, tuple | list):
        return [title, "x".join(map(str, found))]
    return [title, str(found)]
