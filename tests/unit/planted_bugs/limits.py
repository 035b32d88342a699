"""Bugs of limits, and of what a task is said to have used."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from ce_backends import Limit, Submission, TaskSpec, TaskState, TaskStatus, Usage
from ce_backends.cli.template_ce import TemplateCE
from tests.unit.planted_bugs.marks import Changed, caught_by


class KeepsLimits(TemplateCE):
    """Says that it keeps all limits."""

    unkept: ClassVar[Mapping[str, str]] = {}
    told: Limit | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._since: dict[str, float] = {}

    def _submit_one(self, task: TaskSpec) -> Submission:
        self._since[task.stamp] = time.monotonic()
        return super()._submit_one(task)

    def _status(self, task_id: str) -> TaskStatus:
        status = super()._status(task_id)
        if status.state is TaskState.RUNNING and time.monotonic() - self._since.get(task_id, 1e9) > 1.0:
            return TaskStatus(state=TaskState.FAILED, limit=self.told, reason="over its limit")
        return status


@caught_by("wall_limit_ends_a_task")
class WallLimitToldOnly(KeepsLimits):
    told = Limit.WALL


@caught_by("memory_limit_ends_a_task")
class MemoryLimitWithoutItsName(KeepsLimits):
    pass


@caught_by("cpu_limit_ends_a_task")
class CpuLimitCalledWall(KeepsLimits):
    told = Limit.WALL


@caught_by("disk_limit_ends_a_task")
class DiskLimitCalledMemory(KeepsLimits):
    told = Limit.MEMORY


@caught_by("usage_is_true")
class UsageInMilliseconds(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage(wall_s=1500.0, cpu_s=1400.0)) if status.state.is_final else status


@caught_by("usage_is_true")
class MemoryInBytes(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage(memory_peak_mb=3e6)) if status.state.is_final else status
