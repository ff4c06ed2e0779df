"""From the graph of a network to the language: chains, and branches that part and come together again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.convnets.branches import Branches, Join, SqueezeExcite
from core.convnets.counting import Chain, Layer, LayerError
from core.convnets.layers import Average, Conv

Shape = tuple[int, int, int]


@dataclass(eq=False)
class Node:
    """One step of a network.

    Attributes:
        layer: what it does; None for the image and for a join.
        inputs: what it reads: of a layer one node, of a join several, of the image none.
        join: how a join brings them together.
        shape: channels, height and width of what it gives.
        above: the nearest node that every way from the image to here passes through.
        depth: how many of those there are.
    """

    layer: Layer | None
    inputs: tuple["Node", ...]
    shape: Shape
    join: Join | None = None
    above: "Node | None" = field(init=False, default=None)
    depth: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.inputs:
            self.above = _common(self.inputs)
            self.depth = self.above.depth + 1


def _common(nodes: Sequence[Node]) -> Node:
    """The nearest node that all ways to all of these pass through."""
    first, *others = nodes
    for other in others:
        while first is not other:
            if first.depth < other.depth:
                first, other = other, first
            if first.above is None:
                raise LayerError("some of its layers read something else than the image")
            first = first.above
    return first


def chain_to(end: Node) -> Chain:
    """The layers from the image to `end`.

    Raises:
        LayerError: its branches cross, so that no brackets can show them.
    """
    return _between(None, end, set())


def _between(start: Node | None, end: Node, met: set[Node]) -> Chain:
    """The layers behind `start` up to `end`, each met once."""
    found: list[Layer] = []
    at: Node | None = end
    while at is not start and at is not None and at.inputs:
        if at in met:
            raise LayerError("its branches cross: a layer inside one of them is read by another too")
        met.add(at)
        if at.join is None:
            assert at.layer is not None
            found.append(at.layer)
            at = at.inputs[0]
            continue
        above = at.above
        assert above is not None
        found.append(_short(Branches(tuple(_between(above, each, met) for each in at.inputs), at.join)))
        at = above
    if at is not start and start is not None:
        raise LayerError("its branches cross: one of them leaves brackets that another one opened")
    return tuple(reversed(found))


def _short(branches: Branches) -> Layer:
    """Squeeze-and-excitation under its own name."""
    gates = [chain for chain in branches.chains if chain]
    if branches.join == "*" and len(gates) == 1 == len(branches.chains) - 1:
        match gates[0]:
            case (Average(size=(1, 1)), Conv() as squeeze, Conv(bias=bias) as excite):
                plain = (Conv(squeeze.filters, (1, 1), bias=bias), Conv(excite.filters, (1, 1), bias=bias))
                if (squeeze, excite) == plain:
                    return SqueezeExcite(squeeze.filters, bias)
    return branches
