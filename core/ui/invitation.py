"""How a class finds this server: its address in the room's network, and the same as a QR code. No Streamlit here."""

import io
import os
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode

import segno

from core.ui.addresses import ADDRESS_VARIABLE, addresses, doubt
from core.ui.door import CLASS_VARIABLE, TEACHER_VARIABLE, Codes, spaced


@dataclass(frozen=True)
class Invitation:
    """What students need.

    Attributes:
        address: of the server, as `http://192.168.1.20:8501`.
        codes: what opens its door.
        candidates: all addresses at which this machine may be found, the likeliest first.
        warning: why students may not get to `address`; "" where nothing speaks against it.
    """

    address: str
    codes: Codes
    candidates: tuple[str, ...] = ()
    warning: str = ""

    @property
    def link(self) -> str:
        """The address that lets students in."""
        return self.to("")

    def to(self, page: str, **query: str) -> str:
        """A link that lets students in and opens this page."""
        return f"{self.address}/{page}?{urlencode({**query, 'code': self.codes.students})}"

    def text(self, colours: bool = False) -> str:
        """All of it for the terminal where the server was started, which may know `colours`."""
        others = [each for each in self.candidates if each != self.address]
        return (
            f"\n{qr_text(self.link, colours)}\n"
            f"  The class:    {self.address}   with the code  {spaced(self.codes.students)}\n"
            f"  The teacher:  {self.address}/door   with the code  {spaced(self.codes.teacher)}\n"
            + (f"  Warning: {self.warning}\n" if self.warning else "")
            + (f"  Also at {', '.join(others)}; the page Classroom changes the QR code.\n" if others else "")
            + "  The QR code opens the address with the class code. Keep the teacher's code to yourself.\n"
            f"  Codes that are not given are new at each start; {CLASS_VARIABLE} and {TEACHER_VARIABLE} keep them.\n"
        )


def invitation(
    codes: Codes, bound: str, port: int, base_path: str = "", tls: bool = False, wanted: str = ""
) -> Invitation:
    """Return the invitation to the server that runs here, by its likeliest address or the one that is wanted.

    Args:
        codes: what opens its door.
        bound: what it listens at.
        port: likewise.
        base_path: below which it answers, as "/lab".
        tls: whether it speaks TLS itself.
        wanted: one of its addresses; another text counts for nothing.

    Raises:
        AddressError: the environment gives an address that is none.
    """
    given = os.environ.get(ADDRESS_VARIABLE, "")
    found = addresses(bound, port, tls, base_path, given)
    address = wanted if wanted in found else found[0]
    return Invitation(address, codes, found, doubt(address, found=not given.strip()))


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
