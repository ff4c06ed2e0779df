"""The environment is set up from anything that may lie in its place, and a failure says what to do."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core import setup
from core.places import ROOT
from core.setup import ENVIRONMENT, SetupError, python_of, set_up, why_pip_failed


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A product that needs no packages, so that nothing is downloaded."""
    for name in ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_NO_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens at the discard port
    folder = tmp_path / "a folder with an ü"
    (folder / "tests").mkdir(parents=True)
    (folder / "requirements.txt").touch()
    (folder / "tests" / "requirements.txt").touch()
    return folder


def made(root):
    """An environment without pip, as a start leaves it that was broken off: made in a tenth of the time."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ENVIRONMENT], check=True)
    return root / ENVIRONMENT


def runs(python):
    return subprocess.run([python, "-c", "print('works')"], capture_output=True, check=False).stdout.strip() == b"works"


def no_python(root):
    python = python_of(made(root))
    python.unlink()
    python.symlink_to(root / "a Python that was removed")


def empty(root):
    (root / ENVIRONMENT).mkdir()


def a_file(root):
    (root / ENVIRONMENT).touch()


def a_link_to_nothing(root):
    (root / ENVIRONMENT).symlink_to(root / "nowhere")


@pytest.fixture
def quick(monkeypatch):
    """Whatever has a Python has pip: the environment's own takes seconds to be put there."""
    run = subprocess.run

    def without_pip(command, **how):
        return run([*command, "--without-pip"] if command[1:3] == ["-m", "venv"] else command, **how)

    monkeypatch.setattr(setup.subprocess, "run", without_pip)
    monkeypatch.setattr(setup, "_has_pip", lambda python: python.exists())
    monkeypatch.setattr(setup, "_install", lambda root, python, requirements: None)


def test_an_environment_without_pip_is_made_anew(root, capfd):
    made(root)
    python = set_up(root)
    assert runs(python)
    assert subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    assert "made anew" in capfd.readouterr().out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("broken", [no_python, empty, a_file, a_link_to_nothing], ids=lambda each: each.__name__)
def test_an_environment_that_does_not_work_is_made_anew(root, broken, capfd):
    broken(root)
    assert runs(set_up(root))
    assert "made anew" in capfd.readouterr().out
    set_up(root)
    assert capfd.readouterr().out == ""  # the second start has nothing to do


@pytest.mark.usefixtures("quick")
def test_a_moved_folder_keeps_its_environment_and_starts(root, capfd):
    set_up(root)
    (root / ENVIRONMENT / "kept").touch()
    moved = root.rename(root.with_name("moved"))
    capfd.readouterr()
    python = set_up(moved)
    assert runs(python)
    assert (moved / ENVIRONMENT / "kept").exists()
    assert capfd.readouterr().out == ""


def test_the_commands_of_make_call_no_script_of_the_environment():
    """The first line of such a script names the folder in which it was installed."""
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"\.venv/bin/\S+", rules)) == {".venv/bin/python"}
    assert "$(PY) -m streamlit" in rules


@pytest.mark.usefixtures("quick")
def test_changed_requirements_are_installed_and_those_of_the_tests_when_asked_for(root, monkeypatch):
    asked = []
    monkeypatch.setattr(setup, "_install", lambda root, python, requirements: asked.append(list(requirements)))
    made(root)
    set_up(root)
    set_up(root)
    assert asked == [["requirements.txt"]]
    set_up(root, tests=True)
    set_up(root, tests=True)
    set_up(root)
    assert asked[1:] == [["requirements.txt", "tests/requirements.txt"]]
    (root / "requirements.txt").write_text("numpy\n", encoding="utf-8")
    set_up(root)
    assert asked[2:] == [["requirements.txt"]]


def test_without_a_network_it_says_what_is_missing_and_how_to_bring_it(root):
    (root / "requirements.txt").write_text("a-package-of-nobody\n", encoding="utf-8")
    with pytest.raises(SetupError) as failed:
        setup._install(root, Path(sys.executable), ["requirements.txt"])
    said = str(failed.value)
    assert "the package index cannot be reached" in said
    assert "pip download -d wheels -r requirements.txt" in said
    assert "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels" in said


@pytest.mark.usefixtures("quick")
def test_what_could_not_be_installed_is_asked_for_again_at_the_next_start(root, monkeypatch):
    def fails(*_):
        raise SetupError("no network")

    monkeypatch.setattr(setup, "_install", fails)
    for _ in range(2):
        with pytest.raises(SetupError, match="no network"):
            set_up(root)


OFFLINE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...: Failed to establish
a new connection: [Errno -2] Name or service not known')': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.14.* (from versions: none)
ERROR: No matching distribution found for torch==2.14.*"""
UNTRUSTED = """WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1,
'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in chain'))': /simple/torch/
ERROR: No matching distribution found for torch==2.14.*"""
PROXY = """WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', OSError('Tunnel
connection failed: 407 Proxy Authentication Required'))': /simple/torch/
ERROR: No matching distribution found for torch==2.14.*"""
NOT_FOR_THIS_PYTHON = """ERROR: Ignored the following versions that require a different python version: 2.14.0
ERROR: Could not find a version that satisfies the requirement torch==2.14.* (from versions: 2.1.0)
ERROR: No matching distribution found for torch==2.14.*"""


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (OFFLINE, ["cannot be reached", "pip download"]),
        (UNTRUSTED, ["does not trust the certificate", "PIP_CERT", "pip download"]),
        (PROXY, ["the proxy refused", "HTTPS_PROXY"]),
        (NOT_FOR_THIS_PYTHON, ["torch==2.14.* was not found for Python", "PYTHON=python3.12"]),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ["disk is full"]),
        ("a first line\nERROR: something else\n", ["ERROR: something else"]),
        ("", ["did not say why"]),
    ],
    ids=["no network", "certificate", "proxy", "Python", "disk", "anything", "nothing"],
)
def test_each_reason_of_pip_is_told_with_the_next_move(printed, words):
    said = why_pip_failed(printed, ["requirements.txt", "tests/requirements.txt"])
    assert all(word in said for word in words)
    assert "pip download" not in said or "-r requirements.txt -r tests/requirements.txt" in said
    assert "{" not in said


def test_a_python_without_pip_for_environments_is_told_so(root, monkeypatch):
    """Debian parts `venv` from Python, and `python3 -m venv` leaves an environment without pip."""
    said = b"The virtual environment was not created successfully because ensurepip is not available."
    monkeypatch.setattr(setup.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, said))
    with pytest.raises(SetupError, match=r"sudo apt install python3\.\d+-venv"):
        set_up(root)
    assert not (root / ENVIRONMENT).exists()


def test_an_older_python_gets_a_sentence(root, monkeypatch):
    ast.parse((ROOT / "core" / "setup.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    ast.parse((ROOT / "core" / "__init__.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    monkeypatch.setattr(setup, "MIN_PYTHON", (99, 0))
    with pytest.raises(SetupError, match=r"needs Python 3\.11 or newer; this is 3\.\d+\. Set PYTHON="):
        set_up(root)
