"""The ledger's file: its tables, and what is done with a file that is none or none any more."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agents.errors import NodeUnfit
from agents.jobs import ledger_archive
from agents.log import EventLog

log = EventLog("ledger")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    job_id INTEGER, attempt INTEGER, phase TEXT NOT NULL, body TEXT NOT NULL, moments TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, attempt));
DROP INDEX IF EXISTS job_open; -- of an earlier version: a page more for each change, and only a start looks for phases
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, kind TEXT NOT NULL, moment TEXT NOT NULL,
    body TEXT NOT NULL, is_accepted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS report_unsent ON report (number) WHERE is_accepted = 0;
CREATE INDEX IF NOT EXISTS report_job ON report (job_id);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY AUTOINCREMENT, reference TEXT NOT NULL, offer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS transfers (
    stamp TEXT NOT NULL, lfn TEXT NOT NULL, step TEXT NOT NULL, element TEXT NOT NULL, size INTEGER NOT NULL,
    adler32 INTEGER NOT NULL, guid TEXT NOT NULL, tries INTEGER NOT NULL, not_before REAL NOT NULL, name TEXT NOT NULL,
    pfn TEXT NOT NULL, PRIMARY KEY (stamp, lfn)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS life (
    number INTEGER PRIMARY KEY AUTOINCREMENT, started_s REAL NOT NULL, seen_s REAL NOT NULL, reason TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS idle (number INTEGER PRIMARY KEY AUTOINCREMENT, at_s REAL NOT NULL, why TEXT NOT NULL);
"""
# Columns that the first version had not: a report was removed then, once it was accepted.
_NEWER = (("job", "moments", "TEXT NOT NULL DEFAULT ''"), ("report", "is_accepted", "INTEGER NOT NULL DEFAULT 0"))
# On a full disk the space that is kept must do for many changes, so the write-ahead log is to be short; but each time
# that it is full the disk is waited for three times.
_LOG_PAGES = 400
_LOG_BYTES = (_LOG_PAGES + 32) * (4096 + 24)  # https://sqlite.org/fileformat2.html#walformat; the last change goes over
# What says that the file is no ledger, or none any more. Anything else (locked, disk full, I/O error) says nothing
# about its content, which must then stay where the next agent finds it.
_UNREADABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR)


def opened(path: Path, busy_s: float) -> sqlite3.Connection:
    """Return the open ledger; a file that is none is put aside, for it must never stop the agent.

    Raises:
        NodeUnfit: it can be neither opened nor made.
    """
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


def sync(path: Path) -> None:
    """Return once the disk has all that was written to the ledger so far: no power failure takes it back then.

    Raises:
        OSError: it cannot be brought there.
    """
    with suppress(FileNotFoundError):  # no memory can be shared here: SQLite keeps another journal, and syncs it itself
        _sync(f"{path}-wal", os.fdatasync)


def _fill(log: str) -> None:
    """Give the write-ahead log all its blocks at once: to sync what is overwritten costs a tenth of what has grown.

    SQLite reads a log up to the first frame that is not one of it, and it begins at the front again: zeros behind are
    neither read nor in the way.
    """
    fd = os.open(log, os.O_WRONLY | os.O_CLOEXEC)
    try:
        begins = os.fstat(fd).st_size
        os.pwrite(fd, bytes(max(0, _LOG_BYTES - begins)), begins)
    finally:
        os.close(fd)


def _sync(path: Path | str, how: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        how(fd)
    finally:
        os.close(fd)


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
        db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        _renew(db)
        db.executescript(_SCHEMA + ledger_archive.SCHEMA)
        _check(db)
        with suppress(OSError):  # on a full disk it grows as it must
            _fill(f"{path}-wal")
        with suppress(OSError):  # some file systems have no such call for a directory; what is in the files is synced
            _sync(path.absolute().parent, os.fsync)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _renew(db: sqlite3.Connection) -> None:
    """Give a ledger of an earlier version the columns that it lacks, before anything is made of them."""
    for table, column, kind in _NEWER:
        columns = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        if columns and column not in columns:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _check(db: sqlite3.Connection) -> None:
    """Read every page once, so that damage is found now and not in the middle of a job."""
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
    db.execute("SELECT job_id, attempt, phase, body FROM job LIMIT 1").fetchone()
    db.execute("SELECT number, job_id, kind, moment, body, is_accepted FROM report LIMIT 1").fetchone()
