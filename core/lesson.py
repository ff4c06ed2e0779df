"""The contract: what a lesson is.

A lesson turns knobs into a stream of frames and says how to show and to check them. It knows nothing of pages,
threads, files or queues. It is declared once, as an object with decorated functions::

    lesson = Lesson("ravine", RavineKnobs, axis="step", curves=[Curve("loss", "loss", log=True)])

    @lesson.experiment
    def train(knobs, device):
        ...
        yield Frame(step, {"loss": loss}, progress=step / knobs.steps)

Everything else may be added: `cost`, `charts`, `facts`, `claim`, `outcome`, `script_settings`; each decorator says what
its function gives. What others read is at the end of the class: `panels`, `watches`, `cost_of`, `result` ...
"""

import functools
import hashlib
import inspect
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch

from core import data, prose
from core.claim_rules import ENDED, ClaimRule
from core.claims import Claim, Needs
from core.cost import Calibration, Cost
from core.curves import Axes, Curve, Table
from core.facts import Fact, mean
from core.frames import Array, Frame, FrameError, Recording
from core.knobs import Knobs
from core.narrator import Watch
from core.panels import Grow, Panel, Still, Switch, lines
from core.prose import Prose
from core.result import Missing, Result

K = TypeVar("K", bound=Knobs)
Function = TypeVar("Function", bound=Callable[..., Any])

_READING = threading.Lock()


@functools.cache
def _source(part: Callable[..., Any]) -> str:
    """The code of a function or class. Cached: to find it, Python reads its whole file, and every page shows some.

    One at a time: two threads that parse at once break each other in Python 3.11 ("recursion depth mismatch").
    """
    with _READING:
        return inspect.getsource(part).rstrip()


class Lesson(Generic[K]):
    """One experiment.

    Args:
        slug: its name in links, folders and on the command line.
        knobs: the model that declares them.
        revision: raised whenever equal knobs would give other numbers; part of a run's key.
        axis: what a frame's step counts: "epoch".
        axis_title: the same on a chart; "epochs" where left out.
        length: the knob with the last step, which a chart's axis ends at; "" where there is none.
        series: knobs → names of what is trained side by side; one, with the name "all", where left out.
        curves: what its frames measure. The first one with the event `Diverges` tells that a network diverged.
        tables: what its frames show besides.
        presets: name → knobs that differ from their defaults; "Classroom" first.
        for_gpu: names of presets that take a GPU: on offer, but no part of the gallery, which is built without one.
        small: knobs that make any run small enough for a test; a number is an upper bound.
        repeats: what a curve repeats along its second axis: "seed" where each has a seed of its own, counted from the
            knob's; else the word for it, and all of them come of one seed.
    """

    def __init__(
        self,
        slug: str,
        knobs: type[K],
        *,
        revision: int = 1,
        axis: str = "step",
        axis_title: str = "",
        length: str = "",
        series: Callable[[K], Sequence[str]] = lambda knobs: ("all",),
        curves: Sequence[Curve] = (),
        tables: Sequence[Table] = (),
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        for_gpu: Sequence[str] = (),
        small: Mapping[str, Any] | None = None,
        repeats: str = "seed",
    ) -> None:
        self.slug, self.knobs, self.revision = slug, knobs, revision
        self.code_hash = ""  # of a lesson of one's own: part of the keys of its runs
        self.axis, self.axis_title, self.length = axis, axis_title or f"{axis}s", length
        self.series, self.repeats = series, repeats
        self.curves = {curve.name: curve for curve in curves}
        self.tables = {table.name: table for table in tables}
        self.presets: Mapping[str, K] = {
            name: knobs(**values) for name, values in (presets or {"Classroom": {}}).items()
        }
        self.for_gpu, self._small = for_gpu, small or {}
        self._train: Callable[[K, torch.device], Iterator[Frame]] | None = None
        self._cost: Callable[[K], Cost] | None = None
        self._charts: Callable[[K], Iterable[Panel]] | None = None
        self._facts: Callable[[Result[K]], Iterable[Fact]] | None = None
        self._outcome: Callable[[Result[K]], str | None] | None = None
        self._settings: Callable[[K], Mapping[str, Any]] = lambda knobs: knobs.model_dump()
        self._claims: list[ClaimRule[K]] = []
        self._code: list[Callable[..., Any]] = []

    # ---- what a lesson declares ------------------------------------------------------------------------------------

    def experiment(self, train: Function) -> Function:
        """Take the generator (knobs, device) → frames, the first one at once, then about ten a second at most."""
        self._train = train
        self._code.append(train)
        return train

    def shown(self, *parts: Callable[..., Any]) -> None:
        """Show these functions and classes under "The code", besides `train` and in this reading order."""
        self._code = list(parts)

    def cost(self, estimate: Function) -> Function:
        """Take the function knobs → `Cost`, the work of a run."""
        self._cost = estimate
        return estimate

    def charts(self, build: Function) -> Function:
        """Take the function knobs → panels, the headline chart first. Without it each curve has a line chart."""
        self._charts = build
        return build

    def facts(self, compute: Function) -> Function:
        """Take the function result → facts beyond the last values of the curves."""
        self._facts = compute
        return compute

    def outcome(self, tell: Function) -> Function:
        """Take the function result → a sentence that answers what was asked before the run, or None."""
        self._outcome = tell
        return tell

    def script_settings(self, settings: Function) -> Function:
        """Take the function knobs → what the stand-alone script is told, where that is not the knobs themselves."""
        self._settings = settings
        return settings

    def claim(
        self,
        sentence: str | Callable[[K], str],
        *,
        expected: str | Callable[[K], str],
        source: str,
        needs: Sequence[Needs] = (),
        notebook: str = "",
        literature: str = "",
        shown: Callable[[K], bool] = lambda knobs: True,
        early: bool = False,
    ) -> Callable[[Function], Function]:
        """Take the function result → `Check` that decides this claim.

        Args:
            sentence: what is claimed, without the number.
            expected: what an honest run meets; the same number as `check` tests.
            source: where `expected` comes from.
            needs: without which a run cannot decide it. That a run has ended is one of them unless `early`.
            notebook: what the course notebook reported, if anything.
            literature: what the literature reports, if anything.
            shown: knobs with which it stands on the page.
            early: whether it may be decided before the run has ended.
        """

        def register(check: Function) -> Function:
            every = needs if early else (ENDED, *needs)
            self._claims.append(ClaimRule(sentence, expected, source, check, every, notebook, literature, shown))
            return check

        return register

    def line_chart(
        self,
        knobs: K,
        curve: str,
        caption: str,
        *,
        name: str = "",
        extra: Sequence[Grow | Switch | Still] = (),
        range: Sequence[float] | None = None,
        **layout: Any,
    ) -> Panel:
        """Return the chart of a declared curve: a line for each series, its range over the repeats as a band.

        Args:
            knobs: of the run.
            curve: its name.
            caption: what is to be seen.
            name: title; the curve's label where left out.
            extra: traces behind the lines.
            range: ends of the vertical axis, on a logarithmic one as well.
            **layout: further Plotly layout or arguments of `panels.lines`.
        """
        declared = self.curves[curve]
        x: dict[str, Any] = {"range": [0, getattr(knobs, self.length)]} if self.length else {}
        y: dict[str, Any] = {"type": "log", "dtick": 1} if declared.log else {}
        if declared.format.endswith("%"):
            y["tickformat"] = ".0%"
        if range is not None:
            y["range"] = [float(np.log10(end)) for end in range] if declared.log else list(range)
        given: dict[str, Any] = {
            "x": self.axis_title,
            "y": declared.title,
            "band": getattr(knobs, "seeds", 1) > 1,
            **layout,
        }
        given["xaxis"], given["yaxis"] = x | given.get("xaxis", {}), y | given.get("yaxis", {})
        title = name or declared.label[:1].upper() + declared.label[1:]
        return lines(title, caption, curve, self.names_along(curve, knobs), extra=extra, **given)

    # ---- what it is ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def prose(self) -> Prose:
        """Its words, from the Markdown file beside its code; without one, what its slug and its docstring say."""
        module = sys.modules.get(self.knobs.__module__)
        file = Path(getattr(module, "__file__", None) or prose.FOLDER / "none.py")
        words = next((name for name in (self.slug, file.stem) if file.with_name(f"{name}.md").is_file()), "")
        if words or file.parent == prose.FOLDER:
            return prose.of(words or self.slug, file.parent)
        first = ((module and module.__doc__) or "").strip().split("\n")[0]
        title = self.slug.replace("-", " ").capitalize()
        return Prose(title, first or f"{title}?", f"{file.name}", "", (), "", ())

    @property
    def incomplete(self) -> str:
        """What it still lacks, as a sentence; "" where it can run."""
        if self._train is None:
            return f"the lesson {self.slug} has no experiment; decorate its generator with @lesson.experiment."
        if not self.curves:
            return f"the lesson {self.slug} measures nothing; give it curves=[Curve(name, label)]."
        return ""

    @property
    def title(self) -> str:
        """Its name in the curriculum, a few words."""
        return self.prose.title

    @property
    def question(self) -> str:
        """The one sentence that it answers."""
        return self.prose.question

    @property
    def origin(self) -> str:
        """Which notebook and which data it re-creates."""
        return self.prose.origin

    def source(self) -> str:
        """Return the code of the lesson, as it runs, for the reader."""
        return "\n\n".join(map(_source, self._code))

    # ---- knobs, keys and names -------------------------------------------------------------------------------------

    def parse(self, values: Mapping[str, Any]) -> K:
        """Knobs of this lesson from untrusted values, or a `KnobError` with one sentence."""
        return self.knobs.parse(values, self.presets)

    def asked(self, values: Mapping[str, Any]) -> K:
        """`parse` of what somebody chose: what a list names comes in one order, so that equal choices are equal runs.

        That is a preset's order where one names just these, else the order in which they are offered.
        """
        knobs = self.parse(values)
        presets = self.presets.values()
        changes = {}
        for each in knobs.declared():
            if each.kind == "list":
                items = getattr(knobs, each.name)
                usual = (getattr(preset, each.name) for preset in presets)
                changes[each.name] = next((had for had in usual if set(had) == set(items)), each.in_order(items))
        return knobs.model_copy(update=changes)

    def small(self, knobs: K) -> K:
        """Return the same knobs, small enough for a test."""
        changes = {}
        for name, value in self._small.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            changes[name] = min(value, getattr(knobs, name)) if number else value
        return knobs.model_copy(update=changes)

    @property
    def shipped(self) -> Mapping[str, K]:
        """The presets whose runs the gallery has."""
        return {name: knobs for name, knobs in self.presets.items() if name not in self.for_gpu}

    def key(self, knobs: K, revision: int | None = None) -> str:
        """The name of the run that these knobs give, at an earlier revision where one is given: 32 hex digits."""
        version = f"{self.revision if revision is None else revision}{self.code_hash and '-'}{self.code_hash}"
        text = f"{self.slug}\n{version}\n{knobs.canonical()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def preset_of(self, knobs: K) -> str | None:
        """The name of the preset with exactly these knobs, if there is one."""
        return next((name for name, preset in self.presets.items() if preset == knobs), None)

    def name_of(self, knobs: K) -> str:
        """What a run with these knobs is called: its preset, or what differs from the first one."""
        usual = next(iter(self.presets.values()))
        return self.preset_of(knobs) or knobs.difference(usual)

    def dataset(self, knobs: K) -> str | None:
        """Return the name of the data set that these knobs need, or None."""
        return getattr(knobs, "dataset", None)

    def settings(self, knobs: K) -> Mapping[str, Any]:
        """Return what the lesson's stand-alone script is told of a run, by name."""
        return self._settings(knobs)

    # ---- frames ----------------------------------------------------------------------------------------------------

    def train(self, knobs: K, device: torch.device) -> Iterator[Frame]:
        """Yield the frames of the experiment.

        Raises:
            FrameError: a frame does not hold what the lesson declares.
        """
        if self._train is None:
            raise TypeError(self.incomplete)
        with closing(cast("Generator[Frame]", self._train(knobs, device))) as frames:  # what it holds goes at once
            for frame in frames:
                self._check(knobs, frame)
                yield frame

    def _check(self, knobs: K, frame: Frame) -> None:
        for name, value in frame.curves.items():
            if name not in self.curves:
                raise FrameError(f"{self.slug}: the curve {name} is not declared; it has {', '.join(self.curves)}")
            shape, names = np.shape(value), self.names_along(name, knobs)
            if shape and shape[0] != len(names):
                raise FrameError(f"{self.slug}: curve {name} has shape {shape}, but {len(names)} series: {names}")
        for name, array in frame.pictures.items():
            table = self.tables.get(name)
            if table is None:
                continue  # what only a chart shows need not be declared
            shape = np.shape(array)
            sizes = [len(self.series(knobs)) if each == "series" else None for each in table.shape]
            if len(shape) != len(sizes) or any(size not in (None, n) for n, size in zip(shape, sizes, strict=True)):
                raise FrameError(f"{self.slug}: table {name} has shape {shape}, not ({', '.join(table.shape)})")

    def names_along(self, curve: str, knobs: K) -> Sequence[str]:
        """Return what stands along the first axis of a curve: the lesson's series unless it has others."""
        declared = self.curves[curve].axes_of(knobs) if curve in self.curves else None
        return tuple(next(iter(declared.values()))) if declared else tuple(self.series(knobs))

    def axes(self, knobs: K) -> Mapping[str, Axes]:
        """Return curve → what stands along its axes, of the curves whose axes are not the series and the repeats."""
        return {name: axes for name, curve in self.curves.items() if (axes := curve.axes_of(knobs))}

    def axes_of(self, knobs: K, curve: str, shape: Sequence[int]) -> Axes:
        """What stands along the axes of a curve with values of this shape: "series" and "seed" among them.

        A curve of one number is of "all"; the seed is that of the knobs where a curve has no axis for it.
        """
        seed: Any = getattr(knobs, "seed", None)
        named = dict(self.axes(knobs).get(curve, {}))
        if not named:
            named = {"series": self.series(knobs) if shape else ("all",)}
            if len(shape) > 1:
                own = self.repeats == "seed" and seed is not None
                named[self.repeats] = range(seed, seed + shape[1]) if own else range(1, shape[1] + 1)
        # A run of another server may have curves that no lesson has: what stands there is counted.
        named |= {f"axis {i}": () for i in range(len(named), len(shape))}
        sizes = [*shape, *[1] * (len(named) - len(shape))]
        found = {
            name: each if len(each) == size else [f"{name} {i}" for i in range(1, size + 1)]
            for (name, each), size in zip(named.items(), sizes, strict=True)
        }
        return found if "seed" in found else {**found, "seed": (seed,)}

    @property
    def watched(self) -> str:
        """The curve whose value becomes NaN where a network diverges."""
        return next((name for name, curve in self.curves.items() if curve.tells_divergence), next(iter(self.curves)))

    def diverged(self, knobs: K, recording: Recording) -> Mapping[str, float]:
        """Series whose network diverged → the step at which its loss first became NaN or infinite."""
        frames, values = recording.curve(self.watched)
        steps = recording.steps()
        found = {}
        for i, name in enumerate(self.series(knobs)):
            if not len(frames) or values.ndim < 2 or i >= values.shape[1]:
                break
            lost = ~np.isfinite(values[:, i].reshape(len(values), -1)).all(axis=1)  # (frames,): of any seed
            if lost.any():
                found[name] = float(steps[frames[int(lost.argmax())]])
        return found

    # ---- what a run shows and says ---------------------------------------------------------------------------------

    def cost_of(self, knobs: K) -> Cost:
        """Return the work of a run with these knobs."""
        return probe(self, knobs) if self._cost is None else self._cost(knobs)

    @property
    def has_claims(self) -> bool:
        """Whether it states anything."""
        return bool(self._claims)

    def panels(self, knobs: K) -> Sequence[Panel]:
        """Return the charts, the headline chart first."""
        if self._charts is None:
            return [self.line_chart(knobs, name, f"How {each.label} changes.") for name, each in self.curves.items()]
        return list(self._charts(knobs))

    def watches(self, knobs: K) -> Sequence[Watch]:
        """Return what the narrator may tell of its curves."""
        return [
            event(curve=name, names=curve.names or self.names_along(name, knobs), what=curve.label, form=curve.format)
            for name, curve in self.curves.items()
            for event in curve.events
        ]

    def result(self, knobs: K, recording: Recording) -> Result[K]:
        """Return facts, claims and outcome of a run so far."""
        return Result(self, knobs, recording)

    def compute_facts(self, result: Result[K]) -> Iterator[Fact]:
        """Yield the lesson's own facts, then the last values of the curves, means over the repeats."""
        if self._facts is not None:
            yield from self._facts(result)
        for curve in self.curves.values():
            if curve.fact and curve.name in result.recording.curves:
                yield from _last_values(curve.name, self.names_along(curve.name, result.knobs), result)

    def check_claims(self, result: Result[K]) -> Iterator[Claim]:
        """Yield the claims that stand on the page with these knobs, decided where the run can."""
        return (rule.on(result) for rule in self._claims if rule.shown(result.knobs))

    def tell_outcome(self, result: Result[K]) -> str | None:
        """Return a sentence that answers what was asked before the run; None while it cannot."""
        try:
            return self._outcome(result) if self._outcome is not None else None
        except Missing:
            return None


PROBE_SECONDS = 0.3
PROBE_MEMORY = 5e8  # bytes; what a small network with its data takes, since nobody said


def probe(lesson: "AnyLesson", knobs: Knobs) -> Cost:
    """Return the cost of a run whose lesson declares none, from its first frames: time passed against progress made.

    An experiment that fails, or makes no progress meanwhile, is taken for a run of ten seconds: it will say itself.
    """
    return _probed(lesson, lesson.key(knobs), knobs)


@functools.lru_cache(maxsize=500)
def _probed(lesson: "AnyLesson", key: str, knobs: Knobs) -> Cost:
    start, seconds = time.perf_counter(), 10.0
    try:
        for frame in lesson.train(knobs, torch.device("cpu")):
            passed = time.perf_counter() - start
            if frame.progress >= 1.0 or passed > PROBE_SECONDS:
                seconds = passed / frame.progress if frame.progress > 0 else seconds
                break
    except Exception:  # whatever it is: the run itself fails with a sentence
        pass
    return Cost(0.0, 0.0, seconds * Calibration().calls, PROBE_MEMORY)


def _last_values(name: str, series: Sequence[str], result: Result[Any]) -> Iterator[Fact]:
    last = result.recording.last(name)
    if last.ndim == 0:
        yield Fact(name, "", float(last))
    for each, value in zip(series, last, strict=False) if last.ndim else ():
        yield Fact(name, each, float(value)) if last.ndim == 1 else mean(name, each, value.ravel())


def sizes_of(dataset: str, recording: Recording) -> tuple[int, int]:
    """Training and test examples of the set that a run learned from: as it noted them, else as they are published.

    What lies on this machine says nothing about a run that may come from another one.
    """
    noted = recording.picture("sizes")
    return data.SOURCES[dataset].counts if noted is None else (int(noted[0]), int(noted[1]))


def noted_sizes(dataset: str) -> Mapping[str, Array]:
    """What a run notes for `sizes_of`: nothing, unless the set is another here than it is published."""
    here = data.sizes(dataset)
    return {} if here == data.SOURCES[dataset].counts else {"sizes": np.array(here)}


AnyLesson = Lesson[Any]
