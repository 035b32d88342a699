"""The read-only page of jobs and pilots."""

from collections.abc import Iterable
from html import escape

from agents.local_wms.database import Database
from ce_backends.untrusted.text import visible

MAX_ROWS = 500
STYLE = """
body { font-family: system-ui, sans-serif; margin: 2em; color: #222 }
table { border-collapse: collapse; margin-bottom: 2em }
th, td { text-align: left; padding: .25em .8em; border-bottom: 1px solid #ddd }
th { background: #f4f4f4 }
"""
JOBS = """
SELECT JobID AS Job, JobName AS Name, Owner, Status, MinorStatus AS "Minor status",
    ApplicationStatus AS "Application status", Site, LastUpdateTime AS "Last update (UTC)",
    CASE Status WHEN 'Waiting' THEN WhyWaiting ELSE '' END AS "Why waiting"
FROM Jobs LEFT JOIN TaskQueues USING (TQId) ORDER BY JobID DESC LIMIT ?
"""
PILOTS = """
SELECT PilotJobReference AS Pilot, Status, StatusReason AS Reason, GridSite AS Site, DestinationSite AS CE, Queue,
    CurrentJobID AS "Last job", LastUpdateTime AS "Last update (UTC)"
FROM Pilots ORDER BY PilotID DESC LIMIT ?
"""


def render(database: Database) -> str:
    """Return the page as it is now."""
    counts = database.rows("SELECT Status, count(*) AS Jobs FROM Jobs GROUP BY Status ORDER BY Status")
    summary = ", ".join(f"{row['Jobs']} {row['Status']}" for row in counts) or "no jobs yet"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><meta http-equiv='refresh' content='5'>"
        f"<title>local WMS</title><style>{STYLE}</style></head><body><h1>Local WMS</h1>"
        f"<p>For one machine, demos and tests. {escape(summary)}.</p>"
        f"<h2>Jobs</h2>{_table(database, JOBS)}<h2>Pilots</h2>{_table(database, PILOTS)}</body></html>"
    )


def _table(database: Database, query: str) -> str:
    rows = database.rows(query, MAX_ROWS)
    if not rows:
        return "<p>none</p>"
    head = _row("th", rows[0].keys())
    return f"<table>{head}{''.join(_row('td', row) for row in rows)}</table>"


def _row(tag: str, cells: Iterable[object]) -> str:
    return (
        "<tr>"
        + "".join(f"<{tag}>{escape(visible(str('' if cell is None else cell)))}</{tag}>" for cell in cells)
        + "</tr>"
    )
