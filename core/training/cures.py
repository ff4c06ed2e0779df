"""Networks of a cure for overfitting, on several data sets at once: stopped early, many to be averaged, or neither."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from core.frames import Array
from core.nets import INITS, relu
from core.training.fleet import Dropout, Fleet
from core.training.noisy_curve import ENDS, GRID, NOTEBOOK_INIT, grid, he_with_biases, truth

NOTEBOOK_STOP = 100  # the epoch that the notebook chose by eye
UNSTOPPED = "unstopped ensemble"
KIND_OF = {"early stopping": "smaller net", UNSTOPPED: "ensemble"}
"""Cures that ask for the networks of another one."""
FEATURES, LINEAR_POINTS = 10, 50  # the least-squares problem
TAUS = np.unique(np.geomspace(5, 500, 25).astype(int))  # steps after which gradient descent is stopped
INITIALIZATIONS = {"he": he_with_biases, "glorot": INITS["glorot"], "normal 0.05": NOTEBOOK_INIT}


class Samples:
    """Data sets of one kind, side by side: points to learn, points to choose the moment to stop, points to test.

    Args:
        knobs: of the lesson: `seed`, `data_sets`, `points`, `validation_points`, `noise`.
        device: where they live.

    Attributes:
        x: inputs of all three, in this order, (data_sets, everything, 1).
        y: what is expected there, likewise: noisy on the first two, the true function on the test points.
        targets: the same in double precision, (data_sets, everything).
        points: how many are to be learned.
        noise: standard deviation of the noise.
    """

    def __init__(self, knobs: Any, device: torch.device) -> None:
        rngs = [np.random.default_rng([knobs.seed, i, 1]) for i in range(knobs.data_sets)]
        # The points to learn are drawn first: another number of validation points leaves them as they are.
        counts = (knobs.points, knobs.validation_points)
        draws = [(rng.uniform(*ENDS, n), rng.normal(0, knobs.noise, n)) for rng in rngs for n in counts]
        x, noise = (np.concatenate(part).reshape(knobs.data_sets, -1) for part in zip(*draws, strict=True))
        test = np.tile(grid(), (knobs.data_sets, 1))
        self.x = _tensor(np.concatenate([x, test], axis=1), device)
        self.y = _tensor(np.concatenate([truth(x) + noise, truth(test)], axis=1), device)
        self.targets = self.y[..., 0].double().cpu().numpy()  # (data_sets, everything)
        self.points, self.noise = knobs.points, knobs.noise

    def scores(self, outputs: Array) -> tuple[Array, Array, Array]:
        """Return the error on training and validation points, and that to expect of a new one, each (...).

        Args:
            outputs: at all points, (..., data_sets, everything).
        """
        squares = (outputs - self.targets) ** 2
        train, validation, distance = np.split(squares, [self.points, squares.shape[-1] - GRID], axis=-1)
        return train.mean(-1), validation.mean(-1), distance.mean(-1) + self.noise**2


def _tensor(values: Array, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).to(torch.float32).to(device).unsqueeze(-1)


class Best(NamedTuple):
    """When each network was at its best, all (members, data_sets)."""

    error: Array  # its validation error then; where all stop at one epoch it is not looked at
    epoch: Array
    running: Array  # whether a better epoch is still waited for


class Kind:
    """Networks of one kind: `members` for every data set, trained on all of its points at once.

    Args:
        name: "big net", "smaller net", "ensemble", "weight decay" or "dropout".
        knobs: of the lesson.
        samples: the data sets.
    """

    def __init__(self, name: str, knobs: Any, samples: Samples) -> None:
        self.members = knobs.members if name == "ensemble" else 1
        self.samples, self.knobs = samples, knobs
        width = max(1, knobs.width // 2) if name in ("smaller net", "ensemble") else knobs.width
        # As the notebook: units are dropped after every hidden layer but the last.
        dropped = [*[knobs.rate] * (knobs.depth - 1), 0.0] if knobs.depth > 1 else [knobs.rate]

        def fresh() -> Fleet:
            made = Fleet(
                self.members * knobs.data_sets,
                (1, *[width] * knobs.depth, 1),
                activation=relu,
                dropout=Dropout(dropped) if name == "dropout" else None,
                device=samples.x.device,
            )
            # Networks of one size start alike whatever their cure; the members start elsewhere.
            made.initialise(INITIALIZATIONS[knobs.init], knobs.seed + (name == "ensemble"))
            return made

        stops = name == "ensemble" or (name == "smaller net" and "early stopping" in knobs.cures)
        self.fleet = fresh()
        self.stopped = fresh() if stops else self.fleet  # each network as it was at its best
        # AdamW without decay is Adam.
        self.optimizer = self.fleet.optimizer(
            "adamw", knobs.learning_rate, knobs.weight_decay if name == "weight decay" else 0.0
        )
        self.x, self.y = (table.repeat(self.members, 1, 1) for table in (samples.x, samples.y))  # (nets, everything, 1)
        nets = (self.members, knobs.data_sets)
        self.best = Best(self._validation_error(), np.zeros(nets), np.full(nets, stops))
        self.endless = UNSTOPPED in knobs.cures if name == "ensemble" else name in knobs.cures

    @property
    def wanted(self) -> bool:
        """Whether training goes on: networks that are only there to be stopped early leave when all have stopped."""
        return self.endless or bool(self.best.running.any())

    def epoch(self, epoch: int) -> None:
        """Take one step of all networks on all training points, then validate those that may be stopped early."""
        points = self.samples.points
        self.fleet.backward(self.x[:, :points], self.y[:, :points])
        self.optimizer.step()
        if self.best.running.any():
            self._validate(epoch)

    def _validate(self, epoch: int) -> None:
        """Find whether this epoch is each network's best so far, and whether a better one is still waited for."""
        error, at, running = self.best
        if self.knobs.stopping == "patience":
            now = self._validation_error()
            better = running & (now < error)
            error, at = np.where(better, now, error), np.where(better, epoch, at)
            running = running & (epoch - at < self.knobs.patience)
        else:
            better, at, running = running, np.where(running, epoch, at), running & (epoch < NOTEBOOK_STOP)
        self.best = Best(error, at, running)
        which = torch.from_numpy(better.ravel()).to(self.x.device).view(-1, 1, 1)
        for mine, theirs in zip(
            self.stopped.weights + self.stopped.biases, self.fleet.weights + self.fleet.biases, strict=True
        ):
            mine.copy_(torch.where(which, theirs, mine))

    def outputs(self, stopped: bool = False) -> Array:
        """Return the outputs now, or as they were when stopped, at all points, (members, data_sets, everything)."""
        return self._forward(self.stopped if stopped else self.fleet, self.x)

    def _validation_error(self) -> Array:
        held_out = slice(self.samples.points, -GRID)
        errors = self._forward(self.fleet, self.x[:, held_out]) - self.samples.targets[:, held_out]
        return np.asarray((errors**2).mean(axis=-1))

    def _forward(self, fleet: Fleet, x: torch.Tensor) -> Array:
        found = fleet.forward(x).squeeze(2).double().cpu().numpy()  # (nets, points)
        return found.reshape(self.members, self.knobs.data_sets, -1)


def ambiguity(members: Array, target: Array) -> Array:
    """Return the sides of the ambiguity identity, (3, data_sets): ensemble's error, ambiguity, mean error of a member.

    Args:
        members: their outputs, (members, data_sets, points).
        target: what is to be met, (points,).
    """
    together = members.mean(axis=0)
    return np.stack(
        [
            ((together - target) ** 2).mean(axis=-1),
            ((members - together) ** 2).mean(axis=(0, -1)),
            ((members - target) ** 2).mean(axis=(0, -1)),
        ]
    )


def least_squares(seed: int) -> tuple[Array, Array]:
    """Return a linear problem, (points, features) and (points,), some of whose directions are learned late."""
    rng = np.random.default_rng([seed, 2])
    x = rng.normal(size=(LINEAR_POINTS, FEATURES)) * np.geomspace(1, 0.1, FEATURES)
    return x, x @ rng.normal(size=FEATURES) + 0.5 * rng.normal(size=LINEAR_POINTS)


def early_stopping_and_l2(x: Array, y: Array, step: float = 0.02, taus: Sequence[int] | Array = TAUS) -> Array:
    """Compare least squares by gradient descent from zero, stopped after τ steps, with L2 with λ = 1/(ητ).

    Args:
        x: (points, features).
        y: (points,).
        step: learning rate η times the largest curvature. The theory takes small ones.
        taus: steps τ after which it is stopped, ascending.

    Returns:
        (2, taus): the cosine between the two weights, and the length of their difference relative to L2's weights.
    """
    curvature, pull = x.T @ x / len(x), x.T @ y / len(x)
    eta = step / np.linalg.eigvalsh(curvature)[-1]
    weights, found = np.zeros(len(pull)), []
    for tau in range(1, taus[-1] + 1):
        weights = weights - eta * (curvature @ weights - pull)
        if tau in taus:
            ridge = np.linalg.solve(curvature + np.eye(len(pull)) / (eta * tau), pull)
            sizes = np.linalg.norm(weights), np.linalg.norm(ridge)
            found.append((weights @ ridge / (sizes[0] * sizes[1]), np.linalg.norm(weights - ridge) / sizes[1]))
    return np.array(found).T
