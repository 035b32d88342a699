"""Time that neither jumps nor stands still, whoever sets this machine's clock: durations are measured by it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


def boottime_s() -> float:
    """Return seconds since the boot, those in which the machine was suspended included (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """Seconds since the epoch that neither jump nor stand still: read once, then counted since the boot.

    A limit of wall time goes on while a machine is suspended, and does not care who sets its clock.
    """

    def __init__(self, epoch: Callable[[], float] = time.time, boottime: Callable[[], float] = boottime_s) -> None:
        self._epoch = epoch
        self._boottime = boottime
        self._offset_s = epoch() - boottime()
        self._jumped_s = 0.0

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self._offset_s + self._boottime()

    def utc(self) -> datetime:
        """Return the same as a date."""
        return datetime.fromtimestamp(self(), UTC)

    def new_jump_s(self) -> float:
        """Return how far the machine's clock was set forward since this was last asked."""
        before_s, self._jumped_s = self._jumped_s, self._epoch() - self()
        return self._jumped_s - before_s
