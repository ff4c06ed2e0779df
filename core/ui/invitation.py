"""How a class finds this server: its address in the room's network, and the same as a QR code. No Streamlit here."""

import io
import ipaddress
import os
import socket
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode, urlsplit

import segno

from core.knobs import clip
from core.ui.door import CLASS_VARIABLE, TEACHER_VARIABLE, Codes, is_loopback, spaced

ADDRESS_VARIABLE = "GRADIENT_LAB_ADDRESS"
# Where a machine in a room may find its way to. Nothing is sent there: see `own_address`.
ELSEWHERE = ("192.0.2.1", "10.254.254.254", "172.30.254.254", "192.168.254.254")


class AddressError(ValueError):
    """An address that no browser would open. Its message is one sentence for whoever starts the server."""


@dataclass(frozen=True)
class Invitation:
    """What students need.

    Attributes:
        address: of the server, as `http://192.168.1.20:8501`.
        codes: what opens its door.
    """

    address: str
    codes: Codes

    @property
    def link(self) -> str:
        """The address that lets students in."""
        return self.to("")

    def to(self, page: str, **query: str) -> str:
        """A link that lets students in and opens this page."""
        return f"{self.address}/{page}?{urlencode({**query, 'code': self.codes.students})}"

    def text(self, colours: bool = False) -> str:
        """All of it for the terminal where the server was started, which may know `colours`."""
        return (
            f"\n{qr_text(self.link, colours)}\n"
            f"  The class:    {self.address}   with the code  {spaced(self.codes.students)}\n"
            f"  The teacher:  {self.address}/door   with the code  {spaced(self.codes.teacher)}\n"
            "  The QR code opens the address with the class code. Keep the teacher's code to yourself.\n"
            f"  Codes that are not given are new at each start; {CLASS_VARIABLE} and {TEACHER_VARIABLE} keep them.\n"
        )


def declared(asked: str) -> str:
    """The public address of a server as the environment gives it, "" where it gives none. Raises `AddressError`."""
    asked = asked.strip()
    try:
        parts = urlsplit(asked)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and asked.isprintable()
    except ValueError:
        fine = False
    if asked and (not fine or " " in asked or parts.query or parts.fragment or parts.username is not None):
        raise AddressError(
            f"{ADDRESS_VARIABLE} = {clip(asked)} is no address of a server; "
            "give one such as https://lab.school.example, or unset it."
        )
    return asked.rstrip("/")


def address(bound: str, port: int, asked: str = "", base_path: str = "") -> str:
    """Where browsers of the room find a server.

    Args:
        bound: what it listens at: a name or an address, or all of the machine's.
        port: likewise.
        asked: what the environment gives instead, such as `https://lab.school.example`.
        base_path: below which it answers, as "/lab"; one that the environment gives stands.

    Raises:
        AddressError: what the environment gives is no address of a server.
    """
    if public := declared(asked):
        return public if urlsplit(public).path else public + base_path
    host = own_address() if _is_any(bound) else bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{base_path}"


def own_address() -> str:
    """The address of this machine in its network, or its loopback's where it has no network.

    A datagram socket that is connected asks the machine's own table of ways which address it would send from, and
    sends nothing.
    """
    for there in ELSEWHERE:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            try:
                way.connect((there, 9))
            except OSError:  # no way leads there
                continue
            found = str(way.getsockname()[0])
            if not is_loopback(found):
                return found
    return "127.0.0.1"


def invitation(codes: Codes, bound: str, port: int, base_path: str = "") -> Invitation:
    """To the server that runs here. Raises `AddressError`."""
    return Invitation(address(bound, port, os.environ.get(ADDRESS_VARIABLE, ""), base_path), codes)


@cache
def qr_svg(link: str) -> str:
    """A link as a picture's address: dark on white, with the margin that cameras need."""
    return str(segno.make(link, error="m", micro=False).svg_data_uri(scale=10, border=4, dark="#000", light="#fff"))


def qr_text(link: str, colours: bool = False) -> str:
    """A link as a QR code of block characters; without `colours` it is meant for light type on dark ground."""
    drawn = io.StringIO()
    segno.make(link, error="m", micro=False).terminal(drawn, border=2, compact=True)
    lines = drawn.getvalue().splitlines()
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" if colours else line for line in lines)


def _is_any(bound: str) -> bool:
    try:
        return ipaddress.ip_address(bound or "0.0.0.0").is_unspecified
    except ValueError:
        return False
