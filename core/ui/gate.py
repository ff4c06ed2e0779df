"""What stands between the network and everything that is served. No Streamlit here.

Every browser gets a name that it keeps (a random one, told to nobody): who pressed Run may press Stop after a reload.
Where the door has codes, nothing but a sign of life is answered to whoever has not given one; then it has a ticket.
"""

import json
import secrets
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.ui.door import TICKET_KEPT, Door, Role, WrongCode
from core.ui.origins import Origins
from core.ui.paths import taken_off, way_to
from core.ui.throttle import NotChecked

RETRY_AFTER = 3  # seconds until a code that was not checked may be given again
CLIENT_KEPT = 180 * 86400  # seconds: a term

DOOR = "/door"  # where somebody who is inside gives the teacher's code
TEACHERS_PAGE = "/classroom"
OPEN = "/_stcore/health"  # answers "ok"
CONNECTION = "/gradient-lab/connection"  # where a page asks why its socket does not open (connection.js)
UPLOADS = "/_stcore/upload_file"
MOST_BODY = 8192  # bytes of a form with a code, or with a link in its place
MOST_PAGES, MOST_PAGES_EACH = 400, 30  # open at a time, in all and of one browser

FORM = Template((Path(__file__).parent / "door.html").read_text(encoding="utf-8"))
FORM_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}
# A page of another site may not put these pages into a frame, and is not told which of them a link was on.
CLASS_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
}


class Gate:
    """ASGI middleware ahead of everything.

    Args:
        app: what is served.
        door: gives the door; called at each request, so that nothing starts at import.
        origins: the pages that may open a socket.
    """

    def __init__(self, app: ASGIApp, door: Callable[[], Door], origins: Origins | None = None) -> None:
        self.app, self.door, self.origins = app, door, origins or Origins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through to the app."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.origins.over_tls(HTTPConnection(scope).headers.get("host")):
            scope = {**scope, "scheme": "https"}  # a proxy speaks it, whether it says so or not
        request, door = Request(scope, receive), self.door()
        new = None if _client_id(request, door) or not _is_page(request) else secrets.token_hex(16)

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in CLASS_HEADERS.items() if door.codes else ():
                    headers.setdefault(name, value)
                if new is not None:
                    headers.append("Set-Cookie", _cookie(request, door.cookies.client, new, CLIENT_KEPT))
            await send(message)

        if request.scope["path"] == CONNECTION and request.method == "POST":
            answer: Response | None = self._why_not(request, door)
        else:
            answer = None if door.codes is None else await _at_the_door(request, door)
        await (answer or self.app)(scope, receive, say)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor, door = HTTPConnection(scope), self.door()
        asker = _client_id(visitor, door)
        if self._refusal(visitor, door):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and door.role_of(visitor.cookies) is None:
                return {"type": "websocket.disconnect", "code": 1008}  # the ticket has expired since it connected
            return message

        door.pages[asker] += 1
        try:
            await self.app(_of_this_server(scope), hear, send)
        finally:
            door.pages[asker] -= 1
            if not door.pages[asker]:
                del door.pages[asker]

    def _refusal(self, visitor: HTTPConnection, door: Door, opened: str = "") -> str:
        """Return why a page may not open its socket, or "": it has no ticket, another server gave it, all is full."""
        role = door.role_of(visitor.cookies)
        if role is None:
            return "This class has a code, and this page was opened without it or long ago; reload the page."
        sentence = self.origins.refusal(visitor.headers.get("origin"), visitor.headers.get("host"), opened)
        return sentence or ("" if role == "teacher" else _crowd(visitor, door))

    def _why_not(self, request: Request, door: Door) -> Response:
        sentence = self._refusal(request, door, dict(_query(request)).get("opened", ""))
        return _json({"error": sentence}, 200 if door.role_of(request.cookies) else 401)


async def _at_the_door(request: Request, door: Door) -> Response | None:
    """What whoever asks for something is told instead; None: they may have it."""
    path, role = request.scope["path"], door.role_of(request.cookies)
    if path == OPEN:
        return None
    given = dict(_query(request)).get("code")
    if request.method in ("GET", "HEAD") and given is not None:
        return await _let_in(request, door, given, role)
    if request.method == "POST" and (role is None or path == DOOR):
        return await _read_form(request, door, role)
    if path == DOOR:
        return _form("Only the teacher needs another code here." if role == "student" else "", 200)
    if role is None:
        return _refuse(request, "This class has a code; the teacher shows it.", 401)
    if UPLOADS in path and role != "teacher":
        return _refuse(request, "Only the teacher brings files to this server; ask for it in class.", 403)
    crowd = _crowd(request, door)
    if crowd and role != "teacher" and _is_page(request):
        return _form(crowd, 503, ask=False)
    return None


async def _read_form(request: Request, door: Door, role: Role | None) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            return _refuse(request, f"That is no code: it has more than {MOST_BODY} bytes; type the class code.", 413)
    try:
        given = parse_qs(body.decode(errors="replace"), max_num_fields=8).get("code", [""])[0]
    except ValueError:
        given = ""
    return await _let_in(request, door, given, role)


async def _let_in(request: Request, door: Door, code: str, role: Role | None) -> Response:
    """To the same place, with a ticket; or the form again, with a sentence."""
    address = request.client.host if request.client else ""
    query = [(name, value) for name, value in _query(request) if name != "code"]
    where = way_to(request, request.scope["path"], urlencode(query))
    try:
        found = await door.guess(code, address, _client_id(request, door), role)
    except (WrongCode, NotChecked) as error:
        if role is not None and request.method != "POST":  # an old link of a class says a code to those inside too
            return RedirectResponse(where, 303, {"Cache-Control": "no-store"})
        return _not_in(request, error)
    if request.scope["path"] == DOOR:
        where = way_to(request, TEACHERS_PAGE if found == "teacher" else "")
    answer = RedirectResponse(where, 303, {"Cache-Control": "no-store"})
    best: Role = "teacher" if "teacher" in (found, role) else "student"  # a teacher may scan what students scan
    answer.headers.append("Set-Cookie", _cookie(request, door.cookies.ticket, door.ticket(best), TICKET_KEPT))
    return answer


def _not_in(request: Request, error: WrongCode | NotChecked) -> Response:
    """The form again, with a sentence; who scanned a code that was not checked has nothing to type, but comes again."""
    if isinstance(error, NotChecked):
        sentence = f"Many codes are being tried, and yours was not checked; try again in {RETRY_AFTER} seconds."
        headers = {"Retry-After": str(RETRY_AFTER)}
        if request.method != "POST":
            sentence += " This page does so by itself."
            headers["Refresh"] = str(RETRY_AFTER)
        return _refuse(request, sentence, 429, headers)
    if error.late:
        sentence = f"{error} Many wrong ones came of late, so each is checked slowly."
        return _refuse(request, sentence, 429, {"Retry-After": str(RETRY_AFTER)})
    return _refuse(request, str(error), 403)


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _of_this_server(scope: Scope) -> Scope:
    """A socket's request as Streamlit gets it, which compares Origin and Host anew, and more strictly than the gate.

    Where these two differ, Streamlit would go on to ask a server on the internet for this one's address.
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
    host = next((value for name, value in headers if name == b"host"), None)
    if host is not None and len(headers) < len(scope["headers"]):
        headers.append((b"origin", b"http://" + host))
    return {**scope, "headers": headers}


def _crowd(visitor: HTTPConnection, door: Door) -> str:
    """The sentence for whoever may open no more pages, "" where there is room."""
    if door.pages[_client_id(visitor, door)] >= MOST_PAGES_EACH:
        return f"This browser has {MOST_PAGES_EACH} pages open, as many as one may have; close some and come back."
    if door.pages.total() >= MOST_PAGES:
        return f"{MOST_PAGES} pages are open on this server, as many as it takes; come back when others have left."
    return ""


def _client_id(visitor: HTTPConnection, door: Door) -> str:
    return door.cookies.client_id(visitor.cookies)


def _is_page(request: Request) -> bool:
    """Whether somebody goes to a page, and not a page to one of its parts."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def _cookie(request: Request, name: str, value: str, seconds: int) -> str:
    secure = "; Secure" if request.scope["scheme"] == "https" else ""
    return f"{name}={value}; Path={taken_off(request) or '/'}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _refuse(request: Request, sentence: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """A form where a person asks, else the sentence alone."""
    if _is_page(request) or request.method == "POST":
        return _form(sentence, status, headers)
    return _json({"error": sentence}, status, headers)


def _json(said: dict[str, str], status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(said), status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def _form(sentence: str, status: int, headers: dict[str, str] | None = None, ask: bool = True) -> Response:
    words = f'<p role="alert">{escape(sentence)}</p>' if sentence else ""
    page = FORM.substitute(sentence=words, hidden="" if ask else "hidden")
    return Response(page, status, {**FORM_HEADERS, **(headers or {})}, media_type="text/html")
