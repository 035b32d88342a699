"""Directories that strangers fill, payloads first of all: nothing in them leads out, blocks, or is what it was.

Everything is reached from one open directory, a part of a name at a time, by directory descriptors and never through a
link (openat(2), O_NOFOLLOW). Where links are wanted they are read, and their text is walked in the same way.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ce_backends.errors import CEError
from ce_backends.linux.mounts import mount_of
from ce_backends.untrusted.names import MOST_LEVELS, shown

_MOST_LINKS = 40  # on one way, as the kernel has it
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Outside(CEError):
    """A name that cannot be reached inside, with the reason."""


class NotThere(Outside):
    """There is nothing of this name."""


class ForeignTree:
    """A directory that others write in, and all below it; to be closed.

    Args:
        root: must be a directory itself, not a link to one; what leads to it is trusted.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.fd = os.open(root, _DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)

    @contextmanager
    def file(self, name: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Open a regular file that is there; links are followed as long as they stay inside.

        Raises:
            Outside: it is not there, no regular file, not inside, or may not be opened.
            BadName: it is no name of a file.
        """
        with self._walked(name) as (parent, last):
            try:
                if not stat.S_ISREG(os.lstat(last, dir_fd=parent).st_mode):  # a device may do something when opened
                    raise Outside(f"{_last(name)} is not a regular file")
                fd = os.open(last, flags | _FILE, dir_fd=parent)
            except OSError as error:
                raise Outside(f"{_last(name)} cannot be read: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Outside(f"{_last(name)} is not a regular file")
            yield fd
        finally:
            os.close(fd)

    def has(self, name: str) -> bool:
        """Tell whether there is something of this name inside."""
        try:
            with self._walked(name, is_directory=True):
                return True
        except Outside:
            return False

    @contextmanager
    def directory(self, name: str) -> Iterator[int]:
        """Open a directory; links are followed as long as they stay inside. The empty name is the tree's own.

        Raises:
            Outside: it is not there, no directory, not inside, or may not be read.
        """
        with self._walked(name, is_directory=True) as (parent, last):
            try:
                fd = os.open(last, _DIRECTORY, dir_fd=parent)
            except OSError as error:
                raise Outside(f"{_last(name)} cannot be read: {error.strerror}") from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _walked(self, name: str, *, is_directory: bool = False) -> Iterator[tuple[int, str]]:
        """Go to where a name leads: the directory, and the name in it of what is no link, or `.` for itself."""
        way = _Way(self.fd, self._root, name)
        try:
            yield way.go(is_directory=is_directory)
        finally:
            way.close()

    @contextmanager
    def parent(self, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """Open the directory that holds the last of these parts, through no link at all; make what is missing.

        Raises:
            OSError: it cannot be opened or made; ENOTDIR or ELOOP where a part is something else, such as a link.
        """
        fd = os.dup(self.fd)
        try:
            for part in parts[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=fd)
                below = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def new_file(self, parts: Sequence[str], mode: int) -> Iterator[BinaryIO]:
        """Make a file, in the place of a file or link that is there, and its directories.

        Raises:
            OSError: it cannot be made.
        """
        with self.parent(parts, make=True) as parent:
            with suppress(FileNotFoundError):
                os.unlink(parts[-1], dir_fd=parent)
            fd = os.open(parts[-1], os.O_WRONLY | _NEW, mode, dir_fd=parent)
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            yield file

    def replace(self, name: str, content: bytes, *, mode: int | None = None) -> None:
        """Put a file in the place of whatever has this name, in one step, through no link.

        Args:
            name: without a slash.
            content: all of it.
            mode: of the file, which stays ours; without it it is the tree's owner's alone.

        Raises:
            OSError: it cannot be written, or a directory has the name.
        """
        aside = f".{name}.{secrets.token_hex(8)}"  # nobody can have put something there
        fd = os.open(aside, os.O_WRONLY | _NEW, 0o600, dir_fd=self.fd)
        try:
            with open(fd, "wb") as file:  # noqa: PTH123
                file.write(content)
                owner = os.fstat(self.fd)
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                elif owner.st_uid != os.geteuid():  # in a container of root's the payload is another user
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.replace(aside, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError:
            with suppress(OSError):
                os.unlink(aside, dir_fd=self.fd)
            raise


class _Way:
    """A walk through a tree, link by link."""

    def __init__(self, top: int, root: Path, name: str) -> None:
        self._name = name
        self._root = root
        self._mount = mount_of(top)
        self._opened = [os.dup(top)]
        self._ahead = name.split("/")[::-1]
        self._links = 0

    def close(self) -> None:
        for fd in self._opened:
            os.close(fd)

    def go(self, *, is_directory: bool) -> tuple[int, str]:
        while self._ahead:
            part = self._ahead.pop()
            if part == "..":
                self._up()
            elif part not in ("", ".") and self._enter(part):
                return self._opened[-1], part
        if is_directory:
            return self._opened[-1], "."
        raise Outside(f"{_last(self._name)} is not a regular file")

    def _enter(self, part: str) -> bool:
        """Go on by one part; tell whether it is the last, and no directory."""
        try:
            fd = os.open(part, _PATH, dir_fd=self._opened[-1])
        except FileNotFoundError as error:
            raise NotThere(f"{_last(self._name)} is not there") from error
        except (OSError, ValueError) as error:
            raise Outside(f"{_last(self._name)} cannot be read: {getattr(error, 'strerror', error)}") from error
        if mount_of(fd) != self._mount:  # whoever serves that need never answer: it is not even asked what it is
            os.close(fd)
            raise Outside(f"{_last(self._name)} lies on another file system")
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            self._opened.append(fd)
            if len(self._opened) > MOST_LEVELS:
                raise Outside(f"{_last(self._name)} lies deeper than {MOST_LEVELS} levels")
            return False
        try:
            if stat.S_ISLNK(kind):
                self._follow(os.readlink("", dir_fd=fd))
                return False
        finally:
            os.close(fd)
        if any(self._ahead):
            raise Outside(f"{_last(self._name)} cannot be read: {part} is no directory")
        return True

    def _follow(self, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise Outside(f"{_last(self._name)} cannot be read: too many links")
        if target.startswith("/"):
            target = self._below_root(target)
            while len(self._opened) > 1:
                os.close(self._opened.pop())
        self._ahead += target.split("/")[::-1]

    def _below_root(self, target: str) -> str:
        """Return the rest of an absolute target that begins as the tree's own path does."""
        root = os.path.realpath(self._root)
        if not f"{target}/".startswith(f"{root}/"):
            raise self._outside()
        return target[len(root) :]

    def _up(self) -> None:
        if len(self._opened) == 1:
            raise self._outside()
        os.close(self._opened.pop())

    def _outside(self) -> Outside:
        return Outside(f"{_last(self._name)} leads outside the work directory")


def _last(name: str) -> str:
    return shown(name.rpartition("/")[2] or name)
