"""What a command reads and says, within bounds of time and bytes; `Popen.communicate` has none of bytes."""

import os
import selectors
import subprocess
import time
from contextlib import suppress
from typing import IO

MOST_BYTES = 64_000_000  # of each of its outputs; what is asked for at once has a few MB
_CHUNK_BYTES = 65536


class Pipes:
    """The ends of a command's pipes that are ours.

    Attributes:
        stdout: what it has said so far.
        stderr: the same.
        is_flooded: it said too much, and was not listened to any longer.
    """

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes | None, most_bytes: int = MOST_BYTES) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.is_flooded = False
        self._process = process
        self._left = memoryview(stdin or b"")
        self._most_bytes = most_bytes
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
        while self._selector.get_map() and not self.is_flooded:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            for key, _ in self._selector.select(left_s):
                self._move(key)
        return not self.is_flooded and self._has_ended(deadline - time.monotonic())

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
        self.is_flooded |= len(key.data) > self._most_bytes
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

    def _has_ended(self, within_s: float) -> bool:
        try:
            self._process.wait(max(0.0, within_s))
        except subprocess.TimeoutExpired:
            return False
        return True
