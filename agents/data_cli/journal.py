"""What `register` has found and done, in a file of its own: written before each call, so that it may end anywhere."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agents.errors import ConfigurationError

_BUSY_S = 1.0
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (path TEXT PRIMARY KEY, is_listed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    lfn TEXT PRIMARY KEY, size INTEGER, adler32 INTEGER, guid TEXT, state TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
"""


class State(StrEnum):
    """Where a file stands."""

    FOUND = "found"
    SENDING = "sending"  # the catalogue may know it
    DONE = "done"
    KNOWN = "known"  # the catalogue knew it before, with this content
    CLASH = "clash"  # the catalogue knows it with other content
    REFUSED = "refused"
    NO_LFN = "no_lfn"  # its name is none; another try is no use


_TO_DO = (State.FOUND, State.SENDING)
_AGAIN = (State.CLASH, State.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that lies on the element.

    Attributes:
        lfn: its name.
        size_bytes: as far as it is known.
        adler32: as far as it is known.
        guid: under which it was sent, empty if it was not.
    """

    lfn: str
    size_bytes: int | None
    adler32: int | None
    guid: str = ""


class Journal:
    """One registration, of one directory of one element. Any thread may call.

    Args:
        path: of the file.
        element: whose directory it is.
        directory: its LFN.

    Raises:
        ConfigurationError: it is of another directory, in use, or no such file.
    """

    def __init__(self, path: Path, element: str, directory: str) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_TABLES)
            self._begin(path, {"element": element, "directory": directory})
        except sqlite3.Error as error:
            raise ConfigurationError(f"{path}: it cannot be the journal of this registration: {error}") from error

    def _begin(self, path: Path, wanted: Mapping[str, str]) -> None:
        """Take note of what it is about; where a former run has ended, folders are listed and files tried again."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", wanted.items())
            held = dict(self._db.execute("SELECT name, value FROM facts"))
            if held != wanted:
                raise ConfigurationError(
                    f"{path}: it is the journal of {held['element']} {held['directory']}; name another by --journal"
                )
            if not self._db.execute("SELECT 1 FROM folders WHERE NOT is_listed LIMIT 1").fetchone():
                self._db.execute("UPDATE folders SET is_listed = 0")
            self._db.execute("UPDATE files SET state = ?, reason = '' WHERE state IN (?, ?)", (State.FOUND, *_AGAIN))
            self._db.execute("INSERT OR IGNORE INTO folders VALUES (?, 0)", (wanted["directory"],))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def folders(self, most: int) -> list[str]:
        """Return some folders that are not listed yet."""
        return [path for (path,) in self._rows("SELECT path FROM folders WHERE NOT is_listed LIMIT ?", most)]

    def found(self, files: Sequence[Found], unnamed: Mapping[str, str], folders: Sequence[str]) -> None:
        """Take note of what lies in a folder; of what is known already only a size that has changed counts."""
        rows = [(file.lfn, file.size_bytes, file.adler32, State.FOUND, "") for file in files]
        rows += [(name, None, None, State.NO_LFN, reason) for name, reason in unnamed.items()]
        query = (
            "INSERT INTO files (lfn, size, adler32, state, reason) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (lfn) DO UPDATE SET size = excluded.size, adler32 = excluded.adler32, guid = NULL,"
            " state = excluded.state WHERE excluded.size IS NOT NULL AND size IS NOT excluded.size"
        )
        self._write((query, rows), ("INSERT OR IGNORE INTO folders VALUES (?, 0)", [(path,) for path in folders]))

    def listed(self, folder: str) -> None:
        """Take note that all that lies in a folder was found."""
        self._write(("UPDATE folders SET is_listed = 1 WHERE path = ?", [(folder,)]))

    def batches(self, most: int) -> Iterator[list[Found]]:
        """Yield the files that are to be registered, so many at a time, each once."""
        last = ""
        query = "SELECT lfn, size, adler32, guid FROM files WHERE lfn > ? AND state IN (?, ?) ORDER BY lfn LIMIT ?"
        while rows := self._rows(query, last, *_TO_DO, most):
            last = rows[-1][0]
            yield [Found(lfn=lfn, size_bytes=size, adler32=summed, guid=guid or "") for lfn, size, summed, guid in rows]

    def sending(self, files: Sequence[Found]) -> None:
        """Take note of what the catalogue is about to be told."""
        query = "UPDATE files SET size = ?, adler32 = ?, guid = ?, state = ? WHERE lfn = ?"
        self._write(
            (query, [(file.size_bytes, file.adler32, file.guid, State.SENDING, file.lfn) for file in files]),
        )

    def settle(self, states: Mapping[str, tuple[State, str]]) -> None:
        """Take note of what has become of files, with the reasons."""
        rows = [(state, reason, lfn) for lfn, (state, reason) in states.items()]
        self._write(("UPDATE files SET state = ?, reason = ? WHERE lfn = ?", rows))

    def counts(self) -> dict[State, int]:
        """Return how many files are in each state."""
        held = dict(self._rows("SELECT state, count(*) FROM files GROUP BY state"))
        return {state: held.get(state, 0) for state in State}

    def not_done(self, most: int) -> list[tuple[str, str, str]]:
        """Return state, name and reason of some files that were not registered."""
        query = "SELECT state, lfn, reason FROM files WHERE state IN (?, ?, ?) ORDER BY lfn LIMIT ?"
        return [(str(state), lfn, reason) for state, lfn, reason in self._rows(query, *_AGAIN, State.NO_LFN, most)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _write(self, *changes: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for query, rows in changes:
                self._db.executemany(query, rows)
