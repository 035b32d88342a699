"""Sends what the ledger holds for the WMS: in order, merged, until accepted.

One thread does all of it, heartbeats included, so that a heartbeat can never overtake a final status.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping

from agents.errors import AccessDenied, Refused, ServiceError
from agents.jobs.ledger import Ledger, Report, ReportKind
from agents.log import EventLog
from agents.wms.job_state import Heartbeat, JobState
from agents.wms.service import Clock

log = EventLog("reporter")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0


class Reporter:
    """The agent's voice towards JobStateUpdate and JobManager."""

    def __init__(
        self,
        ledger: Ledger,
        job_state: JobState,
        accepted: Callable[[int], None],
        commanded: Callable[[int, Mapping[str, str]], None],
        clock: Clock = Clock(),
    ) -> None:
        self._ledger = ledger
        self._job_state = job_state
        self._accepted = accepted
        self._commanded = commanded
        self._clock = clock
        self._beats: deque[Heartbeat] = deque()
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
        self._beats = deque(other for other in self._beats if other.job_id != beat.job_id)
        self._beats.append(beat)
        self.wake()

    def forget_beats(self, job_id: int) -> None:
        """Send no heartbeat of this job any more: it would set an ended job Running."""
        self._beats = deque(beat for beat in self._beats if beat.job_id != job_id)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is accepted; False when it is not in this time."""
        self.wake()
        return self._idle.wait(timeout_s) and not self._ledger.unsent(1)

    def stop(self) -> None:
        """End the thread; what was not sent stays in the ledger."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            self._wake.clear()
            if self._send_all():
                pause_s = _FIRST_PAUSE_S
                self._idle.set()
                self._wake.wait()
            else:
                self._wait_out(pause_s * (0.5 + self._clock.jitter() / 2))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def _wait_out(self, pause_s: float) -> None:
        """Sleep through a failure; only the end of the agent cuts it short."""
        self._stopped.wait(pause_s)

    def _send_all(self) -> bool:
        """Send everything there is; False when the WMS could not be reached and it must be tried again."""
        while reports := self._ledger.unsent():
            for job_id, batch in _by_job(reports).items():
                if not self._send_job(job_id, batch):
                    return False
        return self._send_beats()

    def _send_job(self, job_id: int, batch: list[Report]) -> bool:
        for kind in (ReportKind.PARAMETERS, ReportKind.STATUS, ReportKind.RESCHEDULE):
            chosen = [report for report in batch if report.kind is kind]
            if chosen and not self._deliver(job_id, kind, chosen):
                return False
        self._accepted(job_id)
        return True

    def _deliver(self, job_id: int, kind: ReportKind, reports: list[Report]) -> bool:
        """Make one call; False when it must be repeated later."""
        try:
            self._call(job_id, kind, reports)
        except Refused as refusal:
            log.error("report.refused", job_id=job_id, kind=kind, cause=refusal)
        except ServiceError as error:
            level = log.error if isinstance(error, AccessDenied) else log.warning
            level("report.delayed", job_id=job_id, kind=kind, cause=error)
            return False
        self._ledger.sent(reports)
        return True

    def _call(self, job_id: int, kind: ReportKind, reports: list[Report]) -> None:
        if kind is ReportKind.STATUS:
            self._job_state.set_statuses(job_id, {report.moment: report.body for report in reports})
        elif kind is ReportKind.PARAMETERS:
            self._job_state.set_parameters(job_id, [pair for report in reports for pair in report.body.items()])
        else:
            self._job_state.reschedule(job_id)

    def _send_beats(self) -> bool:
        while self._beats:
            beat = self._beats.popleft()
            try:
                commands = self._job_state.heartbeat(beat)
            except ServiceError as error:  # the next one comes in a minute
                log.warning("heartbeat.lost", job_id=beat.job_id, cause=error)
                continue
            if commands:
                self._commanded(beat.job_id, commands)
        return True


def _by_job(reports: list[Report]) -> dict[int, list[Report]]:
    grouped: dict[int, list[Report]] = {}
    for report in reports:
        grouped.setdefault(report.job_id, []).append(report)
    return grouped
