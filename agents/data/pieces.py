"""Pieces of a file between two threads, a few at a time: what moves bytes waits for no disk and no checksum."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

PIECE_BYTES = 1 << 20  # what is read and written at once
BUFFERS = 4  # in the hands of both threads: one each, and those that wait
_WAITING = BUFFERS - 2
_LOOK_S = 0.5

Piece = memoryview | bytes


def buffers() -> list[memoryview]:
    """Return what pieces are read into, in turns: a piece stays as it is until three more were handed over."""
    return [memoryview(bytearray(PIECE_BYTES)) for _ in range(BUFFERS)]


class Handover:
    """Gives pieces to another thread, which works on them in their order. One thread uses it, and closes it.

    Args:
        work: what is done with each; after its first error with none.
        look: called every half second while it is waited for; what it raises ends the wait.
    """

    def __init__(self, work: Callable[[Piece], object], look: Callable[[], object]) -> None:
        self._work = work
        self._look = look
        self._queue: Queue[Piece | Event | None] = Queue(_WAITING)
        self._thread: Thread | None = None
        self._met: Exception | None = None

    @property
    def is_begun(self) -> bool:
        """A piece was handed over."""
        return self._thread is not None

    def take(self, piece: Piece) -> None:
        """Hand a piece over; it must not change before three more were.

        Raises:
            Exception: of the work on this or an earlier piece.
        """
        if self._thread is None:
            self._thread = Thread(target=self._run, name="pieces", daemon=True)
            self._thread.start()
        self._put(piece)
        if self._met:
            raise self._met

    def flush(self) -> None:
        """Wait until all was worked on; errors as of `take`."""
        if self._thread is not None:
            done = Event()
            self._put(done)
            while not done.wait(_LOOK_S):
                self._look()
        if self._met:
            raise self._met

    def close(self) -> None:
        """End the thread, once it has worked on all that it was given."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _put(self, piece: Piece | Event) -> None:
        while True:
            try:
                self._queue.put(piece, timeout=_LOOK_S)
            except Full:
                self._look()
            else:
                return

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None:
            if isinstance(piece, Event):
                piece.set()
            elif self._met is None:
                try:
                    self._work(piece)
                except Exception as error:  # noqa: BLE001 - whoever hands over raises it
                    self._met = error


def ahead(pieces: Iterator[memoryview], look: Callable[[], object]) -> Iterator[memoryview]:
    """Yield pieces that another thread takes from an iterator, ahead of whoever wants them; each valid until the next.

    Args:
        pieces: what it gives must not change before three more were given.
        look: as of `Handover`.

    Raises:
        Exception: of the iterator.
    """
    reader = _Reader(pieces)
    try:
        while (piece := reader.next(look)) is not None:
            yield piece
    finally:
        reader.close()


class _Reader:
    """A thread that takes pieces from an iterator until there is no room for more."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._queue: Queue[memoryview | Exception | None] = Queue(_WAITING)
        self._is_left = Event()
        self._thread = Thread(target=self._run, name="pieces", daemon=True)
        self._thread.start()

    def next(self, look: Callable[[], object]) -> memoryview | None:
        """Return the next piece, None after the last."""
        while True:
            try:
                piece = self._queue.get(timeout=_LOOK_S)
            except Empty:
                look()
                continue
            if isinstance(piece, Exception):
                raise piece
            return piece

    def close(self) -> None:
        """End the thread."""
        self._is_left.set()
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                self._put(piece)
                if self._is_left.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - whoever wants the pieces raises it
            self._put(error)
        else:
            self._put(None)

    def _put(self, piece: memoryview | Exception | None) -> None:
        while not self._is_left.is_set():
            with suppress(Full):
                self._queue.put(piece, timeout=_LOOK_S)
                return
