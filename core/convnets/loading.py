"""Networks by name: torchvision's, or a reader's own module, made without memory for what they hold."""

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from core.convnets.counting import LayerError
from core.convnets.modules import Unfilled
from core.knobs import clip

TORCHVISION = "torchvision"


def load(name: str) -> tuple[nn.Module, int | None]:
    """The module that `torchvision:resnet50` or `package.file:Name` names, and the side of image it is evaluated on.

    Name is a module, or a class or function that makes one without arguments.

    Raises:
        LayerError: there is none of this name, or it cannot be made.
    """
    place, _, attribute = name.partition(":")
    return _torchvisions(attribute) if place == TORCHVISION else (_own(place, attribute), None)


def _torchvisions(name: str) -> tuple[nn.Module, int | None]:
    from torchvision import models

    names = models.list_models(models)
    if name not in names:
        near = get_close_matches(name, names, n=3)
        ask = f"did you mean {' or '.join(near)}?" if near else f"{len(names)} are there, such as resnet50 and vgg19"
        raise LayerError(f"{clip(name) or 'no name'} is no classification model of torchvision; {ask}")
    weights = next(iter(models.get_model_weights(name)), None)
    side = None if weights is None else weights.transforms().crop_size[0]
    # GoogLeNet's published weights come without its two classifiers for training, Inception's with its one.
    more = {"aux_logits": False} if name == "googlenet" else {}
    return _make(lambda: models.get_model(name, weights=None, **more), name), side


def _own(place: str, attribute: str) -> nn.Module:
    if not place or not attribute:
        raise LayerError("write torchvision:resnet50, or package.file:Name for a module of your own")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(place)
    except Exception as error:  # the file is the reader's own and may raise anything
        raise LayerError(
            f"{clip(place)} cannot be imported ({type(error).__name__}: {clip(str(error), 120)}); "
            "name a file that lies here as package.file"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            those = [name for name, each in vars(found).items() if _makes_modules(each)]
            ask = f"it has {', '.join(those[:6])}" if those else "it has no class of nn.Module either"
            raise LayerError(f"{clip(place)} has no {clip(attribute)}; {ask}")
        found = getattr(found, part)
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise LayerError(f"{clip(attribute)} is {_a(found)}, and neither a torch.nn.Module nor what makes one")
    needed = _needed(found)
    if needed:
        raise LayerError(
            f"{clip(attribute)} cannot be made without {', '.join(needed)}; "
            "name a function without arguments that makes it"
        )
    made = _make(found, attribute)
    if not isinstance(made, nn.Module):
        raise LayerError(f"{clip(attribute)} makes {_a(made)}, and no torch.nn.Module")
    return made


def _make(make: Callable[[], Any], name: str) -> Any:
    try:
        with warnings.catch_warnings(), Unfilled():
            warnings.simplefilter("ignore")  # of initialisations that take long: nothing is initialised here
            return make()
    except Exception as error:
        raise LayerError(f"{clip(name)} cannot be made: {type(error).__name__}: {clip(str(error), 160)}") from error


def _makes_modules(each: Any) -> bool:
    return isinstance(each, nn.Module) or (isinstance(each, type) and issubclass(each, nn.Module))


def _needed(make: Any) -> list[str]:
    """Names of arguments that it cannot be called without."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def _a(value: Any) -> str:
    return f"a {type(value).__name__}"
