"""The cookies that a browser keeps for this server: their names, and what they say. No Streamlit here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

CLIENT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Cookies:
    """The names of this server's cookies.

    Browsers keep one jar for a host, whatever the port: two servers on one host would overwrite each other's cookies
    if these had one name.

    Attributes:
        client: name of the cookie with a random name of the browser.
        ticket: name of the cookie with the ticket of whoever was let in.
    """

    client: str = "gradient_lab_client"
    ticket: str = "gradient_lab_ticket"

    @classmethod
    def of(cls, port: int, base_path: str = "", address: str = "") -> Self:
        """Return the names for one server of a host: the same after a restart.

        Args:
            port: where it listens.
            base_path: below which it answers, if there is one.
            address: what browsers are told to call it: containers of one host may listen at the same port.
        """
        which = re.sub(r"[^0-9a-z]+", "-", f"{port} {base_path} {address}".lower()).strip("-")
        return cls(f"{cls.client}_{which}", f"{cls.ticket}_{which}")

    def client_id(self, cookies: Mapping[str, str]) -> str:
        """Return the name that this browser was given, or "" if it shows none."""
        shown = cookies.get(self.client, "")
        return shown if CLIENT_ID.fullmatch(shown) else ""

    def shown_ticket(self, cookies: Mapping[str, str]) -> str:
        """Return the ticket that a browser shows: any text; "" if it shows none."""
        return cookies.get(self.ticket, "")
