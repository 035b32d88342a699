"""Ticks come again and again, also when somebody sets the clock."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agents.process.events import ChoresDue, Event, Events, HeartbeatDue
from agents.process.schedule import Schedule
from agents.process.ticks import AfterEach
from tests.waiting import PATIENCE_S

TEN_YEARS_S = 315_360_000.0


class Clocks:
    """A wall clock and a monotonic one, as a test sets them."""

    def __init__(self) -> None:
        self.epoch_s, self.monotonic_s = time.time(), 100.0

    def epoch(self) -> float:
        return self.epoch_s

    def monotonic(self) -> float:
        return self.monotonic_s


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def schedule(events: Events, clocks: Clocks) -> Iterator[Schedule]:
    made = Schedule(events, clocks.epoch, clocks.monotonic, spread=lambda least, most: (least + most) / 2)
    yield made
    made.stop()


def test_event_comes_again_and_again(events: Events, schedule: Schedule) -> None:
    schedule.every(0.05, HeartbeatDue())
    schedule.start()

    assert [events.next(PATIENCE_S) for _ in range(3)] == [HeartbeatDue()] * 3


def test_after_a_clock_was_set_back_everything_is_done_at_once_and_planned_anew(
    events: Events, schedule: Schedule, clocks: Clocks
) -> None:
    schedule.every(3600, HeartbeatDue())
    schedule.every(3600, ChoresDue())
    schedule.start()

    clocks.epoch_s -= 60
    schedule.keep_time()

    came: list[Event | None] = [events.next(PATIENCE_S), events.next(PATIENCE_S)]
    assert HeartbeatDue() in came
    assert ChoresDue() in came


@pytest.mark.parametrize(("epoch_s", "monotonic_s"), [(60.0, 60.0), (3600.0, 5.0), (0.0, 0.5)])
def test_clock_that_goes_on_or_was_set_forward_changes_no_plan(
    events: Events, schedule: Schedule, clocks: Clocks, epoch_s: float, monotonic_s: float
) -> None:
    schedule.every(3600, HeartbeatDue())
    schedule.start()

    clocks.epoch_s += epoch_s
    clocks.monotonic_s += monotonic_s
    schedule.keep_time()

    assert events.next(0.1) is None


def test_ticks_that_were_missed_in_ten_years_are_not_counted() -> None:
    trigger = AfterEach(60, spread=lambda least, most: (least + most) / 2)
    now = datetime.now(UTC)
    planned = now - timedelta(seconds=TEN_YEARS_S)

    assert trigger.get_next_fire_time(planned, now) == now + timedelta(seconds=60)
