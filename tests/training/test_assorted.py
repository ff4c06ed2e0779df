"""Nets of many shapes: every one trains as PyTorch would train it alone."""

import numpy as np
import pytest
import torch
from torch import nn

from core.nets import INITS
from core.training.assorted import OPTIMIZERS, Assorted, parameters

he = INITS["he"]
SHAPES = [(5,), (40,), (3, 7), (16, 16), (9, 4, 12), (6, 5, 4, 3)]
KERAS_LIKE = {"sgd": (torch.optim.SGD, {}), "momentum": (torch.optim.SGD, {"momentum": 0.9})} | {
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {}),
    "nadam": (torch.optim.NAdam, {}),
}


def task(examples=70, inputs=2, seed=1):
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, inputs, generator=chance)
    return x, torch.sin(3 * x[:, 0]) + x[:, 1:].sum(dim=1)


def pytorch_net(nets, i):
    """Net i as anyone would write it, with its weights of now."""
    parts, fan_in = [], nets.inputs
    for width in nets.architectures[i]:
        parts += [nn.Linear(fan_in, width), nn.ReLU(), *([nn.BatchNorm1d(width)] if nets.batch_norm[i] else [])]
        fan_in = width
    net = nn.Sequential(*parts, nn.Linear(fan_in, 1)).double()
    linears = [part for part in net if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for linear, weight in zip(linears, nets.weights(i), strict=True):
            linear.weight.copy_(torch.from_numpy(weight).t())
            linear.bias.zero_()
    return net


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("normed", [False, True])
def test_every_net_trains_as_pytorch_trains_it_alone(compiled, optimizer, normed):
    x, y = task()
    nets = Assorted(
        2, SHAPES, batch_norm=[normed] * len(SHAPES), optimizer=optimizer, lr=0.01, device="cpu", compiled=compiled
    )
    nets.initialise(he, 7)
    alone = [pytorch_net(nets, i) for i in range(len(SHAPES))]
    kind, settings = KERAS_LIKE[optimizer]
    optimizers = [kind(net.parameters(), lr=0.01, **settings) for net in alone]
    for epoch in range(2):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        found = nets.epoch(x, y, order, 32)
        for net, theirs, loss in zip(alone, optimizers, found, strict=True):
            total = 0.0
            for rows in order.split(32):
                theirs.zero_grad()
                wanted = nn.functional.mse_loss(net(x[rows].double()).squeeze(1), y[rows].double())
                wanted.backward()
                theirs.step()
                total += wanted.item() * len(rows)
            assert loss == pytest.approx(total / len(x), rel=2e-3)
    for i, net in enumerate(alone):
        net.eval()
        outputs = nets.predict(x)[i]
        np.testing.assert_allclose(outputs, net(x.double()).detach().squeeze(1).numpy(), rtol=0.01, atol=0.01)
        for weight, linear in zip(nets.weights(i), [each for each in net if isinstance(each, nn.Linear)], strict=True):
            np.testing.assert_allclose(weight, linear.weight.detach().t().numpy(), rtol=0.01, atol=5e-3)


@pytest.mark.parametrize("examples", [5, 1])
def test_a_batch_of_one_has_variance_0_and_ends_in_numbers(examples):
    """As in Keras; PyTorch refuses it, or makes its running variance nan."""
    x, y = task(examples)
    found = []
    for compiled in (True, False):
        nets = Assorted(2, SHAPES, batch_norm=[True] * len(SHAPES), optimizer="sgd", lr=0.01, compiled=compiled)
        nets.initialise(he, 7)
        for _ in range(3):
            losses = nets.epoch(x, y, torch.arange(examples), 2)
        found.append(np.column_stack([losses, nets.predict(x)]))
    assert np.isfinite(found[0]).all()
    # Of a batch of two, what is normalized is the rounding of their difference too: 1.5e-3 apart on an old processor.
    np.testing.assert_allclose(found[0], found[1], rtol=0.01, atol=0.01)


@pytest.mark.parametrize("normed", [False, True])
def test_one_gradient_is_autograds_to_the_last_digits(normed):
    """With SGD at rate 1 a step is the gradient."""
    x, y = task(examples=600)
    nets = Assorted(2, SHAPES, batch_norm=[normed] * len(SHAPES), optimizer="sgd", lr=1.0)
    nets.initialise(INITS["glorot"], 3)
    before = [nets.weights(i) for i in range(len(SHAPES))]
    alone = [pytorch_net(nets, i) for i in range(len(SHAPES))]
    nets.epoch(x, y, torch.arange(len(x)), len(x))
    for i, net in enumerate(alone):
        nn.functional.mse_loss(net(x.double()).squeeze(1), y.double()).backward()
        linears = [each for each in net if isinstance(each, nn.Linear)]
        for old, new, linear in zip(before[i], nets.weights(i), linears, strict=True):
            np.testing.assert_allclose(old - new, linear.weight.grad.t().numpy(), rtol=1e-3, atol=2e-6)


def test_threads_and_company_change_no_bit():
    x, y = task(examples=500)

    def run(shapes, threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            nets = Assorted(2, shapes, batch_norm=[len(each) > 1 for each in shapes], optimizer="nadam")
        finally:
            torch.set_num_threads(before)
        nets.initialise(he, 1)
        for _ in range(3):
            nets.epoch(x, y, torch.arange(500), 100)
        return dict(zip(shapes, nets.predict(x), strict=True))

    whole, again, some = run(SHAPES, 1), run(SHAPES, 2), run(SHAPES[1:4], 2)
    assert all(np.array_equal(whole[shape], again[shape]) for shape in SHAPES)
    assert all(np.array_equal(whole[shape], some[shape]) for shape in SHAPES[1:4])


@pytest.mark.parametrize("compiled", [True, False])
def test_who_takes_no_part_stands_still(compiled):
    x, y = task()
    nets = Assorted(2, SHAPES, compiled=compiled)
    nets.initialise(he, 1)
    nets.epoch(x, y, torch.arange(70), 10)
    before, seconds = nets.predict(x), nets.seconds.copy()
    active = np.array([True, False, False, True, True, False])
    losses = nets.epoch(x, y, torch.arange(70), 10, active)
    after = nets.predict(x)
    assert (np.isfinite(losses) == active).all()
    assert (np.isfinite(nets.predict(x, active)).all(axis=1) == active).all()
    for i, took_part in enumerate(active):
        assert np.array_equal(before[i], after[i]) != took_part
        assert (nets.seconds[i] > seconds[i]) == took_part


@pytest.mark.parametrize("compiled", [True, False])
def test_what_was_remembered_comes_back(compiled):
    x, y = task()
    nets = Assorted(2, SHAPES, batch_norm=[True] * len(SHAPES), compiled=compiled)
    nets.initialise(he, 1)
    nets.remember(np.full(len(SHAPES), True))
    first = nets.predict(x)
    nets.epoch(x, y, torch.arange(70), 10)
    later = nets.predict(x)
    which = np.array([True, False] * 3)
    nets.remember(which)
    nets.epoch(x, y, torch.arange(70), 10)
    nets.recall()
    back = nets.predict(x)
    assert np.array_equal(back[which], later[which])
    assert np.array_equal(back[~which], first[~which])
    assert not np.allclose(first, later)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_net_that_diverges_stays_in_its_lane(compiled):
    x, y = task()
    nets = Assorted(2, [(4,), (64, 64, 64)], optimizer="sgd", lr=0.4, compiled=compiled)
    nets.initialise(INITS["he"], 1)
    for _ in range(30):
        losses = nets.epoch(x, y, torch.arange(70), 70)
    assert not np.isfinite(losses[1])
    assert np.isfinite(losses[0])
    assert np.isfinite(nets.predict(x)[0]).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_zero_weights_stay_zero(compiled):
    x, y = task()
    nets = Assorted(2, [(8, 8)], batch_norm=[True], optimizer="sgd", lr=0.1, compiled=compiled)
    nets.initialise(INITS["zero"], 1)
    for _ in range(20):
        nets.epoch(x, y, torch.arange(70), 10)
    assert all(not weight.any() for weight in nets.weights(0))
    assert np.ptp(nets.predict(x)[0]) == 0
    assert nets.predict(x)[0, 0] == pytest.approx(float(y.mean()), abs=0.2)


def test_parameters_are_those_that_pytorch_trains():
    for hidden, normed in ((shape, norm) for shape in SHAPES for norm in (False, True)):
        nets = Assorted(2, [hidden], batch_norm=[normed])
        nets.initialise(he, 1)
        net = pytorch_net(nets, 0)
        assert parameters(2, hidden, normed) == sum(each.numel() for each in net.parameters())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architectures": []}, "architectures"),
        ({"architectures": [(4, 0)]}, "architectures"),
        ({"architectures": [(4,)], "optimizer": "lion"}, "optimizer = 'lion'"),
    ],
)
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Assorted(2, **wrong)
