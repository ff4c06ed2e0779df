"""What a class predicts: one answer of each, counted, and bounded in memory."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from core.ui import votes as votes_module
from core.ui.votes import Votes

ASKERS, ANSWERS, LESSONS = st.sampled_from("abc"), st.sampled_from(["yes", "no", None]), st.sampled_from(["x", "y"])


@given(st.lists(st.tuples(LESSONS, ASKERS, ANSWERS)))
def test_the_last_answer_of_each_counts(said):
    votes, last = Votes(), {}
    for lesson, asker, answer in said:
        votes.put(lesson, asker, answer)
        last[lesson, asker] = answer
    for lesson in ("x", "y"):
        assert votes.count(lesson) == Counter(answer for (of, _), answer in last.items() if of == lesson and answer)
        assert all(votes.given(lesson, asker) == last.get((lesson, asker)) for asker in "abc")
    votes.clear("x")
    assert votes.count("x") == {}
    assert votes.count("y") == Counter(answer for (of, _), answer in last.items() if of == "y" and answer)


def test_of_too_many_the_one_who_answered_longest_ago_goes(monkeypatch):
    monkeypatch.setattr(votes_module, "MOST", 3)
    votes = Votes()
    for asker in ("a", "b", "c", "a", "d"):
        votes.put("x", asker, f"of {asker}")
    assert votes.count("x") == {"of a": 1, "of c": 1, "of d": 1}
