"""The loop: hears what happened, asks the law what to do, has it done. One thread owns all state; nothing here waits.

Waiting jobs and jobs of pilots are asked for by two threads of their own, CEs by one each; all of them put events.
"""

import queue
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.errors import CredentialError
from agents.log import EventLog
from agents.site_director import law, views
from agents.site_director.ce_desk import CeDesk
from agents.site_director.ce_worker import Event as CeEvent
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilot_manager import JobsOf
from agents.site_director.pilots import Pilot, State
from agents.site_director.supply import Choice, Memory, Orders, Outcome, WaitingJobs
from agents.site_director.views import Known, Past, WorkSince

log = EventLog("site_director")

_AT_MOST_EVERY_S, _AT_LEAST_EVERY_S = 1.0, 30.0
_OLD_JOBS_S = 120.0  # after this, what pilots do is unknown: those that could have a job are taken to have one
_OLD_DEMAND_S = 120.0  # after this, what waits is unknown: nothing is submitted and nothing taken back
_VERDICT_S = 600.0  # what is not known of an ended pilot's jobs by then will never be
_CLOSE_S = 5.0
_KEEP_HOUSE_S = 600.0


@dataclass(frozen=True, slots=True)
class DemandSeen:
    """These jobs wait; asked at `at_s`, seconds since 1970."""

    waiting: Sequence[WaitingJobs]
    at_s: float


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """These jobs pilots have, by stamp; asked at `at_s`, seconds since 1970."""

    jobs: Mapping[str, JobsOf]
    at_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """End now; pilots go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """A thread of ours has ended by an error that nobody foresaw."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Announced:
    """The WMS knows pilots that it did not know."""


Event = CeEvent | DemandSeen | JobsSeen | Announced | Stop | Crashed


class Director:
    """See the module.

    Args:
        desks: one for each queue, by its name.
        ledger: of all pilots.
        choice: what the law may choose.
        start_up_s: from a pilot's start to its first question.
        announce: has the WMS told of new pilots, soon.
        keep_house: removes what is old; called now and then.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        desks: Mapping[str, CeDesk],
        ledger: PilotLedger,
        events: "queue.SimpleQueue[Event]",
        *,
        choice: Choice,
        start_up_s: float,
        announce: Callable[[], None] = lambda: None,
        keep_house: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._desks = desks
        self._ledger = ledger
        self._events = events
        self._choice = choice
        self._start_up_s = start_up_s
        self._announce = announce
        self._keep_house = keep_house
        self._clock = clock
        self._memory = Memory()
        self._waiting: Sequence[WaitingJobs] = ()
        self._demand_s = self._jobs_s = -1e9
        self._began_s = clock()
        self._since = WorkSince({})
        self._untold = {p.stamp: p for p in ledger.ended(500) if not p.is_told}
        self._past = {name: self._past_of(name) for name in desks}
        self._decided_s = self._kept_s = -1e9
        self._is_new = True
        self._standing: list[tuple[bool, bool]] = []  # of the CEs, at the last turn
        self._holds: Mapping[str, str] = {}
        self._stopped = ""

    def run(self) -> str:
        """Work until told to stop; return why.

        Raises:
            NodeUnfit: the ledger cannot be written: without it nothing may be submitted.
        """
        while not self._stopped:
            self.turn(0.5)
        for desk in self._desks.values():
            desk.close(_CLOSE_S)
        return self._stopped

    def turn(self, wait_s: float) -> None:
        """Hear what there is, look after all CEs, and decide when that is due."""
        try:
            event = self._events.get(timeout=wait_s)
            while True:
                self._hear(event)
                event = self._events.get_nowait()
        except queue.Empty:
            pass
        for desk in self._desks.values():
            desk.look_after()
        standing = [(desk.is_shut, desk.is_doubtful) for desk in self._desks.values()]
        self._is_new |= standing != self._standing
        self._standing = standing
        now_s = self._clock()
        age_s = abs(now_s - self._decided_s)  # the clock may be set
        if age_s >= _AT_LEAST_EVERY_S or (self._is_new and age_s >= _AT_MOST_EVERY_S):
            self._decide(now_s)

    def watched(self) -> list[Pilot]:
        """Return the pilots of whose jobs something is to be found out. Any thread may ask."""
        running = [p for desk in self._desks.values() for p in list(desk.pilots.values()) if p.started_s]
        return [*running, *list(self._untold.values())]

    # ---- events

    def _hear(self, event: Event) -> None:
        match event:
            case Stop(reason=reason):
                self._stopped = reason
            case Crashed(error=error):
                raise error
            case DemandSeen(waiting=waiting, at_s=at_s):
                self._is_new |= list(waiting) != list(self._waiting)
                self._waiting, self._demand_s = waiting, at_s
                self._since = self._since.seen(waiting, self._clock())
            case JobsSeen():
                self._take_jobs(event)
            case Announced():  # the desks look by themselves
                pass
            case _:
                desk = self._desks[event.queue]
                before = desk.changes
                ended = desk.heard(event)
                self._is_new |= desk.changes != before  # thousands of pilots are not counted again for nothing
                self._untold |= {pilot.stamp: pilot for pilot in ended}

    def _take_jobs(self, seen: JobsSeen) -> None:
        """Write what pilots do; an ended one is judged by what was asked after its end."""
        self._jobs_s = self._clock()
        for name, desk in self._desks.items():
            known = [desk.pilots[stamp] for stamp in seen.jobs if stamp in desk.pilots]
            now_s = self._clock()
            changed = [new for pilot in known if (new := _with_jobs(pilot, seen.jobs[pilot.stamp], now_s)) is not pilot]
            desk.know(changed)
            self._is_new |= bool(changed)
            over = [
                p for p in self._untold.values() if p.queue == name and p.stamp in seen.jobs and p.ended_s <= seen.at_s
            ]
            self._judge([_with_jobs(pilot, seen.jobs[pilot.stamp], seen.at_s) for pilot in over])

    def _judge(self, pilots: Sequence[Pilot]) -> None:
        judged = [replace(p, found_work=self._since.verdict(p), is_told=True, is_busy=False) for p in pilots]
        fetched = self._ledger.of([pilot.stamp for pilot in judged])
        self._ledger.save([replace(p, is_fetched=p.is_fetched or fetched[p.stamp].is_fetched) for p in judged])
        self._past |= {name: self._past_of(name) for name in {pilot.queue for pilot in judged}}
        for pilot in judged:
            self._untold.pop(pilot.stamp, None)
            log.info("pilot.ended", queue=pilot.queue, state=pilot.state, jobs=pilot.jobs, why=pilot.why)

    def _with_untold(self, name: str, past: Past) -> Past:
        """Return the past with those that died at once though work waited: what the WMS knows of them may come late."""
        dead = [p for p in self._untold.values() if p.queue == name and self._since.died_at_once(p)]
        return replace(
            past, outcomes=[*past.outcomes, *(Outcome(found_work=False, was_probe=p.is_probe) for p in dead)]
        )

    def _past_of(self, name: str) -> Past:
        newest = self._ledger.newest(name, 1)
        return Past(
            waits_s=self._ledger.waits_s(name),
            outcomes=self._ledger.outcomes(name),
            last_submitted_s=newest[0].decided_s if newest else 0.0,
        )

    # ---- decisions

    def _decide(self, now_s: float) -> None:
        self._decided_s, self._is_new = now_s, False
        self._refresh(now_s)
        if abs(now_s - self._demand_s) > _OLD_DEMAND_S:
            self._note("what waits is not known", None)
            return
        known = Known(
            are_jobs_known=self._are_jobs_known(now_s),
            queues=[desk.queue for desk in self._desks.values()],
            pilots=[pilot for desk in self._desks.values() for pilot in desk.pilots.values()],
            past={name: self._with_untold(name, past) for name, past in self._past.items()},
            waiting=self._waiting,
            asked_s=self._demand_s,
            start_up_s=self._start_up_s,
            shut={name for name, desk in self._desks.items() if desk.is_shut or name in self._holds},
            unseen={name for name, desk in self._desks.items() if desk.is_unseen},
            doubtful={name for name, desk in self._desks.items() if desk.is_doubtful},
            memory=self._memory,
        )
        orders = law.decide(views.situation(now_s, known), self._choice)
        self._memory = orders.memory
        self._obey(orders, now_s)
        self._note("", orders)

    def _are_jobs_known(self, now_s: float) -> bool:
        """Tell whether the WMS has told lately what pilots do; who has just begun believes what is written down."""
        return min(abs(now_s - self._jobs_s), abs(now_s - self._began_s)) <= _OLD_JOBS_S  # the clock may be set

    def _refresh(self, now_s: float) -> None:
        """Look again at what others have written, and at what nobody will ever know."""
        self._holds = self._ledger.holds()
        if abs(now_s - self._kept_s) >= _KEEP_HOUSE_S:
            self._kept_s = now_s
            self._ledger.forget_old()
            self._keep_house()
        for desk in self._desks.values() if abs(now_s - self._jobs_s) <= _OLD_JOBS_S else ():
            desk.know(self._since.met(desk.pilots.values(), now_s, self._start_up_s))
        for pilot in [p for p in self._untold.values() if now_s - p.ended_s > _VERDICT_S]:
            self._untold.pop(pilot.stamp)
            found_work = False if self._since.died_at_once(pilot) else None
            self._ledger.save([replace(pilot, is_told=True, found_work=found_work)])
        started = {
            p.queue for desk in self._desks.values() for p in desk.pilots.values() if p.started_s > self._decided_s - 60
        }
        self._past |= {name: self._past_of(name) for name in started}

    def _obey(self, orders: Orders, now_s: float) -> None:
        for name, number in orders.cancel.items():
            self._desks[name].take_back(number)
        for name, number in orders.submit.items():
            desk = self._desks[name]
            new = [
                Pilot(
                    stamp=secrets.token_hex(16),
                    queue=name,
                    processors=desk.queue.processors,
                    state=State.DECIDED,
                    decided_s=now_s,
                    is_probe=name in orders.probes,
                )
                for _ in range(number)
            ]
            try:
                desk.submit(new)
            except CredentialError as error:
                log.error("pilots.not_submitted", queue=name, number=number, cause=error)
                return
            self._past[name] = replace(self._past[name], last_submitted_s=now_s)
            self._is_new |= desk.is_doubtful  # on whose pilot nobody counts: others have their turn at once
        if orders.submit:
            self._announce()

    def _note(self, sentence: str, orders: Orders | None) -> None:
        """Leave word for `status` of what was thought."""
        facts: dict[str, object] = {
            "at_s": self._decided_s,
            "sentence": sentence,
            "ces": {name: desk.why for name, desk in self._desks.items()},
            "prices": {name: desk.queue.price for name, desk in self._desks.items()},
        }
        if orders is not None:
            facts["plan"] = {
                "need": orders.need,
                "in_time": orders.in_time,
                "ready": orders.ready,
                "lack": orders.lack,
                "submit": dict(orders.submit),
                "cancel": dict(orders.cancel),
                "queues": {name: [round(j.lead_s, 1), round(j.trust, 2)] for name, j in orders.judged.items()},
            }
        self._ledger.note(facts)


def _with_jobs(pilot: Pilot, jobs: JobsOf, at_s: float) -> Pilot:
    """Return the pilot with what was seen of its jobs; how many it has had never becomes less."""
    has_another = jobs.number > pilot.jobs
    has_begun = jobs.is_busy and (has_another or not pilot.is_busy)
    is_idle_now = not jobs.is_busy and (has_another or pilot.is_busy)
    if not (has_another or has_begun or is_idle_now):
        return pilot
    return replace(
        pilot,
        jobs=max(pilot.jobs, jobs.number),
        is_busy=jobs.is_busy,
        busy_since_s=at_s if has_begun else pilot.busy_since_s,
        idle_since_s=at_s if is_idle_now else pilot.idle_since_s,
    )
