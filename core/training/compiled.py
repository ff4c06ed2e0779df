"""A small regression net's step, as plain loops and BLAS calls that numba compiles. Imported only where numba is.

Hidden layers are ReLU, perhaps followed by batch norm; the output is one linear unit, the loss the mean of squares.
What takes some thirty passes over the activations elsewhere takes two per layer here: one on the way up (bias, ReLU)
and one on the way down (batch norm, ReLU, the bias's sum). All else are matrix products.

Batch norm costs one pass for its statistics and no other. With n = c·(a - mean) + β and c = γ/sd, the next layer needs
no n: nW + b = a(cW) + (b + (β - c·mean)W). On the way down its gradient asks for two sums over the batch, and these
follow from what the next layer has anyway, its aᵀδ and Σδ: Σg = WΣδ, and Σg·(a - mean) is the row sum of
W∘(aᵀδ - mean·Σδ).

Rows are examples: activations (rows, width), weights (fan_in, fan_out); everything is float32. A net is two flat
arrays and its sizes: `weights`, by layer the matrix and then the bias, and `norms` (6, hidden units): γ, β, mean and
1/sd of the newest batch, running mean and variance; (6, 0) without batch norm.
"""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

EPS, MOMENTUM = np.float32(1e-5), np.float32(0.1)  # of batch norm, PyTorch's
RULES = ("sgd", "momentum", "nesterov", "adam", "nadam")
ZERO = np.float32(0)
# The liberties that vector instructions need. Not "nnan" and "ninf": nan must stay what it is.
FAST = {"reassoc", "contract", "nsz", "arcp", "afn"}


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled at its first call; kept on disk where there is a place for it."""
    settings: Any = {"fastmath": FAST, "error_model": "numpy", "nogil": True}
    try:
        compiled: Callable[..., Any] = numba.njit(function, cache=True, **settings)
    except RuntimeError:  # no folder to keep it in
        compiled = numba.njit(function, **settings)
    return compiled


# ---- up ----------------------------------------------------------------------------------------------------------


@_compile
def first_layer(x: Array, weight: Array, bias: Array, a: Array) -> None:
    """The first layer's ReLU, row by row: with so few inputs quicker than a matrix product."""
    for n in range(len(x)):
        row = a[n]
        for k in range(len(bias)):
            row[k] = bias[k]
        for i in range(x.shape[1]):
            value, column = x[n, i], weight[i]
            for k in range(len(bias)):
                row[k] += value * column[k]
        for k in range(len(bias)):
            if row[k] < 0:  # rather than max(): nan stays nan
                row[k] = ZERO


@_compile
def lift(bias: Array, a: Array) -> None:
    """Bias and ReLU on a matrix product, in place."""
    for n in range(len(a)):
        row = a[n]
        for k in range(len(bias)):
            z = row[k] + bias[k]
            row[k] = ZERO if z < 0 else z


@_compile
def take_statistics(a: Array, norm: Array) -> None:
    """Mean and 1/sd of each unit over the batch a, (rows, units), into its layer's norm; the running ones follow."""
    rows, units = a.shape
    total, square = np.zeros(units), np.zeros(units)  # float64: small differences of large sums
    for n in range(rows):
        for k in range(units):
            value = np.float64(a[n, k])
            total[k] += value
            square[k] += value * value
    for k in range(units):
        mean = total[k] / rows
        variance = max(square[k] / rows - mean * mean, 0.0)
        norm[2, k], norm[3, k] = mean, 1 / math.sqrt(variance + EPS)
        norm[4, k] += MOMENTUM * (np.float32(mean) - norm[4, k])
        norm[5, k] += MOMENTUM * (np.float32(variance * rows / max(rows - 1, 1)) - norm[5, k])


@_compile
def fold(norm: Array, matrix: Array, bias: Array) -> None:
    """Take the batch norm before a layer into its matrix (fan_in, fan_out) and bias, in place."""
    for i in range(norm.shape[1]):
        scale, row = norm[0, i] * norm[3, i], matrix[i]
        shift = norm[1, i] - scale * norm[2, i]
        for k in range(len(bias)):
            bias[k] += shift * row[k]
            row[k] *= scale


# ---- down --------------------------------------------------------------------------------------------------------


@_compile
def head(a: Array, y: Array, batch: int, weight: Array, bias: float, delta: Array, grad: Array) -> tuple[float, Any]:
    """The output unit there and back: row by row, so that each row of a is read once.

    Args:
        a: what enters it, (rows, width).
        y: the targets, (rows,).
        batch: examples in the whole batch.
        weight: of the unit, the batch norm before it folded in.
        bias: likewise.
        delta: filled with the gradient with respect to a, (rows, width).
        grad: filled with that of `weight`, of these rows.

    Returns:
        The sum of squared errors and the gradient of the bias.
    """
    squares, total = 0.0, ZERO
    grad[:] = 0
    for n in range(len(a)):
        row, below, guess = a[n], delta[n], np.float32(bias)
        for k in range(len(weight)):
            guess += row[k] * weight[k]
        error = guess - y[n]
        squares += error * error
        pull = np.float32(2) * error / np.float32(batch)
        total += pull
        for k in range(len(weight)):
            grad[k] += pull * row[k]
        for k in range(len(weight)):
            below[k] = pull * weight[k]
    return squares, total


@_compile
def collect(
    product: Array, sums: Array, matrix: Array, norm: Array, grad: Array, bias_grad: Array, norm_grad: Array
) -> None:
    """Add a layer's gradient, and set that of the batch norm before it.

    Args:
        product: aᵀδ, (fan_in, fan_out).
        sums: Σδ, (fan_out,).
        matrix: the layer's own weights, nothing folded in.
        norm: of the layer below, (6, fan_in) or (6, 0).
        grad: of `matrix`, added to.
        bias_grad: likewise.
        norm_grad: (2, fan_in), set; or (2, 0).
    """
    for k in range(len(sums)):
        bias_grad[k] += sums[k]
    if norm.shape[1] == 0:
        grad += product
        return
    for i in range(len(product)):
        mean, inverse, beta, scale = norm[2, i], norm[3, i], norm[1, i], norm[0, i] * norm[3, i]
        new, row, to = product[i], matrix[i], grad[i]
        by_gamma, by_beta = ZERO, ZERO
        for k in range(len(sums)):
            centred = new[k] - mean * sums[k]
            by_gamma += row[k] * centred
            by_beta += row[k] * sums[k]
            to[k] += scale * centred + beta * sums[k]
        norm_grad[0, i] = by_gamma * inverse
        norm_grad[1, i] = by_beta


@_compile
def descend(a: Array, delta: Array, norm: Array, norm_grad: Array, sums: Array) -> None:
    """Turn the gradient with respect to what the next layer takes for a into that before the ReLU; its sums too.

    Args:
        a: what left the ReLU, (rows, width).
        delta: of the same shape, in place.
        norm: of this layer.
        norm_grad: likewise.
        sums: filled with the sums of δ over the rows, (width,).
    """
    rows, width = a.shape
    shift, slope = np.zeros(norm.shape[1], np.float32), np.zeros(norm.shape[1], np.float32)
    for k in range(norm.shape[1]):
        scale = norm[0, k] * norm[3, k] / np.float32(rows)
        slope[k] = scale * norm[3, k] * norm_grad[0, k]
        shift[k] = scale * norm_grad[1, k] - slope[k] * norm[2, k]
    sums[:] = 0
    for n in range(rows):
        row, g = a[n], delta[n]
        for k in range(norm.shape[1]):
            g[k] -= shift[k] + slope[k] * row[k]
        for k in range(width):
            g[k] = g[k] if row[k] > 0 else ZERO
            sums[k] += g[k]


@_compile
def first_gradient(x: Array, delta: Array, grad: Array) -> None:
    """Add the first layer's xᵀδ to grad (inputs, width), row by row."""
    for n in range(len(x)):
        for i in range(x.shape[1]):
            value, to, g = x[n, i], grad[i], delta[n]
            for k in range(len(g)):
                to[k] += value * g[k]


# ---- a whole net -------------------------------------------------------------------------------------------------


@_compile
def matrix_of(flat: Array, at: int, rows: int, columns: int) -> Array:
    """A view of flat memory as (rows, columns)."""
    return flat[at : at + rows * columns].reshape(rows, columns)


@_compile
def gradient(
    x: Array, y: Array, rows: int, sizes: Array, weights: Array, norms: Array, grads: Array, norm_grads: Array,
    used: Array, acts: Array, deltas: Array, product: Array,
) -> float:  # fmt: skip
    """The mean of squares over the batch (x, y); its gradient goes to `grads` and `norm_grads`.

    Args:
        x: the examples of the batch, (batch, inputs).
        y: their targets, (batch,).
        rows: examples taken at a time, so that they stay in the cache; the batch itself where batch norm needs it.
        sizes: widths, inputs and the one output included.
        weights: of the net.
        norms: likewise.
        grads: filled, as `weights`.
        norm_grads: filled, as the first two rows of `norms`.
        used: scratch, as `weights`.
        acts: scratch, rows · hidden units.
        deltas: scratch, (2, rows · widest layer).
        product: scratch, as the largest matrix.
    """
    last, batch, normed = len(sizes) - 2, len(x), norms.shape[1] > 0
    grads[:], used[:] = 0, weights
    squares = 0.0
    for start in range(0, batch, rows):
        part, truth = x[start : start + rows], y[start : start + rows]
        m = len(part)
        at, unit = 0, 0  # where the layer's weights and the units it makes begin
        for l in range(last):
            fan_in, fan_out = sizes[l], sizes[l + 1]
            bias = used[at + fan_in * fan_out : at + (fan_in + 1) * fan_out]
            matrix, a = matrix_of(used, at, fan_in, fan_out), matrix_of(acts, m * unit, m, fan_out)
            if l == 0:
                first_layer(part, matrix, bias, a)
            else:
                if normed:
                    fold(norms[:, unit - fan_in : unit], matrix, bias)
                np.dot(matrix_of(acts, m * (unit - fan_in), m, fan_in), matrix, a)
                lift(bias, a)
            if normed:
                take_statistics(a, norms[:, unit : unit + fan_out])
            at, unit = at + (fan_in + 1) * fan_out, unit + fan_out

        width = sizes[last]
        unit -= width  # from here on: where the units that enter the layer begin
        if normed:
            fold(norms[:, unit:], matrix_of(used, at, width, 1), used[-1:])
        a, delta = matrix_of(acts, m * unit, m, width), matrix_of(deltas[0], 0, m, width)
        sums = np.empty(1, np.float32)
        some, sums[0] = head(a, truth, batch, used[at : at + width], used[-1], delta, product[:width])
        squares += some
        for l in range(last, 0, -1):
            fan_in, fan_out = sizes[l], sizes[l + 1]
            new, end = matrix_of(product, 0, fan_in, fan_out), at + fan_in * fan_out
            a = matrix_of(acts, m * unit, m, fan_in)
            if l < last:
                np.dot(a.T, delta, new)
            norm = norms[:, unit : unit + fan_in] if normed else norms
            norm_grad = norm_grads[:, unit : unit + fan_in] if normed else norm_grads
            own = matrix_of(weights, at, fan_in, fan_out)
            collect(new, sums, own, norm, matrix_of(grads, at, fan_in, fan_out), grads[end : end + fan_out], norm_grad)
            if l < last:
                below = matrix_of(deltas[(last - l) % 2], 0, m, fan_in)
                np.dot(delta, matrix_of(used, at, fan_in, fan_out).T, below)
                delta = below
            sums = np.empty(fan_in, np.float32)
            descend(a, delta, norm, norm_grad, sums)
            at -= (sizes[l - 1] + 1) * fan_in
            unit -= sizes[l - 1]
        first_gradient(part, delta, matrix_of(grads, 0, sizes[0], sizes[1]))
        grads[sizes[0] * sizes[1] : (sizes[0] + 1) * sizes[1]] += sums
    return squares / batch


@_compile
def predict(x: Array, sizes: Array, weights: Array, norms: Array, used: Array, work: Array, out: Array) -> None:
    """Outputs (rows,) for x (rows, inputs), batch norm by its running statistics.

    Args:
        x: inputs.
        sizes: as for `gradient`.
        weights: likewise.
        norms: likewise; the newest batch's mean and 1/sd are overwritten.
        used: scratch, as `weights`.
        work: scratch (2, rows at a time · widest).
        out: filled.
    """
    normed, last = norms.shape[1] > 0, len(sizes) - 2
    used[:] = weights
    for k in range(norms.shape[1]):
        norms[2, k], norms[3, k] = norms[4, k], 1 / math.sqrt(norms[5, k] + EPS)
    at, unit = (sizes[0] + 1) * sizes[1], 0
    for l in range(1, last + 1):
        fan_in, fan_out = sizes[l], sizes[l + 1]
        end = at + fan_in * fan_out
        if normed:
            fold(norms[:, unit : unit + fan_in], matrix_of(used, at, fan_in, fan_out), used[end : end + fan_out])
        at, unit = end + fan_out, unit + fan_in
    rows = work.shape[1] // sizes.max()
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        m, at = len(part), 0
        a = matrix_of(work[0], 0, m, sizes[1])
        for l in range(last):
            fan_in, fan_out = sizes[l], sizes[l + 1]
            bias = used[at + fan_in * fan_out : at + (fan_in + 1) * fan_out]
            to = matrix_of(work[l % 2], 0, m, fan_out)
            if l == 0:
                first_layer(part, matrix_of(used, at, fan_in, fan_out), bias, to)
            else:
                np.dot(a, matrix_of(used, at, fan_in, fan_out), to)
                lift(bias, to)
            a, at = to, at + (fan_in + 1) * fan_out
        for n in range(m):
            guess, row = used[-1], a[n]
            for k in range(sizes[last]):
                guess += row[k] * used[at + k]
            out[start + n] = guess


@_compile
def step(rule: int, lr: float, t: int, momenta: float, w: Array, g: Array, m: Array, v: Array) -> float:
    """One update of the parameters w by their gradient g, as `torch.optim` makes it at its defaults (momentum 0.9).

    Args:
        rule: place in `RULES`.
        lr: learning rate.
        t: number of this step, from 1.
        momenta: NAdam's product of momenta before this step, 1 at first.
        w: parameters, flat.
        g: their gradient.
        m: its first moment.
        v: its second moment, which the first three rules leave alone.

    Returns:
        Their product after this step.
    """
    by_grad, by_mean = np.float32(lr), np.float32(lr)
    if rule == 0:
        for i in range(len(w)):
            w[i] -= by_grad * g[i]
    elif rule <= 2:
        momentum = np.float32(0.9)
        if rule == 1:
            by_grad = ZERO
        else:
            by_mean *= momentum
        for i in range(len(w)):
            m[i] = momentum * m[i] + g[i]
            w[i] -= by_grad * g[i] + by_mean * m[i]
    else:
        beta1, beta2, eps = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
        root = np.float32(1 / math.sqrt(1 - 0.999**t))
        if rule == 3:
            by_grad, by_mean = ZERO, np.float32(lr / (1 - 0.9**t))
        else:
            now, then = 0.9 * (1 - 0.5 * 0.96 ** (t * 0.004)), 0.9 * (1 - 0.5 * 0.96 ** ((t + 1) * 0.004))
            momenta *= now
            by_grad = np.float32(lr * (1 - now) / (1 - momenta))
            by_mean = np.float32(lr * then / (1 - momenta * then))
        for i in range(len(w)):
            m[i] += (1 - beta1) * (g[i] - m[i])
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i]
            w[i] -= (by_grad * g[i] + by_mean * m[i]) / (np.sqrt(v[i]) * root + eps)
    return momenta


@_compile
def epoch(
    x: Array, y: Array, batch: int, rows: int, rule: int, lr: float, t: int, momenta: float,
    sizes: Array, weights: Array, norms: Array, moments: Array, norm_moments: Array, grads: Array, norm_grads: Array,
    used: Array, acts: Array, deltas: Array, product: Array,
) -> tuple[float, int, float]:  # fmt: skip
    """Once over (x, y) in the order given, a step of the optimizer per batch.

    Returns:
        The mean of the batches' losses, each before its step, weighted by size; t and `momenta` after it.
    """
    total = 0.0
    for start in range(0, len(x), batch):
        part, truth = x[start : start + batch], y[start : start + batch]
        some = min(rows, len(part))
        loss = gradient(part, truth, some, sizes, weights, norms, grads, norm_grads, used, acts, deltas, product)
        total += loss * len(part)
        t += 1
        for kind in range(2 if norms.shape[1] > 0 else 0):
            step(rule, lr, t, momenta, norms[kind], norm_grads[kind], norm_moments[kind, 0], norm_moments[kind, 1])
        momenta = step(rule, lr, t, momenta, weights, grads, moments[0], moments[1])
    return total / len(x), t, momenta
