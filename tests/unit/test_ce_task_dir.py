"""What is read back from a task's directory."""

import os
from pathlib import Path

import pytest

from ce_backends.base import TaskState, TaskStatus, Usage
from ce_backends.linux.processes import Process
from ce_backends.task.directory import TaskDir
from ce_backends.task.record import pattern_problem, stamp_problem

STAT = "77 (a (strange) name) S 1 77 77 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"


@pytest.fixture
def directory(tmp_path: Path) -> TaskDir:
    return TaskDir(tmp_path)


@pytest.mark.parametrize(
    ("text", "known"), [("0\n", 0), ("255\n", 255), ("256\n", None), ("25", None), ("", None), ("junk\n", None)]
)
def test_exit_code_counts_only_when_its_line_is_complete(directory: TaskDir, text: str, known: int | None) -> None:
    (directory.path / "exit_code").write_text(text)

    assert directory.exit_code() == known


@pytest.mark.parametrize(("text", "known"), [("0\n", 0), ("7\n{}\n", 7), ("25", None), ("", None), ("{}\n", None)])
def test_exit_code_may_stand_behind_the_record(directory: TaskDir, text: str, known: int | None) -> None:
    (directory.path / "task").write_text("{}\n" + text)

    assert directory.exit_code() == known


def test_pid_of_another_boot_is_nobodys(directory: TaskDir) -> None:
    (directory.path / "started").write_text(f"77 boot-1 {STAT}\n")

    assert directory.wrapper("boot-1") == Process(77, 4711)
    assert directory.wrapper("boot-2") is None


def test_pipe_in_place_of_the_reason_does_not_block(directory: TaskDir) -> None:
    os.mkfifo(directory.path / "reason")

    assert directory.reason() == ""


def test_link_in_place_of_the_reason_is_not_followed(directory: TaskDir, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (directory.path / "reason").symlink_to(tmp_path / "secret")

    assert directory.reason() == ""


def test_reason_is_the_first_line_without_its_length_running_away(directory: TaskDir) -> None:
    (directory.path / "reason").write_text("x" * 5000 + "\nsecond\n")

    assert directory.reason() == "x" * 1000


def test_final_status_is_read_back_as_it_was_written(directory: TaskDir) -> None:
    status = TaskStatus(state=TaskState.FAILED, reason="why", exit_code=3, usage=Usage(wall_s=1.5, cpu_s=0.25))

    directory.write_end(status)

    assert directory.end() == status


def test_cpu_time_is_that_of_the_payload_not_of_the_script(directory: TaskDir) -> None:
    (directory.path / "times").write_text("0m7.00s 0m7.00s\n1m2.50s 0m0.25s\n")

    assert directory.cpu_s() == 62.75


def test_only_one_run_can_claim_a_task(directory: TaskDir) -> None:
    assert directory.claim()
    assert not directory.claim()


@pytest.mark.parametrize("stamp", ["", "x" * 32, "A" * 32, "0" * 31, "0" * 33, "../" + "0" * 29, "0" * 32 + "\n"])
def test_stamp_is_32_hexadecimal_digits(stamp: str) -> None:
    assert repr(stamp) in stamp_problem(stamp)


@pytest.mark.parametrize("pattern", ["", "/etc/passwd", "../x", "a/../../x"])
def test_output_pattern_stays_in_the_work_directory(pattern: str) -> None:
    assert repr(pattern) in pattern_problem(pattern)
