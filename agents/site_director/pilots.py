"""A pilot of ours, from the decision to its end, as the ledger keeps it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where it stands. The order of the first three is the order in which they are written."""

    DECIDED = "Decided"  # nothing was submitted
    SUBMITTING = "Submitting"  # it may have been: it is looked for by its stamp
    WAITING = "Waiting"  # the CE has it
    RUNNING = "Running"
    CANCELLING = "Cancelling"  # its end is asked for
    DONE = "Done"
    FAILED = "Failed"
    ABORTED = "Aborted"  # taken back, or never submitted

    @property
    def is_final(self) -> bool:
        """True when it will not change any more."""
        return self in (State.DONE, State.FAILED, State.ABORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """One pilot; times are seconds since 1970, 0 for what has not happened.

    Attributes:
        stamp: 32 hexadecimal digits, chosen before anything else; the name of its batch job.
        queue: `CE/QUEUE`.
        processors: that it holds.
        state: where it stands.
        task_id: the CE's name of it, empty until the CE has answered.
        is_probe: sent to find out whether pilots of this queue find work again.
        jobs: how many it has had, as far as the WMS has told.
        is_busy: one of them runs.
        busy_since_s: since when we know that.
        idle_since_s: since when it has none.
        met_work: jobs waited that it could have run, while it asked.
        is_told: its end says something about its queue, or is known to say nothing.
        found_work: what its end says, None for nothing.
        why: why it ended, or what the CE said last.
        is_fetched: its output is here, or cannot be had.
        proxy_ends_s: when the proxy ends that it has been given.
    """

    stamp: str
    queue: str
    processors: int
    state: State
    decided_s: float
    submitted_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0
    task_id: str = ""
    is_probe: bool = False
    jobs: int = 0
    is_busy: bool = False
    busy_since_s: float = 0.0
    idle_since_s: float = 0.0
    met_work: bool = False
    is_told: bool = False
    found_work: bool | None = None
    why: str = ""
    is_fetched: bool = False
    proxy_ends_s: float = 0.0

    @property
    def reference(self) -> str:
        """Its name in the WMS.

        It is known before the batch system has been asked, and to the pilot itself: the number of an element of an
        array, as the CE tells it, is not the one that the element sees.
        """
        return f"gridpilot://{self.queue}/{self.stamp}"


@dataclass(frozen=True, slots=True)
class PilotReport:
    """What the WMS is to be told of a pilot; `number` is given by the ledger."""

    stamp: str
    status: str
    reason: str = ""
    number: int = 0
