"""A call over HTTPS to a server of a test, with keys of two authorities, and what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.errors import ServiceError
from agents.local_wms.authority import Authority, Holder, open_authority, write_private
from agents.wms.https import HttpsTransport, session
from ce_backends.untrusted.bounded_http import Limits
from tests.unit.https_server import Server

HOST_NAMES = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("other"), lambda: datetime.now(UTC), "Another CA")


@pytest.fixture(scope="module")
def host(authority: Authority) -> Holder:
    return authority.issue("localhost", host_names=HOST_NAMES)


@pytest.fixture(scope="module")
def proxy(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("proxy") / "proxy.pem"
    write_private(path, authority.delegate(authority.issue("Pilot"), "lab_pilot").pem())
    return path


@contextmanager
def client(certificate: Path, ca: Path, limits: Limits = Limits()) -> Iterator[HttpsTransport]:
    made = session(certificate, ca)
    with made:
        yield HttpsTransport(made, vo="lab", limits=limits)


def asked(server: Server, proxy: Path, ca: Authority, limits: Limits = Limits(), *, raw: bool = False) -> object:
    with client(proxy, ca.certificates, limits) as transport:
        carried = transport.download if raw else transport.call
        return carried(server.url, "requestJob", [{"Site": "X"}])


def failed(server: Server, proxy: Path, ca: Authority, limits: Limits = Limits()) -> ServiceError:
    """Return the error of one call, without the URL that begins its sentence."""
    with pytest.raises(ServiceError) as caught:
        asked(server, proxy, ca, limits)
    assert "\n" not in str(caught.value)
    return caught.value


def sentence(error: ServiceError, server: Server) -> str:
    return str(error).removeprefix(f"{server.url}: ")
