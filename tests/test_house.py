"""The promises of the house that a reader can see in its imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.places import ROOT

SOURCES = sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "app.py"])
# Who may import whom, from the top down; a layer may import itself and what stands below.
LAYERS = [
    {"app", "pages", "core.__main__"},
    {"core.doctor", "core.lab", "core.notebook"},
    {"core.ui"},
    {"core.runs"},
    {"core.lessons"},
    {"core.scripts"},
    {"core.claim_rules", "core.lesson", "core.library", "core.links", "core.own"} | {"core.result"},
    {
        "core.charts",
        "core.claims",
        "core.convnets",
        "core.cost",
        "core.curves",
        "core.data",
        "core.narrator",
        "core.panels",
    }
    | {"core.training"},
    {
        "core.console",
        "core.device",
        "core.facts",
        "core.frames",
        "core.knob_text",
        "core.knobs",
        "core.nets",
        "core.places",
    }
    | {"core.prose", "core.resources", "core.setup", "core.stats", "core.traces"},
]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer(name: str) -> int | None:
    return next((i for i, each in enumerate(LAYERS) if any(f"{name}.".startswith(f"{one}.") for one in each)), None)


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_run_one_way(path):
    own = layer(module(path))
    if module(path) == "core":
        return
    assert own is not None, f"{module(path)} has no place in the house"
    for name in imported(path):
        below = layer(name)
        assert below is None or below >= own, f"{module(path)} imports {name}, which stands above it"


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_only_the_screen_imports_streamlit_and_only_one_file_names_the_session(path):
    name = module(path)
    if not name.startswith(("core.ui", "pages", "app")):
        assert not any(each.split(".")[0] == "streamlit" for each in imported(path))
    words = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert "session_state" not in words or name in ("core.ui.state", "core.ui.page_query")
    assert "query_params" not in words or name in ("core.ui.page_query", "core.ui.routes")


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_nothing_is_unpickled_and_no_text_is_run(path):
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"eval", "exec", "torch.load", "pickle.load", "pickle.loads", "np.load"}
    assert not any(call.endswith("extractall") for call in calls)


def test_the_core_runs_without_streamlit():
    code = "import sys; sys.modules['streamlit'] = None; import core.__main__; assert core.__main__.main(['list']) == 0"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    assert "width-and-interpolation" in ran.stdout


def test_pages_are_thin():
    assert {path.name: len(path.read_text().splitlines()) for path in ROOT.glob("pages/*.py")}
    assert all(len(path.read_text().splitlines()) <= 60 for path in ROOT.glob("pages/*.py"))


def test_the_readme_names_every_file_of_the_house():
    tree = (ROOT / "README.md").read_text()
    for path in SOURCES:
        if path.name not in ("__init__.py",) and path.parts[-2] not in ("lessons", "pages", "scripts"):
            assert path.name in tree, f"{path.relative_to(ROOT)} lacks its remark in README.md"


def test_every_promise_of_security_names_tests_that_there_are():
    promises = (ROOT / "SECURITY.md").read_text().split("## Settings")[0]
    named, path = 0, ROOT
    for file, name, cut in re.findall(r"`(tests/[\w/]+\.py)?(?:::)?(test_\w+)?(…)?`", promises):
        path = ROOT / file if file else path
        assert re.search(rf"^def {name}{'' if cut else '[(]'}" if name else ".", path.read_text(), re.M), (file, name)
        named += bool(name)
    assert named > 20
