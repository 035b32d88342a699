"""When the agent stops asking for work, and why."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Stop(StrEnum):
    """Why the agent takes no more jobs; the words end up in the pilot's status reason."""

    NOTHING_TO_DO = "Nothing to do for more than {limit} requests"
    DRAINED = "Node is being drained by an operator"
    SIGNAL = "The pilot was asked to end by {signal}"
    TIME_OVER = "No more time left"
    NOT_FILLING = "Filling Mode is Disabled"
    MATCHES_USED_UP = "The limit of {limit} requests to the Matcher is reached"
    APPLICATION_FAILED = "A payload failed and StopOnApplicationFailure is set"
    HOST_FAILURES = "{limit} jobs in a row were handed back for the node's fault"
    SAME_JOB_TWICE = "Job {job} was handed back twice in a row for the node's fault"
    SLOT_ENDS = "The slot ends, says {source}"
    UNFIT = "The node is not fit for jobs: {cause}"
    BLACK_HOLE = "The node looks like a black hole: {reason}"
    NO_LEDGER = "The ledger cannot be written any more"
    ALL_BROKEN = "Processes that cannot be killed hold every processor"
    AND_BROKEN = "; {count} processors are held by processes that cannot be killed"  # added to another reason
    NOT_TOLD = "; the WMS has not heard how {jobs} ended"  # added to another reason
    REFUSED = "The WMS refused this pilot: {cause}"


@dataclass(frozen=True, slots=True)
class DrainFile:
    """An operator's file that says: no more jobs on this node (DIRAC: /var/lib/dirac_drain)."""

    path: Path

    def exists(self) -> bool:
        """Tell whether the node is being drained."""
        try:
            return self.path.exists()
        except OSError:  # a path that cannot be looked at is no order to drain
            return False
