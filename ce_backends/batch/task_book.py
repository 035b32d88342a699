"""What a batch CE must remember of its tasks, in one SQLite file: written before anything is submitted."""

import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ce_backends.base import TaskSpec, TaskStatus
from ce_backends.errors import CEUnavailable
from ce_backends.task.record import parse_status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    stamp TEXT PRIMARY KEY, job TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, task_id TEXT,
    outputs TEXT NOT NULL, capped TEXT NOT NULL, submitted_at REAL NOT NULL, seen_at REAL NOT NULL,
    is_cancelled INTEGER NOT NULL DEFAULT 0, end TEXT
);
CREATE INDEX IF NOT EXISTS jobs ON tasks (job);
CREATE INDEX IF NOT EXISTS task_ids ON tasks (task_id);
"""
_COLUMNS = "stamp, job, number, size, task_id, outputs, capped, submitted_at, seen_at, is_cancelled, end"
_AT_ONCE = 500  # values in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One task.

    Attributes:
        stamp: its own.
        job: name of the batch job it is in, the stamp of that job's first task.
        number: its number there, counted from 1.
        size: how many tasks that job has.
        task_id: the batch system's id; None while no answer to its submission is known.
        outputs: glob patterns.
        capped: log files in its work directory.
        submitted_at: in seconds of the system's clock, which is the same after a restart.
        seen_at: when the batch system last knew it, in seconds since the boot: filled in by who looks.
        is_cancelled: its end was asked for.
        end: its final status, None while there is none.
    """

    stamp: str
    job: str
    number: int
    size: int
    task_id: str | None
    outputs: Sequence[str]
    capped: Sequence[str]
    submitted_at: float
    seen_at: float
    is_cancelled: bool
    end: TaskStatus | None


class TaskBook:
    """Entries by stamp and by task id. Used by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._opened is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._opened = sqlite3.connect(self._path, check_same_thread=False)
                    self._opened.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
                with self._opened:
                    yield self._opened
            except (sqlite3.Error, OSError) as error:
                raise CEUnavailable(f"{self._path} cannot be used: {error}") from error

    def open_job(self, job: str, tasks: Sequence[TaskSpec], now: float) -> None:
        """Write down that these tasks are about to be submitted as one job."""
        rows = [
            (
                task.stamp,
                job,
                number,
                len(tasks),
                json.dumps(list(task.outputs)),
                json.dumps(list(task.capped)),
                now,
                now,
            )
            for number, task in enumerate(tasks, 1)
        ]
        with self._connection() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO tasks (stamp, job, number, size, outputs, capped, submitted_at, seen_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def accept(self, task_ids: Mapping[str, str]) -> None:
        """Write down the batch system's ids, by stamp."""
        with self._connection() as connection:
            connection.executemany(
                "UPDATE tasks SET task_id = ? WHERE stamp = ?",
                [(task_id, stamp) for stamp, task_id in task_ids.items()],
            )

    def cancel(self, stamps: Iterable[str]) -> None:
        """Write down that the end of these tasks is about to be asked for."""
        with self._connection() as connection:
            connection.executemany("UPDATE tasks SET is_cancelled = 1 WHERE stamp = ?", [(stamp,) for stamp in stamps])

    def end(self, ends: Mapping[str, TaskStatus]) -> None:
        """Write down final statuses, by stamp."""
        with self._connection() as connection:
            connection.executemany(
                "UPDATE tasks SET end = ? WHERE stamp = ?",
                [(json.dumps(asdict(status)), stamp) for stamp, status in ends.items()],
            )

    def forget(self, stamps: Iterable[str]) -> None:
        """Remove these entries."""
        with self._connection() as connection:
            connection.executemany("DELETE FROM tasks WHERE stamp = ?", [(stamp,) for stamp in stamps])

    def by_stamp(self, stamps: Collection[str]) -> dict[str, Entry]:
        """Return the entries of these stamps."""
        return {entry.stamp: entry for entry in self._where("stamp", stamps)}

    def by_task_id(self, task_ids: Collection[str]) -> dict[str, Entry]:
        """Return the entries of these task ids."""
        return {entry.task_id: entry for entry in self._where("task_id", task_ids) if entry.task_id}

    def of_jobs(self, jobs: Collection[str]) -> dict[str, list[Entry]]:
        """Return all entries of these batch jobs, by job name."""
        found: dict[str, list[Entry]] = {}
        for entry in self._where("job", jobs):
            found.setdefault(entry.job, []).append(entry)
        return found

    def running(self) -> list[Entry]:
        """Return the entries that were accepted and have not ended."""
        with self._connection() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM tasks WHERE task_id IS NOT NULL AND end IS NULL")  # noqa: S608
            return [_entry(row) for row in rows]

    def _where(self, column: str, values: Collection[str]) -> list[Entry]:
        wanted, found = list(values), []
        with self._connection() as connection:
            for at in range(0, len(wanted), _AT_ONCE):
                some = wanted[at : at + _AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT {_COLUMNS} FROM tasks WHERE {column} IN ({marks}) ORDER BY submitted_at"  # noqa: S608 # a name of ours
                found += [_entry(row) for row in connection.execute(query, some)]
        return found

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened:
                self._opened.close()
                self._opened = None


def _entry(row: tuple[str, str, int, int, str | None, str, str, float, float, int, str | None]) -> Entry:
    stamp, job, number, size, task_id, outputs, capped, submitted_at, seen_at, is_cancelled, end = row
    return Entry(
        stamp=stamp,
        job=job,
        number=number,
        size=size,
        task_id=task_id,
        outputs=json.loads(outputs),
        capped=json.loads(capped),
        submitted_at=submitted_at,
        seen_at=seen_at,
        is_cancelled=bool(is_cancelled),
        end=parse_status(end) if end else None,
    )
