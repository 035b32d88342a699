"""The agent's memory of its jobs: SQLite in the work directory. Every step is written here before its effect.

One transaction writes a job's new phase together with the reports it causes, so a kill at any instant leaves
either both or neither. WAL with synchronous=NORMAL: nothing is lost when the process dies; after a power
failure the last steps may be, and the WMS gives those jobs away again.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from agents.errors import Blame, NodeUnfit
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase
from agents.log import EventLog

log = EventLog("ledger")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    job_id INTEGER, attempt INTEGER, phase TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (job_id, attempt));
CREATE INDEX IF NOT EXISTS job_open ON job (phase) WHERE phase <> 'closed';
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, kind TEXT NOT NULL, moment TEXT NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class ReportKind(StrEnum):
    """What a report does at the WMS."""

    STATUS = "status"
    PARAMETERS = "parameters"
    RESCHEDULE = "reschedule"


@dataclass(frozen=True, slots=True)
class Report:
    """One thing the WMS has to be told about a job.

    Attributes:
        job_id: whose.
        kind: which call carries it.
        moment: when it happened, UTC with microseconds, as DIRAC writes times.
        body: the words: status fields, or parameter names and values.
        number: its place in the order; given by the ledger.
    """

    job_id: int
    kind: ReportKind
    moment: str
    body: Mapping[str, str]
    number: int = 0


class Ledger:
    """Jobs in hand and reports not yet accepted. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = _open(path)

    def save(self, job: Job, reports: Sequence[Report] = ()) -> None:
        """Write a job's present state and what the WMS has to be told of it, in one transaction."""
        rows = [(r.job_id, r.kind, r.moment, json.dumps(dict(r.body))) for r in reports]
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?)", (job.job_id, job.attempt, job.phase, _to_json(job))
            )
            self._db.executemany("INSERT INTO report (job_id, kind, moment, body) VALUES (?, ?, ?, ?)", rows)

    def open_jobs(self) -> list[Job]:
        """Return the jobs that are not closed, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM job WHERE phase <> 'closed' ORDER BY rowid").fetchall()
        return [_from_json(body) for (body,) in rows]

    def attempts(self, job_id: int) -> int:
        """Return how often this job was matched here before."""
        with self._lock:
            row = self._db.execute("SELECT COALESCE(MAX(attempt), 0) FROM job WHERE job_id = ?", (job_id,)).fetchone()
        return int(row[0])

    def unsent(self, limit: int = 500) -> list[Report]:
        """Return reports that the WMS has not accepted, in order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT job_id, kind, moment, body, number FROM report ORDER BY number LIMIT ?", (limit,)
            ).fetchall()
        return [Report(j, ReportKind(kind), moment, json.loads(body), number) for j, kind, moment, body, number in rows]

    def sent(self, reports: Iterable[Report]) -> None:
        """Forget reports that the WMS has accepted, or refused for good."""
        with self._lock, self._db:
            self._db.executemany("DELETE FROM report WHERE number = ?", [(r.number,) for r in reports])

    def has_unsent(self, job_id: int) -> bool:
        """Tell whether the WMS still has to hear something about this job."""
        with self._lock:
            return self._db.execute("SELECT 1 FROM report WHERE job_id = ? LIMIT 1", (job_id,)).fetchone() is not None

    def fact(self, name: str, value: str) -> str:
        """Return a fact as it was first written; write it when it is new."""
        with self._lock, self._db:
            self._db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (name, value))
            return str(self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _open(path: Path) -> sqlite3.Connection:
    """Open the ledger; one that cannot be read is put aside, for it must never stop the agent."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.unreadable-{time.time_ns()}")
        log.error("ledger.quarantined", file=path, as_=aside.name, cause=error)
        _put_aside(path, aside)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        raise NodeUnfit(f"{path}: the ledger cannot be written: {error}") from error


def _put_aside(path: Path, aside: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
        db.execute("SELECT COUNT(*) FROM job, report").fetchone()
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _to_json(job: Job) -> str:
    return json.dumps(asdict(job), default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not belong in the ledger")


def _from_json(text: str) -> Job:
    row = json.loads(text)
    grant, started, end = row["grant"], row["started_at"], row["end"]
    return Job(
        **{
            **row,
            "matched": MatchedJob(**row["matched"]),
            "phase": Phase(row["phase"]),
            "status": JobStatus(row["status"]),
            "grant": Grant(**{**grant, "processor_ids": tuple(grant["processor_ids"])}) if grant else None,
            "started_at": datetime.fromisoformat(started) if started else None,
            "end": _outcome(end) if end else None,
        }
    )


def _outcome(row: dict[str, str | None]) -> Outcome:
    blame = Blame(row["blame"]) if row["blame"] else None
    return Outcome(JobStatus(row["status"] or ""), row["minor_status"] or "", row["application_status"] or "", blame)
