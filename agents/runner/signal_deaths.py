"""Payloads that died by a signal of which the agent may be about to hear itself.

When a slot ends, many batch systems signal all processes of a job at once: a payload may be gone before the agent
knows why. Its end is then the slot's, and not its own.
"""

import signal
import time
from collections.abc import Callable

from agents.jobs.job import Job
from ce_backends.base import TaskState, TaskStatus

_BY_SIGNAL = 128  # and the number of it is the exit code that a shell tells
_ENDS_SLOTS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_CODES = {_BY_SIGNAL + number for number in _ENDS_SLOTS}
_HEARS_WITHIN_S = 2.0  # a loaded node wakes us late


class SignalDeaths:
    """When each of them was first seen to have ended. Called by the agent's main thread.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen_s: dict[str, float] = {}

    def is_fresh(self, job: Job, task: TaskStatus) -> bool:
        """Tell whether the reason of a task's end may still come; ask again with the answer to the next poll."""
        if job.end or task.state is not TaskState.DONE or task.exit_code not in _CODES:
            self._seen_s.pop(job.stamp, None)
            return False
        is_fresh = self._clock() - self._seen_s.setdefault(job.stamp, self._clock()) < _HEARS_WITHIN_S
        if not is_fresh:
            del self._seen_s[job.stamp]
        return is_fresh
