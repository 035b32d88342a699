"""How tasks of a pool end: killed, cancelled, harmed by themselves; what is left of them, and whom it leaves alone."""

import os
import subprocess
from pathlib import Path

import pytest

from ce_backends.base import TaskState
from ce_backends.conformance.subject import task
from ce_backends.linux.processes import children, stat_of
from ce_backends.pool.ce import Pool
from tests.unit.pool_scene import MakePool, begin, ended, make_pool
from tests.waiting import until

__all__ = ["make_pool"]


def test_killed_wrapper_is_a_failure_without_exit_code(make_pool: MakePool) -> None:
    pool = make_pool()

    status = ended(pool, begin(pool, task("kill -9 $PPID; sleep 100\n")))

    assert (status.state, status.exit_code) == (TaskState.FAILED, None)
    assert status.reason == "the payload's process vanished without an exit code"


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf ../*",
        "chmod 0 ..",
        "echo junk | tee ../task ../started ../times ../exit_code",
        "rm ../task; mkfifo ../task ../reason",
        "rm ../task; mkdir ../task ../exit_code",
        "mv .. ../../gone-$$; ln -s / ../../$GRIDPILOT_TASK",
    ],
)
def test_payload_that_harms_its_own_files_harms_no_other_task(make_pool: MakePool, tmp_path: Path, harm: str) -> None:
    pool = make_pool()
    harmed = begin(pool, task(f"{harm}\n"))

    status = ended(pool, harmed)
    pool.fetch(harmed, tmp_path / "into")
    pool.clean([harmed])
    again = make_pool()

    assert status.state.is_final
    assert ended(again, begin(again, task("exit 3\n"))).exit_code == 3


def test_stopped_wrapper_does_not_hold_up_a_cancel(make_pool: MakePool) -> None:
    pool = make_pool()
    task_id = begin(pool, task(": > ready; kill -STOP $PPID; sleep 100\n"))
    until(lambda: pool.peek(task_id, "ready", 1) == b"" and stopped(pool, task_id))

    pool.cancel([task_id])

    assert ended(pool, task_id).state is TaskState.ABORTED


def stopped(pool: Pool, task_id: str) -> bool:
    stats = [stat_of(pid) for pid in children() or []]
    return any(stat is not None and stat.state == "T" for stat in stats)


def test_kill_gives_a_task_that_is_being_cancelled_no_more_grace(make_pool: MakePool) -> None:
    pool = make_pool(grace_s=1000)
    task_id = begin(pool, task("trap '' TERM; echo ready; while :; do sleep 1; done\n"))
    until(lambda: pool.peek(task_id, "stdout", 100) == b"ready\n")
    pool.cancel([task_id])

    pool.kill([task_id])

    assert ended(pool, task_id).state is TaskState.ABORTED


def test_processes_started_while_being_cancelled_are_ended_too(make_pool: MakePool) -> None:
    pool = make_pool()
    forker = "trap '' TERM; : > ready; while :; do setsid sleep 1006 & sleep 0.01; done\n"
    task_id = begin(pool, task(forker))
    until(lambda: len(commands("sleep 1006")) > 3)

    pool.cancel([task_id])
    ended(pool, task_id)

    assert commands("sleep 1006") == []


def commands(wanted: str) -> list[int]:
    argv = b"\0".join(word.encode() for word in wanted.split()) + b"\0"
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == argv:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_cancel_right_after_submit_leaves_nothing(make_pool: MakePool) -> None:
    pool = make_pool()
    specs = [task("sleep 1001\n") for _ in range(4)]

    pool.submit(specs)
    pool.cancel([spec.stamp for spec in specs])
    states = [ended(pool, spec.stamp).state for spec in specs]

    assert states == [TaskState.ABORTED] * 4
    assert commands("sleep 1001") == []


def test_cleaning_leaves_no_file_no_process_and_no_control_group(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    task_id = begin(pool, task("(setsid sleep 1002 &); mkdir -p a/b; exit 0\n"))
    ended(pool, task_id)

    pool.clean([task_id])

    left = [
        path
        for path in (tmp_path / "pool").rglob("*")
        if path.name == task_id or (path.stat().st_size and path.is_file())
    ]
    assert [path.name for path in left] == ["boot"]  # the pool's own, until it is closed
    assert commands("sleep 1002") == []
    groups = (name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names)  # others' come and go
    assert not [name for name in groups if task_id in name]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def zombies() -> set[int]:
    return {pid for pid in children() or [] if (stat := stat_of(pid)) is not None and stat.is_zombie}


def test_ended_tasks_leave_no_zombie_and_no_descriptor(make_pool: MakePool) -> None:
    pool = make_pool()
    ended(pool, begin(pool, task(":\n", owner="me")))  # its wrapper waits for the next task
    before, zombies_before = open_descriptors(), zombies()

    for _ in range(4):
        ended(pool, begin(pool, task(":\n", owner="me")))

    assert open_descriptors() == before
    assert zombies() == zombies_before


def test_tasks_end_also_where_the_kernel_has_no_pidfd(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown_call(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", unknown_call)
    pool = make_pool()

    status = ended(pool, begin(pool, task("(setsid sleep 1003 &); exit 4\n")))

    assert status.exit_code == 4
    assert commands("sleep 1003") == []


def test_stranger_survives_what_it_looks_like(make_pool: MakePool) -> None:
    with subprocess.Popen(["sleep", "1004"], start_new_session=True) as canary:
        pool = make_pool()
        ended(pool, begin(pool, task("(setsid sleep 1004 &)\n")))
        left = commands("sleep 1004")
        canary.kill()

    assert left == [canary.pid]
