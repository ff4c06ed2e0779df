"""Set up the virtual environment: `python3 -m core.setup [--tests]`. Needs nothing but the standard library.

Quick and safe to call before each start. An environment that works stays as it is, one that is broken or half made is
made anew, and one that older requirements were installed into gets what is missing. A moved or renamed folder keeps
its environment: nothing calls a script of `.venv`, whose first line would name the old folder.
"""

# Nothing in this file may be a syntax error in an older Python: whoever has one gets a sentence.
import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Sequence  # noqa: UP035  an older Python cannot subscript the other one

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ".venv"
APP, TESTS = "requirements.txt", "tests/requirements.txt"
INSTALLED = "installed-"  # + digest: a file in the environment that says which requirements it meets
MIN_PYTHON = (3, 11)

BRING = (
    "bring the packages: on a machine with a network, this system and this Python, run "
    "`python{version} -m pip download -d wheels {requirements}`, copy the folder wheels here and start again with "
    "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels in front."
)
# Why pip failed and what to do, by what it printed; the first row that fits counts.
REASONS = (
    ("No space left on device", "the disk is full; free 7 GB and start again."),
    (
        "CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "this machine does not trust the certificate of the package index, which a proxy on the way may have replaced. "
        "Name the proxy's certificate in PIP_CERT and start again, or " + BRING,
    ),
    ("ProxyError|Cannot connect to proxy", "the proxy refused. Look at HTTPS_PROXY and start again, or " + BRING),
    (
        "NewConnectionError|NameResolutionError|Failed to resolve|ConnectTimeout|ReadTimeout|ConnectionResetError",
        "the package index cannot be reached. Connect this machine to the network and start again, or " + BRING,
    ),
    (
        "No matching distribution found",
        "{package} was not found for Python {version} on this system. With a network, try another Python (make run "
        "PYTHON=python3.12); without one, " + BRING,
    ),
)


class SetupError(RuntimeError):
    """An environment that cannot be set up. Its message tells whoever starts the product why, and what to do."""


def set_up(root: Path = ROOT, tests: bool = False) -> Path:
    """Make the environment of the product ready.

    Args:
        root: the folder with the requirements.
        tests: install what the tests need, too.

    Returns:
        The environment's Python.

    Raises:
        SetupError: it cannot be made, or packages cannot be installed.
    """
    environment, requirements = root / ENVIRONMENT, [APP, TESTS] if tests else [APP]
    python = python_of(environment)
    if not _succeeds([str(python), "-c", f"import sys; sys.exit(sys.version_info < {MIN_PYTHON})"]):
        _make(environment)
    installed = [environment / (INSTALLED + _digest(root, requirements[:count])) for count in (1, 2)]
    if installed[len(requirements) - 1].exists():
        return python
    if not _has_pip(python):
        _make(environment)
    _install(root, python, requirements)
    for each in installed[: len(requirements)]:
        each.touch()
    return python


def python_of(environment: Path) -> Path:
    """Return where the Python of an environment lies, whether or not it is there."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def why_pip_failed(printed: str, requirements: Sequence[str]) -> str:
    """Return what went wrong and what to do about it, from all that pip printed."""
    package = re.search(r"No matching distribution found for (\S+)", printed)
    names = {
        "package": package.group(1) if package else "a package",
        "requirements": " ".join(f"-r {each}" for each in requirements),
        "version": "{}.{}".format(*sys.version_info),
    }
    for signs, sentence in REASONS:
        if re.search(signs, printed):
            return sentence.format(**names)
    return _last_line(printed)


def _make(environment: Path) -> None:
    """Make an environment without packages, in place of whatever lies there."""
    version = "{}.{}".format(*sys.version_info)
    if sys.version_info < MIN_PYTHON:
        raise SetupError(f"Gradient Lab needs Python 3.11 or newer; this is {version}. Set PYTHON=python3.12, say.")
    if environment.exists() or environment.is_symlink():
        print(f"The environment {environment.name} does not work; it is made anew.", flush=True)
        _remove(environment)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(environment)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if made.returncode == 0 and _has_pip(python_of(environment)):
        return
    _remove(environment)  # or the next start would find half of one
    printed = made.stdout.decode("utf-8", "replace")
    if "ensurepip" in printed or made.returncode == 0:
        raise SetupError(
            f"Python {version} has no pip to give to an environment. Install it (on Debian and Ubuntu: sudo apt "
            f"install python{version}-venv) and start again."
        )
    raise SetupError(f"The environment {environment} cannot be made: {_last_line(printed)}")


def _install(root: Path, python: Path, requirements: Sequence[str]) -> None:
    print("Installing packages. The first time takes some minutes.", flush=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for each in requirements:
        command += ["-r", each]
    printed = []
    with subprocess.Popen(command, cwd=str(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        for line in pip.stdout or ():
            printed.append(line.decode("utf-8", "replace"))
            print(printed[-1], end="", file=sys.stderr, flush=True)
    if pip.returncode:
        raise SetupError(f"The packages could not be installed: {why_pip_failed(''.join(printed), requirements)}")


def _digest(root: Path, requirements: Sequence[str]) -> str:
    """Return a short digest of requirement files: another one after any change to them."""
    return hashlib.sha256(b"\0".join((root / each).read_bytes() for each in requirements)).hexdigest()[:16]


def _has_pip(python: Path) -> bool:
    return _succeeds([str(python), "-m", "pip", "--version"])


def _succeeds(command: Sequence[str]) -> bool:
    try:
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    except OSError:  # there is no such file, or this machine cannot run it
        return False
    return ended.returncode == 0


def _remove(environment: Path) -> None:
    if environment.is_dir() and not environment.is_symlink():
        shutil.rmtree(str(environment), ignore_errors=True)
    elif environment.exists() or environment.is_symlink():
        environment.unlink()


def _last_line(printed: str) -> str:
    return (printed.strip().splitlines() or ["it did not say why."])[-1].strip()


def main() -> int:
    """Set up the environment of this folder; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m core.setup", description="Set up the virtual environment.")
    parser.add_argument("--tests", action="store_true", help="install what the tests need, too")
    try:
        set_up(tests=parser.parse_args().tests)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
