"""Jobs that may no longer be ours: after a restart, an outage, a lost heartbeat.

The WMS applies a late report without complaint, and a heartbeat sets an ended job Running again; so it is asked first.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from agents.errors import AccessDenied, Refused
from agents.jobs.job import Job, JobStatus, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.log import EventLog
from agents.wms.job_monitoring import JobMonitoring

log = EventLog("doubts")

_OURS = (JobStatus.MATCHED, JobStatus.RUNNING, JobStatus.STALLED, JobStatus.COMPLETING)
_ENDS = (JobStatus.DONE, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED)
_OUTAGE = timedelta(minutes=10)  # the age of an unsent report after which the WMS may have decided otherwise


class Ownership:
    """Asks about jobs in bulk before anything more is said of them. Used by the reporter's one thread.

    Args:
        monitoring: is asked.
        ledger: has what is still to be said.
        lost: is told of each job that was taken away.
        reference: of our pilot; a job that another pilot tells of is not ours, empty when unknown.
        former: references of the pilots that have worked here before: what they had is ours.
        now: by the servers' clock.
    """

    def __init__(
        self,
        monitoring: JobMonitoring,
        ledger: Ledger,
        lost: Callable[[int], None],
        reference: str = "",
        former: Collection[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monitoring = monitoring
        self._ledger = ledger
        self._lost = lost
        self._reference = reference
        self._mine = {reference, *former}
        self._now = now
        self._open = {job.job_id for job in ledger.open_jobs() if not _is_all_said(job, ledger)}

    def about(self, job_id: int) -> None:
        """Ask about this job before the next report."""
        self._open.add(job_id)

    def settle(self) -> set[int]:
        """Ask about all jobs in doubt; drop what was still to be said of those that were taken away, and return them.

        Raises:
            ServiceError: the WMS could not be asked; nothing should be sent meanwhile.
        """
        unsent = self._ledger.unsent()
        if unsent and self._age(unsent[0]) > _OUTAGE:
            self._open |= {report.job_id for report in unsent}
        answer, pilots = self._asked(self._open) if self._open else ({}, {})
        self._open.clear()
        said = {job.job_id: job.status for job in self._ledger.open_jobs() if job.phase is Phase.REPORTING}
        gone = {
            job_id
            for job_id, status in answer.items()
            if not _is_ours(status, _of(job_id, unsent)) and not _is_our_end(status, said.get(job_id))
        }
        elsewhere = {
            job_id for job_id in self._told_ours(unsent) if pilots.get(job_id, self._reference) not in self._mine
        }
        taken_away = gone | elsewhere
        for job_id in taken_away:
            log.warning("job.taken_away", job_id=job_id, status=answer.get(job_id), pilot=pilots.get(job_id))
            self._ledger.disown(job_id)
            self._lost(job_id)
        return taken_away

    def _told_ours(self, unsent: list[Report]) -> set[int]:
        """Return the jobs of which the WMS has heard that they are ours; before that it names an earlier pilot."""
        if not self._reference:
            return set()
        begun = {job.job_id for job in self._ledger.open_jobs() if job.phase is not Phase.MATCHED}
        return begun - {report.job_id for report in unsent if report.kind is ReportKind.PARAMETERS}

    def _age(self, report: Report) -> timedelta:
        return self._now() - datetime.fromisoformat(report.moment).replace(tzinfo=UTC)

    def _asked(self, job_ids: Collection[int]) -> tuple[dict[int, str], dict[int, str]]:
        """Return the status of each job, and the pilot that has last told of it."""
        try:
            statuses = self._monitoring.statuses(job_ids)
            return statuses, self._monitoring.pilots(job_ids) if self._reference else {}
        except (Refused, AccessDenied) as error:
            log.warning("doubts.not_settled", jobs=len(job_ids), cause=error)
            return {}, {}


def _is_our_end(status: str, said: JobStatus | None) -> bool:
    """Tell whether the WMS holds the end that we have told it: then it has heard us, and nobody has taken the job."""
    return said in _ENDS and status == said


def _of(job_id: int, reports: list[Report]) -> list[Report]:
    return [report for report in reports if report.job_id == job_id]


def _is_all_said(job: Job, ledger: Ledger) -> bool:
    """Tell whether a job has ended and nothing more is to be said of it."""
    return job.phase is Phase.REPORTING and not ledger.has_unsent(job.job_id)


def _is_ours(status: str, unsent: list[Report]) -> bool:
    """Tell whether a job with this status is still in our hands; one that we put back may lack the order for it."""
    unsaid = {report.kind for report in unsent}
    if ReportKind.RESCHEDULE in unsaid and ReportKind.STATUS not in unsaid:  # the order alone may have arrived already
        return status == JobStatus.RESCHEDULED
    return status in _OURS or (status == JobStatus.RESCHEDULED and ReportKind.RESCHEDULE in unsaid)
