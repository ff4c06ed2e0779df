"""The calculator's figures, to the last digit; PyTorch's own nets; and what the page refuses."""

import re

import numpy as np
import pytest
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from core.claims import Claim
from core.convnets import account, read, total
from core.frames import Recording
from core.knobs import KnobError
from core.lessons.cnn_arithmetic import LESSON, NETS, PRESETS, CnnKnobs, design, facts, memory, resnet, stacked

CPU = torch.device("cpu")


def record(knobs: CnnKnobs) -> Recording:
    recording = Recording()
    for frame in LESSON.train(knobs, CPU):
        recording.append(frame)
    return recording


def found(knobs: CnnKnobs) -> dict[str, float | None]:
    return dict(facts(knobs, record(knobs)))


def claim(words: str, knobs: CnnKnobs) -> Claim:
    return next(each for each in LESSON.claims(knobs, record(knobs)) if words in each.sentence)


EXACT = {
    "parameters[alexnet]": 62_378_344,
    "parameters[alexnet two groups]": 60_965_224,
    "parameters[alexnet torchvision]": 61_100_840,
    "parameters[vgg19]": 143_667_240,
    "macs[vgg19]": 19_632_062_464,
    "activations[vgg19]": 16_542_184,
    "parameters[inception 3a]": 163_696,
    "parameters[inception 3b]": 388_736,
    "macs[inception 3b naive at 32]": 1_115_684_864,
    "macs[inception 3b at 32]": 397_410_304,
    "parameters[resnet44]": 658_586,
    "parameters[resnet44 keras]": 662_826,
    "statistics[resnet44 keras]": 665_994 - 662_826,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_reference_figures_are_exact_whatever_the_knobs(preset):
    figures = found(PRESETS[preset])
    assert {name: figures[name] for name in EXACT} == EXACT
    assert figures["macs[alexnet]"] == pytest.approx(1.135e9, rel=5e-4)
    assert figures["macs[inception 3a]"] == pytest.approx(128.0e6, rel=1e-3)
    assert figures["macs[inception 3b]"] == pytest.approx(304.3e6, rel=1e-3)


def test_weights_and_biases_are_told_apart():
    for name, weights, biases in (("AlexNet", 62_367_776, 10_568), ("VGG19", 143_652_544, 14_696)):
        rows = NETS[name].rows()
        assert (total(rows, "weights"), total(rows, "biases")) == (weights, biases)


@pytest.mark.parametrize("name", ["AlexNet torchvision", "VGG19"])
def test_torchvisions_own_nets_agree(name):
    make = {"VGG19": torchvision.models.vgg19, "AlexNet torchvision": torchvision.models.alexnet}[name]
    with torch.device("meta"):
        theirs = make().eval()
        with FlopCounterMode(display=False) as flops:
            theirs(torch.empty(1, 3, 224, 224))
    rows = NETS[name].rows()
    assert total(rows, "parameters") == sum(p.numel() for p in theirs.parameters())
    assert total(rows, "multiplications") == flops.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("AlexNet", (1000, 1)),
        ("LeNet-5", (10, 1)),
        ("ResNet-44", (10, 1)),
        ("Inception 3a", (256, 28)),
        ("Inception 3b", (480, 28)),
        ("Inception 3b naive", (672, 28)),
    ],
)
def test_outputs_have_the_published_shapes(name, out):
    last = NETS[name].rows()[-1].out
    assert (last.channels, last.side) == out


def test_a_residual_net_is_as_deep_as_its_name():
    for blocks in (1, 3, 7):
        rows = account(read(resnet(blocks, "no bias", "skip {} stride 2 floor")), 3, 32)
        assert sum(row.kind in ("conv", "fc") for row in rows) == 6 * blocks + 2


def test_the_notebooks_figures_come_of_its_omissions():
    figures = found(PRESETS["As the notebook ran it"])
    assert figures["parameters[AlexNet, this run]"] == 62_369_152
    assert figures["parameters[VGG19, this run]"] == 143_652_544
    assert figures["multiplications[Inception 3b naive, this run]"] == 1_115_684_864
    assert figures["multiplications[Inception 3b, this run]"] == 397_410_304


@pytest.mark.parametrize("words", ["AlexNet in one tower has", "VGG19 has"])
def test_the_notebooks_totals_do_not_hold_and_the_published_ones_do(words):
    assert claim(words, PRESETS["As the notebook ran it"]).holds is False
    assert claim(words, PRESETS["Done right"]).holds is True


def test_every_claim_holds_when_done_right():
    knobs = PRESETS["Done right"]
    assert [each.verdict for each in LESSON.claims(knobs, record(knobs))] == ["holds"] * 12


def test_every_exact_claim_holds_for_every_net():
    for name in NETS:
        knobs = CnnKnobs(nets=(name,))
        assert not [each.sentence for each in LESSON.claims(knobs, record(knobs)) if each.holds is False]


def test_a_large_batch_is_mostly_activations():
    words = "activations take more memory"
    assert [claim(words, CnnKnobs(batch_size=batch)).holds for batch in (1, 8, 9, 64)] == [False, False, True, True]
    assert claim(words, CnnKnobs(nets=("LeNet-5",))).holds is None


def test_stacking_pays_where_a_filter_is_wider_than_one():
    assert [claim("Three stacked", CnnKnobs(filter_size=size)).holds for size in (1, 2, 3, 15)] == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("size", range(1, 16))
@pytest.mark.parametrize("times", [1, 3, 8])
def test_a_stack_maps_as_many_numbers_as_the_one_large_convolution(size, times):
    large = times * (size - 1) + 1
    x = torch.empty(1, 1, 512, 512, device="meta")
    one = torch.nn.functional.conv2d(x, torch.empty(1, 1, large, large, device="meta"))
    for _ in range(times):
        x = torch.nn.functional.conv2d(x, torch.empty(1, 1, size, size, device="meta"))
    assert x.shape == one.shape
    assert [rows[-1].out.side for rows in stacked(size, times)] == [x.shape[-1]] * 2
    assert [rows[-1].out.sees for rows in stacked(size, times)] == [large] * 2


def test_the_readers_net_is_judged_like_the_others():
    words = "In your net, too"
    averaged = CnnKnobs(net="conv 64 3x3 pad 1, pool 2, conv 128 3x3 pad 1, average, fc 10")
    assert claim(words, CnnKnobs()).holds is True
    assert claim(words, averaged).holds is False
    assert found(averaged)["parameters[your net, this run]"] == 64 * 28 + 128 * (64 * 9 + 1) + 1290


def test_a_run_ends_with_the_sums_of_all_layers():
    knobs = PRESETS["Done right"]
    recording = record(knobs)
    for i, name in enumerate(knobs.nets):
        rows = design(knobs, name).rows()
        for count in ("parameters", "multiplications", "activations"):
            assert recording.last(count)[i] == total(rows, count)
        assert (
            recording.last("memory")[i]
            == memory(knobs, rows)
            == 4 * (total(rows, "parameters") + 64 * total(rows, "activations"))
        )
    for share in ("share_of_parameters", "share_of_multiplications"):
        assert np.nanmax(recording.picture(share), axis=1) == pytest.approx([1] * len(knobs.nets))


def test_a_frame_shows_its_layer_and_none_to_come():
    recording = record(CnnKnobs(nets=("LeNet-5", "VGG19")))
    assert len(recording) == 1 + 19
    for step, picture in recording.picture_changes("side"):
        assert np.isfinite(picture).sum(axis=1).tolist() == [min(step, 5) + 1, step + 1]
    sides = recording.picture("side")
    assert sides[0, :6].tolist() == [32, 14, 5, 1, 1, 1]


def test_parameters_do_not_depend_on_the_batch_and_memory_does():
    one, many = (record(CnnKnobs(batch_size=batch)) for batch in (1, 2))
    assert np.array_equal(one.last("parameters"), many.last("parameters"))
    assert (many.last("memory") - one.last("memory") == 4 * one.last("activations")).all()
    assert (record(CnnKnobs(batch_size=1, bytes_per_number=2)).last("memory") * 2 == one.last("memory")).all()


def test_a_size_that_does_not_divide_is_refused_with_sizes_that_do():
    net = "conv 32 3x3\npool 2\nconv 64 3x3\npool 2\nfc 10"
    with pytest.raises(KnobError) as caught:
        LESSON.parse({"net": net, "input_size": 32})
    sentence = str(caught.value)
    assert "input_size = 32: pool 2 does not divide an input 13 wide" in sentence
    near = re.search(r"your net fits at (\d+) and (\d+)\.$", sentence)
    assert near is not None
    assert [LESSON.parse({"net": net, "input_size": int(side)}).input_size for side in near.groups()] == [30, 34]
    assert LESSON.parse({"net": net.replace("pool 2", "pool 2 floor"), "input_size": 32})


def test_alexnets_filters_refuse_a_picture_of_224_as_the_notebooks_27():
    with pytest.raises(KnobError, match=r"54.25 positions.*fits at 223 and 227"):
        LESSON.parse({"net": "conv 96 11x11 stride 4", "input_size": 224})
    assert account(read("conv 96 11x11 stride 4"), 3, 27)[-1].out.side == 5  # not the notebook's 55


def test_a_net_that_nobody_chose_may_not_fit():
    assert LESSON.parse({"nets": "VGG19", "net": "pool 3", "input_size": 32}).nets == ("VGG19",)


def test_a_text_that_cannot_be_read_or_is_too_long_is_refused():
    for net, sentence in (
        ("conv 3", "lacks its size"),
        ("fc 9," * 61, "61 convolutions and dense layers; it takes 60"),
    ):
        with pytest.raises(KnobError, match=sentence):
            LESSON.parse({"net": net})
    longest = LESSON.parse({"net": "fc 9," * 60, "nets": "your net"})
    assert len(record(longest)) == 61
    assert longest == LESSON.parse(longest.model_dump())


def test_the_reveal_says_what_the_dense_layers_do():
    assert LESSON.outcome(found(CnnKnobs())) == ("They hold 86% of the parameters and do 0.6% of the multiplications.")
