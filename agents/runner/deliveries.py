"""Outputs on their way to the WMS and to storage elements, tried again while these are away and there is time."""

import time
from collections.abc import Callable
from pathlib import Path

from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, JobStatus
from agents.jobs.payload import REQUESTS
from agents.log import EventLog
from agents.process.events import DataDelayed, Undelivered, Workers
from agents.runner.context import JobContext
from agents.runner.staging import Staging

log = EventLog("staging")

_DATA_PATIENCE_S = 86_400.0  # within the slot's own time; for output data nothing else is lost by waiting
_ENDING_S = 8.0  # for output data whose time is over: to be left to a request, or taken away again
_PAUSE_S = 30.0  # before an upload is tried again; the attempt itself has its own patience


class Deliveries:
    """Uploads of ended jobs. Called by the agent's main thread.

    Args:
        staging: brings one sandbox away; data are moved by its `data`, whose workers may take hours.
        workers: do it beside all else.
        around: says where the outputs are, and how long an upload is tried.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        staging: Staging,
        workers: Workers,
        around: JobContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._staging = staging
        self._data = staging.data
        self._workers = workers
        self._around = around
        self._clock = clock
        self._until: dict[int, float] = {}
        self._again_at: dict[int, float] = {}
        self._data_until: dict[int, float] = {}
        self._data_again_at: dict[int, float] = {}
        self._data_ends: dict[int, float] = {}

    def start(self, job: Job, description: JobDescription) -> None:
        """Begin to bring a job's outputs away."""
        self._again_at.pop(job.job_id, None)
        self._until.setdefault(job.job_id, self._clock() + self._around.output_patience_s)
        patterns, logs = description.output_sandbox, description.log_files
        self._workers.start(self._staging.upload, job, patterns, self._around.outputs(job), logs, of=job.job_id)

    def start_data(self, job: Job, description: JobDescription) -> None:
        """Begin to bring a job's output data away, or go on with it."""
        self._data_again_at.pop(job.job_id, None)
        self._data_until.setdefault(job.job_id, self._clock() + _DATA_PATIENCE_S)
        credential, fetched = self._staging.credential(job), self._around.outputs(job)
        self._data.workers.start(self._data.take_away, job, description, credential, fetched, of=job.job_id)

    def put_off_data(self, event: DataDelayed) -> bool:
        """Try again when the event says; False when it has been tried for long enough."""
        self._data_again_at[event.job_id] = again_at = self._clock() + event.again_in_s
        if again_at > self._data_until.get(event.job_id, 0.0):
            return False
        log.warning("data.delayed", job_id=event.job_id, cause=event.error, again_in_s=event.again_in_s)
        return True

    def moves_data(self, job_id: int) -> bool:
        """Tell whether a job's output data are on their way, or wait for another try."""
        return job_id in self._data_until

    def end_data(self, job: Job, description: JobDescription, cause: str) -> bool:
        """Let a job's output data be ended at once, in a worker that tells what has become of them.

        Return False when it was waited for, for long enough.
        """
        now = self._clock()
        until = self._data_ends.setdefault(job.job_id, now + _ENDING_S)
        if until == now + _ENDING_S:  # the first time
            self._data.give_up(job, cause)
        if job.job_id in self._data_again_at:  # no worker has it in hand
            self.start_data(job, description)
        return now < until

    def due_data(self) -> list[int]:
        """Return the jobs whose output data are to be gone on with now."""
        return [job_id for job_id, at in self._data_again_at.items() if at <= self._clock()]

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
        for kept in (self._until, self._again_at, self._data_until, self._data_again_at, self._data_ends):
            kept.pop(job_id, None)


def brings_outputs(job: Job, description: JobDescription) -> bool:
    """Tell whether an ended job has outputs that somebody wants."""
    has_some = description.output_sandbox or description.output_data
    return bool(has_some) and job.end is not None and job.end.status is not JobStatus.RESCHEDULED


def brings_data(job: Job, description: JobDescription, fetched: Path) -> bool:
    """Tell whether an ended job has output data, or its payload has left requests."""
    if job.end is None or job.end.status not in (JobStatus.DONE, JobStatus.FAILED):
        return False
    has_data = bool(description.output_data) and job.end.status is JobStatus.DONE
    return has_data or (job.started_at is not None and any((fetched / "outputs").glob(REQUESTS)))
