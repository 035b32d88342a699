"""Durations, limits and ends of a pool over restarts: by nobody's wall clock, and nothing outlives its boot."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ce_backends.base import TaskSpec, TaskState, TaskStatus
from ce_backends.containment.cell import Level
from ce_backends.linux.processes import boot_s
from ce_backends.pool.ce import Pool
from ce_backends.task.directory import NOTES, TaskDir
from ce_backends.task.record import TaskRecord
from tests.unit.test_pool_restart import STAMP, ended, killed_owner, next_pool

__all__ = ["next_pool"]

NextPool = Callable[[Level], Pool]


def left_over(work_dir: Path, *, started: str = "", written: str = "") -> TaskDir:
    """Write what is left of a task, after a power failure perhaps: files that are there and empty."""
    directory = TaskDir.in_pool(work_dir, STAMP)
    directory.work.mkdir(parents=True)
    directory.write_record(replace(TaskRecord(processors=1), begun_s=100.0))
    Path(directory.note("started")).write_text(started)
    with Path(directory.note("task")).open("a") as task:
        task.write(written)
    return directory


def mark(work_dir: Path, boot: str) -> None:
    (work_dir / NOTES / "boot").write_text(boot)


def test_a_task_of_another_boot_is_over_at_once_and_can_be_cleaned(tmp_path: Path, next_pool: NextPool) -> None:
    left_over(tmp_path / "pool")
    mark(tmp_path / "pool", "another-boot\n")
    pool = next_pool(Level.SESSION)

    status = pool.poll([STAMP])[STAMP]
    pool.clean([STAMP])

    assert (status.state, status.exit_code, status.usage.wall_s) == (TaskState.FAILED, None, None)
    assert pool.slots().free_processors == 2
    assert not (tmp_path / "pool" / STAMP).exists()


def test_how_a_task_of_another_boot_ended_and_how_long_it_ran_is_told(tmp_path: Path, next_pool: NextPool) -> None:
    left_over(tmp_path / "pool", written="3 101.50\n")
    mark(tmp_path / "pool", "another-boot\n")

    status = next_pool(Level.SESSION).poll([STAMP])[STAMP]

    assert (status.state, status.exit_code, status.usage.wall_s) == (TaskState.DONE, 3, 1.5)


@pytest.mark.parametrize("boot", ["", "another-boot", None])
def test_a_mark_that_is_not_whole_says_nothing(tmp_path: Path, next_pool: NextPool, boot: str | None) -> None:
    left_over(tmp_path / "pool")
    if boot is not None:
        mark(tmp_path / "pool", boot)

    assert next_pool(Level.SESSION).poll([STAMP])[STAMP].state is TaskState.RUNNING


def test_a_task_that_runs_is_followed_whatever_the_mark_says(tmp_path: Path, ledger: Path, next_pool: NextPool) -> None:
    work_dir = tmp_path / "pool"
    killed_owner(work_dir, f"echo x > {ledger}; sleep 0.5; exit 3\n", Level.SESSION, ready=ledger.exists)
    mark(work_dir, "another-boot\n")

    assert ended(next_pool(Level.SESSION)).exit_code == 3


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def test_a_file_server_whose_clock_is_late_ends_no_task(tmp_path: Path, ledger: Path, next_pool: NextPool) -> None:
    script = f"echo x > {ledger}; sleep 0.5; exit 3\n"
    killed_owner(tmp_path / "pool", script, Level.SESSION, ready=ledger.exists)
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    record = directory.record()
    assert record is not None
    directory.write_record(replace(record, wall_s=1000))
    for path in (tmp_path / "pool").rglob("*"):
        os.utime(path, (0, 0))

    status = ended(next_pool(Level.SESSION))

    assert (status.exit_code, status.limit) == (3, None)


def test_a_wall_limit_goes_on_where_the_former_pool_left_it(tmp_path: Path, ledger: Path, next_pool: NextPool) -> None:
    script = f"echo x > {ledger}; exec sleep 1009\n"
    killed_owner(tmp_path / "pool", script, Level.SESSION, ready=ledger.exists)
    directory = TaskDir.in_pool(tmp_path / "pool", STAMP)
    record = directory.record()
    assert record is not None
    directory.write_record(replace(record, wall_s=1000, begun_s=boot_s() - 1001))

    status = ended(next_pool(Level.SESSION))

    assert status.reason == "wall limit of 1000 s exceeded"
    assert 1001 <= (status.usage.wall_s or 0) < 1021


def test_how_long_a_task_ran_does_not_count_the_time_in_which_nobody_was_there(
    tmp_path: Path, ledger: Path, next_pool: NextPool
) -> None:
    killed_owner(tmp_path / "pool", f"echo x > {ledger}; exit 0\n", Level.SESSION, ready=ledger.exists)
    time.sleep(3)

    wall_s = ended(next_pool(Level.SESSION)).usage.wall_s

    assert wall_s is not None
    assert wall_s < 2.9


@pytest.mark.parametrize(("known", "stays"), [([], False), ([STAMP], True)])
def test_what_a_power_cut_brings_back_of_a_task_that_nobody_knows_is_removed(
    tmp_path: Path, next_pool: NextPool, known: list[str], stays: bool
) -> None:
    left_over(tmp_path / "pool", written="0 101.50\n")
    mark(tmp_path / "pool", "another-boot\n")
    pool = next_pool(Level.SESSION)

    pool.forget_others(known)

    assert (tmp_path / "pool" / STAMP).exists() is stays
    assert bool(pool.find([STAMP])) is stays


# ---- a payload that somebody has killed ----


def payload_of(ledger: Path) -> int:
    return int(ledger.read_text())


def killed_by_somebody(work_dir: Path, ledger: Path, pool: Callable[[], Pool]) -> TaskStatus:
    script = f"echo $$ > {ledger}.new; mv {ledger}.new {ledger}; exec sleep 1010\n"
    killed_owner(work_dir, script, Level.SESSION, ready=ledger.exists)
    made = pool()
    made.poll([STAMP])
    os.kill(payload_of(ledger), signal.SIGKILL)
    return ended(made)


def test_a_kill_that_nobody_here_asked_for_after_a_restart_is_not_the_owners_fault(
    tmp_path: Path, ledger: Path, next_pool: NextPool
) -> None:
    status = killed_by_somebody(tmp_path / "pool", ledger, lambda: next_pool(Level.SESSION))

    assert (status.state, status.exit_code, status.limit) == (TaskState.FAILED, 137, None)
    assert "SIGKILL" in status.reason


def test_a_payload_that_is_killed_while_its_pool_watches_has_its_exit_code(
    tmp_path: Path, ledger: Path, next_pool: NextPool
) -> None:
    pool = next_pool(Level.SESSION)
    began_s = time.monotonic()  # on a busy machine the task may have ended before `submit` returns

    pool.submit([TaskSpec(stamp=STAMP, script="kill -9 $$\n")])
    status = ended(pool)

    assert (status.state, status.exit_code) == (TaskState.DONE, 137)
    # who kills everything kills the pool too: it is waited for, and does not count
    assert (status.usage.wall_s or 9) <= time.monotonic() - began_s - 0.9


def test_a_payload_that_is_killed_together_with_its_pool_is_not_its_owners_fault(
    tmp_path: Path, ledger: Path, next_pool: NextPool
) -> None:
    script = f"echo x > {ledger}; kill -9 $$\n"
    killed_owner(tmp_path / "pool", script, Level.SESSION, ready=ledger.exists)

    status = ended(next_pool(Level.SESSION))

    assert (status.state, status.exit_code) == (TaskState.FAILED, 137)
