"""What a thread did not expect, brought to whoever asks next: no thread ends unseen."""

from collections.abc import Callable

from ce_backends.errors import CEBroken


class ThreadGuard:
    """The way out for errors of a computing element's threads.

    Args:
        opened: called when there is one, in the thread that it has ended.
    """

    def __init__(self, opened: Callable[[], None] = lambda: None) -> None:
        self._opened = opened
        self._error: BaseException | None = None
        self._thread = ""

    def guarding(self, work: Callable[[], None], thread: str) -> Callable[[], None]:
        """Return what a thread of this name is to do: this work, and to leave the error that ends it here."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - `check` raises it again, in a thread that can act
                self._error, self._thread = self._error or error, self._thread or thread
                self._opened()

        return guarded

    def check(self) -> None:
        """Do nothing while all is well.

        Raises:
            CEBroken: a thread has ended by an error, which is its cause.
        """
        if self._error is not None:
            kind = type(self._error).__name__
            raise CEBroken(f"the thread {self._thread} has ended: {kind}: {self._error}") from self._error
