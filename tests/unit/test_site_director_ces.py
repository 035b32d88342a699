"""CEs that hang, fail, refuse, lie and lose answers: what it costs them, and that it costs the others nothing."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agents.site_director.ce_health import WELL
from agents.site_director.ce_worker import CeWorker, Failed, Poll, Submit
from agents.site_director.pilots import State
from ce_backends.base import Accepted, Rejected, TaskSpec, Uncertain
from ce_backends.errors import CEError, CEUnavailable
from tests.unit.site_director_stage import ScriptedCE, Stage, raising, stage
from tests.waiting import PATIENCE_S

__all__ = ["stage"]


@pytest.mark.parametrize(
    "lie",
    [
        raising(CEUnavailable("the queue is full")),
        raising(RuntimeError("a bug")),
        raising(CEError("something")),
        lambda tasks: {task.stamp: Rejected("not you") for task in tasks},
        lambda tasks: {task.stamp: Uncertain("no answer") for task in tasks},
        lambda tasks: {},
        lambda tasks: None,
        lambda tasks: {task.stamp: "yes" for task in tasks},
        lambda tasks: {"0" * 32: Accepted("7")},
    ],
    ids=["full", "bug", "error", "refusing", "uncertain", "silent", "none", "text", "of-another"],
)
def test_a_ce_that_takes_nothing_costs_the_others_nothing(stage: Callable[..., Stage], lie: Any) -> None:
    scene = stage("bad", "good")
    scene.ces["bad"].on_submit = lie
    scene.want(5)
    scene.until(lambda: scene.count("good", State.WAITING) == 5, "the good one has them all")

    assert scene.healths()["bad"]
    assert not scene.healths()["good"]
    assert len(scene.ces["bad"].submissions) == 1  # it is left alone


def test_a_ce_that_hangs_costs_the_others_nothing_and_is_never_waited_for(stage: Callable[..., Stage]) -> None:
    scene = stage("bad", "good", call_s=0.3)
    hangs = threading.Event()
    scene.ces["bad"].on_submit = lambda tasks: hangs.wait(60) and scene.ces["bad"].take(tasks)
    scene.want(5)
    scene.until(lambda: "given up" in scene.healths()["bad"], "the call is given up")
    scene.until(lambda: scene.count("good", State.WAITING) == 5, "the good one has them all")

    assert scene.desks["bad"]._left_behind == 1
    assert scene.count("bad", State.SUBMITTING) == 5  # it may have them
    hangs.set()


def test_what_had_no_answer_is_found_and_not_submitted_again(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    ce = scene.ces["ce"]
    ce.on_submit = lambda tasks: ce.take(tasks) and {task.stamp: Uncertain("cut off") for task in tasks}
    scene.want(3)
    scene.until(lambda: "cut off" in scene.healths()["ce"], "no answer")
    scene.desks["ce"].taking = WELL  # its rest is over
    scene.until(lambda: scene.count("ce", State.WAITING) == 3, "found")

    assert len(ce.submissions) == 1


def test_what_is_not_found_is_submitted_again_under_its_stamp(stage: Callable[..., Stage]) -> None:
    scene = stage("ce")
    ce = scene.ces["ce"]
    ce.on_submit = lambda tasks: {task.stamp: Uncertain("cut off") for task in tasks}
    scene.want(3)
    scene.until(lambda: "cut off" in scene.healths()["ce"], "no answer")
    ce.on_submit = None
    scene.desks["ce"].taking = WELL
    scene.until(lambda: scene.count("ce", State.WAITING) == 3, "submitted again")

    assert len(ce.submissions) == 2
    assert sorted(ce.submissions[0]) == sorted(ce.submissions[1])


@pytest.mark.parametrize("answer", [raising(RuntimeError("a bug")), lambda: None, lambda: {"x": 1}, dict])
def test_a_ce_that_lies_about_its_pilots_ends_none_of_them(stage: Callable[..., Stage], answer: Any) -> None:
    scene = stage("bad", "good")
    scene.want(4)
    scene.until(lambda: len(scene.pilots()) == 4, "submitted")
    for ce in scene.ces.values():
        ce.on_poll = answer
    scene.for_a_while(1.0)

    assert len(scene.pilots()) == 4
    assert {state for _, state in scene.pilots()} == {State.WAITING}


def test_pilots_of_a_ce_that_is_not_seen_any_more_are_replaced_elsewhere(stage: Callable[..., Stage]) -> None:
    scene = stage("bad", "good")
    scene.want(4)
    scene.until(lambda: len(scene.pilots()) == 4, "submitted")
    (name,) = {name for name, _ in scene.pilots()}
    other = "good" if name == "bad" else "bad"
    scene.ces[name].view_age_s = 500.0
    scene.until(lambda: scene.count(other, State.WAITING) == 4, "the other one takes over")

    assert scene.count(name, State.WAITING) == 4


@pytest.mark.parametrize(("failures", "rest_s"), [(1, 10), (2, 20), (5, 160), (8, 900), (1000, 900)])
def test_a_ce_that_fails_rests_twice_as_long_each_time(failures: int, rest_s: float) -> None:
    health = WELL
    for _ in range(failures):
        health = health.failed("why", 0.0, lambda: 0.5)

    assert health.rest_until_s == rest_s
    assert health.rests(rest_s - 1)
    assert not health.rests(rest_s)


def test_a_worker_tells_whether_nothing_was_surely_submitted() -> None:
    ce, events = ScriptedCE(), queue.SimpleQueue[Any]()
    worker = CeWorker("ce", lambda: ce, events.put)
    task = TaskSpec(stamp="0" * 32, script="true")
    ce.on_submit = raising(CEUnavailable("full"))
    worker.order(Submit([task]))
    sure = events.get(timeout=PATIENCE_S)
    ce.on_submit = raising(RuntimeError("half done"))
    worker.order(Submit([task]))
    unsure = events.get(timeout=PATIENCE_S)
    worker.order(Poll(["x"]))
    events.get(timeout=PATIENCE_S)

    assert isinstance(sure, Failed)
    assert sure.is_sure
    assert isinstance(unsure, Failed)
    assert not unsure.is_sure
    assert worker.leave(5)


def test_a_ce_that_hung_is_tried_again_by_one_order_and_what_else_is_needed_goes_elsewhere(
    stage: Callable[..., Stage],
) -> None:
    made = stage("a/q", "b/q", call_s=300.0)
    gate, begun = threading.Event(), threading.Event()

    def hangs(tasks: Sequence[TaskSpec]) -> object:
        begun.set()
        gate.wait(PATIENCE_S)
        return made.ces["a/q"].take(tasks)

    made.ces["a/q"].on_submit = hangs
    made.desks["a/q"].taking = made.desks["a/q"].taking.failed("it hung", time.monotonic() - 1000, lambda: 0.0)
    made.want(1)
    made.until(lambda: made.count("b/q", State.WAITING) == 1, "the other one has a pilot for the job")
    was_tried = begun.is_set()
    made.want(3)
    made.until(lambda: made.count("b/q", State.WAITING) == 3, "the other one has all that is needed more")
    tried = len(made.ces["a/q"].submissions[0])
    gate.set()

    assert was_tried, "the control: it was tried and hangs"
    assert (tried, len(made.ces["a/q"].submissions)) == (1, 1)
