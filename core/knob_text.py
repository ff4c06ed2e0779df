"""A knob's value as people write it: in links that went through mail and chat, and on the command line.

What is plain is read, whatever the spelling: `8,64`, `8;64`, `[8, 64]`, `8%2064`, `0,01`, `８`, `−1`, `TRUE`, and what
mail programs leave around a link. What can mean two things is an `Ambiguous`. What is nothing is given back as it is,
for the sentence that refuses it.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from core.knobs import Knob

MAX_CHARACTERS = 10_000
"""Longer texts are nobody's spelling: they are read as they stand, and refused for their length."""

# Around a value: blanks, quotes and brackets of all kinds; behind it, what ends a sentence that ends with a link. No
# "…", which says that something was cut off.
AROUND = " \t\r\n()[]{}<>\"'`´“”„‟‘’‚‛«»‹›"
BEFORE, BEHIND = f"{AROUND}=,;", f"{AROUND},;:!?*"

ESCAPED = re.compile(r"%[0-9a-f]{2}", re.I)
STRONG = re.compile(r"[,;~|\n]")  # between the items of any list
NUMBERS = re.compile(r"[,;~|\s]+|(?<=\d)\+(?=\d)")  # between numbers; a "+" is a blank that was escaped once too often

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I)
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.I)
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}([,.'_ ])\d{3}(?:\1\d{3})*(?:(?!\1)[.,]\d+)?")

DASHES = dict.fromkeys("‐‑‒–−﹣－", "-")
COMMAS = {"،": ",", "、": ",", "﹐": ",", "؛": ";", "٫": ".", "’": "'"}


class Ambiguous(ValueError):
    """A text that can mean several values. Its message names them."""


def clean(text: str) -> str:
    """`text` with plain blanks, digits, signs and separators, and without characters that nobody sees."""
    return "".join(map(_plain, text)) if not text.isascii() else text


def _plain(c: str) -> str:
    if c in DASHES or c in COMMAS:
        return DASHES.get(c) or COMMAS[c]
    if "\uff01" <= c <= "\uff5e":  # the full-width form of ASCII
        return chr(ord(c) - 0xFEE0)
    category = unicodedata.category(c)
    if category in ("Zs", "Cf"):
        return " " if category == "Zs" else ""
    digit = unicodedata.decimal(c, None)
    return c if digit is None else str(digit)


def bare(text: str) -> str:
    """`text`, clean, and without what stands around it: quotes, brackets, the punctuation of a sentence."""
    text = unquote(text) if ESCAPED.search(text) else text  # escaped once too often
    text = clean(text).lstrip(BEFORE).rstrip(BEHIND)
    # One full stop ends a sentence; several say that something is missing.
    return text[:-1].rstrip(BEHIND) if text.endswith(".") and not text.endswith("..") else text


def key(text: str) -> str:
    """What two spellings of a word have in common: case, blanks, underscores, plus and minus signs do not count."""
    return re.sub(r"[\s_+-]+", " ", bare(text)).strip().casefold()


def match(text: str, offered: Sequence[str]) -> str | None:
    """The one of these words that `text` spells, or None."""
    if text in offered:
        return text
    found = [each for each in offered if key(each) == key(text)]
    return found[0] if len(found) == 1 else None


def items(text: str) -> list[str]:
    """The items of a list of words, however they are separated; blanks are a part of words."""
    return [item for part in STRONG.split(bare(text)) if (item := bare(part))]


def names(text: str) -> list[str]:
    """The items of a list of names, which have no blanks."""
    return [item for part in NUMBERS.split(bare(text)) if (item := bare(part))]


def number(text: str, whole: bool) -> Any:
    """The number that `text` spells; `text` itself where it spells none. Raises `Ambiguous`.

    Args:
        text: as written.
        whole: whether it has to be a whole number. Then "1.000" may mean a thousand too.
    """
    short = re.sub(r"(?<=\de) (?=\d)", "+", bare(text), flags=re.I)  # 1e+5, whose plus became a blank
    found: list[str] = [short] if PLAIN.fullmatch(short) else []
    if DECIMAL_COMMA.fullmatch(short):
        found.append(short.replace(",", "."))
    group = THOUSANDS.fullmatch(short)
    if group and (whole or group[1] != "." or not PLAIN.fullmatch(short)):
        found.append(short.replace(group[1], "").replace(",", "."))
    values = [value for value in dict.fromkeys(_number(each, whole) for each in found) if value is not None]
    if len(values) > 1:
        raise Ambiguous(" or ".join(f"{value:.15g}" for value in values))
    return values[0] if values else text


def _number(text: str, whole: bool) -> float | None:
    if whole and re.fullmatch(r"[+-]?\d{1,300}", text):
        return int(text)
    value = float(text) + 0.0  # no minus zero: equal knobs are equal texts
    if abs(value) == float("inf"):
        return None
    if not whole:
        return value
    return int(value) if value.is_integer() and abs(value) < 10**15 else None


def _numbers(text: str, whole: bool, fits: Callable[[Any], bool]) -> list[Any]:
    """The numbers of a list. Raises `Ambiguous` where a comma may stand between numbers or within one."""
    short = bare(text)
    every = [number(each, whole) for each in names(short)]
    group = THOUSANDS.fullmatch(short)
    if group and any(each.startswith("0") and len(each) > 1 for each in names(short)):
        raise Ambiguous(f"{every} or {short.replace(group[1], '')}")  # "8,064": nobody begins an item with a nought
    outer = r"[;~|\n]+" if re.search(r"[;~|\n]", short) else r",?\s+"
    parts = [part for part in re.split(outer, short) if part]
    if whole or "." in short or len(parts) < 2 or not any(DECIMAL_COMMA.fullmatch(bare(part)) for part in parts):
        return every
    within = [number(part, whole) for part in parts]
    if outer != r",?\s+" or not fits(every):
        return within
    if fits(within):
        raise Ambiguous(f"{every} or {within}")
    return every


def read(knob: "Knob", text: str, fits: Callable[[Any], bool]) -> Any:
    """The value that `text` spells for a knob, or something that is refused for what it is. Raises `Ambiguous`.

    Args:
        knob: whose value it is.
        text: as written.
        fits: whether the knob takes a value, asked only where a text can be read in several ways.
    """
    if len(text) > MAX_CHARACTERS:
        return text.split(",", knob.most + 1) if knob.kind == "list" else text
    if knob.kind == "bool":
        return bare(text).lower() or text
    if knob.kind in ("int", "float"):
        return number(text, knob.kind == "int")
    if knob.kind == "choice":
        return match(text, knob.choices) or text
    if knob.kind == "text":
        if len(text) > knob.most:
            return text
        lines = text.replace("\r\n", "\n")
        return next(filter(fits, [lines, clean(lines), bare(lines)]), text)
    if knob.item != "str":
        return _numbers(text, knob.item == "int", fits)
    offered = knob.choices or knob.stops
    exact = [item.strip() for item in text.strip().removeprefix("[").removesuffix("]").split(",")]
    spelled = [[match(item, offered) or item for item in each] for each in (items(text), names(text))]
    return next(filter(fits, [exact, *spelled]), spelled[0])
