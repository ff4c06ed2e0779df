"""Plain loops over NumPy arrays, compiled by numba where it is installed."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def compiled(function: Function) -> Function:
    """Return the function, compiled at its first call, with the rounding of plain Python: nothing is reordered.

    The machine code is kept on disk where there is a place for it. Without numba it is the function itself, which gives
    the same numbers some hundred times slower.
    """
    try:
        import numba
    except ImportError:
        return function
    settings: Any = {"error_model": "numpy", "nogil": True}
    try:
        found: Function = numba.njit(function, cache=True, **settings)
    except RuntimeError:  # no folder to keep it in
        found = numba.njit(function, **settings)
    return found
