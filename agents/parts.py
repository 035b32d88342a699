"""What the agent is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.jobs.job import MatchedJob
from agents.jobs.ledger import Ledger
from agents.process import events as happened
from agents.process.events import Events, Workers
from agents.reporting.reporter import Reporter
from agents.runner.job_runner import JobRunner
from agents.settings.agent import AgentSettings
from agents.slot.allocation import Slot
from agents.slot.idle import Idle
from agents.slot.monitor import SlotMonitor
from agents.slot.stop import DrainFile
from agents.wms.lost_matches import LostMatches
from agents.wms.service import Clock


class Matches(Protocol):
    """Asks the WMS for jobs."""

    def request_job(self, offer: Mapping[str, object]) -> MatchedJob | None:
        """See agents.wms.matcher.Matcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the agent is made of; wired in `agents.wiring.build`."""

    settings: AgentSettings
    requirements: Mapping[str, object]
    slot: Slot
    monitor: SlotMonitor
    troubles: Callable[[], Sequence[str]]
    drain_file: DrainFile
    matcher: Matches
    lost: LostMatches
    runner: JobRunner
    reporter: Reporter
    workers: Workers
    events: Events
    heartbeat: Callable[[], None]
    ledger: Ledger
    chores: Callable[[], happened.Event]
    leaves_tasks: bool = False
    before_asking: Callable[[], object] = lambda: None  # in the worker that asks
    begin_ticks: Callable[[], None] = lambda: None
    keep_time: Callable[[], None] = lambda: None
    note_idle: Callable[[Idle], object] = lambda _: None
    clock: Clock = field(default_factory=Clock)
