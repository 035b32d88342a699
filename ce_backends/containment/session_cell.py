"""Containment where no control group can be had: session, sub-reaper and a cookie in the environment.

A process belongs to a task when it descends from the task's wrapper, is in its session, or was started with its cookie.
As sub-reaper this process inherits every orphan of its tasks, so even one that left the session and cleared its
environment is still our child. Such an orphan is held against all tasks that run and began before we had that child,
and ended with the last of them. What the owner of a pool starts itself in a session of its own while tasks run is
spared where `linux/children.py` knows of it. After a restart of the owner only session and cookie tell.
"""

import os
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.containment.cell import Consumption
from ce_backends.containment.cookies import named_tasks
from ce_backends.linux import children as offspring
from ce_backends.linux.processes import (
    Process,
    Stat,
    all_stats,
    children,
    is_alive,
    is_still,
    send,
    stat_of,
    with_descendants,
)


def own_children() -> list[Stat]:
    """Return this process's children, zombies too; where the kernel does not list them, from all processes."""
    pids = children()
    if pids is None:
        return [stat for stat in all_stats() if stat.parent == os.getpid()]
    return [stat for pid in pids if (stat := stat_of(pid)) is not None and stat.parent == os.getpid()]


@dataclass(slots=True)
class SessionContainment:
    """Makes cells without control groups, for a process that inherits orphans. Limits nothing.

    Attributes:
        wrappers: of each task that is not over.
        before: the children we had when each of those tasks was prepared: not begun by it.
    """

    wrappers: dict[str, Process] = field(default_factory=dict)
    before: dict[str, frozenset[Process]] = field(default_factory=dict)

    @property
    def counts_cpu(self) -> bool:
        """See Containment."""
        return False

    def prepare(self, stamp: str, memory_mb: int, processor_ids: Sequence[int] = ()) -> "SessionCell":  # noqa: ARG002 - nothing here can limit
        """See Containment."""
        return self.adopt(stamp, None)

    def joins(self, stamp: str) -> Sequence[Path]:  # noqa: ARG002 - there is nothing to enter
        """See Containment."""
        return ()

    def adopt(self, stamp: str, wrapper: Process | None) -> "SessionCell":  # noqa: ARG002 - see `begin`
        """See Containment."""
        self.before[stamp] = frozenset(stat.process for stat in own_children())
        return SessionCell(stamp, self)

    def sweep(self, live: Collection[str]) -> None:
        """See Containment. Nothing stays behind that is not a process of a task."""

    def forget(self, stamp: str) -> None:
        """Drop a task that is over."""
        self.wrappers.pop(stamp, None)
        self.before.pop(stamp, None)

    def suspects(self, orphan: Stat) -> set[str]:
        """Return the tasks that can have begun this child of ours, none if it is no orphan."""
        if orphan.session == os.getsid(0) or orphan.process in list(self.wrappers.values()):
            return set()
        if orphan.process.pid in offspring.started():
            return set()
        tasks = list(self.before.items())  # a copy: another thread may prepare a task meanwhile
        return {stamp for stamp, before in tasks if orphan.process not in before}

    def left(self) -> list[Stat]:
        """Return the children that our tasks left to us, the dead ones too, which are reaped."""
        found = [stat for stat in own_children() if self.suspects(stat)]
        for stat in found:
            if stat.is_zombie:
                _reap(stat.process.pid)
        return found

    def orphans(self) -> list[Stat]:
        """Return the living children that our tasks left to us, reaping the dead ones."""
        return [stat for stat in self.left() if not stat.is_zombie]


@dataclass(slots=True)
class SessionCell:
    """A task held by what its processes have in common."""

    stamp: str
    owner: SessionContainment
    wrapper: Process | None = None
    began_here: bool = False  # its wrapper is our child, so all that it leaves is

    @property
    def joins(self) -> Sequence[Path]:
        """See Cell."""
        return ()

    def bind(self, process: Process) -> None:
        """See Cell. Its affinity is all that there is."""

    def begin(self, wrapper: Process) -> None:
        """See Cell. Only a living wrapper counts: the number of a dead one's session may be anybody's."""
        stat = stat_of(wrapper.pid)
        self.began_here = stat is not None and stat.parent == os.getpid()
        self.wrapper = wrapper
        self.owner.wrappers[self.stamp] = wrapper

    def send(self, signal_number: int, already: set[int]) -> None:
        """See Cell."""
        for stat in self._stats():
            pid = stat.process.pid
            if pid not in already and send(pid, signal_number, lambda _, stat=stat: is_still(stat)):  # type: ignore[misc]
                already.add(pid)

    def kill(self) -> None:
        """See Cell. All are stopped before any is killed, so that none forks on seeing another die.

        Whole process groups are killed in one step of the kernel, also what is just being forked in them: a chain of
        processes that fork and end is faster than any look at all processes.
        """
        self._kill_groups_of_the_dead()
        self.send(signal.SIGSTOP, set())
        for stat in self._stats():
            self._kill_group(stat)
        self.send(signal.SIGKILL, set())

    def _kill_groups_of_the_dead(self) -> None:
        """Kill the process groups of members that are our zombies: until they are reaped, nobody else can have these.

        Of a fast chain it is the dead that are found, the living one has gone by the time it is looked at again.
        """
        for stat in own_children():
            if stat.is_zombie and self.owner.suspects(stat) == {self.stamp} and not self._is_wrappers(stat.group):
                with suppress(ProcessLookupError):  # only the dead are in it
                    os.killpg(stat.group, signal.SIGKILL)

    def _kill_group(self, member: Stat) -> None:
        """Kill the process group of a member."""
        with suppress(ProcessLookupError):
            group = os.getpgid(member.process.pid)
            if group != os.getpgrp() and not self._is_wrappers(group) and is_still(member):
                os.killpg(group, signal.SIGKILL)

    def _is_wrappers(self, group: int) -> bool:
        """Tell whether this is the group of the wrapper, which still has to write down the exit code."""
        return self.wrapper is not None and group == self.wrapper.pid and is_alive(self.wrapper)

    def members(self) -> list[int]:
        """See Cell."""
        return [stat.process.pid for stat in self._stats()]

    def consumption(self, *, with_causes: bool = True) -> Consumption:  # noqa: ARG002 - nobody counts here
        """See Cell."""
        return Consumption()

    def remove(self) -> bool:
        """See Cell. Asked when the wrapper has ended: what survived one of ours is our child or below one."""
        is_ours = self.wrapper is not None and self.began_here
        left = self.owner.left()
        if any(stat.is_zombie for stat in left):  # what has just died may have forked what this look has missed
            return False
        if (left or not is_ours) and self._stats():
            return False
        self.owner.forget(self.stamp)
        return True

    def _stats(self) -> list[Stat]:
        """Return all members that are alive, from one look at all processes."""
        since = self.wrapper.start_ticks if self.wrapper else 0
        orphans = {stat.process for stat in self.owner.orphans()}
        everybody = [stat for stat in all_stats() if stat.process.start_ticks >= since and not stat.is_zombie]
        roots = {stat.process.pid for stat in everybody if self._belongs(stat, is_orphan=stat.process in orphans)}
        return [stat for stat in with_descendants(roots, everybody) if stat.process != self.wrapper]

    def _belongs(self, stat: Stat, *, is_orphan: bool) -> bool:
        if self.wrapper and (stat.process == self.wrapper or stat.session == self.wrapper.pid):
            return True
        named = named_tasks(stat.process.pid)
        if self.stamp in named or not is_orphan:
            return self.stamp in named
        suspects = self.owner.suspects(stat)  # the name of another clears nobody, unless that one can have begun it
        return (suspects & named or suspects) == {self.stamp}


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # its own waiter was faster
        return
