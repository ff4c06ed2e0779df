"""The account of a network for people who ask on the command line: a table of its layers, and its text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.convnets.counting import Chain, LayerError, Row, account, total
from core.convnets.loading import load
from core.convnets.modules import describe
from core.convnets.reading import read
from core.convnets.writing import write

USUAL_SIDE = 224
NAMED = re.compile(r"[\w.]*:[\w.]*")


@dataclass(frozen=True)
class Report:
    """A network, counted.

    Attributes:
        name: what was asked for.
        chain: its layers.
        rows: its account, the image first.
        unused: sizes by name of parameters that no image uses.
    """

    name: str
    chain: Chain
    rows: Sequence[Row]
    unused: Mapping[str, int]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "name": self.name,
            "input": str(self.rows[0].out),
            "output": str(self.rows[-1].out),
            **{count: total(self.rows, count) for count in ("parameters", "statistics", "macs", "activations")},
            "unused_parameters": sum(self.unused.values()),
            "text": write(self.chain),
            "layers": [
                {**asdict(row), "out": str(row.out), "sees": row.out.sees, "parameters": row.parameters}
                for row in self.rows
            ],
        }

    @property
    def text(self) -> str:
        """A table, its sums, and the network in the language."""
        heads = ("layer", "branch", "output", "parameters", "MACs", "activations", "sees")
        lines: list[tuple[str, ...]] = [
            (
                row.name,
                row.branch,
                str(row.out),
                f"{row.parameters:,}",
                f"{row.macs:,}",
                f"{row.activations:,}",
                str(row.out.sees),
            )
            for row in self.rows
        ]
        sums = [f"{total(self.rows, count):,}" for count in ("parameters", "macs", "activations")]
        lines.append(("sum", "", "", *sums, ""))
        widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
        table = ["  ".join(_aligned(line, widths)).rstrip() for line in (heads, *lines)]
        macs, statistics = total(self.rows, "macs"), total(self.rows, "statistics")
        said = [
            f"{macs:,} multiply–accumulate operations (MACs) for one image, of convolutions and dense layers: "
            f"{2 * macs:,} FLOPs",
            f"{total(self.rows, 'parameters'):,} trainable parameters"
            + (f", and {statistics:,} running means and variances" if statistics else ""),
        ]
        if self.unused:
            parts = sorted({name.partition(".")[0] for name in self.unused})
            said.append(
                f"{sum(self.unused.values()):,} parameters more are used by no image in evaluation: {', '.join(parts)}"
            )
        return "\n".join([*table, "", *said, "", "In the language of the lesson cnn-arithmetic:", write(self.chain)])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if i < 3 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def report(asked: str, size: str | None = None) -> Report:
    """Count a module by its name (`torchvision:resnet50`, `package.file:Name`), or a text of the language.

    Args:
        asked: the name or the text.
        size: channels and sides of the image, as in 3x224x224; else as torchvision evaluates it, or 3 × 224 × 224.

    Raises:
        LayerError: it cannot be read, made, counted, or does not fit.
    """
    if not NAMED.fullmatch(asked.strip()):
        image = image_of(size, USUAL_SIDE)
        chain = read(asked)
        return Report(asked, chain, account(chain, *image), {})
    name = asked.strip()
    module, side = load(name)
    image = image_of(size, side or USUAL_SIDE)
    try:
        found = describe(module, *image)
    except LayerError as error:
        raise LayerError(f"{name} cannot be written in the language: {error}") from error
    return Report(name, found.chain, account(found.chain, *image), found.unused)


def image_of(size: str | None, side: int) -> tuple[int, int, int]:
    """Channels, height and width from "3x224x224", "224x160" or "224"; of nothing, a square in colours."""
    if size is None:
        return 3, side, side
    numbers = re.split(r"\s*[x×,]\s*", size.strip().lower())
    if not 1 <= len(numbers) <= 3 or not all(re.fullmatch("[1-9][0-9]{0,4}", each) for each in numbers):
        raise LayerError(f"{size!r} is no size of an image; write channels, height and width, such as 3x224x224")
    *channels, height, width = [int(each) for each in numbers] if len(numbers) > 1 else [int(numbers[0])] * 2
    return (channels[0] if channels else 3), height, width
