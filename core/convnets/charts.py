"""Charts of networks on paper: what each layer holds, multiplies and sees, branches, a table, and other tools' numbers.

Each takes name → network; where a run draws layer by layer, row i of its pictures is network i.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from core.charts import AnyTrace, axis, chart
from core.convnets.counting import Count, Row, by_branch, by_layer, total
from core.convnets.published import NETS, Design, Name
from core.convnets.tools import TOOLS, kept
from core.panels import COLOURS, DASHES, FAINT, Panel, Still, Switch, reference
from core.traces import Bar, Heatmap, Scatter

COUNTS: Mapping[Count, str] = {"parameters": "parameters", "macs": "MACs", "activations": "activations"}
"""What is counted for each layer → its name."""

Nets = Mapping[str, Design]
SHADE = "31,131,214"
MAX_LABEL = 30  # characters of a layer's name at the side of a table


def colour(name: str) -> str:
    """A network keeps its colour, whichever others are chosen."""
    return COLOURS[get_args(Name).index(name)]


def dash(name: str) -> str:
    """And its dashes."""
    return DASHES[get_args(Name).index(name) % len(DASHES)]


def layers(net: Design) -> list[list[Row]]:
    """The rows of each layer, the image first."""
    return by_layer(net.rows())


def longest(nets: Nets) -> int:
    """The number of the last layer of any, at least 1."""
    return max(2, *(len(layers(net)) for net in nets.values())) - 1


def logarithmic(title: str, values: Iterable[int]) -> dict[str, Any]:
    """An axis for positive counts: where it spans many powers of ten, those alone are marked."""
    some = [value for value in values if value > 0] or [1]
    found = axis(title, format=".0s", type="log")
    return found | ({"dtick": 1} if max(some) > 300 * min(some) else {})


def _style(name: str, net: Sequence[Sequence[Row]], size: int) -> dict[str, Any]:
    """The line of a network, with each layer's name and output for whoever points at it; squares for dense layers."""
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


def _paths(nets: Nets, x: str, y: str) -> list[AnyTrace]:
    """The way through each network, from picture `x` and picture `y`."""
    hover = "%{text}<br>%{x}, %{y}<extra>"
    return [
        Switch(
            Scatter(**_style(name, layers(net), 7), hovertemplate=f"{hover}{name}</extra>"), {"x": (x, i), "y": (y, i)}
        )
        for i, (name, net) in enumerate(nets.items())
    ]


def shares(nets: Nets) -> Panel:
    """Parameters against MACs, from the pictures share_of_macs and share_of_parameters."""
    return chart(
        "Parameters against multiplications",
        "The way through each network, layer by layer. Rightwards: MACs are spent. Upwards: parameters are met. "
        "Squares are dense layers.",
        [reference([0, 1], [0, 1], "both alike"), *_paths(nets, "share_of_macs", "share_of_parameters")],
        x=axis("MACs so far", format=".0%", range=(-0.02, 1.03)),
        y=axis("parameters so far", format=".0%", range=(-0.03, 1.05)),
    )


def of_layers(nets: Nets, count: Count, name: str, caption: str) -> Panel:
    """One count of each layer, from the picture of its name."""
    at = np.arange(longest(nets) + 1)
    hover = f"%{{text}}<br>%{{y:.4s}} {COUNTS[count]}<extra>"
    drawn = [
        Switch(
            Scatter(x=at, **_style(title, layers(net), 6), hovertemplate=f"{hover}{title}</extra>"), {"y": (count, i)}
        )
        for i, (title, net) in enumerate(nets.items())
    ]
    values = [total(rows, count) for net in nets.values() for rows in layers(net)]
    return chart(
        name,
        f"{caption} A pool or a norm counts with the layer before it.",
        drawn,
        x=axis("layer", range=(0, len(at) - 0.5)),
        y=logarithmic(f"{COUNTS[count]} of the layer", values),
    )


def sights(nets: Nets) -> Panel:
    """Receptive field against size, from the pictures side and sees."""
    rows = [row for net in nets.values() for row in net.rows()]
    widest, most = max(max(row.out.height, row.out.width) for row in rows), max(row.out.sees for row in rows)
    powers = [2**i for i in range(40)]
    return chart(
        "Feature maps shrink while each number sees more",
        "Convolutions climb, strides and pools lead to the right. What a number sees includes padding, so it may be "
        "more than the image.",
        _paths(nets, "side", "sees"),
        x=axis("longer side of the feature maps, pixels", log=True, range=(1.2 * widest, 10**-0.05), ticks=powers),
        y=axis(
            "receptive field, pixels",
            log=True,
            range=(10**-0.05, 1.3 * most),
            ticks=powers[::2] if most > 128 else powers,
        ),
    )


def branches(nets: Nets) -> Panel:
    """Bars: what each branch multiplies, over all brackets of each network."""
    drawn = []
    for name, net in nets.items():
        found = by_branch(net.rows())
        said = [
            f"{', '.join(dict.fromkeys(row.name for row in rows if row.kind in ('conv', 'fc', 'pool')))[:70]}<br>"
            f"{total(rows, 'parameters'):,} parameters, {rows[-1].out.channels} channels out"
            for rows in found.values()
        ]
        macs = [total(rows, "macs") for rows in found.values()]
        drawn.append(_bars(name, [f"branch {n}" for n in found], macs, said, "%{y:,} MACs"))
    return chart(
        "MACs of each branch",
        "What each branch in brackets multiplies for one image, over all brackets of the network; a branch that only "
        "pools or hands on has none.",
        drawn,
        x="in brackets",
        y=axis("MACs", format=".2s", rangemode="tozero"),
        barmode="group",
    )


def _bars(name: str, x: Sequence[str], y: Sequence[float], text: Sequence[str], hover: str) -> Still:
    return Still(
        Bar(
            x=x,
            y=y,
            name=name,
            text=text,
            hovertemplate=f"%{{text}}<br>{hover}<extra>{name}</extra>",
            textposition="none",
            marker={"color": colour(name)},
            meta={"label": name},
        )
    )


def table(name: str, net: Design) -> Panel:
    """A table: numbers in cells whose shade is their share of the network."""
    rows = layers(net)
    columns = {title: [total(each, count) for each in rows] for count, title in COUNTS.items()}
    cells = [
        [str(each[-1].out), *(f"{values[i]:,}" for values in columns.values()), str(max(row.out.sees for row in each))]
        for i, each in enumerate(rows)
    ]
    shade = [[0.0, *(values[i] / max(1, sum(values)) for values in columns.values()), 0.0] for i in range(len(rows))]
    drawn = Heatmap(
        x=["output", *columns, "sees"],
        y=[f"{i} {each[0].name}"[:MAX_LABEL] for i, each in enumerate(rows)],
        z=shade,
        text=cells,
        texttemplate="%{text}",
        hovertemplate=f"%{{y}}<br>%{{x}}: %{{text}}<extra>{name}</extra>",
        colorscale=[[0, f"rgba({SHADE},0)"], [1, f"rgba({SHADE},0.6)"]],
        zmin=0,
        zmax=1,
        showscale=False,
        name=name,
    )
    return chart(
        f"{name}, layer by layer",
        "Each layer with the pools and norms behind it, for one image; the darker a cell, the larger its share of the "
        "network.",
        [Still(drawn)],
        x=axis("", type="category", side="top", showgrid=False),
        y=axis("", type="category", autorange="reversed", showgrid=False),
    )


def tools(names: Iterable[str]) -> Panel:
    """Bars: the number that each tool prints, in MACs of this product; of networks that were measured."""
    said = kept()["nets"]
    labels = [f"{tool}<br>“{each.called}”" for tool, each in TOOLS.items()]
    drawn = [
        _bars(
            name,
            labels,
            [said[name][tool] / total(NETS[name].rows(), "macs") for tool in TOOLS],
            [f"{said[name][tool]:,} {each.unit}s" for tool, each in TOOLS.items()],
            "%{y:.4f} × the MACs counted here",
        )
        for name in names
    ]
    return chart(
        "What your tool says",
        "Each tool's number for one image, divided by the MACs counted here. FlopCounterMode counts FLOPs, two for "
        "each MAC. The others count MACs, and some add biases, norms, pools or activation functions.",
        [reference(labels, [1] * len(labels), "MACs"), *drawn],
        x="tool, and what it calls its number",
        y=axis("number / MACs", range=(0, 2.2)),
        barmode="group",
    )


def stacks(size: int, pairs: Mapping[int, tuple[Sequence[Row], Sequence[Row]]]) -> Panel:
    """Weights of stacked convolutions and of the one that sees as much, by how many are stacked."""
    sees = [one[-1].out.sees for _, one in pairs.values()]
    drawn = [
        Still(
            Scatter(
                x=list(pairs),
                y=[total(pair[i], "weights") for pair in pairs.values()],
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
    return chart(
        f"Stacked {size} × {size} convolutions against one large one",
        "Weights for each pair of channels. Both have the same receptive field and the same output size, but a stack "
        "has fewer weights, so it cannot be every large filter; and it has an activation function behind each layer.",
        drawn,
        x=axis(
            "convolutions stacked, and side of the one that sees as much",
            ticks=list(pairs),
            labels=[f"{n}<br>{pixels}×{pixels}" for n, pixels in zip(pairs, sees, strict=True)],
            range=(0.7, len(pairs) + 0.3),
        ),
        y=axis("weights", rangemode="tozero"),
    )
