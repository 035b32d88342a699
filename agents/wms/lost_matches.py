"""Jobs that were matched for this pilot and never arrived: the answer was lost, or the agent that asked was killed.

`requestJob` has no lease, so such a job would stay Matched until somebody wonders. But the Matcher notes which pilot
it gave a job to (PilotManager), and a job of which nobody has told anything is still `Matched`, `Assigned`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from agents.errors import AccessDenied, BadAnswer, NoAnswer, Refused, ServiceError
from agents.jobs.job import MatchedJob
from agents.log import EventLog
from agents.wms.job_monitoring import is_untouched
from agents.wms.rematch import OnceMatcher
from agents.wms.service import Service

log = EventLog("matcher")

_LOOKS = 3  # after a lost answer: the WMS may still be at work on the request when we look first


class PilotJobs:
    """Tells which jobs the WMS believes this pilot holds, or one that worked here before. Never changes anything."""

    def __init__(self, pilot_manager: Service, job_monitoring: Service, references: Sequence[str]) -> None:
        self._pilots = pilot_manager
        self._monitoring = job_monitoring
        self._references = references

    def untouched(self, known: Collection[int]) -> Iterator[MatchedJob]:
        """Yield the jobs given to this pilot of which nobody has told anything since.

        Args:
            known: jobs in hand, whose first reports may be on their way.

        Raises:
            ServiceError: it cannot be found out.
        """
        job_ids = [job_id for job_id in self._given() if job_id not in known]
        states = self._mapping(self._monitoring, "getJobsStates", job_ids) if job_ids else {}
        for job_id in job_ids:
            state = states.get(str(job_id), {})
            if isinstance(state, Mapping) and is_untouched(state):
                yield self._matched(job_id)

    def _given(self) -> list[int]:
        return [job_id for reference in self._references for job_id in self._given_to(reference)]

    def _given_to(self, reference: str) -> list[int]:
        pilot = self._mapping(self._pilots, "getPilotInfo", reference).get(reference)
        jobs = pilot.get("Jobs", ()) if isinstance(pilot, Mapping) else ()
        if not isinstance(jobs, list | tuple):
            raise BadAnswer(f"PilotManager.getPilotInfo: expected a list of jobs, got {jobs!r}")
        return [int(job_id) for job_id in jobs]

    def _matched(self, job_id: int) -> MatchedJob:
        """Return what the Matcher's answer held."""
        facts = self._mapping(self._monitoring, "getJobSummary", job_id)
        jdl = self._monitoring.call("getJobJDL", job_id, False)  # noqa: FBT003 - the wire's own argument: original
        return MatchedJob(
            job_id=job_id, jdl=str(jdl), owner=str(facts.get("Owner")), group=str(facts.get("OwnerGroup"))
        )

    def _mapping(self, service: Service, method: str, *arguments: object) -> Mapping[str, object]:
        answer = service.call(method, *arguments)
        if not isinstance(answer, Mapping):
            raise BadAnswer(f"{service.name}.{method}: expected a mapping, got {type(answer).__name__}")
        return answer


class SureMatcher:
    """A Matcher that looks for lost matches before it asks again: at the start, and after an answer that was lost.

    Used by one thread at a time.
    """

    def __init__(self, matcher: OnceMatcher, pilot_jobs: PilotJobs, in_hand: Callable[[], Collection[int]]) -> None:
        self._matcher = matcher
        self._pilot_jobs = pilot_jobs
        self._in_hand = in_hand
        self._looks = 1

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Return a job that was lost on its way here, or ask the Matcher; errors as in `Matcher.request_job`."""
        found = self._lost() if self._looks else None
        if found is not None:
            log.warning("match.found_again", job_id=found.job_id)
            return found
        try:
            return self._matcher.request_job(offer)
        except (NoAnswer, BadAnswer):
            self._looks = _LOOKS
            raise

    def _lost(self) -> MatchedJob | None:
        try:
            found = next(self._pilot_jobs.untouched(self._in_hand()), None)
        except (Refused, AccessDenied) as error:  # a pilot that nobody registered, or may not ask
            log.info("lost_matches.unknown", cause=error)
            self._looks = 0
            return None
        except ServiceError as error:
            log.warning("lost_matches.unknown", cause=error)
            return None
        self._looks -= found is None
        return found
