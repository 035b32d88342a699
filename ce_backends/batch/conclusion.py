"""What is true of a task of a batch system, from what the system says and what the task's directory holds.

Only two things end a task: a final word of the batch system, or the exit code that its script wrote. That neither is
to be had says nothing, until a deadline; then the task is lost, and the sentence says since when nobody knows of it.
"""

from dataclasses import dataclass, replace

from ce_backends.base import TaskState, TaskStatus
from ce_backends.batch.spool import End
from ce_backends.batch.task_book import Entry

_BY_SIGNAL = 128  # a shell's exit code for what a signal has ended is this and the signal's number


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long absences are borne, in seconds.

    Attributes:
        lost_after_s: the batch system does not know the task, and it has left no exit code.
        exit_code_s: the batch system says that it has ended well, and the shared file system does not show it yet.
    """

    lost_after_s: float = 3600.0
    exit_code_s: float = 60.0


def conclude(
    entry: Entry, seen: TaskStatus | None, end: End | None, *, now: float, patience: Patience, batch_system: str
) -> TaskStatus:
    """Return the status of a task.

    Args:
        entry: what we remember.
        seen: the batch system's word, None when it does not know the task.
        end: what its directory holds; None when nobody looked, as for a task that runs.
        now: in seconds since the boot.
        patience: with absences.
        batch_system: its name, for sentences.
    """
    if seen is not None and not seen.state.is_final:
        return seen
    code = end.exit_code if end else None
    if seen is not None and seen.state is not TaskState.DONE and (code is None or seen.limit or entry.is_cancelled):
        return _ended_by_others(entry, seen, end)
    if end is not None and code is not None and not (entry.is_cancelled and code > _BY_SIGNAL):
        return _ended(end, code, seen)
    if entry.is_cancelled and (seen is not None or code is not None or _is_old(entry, now, patience.exit_code_s)):
        return TaskStatus(state=TaskState.ABORTED, native=seen.native if seen else "", reason="cancelled")
    if seen is None:
        return _absent(entry, end, now, patience, batch_system)
    return _ended_mute(entry, seen, now, patience, batch_system)


def _is_old(entry: Entry, now: float, age_s: float) -> bool:
    """Tell whether the batch system has not known the task for so long."""
    return now - entry.seen_at > age_s


def _ended(end: End, code: int, seen: TaskStatus | None) -> TaskStatus:
    """The script ended and wrote so, whatever the batch system thinks of it."""
    native = seen.native if seen else ""
    usage = end.usage
    if seen and seen.usage.memory_peak_mb is not None:
        usage = replace(usage, memory_peak_mb=seen.usage.memory_peak_mb)
    if end.limit:
        reason = f"ended at its limit of {end.limit}"
        return TaskStatus(
            state=TaskState.FAILED, native=native, reason=reason, exit_code=code, limit=end.limit, usage=usage
        )
    return TaskStatus(state=TaskState.DONE, native=native, reason=end.reason, exit_code=code, usage=usage)


def _ended_by_others(entry: Entry, seen: TaskStatus, end: End | None) -> TaskStatus:
    """The batch system ended it: cancelled, over a limit, its node lost."""
    state = TaskState.ABORTED if entry.is_cancelled else seen.state
    return replace(seen, state=state, exit_code=end.exit_code if end else None)


def _absent(entry: Entry, end: End | None, now: float, patience: Patience, batch_system: str) -> TaskStatus:
    absent_s = int(now - entry.seen_at)
    began = "it had begun" if end and end.has_started else "it had not begun"
    said = f"{batch_system} has not known it for {absent_s} s, {began}, and it has left no exit code"
    if _is_old(entry, now, patience.lost_after_s):
        return TaskStatus(state=TaskState.FAILED, native="lost", reason=f"lost: {said}")
    return TaskStatus(state=TaskState.UNKNOWN, reason=said)


def _ended_mute(entry: Entry, seen: TaskStatus, now: float, patience: Patience, batch_system: str) -> TaskStatus:
    """The batch system calls it done, and there is no exit code: the file system may be late, then it is a failure."""
    if not _is_old(entry, now, patience.exit_code_s):
        return TaskStatus(state=TaskState.UNKNOWN, native=seen.native, reason="its exit code is waited for")
    reason = f"{batch_system} says {seen.native}, but the task has left no exit code: its script was killed"
    return TaskStatus(state=TaskState.FAILED, native=seen.native, reason=reason, usage=seen.usage)
