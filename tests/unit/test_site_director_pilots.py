"""Pilots of a SiteDirector from decision to end: how many, told to whom, taken back, and those of a director before."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from agents.site_director.desk_terms import Pace
from agents.site_director.director import JobsSeen
from agents.site_director.pilot_manager import JobsOf
from agents.site_director.pilots import Pilot, State
from ce_backends.base import TaskState, TaskStatus
from ce_backends.errors import CEUnavailable
from tests.unit.site_director_stage import Stage, raising, stage

__all__ = ["stage"]


def test_as_many_pilots_as_jobs_in_one_call(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.want(20)
    scene.until(lambda: scene.count("ce", State.WAITING) == 20, "submitted")
    scene.for_a_while(1.5)

    assert [len(each) for each in scene.ces["ce"].submissions] == [20]
    assert Counter(report.status for report in scene.ledger.unsent()) == {"Submitted": 20, "Waiting": 20}


def test_a_pilot_that_the_wms_does_not_know_is_not_submitted_for_a_while_and_then_all_the_same(
    stage: Callable[..., Stage],
) -> None:
    """DIRAC forgets which job it gave to a pilot that it did not know; but its PilotManager may be away for long."""
    scene = stage("ce")
    scene.is_known = False
    scene.want(3)
    scene.until(lambda: scene.count("ce", State.DECIDED) == 3, "decided")
    scene.for_a_while(1.5)
    waiting = scene.ces["ce"].submissions == []
    scene.is_known = True
    scene.until(lambda: scene.count("ce", State.WAITING) == 3, "submitted")
    scene.is_known = False
    scene.desks["ce"]._pace = Pace(poll_s=0.05, call_s=300.0, announce_s=1.0)
    scene.want(5)
    scene.until(lambda: scene.count("ce", State.WAITING) == 5, "submitted too")

    assert waiting
    assert [len(each) for each in scene.ces["ce"].submissions] == [3, 2]


def test_a_pilot_that_was_announced_and_never_submitted_is_told_to_be_none(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.is_known = False
    scene.want(2)
    scene.until(lambda: scene.count("ce", State.DECIDED) == 2, "decided")
    scene.end()
    scene.begin()

    assert [report.status for report in scene.ledger.unsent()] == ["Submitted", "Submitted", "Aborted", "Aborted"]
    assert scene.ces["ce"].submissions == []


def test_pilots_that_nobody_needs_any_more_are_taken_back(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.want(4)
    scene.until(lambda: scene.count("ce", State.WAITING) == 4, "submitted")
    scene.want(0)
    scene.until(lambda: scene.pilots() == [], "taken back")

    assert len(scene.ces["ce"].cancelled) == 4
    assert {pilot.why for pilot in scene.ledger.ended(10)} == {"no job needs it"}


def test_running_pilots_are_never_taken_back(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.want(2)
    scene.until(lambda: scene.count("ce", State.WAITING) == 2, "submitted")
    scene.ces["ce"].tasks = dict.fromkeys(scene.ces["ce"].tasks, TaskState.RUNNING)
    scene.until(lambda: scene.count("ce", State.RUNNING) == 2, "they run")
    scene.want(0)
    scene.for_a_while(1.5)

    assert scene.count("ce", State.RUNNING) == 2


def test_the_end_of_a_pilot_says_what_it_found(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.want(2)
    scene.until(lambda: scene.count("ce", State.WAITING) == 2, "submitted")
    ce = scene.ces["ce"]
    ce.tasks = dict.fromkeys(ce.tasks, TaskState.RUNNING)
    scene.until(lambda: scene.count("ce", State.RUNNING) == 2, "they run")
    ce.on_submit = raising(CEUnavailable("no more in this test"))
    ce.tasks = dict.fromkeys(ce.tasks, TaskState.DONE)
    scene.until(lambda: len(scene.ledger.ended(5)) == 2, "they end")
    one, two = (pilot.stamp for pilot in scene.ledger.ended(5))
    scene.events.put(JobsSeen({one: JobsOf(3, False), two: JobsOf(0, False)}, time.time() + 1))
    scene.until(lambda: len(scene.ledger.outcomes("ce")) == 2, "judged")
    ended = {pilot.stamp: pilot for pilot in scene.ledger.ended(5)}

    assert (ended[one].found_work, ended[one].jobs) == (True, 3)
    assert ended[two].found_work is False  # jobs waited all the time
    scene.until((scene.folder / "outputs" / one / "stdout").exists, "its output is here")


def test_pilots_that_die_at_once_are_no_flood_though_the_wms_tells_nothing_of_them(
    stage: Callable[..., Stage],
) -> None:
    scene = stage("ce")
    ce = scene.ces["ce"]
    ce.on_poll = lambda: {f"id-{s}": TaskStatus(state=TaskState.DONE, exit_code=1) for s in ce.tasks}
    scene.want(20)
    scene.for_a_while(6.0)

    assert 20 <= sum(map(len, ce.submissions)) <= 21  # all at once, and a probe
    assert {pilot.state for pilot in scene.ledger.ended(50)} == {State.FAILED}


def test_a_held_queue_gets_nothing_until_it_is_released(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.ledger.hold("ce", "by hand")
    scene.want(2)
    scene.for_a_while(1.5)
    held = scene.pilots()
    scene.ledger.release("ce")
    scene.director._is_new, scene.director._held_s = True, 0.0
    scene.until(lambda: scene.count("ce", State.WAITING) == 2, "released")

    assert held == []


def test_without_a_proxy_nothing_is_written_or_submitted(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.has_proxy = False
    scene.want(2)
    scene.for_a_while(1.5)

    assert scene.pilots() == []
    assert scene.ces["ce"].submissions == []


def test_a_new_director_goes_on_with_the_pilots_of_the_one_before(stage: Callable[..., Stage], tmp_path: Path) -> None:
    scene = stage("ce")
    scene.want(3)
    scene.until(lambda: scene.count("ce", State.WAITING) == 3, "submitted")
    scene.end()
    scene.begin()
    scene.want(3)
    scene.for_a_while(1.5)

    assert scene.count("ce", State.WAITING) == 3
    assert len(scene.ces["ce"].submissions) == 1


def test_pilots_that_run_and_have_not_been_asked_about_yet_are_not_replaced(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    scene.want(3)
    scene.until(lambda: scene.count("ce", State.WAITING) == 3, "submitted")
    scene.ces["ce"].tasks |= dict.fromkeys(scene.ces["ce"].tasks, TaskState.RUNNING)
    scene.until(lambda: scene.count("ce", State.RUNNING) == 3, "they run")
    scene.for_a_while(1.5)
    scene.end()
    scene.begin()
    scene.want(3)
    scene.for_a_while(1.5)
    scene.director._began_s = time.time() + 3600  # the clock has been set back; the WMS is asked as ever
    scene.events.put(JobsSeen({}, time.time()))
    scene.want(3)
    scene.for_a_while(1.5)

    assert len(scene.ces["ce"].submissions) == 1


def test_decided_pilots_of_a_dead_director_are_dropped_and_others_looked_for(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    made = [
        Pilot(stamp=f"{n:032x}", queue="ce", processors=1, state=state, decided_s=time.time())
        for n, state in enumerate([State.DECIDED, State.SUBMITTING, State.SUBMITTING])
    ]
    scene.ledger.save(made)
    scene.ces["ce"].tasks[made[1].stamp] = TaskState.WAITING  # this one arrived
    scene.end()
    scene.begin()
    scene.until(lambda: scene.count("ce", State.WAITING) == 2, "both are there")

    assert scene.ledger.of([made[0].stamp])[made[0].stamp].state is State.ABORTED
    assert scene.ces["ce"].submissions == [[made[2].stamp]]
