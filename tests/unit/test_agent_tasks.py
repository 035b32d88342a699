"""A task that its computing element does not know any more: not waited for for ever, and not given up early."""

from collections.abc import Collection
from dataclasses import dataclass, field

import pytest

from agents.runner.tasks import Tasks
from ce_backends.base import Places, TaskState, TaskStatus
from ce_backends.errors import CEUnavailable

HOUR_S = 3600.0


@dataclass
class Pool:
    """A CE on this node."""

    state: TaskState = TaskState.UNKNOWN
    known: dict[str, str] = field(default_factory=dict)
    trouble: CEUnavailable | None = None

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: TaskStatus(state=self.state) for task_id in task_ids}

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        if self.trouble:
            raise self.trouble
        return {stamp: self.known[stamp] for stamp in stamps if stamp in self.known}


class Queue(Pool):
    """A CE in front of a batch system."""

    places = Places(tasks=1, processors=1)


class Clock:
    """Counts what a test lets pass."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def state(tasks: Tasks) -> TaskState:
    return tasks.poll({"42": "stamp"})["42"].state


def made(ce: Pool) -> tuple[Tasks, Clock]:
    clock = Clock()
    return Tasks(ce, clock), clock  # type: ignore[arg-type] # the border


def test_on_this_node_absence_is_certain_at_once() -> None:
    tasks, _ = made(Pool())

    assert state(tasks) is TaskState.FAILED


def test_in_a_queue_an_absent_task_is_lost_after_an_hour() -> None:
    tasks, clock = made(Queue())
    first = state(tasks)
    clock.now_s = HOUR_S

    assert (first, state(tasks)) == (TaskState.UNKNOWN, TaskState.FAILED)


def test_a_task_that_was_known_meanwhile_has_its_hour_again() -> None:
    ce = Queue()
    tasks, clock = made(ce)
    for clock.now_s, ce.state in ((0, TaskState.UNKNOWN), (HOUR_S / 2, TaskState.RUNNING)):
        state(tasks)
    clock.now_s, ce.state = HOUR_S, TaskState.UNKNOWN

    assert state(tasks) is TaskState.UNKNOWN


@pytest.mark.parametrize(
    "ce", [Queue(known={"stamp": "42"}), Queue(trouble=CEUnavailable("away")), Pool(trouble=CEUnavailable("away"))]
)
def test_a_task_that_is_found_or_cannot_be_asked_for_is_not_given_up(ce: Pool) -> None:
    tasks, clock = made(ce)
    state(tasks)
    clock.now_s = 10 * HOUR_S

    assert state(tasks) is TaskState.UNKNOWN
