"""What every test starts with."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Give back the umask: `main` of pilot and agent closes what it makes to others, for its whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)
