"""The one real DIRAC that all tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.system.dirac_stack import Stack, is_up, script


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    was_up = is_up()
    script("up.sh")
    yield Stack()
    script("publish.sh", "dips")
    if not was_up:
        script("down.sh")
