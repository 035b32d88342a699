"""What the law is told and what it says: frozen values. Times are seconds since 1970."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

_TRUSTED = 0.5  # share of pilots that find work


class Stage(StrEnum):
    """Where a pilot stands, as far as supply is concerned."""

    WAITING = "waiting"  # in a queue
    STARTING = "starting"  # it runs and has not asked for a job yet
    ASKING = "asking"  # it could have a job now


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotView:
    """One pilot.

    Attributes:
        stage: where it stands.
        submitted_s: when it was submitted.
        free: processors without a job.
        has_run: it has had a job.
        idle_since_s: since when it has had no job; of one that is ASKING.
    """

    stage: Stage
    submitted_s: float
    free: int
    has_run: bool = False
    idle_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a pilot that ended, or should have found work: it says something about its queue.

    Attributes:
        found_work: it ran a job.
        was_probe: it was sent to find out.
    """

    found_work: bool
    was_probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue.

    Attributes:
        name: of it.
        processors: of a pilot there.
        room: how many more pilots it takes now; 0 also while it fails or is held.
        is_seen: what is known of its pilots is new; else those that wait there are not counted on.
        pilots: those that have not ended.
        waits_s: of the pilots that started last, newest last.
        outcomes: of the pilots that ended last, newest last.
        start_up_s: from the start of a pilot to its first question.
        price: of a processor hour, beside that of others.
        last_submitted_s: when it last got a pilot.
    """

    name: str
    processors: int
    room: int
    is_seen: bool = True
    pilots: Sequence[PilotView] = ()
    waits_s: Sequence[float] = ()
    outcomes: Sequence[Outcome] = ()
    start_up_s: float = 45.0
    price: float = 1.0
    last_submitted_s: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJobs:
    """Jobs that the Matcher cannot tell apart.

    Attributes:
        jobs: how many wait.
        processors: of each.
        queues: names of those in which they fit.
    """

    jobs: int
    processors: int
    queues: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What can be chosen.

    Attributes:
        reserve: share of the busy processors that is kept free besides, while there is work.
        look_ahead: count on what running pilots free before a new one would start.
        calm_s: how long there must be a surplus before anything is taken back.
        unknown_wait_s: expected in a queue of which nothing is known: to believe it quick costs more than to wait.
    """

    reserve: float = 0.0
    look_ahead: bool = False
    calm_s: float = 60.0
    unknown_wait_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next."""

    last_work_s: float = -math.inf
    surplus_since_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known.

    Attributes:
        now_s: the time.
        queues: all of them.
        waiting: the jobs.
        job_s: how long jobs took lately, 0 where nobody knows.
        memory: of the last decision.
    """

    now_s: float
    queues: Sequence[QueueView]
    waiting: Sequence[WaitingJobs]
    job_s: float = 0.0
    memory: Memory = Memory()


@dataclass(frozen=True, slots=True)
class Judged:
    """What is thought of a queue: `lead_s` to the first question of a new pilot, `trust` from 0 to 1."""

    lead_s: float
    trust: float

    @property
    def is_trusted(self) -> bool:
        """True where pilots find work."""
        return self.trust >= _TRUSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What is to be done, and the sum that led there, in processors.

    Attributes:
        submit: number of new pilots by queue.
        cancel: number of waiting pilots to take back by queue, the newest of it.
        probes: queues whose new pilot is a probe.
        memory: for the next decision.
        need, in_time, ready, lack: see the module.
        judged: by queue.
    """

    submit: Mapping[str, int]
    cancel: Mapping[str, int]
    probes: frozenset[str]
    memory: Memory
    need: int
    in_time: int
    ready: int
    lack: int
    judged: Mapping[str, Judged] = field(default_factory=dict)
