"""Which processor trains, what it is called, and how much of it training may take."""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from core.knobs import clip

CHOICES = ("auto", "cuda", "mps", "cpu")
MOST_THREADS = 1024
MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
MOST_KEPT_AT_ONCE = 2**25  # bytes, the most that malloc lets one set; larger blocks are rare and worth giving back
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # what a container may use of a larger machine: "200000 100000" is two cores


class DeviceError(ValueError):
    """A device, or a number of threads, that cannot be had. Its message is one sentence for the reader."""


def pick(name: str) -> torch.device:
    """The device called `name`; "auto" takes the first there is of CUDA, MPS, CPU.

    Raises:
        DeviceError: there is no such device, or not on this machine.
    """
    there = _there()
    if name == "auto":
        return torch.device(there[0])
    if name not in CHOICES:
        raise DeviceError(f"device = {clip(name)} is unknown; choose {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    if name not in there:
        raise DeviceError(
            f"device = {name} is not to be had on this machine, where torch finds {' and '.join(there)}; "
            f"choose auto or {' or '.join(there)}."
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """What stands beside a result: "NVIDIA H200", "Apple GPU", "CPU, 2 cores"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    count = cores()
    return f"CPU, {count} core{'s' if count > 1 else ''}"


def cores() -> int:
    """How many cores this process may keep busy, at least one: never more than its container was given."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no such file outside Linux; "max" where there is no quota
        return allowed


def threads() -> int:
    """How many torch threads a training process should take: `GRADIENT_LAB_THREADS`, else every core but one.

    The last core is left to the pages: with all of them taken, torch's threads wait for each other at every step,
    and training gets several times slower.

    Raises:
        DeviceError: the variable is no whole number in 1 … 1024.
    """
    asked = os.environ.get("GRADIENT_LAB_THREADS", "").strip()
    if not asked:
        return max(1, cores() - 1)
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 9 and 1 <= int(asked) <= MOST_THREADS):
        raise DeviceError(
            f"GRADIENT_LAB_THREADS = {clip(asked)} is not a whole number in 1 … {MOST_THREADS}; "
            f"unset it to take {max(1, cores() - 1)} here."
        )
    return int(asked)


@contextmanager
def taking_threads(count: int) -> Iterator[None]:
    """Within it, torch takes `count` threads of this process: sums come out alike only where they are split alike.

    A lesson yields no frame within it: the count would hold for whoever takes the frame.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_memory() -> None:
    """Let this process keep the memory that it frees, for what it needs next, until `give_memory_back`.

    A training step takes and frees megabytes. GNU's C library gives them back to the system each time, which then has
    to clear every page anew: a quarter of the time of a small convolutional net. Elsewhere nothing changes.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(MALLOC_MMAP_THRESHOLD, MOST_KEPT_AT_ONCE)
        libc.mallopt(MALLOC_TRIM_THRESHOLD, 2**31 - 1)


def give_memory_back() -> None:
    """Give the system what this process has kept and does not use."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> Any:
    """GNU's C library, where this process stands on it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _there() -> list[str]:
    """The devices of this machine, the quickest first."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found.insert(0, "cuda")
    return found
