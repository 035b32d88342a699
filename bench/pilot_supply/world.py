"""A pilot factory in discrete events: jobs, pilots, batch queues, and a law that says how many pilots to submit.

    job      arrives, wants processors, runs; declares more time than it needs
    queue    takes pilots; one starts after a random wait (log-normal around a median), when a slot is free
    pilot    starts, boots, matches jobs first come first served, asks again every minute, ends after ten idle ones

Not modelled: staging, failures of nodes, fair share, matching by anything but processors and time.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

ASK_S, PATIENCE_S, DELAY_S = 60.0, 600.0, 1.0
LOOKED_THROUGH = 200  # jobs; a matcher does not look through everything


@dataclass(slots=True)
class Job:
    arrival: float
    run_s: float
    processors: int = 1
    asked_s: float = 0.0
    start: float = -1.0


@dataclass(slots=True)
class Queue:
    name: str
    slots: int
    processors: int = 1
    wait_s: float = 60.0
    sigma: float = 0.5
    boot_s: float = 45.0
    max_waiting: int = 50
    max_total: int = 500
    life_s: float = 86400.0
    price: float = 1.0
    down: tuple[float, float] | None = None
    empty: float = 0.0  # share of pilots that start and never match
    waiting: dict[int, "Pilot"] = field(default_factory=dict)
    running: dict[int, "Pilot"] = field(default_factory=dict)
    line: list["Pilot"] = field(default_factory=list)  # their wait is over, and there was no slot
    last_submitted: float = -1e9


@dataclass(slots=True)
class Pilot:
    id: int
    queue: Queue
    submitted: float
    free: int
    is_probe: bool = False
    started: float = -1.0
    is_up: bool = False
    jobs: int = 0
    busy_s: float = 0.0
    idle_since: float = 0.0
    ended: float = -1.0
    is_cancelled: bool = False
    is_black_hole: bool = False
    was_refused: bool = False  # asked while jobs waited that it could have run


class Law(Protocol):
    name: str
    period_s: float
    hears_events: bool

    def decide(self, world: "World") -> None: ...


class World:
    """The grid. The law decides every so often, and where it hears of events once a second at most."""

    def __init__(self, jobs: list[Job], queues: list[Queue], law: Law, *, seed: int, horizon_s: float) -> None:
        self.rng = random.Random(seed)
        self.jobs, self.queues, self.law = jobs, queues, law
        self.now, self.horizon_s = 0.0, horizon_s
        self.heap: list[tuple[float, int, Callable[[], object]]] = []
        self.tie, self.ids = count(), count(1)
        self.pending: list[Job] = []
        self.pilots: list[Pilot] = []
        self.done = 0
        self.kick_at = -1.0
        self.waits: dict[str, list[float]] = {queue.name: [] for queue in queues}
        self.outcomes: dict[str, list[tuple[bool, bool]]] = {queue.name: [] for queue in queues}
        self.run_times: list[float] = []

    def at(self, when: float, what: Callable[[], object]) -> None:
        heapq.heappush(self.heap, (when, next(self.tie), what))

    def run(self) -> "World":
        for job in sorted(self.jobs, key=lambda job: job.arrival):
            self.at(job.arrival, lambda job=job: self.arrive(job))  # type: ignore[misc]
        self.at(0.0, self.cycle)
        while self.heap:
            self.now, _, what = heapq.heappop(self.heap)
            if self.now > self.horizon_s or (self.done == len(self.jobs) and not self.has_pilots()):
                break
            what()
        return self

    def has_pilots(self) -> bool:
        return any(queue.waiting or queue.running for queue in self.queues)

    def arrive(self, job: Job) -> None:
        self.pending.append(job)
        self.kick()

    def kick(self) -> None:
        if self.law.hears_events and self.kick_at < self.now:
            self.kick_at = self.now + DELAY_S
            self.at(self.kick_at, lambda: self.law.decide(self))

    def cycle(self) -> None:
        self.law.decide(self)
        if self.done < len(self.jobs) or self.has_pilots():
            self.at(self.now + self.law.period_s, self.cycle)

    # ---- what a law may do

    def submit(self, queue: Queue, number: int, *, is_probe: bool = False) -> None:
        if self.is_down(queue):
            return
        for _ in range(number):
            pilot = Pilot(next(self.ids), queue, self.now, queue.processors, is_probe)
            pilot.is_black_hole = self.rng.random() < queue.empty
            self.pilots.append(pilot)
            queue.waiting[pilot.id] = pilot
            queue.last_submitted = self.now
            wait_s = queue.wait_s * self.rng.lognormvariate(0.0, queue.sigma)
            self.at(self.now + wait_s, lambda pilot=pilot: self.may_start(pilot))  # type: ignore[misc]

    def cancel(self, queue: Queue, number: int) -> None:
        if self.is_down(queue):
            return
        for pilot in sorted(queue.waiting.values(), key=lambda p: -p.submitted)[:number]:
            pilot.is_cancelled, pilot.ended = True, self.now
            queue.waiting.pop(pilot.id)
            if pilot in queue.line:
                queue.line.remove(pilot)

    def is_down(self, queue: Queue) -> bool:
        return queue.down is not None and queue.down[0] <= self.now < queue.down[1]

    def room(self, queue: Queue) -> int:
        waiting = len(queue.waiting)
        return (
            0
            if self.is_down(queue)
            else min(queue.max_waiting - waiting, queue.max_total - waiting - len(queue.running))
        )

    def waiting_jobs(self) -> dict[int, int]:
        """Return how many jobs wait, by processors."""
        sizes: dict[int, int] = {}
        for job in self.pending:
            sizes[job.processors] = sizes.get(job.processors, 0) + 1
        return sizes

    # ---- what pilots do

    def may_start(self, pilot: Pilot) -> None:
        queue = pilot.queue
        if pilot.is_cancelled:
            return
        if len(queue.running) >= queue.slots or self.is_down(queue):
            queue.line.append(pilot)
            return
        queue.running[pilot.id] = queue.waiting.pop(pilot.id)
        pilot.started = pilot.idle_since = self.now
        self.waits[queue.name].append(self.now - pilot.submitted)
        self.at(self.now + queue.boot_s * self.rng.uniform(0.8, 1.4), lambda: self.boot(pilot))

    def boot(self, pilot: Pilot) -> None:
        pilot.is_up, pilot.idle_since = True, self.now
        self.match(pilot)

    def match(self, pilot: Pilot, *, asks_again: bool = True) -> None:
        if pilot.ended >= 0:
            return
        left_s = pilot.started + pilot.queue.life_s - self.now
        for job in self.fitting(pilot, left_s):
            if pilot.is_black_hole:
                pilot.was_refused = True
                break
            if job.processors <= pilot.free:
                self.pending.remove(job)
                self.begin(pilot, job)
        if pilot.free == pilot.queue.processors and (self.now - pilot.idle_since >= PATIENCE_S or left_s < 600):
            self.end(pilot)
        elif asks_again and pilot.free:
            self.at(self.now + ASK_S, lambda: self.match(pilot))

    def fitting(self, pilot: Pilot, left_s: float) -> list[Job]:
        near = self.pending[:LOOKED_THROUGH] if pilot.free else []
        return [job for job in near if job.processors <= pilot.free and max(job.asked_s, 1.0) <= left_s]

    def begin(self, pilot: Pilot, job: Job) -> None:
        job.start = self.now
        pilot.free -= job.processors
        pilot.jobs += 1
        pilot.busy_s += job.run_s * job.processors
        self.at(self.now + job.run_s, lambda: self.finish(pilot, job))

    def finish(self, pilot: Pilot, job: Job) -> None:
        self.done += 1
        self.run_times.append(job.run_s)
        had_none = pilot.free == 0
        pilot.free += job.processors
        if pilot.free == pilot.queue.processors:
            pilot.idle_since = self.now
        self.match(pilot, asks_again=had_none)
        self.kick()

    def end(self, pilot: Pilot) -> None:
        queue = pilot.queue
        pilot.ended = self.now
        queue.running.pop(pilot.id)
        if pilot.jobs or pilot.was_refused:  # one that found none because there was none says nothing
            self.outcomes[queue.name].append((pilot.jobs > 0, pilot.is_probe))
        if queue.line:
            self.may_start(queue.line.pop(0))
        self.kick()


def measured(world: World) -> dict[str, float]:
    """Return what it has cost: waits in s, pilots, idle processor hours."""
    waits = sorted(job.start - job.arrival for job in world.jobs if job.start >= 0)
    ran = [pilot for pilot in world.pilots if pilot.started >= 0]
    held = [((p.ended if p.ended >= 0 else world.now) - p.started) * p.queue.processors for p in ran]
    busy = sum(min(pilot.busy_s, hold) for pilot, hold in zip(ran, held, strict=True))
    return {
        "mean": sum(waits) / max(1, len(waits)),
        "p95": waits[min(len(waits) - 1, int(0.95 * len(waits)))] if waits else 0.0,
        "empty": sum(not pilot.jobs for pilot in ran),
        "idle_h": (sum(held) - busy) / 3600,
        "not_started": len(world.jobs) - len(waits),
    }
