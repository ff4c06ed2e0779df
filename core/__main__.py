"""Gradient Lab without a screen.

    python -m core doctor [--json]
    python -m core list [--json]
    python -m core run SLUG [--preset NAME] [--set knob=value ...] [--device auto|cpu|cuda] [--fresh] [--json]
    python -m core script SLUG [--preset NAME] [--set knob=value ...] [--out FILE]
    python -m core count torchvision:NAME | module.path:Name | TEXT [--input 3x224x224] [--json]
    python -m core new SLUG
    python -m core check FILE
    python -m core export KEY [--out FILE]
    python -m core import FILE ...
    python -m core data list [--json]
    python -m core data get NAME
    python -m core gallery build [SLUG ...]
    python -m core gallery restate [SLUG ...]
    python -m core gallery verify

A bad knob, lesson, preset or device ends in one sentence on stderr and exit status 2; a run that failed in 1.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core import console, data, links, places
from core.convnets import LayerError
from core.convnets.report import report
from core.cost import CostError
from core.data import DataError
from core.device import DeviceError, keep_memory
from core.doctor import examine
from core.knob_text import match
from core.knobs import RIGHT, KnobError, Knobs, clip, spell
from core.lesson import AnyLesson
from core.lessons import CURRICULUM, LESSONS
from core.library import VARIABLE, LessonError
from core.own import check, write
from core.places import PlaceError, gallery_to_write
from core.resources import cores
from core.runs import bundle
from core.runs.agreement import disagreement, stated
from core.runs.bundle import BundleError
from core.runs.engines import EngineError, InThread
from core.runs.run import Run, State
from core.runs.runner import QueueFull, Runner
from core.runs.store import Store, StoreError
from core.scripts import has_script, script

BAR = 30  # characters of the progress bar


class UsageError(ValueError):
    """A command line that asks for something that is not there."""


BAD_REQUESTS = (
    UsageError, LessonError, KnobError, DeviceError, DataError, CostError, QueueFull, BundleError, PlaceError,
)  # fmt: skip

MUST_HOLD = ("Classroom", RIGHT)  # the presets whose claims may not fail


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with console.printing():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    asked = _parser().parse_args(arguments)
    if asked.act is not _doctor:
        # No pages to answer here, so training may have every core.
        os.environ.setdefault("GRADIENT_LAB_THREADS", str(cores()))
    if asked.lessons is not None:
        os.environ[VARIABLE] = str(asked.lessons)
    LESSONS.refresh()
    try:
        status: int = asked.act(asked)
    except BAD_REQUESTS as error:
        print(error, file=sys.stderr)
        return 2
    except (EngineError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a program that SIGINT ended
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description="Gradient Lab without a screen.")
    parser.add_argument("--lessons", type=Path, metavar="FOLDER", help=f"of lessons of your own, as {VARIABLE}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="what this machine has, and what keeps a Run from training")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.set_defaults(act=_doctor)

    listing = commands.add_parser("list", help="the lessons, their presets and knobs")
    listing.add_argument("--json", action="store_true", help="as one JSON array")
    listing.set_defaults(act=_list)

    run = commands.add_parser("run", help="train one run, or fetch it from the cache")
    own = commands.add_parser("script", help="print a lesson as a stand-alone script with these knobs")
    for each in (run, own):
        each.add_argument("slug", help="which lesson")
        each.add_argument("--preset", help="start from this preset instead of the first")
        each.add_argument("--set", action="append", default=[], metavar="knob=value", help="turn a knob; lists as JSON")
    own.add_argument("--out", type=Path, metavar="FILE", help="write it there instead, as UTF-8")
    own.set_defaults(act=_script)
    fresh = commands.add_parser("new", help="write a lesson of your own that runs, to be changed")
    fresh.add_argument("slug", metavar="SLUG", help="its name in links: my-lesson")
    fresh.set_defaults(act=_new)
    promises = commands.add_parser("check", help="train a lesson of your own in small and say what it lacks")
    promises.add_argument("file", type=Path, metavar="FILE")
    promises.set_defaults(act=_check)
    run.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    run.add_argument("--fresh", action="store_true", help="train even where the cache has the run")
    run.add_argument("--json", action="store_true", help="end with one JSON object on stdout")
    run.set_defaults(act=_run)

    count = commands.add_parser("count", help="parameters, MACs and activations of a network, layer by layer")
    count.add_argument("network", help='torchvision:resnet50, module.path:Name, or a text such as "conv 6 5x5, fc 10"')
    count.add_argument("--input", metavar="SIZE", help="channels, height and width of the image, such as 3x224x224")
    count.add_argument("--json", action="store_true", help="as one JSON object")
    count.set_defaults(act=_count)

    export = commands.add_parser("export", help="a stored run as one file, for another server")
    export.add_argument("key", help="its name, as `run` prints it")
    export.add_argument("--out", type=Path, metavar="FILE", help="where to; beside you, named after it, where left out")
    export.set_defaults(act=_export)

    bring = commands.add_parser("import", help="store runs that other machines exported")
    bring.add_argument("files", nargs="+", type=Path, metavar="FILE")
    bring.set_defaults(act=_import)

    sets = commands.add_parser("data", help="data sets").add_subparsers(required=True, metavar="ACTION")
    here = sets.add_parser("list", help="which are on this machine, where, and how to bring the others")
    here.add_argument("--json", action="store_true", help="as one JSON array")
    here.set_defaults(act=_list_data)
    get = sets.add_parser("get", help="download a data set, or decode the pictures that lie here")
    get.add_argument("name", help=", ".join(data.NAMES))
    get.set_defaults(act=_get)

    gallery = commands.add_parser("gallery", help="the runs that ship").add_subparsers(required=True, metavar="ACTION")
    build = gallery.add_parser("build", help="train every preset that is missing and takes no GPU")
    build.add_argument("slugs", nargs="*", metavar="SLUG", help="only these lessons")
    build.add_argument("--fresh", action="store_true", help="train also what is there")
    build.add_argument("--device", default="auto")
    build.set_defaults(act=_build)
    anew = gallery.add_parser("restate", help="facts and claims anew from the frames, without training")
    anew.add_argument("slugs", nargs="*", metavar="SLUG", help="only these lessons")
    anew.set_defaults(act=_restate)
    gallery.add_parser("verify", help="hashes, knobs, and whether the claims still hold").set_defaults(act=_verify)
    return parser


def _doctor(asked: argparse.Namespace) -> int:
    logging.getLogger("core.device").setLevel(logging.ERROR)  # a device that is left out is in the report
    report = examine()
    print(json.dumps(report.plain, ensure_ascii=False) if asked.json else report.text)
    return 1 if report.refusals else 0


def _list(asked: argparse.Namespace) -> int:
    if asked.json:
        print(json.dumps([_described(lesson) for lesson in LESSONS.values()], ensure_ascii=False))
        return 0
    for sentence in LESSONS.errors.values():
        print(sentence, file=sys.stderr)
    for lesson in LESSONS.values():
        print(f"{lesson.slug}\n    {lesson.question}  ({lesson.origin})")
        print(f"    presets: {', '.join(lesson.presets)}")
        for knob in lesson.knobs.declared():
            print(f"    {knob.name} = {spell(knob.default)}  ({knob.limits}): {knob.help}")
    return 0


def _new(asked: argparse.Namespace) -> int:
    folder = Path(os.environ.get(VARIABLE, "").strip() or ".").expanduser()
    code, words = write(asked.slug, folder)
    print(f"{code} and {words.name} are written. Check it: python -m core check {code}")
    print(f"See it: {VARIABLE}={folder} python -m streamlit run app.py")
    return 0


def _check(asked: argparse.Namespace) -> int:
    sentences = check(asked.file)
    print("\n".join(sentences) if sentences else f"{asked.file} keeps every promise of a lesson.")
    return 1 if sentences else 0


def _described(lesson: AnyLesson) -> dict[str, Any]:
    return {
        "slug": lesson.slug,
        "title": lesson.title,
        "question": lesson.question,
        "origin": lesson.origin,
        "presets": {name: knobs.model_dump(mode="json") for name, knobs in lesson.presets.items()},
        "knobs": lesson.knobs.model_json_schema()["properties"],
    }


def _run(asked: argparse.Namespace) -> int:
    lesson = _lesson(asked.slug)
    knobs = _knobs(lesson, asked.preset, asked.set)
    run = _train(lesson, knobs, asked.device, Store.default(LESSONS), fresh=asked.fresh)
    if asked.json:
        print(json.dumps(_result(run), ensure_ascii=False))
    else:
        _print_result(run)
    return 0 if run.state is State.DONE else 1


def _script(asked: argparse.Namespace) -> int:
    lesson = _lesson(asked.slug)
    knobs = _knobs(lesson, asked.preset, asked.set)
    if not has_script(lesson):
        having = ", ".join(each.slug for each in CURRICULUM if has_script(each))
        raise UsageError(f"{lesson.slug} has no script; these lessons have one: {having}.")
    text = script(lesson, knobs)
    if asked.out is None:
        print(text, end="")
    else:
        _write(asked.out, text.encode())
    return 0


def _count(asked: argparse.Namespace) -> int:
    try:
        counted = report(asked.network, asked.input)
    except LayerError as error:
        said = str(error)
        raise UsageError(said if said.endswith("?") else f"{said}.") from error
    print(json.dumps(counted.plain, ensure_ascii=False) if asked.json else counted.text)
    return 0


def _train(lesson: AnyLesson, knobs: Knobs, device: str, store: Store, *, fresh: bool) -> Run:
    name = lesson.dataset(knobs)
    if name is not None and (fresh or not store.has(lesson, knobs)) and data.may_download(name):
        _download(name)
    runner = Runner(store, InThread(), LESSONS)
    try:
        run = runner.submit(lesson, knobs, device=device, fresh=fresh, asker="command line")
        while not runner.wait(run, timeout=0.2):
            _bar(run.recording.progress, runner.seconds_left(run))
        _bar(None, None)
    except KeyboardInterrupt:
        _bar(None, None)
        raise EngineError("Stopped; nothing was stored.") from None
    finally:
        runner.close()
    if run.error:
        print(run.error, file=sys.stderr)
    return run


def _bar(share: float | None, left: float | None) -> None:
    """Draw the progress bar on stderr; None wipes it away."""
    if not console.is_terminal(sys.stderr):
        return
    text = ""
    if share is not None:
        done, rest = "█·" if console.can_show("█·", sys.stderr) else "#."
        full = round(share * BAR)
        text = f"{done * full}{rest * (BAR - full)} {share:4.0%}" + (f"  {left:.0f} s left" if left is not None else "")
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _result(run: Run) -> dict[str, Any]:
    return {
        "slug": run.lesson.slug,
        "key": run.key,
        "state": str(run.state),
        "wall_seconds": round(run.seconds, 3),
        "device": run.device,
        "knobs": run.knobs.model_dump(mode="json"),
        "facts": dict(run.facts),
        "claims": [claim.plain() for claim in run.claims],
    }


def _print_result(run: Run) -> None:
    print(f"{run.lesson.question}\n{run.state} in {run.seconds:.1f} s on {run.device}  (run {run.key})")
    for name, value in run.facts.items():
        print(f"    {name} = {'none' if value is None else spell(value)}")
    for claim in run.claims:
        print(f"  {claim.verdict}: {claim.sentence}. {claim.measured} (expected: {claim.expected})")


def _lesson(slug: str) -> AnyLesson:
    if slug not in LESSONS:
        raise UsageError(f"{clip(slug)} is no lesson; choose {', '.join(LESSONS)}.")
    return LESSONS[slug]


def _knobs(lesson: AnyLesson, preset: str | None, sets: Sequence[str]) -> Knobs:
    """The preset's knobs with every `knob=value` applied."""
    named = None if preset is None else match(preset, list(lesson.presets))
    if preset is not None and named is None:
        raise UsageError(f"{clip(preset)} is no preset of {lesson.slug}; choose {', '.join(lesson.presets)}.")
    given: dict[str, list[Any]] = {}
    for each in sets:
        name, sign, text = each.partition("=")
        if not sign:
            raise UsageError(f"--set {clip(each)} lacks its value; write --set knob=value.")
        given.setdefault(name.strip(), []).append(_value(text))
    asked = links.read_knobs(lesson, given, lesson.presets[named or next(iter(lesson.presets))])
    if asked.errors:
        raise UsageError(links.sentence(asked.errors))
    return asked.knobs


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself, which the knob's type reads."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _export(asked: argparse.Namespace) -> int:
    run = Store.default(LESSONS).get(asked.key)
    if run is None:
        raise UsageError(f"{clip(asked.key)} is no run that is stored here; run prints the name of each.")
    packed = bundle.export(run)
    out: Path = asked.out or Path(bundle.name_of(run))
    _write(out, packed)
    print(f"{out}: {run.lesson.title}, {run.lesson.name_of(run.knobs)}, {len(packed) / 1000:.0f} kB")
    return 0


def _write(out: Path, data: bytes) -> None:
    try:
        out.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}); choose another place with --out.") from error


def _import(asked: argparse.Namespace) -> int:
    """Store what can be; a sentence for each file that cannot."""
    store, refused = Store.default(LESSONS), 0
    for path in asked.files:
        try:
            with path.open("rb") as file:
                packed = file.read(bundle.MOST_BYTES + 1)  # one more shows that it is too long
            run, new = bundle.bring_in(packed, store)
        except (OSError, BundleError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            print(f"{path}: {said}", file=sys.stderr)
            refused += 1
        else:
            told = f"imported, trained on {run.device}" if new else "here already, left as it is"
            print(f"{path}: {run.lesson.title}, {run.lesson.name_of(run.knobs)}: {told} (run {run.key})")
    return 1 if refused else 0


def _list_data(asked: argparse.Namespace) -> int:
    found = data.statuses()
    if asked.json:
        print(json.dumps([asdict(each) for each in found], ensure_ascii=False))
        return 0
    for each in found:
        held = "" if each.examples is None else "  {:,} to train on, {:,} to test on".format(*each.examples)
        print(f"{each.name}{held}\n    {each.sentence}")
    return 0


def _get(asked: argparse.Namespace) -> int:
    _download(asked.name)
    print(f"{asked.name} is here.")
    return 0


def _download(name: str) -> None:
    data.download(name, lambda share: _bar(share, None))
    _bar(None, None)


def _build(asked: argparse.Namespace) -> int:
    """Put every preset but those for a GPU into the gallery. What is there or in the cache is not trained anew."""
    lessons = [_lesson(slug) for slug in asked.slugs] or list(CURRICULUM)
    store, gallery = Store.default(LESSONS), gallery_to_write()
    failed = 0
    for lesson in lessons:
        for name, knobs in lesson.shipped.items():
            run = _train(lesson, knobs, asked.device, store, fresh=asked.fresh)
            if run.manifest is not None:
                made = run.manifest
                run = store.commit(
                    run,
                    threads=made.threads,
                    versions=made.versions,
                    data=made.data,
                    gallery=gallery,
                    fresh=asked.fresh,
                    imported=made.imported,
                )
            failed += run.manifest is None
            print(f"{lesson.slug} · {name}: {run.state}, {run.seconds:.1f} s on {run.device}, {_size(gallery, run)}")
    return 1 if failed else 0


def _size(gallery: Path, run: Run) -> str:
    files = (gallery / run.lesson.slug / run.key).glob("*")
    return f"{sum(file.stat().st_size for file in files) / 1000:.0f} kB"


def _restate(asked: argparse.Namespace) -> int:
    """Facts and claims of the gallery's runs as their lessons say them now; a sentence for each that cannot."""
    slugs, root = [_lesson(slug).slug for slug in asked.slugs] or list(LESSONS), gallery_to_write()
    if root not in places.galleries():
        raise UsageError(f"{root} is no gallery; unset GRADIENT_LAB_CACHE for the one that ships, or build it first.")
    store = Store(root.parent / "none", [root], LESSONS)
    folders = [folder for folder in store.folders(root) if folder.parent.name in slugs]
    restated = refused = 0
    for folder in folders:
        where = f"{folder.parent.name}/{folder.name}"
        try:
            key = store.restate(folder)
        except StoreError:
            raise
        except Exception as error:  # a lesson may ask for anything that earlier frames have not got
            print(f"{where}: {type(error).__name__}: {str(error).removesuffix('.')}; build it again.", file=sys.stderr)
            refused += 1
        else:
            restated += key is not None
            if key is not None:
                print(f"{where}: restated" + (f" as {key}" if key != folder.name else ""))
    print(f"{len(folders)} runs, {restated} restated, {refused} refused")
    return 1 if refused else 0


def _verify(asked: argparse.Namespace) -> int:
    """Check every run of every gallery here: bytes, key, and its facts and claims computed anew from its frames."""
    return max(_verify_gallery(root) for root in places.galleries())


def _verify_gallery(root: Path) -> int:
    store = Store(root.parent / "none", [root], LESSONS)
    problems = list(store.verify(root))
    listed = store.list()
    for each in listed:
        run = store.find(each.lesson, each.knobs)
        problems += _claims_that_broke(run) if run is not None else []
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(listed)} runs verified, {len(problems)} problems in {root}")
    return 1 if problems or not listed else 0


def _claims_that_broke(run: Run) -> list[str]:
    """Sentences for claims that the frames no longer say, and for those that do not hold where they must.

    A run that re-creates a notebook's mistake may break a claim: that is what it is there for.
    """
    where, preset = f"{run.lesson.slug}/{run.key}", run.lesson.preset_of(run.knobs)
    anew = replace(run, manifest=None)  # so that nothing is read where it can be computed
    failing = [claim for claim in anew.claims if claim.holds is False and preset in MUST_HOLD]
    broken = [f"{where}: does not hold: {claim.sentence}: {claim.measured}" for claim in failing]
    if changed := disagreement(stated(run), stated(anew)):
        broken.append(f"{where}: its frames no longer give the facts or claims that it carries: {changed}; restate it.")
    return broken


if __name__ == "__main__":
    keep_memory()
    sys.exit(main())
