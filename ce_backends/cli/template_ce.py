"""A computing element to begin with: no thread, no state but the tasks' directories.

It starts the node script with setsid(1), and finds a task's processes by the cookie in their environment. Put your own
system in the place of `_start`, `_kill` and `_status`.
"""

import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from ce_backends import (
    Accepted,
    CEError,
    CEUnavailable,
    Option,
    OptionValue,
    Rejected,
    SlotCount,
    Submission,
    TaskSpec,
    TaskState,
    TaskStatus,
    setting,
    table_of,
    value_of,
)
from ce_backends.linux.processes import all_stats, variables
from ce_backends.linux.removal import remove_tree
from ce_backends.pool.layout import lay_out
from ce_backends.task.directory import TaskDir
from ce_backends.task.outputs import copy_outputs
from ce_backends.task.record import pattern_problem
from ce_backends.task.script import COOKIE, environment_of, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set: a field for each option."""

    at_a_time: int = setting(Option(name="MaxTotalJobs", kind=int, default=2, doc="Tasks at a time.", minimum=1))


class TemplateCE:
    """Runs each task as soon as it comes, at most MaxTotalJobs at a time."""

    OPTIONS: ClassVar[Sequence[Option]] = table_of(Settings)

    @classmethod
    def from_options(cls, work_dir: Path, options: Mapping[str, OptionValue | None]) -> Self:
        """See registry.Backend."""
        return cls(work_dir, value_of(Settings, options).at_a_time)

    unkept: ClassVar[Mapping[str, str]] = {
        f"{limit}_limit_ends_a_task": "an example keeps no limits" for limit in ("wall", "memory", "cpu", "disk")
    }

    def __init__(self, work_dir: Path, at_a_time: int) -> None:
        self._work_dir = work_dir
        self._at_a_time = at_a_time

    def slots(self) -> SlotCount:
        """See ComputingElement."""
        known = [path.name for path in self._work_dir.iterdir()] if self._work_dir.exists() else []
        running = sum(not status.state.is_final for status in self.poll(known).values())
        return SlotCount(running=running, waiting=0, free_processors=self._at_a_time - running)

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        """See ComputingElement."""
        try:
            self._work_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CEUnavailable(f"work directory {self._work_dir} cannot be made: {error.strerror}") from error
        return {task.stamp: self._submit_one(task) for task in tasks}

    def _submit_one(self, task: TaskSpec) -> Submission:
        directory = self._directory(task.stamp)
        if directory.path.exists():
            return Accepted(task.stamp)
        if problem := next(filter(None, map(pattern_problem, task.outputs)), ""):
            return Rejected(problem)
        try:
            lay_out(task, directory)
            (directory.path / "node_script").write_bytes(render(task, directory.path))
            self._start(task, directory)
        except CEError as error:
            remove_tree(directory.path)
            return Rejected(str(error))
        except OSError as error:
            remove_tree(directory.path)
            return Rejected(f"task {task.stamp} cannot be started: {error.strerror}")
        return Accepted(task.stamp)

    def _start(self, task: TaskSpec, directory: TaskDir) -> None:
        on = ["/usr/bin/taskset", "--cpu-list", ",".join(map(str, task.processor_ids))] if task.processor_ids else []
        subprocess.run(
            ["/usr/bin/setsid", "--fork", *on, "/bin/sh", str(directory.path / "node_script")],
            env={"PATH": "/usr/bin:/bin", **environment_of(task, directory.path)},
            check=True,
        )

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """See ComputingElement."""
        return {task_id: self._status(task_id) for task_id in task_ids}

    def _status(self, task_id: str) -> TaskStatus:
        directory = self._directory(task_id)
        if not directory.path.exists():
            return TaskStatus(state=TaskState.UNKNOWN)
        if (status := directory.end()) is not None:
            return status
        exit_code = directory.exit_code()
        if exit_code is None:
            return TaskStatus(state=TaskState.RUNNING)
        _kill(task_id)
        status = TaskStatus(state=TaskState.DONE, exit_code=exit_code)
        directory.write_end(status)
        return status

    def cancel(self, task_ids: Collection[str]) -> None:
        """See ComputingElement."""
        for task_id, status in self.poll(task_ids).items():
            if status.state is TaskState.RUNNING:
                self._directory(task_id).claim()
                _kill(task_id)
                self._directory(task_id).write_end(TaskStatus(state=TaskState.ABORTED))

    def fetch(self, task_id: str, into: Path) -> None:
        """See ComputingElement."""
        directory, record = self._directory(task_id), self._directory(task_id).record()
        if record is None:
            raise CEError(f"task {task_id} is not known")
        into.mkdir()
        copy_outputs(directory.path, ["stdout", "stderr"], into)
        skipped = copy_outputs(directory.work, record.outputs, into / "outputs")
        with (into / "stderr").open("a") as stderr:
            stderr.writelines(f"my CE: {sentence}\n" for sentence in skipped)
        exit_code = self._status(task_id).exit_code
        if exit_code is not None:
            (into / "exit_code").write_text(f"{exit_code}\n")

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        """See ComputingElement."""
        return {stamp: stamp for stamp in stamps if self._directory(stamp).path.exists()}

    def clean(self, task_ids: Collection[str]) -> None:
        """See ComputingElement."""
        for task_id in task_ids:
            remove_tree(self._directory(task_id).path)

    def close(self) -> None:
        """See ComputingElement."""

    def _directory(self, task_id: str) -> TaskDir:
        return TaskDir(self._work_dir / task_id)


def _kill(stamp: str) -> None:
    """Kill until nobody has the task's cookie any more."""
    while pids := _with_cookie(f"{COOKIE}={stamp}".encode()):
        for pid in pids:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)


def _with_cookie(cookie: bytes) -> list[int]:
    return [stat.process.pid for stat in all_stats() if cookie in variables(stat.process.pid)]
