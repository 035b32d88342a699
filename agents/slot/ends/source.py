"""What a source is given, and what it answers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.slot.command import Ask

_DURATION = re.compile(r"(?:(?P<days>\d{1,9})-)?(?P<parts>\d{1,12}(?::\d{1,12}){0,3})(?:\.\d+)?", re.ASCII)
_UNITS_S = (1, 60, 3600, 86_400)  # from the right


@dataclass(frozen=True, slots=True)
class SlotEnd:
    """An end of the slot as one source names it; seconds since the epoch."""

    source: str
    epoch_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What sources may look at.

    Attributes:
        environ: of the batch job.
        now_s: seconds since the epoch, on a clock that does not jump.
        started_s: when the agent first started in this slot, on the same clock.
        processors: of the slot, which use up a limit of CPU time together.
        ask: runs a command of the batch system.
    """

    environ: Mapping[str, str]
    now_s: float
    started_s: float
    processors: int
    ask: Ask

    @property
    def elapsed_s(self) -> float:
        """How long the slot has run at least."""
        return max(0.0, self.now_s - self.started_s)


# The ends that a source knows now, none when there is no limit; None when it is not there or did not answer, so that
# what it said before still holds.
Source = Callable[[Node], Sequence[SlotEnd] | None]


def duration_s(text: str) -> float | None:
    """Return the seconds of `1-02:03:04`, `26:03:04`, `03:04` or `184`; None when the text says no such thing."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        return None
    parts = zip(reversed(match["parts"].split(":")), _UNITS_S, strict=False)
    return 86_400.0 * int(match["days"] or 0) + sum(int(part) * unit_s for part, unit_s in parts)


def number_in(path: Path) -> float | None:
    """Read a file that holds one finite number; None when there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return float(text) if re.fullmatch(r"\d{1,15}(?:\.\d{0,15})?", text) else None
