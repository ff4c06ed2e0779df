"""Writing the language: layers back as a text, repetitions as such."""

from collections.abc import Sequence

from core.convnets.branches import Branches
from core.convnets.counting import Layer

MAX_PERIOD = 24  # layers in a repeated group that are looked for


def write(chain: Sequence[Layer], *, repeat: bool = True) -> str:
    """A text that reads back as an equal chain; with `repeat`, what stands several times in a row stands once."""
    phrases = [_phrase(layer, repeat) for layer in chain]
    return ", ".join(_repeated(phrases) if repeat else phrases)


def _phrase(layer: Layer, repeat: bool) -> str:
    if not isinstance(layer, Branches):
        return str(layer)
    return " ".join(["(", *f" {layer.join} ".join(write(chain, repeat=repeat) for chain in layer.chains).split(), ")"])


def _repeated(phrases: list[str]) -> list[str]:
    """Equal groups in a row under one number, the group that saves most first."""
    found: list[str] = []
    at = 0
    while at < len(phrases):
        period, times = max(
            ((period, _times(phrases, at, period)) for period in range(1, MAX_PERIOD + 1)),
            key=lambda each: (each[0] * (each[1] - 1), -each[0]),
        )
        if times > 1:
            group = _repeated(phrases[at : at + period])
            found.append(
                f"{times} × ( {', '.join(group)} )" if len(group) > 1 or group[0][0] != "(" else f"{times} × {group[0]}"
            )
        else:
            found.append(phrases[at])
        at += period * times
    return found


def _times(phrases: list[str], start: int, period: int) -> int:
    """How often the group of `period` phrases at `start` stands in a row."""
    group, times = phrases[start : start + period], 1
    if len(group) < period:
        return 1
    while phrases[start + times * period : start + (times + 1) * period] == group:
        times += 1
    return times
