"""Layers that leave the size of what comes in as it is: normalisations and scales."""

from dataclasses import dataclass

from core.convnets.counting import LayerError, Maps, Row
from core.convnets.layers import Written


@dataclass(frozen=True)
class Norm(Written):
    """Batch norm: a scale and a shift for each channel, and the mean and variance that it keeps for later."""

    def rows(self, x: Maps) -> list[Row]:
        """Its multiplications are few, and vanish into the convolution once training is over: not counted."""
        return [Row(str(self), "norm", x, x.numbers, x.channels, x.channels, statistics=2 * x.channels)]


@dataclass(frozen=True)
class LayerNorm(Written):
    """Layer norm over the channels of each pixel, as ConvNeXt and Keras have it: a scale and a shift for each."""

    def rows(self, x: Maps) -> list[Row]:
        """Nothing is kept for later."""
        return [Row(str(self), "norm", x, x.numbers, x.channels, x.channels)]


@dataclass(frozen=True)
class GroupNorm(Written):
    """Group norm: each group of channels of each image by its own mean and variance."""

    groups: int

    def rows(self, x: Maps) -> list[Row]:
        """A scale and a shift for each channel."""
        if x.channels % self.groups:
            raise LayerError(f"{self}: {x.channels} channels do not split into {self.groups} groups")
        return [Row(str(self), "norm", x, x.numbers, x.channels, x.channels)]


@dataclass(frozen=True)
class InstanceNorm(Written):
    """Instance norm: each channel of each image by its own mean and variance; nothing is trained, as in PyTorch."""

    def rows(self, x: Maps) -> list[Row]:
        """Activations alone."""
        return [Row(str(self), "norm", x, x.numbers)]


@dataclass(frozen=True)
class Scale(Written):
    """One trained factor for each channel: ConvNeXt's layer scale."""

    def rows(self, x: Maps) -> list[Row]:
        """No bias."""
        return [Row(str(self), "norm", x, x.numbers, x.channels)]
