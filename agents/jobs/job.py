"""A job in the agent's hands: its states, and which may follow which."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from agents.errors import AgentError, Blame
from agents.jobs.energy import Energy
from ce_backends.base import Limit
from ce_backends.linux.processes import boot_id, boot_s


class JobStatus(StrEnum):
    """DIRAC's job statuses that an agent sets or meets."""

    MATCHED = "Matched"
    RUNNING = "Running"
    STALLED = "Stalled"
    COMPLETING = "Completing"
    COMPLETED = "Completed"
    DONE = "Done"
    FAILED = "Failed"
    KILLED = "Killed"
    DELETED = "Deleted"
    RESCHEDULED = "Rescheduled"

    @property
    def is_success(self) -> bool:
        """True when the job has done what it was for; of a Completed one a request has still to do something."""
        return self in (JobStatus.DONE, JobStatus.COMPLETED)

    @property
    def is_final(self) -> bool:
        """True when the agent may not touch the job any more."""
        return not NEXT.get(self)


# The moves of DIRAC's state machine that an agent may make (JobStatus.py of DIRAC 9).
NEXT: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.MATCHED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.RESCHEDULED, JobStatus.KILLED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.COMPLETING, JobStatus.DONE, JobStatus.FAILED, JobStatus.RESCHEDULED, JobStatus.KILLED}
    ),
    JobStatus.COMPLETING: frozenset({JobStatus.COMPLETED, JobStatus.DONE, JobStatus.FAILED, JobStatus.KILLED}),
}


class IllegalTransition(AgentError):
    """The agent was about to tell the WMS a move that its state machine forbids."""


class Phase(StrEnum):
    """What the agent is doing for a job; journalled before it is done."""

    MATCHED = "matched"  # ours; nothing was done yet
    STAGING = "staging"  # inputs are being downloaded
    SUBMITTING = "submitting"  # the CE may or may not have the task: find(stamp) tells
    RUNNING = "running"  # the CE has the task
    DELIVERING = "delivering"  # the task ended; its outputs are being uploaded
    REPORTING = "reporting"  # everything was said; the WMS has not confirmed it all
    CLOSED = "closed"  # nothing is left to do


HOLDING = (Phase.STAGING, Phase.SUBMITTING, Phase.RUNNING)  # a grant
NOT_BEGUN = (Phase.MATCHED, Phase.STAGING, Phase.SUBMITTING)  # as far as the agent knows
_TOUCHED = (Phase.MATCHED, Phase.STAGING, Phase.SUBMITTING, Phase.DELIVERING)


class Minor(StrEnum):
    """DIRAC's minor statuses, to the letter: tools of the VOs search for them."""

    RECEIVED = "Job Received by Agent"
    SUBMITTING = "Submitting To CE"
    INITIALIZATION = "Job Initialization"
    DOWNLOADING_INPUT = "Downloading InputSandbox"
    FAILED_DOWNLOADING_INPUT = "Failed Downloading InputSandbox"
    DOWNLOADING_LFNS = "Downloading InputSandbox LFN(s)"
    FAILED_DOWNLOADING_LFNS = "Failed Downloading InputSandbox LFN(s)"
    RESOLVING_DATA = "Input Data Resolution"
    DATA_NOT_AVAILABLE = "Input Data Not Available"
    APPLICATION = "Application"
    APPLICATION_NOT_FOUND = "Application not found"
    APPLICATION_SUCCESS = "Application Finished Successfully"
    APPLICATION_ERRORS = "Application Finished With Errors"
    UPLOADING_OUTPUT = "Uploading Output Sandbox"
    OUTPUT_LOST = "Failed Uploading Output Sandbox"  # ours, in the manner of the failed download
    OUTPUT_UPLOADED = "Output Sandbox Uploaded"
    UPLOADING_DATA = "Uploading Output Data"
    DATA_UPLOADED = "Output Data Uploaded"
    PENDING_REQUESTS = "Pending Requests"
    FAILED_REQUESTS = "Failed sending requests"
    COMPLETE = "Execution Complete"
    UNMET = "Job needs what this agent cannot do"  # ours
    BAD_JDL = "Could Not Extract JDL Parameters"
    KILLED = "Received Kill signal"
    GOING_TO_RESCHEDULE = "Going to reschedule job"
    WALL_CLOCK = "Job has exceeded maximum wall clock time"
    CPU_TIME = "Job has exceeded maximum CPU time limit"
    DISK_SPACE = "Job has insufficient disk space to continue"
    STALLED = "Watchdog identified this job as stalled"
    LOOPING = "Watchdog identified this job as looping"  # ours: DIRAC does not look for that
    MEMORY = "Job has exceeded its memory limit"  # ours: DIRAC only warns
    OUTPUT = "Job has exceeded its output limit"  # ours, and so is the next: DIRAC has no such limits
    PROCESSES = "Job has exceeded its limit of processes"
    EXCEPTION = "Exception During Execution"
    NODE_FAILED = "Failed on the node"  # ours: the node lacked something that no job can do without
    PAYLOAD_LOST = "Payload lost on the node"  # ours: DIRAC fails such a job as stalled


MINOR_OF_LIMIT: Mapping[Limit, Minor] = {  # of a job whose own limit has ended it
    Limit.MEMORY: Minor.MEMORY,
    Limit.WALL: Minor.WALL_CLOCK,
    Limit.CPU: Minor.CPU_TIME,
    Limit.DISK: Minor.DISK_SPACE,
    Limit.OUTPUT: Minor.OUTPUT,
    Limit.PROCESSES: Minor.PROCESSES,
}


class Runner(StrEnum):
    """What runs a job's executable."""

    ITSELF = ""
    OWN = "own"  # the workflow runner that goes with the task, unless the payload finds DIRAC's on its PATH
    CLIENT = "client"  # the DIRAC client of the node


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedJob:
    """What the Matcher handed over.

    Attributes:
        job_id: DIRAC's number of the job.
        jdl: its description, a ClassAd.
        owner: user name.
        group: DIRAC group.
        extra: whatever the server's optimizers added.
        match_s: how long the Matcher took to answer.
    """

    job_id: int
    jdl: str
    owner: str
    group: str
    extra: Mapping[str, object] = field(default_factory=dict)
    match_s: float = field(default=0.0, compare=False)

    @property
    def owner_dn(self) -> str:
        """The owner's distinguished name where the Matcher tells it (DIRAC 7.3 and 8), else empty."""
        dn = self.extra.get("DN")
        return dn if isinstance(dn, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a job really holds of the slot.

    Attributes:
        processor_ids: as the kernel numbers them.
        memory_mb: 0 when the job asked for none.
        whole_node: the job asked for the node and has it.
        gpu_ids: devices that it alone may use.
    """

    processor_ids: tuple[int, ...]
    memory_mb: int = 0
    whole_node: bool = False
    gpu_ids: tuple[str, ...] = ()

    @property
    def processors(self) -> int:
        """How many processors the job holds: the one number that everything else is told."""
        return len(self.processor_ids)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ends: decided once.

    Attributes:
        status: Done, Failed, Killed or Rescheduled.
        minor_status: of the end, and on the way to it.
        application_status: one sentence for the owner.
        blame: who has to act, None when nobody has.
    """

    status: JobStatus
    minor_status: str
    application_status: str = ""
    blame: Blame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt of one job, from match to its confirmed end.

    Attributes:
        matched: what the Matcher handed over.
        attempt: 1 at first; grows when the same job is matched here again.
        stamp: names the task in the CE; chosen before it is submitted.
        phase: what the agent is doing for it.
        status: the last one told to the WMS.
        minor_status: the last one told to the WMS.
        grant: what it holds; None before and after.
        task_id: the CE's name of the task.
        put_off: how often the CE could not take it.
        boot: the boot of this node on which it was handed over to the CE, empty before.
        exit_code: of the payload; None when unknown.
        started_at: when the task began, by the wall clock: for people and accounts.
        begun_s: the same in seconds since the boot.
        wall_s: of the payload.
        cpu_s: of the payload.
        energy: that the payload used, None where nobody knows.
        end: how it ends; known before a task is cancelled, else when its task has ended.
        deaths: how often an agent has died while it was at this attempt.
        runner: what runs its executable, known when its inputs are there.
        name: that its owner gave it, as people may read it.
        rests: nobody is at it now, though its phase says so: it waits, or the agent has ended in order.
    """

    matched: MatchedJob
    stamp: str
    attempt: int = 1
    phase: Phase = Phase.MATCHED
    status: JobStatus = JobStatus.MATCHED
    minor_status: str = ""
    grant: Grant | None = None
    task_id: str = ""
    put_off: int = 0
    boot: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    begun_s: float | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    energy: Energy | None = None
    end: Outcome | None = None
    deaths: int = 0
    runner: Runner = Runner.ITSELF
    name: str = ""
    rests: bool = False

    @property
    def is_touched(self) -> bool:
        """True while the agent itself works at the job: if it dies now, the job may be why."""
        return self.phase in _TOUCHED and not self.rests

    @property
    def job_id(self) -> int:
        """DIRAC's number of the job."""
        return self.matched.job_id

    def has_run_for(self, time: timedelta) -> bool:
        """Tell whether the task began at least so long ago."""
        return self.started_at is not None and self.ran_s(datetime.now(UTC)) >= time.total_seconds()

    def ran_s(self, now: datetime) -> float:
        """Return for how long the task has run, 0 before it has begun.

        Args:
            now: by the wall clock, which is asked only where the node was started again meanwhile: a task that lives on
                runs elsewhere then.
        """
        if self.started_at is None:
            return 0.0
        if self.begun_s is not None and self.boot == boot_id():
            return max(0.0, boot_s() - self.begun_s)
        return max(0.0, (now - self.started_at).total_seconds())

    def to(self, status: JobStatus, minor_status: str = "") -> "Job":
        """Return the job in its next status; staying in one only changes the minor status.

        Raises:
            IllegalTransition: DIRAC's state machine forbids the move.
        """
        if status is not self.status and status not in NEXT.get(self.status, frozenset()):
            raise IllegalTransition(f"job {self.job_id}: {self.status} -> {status}")
        return replace(self, status=status, minor_status=minor_status or self.minor_status)

    def entering(self, phase: Phase) -> "Job":
        """Return the job in another phase."""
        return replace(self, phase=phase)
