"""The VOMS attributes in a proxy: who issued them and the FQANs, read from DER without any VOMS library.

The attribute certificate (RFC 5755) stands in an extension of one of the chain's proxies; its signature is the
servers' business, ours is only to know the VO.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from agents.credentials import der

_VOMS_OID = bytes.fromhex("2b06010401be45646405")  # 1.3.6.1.4.1.8005.100.100.5, the sequence of attribute certificates
_FQANS_OID = bytes.fromhex("2b06010401be45646404")  # 1.3.6.1.4.1.8005.100.100.4
_OID, _OCTET_STRING, _CONSTRUCTED, _URI = 0x06, 0x04, 0x20, 0x86
_MOST_DEPTH = 50  # real ones have a dozen


@dataclass(frozen=True, slots=True)
class Attributes:
    """What VOMS says of a user.

    Attributes:
        vo: name of the virtual organisation.
        fqans: groups and roles, `/vo/Role=pilot/Capability=NULL`, the first is the primary one.
    """

    vo: str
    fqans: tuple[str, ...]


def attributes(certificate: bytes) -> Attributes | None:
    """Return the attributes in a certificate (DER), None when it has none.

    Raises:
        ValueError: they are there and damaged.
    """
    extension = der.extension(certificate, _VOMS_OID)
    if extension is None:
        return None
    values = next(_values(extension), None)
    if values is None:
        raise ValueError("the VOMS extension holds no FQAN attribute")
    fqans = tuple(text.decode("ascii") for tag, text in _walk(values) if tag == _OCTET_STRING)
    authority = next((text.decode("ascii") for tag, text in _walk(values) if tag == _URI), "")
    vo = authority.partition("://")[0] or (f"{fqans[0]}/".split("/")[1] if fqans else "")
    return Attributes(vo, fqans)


def _values(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield what follows the identifier of the FQAN attribute, at any depth."""
    _check(depth)
    siblings = list(der.elements(content))
    for (tag, inner), (_, following) in itertools.pairwise(siblings):
        if (tag, inner) == (_OID, _FQANS_OID):
            yield following
    for tag, inner in siblings:
        if tag & _CONSTRUCTED:
            yield from _values(inner, depth + 1)


def _walk(content: bytes, depth: int = 0) -> Iterator[tuple[int, bytes]]:
    _check(depth)
    for tag, inner in der.elements(content):
        yield tag, inner
        if tag & _CONSTRUCTED:
            yield from _walk(inner, depth + 1)


def _check(depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise ValueError(f"the VOMS extension has elements more than {_MOST_DEPTH} deep")
