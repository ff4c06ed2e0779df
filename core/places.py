"""Where things lie on disk."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "cache" / "gallery"
"""Precomputed runs that ship with the product."""


def written() -> Path:
    """The part of the cache that this machine writes: `GRADIENT_LAB_CACHE`, else `cache/` of the product."""
    moved = os.environ.get("GRADIENT_LAB_CACHE", "").strip()
    return Path(moved).expanduser().resolve() if moved else ROOT / "cache"


def gallery_to_write() -> Path:
    """Where `gallery build` puts runs: into the product, unless the written part of the cache was moved."""
    moved = written()
    return GALLERY if moved == ROOT / "cache" else moved / "gallery"
