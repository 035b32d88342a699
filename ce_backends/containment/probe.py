"""Finding out, by doing it once, what this node offers to hold tasks by.

Best first: control groups of version 2, version 2 to kill and version 1 to limit (hybrid), version 1, and without any:
sessions, sub-reaper and a cookie in the environment.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ce_backends.containment.cell import Cell, Containment, Level
from ce_backends.containment.cgroup_cell import CgroupContainment
from ce_backends.containment.session_cell import SessionContainment
from ce_backends.errors import CEError
from ce_backends.linux.cgroup import Group, Hierarchy, hierarchies

PROBE_S = 5.0
_LIMITS = ("memory", "pids", "cpuset")
_NOT_KILLED = "a process in a group could not be killed by it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What was chosen, and why nothing better.

    Attributes:
        containment: to be used.
        level: which kind it is.
        limits: what it can limit for a task: `memory`, `pids`, `cpuset`.
        why_not_better: one sentence, empty for the best level with all limits.
    """

    containment: Containment
    level: Level
    limits: frozenset[str]
    why_not_better: str


def probe(key: str, *, best: Level = Level.V2, may_swap: bool = False) -> Probed:
    """Find the best containment that works here, by holding and killing a real process in each.

    Args:
        key: names this pool among others on the node; the same after a restart.
        best: the best level to try; the ones below it stay possible.
        may_swap: limits of memory leave swap alone.
    """
    mounted = hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    prefix = f"gridpilot-{key}-"
    refusals: list[str] = []
    for level in list(Level)[list(Level).index(best) :]:
        if level is Level.SESSION:
            break
        made = _assemble(level, mounted, prefix)
        problem = made if isinstance(made, str) else _prove(made)
        if not problem and isinstance(made, CgroupContainment):
            return Probed(
                containment=replace(made, may_swap=may_swap),
                level=level,
                limits=frozenset(made.limiters),
                why_not_better="; ".join((*refusals, *_missing_limits(made))),
            )
        refusals.append(f"{level}: {problem}")
    return Probed(
        containment=SessionContainment(), level=Level.SESSION, limits=frozenset(), why_not_better="; ".join(refusals)
    )


def _missing_limits(made: CgroupContainment) -> list[str]:
    return [f"no {name} limit: its controller is not available" for name in _LIMITS if name not in made.limiters]


def _assemble(level: Level, mounted: Sequence[Hierarchy], prefix: str) -> CgroupContainment | str:
    """Put a level together from what is mounted, or say what is missing."""
    v2 = next((h for h in mounted if h.version == 2), None)
    v1 = {controller: h for h in mounted if h.version == 1 for controller in h.controllers}
    usable = {name: v1[name] for name in _LIMITS if name in v1 and os.access(v1[name].own, os.W_OK)}
    if level is Level.V1:
        freezer = v1.get("freezer")
        if freezer is None:
            return "the freezer is not mounted"
        if freezer.is_slurms:
            return "Slurm ends its job by the freezer, and would leave what is in a group of ours"
        return CgroupContainment(prefix=prefix, killer=freezer, limiters=usable)
    if v2 is None:
        return "not mounted"
    if level is Level.HYBRID:
        return CgroupContainment(prefix=prefix, killer=v2, limiters=usable) if usable else "no version 1 limits"
    if usable:
        return "its controllers are taken by version 1"
    given = _delegated(v2)
    return CgroupContainment(prefix=prefix, killer=v2, limiters=dict.fromkeys(given, v2))


def _delegated(v2: Hierarchy) -> list[str]:
    """Return the limits our child groups have, after asking for those they could have."""
    group = Group(v2.own)
    for name in _LIMITS:
        if name in group.read("cgroup.controllers").split():
            group.write("cgroup.subtree_control", f"+{name}")  # refused while our own group has processes
    given = group.read("cgroup.subtree_control").split()
    return [name for name in _LIMITS if name in given]


def _prove(containment: CgroupContainment) -> str:
    """Hold a process, kill it, give its groups back; return what did not work, empty if all did."""
    try:
        cell = containment.prepare(f"probe-{os.getpid()}", 0)
    except CEError as error:
        return str(error)
    enter = " && ".join(f'echo 0 > "${number}"' for number, _ in enumerate(cell.joins, 1))
    argv = ["/bin/sh", "-c", f"{enter} && echo inside && exec sleep {PROBE_S:.0f}", "sh", *map(str, cell.joins)]
    try:
        problem = _cannot_hold(argv, cell)
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"no process could be started in a group: {error}"
    removed = _within(PROBE_S, cell.remove)
    return problem if problem or removed else _NOT_KILLED


def _cannot_hold(argv: Sequence[str], cell: Cell) -> str:
    """Start a process that enters a cell, and kill it there; return what did not work, empty if all did.

    Raises:
        OSError: it could not be started.
        subprocess.TimeoutExpired: it did not end.
    """
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        entered = process.stdout.readline() == b"inside\n"
        cell.kill()
        if not entered:
            process.kill()
        killed = process.wait(PROBE_S) == -signal.SIGKILL
    if not entered:
        return "a process could not enter a group"
    return "" if killed else _NOT_KILLED


def _within(limit_s: float, done: Callable[[], bool]) -> bool:
    """Ask again for a short while: the kernel lets go of a dead process a moment after its parent knows."""
    give_up_at = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.001)
    return True
