"""Just enough DER (ITU-T X.690) to find an extension in a certificate."""

from collections.abc import Iterator

_SEQUENCE, _OID, _OCTET_STRING, _EXTENSIONS = 0x30, 0x06, 0x04, 0xA3
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii"}  # UTF8String, PrintableString, IA5String


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, content) of each element in a constructed one.

    Raises:
        ValueError: the bytes are not DER.
    """
    position = 0
    while position < len(content):
        if position + 2 > len(content):
            raise ValueError("an element is cut short")
        tag, length = content[position], content[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(content[position : position + size], "big")
            position += size
        if position + length > len(content):
            raise ValueError("an element is longer than what holds it")
        yield tag, content[position : position + length]
        position += length


def first(content: bytes) -> tuple[int, bytes]:
    """Return the first element (tag, content).

    Raises:
        ValueError: there is none.
    """
    for element in elements(content):
        return element
    raise ValueError("there is no element")


def extension(certificate: bytes, oid: bytes) -> bytes | None:
    """Return the content of a certificate's extension (RFC 5280 §4.1), None when it has none.

    Args:
        certificate: in DER.
        oid: the object identifier's content bytes.
    """
    _, outer = first(certificate)
    _, to_be_signed = first(outer)
    for tag, content in elements(to_be_signed):
        if tag == _EXTENSIONS:
            _, listed = first(content)
            return _value_of(listed, oid)
    return None


def _value_of(listed: bytes, oid: bytes) -> bytes | None:
    for _, one in elements(listed):
        parts = list(elements(one))  # identifier, [critical], value
        if parts[:1] == [(_OID, oid)]:
            return parts[-1][1]
    return None


def text(content: bytes) -> str:
    """Return the text of a string element.

    Raises:
        ValueError: it is no string.
    """
    tag, characters = first(content)
    if tag not in _TEXTS:
        raise ValueError(f"tag {tag:#x} is no string")
    return characters.decode(_TEXTS[tag])
