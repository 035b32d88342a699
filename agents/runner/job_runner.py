"""Moves jobs from their match to their confirmed end. All methods are called by the agent's one main thread."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.errors import Blame, HandBack, JobError, StopAgent
from agents.jobs import outcome
from agents.jobs.job import Job, JobStatus, MatchedJob, Minor, Outcome, Phase
from agents.jobs.ledger import Ledger, Report
from agents.jobs.report import Reports
from agents.jobs.tally import Tally
from agents.jobs.unforeseen import noted
from agents.log import EventLog
from agents.process.events import OfFiles, Staged, StepBegun, Workers
from agents.reporting.reporter import Reporter
from agents.runner.context import JobContext
from agents.runner.deliveries import Deliveries
from agents.runner.endings import Endings
from agents.runner.in_hand import JobsInHand, Journal
from agents.runner.recovery import Recovery, Steps
from agents.runner.signal_deaths import SignalDeaths
from agents.runner.staging import Staging
from agents.runner.task_spec import description_of, granted, task_of
from agents.runner.tasks import Tasks
from agents.runner.workflows import staged
from agents.slot.allocation import Slot
from ce_backends.base import Accepted, Activity, ComputingElement, Rejected, TaskState, TaskStatus
from ce_backends.errors import CEBroken, CEError, CEMisconfigured, CEUnavailable
from ce_backends.linux.processes import boot_s

log = EventLog("jobs")


class JobRunner:
    """The jobs in hand."""

    def __init__(
        self,
        *,
        context: JobContext,
        slot: Slot,
        ce: ComputingElement,
        ledger: Ledger,
        reports: Reports,
        reporter: Reporter,
        staging: Staging,
        workers: Workers,
    ) -> None:
        self._around = context
        self._slot = slot
        self._tasks = Tasks(ce, may_begin=self._is_on_disk)
        self._ledger = ledger
        self._reports = reports
        self._staging = staging
        self._workers = workers
        self._deaths = SignalDeaths()
        self._given_up: set[int] = set()
        self.jobs = JobsInHand()
        self.tally = Tally()
        self._journal = Journal(self.jobs, ledger, reporter)
        self.endings = Endings(
            context=context,
            slot=slot,
            tasks=self._tasks,
            reports=reports,
            deliveries=Deliveries(staging, workers, context),
            journal=self._journal,
            jobs=self.jobs,
            tally=self.tally,
        )
        self._recovery = Recovery(
            Steps(belonging_to=self.belonging_to, go_on=self._go_on, give_up=self._give_up),
            jobs=self.jobs,
            journal=self._journal,
            ledger=ledger,
            slot=slot,
            tally=self.tally,
        )

    def let_go(self) -> None:
        """Write down that nobody is at any job, and leave no credential behind that none of them needs."""
        self.endings.let_go()
        self._staging.let_go(self.jobs.all)

    def activity(self, job: Job) -> Activity | None:
        """Return what a job's payload was last seen to do, None where the CE does not look."""
        return self._tasks.activity(job.task_id)

    # ---- from match to start ----

    def accept(self, matched: MatchedJob) -> None:
        """Take a job on: grant it its processors and begin to stage its inputs."""
        former = self.jobs.get(matched.job_id)
        if former and former.phase is Phase.REPORTING:  # handed back, and here again before its last word was confirmed
            self.endings.overtake(former)
        elif former:
            log.error("job.matched_twice", job_id=matched.job_id, blame=Blame.SERVER)
            return
        job = Job(matched=matched, stamp=uuid.uuid4().hex, attempt=self._ledger.attempts(matched.job_id) + 1)
        self.tally.matched += 1
        whose = {"owner": matched.owner, "group": matched.group}
        log.info("job.matched", job_id=job.job_id, attempt=job.attempt, stamp=job.stamp, **whose)
        job = job.to(JobStatus.MATCHED, Minor.RECEIVED)
        self._journal.save(job, self._reports.received(job))
        with self.belonging_to(job.job_id):
            self._go_on(job)

    def _prepare(self, job: Job) -> None:
        description = description_of(job)
        self.jobs.describe(job, description)
        grant = granted(self._slot, description, self._around)
        has_all = self._staging.has_all(job, description)
        phase = Phase.SUBMITTING if has_all else Phase.STAGING
        job = replace(job, grant=grant, phase=phase, boot=self._around.boot, name=description.shown_name)
        job, said = self._reports.beginning(job, description, self._around.told)
        self._journal.save(job, *said)
        if has_all:
            self._hand_over(job)
        else:
            self._stage(job)

    def _stage(self, job: Job) -> None:
        description = self.jobs.description(job)
        workers = self._staging.data.workers if description.brings_data else self._workers
        workers.start(staged, job, description, self._staging, self._around, of=job.job_id)

    def moved(self, event: OfFiles) -> None:
        """Go on with a job whose files were brought here or away, or could not be."""
        with self.belonging_to(event.job_id):
            match event:
                case Staged():
                    self.staged(event)
                case StepBegun():
                    self._step_begun(event)
                case _:
                    self.endings.moved(event)

    def _step_begun(self, event: StepBegun) -> None:
        """Tell the WMS what is being done for a job that is staged."""
        job = self.jobs.get(event.job_id)
        if job and job.phase is Phase.STAGING and job.end is None:
            job = job.to(JobStatus.RUNNING, event.minor_status)
            self._journal.save(job, self._reports.by_wrapper(job))

    def staged(self, event: Staged) -> None:
        """Go on with a job whose inputs are here; end it when they cannot be had."""
        job = self.jobs.get(event.job_id)
        if job is None or job.phase is not Phase.STAGING:
            return
        said = self._reports.moved(job, event.moved)
        if event.facts:
            said.append(self._reports.parameters(job, event.facts))
        if said:
            self._journal.save(job, *said)
        if event.error:
            self.endings.end_early(job, event.error)
        else:
            self._submit(replace(job, runner=event.runner), *self._reports.chosen(job, event.told))

    def _submit(self, job: Job, *said: Report) -> None:
        job = replace(job, phase=Phase.SUBMITTING, boot=self._around.boot)
        self._journal.save(job, *said)
        self._hand_over(job)

    def _hand_over(self, job: Job) -> None:
        """Give the task to the CE, as is written by now. Its stamp makes it safe to do this twice on one boot."""
        self._ledger.begin_to_last()
        description, credential = self.jobs.description(job), self._staging.credential(job)
        task = task_of(job, description, self._around, credential=credential, is_pinned=self._slot.is_pinned)
        answer = self._tasks.submit(task)
        if isinstance(answer, CEUnavailable):
            self._put_off(job, answer)
        elif isinstance(answer, Accepted):
            self._started(job, answer.task_id)
        elif isinstance(answer, Rejected):
            self.endings.end_early(job, HandBack("CE Submission Error", answer.reason, blame=Blame.SITE))
        else:
            log.warning("submit.uncertain", job_id=job.job_id, cause=answer.reason)

    def _is_on_disk(self) -> bool:
        """Tell, when it is so, whether a power cut lets us know that a task was handed over: else it may run twice."""
        self._ledger.make_last()
        return self._ledger.lasts

    def _put_off(self, job: Job, error: CEError) -> None:
        """Try again at the next look at the CE; hand the job back when it never can take it."""
        log.warning("submit.delayed", job_id=job.job_id, times=job.put_off + 1, cause=error)
        job = replace(job, put_off=job.put_off + 1)
        self._journal.save(job)
        if job.put_off >= _SUBMISSIONS or not self._ledger.lasts:
            why = str(error) if self._ledger.lasts else "the ledger cannot be written"
            self.endings.end_early(job, HandBack("CE Submission Error", why, blame=Blame.SITE))

    def _started(self, job: Job, task_id: str) -> None:
        job = replace(job, task_id=task_id, phase=Phase.RUNNING)
        if self._tasks.begin_at_once:
            self._begun(job)
            return
        self._journal.save(job, self._reports.by_wrapper(job, application_status=_QUEUED))
        log.info("job.queued", job_id=job.job_id, task_id=task_id)

    def _begun(self, job: Job, wall_s: float = 0.0) -> Job:
        """Take note that a task runs, and has run for so long."""
        job = replace(job, started_at=datetime.now(UTC) - timedelta(seconds=wall_s), begun_s=boot_s() - wall_s)
        job = job.to(JobStatus.RUNNING, Minor.APPLICATION)
        self._journal.save(job, self._reports.by_wrapper(job))
        self._around.energy.begun(job.stamp)
        log.info("job.started", job_id=job.job_id, processors=job.grant.processors if job.grant else 0)
        return job

    # ---- from end to close ----

    def poll(self) -> None:
        """Ask the CE about tasks, and go on with what has ended; submit again what had no answer."""
        running = {job.task_id: job for job in self.jobs.running}
        for task_id, answer in self._tasks.poll({task_id: job.stamp for task_id, job in running.items()}).items():
            with self.belonging_to(running[task_id].job_id):
                self._polled(running[task_id], answer)
        self._recovery.go_on_with_suspect()
        for job in self.jobs.in_phase(Phase.SUBMITTING):
            if job.end or job.is_touched:
                with self.belonging_to(job.job_id):
                    self._resubmit(job)
        for job in self.endings.due_deliveries():
            with self.belonging_to(job.job_id):
                self.endings.deliver(job)
        for job in self.endings.due_data():
            with self.belonging_to(job.job_id):
                self.endings.deliver_data(job)

    def _polled(self, job: Job, task: TaskStatus | Exception) -> None:
        """Take note of how a task stands."""
        if isinstance(task, Exception):
            raise task
        is_begun = task.state is TaskState.RUNNING or task.exit_code is not None
        if is_begun and job.started_at is None and job.end is None:
            job = self._begun(job, task.usage.wall_s or 0.0)
        if task.state.is_final and not self._deaths.is_fresh(job, task):
            self.endings.ended(job, task)

    def _resubmit(self, job: Job) -> None:
        """Find out whether the CE has the task; give it again when not, unless it may have run on another boot."""
        task_id = self._tasks.find(job.stamp)
        if isinstance(task_id, CEError):
            self._put_off(job, task_id)
        elif task_id and job.end:
            self._journal.save(replace(job, task_id=task_id, phase=Phase.RUNNING))
            self._tasks.cancel(task_id)
        elif task_id:
            self._started(job, task_id)
        elif job.end:
            self.endings.finish(self.endings.released(job), job.end)
        elif job.boot != self._around.boot:
            self.endings.finish(self.endings.released(job), outcome.handed_back(_OTHER_BOOT))
        else:
            self._submit(job)

    # ---- orders from outside ----

    def kill(self, job_id: int, *, is_fresh: bool = True) -> None:
        """End a job because the WMS says so, unless it has ended, or began after an order that is not fresh."""
        job = self.jobs.get(job_id)
        if job and job.end is None and (is_fresh or job.has_run_for(_FIRST_BEATS)):
            self._stop(job, outcome.KILLED)

    def renewed(self, credentials: Sequence[Path]) -> None:
        """Pass new credentials on to the tasks that run with them."""
        for job in self.jobs.running:
            with self.belonging_to(job.job_id):
                if (file := self._staging.credential(job)) in credentials and file:
                    self._tasks.renew_credential(job.task_id, file)

    def end(self, job_id: int, end: Outcome) -> None:
        """End a job that has not ended, in a way that was decided elsewhere."""
        job = self.jobs.get(job_id)
        if job and job.end is None:
            self._stop(job, end)

    def remark(self, job_id: int, sentence: str) -> None:
        """Tell the owner of a running job something about it."""
        job = self.jobs[job_id]
        self._journal.save(job, self._reports.remark(job, sentence))

    def ask_to_stop(self, left_s: float) -> None:
        """Send their stop signal to the payloads that want it so long before the end."""
        for job in (job for job in self.jobs.running if job.end is None):
            with self.belonging_to(job.job_id):
                if (stop := self.jobs.description(job).stop_signal) and left_s <= stop.lead_s:
                    self._tasks.ask_to_stop(job.task_id, stop)

    def hand_back_all(self, cause: str, within_s: float = 0.0) -> None:
        """Give every job that has not ended back to the WMS; payloads that want a signal first get this time."""
        for job in self.jobs.all:
            if job.end is None:
                with self.belonging_to(job.job_id):
                    self._stop(job, outcome.handed_back(cause), within_s)

    def kill_now(self) -> None:
        """Give the payloads that are being ended no more time."""
        self._tasks.kill([job.task_id for job in self.jobs.running if job.end])

    def hand_back_unstarted(self, matched: MatchedJob, cause: str) -> None:
        """Give a job back that was matched while the agent was already ending."""
        job = Job(matched=matched, stamp=uuid.uuid4().hex, attempt=self._ledger.attempts(matched.job_id) + 1)
        self.tally.matched += 1
        job = job.to(JobStatus.MATCHED, Minor.RECEIVED)
        self._journal.save(job, self._reports.received(job))
        self.endings.finish(job, outcome.handed_back(cause))

    def taken_away(self, job_id: int) -> None:
        """End a job that is not ours any more; what was decided of its end before is not what the WMS knows."""
        job = self.jobs.get(job_id)
        if job and job.end is None:
            self._stop(job, outcome.TAKEN_AWAY)
        elif job:
            self._journal.save(replace(job, end=outcome.TAKEN_AWAY, minor_status=outcome.TAKEN_AWAY.minor_status))
            self.endings.reports_accepted(job_id)

    def _stop(self, job: Job, end: Outcome, within_s: float = 0.0) -> None:
        """Decide the job's end, write it down, then make it so."""
        job = replace(job, end=end)
        self._journal.save(job)
        log.info("job.stopping", job_id=job.job_id, end=end.status, cause=end.minor_status)
        if job.phase is Phase.RUNNING:
            description = self.jobs.description_if_read(job)
            self._tasks.wind_down(job.task_id, description.stop_signal if description else None, within_s)
        elif job.phase in (Phase.MATCHED, Phase.STAGING):
            self._staging.give_up(job)
            self.endings.finish(self.endings.released(job), end)

    # ---- what nobody foresaw ----

    @contextmanager
    def belonging_to(self, job_id: int) -> Iterator[None]:
        """End this job, and not the agent, where something fails meanwhile; what would fail for every job passes."""
        try:
            yield
        except JobError as error:
            self.endings.end_early(self.jobs[job_id], error)
        except (StopAgent, CEMisconfigured, CEBroken):
            raise
        except Exception as error:  # noqa: BLE001 - the door of everything that is done for a job
            self.crashed(job_id, error)

    def crashed(self, job_id: int, error: BaseException) -> None:
        """End the job that an error belongs to which nobody foresaw."""
        meaning, job = noted(job_id, error), self.jobs.get(job_id)
        if job and job.phase is not Phase.REPORTING:  # else all was said
            self._give_up(job, meaning)

    def _give_up(self, job: Job, error: JobError) -> None:
        """End a job wherever it stands; by force when that has failed before."""
        is_again = job.job_id in self._given_up
        self._given_up.add(job.job_id)
        end = outcome.of_crash(job, error)
        self.endings.count_host_failure(job, end)
        if job.phase in (Phase.SUBMITTING, Phase.RUNNING) and not is_again:
            self._stop(job, end)
            return
        if job.task_id:
            self._tasks.kill([job.task_id])
        self._staging.give_up(job)
        self.endings.finish(self.endings.released(job), end)

    # ---- after a restart ----

    def recover(self) -> None:
        """Go on with the jobs that a former agent in this work directory had in hand; see `Recovery`."""
        self._recovery.recover(self._tasks.forget_others)

    def confirmed(self) -> None:
        """Go on with what waited: the WMS was asked whose it is, and what was taken away has its end."""
        self._recovery.confirmed()

    def _go_on(self, job: Job) -> None:
        self._staging.has_credential(job)  # takes the proxy up again, for renewal
        if job.phase is Phase.REPORTING:
            return  # the reporter goes on with it
        if job.phase in (Phase.MATCHED, Phase.STAGING) and job.end:
            self.endings.finish(self.endings.released(job), job.end)
        elif job.phase is Phase.MATCHED:
            self._prepare(job)
        else:
            self.jobs.describe(job, description_of(job))
            if job.phase is Phase.STAGING:
                self._stage(job)
            elif job.phase is Phase.RUNNING and job.end:
                self._tasks.cancel(job.task_id)
            elif job.phase is Phase.DELIVERING and job.end:
                self.endings.deliver(job)


_FIRST_BEATS = timedelta(minutes=2.5)  # an order to kill comes with the next heartbeat, a minute later
_SUBMISSIONS = 5  # looks at a CE that cannot take a job, some seconds apart
_OTHER_BOOT = "The node was started again"
_QUEUED = "Waiting in the queue of the computing element"
