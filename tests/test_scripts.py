"""The stand-alone scripts: run as a student runs them, and held against the lesson, number by number."""

import ast
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from core.convnets.published import Name
from core.frames import Recording
from core.lessons import CURRICULUM, LESSONS
from core.lessons.batchnorm_and_dropout import Variant
from core.lessons.optimizers import Name as Optimizer
from core.lessons.scaling import drawn as drawn_workers
from core.lessons.scaling import rate, task
from core.lessons.scaling import tried as tried_workers
from core.places import ROOT
from core.scripts import BEGIN, END, FOLDER, has_script, literal, script
from core.training.parallel import Examples, Net, Setting

SCRIPTS = [lesson.slug for lesson in CURRICULUM if has_script(lesson)]
LIBRARIES = {"numpy", "torch", "torchvision", "matplotlib", "sklearn"}  # sklearn has the digits, which need no download
CLOSE = {"rtol": 2e-3, "atol": 1e-6}
"""Script and lesson draw the same random numbers and differ in the order of sums alone: over the few steps of these
runs that is some 1e-5, and 1e-3 where fifteen batch norms follow each other. A wrong rule or start is off by far more,
as another seed is, which `test_another_seed_would_be_noticed` shows."""
ODD_NET = """CONV 8 3×3 stride 2 pad 1 floor; skip 8
conv 8 3x3 pad 1 groups 4 no bias, ( conv 4 1x1 | pool 3 stride 1 pad 1 | ) , norm
( conv 20 3x3 pad 1 + ), average, fc 7 no bias"""
EVERY_WORD = """conv 12 3x5 stride 2 same no bias, layernorm, relu, 2 × ( scale, depthwise 3x3 pad 2 dilation 2 + )
se 3, separable 8 5x3 same stride 1x2, groupnorm 4, transposed 6 3x3 stride 2 extra 1 pad 1 groups 2, instancenorm
zeropad 1x2, pool 3 stride 2 ceil, avgpool 2 same, upsample 2x1, slice 5, norm, transposed 4 3 stride 2 same
average 3x2, dense 7"""

BESIDE = {"frozen_copies": "beside", "seeds": 1}

MORE = {  # knobs that no preset turns, on top of the shrunk Classroom
    "perceptron-and-hinge": [{"margin": 0.3, "init_scale": 0.5, "training_sets": 1}],
    "dying-relu": [
        {"target": "1{x>0}+0.2·sin(5x)", "optimizer": "sgd", "learning_rate": 0.05},
        {"target": "x·sin(5x)", "optimizer": "momentum", "activation": "tanh"},
        {"activation": "elu", "epochs": 0},
    ],
    "dropout": [
        {"rule": "keep", "input_rate": 0.2, "init": "he", "epochs": 100},
        {"rule": "notebook", "rate": 0.0},
        {"control": "thinned width", "rate": 0.5},
    ],
    "width-and-interpolation": [
        {"learning_rate": 0.05, "passes": 8, "widths": (16, 8), "scaling": "global"},
        {"examples": 113, "batch_size": 16, "learning_rate": 0.05},  # a last batch of one
        {"examples": 50, "batch_size": 64, "learning_rate": 0.05},
        {"learning_rate": 0.2, "passes": 4, "batch_size": 7, "label_noise": 0.5, "sampling": "with replacement"},
    ],
    "vanishing-gradients": [
        {"init": "orthogonal", "activation": "tanh"},
        {"init": "orthogonal √2"},
        {"init": "glorot", "activation": "sigmoid", "residual": True, "batch_norm": True},
        {"init": "lecun", "activation": "selu"},
    ],
    "overfitting-cures": [
        {"cures": ("big net", "early stopping"), "patience": 7, "learning_rate": 0.03, "epochs": 330},
        {"cures": ("early stopping", "dropout", "big net"), "patience": 5, "learning_rate": 0.03, "epochs": 60},
        {"init": "normal 0.05", "depth": 1, "rate": 0.3, "weight_decay": 30.0, "learning_rate": 0.01},
        {"init": "glorot", "cures": ("unstopped ensemble", "ensemble", "big net")},
    ],
    "cnn-arithmetic": [
        {"nets": get_args(Name), "net": ODD_NET, "input_size": 28, "batch_size": 3, "bytes_per_number": 2},
        {"version": "as the notebook counted"},
        {"nets": ("your net",), "net": EVERY_WORD, "input_size": 30, "input_width": 41, "channels": 2},
    ],
    "optimizers": [
        {"optimizers": get_args(Optimizer), "rates": "paper", "l2": 0.01, "pixels": "standardised"},
        {"optimizers": ("adamw", "nesterov", "adam", "sgd"), "l2": 0.001, "rates": "notebook", "batch_size": 8},
        {"optimizers": ("rmsprop",), "dropout": "both", "rates": "notebook", "epochs": 8},
        {"optimizers": ("adam",), "dropout": "with"},
        {"optimizers": ("adam",), "examples": 97},  # a last batch of one
        {"optimizers": ("adam",), "batch_size": 512},
    ],
    "batchnorm-and-dropout": [
        {"variants": ("both", "dropout"), "order": "batch norm, then dropout", "hidden_rate": 0.3},
        {"variants": get_args(Variant), "momentum": 0.5, "keep": 0.5, "seeds": 1},
        {"variants": ("batch norm", "both"), "examples": 41},  # a last batch of one
        {"variants": ("both", "batch norm on input too"), "examples": 41, "order": "batch norm, then dropout"},
        {"variants": ("batch norm", "both (dropout last)"), "batch_size": 100},  # more than there are
    ],
    "scaling": [
        {"layers": 2, "width": 9, "serial_fraction": 0.4, "steps": 31, "rule": "square root"},
    ],
    "cutout-and-batch-augmentation": [
        {**BESIDE, "shortcut": "projection", "fill": "black", "shift": "notebook", "schedule": "constant", "holes": 2},
        {"frozen_copies": "instead", "fill": "black", "optimizer": "momentum", "depth": 14, "shrink": 1},
        {"shift": "none", "optimizer": "nesterov", "epochs": 3, "cutout_length": 0, "seeds": 1},
        {**BESIDE, "optimizer": "sgd", "weight_decay": 0.01, "batch_size": 16, "augmentations": (3,)},
        {**BESIDE, "batch_size": 49, "augmentations": (2,)},  # one more than a batch: halves
        {**BESIDE, "batch_size": 256, "augmentations": (2,)},
        {"compare": "cutout and dropout", "shrink": 1},
    ],
    "depth-vs-width": [
        {"optimizer": "momentum", "batch_norm": "after activation", "noise": 30.0, "architectures": ("6", "5-4", "5")},
        {"patience": 1, "judge": "test", "learning_rate": 0.5, "epochs": 12, "seeds": 2},
        {"batch_size": 11, "batch_norm": "after activation"},  # of 320 the last batch has one
        {"batch_size": 400, "batch_norm": "after activation", "optimizer": "sgd"},
    ],
}

LONG = {"optimizers", "batchnorm-and-dropout"}  # their first preset alone is tried, and MORE

# Stands in for matplotlib and notes what is drawn: what a student would see is what is compared.
PYPLOT = """
import numpy as np
drawn = {}
def curve(x, y, label):
    drawn[label] = [np.asarray(each, dtype=float).tolist() for each in (x, y)]
plot = semilogx = semilogy = loglog = scatter = curve
class Axes:
    def set(self, **texts): assert all(texts.values())
gca = Axes
def legend(): pass
def show(): pass
"""
# PyTorch draws for (batch, units), one number for each; lessons draw for (units, batch), and LeNet's, for speed, one
# number for four. Here scripts draw as lessons do: to come to the same numbers they have to drop in the same places, at
# the same rates and in the same order.
DROPOUT = """
import torch
def dropout(a, p, training, inplace):
    if not (training and p): return a
    if a.dim() == 2: return a * torch.empty(a.T.shape).bernoulli_(1 - p).T / (1 - p)
    words = torch.empty((a.numel() + 3) // 4, dtype=torch.int64).random_(-2**63, None)
    kept = words.view(torch.int16)[: a.numel()] >= round(p * 2**16) - 2**15
    if a.shape[1:] == (6, 28, 28):  # the lesson has the four numbers of a pool behind each other
        kept = kept.view(-1, 6, 2, 2, 14, 14).permute(0, 1, 4, 2, 5, 3)
    return a * kept.reshape(a.shape) / (1 - p)
torch.nn.functional.dropout = dropout
"""
# Runs the scripts one after another in one process, since loading torch takes longer than any of them.
EACH = """
import contextlib, io, json, runpy, sys
import matplotlib.pyplot
for path in sys.argv[1:]:
    matplotlib.pyplot.drawn, said = {}, io.StringIO()
    matplotlib.pyplot.curve.__globals__["drawn"] = matplotlib.pyplot.drawn
    with contextlib.redirect_stdout(said):
        runpy.run_path(path, run_name="__main__")
    print(json.dumps([said.getvalue(), matplotlib.pyplot.drawn]))
"""


def tried():
    """(slug, which) → knobs: the presets, shrunk, then other knobs, then another seed."""
    found = {}
    for slug in SCRIPTS:
        lesson = LESSONS[slug]
        small = lesson.small(lesson.knobs())
        for name, knobs in list(lesson.presets.items())[: 1 if slug in LONG else None]:
            found[slug, name] = lesson.small(knobs)
        for i, values in enumerate(MORE.get(slug, ())):
            found[slug, f"more {i}"] = lesson.parse({**small.model_dump(), **values})
        if hasattr(small, "seed"):
            first = found[slug, "more 0"]
            found[slug, "another seed"] = first.model_copy(update={"seed": first.seed + 1})
    return found


TRIED = tried()
COMPARED = [pytest.param(*key, id="-".join(key)) for key in TRIED if key[1] != "another seed"]


def start(code, *arguments, path, **more):
    """Python in a process of its own that sees nothing of this product."""
    environment = {"PATH": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(path), **more}
    command = [sys.executable, "-W", "error", *code, *map(str, arguments)]
    return subprocess.run(command, cwd=path, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """(slug, which) → what the script printed, by name, and what it drew: label → x, y."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "matplotlib").mkdir()
    (folder / "matplotlib" / "__init__.py").touch()
    (folder / "matplotlib" / "pyplot.py").write_text(PYPLOT)
    paths = []
    for i, ((slug, _), knobs) in enumerate(TRIED.items()):
        paths.append(folder / f"{i}.py")
        paths[-1].write_text(script(LESSONS[slug], knobs), encoding="utf-8")
    ran = start(["-c", DROPOUT + EACH], *paths, path=folder)
    assert ran.returncode == 0, ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    return {key: (numbers(printed), drawn) for key, (printed, drawn) in zip(TRIED, answers, strict=True)}


def closeness(slug, name):
    """How close a number of the script is to that of the lesson."""
    if name == "gradient_difference":  # rounding itself
        return {"rtol": 0, "atol": 1e-5}
    if slug == "overfitting-cures":  # rounding grows over its epochs: to 1.3 % on the oldest processor that was tried
        return {"rtol": 0.02, "atol": 1e-6}
    # PyTorch's running variances are n / (n - 1) times those of the lesson: a picture may be read otherwise.
    evaluated = slug == "batchnorm-and-dropout" and name.startswith("test_")
    return {"rtol": 0.01, "atol": 0.005} if evaluated else CLOSE


def numbers(printed):
    """What was printed as "name = value", one a line, nan where there is none."""
    pairs = (line.split(" = ") for line in printed.splitlines())
    return {name: math.nan if value == "none" else float(value) for name, value in pairs}


@pytest.fixture(scope="module")
def recordings():
    """(slug, which) → the lesson's own run."""
    found = {}
    for (slug, which), knobs in TRIED.items():
        found[slug, which] = Recording()
        for frame in LESSONS[slug].train(knobs, torch.device("cpu")):
            found[slug, which].append(frame)
    return found


def means(name):
    """A lesson's curve, over data sets or seeds, with its steps."""

    def curves(lesson, knobs, recording):
        frames, values = recording.curve(name)
        steps, series = recording.steps()[frames], lesson.series(knobs)
        values = values.reshape(len(frames), len(series), -1).mean(axis=2)
        return {label: (steps, values[:, i]) for i, label in enumerate(series)}

    return curves


def collapsed(lesson, knobs, recording):
    frames, values = recording.curve("dead")
    return {"by structure": (recording.steps()[frames], values[:, 0])}


def by_layer(lesson, knobs, recording):
    births = recording.picture("birth")[0]
    return {f"depth={depth}": (np.arange(1, depth + 2), births[i, : depth + 1]) for i, depth in enumerate(knobs.depths)}


def by_units(lesson, knobs, recording):
    found = {}
    names = lesson.series(knobs)
    for name, error in zip(names, recording.last("test_rmse").reshape(len(names), -1).mean(axis=1), strict=True):
        widths = [int(width) for width in name.split("-")]
        x, y = found.setdefault(f"{len(widths)} layer{'s' * (len(widths) > 1)}", ([], []))
        x.append(sum(widths)), y.append(error)
    return found


def paths(lesson, knobs, recording):
    shares = [recording.picture(f"share_of_{count}") for count in ("macs", "parameters")]
    return {name: [each[i][np.isfinite(each[i])] for each in shares] for i, name in enumerate(knobs.nets)}


def ends_of_epochs(name, first):
    """A lesson's curve where an epoch ends, from the one of that number on."""

    def curves(lesson, knobs, recording):
        found = means(name)(lesson, knobs, recording)
        ends = {label: (x >= first) & (x % 1 == 0) for label, (x, _) in found.items()}
        return {label: (x[ends[label]], y[ends[label]]) for label, (x, y) in found.items()}

    return curves


def speedups(lesson, knobs, recording):
    measured = recording.picture("seconds_speedup")[:, np.isin(drawn_workers(knobs), tried_workers(knobs))]
    return {kind: (tried_workers(knobs), measured[i]) for i, kind in enumerate(("strong", "weak"))}


DRAWN = {
    "perceptron-and-hinge": means("test_accuracy"),
    "dying-relu": collapsed,
    "dropout": means("validation_mse"),
    "width-and-interpolation": means("train_accuracy"),
    "vanishing-gradients": by_layer,
    "overfitting-cures": means("test_mse"),
    "cnn-arithmetic": paths,
    "depth-vs-width": by_units,
    "optimizers": means("test_accuracy"),
    "batchnorm-and-dropout": ends_of_epochs("test_accuracy", 1),
    "cutout-and-batch-augmentation": ends_of_epochs("test_error", 0),
    "scaling": speedups,
}


@pytest.mark.parametrize(("slug", "which"), COMPARED)
def test_a_script_prints_the_facts_of_its_lesson(slug, which, said, recordings):
    printed, _ = said[slug, which]
    facts = LESSONS[slug].result(TRIED[slug, which], recordings[slug, which]).values
    assert len(printed) >= 2
    for name, value in printed.items():
        ours, close = facts.get(name), closeness(slug, name)
        np.testing.assert_allclose(value, math.nan if ours is None else ours, err_msg=name, **close)
        assert name in facts or math.isnan(value), f"{name} is no fact of {slug}"


@pytest.mark.parametrize(("slug", "which"), COMPARED)
def test_a_script_draws_the_curve_of_its_lesson(slug, which, said, recordings):
    _, drawn = said[slug, which]
    ours = DRAWN[slug](LESSONS[slug], TRIED[slug, which], recordings[slug, which])
    assert drawn.keys() == ours.keys()
    for label, (x, y) in ours.items():
        first = len(x) - len(drawn[label][0])  # a logarithmic axis has no 0
        assert first <= 1
        np.testing.assert_allclose(drawn[label][0], x[first:], **CLOSE)
        close = closeness(slug, f"test_accuracy[{label}]")
        np.testing.assert_allclose(drawn[label][1], y[first:], err_msg=label, **close)


def test_workers_of_the_script_train_as_one_with_all_their_examples(tmp_path):
    lesson = LESSONS["scaling"]
    small = {"workers": 2, "width": 16, "global_batch": 64, "steps": 20, "rule": "square root", "serial_fraction": 0.0}
    knobs = lesson.parse(small)
    path = tmp_path / "script.py"
    path.write_text(script(lesson, knobs).replace("os.cpu_count()", "2"), encoding="utf-8")
    ran = start([], path, path=tmp_path)
    assert ran.returncode == 0, ran.stderr
    printed = numbers(ran.stdout)
    assert 0 < printed["gradient_difference"] < 1e-5
    for name in ("speedup[2]", "efficiency_weak[2]"):
        assert 0 < printed[name] < 100
    job = task(knobs, 1, "cpu")
    for kind, size in (("strong", 64), ("weak", 128)):
        net, examples, losses = Net(job, torch.device("cpu")), Examples(job, torch.device("cpu")), []
        for step in range(20):
            net.gradient.zero_()
            net.backward(*examples.batch(step, size), size)
            net.step(rate(knobs, Setting(kind, 2), step))
            losses.append(net.gradient[-1].item())
        np.testing.assert_allclose(printed[f"loss[{kind}]"], np.mean(losses[-2:]), err_msg=kind, **CLOSE)


@pytest.mark.parametrize("dataset", ["fashion-mnist", "mnist"])
def test_a_script_learns_from_the_data_of_its_lesson(dataset, real_data, tmp_path):
    lesson = LESSONS["width-and-interpolation"]
    small = {"dataset": dataset, "widths": (8,), "examples": 100, "passes": 3, "learning_rate": 0.05, "seeds": 1}
    knobs = lesson.parse(small)
    path = tmp_path / "script.py"
    path.write_text(script(lesson, knobs), encoding="utf-8")
    ran = start([], path, path=tmp_path, GRADIENT_LAB_DATA=str(real_data))
    assert ran.returncode == 0, ran.stderr
    recording = Recording()
    for frame in lesson.train(knobs, torch.device("cpu")):
        recording.append(frame)
    facts = lesson.result(knobs, recording).values
    assert facts["train_accuracy[h=8]"] > 0.2  # it has learned something to compare
    for name, value in numbers(ran.stdout).items():
        np.testing.assert_allclose(value, math.nan if facts[name] is None else facts[name], err_msg=name, **CLOSE)


@pytest.mark.parametrize(
    ("slug", "dataset", "published"),
    [
        ("optimizers", "cifar10", "CIFAR10"),
        ("optimizers", "fashion-mnist", "FashionMNIST"),
        ("batchnorm-and-dropout", "mnist", "MNIST"),
        ("cutout-and-batch-augmentation", "cifar10", "CIFAR10"),
    ],
)
def test_pictures_are_laid_out_as_in_the_lesson(slug, dataset, published, monkeypatch):
    # torchvision has the colours of a pixel side by side, the lessons one colour after another
    channels, side = (3, 32) if dataset == "cifar10" else (1, 28)
    flat = torch.randint(256, (7, channels * side * side), dtype=torch.uint8)
    labels = torch.randint(10, (7,))

    def read(folder, train, download):
        x, y = (flat[:5], labels[:5]) if train else (flat[5:], labels[5:])
        if channels == 1:
            return SimpleNamespace(data=x.view(-1, side, side), targets=y)
        return SimpleNamespace(data=x.view(-1, 3, side, side).permute(0, 2, 3, 1).numpy(), targets=y.tolist())

    names = ("CIFAR10", "FashionMNIST", "MNIST")
    kinds = SimpleNamespace(**{name: read if name == published else None for name in names})
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=kinds))
    tree = ast.parse((FOLDER / f"{slug}.py").read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "load"]
    settings = LESSONS[slug].settings(LESSONS[slug].knobs(dataset=dataset))
    there = {"torch": torch, "os": os, "dataset": settings.get("dataset", published)}
    exec(compile(tree, slug, "exec"), there)
    loads = there["load"]
    x, y, x_test, y_test = loads() if slug != "cutout-and-batch-augmentation" else (*loads(True), *loads(False))
    assert torch.equal(torch.cat([x, x_test]).flatten(1).float(), flat.float())
    assert torch.equal(torch.cat([y, y_test]), labels)


@pytest.mark.parametrize("slug", [slug for slug, which in TRIED if which == "another seed"])
def test_another_seed_would_be_noticed(slug, said):
    printed, other = (said[slug, which][0] for which in ("more 0", "another seed"))
    apart = [name for name in printed if not np.isclose(printed[name], other[name], equal_nan=True, **CLOSE)]
    assert len(apart) >= 2


@pytest.mark.parametrize("slug", SCRIPTS)
def test_a_script_is_short_stands_alone_and_lies_there_with_the_classrooms_knobs(slug):
    text = (FOLDER / f"{slug}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert script(LESSONS[slug], LESSONS[slug].presets["Classroom"]) == text
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    assert {name.partition(".")[0] for name in names} <= LIBRARIES | sys.stdlib_module_names


@pytest.mark.parametrize(("slug", "preset"), [(slug, name) for slug in SCRIPTS for name in LESSONS[slug].presets])
def test_no_preset_makes_a_script_long(slug, preset):
    assert len(script(LESSONS[slug], LESSONS[slug].presets[preset]).splitlines()) < 80


def test_every_file_is_a_lessons_script():
    assert {path.stem for path in FOLDER.glob("[!_]*.py")} == set(SCRIPTS) <= set(LESSONS)


def test_without_matplotlib_the_numbers_are_printed_all_the_same(tmp_path):
    lesson = LESSONS["perceptron-and-hinge"]
    path = tmp_path / "script.py"
    path.write_text(script(lesson, lesson.small(lesson.knobs())), encoding="utf-8")
    blind = (
        "import sys, runpy, importlib.util; importlib.util.find_spec = lambda name: None; runpy.run_path(sys.argv[1])"
    )
    ran = start(["-c", blind], path, path=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "paired_difference" in numbers(ran.stdout)


def test_the_one_choice_that_a_script_lacks_is_named_at_its_top_and_never_replaced_by_another(tmp_path):
    lesson, path = LESSONS["dying-relu"], tmp_path / "script.py"
    path.write_text(script(lesson, lesson.small(lesson.knobs(init="orthogonal"))), encoding="utf-8")
    assert 'init = "orthogonal" is not known' in ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ran = start([], path, path=tmp_path)
    assert ran.stderr.strip().endswith("KeyError: 'orthogonal'")


def test_every_choice_of_a_knob_is_tried():
    untried = {
        (slug, knob.name, choice)
        for slug in SCRIPTS
        for knob in LESSONS[slug].knobs.declared()
        for choice in (*knob.choices, *((False, True) if knob.kind == "bool" else ()))
        if not any(which[0] == slug and _has(knobs, knob.name, choice) for which, knobs in TRIED.items())
    }
    # A landscape is no part of the script of its lesson, whose settings leave it out.
    assert {each for each in untried if each[1] not in ("dataset", "landscape")} == {
        ("dying-relu", "init", "orthogonal")
    }


def _has(knobs, name, choice):
    value = getattr(knobs, name)
    return choice in value if isinstance(value, tuple) else choice == value


# ---- settings --------------------------------------------------------------------------------------------------------

VALUES = some.recursive(
    some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda each: some.lists(each, max_size=3).map(tuple) | some.dictionaries(some.text(), each, max_size=3),
)


@given(VALUES)
def test_every_value_is_written_as_the_literal_that_python_reads_back(value):
    text = literal(value)
    again = ast.literal_eval(text)
    assert again == value
    assert type(again) is type(value)
    text.encode()  # no half of a surrogate pair, say


@pytest.mark.parametrize(
    "hostile", ['"', "'", "\"'", "\\", "\n", "\r", '"""', f"\n{END}print(1)\n", "\ud800", "x\u2028y"]
)
def test_no_text_gets_out_of_its_quotes(hostile):
    words = f"a{hostile}__import__('os').abort()#"
    lesson = SimpleNamespace(slug=SCRIPTS[0], knobs=LESSONS[SCRIPTS[0]].knobs, settings=lambda knobs: {"text": words})
    text = script(lesson, None)
    before, _, after = (FOLDER / f"{SCRIPTS[0]}.py").read_text(encoding="utf-8").partition(BEGIN)
    assert text.startswith(before + BEGIN)
    assert text.endswith(END + after.partition(END)[2])
    (assigned,) = ast.parse(text.removeprefix(before + BEGIN).removesuffix(END + after.partition(END)[2])).body
    assert ast.literal_eval(assigned.value) == words


def test_what_is_no_literal_is_refused():
    with pytest.raises(TypeError, match="Path"):
        literal((Path(),))


def test_a_lesson_without_a_script_says_so():
    none = SimpleNamespace(slug="no-such-lesson")
    assert not has_script(none)
    with pytest.raises(FileNotFoundError):
        script(none, None)


def test_scripts_are_part_of_the_product():
    assert ROOT in FOLDER.parents
