"""The page of `demo.py`: a player, and what could disturb it."""

import streamlit as st

from core.ui.player import player

st.set_page_config(page_title="Player", layout="wide")
query, held = st.query_params, st.session_state
st.markdown("### Does a wider net learn its examples by heart sooner?")
with st.container(horizontal=True):
    st.button("Run the script again")
    if st.button("Write the link"):
        query["knob"] = "7"
    if st.button("Another run"):
        query["run"] = "e" * 32
    if st.button("Say that it runs"):
        held["said"] = "running"
    if st.button("Run is pressed"):
        held["presses"] = held.get("presses", 0) + 1
    if st.button("Take the player away"):
        held["away"] = True
st.text_input("Notes")
if "above" in query:
    st.html(f'<div style="height: {int(query["above"])}px"></div>')  # as on a phone, where much stands above the charts

run = query.get("run", "a" * 32)
frame = query.get("frame", "")
told = held.setdefault("told", [])
if "away" not in held:
    result = player(
        run,
        key="player",
        state=held.get("said", query.get("state")),
        frame=int(frame) if frame.isdecimal() else None,
        ghost=query.get("ghost"),
        ghost_text="before: learning rate 0.01" if "ghost" in query else "",
        projector=query.get("projector") == "on",
        compact=query.get("compact") == "on",
        presses=held.get("presses", 0),
    )
    if result.finished:
        told.append(result.finished)
        held["said"] = "done"
held["times"] = held.get("times", 0) + 1
st.write(f"script runs: {held['times']} · finished: {' '.join(told) or 'none'}")
