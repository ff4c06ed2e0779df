"""Strong and weak scaling: the laws against what they count, the model against a ring, and real workers."""

import itertools
import math
from contextlib import closing

import numpy as np
import pytest
import torch

from core.frames import TIMED, Frame, Recording
from core.lessons.scaling import (
    ARM_SEEDS,
    ARMS,
    Clock,
    Network,
    ScalingKnobs,
    amdahl,
    drawn,
    efficiencies,
    fit,
    gustafson,
    learn,
    lesson,
    rate,
    repeated,
    settings,
    task,
    tried,
    turns,
)
from core.resources import cores
from core.training import crew
from core.training.parallel import Examples, Net, Setting

CPU = torch.device("cpu")
SMALL = {"workers": 2, "width": 16, "layers": 1, "global_batch": 64, "steps": 12, "model_up_to": 8}


def made(
    knobs,
    machine,
    step,
    settle=lambda clock: None,
    loss=lambda turn: (1.0, 1.0),
    gradient=1e-7,
    learned=None,
    others=0.02,
):
    """A recording of a run whose steps took as long as `step` says: (setting, turn) → seconds by part."""
    there = [n for n in tried(knobs) if n <= machine]
    clock = Clock(knobs, there, task(knobs, max(there), "cpu").message)
    clock.alone = np.array([0.09 / n for n in drawn(knobs)])
    settle(clock)
    recording = Recording()
    differences = np.full((2, len(drawn(knobs))), gradient)
    machine_picture = {"machine": np.array([machine, max(there)])}
    recording.append(Frame(0, pictures={**machine_picture, "gradient": differences, **clock.pictures()}))
    recording.append(Frame(0, pictures={"seconds_of_others": np.array(others)}))
    if learned is not None:
        recording.append(Frame(0, pictures={"learned": np.array(learned)}))
    for turn, steps in enumerate(turns(knobs)):
        for i, setting in enumerate(settings(knobs)):
            if setting.workers <= machine:
                clock.note(i, np.array([step(setting, turn)] * 3))
        seconds, parts = clock.turn()
        end = int(steps[-1]) + 1
        curves = {"seconds": seconds, "seconds_by_part": parts, "loss": loss(turn)}
        recording.append(Frame(end, curves, clock.pictures(), end / knobs.steps))
    return recording


def by_amdahl(setting, turn):
    """One worker takes 0.1 s, of which 0.01 are serial; the others start at no cost."""
    share = setting.workers if setting.kind == "strong" else 1
    return [0.09 / share, 0.01, 0.0]


def free(clock):
    """A network that takes no time."""
    clock.here = Network(0.0, math.inf)


def claim(knobs, recording, words):
    return next(each for each in lesson.result(knobs, recording).claims if words in each.sentence)


# ---- the laws and the model ------------------------------------------------------------------------------------------


def test_the_laws_say_what_counting_says():
    n = np.array([1, 2, 5, 64])
    serial, parallel = 3.0, 7.0  # seconds of one worker
    np.testing.assert_allclose(amdahl(0.3, n), (serial + parallel) / (serial + parallel / n))
    # The same ten seconds on each of n workers would have taken one worker this long.
    np.testing.assert_allclose(gustafson(0.3, n), (serial + n * parallel) / (serial + parallel))
    assert amdahl(0.25, np.array([1e12]))[0] == pytest.approx(4)


def test_a_fit_finds_the_serial_share_and_says_when_there_is_none():
    n = np.array([1, 2, 3, 4, 8])
    serial, quality = fit(n, amdahl(0.2, n))
    assert (serial, quality) == (pytest.approx(0.2), pytest.approx(1.0))
    assert fit(n, np.array([1.0, 3.0, 1.0, 3.0, 1.0]))[1] < 0.9


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_a_ring_takes_as_long_as_its_messages_one_after_another(n):
    chunks = np.eye(n) * 0 + np.arange(n)[:, None]  # worker i holds i in each of n chunks
    latency, bandwidth, message, seconds = 2.0, 5.0, 60, 0.0
    for phase, step in itertools.product(("add", "copy"), range(n - 1)):
        before = chunks.copy()
        for i in range(n):
            k = (i - step + (phase == "copy")) % n  # the chunk that goes on to the next worker
            chunks[(i + 1) % n, k] = before[i, k] + (chunks[(i + 1) % n, k] if phase == "add" else 0)
        seconds += latency + message / n / bandwidth
    assert (chunks == sum(range(n))).all()
    assert sum(Network(latency, bandwidth).ring(n, message)) == pytest.approx(seconds)


def test_latency_and_bandwidth_are_read_off_a_network_that_has_them():
    knobs = ScalingKnobs(workers=4)
    clock = Clock(knobs, [1, 2, 3, 4], 10**6)
    real = Network(1e-4, 2e9)
    clock.listen([[sum(real.ring(n, size)) for size in clock.sizes] for n in (2, 3, 4)])
    assert clock.here == pytest.approx(real, rel=0.02)
    assert clock.network == clock.here
    other = Clock(knobs.model_copy(update={"latency": 50.0, "bandwidth": 0.1}), [1], 10**6)
    assert other.network == pytest.approx((5e-5, 1e8))


def test_efficiencies_are_ratios_of_the_same_turn():
    knobs = ScalingKnobs(workers=2)
    seconds = np.array([[8.0, 5.0, 10.0], [16.0, 10.0, 20.0]])  # the machine is half as quick in the second turn
    strong, weak = efficiencies(knobs, seconds)
    np.testing.assert_allclose(strong, [[1, 0.8]] * 2)
    np.testing.assert_allclose(weak, [[1, 0.8]] * 2)


def test_the_serial_share_is_that_of_one_workers_examples():
    for share in (0.0, 0.1, 0.5):
        knobs = ScalingKnobs(serial_fraction=share, global_batch=1000)
        assert repeated(knobs) / (repeated(knobs) + 1000) == pytest.approx(share, abs=1e-3)


def test_only_a_weak_batch_raises_the_learning_rate_and_gradually():
    knobs = ScalingKnobs(rule="linear", steps=100)
    weak = [rate(knobs, Setting("weak", 4), step) for step in range(100)]
    assert rate(knobs, Setting("strong", 4), 99) == rate(knobs, Setting("strong", 1), 0)
    assert weak == sorted(weak)
    assert weak[0] < 1.2 * rate(knobs, Setting("strong", 1), 0)
    assert weak[20] == weak[99] == pytest.approx(4 * rate(knobs, Setting("strong", 1), 0))
    root = knobs.model_copy(update={"rule": "square root"})
    assert rate(root, Setting("weak", 4), 99) == pytest.approx(weak[99] / 2)


def test_every_number_of_workers_has_an_example_and_every_step_is_taken_once():
    odd = {"workers": 5, "steps": 10}
    for values in ({}, {"workers": 32, "global_batch": 32, "model_up_to": 1024}, odd):
        knobs = ScalingKnobs.parse(values)
        assert drawn(knobs)[-1] <= knobs.global_batch
        assert set(tried(knobs)) <= set(drawn(knobs))
        assert np.concatenate(turns(knobs)).tolist() == list(range(knobs.steps))
        assert len(turns(knobs)) >= 5


# ---- what a recording says -------------------------------------------------------------------------------------------


def test_facts_and_claims_of_a_machine_that_obeys_amdahl():
    knobs = ScalingKnobs(workers=4, latency=1e-6, bandwidth=1000.0)
    recording = made(knobs, 4, by_amdahl)
    assert "More workers make" in lesson.result(knobs, recording).claims[0].sentence
    found = lesson.result(knobs, recording).values
    for n in (2, 3, 4):
        assert found[f"speedup[{n}]"] == pytest.approx(0.1 / (0.01 + 0.09 / n))
        assert found[f"efficiency_strong[{n}]"] == pytest.approx(found[f"speedup[{n}]"] / n)
        assert found[f"efficiency_weak[{n}]"] == pytest.approx(1.0)
        assert found[f"efficiency_strong_spread[{n}]"] == pytest.approx(0.0)
    assert found["serial_fraction"] == pytest.approx(0.1)
    assert found["amdahl_serial_fraction"] == pytest.approx(0.1)
    assert found["amdahl_r2"] == pytest.approx(1.0)
    assert (found["cores"], found["workers_measured"]) == (4, 4)
    assert found["model_efficiency_strong[64]"] == pytest.approx(0.1 / (0.01 + 0.09 / 64) / 64, rel=0.01)
    for words in ("gradient of the whole batch", "More workers make", "One serial share"):
        assert claim(knobs, recording, words).holds is True, words


def test_beyond_the_cores_there_is_a_model_and_no_measurement():
    knobs = ScalingKnobs(workers=8, latency=50.0, bandwidth=1.0)
    recording = made(knobs, 2, by_amdahl, free)
    found = lesson.result(knobs, recording).values
    assert found["speedup[2]"] is not None
    assert found["speedup[3]"] is found["speedup[8]"] is found["amdahl_r2"] is None
    speedup = recording.picture("seconds_speedup")
    at = np.array(drawn(knobs)) > 2
    assert np.isnan(speedup[:2, at]).all()
    assert np.isfinite(speedup[2:]).all()
    assert claim(knobs, recording, "One serial share").holds is None
    measured, modelled = np.split(recording.picture("seconds_of_parts"), 2)
    assert np.isnan(measured[:, at]).all()
    assert np.isnan(modelled[:, ~at]).all()
    np.testing.assert_allclose(measured[:, 1], [45, 55, 55, 55, 55], rtol=1e-5)
    assert "2 workers on 2 cores" in claim(knobs, recording, "More workers make").measured


def test_one_core_decides_nothing():
    knobs = ScalingKnobs(workers=4)
    recording = made(knobs, 1, by_amdahl)
    assert lesson.result(knobs, recording).values["speedup[2]"] is None
    for words in (
        "More workers make",
        "falls less",
        "One serial share",
        "Parts that were timed",
        "The same examples",
    ):
        assert claim(knobs, recording, words).holds is None, words


def test_claims_flip_with_what_was_measured():
    knobs = ScalingKnobs(workers=2)

    def wonder(setting, turn):
        return [0.04 if setting == ("strong", 2) else 0.1, 0.0, 0.0]

    def slower(setting, turn):  # a step so small that the all-reduce takes longer than the work
        return [0.1 if setting.workers == 1 else 0.11 + 0.001 * turn, 0.0, 0.0]

    def noisy(setting, turn):  # another program takes a core in every other turn
        return [0.1 if setting.workers == 1 else (0.05, 0.15)[turn % 2], 0.0, 0.0]

    for step, verdict in ((by_amdahl, True), (wonder, False), (slower, False), (noisy, None)):
        assert claim(knobs, made(knobs, 2, step), "More workers make").holds is verdict

    def scattered(setting, turn):  # weak scaling is at no disadvantage, by turns that agree up to a little noise
        return [
            {"strong": 0.06, "weak": 0.102}[setting.kind] + 0.001 * (turn % 3) if setting.workers > 1 else 0.1,
            0,
            0,
        ]

    assert claim(knobs, made(knobs, 2, scattered), "falls less").holds is True

    def contended(setting, turn):  # two whole batches at once are slower than two halves
        return {Setting("strong", 1): [0.1, 0, 0], Setting("strong", 2): [0.05, 0, 0]}.get(setting, [0.2, 0, 0])

    assert claim(knobs, made(knobs, 2, contended), "falls less").holds is False

    def torn(setting, turn):  # now the one is better, now the other
        together = {"strong": (0.05, 0.1), "weak": (0.2, 0.1)}[setting.kind][turn % 2]
        return [0.1 if setting.workers == 1 else together, 0, 0]

    assert claim(knobs, made(knobs, 2, torn), "falls less").holds is None
    assert claim(knobs, made(knobs, 2, by_amdahl, gradient=1e-3), "gradient of the whole batch").holds is False


def test_a_busy_machine_decides_nothing_about_time():
    knobs = ScalingKnobs(workers=2)
    busy = made(knobs, 2, by_amdahl, free, others=0.6)
    for words in ("More workers make", "falls less", "Parts that were timed"):
        found = claim(knobs, busy, words)
        assert found.holds is None
        assert "other programs take 10% at most" in found.hint
    assert claim(knobs, busy, "gradient of the whole batch").holds is True


def test_the_model_is_held_against_the_step_of_all_together():
    knobs = ScalingKnobs(workers=2)

    def settle(clock):
        clock.here = Network(1e-3, 1e9)

    def as_modelled(setting, turn):
        message = task(knobs, 2, "cpu").message
        return [*by_amdahl(setting, turn)[:2], sum(Network(1e-3, 1e9).ring(setting.workers, message))]

    recording = made(knobs, 2, as_modelled, settle)
    assert claim(knobs, recording, "Parts that were timed").holds is True

    def perfect(setting, turn):  # the model says 0.9 and the machine 1.0: no model at all is nearer
        return [0.1 / (setting.workers if setting.kind == "strong" else 1), 0.0, 0.0]

    def heavy(clock):
        clock.here = Network(5e-3, 1e9)

    found = claim(knobs, made(knobs, 2, perfect, heavy), "Parts that were timed")
    assert found.holds is False  # within 25 %, which is no merit
    efficiency = recording.picture("seconds_efficiency")
    np.testing.assert_allclose(efficiency[:2, 1], efficiency[2:, 1], rtol=1e-5)

    def slower(setting, turn):
        compute, serial, sent = as_modelled(setting, turn)
        return [compute, serial, sent + 0.05 * (setting.workers == 2)]

    recording = made(knobs, 2, slower, settle)
    assert claim(knobs, recording, "Parts that were timed").holds is False
    waiting = np.diff(recording.picture("seconds_of_parts")[3:5], axis=0)[0]
    assert waiting[0] == pytest.approx(0, abs=1e-4)
    assert waiting[1] == pytest.approx(50, rel=1e-3)
    turned = ScalingKnobs(workers=2, latency=100.0)
    assert claim(turned, made(turned, 2, slower, settle), "Parts that were timed").holds is None


@pytest.mark.parametrize(("at_equal_steps", "verdict"), [(1.0, True), (0.4, False)])
def test_weak_scaling_in_learning_compares_as_many_examples(at_equal_steps, verdict):
    knobs = ScalingKnobs(workers=2, steps=60)  # fifteen turns; the weak net has seen as many examples halfway
    falls = [2.0 - 0.1 * turn for turn in range(15)]
    recording = made(knobs, 2, by_amdahl, loss=lambda turn: (falls[turn], at_equal_steps * falls[turn]))
    assert claim(knobs, recording, "The same examples").holds is verdict
    linear = knobs.model_copy(update={"rule": "linear"})
    assert not any("The same examples" in each.sentence for each in lesson.result(linear, recording).claims)


def test_a_serial_share_lies_between_0_and_1_or_there_is_none():
    def dear(setting, turn):  # two workers take longer than one
        return [0.1 if setting.workers == 1 else 0.13, 0.0, 0.0]

    def wonder(setting, turn):
        return [0.1 if setting.workers == 1 else 0.03, 0.0, 0.0]

    two = ScalingKnobs(workers=2)
    for step in (dear, wonder):
        assert lesson.result(two, made(two, 2, step)).values["amdahl_serial_fraction"] is None
    assert 0 <= lesson.result(two, made(two, 2, by_amdahl)).values["amdahl_serial_fraction"] <= 1
    four = ScalingKnobs(workers=4, latency=1e-6, bandwidth=1000.0)
    found = claim(four, made(four, 4, dear), "One serial share")
    assert found.holds is False
    assert "no serial share between 0 and 1" in found.measured

    def jagged(setting, turn):  # R² of any law is low
        return [{1: 0.1, 2: 0.04, 3: 0.09, 4: 0.03}[setting.workers if setting.kind == "strong" else 1], 0.0, 0.0]

    assert claim(four, made(four, 4, jagged), "One serial share").holds is False


@pytest.mark.parametrize(("raised", "verdict"), [(1.2, True), (1.8, False), (1.56, None)])
def test_a_raised_rate_helps_or_does_not_or_cannot_be_told(raised, verdict):
    knobs = ScalingKnobs(workers=2, rule="linear")
    noise = np.linspace(-0.05, 0.05, ARM_SEEDS)
    learned = [0.85 + noise, 1.55 + noise, raised - noise]
    words = "A learning rate raised by k"
    assert claim(knobs, made(knobs, 1, by_amdahl, learned=learned), words).holds is verdict  # on one core as well
    assert claim(knobs, made(knobs, 2, by_amdahl), words).holds is None
    fixed = ScalingKnobs(workers=2)
    assert not any(words in each.sentence for each in lesson.result(fixed, made(fixed, 2, by_amdahl)).claims)


def test_large_batches_learn_as_the_workers_of_weak_scaling_do():
    knobs = ScalingKnobs(workers=4, width=8, layers=1, global_batch=32, steps=40, rule="linear", serial_fraction=0.0)
    found = learn(knobs, CPU)
    assert found.shape == (len(ARMS), ARM_SEEDS)
    job = task(knobs, 1, "cpu")
    net, examples = Net(job, CPU), Examples(job, CPU)
    for step in range(10):
        net.gradient.zero_()
        for shard in range(4):
            net.backward(*examples.batch(step, 128, shard, 4), 128)
        net.step(0.05)
    net.gradient.zero_()
    net.backward(examples.x, examples.y, len(examples.y))
    assert found[1, 0] == pytest.approx(net.gradient[-1].item(), rel=1e-4)
    assert found[0, 0] < found[1, 0]


# ---- real workers ----------------------------------------------------------------------------------------------------

two_cores = pytest.mark.skipif(cores() < 2, reason="two workers need two cores")


@pytest.fixture(scope="module")
def whole():
    """A small run with two workers."""
    knobs, recording = ScalingKnobs(**SMALL), Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return recording


@two_cores
def test_two_workers_are_measured(whole):
    knobs = ScalingKnobs(**SMALL)
    found = lesson.result(knobs, whole).values
    for fact in (
        "speedup[2]",
        "efficiency_strong[2]",
        "efficiency_weak[2]",
        "latency_microseconds",
        "bandwidth_gigabytes",
    ):
        assert found[fact] > 0, fact
    assert 0 < found["gradient_difference"] < 1e-5
    assert np.isfinite(whole.picture("gradient")[1, :2]).all()
    assert np.isfinite(whole.curve("seconds")[1]).all()
    assert lesson.result(knobs, whole).outcome.startswith("With two workers")
    for panel in lesson.panels(knobs):
        assert any(np.isfinite(np.asarray(trace.y, dtype=float)).any() for trace in panel.figure(whole).data)
    assert whole.curve("loss")[1][-1, 0] < math.log(10) + 0.5


@two_cores
def test_a_run_that_is_closed_leaves_no_worker_and_was_equal_so_far_but_for_the_seconds(whole, monkeypatch):
    started, real = [], crew._Process

    def noted():
        started.append(real())
        return started[-1]

    monkeypatch.setattr(crew, "_Process", noted)
    part = Recording()
    with closing(lesson.train(ScalingKnobs(**SMALL), CPU)) as frames:
        for frame in itertools.islice(frames, 7):
            part.append(frame)
        assert len(started) == 2
        assert all(worker.process.poll() is None for worker in started)
    assert all(worker.process.poll() is not None for worker in started)
    for name in part.curves:
        if not name.startswith(TIMED):
            np.testing.assert_array_equal(part.curve(name)[1], whole.curve(name, 0, 7)[1])
    for name in part.pictures:
        if not name.startswith(TIMED):
            np.testing.assert_array_equal(part.picture(name), whole.picture(name, 7))
    assert len(part.curve("loss")[0]) == 3
