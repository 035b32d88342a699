"""Takes reports about running jobs (WorkloadManagementSystem/Service/JobStateUpdateHandler)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agents.local_wms.jobs import UNCHANGED, Jobs
from agents.local_wms.services.base import Caller, Refusal, Service, exported
from agents.local_wms.state_machine import FINAL, JobStatus, following

STATUSES = ("Status", "MinorStatus", "ApplicationStatus")
MUTABLE = (*STATUSES, "Site", "StartExecTime", "EndExecTime", "HeartBeatTime")
PARAMETER_INDEX = "local_job_parameters"  # the real one answers setJobParameter with the name of its OpenSearch index


class JobStateUpdate(Service):
    """Serves the agent's reports; each call is for one job and is allowed or refused for that job."""

    name = "WorkloadManagement/JobStateUpdate"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def _allowed(self, caller: Caller, job_id: Any) -> int:
        """Return the job's number if the caller may change it; a job that does not exist is refused alike."""
        owner = self._jobs.database.value("SELECT Owner FROM Jobs WHERE JobID = ?", int(job_id))
        if owner is None or not caller.may_change(owner):
            raise Refusal(f"Not authorized to modify job {job_id}")
        return int(job_id)

    @exported("setJobStatusBulk")
    def set_status_bulk(
        self,
        caller: Caller,
        job_id: Any,
        updates: dict[str, dict[str, str]],
        force: bool = False,  # noqa: FBT001, FBT002 - positional on the wire
    ) -> tuple[list[str], list[str]]:
        """Log all updates; those not older than the last one known change the job.

        Args:
            caller: who asks.
            job_id: the job.
            updates: UTC time -> Status, MinorStatus, ApplicationStatus (those that changed) and Source.
            force: ask no state machine.

        Returns:
            Names and values of the attributes written.
        """
        job = self._allowed(caller, job_id)
        for time in updates:
            datetime.fromisoformat(time)  # breaks off for a key that is no time
        with self._jobs.database.transaction():
            return self._apply(job, {time: updates[time] for time in sorted(updates)}, force=force)

    def _apply(self, job: int, updates: Mapping[str, dict[str, str]], *, force: bool) -> tuple[list[str], list[str]]:
        last_known = self._jobs.database.value("SELECT max(StatusTime) FROM Logging WHERE JobID = ?", job) or ""
        current = self._jobs.status(job) or ""
        if current == JobStatus.STALLED:
            current = JobStatus.RUNNING  # a report from a job thought lost: it runs
        written: dict[str, str] = {}
        times: dict[str, str] = {}
        for time, sent in updates.items():
            update = {name: value for name, value in sent.items() if value}
            if time >= last_known:
                current = self._judge(current, update, force=force)
                written |= {name: update[name] for name in STATUSES if name in update}
            self._log(job, time, update)
            if update.get("Status") == JobStatus.RUNNING:
                times.setdefault("StartExecTime", time)
            if update.get("Status") in FINAL:
                times["EndExecTime"] = time
            if update.get("Source", "").startswith("Job"):
                times["HeartBeatTime"] = time
        self._write_times(job, times)
        self._jobs.change(job, written)
        return list(written), list(written.values())

    @staticmethod
    def _judge(current: str, update: dict[str, str], *, force: bool) -> str:
        """Return the status after an update; a refused one is replaced in it and marked in its source."""
        wanted = update.get("Status", current)
        status = JobStatus(wanted) if force else following(current, wanted)
        if status != wanted:
            update["Status"] = status
            update["Source"] = update.get("Source", "") + "(SM)"
        return status

    def _log(self, job: int, time: str, update: Mapping[str, str]) -> None:
        self._jobs.log(
            job,
            update.get("Status", UNCHANGED),
            update.get("MinorStatus", UNCHANGED),
            update.get("Source", "Unknown"),
            application_status=update.get("ApplicationStatus", UNCHANGED),
            time=time,
        )

    def _write_times(self, job: int, times: dict[str, str]) -> None:
        """Write when the job started, ended and was last heard of; the first start and end remain."""
        known = self._jobs.database.one("SELECT StartExecTime, EndExecTime FROM Jobs WHERE JobID = ?", job)
        assert known is not None
        kept = {name: time for name, time in times.items() if name == "HeartBeatTime" or known[name] is None}
        if kept:
            self._jobs.change(job, kept)

    @exported("setJobStatus")
    def set_status(
        self,
        caller: Caller,
        job_id: Any,
        status: str = "",
        minor_status: str = "",
        source: str = "Unknown",
        time: str | None = None,
        force: bool = False,  # noqa: FBT001, FBT002 - positional on the wire
    ) -> tuple[list[str], list[str]] | None:
        """Change major and minor status, now or at the time given."""
        if not (status or minor_status):
            return None
        update = {"Status": status, "MinorStatus": minor_status, "Source": source}
        return self.set_status_bulk(caller, job_id, {time or self._jobs.now(): update}, force)

    @exported("setJobApplicationStatus")
    def set_application_status(
        self, caller: Caller, job_id: Any, text: str, source: str = "Unknown"
    ) -> tuple[list[str], list[str]]:
        """Change what the application says of itself."""
        update = {"ApplicationStatus": text, "Source": source}
        return self.set_status_bulk(caller, job_id, {self._jobs.now(): update})

    @exported("setJobParameter")
    def set_parameter(self, caller: Caller, job_id: Any, name: str, value: Any) -> str:
        """Write one job parameter."""
        self._jobs.set_parameters(self._allowed(caller, job_id), [(name, value)])
        return PARAMETER_INDEX

    @exported("setJobParameters")
    def set_parameters(self, caller: Caller, job_id: Any, parameters: list[tuple[str, Any]]) -> None:
        """Write job parameters given as pairs."""
        with self._jobs.database.transaction():
            self._jobs.set_parameters(self._allowed(caller, job_id), parameters)

    @exported("setJobsParameter")
    def set_parameter_of_jobs(self, caller: Caller, parameters: dict[str, tuple[str, Any]]) -> None:
        """Write one parameter of each of several jobs; all or none."""
        with self._jobs.database.transaction():
            for job_id, pair in parameters.items():
                self._jobs.set_parameters(self._allowed(caller, job_id), [pair])

    @exported("setJobAttribute")
    def set_attribute(self, caller: Caller, job_id: Any, name: str, value: str) -> int:
        """Write one of the few attributes that are free to change; return how many rows are not as before, as MySQL."""
        job = self._allowed(caller, job_id)
        if name not in MUTABLE:
            raise Refusal(f"Job attribute {name} can not be changed: one of {', '.join(MUTABLE)} was expected")
        kept = self._jobs.database.value(f"SELECT {name} FROM Jobs WHERE JobID = ?", job)  # noqa: S608 - one of MUTABLE
        self._jobs.change(job, {name: str(value)})
        return int(kept != str(value))

    @exported("setJobSite")
    def set_site(self, caller: Caller, job_id: Any, site: str) -> int:
        """Write where the job runs."""
        return self.set_attribute(caller, job_id, "Site", site)

    @exported("sendHeartBeat")
    def send_heart_beat(
        self, caller: Caller, job_id: Any, dynamic: dict[str, Any], static: dict[str, Any]
    ) -> dict[str, str]:
        """Note that the job lives; it is Running from then on, whatever it was (JobDB.setHeartBeatData).

        Args:
            caller: who asks.
            job_id: the job.
            dynamic: numbers that are kept with their time.
            static: job parameters.

        Returns:
            Commands for the job and their arguments; each is delivered once.
        """
        job = self._allowed(caller, job_id)
        now = self._jobs.now()
        with self._jobs.database.transaction():
            self._jobs.change(job, {"Status": JobStatus.RUNNING, "HeartBeatTime": now})
            self._jobs.database.run_many(
                "INSERT INTO HeartBeats VALUES (?, ?, ?, ?)",
                [(job, name, str(value), now) for name, value in dynamic.items()],
            )
            self._jobs.set_parameters(job, static.items())
            commands = self._jobs.database.rows("SELECT Command, Argument FROM Commands WHERE JobID = ?", job)
            self._jobs.database.run("DELETE FROM Commands WHERE JobID = ?", job)
        return {row["Command"]: row["Argument"] for row in commands}
