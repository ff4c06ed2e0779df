"""Data sets as tensors on the device, prepared once per process and device.

Pixels stay the whole numbers they were published as (uint8, a quarter of the memory of floats); what a lesson makes
of them, `scale` or a division, gives float32. A set is looked for in the folder that `GRADIENT_LAB_DATA` names (only
ever read) and below it, then in `data/` of the cache, where downloads go. What it is, its content says: every file is
held against its published SHA-256 before a byte of it is used. CIFAR-10, which comes in several forms, is decoded once
into a file of the cache that is held against its own.

Read on in `catalogue` (which sets there are), `loading` (what is said of them), `search`, `idx` and `cifar10` (how they
are found), `downloading`, `preparing`.
"""

from core.data.catalogue import NAMES, SOURCES, DataError, Dataset, File, Source
from core.data.downloading import download
from core.data.loading import (
    Status,
    available,
    label,
    load,
    may_download,
    require,
    sizes,
    status,
    statuses,
    undecoded,
)
from core.data.preparing import Scaling, Split, corrupt_labels, scale, split, subset

__all__ = [
    "NAMES",
    "SOURCES",
    "DataError",
    "Dataset",
    "File",
    "Scaling",
    "Source",
    "Split",
    "Status",
    "available",
    "corrupt_labels",
    "download",
    "label",
    "load",
    "may_download",
    "require",
    "scale",
    "sizes",
    "split",
    "status",
    "statuses",
    "subset",
    "undecoded",
]
