"""Nets on paper against the same nets built from PyTorch's modules on its meta device, where nothing is computed."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.googlenet import Inception

from core.convnets import (
    Average,
    Branches,
    Chain,
    Conv,
    Dense,
    LayerError,
    Norm,
    Pool,
    Row,
    Skip,
    account,
    by_layer,
    positions,
    read,
    total,
)
from core.knobs import MOST_SAID


class Built:
    """A net of PyTorch's modules, made while a picture runs through it; what it holds, keeps and multiplies."""

    def __init__(self, text: str, channels: int, side: int, device: str = "meta") -> None:
        self.modules, self.device = nn.ModuleList(), device
        picture = torch.zeros(1, channels, side, side, device=device)
        self.activations = picture.numel()
        with FlopCounterMode(display=False) as flops:
            self.out = self.through(read(text), picture)
        self.multiplications = flops.get_total_flops() // 2
        self.parameters = sum(p.numel() for p in self.modules.parameters())
        self.statistics = sum(b.numel() for b in self.modules.buffers() if b.ndim)  # without the count of batches

    def through(self, chain: Chain, x: Tensor) -> Tensor:
        for layer in chain:
            if isinstance(layer, Branches):
                parts = [self.through(each, x) for each in layer.chains]
                x = torch.stack(parts).sum(0) if layer.added else torch.cat(parts, 1)
                self.activations += x.numel() * layer.added
            else:
                x = self.apply(layer, x)
                self.activations += x.numel()
        return x

    def apply(self, layer: object, x: Tensor) -> Tensor:
        made: nn.Module
        match layer:
            case Conv(_, filters, size, stride, padding, groups, bias, _):
                made = nn.Conv2d(x.shape[1], filters, size, stride, padding, groups=groups, bias=bias)
            case Dense(_, units, bias):
                made = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), units, bias), nn.Unflatten(1, (units, 1, 1)))
            case Pool(_, size, stride, padding, _):
                made = nn.MaxPool2d(size, stride or size, padding)
            case Average(_):
                made = nn.AdaptiveAvgPool2d(1)
            case Norm(_):
                made = nn.BatchNorm2d(x.shape[1])
            case Skip(_, filters, stride, _):
                x = x[:, :, ::stride, ::stride]
                return pad(x, (0, 0, 0, 0, 0, filters - x.shape[1]))
        self.modules.append(made.to(self.device).eval())
        return made(x)


def counts(rows: list[Row]) -> tuple[int, ...]:
    return tuple(total(rows, what) for what in ("parameters", "statistics", "multiplications", "activations"))


def assert_equal(text: str, channels: int, side: int) -> None:
    rows, built = account(read(text), channels, side), Built(text, channels, side)
    assert counts(rows) == (built.parameters, built.statistics, built.multiplications, built.activations), text
    out = rows[-1].out
    assert (1, out.channels, out.side, out.side) == tuple(built.out.shape), text


def random_net(chance: np.random.Generator, side: int) -> str:
    """A text of one to eight layers, some of which do not fit."""

    def one(*among: object) -> str:
        return str(among[chance.integers(len(among))])

    def layer() -> str:
        size, floor = one(1, 2, 3, 5, 7), one("", "floor")
        conv = (
            f"conv {one(4, 6, 12)} {size}x{size} stride {one(1, 1, 2, 3)} pad {one(0, 1, 2, 3)} groups {one(1, 1, 2)}"
        )
        return one(
            f"{conv} {one('', 'no bias')} {floor}",
            f"pool {one(2, 3)} {one('', 'stride 2')} {one('', 'pad 1')} {floor}",
            "norm",
            f"skip 16 stride {one(1, 2)} {floor}",
            f"(conv 4 1x1, norm | conv 6 {size}x{size} pad {int(size) // 2} | pool 3x3 stride 1 pad 1)",
            f"(norm, conv {one(4, 6, 12)} 3x3 pad 1, norm + )",
        )

    end = one("", ", fc 10", ", fc 20 no bias, fc 10", ", average, fc 7")
    return ",".join(layer() for _ in range(chance.integers(1, 8))) + end


def test_random_nets_count_as_pytorch_counts_them():
    chance = np.random.default_rng(1)
    agreed, kinds = 0, set()
    for _ in range(400):
        channels, side = int(chance.choice([1, 2, 4, 6])), int(chance.integers(8, 40))
        text = random_net(chance, side)
        try:
            rows = account(read(text), channels, side)
        except LayerError:
            continue
        assert_equal(text, channels, side)
        agreed, kinds = agreed + 1, kinds | {row.kind for row in rows}
    assert agreed >= 60
    assert kinds == {"input", "conv", "fc", "norm", "pool", "skip", "join"}


@pytest.mark.parametrize("seed", range(20))
def test_receptive_field_and_jump_are_where_gradients_reach(seed):
    chance = np.random.default_rng(seed)
    layers = [
        f"{'conv 1' if chance.random() < 0.7 else 'pool'} {chance.integers(1, 5)} stride {chance.integers(1, 4)} floor"
        for _ in range(3)
    ]
    text, side = ",".join(layers), 120
    end = account(read(text), 1, side)[-1].out
    picture = torch.zeros(1, 1, side, side, dtype=torch.double, requires_grad=True)
    x: Tensor = picture
    for layer in read(text):  # means instead of convolutions and maxima: each number they see has a gradient
        x = nn.AvgPool2d(layer.size, layer.stride or layer.size)(x)
    firsts = []
    for at in (0, 1):
        (gradient,) = torch.autograd.grad(x[0, 0, at, 0], picture, retain_graph=True)
        reached = gradient[0, 0].abs().sum(1).nonzero().ravel()
        firsts.append(int(reached[0]))
        assert int(reached[-1] - reached[0]) + 1 == end.sees
    assert firsts[1] - firsts[0] == end.jump


def test_a_dense_layer_sees_all_that_came_before():
    rows = account(read("conv 2 3x3, pool 2, fc 5, fc 3"), 1, 12)
    assert [row.out.sees for row in rows] == [1, 3, 4, 12, 12]


@given(st.integers(1, 64), st.integers(1, 12), st.integers(1, 5), st.integers(0, 4))
def test_a_size_is_taken_exactly_where_the_way_back_gives_it_again(side, size, stride, padding):
    filters = torch.empty(1, 1, size, size, device="meta")
    try:
        out = nn.functional.conv2d(
            torch.empty(1, 1, side, side, device="meta"), filters, stride=stride, padding=padding
        )
    except RuntimeError:
        with pytest.raises(LayerError, match="does not fit"):
            positions("conv", side, size, stride, padding, floor=True)
        return
    assert positions("conv", side, size, stride, padding, floor=True) == out.shape[-1]
    back = conv_transpose2d(out, filters, stride=stride).shape[-1] - 2 * padding
    if back == side:
        assert positions("conv", side, size, stride, padding, floor=False) == out.shape[-1]
        return
    with pytest.raises(LayerError, match="does not divide") as caught:
        positions("conv", side, size, stride, padding, floor=False)
    for near in map(int, re.findall(r"\d+", str(caught.value).split("positions; ")[1])):
        assert positions("conv", near, size, stride, padding, floor=False) in (out.shape[-1], out.shape[-1] + 1)


def test_torchvisions_inception_module_agrees():
    def unit(filters: int, size: int) -> str:  # theirs has norms, no biases, and 3 × 3 in the place of 5 × 5
        return f"conv {filters} {size}x{size} pad {size // 2} no bias, norm"

    text = (
        f"({unit(64, 1)} | {unit(96, 1)}, {unit(128, 3)} | {unit(16, 1)}, {unit(32, 3)}"
        f"| pool 3x3 stride 1 pad 1, {unit(32, 1)})"
    )
    with torch.device("meta"):
        theirs = Inception(192, 64, 96, 128, 16, 32, 32).eval()
        with FlopCounterMode(display=False) as flops:
            out = theirs(torch.empty(1, 192, 28, 28))
    rows = account(read(text), 192, 28)
    assert total(rows, "parameters") == sum(p.numel() for p in theirs.parameters())
    assert total(rows, "multiplications") == flops.get_total_flops() // 2
    assert (rows[-1].out.channels, rows[-1].out.side) == tuple(out.shape[1:3])


def test_words_may_stand_on_lines_between_commas_and_in_any_case():
    assert read("conv 6 5x5 pad 2\npool 2") == read("  CONV 6 5×5 pad 2 ;pool 2,")
    assert counts(account(read("conv 6 5 pad 2, pool 2x2"), 3, 10)) == counts(
        account(read("conv 6 5x5 pad 2, pool 2"), 3, 10)
    )


def test_rows_are_cut_before_each_layer_with_a_name_of_its_own():
    parts = by_layer(account(read("pool 2, conv 4 1x1, norm, ( fc 3 | fc 4 ), average"), 1, 4))
    assert [[row.kind for row in part] for part in parts] == [
        ["input", "pool"],
        ["conv", "norm"],
        ["fc"],
        ["fc", "join", "pool"],
    ]


def test_counts_can_be_asked_for_by_kind():
    rows = account(read("conv 2 3x3, norm, fc 5"), 1, 4)
    assert [total(rows, "parameters", kind) for kind in ("conv", "norm", "fc")] == [20, 4, 45]
    assert total(rows, "parameters", "conv", "fc") == 65
    assert (total(rows, "weights"), total(rows, "biases")) == (18 + 2 + 40, 2 + 2 + 5)


WRONG = [
    ("relu", "relu has no numbers of its own; leave it out"),
    ("convolution 3", "convolution is no layer here; write conv, pool, fc, norm, average or skip"),
    ("conv 6", "conv 6 lacks its size; write it like conv 16 5x5 stride 2 pad 2"),
    ("conv 6 5x3", "conv 6 5x3: its size, “5x3”, is not a square, such as 5x5"),
    ("conv six 5x5", "its filters, “six”, is not a whole number"),
    ("conv 6 5x5x5", "is not a square"),
    ("conv 6 ²", "is not a square"),
    ("fc 70000", "fc 70000: units = 70000 is outside 1 … 65536; write it like fc 120"),
    ("conv 6 5 stride 0", "stride = 0 is outside 1 … 65536"),
    ("conv 6 5 stride", "lacks its stride"),
    ("conv 6 5 pad 1 pad 2", "says pad twice; say it once"),
    ("fc 10 no bias no bias", "says no bias twice; say it once"),
    ("fc 10 floor", "fc 10 floor: “floor” is no part of fc; write it like fc 120"),
    ("", "a net needs a layer"),
    ("conv 6 5 | fc 10", "“|” stands outside of brackets"),
    ("(conv 6 1", "is opened and never closed"),
    ("(conv 6 1)", r"parted by | to lie side by side or by +"),
    ("(fc 1 | fc 2 + fc 3)", r"by one of them"),
    ("(" * 600 + "fc 1", "more than 4 deep"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text[:20] for text, _ in WRONG])
def test_a_text_that_cannot_be_read_says_why_and_what_to_write(text, sentence):
    with pytest.raises(LayerError) as caught:
        read(text)
    assert sentence in str(caught.value)


MISFITS = [
    (
        "conv 96 11x11 stride 4",
        224,
        "(224 + 2·0 − 11) / 4 + 1 = 54.25 positions; 223 or 227 wide would do, or the word floor",
    ),
    ("conv 6 11 pad 2", 5, "its input is 5 wide, with padding 9; pad 3 or a larger picture would do"),
    ("pool 2 pad 2", 8, "windows of 2 take a padding of 1 at most"),
    ("conv 4 1 groups 2", 8, "3 channels that come in do not split into 2 groups"),
    ("conv 4 1 groups 3", 8, "4 filters do not split into 3 groups"),
    ("skip 2", 8, "3 channels come in, and it can only add some"),
    ("(conv 4 1 | conv 4 3)", 8, "4 × 8 × 8 and 4 × 6 × 6 cannot lie side by side"),
    ("(conv 4 1 + )", 8, "4 × 8 × 8 and 3 × 8 × 8 cannot be added"),
]


@pytest.mark.parametrize(("text", "side", "sentence"), MISFITS, ids=[text for text, _, _ in MISFITS])
def test_a_net_that_does_not_fit_says_the_sum_and_the_way_out(text, side, sentence):
    with pytest.raises(LayerError) as caught:
        account(read(text), 3, side)
    assert sentence in str(caught.value)


SCRAPS = [
    "conv",
    "pool",
    "fc",
    "norm",
    "skip",
    "stride",
    "pad",
    "groups",
    "no bias",
    "floor",
    "3x3",
    "2",
    "7",
    "0",
    "²",
]
SCRAPS += ["(", ")", "|", "+", ",", "\n", "x", "-1", "é", "9" * 30]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(SCRAPS), max_size=25), st.integers(1, 30))
def test_whatever_is_typed_is_counted_or_refused_in_a_sentence(words, side):
    try:
        rows = account(read(" ".join(words)), 3, side)
    except LayerError as error:
        assert 10 < len(str(error)) <= MOST_SAID
        assert not str(error).endswith(".")
    else:
        assert total(rows, "activations") >= 3 * side**2
