"""Computing elements: the contract, for those who write one of their own.

What stands here is the contract's and stays; everything else of this package may move.
"""

from ce_backends.base import (
    Accepted,
    Activity,
    Admits,
    CanTell,
    ComputingElement,
    Examines,
    Forgets,
    Kills,
    Limit,
    Notifies,
    Peeks,
    Places,
    Queues,
    Rejected,
    RenewsCredentials,
    Signals,
    SlotCount,
    Submission,
    TaskSpec,
    TaskState,
    TaskStatus,
    Uncertain,
    Usage,
)
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.options import Option, OptionValue

__all__ = [
    "Accepted",
    "Activity",
    "Admits",
    "CEError",
    "CEMisconfigured",
    "CEUnavailable",
    "CanTell",
    "ComputingElement",
    "Examines",
    "Forgets",
    "Kills",
    "Limit",
    "Notifies",
    "Option",
    "OptionValue",
    "Peeks",
    "Places",
    "Queues",
    "Rejected",
    "RenewsCredentials",
    "Signals",
    "SlotCount",
    "Submission",
    "TaskSpec",
    "TaskState",
    "TaskStatus",
    "Uncertain",
    "Usage",
]
