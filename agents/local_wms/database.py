"""The SQLite file behind all services: its tables, and short ways to use them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Columns that DIRAC's clients can ask for have DIRAC's names.
SCHEMA = """
CREATE TABLE IF NOT EXISTS Jobs (
    JobID INTEGER PRIMARY KEY AUTOINCREMENT,
    JobName TEXT NOT NULL, JobType TEXT NOT NULL, JobGroup TEXT NOT NULL,
    Owner TEXT NOT NULL, OwnerGroup TEXT NOT NULL, VO TEXT NOT NULL,
    Site TEXT NOT NULL DEFAULT 'ANY',
    Status TEXT NOT NULL, MinorStatus TEXT NOT NULL, ApplicationStatus TEXT NOT NULL DEFAULT 'Unknown',
    SubmissionTime TEXT NOT NULL, LastUpdateTime TEXT NOT NULL, RescheduleTime TEXT,
    StartExecTime TEXT, EndExecTime TEXT, HeartBeatTime TEXT,
    UserPriority INTEGER NOT NULL DEFAULT 0, RescheduleCounter INTEGER NOT NULL DEFAULT 0,
    VerifiedFlag TEXT NOT NULL DEFAULT 'True', AccountedFlag TEXT NOT NULL DEFAULT 'False',
    OriginalJDL TEXT NOT NULL, JDL TEXT NOT NULL DEFAULT '', TQId INTEGER
);
CREATE INDEX IF NOT EXISTS WaitingJobs ON Jobs (TQId, UserPriority DESC, JobID) WHERE Status = 'Waiting';
CREATE TABLE IF NOT EXISTS TaskQueues (
    TQId INTEGER PRIMARY KEY, Wish TEXT NOT NULL UNIQUE, WhyWaiting TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS Logging (
    JobID INTEGER NOT NULL, Status TEXT NOT NULL, MinorStatus TEXT NOT NULL, ApplicationStatus TEXT NOT NULL,
    StatusTime TEXT NOT NULL, Source TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS LoggingOfJob ON Logging (JobID, StatusTime);
CREATE TABLE IF NOT EXISTS Parameters (
    JobID INTEGER NOT NULL, Name TEXT NOT NULL, Value TEXT NOT NULL, PRIMARY KEY (JobID, Name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS HeartBeats (
    JobID INTEGER NOT NULL, Name TEXT NOT NULL, Value TEXT NOT NULL, HeartBeatTime TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS HeartBeatsOfJob ON HeartBeats (JobID);
CREATE TABLE IF NOT EXISTS Commands (
    JobID INTEGER NOT NULL, Command TEXT NOT NULL, Argument TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS CommandsOfJob ON Commands (JobID);
CREATE TABLE IF NOT EXISTS Pilots (
    PilotID INTEGER PRIMARY KEY, PilotJobReference TEXT NOT NULL UNIQUE, PilotStamp TEXT NOT NULL, VO TEXT NOT NULL,
    GridType TEXT NOT NULL, Status TEXT NOT NULL, StatusReason TEXT NOT NULL DEFAULT '',
    DestinationSite TEXT NOT NULL DEFAULT 'NotAssigned', GridSite TEXT NOT NULL DEFAULT 'Unknown',
    Queue TEXT NOT NULL DEFAULT 'Unknown', BenchMark REAL NOT NULL DEFAULT 0.0, CurrentJobID INTEGER NOT NULL DEFAULT 0,
    AccountingSent TEXT NOT NULL DEFAULT 'False', SubmissionTime TEXT NOT NULL, LastUpdateTime TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS PilotJobs (
    PilotID INTEGER NOT NULL, JobID INTEGER NOT NULL, PRIMARY KEY (PilotID, JobID)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Sandboxes (
    Path TEXT PRIMARY KEY, Owner TEXT NOT NULL, OwnerGroup TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS SandboxUses (
    Entity TEXT NOT NULL, Type TEXT NOT NULL, Path TEXT NOT NULL, PRIMARY KEY (Entity, Type, Path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Files (
    FileID INTEGER PRIMARY KEY, LFN TEXT NOT NULL UNIQUE, Size INTEGER NOT NULL, Checksum TEXT NOT NULL,
    GUID TEXT NOT NULL UNIQUE, Owner TEXT NOT NULL, OwnerGroup TEXT NOT NULL, CreationDate TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS Replicas (
    LFN TEXT NOT NULL, SE TEXT NOT NULL, PRIMARY KEY (LFN, SE)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Requests (
    RequestID INTEGER PRIMARY KEY AUTOINCREMENT, RequestName TEXT NOT NULL, JobID INTEGER NOT NULL,
    Owner TEXT NOT NULL, OwnerGroup TEXT NOT NULL, Status TEXT NOT NULL, Body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS RequestsOfJob ON Requests (JobID);
"""


class Database:
    """One connection, used by one thread; sqlite3 keeps its statements prepared."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def changes(self) -> int:
        """How many rows were written so far by this process: while it is the same, every query has the same answer."""
        return self._connection.total_changes

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row of a query, if any."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, None when there is no row."""
        row = self.one(sql, *values)
        return None if row is None else row[0]

    def run(self, sql: str, *values: Any) -> int:
        """Change something; return the id of a row just inserted."""
        return self._connection.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Change something once for each of `values`."""
        self._connection.executemany(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it; blocks may stand in each other."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Write back the journal and let go of the file."""
        self._connection.close()


def open_database(path: Path | str) -> Database:
    """Open the file, with its tables made if they are not there yet; `:memory:` for none."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    return Database(connection)
