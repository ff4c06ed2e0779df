"""Which networks of a fleet are dead, and what became of each of them.

A network is dead when one of its layers does not depend on the input (`Fleet.constant_layers`): all gradients before
that layer are exactly 0.
"""

from typing import Any

import numpy as np
from torch import Tensor

from core.frames import Array
from core.training.fleet import Fleet


def dead(nets: Fleet, grid: Tensor) -> Array:
    """Return which networks have a layer that depends on the input nowhere on the grid (points, inputs), (nets,)."""
    return nets.constant_layers(grid).any(dim=1).cpu().numpy()


def dead_by_layer(nets: Fleet, grid: Tensor) -> Array:
    """Return the share of networks whose first layers, so many, have a constant one among them, (hidden layers,).

    A deep network's first layers are a shallower network: one fleet tells of all depths.
    """
    layers = nets.constant_layers(grid)[:, :-1].cpu().numpy()  # (nets, hidden layers)
    return np.asarray(np.logical_or.accumulate(layers, axis=1).mean(axis=0))


def take_magnitudes(nets: Fleet, others: Fleet) -> None:
    """Give each weight of `nets` the magnitude that it has in `others`; its sign stays."""
    for weight, other in zip(nets.weights, others.weights, strict=True):
        weight.copy_(weight.sign() * other.abs())


def evaluate(nets: Fleet, x: Tensor, y: Tensor, chunk: int) -> tuple[Array, Array]:
    """Return losses on all points, (nets,), and the largest gradient of a weight in each layer, (nets, layers).

    Args:
        nets: to be evaluated.
        x: points (points, inputs).
        y: targets (points, outputs).
        chunk: points that are evaluated at once: thousands of networks on all of them take gigabytes.
    """
    losses: Any = 0
    sums: list[Any] = [0] * len(nets.weights)
    for xs, ys in zip(x.split(chunk), y.split(chunk), strict=True):
        share = len(xs) / len(x)
        losses = losses + share * nets.backward(xs, ys).double()
        sums = [total + share * part for total, part in zip(sums, nets.weight_grads, strict=True)]
    largest = [total.abs().amax(dim=(1, 2)).double().cpu().numpy() for total in sums]
    return losses.cpu().numpy(), np.stack(largest, axis=1)


class Lives:
    """What became of each network since it was initialized, as far as it was looked at.

    Attributes:
        born, now, ever, back: which networks were dead at the first look, are dead at the last one, were dead at any,
            and were alive at a look after one at which they were dead, (nets,) each.
    """

    def __init__(self, nets: Fleet, grid: Tensor) -> None:
        self.nets, self.grid = nets, grid
        self.born = dead(nets, grid)
        self.now, self.ever, self.back = self.born, self.born.copy(), np.zeros_like(self.born)

    def look(self) -> Array:
        """Look at the networks; return which are dead, (nets,)."""
        self.now = dead(self.nets, self.grid)
        self.back |= self.ever & ~self.now
        self.ever |= self.now
        return self.now
