"""What is printed arrives: in any encoding, to readers who go away, on a disk that is full."""

import ast
import io
import json
import os
import subprocess
import sys

import pytest

from core import console
from core.__main__ import _bar, main
from core.lessons import CURRICULUM, LESSONS
from core.places import ROOT
from core.scripts import has_script, script

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "cp850", "cp932", "utf-16", "utf-8")
SMALL = ["--set", "nets=20", "--set", "epochs=1", "--set", "points=64", "--set", "depth=2"]


class Console(io.TextIOWrapper):
    """A console with an encoding of its own."""

    def __init__(self, encoding, terminal=False):
        self.bytes, self.terminal = io.BytesIO(), terminal
        super().__init__(self.bytes, encoding)

    def isatty(self):
        return self.terminal

    def said(self, encoding="utf-8"):
        self.flush()
        return self.bytes.getvalue().decode(encoding)


@pytest.fixture
def consoles(monkeypatch):
    """`consoles(encoding)`: stdout and stderr are in that encoding from now on."""

    def set_to(encoding, terminal=False):
        out, err = Console(encoding, terminal), Console(encoding, terminal)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return set_to


COMMANDS = {
    "list": (["list"], 0),
    "list --json": (["list", "--json"], 0),
    "run": (["run", "dying-relu", *SMALL], 0),
    "run --json": (["run", "dying-relu", *SMALL, "--json"], 0),
    "an error": (["run", "no-such-ü×σ"], 2),
    "a knob's error": (["run", "dying-relu", "--set", "nets=×"], 2),
    "data list": (["data", "list"], 0),
    "data get": (["data", "get", "σ"], 2),
    "gallery restate": (["gallery", "restate"], 2),
    "bytes that are no text": (["run", "\udce4"], 2),
}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_utf_8_into_files_and_pipes(consoles, encoding, name):
    command, status = COMMANDS[name]
    out, err = consoles(encoding)
    assert main(command) == status
    said = (out.said(), err.said())
    assert any(said)
    if "--json" in command:
        json.loads(said[0])


@pytest.mark.parametrize("encoding", ["cp1252"])
@pytest.mark.parametrize("slug", [lesson.slug for lesson in CURRICULUM if has_script(lesson)])
def test_a_script_is_a_utf_8_file_whatever_the_consoles_encoding(consoles, encoding, slug):
    out, _ = consoles(encoding)
    assert main(["script", slug]) == 0
    assert out.said() == script(LESSONS[slug], next(iter(LESSONS[slug].presets.values())))
    ast.parse(out.bytes.getvalue())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_terminal_keeps_its_encoding_and_shows_what_it_can(consoles, encoding):
    out, err = consoles(encoding, terminal=True)
    assert main(["list"]) == 0
    assert "dying-relu" in out.said(encoding)
    _bar(0.5, 3.0)
    assert ("█" if console.can_show("█", err) else "###") in err.said(encoding)
    assert "50%" in err.said(encoding)


def test_lines_that_a_terminal_lacks_the_signs_for_are_left_out():
    text = "\n▀▄█\n  The class:  http://lab\n"
    assert console.lines_to_show(text, Console("ascii", terminal=True)) == "\n  The class:  http://lab\n"
    assert console.lines_to_show(text, Console("utf-8")) == text
    assert console.lines_to_show(text, None) == text


def test_streams_that_were_closed_before_we_began_are_nobody(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["list"]) == 0
    assert main(["run", "dying-relu", *SMALL]) == 0


PRINTING = "import sys; from core import console\nwith console.printing():\n    print(chr(0x3c3) * {})"


def printed(count, **streams):
    """Print that many signs in a process of its own whose consoles know none of them."""
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": ""}
    command = [sys.executable, "-c", PRINTING.format(count)]
    return subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, check=False, **streams)


def test_in_a_process_of_its_own_under_the_plainest_locale():
    ran = printed(3, stdout=subprocess.PIPE)
    assert (ran.returncode, ran.stdout.decode().strip(), ran.stderr) == (0, "σσσ", b"")


@pytest.mark.parametrize("count", [10, 100_000])
def test_a_reader_who_goes_away_is_told_nothing(count):
    reads, writes = os.pipe()
    os.close(reads)
    try:
        ran = printed(count, stdout=writes)
    finally:
        os.close(writes)
    assert (ran.returncode, ran.stderr) == (console.BROKEN_PIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("count", [10, 100_000])
def test_a_full_disk_is_a_sentence(count):
    with open("/dev/full", "wb") as full:
        ran = printed(count, stdout=full)
    assert (ran.returncode, ran.stderr.decode().strip()) == (
        1,
        "The output could not be written (No space left on device); free some space there.",
    )
