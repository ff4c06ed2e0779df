"""Parts of a page that are drawn while they are open.

Most readers leave most of them closed, and what a page draws is time that a hundred others wait for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def folded(key: str, label: str, icon: str) -> Iterator[bool]:
    """A part under its label, closed at first. Yields whether it is open; its content is drawn inside.

    Args:
        key: of the part, one on a page.
        label: what a reader opens it by.
        icon: before the label.
    """
    part = st.expander(label, icon=icon, key=key, on_change="rerun")
    with part:
        yield bool(part.open)
