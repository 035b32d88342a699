"""What is found out about one running task, look by look, and which of its limits it exceeds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.base import Activity, Limit
from ce_backends.containers.binds import is_below
from ce_backends.linux.disk_usage import DiskUse, disk_use
from ce_backends.linux.process_usage import ProcessUse, process_use, proportional_mb
from ce_backends.pool.running_task import Excess, RunningTask
from ce_backends.task.log_limit import Cap

ALWAYS_CAPPED = ("stdout", "stderr")  # beside the work directory
_BYTES_PER_MB = 1_000_000


@dataclass(slots=True)
class Observation:
    """What is known of one task; belongs to the monitor's thread.

    Attributes:
        task: which.
        at_s: when its processes were last looked at, by the monitor's clock.
        processes: as they were then.
        io_bytes: read and written so far.
        cpu_s: CPU time so far.
        disk: what its directory took when that was last looked at; None before.
        file_changes: how many looks found something changed there.
        refusals: how often it was refused another process.
        guards_memory: the kernel does not keep its memory limit, so that these looks have to.
        mounts: other file systems in its directory, which may hang whoever looks at them.
        next_processes_s: when to look at its processes again.
        next_disk_s: when to look at its directory again.
    """

    task: RunningTask
    at_s: float = 0.0
    processes: ProcessUse = field(default_factory=lambda: process_use(()))
    io_bytes: int | None = None
    cpu_s: float = 0.0
    disk: DiskUse | None = None
    file_changes: int = 0
    refusals: int = 0
    guards_memory: bool = False
    mounts: Collection[str] = ()
    next_processes_s: float = 0.0
    next_disk_s: float = 0.0

    @property
    def activity(self) -> Activity:
        """All of it, for others."""
        return Activity(
            at_s=self.at_s,
            cpu_s=self.cpu_s,
            memory_mb=self.processes.memory_mb,
            virtual_mb=self.processes.virtual_mb,
            io_bytes=self.io_bytes,
            disk_mb=self.disk.size_bytes / _BYTES_PER_MB if self.disk else None,
            file_changes=self.file_changes,
            is_suspended=self.processes.is_suspended,
        )

    def trim_output(self, cap: Cap) -> Excess | None:
        """Keep the task's log files small; one on another file system takes nothing of this one."""
        root, work = self.task.directory.path, self.task.directory.work
        for path, below in (*_each(root, ALWAYS_CAPPED), *_each(work, self.task.record.capped)):
            if any(is_below(path, Path(mount)) for mount in self.mounts):
                continue
            if problem := cap.trim(path, below):
                limit_mb = cap.limit_bytes // _BYTES_PER_MB
                sentence = f"{path.name} has more than {limit_mb} MB and cannot be kept small: {problem}"
                return Excess(Limit.OUTPUT, sentence)
        return None

    def is_refused_processes(self) -> bool:
        """Tell whether the kernel has refused it a process since this was last asked."""
        before, self.refusals = self.refusals, self.task.cell.consumption().refusals
        return self.refusals > before

    def look_at_processes(self, now_s: float) -> Excess | None:
        """See what its processes use."""
        before, use = self.processes, process_use(self.task.cell.members())
        if use.io_bytes is not None:  # whoever ends takes its numbers along: a sum that falls is a sign of life too
            self.io_bytes = (self.io_bytes or 0) + abs(use.io_bytes - (before.io_bytes or 0))
        spent = self.task.cell.consumption()
        self.cpu_s = max(self.cpu_s, use.cpu_s if spent.cpu_s is None else spent.cpu_s)
        self.at_s, self.processes = now_s, use
        self.guards_memory = self.task.record.memory_mb > 0 and spent.memory_peak_mb is None
        if self.guards_memory and (excess := self._excess_memory()):
            return excess
        limit_s = self.task.record.cpu_s
        if limit_s and self.cpu_s > limit_s:
            return Excess(Limit.CPU, f"CPU limit of {limit_s} s exceeded (used {self.cpu_s:.0f} s)")
        return None

    def _excess_memory(self) -> Excess | None:
        """Tell of a task over its limit where the kernel does not keep it; shared pages are counted once."""
        limit_mb = self.task.record.memory_mb
        if self.processes.memory_mb <= limit_mb:
            return None
        used_mb = proportional_mb(self.task.cell.members())
        if used_mb <= limit_mb:
            return None
        return Excess(Limit.MEMORY, f"memory limit of {limit_mb} MB exceeded (used {used_mb:.0f} MB)", at_once=True)

    def look_at_disk(self) -> Excess | None:
        """See what its directory takes."""
        before, self.disk = self.disk, disk_use(self.task.directory.path, self.task.cell.members(), mounts=self.mounts)
        self.file_changes += self.disk != before
        limit_mb = self.task.record.disk_mb
        if limit_mb and (self.disk.unread or self.disk.size_bytes > limit_mb * _BYTES_PER_MB):
            return Excess(Limit.DISK, f"disk limit of {limit_mb} MB exceeded ({self.disk_words})")
        return None

    @property
    def disk_words(self) -> str:
        """What its directory took, for a sentence."""
        disk = self.disk or DiskUse()
        unread = ", and not all directories can be looked into" if disk.unread else ""
        return f"used {disk.size_bytes / _BYTES_PER_MB:.0f} MB{unread}"


def _each(directory: Path, names: Sequence[str]) -> list[tuple[Path, Path]]:
    return [(directory / name, directory) for name in names]
