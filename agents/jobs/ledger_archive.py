"""Jobs closed long ago, in the ledger's file: only what the page of the slot shows is kept of them."""

import json
import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS past (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, attempt INTEGER NOT NULL, body TEXT NOT NULL,
    moments TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS past_job ON past (job_id);
"""
ATTEMPTS = """
SELECT COALESCE(MAX(attempt), 0) FROM
    (SELECT attempt FROM job WHERE job_id = ?1 UNION ALL SELECT attempt FROM past WHERE job_id = ?1)
"""
_KEPT = 20_000  # about 15 MB
_OLD = """
SELECT rowid, job_id, attempt, body, moments FROM job
WHERE phase = 'closed' AND rowid <= (SELECT MAX(rowid) FROM job) - ?
"""


def shorten(db: sqlite3.Connection, kept_jobs: int) -> None:
    """Put closed jobs away when so many have come after them; of an attempt that is not closed nothing is lost."""
    for rowid, job_id, attempt, body, moments in db.execute(_OLD, (kept_jobs,)).fetchall():
        row = (job_id, attempt, _without_jdl(body), moments)
        db.execute("INSERT INTO past (job_id, attempt, body, moments) VALUES (?, ?, ?, ?)", row)
        db.execute("DELETE FROM past WHERE number <= (SELECT MAX(number) FROM past) - ?", (_KEPT,))
        db.execute("DELETE FROM job WHERE rowid = ?", (rowid,))
        db.execute(
            "DELETE FROM report WHERE job_id = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE job_id = ?1)", (job_id,)
        )


def _without_jdl(body: str) -> str:
    try:
        row = json.loads(body)
        return json.dumps({**row, "matched": {**row["matched"], "jdl": "", "extra": {}}})
    except (ValueError, KeyError, TypeError):  # written differently by another version
        return body
