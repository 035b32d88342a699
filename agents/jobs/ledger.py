"""The agent's memory of its jobs: SQLite in the work directory. Every step is written here before its effect.

One transaction writes a job's new phase together with the reports it causes, so a kill at any instant leaves
either both or neither. WAL with synchronous=NORMAL: nothing is lost when the process dies; after a power
failure the last steps may be, and the WMS gives those jobs away again.
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from agents.errors import Blame, ConfigurationError, NodeUnfit
from agents.jobs import past
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase
from agents.jobs.reserve import DiskReserve
from agents.log import EventLog

log = EventLog("ledger")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    job_id INTEGER, attempt INTEGER, phase TEXT NOT NULL, body TEXT NOT NULL, moments TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, attempt));
CREATE INDEX IF NOT EXISTS job_open ON job (phase) WHERE phase <> 'closed';
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, kind TEXT NOT NULL, moment TEXT NOT NULL,
    body TEXT NOT NULL, is_accepted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS report_unsent ON report (number) WHERE is_accepted = 0;
CREATE INDEX IF NOT EXISTS report_job ON report (job_id);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS life (
    number INTEGER PRIMARY KEY AUTOINCREMENT, started_s REAL NOT NULL, seen_s REAL NOT NULL, reason TEXT, body TEXT);
"""
# An update in place keeps the row's number, and with it the order of arrival; REPLACE would not.
_SAVE = """
INSERT INTO job (job_id, attempt, phase, body, moments) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (job_id, attempt) DO UPDATE SET
    moments = CASE WHEN job.phase = excluded.phase THEN job.moments ELSE job.moments || excluded.moments END,
    phase = excluded.phase, body = excluded.body
"""
_KEPT_JOBS = 1000  # closed jobs that can still be explained


# What says that the file is no ledger, or none any more. Anything else (locked, disk full, I/O error) says nothing
# about its content, which must then stay where the next agent finds it.
_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR)


class ReportKind(StrEnum):
    """What a report does at the WMS."""

    STATUS = "status"
    PARAMETERS = "parameters"
    RESCHEDULE = "reschedule"
    ACCOUNT = "account"  # for the accounting, which nobody waits for


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
    """Jobs in hand and reports not yet accepted. Safe to use from several threads.

    Every method raises NodeUnfit when the file cannot be read or written any more (disk full, I/O error).

    Args:
        path: of the file; made when missing, put aside when it is no ledger.
        busy_s: how long to wait for another program that has locked it.
        now: the wall clock, s since 1970: when each phase of a job began.
    """

    def __init__(self, path: Path, busy_s: float = 10.0, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._disowned: set[int] = set()
        self._db = _open(path, busy_s)
        self._reserve = DiskReserve(path.with_suffix(".reserve"))
        self._reserve.hold()

    def has_space(self) -> bool:
        """Tell whether there is room on the disk for whatever a new job may bring; else take none on."""
        return self._reserve.hold()

    def save(self, job: Job, reports: Sequence[Report] = ()) -> None:
        """Write a job's present state and what the WMS has to be told of it, in one transaction."""
        said = [] if job.job_id in self._disowned else reports
        rows = [(r.job_id, r.kind, r.moment, json.dumps(dict(r.body))) for r in said]

        def change(db: sqlite3.Connection) -> None:
            db.execute(_SAVE, (job.job_id, job.attempt, job.phase, _to_json(job), moment))
            db.executemany("INSERT INTO report (job_id, kind, moment, body) VALUES (?, ?, ?, ?)", rows)
            if job.phase is Phase.CLOSED:
                past.shorten(db, _KEPT_JOBS)

        moment = f"{job.phase}={self._now():.3f} "
        self._write(change)

    def moments(self, job: Job) -> str:
        """Return when each phase of a job began, as `parse_moments` reads it."""
        with self._reading() as db:
            query = "SELECT moments FROM job WHERE job_id = ? AND attempt = ?"
            row = db.execute(query, (job.job_id, job.attempt)).fetchone()
        return str(row[0]) if row else ""

    def begin_life(self, about: Mapping[str, object]) -> int:
        """Take note that an agent begins to work here, and of its slot; return the number of this life."""
        now_s, body = self._now(), json.dumps(dict(about))
        self._write(
            lambda db: db.execute("INSERT INTO life (started_s, seen_s, body) VALUES (?, ?, ?)", (now_s, now_s, body))
        )
        with self._reading() as db:
            return int(db.execute("SELECT MAX(number) FROM life").fetchone()[0])

    def still_alive(self, life: int, reason: str | None = None) -> None:
        """Take note that the agent was alive now; with a reason, that this is its end."""
        change = "UPDATE life SET seen_s = ?, reason = ? WHERE number = ?"
        now_s = self._now()
        self._write(lambda db: db.execute(change, (now_s, reason, life)))

    def open_jobs(self) -> list[Job]:
        """Return the jobs that are not closed, oldest first; one that another version wrote differently is left out."""
        with self._reading() as db:
            rows = db.execute("SELECT job_id, body FROM job WHERE phase <> 'closed' ORDER BY rowid").fetchall()
        return [job for job_id, body in rows if (job := readable(job_id, body))]

    def attempts(self, job_id: int) -> int:
        """Return how often this job was matched here before; from the next attempt on it is ours again."""
        self._disowned.discard(job_id)
        with self._reading() as db:
            row = db.execute(past.ATTEMPTS, (job_id,)).fetchone()
        return int(row[0])

    def unsent(self, limit: int = 500) -> list[Report]:
        """Return reports that the WMS has not accepted, in order; accounts are not among them."""
        return self._unsent("kind <> 'account'", limit)

    def unsent_accounts(self, limit: int) -> list[Report]:
        """Return accounts that were not accepted, oldest first."""
        return self._unsent("kind = 'account'", limit)

    def _unsent(self, which: str, limit: int) -> list[Report]:
        query = f"SELECT job_id, kind, moment, body, number FROM report WHERE is_accepted = 0 AND {which}"  # noqa: S608 - our own text
        with self._reading() as db:
            rows = db.execute(f"{query} ORDER BY number LIMIT ?", (limit,)).fetchall()
        return [Report(j, ReportKind(kind), moment, json.loads(body), number) for j, kind, moment, body, number in rows]

    def sent(self, reports: Iterable[Report]) -> None:
        """Take note that the WMS has accepted these reports, or refused them for good."""
        numbers = [(report.number,) for report in reports]
        self._write(lambda db: db.executemany("UPDATE report SET is_accepted = 1 WHERE number = ?", numbers))

    def disown(self, job_id: int) -> None:
        """Drop what was to be said of a job that was taken away, now and until another attempt at it begins."""
        self._disowned.add(job_id)
        change = "UPDATE report SET is_accepted = 1 WHERE job_id = ? AND kind <> 'account'"
        self._write(lambda db: db.execute(change, (job_id,)))

    def has_unsent(self, job_id: int) -> bool:
        """Tell whether the WMS still has to hear something about this job, its account aside."""
        query = "SELECT 1 FROM report WHERE job_id = ? AND is_accepted = 0 AND kind <> 'account' LIMIT 1"
        with self._reading() as db:
            return db.execute(query, (job_id,)).fetchone() is not None

    def fact(self, name: str, value: str) -> str:
        """Return a fact as it was first written; write it when it is new."""
        self._write(lambda db: db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (name, value)))
        with self._reading() as db:
            return str(db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._db
        except sqlite3.Error as error:
            raise NodeUnfit(f"{self._path}: the ledger cannot be read or written: {error}") from error

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Make a change in one transaction, all of it or nothing; on a full disk with the space kept for that."""
        try:
            with self._lock, self._db:
                change(self._db)
        except sqlite3.Error as error:
            if not self._reserve.release():
                raise NodeUnfit(f"{self._path}: the ledger cannot be written: {error}") from error
            log.error("ledger.reserve_released", cause=error)
            with self._reading() as db, db:
                change(db)


def _open(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open the ledger; a file that is none is put aside, for it must never stop the agent."""
    try:
        try:
            return _connect(path, busy_s)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _UNREADABLE or not path.exists():
                raise
            aside = path.with_name(f"{path.name}.unreadable-{time.time_ns()}")
            log.error("ledger.quarantined", file=path, as_=aside.name, cause=error)
            _put_aside(path, aside)
            return _connect(path, busy_s)
    except (sqlite3.Error, OSError) as error:
        raise NodeUnfit(f"{path}: the ledger cannot be opened: {error}") from error


def _put_aside(path: Path, aside: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=busy_s, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA wal_autocheckpoint=200")  # pages: on a full disk the reserve must do for many changes
        db.executescript(_SCHEMA + past.SCHEMA)
        _renew(db)
        _check(db)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _renew(db: sqlite3.Connection) -> None:
    """Give a ledger of an earlier version the columns that it lacks."""
    if "moments" not in {row[1] for row in db.execute("PRAGMA table_info(job)")}:
        db.execute("ALTER TABLE job ADD COLUMN moments TEXT NOT NULL DEFAULT ''")


def _check(db: sqlite3.Connection) -> None:
    """Read every page once, so that damage is found now and not in the middle of a job."""
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    db.execute("SELECT job_id, attempt, phase, body FROM job LIMIT 1").fetchone()
    db.execute("SELECT number, job_id, kind, moment, body, is_accepted FROM report LIMIT 1").fetchone()


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
        raise ConfigurationError(f"{path}: there is no ledger; expected the work directory of an agent")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            jobs = db.execute("SELECT job_id, body FROM job WHERE ?1 IS NULL OR job_id = ?1 ORDER BY rowid", (job_id,))
            found = [job for number, body in jobs.fetchall() if (job := readable(number, body))]
            return [_story(db, job) for job in found]
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: the ledger cannot be read: {error}") from error


def _story(db: sqlite3.Connection, job: Job) -> Story:
    rows = db.execute(
        "SELECT kind, moment, body, number, is_accepted FROM report WHERE job_id = ? ORDER BY number", (job.job_id,)
    ).fetchall()
    reports = tuple(Report(job.job_id, ReportKind(row[0]), row[1], json.loads(row[2]), row[3]) for row in rows)
    return Story(job, reports, sum(1 for row in rows if not row[4]))


def readable(job_id: int, body: str) -> Job | None:
    """Return a job as it was written; None, and a word in the log, when another version wrote it differently."""
    try:
        return _from_json(body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("ledger.job_unreadable", job_id=job_id, cause=repr(error))
        return None


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Job | MatchedJob | Grant | Outcome):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} does not belong in the ledger")


_to_json = json.JSONEncoder(default=_plain).encode  # not asdict, whose deep copy costs more than the write


def _from_json(text: str) -> Job:
    row = json.loads(text)
    grant, started, end = row["grant"], row["started_at"], row["end"]
    return Job(
        **{
            **row,
            "matched": MatchedJob(**row["matched"]),
            "phase": Phase(row["phase"]),
            "status": JobStatus(row["status"]),
            "grant": _grant(grant) if grant else None,
            "started_at": datetime.fromisoformat(started) if started else None,
            "end": _outcome(end) if end else None,
        }
    )


def _grant(row: dict[str, Any]) -> Grant:
    lists: dict[str, Any] = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Grant(**{**row, **lists})


def _outcome(row: dict[str, str | None]) -> Outcome:
    blame = Blame(row["blame"]) if row["blame"] else None
    return Outcome(JobStatus(row["status"] or ""), row["minor_status"] or "", row["application_status"] or "", blame)
