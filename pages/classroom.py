"""The teacher's page: how the class gets in, who is here, what trains."""

import streamlit as st

from core.ui import classroom as parts
from core.ui import data_sets, state
from pages.lesson import page

st.title("Classroom", anchor=False)
if not state.teacher():
    parts.at_the_door()
else:
    way_in, of_class = st.columns([3, 2], gap="large")
    with way_in:
        parts.invitation()
    with of_class:
        parts.controls()
    data_sets.of_all_lessons()
    parts.watch(page)
