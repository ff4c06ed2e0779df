"""Codes, who guesses at them, and tickets: what lets whom in, and what does not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui.door import (
    ALPHABET,
    FROM_ALL,
    FROM_ONE,
    TICKET_KEPT,
    WITHIN,
    CodeError,
    Codes,
    Door,
    TooManyGuesses,
    is_loopback,
    spaced,
)

GIVEN = {"GRADIENT_LAB_CLASS_CODE": "tulip", "GRADIENT_LAB_TEACHER_CODE": "rembrandt"}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(clock):
    return Door(Codes("tulip", "rembrandt"), clock)


@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_a_server_of_its_own_machine_has_no_codes_and_whoever_comes_is_the_teacher(bound):
    door = Door.chosen({}, bound)
    assert door.codes is None
    assert door.role("") == door.guess("anything", "1.2.3.4") == "teacher"


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "", None, "192.168.1.20", "lab.school.example"])
def test_whatever_a_network_can_reach_has_codes_asked_for_or_not(bound):
    codes = Door.chosen({}, bound).codes
    assert set(codes.students + codes.teacher) <= set(ALPHABET)
    assert (len(codes.students), len(codes.teacher)) == (6, 12)
    assert Door.chosen({}, bound).codes != codes, "made afresh at each start"


def test_codes_can_be_given_and_close_the_door_of_the_loopback_too():
    assert Door.chosen(GIVEN, "127.0.0.1").codes == Codes("tulip", "rembrandt")
    only_class = Door.chosen({"GRADIENT_LAB_CLASS_CODE": "tulip"}, "127.0.0.1")
    assert only_class.role("") is None
    assert len(only_class.codes.teacher) == 12


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"GRADIENT_LAB_CLASS_CODE": "a-b c"}, "CLASS_CODE has 3 characters .* it takes 4 … 64"),
        ({"GRADIENT_LAB_TEACHER_CODE": "short"}, "TEACHER_CODE has 5 characters .* it takes 8 … 64"),
        ({"GRADIENT_LAB_CLASS_CODE": "x" * 65}, "has 65 characters"),
        ({"GRADIENT_LAB_CLASS_CODE": "tu\x07lip"}, "nobody can type"),
        ({"GRADIENT_LAB_CLASS_CODE": "Rembrandt", "GRADIENT_LAB_TEACHER_CODE": "rem-brandt"}, "are the same"),
    ],
)
def test_a_code_that_cannot_be_one_ends_the_start_with_a_sentence(environment, sentence):
    with pytest.raises(CodeError, match=sentence):
        Door.chosen(environment, "0.0.0.0")


@pytest.mark.parametrize("typed", ["tulip", "TULIP", " tu-lip ", "Tu lip\n"])
def test_a_code_may_be_typed_as_a_phone_likes(door, typed):
    assert door.guess(typed, "a") == "student"


def test_each_code_lets_in_whom_it_should(door):
    assert door.guess("rembrandt", "a") == "teacher"
    assert door.guess("tulipp", "a") is None
    assert door.guess("", "a") is None


@given(st.text(max_size=60))
def test_no_other_text_opens_the_door(text):
    door = Door(Codes("tulip", "rembrandt"))
    plain = "".join(text.split()).replace("-", "").casefold()
    assert (door.guess(text, "a") is None) == (plain not in ("tulip", "rembrandt"))


@given(st.text(max_size=100) | st.sampled_from(["student", "teacher", "teacher.", "student." + "0" * 64]))
def test_no_text_but_a_ticket_is_one(text):
    assert Door(Codes("tulip", "rembrandt")).role(text) is None


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_ticket_is_of_one_role_of_one_start_and_of_one_browser(door, role):
    ticket = door.ticket(role)
    assert door.role(ticket) == role
    assert Door(door.codes).role(ticket) is None, "another start"
    assert len({door.ticket(role) for _ in range(100)}) == 100, "each its own"
    for at in range(len(ticket)):
        for changed in (ticket[:at] + ticket[at + 1 :], ticket[:at] + "." + ticket[at:]):
            assert door.role(changed) is None


def test_a_ticket_expires_on_the_server_whatever_the_browser_keeps(door, clock):
    clock.now = 100.0
    tickets = {role: door.ticket(role) for role in ("student", "teacher")}
    clock.now += TICKET_KEPT
    assert all(door.role(ticket) == role for role, ticket in tickets.items())
    clock.now += 1
    assert [door.role(ticket) for ticket in tickets.values()] == [None, None]


@pytest.mark.parametrize("step", [-86400.0, -2.0, 86400.0])
def test_a_ticket_is_of_use_though_somebody_sets_this_machines_clock(monkeypatch, step):
    door = Door(Codes("tulip", "rembrandt"))
    ticket, now = door.ticket("student"), time.time
    monkeypatch.setattr(time, "time", lambda: now() + step)
    assert door.role(ticket) == "student"


def test_after_ten_wrong_codes_an_address_waits_and_even_the_right_one_is_not_looked_at(door, clock):
    for at in range(FROM_ONE):
        clock.now = float(at)
        assert door.guess("wrong", "here") is None
    with pytest.raises(TooManyGuesses, match="10 wrong codes came from this device within a minute; try again in 51"):
        door.guess("tulip", "here")
    assert door.guess("tulip", "elsewhere") == "student"
    clock.now = WITHIN
    assert door.guess("tulip", "here") == "student", "the first of them has been forgotten"


def test_from_many_addresses_guessing_has_a_limit_too(door, clock):
    for at in range(FROM_ALL):
        assert door.guess("wrong", f"10.0.0.{at}") is None
    with pytest.raises(TooManyGuesses, match="120 wrong codes came in all") as refused:
        door.guess("tulip", "new")
    assert refused.value.seconds == WITHIN
    clock.now = WITHIN
    assert door.guess("tulip", "new") == "student"


def test_right_codes_are_not_counted(door):
    for _ in range(10 * FROM_ALL):
        assert door.guess("tulip", "one address for a whole school") == "student"


def test_codes_are_said_in_threes_unless_somebody_chose_them():
    assert spaced("k7mp3x") == "k7m-p3x"
    assert spaced("tulip") == "tulip"
    assert spaced("tulips") == "tulips", "l and i are never made here"


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("localhost", True), ("localhost.evil.example", False)])
def test_what_is_loopback(host, own):
    assert is_loopback(host) is own
