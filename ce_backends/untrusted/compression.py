"""Compressed files of strangers, read a piece at a time: little memory for each, and a look at the clock after it.

A compressed file may be many streams one after the other, most of them empty, or end in padding without end. Python's
readers go through all that in one call, some of it byte by byte.
"""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from ce_backends.errors import CEError

_CHUNK_BYTES = 1 << 16
_XZ_MEMORY_BYTES = 128 << 20  # xz -9 takes 65 MB; a header may ask for 4 GB
_ZSTD_WINDOW_LOG = 27  # 128 MB, which `zstd --ultra -22` and `--long` take; a header may ask for 2 GB
_GZIP = 16 + zlib.MAX_WBITS  # zlib: with the header and check sum of gzip
_MAGIC_BYTES = 10
_SKIPPABLE = tuple(bytes((0x50 + n, 0x2A, 0x4D, 0x18)) for n in range(16))  # may begin a zstd file (RFC 8878)
_UNREADABLE = {
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"LZIP": "lzip",
    b"\x89LZO": "lzop",
    b"\x1f\x9d": "compress (.Z)",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}


class UnreadableFormat(CEError):
    """Something good, as far as one can see, in a format that this installation has no reader for."""


class BadStream(Exception):
    """A compressed stream is damaged, or asks for more memory than it gets."""


class Reads(Protocol):
    """What can be read once."""

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


class _Decompressor(Protocol):
    """One stream, as `bz2` and `lzma` have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unpacked_stream(packed: BinaryIO, check_time: Callable[[], None]) -> Reads:
    """Return what is in a file, packed by gzip, bzip2, xz, zstd or not at all.

    Args:
        packed: the file, at its beginning.
        check_time: raises when it has taken too long.

    Raises:
        UnreadableFormat: it is packed in another way.
    """
    magic = packed.read(_MAGIC_BYTES)
    packed.seek(0)
    for beginning, name in _UNREADABLE.items():
        if magic.startswith(beginning):
            raise UnreadableFormat(
                f"it is packed by {name}, which cannot be read here: expected tar, plain or {_KNOWN}"
            )
    if magic.startswith(b"\x1f\x8b"):
        return _Streams(packed, _Gzip, check_time)
    if magic.startswith(b"BZh"):
        return _Streams(packed, bz2.BZ2Decompressor, check_time)
    if magic.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return _Streams(packed, _xz, check_time)
    if magic.startswith((b"\x28\xb5\x2f\xfd", *_SKIPPABLE)):
        return _Streams(packed, _zstd(), check_time)
    return packed


_KNOWN = "packed by gzip, bzip2, xz or zstd"


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)


def can_read_zstd() -> bool:
    """Tell whether this installation has a reader for zstd."""
    try:
        return bool(_zstd())
    except UnreadableFormat:
        return False


def _zstd() -> Callable[[], _Decompressor]:
    """Return what begins a stream of zstd, by Python's own module (3.14 and later) or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        return lambda: _Zstd(found)
    raise UnreadableFormat("it is packed by zstd: expected Python 3.14, or the package backports.zstd")


class _Zstd:
    """One frame of zstd."""

    def __init__(self, module: Any) -> None:
        self._error: type[Exception] = module.ZstdError
        limit = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._stream = module.ZstdDecompressor(options=limit)

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._stream.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        try:
            return bytes(self._stream.decompress(data, max_length))
        except self._error as error:
            raise BadStream(str(error)) from error


class _Gzip:
    """One stream of gzip."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(piece) < max_length
        return piece


class _Streams:
    """Streams one after the other, and zeros between and after them."""

    def __init__(self, packed: BinaryIO, begin: Callable[[], _Decompressor], check_time: Callable[[], None]) -> None:
        self._packed = packed
        self._begin = begin
        self._check_time = check_time
        self._stream = begin()

    def read(self, count: int, /) -> bytes:
        """Return at most so many bytes, none at the end.

        Raises:
            EOFError: it ends within a stream.
        """
        while True:
            self._check_time()
            content = b""
            if self._stream.eof:
                if not (content := self._next_stream()):
                    return b""
                self._stream = self._begin()
            elif self._stream.needs_input and not (content := self._packed.read(_CHUNK_BYTES)):
                raise EOFError("it ends before its end-of-stream marker")
            if piece := self._stream.decompress(content, count):
                return piece

    def _next_stream(self) -> bytes:
        """Return what begins after the padding behind a stream, empty at the end of the file."""
        content = self._stream.unused_data.lstrip(b"\0")
        while not content and (more := self._packed.read(_CHUNK_BYTES)):
            self._check_time()
            content = more.lstrip(b"\0")
        return content
