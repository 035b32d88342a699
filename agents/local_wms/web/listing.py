"""What the page of all jobs shows: one sheet of the jobs that were asked for, counts of all, and the pilots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.local_wms.database import Database
from agents.local_wms.services.base import Caller
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.state_machine import JobStatus
from agents.local_wms.web.permits import reads_all_logs
from ce_backends.untrusted.text import visible

SHEET = 50  # jobs that are sent at a time, however many there are
PILOTS = 20
MOST_TEXT = 300  # characters of one value
_MOST_SHEETS = 10**6
_MOST_KEPT = 32  # answers that are still right as long as nothing in the database has changed
_ORDER = {
    "job": "JobID",
    "name": "JobName",
    "owner": "Owner",
    "status": "Status",
    "site": "Site",
    "changed": "LastUpdateTime",
}
# Those that somebody may want to do something about are first, until somebody sorts.
_RANK = """
CASE Status WHEN 'Running' THEN 0 WHEN 'Completing' THEN 0 WHEN 'Matched' THEN 0 WHEN 'Stalled' THEN 1
    WHEN 'Failed' THEN 1 WHEN 'Waiting' THEN 2 ELSE 3 END, JobID DESC
"""
_JOBS = """
SELECT JobID, JobName, Owner, Status, MinorStatus, ApplicationStatus, Site, LastUpdateTime,
    CASE Status WHEN 'Waiting' THEN WhyWaiting ELSE '' END
FROM Jobs LEFT JOIN TaskQueues USING (TQId)
"""
_FOUND = """
WHERE (?1 = '' OR Status = ?1) AND (?2 = '' OR instr(lower(JobID || ' ' || JobName || ' ' || Owner || ' ' ||
    MinorStatus || ' ' || ApplicationStatus || ' ' || Site), ?2)) AND (?3 = '' OR JobID IN
    (SELECT PilotJobs.JobID FROM PilotJobs JOIN Pilots USING (PilotID) WHERE PilotJobReference = ?3))
"""
_PILOTS = """
SELECT PilotJobReference, Status, StatusReason, GridSite, DestinationSite, Queue, CurrentJobID, LastUpdateTime,
    PilotStamp, EXISTS (SELECT 1 FROM PilotJobs p JOIN Jobs USING (JobID)
        WHERE p.PilotID = Pilots.PilotID AND Owner = ?1)
FROM Pilots ORDER BY Status != 'Running', PilotID DESC LIMIT ?2 OFFSET ?3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which jobs, in which order, which sheet of them; and which sheet of pilots.

    Attributes:
        status: of the jobs, empty for any.
        pilot: by its reference, which had them; empty for any.
        text: that is found in what a job says, in small letters; empty for any.
        by: a column; empty for those first that may need somebody.
        down: the largest first.
        sheet: 0 for the first.
        pilots: the same of pilots.
    """

    status: str = ""
    pilot: str = ""
    text: str = ""
    by: str = ""
    down: bool = False
    sheet: int = 0
    pilots: int = 0


def asked_in(query: Mapping[str, str]) -> Asked:
    """Read what a browser asks for.

    Raises:
        ValueError: there is no such column, status or sheet.
    """
    by, status = query.get("by", ""), query.get("status", "")
    if by and by not in _ORDER:
        raise ValueError(f"column {by!r}: expected one of {', '.join(_ORDER)}")
    return Asked(
        status=JobStatus(status) if status else "",
        pilot=query.get("pilot", "")[:MOST_TEXT],
        text=query.get("text", "")[:MOST_TEXT].lower(),
        by=by,
        down=query.get("down") == "1",
        sheet=_sheet(query.get("sheet", "0")),
        pilots=_sheet(query.get("pilots", "0")),
    )


def _sheet(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if not 0 <= number < _MOST_SHEETS:
        raise ValueError(f"sheet {text[:20]!r}: expected a number from 0 on")
    return number


class Listing:
    """Answers browsers that ask again and again; while nothing has changed that costs no query."""

    def __init__(self, database: Database, logs: PilotLogging) -> None:
        self._database = database
        self._logs = logs
        self._kept: dict[tuple[str, bool, Asked], str] = {}
        self._kept_at = -1

    def as_json(self, caller: Caller, asked: Asked) -> str:
        """Return one sheet, for this caller's eyes."""
        if self._kept_at != self._database.changes or len(self._kept) >= _MOST_KEPT:
            self._kept, self._kept_at = {}, self._database.changes
        key = (caller.username, reads_all_logs(caller), asked)
        if key not in self._kept:
            self._kept[key] = json.dumps(self.sheet(caller, asked), separators=(",", ":"))
        return self._kept[key]

    def sheet(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        """Return the same as a value."""
        rows = self._database.rows("SELECT Status, count(*) FROM Jobs GROUP BY Status ORDER BY Status")
        counts = {str(status): int(count) for status, count in rows}
        is_all = not (asked.status or asked.text or asked.pilot)
        found = sum(counts.values()) if is_all else self._count(asked)
        return {
            "counts": counts,
            "found": found,
            "sheet": asked.sheet,
            "jobs": [_shown(row) for row in self._jobs(asked)],
            "pilot_counts": dict(
                map(tuple, self._database.rows("SELECT Status, count(*) FROM Pilots GROUP BY Status"))
            ),
            "pilots": [self._pilot(caller, row) for row in self._pilots(caller, asked)],
        }

    def _count(self, asked: Asked) -> int:
        return int(self._database.value(f"SELECT count(*) FROM Jobs {_FOUND}", *_found_by(asked)))  # noqa: S608 - our own text

    def _jobs(self, asked: Asked) -> Sequence[Sequence[Any]]:
        down = "DESC" if asked.down else "ASC"
        order = f"{_ORDER[asked.by]} {down}, JobID {down}" if asked.by else _RANK
        sql = f"{_JOBS} {_FOUND} ORDER BY {order} LIMIT {SHEET} OFFSET ?4"
        return self._database.rows(sql, *_found_by(asked), SHEET * asked.sheet)

    def _pilots(self, caller: Caller, asked: Asked) -> Sequence[Sequence[Any]]:
        return self._database.rows(_PILOTS, caller.username, PILOTS, PILOTS * asked.pilots)

    def _pilot(self, caller: Caller, row: Sequence[Any]) -> list[object]:
        """Return what is shown of a pilot; at the end its stamp, where the caller may read its log."""
        *shown, stamp, had_a_job_of_his = row
        may_read = (reads_all_logs(caller) or had_a_job_of_his) and self._logs.file_of(stamp)
        return [*_shown(shown), stamp if may_read else ""]


def _found_by(asked: Asked) -> tuple[str, str, str]:
    return asked.status, asked.text, asked.pilot


def _shown(row: Sequence[Any]) -> list[object]:
    return [value if isinstance(value, int) else text_shown(value) for value in row]


def text_shown(value: object, most: int = MOST_TEXT) -> str:
    """Return a value as people may read it; a script of ours takes it for text, never for HTML."""
    text = "" if value is None else str(value)
    return visible(text if len(text) <= most else f"{text[:most]} …")
