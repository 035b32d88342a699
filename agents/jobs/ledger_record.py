"""Jobs as the ledger holds them: JSON, read back strictly."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

from agents.errors import Blame
from agents.jobs.energy import Energy
from agents.jobs.job import Grant, Job, JobStatus, MatchedJob, Outcome, Phase, Runner
from agents.log import EventLog

log = EventLog("ledger")


def readable(job_id: int, body: str) -> Job | None:
    """Return a job as it was written; None, and a word in the log, when another version wrote it differently."""
    try:
        return _from_json(body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("ledger.job_unreadable", job_id=job_id, cause=repr(error))
        return None


_NAMES: dict[type, list[str]] = {
    kind: [field.name for field in fields(kind)] for kind in (Job, MatchedJob, Grant, Outcome, Energy)
}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if names := _NAMES.get(type(value)):
        return {name: getattr(value, name) for name in names}
    raise TypeError(f"{type(value).__name__} does not belong in the ledger")


to_json = json.JSONEncoder(default=_plain).encode  # not asdict, whose deep copy costs more than the write


def _from_json(text: str) -> Job:
    row = json.loads(text)
    grant, started, end, energy = row["grant"], row["started_at"], row["end"], row.get("energy")  # that one is newer
    return Job(
        **{
            **row,
            "matched": MatchedJob(**row["matched"]),
            "phase": Phase(row["phase"]),
            "status": JobStatus(row["status"]),
            "grant": _grant(grant) if grant else None,
            "started_at": datetime.fromisoformat(started) if started else None,
            "runner": Runner(row.get("runner", "")),  # a ledger of an older version has none
            "end": _outcome(end) if end else None,
            "energy": Energy(**energy) if energy else None,
        }
    )


def _grant(row: dict[str, Any]) -> Grant:
    lists: dict[str, Any] = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Grant(**{**row, **lists})


def _outcome(row: dict[str, str | None]) -> Outcome:
    blame = Blame(row["blame"]) if row["blame"] else None
    return Outcome(JobStatus(row["status"] or ""), row["minor_status"] or "", row["application_status"] or "", blame)
