"""The runner: one background thread that trains what was asked for, one run at a time.

Whoever asks for knobs whose run is stored gets it at once; whoever asks for what is training already joins it. All
others stand in line, and askers take turns. A run is said to be done only when it is safe on disk.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import torch

from core import data, resources
from core.cost import (
    MOST_GPU_SECONDS,
    MOST_SECONDS,
    MOST_STUDENT_SECONDS,
    Calibration,
    CostError,
    check,
    limit,
    spell_seconds,
)
from core.device import DeviceError
from core.knobs import Knobs, clip
from core.lesson import AnyLesson
from core.runs.engines import Engine, EngineError, Machine, Stopped
from core.runs.run import Run, State
from core.runs.store import Store, StoreError

MOST_WAITING = 100  # runs in line
SHARE = 6  # runs in line of one asker
MOST_RECENT = 50  # ended runs kept in memory
MOST_ASKERS = 1000  # of whom we know when it was last their turn
IDLE = 0.5  # seconds between two looks at the engine while nothing is to be done
FAREWELL = 5.0  # seconds a run may take to stop when the runner closes

log = logging.getLogger(__name__)


class QueueFull(RuntimeError):
    """No room in the line. Its message is one sentence for the reader."""


@dataclass(eq=False)
class Job:
    """A run that waits or trains.

    Attributes:
        run: what the pages see of it.
        device: where it will train.
        seconds: how long it will take, estimated.
        fresh: whether it replaces a stored run of the same key.
        asker: in whose turn it trains; "" while it waits.
        stop: set once to end it.
        why: the sentence for those who still wanted it.
    """

    run: Run
    device: torch.device
    seconds: float
    fresh: bool
    asker: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    why: str = ""


class Line:
    """Who trains next. Askers take turns, first the one whose last turn is longest ago; each keeps their own order.

    What several wait for trains in the turn of the first of them, whoever asked first: nobody stands behind another's
    other runs for having joined one. Not safe to use from several threads.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, list[Job]] = {}  # asker → what they wait for, as they asked; who came first, first
        self._turns: OrderedDict[str, int] = OrderedDict()  # asker → number of its last turn, in that order
        self._taken = 0
        self._to_come: list[tuple[str, Job]] | None = []  # None: to be made out anew

    def __len__(self) -> int:
        return len(self._coming())

    def join(self, job: Job, asker: str) -> None:
        """Wait for a job, which stands in line from now on if it did not. Twice does no harm."""
        wanted = self._wanted.setdefault(asker, [])
        if job not in wanted:
            wanted.append(job)
            self._to_come = None

    def leave(self, job: Job, asker: str) -> None:
        """Wait for it no more; a job for which nobody waits stands in line no more."""
        wanted = self._wanted.get(asker, [])
        if job in wanted:
            wanted.remove(job)
            self._to_come = None
        if not wanted:
            self._wanted.pop(asker, None)

    def remove(self, job: Job) -> None:
        """Let nobody wait for it."""
        for asker in list(self._wanted):
            self.leave(job, asker)

    def wanted(self, asker: str) -> Sequence[Job]:
        """What somebody waits for, as they asked for it."""
        return self._wanted.get(asker, [])

    def take(self) -> Job | None:
        """The next, who leaves the line and knows in whose turn; None where nobody waits."""
        asker, job = next(iter(self._coming()), ("", None))
        if job is not None:
            job.asker = asker
            self.remove(job)
            self._taken += 1
            self._turns[asker] = self._taken
            self._turns.move_to_end(asker)
            if len(self._turns) > MOST_ASKERS:
                self._turns.popitem(last=False)
        return job

    def order(self) -> Sequence[Job]:
        """All who wait, in the order in which they will train if nobody joins or leaves."""
        return [job for _, job in self._coming()]

    def _coming(self) -> Sequence[tuple[str, Job]]:
        """The turns to come, and what trains in each. Kept, since every page asks again and again."""
        if self._to_come is None:
            turns = [(self._turns.get(asker, -1), came, asker) for came, asker in enumerate(self._wanted)]
            heapify(turns)
            left = {asker: iter(jobs) for asker, jobs in self._wanted.items()}
            placed: dict[Job, str] = {}
            while turns:
                _, _, asker = heappop(turns)
                job = next((job for job in left[asker] if job not in placed), None)
                if job is not None:
                    placed[job] = asker
                    heappush(turns, (self._taken + len(placed), 0, asker))
            self._to_come = [(asker, job) for job, asker in placed.items()]
        return self._to_come


class Runner:
    """Trains runs in a background thread, and knows all that are of interest. Safe to use from many threads.

    Args:
        store: where runs come from and go to.
        engine: what trains; the runner closes it.
        lessons: slug → lesson, as the engine knows them.

    Attributes:
        changed: a condition whose waiters wake at each frame and whenever a run changes its state.
        paused: whether no new runs are taken from students; what is in line is still worked off.
    """

    def __init__(self, store: Store, engine: Engine, lessons: Mapping[str, AnyLesson]) -> None:
        self.store, self.engine, self.lessons = store, engine, lessons
        self.paused = False
        self.changed = threading.Condition()  # also guards all that follows, and what is written to runs
        self._line = Line()
        self._running: Job | None = None
        self._recent: OrderedDict[str, Run] = OrderedDict()  # the newest at the end
        self._closing = False
        self._complaint = ""
        self._thread = threading.Thread(target=self._work, name="runner", daemon=True)
        self._thread.start()

    # ---- asking ------------------------------------------------------------------------------------------------

    def submit(
        self,
        lesson: AnyLesson,
        knobs: Knobs,
        *,
        device: str = "auto",
        fresh: bool = False,
        asker: str = "",
        student: bool = False,
    ) -> Run:
        """The run of these knobs: stored, joined, or new and in line.

        Args:
            lesson: one of the runner's.
            knobs: of that lesson.
            device: "auto" or a device by name.
            fresh: train even if it is stored, and replace what is.
            asker: who wants it.
            student: whether a student asks, for whom all others wait: nothing long, and nothing new in a pause.

        Raises:
            CostError: it is too large.
            DataError: its data set is not here.
            DeviceError: there is no such device.
            QueueFull: too many wait already, or new runs are paused.
        """
        if self.lessons.get(lesson.slug) is not lesson:
            raise LookupError(f"{lesson.slug} is not the lesson of that name in the curriculum; train that one.")
        key = lesson.key(knobs)
        with self.changed:
            present = self._present(key, fresh, asker)
        if present is not None:
            return self._saved(present)
        if not fresh and (stored := self.store.find(lesson, knobs)) is not None:
            return stored
        where = self._pick(device)
        most = MOST_STUDENT_SECONDS if student else None
        seconds = self._check(lesson, knobs, where, most, idle=self._running is None)
        needed = lesson.dataset(knobs)
        if needed is not None:
            data.require(needed)
        run = Run(lesson, knobs, key, device=device, askers={asker})
        with self.changed:
            # Again: of a class that presses Run together, all but one find that another was quicker.
            if (present := self._present(key, fresh, asker)) is not None:
                return present
            self._make_sure_of_room(asker, student)
            self._line.join(Job(run, where, seconds, fresh), asker)
            self.changed.notify_all()
        return run

    def stop(self, run: Run, asker: str | None, why: str = "") -> bool:
        """Take back what `asker` asked for; None, the operator, takes back for all.

        Args:
            run: which.
            asker: who takes it back.
            why: one sentence for those who did not take it back themselves.

        Returns:
            Whether the run stops: the last who wanted it has taken it back, and it has not ended.
        """
        with self.changed:
            job = next((job for job in self._named(run.key) if job.run is run), None)
            if job is None:
                return False
            for each in tuple(run.askers) if asker is None else (asker,):
                run.askers.discard(each)
                self._line.leave(job, each)
            if run.askers:
                return False
            job.why = why
            job.stop.set()
            if job is not self._running:
                self._end(run, State.STOPPED, why)
            return True

    def clear(self, why: str = "") -> int:
        """Send away all who wait, with a sentence; what trains goes on. Returns how many runs that were."""
        with self.changed:
            waiting = self._line.order()
            for job in waiting:
                self.stop(job.run, None, why)
            return len(waiting)

    # ---- looking -----------------------------------------------------------------------------------------------

    def get(self, key: str) -> Run | None:
        """The run of that name: live, stored, or ended a while ago. Any text may be asked for."""
        with self.changed:
            live = self._named(key)
            run = live[-1].run if live else self._recent.get(key)
        if run is None or (run.state.final and run.state is not State.DONE):
            return self.store.get(key) or run  # an attempt that came to nothing hides no stored run
        self.store.used(run)
        return run

    def live(self) -> Sequence[Run]:
        """What trains and what waits, in order."""
        with self.changed:
            return [job.run for job in self._jobs()]

    def recent(self) -> Sequence[Run]:
        """What ended since the start, the newest first, as far as memory goes."""
        with self.changed:
            return list(reversed(self._recent.values()))

    def place(self, run: Run) -> int:
        """Its place in line: 1 is next, 0 trains or has ended."""
        if run.state is not State.QUEUED:
            return 0
        with self.changed:
            waiting = [job.run for job in self._line.order()]
            return waiting.index(run) + 1 if run in waiting else 0

    def seconds_left(self, run: Run) -> float | None:
        """How long it will still train, or, in line, how long until it starts; None where nobody can tell."""
        if run.state.final:
            return None
        with self.changed:
            ahead: float | None = 0.0
            for job in self._jobs():
                left = _seconds_left(job)
                if job.run is run:
                    return left if job is self._running else ahead
                ahead = None if ahead is None or left is None else ahead + left
            return None

    def estimate(self, lesson: AnyLesson, knobs: Knobs, device: str = "auto") -> float:
        """The seconds that a run with these knobs would train. Raises `DeviceError`."""
        return self._calibration(self._pick(device)).seconds(lesson.cost_of(knobs))

    @property
    def complaint(self) -> str:
        """Why the engine cannot get ready, in a sentence; "" where nothing is known of that."""
        return self._complaint

    @property
    def calibration(self) -> Calibration:
        """How quick this machine's best device is; a guess until the engine has measured it."""
        return self._calibration(self._pick("auto"))

    def wait(self, run: Run, timeout: float | None = None) -> bool:
        """Wait until the run has ended, `timeout` seconds at most. Whether it has."""
        with self.changed:
            return self.changed.wait_for(lambda: run.state.final, timeout)

    def close(self) -> None:
        """Stop everything, end the thread and the engine. Twice does no harm."""
        with self.changed:
            self._closing = True
            for job in self._jobs():
                job.stop.set()
                if job is not self._running:
                    self._line.remove(job)
                    self._end(job.run, State.STOPPED)
            self.changed.notify_all()
        self._thread.join(FAREWELL)
        self.engine.close()
        self._thread.join(FAREWELL)

    # ---- under the lock ----------------------------------------------------------------------------------------

    def _jobs(self) -> Sequence[Job]:
        """The job that trains, if one does, and those in line, in order."""
        return [*self._training(), *self._line.order()]

    def _training(self) -> Sequence[Job]:
        return [] if self._running is None else [self._running]

    def _named(self, key: str) -> Sequence[Job]:
        """The jobs of that name, the newest last: there are two if one is just being stopped."""
        return [job for job in self._jobs() if job.run.key == key]

    def _present(self, key: str, fresh: bool, asker: str) -> Run | None:
        """The run of that name that `asker` can have without another being trained."""
        for job in self._named(key):
            if not job.stop.is_set():
                job.run.askers.add(asker)
                job.fresh |= fresh
                if job is not self._running:
                    self._line.join(job, asker)
                return job.run
        run = self._recent.get(key)
        return run if run is not None and run.state is State.DONE and not fresh else None

    def _make_sure_of_room(self, asker: str, student: bool) -> None:
        if self.paused and student:
            raise QueueFull("The teacher has paused new runs; what is stored opens as before, so look at one of those.")
        own = self._line.wanted(asker)
        if self._closing:
            raise QueueFull("This server is closing and trains no more; open the page again in a moment.")
        if len(own) >= SHARE:
            raise QueueFull(
                f"You have {len(own)} runs in line, as many as one may have; the next starts in "
                f"{self._wait_for(own[0])}; wait for it or stop one."
            )
        if len(self._line) >= MOST_WAITING:
            raise QueueFull(
                f"{len(self._line)} runs are in line, as many as fit; they take {self._wait_for(None)}; look at a "
                "run that is stored, or try again later."
            )

    def _wait_for(self, last: Job | None) -> str:
        """How long until that job starts, spelled; None: until all have ended."""
        seconds = 0.0
        for job in self._jobs():
            if job is last:
                break
            seconds += _seconds_left(job) or 0.0
        return spell_seconds(seconds)

    def _end(self, run: Run, state: State, error: str = "", stored: Run | None = None) -> None:
        """Say how a run ended, and keep it; `stored` is what takes its place."""
        run.error, run.wall_seconds = error, run.seconds
        run.state = state  # last: whoever sees it, sees the rest
        kept = self._recent.get(run.key)
        if state is State.DONE or kept is None or kept.state is not State.DONE:
            self._recent[run.key] = stored or run
        self._recent.move_to_end(run.key)
        if len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)
        self.changed.notify_all()

    def _pick(self, name: str) -> torch.device:
        """The device of that name where training takes place, which may find another than this process would."""
        return self.engine.machine.found.pick(name)

    def _check(
        self, lesson: AnyLesson, knobs: Knobs, where: torch.device, most: float | None = None, idle: bool = True
    ) -> float:
        """The seconds that a run will take there; `CostError` where it takes too much."""
        recipe = where.type == "cuda" and lesson.preset_of(knobs) in lesson.for_gpu
        usual = MOST_GPU_SECONDS if recipe else MOST_SECONDS
        room = resources.memory() if where.type == "cpu" else None
        return check(lesson.cost_of(knobs), self._calibration(where), usual if most is None else most, room, idle)

    def _calibration(self, where: torch.device) -> Calibration:
        return self.engine.machine.calibrations.get(where.type, Calibration())

    # ---- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._warm()
        try:
            self.store.recover()
        except Exception:
            log.exception("What the last server left behind could not be looked at.")
        while (job := self._next()) is not None:
            self._train(job)

    def _next(self) -> Job | None:
        """Wait for a job; None: the runner closes."""
        while True:
            self._warm()
            with self.changed:
                if self._closing:
                    return None
                if (job := self._line.take()) is not None:
                    self._running, job.run.state = job, State.RUNNING
                    self.changed.notify_all()
                    return job
                self.changed.wait(IDLE)

    def _warm(self) -> None:
        try:
            self.engine.warm()
        except Exception as error:  # whoever presses Run will hear of it; the log does so once
            if str(error) != self._complaint:
                log.warning("%s", error)
            self._complaint = str(error)

    def _train(self, job: Job) -> None:
        """Train one run to whatever end it comes to. Never raises, or all others would wait for ever."""
        run, stored = job.run, job.run
        state, error = State.FAILED, ""
        trouble = "could not be trained"
        try:
            self._record(job)
            trouble = "was trained, but its facts and claims could not be made out"
            stored, error = self._commit(run, job.fresh)
            state = State.DONE
        except Stopped:
            state, error = State.STOPPED, job.why
        except EngineError as failure:
            error = str(failure)
            log.warning("Run %s: %s\n%s", run.key, failure, failure.details)
        except BaseException as failure:  # a lesson's code is at work in here, and might even exit
            said = clip(f"{type(failure).__name__}: {failure}", 160).rstrip(".")
            error = f"{run.lesson.title} {trouble} ({said}); turn a knob back, or press Run to try again."
            log.exception("Run %s %s.", run.key, trouble)
        self.store.end(run)
        with self.changed:
            self._running = None
            self._end(run, state, error, stored)

    def _record(self, job: Job) -> None:
        """Fill the run's recording."""
        run = job.run
        machine = self.engine.ready(job.stop)
        self._settle(job, machine)
        try:
            self.store.begin(run)
        except StoreError as error:
            log.warning("%s", error)
        with self.changed:
            run.device = machine.devices.get(job.device.type, str(job.device))
            run.started = time.monotonic()
        most = limit(job.seconds)
        with closing(self.engine.frames(run.lesson, run.knobs, job.device, job.stop, most)) as frames:
            for frame in frames:
                run.recording.append(frame)
                with self.changed:
                    self.changed.notify_all()
        run.wall_seconds = run.seconds

    def _settle(self, job: Job, machine: Machine) -> None:
        """Choose its device anew, since the engine may not have known any when it was asked for; look for memory."""
        run = job.run
        try:
            where = machine.found.pick(run.device)
            most = math.inf if where == job.device else None  # its time was looked at when it was asked for
            job.device, job.seconds = where, self._check(run.lesson, run.knobs, where, most)
        except (CostError, DeviceError) as error:
            raise EngineError(str(error)) from error

    def _commit(self, run: Run, fresh: bool) -> tuple[Run, str]:
        """Put a run on disk. Returns the run that lies there now, and the sentence if none does."""
        machine, needed = self.engine.machine, run.lesson.dataset(run.knobs)
        try:
            stored = self.store.commit(
                run,
                threads=machine.threads,
                versions=machine.versions,
                data=None if needed is None else data.label(needed),
                fresh=fresh,
            )
        except StoreError as error:
            log.warning("Run %s: %s", run.key, error)
            return run, str(error)
        return stored, ""

    def _saved(self, run: Run) -> Run:
        """The same run, once more put on disk if that failed before: there may be room now."""
        if run.state is State.DONE and run.manifest is None:
            stored, error = self._commit(run, fresh=False)
            with self.changed:
                run.error = error
                if self._recent.get(run.key) is run:
                    self._recent[run.key] = stored
        return run


def _seconds_left(job: Job) -> float | None:
    """From the estimate at first, then more and more from how far it has come."""
    run, done = job.run, job.run.recording.progress
    if job.stop.is_set():
        return 0.0
    if done <= 0.0:
        left = job.seconds - run.seconds
        return left if left > 0.0 else None
    trust = min(1.0, 4 * done)
    whole = (1.0 - trust) * job.seconds + trust * run.seconds / done
    return max(0.0, whole - run.seconds)
