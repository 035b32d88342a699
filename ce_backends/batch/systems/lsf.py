"""LSF (10.1): bsub, bjobs, bkill. Source: IBM's manuals alone; no real one was at hand."""

import math
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from ce_backends.base import Limit, Submission, TaskState, TaskStatus, Usage
from ce_backends.batch.commands import Commands, Words, whole_rows
from ce_backends.batch.options import NONE, Needs, Options
from ce_backends.batch.submit_options import FILES, NAMED, ONCE, PROCESSORS, WAITS, WALL, Ours
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Transport
from ce_backends.errors import CEError
from ce_backends.options import Option
from ce_backends.task.script import quote

_PREFIX = "gridpilot_"
_SUBMITTED = re.compile(r"^Job <(\d+)> is submitted", re.MULTILINE)
_FIELDS = ("jobid", "jobindex", "stat", "exit_code", "exit_reason", "run_time", "cpu_used", "name")
_BY_SIGNAL = 128  # an exit code above it is that of a signal

_NOTHING_THERE = ("No job found", "No unfinished job found", "No matching job found")
_SAYS = Words(
    name="LSF",
    queued=("> is submitted",),
    not_now=(
        "LSF is down",
        "try later",
        "not responding",
        "Pending job threshold reached",
        "Queue has been closed",
        "is not ready yet",
        "LIM is down",
    ),
    no_answer=("Communication time out", "Timeout in contacting"),
    too_long=("Job array index too large", "MAX_JOB_ARRAY_SIZE"),
    gone=("is being terminated", "has already finished", "already finished", "is not found", *_NOTHING_THERE),
    unconfigured=("Cannot open lsf.conf", "Unable to open file lsf.conf"),
    configure="source LSF's profile.lsf, which sets LSF_ENVDIR",
    at_once=500,
)
_OURS = Ours(
    short={
        "-r": ONCE,
        "-Q": ONCE,
        "-J": NAMED,
        "-n": PROCESSORS,
        "-W": WALL,
        "-cwd": FILES,
        **dict.fromkeys(("-o", "-oo", "-e", "-eo", "-i", "-is"), FILES),
        **dict.fromkeys(("-K", "-I", "-Ip", "-Is"), WAITS),
    },
    is_joined=False,
)

_STATES: Mapping[str, TaskState] = {
    **dict.fromkeys(("PEND", "PROV", "PSUSP", "WAIT"), TaskState.WAITING),
    **dict.fromkeys(("RUN", "USUSP", "SSUSP"), TaskState.RUNNING),
    **dict.fromkeys(("UNKWN", "ZOMBI"), TaskState.UNKNOWN),  # its host does not answer
    "DONE": TaskState.DONE,
    "EXIT": TaskState.FAILED,
}
_REMARKS = {
    "PSUSP": "held",
    "USUSP": "suspended",
    "SSUSP": "suspended by LSF",
    "UNKWN": "LSF has lost contact with its host",
    "ZOMBI": "killed while LSF had no contact with its host",
}
_LIMITS = {
    "TERM_RUNLIMIT": Limit.WALL,
    "TERM_CPULIMIT": Limit.CPU,
    "TERM_MEMLIMIT": Limit.MEMORY,
    "TERM_SWAP": Limit.MEMORY,
    "TERM_PROCESSLIMIT": Limit.PROCESSES,
    "TERM_THREADLIMIT": Limit.PROCESSES,
}


class Lsf:
    """See BatchSystem.

    Args:
        transport: to a host with LSF's commands.
        needs: queue, project and what else all jobs have in common.
        timeout_s: for a command; bsub tries again and again by itself where LSF is down.
        options: none of its own.
    """

    OPTIONS: ClassVar[Sequence[Option]] = ()
    COMMAND: ClassVar[str] = "bsub"

    array_limit: int = 1000  # lsb.params: MAX_JOB_ARRAY_SIZE
    index: Sequence[str] = ("gridpilot_index=${LSB_JOBINDEX:-1}",)
    passed: Sequence[str] = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
    unkept: Mapping[str, str] = {}

    def __init__(self, transport: Transport, needs: Needs, *, timeout_s: float = 60.0, options: Options = NONE) -> None:  # noqa: ARG002
        self._commands = Commands(transport, _SAYS, timeout_s=timeout_s)
        self._needs = needs
        _OURS.check(needs.submit_options)

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        done = self._commands.run("bsub", *self._bsub(job))
        return self._commands.submitted(done, "bsub", job.size, _job_id)

    def _bsub(self, job: BatchJob) -> Iterator[str]:
        """Yield the arguments. Not rerun by LSF: whether a lost job runs again is for the WMS to decide."""
        name = f"{_PREFIX}{job.name}"
        yield from ("-J", f"{name}[1-{job.size}]" if job.size > 1 else name)
        yield from ("-cwd", posixpath.dirname(job.script), "-o", job.log, "-rn")
        yield from ("-n", str(job.processors), "-R", "span[hosts=1]")
        if job.memory_mb and "-M" not in self._needs.submit_options:
            yield from ("-M", f"{job.memory_mb}MB")
        if job.wall_s:
            yield from ("-W", str(math.ceil(job.queue_wall_s / 60)))
        if gpus := job.gpus or self._needs.gpus:
            yield from ("-gpu", f"num={gpus}")
        if self._needs.queue:
            yield from ("-q", self._needs.queue)
        if self._needs.account:
            yield from ("-P", self._needs.account)
        if self._needs.whole_node:
            yield "-x"
        yield from (*self._needs.submit_options, f"/bin/sh {quote(job.script)}")

    def element(self, job_id: str, number: int, size: int) -> str:
        """See BatchSystem."""
        return job_id if size == 1 else f"{job_id}[{number}]"

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. bjobs also tells of our jobs that have ended in the last hour (CLEAN_PERIOD)."""
        wanted = set(task_ids)
        return {_task_id(row): self._status(row) for row in self._bjobs() if _task_id(row) in wanted}

    def _status(self, row: Mapping[str, str]) -> TaskStatus:
        word = row["stat"]
        state = _STATES.get(word)
        if state is None:
            return self._commands.unknown(word)
        if not state.is_final:
            return TaskStatus(state=state, native=word, reason=_REMARKS.get(word, ""))
        return _ended(word, row)

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem."""
        self._commands.cancel("bkill", sorted(task_ids))

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem."""
        found = {row["name"].partition("[")[0].removeprefix(_PREFIX): row["jobid"] for row in self._bjobs()}
        return {name: found[name].partition("[")[0] for name in names if name in found}

    def _bjobs(self) -> list[dict[str, str]]:
        """Return all of our jobs.

        Raises:
            CEError: LSF gave no answer, or not a whole one.
        """
        done = self._commands.run("bjobs", "-a", "-noheader", "-o", f"{' '.join(_FIELDS)} delimiter='|'")
        if done.exit_code is not None and not done.stdout and any(text in done.stderr for text in _NOTHING_THERE):
            return []
        rows = whole_rows(done.stdout, "bjobs", len(_FIELDS)) if done.exit_code == 0 else []
        if not rows:
            raise CEError(f"bjobs: {done.sentence}")
        return [dict(zip(_FIELDS, (cell.strip() for cell in row), strict=True)) for row in rows]


def _job_id(printed: str) -> str:
    submitted = _SUBMITTED.search(printed)
    return submitted[1] if submitted else ""


def _task_id(row: Mapping[str, str]) -> str:
    """Return `12`, or `12[3]` for an element; some releases write the index into the job's id."""
    job_id, index = row["jobid"], row["jobindex"]
    return f"{job_id}[{index}]" if "[" not in job_id and index.isdecimal() and int(index) else job_id


def _ended(word: str, row: Mapping[str, str]) -> TaskStatus:
    """Return how a job ended: EXIT is also what a task with an exit code of its own ends with."""
    code = int(row["exit_code"]) if row["exit_code"].isdecimal() else 0
    said = row["exit_reason"] if row["exit_reason"] not in ("-", "") else ""
    native = f"{word}, exit code {code}"
    usage = Usage(wall_s=_seconds(row["run_time"]), cpu_s=_seconds(row["cpu_used"]))
    if word == "DONE" or (not said and code <= _BY_SIGNAL):
        return TaskStatus(state=TaskState.DONE, native=native, usage=usage)
    limit = _LIMITS.get(said.partition(":")[0])
    killed = f"killed by signal {code - _BY_SIGNAL}" if code > _BY_SIGNAL else ""
    words = (f"ended at its limit of {limit}" if limit else "", killed, said)
    reason = ", ".join(word for word in words if word)
    return TaskStatus(state=TaskState.FAILED, native=native, reason=reason, limit=limit, usage=usage)


def _seconds(text: str) -> float | None:
    """Return `12 second(s)` as a number."""
    number = text.partition(" ")[0]
    try:
        return float(number)
    except ValueError:
        return None
