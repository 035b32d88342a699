"""The laws that are compared: ours, called as the agent calls it, and those of four peers in short form.

Theirs were written down from what their documentation and code say; what is left out is in docs/pilot-supply.md.
"""

import math

from agents.site_director import law as ours
from agents.site_director.supply import Choice, Memory, Outcome, PilotView, QueueView, Situation, Stage, WaitingJobs
from bench.pilot_supply.world import Queue, World


class SiteDirector:
    """DIRAC 9.1: each queue by itself, every two minutes: waiting jobs less this queue's own waiting pilots."""

    name, period_s, hears_events, per_cycle = "SiteDirector 9.1", 120.0, False, 100

    def decide(self, world: World) -> None:
        sizes = world.waiting_jobs()
        for queue in world.queues:
            jobs = sum(number for size, number in sizes.items() if size <= queue.processors)
            waiting, running = len(queue.waiting), len(queue.running)
            if queue.name.startswith("cloud"):  # of a machine CloudCE says that it runs, from the start
                waiting, running = 0, waiting + running
            room = min(queue.max_waiting - waiting, queue.max_total - waiting - running)
            world.submit(queue, min(room, jobs - waiting, self.per_cycle))


class Glidein:
    """glideinWMS: each entry's share of the idle jobs; a third of what lacks, halved above a curb."""

    name, period_s, hears_events, attenuation, curb = "glideinWMS", 60.0, False, 3.0, 30

    def decide(self, world: World) -> None:
        sizes = world.waiting_jobs()
        for queue in world.queues:
            jobs = sum(number * size for size, number in sizes.items() if size <= queue.processors)
            waiting, room = len(queue.waiting), world.room(queue)
            lack = jobs / queue.processors / len(world.queues) - waiting
            if lack > 0 and room > 0:
                wanted = min(lack, room) / self.attenuation / (2 if waiting >= self.curb else 1)
                world.submit(queue, max(1, int(wanted)) if waiting == 0 else int(wanted))


class Harvester:
    """PanDA Harvester, pull: queued workers up to the activated jobs, and one always where there is none at all."""

    name, period_s, hears_events = "Harvester", 60.0, False

    def decide(self, world: World) -> None:
        sizes = world.waiting_jobs()
        for queue in world.queues:
            share = sum(number for size, number in sizes.items() if size <= queue.processors) / len(world.queues)
            waiting, running = len(queue.waiting), len(queue.running)
            wanted = min(queue.max_waiting, max(int(share), 1 if waiting + running == 0 or share > 0 else 0))
            world.submit(queue, min(max(wanted - waiting, 0), max(queue.max_total - waiting - running, 0)))


class Linear:
    """COBalD: more while what there is is used, less while it is not; waiting jobs are not looked at."""

    name, period_s, hears_events, low, high = "COBalD linear", 60.0, False, 0.9, 0.95

    def __init__(self) -> None:
        self.demand: dict[str, float] = {}

    def decide(self, world: World) -> None:
        for queue in world.queues:
            up = [pilot for pilot in queue.running.values() if pilot.is_up]
            supply = len(up) * queue.processors
            use = sum(queue.processors - pilot.free for pilot in up) / supply if supply else 1.0
            have = (len(queue.waiting) + len(queue.running)) * queue.processors
            demand = self.demand.get(queue.name, float(queue.processors))
            if supply and use < self.low:
                demand -= queue.processors
            elif (supply and use > self.high) or not have:
                demand += queue.processors
            demand = min(max(demand, queue.processors), queue.max_total * queue.processors)
            self.demand[queue.name] = demand
            if demand > have:
                world.submit(queue, math.ceil((demand - have) / queue.processors))
            else:
                world.cancel(queue, int((have - demand) // queue.processors))


class Gridpilot:
    """The function that the agent calls, with what it can see here."""

    period_s, hears_events = 30.0, True

    def __init__(self, name: str, choice: Choice) -> None:
        self.name = name
        self._choice = choice
        self._memory = Memory()

    def decide(self, world: World) -> None:
        times = world.run_times[-100:]
        situation = Situation(
            now_s=world.now,
            queues=[_view(world, queue) for queue in world.queues],
            waiting=[
                WaitingJobs(jobs=n, processors=size, queues=_fitting(world, size))
                for size, n in world.waiting_jobs().items()
            ],
            job_s=sum(times) / len(times) if times else 0.0,
            memory=self._memory,
        )
        orders = ours.decide(situation, self._choice)
        self._memory = orders.memory
        for queue in world.queues:
            world.submit(queue, orders.submit.get(queue.name, 0), is_probe=queue.name in orders.probes)
            world.cancel(queue, orders.cancel.get(queue.name, 0))


def _fitting(world: World, size: int) -> frozenset[str]:
    return frozenset(queue.name for queue in world.queues if size <= queue.processors)


def _view(world: World, queue: Queue) -> QueueView:
    waiting = [PilotView(stage=Stage.WAITING, submitted_s=p.submitted, free=p.free) for p in queue.waiting.values()]
    running = [
        PilotView(
            stage=Stage.ASKING if pilot.is_up else Stage.STARTING,
            submitted_s=pilot.submitted,
            free=pilot.free,
            has_run=pilot.jobs > 0,
            idle_since_s=pilot.idle_since,
        )
        for pilot in queue.running.values()
    ]
    return QueueView(
        name=queue.name,
        processors=queue.processors,
        room=max(0, world.room(queue)),
        is_seen=True,
        pilots=[*waiting, *running],
        waits_s=world.waits[queue.name][-20:],
        outcomes=[Outcome(*each) for each in world.outcomes[queue.name][-20:]],
        start_up_s=queue.boot_s,
        price=queue.price,
        last_submitted_s=queue.last_submitted,
    )
