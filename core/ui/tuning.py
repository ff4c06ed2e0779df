"""The server made quicker for a class: what Streamlit and Python can do sooner, more rarely or at once.

Those from `look_up_options_once` on reach into Streamlit, where it offers no setting. They change when something
happens and never what, and tests/ui/test_tuning.py fails where another version of Streamlit has nothing there.
"""

import asyncio
import functools
import gc
import os
import socket
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.session_manager import SessionClientDisconnectedError

# Objects made until Python looks for garbage among the youngest, such looks until it looks among older ones, and those
# until a full one, at any moment. As they come (700, 10, 10) the first two take 3 % of the processor time of a class of
# a hundred, in stops of up to 48 ms, and a full one stops everybody for 0.15 s.
SELDOM = 20_000, 20, 100_000


def tune() -> None:
    """All of it, once, when everything is loaded that stays."""
    send_at_once()
    look_up_options_once()
    wake_once()
    hand_over_together()
    gc.collect()
    gc.freeze()  # what is loaded now stays: later collections need not look at it
    gc.set_threshold(*SELDOM)


def send_at_once() -> None:
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


def look_up_options_once() -> None:
    """Let Streamlit go through all of its options for those of its themes once, not six times for each script run.

    No option changes while this server runs. It took a sixth of what a part of a page takes.
    """
    config.get_options_for_section = functools.cache(config.get_options_for_section)


class Together:
    """What other threads want done on an event loop: the first of them wakes it, and it does all that waits by then."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._woken = False

    def add(self, callback: Callable[[], None], wake: Callable[[Callable[[], None]], None]) -> None:
        """Have it done, in the order of these calls. `wake` has the loop call what it is given, at once."""
        self._waiting.append(callback)
        if not self._woken:
            self._woken = True
            wake(self._do)

    def _do(self) -> None:
        self._woken = False  # first: whoever adds from now on may be too late for the last look below
        while self._waiting:
            callback = self._waiting.popleft()
            try:
                callback()
            except Exception as error:  # as the loop does: what comes after it is done all the same
                told = {"message": f"Exception in {callback!r}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)


def wake_once() -> None:
    """Let what a script draws wake the server's loop once for all that waits there, not twice for each element."""
    call_soon, enqueued = AppSession._call_soon_on_event_loop, Runtime._enqueued_some_message

    def call_together(session: AppSession, callback: Callable[[], None]) -> None:
        together: Together = vars(session).setdefault("_together", Together())
        together.add(callback, partial(call_soon, session))

    def tell_once(runtime: Runtime) -> None:
        if not runtime._get_async_objs().need_send_data.is_set():
            enqueued(runtime)

    AppSession._call_soon_on_event_loop = call_together  # type: ignore[method-assign, assignment]
    Runtime._enqueued_some_message = tell_once  # type: ignore[method-assign, assignment]


def hand_over_together() -> None:
    """Let what waits for a browser be handed to its connection together.

    Streamlit's loop, one for all browsers, lets everything else have a turn after each message, of which a page is 50.
    While a page is drawn such a turn may last as long as Python lets a thread compute, and all browsers wait for it:
    in a class of a hundred, one page in twenty was drawn 0.1 s before its end was sent.
    """
    flush = AppSession.flush_browser_queue

    def handed_over(session: AppSession) -> list[ForwardMsg]:
        waiting = flush(session)
        runtime = Runtime.instance()
        info = runtime._session_mgr.get_active_session_info(session.id)
        if info is None:
            return waiting
        with suppress(SessionClientDisconnectedError):  # the loop hears of it by the last one
            for message in waiting[:-1]:
                runtime._send_message(info, message)
        return waiting[-1:]

    AppSession.flush_browser_queue = handed_over  # type: ignore[method-assign, assignment]
