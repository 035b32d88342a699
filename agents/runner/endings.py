"""From the end of a job's task, or of a job that never had one, to its confirmed last word."""

import shutil
from collections.abc import Mapping
from dataclasses import replace

from agents.errors import Blame, FailJob, JobError
from agents.jobs import outcome
from agents.jobs.jdl import JobDescription
from agents.jobs.job import HOLDING, Job, JobStatus, Minor, Outcome, Phase
from agents.jobs.ledger import Report
from agents.jobs.report import Reports
from agents.jobs.tally import Tally
from agents.log import EventLog
from agents.process.events import DataDelayed, DataDelivered, Delivered, Undelivered
from agents.runner.context import JobContext
from agents.runner.deliveries import Deliveries, brings_data, brings_outputs
from agents.runner.in_hand import JobsInHand, Journal
from agents.runner.tasks import Tasks
from agents.slot.allocation import Slot
from ce_backends.base import TaskState, TaskStatus

log = EventLog("jobs")


class Endings:
    """Ends jobs: frees what they held, brings their outputs away, says the last word. Used by the main thread."""

    def __init__(
        self,
        *,
        context: JobContext,
        slot: Slot,
        tasks: Tasks,
        reports: Reports,
        deliveries: Deliveries,
        journal: Journal,
        jobs: JobsInHand,
        tally: Tally,
    ) -> None:
        self._around = context
        self._slot = slot
        self._tasks = tasks
        self._reports = reports
        self._deliveries = deliveries
        self._journal = journal
        self._jobs = jobs
        self._tally = tally

    def ended(self, job: Job, task: TaskStatus) -> None:
        """Take note of a task's end, free what it held, and deliver its outputs."""
        description = self._jobs.description_if_read(job)
        end = outcome.decided(job.end, task, speaks=description is not None and description.is_workflow)
        never_ran = job.started_at is None and task.state is TaskState.FAILED
        says_something_of_here = never_ran or not self._around.is_remote
        if job.end is None and says_something_of_here:
            self.count_host_failure(job, end)
        if task.is_stuck and job.grant:
            log.error("processors.broken", job_id=job.job_id, ids=job.grant.processor_ids, cause=task.reason)
            self._slot.mark_broken(job.grant)
        job = self.released(job)
        job = replace(
            job,
            exit_code=task.exit_code,
            wall_s=task.usage.wall_s,
            cpu_s=task.usage.cpu_s,
            energy=self._around.energy.used(job.stamp, task.usage.cpu_s),
            end=end,
            phase=Phase.DELIVERING,
        )
        said: list[Report] = []
        if task.state is TaskState.DONE and description:
            job, said = self._reports.completing(job, end, description)
        self._around.note_end(job.matched.owner, task.usage.wall_s, end.status)
        self._journal.forget_beats(job)
        log.info("job.ended", job_id=job.job_id, exit_code=task.exit_code, end=end.status, reason=task.reason)
        if description and brings_outputs(job, description):
            self._journal.save(job, *said)
            self.deliver(job)
        else:
            self.finish(job, end, *said)

    def deliver(self, job: Job) -> None:
        """Begin to bring an ended job's outputs away, or go on where there are none."""
        if job.rests:
            job = replace(job, rests=False)
            self._journal.save(job)
        if brings_outputs(job, self._jobs.description(job)):
            self._deliveries.start(job, self._jobs.description(job))
        else:  # it was taken away meanwhile
            self.delivered(Delivered(job.job_id))

    def due_deliveries(self) -> list[Job]:
        """Return the jobs whose outputs are to be brought away once more now."""
        return [self._jobs[job_id] for job_id in self._deliveries.due()]

    def moved(self, event: Delivered | Undelivered | DataDelivered | DataDelayed) -> None:
        """Go on with a job whose outputs were brought away, or could not be."""
        match event:
            case Delivered():
                self.delivered(event)
            case Undelivered():
                self.undelivered(event)
            case DataDelivered():
                self.data_delivered(event)
            case DataDelayed():
                self.data_delayed(event)

    def undelivered(self, event: Undelivered) -> None:
        """Try the upload again later, or say that the outputs are lost."""
        job = self._jobs.get(event.job_id)
        if job and self._deliveries.put_off(event):
            self._journal.save(replace(job, rests=True))
        elif job:
            self.delivered(Delivered(event.job_id, error=event.error, is_lost=True))

    def give_up_deliveries(self, cause: str) -> None:
        """Wait for no upload any more."""
        for job in self._jobs.in_phase(Phase.DELIVERING):
            if self._deliveries.moves_data(job.job_id):
                self._end_data(job, cause)
            else:
                self.delivered(Delivered(job.job_id, error=cause, is_lost=True))

    def delivered(self, event: Delivered) -> None:
        """Say the last word about a job whose outputs are delivered, or cannot be."""
        job = self._jobs.get(event.job_id)
        end = job.end if job else None
        if job is None or end is None or job.phase is not Phase.DELIVERING:
            return
        self._deliveries.forget(job.job_id)
        if event.is_lost:
            end = outcome.without_outputs(end, event.error)
        said = []
        if event.sandbox and end.status is JobStatus.DONE:
            job = job.to(JobStatus.COMPLETING, Minor.OUTPUT_UPLOADED)
            said.append(self._reports.by_wrapper(job))
        facts = {"OutputSandboxMissingFiles": ", ".join(event.missing), "OutputSandboxError": event.error}
        description = self._jobs.description_if_read(job)
        if not event.is_lost and description and self._has_data(job, description):
            if end.status is JobStatus.DONE and description.output_data:
                job = job.to(JobStatus.COMPLETING, Minor.UPLOADING_DATA)
                said.append(self._reports.by_wrapper(job))
            self._journal.save(job, self._reports.parameters(job, facts), *said)
            self.deliver_data(job)
        else:
            self.finish(job, end, *said, facts=facts)

    def _has_data(self, job: Job, description: JobDescription) -> bool:
        return self._around.moves_data() and brings_data(job, description, self._around.outputs(job))

    # ---- output data ----

    def deliver_data(self, job: Job) -> None:
        """Begin to bring an ended job's output data away, or go on with it."""
        if job.rests:
            job = replace(job, rests=False)
            self._journal.save(job)
        self._deliveries.start_data(job, self._jobs.description(job))

    def due_data(self) -> list[Job]:
        """Return the jobs whose output data are to be gone on with now."""
        return [self._jobs[job_id] for job_id in self._deliveries.due_data()]

    def data_delayed(self, event: DataDelayed) -> None:
        """Try again later, and tell the owner why; or say that the data are lost."""
        job = self._jobs.get(event.job_id)
        if job is None or job.phase is not Phase.DELIVERING:
            return
        accounts = self._reports.moved(job, event.moved)
        if self._deliveries.put_off_data(event):
            words = f"Output data wait, next try in {event.again_in_s:.0f} s: {event.error}"
            self._journal.save(replace(job, rests=True), self._reports.remark(job, words), *accounts)
        else:
            self._journal.save(job, *accounts)
            self._end_data(job, event.error)

    def data_delivered(self, event: DataDelivered) -> None:
        """Say the last word about a job whose output data are where they belong, or never will be."""
        job = self._jobs.get(event.job_id)
        end = job.end if job else None
        if job is None or end is None or job.phase is not Phase.DELIVERING:
            return
        self._deliveries.forget(job.job_id)
        said = self._reports.moved(job, event.moved)
        if event.error:
            log.warning("data.lost", job_id=job.job_id, blame=event.error.blame, cause=event.error)
            end = outcome.without_data(end, event.error)
        elif event.lfns and end.status is JobStatus.DONE:
            job = job.to(JobStatus.COMPLETING, Minor.DATA_UPLOADED)
            said.append(self._reports.by_wrapper(job))
        if event.request:
            end = outcome.pending(end)
        self.finish(job, end, *said, facts=event.facts)

    def _end_data(self, job: Job, cause: str) -> None:
        """Let output data be ended by whoever has them in hand, or without them when that takes too long."""
        if self._deliveries.end_data(job, self._jobs.description(job), cause):
            return
        detail = f"Its output data are not uploaded: {cause}"
        error = FailJob(Minor.UPLOADING_DATA, detail, blame=Blame.SERVER)
        self.data_delivered(DataDelivered(job_id=job.job_id, error=error))

    # ---- ends ----

    def end_early(self, job: Job, error: JobError) -> None:
        """End a job that did not start."""
        log.warning("job.not_started", job_id=job.job_id, blame=error.blame, cause=error)
        self.count_host_failure(job, outcome.of_error(error))
        self.finish(self.released(job), outcome.of_error(error))

    def count_host_failure(self, job: Job, end: Outcome) -> None:
        """Take note of a job's end where the node is why it is handed back."""
        if end.status is JobStatus.RESCHEDULED and end.blame is Blame.SITE:
            self._tally.count_host_failure(job.job_id)

    def finish(self, job: Job, end: Outcome, *said: Report, facts: Mapping[str, object] | None = None) -> None:
        """Queue the last reports of a job; it is closed when the WMS has taken them."""
        minor_status = Minor.COMPLETE if end.status is JobStatus.DONE else end.minor_status
        job = replace(job, end=end, phase=Phase.REPORTING).to(end.status, minor_status)
        self._tally.ended(end)
        last = self._reports.last(job, end, self._jobs.description_if_read(job), self._around.power.hs06)
        self._journal.save(job, self._reports.facts(job, facts or {}), *said, *last)

    def released(self, job: Job) -> Job:
        """Free what a job holds; its grant stays written in it, for the accounts."""
        if job.grant and job.phase in HOLDING:
            self._slot.give_back(job.grant)
        return job

    def say_again(self, job_id: int, held: JobStatus) -> None:
        """Say the last word on a job once more, and what the WMS's state machine wants before it."""
        job = self._jobs.get(job_id)
        if job is None or job.phase is not Phase.REPORTING or job.end is None:
            return
        said = [self._reports.by_wrapper(job, application_status=job.end.application_status)]
        before: list[Job] = []
        if held in _NEED_RUNNING and job.status.is_success:
            before.append(replace(job, status=JobStatus.RUNNING, minor_status=Minor.APPLICATION))
        if held is not JobStatus.COMPLETING and job.status is JobStatus.COMPLETED:
            before.append(replace(job, status=JobStatus.COMPLETING, minor_status=Minor.DATA_UPLOADED))
        self._journal.save(job, *map(self._reports.by_wrapper, before), *said)

    def let_go(self) -> None:
        """Write down that nobody is at any job: an agent that ends in order has not died at one."""
        for job in self._jobs.all:
            if job.is_touched:
                self._journal.save(replace(job, rests=True))

    def reports_accepted(self, job_id: int) -> None:
        """Close a job about which the WMS has heard everything."""
        job = self._jobs.get(job_id)
        if job and job.phase is Phase.REPORTING and not self._journal.has_unsent(job):
            self.close(job)

    def overtake(self, job: Job) -> None:
        """Close a job that the Matcher gives again: it was put back, whatever became of the answer to that order."""
        self._journal.drop_order(job)
        self.close(job)

    def close(self, job: Job) -> None:
        """Remove what is left of a job here."""
        if job.task_id:
            self._tasks.clean(job.task_id)
        if not self._around.keep_directories:
            shutil.rmtree(self._around.directory(job), ignore_errors=True)
        self._journal.close(job)


_NEED_RUNNING = (JobStatus.MATCHED, JobStatus.STALLED)  # no way leads from there to Done
