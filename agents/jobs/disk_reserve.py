"""Disk space kept for a bad moment: given back when the disk is full, so that what must be written still can be."""

import os
from pathlib import Path

from agents.log import EventLog

log = EventLog("disk")

_SIZE_BYTES = 1024**2


class DiskReserve:
    """A file of real blocks beside the ledger."""

    def __init__(self, path: Path, size_bytes: int = _SIZE_BYTES) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def hold(self) -> bool:
        """Take the space unless it is held already; False when the disk has not that much left."""
        try:
            if self._path.stat().st_size == self._size_bytes:
                return True
        except OSError:
            pass
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError as error:
            self.release()
            log.warning("disk.full", file=self._path, cause=error)
            return False
        return True

    def release(self) -> bool:
        """Give the space back; False when there was none to give."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
