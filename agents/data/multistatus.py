"""What a WebDAV server says of a folder (RFC 4918, 207 Multi-Status), read as it comes: strict, and within bounds."""

import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from agents.data.errors import Unsupported
from agents.data.listing import Entry

MOST_BYTES = 4 << 30
MOST_ENTRIES = 5_000_000
_DEEPEST = 16
_LONGEST_TEXT = 8192
_LONGEST_SIZE = 18  # digits
_HREF, _LENGTH, _RESPONSE = "DAV: href", "DAV: getcontentlength", "DAV: response"
_COLLECTION, _IS_COLLECTION = "DAV: collection", "DAV: iscollection"
_HOST = re.compile(r"https?://[^/]*", re.IGNORECASE)
_NO_URL = re.compile(r"""[^!#-;=?-~]|%(?![0-9A-Fa-f]{2})""")  # a space, quotes, <, >, what is not ASCII: all encode it
_READ = (_HREF, _LENGTH, _IS_COLLECTION)


class Multistatus:
    """Feed it an answer's pieces; each thing in the folder is handed over once it is whole. One thread.

    Names come percent-encoded, but XRootD's as they are: a name that is no part of a URL, the folder's own among them,
    gives that away.

    Args:
        url: of the folder; the answer may speak of nothing but this and what lies directly in it.
        take: gets the entries.
        is_plain: names are known to come as they are.
    """

    def __init__(self, url: str, take: Callable[[Entry], object], *, is_plain: bool = False) -> None:
        self._is_plain = is_plain
        self._has_decoded = False
        self._url = url
        self._folder = unquote(urlsplit(url).path).rstrip("/")
        self._take = take
        self._bytes = self._entries = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._text_characters = 0
        self._said: dict[str, str] = {}
        self._is_folder = False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse  # without a DTD there are no entities
        self._parser.StartElementHandler = self._begun
        self._parser.EndElementHandler = self._ended
        self._parser.CharacterDataHandler = self._heard

    def feed(self, piece: memoryview) -> None:
        """Take a piece of the answer.

        Raises:
            Unsupported: it is no such answer, or beyond the bounds.
        """
        self._bytes += len(piece)
        if self._bytes > MOST_BYTES:
            raise self._wrong("it goes on and on")
        self._parsed(bytes(piece), is_last=False)

    def end(self) -> None:
        """Make sure that the answer was whole; errors as of `feed`."""
        self._parsed(b"", is_last=True)

    @property
    def is_misread(self) -> bool:
        """Some names were decoded before one showed that they come as they are: it is to be read once more."""
        return self._is_plain and self._has_decoded

    def _parsed(self, piece: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            raise self._wrong(str(error)) from error

    def _refuse(self, *_: object) -> None:
        raise self._wrong("it has a document type")

    def _begun(self, name: str, _attributes: object) -> None:
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise self._wrong("its elements are nested too deep")
        self._text, self._text_characters = [], 0
        if name == _RESPONSE:
            self._said, self._is_folder = {}, False
        elif name == _COLLECTION:
            self._is_folder = True

    def _heard(self, text: str) -> None:
        if self._path and self._path[-1] in _READ:
            self._text_characters += len(text)
            if self._text_characters > _LONGEST_TEXT:
                raise self._wrong("a text in it is too long")
            self._text.append(text)

    def _ended(self, name: str) -> None:
        self._path.pop()
        if name in _READ and (text := "".join(self._text).strip()):
            self._said.setdefault(name, text)
        elif name == _RESPONSE:
            self._hand_over()

    def _hand_over(self) -> None:
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise self._wrong("it names too many files")
        href, digits = self._said.get(_HREF, ""), self._said.get(_LENGTH, "")
        path = self._decoded("/" + _HOST.sub("", href, count=1).strip("/"))
        if path == self._folder:
            return
        above, _, name = path.rpartition("/")
        if above != self._folder or not name:
            raise self._wrong(f"it names {href[:80]!r}, which does not lie there")
        is_size = digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_SIZE
        is_folder = self._is_folder or self._said.get(_IS_COLLECTION) == "1"
        self._take(Entry(name, is_folder=is_folder, size_bytes=int(digits) if is_size else None))

    def _decoded(self, path: str) -> str:
        decoded = unquote(path)
        if _NO_URL.search(path) or (path == self._folder and path != decoded):
            self._is_plain = True
        if self._is_plain:
            return path
        self._has_decoded = self._has_decoded or path != decoded
        return decoded

    def _wrong(self, why: str) -> Unsupported:
        return Unsupported(f"{self._url}: expected WebDAV's list of a folder: {why}")
