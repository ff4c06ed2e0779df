"""Picking a device, naming it, and how much of it training takes."""

import subprocess
import sys
import threading
import warnings

import pytest
import torch

from core import device
from core.device import DeviceError
from core.places import ROOT


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """No device has been tried yet, nor hidden from torch; afterwards all is as it was."""
    monkeypatch.setattr(torch.cuda, "is_available", torch.cuda.is_available)
    monkeypatch.setattr(torch.backends.mps, "is_available", torch.backends.mps.is_available)
    monkeypatch.setattr(device, "_hidden", {})
    device._trial.cache_clear()
    yield
    device._trial.cache_clear()


def machine(monkeypatch, *, cuda=False, mps=False, cores=2):
    """A machine that has these devices, all in order, and cores."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: f"NVIDIA {which}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(device, "_computes", lambda where: True)
    monkeypatch.setattr(device, "cores", lambda: cores)
    monkeypatch.delenv("GRADIENT_LAB_THREADS", raising=False)


@pytest.mark.parametrize(
    ("cuda", "mps", "first"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "cpu"), (False, False, "cpu")]
)
def test_auto_takes_cuda_or_the_cpu_and_leaves_out_apples_gpu(monkeypatch, cuda, mps, first):
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
    assert device.describe(torch.device("cuda")) == "NVIDIA cuda"


# A GPU that is listed and does not work


class Fails:
    """Stands for a device at which every computation fails in the same way, and what torch says of it."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *_, **__):
        raise self.error


def warns():
    warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old.\nUpdate it.", stacklevel=2)
    return False


NO_KERNEL = RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors")
LISTED = {"is_available": lambda: True}
BROKEN = {
    "as torch finds it here": (LISTED, None, r"\("),
    "no driver": (LISTED, RuntimeError("Found no NVIDIA driver on your system."), "Found no NVIDIA driver on your"),
    "driver too old": (LISTED, RuntimeError("The NVIDIA driver on your system is too old."), "is too old"),
    "driver too old, a warning": ({"is_available": warns}, None, "driver on your system is too old"),
    "no such capability": (LISTED, NO_KERNEL, r"no kernel image is available for execution on the device\);"),
    "memory taken": (LISTED, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB."), "out of memory"),
    "no device counted": (LISTED, RuntimeError("No CUDA GPUs are available"), "No CUDA GPUs are available"),
    "asking fails": ({"is_available": Fails(OSError("libcuda.so.1"))}, None, "libcuda.so.1"),
    "an error without words": (LISTED, AssertionError(), "AssertionError"),
}


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_device_that_is_listed_and_does_not_work_is_left_out_and_said_so(monkeypatch, caplog, kind, case):
    module = {"cuda": torch.cuda, "mps": torch.backends.mps}[kind]
    if case == "as torch finds it here" and module.is_available():
        pytest.skip(f"{kind} works here")
    changes, error, said = BROKEN[case]
    for name, value in changes.items():
        monkeypatch.setattr(module, name, value)
    if error is not None:
        monkeypatch.setattr(device, "_computes", Fails(error))
    for _ in range(2):
        assert kind not in device.working().names
        assert device.pick("cpu") == torch.device("cpu")
        assert device.pick("auto").type != kind
        with pytest.raises(DeviceError, match=f"^device = {kind} is listed by torch but does not work .*{said}") as got:
            device.pick(kind)
        assert str(got.value).endswith("; choose auto or cpu.")
        assert "\n" not in str(got.value)
    assert len([record for record in caplog.records if record.name == "core.device"]) == 1, "said once"
    model = torch.nn.Linear(1, 1)
    model(torch.ones(1, 1)).backward()
    torch.optim.Adam(model.parameters()).step()  # asks whatever torch lists for its stream


def test_a_device_that_computes_wrongly_or_never_ends_is_left_out(monkeypatch):
    machine(monkeypatch, cuda=True, mps=True)
    monkeypatch.setattr(device, "TRIAL_TIMEOUT", 0.05)
    ended = threading.Event()
    monkeypatch.setattr(device, "_computes", lambda where: where.type == "mps" and ended.wait(30) and True)
    found = device.working()
    ended.set()
    assert list(found.names) == ["cpu"]
    assert found.broken == {"cuda": "it computes wrongly", "mps": "no answer within 0 s"}


def test_a_device_is_tried_once(monkeypatch):
    machine(monkeypatch, cuda=True)
    tried = []
    monkeypatch.setattr(device, "_computes", lambda where: tried.append(where) is None)
    assert [device.pick("auto").type for _ in range(3)] == ["cuda"] * 3
    assert tried == [torch.device("cuda")]


def test_a_gpu_that_does_not_know_its_name_computes_all_the_same(monkeypatch):
    machine(monkeypatch, cuda=True)
    monkeypatch.setattr(torch.cuda, "get_device_name", Fails(RuntimeError("Unknown device")))
    assert device.working().names == {"cuda": "CUDA GPU", "cpu": "CPU, 2 cores"}


@pytest.mark.parametrize("missing", ["cuda", "mps"])
def test_a_build_of_torch_without_that_part_has_no_such_device(monkeypatch, missing):
    machine(monkeypatch)
    monkeypatch.delattr(torch if missing == "cuda" else torch.backends, missing)
    assert list(device.working().names) == ["cpu"]
    with pytest.raises(DeviceError, match="is not to be had on this machine, where torch finds cpu"):
        device.pick(missing)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_trial_computes_on_the_device(kind):
    assert device._computes(torch.device("cpu"))
    if not {"cuda": torch.cuda, "mps": torch.backends.mps}[kind].is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            device._computes(torch.device(kind))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_real_gpu_is_picked_and_named():
    picked = device.pick("auto")
    assert torch.ones(2, device=picked).sum() == 2
    assert device.describe(picked) == torch.cuda.get_device_name()


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
    ran = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    faults, kept, given = map(int, ran.stdout.split())
    assert faults < 100, "pages are cleared anew at each step"
    assert min(kept, given) > 100e6


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    monkeypatch.setattr(device.sys, "platform", "darwin")
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: pytest.fail("asked for a library"))
    device.keep_memory()
    device.give_memory_back()
