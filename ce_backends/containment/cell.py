"""Holding together everything a task starts, so that all of it can be ended and nothing else is touched."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ce_backends.linux.processes import Process


class Level(StrEnum):
    """How a task is held, best first."""

    V2 = "cgroup v2"
    HYBRID = "cgroup v2 to kill, v1 to limit"
    V1 = "cgroup v1"
    SESSION = "session, sub-reaper and cookie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What the kernel counted for all processes of a task together; None where it did not.

    Attributes:
        cpu_s: CPU time.
        memory_peak_mb: most memory at one moment, in MB (10^6 bytes), page cache included.
        out_of_memory: how often the kernel killed one for lack of memory within the limit.
        refusals: how often it refused another process, for a limit of the task or one around it.
    """

    cpu_s: float | None = None
    memory_peak_mb: float | None = None
    out_of_memory: int = 0
    refusals: int = 0


class Cell(Protocol):
    """The containment of one task."""

    @property
    def joins(self) -> Sequence[Path]:
        """The files the payload writes 0 to before it begins."""

    def bind(self, process: Process) -> None:
        """Hold a process, and what it starts from now on, to the task's processors, where the kernel can."""

    def begin(self, wrapper: Process) -> None:
        """Tell which process waits for the payload; it is not a member itself."""

    def send(self, signal_number: int, already: set[int]) -> None:
        """Signal each member not in `already`, and note it there."""

    def kill(self) -> None:
        """Send SIGKILL to all members, whatever they do; repeat until `remove` says True."""

    def members(self) -> list[int]:
        """List the pids that are still alive in it."""

    def consumption(self, *, with_causes: bool = True) -> Consumption:
        """Return what was used so far; to be asked before `remove`.

        Args:
            with_causes: count also what can have made it fail, kills and refusals; else they are 0.
        """

    def remove(self) -> bool:
        """Give the cell back; False while anything is left in it."""


class Containment(Protocol):
    """Makes cells of one kind."""

    @property
    def counts_cpu(self) -> bool:
        """True when a cell knows the CPU time of all it has held."""

    def prepare(self, stamp: str, memory_mb: int, processor_ids: Sequence[int] = ()) -> Cell:
        """Make the cell of a new task; memory (0: any) and processors (none: any) are held where `limits` says so."""

    def adopt(self, stamp: str, wrapper: Process | None) -> Cell:
        """Return the cell of a task that another object began; its wrapper may be over.

        It is found by the stamp alone: what is written down of a task may be its payload's.
        """

    def joins(self, stamp: str) -> Sequence[Path]:
        """Return those of the cell that a task has here, whether it is still there or not."""

    def sweep(self, live: Collection[str]) -> None:
        """Remove what an earlier object left of tasks that are not live any more."""
