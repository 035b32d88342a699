"""What a conformance check works on, and the few steps all of them take."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ce_backends.base import Accepted, ComputingElement, TaskSpec, TaskStatus, Uncertain
from ce_backends.conformance.time_limit import Limited, TookTooLong, limit
from ce_backends.containers.payload_user import payload_user

PAUSE_S = 0.02


class NotTried(Exception):
    """A clause needs something that the suite was not given; what."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A CE under test.

    Attributes:
        create: returns a new object for the same CE with the same state, as after a restart.
        scratch: an empty directory that the tasks see too.
        deadline_s: how long any step, and any call, may take.
        create_at: returns a new object that keeps its state below a given directory, as another agent would have
            it; without it some clauses are not tried.
    """

    create: Callable[[], ComputingElement]
    scratch: Path
    deadline_s: float
    create_at: Callable[[Path], ComputingElement] | None = None

    @contextmanager
    def ce(self) -> Iterator["Trial"]:
        """Return a CE to try; at the end its tasks are cancelled, cleaned, and it is closed."""
        with self._tried(self.create) as trial:
            yield trial

    @contextmanager
    def ce_at(self, state: Path) -> Iterator["Trial"]:
        """Return a CE to try that keeps its state there.

        Raises:
            NotTried: nobody told how to make one.
        """
        create_at = self.create_at
        if create_at is None:
            raise NotTried("the suite was not told how to make a CE with another work directory (create_at)")
        with self._tried(lambda: create_at(state)) as trial:
            yield trial

    @contextmanager
    def _tried(self, create: Callable[[], ComputingElement]) -> Iterator["Trial"]:
        trial = Trial(self._created(create), self)
        try:
            yield trial
        except BaseException:
            with suppress(Exception, TookTooLong):  # the first fault is the one to tell
                trial.finish()
            raise
        trial.finish()

    @contextmanager
    def object(self) -> Iterator[ComputingElement]:
        """Return a CE that is given no task; at the end it is closed."""
        ce = self._created(self.create)
        try:
            yield ce
        finally:
            ce.close()

    def _created(self, create: Callable[[], ComputingElement]) -> ComputingElement:
        with limit(self.deadline_s, "making a CE object"):
            return cast("ComputingElement", Limited(create(), self.deadline_s))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds.

        Raises:
            AssertionError: it did not within the deadline.
        """
        give_up_at = time.monotonic() + self.deadline_s
        while not holds():
            assert time.monotonic() < give_up_at, f"{what}: not within {self.deadline_s:g} s"
            time.sleep(PAUSE_S)


class Trial:
    """One CE object and the tasks it was given in a check."""

    def __init__(self, ce: ComputingElement, subject: Subject) -> None:
        self.ce = ce
        self._subject = subject
        self.given: dict[str, TaskSpec] = {}
        self._task_ids: list[str] = []

    def submit(self, task: TaskSpec) -> str:
        """Submit a task that must be accepted; return its id."""
        self.given[task.stamp] = task
        answers = self.ce.submit([task])
        assert set(answers) == {task.stamp}, f"submit of {task.stamp} answered for {sorted(answers)}"
        answer = answers[task.stamp]
        assert isinstance(answer, Accepted), f"submit was answered by {answer}"
        self._task_ids.append(answer.task_id)
        return answer.task_id

    def submit_what_fits(self, tasks: Sequence[TaskSpec]) -> dict[str, str]:
        """Submit tasks in one call; return the ids of those that were accepted, by stamp."""
        answers = self.ce.submit(tasks)
        assert set(answers) == {task.stamp for task in tasks}, f"submit of {len(tasks)} answered for {len(answers)}"
        uncertain = [answer for answer in answers.values() if isinstance(answer, Uncertain)]
        assert not uncertain, f"submit of {len(tasks)} tasks at once was answered by {uncertain[0]}"
        return {stamp: self.adopt(said.task_id) for stamp, said in answers.items() if isinstance(said, Accepted)}

    def adopt(self, task_id: str) -> str:
        """Take a task over, to be cleaned at the end; return its id."""
        self._task_ids.append(task_id)
        return task_id

    def status(self, task_id: str) -> TaskStatus:
        """Return the status now."""
        return self.ce.poll([task_id])[task_id]

    def ended(self, task_id: str) -> TaskStatus:
        """Wait for the end of a task; return its final status."""
        self._subject.until(lambda: self.status(task_id).state.is_final, f"end of task {task_id}")
        return self.status(task_id)

    def ran(self, script: str, **fields: Any) -> tuple[str, TaskStatus]:
        """Run a script to its end; return its id and final status."""
        task_id = self.submit(task(script, **fields))
        return task_id, self.ended(task_id)

    def fetched(self, task_id: str) -> Path:
        """Fetch an ended task; return the folder."""
        into = self._subject.scratch / f"fetched-{task_id[:32]}"
        self.ce.fetch(task_id, into)
        return into

    def forget(self) -> None:
        """Leave the tasks running when this object is given back."""
        self._task_ids.clear()

    def finish(self) -> None:
        """End and forget all tasks, release the object."""
        self.ce.cancel(self._task_ids)
        for task_id in self._task_ids:
            if self.status(task_id).state != "Unknown":
                self.ended(task_id)
        self.ce.clean(self._task_ids)
        self.ce.close()


def offers(ce: ComputingElement, protocol: type) -> bool:
    """Tell whether a CE on trial has what one of the optional protocols of `base` names."""
    return isinstance(ce.unlimited if isinstance(ce, Limited) else ce, protocol)


def task(script: str, **fields: Any) -> TaskSpec:
    """Return a task with a new stamp."""
    return TaskSpec(stamp=uuid.uuid4().hex, script=script, **fields)


def open_to_tasks(folder: Path) -> Path:
    """Let tasks write in a directory also where they are another user's processes; return it."""
    if payload_user():
        folder.chmod(0o777)
    return folder


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines(path: Path) -> Sequence[str]:
    """Return a file's lines, none if it is not there."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
