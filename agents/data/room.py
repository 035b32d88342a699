"""Whether files have room before any of them is brought: all jobs of a node share one disk."""

import shutil
import threading
from pathlib import Path

from agents.errors import Blame, HandBack
from agents.jobs.job import Minor

_MB = 10**6


class Room:
    """The room that was promised to files. Safe to use from several threads.

    Args:
        directory: where they will lie.
        reserve_bytes: what is left alone for what payloads write.
        most_bytes: of one job, 0 for any.
    """

    def __init__(self, directory: Path, reserve_bytes: int, most_bytes: int = 0) -> None:
        self._directory = directory
        self._reserve_bytes = reserve_bytes
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._promised: dict[str, int] = {}

    def promise(self, stamp: str, size_bytes: int) -> None:
        """Keep so much for a task's files, until `forget`.

        Raises:
            HandBack: there is not as much; the sentence has the numbers.
        """
        with self._lock:
            others = sum(size for other, size in self._promised.items() if other != stamp)
            free = shutil.disk_usage(self._directory).free - others - self._reserve_bytes
            self._check(size_bytes, free)
            self._promised[stamp] = size_bytes

    def _check(self, size_bytes: int, free_bytes: int) -> None:
        wanted = f"its input data take {size_bytes // _MB} MB"
        if self._most_bytes and size_bytes > self._most_bytes:
            raise _no_room(f"{wanted}, a job may have {self._most_bytes // _MB} MB here (DiskLimit)")
        if size_bytes > free_bytes:
            kept = f"{self._reserve_bytes // _MB} MB are kept for what payloads write (MinOutputDataBufferGB)"
            raise _no_room(f"{wanted}, {max(0, free_bytes) // _MB} MB are free; {kept}")

    def forget(self, stamp: str) -> None:
        """Keep nothing more for a task: its files are there, or will not come."""
        with self._lock:
            self._promised.pop(stamp, None)


def _no_room(detail: str) -> HandBack:
    return HandBack(Minor.RESOLVING_DATA, detail, blame=Blame.SITE)
