"""From which pages this server is spoken to: its own, under every name that it has. No Streamlit here.

A browser says at which address its page was opened (Origin) and which host it asks (Host). Where both are one, the page
is this server's. Proxies change either; then `GRADIENT_LAB_ADDRESS` says which address is this server's.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.knobs import clip
from core.ui.addresses import ADDRESS_VARIABLE
from core.ui.door import is_loopback

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origins:
    """The pages that may open a socket.

    Attributes:
        declared: this server's public address, such as `https://lab.school.example`; "": nobody said.
        also: further origins whose pages may.
        local: whether pages of this very machine may, whatever their port.
        all: whether all may; then nothing else counts.
    """

    declared: str = ""
    also: Collection[str] = ()
    local: bool = False
    all: bool = False

    def allow(self, origin: str | None, host: str | None) -> bool:
        """Whether a page may connect.

        Args:
            origin: the header of its request; None without one, as from a program: such a one could say anything.
            host: likewise.
        """
        page = _origin(origin or "")
        if origin is None or self.all:
            return True
        if page is None:
            return False
        scheme, name, port = page
        if (name, port) == _place(host or "", PORTS[scheme]):
            return True
        if page in [_origin(each) for each in (self.declared, *self.also)]:
            return True
        # A forwarder (code-server, Codespaces) that asks as this machine itself in the name of the declared address.
        return is_loopback(name) and (self.local or self.is_declared(host))

    def is_declared(self, host: str | None) -> bool:
        """Whether a request's Host is the declared one; its port may be missing or a proxy's own."""
        declared = _origin(self.declared)
        return declared is not None and _name(host or "") == declared[1]

    def over_tls(self, host: str | None) -> bool:
        """Whether a browser that asks for this host does so over TLS, by what was declared."""
        return self.declared.startswith("https://") and self.is_declared(host)

    def refusal(self, origin: str | None, host: str | None, opened: str = "") -> str:
        """One sentence on why a page may not connect, and what to set; "" where it may.

        Args:
            origin: as `allow`.
            host: as `allow`.
            opened: the origin at which its browser sees the page; any text.
        """
        if self.allow(origin, host):
            return ""
        seen = next((each for each in (opened, origin or "") if _origin(each)), "https://lab.school.example")
        known = f"{ADDRESS_VARIABLE} is {self.declared}" if self.declared else f"{ADDRESS_VARIABLE} is not set"
        return (
            f"The server refuses this page's connection: it came with Host {clip(host or 'missing', 80)} and Origin "
            f"{clip(origin or 'missing', 80)}, which differ, and {known}. A proxy on the way changes one of them. "
            f"Start the server with {ADDRESS_VARIABLE}={clip(seen, 80)}, or let the proxy pass both on unchanged."
        )


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address; None: it is none, as `null`."""
    try:
        parts = urlsplit(text)
        if parts.scheme not in PORTS or not parts.hostname:
            return None
        return parts.scheme, _plain(parts.hostname), parts.port or PORTS[parts.scheme]
    except ValueError:
        return None


def _place(host: str, port: int) -> tuple[str, int] | None:
    """Host and port that a Host header names, where `port` is meant without one; None: none."""
    found = None if set(host) & set("@/\\?#") else _origin(f"http://{host}")
    return None if found is None else (found[1], found[2] if _has_port(host) else port)


def _name(host: str) -> str:
    found = _origin(f"http://{host}")
    return "" if found is None else found[1]


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdecimal() and not host.endswith("]")


def _plain(host: str) -> str:
    """A host in one spelling: addresses of IPv6 have many, and a browser says umlauts in ASCII."""
    host = host.rstrip(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return host.lower().encode("idna").decode()
    except UnicodeError:
        return host.lower()
