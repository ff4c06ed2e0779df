"""The addresses at which browsers of a room find this server. No Streamlit here."""

import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil

from core.knobs import clip
from core.ui.door import is_loopback

ADDRESS_VARIABLE = "GRADIENT_LAB_ADDRESS"
EXAMPLE = "give one such as https://lab.school.example, or unset it"
DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"[\w.-]+")  # letters of any language: browsers spell those in ASCII themselves
# Somewhere outside, so that the machine's table of routes says from where it would send. Nothing is sent there.
OUTSIDE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# Networks within this machine, which no phone is in, and those that may be: a tunnel to another place.
INTERNAL = re.compile(
    r"(docker|br-[0-9a-f]{12}|veth|virbr|vmnet|vboxnet|lxc|lxd|cni|flannel|podman|vEthernet)|.*(VMware|VirtualBox)"
)
TUNNEL = re.compile(r"(tun|tap|utun|wg|ppp|tailscale|zt|ipsec)", re.IGNORECASE)
CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))


class AddressError(ValueError):
    """An address that no browser would open. Its message is one sentence for whoever starts the server."""


def declared(given: str) -> str:
    """Return the address that the environment gives, without a slash at its end; "" where it gives none.

    Args:
        given: such as `https://lab.school.example` or `http://192.168.1.20:8080/lab`.

    Raises:
        AddressError: it is no address of a server.
    """
    given = given.strip()
    if error := _error(given) if given else "":
        raise AddressError(f"{ADDRESS_VARIABLE} = {clip(given)} {error}.")
    parts = urlsplit(given)
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def addresses(bound: str, port: int, tls: bool = False, base_path: str = "", given: str = "") -> tuple[str, ...]:
    """Return where browsers of the room find a server, the likeliest first; never nothing.

    Args:
        bound: what it listens at: a name or an address, or all of the machine's.
        port: likewise.
        tls: whether it speaks TLS itself.
        base_path: below which it answers, as "/lab"; "" for the root.
        given: what the environment gives instead; `base_path` is put to it where it has no path of its own.

    Raises:
        AddressError: what the environment gives is no address of a server.
    """
    if public := declared(given):
        return (public if urlsplit(public).path else public + base_path,)
    scheme = "https" if tls else "http"
    at = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    hosts = own_hosts(ipv6=bound != "0.0.0.0") if _is_any(bound) else [bound]
    return tuple(f"{scheme}://{f'[{host}]' if ':' in host else host}{at}{base_path}" for host in hosts)


def own_hosts(ipv6: bool = False) -> list[str]:
    """Return this machine's addresses in its networks, the likeliest first, or its loopback's where it has none.

    Args:
        ipv6: whether the server listens at those too.
    """
    families = (socket.AF_INET, socket.AF_INET6) if ipv6 else (socket.AF_INET,)
    found = [host for family in families if (host := _routed(family))]
    found += [host for family in families for host in _of_interfaces(family)]
    usable = sorted(dict.fromkeys(found), key=lambda host: ":" in host)  # what people can type comes first
    return usable or ["127.0.0.1"]


def doubt(address: str, found: bool = True) -> str:
    """Return a sentence on why students may not get to an address, "" where nothing speaks against it.

    Args:
        address: of a server.
        found: whether it was found here, and not declared by somebody who knows better.
    """
    host = (urlsplit(address).hostname or "").rstrip(".")
    if is_loopback(host) or host.endswith(".localhost"):
        return (
            f"{host} leads every device to itself, so students cannot open this address or its QR code. Use "
            f"`make classroom` in the network of the room, or set {ADDRESS_VARIABLE} to an address that they can open."
        )
    if found and any(each.exists() for each in CONTAINERS):
        return (
            f"This server runs in a container, and {host} is an address within it, which students may not reach. Set "
            f"{ADDRESS_VARIABLE} to the address of the machine around it."
        )
    return ""


def _error(given: str) -> str:
    if " " in given or not given.isprintable():
        return f"has blanks or signs that no address has; {EXAMPLE}"
    if "://" not in given:
        return f"does not begin with http:// or https://; {EXAMPLE}"
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"is no address of a server: its host or its port cannot be read; {EXAMPLE}"
    if parts.scheme not in DEFAULT_PORTS:
        return f"does not begin with http:// or https://; {EXAMPLE}"
    if not HOST.fullmatch(host) and ":" not in host:
        return f"names no host; {EXAMPLE}"
    if port == 0:
        return "has the port 0, which no browser opens; give the one at which the server is reached"
    if _is_any(host):
        return f"is what a server listens at, and no address that a browser opens; {EXAMPLE}"
    if parts.query or parts.fragment or parts.username is not None or given.endswith(("?", "#")):
        return f"has more than a scheme, a host, a port and a path; {EXAMPLE}"
    return ""


def _routed(family: socket.AddressFamily) -> str:
    """Return the address from which this machine would send to the outside, "" where no route leads there.

    A datagram socket that is connected asks the machine's own table of routes, and sends nothing.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((OUTSIDE[family], 9))
            host = str(way.getsockname()[0])
    except OSError:  # no route, or a machine without this family
        return ""
    return host if _is_of_a_room(host) else ""


def _of_interfaces(family: socket.AddressFamily) -> Iterator[str]:
    """The addresses of all interfaces that are up: a room's network first, tunnels and improvised networks last."""
    up = psutil.net_if_stats()
    rows = [
        (bool(TUNNEL.match(name)), ipaddress.ip_address(host).is_link_local, host)
        for name, entries in psutil.net_if_addrs().items()
        if name in up and up[name].isup and not INTERNAL.match(name)
        for entry in entries
        if entry.family == family and _is_of_a_room(host := entry.address.partition("%")[0])
    ]
    yield from (host for *_, host in sorted(rows, key=lambda row: row[:2]))


def _is_of_a_room(host: str) -> bool:
    found = ipaddress.ip_address(host)
    # A browser cannot open an address of IPv6 that is valid on one link alone.
    return not (found.is_loopback or found.is_unspecified or (found.version == 6 and found.is_link_local))


def _is_any(bound: str) -> bool:
    try:
        return ipaddress.ip_address(bound or "::").is_unspecified
    except ValueError:
        return False
