"""What the tests of pages stand on: a server of their own."""

from collections.abc import Iterator

import pytest

from core.places import ROOT
from core.ui import state


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One runner per test that trains in its own thread."""
    monkeypatch.setenv("GRADIENT_LAB_ENGINE", "in_thread")
    monkeypatch.syspath_prepend(str(ROOT))
    for each in (state.runner, state.votes, state.dealer, state.gatherer):
        each.clear()
    yield
    state.runner().close()
    for each in (state.runner, state.votes, state.dealer, state.gatherer):
        each.clear()
