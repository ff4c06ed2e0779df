"""Proxies that are believed, and others."""

import asyncio

import pytest

from core.ui.proxies import Proxies, ProxyError, proxies

BROWSER = "203.0.113.9"


def seen(asked, client, kind="http", **headers):
    """Address and scheme of a request as the app sees them."""
    found = []

    async def app(scope, receive, send):
        found.extend([scope["client"] and scope["client"][0], scope["scheme"]])

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scheme = {"http": "http", "websocket": "ws"}[kind]
    scope = {"type": kind, "scheme": scheme, "client": client and (client, 1), "headers": given}
    asyncio.run(Proxies(app, proxies(asked))(scope, None, None))
    return tuple(found)


@pytest.mark.parametrize(
    ("asked", "client"),
    [("", "127.0.0.1"), ("", "::1"), ("", "::ffff:127.0.0.1"), ("172.17.0.1", "172.17.0.1"),
     ("10.0.0.0/8, 172.17.0.1", "10.1.2.3"), ("10.0.0.7/8", "10.1.2.3"), ("172.17.0.1", "::ffff:172.17.0.1"),
     ("fd00::/8", "fd00::1"), (" 172.17.0.1 ,, 10.0.0.1 ", "10.0.0.1"), ("172.17.0.1", "127.0.0.1")],
)  # fmt: skip
def test_a_proxy_that_is_named_is_believed(asked, client):
    said = {"x_forwarded_for": BROWSER, "x_forwarded_proto": "https"}
    assert seen(asked, client, **said) == (BROWSER, "https")
    assert seen(asked, client, kind="websocket", **said) == (BROWSER, "wss")


@pytest.mark.parametrize(
    ("asked", "client"), [("", "172.17.0.1"), ("172.17.0.1", "172.17.0.2"), ("10.0.0.0/8", "11.0.0.1")]
)
def test_nobody_else_is(asked, client):
    assert seen(asked, client, x_forwarded_for=BROWSER, x_forwarded_proto="https") == (client, "http")


def test_of_a_chain_the_last_that_is_no_proxy_of_ours_is_the_browser():
    assert seen("10.0.0.0/8", "10.0.0.1", x_forwarded_for=f"1.1.1.1, {BROWSER}, 10.0.0.2")[0] == BROWSER


def test_an_address_of_ipv4_is_one_however_the_socket_says_it():
    assert seen("", "::ffff:192.168.1.20")[0] == "192.168.1.20"
    assert seen("", None) == (None, "http")


@pytest.mark.parametrize("asked", ["proxy", "*", "10.0.0.0/33", "10.0.0", "172.17.0.1:80", "10.0.0.1, nginx"])
def test_what_is_no_address_ends_the_start_with_a_sentence(asked):
    with pytest.raises(ProxyError) as caught:
        proxies(asked)
    assert asked in str(caught.value)
    assert "GRADIENT_LAB_PROXIES" in str(caught.value)
    assert "172.17.0.1 or 10.1.0.0/16" in str(caught.value)
