"""A lesson page, opened by a link, for the tests of pages."""

from streamlit.testing.v1 import AppTest

LONG = 180  # seconds; a stuck page, not a slow one


def lesson_page(slug: str, **query: str) -> AppTest:
    """The page of a lesson, opened by a link."""

    def script(slug: str) -> None:
        from core.lessons import LESSONS
        from pages import lesson

        lesson.show(LESSONS[slug])

    at = AppTest.from_function(script, kwargs={"slug": slug}, default_timeout=LONG)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()
