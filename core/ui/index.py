"""Which pages there are, and what is said at every other address. No Streamlit here.

Streamlit answers each address that it does not know with its own page, which then looks for its files beside that
address and stays blank. So its page is given where a page of ours stands; elsewhere a browser is led to the page that
was meant, or told that there is none. The page gets a script of ours that says why, where it cannot connect.
"""

import gzip
import json
import re
from collections.abc import Callable, Collection
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.knobs import clip
from core.ui.paths import NO_STORE, way_to
from core.ui.routes import takes_gzip

HERE = Path(__file__).parent
NO_PAGE = Template((HERE / "no_page.html").read_text(encoding="utf-8"))
NO_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
NO_SCRIPT = (
    "<noscript><p>Gradient Lab draws its pages with JavaScript; allow it for this address and reload.</p></noscript>"
)
STREAMLITS_OWN = ("_stcore", "media", "component", "app", "auth", "oauth2callback")  # first parts of paths
BELOW = "let it take that off, or start the server with --server.baseUrlPath set to it."
HOME = ("", "home", "main", "index")
ELSEWHERE = {"door": "classroom"}  # an address of ours without a page: where the door stands open


class Index:
    """Middleware that answers for pages; what Streamlit serves beside them goes on to the app.

    Args:
        app: what stands behind it.
        folder: of the files that Streamlit serves at the root.
        pages: gives the paths of all pages but home, without a slash; there may be more later.
    """

    def __init__(self, app: ASGIApp, folder: Path, pages: Callable[[], Collection[str]]) -> None:
        self.app, self._pages = app, pages
        self._page = _with_ours((folder / "index.html").read_text(encoding="utf-8")).encode()
        self._packed = gzip.compress(self._page, mtime=0)
        # Known by name, so that a file which is not there is no page either.
        self._files = {path.relative_to(folder).as_posix() for path in folder.glob("**/*.*")} - {"index.html"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through to the app."""
        answer = None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            answer = self._answer(Request(scope))
        await (answer or self.app)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        path = request.scope["path"].strip("/")
        first, *_ = parts = path.split("/")
        # Streamlit's page looks for its server below its own path before it looks beside it.
        if first in STREAMLITS_OWN or "_stcore" in parts or path in self._files:
            return None
        if not path or path in self._pages():
            headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
            if takes_gzip(request):
                return Response(self._packed, headers={**headers, "Content-Encoding": "gzip"}, media_type="text/html")
            return Response(self._page, headers=headers, media_type="text/html")
        meant = self._meant(parts[-1])
        asked = "text/html" in request.headers.get("accept", "")
        if asked and meant is not None:
            return RedirectResponse(
                way_to(request, meant, request.scope["query_string"].decode("latin-1")), 307, NO_STORE
            )
        sentence = f"There is no page {clip(request.scope['path'], 80)} here; take one of the lessons at home."
        if "x-forwarded-for" in request.headers and len(parts) < 3:
            sentence += f" If a proxy serves Gradient Lab below /{clip(first, 40)}: {BELOW}"
        if not asked:
            body = json.dumps({"error": sentence}).encode()
            return Response(body, 404, NO_STORE, media_type="application/json")
        page = NO_PAGE.substitute(sentence=escape(sentence), home=way_to(request, ""))
        return Response(page, 404, {**NO_STORE, **NO_PAGE_HEADERS}, media_type="text/html")

    def _meant(self, part: str) -> str | None:
        """The page that the last part of a path names, spelt a little otherwise; None: none."""
        name = re.sub(r"\.(html?|py)$", "", part.casefold().strip()).replace("_", "-").replace(" ", "-")
        name = ELSEWHERE.get(name, name)
        return "" if name in HOME else name if name in self._pages() else None


def _with_ours(page: str) -> str:
    """Streamlit's page with our scripts, ahead of its own, and our name."""
    for name in ("connection.js", "history.js"):
        script = (HERE / name).read_text(encoding="utf-8")
        page = page.replace("<head>", f"<head>\n<script>\n{script}</script>", 1)
    page = page.replace("<title>Streamlit</title>", "<title>Gradient Lab</title>", 1)
    return re.sub(r"<noscript>.*?</noscript>", NO_SCRIPT, page, count=1, flags=re.DOTALL)
