"""Where things lie on disk."""

import os
from pathlib import Path

from core.knobs import clip

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "cache" / "gallery"
"""Precomputed runs that ship with the product."""


class PlaceError(ValueError):
    """A folder that cannot be. Its message is one sentence for the reader."""


def written() -> Path:
    """The part of the cache that this machine writes: `GRADIENT_LAB_CACHE`, else `cache/` of the product.

    Raises:
        PlaceError: the variable names no folder: a home that nobody has, links in a circle.
    """
    said = os.environ.get("GRADIENT_LAB_CACHE", "").strip()
    if not said:
        return ROOT / "cache"
    try:
        return Path(said).expanduser().resolve()
    except (RuntimeError, OSError) as error:
        why = str(error).rstrip(".")
        raise PlaceError(f"GRADIENT_LAB_CACHE = {clip(said)} is no folder ({why}); name one, or unset it.") from error


def gallery_to_write() -> Path:
    """Where `gallery build` puts runs: into the product, unless the written part of the cache was moved."""
    moved = written()
    return GALLERY if moved == ROOT / "cache" else moved / "gallery"


def galleries() -> list[Path]:
    """The gallery that ships, and one in the cache if that was moved and there is one."""
    own = gallery_to_write()
    return [GALLERY, *([own] if own != GALLERY and own.is_dir() else [])]
