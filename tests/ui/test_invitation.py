"""How a class finds the server: its address, found without a word to anybody, and the QR code."""

import re
import socket
from urllib.parse import unquote

import pytest

from core.ui.door import Codes
from core.ui.invitation import AddressError, Invitation, address, invitation, own_address, qr_svg, qr_text

CODES = Codes("k7mp3x", "rembrandt")


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", ""])
def test_a_server_on_all_addresses_is_found_at_this_machines_own(bound):
    found = address(bound, 8501)
    assert found == f"http://{own_address()}:8501"
    with socket.socket() as here:
        here.bind((own_address(), 0))  # fails for an address of another machine


def test_the_own_address_is_found_without_sending_anything(monkeypatch):
    class Quiet(socket.socket):
        kinds = ()

        def __init__(self, family, kind):
            super().__init__(family, kind)
            Quiet.kinds += (kind,)

        def send(self, *said):
            raise AssertionError("something was sent")

        sendto = sendmsg = sendall = send

    monkeypatch.setattr(socket, "socket", Quiet)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked: pytest.fail("a name server was asked"))
    own_address()
    assert set(Quiet.kinds) == {socket.SOCK_DGRAM}, "a connected datagram socket sends nothing; a stream would"


def test_without_a_network_it_is_the_loopback(monkeypatch):
    class Cut(socket.socket):
        def connect(self, where):
            raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "socket", Cut)
    assert own_address() == "127.0.0.1"


@pytest.mark.parametrize(
    ("bound", "asked", "found"),
    [
        ("192.168.1.20", "", "http://192.168.1.20:8501"),
        ("fe80::1", "", "http://[fe80::1]:8501"),
        ("lab", "", "http://lab:8501"),
        ("0.0.0.0", "https://lab.school.example/", "https://lab.school.example"),
        ("0.0.0.0", "http://lab:8080", "http://lab:8080"),
    ],
)
def test_an_address_that_is_given_is_the_one(bound, asked, found):
    assert address(bound, 8501, asked) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", "http://lab:8501/a/b"),
        ("https://lab.school.example", "https://lab.school.example/a/b"),
        ("https://lab.school.example/", "https://lab.school.example/a/b"),
        ("https://lab.school.example/elsewhere/", "https://lab.school.example/elsewhere"),  # a proxy's own path
    ],
)
def test_below_a_base_path_links_say_it(asked, found):
    assert address("lab", 8501, asked, "/a/b") == found
    invited = Invitation(address("lab", 8501, asked, "/a/b"), CODES)
    assert invited.link == f"{found}/?code={CODES.students}"


@pytest.mark.parametrize(
    "asked", ["lab", "ftp://lab", "https://", "https://a b", "http://lab:port", "http://[", "http://x?y", "http://u@x"]
)
def test_an_address_that_is_none_gets_a_sentence(asked, monkeypatch):
    monkeypatch.setenv("GRADIENT_LAB_ADDRESS", asked)
    with pytest.raises(AddressError, match=r"GRADIENT_LAB_ADDRESS = .* is no address of a server; give one such as"):
        invitation(CODES, "0.0.0.0", 8501)


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
