"""What the server does sooner, more rarely or at once: the same happens, and Streamlit still has what is tuned."""

import asyncio
import inspect
import socket
import threading
from types import SimpleNamespace

import pytest
from streamlit import config
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import Runtime, app_session
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.session_manager import SessionClientDisconnectedError
from streamlit.web.server.starlette.starlette_server_config import WEBSOCKET_MAX_SEND_QUEUE_SIZE

from core.ui import tuning


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """Nothing stays tuned after a test."""
    for owner, name in (
        (config, "get_options_for_section"),
        (AppSession, "flush_browser_queue"),
        (AppSession, "_call_soon_on_event_loop"),
        (Runtime, "_enqueued_some_message"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))


def test_a_connection_sends_at_once_though_its_listener_does_not_say_that_it_speaks_tcp():
    with socket.socket(socket.AF_INET) as listener:  # as Streamlit makes it
        assert listener.proto == 0
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        tuning.send_at_once()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_options_of_a_theme_are_gone_through_once_and_the_page_is_told_the_same(monkeypatch):
    def told():
        theme = CustomThemeConfig()
        app_session._populate_theme_msg(theme)
        return theme.SerializeToString()

    monkeypatch.setattr(config, "get_options_for_section", lambda section: looked.append(section) or {"base": "dark"})
    looked = []
    plain = told()
    tuning.look_up_options_once()
    assert [told(), told()] == [plain, plain]
    assert looked == ["theme", "theme"]


def message(number):
    made = ForwardMsg()
    made.script_finished = number
    return made


class Bare(AppSession):
    """A session of which nothing was begun, so that nothing is to be ended."""

    def __init__(self):
        self.id, self._browser_queue = "session", ForwardMsgQueue()

    def __del__(self):
        pass


@pytest.fixture
def browser(monkeypatch):
    """A session with three messages for its browser, and what that browser was sent."""
    session, runtime, sent = Bare(), Runtime.__new__(Runtime), []
    for number in (1, 2, 3):
        session._browser_queue.enqueue(message(number))
    client = SimpleNamespace(write_forward_msg=sent.append)
    info = SimpleNamespace(session=session, client=client, script_run_count=0)
    runtime._session_mgr = SimpleNamespace(get_active_session_info={"session": info}.get)
    monkeypatch.setattr(Runtime, "_instance", runtime)
    return SimpleNamespace(session=session, sent=sent, info=info, runtime=runtime)


def test_what_waits_for_a_browser_is_sent_together_and_in_order(browser):
    tuning.hand_over_together()
    left = browser.session.flush_browser_queue()
    for each in left:  # Streamlit's loop sends what is left to it
        browser.runtime._send_message(browser.info, each)
    assert left == [message(3)]
    assert browser.sent == [message(1), message(2), message(3)]
    assert browser.session.flush_browser_queue() == []


def test_no_connection_is_given_more_at_once_than_streamlit_lets_it_hold(browser):
    browser.session.flush_browser_queue()
    many = [message(k % 5) for k in range(2 * tuning.MOST_AT_ONCE + 50)]
    for each in many:
        browser.session._browser_queue.enqueue(each)
    tuning.hand_over_together()
    asked = []
    browser.runtime._enqueued_some_message = lambda: asked.append(len(browser.sent))
    asyncio.run(drawn(browser.session, 1))  # what a script draws: the first hundred are sent then and there
    assert browser.sent == many[: tuning.MOST_AT_ONCE]
    assert asked == [0]
    for count in (tuning.MOST_AT_ONCE, 50):  # Streamlit's loop, which has been told that there is more
        before = len(browser.sent)
        (last,) = browser.session.flush_browser_queue()
        browser.runtime._send_message(browser.info, last)
        assert len(browser.sent) - before == count
    assert browser.sent == many
    assert asked == [0, tuning.MOST_AT_ONCE]
    assert browser.session.flush_browser_queue() == []
    assert 2 * tuning.MOST_AT_ONCE < WEBSOCKET_MAX_SEND_QUEUE_SIZE


def test_a_browser_that_has_gone_is_taken_leave_of_once(browser):
    def gone(message):
        tried.append(message)
        raise SessionClientDisconnectedError

    tried, left = [], []
    browser.info.client.write_forward_msg = gone
    browser.runtime.disconnect_session = lambda session, client: left.append((session, client))
    tuning.hand_over_together()
    assert browser.session.flush_browser_queue() == [message(3)]  # by which Streamlit's loop hears of it
    assert tried == [message(1)]
    assert left == [("session", browser.info.client)]


def test_what_a_session_without_a_browser_says_waits_for_one(browser):
    browser.runtime._session_mgr.get_active_session_info = lambda session: None
    tuning.hand_over_together()
    asyncio.run(drawn(browser.session, 3))
    assert browser.sent == []
    assert browser.session.flush_browser_queue() == [message(1), message(2), message(3)]


def test_streamlits_loop_takes_from_each_session_what_is_tuned_here():
    assert "session.flush_browser_queue()" in inspect.getsource(Runtime._loop_coroutine)
    assert "_call_soon_on_event_loop" in inspect.getsource(AppSession._on_scriptrunner_event)
    assert "self._enqueued_some_message" in inspect.getsource(Runtime)


async def drawn(session, count, more=None):
    """Have another thread say so much while the loop is busy.

    Returns how often the loop was woken, and what was done; `more` is called with each of it.
    """
    loop, wakes, done, over = asyncio.get_running_loop(), [], [], asyncio.Event()

    class Loop:
        def call_soon_threadsafe(self, callback):
            wakes.append(callback)
            loop.call_soon_threadsafe(callback)

    def say(k):
        done.append(k)
        if more is not None:
            more(k)

    def draw():
        for k in range(count):
            session._call_soon_on_event_loop(lambda k=k: say(k))
        session._call_soon_on_event_loop(over.set)

    session._event_loop = Loop()
    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()  # the loop is busy meanwhile
    await asyncio.wait_for(over.wait(), 30)
    return wakes, done


def test_the_loop_is_woken_once_for_all_that_a_script_draws_meanwhile(browser):
    tuning.hand_over_together()
    for _ in range(3):  # and again for what comes after
        wakes, done = asyncio.run(drawn(browser.session, 50))
        assert done == list(range(50))
        assert len(wakes) == 1


def test_what_a_script_draws_is_sent_then_and_there(browser):
    browser.session.flush_browser_queue()
    tuning.hand_over_together()
    asyncio.run(drawn(browser.session, 5, lambda k: browser.session._browser_queue.enqueue(message(k))))
    assert browser.sent == [message(k) for k in range(5)]
    assert browser.session.flush_browser_queue() == []


def test_nothing_is_lost_between_two_threads_that_run_at_once():
    async def race():
        done = []
        together = tuning.Together(asyncio.get_running_loop().call_soon_threadsafe, lambda: None)

        def add():
            for k in range(20_000):
                together.add(lambda k=k: done.append(k))

        await asyncio.to_thread(add)
        await asyncio.sleep(0.1)
        return done

    assert asyncio.run(race()) == list(range(20_000))


def test_what_goes_wrong_is_told_and_the_rest_is_done():
    async def with_a_fault():
        loop, done, told = asyncio.get_running_loop(), [], []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        together = tuning.Together(loop.call_soon_threadsafe, lambda: done.append("at the end"))
        together.add(lambda: 1 // 0)
        together.add(lambda: done.append("after it"))
        await asyncio.sleep(0)
        return done, told

    done, told = asyncio.run(with_a_fault())
    assert done == ["after it", "at the end"]
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_streamlits_loop_is_told_once_until_it_looks(browser):
    told, need = [], asyncio.Event()

    def call_soon_threadsafe(callback):
        told.append(callback)
        callback()

    eventloop = SimpleNamespace(call_soon_threadsafe=call_soon_threadsafe)
    browser.runtime._async_objs = SimpleNamespace(eventloop=eventloop, need_send_data=need)
    tuning.hand_over_together()
    for _ in range(3):
        browser.runtime._enqueued_some_message()
    assert told == [need.set]
    need.clear()
    browser.runtime._enqueued_some_message()
    assert told == [need.set, need.set]
