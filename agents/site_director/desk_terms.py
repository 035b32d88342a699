"""What a CE's desk works by: how often, and what pilots have before they are submitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.site_director.pilots import Pilot
from agents.site_director.proxy_in_queue import ProxyInQueue
from ce_backends.base import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, how long.

    Attributes:
        poll_s: between two questions to the CE.
        call_s: a call that takes longer is given up.
        announce_s: the WMS has to take note of a new pilot; then it is submitted all the same.
        cancel_again_s: between two orders to end the same pilots.
    """

    poll_s: float
    call_s: float
    announce_s: float = 10.0
    cancel_again_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Papers:
    """What a pilot has before it is submitted.

    Attributes:
        tasks: makes the tasks of pilots; raises CredentialError where there is no proxy for them.
        is_announced: tells whether the WMS knows a pilot.
        proxy: keeps those of waiting pilots long enough; None where they have none.
    """

    tasks: Callable[[Sequence[Pilot]], Sequence[TaskSpec]]
    is_announced: Callable[[Pilot], bool] = lambda _: True
    proxy: ProxyInQueue | None = None
