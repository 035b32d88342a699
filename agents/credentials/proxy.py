"""X.509 proxies (RFC 3820) and host certificates, read and checked before they are used. Only here is M2Crypto."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from M2Crypto import EVP, X509

from agents.credentials import der
from agents.errors import CredentialError

_GROUP_OID = bytes((0x2A, 42, 42))  # 1.2.42.42, DIRAC's group
_PROXY_INFO_OID = bytes.fromhex("2b0601050507010e")  # 1.3.6.1.5.5.7.1.14, proxyCertInfo
_LIMITED_POLICY = bytes.fromhex("2b060104019b5001010109")  # 1.3.6.1.4.1.3536.1.1.1.9
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)
_WEAKEST_BITS = 1024
_CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What a proxy file says of itself.

    Attributes:
        path: of the file.
        subject: distinguished name of the proxy, `/C=…/CN=…`.
        identity: of the user behind it.
        group: DIRAC group, empty when none is in it.
        not_before: first moment of its validity.
        not_after: last moment, the earliest of the chain.
        is_limited: it may not be used to submit.
        bits: of its key.
    """

    path: Path
    subject: str
    identity: str
    group: str
    not_before: datetime
    not_after: datetime
    is_limited: bool
    bits: int


def locate(environ: Mapping[str, str], configured: str = "") -> Path:
    """Return where the pilot's proxy is: configuration, then X509_USER_PROXY, then /tmp/x509up_u<uid>."""
    named = configured or environ.get("GRID_PROXY_FILE") or environ.get("X509_USER_PROXY")
    return Path(named or f"/tmp/x509up_u{os.getuid()}")  # noqa: S108 - the grid's own convention


def load(path: Path, now: datetime) -> Proxy:
    """Read a proxy and check that it can be used now.

    Raises:
        CredentialError: one sentence: unreadable, open to others, without its key, expired, not yet valid, weak.
    """
    text = _read_private(path)
    chain = [_certificate(path, block) for block in _blocks(text, "CERTIFICATE")]
    if not chain:
        raise CredentialError(f"{path}: there is no certificate in it")
    key = _key(path, text)
    if key.as_der() != chain[0].get_pubkey().as_der():
        raise CredentialError(f"{path}: its private key does not belong to its certificate")
    proxy = _described(path, chain)
    _check_validity(proxy, now)
    return proxy


def _read_private(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise CredentialError(f"{path}: the proxy cannot be read: {reason}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(
            f"{path}: others can read the proxy (mode {mode & 0o777:04o}); expected 0600: chmod 600 it"
        )
    return text


def _blocks(text: str, kind: str) -> list[str]:
    return [found.group(0) for found in _BLOCK.finditer(text) if found.group(1).endswith(kind)]


def _certificate(path: Path, block: str) -> X509.X509:
    try:
        return X509.load_cert_string(block)
    except X509.X509Error as error:
        raise CredentialError(f"{path}: a certificate in it cannot be read: {error}") from error


def _key(path: Path, text: str) -> EVP.PKey:
    blocks = _blocks(text, "PRIVATE KEY")
    if not blocks:
        raise CredentialError(f"{path}: there is no private key in it")
    try:
        return EVP.load_key_string(blocks[0].encode())
    except EVP.EVPError as error:
        raise CredentialError(f"{path}: its private key cannot be read: {error}") from error


def _described(path: Path, chain: list[X509.X509]) -> Proxy:
    return Proxy(
        path=path,
        subject=str(chain[0].get_subject()),
        identity=str(next((c for c in chain if not _is_proxy(c)), chain[-1]).get_subject()),
        group=next((group for group in map(_group, chain) if group), ""),
        not_before=max(c.get_not_before().get_datetime() for c in chain).astimezone(UTC),
        not_after=min(c.get_not_after().get_datetime() for c in chain).astimezone(UTC),
        is_limited=any(_LIMITED_POLICY in (_extension(c, _PROXY_INFO_OID) or b"") for c in chain),
        bits=chain[0].get_pubkey().size() * 8,
    )


def _extension(certificate: X509.X509, oid: bytes) -> bytes | None:
    return der.extension(certificate.as_der(), oid)


def _is_proxy(certificate: X509.X509) -> bool:
    return _extension(certificate, _PROXY_INFO_OID) is not None


def _group(certificate: X509.X509) -> str:
    found = _extension(certificate, _GROUP_OID)
    return der.text(found) if found else ""


def _check_validity(proxy: Proxy, now: datetime) -> None:
    whose = f"{proxy.path}: the proxy of {proxy.identity}"
    if proxy.not_after <= now:
        raise CredentialError(f"{whose} expired at {proxy.not_after:%Y-%m-%d %H:%M:%S} UTC")
    if proxy.not_before > now + _CLOCK_TOLERANCE:
        starts = f"{proxy.not_before:%Y-%m-%d %H:%M:%S}"
        raise CredentialError(f"{whose} is valid only from {starts} UTC; is this node's clock right?")
    if proxy.bits < _WEAKEST_BITS:
        raise CredentialError(f"{whose} has a key of {proxy.bits} bits; expected {_WEAKEST_BITS} or more")
