"""JobMonitoring: what the WMS holds of our jobs, read back where overwriting it would do harm."""

from collections.abc import Collection, Mapping

from agents.errors import BadAnswer
from agents.jobs.job import JobStatus
from agents.wms.service import Service

PILOT_REFERENCE = "Pilot_Reference"  # the job parameter that every pilot sets at the start of a job
_MARKED = "Marked for termination"  # JobMinorStatus.MARKED_FOR_TERMINATION
_ASSIGNED = "Assigned"  # what the Matcher writes


class JobMonitoring:
    """Reads; never changes anything."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def statuses(self, job_ids: Collection[int]) -> dict[int, str]:
        """Return the status of each job that the WMS knows, in DIRAC's words."""
        return self._of_each("getJobsStatus", job_ids, "Status")

    def pilots(self, job_ids: Collection[int]) -> dict[int, str]:
        """Return the reference of the pilot that has last told of each job; who has told nothing is left out."""
        return self._of_each("getJobParameters", job_ids, PILOT_REFERENCE)

    def is_newly_matched(self, job_id: int) -> bool:
        """Tell whether the Matcher has given a job away and nobody has told anything of it since."""
        answer = self._answer("getJobsStates", [job_id]).get(str(job_id), {})
        return isinstance(answer, Mapping) and is_untouched(answer)

    def is_marked_for_termination(self, job_id: int) -> bool:
        """Tell whether the order to kill a job came after our last word about it.

        The order itself has no date, and one that was meant for an earlier attempt waits in the WMS for the next
        heartbeat of whoever runs the job then (DIRAC issue 5849). It leaves its mark in the minor status.
        """
        return self._of_each("getJobsMinorStatus", [job_id], "MinorStatus").get(job_id) == _MARKED

    def _of_each(self, method: str, job_ids: Collection[int], name: str) -> dict[int, str]:
        rows = self._answer(method, sorted(job_ids)).items()
        return {int(job_id): str(row[name]) for job_id, row in rows if isinstance(row, Mapping) and name in row}

    def _answer(self, method: str, job_ids: list[int]) -> Mapping[str, object]:
        answer = self._service.call(method, job_ids)
        if not isinstance(answer, Mapping):
            raise BadAnswer(f"JobMonitoring.{method}: expected jobs, got {type(answer).__name__}")
        return answer


def is_untouched(state: Mapping[str, object]) -> bool:
    """Tell whether this is a job of which nobody has told anything since the Matcher gave it away."""
    return (state.get("Status"), state.get("MinorStatus")) == (JobStatus.MATCHED, _ASSIGNED)
