"""Removing a directory that a payload has filled: any depth, any number of files, any permission bits."""

import array
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# linux/fs.h, the same on x86-64 and aarch64
GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it; nothing happens if it is not there. Links are removed, never followed.

    The tree is taken apart from the top: each directory found is moved up beside the first one and emptied there, so
    neither the length of a path nor the depth of a recursion matters.

    Raises:
        OSError: something could not be removed (a mount).
    """
    try:
        _remove(path)
    except PermissionError:
        _make_mutable(path)
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    try:
        path.chmod(stat.S_IRWXU)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        empty(top)
    finally:
        os.close(top)
    path.rmdir()


def _make_mutable(path: Path) -> None:
    """Take off the flags that chattr(1) sets, which only root can; what refuses is met again when it is removed."""
    for directory, _, names in os.walk(path):
        for name in (".", *names):
            with suppress(OSError):
                _clear_flags(os.open(Path(directory, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC))


def _clear_flags(fd: int) -> None:
    """Close the file after it is neither immutable nor append-only."""
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(fd, GET_FLAGS, flags)
        if flags[0] & (_IMMUTABLE | _APPEND_ONLY):
            flags[0] &= ~(_IMMUTABLE | _APPEND_ONLY)
            fcntl.ioctl(fd, _SET_FLAGS, flags)
    finally:
        os.close(fd)


def empty(top: int) -> None:
    """Remove all that is in an open directory."""
    moved = _fresh_names(top)
    waiting = _unlink_files(top, top, moved, is_top=True)
    while waiting:
        name = waiting.pop()
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
        try:
            waiting += _unlink_files(fd, top, moved, is_top=False)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=top)


def _unlink_files(fd: int, top: int, moved: Iterator[str], *, is_top: bool) -> list[str]:
    """Unlink the files of a directory, move its directories up to the top; return their names there."""
    directories = []
    with os.scandir(fd) as entries:
        for entry in list(entries):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=fd)
                continue
            os.chmod(entry.name, stat.S_IRWXU, dir_fd=fd)
            if is_top:
                directories.append(entry.name)
                continue
            name = next(moved)
            os.rename(entry.name, name, src_dir_fd=fd, dst_dir_fd=top)
            directories.append(name)
    return directories


def _fresh_names(top: int) -> Iterator[str]:
    taken = set(os.listdir(top))
    number = 0
    while True:
        number += 1
        if (name := f".removing-{number}") not in taken:
            yield name
