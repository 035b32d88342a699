"""Bugs of many tasks and many calls."""

import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ce_backends import Accepted, CEError, Rejected, Submission, TaskSpec, TaskState, TaskStatus
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


@caught_by("several_tasks_keep_apart")
class OneWorkDirectory(TemplateCE):
    def _start(self, task: TaskSpec, directory: Any) -> None:
        shared = self._work_dir.parent / "shared"
        shared.mkdir(exist_ok=True)
        shutil.rmtree(directory.work)
        directory.work.symlink_to(shared)
        super()._start(task, directory)


@caught_by("many_at_once_are_told_apart")
class OneIdForACall(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers = super().submit(tasks)
        return {stamp: Accepted(tasks[0].stamp) for stamp in answers}


@caught_by("many_at_once_are_told_apart")
class LastOfACallLost(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        if len(tasks) > 2:
            return {**super().submit(tasks[:-1]), tasks[-1].stamp: Accepted(tasks[-1].stamp)}
        return super().submit(tasks)


@caught_by("one_bad_task_spares_the_others")
class OneBadTaskRefusesAll(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        bad = [name for task in tasks for name in task.environment if not name.isidentifier()]
        return {task.stamp: Rejected(f"bad name {bad[0]}") for task in tasks} if bad else super().submit(tasks)


@caught_by("one_bad_task_spares_the_others")
class StopsAtTheFirstBadTask(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers: dict[str, Submission] = {}
        for task in tasks:
            answers |= super().submit([task])
            if isinstance(answers[task.stamp], Rejected):
                break
        return answers


@caught_by("poll_answers_exactly_what_was_asked")
class PollLeavesOutStrangers(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return {task_id: said for task_id, said in super().poll(task_ids).items() if said.state != TaskState.UNKNOWN}


@caught_by("poll_answers_exactly_what_was_asked")
class PollAnswersForAll(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        known = [path.name for path in self._work_dir.iterdir()] if self._work_dir.exists() else []
        return super().poll({*task_ids, *known})


@caught_by("poll_answers_exactly_what_was_asked")
class AbsenceIsAnEnd(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.ABORTED) if status.state is TaskState.UNKNOWN else status


@caught_by("unknown_ids_are_no_error_and_no_end")
class PollInSmallTurns(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        return super().poll(list(task_ids)[:500])


@caught_by("unknown_ids_are_no_error_and_no_end")
class StrangerFetched(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        with suppress(CEError):
            super().fetch(task_id, into)


@caught_by("unknown_ids_are_no_error_and_no_end")
class StrangersFound(TemplateCE):
    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: stamp for stamp in stamps}


@caught_by("calls_return_while_a_task_runs")
class PollWaits(TemplateCE):
    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        while any(said.state is TaskState.RUNNING for said in super().poll(task_ids).values()):
            time.sleep(0.02)
        return super().poll(task_ids)


@caught_by("calls_return_while_a_task_runs")
class SubmitWaits(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        answers = super().submit(tasks)
        while any(said.state is TaskState.RUNNING for said in self.poll(list(answers)).values()):
            time.sleep(0.02)
        return answers


@caught_by("calls_from_several_threads_keep_apart")
class OneFetchAtATime(TemplateCE):
    def fetch(self, task_id: str, into: Path) -> None:
        super().fetch(task_id, into)
        shared = self._work_dir.parent / "fetched"
        shared.write_bytes((into / "stdout").read_bytes())
        time.sleep(0.01)
        (into / "stdout").write_bytes(shared.read_bytes())
