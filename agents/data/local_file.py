"""The local end of a transfer: a file that arrives, and one that leaves; counted, summed up and watched on the way."""

import itertools
import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.data import checksum
from agents.data.errors import Damaged, NoRoom, NoSpaceHere, TransferError, Transient
from agents.data.pieces import PIECE_BYTES, Handover, Piece, ahead, buffers
from agents.data.way import Content, Watch

_LOOK_S = 0.5


class Progress:
    """Tells a watch what is there, some times a second, however often it is called. One thread."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._next_s = 0.0

    def at(self, done_bytes: int) -> None:
        """Take note of the bytes that are there now.

        Raises:
            GivenUp: the watch says so.
        """
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _LOOK_S
            self._watch.check()
            self._watch.progress(done_bytes)

    def at_last(self, done_bytes: int) -> None:
        """Take note of all bytes, before what cannot be given up any more.

        Raises:
            GivenUp: the watch says so.
        """
        self._watch.progress(done_bytes)
        self._watch.check()


class Incoming:
    """A file that arrives piece by piece, after what a former try has left of it. One thread; another one writes it.

    Attributes:
        path: where it arrives.
        arrived_bytes: what is there, or being written.
    """

    def __init__(self, path: Path, content: Content, watch: Watch) -> None:
        self.path = path
        self.arrived_bytes = 0
        self._content = content
        self._sum = checksum.EMPTY
        self._progress = Progress(watch)
        self._writing = Handover(self._write, watch.check)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with _told(path):
            self._fd = os.open(path, flags, 0o600)
            self._take_over()

    def take(self, piece: Piece) -> None:
        """Write a piece at the end; where it is one of several it must not change before three more came.

        Raises:
            Damaged: there is more than the file has.
            NoSpaceHere: this one, or one before it, cannot be written.
            GivenUp: the watch says so.
        """
        if self.arrived_bytes + len(piece) > self._content.size_bytes:
            raise Damaged(f"{self.path.name}: more came than the {self._content.size_bytes} bytes of the catalogue")
        is_all = not self._writing.is_begun and self.arrived_bytes + len(piece) == self._content.size_bytes
        (self._write if is_all else self._writing.take)(piece)
        self.arrived_bytes += len(piece)
        self._progress.at(self.arrived_bytes)

    def _write(self, piece: Piece) -> None:
        with _told(self.path):
            written = 0
            while written < len(piece):
                written += os.write(self._fd, piece[written:])
        self._sum = zlib.adler32(piece, self._sum)

    def begin_anew(self) -> None:
        """Forget what has come."""
        self._writing.flush()
        with _told(self.path):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self.arrived_bytes, self._sum = 0, checksum.EMPTY

    def completed(self, fetch: Callable[[], None]) -> None:
        """Fetch what is missing, and compare what is there with what should be.

        What a former try has left may be of another replica: before this one is called damaged, all of it is fetched.

        Raises:
            Damaged: size or checksum differ.
            TransferError: of `fetch`.
        """
        is_begun = self.arrived_bytes > 0
        if self.arrived_bytes < self._content.size_bytes or not is_begun:
            fetch()
        fault = self.fault()
        if fault and is_begun:
            self.begin_anew()
            fetch()
            fault = self.fault()
        if fault:
            raise Damaged(f"{self.path.name}: {fault}")

    def fault(self) -> str:
        """Return what is wrong with what is there, in a few words; empty when size and checksum are right."""
        self._writing.flush()
        wanted = self._content
        if self.arrived_bytes != wanted.size_bytes:
            return f"{self.arrived_bytes} bytes came, the catalogue says {wanted.size_bytes}"
        if wanted.adler32 not in (None, self._sum):
            came, says = checksum.text_of(self._sum), checksum.text_of(wanted.adler32 or 0)
            return f"its Adler32 is {came}, the catalogue says {says}"
        return ""

    def close(self) -> None:
        """Let go of the file; what has come stays in it."""
        self._writing.close()
        os.close(self._fd)

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _take_over(self) -> None:
        """Sum up what a former try has left; more than the file has is no beginning of it."""
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._fd)
            raise NoSpaceHere(f"{self.path}: expected a file, or nothing")
        if found.st_size > self._content.size_bytes:
            self.begin_anew()
            return
        buffer = memoryview(bytearray(min(PIECE_BYTES, found.st_size or 1)))
        while size := os.readv(self._fd, [buffer]):
            self._sum = zlib.adler32(buffer[:size], self._sum)
            self.arrived_bytes += size


class Outgoing:
    """A file that leaves, in pieces; each round of them is the whole file. One thread; another one reads it.

    Attributes:
        size_bytes: what it had when it was measured; what it has now is checked on the way.
    """

    def __init__(self, path: Path, content: Content, watch: Watch) -> None:
        self.size_bytes = content.size_bytes
        self._path = path
        self._content = content
        self._watch = watch
        self._progress = Progress(watch)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the file in pieces, each valid until the next.

        Raises:
            NoSpaceHere: it cannot be read, or is not any more what was measured.
            GivenUp: the watch says so.
        """
        with _told(self._path):
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            read, done = self._read_from(fd), 0
            for piece in read if self.size_bytes <= PIECE_BYTES else ahead(read, self._watch.check):
                done += len(piece)
                if done >= self.size_bytes:  # before the last piece leaves
                    self._progress.at_last(done)
                yield piece
                self._progress.at(done)
        finally:
            os.close(fd)

    def _read_from(self, fd: int) -> Iterator[memoryview]:
        done, summed, turn = 0, checksum.EMPTY, itertools.cycle(buffers())
        while size := self._read(fd, buffer := next(turn)):
            done += size
            summed = zlib.adler32(buffer[:size], summed)
            if done >= self.size_bytes:  # before the last piece leaves
                self._check(done, summed)
            yield buffer[:size]
        self._check(done, summed)

    def _read(self, fd: int, buffer: memoryview) -> int:
        with _told(self._path):
            return os.readv(fd, [buffer])

    def _check(self, done_bytes: int, summed: int) -> None:
        if done_bytes != self.size_bytes or self._content.adler32 not in (None, summed):
            raise NoSpaceHere(f"{self._path.name} has changed since it was measured: it is not the file any more")


class Probe:
    """A few megabytes of nothing: whether an element takes any file, where it does not say why it broke off."""

    size_bytes = 4 * PIECE_BYTES

    def pieces(self) -> Iterator[memoryview]:
        """Yield it in pieces."""
        for _ in range(self.size_bytes // PIECE_BYTES):
            yield memoryview(bytes(PIECE_BYTES))


def is_full(put_a_little: Callable[[], object]) -> bool:
    """Tell whether an element that broke off an upload takes nothing at all; what was written of that is still there.

    XRootD's https and DIRAC's element close the connection when their disk is full, and Apache says HTTP 500.
    """
    try:
        put_a_little()
    except (Transient, NoRoom):
        return True
    except TransferError:  # nobody answers any more: it was the way
        return False
    return False


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell what the operating system has against it."""
    try:
        yield
    except OSError as error:
        raise NoSpaceHere(f"{path}: {error.strerror}") from error
