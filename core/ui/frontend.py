"""What is answered ahead of Streamlit: our own routes, and its scripts and styles from memory. No Streamlit here.

Streamlit sends its files as they lie on disk, read anew for each browser and unpacked. A browser asks for some sixty of
them before it shows a page, so a class that opens its laptops at the same moment waits for little else. And a class
that watches asks our routes a hundred times a second, each time through six layers of Streamlit's own.
"""

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.ui.routes import FOR_EVER, packed, takes_gzip

TYPES = {".js": "text/javascript", ".css": "text/css"}


class Frontend:
    """Middleware that answers for some routes, and for the scripts and styles in a folder; all else goes to the app.

    Args:
        app: what stands behind it.
        folder: of the files that Streamlit serves at the root; their names carry a hash of what is in them.
        routes: ours.
    """

    def __init__(self, app: ASGIApp, folder: Path, routes: Sequence[Route] = ()) -> None:
        self.app, self._routes = app, routes
        # Known by name, so that no path from outside is ever joined to the folder.
        self._files = {f"/{path.relative_to(folder).as_posix()}": path for path in folder.glob("static/**/*.*")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through to the app."""
        if scope["type"] == "http":
            for route in self._routes:
                match, found = route.matches(scope)
                if match is Match.FULL:
                    await route.handle({**scope, **found}, receive, send)
                    return
        path = self._files.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if path is None or path.suffix not in TYPES or not takes_gzip(Request(scope)):
            await self.app(scope, receive, send)
            return
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Cache-Control": FOR_EVER}
        await Response(packed(path), headers=headers, media_type=TYPES[path.suffix])(scope, receive, send)
