"""The one real DIRAC, and the one real storage, that all tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.orphans import orphans_are_inits
from tests.system import storage as storage_scripts
from tests.system.dirac_stack import Stack, is_up, script
from tests.system.storage import DiracData, Rucio, Storage

__all__ = ["orphans_are_inits"]  # for all modules of this folder


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    was_up = is_up()
    script("up.sh")
    yield Stack()
    script("publish.sh", "dips")
    if not was_up:
        script("down.sh")


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    was_up = storage_scripts.is_up()
    storage_scripts.script("up.sh")
    yield Storage()
    if not was_up:
        storage_scripts.script("down.sh")


@pytest.fixture(scope="session")
def data(stack: Stack, storage: Storage) -> DiracData:
    storage_scripts.script("up.sh", "dirac")
    return DiracData(stack, Storage())


@pytest.fixture(scope="session")
def rucio(storage: Storage) -> Rucio:
    storage_scripts.script("up.sh", "rucio")
    return Rucio(Storage())
