"""All that is done with one queue's CE: what is ordered next, and what its answers mean for the pilots in the ledger.

The director's main thread calls everything here. Each step is in the ledger before its order is given.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.errors import CredentialError
from agents.log import EventLog
from agents.site_director import outputs
from agents.site_director.ce_health import WELL, CeHealth
from agents.site_director.ce_worker import (
    Bring,
    Brought,
    Cancel,
    Cancelled,
    CeWorker,
    Event,
    Failed,
    Find,
    Found,
    Poll,
    Polled,
    Renewed,
    Submit,
    Submitted,
)
from agents.site_director.desk_terms import Pace, Papers
from agents.site_director.ledger import PilotLedger
from agents.site_director.pilots import Pilot, PilotReport, State
from agents.site_director.queues import PilotQueue
from ce_backends.base import Accepted, Rejected, TaskState, TaskStatus, Uncertain

log = EventLog("site_director")

_MOST_LEFT_BEHIND = 3  # threads that hang in a call
_LOOKS_BEFORE_AGAIN = 3  # for a stamp that the CE does not know; then it is submitted again, under the same stamp
_AT_ONCE = 200
_STATE_OF = {TaskState.DONE: State.DONE, TaskState.FAILED: State.FAILED, TaskState.ABORTED: State.ABORTED}


@dataclass(slots=True)
class _Rests:
    polled_s: float = -1e9
    found_s: float = -1e9
    cancelled_s: float = -1e9
    looks: dict[str, int] = field(default_factory=dict)  # by stamp, in which the CE did not know it


class CeDesk:
    """See the module.

    Args:
        queue: it is about.
        hire: makes a worker; called again when one was left behind in a call that hangs.
        ledger: of all pilots.
        papers: of its pilots.
        pace: how often.
        outputs_dir: folder in which each ended pilot's output gets one of its own.
        jitter: spreads what is tried again.
        clocks: the wall clock and the monotonic one.
    """

    def __init__(
        self,
        queue: PilotQueue,
        hire: Callable[[], CeWorker],
        ledger: PilotLedger,
        papers: Papers,
        *,
        pace: Pace,
        outputs_dir: Path,
        jitter: Callable[[], float],
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.time, time.monotonic),
    ) -> None:
        self.queue = queue
        self.taking = self.seeing = WELL  # to submit; and all other calls
        self.pilots = {pilot.stamp: pilot for pilot in ledger.open() if pilot.queue == queue.name}
        self.changes = 0  # how often something of its pilots became another
        self.is_unseen = False  # what is known of its pilots is old
        self._to_bring = [p for p in ledger.newest(queue.name, _AT_ONCE) if _is_to_bring(p)]
        self._hire = hire
        self._worker = hire()
        self._ledger = ledger
        self._papers = papers
        self._pace = pace
        self._outputs = outputs_dir
        self._jitter = jitter
        self._wall, self._now = clocks
        self._rests = _Rests()
        self._fresh: set[str] = set()  # submitted once, and not answered yet
        self._by_state: Mapping[State, Sequence[Pilot]] | None = None  # the pilots, until one of them changes
        self._left_behind = 0  # calls that were given up and may still hang
        self._drop([p for p in self.pilots.values() if p.state is State.DECIDED], "it was never submitted")

    @property
    def is_shut(self) -> bool:
        """Tell whether it takes no pilots now."""
        now, is_lost = self._now(), self._left_behind >= _MOST_LEFT_BEHIND
        return is_lost or self.is_unseen or self.taking.rests(now) or self.seeing.rests(now)

    @property
    def is_doubtful(self) -> bool:
        """Tell whether pilots that it may have are not to be counted on."""
        return self.is_unseen or self.taking is not WELL or self.seeing is not WELL

    @property
    def why(self) -> str:
        """What is wrong with it, empty while all is well."""
        return self.seeing.why or self.taking.why

    # ---- orders

    def submit(self, pilots: Sequence[Pilot]) -> None:
        """Submit new pilots: decided, then made known to the WMS, then about to be submitted, then given to the CE.

        Raises:
            CredentialError: there is no proxy for them; nothing was written.
        """
        self._papers.tasks(pilots)
        self._keep(pilots, [PilotReport(pilot.stamp, "Submitted") for pilot in pilots])

    def _hand_over(self, decided: Sequence[Pilot]) -> None:
        """Give those to the CE that the WMS knows; a WMS that does not answer is not waited for for long."""
        now_s = self._wall()
        due = [p for p in decided if self._papers.is_announced(p) or abs(now_s - p.decided_s) > self._pace.announce_s]
        if not due:
            return
        try:
            tasks = self._papers.tasks(due)
        except CredentialError as error:
            self._drop(due, str(error))
            return
        ends_s = self._papers.proxy.ends_s if self._papers.proxy else 0.0
        self._keep([replace(pilot, state=State.SUBMITTING, proxy_ends_s=ends_s) for pilot in due])
        self._fresh |= {pilot.stamp for pilot in due}
        self._worker.order(Submit(tasks))

    def take_back(self, number: int) -> None:
        """Cancel so many of the pilots that wait, the newest."""
        waiting = sorted((p for p in self.pilots.values() if p.state is State.WAITING), key=lambda p: -p.submitted_s)
        chosen = [replace(pilot, state=State.CANCELLING, why="no job needs it") for pilot in waiting[:number]]
        if chosen:
            self._keep(chosen)
            log.info("pilots.taken_back", queue=self.queue.name, number=len(chosen))
            self._cancel(chosen)

    def look_after(self) -> None:
        """Order what is due. Nothing here waits."""
        now = self._now()
        if self._worker.hangs_s > self._pace.call_s:
            self._give_up_call()
        self._hand_over(self._in_state()[State.DECIDED])
        if self.seeing.rests(now) or not self._worker.is_idle:
            return
        in_state = self._in_state()
        doubtful, leaving = in_state[State.SUBMITTING], in_state[State.CANCELLING]
        if doubtful and now - self._rests.found_s >= self._pace.poll_s:
            self._rests.found_s = now
            self._worker.order(Find([pilot.stamp for pilot in doubtful[:_AT_ONCE]]))
        there = (*in_state[State.WAITING], *in_state[State.RUNNING], *leaving)
        if there and now - self._rests.polled_s >= self._pace.poll_s:
            self._rests.polled_s = now
            self._worker.order(Poll([pilot.task_id for pilot in there if pilot.task_id]))
        if leaving and now - self._rests.cancelled_s >= self._pace.cancel_again_s:
            self._cancel(leaving)
        if self._papers.proxy and (order := self._papers.proxy.due(in_state[State.WAITING], self._wall())):
            self._worker.order(order)
        if self._to_bring:
            pilot = self._to_bring[0]
            self._worker.order(Bring(pilot.stamp, pilot.task_id, self._outputs / pilot.stamp))

    def _in_state(self) -> Mapping[State, Sequence[Pilot]]:
        """Return the pilots by state: there may be thousands, and most turns change none."""
        if self._by_state is None:
            self._by_state = {state: [p for p in self.pilots.values() if p.state is state] for state in State}
        return self._by_state

    def close(self, within_s: float) -> None:
        """Let the worker go; pilots go on and are found again."""
        self._worker.leave(within_s)

    def _cancel(self, pilots: Sequence[Pilot]) -> None:
        self._rests.cancelled_s = self._now()
        self._worker.order(Cancel([pilot.task_id for pilot in pilots if pilot.task_id]))

    def _give_up_call(self) -> None:
        """Leave the worker in its call, and take another one after a rest. So many may be left, not more."""
        log.error("ce.hangs", queue=self.queue.name, after_s=self._worker.hangs_s)
        why = f"a call has been going on for {self._worker.hangs_s:.0f} s and was given up"
        self.seeing, self.taking = self._failed_health(self.seeing, why), self._failed_health(self.taking, why)
        if self._left_behind < _MOST_LEFT_BEHIND:
            self._worker.leave()
            self._worker = self._hire()
            self._left_behind += 1

    # ---- answers

    def heard(self, event: Event) -> list[Pilot]:
        """Take an answer; return the pilots that have ended by it."""
        match event:
            case Submitted():
                self._submitted(event)
            case Found():
                self._found(event)
            case Polled():
                return self._polled(event)
            case Cancelled():
                self.seeing = WELL
            case Brought(order=order):
                self._brought(order.stamp)
            case Renewed():
                self._renewed(event)
            case Failed():
                self._failed(event)
        return []

    def _submitted(self, event: Submitted) -> None:
        accepted: dict[str, str] = {}
        refused: dict[str, str] = {}
        self._fresh -= set(event.answers)
        for stamp, answer in event.answers.items():
            if isinstance(answer, Accepted):
                accepted[stamp] = answer.task_id
            elif isinstance(answer, Rejected):
                refused[stamp] = answer.reason
        self._accept(accepted)
        self._drop([self.pilots[stamp] for stamp in refused if stamp in self.pilots], next(iter(refused.values()), ""))
        doubts = [answer.reason for answer in event.answers.values() if isinstance(answer, Uncertain)]
        if refused:
            self.taking = self._failed_health(self.taking, f"it refuses pilots: {next(iter(refused.values()))}")
        elif doubts:
            self.taking = self._failed_health(self.taking, f"it may have pilots: {doubts[0]}")
        else:
            self.taking = WELL

    def _accept(self, task_ids: dict[str, str]) -> None:
        now_s = self._wall()
        stamps = [s for s in task_ids if s in self.pilots and self.pilots[s].state is State.SUBMITTING]
        accepted = [
            replace(self.pilots[stamp], state=State.WAITING, task_id=task_ids[stamp], submitted_s=now_s)
            for stamp in stamps
        ]
        self._keep(accepted, [PilotReport(pilot.stamp, "Waiting") for pilot in accepted])
        for stamp in stamps:
            self._rests.looks.pop(stamp, None)
        if accepted:
            log.info("pilots.submitted", queue=self.queue.name, number=len(accepted))

    def _found(self, event: Found) -> None:
        self.seeing = WELL
        self._accept(dict(event.task_ids))
        again = []
        for stamp in event.order.stamps:
            if stamp in self.pilots and self.pilots[stamp].state is State.SUBMITTING:
                self._rests.looks[stamp] = self._rests.looks.get(stamp, 0) + 1
                if self._rests.looks[stamp] >= _LOOKS_BEFORE_AGAIN:
                    again.append(self.pilots[stamp])
        if again and not self.taking.rests(self._now()):
            self._submit_again(again)

    def _submit_again(self, pilots: Sequence[Pilot]) -> None:
        try:
            tasks = self._papers.tasks(pilots)
        except CredentialError as error:  # they are looked for again meanwhile
            log.error("pilots.not_submitted", queue=self.queue.name, number=len(pilots), cause=error)
            return
        log.warning("pilots.submitted_again", queue=self.queue.name, number=len(pilots))
        for pilot in pilots:
            self._rests.looks.pop(pilot.stamp)
        self._worker.order(Submit(tasks))

    def _polled(self, event: Polled) -> list[Pilot]:
        self.is_unseen = event.age_s > max(3 * self._pace.poll_s, 30.0)
        if self.is_unseen:
            reason = next((status.reason for status in event.statuses.values() if status.reason), "")
            why = reason or f"the batch system has not answered for {event.age_s:.0f} s"
            self.seeing = self._failed_health(self.seeing, why)
        else:
            self.seeing = WELL
        by_task = {pilot.task_id: pilot for pilot in self.pilots.values() if pilot.task_id}
        changed, reports, ended = [], [], []
        for task_id, status in event.statuses.items():
            pilot = by_task.get(task_id)
            moved = self._moved(pilot, status) if pilot else None
            if moved is not None:
                changed.append(moved)
                reports.append(PilotReport(moved.stamp, moved.state, moved.why))
                ended += [moved] if moved.state.is_final else []
        self._keep(changed, reports)
        self._to_bring += [pilot for pilot in ended if _is_to_bring(pilot)]
        return ended

    def _moved(self, pilot: Pilot, status: TaskStatus) -> Pilot | None:
        """Return the pilot as the CE sees it now, None where nothing is new; what is not known has not ended."""
        now_s = self._wall()
        if status.state is TaskState.RUNNING and not pilot.started_s:
            is_leaving = pilot.state is State.CANCELLING
            return replace(pilot, state=pilot.state if is_leaving else State.RUNNING, started_s=now_s)
        if status.state.is_final:
            has_failed = status.exit_code not in (None, 0)
            state = State.FAILED if has_failed else _STATE_OF[status.state]
            state = State.ABORTED if pilot.state is State.CANCELLING else state
            began = pilot.started_s or (now_s if status.state is TaskState.DONE else 0.0)  # it was quick
            why = pilot.why or _why(status)
            return replace(pilot, state=state, started_s=began, ended_s=now_s, why=why[:300])
        return None

    def _renewed(self, event: Renewed) -> None:
        """Take note of new proxies; who would start with one that is too short is taken back, and another one comes."""
        assert self._papers.proxy
        waiting = {p.task_id: p for p in self.pilots.values() if p.state is State.WAITING}
        changed = self._papers.proxy.after(event, waiting, self._wall())
        self._keep(changed)
        if leaving := [pilot for pilot in changed if pilot.state is State.CANCELLING]:
            self._cancel(leaving)

    def _brought(self, stamp: str) -> None:
        brought = [replace(pilot, is_fetched=True) for pilot in self._to_bring if pilot.stamp == stamp]
        self._to_bring = [pilot for pilot in self._to_bring if pilot.stamp != stamp]
        self._keep_ended(brought)

    def _failed(self, event: Failed) -> None:
        if isinstance(event.order, Bring):  # what cannot be had holds nobody up
            self._brought(event.order.stamp)
            log.warning("pilot.output_lost", queue=self.queue.name, stamp=event.order.stamp, cause=event.why)
            return
        if isinstance(event.order, Submit):
            fresh = {task.stamp for task in event.order.tasks} & self._fresh
            self._fresh -= fresh
            if event.is_sure:  # nothing was submitted, neither now nor before
                self._drop([self.pilots[stamp] for stamp in sorted(fresh) if stamp in self.pilots], event.why)
            self.taking = self._failed_health(self.taking, event.why)
        else:
            self.seeing = self._failed_health(self.seeing, event.why)

    def _failed_health(self, before: CeHealth, why: str) -> CeHealth:
        now = self._now()
        after = before.failed(why, now, self._jitter)
        rest_s = after.rest_until_s - now
        log.warning("ce.failed", queue=self.queue.name, failures=after.failures, rest_s=rest_s, cause=why)
        return after

    # ---- the ledger

    def _drop(self, pilots: Sequence[Pilot], why: str) -> None:
        now_s = self._wall()
        dropped = [replace(p, state=State.ABORTED, ended_s=now_s, why=why[:300], is_told=True) for p in pilots]
        self._keep(dropped, [PilotReport(pilot.stamp, pilot.state, pilot.why) for pilot in dropped])

    def _keep(self, pilots: Sequence[Pilot], reports: Sequence[PilotReport] = ()) -> None:
        if pilots:
            self._ledger.save(pilots, reports)
            self._by_state = None
            self.changes += 1
        for pilot in pilots:
            if pilot.state.is_final:
                self.pilots.pop(pilot.stamp, None)
            else:
                self.pilots[pilot.stamp] = pilot

    def _keep_ended(self, brought: Sequence[Pilot]) -> None:
        """Write that outputs are here, on what else has been found out of these pilots meanwhile."""
        now = self._ledger.of([pilot.stamp for pilot in brought])
        for pilot in brought:
            one = now.get(pilot.stamp, pilot)
            why = one.why or outputs.why(self._outputs / one.stamp)
            self._ledger.save([replace(one, is_fetched=True, why=why)])

    def know(self, pilots: Sequence[Pilot]) -> None:
        """Write what else was found out of pilots that have not ended."""
        self._keep(pilots)


def _is_to_bring(pilot: Pilot) -> bool:
    return pilot.state.is_final and bool(pilot.task_id) and not pilot.is_fetched


def _why(status: TaskStatus) -> str:
    if status.reason:
        return status.reason
    return "" if status.exit_code in (None, 0) else f"exit code {status.exit_code}"
