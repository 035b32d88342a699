"""Payload proxies by a ProxyManager that is a test's: it signs what it is asked for, or refuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from agents.jobs.job import MatchedJob
from agents.local_wms.authority import Authority, Holder, open_authority
from agents.runner.payload_proxies import PayloadProxies
from agents.wms.proxy_manager import ProxyManager
from agents.wms.registry import Registry
from agents.wms.service import Clock, Retry, Service
from agents.wms.testing import FakeTransport, ok
from ce_backends.cfg import from_options

START = datetime.now(UTC).replace(microsecond=0)
LIFE = timedelta(days=3)
JOB = MatchedJob(job_id=1, jdl="[]", owner="user", group="lab_user")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("ca"), lambda: START)


@pytest.fixture(scope="module")
def stored(authority: Authority) -> Holder:
    """The proxy that the owner has left with the ProxyManager."""
    return authority.delegate(authority.issue("Lab User"), "lab_user", life=timedelta(days=30))


class Manager:
    """A ProxyManager at the transport: signs what it is asked, as DIRAC's does, and never limits."""

    def __init__(self, stored: Holder) -> None:
        self.stored = stored
        self.now = START
        self.failure: Exception | dict[str, object] | None = None
        self.transport = FakeTransport(otherwise=self._answer)

    def _answer(self, *arguments: object) -> object:
        return self.failure or ok(self.signed(str(arguments[2])))

    def signed(self, request_pem: str) -> str:
        request = x509.load_pem_x509_csr(request_pem.encode())
        issuer = self.stored.certificate
        info = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"), bytes.fromhex("300c300a06082b06010505071501")
        )
        own_name = x509.NameAttribute(x509.NameOID.COMMON_NAME, "77")
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([*issuer.subject, own_name]))
            .issuer_name(issuer.subject)
            .serial_number(77)
            .not_valid_before(self.now)
            .not_valid_after(self.now + LIFE)
            .public_key(request.public_key())
            .add_extension(info, critical=True)
            .sign(self.stored.key, hashes.SHA256())
        )
        chain = [leaf, issuer, *self.stored.chain]
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain)


@pytest.fixture
def manager(stored: Holder) -> Manager:
    return Manager(stored)


def proxies(manager: Manager, directory: Path, *, limit: bool = True, **registry: str) -> PayloadProxies:
    cfg = from_options({"/Registry/Users/user/DN": "/O=Lab/CN=Lab User", **registry}, "test")
    clock = Clock(monotonic=lambda: 0.0, sleep=lambda _: None, jitter=lambda: 0.0)
    service = Service("ProxyManager", ["https://h/F/P"], manager.transport, Retry(attempts=2), clock)
    return PayloadProxies(directory, ProxyManager(service), Registry(cfg), limit=limit, now=lambda: manager.now)


def registry(**options: str) -> Registry:
    return Registry(from_options({f"/Registry/{path}": text for path, text in options.items()}, "test"))
