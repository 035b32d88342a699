"""Where the agent stands with the Matcher, and when it may ask again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.errors import AccessDenied, ExitCode, NodeUnfit, Refused, ServiceError, StopAgent
from agents.log import EventLog
from agents.pacing import after_asked_s, after_nothing_s
from agents.parts import Parts
from agents.process.events import MatchAnswered
from agents.slot.idle import Idle

log = EventLog("agent")


@dataclass(slots=True)
class Asking:
    """Requests for jobs, one at a time; used by the agent's main thread.

    Attributes:
        polling_s: the first wait after an answer that brought nothing.
        jitter: returns a number from 0 to 1.
    """

    polling_s: float
    jitter: Callable[[], float]
    is_waiting: bool = False
    requests: int = 0
    empty_in_a_row: int = 0
    unfit_in_a_row: int = 0
    last_meaning: ExitCode = ExitCode.ENDED  # of the last answer: an empty match, or a job, is a good one
    has_to_end: bool = False  # by a signal
    awaits_batch_system: bool = False  # only its commands can tell how much time is left
    not_before: float = 0.0  # monotonic; after an answer that brought nothing
    paused_until: float = 0.0  # monotonic; after jobs that went back for the node's fault
    asked_until: float = 0.0  # monotonic; the Matcher wants to be left alone, whatever becomes free meanwhile
    host_failures_seen: int = 0
    has_room: bool = True  # for another job, as far as was looked
    is_put_off: bool = False  # there is room, and only not_before keeps us from asking
    is_last: bool = False  # all else is done; only a match of ours may still be under way
    patience_ends: float = float("inf")  # monotonic; when an answer is not waited for any more

    @property
    def end_means(self) -> ExitCode:
        """What the last answer means for the end of the agent: nothing where somebody else wanted it to end."""
        return ExitCode.ENDED if self.has_to_end else self.last_meaning

    @property
    def waits_until(self) -> float:
        """Monotonic; nothing is asked for before."""
        return max(self.not_before, self.paused_until, self.asked_until)

    def why_idle(self) -> Idle:
        """Why processors that are free have no job, while jobs are asked for."""
        if not self.has_room:
            return Idle.NO_ROOM
        if self.unfit_in_a_row or time.monotonic() < self.paused_until:
            return Idle.UNFIT
        if not self.empty_in_a_row:
            return Idle.ASKING
        return Idle.NO_MATCH if self.last_meaning is ExitCode.ENDED else Idle.NO_ANSWER

    def has_brought_nothing(self, meaning: ExitCode, retry_after_s: float = 0.0) -> None:
        """Take note of a request that brought no job; one that an unfit node kept from being made is no empty match.

        Args:
            meaning: the exit code of an agent that never gets another answer.
            retry_after_s: what the Matcher asked to wait.
        """
        is_unfit = meaning is ExitCode.NODE_UNFIT
        self.last_meaning = meaning
        self.empty_in_a_row += not is_unfit
        self.unfit_in_a_row = self.unfit_in_a_row + 1 if is_unfit else 0
        in_a_row = self.unfit_in_a_row or self.empty_in_a_row
        self.not_before = time.monotonic() + after_nothing_s(self.polling_s, in_a_row, self.jitter)
        if retry_after_s > 0:
            self.asked_until = time.monotonic() + after_asked_s(retry_after_s, 0.0, self.jitter)

    def pause_after(self, host_failures_in_a_row: int) -> None:
        """Ask for no match at once after jobs went back for the node's fault: the next might fare no better."""
        if host_failures_in_a_row > self.host_failures_seen:
            wait_s = after_nothing_s(self.polling_s, host_failures_in_a_row, self.jitter)
            self.paused_until = time.monotonic() + wait_s
        self.host_failures_seen = host_failures_in_a_row


def meaning_of(error: ServiceError | StopAgent | None) -> ExitCode:
    """Return the exit code that the answer to a request for a job means, if it is the last one."""
    match error:
        case None:
            return ExitCode.ENDED
        case StopAgent():
            return error.exit_code
        case Refused() | AccessDenied():
            return ExitCode.PILOT_REFUSED
    return ExitCode.SERVICE_MISSING


def matched(parts: Parts, descriptions: Sequence[Mapping[str, object]]) -> MatchAnswered:
    """Ask the Matcher with one offer after another until it gives a job; runs in a worker."""
    if troubles := parts.troubles():
        return MatchAnswered(error=NodeUnfit("; ".join(troubles)))
    parts.before_asking()
    started = time.monotonic()
    answers = map(parts.matcher.request_job, descriptions)
    try:
        job = next((answer for answer in answers if answer), None)
    except (ServiceError, StopAgent) as error:
        return MatchAnswered(error=error)
    log.debug("matcher.answered", job_id=job.job_id if job else None, seconds=time.monotonic() - started)
    return MatchAnswered(job)
