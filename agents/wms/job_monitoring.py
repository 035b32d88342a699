"""JobMonitoring: what the WMS holds of our jobs, read back where overwriting it would do harm."""

from collections.abc import Collection, Mapping

from agents.jobs.job import JobStatus, MatchedJob
from agents.wms import answers
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
        return bool(self.untouched([job_id]))

    def untouched(self, job_ids: Collection[int]) -> list[int]:
        """Return those of these jobs that the Matcher has given away and of which nobody has told anything since."""
        states = self._answer("getJobsStates", job_ids) if job_ids else {}
        return [job_id for job_id in job_ids if job_id in states and _is_untouched(states[job_id])]

    def matched(self, job_id: int) -> MatchedJob:
        """Return what the Matcher's answer held when it gave this job away.

        Raises:
            ServiceError: it cannot be had, or is not understood.
        """
        call = "JobMonitoring.getJobSummary"
        facts = answers.mapping(self._service.call("getJobSummary", job_id), call)
        jdl = self._service.call("getJobJDL", job_id, False)  # noqa: FBT003 - the wire's own argument: original
        return MatchedJob(
            job_id=job_id,
            jdl=answers.text(jdl, "JobMonitoring.getJobJDL", "a JDL"),
            owner=answers.text(facts.get("Owner"), call, "a text as Owner"),
            group=answers.text(facts.get("OwnerGroup"), call, "a text as OwnerGroup"),
        )

    def is_marked_for_termination(self, job_id: int) -> bool:
        """Tell whether the order to kill a job came after our last word about it.

        The order itself has no date, and one that was meant for an earlier attempt waits in the WMS for the next
        heartbeat of whoever runs the job then (DIRAC issue 5849). It leaves its mark in the minor status.
        """
        return self._of_each("getJobsMinorStatus", [job_id], "MinorStatus").get(job_id) == _MARKED

    def _of_each(self, method: str, job_ids: Collection[int], name: str) -> dict[int, str]:
        rows = self._answer(method, job_ids).items()
        call = f"JobMonitoring.{method}"
        return {job_id: answers.text(row[name], call, f"a text as {name}") for job_id, row in rows if name in row}

    def _answer(self, method: str, job_ids: Collection[int]) -> dict[int, Mapping[str, object]]:
        return answers.jobs(self._service.call(method, sorted(job_ids)), f"JobMonitoring.{method}")


def _is_untouched(state: Mapping[str, object]) -> bool:
    return (state.get("Status"), state.get("MinorStatus")) == (JobStatus.MATCHED, _ASSIGNED)
