"""Who is told of pilots: DIRAC's PilotManager, or DiracX where PilotsByStamp is set. The only place that chooses."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from agents.errors import AccessDenied, CredentialError, Refused, ServiceError, Unreachable
from agents.log import EventLog
from agents.site_director.pilots import Pilot, PilotReport
from agents.site_director.queues import PilotQueue
from agents.wms.diracx.pilots import DiracXPilots
from agents.wms.service import Service

log = EventLog("pilot_manager")

_REASON_LIMIT = 255  # the column's width in DIRAC's database
_SAID_NO = (Refused, AccessDenied)
_SURELY_NOT = (*_SAID_NO, Unreachable, CredentialError)  # was it done
_REFUSED_S, _AWAY_S = 3600.0, 60.0  # for so long DiracX is not asked again


Placed = tuple[Pilot, PilotQueue | None]
"""A pilot and its queue; None for one that is chosen no more."""


class Registrar(Protocol):
    """Writes the list of pilots. One thread registers, another one tells."""

    def register(self, pilots: Sequence[Placed]) -> None:
        """Add pilots that are not known.

        Raises:
            AccessDenied: we have no right to.
            ServiceError: it cannot be asked.
        """

    def set_status(self, pilot: Pilot, report: PilotReport, queue: PilotQueue | None) -> None:
        """Tell how a pilot stands; errors as of `register`.

        Raises:
            Refused: it is not taken.
        """


class ByReference:
    """The PilotManager, which knows pilots by their references.

    Args:
        service: the PilotManager.
        vo: of the pilots.
    """

    def __init__(self, service: Service, vo: str) -> None:
        self._service = service
        self._vo = vo

    def register(self, pilots: Sequence[Placed]) -> None:
        """See Registrar. One call for each type of CE; it has no unique key, so it has to be asked for them before."""
        by_type: dict[str, dict[str, str]] = {}
        for pilot, queue in pilots:
            by_type.setdefault(_type(queue), {})[pilot.reference] = pilot.stamp
        for ce_type, stamps in by_type.items():
            self._service.call("addPilotReferences", list(stamps), self._vo, ce_type, stamps, repeatable=False)

    def set_status(self, pilot: Pilot, report: PilotReport, queue: PilotQueue | None) -> None:
        """See Registrar."""
        site, ce, name = _place(pilot, queue)
        reason = report.reason[:_REASON_LIMIT]
        self._service.call("setPilotStatus", pilot.reference, report.status, ce, reason, site, name)


class ByStamp:
    """DiracX, with the pilots' own credential; for a while the PilotManager when DiracX has refused that or is away.

    Args:
        diracx: gives who is asked; CredentialError while there is no credential for it.
        otherwise: the PilotManager.
        vo: of the pilots.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        diracx: Callable[[], DiracXPilots],
        otherwise: ByReference,
        vo: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._diracx = diracx
        self._otherwise = otherwise
        self._vo = vo
        self._clock = clock
        self._not_before = -1e9
        self._told = ""

    def register(self, pilots: Sequence[Placed]) -> None:
        """See Registrar. DiracX takes one pilot a call."""
        left = [(pilot, queue) for pilot, queue in pilots if not self._has_taken(partial(self._add, pilot, queue))]
        if left:
            self._otherwise.register(left)

    def _add(self, pilot: Pilot, queue: PilotQueue | None, to: DiracXPilots) -> None:
        site, ce, _ = _place(pilot, queue)
        told = {"vo": self._vo, "grid_type": _type(queue), "grid_site": site, "destination_site": ce}
        made = {name: text for name, text in told.items() if text}
        to.register(pilot.stamp, {**made, "pilot_reference": pilot.reference})

    def set_status(self, pilot: Pilot, report: PilotReport, queue: PilotQueue | None) -> None:
        """See Registrar."""
        site, ce, name = _place(pilot, queue)
        told = {"Status": report.status, "StatusReason": report.reason[:_REASON_LIMIT]}
        told |= {"DestinationSite": ce, "GridSite": site, "Queue": name}
        said = {field: text for field, text in told.items() if text}
        if not self._has_taken(lambda to: to.set_status(pilot.stamp, said)):
            self._otherwise.set_status(pilot, report, queue)

    def _has_taken(self, call: Callable[[DiracXPilots], None]) -> bool:
        """Tell whether DiracX has taken it; False where surely nothing was done there.

        Raises:
            ServiceError: it may have been done: who tries again asks before whether it was, and meets the PilotManager.
        """
        if self._clock() < self._not_before:
            return False
        try:
            call(self._diracx())
        except (ServiceError, CredentialError) as error:
            self._leave_alone(error)
            if not isinstance(error, _SURELY_NOT):
                raise
            return False
        return True

    def _leave_alone(self, error: ServiceError | CredentialError) -> None:
        rest_s = _REFUSED_S if isinstance(error, _SAID_NO) else _AWAY_S
        self._not_before = self._clock() + rest_s
        if str(error) != self._told:  # once, not every hour
            log.warning("pilots.not_by_stamp", cause=error, instead="PilotManager", again_in_s=rest_s)
            self._told = str(error)


def _type(queue: PilotQueue | None) -> str:
    return queue.ce_type if queue else "Unknown"


def _place(pilot: Pilot, queue: PilotQueue | None) -> tuple[str, str, str]:
    """Return site, CE and queue; of a queue that is no more, what is known."""
    return (queue.site, queue.ce, queue.queue) if queue else ("", pilot.queue, "")
