"""Grid Engine: qsub, qstat, qacct, qdel. Source: their manuals, and what Son of Grid Engine 8.1.9 was seen to do."""

import math
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ce_backends.base import Accepted, Submission, TaskState, TaskStatus
from ce_backends.batch.commands import Commands, Words, decimal, last_line
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import (
    COUNTED,
    FILES,
    NAMED,
    NOTHING,
    ONCE,
    PROCESSORS,
    WAITS,
    WALL,
    Ours,
    resources,
)
from ce_backends.batch.system import BatchJob
from ce_backends.batch.systems.grid_engine_answers import Queued, accounts, error_reasons, queued, status_of
from ce_backends.batch.transport import Transport
from ce_backends.options import Option, setting, table_of, value_of

_ONE_BY_ONE = 10  # questions to the accounting at one look, beside the one for all
_BYTES_PER_MIB = 1 << 20
_INDEX = "gridpilot_index=${SGE_TASK_ID:-1}"
# Univa, Altair and Open Cluster Scheduler name the GPUs of a job, `1 3` or `gpu1 gpu3`; CUDA obeys another variable.
_GPUS = """\
if [ "${SGE_HGR_RESOURCE-}" ] && [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then
    gridpilot_gpus=
    for gridpilot_word in $SGE_HGR_RESOURCE; do
        case $gridpilot_word in *-*) ;; *) gridpilot_word=${gridpilot_word##*[!0-9]} ;; esac
        gridpilot_gpus=${gridpilot_gpus:+$gridpilot_gpus,}$gridpilot_word
    done
    export CUDA_VISIBLE_DEVICES="$gridpilot_gpus"
fi"""
_PREFIX = "gridpilot_"  # a job's name may not begin with a digit
_SAYS = Words(
    name="Grid Engine",
    not_now_codes=(25,),  # qsub: too many jobs, try again later
    not_now=(
        "unable to send message to qmaster",
        "unable to contact qmaster",
        "can't get configuration from qmaster",
        "Unable to initialize environment",
    ),
    no_answer=("failed receiving gdi request", "got read error"),
    too_long=("you tried to submit a job with more than", "max_aj_tasks", "max_aj_instances"),
    gone=(
        "has registered the job",
        "has deleted job",
        "does not exist",
        "is already in deletion",
        "unable to sync state with remote execd",  # its node is silent: marked for deletion all the same
    ),
    unconfigured=("unable to read qmaster name", "SGE_ROOT", "cell directory", "error without diagnosis message"),
    configure="source Grid Engine's settings.sh, which sets SGE_ROOT and SGE_CELL",
)
_OURS = Ours(
    short={
        "-r": ONCE,
        "-N": NAMED,
        "-t": COUNTED,
        "-pe": PROCESSORS,
        "-o": FILES,
        "-e": FILES,
        "-j": FILES,
        "-b": FILES,
        "-S": FILES,
        "-sync": WAITS,
        "-now": WAITS,
        "-verify": NOTHING,
        "-w": "it refuses what no queue could ever run",
    },
    is_joined=False,
)
_NO_SUCH_QUEUES = "no suitable queues"
_NO_ACCOUNTING = ("not found", "No such file or directory", "no jobs running since startup")


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEngineSettings:
    """What can be set for Grid Engine alone."""

    environment: str = setting(
        Option(
            name="ParallelEnvironment",
            kind=str,
            default="smp",
            doc="Grid Engine: what a task of several processors asks for; its slots must be on one host.",
        )
    )
    memory: str = setting(
        Option(
            name="MemoryResource",
            kind=str,
            default="h_vmem",
            doc="Grid Engine: what a memory limit is asked with, per slot; empty to ask for none. "
            "h_vmem limits the address space.",
        )
    )
    gpu: str = setting(
        Option(name="GPUResource", kind=str, default="gpu", doc="Grid Engine: what GPUs are asked with, per job.")
    )
    has_accounting: bool = setting(
        Option(
            name="Accounting",
            kind=bool,
            default=True,
            doc="Grid Engine: ask qacct why a task has ended without an exit code; no where that takes minutes.",
        )
    )


class GridEngine:
    """See BatchSystem.

    Args:
        transport: to a submit host.
        needs: queue, project and what else all jobs have in common.
        timeout_s: for a command.
        options: of those below.
    """

    OPTIONS: ClassVar[Sequence[Option]] = table_of(GridEngineSettings)
    COMMAND: ClassVar[str] = "qacct"  # PBS has a qsub too

    array_limit: int = 1000  # sge_conf(5): max_aj_tasks is 75000 by default
    unkept: Mapping[str, str] = {
        "memory_limit_ends_a_task": "over h_vmem, requests for memory fail; what a task then does is its own affair"
    }
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s)
        self._needs = needs
        self._settings = value_of(GridEngineSettings, options)
        gpu = self._settings.gpu
        self.index: Sequence[str] = (_INDEX, _GPUS.replace("RESOURCE", re.sub(r"\W", "_", gpu)))
        _OURS.check(needs.submit_options)
        self._given = resources(needs.submit_options, {"h_rt": WALL, gpu: "use NumberOfGPUs"})

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem. What no queue could ever run is refused at once, by `-w e`, with the reason."""
        done = self._commands.run("qsub", *self._qsub(job, verify="e"))
        submitted = self._commands.submitted(done, "qsub", job.size, _job_id)
        if isinstance(submitted, Accepted) or _NO_SUCH_QUEUES not in done.stderr:
            return submitted
        why = self._commands.run("qsub", *self._qsub(job, verify="v"))  # asks for the reason, and submits nothing
        return replace(submitted, reason=f"qsub: {why.sentence}")

    def _qsub(self, job: BatchJob, *, verify: str) -> Iterator[str]:
        """Yield the arguments. Not rerun by Grid Engine: whether a lost job runs again is for the WMS to decide."""
        yield from ("-terse", "-N", f"{_PREFIX}{job.name}", "-wd", posixpath.dirname(job.script), "-o", job.log)
        yield from ("-j", "y", "-S", "/bin/sh", "-b", "n", "-r", "n", "-w", verify)
        if job.size > 1:
            yield from ("-t", f"1-{job.size}")
        if job.processors > 1:
            yield from ("-pe", self._settings.environment, str(job.processors))
        if resources := ",".join(self._resources(job)):
            yield from ("-l", resources)
        if self._needs.queue:
            yield from ("-q", self._needs.queue)
        if self._needs.account:
            yield from ("-P", self._needs.account)
        yield from (*self._needs.submit_options, job.script)

    def _resources(self, job: BatchJob) -> Iterator[str]:
        """Yield what is asked for; memory is counted per slot, and so divided by the slots."""
        if job.wall_s:
            yield f"h_rt={job.queue_wall_s}"
        if job.memory_mb and self._settings.memory and self._settings.memory not in self._given:
            yield f"{self._settings.memory}={math.ceil(job.memory_mb * 1_000_000 / _BYTES_PER_MIB / job.processors)}M"
        if gpus := job.gpus or self._needs.gpus:
            yield f"{self._settings.gpu}={gpus}"
        if self._needs.whole_node:
            yield "exclusive=true"

    def element(self, job_id: str, number: int, size: int) -> str:
        """See BatchSystem."""
        return job_id if size == 1 else f"{job_id}.{number}"

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. qstat knows what waits and runs, qacct what has ended; what never began is in neither."""
        wanted = set(task_ids)
        found = {entry.task_id: self._status(entry.state) for entry in self._queue() if entry.task_id in wanted}
        if in_error := [task_id for task_id, status in found.items() if status.state is TaskState.FAILED]:
            found |= self._give_up(in_error, found)
        missing = wanted - set(found)
        return found | self._accounts(missing) if missing and self._settings.has_accounting else found

    def _queue(self) -> list[Queued]:
        return list(queued(self._commands.ask("qstat", "-xml", "-g", "d", "-u", "$user")))  # $user: qstat's own word

    def _status(self, state: str) -> TaskStatus:
        return status_of(state) or self._commands.unknown(state)

    def _give_up(self, task_ids: Sequence[str], found: Mapping[str, TaskStatus]) -> dict[str, TaskStatus]:
        """Return tasks in error (Eqw) with their reasons, and delete them: they would stay in the queue for ever."""
        reasons: dict[str, str] = {}
        for jobs in self._commands.chunks(sorted({task_id.partition(".")[0] for task_id in task_ids})):
            reasons |= error_reasons(self._commands.run("qstat", "-j", ",".join(jobs)).stdout)
        self.cancel(task_ids)
        return {task_id: _with_reason(found[task_id], reasons.get(task_id, "")) for task_id in task_ids}

    def _accounts(self, task_ids: Collection[str]) -> dict[str, TaskStatus]:
        """Ask for many at once by their names of the last day, and for the few that are left one by one."""
        jobs = {task_id.partition(".")[0] for task_id in task_ids}
        found: dict[str, TaskStatus] = {}
        if len(jobs) > _ONE_BY_ONE:
            found |= self._qacct("-d", "1", "-j", f"{_PREFIX}*")
        left = {task_id.partition(".")[0] for task_id in task_ids if task_id not in found}
        for job in sorted(left, key=int)[:_ONE_BY_ONE]:
            found |= self._qacct("-j", job)
        return {task_id: status for task_id, status in found.items() if task_id in task_ids}

    def _qacct(self, *arguments: str) -> dict[str, TaskStatus]:
        return {task_id: status for task_id, _, status in accounts(self._records(*arguments))}

    def _records(self, *arguments: str) -> str:
        """Return the records, none where there are none.

        Raises:
            CEError: the accounting cannot be read.
        """
        return self._commands.ask("qacct", *arguments, nothing=_NO_ACCOUNTING)

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. qdel's exit code is 1 too for what has ended or is ending: its lines tell."""
        self._commands.cancel("qdel", sorted(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem."""
        found = {entry.name: entry.task_id.partition(".")[0] for entry in self._queue()}
        found = {name: found[f"{_PREFIX}{name}"] for name in names if f"{_PREFIX}{name}" in found}
        for name in set(names) - set(found) if self._settings.has_accounting else ():
            for task_id, _, _ in accounts(self._records("-j", f"{_PREFIX}{name}")):
                found[name] = task_id.partition(".")[0]
        return found


def _job_id(printed: str) -> str:
    """Return the number of `42` or `42.1-5:1`, which -terse has printed."""
    return decimal(last_line(printed).partition(".")[0])


def _with_reason(status: TaskStatus, reason: str) -> TaskStatus:
    return replace(status, reason=f"{status.reason}: {reason}") if reason else status
