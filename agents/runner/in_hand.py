"""The jobs that are not closed, as they stand; the agent's main thread changes them."""

from collections.abc import Collection

from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.reporting.reporter import Reporter


class JobsInHand:
    """Jobs by their numbers, each with what its JDL says once that was read."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._descriptions: dict[int, JobDescription] = {}

    @property
    def all(self) -> list[Job]:
        """All of them."""
        return list(self._jobs.values())

    def all_but(self, job_ids: Collection[int]) -> list[Job]:
        """All of them without these."""
        return [job for job_id, job in self._jobs.items() if job_id not in job_ids]

    @property
    def working(self) -> list[Job]:
        """Jobs that hold processors or still have something to upload."""
        return [job for job in self._jobs.values() if job.phase is not Phase.REPORTING]

    @property
    def running(self) -> list[Job]:
        """Jobs whose task the CE has."""
        return self.in_phase(Phase.RUNNING)

    @property
    def is_clearing(self) -> bool:
        """True while something runs of which nobody knows what it holds: there may be no room."""
        return any(job.end and job.grant is None for job in self.working)

    def in_phase(self, phase: Phase) -> list[Job]:
        """Jobs for which the agent is doing this."""
        return [job for job in self._jobs.values() if job.phase is phase]

    def get(self, job_id: int) -> Job | None:
        """Return a job, None when it is not in hand."""
        return self._jobs.get(job_id)

    def __getitem__(self, job_id: int) -> Job:
        """Return a job that is in hand."""
        return self._jobs[job_id]

    def put(self, job: Job) -> None:
        """Take a job in hand, or keep it as it stands now."""
        self._jobs[job.job_id] = job

    def drop(self, job: Job) -> None:
        """Forget a job that is closed."""
        del self._jobs[job.job_id]
        self._descriptions.pop(job.job_id, None)

    def describe(self, job: Job, description: JobDescription) -> None:
        """Keep what a job's JDL says."""
        self._descriptions[job.job_id] = description

    def description(self, job: Job) -> JobDescription:
        """Return what a job's JDL says, which was read before."""
        return self._descriptions[job.job_id]

    def description_if_read(self, job: Job) -> JobDescription | None:
        """Return what a job's JDL says, None while it was not read."""
        return self._descriptions.get(job.job_id)


class Journal:
    """Writes each step of a job down before its effect, with what the WMS is to be told of it."""

    def __init__(self, jobs: JobsInHand, ledger: Ledger, reporter: Reporter) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._reporter = reporter

    def save(self, job: Job, *reports: Report) -> None:
        """Keep a job as it stands now, and what is to be said."""
        self._jobs.put(job)
        self._reporter.expect(reports)
        self._ledger.save(job, reports)
        if reports:
            self._reporter.wake(reports)

    def close(self, job: Job) -> None:
        """Let a job go of which nothing is left to do."""
        self._ledger.save(job.entering(Phase.CLOSED))
        self._jobs.drop(job)

    def drop_order(self, job: Job) -> None:
        """Order no more that a job be put back, where nothing but the order is left to say."""
        unsent = [report for report in self._ledger.unsent() if report.job_id == job.job_id]
        if all(report.kind is ReportKind.RESCHEDULE for report in unsent):
            self._ledger.sent(unsent)

    def has_unsent(self, job: Job) -> bool:
        """Tell whether the WMS still has to hear something of a job."""
        return self._ledger.has_unsent(job.job_id)

    def forget_beats(self, job: Job) -> None:
        """Send no heartbeat of a job any more."""
        self._reporter.forget_beats(job.job_id)
