"""Waiting for jobs until none of them can go on by itself, with a line of progress."""

import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from agents.local_wms.client import Client
from agents.local_wms.home import LocalWmsError
from agents.local_wms.state_machine import JobStatus

FINAL = (JobStatus.DONE, JobStatus.FAILED, JobStatus.KILLED, JobStatus.DELETED)
_LOOK_S = 0.5
_LINE_S = 10.0  # between two lines where they are not on a terminal


def until_ended(client: Client, job_ids: Sequence[int], deadline_s: float, progress: TextIO) -> int:
    """Wait for jobs; return 0 when all of them are Done, 1 otherwise.

    Raises:
        LocalWmsError: one of them does not exist, or they had not ended in time.
    """
    until, said, said_at = time.monotonic() + deadline_s, "", 0.0
    while True:
        jobs = client.call("JobMonitoring", "getJobsStatus", list(job_ids))
        if missing := [job for job in job_ids if str(job) not in jobs]:
            raise LocalWmsError(f"no such job: {', '.join(map(str, missing))}")
        statuses = [job["Status"] for job in jobs.values()]
        is_over = all(status in FINAL for status in statuses)
        counts = _counts(statuses)
        now = time.monotonic()
        if counts != said and (is_over or progress.isatty() or now - said_at >= _LINE_S):
            _show(counts, progress, is_last=is_over)
            said, said_at = counts, now
        if is_over:
            return 0 if all(status == JobStatus.DONE for status in statuses) else 1
        if now > until:
            raise LocalWmsError(f"not ended within {deadline_s:.0f} s: {counts}")
        time.sleep(_LOOK_S)


def _counts(statuses: Sequence[str]) -> str:
    found: Mapping[str, int] = {status: statuses.count(status) for status in sorted(statuses)}
    return ", ".join(f"{count} {status}" for status, count in found.items())


def _show(counts: str, progress: TextIO, *, is_last: bool) -> None:
    """Write the line over the one before, where that can be done."""
    if progress.isatty():
        print(f"\r\033[K{counts}", end="\n" if is_last else "", file=progress, flush=True)
    else:
        print(counts, file=progress, flush=True)
