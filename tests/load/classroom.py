"""A class at work on a real server that trains: what its pages and the player's questions take, and what goes wrong.

`test_load.py` runs a little of each trial, `tests/reliability/load.py` all of it.
"""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from core.cost import Calibration
from core.knobs import KnobError, Knobs, spell
from core.lesson import AnyLesson
from core.lessons import CURRICULUM, LESSONS
from core.places import GALLERY, ROOT
from core.runs.store import Store
from core.ui.state import knobs_in_link, link_to
from tests.load.visitor import FINAL, HOST, Failed, Visitor

POLL_LIVE, POLL_IDLE, POLL_QUEUED = 0.2, 0.6, 1.0  # seconds, as the player's (core/ui/player/player.js)
THINK = (2.0, 10.0)  # seconds between two things that a student does
SMALL = 0.15  # seconds of training after which a student's knobs are too large for a class of a hundred
POOL = 3  # seeds that a class shares: half of its runs are equal to somebody's
AT_ONCE = 10  # who come and go
LONG_EVERY = 25  # of so many students one trains runs of some seconds, one after the other


@dataclass
class Server:
    """The app in a process of its own, training in another one."""

    process: subprocess.Popen[bytes]
    port: int
    cache: Path

    def figure(self, name: str) -> int:
        """A number of /proc/PID/status: VmRSS in kB, Threads."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")))

    @property
    def said(self) -> str:
        """The end of its log."""
        return (self.cache.parent / "log").read_text()[-4000:]

    @property
    def megabytes(self) -> float:
        """Memory that it holds."""
        return self.figure("VmRSS") / 1024

    @property
    def threads(self) -> int:
        """Threads that it has."""
        return self.figure("Threads")

    @property
    def children(self) -> set[int]:
        """Its processes, those that train among them."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    found.add(int(stat.parent.name))
        return found

    @property
    def cpu_seconds(self) -> float:
        """What it has used of the cores so far, without the training."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path, warm: bool = True) -> Iterator[Server]:
    """The app on a free port of the loopback, with a cache in `folder`; `warm`: once each lesson has been used."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "", "GRADIENT_LAB_CACHE": str(folder / "cache")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--server.port", str(port)], cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        server = Server(process, port, folder / "cache")
        _wait_for_health(server)
        if warm:
            asyncio.run(_warm_up(server))
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_health(server: Server) -> None:
    deadline = time.monotonic() + 120.0
    while server.process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{server.port}/_stcore/health", timeout=2):
            return
        time.sleep(0.1)
    raise TimeoutError(f"the server did not come up (exit status {server.process.poll()})")


async def _warm_up(server: Server) -> None:
    """One student in each lesson runs something, so that what a server makes at first is there."""
    tally = Tally()
    for number in range(1, 1 + len(CURRICULUM)):
        student = Student(server, number, tally)
        async with student.visitor:
            await student.visitor.open(files=True)
            await student.runs()
            await student.until_the_end()


# --- what a class does -----------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of a class.

    Attributes:
        scripts: seconds of each run of a page's script, from the request to its last word.
        refreshes: seconds of each question of a player.
        opened: seconds until each page was there, its run included.
        failed: what went wrong, a sentence for each session that it ended.
        sent_away: how often Run was answered with a sentence, as of a full line.
        done: keys of the runs that some student saw as done.
        presses: how often Run was pressed.
    """

    scripts: list[float] = field(default_factory=list)
    refreshes: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    sent_away: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    presses: int = 0

    def take(self, visitor: Visitor) -> None:
        """Add what a visitor has measured."""
        self.scripts += visitor.script_seconds
        self.refreshes += visitor.refresh_seconds


@cache
def turns(slug: str) -> Sequence[tuple[str, str]]:
    """What a student may turn in the small experiment of a lesson: a slider's key, and one of its stops as it reads."""
    lesson = LESSONS[slug]
    knobs = small(lesson)
    found = []
    for knob in knobs.declared():
        for stop in knob.stops if knob.kind in ("int", "float") else ():
            with suppress(KnobError):  # some stops do not go together
                turned = lesson.parse({**knobs.model_dump(), knob.name: stop})
                if Calibration().seconds(lesson.cost_of(turned)) < SMALL:
                    found.append((f"{slug}/{knob.name}", spell(stop)))
    return found


def small(lesson: AnyLesson) -> Knobs:
    """A lesson's experiment, small enough for a class of a hundred on two cores."""
    knobs: Knobs = lesson.small(next(iter(lesson.presets.values())))
    return knobs


class Student:
    """Opens a lesson, turns knobs, presses Run, watches, opens a stored run; each after some thought.

    Args:
        server: whom to visit.
        number: decides the lesson and all that chance decides; every `LONG_EVERY`-th trains runs of seconds.
        tally: where it is noted.
        think: seconds between two things that it does, the least and the most.
    """

    def __init__(self, server: Server, number: int, tally: Tally, think: tuple[float, float] = THINK) -> None:
        self.thought = think
        self.chance = random.Random(number)
        self.long = number % LONG_EVERY == 0
        self.lesson = LESSONS["dying-relu"] if self.long else CURRICULUM[number % len(CURRICULUM)]
        self.knobs = next(iter(self.lesson.presets.values())) if self.long else small(self.lesson)
        self.number, self.tally = number, tally
        self.visitor = Visitor(server.port, self.lesson.slug, knobs_in_link(self.lesson, self.knobs))
        self.run, self.state, self.frames = "", "", 0

    async def attend(self, until: float) -> None:
        """Work until that moment of the event loop's clock. Notes what went wrong instead of raising it."""
        try:
            async with self.visitor:
                self.tally.opened.append(await self.visitor.open())
                while await self.think(until):
                    await self.act()
        except Failed as error:
            self.tally.failed.append(f"student {self.number}: {error}")
        finally:
            self.tally.take(self.visitor)

    async def act(self) -> None:
        """One thing that a student does."""
        if self.long:
            await self.until_the_end()
            await self.runs()
            return
        often = 5 if turns(self.lesson.slug) else 0
        (act,) = self.chance.choices((self.turns, self.runs, self.opens_a_stored_run), (often, 3, 2))
        await act()

    async def think(self, until: float) -> bool:
        """Sit before the page; the player asks on if something trains. Whether there is time to do more.

        When the lesson is over nobody does: a hundred who act at that same moment are no class at work.
        """
        now = asyncio.get_running_loop().time
        then = min(until, now() + (0.0 if self.long else self.chance.uniform(*self.thought)))
        while (left := then - now()) > 0:
            if self.over:
                await asyncio.sleep(left)
            else:
                await self.watch()
        return now() < until

    @property
    def over(self) -> bool:
        """Whether the run on the screen changes no more."""
        return self.state in {"", *FINAL}

    async def watch(self) -> None:
        """One question of the player, after its pause; at the run's end the page is told, and looks again."""
        source = self.visitor.shown and self.visitor.shown["source"]
        await asyncio.sleep(POLL_QUEUED if self.state == "queued" else POLL_LIVE)
        self.state, frames = await self.visitor.refresh(str(source), self.frames)
        if self.state != "queued" and frames == self.frames:
            await asyncio.sleep(POLL_IDLE - POLL_LIVE)
        self.frames = frames
        if self.over:
            self._note()
            await self.visitor.finished(self.lesson.slug)

    async def until_the_end(self) -> None:
        """Watch what trains."""
        while not self.over:
            await self.watch()

    async def turns(self) -> None:
        """Put one slider elsewhere and look at the nearest run."""
        key, stop = self.chance.choice(turns(self.lesson.slug))
        await self.visitor.slide(key, stop)
        await self._see()

    async def runs(self) -> None:
        """Choose a seed, in half of the cases one that others choose too, and press Run."""
        await self.until_the_end()
        seed = f"{self.lesson.slug}/seed"
        if seed in self.visitor.widgets:
            own = 1000 + self.number * 10_000 + self.tally.presses
            shared = not self.long and self.chance.random() < 0.5
            await self.visitor.turn(seed, self.chance.randrange(POOL) if shared else own)
            await self._see()
        await self.until_the_end()
        await self.visitor.press("run")
        self.tally.presses += 1
        self.tally.sent_away += self.visitor.errors
        await self._see()

    async def opens_a_stored_run(self) -> None:
        """Follow a link to a run of the gallery, and later the one back."""
        preset = self.chance.choice(list(self.lesson.presets.values()))
        await self.visitor.follow(link_to(self.lesson, preset, self.lesson.key(preset)))
        await self._see()
        await asyncio.sleep(self.chance.uniform(*self.thought) / 2)
        await self.visitor.follow(knobs_in_link(self.lesson, self.knobs))
        await self._see()

    async def _see(self) -> None:
        """Let the player ask for the run that stands on the page now, unless it is there already."""
        shown = self.visitor.shown
        key = shown["run"] if shown else ""
        if key == self.run and self.over == (not shown or shown["state"] in FINAL):
            return
        self.run, self.frames = key, 0
        self.state = await self.visitor.look()
        self._note()

    def _note(self) -> None:
        if self.state == "done":
            self.tally.done.add(self.run)


def in_class(
    server: Server, sessions: int, seconds: float, arrive: float = 10.0, think: tuple[float, float] = THINK
) -> Tally:
    """So many students at work, who come in over the first `arrive` seconds."""
    tally = Tally()

    async def work() -> None:
        end = asyncio.get_running_loop().time() + seconds

        async def comes_in(number: int) -> None:
            await asyncio.sleep(number / sessions * min(arrive, seconds / 2))
            await Student(server, number, tally, think).attend(end)

        await asyncio.gather(*(comes_in(number) for number in range(sessions)))

    asyncio.run(work())
    return tally


def lost(server: Server, tally: Tally) -> list[str]:
    """What the disk does not hold of the runs that a student saw as done, and whatever lies there damaged."""
    store = Store(server.cache, [GALLERY], LESSONS)
    found = {key: store.get(key) for key in tally.done}
    missing = [f"{key} was done and is lost" for key, run in found.items() if run is None or run.manifest is None]
    return missing + list(store.verify(store.runs))


def burst(server: Server, opens: int, within: float) -> tuple[float, list[str]]:
    """So many new browsers open a lesson within some seconds: when the last page was there, and what went wrong."""
    failed: list[str] = []

    async def comes(number: int, begun: float) -> float:
        await asyncio.sleep(number / opens * within)
        lesson = CURRICULUM[number % len(CURRICULUM)]
        try:
            async with Visitor(server.port, lesson.slug, {}) as visitor:
                await visitor.open(files=True)
        except Failed as error:
            failed.append(f"visitor {number}: {error}")
        return time.perf_counter() - begun

    async def all_come() -> float:
        begun = time.perf_counter()
        return max(await asyncio.gather(*(comes(number, begun) for number in range(opens))))

    return asyncio.run(all_come()), failed


def come_and_go(server: Server, times: int) -> list[str]:
    """Connect, see a page, disconnect, again and again, some at once: what went wrong."""
    failed: list[str] = []

    async def lane(first: int) -> None:
        for number in range(first, times, AT_ONCE):
            try:
                async with Visitor(server.port, CURRICULUM[number % len(CURRICULUM)].slug, {}) as visitor:
                    await visitor.connect()
                    await visitor.run()
            except Failed as error:
                failed.append(f"visitor {number}: {error}")

    async def all_lanes() -> None:
        await asyncio.gather(*(lane(first) for first in range(AT_ONCE)))

    asyncio.run(all_lanes())
    return failed


def quantiles(seconds: Sequence[float]) -> str:
    """Median, 95th and 99th of a hundred, and the most, in milliseconds."""
    names = ("p50", "p95", "p99", "most")
    found = np.quantile(seconds, (0.5, 0.95, 0.99, 1.0)) if seconds else np.full(4, np.nan)
    return ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in zip(names, found, strict=True))
