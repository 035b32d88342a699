"""APScheduler as the agent wants it; apart from `agents.process.schedule`, because it is 40 ms to load."""

from collections.abc import Callable
from datetime import datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from agents.pacing import tick_s

_NEVER_TOO_LATE = None  # a tick that comes late (suspended machine, a clock set forward) is done, not skipped


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
        return now + timedelta(seconds=tick_s(self._seconds, self._spread))


def scheduler(crashed: Callable[[BaseException], None]) -> BackgroundScheduler:
    """Return one with a single thread, that does late what it could not do in time.

    Args:
        crashed: is told of an error that a tick did not expect; APScheduler itself only logs it.
    """
    made = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _NEVER_TOO_LATE},
        timezone="UTC",
    )
    made.add_listener(lambda event: crashed(event.exception), EVENT_JOB_ERROR)
    return made
