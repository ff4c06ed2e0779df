import pytest
import torch
from torch import nn
from torch.nn import functional

from core.nets import ACTIVATIONS, INITS, leaky_relu, relu, tanh
from core.training.fleet import OPTIMIZERS, Dropout, Fleet, orders

glorot, he = INITS["glorot"], INITS["he"]

MODULES = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
# (nets, hidden widths, batch): each takes another way through the code. Inputs and outputs come per test.
WAYS = {"matrix product": (3, (20, 15), 40), "unit by unit": (3, (3, 2), 7), "nets last": (33, (2, 2), 11)}


def make(way, *, inputs=1, outputs=1, activation=tanh, loss="mse", seed=3):
    nets, hidden, batch = WAYS[way]
    fleet = Fleet(nets, [inputs, *hidden, outputs], activation=activation, loss=loss, dtype=torch.float64)
    fleet.initialise(INITS["randomized asymmetric"], seed)  # the one with biases
    assert fleet.nets_last == (way == "nets last")
    return fleet, batch


def batches(fleet, batch, seed=5):
    """Inputs and targets that fit the fleet, other ones for every net."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(fleet.nets, batch, fleet.sizes[0], generator=chance, dtype=fleet.dtype)
    if fleet.loss == "mse":
        return x, torch.randn(fleet.nets, batch, fleet.sizes[-1], generator=chance, dtype=fleet.dtype)
    return x, torch.randint(fleet.sizes[-1], (fleet.nets, batch), generator=chance)


def alone(fleet, i):
    """Net i as anyone would write it, with its weights of now."""
    parts = []
    for weight, bias in zip(fleet.weights, fleet.biases, strict=True):
        linear = nn.Linear(*weight.shape[1:], dtype=fleet.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[i].t())
            linear.bias.copy_(bias[i, 0])
        parts += [linear, MODULES[fleet.activation.name]()]
    return nn.Sequential(*parts[:-1])


def loss_of(fleet, net, x, y):
    return functional.mse_loss(net(x), y) if fleet.loss == "mse" else functional.cross_entropy(net(x), y)


def linears(net):
    return [part for part in net if isinstance(part, nn.Linear)]


def assert_same_parameters(fleet, i, net, atol=1e-12):
    for weight, bias, linear in zip(fleet.weights, fleet.biases, linears(net), strict=True):
        torch.testing.assert_close(weight[i], linear.weight.detach().t(), rtol=0, atol=atol)
        torch.testing.assert_close(bias[i, 0], linear.bias.detach(), rtol=0, atol=atol)


# ---- the written-out gradient ----------------------------------------------------------------------------------

SHAPES = [
    ("matrix product", 1, 1),
    ("matrix product", 3, 4),
    ("unit by unit", 1, 1),
    ("unit by unit", 3, 4),
    ("nets last", 1, 1),
    ("nets last", 2, 2),
]


@pytest.mark.parametrize("loss", ["mse", "cross entropy"])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("way", "inputs", "outputs"), SHAPES)
def test_loss_and_gradient_are_those_of_autograd(way, inputs, outputs, name, loss):
    fleet, batch = make(way, inputs=inputs, outputs=outputs, activation=ACTIVATIONS[name], loss=loss)
    x, y = batches(fleet, batch)
    losses = fleet.backward(x, y)
    for i in range(0, fleet.nets, 2):
        net = alone(fleet, i)
        wanted = loss_of(fleet, net, x[i], y[i])
        wanted.backward()
        torch.testing.assert_close(losses[i], wanted.detach(), rtol=1e-12, atol=1e-14)
        for l, linear in enumerate(linears(net)):
            torch.testing.assert_close(fleet.weight_grads[l][i], linear.weight.grad.t(), rtol=1e-10, atol=1e-13)
            torch.testing.assert_close(fleet.bias_grads[l][i, 0], linear.bias.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("way", WAYS)
def test_errors_are_the_gradients_of_what_enters_each_activation(way):
    fleet, batch = make(way, outputs=2)
    x, y = batches(fleet, batch)
    fleet.backward(x[:, :5], y[:, :5])  # a batch of another size before
    fleet.backward(x, y)
    for i in range(0, fleet.nets, 10):
        entered, net = [], alone(fleet, i)
        for part in linears(net):
            part.register_forward_hook(lambda part, _, z, seen=entered: seen.append(z))
        wanted = torch.autograd.grad(loss_of(fleet, net, x[i], y[i]), entered)
        for error, each in zip(fleet.errors(), wanted, strict=True):
            torch.testing.assert_close(error[i], each, rtol=1e-10, atol=1e-14)


def test_errors_are_asked_for_after_a_backward_pass():
    with pytest.raises(ValueError, match="before the first call of backward"):
        make("matrix product")[0].errors()


def test_gradient_is_overwritten_and_not_added_up():
    fleet, batch = make("matrix product")
    x, y = batches(fleet, batch)
    fleet.backward(x, y)
    first = fleet.parameters.grad.clone()
    fleet.backward(*batches(fleet, batch // 2))  # other buffers
    assert not torch.equal(fleet.parameters.grad, first)
    fleet.backward(x, y)
    assert torch.equal(fleet.parameters.grad, first)


@pytest.mark.parametrize("loss", ["mse", "cross entropy"])
@pytest.mark.parametrize("way", WAYS)
def test_a_batch_may_be_shared_by_all(way, loss):
    fleet, batch = make(way, inputs=2, outputs=2, loss=loss)
    x, y = (each[0] for each in batches(fleet, batch))
    shared = fleet.backward(x, y).clone()
    gradient = fleet.parameters.grad.clone()
    own = fleet.backward(torch.stack([x] * fleet.nets), torch.stack([y] * fleet.nets))
    torch.testing.assert_close(shared, own)
    torch.testing.assert_close(fleet.parameters.grad, gradient)


def test_parameters_and_gradients_are_views_of_two_flat_buffers():
    fleet, batch = make("matrix product")
    fleet.backward(*batches(fleet, batch))
    for flat, parts in (
        (fleet.parameters, fleet.weights + fleet.biases),
        (fleet.parameters.grad, fleet.weight_grads + fleet.bias_grads),
    ):
        assert sum(part.numel() for part in parts) == flat.numel()
        assert sum(float(part.sum()) for part in parts) == pytest.approx(float(flat.sum()))
        flat.zero_()
        assert not any(part.any() for part in parts)


# ---- learning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_the_librarys_for_each_net(name):
    fleet, batch = make("unit by unit")
    kind = {"sgd": "SGD", "momentum": "SGD", "nesterov": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop"} | {
        "adadelta": "Adadelta", "adam": "Adam", "adamw": "AdamW", "nadam": "NAdam"
    }  # fmt: skip
    more = {"momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True}}.get(name, {})
    nets = [alone(fleet, i) for i in range(fleet.nets)]
    theirs = [getattr(torch.optim, kind[name])(net.parameters(), lr=0.05, **more) for net in nets]
    ours = fleet.optimizer(name, 0.05)
    for step in range(4):
        x, y = batches(fleet, batch, seed=step)
        fleet.backward(x, y)
        ours.step()
        for i, (net, optimizer) in enumerate(zip(nets, theirs, strict=True)):
            optimizer.zero_grad()
            loss_of(fleet, net, x[i], y[i]).backward()
            optimizer.step()
    for i, net in enumerate(nets):
        assert_same_parameters(fleet, i, net, atol=1e-10)


@pytest.mark.parametrize("way", WAYS)
def test_a_net_learns_in_a_fleet_what_it_learns_alone(way):
    fleet, _ = make(way, activation=leaky_relu(0.2))
    x = torch.linspace(-2, 2, 50, dtype=torch.float64)[:, None]
    y = x.abs()
    nets = {i: alone(fleet, i) for i in (0, fleet.nets - 1)}
    theirs = {i: torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True) for i, net in nets.items()}
    ours = fleet.optimizer("nesterov", 0.05)
    for epoch in range(3):
        for rows in orders(fleet.nets, len(x), seed=1, epoch=epoch).split(16, dim=1):  # the last batch is of 2
            losses = fleet.backward(fleet.pick(x, rows), fleet.pick(y, rows))
            ours.step()
            for i, net in nets.items():
                theirs[i].zero_grad()
                loss = functional.mse_loss(net(x[rows[i]]), y[rows[i]])
                loss.backward()
                theirs[i].step()
                assert float(losses[i]) == pytest.approx(loss.item(), rel=1e-9)
    for i, net in nets.items():
        assert_same_parameters(fleet, i, net, atol=1e-10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("way", WAYS)
def test_a_net_that_diverges_stays_in_its_lane(way, optimizer):
    def trained(blown_up):
        fleet, batch = make(way, activation=leaky_relu(0.2))
        if blown_up:
            fleet.weights[0][1] = float("inf")
            fleet.weights[1][2] *= 1e200
        stepper = fleet.optimizer(optimizer, 0.1)
        for step in range(4):
            losses = fleet.backward(*batches(fleet, batch, seed=step))
            stepper.step()
        return fleet, losses.clone()

    (sound, losses), (blown, blown_losses) = trained(False), trained(True)
    others = [i for i in range(sound.nets) if i not in (1, 2)]
    assert not blown_losses[[1, 2]].isfinite().any()
    assert torch.equal(losses[others], blown_losses[others])
    for weight, blown_weight in zip(sound.weights, blown.weights, strict=True):
        assert torch.equal(weight[others], blown_weight[others])


@pytest.mark.parametrize("way", WAYS)
def test_equal_seeds_give_equal_runs_bit_for_bit(way):
    def trained():
        fleet, batch = make(way, activation=relu)
        x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
        stepper = fleet.optimizer("adam", 0.01)
        for rows in orders(fleet.nets, len(x), seed=2, epoch=0).split(batch, dim=1):
            fleet.backward(fleet.pick(x, rows), fleet.pick(x.abs(), rows))
            stepper.step()
        return fleet.parameters

    assert torch.equal(trained(), trained())


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
@pytest.mark.parametrize("way", WAYS)
def test_pick_gives_each_net_its_own_rows(way, shape):
    fleet, batch = make(way)
    table = torch.arange(torch.Size(shape).numel()).view(shape)
    rows = orders(fleet.nets, 50, seed=0, epoch=0)[:, :batch]
    assert torch.equal(fleet.pick(table, rows), table[rows])


def test_orders_differ_by_net_epoch_and_seed_but_not_by_how_many_nets_there_are():
    many = orders(40, 100, seed=1, epoch=2)
    assert torch.equal(many.sort(dim=1).values, torch.arange(100).expand(40, -1))
    assert len({tuple(row.tolist()) for row in many}) == 40
    assert torch.equal(orders(3, 100, seed=1, epoch=2), many[:3])
    assert not torch.equal(orders(3, 100, seed=1, epoch=3), many[:3])
    assert not torch.equal(orders(3, 100, seed=2, epoch=1), many[:3])


def test_starts_do_not_depend_on_how_many_nets_there_are():
    few, many = (Fleet(nets, [1, 2, 2, 1], activation=relu) for nets in (3, 40))
    for fleet in (few, many):
        fleet.initialise(INITS["randomized asymmetric"], seed=4)
    assert many.nets_last
    assert not few.nets_last
    for one, other in zip(few.weights + few.biases, many.weights + many.biases, strict=True):
        assert torch.equal(one, other[:3])
    assert not torch.equal(many.weights[1], many.weights[1].transpose(1, 2))


def test_starts_depend_on_the_seed_and_leave_nothing_of_the_start_before():
    fleet = Fleet(3, [1, 2, 2, 1], activation=relu)
    starts = []
    for init, seed in ((he, 4), (INITS["randomized asymmetric"], 4), (he, 5), (he, 4)):
        fleet.initialise(init, seed)
        starts.append(fleet.parameters.clone())
    assert not torch.equal(starts[0], starts[2])
    assert torch.equal(starts[0], starts[3])


def test_layers_of_one_size_start_differently():
    fleet = Fleet(2, [2, 2, 2, 2], activation=relu)
    fleet.initialise(he, seed=0)
    assert not torch.equal(fleet.weights[0], fleet.weights[1])


# ---- looking ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_forward_and_layers_are_those_of_the_net_alone(way):
    fleet, batch = make(way, inputs=2, outputs=2)
    x, _ = batches(fleet, batch)
    outputs, layers, shared = fleet.forward(x), fleet.layers(x), fleet.forward(x[0])
    assert outputs.shape == (fleet.nets, batch, 2)
    for i in (0, fleet.nets - 1):
        net, a = alone(fleet, i), x[i]
        torch.testing.assert_close(outputs[i], net(x[i]).detach())
        torch.testing.assert_close(shared[i], net(x[0]).detach())
        for l, linear in enumerate(linears(net)):
            z = linear(a).detach()
            a = torch.tanh(z) if l < len(layers) - 1 else z
            torch.testing.assert_close(layers[l].before[i], z)
            torch.testing.assert_close(layers[l].after[i], a)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("way", "inputs"), [("matrix product", 3), ("nets last", 1), ("nets last", 2)])
def test_input_tangents_are_the_jacobians_of_autograd(way, inputs, name):
    fleet, _ = make(way, inputs=inputs, activation=ACTIVATIONS[name])
    x, _ = batches(fleet, 4)
    tangents = list(fleet.input_tangents(x))
    for i in (0, fleet.nets - 1):
        net = alone(fleet, i)
        for l, tangent in enumerate(tangents):
            part = net[: 2 * l + 2]  # up to and with the activation of layer l
            wanted = torch.stack([torch.autograd.functional.jacobian(part, point) for point in x[i]])
            torch.testing.assert_close(tangent[i], wanted)  # (points, width, inputs)


# ---- death -----------------------------------------------------------------------------------------------------

GRID = torch.linspace(-(3**0.5), 3**0.5, 17)[:, None]  # the paper's domain


def born_dead(init, width, layers, *, nets=4000, activation=relu, seed=1):
    """Share of nets with a constant hidden layer; `layers` counts the output layer, as the paper does."""
    fleet = Fleet(nets, [1] + [width] * (layers - 1) + [1], activation=activation)
    fleet.initialise(init, seed)
    return float(fleet.constant_layers(GRID)[:, :-1].any(dim=1).double().mean())


def test_he_nets_of_width_two_are_mostly_born_dead():
    assert born_dead(he, 2, 10) == pytest.approx(0.882, abs=0.015)
    assert born_dead(he, 10, 10) < 0.005


@pytest.mark.parametrize("name", ["glorot", "orthogonal", "lecun"])
def test_death_at_birth_depends_on_signs_only(name):
    assert born_dead(INITS[name], 2, 10) == pytest.approx(born_dead(he, 2, 10), abs=0.02)


def test_randomized_asymmetric_nets_are_born_dead_three_times_less_often():
    dead = born_dead(INITS["randomized asymmetric"], 2, 10)
    assert 0.05 < dead <= 0.30
    assert dead <= born_dead(he, 2, 10) / 3


def test_death_rises_with_depth_and_falls_with_width():
    by_depth = [born_dead(he, 2, layers, nets=1000) for layers in (3, 5, 10, 20)]
    by_width = [born_dead(he, width, 10, nets=1000) for width in (1, 2, 3, 5)]
    assert by_depth == sorted(by_depth)
    assert by_width == sorted(by_width, reverse=True)


def test_a_flat_net_is_not_a_dead_one():
    fleet = Fleet(4000, [1] + [10] * 29 + [1], activation=relu)
    fleet.initialise(glorot, seed=1)
    dead = fleet.constant_layers(GRID)[:, :-1].any(dim=1)
    flat = fleet.forward(GRID)[:, :, 0].var(dim=1) < 1e-12
    assert float(dead.double().mean()) == pytest.approx(0.015, abs=0.006)
    assert float(flat.double().mean()) > 0.5
    assert bool(flat[dead].all())


@pytest.mark.parametrize("activation", [leaky_relu(0.01), ACTIVATIONS["elu"], tanh], ids=lambda each: each.name)
def test_nets_that_cannot_die_are_never_called_dead(activation):
    assert born_dead(he, 2, 31, nets=500, activation=activation) == 0


def test_dead_nets_and_only_they_have_gradients_of_exactly_zero():
    fleet = Fleet(1000, [1] + [2] * 9 + [1], activation=relu)
    fleet.initialise(he, seed=2)
    constant = fleet.constant_layers(GRID)
    fleet.backward(GRID, GRID.abs())
    for l, gradient in enumerate(fleet.weight_grads[:-1]):  # the output layer's bias learns even in a dead net
        dead_from_here_on = constant[:, l:-1].any(dim=1)
        assert torch.equal((gradient == 0).all(dim=(1, 2)), dead_from_here_on)
    assert torch.equal(constant[:, -1], constant[:, :-1].any(dim=1))


def test_leaky_nets_always_have_a_gradient_somewhere_in_every_layer():
    fleet = Fleet(1000, [1] + [2] * 10 + [1], activation=leaky_relu(0.01))
    fleet.initialise(he, seed=2)
    fleet.backward(GRID, GRID.abs())
    for gradient in fleet.weight_grads:
        assert bool((gradient != 0).any(dim=2).any(dim=1).all())


def test_a_diverged_net_is_not_called_constant():
    fleet = Fleet(40, [1, 2, 2, 1], activation=relu)
    fleet.initialise(he, seed=1)
    fleet.weights[0][3] = float("nan")
    fleet.weights[1][4] = float("inf")
    assert not fleet.constant_layers(GRID)[3].any()
    assert not fleet.constant_layers(GRID)[4, 1:].any()


def test_an_output_may_be_constant_in_a_net_that_lives():
    fleet = Fleet(3, [1, 4, 1], activation=tanh)
    fleet.initialise(he, seed=1)
    fleet.weights[-1][1] = 0
    assert fleet.constant_layers(GRID).tolist() == [[False, False], [False, True], [False, False]]


def test_a_layer_is_constant_only_where_no_input_moves_it():
    fleet = Fleet(2, [3, 4, 1], activation=tanh)
    fleet.initialise(he, seed=1)
    fleet.weights[0][:, :2] = 0  # only the third input is left
    fleet.weights[0][1, 2] = 0
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert fleet.constant_layers(points).tolist() == [[False, False], [True, True]]


# ---- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nets", "sizes"), [(0, [1, 1]), (1, [1]), (1, [1, 0, 1])])
def test_impossible_fleets_are_refused(nets, sizes):
    with pytest.raises(ValueError, match=f"nets = {nets}, sizes = .* at least"):
        Fleet(nets, sizes, activation=relu)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (2, 4, 1), (3, 4, 2)])
def test_tables_that_do_not_fit_are_refused(shape):
    fleet = Fleet(3, [1, 2, 1], activation=relu)
    good = torch.zeros(3, 4, 1)
    with pytest.raises(ValueError, match=r"fits neither \(3, batch, 1\) nor \(batch, 1\)"):
        fleet.backward(torch.zeros(shape), good)
    with pytest.raises(ValueError, match=r"fits neither \(3, batch, 1\) nor \(batch, 1\)"):
        fleet.backward(good, torch.zeros(shape))


def test_unknown_optimizers_are_refused_with_those_there_are():
    with pytest.raises(ValueError, match="optimizer = 'sdg' is none of sgd, momentum"):
        Fleet(1, [1, 1], activation=relu).optimizer("sdg", 0.1)


# ---- on a GPU --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; this machine has none")
@pytest.mark.parametrize(("outputs", "loss"), [(1, "mse"), (3, "cross entropy")])
def test_a_gpu_computes_what_the_cpu_computes(outputs, loss):
    def trained(device):
        fleet = Fleet(40, [2, 6, 6, outputs], activation=relu, loss=loss, device=device, dtype=torch.float64)
        fleet.initialise(he, seed=1)
        stepper = fleet.optimizer("adam", 0.01)
        for step in range(5):
            x, y = (each.to(device) for each in batches(fleet, 32, seed=step))
            fleet.backward(x, y)
            stepper.step()
        dead = fleet.constant_layers(torch.linspace(-1, 1, 10, dtype=torch.float64, device=device).view(5, 2))
        return fleet.parameters.cpu(), dead.cpu()

    (here, dead_here), (there, dead_there) = trained("cpu"), trained("cuda")
    torch.testing.assert_close(here, there)
    assert torch.equal(dead_here, dead_there)


# ---- batch norm, residual layers, dropout, nets of unequal widths -----------------------------------------------


class Torch(nn.Module):
    """Net i of a fleet with every option, as PyTorch's own modules under autograd, with its weights of now."""

    def __init__(self, fleet, i, residual):
        super().__init__()
        self.i, self.fleet, self.residual = i, fleet, residual
        self.linears = nn.ModuleList(linears(alone(fleet, i)))
        self.norms = nn.ModuleList(nn.BatchNorm1d(each.shape[2], dtype=fleet.dtype) for each in fleet.gammas)

    def forward(self, x):
        x = self.masked(0, x)
        for l, linear in enumerate(self.linears[:-1]):
            h = MODULES[self.fleet.activation.name]()(linear(x))
            h = self.norms[l](h) if self.norms else h
            x = self.masked(l + 1, h + x if self.residual and h.shape == x.shape else h)
        return self.linears[-1](x)

    def masked(self, l, a):
        mask = self.fleet.masks[l]
        return a if mask is None or not self.training else a * mask[self.i].t()


EXTRAS = {
    "batch norm": {"batch_norm": True},
    "residual": {"residual": True},
    "dropout": {"dropout": Dropout(0.3, input_rate=0.2)},
    "all": {"batch_norm": True, "residual": True, "dropout": Dropout((0.5, 0.0, 0.4), input_rate=0.1)},
}


def extended(extra, *, nets=3, loss="mse", activation=tanh, sizes=(4, 6, 6, 6, 2), seed=3):
    fleet = Fleet(nets, sizes, activation=activation, loss=loss, dtype=torch.float64, **EXTRAS[extra])
    fleet.initialise(INITS["randomized asymmetric"], seed)
    return fleet


@pytest.mark.parametrize("loss", ["mse", "cross entropy"])
@pytest.mark.parametrize("extra", EXTRAS)
def test_loss_and_gradient_with_every_option_are_those_of_autograd(extra, loss):
    fleet = extended(extra, loss=loss)
    x, y = batches(fleet, 17)
    losses = fleet.backward(x, y)
    for i in range(fleet.nets):
        net = Torch(fleet, i, "residual" in EXTRAS[extra])
        wanted = loss_of(fleet, net, x[i], y[i])
        wanted.backward()
        torch.testing.assert_close(losses[i], wanted.detach(), rtol=1e-12, atol=1e-14)
        for l, linear in enumerate(net.linears):
            torch.testing.assert_close(fleet.weight_grads[l][i], linear.weight.grad.t(), rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(fleet.bias_grads[l][i, 0], linear.bias.grad, rtol=1e-9, atol=1e-13)
        for l, norm in enumerate(net.norms):
            torch.testing.assert_close(fleet._norms[l].gamma_grad[i], norm.weight.grad, rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(fleet._norms[l].beta_grad[i], norm.bias.grad, rtol=1e-9, atol=1e-13)


def test_evaluation_goes_by_running_statistics_as_pytorchs_does():
    fleet = extended("all")
    net = Torch(fleet, 1, True)
    for seed in range(5):
        x, y = batches(fleet, 17, seed)
        fleet.backward(x, y)
        net.train()(x[1])
    net.eval()
    torch.testing.assert_close(fleet.forward(x)[1], net(x[1]).detach(), rtol=1e-12, atol=1e-12)
    assert torch.equal(fleet.forward(x), fleet.forward(x))
    torch.testing.assert_close(fleet.layers(x)[-1].after, fleet.forward(x))


def test_training_with_every_option_is_that_of_pytorch():
    fleet = extended("all")
    net = Torch(fleet, 2, True)
    ours, theirs = fleet.optimizer("adam", 0.01), torch.optim.Adam(net.parameters(), 0.01)
    for seed in range(10):
        x, y = batches(fleet, 17, seed)
        fleet.backward(x, y)
        ours.step()
        theirs.zero_grad()
        loss_of(fleet, net, x[2], y[2]).backward()
        theirs.step()
    assert_same_parameters(fleet, 2, nn.Sequential(*net.linears), atol=1e-9)


def test_a_look_in_training_mode_changes_nothing_that_is_learned():
    fleet = extended("all")
    x, _ = batches(fleet, 17)
    before = [part.clone() for part in fleet._parts()]
    looks = [fleet.forward(x, training=True) for _ in range(2)]
    assert not torch.equal(*looks), "each look draws its own mask"
    assert all(torch.equal(*pair) for pair in zip(before, fleet._parts(), strict=True))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_the_rules_of_dropout_scale_one_side_or_the_other(rate):
    x = torch.rand(1, 8, 5, generator=torch.Generator().manual_seed(1)).double() + 0.5
    outputs = {}
    for rule in ("inverted", "keep", "notebook"):
        fleet = Fleet(1, [5, 1], activation=relu, dropout=Dropout((), rate, rule), dtype=torch.float64)
        fleet.initialise(he, 2)
        draws = torch.stack([fleet.forward(x, training=True) for _ in range(4000)])
        outputs[rule] = (draws.mean(0), fleet.forward(x))
        kept = {"inverted": 1 / (1 - rate)}.get(rule, 1.0)
        assert set(fleet.masks[0].unique().tolist()) == {0.0, kept}
    for rule in ("inverted", "keep"):
        torch.testing.assert_close(*outputs[rule], rtol=0.1, atol=0.02)
    ratio = (outputs["notebook"][1] / outputs["keep"][1]).mean()
    assert float(ratio) == pytest.approx(rate / (1 - rate))


def test_no_dropout_and_a_rate_of_zero_are_the_same():
    x, y = batches(extended("residual"), 9)
    found = []
    for dropout in (None, Dropout(0.0)):
        fleet = Fleet(3, (4, 6, 6, 6, 2), activation=relu, dropout=dropout, dtype=torch.float64)
        fleet.initialise(he, 1)
        fleet.backward(x, y)
        found.append(fleet.parameters.grad.clone())
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_masks_follow_the_seed():
    def masks(seed):
        fleet = extended("dropout", seed=seed)
        fleet.backward(*batches(fleet, 17))
        return torch.cat([mask.flatten() for mask in fleet.masks])

    assert torch.equal(masks(1), masks(1))
    assert not torch.equal(masks(1), masks(2))


@pytest.mark.parametrize("rate", [-0.1, 1.0, (0.1, 0.2)])
def test_a_dropout_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(ValueError, match="dropout rates"):
        Fleet(1, (2, 3, 3, 3, 1), activation=relu, dropout=Dropout(rate))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_nets_of_unequal_widths_train_as_if_alone(batch_norm):
    widths = [(5, 3), (2, 7), (7, 7)]
    fleet = Fleet(3, (2, 7, 7, 1), activation=relu, widths=widths, batch_norm=batch_norm, dtype=torch.float64)
    fleet.initialise(he, 4)
    alike = [Fleet(1, (2, *each, 1), activation=relu, batch_norm=batch_norm, dtype=torch.float64) for each in widths]
    for i, (small, (first, second)) in enumerate(zip(alike, widths, strict=True)):
        for l, (rows, columns) in enumerate(((2, first), (first, second), (second, 1))):
            small.weights[l].copy_(fleet.weights[l][i : i + 1, :rows, :columns])
            small.biases[l].copy_(fleet.biases[l][i : i + 1, :, :columns])
        for gamma in small.gammas:
            gamma.fill_(1)
    together, apart = fleet.optimizer("nadam", 0.01), [each.optimizer("nadam", 0.01) for each in alike]
    for seed in range(20):
        x, y = batches(fleet, 11, seed)
        losses = fleet.backward(x, y).clone()
        together.step()
        for i, (small, optimizer) in enumerate(zip(alike, apart, strict=True)):
            torch.testing.assert_close(losses[i : i + 1], small.backward(x[i], y[i]), rtol=1e-9, atol=1e-12)
            optimizer.step()
    assert not fleet.weights[1][0, 5:].any()
    assert not fleet.weights[1][0, :, 3:].any()


def test_unequal_widths_ask_for_an_activation_that_is_zero_at_zero():
    with pytest.raises(ValueError, match=r"sigmoid gives 0\.5"):
        Fleet(1, (1, 4, 1), activation=ACTIVATIONS["sigmoid"], widths=[(2,)])
    for wrong in ([(5,)], [(2, 2)], [(0,)], []):
        with pytest.raises(ValueError, match="widths"):
            Fleet(1, (1, 4, 1), activation=relu, widths=wrong)


def test_what_was_remembered_comes_back_net_by_net():
    fleet = extended("batch norm")
    optimizer = fleet.optimizer("adam", 0.1)

    def learn(times):
        for seed in range(times):
            fleet.backward(*batches(fleet, 9, seed))
            optimizer.step()

    x, _ = batches(fleet, 9)
    at_first = fleet.forward(x)
    fleet.remember(torch.tensor([True, True, True]))
    learn(3)
    later = fleet.forward(x)
    fleet.remember(torch.tensor([False, True, False]))
    learn(3)
    fleet.recall()
    back = fleet.forward(x)
    assert not torch.allclose(at_first, later)
    assert torch.equal(back[[0, 2]], at_first[[0, 2]])
    assert torch.equal(back[1], later[1])


def test_weight_decay_reaches_the_optimizer():
    fleet = extended("residual")
    assert fleet.optimizer("adamw", 0.1, weight_decay=0.5).param_groups[0]["weight_decay"] == 0.5
    assert fleet.optimizer("adam", 0.1).param_groups[0]["weight_decay"] == 0


def test_tangents_are_for_plain_nets():
    with pytest.raises(ValueError, match="plain nets"):
        next(extended("residual").input_tangents(torch.zeros(5, 4)))
