"""Bringing back what an ended task has left in its directory."""

from pathlib import Path

from ce_backends.task.directory import TaskDir
from ce_backends.task.log_limit import Cap
from ce_backends.task.outputs import OF_THE_TASK, copy_outputs, tell_end
from ce_backends.task.record import TaskRecord


def fetch(directory: TaskDir, record: TaskRecord, exit_code: int | None, into: Path, cap: Cap) -> None:
    """Copy a task's streams, exit code and outputs; what could not be brought is named at the end of `stderr`.

    Raises:
        OSError: the copy cannot be written.
    """
    into.mkdir(parents=True, exist_ok=True)
    skipped = copy_outputs(directory.path, OF_THE_TASK, into, cap=cap, capped=OF_THE_TASK)
    skipped += copy_outputs(directory.work, record.outputs, into / "outputs", cap=cap, capped=record.capped)
    tell_end(into, exit_code, skipped)
