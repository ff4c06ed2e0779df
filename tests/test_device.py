"""Picking a device, naming it, and how much of it training takes."""

import subprocess
import sys

import pytest
import torch

from core import device
from core.device import DeviceError
from core.places import ROOT


def machine(monkeypatch, *, cuda=False, mps=False, cores=2, quota="max 100000"):
    """A machine that has these devices, cores and container limits."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(device, "QUOTA", Limit(quota))
    monkeypatch.delenv("GRADIENT_LAB_THREADS", raising=False)


class Limit:
    """Stands for the file of the container's limit."""

    def __init__(self, text):
        self.text = text

    def read_text(self):
        if self.text is None:
            raise FileNotFoundError
        return self.text


@pytest.mark.parametrize(
    ("cuda", "mps", "first"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_cuda_then_mps_then_the_cpu(monkeypatch, cuda, mps, first):
    machine(monkeypatch, cuda=cuda, mps=mps)
    assert device.pick("auto") == torch.device(first)
    assert device.pick("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_there_is_picked_and_one_that_is_not_is_refused_in_a_sentence(monkeypatch, name):
    machine(monkeypatch, **{name: True})
    assert device.pick(name) == torch.device(name)
    machine(monkeypatch)
    with pytest.raises(DeviceError) as refused:
        device.pick(name)
    assert str(refused.value) == (
        f"device = {name} is not to be had on this machine, where torch finds cpu; choose auto or cpu."
    )


@pytest.mark.parametrize("name", ["", "tpu", "CPU", "cuda:0", "meta", "x" * 500, "cpu\n"])
def test_an_unknown_device_is_a_short_sentence_with_the_way_out(monkeypatch, name):
    machine(monkeypatch)
    with pytest.raises(DeviceError, match=r"is unknown; choose auto, cuda, mps or cpu\.$") as refused:
        device.pick(name)
    assert len(str(refused.value)) < 150
    assert "\n" not in str(refused.value)


def test_devices_have_names_a_reader_knows(monkeypatch):
    machine(monkeypatch, cores=2)
    assert device.describe(torch.device("cpu")) == "CPU, 2 cores"
    machine(monkeypatch, cores=1)
    assert device.describe(torch.device("cpu")) == "CPU, 1 core"
    assert device.describe(torch.device("mps")) == "Apple GPU"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: f"NVIDIA {which}")
    assert device.describe(torch.device("cuda")) == "NVIDIA cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_real_gpu_is_picked_and_named():
    picked = device.pick("auto")
    assert torch.ones(2, device=picked).sum() == 2
    assert device.describe(picked) == torch.cuda.get_device_name()


@pytest.mark.parametrize(
    ("cores", "quota", "usable"),
    [
        (2, None, 2),
        (2, "max 100000", 2),
        (64, "200000 100000", 2),
        (64, "150000 100000", 2),
        (4, "50000 100000", 1),
        (2, "6400000 100000", 2),
        (2, "", 2),
        (2, "nonsense here", 2),
        (2, "200000 0", 2),
    ],
)
def test_cores_are_those_that_the_container_gives(monkeypatch, cores, quota, usable):
    machine(monkeypatch, cores=cores, quota=quota)
    assert device.cores() == usable


def test_where_affinity_is_unknown_all_cores_count(monkeypatch):
    machine(monkeypatch)
    monkeypatch.delattr(device.os, "sched_getaffinity")
    monkeypatch.setattr(device.os, "cpu_count", lambda: 10)
    assert device.cores() == 10
    monkeypatch.setattr(device.os, "cpu_count", lambda: None)
    assert device.cores() == 1


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (64, 63)])
def test_training_leaves_one_core_to_the_pages(monkeypatch, cores, threads):
    machine(monkeypatch, cores=cores)
    assert device.threads() == threads


@pytest.mark.parametrize(("asked", "threads"), [("1", 1), (" 3 ", 3), ("1024", 1024), ("", 1), ("  ", 1)])
def test_the_variable_overrides_the_count(monkeypatch, asked, threads):
    machine(monkeypatch, cores=2)
    monkeypatch.setenv("GRADIENT_LAB_THREADS", asked)
    assert device.threads() == threads


@pytest.mark.parametrize("asked", ["0", "-1", "1.5", "two", "1025", "9" * 5000, "٣", "²", "1_0"])
def test_a_bad_count_is_a_sentence(monkeypatch, asked):
    machine(monkeypatch, cores=4)
    monkeypatch.setenv("GRADIENT_LAB_THREADS", asked)
    with pytest.raises(DeviceError, match=r"GRADIENT_LAB_THREADS = .* 1 … 1024; unset it to take 3 here\.$") as refused:
        device.threads()
    assert len(str(refused.value)) < 150


FAULTS = """
import os, resource, torch
from core import device
torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        step = [torch.ones(2_000_000) for _ in range(5)]  # blocks of 8 MB, taken and freed together
        del step
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

device.keep_memory()
faults()
print(faults())
before = resident()
parts = [torch.ones(2_000_000) for _ in range(20)]
del parts
kept = resident()
device.give_memory_back()
print(kept - before, kept - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's C library is asked for it")
def test_memory_is_kept_for_the_next_step_and_given_back_when_asked():
    ran = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    faults, kept, given = map(int, ran.stdout.split())
    assert faults < 100, "pages are cleared anew at each step"
    assert min(kept, given) > 100e6


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    monkeypatch.setattr(device.sys, "platform", "darwin")
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: pytest.fail("asked for a library"))
    device.keep_memory()
    device.give_memory_back()
