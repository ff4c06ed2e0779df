"""What of Streamlit's protocol this server hears: what its pages send, and no more.

A browser can send more than its pages ever do, and for Streamlit whoever sends it is the developer at their own
machine. Emptying the caches would start a second runner and give the door a new key; asking for the state of the git
repository keeps the event loop busy for 35 ms. tests/ui/test_heard.py fails where another version of Streamlit has
messages that are not looked at here.
"""

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.app_session import AppSession

HEARD = frozenset({"rerun_script", "stop_script", "app_heartbeat", "file_urls_request"})
UNHEARD = frozenset({"clear_cache", "load_git_info", "set_run_on_save", "backend_operation_request"})
"""The last of these fetches parts of tables that are too large for one message; no page has any."""


def hear_only_pages() -> None:
    """Let Streamlit take no other message from a browser."""
    handle = AppSession.handle_backmsg

    def heard(session: AppSession, msg: BackMsg) -> None:
        if msg.WhichOneof("type") in HEARD:
            handle(session, msg)

    AppSession.handle_backmsg = heard  # type: ignore[method-assign, assignment]
