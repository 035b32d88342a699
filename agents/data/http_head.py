"""The head of an HTTP answer as a stranger wrote it: read strictly, within bounds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from agents.data import checksum
from agents.data.errors import ElementDown, Unsupported

MOST_BYTES = 32768
_MOST_LINES = 100
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?")
_HEADER = re.compile(rb"([!#$%&'+*.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)")
_LONGEST_LENGTH = 16  # digits of a Content-Length
_SIGNED = frozenset(
    ("authz", "xrdhttptk", "cap.sym", "dcache-http-uuid", "x-amz-signature", "signature", "sig", "x-goog-signature")
)
"""What a server puts into the query of a URL that needs no other credential."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer.

    Attributes:
        status: of HTTP.
        headers: by name in small letters; several of one name are joined by commas.
        is_kept: the connection may be used again after the body.
    """

    status: int
    headers: Mapping[str, str]
    is_kept: bool

    @property
    def length_bytes(self) -> int | None:
        """Content-Length; None where there is none, or it is no number."""
        digits = self.headers.get("content-length", "")
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_LENGTH
        return int(digits) if is_number else None

    @property
    def is_chunked(self) -> bool:
        """The body comes in chunks."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def adler32(self) -> int | None:
        """What the Digest header says (RFC 3230), None where it says nothing of Adler32."""
        for part in self.headers.get("digest", "").split(","):
            name, _, text = part.strip().partition("=")
            if name.lower() == "adler32":
                return checksum.number_of(text)
        return None


def parse(raw: bytes) -> Head:
    """Return the head of an answer, of which the empty line at the end was taken off.

    Raises:
        ElementDown: it is no head of HTTP/1.0 or 1.1.
    """
    first, *lines = raw.split(b"\r\n") if b"\r\n" in raw else raw.split(b"\n")
    status = _STATUS.fullmatch(first)
    if not status or len(lines) > _MOST_LINES:
        raise ElementDown(f"expected an answer of HTTP/1.1, got {first[:60]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if not header:
            raise ElementDown(f"expected a header, got {line[:60]!r}")
        name, text = header[1].decode("ascii").lower(), header[2].decode("latin-1").strip()
        if name in ("content-length", "transfer-encoding") and headers.get(name, text) != text:
            raise ElementDown(f"{name} twice, and not the same: {headers[name][:20]!r}, {text[:20]!r}")
        headers[name] = text if name not in headers or name == "content-length" else f"{headers[name]}, {text}"
    said = headers.get("connection", "").lower()
    return Head(int(status[2]), headers, is_kept=status[1] == b"1" and "close" not in said)


def redirected(origin: str, url: str, location: str) -> tuple[str, bool]:
    """Return where a redirect leads, and whether the credential may be shown there.

    It may where the host is the one that was asked at first, whatever the port: who holds that host's key is trusted
    already. Another host is gone to without it, and only where the URL is signed, so that it needs none.

    Args:
        origin: the URL that was asked at first.
        url: the one that redirects.
        location: what it says.

    Raises:
        Unsupported: it leads to http, to another host without a signature, or nowhere.
    """
    there = f"https://{urlsplit(url).netloc}{location}" if location.startswith("/") else location
    try:
        place = urlsplit(there)
        host, _ = place.hostname, place.port
    except ValueError as error:
        raise Unsupported(f"{url} redirects to {location[:80]!r}, which is no URL") from error
    if place.scheme not in ("https", "davs") or not host or "@" in place.netloc or not there.isascii():
        raise Unsupported(f"{url} redirects to {place.scheme[:10]}://{(host or '')[:80]}, expected https")
    if any(letter.isspace() or not letter.isprintable() for letter in there):
        raise Unsupported(f"{url} redirects to {location[:80]!r}, which is no URL")
    there = f"https://{there.partition('://')[2]}"
    if host == urlsplit(origin).hostname:
        return there, True
    if not _SIGNED & {name.lower() for name, _ in parse_qsl(place.query, max_num_fields=50)}:
        raise Unsupported(f"{url} redirects to {host[:80]}, and the URL is not signed: no credential is shown there")
    return there, False
