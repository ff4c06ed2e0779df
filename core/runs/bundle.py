"""A run as one file for another server, and back: its manifest, sealed, and right behind it its frames.

::

    { "format": 1, ... "sha256": "..." }    the bytes of run.json
    PK ...                                  the bytes of frames.npz

The file names no files, so nothing in it can point anywhere. What comes in was made by somebody: sizes are checked
before memory is taken, nothing is run, and of the manifest only what cannot be known here is believed: when, on what
and for how long the run was trained. Its key follows from lesson and knobs; its facts and claims are computed here.
"""

import json
import math
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from core.device import MOST_THREADS
from core.frames import Array, Recording
from core.knobs import KnobError, Knobs, clip
from core.lesson import AnyLesson
from core.narrator import marks
from core.panels import Grow, Switch
from core.runs import packing
from core.runs.packing import MOST_MANIFEST, Damaged, Foreign, plain_facts, record, seal, unseal
from core.runs.run import Manifest, Run, State
from core.runs.store import Store

SUFFIX = "glab"
MOST_BYTES = 16 * 2**20  # of the file; server.maxUploadSize in .streamlit/config.toml is as much
MOST_UNPACKED = 16 * 2**20  # bytes, as they lie in the file and as the player is sent them, four for a number
MOST_FRAMES = 10_000
MOST_ARRAYS = 10_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)  # no run is older
MOST_SAID = 160  # characters of what is wrong with the bytes

FRAMES = "frames.npz"
SEAL = re.compile(rb'\n  "sha256": "[0-9a-f]{64}"\n\}\n')
MEMBER = b"PK\1\2"  # begins each entry of an archive's list of contents
NAME = re.compile(r"[A-Za-z]\w{0,59}", re.ASCII)  # of a curve or picture
AXES = {"x": 1, "y": 1, "z": 2}  # what draws numbers, and the axes that these have

AT_THE_SOURCE = "export it again where it was trained"

_one_at_a_time = threading.Lock()  # so that a class that imports together takes the memory of one import


class BundleError(ValueError):
    """A run that cannot be taken out or in. Its message is one sentence for the reader."""


class Trained(BaseModel):
    """What a bundle is believed: when, on what and for how long its run was trained."""

    created: AwareDatetime
    wall_seconds: float = Field(ge=0, le=10**7, allow_inf_nan=False)
    device: str = Field(min_length=1, max_length=80)
    threads: int = Field(ge=1, le=MOST_THREADS)
    versions: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=80)]] = Field(max_length=20)


# ---- out -----------------------------------------------------------------------------------------------------------


def export(run: Run) -> bytes:
    """A stored run as one file. `BundleError` where it is not stored, or too large to be imported anywhere."""
    if run.manifest is None:
        raise BundleError("This run is not stored, and only a stored run can go to another server; press Run first.")
    if objection := _too_large(run.recording):
        raise BundleError(f"This run cannot go to another server: {objection}; export one with fewer frames.")
    frames = packing.pack(run.recording.arrays())
    data = seal(run.manifest.model_copy(update={"files": {FRAMES: record(frames)}})) + frames
    if len(data) > MOST_BYTES:
        raise BundleError(f"This run cannot go to another server: {_too_long(len(data))}; export one with less in it.")
    return data


def name_of(run: Run) -> str:
    """What the file of a run is called."""
    return f"{run.lesson.slug}-{run.key[:8]}.{SUFFIX}"


# ---- in ------------------------------------------------------------------------------------------------------------


def bring_in(data: bytes, store: Store) -> tuple[Run, bool]:
    """Store the run in a bundle, marked as imported, unless the store has a run of that key: ours stays.

    Returns:
        The run that the store has now, and whether it is the bundle's.

    Raises:
        BundleError: the bundle is not one that can be used here.
        StoreError: the disk did not take it.
    """
    with _one_at_a_time:
        run, trained = read(data, store.lessons)
        here = store.find(run.lesson, run.knobs)
        if here is not None:
            return here, False
        needed = run.lesson.dataset(run.knobs)
        stored = store.commit(run, threads=trained.threads, versions=trained.versions, data=needed, imported=True)
        return stored, stored is run


def read(data: bytes, lessons: Mapping[str, AnyLesson]) -> tuple[Run, Trained]:
    """The run in a bundle, checked and not stored yet, and where it was trained; `BundleError` on anything else."""
    if len(data) > MOST_BYTES:
        raise BundleError(f"This file cannot be imported: {_too_long(len(data))}.")
    sealed = SEAL.search(data, 0, MOST_MANIFEST)
    if sealed is None:
        raise BundleError(
            "This file is no run of Gradient Lab, which begins with its manifest; take one from “Take it home” on a "
            "lesson page or from python -m core export."
        )
    frames = data[sealed.end() :]
    try:
        manifest = unseal(data[: sealed.end()])
        lesson, knobs = _knobs(manifest, lessons)
        trained = _trained(manifest)
        if manifest.files != {FRAMES: record(frames)}:
            raise Damaged("its frames are not those that its manifest vouches for")
        recording = _recording(frames)
    except (Damaged, Foreign) as error:
        raise BundleError(f"This file cannot be imported: {clip(str(error), MOST_SAID)}; {AT_THE_SOURCE}.") from error
    if objection := _too_large(recording) or _misfit(lesson, knobs, recording):
        raise BundleError(f"This file cannot be imported: {clip(objection, MOST_SAID)}; {AT_THE_SOURCE}.")
    return Run(
        lesson,
        knobs,
        lesson.key(knobs),
        device=trained.device,
        recording=recording,
        state=State.DONE,
        created=trained.created,
        wall_seconds=trained.wall_seconds,
    ), trained


def _knobs(manifest: Manifest, lessons: Mapping[str, AnyLesson]) -> tuple[AnyLesson, Knobs]:
    """The lesson and the knobs that a manifest names, as they are here."""
    slug, made = clip(manifest.slug), manifest.revision
    if manifest.slug not in lessons:
        raise BundleError(f"This run is of the lesson {slug}, which is not here; update this server and import again.")
    lesson = lessons[manifest.slug]
    if made != lesson.revision:
        raise BundleError(
            f"This run was made by revision {clip(str(made), 20)} of {slug}, which has {lesson.revision} here; "
            "update the older server and train the run again."
        )
    try:
        knobs: Knobs = lesson.parse(manifest.knobs)
    except KnobError as error:
        raise BundleError(f"This run has knobs that cannot be here: {error}") from error
    if manifest.key != lesson.key(knobs):
        raise Damaged(f"it calls itself {clip(manifest.key, 40)}, but a run with its knobs is {lesson.key(knobs)}")
    return lesson, knobs


def _trained(manifest: Manifest) -> Trained:
    try:
        said = manifest.model_dump(include=set(Trained.model_fields))
        trained = Trained.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, value = ".".join(map(str, first["loc"])), clip(str(first["input"]))
        raise BundleError(
            f"This file cannot be imported: {clip(name)} = {value} is not possible ({first['msg'].lower()}); "
            f"{AT_THE_SOURCE}."
        ) from error
    if objection := _misdated(trained.created, datetime.now(UTC)):
        raise BundleError(f"This file cannot be imported: {objection}.")
    versions = {clip(package): clip(version, 80) for package, version in trained.versions.items()}
    return trained.model_copy(update={"device": clip(trained.device, 80), "versions": versions})


def _recording(frames: bytes) -> Recording:
    # Before `zipfile` makes an object of each entry: a million of them fit into a few megabytes.
    if (arrays := frames.count(MEMBER)) > MOST_ARRAYS:
        raise Damaged(f"it lists {arrays} arrays, more than {MOST_ARRAYS}")
    return packing.unpack(frames, MOST_UNPACKED)


# ---- what may be wrong: without a full stop, "" where nothing is ---------------------------------------------------


def _misdated(created: datetime, now: datetime) -> str:
    """Clocks may differ by a day; but a run from next year would head every list until then."""
    if now < FIRST:
        return (
            f"by the clock of this machine today is {now.date()}, before Gradient Lab was made; set this clock and "
            "import the file again"
        )
    if created < FIRST:
        return (
            f"it says that it was trained on {created.date()}, before Gradient Lab was made; set the clock of the "
            "machine that trained it, train it there again and export that run"
        )
    if created > now + timedelta(days=1):
        return (
            f"it says that it was trained on {created.date()}, and by the clock of this machine today is "
            f"{now.date()}; set the clock that is wrong. If it is this one, import the file again; if it is that of "
            "the machine that trained it, train it there again and export that run"
        )
    return ""


def _too_long(size: int) -> str:
    return f"it has {size / 2**20:.1f} MB, more than the {MOST_BYTES / 2**20:.0f} MB that may be imported"


def _too_large(recording: Recording) -> str:
    arrays = recording.arrays().values()
    size = sum(max(array.nbytes, 4 * array.size) for array in arrays)
    if size > MOST_UNPACKED:
        return f"its frames take {size / 2**20:.1f} MB, more than the {MOST_UNPACKED / 2**20:.0f} MB that may be"
    if not 1 <= len(recording) <= MOST_FRAMES:
        return f"it has {len(recording)} frames, and 1 … {MOST_FRAMES} may be"
    return ""


def _misfit(lesson: AnyLesson, knobs: Knobs, recording: Recording) -> str:
    """Why this is no recording of that lesson with these knobs, as far as that can be told without training it."""
    if not np.isfinite(recording.steps()).all():
        return "it has a step that is no number"
    if not math.isclose(recording.progress, 1.0):
        return f"its run had not ended ({recording.progress:.0%} done)"
    try:
        return next(_misfits(lesson, knobs, recording), "")
    except Exception as error:  # the lesson's own code is at work on what somebody made
        return f"{lesson.title} cannot read its frames ({type(error).__name__}: {error})".replace("\n", " ")


def _misfits(lesson: AnyLesson, knobs: Knobs, recording: Recording) -> Iterator[str]:
    """What is odd, one after the other. Raises whatever the lesson raises on frames that are not its own."""
    for name in (*recording.curves, *recording.pictures):
        if not NAME.fullmatch(name):
            yield f"{name} is no name of a curve or picture"
    for name in recording.curves:
        if not 1 <= recording.curve(name)[1].ndim <= 3 or not recording.curve(name)[1].size:
            yield f"curve {name} has neither one number, nor one for each series, nor one for each series and seed"
    for name in recording.pictures:
        if not all(_is_plain(picture) for _, picture in recording.picture_changes(name)):
            yield f"picture {name} is no plain array"
    columns, series = recording.curve(lesson.watched)[1].shape[1:2], len(lesson.series(knobs))
    if columns != (series,):
        yield f"curve {lesson.watched} has not the {series} series that these knobs give"
    for panel in lesson.panels(knobs):
        for trace in panel.traces:
            if isinstance(trace, Grow) and trace.curve not in recording.curves:
                yield f"curve {trace.curve} is missing"
            if isinstance(trace, Switch):
                for attribute in trace.pictures:
                    table = lesson.tables.get(trace.name(attribute))
                    if table is not None and table.added and table.name not in recording.pictures:
                        continue
                    if not _shows(trace, attribute, recording):
                        yield f"picture {trace.name(attribute)} is missing, or has another shape than is drawn"
        panel.figure(recording)
    result = lesson.result(knobs, recording)
    json.dumps(plain_facts(result.values), allow_nan=False)
    json.dumps([claim.plain() for claim in result.claims], default=np.generic.item, allow_nan=False)
    _ = result.outcome
    lesson.diverged(knobs, recording)
    marks(recording, lesson.watches(knobs), lesson.axis, len(recording))


def _is_plain(picture: Array) -> bool:
    """Numbers, or words that can be written; where empty, of one axis, since the lengths of others cost nothing."""
    if picture.dtype.kind == "U":
        "".join(picture.ravel().tolist()).encode()  # or it raises
    return picture.dtype.kind in "biufU" and bool(picture.size or picture.ndim == 1)


def _shows(trace: Switch, attribute: str, recording: Recording) -> bool:
    pictures: list[Any] = recording.picture_changes(trace.name(attribute))
    parts = [trace.part(attribute, picture) for _, picture in pictures]
    axes = AXES.get(attribute)
    return bool(parts) and all(axes is None or (part.ndim == axes and part.dtype.kind in "biuf") for part in parts)
