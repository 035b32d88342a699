"""A SiteDirector whose CEs are scripted: one round after the other, in a time that is a test's."""

import queue
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.errors import CredentialError
from agents.site_director.ce_desk import CeDesk
from agents.site_director.ce_worker import CeWorker
from agents.site_director.desk_terms import Pace, Papers
from agents.site_director.director import DemandSeen, Director
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, State
from agents.site_director.queues import PilotQueue
from agents.site_director.supply import Choice, WaitingJobs
from ce_backends.base import Accepted, SlotCount, Submission, TaskSpec, TaskState, TaskStatus
from tests.waiting import PATIENCE_S


class ScriptedCE:
    """A CE in memory that does what a test wants: no real one fails on order."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskState] = {}
        self.submissions: list[list[str]] = []
        self.cancelled: set[str] = set()
        self.on_submit: Callable[[Sequence[TaskSpec]], object] | None = None
        self.on_poll: Callable[[], object] | None = None
        self.view_age_s = 0.0

    def take(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self.tasks |= {task.stamp: TaskState.WAITING for task in tasks if task.stamp not in self.tasks}
        return {task.stamp: Accepted(f"id-{task.stamp}") for task in tasks}

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self.submissions.append([task.stamp for task in tasks])
        return self.on_submit(tasks) if self.on_submit else self.take(tasks)  # type: ignore[return-value]

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        if self.on_poll:
            return self.on_poll()  # type: ignore[return-value]
        states = {f"id-{stamp}": state for stamp, state in self.tasks.items()}
        return {each: TaskStatus(state=states.get(each, TaskState.UNKNOWN)) for each in task_ids}

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: f"id-{stamp}" for stamp in stamps if stamp in self.tasks}

    def cancel(self, task_ids: Collection[str]) -> None:
        self.cancelled |= set(task_ids)
        self.tasks |= {each.removeprefix("id-"): TaskState.ABORTED for each in task_ids}

    def fetch(self, task_id: str, into: Path) -> None:
        into.mkdir(parents=True)
        (into / "stdout").write_text("the last word", encoding="utf-8")

    def clean(self, task_ids: Collection[str]) -> None: ...

    def slots(self) -> SlotCount:
        return SlotCount(running=0, waiting=0, free_processors=0)

    def close(self) -> None: ...


class Stage:
    """A director with one scripted CE for each queue; it is driven by hand."""

    def __init__(self, folder: Path, *names: str, call_s: float = 300.0) -> None:
        self.folder = folder
        self.names = names
        self.call_s = call_s
        self.ces = {name: ScriptedCE() for name in names}
        self.has_proxy = self.is_known = True
        self.begin()

    def begin(self) -> None:
        self.ledger = PilotLedger(self.folder / "pilots.sqlite")
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.desks = {name: self._desk(name) for name in self.names}
        self.director = Director(self.desks, self.ledger, self.events, choice=Choice(calm_s=0.0), start_up_s=0.0)

    def end(self) -> None:
        for desk in self.desks.values():
            desk.close(0.0)
        self.ledger.close()

    def _desk(self, name: str) -> CeDesk:
        return CeDesk(
            PilotQueue(
                name=name,
                site="S",
                ce=name,
                queue="q",
                ce_type="Local",
                options={},
                processors=1,
                most_total=100,
                most_waiting=100,
                matcher={},
            ),
            lambda: CeWorker(name, lambda: self.ces[name], self.events.put),
            self.ledger,
            Papers(self._tasks, lambda _: self.is_known),
            pace=Pace(poll_s=0.05, call_s=self.call_s),
            outputs_dir=self.folder / "outputs",
            jitter=lambda: 0.5,
        )

    def _tasks(self, pilots: Sequence[Pilot]) -> list[TaskSpec]:
        if not self.has_proxy:
            raise CredentialError("no proxy")
        return [TaskSpec(stamp=pilot.stamp, script="true") for pilot in pilots]

    def want(self, number: int) -> None:
        names = frozenset(self.names)
        found = [WaitingJobs(jobs=number, processors=1, queues=names)] if number else []
        self.events.put(DemandSeen(found, time.time()))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.pilots()}, {self.healths()}"
            self.director.turn(0.05)

    def for_a_while(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.director.turn(0.05)

    def pilots(self) -> list[tuple[str, State]]:
        return [(pilot.queue, pilot.state) for pilot in self.ledger.open()]

    def count(self, name: str, state: State) -> int:
        return self.pilots().count((name, state))

    def healths(self) -> Mapping[str, str]:
        return {name: desk.why for name, desk in self.desks.items()}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(*names: str, **more: float) -> Stage:
        made.append(Stage(tmp_path, *names, **more))
        return made[-1]

    yield make
    for each in made:
        each.end()


def raising(error: Exception) -> Callable[..., object]:
    def act(*_: object) -> object:
        raise error

    return act
