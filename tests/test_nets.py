import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.nets import ACTIVATIONS, INITS, leaky_relu, normal

Z = torch.linspace(-6, 6, 121, dtype=torch.float64)  # with 0, where PyTorch's slopes are a convention to be met

PLAIN = {
    "identity": lambda z: z * 1.0,
    "relu": functional.relu,
    "leaky relu": lambda z: functional.leaky_relu(z, 0.2),
    "elu": functional.elu,
    "selu": functional.selu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_and_its_slope_are_those_of_autograd(name):
    activation = ACTIVATIONS[name]
    z, g = Z.clone().requires_grad_(), torch.arange(1.0, len(Z) + 1, dtype=torch.float64)
    wanted = PLAIN[name](z)
    (wanted_g,) = torch.autograd.grad(wanted, z, g)
    a = activation.apply(Z.clone())
    torch.testing.assert_close(a, wanted.detach(), rtol=0, atol=1e-14)
    torch.testing.assert_close(activation.through(g.clone(), a), wanted_g, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_write_in_place(name):
    z, g = Z.clone(), torch.ones_like(Z)
    assert ACTIVATIONS[name].apply(z).data_ptr() == z.data_ptr()
    assert ACTIVATIONS[name].through(g, z).data_ptr() == g.data_ptr()


def test_leak_of_zero_is_relu():
    z, g = Z.clone(), torch.ones_like(Z)
    leak = leaky_relu(0)
    assert torch.equal(leak.through(g, leak.apply(z)), (Z > 0).double())


def test_leak_below_zero_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"slope = -0.1 is outside 0"):
        leaky_relu(-0.1)


def start(init, nets, fan_in, fan_out, seed=0):
    weight, bias = np.full((nets, fan_in, fan_out), np.nan), np.zeros((nets, 1, fan_out))
    init(weight, bias, np.random.default_rng(seed))
    return weight, bias


@pytest.mark.parametrize(
    ("init", "variance"),
    [(INITS["he"], 2 / 40), (INITS["glorot"], 2 / 100), (INITS["lecun"], 1 / 40), (normal(0.05), 0.05**2)],
    ids=["he", "glorot", "lecun", "normal"],
)
def test_moments(init, variance):
    weight, bias = start(init, 100, 40, 60)
    assert abs(weight.mean()) < 4 * math.sqrt(variance / weight.size)
    assert weight.var() == pytest.approx(variance, rel=0.02)
    assert not bias.any()


def test_he_is_normal_and_glorot_uniform():
    def kurtosis(name):
        weight, _ = start(INITS[name], 100, 40, 60)
        return (weight**4).mean() / weight.var() ** 2

    assert kurtosis("he") == pytest.approx(3, abs=0.1)
    assert kurtosis("glorot") == pytest.approx(1.8, abs=0.05)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 1), (1, 5), (7, 7), (8, 3), (3, 8)])
def test_orthogonal(fan_in, fan_out):
    weight, bias = start(INITS["orthogonal"], 20, fan_in, fan_out)
    gram = weight.transpose(0, 2, 1) @ weight if fan_in >= fan_out else weight @ weight.transpose(0, 2, 1)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(min(fan_in, fan_out)), gram.shape), atol=1e-12)
    assert not bias.any()


def test_orthogonal_has_no_favourite_direction():
    weight, _ = start(INITS["orthogonal"], 4000, 2, 2)
    assert np.abs(weight.mean(axis=0)).max() < 4 * math.sqrt(0.5 / 4000)
    assert (np.linalg.det(weight) > 0).mean() == pytest.approx(0.5, abs=0.04)  # reflections as often as rotations


def test_randomized_asymmetric_has_one_beta_entry_per_unit():
    fan_in, units = 9999, 400
    weight, bias = start(INITS["randomized asymmetric"], 2, fan_in, units // 2)
    both = np.concatenate([weight, bias], axis=1)  # (nets, fan_in + 1, fan_out)
    noise = 0.6007 / math.sqrt(fan_in)
    large = both > 8 * noise  # the normal entries never are; of Beta(2, 1) all but 0.2 %
    assert large.sum(axis=1).max() == 1
    assert large.sum() >= units - 5
    beta = both[large]
    assert beta.max() < 1
    assert beta.mean() == pytest.approx(2 / 3, abs=0.05)
    assert beta.var() == pytest.approx(1 / 18, abs=0.012)
    assert both[~large].std() == pytest.approx(noise, rel=0.01)


def test_randomized_asymmetric_chooses_the_bias_as_often_as_a_weight():
    weight, bias = start(INITS["randomized asymmetric"], 20_000, 1, 1)
    assert weight.mean() == pytest.approx(1 / 3, abs=0.015)  # chosen every second time, 2/3 where it is
    assert bias.mean() == pytest.approx(1 / 3, abs=0.015)


@pytest.mark.parametrize("name", sorted(INITS.keys() - {"zero"}))
def test_a_net_starts_alike_among_few_and_many(name):
    few, many = start(INITS[name], 3, 4, 5, seed=7), start(INITS[name], 50, 4, 5, seed=7)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, other[:3])
    assert not np.array_equal(few[0], start(INITS[name], 3, 4, 5, seed=8)[0])
    assert not np.array_equal(few[0][0], few[0][1])
