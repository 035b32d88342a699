"""What running tasks use and what they fill, looked at every few seconds in a thread of its own.

It has its own thread because a look may take long (a disk that hangs, a directory of a million files), and the end of
a task must be seen at once all the same. The looks at a task take at most a fiftieth of one processor.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ce_backends.base import Activity, Limit, TaskSpec
from ce_backends.linux.loop import Loop
from ce_backends.linux.mounts import mounts_below
from ce_backends.pool.observation import Observation
from ce_backends.pool.running_task import FAR, Excess, RunningTask
from ce_backends.task.log_limit import Cap

REST = 50  # a look is followed by a rest of at least so many times what it took
LEAST_INODES = 500  # free on the node's disk
LARGEST_SHARE = 0.5  # of the disk, also where there is only one task
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for every task of a pool.

    Attributes:
        output: how much of a log file is kept.
        least_disk_mb: free space on the disk below which a task is ended, 0 for never.
        processors: of the pool; with them the disk is shared.
        memory_mb: limit of a task that has none of its own, 0 for none.
        may_swap: limits of memory leave swap alone.
        round_s: between two looks at all tasks.
        processes_s: between looks at the processes of a task.
        disk_s: between looks at the directory of a task.
    """

    output: Cap
    least_disk_mb: int = 0
    processors: int = 1
    memory_mb: int = 0
    may_swap: bool = False
    round_s: float = 1.0
    processes_s: float = 10.0
    disk_s: float = 60.0

    def applied(self, spec: TaskSpec) -> TaskSpec:
        """Return a task with the limit that it has not set itself."""
        return spec if spec.memory_mb or not self.memory_mb else replace(spec, memory_mb=self.memory_mb)


USUAL = Bounds(output=Cap(64 * _BYTES_PER_MB))


class Monitor:
    """Looks at all tasks again and again between `start` and `close`, while there are any.

    Args:
        place: a directory on the disk that the tasks fill.
        bounds: what holds for every task.
        tasks: tells which run now.
        end: ends one because of an excess.
        broken: called in its thread when an error has ended it, see Loop.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        place: Path,
        bounds: Bounds,
        *,
        tasks: Callable[[], Sequence[RunningTask]],
        end: Callable[[str, Excess], None],
        broken: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._bounds = bounds
        self._tasks = tasks
        self._end = end
        self._clock = clock
        self._observations: dict[str, Observation] = {}
        self._activities: dict[str, Activity] = {}
        self._next_room_s = 0.0
        self._loop = Loop(self._turn, "gridpilot-monitor", broken=broken)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def wake(self) -> None:
        """There is a task."""
        self._loop.wake()

    def close(self) -> None:
        """End; a look that hangs is not waited for."""
        self._loop.close(self._bounds.round_s)

    def check(self) -> None:
        """Do nothing while all is well; else raise as Loop.check does."""
        self._loop.check()

    def activity(self, stamp: str) -> Activity | None:
        """Return what was last seen of a task; from any thread."""
        return self._activities.get(stamp)

    def _turn(self) -> float | None:
        if self._loop.wait_out(self._bounds.round_s):
            return None
        tasks = self._tasks()
        with suppress(OSError):  # a disk that fails, descriptors that are used up: there will be another round
            self.go(tasks)
        return 0.0 if tasks else None

    def go(self, tasks: Sequence[RunningTask]) -> None:
        """Look at all of them once."""
        known = self._observations
        self._observations = {task.stamp: known.get(task.stamp) or Observation(task) for task in tasks}
        mounts = mounts_below(self._place) if tasks else ()
        for stamp, observation in self._observations.items():
            observation.mounts = mounts
            with suppress(OSError):  # this task's alone: the others are looked at all the same
                for excess in self._seen(observation):
                    self._end(stamp, excess)
        self._end_fork_bomb()
        self._make_room()
        self._activities = {stamp: observation.activity for stamp, observation in self._observations.items()}

    def _seen(self, observation: Observation) -> Iterator[Excess]:
        """Do what is due; a task at which that fails in a way that nobody foresaw is not left unwatched."""
        try:
            yield from self._look(observation)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - it ends the task that it belongs to, and no other
            yield Excess(Limit.FAULT, f"internal error: {type(error).__name__}: {error}")

    def _look(self, observation: Observation) -> Iterator[Excess]:
        """Do what is due, and yield what is too much."""
        if excess := observation.trim_output(self._bounds.output):
            yield excess
        began_s = self._clock()
        if began_s >= observation.next_processes_s:
            if excess := observation.look_at_processes(began_s):
                yield excess
            pause_s = 0.0 if observation.guards_memory else self._bounds.processes_s
            observation.next_processes_s = self._next_s(began_s, pause_s)
        began_s = self._clock()
        if began_s >= observation.next_disk_s:
            if excess := observation.look_at_disk():
                yield excess
            observation.next_disk_s = self._next_s(began_s, self._bounds.disk_s)

    def _next_s(self, began_s: float, pause_s: float) -> float:
        now_s = self._clock()
        return now_s + max(pause_s, REST * (now_s - began_s))

    def _end_fork_bomb(self) -> None:
        """End the task with the most processes when one was refused: the limit may be around all of them."""
        refused = [observation.is_refused_processes() for observation in self._observations.values()]
        if any(refused):
            counts = {stamp: len(one.task.cell.members()) for stamp, one in self._observations.items()}
            stamp = max(counts, key=lambda stamp: counts[stamp])
            sentence = f"limit of processes exceeded: it had {counts[stamp]} when it was refused another one"
            # after SIGTERM a bomb would only fill the places again
            self._end(stamp, Excess(Limit.PROCESSES, sentence, at_once=True))

    def _make_room(self) -> None:
        """End the task that is furthest over its share of a disk that is nearly full.

        Nobody within his share is ended for a neighbour. A task that is alone goes where there is more room.
        """
        began_s = self._clock()
        if began_s < self._next_room_s or not self._observations or not (shortage := self._shortage()):
            return
        for observation in self._observations.values():
            observation.look_at_disk()
        furthest = max(self._observations.values(), key=self._part_of_share)
        words = f"{shortage}; this task {furthest.disk_words}, its share is {self._share(furthest.task)[0]:.0f} MB"
        if self._part_of_share(furthest) > 1:
            self._end(furthest.task.stamp, Excess(Limit.DISK, words))
        elif len(self._observations) == 1 and _is_worth_ending(furthest):
            self._end(furthest.task.stamp, Excess(Limit.NODE_DISK, words))
        self._next_room_s = self._next_s(began_s, 0.0)

    def _part_of_share(self, observation: Observation) -> float:
        """Return how much a task has used of its share, above 1 for too much; what nobody can look into is full."""
        if observation.disk is None:
            return 0.0
        if observation.disk.unread:
            return FAR
        share_mb, share_files = self._share(observation.task)
        return max(observation.disk.size_bytes / _BYTES_PER_MB / share_mb, observation.disk.files / share_files)

    def _share(self, task: RunningTask) -> tuple[float, float]:
        """Return what a task may call its own of the disk, MB and files: as much as of the processors."""
        disk = os.statvfs(self._place)
        share = min(LARGEST_SHARE, task.record.processors / self._bounds.processors)
        files = disk.f_files * share or FAR  # a file system without inodes counts none
        return max(1.0, disk.f_blocks * disk.f_frsize / _BYTES_PER_MB * share), files

    def _shortage(self) -> str:
        """Return what the disk is short of, empty for nothing."""
        least_mb = self._bounds.least_disk_mb
        try:
            disk = os.statvfs(self._place)
        except OSError:  # the next look at it will tell
            return ""
        free_mb = disk.f_bavail * disk.f_frsize // _BYTES_PER_MB
        if free_mb < least_mb:
            return f"{free_mb} MB of the node's disk are free, less than {least_mb} MB"
        if least_mb and disk.f_files and disk.f_favail < LEAST_INODES:  # a file system without inodes counts none
            return f"the node's disk has room for {disk.f_favail} more files, less than {LEAST_INODES}"
        return ""


def _is_worth_ending(observation: Observation) -> bool:
    """Tell whether the end of this task would make room."""
    disk = observation.disk
    return disk is not None and (disk.size_bytes >= _BYTES_PER_MB or disk.files >= LEAST_INODES // 10)
