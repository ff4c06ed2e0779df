"""The server. `streamlit run app.py` starts it."""

import asyncio
import gc
import os
import socket
import stat
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
from core.ui.invitation import AddressError
from core.ui.routes import routes

COLLECT_EVERY = 60.0  # seconds; Streamlit's own collection after each script run is off (.streamlit/config.toml)
# Objects made until Python looks for garbage among the youngest, such looks until it looks among older ones, and those
# until a full one, at any moment. As they come (700, 10, 10) the first two take 3 % of the processor time of a class of
# a hundred, in stops of up to 48 ms, and a full one stops everybody for 0.15 s.
SELDOM = 20_000, 20, 100_000


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Warm up before the first reader comes: torch, the lessons, the store, the training process."""
    _send_at_once()
    runner = state.runner()
    for lesson in LESSONS.values():
        lesson.source()  # now, since no page waits and nothing else parses
    gc.collect()
    gc.freeze()  # what is loaded now stays: later collections need not look at it
    gc.set_threshold(*SELDOM)
    collector = asyncio.create_task(_collect())
    if invited is not None:
        print(invited.text(colours=sys.stdout.isatty()), flush=True)
    yield {"runner": runner}
    collector.cancel()
    with suppress(asyncio.CancelledError):
        await collector
    runner.close()


def _send_at_once() -> None:
    """Let no small message wait until the browser has acknowledged the one before: that takes it 40 ms, or 200.

    Streamlit's listening socket does not say that it speaks TCP, so asyncio leaves the waiting on. A connection
    inherits this option from the socket that accepts it.
    """
    with suppress(FileNotFoundError):  # a system without this folder
        for number in map(int, os.listdir("/dev/fd")):
            with suppress(OSError):  # closed meanwhile, or no socket of TCP
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    with socket.socket(fileno=os.dup(number)) as each:
                        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


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
