"""Going on with the jobs that a former agent in this work directory had in hand."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from agents.errors import JobError
from agents.jobs.job import HOLDING, NOT_BEGUN, Job
from agents.jobs.ledger import Ledger
from agents.jobs.suspects import Suspects
from agents.jobs.tally import Tally
from agents.log import EventLog
from agents.runner.in_hand import JobsInHand, Journal
from agents.slot.allocation import Slot

log = EventLog("jobs")


@dataclass(frozen=True, slots=True)
class Steps:
    """What the runner does with a job that is taken up.

    Attributes:
        belonging_to: ends this job, and not the agent, where something fails meanwhile.
        go_on: goes on with it as it stands.
        give_up: ends it wherever it stands.
    """

    belonging_to: Callable[[int], AbstractContextManager[None]]
    go_on: Callable[[Job], None]
    give_up: Callable[[Job, JobError], None]


class Recovery:
    """Takes jobs up after a restart. Called by the agent's main thread."""

    def __init__(
        self, steps: Steps, *, jobs: JobsInHand, journal: Journal, ledger: Ledger, slot: Slot, tally: Tally
    ) -> None:
        self._steps = steps
        self._jobs = jobs
        self._journal = journal
        self._ledger = ledger
        self._slot = slot
        self._tally = tally
        self._suspects = Suspects()
        self._unasked: set[int] = set()  # perhaps somebody else's by now

    def recover(self, forget_others: Callable[[set[str]], object]) -> None:
        """Go on with what is in the ledger.

        One that may not have begun waits for `confirmed`: the WMS may have given it to somebody else.

        Args:
            forget_others: is given the stamps of all of them, for what a CE keeps besides.
        """
        for job in [self._taken_up(job) for job in self._ledger.open_jobs()]:
            if job.job_id not in self._unasked:
                self._touch(job)
        self.go_on_with_suspect()
        forget_others({job.stamp for job in self._jobs.all})

    def confirmed(self) -> None:
        """Go on with what waited: the WMS was asked whose it is, and what was taken away has its end."""
        unasked, self._unasked = self._unasked, set()
        for job in [job for job in self._jobs.all if job.job_id in unasked and job.end is None]:
            self._journal.save(replace(job, rests=False))
            self._touch(self._jobs[job.job_id])
        self.go_on_with_suspect()

    def go_on_with_suspect(self) -> None:
        """Go on with one job at which agents have died, when nobody is at another one."""
        if (job_id := self._suspects.next(self._jobs.all)) is not None:
            self._journal.save(replace(self._jobs[job_id], rests=False))
            with self._steps.belonging_to(job_id):
                self._steps.go_on(self._jobs[job_id])

    def _taken_up(self, job: Job) -> Job:
        """Take a job in hand as a former agent left it; that this one died at it is counted before it is touched."""
        log.info("job.recovered", job_id=job.job_id, attempt=job.attempt, stamp=job.stamp, phase=job.phase)
        self._jobs.put(job)
        self._tally.found(job.job_id)
        waits = job.phase in NOT_BEGUN and job.end is None
        self._unasked |= {job.job_id} if waits else set()
        if job.is_touched or job.rests:
            job = replace(job, deaths=job.deaths + job.is_touched, rests=waits)
            self._journal.save(job)
        if job.grant and job.phase in HOLDING:
            self._slot.hold(job.grant)
        return job

    def _touch(self, job: Job) -> None:
        """Go on with a job, unless agents have died at it again and again."""
        with self._steps.belonging_to(job.job_id):
            if error := self._suspects.judged(job):
                self._steps.give_up(job, error)
            elif self._suspects.takes(job):
                self._journal.save(replace(job, rests=True))
            else:
                self._steps.go_on(job)
