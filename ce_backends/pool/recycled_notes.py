"""The notes of tasks that are over, used again: file systems are slow at making files where many were removed.

ext4 without a journal looks at each inode that was removed in the last minutes before it takes one. A file
gets the name of its task when its content is in it. After a power failure it may have the name and the content of the
task before, so the record itself says whose it is (`task/directory.py`).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ce_backends.linux.small_files import write_small

_PREFIX = ".spare-"


class RecycledNotes:
    """Files in the place of a pool's notes. For one thread.

    Args:
        place: where the notes are.
        most: how many files to keep.
    """

    def __init__(self, place: Path, most: int) -> None:
        self._place = place
        self._most = most
        self._recycled: list[str] = []
        self._numbers = count()

    def open(self) -> None:
        """Remove what an earlier object kept."""
        self._recycled = [str(path) for path in self._place.glob(f"{_PREFIX}*")]
        self.close()

    def close(self) -> None:
        """Remove all of them."""
        while self._recycled:
            _remove(self._recycled.pop())

    def write(self, path: str, content: bytes) -> None:
        """Make a file with this content, or take one that is there.

        Raises:
            OSError: it cannot be made.
        """
        if self._recycled:
            recycled = self._recycled.pop()
            try:
                with _opened(recycled) as fd:
                    is_whole = os.write(fd, content) == len(content)
                if is_whole:
                    os.rename(recycled, path)  # noqa: PTH104 - for every task: see `small_files`
                    return
            except OSError:  # it is not what it was, or the disk is full
                pass
            _remove(recycled)
        write_small(path, content)

    def keep(self, path: str) -> None:
        """Keep the file of a task that is over for another one, without its content, or remove it.

        Raises:
            OSError: it can be neither kept nor removed.
        """
        if len(self._recycled) < self._most:
            recycled = f"{self._place}/{_PREFIX}{next(self._numbers)}"
            with suppress(OSError):
                with _opened(path) as fd:
                    os.ftruncate(fd, 0)
                os.rename(path, recycled)  # noqa: PTH104 - as above
                self._recycled.append(recycled)
                return
        os.unlink(path)  # noqa: PTH108 - as above


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """Open a file of ours that has no other name.

    Raises:
        OSError: it is none, or cannot be opened.
    """
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1 or seen.st_uid != os.geteuid():
            raise FileExistsError(errno.EEXIST, "it is somebody else's", path)
        yield fd
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    with suppress(OSError):  # a payload has made a directory of it: it goes with the place
        os.unlink(path)  # noqa: PTH108 - as above
