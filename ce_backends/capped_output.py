"""Keeping log output small: of what is too much, head and tail stay.

While the payload writes, the middle of its file is given back to the file system (fallocate(2), a hole): the file
keeps its length, the payload its place in it, and nobody has to read along.
"""

import ctypes
import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h
_BLOCK_BYTES = 4096  # holes begin and end at whole blocks
_STAT_BLOCK_BYTES = 512  # stat(2): the unit of st_blocks, whatever the file system's is
_CHUNK_BYTES = 1 << 20


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
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"it cannot be opened: {error.strerror}"
        try:
            return self._trim_open(fd, root)
        finally:
            os.close(fd)

    def _is_large(self, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and status.st_blocks * _STAT_BLOCK_BYTES > self.limit_bytes + _BLOCK_BYTES

    def _trim_open(self, fd: int, root: Path) -> str:
        status = os.fstat(fd)
        inside = Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(os.path.realpath(root))
        if not inside or status.st_nlink != 1:  # by another of its names it may belong to somebody else
            return "it leads outside the work directory" if not inside else "it has several names"
        begin = _up(self.half_bytes)
        length = (status.st_size - self.half_bytes - begin) // _BLOCK_BYTES * _BLOCK_BYTES
        problem = _punch(fd, begin, length) if length > 0 else 0
        return f"no hole can be made in it: {os.strerror(problem)}" if problem else ""

    def copy(self, source: BinaryIO, target: BinaryIO) -> None:
        """Copy a file: all of it, or head, a line that tells how much is missing, and tail."""
        size = os.fstat(source.fileno()).st_size
        left_out = size - 2 * self.half_bytes
        if size <= self.limit_bytes:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
            return
        _copy_bytes(source, target, self.half_bytes)
        target.write(f"\n[{self.mark.format(left_out)}]\n".encode("ascii"))
        source.seek(size - self.half_bytes)
        _copy_bytes(source, target, self.half_bytes)


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


def _copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count > 0 and (chunk := source.read(min(count, _CHUNK_BYTES))):
        target.write(chunk)
        count -= len(chunk)
