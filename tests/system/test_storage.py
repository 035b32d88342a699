"""The storage that other tests use lets in whom it should, and nobody else: asked with programs of others."""

import os
import subprocess
import uuid
import zlib
from pathlib import Path

import pytest

from tests.system.storage import DiracData, Rucio, Storage

COMMAND_S = 60.0
CONTENT = b"some bytes\n"
SERVERS = ["near https", "far https", "webdav", "near root", "far root"]


def by_curl(storage: Storage, url: str, path: Path, *credential: str) -> bool:
    argv = ["curl", "-sf", "--noproxy", "*", "--capath", storage.endpoint["ca_dir"], *credential, "-T", str(path), url]
    return subprocess.run(argv, check=False, timeout=COMMAND_S).returncode == 0


def by_xrdcp(storage: Storage, url: str, path: Path, **environment: str) -> bool:
    there = {name: value for name, value in os.environ.items() if not name.startswith("X509")}
    there |= storage.endpoint["client_env"] | environment
    argv = ["xrdcp", "-s", "-C", "adler32", str(path), url]
    return subprocess.run(argv, check=False, env=there, capture_output=True, timeout=COMMAND_S).returncode == 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("who", ["user", "user2", "admin", "pilot", "stranger", "expired"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_file_is_taken_from_those_who_may_write(storage: Storage, file: Path, server: str, who: str) -> None:
    name = f"{uuid.uuid4().hex}.bin"
    if "root" in server:
        put = by_xrdcp(storage, storage.url(server, name), file, X509_USER_PROXY=storage.proxy(who))
    else:
        put = by_curl(storage, storage.url(server, name), file, "--cert", storage.proxy(who))
    there = storage.path(server.split(maxsplit=1)[0], name)
    assert put is (who in {"user", "user2", "admin"})
    assert (there.read_bytes() if there.exists() else None) == (CONTENT if put else None)


@pytest.mark.parametrize("who", ["user", "reader", "expired", "forged"])
@pytest.mark.parametrize("scheme", ["https", "roots"])
def test_a_token_is_good_for_what_it_says(storage: Storage, file: Path, scheme: str, who: str) -> None:
    name = f"{uuid.uuid4().hex}.bin"
    if scheme == "https":
        header = file.with_name("header")
        header.write_text(f"Authorization: Bearer {storage.token(who)}\n", encoding="ascii")
        put = by_curl(storage, storage.url("near https", name), file, "-H", f"@{header}")
    else:
        url = storage.url("near root", name).replace("root://", "roots://", 1)
        token = storage.endpoint["tokens"][who]
        put = by_xrdcp(storage, url, file, BEARER_TOKEN_FILE=token, XrdSecPROTOCOL="ztn")
    assert put is (who == "user")


def test_dirac_itself_puts_a_file_to_every_element_and_reads_it_back(
    data: DiracData, file: Path, tmp_path: Path
) -> None:
    lfn = f"/labvo/data/{uuid.uuid4().hex}.bin"
    elements = ["LAB-disk", "FAR-disk", "XRD-https", "DAV-disk", "FAR-https"]
    data.put(lfn, file, *elements)
    known = data.look(lfn)[lfn]
    assert known["Replicas"] == sorted(elements)
    assert known["Size"] == len(CONTENT)
    assert int(known["Checksum"], 16) == zlib.adler32(CONTENT)
    assert [data.path(element, lfn).read_bytes() for element in elements] == [CONTENT] * len(elements)
    for element in (*elements, "XRD-root"):
        got = data.client("user2", "get", lfn, "--into", str(tmp_path), "--element", element)
        assert got["size"] == len(CONTENT)


@pytest.mark.parametrize("element", ["XRD1", "XRD2", "DAV"])
def test_rucio_itself_puts_a_file_and_finds_it(rucio: Rucio, file: Path, element: str) -> None:
    name = f"{uuid.uuid4().hex}.bin"
    rucio.client("upload", name, str(file), element)
    (found,) = rucio.client("replicas", name)
    assert found["bytes"] == len(CONTENT)
    assert int(found["adler32"], 16) == zlib.adler32(CONTENT)
    assert list(found["rses"]) == [element]
