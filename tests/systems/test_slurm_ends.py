"""Ends that Slurm decides: limits, administrators, preemption, lost nodes; and a controller that goes away."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import Limit, TaskState
from ce_backends.errors import CEUnavailable
from tests.systems.conftest import Have
from tests.systems.real_system import RealSystem
from tests.systems.slurm_scene import Scene, scene, third_node

TIME_LIMIT_S = 120  # Slurm looks at limits every 30 s
NO_CONTROLLER_S = 30.0  # sbatch needs 9 s to say that there is none
# Slurm says PartitionConfig until its scheduler has looked at the job for the first time
NEVER = {
    "will never run here: more wall time than the partition allows (PartitionTimeLimit)",
    "will never run here: more time, nodes or processors than the partition has (PartitionConfig)",
}


@pytest.fixture
def system(have: Have) -> RealSystem:
    return have("slurm")


@pytest.fixture
def slurm(system: RealSystem, tmp_path: Path) -> Iterator[Scene]:
    with scene(system, tmp_path) as made:
        yield made


def _running(slurm: Scene) -> str:
    (task_id,) = slurm.submit(slurm.task("sleep 1000"))
    slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)
    return task_id


def test_cancelled_by_the_administrator_is_failed_and_says_by_whom(slurm: Scene) -> None:
    task_id = _running(slurm)

    slurm.admin("scancel", task_id)
    end = slurm.ended(task_id)

    assert (end.state, end.reason, end.exit_code) == (TaskState.FAILED, "CANCELLED by uid 0", None)


def test_cancelled_by_us_is_aborted(slurm: Scene) -> None:
    task_id = _running(slurm)

    slurm.ce.cancel([task_id])

    assert slurm.ended(task_id).state is TaskState.ABORTED


def test_preempted_is_failed_and_not_started_again(system: RealSystem, tmp_path: Path) -> None:
    with scene(system, tmp_path, queue="preempt", nodes="3", whole_node=True) as slurm:
        task = slurm.task("sleep 1000")
        (task_id,) = slurm.submit(task)
        slurm.until(task_id, lambda _: slurm.starts(task.stamp) == 1)

        slurm.admin("sbatch", "--partition=grid", "--nodes=3", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
        end = slurm.ended(task_id)

        assert (end.state, end.native, slurm.starts(task.stamp)) == (TaskState.FAILED, "PREEMPTED", 1)


def test_suspended_goes_on_running(slurm: Scene) -> None:
    task = slurm.waiting_task(5)
    (task_id,) = slurm.submit(task)
    slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)

    slurm.admin("scontrol", "suspend", task_id)
    suspended = slurm.until(task_id, lambda status: status.native == "SUSPENDED")
    slurm.admin("scontrol", "resume", task_id)
    slurm.go_on()

    assert suspended.state is TaskState.RUNNING
    assert slurm.ended(task_id).exit_code == 5


def test_what_can_never_start_is_failed_with_slurms_reason(system: RealSystem, tmp_path: Path) -> None:
    with scene(system, tmp_path, queue="short") as slurm:  # of a minute
        task = slurm.task(wall_s=1800)
        (task_id,) = slurm.submit(task)
        end = slurm.ended(task_id)

        assert end.state is TaskState.FAILED
        assert end.reason in NEVER
        assert slurm.starts(task.stamp) == 0


def test_held_waits_and_says_so(system: RealSystem, tmp_path: Path) -> None:
    with scene(system, tmp_path, submit_options=["--hold"]) as slurm:
        (task_id,) = slurm.submit(slurm.task("exit 6"))
        held = slurm.until(task_id, lambda status: status.reason == "JobHeldUser")
        slurm.admin("scontrol", "release", task_id)

        assert held.state is TaskState.WAITING
        assert slurm.ended(task_id).exit_code == 6


def test_more_memory_than_slurm_was_told_is_a_memory_limit(slurm: Scene) -> None:
    if not Path("/sys/fs/cgroup/memory/cgroup.procs").exists():
        pytest.skip("without control groups of version 1 this Slurm does not tell memory kills apart")
    (task_id,) = slurm.submit(slurm.task("tail /dev/zero; exit 1", memory_mb=50))

    end = slurm.ended(task_id)

    assert (end.state, end.limit) == (TaskState.FAILED, Limit.MEMORY)


def test_slurms_own_time_limit_is_a_wall_limit(slurm: Scene) -> None:
    task_id = _running(slurm)

    slurm.admin("scontrol", "update", f"JobId={task_id}", "EndTime=now")
    end = slurm.ended(task_id, seconds=TIME_LIMIT_S)

    assert (end.state, end.native, end.limit) == (TaskState.FAILED, "TIMEOUT", Limit.WALL)


def test_controller_away_and_back_changes_nothing(system: RealSystem, tmp_path: Path) -> None:
    with scene(system, tmp_path, timeout_s=NO_CONTROLLER_S) as slurm:
        task = slurm.waiting_task(3)
        (task_id,) = slurm.submit(task)
        slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)

        os.kill(system.pid_of("slurmctld"), signal.SIGTERM)  # killed, it may forget what began a moment ago
        try:
            away = slurm.until(task_id, lambda status: "no answer" in status.reason)
            with pytest.raises(CEUnavailable):
                slurm.ce.submit([slurm.task()])
        finally:
            system.script("up")
        slurm.go_on()
        end = slurm.ended(task_id)

        assert away.state is TaskState.RUNNING
        assert (end.state, end.exit_code, slurm.starts(task.stamp)) == (TaskState.DONE, 3, 1)


def test_lost_node_is_failed_and_its_task_not_started_again(system: RealSystem, tmp_path: Path) -> None:
    with scene(system, tmp_path, submit_options=["--nodelist", third_node(system)]) as slurm:
        task = slurm.task("sleep 1000")
        (task_id,) = slurm.submit(task)
        slurm.until(task_id, lambda _: slurm.starts(task.stamp) == 1)

        system.script("lose_node")
        try:
            end = slurm.ended(task_id, seconds=90)
        finally:
            system.script("up")

        assert (end.state, end.native, slurm.starts(task.stamp)) == (TaskState.FAILED, "NODE_FAIL", 1)
