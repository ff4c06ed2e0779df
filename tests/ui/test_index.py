"""What is answered at addresses with and without a page."""

import asyncio
import gzip
from pathlib import Path
from urllib.parse import urljoin

import pytest
import streamlit

import app
from core.lessons import LESSONS
from core.ui.index import Index

FOLDER = Path(streamlit.__file__).parent / "static"
BEHIND = b"what stands behind"
PAGES = [*LESSONS, *app.PAGES]


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BEHIND})


INDEX = Index(behind, FOLDER, lambda: PAGES)


def ask(path, method="GET", accept="text/html,*/*", query=b"", takes="", more=()):
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"accept", accept.encode()), (b"accept-encoding", takes.encode()), *more]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
             "headers": headers}  # fmt: skip
    asyncio.run(INDEX(scope, None, send))
    start, *parts = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], found, b"".join(part["body"] for part in parts)


def test_the_pages_are_those_of_the_menu():
    """`pages/main.py` gives them to Streamlit; a page that it has beyond these could not be opened by its address."""
    files = {path.stem for path in (Path(app.__file__).parent / "pages").glob("[!_]*.py")}
    assert set(app.PAGES) == files - {"main", "home", "lesson"}


@pytest.mark.parametrize("path", ["/", *(f"/{page}" for page in PAGES)])
def test_a_page_comes_with_our_script_ahead_of_streamlits(path):
    status, headers, body = ask(path)
    assert status == 200
    assert headers["cache-control"] == "no-cache"
    page = body.decode()
    assert page.index("gradient-lab/connection") < page.index('<script type="module"')
    assert "<title>Gradient Lab</title>" in page
    assert "draws its pages with JavaScript" in page
    assert page.count("<noscript>") == 1
    packed = ask(path, takes="gzip")
    assert packed[1]["content-encoding"] == "gzip"
    assert gzip.decompress(packed[2]) == body


@pytest.mark.parametrize(
    "path",
    ["/_stcore/health", "/dying-relu/_stcore/host-config", "/media/x", "/component/x", "/favicon.png",
     f"/{next(FOLDER.glob('static/**/*.woff2')).relative_to(FOLDER).as_posix()}"],
)  # fmt: skip
def test_what_streamlit_serves_beside_its_page_goes_on(path):
    assert ask(path) == (200, {}, BEHIND)


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE"])
def test_what_asks_for_no_page_goes_on(method):
    assert ask("/no-such-page", method) == (200, {}, BEHIND)


@pytest.mark.parametrize(
    ("path", "page"),
    [("/lessons/dying-relu", "dying-relu"), ("/a/b/c/gallery", "gallery"), ("/Dying-ReLU", "dying-relu"),
     ("/dying_relu", "dying-relu"), ("/dying-relu.html", "dying-relu"), ("/dying relu", "dying-relu"),
     ("/home", ""), ("/index.html", ""), ("/main", ""), ("/lessons/index.htm", ""), ("/door", "classroom"),
     ("/dying-relu/dropout", "dropout")],
)  # fmt: skip
def test_where_a_page_is_plainly_meant_a_browser_is_led_there(path, page):
    status, headers, _ = ask(path, query=b"width=4")
    assert status == 307
    for prefix in ("", "/lab"):
        found = urljoin(f"http://lab{prefix}{path}", headers["location"])
        assert found == f"http://lab{prefix}/{page}?width=4"


@pytest.mark.parametrize(
    "path", ["/no-such-page", "/a/b/c", "/dying-relu/x", "/lessons", "/static/js/none.js", "/api/none", "/<script>"]
)
def test_where_none_is_a_sentence_and_a_way_home_stand(path):
    status, headers, body = ask(path)
    assert status == 404
    assert headers["content-type"].startswith("text/html")
    assert "There is no page" in body.decode()
    assert "<script>" not in body.decode()
    home = body.decode().partition('href="')[2].partition('href="')[2].partition('"')[0]
    assert urljoin(f"http://lab/prefix{path}", home) == "http://lab/prefix/"
    status, headers, body = ask(path, accept="*/*")
    assert (status, headers["content-type"]) == (404, "application/json")
    assert b"There is no page" in body


def test_whoever_set_a_proxy_up_hears_what_a_path_too_many_means():
    assert b"baseUrlPath" in ask("/lab", more=[(b"x-forwarded-for", b"10.0.0.7")])[2]
    assert b"baseUrlPath" not in ask("/lab")[2]
