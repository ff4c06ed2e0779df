"""What is printed arrives whole, whatever the console's encoding and whoever reads along."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

BROKEN_PIPE = 141  # the exit status of a program that SIGPIPE ended: 128 + 13


def set_encodings() -> None:
    """Write UTF-8 into files and pipes; on a terminal, a question mark for what it cannot show.

    Our sentences, scripts and JSON have signs (×, σ, –) that the encodings of many consoles lack.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:  # file names may hold bytes that are no text at all
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at it; None is a stream that was closed before we began."""
    return stream is not None and stream.isatty()


def can_show(text: str, stream: TextIO | None) -> bool:
    """Whether a stream's encoding has all the characters of `text`."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def lines_to_show(text: str, stream: TextIO | None) -> str:
    """The lines of `text` that a stream can show: half a QR code is none."""
    return "\n".join(line for line in text.split("\n") if can_show(line, stream))


@contextmanager
def printing() -> Iterator[None]:
    """Within it, print at will: who reads may stop reading (`| head`), and the disk may be full.

    Raises:
        SystemExit: what was printed did not arrive; a reader who went away is told nothing, of a disk there is a
            sentence.
    """
    set_encodings()
    try:
        yield
        _flush()
    except BrokenPipeError:
        _drop_the_rest()
        raise SystemExit(BROKEN_PIPE) from None
    except OSError as error:
        if error.filename is not None:  # of a file, not of what is printed
            raise
        _drop_the_rest()
        raise SystemExit(f"The output could not be written ({error.strerror}); free some space there.") from None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _drop_the_rest() -> None:
    """Let Python write what it still holds to nowhere when it ends, instead of complaining."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
