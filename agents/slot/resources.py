"""What the slot has: processors that this process may use, and memory."""

import os
from collections.abc import Iterable

from agents.jobs.allocation import Slot
from agents.log import EventLog
from agents.settings import AgentSettings

log = EventLog("slot")


def find_slot(settings: AgentSettings, usable: Iterable[int] | None = None) -> Slot:
    """Return the slot as the pilot described it, bound to processors of this node.

    A site may declare more processors than the node has, for payloads that wait more than they count: those are
    numbered, and not bound to any.

    Args:
        settings: NumberOfProcessors, 0 to take all that are usable; MaxRAM.
        usable: processors that this process may run on.
    """
    mine = sorted(usable if usable is not None else os.sched_getaffinity(0))
    wanted = settings.processors or len(mine)
    if wanted > len(mine):
        log.warning("slot.overcommitted", declared=wanted, usable=len(mine))
        return Slot(range(wanted), settings.memory_mb, is_pinned=False)
    return Slot(mine[:wanted], settings.memory_mb)
