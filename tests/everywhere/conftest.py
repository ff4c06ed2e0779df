"""The browser of `tests/browser`, for pages at every kind of address."""

from tests.browser.conftest import browser, open_page

__all__ = ["browser", "open_page"]
