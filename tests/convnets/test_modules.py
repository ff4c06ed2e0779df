"""PyTorch's modules in the language: every classification model of torchvision, and what a reader may name."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from core.convnets import LayerError, account, read, total, write
from core.convnets.loading import load
from core.convnets.modules import describe
from core.convnets.report import report

MODELS = torchvision.models.list_models(torchvision.models)
ATTENTION = ("maxvit", "swin", "vit")
"""They multiply two computed maps, for which the language has no word: twelve of torchvision's eighty."""


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith(ATTENTION)])
def test_a_torchvision_model_counts_as_its_modules_and_its_metadata_say(name):
    module, side = load(f"torchvision:{name}")
    with FlopCounterMode(display=False) as flops:
        found = describe(module, 3, side, side)
    text = write(found.chain)
    assert read(text) == found.chain
    assert len(text) < 4000  # the lesson takes so many characters
    rows = account(found.chain, 3, side)
    held = sum(parameter.numel() for parameter in module.parameters())
    assert total(rows, "parameters") + sum(found.unused.values()) == held
    assert 2 * total(rows, "macs") == flops.get_total_flops()
    for weights in torchvision.models.get_model_weights(name):
        assert weights.meta["num_params"] == held
        crop = weights.transforms().crop_size[0]
        cropped = rows if crop == side else account(describe(module, 3, crop, crop).chain, 3, crop)
        assert round(total(cropped, "macs") / 1e9, 3) == weights.meta["_ops"]


def test_twelve_models_cannot_be_written_and_each_has_attention():
    names = [name for name in MODELS if name.startswith(ATTENTION)]
    assert (len(names), len(MODELS)) == (12, 80)
    for name in ("vit_b_16", "swin_t", "maxvit_t"):
        with pytest.raises(
            LayerError, match=r"cannot be written in the language: it .* which the language has no word"
        ):
            report(f"torchvision:{name}")


class Own(nn.Module):
    """Functions instead of modules, an operator in place, a shortcut A, and a part that no image meets."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 1), padding="same")
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 4, 3, stride=2, output_padding=1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4, 7)
        self.unused = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        """An image in, seven numbers out."""
        x = functional.relu(self.first(x), inplace=True)
        y = self.second(x)
        y += functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        y = self.norm(self.up(functional.max_pool2d(y, 3, 2, ceil_mode=True))) / 2
        return self.last(functional.dropout(y.mean((2, 3)), training=self.training))


def test_a_module_is_read_as_it_runs():
    module = Own()
    held = sum(parameter.numel() for parameter in module.parameters())
    with FlopCounterMode(display=False) as flops:
        found = describe(module, 3, 15, 18)
    rows = account(found.chain, 3, 15, 18)
    assert write(found.chain) == (
        "conv 8 3x1 same, ( conv 16 3x3 stride 2 pad 1 floor + skip 8 stride 2 floor, skip 16 ), pool 3 stride 2 ceil, "
        "transposed 4 3x3 stride 2 extra 1, norm, average, fc 7"
    )
    assert found.unused == {"unused.weight": 25, "unused.bias": 5}
    assert total(rows, "parameters") == held - 30
    assert 2 * total(rows, "macs") == flops.get_total_flops()


class Shared(nn.Module):
    """One layer, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """An image in and out."""
        return self.conv(self.conv(x))


class Crossed(nn.Module):
    """Two branches, and a third that reads inside both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """An image in, channels of three kinds out."""
        a, b = self.a(x), self.b(x)
        return torch.cat([a, self.c(a + b), b], 1)


class Twisted(nn.Module):
    """A product of two maps, each position with each."""

    def forward(self, x: Tensor) -> Tensor:
        """An image in, positions by positions out."""
        return x.flatten(2).transpose(1, 2) @ x.flatten(2)


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Shared(), "it uses conv.weight twice; the language has no word for layers that share weights"),
        (Crossed(), "its branches cross"),
        (Twisted(), "it uses matmul, which the language has no word for"),
        (nn.Conv2d(5, 3, 3), "it fails on an image of 3 × 8 × 8: RuntimeError"),
        (nn.Identity(), "a network needs a layer"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, nn.Module) else "",
)
def test_what_the_language_cannot_say_is_named(module, sentence):
    with pytest.raises(LayerError, match=sentence):
        describe(module, 3, 8, 8)


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("torchvision:resnet51", None, "resnet51 is no classification model of torchvision; did you mean resnet50"),
        ("nowhere.at_all:Net", None, r"nowhere.at_all cannot be imported \(ModuleNotFoundError"),
        ("torch.nn:Nothing", None, "torch.nn has no Nothing; it has"),
        ("torch.nn:Linear", None, "Linear cannot be made without in_features, out_features"),
        ("core.nets:SELU", None, "SELU is a tuple, and neither a torch.nn.Module nor what makes one"),
        ("core.places:galleries", None, "galleries makes a .*, and no torch.nn.Module"),
        (":", None, "write torchvision:resnet50"),
        ("torchvision:alexnet", "3x224x0", "is no size of an image; write channels, height and width"),
        ("conv 6", None, "conv 6 lacks its size"),
    ],
)
def test_a_name_or_a_size_that_cannot_be_says_what_to_write(name, size, sentence):
    with pytest.raises(LayerError, match=sentence):
        report(name, size)


def test_a_report_has_a_line_for_each_layer_and_the_sums():
    counted = report("3 × ( conv 8 3x3 same ), ( conv 4 1 | pool 3 stride 1 pad 1 ), fc 10", "3x16x12")
    assert counted.plain["input"] == "3 × 16 × 12"
    assert counted.plain["text"] == "3 × ( conv 8 3x3 same ), ( conv 4 1x1 | pool 3 stride 1 pad 1 ), fc 10"
    assert counted.plain["macs"] == total(account(counted.chain, 3, 16, 12), "macs")
    lines = counted.text.splitlines()
    assert len(lines) == 1 + len(counted.rows) + 1 + 6
    assert f"{2 * counted.plain['macs']:,} FLOPs" in counted.text
