"""Who may read what on the pages, beyond what everybody in the Registry may."""

from agents.local_wms.registry import GENERIC_PILOT, OPERATOR
from agents.local_wms.services.base import Caller


def reads_all_logs(caller: Caller) -> bool:
    """Tell whether a caller may read the log of any pilot; others may read those of pilots that had a job of theirs."""
    return not caller.properties.isdisjoint({OPERATOR, GENERIC_PILOT})
