"""A function that takes a while to be compiled, and cannot be compiled again once that was cut off."""

import numba
from numba.extending import overload

from tests.runs.lessons_to_run import not_to_be_cut_off


def nothing() -> int:
    return 0


@overload(nothing)
def _nothing():
    """What Numba asks for while it compiles."""
    not_to_be_cut_off("compiling")
    return lambda: 0


@numba.njit
def compiled() -> int:
    return nothing()
