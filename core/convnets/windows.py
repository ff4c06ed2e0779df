"""How often a window fits: the arithmetic of one direction, and the way out where it does not fit."""

from collections.abc import Callable
from dataclasses import dataclass

from core.convnets.counting import Axis, LayerError, Step

Pair = tuple[int, int]
"""Of rows and of columns: a kernel of 1 × 7 is (1, 7)."""


@dataclass(frozen=True)
class Window:
    """A window that slides along one axis.

    Attributes:
        name: the layer, for sentences.
        direction: "wide" or "high".
        size: pixels under it, without holes.
        stride: pixels from one position to the next.
        pad: zeros at each end.
        dilation: pixels from one of its numbers to the next.
        same: pad so that ⌈size / stride⌉ positions come out, as Keras does; `pad` is not used then.
        floor: whether pixels at the end may be left out.
        ceil: whether the last window may hang over the end.
        most_pad: the largest pad that the layer takes, if it has a limit.
        spell_pad: how a pad of this direction is written.
    """

    name: str
    direction: str
    size: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    same: bool = False
    floor: bool = False
    ceil: bool = False
    most_pad: int | None = None
    spell_pad: Callable[[int], str] = str

    @property
    def reach(self) -> int:
        """Pixels from its first number to its last."""
        return self.dilation * (self.size - 1) + 1

    def over(self, axis: Axis) -> Axis:
        """What comes out along this axis. Raises `LayerError` where that is not a whole number of positions."""
        return axis.then(self.positions(axis), Step(self.stride, self.reach))

    def positions(self, axis: Axis) -> int:
        """How often it fits: (n + 2 pad − reach) / stride + 1."""
        if self.same:
            return -(-axis.size // self.stride)
        room = axis.size + 2 * self.pad - self.reach
        if room < 0:
            raise LayerError(self._too_large(axis))
        if room % self.stride and not (self.floor or self.ceil):
            raise LayerError(self._not_whole(axis, room))
        fits = room // self.stride + 1
        # A window may hang over the end, but not begin behind it: PyTorch's rule.
        hangs = self.ceil and room % self.stride and fits * self.stride < axis.size + self.pad
        return fits + 1 if hangs else fits

    def same_pads(self, size: int) -> Pair:
        """Zeros before and behind that `same` takes: where their number is odd, one more behind."""
        fits = -(-size // self.stride)
        both = max(0, (fits - 1) * self.stride + self.reach - size)
        return both // 2, both - both // 2

    def _too_large(self, axis: Axis) -> str:
        padded = f", with padding {axis.size + 2 * self.pad}" if self.pad else ""
        holes = f" its window reaches over {self.reach}," if self.dilation > 1 else ""
        said = f"{self.name} does not fit:{holes} its input is {axis.size} {self.direction}{padded}"
        if axis.fixed:
            return f"{said}, and no image makes it larger; put it before the dense layer or average, or leave it out"
        ways = [f"an input {self.reach - 2 * self.pad} {self.direction} would do"]
        pad = -(-(self.reach - axis.size) // 2)
        if self.most_pad is None or pad <= self.most_pad:
            whole = (axis.size + 2 * pad - self.reach) % self.stride == 0 or self.floor or self.ceil
            ways.insert(0, f"pad {self.spell_pad(pad)}{'' if whole else ' floor'}")
        return f"{said}; {' or '.join(ways)}"

    def _not_whole(self, axis: Axis, room: int) -> str:
        below, above = axis.size - room % self.stride, axis.size - room % self.stride + self.stride
        near = " or ".join(str(size) for size in (below, above) if size >= 1)
        ways = ["the word floor"] if axis.fixed else [f"{near} {self.direction} would do", "the word floor"]
        return (
            f"{self.name} does not divide an input {axis.size} {self.direction}: ({axis.size} + 2·{self.pad} − "
            f"{self.reach}) / {self.stride} + 1 = {room / self.stride + 1:.6g} positions; {', or '.join(ways)}"
        )


@dataclass(frozen=True)
class Unfolding:
    """The window of a transposed convolution: each input writes to as many outputs.

    Attributes: see `Window`; `extra` rows or columns are added at the end (PyTorch's `output_padding`).
    """

    name: str
    direction: str
    size: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    extra: int = 0

    @property
    def reach(self) -> int:
        """Outputs from the first that an input writes to, to the last."""
        return self.dilation * (self.size - 1) + 1

    def over(self, axis: Axis) -> Axis:
        """What comes out: (n − 1) · stride + reach − 2 pad + extra. Raises `LayerError` where that cannot be."""
        if self.extra and self.extra >= max(self.stride, self.dilation):
            raise LayerError(
                f"{self.name}: {self.extra} more at the end (extra, or same with an even kernel) must be fewer than "
                "its stride or dilation, as PyTorch has it"
            )
        size = (axis.size - 1) * self.stride + self.reach - 2 * self.pad + self.extra
        if size < 1:
            raise LayerError(f"{self.name}: its padding leaves nothing {self.direction} of {axis.size}; pad less")
        return axis.then(size, Step(self.stride, self.reach, up=True))
