"""Other processors, as far as this one can pretend to be one: libraries are told to leave instructions unused.

    python -m tests.everywhere.processors [--quick]      what is computed here, as JSON; run under a mode's variables

A library picks its code by the processor that it finds: OpenBLAS a kernel for each generation, torch and NumPy loops
for each width of vectors, MKL and oneDNN likewise. An environment variable makes each pick as on an older processor.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.places import GALLERY, ROOT

# Beyond what NumPy is built for, such as X86_V3 (AVX2) and X86_V4 (AVX-512), as NumPy 2.4 began to call them.
FOUND = set(np.show_config(mode="dicts")["SIMD Extensions"].get("found", ()))
PLAIN_NUMPY = {"NPY_DISABLE_CPU_FEATURES": " ".join(sorted(FOUND))} if FOUND else {}
AVX2, AVX512 = bool(FOUND & {"X86_V3", "AVX2"}), bool(FOUND & {"X86_V4", "AVX512_SKX"})

# Name → variables. Kernels that this processor cannot run are left out: forced, they would crash.
MODES: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "OpenBLAS: Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    **({"OpenBLAS: Haswell": {"OPENBLAS_CORETYPE": "Haswell"}} if AVX2 else {}),
    **({"OpenBLAS: Zen": {"OPENBLAS_CORETYPE": "Zen"}} if AVX2 else {}),
    **({"OpenBLAS: SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"}} if AVX512 else {}),
    "torch: plain": {"ATEN_CPU_CAPABILITY": "default"},
    **({"torch: AVX2": {"ATEN_CPU_CAPABILITY": "avx2"}} if AVX2 else {}),
    **({"NumPy: without X86_V3": {"NPY_DISABLE_CPU_FEATURES": "X86_V3"}} if "X86_V3" in FOUND else {}),
    **({"NumPy: plain": PLAIN_NUMPY} if FOUND else {}),
    "MKL: any processor": {"MKL_CBWR": "COMPATIBLE"},
    "the oldest of each": {
        "OPENBLAS_CORETYPE": "Prescott",
        "ATEN_CPU_CAPABILITY": "default",
        **PLAIN_NUMPY,
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NUMBA_CPU_NAME": "generic",
        "JSIMD_FORCENONE": "1",  # of libjpeg-turbo, which decodes pictures
    },
}
if sys.platform == "darwin" or os.uname().machine not in ("x86_64", "AMD64"):
    MODES = {"as it is": {}}

# Facts of nets that were trained under another mode: float32 in another order, carried on over some hundred steps. The
# most that was measured over all lessons is 1.4e-6; where numbers cancel, what is left is rounding and has no digits.
TRAINED_RELATIVE, TRAINED_ABSOLUTE = 1e-4, 1e-8
QUICK = ("perceptron-and-hinge", "dying-relu", "overfitting-cures")  # lessons that train in a quarter of a second


# ---- what a process of its own computes ----------------------------------------------------------------------------


def computed(quick: bool) -> dict[str, Any]:
    """Everything that is compared between processors, by the libraries of this process; `quick`: not every bundle."""
    import torch

    torch.set_num_threads(1)  # small nets; and threads that wait for each other are slow on a machine that is busy
    return {"verify": _verify(), "bundles": _bundles(quick), "contract": {slug: _trained(slug) for slug in QUICK}}


def _verify() -> str:
    """What `python -m core gallery verify` says: each problem, and at the end "61 runs verified, 0 problems"."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from core.__main__ import main

    with redirect_stdout(StringIO()) as said, redirect_stderr(said):
        main(["gallery", "verify"])
    return said.getvalue().strip().rpartition(" in ")[0]  # without the folder


def _bundles(quick: bool) -> list[str]:
    """Runs of the gallery that do not come to another server as they are; `quick`: of each lesson the first alone."""
    from core.lessons import LESSONS
    from core.runs import bundle
    from core.runs.agreement import disagreement, stated
    from core.runs.store import Store

    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        gallery, other = Store(Path(folder) / "none", [GALLERY], LESSONS), Store(Path(folder), [], LESSONS)
        every = gallery.list()
        for listed in {each.slug: each for each in every}.values() if quick else every:
            run = gallery.find(listed.lesson, listed.knobs)
            assert run is not None
            found, new = bundle.bring_in(bundle.export(run), other)
            if changed := disagreement(stated(run), stated(found)) or ("" if new else "it was there"):
                wrong.append(f"{run.lesson.slug}/{run.key}: {changed}")
    return wrong


def _trained(slug: str) -> dict[str, Any]:
    """Facts and verdicts of a small run of a lesson, and whether the same again is the same bit for bit."""
    import torch

    from core.lessons import LESSONS
    from core.runs.agreement import stated
    from core.runs.run import Run, State

    lesson, runs = LESSONS[slug], []
    knobs = lesson.small(next(iter(lesson.presets.values())))
    for _ in range(2):
        run = Run(lesson, knobs, lesson.key(knobs), state=State.DONE)
        for frame in lesson.train(knobs, torch.device("cpu")):
            run.recording.append(frame)
        runs.append(run)
    first, again = (stated(run) for run in runs)
    return {
        "facts": first["facts"],
        "verdicts": [claim["verdict"] for claim in first["claims"]],
        "again": first == again,
    }


# ---- the same under a mode -----------------------------------------------------------------------------------------


def environment(mode: str) -> dict[str, str]:
    """The variables of a process that runs under a mode."""
    names = {name for variables in MODES.values() for name in variables}
    return {**{name: value for name, value in os.environ.items() if name not in names}, **MODES[mode]}


def under(mode: str, quick: bool = False) -> dict[str, Any]:
    """What `computed` gives in a process of its own under a mode."""
    command = [sys.executable, "-m", "tests.everywhere.processors", *(["--quick"] if quick else [])]
    with tempfile.TemporaryDirectory() as folder:
        env = {**environment(mode), "GRADIENT_LAB_CACHE": folder}
        ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=False)
    if ran.returncode:
        raise RuntimeError(f"{mode}: ended with status {ran.returncode}: {ran.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Sentences on what the same lessons, trained under two modes, differ in by more than rounding explains."""
    wrong = []
    for slug in QUICK:
        here, there = one[slug], other[slug]
        if not here["again"] or not there["again"]:
            wrong.append(f"{slug}: equal knobs gave another run")
        if here["verdicts"] != there["verdicts"]:
            wrong.append(f"{slug}: verdicts are {there['verdicts']}, not {here['verdicts']}")
        for name in {**here["facts"], **there["facts"]}:
            first, second = here["facts"].get(name), there["facts"].get(name)
            if not _close(first, second):
                wrong.append(f"{slug}: {name} is {second}, not {first}")
    return wrong


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The largest relative difference of a fact; what is nothing but rounding left out."""
    facts = [
        (one[slug]["facts"][name], other[slug]["facts"].get(name)) for slug in QUICK for name in one[slug]["facts"]
    ]
    sizes = [(a, b) for a, b in facts if a is not None and b is not None and max(abs(a), abs(b)) > TRAINED_ABSOLUTE]
    return max(abs(a - b) / max(abs(a), abs(b)) for a, b in sizes)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TRAINED_RELATIVE, abs_tol=TRAINED_ABSOLUTE)


# ---- the table -----------------------------------------------------------------------------------------------------

HEAD = ("libraries", "verify", "bundles", "contract", "tests that compute")
# Folders whose tests look at pages, files and addresses: no kernel changes what they see.
COMPUTE_NOTHING = ("browser", "load", "everywhere", "ui", "data")
# Modes under which the tests run too, which takes minutes: the others only narrow down what made one of these fail.
TESTED = ("OpenBLAS: Prescott", "OpenBLAS: Haswell", "OpenBLAS: Zen", "torch: plain", "torch: AVX2")
TESTED += ("NumPy: without X86_V3", "the oldest of each")


def table(quick: bool = False, modes: Sequence[str] = (), kept: str = "") -> str:
    """Processors × (verify, bundles, contract, tests) as Markdown.

    Args:
        quick: leave out the column with all tests.
        modes: make the rows of these anew and take the others from `kept`; none names all.
        kept: the table as it was.
    """
    here = under("as it is")["contract"]
    before = {line.split("|")[1].strip(): line for line in kept.splitlines() if line.startswith("|")}
    lines = []
    for mode, variables in MODES.items():
        shown = " ".join(f"{name}={value}" for name, value in variables.items())
        title = f"{mode} (`{shown}`)" if variables else mode
        if modes and mode not in modes and title in before:
            lines.append(before[title])
            continue
        begun, found = time.perf_counter(), under(mode)
        wrong = apart(here, found["contract"])
        told = (
            title,
            found["verify"].splitlines()[-1],
            f"{len(found['bundles'])} differ",
            f"{len(wrong)} differ; facts at most {difference(here, found['contract']):.1e} apart",
            "" if quick or mode not in TESTED else suite(mode),
        )
        lines.append(_row(told[: len(HEAD) - quick]))
        print(f"{mode}: {', '.join(told[1:])} ({time.perf_counter() - begun:.0f} s)", file=sys.stderr, flush=True)
        for sentence in (*found["verify"].splitlines()[:-1], *found["bundles"], *wrong):
            print(f"    {sentence}", file=sys.stderr, flush=True)
    head = HEAD[: len(HEAD) - quick]
    return "\n".join((_row(head), _row(["---"] * len(head)), *lines))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def suite(mode: str) -> str:
    """How the tests that compute end under a mode, as "2,139 passed, 0 failed"; failures go to stderr as they are."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**environment(mode), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "--numprocesses=2", "--dist=loadfile", "-o", "addopts=", "-r", "f"]
        options = ["--import-mode=importlib", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp"]
        options += [f"--ignore=tests/{each}" for each in COMPUTE_NOTHING]
        ran = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=env,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    lines = ran.stdout.splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(f"    {line}", file=sys.stderr, flush=True)
    counts = {
        name: int(count) for count, name in re.findall(r"(\d+) (passed|failed|errors?)", lines[-1] if lines else "")
    }
    failed = sum(count for name, count in counts.items() if name != "passed")
    return f"{counts.get('passed', 0):,} passed, {failed} failed" if counts else f"ended with status {ran.returncode}"


if __name__ == "__main__":
    print(json.dumps(computed("--quick" in sys.argv)))
