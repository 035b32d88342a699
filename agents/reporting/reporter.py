"""Sends what the ledger holds for the WMS: in order, merged, until accepted.

One thread does all of it, heartbeats included, so that a heartbeat can never overtake a final status.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from agents.errors import AccessDenied, BadAnswer, NodeUnfit, Refused, ServiceError, StopAgent, Unreachable
from agents.jobs.job import JobStatus, Phase
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.log import EventLog
from agents.pacing import GATHER_S, after_asked_s, in_an_outage_s
from agents.reporting.gathering import Gathering
from agents.reporting.ownership import Ownership
from agents.reporting.read_back import ReadBack
from agents.wms.diracx.either import TellsJobState
from agents.wms.job_state import Heartbeat
from agents.wms.service import Clock
from ce_backends.linux.loop import Loop

log = EventLog("reporter")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 300.0  # while the WMS is away
_HURRIED_S = 45.0  # the longest pause of an agent that only waits for its last reports
_AT_ONCE = 500  # reports; so many fill calls without waiting for more
_STOP_S = 10.0  # for the call that may be on its way
_LATE_S = 15.0  # a call whose caller has given up may be carried out so much later
_REFUSALS = 8  # in a row, about four minutes: what is refused as often will not be taken later
_ENDS = (JobStatus.DONE, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED)  # not Rescheduled
_FOR_GOOD = re.compile(r"authori[sz]ed|No Matching Job|does not exist|[Mm]aximum number of reschedul|Wrong job", re.I)


class Reporter:
    """The agent's voice towards JobStateUpdate and JobManager."""

    def __init__(  # noqa: PLR0913 - each is somebody who has to hear of something
        self,
        ledger: Ledger,
        job_state: TellsJobState,
        accepted: Callable[[int], None],
        commanded: Callable[[int, Mapping[str, str]], None],
        clock: Clock = Clock(),
        *,
        ownership: Ownership | None = None,
        read_back: ReadBack | None = None,
        settled: Callable[[], None] = lambda: None,
        gather_s: float = GATHER_S,
    ) -> None:
        self._ownership = ownership
        self._read_back = read_back
        self._settled = settled
        self._is_settled = False
        # job → monotonic time of the last call that may be carried out yet; a former agent's are as late
        former = [job.job_id for job in ledger.open_jobs() if job.phase is Phase.REPORTING]
        self._doubtful = dict.fromkeys(former, clock.monotonic())
        self._gathering = Gathering(gather_s, clock.monotonic)
        self._ledger = ledger
        self._job_state = job_state
        self._accepted = accepted
        self._commanded = commanded
        self._clock = clock
        self._has_taken_up = False
        self._is_hurried = False
        self._refusals: dict[int, int] = {}
        self._beats: dict[int, Heartbeat] = {}
        self._beats_lock = threading.Lock()
        self._idle = threading.Event()
        self._pause_s = _FIRST_PAUSE_S
        self._asked_s = 0.0  # to wait, by the WMS
        self._loop = Loop(self._turn, "reporter")

    def start(self) -> None:
        """Begin to send; what a former agent has said last is read back."""
        self._loop.start()

    def expect(self, reports: Iterable[Report]) -> None:
        """These reports will be in the ledger in a moment; `wake` follows."""
        self._gathering.expect(reports)

    def wake(self, reports: Iterable[Report] = ()) -> None:
        """There is something new in the ledger: these reports."""
        self._gathering.note(reports)
        self._idle.clear()
        self._loop.wake()

    def beat(self, beat: Heartbeat) -> None:
        """Send a heartbeat after what is already waiting; a newer one of the same job replaces it."""
        with self._beats_lock:
            self._beats[beat.job_id] = beat
        self._gathering.hurry()
        self.wake()

    def forget_beats(self, job_id: int) -> None:
        """Send no heartbeat of this job any more: it would set an ended job Running."""
        with self._beats_lock:
            self._beats.pop(job_id, None)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is accepted; False when it is not in this time."""
        deadline = self._clock.monotonic() + timeout_s
        self._is_hurried = True
        while True:
            self.wake()
            if not self._idle.wait(max(0.0, deadline - self._clock.monotonic())):
                return False
            if not self._ledger.unsent(1) and self._next_s() is None:  # else it was idle just before the last report
                return True

    def untold(self) -> list[int]:
        """Return the jobs of which the WMS may not have heard everything."""
        unsent = {report.job_id for report in self._ledger.unsent()}
        return sorted(unsent | (self._read_back.untold() if self._read_back else set()))

    def stop(self) -> None:
        """End the thread; what was not sent stays in the ledger."""
        self._loop.close(_STOP_S)

    def _turn(self) -> float:
        if self._try():
            self._pause_s = _FIRST_PAUSE_S
            next_s = self._next_s()
            if next_s is None and self._gathering.next_s() is None:
                self._idle.set()
            self._rest(next_s)
        else:
            self._pause()
        return 0.0

    def _pause(self) -> None:
        """Let a WMS that is away alone: longer each time, not all agents for as long, and for as long as it wants."""
        if self._asked_s:
            self._loop.wait_out(after_asked_s(self._asked_s, 0.0, self._clock.jitter))
            self._asked_s = 0.0
        left_s = in_an_outage_s(self._pause_s, self._clock.jitter)
        while left_s > 0 and not self._loop.wait_out(min(left_s, _HURRIED_S)):
            left_s = 0.0 if self._is_hurried else left_s - _HURRIED_S
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)

    def _try(self) -> bool:
        try:
            self._take_up()
            return self._send_all()
        except NodeUnfit as error:  # the ledger fails; the main thread will meet it too, and end the agent
            log.error("reporter.no_ledger", cause=error)
            return False
        except StopAgent as error:  # no service, no credential now: what is to be said stays in the ledger
            log.error("reporter.cannot_send", cause=error)
            return False

    def _take_up(self) -> None:
        """Go on, once, with the jobs of which a former agent has said the last word: its calls may be on their way."""
        if self._has_taken_up:
            return
        self._has_taken_up = True
        unsaid = {report.job_id for report in self._ledger.unsent() if report.kind is ReportKind.STATUS}
        for job in self._ledger.open_jobs():
            if job.phase is Phase.REPORTING and job.job_id not in unsaid:
                if job.status in _ENDS:
                    self._last_said(job.job_id)
                if not self._ledger.has_unsent(job.job_id) and not self._is_to_be_read_back(job.job_id):
                    self._accepted(job.job_id)

    def _rest(self, next_s: float | None) -> None:
        """Rest until something is due; what comes meanwhile is brought to the disk as it comes."""
        until = None if next_s is None else self._clock.monotonic() + next_s
        while not (self._loop.is_closing or self._gathering.is_urgent):
            left_s = None if until is None else until - self._clock.monotonic()
            left_s = min((each for each in (left_s, self._gathering.next_s()) if each is not None), default=None)
            if left_s is not None and left_s <= 0:
                return
            self._loop.rest(left_s)
            with suppress(NodeUnfit):  # as above
                self._ledger.make_last()
            if self._is_hurried:
                return
        if not self._is_hurried:
            self._loop.wait_out(self._gathering.together_s)

    def _next_s(self) -> float | None:
        """Return in how many seconds there is something to do though nobody wakes us, None when there is nothing."""
        held = {report.job_id for report in self._ledger.unsent() if self._is_held(report)} if self._doubtful else set()
        late = [self._doubtful[job_id] + _LATE_S - self._clock.monotonic() for job_id in held]
        back = self._read_back.next_s(is_all=self._is_hurried) if self._read_back else None
        return min((max(0.0, each) for each in (*late, back) if each is not None), default=None)

    def _send_all(self) -> bool:
        """Send everything there is; False when some of it must be tried again."""
        try:
            self._settle()
            self._tell_settled()
            while reports := self._due():
                self._ledger.make_last()  # who forgets what he has said says something else the next time
                taken = [self._send_job(job_id, batch) for job_id, batch in _by_job(reports).items()]
                if not all(taken):
                    return False
            if self._read_back:
                self._read_back.look(is_all=self._is_hurried)
        except ServiceError:  # the WMS is away: no use to ask it about the other jobs
            return False
        return self._send_beats()

    def _due(self) -> list[Report]:
        """Return what is to be sent now: of a job whose sign of life waits, all; it must not come before its words."""
        self._gathering.begin()
        unsent = self._ledger.unsent(_AT_ONCE)
        with self._beats_lock:
            beating = set(self._beats)
        due = self._gathering.due(unsent, beating, is_all=self._is_hurried or len(unsent) == _AT_ONCE)
        return [report for report in due if not self._is_held(report)]

    def _settle(self) -> None:
        """Find out which jobs are not ours any more; errors as in `Ownership.settle`."""
        over = [job_id for job_id, at in self._doubtful.items() if self._clock.monotonic() >= at + _LATE_S]
        for job_id in over:
            del self._doubtful[job_id]
            if self._ownership:
                self._ownership.about(job_id)
        for job_id in self._ownership.settle() if self._ownership else ():
            self.forget_beats(job_id)
            if self._read_back:
                self._read_back.forget(job_id)

    def _is_held(self, report: Report) -> bool:
        """Tell whether what puts a job back must wait: it, or a sign of life before it, may be carried out yet.

        The status waits as the order does: a sign of life between the two would set the job Running for nobody.
        """
        puts_back = report.kind is ReportKind.RESCHEDULE or report.body.get("Status") == JobStatus.RESCHEDULED
        return puts_back and report.job_id in self._doubtful

    def _doubt(self, job_id: int, error: ServiceError) -> None:
        """Take note of a call that failed, and may have been received all the same."""
        if not isinstance(error, Unreachable):
            self._doubtful[job_id] = self._clock.monotonic()

    def _last_said(self, job_id: int) -> None:
        """Take note that the last word on a job was taken: it counts when it is read back."""
        if self._read_back:
            self._read_back.said(job_id, self._doubtful.get(job_id, -_LATE_S) + _LATE_S)

    def _is_to_be_read_back(self, job_id: int) -> bool:
        return self._read_back is not None and job_id in self._read_back.untold()

    def _tell_settled(self) -> None:
        """Tell, once, that the WMS was asked about everything that a former agent had left."""
        if not self._is_settled:
            self._is_settled = True
            self._settled()

    def _send_job(self, job_id: int, batch: list[Report]) -> bool:
        """Send one job's reports in order; False when the service stumbles over them, which stops no other job's.

        Raises:
            ServiceError: the service could not be asked at all.
        """
        is_taken = True
        for kind in (ReportKind.PARAMETERS, ReportKind.STATUS, ReportKind.RESCHEDULE):
            chosen = [report for report in batch if report.kind is kind]
            if chosen and not self._deliver(job_id, kind, chosen):
                is_taken = False
                if kind is ReportKind.STATUS:  # which an order to reschedule must follow; parameters hold up nothing
                    break
        if is_taken and not self._ledger.has_unsent(job_id) and not self._is_to_be_read_back(job_id):
            self._accepted(job_id)
        return is_taken

    def _deliver(self, job_id: int, kind: ReportKind, reports: list[Report]) -> bool:
        """Make one call; False when the service answered it with nonsense (HTTP 500)."""
        try:
            self._call(job_id, kind, reports)
        except Refused as refusal:
            if self._may_pass(job_id, refusal):
                if kind is ReportKind.RESCHEDULE:  # a database that was away may have been so after it was done
                    self._doubt(job_id, refusal)
                return False
            log.error("report.refused", job_id=job_id, kind=kind, cause=refusal)
        except ServiceError as error:
            self._doubt(job_id, error)
            self._asked_s = error.retry_after_s or 0.0
            level = log.error if isinstance(error, AccessDenied) else log.warning
            level("report.delayed", job_id=job_id, kind=kind, cause=error)
            if not isinstance(error, BadAnswer):
                raise
            return False
        self._refusals.pop(job_id, None)
        self._note_end(job_id, kind, reports)
        self._ledger.sent(reports)
        return True

    def _note_end(self, job_id: int, kind: ReportKind, reports: list[Report]) -> None:
        """Take note whether what was taken is a job's last word."""
        words = [report.body["Status"] for report in reports if "Status" in report.body]
        if words and words[-1] in _ENDS:
            self._last_said(job_id)
        elif self._read_back and (words or kind is ReportKind.RESCHEDULE):
            self._read_back.forget(job_id)

    def _may_pass(self, job_id: int, refusal: Refused) -> bool:
        """Tell whether a refusal may be a passing one, of a database that is away; never more than a few times."""
        if refusal.is_final or _FOR_GOOD.search(str(refusal)):
            return False
        self._refusals[job_id] = self._refusals.get(job_id, 0) + 1
        log.warning("report.delayed", job_id=job_id, times=self._refusals[job_id], cause=refusal)
        return self._refusals[job_id] < _REFUSALS

    def _call(self, job_id: int, kind: ReportKind, reports: list[Report]) -> None:
        if kind is ReportKind.STATUS:
            self._job_state.set_statuses(job_id, {report.moment: report.body for report in reports})
        elif kind is ReportKind.RESCHEDULE:
            self._job_state.reschedule(job_id)
        elif pairs := [pair for report in reports for pair in report.body.items()]:
            self._job_state.set_parameters(job_id, pairs)

    def _send_beats(self) -> bool:
        while beat := self._next_beat():
            try:
                commands = self._job_state.heartbeat(beat)
            except ServiceError as error:  # the next one comes in a minute
                log.warning("heartbeat.lost", job_id=beat.job_id, cause=error)
                self._doubt(beat.job_id, error)
                if self._ownership:
                    self._ownership.about(beat.job_id)
                continue
            if commands:
                self._commanded(beat.job_id, commands)
        return True

    def _next_beat(self) -> Heartbeat | None:
        with self._beats_lock:
            return self._beats.pop(next(iter(self._beats))) if self._beats else None


def _by_job(reports: list[Report]) -> dict[int, list[Report]]:
    grouped: dict[int, list[Report]] = {}
    for report in reports:
        grouped.setdefault(report.job_id, []).append(report)
    return grouped
