"""How much of this machine is taken. No Streamlit here."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core import device

MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Load:
    """What a teacher watches. None is what this machine does not tell.

    Attributes:
        busy: how many cores' worth of work there was in the last minute, by whomever.
        cores: how many cores this server may use.
        memory: bytes that are still free, of how many.
        disk: bytes that are still free where runs are written, of how many.
    """

    busy: float | None
    cores: int
    memory: tuple[int, int] | None
    disk: tuple[int, int] | None

    @classmethod
    def now(cls, folder: Path) -> Self:
        """Of this machine; runs are written to `folder`, which need not be there yet."""
        return cls(_busy(), device.cores(), _memory(), _disk(folder))


def _busy() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _memory() -> tuple[int, int] | None:
    try:
        found = dict(re.findall(r"^(MemTotal|MemAvailable): +([0-9]+) kB$", MEMORY.read_text(encoding="utf-8"), re.M))
        return int(found["MemAvailable"]) * 1024, int(found["MemTotal"]) * 1024
    except (OSError, KeyError):  # Linux alone has this file
        return None


def _disk(folder: Path) -> tuple[int, int] | None:
    there = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    try:
        usage = None if there is None else shutil.disk_usage(there)
    except OSError:
        return None
    return None if usage is None else (usage.free, usage.total)
