"""How long the slot will still be there: the earliest end that any source names; unknown is not zero."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Without any source a job may still be asked for; one day is what most queues give.
UNKNOWN_S = 86_400.0


@dataclass(frozen=True, slots=True)
class SlotEnd:
    """An end of the slot as one source names it; seconds since the epoch."""

    source: str
    epoch_s: float


def known_ends(environ: Mapping[str, str], started_epoch_s: float, budget_s: float) -> list[SlotEnd]:
    """Return the ends that the node tells of.

    Args:
        environ: of the batch job.
        started_epoch_s: when the agent first started in this slot.
        budget_s: wall time that the pilot counted as left then; 0 when unknown.
    """
    ends = []
    if budget_s > 0:
        ends.append(SlotEnd("CPUTimeLeft", started_epoch_s + budget_s))
    if environ.get("SLURM_JOB_END_TIME", "").isdecimal():  # Slurm 23.02 and later
        ends.append(SlotEnd("SLURM_JOB_END_TIME", float(environ["SLURM_JOB_END_TIME"])))
    for variable, name in (("MACHINEFEATURES", "shutdowntime"), ("JOBFEATURES", "shutdowntime_job")):
        found = _feature(environ.get(variable, ""), name)
        if found is not None:
            ends.append(SlotEnd(f"{variable}/{name}", found))
    return ends


def _feature(directory: str, name: str) -> float | None:
    """Read one machine/job feature (HSF-TN-2016-02); the specification allows a URL, which we do not follow."""
    if not directory or "://" in directory:
        return None
    try:
        epoch_s = float(Path(directory, name).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    return epoch_s if math.isfinite(epoch_s) else None


class TimeLeft:
    """Counts down to the earliest known end, on a clock that does not jump."""

    def __init__(
        self,
        ends: list[SlotEnd],
        epoch: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = min(ends, key=lambda end: end.epoch_s).source if ends else "unknown"
        earliest = min((end.epoch_s for end in ends), default=epoch() + UNKNOWN_S)
        self._monotonic = monotonic
        self._end = monotonic() + earliest - epoch()

    def seconds(self) -> float:
        """Return the wall time left, never below 0."""
        return max(0.0, self._end - self._monotonic())

    def work_hs06s(self, benchmark_hs06: float) -> int:
        """Return the CPU work that one processor can still do, as the Matcher counts it."""
        return int(self.seconds() * benchmark_hs06)
