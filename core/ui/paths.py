"""Below which path the pages stand, and how one address leads to another whatever a proxy puts in front of it.

A server with a base path (Streamlit's `server.baseUrlPath`) meets it in every request: `BasePath` takes it off once, so
that nothing of ours knows it, and `RestoredPath` puts it back for Streamlit, whose own addresses carry it. A proxy that
takes a prefix off tells nobody. So whatever leads somewhere (links, redirects, scripts) is relative. No Streamlit here.
"""

from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

TAKEN_OFF = "gradient_lab.base_path"  # in a scope: the base path that this request came with, "" without one
NO_STORE = {"Cache-Control": "no-store"}


def base_path(given: str) -> str:
    """A base path as it begins a request's path: "/lab" for `lab`, `/lab` and `lab/`; "" for none."""
    parts = [part for part in given.strip().split("/") if part]
    return "".join(f"/{part}" for part in parts)


def taken_off(visitor: HTTPConnection) -> str:
    """The base path that this request came with, "" without one."""
    return str(visitor.scope.get(TAKEN_OFF, ""))


def way_to(visitor: HTTPConnection, page: str, query: str = "") -> str:
    """A relative address that leads from what was asked for to a page of this server, and never to another server.

    Args:
        visitor: who asked.
        page: its path, with or without a slash ahead; "" is home.
        query: of the page, encoded.
    """
    # A slash that came encoded is none to the browser that will follow this: count in what it sent.
    sent = visitor.scope.get("raw_path") or quote(taken_off(visitor) + visitor.scope["path"]).encode()
    up = sent.count(b"/") - taken_off(visitor).count("/") - 1
    # It begins with a dot, since `//other` and `javascript:x` would be whole addresses.
    way = "../" * up or "./"
    return way + quote(page.lstrip("/\\"), safe="/:@!$&'()*+,;=~-._") + (f"?{query}" if query else "")


class BasePath:
    """ASGI middleware ahead of all others: behind it, no path begins with the base path or ends with a slash.

    A request without the base path is answered all the same: it comes from a proxy that has taken it off already.

    Args:
        app: what stands behind it.
        base: as `base_path` gives it.
    """

    def __init__(self, app: ASGIApp, base: str) -> None:
        self.app, self.base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on with its path, or lead a browser to the address without a slash too many."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if self.base and (path == self.base or path.startswith(f"{self.base}/")):
            scope = {**scope, "path": path[len(self.base) :] or "/", TAKEN_OFF: self.base}
        visitor = HTTPConnection(scope)
        query = scope["query_string"].decode("latin-1")
        answer = None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            if path == self.base:  # without its slash, what stands on the page would be looked for beside it
                answer = f"./{quote(path.rpartition('/')[2])}/" + (f"?{query}" if query else "")
            elif len(scope["path"]) > 1 and scope["path"].endswith("/"):
                answer = way_to(visitor, scope["path"].rstrip("/"), query)
        await (self.app if answer is None else RedirectResponse(answer, 307, NO_STORE))(scope, receive, send)


class RestoredPath:
    """ASGI middleware behind all others: Streamlit's own addresses carry the base path, so it is put back.

    Args:
        app: what stands behind it.
        base: as `base_path` gives it.
    """

    def __init__(self, app: ASGIApp, base: str) -> None:
        self.app, self.base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on with the path that Streamlit knows."""
        if self.base and "path" in scope:
            scope = {**scope, "path": self.base + scope["path"]}
        await self.app(scope, receive, send)
