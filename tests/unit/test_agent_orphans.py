"""Jobs that the ledger has lost: their directories tell."""

from pathlib import Path

import pytest

from agents.jobs.job import Job, JobStatus, MatchedJob, Phase
from agents.runner.orphans import directory_name, take_up
from ce_backends.base import TaskSpec, TaskState, TaskStatus
from tests.unit.runner_scene import Scene

__all__ = ["scene"]
from tests.unit.runner_scene import scene  # a fixture

STAMP = "ab" * 16


def directory_of(job_id: int, jobs: Path) -> Path:
    matched = MatchedJob(job_id=job_id, jdl="", owner="", group="")
    path = jobs / directory_name(Job(matched=matched, stamp=STAMP, attempt=3))
    path.mkdir(parents=True)
    return path


def test_a_job_with_a_directory_and_no_row_is_to_be_given_back(scene: Scene) -> None:
    directory_of(7, scene.work_dir / "jobs")

    take_up(scene.ledger, scene.work_dir / "jobs")

    (job,) = scene.ledger.open_jobs()
    assert (job.job_id, job.attempt, job.stamp, job.phase) == (7, 3, STAMP, Phase.SUBMITTING)
    assert job.end is not None
    assert job.end.status is JobStatus.RESCHEDULED


def test_a_job_that_the_ledger_knows_is_left_as_it_is(scene: Scene) -> None:
    scene.match()
    known = scene.job

    take_up(scene.ledger, scene.work_dir / "jobs")

    assert scene.ledger.open_jobs() == [known]


@pytest.mark.parametrize("name", ["7", "7.1", f"7.1.{STAMP}x", f"-7.1.{STAMP}", "lost+found"])
def test_other_directories_are_not_ours(scene: Scene, name: str) -> None:
    (scene.work_dir / "jobs" / name).mkdir(parents=True)

    take_up(scene.ledger, scene.work_dir / "jobs")

    assert scene.ledger.open_jobs() == []


def test_its_task_is_ended_and_the_job_given_back_without_a_word_of_a_start(scene: Scene) -> None:
    scene.ce.tasks[STAMP] = TaskSpec(stamp=STAMP, script="")
    directory = directory_of(7, scene.work_dir / "jobs")
    take_up(scene.ledger, directory.parent)

    scene.runner.recover()
    scene.runner.poll()
    assert scene.runner.jobs.is_clearing
    scene.ce.states[STAMP] = TaskStatus(state=TaskState.ABORTED, exit_code=143)
    scene.runner.poll()

    assert scene.said() == ["JobWrapper: Rescheduled / The agent has lost its ledger"]
    scene.accept_reports()
    assert (scene.ce.cancelled, scene.ce.cleaned) == ([STAMP], [STAMP])
    assert not scene.runner.jobs.all
    assert not directory.exists()


def test_a_job_whose_task_is_not_there_is_given_back(scene: Scene) -> None:
    directory_of(7, scene.work_dir / "jobs")
    take_up(scene.ledger, scene.work_dir / "jobs")

    scene.runner.recover()
    scene.runner.poll()

    assert scene.said() == ["JobWrapper: Rescheduled / The agent has lost its ledger"]
    assert scene.orders() == [7]
