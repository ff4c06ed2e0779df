"""The task of two lessons: a few noisy points of a curve on an interval, and the networks' initializations.

The notebook does not print its own curve; this one has as much structure.
"""

import numpy as np

from core.frames import Array
from core.nets import INITS, normal

ENDS = (-2.0, 2.0)
GRID = 201  # even points of the interval on which networks are evaluated


def truth(x: Array) -> Array:
    """Return the curve behind the points at `x`, the same shape."""
    return np.asarray(0.5 * np.sin(2 * x) + 0.2 * x)


def grid() -> Array:
    """Return the interval in even steps, (GRID,)."""
    return np.linspace(*ENDS, GRID)


def expected_error(outputs: Array, noise: float) -> Array:
    """Return the squared error to expect of a new noisy point, (...), for outputs on the grid, (..., GRID).

    It is the squared distance to the true curve, averaged over the grid, plus the variance of the noise: what an
    endless test set would give. No set that was drawn has a part in it.
    """
    return np.asarray(((outputs - truth(grid())) ** 2).mean(axis=-1) + noise**2)


def he_with_biases(weight: Array, bias: Array, rng: np.random.Generator) -> None:
    """He, and where the single input enters biases from N(0, 1): with none, every unit has its kink at x = 0."""
    INITS["he"](weight, bias, rng)
    if weight.shape[1] == 1:
        bias[:] = rng.spawn(1)[0].normal(0, 1, bias.shape)


NOTEBOOK_INIT = normal(0.05, biases=True)
