"""Jobs that are killed or handed back, and those that a former agent left in each of its phases."""

from dataclasses import replace

import pytest

from agents.jobs.job import JobStatus, MatchedJob, Phase
from agents.process.events import Delivered, Staged
from ce_backends.base import TaskSpec, TaskState, TaskStatus, Uncertain
from ce_backends.errors import CEUnavailable
from tests.unit.runner_scene import SANDBOX, START, Scene, scene

__all__ = ["scene"]

UNKNOWN = TaskStatus(state=TaskState.UNKNOWN)


def test_a_job_killed_while_it_runs_is_cancelled_and_told_when_it_has_gone(scene: Scene) -> None:
    scene.match()

    scene.runner.kill(7)
    assert scene.ce.cancelled == [scene.job.task_id]
    assert scene.said() == START
    scene.end(None, TaskState.ABORTED)

    assert scene.said() == [*START, "JobWrapper: Killed / Received Kill signal"]
    assert scene.slot.is_all_free


def test_a_job_killed_while_it_ends_is_killed(scene: Scene) -> None:
    scene.match()
    scene.runner.kill(7)

    scene.end(0)

    assert scene.said()[-1] == "JobWrapper: Killed / Received Kill signal"


def test_a_job_killed_while_its_inputs_come_is_never_started(scene: Scene) -> None:
    scene.match(SANDBOX)

    scene.runner.kill(7)
    scene.runner.staged(Staged(7))

    assert scene.said()[-1] == "JobWrapper: Killed / Received Kill signal"
    assert (scene.ce.tasks, scene.slot.is_all_free) == ({}, True)


def test_a_job_killed_while_the_ce_gives_no_answer_is_ended_there_when_it_is_found(scene: Scene) -> None:
    scene.ce.answers = [Uncertain("no answer")]
    scene.match()
    scene.runner.kill(7)
    scene.ce.tasks[scene.job.stamp] = TaskSpec(stamp=scene.job.stamp, script="")

    scene.runner.poll()

    assert scene.ce.cancelled == [scene.job.stamp]


@pytest.mark.parametrize("job_id", [7, 8])
def test_a_kill_of_a_job_that_has_ended_or_is_unknown_changes_nothing(scene: Scene, job_id: int) -> None:
    scene.match()
    scene.end(0)
    before = scene.said()

    scene.runner.kill(job_id)

    assert (scene.said(), scene.ce.cancelled) == (before, [])


def test_jobs_are_handed_back_when_the_slot_goes_away(scene: Scene) -> None:
    scene.match()

    scene.runner.hand_back_all("The pilot was asked to end by SIGTERM")
    scene.end(None, TaskState.ABORTED)

    assert scene.said()[-1] == "JobWrapper: Rescheduled / The pilot was asked to end by SIGTERM"
    assert scene.orders() == [7]


def test_a_payload_that_finished_before_it_could_be_cancelled_is_not_run_again(scene: Scene) -> None:
    scene.match()
    scene.runner.hand_back_all("SIGTERM")

    scene.end(0)

    assert scene.said()[-1] == "JobWrapper: Done / Execution Complete"
    assert scene.orders() == []


def test_a_match_that_came_too_late_is_handed_back_unstarted(scene: Scene) -> None:
    matched = MatchedJob(job_id=7, jdl='[ JobID = 7; Executable = "x"; ]', owner="o", group="g")

    scene.runner.hand_back_unstarted(matched, "SIGTERM")

    assert scene.said() == ["JobAgent: Matched / Job Received by Agent", "JobWrapper: Rescheduled / SIGTERM"]
    assert (scene.orders(), scene.ce.tasks) == ([7], {})


# ---- after a crash: each phase as the ledger keeps it ----


def crashed_in(scene: Scene, phase: Phase, *, is_confirmed: bool = True) -> None:
    """Leave a job in a phase, then begin anew; the WMS says that it is still ours, or has not been asked yet."""
    attributes = SANDBOX if phase is Phase.STAGING else 'OutputSandbox = "out";' if phase is Phase.DELIVERING else ""
    if phase is Phase.SUBMITTING:
        scene.ce.answers = [Uncertain("no answer")]
    scene.match(attributes)
    if phase in (Phase.DELIVERING, Phase.REPORTING):
        scene.end(0)
    if phase is Phase.MATCHED:
        scene.ledger.save(replace(scene.job, phase=phase, status=JobStatus.MATCHED, grant=None, task_id=""))
        scene.ce.tasks.clear()
    assert scene.ledger.open_jobs()[0].phase is phase
    scene.restart()
    scene.runner.recover()
    if is_confirmed:
        scene.runner.confirmed()


def test_a_job_that_was_only_matched_is_started(scene: Scene) -> None:
    crashed_in(scene, Phase.MATCHED)

    assert scene.said()[-1] == "JobWrapper: Running / Application"
    assert len(scene.ce.tasks) == 1


def test_a_job_whose_inputs_were_coming_gets_them_again(scene: Scene) -> None:
    crashed_in(scene, Phase.STAGING)
    assert (len(scene.workers.waiting), scene.slot.free_processors) == (1, 1)

    scene.runner.staged(Staged(7))

    assert scene.job.phase is Phase.RUNNING


@pytest.mark.parametrize("phase", [Phase.MATCHED, Phase.STAGING, Phase.SUBMITTING])
def test_a_job_that_had_not_begun_waits_until_the_wms_was_asked_whose_it_is(scene: Scene, phase: Phase) -> None:
    crashed_in(scene, phase, is_confirmed=False)

    scene.runner.poll()

    assert (scene.ce.tasks, scene.workers.waiting) == ({}, [])


@pytest.mark.parametrize("phase", [Phase.MATCHED, Phase.STAGING, Phase.SUBMITTING])
@pytest.mark.parametrize("is_taken_away", [True, False])
def test_a_job_that_was_ended_before_it_could_begin_again_never_begins(
    scene: Scene, phase: Phase, is_taken_away: bool
) -> None:
    crashed_in(scene, phase, is_confirmed=False)
    if is_taken_away:
        scene.runner.taken_away(7)
    else:
        scene.runner.hand_back_all("SIGTERM")

    scene.runner.confirmed()
    scene.runner.poll()

    assert (scene.ce.tasks, scene.workers.waiting, scene.job.phase) == ({}, [], Phase.REPORTING)
    assert scene.slot.is_all_free


@pytest.mark.parametrize("is_there", [True, False])
def test_a_job_that_may_have_been_submitted_runs_once(scene: Scene, is_there: bool) -> None:
    crashed_in(scene, Phase.SUBMITTING)
    if is_there:
        scene.ce.tasks[scene.job.stamp] = TaskSpec(stamp=scene.job.stamp, script="")
        scene.ce.answers = [CEUnavailable("must not be asked")]

    scene.runner.poll()

    assert scene.job.phase is Phase.RUNNING
    assert len(scene.ce.tasks) == 1


def test_a_job_that_may_have_begun_before_the_node_was_started_again_is_given_back(scene: Scene) -> None:
    scene.ce.answers = [Uncertain("no answer")]
    scene.match()

    scene.restart(boot="another")
    scene.runner.recover()
    scene.runner.confirmed()
    scene.runner.poll()

    assert scene.said()[-1] == "JobWrapper: Rescheduled / The node was started again"
    assert (scene.ce.tasks, scene.orders(), scene.slot.is_all_free) == ({}, [7], True)


def test_a_job_that_was_only_matched_before_the_node_was_started_again_is_started(scene: Scene) -> None:
    scene.match(SANDBOX)

    scene.restart(boot="another")
    scene.runner.recover()
    scene.runner.confirmed()
    scene.runner.staged(Staged(7))

    assert scene.job.phase is Phase.RUNNING


def test_a_job_that_runs_holds_its_processors_and_is_followed_to_its_end(scene: Scene) -> None:
    crashed_in(scene, Phase.RUNNING)
    assert scene.slot.free_processors == 1

    scene.end(0)

    assert scene.said()[-1] == "JobWrapper: Done / Execution Complete"
    assert scene.slot.is_all_free


def test_a_job_whose_task_is_not_there_any_more_is_given_back(scene: Scene) -> None:
    crashed_in(scene, Phase.RUNNING)
    scene.ce.tasks.clear()
    scene.ce.states[scene.job.task_id] = UNKNOWN

    scene.runner.poll()

    assert scene.said()[-1] == "JobWrapper: Rescheduled / Payload lost on the node"
    assert (scene.orders(), scene.slot.is_all_free) == ([7], True)


def test_a_job_that_was_to_be_killed_and_whose_task_is_not_there_any_more_is_killed(scene: Scene) -> None:
    crashed_in(scene, Phase.RUNNING)
    scene.ce.tasks.clear()
    scene.ce.states[scene.job.task_id] = UNKNOWN
    scene.runner.kill(7)

    scene.runner.poll()

    assert scene.said()[-1] == "JobWrapper: Killed / Received Kill signal"


def test_a_task_that_has_no_answer_but_is_found_is_waited_for(scene: Scene) -> None:
    crashed_in(scene, Phase.RUNNING)
    scene.ce.states[scene.job.task_id] = UNKNOWN

    scene.runner.poll()

    assert scene.job.phase is Phase.RUNNING


def test_a_job_whose_outputs_were_going_up_holds_nothing_and_delivers_again(scene: Scene) -> None:
    crashed_in(scene, Phase.DELIVERING)

    assert (len(scene.workers.waiting), scene.slot.is_all_free) == (1, True)
    scene.runner.endings.delivered(Delivered(7))

    assert scene.said()[-1] == "JobWrapper: Done / Execution Complete"


def test_a_job_about_which_everything_was_said_is_not_told_again(scene: Scene) -> None:
    scene.match()
    scene.end(0)
    before = scene.said()

    scene.restart()
    scene.runner.recover()

    assert scene.said() == before
    scene.accept_reports()
    assert scene.runner.jobs.all == []


def test_a_job_of_which_the_wms_heard_everything_is_left_to_the_reporter_which_reads_it_back(scene: Scene) -> None:
    scene.match()
    scene.end(0)
    scene.ledger.sent(scene.ledger.unsent())

    scene.restart()
    scene.runner.recover()

    assert (scene.job.phase, scene.job.status) == (Phase.REPORTING, JobStatus.DONE)


def test_an_end_that_the_wms_does_not_hold_is_said_again_on_a_way_that_it_allows(scene: Scene) -> None:
    scene.match()
    scene.end(0)
    scene.ledger.sent(scene.ledger.unsent())

    scene.runner.endings.say_again(7, JobStatus.MATCHED)

    assert scene.said() == ["JobWrapper: Running / Application", "JobWrapper: Done / Execution Complete"]


def test_an_end_after_which_a_late_heartbeat_came_is_said_again(scene: Scene) -> None:
    scene.match()
    scene.end(3)
    scene.ledger.sent(scene.ledger.unsent())

    scene.runner.endings.say_again(7, JobStatus.RUNNING)

    assert scene.said() == ["JobWrapper: Failed / Application Finished With Errors"]


def test_an_end_of_a_job_that_is_closed_is_not_said_again(scene: Scene) -> None:
    scene.match()
    scene.end(0)
    scene.accept_reports()

    scene.runner.endings.say_again(7, JobStatus.RUNNING)

    assert scene.said() == []


def test_a_job_that_was_being_killed_is_cancelled_again(scene: Scene) -> None:
    scene.match()
    scene.runner.kill(7)
    scene.ce.cancelled.clear()

    scene.restart()
    scene.runner.recover()
    scene.runner.poll()

    assert scene.ce.cancelled == [scene.job.task_id]


def test_a_job_that_failed_for_its_jdl_is_not_told_again(scene: Scene) -> None:
    scene.match(jdl='[ Executable = "x')
    before = scene.said()

    scene.restart()
    scene.runner.recover()

    assert scene.said() == before


def test_ended_tasks_of_which_nobody_knows_are_forgotten_after_a_restart(scene: Scene) -> None:
    kept: list[set[str]] = []
    scene.match()
    stamp = scene.job.stamp
    scene.ce.forget_others = lambda stamps: kept.append(set(stamps))  # type: ignore[attr-defined] # a CE that can

    scene.restart()
    scene.runner.recover()

    assert kept == [{stamp}]
