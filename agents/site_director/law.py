"""How many pilots to submit where, and which to take back: a pure function of what is known and the time.

All is counted in processors, over all queues together, so that no job gets two pilots because it fits two queues:

    need      of the waiting jobs that fit a queue, and a reserve where one is wanted
    in time   pilots that wait or start, in any queue, and whose start is not much later than that of a new pilot in the
              quickest queue: a slow queue is hedged by the others
    ready     free processors of pilots that ask and have not been refused for long
    lack      need - in time - ready: placed by lead time and price; where pilots find nothing, one probe at a time
    surplus   what is on its way and not needed for a while is taken back, the slowest first

Times are seconds since 1970; any thread may call this.
"""

import math
from collections.abc import Mapping, Sequence

from agents.site_director.supply import (
    Choice,
    Judged,
    Memory,
    Orders,
    Outcome,
    QueueView,
    Situation,
    Stage,
    WaitingJobs,
)

_PATIENCE_WITH_ASKING_S = 75.0  # who asks and has found nothing for so long will not match what waits
_EMPTY_AFTER_S = 120.0  # a pilot without a job for so long, while jobs wait that it could run, has found none
_LEAST_HEDGE_S = 120.0
_RESERVE_AFTER_WORK_S = 900.0
_NEWEST_WAITS, _NEWEST_OUTCOMES, _LEAST_OUTCOMES = 20, 10, 3
_FIRST_PROBE_REST_S, _LONGEST_PROBE_REST_S = 10.0, 900.0
_LONGEST_LOOK_AHEAD_S = 900.0


def decide(situation: Situation, choice: Choice) -> Orders:
    """Return what is to be done now."""
    sizes = _smallest_sizes(situation.waiting)
    judged = {queue.name: _judge(queue, situation, choice, sizes.get(queue.name, 0)) for queue in situation.queues}
    wanted = _wanted(situation, choice)
    quick_s = min(
        (judged[q.name].lead_s for q in situation.queues if q.room > 0 and judged[q.name].is_trusted), default=math.inf
    )
    in_time = {q.name: _in_time(q, judged[q.name], situation.now_s, quick_s, choice) for q in situation.queues}
    ready = {q.name: _ready(q, judged[q.name], situation) for q in situation.queues}
    supply = {name: in_time[name] + ready[name] for name in in_time}
    lacking = _lacking(wanted, supply)
    if choice.look_ahead:
        lacking = _less(lacking, _freed_soon(situation, quick_s))
    submit, probes = _placed(lacking, situation, judged)
    cancel, memory = _taken_back(
        situation, choice, wanted, {name for each, _ in lacking for name in each.queues}, judged
    )
    return Orders(
        submit=submit,
        cancel=cancel,
        probes=probes,
        memory=memory,
        need=sum(processors for _, processors in wanted),
        in_time=sum(in_time.values()),
        ready=sum(ready.values()),
        lack=sum(processors for _, processors in lacking),
        judged=judged,
    )


_Wanted = list[tuple[WaitingJobs, int]]  # jobs, and how many processors they want


def _smallest_sizes(waiting: Sequence[WaitingJobs]) -> dict[str, int]:
    """Return the size of the smallest waiting job by the queue that it fits."""
    sizes: dict[str, int] = {}
    for each in waiting:
        if each.jobs:
            sizes |= {name: min(each.processors, sizes.get(name, each.processors)) for name in each.queues}
    return sizes


# ---- what is thought of a queue


def typical_wait_s(queue: QueueView, choice: Choice) -> float:
    """Return the median of the newest waits, the prior where there is none."""
    waits = sorted(queue.waits_s[-_NEWEST_WAITS:])
    return waits[len(waits) // 2] if waits else choice.unknown_wait_s


def _judge(queue: QueueView, situation: Situation, choice: Choice, smallest: int) -> Judged:
    now_s = situation.now_s
    oldest_s = max((now_s - p.submitted_s for p in queue.pilots if p.stage is Stage.WAITING), default=0.0)
    lead_s = max(typical_wait_s(queue, choice), oldest_s) + queue.start_up_s
    return Judged(lead_s, _trust(queue, now_s, smallest))


def _trust(queue: QueueView, now_s: float, smallest: int) -> float:
    """Return the share of the newest pilots that found work; those that find none while jobs wait count too.

    Args:
        queue: of which the pilots are.
        now_s: the time.
        smallest: size of the smallest waiting job that fits there, 0 when none waits: then idling says nothing.
    """
    found = [outcome.found_work for outcome in queue.outcomes[-_NEWEST_OUTCOMES:]]
    if smallest:
        idle = (p for p in queue.pilots if p.stage is Stage.ASKING and not p.has_run and p.free >= smallest)
        found += [False for p in idle if now_s - p.idle_since_s > _EMPTY_AFTER_S]
    newest = found[-_NEWEST_OUTCOMES:]
    return 1.0 if len(newest) < _LEAST_OUTCOMES else sum(newest) / len(newest)


def probe_rest_s(outcomes: Sequence[Outcome]) -> float:
    """Return how long to wait between two probes: the longer, the more of them in a row have found nothing."""
    failed = 0
    for outcome in reversed(outcomes):
        if outcome.found_work or not outcome.was_probe:
            break
        failed += 1
    return min(_FIRST_PROBE_REST_S * 2.0 ** min(failed, 20), _LONGEST_PROBE_REST_S)


# ---- need and supply


def _wanted(situation: Situation, choice: Choice) -> _Wanted:
    """Return what the jobs that fit anywhere want, those first that have the least choice; then the reserve."""
    fitting = [each for each in situation.waiting if each.jobs > 0 and each.queues]
    fitting.sort(key=lambda each: (len(each.queues), -each.processors))
    wanted = [(each, each.jobs * each.processors) for each in fitting]
    if choice.reserve and situation.now_s - _last_work_s(situation) < _RESERVE_AFTER_WORK_S:
        names = frozenset(queue.name for queue in situation.queues)
        extra = math.ceil(choice.reserve * sum(map(_busy, situation.queues)))
        if extra:
            wanted.append((WaitingJobs(jobs=extra, processors=1, queues=names), extra))
    return wanted


def _last_work_s(situation: Situation) -> float:
    """Return when jobs last waited that fit anywhere."""
    is_work = any(each.jobs and each.queues for each in situation.waiting)
    return situation.now_s if is_work else situation.memory.last_work_s


def _busy(queue: QueueView) -> int:
    return sum(queue.processors - p.free for p in queue.pilots if p.stage is Stage.ASKING)


def _in_time(queue: QueueView, judged: Judged, now_s: float, quick_s: float, choice: Choice) -> int:
    """Return the processors of pilots that will be there soon enough."""
    if not judged.is_trusted:
        return 0
    usual_s = typical_wait_s(queue, choice) + queue.start_up_s
    number = 0
    for pilot in queue.pilots:
        if pilot.stage is Stage.STARTING:
            number += 1
        elif pilot.stage is Stage.WAITING and queue.is_seen:
            age_s = now_s - pilot.submitted_s
            left_s = max(usual_s - age_s, age_s / 2)
            number += left_s <= max(2 * quick_s, _LEAST_HEDGE_S)
    return number * queue.processors


def _ready(queue: QueueView, judged: Judged, situation: Situation) -> int:
    """Return the free processors of pilots that ask; while jobs wait, not of those that have asked in vain for long."""
    if not judged.is_trusted:
        return 0
    asking = [pilot for pilot in queue.pilots if pilot.stage is Stage.ASKING]
    if any(each.jobs for each in situation.waiting):
        fresh_s = situation.now_s - _PATIENCE_WITH_ASKING_S
        asking = [p for p in asking if p.free == queue.processors and p.idle_since_s > fresh_s]
    return sum(pilot.free for pilot in asking)


def _lacking(wanted: _Wanted, supply: Mapping[str, int]) -> _Wanted:
    """Return what the supply does not cover; it is shared out, so nothing is counted for two."""
    left = dict(supply)
    lacking = []
    for jobs, processors in wanted:
        rest = _taken(jobs, processors, left, sorted(jobs.queues))
        if rest > 0:
            lacking.append((jobs, rest))
    return lacking


def _taken(jobs: WaitingJobs, processors: int, left: dict[str, int], order: Sequence[str]) -> int:
    """Take processors out of what is left, queue by queue; return what there was none for."""
    for name in order:
        if name in jobs.queues:
            taken = min(processors, left.get(name, 0))
            left[name] = left.get(name, 0) - taken
            processors -= taken
    return processors


def _freed_soon(situation: Situation, quick_s: float) -> float:
    """Return the processors that running jobs will have freed when a new pilot could start."""
    if situation.job_s <= 0:
        return 0.0
    share = min(1.0, min(quick_s, _LONGEST_LOOK_AHEAD_S) / max(situation.job_s, 1.0))
    return share * sum(map(_busy, situation.queues))


def _less(lacking: _Wanted, freed: float) -> _Wanted:
    rest = []
    for jobs, processors in lacking:
        if processors > freed:
            rest.append((jobs, math.ceil(processors - freed)))
        freed = max(0.0, freed - processors)
    return rest


# ---- orders


def _placed(
    lacking: _Wanted, situation: Situation, judged: Mapping[str, Judged]
) -> tuple[dict[str, int], frozenset[str]]:
    """Return new pilots by queue, the quickest and cheapest first, and which of them are probes."""
    order = sorted(situation.queues, key=lambda q: (judged[q.name].lead_s * q.price, q.name))
    room = {queue.name: queue.room for queue in situation.queues}
    left = dict.fromkeys(room, 0)  # of new pilots, what a job smaller than they has not used
    submit: dict[str, int] = {}
    probes: set[str] = set()
    for jobs, wanted in lacking:
        missing = _taken(jobs, wanted, left, [queue.name for queue in order])
        for queue in order:
            if missing <= 0 or queue.name not in jobs.queues:
                continue
            if not judged[queue.name].is_trusted:
                if room[queue.name] > 0 and queue.name not in probes and _may_probe(queue, situation.now_s):
                    probes.add(queue.name)
                    submit[queue.name] = 1
                continue
            number = min(room[queue.name], math.ceil(missing / queue.processors))
            if number > 0:
                room[queue.name] -= number
                submit[queue.name] = submit.get(queue.name, 0) + number
                given = number * queue.processors
                left[queue.name] += max(0, given - missing)
                missing -= given
    return submit, frozenset(probes)


def _may_probe(queue: QueueView, now_s: float) -> bool:
    """Tell whether the last probe is over, and was long enough ago."""
    is_out = any(not pilot.has_run for pilot in queue.pilots)
    return not is_out and now_s - queue.last_submitted_s >= probe_rest_s(queue.outcomes)


def _taken_back(
    situation: Situation, choice: Choice, wanted: _Wanted, lacking: set[str], judged: Mapping[str, Judged]
) -> tuple[dict[str, int], Memory]:
    """Return waiting pilots that nobody needs any more, by queue, once that has been so for a while."""
    now_s, last_work_s = situation.now_s, _last_work_s(situation)
    surplus = _surplus(situation, wanted, lacking, judged)
    if not surplus:
        return {}, Memory(last_work_s, None)
    since_s = situation.memory.surplus_since_s
    since_s = now_s if since_s is None else min(since_s, now_s)  # the clock may have been set back
    return (surplus if now_s - since_s >= choice.calm_s else {}), Memory(last_work_s, since_s)


def _surplus(situation: Situation, wanted: _Wanted, lacking: set[str], judged: Mapping[str, Judged]) -> dict[str, int]:
    """Return how many waiting pilots of each queue could go: needs are met by the quickest, so the slowest are left.

    A queue that fits jobs which still lack something keeps its own, and one that is not seen keeps all.
    """
    order = sorted(situation.queues, key=lambda q: judged[q.name].lead_s)
    waiting = {q.name: sum(p.stage is Stage.WAITING for p in q.pilots) for q in order}
    left = {q.name: sum(p.stage is Stage.STARTING for p in q.pilots) * q.processors for q in order}
    left = {q.name: left[q.name] + waiting[q.name] * q.processors + _ready(q, judged[q.name], situation) for q in order}
    for jobs, processors in wanted:
        _taken(jobs, processors, left, [queue.name for queue in order])
    numbers = {q.name: min(waiting[q.name], left[q.name] // q.processors) for q in order if q.is_seen}
    return {name: number for name, number in numbers.items() if number > 0 and name not in lacking}
