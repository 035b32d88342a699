"""Jobs that the Matcher gives although they were here before: matched anew, or the same answer once more."""

from collections.abc import Callable, Mapping

from agents.errors import BadAnswer, NoAnswer, ServiceError
from agents.jobs.job import MatchedJob
from agents.log import EventLog
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.matcher import Asks

log = EventLog("matcher")


class RematchGuard:
    """A Matcher that gives a job of the past only if the WMS has really matched it anew.

    Args:
        matcher: asks for jobs.
        monitoring: tells how a job stands.
        was_here: tells whether this agent had the job before and has told, or tells, how it ended.
    """

    def __init__(self, matcher: Asks, monitoring: JobMonitoring, was_here: Callable[[int], bool]) -> None:
        self._matcher = matcher
        self._monitoring = monitoring
        self._was_here = was_here

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Return a job that may be run; errors as in `Matcher.request_job`.

        Raises:
            BadAnswer: the job has ended, and nobody has put it back.
            NoAnswer: it was here before, and the WMS cannot be asked now.
        """
        job = self._matcher.request_job(offer)
        if job is not None and self._was_here(job.job_id):
            self._check(job.job_id)
        return job

    def _check(self, job_id: int) -> None:
        try:
            is_new = self._monitoring.is_newly_matched(job_id)
        except ServiceError as error:
            raise NoAnswer(
                f"job {job_id} was here before, and whether it was matched anew is unknown: {error}"
            ) from error
        if not is_new:
            log.error("job.matched_twice", job_id=job_id)
            raise BadAnswer(
                f"Matcher.requestJob: job {job_id} was given again, but the WMS does not hold it for matched"
            )
