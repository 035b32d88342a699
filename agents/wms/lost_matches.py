"""Jobs that were matched for this agent and never arrived: the answer was lost, or the agent that asked was killed.

`requestJob` has no lease, so such a job would stay Matched until somebody wonders. But the Matcher notes which pilot
it gave a job to (PilotManager), and a job of which nobody has told anything is still `Matched`, `Assigned`. Several
agents may share one reference (allocations of many nodes, array tasks), and what was just given to another of them
looks the same; so only an agent looks that has asked and does not know what came of it, and takes only what nobody has
told anything of for longer than a first report takes.
"""

import time
from collections.abc import Callable, Collection, Mapping

from agents.errors import AccessDenied, PilotRefused, Refused, ServiceError, Unreachable
from agents.jobs.job import MatchedJob
from agents.jobs.ledger import Ledger
from agents.log import EventLog
from agents.wms import answers
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.matcher import Asks
from agents.wms.service import Service

log = EventLog("matcher")

_LONGER_S = 15.0  # is waited where no request of ours is open: whoever's it may be has looked for it before
_LOOK_EVERY_S = 5.0
_FAILURES = 3  # in a row
_NO_SUCH_PILOT = 1550  # DErrno.EWMSNOPILOT
_UNKNOWN = ("", "Unknown")  # references of nobody


class PilotJobs:
    """Tells which jobs the WMS believes a pilot holds. Never changes anything.

    Args:
        pilot_manager: tells what was given to whom.
        monitoring: tells how jobs stand.
        is_published: tells whether there is a PilotManager now.
    """

    def __init__(
        self, pilot_manager: Service, monitoring: JobMonitoring, is_published: Callable[[], bool] = lambda: True
    ) -> None:
        self._pilots = pilot_manager
        self._monitoring = monitoring
        self.is_published = is_published

    def given(self, reference: str) -> list[int]:
        """Return the jobs that were ever given to the pilot with this reference.

        Raises:
            ServiceError: it cannot be found out.
        """
        call = "PilotManager.getPilotInfo"
        pilot = answers.mapping(self._pilots.call("getPilotInfo", reference), call).get(reference)
        jobs = answers.mapping(pilot, call, "a pilot").get("Jobs", ()) if pilot is not None else ()
        return [answers.job_number(job_id, call) for job_id in answers.sequence(jobs, call, "a list of jobs")]

    def untouched(self, job_ids: Collection[int]) -> list[int]:
        """Return those of these jobs of which nobody has told anything since their match; errors as `given`."""
        return self._monitoring.untouched(job_ids)

    def matched(self, job_id: int) -> MatchedJob:
        """Return what the Matcher's answer held; errors as `given`."""
        return self._monitoring.matched(job_id)


class LostMatches:
    """Requests of which nobody knows what came of them, kept in the ledger, and the search for what they matched.

    Used by the main thread, and by one worker at a time while the main thread waits for its event.

    Args:
        ledger: has the requests, also those that a former agent has left open.
        jobs: tells what the WMS has given; None where it cannot be asked.
        reference: of our pilot.
        after_s: untouched for so long, while we do not know what came of a request, a job is ours.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        jobs: PilotJobs | None,
        reference: str,
        after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._after_s = after_s
        self._jobs = None if reference in _UNKNOWN else jobs
        self._reference = reference
        self._clock = clock
        self._answered: list[int] = []
        self._open: dict[int, str] = {}
        self._seen: dict[int, float] = {}  # job → when it was first seen untouched
        self._admits_until = self._next_look = clock()  # what is seen later first was not matched by our request
        self._is_last_due = self._is_last = False
        self._failures = 0
        for number, of_pilot in ledger.open_requests().items():
            log.warning("match.unanswered", request=number, pilot=of_pilot)
            self._doubt(number, of_pilot)

    # ---- a request ----

    def begin(self, offer: Mapping[str, object]) -> int:
        """Write down that a job is about to be asked for; return the request's number."""
        self._is_last_due, self._is_last = self._jobs is not None, False
        number = self._ledger.begin_request(self._reference, offer)
        self._ledger.make_last()  # what a power failure takes from us is looked for too
        return number

    def over(self, number: int, *, has_job: bool) -> None:
        """Take note of an answer; one that brought a job is open until `taken`, for we may die before it is ours."""
        if has_job:
            self._answered.append(number)
        else:
            self._ledger.end_requests([number])

    def taken(self) -> None:
        """Take note that the jobs which were answered are in the ledger."""
        if self._answered:
            self._ledger.end_requests(self._answered)
            self._answered.clear()

    def in_doubt(self, number: int) -> None:
        """Take note that nobody knows what came of a request."""
        self._doubt(number, self._reference)

    def _doubt(self, number: int, reference: str) -> None:
        if self._jobs is None:
            self._ledger.end_requests([number])
            return
        self._open[number] = reference
        self._next_look = self._clock()
        self._admits_until = self._clock() + self._after_s

    # ---- the search ----

    @property
    def may_have_found(self) -> bool:
        """True while a job is seen that may be ours: there may be no room for another one."""
        return bool(self._seen)

    def is_due(self, *, is_end: bool = False) -> bool:
        """Tell whether `look` should be called now.

        Args:
            is_end: nothing else is left to do; a request that was answered may have been delivered twice.
        """
        wants = bool(self._open or self._seen) or (is_end and self._is_last_due)
        return wants and self._clock() >= self._next_look and self._can_look

    def is_over(self) -> bool:
        """Tell whether all was looked for, so that the agent may end."""
        return not (self._can_look and (self._open or self._seen or self._is_last_due))

    @property
    def _can_look(self) -> bool:
        return self._jobs is not None and self._jobs.is_published()

    def look(self) -> MatchedJob | None:
        """Return a job that was lost on its way here, None while there is none or it may be another agent's."""
        self._next_look = self._clock() + min(_LOOK_EVERY_S, self._after_s)
        try:
            found = self._found()
        except ServiceError as error:
            log.warning("lost_matches.unknown", cause=error)
            self._has_failed(error)
            return None
        self._failures = 0
        return found

    def _has_failed(self, error: ServiceError) -> None:
        """Look again later; not for ever where we may not ask, or have no request open."""
        self._failures += 1
        is_nobody = isinstance(error, Refused) and error.errno == _NO_SUCH_PILOT
        is_denied = isinstance(error, AccessDenied)
        is_told = is_nobody or (is_denied and not self._open)  # DIRAC as it is shipped lets no pilot ask
        may_give_up = is_denied or not self._open
        if is_told or (may_give_up and self._failures >= _FAILURES):
            self._end()

    def _found(self) -> MatchedJob | None:
        assert self._jobs is not None, "nobody looks where nobody can be asked"
        now = self._clock()
        if not self._open and not self._is_last:
            self._is_last, self._admits_until = True, now
        untouched = self._untouched(self._jobs)
        self._seen = {
            job_id: self._seen.get(job_id, now)
            for job_id in untouched
            if job_id in self._seen or now <= self._admits_until
        }
        patience_s = self._after_s if self._open else self._after_s + _LONGER_S
        for job_id, seen in self._seen.items():
            if now - seen >= patience_s:
                log.warning("match.found_again", job_id=job_id)
                return self._jobs.matched(job_id)
        if not self._seen and now >= self._admits_until:
            self._end()
        return None

    def _untouched(self, jobs: PilotJobs) -> list[int]:
        """Return the jobs that may be ours.

        Where no request is open, one can only have been delivered twice: that is looked for where no other agent has
        ever worked with our reference.
        """
        references = dict.fromkeys(self._open.values()) or [self._reference]
        given = dict.fromkeys(job_id for reference in references for job_id in jobs.given(reference))
        in_hand = {job.job_id for job in self._ledger.open_jobs()}
        untouched = jobs.untouched([job_id for job_id in given if job_id not in in_hand])
        others = given.keys() - in_hand - set(untouched)
        if not self._open and not all(map(self._ledger.has_ended, others)):
            return []
        return untouched

    def _end(self) -> None:
        """Hold all for known."""
        self._ledger.end_requests(list(self._open))
        self._open, self._seen, self._is_last_due = {}, {}, False


class LostMatchFinder:
    """A Matcher whose requests are written down before they are made, so that none is forgotten."""

    def __init__(self, matcher: Asks, lost: LostMatches) -> None:
        self._matcher = matcher
        self._lost = lost

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """Ask the Matcher; errors as in `Matcher.request_job`. What may have been received is looked for later."""
        number = self._lost.begin(offer)
        try:
            job = self._matcher.request_job(offer)
        except (Unreachable, PilotRefused):  # surely nothing was matched
            self._lost.over(number, has_job=False)
            raise
        except ServiceError:
            self._lost.in_doubt(number)
            raise
        self._lost.over(number, has_job=job is not None)
        return job
