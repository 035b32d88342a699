"""The circuit breaker against black holes: a node on which every payload dies at once must not eat a whole queue."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.log import EventLog

log = EventLog("slot")

_MOST_DOUBLINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much is borne.

    Attributes:
        failures: payloads that die at once, one after another, before no more are asked for; 0 for never.
        soon_s: a payload that fails within this wall time has died at once.
        pause_s: first pause; each failed trial doubles it.
        trials: single jobs that are tried after pauses before the node is given up.
    """

    failures: int = 5
    soon_s: float = 10.0
    pause_s: float = 20.0
    trials: int = 3


class CircuitBreaker:
    """Counts payloads that die at once, and says how long to wait before the next one may try.

    One that ran longer, or succeeded, makes all good. Nobody can know whether jobs or node are to blame; jobs of
    several owners that all die at once speak against the node, and so the reason says whose they were.
    """

    def __init__(self, patience: Patience, monotonic: Callable[[], float]) -> None:
        self._patience = patience
        self._monotonic = monotonic
        self._in_a_row = 0
        self._owners: set[str] = set()
        self._not_before = 0.0

    def ended(self, owner: str, wall_s: float | None, *, is_failure: bool) -> None:
        """Take note of a payload that was left to end by itself.

        Args:
            owner: of the job.
            wall_s: how long the payload ran, None when unknown: then its failure counts for nothing.
            is_failure: it ended with an error.
        """
        if is_failure and wall_s is None:
            return
        if not is_failure or (wall_s or 0.0) > self._patience.soon_s:
            if self.is_on:
                log.info("brake.released", after=self._in_a_row)
            self._in_a_row, self._not_before = 0, 0.0
            self._owners.clear()
            return
        self._in_a_row += 1
        self._owners.add(owner)
        if self.is_on:
            pause_s = self._patience.pause_s * (1 << min(self._trials, _MOST_DOUBLINGS))
            self._not_before = self._monotonic() + pause_s
            log.warning("brake.on", reason=self.reason, pause_s=pause_s)

    @property
    def is_on(self) -> bool:
        """True while only single jobs may try, each after a pause."""
        return 0 < self._patience.failures <= self._in_a_row

    @property
    def is_worn(self) -> bool:
        """True when the node has had its trials and failed them all."""
        return self.is_on and self._trials >= self._patience.trials

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        whose = f"of {len(self._owners)} owners" if len(self._owners) > 1 else f"all of {', '.join(self._owners)}"
        return f"{self._in_a_row} payloads in a row, {whose}, failed within {self._patience.soon_s:.0f} s"

    def lets_try(self, running: int) -> bool:
        """Tell whether a job may be asked for now.

        Args:
            running: jobs that this slot already has in hand.
        """
        return not self.is_on or (running == 0 and self._monotonic() >= self._not_before)

    def wait_s(self) -> float:
        """Return how long the pause still lasts."""
        return max(0.0, self._not_before - self._monotonic()) if self.is_on else 0.0

    @property
    def _trials(self) -> int:
        return self._in_a_row - self._patience.failures
