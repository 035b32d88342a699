"""Taking up the tasks that an earlier object of a pool began.

What is written down of them may have been written by a payload. So it is asked first what lives: no end is believed of
a task of which something does, and no task is forgotten.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import TaskStatus
from ce_backends.containers.cell import ContainerCell
from ce_backends.containment.cell import Cell, Containment
from ce_backends.linux.processes import Process, boot_id, stat_of
from ce_backends.pool.running_task import RunningTask, final_status
from ce_backends.pool.wrappers import lives
from ce_backends.task.directory import NOTES, TaskDir
from ce_backends.task.record import TaskRecord, stamp_problem

_FRESH_S = 10.0  # a wrapper that has not claimed its task for so long never will
_CLAIM_S, _LOOK_S = 2.0, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A task that has begun.

    Attributes:
        record: of it; of one whose record is spoiled, what can be seen.
        cell: holds it.
        wrapper: waits for its payload; None when it is over or nobody knows it.
        end: how it ended; None when something of it lives, or nobody has told its end.
    """

    record: TaskRecord
    cell: Cell
    wrapper: Process | None
    end: TaskStatus | None

    def watched(self, directory: TaskDir) -> RunningTask:
        """Return it as the watcher has it."""
        return RunningTask(
            stamp=directory.path.name,
            directory=directory,
            record=self.record,
            cell=ContainerCell(self.cell) if self.record.is_enclosed else self.cell,
            since_s=time.monotonic(),
            wrapper=self.wrapper,
            is_adopted=True,
        )


def stamps_in(work_dir: Path, *, is_of_another_boot: bool) -> list[str]:
    """Return the stamps of all tasks of which there is a directory or a note, when those that could begin have begun.

    Args:
        work_dir: of the pool.
        is_of_another_boot: none begins any more.
    """
    names = {path.name for path in work_dir.iterdir()}
    with suppress(FileNotFoundError):
        names |= {path.name.partition(".")[0] for path in (work_dir / NOTES).iterdir()}
    stamps = sorted(name for name in names if not stamp_problem(name))
    if not is_of_another_boot:
        _await_claims([TaskDir.in_pool(work_dir, stamp) for stamp in stamps])
    return stamps


def _await_claims(directories: Sequence[TaskDir]) -> None:
    """Wait a moment for wrappers that were told of a task just now: what was accepted begins, whoever has gone."""
    now_s = time.time()
    fresh = [each for each in directories if not each.has_started and abs(now_s - _made_s(each)) < _FRESH_S]
    give_up_at = time.monotonic() + _CLAIM_S
    while time.monotonic() < give_up_at and not all(each.has_started for each in fresh):
        time.sleep(_LOOK_S)


def _made_s(directory: TaskDir) -> float:
    try:
        return directory.path.stat().st_mtime
    except OSError:  # nobody's task any more
        return 0.0


def adopted(
    directory: TaskDir, containment: Containment, *, most: int, is_enclosed: bool, is_of_another_boot: bool
) -> Adopted | None:
    """Look at what an earlier object left of a task; None if it never began, and then it never will.

    Args:
        directory: of the task.
        containment: of the pool.
        most: processors of the pool.
        is_enclosed: its payloads run in containers.
        is_of_another_boot: what does not live will write down nothing more.
    """
    wrapper = _wrapper(directory)
    cell = containment.adopt(directory.path.name, wrapper)
    if wrapper is not None:
        cell.begin(wrapper)
    living = cell.members()
    if wrapper is None and living and directory.exit_code() is None:  # it may be the claim that is spoiled
        wrapper = _wrapper_above(living)
    if wrapper is None and not living and directory.claim():
        cell.remove()
        return None
    record = directory.record() or TaskRecord(processors=_processors(living, wrapper, most), is_enclosed=is_enclosed)
    end = None if living else directory.end()
    if wrapper is not None and end is not None and end.exit_code is not None:
        end = None  # its wrapper has written down none, and waits
    if end is None and is_of_another_boot and wrapper is None and not living:
        end = _end_of_what_is_left(directory, record, cell)
    if end is not None:
        cell.remove()
    return Adopted(record=record, cell=cell, wrapper=wrapper, end=end)


def _end_of_what_is_left(directory: TaskDir, record: TaskRecord, cell: Cell) -> TaskStatus:
    """Return how a task ended with its boot, and keep it."""
    name = directory.path.name
    task = RunningTask(
        stamp=name, directory=directory, record=record, cell=cell, since_s=0.0, is_adopted=True, is_of_another_boot=True
    )
    status = final_status(task)
    with suppress(OSError):  # it is derived again
        directory.write_end(status)
    return status


def _wrapper(directory: TaskDir) -> Process | None:
    """Return the wrapper that waits for this task; one that has written down an exit code may have another by now."""
    wrapper = directory.wrapper(boot_id())
    if wrapper is None or directory.exit_code() is not None:
        return None
    return wrapper if lives(wrapper) else None


def _wrapper_above(living: Sequence[int]) -> Process | None:
    """Return the wrapper that is the parent of one of these."""
    stats = [stat for pid in living if (stat := stat_of(pid)) is not None]
    above = [stat.process for parent in {stat.parent for stat in stats} if (stat := stat_of(parent)) is not None]
    return next(filter(lives, above), None)


def _processors(living: Sequence[int], wrapper: Process | None, most: int) -> int:
    """Return how many processors a task uses whose record is spoiled: it was bound to them, or takes all."""
    found = 0
    for pid in (*living, *([wrapper.pid] if wrapper else ())):
        with suppress(OSError):
            found = max(found, len(os.sched_getaffinity(pid)))
    return min(found, most) or most
