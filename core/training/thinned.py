"""Thinned networks, which dropout trains: what each rule does to a layer's mean, outputs under random masks, a drawing.

A thinned network is what a mask leaves of a whole one (Srivastava et al. 2014, JMLR 15:1929).
"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from core.charts import AnyTrace, axis, chart, level
from core.frames import Array
from core.nets import relu
from core.panels import COLOURS, FAINT, Panel, Still, Switch
from core.traces import Scatter
from core.training.fleet import Dropout, Fleet, Rule

RULES: tuple[Rule, ...] = ("inverted", "keep", "notebook")
RULE_NAMES = {"inverted": "inverted", "keep": "times 1 − p", "notebook": "notebook: times p"}
MASKED, MASKS = 32, 32_768  # units and examples that decide a layer's mean: a million masks
SAMPLES = 50  # thinned networks that are drawn
UNITS_SHOWN = 8  # of each hidden layer


def scale_ratios(rate: float, depth: int, seed: int, device: torch.device) -> Array:
    """Return mean training output over evaluation output of the same weights: (rules, depth), after each layer.

    Each unit averages the layer before it, and all are positive, so that ReLU does nothing: what is measured is what
    dropout and its rule do to the mean, over a million masks in each layer.
    """
    found = []
    for rule in RULES:
        sizes = (1, *[MASKED] * depth, 1)
        stack = Fleet(1, sizes, activation=relu, dropout=Dropout(rate, 0.0, rule), device=device)
        stack.initialise(lambda weight, bias, rng: weight.fill(1 / weight.shape[1]), seed)
        ones = torch.ones(MASKS, 1, device=device)
        means = [
            torch.stack([layer.after.double().mean() for layer in stack.layers(ones, training=training)[:-1]])
            for training in (True, False)
        ]
        found.append((means[0] / means[1]).cpu().numpy())
    return np.stack(found)


def rules_chart(rate: float, depth: int) -> Panel:
    """Return the chart of the table "ratios" (`scale_ratios`)."""
    drawn = [
        Switch(
            Scatter(
                x=list(range(1, depth + 1)),
                name=RULE_NAMES[rule],
                mode="lines+markers",
                line={"color": (COLOURS[4], COLOURS[2], COLOURS[3])[i], "dash": ("solid", "dash", "dot")[i]},
                marker={"size": (13, 8, 9)[i], "symbol": ("circle-open", "x", "diamond")[i]},
            ),
            {"y": ("ratios", i)},
        )
        for i, rule in enumerate(RULES)
        if rate or rule != "notebook"
    ]
    furthest = depth * math.log10((1 - rate) / rate) if rate else 0.0
    caption = "Mean output in training over output in evaluation, same weights, after each further dropout layer."
    caption += " At 1 the network that is evaluated is the one that was trained."
    if not rate:
        caption += " At a rate of 0 the notebook's rule multiplies every unit by 0: infinitely far off, so not drawn."
    return chart(
        "Three rules that make up for dropped units",
        caption,
        [level(1.0, 0.8, depth + 0.2, "as trained"), *drawn],
        x=axis("dropout layers", range=(0.8, depth + 0.2), dtick=1),
        # Room for 1 and for what the notebook's rule comes to: where all agree, their last digits fill no chart.
        y=axis("training ÷ evaluation", type="log") | {"range": [min(0.0, furthest) - 0.3, max(0.0, furthest) + 0.3]},
    )


def under_masks(net: Fleet, x: torch.Tensor) -> tuple[Array, dict[str, float]]:
    """Return what a network of one output says at x (points, 1) under random masks.

    Returns:
        mean − 2 sd, mean + 2 sd and mean over the masks, (3, points); and root mean squares over the points: their sd
        "sample_spread", the whole network's distance from their mean "sample_gap"; and "evaluation_difference", the
        largest one between two evaluations of it, before and after masks were drawn.
    """
    evaluated = net.forward(x).double()
    samples = net.forward(x.repeat(SAMPLES, 1), training=True).double().view(SAMPLES, -1)
    again = net.forward(x).double()
    mean, sd = samples.mean(dim=0), samples.std(dim=0)
    numbers = {
        "sample_spread": float(sd.square().mean().sqrt()),
        "sample_gap": float((mean - evaluated.flatten()).square().mean().sqrt()),
        "evaluation_difference": float((again - evaluated).abs().max()),
    }
    return torch.stack([mean - 2 * sd, mean + 2 * sd, mean]).float().cpu().numpy(), numbers


class Drawing(NamedTuple):
    """A drawn network: a few units of each layer of the first network, and what a step did to its first example.

    Attributes:
        heights: where the units of each layer stand, inputs and outputs included, each (shown,).
    """

    heights: list[Array]

    @classmethod
    def of(cls, width: int, depth: int) -> "Drawing":
        """Draw a network of one input and one output; layers stand above one another's middle."""
        shown = [1, *[min(width, UNITS_SHOWN)] * depth, 1]
        return cls([np.arange(units) - (units - 1) / 2 for units in shown])

    def places(self) -> tuple[Array, Array]:
        """Horizontal places of the units (units,) and of the edges, a start, an end and a gap each, (3 · edges,)."""
        units = np.concatenate([np.full(len(layer), l) for l, layer in enumerate(self.heights)])
        edges = [np.tile([l, l + 1, np.nan], len(a) * len(b)) for l, (a, b) in enumerate(pairwise(self.heights))]
        return units, np.concatenate(edges)

    def nodes(self, masks: list[torch.Tensor | None]) -> Array:
        """Heights of the units that are kept and of those that are dropped, nan elsewhere, (2, units)."""
        heights, kept = np.concatenate(self.heights), np.concatenate(self.kept(masks))
        return np.stack([np.where(kept, heights, np.nan), np.where(kept, np.nan, heights)])

    def edges(self, masks: list[torch.Tensor | None]) -> Array:
        """Heights along the edges between units that are kept, as `places`; nan elsewhere."""
        heights, kept = self.heights, self.kept(masks)
        found = []
        for l in range(len(heights) - 1):
            start, end = (each.ravel() for each in np.meshgrid(heights[l], heights[l + 1], indexing="ij"))
            drawn = np.stack([start, end, np.full(len(start), np.nan)], axis=1)  # (edges, 3)
            drawn[~np.logical_and.outer(kept[l], kept[l + 1]).ravel()] = np.nan
            found.append(drawn.ravel())
        return np.concatenate(found)

    def kept(self, masks: list[torch.Tensor | None]) -> list[Array]:
        """Which of the units shown the newest step kept, by layer; all where no mask was drawn yet."""
        found = [np.ones(len(layer), dtype=bool) for layer in self.heights]
        for l, mask in enumerate(masks):
            if mask is not None:
                found[l] = mask[0, : len(found[l]), 0].cpu().numpy() > 0
        return found

    def panel(self, width: int, colour: str) -> Panel:
        """Return the chart of the tables "net" (`nodes`) and "edges" (`edges`) of a network of this width."""
        units, edges = self.places()
        depth, shown = len(self.heights) - 2, max(map(len, self.heights))
        some = f"{shown} of {width} units a layer" if shown < width else "all units"
        names = ["input", *[f"hidden {l}" for l in range(1, depth + 1)], "output"]
        thin = {"mode": "lines", "hoverinfo": "skip", "showlegend": False}
        gone = {"color": FAINT, "size": 11, "symbol": "x-thin-open", "line": {"width": 2}}
        traces: list[AnyTrace] = [
            Still(
                Scatter(
                    x=edges,
                    y=self.edges([]),
                    name="all edges",
                    line={"color": FAINT, "width": 0.5},
                    opacity=0.35,
                    **thin,
                )
            ),
            Switch(
                Scatter(x=edges, name="edges", line={"color": colour, "width": 0.8}, opacity=0.6, **thin),
                {"y": "edges"},
            ),
            Switch(
                Scatter(x=units, name="kept", mode="markers", marker={"color": colour, "size": 13}), {"y": ("net", 0)}
            ),
            Switch(Scatter(x=units, name="dropped", mode="markers", marker=gone), {"y": ("net", 1)}),
        ]
        caption = f"What the newest step left of the network for one training example ({some})."
        return chart(
            "The network in its newest step",
            f"{caption} Every example and every step draws anew.",
            traces,
            x={"range": [-0.4, depth + 1.4], "tickvals": list(range(len(names))), "ticktext": names},
            y={"visible": False, "range": [-shown / 2 - 0.3, shown / 2 + 0.3]},
        )  # fmt: skip
