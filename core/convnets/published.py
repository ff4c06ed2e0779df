"""Networks that the lesson counts, as their papers and libraries have them, in the language."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.convnets.counting import Axis, Maps, Row, account
from core.convnets.reading import read


@dataclass(frozen=True)
class Design:
    """A network and the image that it was made for.

    Attributes:
        text: its layers, in the language.
        channels: of the image, or of what comes in inside of a larger network.
        height: pixels from top to bottom.
        width: pixels from left to right; 0 where it is square.
        torchvision: the model of torchvision that is the same network, if there is one.
    """

    text: str
    channels: int
    height: int
    width: int = 0
    torchvision: str = ""

    @property
    def image(self) -> Maps:
        """What comes in."""
        return Maps(self.channels, Axis(self.height), Axis(self.width or self.height))

    def rows(self) -> tuple[Row, ...]:
        """Its account. Raises `LayerError`."""
        return _account(self.text, self.channels, self.height, self.width)


@functools.lru_cache(maxsize=128)
def _account(text: str, channels: int, height: int, width: int) -> tuple[Row, ...]:
    return tuple(account(read(text), channels, height, width))


def alexnet(grouped: str = "", dense: str = "") -> str:
    """Krizhevsky et al. 2012; `grouped` is said of the convolutions that they split over two cards."""
    return (
        f"conv 96 11x11 stride 4, pool 3x3 stride 2, conv 256 5x5 pad 2 {grouped}, pool 3x3 stride 2,"
        f"conv 384 3x3 pad 1, conv 384 3x3 pad 1 {grouped}, conv 256 3x3 pad 1 {grouped}, pool 3x3 stride 2,"
        f"fc 4096 {dense}, fc 4096 {dense}, fc 1000 {dense}"
    )


def vgg19(also: str = "") -> str:
    """Simonyan and Zisserman 2015, their network E; `also` is said of every layer with weights."""
    blocks = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
    convolutions = "".join(f"{times} × conv {c} 3x3 pad 1 {also}, pool 2," for c, times in blocks)
    return convolutions + ",".join(f"fc {units} {also}" for units in (4096, 4096, 1000))


def inception(one: int, to_three: int, three: int, to_five: int, five: int, pooled: int) -> str:
    """A module of GoogLeNet (Szegedy et al. 2015); without `to_…` the naive one, whose pool keeps its channels."""
    if not to_three:
        return f"(conv {one} 1x1 | conv {three} 3x3 pad 1 | conv {five} 5x5 pad 2 | pool 3x3 stride 1 pad 1)"
    return (
        f"(conv {one} 1x1 | conv {to_three} 1x1, conv {three} 3x3 pad 1 | conv {to_five} 1x1, conv {five} 5x5 pad 2"
        f"| pool 3x3 stride 1 pad 1, conv {pooled} 1x1)"
    )


def resnet(blocks: int, bias: str, shortcut: str) -> str:
    """He et al. 2016 for CIFAR-10, 6 · blocks + 2 layers; where maps get fewer and smaller, `shortcut` leads past."""

    def stage(c: int, stride: int) -> str:
        second = f"conv {c} 3x3 pad 1 {bias}, norm"
        first = f"(conv {c} 3x3 stride {stride} pad 1 floor {bias}, norm, {second} + {shortcut.format(c)})"
        alike = f"(conv {c} 3x3 pad 1 {bias}, norm, {second} +)"
        if stride == 1:
            return f"{blocks} × {alike}"
        return f"{first}, {blocks - 1} × {alike}" if blocks > 1 else first

    stages = ", ".join(stage(c, min(c // 16, 2)) for c in (16, 32, 64))
    return f"conv 16 3x3 pad 1 {bias}, norm, {stages}, average, fc 10"


NETS: Mapping[str, Design] = {
    "AlexNet": Design(alexnet(), 3, 227),
    "AlexNet two groups": Design(alexnet(grouped="groups 2"), 3, 227),
    "AlexNet torchvision": Design(
        "conv 64 11x11 stride 4 pad 2 floor, pool 3x3 stride 2, conv 192 5x5 pad 2, pool 3x3 stride 2,"
        "conv 384 3x3 pad 1, conv 256 3x3 pad 1, conv 256 3x3 pad 1, pool 3x3 stride 2, fc 4096, fc 4096, fc 1000",
        3,
        224,
        torchvision="alexnet",
    ),
    "VGG19": Design(vgg19(), 3, 224, torchvision="vgg19"),
    "LeNet-5": Design("conv 6 5x5, pool 2, conv 16 5x5, pool 2, conv 120 5x5, fc 84, fc 10", 1, 32),
    "ResNet-44": Design(resnet(7, "no bias", "skip {} stride 2 floor"), 3, 32),
    "ResNet-44 Keras": Design(resnet(7, "", "conv {} 1x1 stride 2 floor"), 3, 32),
    "Inception 3a naive": Design(inception(64, 0, 128, 0, 32, 0), 192, 28),
    "Inception 3a": Design(inception(64, 96, 128, 16, 32, 32), 192, 28),
    "Inception 3b naive": Design(inception(128, 0, 192, 0, 96, 0), 256, 28),
    "Inception 3b": Design(inception(128, 128, 192, 32, 96, 64), 256, 28),
}
NOTEBOOKS: Mapping[str, Design] = {
    "AlexNet": Design(alexnet(dense="no bias"), 3, 227),
    "VGG19": Design(vgg19("no bias"), 3, 224),
    "Inception 3b naive": Design(NETS["Inception 3b naive"].text, 256, 32),
    "Inception 3b": Design(NETS["Inception 3b"].text, 256, 32),
}
"""What the notebook counted, where it differs."""

Name = Literal[
    "your net",
    "AlexNet",
    "AlexNet two groups",
    "AlexNet torchvision",
    "VGG19",
    "ResNet-44",
    "ResNet-44 Keras",
    "LeNet-5",
    "Inception 3a naive",
    "Inception 3a",
    "Inception 3b naive",
    "Inception 3b",
]
"""What may be counted side by side, in the order of its colours."""
