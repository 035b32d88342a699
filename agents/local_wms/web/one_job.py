"""All that is known of one job, for its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.local_wms.jobs import UNCHANGED, Jobs
from agents.local_wms.services.base import Caller
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.services.sandbox_store import SandboxStore
from agents.local_wms.web.listing import text_shown
from agents.local_wms.web.permits import reads_all_logs

MOST_ROWS = 500  # of the history, of the parameters
MOST_VALUE = 8000  # characters of one parameter, of a JDL
_HISTORY = """
SELECT StatusTime, Status, MinorStatus, ApplicationStatus, Source FROM
    (SELECT *, rowid AS Number FROM Logging WHERE JobID = ? ORDER BY StatusTime DESC, rowid DESC LIMIT ?)
ORDER BY StatusTime, Number
"""
_PILOTS = """
SELECT PilotJobReference, Status, StatusReason, PilotStamp FROM Pilots JOIN PilotJobs USING (PilotID) WHERE JobID = ?
ORDER BY PilotID
"""
_FACTS = ("Owner", "OwnerGroup", "Site", "SubmissionTime", "StartExecTime", "EndExecTime", "HeartBeatTime")


class OneJob:
    """Tells of jobs, and finds their files; what a caller may read is what the services would give him."""

    def __init__(self, jobs: Jobs, sandboxes: SandboxStore, logs: PilotLogging) -> None:
        self._jobs, self._database = jobs, jobs.database
        self._sandboxes, self._logs = sandboxes, logs

    def told(self, caller: Caller, job_id: int) -> dict[str, Any] | None:
        """Return everything, None when there is no such job."""
        row = self._database.one("SELECT * FROM Jobs WHERE JobID = ?", job_id)
        if row is None:
            return None
        parameters = self._database.rows(
            "SELECT Name, Value FROM Parameters WHERE JobID = ? ORDER BY Name LIMIT ?", job_id, MOST_ROWS
        )
        return {
            "job": job_id,
            "name": text_shown(row["JobName"]),
            "status": text_shown(row["Status"]),
            "minor": text_shown(row["MinorStatus"]),
            "application": "" if row["ApplicationStatus"] == "Unknown" else text_shown(row["ApplicationStatus"]),
            "why": text_shown(self._jobs.why_waiting(job_id)),
            "facts": {name: text_shown(row[name]) for name in _FACTS},
            "history": [_unchanged_left_out(each) for each in self._database.rows(_HISTORY, job_id, MOST_ROWS)],
            "parameters": [[text_shown(name), text_shown(value, MOST_VALUE)] for name, value in parameters],
            "sandboxes": [
                [kind, place, size] for place, (kind, _, size) in enumerate(self._files(caller, job_id)) if size >= 0
            ],
            "pilots": [self._pilot(caller, each) for each in self._database.rows(_PILOTS, job_id)],
            "jdl": text_shown(row["OriginalJDL"], MOST_VALUE),
        }

    def sandbox(self, caller: Caller, job_id: int, place: int) -> tuple[str, Path] | None:
        """Return a sandbox of a job, by which name it is saved and where it lies; None where there is none for him."""
        files = self._files(caller, job_id)
        if place >= len(files) or files[place][2] < 0:
            return None
        kind, file, _ = files[place]
        return f"job_{job_id}_{kind.lower()}_{place}{''.join(file.suffixes)}", file

    def log(self, caller: Caller, stamp: str) -> Path | None:
        """Return a pilot's log; None where there is none for him."""
        had_his = self._database.value(
            "SELECT 1 FROM Pilots JOIN PilotJobs USING (PilotID) JOIN Jobs USING (JobID)"
            " WHERE PilotStamp = ? AND Owner = ? LIMIT 1",
            *(stamp, caller.username),
        )
        return self._logs.file_of(stamp) if had_his or reads_all_logs(caller) else None

    def _files(self, caller: Caller, job_id: int) -> list[tuple[str, Path, int]]:
        """Return the kind, the file and the size of each sandbox; a size below 0 is that of one that is not for him."""
        uses = self._database.rows("SELECT Type, Path FROM SandboxUses WHERE Entity = ? ORDER BY 1, 2", f"Job:{job_id}")
        return [("Input" if kind == "Input" else "Output", *self._file(caller, path)) for kind, path in uses]

    def _file(self, caller: Caller, path: str) -> tuple[Path, int]:
        file = self._sandboxes.file_for(caller, path)
        try:
            return (file, file.stat().st_size) if file else (Path(), -1)
        except OSError:
            return Path(), -1

    def _pilot(self, caller: Caller, row: Sequence[Any]) -> list[str]:
        reference, status, reason, stamp = row
        return [*map(text_shown, (reference, status, reason)), stamp if self.log(caller, stamp) else ""]


def _unchanged_left_out(row: Sequence[Any]) -> list[str]:
    return ["" if value == UNCHANGED else text_shown(value) for value in row]
