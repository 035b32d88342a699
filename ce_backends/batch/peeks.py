"""What files of running tasks held at the last look: each look may be a command on another machine."""

import threading
import time
from collections.abc import Callable, Hashable


class Peeks:
    """Each file is looked at once in an interval at most, however often it is asked for. For any thread.

    Args:
        interval_s: how old an answer may be.
        clock: monotonic, in seconds.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[float, bytes]] = {}

    def at(self, what: Hashable, look: Callable[[], bytes]) -> bytes:
        """Return what was seen there, after a look where the last one is too old."""
        with self._lock:
            oldest = self._clock() - self._interval_s
            self._seen = {key: (at_s, seen) for key, (at_s, seen) in self._seen.items() if at_s > oldest}
            if (known := self._seen.get(what)) is not None:
                return known[1]
        seen = look()
        with self._lock:
            self._seen[what] = (self._clock(), seen)
        return seen
