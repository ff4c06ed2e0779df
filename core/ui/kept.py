"""Answers kept ready for the next reader: so many at most, and so many bytes at most.

A class that watches one run asks for the same at the same moment. What is kept is the answer and the names of what it
was made from, never a run itself: a run that has left the server's memory must not stay in it here.
"""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, runtime_checkable

P = ParamSpec("P")
T = TypeVar("T")

MOST = 256  # answers of one kind: a class of a hundred looks at as many runs, and at those before them
MOST_BYTES = 128 * 2**20  # of one kind; an imported run's charts alone may take a quarter of that


@runtime_checkable
class Named(Protocol):
    """A part of a question that stands for more than is to be kept."""

    @property
    def name(self) -> Hashable:
        """Equal names, equal answers."""


class Kept(Generic[P, T]):
    """A function whose answers are kept; the one not asked for longest goes first. Safe to use from many threads."""

    def __init__(self, answer: Callable[P, T], weigh: Callable[[T], int], most_bytes: int) -> None:
        functools.update_wrapper(self, answer)
        self._answer, self._weigh, self._most_bytes = answer, weigh, most_bytes
        self._guard = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.bytes = 0  # what all kept answers weigh

    def __call__(self, *question: P.args, **named: P.kwargs) -> T:
        """The answer: kept, or made now, by several at once if they ask at the same moment."""
        key = _name((question, tuple(named.items())))
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        answer = self._answer(*question, **named)
        weight = self._weigh(answer)
        with self._guard:
            _, before = self._kept.pop(key, (None, 0))  # another may have been quicker
            self._kept[key] = answer, weight
            self.bytes += weight - before
            while len(self._kept) > MOST or self.bytes > self._most_bytes:
                _, (_, gone) = self._kept.popitem(last=False)  # the new one too, if it is too large by itself
                self.bytes -= gone
        return answer

    def clear(self) -> None:
        """Forget all."""
        with self._guard:
            self._kept.clear()
            self.bytes = 0


def kept(weigh: Callable[[Any], int] = len, most_bytes: int = MOST_BYTES) -> Callable[[Callable[P, T]], Kept[P, T]]:
    """Keep a function's answers.

    Args:
        weigh: the bytes of an answer; of a text in ASCII, as JSON is, its length.
        most_bytes: that its answers may take together.
    """
    return lambda answer: Kept(answer, weigh, most_bytes)


def _name(each: Any) -> Hashable:
    if isinstance(each, tuple):
        return tuple(map(_name, each))
    name: Hashable = each.name if isinstance(each, Named) else each
    return name
