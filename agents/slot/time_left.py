"""How long the slot will still be there: the earliest end that any source names; unknown is not zero."""

from collections.abc import Callable, Mapping, Sequence

from agents.log import EventLog
from agents.slot.ends.source import SlotEnd

log = EventLog("slot")

# Without any source a job may still be asked for; one day is what most queues give.
UNKNOWN_S = 86_400.0
_WORTH_TELLING_S = 60.0


class TimeLeft:
    """Counts down to the earliest end that is known now.

    Args:
        now: seconds since the epoch; the ends are on the same clock.
        started_s: when the agent first started in this slot.
        margin_s: kept free at the end, to bring results away (DIRAC's StopMargin).
        budget_s: wall time that the queue gave from `started_s` on; 0 when unknown.
    """

    def __init__(
        self, now: Callable[[], float], *, started_s: float, margin_s: float = 0.0, budget_s: float = 0.0
    ) -> None:
        self._now = now
        self._assumed = SlotEnd("assumed, nobody says", started_s + UNKNOWN_S)
        self._margin_s = margin_s
        self._queue = [SlotEnd("CPUTimeLeft", started_s + budget_s)] if budget_s > 0 else []
        self._told: dict[str, Sequence[SlotEnd]] = {}

    @property
    def end(self) -> SlotEnd:
        """The earliest end, and who names it."""
        known = [*self._queue, *(end for ends in self._told.values() for end in ends)]
        return min(known, key=lambda end: end.epoch_s, default=self._assumed)

    @property
    def is_told(self) -> bool:
        """True when the site itself names an end, and not only the queue's description."""
        return any(self._told.values())

    @property
    def is_known(self) -> bool:
        """True when somebody names an end; an assumed one is for asking, not for ending what runs."""
        return self.end is not self._assumed

    @property
    def source(self) -> str:
        """Who names the earliest end."""
        return self.end.source

    def update(self, told: Mapping[str, Sequence[SlotEnd]]) -> None:
        """Take in what sources say now; what the others said before still holds."""
        before = self.end
        self._told.update(told)
        if self.end.source != before.source or abs(self.end.epoch_s - before.epoch_s) > _WORTH_TELLING_S:
            log.info("time_left.changed", source=self.source, seconds=int(self.seconds()), before=before.source)

    def seconds(self) -> float:
        """Return the wall time left, never below 0."""
        return max(0.0, self.end.epoch_s - self._now())

    def usable_s(self) -> float:
        """Return the wall time that a payload may still use: what is left without the margin."""
        return max(0.0, self.seconds() - self._margin_s)

    def work_hs06s(self, benchmark_hs06: float) -> int:
        """Return the CPU work that one processor can still do, as the Matcher counts it."""
        return int(self.usable_s() * benchmark_hs06)
