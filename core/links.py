"""Links: what an address asks of a lesson. No Streamlit here.

Links go through mail, chat, spreadsheets and people's hands. What is plain is taken (`core.knob_text`), what trackers
add is passed over, and each thing that is wrong or can mean two things is lost alone, with one sentence.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.knob_text import bare, clean, items, match, names
from core.knobs import KnobError, Knobs, clip, spell
from core.lesson import AnyLesson

HIDE = "hide"
"""What a link calls the parts of a lesson page that it takes away: names of knobs, and these two."""
PREDICTION, HUNT = "prediction", "hunt"
SHARE = "share"
"""What a link calls the knob of which each browser takes one value."""
NUMBER = "number"
"""What a link calls the number of the results that is shown of all of these."""
PRESET = "preset"
"""What a link may call the preset from which its knobs start; the product writes none."""
KEPT = ("run", "lesson", NUMBER, "before", "frame", "projector", "code", "embed", "embed_options")
"""What a link says besides the knobs and stays when those change."""
OTHER = (*KEPT, HIDE, SHARE, PRESET, "runs", "series")

TRACKING = re.compile(
    r"(utm|mc|pk|mtm|piwik|matomo|hsa|stm|vero|oly)_\w+|_(hs\w+|ga|gl|ke|openstat)|\w*clk?id|[gw]braid|ig(shid|sh)|"
    r"mkt_tok|s_kwcid|ref|ref_(src|url)|referrer|source|src|cmpid|campaign|cid|trk\w*|si|spm|_branch_match_id|__\w+__",
    re.I,
)
"""Words that mail programs, chats and search machines hang on a link."""

MAX_CHARACTERS = 650
"""Of all sentences on one link together; what does not fit is counted."""


def is_tracking(name: str) -> bool:
    """Whether a word of a link is none of ours, and of no use to a reader either."""
    return TRACKING.fullmatch(name) is not None


def fold(query: Mapping[str, Sequence[Any]], known: Iterable[str]) -> dict[str, list[Any]]:
    """A query by the names that there are: `Widths`, `amp;widths`, `widths[]` and `widths` are one.

    Args:
        query: name → everything that is said under it, in order.
        known: the names that there are. Others stay as they are written, but for those of trackers.
    """
    found: dict[str, list[Any]] = {}
    known = tuple(known)
    for name, values in query.items():
        own = name if name in known else match(clean(name).removeprefix("amp;"), known)
        if own is not None or not is_tracking(name):
            found.setdefault(own or name, []).extend(values)
    return found


@dataclass(frozen=True)
class Asked:
    """What a link asks for.

    Attributes:
        knobs: with everything that can be had.
        errors: a sentence for each thing that cannot.
    """

    knobs: Knobs
    errors: Sequence[str]


def read_knobs(lesson: AnyLesson, query: Mapping[str, Sequence[Any]], base: Knobs | None = None) -> Asked:
    """The knobs that a query asks for. What is wrong in it is lost alone: the other knobs stay.

    Args:
        lesson: whose knobs.
        query: name → everything that is said under it: texts, or values that have been read already.
        base: the knobs that it says nothing of; the first preset where left out.
    """
    values: dict[str, Any] = dict(next(iter(lesson.presets.values())) if base is None else base)
    asked: dict[str, Any] = {}
    errors = []
    for name, given in fold(query, lesson.knobs.model_fields).items():
        try:
            asked[name] = _one_value(lesson, name, given)
        except KnobError as error:
            errors.append(str(error))
    while True:
        try:
            return Asked(lesson.asked({**values, **asked}), errors)
        except KnobError as error:  # each alone can be had
            errors.append(str(error))
            asked = _without_the_cause(lesson, values, asked, str(error))


def _one_value(lesson: AnyLesson, name: str, given: Sequence[Any]) -> Any:
    """What is said of one knob, once or several times. Raises `KnobError`."""
    if name not in lesson.knobs.model_fields:
        lesson.parse({name: given[-1]})  # raises the sentence that names what is near
    read = [lesson.knobs.read(name, each, lesson.presets) for each in given]
    for each in read:
        if error := lesson.knobs.error_in(name, each, lesson.presets):
            raise KnobError(error)
    if all(each == read[0] for each in read[1:]):
        return read[0]
    (knob,) = (knob for knob in lesson.knobs.declared() if knob.name == name)
    if knob.kind == "list":
        joined = list(dict.fromkeys(item for each in read for item in each))
        if error := lesson.knobs.error_in(name, joined, lesson.presets):
            raise KnobError(error)
        return joined
    said = " and ".join(dict.fromkeys(map(spell, read)))
    raise KnobError(clip(f"{name} is given more than once, as {said}; give it once, in {knob.limits}", 300) + ".")


def _without_the_cause(
    lesson: AnyLesson, base: Mapping[str, Any], asked: Mapping[str, Any], said: str
) -> dict[str, Any]:
    """`asked` without one value that makes it impossible: one that the sentence names, if that is enough."""
    for name in sorted(asked, key=lambda name: name not in said):
        rest = {other: value for other, value in asked.items() if other != name}
        try:
            lesson.asked({**base, **rest})
        except KnobError:
            continue
        return rest
    return dict(list(asked.items())[:-1])


def one(name: str, given: Sequence[str], read: Callable[[str], Any], takes: str) -> tuple[Any, str]:
    """What a link says under a name that takes one value, or None, and the sentence on why it cannot be had.

    Args:
        name: as links have it.
        given: everything that is said under it.
        read: gives the value that a text spells, or None.
        takes: what there is to be said, for the sentence.
    """
    values = list(dict.fromkeys(read(text) for text in given))
    if None in values:
        wrong = next(text for text in given if read(text) is None)
        return None, f"{name} = {clip(wrong, 40)} cannot be used; it takes {takes}."
    if len(values) > 1:
        return None, f"{name} is given more than once, as {_listed(values)}; give it once: it takes {takes}."
    return (values[0] if values else None), ""


def _listed(values: Sequence[Any]) -> str:
    return clip(" and ".join(clip(str(value), 40) for value in values), 160)


def run_key(text: str) -> str:
    """The name of a run as a link carries it, as far as it is one."""
    return bare(text).lower()


def frame(text: str) -> int | None:
    """The number of a frame."""
    digits = re.fullmatch(r"\+?(\d{1,6})(\.0*)?", bare(text))
    return int(digits[1]) if digits else None


def switch(text: str) -> bool | None:
    """Whether a switch of a link is on."""
    return {
        "on": True,
        "true": True,
        "yes": True,
        "1": True,
        "off": False,
        "false": False,
        "no": False,
        "0": False,
    }.get(bare(text).lower())


def hidden(lesson: AnyLesson, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """What a link takes off the page, in the order of the page, and a sentence for each word that is nothing there."""
    there = (*lesson.knobs.model_fields, PREDICTION, HUNT)
    asked = {word: match(word, there) for text in given for word in names(text)}
    errors = [
        f"{HIDE} = {clip(word, 40)} is nothing on this page; it takes names of knobs, {PREDICTION} and {HUNT}."
        for word, own in asked.items()
        if own is None
    ]
    return [name for name in there if name in asked.values()], errors


def shared(text: str) -> tuple[str, list[str]]:
    """The knob that a link shares out, and the texts of its values: "width~8~16~32"."""
    short = bare(text)
    if "~" not in short:
        name, *values = names(short) or [""]
        return name, values
    name, *values = short.split("~")
    return name, values if len(values) > 1 else items("~".join(values))


def sentence(errors: Sequence[str]) -> str:
    """All sentences on a link as one text; those too many for a page are counted."""
    said: list[str] = []
    for error in errors:
        if said and sum(map(len, said)) + len(error) > MAX_CHARACTERS:
            more = len(errors) - len(said)
            return " ".join([*said, f"{more} more of its words cannot be used."])
        said.append(error)
    return " ".join(said)
