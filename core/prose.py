"""The words of a lesson, read from the Markdown file beside it: `core/lessons/<slug>.md`.

A teacher edits them without Python, and a forge shows them as a page with its formulas. Each file has this shape; what
does not fit is an error with its line. Each section may be left out::

    # Width and interpolation                    the title
    Does a wider net interpolate sooner?         the question
    *notebook 003 · FashionMNIST*                the origin, a paragraph of its own

    ## Predict
    Which width will be the first?               one paragraph, then the answers to choose from
    - the narrowest
    - the widest

    ## Theory
    **Interpolation.** A net interpolates ...    any Markdown, formulas in $...$ and between lines of $$

    ## What the notebook got wrong
    ### A pass that misses a third               what looks wrong, without saying why
    1. Read the line that ...                    clues: each gives away a little more
    > Each step draws ...                        the cause, and how it is known
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

FOLDER = Path(__file__).parent / "lessons"
PREDICT, THEORY, MISTAKES = "Predict", "Theory", "What the notebook got wrong"


class ProseError(ValueError):
    """A text that cannot be read. Its message names the file, the line and what belongs there."""


@dataclass(frozen=True)
class Mistake:
    """One mistake of the notebook, to be found step by step.

    Attributes:
        title: what looks wrong, without saying why.
        clues: each gives away a little more.
        cause: what went wrong, and how it is known.
    """

    title: str
    clues: Sequence[str]
    cause: str


@dataclass(frozen=True)
class Prose:
    """The words of a lesson.

    Attributes:
        title: its name in the curriculum, a few words.
        question: the one sentence that the lesson answers.
        origin: which notebook and which data it re-creates.
        prediction: what the reader is asked before the run.
        answers: what they choose from.
        theory: Markdown with formulas.
        mistakes: of the notebook.
    """

    title: str
    question: str
    origin: str
    prediction: str
    answers: Sequence[str]
    theory: str
    mistakes: Sequence[Mistake]


def of(slug: str, folder: Path = FOLDER) -> Prose:
    """Return the words of the lesson called `slug`; `ProseError` where its file cannot be read."""
    path = folder / f"{slug}.md"
    try:
        return read(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise ProseError(f"{path.name}: the lesson's text is missing ({error.strerror}).") from error


def read(text: str, name: str) -> Prose:
    """Return the words in `text`; `name` is the file's, for the sentence of a `ProseError`."""
    blocks = _Blocks(text, name)
    title = _words(blocks.take("h1", "the title: # and a few words"))
    question = _words(blocks.take("p", "the question of the lesson"))
    origin = _words(blocks.take("p", "where the lesson comes from, in *asterisks*")).strip("*")
    prediction, theory = "", ""
    answers: Sequence[str] = ()
    if blocks.at_section(PREDICT, THEORY, MISTAKES):
        prediction = _words(blocks.take("p", "the question that readers answer before the run"))
        answers = _items(blocks.take("ul", "the answers, each behind a hyphen"))
    if blocks.at_section(THEORY, MISTAKES):
        theory = blocks.source_until("h2")
    mistakes = []
    blocks.at_section(MISTAKES)
    while blocks.left:
        mistake = _words(blocks.take("h3", "the title of a mistake: ### and a few words"))
        clues = _items(blocks.take("ol", "the clues, numbered: 1. 2. 3."))
        mistakes.append(Mistake(mistake, clues, _words(blocks.take("blockquote", "the cause, each line behind >"))))
    return Prose(title, question, origin, prediction, answers, theory, tuple(mistakes))


class _Blocks:
    """The paragraphs, lists and headings of a text, taken one after the other."""

    def __init__(self, text: str, name: str) -> None:
        self.lines, self.name = text.splitlines(), name
        self.left = SyntaxTreeNode(MarkdownIt().parse(text)).children

    def take(self, tag: str, expected: str) -> SyntaxTreeNode:
        """Take the next block, which has to be of this HTML tag; `expected` says in words what belongs there."""
        if not self.left or self.left[0].tag != tag:
            raise ProseError(f"{self.name}, line {self._next_line() + 1}: here belongs {expected}.")
        return self.left.pop(0)

    def at_section(self, title: str, *later: str) -> bool:
        """Take the heading of this section, if it comes next; it may be left out where a later one or the end comes."""
        if not self.left:
            return False
        line, expected = self._next_line() + 1, " or ".join(f"## {each}" for each in (title, *later))
        heading = _words(self.left[0]) if self.left[0].tag == "h2" else ""
        if heading not in (title, *later):
            raise ProseError(f"{self.name}, line {line}: here belongs {expected}.")
        if heading == title:
            self.left.pop(0)
        return heading == title

    def source_until(self, tag: str) -> str:
        """Take all blocks before the next one of this tag; return them as they are written."""
        start = self._next_line()
        while self.left and self.left[0].tag != tag:
            self.left.pop(0)
        return "\n".join(self.lines[start : self._next_line()]).strip()

    def _next_line(self) -> int:
        return self.left[0].map[0] if self.left and self.left[0].map else len(self.lines)


def _words(block: SyntaxTreeNode) -> str:
    """The Markdown of a block, its lines joined to one."""
    return " ".join(" ".join(each.content.splitlines()) for each in block.walk() if each.type == "inline")


def _items(block: SyntaxTreeNode) -> tuple[str, ...]:
    return tuple(map(_words, block.children))
