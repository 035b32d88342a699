"""Bugs of streams and exit codes."""

import os
from dataclasses import replace
from pathlib import Path

from ce_backends import TaskState, TaskStatus
from tests.unit.planted_bugs.marks import Changed, caught_by


@caught_by("output_and_exit_code_come_back")
class ExitCodeForgotten(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=None)


@caught_by("output_and_exit_code_come_back")
class ExitCodeAlwaysZero(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=0) if status.state.is_final else status


@caught_by("output_and_exit_code_come_back")
class FailedForAnExitCode(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.FAILED) if status.exit_code else status


@caught_by("output_and_exit_code_come_back")
class StreamsSwapped(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stdout").rename(folder / "x")
        (folder / "stderr").rename(folder / "stdout")
        (folder / "x").rename(folder / "stderr")


@caught_by("output_and_exit_code_come_back")
class StderrLost(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stderr").write_text("")


@caught_by("missing_command_is_exit_code_127")
class MissingCommandIsAnError(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return TaskStatus(state=TaskState.FAILED, reason="not found") if status.exit_code == 127 else status


@caught_by("exit_codes_from_0_to_255_come_back")
class HighExitCodesAreSignals(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        code = status.exit_code or 0
        return replace(status, exit_code=code - 256) if code > 128 else status


@caught_by("exit_codes_from_0_to_255_come_back")
class Code77IsReserved(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, state=TaskState.FAILED, exit_code=None) if status.exit_code == 77 else status


@caught_by("end_by_a_signal_is_told")
class SignalsAreNegative(Changed):
    def changed_status(self, status: TaskStatus) -> TaskStatus:
        return replace(status, exit_code=-9) if status.exit_code == 137 else status


@caught_by("output_may_hold_any_byte")
class OutputDecoded(Changed):
    def changed_folder(self, folder: Path) -> None:
        text = (folder / "stdout").read_text("utf-8", errors="replace")
        (folder / "stdout").write_text(text, "utf-8")


@caught_by("output_may_hold_any_byte")
class LineEndsMadeUniform(Changed):
    def changed_folder(self, folder: Path) -> None:
        (folder / "stdout").write_bytes((folder / "stdout").read_bytes().replace(b"\r", b"\n"))


@caught_by("files_come_back_whole")
class StdoutCutAtOneMegabyte(Changed):
    def changed_folder(self, folder: Path) -> None:
        os.truncate(folder / "stdout", min(1_000_000, (folder / "stdout").stat().st_size))


@caught_by("files_come_back_whole")
class OutputsCutAtOneMegabyte(Changed):
    def changed_folder(self, folder: Path) -> None:
        for path in (folder / "outputs").rglob("*"):
            os.truncate(path, min(1_000_000, path.stat().st_size))


@caught_by("large_output_comes_back")
class TailOfLargeOutputLost(Changed):
    def changed_folder(self, folder: Path) -> None:
        os.truncate(folder / "stdout", min(50_000_000, (folder / "stdout").stat().st_size))
