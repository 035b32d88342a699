"""The one real DIRAC, and the one real storage, that all tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.orphans import orphans_are_inits
from tests.system import storage as storage_scripts
from tests.system.dirac_stack import RELEASE, Stack, is_up, script
from tests.system.storage import DiracData, Rucio, Storage

__all__ = ["orphans_are_inits"]  # for all modules of this folder


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    was_up = is_up()
    script("up.sh")
    stack = Stack()
    stack.sweep()
    yield stack
    if RELEASE == "9.1":  # the only one whose Matcher tests publish elsewhere
        script("publish.sh", "dips")
    if not was_up:
        script("down.sh")


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    was_up = storage_scripts.is_up()
    storage_scripts.script("up.sh")
    storage_scripts.forget_old()
    yield Storage()
    if not was_up:
        storage_scripts.script("down.sh")


@pytest.fixture(scope="module", autouse=True)
def storage_answers() -> None:
    """Let what a former module has left of the storage answer: an XRootD that does not any more is started again."""
    if storage_scripts.is_up():
        storage_scripts.script("up.sh")


@pytest.fixture(scope="session")
def data(stack: Stack, storage: Storage) -> DiracData:
    storage_scripts.script("up.sh", "dirac")
    return DiracData(stack, Storage())


@pytest.fixture(scope="session")
def rucio(storage: Storage) -> Rucio:
    storage_scripts.script("up.sh", "rucio")
    return Rucio(Storage())


@pytest.fixture(scope="session")
def rucio_of_vos(storage: Storage) -> Rucio:
    """A Rucio of two VOs, seen as labvo."""
    storage_scripts.script("up.sh", "rucio_vos")
    return Rucio(Storage(), "rucio_vos", vo="labvo")
