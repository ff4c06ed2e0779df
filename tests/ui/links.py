"""Knob sets and links that nobody should send: generated, with hostile names, tried on the knobs and on whole pages.

`test_links.py` tries a little of each, `tests/reliability/knobs.py` all of it.
"""

import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from streamlit.testing.v1 import AppTest

from core.cost import Calibration, CostError, check
from core.knobs import Knob, KnobError, clip, link_text
from core.lesson import AnyLesson
from core.lessons import CURRICULUM

NAMES = [
    "__class__", "__init__", "model_config", "self", "values", "", " ", "\x00", "a\nb", "\x1b[31mred", "🙂" * 40,
    "名前", "x" * 5000, "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'; DROP TABLE runs; --",
    "../../etc/passwd", "{0.__class__}", "%s%n", "[a](javascript:alert(1))", "**bold**", "$x^2$", ":material/lock:",
    "constructor", "lr ",
    "LEARNING_RATE", "depth\u200b", "\u202edepth", "run[]", "seed;", "embed_options",
]  # fmt: skip
TEXTS = [
    "", " ", "nan", "inf", "-inf", "1e309", "-0", "1e-320", "9" * 5000, "0x10", "1_000", "٣", "1,2", "[1, 2", "[[1]]",
    ",,", "true",
    "None", "null", "{}", "\x00", "a\nb", "🙂", "<script>alert(1)</script>", "../../etc/passwd", "%00", "{0}",
    "**b**", "1" + "," * 400, "x" * 5000, "digits\x00",
]  # fmt: skip
ABSURD = (10**9, -(10**9), 10**400, 0, -1, 1e30, -1e30, 1e-300, float("nan"), float("inf"), "9" * 5000, [0] * 10**5)
MOST_SECONDS = 0.05
MOST_BYTES = 10 * 2**20
LONGEST = 700  # characters of a sentence: a lesson's own objection, and the way out
PAGE_PATIENCE = 60


def generated(count: int, seed: int) -> Iterator[tuple[AnyLesson, dict[str, Any]]]:
    """Lessons, each with a set of knobs as somebody might send it: some sensible, some hostile, most mixed."""
    chance = random.Random(seed)
    for number in range(count):
        lesson = CURRICULUM[number % len(CURRICULUM)]
        declared = lesson.knobs.declared()
        asked: dict[str, Any] = {}
        for _ in range(chance.randrange(6)):
            knob = chance.choice(declared)
            strange = chance.random() < 0.25
            name = chance.choice(NAMES) if strange else knob.name
            asked[name] = _value(chance, knob)
        yield lesson, asked


def _value(chance: random.Random, knob: Knob) -> Any:
    bounds = [bound for bound in (knob.low, knob.high) if bound is not None] or [0]
    return chance.choice(
        [
            lambda: link_text(chance.choice(knob.stops or knob.choices or (knob.default,))),
            lambda: link_text(chance.choice(knob.stops or knob.choices or (knob.default,))),
            lambda: chance.choice(TEXTS),
            lambda: str(chance.choice(bounds) + chance.choice((-1, 1, 0.5, 1e-9, 1e30))),
            lambda: ",".join(str(chance.choice(bounds)) for _ in range(chance.randrange(20))),
            lambda: chance.choice((None, True, 3, -1, 2.5, 1e30, 10**400, [], [1, [2]], {"a": 1}, (1,), b"1")),
        ]
    )()


def objections(lesson: AnyLesson, asked: dict[str, Any]) -> list[str]:
    """What is wrong with how a lesson takes these knobs: nothing, or a sentence each."""
    try:
        knobs = lesson.parse(asked)
    except KnobError as error:
        return [f"{lesson.slug}: {fault}: {error}" for fault in _faults(lesson, asked, str(error))]
    except Exception as error:
        return [f"{lesson.slug}: {type(error).__name__} where a sentence was promised: {clip(repr(asked), 200)}"]
    beyond = [each.name for each in knobs.declared() if each.objection(getattr(knobs, each.name))]
    carried = lesson.parse({name: link_text(value) for name, value in knobs.model_dump().items()})
    return [f"{lesson.slug}: {name} is beyond its limits" for name in beyond] + [
        f"{lesson.slug}: a link does not carry {knobs.canonical()}" for _ in range(carried != knobs)
    ]


def _faults(lesson: AnyLesson, asked: dict[str, Any], sentence: str) -> Iterator[str]:
    """What a refusal lacks: it is one sentence, and it names the knob and what that takes."""
    if not sentence.isprintable() or not 0 < len(sentence) < LONGEST or sentence[-1] not in ".?":
        yield "not one sentence"
    declared = {knob.name: knob for knob in lesson.knobs.declared()}
    named = [knob for name, knob in declared.items() if sentence.startswith((f"{name} ", f"{name}:"))]
    unknown = any(sentence.startswith(f"{clip(name)} is not a knob") for name in asked)
    if not named and not unknown:
        named = [knob for name, knob in declared.items() if name in sentence or knob.label in sentence]
        if not named:
            yield "no knob is named"
    says = ("; it takes ", "; give each once", "; the preset ", "did you mean ", "its knobs are ", "would do")
    if not any(knob.limits in sentence for knob in named) and not any(each in sentence for each in says):
        yield "no limits and no way out"


def page_objections(slug: str, asked: dict[str, Any]) -> list[str]:
    """What is wrong with a lesson's whole page under such a link."""

    def script(slug: str) -> None:
        from core.lessons import LESSONS
        from pages import lesson

        lesson.show(LESSONS[slug])

    return _wrong(AppTest.from_function(script, kwargs={"slug": slug}, default_timeout=PAGE_PATIENCE), slug, asked)


def comparison_objections(asked: dict[str, Any]) -> list[str]:
    """What is wrong with the Compare page under such a link."""

    def script() -> None:
        from pages import compare, lesson

        compare.show(lesson.page)

    return _wrong(AppTest.from_function(script, default_timeout=PAGE_PATIENCE), "compare", asked)


def comparisons(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Links to the Compare page, with names of runs that are there, that are not, and that cannot be."""
    chance = random.Random(seed)
    lessons = [lesson for lesson in CURRICULUM if len(lesson.presets) > 1]
    for _ in range(count):
        lesson = chance.choice(lessons)
        there = [lesson.key(knobs) for knobs in chance.choice(lessons).presets.values()]
        named = [chance.choice([*there, "0" * 32, *TEXTS]) for _ in range(chance.randrange(12))]
        yield {
            "lesson": chance.choice([lesson.slug, *TEXTS]),
            "runs": ",".join(named),
            "series": chance.choice([*TEXTS, *NAMES]),
        }


def _wrong(at: AppTest, page: str, asked: dict[str, Any]) -> list[str]:
    for name, value in asked.items():
        if name:
            at.query_params[name] = value if isinstance(value, str) else str(value)
    at.run()
    found = [f"{page}: on the screen: {each.value[:300]}" for each in at.exception]
    for each in (*at.warning, *at.error):
        if not each.value.isprintable() or len(each.value) > LONGEST:
            found.append(f"{page}: not one sentence: {clip(each.value, 300)}")
    return [f"{each} for {clip(repr(asked), 300)}" for each in found]


def absurd() -> Sequence[tuple[AnyLesson, str, Any]]:
    """Every knob of every lesson with values of no size at all."""
    return [(lesson, knob.name, value) for lesson in CURRICULUM for knob in lesson.knobs.declared() for value in ABSURD]


def absurd_objections(lesson: AnyLesson, name: str, value: Any) -> tuple[float, int, list[str]]:
    """CPU seconds and bytes that it takes to refuse such a value, or to say what it costs; and what is wrong."""
    said = f"{lesson.slug}, {name} = {clip(repr(value), 40)}"

    def ask() -> None:
        with suppress(KnobError, CostError):
            check(lesson.cost_of(lesson.parse({name: value})), Calibration())

    begun = time.process_time()
    ask()
    seconds = time.process_time() - begun
    tracemalloc.start()
    ask()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    wrong = [f"{said} took {1000 * seconds:.0f} ms"] if seconds > MOST_SECONDS else []
    return seconds, size, wrong + ([f"{said} took {size / 2**20:.0f} MB"] if size > MOST_BYTES else [])
