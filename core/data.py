"""Data sets as tensors on the device, prepared once per process and device.

Pixels stay the whole numbers they were published as (uint8, a quarter of the memory of floats); what a lesson makes
of them, `scale` or a division, gives float32. A set is looked for in `GRADIENT_LAB_DATA` (only ever read), then in
`data/` of the cache, where downloads go. Both have torchvision's layout: `FashionMNIST/raw/train-images-idx3-ubyte`.
Every file is held against its published SHA-256 before a byte of it is used. CIFAR-10, which comes in several forms,
is decoded once into a file of the cache (`core.pictures`) that is held against its own.
"""

import gzip
import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import torch
from torch import Tensor

from core import pictures, places
from core.knobs import clip, spell
from core.pictures import PictureError

Content = np.ndarray[Any, np.dtype[np.uint8]]
"""The bytes of one file."""

Scaling = Literal["per pixel", "global"]

GET = '"python -m core data get {}"'
FOLDER = "point GRADIENT_LAB_DATA at a folder that has it"
WITHOUT = "choose dataset = digits, which needs no download"
PART = 2**18  # bytes unpacked between two reports of progress
PATIENCE = 20.0  # seconds a mirror may be silent
EPSILON = 1e-6  # added to the spread, as in notebook 003: a pixel that is always black stays finite


class DataError(ValueError):
    """A data set that cannot be used. Its message is one sentence for the reader."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set on one device. Its tensors are shared by everybody who loads it: never change them in place.

    Attributes:
        name: as knobs and the command line spell it.
        x_train: raw pixels, (examples, pixels) uint8.
        y_train: class of each example, (examples,) int64.
        x_test: (tests, pixels) uint8.
        y_test: (tests,) int64.
        classes: names of the classes; a label is an index into them.
        shape: of one picture, (channels, height, width); `x.view(-1, *shape)` gives pictures back.
        note: one sentence to stand beside results: what it is and whose.
        source: the folder it was read from, or "embedded".
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    note: str
    source: str


@dataclass(frozen=True)
class File:
    """One file of a set, as published: its name, size and SHA-256, unpacked."""

    name: str
    bytes: int
    sha256: str


Arrays = tuple[Tensor, Tensor, Tensor, Tensor]
"""x_train, y_train, x_test, y_test, as in `Dataset`, on the CPU."""


@dataclass(frozen=True)
class Source:
    """Where a set comes from: one entry of `SOURCES`.

    Attributes:
        read: what the files hold, in their order → the arrays.
        classes: as in `Dataset`, and so the next two.
        shape: of one picture.
        note: what it is and whose.
        published: its class in `torchvision.datasets`, which knows the mirrors and names the folder.
        files: what has to lie there; none where the set is embedded.
        decoded: it comes in the forms that `core.pictures` reads.
        counts: training and test examples, as published.
    """

    read: Callable[[Sequence[Content]], Arrays]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    note: str
    published: str = ""
    files: tuple[File, ...] = ()
    decoded: bool = False
    counts: tuple[int, int] = (60_000, 10_000)


# ---- reading -----------------------------------------------------------------------------------------------------


def load(name: str, device: torch.device) -> Dataset:
    """The set called `name` on `device`: the same object at every call. Never downloads.

    Pictures that lie here and were never decoded are decoded first, which takes half a minute; see `require`.

    Raises:
        DataError: no such set, not on this machine, not readable, or not the bytes that were published.
    """
    source = _source(name)
    if source.decoded:
        return _load_decoded(name, source, device)
    complaints = []
    with _loading:
        for folder in _folders(source):
            key = (name, str(device), folder)
            if key in _loaded:
                return _loaded[key]
            try:
                contents = [_content(file, folder) for file in source.files]
            except (OSError, DataError) as error:
                complaints.append((folder, error))
                continue
            x_train, y_train, x_test, y_test = (array.to(device) for array in source.read(contents))
            _loaded[key] = Dataset(
                name, x_train, y_train, x_test, y_test, source.classes, source.shape, source.note, str(folder)
            )
            return _loaded[key]
    _refuse(name, source, complaints)


def available(name: str) -> bool:
    """Whether a run may begin: every file lies on this machine at its size; what is in them is checked by `load`."""
    source = _source(name)
    if source.decoded:
        return _kept(name) is not None
    return bool(_whole_folders(source))


def _whole_folders(source: Source) -> list[Path]:
    """The folders where every file of a set lies at its size."""
    return [
        folder for folder in _folders(source) if all(_size(folder / file.name) == file.bytes for file in source.files)
    ]


def undecoded(name: str) -> Path | None:
    """Where the set lies on this machine in a form that has yet to be decoded; None where `available`, or missing."""
    return pictures.found(_roots()) if _source(name).decoded and _kept(name) is None else None


def require(name: str) -> None:
    """Make sure that a run may begin at once, without loading what is there.

    Raises:
        DataError: it may not; says why, and what to do.
    """
    if available(name):
        return
    path = undecoded(name)
    if path is not None:
        raise DataError(
            f"{name} lies in {path} and has yet to be decoded, once, in half a minute; press “Decode it” on the page "
            f"of the lesson, run {GET.format(name)}, or {WITHOUT}."
        )
    load(name, torch.device("cpu"))  # says why it cannot


def label(name: str) -> str:
    """What a manifest calls the set: its name, and the form it has on this machine where it may have several."""
    if not _source(name).decoded or (kept := _kept(name)) is None:
        return name
    train, test = kept.counts
    return f"{name} ({kept.kind}{'' if kept.counts == CIFAR10_COUNTS else f', {train} and {test} of them'})"


def sizes(name: str) -> tuple[int, int]:
    """Number of training and of test examples that `load` gives, without loading: as decoded here, or as published."""
    source = _source(name)
    kept = _kept(name) if source.decoded else None
    return source.counts if kept is None else (kept.counts[0], kept.counts[1])


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
    source = _source(name)
    path = undecoded(name)
    if available(name):
        where = str(_kept_at(name)) if source.decoded else str(next(iter(_whole_folders(source))))
        message = f"{name} comes with scikit-learn." if where == "embedded" else f"{name} is read from {where}."
        return Status(name, True, False, where, sizes(name), message, "")
    if path is not None:
        return Status(
            name,
            False,
            True,
            str(path),
            None,
            f"{name} lies in {path} and has yet to be decoded, once, in half a minute.",
            f"press “Decode it” on the page of the lesson, run {GET.format(name)}, or {WITHOUT}",
        )
    try:
        load(name, torch.device("cpu"))
    except DataError as error:
        message, _, hint = str(error).removesuffix(".").partition("; ")
        return Status(name, False, False, "", None, f"{message}.", hint)
    return status(name)


def statuses() -> list[Status]:
    """The status of every set, in the order of `NAMES`."""
    return [status(name) for name in NAMES]


_loading = threading.Lock()
_loaded: dict[tuple[str, str, Path], Dataset] = {}


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise DataError(f"dataset = {clip(name)} is unknown; choose {', '.join(NAMES[:-1])} or {NAMES[-1]}.")
    return SOURCES[name]


def _folders(source: Source) -> list[Path]:
    """Where the files of a set may lie, in the order in which they are looked for."""
    if not source.files:
        return [Path("embedded")]
    return [root / source.published / "raw" for root in _roots()]


def _roots() -> list[Path]:
    return [root for root in (_given(), _own()) if root is not None]


def _given() -> Path | None:
    """The reader's own folder of data sets, if one is named."""
    named = os.environ.get("GRADIENT_LAB_DATA", "").strip()
    return Path(named).expanduser().resolve() if named else None


def _own() -> Path:
    return places.written() / "data"


def _size(path: Path) -> int | None:
    """The size of a file in bytes; None where none can be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _content(file: File, folder: Path) -> Content:
    """The bytes of a file as they were published; `OSError` or `DataError` where they are not to be had."""
    path = folder / file.name
    size = path.stat().st_size
    if size != file.bytes:
        raise DataError(f"{path} has {size} bytes instead of {file.bytes}")
    content = np.fromfile(path, dtype=np.uint8)
    if hashlib.sha256(content.data).hexdigest() != file.sha256:
        raise DataError(f"{path} does not hold the bytes that were published")
    return content


def _refuse(name: str, source: Source, complaints: Sequence[tuple[Path, Exception]]) -> NoReturn:
    """Say why no folder gave the set: the first that has some of it and yet fails, else that none has any."""
    for folder, error in complaints:
        if not all(_absent(folder / file.name) for file in source.files):
            said = str(error)
            if isinstance(error, OSError):
                said = f"{error.filename or folder} cannot be read ({_reason(error)})"
            raise DataError(
                f"{name} cannot be used: {said}; download it anew with {GET.format(name)}, or {WITHOUT}."
            ) from error
    looked = " or in ".join(str(folder) for folder, _ in complaints)
    raise DataError(
        f"{name} is not on this machine, where it was looked for in {looked}; download it with {GET.format(name)}, "
        f"{FOLDER}, or {WITHOUT}."
    )


def _absent(path: Path) -> bool:
    """Whether there is no such file; one that may not be looked at is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _reason(error: BaseException) -> str:
    """What went wrong, without Python's wrapping: "No space left on device", "HTTP Error 404: Not Found"."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    return clip(getattr(error, "strerror", None) or str(error) or type(error).__name__)


# ---- decoding ----------------------------------------------------------------------------------------------------


def _kept_at(name: str) -> Path:
    return _own() / f"{name}.decoded"


def _kept(name: str) -> pictures.Kept | None:
    """What was decoded, unless what it was decoded from has changed since, or a better form came.

    What was downloaded, and what has lost its source, stays good: there is nothing to decode it from anew.
    """
    kept = pictures.kept(_kept_at(name))
    if kept is None or not kept.fingerprint:
        return kept
    try:
        path = pictures.found(_roots())
        return kept if path is None or pictures.fingerprint(path) == kept.fingerprint else None
    except OSError:
        return None


def _load_decoded(name: str, source: Source, device: torch.device) -> Dataset:
    """`load` for pictures."""
    with _loading:
        if _kept(name) is None:
            _decode(name, lambda share: None)
        path = _kept_at(name)
        kept = pictures.kept(path)
        key = (name, str(device), path / (kept.sha256 if kept is not None else ""))
        if key in _loaded:
            return _loaded[key]
        try:
            kept, contents = pictures.contents(path)
        except PictureError as error:
            if pictures.found(_roots()) is None:
                raise DataError(
                    f"{name} cannot be used: {error}; download it anew with {GET.format(name)}, or {WITHOUT}."
                ) from error
            _decode(name, lambda share: None)
            kept, contents = pictures.contents(path)
        x_train, y_train, x_test, y_test = (array.to(device) for array in source.read(contents))
        note = source.note.format(*kept.counts) + ("" if kept.kind == pictures.PUBLISHED else RECOMPRESSED)
        _loaded[key] = Dataset(
            name, x_train, y_train, x_test, y_test, source.classes, source.shape, note.format(kept.kind), str(path)
        )
        return _loaded[key]


def _decode(name: str, tell: Callable[[float], None]) -> None:
    """Decode what lies on this machine and keep it; `DataError` where nothing does, or it cannot be."""
    path = pictures.found(_roots())
    if path is None:
        _refuse(name, _source(name), [(root, FileNotFoundError()) for root in _roots()])
    try:
        mark = pictures.fingerprint(path)
        decoded = pictures.decode(path, tell)
    except (OSError, PictureError) as error:
        said = _reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{name} cannot be used: {said}; mend or remove {path}, or {WITHOUT}.") from error
    _keep(name, decoded, mark)


def _keep(name: str, decoded: pictures.Decoded, mark: str) -> None:
    try:
        pictures.keep(_kept_at(name), decoded, mark)
    except OSError as error:
        raise _no_room(name, error) from error


# ---- downloading -------------------------------------------------------------------------------------------------


def may_download(name: str) -> bool:
    """Whether a run may bring the set unasked: it is missing, and the reader named no folder of their own.

    What lies here and has only to be decoded costs nobody's network.
    """
    return not available(name) and (_given() is None or undecoded(name) is not None)


def download(name: str, progress: Callable[[float], None]) -> None:
    """Bring the set into `data/` of the cache, unless an undamaged one is on this machine already.

    What lies here in a form that has yet to be decoded is decoded instead.

    A class that presses the button together downloads once, and all see it grow. Whatever `progress` raises, and
    Ctrl-C, ends the download and leaves nothing behind.

    Args:
        name: which set.
        progress: called in this thread with the share that is done, never falling, 1.0 at the end.

    Raises:
        DataError: no such set, no network, no mirror that has it right, or no room on the disk.
    """
    source = _source(name)
    turn = _turns.setdefault(name, _Turn())
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        told = max(told, share)
        progress(told)

    waited = False
    while not turn.lock.acquire(timeout=0.2):
        waited = True
        tell(turn.share)
    try:
        if waited and turn.failure is not None:
            raise DataError(str(turn.failure)) from turn.failure
        turn.share, turn.failure = 0.0, None
        if source.decoded:
            _bring(name, turn, tell)
        elif not any(_whole(source, folder) for folder in _folders(source)):
            _fetch(name, source, turn, tell)
    except DataError as error:
        turn.failure = error
        raise
    finally:
        turn.lock.release()
    tell(1.0)


class _Turn:
    """One download of a set at a time: how far it is, and how the last one failed, for those who wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.share = 0.0
        self.failure: DataError | None = None


_turns: dict[str, _Turn] = {}


def _whole(source: Source, folder: Path) -> bool:
    """Whether every file in `folder` is as it was published."""
    try:
        for file in source.files:
            _content(file, folder)
    except (OSError, DataError):
        return False
    return True


def _bring(name: str, turn: _Turn, tell: Callable[[float], None]) -> None:
    """Decode what lies on this machine; where nothing does, download the published archive and decode that."""

    def report(share: float) -> None:
        turn.share = share
        tell(share)

    if _kept(name) is not None:
        try:
            pictures.contents(_kept_at(name))
            return
        except PictureError:
            pass  # damaged: made anew below
    if pictures.found(_roots()) is not None:
        _decode(name, report)
        return
    archive = bytearray()
    try:
        for part in _parts(pictures.ADDRESS):
            archive += part
            report(min(len(archive) / pictures.ARCHIVE_BYTES, 1.0))
            if len(archive) > pictures.ARCHIVE_BYTES:
                break
        decoded = pictures.unpacked(archive)
    except (DataError, PictureError) as error:
        said = error if isinstance(error, DataError) else f"{pictures.ADDRESS}: {error}"
        raise DataError(
            f"{name} could not be downloaded: {said}; check the network, {FOLDER}, or {WITHOUT}."
        ) from error
    _keep(name, decoded, "")


def _fetch(name: str, source: Source, turn: _Turn, tell: Callable[[float], None]) -> None:
    """Download every file, then store them."""
    mirrors = _mirrors(name, source)
    total = sum(file.bytes for file in source.files)
    contents: list[bytearray] = []
    for file in source.files:
        before = sum(map(len, contents))

        def report(received: int, before: int = before) -> None:
            turn.share = min((before + received) / total, 1.0)
            tell(turn.share)

        contents.append(_fetched(name, file, mirrors, report))
    _store(name, source, contents)


def _mirrors(name: str, source: Source) -> Sequence[str]:
    """The addresses under which torchvision finds the files."""
    try:
        from torchvision import datasets  # takes a second, and only downloads need it
    except (ImportError, RuntimeError) as error:
        raise DataError(
            f"{name} could not be downloaded, because torchvision cannot be imported ({_reason(error)}); install the "
            f"one that fits torch {torch.__version__}, {FOLDER}, or {WITHOUT}."
        ) from error
    mirrors: Sequence[str] = getattr(datasets, source.published).mirrors
    return mirrors


def _fetched(name: str, file: File, mirrors: Sequence[str], report: Callable[[int], None]) -> bytearray:
    """The bytes of a file, unpacked, from the first mirror that has them right."""
    failure: DataError | None = None
    for mirror in mirrors:
        address = f"{mirror}{file.name}.gz"
        content = bytearray()
        try:
            for part in _parts(address, packed=True):
                content += part
                report(len(content))
                if len(content) > file.bytes:
                    break
        except DataError as error:
            failure = error
            continue
        if hashlib.sha256(content).hexdigest() == file.sha256:
            return content
        failure = DataError(f"{address} does not hold the bytes that were published")
    raise DataError(
        f"{name} could not be downloaded: {failure}; check the network, {FOLDER}, or {WITHOUT}."
    ) from failure


def _parts(address: str, *, packed: bool = False) -> Iterator[bytes]:
    """What lies at `address`, part by part, unpacked where it is packed.

    torchvision's own download knows no time limit, cannot be stopped and draws its own bar; hence these lines.
    """
    try:
        request = Request(address, headers={"User-Agent": "gradient-lab"})
        with urlopen(request, timeout=PATIENCE) as answer, gzip.open(answer) if packed else answer as file:
            while part := file.read(PART):
                yield part
    except (OSError, HTTPException, EOFError, zlib.error) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too, and holds the connection
        raise DataError(f"{address} cannot be read ({_reason(error)})") from error


def _store(name: str, source: Source, contents: Sequence[bytearray]) -> None:
    """Write the files beside their place, then move them there: a half-written one never has their name."""
    home = _own()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=home) as partial:
            for file, content in zip(source.files, contents, strict=True):
                Path(partial, file.name).write_bytes(content)
            folder = home / source.published / "raw"
            folder.mkdir(parents=True, exist_ok=True)
            for file in source.files:
                os.replace(Path(partial, file.name), folder / file.name)
    except OSError as error:
        raise _no_room(name, error) from error


def _no_room(name: str, error: OSError) -> DataError:
    return DataError(
        f"{name} could not be stored in {_own()} ({_reason(error)}); make room there, point GRADIENT_LAB_CACHE "
        f"elsewhere, or {WITHOUT}."
    )


# ---- preparing ---------------------------------------------------------------------------------------------------


def subset(dataset: Dataset, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """`n` training examples drawn without replacement, in random order: the same on every device.

    Returns:
        Pixels (n, pixels) uint8 and classes (n,) int64, copies on the set's device.

    Raises:
        DataError: `n` is not in 1 … all of them.
    """
    most = len(dataset.y_train)
    if not 1 <= n <= most:
        raise DataError(
            f"examples = {spell(n)} is outside 1 … {most}, which is all that {dataset.name} has to learn from."
        )
    chosen = torch.randperm(most, generator=_chance(seed, "subset"))[:n].to(dataset.x_train.device)
    return dataset.x_train[chosen], dataset.y_train[chosen]


def scale(x_train: Tensor, x_test: Tensor, mode: Scaling) -> tuple[Tensor, Tensor]:
    """Pixels less their mean, over their spread + 1e-6, both taken from the training examples alone.

    "per pixel" has a mean and a spread for each pixel, as notebook 003; "global" one of each for all. The spread is
    the standard deviation with Bessel's correction, as `Tensor.std` has it there.

    Args:
        x_train: (examples, pixels), at least two examples.
        x_test: (tests, pixels).
        mode: which of the two.

    Returns:
        Both as float32, new tensors.

    Raises:
        DataError: no such mode, or fewer than two examples.
    """
    if mode not in ("per pixel", "global"):
        raise DataError(f"scaling = {clip(mode)} is unknown; choose per pixel or global.")
    if len(x_train) < 2:
        raise DataError(
            f"examples = {len(x_train)} is too few to scale, for one example has no spread; take 2 or more."
        )
    x = x_train.float()
    spread, mean = torch.std_mean(x, dim=0 if mode == "per pixel" else None)
    spread = spread + EPSILON
    return x.sub(mean).div_(spread), x_test.float().sub(mean).div_(spread)


def corrupt_labels(y: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """Labels of which a `share` was redrawn uniformly at random, as Zhang et al. 2017 did.

    A redraw may hit the true class again, so a share of 1 leaves about one in `classes` as it was. Which labels are
    redrawn, and as what, grows with the share: those of 0.1 are among those of 0.2.

    Args:
        y: (examples,) int64; left as it is.
        share: of the labels, 0 … 1; rounded to whole labels.
        classes: how many there are to draw from.
        seed: where chance begins.

    Returns:
        A copy of `y`, on its device.

    Raises:
        DataError: `share` is outside 0 … 1.
    """
    if not 0.0 <= share <= 1.0:
        raise DataError(f"label_noise = {spell(share)} is outside 0 … 1; it is a share of the labels.")
    chance = _chance(seed, "labels")
    redrawn = torch.randperm(len(y), generator=chance)[: round(share * len(y))]
    drawn = torch.randint(classes, (len(y),), generator=chance)
    noisy = y.clone()
    noisy[redrawn.to(y.device)] = drawn[redrawn].to(y.device)
    return noisy


def _chance(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose: where a lesson uses one seed for all, its draws must not repeat each other."""
    mixed = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(mixed.generate_state(1)[0]))


# ---- the sets ----------------------------------------------------------------------------------------------------


def _read_idx(contents: Sequence[Content]) -> Arrays:
    """Training pictures and labels, test pictures and labels, in the format of the MNIST files."""
    x_train, y_train, x_test, y_test = map(_idx, contents)
    return x_train, y_train.flatten().long(), x_test, y_test.flatten().long()


def _idx(content: Content) -> Tensor:
    """The items of an idx file, (items, numbers each) uint8.

    Its fourth byte counts the axes; their lengths follow, four bytes each, the number of items first.
    """
    axes, items = int(content[3]), int.from_bytes(content[4:8].tobytes(), "big")
    return torch.from_numpy(content[4 + 4 * axes :]).view(items, -1)


def _read_decoded(contents: Sequence[Content]) -> Arrays:
    """The four arrays of a kept file, flat as they lie there."""
    x_train, y_train, x_test, y_test = map(torch.from_numpy, contents)
    return x_train.view(-1, pictures.PIXELS), y_train.long(), x_test.view(-1, pictures.PIXELS), y_test.long()


def _read_digits(_: Sequence[Content]) -> Arrays:
    """scikit-learn's digits; every sixth picture of each class is for the test."""
    from sklearn.datasets import load_digits  # takes a second, and only this set needs it

    pixels, classes = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels).to(torch.uint8), torch.from_numpy(classes).long()
    nth = (y[:, None] == y.unique()).cumsum(dim=0).gather(1, y[:, None]).squeeze(1)  # 1 for the first of its class
    test = nth % 6 == 0
    return x[~test], y[~test], x[test], y[test]


def _four(*hashes: str) -> tuple[File, ...]:
    """The files that MNIST has, and every set made after its pattern."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    sizes = (47_040_016, 60_008, 7_840_016, 10_008)
    return tuple(map(File, names, sizes, hashes))


TEN = tuple("0123456789")
CIFAR10_COUNTS = (50_000, 10_000)
RECOMPRESSED = " Here they were read from {}: accuracies may differ a little from those on the published archive."

SOURCES: dict[str, Source] = {
    "fashion-mnist": Source(
        _read_idx,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        (1, 28, 28),
        "FashionMNIST: pictures of clothes from Zalando's shop, 60,000 to learn from and 10,000 for the test "
        "(Xiao et al. 2017).",
        "FashionMNIST",
        _four(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    "mnist": Source(
        _read_idx,
        TEN,
        (1, 28, 28),
        "MNIST: handwritten digits, 60,000 to learn from and 10,000 for the test (LeCun et al. 1998).",
        "MNIST",
        _four(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "cifar10": Source(
        _read_decoded,
        pictures.CLASSES,
        (3, pictures.SIDE, pictures.SIDE),
        "CIFAR-10: small photographs of ten kinds of things, {:,} to learn from and {:,} for the test "
        "(Krizhevsky 2009).",
        "CIFAR10",
        decoded=True,
        counts=CIFAR10_COUNTS,
    ),
    "digits": Source(
        _read_digits,
        TEN,
        (1, 8, 8),
        "Digits: 1,797 small handwritten digits that come with scikit-learn (Alpaydin and Kaynak 1998), every sixth of "
        "a class kept for the test.",
        counts=(1_501, 296),
    ),
}

NAMES = tuple(SOURCES)
