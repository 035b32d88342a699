"""Outputs whose store is away: tried again while there is time, and then told as lost."""

from pathlib import Path

import pytest

from agents.errors import Blame, FailJob
from agents.jobs.job import Minor, Phase
from agents.process.events import DataDelayed, DataDelivered, Delivered, Undelivered
from agents.runner.context import JobContext
from agents.runner.deliveries import Deliveries
from tests.unit.runner_scene import Scene, scene

__all__ = ["scene"]

AWAY = Undelivered(7, "the store is away")


class Now:
    """A clock that a test sets."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now(scene: Scene) -> Now:
    """Begin with an ended job whose upload has been started."""
    clock = Now()
    around = JobContext(site="LAB", work_dir=Path(), environ={}, parameters={}, output_patience_s=100.0)
    scene.runner.endings._deliveries = Deliveries(scene.runner._staging, scene.workers, around, clock)  # type: ignore[arg-type] # the border
    scene.match('OutputSandbox = "out";')
    scene.end(0)
    return clock


def test_upload_is_tried_again_after_a_pause(scene: Scene, now: Now) -> None:
    scene.runner.endings.undelivered(AWAY)
    scene.runner.poll()
    before = len(scene.workers.waiting)
    now.s = 30.0
    scene.runner.poll()

    assert (before, len(scene.workers.waiting)) == (1, 2)
    assert scene.job.phase is Phase.DELIVERING


def test_outputs_that_come_away_late_are_as_good_as_any(scene: Scene, now: Now) -> None:
    scene.runner.endings.undelivered(AWAY)
    now.s = 30.0
    scene.runner.poll()
    scene.runner.endings.delivered(Delivered(7, sandbox="SB:S|/x"))

    assert scene.said()[-2:] == [
        "JobWrapper: Completing / Output Sandbox Uploaded",
        "JobWrapper: Done / Execution Complete",
    ]


def test_job_whose_outputs_stay_here_has_failed_and_says_why(scene: Scene, now: Now) -> None:
    now.s = 80.0
    scene.runner.endings.undelivered(AWAY)

    assert scene.said()[-1] == "JobWrapper: Failed / Failed Uploading Output Sandbox"
    assert scene.job.end is not None
    assert scene.job.end.application_status == "Its output sandbox is lost: the store is away"
    assert scene.job.end.blame is Blame.SERVER


def test_when_the_slot_goes_away_no_upload_is_waited_for(scene: Scene, now: Now) -> None:
    scene.runner.endings.undelivered(AWAY)

    scene.runner.endings.give_up_deliveries("The slot ends")

    assert scene.said()[-1] == "JobWrapper: Failed / Failed Uploading Output Sandbox"
    assert not scene.runner.jobs.working


def test_job_that_failed_by_itself_keeps_its_reason(scene: Scene) -> None:
    scene.match('OutputSandbox = "out";')
    scene.end(3)

    scene.runner.endings.give_up_deliveries("The slot ends")

    assert scene.said()[-1] == "JobWrapper: Failed / Application Finished With Errors"


# ---- output data whose time is over ----

WAIT = DataDelayed(job_id=7, error="the catalogue is away", again_in_s=10.0)


@pytest.fixture
def later(scene: Scene) -> Now:
    """Begin with an ended job whose output data wait for another try."""
    scene.moves_data = True
    clock = Now()
    around = JobContext(site="LAB", work_dir=Path(), environ={}, parameters={})
    scene.runner.endings._deliveries = Deliveries(scene.runner._staging, scene.workers, around, clock)  # type: ignore[arg-type] # the border
    scene.match('OutputData = "a.root";')
    scene.end(0)
    scene.runner.endings.delivered(Delivered(7))
    scene.runner.endings.data_delayed(WAIT)
    scene.workers.waiting.clear()
    return clock


def test_data_that_wait_are_ended_by_a_worker_and_the_job_hears_what_came_of_them(scene: Scene, later: Now) -> None:
    scene.runner.endings.give_up_deliveries("The slot ends")
    scene.runner.endings.give_up_deliveries("The slot ends")
    assert scene.job.phase is Phase.DELIVERING
    assert len(scene.workers.waiting) == 1

    error = FailJob(Minor.UPLOADING_DATA, "Its output data are not uploaded", blame=Blame.SERVER)
    scene.runner.endings.data_delivered(DataDelivered(job_id=7, error=error))
    assert scene.said()[-1] == "JobWrapper: Failed / Uploading Output Data"


def test_data_that_a_request_registers_make_the_job_pending(scene: Scene, later: Now) -> None:
    scene.runner.endings.give_up_deliveries("The slot ends")

    scene.runner.endings.data_delivered(DataDelivered(job_id=7, lfns=("/lab/a.root",), request="Name:n"))

    assert scene.said()[-1] == "JobWrapper: Completed / Pending Requests"


def test_data_that_cannot_be_ended_soon_are_not_waited_for(scene: Scene, later: Now) -> None:
    scene.runner.endings.give_up_deliveries("The slot ends")
    later.s += 9.0
    scene.runner.endings.give_up_deliveries("The slot ends")

    assert scene.said()[-1] == "JobWrapper: Failed / Uploading Output Data"
    assert scene.job.end is not None
    assert scene.job.end.application_status == "Its output data are not uploaded: The slot ends"


def test_data_that_were_tried_for_a_day_are_ended(scene: Scene, later: Now) -> None:
    later.s += 86_400.0
    scene.runner.endings.data_delayed(WAIT)

    assert len(scene.workers.waiting) == 1
    assert scene.job.phase is Phase.DELIVERING
