"""The numbers in a pickle, without running it: no name in it is looked up, nothing in it is called.

CIFAR-10 is published as pickles of a dictionary with a NumPy array and a list of labels. Unpickling runs whatever a
pickle names; this reader keeps a name as text and a call as the list of its arguments, which is enough to find the
array's bytes. It knows the opcodes that such a dictionary needs and refuses every other.
"""

import struct
from dataclasses import dataclass, field
from typing import Any


class PickleError(ValueError):
    """Bytes that are no pickle of plain data."""


@dataclass
class Call:
    """What a pickle wanted to be called, never called: its arguments, and the state it was to be given."""

    arguments: Any = ()
    state: Any = None


@dataclass
class _Reader:
    data: bytes
    place: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.place:
            raise PickleError("it is cut short")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, layout: str) -> int:
        value: int = struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))[0]
        return value

    def line(self) -> str:
        end = self.data.index(b"\n", self.place)
        text = self.data[self.place : end].decode("ascii")
        self.place = end + 1
        return text

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken, self.stack[start:] = self.stack[start:], []
        return taken

    def pop(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise PickleError("it takes more than it holds")
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return taken


NUMBERS = {b"K": "B", b"M": "H", b"J": "i"}
TEXTS = {b"X": "I", b"\x8c": "B"}  # UTF-8
BYTES = {b"U": "B", b"T": "i", b"C": "B", b"B": "I", b"\x8e": "Q", b"\x96": "Q"}  # texts of Python 2 are bytes, too
CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
REMEMBER, RECALL = {b"q": "B", b"r": "I"}, {b"h": "B", b"j": "I"}


def read_inert(data: bytes) -> Any:
    """The value of a pickle, with a `Call` in place of everything that is not a plain value.

    Raises:
        PickleError: it is cut short, or holds what plain data does not need.
    """
    reader = _Reader(data)
    try:
        return _run(reader)
    except (IndexError, KeyError, TypeError, AttributeError, ValueError, struct.error) as error:
        raise error if isinstance(error, PickleError) else PickleError("it is no pickle of plain data") from error


def _run(reader: _Reader) -> Any:
    stack = reader.stack
    while (code := reader.take(1)) != b".":
        if code in NUMBERS:
            stack.append(reader.number(NUMBERS[code]))
        elif code in TEXTS:
            stack.append(reader.take(reader.number(TEXTS[code])).decode())
        elif code in BYTES:
            stack.append(reader.take(reader.number(BYTES[code])))
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in TUPLES:
            stack.append(reader.pop(TUPLES[code]))
        elif code in REMEMBER:
            reader.memo[reader.number(REMEMBER[code])] = stack[-1]
        elif code == b"\x94":
            reader.memo[len(reader.memo)] = stack[-1]
        elif code in RECALL:
            stack.append(reader.memo[reader.number(RECALL[code])])
        elif code in (b"}", b"]", b")"):
            stack.append({b"}": dict, b"]": list, b")": tuple}[code]())
        elif code == b"(":
            reader.marks.append(len(stack))
        elif code == b"t":
            stack.append(tuple(reader.since_mark()))
        elif code == b"e":
            items = reader.since_mark()
            stack[-1].extend(items)
        elif code == b"a":
            (item,) = reader.pop(1)
            stack[-1].append(item)
        elif code in (b"u", b"s"):
            pairs = reader.since_mark() if code == b"u" else reader.pop(2)
            stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
        elif code == b"c":
            stack.append(f"{reader.line()}.{reader.line()}")
        elif code == b"\x93":
            stack.append(".".join(reader.pop(2)))
        elif code == b"R":
            _, arguments = reader.pop(2)
            stack.append(Call(arguments))
        elif code == b"b":
            (state,) = reader.pop(1)
            stack[-1].state = state
        elif code in (b"\x80", b"\x95"):  # the protocol, and the length of what follows
            reader.take(1 if code == b"\x80" else 8)
        else:
            raise PickleError(f"it holds {code!r}, which plain data does not need")
    return stack[-1]
