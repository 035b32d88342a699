"""X.509 proxies (RFC 3820) and host certificates, read and checked before they are used. Only here is M2Crypto."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from M2Crypto import ASN1, EVP, RSA, X509, util

from agents.credentials import der, voms
from agents.errors import CredentialError
from agents.private import read_secret

_GROUP_OID = bytes((0x2A, 42, 42))  # 1.2.42.42, DIRAC's group
_PROXY_INFO_OID = bytes.fromhex("2b0601050507010e")  # 1.3.6.1.5.5.7.1.14, proxyCertInfo
_OLD_PROXY_OID = bytes.fromhex("2b060104019b500181")  # 1.3.6.1.4.1.3536.1.…, Globus 3
_OLD_NAMES = ("CN=proxy", "CN=limited proxy")  # the end of a subject, Globus 2
_LIMITED_POLICY = bytes.fromhex("2b060104019b5001010109")  # 1.3.6.1.4.1.3536.1.1.1.9
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(?:(?!-----).)+-----END \1-----\n?", re.DOTALL)  # in linear time
_WEAKEST_BITS = 1024
_CLOCK_TOLERANCE = timedelta(minutes=5)
_KEY_BITS = 2048
_VERSION_3 = 2  # RFC 5280 §4.1: version 3 is written as 2
_LIMITED = "critical,language:1.3.6.1.4.1.3536.1.1.1.9"
_KEY_USAGE = "critical,digitalSignature,keyEncipherment,dataEncipherment"


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
        rsa_bits: of its key; None when it is of another kind (elliptic curve), whose sizes compare with no RSA key's.
        vo: virtual organisation of its VOMS attributes, empty without any.
    """

    path: Path
    subject: str
    identity: str
    group: str
    not_before: datetime
    not_after: datetime
    is_limited: bool
    rsa_bits: int | None
    vo: str = ""


def locate(environ: Mapping[str, str], configured: str = "") -> Path:
    """Return where the pilot's proxy is: configuration, then X509_USER_PROXY, then /tmp/x509up_u<uid>."""
    named = configured or environ.get("GRID_PROXY_FILE") or environ.get("X509_USER_PROXY")
    return Path(named or f"/tmp/x509up_u{os.getuid()}")  # noqa: S108 - the grid's own convention


def load(path: Path, now: datetime) -> Proxy:
    """Read a proxy and check that it can be used now.

    Raises:
        CredentialError: one sentence: unreadable, open to others, without its key, expired, not yet valid, weak.
    """
    text = read_secret(path, "proxy")
    proxy = check(text, path, now)
    _check_kind(_chain(path, text), path)
    return proxy


def check(text: str, path: Path, now: datetime) -> Proxy:
    """Check a proxy's text before it is written to, or after it was read from, its file; errors as in `load`."""
    chain = _chain(path, text)
    _check_key(chain[0], _key(path, text), path)
    proxy = _described(path, chain)
    _check_validity(proxy, now, "proxy")
    return proxy


def load_host(certificate: Path, key: Path, now: datetime) -> Proxy:
    """Read a host certificate and check that it can be used now; its group is empty.

    Raises:
        CredentialError: as `load`.
    """
    chain = _chain(certificate, _read(certificate, "host certificate"))
    _check_key(chain[0], _key(key, read_secret(key, "host's key")), key)
    host = _described(certificate, chain[:1])
    _check_validity(host, now, "certificate")
    return host


def _chain(path: Path, text: str) -> list[X509.X509]:
    chain = [_certificate(path, block) for block in _blocks(text, "CERTIFICATE")]
    if not chain:
        raise CredentialError(f"{path}: there is no certificate in it")
    return chain


def _check_kind(chain: Sequence[X509.X509], path: Path) -> None:
    """Refuse what no server takes, as the pilot does (`pilot/wms/credential.py`): old kinds, and half a chain."""
    kinds = [_PROXY_INFO_OID in each.as_der() for each in chain]
    for is_rfc, each in zip(kinds, chain, strict=True):
        is_old = each.get_subject().as_text().endswith(_OLD_NAMES) or _OLD_PROXY_OID in each.as_der()
        if is_old and not is_rfc:
            raise CredentialError(f"{path}: a proxy of an old kind (before RFC 3820), which servers refuse")
    if kinds == [True]:
        raise CredentialError(f"{path}: a proxy without the certificate that issued it; expected the whole chain")


def _check_key(leaf: X509.X509, key: EVP.PKey, path: Path) -> None:
    try:
        ours = leaf.get_pubkey().as_der()
    except X509.X509Error as error:
        raise CredentialError(f"{path}: the public key of its certificate cannot be read: {error}") from error
    if key.as_der() != ours:
        raise CredentialError(f"{path}: its private key does not belong to its certificate")


@dataclass(frozen=True, slots=True)
class Request:
    """A new key, which never leaves this node, and the request (PEM) to certify it."""

    key: EVP.PKey
    pem: str


def request() -> Request:
    """Make a key and a request for a proxy of somebody else, to be signed by the ProxyManager."""
    key, made = _new_key(), X509.Request()
    made.set_pubkey(key)
    made.set_subject_name(_named(X509.X509_Name(), "limited proxy"))
    made.sign(key, "sha256")
    return Request(key, made.as_pem().decode("ascii"))


def assemble(answer: str, asked: Request, *, limit: bool) -> str:
    """Return the text of a proxy file made of the ProxyManager's answer and our key: leaf, key, chain.

    Args:
        answer: PEM certificates, the new one first.
        asked: what was sent.
        limit: sign a limited proxy below it when it is none. DIRAC 9 gives a full one even to those who have the
            right to a limited one only (X509Chain.generateChainFromRequestString).

    Raises:
        CredentialError: the answer holds no certificate.
    """
    place = Path("ProxyManager")
    blocks = _blocks(answer, "CERTIFICATE")
    if not blocks:
        raise CredentialError("ProxyManager: the answer holds no certificate")
    chain, key = [_certificate(place, block) for block in blocks], asked.key
    if limit and not _is_limited(chain):
        key = _new_key()
        chain.insert(0, _limited(chain[0], asked.key, key))
    leaf, *rest = (certificate.as_pem().decode("ascii") for certificate in chain)
    return "".join([leaf, key.as_pem(cipher=None).decode("ascii"), *rest])


def _new_key() -> EVP.PKey:
    key = EVP.PKey()
    key.assign_rsa(RSA.gen_key(_KEY_BITS, 65537, callback=util.quiet_genparam_callback))
    return key


def _named(name: X509.X509_Name, common_name: str) -> X509.X509_Name:
    name.add_entry_by_txt(field="CN", type=ASN1.MBSTRING_ASC, entry=common_name, len=-1, loc=-1, set=0)
    return name


def _limited(issuer: X509.X509, issuer_key: EVP.PKey, key: EVP.PKey) -> X509.X509:
    """Return a limited proxy (RFC 3820) below another proxy, valid as long."""
    serial = int.from_bytes(os.urandom(4), "big") >> 1
    made = X509.X509()
    made.set_version(_VERSION_3)
    made.set_serial_number(serial)
    made.set_issuer(issuer.get_subject())
    made.set_subject(_named(issuer.get_subject(), str(serial)))
    made.set_not_before(issuer.get_not_before())
    made.set_not_after(issuer.get_not_after())
    made.set_pubkey(key)
    # the word in the value alone does not do it, and XRootD's client refuses a proxy that is not so (RFC 3820, 3.8)
    made.add_ext(X509.new_extension("keyUsage", _KEY_USAGE, critical=1))
    made.add_ext(X509.new_extension("proxyCertInfo", _LIMITED, critical=1))
    made.sign(issuer_key, "sha256")
    return made


def _is_limited(chain: list[X509.X509]) -> bool:
    return any(_LIMITED_POLICY in (_extension(c, _PROXY_INFO_OID) or b"") for c in chain)


def _read(path: Path, noun: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise CredentialError(f"{path}: the {noun} cannot be read: {reason}") from error


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
        return EVP.load_key_string(blocks[0].encode(), callback=_no_passphrase)
    except EVP.EVPError as error:
        raise CredentialError(f"{path}: its private key cannot be read: {error}") from error


def _no_passphrase(*_: object) -> bytes:
    """Answer for M2Crypto's default, which asks at the terminal: nobody sits there."""
    return b""


def _described(path: Path, chain: list[X509.X509]) -> Proxy:
    try:
        return _fields(path, chain)
    except (ValueError, X509.X509Error) as error:
        raise CredentialError(f"{path}: something in its certificates cannot be read: {error}") from error


def _fields(path: Path, chain: list[X509.X509]) -> Proxy:
    return Proxy(
        path=path,
        subject=str(chain[0].get_subject()),
        identity=str(next((c for c in chain if not _is_proxy(c)), chain[-1]).get_subject()),
        group=next((group for group in map(_group, chain) if group), ""),
        not_before=max(c.get_not_before().get_datetime() for c in chain).astimezone(UTC),
        not_after=min(c.get_not_after().get_datetime() for c in chain).astimezone(UTC),
        is_limited=_is_limited(chain),
        rsa_bits=_rsa_bits(chain[0].get_pubkey()),
        vo=next((vo for vo in map(_vo, chain) if vo), ""),
    )


def _vo(certificate: X509.X509) -> str:
    found = voms.attributes(certificate.as_der())
    return found.vo if found else ""


def _rsa_bits(key: EVP.PKey) -> int | None:
    try:
        return len(key.get_rsa())
    except ValueError:
        return None


def _extension(certificate: X509.X509, oid: bytes) -> bytes | None:
    return der.extension(certificate.as_der(), oid)


def _is_proxy(certificate: X509.X509) -> bool:
    return _extension(certificate, _PROXY_INFO_OID) is not None


def _group(certificate: X509.X509) -> str:
    found = _extension(certificate, _GROUP_OID)
    return der.text(found) if found else ""


def _check_validity(proxy: Proxy, now: datetime, noun: str) -> None:
    whose = f"{proxy.path}: the {noun} of {proxy.identity}"
    if proxy.not_after <= now:
        raise CredentialError(f"{whose} expired at {proxy.not_after:%Y-%m-%d %H:%M:%S} UTC")
    if proxy.not_before > now + _CLOCK_TOLERANCE:
        starts = f"{proxy.not_before:%Y-%m-%d %H:%M:%S}"
        raise CredentialError(f"{whose} is valid only from {starts} UTC; is this node's clock right?")
    if proxy.rsa_bits is not None and proxy.rsa_bits < _WEAKEST_BITS:
        raise CredentialError(f"{whose} has a key of {proxy.rsa_bits} bits; expected {_WEAKEST_BITS} or more")
