"""A throw-away certificate authority: host and user certificates, RFC 3820 proxies with a DIRAC group."""

import hashlib
import ipaddress
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agents import private
from agents.local_wms.registry import ADMIN, HOST, ORGANIZATION, PILOT, USER, Person

PROXY_CERT_INFO = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")  # RFC 3820
DIRAC_GROUP = x509.ObjectIdentifier("1.2.42.42")
INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")  # ProxyCertInfo with policy 1.3.6.1.5.5.7.21.1
LIMITED = bytes.fromhex("300e300c060a2b060104019b50010101" + "09")  # Globus' policy 1.3.6.1.4.1.3536.1.1.1.9
IA5_STRING = 0x16
CA_NAME = "Throw-away CA"
HOST_NAMES = ("localhost", "127.0.0.1", "::1")
LIFE = {"ca": timedelta(days=3650), "certificate": timedelta(days=365), "proxy": timedelta(days=7)}
RENEW_BEFORE = timedelta(days=2)
BACKDATED = timedelta(hours=2)  # for clocks that are late, by summer time for example

Key = rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Holder:
    """A certificate, its key, and the certificates that lead from it to the CA."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        """Return certificate, key and chain as one proxy file, in the order that every client reads."""
        return b"".join([_pem(self.certificate), _key_pem(self.key), *map(_pem, self.chain)])


class Authority:
    """The CA and all that it has signed, in one directory; made by `open_authority`."""

    def __init__(self, folder: Path, ca: Holder, now: Callable[[], datetime]) -> None:
        self.folder = folder
        self._ca = ca
        self._now = now

    @property
    def certificates(self) -> Path:
        """The directory of CA certificates, named by hash as OpenSSL wants them."""
        return self.folder / "certificates"

    def issue(
        self, common_name: str, *, host_names: Sequence[str] = (), life: timedelta = LIFE["certificate"]
    ) -> Holder:
        """Sign a certificate: a host's when there are host names, otherwise a person's. A negative life: expired."""
        key = _new_key()
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(_name(common_name), self._ca, key, life)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if host_names:
            usage.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host_name(n) for n in host_names]), critical=False
            )
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        return Holder(builder.sign(self._ca.key, hashes.SHA256()), key)

    def delegate(
        self, issuer: Holder, group: str | None, *, limited: bool = False, life: timedelta = LIFE["proxy"]
    ) -> Holder:
        """Sign a proxy of a certificate or of another proxy, with a DIRAC group or none."""
        key = _new_key()
        certificate = self._proxy_of(issuer, key.public_key(), group, limited=limited, life=life)
        return Holder(certificate, key, (issuer.certificate, *issuer.chain))

    def sign_request(self, person: Person, group: str, request_pem: str, life_s: int) -> str:
        """Return a limited proxy of a person for somebody else's key, and the chain behind it.

        Raises:
            ValueError: the request is none, or not signed by its key.
        """
        request = x509.load_pem_x509_csr(request_pem.encode())
        key = request.public_key()
        if not (request.is_signature_valid and isinstance(key, rsa.RSAPublicKey)):
            raise ValueError("the request is not signed by its RSA key")
        issuer = _load(self._certificate(person))
        life = min(timedelta(seconds=life_s), LIFE["proxy"])
        signed = self._proxy_of(issuer, key, group, limited=True, life=life)
        return b"".join(map(_pem, (signed, issuer.certificate, *issuer.chain))).decode()

    def _proxy_of(
        self, issuer: Holder, key: rsa.RSAPublicKey, group: str | None, *, limited: bool, life: timedelta
    ) -> x509.Certificate:
        serial = secrets.randbits(63)
        subject = x509.Name([*issuer.certificate.subject, x509.NameAttribute(NameOID.COMMON_NAME, str(serial))])
        policy = LIMITED if limited else INHERIT_ALL
        builder = self._builder(subject, issuer, key, life).add_extension(
            x509.UnrecognizedExtension(PROXY_CERT_INFO, policy), critical=True
        )
        if group:
            text = bytes([IA5_STRING, len(group)]) + group.encode("ascii")
            builder = builder.add_extension(x509.UnrecognizedExtension(DIRAC_GROUP, text), critical=False)
        return builder.sign(issuer.key, hashes.SHA256())

    def _builder(
        self, subject: x509.Name, issuer: Holder, key: Key | rsa.RSAPublicKey, life: timedelta
    ) -> x509.CertificateBuilder:
        now, public = self._now(), key if isinstance(key, rsa.RSAPublicKey) else key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, now + life) - BACKDATED)
            .not_valid_after(now + life)
            .add_extension(_key_usage(ca=False), critical=True)
        )

    def host(self) -> Path:
        """Return the host's PEM file (certificate and key), new or renewed when it nears its end."""
        return self._kept("host.pem", lambda: self.issue(HOST.common_name, host_names=HOST_NAMES))

    def proxy(self, person: Person) -> Path:
        """Return a person's proxy file with their first group, new or renewed when it nears its end."""
        kept = self._certificate(person)
        return self._kept(f"{person.username}.proxy.pem", lambda: self.delegate(_load(kept), person.groups[0]))

    def _certificate(self, person: Person) -> Path:
        return self._kept(f"{person.username}.pem", lambda: self.issue(person.common_name))

    def _kept(self, name: str, make: Callable[[], Holder]) -> Path:
        path = self.folder / name
        if not _still_valid(path, self._now()):
            write_private(path, make().pem())
        return path

    def make_all(self) -> None:
        """Make whatever is missing."""
        self.host()
        for person in (USER, ADMIN, PILOT):
            self.proxy(person)


def open_authority(folder: Path, now: Callable[[], datetime], ca_name: str = CA_NAME) -> Authority:
    """Load the CA of a directory, or make one; everything an expired CA has signed goes with it."""
    private.folder(folder, is_closed=True)
    path = folder / "ca-with-key.pem"
    if not _still_valid(path, now()):
        for old in folder.glob("*.pem"):
            old.unlink()
        write_private(path, _new_ca(ca_name, now()).pem())
    authority = Authority(folder, _load(path), now)
    _publish(_load(path).certificate, folder)
    return authority


def _new_ca(common_name: str, now: datetime) -> Holder:
    key = _new_key()
    name = _name(common_name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFE["ca"])
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Holder(certificate, key)


def _publish(certificate: x509.Certificate, folder: Path) -> None:
    """Write the CA certificate for clients that want a file, and for those that want a hashed directory."""
    hashed = folder / "certificates"
    hashed.mkdir(exist_ok=True)
    wanted = hashed / f"{subject_hash(certificate.subject)}.0"
    for path in (folder / "ca.pem", wanted):
        if not path.exists() or path.read_bytes() != _pem(certificate):
            path.write_bytes(_pem(certificate))


def subject_hash(name: x509.Name) -> str:
    """Return OpenSSL's name hash (X509_NAME_hash): SHA-1 over the canonical form, first four bytes, little endian.

    The canonical form has lower case, single spaces, UTF-8 and no outer header. Names of 127 bytes and more, which
    need a longer header, are not ours.
    """
    canonical = x509.Name(
        [x509.NameAttribute(part.oid, " ".join(str(part.value).lower().split())) for part in name]
    ).public_bytes()
    body = canonical[2:]
    digest = hashlib.sha1(body, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION)
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _new_key() -> Key:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _load(path: Path) -> Holder:
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, Key)
    certificate, *chain = x509.load_pem_x509_certificates(pem)
    return Holder(certificate, key, tuple(chain))


def _still_valid(path: Path, now: datetime) -> bool:
    if not path.exists():
        return False
    certificates = x509.load_pem_x509_certificates(path.read_bytes())
    return all(certificate.not_valid_after_utc > now + RENEW_BEFORE for certificate in certificates)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    aside.replace(path)
