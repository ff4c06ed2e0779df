"""Streamlit's own files as a browser gets them, beside what lies on disk."""

import asyncio
import gzip
from pathlib import Path

import pytest
import streamlit
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core.ui.frontend import Frontend
from core.ui.routes import packed

FOLDER = Path(streamlit.__file__).parent / "static"
BEHIND = "what stands behind"
SCRIPT, STYLE = (next(FOLDER.glob(f"static/**/*.{suffix}")) for suffix in ("js", "css"))


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BEHIND.encode()})


async def hello(request):
    return PlainTextResponse(f"hello {request.path_params['name']}")


FRONTEND = Frontend(behind, FOLDER, [Route("/hello/{name}", hello)])


def ask(path, method="GET", takes="gzip, deflate, br"):
    """The headers and the body that a browser gets."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"accept-encoding", takes.encode())]
    asyncio.run(FRONTEND({"type": "http", "method": method, "path": path, "headers": headers}, None, send))
    start, *parts = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return found, b"".join(part["body"] for part in parts)


def address(file):
    return f"/{file.relative_to(FOLDER).as_posix()}"


@pytest.mark.parametrize(("file", "kind"), [(SCRIPT, "text/javascript"), (STYLE, "text/css")])
def test_a_file_comes_packed_and_is_the_one_on_disk(file, kind):
    headers, body = ask(address(file))
    assert gzip.decompress(body) == file.read_bytes()
    assert int(headers["content-length"]) == len(body)
    assert headers["content-encoding"] == "gzip"
    assert headers["content-type"].startswith(kind)
    assert "immutable" in headers["cache-control"]


def test_our_own_routes_are_answered_and_no_others():
    assert ask("/hello/you")[1] == b"hello you"
    assert ask("/hello")[1] == ask("/hello/you/too")[1] == ask("/hello/you", "POST")[1] == BEHIND.encode()


def test_who_cannot_unpack_it_gets_it_from_the_app():
    assert ask(address(SCRIPT), takes="br") == ({}, BEHIND.encode())


@pytest.mark.parametrize(
    "path",
    ["/", "/index.html", "/static/js/none.js", "/static/../../requirements.txt", f"/{address(SCRIPT)}",
     address(next(FOLDER.glob("static/**/*.woff2"))), str(SCRIPT)],
)  # fmt: skip
def test_all_else_goes_on_to_the_app(path):
    assert ask(path) == ({}, BEHIND.encode())


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_what_is_no_plain_question_goes_on_to_the_app(method):
    assert ask(address(SCRIPT), method) == ({}, BEHIND.encode())


def test_a_file_is_packed_once(monkeypatch):
    packed.cache_clear()
    first = ask(address(SCRIPT))
    monkeypatch.setattr(gzip, "compress", lambda *_, **__: pytest.fail("packed again"))
    assert ask(address(SCRIPT)) == first
