"""Lines w·x = 0 in the plane: learned one point at a time, many at once, and the line of maximum margin."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from core.frames import Array
from core.training.jit import compiled


def learn(w: Array, x: Array, y: Array, rates: Array, margins: Array, notebook: bool, epochs: int) -> NDArray[np.int64]:
    """Go through the points of each training set `epochs` times, always in their order, and move w in place.

    Args:
        w: weights (sets, rules, rates, 2).
        x: points (sets, points, 2).
        y: labels (sets, points).
        rates: learning rates (rates,).
        margins: by how much a point must be right to be left alone, (rules,); 0 is the perceptron.
        notebook: whether to learn by the notebook's program instead; its second rule is what it calls hinge.
        epochs: how often.

    Returns:
        The number of points that moved the weights in the last epoch, (sets, rules, rates).
    """
    moved = np.zeros(w.shape[:3], np.int64)
    for s, rule, rate in np.ndindex(moved.shape):
        w1, w2 = w[s, rule, rate]
        for _ in range(epochs):
            count = 0
            for n in range(x.shape[1]):
                score = w1 * x[s, n, 0] + w2 * x[s, n, 1]
                if notebook:
                    step = y[s, n] - np.sign(score)
                    if rule == 1 and step == 0 and 1 - np.sign(score) > 0:
                        step = y[s, n]
                else:  # minus the slope of max(0, margin − y · score), at its kink too: or zero weights never move
                    step = y[s, n] if y[s, n] * score <= margins[rule] else 0.0
                if step != 0:
                    w1 += rates[rate] * step * x[s, n, 0]
                    w2 += rates[rate] * step * x[s, n, 1]
                    count += 1
            moved[s, rule, rate] = count
            if count == 0:  # no point moves these weights, and none ever will
                break
        w[s, rule, rate, 0], w[s, rule, rate, 1] = w1, w2
    return moved


def pulling(w: Array, x: Array, y: Array, margins: Array, notebook: bool) -> Array:
    """Return the share of each set's points that would move its weights (sets, rules, 2) now, (rules, sets)."""
    moved = compiled(learn)(w[:, :, None].copy(), x, y, np.zeros(1), margins, notebook, 1)
    return np.asarray(moved[:, :, 0].T / x.shape[1])


def max_margin(x: Array, y: Array) -> Array:
    """Return the shortest w (2,) with y w·x ≥ 1 for all points (points, 2): its line has the largest margin, 1/‖w‖.

    Solved as a least-distance problem by non-negative least squares: Lawson and Hanson, "Solving Least Squares
    Problems", 1974, chapter 23. Some line through the origin must separate the points.
    """
    constraints = np.vstack([y * x.T, np.ones(len(y))])  # (2 + 1, points)
    target = np.array([0.0, 0.0, 1.0])
    residual = constraints @ nnls(constraints, target)[0] - target
    return np.asarray(-residual[:2] / residual[2])


def correct(w: Array, x: Array, y: Array) -> NDArray[np.int16]:
    """Count the points (sets, points, 2) whose label w (sets, rules, 2) predicts by its sign: (rules, sets)."""
    right = np.sign(x @ w.transpose(0, 2, 1)) == y[..., None]  # (sets, points, rules)
    return np.asarray(right.sum(axis=1, dtype=np.int16).T)


def boundaries(w: Array) -> Array:
    """Return where lines w·x = 0, (lines, 2), stand at x₁ = 0 and x₁ = 1, and a gap after each: (3 · lines,).

    A line that does not cross the unit square is a gap.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = -w[:, 0] / w[:, 1]
    slope = np.where((slope >= 0) & np.isfinite(slope), slope, np.nan)
    return np.stack([0 * slope, np.minimum(slope, 1000), slope * np.nan], axis=1).ravel().astype(np.float32)


def disagreement(votes: NDArray[np.bool_]) -> Array:
    """Return how often two of all sets classify a point differently: votes (rules, sets, points) to (rules,).

    nan where there is one set only.
    """
    sets, share = votes.shape[1], votes.mean(axis=1)  # (rules, points)
    return np.asarray((2 * share * (1 - share)).mean(axis=1) * (sets / (sets - 1) if sets > 1 else np.nan))
