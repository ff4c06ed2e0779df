"""Residual nets for small pictures, as He et al. built them for CIFAR-10 (2016, arXiv 1512.03385).

    net = ResNet(44, channels=3, classes=10)
    net.initialise(torch.Generator().manual_seed(1))
    loss = functional.cross_entropy(net(pictures), labels)     # (batch, channels, side, side) → (batch, classes)

A convolution, then three stages of 16, 32 and 64 maps with (depth − 2) / 6 blocks of two convolutions each; the second
and the third stage begin by halving the side. The mean of each map goes to one dense layer.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Shortcut = Literal["padding", "projection"]
"""What leads past a block that halves the side: every second pixel, with maps of zeros for those that are new (He's
option A, no parameters), or a 1 × 1 convolution, as the example of Keras that notebook 004 follows; that one also gives
its convolutions biases, which the batch norm behind them takes off again."""

STAGES = (16, 32, 64)  # maps


class Block(nn.Module):
    """Two convolutions, with the block's input added to what they give."""

    def __init__(self, maps_in: int, maps: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        bias = shortcut == "projection"
        self.first = nn.Conv2d(maps_in, maps, 3, stride, 1, bias=bias)
        self.first_norm = nn.BatchNorm2d(maps)
        self.second = nn.Conv2d(maps, maps, 3, 1, 1, bias=bias)
        self.second_norm = nn.BatchNorm2d(maps)
        self.stride, self.new = stride, maps - maps_in
        self.past = nn.Conv2d(maps_in, maps, 1, stride) if bias and self.new else None

    def forward(self, x: Tensor) -> Tensor:
        """(batch, maps_in, side, side) → (batch, maps, side / stride, side / stride)."""
        out = functional.relu(self.first_norm(self.first(x)), inplace=True)
        out = self.second_norm(self.second(out))
        if self.past is not None:
            x = self.past(x)
        elif self.new:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return functional.relu(out + x, inplace=True)


class ResNet(nn.Module):
    """A net of `depth` layers with weights that count: 6n + 2, the shortcuts' left out.

    Its numbers are not set before `initialise`, so that building one takes nothing from the global chance.

    Args:
        depth: 8, 14, 20, …
        channels: of a picture.
        classes: how many outputs.
        shortcut: how a block that changes the size hands on its input.
        device: where it lives; "meta" for one that is only counted.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        classes: int,
        shortcut: Shortcut = "padding",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        blocks, left = divmod(depth - 2, 6)
        if left or blocks < 1:
            raise ValueError(f"depth = {depth} is not 6n + 2; 8, 14, 20 … 56 are.")
        with torch.device("meta"):  # the modules' own start would be drawn from the global chance
            self.stem = nn.Conv2d(channels, STAGES[0], 3, 1, 1, bias=shortcut == "projection")
            self.stem_norm = nn.BatchNorm2d(STAGES[0])
            self.blocks, maps_in = nn.Sequential(), STAGES[0]
            for maps in STAGES:
                for i in range(blocks):
                    self.blocks.append(Block(maps_in, maps, 2 if i == 0 and maps != STAGES[0] else 1, shortcut))
                    maps_in = maps
            self.head = nn.Linear(STAGES[-1], classes)
        self.to_empty(device=device)
        # Colours of a pixel side by side: a quarter quicker on a CPU.
        self.to(memory_format=torch.channels_last)

    def initialise(self, chance: torch.Generator) -> None:
        """He's start, N(0, 2 / fan-in) for every weight, drawn on the CPU; no biases; norms that change nothing."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    drawn = torch.randn(module.weight.shape, generator=chance)
                    module.weight.copy_(drawn * (2 / module.weight[0].numel()) ** 0.5)
                    if module.bias is not None:
                        module.bias.zero_()
                elif isinstance(module, nn.BatchNorm2d):
                    module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Scores: (batch, channels, side, side) → (batch, classes)."""
        x = functional.relu(self.stem_norm(self.stem(x)), inplace=True)
        scores: Tensor = self.head(self.blocks(x).mean(dim=(2, 3)))
        return scores


@lru_cache
def size(depth: int, channels: int = 3, classes: int = 10, shortcut: Shortcut = "padding") -> tuple[int, int]:
    """How many numbers such a net trains, and how many it keeps beside them: running means and variances."""
    net = ResNet(depth, channels, classes, shortcut, "meta")
    trained = sum(each.numel() for each in net.parameters())
    return trained, sum(each.numel() for each in net.buffers() if each.is_floating_point())


def multiplications(depth: int, channels: int, side: int, classes: int = 10) -> int:
    """Of one picture on its way through the net with padded shortcuts, each with its addition."""
    blocks = (depth - 2) // 6
    total, maps_in = 9 * channels * STAGES[0] * side**2 + STAGES[-1] * classes, STAGES[0]
    for i, maps in enumerate(STAGES):
        positions = math.ceil(side / 2**i) ** 2
        total += 9 * positions * maps * (maps_in + (2 * blocks - 1) * maps)
        maps_in = maps
    return total
