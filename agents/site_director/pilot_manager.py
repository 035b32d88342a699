"""What the PilotManager is told of pilots, and what it knows of their jobs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.errors import Refused
from agents.log import EventLog
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, PilotReport
from agents.site_director.queues import PilotQueue
from agents.wms import answers
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.service import Service

log = EventLog("pilot_manager")

_NO_PILOT = 1550  # DErrno.EWMSNOPILOT
_AT_ONCE = 200  # pilots in one call
_MOST_JOBS = 100_000  # of one pilot
ENDED = frozenset({"Done", "Failed", "Killed", "Deleted", "Rescheduled", "Waiting", "Received", "Checking"})
"""Statuses of jobs that hold no processor."""


@dataclass(frozen=True, slots=True)
class JobsOf:
    """How many jobs a pilot has had, and whether one of them runs."""

    number: int
    is_busy: bool


class PilotManager:
    """Keeps the list of pilots. The right to register them is Operator; the local WMS gives it to pilots too.

    Args:
        service: the PilotManager.
        monitoring: how jobs stand.
        ledger: with what is to be told.
        queues: by name.
        vo: of the pilots.
    """

    def __init__(
        self,
        service: Service,
        monitoring: JobMonitoring,
        ledger: PilotLedger,
        queues: Mapping[str, PilotQueue],
        vo: str,
    ) -> None:
        self._service = service
        self._monitoring = monitoring
        self._ledger = ledger
        self._queues = queues
        self._vo = vo
        self._known: set[str] = set()  # references that the WMS has

    def tell(self) -> int:
        """Tell what was not accepted yet, in order; return how many reports were accepted.

        Raises:
            ServiceError: the WMS cannot be asked; the rest is told the next time.
        """
        reports = self._ledger.unsent()
        pilots = self._ledger.of(list(dict.fromkeys(report.stamp for report in reports)))
        self._register(list(pilots.values()))
        accepted = 0
        latest = {report.stamp: report for report in reports}  # of several statuses the last one counts
        for stamp, report in latest.items():
            pilot, queue = pilots.get(stamp), self._queues.get(pilots[stamp].queue) if stamp in pilots else None
            if pilot is not None:
                self._tell_status(pilot, report, queue)
            done = [each for each in reports if each.stamp == stamp]
            self._ledger.sent(done)
            accepted += len(done)
        return accepted

    def _tell_status(self, pilot: Pilot, report: PilotReport, queue: PilotQueue | None) -> None:
        site, ce, name = (queue.site, queue.ce, queue.queue) if queue else ("", pilot.queue, "")
        try:
            self._service.call("setPilotStatus", pilot.reference, report.status, ce, report.reason[:255], site, name)
        except Refused as refusal:
            log.warning("pilot.status_refused", pilot=pilot.reference, status=report.status, cause=refusal)

    def _register(self, pilots: Sequence[Pilot]) -> None:
        """Add those that the WMS does not know: it has no unique key, so it is asked first."""
        new = [pilot for pilot in pilots if pilot.reference not in self._known]
        for at in range(0, len(new), _AT_ONCE):
            some = new[at : at + _AT_ONCE]
            there = self._infos([pilot.reference for pilot in some])
            by_type: dict[str, list[Pilot]] = {}
            for pilot in some:
                queue = self._queues.get(pilot.queue)
                if pilot.reference not in there:
                    by_type.setdefault(queue.ce_type if queue else "Unknown", []).append(pilot)
            for ce_type, missing in by_type.items():
                stamps = {pilot.reference: pilot.stamp for pilot in missing}
                self._service.call("addPilotReferences", list(stamps), self._vo, ce_type, stamps, repeatable=False)
            self._known |= {pilot.reference for pilot in some}

    def jobs_of(self, pilots: Sequence[Pilot]) -> dict[str, JobsOf]:
        """Return what is known of the jobs of pilots, by stamp; a pilot that the WMS does not know has none.

        Raises:
            ServiceError: it cannot be asked.
        """
        of_pilot: dict[str, list[int]] = {}
        for at in range(0, len(pilots), _AT_ONCE):
            infos = self._infos([pilot.reference for pilot in pilots[at : at + _AT_ONCE]])
            of_pilot |= {reference: _jobs(row) for reference, row in infos.items()}
        running = self._running({job for jobs in of_pilot.values() for job in jobs})
        return {
            pilot.stamp: JobsOf(len(jobs), not running.isdisjoint(jobs))
            for pilot in pilots
            for jobs in [of_pilot.get(pilot.reference, [])]
        }

    def _running(self, jobs: Collection[int]) -> set[int]:
        statuses = self._monitoring.statuses(jobs) if jobs else {}
        return {job for job, status in statuses.items() if status not in ENDED}

    def _infos(self, references: Sequence[str]) -> Mapping[str, Mapping[str, object]]:
        if not references:
            return {}
        call = "PilotManager.getPilotInfo"
        try:
            found = answers.mapping(self._service.call("getPilotInfo", list(references)), call, "pilots")
        except Refused as refusal:
            if refusal.errno == _NO_PILOT:
                return {}
            raise
        return {reference: answers.mapping(found[reference], call) for reference in references if reference in found}


def _jobs(info: Mapping[str, object]) -> list[int]:
    call = "PilotManager.getPilotInfo"
    listed = answers.sequence(info.get("Jobs") or (), call, "a list of jobs")[:_MOST_JOBS]
    return [answers.job_number(job, call) for job in listed]
