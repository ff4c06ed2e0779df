"""Links as they arrive: what is plain is taken, whatever mail and chat made of it; what is wrong is lost alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core import links
from core.knob_text import Ambiguous, bare, key, number
from core.knobs import Knobs, knob, link_text
from core.lessons import CURRICULUM, LESSONS

WIDTH = LESSONS["width-and-interpolation"]
DEPTH = LESSONS["depth-vs-width"]
NORM = LESSONS["batchnorm-and-dropout"]
CNN = LESSONS["cnn-arithmetic"]


def asked(lesson, *pairs):
    query = {}
    for name, text in pairs:
        query.setdefault(name, []).append(text)
    return links.read_knobs(lesson, query)


@pytest.mark.parametrize(
    "text",
    [
        "8,64", "8;64", "8 64", "8, 64", "8~64", "8|64", "8\n64", "8+64", "[8,64]", "(8, 64)", "{8;64}",
        '"8,64"', "'8','64'",
        "“8,64”", "8,64)", "8,64.", "8,64,", "8,64>", "8,64;", "8,64).", "<8,64>", "8,64]", " 8,64 ", "8,,64", "=8,64",
        "8.0,64.0", "+8,+64", "8e0,6.4e1", "08,64", "８，６４", "8、64", "8\u00a064", "8\u202f64", "8\u200b,64\ufeff",
        "8%2C64", "8%2064",
        "[8, 64", '["8", "64"]', "٨,٦٤",
    ],
)  # fmt: skip
def test_a_list_is_read_however_it_is_separated_and_whatever_stands_around_it(text):
    found = asked(WIDTH, ("widths", text), ("passes", "7"))
    assert (found.knobs.widths, found.knobs.passes, found.errors) == ((8, 64), 7, [])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "0,01", 0.01), ("learning_rate", "0,010", 0.01), ("learning_rate", ".01", 0.01),
        ("learning_rate", "1e-2", 0.01), ("learning_rate", "1E-2", 0.01), ("learning_rate", "1e−2", 0.01),
        ("learning_rate", "+0.01", 0.01), ("learning_rate", "0.01)", 0.01), ("learning_rate", "0.01.", 0.01),
        ("learning_rate", "0.01,", 0.01), ("learning_rate", "0,01).", 0.01), ("learning_rate", "０．０１", 0.01),
        ("learning_rate", "1.000", 1.0), ("learning_rate", "1.", 1.0), ("learning_rate", "1e 0", 1.0),
        ("label_noise", "-0", 0.0), ("label_noise", "−0,0", 0.0),
        ("passes", "7.0", 7), ("passes", "7,0", 7), ("passes", "1e2", 100), ("passes", "[7]", 7), ("passes", "７", 7),
        ("passes", "'7'", 7), ("passes", "7%20", 7), ("passes", "007", 7), ("passes", "7?", 7),
        ("examples", "1 000", 1000), ("examples", "1\u202f000", 1000), ("examples", "1'000", 1000),
        ("examples", "1_000", 1000),
        ("examples", "1,500", 1500), ("examples", "1.500", 1500), ("seed", "1,000,000", 10**6),
        ("seed", "1.000.000", 10**6),
        ("sampling", "With Replacement", "with replacement"), ("sampling", "with+replacement", "with replacement"),
        ("sampling", "with_replacement.", "with replacement"), ("sampling", "SHUFFLED)", "shuffled"),
        ("dataset", "Fashion MNIST", "fashion-mnist"), ("dataset", "fashion–mnist", "fashion-mnist"),
    ],
)  # fmt: skip
def test_a_single_value_is_read_in_every_plain_spelling(name, text, value):
    found = asked(WIDTH, (name, text), ("widths", "8"))
    assert (getattr(found.knobs, name), found.knobs.widths, found.errors) == (value, (8,), [])


@pytest.mark.parametrize(
    ("lesson", "name", "text", "value"),
    [
        (DEPTH, "scale_targets", "FALSE", False), (DEPTH, "scale_targets", "off.", False),
        (DEPTH, "scale_targets", "Yes", True),
        (DEPTH, "architectures", "64–64;128-128.", ("64-64", "128-128")),
        (DEPTH, "architectures", "64-64 128-128", ("64-64", "128-128")),
        (DEPTH, "architectures", "Two Layers", ("two layers",)), (DEPTH, "architectures", '["8-8"]', ("8-8",)),
        (DEPTH, "batch_norm", "after+activation", "after activation"),
        (NORM, "variants", "plain,batch norm (inputs / 255)", ("plain", "batch norm (inputs / 255)")),
        (NORM, "variants", "Plain;both)", ("plain", "both")),
        (NORM, "order", "batch norm, then dropout)", "batch norm, then dropout"),
        (CNN, "nets", "alexnet;VGG19.", ("AlexNet", "VGG19")),
        (CNN, "net", "conv 8 3x3 pad 1\r\npool 2", "conv 8 3x3 pad 1\npool 2"),
        (LESSONS["perceptron-and-hinge"], "labels", "-1/ 1", "-1/+1"),
        (LESSONS["perceptron-and-hinge"], "labels", "−1/+1", "-1/+1"),
    ],
)  # fmt: skip
def test_words_and_switches_too(lesson, name, text, value):
    found = asked(lesson, (name, text))
    assert (getattr(found.knobs, name), found.errors) == (value, [])


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ((("widths", "8"), ("widths", "64"), ("widths", "256")), (8, 64, 256)),
        ((("widths", "8,64"), ("widths", "64.0,256")), (8, 64, 256)),
        ((("widths", "8"), ("widths", "8")), (8,)),
        ((("widths[]", "8"), ("widths[]", "64")), (8, 64)),
        ((("widths", "8"), ("Widths", "64")), (8, 64)),
        ((("widths", [8, 64]),), (8, 64)),  # the command line reads JSON
        ((("widths", 8), ("widths", 64)), (8, 64)),
    ],
)
def test_a_list_knob_that_is_given_several_times_has_all_items(pairs, value):
    found = asked(WIDTH, *pairs)
    assert (found.knobs.widths, found.errors) == (value, [])


@pytest.mark.parametrize("name", ["Passes", "PASSES", "amp;passes", "passes[]", " passes", "passes\u200b"])
def test_the_name_of_a_knob_is_read_in_every_plain_spelling(name):
    assert asked(WIDTH, (name, "7")).knobs.passes == 7
    assert asked(WIDTH, ("learning-rate", "0.1"), ("Batch Size", "4")).knobs.changed_from(WIDTH.knobs()) == {
        "learning_rate": 0.1,
        "batch_size": 4,
    }


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ((("passes", "5"), ("passes", "7")), "passes is given more than once, as 5 and 7; give it once, in 1 … 300."),
        ((("examples", "1,000"),), "examples = 1,000 may mean 1 or 1000; write it without a separator, in 50 … 60000;"),
        ((("examples", "60.000"),), "examples = 60.000 may mean 60 or 60000;"),
        ((("learning_rate", "1,000"),), "learning_rate = 1,000 may mean 1 or 1000;"),
        ((("widths", "8,064"),), "widths = 8,064 may mean [8, 64] or 8064;"),
        ((("widths", "8,6…"),), "widths = 6… is not a list of whole numbers in 2 … 1024;"),
        ((("widths", "8,64..."),), "is not a list of whole numbers in 2 … 1024;"),
        ((("learning_rate", "−1"),), "learning_rate = -1 is outside 0.0001 … 2;"),
        ((("learning_rate", "0,01 and so on"),), "learning_rate = 0,01 and so on is not a number in 0.0001 … 2;"),
        ((("learning_rate", "5%"),), "learning_rate = 5% is not a number in"),
        ((("learning_rate", "0,0,1"),), "learning_rate = 0,0,1 is not a number in"),
        ((("examples", "2,5"),), "examples = 2,5 is not a whole number in 50 … 60000;"),
        ((("sampling", "none"),), "sampling = none is not on offer; choose shuffled or with replacement."),
        ((("widths", "8"), ("widths", "abc")), "widths = abc is not a list of whole numbers in 2 … 1024;"),
        ((("widths", ""),), "widths is empty; choose 1 to 12;"),
        ((("batchsize", "4"),), "batchsize is not a knob of this lesson; did you mean batch_size?"),
        ((("colour", "red"),), "colour is not a knob of this lesson; its knobs are"),
    ],
)
def test_what_is_wrong_or_can_mean_two_things_is_one_sentence_and_lost_alone(pairs, sentence):
    found = asked(WIDTH, *pairs, ("seed", "9"), ("scaling", "global"))
    assert len(found.errors) == 1
    assert sentence in found.errors[0]
    assert found.knobs.changed_from(WIDTH.knobs()) == {"seed": 9, "scaling": "global"}


def test_each_thing_that_is_wrong_gets_its_sentence_and_the_rest_stays():
    found = asked(WIDTH, ("passes", "abc"), ("colour", "red"), ("seed", "9"), ("batch_size", "99"))
    assert [error.split(" ")[0] for error in found.errors] == ["passes", "colour", "batch_size"]
    assert found.knobs.changed_from(WIDTH.knobs()) == {"seed": 9}
    assert links.sentence(found.errors) == " ".join(found.errors)
    assert links.sentence(found.errors * 9).endswith(" more of its words cannot be used.")


def test_of_values_that_do_not_go_together_one_is_lost():
    found = asked(CNN, ("input_size", "33"), ("batch_size", "8"), ("channels", "1"))
    assert len(found.errors) == 1
    assert "would do" in found.errors[0]
    assert found.knobs.changed_from(CNN.knobs()) == {"batch_size": 8, "channels": 1}
    assert asked(CNN, ("input_size", "33"), ("nets", "AlexNet")).errors == []


@pytest.mark.parametrize(
    "name",
    [
        "fbclid", "gclid", "dclid", "msclkid", "yclid", "twclid", "utm_source", "UTM_Campaign", "utm_id", "mc_cid",
        "mc_eid", "igshid",
        "igsh", "gbraid", "ref", "ref_src", "_ga", "_gl", "_hsenc", "mkt_tok", "si",
    ],
)  # fmt: skip
def test_what_trackers_add_is_passed_over(name):
    query = links.fold({name: ["x"], "passes": ["7"]}, WIDTH.knobs.model_fields)
    assert query == {"passes": ["7"]}
    assert links.read_knobs(WIDTH, {name: ["x"], "passes": ["7"]}).errors == []


def test_no_word_of_ours_is_taken_for_a_trackers_and_no_two_are_spelled_alike():
    for lesson in CURRICULUM:
        words = [*lesson.knobs.model_fields, *links.OTHER]
        assert not [name for name in words if links.is_tracking(name)]
        assert len({key(name) for name in words}) == len(words)
        for each in lesson.knobs.declared():
            offered = [word for word in each.choices or each.stops if isinstance(word, str)]
            assert len(set(map(key, offered))) == len(offered)


# --- every link that the product writes, and what may become of it ----------------------------------------------------

SETS = [pytest.param(lesson, name, id=f"{lesson.slug}-{name}") for lesson in CURRICULUM for name in lesson.presets]
MANGLERS = {
    "as it is": lambda text: text,
    "a bracket behind": lambda text: f"{text})",
    "a full stop behind": lambda text: f"{text}.",
    "a comma behind": lambda text: f"{text},",
    "an angle behind": lambda text: f"{text}>",
    "bracket and stop": lambda text: f"{text}).",
    "quoted": lambda text: f"“{text}”",
    "blanks": lambda text: f" {text}\u00a0",
    "unseen": lambda text: f"\u200b{text}\ufeff",
    "wide": lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isdigit() and c.isascii() else c for c in text),
    "long dashes": lambda text: text.replace("-", "−"),
    "upper case": str.upper,
}
LISTS = {
    "semicolons": lambda text: text.replace(",", ";"),
    "blank behind": lambda text: text.replace(",", ", "),
    "tildes": lambda text: text.replace(",", "~"),
    "in brackets": lambda text: f"[{text}]",
}


@pytest.mark.parametrize(("lesson", "name"), SETS)
def test_a_link_reads_back_to_the_same_knobs_whatever_became_of_it(lesson, name):
    knobs, declared = lesson.presets[name], lesson.knobs.declared()
    said = {each.name: link_text(getattr(knobs, each.name)) for each in declared}
    for way, mangle in {**MANGLERS, **LISTS}.items():
        lists = [each.name for each in declared if each.kind == "list"]
        names = lists if way in LISTS else [each.name for each in declared if each.kind != "text"]
        query = {each: [mangle(text) if each in names else text] for each, text in said.items()}
        found = links.read_knobs(lesson, query)
        assert (found.knobs, found.errors) == (knobs, []), way


class Example(Knobs):
    whole: int = knob(1, "a whole number", -(10**12), 10**12)
    real: float = knob(0.5, "a number", -1e30, 1e30)
    many: tuple[int, ...] = knob((1,), "whole numbers", -(10**9), 10**9)
    reals: tuple[float, ...] = knob((0.5,), "numbers", -1e30, 1e30)


@given(
    some.integers(-(10**12), 10**12),
    some.floats(-1e30, 1e30),
    some.lists(some.integers(-(10**9), 10**9), min_size=1, max_size=12, unique=True),
    some.lists(some.floats(-1e30, 1e30), min_size=1, max_size=12, unique=True),
    some.sampled_from(["", ")", ".", ",", ">", ").", " "]),
)
def test_any_numbers_are_read_back_exactly_with_anything_behind_them(whole, real, many, reals, behind):
    knobs = Example(whole=whole, real=real, many=tuple(many), reals=tuple(reals))
    assert Example.parse({name: link_text(value) + behind for name, value in knobs.model_dump().items()}) == knobs


@given(some.floats(-1e30, 1e30, allow_subnormal=False))
def test_a_decimal_comma_is_a_point_unless_it_may_part_thousands(value):
    text = repr(value).replace(".", ",")
    try:
        assert number(text, whole=False) == value
    except Ambiguous:
        assert len(text.lstrip("-").partition(",")[2]) == 3


@pytest.mark.parametrize(
    ("text", "reals"),
    [
        ("0,5;1,7", (0.5, 1.7)),
        ("0.5,1.7", (0.5, 1.7)),
        ("0,5 1,75", (0.5, 1.75)),
        ("1e-2;2", (0.01, 2.0)),
        ("5, 6", (5.0, 6.0)),
    ],
)
def test_a_list_of_numbers_may_have_decimal_commas_where_something_else_parts_them(text, reals):
    try:
        assert Example.parse({"reals": text}).reals == reals
    except ValueError as error:
        assert "may mean [0.0, 5.0, 1.0, 75.0] or [0.5, 1.75]" in str(error)


@given(some.text(max_size=60))
def test_any_text_is_a_value_or_refused_in_a_sentence(text):
    for lesson in (WIDTH, DEPTH):
        for each in lesson.knobs.declared():
            found = links.read_knobs(lesson, {each.name: [text]})
            assert all(error.isprintable() and each.name in error for error in found.errors)


# --- what a link says besides the knobs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (links.frame, "12", 12), (links.frame, "12.0", 12), (links.frame, "+12", 12), (links.frame, "１２)", 12),
        (links.frame, "-7", None), (links.frame, "abc", None), (links.frame, "9" * 7, None), (links.frame, "1.5", None),
        (links.switch, "on", True), (links.switch, "ON.", True), (links.switch, "true", True),
        (links.switch, "off", False),
        (links.switch, "perhaps", None), (links.run_key, " ABCDEF0123456789).", "abcdef0123456789"),
    ],
)  # fmt: skip
def test_frames_switches_and_runs_are_read_alike(read, text, value):
    assert read(text) == value


def test_what_takes_one_value_takes_it_once_or_says_so():
    assert links.one("frame", ["12", "12.0"], links.frame, "a number") == (12, "")
    assert links.one("frame", [], links.frame, "a number") == (None, "")
    value, error = links.one("frame", ["12", "13"], links.frame, "a number")
    assert (value, error) == (None, "frame is given more than once, as 12 and 13; give it once: it takes a number.")
    assert links.one("frame", ["x"], links.frame, "a number")[1] == "frame = x cannot be used; it takes a number."


@pytest.mark.parametrize("text", ["seed,hunt", "seed;hunt", "Hunt seed).", "[seed, hunt]", "seed~hunt"])
def test_what_is_hidden_is_read_alike(text):
    assert links.hidden(WIDTH, [text]) == (["seed", "hunt"], [])
    assert links.hidden(WIDTH, ["hunt", "seed"]) == (["seed", "hunt"], [])
    names, (error,) = links.hidden(WIDTH, ["seed,colour"])
    assert names == ["seed"]
    assert error == "hide = colour is nothing on this page; it takes names of knobs, prediction and hunt."


@pytest.mark.parametrize(
    "text", ["widths~8~16", "widths~8~16).", "widths,8,16", "widths 8 16", "widths~8,16", "“widths~8~16”"]
)
def test_what_is_shared_out_is_read_alike(text):
    assert links.shared(text) == ("widths", ["8", "16"])


def test_what_says_that_something_is_missing_stays():
    assert bare("8,6…") == "8,6…"
    assert bare("8,64...") == "8,64..."
    assert bare("8,64.") == "8,64"
