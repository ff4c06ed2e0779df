"""Stored runs, by lesson: open one and it replays."""

import streamlit as st

from core.ui import gallery
from pages import compare
from pages.lesson import page

st.title("Gallery", anchor=False)
st.markdown("Runs from real training, stored with the product. Opening one replays it; then change a knob.")
found = gallery.filtered(gallery.shipped())
if not found:
    st.info("No stored run is like this. Take a filter away.", icon=":material/filter_alt_off:")
gallery.show(found, page, compare.page(page))
