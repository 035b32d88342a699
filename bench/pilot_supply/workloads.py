"""Workloads that are made, excerpts of real traces, and the queues that they meet."""

import random
from pathlib import Path

from bench.pilot_supply.world import Job, Queue


def burst(number: int, seed: int, *, run_s: float = 600, at: float = 60.0, spread_s: float = 5.0) -> list[Job]:
    rng = random.Random(seed)
    return [Job(at + rng.uniform(0, spread_s), rng.uniform(0.5, 1.5) * run_s, 1, 2 * run_s) for _ in range(number)]


def steady(per_hour: float, hours: float, seed: int) -> list[Job]:
    rng, now, jobs = random.Random(seed), 60.0, []
    while now < hours * 3600:
        now += rng.expovariate(per_hour / 3600)
        jobs.append(Job(now, rng.lognormvariate(0, 0.8) * 1200, 1, 4800))
    return jobs


def bursts(number: int, every_s: int, hours: int, seed: int) -> list[Job]:
    starts = enumerate(range(60, hours * 3600, every_s))
    return [job for n, at in starts for job in burst(number, seed + n, at=at, spread_s=30.0)]


def mixed(per_hour: float, hours: float, seed: int) -> list[Job]:
    rng, now, jobs = random.Random(seed), 60.0, []
    while now < hours * 3600:
        now += rng.expovariate(per_hour / 3600)
        size = rng.choices((1, 4, 8), (70, 20, 10))[0]
        jobs.append(Job(now, rng.lognormvariate(0, 0.6) * 1800, size, 7200))
    return jobs


TRACES = Path(__file__).parent / "traces"
_LONGEST_S = 43200.0  # half of a pilot's life: what ran longer is cut


def trace(path: Path, *, largest: int, days: float = 1000.0) -> list[Job]:
    """Return the jobs of a trace that want up to `largest` processors, of its first `days`.

    Args:
        path: lines of the Standard Workload Format, or of its fields 1, 2, 4, 5 and 9 alone.
        largest: processors of a pilot.
        days: how much of it.
    """
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(";"))
    rows = [(each[1], each[3], each[4], each[8]) if len(each) > 8 else tuple(each[1:5]) for each in lines if each]
    first = min(float(row[0]) for row in rows)
    jobs = []
    for arrival, run, size, asked in rows:
        run_s, at = min(float(run), _LONGEST_S), float(arrival) - first
        if run_s > 0 and 0 < int(size) <= largest and at <= days * 86400:
            jobs.append(Job(60.0 + at, run_s, int(size), min(max(float(asked), run_s), _LONGEST_S)))
    return jobs


def one() -> list[Queue]:
    return [Queue("ce1", 200, 1, 30, 0.5, max_waiting=200, max_total=400)]


def four(processors: int = 1, slots: int = 100) -> list[Queue]:
    """Return four CEs of different speed, as a VO has them."""
    waits = enumerate((30, 120, 300, 900), 1)
    return [
        Queue(f"ce{n}", slots, processors, wait_s, 0.6, max_waiting=100, max_total=2 * slots) for n, wait_s in waits
    ]


def bad() -> list[Queue]:
    """Return these four, the first of them down for two hours, the second with pilots that find nothing."""
    queues = four()
    queues[0].down = (0, 7200)
    queues[1].empty = 1.0
    return queues


def cloud() -> list[Queue]:
    """Return machines that need minutes to boot, of which DIRAC's CloudCE says that they run."""
    return [Queue("cloud1", 50, 4, 60, 0.3, boot_s=240, max_waiting=20, max_total=50, price=3.0)]
