"""What a run will cost, known before it starts: from its shapes and a calibration of this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from core.resources import Amount

MOST_SECONDS = 3600.0
MOST_GPU_SECONDS = 24 * 3600.0
"""Of a preset that says that it takes a GPU, on one: a paper's full recipe."""

MOST_STUDENT_SECONDS = 300.0
"""Of a run that a student asks for: all others wait for it."""

MOST_BYTES = 4 * 2**30
LATE, GRACE = 10.0, 120.0
"""A run is ended at so many times its estimate, and so many seconds more: estimates hold within 3×, and on a machine
that has other work everything takes a few times as long. What takes longer than both will not come to an end."""


class CostError(ValueError):
    """A run too large to be started. Its message is one sentence for the reader."""


@dataclass(frozen=True)
class Cost:
    """The work of a run, independent of the machine.

    Attributes:
        flops: arithmetic in large matrix products, in floating-point operations.
        numbers: numbers that elementwise work reads and writes.
        calls: tensor operations issued, each with its fixed price.
        bytes: memory at the peak.
    """

    flops: float
    numbers: float
    calls: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.flops + other.flops,
            self.numbers + other.numbers,
            self.calls + other.calls,
            max(self.bytes, other.bytes),
        )


@dataclass(frozen=True)
class Calibration:
    """How quick this machine is: each figure per second."""

    flops: float = 5e10
    numbers: float = 1e10
    calls: float = 2e5

    def seconds(self, cost: Cost) -> float:
        """The time `cost` takes here."""
        return cost.flops / self.flops + cost.numbers / self.numbers + cost.calls / self.calls


def calibrate(device: torch.device) -> Calibration:
    """Measure the three prices on `device`; about a tenth of a second."""
    a = torch.rand(64, 784, device=device)
    b = torch.rand(784, 512, device=device)
    big = torch.rand(1_000_000, device=device)
    product = torch.empty_like(big)  # fresh memory has a price of its own, fifteen times that of the work
    small = torch.rand(16, device=device)
    return Calibration(
        flops=2.0 * a.shape[0] * a.shape[1] * b.shape[1] / _seconds(lambda: a @ b, device),
        numbers=3.0 * big.numel() / _seconds(lambda: torch.mul(big, big, out=product), device),
        calls=1.0 / _seconds(lambda: small.mul_(1.0), device),
    )


def check(
    cost: Cost, calibration: Calibration, most: float = MOST_SECONDS, room: Amount | None = None, idle: bool = True
) -> float:
    """Return the seconds a run will take.

    Args:
        cost: of the run.
        calibration: of the device it is to train on.
        most: seconds it may take.
        room: the memory of this machine; None where it is not known.
        idle: whether nothing else trains; what does will give its memory back.

    Raises:
        CostError: it is beyond what a server should start.
    """
    seconds = calibration.seconds(cost)
    if cost.bytes > MOST_BYTES:
        raise CostError(
            f"This run needs about {cost.bytes / 2**30:.1f} GiB of memory, more than the {MOST_BYTES / 2**30:.0f} GiB "
            "a run may take; choose fewer or smaller nets."
        )
    if room is not None and cost.bytes > (left := room.free if idle else room.total):
        raise CostError(
            f"This run needs about {cost.bytes / 2**30:.1f} GiB of memory, more than the {left / 2**30:.1f} GiB that "
            f"this machine has {'left' if idle else 'in all'}; choose fewer or smaller nets, or close other programs."
        )
    if seconds > most:
        raise CostError(
            f"This run would take {spell_seconds(seconds)}, longer than the {spell_seconds(most)} a run may "
            "take; choose fewer passes, examples or nets."
        )
    return seconds


def limit(seconds: float) -> float:
    """The seconds after which a run of this estimate is ended: at most twice what a run may be said to take.

    A recipe for a GPU may be said to take longer than that; it gets twice its own estimate.
    """
    return min(LATE * seconds + GRACE, 2 * max(MOST_SECONDS, seconds))


def spell_seconds(seconds: float) -> str:
    """A duration as people say it: "8 s", "3 min", "2 h"."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    if seconds < 6000:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.0f} h"


def _seconds(work: Callable[[], object], device: torch.device, repeats: int = 15) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)  # what the machine can do, whatever else it does at the moment
