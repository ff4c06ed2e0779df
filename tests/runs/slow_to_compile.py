"""A function that takes a while to be compiled, and cannot be compiled again once that was cut off."""

import os
import time

import numba
from numba.extending import overload

from tests.runs.lessons_to_run import call_process


def nothing() -> int:
    return 0


@overload(nothing)
def _nothing():
    """What Numba asks for while it compiles."""
    if "CUT_OFF" in os.environ:
        raise RuntimeError("its compilation was cut off")
    os.environ["CUT_OFF"] = "so far"
    call_process("compiling")
    time.sleep(0.3)
    del os.environ["CUT_OFF"]
    return lambda: 0


@numba.njit
def compiled() -> int:
    return nothing()
