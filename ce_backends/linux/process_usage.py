"""What processes use, as the kernel tells of each of them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from ce_backends.linux.processes import PROC
from ce_backends.linux.small_files import read_small

MOST_PROCESSES = 1000  # looked at in a task: the others would tell the same
_BYTES_PER_MB = 1_000_000
_STOPPED = frozenset("Tt")  # by a signal, by a tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """What some processes use together.

    Attributes:
        processes: how many there are.
        stopped: how many of them are stopped.
        cpu_s: CPU time, that of the children they have waited for included.
        memory_mb: resident; what two of them share counts twice.
        virtual_mb: address space.
        io_bytes: read and written; None where it may not be known.
    """

    processes: int
    stopped: int
    cpu_s: float
    memory_mb: float
    virtual_mb: float
    io_bytes: int | None

    @property
    def is_suspended(self) -> bool:
        """True when there are processes and none of them runs."""
        return 0 < self.processes == self.stopped


def process_use(pids: Iterable[int]) -> ProcessUse:
    """Add up what processes use; those that have gone meanwhile use nothing."""
    rows = [row for pid in islice(pids, MOST_PROCESSES) if (row := _stat(pid)) is not None]
    tick_s, page_mb = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE") / _BYTES_PER_MB
    ios = [number for _, pid in rows if (number := _io_bytes(pid)) is not None]
    return ProcessUse(
        processes=len(rows),
        stopped=sum(fields[0] in _STOPPED for fields, _ in rows),
        cpu_s=sum(int(number) for fields, _ in rows for number in fields[11:15]) * tick_s,
        memory_mb=sum(int(fields[21]) for fields, _ in rows) * page_mb,
        virtual_mb=sum(int(fields[20]) for fields, _ in rows) / _BYTES_PER_MB,
        io_bytes=sum(ios) if ios else None,
    )


def proportional_mb(pids: Iterable[int]) -> float:
    """Add up the memory of processes, what they share divided among them (proc(5), smaps_rollup), in MB."""
    return sum(map(_proportional_kib, islice(pids, MOST_PROCESSES))) * 1024 / _BYTES_PER_MB


def _proportional_kib(pid: int) -> int:
    try:
        lines = read_small(f"{PROC}/{pid}/smaps_rollup").split(b"\n")
        return next(int(line.split()[1]) for line in lines if line.startswith(b"Pss:"))
    except (OSError, ValueError, IndexError, StopIteration):  # gone
        return 0


def _stat(pid: int) -> tuple[list[str], int] | None:
    """Return the fields of /proc/PID/stat from the third (the state) on: proc(5); None for no living process."""
    try:
        line = read_small(f"{PROC}/{pid}/stat").decode("ascii", "replace")
    except OSError:
        return None
    fields = line[line.rindex(")") + 1 :].split()
    return None if fields[0] in "ZX" else (fields, pid)


def _io_bytes(pid: int) -> int | None:
    """Return what a process has read and written, through pipes and sockets too."""
    try:
        lines = read_small(f"{PROC}/{pid}/io").split(b"\n")
        return int(lines[0].removeprefix(b"rchar: ")) + int(lines[1].removeprefix(b"wchar: "))
    except (OSError, ValueError, IndexError):  # of another user, gone, or a kernel that does not count
        return None
