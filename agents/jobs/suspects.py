"""Jobs at which agents have died, perhaps: several may have been in work, and one of them is why."""

from collections.abc import Iterable

from agents.errors import Blame, FailJob
from agents.jobs.job import Job, Minor

_DEATHS = 2  # of an agent at one job: it is not touched once more
_DIED = "internal error: the agent has died {count} times while it was at this job"


class Suspects:
    """Has them gone on with one after another, so that a second death tells which it was."""

    def __init__(self) -> None:
        self._waiting: list[int] = []

    def judged(self, job: Job) -> FailJob | None:
        """Return why a job is not touched any more, None while it may be."""
        if job.is_touched and job.deaths >= _DEATHS:
            return FailJob(Minor.EXCEPTION, _DIED.format(count=job.deaths), blame=Blame.AGENT)
        return None

    def takes(self, job: Job) -> bool:
        """Tell whether a job has to wait for its turn."""
        if not (job.is_touched and job.deaths):
            return False
        self._waiting.append(job.job_id)
        return True

    def next(self, jobs: Iterable[Job]) -> int | None:
        """Return the job whose turn it is, None while somebody is at the one before.

        Args:
            jobs: in hand.
        """
        known = {job.job_id: job for job in jobs}
        self._waiting = [job_id for job_id in self._waiting if job_id in known and known[job_id].rests]
        if not self._waiting or any(job.deaths and job.is_touched for job in known.values()):
            return None
        return self._waiting.pop(0)
