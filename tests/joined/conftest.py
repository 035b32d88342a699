"""The one real DIRAC joined with DiracX that all tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.joined import joined_stack
from tests.joined.joined_stack import Joined


@pytest.fixture(scope="session")
def stack() -> Iterator[Joined]:
    was_up = joined_stack.is_up()
    joined_stack.script("up.sh")
    yield Joined()
    joined_stack.script("publish.sh")
    if not was_up:
        joined_stack.script("down.sh")
