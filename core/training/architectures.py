"""Names of networks by the widths of their hidden layers, "32-256", and the families of the notebooks."""

from collections.abc import Mapping, Sequence
from itertools import product

from core.knobs import clip

Hidden = tuple[int, ...]

MAX_LAYERS, MAX_UNITS, MAX_NETS = 6, 512, 160
LAYERS = ("1 layer", "2 layers", "3 layers", "4 layers", "5 layers", "6 layers")


def name_of(hidden: Hidden) -> str:
    """Return the name of an architecture: "32-256"."""
    return "-".join(map(str, hidden))


def _up_to(layers: int) -> tuple[Hidden, ...]:
    """Return notebook 004's networks of so many layers: powers of two from 16 to 512, at most 512 units in all."""
    return tuple(each for each in product((16, 32, 64, 128, 256, 512), repeat=layers) if sum(each) <= MAX_UNITS)


FAMILIES: Mapping[str, tuple[Hidden, ...]] = {
    "one layer": _up_to(1),
    "two layers": _up_to(2),
    "three layers": _up_to(3),
    "all 143": _up_to(1) + _up_to(2) + _up_to(3),
    "notebook 000": (
        *((32,), (64,), (128,), (256,), (512,)),
        *((128, 128), (32, 256), (64, 256), (128, 256), (256, 256)),
        *((32, 32, 256), (32, 64, 256), (64, 64, 256), (32, 128, 256), (64, 128, 256)),
    ),
    "notebook 001": (
        *((16,), (32,), (64,), (128,), (256,), (400,)),
        *((128, 16), (32, 16), (256, 128), (16, 16), (128, 32)),
        *((128, 16, 16), (32, 16, 32), (128, 128, 64)),
    ),
}


def architecture(text: str) -> str:
    """Return a family's name, or widths with hyphens between, "32-256"; `ValueError` where `text` is neither."""
    if text.strip().lower() in FAMILIES:
        return text.strip().lower()
    widths = text.replace("x", "-").split("-")
    if not all(width.strip().isdecimal() and len(width) < 6 for width in widths):
        raise ValueError(
            f"{clip(text, 30)} is no architecture: write widths with hyphens, such as 32-256, or one of "
            f"{', '.join(FAMILIES)}"
        )
    hidden = tuple(int(width) for width in widths)
    if len(hidden) > MAX_LAYERS or min(hidden) < 1 or sum(hidden) > MAX_UNITS:
        raise ValueError(
            f"{clip(text, 30)} has {len(hidden)} layers and {sum(hidden)} units: 1 … {MAX_LAYERS} layers of 1 unit or "
            f"more, {MAX_UNITS} units in all, can be trained"
        )
    return name_of(hidden)


def hidden_layers(names: Sequence[str]) -> list[Hidden]:
    """Return the architectures that are named, each once, by depth and then by units."""
    named = (FAMILIES.get(each) or (tuple(map(int, each.split("-"))),) for each in names)
    return sorted({hidden for family in named for hidden in family}, key=lambda each: (len(each), sum(each), each))
