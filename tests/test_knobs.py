"""Knobs: one declaration, and a sentence for whatever cannot be used."""

import json
import math
from typing import Annotated, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import AfterValidator, ValidationError, model_validator

from core.knobs import KnobError, Knobs, knob, link_text, spell


class Example(Knobs):
    widths: tuple[int, ...] = knob((8, 32), "units", 4, 1024, stops=(8, 32), shown=True)
    lr: float = knob(0.005, "how far", 0.0001, 2.0)
    passes: int = knob(20, "how often", 1, 200)
    sampling: Literal["shuffled", "with replacement"] = knob("shuffled", "which order")
    noisy: bool = knob(False, "whether labels are redrawn")


PRESETS = {"Classroom": Example(), "Done right": Example(lr=0.05)}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lr": 5.0}, 'lr = 5 is outside 0.0001 … 2; the preset "Done right" uses 0.05.'),
        ({"lr": "fast"}, 'lr = fast is not a number in 0.0001 … 2; the preset "Done right" uses 0.05.'),
        ({"passes": 0}, 'passes = 0 is outside 1 … 200; the preset "Done right" uses 20.'),
        ({"passes": 2.5}, 'passes = 2.5 is not a whole number in 1 … 200; the preset "Done right" uses 20.'),
        ({"widths": [8, 2000]}, 'widths = [8, 2000] is outside 4 … 1024; the preset "Done right" uses [8, 32].'),
        ({"widths": []}, 'widths is empty; choose 1 to 12; the preset "Done right" uses [8, 32].'),
        (
            {"widths": [8, 8]},
            'widths = [8, 8] names a value twice; give each once; the preset "Done right" uses [8, 32].',
        ),
        ({"sampling": "none"}, "sampling = none is not on offer; choose shuffled or with replacement."),
        ({"noisy": "perhaps"}, 'noisy = perhaps is neither true nor false; the preset "Done right" uses false.'),
        ({"passses": 3}, "passses is not a knob of this lesson; did you mean passes?"),
        ({"zzz": 3}, "zzz is not a knob of this lesson; its knobs are widths, lr, passes, sampling, noisy."),
    ],
)
def test_a_bad_knob_gets_one_sentence_with_name_value_limits_and_way_out(values, said):
    with pytest.raises(KnobError) as caught:
        Example.parse(values, PRESETS)
    assert str(caught.value) == said


@given(
    some.dictionaries(
        some.sampled_from([*Example.model_fields, "no such", "__class__", "\x00", "🙂" * 50]),
        some.one_of(
            some.none(),
            some.booleans(),
            some.integers(),
            some.floats(),
            some.text(),
            some.lists(some.integers()),
            some.just(10**400),
            some.just("9" * 5000),
            some.just([[1]]),
            some.just({"a": 1}),
        ),
    )
)
def test_whatever_is_asked_for_gives_knobs_within_limits_or_one_short_sentence(values):
    try:
        found = Example.parse(values, PRESETS)
    except KnobError as error:
        assert 0 < len(str(error)) < 400
        assert "\n" not in str(error)
    else:
        assert all(4 <= width <= 1024 for width in found.widths)
        assert 0.0001 <= found.lr <= 2.0
        assert 1 <= found.passes <= 200


def test_limits_bind_however_knobs_are_made():
    with pytest.raises(ValidationError, match="lr = 9 is outside"):
        Example(lr=9.0)


@given(some.floats(0.0001, 2.0), some.lists(some.integers(4, 1024), min_size=1, max_size=12, unique=True))
def test_a_link_carries_knobs_there_and_back(lr, widths):
    knobs = Example(lr=lr, widths=tuple(widths))
    text = {name: link_text(value) for name, value in knobs.model_dump().items()}
    assert Example.parse(text) == knobs


@pytest.mark.parametrize("text", ["8,32", "[8, 32]", "[8,32]", " 8 , 32 "])
def test_a_list_may_be_spelled_with_or_without_brackets(text):
    assert Example.parse({"widths": text}).widths == (8, 32)


def test_equal_knobs_have_equal_text_whatever_their_spelling():
    assert Example.parse({"lr": "0.5", "passes": "7"}).canonical() == Example(passes=7, lr=0.5).canonical()
    assert json.loads(Example().canonical())["widths"] == [8, 32]


def test_knobs_are_frozen_and_hashable():
    with pytest.raises(ValidationError):
        Example().lr = 1.0
    assert len({Example(), Example(), Example(passes=7)}) == 2


def test_the_declaration_is_read_back_whole():
    widths, lr, _, sampling, noisy = Example.declared()
    assert (widths.kind, widths.item, widths.low, widths.high, widths.stops, widths.shown) == (
        "list",
        "int",
        4,
        1024,
        (8, 32),
        True,
    )
    assert (lr.kind, lr.limits, lr.label) == ("float", "0.0001 … 2", "lr")
    assert (sampling.kind, sampling.choices) == ("choice", ("shuffled", "with replacement"))
    assert (noisy.kind, noisy.default) == ("bool", False)


def test_the_schema_carries_bounds_and_help():
    schema = Example.model_json_schema()["properties"]["passes"]
    assert (schema["minimum"], schema["maximum"], schema["description"]) == (1, 200, "how often")


def test_changed_knobs_are_named():
    assert Example(passes=7).changed_from(Example()) == {"passes": 7}
    assert Example(passes=7, lr=0.1).difference(Example()) == "lr = 0.1, passes = 7"


def test_numbers_are_spelled_short():
    assert [spell(v) for v in (0.005, 1e-6, 20, True, (1, 2.5), math.inf)] == [
        "0.005",
        "1e-06",
        "20",
        "true",
        "[1, 2.5]",
        "inf",
    ]


def known(word: str) -> str:
    """A word that starts with a capital."""
    if not word[:1].isupper():
        raise ValueError(f"{word} starts small")
    return word


class Worded(Knobs):
    chosen: tuple[Literal["a", "b", "c d"], ...] = knob(("a",), "some of three")
    words: tuple[Annotated[str, AfterValidator(known)], ...] = knob(("Aa", "Bb"), "words", most=3)
    text: Annotated[str, AfterValidator(known)] = knob("One line", "free text", most=20)
    passes: int = knob(2, "how often", 1, 9)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if len(self.chosen) > self.passes:
            raise ValueError(f"{len(self.chosen)} chosen need as many passes")
        return self


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"chosen": ["z"]}, "chosen = z is not on offer; choose a, b or c d."),
        ({"chosen": []}, 'chosen is empty; choose 1 to 3; the preset "Classroom" uses [a].'),
        ({"chosen": "a,a"}, 'chosen = [a, a] names a value twice; give each once; the preset "Classroom" uses [a].'),
        ({"words": ["Aa", "bb"]}, 'words: bb starts small; the preset "Classroom" uses [Aa, Bb].'),
        (
            {"words": ["A", "B", "C", "D"]},
            'words = [A, B, C, D] has 4 items; it takes 1 to 3; the preset "Classroom" uses [Aa, Bb].',
        ),
        ({"words": 5}, 'words = 5 is not a list of words in 1 … 3 words; the preset "Classroom" uses [Aa, Bb].'),
        ({"text": "small"}, 'text: small starts small; the preset "Classroom" uses One line.'),
        ({"text": "X" * 21}, 'text has 21 characters; it takes 20 at most; the preset "Classroom" uses One line.'),
        ({"text": 7}, 'text = 7 is not a text in 1 … 20 characters; the preset "Classroom" uses One line.'),
        ({"chosen": ["a", "b", "c d"]}, "3 chosen need as many passes."),
    ],
)
def test_words_and_texts_get_such_a_sentence_too(values, said):
    with pytest.raises(KnobError) as caught:
        Worded.parse(values, {"Classroom": Worded()})
    assert str(caught.value) == said


def test_words_and_texts_survive_a_link():
    knobs = Worded(chosen=("c d", "b"), words=("Zz",), text="Two\nlines, & more", passes=3)
    link = {name: link_text(value) for name, value in knobs.model_dump().items()}
    assert Worded.parse(link) == knobs
    assert all(isinstance(text, str) for text in link.values())


def test_words_and_texts_are_read_back_from_their_declaration():
    chosen, words, text, _ = Worded.declared()
    assert (chosen.kind, chosen.item, chosen.choices, chosen.most) == ("list", "str", ("a", "b", "c d"), 3)
    assert (words.kind, words.item, words.choices, words.most) == ("list", "str", (), 3)
    assert (text.kind, text.most) == ("text", 20)


def test_a_knob_that_was_added_changes_no_key_while_it_has_its_default():
    class Before(Knobs):
        rate: float = knob(0.1, "step size", 0.0, 1.0)

    class After(Before):
        bias: float = knob(0.0, "standard deviation of the biases", 0.0, 1.0, added=True)

    assert After().canonical() == Before().canonical()
    assert After(rate=0.2).canonical() == Before(rate=0.2).canonical()
    assert After(bias=0.5).canonical() not in (Before().canonical(), After(bias=0.6).canonical())
