"""Files over https with a token in the proxy's place, on a real XRootD that asks an issuer's keys about it."""

import uuid
import zlib
from pathlib import Path

import pytest

from agents.credentials.identity import Identity
from agents.credentials.tokens import BearerToken
from agents.data.errors import NotAllowed
from agents.data.over_https import OverHttps
from agents.data.way import UNWATCHED, Content
from tests.system.storage import Storage

BYTES = b"some bytes\n" * 1000
CONTENT = Content(size_bytes=len(BYTES), adler32=zlib.adler32(BYTES))


def way(storage: Storage, token: str) -> OverHttps:
    """The way of somebody whose proxy no server here knows, and who has a token."""
    return OverHttps(
        Identity(
            certificate=Path(storage.proxy("stranger")),
            ca=Path(storage.endpoint["ca_dir"]),
            token=BearerToken({"BEARER_TOKEN_FILE": str(storage.endpoint["tokens"][token])}),
        )
    )


@pytest.fixture
def name() -> str:
    return f"token/{uuid.uuid4().hex}/a.bin"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(BYTES)
    return tmp_path / "a"


def test_a_token_that_may_write_writes_and_one_that_may_read_reads(
    storage: Storage, name: str, file: Path, tmp_path: Path
) -> None:
    url = storage.url("near https", name)
    way(storage, "user").put(file, url, CONTENT, UNWATCHED)
    assert storage.path("near", name).read_bytes() == BYTES
    way(storage, "reader").get(url, tmp_path / "b", CONTENT, UNWATCHED)
    assert (tmp_path / "b").read_bytes() == BYTES


@pytest.mark.parametrize("token", ["reader", "expired", "forged"])
def test_a_token_that_may_not_writes_nothing(storage: Storage, name: str, file: Path, token: str) -> None:
    with pytest.raises(NotAllowed):
        way(storage, token).put(file, storage.url("near https", name), CONTENT, UNWATCHED)
    assert not storage.path("near", name).exists()


@pytest.mark.parametrize("token", ["expired", "forged"])
def test_a_token_that_is_no_good_reads_nothing(
    storage: Storage, name: str, file: Path, tmp_path: Path, token: str
) -> None:
    url = storage.url("near https", name)
    way(storage, "user").put(file, url, CONTENT, UNWATCHED)
    with pytest.raises(NotAllowed):
        way(storage, token).get(url, tmp_path / "b", CONTENT, UNWATCHED)
    assert not (tmp_path / "b").exists() or (tmp_path / "b").stat().st_size == 0
