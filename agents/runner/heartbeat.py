"""Signs of life of running jobs, in DIRAC's keys and units."""

import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime

from agents.jobs.job import Job, Phase, Runner
from agents.jobs.jobexec import STATUS
from agents.redaction import redacted
from agents.reporting.reporter import Reporter
from agents.runner.job_runner import JobRunner
from agents.wms.job_state import Heartbeat
from ce_backends.base import Activity, ComputingElement, Peeks, Queues
from ce_backends.errors import CEError
from ce_backends.untrusted.text import lines_of, printable

_PEEK_BYTES = 16_384
_MOST_STATUS = 255  # characters
_PEEKS_S = 5.0  # for looks at what payloads print, of all jobs together: each may be a command on another machine


class Heartbeats:
    """Tells the WMS, for each running job, what it uses and the last lines it printed; and how far files are."""

    def __init__(  # noqa: PLR0913 - each is somebody who knows a part of it
        self,
        runner: JobRunner,
        reporter: Reporter,
        ce: ComputingElement,
        peek_lines: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        activity: Callable[[Job], Activity | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        moving: Callable[[Job], str] = lambda _: "",
        *,
        is_due: Callable[[float, float], bool] = lambda _age_s, _since_s: True,
    ) -> None:
        self._is_due = is_due
        self._beaten: dict[int, float] = {}  # monotonic, by job
        self._runner = runner
        self._reporter = reporter
        self._ce = ce
        self._peek_lines = peek_lines
        self._now = now
        self._activity = activity
        self._clock = clock
        self._peeks_end = float("inf")
        self._turn = -1
        self._spoken: dict[int, str] = {}  # the last application status of a workflow, by job
        self._moving = moving
        self._told: dict[int, str] = {}

    def send(self) -> None:
        """Queue a heartbeat of every job that is staged or runs and whose is due, never of one that has ended."""
        self._peeks_end = self._clock() + _PEEKS_S
        self._tell_of_files()
        jobs = self._runner.jobs
        running = [job for job in (*jobs.running, *jobs.in_phase(Phase.STAGING)) if job.end is None]
        self._spoken = {job.job_id: self._spoken.get(job.job_id, "") for job in running}
        self._beaten = {job.job_id: self._beaten[job.job_id] for job in running if job.job_id in self._beaten}
        self._turn = (self._turn + 1) % (len(running) or 1)
        for job in running[self._turn :] + running[: self._turn]:  # each is first once, where there are too many
            with self._runner.belonging_to(job.job_id):
                self._pass_on_status(job)
                if self._has_to_beat(job):
                    self._reporter.beat(self._of(job))

    def _has_to_beat(self, job: Job) -> bool:
        """Tell whether a job's heartbeat is due; then it is taken to be made now."""
        now = self._clock()
        since_s = now - self._beaten.get(job.job_id, float("-inf"))
        if not self._is_due(job.ran_s(self._now()), since_s):
            return False
        self._beaten[job.job_id] = now
        return True

    def _tell_of_files(self) -> None:
        """Say of each job whose files move how far they are, once for each state."""
        moving = [*self._runner.jobs.in_phase(Phase.STAGING), *self._runner.jobs.in_phase(Phase.DELIVERING)]
        told = {job.job_id: self._moving(job) for job in moving}
        for job_id, sentence in told.items():
            if sentence and self._told.get(job_id) != sentence:
                with self._runner.belonging_to(job_id):
                    self._runner.remark(job_id, sentence)
        self._told = told

    def _of_node(self) -> dict[str, float]:
        """Return what is told of this node, nothing where jobs run on others."""
        if isinstance(self._ce, Queues):
            return {}
        return {"LoadAverage": os.getloadavg()[0], "AvailableDiskSpace": shutil.disk_usage(".").free / 10**6}

    def _of(self, job: Job) -> Heartbeat:
        dynamic = {
            **self._of_node(),
            "WallClockTime": job.ran_s(self._now()) * (job.grant.processors if job.grant else 1),  # so does DIRAC
            **_used(self._activity(job)),
        }
        shown = self._last_lines(job)
        return Heartbeat(job_id=job.job_id, dynamic=dynamic, static={"StandardOutput": shown} if shown else {})

    def _pass_on_status(self, job: Job) -> None:
        """Tell the WMS what a workflow says of its step, where it has changed."""
        said = printable(self._peek(job, STATUS) if job.runner is Runner.OWN else "", _MOST_STATUS)
        if said and said != self._spoken[job.job_id]:
            self._spoken[job.job_id] = said
            self._runner.remark(job.job_id, said)

    def _peek(self, job: Job, name: str) -> str:
        """Return the end of a file in the job's directory, empty where there is none to be seen, or no time left."""
        if not isinstance(self._ce, Peeks) or job.started_at is None or self._clock() > self._peeks_end:
            return ""
        try:
            return self._ce.peek(job.task_id, name, _PEEK_BYTES).decode("utf-8", "replace")
        except CEError:  # a sign of life without a look is one all the same
            return ""

    def _last_lines(self, job: Job) -> str:
        """Return the end of what the payload printed, under DIRAC's heading."""
        name = self._runner.jobs.description(job).std_output
        lines = lines_of(redacted(self._peek(job, name) if name and self._peek_lines else ""))
        if not lines:
            return ""
        last = lines[-self._peek_lines :]
        heading = (
            f"Last {len(last)} lines of application output from Watchdog on {self._now():%Y-%m-%d %H:%M:%S} [UTC]:"
        )
        return "\n".join([heading, *last])


def _used(activity: Activity | None) -> dict[str, float]:
    """Return what a payload uses: memory in MB, address space in kB, CPU time in seconds."""
    if activity is None:
        return {}
    used = {
        "MemoryUsed": activity.memory_mb,
        "Vsize": None if activity.virtual_mb is None else activity.virtual_mb * 1e6 / 1024,
        "CPUConsumed": activity.cpu_s,
    }
    return {name: number for name, number in used.items() if number is not None}
