"""What this server found on its machine, in a line; and what keeps it from training, with a hint for each thing.

    python -m core doctor          # for people; status 1 where a Run would be refused
    python -m core doctor --json   # the same as one JSON object

The server prints the line when it starts.
"""

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core import data, device, places, resources
from core.cost import Calibration, CostError, check
from core.device import DeviceError, Devices
from core.knobs import clip
from core.lessons import CURRICULUM
from core.library import VARIABLE as LESSONS_VARIABLE
from core.library import LessonError, own_folder
from core.places import PlaceError
from core.runs import engines
from core.runs.engines import EngineError
from core.runs.keeping import StoreError, quota, spell_size
from core.ui.addresses import ADDRESS_VARIABLE, AddressError, addresses
from core.ui.door import CLASS_VARIABLE, TEACHER_VARIABLE, CodeError, Codes
from core.ui.paths import base_path
from core.ui.proxies import PROXIES_VARIABLE, ProxyError, proxies

MIN_DISK = 64 * 2**20  # bytes: a run takes at most 16 MB, and is written beside the one that it replaces
PREFIX = "GRADIENT_LAB_"
VARIABLES: dict[str, Callable[[], object]] = {
    f"{PREFIX}CACHE": places.written,
    f"{PREFIX}QUOTA": quota,
    f"{PREFIX}THREADS": device.threads,
    f"{PREFIX}ENGINE": engines.chosen,
    LESSONS_VARIABLE: own_folder,
    f"{PREFIX}DATA": lambda: None,  # what is not there is told of each data set
    CLASS_VARIABLE: lambda: Codes.chosen(os.environ),
    TEACHER_VARIABLE: lambda: Codes.chosen(os.environ),
    ADDRESS_VARIABLE: lambda: served_at(),
    PROXIES_VARIABLE: lambda: proxies(os.environ.get(PROXIES_VARIABLE, "")),
}
"""Each of our variables, and what reads it; that raises where it cannot be used."""

UNUSABLE = (LessonError, PlaceError, StoreError, DeviceError, EngineError, CodeError, AddressError, ProxyError)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is: "device", "memory".
        found: what was found, in a few words.
        hints: a sentence for each thing that is missing: what, and what to do.
        refusals: a sentence for each reason for which a Run would be refused.
    """

    name: str
    found: str
    hints: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that was looked at."""

    checks: tuple[Check, ...]

    @property
    def refusals(self) -> list[str]:
        """A sentence for each reason for which a Run would be refused."""
        return [sentence for each in self.checks for sentence in each.refusals]

    @property
    def line(self) -> str:
        """What was found, in one line, and a second part for what is wrong."""
        found = " · ".join(each.found for each in self.checks if each.name != "settings")
        left_out = [hint for each in self.checks if each.name == "device" for hint in each.hints]
        return " ".join([f"Gradient Lab found: {found}.", *left_out, *self.refusals])

    @property
    def text(self) -> str:
        """All of it, for people."""
        lines = []
        for each in self.checks:
            lines.append(f"{each.name:10} {each.found.removeprefix(f'{each.name} ')}")
            lines += [f"{'':10} hint: {hint}" for hint in each.hints]
            lines += [f"{'':10} a Run is refused: {sentence}" for sentence in each.refusals]
        return "\n".join(lines)

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"ok": not self.refusals, "line": self.line, "checks": [asdict(each) for each in self.checks]}


def bad_settings() -> list[str]:
    """Return a sentence for each of our variables that cannot be used."""
    sentences = []
    for read in VARIABLES.values():
        try:
            read()
        except UNUSABLE as error:
            sentences.append(str(error))
    return list(dict.fromkeys(sentences))  # both codes are read together


def examine(found: Devices | None = None, where: str = "") -> Report:
    """Look at everything; a second or two, and more where a GPU has to be tried.

    Args:
        found: the devices of the training process, where there is one; else each is tried in this process.
        where: the address of the server that is running; else what the settings give.
    """
    return Report(
        (
            _device(device.working() if found is None else found),
            _cores(),
            _memory(),
            _data_sets(),
            _cache(),
            Check("address", where or _address()),
            _settings(),
        )
    )


def _device(found: Devices) -> Check:
    hints = found.sentences
    if "mps" in found.names:
        hints.append("mps is left out of auto: it has no float64, which most lessons need; --device mps asks for it.")
    return Check("device", found.names[found.pick("auto").type], tuple(hints))


def _cores() -> Check:
    count = resources.cores()
    try:
        threads = f"{device.threads()} for training"
    except DeviceError:
        threads = "none can be given to training"
    return Check("cores", f"{count} core{'s' if count > 1 else ''}, {threads}")


def _memory() -> Check:
    """The memory there is, and which lessons do not fit into it as they open."""
    room = resources.memory()
    refused: dict[str, str] = {}
    for lesson in CURRICULUM:
        try:
            check(lesson.cost_of(next(iter(lesson.presets.values()))), Calibration(), float("inf"), room)
        except CostError as error:
            refused[lesson.slug] = str(error)
        except PlaceError:  # told of the settings; a data set that may lie in the cache has no known size then
            pass
    found = "memory unknown" if room is None else f"{spell_size(room.free)} of {spell_size(room.total)} memory free"
    return Check("memory", found, refusals=tuple(f"{slug}: {why}" for slug, why in refused.items()))


def _data_sets() -> Check:
    """The data sets that are here, and how to bring the others. None has to be: every lesson runs on digits too."""
    try:
        found = data.statuses()
    except PlaceError:  # told of the settings
        return Check("data sets", "data sets unknown")
    here, missing = ([each for each in found if each.found is there] for there in (True, False))
    names = ", ".join(each.name for each in here)
    lacking = f" (not {', '.join(each.name for each in missing)})" if missing else ""
    return Check("data sets", f"data sets {names}{lacking}", tuple(each.sentence for each in missing))


def _cache() -> Check:
    try:
        folder = places.written()
    except PlaceError:  # told of the settings
        return Check("cache", "no cache")
    room = resources.disk(folder)
    free = "" if room is None else f", {spell_size(room.free)} free"
    return Check("cache", f"cache {folder}{free}", refusals=tuple(_cache_refusals(folder, room)))


def _cache_refusals(folder: Path, room: resources.Amount | None) -> Iterator[str]:
    another = "set GRADIENT_LAB_CACHE to a folder that can be written"
    there = next(each for each in (folder, *folder.parents) if each.exists() or each == each.parent)
    try:
        with tempfile.TemporaryFile(dir=there) as file:  # nothing of it is left
            file.write(b"x")
    except NotADirectoryError:
        yield f"{there} is not a folder, so no run can be stored in {folder}; {another}."
    except OSError as error:
        yield f"No run can be stored in {folder} ({error.strerror}); {another}."
    else:
        if room is not None and room.free < MIN_DISK:
            yield f"{spell_size(room.free)} are free for runs in {folder}; free some space, or {another}."


def served_at() -> str:
    """The address that the settings of the environment give the server. Raises `AddressError`."""
    names = ("ADDRESS", "PORT", "SSL_CERT_FILE", "BASE_URL_PATH")
    bound, port, certificate, path = (os.environ.get(f"STREAMLIT_SERVER_{name}", "") for name in names)
    return addresses(
        bound or "127.0.0.1",
        int(port) if port.isdecimal() else 8501,
        bool(certificate),
        base_path(path),
        os.environ.get(ADDRESS_VARIABLE, ""),
    )[0]


def _address() -> str:
    try:
        return served_at()
    except AddressError:  # told of the settings
        return "no address"


def _settings() -> Check:
    """What of our variables is set; which cannot be used, and which are none of ours."""
    given = sorted(name for name in os.environ if name.startswith(PREFIX))
    known = [name for name in given if name in VARIABLES]
    hints = []
    for name in given:
        if name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, 1)
            hints.append(
                f"{clip(name)} is no setting of Gradient Lab; "
                + (f"did you mean {near[0]}?" if near else f"choose from {', '.join(VARIABLES)}.")
            )
    return Check("settings", ", ".join(known) or "no settings", tuple(hints), tuple(bad_settings()))
