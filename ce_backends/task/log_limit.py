"""Keeping log output small: of what is too much, head and tail stay.

While the payload writes, the middle of its file is given back to the file system (fallocate(2), a hole): the file
keeps its length, the payload its place in it, and nobody has to read along.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.foreign_tree import ForeignTree, NotThere, Outside
from ce_backends.linux.sparse_files import pieces

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h
_BLOCK_BYTES = 4096  # holes begin and end at whole blocks
_STAT_BLOCK_BYTES = 512  # stat(2): the unit of st_blocks, whatever the file system's is


@dataclass(frozen=True, slots=True)
class Cap:
    """How much of a log file is kept, half of it at the beginning, half at the end.

    Attributes:
        limit_bytes: all of what is kept.
        mark: the line that stands for the rest, with a place for its size.
    """

    limit_bytes: int
    mark: str = "{} bytes left out"

    @property
    def half_bytes(self) -> int:
        """What is kept at either end."""
        return self.limit_bytes // 2

    def trim(self, path: Path, root: Path) -> str:
        """Give back the middle of a file below `root`, if it takes more than the cap.

        Returns:
            Why the file cannot be kept small, empty when all is well. What is not there, or no regular file, takes
            nothing.
        """
        try:
            if not self._is_large(path.lstat()):
                return ""
            with ForeignTree(root) as tree, tree.file(str(path.relative_to(root)), os.O_RDWR) as fd:
                return self._trim_open(fd)
        except (FileNotFoundError, NotThere):
            return ""
        except OSError as error:
            return f"it cannot be opened: {error.strerror}"
        except Outside as problem:
            return f"it cannot be opened: {problem}"

    def _is_large(self, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and status.st_blocks * _STAT_BLOCK_BYTES > self.limit_bytes + _BLOCK_BYTES

    def _trim_open(self, fd: int) -> str:
        status = os.fstat(fd)
        if status.st_nlink != 1:  # by another of its names it may belong to somebody else
            return "it has several names"
        begin = _up(self.half_bytes)
        length = (status.st_size - self.half_bytes - begin) // _BLOCK_BYTES * _BLOCK_BYTES
        problem = _punch(fd, begin, length) if length > 0 else 0
        return f"no hole can be made in it: {os.strerror(problem)}" if problem else ""

    def pieces(self, fd: int, size: int) -> Iterator[bytes]:
        """Yield a file's first bytes: all, or head, a line that tells how much is missing, and tail."""
        if size <= self.limit_bytes:
            yield from pieces(fd, 0, size)
            return
        yield from pieces(fd, 0, self.half_bytes)
        yield f"\n[{self.mark.format(size - 2 * self.half_bytes)}]\n".encode("ascii")
        yield from pieces(fd, size - self.half_bytes, size)


def _up(count: int) -> int:
    return -(-count // _BLOCK_BYTES) * _BLOCK_BYTES


def _punch(fd: int, begin: int, length: int) -> int:
    """Make the hole; return the error's number, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    offsets = ctypes.c_longlong(begin), ctypes.c_longlong(length)
    while libc.fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, *offsets) != 0:
        if (number := ctypes.get_errno()) != errno.EINTR:
            return number
    return 0
