"""A sync of the ledger in a thread of its own, while the agent does what else comes before a start."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread


@dataclass(frozen=True, slots=True)
class _Sync:
    covers: int
    done: Future[None] = field(default_factory=Future)


class EarlySync:
    """The last sync that was begun early; its error is met by whoever waits for it, and not lost before.

    Args:
        sync: brings all that was written before to the disk; raises OSError.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._last = _Sync(0)
        self._asked: SimpleQueue[_Sync | None] = SimpleQueue()
        self._thread: Thread | None = None

    @property
    def covers(self) -> int:
        """How many changes are on the disk once it is over, 0 when none was begun."""
        return self._last.covers

    def begin(self, covers: int) -> None:
        """Begin one, for so many changes; where no thread can be had, none begins."""
        if self._thread is None:
            thread = Thread(target=self._run, name="ledger-sync", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # a limit of processes: who waits does it himself
                return
            self._thread = thread
        self._last = _Sync(covers)
        self._asked.put(self._last)

    def wait(self) -> int:
        """Return how many changes are on the disk, once they are.

        Raises:
            OSError: the disk does not take them.
        """
        last = self._last
        last.done.result()
        return last.covers

    def close(self) -> None:
        """End the thread, after what it has begun."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (one := self._asked.get()) is not None:
            try:
                self._sync()
            except BaseException as error:  # noqa: BLE001 - who waits gets it
                one.done.set_exception(error)
            else:
                one.done.set_result(None)
