"""What the frames of a lesson hold, declared once: its curves and its tables.

A curve's declaration gives the check of the frames' shapes, the line chart with its band, the facts with their samples,
the narrator's events and the names in the CSV.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from core.knobs import Knobs
from core.narrator import Diverges, Watch

K = TypeVar("K", bound=Knobs)
Axes = Mapping[str, Sequence[Any]]
"""Name of an axis → what stands along it, in the order of the axes: {"series": ("h=8", "h=32"), "seed": (5, 6, 7)}."""


@dataclass(frozen=True)
class Curve:
    """One measured quantity over the steps of a run.

    A frame gives one number, one per series, (series,), or one per series and repeat, (series, repeats).

    Attributes:
        name: in frames, facts and the CSV: "test_loss".
        label: in words: "test loss".
        unit: what its numbers count: "nats".
        format: how they are printed: ".1%".
        log: whether its axis is logarithmic.
        events: what the narrator may tell of it: watches that lack curve, names, label and format, such as `Diverges`
            or `partial(Reaches, bound=1.0, kind="interpolated", does="classifies every example correctly")`.
        axes: what stands along its axes, where that is not the lesson's series and repeats.
        names: what the narrator calls its columns, where that is not what stands along its first axis.
        fact: whether its last values, means over the repeats, are facts.
    """

    name: str
    label: str
    unit: str = ""
    format: str = ".3g"
    log: bool = False
    events: Sequence[Callable[..., Watch]] = ()
    axes: Axes | Callable[[Any], Axes] | None = None
    names: Sequence[str] | None = None
    fact: bool = True

    @property
    def title(self) -> str:
        """The title of a chart's axis: "test loss (nats)"."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def tells_divergence(self) -> bool:
        """Whether the narrator tells where one of its lines becomes NaN."""
        return any(getattr(event, "func", event) is Diverges for event in self.events)

    def axes_of(self, knobs: Knobs) -> Axes | None:
        """Return what stands along its axes with these knobs; None where that is the lesson's series and repeats."""
        return self.axes(knobs) if callable(self.axes) else self.axes


@dataclass(frozen=True)
class Table:
    """An array that each frame replaces: what the lesson's own charts show besides lines.

    Attributes:
        name: in frames.
        label: what it holds, in words.
        shape: names of its axes: ("series", "repeats"). The length of "series" is checked.
        added: whether it came later than runs that are stored: those lack it, and what draws it stays empty.
    """

    name: str
    label: str
    shape: Sequence[str]
    added: bool = False
