"""What the tests of data sets stand on: a small set, and a folder of data sets that is empty."""

import pytest

from core import data
from core.data import downloading
from tests.data.tiny import CONTENTS, TINY, source_of


@pytest.fixture(autouse=True)
def tiny_set(monkeypatch):
    """Forty pictures called "tiny", published nowhere yet."""
    monkeypatch.setitem(data.SOURCES, TINY, source_of(CONTENTS, "Tiny"))
    monkeypatch.setattr(downloading, "_turns", {})


@pytest.fixture
def named(tmp_path, monkeypatch):
    """An empty folder named by GRADIENT_LAB_DATA."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(folder))
    return folder


@pytest.fixture
def nothing_given(monkeypatch):
    monkeypatch.delenv("GRADIENT_LAB_DATA", raising=False)
