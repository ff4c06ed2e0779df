"""The layers of the language that see an image through windows or read it whole, and what each adds to the account.

Each layer is written back by `core.convnets.vocabulary`: its `str` is its phrase.
"""

from dataclasses import dataclass

from core.convnets import vocabulary
from core.convnets.counting import Axis, LayerError, Maps, Row, Step
from core.convnets.windows import Pair, Unfolding, Window

ONE: Pair = (1, 1)
NONE: Pair = (0, 0)


class Written:
    """A layer whose text is its phrase in the language."""

    def __str__(self) -> str:
        return vocabulary.write(self)


@dataclass(frozen=True)
class Conv(Written):
    """A convolution: each of its filters makes one channel."""

    filters: int
    size: Pair
    stride: Pair = ONE
    pad: Pair = NONE
    dilation: Pair = ONE
    groups: int = 1
    bias: bool = True
    same: bool = False
    floor: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """A weight is used at every position; a filter reads only the channels of its own group."""
        check_groups(str(self), x.channels, self.filters, self.groups)
        high, wide = windows(self, x)
        out = Maps(self.filters, high.over(x.high), wide.over(x.wide))
        weights = self.filters * (x.channels // self.groups) * self.size[0] * self.size[1]
        biases = self.filters if self.bias else 0
        return [Row(str(self), "conv", out, out.numbers, weights, biases, macs=weights * out.positions)]


@dataclass(frozen=True)
class Depthwise(Written):
    """A convolution with as many groups as channels come in: each filter reads one of them."""

    size: Pair
    stride: Pair = ONE
    pad: Pair = NONE
    dilation: Pair = ONE
    multiplier: int = 1
    bias: bool = True
    same: bool = False
    floor: bool = False

    def conv(self, channels: int) -> Conv:
        """The convolution that it is for so many channels."""
        return Conv(
            channels * self.multiplier,
            self.size,
            self.stride,
            self.pad,
            self.dilation,
            channels,
            self.bias,
            self.same,
            self.floor,
        )

    def rows(self, x: Maps) -> list[Row]:
        """Those of the convolution, under its own name."""
        high, wide = windows(self, x)
        out = Maps(x.channels * self.multiplier, high.over(x.high), wide.over(x.wide))
        weights = out.channels * self.size[0] * self.size[1]
        biases = out.channels if self.bias else 0
        return [Row(str(self), "conv", out, out.numbers, weights, biases, macs=weights * out.positions)]


@dataclass(frozen=True)
class Transposed(Written):
    """A transposed convolution: each input writes a window of outputs, which enlarges the feature maps."""

    filters: int
    size: Pair
    stride: Pair = ONE
    pad: Pair = NONE
    dilation: Pair = ONE
    extra: Pair = NONE
    groups: int = 1
    bias: bool = True
    same: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """A weight is used at every position of the input."""
        check_groups(str(self), x.channels, self.filters, self.groups)
        pad, extra = self.same_pads if self.same else (self.pad, self.extra)
        high, wide = (
            Unfolding(str(self), direction, self.size[i], self.stride[i], pad[i], self.dilation[i], extra[i]).over(axis)
            for i, (direction, axis) in enumerate((("high", x.high), ("wide", x.wide)))
        )
        out = Maps(self.filters, high, wide)
        weights = self.filters * (x.channels // self.groups) * self.size[0] * self.size[1]
        biases = self.filters if self.bias else 0
        return [Row(str(self), "conv", out, out.numbers, weights, biases, macs=weights * x.positions)]

    @property
    def same_pads(self) -> tuple[Pair, Pair]:
        """The pad and the extra rows and columns with which it gives n · stride numbers along n, as Keras does."""
        ends = [d * (k - 1) + 1 - s for k, s, d in zip(self.size, self.stride, self.dilation, strict=True)]
        pads = [max(0, -(-end // 2)) for end in ends]
        return (pads[0], pads[1]), (2 * pads[0] - ends[0], 2 * pads[1] - ends[1])


@dataclass(frozen=True)
class Dense(Written):
    """A dense layer: each unit reads every number that comes in."""

    units: int
    bias: bool = True

    def rows(self, x: Maps) -> list[Row]:
        """Each weight is used once."""
        weights = self.units * x.numbers
        high, wide = (axis.then(1, Step(1, axis.size), fixed=True) for axis in (x.high, x.wide))
        out = Maps(self.units, high, wide)
        biases = self.units if self.bias else 0
        return [Row(str(self), "fc", out, out.numbers, weights, biases, macs=weights)]


@dataclass(frozen=True)
class Pool(Written):
    """The largest, or the mean, of each window: the account is the same."""

    size: Pair
    stride: Pair = NONE  # 0: as long as the window
    pad: Pair = NONE
    same: bool = False
    floor: bool = False
    ceil: bool = False
    mean: bool = False

    @property
    def steps(self) -> Pair:
        """Its stride, where it says none the size of the window."""
        return self.stride[0] or self.size[0], self.stride[1] or self.size[1]

    def rows(self, x: Maps) -> list[Row]:
        """Nothing to train."""
        for size, pad in zip(self.size, self.pad, strict=True):
            if pad > size // 2:
                raise LayerError(f"{self}: windows of {size} take a padding of {size // 2} at most")
        high, wide = windows(self, x)
        out = Maps(x.channels, high.over(x.high), wide.over(x.wide))
        return [Row(str(self), "pool", out, out.numbers)]


@dataclass(frozen=True)
class Average(Written):
    """The mean of each channel, whatever its size, or the means of so many equal parts (PyTorch's adaptive pool)."""

    size: Pair = ONE

    def rows(self, x: Maps) -> list[Row]:
        """Part i of m reaches from pixel ⌊i n / m⌋ to ⌈(i + 1) n / m⌉."""
        high, wide = (_parts(axis, m) for axis, m in zip((x.high, x.wide), self.size, strict=True))
        out = Maps(x.channels, high, wide)
        return [Row(str(self), "pool", out, out.numbers)]


def _parts(axis: Axis, parts: int) -> Axis:
    n = axis.size
    reach = max(-(-(i + 1) * n // parts) - i * n // parts for i in range(parts))
    return axis.then(parts, Step(max(1, -(-n // parts)), reach), fixed=True)


def check_groups(name: str, channels: int, filters: int, groups: int) -> None:
    """Raise `LayerError` where groups divide neither the channels that come in nor those that go out."""
    for what, number in (("channels that come in", channels), ("filters", filters)):
        if number % groups:
            raise LayerError(f"{name}: {number} {what} do not split into {groups} groups; groups must divide them")


def windows(layer: Conv | Depthwise | Pool, x: Maps) -> tuple[Window, Window]:
    """Its windows from top to bottom and from left to right."""
    pool = isinstance(layer, Pool)
    stride = layer.steps if isinstance(layer, Pool) else layer.stride
    dilation = ONE if isinstance(layer, Pool) else layer.dilation
    square = x.height == x.width and all(a == b for a, b in (layer.size, stride, layer.pad, dilation))

    def one(i: int, direction: str) -> Window:
        def pair(pad: int) -> str:
            return f"{pad}x{layer.pad[1]}" if i == 0 else f"{layer.pad[0]}x{pad}"

        return Window(
            str(layer),
            direction,
            layer.size[i],
            stride[i],
            layer.pad[i],
            dilation[i],
            layer.same,
            layer.floor,
            ceil=layer.ceil if isinstance(layer, Pool) else False,
            most_pad=layer.size[i] // 2 if pool else None,
            spell_pad=str if square else pair,
        )

    return one(0, "wide" if square else "high"), one(1, "wide")


@dataclass(frozen=True)
class Upsample(Written):
    """Each pixel several times, or values between them: nothing to train."""

    factor: Pair

    def rows(self, x: Maps) -> list[Row]:
        """As large as a transposed convolution whose windows do not overlap."""
        high, wide = (
            axis.then(axis.size * factor, Step(factor, factor, up=True))
            for axis, factor in zip((x.high, x.wide), self.factor, strict=True)
        )
        out = Maps(x.channels, high, wide)
        return [Row(str(self), "shape", out, out.numbers)]


@dataclass(frozen=True)
class ZeroPad(Written):
    """Zeros around, as a layer of its own."""

    pad: Pair

    def rows(self, x: Maps) -> list[Row]:
        """Nothing to train."""
        high, wide = (
            axis.then(axis.size + 2 * p, Step(1, 1)) for axis, p in zip((x.high, x.wide), self.pad, strict=True)
        )
        out = Maps(x.channels, high, wide)
        return [Row(str(self), "shape", out, out.numbers)]


@dataclass(frozen=True)
class Slice(Written):
    """Some of the channels: what each half of a ShuffleNet unit reads."""

    channels: int

    def rows(self, x: Maps) -> list[Row]:
        """A view: it keeps no number of its own."""
        if self.channels > x.channels:
            raise LayerError(f"{self}: only {x.channels} channels come in; ask for so many at most")
        return [Row(str(self), "shape", Maps(self.channels, x.high, x.wide), 0)]


@dataclass(frozen=True)
class Skip(Written):
    """He et al.'s shortcut A: pixels are left out, and channels of zeros are added until there are enough."""

    filters: int
    stride: Pair = ONE
    floor: bool = False

    def rows(self, x: Maps) -> list[Row]:
        """Nothing to train, nothing to multiply."""
        if self.filters < x.channels:
            raise LayerError(f"{self}: {x.channels} channels come in, and it can only add some; ask for more")
        high, wide = (
            Window(str(self), direction, 1, stride, floor=self.floor).over(axis)
            for direction, stride, axis in zip(("high", "wide"), self.stride, (x.high, x.wide), strict=True)
        )
        out = Maps(self.filters, high, wide)
        return [Row(str(self), "shape", out, out.numbers)]
