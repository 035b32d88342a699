"""Heartbeats among reports: they follow what waits, replace each other, come after no end, and bring orders."""

from agents.errors import NoAnswer, Unreachable
from agents.wms.job_state import Heartbeat
from tests.unit.reporter_scene import Scene, _no_thread_is_left, scene

__all__ = ["_no_thread_is_left", "scene"]


def test_a_heartbeat_follows_what_waits_already(scene: Scene) -> None:
    scene.say(1, "Running")
    scene.reporter.beat(Heartbeat(job_id=1, dynamic={"n": 1}))

    scene.run()

    assert [call for call, _, _ in scene.wms.told] == ["statuses", "beat"]


def test_a_newer_heartbeat_replaces_the_older(scene: Scene) -> None:
    for number in (1, 2):
        scene.reporter.beat(Heartbeat(job_id=1, dynamic={"n": number}))
    scene.reporter.beat(Heartbeat(job_id=2, dynamic={"n": 3}))

    scene.run()

    assert scene.wms.told == [("beat", 1, {"n": 2}), ("beat", 2, {"n": 3})]


def test_no_heartbeat_follows_the_end_of_a_job_that_came_while_the_wms_was_away(scene: Scene) -> None:
    troubles = iter([Unreachable("x")])
    scene.wms.trouble = lambda call, job_id: next(troubles, None)
    scene.say(1, "Running")
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.reporter.forget_beats(1)
    scene.say(1, "Done")

    scene.run()

    assert [call for call, _, _ in scene.wms.told] == ["statuses"]


def test_a_job_that_ends_while_another_ones_heartbeat_is_under_way_is_not_set_running_again(scene: Scene) -> None:
    def end(call: str, job_id: int) -> None:
        if (call, job_id) == ("beat", 1):
            scene.reporter.forget_beats(2)
            scene.say(2, "Done")

    scene.wms.before = end
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.reporter.beat(Heartbeat(job_id=2))

    assert scene.run()
    assert [(call, job_id) for call, job_id, _ in scene.wms.told] == [("beat", 1), ("statuses", 2)]


def test_a_heartbeat_that_fails_is_lost_and_the_next_job_gets_its_own(scene: Scene) -> None:
    scene.wms.trouble = lambda call, job_id: NoAnswer("x") if job_id == 1 else None
    scene.reporter.beat(Heartbeat(job_id=1))
    scene.reporter.beat(Heartbeat(job_id=2))

    assert scene.run()
    assert scene.wms.told == [("beat", 2, {})]


def test_an_order_that_comes_with_a_heartbeat_is_passed_on(scene: Scene) -> None:
    scene.wms.commands = {"Kill": ""}
    scene.reporter.beat(Heartbeat(job_id=1))

    scene.run()

    assert scene.commanded == [(1, {"Kill": ""})]
