"""Bugs of what is to happen once, also after a restart."""

import os
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ce_backends import Accepted, Rejected, Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.cli import template_ce
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


class Unclaimed(TemplateCE):
    """Starts a stamp again."""

    def _start_again(self, task: TaskSpec) -> None:
        directory = self._directory(task.stamp)
        again = Path(f"{directory.path}-again")
        shutil.copytree(directory.path, again)
        for name in ("started", "exit_code"):
            (again / name).unlink(missing_ok=True)
        script = (again / "node_script").read_text().replace(str(directory.path), str(again))
        (again / "node_script").write_text(script)
        self._start(task, template_ce.TaskDir(again))


@caught_by("same_stamp_runs_once")
class SubmittedTwiceRunsTwice(Unclaimed):
    def _submit_one(self, task: TaskSpec) -> Submission:
        was_there = self._directory(task.stamp).path.exists()
        answer = super()._submit_one(task)
        if was_there:
            self._start_again(task)
        return answer


@caught_by("same_stamp_runs_once")
class SecondSubmissionRefused(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        if self._directory(task.stamp).path.exists():
            return Rejected("there already")
        return super()._submit_one(task)


@caught_by("same_stamp_runs_once")
class AnotherIdEachTime(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        return {stamp: replace_id(answer) for stamp, answer in super().submit(tasks).items()}

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: self._status(task_id[:32]) for task_id in task_ids}


def replace_id(answer: Submission) -> Submission:
    return Accepted(f"{answer.task_id}.{time.monotonic_ns()}") if isinstance(answer, Accepted) else answer


class InMemory(TemplateCE):
    """Knows what it was given itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own: set[str] = set()

    def _submit_one(self, task: TaskSpec) -> Submission:
        self._own.add(task.stamp)
        return super()._submit_one(task)


@caught_by("new_object_finds_a_running_task")
class FindsItsOwnOnly(InMemory):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return super().find([stamp for stamp in stamps if stamp in self._own])


@caught_by("new_object_tells_an_ended_task")
class TellsItsOwnOnly(InMemory):
    def _status(self, task_id: str) -> TaskStatus:
        return super()._status(task_id) if task_id in self._own else TaskStatus(state=TaskState.UNKNOWN)


@caught_by("new_object_finds_a_running_task")
class CloseEndsTasks(InMemory):
    def close(self) -> None:
        self.cancel(self._own)


@caught_by("lost_answer_is_found_by_stamp")
class FindForgetsAfterRestart(InMemory):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return super().find(stamps) if self._own else {}


@caught_by("ended_tasks_are_found_until_cleaned")
class EndedTasksNotFound(TemplateCE):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        states = self.poll(stamps)
        return {stamp: task_id for stamp, task_id in super().find(stamps).items() if not states[stamp].state.is_final}


@caught_by("ended_tasks_are_found_until_cleaned")
class FetchedOnceOnly(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        os.truncate(self._directory(task_id).path / "stdout", 0)


@caught_by("fetch_gives_the_same_again")
class OutputsAreMoved(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        for path in (into / "outputs").rglob("*"):
            (self._directory(task_id).work / path.relative_to(into / "outputs")).unlink(missing_ok=True)


@caught_by("fetch_gives_the_same_again")
class TellsOfEachFetch(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shutil.copy(into / "stderr", self._directory(task_id).path / "stderr")


@caught_by("fetch_gives_the_same_again")
class ExecutableOnce(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in folder.rglob("b") if folder.name != "first" else ():
            path.chmod(0o600)


@caught_by("fetch_gives_the_same_again")
class NewObjectFetchesStreamsOnly(InMemory):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        if task_id not in self._own:
            shutil.rmtree(into / "outputs")


@caught_by("stamp_submitted_again_at_its_end_loses_nothing")
class EndedStampIsANewTask(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        if self._status(task.stamp).state.is_final:
            self.clean([task.stamp])
        return super()._submit_one(task)
