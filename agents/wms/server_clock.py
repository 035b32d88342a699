"""How far this node's clock is from the servers', as far as their answers prove it.

`setJobStatusBulk` ignores a status that is older than the last one it knows, the match itself: a node whose clock is
behind would lose what it says of its jobs, and one that is ahead what is said of them afterwards. HTTP's Date has
whole seconds, so each answer leaves the difference a second of play; many answers leave less.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from agents.clock import SteadyClock
from agents.log import EventLog

log = EventLog("clock")

_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)
_DRIFT = 5e-4  # what a kernel slews a clock by, at most (adjtimex(2)): older answers prove less
_FARTHEST = timedelta(days=36_500)  # a Date of the year 9999 is no clock, and no date can be reckoned with


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Between what the servers' clock is ahead of ours, as was known at a moment of ours."""

    least: timedelta
    most: timedelta
    at: datetime

    def by(self, now: datetime) -> "_Bounds":
        """Return what they prove later."""
        play = max(_NONE, now - self.at) * _DRIFT
        return _Bounds(self.least - play, self.most + play, now)


class ServerClock:
    """Collects what answers say of the time; safe to use from several threads.

    Args:
        now: this node's time, which nobody may set.
    """

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self.now = now or SteadyClock().utc
        self._lock = threading.Lock()
        self._bounds: _Bounds | None = None

    def heard(self, date: str, sent: datetime, stale: timedelta = _NONE) -> None:
        """Take note of an answer's Date.

        Args:
            date: the header, empty when there was none.
            stale: how old the date may be that this server writes.
            sent: what `now` said before the request was sent. It is not to be reckoned afterwards from how long the
                answer took: a thread that was left without a processor would then make the servers' clock slow.
        """
        try:
            wrote = parsedate_to_datetime(date)
        except (ValueError, TypeError, OverflowError):
            return
        received = self.now()
        if wrote.tzinfo is not None and abs(wrote - received) < _FARTHEST:
            self.observe(wrote, sent=sent, received=received, stale=stale)

    def observe(self, date: datetime, *, sent: datetime, received: datetime, stale: timedelta = _NONE) -> None:
        """Narrow the difference down: the server wrote its date, cut to the second, between these moments of ours."""
        least, most = date - received, date + _SECOND + stale - sent
        with self._lock:
            known = self._bounds.by(received) if self._bounds else None
            if known and least <= known.most and most >= known.least:
                least, most = max(known.least, least), min(known.most, most)
            self._bounds = _Bounds(least, most, received)  # else the first answer, or the servers' clock was set

    def ahead(self) -> timedelta:
        """Return how far the servers' clock is ahead of ours, the least that all answers allow; may be negative."""
        with self._lock:
            if self._bounds is None:
                return _NONE
            bounds = self._bounds.by(self.now())
            return max(bounds.least, min(_NONE, bounds.most))

    def ahead_at_most(self) -> timedelta:
        """Return how far it may be ahead at most: by that clock, whatever a server has stamped is not later."""
        with self._lock:
            return self._bounds.by(self.now()).most if self._bounds else _NONE
