"""Views of pictures: moved, mirrored and with holes cut out, a whole batch at once on the device.

    pictures = Pictures(x, shape)                                  # uint8, as a data set has them
    holes = Holes(length=12)
    centres = holes.centres(len(rows), shape[1:], chance)
    batch = pictures.views(rows, chance, holes, centres, "crop", mirror=True)     # (len(rows), *shape), new every time

Each row of a batch gets a place, a side and holes of its own. The same row may stand in a batch M times: that is batch
augmentation.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Shift = Literal["crop", "notebook", "none"]
"""How far a picture may move: an eighth of its side either way, with the mean colour at the border (4 of 32 pixels, the
usual random crop); or a tenth, with its edge repeated (whole pixels of what Keras' generator did in notebook 004)."""


def reach(shift: Shift, side: int) -> int:
    """By how many pixels a picture of that side may move, either way."""
    return {"crop": side // 8, "notebook": side // 10, "none": 0}[shift]


@dataclass(frozen=True)
class Holes:
    """Cutout (DeVries & Taylor 2017, arXiv 1708.04552): squares whose *centre* lies anywhere in the picture.

    A square at the border is clipped by it, so the area that is hidden is less than `length`² on average.

    Attributes:
        length: pixels along a side; 0 hides nothing.
        count: how many, which may overlap.
        fill: the mean colour of the set, or black.
    """

    length: int
    count: int = 1
    fill: Literal["mean", "black"] = "mean"

    def centres(self, n: int, shape: tuple[int, int], chance: torch.Generator) -> Tensor:
        """Where the squares of n pictures lie: (n, count, 2), row and column."""
        each = [torch.randint(side, (n, self.count), generator=chance) for side in shape]
        return torch.stack(each, dim=2)

    def hidden(self, centres: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Which pixels are hidden, (n, height, width), of those at `rows` (n, height) and `columns` (n, width)."""
        first = centres - self.length // 2  # (n, count, 2)
        within = [
            (at[:, None] >= begin[..., None]) & (at[:, None] < begin[..., None] + self.length)
            for at, begin in ((rows, first[..., 0]), (columns, first[..., 1]))
        ]
        found: Tensor = (within[0][..., None] & within[1][:, :, None]).any(dim=1)
        return found

    def area(self, height: int, width: int) -> float:
        """The share of a picture that is hidden on average, exactly: over all places of the centres."""
        if self.length == 0:
            return 0.0
        shares = []
        for side in (height, width):
            places = torch.arange(side)
            first = places - self.length // 2
            covered = (places[:, None] >= first) & (places[:, None] < first + self.length)  # (pixels, centres)
            shares.append(covered.double().mean(dim=1))
        seen = 1 - shares[0][:, None] * shares[1]  # the chance that one square leaves a pixel alone
        return float(1 - (seen**self.count).mean())


class Pictures:
    """Pictures of one set on a device, and its mean and spread for each colour.

    Args:
        x: (n, channels · height · width) uint8.
        shape: (channels, height, width).
        like: the pictures whose mean and spread are taken; their own where left out.
    """

    def __init__(self, x: Tensor, shape: tuple[int, int, int], like: "Pictures | None" = None) -> None:
        self.shape = shape
        self.pixels = x.view(-1, *shape).permute(0, 2, 3, 1).contiguous()  # (n, height, width, channels)
        self.mean: Tensor  # (channels,)
        self.spread: Tensor
        self.mean, self.spread = (like.mean, like.spread) if like is not None else _colours(self.pixels)

    def plain(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """As they are, less the mean, over the spread: (rows, channels, height, width)."""
        values: Tensor = (self.pixels[rows].float() - self.mean) / self.spread
        return values.permute(0, 3, 1, 2)

    def views(
        self,
        rows: Tensor,
        chance: torch.Generator,
        holes: Holes,
        centres: Tensor,
        shift: Shift,
        *,
        mirror: bool,
        frozen: bool = False,
    ) -> Tensor:
        """One view for each of `rows`, less the mean, over the spread: (len(rows), channels, height, width).

        Args:
            rows: which pictures; one may stand there several times.
            chance: on the CPU, so that what is drawn is the same on every device.
            holes: what is cut out.
            centres: where, (len(rows), count, 2): of the view, or of the picture where it is `frozen`.
            shift: how far the picture moves.
            mirror: whether left and right are swapped, for one of two.
            frozen: the holes were cut before the picture moved, and move with it.
        """
        n, (channels, height, width), device = len(rows), self.shape, self.pixels.device
        reaches = [reach(shift, side) for side in (height, width)]
        down_by, across_by = (torch.randint(-r, r + 1, (n, 1), generator=chance).to(device) for r in reaches)
        flipped = (torch.rand(n, 1, generator=chance) < (0.5 if mirror else 0.0)).to(device)

        down, across = torch.arange(height, device=device), torch.arange(width, device=device)
        i = down + down_by  # (n, height): the row of the picture from which each row of the view comes
        j = torch.where(flipped, width - 1 - across, across) + across_by  # (n, width)
        blank = torch.zeros(n, height, width, dtype=torch.bool, device=device)  # what shows the mean colour
        if shift == "crop":
            blank |= ((i < 0) | (i >= height))[:, :, None] | ((j < 0) | (j >= width))[:, None]
        i, j = i.clamp_(0, height - 1), j.clamp_(0, width - 1)
        at = (rows[:, None] * height + i)[:, :, None] * width + j[
            :, None
        ]  # (n, height, width): a pixel in all pictures
        view = self.pixels.view(-1, channels)[at.view(-1)].view(n, height, width, channels).float()
        view.sub_(self.mean).mul_(1 / self.spread)
        hidden = torch.zeros((), dtype=torch.bool, device=device)
        if holes.length:
            hidden = holes.hidden(
                centres.to(device), i if frozen else down.expand(n, -1), j if frozen else across.expand(n, -1)
            )
            if frozen:
                hidden &= ~blank  # a hole that was cut before ends with its picture
        if holes.fill == "mean":
            blank |= hidden
        view.mul_(~blank[..., None])
        if holes.fill == "black":
            view = torch.where(hidden[..., None], -self.mean / self.spread, view)
        turned: Tensor = view.permute(0, 3, 1, 2)
        return turned  # in memory the colours of a pixel lie side by side

    def colours(self, views: Tensor) -> Tensor:
        """Views as pictures again: (n, height, width, channels) uint8."""
        values = views.permute(0, 2, 3, 1) * self.spread + self.mean
        return values.round().clamp(0, 255).to(torch.uint8)


def _colours(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and spread of each colour, both (channels,), of (n, height, width, channels)."""
    n, height, width, _ = pixels.shape
    # How often each value occurs: exact, and no copy of all pictures in floats.
    counts = torch.stack([torch.bincount(each.reshape(-1), minlength=256) for each in pixels.unbind(dim=3)]).cpu()
    levels, shares = torch.arange(256).double(), counts.double() / (n * height * width)
    mean = (shares * levels).sum(dim=1)
    spread = (shares * (levels - mean[:, None]).square()).sum(dim=1).sqrt()
    return mean.float().to(pixels.device), (spread + 1e-6).float().to(pixels.device)


def smaller(x: Tensor, by: int) -> Tensor:
    """Pictures whose squares of by × by pixels are averaged; what is left at the far border is averaged alone."""
    return functional.avg_pool2d(x, by, ceil_mode=True) if by > 1 else x
