"""The command line: the headless face of the same core."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch

from core import data, places
from core.__main__ import _claims_that_broke, main
from core.lessons import CURRICULUM, LESSONS
from core.resources import cores
from core.runs.run import Run, State
from core.scripts import script
from tests.altered import altered

SMALL = ["--set", "nets=20", "--set", "epochs=1", "--set", "points=64", "--set", "depth=2"]
RELU = ["run", "dying-relu", *SMALL, "--device", "cpu"]


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_list_names_every_lesson_with_its_presets_and_knobs(capsys):
    assert main(["list", "--json"]) == 0
    found = last_line(capsys)
    assert [each["slug"] for each in found] == [lesson.slug for lesson in CURRICULUM]
    (relu,) = (each for each in found if each["slug"] == "dying-relu")
    assert relu["knobs"]["depth"]["maximum"] == 30
    assert "Done right" in relu["presets"]
    assert main(["list"]) == 0
    assert "presets: Classroom" in capsys.readouterr().out


def test_run_ends_with_one_json_object_and_the_second_time_comes_from_the_cache(capsys, cache):
    assert main([*RELU, "--json"]) == 0
    first = last_line(capsys)
    assert set(first) == {"slug", "key", "state", "wall_seconds", "device", "knobs", "facts", "claims"}
    assert (first["slug"], first["state"], first["knobs"]["nets"]) == ("dying-relu", "done", 20)
    assert first["key"] == LESSONS["dying-relu"].key(LESSONS["dying-relu"].parse(first["knobs"]))
    assert 0 <= first["facts"]["born_dead_fraction"] <= 1
    assert {claim["verdict"] for claim in first["claims"]} <= {"holds", "does not hold", "not decided"}
    assert list(cache.glob("runs/dying-relu/*/run.json"))

    assert main([*RELU, "--json"]) == 0
    assert last_line(capsys) == first, "the stored run, its time included"


def test_fresh_trains_again_to_the_same_numbers(capsys, cache):
    def created() -> str:
        (manifest,) = cache.glob("runs/dying-relu/*/run.json")
        return json.loads(manifest.read_text())["created"]

    main([*RELU, "--json"])
    first, before = last_line(capsys), created()
    main([*RELU, "--json", "--fresh"])
    second = last_line(capsys)
    assert (second["key"], second["facts"], second["claims"]) == (first["key"], first["facts"], first["claims"])
    assert created() > before


def test_a_list_is_set_as_json_and_a_preset_gives_the_rest(capsys):
    sets = ["--set", "dataset=digits", "--set", "widths=[4,8]", "--set", "passes=2", "--set", "examples=100"]
    assert main(["run", "width-and-interpolation", "--preset", "Random labels", *sets, "--json"]) == 0
    found = last_line(capsys)
    assert found["knobs"]["widths"] == [4, 8]
    assert found["knobs"]["label_noise"] == 1.0
    assert found["facts"]["passes_to_interpolate[h=4]"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "no-such"], "no-such is no lesson; choose "),
        (["run", "dying-relu", "--preset", "Fast"], "Fast is no preset of dying-relu; choose Classroom"),
        (["run", "dying-relu", "--set", "nets=5"], "nets = 5 is outside 20 … 4000"),
        (["run", "dying-relu", "--set", "nets"], "--set nets lacks its value"),
        (["run", "dying-relu", "--set", "netz=5"], "netz is not a knob of this lesson; did you mean nets?"),
        (["run", "dying-relu", "--set", "nets=" + "9" * 5000], "nets = "),
        (["run", "dying-relu", *SMALL, "--device", "abacus"], "abacus"),
        (["gallery", "build", "no-such"], "no-such is no lesson"),
        (["export", "0" * 32], "is no run that is stored here; run prints the name of each."),
        (["export", "../../etc/passwd"], "../../etc/passwd is no run that is stored here"),
        (["data", "get", "no-such"], "no-such"),
    ],
)
def test_what_cannot_be_ends_in_one_sentence_on_stderr_and_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_script_prints_the_lesson_as_a_script_with_the_knobs_asked_for(capsys):
    lesson = LESSONS["dying-relu"]
    assert main(["script", "dying-relu", "--preset", "Done right", "--set", "nets=20"]) == 0
    knobs = lesson.presets["Done right"].model_copy(update={"nets": 20})
    assert capsys.readouterr().out == script(lesson, knobs)


def test_a_lesson_without_a_script_ends_in_one_sentence_and_status_2(monkeypatch, capsys):
    monkeypatch.setattr("core.__main__.has_script", lambda lesson: lesson.slug == "dropout")
    assert main(["script", "dying-relu"]) == 2
    assert capsys.readouterr().err == "dying-relu has no script; these lessons have one: dropout.\n"


def test_data_list_says_of_each_set_what_the_page_says(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    assert main(["data", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == [json.loads(json.dumps(asdict(each))) for each in data.statuses()]
    assert {each["name"]: each["found"] for each in told} == dict.fromkeys(data.NAMES, False) | {"digits": True}
    assert main(["data", "list"]) == 0
    text = capsys.readouterr().out
    assert all(each.sentence in text for each in data.statuses())
    assert "digits  1,501 to train on, 296 to test on" in text


def test_missing_data_ends_in_one_sentence_and_status_2(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path))
    assert main(["run", "width-and-interpolation", "--set", "seed=4711"]) == 2  # no run of the gallery
    captured = capsys.readouterr()
    assert str(tmp_path) in captured.err
    assert len(captured.err.strip().splitlines()) == 1


def test_a_run_is_exported_and_on_another_machine_imported(capsys, monkeypatch, tmp_path):
    main([*RELU, "--json"])
    made = last_line(capsys)
    out = tmp_path / "run.glab"
    assert main(["export", made["key"], "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out

    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(tmp_path / "another"))
    assert main(["import", str(out)]) == 0
    assert f"imported, trained on {made['device']} (run {made['key']})" in capsys.readouterr().out
    (manifest,) = (tmp_path / "another").glob("runs/dying-relu/*/run.json")
    assert json.loads(manifest.read_text())["imported"] is True
    assert main(["import", str(out)]) == 0
    assert "here already, left as it is" in capsys.readouterr().out
    assert main([*RELU, "--json"]) == 0
    assert last_line(capsys) == made, "it opens instead of being trained"


def test_without_a_place_a_run_is_exported_under_its_name(capsys, monkeypatch, tmp_path):
    lesson = LESSONS["dying-relu"]
    key = lesson.key(lesson.presets["Classroom"])
    monkeypatch.chdir(tmp_path)
    assert main(["export", key]) == 0
    assert [path.name for path in tmp_path.glob("*.glab")] == [f"dying-relu-{key[:8]}.glab"]


def test_files_that_cannot_be_imported_get_a_sentence_each_and_the_others_are(capsys, tmp_path, cache):
    lesson = LESSONS["dying-relu"]
    good, bad, missing = (tmp_path / name for name in ("good.glab", "bad.glab", "missing.glab"))
    main([*RELU, "--json"])
    key = last_line(capsys)["key"]
    main(["export", key, "--out", str(good)])
    shutil.rmtree(cache)
    bad.write_bytes(good.read_bytes()[:-1])
    capsys.readouterr()
    assert main(["import", str(bad), str(missing), str(tmp_path), str(good)]) == 1
    captured = capsys.readouterr()
    assert f"imported, trained on CPU, {cores()} core" in captured.out
    refused = captured.err.strip().splitlines()
    assert [line.partition(": ")[0] for line in refused] == [str(bad), str(missing), str(tmp_path)]
    assert "its frames are not those that its manifest vouches for; export it again" in refused[0]
    assert "No such file" in refused[1]
    assert list(cache.glob(f"runs/{lesson.slug}/{key}/run.json"))


def test_an_imported_run_goes_into_the_gallery_as_one(capsys, monkeypatch, tmp_path, cache):
    lesson = LESSONS["dying-relu"]
    small = {"Classroom": lesson.small(lesson.presets["Classroom"])}
    monkeypatch.setitem(vars(lesson), "presets", small)
    main(["run", "dying-relu"])
    main(["export", lesson.key(small["Classroom"]), "--out", str(tmp_path / "run.glab")])
    shutil.rmtree(cache)
    main(["import", str(tmp_path / "run.glab")])
    assert main(["gallery", "build", "dying-relu"]) == 0
    (manifest,) = cache.glob("gallery/dying-relu/*/run.json")
    assert json.loads(manifest.read_text())["imported"] is True


def test_a_run_that_fails_ends_in_one_sentence_and_status_1(monkeypatch, capsys):
    monkeypatch.setattr("core.lessons.dying_relu.orders", lambda *_, **__: 1 / 0)
    assert main([*RELU, "--json"]) == 1
    captured = capsys.readouterr()
    assert "ZeroDivisionError" in captured.err.strip().splitlines()[-1]
    assert json.loads(captured.out.strip().splitlines()[-1])["state"] == "failed"


@pytest.fixture
def own_gallery(monkeypatch, cache):
    """The gallery in the cache is the only one."""
    monkeypatch.setattr(places, "galleries", lambda: [cache / "gallery"])


def test_the_gallery_is_built_and_verified_and_a_flipped_byte_is_noticed(monkeypatch, capsys, cache, own_gallery):
    lesson = LESSONS["dying-relu"]
    small = {name: lesson.small(knobs) for name, knobs in list(lesson.presets.items())[:4]}
    monkeypatch.setitem(vars(lesson), "presets", small)
    monkeypatch.setitem(vars(lesson), "for_gpu", ("As the notebook ran it",))  # left out
    assert main(["gallery", "build", "dying-relu"]) == 0
    assert main(["gallery", "verify"]) == 0
    assert "2 runs verified, 0 problems" in capsys.readouterr().out
    assert main(["gallery", "build", "dying-relu"]) == 0, "what is there stays"

    frames = next(cache.glob("gallery/dying-relu/*/frames.npz"))
    damaged = bytearray(frames.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    frames.write_bytes(bytes(damaged))
    capsys.readouterr()
    assert main(["gallery", "verify"]) == 1
    assert frames.parent.name in capsys.readouterr().err


def test_a_changed_claim_is_restated_in_the_gallery_without_training(monkeypatch, capsys, own_gallery):
    lesson = LESSONS["dying-relu"]
    small = {"Classroom": lesson.small(lesson.presets["Classroom"])}
    said = lesson.check_claims
    monkeypatch.setitem(vars(lesson), "presets", small)
    assert main(["gallery", "build", "dying-relu"]) == 0
    monkeypatch.setattr(lesson, "check_claims", lambda run: [replace(each, source="anew") for each in said(run)])
    monkeypatch.setitem(vars(lesson), "train", None)
    assert main(["gallery", "verify"]) == 1
    assert "no longer give the facts or claims" in capsys.readouterr().err
    assert main(["gallery", "restate", "perceptron-and-hinge"]) == 0
    assert "0 runs, 0 restated" in capsys.readouterr().out
    assert main(["gallery", "restate"]) == 0
    assert "1 runs, 1 restated, 0 refused" in capsys.readouterr().out
    assert main(["gallery", "verify"]) == 0

    monkeypatch.setattr(lesson, "check_claims", lambda run: run.recording.last("a new curve"))
    assert main(["gallery", "restate"]) == 1
    assert "KeyError: 'a new curve'; build it again." in capsys.readouterr().err


def test_last_digits_as_another_processor_computes_them_are_no_problem_and_verdicts_are(
    monkeypatch, capsys, own_gallery
):
    lesson = LESSONS["dying-relu"]
    knobs, said = lesson.small(lesson.presets["Classroom"]), lesson.compute_facts
    monkeypatch.setitem(vars(lesson), "presets", {"Classroom": knobs})
    assert main(["gallery", "build", "dying-relu"]) == 0
    for factor, problems in ((1 + 1e-12, 0), (1 + 1e-6, 1)):

        def elsewhere(run, factor=factor):
            return [replace(fact, value=fact.value and fact.value * factor) for fact in said(run)]

        monkeypatch.setattr(lesson, "compute_facts", elsewhere)
        assert main(["gallery", "verify"]) == problems
        captured = capsys.readouterr()
        assert f"1 runs verified, {problems} problems" in captured.out
    assert "the fact born_dead_fraction was" in captured.err
    monkeypatch.setattr(lesson, "compute_facts", said)
    claims = lesson.check_claims
    monkeypatch.setattr(lesson, "check_claims", lambda run: [replace(each, holds=None) for each in claims(run)])
    assert main(["gallery", "verify"]) == 1
    assert "had holds" in capsys.readouterr().err


def test_the_gallery_that_ships_is_whole_and_its_claims_hold_wherever_the_cache_is(capsys, cache):
    assert main(["gallery", "verify"]) == 0, capsys.readouterr().err
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f" runs verified, 0 problems in {places.GALLERY}")
    assert int(line.split()[0]) > 50


def test_a_gallery_in_the_cache_is_verified_beside_the_one_that_ships(monkeypatch, capsys, tmp_path, cache):
    monkeypatch.setattr(places, "GALLERY", tmp_path / "ships")
    (cache / "gallery").mkdir(parents=True)
    assert main(["gallery", "verify"]) == 1, "one without runs is not in order"
    said = [f"0 runs verified, 0 problems in {root}" for root in (tmp_path / "ships", cache / "gallery")]
    assert capsys.readouterr().out.splitlines() == said


def test_where_there_is_no_gallery_to_restate_there_is_a_sentence(capsys, cache):
    assert main(["gallery", "restate"]) == 2
    assert capsys.readouterr().err == (
        f"{cache}/gallery is no gallery; unset GRADIENT_LAB_CACHE for the one that ships, or build it first.\n"
    )


def test_a_script_is_written_to_a_file_or_a_sentence_says_why_not(tmp_path, capsys):
    lesson, out = LESSONS["depth-vs-width"], tmp_path / "ü b.py"
    assert main(["script", lesson.slug, "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == script(lesson, lesson.presets["Classroom"])
    assert main(["script", lesson.slug, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        f"{tmp_path} cannot be written (Is a directory); choose another place with --out.\n",
    )


# Where the cache is


@pytest.mark.parametrize("name", ["a b", "Übung 1", "~/cache", "relative/cache", "'quoted'"])
def test_the_cache_may_have_any_name(monkeypatch, tmp_path, capsys, name):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADIENT_LAB_CACHE", name)
    assert main(["run", "cnn-arithmetic", "--set", "input_size=40"]) == 0, capsys.readouterr().err
    where = tmp_path / name.replace("~", "home")
    assert list(where.glob("runs/cnn-arithmetic/*/run.json"))


def _a_file(folder):
    (folder / "file").write_text("", encoding="utf-8")
    return folder / "file"


def _in_a_circle(folder):
    (folder / "circle").symlink_to(folder / "circle")
    return folder / "circle"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (_a_file, "is not a folder; set GRADIENT_LAB_CACHE to one"),
        (lambda folder: _a_file(folder) / "below", "is not in a folder; set GRADIENT_LAB_CACHE to one"),
        (lambda folder: "/proc/none", "no folder can be made at"),
        (lambda folder: folder / ("x" * 300), "is too long; set GRADIENT_LAB_CACHE to a shorter one"),
        (lambda folder: "~no-such-user/cache", "GRADIENT_LAB_CACHE = ~no-such-user/cache is no folder"),
        (_in_a_circle, "circle"),
    ],
    ids=["a file", "below a file", "where none can be", "too long", "nobody's home", "a circle"],
)
def test_a_cache_that_cannot_be_is_one_sentence(monkeypatch, tmp_path, capsys, place, said):
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(place(tmp_path)))
    main(["run", "cnn-arithmetic", "--set", "input_size=40"])
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_claim_may_fail_where_a_mistake_is_shown_and_nowhere_else():
    lesson = LESSONS["cnn-arithmetic"]
    mistaken = lesson.presets["As the notebook ran it"]
    for name, problems in (("As the notebook ran it", 0), ("Done right", 2)):
        under = altered(lesson, presets={**lesson.presets, "As the notebook ran it": lesson.knobs(), name: mistaken})
        run = Run(under, mistaken, under.key(mistaken), state=State.DONE)
        for frame in under.train(mistaken, torch.device("cpu")):
            run.recording.append(frame)
        assert len(_claims_that_broke(run)) == problems


def test_a_network_is_counted_layer_by_layer(capsys):
    assert main(["count", "conv 6 5x5 pad 2, relu, pool 2, fc 10", "--input", "1x28x28"]) == 0
    said = capsys.readouterr().out
    assert "conv 6 5x5 pad 2" in said
    assert main(["count", "torchvision:alexnet", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert (counted["parameters"], counted["macs"], counted["input"]) == (61_100_840, 714_188_480, "3 × 224 × 224")
    assert len(counted["layers"]) == 13


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["torchvision:alexnot"], "alexnot is no classification model of torchvision; did you mean alexnet?\n"),
        (["torchvision:vit_b_16"], "torchvision:vit_b_16 cannot be written in the language: it "),
        (["no.such:Net"], "no.such cannot be imported (ModuleNotFoundError"),
        (["fc 10, pool 2"], "pool 2 does not fit: its input is 1 wide, and no image makes it larger"),
        (["fc 10", "--input", "3x0x5"], "'3x0x5' is no size of an image; write channels, height and width"),
    ],
)
def test_a_network_that_cannot_be_counted_ends_in_a_sentence(arguments, sentence, capsys):
    assert main(["count", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1
