"""How many pilots where: the law on frozen values."""

import math
from dataclasses import replace

import pytest

from agents.site_director import law
from agents.site_director.supply import (
    Choice,
    Memory,
    Orders,
    Outcome,
    PilotView,
    QueueView,
    Situation,
    Stage,
    WaitingJobs,
)
from bench.pilot_supply import workloads
from bench.pilot_supply.laws import Gridpilot
from bench.pilot_supply.world import World, measured

NOW = 10_000.0
USUAL = Choice()


def queue(name: str = "ce/q", **more: object) -> QueueView:
    usual: dict[str, object] = {"processors": 1, "room": 1000, "waits_s": [60.0] * 20}
    return QueueView(name=name, **{**usual, **more})  # type: ignore[arg-type]


def waiting(number: int, *, age_s: float = 0.0) -> list[PilotView]:
    return [PilotView(stage=Stage.WAITING, submitted_s=NOW - age_s, free=1) for _ in range(number)]


def asking(number: int, *, free: int = 1, idle_s: float = 0.0, has_run: bool = True) -> list[PilotView]:
    one = PilotView(stage=Stage.ASKING, submitted_s=NOW - 900, free=free, has_run=has_run, idle_since_s=NOW - idle_s)
    return [one] * number


def jobs(number: int, *queues: str, processors: int = 1) -> WaitingJobs:
    return WaitingJobs(jobs=number, processors=processors, queues=frozenset(queues or ["ce/q"]))


def decide(queues: list[QueueView], *wanted: WaitingJobs, choice: Choice = USUAL, **more: object) -> Orders:
    return law.decide(Situation(now_s=NOW, queues=queues, waiting=wanted, **more), choice)  # type: ignore[arg-type]


def test_as_many_pilots_as_jobs_and_none_without_any() -> None:
    assert decide([queue()], jobs(20)).submit == {"ce/q": 20}
    assert decide([queue()]).submit == {}


def test_jobs_that_fit_several_queues_are_counted_once() -> None:
    queues = [queue("a"), queue("b"), queue("c")]

    assert sum(decide(queues, jobs(20, "a", "b", "c")).submit.values()) == 20


def test_what_is_on_its_way_anywhere_is_not_submitted_again() -> None:
    queues = [queue("a", pilots=waiting(20)), queue("b")]

    assert decide(queues, jobs(20, "a", "b")).submit == {}


def test_processors_are_counted_not_jobs() -> None:
    assert decide([queue(processors=8)], jobs(80)).submit == {"ce/q": 10}


def test_what_a_large_pilot_has_left_serves_smaller_jobs() -> None:
    orders = decide([queue(processors=8)], jobs(1, processors=4), jobs(4, processors=1))

    assert orders.submit == {"ce/q": 1}


def test_jobs_that_fit_nowhere_get_nothing() -> None:
    assert decide([queue()], WaitingJobs(jobs=5, processors=64, queues=frozenset())).submit == {}


def test_supply_of_a_queue_that_does_not_fit_counts_for_nobody_else() -> None:
    queues = [queue("small", pilots=waiting(10)), queue("large", processors=8)]

    assert decide(queues, jobs(1, "large", processors=8)).submit == {"large": 1}


def test_idle_pilots_that_have_just_begun_to_ask_are_enough() -> None:
    assert decide([queue(pilots=asking(20, idle_s=10))], jobs(20)).submit == {}


def test_idle_pilots_that_have_asked_in_vain_are_none_of_what_is_needed() -> None:
    assert decide([queue(pilots=asking(20, idle_s=100))], jobs(20)).submit == {"ce/q": 20}


def test_room_bounds_a_queue_and_the_rest_goes_elsewhere() -> None:
    queues = [queue("quick", room=5, waits_s=[10.0]), queue("slow", waits_s=[100.0])]

    assert decide(queues, jobs(20, "quick", "slow")).submit == {"quick": 5, "slow": 15}


def test_the_quicker_and_cheaper_queue_comes_first() -> None:
    quick, slow = queue("quick", waits_s=[60.0]), queue("slow", waits_s=[90.0])

    assert decide([slow, quick], jobs(3, "quick", "slow")).submit == {"quick": 3}
    assert decide([slow, replace(quick, price=10.0)], jobs(3, "quick", "slow")).submit == {"slow": 3}


def test_a_queue_whose_pilots_are_late_is_hedged_by_a_quicker_one() -> None:
    late = queue("late", pilots=waiting(20, age_s=2000))

    assert decide([late, queue("quick")], jobs(20, "late", "quick")).submit == {"quick": 20}


def test_pilots_of_a_ce_that_is_not_seen_are_not_counted_on_and_not_taken_back() -> None:
    blind = queue("blind", room=0, is_seen=False, pilots=waiting(20))
    memory = Memory(surplus_since_s=NOW - 1000)

    assert decide([blind, queue("other")], jobs(20, "blind", "other")).submit == {"other": 20}
    assert decide([blind, queue("other")], memory=memory).cancel == {}


def test_an_unknown_queue_is_not_believed_to_be_quick() -> None:
    """To believe it cost 187 s of waiting instead of 85 s in bursts every two hours."""
    unknown, known = queue("unknown", waits_s=[]), queue("known", waits_s=[200.0] * 20)

    orders = decide([unknown, known], jobs(5, "unknown", "known"))

    assert (orders.judged["unknown"].lead_s, orders.judged["known"].lead_s) == (345.0, 245.0)
    assert orders.submit == {"known": 5}


def test_pilots_that_idle_while_nothing_waits_say_nothing_about_their_queue() -> None:
    """To count them cost 83 s of waiting instead of 44 s on a trace."""
    idle = queue(pilots=asking(10, idle_s=500, has_run=False))

    assert decide([idle]).judged["ce/q"].trust == 1.0
    assert decide([idle], jobs(3, "elsewhere")).judged["ce/q"].trust == 1.0


def test_pilots_that_idle_while_their_jobs_wait_find_nothing() -> None:
    idle = queue(pilots=asking(10, idle_s=500, has_run=False))

    assert decide([idle], jobs(20)).judged["ce/q"].trust == 0.0
    assert decide([idle], jobs(20)).submit == {}  # ten probes are out already


def test_a_queue_whose_pilots_find_nothing_gets_one_probe() -> None:
    bad = queue(outcomes=[Outcome(found_work=False)] * 10)
    orders = decide([bad], jobs(50))

    assert (orders.submit, orders.probes) == ({"ce/q": 1}, {"ce/q"})


def test_a_probe_is_waited_for() -> None:
    bad = queue(outcomes=[Outcome(found_work=False)] * 10, pilots=waiting(1))

    assert decide([bad], jobs(50)).submit == {}


def test_jobs_do_not_wait_for_a_probe_where_another_queue_is_trusted() -> None:
    bad, good = queue("bad", outcomes=[Outcome(found_work=False)] * 10, waits_s=[1.0]), queue("good")
    orders = decide([bad, good], jobs(50, "bad", "good"))

    assert orders.submit == {"bad": 1, "good": 50}


def test_half_of_them_finding_work_is_enough_and_two_are_no_verdict() -> None:
    half = queue(outcomes=[Outcome(found_work=False)] * 5 + [Outcome(found_work=True)] * 5)
    two = queue(outcomes=[Outcome(found_work=False)] * 2)

    assert decide([half], jobs(50)).submit == {"ce/q": 50}
    assert decide([two], jobs(50)).submit == {"ce/q": 50}


@pytest.mark.parametrize(("failed", "rest_s"), [(0, 10), (1, 20), (3, 80), (7, 900), (50, 900)])
def test_probes_that_find_nothing_come_at_longer_and_longer_intervals(failed: int, rest_s: float) -> None:
    outcomes = [Outcome(found_work=False)] * 20 + [Outcome(found_work=False, was_probe=True)] * failed

    assert law.probe_rest_s(outcomes) == rest_s
    assert law.probe_rest_s([*outcomes, Outcome(found_work=True, was_probe=True)]) == 10


def test_pilots_that_die_at_once_are_at_most_forty_in_the_first_hour() -> None:
    outcomes: list[Outcome] = []
    sent, last_s, memory = 0, -math.inf, Memory()
    for second in range(3600):
        view = queue(outcomes=outcomes[-20:], last_submitted_s=last_s, waits_s=[1.0] * 20)
        orders = law.decide(Situation(now_s=second, queues=[view], waiting=[jobs(20)], memory=memory), USUAL)
        memory, number = orders.memory, orders.submit.get("ce/q", 0)
        outcomes += [Outcome(found_work=False, was_probe=bool(orders.probes))] * number  # dead within the second
        last_s = second if number else last_s
        sent += number

    assert 20 < sent <= 40


def test_a_surplus_is_taken_back_when_it_has_lasted() -> None:
    too_many = [queue(pilots=waiting(20))]
    first = decide(too_many, jobs(5))
    later = law.decide(Situation(now_s=NOW + 61, queues=too_many, waiting=[jobs(5)], memory=first.memory), USUAL)

    assert first.cancel == {}
    assert later.cancel == {"ce/q": 15}


def test_the_slowest_queue_is_taken_back_from_first() -> None:
    queues = [queue("quick", pilots=waiting(5)), queue("slow", pilots=waiting(5), waits_s=[70.0] * 20)]
    memory = Memory(surplus_since_s=NOW - 100)

    assert decide(queues, jobs(5, "quick", "slow"), memory=memory).cancel == {"slow": 5}


def test_nothing_is_taken_back_where_something_lacks() -> None:
    memory = Memory(surplus_since_s=NOW - 100)
    late = queue("late", pilots=waiting(20, age_s=2000))
    orders = decide([late, queue("quick")], jobs(15, "late", "quick"), memory=memory)

    assert orders.cancel == {}
    assert orders.memory.surplus_since_s is None


def test_a_clock_that_was_set_back_takes_nothing_back_too_early() -> None:
    orders = decide([queue(pilots=waiting(5))], memory=Memory(surplus_since_s=NOW + 5000))

    assert orders.cancel == {}
    assert orders.memory.surplus_since_s == NOW


def test_the_reserve_is_a_share_of_what_is_busy_and_ends_after_the_work() -> None:
    busy = [queue(pilots=asking(20, free=0))]
    reserve = Choice(reserve=0.1)

    assert decide(busy, choice=reserve, memory=Memory(last_work_s=NOW - 100)).submit == {"ce/q": 2}
    assert decide(busy, choice=reserve, memory=Memory(last_work_s=NOW - 1000)).submit == {}
    assert decide(busy, memory=Memory(last_work_s=NOW - 100)).submit == {}


def test_look_ahead_counts_on_what_running_jobs_free() -> None:
    busy = [queue(pilots=asking(20, free=0))]

    assert decide(busy, jobs(10), choice=Choice(look_ahead=True), job_s=1200).submit == {"ce/q": 9}
    assert decide(busy, jobs(10), choice=Choice(look_ahead=True), job_s=60).submit == {}
    assert decide(busy, jobs(10), job_s=60).submit == {"ce/q": 10}


def test_the_simulation_runs_this_function_and_has_the_figures_of_the_page() -> None:
    """Bursts of 100 jobs on four CEs: everybody waits for one quick start, and no pilot is empty."""
    made = workloads.bursts(100, 7200, 8, 1)
    world = World(made, workloads.four(), Gridpilot("ours", Choice()), seed=1, horizon_s=14 * 3600).run()
    found = measured(world)

    assert found["not_started"] == 0
    assert found["mean"] < 100
    assert found["empty"] == 0


def test_believing_an_unknown_queue_makes_the_simulated_bursts_wait_longer() -> None:
    def mean_s(choice: Choice) -> float:
        made = workloads.bursts(100, 7200, 8, 1)
        return measured(World(made, workloads.four(), Gridpilot("", choice), seed=1, horizon_s=14 * 3600).run())["mean"]

    assert mean_s(Choice()) < 0.8 * mean_s(Choice(unknown_wait_s=60.0))
