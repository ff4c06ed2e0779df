"""How much of this machine a process may take: cores, memory, disk, by whatever limits it most.

In a container, or under a limit of systemd or a cluster, that is far less than the machine has. Linux keeps such limits
in control groups: a tree of folders in which every folder on the way from ours up to the root may set one. Two versions
of it exist, and both at once (hybrid).
"""

import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path("/")
MOUNTED = Path("sys/fs/cgroup")  # where control groups lie if nothing says where


class Amount(NamedTuple):
    """Bytes of memory or of a disk: so many free, of so many."""

    free: int
    total: int


def cores(root: Path = ROOT) -> int:
    """How many cores this process may keep busy, at least one.

    Half a core counts as one, and one and a half as two: two threads get the whole of it, one would not.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([allowed, *_cpu_limits(root)])))


def memory(root: Path = ROOT) -> Amount | None:
    """The memory that this process may take; None where the machine does not tell."""
    amounts = [*_machine_memory(root), *_memory_limits(root)]
    if not amounts:
        return None
    total = min(each.total for each in amounts)
    return Amount(max(0, min(total, *(each.free for each in amounts))), total)


def disk(folder: Path) -> Amount | None:
    """The room where `folder` lies, or will lie; None where the machine does not tell."""
    there = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    try:
        usage = None if there is None else shutil.disk_usage(there)
    except OSError:
        return None
    return None if usage is None else Amount(usage.free, usage.total)


# ---- limits --------------------------------------------------------------------------------------------------------


def _cpu_limits(root: Path) -> Iterator[float]:
    """Cores, of each control group that limits them."""
    for folder in _groups(root, "cpu"):
        if (text := _text(folder / "cpu.max")) is not None:  # "150000 100000", "max 100000"
            quota, period = (_number(each) for each in (*text.split(), "", "")[:2])
        else:
            quota, period = (_number(_text(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
        if quota and period and quota > 0 and period > 0:
            yield quota / period


def _memory_limits(root: Path) -> Iterator[Amount]:
    """Memory, of each control group that limits it. Files that it has read count as used, but can be given up."""
    for folder in _groups(root, "memory"):
        most = _number(_text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes"))
        if most is None or most >= 2**60:  # what version 1 says where there is no limit
            continue
        used = _number(_text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")) or 0
        stat: dict[str, str] = dict(re.findall(r"^(\w+) ([0-9]+)$", _text(folder / "memory.stat") or "", re.M))
        files = int(stat.get("total_inactive_file", stat.get("inactive_file", "0")))
        yield Amount(most - max(0, used - files), most)


def _machine_memory(root: Path) -> Iterator[Amount]:
    found: dict[str, str] = dict(re.findall(r"^(\w+): +([0-9]+) kB$", _text(root / "proc/meminfo") or "", re.M))
    if "MemTotal" in found:
        total = int(found["MemTotal"]) * 1024
        yield Amount(int(found.get("MemAvailable", found["MemTotal"])) * 1024, total)
    elif not sys.platform.startswith("linux"):
        there = psutil.virtual_memory()
        yield Amount(there.available, there.total)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, from its own up to the root of what can be seen."""
    own = dict(_own_groups(root, controller))
    for version, top, place in _mounts(root, controller):
        if version not in own:
            continue
        # A mount may show a part of the tree, which begins with `top`; a container's own view begins with "/".
        inside = Path(own[version])
        below = inside.relative_to(top) if inside.is_relative_to(top) else Path()
        if ".." in below.parts:  # another view than ours: what is mounted is all that we know
            below = Path()
        folder = place / below
        yield folder
        while folder != place:
            folder = folder.parent
            yield folder


def _own_groups(root: Path, controller: str) -> Iterator[tuple[int, str]]:
    """Version → the group this process is in, of /proc/self/cgroup: "0::/a/b" or "4:cpu,cpuacct:/a/b"."""
    text = _text(root / "proc/self/cgroup")
    if text is None:
        yield from ((1, "/"), (2, "/"))
        return
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if path.startswith("/"):
            if number == "0" and not names:
                yield 2, path
            elif controller in names.split(","):
                yield 1, path


def _mounts(root: Path, controller: str) -> Iterator[tuple[int, Path, Path]]:
    """Version, the group that is mounted, and where, of /proc/self/mountinfo."""
    text = _text(root / "proc/self/mountinfo")
    if text is None:
        yield from ((2, Path("/"), root / MOUNTED), (1, Path("/"), root / MOUNTED / controller))
        return
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(kinds) < 3:
            continue
        top, place = (_unescaped(each) for each in fields[3:5])
        where = root / place.lstrip("/")
        if kinds[0] == "cgroup2":
            yield 2, Path(top), where
        elif kinds[0] == "cgroup" and controller in kinds[2].split(","):
            yield 1, Path(top), where


def _unescaped(path: str) -> str:
    """Blanks and backslashes stand in /proc as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return None


def _number(text: str | None) -> int | None:
    """A whole number; None for "max" and whatever else is none."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,20}", text) else None
