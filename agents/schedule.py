"""What happens again and again, by APScheduler: each tick is an event in the queue."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from agents.events import Event, Events
from agents.log import EventLog

log = EventLog("schedule")

_NEVER_TOO_LATE = None  # a tick that comes late (suspended machine, a clock set forward) is done, not skipped
_SET_BACK_S = 1.0


class AfterEach(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Ticks some time after the tick before.

    APScheduler's own interval counts every tick that was missed: after a clock was set ten years forward that takes
    minutes, in which nothing else happens.
    """

    def __init__(self, seconds: float, spread: Callable[[float, float], float]) -> None:
        self._seconds = seconds
        self._spread = spread

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """See BaseTrigger. Spread by a tenth, so that agents do not march in step."""
        del previous_fire_time
        return now + timedelta(seconds=self._spread(0.9 * self._seconds, 1.1 * self._seconds))


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
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _NEVER_TOO_LATE},
            timezone="UTC",
        )

    def every(self, seconds: float, event: Event) -> None:
        """Queue this event every so many seconds."""
        self._scheduler.add_job(self._events.put, AfterEach(seconds, self._spread), (event,))

    def keep_time(self) -> None:
        """Plan anew if the wall clock was set back: else nothing would happen until it has caught up.

        To be called every few seconds, by somebody who does not go by the wall clock.
        """
        before_s, self._ahead_s = self._ahead_s, self._epoch() - self._clock()
        if self._ahead_s < before_s - _SET_BACK_S:
            log.warning("clock.set_back", seconds=round(before_s - self._ahead_s))
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.fromtimestamp(self._epoch(), UTC))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End at once."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
