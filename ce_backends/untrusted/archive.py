"""Reading tar archives that strangers made: forward only, and nothing is read before its size has been judged.

Python's tarfile reads long names of any length into memory, follows headers by recursion, and goes backwards at
negative sizes (CVE-2025-8194). Here it sees nothing but single blocks.
"""

import lzma
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ce_backends.errors import CEError
from ce_backends.untrusted.compression import BadStream, unpacked_stream

_BLOCK_BYTES = 512
_CHUNK_BYTES = 1 << 16
_BYTES_PER_MB = 1_000_000
_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_BEFORE_MEMBERS = (*_NAMES, *_PAX, tarfile.XGLTYPE)
_MOST_DIGITS = 18


class BadArchive(CEError):
    """An archive that is not taken, with the reason: its maker has to mend it."""


class TooSlow(BadArchive):
    """An archive that is not read in its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What an archive may be.

    Attributes:
        unpacked_bytes: all of it, with headers and padding.
        members: how many.
        header_bytes: one long name, or one header of pax.
        headers_bytes: all of these together.
        seconds: for reading it once, whatever its reader does meanwhile.
    """

    unpacked_bytes: int
    members: int = 10_000
    header_bytes: int = 65_536
    headers_bytes: int = 16 << 20
    seconds: float = 600.0


class ForeignArchive:
    """The members of a tar archive, plain or packed by gzip, bzip2, xz or zstd, in order, once.

    Args:
        packed: the archive, at its beginning.
        limits: what it may be.
        clock: monotonic, in seconds.

    Attributes:
        read_bytes: how much was read so far, as it is unpacked, headers included.
        members: how many came so far.
    """

    def __init__(self, packed: BinaryIO, limits: ArchiveLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._packed = packed
        self._limits = limits
        self._check_time = _watch(clock, limits.seconds)
        self.read_bytes = 0
        self.members = 0
        self._headers_bytes = 0
        self._left_bytes = 0  # of the present member's content

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield its members; the name, the target of a link and the size are final.

        Raises:
            BadArchive: it cannot be read, or is more than its limits allow.
            UnreadableFormat: it is packed in a way for which there is no reader here.
        """
        with _readable():
            self._stream = unpacked_stream(self._packed, self._check_time)
            while member := self._next():
                self.members += 1
                if self.members > self._limits.members:
                    raise BadArchive(f"it has more than {self._limits.members} members")
                self._left_bytes = member.size if _has_content(member) else 0
                padding = -self._left_bytes % _BLOCK_BYTES
                self._expect(self._left_bytes + padding)
                yield member
                for _ in self.content():
                    pass
                self._take(padding)
            self._read_on()

    def content(self) -> Iterator[bytes]:
        """Yield the content of the member that came last, once, in pieces.

        Raises:
            BadArchive: it cannot be read.
        """
        with _readable():
            while self._left_bytes:
                piece = self._take(min(self._left_bytes, _CHUNK_BYTES))
                self._left_bytes -= len(piece)
                yield piece

    def _next(self) -> tarfile.TarInfo | None:
        """Return the next member, None at the end."""
        said: dict[str, str] = {}
        while block := self._block():
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            if header.type in _BEFORE_MEMBERS:
                said |= self._said(header)
                continue
            if header.type == tarfile.GNUTYPE_SPARSE or any(name.startswith("GNU.sparse.") for name in said):
                raise BadArchive("it has a sparse member, which is not unpacked")
            header.name, header.linkname = said.get("path", header.name), said.get("linkpath", header.linkname)
            header.size = _number(said["size"]) if "size" in said else header.size
            if header.size < 0:
                raise BadArchive("it has a member of negative size")
            return header
        return None

    def _said(self, header: tarfile.TarInfo) -> dict[str, str]:
        """Return what a header before a member says about it."""
        self._headers_bytes += _BLOCK_BYTES + max(0, header.size)
        if not 0 <= header.size <= self._limits.header_bytes:
            raise BadArchive(f"it has a header of {header.size} bytes, more than {self._limits.header_bytes}")
        if self._headers_bytes > self._limits.headers_bytes:
            raise BadArchive(f"its headers have more than {self._limits.headers_bytes} bytes")
        content = self._take(header.size)
        self._take(-header.size % _BLOCK_BYTES)
        if header.type == tarfile.XGLTYPE:  # git's commit: nothing about members
            return {}
        if header.type in _PAX:
            return dict(_pax_records(content))
        return {_NAMES[header.type]: content.partition(b"\0")[0].decode("utf-8", "surrogateescape")}

    def _block(self) -> bytes:
        """Return a header's block, empty at the end."""
        begins = self.read_bytes == 0
        block = self._read(_BLOCK_BYTES)
        if begins and not block:
            raise BadArchive("the archive cannot be read: it is empty")
        if 0 < len(block) < _BLOCK_BYTES:
            raise BadArchive("the archive cannot be read: it ends within a header")
        return block if any(block) else b""

    def _take(self, count: int) -> bytes:
        content = self._read(count)
        if len(content) < count:
            raise BadArchive("the archive cannot be read: it ends within a member")
        return content

    def _read(self, count: int) -> bytes:
        """Return so many bytes, fewer only at the end."""
        pieces, missing = [], count
        while missing:
            self._check_time()
            piece = self._stream.read(min(missing, _CHUNK_BYTES))
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self._expect(count - missing)
        self.read_bytes += count - missing
        return b"".join(pieces)

    def _expect(self, count: int) -> None:
        if self.read_bytes + count > self._limits.unpacked_bytes:
            raise BadArchive(f"it unpacks to more than {self._limits.unpacked_bytes // _BYTES_PER_MB} MB")

    def _read_on(self) -> None:
        """Read to where the compression's check sum stands, which is behind the end of the archive in it."""
        while self._read(_CHUNK_BYTES):
            pass


def _watch(clock: Callable[[], float], seconds: float) -> Callable[[], None]:
    """Return what raises after so long.

    It knows nothing of the archive: were it a method, archive and decompressor would hold each other, and the up to
    64 MB of each xz stream would stay until the garbage collector comes by.
    """
    ends_s = clock() + seconds

    def check() -> None:
        if clock() > ends_s:
            raise TooSlow(f"it is not read within {seconds:.0f} s")

    return check


def _has_content(member: tarfile.TarInfo) -> bool:
    return member.isreg() or member.type not in tarfile.SUPPORTED_TYPES


@contextmanager
def _readable() -> Iterator[None]:
    """Say in one way what cannot be read."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, BadStream, ValueError) as error:
        raise BadArchive(f"the archive cannot be read: {error}") from error
    except OSError as error:
        if error.errno is None:  # bz2's and gzip's word for damaged data
            raise BadArchive(f"the archive cannot be read: {error}") from error
        raise


def _pax_records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield what a header of pax says: `LENGTH KEY=VALUE` lines, LENGTH being that of the line."""
    begin = 0
    while begin < len(content):
        blank = content.find(b" ", begin, begin + _MOST_DIGITS)
        end = begin + (_number(content[begin:blank].decode("ascii", "replace")) if blank > 0 else 0)
        key, equals, value = content[blank + 1 : max(0, end - 1)].partition(b"=")
        if not equals or not blank < end <= len(content) or content[end - 1] != ord("\n"):
            raise BadArchive("the archive cannot be read: it has a damaged pax header")
        yield key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        begin = end


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise BadArchive("the archive cannot be read: a number in a pax header is none")
    return int(text)
