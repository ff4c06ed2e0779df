"""The query of the page's address. The only file that names `query_params`.

Streamlit sends each change of it by itself, and browsers make an entry of their history of each. So what a run of the
script changes is collected, and `send` sends it once: one press, one entry.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import links
from core.lessons import LESSONS

CHANGES = "page_query/changes"
"""Where the session has what is yet to be sent: the page, and name → values. A run cut short leaves it there."""


def _known() -> Collection[str]:
    """The names that links of any page have."""
    own = (name for lesson in LESSONS.own for name in lesson.knobs.model_fields)
    return {*_known_to_the_curriculum(), *own}


@cache
def _known_to_the_curriculum() -> Collection[str]:
    return {*links.OTHER, *(name for lesson in LESSONS.curriculum for name in lesson.knobs.model_fields)}


def query() -> dict[str, list[str]]:
    """What the address says, by name and in order, with what is yet to be sent; without what trackers added."""
    said = links.fold({name: st.query_params.get_all(name) for name in st.query_params}, _known())
    return {name: list(values) for name, values in {**said, **_changes()}.items() if values}


def given(name: str) -> list[str]:
    """Everything that the address says under a name."""
    return query().get(name, [])


def say(**changes: Sequence[str]) -> None:
    """Make the address say these values from the next `send` on; no value: nothing under that name."""
    st.session_state[CHANGES] = (_page(), {**_changes(), **changes})


def say_knobs(said: Mapping[str, Sequence[str]]) -> None:
    """Make it say this, and nothing else besides the names that stay whatever the knobs are."""
    say(**{**dict.fromkeys(knobs_in(query()), ()), **said})


def knobs_in(query: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What a query says of knobs, of what is hidden and of what is shared out."""
    return {name: list(values) for name, values in query.items() if name not in links.KEPT}


def send() -> None:
    """Send what was changed, if anything was. To be called once at the end of what a page draws."""
    if any(list(values) != st.query_params.get_all(name) for name, values in _changes().items()):
        st.query_params.from_dict(query())
    st.session_state.pop(CHANGES, None)


def is_history() -> bool:
    """Whether this run of the script is owed to the browser's Back or Forward."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def begin() -> None:
    """Forget what was not sent where the reader has gone elsewhere. To be called first in a run of the script."""
    if is_history():
        st.session_state.pop(CHANGES, None)


def _changes() -> Mapping[str, Sequence[str]]:
    page, changes = st.session_state.get(CHANGES, (None, {}))
    return changes if page == _page() else {}


def _page() -> str:
    context = get_script_run_ctx()
    return "" if context is None else context.page_script_hash
