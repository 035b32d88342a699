"""What a ledger tells of jobs to those who do not write it."""

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agents import last_word
from agents.errors import ConfigurationError
from agents.jobs.job import Job
from agents.jobs.ledger import Report, ReportKind
from agents.jobs.ledger_record import readable


@dataclass(frozen=True, slots=True)
class Story:
    """What the ledger knows of one attempt of a job.

    Attributes:
        job: as it stands.
        reports: what the WMS was or is to be told, in order.
        unsent: how many of them the WMS has not accepted.
    """

    job: Job
    reports: tuple[Report, ...]
    unsent: int


def stories(path: Path, job_id: int | None = None) -> list[Story]:
    """Read jobs and reports of a ledger, also while an agent writes it or after it died.

    Raises:
        ConfigurationError: there is no ledger, or it cannot be read.
    """
    if not path.is_file():
        raise no_ledger(path)
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            jobs = db.execute("SELECT job_id, body FROM job WHERE ?1 IS NULL OR job_id = ?1 ORDER BY rowid", (job_id,))
            found = [job for number, body in jobs.fetchall() if (job := readable(number, body))]
            return [_story(db, job) for job in found]
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: the ledger cannot be read: {error}") from error


def no_ledger(path: Path) -> ConfigurationError:
    """Return the error that says so, with the word of an agent that ended before it had one."""
    word = last_word.read(path.parent)
    why = f"the agent ended: {word}" if word else "expected the work directory of an agent"
    return ConfigurationError(f"{path}: there is no ledger; {why}")


def _story(db: sqlite3.Connection, job: Job) -> Story:
    rows = db.execute(
        "SELECT kind, moment, body, number, is_accepted FROM report WHERE job_id = ? ORDER BY number", (job.job_id,)
    ).fetchall()
    reports = tuple(Report(job.job_id, ReportKind(row[0]), row[1], json.loads(row[2]), row[3]) for row in rows)
    return Story(job, reports, sum(1 for row in rows if not row[4]))
