"""Which processor trains, what it is called, and how much of it training may take."""

import ctypes
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.nn.functional import conv2d

from core.knobs import clip
from core.resources import cores

CHOICES = ("auto", "cuda", "mps", "cpu")
AUTO = ("cuda", "cpu")
"""What "auto" chooses from, the quickest first. Apple's GPU is left out: it has no float64, which most lessons need."""

TRIAL_TIMEOUT = 60.0  # seconds; a CUDA context and its first kernels take one to ten
MOST_THREADS = 1024
MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
MOST_KEPT_AT_ONCE = 2**25  # bytes, the most that malloc lets one set; larger blocks are rare and worth giving back

log = logging.getLogger(__name__)


class DeviceError(ValueError):
    """A device, or a number of threads, that cannot be had. Its message is one sentence for the reader."""


@dataclass(frozen=True)
class Devices:
    """The devices that torch names.

    Attributes:
        names: type of those that work → what it is called, the quickest first; the CPU is always among them.
        broken: type of those that are listed and do not work → why, without a full stop.
    """

    names: Mapping[str, str]
    broken: Mapping[str, str] = field(default_factory=dict)

    def pick(self, name: str) -> torch.device:
        """The device called `name`; "auto" takes the first of `AUTO` that works.

        Raises:
            DeviceError: there is no such device, or it does not work here.
        """
        if name == "auto":
            return torch.device(next(kind for kind in AUTO if kind in self.names))
        if name not in CHOICES:
            raise DeviceError(f"device = {clip(name)} is unknown; choose {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
        choices = f"choose auto or {' or '.join(self.names)}."
        if name in self.broken:
            raise DeviceError(f"device = {name} is listed by torch but does not work ({self.broken[name]}); {choices}")
        if name not in self.names:
            found = " and ".join(self.names)
            raise DeviceError(f"device = {name} is not to be had on this machine, where torch finds {found}; {choices}")
        return torch.device(name)

    @property
    def sentences(self) -> list[str]:
        """A sentence for each device that is left out."""
        return [f"{kind} is listed by torch but does not work ({why}); left out." for kind, why in self.broken.items()]


def pick(name: str) -> torch.device:
    """As `Devices.pick`, among the devices that work in this process."""
    return working().pick(name)


def working() -> Devices:
    """The devices on which a small computation succeeds; each is tried once a process, which takes a GPU seconds.

    That torch lists a GPU does not say that it works: the driver may be too old, its memory taken by somebody else, or
    the build of torch may have no code for it. One that does not work is hidden from torch too, whose optimizers ask
    for its stream even where they train on the CPU.
    """
    found = listed()
    failures = {kind: why for kind in found.names if kind != "cpu" and (why := _trial(kind))}
    names = {kind: describe(torch.device(kind)) for kind in found.names if kind not in failures}
    devices = Devices(names, {**found.broken, **failures})
    for kind, sentence in zip(devices.broken, devices.sentences, strict=True):
        if kind not in _hidden:
            log.warning("%s", sentence)
        _hide(kind, devices.broken[kind])
    return devices


def listed() -> Devices:
    """The devices that torch says there are, without using them: their types stand for their names."""
    names, broken = {}, {}
    for kind, module in _modules().items():
        if module.is_available is _never:
            broken[kind] = _hidden[kind]
            continue
        # A driver that is too old is a warning, and then "not available".
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                there = bool(module.is_available())
            except Exception as error:
                broken[kind] = reason(error)
                continue
        if there:
            names[kind] = kind
        elif said:
            broken[kind] = reason(said[-1].message)
    return Devices({**names, "cpu": "cpu"}, broken)


def _modules() -> dict[str, Any]:
    """Type of GPU → the part of torch that drives it, as far as this build of torch has it."""
    found = {"cuda": getattr(torch, "cuda", None), "mps": getattr(torch.backends, "mps", None)}
    return {kind: module for kind, module in found.items() if hasattr(module, "is_available")}


_hidden: dict[str, str] = {}  # type of device → why torch is not to see it


def _hide(kind: str, why: str) -> None:
    _hidden[kind] = why
    _modules()[kind].is_available = _never


def _never() -> bool:
    return False


def describe(device: torch.device) -> str:
    """What stands beside a result: "NVIDIA H200", "Apple GPU", "CPU, 2 cores"."""
    if device.type == "cuda":
        try:
            return str(torch.cuda.get_device_name(device))
        except Exception:  # it computes all the same
            return "CUDA GPU"
    if device.type == "mps":
        return "Apple GPU"
    count = cores()
    return f"CPU, {count} core{'s' if count > 1 else ''}"


@cache
def _trial(kind: str) -> str:
    """Why a device cannot compute, in a few words; "" where it can."""
    said = [f"no answer within {TRIAL_TIMEOUT:.0f} s"]

    def run() -> None:
        try:
            said[0] = "" if _computes(torch.device(kind)) else "it computes wrongly"
        except Exception as error:
            said[0] = reason(error)

    trial = threading.Thread(target=run, name=f"trial of {kind}", daemon=True)  # one that hangs holds up nobody
    trial.start()
    trial.join(TRIAL_TIMEOUT)
    return said[0]


def _computes(device: torch.device) -> bool:
    """Whether a product, a convolution and a sum come out right; each is a library of its own on a GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a card that is too old: the computation says it
        ones = torch.ones(8, 8, device=device)
        product = (ones @ ones).sum()  # 8 · 8 · 8
        image = conv2d(ones.view(1, 1, 8, 8), torch.ones(1, 1, 3, 3, device=device)).sum()  # 6 · 6 · 9
        return (float(product.cpu()), float(image.cpu())) == (512.0, 324.0)


def reason(error: object) -> str:
    """The first line of what an error or a warning says, shortened, without a full stop."""
    first = " ".join((str(error).strip() or type(error).__name__).split("\n", 1)[0].split())
    return clip(first, 160).rstrip(".:")


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
