"""Tells what is known of jobs (WorkloadManagementSystem/Service/JobMonitoringHandler)."""

from collections.abc import Sequence
from typing import Any

from agents.local_wms.jobs import UNCHANGED, Jobs
from agents.local_wms.services.base import Caller, Refusal, Service, exported, job_ids_of

SELECTABLE = (
    "Status",
    "MinorStatus",
    "ApplicationStatus",
    "Site",
    "Owner",
    "OwnerGroup",
    "JobName",
    "JobGroup",
    "JobType",
)


_NUMBERS = ("JobID", "UserPriority", "RescheduleCounter")


class JobMonitoring(Service):
    """Serves questions; anybody in the Registry may ask about any job."""

    name = "WorkloadManagement/JobMonitoring"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def _attributes(self, given: Any, names: Sequence[str]) -> dict[int, dict[str, str]]:
        return self._jobs.attributes(job_ids_of(given), names)

    def _job(self, job_id: Any) -> dict[str, str]:
        return self._jobs.attributes([int(job_id)]).get(int(job_id), {})

    @exported("getJobs")
    def jobs(self, _caller: Caller, conditions: dict[str, Any] | None = None, newer_than: str = "") -> list[str]:
        """Return the ids, as text, of the jobs that meet conditions (attribute -> value or list of values)."""
        clauses, values = ["LastUpdateTime >= ?"], [newer_than or ""]
        for name, wanted in (conditions or {}).items():
            if name not in SELECTABLE:
                raise Refusal(f"Jobs can not be selected by {name}: one of {', '.join(SELECTABLE)} was expected")
            choices = wanted if isinstance(wanted, list) else [wanted]
            clauses.append(f"{name} IN ({', '.join('?' * len(choices))})")
            values += choices
        sql = f"SELECT JobID FROM Jobs WHERE {' AND '.join(clauses)} ORDER BY JobID"  # noqa: S608 - names are from SELECTABLE
        return [str(row["JobID"]) for row in self._jobs.database.rows(sql, *values)]

    @exported("getJobsStatus")
    def statuses(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return the major status of each job that exists."""
        return self._attributes(job_ids, ["Status"])

    @exported("getJobsMinorStatus")
    def minor_statuses(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return the minor status of each job that exists."""
        return self._attributes(job_ids, ["MinorStatus"])

    @exported("getJobsApplicationStatus")
    def application_statuses(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return the application's own status of each job that exists."""
        return self._attributes(job_ids, ["ApplicationStatus"])

    @exported("getJobsSites")
    def sites(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return the site of each job that exists."""
        return self._attributes(job_ids, ["Site"])

    @exported("getJobsStates")
    def states(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return the three statuses of each job that exists."""
        return self._attributes(job_ids, ["Status", "MinorStatus", "ApplicationStatus"])

    @exported("getJobsSummary")
    def summaries(self, _caller: Caller, job_ids: Any) -> dict[int, dict[str, str]]:
        """Return all attributes of each job that exists."""
        return self._attributes(job_ids, ())

    @exported("getJobSummary")
    def summary(self, _caller: Caller, job_id: Any) -> dict[str, str]:
        """Return all attributes of a job, none when it does not exist."""
        return self._job(job_id)

    @exported("getJobAttributes")
    def attributes(self, _caller: Caller, job_id: Any, names: list[str] | None = None) -> dict[str, str | int]:
        """Return the named attributes of a job, or all; what is a number in the database is one here."""
        job = {name: int(text) if name in _NUMBERS else text for name, text in self._job(job_id).items()}
        return {name: job[name] for name in names if name in job} if names else job

    @exported("getJobAttribute")
    def attribute(self, _caller: Caller, job_id: Any, name: str) -> str | None:
        """Return one attribute of a job."""
        return self._job(job_id).get(name)

    @exported("getJobJDL")
    def jdl(self, _caller: Caller, job_id: Any, original: bool) -> str:  # noqa: FBT001 - positional on the wire
        """Return the JDL, the one submitted or the one that pilots get; empty for no such job."""
        row = self._jobs.database.one("SELECT OriginalJDL, JDL FROM Jobs WHERE JobID = ?", int(job_id))
        return "" if row is None else str(row["OriginalJDL" if original else "JDL"])

    @exported("getJobLoggingInfo")
    def history(self, _caller: Caller, job_id: Any) -> list[list[str]]:
        """Return status, minor status, application status, time and source of every change, oldest first."""
        rows = self._jobs.database.rows("SELECT * FROM Logging WHERE JobID = ? ORDER BY StatusTime, rowid", int(job_id))
        history: list[list[str]] = []
        before = [UNCHANGED] * 3
        for row in rows:
            statuses = [row["Status"], row["MinorStatus"], row["ApplicationStatus"]]
            before = [old if new == UNCHANGED else new for old, new in zip(before, statuses, strict=True)]
            history.append([*before, row["StatusTime"], row["Source"]])
        return history

    @exported("getJobParameters")
    def parameters(self, _caller: Caller, job_ids: Any, name: str | None = None) -> dict[int, dict[str, str]]:
        """Return the parameters of each job that has any; a waiting job's `WhyWaiting` is one of ours."""
        found = {job_id: self._jobs.parameters(job_id) for job_id in job_ids_of(job_ids)}
        if name:
            found = {job_id: {name: all_[name]} if name in all_ else {} for job_id, all_ in found.items()}
        return {job_id: parameters for job_id, parameters in found.items() if parameters}

    @exported("getJobParameter")
    def parameter(self, _caller: Caller, job_id: Any, name: str) -> dict[str, str]:
        """Return one parameter of a job, as a dictionary."""
        parameters = self._jobs.parameters(int(job_id))
        return {name: parameters[name]} if name in parameters else {}

    @exported("getJobHeartBeatData")
    def heart_beats(self, _caller: Caller, job_id: Any) -> list[list[str]]:
        """Return name, value and time of all numbers that came with heart beats."""
        rows = self._jobs.database.rows("SELECT * FROM HeartBeats WHERE JobID = ? ORDER BY rowid", int(job_id))
        return [[row["Name"], row["Value"], row["HeartBeatTime"]] for row in rows]
