"""What the contract allows, odd as it is."""

from dataclasses import replace
from pathlib import Path

from ce_backends import TaskState, TaskStatus, Usage
from tests.unit.planted_bugs.marks import Changed, allowed


@allowed("calls_return_while_a_task_runs", "new_object_finds_a_running_task")
class WaitsFirst(Changed):
    """Tells Waiting, then Running."""

    asked = 0

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        self.asked += 1
        is_early = status.state is TaskState.RUNNING and self.asked < 4
        return replace(status, state=TaskState.WAITING) if is_early else status


@allowed("output_and_exit_code_come_back", "wall_limit_ends_a_task")
class TellsMore(Changed):
    """Has a word and a sentence for everything."""

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, native="XYZ", reason="as it should be")


@allowed("usage_is_true")
class TellsNoUsage(Changed):
    """Knows nothing of what tasks use."""

    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, usage=Usage())


@allowed("large_output_comes_back")
class MiddleOfLargeOutputLeftOut(Changed):
    """Keeps head and tail of very large output."""

    def changed_folder(self, folder: Path) -> None:
        content = (folder / "stdout").read_bytes()
        (folder / "stdout").write_bytes(content[:32_000_000] + content[-32_000_000:])
