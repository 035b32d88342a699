"""Copying files with their holes: a file may be said to have terabytes and take nothing (lseek(2), SEEK_DATA)."""

import errno
import os
from collections.abc import Iterator

_CHUNK_BYTES = 1 << 20


def data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where data lies in a file's first bytes: begin and end, in order. All of it where nobody knows of holes."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
            end = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that is: nothing but a hole from here on
                yield end, size
            return
        if begin < end:
            yield begin, end


def pieces(fd: int, begin: int, end: int) -> Iterator[bytes]:
    """Yield what lies between two places of a file, less where it ends before."""
    while begin < end and (piece := os.pread(fd, min(end - begin, _CHUNK_BYTES), begin)):
        yield piece
        begin += len(piece)
