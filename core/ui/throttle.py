"""How fast codes may be guessed. No Streamlit here."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager

# What wrong codes cost, of one network and of all: so many are free, then one in so many seconds.
FREE_EACH, SECONDS_EACH = 10, 2.0
FREE_ALL, SECONDS_ALL = 60, 0.5
# So many codes may wait at a time, of one browser, of one network and in all, each for so many seconds at most.
MAX_WAITING_BROWSER, MAX_WAITING_EACH, MAX_WAITING_ALL = 30, 200, 500
MAX_WAIT = 20.0


class NotChecked(RuntimeError):
    """So many codes are being tried that this one was not compared with anything."""


class Turn:
    """The turn of one code to be compared.

    Attributes:
        waited: whether it came late because of wrong codes before it.
    """

    def __init__(self, lanes: "list[_Lane]") -> None:
        self._lanes = lanes
        self.waited = False

    def charge(self) -> None:
        """Note that the code was wrong."""
        for lane in self._lanes:
            lane.charge()


class Throttle:
    """Lets codes be compared one after another, and slows down those who are wrong.

    A right code costs nothing and a wrong one costs time, so a class behind one address comes in as fast as it can scan
    while at most `FREE_EACH` + 30 wrong codes a minute are compared for one network, and `FREE_ALL` + 120 for all. A
    code that comes too early waits for its turn instead of being refused, and browsers take turns within a network, and
    networks among each other, so that the right code is compared seconds later however fast somebody else guesses. At
    that pace a made class code (31 ** 6) is found after seven years on average, and by one in 10,000 of those who try
    for twelve hours.

    Args:
        slow: for codes that are easily guessed: a wrong one costs twice the time.
    """

    def __init__(self, slow: bool = False) -> None:
        self._slow = slow
        self._lanes: dict[Hashable, _Lane] = {}

    @asynccontextmanager
    async def turn(self, address: str, client_id: str) -> AsyncIterator[Turn]:
        """Wait until a code may be compared, and keep others waiting until it has been.

        Args:
            address: of whoever gives it.
            client_id: of the browser; all that have none take turns as one.

        Raises:
            NotChecked: too many wait already, or it waited for `MAX_WAIT` seconds.
        """
        network, factor = network_of(address), 2.0 if self._slow else 1.0
        lanes = [
            self._lane((network, client_id), MAX_WAITING_BROWSER),
            self._lane((network,), MAX_WAITING_EACH, FREE_EACH, SECONDS_EACH * factor),
            self._lane((), MAX_WAITING_ALL, FREE_ALL, SECONDS_ALL * factor),
        ]
        if any(lane.members >= lane.max_members for lane in lanes):
            raise NotChecked
        turn = Turn(lanes)
        for lane in lanes:
            lane.members += 1
        try:
            async with AsyncExitStack() as held:
                try:
                    async with asyncio.timeout(MAX_WAIT):
                        for lane in lanes:  # one of a browser waits in its network, one of a network among all
                            await held.enter_async_context(lane.lock)
                            if (seconds := lane.seconds_until_free()) > 0:
                                turn.waited = True
                                await asyncio.sleep(seconds)
                except TimeoutError:
                    raise NotChecked from None
                yield turn
        finally:
            for lane in lanes:
                lane.members -= 1
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.members or lane.debt() > 0}

    def _lane(self, key: Hashable, max_members: int, free: int = 0, seconds: float = 0.0) -> "_Lane":
        if key not in self._lanes:
            self._lanes[key] = _Lane(max_members, free, seconds)
        return self._lanes[key]


class _Lane:
    """A queue of codes, and how far its wrong ones have run into debt: each adds `seconds`, which time pays back."""

    def __init__(self, max_members: int, free: int, seconds: float) -> None:
        self.max_members, self.free, self.seconds = max_members, free, seconds
        self.members = 0
        self.lock = asyncio.Lock()  # first come, first served
        self._paid_at = 0.0

    def debt(self) -> float:
        return max(0.0, self._paid_at - _now())

    def seconds_until_free(self) -> float:
        return self.debt() - max(0, self.free - 1) * self.seconds

    def charge(self) -> None:
        self._paid_at = _now() + self.debt() + self.seconds


def network_of(address: str) -> str:
    """Return what somebody holds who holds an address: an IPv4 address alone, of IPv6 the whole /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _now() -> float:
    return asyncio.get_running_loop().time()
