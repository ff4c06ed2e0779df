"""How a class finds the server: its address, found without a word to anybody, and the QR code."""

import re
from urllib.parse import unquote

import pytest

from core.ui import invitation as module
from core.ui.addresses import AddressError
from core.ui.door import Codes
from core.ui.invitation import Invitation, invitation, qr_svg, qr_text

CODES = Codes("k7mp3x", "rembrandt")


def test_an_address_that_is_none_ends_the_start(monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_ADDRESS", "lab.school.example")
    with pytest.raises(AddressError, match=r"^GRADIENT_LAB_ADDRESS = lab\.school\.example does not begin with"):
        invitation(CODES, "0.0.0.0", 8501)


def test_of_several_addresses_the_wanted_one_is_told_while_it_is_one(monkeypatch):
    monkeypatch.delenv("GRADIENT_LAB_ADDRESS", raising=False)
    monkeypatch.setattr(module, "addresses", lambda *asked: ("http://10.0.0.5:8501", "http://192.168.1.20:8501"))
    invited = invitation(CODES, "0.0.0.0", 8501)
    assert invited.address == "http://10.0.0.5:8501"
    assert "Also at http://192.168.1.20:8501;" in invited.text()
    wanted = invitation(CODES, "0.0.0.0", 8501, wanted="http://192.168.1.20:8501")
    assert wanted.link == "http://192.168.1.20:8501/?code=k7mp3x"
    assert "Also at http://10.0.0.5:8501;" in wanted.text()
    assert invitation(CODES, "0.0.0.0", 8501, wanted="http://gone").address == "http://10.0.0.5:8501"


@pytest.mark.parametrize("declared", ["", "http://localhost:8501"])
def test_a_qr_code_never_says_the_loopback_silently(monkeypatch, declared):
    monkeypatch.setenv("GRADIENT_LAB_ADDRESS", declared)
    invited = invitation(CODES, "127.0.0.1", 8501)
    assert "GRADIENT_LAB_ADDRESS" in invited.warning
    assert f"Warning: {invited.warning}" in invited.text()


def test_a_link_lets_students_in_and_opens_a_page():
    invited = Invitation("http://lab:8501", CODES)
    assert invited.link == "http://lab:8501/?code=k7mp3x"
    assert invited.to("dropout", width="4", hide="a,b") == "http://lab:8501/dropout?width=4&hide=a%2Cb&code=k7mp3x"


def test_the_terminal_says_all_and_gives_away_the_teachers_code_in_words_alone():
    invited = Invitation("http://lab:8501", CODES)
    text = invited.text()
    assert "http://lab:8501   with the code  k7m-p3x" in text
    assert "http://lab:8501/door   with the code  rembrandt" in text
    assert qr_text(invited.link) in text
    assert "\x1b" not in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", invited.text(colours=True)) == text


def test_a_qr_code_is_dark_on_white_with_four_blank_squares_around():
    picture = unquote(qr_svg("http://192.168.1.20:8501/?code=k7mp3x"))
    assert picture.startswith("data:image/svg+xml")
    side = int(re.search(r"width=.(\d+)", picture)[1])
    assert (side // 10 - 8 - 17) % 4 == 0, "a QR code has 17 + 4 v squares a side"
    assert re.search(r"fill=.#fff", picture)
    assert re.search(r"stroke=.#000", picture)
