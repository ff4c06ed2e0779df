"""The words of lessons: what the files say comes out whole, and what does not fit is named with its line."""

import re

import pytest

from core import prose
from core.lessons import CURRICULUM
from core.prose import FOLDER, Mistake, ProseError

TEXT = """# Depth

Does a deeper net
need fewer units?

*notebook 000 · Eggholder*

## Predict

Which net is best, with $h_1$ units?

- the one with *one* layer,
  however wide
- all the same

## Theory

**Depth.** A sum:

$$
x_1 + x_2
$$

### A heading of its own

| a | b |
|---|---|
| 1 | 2 |

## What the notebook got wrong

### An RMSE of 88,273

1. Look at
   the axis.
2. How large can it be?

> The outputs were
> never scaled.

### Deep nets that “overfit”

1. Count.

> They do not.
"""


def test_every_part_comes_out_as_it_is_written():
    found = prose.read(TEXT, "depth.md")
    assert (found.title, found.question, found.origin) == (
        "Depth",
        "Does a deeper net need fewer units?",
        "notebook 000 · Eggholder",
    )
    assert found.prediction == "Which net is best, with $h_1$ units?"
    assert found.answers == ("the one with *one* layer, however wide", "all the same")
    assert found.theory == TEXT[TEXT.index("**Depth") : TEXT.index("\n\n## What")]
    assert found.mistakes == (
        Mistake("An RMSE of 88,273", ("Look at the axis.", "How large can it be?"), "The outputs were never scaled."),
        Mistake("Deep nets that “overfit”", ("Count.",), "They do not."),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("# Depth", "Depth", 1, "the title"),
        ("\n*notebook 000 · Eggholder*\n", "", 6, "where the lesson comes from"),
        ("## Predict", "## Guess", 8, "## Predict"),
        ("## Theory\n", "", 17, "## Theory"),
        ("- the one with *one* layer,\n  however wide\n- all the same\n", "", 13, "the answers"),
        ("## What the notebook got wrong", "## Errors", 30, "## What the notebook got wrong"),
        ("1. Look at\n   the axis.\n2. How large can it be?\n", "Look.\n", 34, "the clues"),
        ("> They do not.\n", "", 45, "the cause"),
        ("> They do not.\n", "> They do not.\n\nThe end.\n", 47, "the title of a mistake"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line_and_what_belongs_there(old, new, line, expected):
    assert TEXT.count(old) == 1
    with pytest.raises(ProseError) as caught:
        prose.read(TEXT.replace(old, new), "depth.md")
    assert str(caught.value).startswith(f"depth.md, line {line}: here belongs {expected}")


@pytest.mark.parametrize("text", ["", "\n\n", "# Depth", TEXT[: TEXT.index("- ")]])
def test_a_text_that_ends_early_is_an_error_too(text):
    with pytest.raises(ProseError, match=r"^depth\.md, line \d+: here belongs"):
        prose.read(text, "depth.md")


def test_a_lesson_without_a_text_is_told_so():
    with pytest.raises(ProseError, match=r"^no-such\.md: the lesson's text is missing"):
        prose.of("no-such")


@pytest.mark.parametrize("lesson", CURRICULUM, ids=lambda lesson: lesson.slug)
def test_every_lesson_has_its_words_in_a_file_of_its_name_that_a_forge_shows(lesson):
    text = (FOLDER / f"{lesson.slug}.md").read_text(encoding="utf-8")
    assert lesson.prose == prose.of(lesson.slug)
    assert len(lesson.prose.answers) >= 2
    fences = [line for line in text.splitlines() if "$$" in line]
    assert set(fences) <= {"$$"}, "a forge shows a formula where its fences stand alone on their lines"
    assert len(fences) % 2 == 0
    for formula in re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", text):
        assert formula == formula.strip(), f"a forge shows no formula with blanks inside its dollars: {formula}"


def test_no_file_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.md")} == {lesson.slug for lesson in CURRICULUM}


def test_sections_may_be_left_out():
    short = prose.read(TEXT[: TEXT.index("## Predict")], "depth.md")
    assert (short.prediction, short.answers, short.theory, short.mistakes) == ("", (), "", ())
    assert prose.read(TEXT[: TEXT.index("## What")], "depth.md").theory == prose.read(TEXT, "depth.md").theory
