"""The grid that `make bench-scale` simulates: lives of agents, ours by the functions that they wait by."""

import itertools
import random
from collections import Counter

import pytest

from agents import pacing
from bench.joined_agents import by_service
from bench.scale import simulation
from bench.scale.lives import CONFIGURATION, DAY_S, REPORTS, Diracs, Ours

COUNTED = {"start": {"Server": 2.0, "DataStore": 1.0}, "job": {"Matcher": 1.0, "DiracX": 5.0, "SandboxStore": 0.25}}
OURS, DIRACS = Ours("gridpilot", COUNTED), Diracs("DIRAC", COUNTED)


def test_an_idle_agent_of_dirac_asks_as_its_source_says() -> None:
    moments = list(DIRACS.idle(random.Random(1)))

    assert len(moments) == 11
    assert moments[:4] == [0.0, 100.0, 240.0, 420.0]


def test_an_idle_agent_of_ours_waits_by_the_function_that_agents_wait_by() -> None:
    moments, chance = list(OURS.idle(random.Random(1))), random.Random(1)

    assert len(moments) == 10
    for number, (before, after) in enumerate(itertools.pairwise(moments), 1):
        assert after - before == pytest.approx(pacing.after_nothing_s(20.0, number, chance.random))


@pytest.mark.parametrize(("job_s", "jobs"), [(60.0, 1440), (3600.0, 24), (DAY_S, 1)])
def test_a_day_of_ours_has_what_was_counted_for_each_job_and_what_time_costs(job_s: float, jobs: int) -> None:
    seen = Counter(service for _, service in OURS.busy(job_s, random.Random(2)))

    assert seen["Matcher"] == jobs
    assert 0.2 * jobs - 1 <= seen["SandboxStore"] <= 0.3 * jobs + 1
    assert seen["DataStore"] <= min(jobs, DAY_S / 300 * 1.1), "accounts of several jobs go together"
    assert seen[REPORTS] > 5 * jobs
    assert 2 < seen[CONFIGURATION] < 300


def test_many_without_jitter_stay_together_and_with_it_do_not() -> None:
    theirs = simulation.per_second(simulation.idle(DIRACS, 1000, 1.0), 1.0)
    ours = simulation.per_second(simulation.idle(OURS, 1000, 1.0), 1.0)

    assert max(number for second, number in theirs.items() if second > 1) == 1000
    assert max(number for second, number in ours.items() if second > 1) < 150


def test_after_an_outage_nobody_waits_longer_than_the_longest_pause_and_not_all_come_at_once() -> None:
    back = simulation.after_an_outage(3600.0)

    assert back[-1] <= 300.0
    assert max(simulation.per_second(back, 1.0).values()) < 20


def test_what_a_job_costs_is_told_from_what_an_agent_costs() -> None:
    one = Counter({("https", "Server"): 2, ("dips", "Matcher"): 1, ("REST", "DiracX"): 6})
    many = Counter({("https", "Server"): 2, ("dips", "Matcher"): 4, ("REST", "DiracX"): 18})

    found = by_service(one, many, 4)

    assert found["job"] == {"DiracX": 4.0, "Matcher": 1.0, "Server": 0.0}
    assert found["start"] == {"DiracX": 2.0, "Matcher": 0.0, "Server": 2.0}
