"""Where do a convolutional network's parameters sit, and where are its multiplications spent? (notebook 004, problem 3)

A calculator, not a training: it walks through several networks at once and adds up what each layer holds, multiplies
and sees. Networks are described in the short language of `core.convnets`, the reader's own among them. A MAC is a
multiply–accumulate operation, and two FLOPs. The words are in `cnn-arithmetic.md`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import AfterValidator, model_validator

from core.claims import Check, Needs
from core.convnets import Conv, Count, Dense, LayerError, Row, by_branch, plain, read, total, with_weights, write
from core.convnets import charts as drawn
from core.convnets.charts import COUNTS, layers
from core.convnets.published import NETS, NOTEBOOKS, Design, Name
from core.convnets.tools import TOOLS, kept
from core.convnets.windows import Window
from core.cost import Cost
from core.curves import Curve, Table
from core.facts import Fact
from core.frames import Array, Frame
from core.knobs import Knobs, knob
from core.lesson import Lesson
from core.panels import Panel
from core.result import Missing, Result

YOURS: Name = "your net"
MAX_LAYERS = 350  # convolutions and dense layers of the reader's network: torchvision's longest has 340
MAX_FRAMES = 60  # of a run: of a longer network, each shows several layers
MAX_TABLE = 20  # layers for which a table on the page has room
SMALLEST, LARGEST = 4, 640  # pixels along the side of its image
NEAR = 64  # pixels more or fewer, within which a size that fits is looked for, fewer for a long network
MAX_TRIED = 10_000  # layers that are counted for it, in each direction: about a tenth of a second
STACKS = range(1, 9)  # how many convolutions are stacked
ARITHMETIC = "arithmetic, tested against PyTorch's modules"
MINE = """conv 32 3x3 pad 1
conv 32 3x3 pad 1
pool 2
conv 64 3x3 pad 1
conv 64 3x3 pad 1
pool 2
fc 256
fc 10"""


def readable(text: str) -> str:
    """Return the text, if it describes a network that is not too long."""
    count = with_weights(read(text))
    if count > MAX_LAYERS:
        raise ValueError(f"your net has {count} convolutions and dense layers; it takes {MAX_LAYERS} at most")
    return text


class CnnKnobs(Knobs):
    """What may be turned."""

    nets: tuple[Name, ...] = knob(("your net", "AlexNet", "VGG19", "ResNet-44"), "which networks are counted side by side", shown=True)  # fmt: skip
    net: Annotated[str, AfterValidator(readable)] = knob(MINE, "a network of your own, a layer on each line, in these words, PyTorch's or Keras': conv 16 3x3 pad 1, pool 2, fc 10, norm, average, depthwise 3x3, se 8, ( a | b ) side by side, ( a + b ) added, 3 × ( a, b ); options are stride 2, pad 1, dilation 2, groups 2, same, no bias, floor", label="your net", most=4000, shown=True)  # fmt: skip
    input_size: int = knob(32, "pixels along the side of the image that your net gets", SMALLEST, LARGEST, stops=(4, 8, 16, 28, 30, 32, 64, 128, 224, 227, 256, 299, 384, 512, 640), shown=True)  # fmt: skip
    input_width: int = knob(0, "pixels from left to right where the image is no square; input_size is then its height, and 0 makes a square", 0, LARGEST, stops=(0, 16, 28, 32, 64, 128, 224, 256, 320, 512, 640), added=True)  # fmt: skip
    batch_size: int = knob(64, "images at once: each needs activations of its own, while the weights are shared", 1, 4096, stops=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096), shown=True)  # fmt: skip
    channels: int = knob(3, "channels that your net gets: 1 for grey, 3 for colours, 256 inside a larger network", 1, 2048, stops=(1, 3, 64, 192, 256, 512, 1024, 2048))  # fmt: skip
    bytes_per_number: int = knob(4, "memory for one number: 4 for float32, 2 for float16 and bfloat16", 1, 8, stops=(1, 2, 4, 8))  # fmt: skip
    filter_size: int = knob(5, "side of the small filters that are stacked to replace one large one", 1, 15, stops=(1, 2, 3, 5, 7, 9, 11, 15))  # fmt: skip
    version: Literal["as published", "as the notebook counted"] = knob("as published", "the notebook left out biases of AlexNet and VGG19, and gave its Inception module feature maps of 32 instead of 28")  # fmt: skip

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """The reader's network must divide its image. Says which nearby images it would divide."""
        if YOURS not in self.nets:
            return self
        mine = design(self, YOURS)
        try:
            mine.rows()
        except LayerError as error:
            reach = min(NEAR, MAX_TRIED // len(read(self.net)))
            below, above = range(self.input_size, self.input_size - reach, -1), range(self.input_size, self.input_size + reach)  # fmt: skip
            near = [next((size for size in sizes if SMALLEST <= size <= LARGEST and fits(replace(mine, height=size))), None) for sizes in (below, above)]  # fmt: skip
            found = " and ".join(str(size) for size in near if size is not None)
            way_out = f"; as it stands, your net fits at {found}" if found else ""
            raise ValueError(f"input_size = {self.input_size}: {error}{way_out}") from error
        return self


def fits(net: Design) -> bool:
    """Return whether its image divides all the way through."""
    try:
        return bool(net.rows())
    except LayerError:
        return False


def design(knobs: CnnKnobs, name: str) -> Design:
    """Return the network that goes by this name in a run."""
    if name == YOURS:
        return Design(knobs.net, knobs.channels, knobs.input_size, knobs.input_width)
    return NOTEBOOKS.get(name, NETS[name]) if knobs.version == "as the notebook counted" else NETS[name]


def rows_of(result: Result[CnnKnobs], name: Name) -> tuple[Row, ...]:
    """Return the account of a network of this run; `Missing` where it counts another."""
    if name not in result.knobs.nets:
        raise Missing(name)
    return design(result.knobs, name).rows()


def designs(knobs: CnnKnobs) -> dict[str, Design]:
    """Return the networks of a run by name."""
    return {name: design(knobs, name) for name in knobs.nets}


lesson = Lesson(
    "cnn-arithmetic",
    CnnKnobs,
    revision=2,
    axis="layer",
    axis_title="layer",
    series=lambda knobs: knobs.nets,
    curves=[
        Curve("parameters", "parameters so far", format=",.0f"),
        Curve("macs", "MACs so far", format=",.0f"),
        Curve("activations", "activations so far", format=",.0f"),
        Curve("bytes", "bytes so far", format=",.0f", log=True),
    ],
    tables=[Table(name, f"{title} of each layer", ("series", "layer")) for name, title in COUNTS.items()],
    presets={
        "Classroom": {},
        "As the notebook ran it": dict(nets=("AlexNet", "VGG19", "Inception 3b naive", "Inception 3b"), version="as the notebook counted"),
        "Done right": dict(nets=("AlexNet", "AlexNet two groups", "VGG19", "ResNet-44", "Inception 3b naive", "Inception 3b")),
        "Three AlexNets": dict(nets=("AlexNet", "AlexNet two groups", "AlexNet torchvision")),
        "Inception": dict(nets=("Inception 3a naive", "Inception 3a", "Inception 3b naive", "Inception 3b")),
        "Two ResNet-44": dict(nets=("ResNet-44", "ResNet-44 Keras")),
    },
)  # fmt: skip


# ---- the walk ------------------------------------------------------------------------------------------------------


@lesson.experiment
def train(knobs: CnnKnobs, device: torch.device) -> Iterator[Frame]:
    """Walk through all networks at once, a layer a frame, or several where one is long."""
    counted = tally(knobs)  # name → (nets, layers), nan after a network's last layer
    last = counted["parameters"].shape[1] - 1
    sums = {name: np.nancumsum(counted[name], axis=1) for name in COUNTS}
    numbers = sums["parameters"] + knobs.batch_size * sums["activations"]  # the weights are shared by the batch
    for layer in [*range(0, last, -(-last // MAX_FRAMES)), last]:
        reached = np.arange(last + 1) <= layer
        yield Frame(
            layer,
            {name: sums[name][:, layer] for name in COUNTS} | {"bytes": knobs.bytes_per_number * numbers[:, layer]},
            {name: np.where(reached, each, np.nan).astype("f4") for name, each in counted.items()},
            layer / last,
        )


def tally(knobs: CnnKnobs) -> dict[str, Array]:
    """Return what each layer of each network holds, multiplies and sees, each (nets, layers)."""
    nets = [layers(net) for net in designs(knobs).values()]
    shape = (len(nets), max(2, *(len(net) for net in nets)))
    counted = {name: np.full(shape, np.nan) for name in (*COUNTS, "side", "sees")}
    for i, net in enumerate(nets):
        for j, rows in enumerate(net):
            for count in COUNTS:
                counted[count][i, j] = total(rows, count)
            counted["side"][i, j] = max(rows[-1].out.height, rows[-1].out.width)
            counted["sees"][i, j] = max(row.out.sees for row in rows)
    for count in ("parameters", "macs"):
        sums = np.cumsum(counted[count], axis=1)  # stays nan after the last layer
        counted[f"share_of_{count}"] = sums / np.maximum(np.nanmax(sums, axis=1, keepdims=True), 1)
        counted[count][counted[count] == 0] = np.nan  # a gap, since the axes are logarithmic
    return counted


def stacked(size: int, times: int) -> tuple[Sequence[Row], Sequence[Row]]:
    """Return `times` convolutions of that size after each other, and the one that sees as much, of one channel each."""
    large = times * (size - 1) + 1
    many, one = (f"{times} × conv 1 {size}x{size} no bias", f"conv 1 {large}x{large} no bias")
    return Design(many, 1, LARGEST).rows(), Design(one, 1, LARGEST).rows()


lesson.shown(train, tally, Window, Conv, Dense)


@lesson.cost
def cost(knobs: CnnKnobs) -> Cost:
    """Sums of whole numbers, a few for each row: next to nothing."""
    return Cost(0.0, 0.0, 1000.0 + 20.0 * sum(len(net.rows()) for net in designs(knobs).values()), 1e6)


@lesson.script_settings
def settings(knobs: CnnKnobs) -> Mapping[str, Any]:
    """Name → channels, height and width of the image and layers, since the script knows no network by its name."""
    described = {
        name: (net.channels, net.height, net.width or net.height, write(plain(read(net.text), net.image), repeat=False))
        for name, net in designs(knobs).items()
    }
    return {"nets": described, "batch_size": knobs.batch_size, "bytes_per_number": knobs.bytes_per_number}


# ---- charts --------------------------------------------------------------------------------------------------------


@lesson.charts
def charts(knobs: CnnKnobs) -> Iterator[Panel]:
    """Parameters against MACs, each count by layer, memory, receptive fields, branches, a table, tools and stacks."""
    nets = designs(knobs)
    yield drawn.shares(nets)
    yield drawn.of_layers(nets, "parameters", "Where the parameters sit", "Parameters of each layer.")
    yield drawn.of_layers(
        nets,
        "macs",
        "Where the multiplications are spent",
        "Multiply–accumulate operations (MACs) of each layer, for one image; a MAC is two FLOPs.",
    )
    yield drawn.of_layers(nets, "activations", "Where the activations are kept", "Of each layer, for one image.")
    held = [memory(knobs, rows) for net in nets.values() for rows in (net.rows()[:1], net.rows())]
    yield lesson.line_chart(
        knobs,
        "bytes",
        f"Weights, and all activations that a training step keeps, at {knobs.bytes_per_number} bytes a number, added up layer by layer.",
        name=f"Memory for a batch of {knobs.batch_size}",
        colours=[drawn.colour(name) for name in nets],
        dashes=[drawn.dash(name) for name in nets],
        xaxis={"range": [0, drawn.longest(nets)]},
        yaxis={**drawn.logarithmic("bytes so far", held), "hoverformat": ".4s"},
    )
    yield drawn.sights(nets)
    branched = {name: net for name, net in nets.items() if by_branch(net.rows())}
    if branched:
        yield drawn.branches(branched)
    short = next((name for name, net in nets.items() if len(layers(net)) <= MAX_TABLE), None)
    if short is not None:
        yield drawn.table(short, nets[short])
    if measured(knobs):
        yield drawn.tools(measured(knobs))
    yield drawn.stacks(knobs.filter_size, {times: stacked(knobs.filter_size, times) for times in STACKS})


def memory(knobs: CnnKnobs, rows: Sequence[Row]) -> int:
    """Return the bytes for the weights once, and for the activations of every image of the batch."""
    return knobs.bytes_per_number * (total(rows, "parameters") + knobs.batch_size * total(rows, "activations"))


def measured(knobs: CnnKnobs) -> list[str]:
    """Return the networks of a run on which other tools were measured."""
    return [name for name in knobs.nets if name in NETS] if knobs.version == "as published" else []


# ---- facts ---------------------------------------------------------------------------------------------------------


@lesson.facts
def facts(result: Result[CnnKnobs]) -> Iterator[Fact]:
    """Yield what the published networks have, which no knob moves, then what is special to those of this run."""
    for name, net in NETS.items():
        for count in COUNTS:
            yield Fact(f"published_{count}", name, total(net.rows(), count))
    for what, share in zip(("parameters", "macs"), dense_shares(NETS["VGG19"].rows()), strict=True):
        yield Fact(f"published_dense_share_of_{what}", "VGG19", share)
    for name, net in designs(result.knobs).items():
        rows = net.rows()
        yield Fact("receptive_field", name, rows[-1].out.sees)
        yield Fact("channels_out", name, rows[-1].out.channels)
        for number, each in by_branch(rows).items():
            yield Fact(f"macs_of_branch_{number}", name, total(each, "macs"))


def dense_shares(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the part of dense layers in the parameters and in the MACs; of nothing, 0."""
    parameters, macs = (total(rows, count, "fc") / max(1, total(rows, count)) for count in ("parameters", "macs"))
    return parameters, macs


# ---- claims --------------------------------------------------------------------------------------------------------

VGG = Needs.among("nets", "VGG19")
INCEPTIONS: tuple[Name, Name] = ("Inception 3b naive", "Inception 3b")
claim = partial(lesson.claim, source=ARITHMETIC)


@claim(
    "VGG19's dense layers hold at least 80 % of its parameters and do under 1 % of its multiplications",
    expected="at least 80 % and under 1 %",
    notebook="one column for both, “Parameters (Compute)”",
    needs=[VGG],
)
def dense(result: Result[CnnKnobs]) -> Check:
    """The lesson's own question."""
    parameters, macs = dense_shares(rows_of(result, "VGG19"))
    said = f"{parameters:.1%} of the parameters, {macs:.1%} of the MACs"
    return Check(said, parameters >= 0.8 and macs < 0.01)


@dataclass(frozen=True)
class Exact:
    """A number that a network has, to the last digit."""

    net: Name
    sentence: str
    count: Count | Literal["channels"]
    number: int
    notebook: str = ""
    literature: str = ""

    def check(self, result: Result[CnnKnobs]) -> Check:
        """Compare it with the network of this run."""
        rows = rows_of(result, self.net)
        number = rows[-1].out.channels if self.count == "channels" else total(rows, self.count)
        biases = f", of which {total(rows, 'biases'):,} are biases" if self.count == "parameters" else ""
        return Check(f"{number:,}{biases}", number == self.number)


def has(net: Name, knobs: CnnKnobs) -> bool:
    """Return whether a run counts this network."""
    return net in knobs.nets


HE = "0.66 M (He et al. 2016)"
EXACT = (
    Exact("AlexNet", "AlexNet in one tower has 62,378,344 parameters, biases included", "parameters", 62_378_344, "62,369,152"),
    Exact("AlexNet two groups", "AlexNet in two groups, as it was trained, has 60,965,224 parameters", "parameters", 60_965_224),
    Exact("AlexNet torchvision", "torchvision's AlexNet has fewer filters and 61,100,840 parameters", "parameters", 61_100_840, literature="61,100,840 (torchvision)"),
    Exact("VGG19", "VGG19 has 143,667,240 parameters, biases included", "parameters", 143_667_240, "143,652,544", "143,667,240 (torchvision)"),
    Exact("VGG19", "VGG19 does 19,632,062,464 MACs for one image", "macs", 19_632_062_464, literature="19.632 G (torchvision)"),
    Exact("VGG19", "VGG19 holds 16,542,184 activations for one image, its input among them", "activations", 16_542_184, "16M"),
    Exact("ResNet-44", "ResNet-44 with shortcuts that have no parameters has 658,586", "parameters", 658_586, literature=HE),
    Exact("ResNet-44 Keras", "Keras's ResNet-44, with biases and with 1 × 1 projections, trains 662,826 parameters", "parameters", 662_826, "662,826 of 665,994", HE),
    Exact("ResNet-44 Keras", "The rest of Keras's 665,994 are 3,168 running means and variances, which are not trained", "statistics", 3_168, "665,994 − 662,826"),
    Exact("Inception 3a", "Inception 3a has 163,696 parameters", "parameters", 163_696, literature="159K, with K = 1024"),
    Exact("Inception 3b", "Inception 3b has 388,736 parameters", "parameters", 388_736, literature="380K, with K = 1024"),
    Exact("Inception 3b naive", "The naive Inception 3b gives 672 channels, since its pool hands on all 256 that came in", "channels", 672, "672"),
    Exact("Inception 3b", "With reductions, Inception 3b gives 480 channels", "channels", 480, "480", "480 (Szegedy et al. 2015)"),
)  # fmt: skip
for exact in EXACT:
    claim(
        exact.sentence,
        expected=f"exactly {exact.number:,}",
        notebook=exact.notebook,
        literature=exact.literature,
        shown=partial(has, exact.net),
    )(exact.check)


@claim(
    "1 × 1 reductions save Inception 3b a factor of 2.807 in multiplications",
    expected="2.807, whatever the size of its feature maps",
    notebook="1.11B / 397M, “roughly 3”",
    literature="304M with reductions (Szegedy et al. 2015)",
    needs=[Needs.among("nets", *INCEPTIONS)],
)
def reduced(result: Result[CnnKnobs]) -> Check:
    """What the bottleneck is for."""
    before, after = (total(rows_of(result, name), "macs") for name in INCEPTIONS)
    return Check(f"{before:,} / {after:,} = {before / after:.3f}", round(before / after, 3) == 2.807)


@claim(
    lambda knobs: f"Three stacked {knobs.filter_size} × {knobs.filter_size} convolutions have the receptive field and the output size of one of {3 * knobs.filter_size - 2} × {3 * knobs.filter_size - 2}, with fewer weights",
    expected="equal field, equal output size, fewer weights",
    notebook="for 5 × 5: a side of L − 12, from 32 to 20",
)  # fmt: skip
def stack(result: Result[CnnKnobs]) -> Check:
    """Not the same function: fewer weights cannot be every large filter."""
    many, one = stacked(result.knobs.filter_size, 3)
    a, b = many[-1].out, one[-1].out
    weights = [total(rows, "weights") for rows in (many, one)]
    return Check(
        f"they see {a.sees} pixels and take {LARGEST - a.height} off the side; {weights[0]} against {weights[1]} weights for each pair of channels",
        (a.sees, a.height) == (b.sees, b.height) and weights[0] < weights[1],
    )


@claim(
    "Twice the side costs VGG19's convolutions four times the multiplications, and not one parameter",
    expected="× 4 and none",
    needs=[VGG],
)
def twice(result: Result[CnnKnobs]) -> Check:
    """The side of the image does not occur in a convolution's parameters."""
    small, vgg = rows_of(result, "VGG19"), design(result.knobs, "VGG19")
    large = replace(vgg, height=2 * vgg.height).rows()
    factor = total(large, "macs", "conv") / total(small, "macs", "conv")
    more = total(large, "parameters", "conv") - total(small, "parameters", "conv")
    return Check(f"× {factor:g} and {more} parameters", factor == 4 and more == 0)


@claim(
    "In training, VGG19's activations take more memory than its weights",
    expected="more, from a batch of 9 on",
    needs=[VGG],
)
def outweigh(result: Result[CnnKnobs]) -> Check:
    """Why a batch is what fills a card."""
    knobs, rows = result.knobs, rows_of(result, "VGG19")
    activations = knobs.batch_size * knobs.bytes_per_number * total(rows, "activations")
    weights = knobs.bytes_per_number * total(rows, "parameters")
    said = f"batch of {knobs.batch_size}: {activations / 1e9:.2f} GB against {weights / 1e9:.2f} GB"
    return Check(said, activations > weights)


@lesson.claim(
    "PyTorch's FlopCounterMode says exactly twice the MACs; torchinfo, fvcore and ptflops say the MACs or more, since some add biases, norms, pools or activation functions",
    expected="× 2, and never less than the MACs",
    source="each tool on the same network: python -m core.convnets.tools",
    shown=lambda knobs: bool(measured(knobs)),
)
def tools(result: Result[CnnKnobs]) -> Check:
    """MACs, FLOPs and what is called so."""
    said, names = kept()["nets"], measured(result.knobs)
    if not names:
        raise Missing("network besides yours, as published")
    macs = {name: total(NETS[name].rows(), "macs") for name in names}
    twice = {said[name][tool] / macs[name] for name in names for tool in TOOLS if TOOLS[tool].unit == "FLOP"}
    more = [said[name][tool] / macs[name] - 1 for name in names for tool in TOOLS if TOOLS[tool].unit == "MAC"]
    low, high = min(more), max(more)
    return Check(f"× {max(twice):g}; {low:+.2%} … {high:+.2%}", twice == {2.0} and low >= 0)


@claim(
    "In your net, too, the parameters sit in dense layers and the multiplications in convolutions",
    expected="more than half, and less than half: so in AlexNet and VGG19, but not in ResNet-44, which averages its feature maps before its one dense layer",
    shown=lambda knobs: YOURS in knobs.nets,
)
def yours(result: Result[CnnKnobs]) -> Check:
    """The reader's own network."""
    rows = rows_of(result, YOURS)
    parameters, macs = dense_shares(rows)
    return Check(
        f"dense layers: {parameters:.1%} of {total(rows, 'parameters'):,} parameters, {macs:.1%} of {total(rows, 'macs'):,} MACs",
        parameters > 0.5 > macs,
    )


@lesson.outcome
def answer(result: Result[CnnKnobs]) -> str:
    """Answer what VGG19's dense layers do."""
    parameters, macs = (result.fact(f"published_dense_share_of_{count}", "VGG19") for count in ("parameters", "macs"))
    return f"They hold {parameters:.0%} of the parameters and do {macs:.1%} of the multiplications."
