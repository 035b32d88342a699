"""The checksum of a file that another program writes: read behind it, so that little is left to read at its end."""

import os
import zlib
from pathlib import Path
from threading import Event, Thread

from agents.data import checksum
from agents.data.pieces import PIECE_BYTES

_PAUSE_S = 0.02  # where all was read that is there


class Following:
    """Reads a file from its beginning while it grows, in a thread of its own, as long as the `with` block takes.

    What was read counts only where it is what should be there: a program may write in another order, or anew.

    Args:
        path: of the file; there may be none yet.

    Attributes:
        size_bytes: what was read; after the block, all of it.
        adler32: of what was read.
    """

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self.adler32 = checksum.EMPTY
        self._path = path
        self._is_whole = Event()
        self._is_unwanted = False
        self._thread = Thread(target=self._run, name="following", daemon=True)

    def __enter__(self) -> "Following":
        self._thread.start()
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self._is_unwanted = error is not None
        self._is_whole.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_whole.is_set():
            try:
                fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                self._is_whole.wait(_PAUSE_S)
                continue
            try:
                self._read(fd)
            except OSError:
                self.size_bytes = -1  # which no file has
            finally:
                os.close(fd)
            return

    def _read(self, fd: int) -> None:
        buffer = memoryview(bytearray(PIECE_BYTES))
        while not self._is_unwanted:
            is_whole = self._is_whole.is_set()  # before it is read
            if size := os.readv(fd, [buffer]):
                self.adler32 = zlib.adler32(buffer[:size], self.adler32)
                self.size_bytes += size
            elif is_whole:
                return
            else:
                self._is_whole.wait(_PAUSE_S)
