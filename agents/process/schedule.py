"""What happens again and again, by APScheduler: each tick is an event in the queue.

Its thread is APScheduler's, no `Loop`; what goes wrong in it comes to the main thread by `Events.crashed`.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agents.log import EventLog
from agents.process.events import Event, Events

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = EventLog("schedule")

_SET_BACK_S = 1.0


class Schedule:
    """Periodic events.

    Args:
        events: where they go.
        epoch: the wall clock, which APScheduler goes by.
        clock: monotonic, in seconds.
        spread: returns a number between two.
    """

    def __init__(
        self,
        events: Events,
        epoch: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._events = events
        self._epoch = epoch
        self._clock = clock
        self._spread = spread
        self._ahead_s = epoch() - clock()
        self._repeated: list[tuple[float, Event]] = []
        self._scheduler: BackgroundScheduler | None = None

    def every(self, seconds: float, event: Event) -> None:
        """Queue this event every so many seconds, from the start on."""
        self._repeated.append((seconds, event))

    def keep_time(self) -> None:
        """Plan anew if the wall clock was set back: else nothing would happen until it has caught up.

        To be called every few seconds, by somebody who does not go by the wall clock.
        """
        before_s, self._ahead_s = self._ahead_s, self._epoch() - self._clock()
        if self._ahead_s < before_s - _SET_BACK_S:
            log.warning("clock.set_back", seconds=round(before_s - self._ahead_s))
            for job in self._scheduler.get_jobs() if self._scheduler else ():
                job.modify(next_run_time=datetime.fromtimestamp(self._epoch(), UTC))

    def start(self) -> None:
        """Begin."""
        from agents.process import ticks  # noqa: PLC0415 - the first request to the Matcher does not wait for it

        self._scheduler = ticks.scheduler(self._events.crashed)
        for seconds, event in self._repeated:
            self._scheduler.add_job(self._events.put, ticks.AfterEach(seconds, self._spread), (event,))
        self._scheduler.start()

    def stop(self) -> None:
        """End at once."""
        if self._scheduler:
            self._scheduler.shutdown(wait=False)
