"""Sends what the ledger holds for the WMS: in order, merged, until accepted.

One thread does all of it, heartbeats included, so that a heartbeat can never overtake a final status.
"""

import re
import threading
from collections.abc import Callable, Mapping

from agents.errors import AccessDenied, BadAnswer, NodeUnfit, Refused, ServiceError
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.log import EventLog
from agents.wms.doubts import Doubts
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.service import Clock

log = EventLog("reporter")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_REFUSALS = 8  # in a row, about four minutes: what is refused as often will not be taken later
_FOR_GOOD = re.compile(r"authori[sz]ed|No Matching Job|does not exist|[Mm]aximum number of reschedul|Wrong job", re.I)


class Reporter:
    """The agent's voice towards JobStateUpdate and JobManager."""

    def __init__(
        self,
        ledger: Ledger,
        job_state: JobState,
        accepted: Callable[[int], None],
        commanded: Callable[[int, Mapping[str, str]], None],
        clock: Clock = Clock(),
        doubts: Doubts | None = None,
        gather_s: float = 1.0,
    ) -> None:
        self._doubts = doubts
        self._gather_s = gather_s
        self._ledger = ledger
        self._job_state = job_state
        self._accepted = accepted
        self._commanded = commanded
        self._clock = clock
        self._refusals: dict[int, int] = {}
        self._beats: dict[int, Heartbeat] = {}
        self._beats_lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the ledger."""
        self._idle.clear()
        self._wake.set()

    def beat(self, beat: Heartbeat) -> None:
        """Send a heartbeat after what is already waiting; a newer one of the same job replaces it."""
        with self._beats_lock:
            self._beats[beat.job_id] = beat
        self.wake()

    def forget_beats(self, job_id: int) -> None:
        """Send no heartbeat of this job any more: it would set an ended job Running."""
        with self._beats_lock:
            self._beats.pop(job_id, None)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is accepted; False when it is not in this time."""
        deadline = self._clock.monotonic() + timeout_s
        while True:
            self.wake()
            if not self._idle.wait(max(0.0, deadline - self._clock.monotonic())):
                return False
            if not self._ledger.unsent(1):  # else it was idle just before the last report came
                return True

    def stop(self) -> None:
        """End the thread; what was not sent stays in the ledger."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            self._wake.clear()
            if self._try():
                pause_s = _FIRST_PAUSE_S
                self._idle.set()
                self._wake.wait()
                self._wait_out(self._gather_s)  # the words of a short job go in one call
            else:
                self._wait_out(pause_s * (0.5 + self._clock.jitter() / 2))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _try(self) -> bool:
        try:
            return self._send_all()
        except NodeUnfit as error:  # the ledger fails; the main thread will meet it too, and end the agent
            log.error("reporter.no_ledger", cause=error)
            return False

    def _wait_out(self, pause_s: float) -> None:
        """Sleep through a failure; only the end of the agent cuts it short."""
        self._stopped.wait(pause_s)

    def _send_all(self) -> bool:
        """Send everything there is; False when some of it must be tried again."""
        try:
            for job_id in self._doubts.settle() if self._doubts else ():
                self.forget_beats(job_id)
            while reports := self._ledger.unsent():
                taken = [self._send_job(job_id, batch) for job_id, batch in _by_job(reports).items()]
                if not all(taken):
                    return False
        except ServiceError:  # the WMS is away: no use to ask it about the other jobs
            return False
        return self._send_beats()

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
        if is_taken:
            self._accepted(job_id)
        return is_taken

    def _deliver(self, job_id: int, kind: ReportKind, reports: list[Report]) -> bool:
        """Make one call; False when the service answered it with nonsense (HTTP 500)."""
        try:
            self._call(job_id, kind, reports)
        except Refused as refusal:
            if self._may_pass(job_id, refusal):
                return False
            log.error("report.refused", job_id=job_id, kind=kind, cause=refusal)
        except ServiceError as error:
            if kind is ReportKind.RESCHEDULE and self._doubts:  # it may have arrived, and must not arrive twice
                self._doubts.about(job_id)
            level = log.error if isinstance(error, AccessDenied) else log.warning
            level("report.delayed", job_id=job_id, kind=kind, cause=error)
            if not isinstance(error, BadAnswer):
                raise
            return False
        self._refusals.pop(job_id, None)
        self._ledger.sent(reports)
        return True

    def _may_pass(self, job_id: int, refusal: Refused) -> bool:
        """Tell whether a refusal may be a passing one, of a database that is away; never more than a few times."""
        if _FOR_GOOD.search(str(refusal)):
            return False
        self._refusals[job_id] = self._refusals.get(job_id, 0) + 1
        log.warning("report.delayed", job_id=job_id, times=self._refusals[job_id], cause=refusal)
        return self._refusals[job_id] < _REFUSALS

    def _call(self, job_id: int, kind: ReportKind, reports: list[Report]) -> None:
        if kind is ReportKind.STATUS:
            self._job_state.set_statuses(job_id, {report.moment: report.body for report in reports})
        elif kind is ReportKind.PARAMETERS:
            self._job_state.set_parameters(job_id, [pair for report in reports for pair in report.body.items()])
        else:
            self._job_state.reschedule(job_id)

    def _send_beats(self) -> bool:
        while beat := self._next_beat():
            try:
                commands = self._job_state.heartbeat(beat)
            except ServiceError as error:  # the next one comes in a minute
                log.warning("heartbeat.lost", job_id=beat.job_id, cause=error)
                if self._doubts:
                    self._doubts.about(beat.job_id)
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
