"""CEs that hang, fail, refuse, lie and lose answers: what it costs them, and that it costs the others nothing."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.errors import CredentialError
from agents.site_director.ce_desk import CeDesk
from agents.site_director.ce_health import WELL
from agents.site_director.ce_worker import CeWorker, Failed, Poll, Submit
from agents.site_director.desk_terms import Pace, Papers
from agents.site_director.director import DemandSeen, Director, JobsSeen
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilot_manager import JobsOf
from agents.site_director.pilots import Pilot, State
from agents.site_director.queues import PilotQueue
from agents.site_director.supply import Choice, WaitingJobs
from ce_backends.base import Accepted, Rejected, SlotCount, Submission, TaskSpec, TaskState, TaskStatus, Uncertain
from ce_backends.errors import CEError, CEUnavailable
from tests.waiting import PATIENCE_S


class ScriptedCE:
    """A CE in memory that does what a test wants: no real one fails on order."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskState] = {}
        self.submissions: list[list[str]] = []
        self.cancelled: set[str] = set()
        self.on_submit: Callable[[Sequence[TaskSpec]], object] | None = None
        self.on_poll: Callable[[], object] | None = None
        self.view_age_s = 0.0

    def take(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self.tasks |= {task.stamp: TaskState.WAITING for task in tasks if task.stamp not in self.tasks}
        return {task.stamp: Accepted(f"id-{task.stamp}") for task in tasks}

    def submit(self, tasks: Sequence[TaskSpec]) -> dict[str, Submission]:
        self.submissions.append([task.stamp for task in tasks])
        return self.on_submit(tasks) if self.on_submit else self.take(tasks)  # type: ignore[return-value]

    def poll(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        if self.on_poll:
            return self.on_poll()  # type: ignore[return-value]
        states = {f"id-{stamp}": state for stamp, state in self.tasks.items()}
        return {each: TaskStatus(state=states.get(each, TaskState.UNKNOWN)) for each in task_ids}

    def find(self, stamps: Collection[str]) -> dict[str, str]:
        return {stamp: f"id-{stamp}" for stamp in stamps if stamp in self.tasks}

    def cancel(self, task_ids: Collection[str]) -> None:
        self.cancelled |= set(task_ids)
        self.tasks |= {each.removeprefix("id-"): TaskState.ABORTED for each in task_ids}

    def fetch(self, task_id: str, into: Path) -> None:
        into.mkdir(parents=True)
        (into / "stdout").write_text("the last word", encoding="utf-8")

    def clean(self, task_ids: Collection[str]) -> None: ...

    def slots(self) -> SlotCount:
        return SlotCount(running=0, waiting=0, free_processors=0)

    def close(self) -> None: ...


class Stage:
    """A director with one scripted CE for each queue; it is driven by hand."""

    def __init__(self, folder: Path, *names: str, call_s: float = 300.0) -> None:
        self.folder = folder
        self.names = names
        self.call_s = call_s
        self.ces = {name: ScriptedCE() for name in names}
        self.has_proxy = self.is_known = True
        self.begin()

    def begin(self) -> None:
        self.ledger = PilotLedger(self.folder / "pilots.sqlite")
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.desks = {name: self._desk(name) for name in self.names}
        self.director = Director(self.desks, self.ledger, self.events, choice=Choice(calm_s=0.0), start_up_s=0.0)

    def end(self) -> None:
        for desk in self.desks.values():
            desk.close(0.0)
        self.ledger.close()

    def _desk(self, name: str) -> CeDesk:
        return CeDesk(
            PilotQueue(
                name=name,
                site="S",
                ce=name,
                queue="q",
                ce_type="Local",
                options={},
                processors=1,
                most_total=100,
                most_waiting=100,
                matcher={},
            ),
            lambda: CeWorker(name, lambda: self.ces[name], self.events.put),
            self.ledger,
            Papers(self._tasks, lambda _: self.is_known),
            pace=Pace(poll_s=0.05, call_s=self.call_s),
            outputs_dir=self.folder / "outputs",
            jitter=lambda: 0.5,
        )

    def _tasks(self, pilots: Sequence[Pilot]) -> list[TaskSpec]:
        if not self.has_proxy:
            raise CredentialError("no proxy")
        return [TaskSpec(stamp=pilot.stamp, script="true") for pilot in pilots]

    def want(self, number: int) -> None:
        names = frozenset(self.names)
        found = [WaitingJobs(jobs=number, processors=1, queues=names)] if number else []
        self.events.put(DemandSeen(found, time.time()))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.pilots()}, {self.healths()}"
            self.director.turn(0.05)

    def for_a_while(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.director.turn(0.05)

    def pilots(self) -> list[tuple[str, State]]:
        return [(pilot.queue, pilot.state) for pilot in self.ledger.open()]

    def count(self, name: str, state: State) -> int:
        return self.pilots().count((name, state))

    def healths(self) -> Mapping[str, str]:
        return {name: desk.why for name, desk in self.desks.items()}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(*names: str, **more: float) -> Stage:
        made.append(Stage(tmp_path, *names, **more))
        return made[-1]

    yield make
    for each in made:
        each.end()


def raising(error: Exception) -> Callable[..., object]:
    def act(*_: object) -> object:
        raise error

    return act


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
