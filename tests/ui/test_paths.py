"""Base paths and relative addresses, as a browser follows them."""

import asyncio
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from core.ui.paths import BasePath, RestoredPath, base_path, taken_off, way_to


def ask(path, base="", method="GET", kind="http", query=b"", raw=None):
    """The path that ours see, the one that Streamlit sees, or where the browser is led; and the base path taken off."""
    seen, sent = [], []

    async def streamlit(scope, receive, send):
        seen.append(scope["path"])

    restored = RestoredPath(streamlit, base)

    async def ours(scope, receive, send):
        seen.extend([taken_off(HTTPConnection(scope)), scope["path"]])
        await restored(scope, receive, send)

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "raw_path": raw or path.encode(), "query_string": query,
             "headers": [], "root_path": ""}  # fmt: skip
    asyncio.run(BasePath(ours, base)(scope, None, send))
    return dict(sent[0]["headers"])[b"location"].decode() if sent else tuple(seen)


def follow(path, way):
    """Where a browser goes, to which an empty part of a path is a part; `urljoin` leaves these out."""
    parts = path.split("/")[:-1]
    while way.startswith(("./", "../")):
        step, _, way = way.partition("/")
        parts = parts[: len(parts) - (step == "..")] or [""]
    return "/".join([*parts, way])


@pytest.mark.parametrize(
    ("given_path", "found"),
    [("", ""), ("/", ""), ("lab", "/lab"), ("/lab", "/lab"), ("lab/", "/lab"), ("/a/b/", "/a/b"), (" a//b ", "/a/b")],
)
def test_a_base_path_is_one_however_it_is_written(given_path, found):
    assert base_path(given_path) == found


@pytest.mark.parametrize(
    ("base", "path", "seen"),
    [
        ("", "/dropout", ("", "/dropout", "/dropout")),
        ("/lab", "/lab/", ("/lab", "/", "/lab/")),
        ("/lab", "/lab/dropout", ("/lab", "/dropout", "/lab/dropout")),
        ("/lab", "/lab/_stcore/health", ("/lab", "/_stcore/health", "/lab/_stcore/health")),
        ("/lab", "/lab/lab/x", ("/lab", "/lab/x", "/lab/lab/x")),
        ("/a/b", "/a/b/api/compare", ("/a/b", "/api/compare", "/a/b/api/compare")),
        ("/lab", "/dropout", ("", "/dropout", "/lab/dropout")),  # a proxy has taken it off
        ("/lab", "/labour", ("", "/labour", "/lab/labour")),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_ours_see_no_base_path_and_streamlit_sees_its_own(base, path, seen, kind):
    assert ask(path, base, kind=kind) == seen


@pytest.mark.parametrize(
    ("base", "path", "leads_to"),
    [
        ("/lab", "/lab", "/lab/"),
        ("/a/b", "/a/b", "/a/b/"),
        ("", "/dropout/", "/dropout"),
        ("", "/dropout///", "/dropout"),
        ("", "/a/b/", "/a/b"),
        ("/lab", "/lab/dropout/", "/lab/dropout"),
        ("", "//evil.example/", "/evil.example"),
    ],
)
def test_a_slash_too_many_or_too_few_is_led_on_below_whatever_a_proxy_puts_ahead(base, path, leads_to):
    way = ask(path, base, query=b"width=4")
    for prefix in ("", "/elsewhere", "/two/parts"):
        assert follow(prefix + path, way) == f"{prefix}{leads_to}?width=4"
    assert isinstance(ask(path, base, method="POST"), tuple), "a form goes where it was sent"


def way(path, page, base="", raw=None):
    scope = {"type": "http", "path": path, "raw_path": raw, "gradient_lab.base_path": base, "headers": []}
    return way_to(HTTPConnection(scope), page)


@pytest.mark.parametrize("base", ["", "/lab", "/a/b"])
@pytest.mark.parametrize("prefix", ["", "/proxy", "/two/parts"])
@pytest.mark.parametrize("path", ["/", "/dropout", "/lessons/dropout", "/a/b/c"])
@pytest.mark.parametrize("page", ["", "/classroom", "gallery"])
def test_a_way_leads_to_the_page_from_every_depth(base, prefix, path, page):
    found = way(path, page, base, f"{base}{path}".encode())
    assert urljoin(f"http://lab{prefix}{base}{path}", found) == f"http://lab{prefix}{base}/{page.lstrip('/')}"


def test_a_slash_that_came_encoded_is_none_to_the_browser():
    found = way("/a/b", "", raw=b"/a%2Fb")
    assert urljoin("http://lab/proxy/a%2Fb", found) == "http://lab/proxy/"


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_way_leads_to_another_server(path, page):
    found = way(f"/{path}", page)
    assert found.startswith(("./", "../"))
    assert found.isascii()
    assert urlsplit(urljoin("https://lab:8443/x", found)).netloc == "lab:8443"
