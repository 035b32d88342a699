"""Workloads that are made, and the queues that they meet."""

import random

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
