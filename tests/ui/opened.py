"""A lesson page, opened by a link, for the tests of pages."""

from collections.abc import Callable, Mapping

from streamlit.testing.v1 import AppTest

from core.lesson import AnyLesson

WIDGETS = ("select_slider", "number_input", "selectbox", "button_group", "toggle", "multiselect", "text_area")
LONG = 180  # seconds; a stuck page, not a slow one


def lesson_page(slug: str, **query: str) -> AppTest:
    """The page of a lesson, opened by a link."""

    def script(slug: str) -> None:
        from core.lessons import LESSONS
        from pages import lesson

        lesson.show(LESSONS[slug])

    return by_link(script, {"slug": slug}, query)


def by_link(script: Callable[..., None], given: Mapping[str, str], query: Mapping[str, str | list[str]]) -> AppTest:
    """The page that a script draws, which is given these arguments, opened by a link with this query."""
    at = AppTest.from_function(script, kwargs=dict(given), default_timeout=LONG)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()


def unfolded(at: AppTest, slug: str, *parts: str) -> AppTest:
    """The page of a lesson with these parts open: hunt, code, take_home, class."""
    for part in parts:
        at.session_state[f"{slug}/{part}"] = True
    return at.run()


def knobs_on(at: AppTest, lesson: AnyLesson) -> set[str]:
    """The names of the knobs that stand on a page."""
    keys = {each.key for kind in WIDGETS for each in at.get(kind)}
    return {knob.name for knob in lesson.knobs.declared() if f"{lesson.slug}/{knob.name}" in keys}
