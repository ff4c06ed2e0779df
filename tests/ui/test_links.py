"""A little of what `links.py` tries; `tests/reliability/knobs.py` tries all of it."""

import random

import pytest

from core.lessons import LESSONS
from tests.ui import links


def test_no_knob_set_gets_anything_but_knobs_or_one_sentence_with_its_limits():
    assert [fault for lesson, asked in links.generated(600, seed=1) for fault in links.objections(lesson, asked)] == []


@pytest.mark.usefixtures("server")
def test_no_link_puts_an_exception_on_a_page():
    for lesson, asked in links.generated(8, seed=2):
        assert links.page_objections(lesson.slug, asked) == []
    for asked in links.comparisons(2, seed=2):
        assert links.comparison_objections(asked) == []


def test_absurd_sizes_are_refused_at_once_and_without_memory():
    chosen = random.Random(0).sample(links.absurd(), 40)
    wrong = [fault for lesson, name, value in chosen for fault in links.absurd_objections(lesson, name, value)[2]]
    assert wrong == []


def test_a_list_or_a_text_of_a_million_is_refused_before_it_is_read():
    for slug, name in (("overfitting-cures", "cures"), ("cnn-arithmetic", "net")):
        lesson = LESSONS[slug]
        knob = next(each for each in lesson.knobs.declared() if each.name == name)
        value = ["a"] * 10**6 if knob.kind == "list" else "a" * 10**6
        assert links.absurd_objections(lesson, name, value)[2] == []
