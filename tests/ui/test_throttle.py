"""How fast codes are compared: the right one comes in whoever guesses beside it, and guessing has a pace."""

import asyncio

import pytest

from core.ui.throttle import FREE_ALL, FREE_EACH, MAX_WAIT, NotChecked, Throttle, network_of
from tests.ui.virtual import VirtualLoop, run

EACH, ALL = 30, 120  # wrong codes a minute, once those that are free are used up


class Guesses:
    """Codes that are given to a throttle, and what became of them."""

    def __init__(self, slow: bool = False) -> None:
        self.throttle = Throttle(slow)
        self.compared = self.refused = 0

    async def give(self, right: bool, address: str = "school", client_id: str = "") -> float | None:
        """Seconds until it was compared; None: it was not."""
        begun = VirtualLoop.now
        try:
            async with self.throttle.turn(address, client_id) as turn:
                if not right:
                    self.compared += 1
                    turn.charge()
        except NotChecked:
            self.refused += 1
            return None
        return VirtualLoop.now - begun

    async def guess_for(self, seconds: float, address: str, client_id: str = "") -> None:
        """Guess again and again, as answers come, once a second at most."""
        until = VirtualLoop.now + seconds
        while VirtualLoop.now < until:
            await asyncio.gather(self.give(False, address, client_id), asyncio.sleep(1))


def test_typos_of_a_whole_class_keep_nobody_out_for_longer_than_a_moment():
    async def lesson() -> None:
        guesses = Guesses()
        assert [await guesses.give(False) for _ in range(FREE_EACH)] == [0.0] * FREE_EACH
        assert 0 < await guesses.give(True) <= 2.0, "the first right one waits for the last typo"
        assert [await guesses.give(True) for _ in range(100)] == [0.0] * 100, "right ones cost nothing"
        again = await asyncio.gather(*(guesses.give(at % 4 != 0, client_id=str(at)) for at in range(30)))
        assert None not in again
        assert max(again) <= MAX_WAIT

    run(lesson())


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("guessers", [1, 5, 50])
@pytest.mark.parametrize("cookies", [False, True])
def test_from_one_address_only_so_many_are_compared_however_many_are_sent(guessers, cookies, slow):
    async def lesson() -> None:
        guesses = Guesses(slow)
        await asyncio.gather(*(guesses.guess_for(120, "a", str(at) if cookies else "") for at in range(guessers)))
        pace = EACH / 2 if slow else EACH
        assert 0.8 * 2 * pace <= guesses.compared <= FREE_EACH + 2.5 * pace

    run(lesson())


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("addresses", [20, 200])
def test_from_many_addresses_guessing_has_a_pace_too(addresses, slow):
    async def lesson() -> None:
        guesses = Guesses(slow)
        await asyncio.gather(*(guesses.guess_for(120, f"10.0.0.{at}") for at in range(addresses)))
        pace = ALL / 2 if slow else ALL
        assert guesses.compared <= FREE_ALL + 2.5 * pace

    run(lesson())


def test_addresses_that_one_guesser_holds_are_one():
    async def lesson() -> None:
        guesses = Guesses()
        for at in range(FREE_EACH):
            assert await guesses.give(False, f"2001:db8:0:1::{at}") == 0.0
        assert await guesses.give(False, "2001:db8:0:1:ffff::") > 0
        assert await guesses.give(False, "2001:db8:0:2::") == 0.0

    run(lesson())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_counts_as_one_network(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize("guessers", [5, 300])
def test_the_right_code_comes_in_beside_one_who_guesses_at_the_same_address(guessers):
    async def lesson() -> None:
        guesses = Guesses()
        flood = [asyncio.create_task(guesses.guess_for(60, "school")) for _ in range(guessers)]
        await asyncio.sleep(30)
        for student in range(10):
            waited = await guesses.give(True, "school", f"browser {student}")
            assert waited is not None
            assert waited <= 5
        elsewhere = await guesses.give(True, "another address")
        assert elsewhere is not None
        assert elsewhere <= 1
        await asyncio.gather(*flood)

    run(lesson())


def test_those_who_wait_are_few_and_the_rest_is_told_at_once():
    async def lesson() -> None:
        guesses = Guesses()
        begun = VirtualLoop.now
        waited = await asyncio.gather(*(guesses.give(False, client_id=str(at)) for at in range(10_000)))
        assert VirtualLoop.now - begun <= MAX_WAIT
        assert waited.count(None) == guesses.refused > 9_000
        assert await guesses.give(True, client_id="later") <= 2.0

    run(lesson())


def test_nothing_is_kept_of_those_who_are_gone():
    async def lesson() -> None:
        guesses = Guesses()
        for at in range(1000):
            await guesses.give(False, f"10.0.{at % 250}.{at // 250}", str(at))
        await asyncio.sleep(60)
        await guesses.give(True)
        assert len(guesses.throttle._lanes) <= 1

    run(lesson())
