"""Networks on paper against the same networks built from PyTorch's modules on its meta device."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.googlenet import Inception

from core.convnets import Axis, Chain, LayerError, Maps, Pool, Row, account, by_branch, by_layer, read, total, write
from core.convnets.building import Channels, Joined, Padding, build
from core.convnets.windows import Window


class Built:
    """A network of PyTorch's modules; what it holds, keeps and multiplies as an image runs through it."""

    def __init__(self, chain: Chain, channels: int, height: int, width: int) -> None:
        self.activations = channels * height * width
        with torch.device("meta"):
            module = build(chain, Maps(channels, Axis(height), Axis(width))).eval()
            for each in module.modules():
                if not list(each.children()) or isinstance(each, Joined):
                    each.register_forward_hook(self._keep)
            with FlopCounterMode(display=False) as flops:
                self.out = module(torch.empty(1, channels, height, width))
        self.macs = flops.get_total_flops() // 2
        self.parameters = sum(p.numel() for p in module.parameters())
        self.statistics = sum(b.numel() for b in module.buffers() if b.ndim)  # without the count of batches

    def _keep(self, module: nn.Module, _: object, out: Tensor) -> None:
        views = isinstance(
            module, nn.Sequential | nn.Flatten | nn.Unflatten | Channels | Padding
        )  # a Padding is its layer's own
        side_by_side = isinstance(module, Joined) and module.join == "|"
        self.activations += 0 if views or side_by_side else out.numel()


def counts(rows: list[Row]) -> tuple[int, ...]:
    return tuple(total(rows, what) for what in ("parameters", "statistics", "macs", "activations"))


def assert_equal(text: str, channels: int, height: int, width: int) -> None:
    chain = read(text)
    rows, built = account(chain, channels, height, width), Built(chain, channels, height, width)
    assert counts(rows) == (built.parameters, built.statistics, built.macs, built.activations), text
    out = rows[-1].out
    assert (1, out.channels, out.height, out.width) == tuple(built.out.shape), text


def random_net(rng: np.random.Generator) -> str:
    """A text of one to seven layers, some of which do not fit."""

    def one(*among: object) -> str:
        return str(among[rng.integers(len(among))])

    def window() -> str:
        size = one("1x1", "2x2", "3x3", "5x5", "1x7", "7x1", "3x2")
        pad = one("", "pad 1", "pad 2", "pad 0x3", "pad 1x2", "same")
        return f"{size} stride {one(1, 1, 2, 3, '2x1', '1x2')} {pad} dilation {one(1, 1, 2, '1x3')}"

    def layer() -> str:
        floor, bias, filters = one("", "floor"), one("", "no bias"), one(4, 6, 12)
        return one(
            f"conv {filters} {window()} groups {one(1, 1, 2)} {bias} {floor}",
            f"conv {filters} 3x3 pad 1",
            f"depthwise {window()} multiplier {one(1, 2)} {bias} {floor}",
            f"separable {filters} {window()} {bias} {floor}",
            f"transposed {filters} {window()} groups {one(1, 2)} {bias} {one('', 'extra 1')}",
            f"pool {one(2, 3, '1x2')} {one('', 'stride 2')} {one('', 'pad 1', 'same')} {one('', 'floor', 'ceil')}",
            f"avgpool 2 {one('', 'ceil', 'same')}",
            one("norm", "layernorm", "groupnorm 2", "instancenorm", "scale", "relu", "upsample 2", "upsample 1x2"),
            f"skip 16 stride {one(1, 2)} {floor}",
            one("slice 2", "zeropad 1x2", "se 3", "se 2 no bias", "average 3x2"),
            f"(conv 4 1x1, norm | conv 6 5x5 pad 2 {bias} | pool 3x3 stride 1 pad 1)",
            f"2 × ( norm, conv {filters} 3x3 same + )",
            "( | average, pointwise 4, pointwise 12 * )",
        )

    end = one("", ", fc 10", ", fc 20 no bias, fc 10", ", average, fc 7")
    return ",".join(layer() for _ in range(rng.integers(1, 6))) + end


def test_random_nets_count_as_pytorch_counts_them_and_are_written_as_they_read():
    rng = np.random.default_rng(1)
    agreed, kinds, words = 0, set(), set()
    for _ in range(500):
        channels, height, width = int(rng.choice([1, 2, 4, 6, 12])), *map(int, rng.integers(8, 32, 2))
        text = random_net(rng)
        try:
            rows = account(read(text), channels, height, width)
        except LayerError:
            continue
        assert read(write(read(text))) == read(text)
        assert_equal(text, channels, height, width)
        agreed += 1
        kinds |= {row.kind for row in rows}
        words |= set(re.findall("[a-z]+", text))
    assert agreed >= 60
    assert kinds == {"input", "conv", "fc", "norm", "pool", "shape", "join"}
    assert words >= {"transposed", "depthwise", "separable", "dilation", "same", "ceil", "se", "extra", "multiplier"}


CHAINS = [
    "conv 1 3 dilation 2, pool 2 floor, conv 1 2x3",
    "conv 1 1x5 stride 1x2 floor, conv 1 3x1 dilation 3x1",
    "pool 3 stride 2 floor, pool 2 floor, conv 1 4 stride 3 floor",
    "conv 1 3 stride 2 floor, transposed 1 3 stride 2, conv 1 2",
    "transposed 1 5 stride 3, conv 1 4",
    "pool 2 floor, upsample 2, conv 1 3",
    "( conv 1 5 pad 2 | conv 1 3 pad 1 ), conv 1 2",
]


@pytest.mark.parametrize("text", CHAINS)
def test_receptive_fields_are_where_gradients_reach(text):
    """Means instead of maxima, and positive weights: each pixel that a number sees has a gradient."""
    side = 48
    chain = tuple(
        Pool(each.size, each.stride, each.pad, floor=each.floor, mean=True) if isinstance(each, Pool) else each
        for each in read(text)
    )
    end = account(chain, 1, side)[-1].out
    module = build(chain, Maps(1, Axis(side), Axis(side))).double()
    for parameter in module.parameters():
        nn.init.constant_(parameter, 1.0)
    image = torch.zeros(1, 1, side, side, dtype=torch.double, requires_grad=True)
    out = module(image)[0].sum(0)
    for axis, far, at in ((1, end.high, out[:, end.width // 2]), (0, end.wide, out[end.height // 2])):
        reached = []
        for number in at:
            (gradient,) = torch.autograd.grad(number, image, retain_graph=True)
            where = gradient[0, 0].abs().sum(axis).nonzero().ravel()
            reached.append((int(where[0]), int(where[-1])))
        assert max(last - first + 1 for first, last in reached) == far.sees
        middle = len(reached) // 2
        if len(far.steps) == 1:  # behind a transposed convolution neighbours are not equally far apart
            assert reached[middle + 1][0] - reached[middle][0] == far.jump


def test_a_dense_layer_and_a_gate_see_all_that_came_before():
    assert [row.out.sees for row in account(read("conv 2 3x3, pool 2, fc 5, fc 3"), 1, 12)] == [1, 3, 4, 12, 12]
    assert account(read("se 2, conv 2 3x3 pad 1"), 1, 12)[-1].out.sees == 14


@given(st.integers(1, 64), st.integers(1, 12), st.integers(1, 5), st.integers(0, 4), st.integers(1, 3))
def test_a_size_is_taken_exactly_where_the_way_back_gives_it_again(side, size, stride, padding, dilation):
    filters = torch.empty(1, 1, size, size, device="meta")
    image = torch.empty(1, 1, side, side, device="meta")
    floored = Window("conv", "wide", size, stride, padding, dilation, floor=True)
    exact = Window("conv", "wide", size, stride, padding, dilation)
    try:
        out = nn.functional.conv2d(image, filters, stride=stride, padding=padding, dilation=dilation)
    except RuntimeError:
        with pytest.raises(LayerError, match="does not fit") as caught:
            floored.positions(Axis(side))
        pad = int(re.search(r"pad (\d+)", str(caught.value))[1])
        assert Window("conv", "wide", size, stride, pad, dilation, floor=True).positions(Axis(side)) >= 1
        wider = int(re.search(r"an input (\d+) wide would do", str(caught.value))[1])
        assert exact.positions(Axis(wider)) == 1
        return
    assert floored.positions(Axis(side)) == out.shape[-1]
    back = conv_transpose2d(out, filters, stride=stride, dilation=dilation).shape[-1] - 2 * padding
    if back == side:
        assert exact.positions(Axis(side)) == out.shape[-1]
        return
    with pytest.raises(LayerError, match="does not divide") as caught:
        exact.positions(Axis(side))
    for near in map(int, re.findall(r"\d+", str(caught.value).split("positions; ")[1])):
        assert exact.positions(Axis(near)) in (out.shape[-1], out.shape[-1] + 1)


@given(st.integers(1, 64), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2))
def test_ceil_rounds_up_as_pytorch_does(side, size, stride, padding):
    if padding > size // 2 or side + 2 * padding < size:
        return
    out = nn.MaxPool2d(size, stride, padding, ceil_mode=True)(torch.empty(1, 1, side, side, device="meta"))
    assert Window("pool", "wide", size, stride, padding, ceil=True).positions(Axis(side)) == out.shape[-1]


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
    assert total(rows, "macs") == flops.get_total_flops() // 2
    assert (rows[-1].out.channels, rows[-1].out.height) == tuple(out.shape[1:3])
    assert {n: each[-1].out.channels for n, each in by_branch(rows).items()} == {"1": 64, "2": 128, "3": 32, "4": 32}
    assert sum(total(each, "macs") for each in by_branch(rows).values()) == total(rows, "macs")


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


MISFITS = [
    (
        "conv 96 11x11 stride 4",
        224,
        "(224 + 2·0 − 11) / 4 + 1 = 54.25 positions; 223 or 227 wide would do, or the word floor",
    ),
    ("conv 6 11 pad 2", 5, "its input is 5 wide, with padding 9; pad 3 or an input 7 wide would do"),
    ("conv 6 3 dilation 4", 5, "its window reaches over 9, its input is 5 wide; pad 2 or an input 9 wide would do"),
    ("conv 6 5x1 stride 2", 4, "its input is 4 high; pad 1x0 floor or an input 5 high would do"),
    ("pool 2 pad 2", 8, "windows of 2 take a padding of 1 at most"),
    ("conv 4 1 groups 2", 8, "3 channels that come in do not split into 2 groups"),
    ("conv 4 1 groups 3", 8, "4 filters do not split into 3 groups"),
    ("groupnorm 2", 8, "3 channels do not split into 2 groups"),
    ("slice 4", 8, "only 3 channels come in"),
    ("skip 2", 8, "3 channels come in, and it can only add some"),
    ("(conv 4 1 | conv 4 3)", 8, "4 × 8 × 8 and 4 × 6 × 6 cannot lie side by side"),
    ("(conv 4 1 + )", 8, "4 × 8 × 8 and 3 × 8 × 8 cannot be added"),
    ("fc 10, pool 2", 32, "its input is 1 wide, and no image makes it larger; put it before the dense layer"),
    ("average, conv 4 3", 32, "no image makes it larger"),
    ("transposed 4 1 pad 3", 3, "its padding leaves nothing"),
    ("transposed 4 2 same", 3, "must be fewer than its stride or dilation"),
]


@pytest.mark.parametrize(("text", "side", "sentence"), MISFITS, ids=[text for text, _, _ in MISFITS])
def test_a_network_that_does_not_fit_says_the_sum_and_a_way_out_that_is_one(text, side, sentence):
    with pytest.raises(LayerError) as caught:
        account(read(text), 3, side)
    assert sentence in str(caught.value)
