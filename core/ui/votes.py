"""What a class predicts, lesson by lesson: one answer of each browser, its last one. No Streamlit here.

Kept in memory alone, as long as the server lives, under the random names that browsers keep.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping

MOST = 1000  # askers of one lesson; the one who answered longest ago goes first


class Votes:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answers: dict[str, OrderedDict[str, str]] = {}  # slug of a lesson → asker → answer

    def put(self, slug: str, asker: str, answer: str | None) -> None:
        """Let `asker` answer, instead of what they said before; None takes that back."""
        with self._guard:
            answers = self._answers.setdefault(slug, OrderedDict())
            answers.pop(asker, None)
            if answer is not None:
                answers[asker] = answer
            if len(answers) > MOST:
                answers.popitem(last=False)

    def given(self, slug: str, asker: str) -> str | None:
        """What `asker` answered."""
        with self._guard:
            return self._answers.get(slug, OrderedDict()).get(asker)

    def count(self, slug: str) -> Mapping[str, int]:
        """Answer → how many gave it."""
        with self._guard:
            return Counter(self._answers.get(slug, OrderedDict()).values())

    def clear(self, slug: str) -> None:
        """Ask anew."""
        with self._guard:
            self._answers.pop(slug, None)
