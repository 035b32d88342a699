"""How much disk a directory takes that a payload fills: looked at within bounds, whatever is in there.

Names are not all there is. A file that is unlinked while somebody has it open takes its blocks until it is closed, and
a directory may be locked, deep or not ours: what takes disk is counted, and what cannot be counted is said to be there.
"""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.process_usage import MOST_PROCESSES
from ce_backends.linux.processes import PROC
from ce_backends.linux.small_files import read_first

MOST_FILES = 200_000  # looked at; a directory with more of them is known to be large
LONGEST_S = 2.0
_MOST_LEVELS = 150  # a descriptor is open for each
_STAT_BLOCK_BYTES = 512  # stat(2)
_MAPS_BYTES = 1 << 20  # of what one process has mapped
_DELETED = " (deleted)"  # proc(5): how the kernel shows a file without a name
_NEEDED = stat.S_IRUSR | stat.S_IXUSR
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What was found.

    Attributes:
        size_bytes: on the disk: holes take nothing.
        files: with directories and links; each takes an inode.
        newest_ns: when the youngest of them was last changed.
        unread: directories that could not be looked into: nobody knows how much is in there.
    """

    size_bytes: int = 0
    files: int = 0
    newest_ns: int = 0
    unread: int = 0


def disk_use(
    top: Path,
    pids: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
    *,
    mounts: Collection[str] = (),
) -> DiskUse:
    """Add up what lies below a directory; at most so many files, and for so long: of more, at least this is there.

    Links are counted, not followed; what is on another file system is not counted. A file with several names counts
    by each of them, so nobody gets around a limit by names outside. A directory of ours that is locked against us is
    open to us while it is looked into.

    Args:
        top: the directory.
        pids: processes whose unlinked files on the same file system count too.
        clock: monotonic, in seconds.
        mounts: paths below `top` that are not looked at, since other file systems lie there.
    """
    named = _Look(clock, mounts)
    with suppress(OSError, _Enough):
        named.device = top.lstat().st_dev
        named.at(str(top), str(top))
    if not pids:
        return named.found()
    unnamed = _Look(clock, (), named.device)  # with a time of its own: neither is to hide the other
    with suppress(_Enough):
        unnamed.at_unlinked(pids)
    return named.found(unnamed.size_bytes, unnamed.files)


class _Enough(Exception):
    """More is not looked at."""


class _Look:
    def __init__(self, clock: Callable[[], float], mounts: Collection[str], device: int = 0) -> None:
        self._clock = clock
        self._mounts = mounts
        self._give_up_at = clock() + LONGEST_S
        self.device = device
        self.size_bytes = self.files = self.newest_ns = self.unread = 0

    def at(self, name: str, path: str, parent: int | None = None, level: int = 0) -> None:
        """Count what lies below a directory: its name in its parent, and its path for comparing with mounts."""
        if level > _MOST_LEVELS:
            self.unread += 1
            return
        try:
            with _opened(name, parent) as fd:
                for below in self._entries(fd, path):
                    self.at(below, f"{path}/{below}", fd, level + 1)
        except PermissionError:
            self.unread += 1
        except OSError:  # it is gone, or something else by now
            return

    def found(self, more_bytes: int = 0, more_files: int = 0) -> DiskUse:
        """Return what was found, and so much more."""
        return DiskUse(self.size_bytes + more_bytes, self.files + more_files, self.newest_ns, self.unread)

    def at_unlinked(self, pids: Sequence[int]) -> None:
        """Count the files that processes have open and that have no name any more, each once."""
        counted: set[int] = set()
        for pid in pids[:MOST_PROCESSES]:
            for link in _unlinked(pid, self._check_time):
                with suppress(OSError):
                    status = os.stat(link)  # noqa: PTH116 - the file itself, which no path leads to
                    if self._has_no_name(status) and status.st_ino not in counted:
                        counted.add(status.st_ino)
                        self._count(status)

    def _has_no_name(self, status: os.stat_result) -> bool:
        return status.st_dev == self.device and status.st_nlink == 0 and stat.S_ISREG(status.st_mode)

    def _check_time(self) -> None:
        if self._clock() > self._give_up_at:
            raise _Enough

    def _entries(self, fd: int, path: str) -> list[str]:
        """Count what is in a directory; return the directories among it."""
        directories = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if self._mounts and f"{path}/{entry.name}" in self._mounts:
                    continue
                with suppress(FileNotFoundError):
                    # not entry.stat(), which holds the interpreter's lock: on a disk that hangs it would stop the agent
                    status = os.stat(entry.name, dir_fd=fd, follow_symlinks=False)
                    if status.st_dev != self.device:
                        continue
                    self._count(status)
                    if stat.S_ISDIR(status.st_mode):
                        directories.append(entry.name)
        return directories

    def _count(self, status: os.stat_result) -> None:
        self.files += 1
        self.size_bytes += status.st_blocks * _STAT_BLOCK_BYTES
        self.newest_ns = max(self.newest_ns, status.st_mtime_ns)
        if self.files >= MOST_FILES:
            raise _Enough
        if self.files % 256 == 0:
            self._check_time()


@contextmanager
def _opened(name: str, parent: int | None) -> Iterator[int]:
    """Open a directory; one that its owner, that is we, may not read or search is unlocked for the time being."""
    path = os.open(name, _PATH, dir_fd=parent)
    try:
        status = os.fstat(path)
        is_locked = status.st_uid == os.geteuid() != 0 and status.st_mode & _NEEDED != _NEEDED
        with _unlocked(path, status.st_mode & 0o7777) if is_locked else nullcontext():
            fd = os.open(".", _OPEN, dir_fd=path)
            try:
                yield fd
            finally:
                os.close(fd)
    finally:
        os.close(path)


@contextmanager
def _unlocked(path: int, mode: int) -> Iterator[None]:
    place = f"/proc/self/fd/{path}"  # a descriptor that only stands for a place cannot be changed otherwise
    os.chmod(place, mode | _NEEDED)  # noqa: PTH101
    try:
        yield
    finally:
        if os.fstat(path).st_mode & 0o7777 == mode | _NEEDED:
            os.chmod(place, mode)  # noqa: PTH101


def _unlinked(pid: int, check_time: Callable[[], None]) -> Iterator[str]:
    """Yield where a process holds files that seem to have no name any more: open, or only mapped (as root)."""
    with suppress(OSError), os.scandir(f"{PROC}/{pid}/fd") as entries:
        for number, entry in enumerate(entries):
            if number % 64 == 0:
                check_time()
            with suppress(OSError):
                if os.readlink(entry.path).endswith(_DELETED):  # noqa: PTH115 - asks no file system that may hang
                    yield entry.path
    with suppress(OSError):
        lines = read_first(f"{PROC}/{pid}/maps", _MAPS_BYTES).decode("utf-8", "replace").split("\n")
        yield from (f"{PROC}/{pid}/map_files/{line.split()[0]}" for line in lines if line.endswith(_DELETED))
