"""How much disk a directory takes that a payload fills: looked at within bounds, whatever is in there."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_FILES = 200_000  # looked at; a directory with more of them is known to be large
LONGEST_S = 2.0
_STAT_BLOCK_BYTES = 512  # stat(2)


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What was found.

    Attributes:
        size_bytes: on the disk: holes take nothing.
        files: with directories and links; each takes an inode.
        newest_ns: when the youngest of them was last changed.
    """

    size_bytes: int = 0
    files: int = 0
    newest_ns: int = 0


def disk_use(top: Path, clock: Callable[[], float] = time.monotonic) -> DiskUse:
    """Add up what lies below a directory; at most so many files, and for so long: of more, at least this is there.

    Links are counted, not followed; what is on another file system is not counted. A file with several names counts
    by each of them, so nobody gets around a limit by names outside.
    """
    size_bytes = files = newest_ns = 0
    give_up_at = clock() + LONGEST_S
    for status in _statuses(top):
        files += 1
        size_bytes += status.st_blocks * _STAT_BLOCK_BYTES
        newest_ns = max(newest_ns, status.st_mtime_ns)
        if files >= MOST_FILES or (files % 256 == 0 and clock() > give_up_at):
            break
    return DiskUse(size_bytes, files, newest_ns)


def _statuses(top: Path) -> Iterator[os.stat_result]:
    """Yield the status of everything below; what vanishes or may not be read meanwhile is left out."""
    try:
        device = top.lstat().st_dev
    except OSError:
        return
    waiting = [str(top)]
    while waiting:
        for status, path in _entries(waiting.pop()):
            if status.st_dev == device:
                yield status
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)


def _entries(directory: str) -> Iterator[tuple[os.stat_result, str]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    yield entry.stat(follow_symlinks=False), entry.path
                except OSError:
                    continue
    except OSError:  # gone, or locked, or its path is longer than a path may be
        return
