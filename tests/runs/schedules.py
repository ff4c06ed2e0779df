"""A class on a virtual clock: students come, ask, join, leave and flood, and the real runner serves them.

The runner's thread is left out: what it does is done here, job by job, and the engine moves the clock instead of
training, with everything that happens meanwhile. So a schedule of an hour takes milliseconds, and comes out the same
each time.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from core.cost import Cost
from core.frames import Frame
from core.runs import run as run_module
from core.runs import runner as runner_module
from core.runs.engines import UNKNOWN, Frames, Stopped
from core.runs.run import Manifest, Run, State
from core.runs.runner import MOST_WAITING, SHARE, QueueFull, Runner
from tests.altered import altered
from tests.runs.lessons_to_run import CURRICULUM, RunKnobs

LOOKED_AT = 10  # places in line whose time is checked: the next ones
FLOODS = "flood"  # the student who asks for everything at once
KNOBS = {seed: RunKnobs(seed=seed) for seed in range(2000)}
LESSON = altered(CURRICULUM[0], cost_of=lambda knobs: Cost(0, 0, 2e5 * seconds_of(knobs), 0))  # calls: 2e5 a second


def seconds_of(knobs: RunKnobs) -> float:
    """How long it trains: the same for equal knobs, 1 to 30 s."""
    return 1.0 + knobs.seed * 7919 % 2900 / 100


@dataclass(order=True)
class Event:
    """At some moment a student asks for a run, or takes one back."""

    at: float
    who: str = field(compare=False)
    seed: int = field(compare=False)
    leaves: bool = field(compare=False, default=False)


class Memory:
    """A store without a disk."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    def find(self, lesson: Any, knobs: Any) -> Run | None:
        return self.runs.get(lesson.key(knobs))

    def get(self, key: str) -> Run | None:
        return self.runs.get(key)

    def commit(self, run: Run, **told: Any) -> Run:
        run.manifest = Manifest.model_construct(facts={}, claims=[])
        return self.runs.setdefault(run.key, run)

    def used(self, run: Run) -> None:
        pass

    begin = end = used

    def recover(self) -> list[Run]:
        return []


class Classroom:
    """One schedule, served. `wrong` gathers what should not be."""

    machine = UNKNOWN

    def __init__(self, events: list[Event]) -> None:
        self.now = 1000.0
        self.events = sorted(events)
        self.wrong: list[str] = []
        self.runner = Runner(Memory(), self, {LESSON.slug: LESSON})  # type: ignore[arg-type]
        self.runner._thread.join()
        self.wanted: dict[Run, set[str]] = {}
        self.begun: list[tuple[float, Run]] = []
        self.refused = 0
        self.behind: dict[str, Counter[str]] = {}  # who waits for anything → in whose turns others trained meanwhile
        self.foretold: dict[Run, float] = {}

    # ---- as an engine

    def warm(self) -> None:
        pass

    def ready(self, stop: Any) -> Any:
        return UNKNOWN

    def close(self) -> None:
        pass

    def frames(self, lesson: Any, knobs: RunKnobs, where: Any, stop: Any, limit: float) -> Frames:
        """Train: let the time go by, event by event."""
        job = self.runner._running
        assert job is not None
        self._begins(job.run, job.asker)
        start, whole = self.now, seconds_of(knobs)
        while self.events and self.events[0].at < start + whole:
            self.now = max(self.now, self.events[0].at)
            yield self._frame((self.now - start) / whole)
            self._happens(self.events.pop(0))
            if stop.is_set():
                raise Stopped
        self.now = start + whole
        yield self._frame(1.0)

    def _frame(self, progress: float) -> Frame:
        return Frame(self.now, {"loss": [0.0, 0.0]}, progress=progress)

    # ---- as the class

    def serve(self) -> "Classroom":
        """All of it, to the end."""
        with mock.patch.object(self.runner.changed, "wait", self._idles):
            while self.events or self.runner.live():
                if not self.runner.live():
                    self.now = max(self.now, self.events[0].at)
                    self._happens(self.events.pop(0))
                    continue
                job = self.runner._next()
                assert job is not None
                self.runner._train(job)
        for run, askers in self.wanted.items():
            if run.state is not (State.DONE if askers else State.STOPPED):
                self.wrong.append(f"{run.key[:6]} is {run.state} and {len(askers)} want it")
        trained = Counter(run.key for _, run in self.begun if run.state is State.DONE)
        self.wrong += [f"{key[:6]} was trained {times} times" for key, times in trained.items() if times > 1]
        return self

    def _idles(self, timeout: float) -> None:
        raise AssertionError("the worker is idle while a job waits")

    def _happens(self, event: Event) -> None:
        if event.leaves:
            self._leaves(event)
        else:
            self._asks(event)
        self._line_changed()

    def _asks(self, event: Event) -> None:
        line = self.runner._line
        full = len(line.wanted(event.who)) >= SHARE or len(line) >= MOST_WAITING
        known = self._stands_or_is_stored(event.seed)
        try:
            run = self.runner.submit(LESSON, KNOBS[event.seed], device="cpu", asker=event.who)
        except QueueFull as refusal:
            self.refused += 1
            if not full or known or not re.search(r"about \d+ |under 1 s", str(refusal)):
                self.wrong.append(f"{event.who} was refused: {refusal}")
            return
        if full and not known:
            self.wrong.append(f"{event.who} has more than a share")
        self.wanted.setdefault(run, set()).add(event.who)

    def _stands_or_is_stored(self, seed: int) -> bool:
        key = LESSON.key(KNOBS[seed])
        standing = any(job.run.key == key and not job.stop.is_set() for job in self.runner._jobs())
        return standing or self.runner.store.get(key) is not None

    def _leaves(self, event: Event) -> None:
        key = LESSON.key(KNOBS[event.seed])
        run = next((run for run in reversed(self.runner.live()) if run.key == key), None)
        if run is None:
            return
        askers = self.wanted[run]
        last = askers == {event.who} or (not askers)
        askers.discard(event.who)
        stopped = self.runner.stop(run, event.who)
        if stopped != (last and not askers):
            self.wrong.append(f"{event.who} left {run.key[:6]}: stopped is {stopped} with {len(askers)} who want it")

    def _line_changed(self) -> None:
        """Note who stands in line now, and when each run should start if nothing else happens."""
        line = self.runner._line.order()
        heads = {who for job in line for who in job.run.askers}
        running = self.runner._running
        self.behind = {who: trained for who, trained in self.behind.items() if who in heads}
        for who in heads - self.behind.keys():
            self.behind[who] = Counter({running.asker} - {who} if running is not None else ())
        self.foretold = {}
        for place, job in enumerate(line[:LOOKED_AT], start=1):
            left = self.runner.seconds_left(job.run)
            if self.runner.place(job.run) != place:
                self.wrong.append(f"place {self.runner.place(job.run)} is {place}")
            if left is not None:
                self.foretold[job.run] = self.now + left

    def _begins(self, run: Run, asker: str) -> None:
        self.begun.append((self.now, run))
        if asker not in run.askers:
            self.wrong.append(f"{run.key[:6]} trains in the turn of {asker}, who does not want it")
        for who, trained in self.behind.items():
            if who not in run.askers:
                trained[asker] += 1
                if trained[asker] > 1:
                    self.wrong.append(f"{who} waits for {trained[asker]} runs of {asker}")
        heads = {who for job in self.runner._line.order() for who in job.run.askers}
        for who in run.askers:
            self.behind.pop(who, None)
            if who in heads:
                self.behind[who] = Counter()
        said = self.foretold.pop(run, None)
        if said is not None and abs(said - self.now) > 1e-6:
            self.wrong.append(f"{run.key[:6]} was said to start at {said:.2f} and does at {self.now:.2f}")


@contextmanager
def virtual_time() -> Iterator[None]:
    """No thread of its own for a runner, and the clock of the classroom that is served."""
    clock = mock.Mock(monotonic=lambda: _served[-1].now if _served else 0.0)
    with (
        mock.patch.object(Runner, "_work", return_value=None),
        mock.patch.object(runner_module, "time", clock),
        mock.patch.object(run_module, "time", clock),
    ):
        yield


_served: list[Classroom] = []


def serve(events: list[Event]) -> Classroom:
    """Serve one schedule, within `virtual_time`."""
    room = Classroom(events)
    _served.append(room)
    try:
        return room.serve()
    finally:
        _served.pop()


def drawn(chance: random.Random) -> list[Event]:
    """A schedule: some students, now calm, now in a hurry, who share some runs and leave some; a third with a flood."""
    students = [f"s{k}" for k in range(chance.randint(1, 8))]
    kinds = chance.choice((3, 20, 200))  # few different runs: many are shared
    pace = chance.choice((0.5, 5.0, 30.0))
    now, events = 1000.0, []
    for _ in range(chance.randint(1, 25)):
        now += chance.expovariate(1 / pace) if chance.random() < 0.8 else 0.0
        who, seed = chance.choice(students), chance.randrange(kinds)
        events.append(Event(now, who, seed))
        if chance.random() < 0.25:
            events.append(Event(now + chance.expovariate(1 / 20), chance.choice([who, *students]), seed, leaves=True))
    if chance.random() < 0.33:
        start = chance.uniform(1000.0, now)
        events += [Event(start + 0.1 * k, FLOODS, 300 + k) for k in range(chance.randint(5, 40))]
    return events


def flood() -> list[Event]:
    """One who asks for 1,000 runs, again and again as there is room, and another who asks for one at a time."""
    events = [Event(1000.0 + 0.5 * k, FLOODS, 100 + k) for k in range(1000)]
    return events + [Event(1003.0 + 40 * k, "s1", k) for k in range(12)]


def trial(count: int, seed: int = 0) -> Mapping[str, Any]:
    """Serve `count` drawn schedules; what went wrong, and how much was tried."""
    wrong: list[str] = []
    runs = refused = shared = stopped = 0
    with virtual_time():
        for k in range(count):
            room = serve(drawn(random.Random(f"{seed}/{k}")))
            wrong += [f"schedule {k}: {sentence}" for sentence in room.wrong]
            runs += len(room.begun)
            refused += room.refused
            shared += sum(len(askers) > 1 for askers in room.wanted.values())
            stopped += sum(run.state is State.STOPPED for run in room.wanted)
    return {"wrong": wrong, "runs": runs, "refused": refused, "shared": shared, "stopped": stopped}
