"""Cards: what people wrote is seen as they wrote it."""

import re

import pytest

from core.ui.cards import as_text, headline_facts

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


def test_the_first_facts_are_told_in_words_and_small_ones_are_not_rounded_away():
    facts = {"test_loss[h=8]": 0.123456, "first_to_last_gradient[depth=15]": 3.4567e-10, "gain": None, "more": 1.0}
    assert headline_facts(facts).split("  \n") == [
        "test loss · h=8: 0.1235",
        "first to last gradient · depth=15: 3.457e-10",
        "gain: none",
    ]
