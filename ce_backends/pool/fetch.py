"""Bringing back what an ended task has left in its directory."""

from pathlib import Path

from ce_backends.task.directory import TaskDir
from ce_backends.task.log_limit import Cap
from ce_backends.task.outputs import copy_outputs
from ce_backends.task.record import TaskRecord

OF_THE_TASK = ("stdout", "stderr")  # lie beside the work directory: the payload's own files cannot be in the way


def fetch(directory: TaskDir, record: TaskRecord, exit_code: int | None, into: Path, cap: Cap) -> None:
    """Copy a task's streams, exit code and outputs; what could not be brought is named at the end of `stderr`.

    Raises:
        OSError: the copy cannot be written.
    """
    into.mkdir(parents=True, exist_ok=True)
    skipped = copy_outputs(directory.path, OF_THE_TASK, into, cap=cap, capped=OF_THE_TASK)
    skipped += copy_outputs(directory.work, record.outputs, into / "outputs", cap=cap, capped=record.capped)
    if exit_code is not None:
        (into / "exit_code").write_text(f"{exit_code}\n", encoding="ascii")
    if skipped:
        with (into / "stderr").open("a", encoding="utf-8", errors="backslashreplace") as stderr:
            stderr.writelines(f"gridpilot: {sentence}\n" for sentence in skipped)
