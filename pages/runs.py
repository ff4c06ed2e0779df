"""What trains, what waits, what ended; and any run again by its link."""

import streamlit as st

from core.ui import run_list
from pages import compare
from pages.lesson import page

st.title("Runs", anchor=False)
st.markdown("One run trains at a time and everybody takes turns. Equal runs are trained once, for all who asked.")
run_list.live(page)
find, bring = st.columns(2, gap="large")
with find:
    run_list.find_again(page)
with bring:
    run_list.bring_in(page)
run_list.stored(page, compare.page(page))
