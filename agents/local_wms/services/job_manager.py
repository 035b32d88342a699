"""Takes, kills, reschedules and deletes jobs (WorkloadManagementSystem/Service/JobManagerHandler)."""

from collections.abc import Callable
from typing import Any

from agents.jobs.jdl import describe
from agents.local_wms.jdl import JdlError, Record, parse, show, text_of, texts, whole_number
from agents.local_wms.jobs import Jobs
from agents.local_wms.matching import DEFAULT_CPU_TIME_HS06S, Wish, job_tags, wish_of
from agents.local_wms.parametric import MAX_JOBS, expand
from agents.local_wms.registry import NORMAL_USER
from agents.local_wms.services.base import (
    INVALID_JDL,
    NOT_SUBMITTED,
    Answer,
    Caller,
    Refusal,
    Service,
    exported,
    job_ids_of,
)
from agents.local_wms.state_machine import JobStatus, following

MAX_RESCHEDULINGS = 3
HAS_A_SLOT = (JobStatus.MATCHED, JobStatus.RUNNING, JobStatus.STALLED)
NO_NEED = {"requireProxyUpload": False}  # there is no ProxyManager here


class JobManager(Service):
    """Serves users; pilots may only reschedule."""

    name = "WorkloadManagement/JobManager"

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @exported("getMaxParametricJobs")
    def max_parametric_jobs(self, _caller: Caller) -> int:
        """Return how many jobs one JDL may make."""
        return MAX_JOBS

    @exported("submitJob")
    def submit(self, caller: Caller, text: str) -> Answer:
        """Take a JDL: the job's id, or with `Parameters` the list of ids, which then wait for their confirmation."""
        if caller.is_limited:
            raise Refusal("Can't submit using a limited proxy", NOT_SUBMITTED)
        if NORMAL_USER not in caller.properties:
            raise Refusal("Job submission not authorized", NOT_SUBMITTED)
        try:
            job = parse(text)
            many = expand(job)
            with self._jobs.database.transaction():
                ids = [self._insert(caller, one, parse(one), confirmed=many is None) for one in many or [text]]
        except JdlError as error:
            raise Refusal(str(error), INVALID_JDL) from error
        value = ids[0] if many is None else ids
        return Answer(value, {"JobID": value, **NO_NEED})

    def _insert(self, caller: Caller, original: str, job: Record, *, confirmed: bool) -> int:
        wish = wish_of(job, caller.username, caller.group)
        now = self._jobs.now()
        status, minor = (JobStatus.RECEIVED, "Job accepted")
        if not confirmed:
            status, minor = (JobStatus.SUBMITTING, "Bulk transaction confirmation")
        job_id = self._jobs.database.run(
            "INSERT INTO Jobs (JobName, JobType, JobGroup, Owner, OwnerGroup, VO, Status, MinorStatus, SubmissionTime,"
            " LastUpdateTime, UserPriority, Site, OriginalJDL) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(text_of(job, "JobName", "Unknown"), wish.job_type, text_of(job, "JobGroup", "default")),
            *(caller.username, caller.group, caller.vo, status, minor, now, now),
            *(whole_number(job, "Priority", 0), _site(texts(job.get("Site"))), original),
        )
        self._jobs.log(job_id, status, minor, "JobManager", application_status="Unknown")
        self._jobs.change(job_id, {"JDL": _runnable(_prepared(job, job_id, wish, caller.vo))})
        if confirmed:
            self._optimize(job_id, wish)
        return job_id

    def _optimize(self, job_id: int, wish: Wish) -> None:
        """Do what DIRAC's optimizers do, at once."""
        self._jobs.move(job_id, JobStatus.CHECKING, "JobScheduling", "JobPath")
        self._jobs.enqueue(job_id, wish)

    @exported("confirmBulkSubmission")
    def confirm(self, caller: Caller, job_ids: Any) -> list[int]:
        """Let the jobs of one parametric JDL go, all or none."""
        ids = job_ids_of(job_ids)
        jobs = self._jobs.attributes(ids, ["Owner", "OwnerGroup", "Status"])
        if len(jobs) != len(ids) or any(not caller.may_change(job["Owner"]) for job in jobs.values()):
            raise Refusal("Requested jobs for bulk transaction are not valid", NOT_SUBMITTED)
        with self._jobs.database.transaction():
            for job_id, job in jobs.items():
                if job["Status"] == JobStatus.SUBMITTING:
                    self._jobs.move(job_id, JobStatus.RECEIVED, "Job accepted", "JobManager")
                    self._optimize(job_id, self._wish(job_id, job["Owner"], job["OwnerGroup"]))
        return ids

    def _wish(self, job_id: int, owner: str, owner_group: str) -> Wish:
        text = self._jobs.database.value("SELECT OriginalJDL FROM Jobs WHERE JobID = ?", job_id)
        return wish_of(parse(text), owner, owner_group)

    @exported("killJob")
    def kill(self, caller: Caller, job_ids: Any) -> Answer:
        """End jobs: at once where they wait, by a command in the next heart beat where they run."""
        return self._for_each(caller, job_ids, self._kill, "Some jobs failed deletion")

    @exported("deleteJob")
    def delete(self, caller: Caller, job_ids: Any) -> Answer:
        """Mark jobs as Deleted; those that run are killed first."""
        return self._for_each(caller, job_ids, self._delete, "Some jobs failed deletion")

    @exported("rescheduleJob")
    def reschedule(self, caller: Caller, job_ids: Any) -> Answer:
        """Let jobs run again from the start, at most three times each."""
        ids = job_ids_of(job_ids)
        for job_id in ids:
            self._refuse_beyond_limit(caller, job_id)
        answer = self._for_each(caller, ids, self._reschedule, "Some jobs failed reschedule")
        if invalid := answer.further.get("InvalidJobIDs"):
            raise Refusal("Some jobs failed reschedule", further={"InvalidJobIDs": invalid})
        return answer

    def _for_each(self, caller: Caller, given: Any, do: Callable[[int, str], None], failure: str) -> Answer:
        ids = job_ids_of(given)
        jobs = self._jobs.attributes(ids, ["Owner", "Status"])
        allowed = [job_id for job_id in ids if job_id in jobs and self._may(caller, jobs[job_id]["Owner"], do)]
        with self._jobs.database.transaction():
            for job_id in allowed:
                do(job_id, jobs[job_id]["Status"])
        invalid = [job_id for job_id in ids if job_id not in jobs]
        further = {"InvalidJobIDs": invalid} if invalid else {}
        if forbidden := [job_id for job_id in ids if job_id in jobs and job_id not in allowed]:
            raise Refusal(failure, further={**further, "NonauthorizedJobIDs": forbidden})
        return Answer(allowed, {**NO_NEED, **further})

    def _may(self, caller: Caller, owner: str, do: Callable[[int, str], None]) -> bool:
        # of other people's jobs, pilots may reschedule only (JobPolicy)
        return caller.may_change(owner) if do == self._reschedule else caller.may_end(owner)

    def _kill(self, job_id: int, status: str) -> None:
        if status in HAS_A_SLOT:
            self._jobs.database.run("INSERT INTO Commands VALUES (?, 'Kill', '')", job_id)
        if following(status, JobStatus.KILLED) == JobStatus.KILLED:
            self._jobs.move(job_id, JobStatus.KILLED, "Marked for termination", "JobManager")

    def _delete(self, job_id: int, status: str) -> None:
        if status in HAS_A_SLOT:
            self._kill(job_id, status)
        else:
            self._jobs.move(job_id, JobStatus.DELETED, "Checking accounting", "JobManager")

    def _refuse_beyond_limit(self, caller: Caller, job_id: int) -> None:
        job = self._jobs.attributes([job_id], ["Owner", "RescheduleCounter"]).get(job_id)
        if job and caller.may_change(job["Owner"]) and int(job["RescheduleCounter"]) >= MAX_RESCHEDULINGS:
            self._jobs.move(job_id, JobStatus.FAILED, "Maximum of reschedulings reached", "JobManager")
            raise Refusal(f"Maximum number of reschedulings is reached: {MAX_RESCHEDULINGS}")

    def _reschedule(self, job_id: int, _status: str) -> None:
        job = self._jobs.attributes([job_id], ["Owner", "OwnerGroup", "RescheduleCounter"])[job_id]
        for table in ("Parameters", "Commands"):
            self._jobs.database.run(f"DELETE FROM {table} WHERE JobID = ?", job_id)  # noqa: S608 - our own two names
        fresh = {"ApplicationStatus": "Unknown", "StartExecTime": None, "EndExecTime": None, "HeartBeatTime": None}
        counted = {"RescheduleCounter": int(job["RescheduleCounter"]) + 1, "RescheduleTime": self._jobs.now()}
        self._jobs.change(job_id, {**fresh, **counted})
        self._jobs.move(job_id, JobStatus.RECEIVED, "Job Rescheduled", "JobManager")
        self._optimize(job_id, self._wish(job_id, job["Owner"], job["OwnerGroup"]))


def _site(sites: list[str]) -> str:
    return "ANY" if not sites else sites[0] if len(sites) == 1 else "Multiple"


def _runnable(text: str) -> str:
    """Return the JDL if an agent can make a job of it, rather than let it fail there.

    Raises:
        JdlError: it has no Executable, or a value that makes no sense.
    """
    if not describe(text).executable:
        raise JdlError("the JDL has no Executable: the name of a program was expected")
    return text


def _prepared(job: Record, job_id: int, wish: Wish, vo: str) -> str:
    """Return the JDL as pilots get it: the user's attributes and those that DIRAC adds."""
    ready = job.map_text(lambda text: text.replace("%j", str(job_id)))
    added: dict[str, str | int] = {"JobID": job_id, "Owner": wish.owner, "OwnerGroup": wish.owner_group}
    added |= {"VirtualOrganization": vo, "JobType": wish.job_type}
    for name, value in added.items():
        ready.put(name, value)
    ready.put("CPUTime", whole_number(job, "CPUTime", DEFAULT_CPU_TIME_HS06S))
    ready.put("Priority", whole_number(job, "Priority", 0))
    requirements = Record()
    requirements.put("CPUTime", wish.cpu_time_hs06s)
    requirements.put("OwnerGroup", wish.owner_group)
    if tags := job_tags(job):
        ready.put("Tags", list(tags))
        requirements.put("Tags", list(tags))
    ready.put("JobRequirements", requirements)
    return show(ready)
