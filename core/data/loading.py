"""Loading what lies on this machine, and saying of every set what does.

`status` is the one place that decides whether a set is here and what to do where it is not: the page, the command line,
start-up and every refusal say what it says.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from core.data import cifar10, decoded, idx
from core.data.catalogue import NAMES, SOURCES, DataError, Dataset, Source, source_of
from core.data.formats import Arrays
from core.data.images import PictureError
from core.data.search import VARIABLE, given, looked_in, own, roots
from core.knobs import clip

GET = '"python -m core data get {}"'
WITHOUT = "choose dataset = digits, which needs no download"
NOTES = {
    cifar10.PUBLISHED: "",
    cifar10.UNHASHED: " Here they were read from binary batch files, for which there is no published hash.",
}
RECOMPRESSED = " Here they were read from {}: accuracies may differ a little from those on the published archive."


# ---- what is said of a set ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Status:
    """What this machine has of one set: what the page, the command line and start-up say of it.

    Attributes:
        name: as knobs and the command line spell it.
        found: a run may begin at once.
        undecoded: it lies here, and has to be decoded once before a run may begin.
        where: the folder or file it lies in, or "embedded"; empty where it does not lie here.
        examples: how many there are to train on, and to test on; None where that is not known.
        message: one sentence that says what was found, and where it was looked for.
        hint: what to do about it, an imperative without its full stop; empty where nothing is to be done.
    """

    name: str
    found: bool
    undecoded: bool
    where: str
    examples: tuple[int, int] | None
    message: str
    hint: str

    @property
    def sentence(self) -> str:
        """The message and the hint as one sentence."""
        return f"{self.message.removesuffix('.')}; {self.hint}." if self.hint else self.message


def status(name: str) -> Status:
    """What this machine has of the set called `name`; `DataError` where there is no such set."""
    source = source_of(name)
    return _status_of_decoded(name) if source.decoded else _status_of_files(name, source)


def statuses() -> list[Status]:
    """The status of every set, in the order of `NAMES`."""
    return [status(name) for name in NAMES]


def _status_of_files(name: str, source: Source) -> Status:
    if not source.files:
        return _here(name, "embedded", f"{name} comes with scikit-learn.")
    lacking = []
    for found in idx.find(name):
        if found.whole(source):
            return _here(name, found.where, f"{name} is read from {found.where}.")
        lacking.append(found)
    fault = next((each for each in lacking if each.fault and not each.foreign), None)
    if fault is not None:
        return _lacking(name, f"{name} cannot be used: {clip(fault.fault, 300)}", "download it anew")
    foreign = next((each for each in lacking if each.fault), None)
    if foreign is not None:
        return _lacking(name, f"{name} is not on this machine: {clip(foreign.fault, 300)}", "download it")
    return _missing(name)


def _status_of_decoded(name: str) -> Status:
    if _kept(name) is not None:
        where = str(_kept_at(name))
        return _here(name, where, f"{name} is read from {where}, which was made of {_kind(name)}.")
    path = undecoded(name)
    if path is not None:
        message = f"{name} lies in {path} and has yet to be decoded, once, in half a minute."
        hint = f"press “Decode it” on the page of the lesson, run {GET.format(name)}, or {WITHOUT}"
        return Status(name, False, True, str(path), None, message, hint)
    fault = undecodable()
    return _missing(name) if not fault else _lacking(name, f"{name} cannot be used: {fault}", "download it anew")


def _here(name: str, where: str, message: str) -> Status:
    return Status(name, True, False, where, sizes(name), message, "")


def _missing(name: str) -> Status:
    return _lacking(name, f"{name} is not on this machine, where it was looked for {looked_in()}", "download it")


def _lacking(name: str, message: str, download: str) -> Status:
    point = f"point {VARIABLE} at a folder that has it"
    hint = f"{download} with {GET.format(name)}, {point}, or {WITHOUT}"
    return Status(name, False, False, "", None, f"{message}.", hint)


def by_hand(name: str) -> str:
    """What to do without a network, for a sentence: which files, and where to put them."""
    files = [f"{file.name}.gz" for file in SOURCES[name].files] or list(cifar10.ARCHIVES)
    joined = f"{', '.join(files[:-1])} {'and' if SOURCES[name].files else 'or'} {files[-1]}"
    return f"put {joined} into a folder that {VARIABLE} names"


def available(name: str) -> bool:
    """Whether a run may begin at once: all of the set lies on this machine, whole and, where it has to be, decoded."""
    source = source_of(name)
    if source.decoded:
        return _kept(name) is not None
    return not source.files or any(found.whole(source) for found in idx.find(name))


def undecoded(name: str) -> Path | None:
    """Where the set lies in a form that has yet to be decoded; None where `available`, missing or beyond decoding."""
    return decodable() if source_of(name).decoded and _kept(name) is None else None


def require(name: str) -> None:
    """Make sure that a run may begin at once, without loading what is there.

    Raises:
        DataError: it may not; says why, and what to do.
    """
    found = status(name)
    if not found.found:
        raise DataError(found.sentence)


def label(name: str) -> str:
    """What a manifest calls the set: its name, and the form it has on this machine where it may have several."""
    if not source_of(name).decoded or (kept := _kept(name)) is None:
        return name
    train, test = kept.counts
    return f"{name} ({kept.kind}{'' if kept.counts == SOURCES[name].counts else f', {train} and {test} of them'})"


def sizes(name: str) -> tuple[int, int]:
    """Number of training and of test examples that `load` gives, without loading: as decoded here, or as published."""
    source = source_of(name)
    kept = _kept(name) if source.decoded else None
    return source.counts if kept is None else (kept.counts[0], kept.counts[1])


# ---- loading -----------------------------------------------------------------------------------------------------


def load(name: str, device: torch.device) -> Dataset:
    """The set called `name` on `device`: the same object at every call. Never downloads.

    Images that lie here and were never decoded are decoded first, which takes half a minute; see `require`.

    Raises:
        DataError: no such set, not on this machine, not readable, or not the bytes that were published.
    """
    source = source_of(name)
    with _loading:
        return _load_decoded(name, source, device) if source.decoded else _load_files(name, source, device)


_loading = threading.Lock()
_loaded: dict[tuple[object, ...], Dataset] = {}


def _load_files(name: str, source: Source, device: torch.device) -> Dataset:
    complaint: Exception | None = None
    for found in idx.find(name) if source.files else (idx.Found({}),):
        if not found.whole(source):
            continue
        where = found.where if source.files else "embedded"
        key = (name, str(device), *(found.files[role].key for role in sorted(found.files)))
        if key in _loaded:
            return _loaded[key]
        try:
            contents = [found.files[role].content(file) for role, file in enumerate(source.files)]
        except (OSError, DataError) as error:
            complaint = complaint or error
            continue
        _loaded[key] = _dataset(name, source.read(contents), device, source.note, where)
        return _loaded[key]
    if complaint is not None:
        said = str(complaint)
        if isinstance(complaint, OSError):
            said = f"{complaint.filename} cannot be read ({complaint.strerror})"
        raise DataError(_lacking(name, f"{name} cannot be used: {said}", "download it anew").sentence) from complaint
    raise DataError(_status_of_files(name, source).sentence)


def _load_decoded(name: str, source: Source, device: torch.device) -> Dataset:
    if _kept(name) is None:
        decode(name, lambda share: None)
    path = _kept_at(name)
    kept = decoded.kept(path)
    key = (name, str(device), path, kept.sha256 if kept is not None else "")
    if key in _loaded:
        return _loaded[key]
    try:
        kept, contents = decoded.contents(path)
    except PictureError as error:
        if not _marks():
            raise DataError(_lacking(name, f"{name} cannot be used: {error}", "download it anew").sentence) from error
        decode(name, lambda share: None)
        kept, contents = decoded.contents(path)
    note = source.note.format(*kept.counts) + NOTES.get(kept.kind, RECOMPRESSED).format(kept.kind)
    _loaded[key] = _dataset(name, source.read(contents), device, note, str(path))
    return _loaded[key]


def _dataset(name: str, arrays: Arrays, device: torch.device, note: str, where: str) -> Dataset:
    x_train, y_train, x_test, y_test = (array.to(device) for array in arrays)
    source = SOURCES[name]
    return Dataset(name, x_train, y_train, x_test, y_test, source.classes, source.shape, note, where)


# ---- decoding ----------------------------------------------------------------------------------------------------


def _kept_at(name: str) -> Path:
    return own() / f"{name}.decoded"


def _kind(name: str) -> str:
    kept = _kept(name)
    return "" if kept is None else kept.kind


def _kept(name: str) -> decoded.Kept | None:
    """What was decoded, unless what it was decoded from has changed since, or a better form came.

    What was downloaded, and what has lost its source, stays good: there is nothing to decode it from anew.
    """
    kept = decoded.kept(_kept_at(name))
    if kept is None or not kept.fingerprint:
        return kept
    marks = _marks()
    return kept if not marks or any(kept.fingerprint == mark for _, mark in marks) else None


_failed: dict[str, str] = {}
"""Marks of what could not be decoded, and why, so that nobody waits twice for the same sentence."""


def _marks() -> list[tuple[Path, str]]:
    """Each form of CIFAR-10 that lies here, best first, with what changes when it or a better one does."""
    marks: list[tuple[Path, str]] = []
    for path in cifar10.candidates(roots()):
        try:
            mark = cifar10.fingerprint(path)
        except OSError:
            continue
        if marks:
            mark = hashlib.sha256(f"{marks[-1][1]} {mark}".encode()).hexdigest()
        marks.append((path, mark))
    return marks


def decodable() -> Path | None:
    """The best form of CIFAR-10 that lies here and has not failed to be decoded."""
    return next((path for path, mark in _marks() if mark not in _failed), None)


def undecodable() -> str:
    """Why the best form of CIFAR-10 that failed to be decoded did, without a full stop; empty where none has."""
    return next((_failed[mark] for _, mark in _marks() if mark in _failed), "")


def decode(name: str, tell: Callable[[float], None]) -> None:
    """Decode the best form that can be, and keep it; `DataError` where there is none."""
    for path, mark in _marks():
        if mark in _failed:
            continue
        try:
            numbers = cifar10.decode(path, tell)
        except PictureError as error:
            _failed[mark] = str(error)
            continue
        keep(name, numbers, mark)
        return
    raise DataError(_status_of_decoded(name).sentence)


def keep(name: str, numbers: decoded.Decoded, mark: str) -> None:
    """Store what was decoded; `DataError` where there is no room."""
    try:
        decoded.keep(_kept_at(name), numbers, mark)
    except OSError as error:
        raise no_room(name, error) from error


def undamaged(name: str) -> bool:
    """Whether the set can be loaded: what `available` says, and every byte as it was published or decoded."""
    source = source_of(name)
    try:
        if source.decoded:
            if _kept(name) is None:
                return False
            decoded.contents(_kept_at(name))
            return True
        return any(_readable(found, source) for found in idx.find(name)) or not source.files
    except PictureError:
        return False


def _readable(found: idx.Found, source: Source) -> bool:
    try:
        return found.whole(source) and all(
            found.files[role].content(file).size for role, file in enumerate(source.files)
        )
    except (OSError, DataError):
        return False


def no_room(name: str, error: OSError) -> DataError:
    """The sentence for a set that could not be written into the cache."""
    return DataError(
        f"{name} could not be stored in {own()} ({error.strerror or error}); make room there, point GRADIENT_LAB_CACHE "
        f"elsewhere, or {WITHOUT}."
    )


def may_download(name: str) -> bool:
    """Whether a run may bring the set unasked: it is missing, and the reader named no folder of their own.

    What lies here and has only to be decoded costs nobody's network.
    """
    return not available(name) and (given() is None or undecoded(name) is not None)
