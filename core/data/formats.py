"""What the bytes of a data set say: idx files, the decoded file of CIFAR-10, and scikit-learn's digits, as tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Content = np.ndarray[Any, np.dtype[np.uint8]]
"""The bytes of one file."""

Arrays = tuple[Tensor, Tensor, Tensor, Tensor]
"""x_train, y_train, x_test, y_test on the CPU: pixels (examples, pixels) uint8, labels (examples,) int64."""

CIFAR10_PIXELS = 3 * 32 * 32


def read_idx(contents: Sequence[Content]) -> Arrays:
    """Training images and labels, test images and labels, in the format of the MNIST files."""
    x_train, y_train, x_test, y_test = map(_idx, contents)
    return x_train, y_train.flatten().long(), x_test, y_test.flatten().long()


def _idx(content: Content) -> Tensor:
    """The items of an idx file, (items, numbers each) uint8.

    Its fourth byte counts the axes; their lengths follow, four bytes each, the number of items first.
    """
    axes, items = int(content[3]), int.from_bytes(content[4:8].tobytes(), "big")
    return torch.from_numpy(content[4 + 4 * axes :]).view(items, -1)


def idx_header(shape: Sequence[int]) -> bytes:
    """The bytes that stand before the numbers of an idx file of that shape, of one byte each."""
    return bytes([0, 0, 8, len(shape)]) + b"".join(length.to_bytes(4, "big") for length in shape)


def read_decoded(contents: Sequence[Content]) -> Arrays:
    """The four arrays of a decoded file, flat as they lie there."""
    x_train, y_train, x_test, y_test = map(torch.from_numpy, contents)
    return x_train.view(-1, CIFAR10_PIXELS), y_train.long(), x_test.view(-1, CIFAR10_PIXELS), y_test.long()


def read_digits(_: Sequence[Content]) -> Arrays:
    """scikit-learn's digits; every sixth image of each class is for the test."""
    from sklearn.datasets import load_digits  # takes a second, and only this set needs it

    pixels, classes = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels).to(torch.uint8), torch.from_numpy(classes).long()
    nth = (y[:, None] == y.unique()).cumsum(dim=0).gather(1, y[:, None]).squeeze(1)  # 1 for the first of its class
    test = nth % 6 == 0
    return x[~test], y[~test], x[test], y[test]
