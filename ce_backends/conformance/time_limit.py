"""A computing element each of whose calls has a time limit: for those who try what they do not trust."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_S = 1.0  # for whoever catches everything


class TookTooLong(BaseException):
    """A call did not return in time. Not an Exception: a CE that catches all of these must not catch it."""


class Limited:
    """Passes everything on to a CE.

    Args:
        ce: any object.
        limit_s: for each call of a method from the main thread, which alone can be interrupted.
    """

    def __init__(self, ce: object, limit_s: float) -> None:
        self.unlimited = ce
        self._limit_s = limit_s

    def __getattr__(self, name: str) -> Any:
        with limit(self._limit_s, name):
            found = getattr(self.unlimited, name)
        return self._timed(name, found) if callable(found) else found

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with limit(self._limit_s, name):
                return method(*arguments, **named)

        return timed


@contextmanager
def limit(limit_s: float, what: str) -> Iterator[None]:
    """Interrupt what takes longer, by SIGALRM; in other threads than the main one there is no limit.

    Raises:
        TookTooLong: it did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise TookTooLong(f"{what} did not return within {limit_s:g} s")

    began_s = time.monotonic()
    before = signal.signal(signal.SIGALRM, interrupt)
    left_s, again_s = signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left_s:  # somebody else's limit, around this one
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left_s - (time.monotonic() - began_s)), again_s)
