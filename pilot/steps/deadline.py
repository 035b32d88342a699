"""A limit on the time that a step takes, whatever it is stuck in."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pilot.errors import NodeUnfit


@contextmanager
def within(limit_s: float, what: str) -> Iterator[None]:
    """Interrupt the block after so many seconds. Main thread only; one block at a time.

    Raises:
        NodeUnfit: the block was not done by then.
    """

    def overdue(_signum: int, _frame: FrameType | None) -> None:
        raise NodeUnfit(f"{what}: not done within {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
