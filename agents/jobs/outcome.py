"""How a job ends, decided in one place from what its task did and from a cause that was decided before."""

import signal

from agents.errors import Blame, FailJob, JobError
from agents.jobs.job import MINOR_OF_LIMIT, Job, JobStatus, Minor, Outcome, Phase
from agents.jobs.jobexec import NO_CLIENT, NO_PYTHON
from agents.jobs.payload import NOT_FOUND, RESCHEDULE_CODES
from ce_backends.base import Limit, TaskState, TaskStatus

_SIGNAL_BASE = 128  # a shell's exit code for a death by signal N is 128 + N (POSIX 2.8.2)


KILLED = Outcome(JobStatus.KILLED, Minor.KILLED, "Killed on the owner's order", Blame.USER)


TAKEN_AWAY = Outcome(  # the ledger tells nobody
    JobStatus.RESCHEDULED, "Taken away by the WMS", "Taken away by the WMS", Blame.SITE
)


def handed_back(cause: str) -> Outcome:
    """Return the end of a job that shall run elsewhere, for a cause that is not its own."""
    return Outcome(JobStatus.RESCHEDULED, cause, cause, Blame.SITE)


def without_outputs(end: Outcome, cause: str) -> Outcome:
    """Return the end of a job whose outputs are lost: a success that nobody can see is none, as in DIRAC."""
    if end.status is not JobStatus.DONE:
        return end
    return Outcome(JobStatus.FAILED, Minor.OUTPUT_LOST, f"Its output sandbox is lost: {cause}", Blame.SERVER)


def without_data(end: Outcome, error: JobError) -> Outcome:
    """Return the end of a job whose output data did not get where they belong; it is not run again for that."""
    if end.status is not JobStatus.DONE:
        return end
    return Outcome(JobStatus.FAILED, error.minor_status, error.detail or error.minor_status, error.blame)


def pending(end: Outcome) -> Outcome:
    """Return the end of a job of which a request has still to do something: DIRAC sets it Done when that is done."""
    if end.status is not JobStatus.DONE:
        return end
    return Outcome(JobStatus.COMPLETED, Minor.PENDING_REQUESTS, end.application_status)


def of_error(error: JobError) -> Outcome:
    """Return the end of a job that did not start."""
    status = JobStatus.FAILED if isinstance(error, FailJob) else JobStatus.RESCHEDULED
    return Outcome(status, error.minor_status, error.detail or error.minor_status, error.blame)


def of_crash(job: Job, error: JobError) -> Outcome:
    """Return the end of a job at which something failed that nobody foresaw; a failure of its own stays its end."""
    if job.end and job.end.status is not JobStatus.DONE:
        return job.end
    if job.phase is Phase.DELIVERING:  # it has run: it is not run again
        return Outcome(JobStatus.FAILED, error.minor_status, error.detail or error.minor_status, error.blame)
    return of_error(error)


def decided(before: Outcome | None, task: TaskStatus, *, speaks: bool = False) -> Outcome:
    """Return the end of a job whose task has ended.

    What was decided before the task was cancelled stands; but a payload that succeeded all the same is not run again.

    Args:
        before: what was decided.
        task: as it has ended.
        speaks: its program tells the WMS itself how it goes, as DIRAC's does: that is not overwritten by a number.
    """
    own = of_task(task, speaks=speaks)
    if before is None or (before.status is JobStatus.RESCHEDULED and own.status is JobStatus.DONE):
        return own
    return before


def of_task(task: TaskStatus, *, speaks: bool = False) -> Outcome:
    """Return the end of a job whose task ended by itself; see `decided`."""
    if task.limit is Limit.FAULT:
        return Outcome(JobStatus.FAILED, Minor.EXCEPTION, task.reason, Blame.AGENT)
    if task.limit is Limit.NODE_DISK:  # somewhere else there may be room
        return Outcome(JobStatus.RESCHEDULED, Minor.DISK_SPACE, task.reason, Blame.SITE)
    if task.limit:
        return Outcome(JobStatus.FAILED, MINOR_OF_LIMIT[task.limit], task.reason, Blame.USER)
    if task.state is not TaskState.DONE or task.exit_code is None:
        why = task.reason or "no exit code was left"
        return Outcome(JobStatus.RESCHEDULED, Minor.PAYLOAD_LOST, why, Blame.SITE)
    if task.exit_code == 0:
        return Outcome(JobStatus.DONE, Minor.APPLICATION_SUCCESS, task.reason)
    if task.exit_code in RESCHEDULE_CODES:
        return Outcome(JobStatus.RESCHEDULED, Minor.GOING_TO_RESCHEDULE, f"Exit code {task.exit_code}", Blame.USER)
    if task.reason.startswith((NO_CLIENT, NO_PYTHON)):
        return Outcome(JobStatus.RESCHEDULED, Minor.UNMET, task.reason, Blame.SITE)
    if task.exit_code == NOT_FOUND and task.reason.startswith(Minor.APPLICATION_NOT_FOUND):
        return Outcome(JobStatus.FAILED, Minor.APPLICATION_NOT_FOUND, task.reason, Blame.USER)
    words = task.reason or ("" if speaks else _exit_words(task.exit_code))
    return Outcome(JobStatus.FAILED, Minor.APPLICATION_ERRORS, words, Blame.USER)


def _exit_words(exit_code: int) -> str:
    number = exit_code - _SIGNAL_BASE
    if number in {member.value for member in signal.Signals}:
        return f"Exit code {exit_code}: killed by {signal.Signals(number).name}"
    return f"Exit code {exit_code}"
