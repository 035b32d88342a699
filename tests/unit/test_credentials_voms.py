"""VOMS attributes, read out of a certificate as VOMS writes them (RFC 5755, the VOMS attribute certificate format)."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agents.credentials.voms import Attributes, attributes

FQANS = ("/lab/Role=pilot/Capability=NULL", "/lab/group")


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82, size >> 8, size & 0xFF])
    return bytes([tag]) + length + content


def extension(*fqans: str, authority: str = "lab://voms.example.org:15000") -> bytes:
    """Return the sequence of one attribute certificate, as much of it as anybody here reads."""
    oid = der(0x06, bytes.fromhex("2b06010401be45646404"))
    issuer = [der(0xA0, der(0x86, authority.encode()))] if authority else []
    syntax = der(0x30, *issuer, der(0x30, *(der(0x04, fqan.encode()) for fqan in fqans)))
    listed = der(0x30, der(0x30, oid, der(0x31, syntax)))
    return der(0x30, der(0x30, der(0x30, der(0x30, der(0x02, b"\x01"), der(0x30, der(0x04, b"holder")), listed))))


def certificate(*extensions: tuple[str, bytes]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "user")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now)
    for oid, content in extensions:
        made = made.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), content), critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


VOMS = "1.3.6.1.4.1.8005.100.100.5"


def test_the_vo_and_the_roles_are_read() -> None:
    assert attributes(certificate((VOMS, extension(*FQANS)))) == Attributes("lab", FQANS)


def test_the_vo_is_the_first_group_when_the_issuer_names_none() -> None:
    assert attributes(certificate((VOMS, extension("/other/x", authority="")))) == Attributes("other", ("/other/x",))


def test_a_certificate_without_voms_has_none() -> None:
    assert attributes(certificate(("1.2.42.42", b"\x0c\x03abc"))) is None


@pytest.mark.parametrize("content", [b"", b"\x30\x00", b"\x30\x7f", der(0x30, der(0x06, b"\x2a"))])
def test_a_damaged_extension_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no FQAN attribute|longer than|cut short"):
        attributes(certificate((VOMS, content)))
