"""What a command reads and says, within bounds of time and bytes; `Popen.communicate` has none of bytes."""

import os
import selectors
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

MOST_BYTES = 64_000_000  # of each of its outputs; what is asked for at once has a few MB
_CHUNK_BYTES = 65536
_FILE_LOOK_S = 0.5  # how often a file is looked at that a command writes itself
MOST_FILE_BYTES = 25 * 10**9  # of one; outputs together have 20 GB at most


class Pipes:
    """The ends of a command's pipes that are ours, and the file into which it writes, if there is one.

    Attributes:
        stdout: what it has said so far.
        stderr: the same.
        flood: in a sentence, that it said too much and was not listened to any longer; empty if it did not.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes | None,
        most_bytes: int = MOST_BYTES,
        *,
        into: Path | None = None,
        most_file_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.flood = ""
        self._process = process
        self._left = memoryview(stdin or b"")
        self._most_bytes = most_bytes
        self._into = into
        self._most_file_bytes = min(most_file_bytes, shutil.disk_usage(into.parent).free // 2) if into else 0
        self._selector = selectors.DefaultSelector()
        for pipe, kept in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            if pipe is not None:
                self._selector.register(pipe, selectors.EVENT_READ, kept)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE)

    def listen(self, timeout_s: float) -> bool:
        """Go on until the command has ended; False if it has not within this time, or has said too much."""
        deadline = time.monotonic() + timeout_s
        while self._selector.get_map() and not self.flood:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            for key, _ in self._selector.select(min(left_s, _FILE_LOOK_S) if self._into else left_s):
                self._move(key)
            self._look_at_file()
        return self._has_ended(deadline - time.monotonic())

    def close(self) -> None:
        """Let go of the pipes."""
        for key in list(self._selector.get_map().values()):
            self._end(key.fileobj)  # type: ignore[arg-type] # they are pipes
        self._selector.close()

    def _move(self, key: selectors.SelectorKey) -> None:
        if key.data is None:
            self._write(key)
            return
        chunk = os.read(key.fd, _CHUNK_BYTES)
        key.data.extend(chunk)
        self._look(len(key.data), self._most_bytes)
        if not chunk:
            self._end(key.fileobj)  # type: ignore[arg-type]

    def _write(self, key: selectors.SelectorKey) -> None:
        try:
            self._left = self._left[os.write(key.fd, self._left[:_CHUNK_BYTES]) :]
        except BrokenPipeError:  # it does not read to the end
            self._left = self._left[:0]
        if not self._left:
            self._end(key.fileobj)  # type: ignore[arg-type]

    def _end(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        with suppress(OSError):
            pipe.close()

    def _look_at_file(self) -> None:
        if self._into is not None:
            self._look(self._into.stat().st_size, self._most_file_bytes)

    def _look(self, size: int, most: int) -> None:
        if size > most:
            self.flood = f"it wrote more than {most} bytes"

    def _has_ended(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while not self.flood:
            left_s = max(0.0, deadline - time.monotonic())
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(min(left_s, _FILE_LOOK_S) if self._into else left_s)
                self._look_at_file()
                return not self.flood
            if left_s <= 0:
                return False
            self._look_at_file()
        return False
