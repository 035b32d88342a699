"""The one real DIRAC joined with DiracX that all tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.joined import joined_stack
from tests.joined.joined_stack import Joined


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: in `make interop-diracx`, too long for `.ci/run`")


@pytest.fixture(scope="session")
def stack() -> Iterator[Joined]:
    was_up = joined_stack.is_up()
    joined_stack.script("up.sh")
    joined = Joined()
    joined.sweep()
    yield joined
    joined_stack.script("publish.sh")
    if not was_up:
        joined_stack.script("down.sh")
