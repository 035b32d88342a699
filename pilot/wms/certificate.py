"""The little that a pilot must know of an X.509 certificate: when it is valid, and the VO in a VOMS proxy.

Standard library only, so the DER encoding (ITU-T X.690) is walked by hand.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

SEQUENCE, UTC_TIME, GENERALIZED_TIME, OCTET_STRING = 0x30, 0x17, 0x18, 0x04
DNS_NAME, URI = 0x82, 0x86  # of a GeneralName (RFC 5280)
SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")  # OID 2.5.29.17
PROXY_INFO = bytes.fromhex("06082b0601050507010e")  # OID 1.3.6.1.5.5.7.1.14, RFC 3820
OLD_PROXY_INFO = bytes.fromhex("060a2b060104019b500181")  # OID 1.3.6.1.4.1.3536.1.…, Globus 3
OLD_PROXY_NAMES = (b"\x05proxy", b"\x0dlimited proxy")  # the last part of a subject, Globus 2
DEEPEST = 10  # elements in each other around the names of a VOMS extension: three
VOMS_EXTENSION = bytes.fromhex("060a2b06010401be45646405")  # OID 1.3.6.1.4.1.8005.100.100.5
VOMS_FQANS = bytes.fromhex("060a2b06010401be45646404")  # OID 1.3.6.1.4.1.8005.100.100.4


@dataclass(frozen=True)
class Certificate:
    """One certificate of a chain."""

    not_before: datetime
    not_after: datetime
    der: bytes


def read_chain(pem: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM text, in its order.

    Raises:
        ValueError: one of them is not a certificate.
    """
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        # a list: in a generator StopIteration would become RuntimeError
        return tuple([_read(base64.b64decode("".join(block.split()), validate=True)) for block in blocks])
    except (binascii.Error, IndexError, StopIteration, UnicodeDecodeError) as error:
        raise ValueError("a certificate in it is damaged") from error


def voms_vo(certificate: Certificate) -> str:
    """Return the VO that the VOMS extension names: whose authority it is, else the first group; "" without one."""
    try:
        extension = _extension(certificate.der, VOMS_EXTENSION)
        list(_leaves(extension, DEEPEST))  # it is whole
        _, values, _ = _element(extension, extension.index(VOMS_FQANS) + len(VOMS_FQANS))
        leaves = list(_leaves(values, DEEPEST))
    except (IndexError, ValueError):
        return ""
    authority = next((content for tag, content in leaves if tag == URI), b"").partition(b"://")[0]
    fqans = re.search(rb"/([\w.-]+)", b"\n".join(content for tag, content in leaves if tag == OCTET_STRING))
    return (authority or (fqans[1] if fqans else b"")).decode("ascii", "replace")


def is_proxy(certificate: Certificate) -> bool:
    """Return whether it is a proxy as RFC 3820 has them."""
    return PROXY_INFO in certificate.der


def is_old_proxy(certificate: Certificate) -> bool:
    """Return whether it is a proxy of Globus 2 or 3, which OpenSSL and so no DIRAC server accepts."""
    if is_proxy(certificate):
        return False
    return OLD_PROXY_INFO in certificate.der or any(name in certificate.der for name in OLD_PROXY_NAMES)


def host_names(der: bytes) -> tuple[str, ...]:
    """Return the DNS names in a certificate's subjectAltName; none if it has none, or is damaged."""
    try:
        _, names, _ = _element(_extension(der, SUBJECT_ALT_NAME), 0)
        return tuple(name.decode("ascii", "replace") for tag, name in _elements(names) if tag == DNS_NAME)
    except (IndexError, ValueError):
        return ()


def _extension(der: bytes, oid: bytes) -> bytes:
    """Return what a certificate's extension holds.

    Raises:
        ValueError: it has none.
        IndexError: it is damaged.
    """
    after = der[der.index(oid) + len(oid) :]
    for tag, content in _elements(after):
        if tag == OCTET_STRING:
            return content
    raise IndexError(len(after))


def _read(der: bytes) -> Certificate:
    _, certificate, _ = _element(der, 0)
    _, to_be_signed, _ = _element(certificate, 0)
    validity = next(content for tag, content in _elements(to_be_signed) if tag == SEQUENCE and _is_validity(content))
    not_before, not_after = (_time(tag, content) for tag, content in _elements(validity))
    return Certificate(not_before, not_after, der)


def _is_validity(content: bytes) -> bool:
    return content[:1] in (bytes([UTC_TIME]), bytes([GENERALIZED_TIME]))


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii").rstrip("Z")
    if tag == UTC_TIME:  # RFC 5280: years below 50 are of this century
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)


def _leaves(content: bytes, levels: int) -> Iterator[tuple[int, bytes]]:
    for tag, inner in _elements(content):
        if not tag & 0x20:
            yield tag, inner
        elif levels:  # constructed: it holds elements
            yield from _leaves(inner, levels - 1)


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        tag, inner, at = _element(content, at)
        yield tag, inner


def _element(content: bytes, at: int) -> tuple[int, bytes, int]:
    """Return tag, content and the place after the element at this place."""
    tag, length, at = content[at], content[at + 1], at + 2
    if length & 0x80:  # the long form: so many bytes hold the length
        size = length & 0x7F
        length, at = int.from_bytes(content[at : at + size], "big"), at + size
    if at + length > len(content):
        raise IndexError(at)
    return tag, content[at : at + length], at + length
