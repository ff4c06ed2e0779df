"""What lessons make of a set: some of its examples, scaled pixels, labels that are partly wrong."""

import zlib
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.data.catalogue import DataError, Dataset
from core.knobs import clip, spell

Scaling = Literal["per pixel", "global"]

EPSILON = 1e-6  # added to the spread, as in notebook 003: a pixel that is always black stays finite


def subset(dataset: Dataset, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """`n` training examples drawn without replacement, in random order: the same on every device.

    Returns:
        Pixels (n, pixels) uint8 and classes (n,) int64, copies on the set's device.

    Raises:
        DataError: `n` is not in 1 … all of them.
    """
    most = len(dataset.y_train)
    if not 1 <= n <= most:
        raise DataError(
            f"examples = {spell(n)} is outside 1 … {most}, which is all that {dataset.name} has to learn from."
        )
    chosen = torch.randperm(most, generator=_chance(seed, "subset"))[:n].to(dataset.x_train.device)
    return dataset.x_train[chosen], dataset.y_train[chosen]


def scale(x_train: Tensor, x_test: Tensor, mode: Scaling) -> tuple[Tensor, Tensor]:
    """Pixels less their mean, over their spread + 1e-6, both taken from the training examples alone.

    "per pixel" has a mean and a spread for each pixel, as notebook 003; "global" one of each for all. The spread is
    the standard deviation with Bessel's correction, as `Tensor.std` has it there.

    Args:
        x_train: (examples, pixels), at least two examples.
        x_test: (tests, pixels).
        mode: which of the two.

    Returns:
        Both as float32, new tensors.

    Raises:
        DataError: no such mode, or fewer than two examples.
    """
    if mode not in ("per pixel", "global"):
        raise DataError(f"scaling = {clip(mode)} is unknown; choose per pixel or global.")
    if len(x_train) < 2:
        raise DataError(
            f"examples = {len(x_train)} is too few to scale, for one example has no spread; take 2 or more."
        )
    x = x_train.float()
    spread, mean = torch.std_mean(x, dim=0 if mode == "per pixel" else None)
    spread = spread + EPSILON
    return x.sub(mean).div_(spread), x_test.float().sub(mean).div_(spread)


class Split(NamedTuple):
    """Scaled pixels and classes of a training, a validation and a test set; and how many classes there are."""

    x: Tensor
    y: Tensor
    x_validation: Tensor
    y_validation: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: int


def split(dataset: Dataset, n: int, scaling: Scaling | None, seed: int) -> Split:
    """Draw `n` training examples and a fifth as many others for validation; shuffle the published test set.

    Args:
        dataset: as `load` gives it.
        n: size of the training set.
        scaling: by the training set's statistics, as in `scale`; None: pixels over their largest value, 0 … 1.
        seed: of the draw and of the order of the test set, which may come class by class.

    Raises:
        DataError: there are not so many examples.
    """
    x, y = subset(dataset, n + n // 5, seed)
    if scaling:
        learn, others = scale(x[:n], torch.cat([x[n:], dataset.x_test]), scaling)
    else:
        most = float(dataset.x_train.max())
        learn, others = x[:n].float() / most, torch.cat([x[n:], dataset.x_test]).float() / most
    validation, test = others.split([len(x) - n, len(dataset.x_test)])
    mixed = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed)).to(test.device)
    return Split(learn, y[:n], validation, y[n:], test[mixed], dataset.y_test[mixed], len(dataset.classes))


def corrupt_labels(y: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """Labels of which a `share` was redrawn uniformly at random, as Zhang et al. 2017 did.

    A redraw may hit the true class again, so a share of 1 leaves about one in `classes` as it was. Which labels are
    redrawn, and as what, grows with the share: those of 0.1 are among those of 0.2.

    Args:
        y: (examples,) int64; left as it is.
        share: of the labels, 0 … 1; rounded to whole labels.
        classes: how many there are to draw from.
        seed: where chance begins.

    Returns:
        A copy of `y`, on its device.

    Raises:
        DataError: `share` is outside 0 … 1.
    """
    if not 0.0 <= share <= 1.0:
        raise DataError(f"label_noise = {spell(share)} is outside 0 … 1; it is a share of the labels.")
    chance = _chance(seed, "labels")
    redrawn = torch.randperm(len(y), generator=chance)[: round(share * len(y))]
    drawn = torch.randint(classes, (len(y),), generator=chance)
    noisy = y.clone()
    noisy[redrawn.to(y.device)] = drawn[redrawn].to(y.device)
    return noisy


def _chance(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose: where a lesson uses one seed for all, its draws must not repeat each other."""
    mixed = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(mixed.generate_state(1)[0]))
