"""What the agent knows of its slot, and how it is kept up to date: each question is asked in a worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.clock import SteadyClock
from agents.log import EventLog
from agents.slot import health
from agents.slot.benchmark import Benchmark
from agents.slot.circuit_breaker import CircuitBreaker
from agents.slot.command import Ask, nobody
from agents.slot.ends import Node, SlotEnd, read_again, survey, waits_for_commands
from agents.slot.time_left import TimeLeft

log = EventLog("slot")

_JUMP_S = 60.0


@dataclass(slots=True)
class Power:
    """The power of one processor in HS06: told by the site, measured on this node, or assumed until then."""

    hs06: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMonitor:
    """The slot's time, power and health.

    Attributes:
        environ: of the batch job.
        processors: of the slot.
        clock: does not jump.
        started_s: when the agent first started in this slot, on that clock.
        time_left: what is known of the end.
        ask: runs commands of the batch system.
        power: of one processor, as far as it is known.
        benchmark: None when the site tells the power.
        node: where health is looked at.
        breaker: on black holes.
    """

    environ: Mapping[str, str]
    processors: int
    clock: SteadyClock
    started_s: float
    time_left: TimeLeft
    ask: Ask
    power: Power
    benchmark: Benchmark | None
    node: health.Node
    breaker: CircuitBreaker

    def first_look(self) -> None:
        """Take in what can be known at once, without any command, and say what is odd about this node."""
        if self.benchmark and (remembered := self.benchmark.remembered_hs06()):
            self.power.hs06 = remembered
        self.time_left.update(survey(self._asked(nobody)))
        log.info("time_left.found", source=self.time_left.source, seconds=int(self.time_left.seconds()))
        for sentence in health.troubles(self.node, health.WISHED):
            log.warning("node.odd", note=sentence)

    def look_again(self) -> None:
        """Take in what files tell now: a notice of an early end may have appeared."""
        self.time_left.update(read_again(self._asked(nobody)))

    @property
    def waits_for_batch_system(self) -> bool:
        """True when only the batch system's commands can tell the slot's end."""
        return waits_for_commands(self.environ) and not self.time_left.is_told

    def ask_ends(self) -> Mapping[str, Sequence[SlotEnd]]:
        """Ask every source when the slot ends. Takes as long as the commands do, each within its deadline."""
        jump_s = self.clock.new_jump_s()
        if abs(jump_s) > _JUMP_S:
            log.warning("clock.jumped", seconds=int(jump_s), note="times of the slot are counted on")
        return survey(self._asked(self.ask))

    def measure_power(self) -> float | None:
        """Measure the power of one processor, unless that is remembered; takes some seconds to two minutes."""
        return self.benchmark.power_hs06() if self.benchmark else None

    def troubles(self) -> Sequence[str]:
        """Return why this node cannot run a job now."""
        return health.troubles(self.node)

    def close(self) -> None:
        """End what is still being measured."""
        if self.benchmark:
            self.benchmark.stop()

    def _asked(self, ask: Ask) -> Node:
        return Node(
            environ=self.environ,
            now_s=self.clock(),
            started_s=self.started_s,
            processors=self.processors,
            ask=ask,
        )
