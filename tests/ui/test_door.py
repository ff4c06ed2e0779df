"""Codes, who guesses at them, and tickets: what lets whom in, and what does not."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ui.door import (
    ALPHABET,
    TICKET_KEPT,
    CodeError,
    Codes,
    Door,
    WrongCode,
    is_loopback,
    spaced,
)
from core.ui.throttle import FREE_EACH
from tests.ui.virtual import VirtualLoop, run

GIVEN = {"GRADIENT_LAB_CLASS_CODE": "tulip", "GRADIENT_LAB_TEACHER_CODE": "rembrandt"}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def guess(door, code, address="a", **who):
    """Whom the code lets in; None: nobody."""
    try:
        return run(door.guess(code, address, **who))
    except WrongCode:
        return None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(clock):
    return Door(Codes("tulip", "rembrandt"), clock)


@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost", "127.8.9.1", "::ffff:127.0.0.1"])
def test_a_server_of_its_own_machine_has_no_codes_and_whoever_comes_is_the_teacher(bound):
    door = Door.chosen({}, bound)
    assert door.codes is None
    assert door.role("") == guess(door, "anything") == "teacher"


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
        ({"GRADIENT_LAB_CLASS_CODE": "?!...—"}, "CLASS_CODE has 0 characters"),
        ({"GRADIENT_LAB_CLASS_CODE": "Rembrandt", "GRADIENT_LAB_TEACHER_CODE": "rem-brandt"}, "are the same"),
    ],
)
def test_a_code_that_cannot_be_one_ends_the_start_with_a_sentence(environment, sentence):
    with pytest.raises(CodeError, match=sentence):
        Door.chosen(environment, "0.0.0.0")


@pytest.mark.parametrize(
    "typed",
    [
        "k7mp3x", "K7MP3X", " k7m-p3x ", "K7m p3x\n",
        "K7m–p3x", "k7m—p3x.", "“k7m‑p3x”", "k7m·p3x!", "k7m−p3x",  # a phone's dashes, quotes and full stops
        "ｋ７ｍｐ３ｘ", "Ｋ７Ｍ－Ｐ３Ｘ", "k7mーp3x", "k7m\u3000p3x",  # a keyboard for Japanese
        "k7m\u00adp3x", "\ufeffk7m\u200bp3x\u200e", "k7m\xa0p3x",  # what copying brings along unseen
        "http://192.168.1.20:8501/?code=k7mp3x", "https://lab/dropout?width=4&code=K7m-p3x&hide=a#top",
        "Come in: http://lab/?code=k7mp3x\nsee you there", "lab/?code=%6B7mp3x", "http://lab/?code=k7m+p3x",
    ],
)  # fmt: skip
def test_a_code_may_be_given_as_phones_type_and_paste_it(typed):
    door = Door(Codes("k7mp3x", "rembrandt"))
    assert guess(door, typed) == "student"


@pytest.mark.parametrize("code", ["Über-Ämter", "étudiants", "Straße", "数学の授業", "класс 7b", "c++ & rust"])
def test_a_code_that_somebody_chose_may_have_letters_of_any_language(code):
    door = Door.chosen({"GRADIENT_LAB_CLASS_CODE": code}, "0.0.0.0")
    for typed in (code, code.upper(), unicodedata.normalize("NFD", code), unicodedata.normalize("NFKC", code)):
        assert guess(door, typed) == "student"


def test_each_code_lets_in_whom_it_should(door):
    assert guess(door, "rembrandt") == "teacher"
    assert guess(door, "tulipp") is None
    assert guess(door, "") is None
    assert guess(door, "?code=") is None
    assert guess(door, "?code=tulip") == "student"
    assert guess(door, "x" * 10_000 + "?code=tulip") is None


@given(st.text(alphabet=st.characters(categories=["L", "N"]), max_size=60))
def test_no_other_text_opens_the_door(text):
    door = Door(Codes("tulip", "rembrandt"))
    plain = unicodedata.normalize("NFKC", text).casefold().replace("ー", "")
    assert (guess(door, text) is None) == (plain not in ("tulip", "rembrandt"))


@given(st.text(max_size=60))
def test_any_text_may_be_given(text):
    assert guess(Door(Codes("tulip", "rembrandt")), text) in (None, "student", "teacher")


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


@pytest.mark.parametrize("code", ["tulip", "http://lab/?code=tulip", "rembrandt"])
@pytest.mark.parametrize("typos", [FREE_EACH, 5 * FREE_EACH])
def test_whatever_a_class_mistypes_behind_one_address_the_right_code_lets_in(door, code, typos):
    for _ in range(typos):
        assert guess(door, "wrong", "school") is None
    begun = VirtualLoop.now
    assert guess(door, code, "school") is not None
    assert VirtualLoop.now - begun <= 4.0


def test_a_wrong_code_after_many_is_told_late(door):
    for at in range(FREE_EACH + 1):
        with pytest.raises(WrongCode, match="not the code of this class") as refused:
            run(door.guess("wrong", "here"))
        assert refused.value.late == (at == FREE_EACH)


def test_a_teachers_code_that_was_made_here_never_waits_nor_does_the_class_code_of_those_inside():
    made = Door.chosen({"GRADIENT_LAB_CLASS_CODE": "tulip"}, "0.0.0.0")
    chosen = Door.chosen(GIVEN, "0.0.0.0")
    for _ in range(2 * FREE_EACH):
        assert guess(made, "wrong") is guess(chosen, "wrong") is None
    begun = VirtualLoop.now
    assert guess(made, made.codes.teacher) == "teacher"
    assert guess(made, "tulip", role="student") == "student"
    assert VirtualLoop.now == begun
    assert guess(chosen, "rembrandt") == "teacher"
    assert VirtualLoop.now > begun


@pytest.mark.parametrize(("code", "seconds"), [("k7mp3x", 2.0), ("abcd", 4.0), ("tu-li-p", 4.0)])
def test_a_short_code_is_guessed_at_half_the_pace(code, seconds):
    door = Door(Codes(code, "rembrandt"))
    for _ in range(FREE_EACH):
        guess(door, "wrong")
    begun = VirtualLoop.now
    guess(door, "wrong")
    assert VirtualLoop.now - begun == pytest.approx(seconds)


def test_codes_are_said_in_threes_unless_somebody_chose_them():
    assert spaced("k7mp3x") == "k7m-p3x"
    assert spaced("tulip") == "tulip"
    assert spaced("tulips") == "tulips", "l and i are never made here"


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("localhost", True), ("localhost.evil.example", False)])
def test_what_is_loopback(host, own):
    assert is_loopback(host) is own
