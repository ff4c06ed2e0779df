"""A `torch.nn.Module` in the language: it runs once on the meta device, where nothing is computed, and is listened to.

So it is read as it runs, whatever its Python code looks like: `functional.relu` and `nn.ReLU` are the same call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.convnets.branches import Join
from core.convnets.counting import Axis, Chain, LayerError, Maps
from core.convnets.functions import IN_PLACE, MOVES, layer_of
from core.convnets.graph import Node, Shape, chain_to
from core.convnets.layers import Slice
from core.convnets.norms import Scale

SUMS = {"add": True, "iadd": True, "radd": True, "sub": False, "isub": False, "rsub": False}
PRODUCTS = {"mul": True, "imul": True, "rmul": True, "div": False, "truediv": False, "itruediv": False}
"""Names of operators, and whether the language has a word for two feature maps in them."""


@dataclass(frozen=True)
class Described:
    """A module in the language.

    Attributes:
        chain: its layers.
        unused: sizes by name of the parameters that no image uses, as those of a classifier for training alone.
    """

    chain: Chain
    unused: Mapping[str, int]


def describe(module: nn.Module, channels: int, height: int, width: int) -> Described:
    """The layers through which an image of this size runs when the module evaluates it.

    Raises:
        LayerError: it does something that the language has no word for, or fails on such an image.
    """
    module = module.to("meta").eval()
    image = torch.empty(1, channels, height, width, device="meta")
    listener = Listener(module, image)
    with torch.no_grad(), listener:
        try:
            out = module(image)
        except LayerError:
            raise
        except Exception as error:  # the module is the reader's own and may raise anything
            first = str(error).strip().partition("\n")[0].removesuffix(".")
            size = f"{channels} × {height} × {width}"
            raise LayerError(f"it fails on an image of {size}: {type(error).__name__}: {first}") from error
    if not isinstance(out, Tensor):
        raise LayerError(f"it gives a {type(out).__name__} and not one tensor; count the part that gives one")
    if id(out) not in listener.nodes:
        raise LayerError("what it gives does not depend on the image")
    unused = {name: size.numel() for name, size in module.named_parameters() if id(size) not in listener.used}
    chain = chain_to(listener.nodes[id(out)])
    if not chain:
        raise LayerError("a network needs a layer, and this one gives its image back")
    return Described(chain, unused)


class Listener(TorchFunctionMode):
    """Notes each function of PyTorch that is called with a tensor that comes from the image."""

    def __init__(self, module: nn.Module, image: Tensor) -> None:
        super().__init__()
        _, channels, height, width = image.shape
        self.nodes: dict[int, Node] = {id(image): Node(None, (), (channels, height, width))}
        self.names = {id(parameter): name for name, parameter in module.named_parameters()}
        self.used: set[int] = set()
        self._kept: list[Tensor] = [image]  # so that no other tensor gets the id of one that is gone
        self._laid: list[tuple[tuple[Node, ...], Node]] = []  # what was laid side by side, as it was called

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call it; where what comes in is the image's and what goes out are tensors, note what it did."""
        kwargs = kwargs or {}
        given = _tensors((args, kwargs))
        before = [self.nodes[id(each)] for each in given if id(each) in self.nodes]
        out = func(*args, **kwargs)
        outputs = _tensors(out)
        if before and outputs:
            self._kept += [*outputs, *given]
            name = getattr(func, "__name__", str(func)).strip("_")
            parameters = [each for each in given if id(each) in self.names]
            for each in outputs:
                self.nodes[id(each)] = self._node(name, each, before, parameters, args, kwargs)
            self._use(parameters)
        return out

    def _node(
        self,
        name: str,
        out: Tensor,
        before: list[Node],
        parameters: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Node:
        x = before[0]
        if name in IN_PLACE or name in MOVES:
            return x
        if name in ("cat", "concat"):
            dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
            if dim % out.dim() != 1 or len(before) < len(args[0] if args else kwargs["tensors"]):
                raise LayerError("it joins more than channels of feature maps, which the language has no word for")
            return self._side_by_side(tuple(before))
        if name in ("chunk", "split"):
            return Node(Slice(out.shape[1]), (x,), self._shape_of(x, out.shape[1]))
        if name in SUMS:
            return self._combined(name, "+", SUMS[name], before, parameters)
        if name in PRODUCTS:
            return self._combined(name, "*", PRODUCTS[name], before, parameters)
        layer = layer_of(name, args, kwargs, x.shape)
        maps = layer.rows(Maps(x.shape[0], Axis(x.shape[1]), Axis(x.shape[2])))[-1].out
        if maps.numbers != out.numel():
            raise LayerError(f"{layer} would give {maps}, and {name} gives {tuple(out.shape)}")
        return Node(layer, (x,), (maps.channels, maps.height, maps.width))

    @staticmethod
    def _shape_of(x: Node, channels: int) -> Shape:
        return channels, x.shape[1], x.shape[2]

    def _combined(self, name: str, join: Join, has_word: bool, before: list[Node], parameters: list[Tensor]) -> Node:
        """A sum or a product: of feature maps, of them and a number, or of them and a factor for each channel."""
        x = max(before, key=lambda node: node.shape[1] * node.shape[2])
        if len(before) == 2 and has_word:
            return Node(None, tuple(before), x.shape, join)
        if len(before) == 1 and not parameters:
            return x
        if len(before) == 1 and join == "*" and parameters[0].numel() == x.shape[0]:
            return Node(Scale(), (x,), x.shape)
        what = f"the parameter {self.names[id(parameters[0])]}" if parameters else "two feature maps"
        raise LayerError(f"it uses {name} with {what}, which the language has no word for")

    def _side_by_side(self, nodes: tuple[Node, ...]) -> Node:
        """Channels laid side by side; those that begin like an earlier pile are laid beside that."""
        if len(nodes) == 1:
            return nodes[0]
        inputs = nodes
        for known, pile in reversed(self._laid):
            if len(known) < len(nodes) and nodes[: len(known)] == known:
                inputs = (pile, *nodes[len(known) :])
                break
        pile = Node(None, inputs, self._shape_of(nodes[0], sum(node.shape[0] for node in nodes)), "|")
        self._laid.append((nodes, pile))
        return pile

    def _use(self, parameters: list[Tensor]) -> None:
        for each in parameters:
            if id(each) in self.used:
                name = self.names[id(each)]
                raise LayerError(f"it uses {name} twice; the language has no word for layers that share weights")
            self.used.add(id(each))


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [each for part in value for each in _tensors(part)]
    return _tensors(list(value.values())) if isinstance(value, dict) else []


class Unfilled(TorchFunctionMode):
    """What layers hold is made on the meta device: hundreds of millions of parameters take no memory and no time.

    Only `torch.empty`, which layers make their parameters with: a constructor may compute with its own small tensors.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call it, on the meta device where it is `torch.empty`."""
        return func(*args, **{**(kwargs or {}), "device": "meta"} if func is torch.empty else kwargs or {})
