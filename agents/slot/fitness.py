"""Whether a job could run now: the node's health, and the word of the CE that would run it."""

from collections.abc import Sequence

from agents.log import EventLog
from agents.slot.monitor import SlotMonitor
from ce_backends.base import CanTell, ComputingElement

log = EventLog("slot")


class Fitness:
    """Looks at both before each request to the Matcher."""

    def __init__(self, monitor: SlotMonitor, ce: ComputingElement) -> None:
        self._monitor = monitor
        self._ce = ce
        self._has_told = False

    def troubles(self) -> Sequence[str]:
        """Return why no job can run here now; takes longer where the CE has to try a container first."""
        found = list(self._monitor.troubles())
        if isinstance(self._ce, CanTell):
            trouble = self._ce.trouble()
            found += [trouble] if trouble else []
            self._tell(self._ce)
        return found

    def _tell(self, ce: CanTell) -> None:
        """Say once what payloads are held by here, when that is found out."""
        if not self._has_told and (remark := ce.remark()):
            self._has_told = True
            log.info("payloads.held", note=remark)
