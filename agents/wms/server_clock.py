"""How far this node's clock is from the servers', as far as their answers prove it.

`setJobStatusBulk` ignores a status that is older than the last one it knows, the match itself: a node whose clock is
behind would lose what it says of its jobs, and one that is ahead what is said of them afterwards. HTTP's Date has
whole seconds, so each answer leaves the difference a second of play; many answers leave less.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests

from agents.log import EventLog

log = EventLog("clock")

_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)


class ServerClock:
    """Collects what answers say of the time; safe to use from several threads."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._least: timedelta | None = None
        self._most: timedelta | None = None

    def heard(self, response: requests.Response, *_: object, **__: object) -> None:
        """Take note of an answer's Date; requests calls this for each of them."""
        try:
            date = parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return
        if date.tzinfo is not None:
            received = self._now()
            self.observe(date, sent=received - response.elapsed, received=received)

    def observe(self, date: datetime, *, sent: datetime, received: datetime) -> None:
        """Narrow the difference down: the server wrote its date, cut to the second, between these moments of ours."""
        least, most = date - received, date + _SECOND - sent
        with self._lock:
            if self._least is None or self._most is None or least > self._most or most < self._least:
                self._least, self._most = least, most  # the first answer, or one of the clocks was set
            else:
                self._least, self._most = max(self._least, least), min(self._most, most)

    def ahead(self) -> timedelta:
        """Return how far the servers' clock is ahead of ours, the least that all answers allow; may be negative."""
        with self._lock:
            if self._least is None or self._most is None:
                return _NONE
            return max(self._least, min(_NONE, self._most))
