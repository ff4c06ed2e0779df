"""Data-parallel training: the gradients against autograd's own, and real workers against a single one."""

import numpy as np
import pytest
import torch
from torch import nn

from core.training.crew import WorkerError
from core.training.parallel import CLASSES, INPUTS, Examples, Job, Net, Setting, Worker, by_shards, team

CPU = torch.device("cpu")
SETTINGS = (Setting("strong", 1), Setting("strong", 2), Setting("weak", 2))


def job(settings=SETTINGS, **more):
    values = {"width": 12, "layers": 2, "batch": 30, "repeated": 5, "seed": 3, "device": "cpu", **more}
    return Job(settings=settings, **values)


@pytest.fixture(scope="module")
def two():
    """Two workers, started once."""
    with team(2, job()) as workers:
        yield workers


def as_module(net):
    """The same net of PyTorch's own layers."""
    made = []
    for weight, bias in zip(net.layers[::2], net.layers[1::2], strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight, layer.bias = (nn.Parameter(each.detach().clone()) for each in (weight, bias))
        made += [layer, nn.ReLU()]
    return nn.Sequential(*made[:-1])


@pytest.mark.parametrize("layers", [1, 3])
def test_a_net_has_autograds_loss_gradient_and_step(layers):
    what = job(layers=layers)
    net, (x, y) = Net(what, CPU), Examples(what, CPU).batch(0, 20)
    module = as_module(net)
    loss = nn.functional.cross_entropy(module(x), y)
    loss.backward()
    theirs = torch.cat([each.grad.flatten() for each in module.parameters()])
    net.backward(x, y, len(y))
    torch.testing.assert_close(net.gradient[:-1], theirs)
    torch.testing.assert_close(net.gradient[-1], loss.detach())
    assert what.parameters == len(theirs) == INPUTS * 12 + 12 + (layers - 1) * (12 * 12 + 12) + 12 * CLASSES + CLASSES
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    net.step(0.1)
    torch.testing.assert_close(net.flat, torch.cat([each.detach().flatten() for each in module.parameters()]))


def test_shards_are_the_batch_and_a_larger_batch_begins_with_the_smaller():
    examples = Examples(job(), CPU)
    whole = examples.batch(4, 30)
    for shards in (1, 2, 4, 7, 30):
        parts = [examples.batch(4, 30, shard, shards) for shard in range(shards)]
        assert torch.equal(torch.cat([x for x, _ in parts]), whole[0])
        assert torch.equal(torch.cat([y for _, y in parts]), whole[1])
        assert {len(y) for _, y in parts} <= {30 // shards, -(-30 // shards)}
    assert torch.equal(examples.batch(4, 60)[0][:30], whole[0])
    assert not torch.equal(examples.batch(5, 30)[0], whole[0])
    assert len(examples.y.unique()) == CLASSES


def test_the_average_over_shards_is_the_gradient_of_the_batch_unequal_shards_too():
    differences = by_shards(job(batch=64), [1, 2, 3, 7, 64])
    assert differences[0] == 0.0
    assert 0 < max(differences) < 1e-5


def test_an_average_of_unequal_shards_means_would_be_noticed():
    net, examples, means = Net(job(), CPU), Examples(job(), CPU), []
    for shard in range(7):
        net.gradient.zero_()
        x, y = examples.batch(0, 30, shard, 7)
        net.backward(x, y, len(y))
        means.append(net.gradient.clone())
    net.gradient.zero_()
    net.backward(*examples.batch(0, 30), 30)
    wrong = torch.stack(means).mean(dim=0)
    assert float((wrong - net.gradient).norm() / net.gradient.norm()) > 1e-3


def test_two_workers_average_to_the_gradient_of_the_whole_batch(two):
    difference, nothing = two.ask("gradient_difference", 2)
    assert nothing is None
    assert difference < 1e-5
    assert difference == pytest.approx(by_shards(job(), [2])[0], abs=1e-6)  # each is rounding, in its own order
    assert two.ask("gradient_difference", 1) == [0.0, None]


def test_two_workers_train_as_one_does_and_weakly_on_twice_the_batch(two):
    rates = [0.1, 0.1, 0.05, 0.05]
    losses = {}
    for which, setting in enumerate(SETTINGS):
        answers = two.ask("train", which, 0, rates)
        assert (answers[1] is None) == (setting.workers == 1)
        seconds = np.array([each[0] for each in answers if each])
        assert seconds.shape == (setting.workers, len(rates), 3)
        assert (seconds[..., :2] > 0).all()  # compute and serial
        assert (seconds[..., 2] > 2e-5).all() == (setting.workers == 2)  # nobody is quicker over a network
        losses[setting] = [each[1] for each in answers if each]
    one = losses[SETTINGS[0]][0]
    assert losses[SETTINGS[1]] == pytest.approx([one, one], rel=1e-5)
    # Weak on two workers is one worker with twice the batch, which needs no second process to be told.
    alone = Worker(0, 1, None, job((SETTINGS[0],), batch=60))
    assert losses[SETTINGS[2]] == pytest.approx([alone("train", 0, 0, rates)[1]] * 2, rel=1e-5)
    assert abs(losses[SETTINGS[2]][0] - one) > 1e-3


def test_work_that_is_repeated_and_the_unmeasured_step_change_nothing_that_is_learned():
    rates = [0.1] * 3
    lazy, busy = (Worker(0, 1, None, job((SETTINGS[0],), repeated=n)) for n in (0, 40))
    assert lazy("train", 0, 0, rates)[1] == busy("train", 0, 0, rates)[1]
    in_turns = Worker(0, 1, None, job((SETTINGS[0],)))
    in_turns("train", 0, 0, rates[:2])
    in_turns("train", 0, 2, rates[2:])
    assert torch.equal(in_turns.nets[SETTINGS[0]].flat, lazy.nets[SETTINGS[0]].flat)


def test_networks_and_shards_are_timed(two):
    (network, other), (alone, nothing) = two.ask("network", (64, 1 << 20), 3), two.ask("alone", [30, 3], 3)
    assert np.shape(network) == np.shape(other) == (1, 2)
    assert min(network[0]) > 0
    assert nothing is None
    assert len(alone) == 2
    assert min(alone) > 0


def test_a_team_of_one_needs_no_process_and_gives_torch_its_threads_back():
    before = torch.get_num_threads()
    with team(1, job((SETTINGS[0],))) as one:
        assert not hasattr(one, "workers")
        assert one.ask("gradient_difference", 1) == [0.0]
    assert torch.get_num_threads() == before


def test_a_worker_that_fails_in_the_middle_ends_the_one_that_waits_for_its_gradient():
    with pytest.raises(WorkerError, match=r"^worker \d of 2 failed with IndexError"), team(2, job()) as workers:
        workers.ask("train", len(SETTINGS), 0, [0.1])
