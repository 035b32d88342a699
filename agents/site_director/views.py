"""What the law is told: made of the ledger's pilots, the queues, and what is thought of their CEs."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.site_director.pilots import Pilot, State
from agents.site_director.queues import PilotQueue
from agents.site_director.supply import Memory, Outcome, PilotView, QueueView, Situation, Stage, WaitingJobs

_REFUSED_AFTER_S = 75.0  # longer than a pilot rests between two questions
_SHORT_LIFE_S = 60.0  # of a pilot that dies at once
_COMING = (State.DECIDED, State.SUBMITTING, State.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is remembered of a queue.

    Attributes:
        waits_s: of the pilots that started last, newest last.
        outcomes: of those that ended last, newest last.
        last_submitted_s: when it last got one.
    """

    waits_s: Sequence[float] = ()
    outcomes: Sequence[Outcome] = ()
    last_submitted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is to decide on.

    Attributes:
        queues: all of them.
        pilots: those that have not ended.
        past: by queue.
        shut: names of queues that take nothing now.
        unseen: names of queues of which nothing new is known.
        doubtful: names of queues that fail: a pilot that one of them may have got is not counted on.
        waiting: jobs.
        asked_s: when these were asked for.
        are_jobs_known: what pilots do is known; else one that could have a job is taken to have one.
        start_up_s: from a pilot's start to its first question.
        memory: of the last decision.
    """

    queues: Sequence[PilotQueue]
    pilots: Collection[Pilot]
    past: Mapping[str, Past]
    waiting: Sequence[WaitingJobs]
    asked_s: float
    are_jobs_known: bool
    start_up_s: float
    shut: Collection[str] = ()
    unseen: Collection[str] = ()
    doubtful: Collection[str] = ()
    memory: Memory


def situation(now_s: float, known: Known) -> Situation:
    """Return it as the law wants to be told, at `now_s` since 1970."""
    by_queue: dict[str, list[Pilot]] = {}
    for pilot in known.pilots:
        by_queue.setdefault(pilot.queue, []).append(pilot)
    queues = [_queue_view(queue, by_queue.get(queue.name, []), known, now_s) for queue in known.queues]
    return Situation(now_s=now_s, queues=queues, waiting=known.waiting, memory=known.memory)


def _queue_view(queue: PilotQueue, pilots: Sequence[Pilot], known: Known, now_s: float) -> QueueView:
    past = known.past.get(queue.name, Past())
    on_trial = {State.DECIDED, State.SUBMITTING} if queue.name in known.doubtful else set[State]()
    lost = {State.CANCELLING} | on_trial
    is_tried = any(pilot.state in on_trial for pilot in pilots)  # one that fails is tried by one order at a time
    return QueueView(
        name=queue.name,
        processors=queue.processors,
        room=0 if queue.name in known.shut or is_tried else _room(queue, pilots),
        is_seen=queue.name not in known.unseen,
        pilots=[_view(pilot, now_s, known) for pilot in pilots if pilot.state not in lost],
        waits_s=past.waits_s,
        outcomes=past.outcomes,
        start_up_s=known.start_up_s,
        price=queue.price,
        last_submitted_s=past.last_submitted_s,
    )


def _room(queue: PilotQueue, pilots: Sequence[Pilot]) -> int:
    waiting = sum(pilot.state in _COMING for pilot in pilots)
    return max(0, min(queue.most_waiting - waiting, queue.most_total - len(pilots)))


def stage_of(pilot: Pilot, now_s: float, start_up_s: float) -> Stage:
    """Return where a pilot stands as far as supply is concerned; one that has had a job has started up."""
    if pilot.state in _COMING:
        return Stage.WAITING
    has_asked = pilot.jobs > 0 or now_s - pilot.started_s >= start_up_s
    return Stage.ASKING if has_asked else Stage.STARTING


def _view(pilot: Pilot, now_s: float, known: Known) -> PilotView:
    """Return a pilot as the law sees it.

    One that has got its job since the waiting jobs were asked for is free yet: that job is one of them.
    """
    stage = stage_of(pilot, now_s, known.start_up_s)
    if stage is Stage.ASKING and not known.are_jobs_known:
        return PilotView(stage=stage, submitted_s=pilot.submitted_s, free=0, has_run=True)
    has_taken_one_of_them = pilot.is_busy and pilot.busy_since_s >= known.asked_s
    idle_since_s = pilot.busy_since_s if has_taken_one_of_them else pilot.idle_since_s
    return PilotView(
        stage=stage,
        submitted_s=pilot.submitted_s or pilot.decided_s,
        free=0 if pilot.is_busy and not has_taken_one_of_them else pilot.processors,
        has_run=pilot.jobs > 0,
        idle_since_s=idle_since_s or pilot.started_s + known.start_up_s,
    )


@dataclass(frozen=True, slots=True)
class WorkSince:
    """Since when, without a break, jobs have waited that fit each queue."""

    times: Mapping[str, float]

    def seen(self, waiting: Iterable[WaitingJobs], now_s: float) -> "WorkSince":
        """Return the times after another look."""
        names = {name for each in waiting if each.jobs for name in each.queues}
        return WorkSince({name: self.times.get(name, now_s) for name in names})

    def met(self, pilots: Iterable[Pilot], now_s: float, start_up_s: float) -> list[Pilot]:
        """Return the pilots that have asked long enough beside waiting jobs without a job; they have `met_work` now."""
        return [
            replace(pilot, met_work=True)
            for pilot in pilots
            if pilot.state is State.RUNNING
            and not (pilot.met_work or pilot.jobs)
            and pilot.queue in self.times
            and now_s - max(self.times[pilot.queue], pilot.started_s + start_up_s) > _REFUSED_AFTER_S
        ]

    def died_at_once(self, pilot: Pilot) -> bool:
        """Tell whether an ended pilot was too short for any job, though work waited."""
        return pilot.ended_s - pilot.started_s < _SHORT_LIFE_S and self.verdict(pilot) is False

    def verdict(self, pilot: Pilot) -> bool | None:
        """Return whether an ended pilot has found work; None where its end says nothing: it never ran, or had none."""
        if pilot.jobs:
            return True
        if not pilot.started_s:
            return None
        was_there = self.times.get(pilot.queue, math.inf) <= pilot.started_s
        return False if pilot.met_work or was_there else None
