"""Slurm's commands fail in every way that was seen in the field: no task's state changes wrongly, none runs twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ce_backends.base import TaskState, Uncertain
from ce_backends.errors import CEUnavailable
from tests.systems.conftest import Have
from tests.systems.slurm_scene import Scene, scene

# of squeue: what it does, in sh, and whether the answer was worth nothing (else the task may be Unknown for a while)
SQUEUE = {
    "never answers": "sleep 100",
    "prints garbage": "head -c 3000 /dev/urandom; exit 0",
    "prints an error page": "echo '<html>Service unavailable</html>'; exit 0",
    "returns 1": 'echo "slurm_load_jobs error: Unexpected message received" >&2; exit 1',
    "cannot reach the controller": (
        'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
    ),
    "is cut in the middle of a line": '"$real" "$@" | head -c 3; exit 0',
    "is killed": "kill -9 $$",
    "is not there": 'echo "squeue: not found" >&2; exit 127',
    "greets first": 'echo "Welcome to the cluster"; exec "$real" "$@"',
}
ABSENCES = {
    "says nothing": "exit 0",
    "knows none of them": 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1',
    "tells of others only": "echo '999999|RUNNING|None'; exit 0",
    "tells of 100000 others": "seq 1000000 1100000 | sed 's/$/|COMPLETED|None/'; exit 0",
}
NO_ACCOUNTING = 'echo "Slurm accounting storage is disabled" >&2; exit 1'
OFTEN = 3


@pytest.fixture
def slurm(have: Have, tmp_path: Path) -> Iterator[Scene]:
    with scene(have("slurm"), tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", SQUEUE)
def test_answer_that_is_worth_nothing_changes_no_state(slurm: Scene, fault: str) -> None:
    task = slurm.waiting_task(3)
    (task_id,) = slurm.submit(task)
    slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)

    slurm.shims.break_("squeue", SQUEUE[fault], times=OFTEN if "never" not in fault else 1)
    seen = slurm.states_until_spent(task_id, "squeue")
    slurm.go_on()
    end = slurm.ended(task_id)

    assert seen == {TaskState.RUNNING}
    assert (end.state, end.exit_code, slurm.starts(task.stamp)) == (TaskState.DONE, 3, 1)


@pytest.mark.parametrize("fault", ABSENCES)
def test_absence_is_never_an_end(slurm: Scene, fault: str) -> None:
    task = slurm.waiting_task(3)
    slurm.shims.break_("sacct", NO_ACCOUNTING, times=1000)
    (task_id,) = slurm.submit(task)
    slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)

    slurm.shims.break_("squeue", ABSENCES[fault], times=OFTEN)
    seen = slurm.states_until_spent(task_id, "squeue")
    after = slurm.until(task_id, lambda status: status.state is not TaskState.UNKNOWN).state
    slurm.go_on()
    end = slurm.ended(task_id)

    assert seen <= {TaskState.RUNNING, TaskState.UNKNOWN}
    assert after is TaskState.RUNNING
    assert (end.state, end.exit_code, slurm.starts(task.stamp)) == (TaskState.DONE, 3, 1)


def test_accounting_answers_for_a_queue_that_forgot(slurm: Scene) -> None:
    slurm.shims.break_("squeue", ABSENCES["says nothing"], times=1000)

    (task_id,) = slurm.submit(slurm.waiting_task(3))
    running = slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)
    slurm.go_on()
    end = slurm.ended(task_id)

    assert running.native == "RUNNING"
    assert (end.state, end.exit_code) == (TaskState.DONE, 3)


def test_submission_whose_answer_was_lost_is_found_and_not_repeated(slurm: Scene) -> None:
    slurm.shims.break_("sbatch", '"$real" "$@" > /dev/null; sleep 100')
    task = slurm.task("exit 3")

    lost = slurm.ce.submit([task])[task.stamp]
    found = slurm.ce.find([task.stamp])
    again = slurm.submit(task)
    end = slurm.ended(again[0])

    assert isinstance(lost, Uncertain)
    assert found == {task.stamp: again[0]}
    assert (end.exit_code, slurm.starts(task.stamp), slurm.jobs_called(task.stamp)) == (3, 1, 1)


def test_array_whose_answer_was_lost_is_found_whole(slurm: Scene) -> None:
    slurm.shims.break_("sbatch", '"$real" "$@" > /dev/null; exit 1')
    slurm.shims.break_("sbatch", '"$real" "$@" > /dev/null; echo "Socket timed out on send/recv operation" >&2; exit 1')
    tasks = [slurm.task(f"exit {number}") for number in range(5)]

    lost = slurm.ce.submit(tasks)
    found = slurm.ce.find([task.stamp for task in tasks])
    codes = [slurm.ended(found[task.stamp]).exit_code for task in tasks]

    assert all(isinstance(answer, Uncertain) for answer in lost.values())
    assert codes == [0, 1, 2, 3, 4]
    assert [slurm.starts(task.stamp) for task in tasks] == [1] * 5


def test_submission_that_surely_failed_leaves_nothing(slurm: Scene) -> None:
    down = 'echo "sbatch: error: Batch job submission failed: Unable to contact slurm controller" >&2; exit 1'
    slurm.shims.break_("sbatch", down)
    task = slurm.task("exit 3")

    with pytest.raises(CEUnavailable):
        slurm.ce.submit([task])
    (task_id,) = slurm.submit(task)

    assert slurm.ended(task_id).exit_code == 3
    assert slurm.starts(task.stamp) == 1


def test_number_of_another_job_is_not_believed(slurm: Scene) -> None:
    first, second = slurm.task("sleep 2; exit 1"), slurm.task("sleep 2; exit 2")
    (first_id,) = slurm.submit(first)
    slurm.shims.break_("sbatch", f'"$real" "$@" > /dev/null; echo {first_id}; exit 0')

    answer = slurm.ce.submit([second])[second.stamp]
    second_id = slurm.ce.find([second.stamp])[second.stamp]
    codes = [slurm.ended(task_id).exit_code for task_id in (first_id, second_id)]

    assert isinstance(answer, Uncertain)
    assert codes == [1, 2]


def test_find_without_an_answer_is_no_permission_to_submit_again(slurm: Scene) -> None:
    slurm.shims.break_("sbatch", '"$real" "$@" > /dev/null; sleep 100')
    task = slurm.task("exit 3")
    slurm.ce.submit([task])
    slurm.shims.break_("squeue", SQUEUE["returns 1"], times=1)

    said = slurm.ce.submit([task])[task.stamp]
    (task_id,) = slurm.submit(task)

    assert isinstance(said, Uncertain)
    assert slurm.ended(task_id).exit_code == 3
    assert (slurm.starts(task.stamp), slurm.jobs_called(task.stamp)) == (1, 1)


def test_cancel_that_did_not_come_through_can_be_repeated(slurm: Scene) -> None:
    slurm.shims.break_("scancel", "exit 1")
    (task_id,) = slurm.submit(slurm.task("sleep 100"))
    slurm.until(task_id, lambda status: status.state is TaskState.RUNNING)

    with pytest.raises(Exception, match="scancel"):
        slurm.ce.cancel([task_id])
    still = slurm.status(task_id).state
    slurm.ce.cancel([task_id])

    assert still is TaskState.RUNNING
    assert slurm.ended(task_id).state is TaskState.ABORTED


def test_one_question_for_all_tasks_and_one_interval(slurm: Scene) -> None:
    slurm.submit(*(slurm.task("sleep 3") for _ in range(20)))
    before = slurm.shims.calls("squeue")

    slurm.ce.look()

    assert slurm.shims.calls("squeue") - before <= 2  # ours, and perhaps one of the CE's own thread
