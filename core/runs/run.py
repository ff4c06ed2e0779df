"""A run: knobs, what became of them so far, and where that comes from.

Every screen, replay, export and test reads a `Run` and cannot tell whether it is live, cached or from the gallery.
"""

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.claims import Claim
from core.facts import Values
from core.frames import Recording
from core.knobs import Knobs
from core.lesson import AnyLesson
from core.result import Result

RUN_ID = re.compile(r"[0-9a-f]{16,64}")
"""What a run's key looks like, whole; checked before any path is joined."""


class State(StrEnum):
    """What a run is doing. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self not in (State.QUEUED, State.RUNNING)


class FileRecord(BaseModel):
    """What a file of a stored run must be, byte for byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    size: int


class Manifest(BaseModel):
    """`run.json` of a stored run: what produced it, on what, and what came out.

    `imported`: it came as a file from another machine. Where and how long it trained is what that file says; its facts
    and claims were computed here, from its frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int = 1
    slug: str
    key: str
    revision: int
    knobs: dict[str, Any]
    created: datetime
    wall_seconds: float
    device: str
    threads: int
    versions: dict[str, str]
    data: str | None
    frames: int
    facts: dict[str, float | None]
    claims: list[dict[str, Any]]
    files: dict[str, FileRecord] = {}
    imported: bool = False


@dataclass(eq=False)
class Run:
    """One run. Only the runner and the store write it; everybody else reads.

    Attributes:
        lesson: whose run it is.
        knobs: what it was asked for.
        key: its name: the hash of lesson, revision and knobs.
        device: where it trains or trained, as asked ("auto") until it starts, then in words.
        recording: its frames so far.
        state: what it is doing.
        error: the sentence for the reader where `state` is failed or interrupted, else "".
        origin: "live" in this server's memory, "runs" from this server's disk, "gallery" shipped.
        started: `time.monotonic()` of the start of training, None before.
        wall_seconds: how long it trained, once it is final.
        manifest: present exactly when it lies on disk.
        askers: who pressed Run; training stops when the last of them stops it.
    """

    lesson: AnyLesson
    knobs: Knobs
    key: str
    device: str = "auto"
    recording: Recording = field(default_factory=Recording)
    state: State = State.QUEUED
    error: str = ""
    origin: str = "live"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float | None = None
    wall_seconds: float | None = None
    manifest: Manifest | None = None
    askers: set[str] = field(default_factory=set)

    @property
    def seconds(self) -> float:
        """How long it has trained, so far or in all."""
        if self.wall_seconds is not None:
            return self.wall_seconds
        return 0.0 if self.started is None else time.monotonic() - self.started

    @property
    def imported(self) -> bool:
        """Whether it came as a file from another machine."""
        return self.manifest is not None and self.manifest.imported

    @property
    def result(self) -> Result[Any]:
        """What its frames so far come to, computed here."""
        return self.lesson.result(self.knobs, self.recording)

    @property
    def facts(self) -> Values:
        """The named numbers of its result, stored or computed from the frames so far."""
        if self.manifest is not None:
            return self.manifest.facts
        if self.state is State.FAILED or not len(self.recording):
            return {}  # what failed may have been this very computation
        return self.result.values

    @property
    def claims(self) -> list[Claim]:
        """The lesson's claims, checked on its frames so far."""
        if self.manifest is not None:
            return [Claim.of(plain) for plain in self.manifest.claims]
        if self.state is State.FAILED or not len(self.recording):
            return []
        return list(self.result.claims)

    @property
    def outcome(self) -> str | None:
        """The sentence that answers what was asked before the run; None while it cannot."""
        return self.result.outcome if len(self.recording) and self.state is not State.FAILED else None
