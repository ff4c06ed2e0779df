"""Networks that differ in optimizer or learning rate alone: one initialization, the same examples in the same order.

nets = OptimizerFleet(sizes, [("sgd", 0.1), ("adam", 0.001)], l2=0.0, dropout=None, seed=1, device=device)
losses = nets.step(x, y)                            # (nets,)
cross_entropy, accuracy = nets.evaluate(x, y)       # each (nets,)
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.optim import Optimizer

from core.data import Split
from core.frames import Array
from core.nets import INITS, relu
from core.training.fleet import Dropout, Fleet
from core.training.update_rules import OPTIMIZERS

AT_A_TIME = 500  # examples evaluated at once


class OptimizerFleet:
    """ReLU networks with two hidden layers, one for each rule, trained on cross-entropy and λ·Σw².

    Args:
        sizes: inputs, units of both hidden layers, classes.
        rules: of each network, the optimizer's name and its learning rate.
        l2: λ of the penalty on weights and biases of the hidden layers. AdamW shrinks them by as much instead.
        dropout: of inputs and hidden units, or None.
        seed: of initialization and dropout.
        device: where everything lives.

    Attributes:
        seconds: that the training of each network took so far, (nets,).
    """

    def __init__(
        self,
        sizes: tuple[int, int, int, int],
        rules: Sequence[tuple[str, float]],
        *,
        l2: float,
        dropout: Dropout | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self.nets = Fleet(len(rules), sizes, activation=relu, loss="cross entropy", dropout=dropout, device=device)
        self.nets.initialise(INITS["zero"], seed)  # which seeds the dropout masks
        one = Fleet(1, sizes, activation=relu, loss="cross entropy", device=device)
        one.initialise(INITS["glorot"], seed)
        for mine, start in zip(self.nets.weights, one.weights, strict=True):
            mine.copy_(start.expand_as(mine))
        self.l2, self.device = l2, device
        self.seconds = np.zeros(len(rules))
        decoupled = [name == "adamw" for name, _ in rules]
        self.pull = torch.tensor([0.0 if each else 2 * l2 for each in decoupled], device=device).view(-1, 1, 1)
        self.optimizers = [self._optimizer(i, *rule) for i, rule in enumerate(rules)]

    def _optimizer(self, i: int, name: str, lr: float) -> Optimizer:
        """Return PyTorch's optimizer over the parameters of network i."""
        layers = []
        for parts, grads in ((self.nets.weights, self.nets.weight_grads), (self.nets.biases, self.nets.bias_grads)):
            for part, grad in zip(parts, grads, strict=True):
                own = part[i]
                own.grad = grad[i]
                layers.append(own)
        if name != "adamw":
            return OPTIMIZERS[name](layers, lr=lr)
        output = [layers[2], layers[5]]
        hidden = {"params": layers[:2] + layers[3:5], "weight_decay": 2 * self.l2}
        return OPTIMIZERS[name]([hidden, {"params": output}], lr=lr)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Update every network on these examples; return their cross-entropies as training sees them, (nets,)."""
        began = self._now()
        losses = self.nets.backward(x, y)
        if self.l2:
            for parts, grads in ((self.nets.weights, self.nets.weight_grads), (self.nets.biases, self.nets.bias_grads)):
                for part, grad in zip(parts[:-1], grads[:-1], strict=True):
                    grad.addcmul_(part, self.pull)
        ended = self._now()
        self.seconds += (ended - began) / self.nets.nets  # what all share
        for i, optimizer in enumerate(self.optimizers):
            optimizer.step()
            began, ended = ended, self._now()
            self.seconds[i] += ended - began
        return losses

    def _now(self) -> float:
        """Return seconds of this process's own work, which other programs do not stretch; on a GPU, of the clock."""
        if self.device.type != "cuda":
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def penalty(self) -> Array:
        """Return λ·Σw² of every network, over weights and biases of its hidden layers, (nets,)."""
        hidden = [*self.nets.weights[:-1], *self.nets.biases[:-1]]
        total = torch.zeros(1, device=self.device)
        for part in hidden:
            total = total + part.double().square().sum(dim=(1, 2))
        return np.asarray(self.l2 * total.cpu().numpy())

    def evaluate(self, x: torch.Tensor, y: torch.Tensor) -> tuple[Array, Array]:
        """Return cross-entropy and accuracy without dropout, each (nets,); NaN where a network diverged."""
        loss, right = torch.zeros(self.nets.nets, dtype=torch.float64), torch.zeros(self.nets.nets, dtype=torch.float64)
        for inputs, truth in zip(x.split(AT_A_TIME), y.split(AT_A_TIME), strict=True):
            logits = self.nets.forward(inputs)  # (nets, examples, classes)
            told = torch.log_softmax(logits, dim=2).gather(2, truth.expand(self.nets.nets, -1).unsqueeze(2))
            loss -= told.double().sum(dim=(1, 2)).cpu()
            right += (logits.argmax(dim=2) == truth).double().sum(dim=1).cpu()
        known = torch.isfinite(loss)
        return tuple(torch.where(known, each / len(y), torch.nan).numpy() for each in (loss, right))  # type: ignore[return-value]


class Trial:
    """One repeat of a comparison: its examples, their order and the initialization, equal for all its networks.

    Args:
        split: training, validation and test set.
        width: units in each of the two hidden layers.
        l2: λ of the penalty.
        batch_size: examples averaged into one step.
        seed: of order, initialization and dropout.
    """

    def __init__(self, split: Split, *, width: int, l2: float, batch_size: int, seed: int) -> None:
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.sizes = (split.x.shape[1], width, width, split.classes)
        self.l2 = l2
        self.fleets: list[OptimizerFleet] = []
        self.losses: list[torch.Tensor] = []

    def fleet(self, rules: Sequence[tuple[str, float]], dropout: Dropout | None = None) -> OptimizerFleet:
        """Return untrained networks, one for each optimizer and learning rate."""
        device = self.split.x.device
        return OptimizerFleet(self.sizes, rules, l2=self.l2, dropout=dropout, seed=self.seed, device=device)

    def batches(self, epochs: int) -> Iterator[torch.Tensor]:
        """Yield the examples of every step; each epoch has an order of its own, the same for all networks."""
        rng, y = torch.Generator().manual_seed(self.seed), self.split.y
        for _ in range(epochs):
            yield from torch.randperm(len(y), generator=rng).to(y.device).split(self.batch_size)

    def trained(self, rules: Sequence[tuple[str, float]], epochs: int) -> OptimizerFleet:
        """Return networks that were trained for so many epochs without dropout."""
        nets = self.fleet(rules)
        for rows in self.batches(epochs):
            nets.step(self.split.x[rows], self.split.y[rows])
        return nets

    def search(self, name: str, rates: Sequence[float], epochs: int, tests: int) -> tuple[Array, int, Array]:
        """Search for the learning rate of an optimizer with the best validation accuracy.

        Returns:
            validation accuracy by rate, (rates,), the place of the best, and accuracy on the first `tests` test
            examples by rate, (rates,), which has no part in the choice.
        """
        nets = self.trained([(name, rate) for rate in rates], epochs)
        validated = nets.evaluate(self.split.x_validation, self.split.y_validation)[1]
        tested = nets.evaluate(self.split.x_test[:tests], self.split.y_test[:tests])[1]
        return validated, int(np.argmax(np.nan_to_num(validated))), tested

    def start(self, rules: Sequence[tuple[str, float]], dropouts: Sequence[Dropout | None]) -> None:
        """Set up the networks that `step` trains: all rules with the first kind of dropout, then with the next."""
        self.fleets, self.losses = [self.fleet(rules, dropout) for dropout in dropouts], []

    def step(self, rows: torch.Tensor) -> None:
        """Update every network on these examples."""
        self.losses.append(torch.cat([nets.step(self.split.x[rows], self.split.y[rows]) for nets in self.fleets]))

    def scores(self, seen: int, tests: int) -> dict[str, Array]:
        """Evaluate every network on the first `seen` training and `tests` test examples; each (networks,).

        "batch_loss" is the mean cross-entropy of the steps since the last call, with dropout, as training sees it.
        """
        split = self.split
        train = [nets.evaluate(split.x[:seen], split.y[:seen])[0] for nets in self.fleets]
        test = [nets.evaluate(split.x_test[:tests], split.y_test[:tests])[1] for nets in self.fleets]
        penalty, seconds = ([nets.penalty() for nets in self.fleets], [nets.seconds for nets in self.fleets])
        parts = {"test_accuracy": test, "cross_entropy": train, "penalty": penalty, "seconds": seconds}
        found = {name: np.concatenate(each) for name, each in parts.items()}
        losses = torch.stack(self.losses).double().mean(dim=0).cpu().numpy() if self.losses else np.nan
        self.losses = []
        return {**found, "batch_loss": losses + np.zeros(len(found["penalty"]))}
