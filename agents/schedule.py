"""What happens again and again, by APScheduler: each tick is an event in the queue."""

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from agents.events import Event, Events

_PUNCTUAL_S = 3600  # a tick that comes late (suspended machine) is done once, not skipped


class Schedule:
    """Periodic events."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _PUNCTUAL_S},
            timezone="UTC",
        )

    def every(self, seconds: float, event: Event) -> None:
        """Queue this event every so many seconds, spread by a tenth so that agents do not march in step."""
        self._scheduler.add_job(self._events.put, "interval", (event,), seconds=seconds, jitter=seconds / 10)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End at once."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
