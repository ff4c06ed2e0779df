"""Cards: what people wrote is seen as they wrote it."""

import re

import pytest

from core.ui.cards import as_text

SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def test_every_sign_that_markdown_may_read_is_escaped():
    assert as_text(SIGNS) == "".join(f"\\{sign}" for sign in SIGNS)


@pytest.mark.parametrize(
    "words", ["NVIDIA H200", "CPU, 2 cores", "Apple GPU", "www.a.example", "http://a.example", "a@b.c"]
)
def test_what_is_seen_is_what_was_written(words):
    seen = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", as_text(words))
    assert seen.replace("\u2060", "") == words


@pytest.mark.parametrize("address", ["www.evil.example", "http://evil.example", "me@evil.example"])
def test_no_address_stays_whole(address):
    assert address not in as_text(address).replace("\\", "")
