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
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.session_manager import ActiveSessionInfo, SessionClientDisconnectedError

# Objects made until Python looks for garbage among the youngest, such looks until it looks among older ones, and those
# until a full one, at any moment. As they come (700, 10, 10) the first two take 3 % of the processor time of a class of
# a hundred, in stops of up to 48 ms, and a full one stops everybody for 0.15 s.
SELDOM = 20_000, 20, 100_000
MOST_AT_ONCE = 100  # messages handed to a connection; Streamlit takes one that has 500 before it for dead


def tune() -> None:
    """All of it, once, when everything is loaded that stays."""
    send_at_once()
    look_up_options_once()
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

    No option changes while this server runs. By a profile this was 7 % of what a whole page takes.
    """
    config.get_options_for_section = functools.cache(config.get_options_for_section)


class Together:
    """What other threads want done on an event loop: the first of them wakes it, and it does all that waits by then.

    Args:
        wake: has the loop call what it is given.
        after: what the loop does when nothing waits any more.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], None], after: Callable[[], None]) -> None:
        self._wake, self._after = wake, after
        self._waiting: deque[Callable[[], None]] = deque()
        self._woken = False

    def add(self, callback: Callable[[], None]) -> None:
        """Have it done, in the order of these calls."""
        self._waiting.append(callback)
        if not self._woken:
            self._woken = True
            self._wake(self._do)

    def _do(self) -> None:
        self._woken = False  # first: whoever adds from now on may be too late for the last look below
        while self._waiting:
            callback = self._waiting.popleft()
            try:
                callback()
            except Exception as error:  # as the loop does: what comes after it is done all the same
                told = {"message": f"Exception in {callback!r}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
        self._after()


def hand_over_together() -> None:
    """Let what a script draws wake the server's loop once for all that waits there, and be sent then and there.

    Streamlit wakes it twice for each element and keeps them for a loop of its own, one for all browsers, which lets
    everything else have a turn after each. Such a turn lasts as long as Python lets a thread compute, a page has 50
    elements, and all browsers wait: in a class of a hundred, one page in twenty was drawn 0.1 s before its end left.
    """
    call_soon, flush = AppSession._call_soon_on_event_loop, AppSession.flush_browser_queue
    enqueued = Runtime._enqueued_some_message

    def call_together(session: AppSession, callback: Callable[[], None]) -> None:
        together = vars(session).get("_together")
        if together is None:  # two threads may come here at once
            mine = Together(partial(call_soon, session), partial(hand_over, session))
            together = vars(session).setdefault("_together", mine)
        together.add(callback)

    def hand_over(session: AppSession) -> None:
        if (connected := _connected(session)) is not None:  # else it waits for a browser that may come back
            _send(connected, next_few(session))

    def flush_but_one(session: AppSession) -> list[ForwardMsg]:
        # What Streamlit's loop has from here it sends with turns between, and nothing newer may overtake it.
        few = next_few(session)
        if (connected := _connected(session)) is None:
            return few
        _send(connected, few[:-1])
        return few[-1:]

    def next_few(session: AppSession) -> list[ForwardMsg]:
        waiting: list[ForwardMsg] = vars(session).setdefault("_waiting", [])
        waiting += flush(session)
        few, waiting[:] = waiting[:MOST_AT_ONCE], waiting[MOST_AT_ONCE:]
        if waiting:
            Runtime.instance()._enqueued_some_message()  # Streamlit's loop comes for more when it has had its rest
        return few

    def tell_once(runtime: Runtime) -> None:
        if not runtime._get_async_objs().need_send_data.is_set():
            enqueued(runtime)

    AppSession._call_soon_on_event_loop = call_together  # type: ignore[method-assign, assignment]
    AppSession.flush_browser_queue = flush_but_one  # type: ignore[method-assign, assignment]
    Runtime._enqueued_some_message = tell_once  # type: ignore[method-assign, assignment]


def _connected(session: AppSession) -> ActiveSessionInfo | None:
    return Runtime.instance()._session_mgr.get_active_session_info(session.id)


def _send(connected: ActiveSessionInfo, messages: Sequence[ForwardMsg]) -> None:
    runtime = Runtime.instance()
    try:
        for message in messages:
            runtime._send_message(connected, message)
    except SessionClientDisconnectedError:
        runtime.disconnect_session(connected.session.id, client=connected.client)
