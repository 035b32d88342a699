"""Bugs of the CE itself: its work directory, its neighbours, its errors."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil

from ce_backends import Rejected, Submission, TaskSpec, TaskStatus
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import caught_by


@caught_by("work_directory_that_cannot_be_made_is_told")
class NoDirectoryNoSentence(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        return super().submit(tasks)


@caught_by("full_work_directory_harms_no_other_task")
class NoRoomNoSentence(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        for path in task.inputs:
            (self._work_dir / "queue").write_bytes(path.read_bytes())
        return super()._submit_one(task)


@caught_by("full_work_directory_harms_no_other_task")
class NoRoomNoMatter(TemplateCE):
    def _submit_one(self, task: TaskSpec) -> Submission:
        answer = super()._submit_one(task)
        return super()._submit_one(replace(task, inputs=())) if isinstance(answer, Rejected) else answer


@caught_by("two_objects_keep_apart")
class NewObjectEndsAll(TemplateCE):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                place = process.environ().get("GRIDPILOT_REASON_FILE", "")
                if place.startswith(f"{self._work_dir.parents[1]}/") and not place.startswith(f"{self._work_dir}/"):
                    process.kill()


@caught_by("output_and_exit_code_come_back")
class RaisesWhatItLikes(TemplateCE):
    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        raise KeyError("x")


@caught_by("output_and_exit_code_come_back")
class EndsTheProgram(TemplateCE):
    def slots(self) -> Any:
        raise SystemExit(3)

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        raise SystemExit(3)


@caught_by("output_and_exit_code_come_back")
class CannotBeMade(TemplateCE):
    def __init__(self, *arguments: Any) -> None:
        raise ZeroDivisionError


@caught_by("output_and_exit_code_come_back")
class CannotBeClosed(TemplateCE):
    def close(self) -> None:
        raise RuntimeError("no")


@caught_by("output_and_exit_code_come_back")
class RecursesForEver(TemplateCE):
    def _status(self, task_id: str) -> TaskStatus:
        return self._status(task_id)
