"""How much of this machine is taken. No Streamlit here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core import resources


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
    memory: resources.Amount | None
    disk: resources.Amount | None

    @classmethod
    def now(cls, folder: Path) -> Self:
        """Of this machine; runs are written to `folder`, which need not be there yet."""
        return cls(_busy(), resources.cores(), resources.memory(), resources.disk(folder))


def _busy() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
