"""How jobs ended here, counted for the agent's last word and its stop conditions."""

from dataclasses import dataclass, field

from agents.jobs.job import JobStatus, Outcome


@dataclass(slots=True)
class Tally:
    """Counts of one agent's life; a job handed back for the node's fault counts in the row of host failures.

    Attributes:
        failed_here_twice: a job that came back here right after that, and fared no better; 0 while there is none.
    """

    matched: int = 0
    done: int = 0
    failed: int = 0
    handed_back: int = 0
    host_failures_in_a_row: int = 0
    failed_here_twice: int = 0
    _last_failed: int = 0
    _found: set[int] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """Return what the agent's last word tells, by name."""
        names = ("matched", "done", "failed", "handed_back", "host_failures_in_a_row")
        return {name: getattr(self, name) for name in names}

    def found(self, job_id: int) -> None:
        """Take note of a former agent's job: a node that was switched off has lost what ran, and is none the worse."""
        self._found.add(job_id)

    def count_host_failure(self, job_id: int) -> None:
        """Count a job that is handed back for the node's fault."""
        if job_id in self._found:
            self._found.discard(job_id)
            return
        self.host_failures_in_a_row += 1
        self.failed_here_twice = job_id if job_id == self._last_failed else self.failed_here_twice
        self._last_failed = job_id

    def ended(self, end: Outcome) -> None:
        """Count the end of a job; one that really ran breaks the row of host failures."""
        if end.status is JobStatus.RESCHEDULED:
            self.handed_back += 1
            return
        self.host_failures_in_a_row = self._last_failed = 0
        if end.status.is_success:
            self.done += 1
        else:
            self.failed += 1
