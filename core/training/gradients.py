"""How large the gradients of a fleet's networks are, layer by layer, and by what a layer multiplies them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from core.frames import Array
from core.training.fleet import Fleet


class Sizes(NamedTuple):
    """How large the gradients of some networks are: medians over them.

    Attributes:
        weights: the largest |gradient| of a weight in each layer, (layers,).
        errors: the root mean square of the error that backpropagation carries to each layer, over its units and the
            examples, (layers,).
        ratio: the first layer's largest gradient over the last layer's.
    """

    weights: Array
    errors: Array
    ratio: float


def measure(nets: Fleet, x: Tensor, y: Tensor) -> Sizes:
    """Return the sizes of the gradients on these examples, (examples, inputs) and (examples, outputs)."""
    nets.backward(x.to(nets.dtype), y.to(nets.dtype))
    weights = largest(nets)
    errors = np.stack([error.square().mean(dim=(1, 2)).sqrt().numpy() for error in nets.errors()], axis=1)
    first, last = weights[:, :1], weights[:, -1:]
    ratios = np.divide(first, last, out=np.full_like(first, np.nan), where=last > 0)  # a dead network has none
    return Sizes(middle(weights), middle(errors), float(middle(ratios)[0]))


def largest(nets: Fleet) -> Array:
    """Return the largest |gradient| of a weight, (nets, layers)."""
    return np.stack([g.abs().amax(dim=(1, 2)).double().cpu().numpy() for g in nets.weight_grads], axis=1)


def middle(values: Array) -> Array:
    """Return the median over networks (nets, ...) of those that are numbers throughout; nan where there is none."""
    kept = values[np.isfinite(values).reshape(len(values), -1).all(axis=1)]
    return np.median(kept, axis=0) if len(kept) else np.full(values.shape[1:], np.nan)


def padded(rows: Sequence[Array]) -> Array:
    """Return rows of unequal length as one array, nan where a row has ended."""
    table = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def gain(sizes: Array, *, skip: int = 1) -> float | None:
    """Return by what each layer multiplies what passes back through it: a straight line is fitted to its logarithm.

    Args:
        sizes: by layer, (layers,), the output layer last.
        skip: layers at the input that are left out, besides the output layer: other layers have other shapes.
    """
    slope = _line(sizes, skip)
    return None if slope is None else 10 ** -slope[0]


def straight(sizes: Array) -> Array:
    """Return the fitted line at the layers that it was fitted to, nan at the others."""
    fitted = np.full(len(sizes), np.nan)
    line = _line(sizes, 1)
    if line is not None:
        layers = np.arange(1, len(sizes) - 1)
        fitted[layers] = 10.0 ** (line[0] * layers + line[1])
    return fitted


def _line(sizes: Array, skip: int) -> tuple[float, float] | None:
    inner = sizes[skip:-1]
    if len(inner) < 2 or not (np.isfinite(inner) & (inner > 0)).all():
        return None
    slope, start = np.polyfit(np.arange(skip, skip + len(inner)), np.log10(inner), 1)
    return float(slope), float(start)


def activity(nets: Fleet, x: Tensor, shown: int, units: int, quantiles: Sequence[float]) -> Array:
    """Return quantiles of the activations of each hidden layer, and how far x moves a unit, (quantiles + 1, layers).

    The last row is the root mean square over units of the standard deviation over x.

    Args:
        nets: the first `shown` of them are looked at,
        x: on these examples, (examples, inputs),
        shown: networks,
        units: and of each layer the first units.
        quantiles: 0 … 1.
    """
    found = []
    for layer in nets.layers(x, training=True)[:-1]:
        a = layer.after[:shown, :, :units].double().cpu().numpy()  # (shown, points, units)
        whole = np.isfinite(a).all()
        gap = [np.nan] * (len(quantiles) + 1)
        found.append([*np.quantile(a, quantiles), np.sqrt(a.var(axis=1).mean())] if whole else gap)
    return np.array(found, dtype="f4").T
