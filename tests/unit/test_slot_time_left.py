"""Counting down to the slot's end, on a clock that others may set and a machine that may sleep."""

from agents.clock import SteadyClock
from agents.slot.ends import SlotEnd
from agents.slot.time_left import UNKNOWN_S, TimeLeft


class Clocks:
    """The machine's clock, and the time since its boot."""

    def __init__(self) -> None:
        self.epoch_s = 1_000_000.0
        self.boottime_s = 50.0

    def pass_s(self, seconds: float) -> None:
        self.epoch_s += seconds
        self.boottime_s += seconds


def counting(margin_s: float = 0.0, budget_s: float = 0.0) -> tuple[TimeLeft, Clocks]:
    clocks = Clocks()
    now = SteadyClock(lambda: clocks.epoch_s, lambda: clocks.boottime_s)
    return TimeLeft(now, started_s=now(), margin_s=margin_s, budget_s=budget_s), clocks


def test_earliest_end_counts_and_is_named() -> None:
    left, _ = counting(budget_s=900)

    left.update({"a": [SlotEnd("late", 1_002_000)], "b": [SlotEnd("soon", 1_000_300), SlotEnd("later", 1_000_400)]})

    assert (left.seconds(), left.source) == (300.0, "soon")


def test_unknown_end_is_not_zero_and_ends_nothing_that_runs() -> None:
    left, _ = counting()

    assert left.seconds() == UNKNOWN_S
    assert not left.is_known


def test_assumed_day_is_not_given_again_as_time_goes_by() -> None:
    left, clocks = counting()
    clocks.pass_s(UNKNOWN_S - 10)

    assert left.seconds() == 10.0


def test_source_that_stays_silent_keeps_what_it_said() -> None:
    left, _ = counting()
    left.update({"Slurm": [SlotEnd("scontrol", 1_000_100)]})

    left.update({"features": []})

    assert left.source == "scontrol"


def test_source_that_takes_its_limit_back_is_believed() -> None:
    left, _ = counting()
    left.update({"Slurm": [SlotEnd("scontrol", 1_000_100)]})

    left.update({"Slurm": []})

    assert not left.is_known


def test_time_runs_while_the_machine_is_suspended() -> None:
    left, clocks = counting(budget_s=1000)

    clocks.pass_s(400)

    assert left.seconds() == 600.0


def test_clock_that_is_set_changes_nothing_and_is_told_once() -> None:
    clocks = Clocks()
    now = SteadyClock(lambda: clocks.epoch_s, lambda: clocks.boottime_s)
    left = TimeLeft(now, started_s=now(), budget_s=1000)

    clocks.epoch_s += 3600

    assert left.seconds() == 1000.0
    assert [now.new_jump_s(), now.new_jump_s()] == [3600.0, 0.0]


def test_margin_is_kept_out_of_what_is_offered() -> None:
    left, _ = counting(margin_s=300, budget_s=1000)

    assert (left.seconds(), left.usable_s(), left.work_hs06s(10.0)) == (1000.0, 700.0, 7000)


def test_nothing_is_left_after_the_end_and_never_less() -> None:
    left, clocks = counting(margin_s=300, budget_s=1000)

    clocks.pass_s(5000)

    assert (left.seconds(), left.usable_s(), left.work_hs06s(10.0)) == (0.0, 0.0, 0)
