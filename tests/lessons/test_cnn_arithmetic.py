"""The calculator's figures, to the last digit; what its claims say on both sides; and what the page refuses."""

import re

import numpy as np
import pytest
import torch

from core.claims import Claim
from core.convnets import account, read, total
from core.convnets.published import NETS, resnet
from core.frames import Recording
from core.knobs import KnobError
from core.lessons.cnn_arithmetic import MAX_FRAMES, CnnKnobs, lesson, memory, rows_of, stacked
from core.result import Result

CPU = torch.device("cpu")
PRESETS = lesson.presets


def run(knobs: CnnKnobs) -> Result[CnnKnobs]:
    recording = Recording()
    for frame in lesson.train(knobs, CPU):
        recording.append(frame)
    return lesson.result(knobs, recording)


def claim(words: str, knobs: CnnKnobs) -> Claim:
    return next(each for each in run(knobs).claims if words in each.sentence)


EXACT = {
    "published_parameters[AlexNet]": 62_378_344,
    "published_parameters[AlexNet two groups]": 60_965_224,
    "published_parameters[AlexNet torchvision]": 61_100_840,
    "published_parameters[VGG19]": 143_667_240,
    "published_macs[VGG19]": 19_632_062_464,
    "published_activations[VGG19]": 16_542_184,
    "published_parameters[Inception 3a]": 163_696,
    "published_parameters[Inception 3b]": 388_736,
    "published_parameters[ResNet-44]": 658_586,
    "published_parameters[ResNet-44 Keras]": 662_826,
}


@pytest.mark.parametrize("preset", ["Classroom", "As the notebook ran it"])
def test_the_published_figures_are_exact_whatever_the_knobs(preset):
    figures = run(PRESETS[preset]).values
    assert {name: figures[name] for name in EXACT} == EXACT
    assert figures["published_macs[AlexNet]"] == pytest.approx(1.135e9, rel=5e-4)
    assert figures["published_macs[Inception 3a]"] == pytest.approx(128.0e6, rel=1e-3)
    assert figures["published_macs[Inception 3b]"] == pytest.approx(304.3e6, rel=1e-3)


def test_weights_and_biases_are_told_apart():
    for name, weights, biases in (("AlexNet", 62_367_776, 10_568), ("VGG19", 143_652_544, 14_696)):
        rows = NETS[name].rows()
        assert (total(rows, "weights"), total(rows, "biases")) == (weights, biases)


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
    assert (last.channels, last.height) == out


def test_a_residual_network_is_as_deep_as_its_name_and_can_be_typed():
    for blocks in (1, 3, 7):
        rows = account(read(resnet(blocks, "no bias", "skip {} stride 2 floor")), 3, 32)
        assert sum(row.kind in ("conv", "fc") for row in rows) == 6 * blocks + 2
    for name in ("ResNet-44", "ResNet-44 Keras"):
        typed = lesson.parse({"nets": "your net", "net": NETS[name].text, "input_size": 32})
        assert run(typed).values["parameters[your net]"] == EXACT[f"published_parameters[{name}]"]


def test_the_notebooks_figures_come_of_its_omissions():
    figures = run(PRESETS["As the notebook ran it"]).values
    assert figures["parameters[AlexNet]"] == 62_369_152
    assert figures["parameters[VGG19]"] == 143_652_544
    assert figures["macs[Inception 3b naive]"] == 1_115_684_864
    assert figures["macs[Inception 3b]"] == 397_410_304


def test_macs_of_branches_add_up_and_channels_are_those_of_the_notebook():
    figures = run(PRESETS["As the notebook ran it"]).values
    for name, channels in (("Inception 3b naive", 672), ("Inception 3b", 480)):
        assert sum(figures[f"macs_of_branch_{n}[{name}]"] for n in range(1, 5)) == figures[f"macs[{name}]"]
        assert figures[f"channels_out[{name}]"] == channels
    naive = [figures[f"macs_of_branch_{n}[Inception 3b naive]"] for n in range(1, 5)]
    assert naive == [33_554_432, 452_984_832, 629_145_600, 0]  # as the notebook adds them up


@pytest.mark.parametrize("words", ["AlexNet in one tower has", "VGG19 has"])
def test_the_notebooks_totals_do_not_hold_and_the_published_ones_do(words):
    assert claim(words, PRESETS["As the notebook ran it"]).holds is False
    assert claim(words, PRESETS["Done right"]).holds is True


def test_every_claim_holds_when_done_right():
    assert [each.verdict for each in run(PRESETS["Done right"]).claims] == ["holds"] * 15


def test_every_exact_claim_holds_for_every_network():
    for name in NETS:
        assert not [each.sentence for each in run(CnnKnobs(nets=(name,))).claims if each.holds is False]


def test_what_a_run_lacks_is_not_told():
    found = claim("VGG19's dense layers", CnnKnobs(nets=("LeNet-5",)))
    assert (found.holds, found.measured) == (None, "")
    assert "VGG19 among the nets" in found.hint


def test_a_large_batch_is_mostly_activations():
    words = "activations take more memory"
    assert [claim(words, CnnKnobs(batch_size=batch)).holds for batch in (1, 8, 9, 64)] == [False, False, True, True]


def test_a_stack_is_cheaper_where_a_filter_is_wider_than_one_and_is_not_called_the_same_function():
    found = [claim("Three stacked", CnnKnobs(filter_size=size)) for size in (1, 2, 3, 15)]
    assert [each.holds for each in found] == [False, True, True, True]
    five = claim("Three stacked", CnnKnobs())
    assert "receptive field and the output size" in five.sentence
    assert "75 against 169 weights" in five.measured


def test_three_stacked_convolutions_cannot_be_every_large_one():
    """75 numbers cannot reach 169 dimensions: the rank of the filter's Jacobian shows how many they reach."""
    rng = torch.Generator().manual_seed(1)
    weights = [torch.randn(5, 5, dtype=torch.double, generator=rng) for _ in range(3)]

    def filter_of(*small: torch.Tensor) -> torch.Tensor:
        large = small[0][None, None]
        for each in small[1:]:
            large = torch.nn.functional.conv2d(large, each.flip(0, 1)[None, None], padding=4)
        return large.ravel()

    jacobians = torch.autograd.functional.jacobian(filter_of, tuple(weights))
    together = torch.cat([each.reshape(169, 25) for each in jacobians], 1)
    assert filter_of(*weights).numel() == 169
    assert int(torch.linalg.matrix_rank(together)) == 75 - 2  # two factors can be moved between the three


@pytest.mark.parametrize("size", [1, 2, 5, 15])
@pytest.mark.parametrize("times", [1, 3, 8])
def test_a_stack_maps_as_many_numbers_as_the_one_large_convolution(size, times):
    large = times * (size - 1) + 1
    x = torch.empty(1, 1, 640, 640, device="meta")
    one = torch.nn.functional.conv2d(x, torch.empty(1, 1, large, large, device="meta"))
    for _ in range(times):
        x = torch.nn.functional.conv2d(x, torch.empty(1, 1, size, size, device="meta"))
    assert x.shape == one.shape
    assert [rows[-1].out.height for rows in stacked(size, times)] == [x.shape[-1]] * 2
    assert [rows[-1].out.sees for rows in stacked(size, times)] == [large] * 2


def test_the_readers_network_is_checked_like_the_others():
    words = "In your net, too"
    averaged = CnnKnobs(net="conv 64 3x3 pad 1, pool 2, conv 128 3x3 pad 1, average, fc 10")
    assert claim(words, CnnKnobs()).holds is True
    assert claim(words, averaged).holds is False
    assert run(averaged).values["parameters[your net]"] == 64 * 28 + 128 * (64 * 9 + 1) + 1290


def test_a_run_ends_with_the_sums_of_all_layers():
    knobs = PRESETS["Done right"]
    result = run(knobs)
    for i, name in enumerate(knobs.nets):
        rows = rows_of(result, name)
        for count in ("parameters", "macs", "activations"):
            assert result.last(count)[i] == total(rows, count)
        held = 4 * (total(rows, "parameters") + 64 * total(rows, "activations"))
        assert result.last("bytes")[i] == memory(knobs, rows) == held
    for share in ("share_of_parameters", "share_of_macs"):
        assert np.nanmax(result.table(share), axis=1) == pytest.approx([1] * len(knobs.nets))


def test_a_frame_shows_its_layer_and_none_to_come():
    recording = run(CnnKnobs(nets=("LeNet-5", "VGG19"))).recording
    assert len(recording) == 1 + 19
    for step, picture in recording.picture_changes("side"):
        assert np.isfinite(picture).sum(axis=1).tolist() == [min(step, 5) + 1, step + 1]
    assert recording.picture("side")[0, :6].tolist() == [32, 14, 5, 1, 1, 1]


def test_a_long_network_shows_several_layers_a_frame():
    result = run(lesson.parse({"net": "350 × ( fc 9 )", "nets": "your net"}))
    assert len(result.recording) <= MAX_FRAMES + 1
    assert result.finished
    assert result.values["parameters[your net]"] == 3 * 32**2 * 9 + 9 + 349 * 90


def test_parameters_do_not_depend_on_the_batch_and_memory_does():
    one, many = (run(CnnKnobs(batch_size=batch)) for batch in (1, 2))
    assert np.array_equal(one.last("parameters"), many.last("parameters"))
    assert (many.last("bytes") - one.last("bytes") == 4 * one.last("activations")).all()
    assert (run(CnnKnobs(batch_size=1, bytes_per_number=2)).last("bytes") * 2 == one.last("bytes")).all()


def test_an_image_need_not_be_square():
    knobs = lesson.parse({"nets": "your net", "net": "conv 8 1x7 pad 0x3, pool 2", "input_size": 16, "input_width": 40})
    assert run(knobs).values["activations[your net]"] == 3 * 16 * 40 + 8 * 16 * 40 + 8 * 8 * 20


def test_a_size_that_does_not_divide_is_refused_with_sizes_that_do():
    net = "conv 32 3x3\npool 2\nconv 64 3x3\npool 2\nfc 10"
    with pytest.raises(KnobError) as caught:
        lesson.parse({"net": net, "input_size": 32})
    sentence = str(caught.value)
    assert "input_size = 32: pool 2 does not divide an input 13 wide" in sentence
    near = re.search(r"your net fits at (\d+) and (\d+)\.$", sentence)
    assert near is not None
    assert [lesson.parse({"net": net, "input_size": int(side)}).input_size for side in near.groups()] == [30, 34]
    assert lesson.parse({"net": net.replace("pool 2", "pool 2 floor"), "input_size": 32})


def test_advice_is_only_what_can_be_done():
    with pytest.raises(KnobError) as caught:
        lesson.parse({"net": "fc 10, pool 2"})
    assert "no image makes it larger; put it before the dense layer or average, or leave it out." in str(caught.value)
    assert "fits at" not in str(caught.value)


def test_alexnets_filters_refuse_an_image_of_224_as_the_notebooks_27():
    with pytest.raises(KnobError, match=r"54.25 positions.*fits at 223 and 227"):
        lesson.parse({"net": "conv 96 11x11 stride 4", "input_size": 224})
    assert account(read("conv 96 11x11 stride 4"), 3, 27)[-1].out.height == 5  # not the notebook's 55


def test_a_network_that_nobody_chose_may_not_fit():
    assert lesson.parse({"nets": "VGG19", "net": "pool 3", "input_size": 32}).nets == ("VGG19",)


def test_a_text_that_cannot_be_read_or_is_too_long_is_refused():
    for net, sentence in (
        ("conv 3", "lacks its size"),
        ("fc 9," * 351, "351 convolutions and dense layers; it takes 350"),
    ):
        with pytest.raises(KnobError, match=sentence):
            lesson.parse({"net": net})


def test_the_outcome_says_what_the_dense_layers_do():
    assert run(CnnKnobs()).outcome == "They hold 86% of the parameters and do 0.6% of the multiplications."


def test_the_page_shows_branches_a_table_and_tools_where_there_are_some():
    def titles(**knobs: object) -> list[str]:
        return [panel.name for panel in lesson.panels(CnnKnobs(**knobs))]

    assert {"MACs of each branch", "your net, layer by layer", "What your tool says"} < set(titles())
    assert "MACs of each branch" not in titles(nets=("AlexNet",))
    assert "What your tool says" not in titles(nets=("your net",))
    assert not any("layer by layer" in title for title in titles(nets=("ResNet-44",)))
