"""Streamlit's own scripts and styles, packed once and answered from memory. No Streamlit here.

Streamlit sends them as they lie on disk, read anew for each browser and unpacked. A browser asks for some sixty of them
before it shows a page, so a class that opens its laptops at the same moment waits for little else.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.ui.routes import FOR_EVER, packed, takes_gzip

TYPES = {".js": "text/javascript", ".css": "text/css"}


class Frontend:
    """Middleware that answers for the scripts and styles in a folder; all else goes on to the app.

    Args:
        app: what stands behind it.
        folder: of the files that Streamlit serves at the root; their names carry a hash of what is in them.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self.app = app
        # Known by name, so that no path from outside is ever joined to the folder.
        self._files = {f"/{path.relative_to(folder).as_posix()}": path for path in folder.glob("static/**/*.*")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through to the app."""
        path = self._files.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if path is None or path.suffix not in TYPES or not takes_gzip(Request(scope)):
            await self.app(scope, receive, send)
            return
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Cache-Control": FOR_EVER}
        await Response(packed(path), headers=headers, media_type=TYPES[path.suffix])(scope, receive, send)
