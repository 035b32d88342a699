"""Containment where no control group can be had: session, sub-reaper and a cookie in the environment.

A process belongs to a task when it descends from the task's wrapper, is in its session, or was started with its cookie.
As sub-reaper this process inherits every orphan of its tasks, so even one that left the session and cleared its
environment is still our child. Such an orphan is held against the tasks that were running when it started, and ended
with the last of them. Therefore, at this level, the owner of a pool starts no other children in sessions of their own
while tasks run. After a restart of the owner only session and cookie tell.
"""

import ctypes
import os
import signal
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.containment import Consumption
from ce_backends.node_script import COOKIE
from ce_backends.process_tree import Process, Stat, all_stats, children, send, stat_of, variables

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h, Linux 3.4


def become_subreaper() -> None:
    """Let orphans of our descendants become our children; where the kernel refuses, session and cookie remain."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass(slots=True)
class Sessions:
    """Makes cells without control groups. Limits nothing."""

    wrappers: dict[str, Process] = field(default_factory=dict)  # stamp of a task that is not over -> its wrapper

    def prepare(self, stamp: str, memory_mb: int) -> "SessionCell":  # noqa: ARG002 - nothing here can limit memory
        """See Containment."""
        become_subreaper()
        return SessionCell(stamp, self)

    def adopt(self, stamp: str, joins: Sequence[Path]) -> "SessionCell":  # noqa: ARG002 - a session has no files
        """See Containment."""
        become_subreaper()
        return SessionCell(stamp, self, adopted=True)

    def sweep(self, live: Collection[str]) -> None:
        """See Containment. Nothing stays behind that is not a process of a task."""

    def orphans(self) -> list[Stat] | None:
        """Return the children that our tasks left to us, reaping the dead; None where the kernel lists no children."""
        pids = children()
        if pids is None:
            return None
        stats = [stat for pid in pids if (stat := stat_of(pid)) and self._may_be_an_orphan(stat)]
        for stat in stats:
            if stat.is_zombie:
                _reap(stat.process.pid)
        return [stat for stat in stats if not stat.is_zombie]

    def _may_be_an_orphan(self, stat: Stat) -> bool:
        since = min((wrapper.start_ticks for wrapper in self.wrappers.values()), default=None)
        return (
            since is not None
            and stat.process.start_ticks >= since
            and stat.parent == os.getpid()
            and stat.session != os.getsid(0)
            and stat.process not in self.wrappers.values()
        )

    def is_last_suspect(self, stamp: str, orphan: Stat) -> bool:
        """Tell whether no other task was running when this orphan started: then this one began it."""
        suspects = {
            name for name, wrapper in self.wrappers.items() if wrapper.start_ticks <= orphan.process.start_ticks
        }
        return suspects == {stamp}


@dataclass(slots=True)
class SessionCell:
    """A task held by what its processes have in common."""

    stamp: str
    owner: Sessions
    wrapper: Process | None = None
    adopted: bool = False

    @property
    def joins(self) -> Sequence[Path]:
        """See Cell."""
        return ()

    def begin(self, wrapper: Process) -> None:
        """See Cell. Only a living wrapper counts: the number of a dead one's session may be anybody's."""
        self.wrapper = wrapper
        self.owner.wrappers[self.stamp] = wrapper

    def send(self, signal_number: int, already: set[int]) -> None:
        """See Cell."""
        for stat in self._stats():
            pid = stat.process.pid
            if pid not in already and send(pid, signal_number, lambda _, stat=stat: _is_still(stat)):  # type: ignore[misc]
                already.add(pid)

    def kill(self) -> None:
        """See Cell. All are stopped before any is killed, so that none forks on seeing another die."""
        self.send(signal.SIGSTOP, set())
        self.send(signal.SIGKILL, set())

    def members(self) -> list[int]:
        """See Cell."""
        return [stat.process.pid for stat in self._stats()]

    def consumption(self) -> Consumption:
        """See Cell. Nobody counts here."""
        return Consumption()

    def remove(self) -> bool:
        """See Cell. Asked when the wrapper has ended: what survived it is our child or a child of one."""
        orphans = None if self.adopted else self.owner.orphans()
        if (orphans is None or orphans) and self._stats():
            return False
        self.owner.wrappers.pop(self.stamp, None)
        return True

    def _stats(self) -> list[Stat]:
        since = self.wrapper.start_ticks if self.wrapper else 0
        everybody = [stat for stat in all_stats() if stat.process.start_ticks >= since and not stat.is_zombie]
        orphans = {stat.process for stat in self.owner.orphans() or ()}
        roots = {
            stat.process.pid
            for stat in everybody
            if stat.process != self.wrapper and self._belongs(stat, is_orphan=stat.process in orphans)
        }
        if self.wrapper:
            roots.add(self.wrapper.pid)
        return [stat for stat in _with_descendants(roots, everybody) if stat.process != self.wrapper]

    def _belongs(self, stat: Stat, *, is_orphan: bool) -> bool:
        if self.wrapper and stat.session == self.wrapper.pid:
            return True
        cookies = [name for name in variables(stat.process.pid) if name.startswith(f"{COOKIE}=".encode())]
        if cookies:
            return f"{COOKIE}={self.stamp}".encode() in cookies
        return is_orphan and self.owner.is_last_suspect(self.stamp, stat)


def _with_descendants(roots: set[int], everybody: Iterable[Stat]) -> list[Stat]:
    """Return roots and all below them."""
    stats = list(everybody)
    members = set(roots)
    while more := {s.process.pid for s in stats if s.parent in members} - members:
        members |= more
    return [stat for stat in stats if stat.process.pid in members]


def _is_still(stat: Stat) -> bool:
    now = stat_of(stat.process.pid)
    return now is not None and now.process == stat.process


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # its own waiter was faster
        return
