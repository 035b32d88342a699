"""Proxies, certificates, tokens: read by M2Crypto in the agent, by hand in the pilot."""

import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from agents.credentials import der, proxy, tokens, voms
from agents.errors import CredentialError
from agents.local_wms.authority import open_authority
from agents.local_wms.registry import PILOT
from pilot.wms import certificate
from tests.fuzz import scratch
from tests.fuzz.target import Target, text

NOW = datetime.now(UTC)


@cache
def _pems() -> tuple[bytes, ...]:
    authority = open_authority(scratch.folder() / "authority", lambda: NOW)
    authority.make_all()
    return (authority.proxy(PILOT).read_bytes(), authority.host().read_bytes())


def _ders() -> list[bytes]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    found = []
    for pem in _pems():
        for part in pem.decode().split(begin)[1:]:
            found.append(ssl.PEM_cert_to_DER_cert(f"{begin}{part.partition(end)[0]}{end}"))
    return found


def _as_pem(data: bytes) -> str:
    """Return a certificate as PEM: mutations reach what is in it, not only its base64."""
    return ssl.DER_cert_to_PEM_cert(data)


def _pilots(data: bytes) -> None:
    for one in certificate.read_chain(_as_pem(data)):
        certificate.voms_vo(one)
    certificate.host_names(data)


def _attributes(data: bytes) -> None:
    voms.attributes(data)
    der.extension(data, b"\x55\x1d\x11")


TARGETS = (
    Target(
        name="proxy-agent",
        run=lambda d: proxy.check(text(d), Path("/proxy"), NOW),
        errors=(CredentialError,),
        seeds=_pems,
        words=("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----"),
    ),
    Target(
        name="chain-agent",
        run=lambda d: proxy._described(Path("/x"), proxy._chain(Path("/x"), _as_pem(d))),
        errors=(CredentialError,),
        seeds=_ders,
    ),
    Target(name="voms-agent", run=_attributes, errors=(ValueError,), seeds=_ders),
    Target(name="chain-pilot", run=_pilots, errors=(ValueError,), seeds=_ders),
    Target(name="pem-pilot", run=lambda d: certificate.read_chain(text(d)), errors=(ValueError,), seeds=_pems),
    Target(
        name="token",
        run=lambda d: tokens._read(scratch.file("token", d)),
        errors=(CredentialError,),
        seeds=lambda: [b"eyJhbGciOiJub25lIn0.eyJleHAiOjF9.\n"],
    ),
)
