"""Other people's counters on the lesson's networks: `python -m core.convnets.tools` measures them and keeps the result.

The counters are no part of this product: tests/requirements.txt brings them. What they said is in `tools.json`, which
the lesson shows and a test computes anew.
"""

import io
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.convnets.building import build
from core.convnets.modules import Unfilled
from core.convnets.published import NETS, Design
from core.convnets.reading import read

KEPT = Path(__file__).with_name("tools.json")
Size = tuple[int, int, int]  # channels, height, width


def torchinfo(module: nn.Module, size: Size) -> int:
    """Its "Total mult-adds"."""
    from torchinfo import summary

    return int(summary(module, input_size=(1, *size), device="cpu", verbose=0).total_mult_adds)


def fvcore(module: nn.Module, size: Size) -> int:
    """The total of its `FlopCountAnalysis`."""
    from fvcore.nn import FlopCountAnalysis

    counted = FlopCountAnalysis(module, torch.zeros(1, *size))
    return int(counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def ptflops(module: nn.Module, size: Size) -> int:
    """The first number of its `get_model_complexity_info`, counted by modules."""
    from ptflops import get_model_complexity_info

    found, _ = get_model_complexity_info(module, size, as_strings=False, print_per_layer_stat=False, backend="pytorch")
    return int(found)


def flop_counter(module: nn.Module, size: Size) -> int:
    """The total of PyTorch's `FlopCounterMode`."""
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *size))
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class Tool:
    """A counter.

    Attributes:
        package: what brings it.
        called: what it calls its number.
        unit: what that number is: "MAC" or "FLOP", two to a MAC.
        count: (module, size of the image) → its number.
    """

    package: str
    called: str
    unit: str
    count: Callable[[nn.Module, Size], int]


TOOLS: Mapping[str, Tool] = {
    "torchinfo": Tool("torchinfo", "mult-adds", "MAC", torchinfo),
    "fvcore": Tool("fvcore", "flops", "MAC", fvcore),
    "ptflops": Tool("ptflops", "MACs", "MAC", ptflops),
    "FlopCounterMode": Tool("torch", "flops", "FLOP", flop_counter),
}


def module_of(design: Design) -> nn.Module:
    """The network: torchvision's where it has it, else what its text describes, without activation functions.

    On the processor, and not on the meta device: there PyTorch does a dense layer in parts, and ptflops counts both the
    layer and its parts. What it holds is whatever lies in memory.
    """
    with Unfilled(), torch.device("meta"):
        if design.torchvision:
            from torchvision.models import get_model

            made: nn.Module = get_model(design.torchvision, weights=None)
        else:
            made = build(read(design.text), design.image)
    return made.to("meta").to_empty(device="cpu").eval()


def measure(design: Design) -> dict[str, int]:
    """Tool → its number for one image."""
    size = (design.channels, design.height, design.width or design.height)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        module = module_of(design)
        return {name: tool.count(module, size) for name, tool in TOOLS.items()}


def measured() -> dict[str, Any]:
    """What `tools.json` holds: versions, and each network's numbers."""
    return {
        "versions": {tool.package: version(tool.package).partition("+")[0] for tool in TOOLS.values()},
        "nets": {name: measure(design) for name, design in NETS.items()},
    }


def kept() -> dict[str, Any]:
    """What was measured, from `tools.json`."""
    found: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    try:
        KEPT.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    except ImportError as error:
        sys.exit(f"{error}; pip install -r tests/requirements.txt brings it.")
    print(KEPT.read_text(encoding="utf-8"), end="")
