"""Outputs on their way to the WMS, tried again while its store is away and there is time."""

import time
from collections.abc import Callable

from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, JobStatus
from agents.log import EventLog
from agents.process.events import Undelivered, Workers
from agents.runner.context import JobContext
from agents.runner.staging import Staging

log = EventLog("staging")

_PAUSE_S = 30.0  # before an upload is tried again; the attempt itself has its own patience


class Deliveries:
    """Uploads of ended jobs. Called by the agent's main thread.

    Args:
        staging: does one.
        workers: do it beside all else.
        around: says where the outputs are, and how long an upload is tried.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, staging: Staging, workers: Workers, around: JobContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._staging = staging
        self._workers = workers
        self._around = around
        self._clock = clock
        self._until: dict[int, float] = {}
        self._again_at: dict[int, float] = {}

    def start(self, job: Job, description: JobDescription) -> None:
        """Begin to bring a job's outputs away."""
        self._again_at.pop(job.job_id, None)
        self._until.setdefault(job.job_id, self._clock() + self._around.output_patience_s)
        patterns, logs = description.output_sandbox, description.log_files
        self._workers.start(self._staging.upload, job, patterns, self._around.outputs(job), logs, of=job.job_id)

    def put_off(self, event: Undelivered) -> bool:
        """Try again later; False when it has been tried for long enough."""
        now = self._clock()
        if now + _PAUSE_S > self._until.get(event.job_id, 0.0):
            return False
        log.warning("outputs.delayed", job_id=event.job_id, cause=event.error, again_in_s=_PAUSE_S)
        self._again_at[event.job_id] = now + _PAUSE_S
        return True

    def due(self) -> list[int]:
        """Return the jobs whose upload is to be tried again now."""
        return [job_id for job_id, at in self._again_at.items() if at <= self._clock()]

    def forget(self, job_id: int) -> None:
        """Drop a job whose outputs are away, or will never be."""
        self._until.pop(job_id, None)
        self._again_at.pop(job_id, None)


def brings_outputs(job: Job, description: JobDescription) -> bool:
    """Tell whether an ended job has outputs that the WMS wants."""
    return bool(description.output_sandbox) and job.end is not None and job.end.status is not JobStatus.RESCHEDULED
