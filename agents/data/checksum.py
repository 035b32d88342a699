"""Adler32, the checksum of catalogues and storage elements: as a number, for some servers lose its leading zeros."""

import zlib
from pathlib import Path

EMPTY = 1  # Adler32 of no bytes
_PIECE_BYTES = 1 << 20
_DIGITS = 8


def adler32_of(path: Path, most_bytes: int | None = None) -> int:
    """Return the Adler32 of a file, or of so many bytes of its beginning, read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    checksum, buffer, left = EMPTY, memoryview(bytearray(_PIECE_BYTES)), most_bytes
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer if left is None else buffer[: min(left, _PIECE_BYTES)]):
            checksum = zlib.adler32(buffer[:size], checksum)
            left = None if left is None else left - size
    return checksum


def text_of(checksum: int) -> str:
    """Return an Adler32 as DIRAC and Rucio write it: eight hex digits, in small letters."""
    return f"{checksum:0{_DIGITS}x}"


def number_of(text: object) -> int | None:
    """Return the Adler32 that somebody wrote in hex, with or without its leading zeros; None when it is none."""
    if not isinstance(text, str):
        return None
    digits = text.strip().lower().removeprefix("0x")
    if not 0 < len(digits) <= _DIGITS or not set(digits) <= set("0123456789abcdef"):
        return None
    return int(digits, 16)
