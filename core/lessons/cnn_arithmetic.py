"""Where do a convolutional net's parameters sit, and where are its multiplications spent? (notebook 004, problem 3)

A calculator, not a training: it walks through several nets at once, one layer a frame, and adds up what each layer
holds, multiplies and sees. Nets are described in the short language of `core.convnets`, the reader's own among them.
"""

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
import torch
from pydantic import AfterValidator, model_validator

from core import prose
from core.claims import Claim
from core.convnets import Chain, Conv, Count, Dense, LayerError, Row, account, by_layer, positions, read, total
from core.cost import Cost
from core.frames import Array, Frame, Recording
from core.knobs import Knobs, knob
from core.lesson_v1 import Facts, Lesson
from core.panels import COLOURS, DASHES, FAINT, Panel, Still, Switch, lines, reference
from core.traces import Scatter

YOURS = "your net"
MOST_LAYERS = 60  # of the reader's net: a frame each
NARROWEST, WIDEST = 4, 512  # pixels along the side of its picture
STACKS = range(1, 9)  # how many convolutions are stacked
COUNTS: tuple[Count, ...] = ("parameters", "multiplications", "activations")
DRAWN = ("parameters", "multiplications", "share_of_parameters", "share_of_multiplications", "side", "sees")
OWN = "arithmetic, tested against PyTorch's modules"


@dataclass(frozen=True)
class Design:
    """A net and the picture that it was made for."""

    text: str
    channels: int
    side: int

    def rows(self) -> list[Row]:
        """Its account."""
        return account(read(self.text), self.channels, self.side)


def alexnet(grouped: str = "", dense: str = "") -> str:
    """Krizhevsky et al. 2012; `grouped` is said of the convolutions that they split over two cards."""
    return (
        f"conv 96 11x11 stride 4, pool 3x3 stride 2, conv 256 5x5 pad 2 {grouped}, pool 3x3 stride 2,"
        f"conv 384 3x3 pad 1, conv 384 3x3 pad 1 {grouped}, conv 256 3x3 pad 1 {grouped}, pool 3x3 stride 2,"
        f"fc 4096 {dense}, fc 4096 {dense}, fc 1000 {dense}"
    )


def vgg19(also: str = "") -> str:
    """Simonyan and Zisserman 2015, their net E; `also` is said of every layer with weights."""
    blocks = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
    convolutions = "".join(f"conv {c} 3x3 pad 1 {also}," * times + "pool 2," for c, times in blocks)
    return convolutions + ",".join(f"fc {units} {also}" for units in (4096, 4096, 1000))


def inception(one: int, to_three: int, three: int, to_five: int, five: int, pooled: int) -> str:
    """A module of GoogLeNet (Szegedy et al. 2015); without the `to_…` it is the naive one, whose pool keeps its maps."""
    if not to_three:
        return f"(conv {one} 1x1 | conv {three} 3x3 pad 1 | conv {five} 5x5 pad 2 | pool 3x3 stride 1 pad 1)"
    return (
        f"(conv {one} 1x1 | conv {to_three} 1x1, conv {three} 3x3 pad 1 | conv {to_five} 1x1, conv {five} 5x5 pad 2"
        f"| pool 3x3 stride 1 pad 1, conv {pooled} 1x1)"
    )


def resnet(blocks: int, bias: str, shortcut: str) -> str:
    """He et al. 2016 for CIFAR-10, 6 · blocks + 2 layers; where maps get fewer and smaller, `shortcut` leads past."""

    def block(c: int, stride: int) -> str:
        inner = f"conv {c} 3x3 stride {stride} pad 1 floor {bias}, norm, conv {c} 3x3 pad 1 {bias}, norm"
        return f"({inner} + {shortcut.format(c) if stride > 1 else ''}),"

    stages = "".join(block(c, min(c // 16, 2)) + block(c, 1) * (blocks - 1) for c in (16, 32, 64))
    return f"conv 16 3x3 pad 1 {bias}, norm, {stages} average, fc 10"


NETS: Mapping[str, Design] = {
    "AlexNet": Design(alexnet(), 3, 227),
    "AlexNet two groups": Design(alexnet(grouped="groups 2"), 3, 227),
    "AlexNet torchvision": Design(
        "conv 64 11x11 stride 4 pad 2 floor, pool 3x3 stride 2, conv 192 5x5 pad 2, pool 3x3 stride 2,"
        "conv 384 3x3 pad 1, conv 256 3x3 pad 1, conv 256 3x3 pad 1, pool 3x3 stride 2, fc 4096, fc 4096, fc 1000",
        3,
        224,
    ),
    "VGG19": Design(vgg19(), 3, 224),
    "LeNet-5": Design("conv 6 5x5, pool 2, conv 16 5x5, pool 2, conv 120 5x5, fc 84, fc 10", 1, 32),
    "ResNet-44": Design(resnet(7, "no bias", "skip {} stride 2 floor"), 3, 32),
    "ResNet-44 Keras": Design(resnet(7, "", "conv {} 1x1 stride 2 floor"), 3, 32),
    "Inception 3a naive": Design(inception(64, 0, 128, 0, 32, 0), 192, 28),
    "Inception 3a": Design(inception(64, 96, 128, 16, 32, 32), 192, 28),
    "Inception 3b naive": Design(inception(128, 0, 192, 0, 96, 0), 256, 28),
    "Inception 3b": Design(inception(128, 128, 192, 32, 96, 64), 256, 28),
}
NOTEBOOKS: Mapping[str, Design] = {
    "AlexNet": Design(alexnet(dense="no bias"), 3, 227),
    "VGG19": Design(vgg19("no bias"), 3, 224),
    "Inception 3b naive": Design(NETS["Inception 3b naive"].text, 256, 32),
    "Inception 3b": Design(NETS["Inception 3b"].text, 256, 32),
}
"""What the notebook counted, where it differs."""

Name = Literal["your net", "AlexNet", "AlexNet two groups", "AlexNet torchvision", "VGG19", "ResNet-44", "ResNet-44 Keras", "LeNet-5", "Inception 3a naive", "Inception 3a", "Inception 3b naive", "Inception 3b"]  # fmt: skip
MINE = """conv 32 3x3 pad 1
conv 32 3x3 pad 1
pool 2
conv 64 3x3 pad 1
conv 64 3x3 pad 1
pool 2
fc 256
fc 10"""


def readable(text: str) -> str:
    """The text, if it describes a net that is not too long."""
    read(text)
    found = sum(text.lower().count(word) for word in ("conv", "fc"))  # no other word contains them
    if found > MOST_LAYERS:
        raise ValueError(f"your net has {found} convolutions and dense layers; it takes {MOST_LAYERS} at most")
    return text


class CnnKnobs(Knobs):
    """What may be turned."""

    nets: tuple[Name, ...] = knob(("your net", "AlexNet", "VGG19", "ResNet-44"), "which nets are counted side by side", shown=True)  # fmt: skip
    net: Annotated[str, AfterValidator(readable)] = knob(MINE, "a net of your own, a layer on each line: conv, pool, fc, norm, average, ( a | b ) side by side, ( a + b ) added; options are stride 2, pad 1, groups 2, no bias, floor", label="your net", most=1000, shown=True)  # fmt: skip
    input_size: int = knob(32, "pixels along the side of the picture that your net gets", NARROWEST, WIDEST, stops=(4, 8, 16, 28, 30, 32, 64, 128, 224, 227, 256, 512), shown=True)  # fmt: skip
    batch_size: int = knob(64, "pictures at once: each needs activations of its own, while the weights are shared", 1, 4096, stops=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096), shown=True)  # fmt: skip
    channels: int = knob(3, "maps that your net gets: 1 for grey, 3 for colours, 256 inside a larger net", 1, 2048, stops=(1, 3, 64, 192, 256, 512, 1024, 2048))  # fmt: skip
    bytes_per_number: int = knob(4, "memory for one number: 4 for float32, 2 for half the digits", 1, 8, stops=(1, 2, 4, 8))  # fmt: skip
    filter_size: int = knob(5, "side of the small filters that are stacked to replace one large one", 1, 15, stops=(1, 2, 3, 5, 7, 9, 11, 15))  # fmt: skip
    version: Literal["as published", "as the notebook counted"] = knob("as published", "the notebook left out biases of AlexNet and VGG19, and gave its Inception module maps of 32 instead of 28")  # fmt: skip

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """The reader's net must divide its picture. Says which pictures it would divide."""
        if YOURS not in self.nets:
            return self
        chain = read(self.net)
        try:
            account(chain, self.channels, self.input_size)
        except LayerError as error:
            fits = [side for side in range(NARROWEST, WIDEST + 1) if fit(chain, self.channels, side)]
            at = bisect(fits, self.input_size)
            near = " and ".join(map(str, fits[max(0, at - 1) : at + 1]))
            way_out = f"; as it stands, your net fits at {near}" if near else ""
            raise ValueError(f"input_size = {self.input_size}: {error}{way_out}") from error
        return self


def fit(chain: Chain, channels: int, side: int) -> bool:
    """Whether a picture of that side divides all the way through."""
    try:
        account(chain, channels, side)
    except LayerError:
        return False
    return True


def design(knobs: CnnKnobs, name: str) -> Design:
    """The net that goes by this name in a run."""
    if name == YOURS:
        return Design(knobs.net, knobs.channels, knobs.input_size)
    return NOTEBOOKS.get(name, NETS[name]) if knobs.version == "as the notebook counted" else NETS[name]


def series(knobs: CnnKnobs) -> list[str]:
    """One line per net."""
    return list(knobs.nets)


def layers(knobs: CnnKnobs) -> list[list[list[Row]]]:
    """Net by net, layer by layer: its rows. The picture is layer 0."""
    return [by_layer(design(knobs, name).rows()) for name in knobs.nets]


def train(knobs: CnnKnobs, device: torch.device) -> Iterator[Frame]:
    """Walk through all nets at once, one layer a frame."""
    counted = tally(knobs)  # name → (nets, layers), nan after a net's last layer
    last = counted["parameters"].shape[1] - 1
    sums = {name: np.nancumsum(counted[name], axis=1) for name in COUNTS}
    numbers = sums["parameters"] + knobs.batch_size * sums["activations"]  # the weights are shared by the batch
    for layer in range(last + 1):
        reached = np.arange(last + 1) <= layer
        yield Frame(
            layer,
            {name: sums[name][:, layer] for name in COUNTS} | {"memory": knobs.bytes_per_number * numbers[:, layer]},
            {name: np.where(reached, counted[name], np.nan).astype("f4") for name in DRAWN},
            layer / last,
        )


def tally(knobs: CnnKnobs) -> dict[str, Array]:
    """What each layer of each net holds, multiplies and sees, each (nets, layers)."""
    nets = layers(knobs)
    shape = (len(nets), max(2, *(len(net) for net in nets)))
    counted = {name: np.full(shape, np.nan) for name in (*DRAWN, "activations")}
    for i, net in enumerate(nets):
        for j, rows in enumerate(net):
            for count in COUNTS:
                counted[count][i, j] = total(rows, count)
            counted["side"][i, j] = rows[-1].out.side
            counted["sees"][i, j] = max(row.out.sees for row in rows)
    for count in ("parameters", "multiplications"):
        sums = np.cumsum(counted[count], axis=1)  # stays nan after the last layer
        counted[f"share_of_{count}"] = sums / np.maximum(np.nanmax(sums, axis=1, keepdims=True), 1)
        counted[count][counted[count] == 0] = np.nan  # a gap, since the axes are logarithmic
    return counted


def stacked(size: int, times: int) -> tuple[list[Row], list[Row]]:
    """`times` convolutions of that size after each other, and the one that sees as much: of one channel each."""
    side, large = WIDEST, times * (size - 1) + 1
    many = account(read(f"conv 1 {size}x{size} no bias," * times), 1, side)
    return many, account(read(f"conv 1 {large}x{large} no bias"), 1, side)


def panels(knobs: CnnKnobs) -> list[Panel]:
    """Parameters against multiplications, both by layer, memory, what a number sees, and stacked convolutions."""
    nets = layers(knobs)
    longest = max(2, *(len(net) for net in nets)) - 1
    pictures, wholes = [net[0] for net in nets], [design(knobs, name).rows() for name in knobs.nets]
    held = [memory(knobs, rows) for rows in (*pictures, *wholes)]
    return [
        _paths_panel(
            knobs,
            "Parameters against multiplications",
            "The way through each net, layer by layer. Rightwards: multiplications are spent. Upwards: parameters are met. Squares are dense layers.",
            ("share_of_multiplications", "share_of_parameters"),
            reference([0, 1], [0, 1], "both alike"),
            {
                "xaxis": {"title": {"text": "multiplications so far"}, "range": [-0.02, 1.03], "tickformat": ".0%"},
                "yaxis": {"title": {"text": "parameters so far"}, "range": [-0.03, 1.05], "tickformat": ".0%"},
            },
        ),
        _layer_panel(knobs, "Where the parameters sit", "Parameters of each layer.", "parameters", longest),
        _layer_panel(
            knobs,
            "Where the multiplications are spent",
            "Multiplications of each layer, for one picture.",
            "multiplications",
            longest,
        ),
        lines(
            f"Memory for a batch of {knobs.batch_size}",
            f"Weights, and all activations that a training step keeps, at {knobs.bytes_per_number} bytes a number, added up layer by layer.",
            "memory",
            knobs.nets,
            x="layer",
            y="bytes so far",
            colours=[colour(name) for name in knobs.nets],
            dashes=[dash(name) for name in knobs.nets],
            xaxis={"range": [0, longest]},
            yaxis={**_logarithmic(held), "hoverformat": ".4s"},
        ),
        _paths_panel(
            knobs,
            "Maps shrink while numbers see more",
            "Convolutions climb, strides and pools lead to the right. What a number sees includes padding, so it may be more than the picture.",
            ("side", "sees"),
            None,
            _seeing_axes(nets),
        ),
        _stack_panel(knobs),
    ]


def colour(name: str) -> str:
    """A net keeps its colour, whichever others are chosen."""
    return COLOURS[get_args(Name).index(name)]


def dash(name: str) -> str:
    """And its dashes."""
    return DASHES[get_args(Name).index(name) % len(DASHES)]


def _style(name: str, net: Sequence[Sequence[Row]], size: int) -> dict[str, Any]:
    """The line of a net, with each layer's name and output for whoever points at it; squares for dense layers."""
    return {
        "name": name,
        "mode": "lines+markers",
        "line": {"color": colour(name), "dash": dash(name), "width": 2},
        "marker": {
            "color": colour(name),
            "size": size,
            "symbol": ["square" if rows[0].kind == "fc" else "circle" for rows in net],
        },
        "text": [f"{rows[0].name} → {rows[-1].out}" for rows in net],
        "meta": {"label": name},
    }


def _paths_panel(
    knobs: CnnKnobs, name: str, caption: str, pictures: tuple[str, str], behind: Still | None, layout: dict[str, Any]
) -> Panel:
    x, y = pictures
    drawn = [
        Switch(
            Scatter(**_style(title, net, 7), hovertemplate="%{text}<br>%{x}, %{y}<extra>" + title + "</extra>"),
            {"x": (x, i), "y": (y, i)},
        )
        for i, (title, net) in enumerate(zip(knobs.nets, layers(knobs), strict=True))
    ]
    return Panel(name, caption, [*([behind] if behind else []), *drawn], layout)


def _layer_panel(knobs: CnnKnobs, name: str, caption: str, count: Count, longest: int) -> Panel:
    drawn = [
        Switch(
            Scatter(
                x=np.arange(longest + 1),
                **_style(title, net, 6),
                hovertemplate="%{text}<br>%{y:.4s} " + count + "<extra>" + title + "</extra>",
            ),
            {"y": (count, i)},
        )
        for i, (title, net) in enumerate(zip(knobs.nets, layers(knobs), strict=True))
    ]
    values = [total(rows, count) for net in layers(knobs) for rows in net]
    return Panel(
        name,
        f"{caption} A pool or a norm counts with the layer before it.",
        drawn,
        {
            "xaxis": {"title": {"text": "layer"}, "range": [0, longest + 0.5]},
            "yaxis": {"title": {"text": f"{count} of the layer"}, **_logarithmic(values)},
        },
    )


def _logarithmic(values: Sequence[int]) -> dict[str, Any]:
    """An axis for positive counts: where it spans many powers of ten, those alone are marked."""
    some = [value for value in values if value > 0] or [1]
    return {"type": "log", "tickformat": ".0s", "dtick": 1 if max(some) > 300 * min(some) else None}


def _seeing_axes(nets: Sequence[Sequence[Sequence[Row]]]) -> dict[str, Any]:
    rows = [row for net in nets for layer in net for row in layer]
    widest, most = max(row.out.side for row in rows), max(row.out.sees for row in rows)
    powers = [2**i for i in range(20)]
    return {
        "xaxis": {
            "title": {"text": "side of the maps, numbers"},
            "type": "log",
            "range": [float(np.log10(1.2 * widest)), -0.05],
            "tickvals": powers,
        },
        "yaxis": {
            "title": {"text": "receptive field, pixels"},
            "type": "log",
            "range": [-0.05, float(np.log10(1.3 * most))],
            "tickvals": powers[::2] if most > 128 else powers,
        },
    }


def _stack_panel(knobs: CnnKnobs) -> Panel:
    size, times = knobs.filter_size, list(STACKS)
    pairs = [stacked(size, n) for n in times]
    sees = [one[-1].out.sees for _, one in pairs]
    drawn = [
        Still(
            Scatter(
                x=times,
                y=[total(pair[i], "weights") for pair in pairs],
                name=name,
                text=[f"sees {pixels} × {pixels}" for pixels in sees],
                hovertemplate="%{text}<br>%{y} weights<extra>" + name + "</extra>",
                mode="lines+markers",
                line={"color": FAINT, "dash": "dash" if i else "solid", "width": 2},
                meta={"label": name},
            )
        )
        for i, name in ((1, "one large"), (0, "stacked"))
    ]
    return Panel(
        f"Stacked {size} × {size} convolutions against one large one",
        "Weights for each pair of channels. Both see the same pixels and shrink the map alike. From 2 × 2 on the stack is cheaper, and each of its layers has an activation.",
        drawn,
        {
            "xaxis": {
                "title": {"text": "convolutions stacked, and side of the one that sees as much"},
                "tickvals": times,
                "ticktext": [f"{n}<br>{pixels}×{pixels}" for n, pixels in zip(times, sees, strict=True)],
                "range": [0.7, len(times) + 0.3],
            },
            "yaxis": {"title": {"text": "weights"}, "rangemode": "tozero"},
        },
    )


def facts(knobs: CnnKnobs, recording: Recording) -> Facts:
    """The counts of the known nets, which no knob moves, then those of this run's nets."""
    known = {name.lower().replace("-", ""): net.rows() for name, net in NETS.items()}
    known |= {f"{name.lower()} at 32": NOTEBOOKS[name].rows() for name in ("Inception 3b naive", "Inception 3b")}
    found: dict[str, float | None] = {}
    for name, rows in known.items():
        found[f"parameters[{name}]"] = total(rows, "parameters")
        found[f"macs[{name}]"] = total(rows, "multiplications")
        found[f"activations[{name}]"] = total(rows, "activations")
    for count, share in zip(("parameters", "macs"), dense_shares(known["vgg19"]), strict=True):
        found[f"dense_share_of_{count}[vgg19]"] = share
    found["statistics[resnet44 keras]"] = total(known["resnet44 keras"], "statistics")
    for name in knobs.nets:
        rows = design(knobs, name).rows()
        found |= {f"{count}[{name}, this run]": total(rows, count) for count in COUNTS}
        found[f"bytes[{name}, this run]"] = memory(knobs, rows)
        found[f"receptive_field[{name}, this run]"] = rows[-1].out.sees
    return found


def memory(knobs: CnnKnobs, rows: Sequence[Row]) -> int:
    """Bytes for the weights once, and for the activations of every picture of the batch."""
    return knobs.bytes_per_number * (total(rows, "parameters") + knobs.batch_size * total(rows, "activations"))


def dense_shares(rows: Sequence[Row]) -> tuple[float, float]:
    """The part of dense layers in the parameters and in the multiplications; of nothing, 0."""
    parts = [total(rows, count, "fc") / max(1, total(rows, count)) for count in ("parameters", "multiplications")]
    return parts[0], parts[1]


@dataclass(frozen=True)
class Exact:
    """A number that a net has, to the last digit."""

    net: Name
    sentence: str
    count: Count
    number: int
    notebook: str = ""
    literature: str = ""


HE = "0.66 M (He et al. 2016)"
EXACT = (
    Exact("AlexNet", "AlexNet in one tower has 62,378,344 parameters, biases included", "parameters", 62_378_344, "62,369,152"),
    Exact("AlexNet two groups", "AlexNet in two groups, as it was trained, has 60,965,224 parameters", "parameters", 60_965_224),
    Exact("AlexNet torchvision", "torchvision's AlexNet has fewer filters and 61,100,840 parameters", "parameters", 61_100_840, literature="61,100,840 (torchvision)"),
    Exact("VGG19", "VGG19 has 143,667,240 parameters, biases included", "parameters", 143_667_240, "143,652,544", "143,667,240 (torchvision)"),
    Exact("VGG19", "VGG19 multiplies 19,632,062,464 times for one picture", "multiplications", 19_632_062_464),
    Exact("VGG19", "VGG19 holds 16,542,184 activations for one picture, its input among them", "activations", 16_542_184, "16M"),
    Exact("ResNet-44", "ResNet-44 with shortcuts that have no parameters has 658,586", "parameters", 658_586, literature=HE),
    Exact("ResNet-44 Keras", "Keras's ResNet-44, with biases and with 1 × 1 projections, trains 662,826 parameters", "parameters", 662_826, "662,826 of 665,994", HE),
    Exact("ResNet-44 Keras", "The rest of Keras's 665,994 are 3,168 running means and variances, which are not trained", "statistics", 3_168, "665,994 − 662,826"),
    Exact("Inception 3a", "Inception 3a has 163,696 parameters", "parameters", 163_696, literature="159K, with K = 1024"),
    Exact("Inception 3b", "Inception 3b has 388,736 parameters", "parameters", 388_736, literature="380K, with K = 1024"),
)  # fmt: skip


def claims(knobs: CnnKnobs, recording: Recording) -> list[Claim]:
    """What the lesson states, on this run's nets."""
    run = {name: design(knobs, name).rows() for name in knobs.nets}
    return [
        _dense(run.get("VGG19")),
        *(_exact(each, run[each.net]) for each in EXACT if each.net in run),
        _reduced(run.get("Inception 3b naive"), run.get("Inception 3b")),
        _stack(knobs),
        _twice(design(knobs, "VGG19") if "VGG19" in run else None),
        _outweigh(knobs, run.get("VGG19")),
        *([_yours(run[YOURS])] if YOURS in run else []),
    ]


def _exact(each: Exact, rows: Sequence[Row]) -> Claim:
    number = total(rows, each.count)
    return Claim(
        each.sentence,
        f"{number:,}, of which {total(rows, 'biases'):,} are biases" if each.count == "parameters" else f"{number:,}",
        f"exactly {each.number:,}",
        number == each.number,
        OWN,
        notebook=each.notebook,
        literature=each.literature,
    )


def _dense(vgg: Sequence[Row] | None) -> Claim:
    parameters, multiplications = dense_shares(vgg) if vgg else (0.0, 0.0)
    return Claim(
        "VGG19's dense layers hold most of its parameters and do hardly any of its multiplications",
        f"{parameters:.1%} of the parameters, {multiplications:.1%} of the multiplications" if vgg else "",
        "at least 80 % and under 1 %",
        parameters >= 0.8 and multiplications < 0.01 if vgg else None,
        OWN,
        notebook="one column for both, “Parameters (Compute)”",
        hint="choose VGG19",
    )


def _reduced(naive: Sequence[Row] | None, reduced: Sequence[Row] | None) -> Claim:
    before, after = (total(rows or [], "multiplications") for rows in (naive, reduced))
    measured = f"{before:,} / {after:,} = {before / after:.3f}" if before and after else ""
    return Claim(
        "1 × 1 reductions save Inception 3b a factor of 2.807 in multiplications",
        measured,
        "2.807, whatever the size of its maps",
        round(before / after, 3) == 2.807 if measured else None,
        OWN,
        notebook="1.11B / 397M, “roughly 3”",
        literature="304M with reductions (Szegedy et al. 2015)",
        hint="choose Inception 3b, naive and reduced",
    )


def _stack(knobs: CnnKnobs) -> Claim:
    size, large = knobs.filter_size, 3 * knobs.filter_size - 2
    many, one = stacked(size, 3)
    weights = [total(rows, "weights") for rows in (many, one)]
    alike = (many[-1].out.sees, many[-1].out.side) == (one[-1].out.sees, one[-1].out.side)
    return Claim(
        f"Three stacked {size} × {size} convolutions do what one of {large} × {large} does, with fewer weights",
        f"they see {many[-1].out.sees} pixels and take {WIDEST - many[-1].out.side} off the side; "
        f"{weights[0]} against {weights[1]} weights for each pair of channels",
        "equal field and equal output, fewer weights",
        alike and weights[0] < weights[1],
        OWN,
        notebook="for 5 × 5: a side of L − 12, from 32 to 20",
    )


def _twice(vgg: Design | None) -> Claim:
    accounts = [replace(vgg, side=times * vgg.side).rows() for times in (1, 2)] if vgg else [[], []]
    multiplied, held = (
        [total(rows, count, "conv") for rows in accounts] for count in ("multiplications", "parameters")
    )
    return Claim(
        "Twice the side costs VGG19 four times the multiplications, and not one parameter in a convolution",
        f"× {multiplied[1] / multiplied[0]:g} and {held[1] - held[0]} parameters" if vgg else "",
        "× 4 and none",
        multiplied[1] == 4 * multiplied[0] and held[1] == held[0] if vgg else None,
        OWN,
        hint="choose VGG19",
    )


def _outweigh(knobs: CnnKnobs, vgg: Sequence[Row] | None) -> Claim:
    activations, weights = (knobs.bytes_per_number * total(vgg or [], count) for count in ("activations", "parameters"))
    return Claim(
        "In training, VGG19's activations take more memory than its weights",
        f"batch of {knobs.batch_size}: {knobs.batch_size * activations / 1e9:.2f} GB against {weights / 1e9:.2f} GB"
        if vgg
        else "",
        "more, from a batch of 9 on",
        knobs.batch_size * activations > weights if vgg else None,
        OWN,
        hint="choose VGG19",
    )


def _yours(rows: Sequence[Row]) -> Claim:
    parameters, multiplications = dense_shares(rows)
    return Claim(
        "In your net, too, the parameters sit in dense layers and the multiplications in convolutions",
        f"dense layers: {parameters:.1%} of {total(rows, 'parameters'):,} parameters, "
        f"{multiplications:.1%} of {total(rows, 'multiplications'):,} multiplications",
        "more than half, and less than half",
        parameters > 0.5 > multiplications,
        "it is so in AlexNet and VGG19, but not in ResNet-44, which averages its maps before its one dense layer",
    )


def cost(knobs: CnnKnobs) -> Cost:
    """Sums of whole numbers, a few for each row: next to nothing."""
    rows = sum(len(design(knobs, name).rows()) for name in knobs.nets)
    return Cost(0.0, 0.0, 1000.0 + 20.0 * rows, 1e6)


def shrunk(knobs: CnnKnobs) -> CnnKnobs:
    """As it is: it takes no time."""
    return knobs


def reveal(found: Facts) -> str | None:
    """What happened, for the reader who predicted."""
    parameters, multiplications = (found.get(f"dense_share_of_{count}[vgg19]") for count in ("parameters", "macs"))
    if parameters is None or multiplications is None:
        return None
    return f"They hold {parameters:.0%} of the parameters and do {multiplications:.1%} of the multiplications."


def settings(knobs: CnnKnobs) -> Mapping[str, Any]:
    """For the script: name → channels, side of the picture and layers, since a script knows no net by its name."""
    nets = {name: design(knobs, name) for name in knobs.nets}
    plain = str.maketrans({"×": "x", "\n": ",", ";": ","})
    described = {
        name: (each.channels, each.side, " ".join(each.text.lower().translate(plain).split()))
        for name, each in nets.items()
    }
    return {"nets": described, "batch_size": knobs.batch_size, "bytes_per_number": knobs.bytes_per_number}


PRESETS: Mapping[str, CnnKnobs] = {
    "Classroom": CnnKnobs(),
    "As the notebook ran it": CnnKnobs(
        nets=("AlexNet", "VGG19", "Inception 3b naive", "Inception 3b"), version="as the notebook counted"
    ),
    "Done right": CnnKnobs(
        nets=("AlexNet", "AlexNet two groups", "VGG19", "ResNet-44", "Inception 3b naive", "Inception 3b")
    ),
    "Three AlexNets": CnnKnobs(nets=("AlexNet", "AlexNet two groups", "AlexNet torchvision")),
    "Inception": CnnKnobs(nets=("Inception 3a naive", "Inception 3a", "Inception 3b naive", "Inception 3b")),
    "Two ResNet-44": CnnKnobs(nets=("ResNet-44", "ResNet-44 Keras")),
}

LESSON = Lesson(
    slug="cnn-arithmetic",
    prose=prose.of("cnn-arithmetic"),
    revision=1,
    knobs=CnnKnobs,
    presets=PRESETS,
    series=series,
    train=train,
    panels=panels,
    watches=lambda knobs: (),
    facts=facts,
    claims=claims,
    cost=cost,
    axis="layer",
    watched="parameters",
    dataset=lambda knobs: None,
    shrunk=shrunk,
    outcome=reveal,
    code=(train, tally, positions, Conv, Dense),
    settings=settings,
)
