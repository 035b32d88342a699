"""Grid Engine: qsub, qstat, qacct, qdel. Source: their manuals, and what Son of Grid Engine 8.1.9 was seen to do."""

import math
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ce_backends.base import Accepted, Submission, TaskState, TaskStatus, Uncertain
from ce_backends.batch.command import Refusals, Unconfigured, begun, last_line, refusal
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
from ce_backends.batch.transport import Done, Transport
from ce_backends.batch.unknown_words import UnknownWords
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.options import Option
from ce_backends.untrusted.text import lines_of

_AT_ONCE = 1000  # ids in one command
_ONE_BY_ONE = 10  # questions to the accounting at one look, beside the one for all
_MARGIN_S = 90  # between the task's own wall limit, which its script keeps, and the one Grid Engine is told
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
_TOO_MANY_JOBS = 25  # qsub's exit code: try again later
_REFUSALS = Refusals(
    not_now=(
        "unable to send message to qmaster",
        "unable to contact qmaster",
        "can't get configuration from qmaster",
        "Unable to initialize environment",
    ),
    no_answer=("failed receiving gdi request", "got read error"),
    too_long=("you tried to submit a job with more than", "max_aj_tasks", "max_aj_instances"),
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
_GONE_OR_GOING = ("has registered the job", "has deleted job", "does not exist", "is already in deletion")
_NODE_SILENT = "unable to sync state with remote execd"  # marked for deletion all the same
_NO_ACCOUNTING = ("No such file or directory", "no jobs running since startup")

_UNCONFIGURED = Unconfigured(
    texts=("unable to read qmaster name", "SGE_ROOT", "cell directory", "error without diagnosis message"),
    advice="source Grid Engine's settings.sh, which sets SGE_ROOT and SGE_CELL",
)


class GridEngine:
    """See BatchSystem.

    Args:
        transport: to a submit host.
        needs: queue, project and what else all jobs have in common.
        timeout_s: for a command.
        options: of those below.
    """

    OPTIONS: ClassVar[Sequence[Option]] = (
        Option(
            name="ParallelEnvironment",
            kind=str,
            default="smp",
            doc="Grid Engine: what a task of several processors asks for; its slots must be on one host.",
        ),
        Option(
            name="MemoryResource",
            kind=str,
            default="h_vmem",
            doc="Grid Engine: what a memory limit is asked with, per slot; empty to ask for none. "
            "h_vmem limits the address space.",
        ),
        Option(name="GPUResource", kind=str, default="gpu", doc="Grid Engine: what GPUs are asked with, per job."),
        Option(
            name="Accounting",
            kind=bool,
            default=True,
            doc="Grid Engine: ask qacct why a task has ended without an exit code; no where that takes minutes.",
        ),
    )
    COMMAND: ClassVar[str] = "qacct"  # PBS has a qsub too

    array_limit: int = 1000  # sge_conf(5): max_aj_tasks is 75000 by default
    unkept: Mapping[str, str] = {
        "memory_limit_ends_a_task": "over h_vmem, requests for memory fail; what a task then does is its own affair"
    }
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:
        self._transport = transport
        self._needs = needs
        self._timeout_s = timeout_s
        self._environment = str(options.get("ParallelEnvironment", "smp"))
        self._memory = str(options.get("MemoryResource", "h_vmem"))
        self._gpu = str(options.get("GPUResource", "gpu"))
        self.index: Sequence[str] = (_INDEX, _GPUS.replace("RESOURCE", re.sub(r"\W", "_", self._gpu)))
        self._has_accounting = bool(options.get("Accounting", True))
        self._unknown = UnknownWords("Grid Engine")
        _OURS.check(needs.submit_options)
        self._given = resources(needs.submit_options, {"h_rt": WALL, self._gpu: "use NumberOfGPUs"})

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem. What no queue could ever run is refused at once, by `-w e`, with the reason."""
        done = self._run("qsub", *self._qsub(job, verify="e"))
        if done.exit_code == _TOO_MANY_JOBS:
            raise CEUnavailable(f"qsub: {done.sentence}")
        if failure := refusal(done, "qsub", _REFUSALS, job.size):
            return replace(failure, reason=f"qsub: {self._why(job, done).sentence}")
        job_id = last_line(done.stdout).partition(".")[0]  # -terse: "42", or "42.1-5:1"
        return Accepted(job_id) if job_id.isdecimal() else Uncertain(f"qsub printed {done.stdout!r} for a job number")

    def _why(self, job: BatchJob, done: Done) -> Done:
        """Return the refusal; where no queue is suitable, ask again for the reason, without submitting."""
        if _NO_SUCH_QUEUES not in done.stderr:
            return done
        return self._run("qsub", *self._qsub(job, verify="v"))

    def _qsub(self, job: BatchJob, *, verify: str) -> Iterator[str]:
        """Yield the arguments. Not rerun by Grid Engine: whether a lost job runs again is for the WMS to decide."""
        yield from ("-terse", "-N", f"{_PREFIX}{job.name}", "-wd", posixpath.dirname(job.script), "-o", job.log)
        yield from ("-j", "y", "-S", "/bin/sh", "-b", "n", "-r", "n", "-w", verify)
        if job.size > 1:
            yield from ("-t", f"1-{job.size}")
        if job.processors > 1:
            yield from ("-pe", self._environment, str(job.processors))
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
            yield f"h_rt={job.wall_s + _MARGIN_S}"
        if job.memory_mb and self._memory and self._memory not in self._given:
            yield f"{self._memory}={math.ceil(job.memory_mb * 1_000_000 / _BYTES_PER_MIB / job.processors)}M"
        if gpus := job.gpus or self._needs.gpus:
            yield f"{self._gpu}={gpus}"
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
        return found | self._accounts(missing) if missing and self._has_accounting else found

    def _queue(self) -> list[Queued]:
        done = self._run("qstat", "-xml", "-g", "d", "-u", "$user")  # $user is qstat's own word
        if done.exit_code != 0:
            raise CEError(f"qstat: {done.sentence}")
        return list(queued(done.stdout))

    def _status(self, state: str) -> TaskStatus:
        return status_of(state) or self._unknown.status(state)

    def _give_up(self, task_ids: Sequence[str], found: Mapping[str, TaskStatus]) -> dict[str, TaskStatus]:
        """Return tasks in error (Eqw) with their reasons, and delete them: they would stay in the queue for ever."""
        reasons: dict[str, str] = {}
        for jobs in _chunks(sorted({task_id.partition(".")[0] for task_id in task_ids})):
            reasons |= error_reasons(self._run("qstat", "-j", ",".join(jobs)).stdout)
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
        done = self._run("qacct", *arguments)
        if done.exit_code == 0:
            return done.stdout
        if done.exit_code is not None and ("not found" in done.stderr or any(t in done.stderr for t in _NO_ACCOUNTING)):
            return ""
        raise CEError(f"qacct: {done.sentence}")

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem. qdel's exit code is 1 too for what has ended or is ending: its lines tell."""
        for some in _chunks(sorted(task_ids)):
            done = self._run("qdel", *some)
            if done.exit_code is None:
                raise CEError(f"qdel: {done.sentence}")
            refused = [line for line in lines_of(done.stdout + done.stderr) if not _is_gone_or_going(line)]
            if done.exit_code != 0 and refused:
                raise CEError(f"qdel: {' '.join(refused)}")

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem."""
        found = {entry.name: entry.task_id.partition(".")[0] for entry in self._queue()}
        found = {name: found[f"{_PREFIX}{name}"] for name in names if f"{_PREFIX}{name}" in found}
        for name in set(names) - set(found) if self._has_accounting else ():
            for task_id, _, _ in accounts(self._records("-j", f"{_PREFIX}{name}")):
                found[name] = task_id.partition(".")[0]
        return found

    def _run(self, command: str, *arguments: str) -> Done:
        done = self._transport.run([command, *arguments], timeout_s=self._timeout_s)
        return begun(done, command, self._transport.where, _UNCONFIGURED)


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE))


def _is_gone_or_going(line: str) -> bool:
    return _NODE_SILENT in line or any(text in line for text in _GONE_OR_GOING)


def _with_reason(status: TaskStatus, reason: str) -> TaskStatus:
    return replace(status, reason=f"{status.reason}: {reason}") if reason else status
