"""A thread that lives as long as the object it works for: one way to start it, to rest, to wake and to close it.

Threads of another kind say so where they are made: what takes work from a queue (`agents.process.events.Workers`),
what one call with a deadline needs, those of libraries (APScheduler, OpenTelemetry, HTTP servers).
"""

import threading
from collections.abc import Callable

from ce_backends.errors import CEBroken


class Loop:
    """Takes turns in a daemon thread between `start` and `close`: a turn, a rest, the next turn.

    No error ends it unseen: whatever a turn raises, also SystemExit, ends the thread and is raised again by `check`.
    `broken` hears of it at once; where nobody wants to, it goes on to `threading.excepthook`, and in an agent from
    there to the main thread, which it ends (`agents.process.agent_process.bring_home`).

    `rest` and `wait_out` are for the turn; everything else may be called from any thread.

    Args:
        turn: does what there is to do; returns how long to rest before the next one, in seconds, None until woken.
        name: of the thread.
        broken: called in the thread when an error has ended it.
        waken: ends a wait of the turn's own, for descriptors; called, while the thread runs, by `wake` and `close`.
    """

    def __init__(
        self,
        turn: Callable[[], float | None],
        name: str,
        *,
        broken: Callable[[], None] | None = None,
        waken: Callable[[], None] = lambda: None,
    ) -> None:
        self._turn = turn
        self._broken = broken
        self._waken = waken
        self._error: BaseException | None = None
        self._lock = threading.Lock()  # nothing begins once it is closed
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_closing(self) -> bool:
        """Tell whether it is to end."""
        return self._closing.is_set()

    @property
    def is_running(self) -> bool:
        """Tell whether it takes turns."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin with a turn; once, whoever calls and however often. After `close` this does nothing.

        Raises:
            RuntimeError: the node has no room for another thread; nothing has begun.
        """
        with self._lock:
            if not self._has_begun and not self.is_closing:
                self._thread.start()

    def wake(self) -> None:
        """End a rest, or let the next one be none: what was done before this call, a turn sees that begins after it."""
        if not self._woken.is_set():
            self._woken.set()
        if self.is_running:
            self._waken()

    def close(self, within_s: float | None = None) -> bool:
        """End rests and pauses, and wait until the turn that may go on is over.

        Args:
            within_s: after this a turn that hangs is left alone; None waits for it.

        Returns:
            True when no turn goes on.
        """
        with self._lock:
            self._closing.set()
        if self._has_begun:
            self.wake()
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def check(self) -> None:
        """Do nothing while all is well.

        Raises:
            CEBroken: an error has ended the thread, and is the cause.
        """
        if self._error is not None:
            kind = type(self._error).__name__
            raise CEBroken(f"the thread {self._thread.name} has ended: {kind}: {self._error}") from self._error

    def rest(self, limit_s: float | None) -> None:
        """Pause until somebody wakes it or the time is over; not at all when somebody has since the last rest."""
        if not self.is_closing:
            self._woken.wait(limit_s)
            self._woken.clear()

    def wait_out(self, pause_s: float) -> bool:
        """Pause, whoever wakes it: the turn sees after it what they have. Only closing ends it, and makes it True."""
        is_closing = self._closing.wait(pause_s)
        self._woken.clear()
        return is_closing

    @property
    def _has_begun(self) -> bool:
        return self._thread.ident is not None

    def _run(self) -> None:
        try:
            while not self.is_closing:
                self.rest(self._turn())
        except BaseException as error:
            self._error = error
            if self._broken is None:
                raise
            self._broken()
