"""Which pages may connect, and what is said to the others."""

import pytest

from core.ui.origins import Origins

LAB = "https://lab.school.example"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://lab:80", "lab:80"), ("https://lab:80", "lab:80"), ("http://lab", "lab"), ("http://lab", "lab:80"),
        ("https://lab:443", "lab"), ("https://lab", "lab:443"), ("http://LAB", "lab"), ("http://lab.", "lab"),
        ("http://[::1]:8501", "[::1]:8501"), ("http://[::1]", "[0:0:0:0:0:0:0:1]"), (None, "lab"), (None, None),
        ("https://xn--schle-mva.example", "xn--schle-mva.example"),
    ],
)  # fmt: skip
def test_a_page_of_the_host_that_is_asked_connects(origin, host):
    assert Origins().allow(origin, host)
    assert Origins().refusal(origin, host) == ""


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://lab:8443", "lab"), ("http://lab:81", "lab:80"), ("http://evil.example", "lab"), ("null", "lab"),
        ("http://127.0.0.1:80", "lab:80"), ("http://localhost:8501", "x-8501.app.github.dev"), ("", "lab"),
        ("http://[", "lab"), ("file://lab", "lab"), ("http://lab", None), ("http://lab", ""), ("http://lab:x", "lab:x"),
        ("http://lab.evil.example", "lab"), ("http://lab@evil.example", "lab"), ("http://[::1]:1", "[::1]:2"),
        ("http://evil.example", "lab, evil.example"), ("http://evil.example", "lab@evil.example"),
    ],
)  # fmt: skip
def test_any_other_does_not_and_hears_why(origin, host):
    sentence = Origins().refusal(origin, host)
    assert "GRADIENT_LAB_ADDRESS is not set" in sentence
    assert "Start the server with GRADIENT_LAB_ADDRESS=" in sentence


@pytest.mark.parametrize(
    ("declared", "origin", "host"),
    [
        ("https://lab:8443", "https://lab:8443", "lab"),  # nginx with $host
        ("https://lab:8443", "https://lab:8443", "127.0.0.1:8501"),  # nginx as it comes
        (f"{LAB}/below/a/path", LAB, "app:8501"),
        (f"{LAB}:443", LAB, "app"),
        ("https://x-8501.app.github.dev", "http://localhost:8501", "x-8501.app.github.dev"),  # a forwarder
        ("https://x-8501.app.github.dev", "http://127.0.0.1:8501", "x-8501.app.github.dev"),
        ("https://x-8501.app.github.dev", "http://[::1]:8501", "x-8501.app.github.dev:443"),
        ("https://schüle.example", "https://xn--schle-mva.example", "app"),
    ],
)
def test_a_page_of_the_declared_address_connects_whatever_a_proxy_changes(declared, origin, host):
    assert Origins(declared).allow(origin, host)
    assert not Origins().allow(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "lab.school.example"), ("http://localhost:8501", "evil.example"),
        ("http://lab.school.example:81", "app"), ("https://lab.school.example:8443", "app"),
        ("https://lab.school.example.evil.example", "app"), ("null", "lab.school.example"),
        ("http://localhost.evil.example", "lab.school.example"),
    ],
)  # fmt: skip
def test_a_declared_address_opens_to_no_other(origin, host):
    sentence = Origins(LAB).refusal(origin, host)
    assert f"GRADIENT_LAB_ADDRESS is {LAB}" in sentence


def test_the_sentence_names_the_address_that_the_browser_shows():
    said = Origins().refusal("http://localhost:8501", "x.app.github.dev", "https://x.app.github.dev")
    assert "GRADIENT_LAB_ADDRESS=https://x.app.github.dev" in said
    assert "Host x.app.github.dev and Origin http://localhost:8501" in said
    for odd in ("javascript:alert(1)", "", "https://["):
        assert f"GRADIENT_LAB_ADDRESS={LAB}" in Origins().refusal("null", "lab", odd)
    assert len(Origins().refusal("http://" + "a" * 9000, "b" * 9000, "http://" + "c" * 9000)) < 800


def test_where_the_door_stands_open_pages_of_this_machine_connect_whatever_their_port():
    for origin in ("http://localhost:8501", "http://127.0.0.1:1", "http://[::1]"):
        assert Origins(local=True).allow(origin, "x-8501.app.github.dev")
    assert not Origins(local=True).allow("http://evil.example", "127.0.0.1:8501")


def test_streamlits_own_settings_count():
    assert Origins(also=["https://portal.example"]).allow("https://portal.example", "lab")
    assert not Origins(also=["https://portal.example"]).allow("http://portal.example", "lab")
    assert Origins(all=True).allow("http://evil.example", "lab")


@pytest.mark.parametrize(
    ("declared", "host", "tls"),
    [(LAB, "lab.school.example", True), (LAB, "LAB.school.example:8501", True), (LAB, "127.0.0.1:8501", False),
     (LAB, None, False), ("http://lab", "lab", False), ("", "", False), ("", "lab", False)],
)  # fmt: skip
def test_tls_is_what_the_declared_address_says_of_its_own_host(declared, host, tls):
    assert Origins(declared).over_tls(host) is tls
