"""Whose word is taken for where a request comes from, and whether it came over TLS: that of proxies. No Streamlit here.

The server's own (uvicorn's) takes that of 127.0.0.1 alone. A proxy in another container or on another machine comes
from an address that only whoever starts the server knows.
"""

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from core.knobs import clip

PROXIES_VARIABLE = "GRADIENT_LAB_PROXIES"
LOOPBACK = ("127.0.0.0/8", "::1/128")


class ProxyError(ValueError):
    """An address that no proxy can have. Its message is one sentence for whoever starts the server."""


def proxies(asked: str = "") -> list[str]:
    """The networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: the loopback, and what is asked for.

    Args:
        asked: addresses and networks, such as `172.17.0.1, 10.1.0.0/16`.

    Raises:
        ProxyError: one of them is neither.
    """
    found = list(LOOPBACK)
    for each in asked.replace(",", " ").split():
        try:
            found.append(str(ipaddress.ip_network(each, strict=False)))
        except ValueError:
            raise ProxyError(
                f"{PROXIES_VARIABLE} = {clip(asked)}: {clip(each)} is no address of a proxy and no network; "
                "give such as 172.17.0.1 or 10.1.0.0/16, or unset it to believe proxies of this machine alone."
            ) from None
    return found


class Proxies:
    """ASGI middleware that believes what some proxies say of the browsers behind them.

    Args:
        app: what stands behind it.
        trusted: networks, as `proxies` gives them.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        # Types of uvicorn's own for the same protocol.
        self._believing = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on with its true origin."""
        client = scope.get("client")
        if client:
            scope = {**scope, "client": (_plain(client[0]), client[1])}
        await self._believing(scope, receive, send)  # type: ignore[arg-type]


def _plain(address: str) -> str:
    """A server that listens for both kinds of address says those of IPv4 in the other's way: ::ffff:127.0.0.1."""
    try:
        mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return address
    return str(mapped) if mapped else address
