"""Processes that have left their task's control group: a payload that is root can do that.

They are children of ours when what started them has ended, and in no task's group: nobody else's are. A task is over
when there are none of those that we did not have when it began. Who holds on to a process that another task of ours
started (ptrace(2)), or makes one that never was below ours, cannot be found.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from ce_backends.containment.cookies import named_tasks
from ce_backends.linux.cgroup import Group
from ce_backends.linux.children import Children, pids, started
from ce_backends.linux.processes import PROC, Stat, all_stats, is_still, send, stat_of, with_descendants
from ce_backends.linux.small_files import read_small

_LOOKS = 50  # on end, at what is quick
PATIENCE_S = 5.0  # that an end waits at most for what another task may make again and again


class Strays:
    """Finds and kills them; one for the process, as the sub-reaper is (`inherit_orphans`). For several threads.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._children: Children | None = None
        self._before: dict[Group, bytes | None] = {}  # by the group of each task that is not over: our children then
        self._since_s: dict[Group, float] = {}

    def begin(self, group: Group) -> None:
        """Note the group of a task that is about to begin."""
        with self._lock:
            self._before.setdefault(group, self._text())

    def gone(self, group: Group) -> bool:
        """Forget a task whose group is empty; False while something may be left of it elsewhere, which is killed."""
        with self._lock:
            before, now = self._before.get(group), self._text()
            if (now is None or now != before) and self._end(pids(now) - pids(before) - started(), group):
                began_s = self._since_s.setdefault(group, self._clock())
                if self._clock() - began_s < PATIENCE_S:
                    return False
            self._before.pop(group, None)
            self._since_s.pop(group, None)
            return True

    def _text(self) -> bytes | None:
        """Return our children as the kernel lists them, None where it does not."""
        if self._children is None or self._children.pid != os.getpid():
            self._children = Children(os.getpid())
        try:
            return self._children.text()
        except OSError:
            return None

    def _end(self, found: Collection[int], group: Group) -> bool:
        """Collect the dead, kill the strays; tell whether there may be more."""
        stats = _orphans(found)
        dead = [stat for stat in stats if stat.is_zombie]
        held = {pid for other in self._before for pid in other.pids()} if len(dead) < len(stats) else set()
        strays = [stat for stat in stats if not stat.is_zombie and stat.process.pid not in held]
        strays = [stat for stat in strays if not self._is_of_another(stat, group)]
        if strays or (dead and group in self._since_s):
            self._hunt(group, held)
            _kill(strays, held)
        _collect(dead)  # what has just died may have forked what this look has missed
        return bool(strays or dead)

    def _hunt(self, group: Group, held: Collection[int]) -> None:
        """Kill whole process groups at first sight: a chain of processes that fork and end is faster than all else.

        The group of a dead one that is not collected yet is nobody else's.
        """
        kept = {os.getpgrp(), *(stat.group for pid in held if (stat := stat_of(pid)) is not None)}
        for _ in range(_LOOKS):
            now = pids(self._text())
            ours = started()  # not before
            found = _orphans(now - pids(self._before.get(group)) - ours - {*held})
            if not found:
                return
            for stat in found:
                if stat.group not in kept and stat.group not in ours and not self._is_held(stat.process.pid):
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(stat.group, signal.SIGKILL)
            _collect([stat for stat in found if stat.is_zombie])

    def _is_held(self, pid: int) -> bool:
        """Tell whether a process is in the group of a task, as far as one quick look can tell."""
        try:
            places = read_small(f"{PROC}/{pid}/cgroup")
        except OSError:
            return True  # it is gone
        return any(bytes(group.path.name, "ascii") in places for group in self._before)

    def _is_of_another(self, stray: Stat, group: Group) -> bool:
        """Tell whether it carries the cookie of a task that runs, and can have been begun by that."""
        pid = stray.process.pid
        others = [other for other, before in self._before.items() if other != group and pid not in pids(before)]
        stamps = {other.path.name.rpartition("-")[2] for other in others}
        return bool(stamps) and not stamps.isdisjoint(named_tasks(pid))


def _orphans(found: Collection[int]) -> list[Stat]:
    """Return those of them that are our children, and in a session that is not ours."""
    stats = [stat for pid in found if (stat := stat_of(pid)) is not None]
    return [stat for stat in stats if stat.parent == os.getpid() and stat.session != os.getsid(0)]


def _collect(dead: Collection[Stat]) -> None:
    for stat in dead:
        with suppress(ChildProcessError):
            os.waitpid(stat.process.pid, os.WNOHANG)


def _kill(strays: Collection[Stat], held: Collection[int]) -> None:
    """Stop them and all below them, then kill all."""
    everybody = [stat for stat in all_stats() if not stat.is_zombie]
    roots = {stat.process.pid for stat in strays}
    lost = [stat for stat in with_descendants(roots, everybody) if stat.process.pid not in held]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for stat in lost:
            send(stat.process.pid, number, lambda _, stat=stat: is_still(stat))  # type: ignore[misc]


OURS = Strays()
