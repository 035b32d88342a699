"""The cell of a task in a container: its members are the payload's processes, not those that hold the container.

A container's runtime (bubblewrap, Apptainer's starter, conmon) waits outside of the payload's process namespace. A
signal for the payload would end the runtime first, and with it the payload before its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.containment.cell import Cell, Consumption
from ce_backends.linux.processes import PROC, Process
from ce_backends.linux.small_files import read_small


@dataclass(frozen=True, slots=True)
class ContainerCell:
    """Another cell, looked at from within the container."""

    cell: Cell

    @property
    def joins(self) -> Sequence[Path]:
        """See Cell."""
        return self.cell.joins

    def bind(self, process: Process) -> None:
        """See Cell."""
        self.cell.bind(process)

    def begin(self, wrapper: Process) -> None:
        """See Cell."""
        self.cell.begin(wrapper)

    def send(self, signal_number: int, already: set[int]) -> None:
        """See Cell. While nothing is in the container, its runtime gets the signal."""
        everybody = set(self.cell.members())
        spared = everybody - set(_innermost(everybody))
        seen = already | spared
        self.cell.send(signal_number, seen)
        already |= seen - spared

    def kill(self) -> None:
        """See Cell."""
        self.cell.kill()

    def members(self) -> list[int]:
        """See Cell."""
        return _innermost(self.cell.members())

    def consumption(self, *, with_causes: bool = True) -> Consumption:
        """See Cell."""
        return self.cell.consumption(with_causes=with_causes)

    def remove(self) -> bool:
        """See Cell."""
        return self.cell.remove()


def _innermost(pids: Sequence[int] | set[int]) -> list[int]:
    """Return those in a process namespace below ours, all of them where there is none."""
    ours = _depth("self")
    return [pid for pid in pids if _depth(pid) > ours] or list(pids)


def _depth(pid: int | str) -> int:
    """Return how many process namespaces deep a process lives; 0 when it is gone (proc(5), NSpid)."""
    try:
        text = read_small(f"{PROC}/{pid}/status")
    except OSError:
        return 0
    return next((len(line.split()) - 1 for line in text.splitlines() if line.startswith(b"NSpid:")), 0)
