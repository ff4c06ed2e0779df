"""Exact SGD in blocks, held against the plain loop under autograd in float64."""

import functools
import sys
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from core.training import online
from core.training.online import SideBySide

CPU = torch.device("cpu")
INPUTS, WIDTHS, CLASSES, EXAMPLES = 20, (3, 8, 17), 4, 150  # 150: two whole blocks of 64 and a short one
RATES = (0.1, 0.2, 0.05)
CHANCE = torch.Generator().manual_seed(0)
X = torch.randn(EXAMPLES, INPUTS, generator=CHANCE)
Y = (X[:, :CLASSES] + 0.5 * torch.randn(EXAMPLES, CLASSES, generator=CHANCE)).argmax(dim=1)
SHUFFLED = torch.randperm(EXAMPLES, generator=CHANCE)
WITH_REPLACEMENT = torch.randint(20, (EXAMPLES,), generator=CHANCE)  # the same example about three times in a block
ORDERS = {"shuffled": SHUFFLED, "with replacement": WITH_REPLACEMENT}


@pytest.fixture(params=[False, True], ids=["torch", "compiled"])
def compiled(request: pytest.FixtureRequest) -> bool:
    if request.param:
        pytest.importorskip("numba", reason="numba is not installed: there is no compiled loop to test")
    return bool(request.param)


@pytest.fixture
def fresh_compilation() -> Iterator[None]:
    online._compiled_descent.cache_clear()
    yield
    online._compiled_descent.cache_clear()


def nets(
    widths: Sequence[int] = WIDTHS,
    lr: float | Sequence[float] = RATES,
    compiled: bool = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 3,
    init_sd: float = 0.3,
    device: torch.device = CPU,
) -> SideBySide:
    return SideBySide(
        INPUTS, widths, CLASSES, lr=lr, init_sd=init_sd, seed=seed, device=device, dtype=dtype, compiled=compiled
    )


def flat(side: SideBySide, net: int) -> Tensor:
    return torch.cat([parameter.double().cpu().flatten() for parameter in side.parameters(net)])


def plain_loop(start: Sequence[Tensor], lr: float, passes: Sequence[Tensor], batch_size: int) -> Tensor:
    """One net, one step at a time, gradients by autograd, in float64: all its weights in one vector."""
    weights = [w.double().requires_grad_() for w in start]
    w1, b1, w2, b2 = weights
    for batch in (batch for order in passes for batch in order.split(batch_size)):
        logits = torch.relu(X[batch].double() @ w1 + b1) @ w2 + b2
        gradients = torch.autograd.grad(cross_entropy(logits, Y[batch]), weights)
        with torch.no_grad():
            for w, gradient in zip(weights, gradients, strict=True):
                w -= lr * gradient
    return torch.cat([w.detach().flatten() for w in weights])


def uneven_passes(order: Tensor) -> list[Tensor]:
    """A whole pass, seven examples, a whole pass: what an earlier pass left in a buffer would show."""
    return [order, order[:7], order.flip(0)]


@functools.cache
def expected(order: str, batch_size: int) -> list[Tensor]:
    starts = [nets().parameters(net) for net in range(len(WIDTHS))]
    passes = uneven_passes(ORDERS[order])
    return [plain_loop(start, lr, passes, batch_size) for start, lr in zip(starts, RATES, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["f64", "f32"])
def test_blocks_are_the_plain_loop(
    compiled: bool, dtype: torch.dtype, tolerance: float, order: str, batch_size: int
) -> None:
    side = nets(compiled=compiled, dtype=dtype)
    starts = [flat(side, net) for net in range(len(WIDTHS))]
    for part in uneven_passes(ORDERS[order]):
        side.train(X.to(dtype), Y, part, batch_size)
    for net, end in enumerate(expected(order, batch_size)):
        assert (flat(side, net) - end).norm() < tolerance * (end - starts[net]).norm()


def test_tiny_start_of_the_notebook(compiled: bool) -> None:
    """Weights of 1e-6 grow by a factor of many thousand: rounding must not decide where they go."""
    side = nets([12], lr=0.1, compiled=compiled, dtype=torch.float32, init_sd=1e-6)
    start, before = side.parameters(0), flat(side, 0)
    passes = [SHUFFLED] * 4
    for order in passes:
        side.train(X, Y, order)
    expected = plain_loop(start, 0.1, passes, 1)
    assert expected.abs().max() > 0.1
    assert (flat(side, 0) - expected).norm() < 1e-5 * (expected - before).norm()


@pytest.mark.parametrize("batch_size", [1, 8])
def test_both_inner_loops_agree(batch_size: int) -> None:
    pytest.importorskip("numba", reason="numba is not installed: there is no compiled loop to test")
    sides = [nets(compiled=compiled, dtype=torch.float32) for compiled in (False, True)]
    before = flat(sides[0], 2)
    for side in sides:
        side.train(X, Y, SHUFFLED, batch_size)
    torch_calls, compiled_loop = (flat(side, 2) for side in sides)
    assert (torch_calls - compiled_loop).norm() < 1e-5 * (torch_calls - before).norm()


def test_batch_size_may_change_between_passes(compiled: bool) -> None:
    side = nets([8], lr=0.1, compiled=compiled)
    start = side.parameters(0)
    side.train(X.double(), Y, SHUFFLED, 8)
    side.train(X.double(), Y, SHUFFLED, 1)
    batches = [*SHUFFLED.split(8), *SHUFFLED.split(1)]
    torch.testing.assert_close(flat(side, 0), plain_loop(start, 0.1, batches, EXAMPLES), rtol=0, atol=1e-12)


def test_a_net_learns_the_same_beside_others(compiled: bool) -> None:
    alone, beside = nets([8], lr=0.1, compiled=compiled), nets([3, 8, 17], lr=0.1, compiled=compiled)
    for side in (alone, beside):
        side.train(X.double(), Y, SHUFFLED)
    torch.testing.assert_close(flat(beside, 1), flat(alone, 0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_diverging_net_leaves_its_neighbours_alone(compiled: bool, batch_size: int) -> None:
    """Bit for bit, and in the very block in which it diverges."""
    calm, wild = (nets([8, 8, 17], lr=(0.1, lr, 0.05), compiled=compiled, dtype=torch.float32) for lr in (0.05, 1e12))
    for side in (calm, wild):
        side.train(X, Y, SHUFFLED, batch_size)
    assert not flat(wild, 1).isfinite().all()
    for net in (0, 2):
        assert torch.equal(flat(wild, net), flat(calm, net))
    assert torch.equal(wild.evaluate(X, Y)[0][[0, 2]], calm.evaluate(X, Y)[0][[0, 2]])


def test_diverged_nets_are_nan_without_a_word(compiled: bool) -> None:
    """Warnings are errors here."""
    side = nets([8, 32], lr=10.0, compiled=compiled, dtype=torch.float32, init_sd=1e-6)
    for _ in range(4):
        side.train(30 * X, Y, SHUFFLED)
    loss, accuracy = side.evaluate(30 * X, Y)
    assert not loss.isfinite().any()
    assert accuracy.isfinite().all()


def test_nan_stays_nan(compiled: bool) -> None:
    """One nan among the hidden weights reaches the whole head, as it does in the plain loop, and no other net."""
    side = nets(compiled=compiled)
    side.hidden[0, WIDTHS[0]] = torch.nan  # the first unit of net 1
    side.train(X.double(), Y, SHUFFLED)
    _, _, head, bias = side.parameters(1)
    assert head.isnan().all()
    assert bias.isnan().all()
    assert flat(side, 0).isfinite().all()
    assert flat(side, 2).isfinite().all()


def test_equal_runs_are_equal_bit_for_bit(compiled: bool) -> None:
    first, second = (nets(compiled=compiled, dtype=torch.float32) for _ in range(2))
    for side in (first, second):
        side.train(X, Y, WITH_REPLACEMENT)
        side.train(X, Y, SHUFFLED, 3)
    assert torch.equal(first.hidden, second.hidden)
    assert torch.equal(first.heads, second.heads)
    assert torch.equal(torch.stack(first.evaluate(X, Y)), torch.stack(second.evaluate(X, Y)))


def test_evaluate_is_cross_entropy_and_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "CHUNK", 64)  # 150 examples in three chunks, the last one short
    side = nets()
    side.train(X.double(), Y, SHUFFLED)
    loss, accuracy = side.evaluate(X.double(), Y)
    assert loss.shape == accuracy.shape == (3,)
    for net in range(len(WIDTHS)):
        w1, b1, w2, b2 = side.parameters(net)
        logits = torch.relu(X.double() @ w1 + b1) @ w2 + b2
        torch.testing.assert_close(loss[net], cross_entropy(logits, Y))
        # One example between two classes may fall on either side: here all nets' logits come from one product.
        assert abs(accuracy[net] - (logits.argmax(dim=1) == Y).double().mean()) < 1.001 / len(Y)
    assert accuracy.min() > 0.5  # it learned: chance is a quarter


def test_accuracy_is_exactly_one_when_nothing_is_misread() -> None:
    side = nets([32], lr=0.1, dtype=torch.float32)
    for _ in range(60):
        side.train(X, Y, SHUFFLED)
    assert side.evaluate(X, Y)[1].item() == 1.0


def test_start_follows_from_seed_and_width_alone() -> None:
    alone, beside = nets([8], lr=0.1), nets([17, 8, 8], lr=0.1)
    for one, other in zip(alone.parameters(0), beside.parameters(1), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(flat(beside, 1), flat(beside, 2))
    assert torch.equal(flat(alone, 0), flat(nets([8], lr=0.1, dtype=torch.float32), 0))
    assert not torch.equal(flat(alone, 0), flat(nets([8], lr=0.1, seed=4), 0))
    assert not torch.equal(alone.parameters(0)[0][0, :8], beside.parameters(0)[0][0, :8])


def test_start_is_small_normal_weights_and_no_bias() -> None:
    w1, b1, w2, b2 = nets([500], lr=0.1, init_sd=1e-6).parameters(0)
    assert [w.shape for w in (w1, b1, w2, b2)] == [(INPUTS, 500), (500,), (500, CLASSES), (CLASSES,)]
    for w in (w1, w2):
        assert abs(w.mean()) < 1e-7
        assert w.std() == pytest.approx(1e-6, rel=0.05)
    assert not b1.any()
    assert not b2.any()


def test_parameters_are_copies() -> None:
    side = nets()
    for parameter in side.parameters(1):
        parameter.fill_(7.0)
    assert not any((parameter == 7.0).any() for parameter in side.parameters(1))


def test_an_empty_order_moves_nothing(compiled: bool) -> None:
    side = nets(compiled=compiled)
    before = flat(side, 0)
    side.train(X.double(), Y, SHUFFLED[:0])
    assert torch.equal(flat(side, 0), before)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="2 learning rates for 3 nets"):
        nets(lr=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"widths = \[8, 0\]"):
        nets([8, 0], lr=0.1)
    with pytest.raises(ValueError, match=r"labels = 1 … 4 are outside 0 … 3"):
        nets().train(X.double(), Y + 1, SHUFFLED)
    with pytest.raises(ValueError, match="batch_size = 0"):
        nets().train(X.double(), Y, SHUFFLED, 0)


@pytest.mark.usefixtures("fresh_compilation")
def test_without_numba_torch_calls_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)  # makes the import fail
    online.warm_up()
    side, torch_calls = nets(), nets(compiled=False)
    for each in (side, torch_calls):
        each.train(X.double(), Y, SHUFFLED)
    assert torch.equal(flat(side, 2), flat(torch_calls, 2))


@pytest.mark.usefixtures("fresh_compilation")
def test_compiles_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba", reason="numba is not installed: there is nothing to compile with")
    compile_, tried = numba.njit, []

    def without_a_folder(**options: object) -> object:
        tried.append(options["cache"])
        if options["cache"]:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    online.warm_up(torch.float64)
    assert tried == [True, False]
    assert online._compiled_descent(torch.float64) is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_gpu_does_the_same(batch_size: int) -> None:
    sides = [nets(device=torch.device(device)) for device in ("cpu", "cuda")]
    assert torch.equal(flat(sides[0], 2), flat(sides[1], 2))
    for side in sides:
        device = side.hidden.device
        side.train(X.to(device, torch.float64), Y.to(device), SHUFFLED, batch_size)
    for net in range(len(WIDTHS)):
        torch.testing.assert_close(flat(sides[1], net), flat(sides[0], net), rtol=0, atol=1e-10)
