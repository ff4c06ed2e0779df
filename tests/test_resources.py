"""Cores and memory, by whatever limits them most: control groups of both versions, on trees made up here."""

import os
from types import SimpleNamespace

import pytest

from core import resources
from core.resources import Amount

GB = 2**30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"  # 16 GB, 8 of them free
V2 = "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 32 0:30 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
)
OWN_V1 = "12:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
CPU1, MEMORY1 = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"
UNLIMITED = 9223372036854771712

CASES = {
    "no control groups": ({}, 4, Amount(8 * GB, 16 * GB)),
    "no limits": (
        {
            "proc/self/cgroup": "0::/user.slice\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000",
            "sys/fs/cgroup/user.slice/memory.max": "max",
        },
        4,
        Amount(8 * GB, 16 * GB),
    ),
    "version 2, a container's own view": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/cpu.max": "200000 100000",
            "sys/fs/cgroup/memory.max": str(4 * GB),
            "sys/fs/cgroup/memory.current": str(3 * GB),
        },
        2,
        Amount(1 * GB, 4 * GB),
    ),
    "version 2, files that were read can be given up": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/memory.max": str(4 * GB),
            "sys/fs/cgroup/memory.current": str(4 * GB),
            "sys/fs/cgroup/memory.stat": f"anon 5\nfile {2 * GB}\ninactive_file {GB}\n",
        },
        4,
        Amount(1 * GB, 4 * GB),
    ),
    "version 2, the tightest is above": (
        {
            "proc/self/cgroup": "0::/a.slice/b.slice/c.scope\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/a.slice/cpu.max": "100000 100000",
            "sys/fs/cgroup/a.slice/memory.max": str(2 * GB),
            "sys/fs/cgroup/a.slice/memory.current": str(2 * GB - 100),
            "sys/fs/cgroup/a.slice/b.slice/cpu.max": "300000 100000",
            "sys/fs/cgroup/a.slice/b.slice/memory.max": "max",
            "sys/fs/cgroup/a.slice/b.slice/c.scope/memory.max": str(6 * GB),
            "sys/fs/cgroup/a.slice/b.slice/c.scope/memory.current": "0",
            "sys/fs/cgroup/other.slice/cpu.max": "1000 100000",
            "sys/fs/cgroup/other.slice/memory.max": "1",
        },
        1,
        Amount(100, 2 * GB),
    ),
    "version 2, a part of the tree is mounted": (
        {
            "proc/self/cgroup": "0::/kubepods/pod1/main/inner\n",
            "proc/self/mountinfo": V2.replace(" / /sys/fs", " /kubepods/pod1/main /sys/fs"),
            "sys/fs/cgroup/inner/cpu.max": "150000 100000",
            "sys/fs/cgroup/memory.max": str(GB),
        },
        2,
        Amount(1 * GB, 1 * GB),
    ),
    "version 2, mounted from elsewhere": (
        {
            "proc/self/cgroup": "0::/../../other\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/cpu.max": "50000 100000",
        },
        1,
        Amount(8 * GB, 16 * GB),
    ),
    "version 2, at a place with a blank": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2.replace("/sys/fs/cgroup", r"/my\040groups"),
            "my groups/cpu.max": "200000 100000",
        },
        2,
        Amount(8 * GB, 16 * GB),
    ),
    "version 1": (
        {
            "proc/self/cgroup": OWN_V1,
            "proc/self/mountinfo": V1,
            f"{CPU1}/docker/abc/cpu.cfs_quota_us": "300000",
            f"{CPU1}/docker/abc/cpu.cfs_period_us": "100000",
            f"{CPU1}/cpu.cfs_quota_us": "-1",
            f"{CPU1}/cpu.cfs_period_us": "100000",
            f"{MEMORY1}/docker/abc/memory.limit_in_bytes": str(3 * GB),
            f"{MEMORY1}/docker/abc/memory.usage_in_bytes": str(2 * GB),
            f"{MEMORY1}/docker/abc/memory.stat": f"inactive_file 5\ntotal_inactive_file {GB // 2}\n",
            f"{MEMORY1}/memory.limit_in_bytes": str(UNLIMITED),
        },
        3,
        Amount(3 * GB // 2, 3 * GB),
    ),
    "version 1, mounted as the container's own": (
        {
            "proc/self/cgroup": OWN_V1,
            "proc/self/mountinfo": V1.replace(" / /sys/fs", " /docker/abc /sys/fs"),
            f"{CPU1}/cpu.cfs_quota_us": "50000",
            f"{CPU1}/cpu.cfs_period_us": "100000",
            f"{MEMORY1}/memory.limit_in_bytes": str(GB),
            f"{MEMORY1}/memory.usage_in_bytes": "0",
        },
        1,
        Amount(1 * GB, 1 * GB),
    ),
    "version 1 without limits": (
        {
            "proc/self/cgroup": OWN_V1,
            "proc/self/mountinfo": V1,
            f"{CPU1}/docker/abc/cpu.cfs_quota_us": "-1",
            f"{CPU1}/docker/abc/cpu.cfs_period_us": "100000",
            f"{MEMORY1}/docker/abc/memory.limit_in_bytes": str(UNLIMITED),
        },
        4,
        Amount(8 * GB, 16 * GB),
    ),
    "both versions": (
        {
            "proc/self/cgroup": OWN_V1 + "0::/docker/abc\n",
            "proc/self/mountinfo": V1 + V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
            f"{CPU1}/docker/abc/cpu.cfs_quota_us": "200000",
            f"{CPU1}/docker/abc/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/unified/docker/memory.max": str(2 * GB),
        },
        2,
        Amount(2 * GB, 2 * GB),
    ),
    "nothing says where": (
        {"sys/fs/cgroup/cpu.max": "100000 100000", "sys/fs/cgroup/memory.max": str(GB)},
        1,
        Amount(1 * GB, 1 * GB),
    ),
    "a limit beyond the machine's": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/cpu.max": "6400000 100000",
            "sys/fs/cgroup/memory.max": str(64 * GB),
        },
        4,
        Amount(8 * GB, 16 * GB),
    ),
    "more is used than may be": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/memory.max": str(GB),
            "sys/fs/cgroup/memory.current": str(2 * GB),
        },
        4,
        Amount(0, 1 * GB),
    ),
    "garbage": (
        {
            "proc/self/cgroup": "nonsense\n0\n::\n0::relative\n0::/\n",
            "proc/self/mountinfo": "\n1 2 3\n - cgroup2\n" + V2,
            "sys/fs/cgroup/cpu.max": "200000 0",
            "sys/fs/cgroup/memory.max": "1e9",
            "sys/fs/cgroup/memory.current": "\x00\xff",
        },
        4,
        Amount(8 * GB, 16 * GB),
    ),
}


def tree(root, files):
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="latin-1")
    return root


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)


@pytest.mark.parametrize("name", CASES)
def test_cores_and_memory_are_what_the_tightest_limit_leaves(tmp_path, name):
    files, cores, memory = CASES[name]
    assert (resources.cores(tree(tmp_path, files)), resources.memory(tmp_path)) == (cores, memory)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("1000 100000", 1), ("50000 100000", 1), ("100001 100000", 2), ("150000 100000", 2), ("250000 100000", 3),
     ("max 100000", 4), ("max", 4), ("", 4), ("-1 100000", 4), ("200000", 4), ("0 0", 4), ("²0 10", 4)],
)  # fmt: skip
def test_a_part_of_a_core_counts_as_one(tmp_path, text, cores):
    files = {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2, "sys/fs/cgroup/cpu.max": text}
    assert resources.cores(tree(tmp_path, files)) == cores


def test_where_affinity_is_unknown_all_cores_count(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert resources.cores(tmp_path) == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resources.cores(tmp_path) == 1


def test_a_machine_that_tells_nothing_has_no_memory_to_speak_of(tmp_path):
    assert resources.memory(tmp_path) is None


def test_another_system_is_asked_by_psutil(monkeypatch, tmp_path):
    monkeypatch.setattr(resources.sys, "platform", "darwin")
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: SimpleNamespace(available=5, total=9))
    assert resources.memory(tmp_path) == Amount(5, 9)


def test_here_there_is_something():
    assert resources.cores() >= 1
    found = resources.memory()
    assert found is None or 0 <= found.free <= found.total
    assert resources.disk(resources.ROOT / "no" / "such" / "folder").total > 0
