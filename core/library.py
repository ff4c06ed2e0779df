"""The lessons that there are: the curriculum, and those of one's own, taken up from a folder while the server runs.

`GRADIENT_LAB_LESSONS` names the folder. Each of its `*.py` files (but those that begin with `_`) declares one lesson,
called `lesson`. Its code is part of the keys of its runs, so a run of changed code is another run.
"""

import hashlib
import linecache
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

from core.knobs import clip
from core.lesson import AnyLesson, Lesson

VARIABLE = "GRADIENT_LAB_LESSONS"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_SLUG = 60
MAX_SAID = 200


class LessonError(ValueError):
    """A file that is no lesson. Its message is one sentence with the file, the line and the next move."""


def own_folder() -> Path | None:
    """Return the folder that `GRADIENT_LAB_LESSONS` names, None where it names none.

    Raises:
        LessonError: it names something that is no folder.
    """
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return None
    try:
        folder = Path(said).expanduser()
        if folder.is_dir():
            return folder
    except (OSError, RuntimeError):
        pass
    raise LessonError(f"{VARIABLE} = {clip(said)} is no folder; name one, or unset it.")


class Library(Mapping[str, AnyLesson]):
    """Slug → lesson, the curriculum first.

    Attributes:
        curriculum: the lessons that come with the product, in order.
        errors: name of a file → the sentence on why it is no lesson.
    """

    def __init__(self, curriculum: Sequence[AnyLesson]) -> None:
        self.curriculum = tuple(curriculum)
        self._ours = {lesson.slug: lesson for lesson in self.curriculum}
        self.errors: Mapping[str, str] = {}
        self._own: Mapping[str, AnyLesson] = {}
        self._read: dict[Path, tuple[str, AnyLesson | LessonError]] = {}  # file → hash of its code, what it gave
        self._lock = threading.Lock()

    @property
    def own(self) -> Sequence[AnyLesson]:
        """The lessons of one's own, by file name."""
        return tuple(self._own.values())

    def refresh(self) -> None:
        """Take up what was added, changed or removed in the folder since the last look."""
        with self._lock:
            own: dict[str, AnyLesson] = {}
            errors: dict[str, str] = {}
            paths: list[Path] = []
            try:
                folder = own_folder()
                paths = sorted(folder.glob("*.py")) if folder is not None else []
            except LessonError as error:
                errors[VARIABLE] = str(error)
            taken = set(self._ours)
            for path in paths:
                if path.name.startswith("_"):
                    continue
                found = self._of(path)
                if isinstance(found, LessonError):
                    errors[path.name] = str(found)
                elif found.slug in taken:
                    errors[path.name] = f"{path.name}: another lesson is called {found.slug}; choose another slug."
                else:
                    taken.add(found.slug)
                    own[found.slug] = found
            self._read = {path: found for path, found in self._read.items() if path in paths}
            self._own, self.errors = own, errors

    def _of(self, path: Path) -> AnyLesson | LessonError:
        """The lesson of a file, read again only where its bytes have changed."""
        try:
            code = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            return LessonError(f"{path.name} cannot be read ({error.strerror}).")
        words = path.with_suffix(".md")
        stamp = f"{code} {words.stat().st_mtime_ns if words.is_file() else ''}"
        if path not in self._read or self._read[path][0] != stamp:
            try:
                self._read[path] = stamp, load(path)
            except LessonError as error:
                self._read[path] = stamp, error
        return self._read[path][1]

    def __getitem__(self, slug: str) -> AnyLesson:
        return self._ours[slug] if slug in self._ours else self._own[slug]

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from self._own

    def __len__(self) -> int:
        return len(self._ours) + len(self._own)


class _Code(SourceLoader):
    """Runs just the bytes that were hashed; nothing compiled is written beside a teacher's file."""

    def __init__(self, path: Path, code: bytes) -> None:
        self._path, self._bytes = path, code

    def get_filename(self, name: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        return self._bytes


def load(path: Path) -> AnyLesson:
    """Run a file and return its lesson.

    Raises:
        LessonError: it cannot be run, or declares no lesson.
    """
    code = path.read_bytes()
    name = f"gradient_lab_own_{hashlib.sha256(str(path).encode() + code).hexdigest()[:16]}"
    linecache.checkcache(str(path))
    loader = _Code(path, code)
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up the names of annotations there
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        raise _error(path, error.lineno, error.msg) from error
    except (Exception, SystemExit) as error:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
        raise _error(path, lines[-1] if lines else 1, f"{type(error).__name__}: {error}") from error
    lesson = getattr(module, "lesson", None)
    if not isinstance(lesson, Lesson):
        raise LessonError(f"{path.name} declares no lesson; write lesson = Lesson(...) as in docs/write-a-lesson.md.")
    if not SLUG.fullmatch(lesson.slug) or len(lesson.slug) > MAX_SLUG:
        rule = f"it takes lower-case letters, digits and hyphens, {MAX_SLUG} characters at most"
        raise LessonError(f'{path.name}: "{clip(lesson.slug)}" cannot be a slug; {rule}.')
    if lesson.incomplete:
        raise LessonError(f"{path.name}: {lesson.incomplete}")
    lesson.code_hash = hashlib.sha256(code).hexdigest()
    return lesson


def _error(path: Path, line: int | None, said: str) -> LessonError:
    said = " ".join(clip(said, MAX_SAID).split()).rstrip(".")
    return LessonError(f"{path.name}, line {line or 1}: {said}; mend it, the other lessons go on.")
