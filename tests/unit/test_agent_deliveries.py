"""Outputs whose store is away: tried again while there is time, and then told as lost."""

from pathlib import Path

import pytest

from agents.errors import Blame
from agents.jobs.job import Phase
from agents.process.events import Delivered, Undelivered
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
