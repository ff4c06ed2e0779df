import pytest
import torch
from torch import nn
from torch.nn import functional

from core.nets import ACTIVATIONS, INITS, leaky_relu, relu, tanh
from core.training.fleet import OPTIMIZERS, Fleet, orders

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
