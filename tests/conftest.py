"""What every test stands on: a cache of its own, and the real data sets where this machine has them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from core import data

# A busy machine is slow, and the first text that is drawn waits for a table of all characters: neither is a fault.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The longest of the files that wait for a browser, begun first: a worker that takes one last leaves the others idle.
LONGEST = ("test_player.py", "test_addresses.py", "test_app.py", "test_processors.py", "test_replay.py")
WAITING = ("browser", "everywhere", "load")
BESIDE = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A second try, where a browser and a server share the machine with everything else; and long files first."""
    for item in items:
        if item.path.parent.name in WAITING:
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=_begun)


def _begun(item: pytest.Item) -> int:
    """Where an item's file stands in the order in which files are begun; the rest stay as they are."""
    long = item.path.parent.name in WAITING and item.path.name in LONGEST
    return LONGEST.index(item.path.name) if long else len(LONGEST)


@pytest.fixture(scope="session", autouse=True)
def data_beside_the_repo() -> Iterator[None]:
    """Read the data sets from the folder beside the repo, if there is one and the reader named no other."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("GRADIENT_LAB_DATA") and BESIDE.is_dir():
            patch.setenv("GRADIENT_LAB_DATA", str(BESIDE))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A written cache of this test's own: nothing goes into the repo."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GRADIENT_LAB_CACHE", str(folder))
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder with the real data sets; the test is skipped where there is none."""
    named = os.environ.get("GRADIENT_LAB_DATA", "")
    for name in ("fashion-mnist", "mnist"):
        if not data.available(name):
            pytest.skip(f"{name} is neither in GRADIENT_LAB_DATA nor in {BESIDE}")
    return Path(named)
