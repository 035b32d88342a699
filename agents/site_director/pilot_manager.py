"""What the PilotManager is told of pilots, and what it knows of their jobs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.errors import AccessDenied, Refused
from agents.log import EventLog
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, PilotReport
from agents.site_director.queues import PilotQueue
from agents.site_director.registrars import Registrar
from agents.wms import answers
from agents.wms.job_monitoring import JobMonitoring
from agents.wms.service import Service

log = EventLog("pilot_manager")

_NO_PILOT = 1550  # DErrno.EWMSNOPILOT
_AT_ONCE = 200  # pilots in one call
_MOST_JOBS = 100_000  # of one pilot
_ORDER = ("Submitted", "Waiting", "Scheduled", "Running")  # of statuses; all others are final
ENDED = frozenset({"Done", "Failed", "Killed", "Deleted", "Rescheduled", "Waiting", "Received", "Checking"})
"""Statuses of jobs that hold no processor."""


@dataclass(frozen=True, slots=True)
class JobsOf:
    """How many jobs a pilot has had, and whether one of them runs."""

    number: int
    is_busy: bool


class PilotManager:
    """Keeps the list of pilots. The right to register them is Operator; the local WMS gives it to pilots too.

    A pilot is registered before it is submitted: DIRAC forgets which job it gave to a pilot that it did not know. Two
    threads may work here, one that registers, one that tells and asks.

    Args:
        service: the PilotManager, which is asked for what is known.
        registrar: is told of pilots.
        monitoring: how jobs stand.
        ledger: with what is to be told.
        queues: by name.
    """

    def __init__(
        self,
        service: Service,
        registrar: Registrar,
        monitoring: JobMonitoring,
        ledger: PilotLedger,
        queues: Mapping[str, PilotQueue],
    ) -> None:
        self._service = service
        self._registrar = registrar
        self._monitoring = monitoring
        self._ledger = ledger
        self._queues = queues
        self._known: set[str] = set()  # references that the WMS has
        self._may_register = True

    def is_announced(self, pilot: Pilot) -> bool:
        """Tell whether the WMS knows a pilot, or will not hear of it from us. Any thread may ask."""
        return pilot.reference in self._known or not self._may_register

    def announce(self) -> int:
        """Register what the WMS does not know yet; return how many it knows now that it did not.

        Raises:
            ServiceError: the WMS cannot be asked.
        """
        if not self._may_register:
            return 0
        stamps = list(dict.fromkeys(report.stamp for report in self._ledger.unsent()))
        new = [pilot for pilot in self._ledger.of(stamps).values() if pilot.reference not in self._known]
        try:
            for at in range(0, len(new), _AT_ONCE):
                self._register(new[at : at + _AT_ONCE])
        except AccessDenied as error:
            self._may_register = False
            log.warning(
                "pilots.not_registered", cause=error, note="DIRAC lets only those with Operator register pilots"
            )
        return len(new)

    def _register(self, pilots: Sequence[Pilot]) -> None:
        """Add those that the WMS does not know: it has no unique key, so it is asked first."""
        there = self._infos([pilot.reference for pilot in pilots])
        self._registrar.register([(p, self._queues.get(p.queue)) for p in pilots if p.reference not in there])
        self._known |= {pilot.reference for pilot in pilots}

    def tell(self) -> int:
        """Tell what was not accepted yet of the pilots that the WMS knows; return how many reports are settled.

        Of several statuses the last one counts; none is told that comes before what the WMS has, from the pilot itself
        perhaps, and no end after another one: the pilot knows better why it ended.

        Raises:
            ServiceError: the WMS cannot be asked; the rest is told the next time.
        """
        reports = self._ledger.unsent()
        pilots = self._ledger.of(list(dict.fromkeys(report.stamp for report in reports)))
        reports = [r for r in reports if r.stamp not in pilots or self.is_announced(pilots[r.stamp])]
        latest = {report.stamp: report for report in reports}
        told = [stamp for stamp in latest if stamp in pilots] if self._may_register else []
        there = self._statuses([pilots[stamp].reference for stamp in told])
        for stamp in told:
            pilot, report = pilots[stamp], latest[stamp]
            if _rank(report.status) > _rank(there.get(pilot.reference, "")):
                self._tell_status(pilot, report, self._queues.get(pilot.queue))
            self._ledger.sent(each for each in reports if each.stamp == stamp)
            if pilot.state.is_final:  # nothing more will be told of it
                self._known.discard(pilot.reference)
        self._ledger.sent(each for each in reports if each.stamp not in told)
        return len(reports)

    def _statuses(self, references: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for at in range(0, len(references), _AT_ONCE):
            infos = self._infos(references[at : at + _AT_ONCE])
            found |= {reference: str(info.get("Status", "")) for reference, info in infos.items()}
        return found

    def _tell_status(self, pilot: Pilot, report: PilotReport, queue: PilotQueue | None) -> None:
        try:
            self._registrar.set_status(pilot, report, queue)
        except Refused as refusal:
            log.warning("pilot.status_refused", pilot=pilot.reference, status=report.status, cause=refusal)

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


def _rank(status: str) -> int:
    """Return how far a pilot is that has this status; the last is an end, and nothing is less than Submitted."""
    return _ORDER.index(status) if status in _ORDER else len(_ORDER) if status else -1
