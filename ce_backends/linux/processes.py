"""Processes as the kernel tells them apart: a pid alone may be anybody's, a pid with its start time is one process."""

import functools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.small_files import read_first, read_small

PROC = Path("/proc")
_MOST_ENVIRONMENT_BYTES = 6 << 20  # execve(2): three quarters of 8 MiB


@dataclass(frozen=True, slots=True)
class Process:
    """One process, never confused with a later one of the same pid on the same boot.

    Attributes:
        pid: as this pid namespace counts.
        start_ticks: clock ticks between boot and its start (proc(5), stat field 22).
    """

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """The few fields of /proc/PID/stat that tell who belongs to whom."""

    process: Process
    state: str
    parent: int
    group: int
    session: int

    @property
    def is_zombie(self) -> bool:
        """True when it has ended and only waits to be reaped."""
        return self.state in ("Z", "X")


def parse_stat(line: str) -> Stat:
    """Read one stat line; the command in it may hold spaces and brackets.

    Raises:
        ValueError: it is not a stat line.
    """
    pid, _, rest = line.partition(" ")
    fields = rest[rest.rindex(")") + 1 :].split()
    return Stat(
        process=Process(int(pid), int(fields[19])),
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
    )


def stat_of(pid: int) -> Stat | None:
    """Return what the kernel says of this pid now, None when there is no such process."""
    line = stat_line(pid)
    return parse_stat(line) if line else None


def stat_line(pid: int) -> str:
    """Return the kernel's line about this pid, empty when there is no such process."""
    try:
        return read_small(f"{PROC}/{pid}/stat").decode("ascii", "replace").strip()
    except OSError:  # ENOENT before, ESRCH while reading; EACCES under hidepid
        return ""


def is_alive(process: Process) -> bool:
    """Tell whether exactly this process runs; a zombie does not."""
    stat = stat_of(process.pid)
    return stat is not None and stat.process == process and not stat.is_zombie


def all_stats() -> Iterator[Stat]:
    """Look at every process there is, each once."""
    for path in PROC.iterdir():
        stat = stat_of(int(path.name)) if path.name.isdigit() else None
        if stat is not None:
            yield stat


def with_descendants(roots: set[int], everybody: Iterable[Stat]) -> list[Stat]:
    """Return the processes of these pids and all below them."""
    stats = list(everybody)
    members = set(roots)
    while more := {s.process.pid for s in stats if s.parent in members} - members:
        members |= more
    return [stat for stat in stats if stat.process.pid in members]


def is_still(stat: Stat) -> bool:
    """Tell whether its pid is still that process's, alive or a zombie."""
    now = stat_of(stat.process.pid)
    return now is not None and now.process == stat.process


def children() -> list[int] | None:
    """Return the pids of this process's children, zombies too; None where the kernel does not list them."""
    found: list[int] = []
    for thread in (PROC / "self/task").iterdir():
        try:
            found += map(int, (thread / "children").read_text("ascii").split())
        except OSError:  # the thread has just ended, or the kernel has no CONFIG_PROC_CHILDREN
            if thread.exists():
                return None
    return found


def environment(pid: int) -> bytes:
    """Return the environment that a process says it was started with, as proc(5) has it; empty when it may not be read.

    A process may say since it was started that this lies elsewhere (PR_SET_MM), and is without end: no more is read
    than it can have been started with.
    """
    try:
        return read_first(f"{PROC}/{pid}/environ", _MOST_ENVIRONMENT_BYTES)
    except OSError:
        return b""


def variables(pid: int) -> list[bytes]:
    """Return the same as `NAME=value`, one by one."""
    return environment(pid).split(b"\0")


def boot_s() -> float:
    """Return the seconds since the boot, those in which the machine was suspended included: nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def boot_id() -> str:
    """Return the name of this boot: pids and start times mean nothing on another one."""
    return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def end_fd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends, None if there is none to have.

    Reasons for None: the process is gone, the kernel is older than 5.3, or we are out of descriptors. Then ask
    `is_alive` from time to time.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def send(pid: int, signal_number: int, belongs: Callable[[int], bool]) -> bool:
    """Send a signal if `belongs(pid)` still holds; tell whether it was sent.

    The descriptor is opened before the question is asked, so the signal cannot reach a later process of this pid.
    """
    fd = end_fd(pid)
    try:
        if not belongs(pid):
            return False
        if fd is None:
            os.kill(pid, signal_number)
        else:
            signal.pidfd_send_signal(fd, signal_number)
    except (ProcessLookupError, PermissionError):  # gone, or it has changed its user: a set-user-id program
        return False
    finally:
        if fd is not None:
            os.close(fd)
    return True
