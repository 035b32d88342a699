"""How jobs ended here, counted for the agent's last word and its stop conditions."""

from dataclasses import dataclass

from agents.errors import Blame, HandBack, JobError
from agents.jobs.job import JobStatus, Outcome


@dataclass(slots=True)
class Tally:
    """Counts of one agent's life; a job handed back for the node's fault counts in the row of host failures."""

    matched: int = 0
    done: int = 0
    failed: int = 0
    handed_back: int = 0
    host_failures_in_a_row: int = 0

    def count_host_failure(self, error: JobError) -> None:
        """Count an error of a job where it is the node's fault."""
        self.host_failures_in_a_row += isinstance(error, HandBack) and error.blame is Blame.SITE

    def ended(self, end: Outcome) -> None:
        """Count the end of a job; one that really ran breaks the row of host failures."""
        if end.status is JobStatus.RESCHEDULED:
            self.handed_back += 1
            return
        self.host_failures_in_a_row = 0
        if end.status is JobStatus.DONE:
            self.done += 1
        else:
            self.failed += 1
