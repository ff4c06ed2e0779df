"""Pickles read without running them: what they hold, and that hostile ones do nothing."""

import os
import pickle
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.inert_pickle import Call, PickleError, read_inert

PLAIN = {"labels": [0, 255, 256, 70_000, -1], b"raw": b"x" * 300, "nested": [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]}
PLAIN = {**PLAIN, "constants": [None, True, False, (), {}, []], "text": "ä" * 300}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_data_is_what_pickle_makes_of_it(protocol):
    assert read_inert(pickle.dumps(PLAIN, protocol)) == PLAIN


def python_2(pixels, labels):
    """A batch as Python 2 wrote those that were published: texts are bytes, the array is rebuilt from a text."""
    short = lambda text: b"U" + bytes([len(text)]) + text  # noqa: E731
    items = b"".join(b"K" + bytes([label]) for label in labels)
    shape = b"M" + struct.pack("<H", len(pixels)) + b"M" + struct.pack("<H", 3072) + b"\x86q\x0c"
    dtype = b"cnumpy\ndtype\nq\r" + short(b"u1") + b"q\x0eK\x00K\x01\x87Rq\x0f(K\x03" + short(b"|") + b"q\x10NNN"
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\t"
        + short(b"b")
        + b"q\n\x87Rq\x0b"
    )
    content = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    array += b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"
    told = short(b"batch_label") + b"q\x02" + short(b"training batch 1 of 5") + b"q\x03"
    return (
        b"\x80\x02}q\x01("
        + told
        + short(b"labels")
        + b"q\x04]q\x05("
        + items
        + b"e"
        + short(b"data")
        + b"q\x06"
        + array
        + b"u."
    )


def test_a_batch_as_it_was_published_is_an_array_that_is_not_built():
    pixels, labels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072), [3, 9]
    content = python_2(pixels, labels)
    oracle = pickle.loads(content, encoding="bytes")
    np.testing.assert_array_equal(oracle[b"data"], pixels)
    held = read_inert(content)
    assert held[b"labels"] == labels == oracle[b"labels"]
    assert isinstance(held[b"data"], Call)
    assert held[b"data"].state[1] == (2, 3072)
    assert held[b"data"].state[-1] == pixels.tobytes()


class Payload:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_call_is_kept_as_its_arguments_and_never_made(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = read_inert(pickle.dumps({"data": Payload()}, protocol))
    assert held == {"data": Call(("made by a pickle",))}
    assert list(tmp_path.iterdir()) == []


def test_what_is_cut_short_anywhere_is_a_sentence():
    whole = pickle.dumps(PLAIN, 4)
    for end in range(len(whole)):
        with pytest.raises(PickleError):
            read_inert(whole[:end])


@pytest.mark.parametrize(
    "content", [pickle.dumps(10**30), pickle.dumps(1.5), b"", b".", b"}u.", b"(e.", b"<html>", b"T\xfb\xff\xff\xff."]
)
def test_what_plain_data_does_not_need_is_refused(content):
    with pytest.raises(PickleError):
        read_inert(content)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_sentence(content):
    with suppress(PickleError):
        read_inert(content)
