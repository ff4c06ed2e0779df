"""Knobs: what a reader may turn, declared once.

A lesson declares each knob on one line, in one frozen model::

    class WidthKnobs(Knobs):
        passes: int = knob(20, "how often the network sees every example", 1, 200)

Everything else derives from that line: the widget, the link, the command-line flag, the cache key, the JSON
schema and the sentence a reader gets for a value out of range. A knob is a number, a switch, a choice, a list of
numbers, choices or words (`tuple[..., ...]`), or a text. Words and texts that must be read first say so in their
type, `Annotated[str, AfterValidator(read)]`, where `read` gives the text back or raises `ValueError` with a sentence
that lacks its full stop; what several knobs must keep together is a `model_validator(mode="after")` that raises one.
"""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from core import knob_text

Kind = Literal["int", "float", "bool", "choice", "list", "text"]


class KnobError(ValueError):
    """A knob that cannot be used. Its message is one sentence for the reader."""


def knob(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    *,
    label: str | None = None,
    stops: tuple[Any, ...] | None = None,
    shown: bool = False,
    most: int | None = None,
    added: bool = False,
) -> Any:
    """Declare one knob.

    Args:
        default: its value where nobody turned it.
        help: what turning it does, in the reader's words.
        low: smallest value; of each item where the knob is a list.
        high: largest value, likewise.
        label: the widget's name, where the knob's own name does not read well.
        stops: the values worth stopping at. A slider steps through them; a list offers them.
        shown: whether it stands on the page at once or under "More knobs".
        most: most items of a list (12 by default), most characters of a text (500).
        added: whether it came later than runs that are stored, and its default is what they did: the keys of those
            runs stay as they were, since a knob that was added counts only where it has another value.
    """
    extra: Any = {"minimum": low, "maximum": high, "title": label, "stops": stops, "shown": shown, "most": most}
    extra["added"] = added
    return Field(default, description=help, json_schema_extra=extra)


SEED: Any = knob(1, "random seed; equal knobs give an equal run on one kind of processor", 0, 2**31 - 9)
"""The knob `seed` of every lesson that draws random numbers. Repeats count on from it, up to eight."""


@dataclass(frozen=True)
class Knob:
    """One declared knob, as widgets, the command line and error sentences read it."""

    name: str
    kind: Kind
    item: Literal["int", "float", "str"]  # type of the value, or of one item of a list
    default: Any
    help: str
    label: str
    low: float | None
    high: float | None
    stops: tuple[Any, ...]
    choices: tuple[str, ...]  # on offer, for a choice or a list of choices
    shown: bool
    most: int  # items of a list, characters of a text
    added: bool = False  # later than runs that are stored

    @property
    def limits(self) -> str:
        """The allowed values, as a reader says them: "0.0001 … 2", "he, glorot or orthogonal"."""
        if self.choices:
            return ", ".join(self.choices[:-1]) + " or " + self.choices[-1]
        if self.kind == "bool":
            return "true or false"
        if self.item == "str":
            return f"1 … {self.most} {'words' if self.kind == 'list' else 'characters'}"
        return f"{spell(self.low)} … {spell(self.high)}"

    @classmethod
    def of(cls, name: str, field: FieldInfo) -> Self:
        """Read the declaration back from its model field."""
        annotation = field.annotation
        origin = get_origin(annotation)
        choices: tuple[str, ...] = ()
        kind: Kind
        item: Literal["int", "float", "str"] = "str"
        if origin is Literal:
            kind, choices = "choice", get_args(annotation)
        elif origin is tuple:
            kind, each = "list", get_args(annotation)[0]
            if each is int or each is float:
                item = "int" if each is int else "float"
            elif get_origin(each) is Literal:
                choices = get_args(each)
        elif annotation is bool:
            kind = "bool"
        elif annotation is int:
            kind, item = "int", "int"
        elif annotation is float:
            kind, item = "float", "float"
        elif annotation is str:
            kind = "text"
        else:
            raise TypeError(f"knob {name}: no widget for {annotation}")
        extra: Any = field.json_schema_extra
        return cls(
            name=name,
            kind=kind,
            item=item,
            default=field.default,
            help=field.description or "",
            label=extra["title"] or name.replace("_", " "),
            low=extra["minimum"],
            high=extra["maximum"],
            stops=extra["stops"] or (),
            choices=choices,
            shown=extra["shown"],
            added=extra["added"],
            most=extra["most"] or (MOST_CHARACTERS if kind == "text" else len(choices) or MOST_ITEMS),
        )

    def in_order(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """The items of a list as they are offered, whatever order they were chosen in; words not on offer come last."""
        if self.item != "str":
            return tuple(sorted(items))
        offered = self.choices or self.stops
        return tuple(sorted(items, key=lambda item: offered.index(item) if item in offered else len(offered)))

    def too_long(self, value: Any) -> bool:
        """Whether a value, of whatever type, is a list of too many items or a text of too many characters."""
        long = {"list": isinstance(value, list | tuple), "text": isinstance(value, str)}
        return long.get(self.kind, False) and len(value) > self.most

    def objection(self, value: Any) -> str | None:
        """What is wrong with a value of the right type, without the full stop; None where nothing is."""
        if self.kind == "text" and len(value) > self.most:
            return f"{self.name} has {len(value)} characters; it takes {self.most} at most"
        items = value if self.kind == "list" else (value,)
        if not items:
            return f"{self.name} is empty; choose 1 to {self.most}"
        if len(items) > self.most:
            return f"{self.name} = {spell(value)} has {len(items)} items; it takes 1 to {self.most}"
        if len(set(items)) < len(items):
            return f"{self.name} = {spell(value)} names a value twice; give each once"
        if self.item != "str" and any(not within(item, self.low, self.high) for item in items):
            return f"{self.name} = {spell(value)} is outside {self.limits}"
        return None


class Knobs(BaseModel):
    """Base of every lesson's knobs: frozen, hashable, no field but the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    @functools.cache
    def declared(cls) -> tuple[Knob, ...]:
        """The knobs in the order of their declaration."""
        return tuple(Knob.of(name, field) for name, field in cls.model_fields.items())

    @classmethod
    def parse(cls, values: Mapping[str, Any], presets: Mapping[str, "Knobs"] | None = None) -> Self:
        """Knobs from untrusted values (a link, a form, the command line), or a `KnobError` that says why not.

        Args:
            values: knob name → value; text is accepted where it spells the type.
            presets: named knob sets of the lesson, quoted as the way out of a bad value.
        """
        read = {name: cls.read(name, value, presets) for name, value in values.items()}
        try:
            return cls.model_validate(read)
        except ValidationError as error:
            raise KnobError(cls._sentence(error, presets or {})) from error

    @classmethod
    def read(cls, name: str, value: Any, presets: Mapping[str, "Knobs"] | None = None) -> Any:
        """One value of a knob as its text spells it (`core.knob_text`); what is no text stays as it is.

        Raises:
            KnobError: it can mean several values, or it is too long to be looked at.
        """
        each = next((each for each in cls.declared() if each.name == name), None)
        if each is None:
            return value
        if isinstance(value, str):
            try:
                value = knob_text.read(each, value, lambda read: cls.error_in(name, read) is None)
            except knob_text.Ambiguous as error:
                said = f"{name} = {spell(value)} may mean {error}; write it without a separator, in {each.limits}"
                raise KnobError(f"{said}{_way_out(name, presets or {})}") from error
        elif each.kind == "list" and each.item != "str" and isinstance(value, int | float):
            value = [value]
        if each.too_long(value):  # ahead of the rest, which looks at every item or character
            raise KnobError(f"{each.objection(value)}{_way_out(name, presets or {})}")
        return value

    @classmethod
    def error_in(cls, name: str, value: Any, presets: Mapping[str, "Knobs"] | None = None) -> str | None:
        """The sentence on what is wrong with one value, whatever the other knobs are, or None."""
        try:
            cls.model_validate({name: value})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if (first["loc"] and first["loc"][0] == name) or first.get("ctx", {}).get("knob") == name:
                return cls._sentence(error, presets or {})
        return None

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        for each in self.declared():
            if objection := each.objection(getattr(self, each.name)):
                raise PydanticCustomError("limits", "{objection}", {"objection": objection, "knob": each.name})
        return self

    @classmethod
    def _sentence(cls, error: ValidationError, presets: Mapping[str, "Knobs"]) -> str:
        first = error.errors(include_url=False)[0]
        name, value = str(first["loc"][0]) if first["loc"] else "", first["input"]
        if first["type"] == "extra_forbidden":
            near = get_close_matches(name, cls.model_fields, n=1)
            ask = f"did you mean {near[0]}?" if near else f"its knobs are {', '.join(cls.model_fields)}."
            return f"{clip(name)} is not a knob of this lesson; {ask}"
        if first["type"] == "limits":
            return f"{first['ctx']['objection']}{_way_out(first['ctx']['knob'], presets)}"
        if first["type"] == "value_error":
            objection = clip(str(first["ctx"]["error"]), MOST_SAID)
            named = not name or name in objection  # who objects to one item or one word need not know the knob
            return f"{objection if named else f'{name}: {objection}'}{_way_out(name, presets)}"
        each = Knob.of(name, cls.model_fields[name])
        if each.choices and first["type"] == "literal_error":
            return f"{name} = {spell(value)} is not on offer; choose {each.limits}."
        if each.kind == "bool":
            return f"{name} = {spell(value)} is neither true nor false{_way_out(name, presets)}"
        what = "a whole number" if each.item == "int" else "a number"
        if each.item == "str":
            what = "a list of words" if each.kind == "list" else "a text"
        elif each.kind == "list":
            what = f"a list of {'whole ' if each.item == 'int' else ''}numbers"
        way_out = _way_out(name, presets)
        return f"{name} = {spell(value)} is not {what} in {each.limits}{way_out}"

    def canonical(self) -> str:
        """The one text of these knobs: equal knobs, equal text. Hashed into the key of a run."""
        values = self.model_dump(mode="json")
        for each in self.declared():
            if each.added and getattr(self, each.name) == each.default:
                del values[each.name]
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Return whether each of these knobs has just this value."""
        return all(getattr(self, name) == value for name, value in values.items())

    def changed_from(self, other: "Knobs") -> dict[str, Any]:
        """The knobs whose value differs from `other`'s, with the values they have here."""
        before = vars(other)
        return {name: value for name, value in vars(self).items() if before.get(name) != value}

    def difference(self, other: "Knobs") -> str:
        """The same in the reader's words: "learning rate = 0.1, Adam's ε = 1e-16"."""
        labels = {knob.name: knob.label for knob in self.declared()}
        return ", ".join(f"{labels[name]} = {spell(value)}" for name, value in self.changed_from(other).items())


RIGHT = "Done right"
"""The preset that is quoted as the way out of a bad value."""

MOST_ITEMS = 12
"""The most items a list knob takes: one colour each, still told apart."""


MOST_CHARACTERS = 500
"""The most characters a text takes unless its knob says otherwise."""

MOST_SAID = 300
"""The most characters of a lesson's own objection that a reader is shown."""


def within(value: float, low: float | None, high: float | None) -> bool:
    """Whether `value` lies in the closed interval; an absent bound does not bind."""
    return (low is None or value >= low) and (high is None or value <= high)


def spell(value: Any) -> str:
    """A value as a reader writes it, never longer than a line: 0.005, [8, 32], shuffled."""
    if isinstance(value, tuple | list):
        return clip("[" + ", ".join(spell(item) for item in value[: MOST_ITEMS + 1]) + "]", 90)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 10**15 else f"{value:g}"
    if isinstance(value, int) and abs(value) >= 10**15:
        return "a whole number of more than 15 digits"
    return clip(str(value))


def clip(text: str, most: int = 60) -> str:
    """`text` without control characters and short enough for a sentence."""
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def link_text(value: Any) -> str:
    """A knob's value as a link carries it; `Knobs.parse` reads it back."""
    if isinstance(value, tuple | list):
        return ",".join(link_text(item) for item in value)
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else spell(value)


def _way_out(name: str, presets: Mapping[str, Knobs]) -> str:
    if not presets or not name:
        return "."
    title = RIGHT if RIGHT in presets else next(iter(presets))
    value = getattr(presets[title], name)
    if isinstance(value, str) and (len(value) > 60 or not value.isprintable()):
        return f'; the preset "{title}" has one that works.'
    return f'; the preset "{title}" uses {spell(value)}.'
