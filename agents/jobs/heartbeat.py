"""Signs of life of running jobs, in DIRAC's keys and units."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from agents.jobs.job import Job
from agents.jobs.runner import JobRunner
from agents.redaction import redacted
from agents.wms.job_state import Heartbeat
from agents.wms.reporter import Reporter
from ce_backends.base import Activity, ComputingElement, Peeks
from ce_backends.errors import CEError

_PEEK_BYTES = 16_384


class Heartbeats:
    """Tells the WMS, for each running job, what it uses and the last lines it printed."""

    def __init__(
        self,
        runner: JobRunner,
        reporter: Reporter,
        ce: ComputingElement,
        peek_lines: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        activity: Callable[[Job], Activity | None] = lambda _: None,
    ) -> None:
        self._runner = runner
        self._reporter = reporter
        self._ce = ce
        self._peek_lines = peek_lines
        self._now = now
        self._activity = activity

    def send(self) -> None:
        """Queue a heartbeat of every job whose payload runs; never of one that has ended."""
        for job in (job for job in self._runner.running if job.end is None):
            self._reporter.beat(self._of(job))

    def _of(self, job: Job) -> Heartbeat:
        wall_s = (self._now() - job.started_at).total_seconds() if job.started_at else 0.0
        dynamic = {
            "LoadAverage": os.getloadavg()[0],
            "AvailableDiskSpace": shutil.disk_usage(".").free / 10**6,
            "WallClockTime": max(0.0, wall_s) * (job.grant.processors if job.grant else 1),  # so does DIRAC
            **_used(self._activity(job)),
        }
        shown = self._last_lines(job)
        return Heartbeat(job_id=job.job_id, dynamic=dynamic, static={"StandardOutput": shown} if shown else {})

    def _last_lines(self, job: Job) -> str:
        """Return the end of what the payload printed, under DIRAC's heading."""
        name = self._runner.description(job).std_output
        if not name or not isinstance(self._ce, Peeks) or not self._peek_lines:
            return ""
        try:
            seen = self._ce.peek(job.task_id, name, _PEEK_BYTES)
        except CEError:  # a sign of life without a look is one all the same
            return ""
        lines = redacted(seen.decode("utf-8", "replace")).splitlines()
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
