"""PBS: Torque, and OpenPBS with PBS Professional. Source: their manuals alone; no real one was at hand."""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ce_backends.base import Limit, Submission, TaskState, TaskStatus
from ce_backends.batch.commands import Commands, Words, last_line
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import COUNTED, FILES, NAMED, ONCE, PROCESSORS, WAITS, WALL, Ours, resources
from ce_backends.batch.system import MAY_NEVER, BatchJob
from ce_backends.batch.systems.pbs_answers import attributes, ended
from ce_backends.batch.transport import Done, Transport
from ce_backends.errors import CEError
from ce_backends.options import Option, setting, table_of, value_of

_NAME_LENGTH = 15  # of a job's name, on old servers; so a job is found by the name of its log
_BYTES_PER_MB = 1 << 20
_JOB_ID = re.compile(r"^(\d+)(\[\])?(\.\S+)?$")
_ARRAY_ELEMENT = re.compile(r"\[\d+\]")

_SAYS = Words(
    name="PBS",
    not_now=(
        "cannot connect to server",
        "Connection refused",
        "Maximum number of jobs",
        "would exceed",
        "No Permission now",
        "Cannot connect to",
        "Queue is not enabled",
        "Server shutting down",
        "No free connections",
        "System error",
    ),
    no_answer=("End of File", "Communication failure", "Premature end of message"),
    for_good=("exceeds queue resource limits", "Job violates queue and/or server resource limits"),
    too_long=("Array job exceeds", "array job size limit", "max_job_array_size"),
    gone=("Unknown Job Id", "has finished", "invalid for state of job"),
    unconfigured=("pbsconf error", "Cannot resolve default server host"),
    configure="have pbs.conf (OpenPBS) or server_name (Torque) there, or set PBS_CONF_FILE or PBS_DEFAULT",
    at_once=500,
)
_NO_HISTORY = ("not configured to maintain job history", "job_history_enable")
_MEMORY = ("mem", "vmem", "pmem", "pvmem")
_OURS = Ours(
    short={
        "-r": ONCE,
        "-N": "it is short for all, and ours",
        "-J": COUNTED,
        "-t": COUNTED,
        "-o": NAMED,
        "-e": FILES,
        "-j": FILES,
        "-k": FILES,
        "-S": FILES,
        "-I": WAITS,
        "-X": WAITS,
        "-z": "it tells the job's number",
    },
)
_GRANTED = {"select": PROCESSORS, "nodes": PROCESSORS, "ncpus": PROCESSORS, "procs": PROCESSORS, "walltime": WALL}
# Torque names the GPUs of a job in a file, `wn1-gpu0` a line; CUDA obeys a variable.
_GPUS = """\
if [ -r "${PBS_GPUFILE-}" ] && [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then
    gridpilot_host=$(uname -n) gridpilot_gpus=
    while read -r gridpilot_line; do
        gridpilot_name=${gridpilot_line%-gpu*}
        [ "${gridpilot_name%%.*}" = "${gridpilot_host%%.*}" ] || continue
        gridpilot_gpus=${gridpilot_gpus:+$gridpilot_gpus,}${gridpilot_line##*-gpu}
    done < "$PBS_GPUFILE"
    export CUDA_VISIBLE_DEVICES="$gridpilot_gpus"
fi"""
_NEVER = "Can Never Run"  # OpenPBS's comment on a job that no node could ever run

_STATES: Mapping[str, TaskState] = {
    **dict.fromkeys("QHWTM", TaskState.WAITING),
    **dict.fromkeys("REBSU", TaskState.RUNNING),
    **dict.fromkeys("CFX", TaskState.DONE),
}
_REMARKS = {"H": "held", "S": "suspended", "U": "suspended", "T": "being moved", "M": "moved to another server"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flavour:
    """What Torque and OpenPBS do differently.

    Attributes:
        array: option of an array.
        history: option of qstat that shows what has ended.
        limits: exit status of a job that was over a limit.
    """

    array: str
    history: Sequence[str]
    limits: Mapping[int, Limit]


_FLAVOURS = {
    "Torque": _Flavour(array="-t", history=(), limits={-10: Limit.MEMORY, -11: Limit.WALL, -12: Limit.CPU}),
    "OpenPBS": _Flavour(
        array="-J",
        history=("-x",),
        limits={-26: Limit.MEMORY, -27: Limit.MEMORY, -28: Limit.CPU, -29: Limit.WALL},
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsSettings:
    """What can be set for PBS alone."""

    flavour: str = setting(
        Option(
            name="PBSFlavour",
            kind=str,
            default="Torque",
            choices=sorted(_FLAVOURS),
            doc="Torque: which PBS it is; OpenPBS for PBS Professional too.",
        )
    )


class Pbs:
    """See BatchSystem.

    Args:
        transport: to a host with PBS's commands.
        needs: queue, account and what else all jobs have in common.
        timeout_s: for a command.
        options: of those below.
    """

    OPTIONS: ClassVar[Sequence[Option]] = table_of(PbsSettings)
    COMMAND: ClassVar[str] = "pbsnodes"  # Grid Engine has a qsub too

    array_limit: int = 1000
    index: Sequence[str] = ("gridpilot_index=${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-1}}", _GPUS)
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "PBS_GPUFILE")
    unkept: Mapping[str, str] = {}

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s)
        self._needs = needs
        flavour = value_of(PbsSettings, options).flavour
        self._is_torque = flavour == "Torque"
        self._flavour = _FLAVOURS[flavour]
        self._history = self._flavour.history
        _OURS.check(needs.submit_options)
        self._given = resources(needs.submit_options, _GRANTED)
        resources(needs.submit_options, {"block": WAITS}, "-W")

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        done = self._commands.run("qsub", *self._qsub(job))
        return self._commands.submitted(done, "qsub", job.size, _job_id)

    def _qsub(self, job: BatchJob) -> Iterator[str]:
        """Yield the arguments. Not rerun by PBS: whether a lost job runs again is for the WMS to decide."""
        yield from ("-N", f"gp_{job.name}"[:_NAME_LENGTH], "-o", job.log, "-j", "oe", "-S", "/bin/sh", "-r", "n")
        if job.size > 1:
            yield from (self._flavour.array, f"1-{job.size}")
        yield from self._torque_resources(job) if self._is_torque else self._open_pbs_resources(job)
        if job.wall_s:
            yield from ("-l", f"walltime={_clock(job.queue_wall_s)}")
        if self._needs.queue:
            yield from ("-q", self._needs.queue)
        if self._needs.account:
            yield from ("-A", self._needs.account)
        yield from (*self._needs.submit_options, job.script)

    def _torque_resources(self, job: BatchJob) -> Iterator[str]:
        gpus = job.gpus or self._needs.gpus
        yield from ("-l", f"nodes=1:ppn={job.processors}" + (f":gpus={gpus}" if gpus else ""))
        if job.memory_mb and not self._given & set(_MEMORY):
            yield from ("-l", f"mem={_megabytes(job.memory_mb)}mb")
        if self._needs.whole_node:
            yield "-n"

    def _open_pbs_resources(self, job: BatchJob) -> Iterator[str]:
        is_asked = job.memory_mb and not self._given & set(_MEMORY)
        memory = f":mem={_megabytes(job.memory_mb)}mb" if is_asked else ""
        gpus = f":ngpus={count}" if (count := job.gpus or self._needs.gpus) else ""
        yield from ("-l", f"select=1:ncpus={job.processors}{memory}{gpus}")
        if self._needs.whole_node:
            yield from ("-l", "place=excl")

    def element(self, job_id: str, number: int, size: int) -> str:
        """See BatchSystem. `12[].server` is an array, `12[3].server` one of its elements."""
        return job_id if size == 1 else job_id.replace("[]", f"[{number}]", 1)

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. An end without an exit status is not believed: the answer is cut, or the server not done."""
        wanted = set(task_ids)
        found: dict[str, TaskStatus] = {}
        for jobs in self._commands.chunks(sorted({_ARRAY_ELEMENT.sub("[]", task_id) for task_id in wanted})):
            listed = attributes(self._qstat(*jobs))
            statuses = {task_id: self._status(job) for task_id, job in listed.items() if task_id in wanted}
            found |= {task_id: status for task_id, status in statuses.items() if status}
        return found

    def _qstat(self, *jobs: str) -> str:
        """Return what qstat tells of these jobs. Of unknown ones it complains, and still tells of the others.

        Raises:
            CEError: it gave no answer.
        """
        done = self._asked("-f", "-t", jobs=jobs)
        knows_some_not = any(text in done.stderr for text in _SAYS.gone)
        is_told = "Job Id:" in done.stdout or knows_some_not
        has_failed = done.exit_code != 0 and (not knows_some_not or self._commands.complaints(done.stderr))
        if done.exit_code is None or has_failed or not is_told:
            raise CEError(f"qstat: {done.sentence}")
        return done.stdout

    def _asked(self, *options: str, jobs: Sequence[str] = ()) -> Done:
        """Ask qstat, with its history; from when a server says that it keeps none, without."""
        done = self._commands.run("qstat", *options, *self._history, *jobs)
        if self._history and done.exit_code and any(text in done.stderr for text in _NO_HISTORY):
            self._history = ()
            return self._commands.run("qstat", *options, *jobs)
        return done

    def _status(self, job: Mapping[str, str]) -> TaskStatus | None:
        word, comment = job.get("job_state", ""), job.get("comment", "")
        state = _STATES.get(word)
        if state is None:
            return self._commands.unknown(word)
        if state is TaskState.DONE:
            return ended(word, job, self._flavour.limits)
        if state is TaskState.WAITING and comment.startswith(_NEVER):
            return TaskStatus(state=state, native=word, reason=f"{MAY_NEVER}{comment}")
        return TaskStatus(state=state, native=word, reason=_REMARKS.get(word, ""))

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem."""
        self._commands.cancel("qdel", sorted(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. A job's own name may be too short for ours; its log's is not."""
        wanted = set(names)
        found: dict[str, str] = {}
        done = self._asked("-f")  # all jobs of the server: there is no other question
        if done.exit_code != 0:
            raise CEError(f"qstat: {done.sentence}")
        for job_id, job in attributes(done.stdout).items():
            name = job.get("Output_Path", "").rpartition("/")[2].partition(".log")[0]
            if name in wanted:
                found[name] = _ARRAY_ELEMENT.sub("[]", job_id)
        return found


def _job_id(printed: str) -> str:
    job_id = last_line(printed)
    return job_id if _JOB_ID.match(job_id) else ""


def _megabytes(memory_mb: int) -> int:
    """Return MB of 10^6 bytes in PBS's, which are of 2^20."""
    return math.ceil(memory_mb * 1_000_000 / _BYTES_PER_MB)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
