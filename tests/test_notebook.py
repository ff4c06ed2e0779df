"""Runs from a notebook: in a real kernel, and the sentences that a wrong call gets."""

import nbformat
import pytest
from nbclient import NotebookClient

from core import lab
from core.knobs import KnobError
from core.places import ROOT

CELLS = [
    "from core import lab\nrun = lab.run('dying-relu', depth=2, nets=20, epochs=1, points=64)\nrun",
    "run.curves.groupby('curve').size().index.tolist()",
    "float(run.facts.value[0])",
    "lab.run('dying-relu', depth=2, nets=20, epochs=1, points=64).run.origin",
]


def test_a_kernel_trains_shows_the_player_and_finds_the_run_again(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    bar, player = notebook.cells[0].outputs
    assert 'value="1.000"' in bar.data["text/html"]
    assert player.data["text/html"].startswith("<iframe srcdoc=")
    assert "http://" not in player.data["text/html"].partition("srcdoc")[0]
    assert "dead" in notebook.cells[1].outputs[0].data["text/plain"]
    assert 0 <= float(notebook.cells[2].outputs[0].data["text/plain"]) <= 1
    assert notebook.cells[3].outputs[-1].data["text/plain"] == "'runs'"


@pytest.mark.parametrize(
    ("slug", "asked", "says"),
    [
        ("dying", {}, "'dying' is no lesson; choose perceptron-and-hinge"),
        ("dying-relu", {"preset": "Best"}, "'Best' is no preset of dying-relu; choose Classroom"),
        ("dying-relu", {"depths": 3}, "depths is not a knob of this lesson; did you mean depth?"),
        ("dying-relu", {"depth": 99}, "depth = 99 is outside 1 … 30"),
    ],
)
def test_a_wrong_call_says_what_there_is(slug, asked, says):
    with pytest.raises(KnobError, match=r"choose|mean|outside") as error:
        lab.run(slug, **asked)
    assert says in str(error.value)
