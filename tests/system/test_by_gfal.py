"""Files by the node's `gfal-copy` and its neighbours, which srm and gsiftp need, here on a real XRootD."""

import os
import uuid
import zlib
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.data import tools
from agents.data.by_command import ByCommand
from agents.data.errors import Damaged, Exists, NotAllowed, NotHere, Transient
from agents.data.way import UNWATCHED, Content
from tests.system.storage import Storage

PYTHON = {"GFAL_PYTHONBIN": "/usr/bin/python3"}  # the one that Debian's gfal2 is made for
BYTES = b"some bytes\n" * 1000
CONTENT = Content(size_bytes=len(BYTES), adler32=zlib.adler32(BYTES))


class Place:
    """A file's name on the server, of a folder of its own, and a user's way to it."""

    def __init__(self, storage: Storage) -> None:
        name = f"gfal/{uuid.uuid4().hex}/a.bin"
        self._storage = storage
        self.url = storage.url("near root", name)
        self.path = storage.path("near", name)

    def way(self, who: str = "user") -> ByCommand:
        tool = tools.find("srm")
        assert tool is not None, "gfal-copy is not installed: tests/clusters/storage/up.sh installs it"
        owner = Identity(certificate=Path(self._storage.proxy(who)), ca=Path(self._storage.endpoint["ca_dir"]))
        return ByCommand(owner, tool, os.environ | self._storage.endpoint["client_env"] | PYTHON)


@pytest.fixture
def place(storage: Storage) -> Place:
    return Place(storage)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(BYTES)
    return tmp_path / "a"


def test_it_is_not_taken_where_the_node_has_xrdcp() -> None:
    found = tools.find("root")
    assert found is not None
    assert found.name == "xrdcp"


def test_a_file_goes_there_and_comes_back(place: Place, file: Path, tmp_path: Path) -> None:
    place.way().put(file, place.url, CONTENT, UNWATCHED)
    assert place.path.read_bytes() == BYTES
    place.way().get(place.url, tmp_path / "b", CONTENT, UNWATCHED)
    assert (tmp_path / "b").read_bytes() == BYTES


def test_what_is_there_is_not_touched(place: Place, file: Path) -> None:
    place.way().put(file, place.url, CONTENT, UNWATCHED)
    file.write_bytes(b"other")
    with pytest.raises(Exists) as told:
        place.way().put(file, place.url, Content(size_bytes=5, adler32=zlib.adler32(b"other")), UNWATCHED)
    assert (told.value.size_bytes, told.value.adler32) == (len(BYTES), CONTENT.adler32)
    assert place.path.read_bytes() == BYTES


def test_a_replica_that_is_damaged_or_not_there(place: Place, file: Path, tmp_path: Path) -> None:
    with pytest.raises(NotHere):
        place.way().get(place.url, tmp_path / "b", CONTENT, UNWATCHED)
    place.way().put(file, place.url, CONTENT, UNWATCHED)
    place.path.write_bytes(BYTES[:-8] + b"damaged\n")
    with pytest.raises(Damaged):
        place.way().get(place.url, tmp_path / "b", CONTENT, UNWATCHED)


def test_whoever_may_not_is_told_so(place: Place, file: Path) -> None:
    with pytest.raises(NotAllowed):
        place.way("stranger").put(file, place.url, CONTENT, UNWATCHED)
    with pytest.raises(Transient):  # gfal2 has no word for it; Transfers looks at the proxy then
        place.way("expired").put(file, place.url, CONTENT, UNWATCHED)
    assert not place.path.exists()
