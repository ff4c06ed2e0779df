"""Bundles: the same run on another server; and of hostile ones nothing but a sentence."""

import io
import json
import logging
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from core.frames import Recording
from core.lessons import LESSONS
from core.places import GALLERY, ROOT
from core.runs import bundle, packing
from core.runs.agreement import disagreement, stated
from core.runs.bundle import BundleError
from core.runs.run import Run
from core.runs.runner import Runner
from core.runs.store import Store, StoreError
from tests.altered import altered
from tests.runs import hostile
from tests.runs.fakes import FailingFiles, QuickFiles, TinyKnobs, commit, same
from tests.runs.hostile import DRAWN, KINDS, forged, sealed, with_arrays

HERE = {"drawn": DRAWN}


def store_in(folder, files=None, lessons=HERE) -> Store:
    return Store(folder, [folder / "gallery"], lessons, files or QuickFiles())


@pytest.fixture
def theirs(tmp_path) -> Run:
    """A run that another server has stored."""
    return hostile.stored(store_in(tmp_path / "theirs"))


@pytest.fixture
def ours(tmp_path) -> Store:
    return store_in(tmp_path / "ours")


def refusal(data: bytes, lessons=HERE) -> str:
    """The sentence that a bundle gets."""
    with pytest.raises(BundleError) as caught:
        bundle.read(data, lessons)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 500
    return sentence


# There and back


def test_a_run_comes_to_another_server_bit_for_bit(theirs, ours, tmp_path):
    run, new = bundle.bring_in(bundle.export(theirs), ours)
    assert new
    again = store_in(tmp_path / "ours").get(theirs.key)  # as a restart finds it
    assert same(again.recording, theirs.recording)
    assert (again.knobs, again.key, again.device, again.created) == (run.knobs, run.key, "a fake", theirs.created)
    assert (again.wall_seconds, again.facts, again.claims) == (1.25, theirs.facts, theirs.claims)
    kept = {"imported", "files"}
    assert again.manifest.model_dump(exclude=kept) == theirs.manifest.model_dump(exclude=kept)
    frames = ours.runs / "drawn" / run.key / "frames.npz"
    assert bundle.export(theirs).endswith(frames.read_bytes())


def test_imported_it_is_called_for_ever_however_far_it_travels(theirs, ours, tmp_path):
    assert not theirs.imported
    run, _ = bundle.bring_in(bundle.export(theirs), ours)
    assert run.imported
    assert [each.imported for each in store_in(tmp_path / "ours").list()] == [True]
    run, _ = bundle.bring_in(bundle.export(run), store_in(tmp_path / "third"))
    assert run.imported
    assert json.loads((ours.runs / "drawn" / run.key / "run.json").read_text())["imported"] is True


def test_every_run_of_the_gallery_can_go_to_another_server(tmp_path):
    gallery, other = Store(tmp_path / "none", [GALLERY], LESSONS), store_in(tmp_path / "other", lessons=LESSONS)
    listed = gallery.list()
    assert listed
    for each in listed:
        run = gallery.find(each.lesson, each.knobs)
        found, new = bundle.bring_in(bundle.export(run), other)
        assert new
        assert packing.pack(found.recording.arrays()) == packing.pack(run.recording.arrays())
        assert disagreement(stated(run), stated(found)) == ""  # computed here, perhaps on another kind of processor
        assert not run.imported


def test_equal_runs_are_equal_files(theirs, tmp_path):
    again = store_in(tmp_path / "theirs").get(theirs.key)
    assert again is not theirs
    assert bundle.export(again) == bundle.export(theirs)


def test_a_run_that_is_here_already_stays(theirs, ours):
    own = hostile.stored(ours)
    before = (ours.runs / "drawn" / own.key / "run.json").read_bytes()
    run, new = bundle.bring_in(bundle.export(theirs), ours)
    assert not new
    assert not run.imported
    assert run.created == own.created != theirs.created
    assert (ours.runs / "drawn" / own.key / "run.json").read_bytes() == before


def test_a_run_of_the_gallery_stays_too(theirs, ours):
    own = commit(ours, replace(theirs, manifest=None), gallery=ours.runs.parent / "gallery")
    run, new = bundle.bring_in(bundle.export(theirs), ours)
    assert (run.origin, new) == ("gallery", False)
    assert not (ours.runs / "drawn" / own.key).exists()


def test_a_fresh_run_of_our_own_is_not_imported_any_more(theirs, ours):
    bundle.bring_in(bundle.export(theirs), ours)
    assert not commit(ours, replace(theirs, manifest=None), fresh=True).imported
    assert not ours.get(theirs.key).imported


def test_facts_and_claims_are_computed_here(theirs, ours):
    lie = forged(theirs, facts={"final_loss": 0.0, "won": 1e9}, claims=[{"sentence": "Mine.", "holds": True}])
    run, _ = bundle.bring_in(lie, ours)
    assert run.facts == theirs.facts
    assert run.claims == theirs.claims


def test_a_disk_that_says_no_becomes_a_sentence_that_says_to_import_again(theirs, tmp_path):
    files = FailingFiles()
    files.fails, files.stays = 6, True
    with pytest.raises(StoreError, match=r"The imported run could not be saved: .* the disk and import it again"):
        bundle.bring_in(bundle.export(theirs), store_in(tmp_path / "full", files))


def test_what_is_not_stored_or_too_large_is_not_exported(theirs, monkeypatch):
    with pytest.raises(BundleError, match="is not stored"):
        bundle.export(replace(theirs, manifest=None))
    monkeypatch.setattr(bundle, "MOST_FRAMES", 5)
    with pytest.raises(BundleError, match="it has 6 frames, and 1 … 5 may be; export"):
        bundle.export(theirs)
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "MOST_BYTES", 2**10)
    with pytest.raises(BundleError, match=r"it has 0\.0 MB, more than"):
        bundle.export(theirs)


def test_the_server_takes_files_as_long_as_bundles_may_be():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] * 2**20 == bundle.MOST_BYTES


def test_an_imported_run_takes_the_place_of_an_attempt_that_came_to_nothing(theirs, ours):
    class NoEngine:
        machine = None

        def warm(self):
            pass

        def close(self):
            pass

    runner = Runner(ours, NoEngine(), HERE)
    try:
        stopped = Run(DRAWN, theirs.knobs, theirs.key)
        with runner.changed:
            runner._end(stopped, hostile.State.STOPPED)
        assert runner.get(theirs.key) is stopped
        run, _ = bundle.bring_in(bundle.export(theirs), runner.store)
        assert runner.get(theirs.key).imported
        assert run.imported
    finally:
        runner.close()


# Whose run it is


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "0" * 32}, "it calls itself 00000000"),
        ({"key": DRAWN.key(TinyKnobs(seed=9))}, "but a run with its knobs is"),
        ({"key": "../../../../etc/passwd"}, "it calls itself ../../../../etc/passwd"),
        ({"slug": "tiny"}, "it calls itself"),
        ({"slug": "no-such"}, "is of the lesson no-such, which is not here; update this server"),
        ({"slug": "../../../etc"}, "is of the lesson ../../../etc, which is not here"),
        ({"slug": "\u202e\n" * 500}, "is of the lesson ······"),
        ({"revision": 2}, "by revision 2 of drawn, which has 1 here; update the older server"),
        ({"revision": 10**40}, "by revision 1000000000000000000… of drawn, which has 1 here"),
        ({"knobs": {"seed": -1}}, "has knobs that cannot be here: seed = -1 is outside"),
        ({"knobs": {"seed": 0, "rate": 1e300}}, "rate = 1e+300 is outside 0.001 … 10"),
        ({"knobs": {"evil": 1}}, "evil is not a knob of this lesson"),
        ({"knobs": {"seed": [[[]]]}}, "seed = [[[]]] is not a whole number"),
        ({"format": 2}, "run.json has format 2, this version reads format 1"),
        ({"more": 1}, "run.json was written by another version"),
        ({"files": {}}, "its frames are not those that its manifest vouches for"),
    ],
)
def test_a_run_of_another_lesson_revision_name_or_of_bad_knobs_is_refused(theirs, changes, says):
    lessons = {**HERE, "tiny": altered(DRAWN, slug="tiny")}
    assert says in refusal(forged(theirs, **changes), lessons)


@pytest.mark.parametrize("name", ["../../frames.npz", "/etc/passwd", "C:\\frames.npz", "frames.npy", ""])
def test_a_manifest_that_names_another_file_is_refused(theirs, name):
    one = hostile.said(theirs)["files"]["frames.npz"]
    assert "vouches for" in refusal(forged(theirs, files={name: one}))
    assert "vouches for" in refusal(forged(theirs, files={"frames.npz": one, name: one}))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("created", '"2026-01-01T00:00:00"', "created = "),  # of no time zone: sorting it would fail
        ("created", '"9999-12-31T23:59:59-14:00"', "trained on 9999-12-31, and by the clock of this machine"),
        ("created", '"0001-01-01T00:00:00+14:00"', "trained on 0001-01-01, before Gradient Lab was made"),
        ("wall_seconds", "NaN", "wall_seconds = nan is not possible"),
        ("wall_seconds", "Infinity", "wall_seconds = inf is not possible"),
        ("wall_seconds", "-1", "wall_seconds = -1.0 is not possible"),
        ("wall_seconds", "1e999", "wall_seconds = inf is not possible"),
        ("threads", "0", "threads = 0 is not possible"),
        ("threads", "9" * 4000, "threads = 999"),
        ("threads", "9" * 5000, "another version"),
        ("device", '""', "device = "),
        ("device", '"' + "x" * 81 + '"', "device = xxx"),
        ("versions", json.dumps({"torch": "9" * 81}), "versions.torch = 999"),
        ("versions", json.dumps({str(i): "1" for i in range(21)}), "versions = "),
        ("facts", "[" * 5000, "another version"),
        ("claims", "[" * 5000 + "]" * 5000, "another version"),
        ("knobs", '{"a":' * 5000, "another version"),
        ("facts", '{"a": ' * 100 + "1" + "}" * 100, "another version"),
        ("data", "1" * 5000, "another version"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_refused(theirs, name, value, says):
    frames = packing.pack(theirs.recording.arrays())
    said = {**hostile.said(theirs), "files": {"frames.npz": packing.record(frames).model_dump()}, name: "@@"}
    assert says in refusal(sealed(json.dumps(said, indent=2).replace('"@@"', value)) + frames)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-1e999"])
def test_facts_that_are_no_numbers_are_not_even_looked_at(theirs, ours, value):
    frames = packing.pack(theirs.recording.arrays())
    said = {**hostile.said(theirs), "files": {"frames.npz": packing.record(frames).model_dump()}}
    text = json.dumps({**said, "facts": {"final_loss": "@@"}}, indent=2).replace('"@@"', value)
    run, _ = bundle.bring_in(sealed(text) + frames, ours)
    assert run.facts == theirs.facts


def test_hostile_text_stays_text(theirs, ours):
    text = "<script>alert(1)</script> [x](http://evil.example)\n\u202e"
    run, _ = bundle.bring_in(forged(theirs, device=text, versions={text[:30]: text}), ours)
    shown = "<script>alert(1)</script> [x](http://evil.example)··"
    assert run.device == shown
    assert run.manifest.versions == {text[:30]: shown}


# Which frames it has


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": np.array([0.0, 1, 2, 3, 5, 4])}, "steps: they fall"),
        ({"steps": np.array([0.0, 1, 2, 3, 4, np.nan])}, "steps: they fall"),
        ({"steps": np.array([0.0, 1, 2, 3, 4, np.inf])}, "a step that is no number"),
        ({"steps": np.arange(6)}, "or are no numbers"),
        ({"steps": np.arange(5.0)}, "frame numbers that no recording has"),
        ({"progress": np.array(0.4)}, "had not ended (40% done)"),
        ({"progress": np.array(np.nan)}, "had not ended"),
        ({"curve__loss__values": np.ones((6, 3))}, "curve loss has not the 2 series"),
        ({"curve__loss__values": np.ones((6, 1))}, "curve loss has not the 2 series"),
        ({"curve__loss__values": np.ones(6)}, "curve loss has not the 2 series"),
        ({"curve__loss__values": np.ones((6, 2, 0))}, "curve loss has neither one number"),
        ({"curve__loss__values": np.ones((6, 2, 1, 1))}, "curve loss has neither one number"),
        ({"curve__loss__values": np.ones((5, 2))}, "values that are not one for each frame"),
        ({"curve__loss__values": np.ones((6, 2), "f4")}, "or no numbers"),
        ({"curve__loss__values": np.empty((10**12, 0))}, "values that are not one for each frame"),
        ({"curve__loss__values": None}, "KeyError"),
        ({"curve__loss__frames": np.array([0, 1, 2, 3, 4, 6])}, "frame numbers that no recording has"),
        ({"curve__loss__frames": None}, "an array that belongs to nothing"),
        ({"curve__loss__frames": None, "curve__loss__values": None}, "has not the 2 series"),
        ({"picture__weights__frames": None, "picture__weights__stack": None}, "picture weights is missing"),
        ({"picture__weights__stack": np.ones((3, 2, 2))}, "cannot read its frames (IndexError"),
        ({"picture__weights__stack": np.ones((3, 3))}, "has another shape than is drawn"),
        ({"picture__weights__stack": np.ones((3, 3, 2, 2))}, "has another shape than is drawn"),
        ({"picture__weights__stack": np.full((3, 3, 2), "a")}, "has another shape than is drawn"),
        ({"picture__weights__stack": np.ones((3, 3, 2), complex)}, "picture weights is no plain array"),
        ({"picture__weights__stack": np.ones((3, 10**12, 0))}, "picture weights is no plain array"),
        ({"picture__../../x__frames": np.array([0]), "picture__../../x__stack": np.ones((1, 2))}, "is no name of"),
        ({"curve__=cmd()__frames": np.array([0]), "curve__=cmd()__values": np.ones(1)}, "=cmd() is no name of a curve"),
        ({"sound__loss__frames": np.array([0])}, "KeyError"),
        ({"run.json": np.ones(1)}, "run.json: an array that belongs to nothing"),
    ],
)
def test_frames_that_its_lesson_cannot_read_are_refused(theirs, changes, says):
    assert says in refusal(with_arrays(theirs, **changes))


def test_a_lesson_that_fails_on_the_frames_is_a_refusal_too(theirs):
    for broken in ("compute_facts", "check_claims", "panels"):
        lesson = altered(DRAWN, **{broken: lambda *_: 1 / 0})
        said = refusal(bundle.export(theirs), {"drawn": lesson})
        assert "Drawn cannot read its frames (ZeroDivisionError" in said


def test_limits_bind_before_memory_is_taken(theirs, monkeypatch):
    whole = bundle.export(theirs)
    for name, most, says in (
        ("MOST_BYTES", 1000, "MB that may be imported"),
        ("MOST_UNPACKED", 500, "its arrays unpack to"),
        ("MOST_ARRAYS", 7, "it lists 8 arrays, more than 7"),
        ("MOST_FRAMES", 5, "it has 6 frames, and 1 … 5 may be"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(bundle, name, most)
            if name == "MOST_ARRAYS":
                patch.setattr(packing, "unpack", lambda *_: pytest.fail("unpacked"))
            assert says in refusal(whole)


def test_numbers_are_weighed_as_the_player_is_sent_them(theirs):
    many = np.zeros((1, bundle.MOST_UNPACKED // 4 + 1), "u1")  # a quarter of the limit as they lie in the file
    data = with_arrays(theirs, picture__more__frames=np.array([0]), picture__more__stack=many)
    assert "its frames take 16.0 MB, more than the 16 MB" in refusal(data)


# What came to no good


@pytest.mark.parametrize("name", KINDS)
def test_of_each_kind_of_hostile_bundle_nothing_comes(name, theirs, tmp_path, monkeypatch):
    logging.disable(logging.CRITICAL)
    try:
        monkeypatch.setattr(hostile, "KINDS", {name: KINDS[name]})
        found = hostile.trial([theirs], 4, 0, tmp_path / "trial")
    finally:
        logging.disable(logging.NOTSET)
    assert found.wrong == []
    assert found.tried == 4
    fine = name in ("whole", "hostile text")
    assert (found.taken.total() == 4) == fine or name == "duplicate keys"


def test_the_trial_bites(theirs, tmp_path, monkeypatch):
    """A reader that asks for all of an entry, one that believes, and one that unpickles are each found out.

    In a process of its own: memory that earlier tests have freed would hide what is taken here.
    """
    if "TRIAL_ALONE" not in os.environ:
        again = [sys.executable, "-m", "pytest", f"{__file__}::test_the_trial_bites"]
        env = {**os.environ, "TRIAL_ALONE": "1"}
        ran = subprocess.run(again, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=False)
        assert ran.returncode == 0, ran.stdout
        assert "1 passed" in ran.stdout
        return

    monkeypatch.chdir(tmp_path)  # the reader that unpickles does what it is told: touch a file here

    def wrong(kind, **changes):
        with monkeypatch.context() as patch:
            patch.setattr(hostile, "KINDS", {kind: KINDS[kind]})
            patch.setattr(hostile, "MOST_EXTRA", 20 * 10**6)
            for name, value in changes.items():
                patch.setattr(packing, name, value)
            return hostile.trial([theirs], 12, 1, tmp_path / f"{kind}, {', '.join(changes)}").wrong

    def all_of_it(archive, member):
        return archive.read(member)

    def unpickled(data):
        return np.load(io.BytesIO(data), allow_pickle=True)

    assert wrong("false sizes") == []
    assert any("more memory" in each for each in wrong("false sizes", _read=all_of_it))
    assert any("os.system" in each for each in wrong("pickled", _array=unpickled))
    monkeypatch.setattr(Recording, "from_arrays", staticmethod(_unchecked))
    monkeypatch.setattr(bundle, "_misfit", lambda *_: "")
    assert wrong("frames that do not fit")


def _unchecked(arrays) -> Recording:
    made = Recording()
    made._steps, made.progress = list(arrays["steps"]), 1.0
    for name in arrays:
        if name.endswith("/values"):
            made._curves[name.split("/")[1]] = list(enumerate(arrays[name]))
        if name.endswith("/stack"):
            made._pictures[name.split("/")[1]] = list(enumerate(arrays[name]))
    return made


def clock_says(monkeypatch, when):
    """The clock of this machine, as an import reads it."""
    stopped = type("Stopped", (datetime,), {"now": classmethod(lambda cls, zone: when)})
    monkeypatch.setattr(bundle, "datetime", stopped)


@pytest.mark.parametrize(
    ("here", "trained", "says"),
    [
        # A machine without a battery for its clock begins in 1970: the other machine has done nothing wrong.
        ("1970-01-01", "2026-05-01", ["of this machine today is 1970-01-01", "set this clock and import the file"]),
        ("2026-04-01", "2026-05-01", ["trained on 2026-05-01", "today is 2026-04-01", "set the clock that is wrong"]),
        ("2026-05-01", "1970-01-02", ["trained on 1970-01-02", "set the clock of the machine that trained it"]),
        ("2026-05-01", "2026-05-01", []),
        ("2026-05-01", "2026-05-02", []),  # zones, and clocks that nobody sets
    ],
)
def test_a_wrong_clock_is_named_and_not_the_other_machine(theirs, ours, monkeypatch, here, trained, says):
    clock_says(monkeypatch, datetime.fromisoformat(here).replace(tzinfo=UTC))
    packed = forged(theirs, created=f"{trained}T00:00:00+00:00")
    if says:
        said = refusal(packed)
        assert all(words in said for words in says)
        assert "export it again where it was trained" not in said
    else:
        bundle.bring_in(packed, ours)


def test_when_it_was_made_is_kept(theirs, ours):
    when = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    run, _ = bundle.bring_in(forged(theirs, created=when.isoformat()), ours)
    assert run.created == when
