"""Files by the node's `xrdcp` on a real XRootD: what is compared, by whom, and what is not believed."""

import os
import uuid
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.data import checksum, tools
from agents.data.by_command import ByCommand
from agents.data.errors import Damaged, NoSpaceHere
from agents.data.tools import Tool
from agents.data.way import UNWATCHED, Content
from tests.system.storage import Storage

BYTES = os.urandom(1 << 20) * 40
CONTENT = Content(size_bytes=len(BYTES), adler32=zlib.adler32(BYTES))


class Place:
    """A file's name on the server, of a folder of its own, and a user's way to it."""

    def __init__(self, storage: Storage) -> None:
        name = f"xrdcp/{uuid.uuid4().hex}/a.bin"
        self._storage = storage
        self.url = storage.url("near root", name)
        self.path = storage.path("near", name)

    def way(self, tool: Tool | None = None) -> ByCommand:
        found = tool or tools.find("root")
        assert found is not None, "xrdcp is not installed: tests/clusters/storage/up.sh installs it"
        owner = Identity(certificate=Path(self._storage.proxy("user")), ca=Path(self._storage.endpoint["ca_dir"]))
        return ByCommand(owner, found, os.environ | self._storage.endpoint["client_env"])


@pytest.fixture
def place(storage: Storage) -> Place:
    return Place(storage)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(BYTES)
    return tmp_path / "a"


def test_a_download_is_summed_up_while_it_comes(
    place: Place, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.way().put(file, place.url, CONTENT, UNWATCHED)
    monkeypatch.setattr("agents.data.by_command.Incoming", None)  # which would read it once more
    place.way().get(place.url, tmp_path / "b", CONTENT, UNWATCHED)
    (tmp_path / "c").write_bytes(BYTES[:10_000_000])
    place.way().get(place.url, tmp_path / "c", CONTENT, UNWATCHED)  # goes on
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes() == BYTES


def test_a_damaged_file_is_read_once_more_and_told(place: Place, file: Path, tmp_path: Path) -> None:
    place.way().put(file, place.url, CONTENT, UNWATCHED)
    with place.path.open("r+b") as there:
        there.seek(20_000_000)
        there.write(b"damage")
    with pytest.raises(Damaged, match="Adler32"):
        place.way().get(place.url, tmp_path / "b", CONTENT, UNWATCHED)


def test_a_server_that_has_no_such_checksum_is_asked_for_what_it_has(place: Place, file: Path) -> None:
    """It says the same of a checksum that it does not know as of another one."""
    xrdcp = tools.find("root")
    assert xrdcp is not None

    def put(path: str, url: str, _adler32: int | None) -> list[str]:
        return ["xrdcp", "--nopbar", "--silent", "--posc", "--cksum", f"md5:{'0' * 32}", path, url]

    place.way(replace(xrdcp, put=put)).put(file, place.url, CONTENT, UNWATCHED)
    assert place.path.read_bytes() == BYTES


def test_what_became_another_file_is_taken_away(place: Place, file: Path) -> None:
    file.write_bytes(BYTES[::-1])
    assert checksum.adler32_of(file) != CONTENT.adler32
    with pytest.raises(NoSpaceHere, match="has changed"):
        place.way().put(file, place.url, CONTENT, UNWATCHED)
    assert not place.path.exists()
