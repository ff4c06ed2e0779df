"""Residual nets: against the calculator's account, a plain computation of a block, and PyTorch's own start."""

import math

import pytest
import torch
from torch.nn import functional

from core.convnets import account, read, total
from core.convnets.published import resnet
from core.training.resnet import Block, ResNet, multiplications, size


def net(depth=8, channels=3, shortcut="padding", seed=1):
    made = ResNet(depth, channels, 10, shortcut)
    made.initialise(torch.Generator().manual_seed(seed))
    return made


def test_resnet_44_has_the_published_sizes():
    assert size(44) == (658_586, 3168)
    assert size(44, shortcut="projection") == (662_826, 665_994 - 662_826)


@pytest.mark.parametrize("depth", [8, 20, 56])
@pytest.mark.parametrize(
    ("shortcut", "words"),
    [("padding", ("no bias", "skip {} stride 2 floor")), ("projection", ("", "conv {} 1x1 stride 2 floor"))],
)
def test_sizes_are_those_of_the_calculator(depth, shortcut, words):
    rows = account(read(resnet((depth - 2) // 6, *words)), 3, 32)
    assert size(depth, shortcut=shortcut) == (total(rows, "parameters"), total(rows, "statistics"))
    if shortcut == "padding":
        assert multiplications(depth, 3, 32) == total(rows, "macs")


@pytest.mark.parametrize("side", [8, 7, 28])
def test_multiplications_of_other_sides(side):
    rows = account(read(resnet(1, "no bias", "skip {} stride 2 floor")), 1, side)
    assert multiplications(8, 1, side) == total(rows, "macs")


@pytest.mark.parametrize("depth", [2, 7, 9, 44.5])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=r"6n \+ 2"):
        ResNet(depth, 3, 10)


@pytest.mark.parametrize("shortcut", ["padding", "projection"])
def test_a_block_adds_what_came_in(shortcut):
    whole = net(shortcut=shortcut)
    block = whole.blocks[1]
    assert isinstance(block, Block)
    for norm in (block.first_norm, block.second_norm):
        norm.weight.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(2))
    x = torch.rand(4, 16, 9, 9, generator=torch.Generator().manual_seed(3))

    def normed(x, norm):
        mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, correction=0)
        return (x - mean) / (var + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]

    inner = normed(functional.conv2d(x, block.first.weight, block.first.bias, 2, 1), block.first_norm).relu()
    inner = normed(functional.conv2d(inner, block.second.weight, block.second.bias, 1, 1), block.second_norm)
    if shortcut == "padding":
        past = torch.cat([x[:, :, ::2, ::2], torch.zeros(4, 16, 5, 5)], dim=1)
    else:
        past = functional.conv2d(x, block.past.weight, block.past.bias, 2)
    torch.testing.assert_close(block(x.clone()), (inner + past).relu())


def test_it_starts_as_he_and_takes_nothing_from_the_global_chance():
    before = torch.random.get_rng_state()
    made, again, other = net(20), net(20), net(20, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    for (name, one), two, three in zip(made.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        if one.dim() > 1:
            fan_in = one[0].numel()
            assert one.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=6 / math.sqrt(one.numel())), name
            assert not torch.equal(one, three)
    assert all(
        (norm.weight == 1).all() and (norm.bias == 0).all()
        for norm in made.modules()
        if isinstance(norm, torch.nn.BatchNorm2d)
    )


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 32), (1, 7)])
def test_any_picture_will_do_and_memory_order_changes_nothing(channels, side):
    made = net(channels=channels).eval()
    x = torch.randn(3, channels, side, side, generator=torch.Generator().manual_seed(1))
    scores = made(x)
    assert scores.shape == (3, 10)
    torch.testing.assert_close(made(x.to(memory_format=torch.channels_last)), scores)
    torch.testing.assert_close(made.to(memory_format=torch.contiguous_format)(x), scores, rtol=1e-4, atol=1e-5)
