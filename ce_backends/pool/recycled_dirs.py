"""Directories of tasks that are over, emptied and used again: to make and remove them is what file systems are slow at.

What a payload can do to a directory, besides filling it, must not reach the next task: one that does not look in every
way as when it was made is not used again. Nothing of the task runs any more by then.
"""

import array
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ce_backends.linux.removal import GET_FLAGS, empty, remove_tree
from ce_backends.pool.layout import make_directories

_PREFIX = ".spare-"
_INSIDE = ("work", "tmp")
_KEPT = ("stdout", "stderr")  # where nothing was written; to cut a file to nothing costs more than to make one
_MAX_SIZE_BYTES = 4096  # a directory that was full of files may stay large, and slow


class RecycledDirs:
    """Empty task directories below a place. For one thread.

    Args:
        place: where the tasks' directories are too.
        most: how many to keep.
    """

    def __init__(self, place: Path, most: int) -> None:
        self._place = place
        self._most = most
        self._recycled: list[Path] = []
        self._numbers = count()
        self._new: tuple[object, ...] = ()  # as one looks that has just been made

    def open(self) -> None:
        """Remove what an earlier object kept."""
        for path in self._place.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                remove_tree(path)

    def close(self) -> None:
        """Remove all of them."""
        while self._recycled:
            with suppress(OSError):
                remove_tree(self._recycled.pop())

    def make(self, path: Path) -> None:
        """Make a task's directory with those inside it, or take one that is there.

        Raises:
            OSError: it cannot be made.
        """
        if self._recycled:
            self._recycled.pop().rename(path)
            return
        make_directories(path)
        if not self._new:
            with _opened(path) as fd:
                self._new = _looks(fd)

    def remove(self, path: Path) -> None:
        """Keep the directory of a task that is over for another one, or remove it.

        Raises:
            OSError: something in it could not be removed.
        """
        if len(self._recycled) < self._most and self._is_as_new(path):
            recycled = self._place / f"{_PREFIX}{next(self._numbers)}"
            path.rename(recycled)
            self._recycled.append(recycled)
        else:
            remove_tree(path)

    def _is_as_new(self, path: Path) -> bool:
        """Empty a task's directory; tell whether it looks like a new one then."""
        try:
            with _opened(path) as top:
                _clear(top)
                return self._has_looks(top) and all(self._is_empty_and_as_new(name, top) for name in _INSIDE)
        except OSError:  # something cannot be removed, or is not what it was
            return False

    def _is_empty_and_as_new(self, name: str, top: int) -> bool:
        with _opened(name, top) as fd:
            empty(fd)
            return self._has_looks(fd)

    def _has_looks(self, fd: int) -> bool:
        return _looks(fd) == self._new


@contextmanager
def _opened(path: Path | str, directory: int | None = None) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


def _clear(top: int) -> None:
    """Remove all files but those that are used again."""
    for name in os.listdir(top):
        if name not in _INSIDE and not (name in _KEPT and _is_as_made(name, top)):
            os.unlink(name, dir_fd=top)


def _is_as_made(name: str, top: int) -> bool:
    """Tell whether it is an empty file that nobody knows by another name."""
    seen = os.stat(name, dir_fd=top, follow_symlinks=False)
    is_own_file = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_uid == os.geteuid()
    return is_own_file and seen.st_size == 0


def _looks(fd: int) -> tuple[object, ...]:
    """Return all that stays with an empty directory: size, permissions, owner, device, chattr(1), setfattr(1)."""
    seen = os.fstat(fd)
    attributes = [(name, os.getxattr(fd, name)) for name in sorted(os.listxattr(fd))]
    is_large = seen.st_size > _MAX_SIZE_BYTES
    return (is_large, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_dev, _flags(fd), *attributes)


def _flags(fd: int) -> int:
    """Return what chattr(1) sets; 0 where the file system knows none."""
    flags = array.array("l", [0])
    with suppress(OSError):
        fcntl.ioctl(fd, GET_FLAGS, flags)
    return flags[0]
