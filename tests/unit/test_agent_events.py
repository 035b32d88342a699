"""Events, workers, the schedule, and the log's lines."""

import logging
import threading

import pytest

from agents.log import EventLog
from agents.process.events import Crashed, Events, HeartbeatDue, KillOrdered, LookAround, TaskChanged, Workers
from agents.process.schedule import Schedule
from tests.waiting import PATIENCE_S


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def workers(events: Events) -> Workers:
    return Workers(events)


def test_events_come_in_order(events: Events) -> None:
    events.put(LookAround())
    events.put(KillOrdered(7))

    assert [events.next(PATIENCE_S), events.next(PATIENCE_S)] == [LookAround(), KillOrdered(7)]


def test_no_event_in_time_is_none(events: Events) -> None:
    assert events.next(0.0) is None


def test_many_changes_of_tasks_are_one_event_until_it_is_taken(events: Events) -> None:
    for _ in range(3):
        events.task_changed()
    first, second = events.next(PATIENCE_S), events.next(0.0)
    events.task_changed()

    assert (first, second, events.next(0.0)) == (TaskChanged(), None, TaskChanged())


def test_a_piece_of_work_ends_in_its_event(events: Events, workers: Workers) -> None:
    workers.start(KillOrdered, 7)

    assert events.next(PATIENCE_S) == KillOrdered(7)


def test_work_that_crashes_is_told_with_its_error(events: Events, workers: Workers) -> None:
    def crash() -> LookAround:
        raise KeyError("x")

    workers.start(crash)
    event = events.next(PATIENCE_S)

    assert isinstance(event, Crashed)
    assert isinstance(event.error, KeyError)


def test_work_that_hangs_holds_up_neither_other_work_nor_the_end_of_the_agent(events: Events, workers: Workers) -> None:
    release, begun = threading.Event(), threading.Event()

    def hang() -> LookAround:
        begun.set()
        release.wait(PATIENCE_S)
        return LookAround()

    workers.start(hang)
    assert begun.wait(PATIENCE_S)

    workers.start(HeartbeatDue)

    assert events.next(PATIENCE_S) == HeartbeatDue()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("worker-"))
    release.set()
    assert events.next(PATIENCE_S) == LookAround()


def test_a_schedule_repeats_its_event_until_it_is_stopped(events: Events) -> None:
    schedule = Schedule(events)
    schedule.every(0.01, LookAround())
    schedule.start()

    heard = [events.next(PATIENCE_S) for _ in range(2)]
    schedule.stop()

    assert heard == [LookAround(), LookAround()]


def test_a_schedule_that_never_began_can_be_stopped(events: Events) -> None:
    Schedule(events).stop()

    assert events.next(0.0) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, "7"),
        (1.23456, "1.235"),
        ("plain", "plain"),
        ("two words", "'two words'"),
        ("", "''"),
        ("a=b", "'a=b'"),
        ("line\nend", r"'line\nend'"),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        ("\udc80", r"'\udc80'"),
        ("é", "é"),
        (None, "None"),
    ],
)
def test_a_value_stays_on_its_line(caplog: pytest.LogCaptureFixture, value: object, shown: str) -> None:
    with caplog.at_level(logging.INFO, "gridpilot.test"):
        EventLog("test").info("thing.happened", value=value)

    assert caplog.messages == [f"thing.happened value={shown}"]


def test_an_event_below_the_level_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gridpilot.test"):
        EventLog("test").info("thing.happened")

    assert caplog.messages == []
