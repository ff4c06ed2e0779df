"""The server. `streamlit run app.py` starts it."""

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from core import console
from core.doctor import bad_settings, examine
from core.lessons import LESSONS
from core.runs.engines import UNKNOWN
from core.runs.runner import Runner
from core.ui import state
from core.ui.addresses import AddressError
from core.ui.door import CodeError
from core.ui.frontend import Frontend
from core.ui.gate import Gate
from core.ui.heard import hear_only_pages
from core.ui.index import Index
from core.ui.paths import BasePath, RestoredPath
from core.ui.proxies import PROXIES_VARIABLE, Proxies, ProxyError, proxies
from core.ui.routes import class_routes, routes
from core.ui.tuning import tune

# Seconds, or so many looks among the youngest objects, until garbage is collected; Streamlit's own collection after
# each script run is off (.streamlit/config.toml). Many who come and go leave more in ten seconds than a class in a
# minute, and memory that was taken once is not given back.
COLLECT_EVERY, COLLECT_AFTER = 60.0, 10


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Warm up before the first reader comes: torch, the lessons, the store, the training process."""
    runner = state.runner()
    LESSONS.refresh()
    for lesson in LESSONS.values():
        lesson.source()  # now, since no page waits and nothing else parses
    hear_only_pages()
    tune()
    collector, report = asyncio.create_task(_collect()), asyncio.create_task(_report(runner))
    if invited is not None:
        text = invited.text(colours=console.is_terminal(sys.stdout))
        print(console.lines_to_show(text, sys.stdout), flush=True)
    yield {"runner": runner}
    for task in (collector, report):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    runner.close()


async def _report(runner: Runner) -> None:
    """Say in one line what was found, once the training process has tried the devices."""
    while runner.engine.machine is UNKNOWN and not runner.complaint:
        await asyncio.sleep(0.1)
    report = await asyncio.to_thread(examine, runner.engine.machine.found, state.served_at())
    print(" ".join([report.line, runner.complaint]).rstrip(), flush=True)


async def _collect() -> None:
    """Figures and sessions hold reference cycles: collect them now and then, off the event loop."""
    while True:
        until, looks = time.monotonic() + COLLECT_EVERY, _looks()
        while time.monotonic() < until and _looks() - looks < COLLECT_AFTER:
            await asyncio.sleep(1.0)
        await asyncio.to_thread(gc.collect)


def _looks() -> int:
    """How often Python has looked for garbage among the youngest objects."""
    return int(gc.get_stats()[0]["collections"])


console.set_encodings()  # the QR code is made of characters that many consoles lack
if sentences := bad_settings():
    sys.exit("\n".join(sentences))  # whoever starts the server gave it something that cannot be used
try:
    invited, origins = state.invited(), state.origins()
    trusted = proxies(os.environ.get(PROXIES_VARIABLE, ""))
except (CodeError, AddressError, ProxyError) as error:
    sys.exit(str(error))  # whoever starts the server gave it something that cannot be used

STATIC = Path(st.__file__).parent / "static"
PAGES = ("gallery", "compare", "runs", "found", "classroom")  # beside home and the lessons (pages/main.py)

app = st.App(
    "pages/main.py",
    lifespan=lifespan,
    middleware=[
        Middleware(Proxies, trusted=trusted),
        Middleware(BasePath, base=state.base_path()),
        Middleware(Gate, door=state.door, origins=origins),
        Middleware(Frontend, folder=STATIC, routes=[*routes(state.runner), *class_routes(state.gatherer)]),
        Middleware(Index, folder=STATIC, pages=lambda: {*LESSONS, *PAGES}),
        Middleware(RestoredPath, base=state.base_path()),
    ],
)
