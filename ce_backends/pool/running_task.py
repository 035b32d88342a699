"""A task that is not over, and what is said of it when it is."""

from dataclasses import dataclass, field
from enum import Enum, auto

from ce_backends.base import Limit, TaskState, TaskStatus, Usage
from ce_backends.containment.cell import Cell, Consumption
from ce_backends.linux.processes import Process, boot_s
from ce_backends.pool.wrappers import Wrapper
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import TaskRecord

FAR = float("inf")
REFUSED = "limit of processes exceeded: it failed after it was refused another one"
KILLED_UNSEEN = "the payload was killed by SIGKILL when its agent had died: nobody here has done that"
KILLED = 137  # a shell's exit code for SIGKILL
VANISHED = "the payload's process vanished without an exit code"


class Cause(Enum):
    """Why we end a task ourselves."""

    CANCELLED = auto()
    LIMIT = auto()


@dataclass(frozen=True, slots=True)
class Excess:
    """A task has gone over a limit.

    Attributes:
        limit: which.
        sentence: with the numbers.
        at_once: there must be no grace.
    """

    limit: Limit
    sentence: str
    at_once: bool = False


@dataclass(slots=True, kw_only=True)
class RunningTask:
    """A task that is not over; the watcher's own, nobody else writes to it. Times are on the watcher's clock.

    Attributes:
        stamp: its name.
        directory: where its files are.
        record: its limits.
        cell: its containment.
        since_s: when the watcher got it.
        wrapper: the process that waits for its payload; None before it is known and when it is over.
        own_wrapper: the same where it is ours and not an earlier object's.
        fd: tells of the wrapper's answer or end, where there is such a descriptor.
        exit_code: as the wrapper told it; None if it is only to be found in the directory.
        ended_s: when it did so, in seconds since the boot.
        told_from_s: when it may be said to be over, on the watcher's clock.
        is_adopted: an earlier object began it.
        is_of_another_boot: nothing of it runs any more.
        cause: why it is to end, if it is.
        excess: of which limit, where that is the cause.
        wall_ends_s: when its wall limit is reached.
        kill_from_s: from when on SIGKILL is sent.
        over_s: since when the wrapper is over.
        next_look_s: when to look at it without being woken.
        pause_s: before the next SIGKILL; doubles.
        terminated: pids that have had their SIGTERM.
        consumption: what the cell counted when the wrapper was over.
    """

    stamp: str
    directory: TaskDir
    record: TaskRecord
    cell: Cell
    since_s: float
    wrapper: Process | None = None
    own_wrapper: Wrapper | None = None
    fd: int | None = None
    exit_code: int | None = None
    ended_s: float | None = None
    told_from_s: float = 0.0
    is_adopted: bool = False
    is_of_another_boot: bool = False
    cause: Cause | None = None
    excess: Excess | None = None
    wall_ends_s: float = FAR
    kill_from_s: float = FAR
    over_s: float | None = None
    next_look_s: float = FAR
    pause_s: float = 0.001
    terminated: set[int] = field(default_factory=set)
    consumption: Consumption | None = None


def final_status(task: RunningTask) -> TaskStatus:
    """Return what is said of a task that is over, by its cause and what its wrapper wrote."""
    spent = task.consumption or Consumption()
    cpu_s = spent.cpu_s
    if cpu_s is None and not task.record.is_enclosed:  # who waits for a container does not wait for what is in it
        cpu_s = task.directory.cpu_s()
    exit_code = task.directory.exit_code() if task.exit_code is None else task.exit_code
    state, reason, limit = _verdict(task, spent, exit_code)
    return TaskStatus(
        state=state,
        reason=reason,
        exit_code=exit_code,
        usage=Usage(wall_s=_wall_s(task), cpu_s=cpu_s, memory_peak_mb=spent.memory_peak_mb),
        limit=limit,
    )


def _verdict(task: RunningTask, spent: Consumption, exit_code: int | None) -> tuple[TaskState, str, Limit | None]:
    ended_by_itself = exit_code == 0 and not task.terminated  # just before we began to end it
    if task.cause is Cause.CANCELLED and not ended_by_itself:
        return TaskState.ABORTED, "cancelled", None
    if task.excess and not ended_by_itself:
        return TaskState.FAILED, task.excess.sentence, task.excess.limit
    if spent.out_of_memory and exit_code != 0:
        its_own = Limit.MEMORY if task.record.memory_mb else None
        return TaskState.FAILED, _out_of_memory(task.record.memory_mb, spent), its_own
    if exit_code is None:
        return TaskState.FAILED, task.directory.reason() or VANISHED, None
    if spent.refusals and exit_code != 0:
        return TaskState.FAILED, REFUSED, Limit.PROCESSES
    if exit_code == KILLED and task.is_adopted and not task.terminated:
        return TaskState.FAILED, KILLED_UNSEEN, None
    return TaskState.DONE, task.directory.reason(), None


def _out_of_memory(limit_mb: int, spent: Consumption) -> str:
    peak = "" if spent.memory_peak_mb is None else f" (peak {spent.memory_peak_mb:.0f} MB)"
    return f"memory limit of {limit_mb} MB exceeded{peak}" if limit_mb else f"the node ran out of memory{peak}"


def _wall_s(task: RunningTask) -> float | None:
    """Return how long the payload ran; until now, of one of this boot whose end nobody has written down."""
    ended_s = task.ended_s or task.directory.ended_s() or (None if task.is_of_another_boot else boot_s())
    known = task.record.begun_s and ended_s is not None
    return max(0.0, ended_s - task.record.begun_s) if known and ended_s is not None else None
