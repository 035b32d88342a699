"""Slurm (20.11 and later): sbatch, squeue, sacct, scancel. Source: their manuals, and what they were seen to do."""

import logging
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ce_backends.base import Limit, Submission, TaskState, TaskStatus, Usage
from ce_backends.batch.commands import Commands, Words, decimal, last_line, whole_rows
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import (
    COUNTED,
    FILES,
    GPUS,
    NAMED,
    NOTHING,
    ONCE,
    PROCESSORS,
    WAITS,
    WALL,
    Ours,
    has_any,
)
from ce_backends.batch.system import MAY_NEVER, BatchJob
from ce_backends.batch.transport import Transport
from ce_backends.errors import CEError
from ce_backends.options import Option, setting, table_of, value_of

log = logging.getLogger("gridpilot.ce")

_BEHIND_S = 10.0
_BYTES_PER_MIB = 1 << 20
_BYTES_PER_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_STATES: Mapping[str, TaskState] = {
    **dict.fromkeys(
        ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
        TaskState.WAITING,
    ),
    **dict.fromkeys(
        ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"), TaskState.RUNNING
    ),
    "COMPLETED": TaskState.DONE,
    **dict.fromkeys(
        ("FAILED", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL"), TaskState.FAILED
    ),
    **dict.fromkeys(("TIMEOUT", "OUT_OF_MEMORY", "CANCELLED", "PREEMPTED"), TaskState.FAILED),
}
_LIMITS = {"TIMEOUT": Limit.WALL, "OUT_OF_MEMORY": Limit.MEMORY}

# Accepted by sbatch, and pending for ever: slurm.conf's EnforcePartLimits is off by default.
_HOPELESS: Mapping[str, str] = {
    "DependencyNeverSatisfied": "a job that it depends on has failed",
    "PartitionConfig": "more time, nodes or processors than the partition has",
    "PartitionTimeLimit": "more wall time than the partition allows",
}
# The same, or a node that is down, a feature or an account that is set again in an hour: seen on 22.05, squeue(1).
_DOUBTFUL: Mapping[str, str] = {
    "BadConstraints": "no node has the features asked for",
    "InvalidAccount": "the account is not valid",
    "InvalidQOS": "the QoS is not valid",
    "PartitionNodeLimit": "a number of nodes that the partition does not allow, or its nodes are down",
}
_TOO_BIG = "PerJob"  # AssocMaxCpuPerJobLimit, QOSMaxNodePerJobLimit and their like
_MORE_THAN_A_JOB_MAY_HAVE = "more than one job may ever have"
_SAYS = Words(
    name="Slurm",
    not_now=(
        "Unable to contact slurm controller",
        "temporarily unable to accept job",
        "Resource temporarily unavailable",
        "violates accounting/QOS policy",  # too many jobs of ours, as a rule
        "Zero Bytes were transmitted",
        "Required partition not available",  # down, inactive or drained
        "Required node not available",
        "controller in standby mode",
        "I/O error writing script/environment to file",
        "authentication",  # `Protocol authentication error`, `Invalid authentication credential`: munge is away
        "unge",  # `Munge encode failed`, `If munged is up, restart with --num-threads=10`
        "Communication connection failure",
    ),
    no_answer=("Socket timed out", "Unexpected message received"),  # nextflow issue 970
    for_good=("PerJob",),  # AssocMaxWallDurationPerJobLimit and its like stand before `violates accounting/QOS policy`
    too_long=("Invalid job array specification", "MaxSubmit"),
    gone=("Invalid job id",),
    unconfigured=("Could not establish a configuration source", "Unable to process configuration file"),
    configure="have slurm.conf there, or set SLURM_CONF or SLURM_CONF_SERVER",
)
_KNOWS_NONE = ("Invalid job id specified",)  # squeue, of all that it was asked about
_NO_ACCOUNTING = ("accounting storage is disabled",)
_MEMORY = ("--mem", "--mem-per-cpu", "--mem-per-gpu")  # sbatch takes one of them only
_OURS = Ours(
    long={
        "--requeue": ONCE,
        "--array": COUNTED,
        "--job-name": NAMED,
        "--output": FILES,
        "--error": FILES,
        "--input": FILES,
        "--export": "use the job's own environment",
        "--cpus-per-task": PROCESSORS,
        "--ntasks": PROCESSORS,
        "--ntasks-per-node": PROCESSORS,
        "--nodes": "use NumberOfNodes",
        "--time": WALL,
        "--gpus": GPUS,
        "--gpus-per-node": GPUS,
        "--gpus-per-task": GPUS,
        "--clusters": "use Cluster",
        "--wrap": FILES,
        "--wait": WAITS,
        "--test-only": NOTHING,
    },
    short={
        "-a": COUNTED,
        "-J": NAMED,
        "-o": FILES,
        "-e": FILES,
        "-i": FILES,
        "-c": PROCESSORS,
        "-n": PROCESSORS,
        "-N": "use NumberOfNodes",
        "-t": WALL,
        "-G": GPUS,
        "-M": "use Cluster",
        "-W": WAITS,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmSettings:
    """What can be set for Slurm alone."""

    cluster: str = setting(
        Option(name="Cluster", kind=str, default="", doc="Slurm: which cluster, where there are several.")
    )
    memory_per: str = setting(
        Option(
            name="MemoryPer",
            kind=str,
            default="node",
            choices=("cpu", "node"),
            doc="Slurm: how memory is asked for, --mem or, where a site takes that only, --mem-per-cpu. "
            "With a memory option in SubmitOptions nothing is added to it.",
        )
    )


class Slurm:
    """See BatchSystem.

    Args:
        transport: to a host with Slurm's commands.
        needs: queue, account and what else all jobs have in common.
        timeout_s: for a command; slurmctld being down takes sbatch 9 s to find out.
        options: of those below.
    """

    COMMAND: ClassVar[str] = "sbatch"
    OPTIONS: ClassVar[Sequence[Option]] = table_of(SlurmSettings)

    unkept: Mapping[str, str] = {}
    array_limit: int = 1000  # slurm.conf's MaxArraySize is 1001 by default
    index: Sequence[str] = ("gridpilot_index=${SLURM_ARRAY_TASK_ID:-1}",)
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:
        self._needs = needs
        settings = value_of(SlurmSettings, options)
        cluster = [f"--clusters={settings.cluster}"] if settings.cluster else []
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s, start=lambda command: [command, *cluster])
        self._is_per_cpu = settings.memory_per == "cpu"
        _OURS.check(needs.submit_options)
        self._behind_since_s: dict[str, float] = {}  # tasks that have ended for the queue, and not for the accounting

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        done = self._commands.run("sbatch", *self._sbatch(job))
        return self._commands.submitted(done, "sbatch", job.size, _job_id)

    def _sbatch(self, job: BatchJob) -> Iterator[str]:
        """Yield the arguments. Not requeued by Slurm: whether a lost job runs again is for the WMS to decide."""
        yield from ("--parsable", f"--job-name={job.name}", "--no-requeue", "--export=PATH")
        yield from (f"--output={job.log}", f"--error={job.log}", "--open-mode=append", "--input=/dev/null")
        yield from (f"--nodes={self._needs.nodes}", "--ntasks-per-node=1", f"--cpus-per-task={job.processors}")
        if job.size > 1:
            yield f"--array=1-{job.size}"
        if job.memory_mb and not has_any(self._needs.submit_options, _MEMORY):
            name, share = ("--mem-per-cpu", job.processors) if self._is_per_cpu else ("--mem", 1)
            yield f"{name}={math.ceil(job.memory_mb * 1_000_000 / _BYTES_PER_MIB / share)}M"
        if job.wall_s:
            yield f"--time={math.ceil(job.queue_wall_s / 60)}"
        if gpus := job.gpus or self._needs.gpus:
            yield f"--gpus-per-node={gpus}"
        if self._needs.queue:
            yield f"--partition={self._needs.queue}"
        if self._needs.account:
            yield f"--account={self._needs.account}"
        if self._needs.whole_node:
            yield "--exclusive"
        yield from (*self._needs.submit_options, job.script)

    def element(self, job_id: str, number: int, size: int) -> str:
        """See BatchSystem."""
        return job_id if size == 1 else f"{job_id}_{number}"

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. squeue knows what waits, runs, and has ended a short time ago; sacct knows the rest."""
        wanted = set(task_ids)
        found: dict[str, TaskStatus] = {}
        for jobs in self._commands.chunks(_jobs(wanted)):
            found |= self._queue(jobs, wanted)
        if hopeless := [task_id for task_id, status in found.items() if status.reason.startswith(_NEVER)]:
            self.cancel(hopeless)
        failed = {task_id for task_id, status in found.items() if status.state is TaskState.FAILED}
        found |= self._explained(failed - set(hopeless))
        for jobs in self._commands.chunks(_jobs(wanted - set(found))):
            found |= self._accounts(jobs, wanted)
        return found

    def _explained(self, failed: Collection[str]) -> dict[str, TaskStatus]:
        """Return what the accounting knows better than the queue: by whom it was cancelled, its peak of memory."""
        known: dict[str, TaskStatus] = {}
        try:
            for jobs in self._commands.chunks(_jobs(failed)):
                known |= self._accounts(jobs, failed)
        except CEError as error:
            log.info("slurm.not_explained cause=%s", error)
        return {
            task_id: status
            for task_id, status in known.items()
            if task_id in failed and (status.state is TaskState.FAILED or self._may_yet_tell(task_id, status))
        }

    def _may_yet_tell(self, task_id: str, status: TaskStatus) -> bool:
        """Tell whether the accounting, which is behind the queue, is to be waited for: only it knows the reason."""
        now_s = time.monotonic()
        kept = {name: since_s for name, since_s in self._behind_since_s.items() if now_s - since_s < 2 * _BEHIND_S}
        self._behind_since_s = kept | {task_id: self._behind_since_s.get(task_id, now_s)}
        return not status.state.is_final and now_s - self._behind_since_s[task_id] < _BEHIND_S

    def _queue(self, jobs: Sequence[str], wanted: Collection[str]) -> dict[str, TaskStatus]:
        shown = ("--all", "--noheader", "--array", "--states=all", "--format=%i|%T|%r")
        printed = self._commands.ask("squeue", *shown, f"--jobs={','.join(jobs)}", nothing=_KNOWS_NONE)
        rows = _rows("squeue", printed, 3)
        return {task_id: self._status(word, reason) for task_id, word, reason in rows if task_id in wanted}

    def _accounts(self, jobs: Sequence[str], wanted: Collection[str]) -> dict[str, TaskStatus]:
        """Ask the accounting; where there is none, nothing is known."""
        fields = "--format=JobID,State,ExitCode,MaxRSS"
        shown = ("--noheader", "--parsable2", "--duplicates", fields)
        printed = self._commands.ask("sacct", *shown, f"--jobs={','.join(jobs)}", nothing=_NO_ACCOUNTING)
        found: dict[str, TaskStatus] = {}
        peaks: dict[str, float] = {}
        for name, word, code, peak in _rows("sacct", printed, 4):
            task_id, _, step = name.partition(".")
            if task_id not in wanted:
                continue
            if step:
                peaks[task_id] = max(peaks.get(task_id, 0.0), _megabytes(peak))
            else:  # of a requeued job there are several lines, the last one counts
                found[task_id] = self._status(word, _exit_words(code))
        return {task_id: _with_peak(status, peaks.get(task_id)) for task_id, status in found.items()}

    def _status(self, text: str, reason: str) -> TaskStatus:
        """Return the status for a state word; `CANCELLED by 4000` has more than the word."""
        word = text.partition(" ")[0].rstrip("+")
        state = _STATES.get(word)
        if state is None:
            return self._commands.unknown(word)
        if state is TaskState.WAITING:
            if why := _HOPELESS.get(reason) or (_MORE_THAN_A_JOB_MAY_HAVE if _TOO_BIG in reason else ""):
                return TaskStatus(state=TaskState.FAILED, native=text, reason=f"{_NEVER}{why} ({reason})")
            if why := _DOUBTFUL.get(reason, ""):
                return TaskStatus(state=state, native=text, reason=f"{MAY_NEVER}{why} ({reason})")
            return TaskStatus(state=state, native=text, reason="" if reason in ("None", "") else reason)
        if state is TaskState.FAILED:
            return TaskStatus(state=state, native=text, reason=_failure(text, reason), limit=_LIMITS.get(word))
        return TaskStatus(state=state, native=text)

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. scancel says nothing, and returns 0, about what has ended or was never there."""
        self._commands.cancel("scancel", sorted(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem."""
        found: dict[str, str] = {}
        for some in self._commands.chunks(sorted(names)):
            names_of = ("--noheader", "--states=all", "--format=%j|%F", f"--name={','.join(some)}")
            printed = self._commands.ask("squeue", "--all", *names_of)  # --all: also in partitions hidden from us
            found |= dict(_rows("squeue", printed, 2))
        if missing := set(names) - set(found):
            found |= self._named_in_accounts(sorted(missing))
        return found

    def _named_in_accounts(self, names: Sequence[str]) -> dict[str, str]:
        fields = ("--starttime=now-30days", "--format=JobName,JobID", f"--name={','.join(names)}")
        shown = ("--noheader", "--parsable2", "--allocations", *fields)
        printed = self._commands.ask("sacct", *shown, nothing=_NO_ACCOUNTING)
        return {name: job_id.partition("_")[0] for name, job_id in _rows("sacct", printed, 2)}


def _job_id(printed: str) -> str:
    """Return the number of `42` or `42;cluster`, which --parsable has printed."""
    return decimal(last_line(printed).partition(";")[0])


_CLUSTER = "CLUSTER: "  # squeue's own heading where a cluster is named, also without headings
_NEVER = "will never run here: "


def _rows(command: str, text: str, columns: int) -> list[list[str]]:
    """See whole_rows; without squeue's headings."""
    lines = (line for line in text.split("\n") if not line.startswith(_CLUSTER))
    return whole_rows("\n".join(lines), command, columns)


def _jobs(task_ids: Collection[str]) -> Sequence[str]:
    return sorted({task_id.partition("_")[0] for task_id in task_ids})


def _failure(text: str, reason: str) -> str:
    """Return a sentence: what it was, by whom, and what the exit code told."""
    said = text.replace("CANCELLED by ", "CANCELLED by uid ")
    return f"{said}: {reason}" if reason and reason not in ("None", said) else said


def _exit_words(code: str) -> str:
    """Return `0:9` in words."""
    returned, _, signal = code.partition(":")
    if signal.isdecimal() and int(signal):
        return f"killed by signal {signal}"
    return f"exit code {returned}" if returned.isdecimal() and int(returned) else ""


def _megabytes(size: str) -> float:
    """Return Slurm's `1024K` in MB (10^6 bytes), 0 for what is no size."""
    number, unit = (size[:-1], size[-1]) if size and size[-1] in _BYTES_PER_UNIT else (size, "")
    try:
        return float(number) * _BYTES_PER_UNIT[unit] / 1_000_000
    except ValueError:
        return 0.0


def _with_peak(status: TaskStatus, peak_mb: float | None) -> TaskStatus:
    if not peak_mb:
        return status
    return TaskStatus(
        state=status.state,
        native=status.native,
        reason=status.reason,
        limit=status.limit,
        usage=Usage(memory_peak_mb=peak_mb),
    )
