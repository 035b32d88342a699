"""What a batch CE makes of a batch system's answers; the batch system is a fake, the spool a real directory."""

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ce_backends.base import Accepted, Submission, TaskSpec, TaskState, TaskStatus, Uncertain
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.conclusion import Patience
from ce_backends.batch.spool import Spool
from ce_backends.batch.system import MAY_NEVER, BatchJob
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError
from ce_backends.task.log_limit import Cap

RUNNING = TaskStatus(state=TaskState.RUNNING, native="R")
DONE = TaskStatus(state=TaskState.DONE, native="C")
CANCELLED = TaskStatus(state=TaskState.FAILED, native="CANCELLED", reason="CANCELLED by uid 4000")
NEVER_S = 1e6


class FakeSystem:
    """A batch system that says what it is told to say."""

    array_limit = 1
    index: Sequence[str] = ()
    passed: Sequence[str] = ()

    def __init__(self) -> None:
        self.numbers: Iterator[int] = iter(range(1, 1000))
        self.cancelled: list[list[str]] = []
        self.answer: TaskStatus | CEError | None = RUNNING
        self.found: Mapping[str, str] | CEError = {}
        self.meanwhile: Callable[[], None] = lambda: None

    def submit(self, job: BatchJob) -> Submission:
        number = next(self.numbers, None)
        return Uncertain("no answer") if number is None else Accepted(str(number))

    def element(self, job_id: str, number: int, size: int) -> str:
        return job_id

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        self.meanwhile()
        if isinstance(self.answer, CEError):
            raise self.answer
        return dict.fromkeys(task_ids, self.answer) if self.answer else {}

    def cancel(self, task_ids: Collection[str]) -> None:
        self.cancelled.append(list(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        if isinstance(self.found, CEError):
            raise self.found
        return self.found


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def ce(system: FakeSystem, tmp_path: Path) -> Iterator[BatchCE]:
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    bounds = Bounds(interval_s=NEVER_S, patience=Patience(lost_after_s=NEVER_S, exit_code_s=0.2))
    made = BatchCE("Fake", system, Local(), spool, TaskBook(tmp_path / "tasks.sqlite"), bounds)
    yield made
    made.close()


def task() -> TaskSpec:
    return TaskSpec(stamp=uuid.uuid4().hex, script=":\n")


def submitted(ce: BatchCE) -> str:
    spec = task()
    answer = ce.submit([spec])[spec.stamp]
    assert isinstance(answer, Accepted)
    return answer.task_id


def look(ce: BatchCE, task_id: str) -> TaskStatus:
    ce.look()
    return ce.poll([task_id])[task_id]


def test_cancelled_while_the_batch_system_was_asked_is_aborted(ce: BatchCE, system: FakeSystem) -> None:
    task_id = submitted(ce)
    look(ce, task_id)
    system.answer, system.meanwhile = CANCELLED, lambda: ce.cancel([task_id])

    assert look(ce, task_id).state is TaskState.ABORTED


def test_exit_code_is_waited_for_from_when_the_end_was_heard(
    ce: BatchCE, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("ce_backends.batch.ce.boot_s", lambda: clock[0])
    task_id = submitted(ce)
    look(ce, task_id)
    clock[0] += 3600  # nobody looked
    system.answer = DONE

    heard = look(ce, task_id)
    clock[0] += 1
    later = look(ce, task_id)

    assert (heard.state, heard.reason) == (TaskState.UNKNOWN, "its exit code is waited for")
    assert (later.state, later.reason) == (
        TaskState.FAILED,
        "Fake says C, but the task has left no exit code: its script was killed",
    )


def test_absence_is_unknown_and_says_for_how_long(ce: BatchCE, system: FakeSystem) -> None:
    task_id = submitted(ce)
    look(ce, task_id)
    system.answer = None

    status = look(ce, task_id)

    assert status.state is TaskState.UNKNOWN
    assert status.reason == "Fake has not known it for 0 s, it had not begun, and it has left no exit code"


def test_no_answer_leaves_the_state_and_says_so(ce: BatchCE, system: FakeSystem) -> None:
    task_id = submitted(ce)
    look(ce, task_id)
    system.answer = CEError("it is on fire")

    status = look(ce, task_id)

    assert (status.state, status.reason) == (TaskState.RUNNING, "no answer from Fake: it is on fire")


def test_what_may_never_run_is_given_up_after_it_has_lasted(system: FakeSystem, tmp_path: Path) -> None:
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    bounds = Bounds(interval_s=NEVER_S, patience=Patience(lost_after_s=0.3, exit_code_s=0.2))
    ce = BatchCE("Fake", system, Local(), spool, TaskBook(tmp_path / "tasks.sqlite"), bounds)
    task_id = submitted(ce)
    system.answer = TaskStatus(state=TaskState.WAITING, native="PD", reason=f"{MAY_NEVER}no node has the features")

    at_first = look(ce, task_id)
    time.sleep(0.4)
    later = look(ce, task_id)
    ce.close()

    assert at_first.state is TaskState.WAITING
    assert (later.state, later.reason) == (TaskState.FAILED, f"{MAY_NEVER}no node has the features")
    assert system.cancelled == [[task_id]]


def test_number_that_another_task_has_is_uncertain(ce: BatchCE, system: FakeSystem) -> None:
    first_id = submitted(ce)
    system.numbers = iter([int(first_id)])
    second = task()

    answer = ce.submit([second])[second.stamp]

    assert isinstance(answer, Uncertain)
    assert f"the number {first_id}, which task" in answer.reason


def test_lost_answer_is_cleared_up_before_anything_is_submitted(ce: BatchCE, system: FakeSystem) -> None:
    spec = task()
    system.numbers, system.found = iter([]), CEError("squeue: no answer in time")
    lost = ce.submit([spec])[spec.stamp]

    doubtful = ce.submit([spec])[spec.stamp]
    system.found = {spec.stamp: "77"}
    again = ce.submit([spec])[spec.stamp]

    assert isinstance(lost, Uncertain)
    assert doubtful == Uncertain("it may have been submitted already: squeue: no answer in time")
    assert again == Accepted("77")


def test_what_may_never_run_is_not_given_up_at_first_sight_also_without_patience(
    system: FakeSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ce_backends.batch.ce.time.monotonic", lambda: 1000.0)
    spool = Spool(Local(), str(tmp_path / "area"), tmp_path / "moving", cap=Cap(1_000_000))
    bounds = Bounds(interval_s=NEVER_S, patience=Patience(lost_after_s=0.0))
    ce = BatchCE("Fake", system, Local(), spool, TaskBook(tmp_path / "tasks.sqlite"), bounds)
    ce._loop.close()  # no thread looks by itself
    task_id = submitted(ce)
    system.answer = TaskStatus(state=TaskState.WAITING, native="PD", reason=f"{MAY_NEVER}no node")

    status = look(ce, task_id)
    ce.close()

    assert (status.state, system.cancelled) == (TaskState.WAITING, [])
