"""Jobs and task queues in the database: what several services do with them."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from agents.local_wms.changes import Changes
from agents.local_wms.database import Database
from agents.local_wms.matching import Offer, Wish, why_not
from agents.local_wms.state_machine import JobStatus

UNCHANGED = "idem"  # DIRAC's word in a logging record for "as before"
HIDDEN = frozenset({"OriginalJDL", "JDL", "TQId"})
Clock = Callable[[], datetime]


def timestamp(moment: datetime) -> str:
    """Return UTC as DIRAC's clients send it, always with microseconds so that texts sort as times do."""
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


class Jobs:
    """The job records."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.changes = Changes()
        self._clock = clock

    def now(self) -> str:
        """Return the time as a timestamp."""
        return timestamp(self._clock())

    def attributes(self, job_ids: Iterable[int], names: Sequence[str] = ()) -> dict[int, dict[str, str]]:
        """Return the named attributes (all when none is named) of the jobs that exist, as text, as DIRAC does."""
        found: dict[int, dict[str, str]] = {}
        for job_id in job_ids:
            row = self.database.one("SELECT * FROM Jobs WHERE JobID = ?", job_id)
            if row is not None:
                wanted = names or [name for name in row.keys() if name not in HIDDEN]  # noqa: SIM118 - a Row iterates values
                found[job_id] = {name: str(row[name]) for name in wanted}
        return found

    def status(self, job_id: int) -> str | None:
        """Return the major status, None for no such job."""
        status: str | None = self.database.value("SELECT Status FROM Jobs WHERE JobID = ?", job_id)
        return status

    def change(self, job_id: int, attributes: Mapping[str, Any]) -> None:
        """Write attributes; no state machine is asked."""
        changed = {"LastUpdateTime": self.now(), **attributes}
        columns = ", ".join(f"{name} = ?" for name in changed)
        # column names come from our own code or from a list of allowed ones, never from a request
        self.database.run(f"UPDATE Jobs SET {columns} WHERE JobID = ?", *changed.values(), job_id)  # noqa: S608 - see above

    def log(
        self,
        job_id: int,
        status: str,
        minor_status: str,
        source: str,
        *,
        application_status: str = UNCHANGED,
        time: str | None = None,
    ) -> None:
        """Append to the job's history."""
        self.database.run(
            "INSERT INTO Logging VALUES (?, ?, ?, ?, ?, ?)",
            *(job_id, status, minor_status, application_status, time or self.now(), source),
        )

    def move(self, job_id: int, status: JobStatus, minor_status: str, source: str) -> None:
        """Set a status and log it, without asking the state machine."""
        self.change(job_id, {"Status": status, "MinorStatus": minor_status})
        self.log(job_id, status, minor_status, source)

    def set_parameters(self, job_id: int, parameters: Iterable[tuple[str, Any]]) -> None:
        """Write job parameters; a later value replaces an earlier one."""
        self.database.run_many(
            "INSERT OR REPLACE INTO Parameters VALUES (?, ?, ?)",
            [(job_id, str(name), str(value)) for name, value in parameters],
        )

    def parameters(self, job_id: int) -> dict[str, str]:
        """Return the job's parameters; for a waiting job also why it waits."""
        rows = self.database.rows("SELECT Name, Value FROM Parameters WHERE JobID = ?", job_id)
        found: dict[str, str] = {row["Name"]: row["Value"] for row in rows}
        if reason := self.why_waiting(job_id):
            found["WhyWaiting"] = reason
        return found

    def why_waiting(self, job_id: int) -> str:
        """Return why the last offer that came did not suit a waiting job; empty for other jobs."""
        reason: str | None = self.database.value(
            "SELECT WhyWaiting FROM Jobs JOIN TaskQueues USING (TQId) WHERE JobID = ? AND Status = 'Waiting'", job_id
        )
        return "" if reason is None else reason or "no pilot has asked for work yet"

    def enqueue(self, job_id: int, wish: Wish) -> None:
        """Make the job Waiting, in the task queue of its wish."""
        text = json.dumps(asdict(wish), sort_keys=True)
        self.database.run("INSERT OR IGNORE INTO TaskQueues (Wish) VALUES (?)", text)
        queue_id = self.database.value("SELECT TQId FROM TaskQueues WHERE Wish = ?", text)
        self.change(job_id, {"TQId": queue_id})
        self.move(job_id, JobStatus.WAITING, "Pilot Agent Submission", "JobScheduling")
        self.changes.note()

    def queues_for(self, offer: Offer) -> tuple[list[int], dict[int, str]]:
        """Tell apart the task queues with waiting jobs: those that fit the offer, and why the others do not."""
        rows = self.database.rows(
            "SELECT TQId, Wish FROM TaskQueues q WHERE EXISTS"
            " (SELECT 1 FROM Jobs j WHERE j.TQId = q.TQId AND j.Status = 'Waiting')"
        )
        reasons = {row["TQId"]: why_not(_wish(row["Wish"]), offer) for row in rows}
        fitting = [queue_id for queue_id, reason in reasons.items() if reason is None]
        return fitting, {queue_id: reason for queue_id, reason in reasons.items() if reason is not None}

    def take(self, offer: Offer) -> int | None:
        """Mark the best waiting job for an offer as Matched, so that nobody else gets it; None when nothing fits.

        Best is the highest priority, then the oldest.
        """
        with self.database.transaction():
            fitting, reasons = self.queues_for(offer)
            job_id = self._first(fitting, offer.job_id)
            if job_id is None:
                self._explain(reasons)
                return None
            assigned = {"Status": JobStatus.MATCHED, "MinorStatus": "Assigned", "ApplicationStatus": "Unknown"}
            self.change(job_id, {**assigned, "Site": offer.site})
            self.log(job_id, JobStatus.MATCHED, "Assigned", "Matcher")
            return job_id

    def _first(self, queue_ids: Sequence[int], only_job_id: int | None) -> int | None:
        best: tuple[int, int] | None = None
        for queue_id in queue_ids:
            row = self.database.one(
                "SELECT UserPriority, JobID FROM Jobs WHERE TQId = ? AND Status = 'Waiting'"
                " AND (? IS NULL OR JobID = ?) ORDER BY UserPriority DESC, JobID LIMIT 1",
                *(queue_id, only_job_id, only_job_id),
            )
            if row is not None:
                candidate = (-row["UserPriority"], row["JobID"])
                best = candidate if best is None else min(best, candidate)
        return None if best is None else best[1]

    def _explain(self, reasons: Mapping[int, str]) -> None:
        for queue_id, reason in reasons.items():
            self.database.run(
                "UPDATE TaskQueues SET WhyWaiting = ? WHERE TQId = ? AND WhyWaiting != ?", reason, queue_id, reason
            )


@functools.lru_cache(maxsize=4096)
def _wish(text: str) -> Wish:
    fields: dict[str, Any] = json.loads(text)
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Wish(**values)
