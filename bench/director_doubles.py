"""Doubles for a SiteDirector in simulated time: CEs, WMS and clock in memory. Everything else is the agent's own."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from agents.site_director.ce_worker import Event, Order, carried_out
from ce_backends.base import Accepted, SlotCount, Submission, TaskSpec, TaskState, TaskStatus

_WAITS, _RUNS = TaskStatus(state=TaskState.WAITING), TaskStatus(state=TaskState.RUNNING)
_ENDED = TaskStatus(state=TaskState.DONE, exit_code=0)
_UNKNOWN = TaskStatus(state=TaskState.UNKNOWN)


class Clock:
    """Seconds since 1970, set by hand."""

    def __init__(self) -> None:
        self.now_s = 1.8e9

    def __call__(self) -> float:
        return self.now_s


class WmsDouble:
    """Jobs without end, one for each pilot; it answers what PilotManager and JobMonitoring are asked."""

    def __init__(self, clock: Clock, rng: random.Random, jobs: int, job_s: float) -> None:
        self.clock, self.rng, self.jobs, self.job_s = clock, rng, jobs, job_s
        self.ends: dict[str, float] = {}  # of the jobs that run, by stamp of the pilot
        self.numbers: dict[str, int] = {}
        self.registered: dict[str, str] = {}  # status by reference
        self.registrations = 0

    @property
    def waiting(self) -> int:
        """How many jobs wait: there are always so many in all."""
        return max(0, self.jobs - len(self.ends))

    def match(self, stamp: str) -> None:
        """Give a pilot a job."""
        if self.waiting:
            self.ends[stamp] = self.clock() + self.rng.uniform(0.67, 1.33) * self.job_s
            self.numbers[stamp] = len(self.numbers) + self.registrations

    def is_over(self, stamp: str) -> bool:
        """Tell whether a pilot's job has ended; it is forgotten then."""
        if stamp in self.ends and self.ends[stamp] > self.clock():
            return False
        self.ends.pop(stamp, None)
        return True

    def forget(self, stamp: str) -> None:
        """Forget a pilot that has ended."""
        self.numbers.pop(stamp, None)

    def call(self, method: str, *arguments: object, repeatable: bool = True) -> object:
        """Answer as the services do."""
        del repeatable
        match method, arguments:
            case "addPilotReferences", [list(references), *_]:
                self.registered |= dict.fromkeys(references, "Submitted")
                self.registrations += len(references)
                return len(references)
            case "setPilotStatus", [str(reference), str(status), *_]:
                if status in ("Done", "Failed", "Aborted"):
                    self.registered.pop(reference, None)
                else:
                    self.registered[reference] = status
                return 1
            case "getPilotInfo", [list(references)]:
                return {reference: self._info(reference) for reference in references if reference in self.registered}
            case "getJobsStatus", [list(jobs)]:
                return {job: {"Status": "Running"} for job in jobs}
        raise AssertionError(method)

    def _info(self, reference: str) -> Mapping[str, object]:
        job = self.numbers.get(reference.rpartition("/")[2])
        return {"Status": self.registered[reference], "Jobs": [] if job is None else [job]}


class CeDouble:
    """A queue in memory: pilots wait a while, get a job, end with it."""

    def __init__(self, wms: WmsDouble, clock: Clock, rng: random.Random) -> None:
        self._wms, self._clock, self._rng = wms, clock, rng
        self._starts: dict[str, float] = {}
        self._running: set[str] = set()
        self._ended: set[str] = set()

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        now_s = self._clock()
        self._starts |= {task.stamp: now_s + self._rng.uniform(30.0, 300.0) for task in tasks}
        return {task.stamp: Accepted(task.stamp) for task in tasks}

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: stamp for stamp in stamps if stamp in self._starts}

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: self._status(task_id) for task_id in task_ids}

    def _status(self, stamp: str) -> TaskStatus:
        if stamp in self._ended:
            return _ENDED
        if stamp not in self._starts:
            return _UNKNOWN
        if stamp not in self._running:
            if self._starts[stamp] > self._clock():
                return _WAITS
            self._running.add(stamp)
            self._wms.match(stamp)
        if not self._wms.is_over(stamp):
            return _RUNS
        self._running.discard(stamp)
        self._ended.add(stamp)
        return _ENDED

    def cancel(self, task_ids: Collection[str]) -> None:
        self._ended |= {each for each in task_ids if each in self._starts and each not in self._running}

    def fetch(self, task_id: str, into: Path) -> None:
        into.mkdir(parents=True, exist_ok=True)
        (into / "stdout").write_text(f'pilot.ended why="no job" {task_id}\n', encoding="utf-8")

    def clean(self, task_ids: Collection[str]) -> None:
        for each in task_ids:
            self._starts.pop(each, None)
            self._ended.discard(each)
            self._wms.forget(each)

    def slots(self) -> SlotCount:
        return SlotCount(running=len(self._running), waiting=0, free_processors=0)

    def close(self) -> None: ...


class WorkerDouble:
    """Does at once what the thread of a queue would do."""

    hangs_s, is_idle = 0.0, True

    def __init__(self, queue: str, ce: CeDouble, put: Callable[[Event], None]) -> None:
        self._queue, self._ce, self._put = queue, ce, put

    def order(self, order: Order) -> None:
        self._put(carried_out(self._queue, self._ce, order))

    def leave(self, within_s: float = 0.0) -> bool:
        del within_s
        return True
