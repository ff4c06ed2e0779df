"""The server. `streamlit run app.py` starts it."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from core.lessons import LESSONS
from core.ui import state
from core.ui.door import CodeError
from core.ui.frontend import Frontend
from core.ui.gate import Gate
from core.ui.heard import hear_only_pages
from core.ui.invitation import AddressError
from core.ui.routes import routes
from core.ui.tuning import tune

COLLECT_EVERY = 60.0  # seconds; Streamlit's own collection after each script run is off (.streamlit/config.toml)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Warm up before the first reader comes: torch, the lessons, the store, the training process."""
    runner = state.runner()
    for lesson in LESSONS.values():
        lesson.source()  # now, since no page waits and nothing else parses
    hear_only_pages()
    tune()
    collector = asyncio.create_task(_collect())
    if invited is not None:
        print(invited.text(colours=sys.stdout.isatty()), flush=True)
    yield {"runner": runner}
    collector.cancel()
    with suppress(asyncio.CancelledError):
        await collector
    runner.close()


async def _collect() -> None:
    """Figures hold reference cycles: collect them now and then, off the event loop."""
    while True:
        await asyncio.sleep(COLLECT_EVERY)
        await asyncio.to_thread(gc.collect)


try:
    invited = state.invited()
except (CodeError, AddressError) as error:
    sys.exit(str(error))  # whoever starts the server gave it something that cannot be used

app = st.App(
    "pages/main.py",
    lifespan=lifespan,
    middleware=[
        Middleware(Gate, door=state.door),
        Middleware(Frontend, folder=Path(st.__file__).parent / "static", routes=routes(state.runner)),
    ],
)
