"""Bugs of ends: cancelled tasks, daemons, what is cleaned."""

import os
import shutil
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from ce_backends import CEError, TaskSpec, TaskState, TaskStatus
from ce_backends.cli import template_ce
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


@caught_by("cancel_ends_the_whole_tree")
class CancelEndsTheShellOnly(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                _kill_first(task_id, signal.SIGKILL)
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_ends_what_ignores_sigterm")
class CancelIsPolite(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                _kill_first(task_id, signal.SIGTERM, every=True)
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_ends_the_whole_tree")
class CancelSaysSoOnly(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if self._status(task_id).state is TaskState.RUNNING:
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


def _kill_first(stamp: str, number: int, *, every: bool = False) -> None:
    cookie = f"{template_ce.COOKIE}={stamp}".encode()
    pids = sorted(template_ce._with_cookie(cookie))
    for pid in pids if every else pids[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@caught_by("cancel_of_an_ended_or_unknown_task_is_no_error")
class CancelRewritesTheEnd(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        super().cancel(task_ids)
        for task_id in task_ids:
            if self._directory(task_id).path.exists():
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))


@caught_by("cancel_of_an_ended_or_unknown_task_is_no_error")
class CancelOfAStrangerFails(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        if strangers := [task_id for task_id in task_ids if not self._directory(task_id).path.exists()]:
            raise CEError(f"no such task {strangers[0]}")
        super().cancel(task_ids)


@caught_by("end_of_a_task_ends_its_daemons")
class DaemonsSurvive(TemplateCE):
    def _status(self, task_id: str) -> TaskStatus:
        exit_code = self._directory(task_id).exit_code()
        return super()._status(task_id) if exit_code is None else TaskStatus(state=TaskState.DONE, exit_code=exit_code)

    def _start(self, task: TaskSpec, directory: Any) -> None:
        script = (directory.path / "node_script").read_text()
        (directory.path / "node_script").write_text(script.replace("/proc/[0-9]*", "/proc/no[0-9]*"))
        super()._start(task, directory)


@caught_by("others_processes_are_never_touched")
class KillsByName(TemplateCE):
    def cancel(self, task_ids: Collection[str]) -> None:
        for child in psutil.Process().children():  # those of the suite: nobody else's are in danger
            if child.name() == "sleep":
                child.kill()
        super().cancel(task_ids)


@caught_by("clean_forgets_the_task")
class CleanDoesNothing(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        pass


@caught_by("clean_forgets_the_task")
class CleanTwiceFails(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            if not self._directory(task_id).path.exists():
                raise CEError(f"no such task {task_id}")
        super().clean(task_ids)


@caught_by("clean_leaves_no_files")
class CleanPutsAside(TemplateCE):
    def clean(self, task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            with suppress(FileNotFoundError):
                self._directory(task_id).path.rename(self._work_dir / f"old-{task_id}")


@caught_by("clean_leaves_no_files")
class OutputsKeptAfterClean(Changed):
    def changed_folder(self, folder: Path) -> None:
        shutil.copytree(folder, self._work_dir / f"copy-{folder.name}")
