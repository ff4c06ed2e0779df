"""The door of a classroom: its codes, whom they let in, and the ticket of whoever was. No Streamlit here.

Served to its own machine alone, the door stands open and whoever comes is the teacher. Served to a network it has two
codes: the students' and the teacher's.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import unquote_plus

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from core.knobs import clip
from core.ui.cookies import Cookies
from core.ui.throttle import Throttle

Role = Literal["student", "teacher"]

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read for something else: no 0 and o, no 1, i and l
CLASS_LENGTH, TEACHER_LENGTH = 6, 12  # characters of codes made here: 30 and 59 bits
CLASS_LEAST, TEACHER_LEAST, MOST = 4, 8, 64  # characters of codes that are given
DASHES = "\u2212\u30fc"  # the minus sign, and what a Japanese keyboard types for a hyphen: no punctuation to Unicode
MAX_TYPED = 2000  # characters of what is read of an answer: a link with many knobs
TICKET_KEPT = 12 * 3600  # seconds: a day at school

CLASS_VARIABLE, TEACHER_VARIABLE = "GRADIENT_LAB_CLASS_CODE", "GRADIENT_LAB_TEACHER_CODE"


class CodeError(ValueError):
    """A code that cannot be used as one. Its message is one sentence for whoever starts the server."""


class WrongCode(ValueError):
    """A code that lets nobody in.

    Attributes:
        late: whether it had to wait for its turn because of many wrong ones before it.
    """

    def __init__(self, late: bool) -> None:
        super().__init__("That is not the code of this class; look again at what the teacher shows.")
        self.late = late


@dataclass(frozen=True)
class Codes:
    """What opens the door, and to whom.

    Attributes:
        students, teacher: the codes.
        teacher_made: whether the teacher's was made here, and so is too long to be guessed at any pace.
    """

    students: str
    teacher: str
    teacher_made: bool = False

    @classmethod
    def chosen(cls, given: Mapping[str, str]) -> Self:
        """The codes that the environment gives; what it does not give is made up.

        Raises:
            CodeError: a code is too short or too long, or both are one.
        """
        students = _given(given, CLASS_VARIABLE, CLASS_LEAST) or made(CLASS_LENGTH)
        teacher = _given(given, TEACHER_VARIABLE, TEACHER_LEAST)
        codes = cls(students, teacher or made(TEACHER_LENGTH), teacher_made=not teacher)
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
        self._throttle = Throttle(slow=codes is not None and len(_plain(codes.students)) < CLASS_LENGTH)

        class Signer(TimestampSigner):
            def get_timestamp(self) -> int:
                return int(clock())

        self._tickets = URLSafeTimedSerializer(
            secrets.token_bytes(32),  # of this start: a ticket of the last one opens nothing
            salt="ticket",
            signer=Signer,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    @classmethod
    def chosen(cls, given: Mapping[str, str], bound: str | None, cookies: Cookies | None = None) -> Self:
        """The door of a server that listens at `bound`: with codes unless that is this machine's own loopback.

        Raises:
            CodeError: the environment gives a code that cannot be used.
        """
        wanted = bool(given.get(CLASS_VARIABLE, "").strip())
        return cls(Codes.chosen(given) if wanted or not is_loopback(bound or "") else None, cookies=cookies)

    async def guess(self, code: str, address: str, client_id: str = "", role: Role | None = None) -> Role:
        """Return whom the code lets in. It waits for its turn where many were wrong before: see `Throttle`.

        Args:
            code: any text, as it is typed or pasted: see `_typed`.
            address: whence it comes.
            client_id: of the browser; "" if it has none.
            role: of whoever gives it, if they are inside already.

        Raises:
            WrongCode: nobody.
            NotChecked: too many codes are being tried to compare this one.
        """
        if self.codes is None:
            return "teacher"
        typed = _typed(code)
        if self.codes.teacher_made and _same(typed, self.codes.teacher):
            return "teacher"
        if role is not None and _same(typed, self.codes.students):  # who is inside learns nothing by it
            return "student"
        async with self._throttle.turn(address, client_id) as turn:
            # Both are looked at whatever the first says, so that the time it takes tells nothing.
            students, teacher = _same(typed, self.codes.students), _same(typed, self.codes.teacher)
            if not students and not teacher:
                turn.charge()
                raise WrongCode(turn.waited)
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
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback  # ::ffff:127.0.0.1 is 127.0.0.1


def _given(given: Mapping[str, str], variable: str, least: int) -> str:
    code = given.get(variable, "").strip()
    if not code.isprintable():
        raise CodeError(f"{variable} = {clip(code)} has characters that nobody can type; unset it to have one made.")
    if code and not least <= len(_plain(code)) <= MOST:
        raise CodeError(
            f"{variable} has {len(_plain(code))} characters (blanks and punctuation do not count); "
            f"it takes {least} … {MOST}; unset it to have one made."
        )
    return code


def _typed(text: str) -> str:
    """Return the code in what somebody typed or pasted: where that is a link of a class, the code in it."""
    link = re.search(r"[?&]code=([^&#\s]+)", text[:MAX_TYPED])
    return unquote_plus(link[1]) if link else text


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_digest(_plain(one)), _digest(_plain(other)))


def _plain(code: str) -> str:
    """Return what counts of a code: letters, digits and symbols, in small and plain form.

    Phones begin it with a capital, type it in full-width letters, end it with a dot, and put blanks and dashes of many
    kinds into it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code[: 4 * MOST]).casefold())
    return "".join(each for each in folded if unicodedata.category(each)[0] in "LMNS" and each not in DASHES)


def _digest(text: str) -> bytes:
    """Of one length whatever the text is, so that comparing takes one time."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
