"""The agent's memory of its jobs: SQLite in the work directory. Every step is written here before its effect.

One transaction writes a job's new phase together with the reports it causes, so a kill at any instant leaves
either both or neither. WAL with synchronous=NORMAL: nothing is lost when the process dies. A power failure takes back
what was written since `make_last`, which is called before anything that cannot be taken back: before a task begins, and
before the WMS is told.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from agents.errors import NodeUnfit
from agents.jobs import ledger_archive, transfer_steps
from agents.jobs.disk_reserve import DiskReserve
from agents.jobs.early_sync import EarlySync
from agents.jobs.job import Job, JobStatus, Phase
from agents.jobs.ledger_record import readable, to_json
from agents.jobs.ledger_schema import opened, sync
from agents.jobs.transfer_steps import Upload
from agents.log import EventLog

log = EventLog("ledger")

# An update in place keeps the row's number, and with it the order of arrival; REPLACE would not.
_SAVE = """
INSERT INTO job (job_id, attempt, phase, body, moments) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (job_id, attempt) DO UPDATE SET
    moments = CASE WHEN job.phase = excluded.phase THEN job.moments ELSE job.moments || excluded.moments END,
    phase = excluded.phase, body = excluded.body
"""
_LAST = (JobStatus.DONE, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED, JobStatus.RESCHEDULED)
_KEPT_JOBS = 1000  # closed jobs that can still be explained
_MOST_IDLE_NOTES = 10_000


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

    @property
    def is_last_word(self) -> bool:
        """Tell whether it ends the attempt at the job: nothing follows that it could wait for."""
        return self.kind is ReportKind.RESCHEDULE or self.body.get("Status") in _LAST


class Ledger:
    """Jobs in hand and reports not yet accepted. Safe to use from several threads.

    When the file cannot be written any more (disk full, read-only, I/O error) it goes on in memory, see `lasts`; every
    method raises NodeUnfit when it cannot be read either.

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
        self._db = opened(path, busy_s)
        self._reserve = DiskReserve(path.with_suffix(".reserve"))
        self._reserve.hold()
        self._lasts = True
        self._written = self._on_disk = 0  # how many changes
        self._early = EarlySync(lambda: sync(path))
        self._tell_closed: Callable[[Job], object] = lambda _: None

    @property
    def lasts(self) -> bool:
        """False once the file cannot be written any more: what happens from then on is remembered in memory only."""
        return self._lasts

    def begin_to_last(self) -> None:
        """Begin, in a thread, with what `make_last` does; that waits for less then."""
        if self._lasts and self._early.covers <= self._on_disk < self._written:
            self._early.begin(self._written)

    def make_last(self) -> None:
        """Return once all that was written before is where no power failure takes it back, or `lasts` is False.

        Raises:
            NodeUnfit: it can be neither brought to the disk nor read any more.
        """
        written = self._written
        if self._on_disk >= written or not self._lasts:
            return
        try:
            if self._early.covers > self._on_disk:
                self._on_disk = max(self._on_disk, self._early.wait())
            if self._on_disk < written:
                sync(self._path)  # without the lock: others may read and write meanwhile
                self._on_disk = max(self._on_disk, written)
        except OSError as error:
            with self._lock:
                if self._lasts:
                    self._go_on_in_memory(error)

    def has_space(self) -> bool:
        """Tell whether there is room on the disk for whatever a new job may bring; else take none on."""
        return self._lasts and self._reserve.hold()

    def save(self, job: Job, reports: Sequence[Report] = ()) -> None:
        """Write a job's present state and what the WMS has to be told of it, in one transaction."""
        said = [] if job.job_id in self._disowned else reports
        rows = [(r.job_id, r.kind, r.moment, json.dumps(dict(r.body))) for r in said]

        def change(db: sqlite3.Connection) -> None:
            db.execute(_SAVE, (job.job_id, job.attempt, job.phase, to_json(job), moment))
            if rows:
                db.executemany("INSERT INTO report (job_id, kind, moment, body) VALUES (?, ?, ?, ?)", rows)
            if job.phase is Phase.CLOSED:
                ledger_archive.shorten(db, _KEPT_JOBS)
                transfer_steps.forget(db, job.stamp)

        moment = f"{job.phase}={self._now():.3f} "
        self._write(change)
        if job.phase is Phase.CLOSED:
            self._tell_closed(job)

    def notify(self, closed: Callable[[Job], object]) -> None:
        """From now on tell of each job that is closed, in the thread that closes it."""
        self._tell_closed = closed

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

    def idles(self, why: str) -> None:
        """Take note why processors that are free from now on have no job; the oldest notes make room for new ones."""
        now_s = self._now()

        def change(db: sqlite3.Connection) -> None:
            note = db.execute("INSERT INTO idle (at_s, why) VALUES (?, ?)", (now_s, why)).lastrowid or 0
            db.execute("DELETE FROM idle WHERE number <= ?", (note - _MOST_IDLE_NOTES,))

        self._write(change)

    def pilots(self) -> list[str]:
        """Return the references of all pilots whose agents have worked here, the latest first."""
        with self._reading() as db:
            rows = db.execute("SELECT body FROM life ORDER BY number DESC").fetchall()
        return list(dict.fromkeys(str(pilot) for (body,) in rows if (pilot := json.loads(body).get("pilot"))))

    def open_jobs(self) -> list[Job]:
        """Return the jobs that are not closed, oldest first; one that another version wrote differently is left out."""
        with self._reading() as db:
            rows = db.execute("SELECT job_id, body FROM job WHERE phase <> 'closed' ORDER BY rowid").fetchall()
        return [job for job_id, body in rows if (job := readable(job_id, body))]

    def attempts(self, job_id: int) -> int:
        """Return how often this job was matched here before; from the next attempt on it is ours again."""
        self._disowned.discard(job_id)
        with self._reading() as db:
            row = db.execute(ledger_archive.ATTEMPTS, (job_id,)).fetchone()
        return int(row[0])

    def has(self, job_id: int, attempt: int) -> bool:
        """Tell whether this attempt at a job is written here and can be read."""
        query = "SELECT body FROM job WHERE job_id = ?1 AND attempt = ?2"
        query += " UNION SELECT body FROM past WHERE job_id = ?1 AND attempt = ?2"
        with self._reading() as db:
            row = db.execute(query, (job_id, attempt)).fetchone()
        return row is not None and readable(job_id, row[0]) is not None

    def has_ended(self, job_id: int) -> bool:
        """Tell whether an attempt at this job has ended here, told or not yet."""
        query = """SELECT 1 FROM job WHERE job_id = ?1 AND phase IN ('reporting', 'closed')
            UNION SELECT 1 FROM past WHERE job_id = ?1"""
        with self._reading() as db:
            return db.execute(query, (job_id,)).fetchone() is not None

    def last_moment(self) -> datetime | None:
        """Return the latest moment that any report has, whoever has heard it; None when there is none."""
        with self._reading() as db:
            (last,) = db.execute("SELECT MAX(moment) FROM report").fetchone()
        try:
            return datetime.fromisoformat(last).replace(tzinfo=UTC) if last else None
        except ValueError:  # written differently by another version
            return None

    def unsent(self, limit: int = 500) -> list[Report]:
        """Return reports that the WMS has not accepted, in order; accounts are not among them."""
        return self._unsent("kind <> 'account'", limit)

    def count_unsent(self) -> int:
        """Return how many reports the WMS has not accepted, accounts among them."""
        with self._reading() as db:
            return int(db.execute("SELECT COUNT(*) FROM report WHERE is_accepted = 0").fetchone()[0])

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

    def begin_request(self, reference: str, offer: Mapping[str, object]) -> int:
        """Take note that a job is about to be asked for, as which pilot and with what offer; return a number for it."""
        row = (reference, json.dumps(dict(offer), default=str))
        numbers: list[int] = []

        def change(db: sqlite3.Connection) -> None:
            cursor = db.execute("INSERT INTO request (reference, offer) VALUES (?, ?)", row)
            numbers.append(cursor.lastrowid or 0)

        self._write(change)
        return numbers[-1]

    def open_requests(self) -> dict[int, str]:
        """Return the requests of which nobody knows what came of them, with the pilot's reference of each."""
        with self._reading() as db:
            return dict(db.execute("SELECT number, reference FROM request ORDER BY number").fetchall())

    def end_requests(self, numbers: Collection[int]) -> None:
        """Take note that what came of these requests is known."""
        self._write(lambda db: db.executemany("DELETE FROM request WHERE number = ?", [(n,) for n in numbers]))

    def uploads(self, stamp: str) -> list[Upload]:
        """Return what a task's output data have come to, in the order of their names."""
        with self._reading() as db:
            return transfer_steps.read(db, stamp)

    def save_uploads(self, uploads: Sequence[Upload]) -> None:
        """Write what output data have come to, all of it in one transaction, and bring it to the disk."""
        self._write(lambda db: transfer_steps.write(db, uploads))
        self.make_last()

    def fact(self, name: str, value: str) -> str:
        """Return a fact as it was first written; write it when it is new."""
        self._write(lambda db: db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (name, value)))
        with self._reading() as db:
            return str(db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0])

    def keep(self, name: str, value: str) -> None:
        """Write a fact as it is now, over what it was."""
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value)))

    def close(self) -> None:
        """Close the file."""
        self._early.close()
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
        with self._lock:
            try:
                with self._db:
                    change(self._db)
            except sqlite3.Error as error:
                self._write_all_the_same(change, error)
            self._written += 1

    def _write_all_the_same(self, change: Callable[[sqlite3.Connection], object], error: sqlite3.Error) -> None:
        try:
            if self._reserve.release():
                log.error("ledger.reserve_released", cause=error)
                with self._db:
                    change(self._db)
                return
        except sqlite3.Error as again:
            error = again
        self._go_on_in_memory(error)
        try:
            with self._db:
                change(self._db)
        except sqlite3.Error as ours:
            raise NodeUnfit(f"{self._path}: the ledger does not take this: {ours}") from ours

    def _go_on_in_memory(self, error: Exception) -> None:
        """Leave the file as it is: the jobs in hand can still be followed and told of, by this process."""
        if not self._lasts:
            raise NodeUnfit(f"{self._path}: the ledger cannot be written: {error}") from error
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._db.backup(memory)
        except sqlite3.Error as unreadable:
            raise NodeUnfit(f"{self._path}: the ledger cannot be read or written: {unreadable}") from unreadable
        self._db, self._lasts = memory, False
        log.error("ledger.in_memory", cause=error, note="no job is taken any more; those in hand are told of")
