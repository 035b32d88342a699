"""JobMonitoring: what the WMS holds of our jobs, read back where overwriting it would do harm."""

from collections.abc import Collection, Mapping

from agents.errors import BadAnswer
from agents.wms.service import Service

_MARKED = "Marked for termination"  # JobMinorStatus.MARKED_FOR_TERMINATION


class JobMonitoring:
    """Reads; never changes anything."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def statuses(self, job_ids: Collection[int]) -> dict[int, str]:
        """Return the status of each job that the WMS knows, in DIRAC's words."""
        return self._of_each("getJobsStatus", job_ids, "Status")

    def is_marked_for_termination(self, job_id: int) -> bool:
        """Tell whether the order to kill a job came after our last word about it.

        The order itself has no date, and one that was meant for an earlier attempt waits in the WMS for the next
        heartbeat of whoever runs the job then (DIRAC issue 5849). It leaves its mark in the minor status.
        """
        return self._of_each("getJobsMinorStatus", [job_id], "MinorStatus").get(job_id) == _MARKED

    def _of_each(self, method: str, job_ids: Collection[int], name: str) -> dict[int, str]:
        answer = self._service.call(method, sorted(job_ids))
        if not isinstance(answer, Mapping):
            raise BadAnswer(f"JobMonitoring.{method}: expected jobs, got {type(answer).__name__}")
        return {int(job_id): str(row.get(name)) for job_id, row in answer.items() if isinstance(row, Mapping)}
