"""The director's memory of its pilots: SQLite in the work directory. Every step is written here before its effect.

A pilot's new state and what the WMS is to be told of it are one transaction, and a transaction is on the disk when the
call returns (WAL, synchronous=FULL): a kill or a power cut at any instant leaves both or neither.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path

from agents.errors import NodeUnfit
from agents.site_director.pilots import Pilot, PilotReport, State
from agents.site_director.supply import Outcome

NAME = "pilots.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pilot (
    stamp TEXT PRIMARY KEY, queue TEXT NOT NULL, state TEXT NOT NULL, decided_s REAL NOT NULL, ended_s REAL NOT NULL,
    body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pilot_state ON pilot (state);
CREATE INDEX IF NOT EXISTS pilot_queue ON pilot (queue, decided_s);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, stamp TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hold (queue TEXT PRIMARY KEY, reason TEXT NOT NULL);
"""
_SAVE = "INSERT OR REPLACE INTO pilot (stamp, queue, state, decided_s, ended_s, body) VALUES (?, ?, ?, ?, ?, ?)"
_FINAL = "('Done', 'Failed', 'Aborted')"
_KEPT = 10_000  # ended pilots
_FIELDS = frozenset(field.name for field in fields(Pilot))


class PilotLedger:
    """All pilots, and what the WMS was not told yet. Safe to use from several threads, and read by other processes.

    Every method raises NodeUnfit where the file cannot be read or written: nothing is submitted then.

    Args:
        path: of the file; made when missing.
        busy_s: how long to wait for another program that has locked it.
    """

    def __init__(self, path: Path, busy_s: float = 10.0) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=busy_s, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise NodeUnfit(f"{path}: the ledger of pilots cannot be opened: {error}") from error

    def save(self, pilots: Iterable[Pilot], reports: Iterable[PilotReport] = ()) -> None:
        """Write pilots as they are now, and what is to be told of them, in one transaction."""
        rows = [(p.stamp, p.queue, p.state, p.decided_s, p.ended_s, json.dumps(asdict(p))) for p in pilots]
        told = [(report.stamp, report.status, report.reason) for report in reports]
        with self._using() as db:
            db.executemany(_SAVE, rows)
            db.executemany("INSERT INTO outbox (stamp, status, reason) VALUES (?, ?, ?)", told)

    def open(self) -> list[Pilot]:
        """Return the pilots that have not ended, or of whose end something is still to be found out."""
        query = f"SELECT body FROM pilot WHERE state NOT IN {_FINAL} ORDER BY decided_s, rowid"  # noqa: S608 - our text
        return self._pilots(query)

    def newest(self, queue: str, limit: int) -> list[Pilot]:
        """Return the pilots of a queue that were decided last, the newest first."""
        return self._pilots("SELECT body FROM pilot WHERE queue = ? ORDER BY decided_s DESC LIMIT ?", queue, limit)

    def ended(self, limit: int) -> list[Pilot]:
        """Return the pilots that ended last, the newest first."""
        query = f"SELECT body FROM pilot WHERE state IN {_FINAL} ORDER BY ended_s DESC LIMIT ?"  # noqa: S608 - our text
        return self._pilots(query, limit)

    def of(self, stamps: Sequence[str]) -> dict[str, Pilot]:
        """Return the pilots with these stamps."""
        found = (self._pilots("SELECT body FROM pilot WHERE stamp = ?", stamp) for stamp in stamps)
        return {pilot.stamp: pilot for pilots in found for pilot in pilots}

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many pilots there are, by queue and state."""
        with self._using() as db:
            rows = db.execute("SELECT queue, state, COUNT(*) FROM pilot GROUP BY queue, state").fetchall()
        return {(queue, state): number for queue, state, number in rows}

    def waits_s(self, queue: str, limit: int = 20) -> list[float]:
        """Return how long the pilots of a queue that started last had waited, newest last."""
        started = [pilot for pilot in self.newest(queue, 10 * limit) if pilot.started_s]
        return [max(0.0, pilot.started_s - pilot.submitted_s) for pilot in reversed(started[:limit])]

    def outcomes(self, queue: str, limit: int = 20) -> list[Outcome]:
        """Return what came of the pilots of a queue that ended last, newest last."""
        told = [pilot for pilot in self.newest(queue, 10 * limit) if pilot.found_work is not None]
        told.sort(key=lambda pilot: pilot.ended_s)
        return [Outcome(bool(pilot.found_work), pilot.is_probe) for pilot in told[-limit:]]

    def unsent(self, limit: int = 500) -> list[PilotReport]:
        """Return what the WMS has not accepted, in order."""
        query = "SELECT stamp, status, reason, number FROM outbox ORDER BY number LIMIT ?"
        with self._using() as db:
            return [PilotReport(*row) for row in db.execute(query, (limit,)).fetchall()]

    def sent(self, reports: Iterable[PilotReport]) -> None:
        """Take note that the WMS has accepted these."""
        with self._using() as db:
            db.executemany("DELETE FROM outbox WHERE number = ?", [(report.number,) for report in reports])

    def hold(self, queue: str, reason: str) -> None:
        """Submit nothing to a queue from now on."""
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO hold VALUES (?, ?)", (queue, reason))

    def release(self, queue: str) -> None:
        """Submit to it again."""
        with self._using() as db:
            db.execute("DELETE FROM hold WHERE queue = ?", (queue,))

    def holds(self) -> dict[str, str]:
        """Return why each held queue is."""
        with self._using() as db:
            return dict(db.execute("SELECT queue, reason FROM hold").fetchall())

    def note(self, facts: Mapping[str, object]) -> None:
        """Write down, for whoever looks from outside, what is thought of things; not for decisions."""
        with self._using() as db:
            db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", [(n, json.dumps(v)) for n, v in facts.items()])

    def facts(self) -> dict[str, object]:
        """Return what was noted."""
        with self._using() as db:
            return {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM fact").fetchall()}

    def forget_old(self) -> None:
        """Remove the oldest of many ended pilots that nobody has to be told of."""
        newest = f"SELECT stamp FROM pilot WHERE state IN {_FINAL} ORDER BY ended_s DESC LIMIT ?"  # noqa: S608 - our text
        told = "stamp NOT IN (SELECT stamp FROM outbox)"
        query = f"DELETE FROM pilot WHERE state IN {_FINAL} AND {told} AND stamp NOT IN ({newest})"  # noqa: S608 - as above
        with self._using() as db:
            db.execute(query, (_KEPT,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _pilots(self, query: str, *values: object) -> list[Pilot]:
        with self._using() as db:
            rows = db.execute(query, values).fetchall()
        return [_pilot(body) for (body,) in rows]

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; what is changed is one transaction, all of it or nothing."""
        try:
            with self._lock, self._db:
                yield self._db
        except sqlite3.Error as error:
            raise NodeUnfit(f"{self._path}: the ledger of pilots cannot be read or written: {error}") from error


def _pilot(body: str) -> Pilot:
    """Return a pilot as it was written; what another version wrote besides is left out."""
    written = {name: value for name, value in json.loads(body).items() if name in _FIELDS}
    return Pilot(**{**written, "state": State(written["state"])})
