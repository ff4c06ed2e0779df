"""The site: its pages, in the order of the curriculum."""

import streamlit as st

from core.lessons import LESSONS
from core.ui import look, page_query, state
from pages import compare, found, lesson

LESSONS.refresh()
page_query.begin()
look.apply(state.projector())
page = st.navigation(
    {
        "": [st.Page("home.py", title="Gradient Lab", default=True)],
        "Lessons": [lesson.page(each) for each in LESSONS.curriculum],
        **({"Yours": [lesson.page(each) for each in LESSONS.own]} if LESSONS.own else {}),
        "Runs": [
            st.Page("gallery.py", title="Gallery"),
            compare.page(lesson.page),
            st.Page("runs.py", title="Runs"),
            found.page(lesson.page),
            st.Page("classroom.py", title="Classroom", visibility="visible" if state.teacher() else "hidden"),
        ],
    },
    position="top",
)
st.set_page_config(page_title=f"{page.title} · Gradient Lab", page_icon=look.ICON, layout="wide")
page.run()
