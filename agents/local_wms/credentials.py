"""From the certificates of a connection to a caller (Core/Tornado/Server/private/BaseRequestHandler, AuthManager)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.x509.oid import NameOID

from agents.local_wms.authority import DIRAC_GROUP, LIMITED, PROXY_CERT_INFO
from agents.local_wms.registry import DEFAULT_GROUP, GROUPS, HOST, HOSTS_GROUP, VO, person_of
from agents.local_wms.services.base import Caller

SHORT_NAMES = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
}


@dataclass(frozen=True, slots=True)
class Certified:
    """What a verified chain of certificates proves."""

    dn: str
    group: str
    is_proxy: bool
    is_limited: bool
    ends: datetime


def certified(chain: Sequence[bytes]) -> Certified:
    """Read a chain (DER, leaf first): proxies down to the person's own certificate."""
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    proxies = []
    for certificate in certificates:
        if _extension(certificate, PROXY_CERT_INFO) is None:
            break
        proxies.append(certificate)
    own = certificates[min(len(proxies), len(certificates) - 1)]
    groups = [group for proxy in proxies if (group := _extension(proxy, DIRAC_GROUP))]
    return Certified(
        dn=dn_of(own.subject),
        group=groups[0][2:].decode("ascii", "replace") if groups else "",  # an IA5String: type, length, text
        is_proxy=bool(proxies),
        is_limited=any(_extension(proxy, PROXY_CERT_INFO) == LIMITED for proxy in proxies),
        ends=min(certificate.not_valid_after_utc for certificate in [*proxies, own]),
    )


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    for extension in certificate.extensions:
        if extension.oid == oid and isinstance(extension.value, x509.UnrecognizedExtension):
            return extension.value.value
    return None


def dn_of(name: x509.Name) -> str:
    """Return a subject as DIRAC writes it, `/C=CH/O=Lab/CN=User`."""
    return "".join(f"/{SHORT_NAMES.get(part.oid, part.oid.dotted_string)}={part.value!s}" for part in name)


def caller_of(proof: Certified, asked_for: str) -> Caller:
    """Return who calls.

    Args:
        proof: what the certificates say.
        asked_for: the `extraCredentials` of the request, a group; it counts only with a plain certificate.
    """
    person = person_of(proof.dn)
    group = proof.group if proof.is_proxy else asked_for
    if person is None or (person is HOST and group != HOSTS_GROUP):
        return Caller(dn=proof.dn, is_proxy=proof.is_proxy, is_limited=proof.is_limited)
    if not group:
        group = DEFAULT_GROUP if DEFAULT_GROUP in person.groups else person.groups[0]
    if group not in person.groups:
        return Caller(dn=proof.dn, is_proxy=proof.is_proxy, is_limited=proof.is_limited)
    return Caller(
        dn=proof.dn,
        username=person.username,
        group=group,
        vo=VO,
        properties=GROUPS[group],
        is_proxy=proof.is_proxy,
        is_limited=proof.is_limited,
    )


class Doorman:
    """Remembers what each open connection has proved, so that certificates are read once."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seen: WeakKeyDictionary[Any, Certified] = WeakKeyDictionary()

    def knows(self, stream: Any) -> bool:
        """Tell whether a stream has proved who is at its other end."""
        return stream in self._seen

    def identify(self, stream: Any, asked_for: str) -> Caller | None:
        """Return who is at the other end of a TLS stream; None without a certificate or with one that has expired."""
        proof = self._seen.get(stream)
        if proof is None:
            chain = _verified_chain(stream.socket)
            if not chain:
                return None
            try:
                proof = self._seen[stream] = certified(chain)
            except ValueError:  # a proxy is made by its owner: extensions in it may be anything
                return None
        return caller_of(proof, asked_for) if self._now() < proof.ends else None


def _verified_chain(socket: Any) -> list[bytes]:
    """Return the certificates by which the handshake has proved the client's, as DER, leaf first, down to the CA's.

    Those that the client sent prove nothing: anybody may put somebody else's between his own.
    """
    if socket.getpeercert(binary_form=True) is None:
        return []
    if hasattr(socket, "get_verified_chain"):  # public from Python 3.13 on
        return list(socket.get_verified_chain())
    der = 2  # _ssl.ENCODING_DER, which has no public name
    return [link.public_bytes(der) for link in socket._sslobj.get_verified_chain() or ()]  # noqa: SLF001 - the only way in 3.11, 3.12
