"""Data sets that are not on this machine yet, or have yet to be decoded, and the teacher's button for each."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import data
from core.data import DataError
from core.lessons import CURRICULUM
from core.ui import state


def wanted(name: str, key: str) -> bool:
    """Say what a set lacks, with a button for the teacher. Whether it was pressed: then call `bring`."""
    found = data.status(name)
    words, label, icon = f"**{name}** is not on this machine yet.", "Download it", ":material/download:"
    if found.undecoded:
        words = f"**{name}** is here as `{Path(found.where).name}` and has yet to be decoded, once, in half a minute."
        label, icon = "Decode it", ":material/image:"
    if not state.teacher():
        st.markdown(f"{words} That is for your teacher to do.", width="content")
    elif found.undecoded:
        st.markdown(words, width="content")
    else:
        st.text(found.sentence, width="content")  # plain, since it names paths
    return state.teacher() and st.button(label, key=key, icon=icon)


def bring(name: str) -> None:
    """Download or decode it, with a bar, and draw the page anew; or say why not."""
    doing = "Downloading" if data.undecoded(name) is None else "Decoding"
    bar = st.progress(0.0, f"{doing} …")
    try:
        data.download(name, lambda share: _show(bar, doing, share))
    except DataError as error:
        st.error(str(error))
    else:
        st.rerun()


def _show(bar: DeltaGenerator, doing: str, share: float) -> None:
    bar.progress(share, f"{doing} … {share:.0%}")


def of_all_lessons() -> None:
    """What the presets of any lesson need and this machine lacks, while there is time to bring it."""
    presets = [(lesson, knobs) for lesson in CURRICULUM for knobs in lesson.shipped.values()]
    needed = dict.fromkeys(lesson.dataset(knobs) for lesson, knobs in presets)
    missing = [name for name in needed if name is not None and not data.available(name)]
    if not missing:
        return
    st.subheader("Data sets to bring before class", anchor=False)
    for name in missing:
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"missing/{name}"):
            pressed = wanted(name, f"bring/{name}")
        if pressed:
            bring(name)
