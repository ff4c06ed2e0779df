"""How the page mounts the player. What it then does is in tests/browser."""

import json
import re

from streamlit.testing.v1 import AppTest

from core.runs.run import State
from core.ui.player import STUB
from core.ui.replay import CHART_LIBRARY
from core.ui.routes import ASSETS, asset


def page():
    def script():
        import streamlit as st

        from core.runs.run import State
        from core.ui.player import player

        result = player("ab" * 16, key="player", state=State.RUNNING, frame=3, height=200)
        st.write(f"finished: {result.finished}")

    return AppTest.from_function(script).run()


def test_one_component_that_says_which_run():
    shown = page()
    assert not shown.exception
    assert shown.markdown[0].value == "finished: None"
    component = shown.main[0].proto
    data = json.loads(component.json)
    assert (data["run"], data["state"], data["frame"], data["height"]) == ("ab" * 16, State.RUNNING.value, 3, 200)
    assert data["source"] == f"api/runs/{'ab' * 16}"
    assert not component.isolate_styles  # Plotly puts its style sheet into the document


def test_nothing_of_the_run_travels_with_the_page():
    component = page().main[0].proto
    assert component.ByteSize() < 1500


def test_the_stub_loads_files_that_are_served():
    assert STUB.startswith("\n")  # Streamlit takes one line that looks like a path for one
    paths = re.findall(r"assets/[^\"]+", STUB)
    assert sorted(paths) == sorted(asset(name) for name in ("player.js", "player.css", CHART_LIBRARY.name))
    assert all(path.rpartition("/")[2] in ASSETS for path in paths)
