"""A grid of agents in numbers: requests per second of each service, and how a wave of pilots arrives."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence

from agents import pacing
from bench.scale.lives import DAY_S, Diracs, Ours

RUNNING = 500_000
SAMPLE = 400  # agents that are simulated, each for as many
BIN_S = 10.0
RAMP_S = 3600.0
SEED = 14
Agents = Ours | Diracs


def steady(agent: Agents, job_s: float, sample: int = SAMPLE) -> dict[str, float]:
    """Return the requests per second by service of RUNNING agents that have run jobs of this length for a day."""
    chance = random.Random(SEED)
    seen = Counter(service for _ in range(sample) for at_s, service in agent.busy(job_s, chance) if at_s < DAY_S)
    return {service: number / sample / DAY_S * RUNNING for service, number in seen.items()}


def ramp(agent: Agents, job_s: float, sample: int = SAMPLE) -> dict[str, float]:
    """Return the most requests per second of each service while RUNNING pilots come within an hour."""
    chance, bins = random.Random(SEED), Counter[tuple[str, int]]()
    for _ in range(sample):
        came_s = chance.uniform(0.0, RAMP_S)
        for at_s, service in agent.busy(job_s, chance):
            if came_s + at_s >= RAMP_S:
                break
            bins[service, int((came_s + at_s) / 300.0)] += 1
    most: dict[str, float] = {}
    for (service, _), number in bins.items():
        most[service] = max(most.get(service, 0.0), number / 300.0 / sample * RUNNING)
    return most


def idle(agent: Agents, pilots: int, within_s: float) -> list[float]:
    """Return, sorted, when pilots that come within a time ask for jobs that are not there."""
    chance = random.Random(SEED)
    starts = [chance.uniform(0.0, within_s) for _ in range(pilots)]
    return sorted(start_s + at_s for start_s in starts for at_s in agent.idle(chance))


def per_second(moments: Iterable[float], bin_s: float = BIN_S) -> Counter[int]:
    """Return how many fall into each bin of time."""
    return Counter(int(at_s / bin_s) for at_s in moments)


def after_an_outage(outage_s: float, pauses: int = 1000) -> list[float]:
    """Return, sorted, how long after the end of an outage agents that had something to say have said it."""
    chance = random.Random(SEED)
    return sorted(_back_s(outage_s, chance) for _ in range(pauses))


def _back_s(outage_s: float, chance: random.Random) -> float:
    """Return when one is back: it began to wait somewhere within the outage, longer each time (`Reporter._pause`)."""
    now_s, pause_s = chance.uniform(0.0, outage_s), 0.5
    while now_s < outage_s:
        now_s += pacing.in_an_outage_s(pause_s, chance.random)
        pause_s = min(300.0, pause_s * 2)
    return now_s - outage_s


def after_retry_after(asked_s: float, number: int = 1000) -> list[float]:
    """Return, sorted, when agents come back that were all told at one moment to come back after so long."""
    chance = random.Random(SEED)
    return sorted(pacing.before_repeating_s(1.0, asked_s, chance.random) for _ in range(number))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
