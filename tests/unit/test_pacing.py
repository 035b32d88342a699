"""When agents ask: never sooner than a server wants, more rarely the longer nothing comes of it, never all at once."""

import random
import time
from itertools import pairwise

import pytest

from agents import pacing
from agents.asking import Asking
from agents.errors import ExitCode
from agents.settings.agent import AgentSettings
from pilot.node import start_together


def always(chance: float) -> pacing.Chance:
    return lambda: chance


def test_empty_matches_are_further_apart_each_time_up_to_sixteen_times_the_first() -> None:
    longest = [pacing.after_nothing_s(20.0, n, always(1.0)) for n in range(1, 9)]
    least = [pacing.after_nothing_s(20.0, n, always(0.0)) for n in range(1, 9)]

    assert longest == [20, 40, 80, 160, 320, 320, 320, 320]
    assert least == [each / 2 for each in longest]


@pytest.mark.parametrize("asked_s", [1.0, 30.0, 1000.0])
def test_nobody_comes_before_the_server_wants_and_not_everybody_together(asked_s: float) -> None:
    chance = random.Random(7).random
    waits = [pacing.before_repeating_s(0.2, asked_s, chance) for _ in range(1000)]
    idle = [pacing.after_asked_s(asked_s, 0.0, chance) for _ in range(1000)]

    assert min(waits) >= asked_s
    assert min(idle) >= asked_s
    assert max(waits) - min(waits) > 0.45 * asked_s
    assert max(idle) - min(idle) > 0.45 * asked_s


def test_a_matcher_that_asks_for_patience_gets_it_whatever_becomes_free_meanwhile() -> None:
    asking = Asking(20.0, always(0.0))

    asking.has_brought_nothing(ExitCode.SERVICE_MISSING, 600.0)
    asking.not_before = 0.0  # a job has ended

    assert asking.waits_until > time.monotonic() + 500.0


def test_agents_that_met_the_same_outage_come_back_over_half_of_their_pause() -> None:
    chance = random.Random(7).random
    waits = sorted(pacing.in_an_outage_s(300.0, chance) for _ in range(1000))

    assert waits[0] >= 150.0
    assert max(later - sooner for sooner, later in pairwise(waits)) < 5.0


def test_a_young_job_beats_each_minute_an_old_one_each_quarter_of_an_hour() -> None:
    assert [pacing.heartbeat_s(age_s, 60.0, 900.0) for age_s in (0, 300, 600, 4500, 86400)] == [60, 60, 120, 900, 900]
    assert pacing.heartbeat_s(86400, 60.0, 0.0) == 60.0, "the longest below the least: always as often"


def test_a_day_has_less_than_a_tenth_of_the_heartbeats_of_one_each_minute() -> None:
    settings = AgentSettings(site="S")
    last_s, beats = float("-inf"), 0
    for now_s in range(60, 86401, 60):
        if settings.is_due(now_s, now_s - last_s):
            beats, last_s = beats + 1, now_s
    assert 96 < beats < 120


def test_ticks_are_near_their_period() -> None:
    assert pacing.tick_s(60.0, lambda least, most: least) == 54.0
    assert pacing.tick_s(60.0, lambda least, most: most) == pytest.approx(66.0)


def test_an_unchanged_configuration_is_looked_at_more_rarely() -> None:
    assert [pacing.configuration_look_s(n) for n in (0, 1, 2, 3, 99)] == [300, 600, 1200, 2400, 9600]


# ---- the start of pilots ----


def test_one_pilot_on_its_own_does_not_wait() -> None:
    assert start_together.pilots({}) == 1
    assert start_together.wait_s(1, 0.0, always(1.0)) == 0.0


@pytest.mark.parametrize(
    ("environ", "together"),
    [
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "1000"}, 1000),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, 1),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1000"}, 1),
        ({"PMI_RANK": "0", "PMI_SIZE": "4"}, 4),
        ({"PMI_RANK": "0", "PMI_SIZE": "many"}, 1),
        ({"PMI_SIZE": "4"}, 1),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "0"}, 1),
    ],
)
def test_only_tasks_of_one_parallel_job_begin_together(environ: dict[str, str], together: int) -> None:
    assert start_together.pilots(environ) == together


def test_a_thousand_pilots_of_one_job_spread_over_fifty_seconds_and_a_million_over_a_minute() -> None:
    assert start_together.wait_s(1000, 0.0, always(1.0)) == 50.0
    assert start_together.wait_s(1_000_000, 0.0, always(1.0)) == 60.0
    assert start_together.wait_s(1, 120.0, always(0.5)) == 60.0, "an admin's word goes before"
