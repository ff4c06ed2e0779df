"""What of Streamlit's protocol is heard: what pages send, and nothing that is meant for a developer."""

from types import SimpleNamespace

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.app_session import AppSession

from core.ui.heard import HEARD, UNHEARD, hear_only_pages

# For Streamlit's own tests, and refused by it elsewhere.
FOR_TESTS = {"debug_disconnect_websocket", "debug_shutdown_runtime"}


@pytest.fixture
def handled(monkeypatch):
    """The kinds of message that came through."""
    kinds = []
    monkeypatch.setattr(AppSession, "handle_backmsg", lambda session, msg: kinds.append(msg.WhichOneof("type")))
    hear_only_pages()
    return kinds


def message(kind):
    said = BackMsg()
    field = BackMsg.DESCRIPTOR.fields_by_name[kind]
    if field.message_type is None:
        setattr(said, kind, True)
    else:
        getattr(said, kind).SetInParent()
    return said


def test_every_message_of_this_version_was_looked_at():
    assert {field.name for field in BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields} == HEARD | UNHEARD | FOR_TESTS


def test_what_pages_send_is_heard_and_nothing_else(handled):
    for kind in sorted(HEARD | UNHEARD):
        AppSession.handle_backmsg(SimpleNamespace(), message(kind))
    assert set(handled) == HEARD
    AppSession.handle_backmsg(SimpleNamespace(), BackMsg())
    assert len(handled) == len(HEARD)
