"""How the tasks of a pool stand, and which of its processors they hold."""

import threading
from collections.abc import Collection
from dataclasses import dataclass

from ce_backends.base import SlotCount, TaskState, TaskStatus
from ce_backends.errors import CEError
from ce_backends.task.record import TaskRecord


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that is over.

    Attributes:
        status: its final one.
        record: what was written down of it.
    """

    status: TaskStatus
    record: TaskRecord


class PoolTasks:
    """Tasks by their stamps: each is held while it is not over, then ended until it is forgotten. For several threads.

    Args:
        processors: how many there are to share.
        one_at_a_time: a task that is held holds them all.
    """

    def __init__(self, processors: int, *, one_at_a_time: bool) -> None:
        self._processors = processors
        self._one_at_a_time = one_at_a_time
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # processors of each
        self._broken = 0  # processors of tasks of which something is left that cannot be killed
        self._ended: dict[str, Ended] = {}

    def slots(self) -> SlotCount:
        """Return how many tasks are held, and how many processors are free."""
        with self._lock:
            return SlotCount(running=len(self._held), waiting=0, free_processors=self._free())

    def unfit(self, processors: int) -> str:
        """Return why a task of this size cannot run beside those that do, empty if it can."""
        with self._lock:
            free = self._free()
        if self._one_at_a_time:
            return "" if free else "another task runs already"
        return f"needs {processors} processors, {free} are free" if processors > free else ""

    def hold(self, stamp: str, processors: int) -> None:
        """A task is about to begin, or was found running."""
        with self._lock:
            self._held[stamp] = processors

    def let_go(self, stamp: str) -> None:
        """A task has not begun."""
        with self._lock:
            self._held.pop(stamp, None)

    def end(self, stamp: str, ended: Ended) -> None:
        """A task is over; what it held is free again, unless it is stuck."""
        with self._lock:
            held = self._held.pop(stamp, 0)
            self._broken += held if ended.status.is_stuck else 0
            self._ended[stamp] = ended

    def forget(self, stamp: str) -> None:
        """An ended task is gone."""
        with self._lock:
            del self._ended[stamp]

    def held(self) -> Collection[str]:
        """Return the stamps of all that are held."""
        with self._lock:
            return list(self._held)

    def all_ended(self) -> Collection[str]:
        """Return the stamps of all that are over and not forgotten."""
        with self._lock:
            return list(self._ended)

    def knows(self, stamp: str) -> bool:
        """Tell whether a task is held or ended."""
        with self._lock:
            return stamp in self._held or stamp in self._ended

    def status(self, stamp: str) -> TaskStatus:
        """Return how a task stands; of one that is held no more than that."""
        with self._lock:
            if ended := self._ended.get(stamp):
                return ended.status
            return TaskStatus(state=TaskState.RUNNING if stamp in self._held else TaskState.UNKNOWN)

    def ended(self, stamp: str) -> Ended:
        """Return what is known of an ended task.

        Raises:
            CEError: it is none.
        """
        with self._lock:
            ended, is_held = self._ended.get(stamp), stamp in self._held
        if ended is None:
            state = "has not ended" if is_held else "is not known"
            raise CEError(f"task {stamp} {state}: only an ended task can be fetched")
        return ended

    def to_clean(self, stamp: str) -> Ended | None:
        """Return what is known of an ended task, None when the task is not known.

        Raises:
            CEError: it still runs.
        """
        with self._lock:
            if stamp in self._held:
                raise CEError(f"task {stamp} still runs: cancel it and wait for its end before cleaning")
            return self._ended.get(stamp)

    def _free(self) -> int:
        if self._one_at_a_time and self._held:
            return 0
        return max(0, self._processors - self._broken - sum(self._held.values()))
