"""The door of a classroom: its codes, who guesses at them, and the ticket of whoever was let in. No Streamlit here.

Served to its own machine alone, the door stands open and whoever comes is the teacher. Served to a network it has two
codes: the students' and the teacher's.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal, Self

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from core.knobs import clip
from core.ui.cookies import Cookies

Role = Literal["student", "teacher"]

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read for something else: no 0 and o, no 1, i and l
CLASS_LENGTH, TEACHER_LENGTH = 6, 12  # characters of codes made here: 30 and 59 bits
CLASS_LEAST, TEACHER_LEAST, MOST = 4, 8, 64  # characters of codes that are given
WITHIN = 60.0  # seconds for which a wrong code counts
FROM_ONE, FROM_ALL = 10, 120  # wrong codes within that time, from one address and in all
TICKET_KEPT = 12 * 3600  # seconds: a day at school

CLASS_VARIABLE, TEACHER_VARIABLE = "GRADIENT_LAB_CLASS_CODE", "GRADIENT_LAB_TEACHER_CODE"


class CodeError(ValueError):
    """A code that cannot be used as one. Its message is one sentence for whoever starts the server."""


class TooManyGuesses(RuntimeError):
    """So many wrong codes that the next one is not even looked at.

    Attributes:
        seconds: until one is looked at again.
    """

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds


@dataclass(frozen=True)
class Codes:
    """What opens the door, and to whom."""

    students: str
    teacher: str

    @classmethod
    def chosen(cls, given: Mapping[str, str]) -> Self:
        """The codes that the environment gives; what it does not give is made up.

        Raises:
            CodeError: a code is too short or too long, or both are one.
        """
        codes = cls(
            _given(given, CLASS_VARIABLE, CLASS_LEAST) or made(CLASS_LENGTH),
            _given(given, TEACHER_VARIABLE, TEACHER_LEAST) or made(TEACHER_LENGTH),
        )
        if _plain(codes.students) == _plain(codes.teacher):
            raise CodeError(f"{CLASS_VARIABLE} and {TEACHER_VARIABLE} are the same; every student would be a teacher.")
        return codes


class Door:
    """Knows the codes and who comes in.

    Args:
        codes: None: the door stands open.
        clock: seconds that only grow, so that no ticket ends early where somebody sets this machine's time.
        cookies: names of the cookies that browsers keep for this server.

    Attributes:
        codes, cookies: as given.
        pages: asker → how many pages that browser has open now; kept by the gate.
    """

    def __init__(
        self, codes: Codes | None, clock: Callable[[], float] = time.monotonic, cookies: Cookies | None = None
    ) -> None:
        self.codes, self.cookies = codes, cookies or Cookies()
        self.pages: Counter[str] = Counter()
        self._clock = clock

        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(clock())

        self._tickets = URLSafeTimedSerializer(
            secrets.token_bytes(32),  # of this start: a ticket of the last one opens nothing
            salt="ticket",
            signer=Signer,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._wrong: deque[tuple[float, str]] = deque()  # when and from where, the oldest first; FROM_ALL at most

    @classmethod
    def chosen(cls, given: Mapping[str, str], bound: str | None, cookies: Cookies | None = None) -> Self:
        """The door of a server that listens at `bound`: with codes unless that is this machine's own loopback.

        Raises:
            CodeError: the environment gives a code that cannot be used.
        """
        wanted = bool(given.get(CLASS_VARIABLE, "").strip())
        return cls(Codes.chosen(given) if wanted or not is_loopback(bound or "") else None, cookies=cookies)

    def guess(self, code: str, address: str) -> Role | None:
        """Whom the code lets in, None: nobody.

        Args:
            code: any text. Case, blanks and hyphens do not count.
            address: whence it comes.

        Raises:
            TooManyGuesses: too many were wrong of late, from there or in all.
        """
        if self.codes is None:
            return "teacher"
        self._make_sure_of_patience(address)
        # Both are looked at whatever the first says, so that the time it takes tells nothing.
        students, teacher = _same(code, self.codes.students), _same(code, self.codes.teacher)
        if not students and not teacher:
            self._wrong.append((self._clock(), address))
            return None
        return "teacher" if teacher else "student"

    def ticket(self, role: Role) -> str:
        """Return what one browser shows from now on instead of the code: a ticket of its own, for `TICKET_KEPT`."""
        return str(self._tickets.dumps([role, secrets.token_hex(8)]))

    def role(self, ticket: str) -> Role | None:
        """Return whose ticket it is, or None: nobody's, or one that has expired. Any text may be shown."""
        if self.codes is None:
            return "teacher"
        try:
            role, _ = self._tickets.loads(ticket, max_age=TICKET_KEPT)
        except (BadData, UnicodeError):
            return None
        return "teacher" if role == "teacher" else "student"

    def role_of(self, cookies: Mapping[str, str]) -> Role | None:
        """Return the role of whoever shows these cookies."""
        return self.role(self.cookies.shown_ticket(cookies))

    def _make_sure_of_patience(self, address: str) -> None:
        now = self._clock()
        while self._wrong and self._wrong[0][0] <= now - WITHIN:
            self._wrong.popleft()
        own = [when for when, whence in self._wrong if whence == address]
        if len(own) >= FROM_ONE:
            raise _too_many(f"{len(own)} wrong codes came from this device", own[0] - now)
        if len(self._wrong) >= FROM_ALL:
            raise _too_many(f"{len(self._wrong)} wrong codes came in all", self._wrong[0][0] - now)


def made(length: int) -> str:
    """A new code of that many characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def spaced(code: str) -> str:
    """A code as it is read aloud: `k7m-p3x`. Codes that were given stay as they are."""
    plain = len(code) in (CLASS_LENGTH, TEACHER_LENGTH) and set(code) <= set(ALPHABET)
    return "-".join(code[at : at + 3] for at in range(0, len(code), 3)) if plain else code


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(given: Mapping[str, str], variable: str, least: int) -> str:
    code = given.get(variable, "").strip()
    if code and not least <= len(_plain(code)) <= MOST:
        raise CodeError(
            f"{variable} has {len(_plain(code))} characters (blanks and hyphens do not count); "
            f"it takes {least} … {MOST}; unset it to have one made."
        )
    if not code.isprintable():
        raise CodeError(f"{variable} = {clip(code)} has characters that nobody can type; unset it to have one made.")
    return code


def _too_many(what: str, until: float) -> TooManyGuesses:
    seconds = max(1, ceil(until + WITHIN))
    return TooManyGuesses(f"{what} within a minute; try again in {seconds} seconds.", seconds)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_digest(_plain(one)), _digest(_plain(other)))


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code[: 4 * MOST]).casefold()


def _digest(text: str) -> bytes:
    """Of one length whatever the text is, so that comparing takes one time."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
