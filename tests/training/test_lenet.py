"""LeNet-5 against PyTorch's own layers under autograd, and nets side by side against nets alone."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from core.training import lenet
from core.training.lenet import EPS, Kind, LeNet, SideBySide, expected, kept

CHANCE = np.random.default_rng(0)
X = torch.from_numpy(CHANCE.integers(0, 256, (24, 1, 28, 28), dtype=np.uint8))
Y = torch.from_numpy(CHANCE.integers(0, 10, 24))


def oracle(net: LeNet) -> nn.Sequential:
    """The same net from PyTorch's layers, without dropout."""
    kind = net.kind

    def norm(layer, width):
        return [layer(width, eps=EPS, momentum=1 - kind.keep)] if kind.batch_norm else []

    made = nn.Sequential(
        *([nn.BatchNorm2d(1, eps=EPS, momentum=1 - kind.keep)] if kind.input_norm else []),
        *[nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), *norm(nn.BatchNorm2d, 6), nn.AvgPool2d(2)],
        *[nn.Conv2d(6, 16, 5), nn.Tanh(), *norm(nn.BatchNorm2d, 16), nn.AvgPool2d(2)],
        *[nn.Conv2d(16, 120, 5), nn.Tanh(), *norm(nn.BatchNorm2d, 120), nn.Flatten()],
        *[nn.Linear(120, 84), nn.Tanh(), *norm(nn.BatchNorm1d, 84), nn.Linear(84, 10)],
    )
    layers = [each for each in made if isinstance(each, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, net.weights, net.biases, strict=True):
            layer.weight.copy_(weight.view_as(layer.weight))
            layer.bias.copy_(bias)
    return made


KINDS = {
    "plain": Kind(),
    "standardised": Kind(centre=33.0, spread=78.0),
    "batch norm": Kind(batch_norm=True, keep=0.9),
    "on the input too": Kind(batch_norm=True, input_norm=True, keep=0.9),
    "norm first": Kind(batch_norm=True, input_norm=True, keep=0.9, dropout_first=False),
}


@pytest.mark.parametrize("name", KINDS)
def test_scores_gradients_and_running_statistics_are_pytorchs(name):
    net = LeNet(KINDS[name], seed=3)
    other = oracle(net)
    x = (X.float() - net.kind.centre) / net.kind.spread
    norms = [each for each in other if isinstance(each, nn.BatchNorm2d | nn.BatchNorm1d)]
    with torch.no_grad():  # γ and β that are not 1 and 0, so that a mistake with them shows
        for mine, theirs in zip([each for each in net.norms if each.width], norms, strict=True):
            for one, two in ((mine.gamma, theirs.weight), (mine.beta, theirs.bias)):
                one.add_(0.3 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1)))
                two.copy_(one)
    for training in (True, False):
        scores, expected = net.train(training)(X), other.train(training)(x)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=2e-5)
        if training:
            functional.cross_entropy(scores, Y).backward()
            functional.cross_entropy(expected, Y).backward()
            layers = [each for each in other if isinstance(each, nn.Conv2d | nn.Linear)]
            for weight, bias, layer in zip(net.weights, net.biases, layers, strict=True):
                torch.testing.assert_close(weight.grad.view_as(layer.weight), layer.weight.grad, rtol=1e-3, atol=2e-5)
                torch.testing.assert_close(bias.grad, layer.bias.grad, rtol=1e-3, atol=2e-5)
            for mine, theirs in zip([each for each in net.norms if each.width], norms, strict=True):
                torch.testing.assert_close(mine.gamma.grad, theirs.weight.grad, rtol=1e-3, atol=2e-5)
                torch.testing.assert_close(mine.beta.grad, theirs.bias.grad, rtol=1e-3, atol=2e-5)
                torch.testing.assert_close(mine.mean, theirs.running_mean, rtol=1e-4, atol=1e-6)
                # PyTorch keeps the variance with Bessel's correction, Keras and this net without
                numbers = len(X) * {1: 784, 6: 784, 16: 100}.get(mine.width, 1)
                assert mine.keep == 0.9
                unbiased = 0.9 + (mine.variance - 0.9) * numbers / (numbers - 1)
                torch.testing.assert_close(unbiased, theirs.running_var, rtol=1e-4, atol=1e-6)
                theirs.running_var.copy_(mine.variance)


@pytest.mark.parametrize("maps", [1, 2])  # with batch norm on the input a map of ones comes second
def test_the_first_convolution_is_pytorchs_with_what_a_pool_takes_together_side_by_side(maps):
    chance = torch.Generator().manual_seed(1)
    x = torch.randn(3, maps, 28, 28, generator=chance)
    mine = [torch.randn(shape, generator=chance).requires_grad_() for shape in ((6, maps, 5, 5), (6,))]
    theirs = [each.detach().clone().requires_grad_() for each in mine]
    found, expected = lenet.convolve_for_pool(x, *mine), functional.conv2d(x, *theirs, padding=2)
    blocks = expected.unflatten(2, (14, 2)).unflatten(4, (14, 2)).permute(0, 1, 3, 5, 2, 4).flatten(2, 3)
    torch.testing.assert_close(found, blocks, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.mean(dim=2), functional.avg_pool2d(expected, 2), rtol=1e-5, atol=1e-5)
    upstream = torch.randn(blocks.shape, generator=chance)
    found.backward(upstream)
    blocks.backward(upstream)
    for one, two in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4)


def test_the_plain_net_has_61706_parameters_and_starts_as_keras_starts():
    net = LeNet(Kind(), seed=1)
    assert sum(each.numel() for each in net.parameters()) == 61_706
    for weight, (fan_in, fan_out) in zip(net.weights, lenet.FANS, strict=True):
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert 0.9 * limit < weight.abs().max() <= limit
    assert not any(bias.any() for bias in net.biases)
    normed = LeNet(Kind(batch_norm=True, input_norm=True), seed=1)
    for one, two in zip(net.weights, normed.weights, strict=True):
        assert torch.equal(one, two)  # nets of equal seed start alike


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.7])
def test_dropout_keeps_the_share_it_should_and_the_mean(rate):
    mask = kept((1000, 1001), rate, torch.Generator().manual_seed(1))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.mean().item() == pytest.approx(1 - rate, abs=4 * math.sqrt(rate * (1 - rate) / mask.numel()) + 2**-16)
    # neighbours share a random word: they must be independent all the same
    for lag in (1, 2, 3):
        flat = mask.flatten() - mask.mean()
        assert abs((flat[lag:] * flat[:-lag]).mean() / flat.var()) < 0.005
    net = LeNet(Kind(hidden_rate=rate), seed=1).train()
    assert net.drop(torch.ones(1000, 1000), rate).mean().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(net.eval().drop(torch.ones(3, 3), rate), torch.ones(3, 3))


def test_order_decides_which_numbers_batch_norm_sees():
    for first in (True, False):
        net = LeNet(Kind(batch_norm=True, hidden_rate=0.5, dropout_first=first), seed=1).train()
        a = torch.randn(400, 84, generator=torch.Generator().manual_seed(1))
        out = net.between(a, 4)
        seen = net.norms[4].seen[1].mean().item()
        assert seen == pytest.approx(2 if first else 1, rel=0.05)  # dropout at 0.5 doubles the variance
        assert out.var().item() == pytest.approx(1 if first else 2, rel=0.05)


def test_at_a_rate_of_0_nothing_is_drawn():
    net = LeNet(Kind(hidden_rate=0.0), seed=1).train()
    before = net.chance.get_state()
    net(X)
    assert torch.equal(net.chance.get_state(), before)


def test_nets_side_by_side_are_the_nets_alone_and_pytorchs_sgd():
    kinds = [Kind(), Kind(batch_norm=True, hidden_rate=0.5, input_rate=0.2), Kind(batch_norm=True, input_norm=True)]
    orders = [torch.randperm(24, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    together = SideBySide([LeNet(kind, 1) for kind in kinds], 0.1, 0.9)
    losses = together.train(X, Y, orders, 10)
    for i, kind in enumerate(kinds):
        alone = LeNet(kind, 1).train()
        optimizer = torch.optim.SGD(alone.parameters(), 0.1, 0.9)
        found = []
        for chosen in orders[i].split(10):
            optimizer.zero_grad()
            loss = functional.cross_entropy(alone(X[chosen]), Y[chosen])
            loss.backward()
            optimizer.step()
            found += [loss.item()] * len(chosen)
        assert losses[i] == pytest.approx(np.mean(found), rel=1e-6)
        # Alone, a net has all of torch's threads, and sums over a batch are taken in as many parts.
        for one, two in zip(together.nets[i].parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            scores = alone.eval()(X)
        judged = together.judge(X, Y)
        reads = torch.as_tensor(judged.reads[i]).long()
        assert judged.loss[i] == pytest.approx(functional.cross_entropy(scores, Y).item(), rel=1e-4)
        assert judged.accuracy[i] == pytest.approx((reads == Y).float().mean().item())
        torch.testing.assert_close(scores[torch.arange(len(Y)), reads], scores.amax(dim=1), rtol=1e-3, atol=1e-3)


def test_two_threads_train_the_same_nets_as_one_and_leave_torch_as_it_was():
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            nets = SideBySide([LeNet(Kind(batch_norm=True, hidden_rate=0.5), seed) for seed in range(3)], 0.1, 0.0)
            nets.train(X, Y, [torch.arange(24)] * 3, 8)
            nets.judge(X, Y)
            assert torch.get_num_threads() == threads
            found.append([each.detach() for net in nets.nets for each in net.parameters()])
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


def test_variances_are_what_batch_norm_expects_and_what_it_met(monkeypatch):
    net = LeNet(Kind(batch_norm=True, keep=0.5), seed=1)
    nets = SideBySide([net], 0.1, 0.0)
    nets.train(X, Y, [torch.arange(24)], 8)
    met = nets.judge(X, Y).met[0]
    twin = copy.deepcopy(net).eval()
    entered = functional.conv2d(X.float() / 255, twin.weights[0], twin.biases[0], padding=2).tanh()
    running = expected(net)
    assert len(running[0]) == len(met[0]) == 0
    np.testing.assert_allclose(met[1], entered.transpose(0, 1).flatten(1).var(dim=1, correction=0).detach(), rtol=1e-4)
    np.testing.assert_array_equal(running[1], net.norms[1].variance)
    assert not np.allclose(running[1], met[1], rtol=1e-3)
    monkeypatch.setattr(lenet, "JUDGED", 8)
    parts = [nets.judge(X[i : i + 8], Y[i : i + 8]).met[0][1] for i in (0, 8, 16)]
    np.testing.assert_allclose(nets.judge(X, Y).met[0][1], np.mean(parts, axis=0), rtol=1e-5)
