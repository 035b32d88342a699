"""Payloads that have stalled, or loop: evidence is gathered, the owner told; whoever is ended leaves stacks behind."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.errors import Blame
from agents.jobs.job import Job, JobStatus, Minor, Outcome
from agents.jobs.unforeseen import words
from agents.log import EventLog
from agents.runner.job_runner import JobRunner
from agents.runner.staging import STACKS
from agents.settings.watchdog import WatchdogSettings
from ce_backends.base import Activity, ComputingElement, Examines

log = EventLog("watchdog")

DISABLED = "DISABLE_WATCHDOG_CPU_WALLCLOCK_CHECK"  # DIRAC's name of a variable, and of a file of the payload
_TEST = "Test"  # DIRAC's JobType of jobs that are not watched
_LEAST_IO_BYTES = 65_536  # in a sample: a shell that only sleeps in a loop reads less
_LONGEST_GAP_S = 120.0  # between two looks: of a longer gap, in which somebody slept, no more than this counts
_EXAMINATION_S = 5.0  # reading /proc may hang where the payload hangs


@dataclass(slots=True)
class Sample:
    """A stretch of a payload's life that is being looked at.

    Attributes:
        first: what the payload had done when it began.
        last: what it had done when last looked at.
        seconds: how long it lasts by now; the time in which payload, agent or machine were suspended does not count.
        quiet_before: samples in a row before this one in which there was no sign of life.
        busy_before: the stretch right before this one in which it only computed, None when it did more.
    """

    first: Activity
    last: Activity
    seconds: float = 0.0
    quiet_before: int = 0
    busy_before: "Sample | None" = None

    def look(self, now: Activity) -> None:
        """Take in what the payload has done by now; an old picture of it tells nothing."""
        gap_s = now.at_s - self.last.at_s
        if gap_s > 0 and not (now.is_suspended or self.last.is_suspended):
            self.seconds += min(gap_s, _LONGEST_GAP_S)
        self.last = now

    @property
    def cpu_percent(self) -> float:
        """CPU time per wall time; infinite where nobody knows."""
        if self.first.cpu_s is None or self.last.cpu_s is None:
            return float("inf")
        return 100 * (self.last.cpu_s - self.first.cpu_s) / max(self.seconds, 1e-3)

    @property
    def io_bytes(self) -> float:
        """What was read and written meanwhile; infinite where nobody knows."""
        if self.first.io_bytes is None or self.last.io_bytes is None:
            return float("inf")
        return self.last.io_bytes - self.first.io_bytes

    def is_quiet(self, least_cpu_percent: float) -> bool:
        """Tell whether there was no sign of life at all."""
        return self.cpu_percent < least_cpu_percent and self._shows_nothing

    def is_only_busy(self, least_cpu_percent: float) -> bool:
        """Tell whether it computed and nothing came of it that anybody can see."""
        return least_cpu_percent <= self.cpu_percent < float("inf") and self._shows_nothing

    @property
    def _shows_nothing(self) -> bool:
        return self.io_bytes < _LEAST_IO_BYTES and self.last.file_changes == self.first.file_changes

    def stretched(self) -> "Sample":
        """Return this sample together with the busy ones right before it."""
        before = self.busy_before
        return Sample(before.first, self.last, before.seconds + self.seconds) if before else self

    @property
    def evidence(self) -> str:
        """What was seen, in one sentence."""
        return (
            f"in {self.seconds:.0f} s {self.cpu_percent:.1f} % CPU, {self.io_bytes:.0f} bytes read or written, "
            "no file changed"
        )


class Watchdog:
    """Looks at the running jobs of an agent, in its main thread, as often as it is told to.

    Args:
        runner: has the jobs.
        ce: has their payloads.
        settings: what counts as stalled.
        environ: of the agent.
        directory: where what comes with a job's output sandbox is to be put.
    """

    def __init__(
        self,
        runner: JobRunner,
        ce: ComputingElement,
        settings: WatchdogSettings,
        environ: Mapping[str, str],
        directory: Callable[[Job], Path],
    ) -> None:
        self._runner = runner
        self._ce = ce
        self._settings = settings
        self._is_off = not settings.ends_stalled or DISABLED in environ
        self._directory = directory
        self._samples: dict[str, Sample] = {}

    def look(self) -> None:
        """Look at every running job whose payload the CE can see."""
        running = {job.task_id: job for job in self._runner.jobs.running if job.end is None}
        self._samples = {task_id: sample for task_id, sample in self._samples.items() if task_id in running}
        for job in () if self._is_off else running.values():
            activity = self._runner.activity(job)
            if activity is not None:
                with self._runner.belonging_to(job.job_id):
                    self._look_at(job, activity)

    def _look_at(self, job: Job, activity: Activity) -> None:
        sample = self._samples.setdefault(job.task_id, Sample(activity, activity))
        sample.look(activity)
        if sample.seconds < self._settings.sample_s:
            return
        least, may_be = self._settings.least_cpu_percent, self._may_be_quiet(job)
        is_quiet = sample.is_quiet(least) and not may_be
        busy = sample.stretched() if sample.is_only_busy(least) and not may_be else None
        in_a_row = sample.quiet_before + 1 if is_quiet else 0
        self._samples[job.task_id] = Sample(activity, activity, quiet_before=in_a_row, busy_before=busy)
        if in_a_row >= self._settings.quiet_samples and is_quiet:
            self._end(job, Minor.STALLED, f"Stalled: {sample.evidence}")
        elif in_a_row == 1:
            self._warn(job, f"no sign of life: {sample.evidence}")
        elif busy and self._crosses_limit(sample, busy):
            self._is_looping(job, busy.evidence)

    def _crosses_limit(self, sample: Sample, busy: Sample) -> bool:
        limit_s = self._settings.looping_s
        return 0 < limit_s <= busy.seconds < limit_s + sample.seconds

    def _is_looping(self, job: Job, evidence: str) -> None:
        """Tell the owner; whoever computes for hours without a word may be right, so only who is told to ends it."""
        if self._settings.ends_looping:
            self._end(job, Minor.LOOPING, f"Looping: {evidence}")
        else:
            self._warn(job, f"it computes, and nothing comes of it: {evidence}")

    def _may_be_quiet(self, job: Job) -> bool:
        """Tell whether somebody has said that this job is not to be judged by what it does."""
        description = self._runner.jobs.description(job)
        return (
            description.disables_cpu_check
            or description.job_type == _TEST
            or DISABLED in description.execution_environment
            or (isinstance(self._ce, Examines) and self._ce.has_file(job.task_id, DISABLED))
        )

    def _warn(self, job: Job, sentence: str) -> None:
        log.warning("job.suspicious", job_id=job.job_id, evidence=sentence)
        self._runner.remark(job.job_id, f"Watchdog: {sentence}")

    def _end(self, job: Job, minor_status: Minor, sentence: str) -> None:
        """Write down what the payload does, then end it."""
        log.error("job.stuck", job_id=job.job_id, evidence=sentence)
        self._keep_stacks(job)
        self._runner.end(job.job_id, Outcome(JobStatus.FAILED, minor_status, sentence, Blame.USER))

    def _keep_stacks(self, job: Job) -> None:
        """Put the stacks of the payload's processes where its outputs will be, if they can be had in time.

        A thread for one call with a deadline, no Loop: a process may hang whoever looks at it.
        """
        if not isinstance(self._ce, Examines):
            return
        thread = threading.Thread(target=_write_stacks, args=(self._ce, job.task_id, self._directory(job)), daemon=True)
        thread.start()
        thread.join(_EXAMINATION_S)
        if thread.is_alive():
            log.warning("stacks.late", job_id=job.job_id, after_s=_EXAMINATION_S)


def _write_stacks(ce: Examines, task_id: str, directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / STACKS).write_text(ce.stacks(task_id), encoding="utf-8")
    except Exception as error:  # noqa: BLE001 - the job ends anyway, and this thread with it
        log.warning("stacks.not_written", task_id=task_id, cause=words(error))
