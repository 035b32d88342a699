"""One browser for all tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.web.browser import Browser, Tab, running


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(tmp_path_factory.mktemp("browser") / "profile") as made:
        yield made


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    with browser.tab() as made:
        yield made
