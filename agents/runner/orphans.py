"""Jobs that the ledger has lost, taken up again: their directories tell that they were here.

A ledger that was damaged is put aside, and one that was emptied says nothing; but payloads may still run, and the WMS
waits for a word about their jobs. What they were is not known any more, so they are ended and given back.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from agents.jobs.job import Job, JobStatus, MatchedJob, Minor, Phase
from agents.jobs.ledger import Ledger
from agents.jobs.outcome import handed_back
from agents.log import EventLog

log = EventLog("ledger")

_CAUSE = "The agent has lost its ledger"
_NAME = re.compile(r"(?P<job_id>\d{1,18})\.(?P<attempt>\d{1,9})\.(?P<stamp>[0-9a-f]{32})", re.ASCII)


def directory_name(job: Job) -> str:
    """Return the name of a job's directory: all that has to be known when nothing else is left."""
    return f"{job.job_id}.{job.attempt}.{job.stamp}"


def take_up(ledger: Ledger, jobs: Path) -> None:
    """Write into the ledger what it should have: a job for each directory, to be ended and given back.

    Args:
        ledger: of the agent.
        jobs: the directory of all its jobs.
    """
    for job in _that_were_here(jobs):
        if not ledger.has(job.job_id, job.attempt):
            log.error("ledger.job_missing", job_id=job.job_id, attempt=job.attempt, note="it is ended and given back")
            ledger.save(job)


def _that_were_here(jobs: Path) -> Iterator[Job]:
    for path in sorted(jobs.iterdir()) if jobs.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            yield _lost(int(match["job_id"]), int(match["attempt"]), match["stamp"])


def _lost(job_id: int, attempt: int, stamp: str) -> Job:
    """Return a job of which only its names are known; whether the CE has its task is to be found out."""
    jdl = f'[ JobID = {job_id}; Executable = "unknown"; ]'
    return Job(
        matched=MatchedJob(job_id=job_id, jdl=jdl, owner="", group=""),
        stamp=stamp,
        attempt=attempt,
        phase=Phase.SUBMITTING,
        status=JobStatus.RUNNING,
        minor_status=Minor.APPLICATION,
        end=handed_back(_CAUSE),
    )
