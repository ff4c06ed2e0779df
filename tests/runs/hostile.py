"""Bundles that somebody made to do harm, or damaged: by kind, drawn by chance, and what must not come of them."""

import ctypes
import gc
import gzip
import hashlib
import io
import json
import os
import pickle
import stat
import struct
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.lesson import AnyLesson
from core.panels import Panel, Switch, lines
from core.runs import bundle, packing
from core.runs.bundle import BundleError
from core.runs.run import Run, State
from core.runs.store import Store
from core.traces import Heatmap, Scatter
from core.ui import run_json
from core.ui.take_home import curves_csv
from core.ui.thumbnail import thumbnail
from tests.altered import altered
from tests.runs import fakes
from tests.runs.fakes import QuickFiles, TinyKnobs

MOST_EXTRA = 200 * 10**6  # bytes of memory that an import may take for a while
MOST_SECONDS = 10.0
Chance = np.random.Generator
Kind = Callable[[Run, Chance], bytes]


def panels(knobs: TinyKnobs) -> list[Panel]:
    rows = [Switch(Scatter(x=[0, 1], name=f"row {i}"), {"y": ("weights", i)}) for i in range(3)]
    image = Panel("Weights", "All of them.", [Switch(Heatmap(), {"z": "weights"}), *rows])
    return [lines("Loss", "It falls.", "loss", ("a", "b"), x="pass", y="loss"), image]


DRAWN: AnyLesson = altered(fakes.LESSON, slug="drawn", prose=replace(fakes.LESSON.prose, title="Drawn"), panels=panels)


def stored(store: Store, seed: int = 0) -> Run:
    """A run of the lesson above, trained and stored."""
    knobs = TinyKnobs(seed=seed)
    run = Run(DRAWN, knobs, DRAWN.key(knobs), device="a fake", state=State.DONE, wall_seconds=1.25)
    for frame in fakes.train(knobs, torch.device("cpu")):
        run.recording.append(frame)
    return fakes.commit(store, run)


# ---- how bundles are made ------------------------------------------------------------------------------------------


def said(run: Run) -> dict[str, Any]:
    """Its manifest as plain values."""
    assert run.manifest is not None
    return run.manifest.model_dump(mode="json")


def sealed(text: str | dict[str, Any]) -> bytes:
    """Any text under a valid seal."""
    body = (text if isinstance(text, str) else json.dumps(text, indent=2)).removesuffix("\n}").encode()
    return body + f',\n  "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


def forged(run: Run, frames: bytes | None = None, **changes: Any) -> bytes:
    """A bundle with other frames or another manifest, sealed as if it were whole."""
    frames = packing.pack(run.recording.arrays()) if frames is None else frames
    vouched = {"frames.npz": packing.record(frames).model_dump()}
    return sealed({**said(run), "files": vouched, **changes}) + frames


def with_arrays(run: Run, **changes: Any) -> bytes:
    """A bundle whose recording has other arrays; None takes one away. In names, "__" stands for "/"."""
    arrays = dict(run.recording.arrays())
    for name, array in changes.items():
        arrays[name.replace("__", "/")] = array
    return forged(run, packing.pack({name: array for name, array in arrays.items() if array is not None}))


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def header(text: str) -> bytes:
    """An array file that says anything about itself."""
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


def members(run: Run) -> dict[str, bytes]:
    return {f"{name}.npy": npy(array) for name, array in run.recording.arrays().items()}


def archive(files: Sequence[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, data in files:
            made.writestr(name, data)
    return buffer.getvalue()


def linked(name: str, to: str) -> tuple[zipfile.ZipInfo, bytes]:
    """An entry that wants to be a symbolic link."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry, to.encode()


class Payload:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


# ---- kinds ---------------------------------------------------------------------------------------------------------

KINDS: dict[str, Kind] = {}
AWAY = ("../../{}", "../../../../../../tmp/{}", "/tmp/{}", "C:\\{}", "..\\..\\{}", "a\0{}", "a/../../{}", "~/{}")


def kind(make: Kind) -> Kind:
    KINDS[make.__name__.removesuffix("_").replace("_", " ")] = make
    return make


def pick(chance: Chance, among: Sequence[Any]) -> Any:
    return among[int(chance.integers(len(among)))]


@kind
def flipped_bytes(run: Run, chance: Chance) -> bytes:
    data = bytearray(bundle.export(run))
    for place in chance.integers(len(data), size=int(chance.integers(1, 9))):
        data[int(place)] ^= int(chance.integers(1, 256))
    return bytes(data)


@kind
def flipped_frames_under_a_valid_seal(run: Run, chance: Chance) -> bytes:
    frames = bytearray(packing.pack(run.recording.arrays()))
    for place in chance.integers(len(frames), size=int(chance.integers(1, 9))):
        frames[int(place)] ^= int(chance.integers(1, 256))
    return forged(run, bytes(frames))


@kind
def flipped_arrays_under_a_valid_seal(run: Run, chance: Chance) -> bytes:
    files = members(run)
    name = pick(chance, list(files))
    array = bytearray(files[name])
    for place in chance.integers(len(array), size=int(chance.integers(1, 5))):
        array[int(place)] ^= int(chance.integers(1, 256))
    return forged(run, archive(list({**files, name: bytes(array)}.items())))


@kind
def cut(run: Run, chance: Chance) -> bytes:
    data = bundle.export(run)
    return data[: int(chance.integers(len(data)))]


@kind
def put_together_wrongly(run: Run, chance: Chance) -> bytes:
    data, frames = bundle.export(run), packing.pack(run.recording.arrays())
    manifest = data[: -len(frames)]
    noise = chance.bytes(int(chance.integers(1, 5000)))
    cases = [b"", manifest, frames, data + data, noise, data + noise, noise + data, manifest + manifest + frames]
    return pick(chance, [*cases, b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), gzip.compress(data)])


@kind
def too_long(run: Run, chance: Chance) -> bytes:
    return bundle.export(run) + bytes(bundle.MOST_BYTES)


@kind
def traversal_in_a_zip(run: Run, chance: Chance) -> bytes:
    inside = pick(chance, ["run.json", "frames.npz"])
    data = bundle.export(run)
    return archive([(pick(chance, AWAY).format(inside), data), (inside, data)])


@kind
def traversal_in_the_names_of_arrays(run: Run, chance: Chance) -> bytes:
    name = pick(chance, AWAY).format(pick(chance, ["pwned.npy", "curve/loss/values.npy", "steps"]))
    return forged(run, archive([*members(run).items(), (name, npy(np.ones(3)))]))


@kind
def traversal_in_the_manifest(run: Run, chance: Chance) -> bytes:
    away = pick(chance, AWAY).format("pwned")
    changes: list[dict[str, Any]] = [{"slug": away}, {"key": away}, {"files": {away: said(run)["files"]["frames.npz"]}}]
    return forged(run, **pick(chance, changes))


@kind
def links(run: Run, chance: Chance) -> bytes:
    to = pick(chance, ["/etc/passwd", "../../../..", "frames.npz"])
    as_array = forged(run, archive([*members(run).items(), linked("pwned.npy", to)]))
    instead = forged(run, archive([linked(name, to) for name in members(run)]))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("run.json")
        entry.type, entry.linkname = pick(chance, [tarfile.SYMTYPE, tarfile.LNKTYPE]), to
        tar.addfile(entry)
    return pick(chance, [as_array, instead, archive([linked("run.json", to)]), packed.getvalue()])


@kind
def duplicate_names(run: Run, chance: Chance) -> bytes:
    files = list(members(run).items())
    name, data = pick(chance, files)
    other = pick(chance, [data, npy(np.ones(3)), b""])
    return forged(run, archive([*files, (pick(chance, [name, name.removesuffix(".npy")]), other)]))


@kind
def duplicate_keys(run: Run, chance: Chance) -> bytes:
    frames = packing.pack(run.recording.arrays())
    text = json.dumps({**said(run), "files": {"frames.npz": packing.record(frames).model_dump()}}, indent=2)
    name = pick(chance, ["slug", "key", "knobs", "files", "device"])
    value = pick(chance, ['"other"', "{}", json.dumps(said(run)[name]), "null"])
    return sealed(text.replace("{\n", f'{{\n  "{name}": {value},\n', 1)) + frames


@kind
def bomb(run: Run, chance: Chance) -> bytes:
    """Zeros of up to a gigabyte in a megabyte."""
    size = int(chance.integers(30, 100)) * 2**20
    many = [(f"{i}.npy", bytes(2**20)) for i in range(30)]
    one = [("steps.npy", bytes(size))]
    return forged(run, archive([*members(run).items(), *pick(chance, [many, one])]))


@kind
def bomb_of_entries(run: Run, chance: Chance) -> bytes:
    """A list of contents with hundreds of thousands of entries, and nothing behind it."""
    count = int(chance.integers(bundle.MOST_ARRAYS, 300_000))
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, count * len(entry), 0, 0)
    return forged(run, entry * count + end)


@kind
def false_sizes(run: Run, chance: Chance) -> bytes:
    """Entries that declare other sizes than they have, a bomb among them."""
    real = bytes(int(chance.integers(1, 64)) * 2**20) if chance.random() < 0.3 else npy(chance.random(500))
    method = pick(chance, [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]) if len(real) < 2**20 else zipfile.ZIP_DEFLATED
    data = bytearray(archive([("steps.npy", real)], method))
    for place, mark in ((data.find(b"PK\3\4") + 22, b"PK\3\4"), (data.rfind(b"PK\1\2") + 24, b"PK\1\2")):
        if mark == b"PK\1\2" or chance.random() < 0.5:
            data[place : place + 4] = struct.pack("<L", pick(chance, [0, 1, 129, 2**20, 2**31, 2**32 - 1]))
    if chance.random() < 0.3:
        place = data.rfind(b"PK\1\2") + 20
        data[place : place + 4] = struct.pack("<L", pick(chance, [0, 1, 2**31, 2**32 - 2]))
    return forged(run, bytes(data))


@kind
def false_sizes_in_the_manifest(run: Run, chance: Chance) -> bytes:
    record = said(run)["files"]["frames.npz"]
    size = pick(chance, [0, -1, 2**40, 10**30, record["size"] + 1, 1.5, "many", True])
    return forged(run, files={"frames.npz": {**record, "size": size}})


@kind
def packed_otherwise(run: Run, chance: Chance) -> bytes:
    """What `zipfile` unpacks whole, however little is asked for."""
    method = pick(chance, [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    return forged(run, archive([*members(run).items(), ("a.npy", bytes(2**24))], method))


@kind
def pickled(run: Run, chance: Chance) -> bytes:
    array = np.array([Payload()], dtype=object)
    name = pick(chance, list(members(run)))
    in_arrays = forged(run, archive(list({**members(run), name: npy(array, allow_pickle=True)}.items())))
    return pick(chance, [in_arrays, pickle.dumps(Payload()), forged(run, pickle.dumps(Payload()))])


SHAPES = (
    "(9999999999,)", "(-1,)", "(2, -3)", "(1000000000000, 0)", "(0,)", "()", "(True,)", "(1e9,)", "'ab'", "(2**40,)",
    "[3]", "(" * 3000, "((" * 40 + "1" + "))" * 40, "__import__('os').system('touch pwned')", "(9" * 3000 + ",)",
)  # fmt: skip
TYPES = (
    "'|O'", "'<U0'", "'|S0'", "'|V0'", "'<M8[s]'", "'>f8'", "'<f2'", "'<c16'", "'|b1'", "'<U1'", "'|V1000000000'",
    "[('a', '<f8'), ('b', '|O')]", "('<f8', (1000, 1000))", "'<f8'", "'object'", "None", "'<f8', 'evil': 1",
)  # fmt: skip


@kind
def forged_headers(run: Run, chance: Chance) -> bytes:
    name, shape, kind_ = pick(chance, list(members(run))), pick(chance, SHAPES), pick(chance, TYPES)
    text = f"{{'descr': {kind_}, 'fortran_order': {pick(chance, ['False', 'True', '3'])}, 'shape': {shape}, }}"
    made = header(text) + bytes(int(chance.integers(0, 100)))
    return forged(run, archive(list({**members(run), name: made}.items())))


HUGE = "9" * 5000
ODD = (
    "NaN", "Infinity", "-Infinity", "1e999", HUGE, f"-{HUGE}", f"0.{HUGE}", f"1e{HUGE}", "-1", "0", "1e-400", "true",
    "null", '""', "[]", "{}", "[" * 5000, "[" * 100 + "]" * 100, '{"a":' * 3000, '"\\ud800"', '"\\u0000"', '"\\u202e"',
    '"0001-01-01T00:00:00"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"now"', "1e18",
    json.dumps("x" * 300_000), json.dumps({str(i): "v" for i in range(5000)}), json.dumps({"p" * 5000: "v" * 5000}),
    '"<script>alert(1)</script>"', '"[click](http://evil.example)"', '{"<b>": "<i>"}', "[[], {}, [[]]]", '"../.."',
)  # fmt: skip


@kind
def odd_values_in_the_manifest(run: Run, chance: Chance) -> bytes:
    frames = packing.pack(run.recording.arrays())
    values = {**said(run), "files": {"frames.npz": packing.record(frames).model_dump()}}
    name = pick(chance, list(values))
    inside = list(values[name]) if isinstance(values[name], dict) else []
    if inside and chance.random() < 0.7:
        values[name] = {**values[name], pick(chance, inside): "@@"}
    else:
        values[name] = "@@"
    return sealed(json.dumps(values, indent=2).replace('"@@"', pick(chance, ODD))) + frames


@kind
def knobs_out_of_limits(run: Run, chance: Chance) -> bytes:
    knobs = dict(said(run)["knobs"])
    values = [-1, 10**30, 1e308, "x" * 2000, [], [[[]]], {"a": {}}, None, True, "nan", "inf", "1e999", "8,8,8"]
    knobs[pick(chance, [*knobs, "extra", "__class__"])] = pick(chance, values)
    if chance.random() < 0.2:
        knobs.pop(pick(chance, list(knobs)))
    return forged(run, knobs=knobs)


@kind
def another_name(run: Run, chance: Chance) -> bytes:
    other = DRAWN.key(TinyKnobs(seed=int(chance.integers(10, 1000))))
    changes: list[dict[str, Any]] = [
        {"key": other}, {"key": run.key.upper()}, {"key": run.key[:16]}, {"key": ""}, {"key": run.key + "\n"},
        {"slug": "tiny"}, {"slug": "no-such"}, {"slug": ""}, {"revision": 2}, {"revision": 0}, {"revision": 10**30},
        {"format": 2}, {"extra": 1}, {"knobs": {}}, {"files": {}},
    ]  # fmt: skip
    return forged(run, **pick(chance, changes))


@kind
def steps_that_fall(run: Run, chance: Chance) -> bytes:
    steps = run.recording.steps()
    bad = [steps[::-1], np.full(len(steps), np.nan), np.append(steps[:-1], np.inf), steps.astype("i8"), steps[:, None]]
    return with_arrays(run, steps=pick(chance, [*bad, steps[:2], np.empty(0), np.array(1.0), steps.astype("U8")]))


@kind
def not_ended(run: Run, chance: Chance) -> bytes:
    return with_arrays(run, progress=np.array(pick(chance, [0.0, 0.4, -1.0, 2.0, np.nan, np.inf, 1, "1", [1.0]])))


def odd_array(array: np.ndarray[Any, Any], chance: Chance) -> Any:
    """The same in another shape, of another type, with other numbers, or not there."""
    wild = np.where(chance.random(array.shape) < 0.5, pick(chance, [np.nan, np.inf, 1e308, -1e308, -1.0, 0.0]), 1.0)
    return pick(
        chance,
        [
            array[:-1], array[..., :1], array[..., :0], array[..., None], array.ravel(), array[None], np.empty((0, 9)),
            array.astype("f2"), array.astype("i1"), array.astype("U9"), array.astype("c16"), array.astype(">f8"),
            np.concatenate([array] * 2), np.concatenate([array] * 2, axis=-1), np.array(0.0), wild,
            wild.astype(array.dtype), wild.astype("f4"), None, np.asfortranarray(array),
        ],
    )  # fmt: skip


@kind
def frames_that_do_not_fit(run: Run, chance: Chance) -> bytes:
    arrays = {name: array for name, array in run.recording.arrays().items() if array.ndim}
    with np.errstate(all="ignore"):
        return with_arrays(run, **{name: odd_array(arrays[name], chance) for name in [pick(chance, list(arrays))]})


@kind
def arrays_that_nobody_asked_for(run: Run, chance: Chance) -> bytes:
    title = pick(chance, ["=cmd()", "a\nb", "../x", "<b>", "x" * 500, "a/frames", "", "good", "é", "\u202e"])
    where = pick(chance, ["curve", "picture", "sound"])
    name = "stack" if where == "picture" else "values"
    arrays = {**run.recording.arrays(), f"{where}/{title}/frames": np.array([0])}
    if chance.random() < 0.8:
        arrays[f"{where}/{title}/{name}"] = pick(chance, [np.ones(1), np.ones((1, 2, 2, 2)), np.array(["a"])])
    return forged(run, packing.pack(arrays))


@kind
def too_many_frames(run: Run, chance: Chance) -> bytes:
    count = int(chance.integers(bundle.MOST_FRAMES + 1, 10**5))
    return with_arrays(run, steps=np.arange(count, dtype="f8"), curve__loss__frames=np.arange(count, dtype="i8"))


@kind
def as_large_as_may_be(run: Run, chance: Chance) -> bytes:
    """One array up to and beyond the limit, packed well or not at all, drawn or not."""
    pictures = [name for name in run.recording.arrays() if name.endswith("/stack")]
    name = pick(chance, ["picture/nobody/stack", *pictures])
    kind_ = pick(chance, ["f8", "f4", "u1", "U1"])
    size = int(pick(chance, [0.5, 0.95, 1.02, 2.0]) * bundle.MOST_UNPACKED / max(4, np.dtype(kind_).itemsize))
    flat = np.zeros(size, kind_)
    if kind_ == "f4" and chance.random() < 0.5:
        flat = chance.random(size, dtype=np.float32)
    shape = run.recording.arrays()[name].shape if name in pictures else (1, 1)
    rows = shape[1] if len(shape) > 2 else 1
    picture = flat[: size // rows * rows].reshape(1, rows, -1) if len(shape) > 2 else flat.reshape(1, -1)
    arrays = {**run.recording.arrays(), name: picture, name.replace("/stack", "/frames"): np.array([0])}
    return forged(run, packing.pack(arrays))


@kind
def hostile_text(run: Run, chance: Chance) -> bytes:
    """Nothing is wrong with it: the text is shown as text."""
    text = pick(chance, ["<script>alert(1)</script>", "[x](http://evil.example)", "**a** `b` $c$", "\u202eabc", "a\nb"])
    return forged(run, device=text, versions={text: text}, claims=[{"sentence": text}], facts={text: 1e308})


@kind
def whole(run: Run, chance: Chance) -> bytes:
    """As it should be."""
    return forged(run, created=datetime.now(UTC).isoformat())


# ---- what must not come of them ------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What was tried, what came of it, and what should not have."""

    wrong: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    extra: tuple[int, str] = (0, "")  # bytes at the worst import's peak beyond the least ever held, its file included
    slowest: tuple[float, str] = (0.0, "")  # seconds

    @property
    def tried(self) -> int:
        return self.refused.total() + self.taken.total()


def trial(runs: Sequence[Run], count: int, seed: int, folder: Path) -> Findings:
    """Import `count` hostile bundles made of these runs into an empty store in `folder`."""
    found, chance = Findings(), np.random.default_rng(seed)
    store = Store(folder / "cache", [], {run.lesson.slug: run.lesson for run in runs}, QuickFiles())
    (folder / "cache").mkdir(parents=True)
    for run in runs:  # what is imported and computed for the first time is no bundle's doing
        _draw(bundle.read(bundle.export(run), store.lessons)[0])
    _give_back()
    gc.freeze()  # what is here by now is no garbage: only what came since is looked through, which is quick
    names, least = list(KINDS), _memory()
    for i in range(count):
        name = names[i % len(names)]
        data = KINDS[name](pick(chance, runs), chance)
        _give_back()  # a bomb takes more to make than to import
        least = min(least, _memory())
        with _peak() as peak, _watched(folder / "cache") as deeds:
            start = time.perf_counter()
            taken, fault = _import(data, store)
            seconds = time.perf_counter() - start
        found.slowest = max(found.slowest, (seconds, name))
        found.extra = max(found.extra, (peak[0] - least, name))
        if taken is not None:
            fault = fault or _fault(taken, store)
            store.files.remove(store.runs / taken.lesson.slug / taken.key)
        (found.refused if taken is None else found.taken)[name] += 1
        found.wrong += [f"{name}: {each}" for each in (*deeds, fault) if each]
    found.wrong += [f"left behind: {path}" for path in _strangers(folder / "cache")]
    if found.extra[0] > MOST_EXTRA:
        found.wrong.append(f"{found.extra[1]}: {found.extra[0] / 1e6:.0f} MB more memory than before")
    if found.slowest[0] > MOST_SECONDS:
        found.wrong.append(f"{found.slowest[1]}: {found.slowest[0]:.1f} s")
    gc.unfreeze()
    return found


def _import(data: bytes, store: Store) -> tuple[Run | None, str]:
    """The run that was taken in, if it was; if it was not, what is wrong with the way in which that was said."""
    try:
        run, new = bundle.bring_in(data, store)
        return run, "" if new else "it was taken for one that is here"
    except BundleError as error:
        one = str(error)
        fine = one.endswith(".") and one.isprintable() and len(one) < 500
        return None, "" if fine else f"no sentence: {one[:300]!r}"
    except BaseException as error:
        return None, f"{type(error).__name__}: {str(error)[:200]}"


def _fault(run: Run, store: Store) -> str:
    """What is wrong with a run that was taken in, if anything is, as another process finds it."""
    again = Store(store.runs.parent, [], store.lessons, QuickFiles()).get(run.key)
    if again is None or not again.imported or run.key != run.lesson.key(run.knobs):
        return "it is not stored as what it is"
    if dict(again.facts) != packing.plain_facts(run.result.values):
        return "its facts are not those of its frames"
    try:
        _draw(again)
    except Exception as error:
        return f"it cannot be shown: {type(error).__name__}: {str(error)[:200]}"
    return ""


def _draw(run: Run) -> None:
    """What a page and a take-home file ask of a run. Of its text only that there is some: it may be long."""
    json.dumps(run_json.state(run), allow_nan=False)
    curves_csv(run)
    thumbnail(run.lesson.panels(run.knobs)[0].figure(run.recording))
    for kept in (run_json.charts_json, run_json._panels):  # for readers; here it would count as an import's memory
        kept.clear()


def _strangers(cache: Path) -> Iterator[Path]:
    """What lies in the folder but should not."""
    for path in sorted(cache.parent.rglob("*")):
        inside = path.relative_to(cache.parent).parts
        if path.is_file() and inside != ("cache", "runs", ".lock"):
            yield path


# An audit hook stays for good, so there is one, and it is told when to look.
_deeds: list[str] | None = None
_allowed = ""
_thread = 0
FORBIDDEN = ("pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.symlink",
             "os.link", "socket.connect", "marshal.loads", "exec")  # fmt: skip
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.chmod", "os.truncate")


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _deeds is None or threading.get_ident() != _thread:
        return
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    path = (
        os.fsdecode(args[0]) if (writes or event in CHANGES) and isinstance(args[0], str | bytes | os.PathLike) else ""
    )
    if path and not os.path.realpath(path).startswith(_allowed):
        _deeds.append(f"{event} of {path}")
    if event in FORBIDDEN:
        _deeds.append(event)


@contextmanager
def _watched(folder: Path) -> Iterator[list[str]]:
    """Everything that Python does meanwhile outside `folder`, and all code that it runs."""
    global _deeds, _allowed, _thread
    if not _allowed:
        sys.addaudithook(_audit)
    _allowed, _thread, _deeds = os.path.realpath(folder), threading.get_ident(), []
    try:
        yield _deeds
    finally:
        _deeds = None


@contextmanager
def _peak() -> Iterator[list[int]]:
    """The most memory that this process held meanwhile, in bytes; 0 where the system does not tell."""
    peak = [0]
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the high-water mark begins anew
    yield peak
    peak[0] = _memory("VmHWM")


def _give_back() -> None:
    """Return to the system what earlier work has freed, or what is taken from it would not show."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only the C library of Linux can
        ctypes.CDLL(None).malloc_trim(0)


def _memory(which: str = "VmRSS") -> int:
    """What this process holds in memory now, in bytes."""
    with suppress(OSError):
        text = Path("/proc/self/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(which))
    return 0
