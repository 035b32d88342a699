"""The agent: asks for jobs while the slot has room and time, and follows them to their end.

One thread owns all job state; it sleeps until something happens. See `docs/walk.md`.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from agents.asking import Asking, matched, meaning_of
from agents.errors import (
    AccessDenied,
    BadAnswer,
    ExitCode,
    NoAnswer,
    NodeUnfit,
    PilotRefused,
    Refused,
    ServiceError,
    StopAgent,
)
from agents.jobs.job import MatchedJob
from agents.jobs.tally import Tally
from agents.log import EventLog
from agents.parts import Parts
from agents.process import events as happened
from agents.reasons import Reason, Reasons
from agents.slot.farewell import Patience, jobs_in_words
from agents.slot.idle import Idle
from agents.slot.offer import can_offer, offers
from agents.slot.stop import Stop

log = EventLog("agent")

_LONGEST_SLEEP_S = 5.0  # without any event, look around and at the clock all the same
_FLUSH_SLICE_S = 2.0  # of the wait for the last reports to be accepted, between two looks at what else happens
_LAST_ANSWER_S = 10.0  # for the Matcher's answer when the slot goes away
_LAST_UPLOAD_S = 15.0  # for outputs that are on their way when the slot goes away
_ENDING_SLEEP_S = 1.0
_LAST_LOOKS_S = 150.0  # for a match of ours that was lost to be told from another agent's
_STOP_SIGNAL_S = 5.0  # for payloads that want a signal before they are ended: batch systems give 30 s for everything
_UNFIT_ROUNDS = 3  # looks at a node that is not fit, longer apart each time, before it is given up


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the agent ended, and what it did."""

    reason: str
    exit_code: ExitCode
    tally: Tally


class JobAgent:
    """Runs until there is a reason to end, and everything about its jobs was told."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._reasons = Reasons(parts)
        self._asking = Asking(self._settings.polling_s, parts.clock.jitter)
        self._stop_reason = ""
        self._exit_code = ExitCode.ENDED
        self._is_ending_now = False
        self._uploads_end = float("inf")  # monotonic
        self._is_leaving = False

    def run(self) -> Ending:
        """Work until the end; return why it came."""
        runner = self._parts.runner
        runner.recover()
        self._parts.reporter.start()
        runner.poll()
        self._begin_watch()
        self._handle_what_waits()  # a signal perhaps: nobody who has to end asks for a job first
        self._ask()
        self._parts.begin_ticks()
        is_told = self._work()
        self._parts.chores()
        self._exit_code = self._exit_code or self._asking.end_means  # all is not well without any answer
        if not is_told or self._parts.reporter.untold():
            self._say_untold()
        if (broken := self._parts.slot.broken_processors) and self._parts.slot.processors:
            self._stop_reason += Stop.AND_BROKEN.format(count=broken)
        log.info("agent.ended", reason=self._stop_reason, all_reports_accepted=is_told)
        return Ending(self._stop_reason, self._exit_code, runner.tally)

    def _work(self) -> bool:
        """Work until there is a reason to end and nothing is left to do; tell whether the WMS has heard everything."""
        while True:
            while not self._is_over():
                self._turn()
            is_told = self._tell_all()
            for job in self._parts.runner.jobs.all_but(self._parts.reporter.untold()):
                self._parts.runner.endings.reports_accepted(job.job_id)
            if not is_told or not self._finds_last():
                return is_told

    def _handle_what_waits(self) -> None:
        while event := self._parts.events.next(0.0):
            self._handle(event)

    def _turn(self) -> None:
        event = self._parts.events.next(self._sleep_s())
        self._parts.keep_time()
        self._handle(event)
        self._ask()
        if self._parts.slot.free_processors and not self._stop_reason:
            self._parts.note_idle(self._asking.why_idle())

    def _finds_last(self) -> bool:
        """Look, all else being done, for a match of ours that is still under way; tell whether there was one."""
        tally, self._asking.is_last = self._parts.runner.tally, True
        before, ends = tally.matched, time.monotonic() + _LAST_LOOKS_S
        while tally.matched == before and not (self._is_ending_now or self._is_leaving or self._parts.lost.is_over()):
            if time.monotonic() >= ends:
                break
            self._turn()
        self._asking.is_last = False
        return tally.matched > before

    def _tell_all(self) -> bool:
        """Wait until the WMS has heard of all jobs, as long as the slot has time: minutes are cheap, a job is not."""
        patience = Patience(time.monotonic)
        while not self._parts.reporter.flush(_FLUSH_SLICE_S):
            self._handle_what_waits()
            self._check_deadline()
            if patience.is_over(
                is_now=self._is_ending_now or self._is_leaving, is_end_known=self._parts.monitor.time_left.is_told
            ):
                return False
        return True

    def _say_untold(self) -> None:
        """Let the last sentence and the exit code tell of the jobs of which the WMS does not know how they ended."""
        self._stop_reason += Stop.NOT_TOLD.format(jobs=jobs_in_words(self._parts.reporter.untold()))
        if self._exit_code is ExitCode.ENDED:
            self._exit_code = ExitCode.SERVICE_MISSING

    def close(self) -> None:
        """Stop the reporter's thread, and let go of the jobs; what was not sent stays in the ledger."""
        self._parts.reporter.stop()
        with suppress(StopAgent):  # a ledger that cannot be written is what has ended us
            self._parts.runner.let_go()

    def _begin_watch(self) -> None:
        monitor, workers = self._parts.monitor, self._parts.workers
        self._asking.awaits_batch_system = monitor.waits_for_batch_system
        workers.start(happened.by_result(happened.SlotEndsFound, monitor.ask_ends))
        if monitor.benchmark:
            workers.start(happened.by_result(happened.PowerMeasured, monitor.measure_power))

    def _is_over(self) -> bool:
        awaits_a_job = self._asking.is_waiting and time.monotonic() < self._asking.patience_ends
        is_idle = bool(self._stop_reason) and not self._parts.runner.jobs.working
        return (self._is_leaving or is_idle) and not awaits_a_job

    def _sleep_s(self) -> float:
        if self._is_ending_now:
            return _ENDING_SLEEP_S
        if not self._asking.is_put_off:
            return _LONGEST_SLEEP_S
        return min(_LONGEST_SLEEP_S, max(0.0, self._asking.waits_until - time.monotonic()))

    # ---- events ----

    def _handle(self, event: happened.Event | None) -> None:
        """Let the event have its effect."""
        match event:
            case happened.MatchAnswered() | happened.LookedForLost():
                self._answered(event)
            case happened.Staged() | happened.StepBegun() | happened.Delivered() | happened.Undelivered():
                self._parts.runner.moved(event)
            case happened.DataDelivered() | happened.DataDelayed():
                self._parts.runner.moved(event)
            case happened.ReportsAccepted() | happened.EndNotHeld() | happened.KillOrdered() | happened.JobLost():
                with self._parts.runner.belonging_to(event.job_id):
                    self._told_by_wms(event)
            case happened.HeartbeatDue() | happened.ChoresDue() | happened.ChoresDone():
                self._on_time(event)
            case happened.SlotEndsDue() | happened.SlotEndsFound() | happened.PowerMeasured() | happened.LookAround():
                self._about_slot(event)
            case happened.SignalReceived():
                self._signalled(event)
            case happened.Crashed(error, job_id):
                self._crashed(error, job_id)
            case happened.TaskChanged() | happened.JobsConfirmed() | None:
                self._look_around(is_confirmed=isinstance(event, happened.JobsConfirmed))

    def _crashed(self, error: BaseException, job_id: int | None) -> None:
        """End the job that an error belongs to, or the agent where it belongs to none."""
        if job_id is None:
            raise error
        self._parts.runner.crashed(job_id, error)

    def _told_by_wms(
        self, event: happened.ReportsAccepted | happened.EndNotHeld | happened.KillOrdered | happened.JobLost
    ) -> None:
        """Do what the WMS wants, or go on after what it took."""
        runner = self._parts.runner
        match event:
            case happened.ReportsAccepted(job_id):
                runner.endings.reports_accepted(job_id)
            case happened.EndNotHeld(job_id, held):
                runner.endings.say_again(job_id, held)
            case happened.KillOrdered(job_id, is_fresh):
                runner.kill(job_id, is_fresh=is_fresh)
            case happened.JobLost(job_id):
                runner.taken_away(job_id)

    def _on_time(self, event: happened.HeartbeatDue | happened.ChoresDue | happened.ChoresDone) -> None:
        """Do what comes again and again."""
        match event:
            case happened.HeartbeatDue():
                self._parts.heartbeat()
            case happened.ChoresDue():
                self._parts.workers.start(self._parts.chores)
            case happened.ChoresDone(renewed):
                self._parts.runner.renewed(renewed)

    def _about_slot(
        self, event: happened.SlotEndsDue | happened.SlotEndsFound | happened.PowerMeasured | happened.LookAround
    ) -> None:
        """Ask about the slot, or take in what was answered; the next offer knows it."""
        match event:
            case happened.SlotEndsDue():
                self._parts.workers.start(happened.by_result(happened.SlotEndsFound, self._parts.monitor.ask_ends))
            case happened.SlotEndsFound(told):
                self._parts.monitor.time_left.update(told)
                self._asking.awaits_batch_system = False
            case happened.LookAround():
                self._parts.monitor.look_again()
                self._look_around()
            case happened.PowerMeasured(hs06):
                self._parts.monitor.power.hs06 = hs06 or self._parts.monitor.power.hs06

    def _look_around(self, *, is_confirmed: bool = False) -> None:
        """See what tasks do, go on with those that are confirmed; a slot that became free is offered at once."""
        runner = self._parts.runner
        if is_confirmed:
            runner.confirmed()
        before = len(runner.jobs.running)
        runner.poll()
        if len(runner.jobs.running) < before:
            self._asking.not_before = 0.0
        self._check_stop_conditions()
        self._check_deadline()
        self._check_uploads()

    def _check_stop_conditions(self) -> None:
        if reason := self._reasons.to_stop():
            self._stop_for(reason)

    def _stop_for(self, reason: Reason) -> None:
        self._stop(reason.sentence, reason.idle)
        if reason.exit_code is not ExitCode.ENDED:
            self._exit_code = reason.exit_code

    def _check_deadline(self) -> None:
        """Hand back what runs when only the margin for bringing results away is left of the slot."""
        time_left = self._parts.monitor.time_left
        if self._is_ending_now or not time_left.is_known:
            return
        self._parts.runner.ask_to_stop(time_left.usable_s())
        if time_left.usable_s() > 0:
            return
        reason = Stop.SLOT_ENDS.format(source=time_left.source)
        self._stop(reason, Idle.LITTLE_LEFT)
        self._parts.runner.hand_back_all(reason, _STOP_SIGNAL_S)
        self._end_now(time_left.seconds() / 2)

    def _end_now(self, upload_s: float) -> None:
        """End as soon as nothing runs any more and outputs are away, or this time for them is over."""
        self._is_ending_now = True
        self._uploads_end = min(self._uploads_end, time.monotonic() + max(upload_s, _LAST_UPLOAD_S))

    def _check_uploads(self) -> None:
        if time.monotonic() > self._uploads_end:
            self._parts.runner.endings.give_up_deliveries(self._stop_reason)

    def _stop(self, reason: str, idle: Idle = Idle.DRAINING) -> None:
        """Take no more jobs; the first reason stays."""
        if not self._stop_reason:
            log.info("agent.stopping", reason=reason)
            self._stop_reason = reason
            self._parts.note_idle(idle)

    def _signalled(self, event: happened.SignalReceived) -> None:
        """Drain; when the slot goes away hand back what runs, the second time without any more grace."""
        reason, self._asking.has_to_end = Stop.SIGNAL.format(signal=event.name), True
        self._stop(reason)
        if event.is_urgent:
            self._asking.patience_ends = min(self._asking.patience_ends, time.monotonic() + _LAST_ANSWER_S)
        if event.is_urgent and self._parts.leaves_tasks:  # they run elsewhere, and are found again
            working = len(self._parts.runner.jobs.working)
            log.info("tasks.left", jobs=working, note="the next agent here goes on with them")
            self._is_leaving = True
        elif event.is_urgent:
            self._parts.runner.hand_back_all(reason, _STOP_SIGNAL_S)
            if self._is_ending_now:  # the second time means: now
                self._parts.runner.kill_now()
            self._end_now(_LAST_UPLOAD_S)

    # ---- asking for work ----

    def _ask(self) -> None:
        """Offer what is free, unless there is a reason not to. At most one request is under way."""
        self._asking.is_put_off = False
        self._asking.pause_after(self._parts.runner.tally.host_failures_in_a_row)
        if self._asking.is_waiting:
            return
        if self._parts.lost.is_due(is_end=self._asking.is_last):
            self._asking.is_waiting = True
            self._parts.workers.start(happened.by_result(happened.LookedForLost, self._parts.lost.look))
            return
        may_ask = not (self._stop_reason or self._asking.awaits_batch_system or self._parts.lost.may_have_found)
        if not may_ask:
            return
        self._asking.has_room = self._has_room()
        if not self._asking.has_room:
            return
        if time.monotonic() < self._asking.waits_until:
            self._asking.is_put_off = True
            return
        self._check_before_asking()
        if not self._stop_reason:
            self._request()

    def _has_room(self) -> bool:
        jobs = self._parts.runner.jobs
        if self._settings.takes_one_job and jobs.working:
            return False
        if jobs.is_clearing or not self._parts.monitor.breaker.lets_try(len(jobs.working)):
            return False
        return can_offer(self._settings, self._parts.slot) and self._parts.ledger.has_space()

    def _check_before_asking(self) -> None:
        self._check_stop_conditions()
        if reason := self._reasons.not_to_ask(self._asking.requests, self._asking.empty_in_a_row):
            self._stop_for(reason)

    def _request(self) -> None:
        work_left = self._parts.monitor.time_left.work_hs06s(self._parts.monitor.power.hs06)
        descriptions = offers(
            replace(self._settings, pilot_benchmark_hs06=self._parts.monitor.power.hs06),
            self._parts.slot,
            work_left_hs06s=work_left,
            requirements=self._parts.requirements,
            first=self._asking.requests == 0,
        )
        self._asking.is_waiting = True
        self._asking.requests += 1
        self._parts.workers.start(matched, self._parts, descriptions)

    def _answered(self, event: happened.MatchAnswered | happened.LookedForLost) -> None:
        self._asking.is_waiting = False
        match event:
            case happened.MatchAnswered(None, error):
                self._not_matched(error)
            case happened.MatchAnswered(matched) | happened.LookedForLost(matched) if matched:
                self._take(matched)
                self._parts.lost.taken()

    def _take(self, matched: MatchedJob) -> None:
        """Go on with a job that is ours now."""
        self._asking.empty_in_a_row = self._asking.unfit_in_a_row = 0
        self._asking.not_before, self._asking.is_last = 0.0, False
        self._asking.last_meaning = ExitCode.ENDED
        if self._is_ending_now:
            self._parts.runner.hand_back_unstarted(matched, self._stop_reason)
        else:
            self._parts.runner.accept(matched)

    def _not_matched(self, error: ServiceError | StopAgent | None) -> None:
        """Wait before the next request, longer each time; or end when the WMS will never give a job."""
        match error:
            case PilotRefused() | AccessDenied():
                self._stop(Stop.REFUSED.format(cause=error), Idle.NO_ANSWER)
                self._exit_code = ExitCode.PILOT_REFUSED
            case NodeUnfit():
                self._found_unfit(error)
            case NoAnswer() | BadAnswer():
                log.error("match.uncertain", cause=error, note="a job may have been matched, and is looked for")
            case Refused():
                log.warning("match.refused", cause=error)
            case ServiceError():
                log.warning("match.unreachable", cause=error)
            case None:
                log.info("match.empty", in_a_row=self._asking.empty_in_a_row + 1)
        retry_after_s = error.retry_after_s if isinstance(error, ServiceError) else None
        self._asking.has_brought_nothing(meaning_of(error), retry_after_s or 0.0)

    def _found_unfit(self, error: NodeUnfit) -> None:
        """Look again later, for what runs may be the cause; give the node up when it is idle and stays unfit."""
        log.error("node.unfit", cause=error)
        if self._asking.unfit_in_a_row + 1 >= _UNFIT_ROUNDS and not self._parts.runner.jobs.working:
            self._stop(Stop.UNFIT.format(cause=error), Idle.UNFIT)
            self._exit_code = ExitCode.NODE_UNFIT
